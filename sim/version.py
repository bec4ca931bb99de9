"""Which code a result comes from."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
from pathlib import Path

import blondel.hdl
import blondel.sim

__all__ = ["version"]


@functools.cache
def version() -> str:
    """Return Blondel's version, with a digest of the code that results come from: it tells two copies apart."""
    digest = hashlib.sha256()
    for package in (blondel.hdl, blondel.sim):
        for folder in package.__path__:
            for path in sorted(Path(folder).rglob("*.py")):
                digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return f"{importlib.metadata.version('blondel')} ({digest.hexdigest()[:8]})"

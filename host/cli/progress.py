"""What a terminal shows of long work."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

__all__ = ["progress_bar", "status", "steps"]


@contextlib.contextmanager
def status(text: str) -> Iterator[None]:
    """Show on a terminal what takes a while."""
    shown = sys.stderr.isatty()
    if shown:
        print(text, end="\r", file=sys.stderr, flush=True)
    try:
        yield
    finally:
        if shown:
            print(" " * len(text), end="\r", file=sys.stderr, flush=True)


@contextlib.contextmanager
def steps() -> Iterator[Callable[[str], None]]:
    """Show on a terminal which step long work is at, and for how long."""
    shown = sys.stderr.isatty()
    began = time.monotonic()

    def show(step: str) -> None:
        if shown:
            print(f"\r{step} … {time.monotonic() - began:.0f} s\033[K", end="", file=sys.stderr, flush=True)

    try:
        yield show
    finally:
        if shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


@contextlib.contextmanager
def progress_bar(work: str, total: int, unit: str) -> Iterator[Callable[[int], object]]:
    """Show on a terminal how far long work is, and how long it will yet take."""
    from tqdm import tqdm

    # disable=None: not where standard error is no terminal.
    bar = tqdm(total=total, desc=work, unit=f" {unit}s", unit_scale=total > 9999, delay=1, disable=None, leave=False)
    with bar:
        yield bar.update

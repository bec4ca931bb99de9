"""Files that a person asks for: written whole, or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, TypeVar

__all__ = ["OutputError", "check_writable", "write_whole"]


T = TypeVar("T")


class OutputError(Exception):
    """A file cannot be written; the message names it and says why."""


def check_writable(path: Path) -> None:
    """Find out before long work whether a file can be written after it.

    Raises
    ------
    OutputError
        It cannot.
    """
    reason = None
    if path.is_dir():
        reason = "it is a directory"
    elif not path.parent.is_dir():
        reason = f"{path.parent} is not a directory"
    elif not os.access(path if path.exists() else path.parent, os.W_OK):
        reason = "no permission"
    if reason:
        raise OutputError(f"cannot write {path}: {reason}")


def write_whole(path: Path, write: Callable[[BinaryIO], T]) -> T:
    """Write a file so that nobody ever finds half of it.

    Parameters
    ----------
    path : Path
        Replaced when all is written; a device (``/dev/stdout``) is written as it is.
    write : callable(file)
        Writes the content.

    Returns
    -------
    object
        What ``write`` returned.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    check_writable(path)
    path = path.resolve()
    try:
        if path.exists() and not path.is_file():
            with path.open("wb") as file:
                return write(file)
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            with part.open("xb") as file:
                written = write(file)
            part.replace(path)
            return written
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error

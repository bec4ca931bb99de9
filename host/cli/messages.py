"""What the commands say, and the status that they end with."""

from __future__ import annotations

import sys

__all__ = ["BAD_INPUT", "BROKEN_PIPE", "FAILED", "INTERRUPTED", "OK", "Failure", "InputError", "say"]

#: Exit statuses.
OK, FAILED, BAD_INPUT, INTERRUPTED, BROKEN_PIPE = 0, 1, 2, 130, 141


class InputError(Exception):
    """What the user asks for cannot be done; the message is one line."""


class Failure(Exception):
    """What was asked for was tried, and cannot be done; the message is one line."""


def say(kind: str, message: str) -> None:
    """Print a line to standard error."""
    print(f"blondel: {kind}: {message}", file=sys.stderr)

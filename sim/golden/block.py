"""What the golden blocks have in common."""

from __future__ import annotations

import abc

__all__ = ["Block"]


class Block(abc.ABC):
    """A block of the golden model: a state, and arrays in and out.

    Frames are rows: a block that is fed in chunks gives, joined, what it gives for the whole.
    """

    @abc.abstractmethod
    def reset(self) -> None:
        """Return to the state at power-up."""

    @abc.abstractmethod
    def next(self, *arrays):
        """Continue where the last call stopped."""

    def process(self, *arrays):
        """Start afresh: the same as :meth:`reset`, then :meth:`next`."""
        self.reset()
        return self.next(*arrays)

"""What the golden blocks have in common."""

from __future__ import annotations

import abc

import numpy as np

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

    def save(self) -> dict[str, np.ndarray]:
        """Return all that :meth:`next` goes on from, by name; here the arrays of ``state``, its compiled functions'."""
        return {name: each for name, each in self.state._asdict().items() if isinstance(each, np.ndarray)}

    def restore(self, saved: dict[str, np.ndarray]) -> None:
        """Go on from what :meth:`save` returned."""
        for name, each in saved.items():
            getattr(self.state, name)[:] = each

    def process(self, *arrays):
        """Start afresh: the same as :meth:`reset`, then :meth:`next`."""
        self.reset()
        return self.next(*arrays)

"""Counter drive: golden twin of the counter's part of :mod:`blondel.hdl.outputs.pulses`."""

from __future__ import annotations

import numpy as np

from blondel.hdl.config import MeterConfig
from blondel.sim.engine import Events
from blondel.sim.golden.block import Block
from blondel.sim.golden.pulses import EdgeQueue

__all__ = ["CounterDrive"]

#: Number of the counter drive in :func:`blondel.sim.engine.output_names`.
COUNTER = 3


class CounterDrive(Block):
    """Drive the counter once for each count, for a fixed time, with a gap after it.

    Parameters
    ----------
    config : MeterConfig
        The same that makes the hardware.

    Attributes
    ----------
    records : ndarray of int64, (1, 2)
        Counts waiting, and counts driven modulo 2**queue_bits.
    """

    def __init__(self, config: MeterConfig):
        self._on = config.frames_in(config.counter_on_s)
        self._queue = EdgeQueue(1, self._on + config.frames_in(config.counter_gap_s))
        self._modulus = 1 << config.queue_bits
        self.reset()

    def reset(self) -> None:
        """Return to the state at power-up."""
        self.preset(np.zeros((1, 2), dtype=np.int64))

    def preset(self, records: np.ndarray) -> None:
        """Set the record; a pulse under way ends, and the next may follow at once."""
        self.records = np.array(records, dtype=np.int64)
        self._queue.preset(self.records[0, 0])
        # Frames, from the next call's first one on, in which a pulse ends: none, or one.
        self._falls = np.empty(0, dtype=np.int64)

    def save(self) -> dict[str, np.ndarray]:
        """See :meth:`blondel.sim.golden.block.Block.save`."""
        return {"records": self.records, "falls": self._falls, "queue": self._queue.save()["words"]}

    def restore(self, saved: dict[str, np.ndarray]) -> None:
        """See :meth:`blondel.sim.golden.block.Block.restore`."""
        self.records, self._falls = saved["records"], saved["falls"]
        self._queue.restore({"words": saved["queue"]})

    def next(self, frames: int, count_frames: np.ndarray) -> Events:
        """Let time go on; the cost is by counts, not by frames.

        Parameters
        ----------
        frames : int
            Number of frames, valid or not.
        count_frames : ndarray of int64
            Those that have a count, counted from this call's first one, ascending, each once.

        Returns
        -------
        Events
            Edges of the drive, counted from this call's first frame.
        """
        rises, _ = self._queue.next(frames, count_frames)
        self.records[0] = self._queue.waiting, (self.records[0, 1] + len(rises)) % self._modulus
        falls = np.concatenate([self._falls, rises + self._on])
        self._falls = falls[falls >= frames] - frames
        falls = falls[falls < frames]
        edges = np.concatenate([rises, falls])
        level = np.arange(len(edges)) < len(rises)
        order = np.argsort(edges)
        return Events(edges[order], np.full(len(edges), COUNTER, dtype=np.uint16), level[order])

"""Pulse outputs: golden twin of :mod:`blondel.hdl.outputs.pulses`."""

from __future__ import annotations

import numpy as np
from numba import njit

from blondel.hdl.config import MeterConfig
from blondel.hdl.outputs.pulses import HALF_PULSES, shortest_frames
from blondel.sim.engine import Events
from blondel.sim.golden.block import Block

__all__ = ["EdgeQueue", "PulseOutputs"]

#: Numbers of the outputs in :func:`blondel.sim.engine.output_names`.
OUTPUT_10, OUTPUT_100, OUTPUT_1000, TEST, QUEUED = 0, 1, 2, 4, 5


@njit(cache=True)
def _emit(frames, arrivals, waiting, blocked, units, distance, edges):
    """Go from edge to edge; return their number, ``waiting`` and ``blocked`` after it, first late frame."""
    count = 0
    taken = 0
    frame = 0
    late = -1
    while True:
        due = frame
        if waiting < units:
            last = taken + units - waiting - 1
            if last >= len(arrivals):
                break
            due = arrivals[last]
        frame = max(due, blocked)
        if frame > due and late < 0:
            late = due
        if frame >= frames:
            break
        while taken < len(arrivals) and arrivals[taken] <= frame:
            taken += 1
            waiting += 1
        waiting -= units
        blocked = frame + distance
        edges[count] = frame
        count += 1
    return count, waiting + len(arrivals) - taken, max(blocked - frames, 0), late


class EdgeQueue(Block):
    """Units of energy wait until they make an edge, and edges keep their distance; no unit is lost.

    Parameters
    ----------
    units : int
        Units of an edge.
    distance : int
        Fewest frames from an edge to the next.

    Attributes
    ----------
    waiting : int
        Units that have not made an edge.
    """

    def __init__(self, units: int, distance: int):
        self._units = units
        self._distance = distance
        self.reset()

    def reset(self) -> None:
        """Return to the state at power-up."""
        self.preset(0)

    def preset(self, waiting: int) -> None:
        """Start from ``waiting`` units, with an edge possible at once."""
        self.waiting = int(waiting)
        self._blocked = 0

    def save(self) -> dict[str, np.ndarray]:
        """See :meth:`blondel.sim.golden.block.Block.save`."""
        return {"words": np.array([self.waiting, self._blocked], dtype=np.int64)}

    def restore(self, saved: dict[str, np.ndarray]) -> None:
        """See :meth:`blondel.sim.golden.block.Block.restore`."""
        self.waiting, self._blocked = saved["words"].tolist()

    def next(self, frames: int, arrivals: np.ndarray) -> tuple[np.ndarray, int]:
        """Let time go on; the cost is by units and edges, not by frames.

        Parameters
        ----------
        frames : int
            Number of frames, valid or not.
        arrivals : ndarray of int64
            Those that bring a unit, ascending, each once.

        Returns
        -------
        edges : ndarray of int64
            Frames that have an edge.
        late : int
            First frame after which there is enough for another edge, which has to wait; -1 for none.
        """
        if frames == 0:
            return np.empty(0, dtype=np.int64), -1
        enough = (self.waiting + len(arrivals)) // self._units
        edges = np.empty(min(enough, (frames - 1) // self._distance + 1), dtype=np.int64)
        arrivals = np.ascontiguousarray(arrivals, dtype=np.int64)
        count, self.waiting, self._blocked, late = _emit(
            frames, arrivals, self.waiting, self._blocked, self._units, self._distance, edges
        )
        return edges[:count], late


class PulseOutputs(Block):
    """Turn ticks of delivered energy into the edges of Output 10, 100 and 1000 and of the test pulse.

    Parameters
    ----------
    config : MeterConfig
        The same that makes the hardware.

    Attributes
    ----------
    records : ndarray of int64, (2, 2)
        Ticks waiting and half pulses emitted, of Output 10 (modulo 200) and of the test pulse (modulo 2).
    queued : bool
        Sticky: an edge had to wait. Set it to ``False`` to clear it.
    """

    def __init__(self, config: MeterConfig):
        self._config = config
        shortest, shortest_test = shortest_frames(config)
        self._queues = (EdgeQueue(config.pulse_half_ticks, shortest), EdgeQueue(config.test_half_ticks, shortest_test))
        self.reset()

    def reset(self) -> None:
        """Return to the state at power-up."""
        self.queued = False
        self.preset(np.zeros((2, 2), dtype=np.int64))

    def preset(self, records: np.ndarray) -> None:
        """Set the records, and so the levels; the next edges may follow at once."""
        self.records = np.array(records, dtype=np.int64)
        for queue, waiting in zip(self._queues, self.records[:, 0], strict=True):
            queue.preset(waiting)

    def save(self) -> dict[str, np.ndarray]:
        """See :meth:`blondel.sim.golden.block.Block.save`."""
        queues = np.stack([queue.save()["words"] for queue in self._queues])
        return {"records": self.records, "queues": queues, "queued": np.array(self.queued)}

    def restore(self, saved: dict[str, np.ndarray]) -> None:
        """See :meth:`blondel.sim.golden.block.Block.restore`."""
        self.records, self.queued = saved["records"], bool(saved["queued"])
        for queue, words in zip(self._queues, saved["queues"], strict=True):
            queue.restore({"words": words})

    def next(self, frames: int, tick_frames: np.ndarray) -> tuple[Events, np.ndarray]:
        """Let time go on; the cost is by ticks and edges, not by frames.

        Parameters
        ----------
        frames : int
            Number of frames, valid or not.
        tick_frames : ndarray of int64
            Those that have a tick, counted from this call's first one, ascending, each once.

        Returns
        -------
        events : Events
            Edges of the outputs, counted from this call's first frame.
        count_frames : ndarray of int64
            Frames in which the counter has to advance.
        """
        edges, late = self._queues[0].next(frames, tick_frames)
        test_edges, test_late = self._queues[1].next(frames, tick_frames)
        half = (self.records[0, 1] + 1 + np.arange(len(edges))) % HALF_PULSES
        test = (self.records[1, 1] + 1 + np.arange(len(test_edges))) % 2
        for record, queue, halves in zip(self.records, self._queues, (half, test), strict=True):
            record[0] = queue.waiting
            if len(halves):
                record[1] = halves[-1]

        parts = [
            _events(edges[half % step == 0], output, half[half % step == 0] // step % 2)
            for output, step in ((OUTPUT_10, 1), (OUTPUT_100, 10), (OUTPUT_1000, 100))
        ]
        parts.append(_events(test_edges, TEST, test))
        lates = [frame for frame in (late, test_late) if frame >= 0]
        if lates and not self.queued:
            self.queued = True
            parts.append(_events(np.array([min(lates)]), QUEUED, np.ones(1)))
        events = Events.join(parts)
        order = np.lexsort((events.output, events.frame))
        return (
            Events(events.frame[order], events.output[order], events.level[order]),
            edges[half % self._config.counter_half_pulses == 0],
        )


def _events(frames: np.ndarray, output: int, levels: np.ndarray) -> Events:
    return Events(frames, np.full(len(frames), output, dtype=np.uint16), levels.astype(bool))

"""A service: the mains and, on each element, the loads that hang on it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from blondel.sim.source.loads import Load
from blondel.sim.source.mains import Mains

__all__ = ["Service"]

#: Frames that are worked on at once: few enough for the processor's cache.
_BLOCK = 8192


class Service:
    """Sample the mains' voltage and the loads' current.

    A :class:`~blondel.sim.source.source.Source`.

    Parameters
    ----------
    mains : Mains
        The voltage.
    loads : sequence of sequences of Load
        For each element, the loads on it; their currents add up.
    sample_rate_hz : float
        Frames per second. Default 8000.
    duration_s : float or None
        How long it lasts, in s. Default ``None``: without end.

    Raises
    ------
    ValueError
        The mains are given for another number of elements, or have harmonics that the sample rate
        cannot represent.
    """

    period_frames = None

    def __init__(
        self,
        mains: Mains,
        loads: Sequence[Sequence[Load]],
        *,
        sample_rate_hz: float = 8000.0,
        duration_s: float | None = None,
    ):
        self.mains = mains
        self.loads = tuple(tuple(each) for each in loads)
        self.sample_rate_hz = float(sample_rate_hz)
        self.duration_s = duration_s
        self.elements = len(self.loads)
        if mains.elements not in (None, self.elements):
            raise ValueError(f"mains has {mains.elements} elements; allowed: as many as loads, {self.elements}")
        if not mains.highest_hz < self.sample_rate_hz / 2:
            raise ValueError(
                f"sample_rate_hz is {self.sample_rate_hz:g}; allowed: more than {2 * mains.highest_hz:g}, twice the "
                "mains' highest frequency"
            )

    def samples(self, start: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return some frames: see :meth:`blondel.sim.source.source.Source.samples`."""
        volts = np.empty((count, self.elements))
        amps = np.zeros((count, self.elements))
        for begin in range(0, count, _BLOCK):
            rows = slice(begin, min(begin + _BLOCK, count))
            waves = self.mains.waves(start + begin, rows.stop - begin, self.elements, self.sample_rate_hz)
            for element, wave in enumerate(waves):
                volts[rows, element] = wave.volts
                for load in self.loads[element]:
                    amps[rows, element] += load.amps(wave)
        return volts, amps

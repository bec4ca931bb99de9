"""What every source of waveforms has in common."""

from __future__ import annotations

from typing import Protocol

import numpy as np

__all__ = ["Source"]


class Source(Protocol):
    """Line voltage and current of some elements, sampled.

    Attributes
    ----------
    sample_rate_hz : float
        Frames per second.
    elements : int
        V·I pairs.
    duration_s : float or None
        How long the source lasts, in s; ``None``: it has no end.
    period_frames : int or None
        Frames after which the waveforms repeat exactly; ``None``: they need not.
    """

    sample_rate_hz: float
    elements: int
    duration_s: float | None
    period_frames: int | None

    def samples(self, start: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return some frames; the same ones at every call, however a run is cut into chunks.

        Parameters
        ----------
        start : int
            Index of the first frame, 0 or more; past the source's duration the waveforms go on.
        count : int
            Frames.

        Returns
        -------
        volts, amps : ndarray of float64, (count, elements)
            Line voltage and primary current, in V and A.
        """

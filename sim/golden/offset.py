"""Offset removal: golden twin of :mod:`blondel.hdl.metrology.offset`."""

from __future__ import annotations

import numpy as np
from numba import njit

from blondel.hdl.config import TRACKING_SHIFT, MeterConfig
from blondel.sim.golden.block import Block
from blondel.sim.golden.fixed import shift_right_half_even

__all__ = ["Offset"]

#: Windows after which the tracking takes its slowest steps.
_OLDEST = 1 << (TRACKING_SHIFT - 1)


@njit(cache=True)
def _remove_offset(samples, window, estimate, total, age, oldest, window_log2, tracking, out):
    for n in range(samples.shape[0]):
        for channel in range(samples.shape[1]):
            sample = np.int64(samples[n, channel])
            out[n, channel] = sample - shift_right_half_even(estimate[channel], window_log2)
            total[channel] += sample
        if window[n]:
            shift = 0
            while (age[0] >> shift) > 0:
                shift += 1
            for channel in range(samples.shape[1]):
                if tracking:
                    estimate[channel] -= (estimate[channel] - total[channel]) >> shift
                total[channel] = 0
            age[0] = min(age[0] + 1, oldest)


class Offset(Block):
    """Subtract each channel's offset, and track it from window to window.

    Parameters
    ----------
    config : MeterConfig
        The same that makes the hardware.

    Attributes
    ----------
    estimate : ndarray of int64, (channels,)
        Offset estimates, LSB × 2**-window_log2.
    """

    def __init__(self, config: MeterConfig):
        self._config = config
        self.reset()

    def reset(self) -> None:
        """Return to the state at power-up."""
        config = self._config
        self.estimate = np.array([config.offset_word(c) for c in range(config.channels)], dtype=np.int64)
        self._total = np.zeros(config.channels, dtype=np.int64)
        self._age = np.array([_OLDEST if config.offset_calibrated else 0], dtype=np.int64)

    def preset(self, estimate: np.ndarray) -> None:
        """Set the offsets as calibrated; the tracking takes its slowest steps from here on."""
        self.estimate[:] = estimate
        self._total[:] = 0
        self._age[0] = _OLDEST

    def next(self, samples: np.ndarray, window: np.ndarray) -> np.ndarray:
        """Remove the offsets of valid frames.

        Parameters
        ----------
        samples : ndarray of integers, (frames, channels)
            LSB of the converter.
        window : ndarray of bool, (frames,)
            True on the last frame of each window.

        Returns
        -------
        ndarray of int64, (frames, channels)
            LSB of the converter.
        """
        out = np.empty(samples.shape, dtype=np.int64)
        config = self._config
        _remove_offset(
            samples, window, self.estimate, self._total, self._age, _OLDEST, config.window_log2,
            config.offset_tracking, out,
        )  # fmt: skip
        return out

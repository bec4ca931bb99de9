"""Offset removal: golden twin of :mod:`blondel.hdl.metrology.offset`."""

from __future__ import annotations

import numpy as np
from numba import njit

from blondel.hdl.config import ACQUIRED_WINDOWS, TRACKING_SHIFT, MeterConfig
from blondel.hdl.metrology.offset import OLDEST
from blondel.sim.golden.block import Block
from blondel.sim.golden.fixed import shift_right_half_even

__all__ = ["Offset"]


@njit(cache=True)
def _remove_offset(
    samples, window, correction, total, age, acquired, oldest, slowest, window_log2, limit, tracking, out
):  # fmt: skip
    for n in range(samples.shape[0]):
        for channel in range(samples.shape[1]):
            result = np.int64(samples[n, channel]) + shift_right_half_even(correction[channel], window_log2)
            out[n, channel] = result
            total[channel] += result
        if window[n]:
            steps = slowest >> max(age[0] - (acquired - 1), 0)
            for channel in range(samples.shape[1]):
                if tracking:
                    for _ in range(steps):
                        moved = correction[channel] + ~(total[channel] // slowest)
                        if -limit <= moved < limit:
                            correction[channel] = moved
                total[channel] = 0
            age[0] = min(age[0] + 1, oldest)


class Offset(Block):
    """Add each channel's correction, minus its offset, and track it from window to window.

    Parameters
    ----------
    config : MeterConfig
        The same that makes the hardware.

    Attributes
    ----------
    correction : ndarray of int64, (channels,)
        Minus the offset estimates, LSB × 2**-window_log2.
    """

    def __init__(self, config: MeterConfig):
        self._config = config
        self.reset()

    def reset(self) -> None:
        """Return to the state at power-up."""
        config = self._config
        self.correction = np.array([config.offset_word(c) for c in range(config.channels)], dtype=np.int64)
        self._total = np.zeros(config.channels, dtype=np.int64)
        self._age = np.array([OLDEST if config.offset_calibrated else 0], dtype=np.int64)

    def preset(self, correction: np.ndarray) -> None:
        """Set the offsets as calibrated; the tracking takes its slowest steps from here on."""
        self.correction[:] = correction
        self._total[:] = 0
        self._age[0] = OLDEST

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
            samples, window, self.correction, self._total, self._age, ACQUIRED_WINDOWS, OLDEST, 1 << TRACKING_SHIFT,
            config.window_log2, 1 << (config.offset_bits - 1), config.offset_tracking, out,
        )  # fmt: skip
        return out

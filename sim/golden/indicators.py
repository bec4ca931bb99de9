"""Indicators: golden twin of :mod:`blondel.hdl.outputs.indicators`."""

from __future__ import annotations

import numpy as np
from numba import njit

from blondel.hdl.config import MeterConfig
from blondel.sim.golden.block import Block

__all__ = ["Indicators"]

#: Bits of the status: the voltage is out of the line's range; a channel is, or was, over range.
VOLTAGE, OVERRANGE = 1, 2


@njit(cache=True)
def _watch(samples, window, late, clip, shift, low, high, current_high, sums, status, out):
    for n in range(samples.shape[0]):
        for element in range(status.shape[0]):
            if not late[n]:
                voltage = samples[n, 2 * element] >> shift
                current = samples[n, 2 * element + 1] >> shift
                sums[element, 0] += voltage * voltage
                sums[element, 1] += current * current
            if clip[n, 2 * element] or clip[n, 2 * element + 1]:
                status[element] |= OVERRANGE
            if window[n]:
                if sums[element, 0] < low or sums[element, 0] > high:
                    status[element] |= VOLTAGE
                else:
                    status[element] &= ~VOLTAGE
                if sums[element, 1] > current_high:
                    status[element] |= OVERRANGE
                sums[element, 0] = 0
                sums[element, 1] = 0
            out[n, element] = status[element]


class Indicators(Block):
    """Watch each element's rms voltage and current, window by window.

    Parameters
    ----------
    config : MeterConfig
        The same that makes the hardware.
    """

    def __init__(self, config: MeterConfig):
        self._config = config
        self.reset()

    def reset(self) -> None:
        """Return to the state at power-up."""
        self._sums = np.zeros((self._config.elements, 2), dtype=np.int64)
        self._status = np.zeros(self._config.elements, dtype=np.int64)

    def next(self, samples: np.ndarray, window: np.ndarray, late: np.ndarray, clip: np.ndarray) -> np.ndarray:
        """Watch valid frames.

        Parameters
        ----------
        samples : ndarray of int64, (frames, channels)
            Calibrated samples, LSB of the converter × 2**-fraction_bits.
        window : ndarray of bool, (frames,)
            True on the last frame of each window.
        late : ndarray of bool, (frames,)
            True on the frames whose squares do not count; a window's last one is such a frame.
        clip : ndarray of bool, (frames, channels)
            True where a channel is at an end of its range, or saturated on the way.

        Returns
        -------
        ndarray of uint8, (frames, elements)
            After each frame, bit 0: the voltage of the last whole window was out of the line's range; bit 1:
            overrange, sticky.
        """
        config = self._config
        out = np.empty((len(samples), config.elements), dtype=np.uint8)
        _watch(
            samples, window, late, clip, config.indicator_shift, config.voltage_low, config.voltage_high,
            config.current_high, self._sums, self._status, out,
        )  # fmt: skip
        return out

"""Gain calibration: golden twin of :mod:`blondel.hdl.metrology.gain`."""

from __future__ import annotations

import numpy as np
from numba import njit

from blondel.hdl.config import GAIN_FRACTION_BITS, MeterConfig
from blondel.sim.golden.block import Block
from blondel.sim.golden.fixed import saturate, shift_right_trunc

__all__ = ["Gain"]


@njit(cache=True)
def _calibrate(samples, clip, gain, remainder, path_bits, shift, out, clip_out):
    carried = (1 << shift) - 1
    for n in range(samples.shape[0]):
        for channel in range(samples.shape[1]):
            sample = samples[n, channel]
            total = (sample << shift) + remainder[channel] + sample * gain[channel]
            remainder[channel] = total & carried
            total = shift_right_trunc(total, shift)
            result = saturate(total, path_bits)
            out[n, channel] = result
            clip_out[n, channel] = clip[n, channel] | (result != total)


class Gain(Block):
    """Multiply each channel by its gain, 0.75 to 1.25.

    Parameters
    ----------
    config : MeterConfig
        The same that makes the hardware.

    Attributes
    ----------
    gain : ndarray of int64, (channels,)
        Gains less one, × 2**24, signed(23).
    """

    def __init__(self, config: MeterConfig):
        self._config = config
        self.reset()

    def reset(self) -> None:
        """Return to the state at power-up."""
        config = self._config
        self.gain = np.array([config.gain_word(c) for c in range(config.channels)], dtype=np.int64)
        self._remainder = np.zeros(config.channels, dtype=np.int64)

    def next(self, samples: np.ndarray, clip: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Calibrate the channels of valid frames.

        Parameters
        ----------
        samples : ndarray of int64, (frames, channels)
            LSB of the converter × 2**-fraction_bits.
        clip : ndarray of bool, (frames, channels)
            True where a sample is at an end of its range.

        Returns
        -------
        out : ndarray of int64, (frames, channels)
            In the same unit.
        clip : ndarray of bool, (frames, channels)
            ``clip``, and True where ``out`` is saturated.
        """
        out = np.empty(samples.shape, dtype=np.int64)
        clip_out = np.empty(samples.shape, dtype=bool)
        path_bits = self._config.path_bits
        _calibrate(samples, clip, self.gain, self._remainder, path_bits, GAIN_FRACTION_BITS, out, clip_out)
        return out, clip_out

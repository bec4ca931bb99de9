"""Phase compensation: golden twin of :mod:`blondel.hdl.metrology.phase`."""

from __future__ import annotations

import numpy as np
from numba import njit

from blondel.hdl.config import PHASE_FRACTION_BITS, MeterConfig
from blondel.sim.golden.block import Block
from blondel.sim.golden.fixed import saturate, shift_right_trunc

__all__ = ["Phase"]


@njit(cache=True)
def _delay(
    samples, clip, coefficient, whole, previous, remainder, line, place, fraction_bits, path_bits, shift, out, clip_out
):
    mask = line.shape[1] - 1
    carried = (1 << shift) - 1
    for n in range(samples.shape[0]):
        for channel in range(samples.shape[1]):
            line[channel, place] = samples[n, channel]
            delayed = (place - whole[channel]) & mask
            now = line[channel, delayed] << fraction_bits
            before = line[channel, (delayed - 1) & mask] << fraction_bits
            total = (before << shift) + remainder[channel]
            total += (now - previous[channel]) * coefficient[channel]
            remainder[channel] = total & carried
            total = shift_right_trunc(total, shift)
            result = saturate(total, path_bits)
            out[n, channel] = result
            clip_out[n, channel] = clip[n, channel] | (result != total)
            previous[channel] = result
        place = (place + 1) & mask
    return place


class Phase(Block):
    """Delay each channel by whole samples, then by 0.5 to 1.5 samples in a first-order all-pass.

    Parameters
    ----------
    config : MeterConfig
        The same that makes the hardware.

    Attributes
    ----------
    coefficient : ndarray of int64, (channels,)
        Coefficients of the all-pass, × 2**18, signed(18).
    whole : ndarray of int64, (channels,)
        Whole samples of delay, 0 to 2**delay_line_log2 - 2.
    """

    def __init__(self, config: MeterConfig):
        self._config = config
        self.reset()

    def reset(self) -> None:
        """Return to the state at power-up."""
        config = self._config
        words = np.array([config.phase_word(c) for c in range(config.channels)], dtype=np.int64)
        self.whole, self.coefficient = words.T.copy()
        self._previous = np.zeros(config.channels, dtype=np.int64)
        self._remainder = np.zeros(config.channels, dtype=np.int64)
        self._line = np.zeros((config.channels, 1 << config.delay_line_log2), dtype=np.int64)
        self._place = 0

    def next(self, samples: np.ndarray, clip: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Delay the channels of valid frames.

        Parameters
        ----------
        samples : ndarray of int64, (frames, channels)
            Samples less their offset, LSB of the converter.
        clip : ndarray of bool, (frames, channels)
            True where a sample is at an end of its range.

        Returns
        -------
        out : ndarray of int64, (frames, channels)
            LSB of the converter × 2**-fraction_bits.
        clip : ndarray of bool, (frames, channels)
            ``clip``, and True where ``out`` is saturated.
        """
        config = self._config
        out = np.empty(samples.shape, dtype=np.int64)
        clip_out = np.empty(samples.shape, dtype=bool)
        self._place = _delay(
            samples, clip, self.coefficient, self.whole, self._previous, self._remainder, self._line, self._place,
            config.fraction_bits, config.path_bits, PHASE_FRACTION_BITS, out, clip_out,
        )  # fmt: skip
        return out, clip_out

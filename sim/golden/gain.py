"""Gain calibration: golden twin of :mod:`blondel.hdl.metrology.gain`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from blondel.hdl.config import GAIN_FRACTION_BITS, MeterConfig
from blondel.sim.golden.block import Block
from blondel.sim.golden.fixed import all_fit, fits, saturate, shift_right_trunc

__all__ = ["FRAMES_MOST", "Gain", "GainState", "calibrate"]


#: Frames that can be calibrated at a time: sums of so many products of signed(27) and 1.25 × 2**24 fit in int64.
FRAMES_MOST = 4096


class GainState(NamedTuple):
    """What the gain stage knows of its channels, and the words of its configuration.

    Parameters
    ----------
    gain, remainder : ndarray of int64, (channels,)
        Gains less one, × 2**shift; what was cut off from the last results.
    path_bits, shift : int
        Width of a result; fraction bits of a gain.
    """

    gain: np.ndarray
    remainder: np.ndarray
    path_bits: int
    shift: int


@njit(cache=True)
def calibrate(samples, channel, state, sums, clip):
    """Multiply one channel's samples by its gain, in place.

    What is cut off from a result is carried to the next one. So a result is the step that the exact sum of
    all products makes in its whole part: first the sums, then, without waiting for each other, the steps.

    Parameters
    ----------
    samples : ndarray of int32, (frames,)
        At most :data:`FRAMES_MOST` frames, so that ``sums`` do not overflow.
    channel : int
        Which it is.
    state : GainState
        Moves on.
    sums : ndarray of int64, (frames + 1,)
        To work with.
    clip : ndarray of bool, (frames,)
        Is set where a result is saturated.
    """
    factor = (1 << state.shift) + state.gain[channel]
    total = state.remainder[channel]
    sums[0] = total
    for n in range(len(samples)):
        total += samples[n] * factor
        sums[n + 1] = total
    state.remainder[channel] = total & ((1 << state.shift) - 1)
    for n in range(len(samples)):
        samples[n] = shift_right_trunc(sums[n + 1], state.shift) - shift_right_trunc(sums[n], state.shift)
    if not all_fit(samples, state.path_bits):
        for n in range(len(samples)):
            clip[n] |= not fits(samples[n], state.path_bits)
            samples[n] = saturate(samples[n], state.path_bits)


class Gain(Block):
    """Multiply each channel by its gain, 0.75 to 1.25.

    Parameters
    ----------
    config : MeterConfig
        The same that makes the hardware.

    Attributes
    ----------
    state : GainState
        What the compiled functions of this block work on.
    """

    def __init__(self, config: MeterConfig):
        self._config = config
        self.reset()

    def reset(self) -> None:
        """Return to the state at power-up."""
        config = self._config
        self.state = GainState(
            gain=np.array([config.gain_word(c) for c in range(config.channels)], dtype=np.int64),
            remainder=np.zeros(config.channels, dtype=np.int64),
            path_bits=config.path_bits,
            shift=GAIN_FRACTION_BITS,
        )

    @property
    def gain(self) -> np.ndarray:
        """Gains less one, × 2**24, signed(23); int64, (channels,)."""
        return self.state.gain

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
        rows, clip = np.array(samples.T, dtype=np.int32, order="C"), np.array(clip.T, order="C")
        sums = np.empty(FRAMES_MOST + 1, dtype=np.int64)
        for start in range(0, len(samples), FRAMES_MOST):
            part = slice(start, start + FRAMES_MOST)
            for channel in range(self._config.channels):
                calibrate(rows[channel, part], channel, self.state, sums, clip[channel, part])
        return rows.T.astype(np.int64), clip.T

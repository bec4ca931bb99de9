"""Indicators: golden twin of :mod:`blondel.hdl.outputs.indicators`."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
from numba import njit

from blondel.hdl.config import MeterConfig
from blondel.sim.golden.block import Block

__all__ = ["OVERRANGE", "VOLTAGE", "IndicatorState", "Indicators", "watch_clip", "watch_squares", "watch_window"]

#: Bits of the status: the voltage is out of the line's range; a channel is, or was, over range.
VOLTAGE, OVERRANGE = 1, 2


class IndicatorState(NamedTuple):
    """What the indicators know of their elements, and the words of their configuration.

    Parameters
    ----------
    sums : ndarray of int64, (elements, 2)
        Sums of the window's squares, of voltage and of current.
    status : ndarray of int64, (elements,)
        :data:`VOLTAGE` and :data:`OVERRANGE`.
    shift, low, high, current_high : int
        The configuration's.
    """

    sums: np.ndarray
    status: np.ndarray
    shift: int
    low: int
    high: int
    current_high: int


@njit(cache=True)
def watch_squares(samples, element, channel, state):
    """Add the squares of a voltage's (``channel`` 0) or a current's (1) calibrated samples."""
    total = np.int64(0)
    for n in range(len(samples)):
        sample = np.int64(samples[n]) >> state.shift
        total += sample * sample
    state.sums[element, channel] += total


@njit(cache=True)
def watch_clip(clip_v, clip_i, element, state):
    """Return the first frame that takes the element over range; none: how many there are."""
    frames = len(clip_v)
    clipped = False
    for n in range(frames):
        clipped |= clip_v[n] | clip_i[n]
    if clipped and not state.status[element] & OVERRANGE:
        state.status[element] |= OVERRANGE
        for n in range(frames):
            if clip_v[n] or clip_i[n]:
                return n
    return frames


@njit(cache=True)
def watch_window(element, state):
    """Judge the element's sums at a window's end."""
    if state.low <= state.sums[element, 0] <= state.high:
        state.status[element] &= ~VOLTAGE
    else:
        state.status[element] |= VOLTAGE
    if state.sums[element, 1] > state.current_high:
        state.status[element] |= OVERRANGE
    state.sums[element, 0] = state.sums[element, 1] = 0


class Indicators(Block):
    """Watch each element's rms voltage and current, window by window.

    Parameters
    ----------
    config : MeterConfig
        The same that makes the hardware.

    Attributes
    ----------
    state : IndicatorState
        What the compiled functions of this block work on.
    """

    def __init__(self, config: MeterConfig):
        self._config = config
        self.reset()

    def reset(self) -> None:
        """Return to the state at power-up."""
        config = self._config
        self.state = IndicatorState(
            sums=np.zeros((config.elements, 2), dtype=np.int64),
            status=np.zeros(config.elements, dtype=np.int64),
            shift=config.indicator_shift,
            low=config.voltage_low,
            high=config.voltage_high,
            current_high=config.current_high,
        )

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
        rows, clip = np.array(samples.T, dtype=np.int32, order="C"), np.array(clip.T, order="C")
        out = np.empty((len(samples), self._config.elements), dtype=np.uint8)
        changes = np.flatnonzero(window[:-1] | (late[1:] != late[:-1])) + 1
        for start, stop in itertools.pairwise([0, *changes, len(samples)]):
            for element in range(self._config.elements):
                status = self.state.status[element]
                v, i = 2 * element, 2 * element + 1
                over = start + watch_clip(clip[v, start:stop], clip[i, start:stop], element, self.state)
                if not late[start:stop].any():
                    watch_squares(rows[v, start:stop], element, 0, self.state)
                    watch_squares(rows[i, start:stop], element, 1, self.state)
                out[start:over, element], out[over:stop, element] = status, self.state.status[element]
                if window[start:stop].any():
                    watch_window(element, self.state)
                    out[stop - 1, element] = self.state.status[element]
        return out

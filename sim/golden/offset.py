"""Offset removal: golden twin of :mod:`blondel.hdl.metrology.offset`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from blondel.hdl.config import ACQUIRED_WINDOWS, TRACKING_SHIFT, MeterConfig
from blondel.hdl.metrology.offset import OLDEST
from blondel.sim.golden.block import Block
from blondel.sim.golden.fixed import shift_right_half_even

__all__ = ["Offset", "OffsetState", "remove_offset", "track"]


class OffsetState(NamedTuple):
    """What the offset stage knows of its channels, and the words of its configuration.

    Parameters
    ----------
    correction, total : ndarray of int64, (channels,)
        Minus the offset estimates, LSB × 2**-window_log2; sums of the window's samples less their offset.
    age : ndarray of int64, (1,)
        Windows that have been tracked, up to ``oldest``.
    window_log2, limit, acquired, oldest, slowest : int
        Fraction bits and limit of a correction; the windows taken whole; the age from which on the steps are
        the slowest; how many of these are one whole step.
    tracking : bool
        Whether the corrections move.
    """

    correction: np.ndarray
    total: np.ndarray
    age: np.ndarray
    window_log2: int
    limit: int
    acquired: int
    oldest: int
    slowest: int
    tracking: bool


@njit(cache=True)
def remove_offset(samples, channel, state):
    """Remove the offset from one channel's samples, in place, up to a window's end at most."""
    correction = shift_right_half_even(state.correction[channel], state.window_log2)
    total = np.int64(0)
    for n in range(len(samples)):
        result = samples[n] + correction
        samples[n] = result
        total += result
    state.total[channel] += total


@njit(cache=True)
def track(state):
    """Move the corrections at a window's end."""
    steps = state.slowest >> max(state.age[0] - (state.acquired - 1), 0)
    for channel in range(len(state.correction)):
        if state.tracking:
            for _ in range(steps):
                moved = state.correction[channel] + ~(state.total[channel] // state.slowest)
                if -state.limit <= moved < state.limit:
                    state.correction[channel] = moved
        state.total[channel] = 0
    state.age[0] = min(state.age[0] + 1, state.oldest)


class Offset(Block):
    """Add each channel's correction, minus its offset, and track it from window to window.

    Parameters
    ----------
    config : MeterConfig
        The same that makes the hardware.

    Attributes
    ----------
    state : OffsetState
        What the compiled functions of this block work on.
    """

    def __init__(self, config: MeterConfig):
        self._config = config
        self.reset()

    def reset(self) -> None:
        """Return to the state at power-up."""
        config = self._config
        self.state = OffsetState(
            correction=np.array([config.offset_word(c) for c in range(config.channels)], dtype=np.int64),
            total=np.zeros(config.channels, dtype=np.int64),
            age=np.array([OLDEST if config.offset_calibrated else 0], dtype=np.int64),
            window_log2=config.window_log2,
            limit=1 << (config.offset_bits - 1),
            acquired=ACQUIRED_WINDOWS,
            oldest=OLDEST,
            slowest=1 << TRACKING_SHIFT,
            tracking=config.offset_tracking,
        )

    @property
    def correction(self) -> np.ndarray:
        """Minus the offset estimates, LSB × 2**-window_log2; int64, (channels,)."""
        return self.state.correction

    def preset(self, correction: np.ndarray) -> None:
        """Set the offsets as calibrated; the tracking takes its slowest steps from here on."""
        self.state.correction[:] = correction
        self.state.total[:] = 0
        self.state.age[0] = OLDEST

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
        rows = np.array(samples.T, dtype=np.int32, order="C")
        start = 0
        for stop in [*(np.flatnonzero(window) + 1), len(samples)]:
            for channel, row in enumerate(rows):
                remove_offset(row[start:stop], channel, self.state)
            if stop > start and window[stop - 1]:
                track(self.state)
            start = stop
        return rows.T.astype(np.int64)

"""Frame input: golden twin of :mod:`blondel.hdl.frontend.frame`."""

from __future__ import annotations

import numpy as np
from numba import njit

from blondel.hdl.config import MeterConfig
from blondel.hdl.frontend.frame import COUNTER_BITS
from blondel.sim.golden.block import Block

__all__ = ["Frame"]


@njit(cache=True)
def _pass_valid(frames, ok, window_place, window_frames, sample_bits, samples, index, window, clip):
    most = (1 << (sample_bits - 1)) - 1
    least = -(1 << (sample_bits - 1))
    m = 0
    for n in range(frames.shape[0]):
        if ok[n]:
            for channel in range(frames.shape[1]):
                sample = np.int64(frames[n, channel])
                samples[m, channel] = sample
                clip[m, channel] = (sample == most) | (sample == least)
            index[m] = n
            window_place = (window_place + 1) & (window_frames - 1)
            window[m] = window_place == 0
            m += 1
    return window_place


class Frame(Block):
    """Let valid frames pass, and count those that are lost.

    Parameters
    ----------
    config : MeterConfig
        The same that makes the hardware.

    Attributes
    ----------
    frames, lost : int
        Valid and invalid frames, modulo 2**48.
    """

    def __init__(self, config: MeterConfig):
        self._config = config
        self.reset()

    def reset(self) -> None:
        """Return to the state at power-up."""
        self.frames = 0
        self.lost = 0
        self._window_place = 0

    def preset(self, frames: int, lost: int) -> None:
        """Set the counters; no window moves."""
        self.frames, self.lost = frames, lost

    def next(self, frames: np.ndarray, ok: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Take frames, valid or not.

        Parameters
        ----------
        frames : ndarray of integers, (frames, channels)
            LSB of the converter.
        ok : ndarray of bool, (frames,)
            False where a frame is invalid.

        Returns
        -------
        samples : ndarray of int64, (valid frames, channels)
            The valid frames, LSB of the converter.
        index : ndarray of int64, (valid frames,)
            Where in this call each of them came.
        window : ndarray of bool, (valid frames,)
            True on the last frame of each window.
        clip : ndarray of bool, (valid frames, channels)
            True on the most positive and the most negative sample.
        """
        config = self._config
        valid = int(np.count_nonzero(ok))
        samples = np.empty((valid, frames.shape[1]), dtype=np.int64)
        index = np.empty(valid, dtype=np.int64)
        window = np.empty(valid, dtype=bool)
        clip = np.empty((valid, frames.shape[1]), dtype=bool)
        self._window_place = _pass_valid(
            frames, ok, self._window_place, config.window_frames, config.sample_bits, samples, index, window, clip
        )
        self.frames = (self.frames + valid) % (1 << COUNTER_BITS)
        self.lost = (self.lost + len(frames) - valid) % (1 << COUNTER_BITS)
        return samples, index, window, clip

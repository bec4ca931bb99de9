"""Frame input: golden twin of :mod:`blondel.hdl.frontend.frame`."""

from __future__ import annotations

import numpy as np
from numba import njit

from blondel.hdl.config import MeterConfig
from blondel.hdl.frontend.frame import COUNTER_BITS
from blondel.sim.golden.block import Block

__all__ = ["Frame"]


@njit(cache=True)
def _pass_valid(
    frames, ok, place, voltage, window_frames, window_frames_most, sample_bits, samples, index, window, late, clip
):  # fmt: skip
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
            crosses = voltage < 0 and samples[m, 0] >= 0
            voltage = samples[m, 0]
            late[m] = place >= window_frames
            window[m] = (late[m] and crosses) or place == window_frames_most
            place = 0 if window[m] else place + 1
            m += 1
    return place, voltage


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
        # Valid frames since the last window's end, and the last one's first voltage.
        self._place, self._voltage = 0, 0

    def preset(self, frames: int, lost: int) -> None:
        """Set the counters; no window moves."""
        self.frames, self.lost = frames, lost

    def next(
        self, frames: np.ndarray, ok: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
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
        late : ndarray of bool, (valid frames,)
            True after the first 2**window_log2 frames of each window.
        clip : ndarray of bool, (valid frames, channels)
            True on the most positive and the most negative sample.
        """
        config = self._config
        valid = int(np.count_nonzero(ok))
        samples = np.empty((valid, frames.shape[1]), dtype=np.int64)
        index = np.empty(valid, dtype=np.int64)
        window, late = np.empty(valid, dtype=bool), np.empty(valid, dtype=bool)
        clip = np.empty((valid, frames.shape[1]), dtype=bool)
        self._place, self._voltage = _pass_valid(
            frames, ok, self._place, self._voltage, config.window_frames, config.window_frames_most,
            config.sample_bits, samples, index, window, late, clip,
        )  # fmt: skip
        self.frames = (self.frames + valid) % (1 << COUNTER_BITS)
        self.lost = (self.lost + len(frames) - valid) % (1 << COUNTER_BITS)
        return samples, index, window, late, clip

"""Frame input: golden twin of :mod:`blondel.hdl.frontend.frame`."""

from __future__ import annotations

import numpy as np
from numba import njit

from blondel.hdl.config import MeterConfig
from blondel.hdl.frontend.frame import COUNTER_BITS
from blondel.sim.golden.block import Block

__all__ = ["Frame"]


@njit(cache=True)
def next_run(voltages, start, place, before, window_frames, window_frames_most):
    """Find frames that are all early or all late in their window, of which only the last may end it.

    Parameters
    ----------
    voltages : ndarray of integers, (valid frames,)
        The first voltage.
    start : int
        The first frame to look at.
    place, before : int
        Valid frames since the last window's end, and the last one's voltage.
    window_frames, window_frames_most : int
        The configuration's.

    Returns
    -------
    stop : int
        The frame after the last one.
    late, ends : bool
        Whether they come after the window's first ``window_frames``, and whether the last one ends it.
    place, before : int
        The same after the last one.
    """
    if place < window_frames:
        stop = min(start + window_frames - place, len(voltages))
        return stop, False, False, place + stop - start, np.int64(voltages[stop - 1])
    for n in range(start, len(voltages)):
        voltage = np.int64(voltages[n])
        if (before < 0 and voltage >= 0) or place == window_frames_most:
            return n + 1, True, True, 0, voltage
        before = voltage
        place += 1
    return len(voltages), True, False, place, before


@njit(cache=True)
def take_channel(samples, sample_bits, out, clip):
    """Copy one channel's samples; ``clip`` becomes true where one is at an end of its range."""
    most = (1 << (sample_bits - 1)) - 1
    for n in range(len(samples)):
        out[n] = samples[n]
    for n in range(len(samples)):
        clip[n] = (out[n] == most) | (out[n] == ~most)


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
        self.place, self.voltage = 0, 0

    def save(self) -> dict[str, np.ndarray]:
        """See :meth:`blondel.sim.golden.block.Block.save`."""
        return {"words": np.array([self.frames, self.lost, self.place, self.voltage], dtype=np.int64)}

    def restore(self, saved: dict[str, np.ndarray]) -> None:
        """See :meth:`blondel.sim.golden.block.Block.restore`."""
        self.frames, self.lost, self.place, self.voltage = saved["words"].tolist()

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
        index = np.flatnonzero(ok)
        valid = len(index)
        chosen = frames[index].astype(np.int32)
        samples = np.empty((config.channels, valid), dtype=np.int32)
        clip = np.empty((config.channels, valid), dtype=bool)
        for channel in range(config.channels):
            take_channel(chosen[:, channel], config.sample_bits, samples[channel], clip[channel])
        window, late = np.zeros(valid, dtype=bool), np.empty(valid, dtype=bool)
        start = 0
        while start < valid:
            stop, is_late, ends, self.place, self.voltage = next_run(
                samples[0], start, self.place, self.voltage, config.window_frames, config.window_frames_most
            )
            late[start:stop], window[stop - 1] = is_late, ends
            start = stop
        self.count(valid, len(frames) - valid)
        return samples.T.astype(np.int64), index, window, late, clip.T

    def count(self, valid: int, lost: int) -> None:
        """Count frames."""
        self.frames = (self.frames + valid) % (1 << COUNTER_BITS)
        self.lost = (self.lost + lost) % (1 << COUNTER_BITS)

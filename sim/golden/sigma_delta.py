"""Sigma-delta decimation: golden twin of :mod:`blondel.hdl.frontend.sigma_delta`.

It computes the plain filter: three integrators at the modulator's rate, three combs at the frames'. That the
hardware gets there in two stages, and one channel after the other, is not to be seen in its results.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from blondel.hdl.frontend.sigma_delta import Sinc3
from blondel.sim.golden.block import Block
from blondel.sim.golden.fixed import shift_right_trunc, wrap

__all__ = ["SigmaDelta"]

# Places of the counters that go on from call to call.
_PLACE, _BLOCK, _WINDOW, _HELD, _BLANK = range(5)


@njit(cache=True)
def _decimate(
    bits, integrators, combs, runs, counters, frame, first, second, dead_blocks, judge_blocks, dead_run, settle,
    width, offset, shift, clip, sample_bits, out, out_ok,
):  # fmt: skip
    channels = bits.shape[1]
    frames = 0
    for n in range(bits.shape[0]):
        for channel in range(channels):
            bit = np.int64(bits[n, channel])
            integrators[channel, 2] = wrap(integrators[channel, 2] + integrators[channel, 1], width)
            integrators[channel, 1] = wrap(integrators[channel, 1] + integrators[channel, 0], width)
            integrators[channel, 0] = wrap(integrators[channel, 0] + bit, width)
            # Equal bits in a row, up to the bit that the third integrator has seen last.
            runs[channel, 0] = runs[channel, 0] + 1 if runs[channel, 3] == runs[channel, 2] else 1
            runs[channel, 3] = runs[channel, 2]
            runs[channel, 2] = runs[channel, 1]
            runs[channel, 1] = bit
        counters[_PLACE] += 1
        if counters[_PLACE] < first:
            continue
        counters[_PLACE] = 0
        block = counters[_BLOCK]
        if block == second - 1:
            for channel in range(channels):
                value = integrators[channel, 2]
                for order in range(3):
                    previous = combs[channel, order]
                    combs[channel, order] = value
                    value = wrap(value - previous, width)
                code = shift_right_trunc(wrap(value + offset, width), shift)
                if code >> (sample_bits - 6) >= clip:
                    code = (1 << (sample_bits - 1)) - 1
                elif code >> (sample_bits - 6) < -clip:
                    code = -(1 << (sample_bits - 1))
                frame[channel] = code
            counters[_HELD] = 1
        dead = False
        if dead_blocks > 0:
            counters[_WINDOW] += 1
            if counters[_WINDOW] == dead_blocks:
                counters[_WINDOW] = 0
                for channel in range(channels):
                    dead |= runs[channel, 0] >= dead_run
        if counters[_HELD] == 1 and block == (judge_blocks - 1 if judge_blocks > 0 else second - 1):
            out[frames] = frame
            out_ok[frames] = counters[_BLANK] == 0 and not dead
            counters[_BLANK] = max(counters[_BLANK] - 1, 0)
            frames += 1
        if dead:
            counters[_BLANK] = settle
        counters[_BLOCK] = 0 if block == second - 1 else block + 1
    return frames


class SigmaDelta(Block):
    """Decimate the bit streams of a modulator for each channel.

    Parameters
    ----------
    filter_ : Sinc3
        The same that makes the hardware.
    """

    def __init__(self, filter_: Sinc3):
        self._filter = filter_
        self.reset()

    def reset(self) -> None:
        """Return to the state at power-up."""
        channels = self._filter.config.channels
        self._integrators = np.zeros((channels, 3), dtype=np.int64)
        self._combs = np.zeros((channels, 3), dtype=np.int64)
        # Run of equal bits; last bit, the one before, and the one before that: before the first, zeros.
        self._runs = np.zeros((channels, 4), dtype=np.int64)
        self._runs[:, 0] = 1 << 40
        self._counters = np.zeros(5, dtype=np.int64)
        self._counters[_BLANK] = self._filter.settle_frames
        self._frame = np.zeros(channels, dtype=np.int64)

    def next(self, bits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Decimate bits.

        Parameters
        ----------
        bits : ndarray of integers 0 and 1, (modulator clocks, channels)
            The streams, from the first bit that the hardware takes on.

        Returns
        -------
        samples : ndarray of int64, (frames, channels)
            LSB of the converter, of the frames that are sent while these bits come.
        ok : ndarray of bool, (frames,)
            Whether a frame may be metered.
        """
        sinc3, config = self._filter, self._filter.config
        most = len(bits) // sinc3.decimation + 2
        samples = np.empty((most, config.channels), dtype=np.int64)
        ok = np.empty(most, dtype=np.bool_)
        frames = _decimate(
            bits, self._integrators, self._combs, self._runs, self._counters, self._frame, sinc3.first, sinc3.second,
            sinc3.dead_blocks, sinc3.judge_blocks, (sinc3.dead_blocks + 2) * sinc3.first - 2, sinc3.settle_frames,
            sinc3.filter_bits, sinc3.offset, sinc3.shift, sinc3.clip_level, config.sample_bits, samples, ok,
        )  # fmt: skip
        return samples[:frames], ok[:frames]

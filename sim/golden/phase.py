"""Phase compensation: golden twin of :mod:`blondel.hdl.metrology.phase`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numba.extending import register_jitable

from blondel.hdl.config import PHASE_FRACTION_BITS, MeterConfig
from blondel.sim.golden.block import Block
from blondel.sim.golden.fixed import all_fit, fits, saturate, shift_right_trunc

__all__ = ["Phase", "PhaseState", "delay"]


class PhaseState(NamedTuple):
    """What the phase stage knows of its channels, and the words of its configuration.

    Parameters
    ----------
    coefficient, whole : ndarray of int64, (channels,)
        Coefficients of the all-pass, × 2**shift; whole samples of delay.
    total : ndarray of int64, (channels,)
        Last results × 2**shift, plus what was cut off from them.
    history : ndarray of int32, (channels, 2**delay_line_log2)
        Last samples, the latest at the end.
    fraction_bits, path_bits, shift : int
        Fraction bits and width of a result; fraction bits of a coefficient.
    """

    coefficient: np.ndarray
    whole: np.ndarray
    total: np.ndarray
    history: np.ndarray
    fraction_bits: int
    path_bits: int
    shift: int


@register_jitable
def _next(total, entering, factor, shift):
    """Return a channel's next total.

    The result is ``before + coefficient * (now - result)``. Of that ``entering`` has what comes from the samples, and
    ``factor``, one plus the coefficient, what comes from the last result, which ``total`` still holds and has to lose.
    So a result waits for the one before only for a shift, a product and a subtraction.
    """
    return total - shift_right_trunc(total, shift) * factor + entering


@njit(cache=True)
def _enter(line, channel, state, entering):
    """Put a channel's last samples before the new ones; find what of its results comes from samples."""
    frames, history = len(entering), state.history.shape[1]
    for n in range(history):
        line[n] = state.history[channel, n]
    now, before = line[history - state.whole[channel] :], line[history - state.whole[channel] - 1 :]
    # A product of two 32-bit words is what processors make several of at a time.
    coefficient, shift = np.int32(state.coefficient[channel] << state.fraction_bits), state.fraction_bits + state.shift
    for n in range(frames):
        entering[n] = np.int64(now[n]) * np.int64(coefficient) + (np.int64(before[n]) << shift)
    for n in range(history):
        state.history[channel, n] = line[frames + n]


@njit(cache=True)
def _saturating(total, entering, factor, state, out, clip):
    """Delay one channel, some of whose results may have to be saturated; return its last total."""
    for n in range(len(out)):
        total = _next(total, entering[n], factor, state.shift)
        result = shift_right_trunc(total, state.shift)
        if not fits(result, state.path_bits):
            nearest = saturate(result, state.path_bits)
            total += (nearest - result) << state.shift
            clip[n] = True
        out[n] = shift_right_trunc(total, state.shift)
    return total


@njit(cache=True)
def delay(lines, first, last, frames, state, entering, out, clip):
    """Delay the voltages and the currents of two elements, or of one.

    Four channels at a time: each has to wait for its own last result, and meanwhile the processor works on the others.
    A single element goes twice, in the time in which it would have waited.

    Parameters
    ----------
    lines : ndarray of int32, (4, history + frames, or longer)
        For each channel ``history`` places that are filled in here, then the samples less their offset.
    first, last : int
        The elements: the same, or one after the other.
    frames : int
        How many.
    state : PhaseState
        Moves on.
    entering : ndarray of int64, (4, frames, or longer)
        To work with.
    out : ndarray of int32, (4, frames, or longer)
        Results.
    clip : ndarray of bool, (4, frames, or longer)
        Are set where a result is saturated.
    """
    start, rows, shift = 2 * first, 2 * (last - first + 1), state.shift
    for row in range(rows):
        _enter(lines[row], start + row, state, entering[row, :frames])
    v, i = rows - 2, rows - 1
    entering_0, entering_1, entering_2, entering_3 = entering[0], entering[1], entering[v], entering[i]
    out_0, out_1, out_2, out_3 = out[0], out[1], out[v], out[i]
    whole, coefficient, total = 1 << shift, state.coefficient[start:], state.total[start:]
    factor_0, factor_1 = whole + coefficient[0], whole + coefficient[1]
    factor_2, factor_3 = whole + coefficient[v], whole + coefficient[i]
    total_0, total_1, total_2, total_3 = total[0], total[1], total[v], total[i]
    for n in range(frames):
        total_0 = _next(total_0, entering_0[n], factor_0, shift)
        total_1 = _next(total_1, entering_1[n], factor_1, shift)
        total_2 = _next(total_2, entering_2[n], factor_2, shift)
        total_3 = _next(total_3, entering_3[n], factor_3, shift)
        out_0[n], out_1[n] = shift_right_trunc(total_0, shift), shift_right_trunc(total_1, shift)
        out_2[n], out_3[n] = shift_right_trunc(total_2, shift), shift_right_trunc(total_3, shift)
    ends = (total_0, total_1, total_2, total_3)
    for row in range(rows):
        if all_fit(out[row, :frames], state.path_bits):
            total[row] = ends[row]
        else:
            # Seldom. After the first result that is saturated the others are others; they stayed below 2**29, as the
            # coefficient is one half at most, so that none of them is taken for one that fits.
            total[row] = _saturating(
                total[row], entering[row], whole + coefficient[row], state, out[row, :frames], clip[row, :frames]
            )


class Phase(Block):
    """Delay each channel by whole samples, then by 0.5 to 1.5 samples in a first-order all-pass.

    Parameters
    ----------
    config : MeterConfig
        The same that makes the hardware.

    Attributes
    ----------
    state : PhaseState
        What the compiled functions of this block work on.
    """

    def __init__(self, config: MeterConfig):
        self._config = config
        self.reset()

    def reset(self) -> None:
        """Return to the state at power-up."""
        config = self._config
        whole, coefficient = np.array([config.phase_word(c) for c in range(config.channels)], dtype=np.int64).T
        self.state = PhaseState(
            coefficient=coefficient.copy(),
            whole=whole.copy(),
            total=np.zeros(config.channels, dtype=np.int64),
            history=np.zeros((config.channels, 1 << config.delay_line_log2), dtype=np.int32),
            fraction_bits=config.fraction_bits,
            path_bits=config.path_bits,
            shift=PHASE_FRACTION_BITS,
        )

    @property
    def coefficient(self) -> np.ndarray:
        """Coefficients of the all-pass, × 2**18, signed(18); int64, (channels,)."""
        return self.state.coefficient

    @property
    def whole(self) -> np.ndarray:
        """Whole samples of delay, 0 to 2**delay_line_log2 - 2; int64, (channels,)."""
        return self.state.whole

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
        frames, history = len(samples), self.state.history.shape[1]
        rows, clips = samples.T.astype(np.int32), np.array(clip.T, order="C")
        out = np.empty((self._config.channels, frames), dtype=np.int32)
        lines, entering = np.empty((4, history + frames), np.int32), np.empty((4, frames), np.int64)
        for first in range(0, self._config.elements, 2):
            last = min(first + 1, self._config.elements - 1)
            own = slice(2 * first, 2 * last + 2)
            lines[: 2 * (last - first) + 2, history:] = rows[own]
            delay(lines, first, last, frames, self.state, entering, out[own], clips[own])
        return out.T.astype(np.int64), clips.T

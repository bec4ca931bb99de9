"""Phase compensation: golden twin of :mod:`blondel.hdl.metrology.phase`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numba.extending import register_jitable

from blondel.hdl.config import PHASE_FRACTION_BITS, MeterConfig
from blondel.sim.golden.block import Block
from blondel.sim.golden.fixed import fits, saturate, shift_right_trunc

__all__ = ["Phase", "PhaseState", "delay"]


class PhaseState(NamedTuple):
    """What the phase stage knows of its channels, and the words of its configuration.

    Parameters
    ----------
    coefficient, whole : ndarray of int64, (channels,)
        Coefficients of the all-pass, × 2**shift; whole samples of delay.
    previous, remainder : ndarray of int64, (channels,)
        Last results, and what was cut off from them.
    history : ndarray of int32, (channels, 2**delay_line_log2)
        Last samples, the latest at the end.
    fraction_bits, path_bits, shift : int
        Fraction bits and width of a result; fraction bits of a coefficient.
    """

    coefficient: np.ndarray
    whole: np.ndarray
    previous: np.ndarray
    remainder: np.ndarray
    history: np.ndarray
    fraction_bits: int
    path_bits: int
    shift: int


@register_jitable
def _all_pass(now, before, previous, remainder, coefficient, fraction_bits, path_bits, shift):
    """Return the result, the remainder to carry, and whether the result is saturated."""
    now, before = np.int64(now) << fraction_bits, np.int64(before) << fraction_bits
    total = (before << shift) + remainder + (now - previous) * coefficient
    remainder = total & ((1 << shift) - 1)
    result = shift_right_trunc(total, shift)
    saturated = not fits(result, path_bits)
    if saturated:
        result = saturate(result, path_bits)
    return result, remainder, saturated


@njit(cache=True)
def delay(line_v, line_i, element, state, out_v, out_i, clip_v, clip_i):
    """Delay the voltage and the current of an element.

    Both at a time: each has to wait for its own last result, and meanwhile the processor works on the other.

    Parameters
    ----------
    line_v, line_i : ndarray of int32, (history + frames, or longer)
        ``history`` places that are filled in here, then the samples less their offset.
    element : int
        Which it is.
    state : PhaseState
        Moves on.
    out_v, out_i : ndarray of int32, (frames,)
        Results.
    clip_v, clip_i : ndarray of bool, (frames,)
        Are set where a result is saturated.
    """
    v, i = 2 * element, 2 * element + 1
    frames, history = len(out_v), state.history.shape[1]
    for n in range(history):
        line_v[n], line_i[n] = state.history[v, n], state.history[i, n]
    now_v, before_v = line_v[history - state.whole[v] :], line_v[history - state.whole[v] - 1 :]
    now_i, before_i = line_i[history - state.whole[i] :], line_i[history - state.whole[i] - 1 :]
    result_v, remainder_v, coefficient_v = state.previous[v], state.remainder[v], state.coefficient[v]
    result_i, remainder_i, coefficient_i = state.previous[i], state.remainder[i], state.coefficient[i]
    words = state.fraction_bits, state.path_bits, state.shift
    for n in range(frames):
        result_v, remainder_v, saturated_v = _all_pass(
            now_v[n], before_v[n], result_v, remainder_v, coefficient_v, *words
        )
        result_i, remainder_i, saturated_i = _all_pass(
            now_i[n], before_i[n], result_i, remainder_i, coefficient_i, *words
        )
        out_v[n], out_i[n] = result_v, result_i
        if saturated_v:
            clip_v[n] = True
        if saturated_i:
            clip_i[n] = True
    state.previous[v], state.remainder[v] = result_v, remainder_v
    state.previous[i], state.remainder[i] = result_i, remainder_i
    for n in range(history):
        state.history[v, n], state.history[i, n] = line_v[frames + n], line_i[frames + n]


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
            previous=np.zeros(config.channels, dtype=np.int64),
            remainder=np.zeros(config.channels, dtype=np.int64),
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
        history = self.state.history
        lines = np.concatenate([history, samples.T.astype(np.int32)], axis=1)
        out = np.empty(samples.shape[::-1], dtype=np.int32)
        clip = np.array(clip.T, order="C")
        for element in range(self._config.elements):
            v, i = 2 * element, 2 * element + 1
            delay(lines[v], lines[i], element, self.state, out[v], out[i], clip[v], clip[i])
        return out.T.astype(np.int64), clip.T

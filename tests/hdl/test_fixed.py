"""Rounding and overflow: hardware against golden twin, exhaustively at small widths; both against fractions."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from amaranth.hdl import Module, Shape, Signal, signed
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from blondel.hdl.fixed import Overflow, Rounding, clog2, resize, shift_right, signed_width
from blondel.sim.golden import fixed as golden

SHIFTS = {Rounding.TRUNC: golden.shift_right_trunc, Rounding.HALF_EVEN: golden.shift_right_half_even}
RESIZES = {Overflow.WRAP: golden.wrap, Overflow.SATURATE: golden.saturate}
#: What the names mean.
ROUNDS = {Rounding.TRUNC: math.floor, Rounding.HALF_EVEN: round}


def every(width: int) -> range:
    """Return all values of ``signed(width)``."""
    return range(-(1 << (width - 1)), 1 << (width - 1))


def evaluate(width: int, expressions) -> dict:
    """Return, for every value of ``signed(width)``, what the hardware makes of it.

    ``expressions`` makes a dictionary of values from the input; the result has lists under the same keys.
    """
    m = Module()
    value = Signal(signed(width))
    outputs = {}
    for number, (key, expression) in enumerate(expressions(value).items()):
        outputs[key] = Signal(Shape.cast(expression.shape()), name=f"output_{number}")
        m.d.comb += outputs[key].eq(expression)
    results = {key: [] for key in outputs}

    async def bench(ctx):
        for each in every(width):
            ctx.set(value, each)
            for key, output in outputs.items():
                results[key].append(ctx.get(output))

    sim = Simulator(m)
    sim.add_testbench(bench)
    sim.run()
    return results


def test_every_name_is_tested():
    assert set(SHIFTS) == set(ROUNDS) == set(Rounding)
    assert set(RESIZES) == set(Overflow)


@pytest.mark.parametrize("width", range(1, 9))
def test_shift_right_exhaustively(width):
    cases = list(itertools.product(range(width + 3), Rounding))
    results = evaluate(width, lambda value: {case: shift_right(value, *case) for case in cases})
    for (shift, name), got in results.items():
        expected = [SHIFTS[name](value, shift) for value in every(width)]
        assert got == expected, f"{name} by {shift}"
        assert expected == [ROUNDS[name](Fraction(value, 1 << shift)) for value in every(width)]


@pytest.mark.parametrize("width", range(1, 9))
def test_resize_exhaustively(width):
    def expressions(value):
        both = {(to, name): resize(value, to, name) for to in range(1, width + 3) for name in Overflow}
        return {(*key, n): each for key, pair in both.items() for n, each in enumerate(pair)}

    results = evaluate(width, expressions)
    for to in range(1, width + 3):
        for name in Overflow:
            expected = [RESIZES[name](value, to) for value in every(width)]
            assert results[to, name, 0] == expected, f"{name} to {to} bits"
            assert results[to, name, 1] == [int(value not in every(to)) for value in every(width)]
            if name is Overflow.SATURATE:
                assert expected == [min(max(value, every(to)[0]), every(to)[-1]) for value in every(width)]
            else:
                assert all(each in every(to) for each in expected)
                assert all((each - value) % (1 << to) == 0 for each, value in zip(expected, every(width), strict=True))


def test_results_have_the_stated_shape():
    value = Signal(signed(12))
    for shift in range(15):
        assert Shape.cast(shift_right(value, shift, Rounding.TRUNC).shape()) == signed(max(1, 12 - shift))
    for to in range(1, 15):
        for name in Overflow:
            result, overflows = resize(value, to, name)
            assert Shape.cast(result.shape()) == signed(to)
            assert len(overflows) == 1


@njit
def _compiled(values, shift, width):
    out = np.empty((5, len(values)), dtype=np.int64)
    for n in range(len(values)):
        out[0, n] = golden.shift_right_trunc(values[n], shift)
        out[1, n] = golden.shift_right_half_even(values[n], shift)
        out[2, n] = golden.saturate(values[n], width)
        out[3, n] = golden.wrap(values[n], width)
        out[4, n] = golden.fits(values[n], width)
    return out


@settings(deadline=None, derandomize=True)
@given(
    values=st.lists(st.integers(-(1 << 61), (1 << 61) - 1), min_size=1),
    shift=st.integers(0, 61),
    width=st.integers(1, 62),
)
def test_golden_is_the_same_for_integers_arrays_and_compiled_loops(values, shift, width):
    array = np.array(values, dtype=np.int64)
    functions = (
        (golden.shift_right_trunc, shift), (golden.shift_right_half_even, shift),
        (golden.saturate, width), (golden.wrap, width), (golden.fits, width),
    )  # fmt: skip
    for (function, argument), compiled in zip(functions, _compiled(array, shift, width), strict=True):
        expected = [function(value, argument) for value in values]
        assert function(array, argument).tolist() == expected
        assert compiled.tolist() == expected
    assert golden.shift_right_half_even(values[0], shift) == round(Fraction(values[0], 1 << shift))


@pytest.mark.parametrize("width", [1, 2, 5])
def test_what_fits_is_not_saturated(width):
    for value in range(-40, 40):
        assert golden.fits(value, width) == (golden.saturate(value, width) == value)


def test_widths():
    for value in range(1, 300):
        assert 2 ** (clog2(value) - 1) < value <= 2 ** clog2(value)
        width = signed_width(value)
        assert {-value, value} <= set(every(width))
        assert value not in every(width - 1)

"""Named rounding and overflow for integer fixed point, as hardware.

The golden twin, with the same names, is :mod:`blondel.sim.golden.fixed`.
"""

from __future__ import annotations

import enum

from amaranth.hdl import Cat, Const, Mux, Shape, Value, signed

__all__ = ["Overflow", "Rounding", "clog2", "resize", "rounds_up", "shift_right", "signed_width"]


class Rounding(enum.Enum):
    """How the bits below the result's last place are removed."""

    #: Toward minus infinity: the bits are cut off.
    TRUNC = "trunc"
    #: To the nearest, ties to the even neighbour: no bias.
    HALF_EVEN = "half_even"


class Overflow(enum.Enum):
    """What happens to a value that does not fit its result."""

    #: Modulo two to the width.
    WRAP = "wrap"
    #: The nearest value that fits; the caller makes the event visible.
    SATURATE = "saturate"


def clog2(value: int) -> int:
    """Return the smallest ``n`` with ``2**n >= value``; ``value`` is at least 1."""
    return (value - 1).bit_length()


def signed_width(bound: int) -> int:
    """Return the bits of the narrowest signed format that holds ``-bound`` to ``+bound``."""
    return bound.bit_length() + 1


def shift_right(value: Value, shift: int, rounding: Rounding) -> Value:
    """Divide a signed ``value`` by ``2**shift``.

    Parameters
    ----------
    value : Value, signed(n)
        The dividend.
    shift : int
        Fraction bits to remove, 0 or more.
    rounding : Rounding
        What becomes of them.

    Returns
    -------
    Value, signed(max(1, n - shift)) for ``TRUNC``, one bit more for ``HALF_EVEN``
        Combinational.
    """
    value = Value.cast(value)
    if shift >= len(value):
        # Of all that is left the sign is one bit.
        value = value | Const(0, signed(shift + 1))
    floor = value[shift:].as_signed()
    if shift == 0 or rounding is Rounding.TRUNC:
        return floor
    # Cat makes the carry an unsigned bit beside a zero sign bit, so that the sum stays signed.
    return floor + Cat(rounds_up(value, shift), Const(0, 1)).as_signed()


def rounds_up(value: Value, shift: int) -> Value:
    """Tell whether ``HALF_EVEN`` of ``value`` / ``2**shift`` is one above ``TRUNC``: the carry of an adder that rounds.

    Parameters
    ----------
    value : Value, signed(n)
        The dividend.
    shift : int
        Fraction bits to remove, 1 to n - 1.

    Returns
    -------
    Value, 1 bit
        Combinational.
    """
    half = value[shift - 1]
    # A tie is a remainder of exactly one half: then only an odd quotient goes up.
    return half & (value[: shift - 1].any() | value[shift]) if shift > 1 else half & value[shift]


def resize(value: Value, width: int, overflow: Overflow) -> tuple[Value, Value]:
    """Fit a signed ``value`` into ``signed(width)``.

    Returns
    -------
    tuple of Value
        The result, signed(width), and a bit that is 1 where ``value`` did not fit. Combinational.
    """
    value = Value.cast(value)
    low = value[:width].as_signed()
    if Shape.cast(value.shape()).width <= width:
        return value | Const(0, signed(width)), Const(0, 1)
    sign = value[-1]
    top = value[width - 1 :]
    overflows = top.any() & ~top.all()
    if overflow is Overflow.WRAP:
        return low, overflows
    extreme = Mux(sign, Const(-(1 << (width - 1)), signed(width)), Const((1 << (width - 1)) - 1, signed(width)))
    return Mux(overflows, extreme, low), overflows

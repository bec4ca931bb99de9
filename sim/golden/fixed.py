"""Named rounding and overflow for integer fixed point, as integers.

The twin of :mod:`blondel.hdl.fixed`. Every function works on Python integers, on NumPy int64
arrays, and inside the compiled loops of the other golden blocks.
"""

from __future__ import annotations

import numpy as np
from numba.extending import register_jitable

__all__ = ["all_fit", "fits", "saturate", "shift_right_half_even", "shift_right_trunc", "wrap"]


@register_jitable
def shift_right_trunc(value, shift):
    """Divide by ``2**shift``, toward minus infinity (``Rounding.TRUNC``)."""
    return value >> shift


@register_jitable
def shift_right_half_even(value, shift):
    """Divide by ``2**shift``, to the nearest, ties to even (``Rounding.HALF_EVEN``).

    Adding one half less one unit, plus the quotient's last bit, carries exactly when the remainder
    is above one half, or equal to it below an odd quotient.
    """
    if shift == 0:
        return value
    return (value + ((1 << (shift - 1)) - 1) + ((value >> shift) & 1)) >> shift


@register_jitable
def fits(value, width):
    """Tell whether ``value`` is one of ``signed(width)``."""
    return (value + (1 << (width - 1))) >> width == 0


@register_jitable
def all_fit(values, width):
    """Tell whether all of an array's int32 are ones of ``signed(width)``."""
    least = most = np.int32(0)
    for n in range(len(values)):
        least, most = min(least, values[n]), max(most, values[n])
    return fits(least, width) and fits(most, width)


@register_jitable
def saturate(value, width):
    """Return the value of ``signed(width)`` that is nearest (``Overflow.SATURATE``)."""
    limit = 1 << (width - 1)
    # Arithmetic in place of a branch, so that arrays work too.
    above = (value > limit - 1) * 1
    below = (value < -limit) * 1
    return value * (1 - above - below) + above * (limit - 1) - below * limit


@register_jitable
def wrap(value, width):
    """Return ``value`` modulo ``2**width``, as ``signed(width)`` (``Overflow.WRAP``)."""
    limit = 1 << (width - 1)
    return ((value + limit) & (2 * limit - 1)) - limit

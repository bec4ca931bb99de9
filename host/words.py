"""Numbers in words: counts with their noun, quantities with a prefix that keeps them short, durations."""

from __future__ import annotations

__all__ = ["DAY_S", "count", "duration", "quantity"]

#: Seconds of a day.
DAY_S = 86_400

_PREFIXES = (("", 1.0, 1e4), ("k", 1e3, 1e6), ("M", 1e6, 1e9))


def count(number: float, noun: str) -> str:
    """Write how many: 1 element, 2 elements."""
    return f"{number:.15g} {noun}{'s' if number != 1 else ''}"


def quantity(value: float, unit: str) -> str:
    """Write a quantity, up to six digits and no exponent where it is from 0.0001 to 1e12: 1000 A, 200 kV, 1 MV."""
    prefix, factor = next(((p, f) for p, f, end in _PREFIXES if abs(value) < end), ("G", 1e9))
    return f"{value / factor:.6g} {prefix}{unit}"


def duration(seconds: float) -> str:
    """Write a duration, from a day on in days: 60 s, 1.5 days."""
    return f"{seconds:g} s" if seconds < DAY_S else count(float(f"{seconds / DAY_S:.6g}"), "day")

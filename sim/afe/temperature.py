"""What temperature does to parts."""

from __future__ import annotations

__all__ = ["COPPER_C", "REFERENCE_C", "copper", "drift"]

#: Temperature at which parts have their stated values and meters are calibrated, in °C: the reference temperature of
#: ANSI C12.20 and IEC 62053-22, from memory of paid standards, to be checked.
REFERENCE_C = 23.0
#: Copper: temperature in °C at which its resistivity is stated, and its temperature coefficient there in 1/K, of the
#: International Annealed Copper Standard (IEC 60028).
COPPER_C, COPPER_PER_K = 20.0, 0.00393


def drift(ppm_per_k: float, temperature_c: float) -> float:
    """Return the factor on a value that has a linear temperature coefficient."""
    return 1 + ppm_per_k * 1e-6 * (temperature_c - REFERENCE_C)


def copper(temperature_c: float) -> float:
    """Return the factor on a copper wire's resistance at 20 °C."""
    return 1 + COPPER_PER_K * (temperature_c - COPPER_C)

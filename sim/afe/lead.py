"""The lead between a current transformer and the meter."""

from __future__ import annotations

import math
from dataclasses import dataclass

from blondel.sim.afe.temperature import copper

__all__ = ["COPPER_OHM_M", "Lead"]

#: Resistivity of annealed copper at 20 °C, in Ω m (IEC 60028, the International Annealed Copper Standard).
COPPER_OHM_M = 1.7241e-8
_FOOT_M = 0.3048


@dataclass(frozen=True)
class Lead:
    """A pair of copper wires; its inductance, some 0.03 Ω at 60 Hz for 500 ft, is left out.

    Parameters
    ----------
    length_ft : float
        Length of the pair, in feet, 0 to 500; the conductor is twice as long.
    awg : int
        Gauge; its diameter is 0.127 mm × 92 ** ((36 − gauge) / 39) (ASTM B258). Default 18.

    Raises
    ------
    ValueError
        A length or gauge that no lead has.
    """

    length_ft: float = 0.0
    awg: int = 18

    def __post_init__(self) -> None:
        if not 0 <= self.length_ft <= 500:
            raise ValueError(f"length_ft is {self.length_ft}; allowed: 0 to 500")
        if self.awg not in range(4, 31):
            raise ValueError(f"awg is {self.awg}; allowed: 4 to 30")

    def ohm(self, temperature_c: float) -> float:
        """Return the resistance of both conductors at a temperature."""
        diameter_m = 0.127e-3 * 92 ** ((36 - self.awg) / 39)
        area_m2 = math.pi / 4 * diameter_m**2
        return 2 * self.length_ft * _FOOT_M * COPPER_OHM_M / area_m2 * copper(temperature_c)

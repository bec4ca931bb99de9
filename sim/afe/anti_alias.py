"""Anti-alias filters: a resistor and a capacitor before each input of the converter."""

from __future__ import annotations

from dataclasses import dataclass

from blondel.sim.afe.divider import ADC_DIVIDER
from blondel.sim.afe.temperature import drift

__all__ = [
    "CURRENT_FILTER", "CURRENT_FILTER_F", "CURRENT_SERIES_OHM", "VOLTAGE_FILTER", "VOLTAGE_FILTER_F", "AntiAlias",
]  # fmt: skip

#: Filters of an ADS131M's inputs: series resistor of a current, in Ω; capacitors, in F. A voltage's resistor is its
#: divider.
CURRENT_SERIES_OHM, VOLTAGE_FILTER_F, CURRENT_FILTER_F = 240, 1e-9, 10e-9


@dataclass(frozen=True)
class AntiAlias:
    """A pole.

    Parameters
    ----------
    time_constant_s : float
        At 23 °C, in s; 0: no filter.
    drift_ppm_per_k : float
        Its temperature coefficient.
    """

    time_constant_s: float = 0.0
    drift_ppm_per_k: float = 0.0

    def at(self, temperature_c: float) -> float:
        """Return the time constant at a temperature, in s."""
        return self.time_constant_s * drift(self.drift_ppm_per_k, temperature_c)


#: The filters of an ADS131M's voltages and currents.
VOLTAGE_FILTER = AntiAlias(ADC_DIVIDER.source_ohm * VOLTAGE_FILTER_F)
CURRENT_FILTER = AntiAlias(CURRENT_SERIES_OHM * CURRENT_FILTER_F)

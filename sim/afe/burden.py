"""The burden: what turns the secondary current of a current transformer into a voltage, in the meter."""

from __future__ import annotations

from dataclasses import dataclass

from blondel.sim.afe.temperature import drift

__all__ = ["BURDEN_OHM", "CT_SECONDARY_A", "Burden"]

#: Secondary of a CT at its class amps, in A rms; burden in the meter, in Ω: the product's data sheet.
CT_SECONDARY_A, BURDEN_OHM = 0.1, 3.0


@dataclass(frozen=True)
class Burden:
    """The resistor across a CT's secondary, in the meter.

    Parameters
    ----------
    error : float
        Its resistance at 23 °C over 3 Ω, less one.
    drift_ppm_per_k : float
        Its temperature coefficient.
    """

    error: float = 0.0
    drift_ppm_per_k: float = 0.0

    def gain(self, temperature_c: float) -> float:
        """Return the resistance at a temperature over 3 Ω."""
        return (1 + self.error) * drift(self.drift_ppm_per_k, temperature_c)

    def ohm(self, temperature_c: float) -> float:
        """Return the resistance at a temperature."""
        return BURDEN_OHM * self.gain(temperature_c)

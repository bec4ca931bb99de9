"""Voltage divider: volts of the line to volts at a converter's input."""

from __future__ import annotations

from dataclasses import dataclass

from blondel.sim.afe.temperature import drift

__all__ = ["ADC_DIVIDER", "Divider", "VoltageDivider"]

#: Resistance of an ADS131M's input at gains 1, 2 and 4, in Ω (first page of its data sheet, SBAS890).
ADC_INPUT_OHM = 330e3


@dataclass(frozen=True)
class Divider:
    """A divider of a line's voltage: equal resistors in series, and one across the converter's input.

    Parameters
    ----------
    upper_ohm : float
        Each resistor in series.
    upper : int
        How many.
    lower_ohm, input_ohm : float
        Across the input; the input itself.
    """

    upper_ohm: float
    upper: int
    lower_ohm: float
    input_ohm: float

    @property
    def low_ohm(self) -> float:
        """The lower resistor and the input, in parallel."""
        return 1 / (1 / self.lower_ohm + 1 / self.input_ohm)

    @property
    def source_ohm(self) -> float:
        """What a capacitor across the input sees: all of it in parallel."""
        return 1 / (1 / self.low_ohm + 1 / (self.upper * self.upper_ohm))

    def ratio(self, upper: int | None = None) -> float:
        """Return the line's voltage over the input's, with some of the upper resistors."""
        return 1 + (self.upper if upper is None else upper) * self.upper_ohm / self.low_ohm


#: The divider before an ADS131M.
ADC_DIVIDER = Divider(330e3, 3, 2400, ADC_INPUT_OHM)


@dataclass(frozen=True)
class VoltageDivider:
    """What a divider's resistors do to the gain of a voltage.

    The input's own resistance, 0.7 % of what the lower resistor conducts, counts with its nominal value.

    Parameters
    ----------
    error : float
        Gain at 23 °C less one, relative to a divider that brings the configuration's full scale to the converter's.
    drift_ppm_per_k : float
        Temperature coefficient of the gain.
    """

    error: float = 0.0
    drift_ppm_per_k: float = 0.0

    def gain(self, temperature_c: float) -> float:
        """Return the gain relative to the configuration's full scale."""
        return (1 + self.error) * drift(self.drift_ppm_per_k, temperature_c)

"""What a laboratory applies to a meter: a frozen description that becomes a source of waveforms."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from blondel.hdl.config import MeterConfig
from blondel.sim.source.loads import Sine
from blondel.sim.source.mains import Mains
from blondel.sim.source.service import Service

__all__ = ["REFERENCE_C", "Stimulus"]

#: Temperature of the reference condition, in °C.
REFERENCE_C = 23.0


@dataclass(frozen=True, kw_only=True)
class Stimulus:
    """Voltage, current and surroundings of one measurement.

    Parameters
    ----------
    key : str
        Its name; unique in a plan.
    volts : float
        The fundamental of all elements' voltage, in V rms.
    hertz : float
        Frequency.
    amps : tuple of float
        The fundamental of each element's current, in A rms; 0 for an open circuit.
    factor : str
        Power factor, as for :func:`blondel.sim.source.loads.power_factor`. Default 1.
    waveform : str
        Default ``sine``.
    temperature_c : float
        Of the meter, its CTs and its leads, in °C. Default 23.
    """

    key: str
    volts: float
    hertz: float
    amps: tuple[float, ...]
    factor: str = "1"
    waveform: str = "sine"
    temperature_c: float = REFERENCE_C

    def source(self, config: MeterConfig, sample_rate_hz: float) -> Service:
        """Return the waveforms, sampled at the meter's true rate."""
        loads = [[Sine(amps, self.factor)] if amps else [] for amps in self.amps]
        return Service(Mains(volts=self.volts, hertz=self.hertz), loads, sample_rate_hz=sample_rate_hz)

    def to_json(self) -> dict[str, object]:
        """Return the stimulus in figures."""
        return asdict(self)

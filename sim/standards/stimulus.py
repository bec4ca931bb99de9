"""What a laboratory applies to a meter: a frozen description that becomes a source of waveforms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from blondel.sim.source.mains import Mains
from blondel.sim.source.service import Service
from blondel.sim.standards.waveforms import WAVEFORMS

__all__ = ["REFERENCE_C", "Stimulus"]

#: Temperature of the reference condition, in °C.
REFERENCE_C = 23.0


@dataclass(frozen=True, kw_only=True)
class Stimulus:
    """Voltage, current and surroundings of one measurement.

    Parameters
    ----------
    volts : float
        The fundamental of all elements' voltage, in V rms.
    hertz : float
        Frequency.
    amps : tuple of float
        Of each element, the rms of the sine that its current is made from, in A; 0 for an open circuit.
    factor : str
        Power factor, as for :func:`blondel.sim.source.loads.power_factor`. Default 1.
    waveform : str
        One of :data:`~blondel.sim.standards.waveforms.WAVEFORMS`. Default ``sine``.
    temperature_c : float
        Of the meter, its CTs and their leads, in °C. Default 23.
    lead_ft : float
        By how much the CTs' leads are longer than when the meter was calibrated, in feet. Default 0.
    dc : float
        DC at the converter's inputs, all channels, as a part of full scale. Default 0.
    at_terminals : bool
        Whether the current goes into the meter's CT terminals, past the CT. Default false.
    """

    volts: float
    hertz: float
    amps: tuple[float, ...]
    factor: str = "1"
    waveform: str = "sine"
    temperature_c: float = REFERENCE_C
    lead_ft: float = 0.0
    dc: float = 0.0
    at_terminals: bool = False

    @property
    def key(self) -> str:
        """All of it in a line; no two stimuli have the same."""
        own = [f"{self.volts:.6g} V", f"{self.hertz:.6g} Hz", "+".join(f"{amps:.6g}" for amps in self.amps) + " A"]
        own += [self.factor, self.waveform, f"{self.temperature_c:g} °C"]
        own += [f"{self.lead_ft:g} ft"] if self.lead_ft else []
        own += [f"{self.dc:g} DC"] if self.dc else []
        own += ["CT terminals"] if self.at_terminals else []
        return ", ".join(own)

    def source(self, sample_rate_hz: float) -> Service:
        """Return the waveforms.

        Parameters
        ----------
        sample_rate_hz : float
            The true one, with the clock's error.
        """
        waveform = WAVEFORMS[self.waveform]
        loads = [[waveform.load(amps, self.factor, self.volts, self.hertz)] if amps else [] for amps in self.amps]
        mains = Mains(volts=self.volts, hertz=self.hertz, harmonics=waveform.volts)
        return Service(mains, loads, sample_rate_hz=sample_rate_hz)

    def to_json(self) -> dict[str, object]:
        """Return the stimulus in figures."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, object]) -> Stimulus:
        """Make it again from what :meth:`to_json` gave, through a file or not."""
        return cls(**content | {"amps": tuple(content["amps"])})

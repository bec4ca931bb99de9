"""Waveforms of the type tests: a voltage's harmonics, and the load that draws the current."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from blondel.sim.source.loads import Burst, Dimmer, HalfWave, Load, Sine, SwitchingSupply
from blondel.sim.standards.results import Provenance

__all__ = ["WAVEFORMS", "Waveform"]

Harmonics = Mapping[int, tuple[float, float]]


@dataclass(frozen=True)
class Waveform:
    """A kind of voltage and current.

    Parameters
    ----------
    title, text : str
        Name in the field, and what it is.
    provenance : Provenance
        Of its shape.
    load : callable(amps, factor, volts, hertz) -> Load
        Makes the load: ``amps`` is the rms of the sine that the current is made from, ``volts`` and ``hertz`` the
        mains' fundamental.
    volts : mapping of int to (float, float)
        The voltage's harmonics, as for :class:`blondel.sim.source.mains.Mains`. Default none.
    """

    title: str
    text: str
    provenance: Provenance
    load: Callable[[float, str, float, float], Load]
    volts: Harmonics = field(default_factory=dict)


def _sine(harmonics: Harmonics | None = None) -> Callable[[float, str, float, float], Load]:
    return lambda amps, factor, volts, hertz: Sine(amps, factor, harmonics=dict(harmonics or {}))


_R46 = Provenance(
    "memory",
    "OIML R 46-1/-2:2012, table of the harmonic test; ANSI C12.20-2015 has waveforms of the same "
    "names; neither table was seen",
)
_C12 = Provenance(
    "own", "ANSI C12.20-2015 has a waveform of this name, from memory; its definition was not seen, this one is ours"
)
_IEC = Provenance("memory", "IEC 62053-22:2003, clause 8.2 and annex A (IEC 62053-21 for odd and even harmonics)")

#: Waveforms by name.
WAVEFORMS: dict[str, Waveform] = {
    "sine": Waveform("Sine", "Sines of voltage and current.", Provenance("own", "the reference condition"), _sine()),
    "fifth": Waveform(
        "Fifth harmonic",
        "10 % of fifth harmonic in the voltage, 40 % in the current, both in phase with their fundamental where it "
        "rises through zero.",
        _IEC,
        _sine({5: (0.4, 0.0)}),
        {5: (0.1, 0.0)},
    ),
    "phase_fired": Waveform(
        "90° phase-fired",
        "The current of a resistor that conducts from 90° to 180° of each half cycle.",
        _IEC,
        lambda amps, factor, volts, hertz: Dimmer(amps * volts, volts, firing_deg=90.0),
    ),
    "quadriform": Waveform(
        "Quadriform",
        "Odd harmonics to the 13th that square the current's shoulders, and opposite ones in the voltage: their energy "
        "flows back.",
        _R46,
        _sine({3: (0.30, 0), 5: (0.18, 0), 7: (0.14, 0), 11: (0.09, 0), 13: (0.05, 0)}),
        {3: (0.038, 180), 5: (0.024, 180), 7: (0.017, 180), 11: (0.010, 180), 13: (0.008, 180)},
    ),
    "peaked": Waveform(
        "Peaked",
        "Odd harmonics to the 13th that make the current a peak in the middle of the half cycle, and opposite ones in "
        "the voltage, which they flatten.",
        _R46,
        _sine({3: (0.30, 180), 5: (0.18, 0), 7: (0.14, 180), 11: (0.09, 180), 13: (0.05, 0)}),
        {3: (0.038, 0), 5: (0.024, 180), 7: (0.017, 0), 11: (0.010, 0), 13: (0.008, 180)},
    ),
    "pulse": Waveform(
        "Pulse",
        "A rectifier's current: the tip of the sine, within 30° either side of the voltage's peak, with the power of "
        "the sine that it stands for.",
        _C12,
        lambda amps, factor, volts, hertz: SwitchingSupply(amps * volts, half_width_deg=30.0),
    ),
    "zero_crossings_v": Waveform(
        "Multiple zero crossing, voltage",
        "15 % of 11th harmonic against the fundamental: the voltage crosses zero three times where it would once.",
        _C12,
        _sine(),
        {11: (0.15, 180.0)},
    ),
    "zero_crossings_i": Waveform(
        "Multiple zero crossing, current",
        "30 % of 7th harmonic against the fundamental: the current crosses zero three times where it would once.",
        _C12,
        _sine({7: (0.30, 180.0)}),
    ),
    "half_wave": Waveform(
        "DC and even harmonics",
        "The half-wave rectified current of a resistor behind a diode.",
        _IEC,
        lambda amps, factor, volts, hertz: HalfWave(amps * volts, volts),
    ),
    "burst": Waveform(
        "Sub-harmonics",
        "Burst fire: two cycles of current, two without.",
        _IEC,
        lambda amps, factor, volts, hertz: Burst(Sine(amps, factor), hertz),
    ),
}

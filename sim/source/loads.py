"""Loads: the current that a household's appliances draw, sample by sample.

Every load is a model of its kind of waveform, in closed form: its current depends on nothing but the
line's voltage, its angle and the index of the frame, so that any part of a run can be had at once. Edges are as
sharp as the samples: nothing limits the bandwidth.
"""

from __future__ import annotations

import abc
import itertools
import math
import re
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from blondel.sim.noise import stream_key
from blondel.sim.source.mains import Wave

__all__ = [
    "Burst",
    "Cycle",
    "Dimmer",
    "FridgeMotor",
    "HalfWave",
    "InductionCooker",
    "Kettle",
    "Load",
    "Photovoltaic",
    "Resistor",
    "Sine",
    "Switched",
    "SwitchingSupply",
    "Times",
    "Timetable",
    "fridge",
    "power_factor",
]  # fmt: skip

_POWER_FACTOR = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))\s*(lag|lead)?", re.ASCII)


def power_factor(text: str | float) -> tuple[float, float]:
    """Return cosine and sine of the angle by which a current is behind the voltage.

    Parameters
    ----------
    text : str or float
        ``1``, ``0.5lag``, ``0.866lead``; ``0`` is a quarter of a cycle behind. Negative ones are received
        energy: ``-1``, and ``-0.5lag`` for 120° behind.

    Raises
    ------
    ValueError
        It is no power factor, or lacks its direction.
    """
    match = _POWER_FACTOR.fullmatch(str(text).strip().lower())
    value = float(match[1]) if match else math.nan
    if not abs(value) <= 1:
        raise ValueError(f"power factor is {text}; allowed: -1 to 1 with lag or lead, such as 1, 0.5lag or 0.866lead")
    if match[2] is None and abs(value) not in (0, 1):
        raise ValueError(f"power factor is {text}; allowed: {text}lag or {text}lead")
    return value, math.sqrt(1 - value * value) * (-1 if match[2] == "lead" else 1)


class Load(abc.ABC):
    """Something that draws current."""

    @abc.abstractmethod
    def amps(self, wave: Wave, since: int = 0) -> np.ndarray:
        """Return the current.

        Parameters
        ----------
        wave : Wave
            The voltage.
        since : int
            Index of the frame at which the load was switched on; not after the wave's first.

        Returns
        -------
        ndarray of float64, (frames,)
            In A; positive where the load takes energy while the voltage is positive.
        """

    def moments(self, start: int, count: int, since: int, rate: int) -> Sequence[Hashable]:
        """Tell seconds with the same current from others, under a voltage that repeats every second.

        Parameters
        ----------
        start : int
            Index of the first second's first frame: whole seconds from frame 0.
        count : int
            Seconds.
        since : int
            Index of the frame at which the load was switched on; not after ``start``.
        rate : int
            Frames per second.

        Returns
        -------
        sequence of hashable, (count,)
            Equal where the current is; this load's follows the voltage alone, and is the same in all.
        """
        return [0] * count


@dataclass(frozen=True)
class Sine(Load):
    """A test bench's current: a sine of its own, whatever the voltage, and harmonics.

    Parameters
    ----------
    amps_rms : float
        The fundamental's current, in A rms.
    factor : str or float
        Power factor, as for :func:`power_factor`. Default 1.
    harmonics : mapping of int to (float, float)
        For each order k, 2 or more: amplitude as a part of the fundamental's, and angle in degrees
        against k times the voltage's. Default none.
    dc_amps : float
        DC. Default 0.
    """

    amps_rms: float
    factor: str | float = 1
    harmonics: dict[int, tuple[float, float]] = field(default_factory=dict)
    dc_amps: float = 0.0

    def __post_init__(self) -> None:
        power_factor(self.factor)

    def amps(self, wave: Wave, since: int = 0) -> np.ndarray:
        cosine, sine = power_factor(self.factor)
        amplitude = math.sqrt(2) * self.amps_rms
        out = (amplitude * cosine) * wave.sine
        if sine:
            out -= (amplitude * sine) * wave.cosine
        if self.harmonics:
            s, c = wave.sine, wave.cosine
            for order in range(2, max(self.harmonics) + 1):
                s, c = s * wave.cosine + c * wave.sine, c * wave.cosine - s * wave.sine
                if order in self.harmonics:
                    fraction, degrees = self.harmonics[order]
                    angle = math.radians(degrees)
                    out += (amplitude * fraction * math.cos(angle)) * s + (amplitude * fraction * math.sin(angle)) * c
        if self.dc_amps:
            out += self.dc_amps
        return out


@dataclass(frozen=True)
class Resistor(Load):
    """A load that conducts some or all of the time, in proportion to the voltage.

    Parameters
    ----------
    watts : float
        Power at ``rated_volts`` if it conducts all the time.
    rated_volts : float
        In V rms.
    """

    watts: float
    rated_volts: float

    @property
    def conductance(self) -> float:
        """Amps per volt."""
        return self.watts / self.rated_volts**2


@dataclass(frozen=True)
class Kettle(Resistor):
    """A heating element: its current is as distorted as the voltage.

    Parameters
    ----------
    watts : float
        Power at ``rated_volts``.
    rated_volts : float
        In V rms.
    """

    def amps(self, wave: Wave, since: int = 0) -> np.ndarray:
        return self.conductance * wave.volts


@dataclass(frozen=True)
class HalfWave(Resistor):
    """A heating element behind a diode, as in a hair dryer on its low step: half the power, and DC.

    Parameters
    ----------
    watts : float
        Power at ``rated_volts`` without the diode.
    rated_volts : float
        In V rms.
    """

    def amps(self, wave: Wave, since: int = 0) -> np.ndarray:
        return self.conductance * np.maximum(wave.volts, 0.0)


@dataclass(frozen=True)
class Dimmer(Resistor):
    """A lamp behind a phase-cut dimmer: each half cycle conducts from the firing angle on.

    With a firing angle α the power is ``1 − α/π + sin(2α)/2π`` of the whole.

    Parameters
    ----------
    watts : float
        Power at ``rated_volts`` without the dimmer.
    rated_volts : float
        In V rms.
    firing_deg : float
        Angle of each half cycle at which conduction begins, 0 to 180°. Default 90.
    """

    firing_deg: float = 90.0

    def __post_init__(self) -> None:
        if not 0 <= self.firing_deg <= 180:
            raise ValueError(f"firing_deg is {self.firing_deg}; allowed: 0 to 180")

    def amps(self, wave: Wave, since: int = 0) -> np.ndarray:
        # Within a half cycle the cosine, taken with the half's sign, falls from 1 to −1.
        conducts = np.copysign(1.0, wave.sine) * wave.cosine < math.cos(math.radians(self.firing_deg))
        return (self.conductance * conducts) * wave.volts


@dataclass(frozen=True)
class Burst(Load):
    """A load behind a burst-fire controller: whole cycles on, whole cycles off, from frame 0.

    Parameters
    ----------
    load : Load
        What is switched.
    hertz : float
        The mains' frequency: the controller switches where the voltage at 0° rises through zero.
    on_cycles, off_cycles : int
        Cycles of current, and without. Defaults 2, 2.
    """

    load: Load
    hertz: float
    on_cycles: int = 2
    off_cycles: int = 2

    def __post_init__(self) -> None:
        if not 0 < self.hertz < math.inf:
            raise ValueError(f"hertz is {self.hertz}; allowed: more than 0")
        for name in ("on_cycles", "off_cycles"):
            if not getattr(self, name) >= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; allowed: 1 or more")

    def amps(self, wave: Wave, since: int = 0) -> np.ndarray:
        cycles = wave.frames * (self.hertz / wave.sample_rate_hz)
        return (cycles % (self.on_cycles + self.off_cycles) < self.on_cycles) * self.load.amps(wave, since)


@dataclass(frozen=True)
class SwitchingSupply(Load):
    """A rectifier with a reservoir capacitor: a short pulse of current at each peak of the voltage.

    The pulse is the tip of the sine above what the capacitor kept; its height follows the voltage so
    that the power stays. Over whole cycles of a sine the crest factor is near √(15π / 16β) for a half
    width of β: 5.3 at 6°.

    Parameters
    ----------
    watts : float
        Power, whatever the voltage.
    half_width_deg : float
        Half of the angle in which the rectifier conducts, more than 0, to 90°. Default 6.
    """

    watts: float
    half_width_deg: float = 6.0

    def __post_init__(self) -> None:
        if not 0 < self.half_width_deg <= 90:
            raise ValueError(f"half_width_deg is {self.half_width_deg}; allowed: more than 0, to 90")

    def amps(self, wave: Wave, since: int = 0) -> np.ndarray:
        beta = math.radians(self.half_width_deg)
        kept = math.cos(beta)
        # Power of a pulse of height 1 − kept: √2 V/π × ∫ cos u (cos u − cos β) du from −β to β.
        peak = math.pi * self.watts / (math.sqrt(2) * wave.rms * (beta - math.sin(beta) * kept))
        return np.copysign(peak * np.maximum(np.abs(wave.sine) - kept, 0.0), wave.sine)


@dataclass(frozen=True)
class FridgeMotor(Load):
    """A compressor's induction motor: lagging, saturated, with the inrush of a standing start.

    The current starts from zero at ``inrush`` times the running one, with the DC that this takes, and
    falls to it.

    Parameters
    ----------
    amps_rms : float
        The fundamental's running current, in A rms.
    factor : str or float
        Power factor. Default 0.72lag.
    inrush : float
        Starting current as a multiple of the running one. Default 6.
    start_s : float
        Time constant in which the motor comes up to speed. Default 0.12.
    dc_s : float
        Time constant in which the DC of the inrush dies away. Default 0.025.
    third : float
        Third harmonic, as a part of the fundamental. Default 0.08.
    """

    amps_rms: float
    factor: str | float = "0.72lag"
    inrush: float = 6.0
    start_s: float = 0.12
    dc_s: float = 0.025
    third: float = 0.08

    def _inrush_frames(self, rate: float) -> int:
        # After 40 time constants the rest is below the resolution of a float64.
        return math.ceil(40 * max(self.start_s, self.dc_s) * rate)

    def moments(self, start: int, count: int, since: int, rate: int) -> Sequence[Hashable]:
        """See :meth:`Load.moments`."""
        last = self._inrush_frames(rate)
        return [min(start + n * rate - since, last) for n in range(count)]

    def amps(self, wave: Wave, since: int = 0) -> np.ndarray:
        cosine, sine = power_factor(self.factor)
        fundamental = cosine * wave.sine - sine * wave.cosine
        third = self.third * (3 - 4 * wave.sine**2) * wave.sine
        out = fundamental + third
        rest = min(self._inrush_frames(wave.sample_rate_hz) - (wave.start - since), len(wave))
        if rest > 0:
            seconds = (wave.frames[:rest] - since) / wave.sample_rate_hz
            s, c = wave.at(since)
            first = self.inrush * (cosine * s - sine * c) + self.third * (3 - 4 * s * s) * s
            out[:rest] += (self.inrush - 1) * np.exp(-seconds / self.start_s) * fundamental[:rest]
            out[:rest] -= first * np.exp(-seconds / self.dc_s)
        return math.sqrt(2) * self.amps_rms * out


@dataclass(frozen=True)
class InductionCooker(Load):
    """An induction hob on a low step: full power in bursts, and its filter's leading current always.

    The inverter's reservoir is small: the current follows the voltage, and comes up over a few cycles
    of the mains so that the pan does not knock.

    Parameters
    ----------
    watts : float
        Power within a burst, at ``rated_volts``.
    rated_volts : float
        In V rms.
    burst_s, period_s : float
        Length of a burst, and time from one to the next. Defaults 1.2, 3.
    ramp_s : float
        Time in which a burst comes up, less than ``burst_s``. Default 0.06.
    filter_amps : float
        Leading current of the filter's capacitors, in A rms. Default 0.25.
    """

    watts: float
    rated_volts: float
    burst_s: float = 1.2
    period_s: float = 3.0
    ramp_s: float = 0.06
    filter_amps: float = 0.25

    def __post_init__(self) -> None:
        if not 0 < self.ramp_s <= self.burst_s <= self.period_s:
            raise ValueError(
                f"ramp_s, burst_s, period_s are {self.ramp_s}, {self.burst_s}, {self.period_s}; "
                "allowed: 0 < ramp_s <= burst_s <= period_s"
            )

    def moments(self, start: int, count: int, since: int, rate: int) -> Sequence[Hashable]:
        """See :meth:`Load.moments`."""
        period = self.period_s * rate
        return [(start + n * rate - since) % period for n in range(count)]

    def amps(self, wave: Wave, since: int = 0) -> np.ndarray:
        # The same in each period, to the last place, where that is a whole number of frames.
        seconds = (wave.frames - since) % (self.period_s * wave.sample_rate_hz) / wave.sample_rate_hz
        level = np.minimum(seconds / self.ramp_s, 1.0) * (seconds < self.burst_s)
        out = (self.watts / self.rated_volts**2) * level * wave.volts
        return out + (math.sqrt(2) * self.filter_amps) * wave.cosine


@dataclass(frozen=True)
class Photovoltaic(Load):
    """An inverter that feeds the sun's power back: a sine at unity power factor, received by the meter.

    The power follows the sun from 6 to 18 h, and clouds: they pass within a minute or two, and now and
    then take most of it. It is set each second, and changes evenly within it.

    Parameters
    ----------
    watts : float
        Power of a clear sky at noon, whatever the voltage.
    start_hour : float
        Time of day at frame 0, in h. Default 12.
    compression : float
        Seconds of the day that pass in a second of the samples. Default 1.
    clouds : float
        Part of the power that the thickest cloud takes, 0 to 1. Default 0.8.
    steps : int or None
        Steps from no power to all of it that the level takes; ``None``: it takes any. Default ``None``.
    seed : int
        Of the clouds. Default 0.
    """

    watts: float
    start_hour: float = 12.0
    compression: float = 1.0
    clouds: float = 0.8
    steps: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.clouds <= 1:
            raise ValueError(f"clouds is {self.clouds}; allowed: 0 to 1")

    def level(self, seconds: float) -> float:
        """Return the power at a time of the samples, in s, as a part of a clear noon's."""
        now = self.start_hour * 3600 + seconds * self.compression
        sun = math.sin(math.pi * (now / 3600 % 24 - 6) / 12)
        # The sky's cover goes from one random number to the next in 15 s; below one half it lets all light through.
        place = math.floor(now / 15)
        before, after = (float(stream_key(self.seed, place + k)) * 2.0**-64 for k in (0, 1))
        cover = before + (after - before) * (now / 15 - place)
        shade = min(max((cover - 0.5) / 0.3, 0.0), 1.0)
        level = max(sun, 0.0) * (1 - self.clouds * shade)
        return level if self.steps is None else round(level * self.steps) / self.steps

    def moments(self, start: int, count: int, since: int, rate: int) -> Sequence[Hashable]:
        """See :meth:`Load.moments`."""
        levels = [self.level(start / rate + n) for n in range(count + 1)]
        return list(itertools.pairwise(levels))

    def amps(self, wave: Wave, since: int = 0) -> np.ndarray:
        step = math.ceil(wave.sample_rate_hz)
        out = np.empty(len(wave))
        stop = wave.start + len(wave)
        for second in range(wave.start // step, (stop - 1) // step + 1):
            begin, end = max(second * step, wave.start), min((second + 1) * step, stop)
            before, after = (self.level((second + k) * step / wave.sample_rate_hz) for k in (0, 1))
            part = (np.arange(begin, end) - second * step) / step
            out[begin - wave.start : end - wave.start] = before + (after - before) * part
        return (-math.sqrt(2) * self.watts / wave.rms) * out * wave.sine


class Timetable(Protocol):
    """When a load is on."""

    def intervals(self, start_s: float, stop_s: float) -> Iterable[tuple[float, float]]:
        """Return the intervals (on, off), in s and in order, that overlap ``start_s`` to ``stop_s``."""


@dataclass(frozen=True)
class Times:
    """Given intervals.

    Parameters
    ----------
    times : sequence of (float, float)
        On and off, in s, in order, without overlap.
    """

    times: Sequence[tuple[float, float]]

    def intervals(self, start_s: float, stop_s: float) -> list[tuple[float, float]]:
        return [(on, off) for on, off in self.times if on < stop_s and off > start_s]


@dataclass(frozen=True)
class Cycle:
    """The same again and again, as a thermostat does.

    Parameters
    ----------
    on_s, period_s : float
        How long it is on, and from one start to the next.
    first_s : float
        Time of the first start. Default 0.
    """

    on_s: float
    period_s: float
    first_s: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.on_s <= self.period_s:
            raise ValueError(f"on_s, period_s are {self.on_s}, {self.period_s}; allowed: 0 < on_s <= period_s")

    def intervals(self, start_s: float, stop_s: float) -> list[tuple[float, float]]:
        first = max(0, math.floor((start_s - self.first_s) / self.period_s))
        last = math.floor((stop_s - self.first_s) / self.period_s)
        starts = (self.first_s + n * self.period_s for n in range(first, last + 1))
        return [(on, on + self.on_s) for on in starts if on < stop_s and on + self.on_s > start_s]


def _frame(place: float) -> int:
    """Return the first frame at or after a place; a millionth of a frame is the floats' rounding."""
    return math.ceil(place - 1e-6)


@dataclass(frozen=True)
class Switched(Load):
    """A load that is switched on and off, at the first frame at or after each time.

    Parameters
    ----------
    load : Load
        What is switched; its inrush and bursts begin anew each time.
    timetable : Timetable
        When, from this load's own being switched on.
    """

    load: Load
    timetable: Timetable

    def amps(self, wave: Wave, since: int = 0) -> np.ndarray:
        rate = wave.sample_rate_hz
        out = np.zeros(len(wave))
        stop = wave.start + len(wave)
        # A frame more at either end: an interval's ends are rounded up to frames.
        for on, off in self.timetable.intervals((wave.start - since - 1) / rate, (stop - since) / rate):
            first = since + _frame(on * rate)
            begin, end = max(first, wave.start), min(since + _frame(off * rate), stop)
            if begin < end:
                out[begin - wave.start : end - wave.start] += self.load.amps(wave.part(begin, end), first)
        return out

    def moments(self, start: int, count: int, since: int, rate: int) -> Sequence[Hashable]:
        """See :meth:`Load.moments`."""
        out: list[Hashable] = [None] * count
        for on, off in self.timetable.intervals((start - since - 1) / rate, (start - since) / rate + count):
            first, last = since + _frame(on * rate), since + _frame(off * rate)
            # Seconds that it is on from beginning to end; then those in which it is switched, told by where.
            whole = max(-(-(first - start) // rate), 0)
            end = min((last - start) // rate, count)
            if whole < end:
                out[whole:end] = self.load.moments(start + whole * rate, end - whole, first, rate)
            for second in {(first - start) // rate, (last - start) // rate} - {*range(whole, end)}:
                begin = start + second * rate
                if 0 <= second < count and max(first, begin) < min(last, begin + rate):
                    out[second] = (out[second], first - begin, last - begin)
        return out


def fridge(amps_rms: float = 1.2, *, on_s: float = 840.0, period_s: float = 2400.0, first_s: float = 0.0) -> Switched:
    """Return a fridge: a compressor that its thermostat switches.

    Parameters
    ----------
    amps_rms : float
        The motor's running current, in A rms.
    on_s, period_s, first_s : float
        As for :class:`Cycle`.
    """
    return Switched(FridgeMotor(amps_rms), Cycle(on_s, period_s, first_s))

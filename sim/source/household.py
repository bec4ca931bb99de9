"""A household: who switches what on, when, for as long as it takes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from blondel.sim.source.loads import (
    Dimmer,
    FridgeMotor,
    HalfWave,
    InductionCooker,
    Kettle,
    Load,
    Photovoltaic,
    Switched,
    SwitchingSupply,
    Times,
    fridge,
)
from blondel.sim.source.mains import Mains
from blondel.sim.source.service import Service

__all__ = ["OPENING_S", "Habit", "appliances", "household"]

#: In its first two minutes, in s, a household shows all that it has; after that its habits rule.
OPENING_S = 120.0

_DAY_S = 86_400.0


@lru_cache(maxsize=4096)
def _uses(seed: int, day: int, hours: tuple, minutes: tuple) -> tuple[tuple[float, float], ...]:
    """Return when something is on in one day, in s of that day, in order, without overlap."""
    generator = np.random.Generator(np.random.Philox(key=[seed % 2**64, day % 2**64]))
    times = []
    for first, last, mean in hours:
        for _ in range(generator.poisson(mean)):
            on = 3600 * generator.uniform(first, last)
            times.append((on, min(on + 60 * generator.uniform(*minutes), _DAY_S)))
    joined: list[tuple[float, float]] = []
    for on, off in sorted(times):
        if joined and on <= joined[-1][1]:
            on, off = joined[-1][0], max(off, joined.pop()[1])
        joined.append((on, off))
    return tuple(joined)


@dataclass(frozen=True)
class Habit:
    """Uses at random times within some hours of the day: a :class:`~blondel.sim.source.loads.Timetable`.

    Parameters
    ----------
    hours : tuple of (float, float, float)
        Parts of the day, from and to, in h, and how many times it is then used, on average.
    minutes : (float, float)
        Shortest and longest use, in min.
    opening : tuple of (float, float)
        On and off within :data:`OPENING_S`, in s of the samples, whatever the habit.
    seed : int
        Of the times. Default 0.
    start_hour, compression : float
        As for :class:`~blondel.sim.source.loads.Photovoltaic`. Defaults 12, 1.
    """

    hours: tuple[tuple[float, float, float], ...]
    minutes: tuple[float, float]
    opening: tuple[tuple[float, float], ...] = ()
    seed: int = 0
    start_hour: float = 12.0
    compression: float = 1.0

    def intervals(self, start_s: float, stop_s: float) -> list[tuple[float, float]]:
        """Return the intervals (on, off), in s and in order, that overlap ``start_s`` to ``stop_s``."""
        out = Times(self.opening).intervals(start_s, stop_s)
        began = self.start_hour * 3600
        begin, end = (began + max(t, OPENING_S) * self.compression for t in (start_s, stop_s))
        for day in range(math.floor(begin / _DAY_S), math.floor(end / _DAY_S) + 1):
            for on, off in _uses(self.seed, day, self.hours, self.minutes):
                on, off = ((day * _DAY_S + t - began) / self.compression for t in (on, off))
                on = max(on, OPENING_S)
                if on < off and on < stop_s and off > start_s:
                    out.append((on, off))
        return out


def appliances(
    volts: float, *, seed: int = 0, start_hour: float = 11.5, compression: float = 1.0, steps: int | None = None
) -> list[Load]:
    """Return a household's loads: every second one belongs on the second element.

    Parameters
    ----------
    volts : float
        Rated voltage, in V rms.
    seed, start_hour, compression
        As for :func:`household`.
    steps : int or None
        As for :class:`~blondel.sim.source.loads.Photovoltaic`. Default ``None``.
    """

    def at(number: int, load: Load, hours: tuple, minutes: tuple, *opening: tuple[float, float]) -> Switched:
        return Switched(load, Habit(hours, minutes, opening, 1000 * seed + number, start_hour, compression))

    return [
        SwitchingSupply(12.0),
        SwitchingSupply(9.0),
        fridge(180.0 / volts, on_s=840.0 / compression, period_s=2400.0 / compression, first_s=20.0),
        Photovoltaic(3000.0, start_hour, compression, steps=steps, seed=1000 * seed),
        at(1, Kettle(1500.0, volts), ((6, 9, 2), (11, 22, 3)), (2, 4), (5, 14), (24, 62)),
        at(2, InductionCooker(1800.0, volts), ((7, 8, 1), (11, 13, 1), (17, 20, 2)), (10, 40), (8, 58), (66, 110)),
        at(3, Kettle(3500.0, volts), ((0, 24, 14),), (8, 20), (30, 50), (70, 100)),
        at(4, Kettle(3500.0, volts), ((0, 24, 14),), (8, 20), (36, 56), (80, 110)),
        at(5, HalfWave(1200.0, volts), ((6.5, 8.5, 1.5), (19, 22, 0.7)), (3, 8), (18, 29), (64, 72)),
        at(6, SwitchingSupply(160.0), ((7, 9, 1), (17, 21, 2)), (30, 180), (0, OPENING_S)),
        at(7, Dimmer(300.0, volts, firing_deg=70.0), ((6, 8, 1), (18, 22, 3)), (30, 120), (3, 45), (52, 115)),
        at(8, FridgeMotor(600.0 / volts, inrush=5.0), ((9, 20, 5),), (2, 10), (12, 33), (60, 90)),
    ]


def household(
    *,
    volts: float = 120.0,
    hertz: float = 60.0,
    elements: int = 2,
    seed: int = 1,
    start_hour: float = 11.5,
    compression: float = 1.0,
    sample_rate_hz: float = 8000.0,
    duration_s: float | None = None,
    repeating: bool = False,
) -> Service:
    """Return a household that lives as its seed says.

    It begins shortly before noon, with the sun's power flowing back on the second element and, in the
    first two minutes, a turn of every load; then each appliance is used at its hours, day after day.

    Parameters
    ----------
    volts : float
        Mains voltage, and the appliances' rated one, in V rms. Default 120.
    hertz : float
        Mains frequency; it wanders by 0.02 Hz. Default 60.
    elements : int
        V·I pairs. The loads are dealt out to them one after another; where there are more elements
        than loads, more households share the service. Default 2.
    seed : int
        Of the times and the clouds. Default 1.
    start_hour : float
        Time of day at frame 0, in h. Default 11.5.
    compression : float
        Seconds of the day that pass in a second of the samples: with 60 a day takes 24 minutes. Mains,
        inrush and bursts keep their pace, uses become as much shorter. Default 1.
    sample_rate_hz : float
        Frames per second. Default 8000.
    duration_s : float or None
        How long it lasts, in s. Default ``None``: without end.
    repeating : bool
        Whether seconds are to come again, as :class:`~blondel.sim.source.seconds.Seconds` needs it: then the mains'
        frequency does not wander, and the sun's power has steps of 2 %. Default false.

    Raises
    ------
    ValueError
        A parameter is impossible.
    """
    if not elements >= 1:
        raise ValueError(f"elements is {elements}; allowed: 1 or more")
    if not compression > 0:
        raise ValueError(f"compression is {compression}; allowed: more than 0")
    loads: list[list[Load]] = [[] for _ in range(elements)]
    number = 0
    while number == 0 or number < elements:
        more = appliances(
            volts, seed=seed + number, start_hour=start_hour, compression=compression, steps=50 if repeating else None
        )
        for load in more:
            loads[number % elements].append(load)
            number += 1
    harmonics = {3: (0.008, 200.0), 5: (0.022, 170.0), 7: (0.012, 20.0), 11: (0.005, 80.0)}
    mains = Mains(
        volts=volts,
        hertz=hertz,
        angles_deg=tuple(180.0 * (element % 2) for element in range(elements)),
        harmonics={k: value for k, value in harmonics.items() if k * hertz < 0.4 * sample_rate_hz},
        drift_hz=0.0 if repeating else 0.02,
        drift_s=47.0,
    )
    return Service(mains, loads, sample_rate_hz=sample_rate_hz, duration_s=duration_s)

"""Loads: power, rms and crest factor against closed forms, timetables, and the household they make."""

from __future__ import annotations

import itertools
import math
import time

import numpy as np
import pytest
from harness import rng

from blondel.sim.source.household import OPENING_S, Habit, appliances, household
from blondel.sim.source.loads import (
    Burst,
    Cycle,
    Dimmer,
    FridgeMotor,
    HalfWave,
    InductionCooker,
    Kettle,
    Load,
    Photovoltaic,
    Sine,
    Switched,
    SwitchingSupply,
    Times,
    fridge,
)
from blondel.sim.source.mains import Mains
from blondel.sim.source.service import Service

RATE = 8000.0
VOLTS = 120.0


class Conductance(Load):
    """1 S, and an inrush that only the frames since the switching tell."""

    def amps(self, wave, since=0):
        return np.ones(len(wave)) + (wave.frames == since)


def run(load, seconds=1.0, start_s=0.0, hertz=60.0, rate=RATE, **mains):
    service = Service(Mains(volts=VOLTS, hertz=hertz, **mains), [[load]], sample_rate_hz=rate)
    volts, amps = service.samples(round(start_s * rate), round(seconds * rate))
    return volts[:, 0], amps[:, 0]


def watts(load, **settings):
    volts, amps = run(load, **settings)
    return (volts * amps).mean()


def rms(wave):
    return math.sqrt((wave * wave).mean())


# ---- closed forms ----------------------------------------------------------------------------------


def test_kettle_takes_its_rated_power_and_the_lines_distortion():
    assert watts(Kettle(1500.0, VOLTS)) == pytest.approx(1500)
    assert watts(Kettle(1500.0, 2 * VOLTS)) == pytest.approx(375)
    volts, amps = run(Kettle(1500.0, VOLTS), harmonics={3: (0.1, 0.0)})
    np.testing.assert_allclose(amps, volts * 1500 / VOLTS**2)
    assert (volts * amps).mean() == pytest.approx(1500 * 1.01)


def test_half_wave_takes_half_and_draws_dc():
    volts, amps = run(HalfWave(1200.0, VOLTS))
    assert (volts * amps).mean() == pytest.approx(600)
    assert amps.mean() == pytest.approx(math.sqrt(2) * 10 / math.pi, rel=1e-3)
    assert rms(amps) == pytest.approx(10 / math.sqrt(2))
    assert amps.min() == 0


def test_burst_is_whole_cycles_of_its_load():
    burst = Burst(Sine(10.0), 60.0, on_cycles=2, off_cycles=3)
    sine, (_, amps) = run(Sine(10.0))[1], run(burst)
    cycle = np.floor(np.arange(len(amps)) * 60 / RATE)
    np.testing.assert_array_equal(amps, np.where(cycle % 5 < 2, sine, 0.0))
    assert watts(burst) == pytest.approx(0.4 * 1200)


@pytest.mark.parametrize("degrees", [0.0, 40.0, 90.0, 135.0, 180.0])
def test_dimmer_cuts_its_part_of_each_half_cycle(degrees):
    # 59.97 Hz: over 100 s the edges fall everywhere between two samples.
    volts, amps = run(Dimmer(300.0, VOLTS, degrees), hertz=59.97, seconds=100)
    alpha = math.radians(degrees)
    part = 1 - alpha / math.pi + math.sin(2 * alpha) / (2 * math.pi)
    assert (volts * amps).mean() == pytest.approx(300 * part, abs=0.03)
    assert amps.mean() == pytest.approx(0, abs=1e-3)
    angle = np.degrees(2 * np.pi * 59.97 * np.arange(8000) / RATE) % 180
    off = (angle > 0.01) & (angle < degrees - 0.01)
    on = (angle > degrees + 0.01) & (angle < 179.99)
    assert not amps[:8000][off].any()
    assert amps[:8000][on].all()


@pytest.mark.parametrize("half_width_deg", [3.0, 6.0, 20.0, 90.0])
def test_switching_supply_draws_pulses_at_the_peaks(half_width_deg):
    load = SwitchingSupply(100.0, half_width_deg)
    # At 97 kHz and 59.97 Hz even 3° are many samples.
    volts, amps = run(load, seconds=20, hertz=59.97, rate=97_000.0)
    assert (volts * amps).mean() == pytest.approx(100, rel=1e-4)
    assert amps.mean() == pytest.approx(0, abs=1e-3)
    beta, kept = math.radians(half_width_deg), math.cos(math.radians(half_width_deg))
    # ∫ (cos u − cos β)² du over ±β, and the peak, 1 − cos β.
    squares = beta * (1 + 2 * kept**2) - 3 * kept * math.sin(beta)
    crest = (1 - kept) / math.sqrt(squares / math.pi)
    assert abs(amps).max() / rms(amps) == pytest.approx(crest, rel=1e-3)
    assert (amps != 0).mean() == pytest.approx(half_width_deg / 90, abs=2e-4)
    assert abs(volts[amps != 0]).min() >= math.sqrt(2) * VOLTS * kept * 0.999


@pytest.mark.parametrize("volts", [108.0, 132.0, 240.0])
def test_switching_supply_keeps_its_power_and_a_crest_factor_above_5(volts):
    service = Service(Mains(volts=volts, hertz=59.97), [[SwitchingSupply(100.0)]])
    v, i = service.samples(0, 800_000)
    assert (v * i).mean() == pytest.approx(100, rel=1e-3)
    assert abs(i).max() / rms(i) > 5


def test_fridge_motor_starts_with_its_inrush_from_zero():
    load = Switched(FridgeMotor(1.5, "0.6lag", inrush=6.0, start_s=0.1), Times(((0.1234, 30.0),)))
    volts, amps = run(load, seconds=12.0)
    first = math.ceil(0.1234 * RATE)
    assert not amps[:first].any()
    assert amps[first] == pytest.approx(0, abs=1e-12)
    # Smooth from there: no step larger than the inrush's own slope.
    slope = math.sqrt(2) * 1.5 * 6 * (2 * math.pi * 60 + 1 / 0.025) / RATE * 1.3
    assert abs(np.diff(amps[first - 1 : first + 800])).max() < slope
    assert 5 * 1.5 * math.sqrt(2) < abs(amps).max() < 2 * 6 * 1.5 * math.sqrt(2)
    running = slice(-8000, None)
    seconds = np.arange(len(amps) - first) / RATE
    angle = 2 * np.pi * 60 * (first / RATE + seconds)
    saturated = (1 + 5 * np.exp(-seconds / 0.1)) * np.sin(angle - math.acos(0.6)) + 0.08 * np.sin(3 * angle)
    expected = 1.5 * math.sqrt(2) * (saturated - saturated[0] * np.exp(-seconds / 0.025))
    np.testing.assert_allclose(amps[first:], expected, atol=1e-9)
    assert (volts * amps)[running].mean() == pytest.approx(VOLTS * 1.5 * 0.6)
    assert rms(amps[running]) == pytest.approx(1.5 * math.sqrt(1 + 0.08**2))
    assert amps[running].mean() == pytest.approx(0, abs=1e-12)


def test_fridge_cycles():
    load = fridge(1.5, on_s=3.0, period_s=7.0, first_s=1.0)
    _, amps = run(load, seconds=21)
    on = np.add.reduceat(abs(amps), np.arange(0, len(amps), 8000)) > 0
    np.testing.assert_array_equal(on, [(t - 1) % 7 < 3 and t >= 1 for t in range(21)])
    peaks = [abs(amps[(1 + 7 * n) * 8000 : (2 + 7 * n) * 8000]).max() for n in range(3)]
    np.testing.assert_allclose(peaks, peaks[0], rtol=0.01)


def test_induction_cooker_bursts():
    load = InductionCooker(1800.0, VOLTS, burst_s=1.0, period_s=2.5, ramp_s=0.1, filter_amps=0.25)
    volts, amps = run(load, seconds=10)
    # While the burst comes up, its power rises evenly: half of it on average.
    assert (volts * amps).mean() == pytest.approx(1800 * (1.0 - 0.05) / 2.5, rel=1e-4)
    between = amps[int(1.1 * RATE) : int(2.1 * RATE)]
    assert rms(between) == pytest.approx(0.25)
    within = amps[int(0.2 * RATE) : int(0.9 * RATE)]
    assert rms(within) == pytest.approx(math.hypot(15, 0.25), rel=1e-3)


def test_photovoltaic_feeds_back_what_the_sky_allows():
    clear = Photovoltaic(3000.0, clouds=0.0)
    assert watts(clear) == pytest.approx(-3000, rel=1e-6)
    assert watts(Photovoltaic(3000.0, start_hour=8.0, clouds=0.0)) == pytest.approx(-1500, rel=1e-3)
    for hour in (0.0, 3.0, 5.9, 18.1, 23.5, 29.0):
        _, amps = run(Photovoltaic(3000.0, start_hour=hour))
        assert not amps.any(), f"{hour} h"
    assert watts(Photovoltaic(3000.0, 9.0, 3600.0, 0.0), start_s=2.9, seconds=0.1) == pytest.approx(-3000, rel=0.01)
    cloudy = Photovoltaic(3000.0, seed=3)
    levels = np.array([cloudy.level(t) for t in range(3600)])
    assert levels.min() < 0.25
    assert (levels > 0.99).mean() > 0.2
    assert np.abs(np.diff(levels)).max() < 0.2
    power = [watts(cloudy, start_s=t, seconds=1) for t in range(30)]
    np.testing.assert_allclose(power, -1500 * (levels[:30] + levels[1:31]), rtol=1e-3)
    assert [Photovoltaic(3000.0, seed=4).level(t) for t in range(60)] != list(levels[:60])


@pytest.mark.parametrize(
    ("make", "message"),
    [(lambda: Burst(Sine(1.0), 0.0), "hertz is 0.0; allowed: more than 0"),
     (lambda: Burst(Sine(1.0), 60.0, off_cycles=0), "off_cycles is 0; allowed: 1 or more"),
     (lambda: Dimmer(1.0, 1.0, 181.0), "firing_deg is 181.0; allowed: 0 to 180"),
     (lambda: SwitchingSupply(1.0, 0.0), "half_width_deg is 0.0; allowed: more than 0, to 90"),
     (lambda: InductionCooker(1.0, 1.0, burst_s=4.0), r"ramp_s, burst_s, period_s are 0.06, 4.0, 3.0; allowed: 0 < "),
     (lambda: Cycle(2.0, 1.0), r"on_s, period_s are 2.0, 1.0; allowed: 0 < on_s <= period_s"),
     (lambda: Photovoltaic(1.0, clouds=1.5), "clouds is 1.5; allowed: 0 to 1"),
     (lambda: household(compression=0.0), "compression is 0.0; allowed: more than 0"),
     (lambda: household(elements=0), "elements is 0; allowed: 1 or more")],
)  # fmt: skip
def test_impossible_loads_are_refused(make, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        make()


# ---- times -----------------------------------------------------------------------------------------


def test_switching_is_at_the_first_frame_at_or_after_each_time():
    _, amps = run(Switched(Conductance(), Times(((0.0, 1.0), (1.00001, 2.0), (2.5, 2.500125), (2.6, 2.60001)))), 3.0)
    expected = np.zeros(24_000)
    expected[0:8000] = expected[8001:16_000] = expected[20_000:20_001] = expected[20_800:20_801] = 1
    expected[[0, 8001, 20_000, 20_800]] += 1
    np.testing.assert_array_equal(amps, expected)


def test_nested_switching_begins_anew_each_time():
    cycling = Switched(Conductance(), Cycle(on_s=0.1, period_s=0.5, first_s=0.2))
    _, amps = run(Switched(cycling, Times(((1.0, 2.0), (2.25, 3.0)))), 3.0)
    on = np.flatnonzero(np.diff(amps > 0)) + 1
    np.testing.assert_allclose(on / RATE, [1.2, 1.3, 1.7, 1.8, 2.45, 2.55, 2.95])


def test_cycle_overlaps_what_it_is_asked_for():
    cycle = Cycle(on_s=2.0, period_s=5.0, first_s=1.0)
    assert cycle.intervals(0.0, 1.0) == []
    assert cycle.intervals(0.0, 1.5) == [(1.0, 3.0)]
    assert cycle.intervals(2.9, 6.1) == [(1.0, 3.0), (6.0, 8.0)]
    assert cycle.intervals(3.0, 6.0) == []
    assert cycle.intervals(-10.0, 20.0) == [(1.0, 3.0), (6.0, 8.0), (11.0, 13.0), (16.0, 18.0)]


def test_habits_keep_their_hours_and_their_number():
    habit = Habit(((6.0, 8.0, 1.5), (18.0, 23.5, 3.0)), (10.0, 60.0), seed=9, start_hour=0.0)
    days = 400
    times = habit.intervals(OPENING_S, days * 86_400.0)
    on, off = np.array(times).T
    assert (on[1:] > off[:-1]).all()
    hour = on / 3600 % 24
    assert (((hour >= 6) & (hour < 8)) | ((hour >= 18) & (hour < 23.5))).all()
    assert (off - on).min() >= 600 - 1e-6
    # Uses that overlap join: of λ an hour that last D, λ exp(−λD) are left, and those at the beginning.
    assert 1.5 * math.exp(-1.5 / 2 * 35 / 60) + 3 * math.exp(-3 / 5.5 * 35 / 60) < len(times) / days < 3.6
    assert habit.intervals(OPENING_S, days * 86_400.0) == times
    some = [time for time in times if time[0] < 50_000 and time[1] > 20_000]
    assert habit.intervals(20_000.0, 50_000.0) == some
    fast = Habit(habit.hours, habit.minutes, seed=9, start_hour=0.0, compression=60.0)
    np.testing.assert_allclose(np.array(fast.intervals(OPENING_S, 14_400.0))[1:] * 60, np.array(times)[
        [on > OPENING_S * 60 and on < 14_400 * 60 for on, _ in times]][1:])  # fmt: skip
    busy = Habit(((11.0, 14.0, 50.0),), (60.0, 120.0), opening=((1.0, 2.0),))
    assert busy.intervals(0.0, OPENING_S) == [(1.0, 2.0)]
    assert busy.intervals(0.0, OPENING_S + 1)[1][0] == OPENING_S
    assert Habit(habit.hours, habit.minutes, seed=10).intervals(0, 86_400) != habit.intervals(0, 86_400)


ANY = [
    Kettle(1500.0, VOLTS),
    HalfWave(1200.0, VOLTS),
    Dimmer(300.0, VOLTS, 70.0),
    Burst(Sine(10.0), 60.0),
    SwitchingSupply(100.0),
    InductionCooker(1800.0, VOLTS),
    Photovoltaic(3000.0),
    Sine(3.0, "0.5lag"),
    fridge(1.5, on_s=1.7, period_s=4.1, first_s=0.3),
    Switched(fridge(1.5, on_s=0.7, period_s=1.1), Cycle(3.3, 5.0)),
]


@pytest.mark.parametrize("load", ANY, ids=lambda load: type(load).__name__)
def test_any_part_of_a_run_is_to_be_had_at_once(load):
    generator = rng(f"parts of {type(load).__name__}")
    mains = Mains(volts=VOLTS, hertz=59.97, drift_hz=0.1, harmonics={5: (0.02, 10.0)})
    service = Service(mains, [[load]])
    _, amps = service.samples(0, 80_000)
    for _ in range(60):
        start = generator.randrange(80_000)
        count = min(generator.choice((1, 2, 100, 9000, 20_000)), 80_000 - start)
        np.testing.assert_array_equal(service.samples(start, count)[1], amps[start : start + count])


# ---- household -------------------------------------------------------------------------------------


def powers(service, seconds, start_s=0):
    """Power of each second, of each element."""
    rate = round(service.sample_rate_hz)
    return np.array([(v * i).mean(axis=0) for v, i in (
        service.samples((start_s + t) * rate, rate) for t in range(seconds))])  # fmt: skip


@pytest.mark.parametrize("start_s", [0, 16], ids=["at once", "after settling"])
def test_the_first_minute_shows_everything(start_s):
    power = powers(household(), 60, start_s)
    assert (abs(np.diff(power, axis=0)) > 500).sum(axis=0).min() >= 4, "loads come and go on both elements"
    assert power[:, 0].min() > 0
    assert (power[:, 1] < -1000).any(), "the sun's power flows back at noon"
    assert (power[:, 1] > 1000).any(), "and is taken again"
    delivered = power.sum(axis=1).sum() / 3600
    assert delivered > 10, "enough for pulses"
    service = household()
    for element, loads in enumerate(service.loads):
        for load in loads:
            waves = service.mains.waves(start_s * 8000, 60 * 8000, 2, 8000.0)
            amps = load.amps(waves[element])
            assert amps.any(), f"{load} draws nothing in the first minute"


def test_every_kind_of_load_lives_there():
    found = {type(load.load if isinstance(load, Switched) else load) for load in appliances(VOLTS)}
    assert found == {Kettle, FridgeMotor, Dimmer, HalfWave, SwitchingSupply, InductionCooker, Photovoltaic}


def test_a_compressed_day_has_its_night_and_stays_below_class_amps():
    service = household(compression=60.0, sample_rate_hz=1000.0)
    volts, amps = service.samples(0, 1_440_000)
    seconds = (volts * amps).reshape(1440, 1000, 2).mean(axis=1)
    current = np.sqrt((amps * amps).reshape(1440, 1000, 2).mean(axis=1))
    assert current.max() < 100
    hour = (11.5 + np.arange(1440) / 60) % 24
    night = (hour > 19) | (hour < 5)
    assert seconds[night].min() >= 0
    assert (seconds[(hour > 10) & (hour < 14), 1] < -1000).any()
    assert 3 < seconds[:, 0].mean() * 24 / 1000 < 40, "kWh a day"
    assert len(set(np.round(seconds[:, 0], -2))) > 15


def test_a_seed_is_a_household_of_its_own():
    late = 3600 * 3
    one, again, other = (powers(household(seed=seed), 20, late) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)
    days = [powers(household(seed=1, compression=3600.0), 24, 120 + 24 * day) for day in range(2)]
    assert not np.allclose(*days, rtol=1e-3)


def test_household_chunks_join_to_the_whole():
    service = household()
    start = 23 * 8000 + 17
    volts, amps = service.samples(start, 50_000)
    for a, b in itertools.pairwise([0, 1, 8191, 20_000, 50_000]):
        part_v, part_i = service.samples(start + a, b - a)
        np.testing.assert_array_equal(part_v, volts[a:b])
        np.testing.assert_array_equal(part_i, amps[a:b])


@pytest.mark.parametrize("elements", [1, 2, 3, 64])
def test_loads_are_dealt_out_to_the_elements(elements):
    service = household(elements=elements, volts=240.0, hertz=50.0, sample_rate_hz=400.0, duration_s=60)
    assert service.elements == elements
    assert all(service.loads)
    volts, amps = service.samples(0, 24_000)
    assert volts.shape == amps.shape == (24_000, elements)
    np.testing.assert_allclose(np.sqrt((volts**2).mean(axis=0)), 240, rtol=0.01)
    assert (abs(amps).max(axis=0) > 0).all()
    assert service.duration_s == 60
    if elements == 64:
        assert not np.array_equal(amps[:, 15], amps[:, 27]), "each household has its own clouds"


def test_sources_keep_up_with_the_meters():
    """Half of what is wanted, on a machine that does other things too."""
    for service, wanted in (
        (Service(Mains(volts=120.0, hertz=60.0), [[Sine(10.0)], [Sine(5.0, "0.5lag")]]), 2.5e6),
        (household(), 0.5e6),
    ):
        service.samples(0, 10)
        began = time.perf_counter()
        service.samples(10**6, 400_000)
        assert 400_000 / (time.perf_counter() - began) > wanted

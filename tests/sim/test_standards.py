"""The laboratory: what it applies, how sure it is of what it reads, and how it judges."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from harness import SEED

from blondel.hdl.config import MeterConfig
from blondel.hdl.model_number import ModelNumber
from blondel.sim.afe.front_end import FrontEnd, Parts
from blondel.sim.calibrate import calibrate
from blondel.sim.engine import Events
from blondel.sim.golden.meter import GoldenMeter
from blondel.sim.measure import ENGINES
from blondel.sim.standards import laboratory, limits
from blondel.sim.standards.budget import CONTRIBUTIONS, LOADS, Budget, budget
from blondel.sim.standards.describe import describe
from blondel.sim.standards.laboratory import Task, cycles_of, frames_for, plan, run
from blondel.sim.standards.population import POINTS, Member, Population, population, wilson
from blondel.sim.standards.results import Point, Provenance, TestResult, TypeTest
from blondel.sim.standards.stimulus import Stimulus
from blondel.sim.standards.waveforms import WAVEFORMS

SINGLE = MeterConfig.for_model("MSNCT-1SC")
DUAL = MeterConfig.for_model("MDNCT-2SC")


def stimulus(config=SINGLE, part=0.15, **changes):
    own = {"volts": config.line.v_nominal, "hertz": 60.0, "amps": (part * config.class_amps,) * config.elements}
    return Stimulus(**own | changes)


def task(config, parts, applied, seconds, seed=SEED):
    frames, uncertainty = frames_for(
        applied, laboratory.noise_of(config, parts), config.sample_rate_hz, 1e9, (seconds, seconds)
    )
    return Task(config, parts, applied, seed, frames, uncertainty, "error", GoldenMeter)


# ---- stimuli ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WAVEFORMS)
def test_every_waveform_repeats_within_a_readings_cycles_and_fits_the_converter(name):
    applied = stimulus(part=0.5, waveform=name)
    source = applied.source(8000.0)
    frames = round(cycles_of(applied, 0.1) * 8000 / 60)
    volts, amps = source.samples(0, 2 * frames)
    assert frames == 1600
    np.testing.assert_allclose(volts[:frames], volts[frames:], atol=1e-6)
    np.testing.assert_allclose(amps[:frames], amps[frames:], atol=1e-6)
    assert np.abs(volts).max() < SINGLE.v_full_scale
    assert np.abs(amps).max() < SINGLE.i_full_scale
    part = source.samples(777, 100)
    np.testing.assert_allclose(part, (volts[777:877], amps[777:877]), atol=1e-9)


@pytest.mark.parametrize(
    ("name", "of_sine"), [("fifth", 1.04), ("phase_fired", 0.5), ("pulse", 1.0), ("half_wave", 0.5), ("burst", 0.5)]
)
def test_power_of_the_waveforms(name, of_sine):
    volts, amps = stimulus(waveform=name).source(8000.0).samples(0, 1600)
    # An edge falls between two samples.
    assert (volts * amps).mean() == pytest.approx(of_sine * 120 * 15, rel=2e-2 if name == "phase_fired" else 2e-3)


def crossings(wave):
    return np.count_nonzero(np.diff(np.signbit(wave)))


def test_multiple_zero_crossings():
    for name, which in (("zero_crossings_v", 0), ("zero_crossings_i", 1)):
        waves = stimulus(waveform=name).source(8000.0).samples(5, 400)
        assert crossings(waves[which][:, 0]) == 3 * crossings(waves[1 - which][:, 0]) == 18


def test_stimuli_have_keys_of_their_own_and_go_through_json():
    keys = set()
    for standard in (limits.IEC, limits.ANSI):
        for accuracy_class in standard.classes:
            stimuli = [each.stimulus for each in plan(DUAL, Parts.ideal(DUAL), accuracy_class).tasks]
            keys = {each.key for each in stimuli}
            assert len(keys) == len(stimuli)
            for each in stimuli:
                assert Stimulus.from_json(json.loads(json.dumps(each.to_json()))) == each


# ---- uncertainty -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("config", "part", "factor"), [(SINGLE, 0.002, "1"), (DUAL, 0.002, "0.5lag")])
def test_predicted_uncertainty_is_the_scatter_over_seeds(config, part, factor):
    """Noise alone differs between the seeds: of 40 readings the deviation is known to 11 % (one in k = 1)."""
    parts = Parts.nominal(config)
    tasks = [task(config, parts, stimulus(config, part, factor=factor), 0.2, seed) for seed in range(40)]
    errors = [each().values["error"] for each in tasks]
    assert 2 * np.std(errors, ddof=1) == pytest.approx(tasks[0].uncertainty_percent, rel=0.35)


def test_frames_follow_from_the_wanted_uncertainty():
    parts = Parts.nominal(SINGLE)
    noise = FrontEnd(SINGLE, parts).noise
    applied = stimulus(part=0.001)
    frames, uncertainty = frames_for(applied, noise, 8000.0, 0.01, (1.0, 1000.0))
    assert 0.009 < uncertainty <= 0.01
    assert frames % 1600 == 0
    quarter, double = frames_for(applied, noise, 8000.0, 1e-9, (1.0, frames / 4 / 8000))
    assert quarter == pytest.approx(frames / 4, abs=1600)
    assert double == pytest.approx(2 * uncertainty, rel=0.02)
    assert frames_for(stimulus(part=0.0), noise, 8000.0, 0.01, (2.0, 9.0)) == (16_000, 0.0)


@pytest.mark.parametrize("accuracy_class", ["0.5", "0.2S"])
def test_uncertainty_is_a_tenth_of_the_limit_or_the_reading_is_as_long_as_it_may_be(accuracy_class):
    """Only at a ten-thousandth of the class amps is the noise too much for that."""
    test = plan(SINGLE, Parts.nominal(SINGLE), accuracy_class)
    tasks = {each.stimulus.key: each for each in test.tasks}
    longest = set()
    for check in test.checks:
        if check.quantity == "error" and check.high is not None:
            keys = [check.key] if check.reference is None else [check.key, check.reference]
            uncertainty = np.hypot.reduce([tasks[key].uncertainty_percent for key in keys])
            if uncertainty > check.high / 10:
                longest.add(tasks[check.key].stimulus.amps)
                assert tasks[check.key].frames == pytest.approx(8000 * laboratory.SECONDS[1], rel=1e-3)
                assert uncertainty <= check.high
    assert longest <= {(0.01,)}


# ---- done: what the arithmetic alone costs -----------------------------------------------------------


@pytest.mark.parametrize(("ratio", "limit_percent"), [(10_000, 1e-3), (20_000, 2e-3)])
@pytest.mark.parametrize("factor", ["1", "0.5lag"])
def test_arithmetic_alone(ratio, limit_percent, factor):
    """10 ppm over 10,000:1, and 20 ppm over 20,000:1."""
    reading = task(SINGLE, Parts.ideal(SINGLE), stimulus(part=1 / ratio, factor=factor), 150.0)()
    assert reading.uncertainties["error"] < limit_percent / 1.5
    assert abs(reading.values["error"]) <= limit_percent


# ---- done: every model within class 0.5 ---------------------------------------------------------------


def test_models_that_measure_alike():
    """Counter and terminals measure nothing, and a model without a CT has the solid-core one for reference."""
    for model in ModelNumber.all():
        alike = replace(model, counter_wh=100, ct_kind=model.ct_kind.replace("NC", "SC"))
        config, other = (MeterConfig.for_model(each) for each in (model, alike))
        assert config.with_changes(model=other.model, counter_wh=other.counter_wh) == other
        assert Parts.draw(config, 1, 0) == Parts.draw(other, 1, 0)


@pytest.mark.parametrize("line_hz", [60, 50])
@pytest.mark.parametrize("model", ["MSNCT-1SC", "MSNCT-2SC", "MDNCT-1SC", "MDNCT-2SC", "MSNCT-1SP", "MDNCT-2SP"])
def test_a_drawn_meter_is_within_class_05(model, line_hz):
    """The short plan; what the data sheet claims for solid-core CTs alone is no claim for split-core ones."""
    config = MeterConfig.for_model(model, line_hz)
    parts = Parts.draw(config, 1, 0)
    test = plan(calibrate(config, parts), parts, "0.5", quick=True)
    result = test.judge(run(test.tasks))
    assert result.failed == ()
    claimed = [key for key in ("wide_range", "data_sheet_temperature") if result.test(key).passed]
    assert claimed == ([] if model.endswith("SP") else ["wide_range", "data_sheet_temperature"])


# ---- judging ---------------------------------------------------------------------------------------


def point(value, low=-0.5, high=0.5):
    return Point("t", "l", "error", "%", value, 0.01, low, high, value, {"factor": "1", "amps": [1.0]}, 1.0)


def test_limits_are_inclusive_and_one_sided_where_one_is_missing():
    assert point(0.5).passed
    assert point(-0.5).passed
    assert not point(0.50001).passed
    assert not point(-0.50001).passed
    assert point(9.0, None, None).passed
    assert not point(9.0, None, None).is_judged
    assert point(-9.0, None, 1.0).passed
    assert not point(9.0, None, 1.0).passed
    assert point(-0.25).part_of_limit == 0.5
    assert point(0.1, 0.0, 0.0).part_of_limit == np.inf


def test_a_test_fails_with_its_worst_point():
    provenance = Provenance("own", "made up")
    result = TestResult("t", "T", "…", provenance, (point(0.1), point(-0.7), point(0.6), point(9.0, None, None)))
    assert result.passed is False
    assert result.worst.value == -0.7
    assert TestResult("t", "T", "…", provenance, (point(0.1, None, None),)).passed is None
    with pytest.raises(ValueError, match=r"^provenance is heard; allowed: seen, memory, own$"):
        Provenance("heard", "somewhere")


def test_a_change_is_judged_against_the_same_load_at_the_reference_condition():
    """A meter that reads 1 % too much fails as to its error, and passes as to its changes."""
    config = calibrate(SINGLE, Parts.nominal(SINGLE))
    test = plan(config, Parts.nominal(SINGLE), "0.5", quick=True)
    readings = run(test.tasks)
    off = [
        replace(each, values=each.values | {"error": each.values["error"] + 1}) if "error" in each.values else each
        for each in readings
    ]
    result = test.judge(off)
    changes = [each for each in result.tests if {p.quantity for p in each.points} == {"change"}]
    assert {each.key for each in changes} >= {"voltage", "frequency", "temperature", "harmonics", "sub_harmonics"}
    assert not set(result.failed) & {each.key for each in changes}
    assert "load_performance" in result.failed
    sound = test.judge(readings)
    assert sound.failed == ()
    for each, other in zip(sound.test("voltage").points, result.test("voltage").points, strict=True):
        assert each.value == pytest.approx(other.value, abs=1e-12)
    content = json.loads(json.dumps(sound.to_json()))
    assert json.loads(json.dumps(TypeTest.from_json(content).to_json())) == content
    curves = {curve.factor: curve for curve in sound.curves()}
    assert set(curves) == {"1", "0.5lag", "0.866lead", "0.8lead"}
    amps = [max(each.stimulus["amps"]) for each in curves["1"].points]
    assert amps == sorted(set(amps))
    assert amps[-1] == SINGLE.class_amps


class LosesAPulse(GoldenMeter):
    """The tenth pulse of Output 10 does not come."""

    def __init__(self, config):
        super().__init__(config)
        self._edges = 0

    def next(self, frames, ok=None):
        events = super().next(frames, ok)
        own = np.flatnonzero(events.output == 0)
        lost = [each for n, each in enumerate(own, self._edges) if n // 2 == 10]
        self._edges += len(own)
        return Events(*(np.delete(each, lost) for each in (events.frame, events.output, events.level)))


def test_each_pulse_has_its_energy_from_edge_to_edge():
    """With the delays taken off a pulse is exact to a sample, which has 0.004 % of it in the mean."""
    parts = Parts.nominal(SINGLE)
    one = replace(task(calibrate(SINGLE, parts), parts, stimulus(part=1.0), 61.0), kind="pulses")
    reading = one()
    assert reading.values["repeatability"] < 4e-3
    uncertainty = reading.uncertainties["constant"]
    assert reading.values["constant"] == pytest.approx(reading.values["error"], abs=uncertainty)
    assert abs(reading.values["registers"]) <= 0.5
    lost = replace(one, engine=LosesAPulse)()
    assert lost.values["error"] == reading.values["error"]
    assert lost.values["registers"] == pytest.approx(reading.values["registers"] + 1)
    assert lost.values["repeatability"] > 10
    assert lost.values["constant"] < -4


# ---- plans -----------------------------------------------------------------------------------------


def test_tasks_are_pure_and_picklable():
    parts = Parts.draw(SINGLE, 1, 0)
    one = task(SINGLE, parts, stimulus(part=1.0), 0.2)
    assert pickle.loads(pickle.dumps(one))() == one() == one()
    member = population(SINGLE, 1, seed=1).tasks[0]
    assert pickle.loads(pickle.dumps(member))() == member()


@pytest.mark.parametrize("name", ENGINES)
def test_either_engine_reads_the_same(name):
    test = plan(SINGLE, Parts.nominal(SINGLE), "0.5", quick=True, engine=name)
    one = next(each for each in test.tasks if each.kind == "error")
    assert one.engine is ENGINES[name]
    assert replace(one, frames=1600)() == replace(one, frames=1600, engine=GoldenMeter)()


@pytest.mark.parametrize("accuracy_class", limits.CLASSES)
def test_every_class_has_a_plan_with_all_tests(accuracy_class):
    for config in (SINGLE, DUAL):
        parts = Parts.nominal(config)
        whole, short = plan(config, parts, accuracy_class), plan(config, parts, accuracy_class, quick=True)
        keys = [test.key for test in whole.tests]
        assert keys == [test.key for test in short.tests]
        assert len(set(keys)) == len(keys)
        assert ("elements" in keys) == (config.elements > 1)
        assert {check.test for check in whole.checks} == set(keys)
        assert len(short.tasks) < len(whole.tasks)
        assert sum(each.frames for each in short.tasks) < 0.1 * sum(each.frames for each in whole.tasks)
        read = {each.stimulus.key for each in whole.tasks}
        assert {check.key for check in whole.checks} | {c.reference for c in whole.checks if c.reference} == read


def test_a_class_that_no_standard_has():
    with pytest.raises(ValueError, match=r"^accuracy class is 1; allowed: 0\.1, 0\.2, 0\.5, 0\.2S, 0\.5S$"):
        plan(SINGLE, Parts.nominal(SINGLE), "1")


def test_no_load_lasts_as_the_iec_has_it():
    assert laboratory.no_load_seconds(SINGLE) == pytest.approx(60 * 600e6 / (1000 * 1 * 120 * 110))


# ---- population and budget ---------------------------------------------------------------------------


def test_wilson_interval():
    """Of 10 of 10, and of half of 100: Newcombe, "Two-sided confidence intervals …", 1998, gives 81/263 and 0/20."""
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(20, 20) == pytest.approx((0.8389, 1.0), abs=5e-5)


def test_yield_counts_every_point_and_every_meter():
    good = tuple(0.1 * each.limit for each in POINTS)
    bad = (*good[:-1], -0.5001 * POINTS[-1].limit)
    members = (Member(0, good), Member(1, bad), Member(2, (), "element 1: no current"), Member(3, good))
    result = Population("MSNCT-1SC", 60, 1, POINTS, members)
    assert result.yield_of("0.5").passed == 2
    assert result.yield_of("0.1").passed == 2
    assert result.yield_of("0.5").count == 4
    assert result.errors().shape == (3, len(POINTS))
    assert Population.from_json(json.loads(json.dumps(result.to_json()))) == result


def test_a_small_population():
    test = population(SINGLE, 3, seed=1)
    result = test.judge(run(test.tasks))
    errors = result.errors()
    assert len(np.unique(errors[:, 0])) == 3
    at_23 = [n for n, each in enumerate(POINTS) if each.temperature_c == 23]
    assert np.abs(errors[:, at_23]).max() < 0.1
    assert result.yield_of("0.5").passed == 3
    with pytest.raises(ValueError, match=r"^count is 0; allowed: 1 or more$"):
        population(SINGLE, 0)


def test_budget_adds_up_to_the_error():
    test = budget(SINGLE, 1, seed=1)
    result = test.judge(run(test.tasks))
    rms = np.array(result.rms_percent)
    assert rms.shape == (len(CONTRIBUTIONS) + 2, 4, len(LOADS))
    # Of one meter the rms of a part is its magnitude; together they are at least the whole.
    assert (rms[:-1].sum(axis=0) >= rms[-1] - 1e-9).all()
    arithmetic, divider = rms[0], rms[list(result.contributions).index("divider")]
    assert arithmetic.max() < 1e-4
    as_made, calibrated = 0, 1
    assert divider[as_made].min() > 100 * divider[calibrated].max()
    assert Budget.from_json(json.loads(json.dumps(result.to_json()))) == result
    with pytest.raises(ValueError, match=r"^count is 0; allowed: 1 or more$"):
        budget(SINGLE, 0)


def test_the_page_has_the_tables_of_the_data():
    page = (Path(__file__).parents[2] / "docs" / "standards.md").read_text(encoding="utf-8")
    assert describe() in page, "python -m blondel.sim.standards.describe prints what docs/standards.md has to have"

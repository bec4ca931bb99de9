"""Calibration: it finds what is wrong with a meter, repeating it changes nothing, and a bench error has its name."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from harness import rng

from blondel.hdl.config import ChannelCalibration, MeterConfig
from blondel.hdl.model_number import ModelNumber
from blondel.sim import calibrate as calibration
from blondel.sim.afe.adc import IdealAdc
from blondel.sim.afe.front_end import FrontEnd
from blondel.sim.afe.parts import Parts
from blondel.sim.bench import Reading, Step, take_readings
from blondel.sim.calibrate import BenchError, adjust, calibrate, plan_steps, simulate
from blondel.sim.measure import make_engines, measure
from blondel.sim.source.loads import Sine
from blondel.sim.source.mains import Mains
from blondel.sim.source.service import Service

DUAL = MeterConfig.for_model("MDNCT-1SC")
SINGLE = MeterConfig.for_model("MSNCT-2SC")


def read(config: MeterConfig, steps, *, seconds: float = 1.25, converter=None) -> list[Reading]:
    """Take readings behind a converter that is ideal but for its noise and offset, or another one."""
    converter = converter or IdealAdc(config, noise_lsb=50, offset_lsb=1000)
    return take_readings(config, converter, steps, sample_rate_hz=config.sample_rate_hz, seconds=seconds)


def loaded(config: MeterConfig, element: int, factor: str = "1", amps: float | None = None) -> Step:
    """Return a step of the plan, or one of its kind with another current."""
    volts = (config.line.v_nominal,) * config.elements
    amps = calibration.test_amps(config) if amps is None else amps
    return Step(volts, tuple(amps * (e == element) for e in range(config.elements)), factor, config.line.hertz)


# ---- it finds what is wrong ------------------------------------------------------------------------


@pytest.mark.parametrize("config", [DUAL, SINGLE, MeterConfig.for_model("MDTCT-2SP", 50, sample_rate_hz=4000)], ids=str)
def test_it_takes_back_what_is_wrong(config):
    """A meter with ideal parts and wrong words: their errors are known, and so are the words to be found."""
    random = rng("wrong words")
    wrong = []
    for channel in range(config.channels):
        # Early currents need delay; the voltages' gains are taken back by the currents'.
        gain, early = random.uniform(0.93, 1.07), random.uniform(0.1e-6, 60e-6)
        wrong.append(ChannelCalibration(gain=gain, delay_s=-early if channel % 2 else 0.0))
    config = config.with_changes(calibration=tuple(wrong))
    found = adjust(config, read(config, plan_steps(config), seconds=2.5))
    for element, adjusted in enumerate(found.elements):
        voltage, current = wrong[2 * element : 2 * element + 2]
        early = -2 * math.pi * config.line.hertz * current.delay_s
        error = voltage.gain * current.gain * (math.cos(early) + math.tan(math.acos(0.5)) * math.sin(early)) - 1
        assert adjusted.lag_found == pytest.approx(error, abs=20e-6)
        assert adjusted.current.gain == pytest.approx(1 / voltage.gain, rel=20e-6)
        assert adjusted.current.delay_s == pytest.approx(0, abs=0.05e-6)
        assert not adjusted.kept
        # The delay's decimals, and those of the gain.
        assert max(abs(adjusted.unity_left), abs(adjusted.lag_left)) < 0.2e-6
        assert found.config.calibration[2 * element] == replace(voltage, offset=pytest.approx(1000, abs=8))
        assert found.config.calibration[2 * element + 1].offset == pytest.approx(1000, abs=8)


@pytest.mark.parametrize("model", [str(model) for model in ModelNumber.all()])
@pytest.mark.parametrize("line", [60, 50])
def test_every_model_is_calibrated_and_repeating_it_changes_nothing(model, line):
    config = MeterConfig.for_model(model, line)
    parts = Parts.nominal(config)
    calibrated = calibrate(config, parts, seed=1)
    assert calibrated.calibration
    assert calibrated.with_changes(calibration=()) == config
    assert calibrate(calibrated, parts, seed=2) == calibrated


@pytest.mark.parametrize("seed", range(5))
def test_whatever_the_noise_repeating_it_changes_nothing(seed):
    parts = Parts.nominal(DUAL)
    calibrated = calibrate(DUAL, parts, seed=rng(f"noise {seed}").getrandbits(32))
    for _ in range(2):
        assert calibrate(calibrated, parts, seed=rng(f"again {seed}").getrandbits(32)) == calibrated


@pytest.mark.parametrize(("bits", "rate"), [(16, 8000), (16, 2000), (20, 4000), (24, 16000)])
def test_whatever_the_samples_repeating_it_changes_nothing(bits, rate):
    config = MeterConfig.for_model("MSNCT-1SC", sample_bits=bits, sample_rate_hz=rate)
    parts = Parts.draw(config, rng(f"meter {bits} {rate}").getrandbits(32), 0)
    calibrated = calibrate(config, parts, seed=1)
    assert calibrate(calibrated, parts, seed=2) == calibrated


@pytest.mark.parametrize("factor", ["1", "0.5lag", "0.866lead", "0.8lag"])
def test_a_calibrated_meter_is_right_at_other_power_factors(factor):
    """Measured by what measures everything else, and at power factors at which it was not calibrated."""
    config = MeterConfig.for_model("MSNCT-1SC")
    parts = Parts.nominal(config)

    def error_ppm(config: MeterConfig) -> float:
        front_end = FrontEnd(config, parts, seed=3)
        mains = Mains(volts=config.line.v_nominal, hertz=config.line.hertz)
        source = Service(mains, [[Sine(15, factor)]], sample_rate_hz=front_end.sample_rate_hz)
        settle = config.frames_in(config.settle_s)
        found = measure(
            config, source, make_engines(config, "golden"), settle_frames=settle, frames=16000, converter=front_end
        )
        return found.figures.total.error_ppm

    assert abs(error_ppm(config)) > 200
    assert abs(error_ppm(calibrate(config, parts))) < 10


def test_a_clock_that_is_fast_is_calibrated_too():
    """What the clock adds is an error of energy like any other."""
    config = SINGLE
    fast = 8000 * (1 + 300e-6)
    readings = take_readings(config, IdealAdc(config), plan_steps(config), sample_rate_hz=fast, seconds=1.25)
    (element,) = adjust(config, readings).elements
    assert element.unity_found == pytest.approx(300e-6, abs=10e-6)
    assert element.current.gain == pytest.approx(1 / 1.0003, abs=10e-6)


def test_what_is_within_the_bench_s_uncertainty_stays():
    config = SINGLE.with_changes(calibration=(ChannelCalibration(), ChannelCalibration(gain=1.00007)))
    readings = read(config, plan_steps(config), seconds=2.5)
    assert adjust(config, readings).elements[0].kept
    assert adjust(config, readings).config.calibration[1].gain == 1.00007
    (element,) = adjust(config, readings, uncertainty=5e-5).elements
    assert not element.kept
    assert element.current.gain == pytest.approx(1, abs=10e-6)


# ---- what is wrong at the bench --------------------------------------------------------------------


def refused(config: MeterConfig, readings, message: str, **options) -> None:
    with pytest.raises(BenchError) as caught:
        adjust(config, readings, **options)
    assert "\n" not in str(caught.value)
    assert message in str(caught.value)


def claims(readings: list[Reading], planned: list[Reading]) -> list[Reading]:
    """Return what the meter showed, with what the bench believes."""
    names = ("element", "volts", "amps", "power_factor", "hertz", "true_wh")
    return [
        replace(reading, **{name: getattr(plan, name) for name in names})
        for reading, plan in zip(readings, planned, strict=True)
    ]


@pytest.fixture(scope="module")
def right():
    """Readings of a bench that is wired as it should be."""
    return {config: read(config, plan_steps(config)) for config in (DUAL, SINGLE)}


def wired(config: MeterConfig, right, change, **options) -> list[Reading]:
    """Return the readings of a bench that is wired otherwise than it believes: ``change`` makes its steps."""
    return claims(read(config, [change(step) for step in plan_steps(config)], **options), right[config])


WIRING = [
    (DUAL, lambda step: replace(step, amps=step.amps[::-1]),
     "element 1 at unity power factor: CTs swapped: the energy shows on element 2: CT1 and CT2 change places"),
    (SINGLE, lambda step: replace(step, amps=(-step.amps[0],)),
     "element 1 at unity power factor: CT turned round: the energy is received; X1 and X2 change places"),
    (DUAL, lambda step: replace(step, amps=(step.amps[0], -step.amps[1])),
     "element 2 at unity power factor: CT turned round"),
    (SINGLE, lambda step: replace(step, volts=(240.0,)),
     "no load: wrong voltage: the bench states 120 V, and the meter that element 1's is out of its line's range"),
    (DUAL, lambda step: replace(step, volts=(120.0, 0.0)),
     "no load: wrong voltage: the bench states 120 V, and the meter that element 2's is out of its line's range, or "
     "missing"),
    (SINGLE, lambda step: replace(step, amps=(0.0,)),
     "element 1 at unity power factor: no energy: the voltage is missing, or the current circuit is open"),
    (DUAL, lambda step: replace(step, amps=tuple(max(step.amps) for _ in step.amps)),
     "element 1 at unity power factor: element 2 is loaded too: it registers 0.625"),
    (SINGLE, lambda step: replace(step, amps=(max(step.amps[0], 0.1),)),
     "no load: element 1 takes 12 W: its current circuit is not open"),
    (SINGLE, lambda step: replace(step, amps=(step.amps[0] * 230 / 30,)),
     "element 1 at unity power factor: element 1 is overrange: more than 110 % of 200 A"),
    (SINGLE, lambda step: replace(step, power_factor="0.4lag") if step.power_factor != "1" else step,
     "element 1 at 0.5 lag: the error of -20 % is beyond correction: it takes a delay of -"),
    (SINGLE, lambda step: replace(step, power_factor="1"),
     "element 1 at 0.5 lag: the error of +100 % is beyond correction: it takes a delay of"),
    (SINGLE, lambda step: replace(step, amps=(step.amps[0] * 1.4,)),
     "element 1 at unity power factor: the error of +40 % is beyond correction: it takes a gain of 0.7143; allowed: "
     "0.75 to 1.25"),
    (SINGLE, lambda step: replace(step, amps=(step.amps[0] * 0.7,)),
     "the error of -30 % is beyond correction: it takes a gain of 1.429; allowed: 0.75 to 1.25"),
]  # fmt: skip


@pytest.mark.parametrize(("config", "change", "message"), WIRING, ids=[message[:60] for *_, message in WIRING])
def test_a_bench_that_is_wired_wrongly_is_named(right, config, change, message):
    refused(config, wired(config, right, change), message)


@pytest.mark.parametrize(
    ("model", "fitted", "message"),
    [
        ("MSNCT-1SC", "MSNCT-2SC", "registers half the energy (0.5 of it), as with a CT of 200 A : 0.1 A"),
        ("MSNCT-2SC", "MSNCT-1SC", "registers twice the energy (2 of it), as with a CT of 100 A : 0.1 A"),
    ],
)
def test_a_ct_of_another_ratio_is_named(model, fitted, message):
    """The analog side of the other model on this one's digital side."""
    config = MeterConfig.for_model(model)
    readings = read(config, plan_steps(config), converter=IdealAdc(MeterConfig.for_model(fitted)))
    refused(config, readings, f"element 1 at unity power factor: wrong CT: the meter {message}")


@pytest.mark.parametrize("model", ["MSNCT-1SC", "MSNCT-2SC", "MDTCT-1SP", "MSTCT-2NC"])
def test_a_leading_load_is_named(model):
    config = MeterConfig.for_model(model)
    parts = Parts.nominal(config)

    def take(factor: str) -> list[Reading]:
        no_load, *others = plan_steps(config)
        others = (step if step.power_factor == "1" else replace(step, power_factor=factor) for step in others)
        front_end, steps = FrontEnd(config, parts), [no_load, *others]
        return take_readings(config, front_end, steps, sample_rate_hz=front_end.sample_rate_hz, seconds=1.25)

    right, leading = take("0.5lag"), take("0.5lead")
    adjust(config, right)
    refused(config, leading, "element 1: the power factor is 0.5lead; allowed: 1 and 0.5lag")
    refused(config, claims(leading, right), "° late, but a CT is early: the load is 0.5 lead")
    # A front end whose currents are late by nature says so.
    adjust(config, claims(leading, right), late_deg=3)


def test_what_the_bench_states_is_checked():
    """All of this is really applied, and stated as it is."""
    config = SINGLE
    no_load, unity, lag = plan_steps(config)
    for step, message in (
        (replace(unity, amps=(2.0,)), "the load is too small: 2 A; allowed: 15 A or more, best 30 A"),
        (replace(unity, amps=(210.0,)), "the load is too large: 210 A; allowed: up to 200 A, best 30 A"),
        (replace(unity, power_factor="0.8lag"), "element 1: the power factor is 0.8lag; allowed: 1 and 0.5lag"),
    ):
        refused(config, read(config, [no_load, step, lag]), message)
    for change, message in (
        ({"volts": (240.0,)}, "no load: wrong voltage: the bench applies 240 V; allowed at 60 Hz: 108 to 132 V"),
        ({"hertz": 50.0}, "no load: wrong frequency: the bench applies 50 Hz; the meter is for 60 Hz"),
    ):
        refused(config, read(config, [replace(step, **change) for step in plan_steps(config)]), message)
    message = "no load: the run is too short: 0.5 s; for 0.01 % it takes 1.25 s or more"
    refused(config, read(config, plan_steps(config), seconds=0.5), message)
    adjust(config, read(config, plan_steps(config), seconds=0.5), uncertainty=2.5e-4)


def test_steps_that_are_missing_are_named(right):
    readings = right[DUAL]
    assert adjust(DUAL, readings[::-1]) == adjust(DUAL, readings)
    for index, message in enumerate(
        ["no load", "element 1 at unity power factor", "element 1 at 0.5 lag", "element 2 at unity power factor",
         "element 2 at 0.5 lag"]
    ):  # fmt: skip
        refused(DUAL, readings[:index] + readings[index + 1 :], f"the step {message} is missing")
        refused(DUAL, [*readings, readings[index]], f"{message} was read twice")
    refused(SINGLE, readings, "there is no element 2; the meter has 1")


CLAIMS = [
    ("lost", 3, "the meter lost 3 frames: its converter does not work, or is disturbed"),
    ("test_pulses", 20, "pulses and registers disagree: 20 pulses of 1 Wh, and 1.25"),
    ("seconds", 2.5, "the meter took 10000 frames in the bench's 2.5 s, and should have taken 20000: its registers"),
    ("true_wh", 1.0, "the bench's true values disagree: 1 Wh, but 120 V × 30 A at 1 are 1.25 Wh in 1.25 s"),
]


@pytest.mark.parametrize(("name", "value", "message"), CLAIMS, ids=[name for name, *_ in CLAIMS])
def test_values_that_cannot_be_are_named(right, name, value, message):
    no_load, unity, lag = right[SINGLE]
    refused(SINGLE, [no_load, replace(unity, **{name: value}), lag], f"element 1 at unity power factor: {message}")


def test_readings_of_a_meter_with_other_words_are_named(right):
    """Readings from before a calibration do not count twice."""
    calibrated = SINGLE.with_changes(calibration=(ChannelCalibration(), ChannelCalibration(gain=0.99)))
    message = "no load: element 1's current has the gain word 0, and -167772 in the calibration that the meter is said"
    refused(calibrated, right[SINGLE], message)
    delayed = SINGLE.with_changes(calibration=(ChannelCalibration(), ChannelCalibration(delay_s=2e-6)))
    refused(delayed, right[SINGLE], "no load: element 1's current has the phase word 0, and -2")


def test_registers_may_be_read_before_and_after_the_load(right):
    """As over a UART, which takes its time: what is off adds frames, and no energy."""
    readings = [replace(each, frames=each.frames + 4000) for each in right[DUAL]]
    assert adjust(DUAL, readings) == adjust(DUAL, right[DUAL])


def test_an_offset_that_cannot_be_removed_is_named():
    config = SINGLE
    readings = read(config, plan_steps(config), converter=IdealAdc(config, offset_fraction=[0.3, 0]))
    refused(config, readings, "element 1's voltage has an offset of 25165")
    refused(config, readings, " LSB, beyond correction; allowed: ±2097152 LSB")


@pytest.mark.parametrize("rate", [7999.61, 8000.39])
def test_the_bench_is_right_over_half_a_sample_more_than_whole_cycles(rate):
    """True energy is of the frames that the registers show, which the pipeline has delayed."""
    for reading in take_readings(SINGLE, IdealAdc(SINGLE), plan_steps(SINGLE)[1:], sample_rate_hz=rate, seconds=1.25):
        registered = reading.net_wh[0] * 8000 / rate
        assert registered == pytest.approx(reading.true_wh, rel=4e-6)


def test_the_bench_reads_what_the_registers_show():
    """Pulses and registers are of the interval alone, and of the energy that was there."""
    config = SINGLE
    readings = read(config, [loaded(config, 0, "1", 100.0)], seconds=20)
    (reading,) = readings
    assert reading.seconds == 20
    assert reading.frames == 160000
    assert reading.true_wh == pytest.approx(120 * 100 * 20 / 3600, rel=1e-9)
    assert reading.net_wh[0] == pytest.approx(reading.true_wh, rel=5e-6)
    assert reading.test_pulses in (66, 67)
    assert (reading.element, reading.volts, reading.amps) == (0, 120, 100)
    assert simulate(config, Parts.nominal(config), temperature_c=23, seed=0, uncertainty=1e-4)[0].element is None

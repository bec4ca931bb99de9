"""The configuration: formulas against independent arithmetic, and everything that is refused."""

from __future__ import annotations

import cmath
import itertools
import math
import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from blondel.hdl.config import LINES, ChannelCalibration, ConfigError, Line, MeterConfig
from blondel.hdl.model_number import ModelNumber

MODELS = [str(model) for model in ModelNumber.all()]
EVERY = list(itertools.product(MODELS, LINES))


def make(**changes) -> MeterConfig:
    return MeterConfig(**({"line": LINES[60], "class_amps": 100.0} | changes))


def attempt(**changes) -> tuple[MeterConfig | None, str]:
    """Return the configuration, or the message of its refusal."""
    try:
        return make(**changes), ""
    except ConfigError as refusal:
        return None, str(refusal)


@st.composite
def calibrations(draw, sample_bits):
    limit = 2.0 ** (sample_bits - 3)
    return ChannelCalibration(
        offset=draw(st.none() | st.floats(-limit, limit)),
        delay_s=draw(st.floats(-3, 3)) / 360 / 50,
        # Any clock's error leaves room for these.
        gain=draw(st.floats(0.751, 1.248)),
    )


@st.composite
def configs(draw, calibrated=False):
    """Anything that may be asked for, whether or not it can be built."""
    elements = draw(st.integers(1, 64))
    sample_bits = draw(st.integers(16, 24))
    class_amps = draw(st.floats(1, 1000))
    fields = {
        "line": draw(st.sampled_from(list(LINES.values()))),
        "class_amps": class_amps,
        "elements": elements,
        "sample_rate_hz": draw(st.floats(400, 1e6) | st.integers(400, 1_000_000)),
        "sample_bits": sample_bits,
        "v_full_scale": draw(st.floats(430, 2000)),
        "i_full_scale": draw(st.none() | st.floats(1.6 * class_amps, 10 * class_amps)),
        "no_load_fraction": draw(st.floats(1e-7, 4e-4)),
        "offset_tracking": draw(st.booleans()),
    }
    fields["pulse_wh"] = draw(st.sampled_from([1, 10, 100, 1000]))
    fields["counter_wh"] = fields["pulse_wh"] * draw(st.sampled_from([10, 100]))
    if calibrated:
        fields["calibration"] = tuple(draw(calibrations(sample_bits)) for _ in range(2 * elements))
        fields["clock_error_ppm"] = draw(st.just(0) | st.floats(-1000, 1000))
    config, refusal = attempt(**fields)
    # The only reasons left: too much energy in one sample, or accumulators beyond int64.
    assert config or re.match(r"(test_kh_wh|sample_rate_hz) is .*; allowed: ", refusal)
    return config


def buildable(**options):
    return configs(**options).filter(lambda config: config is not None)


def full_scale_wh(config) -> float:
    return config.v_full_scale * config.i_full_scale / config.sample_rate_hz / 3600


# ---- what a model is ---------------------------------------------------------------------------


@pytest.mark.parametrize(("model", "line_hz"), EVERY)
def test_every_model_on_every_line(model, line_hz):
    config = MeterConfig.for_model(model, line_hz)
    number = ModelNumber.parse(model)
    assert config.model == model
    assert config.elements == number.elements
    assert config.channels == 2 * number.elements
    assert config.class_amps == number.ct_amps
    assert config.counter_wh == number.counter_wh
    assert config.pulse_wh == 10
    assert config.test_kh_wh == 1.0
    assert (config.line.v_min, config.line.v_max) == {60: (108, 132), 50: (216, 264)}[line_hz]
    assert config.line.v_nominal == {60: 120, 50: 240}[line_hz]
    # The data sheet's front end: 500 V and twice the class amps, in 24 bits.
    assert config.v_lsb == pytest.approx(500 / 2**23)
    assert config.i_lsb == pytest.approx(2 * number.ct_amps / 2**23)
    check_energy(config)
    check_indicators(config)
    check_phase(config)


def test_a_model_may_be_taken_apart_already():
    assert MeterConfig.for_model(ModelNumber.parse("MSTCT-1SP"), 50) == MeterConfig.for_model("mstct-1sp", 50)


def test_changes_override_the_models_fields_and_are_checked():
    config = MeterConfig.for_model("MDNCT-2SC", sample_rate_hz=4000, sample_bits=16)
    assert (config.sample_rate_hz, config.sample_bits, config.class_amps) == (4000, 16, 200)
    assert config.with_changes(sample_bits=20).sample_bits == 20
    with pytest.raises(ConfigError, match="sample_bits is 25"):
        config.with_changes(sample_bits=25)


def test_a_configuration_is_a_value():
    config = MeterConfig.for_model("MDNCT-2SC")
    twin = MeterConfig.for_model("MDNCT-2SC", sample_bits=np.int64(24), sample_rate_hz=np.float32(8000), calibration=[])
    assert config == twin
    assert hash(config) == hash(twin)
    assert type(twin.sample_bits) is int
    assert type(twin.sample_rate_hz) is float
    with pytest.raises(AttributeError):
        config.elements = 3


# ---- energy ------------------------------------------------------------------------------------


def check_energy(config):
    lsb = float(config.product_wh)
    scale = 2.0 ** (config.sample_bits - 1 + config.fraction_bits)
    watts = config.v_full_scale / scale * config.i_full_scale / scale
    assert lsb == pytest.approx(watts / config.sample_rate_hz / 3600)

    # A product of two calibrated samples fits, and is worth four full scales at most.
    assert config.path_bits == config.sample_bits + 1 + config.fraction_bits
    assert config.product_max == (1 << (config.path_bits - 1)) ** 2 < 1 << (config.product_bits - 1)
    assert config.product_max * lsb == pytest.approx(4 * full_scale_wh(config))

    # A register's count: the next preferred number above what one sample can carry.
    quantum_wh = float(config.quantum_wh)
    digits = f"{quantum_wh:.9e}"
    assert digits[0] in "125"
    assert set(digits[1:11]) <= {".", "0"}
    before = quantum_wh / {"1": 2, "2": 2, "5": 2.5}[digits[0]]
    assert before <= 4 * full_scale_wh(config) * (1 + 1e-12)
    assert config.quantum >= config.product_max
    assert abs(config.quantum_wh / config.product_wh - config.quantum) <= 0.5

    # Ticks: every output's half pulse is a whole number of them, and a sample carries less than one.
    tick_wh = float(config.tick_wh)
    assert config.pulse_half_ticks * tick_wh == pytest.approx(config.pulse_wh / 2)
    assert config.test_half_ticks * tick_wh == pytest.approx(config.test_kh_wh / 2)
    assert config.tick > config.elements * config.product_max
    # Its rounding to a whole LSB is below 0.01 ppm of the energy that the outputs show.
    assert abs(config.tick * config.product_wh / config.tick_wh - 1) < 1e-8
    assert config.counter_half_pulses * config.pulse_wh / 2 == config.counter_wh
    assert 2 * max(config.pulse_half_ticks, config.test_half_ticks) < 1 << config.queue_bits

    # The no-load gate.
    watts = config.no_load_fraction * config.class_amps * (config.line.v_min + config.line.v_max) / 2
    assert config.no_load_watts == pytest.approx(watts)
    assert config.start_energy == pytest.approx(max(1, watts * config.window_s / 3600 / lsb), rel=1e-6, abs=0.6)

    # Direction: more energy than swings back within half a cycle at full scale and zero power factor.
    swing = config.v_full_scale * config.i_full_scale / 2 / (2 * math.pi * 45) / 3600
    assert config.hysteresis >= config.quantum
    assert config.hysteresis_wh >= swing * (1 - 1e-12)
    assert abs(config.hysteresis_wh / config.product_wh - config.hysteresis) <= 0.5

    # The total's accumulator holds every element's pending energy and a tick; the golden model's int64 too.
    pending = config.hysteresis + config.quantum + 4 * config.product_max
    worst = config.tick + 2 * config.elements * pending
    assert worst < 1 << (config.accumulator_bits - 1)
    assert config.accumulator_bits <= 62
    assert config.fraction_bits in (0, 1, 2)

    # Registers: twenty years at full scale, not forty. Queues: a month, not two.
    watts = config.v_full_scale * config.i_full_scale / 2 * config.elements
    assert 20 <= (1 << config.register_bits) * quantum_wh / watts / 24 / 365.25 <= 40
    assert 31 <= (1 << config.queue_bits) * tick_wh / watts / 24 <= 62


@given(buildable())
def test_energy_formulas(config):
    check_energy(config)


@pytest.mark.parametrize("power_factor", [0.0, 0.5, 0.866, 1.0])
@pytest.mark.parametrize("hertz", [45.0, 60.0, 65.0])
def test_the_hysteresis_exceeds_what_swings_within_a_cycle(power_factor, hertz):
    """The deepest dip of cumulative energy, numerically, both channels at full scale."""
    config = make()
    t = np.arange(4096) / 4096 / hertz * 4
    angle = math.acos(power_factor)
    power = np.sin(2 * np.pi * hertz * t) * np.sin(2 * np.pi * hertz * t - angle)
    energy = np.cumsum(power) * config.v_full_scale * config.i_full_scale * (t[1] - t[0]) / 3600
    dip = (np.maximum.accumulate(energy) - energy).max()
    assert dip < float(config.hysteresis_wh) * 1.001
    if power_factor == 0 and hertz == 45:
        assert dip > float(config.hysteresis_wh) * 0.99, "not far above what is needed"


def test_pulses_of_unequal_units_share_a_tick():
    config = make(test_kh_wh=1.6, sample_rate_hz=100_000)
    assert (float(config.tick_wh), config.pulse_half_ticks, config.test_half_ticks) == (0.2, 25, 4)


def test_decimal_numbers_are_taken_as_written():
    """0.1 is a tenth: no float's error reaches the energy of one LSB."""
    config = make(v_full_scale=500.1, i_full_scale=200.3, sample_rate_hz=8000.7, sample_bits=16)
    assert config.product_wh == Fraction(5001 * 2003, 10 * 80007 * 3600 * 4 ** (15 + config.fraction_bits))


# ---- windows, offset, indicators ---------------------------------------------------------------


@given(buildable(calibrated=True))
def test_window_and_offset_formulas(config):
    assert config.window_frames == 2**config.window_log2
    assert 2**-0.5 - 1e-9 <= config.window_s <= 2**0.5 + 1e-9
    # A window that waits for a zero crossing is at most a period of 40 Hz longer.
    longer = config.window_frames_most - config.window_frames
    assert config.sample_rate_hz / 40 <= longer < config.sample_rate_hz / 40 + 1
    settle_s = 8 * config.window_frames_most / config.sample_rate_hz
    assert config.settle_s == (pytest.approx(settle_s) if config.offset_tracking else 0)
    assert config.window_frames << (config.sample_bits - 1) <= 1 << (config.offset_bits - 1)
    # The sum of the longest window's samples, less an estimate at the other end of the range.
    assert config.window_frames_most << config.sample_bits < 1 << (config.offset_sum_bits - 1)
    assert config.offset_removed_bits == config.sample_bits + 1
    for channel, calibration in enumerate(config.calibration):
        error = config.offset_word(channel) + (calibration.offset or 0) * config.window_frames
        assert abs(error) <= 0.5
        assert -(1 << (config.offset_bits - 1)) <= config.offset_word(channel) < 1 << (config.offset_bits - 1)
    assert config.offset_calibrated == any(each.offset is not None for each in config.calibration)


def check_indicators(config):
    assert config.indicator_shift == config.path_bits - 16 >= 1
    phase = 2 * np.pi * np.arange(1000) / 1000
    scale = 2.0 ** (config.path_bits - 2)

    def squares(rms, full_scale):
        samples = np.floor(math.sqrt(2) * rms / full_scale * np.sin(phase) * scale / 2**config.indicator_shift)
        return np.mean(samples**2) * config.window_frames

    # Half an LSB of truncation in 16 bits is the only difference.
    assert config.voltage_low == pytest.approx(squares(0.99 * config.line.v_min, config.v_full_scale), rel=1e-3)
    assert config.voltage_high == pytest.approx(squares(1.01 * config.line.v_max, config.v_full_scale), rel=1e-3)
    assert config.current_high == pytest.approx(squares(1.105 * config.class_amps, config.i_full_scale), rel=5e-3)
    assert max(config.voltage_high, config.current_high) < 1 << config.indicator_bits
    # Comparing whole steps is as good as comparing the sums.
    step = 1 << config.indicator_step_log2
    limits = (config.voltage_low, config.voltage_high, config.current_high)
    assert [limit % step for limit in limits] == [0, step - 1, step - 1]
    assert step == 1 or config.voltage_low >= step << 11
    # All samples at the most negative code: the worst sum that there can be.
    assert (1 << 15) ** 2 * config.window_frames < 1 << config.indicator_bits


@given(buildable())
def test_indicator_formulas(config):
    check_indicators(config)


# ---- phase and gain ----------------------------------------------------------------------------


def phase_delay(config, whole, coefficient, hertz):
    """Phase delay in samples, and gain, of the delay line and the all-pass behind it."""
    rate = config.sample_rate_hz * (1 + config.clock_error_ppm / 1e6)
    z = cmath.exp(1j * 2 * math.pi * hertz / rate)
    a = coefficient / 2**18
    response = z**-whole * (a + 1 / z) / (1 + a / z)
    turns = -cmath.phase(response * z ** (config.path_delay)) / (2 * math.pi)
    return config.path_delay + turns * rate / hertz, abs(response)


def check_phase(config):
    speed = 1 + config.clock_error_ppm / 1e6
    rate = config.sample_rate_hz * speed
    for channel in range(config.channels):
        whole, coefficient = config.phase_word(channel)
        assert whole >= 0
        assert whole + 2 <= 1 << config.delay_line_log2
        assert -(1 << 17) <= coefficient < 1 << 17
        hertz = config.line.hertz
        wanted = config.path_delay + config.channel_calibration(channel).delay_s * rate
        delay, gain = phase_delay(config, whole, coefficient, hertz)
        degrees = 360 * hertz / rate
        assert abs(delay - wanted) * degrees <= 0.0025, "half a step"
        assert gain == pytest.approx(1, abs=1e-9)
        for step in (-1, 1):
            stepped, _ = phase_delay(config, whole, coefficient + step, hertz)
            assert abs(stepped - delay) * degrees <= 0.005
        gain_word = config.gain_word(channel)
        assert -(1 << 22) <= gain_word < 1 << 22
        # Energy is a product: the clock's error is to leave it once, by the current.
        gain = config.channel_calibration(channel).gain / (speed if channel % 2 else 1)
        assert 1 + gain_word / 2**24 == pytest.approx(gain, abs=1e-7)


@given(buildable(calibrated=True))
def test_phase_and_gain_formulas(config):
    check_phase(config)


@pytest.mark.parametrize("line_hz", LINES)
@pytest.mark.parametrize("rate", [400, 1200, 2999, 3000, 3001, 8000, 30707, 999_000, 1_000_000])
@pytest.mark.parametrize("ppm", [0, -1000, 1000])
def test_the_phase_range_reaches_three_degrees_either_way(line_hz, rate, ppm):
    reach = 3 / 360 / line_hz
    for delay_s in (-reach, reach, 0.0):
        config = MeterConfig.for_model(
            "MSNCT-1SC", line_hz, sample_rate_hz=rate, calibration=(ChannelCalibration(delay_s=delay_s),) * 2,
            clock_error_ppm=ppm,
        )  # fmt: skip
        check_phase(config)


def test_neutral_phase_is_a_pure_delay():
    for rate in (400, 1200, 8000, 30707):
        config = make(sample_rate_hz=rate)
        assert config.phase_word(0) == (config.neutral_delay, 0)
        assert config.path_delay == config.neutral_delay + 1


def test_the_gains_step_is_below_a_tenth_of_a_ppm():
    def words(gain):
        return make(calibration=(ChannelCalibration(gain=gain),) * 2).gain_word(0)

    assert words(1.0) == 0
    assert words(1 + 1e-7) - words(1.0) >= 1
    assert words(0.75) == -(1 << 22)
    assert words(1.25) == (1 << 22) - 1


@pytest.mark.parametrize("ppm", [-1000, -0.1, 0.1, 1000])
def test_gain_and_clock_together_stay_within_the_gains_range(ppm):
    for gain in (0.75, 1.25):
        current = ChannelCalibration(gain=gain * (1 + ppm / 1e6))
        config = make(calibration=(ChannelCalibration(gain=gain), current), clock_error_ppm=ppm)
        assert config.gain_word(0) == config.gain_word(1)
        check_phase(config)
    beyond = ChannelCalibration(gain=0.75 if ppm > 0 else 1.25)
    config, refusal = attempt(calibration=(ChannelCalibration(), beyond), clock_error_ppm=ppm)
    assert config is None
    assert refusal.startswith(f"calibration[1].gain is {beyond.gain}; allowed: 0.7")


# ---- time --------------------------------------------------------------------------------------


@given(st.integers(1, 10_000), st.integers(400, 1_000_000))
def test_frames_in_is_the_fewest_that_last_long_enough(milliseconds, rate):
    frames = make(sample_rate_hz=rate).frames_in(milliseconds / 1000)
    assert (frames - 1) * 1000 < milliseconds * rate <= frames * 1000


# ---- everything else is refused ----------------------------------------------------------------

REFUSED = [
    ({"line": 60}, "line is 60; allowed: a Line"),
    ({"line": Line(70, 108.0, 132.0)}, "line is 70; allowed: 45 to 65 Hz"),
    ({"line": Line(44, 108.0, 132.0)}, "line is 44; allowed: 45 to 65 Hz"),
    ({"line": Line(60, 132.0, 108.0)}, "line is 132 to 108 V; allowed: 0 < v_min < v_max"),
    ({"line": Line(60, 0.0, 108.0)}, "line is 0 to 108 V; allowed: 0 < v_min < v_max"),
    ({"line": Line(60, math.nan, 108.0)}, "line is nan to 108 V; allowed: 0 < v_min < v_max"),
    ({"class_amps": 0}, "class_amps is 0.0; allowed: 1e-6 to 1,000,000 A"),
    ({"class_amps": -5.0}, "class_amps is -5.0; allowed: 1e-6"),
    ({"class_amps": math.inf}, "class_amps is inf; allowed: a finite number"),
    ({"class_amps": 1e300}, "class_amps is 1e+300; allowed: 1e-6 to 1,000,000 A"),
    ({"class_amps": "many"}, "class_amps is 'many'; allowed: a number"),
    ({"elements": 0}, "elements is 0; allowed: 1 to 64"),
    ({"elements": 65}, "elements is 65; allowed: 1 to 64"),
    ({"elements": 2.0}, "elements is 2.0; allowed: a whole number"),
    ({"sample_rate_hz": 399}, "sample_rate_hz is 399.0; allowed: 400 to 1,000,000 Hz"),
    ({"sample_rate_hz": 1_000_001}, "sample_rate_hz is 1000001.0; allowed: 400 to 1,000,000 Hz"),
    ({"sample_rate_hz": math.nan}, "sample_rate_hz is nan; allowed: a finite number"),
    ({"sample_bits": 15}, "sample_bits is 15; allowed: 16 to 24"),
    ({"sample_bits": 25}, "sample_bits is 25; allowed: 16 to 24"),
    ({"sample_bits": 16.5}, "sample_bits is 16.5; allowed: a whole number"),
    ({"v_full_scale": 214.0}, "v_full_scale is 214.0; allowed: 214.7 V, the peak of 115 %"),
    ({"v_full_scale": 1e300}, "v_full_scale is 1e+300; allowed: 214.7 V, the peak of 115 %"),
    ({"v_full_scale": None}, "v_full_scale is None; allowed: a number"),
    ({"i_full_scale": 155.0}, "i_full_scale is 155.0; allowed: 155.6 A, the peak of 110 %"),
    ({"i_full_scale": -math.inf}, "i_full_scale is -inf; allowed: a finite number"),
    ({"pulse_wh": 0}, "pulse_wh is 0; allowed: 1, 10, 100, …"),
    ({"pulse_wh": 20}, "pulse_wh is 20; allowed: 1, 10, 100, …"),
    ({"pulse_wh": -10}, "pulse_wh is -10; allowed: 1, 10, 100, …"),
    ({"pulse_wh": 10**15 + 1}, "pulse_wh is 1000000000000001; allowed: 1, 10, 100, …"),
    ({"pulse_wh": 10**12, "counter_wh": 10**13}, "pulse_wh is 1000000000000; allowed: up to"),
    ({"counter_wh": 1}, "counter_wh is 1; allowed: 100 or 1000"),
    ({"counter_wh": 10_000}, "counter_wh is 10000; allowed: 100 or 1000"),
    ({"test_kh_wh": 0}, "test_kh_wh is 0.0; allowed: more than 0 Wh"),
    ({"test_kh_wh": -1}, "test_kh_wh is -1.0; allowed: more than 0 Wh"),
    ({"test_kh_wh": 0.01}, "test_kh_wh is 0.01; allowed: with elements 1 at 8000 Hz, a divisor of 10 Wh above"),
    ({"test_kh_wh": 1 / 3}, "test_kh_wh is 0.3333333333333333; allowed: with elements 1 at 8000 Hz, a divisor"),
    ({"test_kh_wh": 1e300}, "test_kh_wh is 1e+300; allowed: up to"),
    ({"elements": 64, "sample_rate_hz": 400}, "test_kh_wh is 10.0; allowed: with elements 64 at 400 Hz"),
    (
        {"elements": 64, "sample_rate_hz": 1e6},
        "sample_rate_hz is 1e+06 with 24 bits and elements 64: the accumulators need 65 bits; allowed: 62",
    ),
    ({"pulse_min_s": 0.0001}, "pulse_min_s is 0.0001; allowed: 0.001 to 10 s"),
    ({"counter_on_s": 11}, "counter_on_s is 11.0; allowed: 0.001 to 10 s"),
    ({"counter_gap_s": 0}, "counter_gap_s is 0.0; allowed: 0.001 to 10 s"),
    ({"no_load_fraction": 5e-4}, "no_load_fraction is 0.0005; allowed: 1e-7 to 4e-4"),
    ({"no_load_fraction": 0}, "no_load_fraction is 0.0; allowed: 1e-7 to 4e-4"),
    ({"clock_error_ppm": 1000.1}, "clock_error_ppm is 1000.1; allowed: -1000 to 1000 ppm"),
    ({"clock_error_ppm": math.nan}, "clock_error_ppm is nan; allowed: a finite number"),
    ({"calibration": (ChannelCalibration(),)}, "calibration is 1 channels; allowed: 2 channels, or none"),
    (
        {"calibration": (ChannelCalibration(), ChannelCalibration(offset=2.0**21 + 1))},
        "calibration[1].offset is 2097153.0; allowed: ±2097152 LSB",
    ),
    (
        {"calibration": (ChannelCalibration(offset=math.nan), ChannelCalibration())},
        "calibration[0].offset is nan; allowed: ±2097152 LSB",
    ),
    (
        {"calibration": (ChannelCalibration(delay_s=-170e-6), ChannelCalibration())},
        "calibration[0].delay_s is -0.00017; allowed: ±166.7 µs (±3° at 50 Hz)",
    ),
    (
        {"calibration": (ChannelCalibration(gain=1.26), ChannelCalibration())},
        "calibration[0].gain is 1.26; allowed: 0.75 to 1.25",
    ),
    (
        {"calibration": (ChannelCalibration(), ChannelCalibration(gain=0.0))},
        "calibration[1].gain is 0.0; allowed: 0.75 to 1.25",
    ),
    (
        {"calibration": (ChannelCalibration(), ChannelCalibration(gain=0.75)), "clock_error_ppm": 100},
        "calibration[1].gain is 0.75; allowed: 0.750075 to 1.250125",
    ),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED, ids=[message.split(";")[0] for _, message in REFUSED])
def test_what_cannot_be_built_is_refused_by_name(changes, message):
    with pytest.raises(ConfigError) as refusal:
        make(**changes)
    assert str(refusal.value).startswith(message)
    assert "\n" not in str(refusal.value)


def test_a_line_that_does_not_exist_is_refused():
    with pytest.raises(ConfigError, match=re.escape("line_hz is 55; allowed: 60 (108–132 V) or 50 (216–264 V)")):
        MeterConfig.for_model("MDNCT-2SC", 55)


def test_a_model_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="nearest: MDNCT-"):
        MeterConfig.for_model("MDNCT-3SC")


NUMBERS = ["class_amps", "sample_rate_hz", "v_full_scale", "i_full_scale", "test_kh_wh", "pulse_min_s", "counter_on_s",
           "counter_gap_s", "no_load_fraction", "clock_error_ppm"]  # fmt: skip
WHOLE = ["elements", "sample_bits", "pulse_wh", "counter_wh"]


@given(st.sampled_from(NUMBERS), st.floats() | st.floats(1e-3, 1e3))
@example("test_kh_wh", 5e-324)
@example("class_amps", 1.7e308)
def test_any_number_is_built_or_refused_by_name(name, value):
    check_built_or_refused({name: value})


@given(st.sampled_from(WHOLE), st.integers() | st.sampled_from([10**n for n in range(40)]))
def test_any_whole_number_is_built_or_refused_by_name(name, value):
    check_built_or_refused({name: value})


def check_built_or_refused(changes):
    config, refusal = attempt(**changes)
    if config:
        check_energy(config)
    else:
        # The field itself, or one that it makes impossible.
        assert re.match(r"\w+ is [^;]*; allowed: .", refusal)


@given(st.integers(1, 64), st.integers(16, 24), st.floats(400, 100_000), st.sampled_from([100.0, 200.0]))
def test_the_promised_range_is_built(elements, sample_bits, rate, class_amps):
    """Any number of elements, bits and rate, with pulses as large as the energy of a sample asks for."""
    fields = {"elements": elements, "sample_bits": sample_bits, "sample_rate_hz": rate, "class_amps": class_amps}
    for pulse_wh in (10, 100, 1000):
        config, refusal = attempt(**fields, pulse_wh=pulse_wh, counter_wh=10 * pulse_wh)
        if config:
            check_energy(config)
            return
        assert refusal.startswith("test_kh_wh")
        assert 8 * elements * 500 * 2 * class_amps / rate / 3600 > pulse_wh * 0.999
    pytest.fail("no pulse is large enough")


def test_several_meters_have_the_scales_of_the_largest():
    config = MeterConfig.for_model("MSNCT-2SC", meters=(1, 2, 1))
    dual = MeterConfig.for_model("MDNCT-2SC")
    assert (config.elements, config.meter_elements, config.meters_text) == (4, (1, 2, 1), "1xS,1xD,1xS")
    assert (dual.meter_elements, dual.meters_text) == ((2,), "1xD")
    for name in ("accumulator_bits", "register_bits", "queue_bits", "tick", "quantum", "test_kh_wh"):
        assert getattr(config, name) == getattr(dual, name), name
    assert MeterConfig.for_model("MSNCT-2SC", meters=(3,) * 21 + (1,)).meters_text == "21x3,1xS"


@pytest.mark.parametrize(
    ("meters", "elements"), [((1, 2), 2), ((0, 2), 2), ((2, -1, 1), 2)], ids=["too many", "none", "negative"]
)
def test_meters_have_all_elements(meters, elements):
    with pytest.raises(ConfigError, match=r"meters is .*; allowed: one or more elements each, 2 in all, or none named"):
        MeterConfig(line=LINES[60], class_amps=100, elements=elements, meters=meters)


def test_meters_are_of_whole_elements():
    with pytest.raises(ConfigError, match=r"meters is 1\.5; allowed: a whole number"):
        MeterConfig(line=LINES[60], class_amps=100, elements=2, meters=(1.5, 1))

"""Phase compensation: hardware against golden twin, golden twin against float, range, step and flatness."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from harness import PoisonedMemory, channel_items, channel_rows, rng, run_stage, valid_never_waits_for_ready
from hypothesis import given, settings
from hypothesis import strategies as st

from blondel.hdl.config import LINES, PHASE_FRACTION_BITS, ChannelCalibration, MeterConfig
from blondel.hdl.metrology.multiplier import Multiplier, SerialMultiplier
from blondel.hdl.metrology.phase import Phase
from blondel.sim.afe.adc import IdealAdc
from blondel.sim.golden.phase import Phase as GoldenPhase


def with_delays(parts, **changes) -> MeterConfig:
    """Make a configuration whose channels are delayed by these parts of the range."""
    # At a low rate a sample carries too much energy for a fine test pulse.
    test_kh_wh = 1 if changes.get("sample_rate_hz", 8000.0) >= 8000 else 10
    own = {"line": LINES[60], "class_amps": 100.0, "elements": len(parts) // 2, "test_kh_wh": test_kh_wh}
    config = MeterConfig(**(own | changes))
    calibration = tuple(ChannelCalibration(delay_s=part * config.delay_range_s) for part in parts)
    return config.with_changes(calibration=calibration)


CONFIGS = {
    "neutral": MeterConfig.for_model("MDNCT-1SC"),
    "both ends": with_delays([1, -1, 0.37, -0.62]),
    "30707 Hz": with_delays([1, -1, 0.1, -0.9], sample_rate_hz=30707.0),
    "3 elements, 16 bits, 400 Hz": with_delays([1, -1, 0.5, -0.5, 0.8, 0], sample_bits=16, sample_rate_hz=400.0),
    "no fraction bits": with_delays([-1, 1], sample_rate_hz=1e6),
}


def stimulus(config, frames, name):
    """Random frames, some invalid; among them the extremes one after another, which saturates."""
    generator = np.random.default_rng(rng(name).getrandbits(64))
    limit = 1 << (config.offset_removed_bits - 1)
    samples = generator.integers(-limit, limit, (frames, config.channels))
    samples[generator.random(samples.shape) < 0.3] = limit - 1
    samples[generator.random(samples.shape) < 0.3] = -limit
    clip = generator.random(samples.shape) < 0.1
    return samples, generator.random(frames) < 0.8, clip


@pytest.mark.parametrize("throttled", [False, True], ids=["full speed", "throttled"])
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_hardware_equals_golden(config, throttled):
    # Long enough that the longest delay line gives samples back.
    frames = 40 + 3 * config.path_delay
    samples, ok, clip = stimulus(config, frames, f"phase {config.sample_rate_hz} {throttled}")
    throttle = rng("throttle") if throttled else None
    run = run_stage(config, Phase(config), channel_items(samples, ok=ok, clip=clip), throttle=throttle)
    expected, clip_expected = GoldenPhase(config).process(samples[ok], clip[ok])
    np.testing.assert_array_equal(channel_rows(run.items, config), expected)
    np.testing.assert_array_equal(channel_rows(run.items, config, "clip"), clip_expected)
    assert expected[-10:].any(axis=0).all(), "every channel must have given samples back"
    if config.calibration:
        assert (clip_expected & ~clip[ok]).any(), "the stimulus must saturate"
    if not throttled:
        # An item's turn comes when the one before has left.
        turns = map(max, run.offered, [0, *(clock + 1 for clock in run.shown)])
        assert {shown - turn for turn, shown in zip(turns, run.shown, strict=True)} == {Phase.latency}


def test_flags_pass_through():
    config = CONFIGS["both ends"]
    samples, ok, _ = stimulus(config, 20, "flags")
    items = channel_items(samples // 4, ok=ok, window=np.arange(20) % 3 == 0, clip=np.arange(20) % 5 == 0)
    run = run_stage(config, Phase(config), items)
    for name in ("channel", "ok", "window", "late", "clip"):
        assert [item[name] for item in run.items] == [item[name] for item in items]


def test_golden_is_exact_arithmetic_then_saturated():
    """What is cut off comes back with the next sample: fractions lose nothing."""
    config = CONFIGS["both ends"]
    samples, _, clip = stimulus(config, 300, "fractions")
    samples[150:] //= 2
    out, clip_out = GoldenPhase(config).process(samples, clip)
    top = (1 << (config.path_bits - 1)) - 1
    ends = set()
    for channel in range(config.channels):
        whole, word = config.phase_word(channel)
        x = [Fraction(0)] * (whole + 1) + [Fraction(int(s) << config.fraction_bits) for s in samples[:, channel]]
        y, remainder = 0, Fraction(0)
        for n in range(len(samples)):
            total = x[n] + (x[n + 1] - y) * Fraction(word, 1 << PHASE_FRACTION_BITS) + remainder
            remainder = total - math.floor(total)
            y = min(max(math.floor(total), -top - 1), top)
            assert out[n, channel] == y
            assert clip_out[n, channel] == (clip[n, channel] or y != math.floor(total))
            ends |= {y} if y != math.floor(total) else set()
    assert ends == {top, -top - 1}


def test_output_is_valid_before_it_is_ready():
    config = CONFIGS["neutral"]
    items = channel_items(np.zeros((1, config.channels), dtype=int))
    assert valid_never_waits_for_ready(config, Phase(config), items)


@pytest.mark.parametrize("multiplier", [Multiplier, SerialMultiplier])
def test_nothing_is_used_that_is_read_while_it_is_written(multiplier, monkeypatch):
    monkeypatch.setattr("blondel.hdl.metrology.phase.Memory", PoisonedMemory)
    config = CONFIGS["both ends"]
    samples, ok, clip = stimulus(config, 40, "collisions")
    expected, _ = GoldenPhase(config).process(samples[ok], clip[ok])
    for throttle in (None, rng("throttle")):
        items = channel_items(samples, ok=ok, clip=clip)
        run = run_stage(config, Phase(config), items, throttle=throttle, multiplier=multiplier)
        np.testing.assert_array_equal(channel_rows(run.items, config), expected)


def test_records_read_and_set_the_words():
    config = CONFIGS["30707 Hz"]
    most = (1 << config.delay_line_log2) - 2
    words = [(-(1 << 17), 0), ((1 << 17) - 1, most), (0, 3), (-4711, 1)]
    accesses = [(c, None) for c in range(4)] + list(enumerate(words)) + [(c, None) for c in range(4)]
    samples, ok, clip = stimulus(config, 40, "records")
    run = run_stage(config, Phase(config), channel_items(samples, ok=ok, clip=clip), accesses=accesses)
    assert run.records[:4] == [config.phase_word(c)[::-1] for c in range(4)]
    assert run.records[8:] == words
    twin = GoldenPhase(config)
    twin.coefficient[:], twin.whole[:] = np.array(words).T
    np.testing.assert_array_equal(channel_rows(run.items, config), twin.next(samples[ok], clip[ok])[0])


def test_chunks_join_to_the_whole():
    config = CONFIGS["30707 Hz"]
    samples, _, clip = stimulus(config, 500, "chunks")
    whole = GoldenPhase(config).process(samples, clip)
    twin = GoldenPhase(config)
    cuts = [0, 0, 1, 2, 100, 101, len(samples)]
    parts = [twin.next(samples[a:b], clip[a:b]) for a, b in itertools.pairwise(cuts)]
    for joined, one in zip(zip(*parts, strict=True), whole, strict=True):
        np.testing.assert_array_equal(np.concatenate(joined), one)


@pytest.mark.parametrize("rate", [400.0, 1200.0, 8000.0, 30707.0, 1e6])
def test_neutral_is_a_pure_delay(rate):
    config = with_delays([0, 0], sample_rate_hz=rate)
    samples, _, clip = stimulus(config, 1000, "delay")
    out, clip_out = GoldenPhase(config).process(samples, clip)
    delay = config.path_delay
    np.testing.assert_array_equal(out[delay:], samples[:-delay] << config.fraction_bits)
    assert not out[:delay].any()
    np.testing.assert_array_equal(clip_out, clip)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    constant=st.integers(-(1 << 24), (1 << 24) - 1),
    parts=st.lists(st.floats(-1, 1), min_size=2, max_size=2),
    seed=st.integers(0, 1 << 32),
)
def test_a_constant_comes_out_as_it_is(constant, parts, seed):
    """Whatever was before: what is carried leaves no offset, and one LSB back and forth at most."""
    config = with_delays(parts)
    limit = 1 << (config.offset_removed_bits - 1)
    before = np.random.default_rng(seed).integers(-limit, limit, (50, 2))
    samples = np.concatenate([before, np.full((60, 2), constant)])
    out, _ = GoldenPhase(config).process(samples, np.zeros(samples.shape, dtype=bool))
    error = out[-20:] - (constant << config.fraction_bits)
    assert (np.abs(error) <= 1).all()
    assert (error.sum(axis=0) == 0).all()


def test_result_is_within_its_bound_of_float():
    """A result errs by less than an LSB of the path, plus what comes back of the errors before it."""
    config = with_delays(np.linspace(-1, 1, 16))
    samples, _, clip = stimulus(config, 2000, "float")
    samples = samples // 4
    out, _ = GoldenPhase(config).process(samples, clip)
    worst = 0.0
    for channel in range(config.channels):
        whole, word = config.phase_word(channel)
        a = word / (1 << PHASE_FRACTION_BITS)
        x = np.concatenate([np.zeros(whole + 1), samples[:, channel] * 2.0**config.fraction_bits])
        y = 0.0
        for n in range(len(samples)):
            y = x[n] + a * (x[n + 1] - y)
            worst = max(worst, abs(out[n, channel] - y) * (1 - abs(a)))
    assert 0.5 < worst <= 1


# ---- what it is for: phase ---------------------------------------------------------------------------


def measure(twin, config, hertz, seconds=0.5, amplitude=0.9):
    """Feed all channels with one sine; return each channel's gain and its delay in samples."""
    omega = 2 * np.pi * hertz / config.sample_rate_hz
    skip = config.path_delay + 50
    n = np.arange(skip + round(seconds * config.sample_rate_hz))
    wave = np.rint(amplitude * (1 << (config.sample_bits - 1)) * np.cos(omega * n)).astype(np.int64)
    samples = np.repeat(wave[:, np.newaxis], config.channels, axis=1)
    out, clip = twin.next(samples, np.zeros(samples.shape, dtype=bool))
    assert not clip[skip:].any()
    basis = np.stack([np.cos(omega * n), np.sin(omega * n), np.ones(len(n))], axis=1)[skip:]
    fits = np.linalg.lstsq(basis, np.column_stack([samples, out])[skip:].astype(float), rcond=None)[0]
    before, after = np.split(fits[0] - 1j * fits[1], 2)
    ratio = after / before
    return np.abs(ratio) / 2.0**config.fraction_bits, -np.angle(ratio) / omega


RATES = pytest.mark.parametrize("rate", [1200.0, 8000.0, 30707.0])
BOTH_LINES = pytest.mark.parametrize("line", LINES.values(), ids=lambda line: f"{line.hertz} Hz")


def degrees(delay, config, hertz):
    """Turn a delay in samples into degrees of a frequency."""
    return delay * 360 * hertz / config.sample_rate_hz


@BOTH_LINES
@RATES
def test_range_and_step(line, rate):
    """±3° at either line, and from what is asked to what comes out less than half a step of 0.005°."""
    parts = [0, -1, 1, *np.sort(np.random.default_rng(rng("delays").getrandbits(64)).uniform(-1, 1, 29))]
    config = with_delays(parts, line=line, sample_rate_hz=rate)
    _, delay = measure(GoldenPhase(config), config, line.hertz)
    assert delay[0] == pytest.approx(config.path_delay, abs=1e-7)
    asked = np.array(parts) * config.delay_range_s * 360 * line.hertz
    got = degrees(delay - delay[0], config, line.hertz)
    assert min(got) <= -3 + 2e-4
    assert max(got) >= 3 - 2e-4
    print(f"largest difference from what was asked: {np.abs(got - asked).max():.2g}°")
    assert np.abs(got - asked).max() <= 0.0025


@BOTH_LINES
@RATES
def test_one_step_of_the_coefficient(line, rate):
    """Neighbouring words are at most 0.005° apart, wherever in the range."""
    config = with_delays([0] * 16, line=line, sample_rate_hz=rate)
    twin = GoldenPhase(config)
    # The coefficients of delays from 1.5 to 0.5 samples.
    words = np.linspace(-0.2, 0.36, config.channels) * (1 << PHASE_FRACTION_BITS)
    twin.coefficient[:] = words
    _, before = measure(twin, config, line.hertz)
    twin.coefficient[:] += 1
    _, after = measure(twin, config, line.hertz)
    steps = degrees(before - after, config, line.hertz)
    print(f"steps {min(steps):.2g}° to {max(steps):.2g}°")
    assert (steps > 0).all()
    assert (steps <= 0.005).all()


@RATES
def test_gain_is_flat(rate):
    """Within 10 ppm from 45 to 65 Hz; in fact within 0.1."""
    config = with_delays(np.linspace(-1, 1, 16), sample_rate_hz=rate)
    gains = np.array([measure(GoldenPhase(config), config, hertz)[0] for hertz in (45, 50, 55, 60, 65)])
    spread = (gains.max(axis=0) - gains.min(axis=0)).max()
    print(f"gain from {gains.min():.9f} to {gains.max():.9f}")
    assert spread <= 0.1e-6
    assert np.abs(gains - 1).max() <= 0.1e-6


def contribution(config, amps, factor, hertz, seconds=20):
    """Return the energy's error in ppm, of a current that comes early by what the calibration delays."""
    rate = config.sample_rate_hz
    # Whole cycles of a signal that repeats: an ideal delay turns the phases of its spectrum.
    n = np.arange(round(seconds * rate))
    cycles = 2 * np.pi * hertz / rate
    lead = config.channel_calibration(1).delay_s * rate
    volts = math.sqrt(2) * config.line.v_nominal * np.cos(cycles * n)
    current = math.sqrt(2) * amps * np.cos(cycles * (n + lead) - math.acos(factor))
    samples = IdealAdc(config).codes(0, volts[:, np.newaxis], current[:, np.newaxis]).astype(np.int64)
    spectra = np.fft.rfft(samples, axis=0)
    late = np.exp(-2j * np.pi * np.arange(len(spectra)) / len(n) * lead)
    true = np.mean(samples[:, 0] * np.fft.irfft(spectra[:, 1] * late, len(n)))
    twin = GoldenPhase(config)
    no_clip = np.zeros(samples.shape, dtype=bool)
    twin.next(samples, no_clip)
    out, _ = twin.next(samples, no_clip)
    return (np.mean(out[:, 0] * out[:, 1] / 4.0**config.fraction_bits) / true - 1) * 1e6


@pytest.mark.parametrize("degrees_at_60", [0.0, 0.1, 1.0, 1.34, 3.0, -3.0])
def test_contribution_to_the_error(degrees_at_60):
    """Energy at 8 kS/s: what rounding, the coefficient's last place and the all-pass's dispersion add."""
    config = MeterConfig.for_model("MSNCT-1SC").with_changes(
        calibration=(ChannelCalibration(), ChannelCalibration(delay_s=degrees_at_60 / 360 / 60))
    )
    print(f"phase, current early by {degrees_at_60:g}° at 60 Hz: error in ppm")
    for hertz, amps, factor in itertools.product((60, 45, 65), (110.0, 1.0, 0.01), (1.0, 0.5)):
        error = contribution(config, amps, factor, hertz)
        print(f"  {hertz} Hz  {amps:6g} A  power factor {factor:g}: {error:+.3f}")
        assert abs(error) <= (2 if hertz == config.line.hertz else 10)

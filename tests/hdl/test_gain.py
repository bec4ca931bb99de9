"""Gain calibration: hardware against golden twin, golden twin against exact fractions."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from harness import PoisonedMemory, channel_items, channel_rows, rng, run_stage, valid_never_waits_for_ready
from hypothesis import given, settings
from hypothesis import strategies as st

from blondel.hdl.config import GAIN_FRACTION_BITS, LINES, ChannelCalibration, MeterConfig
from blondel.hdl.metrology.gain import Gain
from blondel.hdl.metrology.multiplier import Multiplier, SerialMultiplier
from blondel.sim.afe.adc import IdealAdc
from blondel.sim.golden.gain import Gain as GoldenGain


def with_gains(gains, **changes) -> MeterConfig:
    own = {"line": LINES[60], "class_amps": 100.0, "elements": len(gains) // 2, "test_kh_wh": 10}
    return MeterConfig(**(own | changes), calibration=tuple(ChannelCalibration(gain=gain) for gain in gains))


MOST = 1.25 - 2**-24
CONFIGS = {
    "neutral": MeterConfig.for_model("MDNCT-1SC"),
    "both ends": with_gains([MOST, 0.75, 1.01, 0.9]),
    "3 elements": with_gains([MOST, 0.75, 1 + 2**-24, 1 - 2**-24, 1, 1.1], sample_bits=16, sample_rate_hz=500.0),
}


def stimulus(config, frames, name):
    """Random frames with the extremes and their neighbours in them, some invalid."""
    generator = np.random.default_rng(rng(name).getrandbits(64))
    limit = 1 << (config.path_bits - 1)
    samples = generator.integers(-limit, limit, (frames, config.channels))
    for extreme in (limit - 1, -limit, limit * 4 // 5, -limit * 4 // 5, 0, -1):
        samples[generator.random(samples.shape) < 0.08] = extreme
    clip = generator.random(samples.shape) < 0.1
    return samples, generator.random(frames) < 0.8, clip


@pytest.mark.parametrize("throttled", [False, True], ids=["full speed", "throttled"])
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_hardware_equals_golden(config, throttled):
    samples, ok, clip = stimulus(config, 60, f"gain {config.sample_bits} {throttled}")
    throttle = rng("throttle") if throttled else None
    run = run_stage(config, Gain(config), channel_items(samples, ok=ok, clip=clip), throttle=throttle)
    expected, clip_expected = GoldenGain(config).process(samples[ok], clip[ok])
    np.testing.assert_array_equal(channel_rows(run.items, config), expected)
    np.testing.assert_array_equal(channel_rows(run.items, config, "clip"), clip_expected)
    if config.calibration:
        assert (clip_expected & ~clip[ok]).any(), "the stimulus must saturate"
    if not throttled:
        # An item's turn comes when the one before has left.
        turns = map(max, run.offered, [0, *(clock + 1 for clock in run.shown)])
        assert {shown - turn for turn, shown in zip(turns, run.shown, strict=True)} == {Gain.latency}


def test_flags_pass_through():
    config = CONFIGS["both ends"]
    samples, ok, _ = stimulus(config, 20, "flags")
    items = channel_items(samples // 2, ok=ok, window=np.arange(20) % 3 == 0, clip=np.arange(20) % 5 == 0)
    run = run_stage(config, Gain(config), items)
    for name in ("channel", "ok", "window", "late", "clip"):
        assert [item[name] for item in run.items] == [item[name] for item in items]


def test_output_is_valid_before_it_is_ready():
    config = CONFIGS["neutral"]
    items = channel_items(np.zeros((1, config.channels), dtype=int))
    assert valid_never_waits_for_ready(config, Gain(config), items)


@pytest.mark.parametrize("multiplier", [Multiplier, SerialMultiplier])
def test_nothing_is_used_that_is_read_while_it_is_written(multiplier, monkeypatch):
    monkeypatch.setattr("blondel.hdl.metrology.gain.Memory", PoisonedMemory)
    config = CONFIGS["both ends"]
    samples, ok, clip = stimulus(config, 40, "collisions")
    expected, _ = GoldenGain(config).process(samples[ok], clip[ok])
    for throttle in (None, rng("throttle")):
        items = channel_items(samples, ok=ok, clip=clip)
        run = run_stage(config, Gain(config), items, throttle=throttle, multiplier=multiplier)
        np.testing.assert_array_equal(channel_rows(run.items, config), expected)


def test_records_read_and_set_the_gains():
    config = CONFIGS["both ends"]
    words = [-(1 << 22), (1 << 22) - 1, 0, -4711]
    reads = [(c, None) for c in range(4)]
    accesses = reads + [(c, (word, 0)) for c, word in enumerate(words)] + reads
    samples, ok, clip = stimulus(config, 40, "records")
    run = run_stage(config, Gain(config), channel_items(samples, ok=ok, clip=clip), accesses=accesses)
    assert run.records[:4] == [(config.gain_word(c), 0) for c in range(4)]
    assert run.records[8:] == [(word, 0) for word in words]
    twin = GoldenGain(config)
    twin.gain[:] = words
    np.testing.assert_array_equal(channel_rows(run.items, config), twin.next(samples[ok], clip[ok])[0])


def test_chunks_join_to_the_whole():
    config = CONFIGS["both ends"]
    samples, _, clip = stimulus(config, 500, "chunks")
    whole = GoldenGain(config).process(samples, clip)
    twin = GoldenGain(config)
    cuts = [0, 0, 1, 2, 100, 101, len(samples)]
    parts = [twin.next(samples[a:b], clip[a:b]) for a, b in itertools.pairwise(cuts)]
    for joined, one in zip(zip(*parts, strict=True), whole, strict=True):
        np.testing.assert_array_equal(np.concatenate(joined), one)


def test_neutral_changes_nothing():
    config = CONFIGS["neutral"]
    samples, _, clip = stimulus(config, 500, "neutral")
    out, clip_out = GoldenGain(config).process(samples, clip)
    np.testing.assert_array_equal(out, samples)
    np.testing.assert_array_equal(clip_out, clip)


WORDS = st.integers(-(1 << 22), (1 << 22) - 1)
SAMPLES = st.lists(
    st.one_of(st.integers(-(1 << 26), (1 << 26) - 1), st.sampled_from([-(1 << 26), (1 << 26) - 1, 0, -1, 1])),
    min_size=1, max_size=40,
)  # fmt: skip


@settings(max_examples=200, deadline=None, derandomize=True)
@given(words=st.tuples(WORDS, WORDS), voltages=SAMPLES, currents=SAMPLES)
def test_golden_is_exact_arithmetic_then_saturated(words, voltages, currents):
    """What is cut off comes back with the next sample: fractions lose nothing."""
    config = with_gains([1, 1], test_kh_wh=1)
    assert config.path_bits == 27
    frames = min(len(voltages), len(currents))
    samples = np.array([voltages[:frames], currents[:frames]], dtype=np.int64).T
    twin = GoldenGain(config)
    twin.gain[:] = words
    out, clip = twin.next(samples, np.zeros(samples.shape, dtype=bool))
    top = (1 << (config.path_bits - 1)) - 1
    for channel, word in enumerate(words):
        gain = 1 + Fraction(word, 1 << GAIN_FRACTION_BITS)
        assert Fraction(3, 4) <= gain < Fraction(5, 4)
        exact, given_out = Fraction(0), 0
        for n in range(frames):
            exact += int(samples[n, channel]) * gain
            # The sum of the results is always the exact sum, cut off.
            unlimited = math.floor(exact) - given_out
            given_out += unlimited
            assert out[n, channel] == min(max(unlimited, -top - 1), top)
            assert clip[n, channel] == (not -top - 1 <= unlimited <= top)


def test_range_and_step():
    """±25 %, in steps of less than 0.1 ppm: what is asked is met within half a step."""
    for gain in (0.75, MOST, 1.0, *np.random.default_rng(rng("gains").getrandbits(64)).uniform(0.75, MOST, 50)):
        config = with_gains([1, float(gain)], test_kh_wh=1)
        sample = 1 << (config.path_bits - 3)
        samples = np.full((1 << 6, 2), sample)
        out, _ = GoldenGain(config).process(samples, np.zeros(samples.shape, dtype=bool))
        assert out[:, 1].mean() / sample == pytest.approx(gain, abs=0.05e-6)


def contribution(config, amps, factor, hertz, seconds=20):
    """Return the energy's error in ppm, relative to the same samples times the wanted gain."""
    n = np.arange(round(seconds * config.sample_rate_hz))
    angle = 2 * np.pi * hertz / config.sample_rate_hz * n
    volts = math.sqrt(2) * config.line.v_nominal * np.cos(angle)
    current = math.sqrt(2) * amps * np.cos(angle - math.acos(factor))
    samples = IdealAdc(config).codes(0, volts[:, np.newaxis], current[:, np.newaxis]).astype(np.int64)
    out, _ = GoldenGain(config).process(samples << config.fraction_bits, np.zeros(samples.shape, dtype=bool))
    true = np.mean(samples[:, 0] * samples[:, 1]) * config.channel_calibration(1).gain
    return (np.mean(out[:, 0] * out[:, 1] / 4.0**config.fraction_bits) / true - 1) * 1e6


@pytest.mark.parametrize("gain", [1.0, 1.0002, 1.001, 0.99, 1.2])
def test_contribution_to_the_error(gain):
    """Energy at 8 kS/s: what the gain's step and cutting off add."""
    config = MeterConfig.for_model("MSNCT-1SC").with_changes(
        calibration=(ChannelCalibration(), ChannelCalibration(gain=gain))
    )
    print(f"gain {gain:g}: error in ppm")
    for hertz, amps, factor in itertools.product((60, 45, 65), (110.0, 1.0, 0.01), (1.0, 0.5)):
        error = contribution(config, amps, factor, hertz)
        print(f"  {hertz} Hz  {amps:6g} A  power factor {factor:g}: {error:+.3f}")
        assert abs(error) <= 3

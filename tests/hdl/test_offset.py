"""Offset removal: hardware against golden twin, golden twin against float."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from harness import PoisonedMemory, channel_items, channel_rows, rng, run_stage, valid_never_waits_for_ready

from blondel.hdl.config import TRACKING_SHIFT, ChannelCalibration, MeterConfig
from blondel.hdl.metrology.offset import Offset
from blondel.sim.golden.frame import Frame
from blondel.sim.golden.offset import Offset as GoldenOffset

CONFIG = MeterConfig.for_model("MDNCT-1SC")
#: A window of 512 frames, so that a short run has several.
SHORT = MeterConfig.for_model("MDNCT-1SC", sample_rate_hz=500.0, sample_bits=16)
CALIBRATED = SHORT.with_changes(
    calibration=tuple(ChannelCalibration(offset=o) for o in (-8192.0, 8192.0, 0.25, -77.5))
)
FIXED = CALIBRATED.with_changes(offset_tracking=False)


def stimulus(config, frames, name, windows_every=7):
    """Random frames with the extremes in it, some invalid, with windows far shorter than the real ones."""
    generator = np.random.default_rng(rng(name).getrandbits(64))
    limit = 1 << (config.sample_bits - 1)
    samples = generator.integers(-limit, limit, (frames, config.channels))
    samples[generator.random(samples.shape) < 0.1] = limit - 1
    samples[generator.random(samples.shape) < 0.1] = -limit
    ok = generator.random(frames) < 0.8
    window = np.zeros(frames, dtype=bool)
    window[windows_every - 1 :: windows_every] = True
    return samples, ok, window & ok


@pytest.mark.parametrize("config", [CONFIG, SHORT, CALIBRATED, FIXED], ids=["24 bit", "16 bit", "calibrated", "fixed"])
@pytest.mark.parametrize("throttled", [False, True], ids=["full speed", "throttled"])
def test_hardware_equals_golden(config, throttled):
    samples, ok, window = stimulus(config, 60, f"offset {config.sample_bits} {throttled}")
    throttle = rng("throttle") if throttled else None
    run = run_stage(config, Offset(config), channel_items(samples, ok=ok, window=window), throttle=throttle)
    expected = GoldenOffset(config).process(samples[ok], window[ok])
    np.testing.assert_array_equal(channel_rows(run.items, config), expected)
    assert not np.array_equal(expected, samples[ok]), "the stimulus must make the corrections move"
    if not throttled:
        # An item is taken together with its successor, unless it ends a window.
        ends = np.repeat(window, config.channels)[1:]
        assert set(np.diff(run.accepted)[~ends]) == {Offset.latency + 1}
        most = {FIXED: 0, CALIBRATED: 2}.get(config, 1 << TRACKING_SHIFT + 1)
        assert np.diff(run.accepted).max() == Offset.latency + 1 + most


def test_flags_pass_through():
    samples, ok, window = stimulus(SHORT, 20, "flags")
    clip = np.arange(20) % 3 == 0
    items = channel_items(samples, ok=ok, window=window, clip=clip)
    run = run_stage(SHORT, Offset(SHORT), items)
    for name in ("channel", "ok", "window", "late", "clip"):
        assert [item[name] for item in run.items] == [item[name] for item in items]


def test_output_is_valid_before_it_is_ready():
    items = channel_items(np.zeros((1, SHORT.channels), dtype=int))
    assert valid_never_waits_for_ready(SHORT, Offset(SHORT), items)


def test_records_read_and_preset_the_corrections():
    preset = [123456, -123456, 0, 1 << (SHORT.offset_bits - 2)]
    accesses = [(c, None) for c in range(4)] + [(c, (v, 0)) for c, v in enumerate(preset)] + [(3, None)]
    samples, ok, window = stimulus(SHORT, 40, "records")
    run = run_stage(SHORT, Offset(SHORT), channel_items(samples, ok=ok, window=window), accesses=accesses)
    assert run.records[:4] == [(SHORT.offset_word(c), 0) for c in range(4)]
    assert run.records[8] == (preset[3], 0)
    twin = GoldenOffset(SHORT)
    twin.preset(np.array(preset))
    np.testing.assert_array_equal(channel_rows(run.items, SHORT), twin.next(samples[ok], window[ok]))


def test_chunks_join_to_the_whole():
    samples, ok, window = stimulus(SHORT, 500, "chunks")
    samples, window = samples[ok], window[ok]
    whole = GoldenOffset(SHORT).process(samples, window)
    twin = GoldenOffset(SHORT)
    cuts = [0, 1, 2, 100, 101, len(samples)]
    parts = [twin.next(samples[a:b], window[a:b]) for a, b in itertools.pairwise(cuts)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def settled_run(hertz, lag_deg, offset=83886.0, amplitude=4e6):
    """A voltage and a lagging current, both offset, with the windows that the frame input makes of them."""
    config = MeterConfig.for_model("MSNCT-1SC")
    n = np.arange(24 * config.window_frames)
    angle = 2 * np.pi * hertz / config.sample_rate_hz * n + 0.7
    waves = amplitude * np.sin(np.stack([angle, angle - np.deg2rad(lag_deg)], axis=1))
    samples = np.rint(waves + offset).astype(np.int64)
    _, _, window, _, _ = Frame(config).process(samples, np.ones(len(n), dtype=bool))
    return config, waves, samples, window, round(config.settle_s * config.sample_rate_hz)


@pytest.mark.parametrize("hertz", [45.0, 47.3, 50.0, 55.1, 60.0, 65.0])
def test_settled_correction_is_within_its_bound(hertz):
    """Windows begin and end within a sample of a zero crossing: there the voltage is small; a current may
    be at its peak, and a sample too many or too few adds it to the window's sum."""
    amplitude, offset = 4e6, 83886.0
    config, _, samples, window, settled = settled_run(hertz, 90.0, offset, amplitude)
    twin = GoldenOffset(config)
    twin.next(samples[:settled], window[:settled])
    step = 2 * np.pi * hertz / config.sample_rate_hz
    bound = 1 + amplitude / config.window_frames * np.array([step, 1.0])
    ends = settled + 1 + np.flatnonzero(window[settled:])
    assert len(ends) > 10
    for start, end in itertools.pairwise([settled, *ends]):
        twin.next(samples[start:end], window[start:end])
        error = np.abs(twin.correction / config.window_frames + offset)
        assert (error <= bound).all(), f"{error} above {bound}"


@pytest.mark.parametrize("lag_deg", [0.0, 60.0, -30.0])
@pytest.mark.parametrize("hertz", [45.0, 45.4, 50.0, 54.2, 60.06, 65.0])
def test_the_tracking_adds_less_than_a_tenth_ppm_of_energy(hertz, lag_deg):
    config, waves, samples, window, settled = settled_run(hertz, lag_deg)
    removed = GoldenOffset(config).process(samples, window).astype(np.float64)[settled:]
    energy = np.sum(waves[settled:].prod(axis=1))
    assert abs(np.sum(removed.prod(axis=1)) / energy - 1) <= 0.1e-6


def test_corrections_stay_in_the_range_of_a_sample():
    """A channel at the end of its range: the step, up to 3.5 % too long, must not carry the correction beyond."""
    config = MeterConfig.for_model("MSNCT-1SC", sample_rate_hz=500.0)
    limit = 1 << (config.sample_bits - 1)
    samples = np.tile([limit - 1, -limit], (6 * config.window_frames_most, 1))
    window = np.zeros(len(samples), dtype=bool)
    window[config.window_frames_most - 1 :: config.window_frames_most] = True
    run = run_stage(config, Offset(config), channel_items(samples, window=window))
    twin = GoldenOffset(config)
    np.testing.assert_array_equal(channel_rows(run.items, config), twin.process(samples, window))
    # A step that would leave the range is not taken: the correction stays a part of the last step before the end.
    distance = limit * config.window_frames - np.abs(twin.correction)
    assert (distance >= 0).all()
    assert (distance < limit * config.window_frames / 1000).all()


def test_a_sum_of_extremes_fits():
    """From one end of the range to the other: the sum of a longest window's results is the largest there is."""
    config = MeterConfig.for_model("MSNCT-1SC", sample_rate_hz=500.0, sample_bits=16)
    limit = 1 << (config.sample_bits - 1)
    high = np.tile([limit - 1, -limit], (4 * config.window_frames_most, 1))
    samples = np.concatenate([high, -1 - high])
    window = np.zeros(len(samples), dtype=bool)
    window[config.window_frames_most - 1 :: config.window_frames_most] = True
    run = run_stage(config, Offset(config), channel_items(samples, window=window))
    np.testing.assert_array_equal(channel_rows(run.items, config), GoldenOffset(config).process(samples, window))


def test_nothing_is_used_that_is_read_while_it_is_written(monkeypatch):
    monkeypatch.setattr("blondel.hdl.metrology.offset.Memory", PoisonedMemory)
    samples, ok, window = stimulus(SHORT, 80, "collisions")
    items = channel_items(samples, ok=ok, window=window)
    expected = GoldenOffset(SHORT).process(samples[ok], window[ok])
    for throttle in (None, rng("throttle")):
        run = run_stage(SHORT, Offset(SHORT), items, throttle=throttle)
        np.testing.assert_array_equal(channel_rows(run.items, SHORT), expected)

"""Offset removal: hardware against golden twin, golden twin against float."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from harness import channel_items, channel_rows, rng, run_stage, valid_never_waits_for_ready

from blondel.hdl.config import ChannelCalibration, MeterConfig
from blondel.hdl.metrology.offset import Offset
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
    assert not np.array_equal(expected, samples[ok]), "the stimulus must make the estimates move"
    if not throttled:
        assert set(run.latencies) == {Offset.latency}


def test_flags_pass_through():
    samples, ok, window = stimulus(SHORT, 20, "flags")
    clip = np.arange(20) % 3 == 0
    items = channel_items(samples, ok=ok, window=window, clip=clip)
    run = run_stage(SHORT, Offset(SHORT), items)
    for name in ("channel", "ok", "window", "clip"):
        assert [item[name] for item in run.items] == [item[name] for item in items]


def test_output_is_valid_before_it_is_ready():
    items = channel_items(np.zeros((1, SHORT.channels), dtype=int))
    assert valid_never_waits_for_ready(SHORT, Offset(SHORT), items)


def test_records_read_and_preset_the_estimates():
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


@pytest.mark.parametrize("hertz", [45.0, 47.3, 50.0, 55.1, 60.0, 65.0])
def test_settled_estimate_is_within_its_bound(hertz):
    """A window's mean keeps at most 1/(π f T) of the amplitude; the slowest steps leave a sixtieth of
    that, and the first windows, after the settling time, no more than a tenth."""
    config = MeterConfig.for_model("MSNCT-1SC")
    n = np.arange(32 * config.window_frames)
    amplitude, offset = 4e6, 83886.0
    wave = amplitude * np.cos(2 * np.pi * hertz * n / config.sample_rate_hz)
    samples = np.rint(np.stack([wave, wave], axis=1) + offset).astype(np.int64)
    window = np.zeros(len(n), dtype=bool)
    window[config.window_frames - 1 :: config.window_frames] = True
    twin = GoldenOffset(config)
    settled = round(config.settle_s * config.sample_rate_hz)
    twin.next(samples[:settled], window[:settled])
    bound = amplitude / (np.pi * hertz * config.window_s) / 8
    for start in range(settled, len(n), config.window_frames):
        chunk = slice(start, start + config.window_frames)
        twin.next(samples[chunk], window[chunk])
        error = np.abs(twin.estimate / config.window_frames - offset)
        assert (error <= bound).all(), f"{error} above {bound}"


@pytest.mark.parametrize("cycles", [46.5, 49.5, 55.5, 61.5, 66.5])
def test_the_tracking_adds_less_than_4_ppm_of_energy(cycles):
    """Half a cycle too many in each window is the worst: the means of voltage and current alternate, and
    so do the estimates, one window later. They share a frequency, so their products do not average out."""
    config = MeterConfig.for_model("MSNCT-1SC")
    n = np.arange(32 * config.window_frames)
    wave = 4e6 * np.sin(2 * np.pi * cycles / config.window_frames * n)
    window = np.zeros(len(n), dtype=bool)
    window[config.window_frames - 1 :: config.window_frames] = True
    samples = np.rint(np.stack([wave, wave], axis=1) + 83886.0).astype(np.int64)
    removed = GoldenOffset(config).process(samples, window).astype(np.float64)
    settled = slice(round(config.settle_s * config.sample_rate_hz), None)
    error = np.sum(removed[settled].prod(axis=1)) / np.sum(wave[settled] ** 2) - 1
    assert abs(error) <= 4e-6

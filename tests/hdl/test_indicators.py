"""Indicators: hardware against golden twin, limits to the last LSB, sines against what they stand for."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from amaranth.sim import Simulator
from harness import (
    PoisonedMemory,
    WithMultiplier,
    channel_items,
    channel_rows,
    rng,
    run_stage,
    valid_never_waits_for_ready,
)

from blondel.hdl.config import MeterConfig
from blondel.hdl.outputs.indicators import Indicators
from blondel.sim.golden.indicators import Indicators as GoldenIndicators

CONFIG = MeterConfig.for_model("MDNCT-1SC")
#: Windows of 512 frames, so that a few large samples reach the limits.
SHORT = MeterConfig.for_model("MSNCT-2SC", sample_rate_hz=500.0, sample_bits=16)
DUAL = MeterConfig.for_model("MDNCT-1SC", sample_rate_hz=500.0)


def stimulus(config, frames, name):
    """Windows far shorter than the real ones, of samples so large that those of about 22 valid frames are in range."""
    generator = np.random.default_rng(rng(name).getrandbits(64))
    limit = 1 << (config.path_bits - 1)
    window = np.zeros(frames, dtype=bool)
    window[np.cumsum(np.tile([8, 27, 45], frames // 80)) - 1] = True
    ok = (generator.random(frames) < 0.8) | window
    # The last frame of a window is late, with some of those before it.
    late = window | (np.roll(window, -1) & (generator.random(frames) < 0.5))
    # An invalid frame's marks mean nothing.
    window |= ~ok & (generator.random(frames) < 0.5)
    late |= ~ok & (generator.random(frames) < 0.5)
    magnitude = generator.uniform(0.5, 0.62, (frames, config.channels)) * limit
    samples = np.rint(generator.choice([-1, 1], magnitude.shape) * magnitude).astype(np.int64)
    extreme = generator.random(samples.shape)
    samples[extreme < 0.02] = limit - 1
    samples[extreme > 0.98] = -limit
    clip = generator.random(samples.shape) < 0.002
    return samples, ok, window, late, clip


def run_hardware(config, samples, ok, window, late, clip, **options):
    """Return the run, and the status after each valid frame."""
    items = channel_items(samples, ok=ok, window=window, late=late, clip=clip)
    run = run_stage(config, Indicators(config), items, **options)
    # With its current, an element's item has its indicators after this frame.
    voltage, overrange = (channel_rows(run.items, config, name)[:, 1::2] for name in ("voltage", "overrange"))
    return run, voltage | overrange << 1


@pytest.mark.parametrize("config", [DUAL, SHORT], ids=["two elements", "one element"])
@pytest.mark.parametrize("throttled", [False, True], ids=["full speed", "throttled"])
def test_hardware_equals_golden(config, throttled):
    samples, ok, window, late, clip = stimulus(config, 400, f"indicators {config.elements} {throttled}")
    throttle = rng("throttle") if throttled else None
    run, status = run_hardware(config, samples, ok, window, late, clip, throttle=throttle)
    expected = GoldenIndicators(config).process(samples[ok], window[ok], late[ok], clip[ok])
    np.testing.assert_array_equal(status, expected)
    assert set(np.diff(expected & 1, axis=0).ravel()) == {0, 1, 255}, "the stimulus must go in and out of range"
    np.testing.assert_array_equal(channel_rows(run.items, config), samples[ok])
    for item, sent in zip(run.items, channel_items(samples, ok=ok, window=window), strict=True):
        assert (item["ok"], item["window"]) == (sent["ok"], sent["window"])
    if not throttled:
        # An item is taken together with its successor: the next one is offered in the clock after.
        took = np.diff(run.accepted)
        marks = np.stack([ok, ok & late, ok & window], axis=1).repeat(config.channels, axis=0)[1:]
        for marked, clocks in (((0, 0, 0), 0), ((1, 0, 0), Indicators.latency), ((1, 1, 0), 1), ((1, 1, 1), 3)):
            assert set(took[(marks == marked).all(axis=1)]) == {clocks + 1}


def test_output_is_valid_before_it_is_ready():
    items = channel_items(np.zeros((1, 2), int))
    assert valid_never_waits_for_ready(SHORT, Indicators(SHORT), items)


def squares_of(total):
    """Return numbers up to 2**15 whose squares have the sum ``total``."""
    numbers = []
    while total:
        numbers.append(min(math.isqrt(total), 1 << 15))
        total -= numbers[-1] ** 2
    return numbers


@pytest.mark.parametrize(
    ("channel", "limit", "outward"),
    [(0, SHORT.voltage_low, -1), (0, SHORT.voltage_high, 1), (1, SHORT.current_high, 1)],
    ids=["voltage low", "voltage high", "current high"],
)
@pytest.mark.parametrize("beyond", [0, 1], ids=["at the limit", "one LSB beyond"])
def test_limits_are_exact(channel, limit, outward, beyond):
    """A sum that equals a limit is in range; the next one is not: in hardware and in the twin."""
    sums = [(SHORT.voltage_low + SHORT.voltage_high) // 2, 0]
    sums[channel] = limit + outward * beyond
    columns = [squares_of(total) for total in sums]
    frames = max(map(len, columns)) + 1
    samples = np.zeros((frames, 2), dtype=np.int64)
    for column, numbers in enumerate(columns):
        # Only the negative end of the range has the magnitude of 2**15.
        samples[: len(numbers), column] = [-n << SHORT.indicator_shift for n in numbers]
    window = np.arange(frames) == frames - 1
    ok, clip = np.ones(frames, dtype=bool), np.zeros((frames, 2), dtype=bool)
    _, status = run_hardware(SHORT, samples, ok, window, window, clip)
    expected = np.zeros((frames, 1), dtype=np.uint8)
    expected[-1] = beyond << channel
    np.testing.assert_array_equal(status, expected)
    np.testing.assert_array_equal(GoldenIndicators(SHORT).process(samples, window, window, clip), expected)


def test_worst_case_fits():
    """A window of the most negative samples; the twin computes in 64 bits."""
    assert (1 << 30) * SHORT.window_frames < 1 << SHORT.indicator_bits
    twin = GoldenIndicators(CONFIG)
    samples = np.full((CONFIG.window_frames + 1, 4), -(1 << (CONFIG.path_bits - 1)))
    window = np.arange(len(samples)) == len(samples) - 1
    status = twin.process(samples, window, window, np.zeros(samples.shape, dtype=bool))
    assert (status[-1] == 3).all()
    assert not status[:-1].any()


def test_overrange_is_sticky_until_cleared():
    stage = Indicators(SHORT)
    dut = WithMultiplier(SHORT, stage)
    seen = []

    async def frame(ctx, *, clip, ok=1):
        for channel in (0, 1):
            ctx.set(dut.i.payload, {"channel": channel, "ok": ok, "window": 0, "clip": clip and channel == clip - 1})
            ctx.set(dut.i.valid, 1)
            (overrange,) = await ctx.tick().sample(dut.o.payload.overrange).until(dut.i.ready)
        ctx.set(dut.i.valid, 0)
        if ok:
            seen.append(overrange)

    async def clear(ctx):
        ctx.set(dut.clear, 1)
        await ctx.tick()
        ctx.set(dut.clear, 0)

    async def bench(ctx):
        ctx.set(dut.o.ready, 1)
        await frame(ctx, clip=1, ok=0)
        # Clipped in the voltage, then in the current.
        await frame(ctx, clip=0)
        for channel in (1, 2):
            await frame(ctx, clip=channel)
            await frame(ctx, clip=0)
            await clear(ctx)
            # An invalid frame clears nothing.
            await frame(ctx, clip=1, ok=0)
            await frame(ctx, clip=0)
            await frame(ctx, clip=0)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    assert seen == [0, *[1, 1, 0, 0] * 2]


def test_chunks_join_to_the_whole():
    samples, ok, window, late, clip = stimulus(DUAL, 1000, "chunks")
    samples, window, late, clip = samples[ok], window[ok], late[ok], clip[ok]
    whole = GoldenIndicators(DUAL).process(samples, window, late, clip)
    twin = GoldenIndicators(DUAL)
    cuts = [0, 1, 2, 300, 301, len(samples)]
    parts = [twin.next(samples[a:b], window[a:b], late[a:b], clip[a:b]) for a, b in itertools.pairwise(cuts)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def status_of_sines(config, volts, amps, hertz, name):
    """Meter sines of any phase, as calibrated samples; return the status after each of five windows."""
    phase = rng(name).uniform(0, 2 * np.pi)
    frames = config.window_frames + 1
    angle = 2 * np.pi * hertz / config.sample_rate_hz * np.arange(5 * frames) + phase
    wave = np.sqrt(2) * np.sin(angle)
    voltage = wave * volts / config.v_lsb * 2**config.fraction_bits
    current = wave * amps / config.i_lsb * 2**config.fraction_bits
    samples = np.tile(np.rint(np.stack([voltage, current], axis=1)).astype(np.int64), config.elements)
    window = np.zeros(len(samples), dtype=bool)
    window[frames - 1 :: frames] = True
    return GoldenIndicators(config).process(samples, window, window, np.zeros(samples.shape, dtype=bool))[window]


SINES = [
    CONFIG,
    SHORT,
    # The shortest windows, in s, that there are.
    MeterConfig.for_model("MSTCT-1SP", 50, sample_rate_hz=724.0),
    MeterConfig.for_model("MSTCT-1SP", 60, sample_rate_hz=11585.0, sample_bits=20),
]


@pytest.mark.parametrize("config", SINES, ids=lambda c: f"{c.line.hertz} Hz at {c.sample_rate_hz:g}")
@pytest.mark.parametrize("hertz", [45.0, 49.7, 50.0, 53.3, 60.0, 62.1, 65.0])
def test_sines(config, hertz):
    line, amps = config.line, config.class_amps
    name = f"sines {config.sample_rate_hz} {hertz}"
    for volts in (line.v_min, line.v_nominal, line.v_max):
        assert (status_of_sines(config, volts, 1.1 * amps, hertz, name) == 0).all(), f"{volts} V, 110 %"
    for volts in (0.97 * line.v_min, 1.03 * line.v_max):
        assert (status_of_sines(config, volts, 0.0, hertz, name) == 1).all(), f"{volts} V"
    assert (status_of_sines(config, line.v_nominal, 1.11 * amps, hertz, name) == 2).all(), "111 %"


def test_frames_beyond_the_least_window_do_not_count():
    """A window is up to a cycle longer than its least length; its sums are of that length all the same."""
    config = SHORT
    frames = config.window_frames_most + config.window_frames + 1
    # The voltage of the range's upper end, but for half a percent: the frames in excess would exceed it.
    volts = 1.005 * config.line.v_max / config.v_full_scale * (1 << (config.path_bits - 2))
    samples = np.tile([round(volts), 0], (frames, 1))
    window = np.zeros(frames, dtype=bool)
    window[[config.window_frames_most - 1, -1]] = True
    # In the second window the voltage is too high in the last frame that counts, by enough for the sum.
    samples[-2, 0] = (1 << (config.path_bits - 1)) - 1
    late = np.zeros(frames, dtype=bool)
    late[config.window_frames : config.window_frames_most] = True
    late[-1] = True
    ok, clip = np.ones(frames, dtype=bool), np.zeros((frames, 2), dtype=bool)
    _run, status = run_hardware(config, samples, ok, window, late, clip)
    expected = GoldenIndicators(config).process(samples, window, late, clip)
    np.testing.assert_array_equal(status, expected)
    assert status[: frames - 1].max() == 0
    assert status[-1, 0] == 1


def test_nothing_is_used_that_is_read_while_it_is_written(monkeypatch):
    monkeypatch.setattr("blondel.hdl.outputs.indicators.Memory", PoisonedMemory)
    samples, ok, window, late, clip = stimulus(SHORT, 400, "collisions")
    expected = GoldenIndicators(SHORT).process(samples[ok], window[ok], late[ok], clip[ok])
    for throttle in (None, rng("throttle")):
        _, status = run_hardware(SHORT, samples, ok, window, late, clip, throttle=throttle)
        np.testing.assert_array_equal(status, expected)

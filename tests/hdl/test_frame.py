"""Frame input: hardware against golden twin, and every way in which a frame can be invalid."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
from amaranth.sim import Simulator
from harness import PoisonedMemory, channel_rows, plain, read_record, rng, run_stage, valid_never_waits_for_ready
from hypothesis import given, settings
from hypothesis import strategies as st

from blondel.hdl.config import LINES, MeterConfig
from blondel.hdl.frontend.frame import COUNTER_BITS, Frame
from blondel.sim.golden.frame import Frame as GoldenFrame

#: A window of 512 frames, so that a short run has one.
DUAL = MeterConfig.for_model("MDNCT-1SC", sample_rate_hz=500.0)
TRIPLE = MeterConfig(line=LINES[50], class_amps=5.0, elements=3, sample_bits=16, sample_rate_hz=400.0)


def samples_of(rows, ok=None) -> list[dict]:
    """Turn rows into samples; where ``ok`` is false, one sample of the row is bad."""
    items = []
    for n, row in enumerate(rows):
        bad = None if ok is None or ok[n] else n % len(row)
        items += [{"data": int(x), "ok": c != bad, "last": c == len(row) - 1} for c, x in enumerate(row)]
    return items


def frames_of(samples: list[dict], config) -> tuple[np.ndarray, np.ndarray]:
    """Take a stream of samples apart, as the contract says: the rows and whether each is valid."""
    rows, ok, row = [], [], []
    for sample in samples:
        row.append(sample)
        if sample["last"]:
            ok.append(len(row) == config.channels and all(each["ok"] for each in row))
            rows.append([each["data"] for each in row] if ok[-1] else [0] * config.channels)
            row = []
    return np.array(rows, dtype=np.int64).reshape(-1, config.channels), np.array(ok, dtype=bool)


def stimulus(config, frames, name):
    """Random frames with the extremes in them, some invalid."""
    generator = np.random.default_rng(rng(name).getrandbits(64))
    limit = 1 << (config.sample_bits - 1)
    samples = generator.integers(-limit, limit, (frames, config.channels))
    for extreme in (limit - 1, limit - 2, -limit, -limit + 1):
        samples[generator.random(samples.shape) < 0.05] = extreme
    return samples, generator.random(frames) < 0.8


def check(config, run, rows, ok, twin=None):
    """Compare all that left with what the golden twin says."""
    twin = GoldenFrame(config) if twin is None else twin
    samples, index, window, late, clip = twin.next(rows, ok)
    assert [item["ok"] for item in run.items] == [int(each) for each in np.repeat(ok, config.channels)]
    np.testing.assert_array_equal(channel_rows(run.items, config), samples)
    np.testing.assert_array_equal(channel_rows(run.items, config, "clip"), clip)
    np.testing.assert_array_equal(channel_rows(run.items, config, "window"), np.outer(window, [1] * config.channels))
    np.testing.assert_array_equal(channel_rows(run.items, config, "late"), np.outer(late, [1] * config.channels))
    np.testing.assert_array_equal(index, np.flatnonzero(ok))
    assert not any(item["window"] for item in run.items if not item["ok"])
    return twin


@pytest.mark.parametrize("config", [DUAL, TRIPLE], ids=["dual", "triple"])
@pytest.mark.parametrize("throttled", [False, True], ids=["full speed", "throttled"])
def test_hardware_equals_golden(config, throttled):
    rows, ok = stimulus(config, 60, f"frame {config.elements} {throttled}")
    throttle = rng("throttle") if throttled else None
    run = run_stage(config, Frame(config), samples_of(rows, ok), outputs=rows.size, throttle=throttle, final=(0,))
    twin = check(config, run, rows, ok)
    assert run.records[-1] == (twin.frames, twin.lost) == (ok.sum(), (~ok).sum())
    assert twin.lost > 0, "the stimulus must have invalid frames"
    if not throttled:
        # The frames after the first one wait for it to leave.
        assert run.shown[0] - run.accepted[config.last_channel] == Frame.latency
        assert {b - a for a, b in itertools.pairwise(run.shown[: config.channels])} == {2}


def windows_of(config, rows, ok):
    """Run hardware and golden; return the valid frames that end a window."""
    run = run_stage(config, Frame(config), samples_of(rows, ok), outputs=rows.size)
    check(config, run, rows, ok)
    valid = [item["window"] for item in run.items if item["ok"] and item["channel"] == 0]
    return [n for n, mark in enumerate(valid) if mark]


def test_windows_end_where_the_first_voltage_crosses_zero_upwards():
    rows, ok = stimulus(TRIPLE, 2 * TRIPLE.window_frames + 60, "windows")
    assert TRIPLE.window_frames == 512
    # Four frames below zero, three at or above it: crossings every seven frames.
    rows[:, 0] = np.where(np.arange(len(rows)) % 7 < 4, -1, 0)
    ok[:] = True
    rising = np.flatnonzero(np.arange(len(rows)) % 7 == 4)
    first = rising[rising >= 512][0]
    second = rising[rising >= first + 1 + 512][0]
    assert windows_of(TRIPLE, rows, ok) == [first, second]


def test_only_valid_frames_count_and_cross():
    rows, ok = stimulus(TRIPLE, TRIPLE.window_frames + 30, "windows of valid frames")
    rows[:, 0] = -5
    ok[:] = True
    # A crossing in an invalid frame is none, nor does what an invalid frame shows make one.
    rows[515, 0], ok[515] = 5, False
    rows[518:, 0] = 5
    rows[517, 0], ok[517] = -5, False
    rows[516, 0] = 5
    assert windows_of(TRIPLE, rows, ok) == [515], "frame 516, the 515th valid one after the first"


def test_windows_end_without_a_crossing():
    rows, ok = stimulus(TRIPLE, TRIPLE.window_frames_most + 30, "windows without voltage")
    rows[:, 0] = 100
    assert windows_of(TRIPLE, rows, ok) == (
        [TRIPLE.window_frames_most] if np.count_nonzero(ok) > TRIPLE.window_frames_most else []
    )
    ok[:] = True
    assert windows_of(TRIPLE, rows, ok) == [TRIPLE.window_frames_most]


def sample_streams(config):
    """Streams of samples in which frames are too long, too short, or have bad samples in them."""
    limit = 1 << (config.sample_bits - 1)
    value = st.sampled_from([0, 1, -1, limit - 1, -limit])
    length = st.sampled_from([config.channels] * 3 + list(range(1, 2 * config.channels + 3)))
    frame = length.flatmap(
        lambda n: st.lists(st.tuples(value, st.sampled_from([True] * 9 + [False])), min_size=n, max_size=n)
    )
    return st.lists(frame, min_size=1, max_size=8).map(
        lambda frames: [
            {"data": data, "ok": ok, "last": n == len(frame) - 1}
            for frame in frames
            for n, (data, ok) in enumerate(frame)
        ]
    )


@settings(max_examples=40, deadline=None, derandomize=True)
@given(samples=sample_streams(DUAL), throttle=st.one_of(st.none(), st.integers(0, 1 << 32).map(random.Random)))
def test_a_frame_passes_only_whole(samples, throttle):
    rows, ok = frames_of(samples, DUAL)
    run = run_stage(DUAL, Frame(DUAL), samples, outputs=rows.size, throttle=throttle)
    check(DUAL, run, rows, ok)


def test_one_bit_from_an_end_of_the_range_is_not_clipped():
    bits = DUAL.sample_bits
    most = (1 << (bits - 1)) - 1
    words = [most, -most - 1] + [end ^ 1 << n for end in (most, ~most) for n in range(bits - 1)]
    rows = np.array(words + [0] * (-len(words) % DUAL.channels)).reshape(-1, DUAL.channels)
    run = run_stage(DUAL, Frame(DUAL), samples_of(rows), outputs=rows.size)
    assert [item["clip"] for item in run.items] == [1, 1] + [0] * (rows.size - 2)
    check(DUAL, run, rows, np.ones(len(rows), bool))


def test_input_waits_only_with_a_last_sample():
    rows, _ = stimulus(DUAL, 4, "two buffers")
    stage = Frame(DUAL)
    taken = []

    async def bench(ctx):
        pending = samples_of(rows)
        for clock in range(120):
            ctx.set(stage.o.ready, clock >= 50)
            ctx.set(stage.i.valid, bool(pending))
            if pending:
                ctx.set(stage.i.payload, pending[0])
                if ctx.get(stage.i.ready):
                    pending.pop(0)
                    taken.append(clock)
            await ctx.tick()

    sim = Simulator(stage)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    # All but the second frame's last one, a sample a clock; that one when the first frame has left, and the next one
    # when that is counted; then frames without a pause.
    assert taken[:7] == list(range(7))
    assert taken[7:9] == [50 + 2 * DUAL.channels - 1, 50 + 2 * DUAL.channels + 1]
    assert [taken[n] - taken[7] for n in (11, 15)] == [2 * DUAL.channels + 2, 2 * (2 * DUAL.channels + 2)]


@pytest.mark.parametrize("write", [False, True], ids=["read", "written"])
def test_a_record_is_of_one_moment(write):
    """However long an access lasts: all words are of one moment, no item leaves; then it goes on where it was."""
    rows, ok = stimulus(DUAL, 30, "long accesses")
    stage = Frame(DUAL)
    records, o = stage.records, stage.o
    generator = rng("long accesses")
    items, counted, checked = [], [0, 0], [0]

    async def feed(ctx):
        for sample in samples_of(rows, ok):
            ctx.set(stage.i.payload, sample)
            ctx.set(stage.i.valid, 1)
            await ctx.tick().until(stage.i.ready)
        ctx.set(stage.i.valid, 0)

    async def access(ctx):
        ctx.set(records.write, write)
        ctx.set(records.wdata.accumulator, (1 << COUNTER_BITS) - 3)
        while len(items) < rows.size:
            await ctx.tick().repeat(generator.choice((1, 1, 2, 9)))
            ctx.set(records.valid, 1)
            record = await read_record(ctx, records)
            if write:
                counted[:] = (1 << COUNTER_BITS) - 3, 0
            else:
                assert record == tuple(counted)
            checked[0] += 1

    async def drain(ctx):
        while True:
            ctx.set(o.ready, generator.random() < 0.7)
            await ctx.tick()

    async def watch(ctx):
        answered = False
        async for _, _, asked, ready, leaves, item in ctx.tick().sample(
            records.valid, records.ready, o.valid & o.ready, o.payload
        ):
            answered = asked and (answered or ready)
            assert not (answered and leaves), "an item leaves during an access"
            if leaves:
                items.append(plain(item))
                if item.channel == DUAL.last_channel:
                    counted[not item.ok] = (counted[not item.ok] + 1) % (1 << COUNTER_BITS)

    sim = Simulator(stage)
    sim.add_clock(1e-6)
    sim.add_testbench(feed)
    sim.add_testbench(access)
    sim.add_testbench(drain, background=True)
    sim.add_testbench(watch, background=True)
    sim.run()
    assert checked[0] > 50, "accesses are most of the time"
    assert [item["ok"] for item in items] == [int(each) for each in np.repeat(ok, DUAL.channels)]
    np.testing.assert_array_equal(channel_rows(items, DUAL), rows[ok])


def test_nothing_is_used_that_is_read_while_it_is_written(monkeypatch):
    monkeypatch.setattr("blondel.hdl.frontend.frame.Memory", PoisonedMemory)
    rows, ok = stimulus(DUAL, 40, "collisions")
    for throttle in (None, rng("throttle")):
        run = run_stage(DUAL, Frame(DUAL), samples_of(rows, ok), outputs=rows.size, throttle=throttle)
        check(DUAL, run, rows, ok)


def test_output_is_valid_before_it_is_ready():
    assert valid_never_waits_for_ready(DUAL, Frame(DUAL), samples_of(np.zeros((1, 4), dtype=int)))


def test_records_preset_the_counters_and_they_roll_over():
    top = (1 << COUNTER_BITS) - 1
    rows, ok = stimulus(DUAL, 20, "counters")
    accesses = [(0, None), (0, (top - 3, top - 1)), (0, None)]
    run = run_stage(DUAL, Frame(DUAL), samples_of(rows, ok), outputs=rows.size, accesses=accesses, final=(0,))
    assert run.records[:3:2] == [(0, 0), (top - 3, top - 1)]
    twin = GoldenFrame(DUAL)
    twin.preset(top - 3, top - 1)
    check(DUAL, run, rows, ok, twin)
    assert run.records[-1] == (twin.frames, twin.lost) == (ok.sum() - 4, (~ok).sum() - 2)


def test_chunks_join_to_the_whole():
    rows, ok = stimulus(TRIPLE, 3000, "chunks")
    whole = GoldenFrame(TRIPLE)
    expected = whole.process(rows, ok)
    twin = GoldenFrame(TRIPLE)
    cuts = [0, 0, 1, 2, 511, 513, 2000, len(rows)]
    parts = []
    for a, b in itertools.pairwise(cuts):
        samples, index, *marks = twin.next(rows[a:b], ok[a:b])
        parts.append((samples, index + a, *marks))
    for joined, one in zip(zip(*parts, strict=True), expected, strict=True):
        np.testing.assert_array_equal(np.concatenate(joined), one)
    assert (twin.frames, twin.lost) == (whole.frames, whole.lost)
    assert expected[2].sum() == ok.sum() // TRIPLE.window_frames


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.int64])
def test_golden_takes_integers_of_any_width(dtype):
    rows, ok = stimulus(TRIPLE, 50, "dtypes")
    for one, other in zip(
        GoldenFrame(TRIPLE).process(rows.astype(dtype), ok), GoldenFrame(TRIPLE).process(rows, ok), strict=True
    ):
        np.testing.assert_array_equal(one, other)

"""Counter drive: hardware against golden twin, counts against pulses, pulses against time."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from amaranth.sim import Simulator
from harness import rng
from hypothesis import given, settings
from hypothesis import strategies as st

from blondel.hdl.config import MeterConfig
from blondel.hdl.outputs.counter import CounterDrive
from blondel.sim.engine import Events, output_names
from blondel.sim.golden.counter import CounterDrive as GoldenCounterDrive

#: 100 ms are 40 frames.
EQUAL = MeterConfig.for_model("MSNCT-1SC", sample_rate_hz=400.0, sample_bits=16)
CONFIGS = {
    "equal": EQUAL,
    "short gap": EQUAL.with_changes(counter_on_s=0.02, counter_gap_s=0.001),
    "short pulse": EQUAL.with_changes(counter_on_s=0.001, counter_gap_s=0.02),
    "shortest": EQUAL.with_changes(counter_on_s=0.001, counter_gap_s=0.001),
}
COUNTER = output_names(EQUAL).index("counter")


def times(config):
    return config.frames_in(config.counter_on_s), config.frames_in(config.counter_gap_s)


def load(config, frames, name):
    """Counts, now and then so many that they have to wait."""
    generator = np.random.default_rng(rng(name).getrandbits(64))
    level = np.resize(np.repeat([0.5, 2.0, 0.0, 1.0], 100), frames)
    return generator.random(frames) < level / sum(times(config))


def edges_of(levels, start=0):
    levels = np.concatenate([[start], levels]).astype(bool)
    frame = np.flatnonzero(levels[1:] != levels[:-1])
    return Events(frame, np.full(len(frame), COUNTER, dtype=np.uint16), levels[1:][frame])


def run_hardware(config, counts, *, throttle=None, preset=None):
    """Return the level after each frame, clocks from each item to its strobe, and the last record."""
    dut = CounterDrive(config)
    levels, accepted, strobes, records = [], [], [], []

    async def access(ctx, write):
        ctx.set(dut.records.valid, 1)
        if write is not None:
            ctx.set(dut.records.write, 1)
            ctx.set(dut.records.wdata.accumulator, int(write[0]))
            ctx.set(dut.records.wdata.count, int(write[1]))
        rdata = dut.records.rdata
        record = await ctx.tick().sample(rdata.accumulator, rdata.count).until(dut.records.ready)
        ctx.set(dut.records.valid, 0)
        ctx.set(dut.records.write, 0)
        records.append(list(record))

    async def feed(ctx):
        if preset is not None:
            await access(ctx, preset)
        for count in counts:
            if throttle is not None:
                await ctx.tick().repeat(throttle.choice((0, 0, 1, 5, 20)) + 1)
            ctx.set(dut.i.payload.count, int(count))
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)
        await access(ctx, None)

    async def watch(ctx):
        clock = 0
        async for _, _, valid, ready, frame, level in ctx.tick().sample(
            dut.i.valid, dut.i.ready, dut.frame, dut.counter
        ):
            if valid and ready:
                accepted.append(clock)
            if frame:
                strobes.append(clock)
                levels.append(level)
            clock += 1

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(feed)
    sim.add_testbench(watch, background=True)
    sim.run()
    assert len(levels) == len(counts)
    return levels, set(np.subtract(strobes, accepted)), records[-1]


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("throttled", [False, True], ids=["full speed", "throttled"])
def test_hardware_equals_golden(name, throttled):
    config = CONFIGS[name]
    counts = load(config, 1200 if throttled else 4000, f"counter {name}")
    throttle = rng("throttle") if throttled else None
    levels, latencies, record = run_hardware(config, counts, throttle=throttle)
    twin = GoldenCounterDrive(config)
    expected = twin.process(len(counts), np.flatnonzero(counts))
    assert edges_of(levels) == expected
    assert record == twin.records[0].tolist()
    assert len(expected) > 4
    assert latencies == {CounterDrive.latency}


@pytest.mark.parametrize("name", CONFIGS)
def test_preset(name):
    """What waits is driven at once, with the same pulses and gaps; the number driven goes on, and rolls over."""
    config = CONFIGS[name]
    counts = load(config, 400, f"preset {name}")
    preset = (3, (1 << config.queue_bits) - 2)
    levels, _, record = run_hardware(config, counts, preset=preset)
    twin = GoldenCounterDrive(config)
    twin.preset(np.array([preset]))
    expected = twin.next(len(counts), np.flatnonzero(counts))
    assert edges_of(levels) == expected
    assert expected.frame[0] == 0
    assert record == twin.records[0].tolist()
    assert record[1] < preset[1], "the stimulus must make it roll over"


def test_writing_the_record_ends_a_pulse():
    config = EQUAL
    dut = CounterDrive(config)
    seen = []

    async def frames(ctx, number, count):
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.i.payload.count, count)
        await ctx.tick().repeat(number)
        ctx.set(dut.i.valid, 0)
        seen.append(ctx.get(dut.counter))

    async def bench(ctx):
        await frames(ctx, 1, 1)
        ctx.set(dut.records.valid, 1)
        ctx.set(dut.records.write, 1)
        ctx.set(dut.records.wdata.accumulator, 1)
        ctx.set(dut.records.wdata.count, 7)
        await ctx.tick()
        ctx.set(dut.records.valid, 0)
        seen.append(ctx.get(dut.counter))
        await frames(ctx, 1, 0)
        await frames(ctx, times(config)[0] - 1, 0)
        await frames(ctx, 1, 0)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    assert seen == [1, 0, 1, 1, 0]


@pytest.mark.parametrize("name", CONFIGS)
def test_pulses_are_exact_and_none_is_lost(name):
    """Counts in a burst, then none: every pulse has its width, and the gaps are the shortest."""
    config = CONFIGS[name]
    on, gap = times(config)
    events = GoldenCounterDrive(config).process(60 * (on + gap), np.arange(50))
    np.testing.assert_array_equal(events.frame[0::2], np.arange(50) * (on + gap))
    np.testing.assert_array_equal(events.frame[1::2], np.arange(50) * (on + gap) + on)
    np.testing.assert_array_equal(events.level, np.arange(100) % 2 == 0)


def test_default_times():
    """100 ms and 100 ms at 8000 frames a second."""
    events = GoldenCounterDrive(MeterConfig.for_model("MDNCT-1SC")).process(10000, np.array([5, 7]))
    np.testing.assert_array_equal(events.frame, [5, 805, 1605, 2405])


@pytest.mark.parametrize("cut", range(0, 400, 13))
def test_waking_up_adds_no_pulse(cut):
    """An outage at any point of a pulse: counts that wait are driven after it, the others are not again."""
    counts = np.array([0, 10, 20, 300])
    before = GoldenCounterDrive(EQUAL)
    first = before.next(cut, counts[counts < cut])
    after = GoldenCounterDrive(EQUAL)
    after.preset(before.records)
    second = after.next(1000, counts[counts >= cut] - cut)
    assert first.level.sum() + second.level.sum() == len(counts) == after.records[0, 1]


@st.composite
def chunked_counts(draw):
    frames = draw(st.integers(1, 300))
    counts = draw(st.sets(st.integers(0, frames - 1)))
    cuts = draw(st.sets(st.integers(0, frames)))
    return frames, np.array(sorted(counts), dtype=np.int64), sorted({0, frames} | cuts), draw(st.integers(0, 3))


@pytest.mark.parametrize("name", CONFIGS)
@given(stimulus=chunked_counts())
@settings(deadline=None, max_examples=200)
def test_chunks_join_to_the_whole_and_to_a_plain_loop(name, stimulus):
    config = CONFIGS[name]
    frames, counts, cuts, waiting = stimulus
    whole = GoldenCounterDrive(config)
    whole.preset([[waiting, 0]])
    events = whole.next(frames, counts)

    twin = GoldenCounterDrive(config)
    twin.preset([[waiting, 0]])
    parts = []
    for start, end in itertools.pairwise(cuts):
        part = twin.next(end - start, counts[(counts >= start) & (counts < end)] - start)
        parts.append(Events(part.frame + start, part.output, part.level))
    assert Events.join(parts) == events
    np.testing.assert_array_equal(twin.records, whole.records)
    assert waiting + len(counts) == whole.records.sum()

    # The rule as it is written down, one frame after another.
    on, gap = times(config)
    timer, levels = 0, []
    for frame in range(frames):
        waiting += frame in counts
        timer = max(timer - 1, 0)
        if timer == 0 and waiting:
            waiting -= 1
            timer = on + gap
        levels.append(timer > gap)
    assert edges_of(levels) == events
    assert waiting == whole.records[0, 0]

"""Pulse outputs: hardware against golden twin, energy against edges, levels against time."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from amaranth.sim import Simulator
from harness import rng, run_stage, valid_never_waits_for_ready
from hypothesis import given, settings
from hypothesis import strategies as st

from blondel.hdl.config import MeterConfig
from blondel.hdl.outputs.pulses import HALF_PULSES, PulseOutputs, shortest_frames
from blondel.sim.engine import Events, output_names
from blondel.sim.golden.pulses import PulseOutputs as GoldenPulseOutputs

#: 30 ms are 12 frames, and 2 for the test pulse.
SLOW = MeterConfig.for_model("MSNCT-1SC", sample_rate_hz=400.0, sample_bits=16, test_kh_wh=1.0)
#: Two ticks in half a test pulse, one frame between edges; a count per 1000 Wh.
FAST = MeterConfig.for_model("MSTCT-1SC", sample_rate_hz=400.0, sample_bits=16, test_kh_wh=4.0, pulse_min_s=0.001)
#: A test pulse of more energy than one of Output 10.
LARGE = SLOW.with_changes(test_kh_wh=20.0)
CONFIGS = {"slow": SLOW, "fast": FAST, "large": LARGE}
PORTS = ("output_10", "output_100", "output_1000", "test", "queued")
NUMBERS = [output_names(SLOW).index(name) for name in PORTS]
OUTPUT_10, OUTPUT_100, OUTPUT_1000, TEST, QUEUED = NUMBERS


def load(frames, name):
    """Ticks of a load that changes: none, a little, more than the outputs can follow."""
    generator = np.random.default_rng(rng(name).getrandbits(64))
    level = np.repeat(generator.choice([0.0, 0.02, 0.3, 0.8, 1.0], frames // 50 + 1), 50)[:frames]
    return generator.random(frames) < level


def edges_of(levels, start=(0, 0, 0, 0, 0)):
    """Turn the levels after each frame into events."""
    levels = np.concatenate([[start], np.array(levels).reshape(-1, len(PORTS))]).astype(bool)
    frame, port = np.nonzero(levels[1:] != levels[:-1])
    return Events(frame, np.array(NUMBERS, dtype=np.uint16)[port], levels[1:][frame, port])


def sample_ports(ctx, stage):
    return [ctx.get(getattr(stage, name)) for name in PORTS]


def run_hardware(config, ticks, *, start=(0, 0, 0, 0, 0), **options):
    run = run_stage(
        config, PulseOutputs(config), [{"tick": int(t)} for t in ticks], probe=sample_ports, **options
    )
    return run, edges_of(run.probes, start), np.flatnonzero([item["count"] for item in run.items])


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("throttled", [False, True], ids=["full speed", "throttled"])
def test_hardware_equals_golden(name, throttled):
    config = CONFIGS[name]
    ticks = load(600 if throttled else 4000, f"pulses {name} {throttled}")
    throttle = rng("throttle") if throttled else None
    run, events, counts = run_hardware(config, ticks, throttle=throttle)
    expected, expected_counts = GoldenPulseOutputs(config).process(len(ticks), np.flatnonzero(ticks))
    assert events == expected
    np.testing.assert_array_equal(counts, expected_counts)
    if not throttled:
        assert set(run.latencies) == {PulseOutputs.latency}
        unmoved = set(NUMBERS) - set(expected.output)
        # Where a frame is enough between edges, no load makes one wait.
        assert unmoved == ({QUEUED} if name == "fast" else set()), "the stimulus must move every output"


def test_output_is_valid_before_it_is_ready():
    assert valid_never_waits_for_ready(SLOW, PulseOutputs(SLOW), [{"tick": 0}])


@pytest.mark.parametrize("name", CONFIGS)
def test_records_read_and_preset(name):
    """A preset sets the levels, what waits is emitted, and the half pulses go on from there."""
    config = CONFIGS[name]
    ticks = load(300, f"records {name}")
    preset = np.array([[57, 195], [6, 1]])
    accesses = [(0, None), (1, None), *((n, tuple(int(v) for v in preset[n])) for n in (0, 1)), (0, None), (1, None)]
    run, events, counts = run_hardware(config, ticks, accesses=accesses, start=(1, 1, 1, 1, 0))
    assert run.records[:2] == [(0, 0), (0, 0)]
    assert run.records[4:] == [(57, 195), (6, 1)]
    twin = GoldenPulseOutputs(config)
    twin.preset(preset)
    expected, expected_counts = twin.next(len(ticks), np.flatnonzero(ticks))
    assert events == expected
    np.testing.assert_array_equal(counts, expected_counts)
    assert len(counts), "the preset must bring a count near"


def test_records_in_the_middle_of_a_run():
    """Read what a load left, preset while edges still wait, and go on from there."""
    ticks = load(400, "in the middle")
    ticks[-40:] = True
    preset = np.array([[57, 195], [6, 1]])
    twin = GoldenPulseOutputs(SLOW)
    twin.next(len(ticks), np.flatnonzero(ticks))
    left = twin.records.tolist()
    assert min(left[0][0], left[1][0]) > 0
    twin.preset(preset)
    expected, _ = twin.next(len(ticks), np.flatnonzero(ticks))
    dut = PulseOutputs(SLOW)
    read, levels = [], []

    async def frames(ctx):
        ctx.set(dut.i.valid, 1)
        for tick in ticks:
            ctx.set(dut.i.payload.tick, int(tick))
            await ctx.tick().until(dut.i.ready)
            levels.append(sample_ports(ctx, dut))
        ctx.set(dut.i.valid, 0)

    async def access(ctx, index, record):
        ctx.set(dut.records.index, index)
        ctx.set(dut.records.valid, 1)
        ctx.set(dut.records.write, record is not None)
        if record is not None:
            ctx.set(dut.records.wdata.accumulator, int(record[0]))
            ctx.set(dut.records.wdata.count, int(record[1]))
        rdata = dut.records.rdata
        record = await ctx.tick().sample(rdata.accumulator, rdata.count).until(dut.records.ready)
        ctx.set(dut.records.valid, 0)
        read.append(list(record))

    async def bench(ctx):
        ctx.set(dut.o.ready, 1)
        await frames(ctx)
        for index, record in ((0, None), (1, None), (0, preset[0]), (1, preset[1]), (0, None), (1, None)):
            await access(ctx, index, record)
        levels.clear()
        await frames(ctx)
        for index in (0, 1):
            await access(ctx, index, None)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    assert read[:2] == left
    assert read[4:6] == preset.tolist()
    assert read[6:] == twin.records.tolist()
    assert edges_of(levels, start=(1, 1, 1, 1, 1)) == expected


def test_queued_is_sticky_until_cleared():
    dut = PulseOutputs(SLOW)
    seen = []

    async def frames(ctx, count, tick):
        for _ in range(count):
            ctx.set(dut.i.valid, 1)
            ctx.set(dut.i.payload.tick, tick)
            await ctx.tick().until(dut.i.ready)
        ctx.set(dut.i.valid, 0)
        await ctx.tick()
        seen.append(ctx.get(dut.queued))

    async def bench(ctx):
        ctx.set(dut.o.ready, 1)
        await frames(ctx, 1, 0)
        await frames(ctx, 2, 1)  # the second test edge has to wait one frame
        await frames(ctx, 50, 0)
        ctx.set(dut.clear, 1)
        await ctx.tick()
        seen.append(ctx.get(dut.queued))
        await frames(ctx, 3, 1)
        ctx.set(dut.clear, 0)
        await frames(ctx, 5, 0)
        await frames(ctx, 2, 1)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    assert seen == [0, 1, 1, 0, 0, 1, 1]


def check_law(config, ticks, events, counts, records):
    """What holds for every load, whatever the model says."""
    of = {number: events.of(number) for number in NUMBERS}
    # No edge without its energy, no energy without its edge, and none of it early.
    received = np.cumsum(ticks)
    for number, half_ticks, record in (
        (OUTPUT_10, config.pulse_half_ticks, records[0]), (TEST, config.test_half_ticks, records[1])
    ):
        assert received[-1] == record[0] + half_ticks * len(of[number])
        assert (received[of[number].frame] >= half_ticks * np.arange(1, len(of[number]) + 1)).all()
    # Phase lock: every tenth edge of Output 10 is one of Output 100, every tenth of those one of Output 1000.
    np.testing.assert_array_equal(of[OUTPUT_100].frame, of[OUTPUT_10].frame[9::10])
    np.testing.assert_array_equal(of[OUTPUT_1000].frame, of[OUTPUT_10].frame[99::100])
    every = config.counter_half_pulses
    np.testing.assert_array_equal(counts, of[OUTPUT_10].frame[every - 1 :: every])
    # Levels alternate, from off, and last long enough.
    shortest, shortest_test = shortest_frames(config)
    leasts = {OUTPUT_10: shortest, OUTPUT_100: 10 * shortest, OUTPUT_1000: 100 * shortest, TEST: shortest_test}
    for number, least in leasts.items():
        np.testing.assert_array_equal(of[number].level, np.arange(len(of[number])) % 2 == 0)
        assert (np.diff(of[number].frame) >= least).all()


@pytest.mark.parametrize("name", CONFIGS)
def test_overload_queues_and_loses_nothing(name):
    config = CONFIGS[name]
    twin = GoldenPulseOutputs(config)
    ticks = np.arange(100_000) < 8000  # a tick in every frame for a while, then nothing
    events, counts = twin.process(len(ticks), np.flatnonzero(ticks))
    check_law(config, ticks, events, counts, twin.records)
    assert len(events.of(OUTPUT_10)) == 8000 // config.pulse_half_ticks
    assert len(events.of(TEST)) == 8000 // config.test_half_ticks
    queued = events.of(QUEUED)
    # Edges a frame apart can follow a tick a frame; edges twelve frames apart cannot.
    assert (len(queued) == 1) == (name != "fast")
    assert (np.diff(events.of(OUTPUT_10).frame) >= shortest_frames(config)[0]).all()


def test_load_within_the_limits_queues_nothing():
    twin = GoldenPulseOutputs(SLOW)
    # 0.5 Wh in 2 frames of 2.5 ms each are 360 kW.
    events, _ = twin.process(10000, np.arange(0, 10000, 2))
    assert len(events.of(QUEUED)) == 0
    np.testing.assert_array_equal(events.of(TEST).frame, np.arange(0, 10000, 2))


@pytest.mark.parametrize("model", ["MSNCT-1SC", "MDTCT-2SP"])
@pytest.mark.parametrize("line_hz", [50, 60])
def test_rated_load_queues_nothing(model, line_hz):
    """110 % of the class amps at the line's highest voltage, on every element."""
    config = MeterConfig.for_model(model, line_hz=line_hz)
    watts = 1.1 * config.class_amps * config.line.v_max * config.elements
    frames = np.floor(np.arange(1, 2000) * float(config.tick_wh) * 3600 / watts * config.sample_rate_hz).astype(int)
    events, _ = GoldenPulseOutputs(config).process(frames[-1] + 1, frames)
    assert len(events.of(QUEUED)) == 0


@pytest.mark.parametrize("phase", range(0, 2 * HALF_PULSES, 7))
def test_waking_up_costs_at_most_one_edge(phase):
    """An outage at any point of the pulses: outputs fall with the power, and come back as they stood."""
    frames = np.arange(0, 24000, 4)
    cut = 40 * phase + phase % 4
    whole, whole_counts = GoldenPulseOutputs(SLOW).process(24000, frames)
    before = GoldenPulseOutputs(SLOW)
    first, first_counts = before.next(cut, frames[frames < cut])
    after = GoldenPulseOutputs(SLOW)
    after.preset(before.records)
    second, second_counts = after.next(24000 - cut, frames[frames >= cut] - cut)
    assert len(first_counts) + len(second_counts) == len(whole_counts)
    for number in (OUTPUT_10, OUTPUT_100, OUTPUT_1000, TEST):
        rising = [int(events.of(number).level.sum()) for events in (first, second, whole)]
        last = first.of(number).level[-1:]
        woken_on = int(before.records[1, 1] if number == TEST else before.records[0, 1] // 10**number % 2)
        assert woken_on == int(last.any()), "the level that stood when the power went"
        assert 0 <= rising[0] + woken_on + rising[1] - rising[2] <= 1
        # The edges of the metering itself are those of the meter that slept not.
        np.testing.assert_array_equal(
            np.concatenate([first.of(number).frame, second.of(number).frame + cut]), whole.of(number).frame
        )


def test_ticks_in_adjacent_frames():
    config = SLOW.with_changes(test_kh_wh=10.0)
    assert config.pulse_half_ticks == config.test_half_ticks == 1
    events, _ = GoldenPulseOutputs(config).process(40, np.array([0, 1, 2]))
    np.testing.assert_array_equal(events.of(OUTPUT_10).frame, [0, 12, 24])
    np.testing.assert_array_equal(events.of(TEST).frame, [0, 12, 24])
    np.testing.assert_array_equal(events.of(QUEUED).frame, [1])


@st.composite
def chunked_ticks(draw):
    frames = draw(st.integers(1, 400))
    ticks = draw(st.sets(st.integers(0, frames - 1)))
    cuts = draw(st.sets(st.integers(0, frames)))
    preset = [[draw(st.integers(0, 40)), draw(st.integers(0, modulo - 1))] for modulo in (HALF_PULSES, 2)]
    return frames, np.array(sorted(ticks), dtype=np.int64), sorted({0, frames} | cuts), preset


@pytest.mark.parametrize("name", CONFIGS)
@given(stimulus=chunked_ticks())
@settings(deadline=None, max_examples=200)
def test_chunks_join_to_the_whole_and_to_a_plain_loop(name, stimulus):
    config = CONFIGS[name]
    frames, ticks, cuts, preset = stimulus
    whole = GoldenPulseOutputs(config)
    whole.preset(preset)
    events, counts = whole.next(frames, ticks)

    twin = GoldenPulseOutputs(config)
    twin.preset(preset)
    parts, part_counts = [], []
    for start, end in itertools.pairwise(cuts):
        part, count = twin.next(end - start, ticks[(ticks >= start) & (ticks < end)] - start)
        parts.append(Events(part.frame + start, part.output, part.level))
        part_counts.append(count + start)
    assert Events.join(parts) == events
    np.testing.assert_array_equal(np.concatenate(part_counts), counts)
    np.testing.assert_array_equal(twin.records, whole.records)
    assert twin.queued == whole.queued

    levels, loop_counts, records = frame_by_frame(config, frames, set(ticks.tolist()), preset)
    half = preset[0][1]
    start = (half % 2, half // 10 % 2, half // 100, preset[1][1], 0)
    assert edges_of(levels, start) == events
    assert loop_counts == counts.tolist()
    assert records == whole.records.tolist()


def frame_by_frame(config, frames, ticks, preset):
    """The rule as it is written down, one frame after another."""
    waiting, done = [preset[0][0], preset[1][0]], [preset[0][1], preset[1][1]]
    half_ticks, modulo = (config.pulse_half_ticks, config.test_half_ticks), (HALF_PULSES, 2)
    timer = [0, 0]
    queued = 0
    levels, counts = [], []
    for frame in range(frames):
        for n, shortest in enumerate(shortest_frames(config)):
            waiting[n] += frame in ticks
            timer[n] = max(timer[n] - 1, 0)
            if timer[n] == 0 and waiting[n] >= half_ticks[n]:
                waiting[n] -= half_ticks[n]
                done[n] = (done[n] + 1) % modulo[n]
                timer[n] = shortest
                if n == 0 and done[n] % config.counter_half_pulses == 0:
                    counts.append(frame)
            queued |= waiting[n] >= half_ticks[n]
        levels.append([done[0] % 2, done[0] // 10 % 2, done[0] // 100, done[1], queued])
    return levels, counts, [[waiting[0], done[0]], [waiting[1], done[1]]]

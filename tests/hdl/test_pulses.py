"""Pulse outputs and counter drive: hardware against golden twins, energy against edges, levels against time."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import numpy as np
import pytest
from amaranth.sim import Simulator
from harness import PoisonedMemory, read_record, rng
from hypothesis import given, settings
from hypothesis import strategies as st

from blondel.hdl.config import MeterConfig
from blondel.hdl.outputs.pulses import HALF_PULSES, LEVELS, PulseOutputs, Queue, shortest_frames
from blondel.sim.engine import Events, output_names
from blondel.sim.golden.counter import CounterDrive as GoldenCounterDrive
from blondel.sim.golden.pulses import PulseOutputs as GoldenPulseOutputs

#: 30 ms are 12 frames, and 2 for the test pulse; the counter's pulse and gap are 40 frames each.
SLOW = MeterConfig.for_model("MSTCT-1SC", sample_rate_hz=400.0, sample_bits=16, test_kh_wh=1.0)
#: Two ticks in half a test pulse, one frame between edges; a count per 100 Wh, driven for a frame.
FAST = MeterConfig.for_model(
    "MSNCT-1SC", sample_rate_hz=400.0, sample_bits=16, test_kh_wh=4.0, pulse_min_s=0.001, counter_on_s=0.001
)
#: A test pulse of more energy than one of Output 10; a frame between the counter's pulses.
LARGE = SLOW.with_changes(test_kh_wh=20.0, counter_on_s=0.02, counter_gap_s=0.001)
CONFIGS = {"slow": SLOW, "fast": FAST, "large": LARGE}
PORTS = ("output_10", "output_100", "output_1000", "test", "queued")
NUMBERS = [output_names(SLOW).index(name) for name in PORTS]
OUTPUT_10, OUTPUT_100, OUTPUT_1000, TEST, QUEUED = NUMBERS
#: The hardware's outputs, in the order of their numbers.
ALL_PORTS = output_names(SLOW)[:6]


def load(frames, name):
    """Ticks of a load that changes: none, a little, more than the outputs can follow."""
    generator = np.random.default_rng(rng(name).getrandbits(64))
    level = np.repeat(generator.choice([0.0, 0.02, 0.3, 0.8, 1.0], frames // 50 + 1), 50)[:frames]
    return generator.random(frames) < level


def near_the_turn(config):
    """Records just before everything begins again, with some of everything waiting."""
    return [(57, 195), (6, 1), (3, (1 << config.queue_bits) - 2)]


def edges_of(levels, start, numbers=NUMBERS):
    """Turn the levels after each frame into events."""
    levels = np.concatenate([[start], np.array(levels).reshape(-1, len(start))]).astype(bool)
    frame, port = np.nonzero(levels[1:] != levels[:-1])
    return Events(frame, np.array(numbers, dtype=np.uint16)[port], levels[1:][frame, port])


class Golden:
    """Both twins, one after the other."""

    def __init__(self, config):
        self._pulses, self._counter = GoldenPulseOutputs(config), GoldenCounterDrive(config)

    def preset(self, records):
        self._pulses.preset(records[:2])
        self._counter.preset(records[2:])

    def next(self, ticks):
        events, counts = self._pulses.next(len(ticks), np.flatnonzero(ticks))
        events = Events.join([events, self._counter.next(len(ticks), counts)])
        order = np.lexsort((events.output, events.frame))
        return Events(events.frame[order], events.output[order], events.level[order])

    @property
    def records(self):
        return [tuple(row) for row in (*self._pulses.records.tolist(), *self._counter.records.tolist())]


@dataclass
class Hardware:
    """The stage, what it is given and what it shows."""

    dut: PulseOutputs
    #: Pauses between items, and before accesses.
    throttle: object = None
    #: Levels at each strobe, and clocks from the items' acceptance to it.
    levels: list = field(default_factory=list)
    latencies: set = field(default_factory=set)
    #: Clocks that each access waited for.
    waits: list = field(default_factory=list)

    async def frames(self, ctx, ticks):
        dut = self.dut
        for tick in ticks:
            if self.throttle is not None:
                await ctx.tick().repeat(self.throttle.choice((0, 0, 1, 5, 60)) + 1)
            ctx.set(dut.i.payload.tick, int(tick))
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)

    async def access(self, ctx, index, record=None, clocks=0):
        """Read a record, or write it; take ``clocks`` more for it, in which it must stay as it is."""
        records = self.dut.records
        ctx.set(records.index, index)
        ctx.set(records.write, record is not None)
        if record is not None:
            ctx.set(records.wdata.accumulator, int(record[0]))
            ctx.set(records.wdata.count, int(record[1]))
        ctx.set(records.valid, 1)
        ctx.set(records.word, 0)
        self.waits.append(0)
        while not ctx.get(records.ready):
            await ctx.tick()
            self.waits[-1] += 1
        return await read_record(ctx, records, clocks)

    async def read_all(self, ctx, clocks=0):
        return [await self.access(ctx, index, clocks=clocks) for index in range(Queue.COUNTER + 1)]

    async def write_all(self, ctx, records):
        for index, record in enumerate(records):
            await self.access(ctx, index, record, clocks=index + 1)

    def shown(self, ctx):
        return [ctx.get(getattr(self.dut, name)) for name in ALL_PORTS]

    async def _watch(self, ctx):
        dut = self.dut
        clock, accepted, before = 0, None, [0] * len(ALL_PORTS)
        async for _, _, valid, ready, frame, *shown in ctx.tick().sample(
            dut.i.valid, dut.i.ready, dut.frame, *(getattr(dut, name) for name in ALL_PORTS)
        ):
            if frame:
                self.latencies.add(clock - accepted)
                self.levels.append(shown)
            if valid and ready:
                accepted = clock
            # In the clock itself, so that what stands behind the outputs sees no edge alone.
            changed = [now != then for now, then in zip(shown, before, strict=True)]
            if accepted is not None:
                assert changed[OUTPUT_10] >= changed[OUTPUT_100] >= changed[OUTPUT_1000]
            before = shown
            clock += 1

    def run(self, bench):
        sim = Simulator(self.dut)
        sim.add_clock(1e-6)
        sim.add_testbench(bench)
        sim.add_testbench(self._watch, background=True)
        sim.run()


@pytest.fixture
def poisoned(monkeypatch):
    monkeypatch.setattr("blondel.hdl.outputs.pulses.Memory", PoisonedMemory)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("throttled", [False, True], ids=["full speed", "throttled"])
def test_hardware_equals_golden(name, throttled, poisoned):
    """From power-up at full speed; throttled, from where everything begins again."""
    config = CONFIGS[name]
    frames = 200 if throttled else 600
    ticks = load(frames, f"pulses {name} {throttled}")
    hardware, golden = Hardware(PulseOutputs(config), rng("throttle") if throttled else None), Golden(config)
    start, records = [0] * len(ALL_PORTS), []

    async def bench(ctx):
        if throttled:
            await hardware.write_all(ctx, near_the_turn(config))
            start[:] = hardware.shown(ctx)
        await hardware.frames(ctx, ticks)
        await ctx.tick().until(hardware.dut.frame)
        records.extend(await hardware.read_all(ctx))

    hardware.run(bench)
    if throttled:
        assert start == [1, 1, 1, 0, 1, 0]
        golden.preset(near_the_turn(config))
    expected = golden.next(ticks)
    assert len(hardware.levels) == frames
    assert edges_of(hardware.levels, start, range(len(ALL_PORTS))) == expected
    assert records == golden.records
    assert hardware.latencies == {PulseOutputs.latency}
    moved = {ALL_PORTS[number] for number in expected.output}
    # Where a frame is enough between edges, no load makes one wait; 600 frames are not enough for a count of 1000 Wh.
    unmoved = {"output_1000", "queued" if name == "fast" else "counter"}
    assert set(ALL_PORTS) - moved == (set() if throttled else unmoved), "the stimulus must move every output"


def test_records_in_the_middle_of_a_run(poisoned):
    """Read what a load left, preset while edges still wait, and go on from there; a reader may take its time."""
    ticks = load(120, "in the middle")
    ticks[-40:] = True
    hardware, golden = Hardware(PulseOutputs(SLOW)), Golden(SLOW)
    read, presets = [], near_the_turn(SLOW)

    async def bench(ctx):
        await hardware.frames(ctx, ticks)
        # An access is asked for at any time, and takes place between frames.
        read.append(await hardware.read_all(ctx, clocks=5))
        await hardware.write_all(ctx, presets)
        read.append(await hardware.read_all(ctx))
        assert hardware.shown(ctx) == [1, 1, 1, 0, 1, 1]
        hardware.levels.clear()
        await hardware.frames(ctx, ticks)
        read.append(await hardware.read_all(ctx))

    hardware.run(bench)
    golden.next(ticks)
    assert read[0] == golden.records
    assert min(waiting for waiting, _ in golden.records[:2]) > 0
    golden.preset(presets)
    assert read[1] == presets
    assert edges_of(hardware.levels, [1, 1, 1, 0, 1, 1], range(len(ALL_PORTS))) == golden.next(ticks)
    assert read[2] == golden.records


def test_each_of_several_meters_is_as_if_alone(poisoned):
    """Their turns follow each other; records are preset, read and cleared of each."""
    config = SLOW.with_changes(meters=(1, 1, 1), elements=3)
    meters = range(3)
    dut = PulseOutputs(config)
    ticks = np.stack([load(300, f"meter {m}") for m in meters], axis=1)
    ticks[-40:] = True
    presets = [[(m, 95 + m), (m, m % 2), (3 - m, 100 * m)] for m in meters]
    golden = [Golden(config) for _ in meters]
    levels, start, read, cleared = [], [], [], []
    # What a receiver of the events knows at each frame.
    told, told_by_frame = np.zeros((3, len(LEVELS)), dtype=int), []
    helper = Hardware(dut)

    def shown(ctx):
        return [ctx.get(getattr(dut, name)) >> m & 1 for m in meters for name in ALL_PORTS]

    async def frames(ctx, rows):
        for row in rows:
            for m, tick in enumerate(row):
                ctx.set(dut.i.payload, {"tick": int(tick), "last": m == meters[-1]})
                ctx.set(dut.i.valid, 1)
                await ctx.tick().until(dut.i.ready)
                ctx.set(dut.i.valid, 0)
            await ctx.tick().until(dut.frame)
            levels.append(shown(ctx))

    async def bench(ctx):
        for m, records in enumerate(presets):
            for queue, record in enumerate(records):
                await helper.access(ctx, m << 2 | queue, record, clocks=queue)
        start.extend(shown(ctx))
        await frames(ctx, ticks)
        for m in meters:
            read.append([await helper.access(ctx, m << 2 | queue) for queue in range(Queue.COUNTER + 1)])
        # What waited is gone; then more than the test pulse can follow.
        await frames(ctx, np.zeros((250, 3), dtype=bool))
        ctx.set(dut.clear, 1)
        await ctx.tick()
        ctx.set(dut.clear, 0)
        for tick in (0, 1):
            await frames(ctx, np.full((2 + tick, 3), tick, dtype=bool))
            cleared.append(ctx.get(dut.queued))

    async def receive(ctx):
        event = dut.event
        async for _, _, frame, valid, meter, new in ctx.tick().sample(
            dut.frame, event.valid, event.meter, event.levels
        ):
            if frame:
                told_by_frame.append(told[:, [LEVELS.index(name) for name in ALL_PORTS]].ravel().tolist())
            if valid:
                now = [new >> bit & 1 for bit in range(len(LEVELS))]
                assert now != told[meter].tolist(), "an event is a change"
                told[meter] = now

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.add_testbench(receive, background=True)
    sim.run()
    assert told_by_frame == levels
    levels = np.array(levels[: len(ticks)]).reshape(len(ticks), 3, -1)
    for m in meters:
        golden[m].preset(presets[m])
        own = start[len(ALL_PORTS) * m : len(ALL_PORTS) * (m + 1)]
        assert edges_of(levels[:, m], own, range(len(ALL_PORTS))) == golden[m].next(ticks[:, m])
        assert read[m] == golden[m].records
    assert levels[-1, :, -1].all()
    assert cleared == [0, 0b111]


def test_accesses_between_frames_change_nothing(poisoned):
    """A reader that asks again after a clock does not hold up the frames, nor they it."""
    ticks = load(60, "polled")
    hardware, golden = Hardware(PulseOutputs(FAST)), Golden(FAST)
    done, reads = [False], []

    async def frames(ctx):
        await hardware.frames(ctx, ticks)
        await ctx.tick().until(hardware.dut.frame)
        done[0] = True

    async def poll(ctx):
        await ctx.tick()
        while not done[0]:
            reads.append(await hardware.access(ctx, len(reads) % 3, clocks=1 + len(reads) % 4))

    sim = Simulator(hardware.dut)
    sim.add_clock(1e-6)
    sim.add_testbench(frames)
    sim.add_testbench(poll)
    sim.add_testbench(hardware._watch, background=True)
    sim.run()
    assert edges_of(hardware.levels, [0] * len(ALL_PORTS), range(len(ALL_PORTS))) == golden.next(ticks)
    assert len(reads) >= len(ticks)


@pytest.mark.parametrize("half", [*range(0, HALF_PULSES, 9), 100, 101, 110, HALF_PULSES - 1])
def test_a_preset_sets_the_levels(half):
    """Any number of half pulses, and nothing else changes."""
    hardware = Hardware(PulseOutputs(FAST))
    read, shown = [], []

    async def bench(ctx):
        await hardware.access(ctx, Queue.OUTPUT_10, (0, half))
        shown.extend(hardware.shown(ctx))
        read.extend(await hardware.read_all(ctx))

    hardware.run(bench)
    assert shown == [half % 2, half // 10 % 2, half // 100, 0, 0, 0]
    assert read == [(0, half), (0, 0), (0, 0)]


def test_clocks_of_an_access():
    hardware = Hardware(PulseOutputs(FAST))

    async def bench(ctx):
        await hardware.read_all(ctx)
        await hardware.write_all(ctx, [(0, 0)] * 3)

    hardware.run(bench)
    assert hardware.waits == [2, 2, 2, 12, 8, 8]


def test_writing_the_counters_record_ends_a_pulse():
    hardware = Hardware(PulseOutputs(SLOW))
    on = SLOW.frames_in(SLOW.counter_on_s)
    seen = []

    async def frames(ctx, number):
        await hardware.frames(ctx, [0] * number)
        await ctx.tick().until(hardware.dut.frame)
        seen.append(ctx.get(hardware.dut.counter))

    async def bench(ctx):
        await hardware.access(ctx, Queue.COUNTER, (1, 0))
        await frames(ctx, 1)
        await hardware.access(ctx, Queue.COUNTER, (1, 7))
        seen.append(ctx.get(hardware.dut.counter))
        await frames(ctx, 1)
        await frames(ctx, on - 1)
        await frames(ctx, 1)
        seen.append(await hardware.access(ctx, Queue.COUNTER))

    hardware.run(bench)
    assert seen == [1, 0, 1, 1, 0, (0, 8)]


def test_queued_is_sticky_until_cleared():
    hardware = Hardware(PulseOutputs(SLOW))
    dut = hardware.dut
    seen = []

    async def frames(ctx, count, tick):
        await hardware.frames(ctx, [tick] * count)
        await ctx.tick().until(dut.frame)
        seen.append(ctx.get(dut.queued))

    async def bench(ctx):
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

    hardware.run(bench)
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

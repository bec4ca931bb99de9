"""Energy: hardware against golden twin, record by record at every frame; both against what goes in."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from amaranth.hdl import Signal
from amaranth.sim import Simulator
from energy_scales import EnergyScales
from harness import PoisonedMemory, rng, run_stage, valid_never_waits_for_ready
from harness import read_record as read_words
from hypothesis import given, settings
from hypothesis import strategies as st

from blondel.hdl.config import MeterConfig
from blondel.hdl.metrology.energy import Energy, RecordKind
from blondel.hdl.metrology.serial_energy import SerialEnergy
from blondel.hdl.store.single_port import SinglePortMemory
from blondel.sim.golden.energy import Energy as GoldenEnergy

DUAL = MeterConfig.for_model("MDNCT-1SC")
SINGLE = MeterConfig.for_model("MSNCT-2SC", line_hz=50)
MANY = DUAL.with_changes(model=None, elements=5, sample_bits=16, sample_rate_hz=1200.0)
#: Quanta, withheld quanta, ticks, reversals and roll-overs within a few frames.
SMALL = EnergyScales(
    elements=3, product_bits=8, register_bits=4, quantum=70, hysteresis=150, start_energy=120, tick=201
)
#: Several meters, of one, two and one elements.
METERS = EnergyScales(
    elements=4, meters=(1, 2, 1), product_bits=8, register_bits=4, quantum=70, hysteresis=150, start_energy=120,
    tick=141,
)  # fmt: skip
CONFIGS = pytest.mark.parametrize(
    "config", [DUAL, SINGLE, MANY, SMALL, METERS], ids=["dual", "single", "five", "small", "meters"]
)



class AfterAWrite(SinglePortMemory):
    """A memory that shows its words inverted where it shows what means nothing: after a clock in which one was written.

    Its ports are the same, so that a stage that is right does not notice.
    """

    def elaborate(self, platform):
        m = super().elaborate(platform)
        wrote = Signal()
        m.d.sync += wrote.eq(self.write)
        with m.If(wrote):
            m.d.comb += self.rdata.eq(~self.memory.read_ports[0].data)
        return m


#: Every test is of both: with two memories, and with one that has a single port.
pytestmark = pytest.mark.parametrize("kind", [Energy, SerialEnergy])

GATE, PENDING, DELIVERED, RECEIVED = RecordKind


def stimulus(config, frames, name):
    """Products in spells, some frames invalid; each direction and no load first, so that no run lacks them."""
    generator = np.random.default_rng(rng(name).getrandbits(64))
    most = config.product_max
    levels = [most, -most, most // 2, -most // 3, config.start_energy // 30, 0]
    columns = []
    for _ in range(config.elements):
        spells = [np.full(45, most), np.full(15, -most), np.zeros(15)]
        for _ in range(frames // 5):
            noise = generator.integers(-most, most + 1, generator.integers(1, 20)) * (generator.random() < 0.3)
            spells.append(np.clip(generator.choice(levels) + noise, -most, most))
        columns.append(np.concatenate(spells)[:frames])
    products = np.stack(columns, axis=1).astype(np.int64)
    ok = generator.random(frames) < 0.85
    window = generator.random(frames) < 0.15
    ok[[64, 68, 72]] = window[[64, 68, 72]] = True
    return products, ok, window & ok


def items_of(products, ok=None, window=None):
    """Turn rows of products into energy items."""
    frames, elements = products.shape
    ok = np.ones(frames, dtype=bool) if ok is None else ok
    window = np.zeros(frames, dtype=bool) if window is None else window
    return [
        {"element": e, "ok": int(ok[n]), "window": int(window[n]), "product": int(products[n, e])}
        for n in range(frames)
        for e in range(elements)
    ]


def no_records(config):
    """Return records, as the golden model has them, of nothing."""
    return np.zeros((config.elements + len(config.meter_elements), 4, 2), dtype=np.int64)


def live_records(ctx, stage, config, half=0):
    """Read the memory itself: all records, as the golden model has them."""
    records = no_records(config)
    for e, k in np.ndindex(records.shape[:2]):
        records[e, k] = [ctx.get(value) for value in stage.internals.record(e, half, k)]
    return records


def status_of(config, flags):
    """Turn the ports into the golden model's status."""
    is_reversed, no_load = flags
    return [(is_reversed >> e & 1) | (no_load >> e & 1) << 1 for e in range(config.elements)]


def preset_accesses(config, records):
    """Return the accesses that write all records."""
    return [
        (4 * e + k, (int(records[e, k, 0]), int(records[e, k, 1])))
        for e, k in np.ndindex(records.shape[:2])
        if e < config.elements or k in (DELIVERED, RECEIVED)
    ]


def meter(kind, config, products, ok, window, *, throttle=None, preset=None):
    """Run the hardware; return ticks, status and records after every frame, valid or not."""
    stage = kind(config)

    def probe(ctx, stage):
        return (ctx.get(stage.reversed), ctx.get(stage.no_load)), live_records(ctx, stage, config)

    meters = len(config.meter_elements)
    run = run_stage(
        config, stage, items_of(products, ok, window), outputs=meters * len(products), throttle=throttle, probe=probe,
        accesses=[] if preset is None else preset_accesses(config, preset),
    )  # fmt: skip
    ticks = np.array([item["tick"] for item in run.items], dtype=bool).reshape(-1, meters)
    assert [item["last"] for item in run.items] == ([0] * (meters - 1) + [1]) * len(products)
    probes = run.probes[meters - 1 :: meters]
    status = np.array([status_of(config, flags) for flags, _ in probes], dtype=np.uint8)
    return ticks, status, np.array([records for _, records in probes])


def golden_by_frame(config, products, window, preset=None):
    """Run the golden model frame by frame: ticks, status and records after each."""
    twin = GoldenEnergy(config)
    if preset is not None:
        twin.preset(preset)
    ticks, status, records = [], [], []
    for n in range(len(products)):
        tick, state = twin.next(products[n : n + 1], window[n : n + 1])
        ticks.extend(tick)
        status.extend(state)
        records.append(twin.records.copy())
    return np.array(ticks), np.array(status), np.array(records)


def check_conservation(config, products, ticks, records, preset=None):
    """Check, in Python's integers, that every LSB is in exactly one place after every frame."""
    modulus = 1 << config.register_bits
    start = np.zeros_like(records[0]) if preset is None else preset
    ends = np.cumsum(config.meter_elements)
    supplied = [0] * config.elements
    counted = np.zeros(start.shape[:2], dtype=object)
    ticked = np.zeros(len(ends), dtype=object)
    before = start
    for n, now in enumerate(records):
        assert (np.abs(now[..., 0]) < 1 << (config.accumulator_bits - 1)).all()
        steps = (now[..., 1] - before[..., 1] + modulus // 2) % modulus - modulus // 2
        assert (np.abs(steps[:, PENDING:]) <= config.elements).all()
        counted = counted + steps
        gained = now[..., 0].astype(object) - start[..., 0]
        energy = gained + counted * config.quantum
        ticked += ticks[n].astype(int)
        for e in range(config.elements):
            supplied[e] += int(products[n, e])
            assert supplied[e] == energy[e, DELIVERED] - energy[e, RECEIVED] + energy[e, PENDING]
        for m, (end, size) in enumerate(zip(ends, config.meter_elements, strict=True)):
            own, total = slice(end - size, end), config.elements + m
            for kind in (DELIVERED, RECEIVED):
                assert counted[total, kind] == sum(counted[own, kind])
            assert gained[total, DELIVERED] + ticked[m] * config.tick == sum(energy[own, DELIVERED])
        before = now


@CONFIGS
@pytest.mark.parametrize("throttled", [False, True], ids=["full speed", "throttled"])
def test_hardware_equals_golden(kind, config, throttled):
    products, ok, window = stimulus(config, 200, f"energy {config.elements} {config.product_bits} {throttled}")
    ticks, status, records = meter(kind, config, products, ok, window, throttle=rng("throttle") if throttled else None)
    expected = golden_by_frame(config, products[ok], window[ok])
    for got, wanted in zip((ticks, status, records), expected, strict=True):
        np.testing.assert_array_equal(got[ok], wanted)
    check_conservation(config, products[ok], ticks[ok], records[ok])
    assert ticks.any(axis=0).all()
    assert records[:, :, (DELIVERED, RECEIVED), 1].any(axis=0).all(), "the stimulus must reach every register"
    assert len(np.unique(status)) == 3, "and every state of the gate and the direction"


def test_invalid_frames_change_nothing(kind):
    products, ok, window = stimulus(SMALL, 120, "invalid frames")
    ok[:2] = False
    ticks, status, records = meter(kind, SMALL, products, ok, window)
    assert not records[:2].any()
    assert (status[:2] == 2).all()
    assert not ticks[~ok].any()
    for n in np.flatnonzero(~ok[1:]) + 1:
        np.testing.assert_array_equal(records[n], records[n - 1])
        np.testing.assert_array_equal(status[n], status[n - 1])


def test_latency(kind):
    run = run_stage(SINGLE, kind(SINGLE), items_of(np.full((20, 1), SINGLE.product_max)))
    assert set(run.latencies) == {kind.latency}


def clocks_of_a_frame(kind, config):
    """Measure the clocks from one frame's end to the next one's, at full speed."""
    stage = kind(config)
    ends = []

    async def bench(ctx):
        ctx.set(stage.o.ready, 1)
        ctx.set(stage.i.valid, 1)
        ctx.set(stage.i.payload.ok, 1)
        element = 0
        for clock in range(400):
            ctx.set(stage.i.payload.element, element)
            _, _, taken, ended = await ctx.tick().sample(stage.i.ready, stage.o.valid)
            element = (element + taken) % config.elements
            if ended:
                ends.append(clock)

    sim = Simulator(stage)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    (clocks,) = set(np.diff(ends))
    return clocks


def test_clocks_of_an_element(kind):
    element, frame = {Energy: (13, 2), SerialEnergy: (SerialEnergy.turn_clocks, 1)}[kind]
    assert clocks_of_a_frame(kind, SINGLE) == element + frame
    assert clocks_of_a_frame(kind, SMALL) == element * SMALL.elements + frame


@pytest.mark.parametrize("throttled", [False, True], ids=["full speed", "throttled"])
def test_indicators_show_with_their_frame(kind, throttled):
    generator = rng("indicators")
    ok = np.array([generator.random() < 0.8 for _ in range(40)])
    items = items_of(np.zeros((40, 3), dtype=int), ok=ok)
    for item in items:
        item.update(voltage=generator.getrandbits(1), overrange=generator.getrandbits(1))
    run = run_stage(
        SMALL, kind(SMALL), items, outputs=40, throttle=rng("throttle") if throttled else None,
        probe=lambda ctx, stage: {name: ctx.get(getattr(stage, name)) for name in ("voltage", "overrange")},
    )  # fmt: skip
    expected = {"voltage": 0, "overrange": 0}
    for n, shown in enumerate(run.probes):
        if ok[n]:
            frame = items[3 * n : 3 * n + 3]
            expected = {name: sum(item[name] << e for e, item in enumerate(frame)) for name in expected}
        assert shown == expected


def test_output_is_valid_before_it_is_ready(kind):
    assert valid_never_waits_for_ready(SMALL, kind(SMALL), items_of(np.ones((1, SMALL.elements), dtype=int)))
    assert valid_never_waits_for_ready(
        SMALL, kind(SMALL), items_of(np.ones((1, SMALL.elements), dtype=int), ok=np.array([False]))
    )


def run_both(kind, config, products, window=None, preset=None):
    """Run hardware and golden model on valid frames; they must agree; return what the golden model gave."""
    products = np.asarray(products, dtype=np.int64)
    ok = np.ones(len(products), dtype=bool)
    window = ~ok if window is None else np.asarray(window, dtype=bool)
    got = meter(kind, config, products, ok, window, preset=preset)
    expected = golden_by_frame(config, products, window, preset)
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    check_conservation(config, products, expected[0], expected[2], preset)
    return expected


def test_energy_splits_at_the_turning_points(kind):
    most = SINGLE.product_max
    products = np.concatenate([np.full(30, most), np.full(50, -most), np.full(25, most)])[:, np.newaxis]
    _, status, records = run_both(kind, SINGLE, products)
    turned = -(-SINGLE.hysteresis // most)
    reversed_ = (status[:, 0] & 1).astype(bool)
    assert list(np.flatnonzero(np.diff(reversed_)) + 2) == [30 + turned, 80 + turned]
    energy = records[-1, 0, :, 0] + records[-1, 0, :, 1] * SINGLE.quantum
    assert (energy[DELIVERED], energy[RECEIVED]) == (55 * most, 50 * most)


def test_swing_within_the_hysteresis_is_not_received(kind):
    # Net energy goes up by a little a cycle, and down within it by just less than the hysteresis.
    down = SINGLE.hysteresis - 1
    step = SINGLE.product_max // 2
    cycle = [step] * (down // step + 3) + [-step] * (down // step) + [-(down % step)]
    _, status, records = run_both(kind, SINGLE, np.array(cycle * 6)[:, np.newaxis])
    assert not (status & 1).any()
    assert not records[:, 0, RECEIVED].any()
    cycle[-1] -= 1
    _, status, records = run_both(kind, SINGLE, np.array(cycle * 6)[:, np.newaxis])
    assert (status & 1).any()
    assert records[-1, 0, RECEIVED, 0] + records[-1, 0, RECEIVED, 1] * SINGLE.quantum == 6 * SINGLE.hysteresis


@pytest.mark.parametrize("sign", [1, -1], ids=["delivered", "received"])
def test_gate_commits_what_was_pending_whole(kind, sign):
    start = DUAL.start_energy
    # 0.3 of the start energy a window; then exactly it; one LSB less; nothing.
    per_frame = np.repeat([0.3, 0.3, 1, 1, 0, 0], 4)[:, np.newaxis] * [start // 4, -(start // 4)]
    products = sign * per_frame.astype(np.int64)
    products[8::4][:2] += [sign * (start % 4), -sign * (start % 4)]
    products[12, 0] -= sign
    window = np.arange(24) % 4 == 3
    _, status, records = run_both(kind, DUAL, products, window)
    no_load = (status & 2).astype(bool)
    # Loaded in the frame that reaches the start energy; not any more after a whole window that did not.
    assert list(np.flatnonzero(no_load[:, 0])) == [*range(11), *range(15, 24)]
    assert list(np.flatnonzero(no_load[:, 1])) == [*range(11), *range(19, 24)]
    # Energy against the direction waits for the hysteresis.
    first = DELIVERED if sign > 0 else PENDING
    assert records[-1, 0, first, 0] == products[:, 0].sum()
    assert not records[7, 0, (DELIVERED, RECEIVED)].any()


@pytest.mark.parametrize("sign", [1, -1])
def test_gate_withholds_quanta(kind, sign):
    faint = sign * ((SMALL.start_energy - 1) // 4)
    products = np.full((120, SMALL.elements), faint)
    window = np.arange(120) % 4 == 3
    _, status, records = run_both(kind, SMALL, products, window)
    assert (status == 2).all()
    assert not records[:, :, (DELIVERED, RECEIVED)].any()
    assert (np.abs(records[:, :3, PENDING, 0]) < SMALL.hysteresis).all()
    withheld = records[-1, 0, PENDING, 1]
    expected = (int(products[:, 0].sum()) - int(records[-1, 0, PENDING, 0])) // SMALL.quantum
    assert abs(expected) > 2 << SMALL.register_bits, "it must roll over too"
    assert withheld == expected % (1 << SMALL.register_bits)


def test_registers_roll_over(kind):
    top = (1 << DUAL.register_bits) - 1
    preset = np.zeros((3, 4, 2), dtype=np.int64)
    preset[:2, DELIVERED] = [DUAL.quantum - 1, top]
    preset[:2, RECEIVED] = [5, top - 1]
    preset[2, DELIVERED] = [DUAL.tick - 1, top - 1]
    preset[2, RECEIVED] = [0, top - 3]
    preset[0, PENDING] = [DUAL.hysteresis - 1, top]
    products = np.repeat([[1, 0], [DUAL.product_max] * 2, [-DUAL.product_max] * 2], [1, 5, 12], axis=0)
    ticks, _, records = run_both(kind, DUAL, products, preset=preset)
    assert ticks[0] == 0
    assert ticks[1]
    assert (records[-1, :, (DELIVERED, RECEIVED), 1] < 100).all()
    assert (records[-1, :, (DELIVERED, RECEIVED), 1] > 0).all()


@pytest.mark.parametrize("config", [DUAL, MANY, SMALL], ids=["dual", "five", "small"])
def test_extremes(kind, config):
    most = config.product_max
    for pattern in ([most] * 50, [-most] * 50, ([most] * 9 + [-most] * 9) * 3):
        run_both(kind, config, np.repeat(np.array(pattern)[:, np.newaxis], config.elements, axis=1))


def random_records(config, name):
    """Records within the bounds that a preset has to keep."""
    generator, bits = rng(name), config.register_bits
    records = no_records(config)
    for e, k in np.ndindex(config.elements, 4):
        bound = config.hysteresis if k in (GATE, PENDING) else config.quantum
        records[e, k, 0] = generator.randrange(-bound + 1 if k in (GATE, PENDING) else 0, bound)
        records[e, k, 1] = generator.choice([0, 1, 3, 4, 5, 7]) if k == GATE else generator.getrandbits(bits)
    for total in records[config.elements :]:
        total[DELIVERED] = generator.randrange(config.tick), generator.getrandbits(bits)
        total[RECEIVED] = 0, generator.getrandbits(bits)
    return records


@CONFIGS
def test_presets_read_back_and_continue(kind, config):
    preset = random_records(config, f"preset {config.elements}")
    writes = preset_accesses(config, preset)
    indices = [index for index, _ in writes]
    run = run_stage(config, kind(config), [], accesses=writes + [(index, None) for index in indices])
    assert run.records[len(writes) :] == [values for _, values in writes]
    products, ok, window = stimulus(config, 80, f"continue {config.elements}")
    got = meter(kind, config, products, ok, window, preset=preset)
    expected = golden_by_frame(config, products[ok], window[ok], preset)
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_array_equal(one[ok], other)


def test_index_beyond_the_total_writes_nothing(kind):
    accesses = [(index, (-1, -1)) for index in range(12, 16)]
    products = np.full((40, 2), DUAL.product_max)
    run = run_stage(DUAL, kind(DUAL), items_of(products), outputs=40, accesses=accesses)
    ticks, _ = GoldenEnergy(DUAL).process(products, np.zeros(40, dtype=bool))
    assert [item["tick"] for item in run.items] == ticks[:, 0].tolist()


async def read_record(ctx, stage, index):
    ctx.set(stage.records.index, index)
    ctx.set(stage.records.valid, 1)
    return await read_words(ctx, stage.records)


@pytest.mark.parametrize("config", [DUAL, SMALL, METERS], ids=["dual", "small", "meters"])
@pytest.mark.parametrize("throttled", [False, True], ids=["full speed", "throttled"])
def test_reads_under_way_are_of_one_frame(kind, config, throttled):
    """Whole sets of records, frozen and not, while frames come as fast as they can."""
    products, ok, window = stimulus(config, 220, f"reads {config.elements} {throttled}")
    pause = rng("pauses")
    stage = kind(config)
    finished = [0]
    indices = [index for index, _ in preset_accesses(config, no_records(config))]
    by_frame = golden_by_frame(config, products[ok], window[ok])[2]
    state_after = np.concatenate([np.zeros_like(by_frame[:1]), by_frame])[np.concatenate([[0], np.cumsum(ok)])]
    frozen_sets, single_reads = [], []

    async def feed(ctx):
        for item in items_of(products, ok, window):
            if throttled:
                await ctx.tick().repeat(pause.choice((1, 1, 9)))
            ctx.set(stage.i.payload, item)
            ctx.set(stage.i.valid, 1)
            await ctx.tick().until(stage.i.ready)
            ctx.set(stage.i.valid, 0)

    async def drain(ctx):
        ctx.set(stage.o.ready, 1)
        while finished[0] < len(products):
            (last,) = await ctx.tick().sample(stage.o.payload.last).until(stage.o.valid)
            finished[0] += last

    async def read(ctx):
        while finished[0] < len(products) - 30:
            await ctx.tick().repeat(pause.randrange(1, 200))
            ctx.set(stage.freeze, 1)
            before = finished[0]
            await ctx.tick().repeat(pause.choice((1, 2, 100)))
            records = np.zeros_like(state_after[0])
            for index in pause.sample(indices, len(indices)):
                records[index >> 2, index & 3] = await read_record(ctx, stage, index)
            after = finished[0]
            frozen_sets.append((before, after, records))
            ctx.set(stage.freeze, 0)
            await ctx.tick().repeat(pause.choice((1, 2, 100)))
            for index in pause.sample(indices, 5):
                before = finished[0]
                single_reads.append((before, index, await read_record(ctx, stage, index), finished[0]))

    sim = Simulator(stage)
    sim.add_clock(1e-6)
    for bench in (feed, drain, read):
        sim.add_testbench(bench)
    sim.run()

    spans = []
    for before, after, records in frozen_sets:
        # One frame may have been under way when freeze was raised.
        agree = [n for n in (before, before + 1) if n < len(state_after) and np.array_equal(records, state_after[n])]
        assert agree, f"frozen between frames {before} and {after}"
        spans.append(after - before)
    assert len(frozen_sets) > 5
    assert max(spans) > 3, "frames must pass while records are read"
    for before, index, value, after in single_reads:
        of_frames = [tuple(state_after[n][index >> 2, index & 3]) for n in range(before, after + 2)]
        assert value in of_frames, f"record {index} between frames {before} and {after}"


def test_metering_goes_on_while_frozen_and_while_always_asked(kind):
    products, ok, window = stimulus(SMALL, 80, "always asked")
    stage = kind(SMALL)
    ticks = []
    answers = [0]

    async def feed(ctx):
        for item in items_of(products, ok, window):
            ctx.set(stage.i.payload, item)
            ctx.set(stage.i.valid, 1)
            await ctx.tick().until(stage.i.ready)

    async def drain(ctx):
        ctx.set(stage.o.ready, 1)
        ctx.set(stage.freeze, 1)
        for _ in products:
            (payload,) = await ctx.tick().sample(stage.o.payload).until(stage.o.valid)
            ticks.append(payload.tick)

    async def ask(ctx):
        for _ in range(30 * len(products)):
            ctx.set(stage.records.valid, 1)
            while not ctx.get(stage.records.ready):
                await ctx.tick()
            answers[0] += 1
            ctx.set(stage.records.valid, 0)
            await ctx.tick()
        raise AssertionError(f"{len(ticks)} frames while records were asked for {answers[0]} times")

    sim = Simulator(stage)
    sim.add_clock(1e-6)
    sim.add_testbench(feed)
    sim.add_testbench(drain)
    sim.add_testbench(ask, background=True)
    sim.run()
    expected, _ = GoldenEnergy(SMALL).process(products[ok], window[ok])
    np.testing.assert_array_equal(np.array(ticks, dtype=bool)[ok], expected[:, 0])
    assert answers[0] >= len(products) - 2


@st.composite
def scales(draw):
    product_bits = draw(st.integers(4, 12))
    most = 1 << (product_bits - 2)
    meters = tuple(draw(st.lists(st.integers(1, 3), min_size=1, max_size=3)))
    quantum = draw(st.integers(most + 1, 4 * most))
    return EnergyScales(
        elements=sum(meters),
        meters=meters,
        product_bits=product_bits,
        register_bits=draw(st.integers(4, 8)),
        quantum=quantum,
        hysteresis=draw(st.integers(quantum, 3 * quantum)),
        start_energy=draw(st.integers(1, 3 * quantum)),
        tick=draw(st.integers(max(meters) * most + 1, 4 * max(meters) * most)),
    )


@given(config=scales(), data=st.data())
@settings(max_examples=20)
def test_any_scales_and_products(kind, config, data):
    most = config.product_max
    value = st.one_of(st.sampled_from([-most, most, 0, -1, 1]), st.integers(-most, most))
    frame = st.lists(value, min_size=config.elements, max_size=config.elements)
    # Each drawn frame comes several times: a direction takes some frames to turn.
    spells = data.draw(st.lists(st.tuples(frame, st.integers(1, 8), st.booleans()), min_size=1, max_size=10))
    products = [row for row, times, _ in spells for _ in range(times)]
    window = [ends and k == times - 1 for _, times, ends in spells for k in range(times)]
    run_both(kind, config, products, window)


def test_chunks_join_to_the_whole(kind):
    products, _, window = stimulus(DUAL, 500, "chunks")
    twin = GoldenEnergy(DUAL)
    whole = twin.process(products, window)
    records = twin.records.copy()
    twin.reset()
    cuts = [0, 1, 2, 100, 101, 500]
    parts = [twin.next(products[a:b], window[a:b]) for a, b in itertools.pairwise(cuts)]
    for k in (0, 1):
        np.testing.assert_array_equal(np.concatenate([part[k] for part in parts]), whole[k])
    np.testing.assert_array_equal(twin.records, records)


def test_nothing_is_used_that_is_read_while_it_is_written(kind, monkeypatch):
    monkeypatch.setattr("blondel.hdl.metrology.energy.Memory", PoisonedMemory)
    monkeypatch.setattr("blondel.hdl.metrology.serial_energy.SinglePortMemory", AfterAWrite)
    products, ok, window = stimulus(DUAL, 100, "collisions")
    run_both(kind, DUAL, products[ok], window[ok])

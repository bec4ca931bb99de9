"""Runs one stage in Amaranth's simulator: streams driven and watched, records accessed."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field

import numpy as np
from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.sim import Simulator

from blondel.hdl.metrology.multiplier import Multiplier, MultiplierSignature

#: Every test's randomness starts here; set BLONDEL_SEED to try another.
SEED = int(os.environ.get("BLONDEL_SEED", "20260713"))


def rng(name: str) -> random.Random:
    """Return a test's own generator, and print what it takes to repeat the run."""
    print(f"BLONDEL_SEED={SEED} ({name})")
    return random.Random(f"{SEED} {name}")


class PoisonedMemory(Memory):
    """A memory that shows what must not be used: data read from an address while it was written.

    In place of what a simulator would show, such data is inverted. A test puts it in a stage's module in
    place of ``Memory``; a stage that is right does not notice.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._poisoned = []

    def read_port(self, **kwargs):
        inner = super().read_port(**kwargs)
        outer = inner.signature.create()
        self._poisoned.append((outer, inner))
        return outer

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.memory = super().elaborate(platform)
        for outer, inner in self._poisoned:
            collided = Signal()
            m.d.comb += [
                inner.addr.eq(outer.addr),
                inner.en.eq(outer.en),
                outer.data.eq(Value.cast(inner.data) ^ collided.replicate(len(Value.cast(inner.data)))),
            ]
            with m.If(outer.en):
                m.d.sync += collided.eq(Cat(port.en & (port.addr == outer.addr) for port in self.write_ports).any())
        return m


class WithMultiplier(wiring.Component):
    """A stage with a multiplier, for testing it alone; while ``busy`` another stage is served first."""

    def __init__(self, config, stage, multiplier=Multiplier):
        self._config = config
        self.stage = stage
        self._multiplier = multiplier
        members = dict(stage.signature.members.items())
        del members["multiplier"]
        self.latency = stage.latency
        super().__init__(members | {"busy": wiring.In(1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.stage = self.stage
        m.submodules.multiplier = multiplier = self._multiplier(self._config, 2)
        wiring.connect(m, self.stage.multiplier, multiplier.requests[0])
        m.d.comb += multiplier.requests[1].valid.eq(self.busy)
        for name in self.signature.members:
            if name == "busy":
                continue
            if isinstance(self.signature.members[name].flow, wiring.Flow) and self.signature.members[name].is_port:
                inner, outer = getattr(self.stage, name), getattr(self, name)
                flow = self.signature.members[name].flow
                m.d.comb += inner.eq(outer) if flow is wiring.In else outer.eq(inner)
            else:
                wiring.connect(m, wiring.flipped(getattr(self, name)), getattr(self.stage, name))
        return m


def uses_multiplier(stage) -> bool:
    """Tell whether a stage asks the shared multiplier."""
    members = stage.signature.members
    return "multiplier" in members and isinstance(members["multiplier"].signature, MultiplierSignature)


@dataclass
class Run:
    """What a run of a stage gave."""

    #: Payloads at the output, in order.
    items: list
    #: For every item, clocks from its acceptance to its output's first being valid.
    latencies: list[int] = field(default_factory=list)
    #: Clocks in which the input items were first valid, were accepted, and in which the output items were first valid.
    offered: list[int] = field(default_factory=list)
    accepted: list[int] = field(default_factory=list)
    shown: list[int] = field(default_factory=list)
    #: Answers to the record accesses, in order, as (accumulator, count).
    records: list[tuple[int, int]] = field(default_factory=list)
    #: What ``probe`` returned after each output item.
    probes: list = field(default_factory=list)


def plain(value):
    """Turn a simulated payload into dictionaries and integers."""
    if isinstance(value, data.Const):
        layout = value.shape()
        return {name: plain(value[name]) for name, _ in layout}
    return int(value)


async def read_record(ctx, records, more: int = 0) -> tuple[int, int]:
    """Finish an access: return the record, or what stands there while it is written.

    Each word is taken ``more`` times again, and must be the same.
    """
    words = []
    for word in range(8):
        ctx.set(records.word, word)
        rdata = Cat(records.rdata.accumulator, records.rdata.count)
        (value,) = await ctx.tick().sample(rdata).until(records.ready)
        words.append(value >> 16 * word & 0xFFFF)
        for _ in range(more):
            (again,) = await ctx.tick().sample(rdata).until(records.ready)
            assert ctx.get(records.write) or again >> 16 * word & 0xFFFF == words[-1]
        if ctx.get(records.write):
            break
    ctx.set(records.valid, 0)
    await ctx.tick()
    record = sum(each << 16 * word for word, each in enumerate(words))
    accumulator = record & (1 << 64) - 1
    return accumulator - (accumulator >> 63 << 64), record >> 64


def run_stage(
    config, stage, items, *, outputs=None, throttle=None, accesses=(), final=(), probe=None, max_clocks=None,
    multiplier=Multiplier,
) -> Run:  # fmt: skip
    """Feed ``items`` to ``stage.i`` and collect what comes out of ``stage.o``.

    Parameters
    ----------
    items : list of dict
        Payloads.
    outputs : int or None
        Items to wait for. Default: as many as go in.
    throttle : random.Random or None
        Where given, both ends pause at random, and the multiplier is busy at random; else all run at full
        speed.
    accesses : iterable of (index, None | (accumulator, count))
        Record reads and writes, done one after another before the first item.
    final : iterable of int
        Indices of records that are read after the last item.
    probe : callable(ctx, stage) or None
        Called when an item leaves, to sample ports beside the stream.
    multiplier : type
        What a stage that multiplies shares: ``Multiplier`` or ``SerialMultiplier``.

    The streams are monitored: a payload must not change, nor ``valid`` fall, while it is stalled.
    """
    dut = WithMultiplier(config, stage, multiplier) if uses_multiplier(stage) else stage
    outputs = len(items) if outputs is None else outputs
    run = Run(items=[])
    offered, accepted, shown = run.offered, run.accepted, run.shown
    clock = [0]
    ready_to_feed = [not accesses]
    finished = [False]

    async def access(ctx, accesses):
        for index, wanted in accesses:
            ctx.set(dut.records.index, index)
            ctx.set(dut.records.write, wanted is not None)
            if wanted is not None:
                ctx.set(dut.records.wdata.accumulator, wanted[0])
                ctx.set(dut.records.wdata.count, wanted[1])
            ctx.set(dut.records.valid, 1)
            run.records.append(await read_record(ctx, dut.records))

    async def begin(ctx):
        await access(ctx, accesses)
        ready_to_feed[0] = True

    async def feed(ctx):
        while not ready_to_feed[0]:
            await ctx.tick()
        for item in items:
            if throttle is not None:
                # What is there while nothing is offered means nothing.
                ctx.set(dut.i.payload, throttle.choice(items))
                await ctx.tick().repeat(throttle.choice((0, 0, 1, 5, 20)) + 1)
            ctx.set(dut.i.payload, item)
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)

    async def drain(ctx):
        while len(run.items) < outputs:
            if throttle is not None:
                ctx.set(dut.o.ready, 0)
                await ctx.tick().repeat(throttle.choice((0, 0, 1, 5, 20)) + 1)
            ctx.set(dut.o.ready, 1)
            (payload,) = await ctx.tick().sample(dut.o.payload).until(dut.o.valid)
            run.items.append(plain(payload))
            if probe is not None:
                run.probes.append(probe(ctx, stage))
        ctx.set(dut.o.ready, 0)
        await access(ctx, [(index, None) for index in final])
        finished[0] = True

    async def contend(ctx):
        while True:
            ctx.set(dut.busy, throttle.random() < 0.5)
            await ctx.tick()

    async def monitor(ctx):
        stalled = {"i": None, "o": None}
        was_valid = False
        limit = max_clocks or 2000 + 300 * (len(items) + outputs)
        async for _, _, iv, ir, ip, ov, o_ready, op in ctx.tick().sample(
            dut.i.valid, dut.i.ready, Value.cast(dut.i.payload), dut.o.valid, dut.o.ready, Value.cast(dut.o.payload)
        ):
            for name, valid, ready, payload in (("i", iv, ir, ip), ("o", ov, o_ready, op)):
                if stalled[name] is not None:
                    assert valid, f"stream {name}: valid fell while stalled"
                    assert payload == stalled[name], f"stream {name}: payload changed while stalled"
                stalled[name] = payload if valid and not ready else None
            if ov and not was_valid:
                shown.append(clock[0])
            was_valid = ov and not o_ready
            if iv and len(offered) == len(accepted):
                offered.append(clock[0])
            if iv and ir:
                accepted.append(clock[0])
            clock[0] += 1
            assert clock[0] < limit, f"{len(run.items)} of {outputs} items after {limit} clocks"
            if finished[0] and len(accepted) == len(items):
                break

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    if accesses:
        sim.add_testbench(begin)
    if dut is not stage and throttle is not None:
        sim.add_testbench(contend, background=True)
    sim.add_testbench(feed)
    sim.add_testbench(drain)
    sim.add_testbench(monitor, background=True)
    sim.run()
    if len(accepted) == len(shown):
        run.latencies = [out - into for into, out in zip(accepted, shown, strict=True)]
    return run


def valid_never_waits_for_ready(config, stage, items, outputs: int = 1) -> bool:
    """Tell whether an output becomes valid although nobody is ready for it."""
    dut = WithMultiplier(config, stage) if uses_multiplier(stage) else stage
    seen = []

    async def bench(ctx):
        pending = list(items)
        for _ in range(500):
            ctx.set(dut.i.valid, bool(pending))
            if pending:
                ctx.set(dut.i.payload, pending[0])
            taken = ctx.get(dut.i.ready) and bool(pending)
            await ctx.tick()
            if taken:
                pending.pop(0)
            seen.append(ctx.get(dut.o.valid))

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    return any(seen)


def channel_items(samples, *, ok=None, window=None, late=None, clip=None) -> list[dict]:
    """Turn rows of frames into channel items; flags are of frames, or of frames and channels."""
    frames, channels = samples.shape
    columns = {"data": samples}
    for name, values, default in (("ok", ok, 1), ("window", window, 0), ("late", late, 0), ("clip", clip, 0)):
        values = np.asarray(default if values is None else values)
        columns[name] = np.broadcast_to(values[:, np.newaxis] if values.ndim == 1 else values, samples.shape)
    return [
        {"channel": c} | {name: int(column[n, c]) for name, column in columns.items()}
        for n in range(frames)
        for c in range(channels)
    ]


def channel_rows(items, config, name: str = "data"):
    """Turn channel items back into rows, of valid frames only; check their order."""
    assert [item["channel"] for item in items] == [n % config.channels for n in range(len(items))]
    values = [item[name] for item in items if item["ok"]]
    return np.array(values, dtype=np.int64).reshape(-1, config.channels)

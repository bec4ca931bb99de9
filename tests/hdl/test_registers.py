"""The register port, in front of a real stage and the status records."""

from __future__ import annotations

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator
from harness import PoisonedMemory

from blondel.hdl.config import MeterConfig
from blondel.hdl.link.record import RecordSignature
from blondel.hdl.link.registers import (
    Block,
    Registers,
    RegisterSignature,
    Status,
    index_bits,
    register_address,
)
from blondel.hdl.metrology.offset import Offset

CONFIG = MeterConfig.for_model("MDNCT-1SC")


class Fixture(wiring.Component):
    """The register port with the offset stage and the status records behind it."""

    def __init__(self):
        super().__init__(
            {
                "port": In(RegisterSignature(CONFIG)),
                "queued": In(1),
                "freeze": Out(1),
                "clear": Out(1),
            }
        )
        self.offset = Offset(CONFIG)

    def elaborate(self, platform):
        m = Module()
        m.submodules.offset = self.offset
        m.submodules.registers = registers = Registers(CONFIG)
        m.submodules.status = status = Status(CONFIG)
        wiring.connect(m, wiring.flipped(self.port), registers.port)
        for block, records in ((Block.OFFSET, self.offset.records), (Block.STATUS, status.records)):
            asked = registers.blocks[block]
            for name in ("valid", "index", "word", "write"):
                m.d.comb += getattr(records, name).eq(getattr(asked, name))
            for name in ("accumulator", "count"):
                m.d.comb += getattr(records.wdata, name).eq(getattr(asked.wdata, name))
                m.d.comb += getattr(asked.rdata, name).eq(getattr(records.rdata, name))
            m.d.comb += asked.ready.eq(records.ready)
        m.d.comb += status.queued.eq(self.queued)
        m.d.comb += [getattr(self, name).eq(getattr(status, name)) for name in ("freeze", "clear")]
        return m


def simulate(bench):
    """Run ``bench(ctx, dut, access)``; ``access`` returns the data and the clocks that it took."""
    dut = Fixture()

    async def access(ctx, block, index, word, value=None):
        port = dut.port
        ctx.set(port.address, register_address(CONFIG, block, index, word))
        ctx.set(port.write, value is not None)
        ctx.set(port.wdata, value or 0)
        ctx.set(port.valid, 1)
        clocks = 0
        while not ctx.get(port.ready):
            await ctx.tick()
            clocks += 1
        rdata = ctx.get(port.rdata)
        # A slow reader: what was read stays.
        for _ in range(2):
            await ctx.tick()
            assert ctx.get(port.ready) == 1
            assert value is not None or ctx.get(port.rdata) == rdata
        ctx.set(port.valid, 0)
        await ctx.tick()
        return rdata, clocks

    finished = []

    async def testbench(ctx):
        await bench(ctx, dut, lambda *arguments: access(ctx, *arguments))
        finished.append(True)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()
    assert finished


@pytest.mark.parametrize("value", [0x1_2345_6789, -0x1_2345_6789, -1, 0])
def test_a_record_goes_in_and_comes_out(value):
    async def bench(ctx, dut, access):
        for word in range(4):
            await access(Block.OFFSET, 3, word, (value & (1 << 64) - 1) >> 32 * word & 0xFFFFFFFF)
        words = [(await access(Block.OFFSET, 3, word))[0] for word in range(4)]
        assert words[0] | words[1] << 32 == value & (1 << 64) - 1
        assert words[2:] == [0, 0]
        assert [(await access(Block.OFFSET, 2, word))[0] for word in range(4)] == [0, 0, 0, 0]

    simulate(bench)


def test_nothing_is_used_that_is_read_while_it_is_written(monkeypatch):
    for module in ("blondel.hdl.link.registers", "blondel.hdl.metrology.offset"):
        monkeypatch.setattr(f"{module}.Memory", PoisonedMemory)
    test_a_record_goes_in_and_comes_out(0x1_2345_6789)


def test_latency():
    async def bench(ctx, dut, access):
        # The offset stage answers one clock after it is asked.
        assert (await access(Block.OFFSET, 0, 0))[1] == Registers.latency
        assert [(await access(Block.OFFSET, 0, word))[1] for word in (1, 2, 3)] == [1, 1, 1]
        assert [(await access(Block.OFFSET, 0, word, 0))[1] for word in range(4)] == [0, 0, 0, 3]

    simulate(bench)


def test_nothing_is_written_before_the_last_word():
    async def bench(ctx, dut, access):
        for word in range(3):
            await access(Block.OFFSET, 1, word, 7)
        await access(Block.OFFSET, 1, 0)
        assert (await access(Block.OFFSET, 1, 0))[0] == 0

    simulate(bench)


def test_a_value_that_changes_while_it_is_read_is_not_torn():
    async def bench(ctx, dut, access):
        old = -1 & (1 << 64) - 1

        async def write(value):
            for word in range(4):
                await access(Block.OFFSET, 0, word, (value & (1 << 64) - 1) >> 32 * word & 0xFFFFFFFF)

        await write(old)
        low = (await access(Block.OFFSET, 0, 0))[0]
        # The stage's record changes behind the port's back, as it does at a window's end.
        ctx.set(dut.offset.i.payload, {"channel": 0, "ok": 1, "window": 1, "clip": 0, "data": 1000})
        ctx.set(dut.offset.o.ready, 1)
        ctx.set(dut.offset.i.valid, 1)
        await ctx.tick().until(dut.offset.i.ready)
        ctx.set(dut.offset.i.valid, 0)
        await ctx.tick().repeat(5)
        high = (await access(Block.OFFSET, 0, 1))[0]
        assert low | high << 32 == old
        assert (await access(Block.OFFSET, 0, 0))[0] != low, "the record must have changed"

    simulate(bench)


def test_status_shows_that_pulses_wait():
    async def bench(ctx, dut, access):
        ctx.set(dut.queued, 1)
        await access(Block.STATUS, CONFIG.elements, 0)
        assert (await access(Block.STATUS, CONFIG.elements, 2))[0] == 1

    simulate(bench)


def test_control_freezes_and_clears():
    async def bench(ctx, dut, access):
        for freeze in (1, 0):
            for word in range(3):
                await access(Block.STATUS, CONFIG.elements, word, freeze if word == 0 else 0)
                assert not ctx.get(dut.clear)
            port = dut.port
            ctx.set(port.address, register_address(CONFIG, Block.STATUS, CONFIG.elements, 3))
            ctx.set(port.write, 1)
            ctx.set(port.valid, 1)
            pulses = 0
            while not ctx.get(port.ready):
                pulses += ctx.get(dut.clear)
                await ctx.tick()
            pulses += ctx.get(dut.clear)
            await ctx.tick()
            ctx.set(port.valid, 0)
            await ctx.tick()
            assert pulses == 1
            assert ctx.get(dut.freeze) == freeze
            assert (await access(Block.STATUS, CONFIG.elements, 0))[0] == freeze

    simulate(bench)


def test_addresses_do_not_overlap():
    every = {
        register_address(CONFIG, block, index, word)
        for block in Block
        for index in range(1 << index_bits(CONFIG))
        for word in range(4)
    }
    assert len(every) == len(Block) * (1 << index_bits(CONFIG)) * 4
    assert max(every) < 1 << RegisterSignature(CONFIG).members["address"].shape


def test_records_of_every_block_fit_the_index():
    largest = MeterConfig(line=CONFIG.line, class_amps=100, elements=64, test_kh_wh=10)
    for config in (CONFIG, largest):
        assert RecordSignature(index_bits(config)).members["index"].shape == index_bits(config)
        assert 4 * (config.elements + 1) <= 1 << index_bits(config)
        assert config.channels <= 1 << index_bits(config)

"""cocotb bench: feeds the generated Verilog the vectors, and compares all it shows with the model's answer."""

from __future__ import annotations

import os

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge

#: Ports in the order of the numbers that the model gives its outputs.
PER_METER = ("output_10", "output_100", "output_1000", "counter", "test", "queued")
PER_ELEMENT = ("voltage", "reversed", "overrange", "no_load")


class Bench:
    """The design with its clock, and what it has shown."""

    def __init__(self, dut):
        self.dut = dut
        self.elements, self.meters = len(dut.no_load), len(dut.output_10)
        self.edges = []
        self.frames = 0

    async def start(self):
        self.dut.register_valid.value = 0
        self.dut.rst.value = 1
        self.clock = Clock(self.dut.clk, 10, unit="ns")
        self.clock.start()
        await self.clock.cycles(3)
        self.dut.rst.value = 0
        await self.clock.cycles(1)
        self.levels = self.read_levels()

    def read_levels(self):
        bits = [int(getattr(self.dut, name).value) for name in PER_METER]
        levels = [each >> meter & 1 for meter in range(self.meters) for each in bits]
        for name in PER_ELEMENT:
            bits = int(getattr(self.dut, name).value)
            levels += [bits >> element & 1 for element in range(self.elements)]
        return levels

    def note_levels(self):
        """Note which outputs changed with this frame."""
        levels = self.read_levels()
        changed = [number for number, level in enumerate(levels) if level != self.levels[number]]
        self.edges += [(self.frames, number, levels[number]) for number in changed]
        self.levels = levels
        self.frames += 1

    async def watch(self, frames):
        """Sample all outputs at the end of each frame, which a flip-flop shows."""
        end, middle = RisingEdge(self.dut.frame), FallingEdge(self.dut.clk)
        while self.frames < frames:
            await end
            await middle
            self.note_levels()

    async def feed(self, samples, ok, pause=None):
        """Feed frames, with pauses where there is randomness for them; Python is called when it has something to do."""
        dut = self.dut
        clock, ready = RisingEdge(dut.clk), RisingEdge(dut.sample_ready)
        last = samples.shape[1] - 1
        for row, good in zip(samples.tolist(), ok.tolist(), strict=True):
            for channel, value in enumerate(row):
                if pause and pause.random() < 0.05:
                    dut.sample_valid.value = 0
                    await self.clock.cycles(int(pause.integers(1, 40)))
                dut.sample_data.value = value & ((1 << len(dut.sample_data)) - 1)
                dut.sample_ok.value = int(good)
                dut.sample_last.value = int(channel == last)
                dut.sample_valid.value = 1
                await clock
                while dut.sample_ready.value != 1:
                    await ready
                    await clock
        dut.sample_valid.value = 0

    async def access(self, address, value=None):
        dut = self.dut
        dut.register_address.value = address
        dut.register_write.value = int(value is not None)
        dut.register_wdata.value = value or 0
        dut.register_valid.value = 1
        await RisingEdge(dut.clk)
        while dut.register_ready.value != 1:
            await RisingEdge(dut.clk)
        rdata = int(dut.register_rdata.value)
        dut.register_valid.value = 0
        await RisingEdge(dut.clk)
        return rdata

    async def read_record(self, first):
        words = [await self.access(first + word) for word in range(4)]
        accumulator = words[0] | words[1] << 32
        return accumulator - (accumulator >> 63 << 64), words[2] | words[3] << 32

    def check_edges(self, expected):
        """Compare all edges so far with the model's: (frame, output, level) of each."""
        for index, (seen, wanted) in enumerate(zip(self.edges, expected, strict=False)):
            assert seen == wanted, f"edge {index}: (frame, output, level) {seen}, the model says {wanted}"
        assert len(self.edges) == len(expected)

    async def check_records(self, expected):
        """Compare what the register port shows with the model's: (address, accumulator, count) of each record."""
        for address, accumulator, count in expected:
            assert await self.read_record(address) == (accumulator, count), f"record at {address:#x}"


@cocotb.test()
async def registers_and_outputs_equal_the_model(dut):
    vectors = np.load(os.environ["BLONDEL_VECTORS"])
    bench = Bench(dut)
    dut.sample_valid.value = 0
    await bench.start()
    samples, ok = vectors["samples"], vectors["ok"]
    watcher = cocotb.start_soon(bench.watch(len(samples)))
    await bench.feed(samples, ok, np.random.default_rng(int(vectors["seed"])))
    await watcher
    expected = list(map(tuple, vectors["edges"].tolist()))
    assert len({number for _, number, _ in expected}) > 8, "the vectors must move the outputs"
    bench.check_edges(expected)
    await bench.check_records(vectors["records"].tolist())

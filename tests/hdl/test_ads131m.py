"""ADS131M front end at its pins, against the converter's model; every fault that the model can make."""

from __future__ import annotations

import pytest
from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import io
from amaranth.sim import Simulator
from harness import PoisonedMemory

from blondel.hdl.config import MeterConfig
from blondel.hdl.frontend import ads131m
from blondel.hdl.frontend.ads131m import Ads131m, clkin_hz
from blondel.sim.afe import ads131m as model
from blondel.sim.afe.ads131m import CHANNELS
from blondel.sim.afe.ads131m import Ads131m as Converter

WORD = 24


class Bench:
    """The front end with its converters, and the frames that it gave.

    Where ``pins`` is true the model sees every level; else whole frames go between it and shift registers, which
    is faster.
    """

    def __init__(self, elements, part="ADS131M04", chips=1, *, pins=False, clocks=None, ready=None, **options):
        bits = options.pop("sample_bits", 24)
        changes = {"elements": elements, "sample_rate_hz": 8000.0, "sample_bits": bits}
        self.config = config = MeterConfig.for_model("MDNCT-1SC", **changes)
        self.osr = options.setdefault("osr", 512)
        self.ports = ports = {
            name: io.SimulationPort("o", 1, invert=name in ("cs", "reset"), name=name)
            for name in ("sclk", "cs", "din", "reset")
        }
        ports["dout"] = io.SimulationPort("i", chips, name="dout")
        ports["drdy"] = io.SimulationPort("i", 1, invert=True, name="drdy")
        options.setdefault("sclk_hz", 25e6)
        if clocks is None:
            clocks = round((CHANNELS[part] + 2) * (2 * WORD + chips) * 1.12) + 2 * config.channels + 20
        self.clocks = clocks
        self.dut = Ads131m(config, clock_hz=8000 * clocks, part=part, **ports, **options)
        self.clkin = clkin_hz(config, self.osr) / (8000 * clocks)
        self.chips = [
            Converter(part, lambda n, chip=chip: [self.code(n, chip, place) for place in range(CHANNELS[part])])
            for chip in range(chips)
        ]
        self.gains = options.get("gains") or ([1, 2] * 4)[: CHANNELS[part]]
        self.map = options.get("channel_map") or [divmod(c, CHANNELS[part]) for c in range(config.channels)]
        self.words = CHANNELS[part] + 2
        self.pins, self.ready = pins, ready
        #: Every instant: clock of its last sample, whether it is valid, its data.
        self.instants = []
        #: Bits of DIN to invert in the next frame.
        self.flip_din = set()
        #: Levels of CS, SCLK, DIN and SYNC/RESET, with the clocks for which they stayed.
        self.levels = []

    @staticmethod
    def code(number, chip, place):
        return (number * 5009 + chip * 1000003 + place * 131071 + 77) % (1 << 24) - (1 << 23)

    def expected(self, number):
        """Data of a conversion's frame."""
        row = []
        for chip, place in self.map:
            value = self.code(number, chip, place) * self.gains[place]
            row.append(min(max(value, -(1 << 23)), (1 << 23) - 1) >> WORD - self.config.sample_bits)
        return tuple(row)

    def run(self, *script, instants=12):
        """Run for so many instants, then for what a script's next part asks for.

        A part of the script is called with the bench, to make a fault, and tells how many instants more to run.
        """
        top = Module()
        top.submodules.dut = dut = self.dut
        ports, frame_bits = self.ports, self.words * WORD
        levels = Signal(4)
        clock = Signal(32)
        top.d.comb += levels.eq(Cat(ports[name].o for name in ("cs", "sclk", "din", "reset")))
        top.d.sync += clock.eq(clock + 1)
        sending = [Signal(frame_bits) for _ in self.chips]
        taken, place = Signal(frame_bits), Signal(range(frame_bits + 1))
        if not self.pins:
            with top.If(~ports["cs"].o & ports["sclk"].o):
                top.d.sync += [taken.eq(Cat(ports["din"].o, taken)), place.eq(place + 1)]
            with top.Elif(ports["cs"].o):
                top.d.sync += place.eq(0)
            for chip, bits in enumerate(sending):
                top.d.comb += ports["dout"].i[chip].eq(bits.bit_select(place, 1))

        async def every_level(ctx):
            previous, since = None, 0
            while True:
                now = ctx.get(levels)
                since += 1
                if now != previous or since == 8:
                    cs_n, sclk, din, reset_n = (now >> n & 1 for n in range(4))
                    for chip in self.chips:
                        chip.step(cs_n=cs_n, sclk=sclk, din=din, reset_n=reset_n, clkin=since * self.clkin)
                    ctx.set(ports["drdy"].i, self.chips[0].drdy_n)
                    ctx.set(ports["dout"].i, sum(chip.dout << n for n, chip in enumerate(self.chips)))
                    self.levels.append((now, since))
                    previous, since = now, 0
                await ctx.tick()

        async def whole_frames(ctx):
            while True:
                await ctx.negedge(ports["cs"].o)
                for chip, bits in zip(self.chips, sending, strict=True):
                    ctx.set(bits, sum(bit << n for n, bit in enumerate(chip.begin_frame())) % (1 << frame_bits))
                await ctx.posedge(ports["cs"].o)
                sent = f"{ctx.get(taken):0{frame_bits}b}"
                for chip in self.chips:
                    chip.end_frame([int(bit) ^ (n in self.flip_din) for n, bit in enumerate(sent)])
                self.flip_din = set()

        async def time(ctx):
            while True:
                for chip in self.chips:
                    chip.step(reset_n=ctx.get(ports["reset"].o), clkin=8 * self.clkin)
                ctx.set(ports["drdy"].i, self.chips[0].drdy_n)
                await ctx.delay(8e-6)

        async def collect(ctx):
            parts = list(script)
            wanted = instants
            row, fine = [], True
            while True:
                if self.ready is not None:
                    ctx.set(dut.o.ready, 0)
                    await ctx.tick().repeat(self.ready.choice((0, 0, 1, 7, 60)) + 1)
                    ctx.set(dut.o.ready, 1)
                    payload, now = await ctx.tick().sample(dut.o.payload, clock).until(dut.o.valid)
                else:
                    ctx.set(dut.o.ready, 1)
                    await ctx.posedge(dut.o.valid)
                    payload, now = ctx.get(dut.o.payload), ctx.get(clock)
                fine = fine and bool(payload.ok)
                row.append(payload.data)
                if payload.last:
                    self.instants.append((now, fine and len(row) == self.config.channels, tuple(row)))
                    row, fine = [], True
                    while len(self.instants) >= wanted:
                        if not parts:
                            return
                        wanted += parts.pop(0)(self)

        async def monitor(ctx):
            stalled = None
            async for _, _, valid, ready, payload in ctx.tick().sample(
                dut.o.valid, dut.o.ready, Cat(dut.o.payload.data, dut.o.payload.ok, dut.o.payload.last)
            ):
                if stalled is not None:
                    assert valid, "valid fell while stalled"
                    assert payload == stalled, "payload changed while stalled"
                stalled = payload if valid and not ready else None

        sim = Simulator(top)
        sim.add_clock(1e-6)
        sim.add_testbench(collect)
        if self.pins:
            sim.add_testbench(every_level, background=True)
        else:
            sim.add_testbench(whole_frames, background=True)
            sim.add_testbench(time, background=True)
        if self.ready is not None:
            sim.add_testbench(monitor, background=True)
        sim.run()
        return self

    @property
    def metered(self):
        """Numbers of the conversions that became valid frames; no valid frame may be anything else."""
        numbers = {self.expected(n): n for n in range(self.chips[0].conversions)}
        return [numbers[row] for _, valid, row in self.instants if valid]

    def check(self, restarts, least=3):
        """Check that only settled conversions were metered, each once, in order, and that every other instant was
        counted: to the nearest whole number of periods for each time that the converters were initialized."""
        numbers = self.metered
        assert len(numbers) >= least
        assert numbers == sorted(set(numbers))
        for chip in self.chips:
            assert not set(numbers) & chip.unsettled
            assert chip.resets == restarts + 1
        first = next(n for n, (_, valid, _) in enumerate(self.instants) if valid)
        times = [time for time, _, _ in self.instants[first:]]
        assert abs((times[-1] - times[0]) / self.clocks - (len(times) - 1)) <= 0.6 * (restarts + 1)
        if not restarts:
            assert all(valid for _, valid, _ in self.instants[first:])
            assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


SHAPES = {
    "M02": {"elements": 1, "part": "ADS131M02"},
    "M04": {"elements": 2},
    "M08": {"elements": 4, "part": "ADS131M08", "osr": 256},
    "two M02": {"elements": 2, "part": "ADS131M02", "chips": 2},
    "M04, two of its inputs": {"elements": 1, "channel_map": [(0, 1), (0, 2)], "gains": [1, 1, 4, 1]},
    "M04, crossed": {"elements": 2, "channel_map": [(0, 3), (0, 0), (0, 1), (0, 2)], "gains": [128, 1, 2, 8]},
    "16 bit": {"elements": 1, "part": "ADS131M02", "sample_bits": 16},
}


@pytest.mark.parametrize("name", SHAPES)
def test_samples_of_every_conversion(name, monkeypatch):
    """Pins at every clock; nothing that was read from a memory where it was being written is used."""
    monkeypatch.setattr(ads131m, "Memory", PoisonedMemory)
    bench = Bench(**SHAPES[name], pins=True)
    instants = bench.dut._settle_ticks + bench.dut._reset_ticks + 18
    bench.run(instants=instants).check(restarts=0, least=4)
    chip = bench.chips[0]
    every = (1 << chip.channels) - 1
    assert chip.registers[model.MODE] == 0x3110, "CRC of registers and of commands, 24 bits, time-out; no reset"
    assert chip.registers[model.CLOCK] == every << 8 | {256: 1, 512: 2}[bench.osr] << 2 | 2
    gains = [chip.registers[model.GAIN1 + n // 4] >> n % 4 * 4 & 7 for n in range(chip.channels)]
    assert [1 << g for g in gains] == list(bench.gains)
    assert chip.crc_errors == 0

"""ADS131M front end at its pins, against the converter's model; every fault that the model can make."""

from __future__ import annotations

import gc
import itertools

import pytest
from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import io
from amaranth.sim import Simulator
from harness import PoisonedMemory, rng

from blondel.hdl.config import ConfigError, MeterConfig
from blondel.hdl.frontend import ads131m
from blondel.hdl.frontend.ads131m import Ads131m, clkin_hz, crc16
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
        self.osr = options.setdefault("osr", 512)
        rate = 4.096e6 / self.osr
        changes = {"elements": elements, "sample_rate_hz": rate, "sample_bits": options.pop("sample_bits", 24)}
        self.config = config = MeterConfig.for_model("MDNCT-1SC", **changes)
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
        self.dut = Ads131m(config, clock_hz=rate * clocks, part=part, **ports, **options)
        self.clkin = clkin_hz(config, self.osr) / (rate * clocks)
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
        #: Clock and new levels of CS, SCLK, DIN and SYNC/RESET, bits 0 to 3; clocks of DRDY's fall.
        self.levels, self.fallen = [], []

    @staticmethod
    def code(number, chip, place):
        code = (number * 0x9E3779 + chip * 0x3C6EF3 + place * 0x1F123B + 77) % (1 << 24) - (1 << 23)
        return code if number % 5 == 0 else code >> 2

    def expected(self, number, chip):
        """Data of a chip's conversion, in the order of the channels."""
        row = []
        for on, place in self.map:
            if on == chip:
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
                    drdy_n = self.chips[0].drdy_n
                    if ctx.get(ports["drdy"].i) and not drdy_n:
                        self.fallen.append(ctx.get(clock))
                    if now != previous:
                        self.levels.append((ctx.get(clock), now))
                    ctx.set(ports["drdy"].i, drdy_n)
                    ctx.set(ports["dout"].i, sum(chip.dout << n for n, chip in enumerate(self.chips)))
                    previous, since = now, 0
                await ctx.tick()

        async def whole_frames(ctx):
            while True:
                await ctx.negedge(ports["cs"].o)
                # DRDY rises before the CRC comes, not after the frame.
                if len(self.chips[0]._fifo) < 2:
                    ctx.set(ports["drdy"].i, 1)
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
                    chip.step(reset_n=ctx.get(ports["reset"].o), clkin=20 * self.clkin)
                if ctx.get(ports["cs"].o):
                    ctx.set(ports["drdy"].i, self.chips[0].drdy_n)
                await ctx.delay(20e-6)

        async def collect(ctx):
            parts = list(script)
            wanted = instants
            row, fine = [], True
            while True:
                if self.ready is not None:
                    ctx.set(dut.o.ready, 0)
                    await ctx.tick().repeat(self.ready.choice((0, 0, 1, 7, 150)) + 1)
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
        """Numbers of the conversions, of each chip, that became valid frames; these may be nothing else."""
        known = [
            {self.expected(n, chip): n for n in range(self.chips[chip].conversions)} for chip in range(len(self.chips))
        ]
        frames = []
        for _, valid, row in self.instants:
            if valid:
                parts = [[] for _ in self.chips]
                for (chip, _), value in zip(self.map, row, strict=True):
                    parts[chip].append(value)
                frames.append(tuple(numbers[tuple(part)] for numbers, part in zip(known, parts, strict=True)))
        return frames

    def check(self, restarts, least=3):
        """Check that only settled conversions were metered, each once, in order, and that every other instant was
        counted: to the nearest whole number of periods for each time that the converters were initialized."""
        frames = self.metered
        assert len(frames) >= least
        for chip, numbers in zip(self.chips, zip(*frames, strict=True), strict=True):
            assert list(numbers) == sorted(set(numbers))
            assert not set(numbers) & chip.unsettled
            assert chip.resets == restarts + 1
        # Chips are in step until one is reset.
        assert len({tuple(n - frame[0] for n in frame) for frame in frames}) <= restarts + 1
        first = next(n for n, (_, valid, _) in enumerate(self.instants) if valid)
        times = [time for time, _, _ in self.instants[first:]]
        assert abs((times[-1] - times[0]) / self.clocks - (len(times) - 1)) <= 0.6 * (restarts + 1)
        if not restarts:
            assert all(valid for _, valid, _ in self.instants[first:])
            assert frames[-1][0] - frames[0][0] == len(frames) - 1


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


@pytest.mark.parametrize("osr", [64, 128, 512, 8192])
def test_nothing_is_metered_before_the_filter_has_settled(osr):
    """With a fast clock, so that the initialization is short; the conversions begin with it."""
    bench = Bench(1, "ADS131M02", osr=osr, clocks=1000 if osr > 64 else 700)
    bench.run(instants=bench.dut._reset_ticks + bench.dut._settle_ticks + 8).check(restarts=0)


@pytest.mark.parametrize("name", ["M04", "two M02"])
def test_consumer_that_is_not_always_ready(name):
    """Samples wait, and do not change meanwhile; SCLK pauses where it must."""
    bench = Bench(**SHAPES[name], clocks=500, ready=rng(f"ads131m {name}"))
    bench.run(instants=20).check(restarts=0, least=5)


@pytest.mark.parametrize("name", ["M02", "two M02"])
def test_latency(name):
    bench = Bench(**SHAPES[name], pins=True).run(instants=24)
    settled = [time for time, valid, _ in bench.instants if valid]
    assert len(settled) > 4
    for time in settled:
        assert time - bench.dut.latency in bench.fallen


def test_timing_of_the_pins():
    """CS, SCLK, DIN as the data sheet's diagram has them, with SCLK slower than it could be."""
    bench = Bench(1, "ADS131M02", clocks=800, pins=True, sclk_hz=1.1e6)
    bench.run(instants=18).check(restarts=0)
    edges = 0
    for (time, before), (now, after), (later, _) in zip(bench.levels, bench.levels[1:], bench.levels[2:], strict=False):
        rises, falls = after & ~before, before & ~after
        if (rises | falls) & 1:
            assert not (before | after) & 2, "CS moves while SCLK is low"
        if rises & 1:
            assert edges % (4 * WORD) == 0, "whole frames"
        if rises & 2:
            edges += 1
            assert not after & 1
            assert (now - time, later - now) >= (3, 3), "SCLK is low and high for at least half its period"
        if (before ^ after) & 4:
            assert rises & 2, "DIN moves when SCLK rises"
    assert edges > 10 * 4 * WORD


def after(fault, instants=0):
    """Return a script's part: makes a fault, and asks for as many instants as it takes to go on."""

    def part(bench):
        fault(bench)
        return instants or bench.dut._reset_ticks + bench.dut._settle_ticks + 13

    return part


def faults(instants=0, **those):
    """Return a script's part: gives the last chip's model faults."""

    def fault(bench):
        for name, value in those.items():
            setattr(bench.chips[-1].faults, name, value)

    return after(fault, instants)


def test_every_bit_of_a_frame():
    """Each bit of what comes from the converter is once another: no such frame is metered, each is counted."""
    bench = Bench(1, "ADS131M02", osr=2048)
    flips = range(bench.words * WORD)
    bench.run(*(faults(instants=17, flip={place}) for place in flips), instants=20).check(restarts=len(flips))
    # Of each, exactly one frame began with good samples: the flipped one is lost when its end is known.
    assert sum(not valid and len(row) == 2 for _, valid, row in bench.instants[20:]) >= len(flips)


@pytest.mark.parametrize("name", ["M02", "two M02"])
@pytest.mark.parametrize(
    "trouble",
    [
        faults(flip={30, 31, 70}),
        after(lambda bench: bench.chips[-1].reset()),
        after(lambda bench: bench.chips[-1].registers.update({model.GAIN1: 0})),
        after(lambda bench: bench.chips[-1].registers.update({model.CLOCK: 0x0102})),
        after(lambda bench: bench.flip_din.add(3)),
        after(lambda bench: bench.flip_din.add(30)),
    ],
    ids=["burst", "reset", "gain", "clock", "command", "its CRC"],
)
def test_trouble_that_passes(name, trouble):
    """The converters are initialized anew, once, with what they should have; nothing wrong was metered."""
    bench = Bench(**SHAPES[name]).run(trouble, instants=18)
    # A reset that is the trouble itself is one more.
    own = bench.chips[-1].resets - 2
    assert own in (0, 1)
    bench.chips[-1].resets -= own
    bench.check(restarts=1, least=6)
    assert bench.chips[-1].registers[model.GAIN1] == 0x0010


def test_register_that_reads_back_as_another_value():
    """A bit of a register is another than was written: initialization again, until all are right."""
    bench = Bench(1, "ADS131M02")
    chip = bench.chips[0]
    generator = rng("read back")
    damages = [(address, bit) for address in (2, 3, 4) for bit in generator.sample(range(16), 4)]
    write, done = chip._write, []

    def damaged(address, value):
        """Write, and damage it if it is this one's turn: one for each time that the converter is initialized."""
        write(address, value)
        if len(done) == chip.resets - 1 < len(damages) and damages[len(done)][0] == address:
            chip.registers[address] ^= 1 << damages[len(done)][1]
            done.append(address)

    chip._write = damaged
    bench.run(instants=len(damages) * 12 + 24)
    assert len(done) == len(damages)
    assert chip.resets == len(damages) + 1
    assert len(bench.metered) > 4


@pytest.mark.parametrize("clocks", [600, 601, 602, 603])
def test_lost_instants_come_once_a_period(clocks):
    """Even where half of it is not a whole number of clocks."""
    bench = Bench(1, "ADS131M02", clocks=clocks)
    bench.chips[0].faults.skip_drdy = 1 << 30
    bench.run(instants=15)
    times = [time for time, _, _ in bench.instants]
    assert {later - time for time, later in itertools.pairwise(times)} == {clocks}


def test_missing_data_ready():
    Bench(1, "ADS131M02").run(faults(skip_drdy=1), instants=18).check(restarts=1, least=6)


def test_data_ready_twice_at_once():
    """Soon after a conversion another edge means nothing."""
    bench = Bench(1, "ADS131M02", clocks=600)
    bench.run(faults(instants=8, spurious_drdy=100), instants=18).check(restarts=0, least=12)


def test_data_ready_too_early():
    """Later it may be meant, but nothing new is there: the instant is lost, and the converter initialized."""
    bench = Bench(1, "ADS131M02", clocks=900)
    early = faults(spurious_drdy=60, spurious_wait=0.6 * 2 * bench.osr)
    bench.run(early, instants=18).check(restarts=1, least=6)


@pytest.mark.parametrize(
    ("name", "trouble"),
    [
        ("M02", {"dead": {1}}), ("M02", {"stuck_dout": 0}), ("M02", {"stuck_dout": 1}), ("M02", {"identity": 0x2400}),
        ("M02", {"skip_drdy": 1 << 30}), ("two M02", {"dead": {0}}), ("two M02", {"stuck_dout": 1}),
    ],
    ids=["dead channel", "DOUT low", "DOUT high", "identity", "no data ready", "second's channel", "second's DOUT"],
)  # fmt: skip
def test_trouble_that_stays(name, trouble):
    """From start, and in the middle: nothing is metered, every instant is counted; it goes on when it is over."""
    bench = Bench(**SHAPES[name])
    over = {"dead": set(), "stuck_dout": None, "identity": None, "skip_drdy": 0}
    bench.chips[-1].faults = model.Faults(**trouble)
    seen = {}

    def note(key, fault):
        def part(bench):
            seen[key] = (len(bench.instants), len(bench.metered))
            return fault(bench)

        return part

    bench.run(
        note("over", faults(instants=38, **over)),
        note("again", faults(instants=16, **trouble)),
        note("at last", faults(instants=38, **over)),
        instants=24,
    )
    assert seen["over"][1] == 0
    assert seen["again"][1] > 5
    if "identity" not in trouble:
        # Who it is, is asked at the start.
        assert seen["at last"][1] <= seen["again"][1] + 1
    assert len(bench.metered) > seen["at last"][1] + 5
    times = [time for time, _, _ in bench.instants]
    assert abs((times[-1] - times[0]) / bench.clocks - (len(times) - 1)) <= 2


def test_crc():
    text = b"123456789"
    assert crc16([int.from_bytes(text[n : n + 3], "big") for n in (0, 3, 6)]) == 0x29B1


def refusal(name, chips, **options):
    """Return the message with which the arguments are refused."""
    ports = {name: io.SimulationPort("o", 1, name=name) for name in ("sclk", "cs", "din", "reset")}
    ports |= {"drdy": io.SimulationPort("i", 1, name="drdy"), "dout": io.SimulationPort("i", chips, name="dout")}
    message = None
    try:
        Ads131m(MeterConfig.for_model(name), **{"clock_hz": 24e6} | ports | options)
    except ConfigError as error:
        message = str(error)
    # What is refused is never elaborated, which Amaranth would complain about later.
    gc.collect()
    return message


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
@pytest.mark.parametrize(
    ("message", "options"),
    [
        ("part is ADS131M03; allowed: ADS131M02, ADS131M04, ADS131M08", {"part": "ADS131M03"}),
        ("osr is 100; allowed: 64 ", {"osr": 100}),
        ("osr is 64; allowed: 64 (not the ADS131M08)", {"osr": 64, "part": "ADS131M08"}),
        ("osr is 1024; allowed: 19 to 525 at 8000 Hz, so that CLKIN is 0.3 to 8.4 MHz", {"osr": 1024}),
        ("channel_map is [(0, 0)]; allowed: 2 different (chip, input) of 1 × ADS131M02", {"channel_map": [(0, 0)]}),
        ("channel_map is [(0, 0), (1, 0)]; allowed", {"channel_map": [(0, 0), (1, 0)]}),
        ("channel_map is [(0, 0), (0, 0)]; allowed", {"channel_map": [(0, 0), (0, 0)]}),
        ("gains is [1, 3]; allowed: 2 powers of two, 1 to 128", {"gains": [1, 3]}),
        ("gains is [1]; allowed", {"gains": [1]}),
        ("clock_hz is 60000000.0; allowed: up to 50 MHz", {"clock_hz": 60e6}),
        ("clock_hz is 1000000.0; allowed: more than 1.", {"clock_hz": 1e6}),
        ("sclk_hz is 30000000.0; allowed: up to 25 MHz", {"sclk_hz": 30e6}),
    ],
)
def test_what_cannot_be_is_refused(message, options):
    assert refusal("MSNCT-1SC", 1, **options).startswith(message)


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_gains_must_be_given_where_inputs_differ():
    mixed = {"part": "ADS131M02", "channel_map": [(0, 0), (0, 1), (1, 1), (1, 0)]}
    assert refusal("MDNCT-1SC", 2, **mixed).startswith("gains is None; allowed: a gain for each input")
    assert refusal("MDNCT-1SC", 2, **mixed, gains=[1, 1]) is None

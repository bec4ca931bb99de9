"""cocotb bench: the meter with its ADS131M04, whose model is at the pins, and everything that can go wrong there.

Nothing inside the design is looked at. What was metered is known from the register port, which is asked for the
count of valid frames after each frame; what that frame was is known from the bits that DOUT showed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import cocotb
import numpy as np
from cocotb.triggers import Event, FallingEdge, RisingEdge, Timer, with_timeout
from cocotb.utils import get_sim_time
from harness import rng
from meter_bench import Bench
from vectors import BUSY, busy_frames, expected_records

from blondel.hdl.link.registers import Block, register_address
from blondel.sim.afe.ads131m import CFG, CLOCK, GAIN1, MODE, REG_CRC_EN, Ads131m, Faults
from blondel.sim.golden.meter import GoldenMeter

CHANNELS, WORD = 4, 24
FRAME_BITS = (CHANNELS + 2) * WORD
#: CLKIN periods of a sample; of a step of the model's time.
SAMPLE_CLKIN, STEP_CLKIN = 1024, 32
#: CLKIN, in ps: 1,500 clocks of 10 ns a sample, and a little slower, as no two oscillators agree.
CLKIN_PS = 14650
#: What the converter has to be told: 24 bits, CRCs, time-out; all channels, 512, high resolution; currents twice.
CONFIGURATION = {MODE: 0x3110, CLOCK: 0x0F0A, GAIN1: 0x1010}
GAINS = (1, 2, 1, 2)
#: Instants that an initialization may take: "about 12", and to the nearest.
INITIALIZATION = 13
#: SPI frames of an initialization, and at least those of settling conversions after it.
INITIALIZATION_FRAMES, SETTLING_FRAMES = 8, 3
#: Bits of DIN that mean something in a frame that reads a conversion: the command, and its CRC.
COMMAND_BITS = WORD + 16


@dataclass(frozen=True)
class Instant:
    """A sampling instant as the meter shows it: its frame's end, in ns, and the conversion metered, or None."""

    time: float
    conversion: int | None


class Device(Bench):
    """The device, its converter, and what both did."""

    def __init__(self, dut):
        super().__init__(dut)
        self.samples = busy_frames(BUSY, frames=8192)[0].tolist()
        self.chip = Ads131m("ADS131M04", self.convert)
        #: Conversions by their data; those that may be metered, as all of the converter was as it should be.
        self.known, self.sound = {}, set()
        self.instants: list[Instant] = []
        #: Times at which the device reset the converter.
        self.resets = []
        #: Bits of DIN to invert in the next frame; what to do at a bit of the next frame, and what to do after each
        #: frame until it says that it is done.
        self.flip_din = set()
        self.within_frame: tuple[int, Callable[[], object]] | None = None
        self.after_frame: Callable[[], bool] | None = None
        #: Levels of the pins that the converter drives.
        self.drdy_n = self.dout = 1
        #: Bits of the last frame, and whether they are what the converter sent.
        self.received, self.whole = [], False
        self._passed = Event()
        self._golden, self._expected = GoldenMeter(BUSY), []
        self._told = 0

    async def start(self):
        dut = self.dut
        dut.drdy_n.value = dut.dout.value = 1
        await super().start()
        self._tasks = [cocotb.start_soon(each) for each in (self.time(), self.spi(), self.watch(), self.watch_reset())]
        await self.metered(3)

    # ---- the converter -----------------------------------------------------------------------------

    def convert(self, number):
        row = self.samples[number % len(self.samples)]
        # Currents have a gain of 2.
        codes = [value // gain for value, gain in zip(row, GAINS, strict=True)]
        data = tuple(code * gain for code, gain in zip(codes, GAINS, strict=True))
        assert data not in self.known, "conversions are told apart by their data"
        self.known[data] = number
        if CONFIGURATION.items() <= self.chip.registers.items() and not self.chip.faults.dead:
            self.sound.add(number)
        return codes

    def show(self):
        """Show DRDY and DOUT at the pins, where they change: that is what takes time."""
        chip = self.chip
        if chip.drdy_n != self.drdy_n:
            self.drdy_n = self.dut.drdy_n.value = chip.drdy_n
        if chip.dout != self.dout:
            self.dout = self.dut.dout.value = chip.dout

    async def time(self):
        step = Timer(STEP_CLKIN * CLKIN_PS, "ps")
        while True:
            await step
            self.chip.step(reset_n=int(self.dut.reset_n.value), clkin=STEP_CLKIN)
            self.show()

    async def spi(self):
        """Be the converter for a frame after another: DOUT at SCLK's rise, DIN at its fall."""
        dut, chip = self.dut, self.chip
        rise, fall, din = RisingEdge(dut.sclk), FallingEdge(dut.sclk), dut.din
        while True:
            await FallingEdge(dut.cs_n)
            flip, stuck = set(chip.faults.flip), chip.faults.stuck_dout is not None
            sent = [bit ^ (place in flip) for place, bit in enumerate(chip.begin_frame())]
            flip_din, self.flip_din = self.flip_din, set()
            bits = []
            (act_at, act), self.within_frame = self.within_frame or (None, None), None
            for place in range(FRAME_BITS):
                if place == act_at:
                    act()
                await rise
                chip.step(cs_n=0, sclk=1)
                self.show()
                bits.append(self.dout)
                await fall
                chip.step(cs_n=0, sclk=0, din=int(din.value) ^ (place in flip_din))
                self.show()
            await RisingEdge(dut.cs_n)
            chip.step(cs_n=1)
            self.received, self.whole = bits, bits == sent and not stuck
            if self.after_frame is not None and self.after_frame():
                self.after_frame = None

    async def watch_reset(self):
        while True:
            await FallingEdge(self.dut.reset_n)
            self.resets.append(get_sim_time("ns"))

    # ---- the meter -----------------------------------------------------------------------------------

    async def watch(self):
        """Follow the frames: all outputs, and whether it was metered."""
        valid = register_address(BUSY, Block.FRAMES, 0)
        while True:
            await RisingEdge(self.dut.frame)
            await FallingEdge(self.dut.clk)
            self.note_levels()
            before, now = self._told, await self.access(valid)
            assert now - before in (0, 1)
            self._told = now
            self.instants.append(Instant(get_sim_time("ns"), self.conversion() if now != before else None))
            self._passed.set()

    def conversion(self):
        """Return the conversion that the last SPI frame brought, which the meter says it took."""
        assert self.whole, "a damaged frame was metered"
        words = ["".join(map(str, self.received[n : n + WORD])) for n in range(0, FRAME_BITS, WORD)]
        data = [int(word, 2) for word in words[1 : 1 + CHANNELS]]
        number = self.known.get(tuple(value - (value >> WORD - 1 << WORD) for value in data))
        assert number in self.sound, "what was metered is no conversion that may be"
        assert number not in self.chip.unsettled, "the filter had not settled"
        return number

    async def passed(self, count=1):
        """Wait for instants, none of which may be much later than a period and a half after another."""
        for _ in range(count):
            self._passed.clear()
            await with_timeout(self._passed.wait(), 2 * SAMPLE_CLKIN * CLKIN_PS, "ps")

    async def metered(self, count=2, within=40):
        """Wait until so many frames in a row were metered."""
        first = len(self.instants)
        for _ in range(within):
            await self.passed()
            last = self.instants[first:][-count:]
            if len(last) == count and None not in {each.conversion for each in last}:
                return
        raise AssertionError(f"metering did not go on within {within} instants")

    async def lost(self, within=3):
        """Wait until an instant is lost."""
        for _ in range(within):
            await self.passed()
            if self.instants[-1].conversion is None:
                return
        raise AssertionError(f"no instant of {within} was lost")

    async def verify(self):
        """Compare all registers and outputs with the model's, fed with what was metered, and not `ok` for the rest."""
        await self.passed()
        frames = len(self.instants)
        new = self.instants[self._golden.state().frames + self._golden.state().lost :]
        ok = np.array([each.conversion is not None for each in new])
        data = {number: row for row, number in self.known.items()}
        rows = np.array([data.get(each.conversion, (0,) * CHANNELS) for each in new])
        events = self._golden.next(rows, ok)
        columns = events.frame, events.output, events.level.astype(int)
        self._expected += zip(*(column.tolist() for column in columns), strict=True)
        await self.check_records(expected_records(self._golden))
        assert len(self.instants) == frames, "the next frame came while the registers were read"
        self.check_edges(self._expected)

    @staticmethod
    def periods(begin, end):
        """Return the converter's sampling periods between two times in ns."""
        return (end - begin) * 1e3 / (SAMPLE_CLKIN * CLKIN_PS)

    def gaps(self, surplus=0.0):
        """Check that conversions are metered in order, each once, and that time is counted; return the gaps.

        Parameters
        ----------
        surplus : float
            Instants that may be counted too many, relative to all that were lost.

        Returns
        -------
        list of (int, int)
            Instants lost, and initializations, of each gap in the metering.
        """
        first = next(n for n, each in enumerate(self.instants) if each.conversion is not None)
        metered = [(n, each) for n, each in enumerate(self.instants) if each.conversion is not None]
        gaps = []
        for (n, before), (m, after) in pairwise(metered):
            assert before.conversion < after.conversion
            if m == n + 1:
                assert after.conversion == before.conversion + 1, "an instant was not counted"
                continue
            resets = sum(before.time < time < after.time for time in self.resets)
            # To the nearest whole period for each initialization; half of one, and what a frame's end may jitter.
            error = m - n - self.periods(before.time, after.time)
            assert -0.55 * resets <= error <= 0.55 * resets + surplus * (m - n), f"{error} of {m - n}, {resets} resets"
            gaps.append((m - n - 1, resets))
        assert first <= INITIALIZATION + 1
        return gaps

    async def finish(self, bounds):
        """Verify, and check that there were as many gaps as bounds, none of more lost instants than its bound.

        What passes within a frame may cost no more than one initialization.
        """
        await self.metered()
        await self.verify()
        found = self.gaps()
        cocotb.log.info("%d instants, %d metered, gaps %s", len(self.instants), self._told, sorted(set(found)))
        assert self.edges, "energy must be enough to show"
        assert len(found) == len(bounds)
        for (lost, resets), bound in zip(found, bounds, strict=True):
            assert 1 <= lost <= bound
            assert resets == 1 or bound > INITIALIZATION


def device_test(bench):
    """Make a test of a bench that is given the device at work."""

    async def test(dut):
        device = Device(dut)
        await device.start()
        await bench(device)

    return cocotb.test(name=bench.__name__)(test)


def after_frames(number, fault):
    """Return what makes a fault after that many frames, the next one being the first, and tells when it has."""
    left = [number]

    def after_frame():
        left[0] -= 1
        if not left[0]:
            fault()
        return not left[0]

    return after_frame


async def one_loss(device):
    """Wait for the loss that a fault must make, and for its end."""
    await device.lost()
    await device.metered()


@device_test
async def every_bit_of_dout(device):
    for place in range(FRAME_BITS):
        device.chip.faults.flip = {place}
        await one_loss(device)
        if place % 16 == 0:
            await device.verify()
    await device.finish([INITIALIZATION] * FRAME_BITS)


@device_test
async def every_bit_of_din(device):
    """A command that is none makes the converter suspect, whatever it made of it; what follows means nothing."""
    for place in range(COMMAND_BITS):
        device.flip_din = {place}
        await one_loss(device)
    for place in range(COMMAND_BITS, FRAME_BITS):
        device.flip_din = {place}
        await device.passed()
        assert not device.flip_din
    await device.passed(2)
    await device.finish([INITIALIZATION] * COMMAND_BITS)


@device_test
async def data_ready(device):
    """Missing, once and more often; twice at once; too early."""
    faults, bounds = device.chip.faults, []
    for missing in (1, 2, 3):
        faults.skip_drdy = missing
        await one_loss(device)
        bounds.append(INITIALIZATION)
    # An instant is seen when DRDY has long been read; for half a period from there it means nothing.
    for wait in (0, 40, 80):
        faults.spurious_wait, faults.spurious_drdy = wait, STEP_CLKIN
        await device.passed(2)
    assert len(device.gaps()) == len(bounds)
    for wait in range(300, 700, 50):
        faults.spurious_wait, faults.spurious_drdy = wait, STEP_CLKIN
        await one_loss(device)
        bounds.append(INITIALIZATION)
    await device.finish(bounds)


@device_test
async def configuration(device):
    """A reset, or a register that changes, between frames and within one; what is written does not stay."""
    chip, bounds = device.chip, []
    damages = [
        chip.reset,
        # No CRC of commands, half the ratio, a channel off, gains of 1, chopping, a channel's offset.
        lambda: chip.registers.update({MODE: 0x2110}),
        lambda: chip.registers.update({CLOCK: 0x0F06}),
        lambda: chip.registers.update({CLOCK: 0x070A}),
        lambda: chip.registers.update({GAIN1: 0}),
        lambda: chip.registers.update({CFG: 0x0700}),
        lambda: chip.registers.update({10: 1}),
    ]
    for damage in damages:
        damage()
        await one_loss(device)
        for place in (0, 30, 119, 120, FRAME_BITS - 1):
            device.within_frame = (place, damage)
            await one_loss(device)
        bounds += [INITIALIZATION] * 6
    await device.verify()
    for register, value in CONFIGURATION.items():

        def forget(register=register, value=value):
            written = chip.registers[register] == value
            if written:
                chip.registers[register] ^= 0x0010
            return written

        chip.reset()
        device.after_frame = forget
        await one_loss(device)
        assert device.after_frame is None
        bounds.append(2 * INITIALIZATION)
    await device.finish(bounds)


@device_test
async def damaged_initialization(device):
    """Each frame of an initialization is damaged once, either way: it begins again."""
    random = rng("damaged initialization")
    bounds = []
    for frame in range(1, 1 + INITIALIZATION_FRAMES):
        for way in ("dout", "din"):
            device.chip.reset()
            place = random.randrange(FRAME_BITS if way == "dout" else COMMAND_BITS)
            wire = (device.chip.faults, "flip") if way == "dout" else (device, "flip_din")
            device.after_frame = after_frames(frame, partial(setattr, *wire, {place}))
            await one_loss(device)
            bounds.append(2 * INITIALIZATION)
    await device.finish(bounds)


@device_test
async def configuration_while_settling(device):
    """A register that changes after it was read back, and before the filter has settled."""
    chip, bounds = device.chip, []
    for frame in range(1, 1 + SETTLING_FRAMES):
        chip.reset()
        # The frame that tells of the reset, those of the initialization, and of those while the filter settles some.
        forget = partial(chip.registers.update, {GAIN1: 0})
        device.after_frame = after_frames(1 + INITIALIZATION_FRAMES + frame, forget)
        await one_loss(device)
        bounds.append(2 * INITIALIZATION)
    await device.finish(bounds)


@device_test
async def trouble_that_stays(device):
    """A dead channel, DOUT stuck, another converter, none at all: nothing is metered until it is over."""
    chip, stay = device.chip, 25
    bounds = []
    troubles = [{"dead": {channel}} for channel in range(CHANNELS)]
    troubles += [{"stuck_dout": 0}, {"stuck_dout": 1}]
    # Without DRDY, or with one that is never high, and either level of DOUT.
    troubles += [{"stuck_dout": level, "skip_drdy": 1 << 30} for level in (0, 1)]
    troubles += [{"identity": 0x2200}]
    for trouble in troubles:
        chip.faults = Faults(**trouble)
        if "identity" in trouble:
            # It is asked for at the start only.
            chip.reset()
        await device.lost()
        for _ in range(stay):
            await device.passed()
            assert device.instants[-1].conversion is None
        gone = "skip_drdy" in trouble
        chip.faults = Faults()
        if gone:
            chip.reset()
        await device.metered()
        # When it is over, an initialization may be under way that fails.
        bounds.append(stay + 2 * INITIALIZATION)
    await device.finish(bounds)


@device_test
async def data_ready_in_doubt(device):
    """Missing until the filter settles, or low for good: lost instants are counted up to a quarter too many."""
    faults = device.chip.faults
    for missing in (5, 8, 20):
        faults.skip_drdy = missing
        await one_loss(device)
    assert len(device.gaps(surplus=0.25)) == 3
    begin, first = device.instants[-1].time, len(device.instants)
    faults.spurious_drdy = 120 * SAMPLE_CLKIN
    await device.passed(100)
    periods = device.periods(begin, device.instants[-1].time)
    assert periods - 1 <= 100 <= 1.25 * periods
    lost = sum(each.conversion is None for each in device.instants[first:])
    assert lost > 75
    faults.spurious_drdy = 0
    await device.metered(10)
    await device.verify()


@device_test
async def anything_at_any_time(device):
    """Bursts of flipped bits, resets, changed registers, DRDY missing and too often, at random times."""
    random, chip = rng("anything"), device.chip

    def change():
        # While the converter is initialized is another matter. What turns off the watch on registers is harmless.
        if device.instants[-1].conversion is not None:
            chip.registers[random.choice((MODE, CLOCK, GAIN1))] = random.getrandbits(16) | REG_CRC_EN

    faults = [
        lambda: chip.faults.flip.update(random.sample(range(FRAME_BITS), random.randint(2, 30))),
        lambda: device.flip_din.update(random.sample(range(FRAME_BITS), random.randint(2, 30))),
        chip.reset,
        change,
        lambda: setattr(chip.faults, "skip_drdy", random.randint(1, 3)),
        lambda: setattr(chip.faults, "spurious_drdy", random.uniform(1, 1500)),
        lambda: setattr(chip.faults, "spurious_wait", random.uniform(1, 1500)),
    ]
    for _ in range(40):
        await Timer(round(random.uniform(0, 20) * SAMPLE_CLKIN * CLKIN_PS), "ps")
        for fault in random.sample(faults, random.randint(1, 2)):
            fault()
    chip.faults = Faults()
    await device.metered(4, within=60)
    await device.verify()
    assert len(device.gaps(0.25)) >= 10

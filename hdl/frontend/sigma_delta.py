"""Isolated sigma-delta modulators: bit streams in, samples out.

Sources: E. B. Hogenauer, "An economical class of digital filters for decimation and interpolation", IEEE
Trans. ASSP 29 (1981), for the filter; the data sheets of AMC1306 (Texas Instruments) and AD7403 (Analog
Devices) for ranges, densities of ones and what a modulator without supply shows. Their timing diagrams
were not at hand: that data changes after the clock's rising edge and stays until after the next one is
what parts of this class have in common.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, signed, unsigned
from amaranth.lib import io, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Out

from blondel.hdl.config import ConfigError, MeterConfig
from blondel.hdl.fixed import Rounding, clog2, shift_right, signed_width
from blondel.hdl.items import sample_item

__all__ = ["AD7403", "AMC1306X05", "AMC1306X25", "ModulatorPart", "SigmaDelta", "Sinc3"]

#: Clocks of a slot: what one channel needs of the shared adder.
SLOT_CLOCKS = 8
#: Equal bits in a row that only a dead channel sends: twice what a modulator sends that marks its full scale.
DEAD_BITS = 256
#: Every so many bits a modulator that marks its full scale sends one bit that differs.
MARK_BITS = 128
#: Time in which a modulator's bits mean nothing after its supply came, in s.
STARTUP_S = 0.0005

# Words of a channel in the memory: the step's number, plus eight where samples are made.
_HOLD, _CONSTANT = 9, 13


@dataclass(frozen=True)
class ModulatorPart:
    """A modulator, from its data sheet.

    Parameters
    ----------
    name : str
        Part number.
    full_scale_v : float
        Differential input, in V, either way, at which the stream would be all ones or all zeros.
    linear_v : float
        Input up to which the part is specified, in V, either way.
    marks_full_scale : bool
        Whether a bit that differs is sent every 128 clocks at full scale, so that a constant stream
        tells of a dead channel (no supply: zeros; common mode out of range: ones).
    clock_hz : tuple of float
        Lowest and highest clock.
    """

    name: str
    full_scale_v: float
    linear_v: float
    marks_full_scale: bool
    clock_hz: tuple[float, float] = (5e6, 20e6)


#: ±250 mV parts of the AMC1306 family.
AMC1306X25 = ModulatorPart("AMC1306x25", 0.32, 0.25, True)
#: ±50 mV parts of the AMC1306 family, for small shunts.
AMC1306X05 = ModulatorPart("AMC1306x05", 0.064, 0.05, True)
#: At full scale a constant stream: clipped and dead look alike.
AD7403 = ModulatorPart("AD7403", 0.32, 0.25, False)


@dataclass(frozen=True)
class Sinc3:
    """A third-order sinc filter that decimates a bit stream: every width, scale and delay of it.

    Its impulse response is three boxes of ``decimation`` bits, convolved. It is computed in two stages,
    ``first`` times ``second``, whose product is the same filter exactly: the combs of the first undo what
    its integrators do too much, modulo two to ``first_bits``.

    Parameters
    ----------
    config : MeterConfig
        Uses ``sample_rate_hz``, ``sample_bits``, ``elements``, ``line``.
    decimation : int
        Modulator clocks of a sample, even. Too few are refused, with a message that says what is wrong.
    clock_divider : int
        Clocks of the design for one of the modulator's: 2, 4, 6, … Default 2.
    part : ModulatorPart
        Default :data:`AMC1306X25`.

    Raises
    ------
    ConfigError
        The filter cannot be built, or the modulator's clock is out of its range.
    """

    config: MeterConfig
    decimation: int
    clock_divider: int = 2
    part: ModulatorPart = AMC1306X25

    @classmethod
    def for_clock(
        cls, config: MeterConfig, clock_hz: float, decimation: int, clock_divider: int = 2,
        part: ModulatorPart = AMC1306X25, *, v_peak: float, i_peak: float,
    ) -> Sinc3:  # fmt: skip
        """Make the filter, and a configuration with the sample rate and the full scales that follow.

        Parameters
        ----------
        config : MeterConfig
            The meter; its ``sample_rate_hz``, ``v_full_scale`` and ``i_full_scale`` are replaced.
        clock_hz : float
            Clock of the design.
        decimation, clock_divider, part
            As of :class:`Sinc3`.
        v_peak, i_peak : float
            Line voltage, in V, and primary current, in A, at the modulator's full scale: its
            ``full_scale_v`` divided by the divider's ratio, or by burden (or shunt) and CT's ratio.
        """
        rate = clock_hz / clock_divider / decimation
        filter_ = cls(config.with_changes(sample_rate_hz=rate), decimation, clock_divider, part)
        scaled = filter_.config.with_changes(
            v_full_scale=filter_.full_scale(v_peak), i_full_scale=filter_.full_scale(i_peak)
        )
        return cls(scaled, decimation, clock_divider, part)

    def __post_init__(self) -> None:
        for name, value, least in (("clock_divider", self.clock_divider, 2), ("decimation", self.decimation, 16)):
            if value < least or value % 2:
                raise ConfigError(f"{name} is {value}; allowed: even, {least} or more")
        if clog2(self.gain) < self.config.sample_bits:
            raise ConfigError(
                f"decimation is {self.decimation} with {self.config.sample_bits} bits a sample; "
                f"allowed: more, or up to {clog2(self.gain)} bits"
            )
        clock, (least, most) = self.modulator_hz, self.part.clock_hz
        if not least <= clock <= most:
            raise ConfigError(
                f"the modulator's clock is {clock:g} Hz; allowed for the {self.part.name}: {least:g} to {most:g} Hz"
            )
        least = self.config.channels + 1 + self.judge_blocks
        if self.second < least:
            raise ConfigError(
                f"decimation is {self.decimation}, in stages of {self.first} and {self.second}; allowed: with "
                f"{self.config.channels} channels, a multiple of {self.least_first} by {least} or more"
            )

    # ---- stages ----------------------------------------------------------------------------------

    @property
    def modulator_hz(self) -> float:
        """Clock of the modulators, in Hz."""
        return self.config.sample_rate_hz * self.decimation

    @property
    def gain(self) -> int:
        """Sum of the impulse response: what an all-ones stream gives."""
        return self.decimation**3

    @property
    def slot_bits(self) -> int:
        """Modulator clocks of a slot of the shared adder."""
        return -(-SLOT_CLOCKS // self.clock_divider)

    @property
    def least_first(self) -> int:
        """Modulator clocks that a slot for each channel and one for the output need."""
        return (self.config.channels + 1) * self.slot_bits

    @cached_property
    def first(self) -> int:
        """Decimation of the first stage, a block: the smallest factor that leaves a slot for each channel."""
        return next(n for n in range(min(self.least_first, self.decimation), self.decimation + 1)
                    if self.decimation % n == 0)  # fmt: skip

    @property
    def second(self) -> int:
        """Decimation of the second stage: blocks of a frame."""
        return self.decimation // self.first

    @property
    def first_bits(self) -> int:
        """Width of the first stage: it counts from 0 to ``first**3``."""
        return (self.first**3).bit_length()

    @property
    def filter_bits(self) -> int:
        """Width of the second stage: it holds half the gain, either way, and half an LSB."""
        return signed_width(self.gain + self.offset)

    # ---- scale -----------------------------------------------------------------------------------

    @property
    def shift(self) -> int:
        """Bits of the filter's output below a sample's LSB."""
        return clog2(self.gain) - self.config.sample_bits

    @property
    def offset(self) -> int:
        """What is added before these bits are cut off: less the middle of the range, plus half an LSB."""
        return (1 << self.shift >> 1) - self.gain // 2

    @property
    def full_scale_code(self) -> Fraction:
        """Code of the modulator's full scale, in LSB: more than a quarter, up to half of the code's range."""
        return Fraction(self.gain, 2 << self.shift)

    @property
    def clip_level(self) -> int:
        """Top six bits of a code from which a sample counts as clipped.

        Below what a modulator shows that marks its full scale (63/64 of it), but not by more than a
        sixteenth; so compared, the six bits are enough.
        """
        density = Fraction(MARK_BITS - 2, MARK_BITS)
        return math.ceil(self.full_scale_code * density / (1 << (self.config.sample_bits - 6))) - 1

    def magnitude(self, hertz: float) -> float:
        """Return the filter's gain at a frequency, relative to DC."""
        x = math.pi * hertz / self.modulator_hz
        if math.sin(x) == 0.0:
            return 1.0
        return abs(math.sin(self.decimation * x) / (self.decimation * math.sin(x))) ** 3

    def full_scale(self, at_modulator: float) -> float:
        """Return the ``v_full_scale`` or ``i_full_scale`` that the configuration needs.

        The modulator's full scale is not the code's: codes are bits, and the gain is no power of two. At
        the line's frequency the filter takes a little more.

        Parameters
        ----------
        at_modulator : float
            Line voltage or primary current at the modulator's full scale, in V or A.
        """
        codes = 1 << (self.config.sample_bits - 1)
        return float(at_modulator * codes / self.full_scale_code) / self.magnitude(self.config.line.hertz)

    # ---- time ------------------------------------------------------------------------------------

    @property
    def group_delay(self) -> float:
        """Delay at all frequencies, in modulator clocks before a frame's last bit; all channels alike.

        Half of the impulse response's length, plus the two bits that are still in the integrators.
        """
        return 3 * (self.decimation - 1) / 2 + 2

    @property
    def dead_blocks(self) -> int:
        """Blocks of a window in which a live channel shows more than equal bits; 0: it need not."""
        if not self.part.marks_full_scale:
            return 0
        return max(1, -(-(DEAD_BITS + 2) // self.first) - 2)

    @property
    def judge_blocks(self) -> int:
        """Blocks that a frame waits, so that a channel that died before its end has been found out."""
        return 2 * self.dead_blocks + 3 if self.dead_blocks else 0

    @property
    def settle_frames(self) -> int:
        """Frames that are not ok after power-up, and after a channel was found dead.

        Three of the filter, those of the modulator's start, and what the finding out may take, twice.
        """
        return 3 + self.config.frames_in(STARTUP_S) + -(-(2 * self.judge_blocks + 1) // self.second)

    @property
    def latency(self) -> int:
        """Clocks from the edge that takes a frame's last bit from the pins to its first sample's being valid.

        Every further channel takes a block more.
        """
        block = self.first * self.clock_divider
        return (self.judge_blocks + 1) * block + self.config.channels * self.slot_bits * self.clock_divider + 9


class SigmaDelta(wiring.Component):
    """Decimate the bit streams of a modulator for each channel, all at the same instants.

    Each channel has three integrators, no wider than the first stage needs. Everything else is done by one
    adder, a channel after the other: the first stage's combs, the second's integrators, and for every
    frame its combs. So that they can take turns without a copy of the integrators, each channel's bits
    are delayed by its turn, and taken from its integrators as much later: the same bits make the same
    sample.

    A sample at the modulator's full scale becomes the code's end, which the core marks as clipped. A
    channel that is dead, and the time that the filter needs to forget it, gives frames that are not ok.
    Power-up counts as such. A frame is held back until it is known that no channel had died before its end.

    Samples cannot be kept: a sample that is not taken before the next frame's last bit makes its own frame
    not ok, and those that follow until the filter has settled; longer, and instants are lost uncounted.

    Parameters
    ----------
    filter_ : Sinc3
        Makes the formats.
    clock : amaranth.lib.io.PortLike, 1 bit
        Clock of all the modulators, through a register.
    data : amaranth.lib.io.PortLike, one bit a channel
        Bit streams, voltage and current of element 0 first. Taken by the edge that makes the next rising
        edge of ``clock``: a whole period after the one that the modulator answers.

    Members
    -------
    o : Out(stream of sample_item)
        Samples, LSB of the converter; ``last`` on a frame's last channel.

    Attributes
    ----------
    latency : int
        As :attr:`Sinc3.latency`.
    """

    def __init__(self, filter_: Sinc3, clock: io.PortLike, data: io.PortLike):
        config = filter_.config
        if len(clock) != 1 or len(data) != config.channels:
            raise ConfigError(
                f"clock and data have {len(clock)} and {len(data)} pins; allowed: 1 and {config.channels}"
            )
        self._filter = filter_
        self._clock, self._data = clock, data
        self.latency = filter_.latency
        super().__init__({"o": Out(stream.Signature(sample_item(config)))})

    def elaborate(self, platform) -> Module:
        m = Module()
        sinc3, config = self._filter, self._filter.config
        m.submodules.clock_buffer = clock_buffer = io.FFBuffer("o", self._clock)
        m.submodules.data_buffer = data_buffer = io.FFBuffer("i", self._data)

        # The modulators' clock, and the bits that its last rising edge brought.
        phase = Signal(range(sinc3.clock_divider))
        take = Signal()
        m.d.sync += phase.eq(Mux(phase == sinc3.clock_divider - 1, 0, phase + 1))
        m.d.comb += [clock_buffer.o.eq(phase < sinc3.clock_divider // 2), take.eq(phase == 1)]

        integrators = []
        for channel in range(config.channels):
            bit = data_buffer.i[channel]
            if channel:
                turn = Signal(channel * sinc3.slot_bits, name=f"turn_{channel}", reset_less=True)
                with m.If(take):
                    m.d.sync += turn.eq(Cat(bit, turn))
                bit = turn[-1]
            for order in range(3):
                total = Signal(sinc3.first_bits, name=f"integrator_{channel}_{order}", reset_less=True)
                with m.If(take):
                    m.d.sync += total.eq(total + bit)
                bit = total
            integrators.append(total)

        # Slots: one for each channel from a block's last bit on, then one for the output.
        place = Signal(range(sinc3.first), init=1 % sinc3.first)
        started, working, output = Signal(), Signal(), Signal()
        channel = Signal(config.channel_bits)
        step = Signal(range(SLOT_CLOCKS))
        block = Signal(range(sinc3.second))
        last_block = block == sinc3.second - 1
        # Frames: held from a block's end on, sent from another's.
        held, sending, ok = Signal(), Signal(), Signal()
        sent = Signal(config.channel_bits)
        blank = Signal(range(sinc3.settle_frames + 1), init=sinc3.settle_frames)
        dead, block_ends = Signal(), Signal()

        slot_log2 = clog2(sinc3.slot_bits)
        slot = place[slot_log2:]
        with m.If(take):
            m.d.sync += place.eq(Mux(place == sinc3.first - 1, 0, place + 1))
            with m.If(place == 0):
                m.d.sync += started.eq(1)
        with m.If(working):
            m.d.sync += step.eq(step + 1)
            with m.If(step == SLOT_CLOCKS - 1):
                m.d.sync += working.eq(0)
        with m.If(take & (place[:slot_log2] == 0) & (started | (place == 0))):
            with m.If(slot < config.channels):
                m.d.sync += [step.eq(0), working.eq(1), output.eq(0), channel.eq(slot)]
            with m.Elif(slot == config.channels):
                m.d.comb += block_ends.eq(1)
                m.d.sync += [step.eq(0), working.eq(sending & ~self.o.valid), output.eq(1), channel.eq(sent)]

        # The adder. Subtraction adds what was stored inverted, and one.
        bits = sinc3.filter_bits
        words = [0] * (16 << config.channel_bits)
        for each in range(config.channels):
            for word in (1, 2, 3, 10, 11, 12):
                words[16 * each + word] = (1 << bits) - 1
            words[16 * each + _CONSTANT] = sinc3.offset % (1 << bits)
        m.submodules.memory = memory = Memory(
            shape=unsigned(bits), depth=len(words), init=words, attrs={"ram_style": "block"}
        )
        read, write = memory.read_port(), memory.write_port()
        low, high = Signal(sinc3.first_bits, reset_less=True), Signal(bits - sinc3.first_bits, reset_less=True)
        addend, total = Signal(bits), Signal(bits)
        comb = Signal()
        m.d.comb += [
            comb.eq(Mux(output, (step >= 2) & (step <= 4), (step >= 1) & (step <= 3))),
            addend.eq(Cat(Mux(~output & (step == 1), Array(integrators)[channel], low), high)),
            total.eq(addend + read.data + comb),
            read.addr.eq(Cat((step + 1)[:3], output, channel)),
            write.addr.eq(Cat(step, output, channel)),
            write.data.eq(Mux(comb, ~addend, total)),
            write.en.eq(working & Mux(output, comb, (step != 0) & (step != 7))),
        ]
        with m.If(~output & (step == 7)):
            m.d.comb += [write.addr.eq(Cat(Const(_HOLD, 4), channel)), write.en.eq(working & last_block)]
        m.d.sync += [low.eq(total), high.eq(total[sinc3.first_bits :])]
        with m.If(step == 0):
            m.d.sync += [low.eq(0), high.eq(0)]
        with m.If(~output & (step == 3)):
            m.d.sync += high.eq(0)

        # A window's values are extreme only where all of its bits are equal.
        if sinc3.dead_blocks:
            window = Signal(range(sinc3.dead_blocks))
            live = Signal(config.channels)
            with m.If(working & ~output & (step == 4) & (low != 0) & (low != sinc3.first**3)):
                m.d.sync += live.bit_select(channel, 1).eq(1)
            with m.If(block_ends):
                m.d.sync += window.eq(window + 1)
                with m.If(window == sinc3.dead_blocks - 1):
                    m.d.comb += dead.eq(~live.all())
                    m.d.sync += [window.eq(0), live.eq(0)]

        overrun = Signal()
        with m.If(block_ends):
            m.d.sync += block.eq(Mux(last_block, 0, block + 1))
            m.d.comb += overrun.eq(last_block & sending)
            with m.If(last_block):
                m.d.sync += held.eq(1)
            due = last_block if sinc3.judge_blocks == 0 else held & (block == sinc3.judge_blocks - 1)
            with m.If(due & ~sending):
                m.d.sync += [sending.eq(1), ok.eq((blank == 0) & ~dead)]
                with m.If(blank != 0):
                    m.d.sync += blank.eq(blank - 1)
            with m.If(overrun):
                m.d.sync += ok.eq(0)
            with m.If(overrun | dead):
                m.d.sync += blank.eq(sinc3.settle_frames)

        # The sample, and its ends where the modulator is at its own.
        size = config.sample_bits
        code = shift_right(Cat(low, high).as_signed(), sinc3.shift, Rounding.TRUNC)
        top = code >> (size - 6)
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(working & output & (step == 6)):
            m.d.sync += [
                self.o.valid.eq(1),
                self.o.payload.ok.eq(ok),
                self.o.payload.last.eq(sent == config.last_channel),
                self.o.payload.data.eq(code),
                sent.eq(sent + 1),
            ]
            with m.If(top >= sinc3.clip_level):
                m.d.sync += self.o.payload.data.eq(Const((1 << (size - 1)) - 1, signed(size)))
            with m.If(top < -sinc3.clip_level):
                m.d.sync += self.o.payload.data.eq(Const(-(1 << (size - 1)), signed(size)))
            with m.If(sent == config.last_channel):
                m.d.sync += [sent.eq(0), sending.eq(0)]
        return m

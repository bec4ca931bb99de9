"""Phase compensation: every channel is delayed by its own part of a sample."""

from __future__ import annotations

import enum

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from blondel.hdl.config import PHASE_FRACTION_BITS, MeterConfig
from blondel.hdl.fixed import Overflow, Rounding, resize, shift_right
from blondel.hdl.items import channel_item
from blondel.hdl.link.record import RecordSignature
from blondel.hdl.metrology.multiplier import Multiplier, MultiplierSignature

__all__ = ["Phase"]


class _Word(enum.IntEnum):
    """What the state memory holds of a channel, a word each."""

    CALIBRATION = 0
    #: Of the previous result: so that subtracting that takes no inverters.
    COMPLEMENT = 1
    REMAINDER = 2


class Phase(wiring.Component):
    """Delay each channel by whole samples, then by 0.5 to 1.5 samples in a first-order all-pass.

    ``y = x1 + a (x0 - y1)``, where ``x0`` and ``x1`` are the delayed sample of this and of the previous
    valid frame and ``y1`` is the previous result. Its gain is 1 at every frequency. What the last place
    cannot hold is carried to the channel's next sample: rounded each for itself, the samples of a small
    sine would all err the same way. With ``a`` = 0 it is a delay of one sample, exact.

    Parameters
    ----------
    config : MeterConfig
        Uses ``offset_removed_bits``, ``path_bits``, ``fraction_bits``, ``delay_line_log2``,
        ``phase_word``.

    Members
    -------
    i : In(stream of channel_item(offset_removed_bits))
        Samples less their offset, LSB of the converter.
    o : Out(stream of channel_item(path_bits))
        Delayed samples, LSB of the converter × 2**-fraction_bits; saturated, which sets ``clip``.
    multiplier : Out(MultiplierSignature)
    records : In(RecordSignature(channel_bits))
        ``accumulator``: coefficient ``a`` × 2**18, signed(18); ``count``: whole samples of delay, 0 to
        2**delay_line_log2 - 2. Writing them keeps the samples that are under way.

    Attributes
    ----------
    latency : int
        Clocks from an item's being there to its successor's, if the multiplier is free. The item is taken when its
        successor is.
    """

    latency = 4 + Multiplier.latency

    def __init__(self, config: MeterConfig):
        self._config = config
        super().__init__(
            {
                "i": In(stream.Signature(channel_item(config, config.offset_removed_bits))),
                "o": Out(stream.Signature(channel_item(config, config.path_bits))),
                "multiplier": Out(MultiplierSignature(config)),
                "records": In(RecordSignature(config.channel_bits)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        config = self._config
        bits, fraction_bits = config.path_bits, config.fraction_bits
        calibration = data.StructLayout(
            {"coefficient": signed(PHASE_FRACTION_BITS), "whole": config.delay_line_log2}
        )
        word = data.UnionLayout(
            {"calibration": calibration, "complement": signed(bits), "remainder": PHASE_FRACTION_BITS}
        )
        init = []
        for channel in range(config.channels):
            whole, coefficient = config.phase_word(channel)
            init += [{"calibration": {"coefficient": coefficient, "whole": whole}}, {"complement": -1}, {}, {}]
        m.submodules.memory = memory = Memory(
            shape=word, depth=4 * config.channels, init=init, attrs={"ram_style": "block"}
        )
        read, write = memory.read_port(), memory.write_port()
        m.submodules.line = line = Memory(
            shape=signed(config.offset_removed_bits),
            depth=config.channels << config.delay_line_log2,
            init=[],
            attrs={"ram_style": "block"},
        )
        line_read, line_write = line.read_port(), line.write_port()

        # Where the samples of this frame are in the delay line of their channels.
        place = Signal(config.delay_line_log2)
        delayed = Signal.like(place)
        scaled = Signal(signed(bits))
        difference = Signal(signed(bits + 1), reset_less=True)
        total = Signal(signed(bits + PHASE_FRACTION_BITS + 2), reset_less=True)
        quotient = shift_right(total, PHASE_FRACTION_BITS, Rounding.TRUNC)
        _, overflows = resize(quotient, bits, Overflow.SATURATE)
        # What is written: the remainder, then the result's complement. Which of them is in two registers, so that a
        # bit of it is one LUT: where `saturated`, all bits but the sign are `low`; else `low` chooses the remainder.
        saturated, low = Signal(reset_less=True), Signal(reset_less=True)
        written = Signal(bits)
        item = self.i.payload
        m.d.comb += [
            delayed.eq(place - read.data.calibration.whole),
            read.addr.eq(Cat(Const(_Word.CALIBRATION, 2), item.channel)),
            line_read.addr.eq(Cat(delayed, item.channel)),
            line_read.en.eq(0),
            line_write.addr.eq(Cat(place, item.channel)),
            line_write.data.eq(item.data),
            scaled.eq(line_read.data << fraction_bits),
            self.multiplier.a.eq(difference),
            self.multiplier.b.eq(read.data.calibration.coefficient),
            write.addr.eq(Cat(Const(_Word.COMPLEMENT, 2), item.channel)),
            written.eq(
                Mux(
                    saturated,
                    Cat(low.replicate(bits - 1), ~low),
                    Mux(low, total[:PHASE_FRACTION_BITS], ~quotient[:bits]),
                )
            ),
            Value.cast(write.data).eq(written),
            self.o.payload.channel.eq(item.channel),
            self.o.payload.ok.eq(item.ok),
            self.o.payload.window.eq(item.window),
            self.o.payload.late.eq(item.late),
            self.o.payload.clip.eq(item.clip | saturated),
            self.o.payload.data.eq(~written),
            self.records.rdata.accumulator.eq(read.data.calibration.coefficient),
            self.records.rdata.count.eq(read.data.calibration.whole),
        ]

        # The item stays on the stream until its successor is taken.
        with m.FSM():
            with m.State("IDLE"):
                with m.If(self.i.valid):
                    m.d.comb += line_write.en.eq(item.ok)
                    m.next = "NOW"
                with m.Elif(self.records.valid):
                    m.d.comb += read.addr.eq(Cat(Const(_Word.CALIBRATION, 2), self.records.index))
                    m.next = "ACCESS"
            with m.State("NOW"):
                m.d.comb += [line_read.en.eq(1), read.addr.eq(Cat(Const(_Word.COMPLEMENT, 2), item.channel))]
                m.next = "BEFORE"
            with m.State("BEFORE"):
                m.d.comb += self.multiplier.valid.eq(1)
                m.d.sync += difference.eq(scaled - ~read.data.complement)
                m.next = "REQUEST"
            with m.State("REQUEST"):
                m.d.comb += [
                    self.multiplier.valid.eq(1),
                    line_read.en.eq(1),
                    line_read.addr.eq(Cat((delayed - 1)[: config.delay_line_log2], item.channel)),
                ]
                with m.If(self.multiplier.ready):
                    m.d.comb += read.addr.eq(Cat(Const(_Word.REMAINDER, 2), item.channel))
                    m.next = "PRODUCT"
            with m.State("PRODUCT"):
                m.d.comb += read.addr.eq(Cat(Const(_Word.REMAINDER, 2), item.channel))
                m.d.sync += [saturated.eq(0), low.eq(1)]
                m.d.sync += total.eq(Cat(read.data.remainder, scaled).as_signed() + self.multiplier.product)
                with m.If(self.multiplier.done):
                    m.next = "REMAINDER"
            with m.State("REMAINDER"):
                m.d.comb += [
                    write.addr.eq(Cat(Const(_Word.REMAINDER, 2), item.channel)),
                    write.en.eq(item.ok),
                ]
                m.d.sync += [saturated.eq(overflows), low.eq(overflows & total[-1])]
                m.next = "OUTPUT"
            with m.State("OUTPUT"):
                m.d.comb += [self.o.valid.eq(1), self.i.ready.eq(self.o.ready), write.en.eq(item.ok)]
                with m.If(self.o.ready):
                    m.d.sync += place.eq(place + (item.ok & (item.channel == config.last_channel)))
                    m.next = "IDLE"
            with m.State("ACCESS"):
                m.d.comb += [
                    self.records.ready.eq(self.records.valid),
                    read.addr.eq(Cat(Const(_Word.CALIBRATION, 2), self.records.index)),
                    write.addr.eq(Cat(Const(_Word.CALIBRATION, 2), self.records.index)),
                    write.en.eq(self.records.valid & self.records.write),
                ]
                with m.If(self.records.write):
                    m.d.comb += [
                        write.data.calibration.coefficient.eq(self.records.wdata.accumulator),
                        write.data.calibration.whole.eq(self.records.wdata.count),
                    ]
                with m.If(~self.records.valid):
                    m.next = "IDLE"
        return m

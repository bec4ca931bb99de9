"""Phase compensation: every channel is delayed by its own part of a sample."""

from __future__ import annotations

import enum

from amaranth.hdl import Cat, Const, Module, Signal, signed
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
    PREVIOUS = 1
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
        Clocks from an item's acceptance to its successor's being valid, if the multiplier is free.
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
            {"calibration": calibration, "previous": signed(bits), "remainder": PHASE_FRACTION_BITS}
        )
        init = []
        for channel in range(config.channels):
            whole, coefficient = config.phase_word(channel)
            init += [{"calibration": {"coefficient": coefficient, "whole": whole}}, {}, {}, {}]
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
        before = Signal.like(place, reset_less=True)
        coefficient = Signal(signed(PHASE_FRACTION_BITS), reset_less=True)
        item = Signal(self.o.payload.shape(), reset_less=True)
        difference = Signal(signed(bits + 1), reset_less=True)
        scaled = Signal(signed(bits))
        total = Signal(signed(bits + PHASE_FRACTION_BITS + 2))
        result, saturated = resize(
            shift_right(total, PHASE_FRACTION_BITS, Rounding.TRUNC), bits, Overflow.SATURATE
        )
        delayed = (place - read.data.calibration.whole)[: config.delay_line_log2]
        m.d.comb += [
            read.addr.eq(Cat(Const(_Word.REMAINDER, 2), item.channel)),
            line_read.addr.eq(Cat(before, item.channel)),
            line_write.addr.eq(Cat(place, self.i.payload.channel)),
            line_write.data.eq(self.i.payload.data),
            scaled.eq(line_read.data << fraction_bits),
            self.multiplier.a.eq(difference),
            self.multiplier.b.eq(coefficient),
            total.eq(Cat(read.data.remainder, scaled).as_signed() + self.multiplier.product),
            self.o.payload.eq(item),
            self.records.rdata.accumulator.eq(read.data.calibration.coefficient),
            self.records.rdata.count.eq(read.data.calibration.whole),
        ]

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [
                    self.i.ready.eq(1),
                    read.addr.eq(Cat(Const(_Word.CALIBRATION, 2), self.i.payload.channel)),
                ]
                with m.If(self.i.valid):
                    m.d.comb += line_write.en.eq(self.i.payload.ok)
                    m.d.sync += [
                        item.channel.eq(self.i.payload.channel),
                        item.ok.eq(self.i.payload.ok),
                        item.window.eq(self.i.payload.window),
                        item.clip.eq(self.i.payload.clip),
                    ]
                    m.next = "NOW"
                with m.Elif(self.records.valid):
                    m.d.comb += read.addr.eq(Cat(Const(_Word.CALIBRATION, 2), self.records.index))
                    m.next = "ACCESS"
            with m.State("NOW"):
                m.d.comb += [
                    line_read.addr.eq(Cat(delayed, item.channel)),
                    read.addr.eq(Cat(Const(_Word.PREVIOUS, 2), item.channel)),
                ]
                m.d.sync += [coefficient.eq(read.data.calibration.coefficient), before.eq(delayed - 1)]
                m.next = "BEFORE"
            with m.State("BEFORE"):
                m.d.sync += difference.eq(scaled - read.data.previous)
                m.next = "REQUEST"
            with m.State("REQUEST"):
                m.d.comb += self.multiplier.valid.eq(1)
                with m.If(self.multiplier.ready):
                    m.next = "PRODUCT"
            with m.State("PRODUCT"):
                m.d.comb += [
                    write.addr.eq(Cat(Const(_Word.REMAINDER, 2), item.channel)),
                    write.data.remainder.eq(total[:PHASE_FRACTION_BITS]),
                ]
                with m.If(self.multiplier.done):
                    m.d.comb += write.en.eq(item.ok)
                    m.d.sync += [item.data.eq(result), item.clip.eq(item.clip | saturated)]
                    m.next = "OUTPUT"
            with m.State("OUTPUT"):
                m.d.comb += [
                    self.o.valid.eq(1),
                    write.addr.eq(Cat(Const(_Word.PREVIOUS, 2), item.channel)),
                    write.data.previous.eq(item.data),
                    write.en.eq(item.ok),
                ]
                with m.If(self.o.ready):
                    m.d.sync += place.eq(place + (item.ok & (item.channel == config.last_channel)))
                    m.next = "IDLE"
            with m.State("ACCESS"):
                m.d.comb += [
                    self.records.ready.eq(1),
                    write.addr.eq(Cat(Const(_Word.CALIBRATION, 2), self.records.index)),
                    write.data.calibration.coefficient.eq(self.records.wdata.accumulator),
                    write.data.calibration.whole.eq(self.records.wdata.count),
                    write.en.eq(self.records.write),
                ]
                m.next = "IDLE"
        return m

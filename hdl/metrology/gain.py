"""Gain calibration: every channel is multiplied by its own factor."""

from __future__ import annotations

import enum

from amaranth.hdl import Cat, Const, Module, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from blondel.hdl.config import GAIN_FRACTION_BITS, MeterConfig
from blondel.hdl.fixed import Overflow, Rounding, resize, shift_right
from blondel.hdl.items import channel_item
from blondel.hdl.link.record import RecordSignature
from blondel.hdl.metrology.multiplier import Multiplier, MultiplierSignature

__all__ = ["Gain"]


class _Word(enum.IntEnum):
    """What the state memory holds of a channel, a word each."""

    GAIN = 0
    REMAINDER = 1


class Gain(wiring.Component):
    """Multiply each channel by its gain, 0.75 to 1.25 in steps of 2**-24 (0.06 ppm).

    ``y = x + x g``, where ``g`` is the gain less one: a gain of 1 changes no bit. What the last place
    cannot hold is carried to the channel's next sample, so that the results' sum stays within one LSB of
    the exact one: rounded each for itself, small samples would not show a small gain at all.

    Parameters
    ----------
    config : MeterConfig
        Uses ``path_bits``, ``gain_word``.

    Members
    -------
    i : In(stream of channel_item(path_bits))
        Samples, LSB of the converter × 2**-fraction_bits.
    o : Out(stream of channel_item(path_bits))
        Calibrated samples, in the same unit; saturated, which sets ``clip``.
    multiplier : Out(MultiplierSignature)
    records : In(RecordSignature(channel_bits))
        ``accumulator``: ``g`` × 2**24, signed(23).

    Attributes
    ----------
    latency : int
        Clocks from an item's being there to its successor's, if the multiplier is free. The item is taken two clocks
        before the multiplier is done with it.
    """

    latency = 1 + Multiplier.latency

    def __init__(self, config: MeterConfig):
        self._config = config
        super().__init__(
            {
                "i": In(stream.Signature(channel_item(config, config.path_bits))),
                "o": Out(stream.Signature(channel_item(config, config.path_bits))),
                "multiplier": Out(MultiplierSignature(config)),
                "records": In(RecordSignature(config.channel_bits)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        config = self._config
        # g is a quarter at most: one bit less than the fraction has, with the sign.
        word = data.UnionLayout({"gain": signed(GAIN_FRACTION_BITS - 1), "remainder": GAIN_FRACTION_BITS})
        init = []
        for channel in range(config.channels):
            init += [{"gain": config.gain_word(channel)}, {}]
        m.submodules.memory = memory = Memory(
            shape=word, depth=2 * config.channels, init=init, attrs={"ram_style": "block"}
        )
        read, write = memory.read_port(), memory.write_port()

        item = Signal(
            data.StructLayout({"channel": config.channel_bits, "ok": 1, "window": 1, "late": 1, "clip": 1}),
            reset_less=True,
        )
        total = Signal(signed(config.path_bits + GAIN_FRACTION_BITS + 1), reset_less=True)
        result, saturated = resize(
            shift_right(total, GAIN_FRACTION_BITS, Rounding.TRUNC), config.path_bits, Overflow.SATURATE
        )
        sign = read.data.gain[-1]
        m.d.comb += [
            self.multiplier.a.eq(self.i.payload.data),
            # One more than the gain word.
            self.multiplier.b.eq(Cat(read.data.gain[:-1], sign, sign, ~sign)),
            write.addr.eq(Cat(Const(_Word.REMAINDER, 1), item.channel)),
            write.data.remainder.eq(total),
            self.o.payload.channel.eq(item.channel),
            self.o.payload.ok.eq(item.ok),
            self.o.payload.window.eq(item.window),
            self.o.payload.late.eq(item.late),
            self.o.payload.clip.eq(item.clip | saturated),
            self.o.payload.data.eq(result),
            self.records.rdata.accumulator.eq(read.data.gain),
        ]

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += read.addr.eq(Cat(Const(_Word.GAIN, 1), self.i.payload.channel))
                with m.If(self.i.valid):
                    m.d.comb += self.multiplier.valid.eq(1)
                    m.next = "REQUEST"
                with m.Elif(self.records.valid):
                    m.d.comb += read.addr.eq(Cat(Const(_Word.GAIN, 1), self.records.index))
                    m.next = "ACCESS"
            with m.State("REQUEST"):
                m.d.comb += [
                    self.multiplier.valid.eq(1),
                    self.i.ready.eq(self.multiplier.ready),
                    read.addr.eq(Cat(self.multiplier.ready, self.i.payload.channel)),
                ]
                m.d.sync += [
                    item.channel.eq(self.i.payload.channel),
                    item.ok.eq(self.i.payload.ok),
                    item.window.eq(self.i.payload.window),
                    item.late.eq(self.i.payload.late),
                    item.clip.eq(self.i.payload.clip),
                ]
                with m.If(self.multiplier.ready):
                    m.next = "PRODUCT"
            with m.State("PRODUCT"):
                m.d.comb += read.addr.eq(Cat(Const(_Word.REMAINDER, 1), item.channel))
                m.d.sync += total.eq(read.data.remainder + self.multiplier.product)
                with m.If(self.multiplier.done):
                    m.next = "OUTPUT"
            with m.State("OUTPUT"):
                m.d.comb += [self.o.valid.eq(1), write.en.eq(item.ok)]
                with m.If(self.o.ready):
                    m.next = "IDLE"
            with m.State("ACCESS"):
                m.d.comb += [
                    self.records.ready.eq(self.records.valid),
                    read.addr.eq(Cat(Const(_Word.GAIN, 1), self.records.index)),
                    write.addr.eq(Cat(Const(_Word.GAIN, 1), self.records.index)),
                    write.en.eq(self.records.valid & self.records.write),
                ]
                with m.If(self.records.write):
                    m.d.comb += write.data.gain.eq(self.records.wdata.accumulator)
                with m.If(~self.records.valid):
                    m.next = "IDLE"
        return m

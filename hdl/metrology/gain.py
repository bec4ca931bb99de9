"""Gain calibration: every channel is multiplied by its own factor."""

from __future__ import annotations

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from blondel.hdl.config import GAIN_FRACTION_BITS, MeterConfig
from blondel.hdl.fixed import Overflow, Rounding, resize, shift_right
from blondel.hdl.items import channel_item
from blondel.hdl.link.record import RecordSignature
from blondel.hdl.metrology.multiplier import Multiplier, MultiplierSignature

__all__ = ["Gain"]

#: Width of a gain word: a quarter either way.
_WORD_BITS = GAIN_FRACTION_BITS - 1


class Gain(wiring.Component):
    """Multiply each channel by its gain, 0.75 to 1.25 in steps of 2**-24 (0.06 ppm).

    ``y = x + x g``, where ``g`` is the gain less one: a gain of 1 changes no bit.

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
        Clocks from an item's acceptance to its successor's being valid, if the multiplier is free.
    """

    latency = 2 + Multiplier.latency

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
        m.submodules.memory = memory = Memory(
            shape=signed(_WORD_BITS),
            depth=config.channels,
            init=[config.gain_word(channel) for channel in range(config.channels)],
            attrs={"ram_style": "block"},
        )
        read, write = memory.read_port(), memory.write_port()

        item = Signal(self.i.payload.shape(), reset_less=True)
        product = self.multiplier.product[: config.path_bits + _WORD_BITS].as_signed()
        result, saturated = resize(
            item.data + shift_right(product, GAIN_FRACTION_BITS, Rounding.HALF_EVEN),
            config.path_bits,
            Overflow.SATURATE,
        )
        m.d.comb += [
            read.addr.eq(item.channel),
            write.addr.eq(self.records.index),
            write.data.eq(self.records.wdata.accumulator),
            self.multiplier.a.eq(item.data),
            self.multiplier.b.eq(read.data),
            self.o.payload.eq(item),
            self.records.rdata.accumulator.eq(read.data),
        ]

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [self.i.ready.eq(1), read.addr.eq(self.i.payload.channel)]
                with m.If(self.i.valid):
                    m.d.sync += item.eq(self.i.payload)
                    m.next = "REQUEST"
                with m.Elif(self.records.valid):
                    m.d.comb += read.addr.eq(self.records.index)
                    m.next = "ACCESS"
            with m.State("REQUEST"):
                m.d.comb += self.multiplier.valid.eq(1)
                with m.If(self.multiplier.ready):
                    m.next = "PRODUCT"
            with m.State("PRODUCT"), m.If(self.multiplier.done):
                m.d.sync += [item.data.eq(result), item.clip.eq(item.clip | saturated)]
                m.next = "OUTPUT"
            with m.State("OUTPUT"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.next = "IDLE"
            with m.State("ACCESS"):
                m.d.comb += [self.records.ready.eq(1), write.en.eq(self.records.write)]
                m.next = "IDLE"
        return m

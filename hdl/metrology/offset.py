"""Offset removal: what a channel shows at zero input is subtracted from every sample."""

from __future__ import annotations

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from blondel.hdl.config import TRACKING_SHIFT, MeterConfig
from blondel.hdl.fixed import Rounding, shift_right
from blondel.hdl.items import channel_item
from blondel.hdl.link.record import RecordSignature

__all__ = ["Offset"]


class Offset(wiring.Component):
    """Subtract each channel's offset, and track it from window to window.

    At the end of each window the estimate moves toward the window's mean by 1, 1/2, 1/4, 1/4, 1/8, … of
    the distance: a running mean at first, then an exponential one. A window is not a whole number of
    mains cycles, so its mean keeps up to 1/(π f T) of the amplitude; the slowest steps, 1/32, leave
    about a sixtieth of that. Estimate and sum have as many fraction bits as the division by the window
    needs: nothing is rounded but the estimate that is subtracted, to a whole LSB.

    Parameters
    ----------
    config : MeterConfig
        Uses ``sample_bits``, ``window_log2``, ``offset_tracking``, ``offset_word``.

    Members
    -------
    i : In(stream of channel_item(sample_bits))
        Samples, LSB of the converter.
    o : Out(stream of channel_item(sample_bits + 1))
        Samples less their offset, LSB of the converter; cannot overflow.
    records : In(RecordSignature(channel_bits))
        ``accumulator``: the estimate, LSB × 2**-window_log2. Writing one tells the tracking that the
        offsets are calibrated: from then on it takes its slowest steps.

    Attributes
    ----------
    latency : int
        Clocks from an item's acceptance to its successor's being valid. After the last item of a window
        the next one waits for up to TRACKING_SHIFT + 2 clocks more, while the estimate moves.
    """

    latency = 2

    def __init__(self, config: MeterConfig):
        self._config = config
        super().__init__(
            {
                "i": In(stream.Signature(channel_item(config, config.sample_bits))),
                "o": Out(stream.Signature(channel_item(config, config.offset_removed_bits))),
                "records": In(RecordSignature(config.channel_bits)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        config = self._config
        state = data.StructLayout({"estimate": signed(config.offset_bits), "sum": signed(config.offset_bits)})
        m.submodules.memory = memory = Memory(
            shape=state,
            depth=config.channels,
            init=[{"estimate": config.offset_word(channel), "sum": 0} for channel in range(config.channels)],
            attrs={"ram_style": "block"},
        )
        read, write = memory.read_port(), memory.write_port()

        # Windows seen, up to the number from which the step stays at its slowest.
        oldest = 1 << (TRACKING_SHIFT - 1)
        age = Signal(range(oldest + 1), init=oldest if config.offset_calibrated else 0)
        item = Signal(self.i.payload.shape(), reset_less=True)
        result = Signal(signed(config.offset_removed_bits), reset_less=True)
        total = Signal(signed(config.offset_bits))
        # What is taken from the estimate: nothing; at a window's end its mean, then the distance to it, then
        # a part of that, halved in each clock.
        less = Signal(signed(config.offset_bits + 1), reset_less=True)
        halvings = Signal(range(TRACKING_SHIFT + 1), reset_less=True)
        difference = Signal(signed(config.offset_bits + 1))
        m.d.comb += [
            total.eq(read.data.sum + item.data),
            difference.eq(read.data.estimate - less),
            read.addr.eq(item.channel),
            write.addr.eq(item.channel),
            write.data.estimate.eq(difference),
            self.o.payload.channel.eq(item.channel),
            self.o.payload.ok.eq(item.ok),
            self.o.payload.window.eq(item.window),
            self.o.payload.clip.eq(item.clip),
            self.o.payload.data.eq(result),
            self.records.rdata.accumulator.eq(read.data.estimate),
        ]

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [self.i.ready.eq(1), read.addr.eq(self.i.payload.channel)]
                m.d.sync += less.eq(0)
                with m.If(self.i.valid):
                    m.d.sync += item.eq(self.i.payload)
                    m.next = "UPDATE"
                with m.Elif(self.records.valid):
                    m.d.comb += read.addr.eq(self.records.index)
                    m.next = "ACCESS"
            with m.State("UPDATE"):
                m.d.comb += [write.en.eq(item.ok), write.data.sum.eq(total)]
                rounded = shift_right(read.data.estimate, config.window_log2, Rounding.HALF_EVEN)
                m.d.sync += [result.eq(item.data - rounded), less.eq(total)]
                m.next = "OUTPUT"
            with m.State("OUTPUT"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.next = "IDLE"
                    if config.offset_tracking:
                        with m.If(item.ok & item.window):
                            m.next = "DISTANCE"
            with m.State("DISTANCE"):
                m.d.sync += less.eq(difference)
                with m.Switch(age):
                    for seen in range(oldest + 1):
                        with m.Case(seen):
                            m.d.sync += halvings.eq(seen.bit_length())
                m.next = "HALVE"
            with m.State("HALVE"):
                with m.If(halvings != 0):
                    m.d.sync += [less.eq(less >> 1), halvings.eq(halvings - 1)]
                with m.Else():
                    m.d.comb += write.en.eq(1)
                    with m.If((item.channel == config.last_channel) & (age != oldest)):
                        m.d.sync += age.eq(age + 1)
                    m.next = "IDLE"
            with m.State("ACCESS"):
                m.d.comb += [
                    self.records.ready.eq(1),
                    write.en.eq(self.records.write),
                    write.addr.eq(self.records.index),
                    write.data.estimate.eq(self.records.wdata.accumulator),
                ]
                with m.If(self.records.write):
                    m.d.sync += age.eq(oldest)
                m.next = "IDLE"
        return m

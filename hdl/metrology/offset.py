"""Offset removal: what a channel shows at zero input is subtracted from every sample."""

from __future__ import annotations

from amaranth.hdl import Const, Module, Mux, Signal, signed
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
        Clocks from an item's acceptance to its successor's being valid.
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
        distance = Signal(signed(config.offset_bits + 1))
        step = Signal(signed(config.offset_bits + 1))
        m.d.comb += [
            total.eq(read.data.sum + item.data),
            distance.eq(total - read.data.estimate),
            step.eq(distance),
            write.addr.eq(item.channel),
            write.data.estimate.eq(read.data.estimate),
            write.data.sum.eq(Mux(item.window, 0, total)),
            self.o.payload.channel.eq(item.channel),
            self.o.payload.ok.eq(item.ok),
            self.o.payload.window.eq(item.window),
            self.o.payload.clip.eq(item.clip),
            self.o.payload.data.eq(result),
            self.records.rdata.accumulator.eq(read.data.estimate),
        ]
        with m.Switch(age):
            for seen in range(1, oldest + 1):
                with m.Case(seen):
                    m.d.comb += step.eq(distance >> seen.bit_length())
        if config.offset_tracking:
            with m.If(item.window):
                m.d.comb += write.data.estimate.eq(read.data.estimate + step)

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [self.i.ready.eq(1), read.addr.eq(self.i.payload.channel)]
                with m.If(self.i.valid):
                    m.d.sync += item.eq(self.i.payload)
                    m.next = "UPDATE"
                with m.Elif(self.records.valid):
                    m.d.comb += read.addr.eq(self.records.index)
                    m.next = "ACCESS"
            with m.State("UPDATE"):
                m.d.comb += write.en.eq(item.ok)
                rounded = shift_right(read.data.estimate, config.window_log2, Rounding.HALF_EVEN)
                m.d.sync += result.eq(item.data - rounded)
                with m.If(item.ok & item.window & (item.channel == config.last_channel) & (age != oldest)):
                    m.d.sync += age.eq(age + 1)
                m.next = "OUTPUT"
            with m.State("OUTPUT"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.next = "IDLE"
            with m.State("ACCESS"):
                m.d.comb += [
                    self.records.ready.eq(1),
                    write.en.eq(self.records.write),
                    write.addr.eq(self.records.index),
                    write.data.estimate.eq(self.records.wdata.accumulator),
                    write.data.sum.eq(Const(0)),
                ]
                with m.If(self.records.write):
                    m.d.sync += age.eq(oldest)
                m.next = "IDLE"
        return m

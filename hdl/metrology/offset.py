"""Offset removal: what a channel shows at zero input is subtracted from every sample."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from blondel.hdl.config import ACQUIRED_WINDOWS, TRACKING_SHIFT, MeterConfig
from blondel.hdl.fixed import Overflow, Rounding, resize, shift_right
from blondel.hdl.items import channel_item
from blondel.hdl.link.record import RecordSignature

__all__ = ["OLDEST", "Offset"]

#: Windows after which the estimate takes its slowest steps.
OLDEST = ACQUIRED_WINDOWS - 1 + TRACKING_SHIFT


class Offset(wiring.Component):
    """Subtract each channel's offset, and track it from window to window.

    At the end of each window the estimate moves by the mean of what was left of the window's samples:
    whole after the first windows, then 1/2, 1/4 and from there on 1/8 of it. A window is whole cycles
    of the mains, so its mean is the offset, but for a part of a sample's step: without ripple there is
    nothing to filter, and the estimate is right after a few windows. A window's length varies by a cycle,
    and the sum is divided by its least length: the steps are up to 3.5 % too long, which the next ones
    make good, since they start from what is left. What is left over when the estimate is rounded to the
    LSB that is subtracted is taken up in the same way: the sum of all results stays small for ever.

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
        state = data.StructLayout(
            {"estimate": signed(config.offset_bits), "sum": signed(config.offset_sum_bits)}
        )
        m.submodules.memory = memory = Memory(
            shape=state,
            depth=config.channels,
            init=[{"estimate": config.offset_word(channel), "sum": 0} for channel in range(config.channels)],
            attrs={"ram_style": "block"},
        )
        read, write = memory.read_port(), memory.write_port()

        # Windows seen, up to the number from which the step stays at its slowest.
        age = Signal(range(OLDEST + 1), init=OLDEST if config.offset_calibrated else 0)
        item = Signal(self.i.payload.shape(), reset_less=True)
        result = Signal(signed(config.offset_removed_bits), reset_less=True)
        total = Signal(signed(config.offset_sum_bits))
        # What is added to the estimate: nothing; at a window's end its sum, halved in each clock.
        more = Signal(signed(config.offset_sum_bits), reset_less=True)
        halvings = Signal(range(TRACKING_SHIFT + 1), reset_less=True)
        moved, _ = resize(read.data.estimate + more, config.offset_bits, Overflow.SATURATE)
        m.d.comb += [
            total.eq(read.data.sum + result),
            read.addr.eq(item.channel),
            write.addr.eq(item.channel),
            write.data.estimate.eq(moved),
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
                m.d.sync += more.eq(0)
                with m.If(self.i.valid):
                    m.d.sync += item.eq(self.i.payload)
                    m.next = "SUBTRACT"
                with m.Elif(self.records.valid):
                    m.d.comb += read.addr.eq(self.records.index)
                    m.next = "ACCESS"
            with m.State("SUBTRACT"):
                rounded = shift_right(read.data.estimate, config.window_log2, Rounding.HALF_EVEN)
                m.d.sync += result.eq(item.data - rounded)
                m.next = "OUTPUT"
            with m.State("OUTPUT"):
                m.d.comb += [self.o.valid.eq(1), write.data.sum.eq(total)]
                with m.If(self.o.ready):
                    m.d.comb += write.en.eq(item.ok)
                    m.d.sync += more.eq(total)
                    m.next = "IDLE"
                    if config.offset_tracking:
                        with m.If(item.ok & item.window):
                            m.next = "AGE"
            with m.State("AGE"):
                # The word that was written is read again in this clock.
                m.d.sync += halvings.eq(Mux(age < ACQUIRED_WINDOWS, 0, age - (ACQUIRED_WINDOWS - 1)))
                m.next = "HALVE"
            with m.State("HALVE"):
                with m.If(halvings != 0):
                    m.d.sync += [more.eq(more >> 1), halvings.eq(halvings - 1)]
                with m.Else():
                    m.d.comb += write.en.eq(1)
                    with m.If((item.channel == config.last_channel) & (age != OLDEST)):
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
                    m.d.sync += age.eq(OLDEST)
                m.next = "IDLE"
        return m

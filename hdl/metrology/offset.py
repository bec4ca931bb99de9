"""Offset removal: every sample is corrected by what its channel shows at zero input."""

from __future__ import annotations

import enum

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from blondel.hdl.config import ACQUIRED_WINDOWS, TRACKING_SHIFT, MeterConfig
from blondel.hdl.fixed import rounds_up
from blondel.hdl.items import channel_item
from blondel.hdl.link.record import RecordSignature

__all__ = ["OLDEST", "Offset"]

#: Windows after which the correction takes its slowest steps.
OLDEST = ACQUIRED_WINDOWS - 1 + TRACKING_SHIFT


class _Word(enum.IntEnum):
    """What the state memory holds of a channel, a word each."""

    CORRECTION = 0
    SUM = 1


class Offset(wiring.Component):
    """Add each channel's correction, minus its offset, and track it from window to window.

    At the end of each window the correction moves by minus the mean of what was left of the window's samples: by
    1/8 of it, eight times after the first windows, then four times, twice, and from there on once. A step
    that would leave the range of a sample is not taken. A window is whole cycles
    of the mains, so its mean is the offset, but for a part of a sample's step: without ripple there is
    nothing to filter, and the correction is right after a few windows. A window's length varies by a cycle,
    and the sum is divided by its least length: the steps are up to 3.5 % too long, which the next ones
    make good, since they start from what is left. What is left over when the correction is rounded to the
    LSB that is added is taken up in the same way: the sum of all results stays small for ever.

    Parameters
    ----------
    config : MeterConfig
        Uses ``sample_bits``, ``window_log2``, ``offset_tracking``, ``offset_word``.

    Members
    -------
    i : In(stream of channel_item(sample_bits))
        Samples, LSB of the converter. An item stays on the stream until it is done with.
    o : Out(stream of channel_item(sample_bits + 1))
        Samples less their offset, LSB of the converter; cannot overflow.
    records : In(RecordSignature(channel_bits))
        ``accumulator``: the correction, LSB × 2**-window_log2. Writing one tells the tracking that the
        offsets are calibrated: from then on it takes its slowest steps.

    Attributes
    ----------
    latency : int
        Clocks from an item's being valid to its successor's being valid. After an item that ends a window
        the next one waits for up to 2**(TRACKING_SHIFT + 1) clocks more, while the correction moves.
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
        init = []
        for channel in range(config.channels):
            init += [config.offset_word(channel), 0]
        m.submodules.memory = memory = Memory(
            shape=signed(config.offset_sum_bits), depth=len(init), init=init, attrs={"ram_style": "block"}
        )
        read, write = memory.read_port(), memory.write_port()

        item = self.i.payload
        # Windows seen, up to the number from which the step stays at its slowest.
        age = Signal(range(OLDEST + 1), init=OLDEST if config.offset_calibrated else 0)
        more_steps = Array(
            (1 << TRACKING_SHIFT >> max(0, windows - (ACQUIRED_WINDOWS - 1))) - 1 for windows in range(OLDEST + 1)
        )
        steps = Signal(range(1 << TRACKING_SHIFT), reset_less=True)
        # The item's result; at a window's end a step of the correction.
        addend = Signal(signed(config.offset_sum_bits), reset_less=True)
        # The word that the memory shows, and the addend: a sum, or a correction.
        zero = Signal()
        total = Mux(zero, 0, (read.data + addend)[: config.offset_sum_bits]).as_signed()
        top = total[config.offset_bits - 1 :]
        in_range = ~top.any() | top.all()

        # item + round(correction), half_even, in one adder: its carry rounds up.
        whole, up = read.data[config.window_log2 : config.offset_bits], rounds_up(read.data, config.window_log2)
        corrected = Cat(Const(1, 1), item.data).as_signed() + Cat(up, whole).as_signed()

        m.d.comb += [
            read.addr.eq(Cat(Const(_Word.CORRECTION, 1), item.channel)),
            write.addr.eq(Cat(Const(_Word.SUM, 1), item.channel)),
            write.data.eq(total),
            self.o.payload.channel.eq(item.channel),
            self.o.payload.ok.eq(item.ok),
            self.o.payload.window.eq(item.window),
            self.o.payload.late.eq(item.late),
            self.o.payload.clip.eq(item.clip),
            self.o.payload.data.eq(addend),
            self.records.rdata.accumulator.eq(read.data),
        ]

        with m.FSM():
            with m.State("IDLE"):
                with m.If(self.i.valid):
                    m.next = "CORRECT"
                with m.Elif(self.records.valid):
                    m.d.comb += read.addr.eq(Cat(Const(_Word.CORRECTION, 1), self.records.index))
                    m.next = "ACCESS"
            with m.State("CORRECT"):
                m.d.comb += read.addr.eq(Cat(Const(_Word.SUM, 1), item.channel))
                m.d.sync += addend.eq(corrected[1:].as_signed())
                m.next = "OUTPUT"
            with m.State("OUTPUT"):
                m.d.comb += [self.o.valid.eq(1), read.addr.eq(Cat(Const(_Word.SUM, 1), item.channel))]
                with m.If(self.o.ready):
                    m.d.comb += [write.en.eq(item.ok), self.i.ready.eq(1)]
                    m.next = "IDLE"
                    if config.offset_tracking:
                        # One's complement: the loop starts from what is left, so the last place does not matter.
                        m.d.sync += addend.eq(~(total >> TRACKING_SHIFT))
                        with m.If(item.ok & item.window):
                            m.d.comb += self.i.ready.eq(0)
                            m.next = "WINDOW"
            with m.State("WINDOW"):
                # Of the sum there is the addend; the next window's starts from zero.
                m.d.comb += [zero.eq(1), write.en.eq(1)]
                m.d.sync += steps.eq(more_steps[age])
                m.next = "MOVE"
            with m.State("MOVE"):
                m.d.comb += [write.addr.eq(Cat(Const(_Word.CORRECTION, 1), item.channel)), write.en.eq(in_range)]
                m.d.sync += steps.eq(steps - 1)
                m.next = "READ"
                with m.If(steps == 0):
                    m.d.comb += self.i.ready.eq(1)
                    with m.If((item.channel == config.last_channel) & (age != OLDEST)):
                        m.d.sync += age.eq(age + 1)
                    m.next = "IDLE"
            with m.State("READ"):
                # What was written is there for the next step.
                m.next = "MOVE"
            with m.State("ACCESS"):
                m.d.comb += [
                    self.records.ready.eq(1),
                    read.addr.eq(Cat(Const(_Word.CORRECTION, 1), self.records.index)),
                    write.en.eq(self.records.write),
                    write.addr.eq(Cat(Const(_Word.CORRECTION, 1), self.records.index)),
                ]
                with m.If(self.records.write):
                    m.d.comb += write.data.eq(self.records.wdata.accumulator)
                    m.d.sync += age.eq(OLDEST)
                with m.If(~self.records.valid):
                    m.next = "IDLE"
        return m

"""Frame input: samples become frames, whole and in order, or are counted as lost."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from blondel.hdl.config import MeterConfig
from blondel.hdl.items import channel_item, sample_item
from blondel.hdl.link.record import RecordSignature

__all__ = ["COUNTER_BITS", "Frame"]

#: Width of the frame counters, unsigned: nine years at 1 MHz, then they roll over.
COUNTER_BITS = 48
#: Part of a counter that is counted at a time; where it rolls over, the next one follows.
LIMB_BITS = 16


class Frame(wiring.Component):
    """Collect the channels of one sampling instant, and let them go on only as a whole.

    A frame ends with the sample that is marked ``last``. It is valid if all of its channels came, none
    too many, and every sample is ``ok``. An invalid one is counted, and goes on as items that are not
    ``ok``: it is never metered, but time goes on. So a source that missed a sampling instant sends a
    single bad sample marked ``last`` in its place.

    One frame is collected while another leaves: the input waits with a frame's last sample until the frame before it
    has left, and for a clock while a frame is counted.

    Parameters
    ----------
    config : MeterConfig
        Uses ``sample_bits``, ``channels``, ``window_log2``, ``window_frames_most``.

    Members
    -------
    i : In(stream of sample_item)
        Samples, LSB of the converter, in the order of their channels.
    o : Out(stream of channel_item(sample_bits))
        Frames, LSB of the converter. ``window`` marks the last frame of a window: after 2**window_log2 valid
        frames the first in which the voltage of element 0 has come from below zero to zero or above;
        without such a frame, ``window_frames_most`` frames after the last one. ``clip`` marks the most
        positive and the most negative sample.
    records : In(RecordSignature(1))
        0: ``accumulator``: valid frames, ``count``: invalid frames, both unsigned(48) and counted when
        the frame has left; a word every second clock. Writing it moves no window. Accesses take place
        between items.

    Attributes
    ----------
    latency : int
        Clocks from the acceptance of a frame's last sample to its first item's being valid; two more
        for each further item.
    """

    latency = 2

    def __init__(self, config: MeterConfig):
        self._config = config
        super().__init__(
            {
                "i": In(stream.Signature(sample_item(config))),
                "o": Out(stream.Signature(channel_item(config, config.sample_bits))),
                "records": In(RecordSignature(1)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        config = self._config
        # The samples of two frames; then the counters' limbs, a bit of the address above: those of the valid frames at
        # 0 to 2, those of the invalid ones at 4 to 6, as a record has its words.
        limbs = max(config.channel_bits + 1, 3)
        m.submodules.memory = memory = Memory(
            shape=signed(config.sample_bits), depth=(1 << limbs) + 8, init=[], attrs={"ram_style": "block"}
        )
        read, write = memory.read_port(), memory.write_port()

        # Two buffers: one fills while the other one, where it is full, leaves.
        filling, full = Signal(), Signal()
        place, channel = Signal(config.channel_bits), Signal(config.channel_bits)
        spoiled = Signal()
        at_end = place == config.last_channel
        good = at_end & self.i.payload.ok & ~spoiled
        taken = self.i.valid & self.i.ready
        ends, leaves = Signal(), Signal()
        limb, counting = Signal(3), Signal()
        m.d.comb += [
            self.i.ready.eq(~(full & self.i.payload.last | counting)),
            write.addr.eq(Mux(counting, Cat(limb, Const(1 << limbs - 3)), Cat(place, filling))),
            write.data.eq(self.i.payload.data),
            write.en.eq(taken | counting),
            ends.eq(taken & self.i.payload.last),
        ]
        with m.If(taken):
            # What comes too much is written anywhere: the frame is invalid.
            m.d.sync += [place.eq(place + 1), spoiled.eq(spoiled | at_end | ~self.i.payload.ok)]
        with m.If(ends):
            m.d.sync += [place.eq(0), spoiled.eq(0), filling.eq(~filling)]
        m.d.sync += full.eq(ends | (full & ~leaves))

        # A window ends where the first voltage crosses zero upwards, after at least 2**window_log2 frames. It ends so
        # many frames later in any case: there, for the first time, the count has all ones of their number.
        window_place = Signal(range(config.window_frames_most + 1))
        beyond = config.window_frames_most - config.window_frames
        negative, negative_before = Signal(reset_less=True), Signal()
        latest = Cat(window_place[n] for n in range(config.window_log2) if beyond >> n & 1).all()
        window_ends = window_place[config.window_log2] & (latest | (negative_before & ~negative))
        with m.If(taken & (place == 0)):
            m.d.sync += negative.eq(self.i.payload.data[-1])
        with m.If(ends & good):
            m.d.sync += [negative_before.eq(negative), window_place.eq(window_place + 1)]
            with m.If(window_ends):
                m.d.sync += window_place.eq(0)
        with m.If(ends):
            m.d.sync += [
                self.o.payload.ok.eq(good),
                self.o.payload.window.eq(good & window_ends),
                self.o.payload.late.eq(window_place[config.window_log2]),
            ]

        # At an end of its range a sample has all bits alike but for the sign. Four bits a step, which are kept: as one
        # expression the synthesis makes two of it, one for each end, twice as large.
        sample = Cat(read.data[:-1], ~read.data[-1])
        alike = [Signal(name=f"alike_{n}", attrs={"keep": 1}) for n in range(0, len(sample) - 1, 3)]
        for n, each in enumerate(alike):
            bits = sample[3 * n : 3 * n + 4]
            m.d.comb += each.eq(bits.all() | ~bits.any())

        m.d.comb += [
            read.addr.eq(Cat(channel, ~filling)),
            self.o.payload.channel.eq(channel),
            self.o.payload.data.eq(read.data),
            self.o.payload.clip.eq(Cat(alike).all()),
        ]
        counted = read.data[:LIMB_BITS] + 1
        with m.FSM():
            with m.State("READ"):
                m.d.sync += limb.eq(0)
                with m.If(self.records.valid):
                    m.d.comb += read.addr.eq(Cat(self.records.word, Const(1 << limbs - 3)))
                    m.next = "ACCESS"
                    with m.If(self.records.write):
                        m.next = "PRESET"
                with m.Elif(full):
                    m.next = "SHOW"
            with m.State("SHOW"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.d.sync += channel.eq(channel + 1)
                    m.next = "READ"
                    with m.If(channel == config.last_channel):
                        m.d.comb += leaves.eq(1)
                        m.d.sync += [channel.eq(0), limb[2].eq(~self.o.payload.ok)]
                        m.next = "COUNT"
            with m.State("COUNT"):
                m.d.comb += read.addr.eq(Cat(limb, Const(1 << limbs - 3)))
                m.next = "STORE"
            with m.State("STORE"):
                m.d.comb += [counting.eq(1), write.data[:LIMB_BITS].eq(counted)]
                m.d.sync += limb.eq(limb + 1)
                m.next = "READ"
                with m.If(counted[LIMB_BITS] & ~limb[1]):
                    m.next = "COUNT"
            with m.State("ACCESS"):
                m.d.comb += self.records.ready.eq(1)
                m.next = "NEXT WORD"
            with m.State("NEXT WORD"):
                m.d.comb += read.addr.eq(Cat(self.records.word, Const(1 << limbs - 3)))
                m.next = "ACCESS"
                with m.If(~self.records.valid):
                    m.next = "READ"
            with m.State("PRESET"):
                words = Cat(self.records.wdata.accumulator, self.records.wdata.count)
                m.d.comb += [counting.eq(1), write.data[:LIMB_BITS].eq(words.word_select(limb, LIMB_BITS))]
                m.d.sync += limb.eq(limb + 1)
                with m.If(limb.all()):
                    m.next = "PRESET DONE"
            with m.State("PRESET DONE"):
                m.d.comb += self.records.ready.eq(1)
                with m.If(~self.records.valid):
                    m.next = "READ"
        m.d.comb += [
            self.records.rdata.accumulator.eq(read.data[:LIMB_BITS].replicate(COUNTER_BITS // LIMB_BITS)),
            self.records.rdata.count.eq(read.data[:LIMB_BITS].replicate(COUNTER_BITS // LIMB_BITS)),
        ]
        return m

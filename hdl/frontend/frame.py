"""Frame input: samples become frames, whole and in order, or are counted as lost."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from blondel.hdl.config import MeterConfig
from blondel.hdl.items import channel_item, sample_item
from blondel.hdl.link.record import RecordSignature

__all__ = ["COUNTER_BITS", "Frame"]

#: Width of the frame counters, unsigned: nine years at 1 MHz, then they roll over.
COUNTER_BITS = 48


class Frame(wiring.Component):
    """Collect the channels of one sampling instant, and let them go on only as a whole.

    A frame ends with the sample that is marked ``last``. It is valid if all of its channels came, none
    too many, and every sample is ``ok``. An invalid one is counted, and goes on as items that are not
    ``ok``: it is never metered, but time goes on. So a source that missed a sampling instant sends a
    single bad sample marked ``last`` in its place.

    One frame is collected while another leaves: the input waits only while two wait to leave.

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
        the frame has left. Writing it moves no window.

    Attributes
    ----------
    latency : int
        Clocks from the acceptance of a frame's last sample to its first item's being valid; one more
        clock for each further item.
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
        bits = config.sample_bits
        m.submodules.memory = memory = Memory(
            shape=signed(bits), depth=2 << config.channel_bits, init=[], attrs={"ram_style": "block"}
        )
        read, write = memory.read_port(), memory.write_port()

        # Two buffers: one fills while the other drains.
        full, valid = Signal(2), Signal(2)
        filling, draining = Signal(), Signal()

        place = Signal(config.channel_bits)
        spoiled = Signal()
        m.d.comb += [
            self.i.ready.eq(~full.bit_select(filling, 1)),
            write.addr.eq(Cat(place, filling)),
            write.data.eq(self.i.payload.data),
            write.en.eq(self.i.valid & self.i.ready),
        ]
        at_end = place == config.last_channel
        with m.If(self.i.valid & self.i.ready):
            with m.If(self.i.payload.last):
                m.d.sync += [
                    place.eq(0),
                    spoiled.eq(0),
                    full.bit_select(filling, 1).eq(1),
                    valid.bit_select(filling, 1).eq(at_end & self.i.payload.ok & ~spoiled),
                    filling.eq(~filling),
                ]
            with m.Else():
                # What comes too much stays on the last channel's place, and makes the frame invalid.
                m.d.sync += spoiled.eq(spoiled | at_end | ~self.i.payload.ok)
                with m.If(~at_end):
                    m.d.sync += place.eq(place + 1)

        channel = Signal(config.channel_bits)
        # A window ends where the first voltage crosses zero upwards, after at least 2**window_log2 frames.
        window_place = Signal(range(config.window_frames_most + 1))
        negative, negative_before = read.data[-1], Signal()
        first = channel == 0
        ends, ended = Signal(), Signal()
        frames, lost = Signal(COUNTER_BITS), Signal(COUNTER_BITS)
        ok = valid.bit_select(draining, 1)
        counts = Signal()
        m.d.comb += [
            read.addr.eq(Cat(channel, draining)),
            self.o.payload.channel.eq(channel),
            self.o.payload.ok.eq(ok),
            ends.eq(
                (window_place[config.window_log2] & negative_before & ~negative)
                | (window_place == config.window_frames_most)
            ),
            self.o.payload.window.eq(ok & Mux(first, ends, ended)),
            self.o.payload.clip.eq((read.data == (1 << (bits - 1)) - 1) | (read.data == -(1 << (bits - 1)))),
            self.o.payload.data.eq(read.data),
        ]
        with m.FSM():
            with m.State("IDLE"), m.If(full.bit_select(draining, 1)):
                m.next = "OUTPUT"
            with m.State("OUTPUT"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    with m.If(first & ok):
                        m.d.sync += [negative_before.eq(negative), ended.eq(ends)]
                    with m.If(channel == config.last_channel):
                        m.d.comb += counts.eq(1)
                        m.d.sync += [
                            channel.eq(0),
                            full.bit_select(draining, 1).eq(0),
                            draining.eq(~draining),
                        ]
                        with m.If(ok):
                            m.d.sync += window_place.eq(Mux(ended, 0, window_place + 1))
                        m.next = "IDLE"
                    with m.Else():
                        # The next channel is read in this clock.
                        m.d.comb += read.addr.eq(Cat((channel + 1)[: config.channel_bits], draining))
                        m.d.sync += channel.eq(channel + 1)

        m.d.comb += [
            self.records.ready.eq(~counts),
            self.records.rdata.accumulator.eq(frames),
            self.records.rdata.count.eq(lost),
        ]
        with m.If(counts):
            m.d.sync += [frames.eq(frames + ok), lost.eq(lost + ~ok)]
        with m.Elif(self.records.valid & self.records.write):
            m.d.sync += [frames.eq(self.records.wdata.accumulator), lost.eq(self.records.wdata.count)]
        return m

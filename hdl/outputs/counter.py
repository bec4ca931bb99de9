"""Counter drive: counts become pulses that an electromechanical counter can follow."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from blondel.hdl.config import MeterConfig
from blondel.hdl.link.record import RecordSignature
from blondel.hdl.outputs.pulses import EdgeQueue, count_item

__all__ = ["CounterDrive"]


class CounterDrive(wiring.Component):
    """Drive the counter once for each count, for a fixed time, with a gap after it.

    A count that comes during a pulse or its gap waits; none is lost.

    Parameters
    ----------
    config : MeterConfig
        Uses ``queue_bits``, ``counter_on_s``, ``counter_gap_s``.

    Members
    -------
    i : In(stream of count_item)
        One for each frame, valid or not: time is counted in frames. Always ready.
    counter : Out(1)
        1 drives the counter. Straight from a flip-flop.
    frame : Out(1)
        1 in the clock after a frame's item: ``counter``, and the outputs of the stages before this one,
        show the frame.
    records : In(RecordSignature(1))
        ``accumulator``: counts that wait; ``count``: counts driven, each from its pulse's start on; both
        unsigned(queue_bits). Writing it ends a pulse; the next may follow at once. The index means
        nothing.

    Attributes
    ----------
    latency : int
        Clocks from an item's acceptance to ``frame``.
    """

    latency = 1

    def __init__(self, config: MeterConfig):
        self._config = config
        super().__init__(
            {
                "i": In(stream.Signature(count_item())),
                "counter": Out(1),
                "frame": Out(1),
                "records": In(RecordSignature(1)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        config = self._config
        on, gap = config.frames_in(config.counter_on_s), config.frames_in(config.counter_gap_s)
        m.submodules.queue = queue = EdgeQueue(config.queue_bits, 1, on + gap)
        driven = Signal(config.queue_bits)
        m.d.comb += [
            self.i.ready.eq(1),
            queue.step.eq(self.i.valid),
            queue.unit.eq(self.i.payload.count),
            queue.write.eq(self.records.valid & self.records.ready & self.records.write),
            queue.value.eq(self.records.wdata.accumulator),
            self.records.ready.eq(~self.i.valid),
            self.records.rdata.accumulator.eq(queue.waiting),
            self.records.rdata.count.eq(driven),
        ]
        m.d.sync += self.frame.eq(self.i.valid)
        with m.If(queue.edge):
            m.d.sync += [self.counter.eq(1), driven.eq(driven + 1)]
        with m.Elif(queue.step & (queue.timer == gap)):
            m.d.sync += self.counter.eq(0)
        with m.Elif(queue.write):
            m.d.sync += [self.counter.eq(0), driven.eq(self.records.wdata.count)]
        return m

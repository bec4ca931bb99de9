"""Pulse outputs: energy in ticks becomes edges that hold their levels long enough to be seen."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from blondel.hdl.config import MeterConfig
from blondel.hdl.items import frame_item
from blondel.hdl.link.record import RecordSignature

__all__ = ["HALF_PULSES", "EdgeQueue", "PulseOutputs", "count_item", "shortest_frames"]

#: Half pulses of Output 10 in one pulse of Output 1000: with them the levels repeat.
HALF_PULSES = 2 * 100


def count_item() -> data.StructLayout:
    """Return the layout of a frame's end on its way to the counter: every frame has one.

    ``count`` : 1 where the counter has to advance.
    """
    return data.StructLayout({"count": 1})


def shortest_frames(config: MeterConfig) -> tuple[int, int]:
    """Return the fewest frames between two edges of Output 10 and of the test pulse.

    A test pulse of less energy than a pulse of Output 10 may be shorter in proportion: so it does not
    fall behind, and its rate shows the power, at any load that Output 10 can follow.
    """
    part = min(1.0, config.test_kh_wh / config.pulse_wh)
    return config.frames_in(config.pulse_min_s), config.frames_in(config.pulse_min_s * part)


class EdgeQueue(wiring.Component):
    """Units of energy wait until they make an edge, and edges keep their distance; no unit is lost.

    ``units received == waiting + units × edges`` holds after every frame.

    Parameters
    ----------
    width : int
        Bits of ``waiting``, enough for all units that may ever wait.
    units : int
        Units of an edge, 1 or more.
    distance : int
        Fewest frames from an edge to the next, 1 or more.

    Members
    -------
    step : In(1)
        A frame: time goes on.
    unit : In(1)
        The frame brings a unit.
    edge : Out(1)
        The frame has an edge. Combinational, from ``step`` and ``unit``.
    late : Out(1)
        After the frame, there is enough for another edge, which has to wait. Combinational.
    waiting : Out(width)
        Units that have not made an edge, unsigned.
    timer : Out(range(distance))
        Frames, after the last one, that can have no edge.
    write : In(1)
        Start from ``value`` units, with an edge possible at once; not together with ``step``.
    value : In(width)
    """

    def __init__(self, width: int, units: int, distance: int):
        self._width = width
        self._units = units
        self._distance = distance
        super().__init__(
            {
                "step": In(1),
                "unit": In(1),
                "edge": Out(1),
                "late": Out(1),
                "waiting": Out(width),
                "timer": Out(range(distance)),
                "write": In(1),
                "value": In(width),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        units = self._units
        change = Signal(signed(units.bit_length() + 1))
        # Is there enough for one edge, for two? Only the low bits are compared, the others are just zero or not.
        bits = (2 * units - 1).bit_length()
        low = self.waiting[:bits] + self.unit
        high = self.waiting[bits:].any()
        one, two = high | (low >= units), high | (low >= 2 * units)
        m.d.comb += [
            self.edge.eq(self.step & (self.timer == 0) & one),
            self.late.eq(self.step & Mux(self.edge, two, one)),
            change.eq(Mux(self.edge, Mux(self.unit, 1 - units, -units), self.unit)),
        ]
        with m.If(self.step):
            m.d.sync += self.waiting.eq(self.waiting + change)
            with m.If(self.edge):
                m.d.sync += self.timer.eq(self._distance - 1)
            with m.Elif(self.timer != 0):
                m.d.sync += self.timer.eq(self.timer - 1)
        with m.Elif(self.write):
            m.d.sync += [self.waiting.eq(self.value), self.timer.eq(0)]
        return m


class Levels(wiring.Component):
    """Count the half pulses of Output 10, and show the count as the levels of the three outputs.

    Members
    -------
    edge : In(1)
        One half pulse more.
    write : In(1)
        Start from ``value`` half pulses; not together with ``edge``.
    value : In(range(HALF_PULSES))
    half : Out(range(HALF_PULSES))
        Half pulses, modulo those of a pulse of Output 1000.
    next_half : Out(range(HALF_PULSES))
        What ``half`` becomes with an edge, or when written. Combinational.
    output_10, output_100, output_1000 : Out(1)
        1 in every second half pulse, every second ten and every second hundred of them. Straight from
        flip-flops.
    """

    def __init__(self):
        super().__init__(
            {
                "edge": In(1),
                "write": In(1),
                "value": In(range(HALF_PULSES)),
                "half": Out(range(HALF_PULSES)),
                "next_half": Out(range(HALF_PULSES)),
                "output_10": Out(1),
                "output_100": Out(1),
                "output_1000": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        with m.If(self.write):
            m.d.comb += self.next_half.eq(self.value)
        with m.Elif(self.half != HALF_PULSES - 1):
            m.d.comb += self.next_half.eq(self.half + 1)
        with m.If(self.edge | self.write):
            m.d.sync += [
                self.half.eq(self.next_half),
                self.output_10.eq(self.next_half[0]),
                self.output_100.eq(self.next_half.matches(*(n for n in range(HALF_PULSES) if n // 10 % 2))),
                self.output_1000.eq(self.next_half >= HALF_PULSES // 2),
            ]
        return m


class PulseOutputs(wiring.Component):
    """Turn ticks of delivered energy into the edges of Output 10, 100 and 1000 and of the test pulse.

    Half a pulse is on and half is off, by energy. One count of half pulses drives the three outputs, so
    that each edge of Output 100 coincides with one of Output 10, and each of Output 1000 with one of
    Output 100. An edge that comes too early waits, with its energy; none is lost.

    Parameters
    ----------
    config : MeterConfig
        Uses ``queue_bits``, ``pulse_half_ticks``, ``test_half_ticks``, ``counter_half_pulses``,
        ``pulse_min_s``, ``test_kh_wh``, ``pulse_wh``.

    Members
    -------
    i : In(stream of frame_item)
        One for each frame, valid or not: time is counted in frames.
    o : Out(stream of count_item)
        One for each frame; the outputs do not change while it waits.
    output_10, output_100, output_1000 : Out(1)
        Pulse outputs of 1, 10 and 100 times ``pulse_wh``; 1 is on. Straight from flip-flops.
    test : Out(1)
        Test pulse of ``test_kh_wh``. Straight from a flip-flop.
    queued : Out(1)
        Sticky: an edge had to wait because the load exceeds what the shortest pulses allow.
    clear : In(1)
        Clears ``queued`` while high.
    records : In(RecordSignature(1))
        0: ``accumulator``: ticks that wait for Output 10, unsigned(queue_bits); ``count``: half pulses
        emitted, 0 to 199. 1: likewise of the test pulse, ``count`` 0 to 1. Writing one sets the levels;
        the next edge may follow at once.

    Attributes
    ----------
    latency : int
        Clocks from an item's acceptance to its successor's being valid, with the outputs settled.
    """

    latency = 1

    def __init__(self, config: MeterConfig):
        self._config = config
        super().__init__(
            {
                "i": In(stream.Signature(frame_item())),
                "o": Out(stream.Signature(count_item())),
                "output_10": Out(1),
                "output_100": Out(1),
                "output_1000": Out(1),
                "test": Out(1),
                "queued": Out(1),
                "clear": In(1),
                "records": In(RecordSignature(1)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        config = self._config
        shortest, shortest_test = shortest_frames(config)
        m.submodules.queue = queue = EdgeQueue(config.queue_bits, config.pulse_half_ticks, shortest)
        m.submodules.test_queue = test_queue = EdgeQueue(config.queue_bits, config.test_half_ticks, shortest_test)

        step = Signal()
        write = Signal()
        m.d.comb += [
            self.i.ready.eq(~self.o.valid),
            step.eq(self.i.valid & self.i.ready),
            self.records.ready.eq(~self.o.valid & ~self.i.valid),
            write.eq(self.records.valid & self.records.ready & self.records.write),
            self.records.rdata.accumulator.eq(Mux(self.records.index, test_queue.waiting, queue.waiting)),
        ]
        for index, each in enumerate((queue, test_queue)):
            m.d.comb += [
                each.step.eq(step),
                each.unit.eq(self.i.payload.tick),
                each.write.eq(write & (self.records.index == index)),
                each.value.eq(self.records.wdata.accumulator),
            ]

        m.submodules.levels = levels = Levels()
        m.d.comb += [
            levels.edge.eq(queue.edge),
            levels.write.eq(queue.write),
            levels.value.eq(self.records.wdata.count),
            self.output_10.eq(levels.output_10),
            self.output_100.eq(levels.output_100),
            self.output_1000.eq(levels.output_1000),
            self.records.rdata.count.eq(Mux(self.records.index, self.test, levels.half)),
        ]
        with m.If(test_queue.write):
            m.d.sync += self.test.eq(self.records.wdata.count[0])
        with m.Elif(test_queue.edge):
            m.d.sync += self.test.eq(~self.test)

        with m.If(self.clear):
            m.d.sync += self.queued.eq(0)
        with m.Elif(queue.late | test_queue.late):
            m.d.sync += self.queued.eq(1)

        counts = levels.next_half.matches(*range(0, HALF_PULSES, config.counter_half_pulses))
        with m.If(step):
            m.d.sync += [self.o.valid.eq(1), self.o.payload.count.eq(queue.edge & counts)]
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        return m

"""Pulse outputs and counter drive: ticks of energy become edges that hold their levels long enough to be seen."""

from __future__ import annotations

from types import SimpleNamespace

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import enum, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from blondel.hdl.config import MeterConfig
from blondel.hdl.fixed import signed_width
from blondel.hdl.items import frame_item
from blondel.hdl.link.record import RecordSignature

__all__ = ["HALF_PULSES", "LEVELS", "EventSignature", "PulseOutputs", "Queue", "shortest_frames"]

#: A meter's outputs.
LEVELS = ("output_10", "output_100", "output_1000", "test", "counter", "queued")
#: Half pulses of Output 10 in one pulse of Output 1000: with them the levels repeat.
HALF_PULSES = 2 * 100


def shortest_frames(config: MeterConfig) -> tuple[int, int]:
    """Return the fewest frames between two edges of Output 10 and of the test pulse.

    A test pulse of less energy than a pulse of Output 10 may be shorter in proportion: so it does not
    fall behind, and its rate shows the power, at any load that Output 10 can follow.
    """
    part = min(1.0, config.test_kh_wh / config.pulse_wh)
    return config.frames_in(config.pulse_min_s), config.frames_in(config.pulse_min_s * part)


class Queue(enum.IntEnum, shape=2):
    """Where the memory has the words of each queue; the records' index, of a meter."""

    OUTPUT_10 = 0
    TEST = 1
    COUNTER = 2
    #: The counter's constants while it is driven: its next edge ends the pulse. In place of the timer, where there are
    #: several meters: the levels of a meter's outputs.
    COUNTER_DRIVEN = 3


class Word(enum.IntEnum, shape=5):
    """Words of a queue. Constants are negative: they are added to be subtracted.

    Each meter has the first three; in place of a fourth one there are the constants, which are the same for all: two
    bits of theirs are ones, and the three above them stand where a meter's number does.
    """

    #: Frames, after the last one, that can have no edge; negative.
    TIMER = 0
    #: Units that have not made an edge.
    WAITING = 1
    #: Half pulses emitted, or counts driven.
    COUNT = 2
    #: Units of an edge.
    UNITS = 3
    #: Frames from an edge to the next that can have none.
    DISTANCE = 7
    #: Where the count begins again.
    MODULUS = 11
    #: Half pulses, to find the levels of Outputs 100 and 1000. Of the queue of Output 10 only.
    HUNDRED = 15
    EIGHTY = 19
    FORTY = 23
    TWENTY = 27
    TEN = 31


class Step(enum.IntEnum, shape=4):
    """Steps of a queue's turn, one a clock; each but the first works on the word that the one before reads."""

    START = 0
    #: The timer: may there be an edge?
    BLOCKED = 1
    #: What waits, and the frame's unit.
    ARRIVE = 2
    #: An edge, if there is enough for one.
    TAKE = 3
    #: Is there enough for another?
    LATE = 4
    #: A frame less for the timer.
    TIME = 5
    #: The timer starts anew with an edge.
    RESTART = 6
    KEEP_TIMER = 7
    #: One more, with an edge.
    COUNT = 8
    ROLL_OVER = 9
    #: The end of the turn, but for Output 10, whose half pulses are taken apart.
    KEEP_COUNT = 10
    EIGHTY = 11
    FORTY = 12
    TWENTY = 13
    SHOW = 14
    #: Between turns; a record is shown. After a turn the levels are kept, where there are several meters.
    IDLE = 15


#: The word that each step reads for its successor.
READS = {
    Step.START: Word.TIMER,
    Step.BLOCKED: Word.WAITING,
    Step.ARRIVE: Word.UNITS,
    Step.TAKE: Word.UNITS,
    Step.LATE: Word.TIMER,
    Step.TIME: Word.DISTANCE,
    Step.KEEP_TIMER: Word.COUNT,
    Step.COUNT: Word.MODULUS,
    Step.ROLL_OVER: Word.HUNDRED,
    Step.KEEP_COUNT: Word.EIGHTY,
    Step.EIGHTY: Word.FORTY,
    Step.FORTY: Word.TWENTY,
    Step.TWENTY: Word.TEN,
}


class EventSignature(wiring.Signature):
    """The event stream, from the side that has the outputs: who takes it is always ready.

    Parameters
    ----------
    config : MeterConfig
        Gives the number of meters.

    Members
    -------
    valid : Out(1)
        An output of a meter has changed: for one clock, before the ``frame`` after which it shows.
    meter : Out
        Which meter.
    levels : Out(6)
        All levels of its outputs, in the order of :data:`LEVELS`: an event that was missed is made good by the next.
    """

    def __init__(self, config: MeterConfig):
        super().__init__({"valid": Out(1), "meter": Out(max(1, config.meter_bits)), "levels": Out(len(LEVELS))})


class PulseOutputs(wiring.Component):
    """Turn ticks of each meter's delivered energy into pulses, and pulses into counts of its electromechanical counter.

    Units of energy wait in a queue until they make an edge, and edges keep their distance; no unit is
    lost: ``units received == waiting + units of an edge × edges`` holds after every frame. There are
    three queues for each meter. Half a pulse of Output 10 is on and half is off, by energy. One count of half pulses
    drives Outputs 10, 100 and 1000, so that each edge of Output 100 coincides with one of Output 10, and
    each of Output 1000 with one of Output 100. The test pulse is likewise. The counter is driven once for
    each count, for a fixed time, with a gap after it: its queue's falling edges take no unit.

    The queues' words are in block RAM, with the constants beside them. Each frame one adder, which adds
    the word that the memory shows to ``result``, passes over a meter's queues: the test pulse's, that of Output
    10, then the counter's, whose unit comes from the one before. Then comes the next meter's turn.

    Parameters
    ----------
    config : MeterConfig
        Uses ``meter_elements``, ``meter_bits``, ``queue_bits``, ``pulse_half_ticks``, ``test_half_ticks``,
        ``counter_half_pulses``, ``pulse_min_s``, ``test_kh_wh``, ``pulse_wh``, ``counter_on_s``, ``counter_gap_s``.
    shown : int or None
        Meters, from the first one on, whose outputs are at the ports. Default: all.

    Members
    -------
    i : In(stream of frame_item)
        One for each meter in every frame, valid or not: time is counted in frames.
    output_10, output_100, output_1000 : Out(shown)
        Pulse outputs of 1, 10 and 100 times ``pulse_wh``, a bit for each meter; 1 is on. Straight from flip-flops; a
        meter's change in the same clock.
    test : Out(shown)
        Test pulse of ``test_kh_wh``. Straight from flip-flops.
    counter : Out(shown)
        1 drives the counter. Straight from flip-flops.
    queued : Out(shown)
        Sticky: an edge of a pulse had to wait because the load exceeds what the shortest pulses allow.
    any_queued : Out(1)
        Sticky: that of any meter, at the port or not.
    event : Out(EventSignature(config))
        The levels of a meter that have changed, at the end of its turn or of a preset. Of several meters only.
    clear : In(1)
        Clears ``queued`` and ``any_queued`` while high; ``queued`` of several meters with the next frame.
    frame : Out(1)
        For one clock after each frame: all outputs show it.
    records : In(RecordSignature(2 + meter_bits))
        Index: :class:`Queue`, and above it the meter.
        ``accumulator``: units that wait, unsigned(queue_bits). 0: ticks, for Output 10; ``count``: half
        pulses emitted, 0 to 199. 1: likewise of the test pulse, ``count`` 0 to 1. 2: counts that wait for the
        counter; ``count``: counts driven, each from its pulse's start on, unsigned(queue_bits). Accesses
        take place between frames. Writing one sets the levels, ends a pulse of the counter, and the next
        edge may follow at once.

    Attributes
    ----------
    latency : int
        Clocks from an item's acceptance to ``frame``; the next item may be accepted in the same clock. With several
        meters one more.
    memory : Memory
        The queues: word ``4 × w + q`` has word ``w`` of queue ``q``, of the first meter; the other meters' are 16 words
        further each.
    internals : SimpleNamespace
        After elaboration, for proofs: the registers of a queue's turn, and the memory's ports.
    """

    latency = 3 * (Step.KEEP_COUNT + 1) + (Step.SHOW - Step.KEEP_COUNT) + 1

    def __init__(self, config: MeterConfig, shown: int | None = None):
        self._config = config
        self._shown = shown = len(config.meter_elements) if shown is None else shown
        shortest, shortest_test = shortest_frames(config)
        on, gap = config.frames_in(config.counter_on_s), config.frames_in(config.counter_gap_s)
        counts = 1 << config.queue_bits
        constants = {
            Word.UNITS: (config.pulse_half_ticks, config.test_half_ticks, 1, 0),
            Word.DISTANCE: (shortest - 1, shortest_test - 1, on - 1, gap - 1),
            Word.MODULUS: (HALF_PULSES, 2, counts, counts),
            Word.HUNDRED: (100,),
            Word.EIGHTY: (80,),
            Word.FORTY: (40,),
            Word.TWENTY: (20,),
            Word.TEN: (10,),
        }
        meters = len(config.meter_elements)
        words = [0] * (16 * max(8, meters))
        for word, values in constants.items():
            for queue, value in enumerate(values):
                words[len(Queue) * word + queue] = -value
        self.memory = Memory(
            shape=signed(max(signed_width(-word) for word in words)),
            depth=len(words),
            init=words,
            attrs={"ram_style": "block"},
        )
        super().__init__(
            {
                "i": In(stream.Signature(frame_item())),
                **{name: Out(shown) for name in LEVELS},
                "any_queued": Out(1),
                "event": Out(EventSignature(config)),
                "clear": In(1),
                "frame": Out(1),
                "records": In(RecordSignature(2 + config.meter_bits)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        config, records = self._config, self.records
        several = len(config.meter_elements) > 1
        m.submodules.memory = self.memory
        read, write = self.memory.read_port(), self.memory.write_port()
        # A count begins again before it is as wide as a word.
        accumulator, count = records.wdata.accumulator[: config.queue_bits], records.wdata.count[: len(read.data) - 1]

        step, queue = Signal(Step, init=Step.IDLE), Signal(Queue, reset_less=True)
        read_word, write_word = Signal(Word), Signal(Word)
        read_queue, write_queue = Signal(Queue), Signal(Queue)
        # A record is accessed, or was until now; it is written.
        access, preset = Signal(), Signal()
        # The queue has a unit in this frame; its timer runs; it has an edge; the counter's ends a pulse.
        unit, blocked, edge = (Signal(name=name, reset_less=True) for name in ("unit", "blocked", "edge"))
        driven = Signal()
        # The meter whose turn it is, or comes; whose words are used. The levels of its outputs: of a single meter they
        # are the outputs themselves; of several they are taken from the memory before a turn, and kept after it.
        meter = Signal(config.meter_bits) if several else Const(0, 0)
        of = Mux(access, records.index[2:], meter) if several else meter
        level = {name: Signal(name=name) if several else getattr(self, name) for name in LEVELS}
        keep = Signal()
        # The next level of Output 1000; the last step of the queue's turn.
        next_1000, last = Signal(reset_less=True), Signal()

        result, added = Signal.like(read.data, reset_less=True), Signal.like(read.data)
        add, clear, carry = Signal(), Signal(), Signal()
        # After the addition of a negative constant.
        enough = ~added[-1]
        with m.If(clear):
            m.d.sync += result.eq(0)
        with m.Elif(add):
            m.d.sync += result.eq(added)
        m.d.comb += [
            # A carry in, without a second adder. It is added to 1, not to itself: a carry cell that has one net at two
            # inputs makes nextpnr-ice40 route without end at times (its issue 1341).
            added.eq((Cat(carry, result) + Cat(Const(1, 1), read.data)) >> 1),
            preset.eq(access & records.write),
            driven.eq(level["counter"] & (queue == Queue.COUNTER)),
            read_queue.eq(Cat(queue[0] | (driven & read_word[:2].all()), queue[1])),
            read.addr.eq(Cat(read_queue, read_word[:2], Mux(read_word[:2].all(), read_word[2:], of))),
            write.addr.eq(Cat(write_queue, write_word[:2], of)),
            write_queue.eq(queue),
            write.data.eq(result),
            records.rdata.accumulator.eq(read.data[:-1]),
            records.rdata.count.eq(read.data[:-1]),
        ]
        with m.Switch(step):
            for each, word in READS.items():
                with m.Case(each):
                    m.d.comb += read_word.eq(word)
            with m.Case(Step.IDLE):
                m.d.comb += read_word.eq(Mux(records.word[2], Word.COUNT, Word.WAITING))

        m.d.sync += [step.eq(step + 1), self.frame.eq(0)]
        with m.Switch(step):
            with m.Case(Step.BLOCKED):
                m.d.comb += clear.eq(1)
                m.d.sync += [blocked.eq(read.data[-1]), edge.eq(0)]
                with m.If(preset):
                    m.d.comb += [write_word.eq(Word.WAITING), write.data.eq(accumulator), write.en.eq(1)]
            with m.Case(Step.ARRIVE):
                m.d.comb += [carry.eq(unit), add.eq(1)]
                with m.If(preset):
                    m.d.comb += [clear.eq(1), write_word.eq(Word.COUNT), write.data.eq(count), write.en.eq(1)]
                    m.d.sync += step.eq(Step.KEEP_TIMER)
            with m.Case(Step.TAKE):
                m.d.comb += add.eq(enough & ~blocked)
                m.d.sync += edge.eq(add)
            with m.Case(Step.LATE):
                m.d.comb += [clear.eq(1), write_word.eq(Word.WAITING), write.en.eq(1)]
                with m.If(enough & (queue != Queue.COUNTER)):
                    m.d.sync += level["queued"].eq(1)
            with m.Case(Step.TIME):
                m.d.comb += [carry.eq(blocked), add.eq(1)]
            with m.Case(Step.RESTART):
                m.d.comb += add.eq(edge)
            with m.Case(Step.KEEP_TIMER):
                m.d.comb += [clear.eq(1), write_word.eq(Word.TIMER), write.en.eq(1)]
            with m.Case(Step.COUNT):
                m.d.comb += [carry.eq(edge & ~driven), add.eq(1)]
            with m.Case(Step.ROLL_OVER, Step.EIGHTY, Step.FORTY, Step.TWENTY):
                m.d.comb += add.eq(enough)
            with m.Case(Step.KEEP_COUNT):
                m.d.comb += [
                    add.eq(enough),
                    write_word.eq(Word.COUNT),
                    write.en.eq(1),
                    last.eq(queue != Queue.OUTPUT_10),
                ]
                m.d.sync += next_1000.eq(enough)
                with m.If(queue == Queue.TEST):
                    m.d.sync += level["test"].eq(result[0])
                with m.If(queue == Queue.COUNTER):
                    m.d.sync += level["counter"].eq((level["counter"] ^ edge) & ~preset)
                    if not several:
                        m.d.sync += self.frame.eq(~access)
            with m.Case(Step.SHOW):
                m.d.comb += last.eq(1)
                levels = [level[name] for name in ("output_10", "output_100", "output_1000")]
                next_levels = (result[0], enough, next_1000)
                m.d.sync += [each.eq(next_level) for each, next_level in zip(levels, next_levels, strict=True)]
                # A count is a pulse of Output 100 or of Output 1000, at its end.
                counted = {20: 1, HALF_PULSES: 2}[config.counter_half_pulses]
                m.d.sync += unit.eq(levels[counted] & ~next_levels[counted])
            with m.Case(Step.IDLE):
                m.d.comb += self.i.ready.eq(~records.valid & ~keep)
                m.d.sync += [
                    step.eq(Step.IDLE),
                    access.eq(records.valid),
                    records.ready.eq(records.valid & access & ~records.ready),
                    unit.eq(self.i.payload.tick & ~records.valid),
                ]
                with m.If(records.valid & ~access):
                    m.d.sync += queue.eq(records.index)
                    with m.If(records.write):
                        m.d.sync += step.eq(Step.BLOCKED)
                with m.Elif(self.i.valid & self.i.ready):
                    m.d.sync += [queue.eq(Queue.TEST), step.eq(Step.START)]
        with m.If(last):
            with m.If(preset | (queue == Queue.COUNTER)):
                m.d.sync += step.eq(Step.IDLE)
            with m.Else():
                m.d.sync += [queue.eq(Mux(queue == Queue.TEST, Queue.OUTPUT_10, Queue.COUNTER)), step.eq(Step.START)]
        if not several:
            m.d.comb += self.any_queued.eq(self.queued)
            with m.If(self.clear):
                m.d.sync += self.queued.eq(0)
        else:
            # The frame ends with this turn, or did with the last one. Sticky levels are cleared in the next frame, or
            # in this one.
            ends, clearing, cleared = Signal(init=1), Signal(), Signal()
            levels = Cat(level.values())
            kept = Signal.like(levels)
            with m.If((step == Step.IDLE) & ~access | (step == Step.BLOCKED) & preset):
                m.d.comb += [read_queue.eq(Queue.COUNTER_DRIVEN), read_word.eq(Word.TIMER)]
            with m.If((step == Step.START) & (queue == Queue.TEST) | (step == Step.ARRIVE) & preset):
                m.d.sync += [
                    levels.eq(Cat(read.data[: len(levels) - 1], read.data[len(levels) - 1] & ~cleared)),
                    kept.eq(read.data),
                ]
            with m.If(self.i.valid & self.i.ready):
                m.d.sync += ends.eq(self.i.payload.last)
                with m.If(ends):
                    m.d.sync += [cleared.eq(clearing), clearing.eq(0)]
            m.d.sync += keep.eq(last & (preset | (queue == Queue.COUNTER)))
            m.d.comb += [
                self.event.valid.eq(keep & (levels != kept)), self.event.meter.eq(of), self.event.levels.eq(levels)
            ]  # fmt: skip
            with m.If(keep):
                m.d.comb += [
                    write_queue.eq(Queue.COUNTER_DRIVEN), write_word.eq(Word.TIMER), write.data.eq(levels),
                    write.en.eq(1),
                ]  # fmt: skip
                with m.If(level["queued"]):
                    m.d.sync += self.any_queued.eq(1)
                with m.If(of < self._shown):
                    for name, each in level.items():
                        m.d.sync += getattr(self, name).bit_select(of, 1).eq(each)
            with m.If(keep & ~access):
                m.d.sync += [meter.eq(Mux(ends, 0, meter + 1)), self.frame.eq(ends)]
            with m.If(self.clear):
                m.d.sync += [clearing.eq(1), self.any_queued.eq(0)]

        self.internals = SimpleNamespace(
            step=step, queue=queue, access=access, unit=unit, blocked=blocked, edge=edge, next_1000=next_1000,
            result=result, read=read, write=write,
        )  # fmt: skip
        return m

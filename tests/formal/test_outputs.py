"""No output edge without its energy, no energy without its edge: proven for every load and every preset.

Ghost registers keep the books, one for each movement of a unit; each lemma says that two of them differ by what
one place holds, which is proven by induction over one clock at any width. Each proof stands beside deliberately
broken hardware that it must refuse, with a run that shows why.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from amaranth.hdl import Array, Assert, Assume, Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from prove import Verdict, mutant, prove, refute

from blondel.hdl.config import MeterConfig
from blondel.hdl.outputs import pulses


@dataclass(frozen=True)
class Scales:
    """What PulseOutputs needs of a configuration, at a small scale; times are in frames."""

    queue_bits: int = 3
    pulse_wh: int = 2
    pulse_half_ticks: int = 2
    test_kh_wh: int = 2
    test_half_ticks: int = 2
    counter_half_pulses: int = 20
    pulse_min_s: int = 2
    counter_on_s: int = 1
    counter_gap_s: int = 1
    meter_elements: tuple[int, ...] = (1,)
    meter_bits: int = 0

    def frames_in(self, frames: float) -> int:
        return int(frames)


@dataclass(frozen=True)
class Search:
    """A search of counterexamples from power-up, with three units waiting in each queue.

    Either frames come without a pause, or presets.
    """

    clocks: int
    presets: bool = False
    #: The timers run, as if the last edge was in the frame before.
    after_edge: bool = False


#: As it is built: queues of 29 bits, 240 frames between the edges of Output 10, counts of 800 frames and 800. And small
#: ones: with a count per 100 Wh, with a frame for everything, and with a count per 1000 Wh.
CONFIGS = {
    "MDNCT-1SC": MeterConfig.for_model("MDNCT-1SC"),
    "small": Scales(pulse_min_s=4, counter_on_s=3, counter_gap_s=2),
    "shortest": Scales(pulse_min_s=1, test_half_ticks=1, counter_half_pulses=200),
}


def pulse_properties(config, module=pulses, *, search=None) -> wiring.Component:
    """Return PulseOutputs with what has to hold of it; records may be read and written at any time.

    Parameters
    ----------
    config : MeterConfig or Scales
    module : module
        Where PulseOutputs is taken from.
    search : Search or None
        For a counterexample: what is seen from outside has to hold, without the lemmas.
    """
    Queue, Step, Word = module.Queue, module.Step, module.Word
    width = config.queue_bits
    modulus_of = (pulses.HALF_PULSES, 2, 1 << width)
    on, gap = config.frames_in(config.counter_on_s), config.frames_in(config.counter_gap_s)

    class PulseProperties(module.PulseOutputs):
        def elaborate(self, platform) -> Module:
            m = super().elaborate(platform)
            inside, records = self.internals, self.records
            step, queue, access, result = inside.step, inside.queue, inside.access, inside.result
            blocked, edge, unit, read = inside.blocked, inside.edge, inside.unit, inside.read

            def claim(condition, *, where=None):
                m.d.comb += Assert(condition if where is None else ~where | condition)

            def lemma(condition, **where):
                if search is None:
                    claim(condition, **where)

            def at(*steps):
                return Cat(step == each for each in steps).any()

            def span(first, last):
                return (step >= first) & (step <= last)

            def word(which, of):
                port = self.memory.read_port(domain="comb")
                m.d.comb += port.addr.eq(len(Queue) * which + of)
                return port.data

            # ---- the surroundings -----------------------------------------------------------------
            # An access goes on until it is answered, and stays what it is while it does.
            value, count_bits = records.wdata, len(read.data) - 1
            asked = Cat(records.index, records.write, value.accumulator[:width], value.count[:count_bits])
            asked_before, valid_before, ready_before = Signal.like(asked), Signal(), Signal()
            index_before, write_before = asked_before[:2], asked_before[2]
            word_before = Signal.like(records.word)
            m.d.sync += [asked_before.eq(asked), word_before.eq(records.word)]
            m.d.sync += [valid_before.eq(records.valid), ready_before.eq(records.ready)]
            m.d.comb += [
                Assume(~valid_before | ready_before | records.valid),
                Assume(~valid_before | ~records.valid | (asked == asked_before)),
                Assume(~valid_before | ~records.valid | ready_before | (records.word == word_before)),
                Assume(records.index <= Queue.COUNTER),
                Assume(records.wdata.count[:count_bits] < Array(modulus_of)[records.index]),
            ]

            # ---- the sequence ---------------------------------------------------------------------
            idle, preset = step == Step.IDLE, access & records.write
            accept = self.i.valid & self.i.ready
            last = at(Step.SHOW) | (at(Step.KEEP_COUNT) & (queue != Queue.OUTPUT_10))
            tick, done = Signal(), Signal(3)
            with m.If(accept):
                m.d.sync += [tick.eq(self.i.payload.tick), done.eq(0)]
            with m.If(last & ~access):
                m.d.sync += done.bit_select(queue, 1).eq(1)
            lemma(queue <= Queue.COUNTER)
            lemma(queue == Queue.OUTPUT_10, where=span(Step.EIGHTY, Step.SHOW))
            lemma(~access | write_before, where=~idle)
            lemma(~access | (step >= Step.KEEP_TIMER), where=~at(Step.BLOCKED, Step.ARRIVE, Step.IDLE))
            lemma(valid_before & ~ready_before & (index_before == queue), where=access & ~idle)
            lemma(idle & access & valid_before & (index_before == queue), where=records.ready)
            lemma(valid_before & (index_before == queue), where=idle & access)
            # Every frame has a turn of each queue, in their order, and then the strobe.
            turns = Array([0b010, 0b000, 0b011])
            lemma(done == turns[queue], where=~idle & ~access)
            claim(done == 0b111, where=self.frame)
            lemma(unit == tick, where=~idle & ~access & (queue != Queue.COUNTER))
            # No word is used that was read while it was written: that of a preset is not.
            claim(inside.write.addr != read.addr, where=inside.write.en & ~(access & at(Step.BLOCKED)))
            # What is read is the record.
            waiting_read, count_read = (
                Array(word(which, q) for q in (Queue.OUTPUT_10, Queue.TEST, Queue.COUNTER))[queue]
                for which in (Word.WAITING, Word.COUNT)
            )
            lemma(read.data == Mux(word_before[2], count_read, waiting_read), where=records.ready & ~write_before)
            lemma(~ready_before, where=records.ready)
            with m.If(records.valid & records.ready & ~records.write):
                with m.If(records.word[2]):
                    claim(records.rdata.count == count_read)
                with m.Else():
                    claim(records.rdata.accumulator == waiting_read)

            if search is not None:
                m.d.comb += Assume(~self.i.valid if search.presets else self.i.valid & ~self.clear & ~records.valid)

            # ---- each queue -----------------------------------------------------------------------
            units_of = (config.pulse_half_ticks, config.test_half_ticks, 1)
            distance_of = (*pulses.shortest_frames(config), on + gap)
            edges_of, stepped_of, written_of = [], [], []
            for q, output in enumerate((self.output_10, self.test, self.counter)):
                units, longest, modulus = units_of[q], distance_of[q] - 1, modulus_of[q]
                timer, waiting, count = (word(which, q) for which in (Word.TIMER, Word.WAITING, Word.COUNT))
                own = (queue == q) & ~idle
                turn, writing = own & ~access, own & preset
                show = turn & last
                # The counter's queue: the edge ends a pulse.
                driven = self.counter if q == Queue.COUNTER else Const(0, 1)
                rise = edge & ~driven
                taken_units = Mux(rise, units, 0)
                restart = -Mux(driven, gap - 1, on - 1) if q == Queue.COUNTER else -longest

                # What the steps find. The words change when they are written.
                for each, value in (
                    (Word.UNITS, units), (Word.MODULUS, modulus),
                    (Word.DISTANCE, on - 1 if q == Queue.COUNTER else longest),
                ):  # fmt: skip
                    lemma(word(each, q) == -value)
                constant = Mux(driven, 0, -units)
                lemma(read.data == timer, where=turn & at(Step.BLOCKED, Step.TIME))
                lemma(blocked == timer[-1], where=turn & span(Step.ARRIVE, Step.KEEP_TIMER))
                lemma((read.data == waiting) & (result == 0), where=own & at(Step.ARRIVE) & ~preset)
                lemma(~unit, where=own & at(Step.BLOCKED, Step.ARRIVE) & access)
                lemma((read.data == constant) & (result == waiting + unit), where=turn & at(Step.TAKE))
                lemma(
                    (read.data == constant) & (result == waiting + unit - taken_units),
                    where=turn & at(Step.LATE),
                )
                lemma(edge == (~blocked & (waiting + unit >= Mux(driven, 0, units))), where=turn & at(Step.LATE))
                lemma(result == 0, where=own & at(Step.TIME, Step.COUNT) | (writing & at(Step.KEEP_TIMER)))
                lemma((result == timer + blocked) & (read.data == restart), where=turn & at(Step.RESTART))
                lemma(result == Mux(edge, restart, timer + blocked), where=turn & at(Step.KEEP_TIMER))
                lemma(~edge, where=writing & (step >= Step.ARRIVE))
                lemma(~edge | ~blocked, where=turn & (step >= Step.LATE))
                lemma(edge | blocked | (waiting < units), where=turn & (step >= Step.TIME))
                lemma(~(rise & (waiting + units > (1 << width))), where=turn & (step >= Step.TIME))
                lemma(edge | ~driven | blocked, where=turn & (step >= Step.TIME))
                lemma(read.data == count, where=own & at(Step.COUNT))
                stepped_count = count + rise
                lemma((result == stepped_count) & (read.data == -modulus), where=own & at(Step.ROLL_OVER))
                lemma(result == Mux(stepped_count == modulus, 0, stepped_count), where=own & at(Step.KEEP_COUNT))

                # ---- the books: units received, taken for edges, and shown as edges ---------------
                def ghosts(*names, shape=1, q=q, **options):
                    return [Signal(shape, name=f"{name}_{q}", **options) for name in names]

                after_edge = search is not None and search.after_edge
                waiting_first = 0 if search is None else 3
                self.memory.init[len(Queue) * Word.WAITING + q] = waiting_first
                self.memory.init[len(Queue) * Word.TIMER + q] = -longest if after_edge else 0
                (received,) = ghosts("received", shape=width + 1, init=waiting_first)
                taken, emitted, emitted_before, edges, edges_before = ghosts(
                    "taken", "emitted", "emitted_before", "edges", "edges_before", shape=width + 1
                )
                before, written, stepped = ghosts("before", "written", "stepped")
                (since,) = ghosts("since", shape=range(longest + 1))
                (since_before,) = ghosts("since_before", shape=range(longest + 1), init=0 if after_edge else longest)
                shown = (output & ~before if q == Queue.COUNTER else output != before) & ~written
                m.d.comb += [
                    edges.eq(edges_before + shown),
                    emitted.eq(emitted_before + Mux(shown, units, 0)),
                    since.eq(Mux(stepped & (since_before != longest), since_before + 1, since_before)),
                ]
                with m.If(shown):
                    m.d.comb += since.eq(0)
                with m.If(written):
                    m.d.comb += since.eq(longest)
                m.d.sync += [
                    before.eq(output), written.eq(writing), stepped.eq(show),
                    emitted_before.eq(emitted), edges_before.eq(edges), since_before.eq(since),
                ]  # fmt: skip
                with m.If(turn & at(Step.LATE)):
                    m.d.sync += [received.eq(received + unit), taken.eq(taken + taken_units)]
                value = records.wdata.accumulator[:width]
                with m.If(writing):
                    m.d.sync += [
                        received.eq(value),
                        taken.eq(0),
                        emitted_before.eq(0),
                        edges_before.eq(0),
                    ]
                lemma((received == value) & (taken == 0) & written, where=writing & (step >= Step.ARRIVE))
                # A queue's worth of units is a month of energy at full scale.
                m.d.comb += Assume(received < (1 << width) - 1)
                behind = turn & (step >= Step.TIME)
                lemma((received == waiting + taken) & ~waiting[-1])
                lemma(taken == (emitted + Mux(behind & rise, units, 0))[: width + 1])
                claim(received == (waiting + emitted)[: width + 1], where=~behind)
                claim(~shown | stepped & (since_before == longest))
                # What is enough for an edge waits only because the last one is too near.
                claim(shown | (waiting < units) | (since_before != longest), where=stepped)
                # For the induction: the timer is what is left of the distance, and no ghost rolls over.
                timer_before = Mux(turn & (step >= Step.COUNT), Mux(blocked, timer - 1, 0), timer)
                lemma(
                    timer_before - Mux(driven, gap, 0) == since - longest,
                    where=~(writing & (step >= Step.ARRIVE)),
                )
                lemma(timer == 0, where=writing & (step >= Step.COUNT))
                lemma(timer == Mux(edge, restart, timer_before + blocked), where=turn & (step >= Step.COUNT))
                lemma(timer <= 0)
                lemma((edges <= emitted) & (emitted <= taken) & (taken <= received))
                lemma(access & (queue == q), where=written)
                edges_of.append((edges, shown))
                stepped_of.append(stepped)
                written_of.append(written)

                # ---- the records' counts ----------------------------------------------------------
                first = Signal(width, name=f"first_{q}")
                with m.If(writing):
                    m.d.sync += first.eq(records.wdata.count)
                counted = ~(writing & (step >= Step.ARRIVE))
                if q == Queue.COUNTER:
                    # The level is on for exactly its frames, from a pulse's beginning on.
                    claim(output == (since < on), where=counted)
                    claim(count == (first + edges)[:width], where=counted)
                elif q == Queue.TEST:
                    claim(count == output, where=counted)
                lemma((count >= 0) & (count < modulus))
                lemma(count == records.wdata.count[:count_bits], where=writing & (step >= Step.KEEP_TIMER))

            # ---- Outputs 10, 100, 1000 ------------------------------------------------------------
            half = word(Word.COUNT, Queue.OUTPUT_10)[:8]
            rest = half % 100
            for each, value, constant in (
                (Step.KEEP_COUNT, None, 100), (Step.EIGHTY, rest, 80), (Step.FORTY, rest % 80, 40),
                (Step.TWENTY, rest % 40, 20), (Step.SHOW, rest % 20, 10),
            ):  # fmt: skip
                where = at(each) & (queue == Queue.OUTPUT_10)
                lemma(read.data == -constant, where=where)
                if value is not None:
                    lemma((result == value) & (inside.next_1000 == (half >= 100)), where=where)
            for which, value in ((Word.HUNDRED, 100), (Word.EIGHTY, 80), (Word.FORTY, 40), (Word.TWENTY, 20),
                                 (Word.TEN, 10)):  # fmt: skip
                lemma(word(which, Queue.OUTPUT_10) == -value)
            lemma(word(Word.UNITS, Queue.COUNTER_DRIVEN) == 0)
            lemma(word(Word.DISTANCE, Queue.COUNTER_DRIVEN) == 1 - gap)
            lemma(word(Word.MODULUS, Queue.COUNTER_DRIVEN) == -(1 << width))
            # The half pulses that are shown.
            late = span(Step.EIGHTY, Step.SHOW) & edge
            shown_half = Mux(late, Mux(half == 0, pulses.HALF_PULSES - 1, half - 1), half)
            writing = ~idle & preset & (queue == Queue.OUTPUT_10)
            settled = ~(writing & (step >= Step.ARRIVE))
            levels = (self.output_10, 1), (self.output_100, 10), (self.output_1000, 100)
            for output, halves in levels:
                claim(output == (shown_half // halves)[0], where=settled)
            # Every tenth edge of Output 10, from the preset's half pulses on, is an edge of Output 100, and every
            # hundredth one of Output 1000.
            edges, shown = edges_of[Queue.OUTPUT_10]
            for output, halves in levels[1:]:
                before, first = Signal(), Signal(range(halves))
                emitted, emitted_before = Signal(width + 8), Signal(width + 8)
                changed = (output != before) & ~written_of[Queue.OUTPUT_10]
                m.d.comb += emitted.eq(emitted_before + Mux(changed, halves, 0))
                m.d.sync += [before.eq(output), emitted_before.eq(emitted)]
                with m.If(writing):
                    m.d.sync += [first.eq(records.wdata.count[:8] % halves), emitted_before.eq(0)]
                claim(shown, where=changed)
                claim(first + edges == emitted + shown_half % halves, where=settled)

            # What an edge tells the counter, and the flag.
            claim(unit == (shown & (half % config.counter_half_pulses == 0)), where=stepped_of[Queue.OUTPUT_10])
            cleared = Signal()
            m.d.sync += cleared.eq(self.clear)
            for q in (Queue.OUTPUT_10, Queue.TEST):
                claim(
                    (word(Word.WAITING, q) < units_of[q]) | self.queued | cleared,
                    where=at(Step.TIME) & (queue == q),
                )
            return m

    return PulseProperties(config)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_energy_and_edges_agree(config, tmp_path):
    proof = prove(pulse_properties(config), tmp_path, steps=1)
    assert proof.verdict is Verdict.PROVEN, proof.log


#: The first frame's turns, up to each queue's; the counter's in the second one; an access.
TEST, OUTPUT_10, COUNTER, COUNTER_AGAIN = Search(15), Search(30), Search(41), Search(79)
PRESET = Search(17, presets=True)
BROKEN = {
    "waiting cleared, not reduced": (TEST, "add.eq(enough & ~blocked)", "[add.eq(enough & ~blocked), clear.eq(add)]"),
    "edge without its energy": (TEST, "add.eq(enough & ~blocked)\n                m.d.sync += edge.eq(add)",
                                "add.eq(0)\n                m.d.sync += edge.eq(enough & ~blocked)"),
    "edge a unit early": (TEST, "config.test_half_ticks, 1, 0)", "config.test_half_ticks - 1, 1, 0)"),
    "energy without its edge": (TEST, "edge.eq(add)", "edge.eq(0)"),
    "unit lost": (TEST, "carry.eq(unit)", "carry.eq(0)"),
    "unit lost with an edge": (TEST, "carry.eq(unit)", "carry.eq(unit & read.data[-1])"),
    "edges too near": (Search(15, after_edge=True), "enough & ~blocked", "enough"),
    "edges a frame too near": (Search(53), "shortest_test - 1, on", "shortest_test - 2, on"),
    "late unseen": (TEST, "enough & (queue != Queue.COUNTER)", "enough & (queue == Queue.OUTPUT_10)"),
    "a count with every edge": (OUTPUT_10, "unit.eq(levels[counted]", "unit.eq(edge | levels[counted]"),
    "Output 100 out of step": (PRESET, "Word.FORTY: (40,)", "Word.FORTY: (50,)"),
    "Output 1000 out of step": (PRESET, "Word.HUNDRED: (100,)", "Word.HUNDRED: (101,)"),
    "a half pulse skipped": (PRESET, "Word.MODULUS: (HALF_PULSES,", "Word.MODULUS: (HALF_PULSES - 1,"),
    "reading presets": (PRESET, "with m.If(records.write):", "with m.If(records.valid):"),
    "a preset is a frame": (PRESET, "self.frame.eq(~access)", "self.frame.eq(1)"),
    "pulse not counted": (COUNTER, "carry.eq(edge & ~driven)", "carry.eq(0)"),
    "pulse a frame long": (COUNTER_AGAIN, "on - 1, gap - 1", "on, gap - 1"),
    "count lost at a pulse's end": (COUNTER_AGAIN, "config.test_half_ticks, 1, 0)",
                                    "config.test_half_ticks, 1, 1)"),
}  # fmt: skip


@pytest.mark.parametrize(("search", "old", "new"), BROKEN.values(), ids=BROKEN)
def test_broken_outputs_are_refused(search, old, new, tmp_path):
    component = pulse_properties(Scales(), mutant(pulses, old, new), search=search)
    proof = refute(component, tmp_path, clocks=search.clocks)
    assert proof.verdict is Verdict.COUNTEREXAMPLE, proof.log


@pytest.mark.parametrize("search", [COUNTER, PRESET], ids=["frames", "presets"])
def test_what_is_searched_is_not_broken_before(search, tmp_path):
    proof = refute(pulse_properties(Scales(), search=search), tmp_path, clocks=search.clocks)
    assert proof.verdict is Verdict.UNKNOWN, proof.log

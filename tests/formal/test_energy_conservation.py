"""Energy is conserved: proven for every product, window and pause, and for any number of frames.

The balance is a sum of many terms, which no SAT solver takes at full width. So the books are kept in
ghost registers, one for each movement of energy, and each lemma says that two of them differ by what one
place holds: sums of two terms, proven by induction over one clock at any width. The balance follows from
the lemmas.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from amaranth.hdl import Assert, Assume, Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from energy_scales import EnergyScales
from prove import Verdict, mutant, prove, refute

from blondel.hdl.config import MeterConfig
from blondel.hdl.metrology import energy
from blondel.hdl.metrology.energy import Addend, RecordKind, Word

DUAL = MeterConfig.for_model("MDNCT-1SC")
SINGLE = MeterConfig.for_model("MSNCT-1SC")
#: A quantum or two, a tick, a reversal within two frames; and the same with a gate that stays shut.
SMALL = EnergyScales(elements=1, product_bits=4, register_bits=3, quantum=5, hysteresis=6, start_energy=2, tick=5)
UNLOADED = replace(SMALL, start_energy=30)
THREE = replace(SMALL, elements=3, product_bits=5, quantum=9, hysteresis=13, tick=25)

GATE, PENDING, DELIVERED, RECEIVED = RecordKind
#: The steps of an element's turn, in their order.
TURN = (
    "WINDOW", "START", "PENDING", "TURN", "WITHHOLD", "OTHER", "OTHER QUANTUM", "OTHER TOTAL",
    "OWN", "OWN QUANTUM", "OWN TOTAL", "TOTAL", "TICK",
)  # fmt: skip


#: What is proven, and on which other parts it relies. Where each step finds what; what each movement of energy leaves
#: in its place, for the elements and for the total; that then all of it is there; that no accumulator overflows; and
#: that what is read while ``freeze`` is high is of one frame.
PARTS = {
    "sequence": (),
    "frozen": ("sequence",),
    "elements": ("sequence",),
    "total": ("sequence",),
    "balance": ("sequence", "elements", "total"),
    "bounds": ("sequence",),
    "total bounds": ("sequence", "bounds"),
}


def energy_properties(config, part, module=energy, *, only=None, calm=False) -> wiring.Component:
    """Return Energy with its books beside it, and one part of the proof to be proven.

    Parameters
    ----------
    config : MeterConfig
        Or what has its scales.
    part : str
        One of :data:`PARTS`.
    module : module
        Where Energy is taken from.
    only : int or None
        The one element for which the part is to be proven. Default: all.
    calm : bool
        For the search of a counterexample: the part is to hold without those on which it relies, where items come
        without a pause, ``o`` is always taken, and nobody reads.
    """
    elements, total = range(config.elements), config.elements
    width = config.accumulator_bits

    class EnergyProperties(module.Energy):
        def elaborate(self, platform) -> Module:
            m = super().elaborate(platform)
            inside = self.internals
            step, result, received, up = inside.steps, inside.result, inside.received, inside.up

            def lemma(condition, of="sequence", element=None):
                if of == part and only in (None, element):
                    m.d.comb += Assert(condition)
                elif of in PARTS[part] and not calm:
                    m.d.comb += Assume(condition)

            if calm:
                m.d.comb += Assume(self.i.valid & self.o.ready & ~self.freeze & ~self.records.valid)

            def within(*names):
                return Cat(step[name] for name in names).any()

            def span(first, last):
                return within(*TURN[TURN.index(first) : TURN.index(last) + 1])

            def modulo(value):
                return value[:width].as_signed()

            # ---- the surroundings -----------------------------------------------------------------
            item = self.i.payload
            accept = self.i.valid & self.i.ready
            expected, frame_ok = Signal.like(item.element), Signal()
            stalled, before = Signal(), Signal.like(item.as_value())
            m.d.sync += [stalled.eq(self.i.valid & ~self.i.ready), before.eq(item)]
            with m.If(accept):
                m.d.sync += [expected.eq(Mux(expected == total - 1, 0, expected + 1)), frame_ok.eq(item.ok)]
            m.d.comb += [
                # A stalled item stays as it is.
                Assume(~stalled | (self.i.valid & (item.as_value() == before))),
                # A frame's items come in order, and all are valid, or none.
                Assume(item.element == expected),
                Assume((expected == 0) | (item.ok == frame_ok)),
                Assume((item.product <= config.product_max) & (item.product >= -config.product_max)),
                # Records are read at any time. Presets are before metering.
                Assume(~self.records.write),
            ]

            # ---- the sequence: what each step finds -----------------------------------------------
            turn = [Signal(name=f"turn_{e}") for e in elements]
            m.d.comb += [turn[e].eq(span("WINDOW", "TICK") & (inside.element == e)) for e in elements]
            next_element = Mux(inside.element == total - 1, 0, inside.element + 1)
            lemma(Cat(step.values()).any())
            lemma(inside.element < total)
            lemma(expected < total)
            lemma(~span("WINDOW", "PENDING") | (stalled & item.ok & (expected == inside.element)))
            lemma(~span("TURN", "TICK") | (expected == next_element))
            lemma(~step["OUTPUT"] | ((inside.element == total - 1) & (expected == 0)))
            lemma(~step["TICK"] | (inside.element == total - 1))
            lemma(~(span("WINDOW", "TICK") | step["OUTPUT"]) | inside.under_way)
            lemma(~within("ACCESS", "SECOND ACCESS") | ~inside.under_way)
            lemma(~step["SECOND ACCESS"])
            lemma(~step["IDLE"] | (expected == Mux(inside.under_way, inside.element + 1, 0)))
            lemma(inside.under_way | (~inside.moving & (expected == 0)))
            lemma(~(inside.moving & inside.held))
            lemma(~inside.moving | (expected == 0) | frame_ok)

            # What the memories hold; `now`: in the half that has it, once this frame has written it or before.
            def word(memory, address):
                port = memory.read_port(domain="comb")
                m.d.comb += port.addr.eq(address)
                return port.data

            def halves(memory, e, kind):
                return [word(memory, 8 * e + 4 * half + kind) for half in (0, 1)]

            def now(pair, written):
                return Mux(inside.live ^ (inside.moving & written), pair[1], pair[0])

            def constant(which):
                return word(inside.accumulators, 8 * (total + 1) + which)

            accumulators = [[halves(inside.accumulators, e, kind) for kind in RecordKind] for e in range(total + 1)]
            counts = [[halves(inside.counts, e, kind) for kind in RecordKind] for e in range(total + 1)]
            scratch = constant(Word.SCRATCH)
            for which, value in (
                (Word.START, config.start_energy - 1), (Word.TURN, config.hysteresis - 1),
                (Word.QUANTUM, config.quantum), (Word.QUANTUM_NEGATIVE, -config.quantum),
                (Word.TICK_NEGATIVE, -config.tick),
            ):  # fmt: skip
                lemma(constant(which) == value)

            def is_own(kind):
                return received if kind == RECEIVED else ~received

            def own_or_other(kind, own, other):
                return Mux(is_own(kind), own, other)

            def here(e, since):
                """Tell whether this frame has written a record of an element, given that `since` is when it has not."""
                return (inside.element > e) | ((inside.element == e) & ~since)

            def register_unwritten(kind):
                return own_or_other(kind, span("WINDOW", "OWN TOTAL"), span("WINDOW", "OTHER TOTAL"))

            def total_unwritten(kind):
                return own_or_other(kind, span("WINDOW", "TOTAL"), span("WINDOW", "OWN"))

            total_stored = step["TICK"] | (within("IDLE", "OUTPUT") & inside.store)
            pending, register, total_count = [], [], {}
            for e in elements:
                written = here(e, span("WINDOW", "OTHER"))
                pending.append((now(accumulators[e][PENDING], written), now(counts[e][PENDING], written)))
                register.append({})
                for kind in (DELIVERED, RECEIVED):
                    written = here(e, register_unwritten(kind))
                    register[e][kind] = now(accumulators[e][kind], written), now(counts[e][kind], written)
            for kind in (DELIVERED, RECEIVED):
                total_count[kind] = now(counts[total][kind], here(0, total_unwritten(kind)))
            total_energy = now(accumulators[total][DELIVERED], here(0, span("WINDOW", "TICK") | total_stored))

            # What is on its way to be written, and where.
            kind_of = {"own": Cat(received, 1), "other": Cat(~received, 1)}
            for name, store, store_count, kind, of in (
                ("WINDOW", 0, 0, None, None), ("START", 0, 0, None, None), ("PENDING", 1, 0, GATE, inside.element),
                ("TURN", 1, 0, None, None), ("WITHHOLD", 0, 1, GATE, inside.element),
                ("OTHER", 1, 1, PENDING, inside.element), ("OTHER QUANTUM", 0, 0, None, None),
                ("OTHER TOTAL", 1, 1, kind_of["other"], inside.element), ("OWN", 0, 1, kind_of["other"], total),
                ("OWN QUANTUM", 0, 0, None, None), ("OWN TOTAL", 1, 1, kind_of["own"], inside.element),
                ("TOTAL", 0, 1, kind_of["own"], total), ("TICK", 0, 0, None, None), ("ACCESS", 0, 0, None, None),
            ):  # fmt: skip
                lemma(~step[name] | ((inside.store == store) & (inside.store_count == store_count)))
                if kind is not None:
                    lemma(~step[name] | ((inside.target.kind == kind) & (inside.target.element == of)))
            lemma(~within("IDLE", "OUTPUT") | ~inside.store_count)
            at_total = (inside.target.kind == DELIVERED) & (inside.target.element == total)
            lemma(~within("IDLE", "OUTPUT") | ~inside.store | (inside.under_way & frame_ok & at_total))
            lemma(~span("TURN", "TICK") | frame_ok)

            # What the adder adds to what the memory shows.
            registers_result = Mux(received, Addend.RESULT_NEGATIVE, Addend.RESULT)
            for name, addend in (
                ("PENDING", Addend.PRODUCT), ("TURN", Mux(result[-1], Addend.RESULT, Addend.RESULT_NEGATIVE)),
                ("WITHHOLD", Addend.RESULT), ("OTHER", Addend.ZERO), ("OTHER QUANTUM", Addend.RESULT),
                ("OTHER TOTAL", Addend.ZERO), ("OWN", Mux(inside.commit, registers_result, Addend.ZERO)),
                ("OWN QUANTUM", Addend.RESULT), ("OWN TOTAL", Addend.ZERO),
                ("TOTAL", Mux(inside.commit & ~received, Addend.RESULT, Addend.ZERO)), ("TICK", Addend.RESULT),
            ):  # fmt: skip
                lemma(~step[name] | (inside.addend == addend))

            # What the memories show.
            own, other = (Mux(received ^ n, RECEIVED, DELIVERED) for n in (0, 1))

            def shows(name, energy=None, count=None):
                if energy is not None:
                    lemma(~step[name] | (inside.read.data == energy))
                if count is not None:
                    lemma(~step[name] | (inside.count_read.data == count))

            def of_turn(what):
                """Choose what belongs to the element whose turn it is."""
                chosen = what(0)
                for e in elements[1:]:
                    chosen = Mux(inside.element == e, what(e), chosen)
                return chosen

            def by_kind(kind, what):
                return Mux(kind == RECEIVED, what(RECEIVED), what(DELIVERED))

            shows("PENDING", of_turn(lambda e: pending[e][0]))
            shows("START", config.start_energy - 1)
            shows("TURN", config.hysteresis - 1)
            shows("WITHHOLD", Mux(received, config.quantum, -config.quantum))
            shows("OTHER", of_turn(lambda e: by_kind(other, lambda kind: register[e][kind][0])))
            shows("OTHER", count=of_turn(lambda e: pending[e][1]))
            shows("OTHER QUANTUM", -config.quantum)
            shows("OTHER TOTAL", scratch, of_turn(lambda e: by_kind(other, lambda kind: register[e][kind][1])))
            shows("OWN", of_turn(lambda e: by_kind(own, lambda kind: register[e][kind][0])))
            shows("OWN", count=by_kind(other, lambda kind: total_count[kind]))
            shows("OWN QUANTUM", -config.quantum)
            shows("OWN TOTAL", scratch, of_turn(lambda e: by_kind(own, lambda kind: register[e][kind][1])))
            shows("TOTAL", total_energy, by_kind(own, lambda kind: total_count[kind]))
            shows("TICK", -config.tick)
            lemma(~step["WITHHOLD"] | (scratch == result))
            lemma(~span("WITHHOLD", "TOTAL") | (received == scratch[-1]))
            lemma(~within("OWN", "TOTAL") | (result == scratch))
            lemma(~span("WITHHOLD", "TOTAL") | ~(inside.commit & inside.withhold))
            lemma(~span("OTHER TOTAL", "TOTAL") | ~inside.down)

            # No word is used that was read while it was written.
            in_turn = span("WINDOW", "TICK") | within("IDLE", "OUTPUT")
            write, count_write = inside.write, inside.count_write
            lemma(~in_turn | ~write.en | (write.addr != inside.read.addr))
            lemma(~in_turn | step["TOTAL"] | ~count_write.en | (count_write.addr != inside.count_read.addr))

            # What is shown stays, from when freeze was high between two frames until it is low.
            between = step["IDLE"] & ~inside.under_way
            frozen, frozen_before, shown, shown_before = Signal(), Signal(), Signal(), Signal()
            m.d.comb += shown.eq(inside.live ^ inside.held)
            m.d.sync += [
                frozen.eq(self.freeze & (frozen | between)),
                frozen_before.eq(frozen),
                shown_before.eq(shown),
            ]
            lemma(~frozen | ~frozen_before | (shown == shown_before), "frozen")
            for port in (write, count_write):
                of_record = (port.addr >> 3) <= total
                lemma(~frozen | ~port.en | ~of_record | (port.addr[2] != shown), "frozen")
            lemma(~frozen | ~span("WINDOW", "TICK") | inside.held | inside.moving, "frozen")
            waits = within("IDLE", "OUTPUT") & inside.under_way & frame_ok
            lemma(~frozen | ~waits | inside.held | inside.moving, "frozen")

            # ---- the books ------------------------------------------------------------------------
            def ghosts(name):
                return [Signal(signed(width), name=f"{name}_{e}") for e in elements]

            def tallies(name):
                return [Signal(config.register_bits, name=f"{name}_{e}") for e in elements]

            kinds = (DELIVERED, RECEIVED)
            supplied, left, committed, registered = map(ghosts, ("supplied", "left", "committed", "registered"))
            withheld, withheld_quanta = ghosts("withheld"), tallies("withheld_quanta")
            into = {kind: ghosts(f"into_{kind.name}") for kind in kinds}
            counted = {kind: ghosts(f"counted_{kind.name}") for kind in kinds}
            quanta = {kind: tallies(f"quanta_{kind.name}") for kind in kinds}
            all_delivered = ghosts("all_delivered")
            all_quanta = {kind: tallies(f"all_quanta_{kind.name}") for kind in kinds}
            in_total, ticked, ticks = Signal(signed(width)), Signal(signed(width)), Signal()

            change = Mux(received, -config.quantum, config.quantum)
            passed = ~inside.added[-1]
            for e in elements:
                with m.If(accept & item.ok & (item.element == e)):
                    m.d.sync += supplied[e].eq(supplied[e] + item.product)
                with m.If(turn[e] & step["WITHHOLD"]):
                    with m.If(inside.commit):
                        m.d.sync += [left[e].eq(left[e] + result), committed[e].eq(committed[e] + result)]
                    with m.Elif(inside.withhold):
                        m.d.sync += [
                            left[e].eq(left[e] + change),
                            withheld[e].eq(withheld[e] + change),
                            withheld_quanta[e].eq(withheld_quanta[e] + Mux(received, -1, 1)),
                        ]
                with m.If(turn[e] & step["OWN"] & inside.commit):
                    m.d.sync += registered[e].eq(registered[e] + result)
                    with m.If(received):
                        m.d.sync += into[RECEIVED][e].eq(into[RECEIVED][e] - result)
                    with m.Else():
                        m.d.sync += into[DELIVERED][e].eq(into[DELIVERED][e] + result)
                        m.d.sync += [each.eq(each + result) for each in all_delivered[e:]]
                for kind in kinds:
                    with m.If(turn[e] & own_or_other(kind, step["OWN QUANTUM"], step["OTHER QUANTUM"]) & passed):
                        m.d.sync += [
                            counted[kind][e].eq(counted[kind][e] + config.quantum),
                            quanta[kind][e].eq(quanta[kind][e] + 1),
                            *(each.eq(each + 1) for each in all_quanta[kind][e:]),
                        ]
            with m.If(step["TOTAL"] & inside.commit & ~received):
                m.d.sync += in_total.eq(in_total + result)
            with m.If(step["TICK"] & passed):
                m.d.sync += [ticked.eq(ticked + config.tick), ticks.eq(1)]
            with m.If(self.o.valid & self.o.ready):
                m.d.sync += ticks.eq(0)
            lemma(self.o.payload.tick == ticks)
            lemma(step["OUTPUT"] | ~ticks)

            for e in elements:
                in_hand = turn[e] & within("TURN", "WITHHOLD", "OTHER")
                in_transit = Mux(turn[e] & inside.commit & span("OTHER", "OWN"), scratch, 0)
                lemma(supplied[e] == modulo(left[e] + Mux(in_hand, result, pending[e][0])), "elements", e)
                lemma(left[e] == modulo(committed[e] + withheld[e]), "elements", e)
                step_of_count = Cat(up | inside.down, inside.down) & (turn[e] & step["OTHER"]).replicate(2)
                count_now = (pending[e][1] + step_of_count.as_signed())[: config.register_bits]
                lemma(withheld_quanta[e] == count_now, "elements", e)
                lemma(committed[e] == modulo(registered[e] + in_transit), "elements", e)
                lemma(registered[e] == modulo(into[DELIVERED][e] - into[RECEIVED][e]), "elements", e)
                for kind in kinds:
                    energy_now, count_now = register[e][kind]
                    in_result = turn[e] & own_or_other(
                        kind, within("OWN QUANTUM", "OWN TOTAL"), within("OTHER QUANTUM", "OTHER TOTAL")
                    )
                    lemma(into[kind][e] == modulo(Mux(in_result, result, energy_now) + counted[kind][e]), "elements", e)
                    behind = turn[e] & own_or_other(kind, step["OWN TOTAL"], step["OTHER TOTAL"]) & up
                    lemma(quanta[kind][e] == (count_now + behind)[: config.register_bits], "elements", e)
                    before_e = all_quanta[kind][e - 1] if e else 0
                    lemma(all_quanta[kind][e] == (before_e + quanta[kind][e])[: config.register_bits], "total")
                lemma(all_delivered[e] == modulo((all_delivered[e - 1] if e else 0) + into[DELIVERED][e]), "total")
            for kind in kinds:
                behind = own_or_other(kind, within("OWN TOTAL", "TOTAL"), within("OTHER TOTAL", "OWN")) & up
                lemma(all_quanta[kind][-1] == (total_count[kind] + behind)[: config.register_bits], "total")
            in_transit = Mux(inside.commit & ~received & within("OWN QUANTUM", "OWN TOTAL", "TOTAL"), scratch, 0)
            lemma(all_delivered[-1] == modulo(in_total + in_transit), "total")
            lemma(in_total == modulo(Mux(total_stored, result, total_energy) + ticked), "total")

            # ---- the balance, between frames ------------------------------------------------------
            def balanced(condition):
                lemma(~between | condition, "balance")

            in_registers = [
                {kind: modulo(register[e][kind][0] + counted[kind][e]) for kind in kinds} for e in elements
            ]
            for e in elements:
                net = modulo(in_registers[e][DELIVERED] - in_registers[e][RECEIVED])
                balanced(supplied[e] == modulo(modulo(net + withheld[e]) + pending[e][0]))
                balanced(pending[e][1] == withheld_quanta[e])
                for kind in kinds:
                    balanced(register[e][kind][1] == quanta[kind][e])
            for kind in kinds:
                all_counts = sum(register[e][kind][1] for e in elements)
                balanced(total_count[kind] == all_counts[: config.register_bits])
            all_energy = in_registers[0][DELIVERED]
            for e in elements[1:]:
                all_energy = modulo(all_energy + in_registers[e][DELIVERED])
            balanced(modulo(total_energy + ticked) == all_energy)

            # ---- the bounds -----------------------------------------------------------------------
            # A register and what is pending grow together by a product a frame, and lose a quantum in each frame
            # that begins with one. So does the total, by all elements' products, and loses a tick.
            most, quantum, hysteresis = config.product_max, config.quantum, config.hysteresis

            def magnitude(value):
                return Mux(value[-1], -value, value)

            # Magnitudes of what is pending, of the elements up to each one.
            all_pending = [Signal(width, name=f"all_pending_{e}") for e in elements]
            for e in elements:
                undecided = turn[e] & within("TURN", "WITHHOLD")
                in_hand = Mux(undecided | (turn[e] & step["OTHER"]), result, pending[e][0])
                size = magnitude(in_hand)
                lemma(size < Mux(undecided, hysteresis + most, hysteresis), "bounds", e)
                with m.If(turn[e] & step["WITHHOLD"]):
                    lemma(inside.commit | inside.withhold | (size < hysteresis), "bounds", e)
                    lemma(~inside.withhold | (size >= hysteresis), "bounds", e)
                lemma(~(turn[e] & inside.commit & span("OTHER", "TICK")) | (in_hand == 0), "bounds", e)
                for kind in kinds:
                    in_result = turn[e] & own_or_other(
                        kind, within("OWN QUANTUM", "OWN TOTAL"), within("OTHER QUANTUM", "OTHER TOTAL")
                    )
                    value = Mux(in_result, result, register[e][kind][0])
                    grown = turn[e] & own_or_other(kind, span("TURN", "OWN QUANTUM"), span("TURN", "OTHER QUANTUM"))
                    limit = quantum + hysteresis + Mux(grown, most, 0)
                    in_transit = turn[e] & inside.commit & is_own(kind) & span("OTHER", "OWN")
                    lemma(value >= 0, "bounds", e)
                    lemma(value + size < limit, "bounds", e)
                    lemma(~in_transit | (value + magnitude(scratch) < limit), "bounds", e)

                settled = Mux(inside.commit, 0, Mux(inside.withhold, inside.added, result))
                for name, following in (("PENDING", inside.added), ("WITHHOLD", settled)):
                    with m.If(turn[e] & step[name]):
                        change = magnitude(following) - size
                        m.d.sync += [each.eq(each + change) for each in all_pending[e:]]
                lemma(all_pending[e] == ((all_pending[e - 1] if e else 0) + size)[:width], "total bounds")

            value = Mux(total_stored, result, total_energy)
            lemma(value >= 0, "total bounds")
            in_transit = Mux(inside.commit & ~received & span("OTHER", "TOTAL"), scratch, 0)
            metered = Mux(
                span("TURN", "TICK") | (step["IDLE"] & inside.under_way & frame_ok),
                inside.element + 1,
                Mux(span("WINDOW", "PENDING"), inside.element, 0),
            )
            allowed = config.tick + total * hysteresis + sum(Mux(metered > e, most, 0) for e in elements)
            lemma(value + in_transit + all_pending[-1] < allowed, "total bounds")
            return m

    return EnergyProperties(config)


def each_part(config, name, parts=PARTS, by_element=False):
    """Return a test's parameters for each part of a proof."""
    for part in parts:
        only = range(config.elements) if by_element and part == "elements" else [None]
        for e in only:
            yield pytest.param(config, part, e, id=" ".join(map(str, [name, part, *([] if e is None else [e])])))


@pytest.mark.parametrize(
    ("config", "part", "only"),
    [
        *each_part(SMALL, "small"),
        *each_part(THREE, "small, three elements"),
        *each_part(SINGLE, "MSNCT-1SC"),
        # The bounds of an element do not depend on the others.
        *each_part(DUAL, "MDNCT-1SC", ("sequence", "elements", "total", "balance"), by_element=True),
    ],
)
def test_energy_is_conserved(config, part, only, tmp_path):
    proof = prove(energy_properties(config, part, only=only), tmp_path, steps=1)
    assert proof.verdict is Verdict.PROVEN, proof.log


QUANTUM_TAKEN = """                    with m.If(~below_zero):
                        m.d.sync += result.eq({})
                    m.d.sync += [
                        up"""
TICK_TAKEN = """                with m.If(~below_zero):
                    m.d.sync += result.eq({})
                m.d.sync += [self.o"""

BROKEN = {
    "residual dropped with a quantum": (SMALL, QUANTUM_TAKEN.format("added"), QUANTUM_TAKEN.format("0")),
    "quantum counted, not taken": (SMALL, QUANTUM_TAKEN.format("added"), QUANTUM_TAKEN.format("result")),
    "quantum taken, not counted": (SMALL, "up.eq(~below_zero)", "up.eq(0)"),
    "residual dropped with a tick": (SMALL, TICK_TAKEN.format("added"), TICK_TAKEN.format("0")),
    "pending committed, and kept": (SMALL, "with m.If(commit):\n                    m.d.sync += result.eq(0)",
                                    "with m.If(0):\n                    m.d.sync += result.eq(0)"),
    "pending dropped at a window's end": (SMALL, "with m.If(commit):\n                    m.d.sync += result.eq(0)",
                                          "with m.If(commit | window):\n                    m.d.sync += result.eq(0)"),
    "received energy with the wrong sign": (SMALL, "Mux(received, Addend.RESULT_NEGATIVE, Addend.RESULT)",
                                            "Addend.RESULT"),
    "invalid frames metered": (SMALL, "with m.If(item.ok):", "with m.If(1):"),
    "total takes received energy": (
        SMALL, "with m.If(commit & ~received):\n                            m.d.sync += addend",
        "with m.If(commit):\n                            m.d.sync += addend",
    ),
    "withheld quantum dropped": (UNLOADED, "up.eq(withhold & ~received),", "up.eq(0),"),
    "pending dropped with a withheld quantum": (
        UNLOADED, "with m.If(withhold):\n                    m.d.sync += result.eq(added)",
        "with m.If(withhold):\n                    m.d.sync += result.eq(0)",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("config", "old", "new"), BROKEN.values(), ids=BROKEN)
def test_broken_energy_is_refused(config, old, new, tmp_path):
    # Two frames of fifteen clocks, and the clock after them.
    proof = refute(energy_properties(config, "balance", mutant(energy, old, new), calm=True), tmp_path, clocks=31)
    assert proof.verdict is Verdict.COUNTEREXAMPLE, proof.log

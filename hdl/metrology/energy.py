"""Energy: products become delivered and received energy, in registers that lose none of it."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from blondel.hdl.config import MeterConfig
from blondel.hdl.fixed import clog2
from blondel.hdl.items import energy_item, frame_item
from blondel.hdl.link.record import RecordSignature

__all__ = ["Energy", "RecordKind"]


class RecordKind(enum.IntEnum, shape=2):
    """Records of an element; record ``k`` of element ``e`` has index ``4 × e + k``.

    The meters' totals come after the last element and have the last two only. A total's ``RECEIVED`` has no
    accumulator of its own, its ``DELIVERED`` holds what is beyond the last tick.
    """

    #: Energy of the current window, zero once it was seen to be a load; loaded, seen, direction (bits 0, 1, 2), and the
    #: element's voltage and overrange (bits 3, 4).
    GATE = 0
    #: Energy not committed to a register; quanta that the no-load gate withheld, two's complement.
    PENDING = 1
    #: Delivered energy beyond the last quantum; the register.
    DELIVERED = 2
    #: Received energy beyond the last quantum; the register.
    RECEIVED = 3


class Word(enum.IntEnum):
    """Words of the accumulators' memory that follow the totals' records."""

    #: The start energy less one.
    START = 0
    #: The hysteresis less one.
    TURN = 1
    #: The quantum, negative and positive.
    QUANTUM_NEGATIVE = 2
    QUANTUM = 3
    #: The tick, negative.
    TICK_NEGATIVE = 4
    #: An element's pending energy, before it is committed.
    SCRATCH = 5


class Addend(enum.IntEnum):
    """What the adder adds to the word that the memory shows."""

    ZERO = 0
    PRODUCT = 1
    RESULT = 2
    #: One's complement; the carry makes it the negative.
    RESULT_NEGATIVE = 3


class Energy(wiring.Component):
    """Add each element's products up, and count quanta of delivered and of received energy.

    The direction is the sign of net energy: what flows back is held as pending until it exceeds the
    hysteresis, and is then committed whole to the other register, from the turning point on. An element
    counts as loaded from the moment at which a window's net energy reaches the start energy until a
    whole window has passed in which it did not; while it is not loaded nothing is committed, and quanta
    are withheld where the pending energy would grow beyond the hysteresis.

    Every LSB is in exactly one place. For each element, at each frame's end, with Q for the quantum::

        Σ products == delivered − received + pending + withheld × Q
        delivered  == DELIVERED.accumulator + DELIVERED.count × Q        (received likewise)

    Each meter has a total. Its counts are the sums of the elements', and its accumulator and ticks are the sum of
    what was committed as delivered: ``accumulator + ticks × tick``. A register takes one quantum a frame at
    most, the rest waits in the accumulator; a quantum is more than a frame can add for long.

    One adder passes over the records, which are in block RAM with the thresholds beside them; an element
    takes 13 clocks. Each valid frame rewrites every record, so a frame that finds ``freeze`` high for the
    first time leaves the old records where they are and writes to the memory's other half.

    Parameters
    ----------
    config : MeterConfig
        Uses ``elements``, ``meter_elements``, ``product_bits``, ``accumulator_bits``, ``register_bits``, ``quantum``,
        ``hysteresis``, ``start_energy``, ``tick``.
    shown : int or None
        Elements, from the first one on, that have indicators at the ports. Default: all.

    Members
    -------
    i : In(stream of energy_item)
        Products, LSB of energy, signed(product_bits).
    o : Out(stream of frame_item)
        One for each meter and frame, after the meter's last element.
    freeze : In(1)
        Keeps what ``records`` shows, while metering goes on: all reads between raising and lowering it
        are of the state after one and the same frame, the last one that began before. Does not fall during an
        access.
    records : In(RecordSignature(element_bits + 2))
        :class:`RecordKind`. Accesses take place between frames. Writing sets what is shown and what is
        metered; accumulators must stay below the sum of hysteresis, quantum and 16 products (the
        total's: a tick, or that for each element).
    reversed : Out(shown)
        1 where an element is loaded and its energy is received. Changes when a frame's last ``o`` is taken.
    no_load : Out(shown)
        1 where an element is not loaded. Changes likewise.
    voltage, overrange : Out(shown)
        The items' indicators. Change likewise: the next frame, whose indicators may already
        be known, does not show before its energy does.

    Attributes
    ----------
    latency : int
        Clocks from the acceptance of a valid frame's last item to ``o`` being valid.
    internals : SimpleNamespace
        After elaboration, for tests and proofs: the registers of an element's turn, ``steps``, a signal
        for each state of the sequence, and the memories ``accumulators`` and ``counts``, of which word
        ``8 × e + 4 × half + k`` has record ``k`` of element ``e``.
    """

    latency = 11

    def __init__(self, config: MeterConfig, shown: int | None = None):
        self._config = config
        self._shown = shown = config.elements if shown is None else shown
        super().__init__(
            {
                "i": In(stream.Signature(energy_item(config))),
                "o": Out(stream.Signature(frame_item())),
                "freeze": In(1),
                "records": In(RecordSignature(config.element_bits + 2)),
                "reversed": Out(shown),
                "no_load": Out(shown, init=(1 << shown) - 1),
                "voltage": Out(shown),
                "overrange": Out(shown),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        config = self._config
        elements, meters = config.elements, len(config.meter_elements)
        constants = {
            Word.START: config.start_energy - 1,
            Word.TURN: config.hysteresis - 1,
            Word.QUANTUM_NEGATIVE: -config.quantum,
            Word.QUANTUM: config.quantum,
            Word.TICK_NEGATIVE: -config.tick,
            Word.SCRATCH: 0,
        }
        words = 8 * (elements + meters)
        m.submodules.accumulators = accumulators = Memory(
            shape=signed(config.accumulator_bits),
            depth=words + len(constants),
            init=[0] * words + [constants[word] for word in Word],
            attrs={"ram_style": "block"},
        )
        m.submodules.counts = counts = Memory(
            shape=unsigned(config.register_bits), depth=words, init=[], attrs={"ram_style": "block"}
        )
        read, write = accumulators.read_port(), accumulators.write_port()
        count_read, count_write = counts.read_port(), counts.write_port()
        index_bits = clog2(elements + meters + 1)
        # The total's index, of the meter whose turn it is.
        total = Signal(index_bits, init=elements) if meters > 1 else Const(elements, index_bits)
        last_of_meters = [last - 1 for last in itertools.accumulate(config.meter_elements)]

        # Of the item; the product stays on the stream until it was needed for the last time.
        element = Signal(index_bits, reset_less=True)
        window = Signal(reset_less=True)
        last = element == elements - 1

        def ends_meter(index):
            if meters == 1:
                return index == elements - 1
            return Const(sum(1 << each for each in last_of_meters), elements).bit_select(index, 1)

        # What is known of the element. The first three are its flags, see RecordKind.GATE.
        loaded, seen, direction = (Signal(name=name, reset_less=True) for name in ("loaded", "seen", "direction"))
        received, commit, withhold = (Signal(name=name, reset_less=True) for name in ("received", "commit", "withhold"))
        up, down = Signal(reset_less=True), Signal(reset_less=True)
        own, other = Cat(received, Const(1, 1)), Cat(~received, Const(1, 1))
        flags = Signal(3)
        m.d.comb += flags.eq(Cat(Mux(window, seen, loaded), seen & ~window, Mux(commit, received, direction)))

        # The item's indicators, for the record.
        voltage, overrange = Signal(reset_less=True), Signal(reset_less=True)
        # Each output has a shadow: the elements' bits go in at one end, and have moved on by as many
        # places as there are elements at the ports when the frame ends.
        shows = element < self._shown if self._shown < elements else Const(1)
        shadow_reversed = Signal.like(self.reversed)
        shadow_no_load = Signal.like(self.no_load)
        shadow_voltage = Signal.like(self.voltage)
        shadow_overrange = Signal.like(self.overrange)

        # Which half of the memory has the live records; `held`: the outside sees the other half; `moving`:
        # this frame writes to the other half. `served`: the last thing done was a record access.
        live, held, moving, under_way, served = Signal(), Signal(), Signal(), Signal(), Signal()
        # After the turn of its first element a total is in the half that is written.
        begun = Signal() if meters > 1 else element != 0
        total_half = live ^ (moving & begun)

        # `place`: the record whose count the memory shows in the next clock, and that `store` stores then.
        place = Signal(data.StructLayout({"kind": 2, "element": index_bits}))
        target = Signal.like(place, reset_less=True)
        place_half, target_half = Signal(), Signal()
        store, store_count = Signal(), Signal()
        m.d.sync += [held.eq(held & self.freeze), target.eq(place), store.eq(0), store_count.eq(0)]
        m.d.comb += [
            place.element.eq(element),
            place_half.eq(live),
            target_half.eq(live ^ moving),
            read.addr.eq(count_read.addr),
            write.addr.eq(count_write.addr),
            write.en.eq(store),
            count_read.addr.eq(Cat(place.kind, place_half, place.element)),
            count_write.addr.eq(Cat(target.kind, target_half, target.element)),
            count_write.en.eq(store_count),
        ]

        # Two adders: the word that the memory shows, and the result of the step before or the product;
        # the count that the memory shows, and a step up or down.
        result = Signal(signed(config.accumulator_bits), reset_less=True)
        addend = Signal(range(len(Addend)), reset_less=True)
        second = Signal(signed(config.accumulator_bits))
        added = Signal(signed(config.accumulator_bits))
        with m.Switch(addend):
            with m.Case(Addend.PRODUCT):
                m.d.comb += second.eq(self.i.payload.product)
            with m.Case(Addend.RESULT):
                m.d.comb += second.eq(result)
            with m.Case(Addend.RESULT_NEGATIVE):
                m.d.comb += second.eq(~result)
        m.d.comb += [
            added.eq(read.data + second + (addend == Addend.RESULT_NEGATIVE)),
            write.data.eq(result),
            count_write.data.eq(count_read.data + Cat(up | down, down.replicate(config.register_bits - 1))),
            self.records.rdata.accumulator.eq(read.data),
            self.records.rdata.count.eq(count_read.data),
        ]
        below_zero = added[-1]
        # Where the memory shows T − 1, the next sum is below zero if this one's magnitude is T or more.
        against_threshold = addend.eq(Mux(below_zero, Addend.RESULT, Addend.RESULT_NEGATIVE))

        def word(kind, half, of):
            return Cat(kind, half, of)

        def constant(which):
            return words + which

        with m.FSM() as fsm:
            with m.State("IDLE"):
                m.d.comb += [place.kind.eq(RecordKind.GATE), place.element.eq(self.i.payload.element)]
                with m.If(self.records.valid & ~under_way & ~(served & self.i.valid)):
                    m.d.comb += [
                        place.eq(self.records.index),
                        place_half.eq(live ^ held),
                    ]
                    m.d.sync += served.eq(1)
                    m.next = "ACCESS"
                with m.Elif(self.i.valid):
                    m.d.sync += [
                        element.eq(self.i.payload.element),
                        window.eq(self.i.payload.window),
                        served.eq(0),
                        under_way.eq(1),
                    ]
                    with m.If(self.i.payload.ok):
                        with m.If(~under_way):
                            m.d.sync += moving.eq(self.freeze & ~held)
                        m.d.sync += addend.eq(Addend.PRODUCT)
                        m.next = "WINDOW"
                    with m.Else():
                        m.d.comb += self.i.ready.eq(1)
                        with m.If(ends_meter(self.i.payload.element)):
                            m.next = "OUTPUT"
            with m.State("WINDOW"):
                m.d.comb += read.addr.eq(constant(Word.START))
                m.d.sync += [
                    result.eq(added),
                    against_threshold,
                    Cat(loaded, seen, direction).eq(count_read.data),
                    Cat(up, down).eq(0),
                ]
                m.next = "START"
            with m.State("START"):
                m.d.comb += [
                    read.addr.eq(word(RecordKind.PENDING, live, element)),
                    place.kind.eq(RecordKind.GATE),
                ]
                m.d.sync += [
                    seen.eq(seen | below_zero),
                    loaded.eq(loaded | below_zero),
                    addend.eq(Addend.PRODUCT),
                    store.eq(1),
                ]
                with m.If(seen | window):
                    m.d.sync += result.eq(0)
                m.next = "PENDING"
            with m.State("PENDING"):
                m.d.comb += [self.i.ready.eq(1), read.addr.eq(constant(Word.TURN))]
                m.d.sync += [
                    against_threshold,
                    voltage.eq(self.i.payload.voltage),
                    overrange.eq(self.i.payload.overrange),
                    result.eq(added),
                    store.eq(1),
                ]
                m.next = "TURN"
            with m.State("TURN"):
                m.d.comb += [
                    write.addr.eq(constant(Word.SCRATCH)),
                    read.addr.eq(
                        Mux(result[-1], Const(constant(Word.QUANTUM)), Const(constant(Word.QUANTUM_NEGATIVE)))
                    ),
                    place.kind.eq(RecordKind.GATE),
                ]
                m.d.sync += [
                    received.eq(result[-1]),
                    commit.eq(loaded & ((result[-1] == direction) | below_zero)),
                    withhold.eq(~loaded & below_zero),
                    addend.eq(Addend.RESULT),
                    store_count.eq(1),
                ]
                m.next = "WITHHOLD"
            with m.State("WITHHOLD"):
                m.d.comb += [
                    count_write.data[:5].eq(Cat(flags, voltage, overrange)),
                    read.addr.eq(word(other, live, element)),
                    place.kind.eq(RecordKind.PENDING),
                ]
                with m.If(withhold):
                    m.d.sync += result.eq(added)
                with m.If(commit):
                    m.d.sync += result.eq(0)
                m.d.sync += [
                    up.eq(withhold & ~received),
                    down.eq(withhold & received),
                    addend.eq(Addend.ZERO),
                    store.eq(1),
                    store_count.eq(1),
                ]
                with m.If(shows):
                    m.d.sync += [
                        shadow_reversed.eq(Cat(shadow_reversed[1:], flags[0] & flags[2])),
                        shadow_no_load.eq(Cat(shadow_no_load[1:], ~flags[0])),
                        shadow_voltage.eq(Cat(shadow_voltage[1:], voltage)),
                        shadow_overrange.eq(Cat(shadow_overrange[1:], overrange)),
                    ]
                m.next = "OTHER"
            with m.State("OTHER"):
                m.d.comb += read.addr.eq(constant(Word.QUANTUM_NEGATIVE))
                m.d.sync += [result.eq(added), addend.eq(Addend.RESULT)]
                m.next = "OTHER QUANTUM"
            with m.State("OWN"):
                m.d.comb += read.addr.eq(constant(Word.QUANTUM_NEGATIVE))
                m.d.sync += [result.eq(added), addend.eq(Addend.RESULT)]
                m.next = "OWN QUANTUM"
            # One register, then the other: a quantum, if there is one; then the pending energy again.
            for name, kind in (("OTHER", other), ("OWN", own)):
                with m.State(f"{name} QUANTUM"):
                    m.d.comb += [read.addr.eq(constant(Word.SCRATCH)), place.kind.eq(kind)]
                    with m.If(~below_zero):
                        m.d.sync += result.eq(added)
                    m.d.sync += [
                        up.eq(~below_zero),
                        down.eq(0),
                        addend.eq(Addend.ZERO),
                        store.eq(1),
                        store_count.eq(1),
                    ]
                    m.next = f"{name} TOTAL"
                with m.State(f"{name} TOTAL"):
                    m.d.comb += [place.kind.eq(kind), place.element.eq(total), place_half.eq(total_half)]
                    m.d.sync += [result.eq(added), store_count.eq(1)]
                    if name == "OTHER":
                        with m.If(commit):
                            m.d.sync += addend.eq(Mux(received, Addend.RESULT_NEGATIVE, Addend.RESULT))
                        m.d.comb += read.addr.eq(word(own, live, element))
                        m.next = "OWN"
                    else:
                        with m.If(commit & ~received):
                            m.d.sync += addend.eq(Addend.RESULT)
                        m.d.comb += read.addr.eq(word(RecordKind.DELIVERED, total_half, total))
                        m.next = "TOTAL"
            with m.State("TOTAL"):
                m.d.comb += [
                    read.addr.eq(constant(Word.TICK_NEGATIVE)),
                    place.kind.eq(RecordKind.DELIVERED),
                    place.element.eq(total),
                ]
                m.d.sync += [result.eq(added), addend.eq(Addend.RESULT)]
                if meters > 1:
                    m.d.sync += begun.eq(1)
                with m.If(ends_meter(element)):
                    m.next = "TICK"
                with m.Else():
                    m.d.sync += store.eq(1)
                    m.next = "IDLE"
            with m.State("TICK"):
                m.d.comb += [place.kind.eq(RecordKind.DELIVERED), place.element.eq(total)]
                with m.If(~below_zero):
                    m.d.sync += result.eq(added)
                m.d.sync += [self.o.payload.tick.eq(~below_zero), store.eq(1)]
                m.next = "OUTPUT"
            with m.State("OUTPUT"):
                m.d.comb += [self.o.valid.eq(1), self.o.payload.last.eq(last)]
                with m.If(self.o.ready):
                    m.d.sync += self.o.payload.tick.eq(0)
                    if meters > 1:
                        m.d.sync += [total.eq(Mux(last, elements, total + 1)), begun.eq(0)]
                    m.next = "IDLE"
                with m.If(self.o.ready & last):
                    m.d.sync += [
                        self.reversed.eq(shadow_reversed),
                        self.no_load.eq(shadow_no_load),
                        self.voltage.eq(shadow_voltage),
                        self.overrange.eq(shadow_overrange),
                        live.eq(live ^ moving),
                        held.eq((held | moving) & self.freeze),
                        moving.eq(0),
                        under_way.eq(0),
                    ]
            # What is read stays; a write goes to one half, then to the other.
            for name, half in (("ACCESS", 0), ("SECOND ACCESS", 1)):
                with m.State(name):
                    valid_index = self.records.index[2:] < elements + meters
                    m.d.comb += [
                        place.eq(self.records.index),
                        place_half.eq(live ^ held),
                        target_half.eq(half),
                        write.data.eq(self.records.wdata.accumulator),
                        write.en.eq(self.records.write & valid_index),
                        count_write.data.eq(self.records.wdata.count),
                        count_write.en.eq(self.records.write & valid_index),
                    ]
                    if half:
                        m.d.comb += self.records.ready.eq(1)
                    else:
                        m.d.comb += self.records.ready.eq(~self.records.write)
                        with m.If(self.records.write):
                            m.next = "SECOND ACCESS"
                    with m.If(~self.records.valid):
                        m.next = "IDLE"
            steps = {name: fsm.ongoing(name) for name in list(fsm.encoding)}

        self.internals = SimpleNamespace(
            steps=steps, accumulators=accumulators, counts=counts, read=read, write=write, count_read=count_read,
            count_write=count_write, addend=addend, added=added, result=result, element=element, received=received,
            commit=commit, withhold=withhold, up=up, down=down, live=live, held=held, moving=moving,
            under_way=under_way, target=target, store=store, store_count=store_count,
        )  # fmt: skip
        return m

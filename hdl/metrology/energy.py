"""Energy: products become delivered and received energy, in registers that lose none of it."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed, unsigned
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


class Turn:
    """What every kind of energy stage knows of the element and of the frame whose turn it is, and how they end.

    Parameters
    ----------
    m : Module
        Gets the signals' statements.
    stage : Energy
        Whose ports they are.
    """

    def __init__(self, m: Module, stage: Energy):
        config, shown = stage._config, stage._shown
        self._stage = stage
        elements = self._elements = config.elements
        self._several = len(config.meter_elements) > 1
        self._last_of_meters = [last - 1 for last in itertools.accumulate(config.meter_elements)]
        self.index_bits = clog2(elements + len(config.meter_elements) + 1)
        # The total's index, of the meter whose turn it is.
        self.total = Signal(self.index_bits, init=elements) if self._several else Const(elements, self.index_bits)

        # Of the item; the product stays on the stream until it was needed for the last time.
        self.element = Signal(self.index_bits, reset_less=True)
        self.window = Signal(reset_less=True)
        self._last = self.element == elements - 1
        # What is known of the element. The first three are its flags, see RecordKind.GATE.
        self.loaded, self.seen = Signal(reset_less=True), Signal(reset_less=True)
        self.direction, self.received = Signal(reset_less=True), Signal(reset_less=True)
        self.commit, self.withhold = Signal(reset_less=True), Signal(reset_less=True)
        #: The flags after this frame.
        self.flags = Signal(3)
        m.d.comb += self.flags.eq(
            Cat(
                Mux(self.window, self.seen, self.loaded),
                self.seen & ~self.window,
                Mux(self.commit, self.received, self.direction),
            )
        )
        # The item's indicators, for the record.
        self.voltage, self.overrange = Signal(reset_less=True), Signal(reset_less=True)
        # Each output has a shadow: the elements' bits go in at one end, and have moved on by as many
        # places as there are elements at the ports when the frame ends.
        self._shows = self.element < shown if shown < elements else Const(1)
        self._shadows = {
            name: Signal.like(getattr(stage, name), name=f"shadow_{name}")
            for name in ("reversed", "no_load", "voltage", "overrange")
        }

        # Which half of the memory has the live records; `held`: the outside sees the other half; `moving`:
        # this frame writes to the other half. `served`: the last thing done was a record access.
        self.live, self.held, self.moving = Signal(), Signal(), Signal()
        self.under_way, self._served = Signal(), Signal()
        # After the turn of its first element a total is in the half that is written.
        self.begun = Signal() if self._several else self.element != 0
        m.d.sync += self.held.eq(self.held & stage.freeze)
        #: An access to a record has its turn, while no frame is under way.
        self.accessed = stage.records.valid & ~self.under_way & ~(self._served & stage.i.valid)

    def ends_meter(self, index: Value) -> Value:
        """Tell whether an element is its meter's last."""
        if not self._several:
            return index == self._elements - 1
        return Const(sum(1 << each for each in self._last_of_meters), self._elements).bit_select(index, 1)

    def access(self, m: Module) -> None:
        """Begin an access to a record."""
        m.d.sync += self._served.eq(1)
        m.next = "ACCESS"

    def accept(self, m: Module, first: str) -> None:
        """Begin an item's turn: a valid one's with the state ``first``, which has the item still on the stream."""
        stream, item = self._stage.i, self._stage.i.payload
        m.d.sync += [
            self.element.eq(item.element),
            self.window.eq(item.window),
            self._served.eq(0),
            self.under_way.eq(1),
        ]
        with m.If(item.ok):
            with m.If(~self.under_way):
                m.d.sync += self.moving.eq(self._stage.freeze & ~self.held)
            m.next = first
        with m.Else():
            m.d.comb += stream.ready.eq(1)
            with m.If(self.ends_meter(item.element)):
                m.next = "OUTPUT"

    def take(self, m: Module) -> None:
        """Take a valid item off the stream."""
        m.d.comb += self._stage.i.ready.eq(1)
        m.d.sync += [
            self.voltage.eq(self._stage.i.payload.voltage),
            self.overrange.eq(self._stage.i.payload.overrange),
        ]

    def decide(self, m: Module, energy: Value, is_large: Value) -> None:
        """Decide what becomes of the pending energy, which reaches the hysteresis or does not."""
        m.d.sync += [
            self.received.eq(energy[-1]),
            self.commit.eq(self.loaded & ((energy[-1] == self.direction) | is_large)),
            self.withhold.eq(~self.loaded & is_large),
        ]

    def shadow(self, m: Module) -> None:
        """Keep the element's indicators for the frame's end."""
        bits = {
            "reversed": self.flags[0] & self.flags[2],
            "no_load": ~self.flags[0],
            "voltage": self.voltage,
            "overrange": self.overrange,
        }
        with m.If(self._shows):
            m.d.sync += [shadow.eq(Cat(shadow[1:], bits[name])) for name, shadow in self._shadows.items()]

    def output(self, m: Module) -> None:
        """End a meter's turn, and with the last one's the frame."""
        stage, last = self._stage, self._last
        m.d.comb += [stage.o.valid.eq(1), stage.o.payload.last.eq(last)]
        with m.If(stage.o.ready):
            m.d.sync += stage.o.payload.tick.eq(0)
            if self._several:
                m.d.sync += [self.total.eq(Mux(last, self._elements, self.total + 1)), self.begun.eq(0)]
            m.next = "IDLE"
        with m.If(stage.o.ready & last):
            m.d.sync += [
                *(getattr(stage, name).eq(shadow) for name, shadow in self._shadows.items()),
                self.live.eq(self.live ^ self.moving),
                self.held.eq((self.held | self.moving) & stage.freeze),
                self.moving.eq(0),
                self.under_way.eq(0),
            ]

    def meet_total(self, m: Module) -> None:
        """The total is written: from now on it is in the half that this frame writes."""
        if self._several:
            m.d.sync += self.begun.eq(1)


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
        ``8 × e + 4 × half + k`` has record ``k`` of element ``e``: ``record(e, half, k)`` returns both.
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

    @staticmethod
    def depth_of(config: MeterConfig) -> int:
        """Return the words of the accumulators' memory, the larger of the two."""
        return 8 * (config.elements + len(config.meter_elements)) + len(Word)

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
        words = self.depth_of(config) - len(constants)
        m.submodules.accumulators = accumulators = Memory(
            shape=signed(config.accumulator_bits),
            depth=self.depth_of(config),
            init=[0] * words + [constants[word] for word in Word],
            attrs={"ram_style": "block"},
        )
        m.submodules.counts = counts = Memory(
            shape=unsigned(config.register_bits), depth=words, init=[], attrs={"ram_style": "block"}
        )
        read, write = accumulators.read_port(), accumulators.write_port()
        count_read, count_write = counts.read_port(), counts.write_port()
        turn = Turn(m, self)
        element, total, window, index_bits = turn.element, turn.total, turn.window, turn.index_bits
        loaded, seen, direction, flags = turn.loaded, turn.seen, turn.direction, turn.flags
        received, commit, withhold = turn.received, turn.commit, turn.withhold
        live, held, moving = turn.live, turn.held, turn.moving
        up, down = Signal(reset_less=True), Signal(reset_less=True)
        own, other = Cat(received, Const(1, 1)), Cat(~received, Const(1, 1))
        total_half = live ^ (moving & turn.begun)

        # `place`: the record whose count the memory shows in the next clock, and that `store` stores then.
        place = Signal(data.StructLayout({"kind": 2, "element": index_bits}))
        target = Signal.like(place, reset_less=True)
        place_half, target_half = Signal(), Signal()
        store, store_count = Signal(), Signal()
        m.d.sync += [target.eq(place), store.eq(0), store_count.eq(0)]
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
                with m.If(turn.accessed):
                    m.d.comb += [
                        place.eq(self.records.index),
                        place_half.eq(live ^ held),
                    ]
                    turn.access(m)
                with m.Elif(self.i.valid):
                    m.d.sync += addend.eq(Addend.PRODUCT)
                    turn.accept(m, "WINDOW")
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
                m.d.comb += read.addr.eq(constant(Word.TURN))
                m.d.sync += [against_threshold, result.eq(added), store.eq(1)]
                turn.take(m)
                m.next = "TURN"
            with m.State("TURN"):
                m.d.comb += [
                    write.addr.eq(constant(Word.SCRATCH)),
                    read.addr.eq(
                        Mux(result[-1], Const(constant(Word.QUANTUM)), Const(constant(Word.QUANTUM_NEGATIVE)))
                    ),
                    place.kind.eq(RecordKind.GATE),
                ]
                m.d.sync += [addend.eq(Addend.RESULT), store_count.eq(1)]
                turn.decide(m, result, below_zero)
                m.next = "WITHHOLD"
            with m.State("WITHHOLD"):
                m.d.comb += [
                    count_write.data[:5].eq(Cat(flags, turn.voltage, turn.overrange)),
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
                turn.shadow(m)
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
                turn.meet_total(m)
                with m.If(turn.ends_meter(element)):
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
                turn.output(m)
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

        def record(of: int, half: int, kind: int):
            place = 8 * of + 4 * half + kind
            return accumulators.data[place], counts.data[place]

        self.internals = SimpleNamespace(
            record=record, steps=steps, accumulators=accumulators, counts=counts, read=read, write=write,
            count_read=count_read, count_write=count_write, addend=addend, added=added, result=result, element=element,
            received=received, commit=commit, withhold=withhold, up=up, down=down, live=live, held=held, moving=moving,
            under_way=turn.under_way, target=target, store=store, store_count=store_count,
        )  # fmt: skip
        return m

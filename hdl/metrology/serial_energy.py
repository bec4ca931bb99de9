"""Energy with one access to one memory in a clock: for more elements than block RAM holds the records of."""

from __future__ import annotations

from types import SimpleNamespace

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, enum
from amaranth.lib.memory import Memory

from blondel.hdl.metrology.energy import Energy, Turn
from blondel.hdl.store.single_port import SinglePortMemory

__all__ = ["SerialEnergy"]


class Kind(enum.Enum, shape=3):
    """A record's kind, as in :class:`blondel.hdl.metrology.energy.RecordKind`."""

    GATE = 0b000
    PENDING = 0b001
    DELIVERED = 0b010
    #: The register that energy of the pending energy's sign is committed to, and the other: bit 0 follows the sign.
    OWN = 0b110
    OTHER = 0b111


class Of(enum.Enum, shape=2):
    """Whose record."""

    ELEMENT = 0b00
    #: The total's of the element's meter.
    TOTAL = 0b01
    #: The memory's last word: an element's pending energy, before it is committed.
    SCRATCH = 0b10


class Operand(enum.Enum, shape=3):
    """What the adder adds something to."""

    #: The word that was read in the line before.
    MEMORY = 0
    #: The start energy less one.
    START = 1
    #: The hysteresis less one.
    TURN = 2
    TICK_NEGATIVE = 3
    QUANTUM_NEGATIVE = 4
    QUANTUM = 5
    #: One of the latter two: the one that has not the result's sign.
    QUANTUM_AGAINST = 6


class Addend(enum.Enum, shape=3):
    """What the adder adds."""

    ZERO = 0
    PRODUCT = 1
    RESULT = 2
    #: Minus the result's magnitude. The sum with T − 1 is below zero if that is T or more.
    MAGNITUDE_NEGATIVE = 3
    #: The result, as the register of its sign takes it, if it is committed.
    COMMITTED = 4
    #: The result, if it is committed as delivered.
    COMMITTED_DELIVERED = 5
    #: A count's step: up, down or none. The result is zero, or the step is not down.
    STEP = 6


class Result(enum.Enum, shape=3):
    """What the result becomes at the line's end."""

    KEPT = 0
    SUM = 1
    ZERO = 2
    #: Zero if the element had been seen to be a load before, or the window ends.
    GATE = 3
    #: The sum if a quantum is withheld, zero if the energy is committed.
    PENDING = 4
    #: The sum if a quantum, or a tick, is there.
    RESIDUE = 5


class Event(enum.IntEnum):
    """What a line can do besides, a bit each."""

    #: The element's flags are in the word that was read.
    FLAGS = 0
    #: The element is seen, if the sum is below zero.
    SEEN = 1
    #: The item's product was needed for the last time.
    TAKE = 2
    #: What becomes of the pending energy, by the sum.
    DECIDE = 3
    #: The flags are known, and the step of the withheld quanta.
    DECIDED = 4
    #: A quantum is there, if the sum is not below zero.
    QUANTUM = 5
    #: Likewise a tick, after a meter's last element.
    TICK = 6
    END = 7


#: A line of the program. The next line's operand and addend are here, so that registers choose them.
LINE = data.StructLayout(
    {
        "write": 1, "count": 1, "kind": Kind, "of": Of,
        "next_operand": Operand, "next_addend": Addend, "result": Result, "events": len(Event),
    }
)  # fmt: skip


def _read(kind: Kind, *, count: bool = False, of: Of = Of.ELEMENT) -> dict:
    """Return the part of a line that reads an accumulator, or a count."""
    return {"kind": kind, "count": count, "of": of}


def _write(kind: Kind, *, count: bool = False, of: Of = Of.ELEMENT) -> dict:
    """Return the part of a line that writes the result of the line before."""
    return _read(kind, count=count, of=of) | {"write": 1}


def _add(addend: Addend, *, to: Operand = Operand.MEMORY, result: Result = Result.SUM) -> dict:
    """Return the part of a line that adds."""
    return {"operand": to, "addend": addend, "result": result}


def _on(event: Event) -> dict:
    return {"events": 1 << event}


_SCRATCH = {"kind": Kind.GATE, "of": Of.SCRATCH}
_QUANTUM = {"addend": Addend.RESULT, "operand": Operand.QUANTUM_NEGATIVE}
_TICK = {"addend": Addend.RESULT, "operand": Operand.TICK_NEGATIVE}
_ZERO, _RESIDUE = {"result": Result.ZERO}, {"result": Result.RESIDUE}


def _register(kind: Kind, addend: Addend) -> list[dict]:
    """Return the lines of a register: a quantum, if there is one; then the result is the pending energy again."""
    return [
        _read(kind),
        _add(addend),
        _QUANTUM | _on(Event.QUANTUM),
        _read(kind, count=True) | _QUANTUM | _RESIDUE,
        _write(kind) | _add(Addend.STEP),
        _write(kind, count=True),
        _read(kind, count=True, of=Of.TOTAL),
        _SCRATCH | _add(Addend.STEP),
        _write(kind, count=True, of=Of.TOTAL) | _add(Addend.ZERO),
    ]


#: An element's turn, a clock a line. What a line reads is the next one's operand.
PROGRAM = [
    _read(Kind.GATE, count=True),
    _read(Kind.GATE) | _on(Event.FLAGS),
    _add(Addend.PRODUCT),
    # The magnitude's sign is the result's, not the sum's.
    {},
    _read(Kind.PENDING)
    | _add(Addend.MAGNITUDE_NEGATIVE, to=Operand.START, result=Result.GATE)
    | _on(Event.SEEN),
    _write(Kind.GATE) | _add(Addend.PRODUCT) | _on(Event.TAKE),
    _SCRATCH | {"write": 1},
    _add(Addend.MAGNITUDE_NEGATIVE, to=Operand.TURN, result=Result.KEPT) | _on(Event.DECIDE),
    _add(Addend.RESULT, to=Operand.QUANTUM_AGAINST, result=Result.PENDING) | _on(Event.DECIDED),
    _write(Kind.PENDING) | _ZERO,
    _read(Kind.PENDING, count=True),
    _add(Addend.STEP),
    _write(Kind.PENDING, count=True) | _ZERO,
    _write(Kind.GATE, count=True),
    *_register(Kind.OTHER, Addend.ZERO),
    *_register(Kind.OWN, Addend.COMMITTED),
    _read(Kind.DELIVERED, of=Of.TOTAL),
    _add(Addend.COMMITTED_DELIVERED),
    _TICK | _on(Event.TICK),
    _TICK | _RESIDUE,
    _write(Kind.DELIVERED, of=Of.TOTAL) | _on(Event.END),
]


def assemble(program: list[dict]) -> list[dict]:
    """Return a program's words in memory: its lines, whole, with the next line's operand and addend.

    Raises
    ------
    ValueError
        A line uses the word that was read before it, where none was.
    """
    blank = _read(Kind.GATE) | {"write": 0, "result": Result.KEPT, "events": 0}
    words = []
    for number, (line, following) in enumerate(zip(program, [*program[1:], {}], strict=True)):
        uses = following.get("operand") is Operand.MEMORY or following.get("events") == 1 << Event.FLAGS
        if uses and ("kind" not in line or "write" in line):
            raise ValueError(f"line {number} reads nothing, and line {number + 1} uses it")
        word = blank | line
        word.pop("operand", None)
        word.pop("addend", None)
        words.append(
            word
            | {
                "next_operand": following.get("operand", Operand.MEMORY),
                "next_addend": following.get("addend", Addend.ZERO),
            }
        )
    return words


class SerialEnergy(Energy):
    """:class:`Energy` with all words in one memory that has a single port, and one adder for all of them.

    Where many elements need more words than block RAM has, a UP5K's SPRAM has room. Each element's turn is a
    program of :data:`PROGRAM`'s lines, one access and one sum each: it takes three times as many clocks, and fewer
    gates. The thresholds are constants, and the program is gates too: with many meters block RAM is what lacks.

    Nothing is known of the memory at power-up, so the words are set to zero first, in 16 clocks for each
    element and each total; meanwhile items and accesses wait.

    Parameters, members : as of :class:`Energy`.

    Attributes
    ----------
    latency : int
        Clocks from the acceptance of a valid frame's last item to ``o`` being valid.
    turn_clocks : int
        Clocks of an element's turn.
    internals : SimpleNamespace
        After elaboration, for tests: ``record``, as of :class:`Energy`. Word ``16 × e + 8 × half + 2 × k`` of the
        memory is the accumulator of record ``k`` of element ``e``, the next one its count.
    """

    turn_clocks = 1 + len(PROGRAM)
    latency = len(PROGRAM) - next(n for n, line in enumerate(PROGRAM) if line.get("events") == 1 << Event.TAKE)

    def elaborate(self, platform) -> Module:
        m = Module()
        config, records = self._config, self.records
        owners = config.elements + len(config.meter_elements)
        turn = Turn(m, self)
        element, received, commit, withhold = turn.element, turn.received, turn.commit, turn.withhold
        width = max(config.accumulator_bits, config.register_bits)
        m.submodules.words = words = SinglePortMemory(width, 16 << turn.index_bits)
        m.submodules.program = program = Memory(
            shape=LINE, depth=len(PROGRAM), init=assemble(PROGRAM), attrs={"ram_style": "logic"}
        )
        fetch = program.read_port()
        now, number, following = fetch.data, Signal(range(len(PROGRAM))), Signal(range(len(PROGRAM)))
        m.d.sync += number.eq(following)
        m.d.comb += fetch.addr.eq(following)

        count, kind, half, of = Signal(), Signal(2), Signal(), Signal(turn.index_bits)
        m.d.comb += words.addr.eq(Cat(count, kind, half, of))

        # The adder: what it adds to what is chosen in the line before. `up`: a quantum or a tick is there.
        result = Signal(signed(width), reset_less=True)
        up, down = Signal(reset_less=True), Signal(reset_less=True)
        operand = Signal(Operand, reset_less=True)
        uses_result, uses_other, carry = Signal(reset_less=True), Signal(reset_less=True), Signal(reset_less=True)
        first, second, added = Signal(signed(width)), Signal(signed(width)), Signal(signed(width))
        constants = {
            Operand.START: config.start_energy - 1,
            Operand.TURN: config.hysteresis - 1,
            Operand.TICK_NEGATIVE: -config.tick,
            Operand.QUANTUM_NEGATIVE: -config.quantum,
            Operand.QUANTUM: config.quantum,
        }
        with m.Switch(operand):
            for name, value in constants.items():
                with m.Case(name):
                    m.d.comb += first.eq(value)
            with m.Default():
                m.d.comb += first.eq(words.rdata)
        with m.Switch(Cat(uses_other, uses_result)):
            with m.Case(0b01):
                m.d.comb += second.eq(self.i.payload.product)
            with m.Case(0b10):
                m.d.comb += second.eq(result)
            with m.Case(0b11):
                m.d.comb += second.eq(~result)
        m.d.comb += added.eq(first + second + carry)
        below_zero = added[-1]

        m.d.sync += [operand.eq(now.next_operand), Cat(uses_other, uses_result, carry).eq(0)]
        with m.If(now.next_operand == Operand.QUANTUM_AGAINST):
            m.d.sync += operand.eq(Mux(result[-1], Operand.QUANTUM, Operand.QUANTUM_NEGATIVE))
        with m.Switch(now.next_addend):
            with m.Case(Addend.PRODUCT):
                m.d.sync += uses_other.eq(1)
            with m.Case(Addend.RESULT):
                m.d.sync += uses_result.eq(1)
            with m.Case(Addend.MAGNITUDE_NEGATIVE):
                m.d.sync += [uses_result.eq(1), Cat(uses_other, carry).eq((~result[-1]).replicate(2))]
            with m.Case(Addend.COMMITTED):
                m.d.sync += [uses_result.eq(commit), Cat(uses_other, carry).eq((commit & received).replicate(2))]
            with m.Case(Addend.COMMITTED_DELIVERED):
                m.d.sync += uses_result.eq(commit & ~received)
            with m.Case(Addend.STEP):
                m.d.sync += Cat(uses_other, uses_result, carry).eq(Cat(down, down, up))

        # An access shows the words as they come; `shows_count`, `shown`: which one, and whether it is one.
        shows_count, shown = Signal(), Signal()
        wants_count = records.word[2]
        m.d.sync += [shows_count.eq(wants_count), shown.eq(0)]
        m.d.comb += [
            words.wdata.eq(result),
            records.rdata.accumulator.eq(words.rdata[: config.accumulator_bits].as_signed()),
            records.rdata.count.eq(words.rdata[: config.register_bits]),
        ]

        with m.FSM():
            with m.State("POWER-UP"):
                m.d.sync += [element.eq(0), result.eq(0)]
                m.next = "CLEAR"
            with m.State("CLEAR"):
                m.d.comb += [
                    Cat(count, kind, half).eq(number[:4]),
                    of.eq(element),
                    words.write.eq(1),
                    following.eq((number + 1)[:4]),
                ]
                with m.If(number[:4].all()):
                    m.d.sync += element.eq(element + 1)
                    with m.If(element == owners - 1):
                        m.next = "IDLE"
            with m.State("IDLE"):
                with m.If(turn.accessed):
                    m.d.sync += element.eq(records.index[2:])
                    turn.access(m)
                with m.Elif(self.i.valid):
                    turn.accept(m, "TURN")
            with m.State("TURN"):
                of_total, scratch = now.of == Of.TOTAL, now.of == Of.SCRATCH
                m.d.comb += [
                    following.eq(number + 1),
                    words.write.eq(now.write),
                    count.eq(now.count),
                    kind.eq(now.kind.as_value() ^ (now.kind.as_value()[2] & received)),
                    # What this frame has written already is where it writes.
                    half.eq(turn.live ^ (turn.moving & (now.write | (of_total & turn.begun))) | scratch),
                    of.eq(Mux(of_total, turn.total, element) | scratch.replicate(len(of))),
                ]
                with m.If(now.count & (now.kind == Kind.GATE)):
                    m.d.comb += words.wdata[:5].eq(Cat(turn.flags, turn.voltage, turn.overrange))
                with m.Switch(now.result):
                    with m.Case(Result.SUM):
                        m.d.sync += result.eq(added)
                    with m.Case(Result.ZERO):
                        m.d.sync += result.eq(0)
                    with m.Case(Result.GATE), m.If(turn.seen | turn.window):
                        m.d.sync += result.eq(0)
                    with m.Case(Result.PENDING):
                        with m.If(withhold):
                            m.d.sync += result.eq(added)
                        with m.If(commit):
                            m.d.sync += result.eq(0)
                    with m.Case(Result.RESIDUE), m.If(up):
                        m.d.sync += result.eq(added)

                with m.If(now.events[Event.FLAGS]):
                    m.d.sync += Cat(turn.loaded, turn.seen, turn.direction).eq(words.rdata)
                with m.If(now.events[Event.SEEN] & below_zero):
                    m.d.sync += [turn.seen.eq(1), turn.loaded.eq(1)]
                with m.If(now.events[Event.TAKE]):
                    turn.take(m)
                with m.If(now.events[Event.DECIDE]):
                    turn.decide(m, result, below_zero)
                with m.If(now.events[Event.DECIDED]):
                    m.d.sync += [up.eq(withhold & ~received), down.eq(withhold & received)]
                    turn.shadow(m)
                with m.If(now.events[Event.QUANTUM]):
                    m.d.sync += [up.eq(~below_zero), down.eq(0)]
                with m.If(now.events[Event.TICK]):
                    m.d.sync += up.eq(~below_zero & turn.ends_meter(element))
                with m.If(now.events[Event.END]):
                    m.d.sync += self.o.payload.tick.eq(up)
                    turn.meet_total(m)
                    with m.If(turn.ends_meter(element)):
                        m.next = "OUTPUT"
                    with m.Else():
                        m.next = "IDLE"
            with m.State("OUTPUT"):
                turn.output(m)
            with m.State("ACCESS"):
                m.d.comb += [
                    Cat(count, kind, half).eq(Cat(wants_count, records.index[:2], turn.live ^ turn.held)),
                    of.eq(element),
                    records.ready.eq(shown & (shows_count == wants_count)),
                ]
                m.d.sync += shown.eq(1)
                with m.If(~records.valid):
                    m.next = "IDLE"
                with m.Elif(records.write & ~shown):
                    # Both words, in both halves.
                    m.d.comb += [
                        following.eq((number + 1)[:2]),
                        Cat(count, half).eq(number),
                        words.write.eq(element < owners),
                        words.wdata.eq(Mux(number[0], records.wdata.count, records.wdata.accumulator)),
                    ]
                    m.d.sync += shown.eq(number[:2].all())

        def record(of: int, half: int, kind: int):
            accumulator, count = (words.memory.data[16 * of + 8 * half + 2 * kind + k] for k in (0, 1))
            return accumulator[: config.accumulator_bits].as_signed(), count[: config.register_bits]

        self.internals = SimpleNamespace(record=record)
        return m

"""The register port: every record of the core, as 32-bit words."""

from __future__ import annotations

import enum
from collections.abc import Collection

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from blondel.hdl.config import MeterConfig
from blondel.hdl.link.record import RecordSignature

__all__ = ["Block", "RegisterSignature", "Registers", "Status", "register_address"]

#: Words of a record, as the port has them.
_WORDS = 4


class Block(enum.IntEnum):
    """Which stage a record belongs to: the highest bits of its address."""

    #: Index: element × 4 + 0 gate, 1 pending, 2 delivered, 3 received; after the last element, the meters' totals.
    ENERGY = 0
    #: Index: channel. Accumulator: what is added to each sample, minus its offset, LSB × 2**-window_log2.
    OFFSET = 1
    #: Index: channel. Accumulator: all-pass coefficient × 2**18; count: whole samples of delay.
    PHASE = 2
    #: Index: channel. Accumulator: (gain − 1) × 2**24.
    GAIN = 3
    #: Index 0. Accumulator: valid frames; count: invalid frames, each 1 / sample_rate_hz of lost time.
    FRAMES = 4
    #: Index: meter × 2 + 0 pulse outputs, 1 test pulse. Accumulator: ticks waiting; count: half pulses emitted.
    PULSES = 5
    #: Index: meter. Accumulator: counts waiting; count: counts driven.
    COUNTER = 6
    #: Index element: count: bit 0 voltage, 1 reversed, 2 overrange, 3 no load, of the same frame as the energy records;
    #: writing it does nothing. Index elements: accumulator bit 0 freezes the copies of the energy records; count: bit 0
    #: queued, of any meter. Writing it clears the sticky flags, with the next frame.
    STATUS = 7


def index_bits(config: MeterConfig) -> int:
    """Return the bits of a record's index within its block."""
    return config.element_bits + 2


def register_address(config: MeterConfig, block: Block, index: int, word: int = 0) -> int:
    """Return the address of a word.

    Parameters
    ----------
    config : MeterConfig
    block : Block
    index : int
        Record within the block.
    word : int
        0, 1: accumulator, low and high half. 2, 3: count, low and high half.
    """
    return (block << index_bits(config) | index) << 2 | word


class RegisterSignature(wiring.Signature):
    """The register port, from the side that asks.

    Parameters
    ----------
    config : MeterConfig
        Gives the width of the address.

    Members
    -------
    valid : Out(1)
        Asks; stays, with ``address``, ``write`` and ``wdata``, until ``ready``.
    address : Out
        See :func:`register_address`.
    write : Out(1)
    wdata : Out(32)
    ready : In(1)
        The access is complete; stays until ``valid`` falls, which it has to for a clock before the next one.
    rdata : In(32)
        What was read; the same while ``ready``.
    """

    def __init__(self, config: MeterConfig):
        super().__init__(
            {
                "valid": Out(1),
                "address": Out(index_bits(config) + 5),
                "write": Out(1),
                "wdata": Out(32),
                "ready": In(1),
                "rdata": In(32),
            }
        )


class Registers(wiring.Component):
    """Give the outside 32-bit words of records that the stages give whole.

    Reading word 0 of a record copies all of it, while its stage waits, to a small memory; words 1 to 3 are
    then read from the copy. Writing works the other way round: words 0 to 2 are kept, and writing
    word 3 writes the whole record. So no value is ever torn, however slowly its words are asked for.

    Parameters
    ----------
    config : MeterConfig
    blocks : collection of Block
        Those that can be reached. The others take no gates; their words read as anything, and writing them
        does nothing. Default: all.

    Members
    -------
    port : In(RegisterSignature(config))
        The outside.
    blocks : Out(RecordSignature) × 8
        The stages, in the order of :class:`Block`; the last is :class:`Status`.

    Attributes
    ----------
    latency : int
        Clocks from ``valid`` to ``ready`` where word 0 is read of a stage that is idle and answers in the
        next clock. Another word that is read takes 1, word 3 that is written 3, another that is written none.
    """

    latency = 1 + 2 * _WORDS + 1

    def __init__(self, config: MeterConfig, blocks: Collection[Block] = tuple(Block)):
        self._index_bits = index_bits(config)
        self._reached = sorted(blocks)
        super().__init__(
            {
                "port": In(RegisterSignature(config)),
                "blocks": Out(RecordSignature(self._index_bits)).array(len(Block)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        port = self.port
        word = port.address[:2]
        index = port.address[2 : 2 + self._index_bits]
        block = port.address[2 + self._index_bits :]
        # Even words of a record, and odd ones.
        halves = [Memory(shape=16, depth=_WORDS, init=[], attrs={"ram_style": "block"}) for _ in range(2)]
        reads, writes = [each.read_port() for each in halves], [each.write_port() for each in halves]
        m.submodules.even, m.submodules.odd = halves
        kept = [Signal(32, name=f"kept_{k}", reset_less=True) for k in range(_WORDS - 1)]
        asking, answered, copied, place = Signal(), Signal(), Signal(16), Signal(range(2 * _WORDS))
        for odd, (read, write) in enumerate(zip(reads, writes, strict=True)):
            m.d.comb += [
                read.addr.eq(word),
                write.addr.eq(place[1:]),
                write.data.eq(copied),
                write.en.eq(answered & asking & (place[0] == odd)),
            ]
        m.d.comb += port.rdata.eq(Cat(read.data for read in reads))
        for number in self._reached:
            records = self.blocks[number]
            m.d.comb += [
                records.valid.eq(asking & (block == number)),
                records.index.eq(index),
                records.word.eq(place),
                records.write.eq(port.write),
                records.wdata.accumulator.eq(Cat(kept[0], kept[1])),
                records.wdata.count.eq(Cat(kept[2], port.wdata)),
            ]
        with m.Switch(block):
            for number in self._reached:
                with m.Case(number):
                    m.d.comb += answered.eq(self.blocks[number].ready)
            with m.Default():
                m.d.comb += answered.eq(1)
        with m.Switch(Cat(place, block)):
            for number in self._reached:
                rdata = self.blocks[number].rdata
                record = Cat(rdata.accumulator, rdata.count)
                for k in range(2 * _WORDS):
                    with m.Case(number << 3 | k):
                        m.d.comb += copied.eq(record.word_select(k, 16))

        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += place.eq(0)
                with m.If(port.valid):
                    with m.If(port.write & (word != _WORDS - 1)):
                        m.d.comb += port.ready.eq(1)
                        with m.Switch(word):
                            for number, each in enumerate(kept):
                                with m.Case(number):
                                    m.d.sync += each.eq(port.wdata)
                    with m.Elif(port.write | (word == 0)):
                        m.next = "ASK"
                    with m.Else():
                        m.next = "READY"
            with m.State("ASK"):
                m.d.comb += asking.eq(1)
                with m.If(answered):
                    m.d.sync += place.eq(place + 1)
                    # Word 0 is read in this clock, long after it was written.
                    with m.If(port.write | place.all()):
                        m.next = "READY"
            with m.State("READY"):
                m.d.comb += port.ready.eq(1)
                with m.If(~port.valid):
                    m.next = "IDLE"
        return m


class Status(wiring.Component):
    """The freeze bit, the clearing of sticky flags, and the outputs' own.

    Parameters
    ----------
    config : MeterConfig

    Members
    -------
    records : In(RecordSignature)
        The last one of :attr:`Block.STATUS`, at any index.
    queued : In(1)
        The pulse outputs' overload flag, of any meter.
    freeze : Out(1)
        The copies of the energy records stay as they are.
    clear : Out(1)
        For one clock: sticky flags go.
    """

    def __init__(self, config: MeterConfig):
        super().__init__(
            {
                "records": In(RecordSignature(index_bits(config))),
                "queued": In(1),
                "freeze": Out(1),
                "clear": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        records = self.records
        m.d.comb += [
            records.ready.eq(records.valid),
            self.clear.eq(records.valid & records.write),
            records.rdata.accumulator.eq(Cat(self.freeze, Const(0, 1))),
            records.rdata.count.eq(self.queued),
        ]
        with m.If(self.clear):
            m.d.sync += self.freeze.eq(records.wdata.accumulator[0])
        return m

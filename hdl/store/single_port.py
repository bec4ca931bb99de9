"""A memory with a single port: the large RAMs of a UP5K, and what stands for them elsewhere."""

from __future__ import annotations

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from blondel.hdl.fixed import clog2

__all__ = ["SinglePortMemory"]

#: Bits of a word, and words, of the UP5K's SPRAM.
_SPRAM_BITS, _SPRAM_WORDS = 16, 1 << 14


class SinglePortMemory(wiring.Component):
    """Words that are read or written, one in a clock; nothing is known of them before they are written.

    On a UP5K it is made of ``SB_SPRAM256KA``, 16 bits of each word in one. Elsewhere it is a memory, whose words
    are at first what nobody would take for zeros.

    Parameters
    ----------
    width : int
        Bits of a word.
    depth : int
        Words; at most 16,384.

    Members
    -------
    addr : In
        Which word.
    write : In(1)
        1 to write ``wdata``, 0 to read.
    wdata : In(width)
        What to write.
    rdata : Out(width)
        The word that was read in the clock before. After a clock in which one was written it means nothing.
    """

    def __init__(self, width: int, depth: int):
        if depth > _SPRAM_WORDS:
            raise ValueError(f"depth is {depth}; allowed: up to {_SPRAM_WORDS}")
        self._width = width
        self._depth = depth
        super().__init__({"addr": In(clog2(depth)), "write": In(1), "wdata": In(width), "rdata": Out(width)})

    def elaborate(self, platform) -> Module:
        m = Module()
        if getattr(platform, "device", "").startswith("iCE40UP"):
            for place in range(0, self._width, _SPRAM_BITS):
                bits = slice(place, min(place + _SPRAM_BITS, self._width))
                unused = _SPRAM_BITS - (bits.stop - bits.start)
                m.submodules[f"spram_{place // _SPRAM_BITS}"] = Instance(
                    "SB_SPRAM256KA",
                    i_ADDRESS=Cat(self.addr, Const(0, clog2(_SPRAM_WORDS) - len(self.addr))),
                    i_DATAIN=Cat(self.wdata[bits], Const(0, unused)),
                    i_MASKWREN=Const(0b1111, 4), i_WREN=self.write, i_CHIPSELECT=Const(1), i_CLOCK=ClockSignal(),
                    # POWEROFF is active low.
                    i_STANDBY=Const(0), i_SLEEP=Const(0), i_POWEROFF=Const(1),
                    o_DATAOUT=Cat(self.rdata[bits], Signal(unused)),
                )  # fmt: skip
            return m
        anything = int("5a" * (self._width // 8 + 1), 16) & ((1 << self._width) - 1)
        m.submodules.memory = self.memory = memory = Memory(
            shape=self._width, depth=self._depth, init=[anything] * self._depth, attrs={"ram_style": "block"}
        )
        read, write = memory.read_port(), memory.write_port()
        m.d.comb += [
            read.addr.eq(self.addr),
            read.en.eq(~self.write),
            write.addr.eq(self.addr),
            write.en.eq(self.write),
            write.data.eq(self.wdata),
            self.rdata.eq(read.data),
        ]
        return m

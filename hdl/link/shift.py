"""Shift register: the outputs of many meters at three pins."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from blondel.hdl.config import MeterConfig
from blondel.hdl.outputs.pulses import LEVELS, EventSignature

__all__ = ["ShiftRegister"]


class ShiftRegister(wiring.Component):
    """Show all meters' outputs at a chain of 74HC595 shift registers, one for each meter, over and over.

    The chain gets every level in every pass: what a disturbance shifts wrongly is right again with the next one. The
    levels are in block RAM, where the events put them.

    Parameters
    ----------
    config : MeterConfig
        Uses ``meter_elements``, ``meter_bits``.

    Members
    -------
    event : In(EventSignature(config))
        Changes of the outputs.
    data, clock, latch : Out(1)
        SER, SRCLK and RCLK of the chain; its first chip is the first meter's, whose QA to QF are its outputs in the
        order of :data:`~blondel.hdl.outputs.pulses.LEVELS`. Straight from flip-flops; a quarter of the clock.

    Attributes
    ----------
    pass_clocks : int
        Clocks of a pass, after which the chain's outputs change; an event makes it up to two clocks longer.
    """

    def __init__(self, config: MeterConfig):
        self._config = config
        self.pass_clocks = 4 * 8 << config.meter_bits
        super().__init__({"event": In(EventSignature(config)), "data": Out(1), "clock": Out(1), "latch": Out(1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        bits = self._config.meter_bits
        m.submodules.memory = memory = Memory(
            shape=unsigned(len(LEVELS)), depth=1 << bits, init=[], attrs={"ram_style": "block"}
        )
        read, write = memory.read_port(), memory.write_port()
        # What is shifted first goes furthest: the last chip's highest bit. Chips that are not there get theirs first.
        phase, bit, meter = Signal(2), Signal(3, init=7), Signal(bits, init=(1 << bits) - 1)
        m.d.comb += [
            read.addr.eq(meter),
            write.addr.eq(self.event.meter),
            write.data.eq(self.event.levels),
            write.en.eq(self.event.valid),
        ]
        m.d.sync += [phase.eq(phase + 1), self.clock.eq(phase[1]), self.latch.eq(0)]
        with m.If(phase[1]), m.If(phase[0]):
            m.d.sync += Cat(bit, meter).eq(Cat(bit, meter) - 1)
        with m.Else():
            m.d.sync += self.data.eq(read.data.bit_select(bit, 1))
            m.d.sync += self.latch.eq(Cat(bit, meter).all())
            # What was read while it was written is read again.
            with m.If(self.event.valid):
                m.d.sync += phase.eq(0)
        return m

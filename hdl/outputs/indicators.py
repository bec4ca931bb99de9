"""Indicators: is each element's voltage in the model's range, and its current within its own?"""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from blondel.hdl.config import INDICATOR_BITS, MeterConfig
from blondel.hdl.items import element_item, energy_item
from blondel.hdl.metrology.multiplier import MultiplierSignature

__all__ = ["Indicators"]


class Indicators(wiring.Component):
    """Watch each element's rms voltage and current, window by window.

    The squares of a window's voltages, and of its currents, are summed and compared with the sums that
    the range's ends would give: no root is taken. The frames by which a window is longer than
    2**window_log2 do not count, so every sum has as many squares. Sums cannot overflow.

    Parameters
    ----------
    config : MeterConfig
        Uses ``elements``, ``window_log2``, ``indicator_bits``, ``voltage_low``, ``voltage_high``, ``current_high``.

    Members
    -------
    i : In(stream of element_item)
        The squares are of ``voltage`` and ``current``, signed(16), LSB × 2**indicator_shift of the
        calibrated samples.
    o : Out(stream of energy_item)
        What the registers need of the item.
    multiplier : Out(MultiplierSignature)
        Two products for each valid item.
    voltage : Out(elements)
        A bit for each element: the voltage of the last whole window was out of the line's range; 0 before
        the end of the first one.
    overrange : Out(elements)
        A bit for each element, sticky: a channel was clipped in a valid frame, or the current of a window
        was above 110.5 % of the class amps.
    clear : In(1)
        Clears ``overrange`` while high.

    Attributes
    ----------
    latency : int
        Clocks from a valid item's acceptance to its successor's being valid, with the outputs settled,
        where the multiplier is free.
    """

    latency = 10

    def __init__(self, config: MeterConfig):
        self._config = config
        super().__init__(
            {
                "i": In(stream.Signature(element_item(config))),
                "o": Out(stream.Signature(energy_item(config))),
                "multiplier": Out(MultiplierSignature(config)),
                "voltage": Out(config.elements),
                "overrange": Out(config.elements),
                "clear": In(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        config = self._config
        # Sums of an element, voltage's then current's.
        m.submodules.memory = memory = Memory(
            shape=unsigned(config.indicator_bits),
            depth=2 * config.elements,
            init=[],
            attrs={"ram_style": "block"},
        )
        read, write = memory.read_port(), memory.write_port()

        item = Signal(self.i.payload.shape(), reset_less=True)
        # Which of the element's two: 0 voltage, 1 current.
        which = Signal()
        total = Signal(config.indicator_bits, reset_less=True)
        limit = Signal(config.indicator_bits)
        below = Signal()
        above = Signal(reset_less=True)
        summed = Signal(config.indicator_bits)
        # Valid frames of the window; what comes after the first 2**window_log2 does not count.
        frames = Signal(config.window_log2 + 1)
        square = Signal(2 * INDICATOR_BITS - 1)
        with m.If(~frames[-1]):
            m.d.comb += square.eq(self.multiplier.product)
        m.d.comb += [
            summed.eq(read.data + square),
            read.addr.eq(Cat(which, item.element)),
            write.addr.eq(read.addr),
            write.data.eq(Mux(item.window, 0, summed)),
            self.multiplier.a.eq(Mux(which, item.current, item.voltage)),
            self.multiplier.b.eq(self.multiplier.a),
            below.eq(total < limit),
            self.o.payload.element.eq(item.element),
            self.o.payload.ok.eq(item.ok),
            self.o.payload.window.eq(item.window),
            self.o.payload.product.eq(item.product),
        ]
        voltage = self.voltage.bit_select(item.element, 1)
        overrange = self.overrange.bit_select(item.element, 1)
        m.d.comb += [self.o.payload.voltage.eq(voltage), self.o.payload.overrange.eq(overrange)]

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [item.eq(self.i.payload), which.eq(0)]
                with m.If(self.i.valid):
                    m.next = "REQUEST"
                    with m.If(~self.i.payload.ok):
                        m.next = "OUTPUT"
            with m.State("REQUEST"):
                m.d.comb += self.multiplier.valid.eq(1)
                with m.If(self.multiplier.ready):
                    m.next = "SUM"
            with m.State("SUM"):
                m.d.comb += write.en.eq(self.multiplier.done)
                m.d.sync += total.eq(summed)
                with m.If(item.clip):
                    m.d.sync += overrange.eq(1)
                with m.If(self.multiplier.done):
                    m.next = "HIGH"
            with m.State("HIGH"):
                # Not below the limit's successor: above the limit.
                m.d.comb += limit.eq(Mux(which, config.current_high + 1, config.voltage_high + 1))
                m.d.sync += [above.eq(~below), which.eq(1)]
                m.next = "LOW"
                with m.If(which):
                    with m.If(item.window & ~below):
                        m.d.sync += overrange.eq(1)
                    m.next = "OUTPUT"
            with m.State("LOW"):
                m.d.comb += limit.eq(config.voltage_low)
                with m.If(item.window):
                    m.d.sync += voltage.eq(above | below)
                m.next = "REQUEST"
            with m.State("OUTPUT"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.next = "IDLE"
                    with m.If(item.ok & (item.element == config.elements - 1)):
                        m.d.sync += frames.eq(Mux(item.window, 0, frames + ~frames[-1]))
        with m.If(self.clear):
            m.d.sync += self.overrange.eq(0)
        return m

"""Indicators: is each element's voltage in the model's range, and its current within its own?"""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from blondel.hdl.config import INDICATOR_BITS, MeterConfig
from blondel.hdl.fixed import Rounding, shift_right
from blondel.hdl.items import channel_item, watched_item
from blondel.hdl.metrology.multiplier import Multiplier, MultiplierSignature

__all__ = ["Indicators", "NoIndicators"]


class Indicators(wiring.Component):
    """Watch each element's rms voltage and current, window by window.

    The squares of a window's voltages, and of its currents, are summed and compared with the sums that
    the range's ends would give: no root is taken. The frames by which a window is longer than
    2**window_log2 do not count, so every sum has as many squares. Sums cannot overflow.

    Parameters
    ----------
    config : MeterConfig
        Uses ``elements``, ``path_bits``, ``window_log2``, ``indicator_shift``, ``indicator_bits``,
        ``indicator_step_log2``, ``voltage_low``, ``voltage_high``, ``current_high``.

    Members
    -------
    i : In(stream of channel_item(path_bits))
        Calibrated samples; the squares are of their 16 high bits. The frame that ends a window is a late
        one. An item stays on the stream until its successor is taken.
    o : Out(stream of watched_item)
        The same samples; currents with the indicators of their elements. ``voltage``: the voltage of the last whole
        window was out of the line's range; 0 before the end of the first one. ``overrange``, sticky: a channel was
        clipped in a valid frame, or the current of a window was above 110.5 % of the class amps.
    multiplier : Out(MultiplierSignature)
        A product for each valid item that is not late.
    clear : In(1)
        A clock of it clears ``overrange`` of all elements with the next valid frame.

    Attributes
    ----------
    latency : int
        Clocks from a valid item's being valid to its successor's being valid, where the multiplier is
        free. A late item takes 1, or 3 at the end of a window; an invalid one's is valid at once.
    """

    latency = 1 + Multiplier.latency

    def __init__(self, config: MeterConfig):
        self._config = config
        super().__init__(
            {
                "i": In(stream.Signature(channel_item(config, config.path_bits))),
                "o": Out(stream.Signature(watched_item(config))),
                "multiplier": Out(MultiplierSignature(config)),
                "clear": In(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        config = self._config
        bits = config.indicator_bits
        # A channel's sum, and above it the indicator: a voltage's or a current's, voltage or overrange.
        m.submodules.memory = memory = Memory(
            shape=unsigned(bits + 1), depth=config.channels, init=[], attrs={"ram_style": "block"}
        )
        read, write = memory.read_port(), memory.write_port(granularity=1)

        item = self.i.payload
        is_current = item.channel[0]
        total = Signal(bits, reset_less=True)
        # Limits are multiples of the step: the bits below it are not compared.
        step = config.indicator_step_log2
        limit = Signal(bits - step)
        below = read.data[step:bits] < limit
        # At a window's end: out of range.
        out = Signal(reset_less=True)
        # Of the element's voltage, until its current comes: its indicator, whether it was clipped.
        voltage, clipped = Signal(reset_less=True), Signal(reset_less=True)
        # Overrange is cleared in the next valid frame; in this one.
        clearing, cleared = Signal(), Signal()
        raised = Signal()
        with m.If(is_current):
            m.d.comb += raised.eq(read.data[bits] & ~cleared | clipped | item.clip | (item.window & out))
        with m.Else():
            m.d.comb += raised.eq(Mux(item.window, out, read.data[bits]))
        factor = shift_right(item.data, config.indicator_shift, Rounding.TRUNC)
        m.d.comb += [
            read.addr.eq(item.channel),
            write.addr.eq(item.channel),
            write.data.eq(Cat(total, raised)),
            self.multiplier.a.eq(factor),
            self.multiplier.b.eq(factor),
            self.o.payload.channel.eq(item.channel),
            self.o.payload.ok.eq(item.ok),
            self.o.payload.window.eq(item.window),
            self.o.payload.voltage.eq(voltage),
            self.o.payload.overrange.eq(item.ok & raised),
            self.o.payload.data.eq(item.data),
        ]

        with m.FSM():
            with m.State("REQUEST"), m.If(self.i.valid):
                with m.If(item.ok & ~item.late):
                    m.d.comb += self.multiplier.valid.eq(1)
                    with m.If(self.multiplier.ready):
                        m.next = "SUM"
                with m.Elif(item.ok):
                    # The sum is complete, as it is at a window's end.
                    m.next = "OUTPUT"
                    with m.If(item.window):
                        m.next = "HIGH"
                with m.Else():
                    m.d.comb += [self.o.valid.eq(1), self.i.ready.eq(self.o.ready)]
            with m.State("SUM"):
                m.d.sync += total.eq(read.data[:bits] + self.multiplier.product[: 2 * INDICATOR_BITS - 1])
                with m.If(self.multiplier.done):
                    m.next = "OUTPUT"
            with m.State("HIGH"):
                # Not below the limit's successor: above the limit.
                high = Mux(is_current, config.current_high + 1, config.voltage_high + 1)
                m.d.comb += limit.eq(high >> step)
                m.d.sync += out.eq(~below)
                m.next = "LOW"
            with m.State("LOW"):
                m.d.comb += limit.eq(config.voltage_low >> step)
                with m.If(~is_current & below):
                    m.d.sync += out.eq(1)
                m.d.sync += total.eq(0)
                m.next = "OUTPUT"
            with m.State("OUTPUT"):
                m.d.comb += [self.o.valid.eq(1), self.i.ready.eq(self.o.ready)]
                with m.If(self.o.ready):
                    m.d.comb += write.en.eq(Cat((~item.late | item.window).replicate(bits), Const(1, 1)))
                    m.d.sync += [voltage.eq(raised), clipped.eq(item.clip)]
                    with m.If(item.channel == 0):
                        m.d.sync += [cleared.eq(clearing), clearing.eq(0)]
                    m.next = "REQUEST"
        with m.If(self.clear):
            m.d.sync += clearing.eq(1)
        return m


class NoIndicators(wiring.Component):
    """Let samples pass in place of :class:`Indicators`, with both indicators off.

    Parameters
    ----------
    config : MeterConfig

    Members
    -------
    i : In(stream of channel_item(path_bits))
    o : Out(stream of watched_item)
        The same samples, in the same clock.
    clear : In(1)
        Does nothing.
    """

    def __init__(self, config: MeterConfig):
        super().__init__(
            {
                "i": In(stream.Signature(channel_item(config, config.path_bits))),
                "o": Out(stream.Signature(watched_item(config))),
                "clear": In(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.d.comb += [self.o.valid.eq(self.i.valid), self.i.ready.eq(self.o.ready)]
        for name in ("channel", "ok", "window", "data"):
            m.d.comb += getattr(self.o.payload, name).eq(getattr(self.i.payload, name))
        return m

"""Power: the product of each element's voltage and current."""

from __future__ import annotations

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from blondel.hdl.config import MeterConfig
from blondel.hdl.items import energy_item, watched_item
from blondel.hdl.metrology.multiplier import Multiplier, MultiplierSignature

__all__ = ["Power"]


class Power(wiring.Component):
    """Multiply each element's voltage by its current; nothing is rounded.

    The current stays on the stream, and the product in the multiplier, which is held until the product is
    taken: neither needs a register of its own.

    Parameters
    ----------
    config : MeterConfig
        Uses ``path_bits``, ``product_bits``.

    Members
    -------
    i : In(stream of watched_item)
        Calibrated samples, LSB of the converter × 2**-fraction_bits; voltage before current, which is taken
        with its product.
    o : Out(stream of energy_item)
        Products, LSB of energy; cannot overflow.
    multiplier : Out(MultiplierSignature)

    Attributes
    ----------
    latency : int
        Clocks from an element's current's being valid to its product's being valid, if the multiplier is
        free.
    """

    latency = 1 + Multiplier.latency

    def __init__(self, config: MeterConfig):
        self._config = config
        super().__init__(
            {
                "i": In(stream.Signature(watched_item(config))),
                "o": Out(stream.Signature(energy_item(config))),
                "multiplier": Out(MultiplierSignature(config)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        voltage = Signal(signed(self._config.path_bits), reset_less=True)
        current = self.i.payload
        m.d.comb += [
            self.multiplier.a.eq(voltage),
            self.multiplier.b.eq(current.data),
            self.multiplier.hold.eq(self.i.valid & current.channel[0]),
            self.o.payload.element.eq(current.channel[1:]),
            self.o.payload.ok.eq(current.ok),
            self.o.payload.window.eq(current.window),
            self.o.payload.voltage.eq(current.voltage),
            self.o.payload.overrange.eq(current.overrange),
            self.o.payload.product.eq(self.multiplier.product),
        ]

        with m.FSM():
            with m.State("REQUEST"):
                with m.If(self.i.valid & current.channel[0]):
                    m.d.comb += self.multiplier.valid.eq(1)
                    with m.If(self.multiplier.ready):
                        m.next = "PRODUCT"
                with m.Elif(self.i.valid):
                    m.d.comb += self.i.ready.eq(1)
                    m.d.sync += voltage.eq(current.data)
            with m.State("PRODUCT"), m.If(self.multiplier.done):
                m.next = "OUTPUT"
            with m.State("OUTPUT"):
                m.d.comb += [self.o.valid.eq(1), self.i.ready.eq(self.o.ready)]
                with m.If(self.o.ready):
                    m.next = "REQUEST"
        return m

"""Power: the product of each element's voltage and current."""

from __future__ import annotations

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from blondel.hdl.config import MeterConfig
from blondel.hdl.fixed import Rounding, shift_right
from blondel.hdl.items import channel_item, element_item
from blondel.hdl.metrology.multiplier import Multiplier, MultiplierSignature

__all__ = ["Power"]


class Power(wiring.Component):
    """Multiply each element's voltage by its current; nothing is rounded.

    Parameters
    ----------
    config : MeterConfig
        Uses ``path_bits``, ``product_bits``, ``indicator_shift``.

    Members
    -------
    i : In(stream of channel_item(path_bits))
        Calibrated samples, LSB of the converter × 2**-fraction_bits; voltage before current.
    o : Out(stream of element_item)
        Products, LSB of energy; cannot overflow. Voltage and current beside it are cut to their 16
        high bits.
    multiplier : Out(MultiplierSignature)

    Attributes
    ----------
    latency : int
        Clocks from the acceptance of an element's current to its product's being valid, if the
        multiplier is free.
    """

    latency = 2 + Multiplier.latency

    def __init__(self, config: MeterConfig):
        self._config = config
        super().__init__(
            {
                "i": In(stream.Signature(channel_item(config, config.path_bits))),
                "o": Out(stream.Signature(element_item(config))),
                "multiplier": Out(MultiplierSignature(config)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        config = self._config
        voltage = Signal(self.i.payload.shape(), reset_less=True)
        current = Signal(self.i.payload.shape(), reset_less=True)
        product = Signal(signed(config.product_bits), reset_less=True)
        m.d.comb += [
            self.multiplier.a.eq(voltage.data),
            self.multiplier.b.eq(current.data),
            self.o.payload.element.eq(current.channel[1:]),
            self.o.payload.ok.eq(current.ok),
            self.o.payload.window.eq(current.window),
            self.o.payload.clip.eq(voltage.clip | current.clip),
            self.o.payload.voltage.eq(shift_right(voltage.data, config.indicator_shift, Rounding.TRUNC)),
            self.o.payload.current.eq(shift_right(current.data, config.indicator_shift, Rounding.TRUNC)),
            self.o.payload.product.eq(product),
        ]

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(self.i.valid):
                    with m.If(self.i.payload.channel[0]):
                        m.d.sync += current.eq(self.i.payload)
                        m.next = "REQUEST"
                    with m.Else():
                        m.d.sync += voltage.eq(self.i.payload)
            with m.State("REQUEST"):
                m.d.comb += self.multiplier.valid.eq(1)
                with m.If(self.multiplier.ready):
                    m.next = "PRODUCT"
            with m.State("PRODUCT"), m.If(self.multiplier.done):
                m.d.sync += product.eq(self.multiplier.product)
                m.next = "OUTPUT"
            with m.State("OUTPUT"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.next = "IDLE"
        return m

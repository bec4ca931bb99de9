"""The one multiplier that all stages share."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from blondel.hdl.config import MeterConfig

__all__ = ["Multiplier", "MultiplierSignature"]


class MultiplierSignature(wiring.Signature):
    """A stage's access to the shared multiplier, from the stage's side.

    Parameters
    ----------
    config : MeterConfig
        Gives the widths: ``a`` holds the difference of two calibrated samples, ``b`` one of them or a
        calibration word.

    Members
    -------
    valid : Out(1)
        Asks for a product; stays, with ``a`` and ``b``, until ``ready``.
    a : Out(signed(path_bits + 1))
    b : Out(signed(factor_bits))
        The factors.
    ready : In(1)
        The factors are taken in this clock.
    done : In(1)
        ``product`` is there, in this clock only, or until ``hold`` falls.
    hold : Out(1)
        Stops the multiplier, with ``done`` and ``product`` as they are, until it falls; only with ``done``.
    product : In(signed(path_bits + 1 + factor_bits))
        ``a × b``, exact.
    """

    def __init__(self, config: MeterConfig):
        super().__init__(
            {
                "valid": Out(1),
                "a": Out(signed(config.path_bits + 1)),
                "b": Out(signed(config.factor_bits)),
                "ready": In(1),
                "done": In(1),
                "hold": Out(1),
                "product": In(signed(config.path_bits + 1 + config.factor_bits)),
            }
        )


class Multiplier(wiring.Component):
    """One multiplier, one product a clock, shared by several stages.

    Where several ask, the last of them is served first: it is the furthest down the pipeline, so what
    is already under way drains before more is let in. Its registers have no reset, so that they pack
    into the multiplier blocks of devices that have them. The product is exact: its golden twin is
    Python's ``*``.

    Parameters
    ----------
    config : MeterConfig
        Gives the widths.
    requesters : int
        Number of stages.

    Members
    -------
    requests : In(MultiplierSignature) × requesters

    Attributes
    ----------
    latency : int
        Clocks from a request being taken to ``done``.
    """

    latency = 2

    def __init__(self, config: MeterConfig, requesters: int):
        self._config = config
        super().__init__({"requests": In(MultiplierSignature(config)).array(requesters)})

    def elaborate(self, platform) -> Module:
        m = Module()
        config = self._config
        a = Signal(signed(config.path_bits + 1), reset_less=True)
        b = Signal(signed(config.factor_bits), reset_less=True)
        product = Signal(signed(config.path_bits + 1 + config.factor_bits), reset_less=True)
        held = Cat(request.hold for request in self.requests).any()

        served = held
        next_a, next_b = a, b
        for request in self.requests:
            next_a, next_b = Mux(request.valid, request.a, next_a), Mux(request.valid, request.b, next_b)
        with m.If(~held):
            m.d.sync += [a.eq(next_a), b.eq(next_b), product.eq(a * b)]
        for index, request in reversed(list(enumerate(self.requests))):
            taken = Signal(name=f"taken_{index}")
            m.d.comb += [
                request.ready.eq(~served),
                request.product.eq(product),
            ]
            with m.If(~held):
                m.d.sync += [taken.eq(request.valid & ~served), request.done.eq(taken)]
            served = served | request.valid
        return m

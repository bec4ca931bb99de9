"""The one multiplier that all stages share: in one clock where the device can, else bit by bit."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from blondel.hdl.config import MeterConfig

__all__ = ["Multiplier", "MultiplierSignature", "SerialMultiplier"]


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
        Asks for a product; stays until ``ready``, which comes in the next clock at the earliest.
    a : Out(signed(path_bits + 1))
    b : Out(signed(factor_bits))
        The factors: from the clock after ``valid`` became 1 on, until ``ready``.
    ready : In(1)
        The factors are taken in this clock: from the next one on they may change.
    done : In(1)
        ``product`` is there, in this clock only, or until ``hold`` falls.
    hold : Out(1)
        No other stage is served. One stage may have it: from when it asks until it needs ``product`` no more.
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

    In a request's first clock its stage is chosen, in the second the factors are taken. Where several ask,
    the last of them is served first: it is the furthest down the pipeline, so what is already under way
    drains before more is let in. The registers of factors and product have no reset, so that they pack into
    the multiplier blocks of devices that have them. The product is exact: its golden twin is Python's ``*``.

    Parameters
    ----------
    config : MeterConfig
        Gives the widths.
    requesters : int
        Number of stages, up to 4.

    Members
    -------
    requests : In(MultiplierSignature) × requesters

    Attributes
    ----------
    latency : int
        Clocks from a request to ``done``, while no other stage asks.
    """

    latency = 3

    def __init__(self, config: MeterConfig, requesters: int):
        self._config = config
        super().__init__({"requests": In(MultiplierSignature(config)).array(requesters)})

    def elaborate(self, platform) -> Module:
        m = Module()
        config = self._config
        a = Signal(signed(config.path_bits + 1), reset_less=True)
        b = Signal(signed(config.factor_bits), reset_less=True)
        product = Signal(signed(config.path_bits + 1 + config.factor_bits), reset_less=True)
        chosen = Signal(3, reset_less=True)
        m.d.sync += [chosen.eq(_NOTHING), product.eq(a * b)]
        with m.If(chosen != _NOTHING):
            m.d.sync += [
                a.eq(_select(chosen, [request.a for request in self.requests])),
                b.eq(_select(chosen, [request.b for request in self.requests])),
            ]
        held = Cat(request.hold for request in self.requests).any()
        later = Const(0)
        for index, request in reversed(list(enumerate(self.requests))):
            # Who is served in this clock does not ask any more.
            asks, taken = Signal(name=f"asks_{index}"), Signal(name=f"taken_{index}")
            m.d.comb += [
                asks.eq(request.valid & ~request.ready & (request.hold | ~held)),
                request.product.eq(product),
            ]
            m.d.sync += [request.ready.eq(asks & ~later), taken.eq(request.ready), request.done.eq(taken)]
            with m.If(asks & ~later):
                m.d.sync += chosen.eq(_CODES[index])
            later = later | asks
        return m


class SerialMultiplier(Multiplier):
    """One multiplier, one bit of ``b`` a clock, shared by several stages: for devices without multiplier blocks.

    In a request's first clock its stage is chosen, in the second ``b`` is taken; then each clock takes a
    bit of ``b``, the lowest first, adds ``a`` or nothing, and shifts. ``a`` is used where the stage has
    it, so ``ready`` comes with the last bit, and ``done`` right after it. Where several ask when a product
    is done, the last of them is served first. Parameters, members and products are those of
    :class:`Multiplier`.

    Attributes
    ----------
    latency : int
        Clocks from a request to ``done``, while no other stage asks; and from a product to the next.
    """

    def __init__(self, config: MeterConfig, requesters: int):
        super().__init__(config, requesters)
        self.latency = self.latency_of(config)

    @staticmethod
    def latency_of(config: MeterConfig) -> int:
        """Return ``latency`` in a meter of this configuration."""
        return config.factor_bits + 2

    def elaborate(self, platform) -> Module:
        m = Module()
        a_bits, b_bits = self._config.path_bits + 1, self._config.factor_bits
        # 0 waits for a request, what follows takes b, then its bits; the highest number is the sign's clock.
        clock = Signal((b_bits + 1).bit_length())
        owner = Signal(2, reset_less=True)
        begin, load, before_end, end, finished = Signal(), Signal(), Signal(), Signal(), Signal()
        m.d.comb += [before_end.eq(clock[1:].all()), end.eq(before_end & clock[0])]
        m.d.sync += [load.eq(begin), finished.eq(end)]
        held = Cat(request.hold for request in self.requests).any()
        with m.If(clock.any()):
            m.d.sync += clock.eq(clock + 1)
        with m.Else():
            with m.If(begin):
                m.d.sync += clock.eq((1 << len(clock)) - 1 - b_bits)
            for index, request in enumerate(self.requests):
                with m.If(request.valid & (request.hold | ~held)):
                    m.d.comb += begin.eq(1)
                    m.d.sync += owner.eq(index)
        for index, request in enumerate(self.requests):
            m.d.comb += [
                request.ready.eq(end & (owner == index)),
                request.done.eq(finished & (owner == index)),
            ]

        # The product's bits so far: the low ones leave `high` one by one, and in `low` they follow what is
        # left of b.
        high = Signal(signed(a_bits), reset_less=True)
        low = Signal(b_bits, reset_less=True)
        next_low = Signal(b_bits)
        total = Signal(signed(a_bits + 1))
        chosen = Cat(owner[0], owner[1], owner[1])
        # What the next clock adds: a register, or synthesis would find another way with more gates.
        added = Signal(3, reset_less=True)
        m.d.comb += [
            total.eq(high + _select(added, [request.a for request in self.requests])),
            next_low.eq(
                Mux(load, _select(chosen, [request.b for request in self.requests]), Cat(low[1:], total[0] ^ end))
            ),
            *(request.product.eq(Cat(low, high).as_signed()) for request in self.requests),
        ]
        m.d.sync += added.eq(Mux(next_low[0], chosen, _NOTHING))
        with m.If(clock.any()):
            m.d.sync += low.eq(next_low)
        with m.If(load):
            m.d.sync += high.eq(0)
        with m.Elif(clock.any()):
            # The sign's clock subtracts: x - a is ~(~x + a), so that both it and the clock before invert.
            m.d.sync += high.eq(Mux(before_end, ~total, total) >> 1)
        return m


#: What makes _select() give one of its values, or 0.
_CODES, _NOTHING = (0b000, 0b001, 0b110, 0b111), 0b010


def _select(which: Value, values: list[Value]) -> Value:
    """Return one of up to four values, or 0: with these codes in a register, a bit is two LUTs of four inputs.
    """
    bits = len(values[0])
    first, second, third, fourth = (values + [Const(0, signed(bits))] * 3)[:4]
    early = Mux(which[1], which[0].replicate(bits).as_signed(), Mux(which[0], second, first))
    return Mux(which[2], (early & fourth) | (~early & third), early)

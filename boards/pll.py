"""A board's clock, multiplied by the FPGA's PLL: for cores that need more clocks than the board has."""

from __future__ import annotations

from amaranth.hdl import ClockDomain, ClockSignal, Instance, Module, ResetSignal, Signal
from amaranth.lib import io, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out
from amaranth.vendor import LatticeICE40Platform

__all__ = ["StartUp", "multiplied"]

#: Clocks of the PLL's oscillator for one of its input. With an input of 12 MHz these are 768 MHz; allowed are 533 to
#: 1066 MHz, as IceStorm's icepll has it (from Lattice FPGA-TN-02052, which was not seen).
_OSCILLATIONS = 64
#: That of an input of 10 to 17 MHz; from the same source.
_FILTER_RANGE = 1
#: For so long after configuration block RAMs may read as zeros: with Amaranth's own margin, as it has it without a PLL.
_START_UP_S = 15e-6


class StartUp(wiring.Component):
    """Hold a design in reset until its clock is steady, and some clocks more.

    Parameters
    ----------
    clocks : int
        How many.

    Members
    -------
    locked : In(1)
        Whether the clock is steady; of no clock domain.
    reset : Out(1)
        1 from configuration on, and again if the clock is lost. Straight from a flip-flop, which itself is not reset.
    """

    def __init__(self, clocks: int):
        self._clocks = clocks
        super().__init__({"locked": In(1), "reset": Out(1, init=1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        locked, left = Signal(), Signal(range(self._clocks + 1), init=self._clocks, reset_less=True)
        reset = Signal(init=1, reset_less=True)
        m.submodules.synchronizer = FFSynchronizer(self.locked, locked)
        with m.If(~locked):
            m.d.sync += left.eq(self._clocks)
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
        m.d.sync += reset.eq(left != 0)
        m.d.comb += self.reset.eq(reset)
        return m


def multiplied(platform: type[LatticeICE40Platform], factor: int, *, at_pad: bool) -> type[LatticeICE40Platform]:
    """Return a board's platform with a clock that is faster by a factor.

    The domain ``sync`` is held in reset until the PLL has locked, and block RAMs can be read.

    Parameters
    ----------
    platform : type of LatticeICE40Platform
        Has its clock, 12 MHz, from a pin, and no pin that resets it.
    factor : int
        A power of two up to 32.
    at_pad : bool
        Whether the clock's pin is a PLL's own. It cannot be used in another way then.
    """

    class Multiplied(platform):
        @property
        def default_clk_frequency(self) -> float:
            return super().default_clk_frequency * factor

        def create_missing_domain(self, name: str) -> Module | None:
            if name != "sync":
                return super().create_missing_domain(name)
            m = Module()
            port = self.request(self.default_clk, dir="-")
            if at_pad:
                reference = {"i_PACKAGEPIN": port.io}
            else:
                m.submodules.pin = pin = io.Buffer("i", port)
                reference = {"i_REFERENCECLK": pin.i}
            m.domains.sync = ClockDomain()
            m.submodules.start_up = start_up = StartUp(int(_START_UP_S * self.default_clk_frequency))
            m.d.comb += ResetSignal().eq(start_up.reset)
            m.submodules.pll = Instance(
                "SB_PLL40_PAD" if at_pad else "SB_PLL40_CORE",
                p_FEEDBACK_PATH="SIMPLE", p_DIVR=0, p_DIVF=_OSCILLATIONS - 1,
                p_DIVQ=(_OSCILLATIONS // factor).bit_length() - 1, p_FILTER_RANGE=_FILTER_RANGE,
                **reference, i_RESETB=1, i_BYPASS=0, o_PLLOUTGLOBAL=ClockSignal(), o_LOCK=start_up.locked,
            )  # fmt: skip
            return m

    return Multiplied

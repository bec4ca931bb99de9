"""The PLL: its clock is the one that is claimed, and nothing begins before that is steady."""

from __future__ import annotations

import pytest
from amaranth.hdl import Fragment
from amaranth.sim import Simulator

from blondel.boards import BOARDS
from blondel.boards.pll import StartUp

CLOCKS = 20


@pytest.mark.parametrize(("name", "primitive"), [("icebreaker", "SB_PLL40_PAD"), ("hx8k-b-evn", "SB_PLL40_CORE")])
def test_the_clock_is_the_boards_times_the_pll_s(name, primitive):
    board = BOARDS[name]
    assert board.faster
    for make in board.faster:
        platform = make()
        pll = Fragment.get(platform.create_missing_domain("sync"), platform).find_subfragment("pll")
        assert pll.type == primitive
        divider = {key: pll.parameters[key] for key in ("DIVR", "DIVF", "DIVQ")}
        oscillator_hz = board.clock_hz / (divider["DIVR"] + 1) * (divider["DIVF"] + 1)
        assert 533e6 <= oscillator_hz <= 1066e6
        assert oscillator_hz / 2 ** divider["DIVQ"] == platform.default_clk_frequency


def test_the_reset_ends_some_clocks_after_the_clock_is_steady():
    start_up = StartUp(CLOCKS)
    shown = []

    async def bench(ctx):
        for locked, clocks in ((0, 50), (1, CLOCKS // 2), (0, 5), (1, 2 * CLOCKS), (0, 10)):
            ctx.set(start_up.locked, locked)
            levels = []
            for _ in range(clocks):
                levels.append(ctx.get(start_up.reset))
                await ctx.tick()
            shown.append(levels)

    simulator = Simulator(start_up)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert all(level for levels in shown[:3] for level in levels), "it was steady for too short a time"
    held, lost = shown[3].index(0), shown[4].index(1)
    assert CLOCKS <= held <= CLOCKS + 4
    assert not any(shown[3][held:])
    assert lost <= 4
    assert all(shown[4][lost:])

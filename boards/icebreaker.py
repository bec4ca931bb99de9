"""iCEBreaker (1BitSquared): UP5K, 12 MHz crystal."""

from __future__ import annotations

from amaranth_boards.icebreaker import ICEBreakerPlatform

from blondel.boards.board import Board
from blondel.boards.pll import multiplied

__all__ = ["BOARD"]

BOARD = Board(
    name="icebreaker",
    title="iCEBreaker",
    platform=ICEBreakerPlatform,
    faster=(multiplied(ICEBreakerPlatform, 2, at_pad=True),),
    connectors={"pmod_0": "PMOD1A", "pmod_1": "PMOD1B", "pmod_2": "PMOD2"},
    terminals={
        "output_10": "pmod_0:1",
        "output_100": "pmod_0:2",
        "output_1000": "pmod_0:3",
        "counter": "pmod_0:4",
        "test": "pmod_0:7",
        # The lights of the board's break-off part.
        "overrange": "pmod_2:7",
        "voltage": "pmod_2:1",
        "reversed": "pmod_2:2",
        "no_load": "pmod_2:8",
        "queued": "pmod_2:3",
    },
    lamps={"output_10": ("led_g", 0), "test": ("led_r", 0)},
    light_names={"output_10": "green", "test": "red"},
    converters={
        "ads131m": {
            "cs": "pmod_1:1", "din": "pmod_1:2", "dout": "pmod_1:3", "sclk": "pmod_1:4",
            "drdy": "pmod_1:7", "reset": "pmod_1:8",
        },
        "sigma-delta": {"clk": "pmod_1:1", "data": "pmod_1:2 pmod_1:3 pmod_1:4 pmod_1:7"},
    },
)  # fmt: skip

"""iCEstick (Lattice): HX1K, 12 MHz from the USB bridge's crystal."""

from __future__ import annotations

from amaranth_boards.icestick import ICEStickPlatform

from blondel.boards.board import Board

__all__ = ["BOARD"]

BOARD = Board(
    name="icestick",
    title="iCEstick",
    platform=ICEStickPlatform,
    connectors={"j_1": "J1", "j_3": "J3", "pmod_0": "PMOD J2"},
    terminals={
        "output_10": "j_1:3",
        "output_100": "j_1:4",
        "output_1000": "j_1:5",
        "counter": "j_1:6",
        "test": "j_1:7",
        "voltage": "j_3:3",
        "reversed": "j_3:4",
        "overrange": "j_3:5",
        "no_load": "j_3:6",
        "queued": "j_3:7",
    },
    # D5 is the green one, D1 to D4 are around it.
    lamps={
        "output_10": ("led", 0),
        "voltage": ("led", 1),
        "reversed": ("led", 2),
        "overrange": ("led", 3),
        "test": ("led", 4),
    },
    light_names={"output_10": "D1", "voltage": "D2", "reversed": "D3", "overrange": "D4", "test": "D5"},
    converters={
        "ads131m": {
            "cs": "pmod_0:1", "din": "pmod_0:2", "dout": "pmod_0:3", "sclk": "pmod_0:4",
            "drdy": "pmod_0:7", "reset": "pmod_0:8",
        },
        "sigma-delta": {"clk": "pmod_0:1", "data": "pmod_0:2 pmod_0:3 pmod_0:4 pmod_0:7"},
    },
)  # fmt: skip

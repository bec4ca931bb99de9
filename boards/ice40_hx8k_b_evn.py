"""iCE40-HX8K-B-EVN (Lattice): HX8K, 12 MHz from the USB bridge's crystal."""

from __future__ import annotations

from amaranth_boards.ice40_hx8k_b_evn import ICE40HX8KBEVNPlatform

from blondel.boards.board import Board
from blondel.boards.pll import multiplied

__all__ = ["BOARD"]

BOARD = Board(
    name="hx8k-b-evn",
    title="iCE40-HX8K-B-EVN",
    platform=ICE40HX8KBEVNPlatform,
    faster=tuple(multiplied(ICE40HX8KBEVNPlatform, factor, at_pad=False) for factor in (2, 4)),
    connectors={"j_2": "J2"},
    terminals={
        "output_10": "j_2:9",
        "output_100": "j_2:10",
        "output_1000": "j_2:11",
        "counter": "j_2:12",
        "test": "j_2:13",
        "voltage": "j_2:14",
        "reversed": "j_2:17",
        "overrange": "j_2:18",
        "no_load": "j_2:19",
        "queued": "j_2:20",
    },
    lamps={
        "output_10": ("led", 0),
        "output_100": ("led", 1),
        "output_1000": ("led", 2),
        "test": ("led", 3),
        "voltage": ("led", 4),
        "reversed": ("led", 5),
        "overrange": ("led", 6),
        "no_load": ("led", 7),
    },
    light_names={
        "output_10": "D2", "output_100": "D3", "output_1000": "D4", "test": "D5",
        "voltage": "D6", "reversed": "D7", "overrange": "D8", "no_load": "D9",
    },
    converters={
        "ads131m": {
            "cs": "j_2:25", "din": "j_2:26", "dout": "j_2:27", "sclk": "j_2:28",
            "drdy": "j_2:29", "reset": "j_2:30",
        },
        "sigma-delta": {"clk": "j_2:25", "data": "j_2:26 j_2:27 j_2:28 j_2:29"},
    },
    # The jumpers choose between the FPGA's memory, for which -S is, and the flash.
    programmers=(("iceprog", "-S"),),
)  # fmt: skip

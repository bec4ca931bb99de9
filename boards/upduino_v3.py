"""UPduino v3 (tinyVision.ai): UP5K, its internal oscillator at 12 MHz."""

from __future__ import annotations

from amaranth_boards.upduino_v3 import UpduinoV3Platform

from blondel.boards.board import Board

__all__ = ["BOARD"]


class _Platform(UpduinoV3Platform):
    # The oscillator starts at 48 MHz; divided by four.
    hfosc_div = 2


class _Faster(UpduinoV3Platform):
    hfosc_div = 1


BOARD = Board(
    name="upduino-v3",
    title="UPduino v3",
    platform=_Platform,
    faster=(_Faster,),
    connectors={"j_0": "JP5", "j_1": "JP6"},
    terminals={
        # The left row.
        "output_10": "j_0:7",
        "output_100": "j_0:8",
        "output_1000": "j_0:9",
        "counter": "j_0:10",
        "test": "j_0:11",
        "voltage": "j_0:13",
        "reversed": "j_0:14",
        "overrange": "j_0:15",
        "no_load": "j_0:16",
        "queued": "j_0:17",
    },
    # Right row, JP6: pins 36 and 42.
    uart={"rx": "j_1:10", "tx": "j_1:11"},
    rgb_lamps={"output_10": "g", "test": "r"},
    light_names={"output_10": "RGB, green", "test": "RGB, red"},
    converters={
        # The right row.
        "ads131m": {
            "cs": "j_1:13", "din": "j_1:14", "dout": "j_1:15", "sclk": "j_1:16",
            "drdy": "j_1:17", "reset": "j_1:18",
        },
        "sigma-delta": {"clk": "j_1:13", "data": "j_1:14 j_1:15 j_1:16 j_1:17"},
    },
)  # fmt: skip

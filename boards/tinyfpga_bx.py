"""TinyFPGA BX: LP8K, 16 MHz oscillator."""

from __future__ import annotations

from amaranth_boards.tinyfpga_bx import TinyFPGABXPlatform

from blondel.boards.board import Board

__all__ = ["BOARD"]

BOARD = Board(
    name="tinyfpga-bx",
    title="TinyFPGA BX",
    platform=TinyFPGABXPlatform,
    connectors={"gpio_0": "pin"},
    terminals={
        # Left side.
        "output_10": "gpio_0:1",
        "output_100": "gpio_0:2",
        "output_1000": "gpio_0:3",
        "counter": "gpio_0:4",
        "test": "gpio_0:5",
        "voltage": "gpio_0:6",
        "reversed": "gpio_0:7",
        "overrange": "gpio_0:8",
        "no_load": "gpio_0:9",
        "queued": "gpio_0:10",
    },
    # Left side.
    uart={"rx": "gpio_0:11", "tx": "gpio_0:12"},
    lamps={"test": ("led", 0)},
    light_names={"test": "LED"},
    converters={
        # Right side.
        "ads131m": {
            "cs": "gpio_0:14", "din": "gpio_0:15", "dout": "gpio_0:16", "sclk": "gpio_0:17",
            "drdy": "gpio_0:18", "reset": "gpio_0:19",
        },
        "sigma-delta": {"clk": "gpio_0:14", "data": "gpio_0:15 gpio_0:16 gpio_0:17 gpio_0:18"},
    },
    programmers=(("tinyprog", "-p"),),
)  # fmt: skip

"""Pins: one file per board, nothing else."""

from __future__ import annotations

from blondel.boards import ice40_hx8k_b_evn, icebreaker, icestick, tinyfpga_bx, upduino_v3
from blondel.boards.board import Board

__all__ = ["BOARDS"]

#: All boards, by name.
BOARDS: dict[str, Board] = {
    module.BOARD.name: module.BOARD for module in (icebreaker, upduino_v3, ice40_hx8k_b_evn, tinyfpga_bx, icestick)
}

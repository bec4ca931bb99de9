"""``blondel boards``: the boards, and how they are wired."""

from __future__ import annotations

import argparse

from blondel.host.cli.arguments import Commands, add_command, board_named
from blondel.host.cli.messages import OK

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the command."""
    command = add_command(commands, "boards", _boards, "list the boards, or print one's wiring")
    command.add_argument("board", metavar="BOARD", nargs="?", type=board_named, help="its wiring; default: list all")


def _boards(args: argparse.Namespace) -> int:
    from blondel.boards import BOARDS
    from blondel.boards.top import FRONT_ENDS
    from blondel.host.wiring import to_text

    if args.board is not None:
        print(to_text(args.board), end="")
        return OK
    print(f"{'Board':<13}{'Name':<19}{'FPGA':<12}{'Clock':<9}Front ends")
    for board in BOARDS.values():
        front_ends = ", ".join(name for name in FRONT_ENDS if name in (*board.converters, "playback"))
        print(f"{board.name:<13}{board.title:<19}{board.device:<12}{board.clock_hz / 1e6:g} MHz   {front_ends}")
    return OK

"""Measures what a meter takes of each board's FPGA: ``make sizes``.

Builds every board with every front end, and writes ``boards/sizes.csv``, which the docs show and which
``tests/boards/test_sizes.py`` holds the next builds against.
"""

from __future__ import annotations

import csv
import multiprocessing
import tempfile
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from blondel.boards import BOARDS
from blondel.boards.top import FRONT_ENDS
from blondel.hdl.config import MeterConfig
from blondel.host.build import TimingError, TooLarge, build

TABLE = Path(__file__).parent.parent / "boards" / "sizes.csv"
SINGLE, DUAL = "MSNCT-1SC", "MDNCT-2SC"


@dataclass(frozen=True)
class Design:
    """A meter on a board.

    Parameters
    ----------
    board, model, front_end : str
        As the command ``blondel build`` takes them.
    bits : int
        Of a sample.
    without : str
        What is left out, separated by spaces.
    """

    board: str
    model: str
    front_end: str
    bits: int = 24
    without: str = ""


@dataclass(frozen=True)
class Size:
    """What a design takes.

    Parameters
    ----------
    lc, ram, dsp : int
        Logic cells, block RAMs and multipliers.
    fits : bool
        Whether the device has as many.
    fmax_mhz, clock_mhz : float or None
        The fastest clock, and the board's. None where it does not fit.
    frame_clocks : int or None
        Clocks that the core takes for a frame, likewise.
    """

    lc: int
    ram: int
    dsp: int
    fits: bool
    fmax_mhz: float | None = None
    clock_mhz: float | None = None
    frame_clocks: int | None = None


#: Every board with every front end; the smallest one also with what it has room for.
DESIGNS = [Design(board, model, name) for board in BOARDS for model in (SINGLE, DUAL) for name in FRONT_ENDS] + [
    Design("icestick", model, name, 16, "registers indicators")
    for model in (SINGLE, DUAL)
    for name in ("ads131m", "playback")
]


def measure(design: Design) -> Size:
    """Build a design with the tools from PyPI, and return its size."""
    config = MeterConfig.for_model(design.model, sample_bits=design.bits)
    with tempfile.TemporaryDirectory() as directory:
        try:
            report = build(
                config, BOARDS[design.board], design.front_end, Path(directory), without=design.without.split()
            )
        except TimingError as error:
            report = error.report
        except TooLarge as error:
            used = {kind: count for kind, (count, _) in error.used.items()}
            return Size(used["LC"], used["RAM"], used.get("DSP", 0), fits=False)
    return Size(
        report.lc, report.ram, report.dsp, True, report.fmax_mhz, report.clock_mhz, report.frame_clocks
    )


def read_table() -> dict[Design, Size]:
    """Return the sizes that were measured last."""
    def value(text: str, kind: str) -> object:
        if text == "" and kind != "str":
            return None
        return {"str": str, "int": int, "bool": "True".__eq__}.get(kind.split(" ")[0], float)(text)

    with TABLE.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {
        Design(**{f.name: value(row[f.name], f.type) for f in fields(Design)}): Size(
            **{f.name: value(row[f.name], f.type) for f in fields(Size)}
        )
        for row in rows
    }


def main() -> None:
    """Measure all designs, two at a time or as many as there are cores."""
    sizes = {}
    with multiprocessing.Pool() as pool:
        for number, (design, size) in enumerate(zip(DESIGNS, pool.imap(measure, DESIGNS), strict=True), 1):
            sizes[design] = size
            fits = f"{size.fmax_mhz} MHz" if size.fits else "does not fit"
            what = " ".join(str(each) for each in astuple(design) if each != "")
            takes = f"{size.lc} LC, {size.ram} RAM, {size.dsp} DSP"
            print(f"{number:2d}/{len(DESIGNS)} {what}: {takes}, {fits}", flush=True)
    with TABLE.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([f.name for kind in (Design, Size) for f in fields(kind)])
        writer.writerows([*astuple(design), *astuple(size)] for design, size in sizes.items())
    print(f"The table is {TABLE}")


if __name__ == "__main__":
    main()

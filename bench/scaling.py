"""Measures what a core takes of an FPGA as elements are added: ``make scaling``.

Builds cores of 1 to 64 elements, in dual-element meters but for the smallest and the one of the most meters, for a UP5K
and an HX8K. It writes ``boards/scaling.csv``, which the docs show, and ``boards/reach.csv``: how many elements the
clocks are enough for. A design is all that it takes to run: a receiver of serial samples in place of a converter's, the
core with every stage and indicator, the UART through which all records are read, and pins for the outputs of the first
meter.
"""

from __future__ import annotations

import csv
import multiprocessing
import sys
import tempfile
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import io, stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import Out

from blondel.boards import BOARDS
from blondel.boards.board import ConverterSignal
from blondel.boards.top import FRONT_ENDS, FrontEnd, options_for
from blondel.hdl.config import MeterConfig
from blondel.hdl.items import sample_item
from blondel.hdl.meter import frame_clocks
from blondel.host.build import TimingError, TooLarge, build
from blondel.host.cli.arguments import meters

TABLE = Path(__file__).parent.parent / "boards" / "scaling.csv"
REACH = TABLE.with_name("reach.csv")
RATES = (4000, 8000, 16000, 32000)
#: By board, as ``--meters`` says it; of dual-element meters ten are the most whose energy records the UP5K's block RAM
#: holds.
DUAL = ("1xS", "1xD", "2xD", "4xD", "8xD", "10xD", "16xD", "32xD")
METERS = {"icebreaker": (*DUAL, "64xS"), "hx8k-b-evn": DUAL}
NAME = "serial samples"


class SerialSamples(wiring.Component):
    """Take samples from three wires: a bit at each rising edge of the clock, the highest first, while selected.

    A frame's last sample is known by its number; deselecting begins a frame anew. The clock is slower than a quarter of
    the design's.

    Parameters
    ----------
    config : MeterConfig
    ports : dict of str to port
        ``sclk``, ``cs``, ``din``.
    """

    def __init__(self, config: MeterConfig, **ports: io.PortLike):
        self._config = config
        self._ports = ports
        super().__init__({"o": Out(stream.Signature(sample_item(config)))})

    def elaborate(self, platform) -> Module:
        m = Module()
        wires = {name: Signal(name=name) for name in self._ports}
        for name, port in self._ports.items():
            m.submodules[f"pin_{name}"] = pin = io.Buffer("i", port)
            m.submodules[f"synchronizer_{name}"] = FFSynchronizer(pin.i, wires[name])
        before, number = Signal(), Signal(range(self._config.sample_bits))
        channel = Signal(range(self._config.channels))
        m.d.sync += before.eq(wires["sclk"])
        m.d.comb += [self.o.payload.ok.eq(1), self.o.payload.last.eq(channel == self._config.last_channel)]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += [self.o.valid.eq(0), channel.eq(channel + 1)]
        with m.If(~wires["cs"]):
            m.d.sync += [number.eq(0), channel.eq(0)]
        with m.Elif(wires["sclk"] & ~before):
            m.d.sync += [self.o.payload.data.eq(Cat(wires["din"], self.o.payload.data)), number.eq(number + 1)]
            with m.If(number == self._config.sample_bits - 1):
                m.d.sync += [number.eq(0), self.o.valid.eq(1)]
        return m


FRONT_END = FrontEnd(
    title="samples on three wires",
    signals=lambda config: {name: ConverterSignal("i") for name in ("sclk", "cs", "din")},
    make=lambda config, clock_hz, ports, load: SerialSamples(config, **ports),
)


@dataclass(frozen=True)
class Point:
    """A core of so many elements on a device.

    Parameters
    ----------
    device : str
        The FPGA.
    meters : str
        As ``--meters`` says it.
    elements : int
    lc, ram, spram, dsp : int
        Logic cells, block RAMs, large RAMs and multipliers.
    fits : bool
        Whether the device has as many.
    fmax_mhz : float or None
        The fastest clock, where it fits.
    frame_clocks : int
        Clocks of a frame.
    """

    device: str
    meters: str
    elements: int
    lc: int
    ram: int
    spram: int
    dsp: int
    fits: bool
    fmax_mhz: float | None
    frame_clocks: int


def core(groups: str) -> MeterConfig:
    """Return the configuration of meters, as ``--meters`` says it; after an ``@``, the sample rate in Hz."""
    groups, _, rate = groups.partition("@")
    return MeterConfig.for_model("MDNCT-2SC", meters=meters(groups), sample_rate_hz=float(rate or 8000))


def measure(design: tuple[str, str]) -> Point:
    """Build a core for a board's device, and return what it takes."""
    name, groups = design
    board, config = BOARDS[name], core(groups)
    pins = {wire: board.converters["ads131m"][wire] for wire in ("sclk", "cs", "din")}
    # With the pin's own clock: a PLL would take a few logic cells more, of those cores only that need it.
    board = replace(board, converters={NAME: pins}, faster=())
    FRONT_ENDS[NAME] = FRONT_END
    with tempfile.TemporaryDirectory() as directory:
        try:
            report = build(config, board, NAME, Path(directory), check_clock=False)
        except TimingError as error:
            report = error.report
        except TooLarge as error:
            used = {kind: count for kind, (count, _) in error.used.items()}
            clocks = frame_clocks(config, options_for(board, config))
            return Point(
                board.device, groups, config.elements, used["LC"], used["RAM"], used.get("SPRAM", 0),
                used.get("DSP", 0), False, None, clocks,
            )  # fmt: skip
    return Point(
        board.device, groups, config.elements, report.lc, report.ram, report.spram, report.dsp, True,
        report.fmax_mhz, report.frame_clocks,
    )  # fmt: skip


def reach(points: list[Point]) -> list[list[object]]:
    """Return, for each device: its slowest clock; elements that its clocks are enough for at each rate; that fit."""
    rows = []
    for board in (BOARDS[name] for name in METERS):
        fitting = [point for point in points if point.device == board.device and point.fits]
        fmax = min(point.fmax_mhz for point in fitting)
        cores = [core(f"{n}xD") for n in range(1, 33)]
        clocks = {config.elements: frame_clocks(config, options_for(board, config)) for config in cores}
        by_rate = [max(n for n, taken in clocks.items() if taken * rate <= fmax * 1e6) for rate in RATES]
        rows.append([board.device, fmax, *by_rate, max(point.elements for point in fitting)])
    return rows


def read_table() -> list[Point]:
    """Return what was measured before."""
    with TABLE.open(newline="") as file:
        return [
            Point(
                row["device"], row["meters"], *(int(row[name]) for name in ("elements", "lc", "ram", "spram", "dsp")),
                row["fits"] == "True", float(row["fmax_mhz"]) if row["fmax_mhz"] else None, int(row["frame_clocks"]),
            )
            for row in csv.DictReader(file)
        ]  # fmt: skip


def write(path: Path, head: list[str], rows: list) -> None:
    """Write a table."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(rows)
    print(f"The table is {path}")


def main() -> None:
    """Measure all, a board's (``scaling.py icebreaker``), or only print some (``… icebreaker 1xD 20xD@16000``)."""
    if len(sys.argv) > 2:
        for groups in sys.argv[2:]:
            print(measure((sys.argv[1], groups)), flush=True)
        return
    boards = sys.argv[1:] or list(METERS)
    designs = [(board, groups) for board in boards for groups in METERS[board]]
    devices = {BOARDS[board].device for board in boards}
    points = [] if set(boards) == set(METERS) else [each for each in read_table() if each.device not in devices]
    with multiprocessing.Pool() as pool:
        for point in pool.imap(measure, designs):
            points.append(point)
            print(*astuple(point), flush=True)
    order = [BOARDS[board].device for board in METERS]
    points.sort(key=lambda point: order.index(point.device))
    write(TABLE, [f.name for f in fields(Point)], [astuple(point) for point in points])
    rates = [f"{rate / 1000:g} kHz" for rate in RATES]
    write(REACH, ["device", "fmax_mhz", *rates, "fit"], reach(points))


if __name__ == "__main__":
    main()

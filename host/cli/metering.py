"""What ``run`` and ``replay`` have in common: a measurement, its options, and what is said of it."""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from blondel.hdl.config import MeterConfig
from blondel.host.cli.arguments import add_seed, argument, bounded, numbers
from blondel.host.cli.messages import FAILED, OK, InputError, say
from blondel.host.cli.progress import progress_bar, status
from blondel.host.describe import RATED_MAX, indicated_amps
from blondel.host.files import check_writable, write_whole
from blondel.host.words import quantity

if TYPE_CHECKING:
    from blondel.sim.measure import Figures, Measurement
    from blondel.sim.source.source import Source

__all__ = [
    "SECONDS_MAX", "add_measurement", "measure", "outside", "show", "warn_of_clipping", "warn_of_overload",
]  # fmt: skip

#: Longest run, in s: three years.
SECONDS_MAX = 1e8
#: Fastest clock of a core, in Hz.
CLOCK_MAX_HZ = 1e9
#: What is recorded where no window is given, in s: three cycles of the mains; and the largest recording, in bytes.
VCD_SECONDS, VCD_BYTES_MAX = 0.05, 2e9


def add_measurement(parser: argparse.ArgumentParser) -> None:
    """Add what every measurement can be told."""
    parser.add_argument(
        "--engine", choices=("rtl", "golden", "both"),
        help="the generated design, the golden model, or both, compared bit for bit from power-up on; default: both, "
        "but the golden model settles alone",
    )  # fmt: skip
    parser.add_argument(
        "--settle", metavar="S", type=bounded(0, SECONDS_MAX, " s"),
        help="seconds metered before the figures start; default: what the offset tracking needs",
    )  # fmt: skip
    add_seed(parser)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--plot", metavar="FILE.png", type=Path, help="draw waveforms, power, energy and pulse edges")
    parser.add_argument(
        "--exact-clock", action="store_true",
        help="run every clock of the RTL; default: a frame follows as soon as the core takes it, with the same result",
    )  # fmt: skip
    parser.add_argument(
        "--clock", metavar="HZ", type=bounded(0, CLOCK_MAX_HZ, " Hz", above=True), default=12e6,
        help="the core's, for --exact-clock and --vcd; default 12000000",
    )  # fmt: skip
    parser.add_argument("--vcd", metavar="FILE.vcd", type=Path, help="record the RTL's signals at every clock")
    parser.add_argument(
        "--vcd-window", metavar="START,SECONDS", type=argument(_window),
        help=f"what --vcd records, from the figures' start on; default 0,{VCD_SECONDS:g}",
    )  # fmt: skip


def _window(text: str) -> tuple[float, float]:
    values = numbers(text)
    if len(values) != 2:
        raise ValueError(f"{text!r} is no window; allowed: START,SECONDS")
    start, seconds = values
    if seconds <= 0:
        raise ValueError(f"a window of {seconds:g} s is out of range; allowed: more than 0 s")
    return start, seconds


def measure(args: argparse.Namespace, config: MeterConfig, source: Source, settle_frames: int, frames: int) -> int:
    """Run the engines over a source, and show the figures; return the exit status."""
    from blondel.sim.measure import EnginesDiffer, make_engines, measure
    from blondel.sim.rtl.engine import ClockError, CompileError

    if args.plot is not None:
        if len(config.meter_elements) > 1:
            raise InputError("--plot draws a single meter; leave it out with --meters")
        from blondel.host.plot import check_suffix, plot

        check_suffix(args.plot)
        check_writable(args.plot)
    if args.json:
        say("note", f"the figures start after {settle_frames / config.sample_rate_hz:g} s of settling")
    if args.calibration is not None:
        say("note", "the truth is the waveforms as they are: what the calibration corrects shows as an error")
    window = _vcd_window(args, config, settle_frames, frames)

    # Unless it is asked for, or there is more to see of the RTL than its figures.
    settle_alone = args.engine is None and not args.exact_clock and args.vcd is None

    def run(vcd: BinaryIO | None = None) -> Measurement:
        if vcd is not None:
            engines["rtl"].record(vcd, *window, args.clock)
        with progress_bar("metering", settle_frames + frames, "frame") as progress:
            return measure(
                config, source, engines, settle_frames=settle_frames, frames=frames, seed=args.seed,
                trace=args.plot is not None, settle_alone=settle_alone, progress=progress,
            )  # fmt: skip

    try:
        with status("making the engines …"):
            engines = make_engines(config, args.engine or "both", clock_hz=args.clock if args.exact_clock else None)
        measurement = run() if args.vcd is None else write_whole(args.vcd, run)
    except ClockError as error:
        raise InputError(f"--clock {error}") from None
    except (EnginesDiffer, CompileError) as error:
        say("error", str(error))
        return FAILED
    show(args, measurement.figures)
    if args.plot is not None:
        plot(measurement, args.plot)
    return OK


def show(args: argparse.Namespace, figures: Figures) -> None:
    """Print the figures, as JSON where that is asked for."""
    from blondel.host.report import report

    if args.json:
        print(json.dumps(figures.to_json(), indent=2, allow_nan=False), flush=True)
    else:
        print(report(figures), end="", flush=True)


def _vcd_window(args: argparse.Namespace, config: MeterConfig, settle_frames: int, frames: int) -> tuple[int, int]:
    """Return which frames to record: the first, counted from power-up, and how many."""
    from blondel.sim.rtl.engine import recorded_bytes

    for name in ("exact_clock", "vcd"):
        if args.engine == "golden" and getattr(args, name):
            raise InputError(f"--{name.replace('_', '-')} is about the RTL; leave out --engine golden")
    if args.vcd is None:
        if args.vcd_window is not None:
            raise InputError("--vcd-window is what --vcd FILE.vcd records: give both, or none")
        return 0, 0
    check_writable(args.vcd)
    rate = config.sample_rate_hz
    start_s, seconds = args.vcd_window or (0.0, min(VCD_SECONDS, frames / rate))
    first, count = settle_frames + round(start_s * rate), max(1, round(seconds * rate))
    if first < 0 or first + count > settle_frames + frames:
        whole = f"{-settle_frames / rate:g} to {frames / rate:g} s"
        raise InputError(f"--vcd-window {start_s:g},{seconds:g} is not within the run; allowed: {whole}")
    size = recorded_bytes(config, count, args.clock)
    room = min(VCD_BYTES_MAX, shutil.disk_usage(args.vcd.resolve().parent).free)
    if size > room:
        raise InputError(
            f"--vcd would write about {size / 1e9:.2g} GB; allowed here: {room / 1e9:.2g} GB, "
            f"a window of {count / rate * room / size:.2g} s"
        )
    return first, count


def warn_of_overload(config: MeterConfig, amps: Iterable[float]) -> None:
    """Warn of currents beyond what the model is rated for."""
    for element, each in enumerate(amps, start=1):
        if abs(each) > RATED_MAX * config.class_amps:
            # Half a percent more for what a window can add.
            shows = "shows" if abs(each) > indicated_amps(config) else "may show"
            say(
                "warning",
                f"element {element}: {abs(each):.6g} A is more than 110 % of the {config.class_amps:g} A that "
                f"{config.model} is rated for; it {shows} overrange",
            )


def warn_of_clipping(whose: str, peak: float, full_scale: float, unit: str, fits: str) -> None:
    """Warn of a peak beyond full scale."""
    if peak > full_scale:
        say(
            "warning",
            f"{whose} peak of {quantity(peak, unit)} is beyond full scale, {quantity(full_scale, unit)}, and is "
            f"clipped; {fits} would fit",
        )


def outside(config: MeterConfig, volts: float) -> str:
    """Return what says that a voltage is outside the model's line."""
    line = config.line
    return (
        f"{quantity(volts, 'V')} is outside the model's line; allowed at {line.hertz} Hz: {line.v_min:g} to "
        f"{line.v_max:g} V"
    )

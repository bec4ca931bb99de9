"""The ``blondel`` command."""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import io
import itertools
import json
import math
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NoReturn, TypeVar

from blondel.hdl.config import ELEMENTS_MAX, LINE_FREQUENCY_RANGE_HZ, LINES, ConfigError, MeterConfig
from blondel.hdl.model_number import ModelNumber
from blondel.host.describe import RATED_MAX, describe, indicated_amps
from blondel.host.files import OutputError, check_writable, write_whole
from blondel.host.texts import TEXTS
from blondel.host.words import DAY_S, count, quantity

if TYPE_CHECKING:
    from blondel.boards.board import Board
    from blondel.host.accuracy import Accuracy
    from blondel.host.calibration import Calibration
    from blondel.host.cluster import Run
    from blondel.sim.bench import Reading
    from blondel.sim.measure import Figures, Measurement
    from blondel.sim.source.service import Service
    from blondel.sim.source.source import Source

__all__ = ["main"]

T = TypeVar("T")

#: Exit statuses.
OK, FAILED, BAD_INPUT, INTERRUPTED, BROKEN_PIPE = 0, 1, 2, 130, 141
#: Longest run, in s: three years.
SECONDS_MAX = 1e8
#: Fastest clock of a core, in Hz.
CLOCK_MAX_HZ = 1e9
#: What is recorded where no window is given, in s: three cycles of the mains; and the largest recording, in bytes.
VCD_SECONDS, VCD_BYTES_MAX = 0.05, 2e9
#: How often a long run is saved, in s.
SAVE_S = 60.0
#: A voltage further outside the model's line, as a part of its ends, is not meant for that model.
FAR_OUTSIDE = 0.2


class InputError(Exception):
    """What the user asks for cannot be done; the message is one line."""


class _Failure(Exception):
    """What was asked for was tried, and cannot be done; the message is one line."""


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        hint = "" if "('blondel" in message else f" ('{self.prog} --help' explains)"
        raise InputError(" ".join(message.split()) + hint)


def _say(kind: str, message: str) -> None:
    print(f"blondel: {kind}: {message}", file=sys.stderr)


# ---- arguments -----------------------------------------------------------------------------------


def _argument(parse: Callable[[str], object]) -> Callable[[str], object]:
    """Let argparse show a ValueError's own message."""

    def convert(text: str) -> object:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return convert


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is not a finite number")
    return value


def _factor(text: str) -> float:
    value = _number(text)
    if value == 0:
        raise ValueError(f"{text} is out of range; allowed: any number but 0")
    return value


def _bounded(low: float, high: float, unit: str = "", *, above: bool = False) -> Callable[[str], object]:
    """Return what parses a number from ``low`` on, or ``above`` it."""
    allowed = f"more than {low:g}, up to {high:,.10g}{unit}" if above else f"{low:g} to {high:,.10g}{unit}"

    def parse(text: str) -> float:
        value = _number(text)
        if not low <= value <= high or (above and value == low):
            raise ValueError(f"{text} is out of range; allowed: {allowed}")
        return value

    return _argument(parse)


def _whole(low: int, high: int) -> Callable[[str], object]:
    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise ValueError(f"{text!r} is not a whole number") from None
        if not low <= value <= high:
            raise ValueError(f"{text} is out of range; allowed: {low} to {high}")
        return value

    return _argument(parse)


def _numbers(text: str) -> list[float]:
    return [_number(part) for part in text.split(",")]


def _window(text: str) -> tuple[float, float]:
    values = _numbers(text)
    if len(values) != 2:
        raise ValueError(f"{text!r} is no window; allowed: START,SECONDS")
    start, seconds = values
    if seconds <= 0:
        raise ValueError(f"a window of {seconds:g} s is out of range; allowed: more than 0 s")
    return start, seconds


def _power_factors(text: str) -> list[str]:
    from blondel.sim.source.loads import power_factor

    for part in text.split(","):
        power_factor(part)
    return text.split(",")


def _names(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


@_argument
def _meters(text: str) -> tuple[int, ...]:
    """Return the elements of each meter: 12xS,10xD."""
    sizes: list[int] = []
    for part in text.split(","):
        found = re.fullmatch(r"\s*(?:(\d{1,2})x)?([SD]|\d{1,2})\s*", part)
        if found is None or int(found[1] or 1) == 0 or found[2] in ("0", "00"):
            raise ValueError(
                f"{part!r} is no group of meters; allowed: how many, x, and S (single-element), D (dual-element) or a "
                "number of elements, as in 12xS,10xD"
            )
        sizes += [{"S": 1, "D": 2}.get(found[2]) or int(found[2])] * int(found[1] or 1)
    if sum(sizes) > ELEMENTS_MAX:
        raise ValueError(f"{text} is {sum(sizes)} elements; allowed: up to {ELEMENTS_MAX}")
    return tuple(sizes)


def _add_meters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--meters", metavar="GROUPS", type=_meters, default=(),
        help="several meters in one core: 12xS,10xD are 12 single- and 10 dual-element ones; default: the model's one",
    )  # fmt: skip


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", type=_argument(ModelNumber.parse), help="for example MDNCT-2SC")
    _add_line(parser)


def _add_line(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--line", type=int, choices=sorted(LINES, reverse=True), default=60,
        help="60 (108–132 V) or 50 Hz (216–264 V); default 60",
    )  # fmt: skip


def _add_samples(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sample-rate", metavar="HZ", type=_argument(_number), default=8000.0, help="default 8000")
    _add_bits(parser)


def _add_bits(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bits", metavar="N", type=_whole(16, 24), default=24, help="bits of a sample; default 24")


def _add_measurement(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--engine", choices=("rtl", "golden", "both"),
        help="the generated design, the golden model, or both, compared bit for bit; default both",
    )  # fmt: skip
    parser.add_argument(
        "--settle", metavar="S", type=_bounded(0, SECONDS_MAX, " s"),
        help="seconds metered before the figures start; default: what the offset tracking needs",
    )  # fmt: skip
    _add_seed(parser)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--plot", metavar="FILE.png", type=Path, help="draw waveforms, power, energy and pulse edges")
    parser.add_argument(
        "--exact-clock", action="store_true",
        help="run every clock of the RTL; default: a frame follows as soon as the core takes it, with the same result",
    )  # fmt: skip
    parser.add_argument(
        "--clock", metavar="HZ", type=_bounded(0, CLOCK_MAX_HZ, " Hz", above=True), default=12e6,
        help="the core's, for --exact-clock and --vcd; default 12000000",
    )  # fmt: skip
    parser.add_argument("--vcd", metavar="FILE.vcd", type=Path, help="record the RTL's signals at every clock")
    parser.add_argument(
        "--vcd-window", metavar="START,SECONDS", type=_argument(_window),
        help=f"what --vcd records, from the figures' start on; default 0,{VCD_SECONDS:g}",
    )  # fmt: skip


def _add_seed(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", metavar="N", type=_whole(0, 2**63), default=1, help="of all randomness; default 1")


@_argument
def _power_factor(text: str) -> tuple[float, float]:
    from blondel.sim.source.loads import power_factor

    return power_factor(text)


@_argument
def _board(text: str) -> Board:
    from blondel.boards import BOARDS

    return _one_of("board", BOARDS, text)


@_argument
def _front_end(text: str) -> str:
    from blondel.boards.top import FRONT_ENDS

    _one_of("front end", FRONT_ENDS, text)
    return text


@_argument
def _feature(text: str) -> str:
    from blondel.boards.top import FEATURES

    _one_of("feature", FEATURES, text)
    return text


@_argument
def _accuracy_class(text: str) -> str:
    from blondel.sim.standards.limits import CLASSES

    _one_of("accuracy class", CLASSES, text)
    return text


def _one_of(kind: str, table: dict[str, T], text: str) -> T:
    if text not in table:
        raise ValueError(f"there is no {kind} {text!r}; there are: {', '.join(table)}")
    return table[text]


def _add_device(parser: argparse.ArgumentParser) -> None:
    _add_model(parser)
    _add_meters(parser)
    parser.add_argument("--board", metavar="B", type=_board, required=True, help="'blondel boards' lists them")
    parser.add_argument(
        "--frontend", metavar="F", type=_front_end, default="ads131m",
        help="ads131m (default), sigma-delta or playback: mains and load from a table",
    )  # fmt: skip
    parser.add_argument(
        "-o", "--output", metavar="DIR", type=Path, default=Path("build"), help="the bitstream's; default build"
    )


def _add_calibration(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--calibration", metavar="FILE", type=Path, help="what the factory found for this meter's channels and clock"
    )


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="blondel", allow_abbrev=False,
        description="An open electricity meter core: data sheets, simulated and replayed metering, Verilog, "
        "bitstreams.",
        epilog="exit status: 0 done, 1 the engines differ or cannot run, a build or a type test failed, 2 bad input, "
        "130 stopped",
    )  # fmt: skip
    parser.add_argument("--version", action="version", version=f"blondel {importlib.metadata.version('blondel')}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, run: Callable[[argparse.Namespace], int], what: str, **more: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=what, description=what, allow_abbrev=False, **more)
        command.set_defaults(run=run)
        return command

    add("models", _models, "list the models")

    command = add("describe", _describe, "print a model's data sheet")
    _add_model(command)
    command.add_argument("--lang", choices=tuple(TEXTS), default="en", help="language; default en")

    command = add(
        "run", _run, "meter a simulated load",
        epilog="A negative current is a CT turned round.",
    )  # fmt: skip
    _add_model(command)
    _add_meters(command)
    command.add_argument("--volts", metavar="V", type=_argument(_number), help="line to neutral, rms; default nominal")
    low, high = LINE_FREQUENCY_RANGE_HZ
    command.add_argument("--hertz", metavar="F", type=_bounded(low, high, " Hz"), help="default nominal")
    command.add_argument(
        "--amps", metavar="A[,A]", type=_argument(_numbers), help="rms, of all elements or of each; default 10"
    )
    command.add_argument(
        "--pf", metavar="PF[,PF]", type=_argument(_power_factors), help="power factor: 1 (default), 0.5lag, 0.866lead"
    )
    command.add_argument("--household", action="store_true", help="a household's appliances in place of --amps, --pf")
    length = command.add_mutually_exclusive_group()
    length.add_argument(
        "--seconds", metavar="S", type=_bounded(0, SECONDS_MAX, " s", above=True), default=60.0,
        help="after settling; default 60",
    )  # fmt: skip
    length.add_argument(
        "--days", metavar="D", type=_bounded(0, SECONDS_MAX // DAY_S, above=True),
        help="in place of --seconds: the golden model for days or years, the RTL in some windows of them",
    )  # fmt: skip
    command.add_argument(
        "--checks", metavar="N", type=_whole(0, 10_000),
        help="windows of --days in which the RTL is compared; default 12",
    )  # fmt: skip
    command.add_argument(
        "--resume", metavar="FILE", type=Path,
        help="with --days: where to save the run when it is interrupted, and each minute, and to go on from",
    )  # fmt: skip
    _add_samples(command)
    _add_calibration(command)
    _add_measurement(command)

    command = add(
        "replay", _replay, "meter recorded waveforms",
        epilog="A negative --i-scale turns the CT round.",
    )  # fmt: skip
    command.add_argument(
        "files", metavar="FILE", type=Path, nargs="+", help="NPZ, CSV or COMTRADE (.cfg); one for each element"
    )
    command.add_argument(
        "--model", metavar="MODEL", type=_argument(ModelNumber.parse),
        help="default: a model that covers the recording, else a meter made to measure",
    )  # fmt: skip
    command.add_argument("--repeat", metavar="N", type=_whole(1, 10**9), default=1, help="times to play it; default 1")
    command.add_argument("--v-scale", metavar="X", type=_argument(_factor), default=1.0, help="volts per recorded volt")
    command.add_argument("--i-scale", metavar="X", type=_argument(_factor), default=1.0, help="amps per recorded amp")
    for kind in ("v", "i"):
        command.add_argument(
            f"--{kind}-channel", metavar="NAME[,NAME]", type=_names,
            help="channel by name or number (from 1), of all elements or of each",
        )  # fmt: skip
    _add_bits(command)
    _add_calibration(command)
    _add_measurement(command)

    command = add(
        "calibrate", _calibrate, "work out one meter's calibration from a bench's readings",
        epilog="Without --readings a simulated meter is calibrated on a simulated bench.",
    )  # fmt: skip
    _add_model(command)
    command.add_argument("-o", "--output", metavar="FILE.toml", type=Path, help="the calibration")
    command.add_argument("--readings", metavar="FILE.csv", type=Path, help="what bench and meter showed")
    command.add_argument("--template", action="store_true", help="print a readings file to fill in, and no more")
    _add_calibration(command)
    command.add_argument(
        "--uncertainty", metavar="PERCENT", type=_bounded(0.001, 0.1, " %"), default=0.01,
        help="the bench's, of the energy; default 0.01",
    )  # fmt: skip
    command.add_argument(
        "--late", metavar="DEG", type=_bounded(0, 3, "°"), default=0.007,
        help="how late a front end may make its currents; what is later is a leading load; default 0.007",
    )  # fmt: skip
    command.add_argument(
        "--meter", metavar="N", type=_whole(0, 10**9), help="which of the simulated meters that --seed draws; default 0"
    )
    command.add_argument(
        "--seed", metavar="N", type=_whole(0, 2**63), help="of the simulated meters and of their noise; default 1"
    )
    command.add_argument(
        "--temperature", metavar="C", type=_bounded(-40, 85, " °C"), help="of the simulated bench; default 23"
    )
    command.add_argument(
        "--save-readings", metavar="FILE.csv", type=Path, help="write the simulated bench's readings, too"
    )
    _add_samples(command)
    command.add_argument("--json", action="store_true", help="print what was found as JSON")

    command = add(
        "accuracy", _accuracy, "put a model through the type tests of its accuracy class, simulated, and report",
        epilog="A .json has all results: --from makes a report of it again.",
    )  # fmt: skip
    command.add_argument(
        "model", metavar="MODEL", nargs="?", type=_argument(ModelNumber.parse), help="for example MDNCT-2SC"
    )
    _add_line(command)
    command.add_argument(
        "--class", metavar="C", dest="accuracy_class", type=_accuracy_class, default="0.5",
        help="0.1, 0.2, 0.5 of ANSI C12.20, 0.2S, 0.5S of IEC 62053-22; default 0.5",
    )  # fmt: skip
    command.add_argument("--list", action="store_true", help="list the class's tests and where they come from, no more")
    command.add_argument(
        "--tests", metavar="T[,T]", type=_names, help="some of the tests alone; none: only --population, --budget"
    )
    command.add_argument("--quick", action="store_true", help="fewer points and less certain ones: seconds")
    command.add_argument(
        "--meter", metavar="N", type=_whole(0, 10**9),
        help="which of the meters that --seed draws; default: nominal parts",
    )  # fmt: skip
    _add_calibration(command)
    _add_seed(command)
    command.add_argument(
        "--engine", choices=("golden", "rtl"), default="golden",
        help="of the type test: the golden model (default), or the generated design",
    )  # fmt: skip
    command.add_argument(
        "--population", metavar="N", type=_whole(1, 10**6), help="draw so many meters, too, and tell their yield"
    )
    command.add_argument("--budget", action="store_true", help="tell what each part adds to the error, too")
    command.add_argument(
        "-o", "--output", metavar="FILE", type=Path, action="append", default=[],
        help="report (.html), all results (.json), or points (.csv); may be given again",
    )  # fmt: skip
    command.add_argument("--json", action="store_true", help="print all results as JSON")
    command.add_argument("--from", metavar="FILE.json", dest="results", type=Path, help="results to report again")
    command.add_argument(
        "--workers", metavar="N", type=_whole(1, 1024),
        help="processes; default: one for a type test alone, else as many as there are cores",
    )  # fmt: skip
    command.add_argument("--cluster", metavar="tcp://HOST:PORT", help="a Dask scheduler whose workers do the work")

    command = add("verilog", _verilog, "write a model's core as Verilog, with its ports described")
    _add_model(command)
    _add_meters(command)
    command.add_argument("-o", "--output", metavar="FILE.v", type=Path, help="default: standard output")
    _add_samples(command)
    _add_calibration(command)
    command.add_argument(
        "--multiplier", choices=("parallel", "serial"), default="parallel",
        help="serial: bit by bit, for devices without multiplier blocks; takes some 200 clocks for each element",
    )  # fmt: skip

    command = add("boards", _boards, "list the boards, or print one's wiring")
    command.add_argument("board", metavar="BOARD", nargs="?", type=_board, help="its wiring; default: list all")

    command = add(
        "build", _build, "build a board's bitstream",
        epilog="--volts, --amps and --pf are what is played, with --frontend playback.",
    )  # fmt: skip
    _add_device(command)
    command.add_argument("--volts", metavar="V", type=_argument(_number), help="line to neutral, rms; default nominal")
    command.add_argument("--amps", metavar="A", type=_argument(_number), help="rms, of each element; default 10")
    command.add_argument("--pf", metavar="PF", type=_power_factor, help="power factor: 1 (default), 0.5lag, 0.866lead")
    command.add_argument(
        "--without", metavar="FEATURE", type=_feature, action="append", default=[],
        help="registers, indicators: what to leave out where the FPGA is small; may be given again",
    )  # fmt: skip
    command.add_argument(
        "--toolchain", choices=("pypi", "native"), default="pypi",
        help="the tools that came from PyPI (default), or yosys, nextpnr-ice40 and icepack on PATH",
    )  # fmt: skip
    _add_bits(command)
    _add_calibration(command)
    command.add_argument("--json", action="store_true", help="print the report as JSON")

    command = add("program", _program, "write a bitstream that was built to its board")
    _add_device(command)
    return parser


# ---- commands ------------------------------------------------------------------------------------


def _models(args: argparse.Namespace) -> int:
    print(f"{'Model':<11}{'Elements':<10}{'Counter':<10}{'CT':<14}")
    kinds = {"SC": "solid-core", "SP": "split-core", "NC": "no CT"}
    for model in ModelNumber.all():
        elements = {1: "single", 2: "dual"}[model.elements]
        counter = f"{model.counter_wh / 1000:g} kWh"
        print(f"{model!s:<11}{elements:<10}{counter:<10}{model.ct_amps} A {kinds[model.ct_kind]}")
    return OK


def _describe(args: argparse.Namespace) -> int:
    print(describe(MeterConfig.for_model(args.model, args.line), args.lang), end="")
    return OK


@contextlib.contextmanager
def _calibration(args: argparse.Namespace) -> Iterator[Calibration | None]:
    """Read the calibration, where there is one; what it is refused for is said with its name."""
    if args.calibration is None:
        yield None
        return
    from blondel.host.calibration import Calibration, CalibrationError

    try:
        yield Calibration.read(args.calibration)
    except CalibrationError as error:
        raise InputError(f"--calibration {args.calibration}: {error}") from None


def _calibrated(args: argparse.Namespace, config: MeterConfig) -> MeterConfig:
    with _calibration(args) as calibration:
        return calibration.apply(config) if calibration else config


def _calibrate(args: argparse.Namespace) -> int:
    from blondel.host.calibration import Calibration
    from blondel.host.calibration_report import report, to_json
    from blondel.host.readings import template, write_readings
    from blondel.sim.calibrate import BenchError, adjust, plan_steps

    config = MeterConfig.for_model(
        args.model, args.line, sample_rate_hz=args.sample_rate, sample_bits=args.bits
    )
    if args.template:
        print(template(config, plan_steps(config)), end="")
        return OK
    if args.output is None:
        raise InputError("the calibration needs a file: -o FILE.toml")
    config = _calibrated(args, config)
    for path in filter(None, (args.output, args.save_readings)):
        check_writable(path)
    limits = {"uncertainty": args.uncertainty / 100, "late_deg": args.late}
    take = _simulated(args) if args.readings is None else _recorded(args)
    try:
        with _status("calibrating …"):
            readings = take(config)
            adjustment = adjust(config, readings, **limits)
            again = None  # readings from a file cannot be taken again
            if args.readings is None:
                again = adjust(adjustment.config, take(adjustment.config), **limits)
    except BenchError as error:
        raise InputError(str(error)) from None
    Calibration.of(adjustment.config).write(args.output)
    if args.save_readings is not None:
        write_readings(args.save_readings, config, readings)
    if args.json:
        print(json.dumps(to_json(config, adjustment, again), indent=2, allow_nan=False))
    else:
        print(f"{report(config, adjustment, again)}\ncalibration  {args.output}")
    return OK


def _recorded(args: argparse.Namespace) -> Callable[[MeterConfig], list[Reading]]:
    """Return what takes readings from their file."""
    from blondel.host.readings import ReadingsError, read_readings

    for name in ("meter", "seed", "temperature", "save_readings"):
        if getattr(args, name) is not None:
            raise InputError(f"--{name.replace('_', '-')} is of the simulated bench: leave it out, or --readings")

    def take(config: MeterConfig) -> list[Reading]:
        try:
            return read_readings(args.readings, config)
        except ReadingsError as error:
            raise InputError(f"--readings {args.readings}: {error}") from None

    return take


def _simulated(args: argparse.Namespace) -> Callable[[MeterConfig], list[Reading]]:
    """Return what takes readings on the simulated bench, with other noise every time."""
    from blondel.sim.afe.parts import Parts
    from blondel.sim.calibrate import simulate

    seed = 1 if args.seed is None else args.seed
    temperature = 23.0 if args.temperature is None else args.temperature
    noise = itertools.count(seed)

    def take(config: MeterConfig) -> list[Reading]:
        parts = Parts.draw(config, seed, args.meter or 0)
        return simulate(
            config, parts, temperature_c=temperature, seed=next(noise), uncertainty=args.uncertainty / 100
        )

    return take


def _accuracy(args: argparse.Namespace) -> int:
    from blondel.host.accuracy import Accuracy, AccuracyError, list_tests, report
    from blondel.host.cluster import ClusterError, ClusterUnfit
    from blondel.sim.rtl.engine import CompileError

    if args.list:
        print(list_tests(args.accuracy_class), end="")
        return OK
    for path in args.output:
        if path.suffix.lower() not in _ACCURACY_FILES:
            raise InputError(f"cannot write {path}: its name must end with {', '.join(_ACCURACY_FILES)}")
        check_writable(path)
    if args.results is not None:
        for name in ("model", "tests", "quick", "meter", "calibration", "population", "budget", "workers", "cluster"):
            value = getattr(args, name)
            if value is not None and value is not False:
                raise InputError(f"--from brings its results: leave out {'MODEL' if name == 'model' else f'--{name}'}")
        try:
            found = Accuracy.read(args.results)
        except AccuracyError as error:
            raise InputError(f"--from {args.results}: {error}") from None
    elif args.model is None:
        raise InputError("which model? One of 'blondel models', or --from FILE.json")
    else:
        try:
            found = _put_to_test(args)
        except ClusterUnfit as error:
            raise InputError(f"--cluster: {error}") from None
        except (ClusterError, CompileError, _Failure) as error:
            _say("error", str(error))
            return FAILED
    for path in args.output:
        text = _ACCURACY_FILES[path.suffix.lower()](found)
        write_whole(path, lambda file, text=text: file.write(text.encode()))
    print(_results_json(found) if args.json else report(found), end="", flush=True)
    if found.test.failed:
        _say("error", f"{found.test.model} failed: {', '.join(found.test.failed)}")
        return FAILED
    return OK


def _report_page(found: Accuracy) -> str:
    from blondel.host.accuracy_page import page

    return page(found)


def _results_json(found: Accuracy) -> str:
    return json.dumps(found.to_json(), indent=2, allow_nan=False) + "\n"


def _points_csv(found: Accuracy) -> str:
    from blondel.host.accuracy import to_csv

    return to_csv(found)


#: What writes an accuracy's files, by the ends of their names.
_ACCURACY_FILES = {".html": _report_page, ".json": _results_json, ".csv": _points_csv}


def _put_to_test(args: argparse.Namespace) -> Accuracy:
    """Calibrate a meter, put it through its tests, and draw others where that is asked for."""
    from blondel.host.accuracy import Accuracy, judge, only
    from blondel.host.cluster import version
    from blondel.sim.afe.parts import Parts
    from blondel.sim.calibrate import BenchError, calibrate
    from blondel.sim.standards.budget import budget
    from blondel.sim.standards.laboratory import plan, warm_up
    from blondel.sim.standards.population import population

    config = MeterConfig.for_model(args.model, args.line)
    if args.meter is None:
        meter, parts = "nominal parts", Parts.nominal(config)
    else:
        meter, parts = f"meter {args.meter} of seed {args.seed}", Parts.draw(config, args.seed, args.meter)
    calibrated, calibration = _calibrated(args, config), f"{args.calibration}"
    with _status("calibrating …"):
        if args.calibration is None:
            try:
                # Its noise is not that of the tests.
                calibrated = calibrate(config, parts, seed=~args.seed)
            except BenchError as error:
                raise _Failure(f"{meter}: {error}") from None
            calibration = "on the simulated bench, 23 °C"
        # Whatever compiles does so here, and not in every process.
        warm_up(calibrated, parts, args.engine)
    test = plan(calibrated, parts, args.accuracy_class, quick=args.quick, seed=args.seed, engine=args.engine)
    if args.tests is not None:
        try:
            test = only(test, [] if args.tests == ["none"] else args.tests)
        except ValueError as error:
            raise InputError(f"--tests: {error}") from None
    plans = {"test": test}
    if args.population is not None:
        plans["population"] = population(config, args.population, seed=args.seed)
    if args.budget:
        plans["budget"] = budget(config, seed=args.seed)
    tasks = [task for each in plans.values() for task in each.tasks]
    with _runner(args, len(plans) > 1) as run, _progress("measuring", len(tasks), "measurement") as progress:
        results = run(tasks, progress)
    date = datetime.now(UTC).isoformat(timespec="seconds")
    return Accuracy(version(), date, meter, calibration, **judge(plans, results))


def _runner(args: argparse.Namespace, much: bool) -> contextlib.AbstractContextManager[Run]:
    """Return what runs tasks where they are to run.

    A type test alone is done before processes have started.
    """
    from blondel.host.cluster import cores, on_cluster, on_this_machine
    from blondel.sim.standards.laboratory import run

    if args.cluster is not None:
        if args.workers is not None:
            raise InputError("--cluster has its own workers: leave out --workers")
        return on_cluster(args.cluster)
    workers = args.workers or (cores() if much else 1)
    return contextlib.nullcontext(run) if workers == 1 else on_this_machine(workers)


def _verilog(args: argparse.Namespace) -> int:
    from blondel.hdl.meter import Options
    from blondel.hdl.verilog import convert

    config = MeterConfig.for_model(
        args.model, args.line, meters=args.meters, sample_rate_hz=args.sample_rate, sample_bits=args.bits
    )
    config = _calibrated(args, config)
    if args.output is not None:
        check_writable(args.output)
    text = convert(config, Options(serial_multiplier=args.multiplier == "serial"))
    if args.output is None:
        print(text, end="")
        return OK
    write_whole(args.output, lambda file: file.write(text.encode()))
    return OK


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


def _build(args: argparse.Namespace) -> int:
    from blondel.hdl.frontend.playback import PlaybackLoad
    from blondel.host.build import BuildError, NotBuilt, TimingError, build

    load = None
    given = [f"--{name}" for name in ("volts", "amps", "pf") if getattr(args, name) is not None]
    if args.frontend == "playback":
        cosine, sine = args.pf or (1.0, 0.0)
        amps = 10.0 if args.amps is None else args.amps
        load = PlaybackLoad(
            # Energy is received where the current is more than a quarter of a period away: then it is turned round.
            args.volts, math.copysign(amps, amps * cosine), abs(cosine), leading=(sine < 0) != (cosine < 0),
        )  # fmt: skip
        if args.calibration is not None:
            raise InputError("--calibration corrects a converter; the front end playback has none")
    elif given:
        raise InputError(f"{given[0]} is what is played; the front end {args.frontend} plays nothing")
    config = _calibrated(args, MeterConfig.for_model(args.model, args.line, meters=args.meters, sample_bits=args.bits))
    with _steps() as progress:
        try:
            result = build(
                config, args.board, args.frontend, args.output, load=load, without=args.without,
                toolchain=args.toolchain, progress=progress,
            )  # fmt: skip
            failure = None
        except NotBuilt as error:
            raise InputError(str(error)) from None
        except TimingError as error:
            result, failure = error.report, str(error)
        except BuildError as error:
            result, failure = None, str(error)
    if result is not None:
        print(json.dumps(result.to_json(), indent=2) + "\n" if args.json else result.to_text(), end="", flush=True)
    if failure:
        _say("error", failure)
        return FAILED
    return OK


def _program(args: argparse.Namespace) -> int:
    from blondel.host.build import NotBuilt, bitstream_path, program

    config = MeterConfig.for_model(args.model, args.line, meters=args.meters)
    path = bitstream_path(config, args.board, args.frontend, args.output)
    try:
        with _status(f"programming {args.board.title} …"):
            program(path, args.board)
    except NotBuilt as error:
        raise InputError(str(error)) from None
    return OK


def _for_each(name: str, given: list, config: MeterConfig) -> list:
    """Return one value for each element, of one for all or of one for each."""
    if len(given) not in (1, config.elements):
        allowed = "1" if config.elements == 1 else f"1 or {config.elements}"
        of = f"--meters {config.meters_text}" if config.meters else config.model
        raise InputError(f"{name} has {len(given)} values; allowed for {of}: {allowed}")
    return given * (config.elements // len(given))


def _run(args: argparse.Namespace) -> int:
    config = MeterConfig.for_model(
        args.model, args.line, meters=args.meters, sample_rate_hz=args.sample_rate, sample_bits=args.bits
    )
    config = _calibrated(args, config)
    line = config.line
    volts = line.v_nominal if args.volts is None else args.volts
    if not line.v_min <= volts <= line.v_max:
        raise InputError(f"--volts {_outside(config, volts)}")
    hertz = float(line.hertz) if args.hertz is None else args.hertz
    frames = round(args.seconds * config.sample_rate_hz)
    if frames < 1:
        raise InputError(f"--seconds {args.seconds:g} is less than a sample, {1 / config.sample_rate_hz:g} s")
    if args.days is None:
        for name in ("checks", "resume"):
            if getattr(args, name) is not None:
                raise InputError(f"--{name} is for a run of --days")
    source = _household(args, config, volts, hertz) if args.household else _bench(args, config, volts, hertz)
    settle = config.settle_s if args.settle is None else args.settle
    if args.days is not None:
        return _run_days(args, config, source, math.ceil(settle))
    return _measure(args, config, source, config.frames_in(settle), frames)


def _run_days(args: argparse.Namespace, config: MeterConfig, service: Service, settle_s: int) -> int:
    """Meter for days: in whole seconds, by the golden model, with the RTL in some windows."""
    from blondel.sim.long_run import ForeignRun, LongRun
    from blondel.sim.measure import EnginesDiffer
    from blondel.sim.rtl.engine import CompileError
    from blondel.sim.source.seconds import Seconds

    if args.engine in ("rtl", "both"):
        raise InputError(
            f"--engine {args.engine} is not for --days: the golden model meters them, and --checks N compares the RTL"
        )
    for name in ("exact_clock", "vcd", "vcd_window"):
        if getattr(args, name):
            raise InputError(f"--{name.replace('_', '-')} is for a run of --seconds")
    checks = (0 if args.engine else 12) if args.checks is None else args.checks
    if args.plot is not None:
        from blondel.host.plot import check_suffix, plot_days

        check_suffix(args.plot)
    for path in (args.plot, args.resume):
        if path is not None:
            check_writable(path)
    try:
        source = Seconds(service, config, seed=args.seed)
    except ValueError as error:
        raise InputError(f"--days is metered by the second: {error}") from None
    seconds = max(1, round(args.days * DAY_S))
    try:
        with _status("making the engines …"):
            run = LongRun(config, source, settle_s=settle_s, seconds=seconds, checks=checks, seed=args.seed)
        if args.resume is not None and args.resume.exists():
            try:
                run.restore(args.resume.read_bytes())
            except ForeignRun as error:
                raise InputError(f"--resume {args.resume}: {error}") from None
        with _saving(args.resume, run.save) as pause, _day_progress(run.done_s, settle_s + seconds) as progress:
            complete = run.run(progress=progress, pause=pause)
    except (EnginesDiffer, CompileError) as error:
        _say("error", str(error))
        return FAILED
    if not complete:
        _say("note", f"{run.done_s / DAY_S:.2f} days are in {args.resume}; the same command goes on from there")
        raise KeyboardInterrupt
    figures = run.figures()
    _show(args, figures)
    if args.plot is not None:
        plot_days(figures, run.daily_wh, args.plot)
    return OK


def _outside(config: MeterConfig, volts: float) -> str:
    line = config.line
    return (
        f"{quantity(volts, 'V')} is outside the model's line; allowed at {line.hertz} Hz: {line.v_min:g} to "
        f"{line.v_max:g} V"
    )


def _check_voltages(config: MeterConfig, v_rms: Iterable[float], v_scale: float) -> None:
    """Refuse a recording that cannot be meant for the model's line; warn of one that is just outside."""
    line = config.line
    wrong = []
    for element, volts in enumerate(v_rms, start=1):
        if line.v_min <= volts <= line.v_max:
            continue
        wrong.append(f"element {element}: {_outside(config, volts)}")
        if not (1 - FAR_OUTSIDE) * line.v_min <= volts <= (1 + FAR_OUTSIDE) * line.v_max:
            fits = f"; --v-scale={v_scale * line.v_nominal / volts:.3g} would make it nominal" if volts > 0 else ""
            raise InputError(wrong[-1] + fits)
    for each in wrong:
        _say("warning", each)


def _bench(args: argparse.Namespace, config: MeterConfig, volts: float, hertz: float) -> Service:
    """Return a test bench's sines."""
    from blondel.sim.source.loads import Sine
    from blondel.sim.source.mains import Mains
    from blondel.sim.source.service import Service

    amps = _for_each("--amps", args.amps or [10.0], config)
    factors = _for_each("--pf", args.pf or ["1"], config)
    _warn_of_overload(config, amps)
    peak = math.sqrt(2) * max(map(abs, amps))
    _warn_of_clipping(
        "the current's", peak, config.i_full_scale, "A", f"--amps up to {config.i_full_scale / math.sqrt(2):.4g}"
    )
    loads = [[Sine(each, factor)] for each, factor in zip(amps, factors, strict=True)]
    return Service(Mains(volts=volts, hertz=hertz), loads, sample_rate_hz=config.sample_rate_hz)


def _warn_of_overload(config: MeterConfig, amps: Iterable[float]) -> None:
    for element, each in enumerate(amps, start=1):
        if abs(each) > RATED_MAX * config.class_amps:
            # Half a percent more for what a window can add.
            shows = "shows" if abs(each) > indicated_amps(config) else "may show"
            _say(
                "warning",
                f"element {element}: {abs(each):.6g} A is more than 110 % of the {config.class_amps:g} A that "
                f"{config.model} is rated for; it {shows} overrange",
            )


def _household(args: argparse.Namespace, config: MeterConfig, volts: float, hertz: float) -> Service:
    from blondel.sim.source.household import household

    for name in ("amps", "pf"):
        if getattr(args, name) is not None:
            raise InputError(f"--household brings its own loads: leave out --{name}")
    return household(
        volts=volts, hertz=hertz, elements=config.elements, seed=args.seed, sample_rate_hz=config.sample_rate_hz,
        repeating=args.days is not None,
    )  # fmt: skip


def _replay(args: argparse.Namespace) -> int:
    import numpy as np

    from blondel.host.report import energy
    from blondel.host.sizing import config_for, extent
    from blondel.sim.source.recording import Recording

    try:
        recording = Recording.read(
            *args.files, v_scale=args.v_scale, i_scale=args.i_scale, v_channel=args.v_channel, i_channel=args.i_channel
        )
    except ValueError as error:
        raise InputError(str(error)) from None
    size = extent(recording)
    with _calibration(args) as calibration:
        if calibration and args.model is None:
            args.model = ModelNumber.parse(calibration.model)
    if args.model is None:
        try:
            config = config_for(recording, args.bits)
        except ConfigError as error:
            raise InputError(f"no meter can be made for this recording, as --v-scale and --i-scale make it: {error}"
                             ) from None  # fmt: skip
        if config.model is None:
            _say(
                "note",
                f"no model covers this recording; a meter made to measure: {count(config.elements, 'element')}, "
                f"{quantity(config.v_full_scale, 'V')}, {quantity(config.i_full_scale, 'A')} peak, "
                f"{energy(config.pulse_wh)} per pulse",
            )
    else:
        config = MeterConfig.for_model(
            args.model, size.line_hz, sample_rate_hz=recording.sample_rate_hz, sample_bits=args.bits
        )
        if config.elements != recording.elements:
            raise InputError(
                f"model {config.model} has {count(config.elements, 'element')}; "
                f"the recording has {recording.elements}"
            )
        config = _calibrated(args, config)
        _check_voltages(config, size.v_rms, args.v_scale)
        _warn_of_overload(config, size.i_rms)
        for kind, peak, full_scale, scale, unit in (
            ("v", size.v_peak, config.v_full_scale, args.v_scale, "V"),
            ("i", size.i_peak, config.i_full_scale, args.i_scale, "A"),
        ):
            if peak > full_scale:
                fits = f"--{kind}-scale={_rounded_down(scale * full_scale / peak):.2g}"
                _warn_of_clipping("the recording's", peak, full_scale, unit, fits)
    low, high = LINE_FREQUENCY_RANGE_HZ
    if size.fundamental_hz is not None and not low - 0.5 <= size.fundamental_hz <= high + 0.5:
        _say(
            "warning",
            f"the recording's fundamental is at {size.fundamental_hz:.4g} Hz; the meter is made for {low:g} to "
            f"{high:g} Hz: are its sample rate and its voltage channel right?",
        )
    settle = config.frames_in(config.settle_s if args.settle is None else args.settle)
    # The settling ends where the recording begins.
    source = Recording(
        np.roll(recording.volts, settle, axis=0), np.roll(recording.amps, settle, axis=0), recording.sample_rate_hz
    )
    return _measure(args, config, source, settle, args.repeat * recording.period_frames)


def _rounded_down(value: float) -> float:
    """Return a number with two digits and no larger magnitude."""
    step = 10.0 ** (math.floor(math.log10(abs(value))) - 1)
    return math.copysign(math.floor(abs(value) / step) * step, value)


def _warn_of_clipping(whose: str, peak: float, full_scale: float, unit: str, fits: str) -> None:
    if peak > full_scale:
        _say(
            "warning",
            f"{whose} peak of {quantity(peak, unit)} is beyond full scale, {quantity(full_scale, unit)}, and is "
            f"clipped; {fits} would fit",
        )


def _measure(args: argparse.Namespace, config: MeterConfig, source: Source, settle_frames: int, frames: int) -> int:
    from blondel.sim.measure import EnginesDiffer, make_engines, measure
    from blondel.sim.rtl.engine import ClockError, CompileError

    if args.plot is not None:
        if len(config.meter_elements) > 1:
            raise InputError("--plot draws a single meter; leave it out with --meters")
        from blondel.host.plot import check_suffix, plot

        check_suffix(args.plot)
        check_writable(args.plot)
    if args.json:
        _say("note", f"the figures start after {settle_frames / config.sample_rate_hz:g} s of settling")
    if args.calibration is not None:
        _say("note", "the truth is the waveforms as they are: what the calibration corrects shows as an error")
    window = _vcd_window(args, config, settle_frames, frames)

    def run(vcd: BinaryIO | None = None) -> Measurement:
        if vcd is not None:
            engines["rtl"].record(vcd, *window, args.clock)
        with _progress("metering", settle_frames + frames, "frame") as progress:
            return measure(
                config, source, engines, settle_frames=settle_frames, frames=frames, seed=args.seed,
                trace=args.plot is not None, progress=progress,
            )  # fmt: skip

    try:
        with _status("making the engines …"):
            engines = make_engines(config, args.engine or "both", clock_hz=args.clock if args.exact_clock else None)
        measurement = run() if args.vcd is None else write_whole(args.vcd, run)
    except ClockError as error:
        raise InputError(f"--clock {error}") from None
    except (EnginesDiffer, CompileError) as error:
        _say("error", str(error))
        return FAILED
    _show(args, measurement.figures)
    if args.plot is not None:
        plot(measurement, args.plot)
    return OK


def _show(args: argparse.Namespace, figures: Figures) -> None:
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


@contextlib.contextmanager
def _status(text: str) -> Iterator[None]:
    """Show on a terminal what takes a while."""
    shown = sys.stderr.isatty()
    if shown:
        print(text, end="\r", file=sys.stderr, flush=True)
    try:
        yield
    finally:
        if shown:
            print(" " * len(text), end="\r", file=sys.stderr, flush=True)


@contextlib.contextmanager
def _steps() -> Iterator[Callable[[str], None]]:
    """Show on a terminal which step long work is at, and for how long."""
    shown = sys.stderr.isatty()
    began = time.monotonic()

    def show(step: str) -> None:
        if shown:
            print(f"\r{step} … {time.monotonic() - began:.0f} s\033[K", end="", file=sys.stderr, flush=True)

    try:
        yield show
    finally:
        if shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


@contextlib.contextmanager
def _saving(path: Path | None, save: Callable[[], bytes]) -> Iterator[Callable[[], bool] | None]:
    """Save long work each minute, when it is interrupted, and at its end; yield what tells it to pause for that."""
    if path is None:
        yield None
        return
    asked = False
    saved = time.monotonic()

    def ask(*_: object) -> None:
        nonlocal asked
        asked = True

    def write() -> None:
        write_whole(path, lambda file: file.write(save()))

    def pause() -> bool:
        nonlocal saved
        if time.monotonic() - saved > SAVE_S:
            write()
            saved = time.monotonic()
        return asked

    before = {each: signal.signal(each, ask) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield pause
        write()
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextlib.contextmanager
def _day_progress(done_s: int, end_s: int) -> Iterator[Callable[[int], object]]:
    """Show on a terminal how far a run of days is, and for how long it will go on."""
    from tqdm import tqdm

    shown = "{l_bar}{bar}| {n:.1f} of {total:.0f} days [{elapsed}, {remaining} left]"
    bar = tqdm(
        total=end_s / DAY_S, initial=done_s / DAY_S, desc="metering", bar_format=shown, disable=None, leave=False
    )
    with bar:
        yield lambda seconds: bar.update(seconds / DAY_S)


@contextlib.contextmanager
def _progress(work: str, total: int, unit: str) -> Iterator[Callable[[int], object]]:
    """Show on a terminal how far long work is, and how long it will yet take."""
    from tqdm import tqdm

    # disable=None: not where standard error is no terminal.
    bar = tqdm(total=total, desc=work, unit=f" {unit}s", unit_scale=total > 9999, delay=1, disable=None, leave=False)
    with bar:
        yield bar.update


# ---- the command -----------------------------------------------------------------------------------


def _with_negatives(argv: list[str]) -> list[str]:
    """Join an option to a negative value after it, such as -5,10, which argparse would take for an option."""
    joined: list[str] = []
    for argument in argv:
        if joined and re.fullmatch(r"--[a-z-]*[a-z]", joined[-1]) and re.match(r"-[.\d]", argument):
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return joined


def main(argv: list[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    argv : list of str or None
        Arguments. Default: the command line's.

    Returns
    -------
    int
        Exit status: 0 done, 1 the engines differ or cannot run, or a build failed, 2 bad input, 130 interrupted,
        141 whoever read the output stopped.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal that has no Ω gets a question mark.
        sys.stdout.reconfigure(errors="replace")
    try:
        args = _parser().parse_args(_with_negatives(sys.argv[1:] if argv is None else argv))
        status = args.run(args)
        sys.stdout.flush()
        return status
    except (InputError, ConfigError, OutputError) as error:
        _say("error", str(error))
        return BAD_INPUT
    except KeyboardInterrupt:
        _say("error", "interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        _drop_output()
        return BROKEN_PIPE
    except OSError as error:
        _drop_output()
        _say("error", f"cannot write the output: {error.strerror or error}")
        return BAD_INPUT


def _drop_output() -> None:
    """Let the interpreter's last flush of standard output go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

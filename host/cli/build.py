"""``blondel build`` and ``blondel program``: a board's bitstream."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

from blondel.hdl.config import MeterConfig
from blondel.host.cli.arguments import (
    Commands,
    add_bits,
    add_calibration,
    add_command,
    add_meters,
    add_model,
    argument,
    board_named,
    number,
    one_of,
    with_calibration,
)
from blondel.host.cli.messages import FAILED, OK, InputError, say
from blondel.host.cli.progress import status, steps

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add both."""
    command = add_command(
        commands, "build", _build, "build a board's bitstream",
        epilog="--volts, --amps and --pf are what is played, with --frontend playback.",
    )  # fmt: skip
    _add_device(command)
    command.add_argument("--volts", metavar="V", type=argument(number), help="line to neutral, rms; default nominal")
    command.add_argument("--amps", metavar="A", type=argument(number), help="rms, of each element; default 10")
    command.add_argument("--pf", metavar="PF", type=_power_factor, help="power factor: 1 (default), 0.5lag, 0.866lead")
    command.add_argument(
        "--without", metavar="FEATURE", type=_feature, action="append", default=[],
        help="registers, indicators: what to leave out where the FPGA is small; may be given again",
    )  # fmt: skip
    command.add_argument(
        "--toolchain", choices=("pypi", "native"), default="pypi",
        help="the tools that came from PyPI (default), or yosys, nextpnr-ice40 and icepack on PATH",
    )  # fmt: skip
    add_bits(command)
    add_calibration(command)
    command.add_argument("--json", action="store_true", help="print the report as JSON")

    command = add_command(commands, "program", _program, "write a bitstream that was built to its board")
    _add_device(command)


def _add_device(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    add_meters(parser)
    parser.add_argument("--board", metavar="B", type=board_named, required=True, help="'blondel boards' lists them")
    parser.add_argument(
        "--frontend", metavar="F", type=_front_end, default="ads131m",
        help="ads131m (default), sigma-delta or playback: mains and load from a table",
    )  # fmt: skip
    parser.add_argument(
        "-o", "--output", metavar="DIR", type=Path, default=Path("build"), help="the bitstream's; default build"
    )


@argument
def _front_end(text: str) -> str:
    from blondel.boards.top import FRONT_ENDS

    one_of("front end", FRONT_ENDS, text)
    return text


@argument
def _feature(text: str) -> str:
    from blondel.boards.top import FEATURES

    one_of("feature", FEATURES, text)
    return text


@argument
def _power_factor(text: str) -> tuple[float, float]:
    from blondel.sim.source.loads import power_factor

    return power_factor(text)


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
    config = with_calibration(
        args, MeterConfig.for_model(args.model, args.line, meters=args.meters, sample_bits=args.bits)
    )
    with steps() as progress:
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
        say("error", failure)
        return FAILED
    return OK


def _program(args: argparse.Namespace) -> int:
    from blondel.host.build import NotBuilt, bitstream_path, program

    config = MeterConfig.for_model(args.model, args.line, meters=args.meters)
    path = bitstream_path(config, args.board, args.frontend, args.output)
    try:
        with status(f"programming {args.board.title} …"):
            program(path, args.board)
    except NotBuilt as error:
        raise InputError(str(error)) from None
    return OK

"""``blondel calibrate``: work out one meter's calibration."""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from blondel.hdl.config import MeterConfig
from blondel.host.cli.arguments import (
    Commands,
    add_calibration,
    add_command,
    add_model,
    add_samples,
    bounded,
    whole,
    with_calibration,
)
from blondel.host.cli.messages import OK, InputError
from blondel.host.cli.progress import status
from blondel.host.files import check_writable

if TYPE_CHECKING:
    from blondel.sim.bench import Reading

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the command."""
    command = add_command(
        commands, "calibrate", _calibrate, "work out one meter's calibration from a bench's readings",
        epilog="Without --readings a simulated meter is calibrated on a simulated bench.",
    )  # fmt: skip
    add_model(command)
    command.add_argument("-o", "--output", metavar="FILE.toml", type=Path, help="the calibration")
    command.add_argument("--readings", metavar="FILE.csv", type=Path, help="what bench and meter showed")
    command.add_argument("--template", action="store_true", help="print a readings file to fill in, and no more")
    add_calibration(command)
    command.add_argument(
        "--uncertainty", metavar="PERCENT", type=bounded(0.001, 0.1, " %"), default=0.01,
        help="the bench's, of the energy; default 0.01",
    )  # fmt: skip
    command.add_argument(
        "--late", metavar="DEG", type=bounded(0, 3, "°"), default=0.007,
        help="how late a front end may make its currents; what is later is a leading load; default 0.007",
    )  # fmt: skip
    command.add_argument(
        "--meter", metavar="N", type=whole(0, 10**9), help="which of the simulated meters that --seed draws; default 0"
    )
    command.add_argument(
        "--seed", metavar="N", type=whole(0, 2**63), help="of the simulated meters and of their noise; default 1"
    )
    command.add_argument(
        "--temperature", metavar="C", type=bounded(-40, 85, " °C"), help="of the simulated bench; default 23"
    )
    command.add_argument(
        "--save-readings", metavar="FILE.csv", type=Path, help="write the simulated bench's readings, too"
    )
    add_samples(command)
    command.add_argument("--json", action="store_true", help="print what was found as JSON")


def _calibrate(args: argparse.Namespace) -> int:
    from blondel.host.calibration import Calibration
    from blondel.host.calibration_report import report, to_json
    from blondel.host.readings import template, write_readings
    from blondel.sim.calibrate import BenchError, adjust, plan_steps

    config = MeterConfig.for_model(args.model, args.line, sample_rate_hz=args.sample_rate, sample_bits=args.bits)
    if args.template:
        print(template(config, plan_steps(config)), end="")
        return OK
    if args.output is None:
        raise InputError("the calibration needs a file: -o FILE.toml")
    config = with_calibration(args, config)
    for path in filter(None, (args.output, args.save_readings)):
        check_writable(path)
    limits = {"uncertainty": args.uncertainty / 100, "late_deg": args.late}
    take = _simulated(args) if args.readings is None else _recorded(args)
    try:
        with status("calibrating …"):
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
        return simulate(config, parts, temperature_c=temperature, seed=next(noise), uncertainty=args.uncertainty / 100)

    return take

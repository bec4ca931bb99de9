"""``blondel verilog``: write a model's core."""

from __future__ import annotations

import argparse
from pathlib import Path

from blondel.hdl.config import MeterConfig
from blondel.host.cli.arguments import (
    Commands,
    add_calibration,
    add_command,
    add_meters,
    add_model,
    add_samples,
    with_calibration,
)
from blondel.host.cli.messages import OK
from blondel.host.files import check_writable, write_whole

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the command."""
    command = add_command(commands, "verilog", _verilog, "write a model's core as Verilog, with its ports described")
    add_model(command)
    add_meters(command)
    command.add_argument("-o", "--output", metavar="FILE.v", type=Path, help="default: standard output")
    add_samples(command)
    add_calibration(command)
    command.add_argument(
        "--multiplier", choices=("parallel", "serial"), default="parallel",
        help="serial: bit by bit, for devices without multiplier blocks; takes some 200 clocks for each element",
    )  # fmt: skip


def _verilog(args: argparse.Namespace) -> int:
    from blondel.hdl.meter import Options
    from blondel.hdl.verilog import convert

    config = MeterConfig.for_model(
        args.model, args.line, meters=args.meters, sample_rate_hz=args.sample_rate, sample_bits=args.bits
    )
    config = with_calibration(args, config)
    if args.output is not None:
        check_writable(args.output)
    text = convert(config, Options(serial_multiplier=args.multiplier == "serial"))
    if args.output is None:
        print(text, end="")
        return OK
    write_whole(args.output, lambda file: file.write(text.encode()))
    return OK

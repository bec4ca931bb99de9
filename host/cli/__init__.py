"""The ``blondel`` command: a file for each of its commands."""

from __future__ import annotations

import argparse
import importlib.metadata
import io
import os
import sys

from blondel.hdl.config import ConfigError
from blondel.host.cli import accuracy, boards, build, calibrate, models, replay, run, verilog
from blondel.host.cli.arguments import Parser, with_negatives
from blondel.host.cli.messages import BAD_INPUT, BROKEN_PIPE, INTERRUPTED, InputError, say
from blondel.host.files import OutputError

__all__ = ["main"]


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="blondel", allow_abbrev=False,
        description="An open electricity meter core: data sheets, simulated and replayed metering, Verilog, "
        "bitstreams.",
        epilog="exit status: 0 done, 1 the engines differ or cannot run, a build or a type test failed, 2 bad input, "
        "130 stopped",
    )  # fmt: skip
    parser.add_argument("--version", action="version", version=f"blondel {importlib.metadata.version('blondel')}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in (models, run, replay, calibrate, accuracy, verilog, boards, build):
        command.add(commands)
    return parser


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
        args = _parser().parse_args(with_negatives(sys.argv[1:] if argv is None else argv))
        status = args.run(args)
        sys.stdout.flush()
        return status
    except (InputError, ConfigError, OutputError) as error:
        say("error", str(error))
        return BAD_INPUT
    except KeyboardInterrupt:
        say("error", "interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        _drop_output()
        return BROKEN_PIPE
    except OSError as error:
        _drop_output()
        say("error", f"cannot write the output: {error.strerror or error}")
        return BAD_INPUT


def _drop_output() -> None:
    """Let the interpreter's last flush of standard output go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

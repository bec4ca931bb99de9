"""Arguments that several commands have, and how they are parsed."""

from __future__ import annotations

import argparse
import contextlib
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeAlias, TypeVar

from blondel.hdl.config import ELEMENTS_MAX, LINES, MeterConfig
from blondel.hdl.model_number import ModelNumber
from blondel.host.cli.messages import InputError

if TYPE_CHECKING:
    from blondel.boards.board import Board
    from blondel.host.calibration import Calibration

__all__ = [
    "Commands", "Parser", "add_bits", "add_calibration", "add_command", "add_line", "add_meters", "add_model",
    "add_samples", "add_seed", "argument", "board_named", "bounded", "meters", "names", "number",
    "numbers", "one_of", "read_calibration", "whole", "with_calibration", "with_negatives",
]  # fmt: skip

T = TypeVar("T")

#: What argparse collects the commands in.
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        hint = "" if "('blondel" in message else f" ('{self.prog} --help' explains)"
        raise InputError(" ".join(message.split()) + hint)


def add_command(
    commands: Commands, name: str, run: Callable[[argparse.Namespace], int], what: str, **more: str
) -> argparse.ArgumentParser:
    """Add a command, which ``run`` carries out; it returns the exit status."""
    command = commands.add_parser(name, help=what, description=what, allow_abbrev=False, **more)
    command.set_defaults(run=run)
    return command


# ---- values ---------------------------------------------------------------------------------------


def argument(parse: Callable[[str], object]) -> Callable[[str], object]:
    """Let argparse show a ValueError's own message."""

    def convert(text: str) -> object:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return convert


def number(text: str) -> float:
    """Return a finite number."""
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is not a finite number")
    return value


def bounded(low: float, high: float, unit: str = "", *, above: bool = False) -> Callable[[str], object]:
    """Return what parses a number from ``low`` on, or ``above`` it."""
    allowed = f"more than {low:g}, up to {high:,.10g}{unit}" if above else f"{low:g} to {high:,.10g}{unit}"

    def parse(text: str) -> float:
        value = number(text)
        if not low <= value <= high or (above and value == low):
            raise ValueError(f"{text} is out of range; allowed: {allowed}")
        return value

    return argument(parse)


def whole(low: int, high: int) -> Callable[[str], object]:
    """Return what parses a whole number in a range."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise ValueError(f"{text!r} is not a whole number") from None
        if not low <= value <= high:
            raise ValueError(f"{text} is out of range; allowed: {low} to {high}")
        return value

    return argument(parse)


def numbers(text: str) -> list[float]:
    """Return numbers that commas part."""
    return [number(part) for part in text.split(",")]


def names(text: str) -> list[str]:
    """Return names that commas part."""
    return [part.strip() for part in text.split(",")]


@argument
def meters(text: str) -> tuple[int, ...]:
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


def one_of(kind: str, table: dict[str, T], text: str) -> T:
    """Return a table's entry; raise ValueError where there is none of that name."""
    if text not in table:
        raise ValueError(f"there is no {kind} {text!r}; there are: {', '.join(table)}")
    return table[text]


@argument
def board_named(text: str) -> Board:
    """Return the board of that name."""
    from blondel.boards import BOARDS

    return one_of("board", BOARDS, text)


# ---- arguments ------------------------------------------------------------------------------------


def add_meters(parser: argparse.ArgumentParser) -> None:
    """Add ``--meters``."""
    parser.add_argument(
        "--meters", metavar="GROUPS", type=meters, default=(),
        help="several meters in one core: 12xS,10xD are 12 single- and 10 dual-element ones; default: the model's one",
    )  # fmt: skip


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add the model's number, and its line."""
    parser.add_argument("model", metavar="MODEL", type=argument(ModelNumber.parse), help="for example MDNCT-2SC")
    add_line(parser)


def add_line(parser: argparse.ArgumentParser) -> None:
    """Add ``--line``."""
    parser.add_argument(
        "--line", type=int, choices=sorted(LINES, reverse=True), default=60,
        help="60 (108–132 V) or 50 Hz (216–264 V); default 60",
    )  # fmt: skip


def add_samples(parser: argparse.ArgumentParser) -> None:
    """Add the converter's rate and width."""
    parser.add_argument("--sample-rate", metavar="HZ", type=argument(number), default=8000.0, help="default 8000")
    add_bits(parser)


def add_bits(parser: argparse.ArgumentParser) -> None:
    """Add ``--bits``."""
    parser.add_argument("--bits", metavar="N", type=whole(16, 24), default=24, help="bits of a sample; default 24")


def add_seed(parser: argparse.ArgumentParser) -> None:
    """Add ``--seed``."""
    parser.add_argument("--seed", metavar="N", type=whole(0, 2**63), default=1, help="of all randomness; default 1")


def add_calibration(parser: argparse.ArgumentParser) -> None:
    """Add ``--calibration``."""
    parser.add_argument(
        "--calibration", metavar="FILE", type=Path, help="what the factory found for this meter's channels and clock"
    )


@contextlib.contextmanager
def read_calibration(args: argparse.Namespace) -> Iterator[Calibration | None]:
    """Read the calibration, where there is one; what it is refused for is said with its name."""
    if args.calibration is None:
        yield None
        return
    from blondel.host.calibration import Calibration, CalibrationError

    try:
        yield Calibration.read(args.calibration)
    except CalibrationError as error:
        raise InputError(f"--calibration {args.calibration}: {error}") from None


def with_calibration(args: argparse.Namespace, config: MeterConfig) -> MeterConfig:
    """Return the configuration with the calibration that was given, if any."""
    with read_calibration(args) as calibration:
        return calibration.apply(config) if calibration else config


def with_negatives(argv: list[str]) -> list[str]:
    """Join an option to a negative value after it, such as -5,10, which argparse would take for an option."""
    joined: list[str] = []
    for argument in argv:
        if joined and re.fullmatch(r"--[a-z-]*[a-z]", joined[-1]) and re.match(r"-[.\d]", argument):
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return joined

"""``blondel models`` and ``blondel describe``."""

from __future__ import annotations

import argparse

from blondel.hdl.config import MeterConfig
from blondel.hdl.model_number import ModelNumber
from blondel.host.cli.arguments import Commands, add_command, add_model
from blondel.host.cli.messages import OK
from blondel.host.describe import describe
from blondel.host.texts import TEXTS

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add both."""
    add_command(commands, "models", _models, "list the models")

    command = add_command(commands, "describe", _describe, "print a model's data sheet")
    add_model(command)
    command.add_argument("--lang", choices=tuple(TEXTS), default="en", help="language; default en")


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

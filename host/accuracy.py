"""What ``blondel accuracy`` found: a type test, a population's yield, an error budget; as text, JSON and CSV."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from blondel.host.words import count
from blondel.sim.standards.budget import Budget, BudgetPlan
from blondel.sim.standards.laboratory import Plan
from blondel.sim.standards.limits import standard_of
from blondel.sim.standards.population import Population, PopulationPlan
from blondel.sim.standards.results import Point, TestResult, TypeTest

__all__ = [
    "Accuracy",
    "AccuracyError",
    "columns",
    "conclusion",
    "judge",
    "limits",
    "list_tests",
    "load_names",
    "only",
    "report",
    "shown",
    "spread",
    "to_csv",
    "verdict",
]

#: A figure that rounds to nothing is said to be less than this, in %.
SMALLEST = 1e-4


class AccuracyError(ValueError):
    """Results cannot be read; the message is one line."""


@dataclass(frozen=True)
class Accuracy:
    """All that was found of a model's accuracy, and how; all of it goes through JSON and comes back the same.

    Parameters
    ----------
    version, date : str
        Blondel's, and when it was found (ISO 8601).
    meter, calibration : str
        Which meter was tested, and where its calibration comes from, in a few words.
    test : TypeTest
        The type test; without any test where none was asked for.
    population : Population or None
        A population's errors. Default ``None``: none was asked for.
    budget : Budget or None
        The error budget. Default ``None``: none was asked for.
    """

    version: str
    date: str
    meter: str
    calibration: str
    test: TypeTest
    population: Population | None = None
    budget: Budget | None = None

    def to_json(self) -> dict[str, object]:
        """Return what ``json.dumps`` takes."""
        parts = {name: getattr(self, name) for name in ("test", "population", "budget")}
        about = {name: getattr(self, name) for name in ("version", "date", "meter", "calibration")}
        return about | {name: each and each.to_json() for name, each in parts.items()}

    @classmethod
    def from_json(cls, content: Mapping[str, object]) -> Accuracy:
        """Make it again from what :meth:`to_json` gave, through a file or not."""
        kinds = {"test": TypeTest, "population": Population, "budget": Budget}
        parts = {name: content[name] and kind.from_json(content[name]) for name, kind in kinds.items()}
        return cls(**content | parts)

    @classmethod
    def read(cls, path: Path) -> Accuracy:
        """Read a file that holds :meth:`to_json`.

        Raises
        ------
        AccuracyError
            There is none, or it is something else.
        """
        try:
            content = json.loads(path.read_bytes())
        except OSError as error:
            raise AccuracyError(f"cannot be read: {error.strerror or error}") from None
        except ValueError as error:
            raise AccuracyError(f"is not JSON: {error}") from None
        try:
            return cls.from_json(content)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise AccuracyError("does not hold what 'blondel accuracy' writes into a .json") from None


def only(plan: Plan, names: Collection[str]) -> Plan:
    """Return a plan with some of its tests, and with the tasks that these need.

    Raises
    ------
    ValueError
        One of the names is no test's.
    """
    there = [test.key for test in plan.tests]
    for name in names:
        if name not in there:
            raise ValueError(f"there is no test {name!r}; there are: {', '.join(there)}")
    checks = tuple(check for check in plan.checks if check.test in names)
    keys = {key for check in checks for key in (check.key, check.reference)}
    return replace(
        plan,
        tests=tuple(test for test in plan.tests if test.key in names),
        tasks=tuple(task for task in plan.tasks if task.stimulus.key in keys),
        checks=checks,
    )


def judge(plans: Mapping[str, Plan | PopulationPlan | BudgetPlan], results: Iterable[object]) -> dict[str, object]:
    """Return what each plan makes of its tasks' results; ``results`` are those of all, one plan's after the other's."""
    rest = iter(results)
    return {name: each.judge(list(itertools.islice(rest, len(each.tasks)))) for name, each in plans.items()}


# ---- figures as they are written -------------------------------------------------------------------


def shown(value: float, unit: str) -> str:
    """Write a value with its sign: four decimals where it is in %, as few as it needs where it is a count."""
    if unit != "%":
        return f"{round(value, 3):g}".replace("-", "−")
    # Rounded, then + 0.0: no −0.0000.
    return f"{round(value, 4) + 0.0:+.4f} %".replace("-", "−")


def spread(uncertainty: float, unit: str) -> str:
    """Write an uncertainty; nothing for a count's."""
    if unit != "%":
        return ""
    return f"{uncertainty:.4f} %" if uncertainty >= SMALLEST / 2 else f"< {SMALLEST:g} %"


def limits(point: Point) -> str:
    """Write the limits of a point."""
    unit = f" {point.unit}".rstrip()
    low, high = (None if each is None else f"{each:g}".replace("-", "−") for each in (point.low, point.high))
    if low is None and high is None:
        return "–"
    if low is not None and high is not None:
        return f"± {high}{unit}" if point.low == -point.high != 0 else f"{low} to {high}{unit}"
    return f"≤ {high}{unit}" if low is None else f"≥ {low}{unit}"


def verdict(passed: bool | None) -> str:
    """Write a verdict; without limits there is none."""
    return {True: "passed", False: "failed", None: "information"}[passed]


def columns(test: TestResult) -> tuple[str, str, str, str, str]:
    """Return a test's worst point, its value, limits and uncertainty, and the test's verdict."""
    point = test.worst or max(test.points, key=lambda each: abs(each.value))
    return (
        point.label, shown(point.value, point.unit), limits(point), spread(point.uncertainty, point.unit),
        verdict(test.passed),
    )  # fmt: skip


# ---- as text ---------------------------------------------------------------------------------------


def _table(rows: Sequence[Sequence[str]], right: Collection[int]) -> list[str]:
    """Return lines with their columns aligned; those of ``right`` at their right ends."""
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    return [
        "  ".join(f"{cell:{'>' if n in right else '<'}{widths[n]}}" for n, cell in enumerate(row)).rstrip()
        for row in rows
    ]


def report(found: Accuracy) -> str:
    """Return what a person reads in a terminal."""
    test = found.test
    how = f"{'quick plan, ' if test.quick else ''}{test.engine} engine, seed {test.seed}"
    lines = [
        f"{test.model} at {test.line_hz} Hz, {test.standard} class {test.accuracy_class}: {how}",
        f"{found.meter}; calibration: {found.calibration}",
    ]
    if test.tests:
        rows = [("test", "worst at", "value", "limit", "uncertainty", "verdict")]
        rows += [(each.key, *columns(each)) for each in test.tests]
        lines += ["", *_table(rows, (2, 3, 4)), "", conclusion(test)]
    if found.population is not None:
        lines += ["", *_population_lines(found.population)]
    if found.budget is not None:
        lines += ["", *_budget_lines(found.budget)]
    return "\n".join(lines) + "\n"


def conclusion(test: TypeTest) -> str:
    """Say in a line how the type test ended."""
    judged = [each for each in test.tests if each.passed is not None]
    if test.failed:
        return f"failed: {', '.join(test.failed)}; {len(judged) - len(test.failed)} of {len(judged)} tests passed"
    return f"passed: {count(len(judged), 'test')}"


def _population_lines(population: Population) -> list[str]:
    lines = [f"population of {count(len(population.members), 'meter')}, seed {population.seed}"]
    rows = [("class", "passed", "yield", "95 % confidence")]
    for name in ("0.5", "0.2", "0.1"):
        each = population.yield_of(name)
        rows.append((
            name, f"{each.passed} of {each.count}", f"{100 * each.passed / each.count:.1f} %",
            f"{100 * each.low:.1f} to {100 * each.high:.1f} %",
        ))  # fmt: skip
    lines += _table(rows, (1, 2, 3))
    faults = [member for member in population.members if member.fault]
    if faults:
        lines.append(f"{len(faults)} could not be calibrated, for example {faults[0].index}: {faults[0].fault}")
    return lines


def load_names(budget: Budget) -> list[str]:
    """Return the loads of a budget in a few words."""
    return [f"{amps * 100:g} %, {factor}" for amps, factor in budget.loads]


def _budget_lines(budget: Budget) -> list[str]:
    lines = [f"error budget: rms over {count(budget.count, 'meter')}, seed {budget.seed}, in %"]
    for n, condition in enumerate(budget.conditions):
        rows = [(condition, *load_names(budget))]
        for name, figures in zip(budget.contributions, budget.rms_percent, strict=True):
            rows.append((name, *(f"{each:.4f}" for each in figures[n])))
        lines += ["", *_table(rows, range(1, len(rows[0])))]
    return lines


def list_tests(accuracy_class: str) -> str:
    """Return the tests of a class, each with where its limits come from, as text."""
    standard = standard_of(accuracy_class)
    lines = [f"{standard.name} class {accuracy_class}"]
    for test in standard.tests:
        source = test.provenance
        lines += ["", f"{test.key}: {test.title}", f"  {test.text}", f"  [{source.kind}] {source.text}"]
    return "\n".join(lines) + "\n"


# ---- as CSV ----------------------------------------------------------------------------------------

_STIMULUS = (
    "volts", "hertz", "amps", "factor", "waveform", "temperature_c", "lead_ft", "dc", "at_terminals",
)  # fmt: skip
_POINT = (
    "test", "label", "quantity", "unit", "value", "uncertainty", "low", "high", "error_percent", "seconds",
)  # fmt: skip


def to_csv(found: Accuracy) -> str:
    """Return the points of all tests as CSV, a line each; the elements' amps are joined by ``+``."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*_POINT, "passed", *_STIMULUS])
    for test in found.test.tests:
        for point in test.points:
            stimulus = dict(point.stimulus) | {"amps": "+".join(f"{amps:g}" for amps in point.stimulus["amps"])}
            passed = point.passed if point.is_judged else None
            own = [getattr(point, name) for name in _POINT]
            writer.writerow([*own, passed, *(stimulus[name] for name in _STIMULUS)])
    return text.getvalue()



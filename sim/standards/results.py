"""Results of type tests: what a report is made from; all of it goes through JSON and comes back the same."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

__all__ = ["Curve", "Point", "Provenance", "Reading", "TestResult", "TypeTest"]


@dataclass(frozen=True)
class Provenance:
    """Where a limit or a test point comes from.

    Parameters
    ----------
    kind : str
        ``seen``: in a public source, named in ``text``; ``memory``: of a standard that has to be bought, stated from
        memory and to be checked against it; ``own``: this project's.
    text : str
        The standard and its clause, and the public source where there is one.
    """

    kind: str
    text: str

    def __post_init__(self) -> None:
        if self.kind not in ("seen", "memory", "own"):
            raise ValueError(f"provenance is {self.kind}; allowed: seen, memory, own")


@dataclass(frozen=True)
class Reading:
    """What a task took from a meter, before anyone judges it.

    Parameters
    ----------
    key : str
        The stimulus's; unique in a plan.
    stimulus : mapping of str to number, str or sequence
        The stimulus in figures: ``volts``, ``amps`` (of each element), ``factor``, ``hertz``, ``temperature_c``,
        ``waveform``, ….
    values : mapping of str to float
        What was taken, by quantity: ``error`` in % and, where the test asks for them, others.
    uncertainties : mapping of str to float
        Expanded uncertainty (k = 2) of those values that have one.
    seconds : float
        Time metered, without the settling, in s of the mains.
    """

    key: str
    stimulus: Mapping[str, object]
    values: Mapping[str, float]
    uncertainties: Mapping[str, float]
    seconds: float


@dataclass(frozen=True)
class Point:
    """One row of a test: a value, and the limits it is held to.

    Parameters
    ----------
    test : str
        Key of the test.
    label : str
        What differs from the test's other points.
    quantity : str
        What ``value`` is: ``error``, ``change`` (of the error, from the reference condition), ``difference`` (of two
        elements' errors), ``constant``, ``repeatability``, ``registers``, ``pulses``, ``registered``.
    unit : str
        Of ``value``, ``uncertainty``, ``low`` and ``high``: ``%``, ``Wh`` or ``pulses``.
    value : float
        What is judged.
    uncertainty : float
        Expanded, k = 2.
    low, high : float or None
        Limits, inclusive; ``None``: there is none on this side. None on both sides: for information.
    error_percent : float or None
        The error that was read, whatever is judged; ``None`` where energy has no error, as without load.
    stimulus : mapping
        As the :class:`Reading`'s.
    seconds : float
        Time metered, in s of the mains.
    """

    test: str
    label: str
    quantity: str
    unit: str
    value: float
    uncertainty: float
    low: float | None
    high: float | None
    error_percent: float | None
    stimulus: Mapping[str, object]
    seconds: float

    @property
    def is_judged(self) -> bool:
        """Whether there is a limit."""
        return self.low is not None or self.high is not None

    @property
    def passed(self) -> bool:
        """Whether the value is within its limits; a point without any passes."""
        above = self.low is None or self.value >= self.low
        return above and (self.high is None or self.value <= self.high)

    @property
    def part_of_limit(self) -> float:
        """The value as a part of the limit on its side; 0 without one."""
        limit = self.high if self.value > 0 else self.low
        if limit is None or self.value == 0:
            return 0.0
        return self.value / limit if limit else math.inf


@dataclass(frozen=True)
class TestResult:
    """A test's points, and its verdict.

    Parameters
    ----------
    key, title : str
        The test's short name, and its name in the field.
    text : str
        What is done, in one or two sentences.
    provenance : Provenance
        Of its points and limits.
    points : tuple of Point
        In the order of the plan.
    """

    __test__ = False  # for pytest: no test of its own

    key: str
    title: str
    text: str
    provenance: Provenance
    points: tuple[Point, ...]

    @property
    def passed(self) -> bool | None:
        """Whether every point passed; ``None`` where none is judged."""
        judged = [point.passed for point in self.points if point.is_judged]
        return all(judged) if judged else None

    @property
    def worst(self) -> Point | None:
        """The judged point that is nearest to its limit, or furthest beyond it."""
        judged = [point for point in self.points if point.is_judged]
        return max(judged, key=lambda point: (not point.passed, point.part_of_limit), default=None)


@dataclass(frozen=True)
class Curve:
    """Error against current, at one power factor.

    Parameters
    ----------
    factor : str
        Power factor, such as ``0.5lag``.
    points : tuple of Point
        By rising current.
    """

    factor: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class TypeTest:
    """The whole type test of one meter.

    Parameters
    ----------
    model : str
        Model number, or ``custom``.
    line_hz : int
        Nominal frequency.
    standard, accuracy_class : str
        ``IEC 62053-22`` or ``ANSI C12.20``, and the class: ``0.5S``, ``0.5``, ….
    seed : int
        From which the meter's parts and the noise are drawn.
    engine : str
        ``golden`` or ``rtl``.
    quick : bool
        Whether this was the short plan.
    config : mapping
        The calibrated configuration, field by field.
    assumptions : tuple of str
        What was taken for granted, a sentence each.
    tests : tuple of TestResult
        In the order of the plan.
    """

    model: str
    line_hz: int
    standard: str
    accuracy_class: str
    seed: int
    engine: str
    quick: bool
    config: Mapping[str, object]
    assumptions: tuple[str, ...]
    tests: tuple[TestResult, ...] = field(default=())

    @property
    def passed(self) -> bool:
        """Whether no test failed."""
        return not self.failed

    @property
    def failed(self) -> tuple[str, ...]:
        """Keys of the tests that failed."""
        return tuple(test.key for test in self.tests if test.passed is False)

    def test(self, key: str) -> TestResult:
        """Return a test by its key."""
        return next(test for test in self.tests if test.key == key)

    def curves(self, *keys: str) -> tuple[Curve, ...]:
        """Return the error curves, one for each power factor.

        Parameters
        ----------
        *keys : str
            Tests whose points are joined. Default: ``load_performance``, ``power_factor`` and ``leading``, all at
            23 °C, nominal voltage and frequency; ``wide_range`` goes further down, with limits of its own.
        """
        curves: dict[str, dict[float, Point]] = {}
        for test in self.tests:
            if test.key in (keys or ("load_performance", "power_factor", "leading")):
                for point in test.points:
                    # Tests that have a point in common took it from one reading.
                    curves.setdefault(str(point.stimulus["factor"]), {}).setdefault(max(point.stimulus["amps"]), point)
        return tuple(
            Curve(factor, tuple(points[amps] for amps in sorted(points))) for factor, points in curves.items()
        )

    def to_json(self) -> dict[str, object]:
        """Return what ``json.dumps`` takes; verdicts are in it for whoever reads the file without this class."""
        content = asdict(self)
        for test, result in zip(content["tests"], self.tests, strict=True):
            test["passed"] = result.passed
            for row, point in zip(test["points"], result.points, strict=True):
                row["passed"] = point.passed
        return content | {"passed": self.passed}

    @classmethod
    def from_json(cls, content: Mapping[str, object]) -> TypeTest:
        """Make it again from what :meth:`to_json` gave, through a file or not."""
        own = _without_verdict(content)
        own["assumptions"] = tuple(own["assumptions"])
        own["tests"] = tuple(_test(test) for test in own["tests"])
        return cls(**own)


def _without_verdict(content: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in content.items() if name != "passed"}


def _test(content: Mapping[str, object]) -> TestResult:
    points: Sequence[Mapping[str, object]] = content["points"]
    own = _without_verdict(content)
    return TestResult(
        **own
        | {
            "provenance": Provenance(**content["provenance"]),
            "points": tuple(Point(**_without_verdict(point)) for point in points),
        }
    )

"""The laboratory: makes a plan of tasks, runs them one by one, and judges what they read.

A task is a picklable callable without arguments, and pure: what it returns depends on nothing but its own
fields. So a plan runs in a loop, in processes, or on a cluster, with the same results::

    test = plan(config, parts, "0.5")
    readings = run(test.tasks)              # or [each() for each in test.tasks], anywhere, in their order
    result = test.judge(readings)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from blondel.hdl.config import MeterConfig
from blondel.sim.measure import make_engines, measure
from blondel.sim.standards.results import Point, Provenance, Reading, TestResult, TypeTest
from blondel.sim.standards.stimulus import Stimulus

__all__ = ["Check", "Plan", "Task", "plan", "run"]

Result = TypeVar("Result")


@dataclass(frozen=True)
class Task:
    """One measurement: a meter behind its front end, settled, and read for some frames.

    Parameters
    ----------
    config : MeterConfig
        The meter's, calibrated.
    parts : Parts or None
        Its analog side; ``None``: an ideal converter.
    stimulus : Stimulus
        What is applied.
    seed : int
        Of the noise.
    frames : int
        Frames of the reading.
    uncertainty_percent : float
        Expanded uncertainty that is predicted for them.
    engine : str
        ``golden`` or ``rtl``. Default ``golden``.
    """

    config: MeterConfig
    parts: object | None
    stimulus: Stimulus
    seed: int
    frames: int
    uncertainty_percent: float
    engine: str = "golden"

    def __call__(self) -> Reading:
        """Measure."""
        config = self.config
        source = self.stimulus.source(config, config.true_sample_rate_hz)
        figures = measure(
            config,
            source,
            make_engines(config, self.engine),
            settle_frames=config.frames_in(config.settle_s),
            frames=self.frames,
            seed=self.seed,
        ).figures
        values = {"pulses": float(figures.pulses[10])}
        if figures.total.error_ppm is not None:
            values["error"] = figures.total.error_ppm / 1e4
        return Reading(self.stimulus.key, self.stimulus.to_json(), values, self.uncertainty_percent, figures.seconds)


@dataclass(frozen=True)
class Check:
    """What is judged of a reading: becomes a :class:`Point`.

    Parameters
    ----------
    test, label : str
        Key of the test, and what differs from its other points.
    key : str
        Of the stimulus.
    low, high : float or None
        Limits.
    quantity, unit : str
        Which of the reading's values. Defaults ``error``, ``%``.
    reference : str or None
        Key of another stimulus, whose value is taken off: then it is the change that is judged.
    """

    test: str
    label: str
    key: str
    low: float | None
    high: float | None
    quantity: str = "error"
    unit: str = "%"
    reference: str | None = None

    def point(self, readings: dict[str, Reading]) -> Point:
        """Judge."""
        own = readings[self.key]
        value, uncertainty, quantity = own.values[self.quantity], own.uncertainty_percent, self.quantity
        if self.reference is not None:
            other = readings[self.reference]
            value -= other.values[self.quantity]
            uncertainty = (uncertainty**2 + other.uncertainty_percent**2) ** 0.5
            quantity = "change"
        return Point(
            test=self.test,
            label=self.label,
            quantity=quantity,
            unit=self.unit,
            value=value,
            uncertainty=uncertainty if self.unit == "%" else 0.0,
            low=self.low,
            high=self.high,
            error_percent=own.values.get("error"),
            stimulus=own.stimulus,
            seconds=own.seconds,
        )


@dataclass(frozen=True)
class Plan:
    """A type test that is ready to be run.

    Parameters
    ----------
    header : TypeTest
        The result, without its tests.
    tests : tuple of TestResult
        The tests, without their points.
    tasks : tuple of Task
        What has to be run; their order is that of the readings.
    checks : tuple of Check
        What is judged.
    """

    header: TypeTest
    tests: tuple[TestResult, ...]
    tasks: tuple[Task, ...]
    checks: tuple[Check, ...]

    def judge(self, readings: Sequence[Reading]) -> TypeTest:
        """Hold the readings, in the order of the tasks, to the limits."""
        by_key = {reading.key: reading for reading in readings}
        points = [check.point(by_key) for check in self.checks]
        tests = tuple(
            replace(test, points=tuple(point for point in points if point.test == test.key)) for test in self.tests
        )
        return replace(self.header, tests=tests)


def run(tasks: Iterable[Callable[[], Result]], progress: Callable[[int], object] | None = None) -> list[Result]:
    """Run tasks one after another.

    Parameters
    ----------
    tasks : iterable of callable
        Of a plan, a population or a budget.
    progress : callable(int) or None
        Called with 1 after each task.
    """
    results = []
    for task in tasks:
        results.append(task())
        if progress is not None:
            progress(1)
    return results


def plan(
    config: MeterConfig,
    parts: object | None,
    accuracy_class: str,
    *,
    quick: bool = False,
    seed: int = 0,
    engine: str = "golden",
) -> Plan:
    """Plan the type test of one meter.

    Parameters
    ----------
    config : MeterConfig
        The meter's, calibrated: see :func:`blondel.sim.calibrate.calibrate`.
    parts : Parts or None
        Its analog side; ``None``: an ideal converter.
    accuracy_class : str
        ``0.5S`` and ``0.2S`` of IEC 62053-22, ``0.5``, ``0.2`` and ``0.1`` of ANSI C12.20.
    quick : bool
        Fewer points and a larger uncertainty, for continuous integration. Default false.
    seed : int
        Of the noise. Default 0.
    engine : str
        ``golden`` or ``rtl``. Default ``golden``.
    """
    limit = float(accuracy_class.rstrip("S"))
    tasks, checks = [], []
    for factor in ("1", "0.5lag"):
        for part in (0.01, 0.1, 1.0):
            amps = part * config.class_amps
            key = f"{amps:g} A, {factor}"
            stimulus = Stimulus(
                key=key, volts=config.line.v_nominal, hertz=config.line.hertz, amps=(amps,) * config.elements,
                factor=factor,
            )  # fmt: skip
            tasks.append(Task(config, parts, stimulus, seed, config.frames_in(1), limit / 10, engine))
            checks.append(Check("load_performance", key, key, -limit, limit))
    header = TypeTest(
        model=config.model or "custom",
        line_hz=config.line.hertz,
        standard="IEC 62053-22" if accuracy_class.endswith("S") else "ANSI C12.20",
        accuracy_class=accuracy_class,
        seed=seed,
        engine=engine,
        quick=quick,
        config={"class_amps": config.class_amps, "elements": config.elements},
        assumptions=(),
    )
    test = TestResult(
        "load_performance", "Load performance", "Error from starting current to maximum.",
        Provenance("memory", "to be filled in"), (),
    )  # fmt: skip
    return Plan(header, (test,), tuple(tasks), tuple(checks))

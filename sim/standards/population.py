"""The yield of a population: meters are drawn, calibrated, and tested at a few decisive points each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from blondel.hdl.config import MeterConfig
from blondel.sim.afe.front_end import FrontEnd, Parts
from blondel.sim.bench import Step, take_readings
from blondel.sim.calibrate import TEST_FRACTION, BenchError, calibrate
from blondel.sim.standards.limits import CLASSES
from blondel.sim.standards.stimulus import REFERENCE_C

__all__ = [
    "POINTS", "Member", "MemberTask", "Population", "PopulationPlan", "PopulationPoint", "Yield", "population",
    "read_errors", "wilson",
]  # fmt: skip

#: Confidence of the intervals: 95 %, two-sided.
Z = 1.959964
#: Length of each reading, in s of the mains.
SECONDS = 0.5


@dataclass(frozen=True)
class PopulationPoint:
    """One of the points that every meter of a population is tested at.

    Parameters
    ----------
    amps : float
        Current of every element, as a part of the class amps.
    factor : str
        Power factor.
    temperature_c : float
        In °C; the meters were calibrated at 23.
    limit : float
        What the error is held to, as a multiple of the class.
    """

    amps: float
    factor: str
    temperature_c: float
    limit: float

    @property
    def label(self) -> str:
        """The point in a few words."""
        return f"{self.amps * 100:g} % of class amps, {self.factor}, {self.temperature_c:g} °C"


#: Light load, test amps and all amps, at both power factors of the load performance test and the ends of the data
#: sheet's temperatures. The multiples of the class are those of the load performance tests, at all temperatures.
POINTS: tuple[PopulationPoint, ...] = tuple(
    PopulationPoint(amps, factor, celsius, limit)
    for celsius in (REFERENCE_C, -20.0, 50.0)
    for amps, factor, limit in (
        (0.01, "1", 2.0), (0.02, "0.5lag", 2.0), (TEST_FRACTION, "1", 1.0), (TEST_FRACTION, "0.5lag", 1.2),
        (1.0, "1", 1.0), (1.0, "0.5lag", 1.2),
    )
)  # fmt: skip


@dataclass(frozen=True)
class Member:
    """One meter of a population.

    Parameters
    ----------
    index : int
        Which one.
    errors_percent : tuple of float
        Its error at each of the points; empty where it could not be calibrated.
    fault : str
        Why it could not be calibrated. Default empty.
    """

    index: int
    errors_percent: tuple[float, ...]
    fault: str = ""


@dataclass(frozen=True)
class MemberTask:
    """Draw a meter, calibrate it, and read its errors: as pure and picklable as a plan's tasks.

    Parameters
    ----------
    config : MeterConfig
        The meters', not calibrated.
    seed, index : int
        Of the population, and of the meter in it.
    """

    config: MeterConfig
    seed: int
    index: int

    def __call__(self) -> Member:
        """Measure."""
        parts = Parts.draw(self.config, self.seed, self.index)
        try:
            config = calibrate(self.config, parts, seed=self.index)
        except BenchError as error:
            return Member(self.index, (), str(error))
        errors: dict[PopulationPoint, float] = {}
        for celsius in dict.fromkeys(point.temperature_c for point in POINTS):
            points = [point for point in POINTS if point.temperature_c == celsius]
            loads = [(point.amps, point.factor) for point in points]
            # The calibration had the noise of one seed; a test has another one's.
            read = read_errors(config, parts, loads, temperature_c=celsius, seed=~self.index)
            errors |= dict(zip(points, read, strict=True))
        return Member(self.index, tuple(errors[point] for point in POINTS))


def read_errors(
    config: MeterConfig, parts: Parts, loads: Sequence[tuple[float, str]], *, temperature_c: float, seed: int
) -> list[float]:
    """Return a meter's error, in %, at one load after another, from one power-up.

    Parameters
    ----------
    config : MeterConfig
        The meter's.
    parts : Parts
        Its analog side.
    loads : sequence of (float, str)
        Current of every element, as a part of the class amps, and power factor.
    temperature_c : float
        In °C.
    seed : int
        Of the noise.
    """
    elements = config.elements
    steps = [
        Step((config.line.v_nominal,) * elements, (amps * config.class_amps,) * elements, factor, config.line.hertz)
        for amps, factor in loads
    ]
    converter = FrontEnd(config, parts, temperature_c=temperature_c, seed=seed)
    rate = converter.sample_rate_hz
    readings = take_readings(config, converter, steps, sample_rate_hz=rate, seconds=SECONDS)
    # The bench states the energy of one element; the others have the same.
    return [100 * (sum(reading.net_wh) / (elements * reading.true_wh) - 1) for reading in readings]


def wilson(passed: int, count: int, z: float = Z) -> tuple[float, float]:
    """Return Wilson's confidence interval of a probability, from how many of a number passed.

    It keeps within 0 to 1, and has its confidence near both ends too, where a yield is. It is three lines; a library
    for it (SciPy) would be the project's largest dependency. Source: E. B. Wilson, "Probable Inference, the Law of
    Succession, and Statistical Inference", Journal of the American Statistical Association 22 (1927).

    Parameters
    ----------
    passed, count : int
        How many passed, of how many, 1 or more.
    z : float
        Quantile of the normal distribution: 1.96 for 95 %, two-sided.
    """
    part, square = passed / count, z * z / count
    middle = (part + square / 2) / (1 + square)
    half = z / (1 + square) * math.sqrt(part * (1 - part) / count + square / count / 4)
    return max(0.0, middle - half), min(1.0, middle + half)


@dataclass(frozen=True)
class Yield:
    """How many meters were within a class at every point.

    Parameters
    ----------
    accuracy_class : str
        ``0.5``, ``0.2`` or ``0.1``.
    passed, count : int
        Meters.
    low, high : float
        95 % confidence interval of the part that passes (Wilson).
    """

    accuracy_class: str
    passed: int
    count: int
    low: float
    high: float


@dataclass(frozen=True)
class Population:
    """A population, tested; all of it goes through JSON and comes back the same.

    Parameters
    ----------
    model : str
        Model number, or ``custom``.
    line_hz : int
        Nominal frequency.
    seed : int
        Of the population.
    points : tuple of PopulationPoint
        What was read of each meter.
    members : tuple of Member
        The meters.
    """

    model: str
    line_hz: int
    seed: int
    points: tuple[PopulationPoint, ...]
    members: tuple[Member, ...]

    def errors(self) -> np.ndarray:
        """Return the errors in %, (meters, points), without the meters that could not be calibrated."""
        rows = [member.errors_percent for member in self.members if not member.fault]
        return np.array(rows).reshape(-1, len(self.points))

    def yield_of(self, accuracy_class: str) -> Yield:
        """Return the yield against a class; a meter that could not be calibrated does not pass."""
        limits = CLASSES[accuracy_class] * np.array([point.limit for point in self.points])
        passed = int(np.count_nonzero((np.abs(self.errors()) <= limits).all(axis=1)))
        count = len(self.members)
        return Yield(accuracy_class, passed, count, *wilson(passed, count))

    def to_json(self) -> dict[str, object]:
        """Return what ``json.dumps`` takes."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, object]) -> Population:
        """Make it again from what :meth:`to_json` gave, through a file or not."""
        return cls(
            **content
            | {
                "points": tuple(PopulationPoint(**point) for point in content["points"]),
                "members": tuple(
                    Member(**member | {"errors_percent": tuple(member["errors_percent"])})
                    for member in content["members"]
                ),
            }
        )


@dataclass(frozen=True)
class PopulationPlan:
    """A population that is ready to be run.

    Parameters
    ----------
    header : Population
        The result, without its members.
    tasks : tuple of MemberTask
        One for each meter.
    """

    header: Population
    tasks: tuple[MemberTask, ...]

    def judge(self, members: Sequence[Member]) -> Population:
        """Put the members, in the order of the tasks, together."""
        return replace(self.header, members=tuple(members))


def population(config: MeterConfig, count: int, *, seed: int = 0) -> PopulationPlan:
    """Plan the test of a population.

    Parameters
    ----------
    config : MeterConfig
        The meters', not calibrated.
    count : int
        How many, 1 or more.
    seed : int
        From which the meters are drawn. Default 0.

    Raises
    ------
    ValueError
        There is to be no meter.
    """
    if count < 1:
        raise ValueError(f"count is {count}; allowed: 1 or more")
    header = Population(config.model or "custom", config.line.hertz, seed, POINTS, ())
    return PopulationPlan(header, tuple(MemberTask(config, seed, index) for index in range(count)))

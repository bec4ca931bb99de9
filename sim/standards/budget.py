"""The error budget: how much each part of a meter adds to its error, measured by switching them on one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from blondel.hdl.config import MeterConfig
from blondel.sim.afe.front_end import Parts
from blondel.sim.afe.lead import Lead
from blondel.sim.calibrate import TEST_FRACTION, calibrate
from blondel.sim.standards.population import read_errors
from blondel.sim.standards.stimulus import REFERENCE_C

__all__ = ["CONDITIONS", "CONTRIBUTIONS", "LEAD_FT", "LOADS", "Budget", "BudgetPlan", "BudgetTask", "budget"]

#: What is switched on, one after another, and stays on: its name, and the fields of Parts.
CONTRIBUTIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("arithmetic", ()),
    ("current transformer", ("cts",)),
    ("burden", ("burdens",)),
    ("divider", ("dividers",)),
    ("anti-alias filters", ("voltage_filters", "current_filters")),
    ("converter", ("adc",)),
    ("clock", ("oscillator",)),
)
#: The leads come last, for they are extended after the calibration: the data sheet's most, in feet.
LEAD_FT = 500.0
#: The loads: current as a part of the class amps, and power factor.
LOADS: tuple[tuple[float, str], ...] = tuple(
    (amps, factor) for amps in (0.01, TEST_FRACTION, 1.0) for factor in ("1", "0.5lag")
)
#: The conditions: a name, whether the meter was calibrated, and the temperature in °C.
CONDITIONS: tuple[tuple[str, bool, float], ...] = (
    ("as made, 23 °C", False, REFERENCE_C),
    ("calibrated, 23 °C", True, REFERENCE_C),
    ("calibrated, −20 °C", True, -20.0),
    ("calibrated, 50 °C", True, 50.0),
)


@dataclass(frozen=True)
class BudgetTask:
    """Draw a meter, and read its errors with more and more of its parts: pure and picklable as a plan's tasks.

    Parameters
    ----------
    config : MeterConfig
        The meter's, not calibrated.
    seed, index : int
        Of the population, and of the meter in it.
    """

    config: MeterConfig
    seed: int
    index: int

    def __call__(self) -> np.ndarray:
        """Return the errors in %, (contributions and the leads, conditions, loads)."""
        whole, parts = Parts.draw(self.config, self.seed, self.index), Parts.ideal(self.config)
        rows = []
        for _, names in CONTRIBUTIONS:
            parts = replace(parts, **{name: getattr(whole, name) for name in names})
            calibrated = calibrate(self.config, parts, seed=self.index)
            rows.append(self._errors(parts, calibrated))
        parts = replace(parts, leads=(Lead(LEAD_FT),) * self.config.elements)
        return np.array([*rows, self._errors(parts, calibrated)])

    def _errors(self, parts: Parts, calibrated: MeterConfig) -> list[list[float]]:
        return [
            read_errors(
                calibrated if is_calibrated else self.config, parts, LOADS, temperature_c=celsius, seed=~self.index
            )
            for _, is_calibrated, celsius in CONDITIONS
        ]


@dataclass(frozen=True)
class Budget:
    """What each part adds; all of it goes through JSON and comes back the same.

    Parameters
    ----------
    model : str
        Model number, or ``custom``.
    line_hz : int
        Nominal frequency.
    seed, count : int
        From which the meters were drawn, and how many.
    contributions : tuple of str
        Names; the last one is ``all``.
    conditions : tuple of str
        Names.
    loads : tuple of (float, str)
        Current as a part of the class amps, and power factor.
    rms_percent : tuple
        By contribution, condition and load: root mean square over the meters of what the part adds to the error,
        in %; of ``all``, of the error itself.
    """

    model: str
    line_hz: int
    seed: int
    count: int
    contributions: tuple[str, ...]
    conditions: tuple[str, ...]
    loads: tuple[tuple[float, str], ...]
    rms_percent: tuple[tuple[tuple[float, ...], ...], ...] = ()

    def to_json(self) -> dict[str, object]:
        """Return what ``json.dumps`` takes."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, object]) -> Budget:
        """Make it again from what :meth:`to_json` gave, through a file or not."""
        return cls(**{name: _tuples(value) for name, value in content.items()})


def _tuples(value: object) -> object:
    return tuple(_tuples(each) for each in value) if isinstance(value, list | tuple) else value


@dataclass(frozen=True)
class BudgetPlan:
    """An error budget that is ready to be run.

    Parameters
    ----------
    header : Budget
        The result, without its figures.
    tasks : tuple of BudgetTask
        One for each meter.
    """

    header: Budget
    tasks: tuple[BudgetTask, ...]

    def judge(self, errors: Sequence[np.ndarray]) -> Budget:
        """Put what the tasks returned together."""
        errors = np.array(errors)
        added = np.diff(errors, axis=1, prepend=0.0)
        rms = np.sqrt(np.mean(np.concatenate([added, errors[:, -1:]], axis=1) ** 2, axis=0))
        return replace(self.header, rms_percent=_tuples(rms.tolist()))


def budget(config: MeterConfig, count: int = 20, *, seed: int = 0) -> BudgetPlan:
    """Plan an error budget.

    Parameters
    ----------
    config : MeterConfig
        The meters', not calibrated.
    count : int
        Meters that are drawn, 1 or more. Default 20.
    seed : int
        From which they are drawn. Default 0.

    Raises
    ------
    ValueError
        There is to be no meter.
    """
    if count < 1:
        raise ValueError(f"count is {count}; allowed: 1 or more")
    names = (*(name for name, _ in CONTRIBUTIONS), f"CT leads, {LEAD_FT:g} ft", "all")
    conditions = tuple(name for name, _, _ in CONDITIONS)
    header = Budget(config.model or "custom", config.line.hertz, seed, count, names, conditions, LOADS)
    return BudgetPlan(header, tuple(BudgetTask(config, seed, index) for index in range(count)))

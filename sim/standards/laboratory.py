"""The laboratory: makes a plan of tasks, runs them one by one, and judges what they read.

A task is a picklable callable without arguments, and pure: what it returns depends on nothing but its own
fields. So a plan runs in a loop, in processes, or on a cluster, with the same results::

    test = plan(config, parts, "0.5")
    readings = run(test.tasks)              # or [task() for task in test.tasks], anywhere, in their order
    result = test.judge(readings)
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TypeVar

import numpy as np

from blondel.hdl.config import MeterConfig
from blondel.hdl.model_number import ModelNumber
from blondel.sim.afe.adc import Converter
from blondel.sim.afe.converter import DELAY
from blondel.sim.afe.current_transformer import CurrentTransformer
from blondel.sim.afe.front_end import FrontEnd, Parts
from blondel.sim.engine import Engine
from blondel.sim.measure import CHUNK_FRAMES, ENGINES, Measurement, make_engines, measure
from blondel.sim.source.loads import power_factor
from blondel.sim.source.source import Source
from blondel.sim.standards.describe import label
from blondel.sim.standards.limits import CLASSES, Condition, TestSpec, standard_of
from blondel.sim.standards.results import Point, Reading, TestResult, TypeTest
from blondel.sim.standards.stimulus import Stimulus

__all__ = ["Check", "Plan", "Task", "cycles_of", "frames_for", "no_load_seconds", "noise_of", "plan", "run", "warm_up"]

#: Cycles of the mains of which a reading has a whole number: four of burst fire, three at 60 Hz and 8 kS/s.
CYCLES = 12
#: Part of a limit that the expanded uncertainty may have, of the whole plan and of the short one.
PART_OF_LIMIT, PART_OF_LIMIT_QUICK = 0.1, 0.3
#: Shortest and longest reading, in s of the mains, of the whole plan and of the short one.
SECONDS, SECONDS_QUICK = (2.0, 1000.0), (1.0, 4.0)
#: Pulses of Output 10 that are timed, in the whole plan and in the short one.
PULSES, PULSES_QUICK = 30, 3
#: Length of the short plan's no-load test, in s; the whole plan's is :func:`no_load_seconds`.
NO_LOAD_SECONDS_QUICK = 10.0
#: Windows in which the offset tracking of a calibrated meter, an eighth of the way in each, has followed a step of DC.
DC_WINDOWS = 48
#: What the quantities are measured in.
UNITS = {
    "error": "%", "pulses": "pulses", "registered": "Wh", "constant": "%", "repeatability": "%", "registers": "pulses",
}  # fmt: skip

Result = TypeVar("Result")


class _WithDc:
    """A converter with DC at its inputs."""

    def __init__(self, converter: Converter, config: MeterConfig, part: float):
        self._converter = converter
        self._limit = 1 << (config.sample_bits - 1)
        self._dc = round(part * self._limit)

    def codes(self, start: int, volts: np.ndarray, amps: np.ndarray) -> np.ndarray:
        codes = self._converter.codes(start, volts, amps)
        return np.clip(codes + self._dc, -self._limit, self._limit - 1).astype(np.int32)


def _applied(parts: Parts, stimulus: Stimulus) -> Parts:
    """Return the parts with what the stimulus changes of them: longer leads; current past the CTs."""
    leads = tuple(replace(lead, length_ft=lead.length_ft + stimulus.lead_ft) for lead in parts.leads)
    cts = tuple(CurrentTransformer(ct.turns) for ct in parts.cts) if stimulus.at_terminals else parts.cts
    return replace(parts, leads=leads, cts=cts)


def noise_of(config: MeterConfig, parts: Parts) -> tuple[float, float]:
    """Return a sample's noise, in V and A rms: at least dither and rounding, each uniform over an LSB."""
    lsb = math.sqrt(1 / 6)
    volts, amps = FrontEnd(config, parts).noise
    return max(volts, lsb * config.v_lsb), max(amps, lsb * config.i_lsb)


def cycles_of(stimulus: Stimulus, seconds: float) -> int:
    """Return the fewest cycles that last so long, and of which a reading can be made."""
    return CYCLES * math.ceil(seconds * stimulus.hertz / CYCLES - 1e-9)


def frames_for(
    stimulus: Stimulus,
    noise: tuple[float, float],
    sample_rate_hz: float,
    target_percent: float,
    seconds: tuple[float, float],
) -> tuple[int, float]:
    """Return how many frames a reading needs, and the expanded uncertainty (k = 2) that they leave, in %.

    A sample's noise σ is independent of the next one's, so that the mean power of n samples has a standard deviation
    of ``√(Σ (σ_v I)² + (σ_i V)²) / √n``, where the sum is over the elements.

    Parameters
    ----------
    stimulus : Stimulus
        What is applied.
    noise : (float, float)
        A sample's noise, in V and A rms, referred to the line.
    sample_rate_hz : float
        Frames per second.
    target_percent : float
        Expanded uncertainty that is wanted.
    seconds : (float, float)
        Shortest and longest reading.
    """
    sigma_v, sigma_i = noise
    spread = math.sqrt(sum((sigma_v * amps) ** 2 + (sigma_i * stimulus.volts) ** 2 for amps in stimulus.amps))
    watts = stimulus.volts * sum(stimulus.amps) * abs(power_factor(stimulus.factor)[0])
    one = 200 * spread / watts if watts else 0.0
    wanted = (one / target_percent) ** 2 / sample_rate_hz
    cycles = cycles_of(stimulus, min(max(wanted, seconds[0]), seconds[1]))
    frames = round(cycles / stimulus.hertz * sample_rate_hz)
    return frames, one / math.sqrt(frames)


@dataclass(frozen=True)
class Task:
    """One measurement: a meter behind its front end, settled, and read for some frames.

    Parameters
    ----------
    config : MeterConfig
        The meter's, calibrated.
    parts : Parts
        Its analog side.
    stimulus : Stimulus
        What is applied.
    seed : int
        Of the noise.
    frames : int
        Frames of the reading.
    uncertainty_percent : float
        Expanded uncertainty that is predicted for them.
    kind : str
        As :class:`~blondel.sim.standards.limits.TestSpec`'s: what is read besides the error.
    engine : callable(MeterConfig) -> Engine
        Makes the meter.
    """

    config: MeterConfig
    parts: Parts
    stimulus: Stimulus
    seed: int
    frames: int
    uncertainty_percent: float
    kind: str
    engine: Callable[[MeterConfig], Engine]

    def __call__(self) -> Reading:
        """Measure."""
        config = self.config
        parts = _applied(self.parts, self.stimulus)
        converter = FrontEnd(config, parts, temperature_c=self.stimulus.temperature_c, seed=self.seed)
        rate = converter.sample_rate_hz
        source = self.stimulus.source(rate)
        measurement = measure(
            config,
            source,
            {"meter": self.engine(config)},
            settle_frames=config.frames_in(DC_WINDOWS * config.window_s if self.stimulus.dc else config.settle_s),
            frames=self.frames,
            converter=_WithDc(converter, config, self.stimulus.dc) if self.stimulus.dc else converter,
            trace=self.kind in ("no_load", "pulses"),
        )
        figures = measurement.figures
        values, uncertainties = {}, {}
        if figures.total.error_ppm is not None:
            values["error"], uncertainties["error"] = figures.total.error_ppm / 1e4, self.uncertainty_percent
        if self.kind == "no_load":
            times, _ = measurement.trace.edges["test"]
            values["pulses"] = float(math.ceil(len(times) / 2))
            values["registered"] = figures.total.delivered_wh + figures.total.received_wh
        if self.kind == "pulses":
            pulses = _pulses(measurement, source)
            kh, sample_wh = figures.config.pulse_wh, 2 * figures.total.true_wh / self.frames
            values["constant"] = 100 * float(kh / pulses.mean() - 1)
            values["repeatability"] = 100 * float(pulses.std() / kh)
            edges = len(measurement.trace.edges["output_10"][0])
            values["registers"] = figures.total.delivered_wh / kh - edges / 2
            # An edge is late by up to a sample, which has up to twice the mean energy.
            uncertainties["constant"] = math.hypot(self.uncertainty_percent, 100 * sample_wh / kh / len(pulses))
        return Reading(self.stimulus.key, self.stimulus.to_json(), values, uncertainties, self.frames / rate)


def _true_wh(source: Source, frames: np.ndarray) -> np.ndarray:
    """Return the energy from the first of some frames to after each of them, in Wh."""
    energy, before, parts = 0.0, int(frames[0]), []
    for start in range(before, int(frames[-1]) + 1, CHUNK_FRAMES):
        volts, amps = source.samples(start, min(CHUNK_FRAMES, int(frames[-1]) + 1 - start))
        joules = energy + np.cumsum((volts * amps).sum(axis=1)) / source.sample_rate_hz
        energy = joules[-1]
        inside = frames[(frames >= start) & (frames < start + len(joules))]
        parts.append(joules[inside - start])
    return np.concatenate(parts) / 3600


def _pulses(measurement: Measurement, source: Source) -> np.ndarray:
    """Return the true energy of each pulse of Output 10, from one rising edge to the next, in Wh.

    An edge shows the energy of some frames ago: the delay of the filters, and that of the core.
    """
    figures = measurement.figures
    config = figures.config
    times, before = measurement.trace.edges["output_10"]
    edges = np.round(times[int(before) :: 2] * config.sample_rate_hz).astype(np.int64)
    return np.diff(_true_wh(source, figures.settle_frames + edges - config.path_delay - DELAY))


@dataclass(frozen=True)
class Check:
    """What is judged of a reading: becomes a :class:`~blondel.sim.standards.results.Point`.

    Parameters
    ----------
    test, label : str
        Key of the test, and what differs from its other points.
    key : str
        Of the stimulus.
    low, high : float or None
        Limits.
    quantity : str
        Which of the reading's values. Default ``error``.
    reference : str or None
        Key of another stimulus, whose value is taken off.
    name : str
        What that is: ``change`` or ``difference``.
    """

    test: str
    label: str
    key: str
    low: float | None
    high: float | None
    quantity: str = "error"
    reference: str | None = None
    name: str = "change"

    def point(self, readings: dict[str, Reading]) -> Point:
        """Judge."""
        own = readings[self.key]
        value, uncertainty = own.values[self.quantity], own.uncertainties.get(self.quantity, 0.0)
        if self.reference is not None:
            other = readings[self.reference]
            value -= other.values[self.quantity]
            uncertainty = math.hypot(uncertainty, other.uncertainties[self.quantity])
        return Point(
            test=self.test,
            label=self.label,
            quantity=self.quantity if self.reference is None else self.name,
            unit=UNITS[self.quantity],
            value=value,
            uncertainty=uncertainty,
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


def warm_up(config: MeterConfig, parts: Parts, engine: str) -> None:
    """Compile or load what tasks will need, so that processes find it and do not each make it.

    Parameters
    ----------
    config, parts, engine
        As :func:`plan`'s.
    """
    make_engines(config, engine)
    nothing = np.zeros((1, config.elements))
    FrontEnd(config, parts).codes(0, nothing, nothing)


class _Planner:
    """Collects the stimuli of all tests, each one once, and the checks."""

    def __init__(self, config: MeterConfig, accuracy_class: str, quick: bool):
        self._config = config
        self._class = accuracy_class
        self._part = PART_OF_LIMIT_QUICK if quick else PART_OF_LIMIT
        self._split_core = config.model is not None and ModelNumber.parse(config.model).ct_kind == "SP"
        #: What is read, and to which uncertainty, in %.
        self.stimuli: dict[Stimulus, tuple[str, float]] = {}
        self.checks: list[Check] = []

    def add(self, spec: TestSpec, condition: Condition) -> None:
        """Add one point of a test."""
        judged = condition.limit is not None and not (spec.solid_core and self._split_core)
        limit = condition.limit[self._class] if judged else None
        elements = self._config.elements
        if spec.kind == "elements":
            if elements > 1:
                keys = [self._take(condition, limit, alone=element) for element in range(elements)]
                for element, key in enumerate(keys):
                    self._check(spec, f"{label(condition)}, element {element + 1}", key, limit)
                for element, key in enumerate(keys[1:], 2):
                    difference = f"{label(condition)}, element {element} less element 1"
                    self._check(spec, difference, key, limit, reference=keys[0], name="difference")
            return
        key = self._take(condition, limit, kind=spec.kind)
        what = label(condition)
        if spec.kind == "no_load":
            self.checks.append(Check(spec.key, "pulses", key, 0.0, 1.0, "pulses"))
            self.checks.append(Check(spec.key, "registers", key, 0.0, 0.0, "registered"))
        elif spec.kind == "pulses":
            self.checks.append(Check(spec.key, "constant", key, -limit, limit, "constant"))
            self.checks.append(Check(spec.key, "repeatability", key, 0.0, limit / 10, "repeatability"))
            self.checks.append(Check(spec.key, "registers", key, -1.0, 1.0, "registers"))
        elif spec.kind == "change":
            self._check(spec, what, key, limit, reference=self._take(condition.reference(), limit))
        else:
            self._check(spec, what, key, limit)

    def _check(self, spec: TestSpec, label: str, key: str, limit: float | None, **more: str) -> None:
        self.checks.append(Check(spec.key, label, key, None if limit is None else -limit, limit, **more))

    def _take(self, condition: Condition, limit: float | None, kind: str = "error", alone: int | None = None) -> str:
        config = self._config
        amps = condition.amps * config.class_amps
        stimulus = Stimulus(
            volts=condition.volts * config.line.v_nominal,
            hertz=condition.hertz * config.line.hertz,
            amps=tuple(amps if alone in (None, element) else 0.0 for element in range(config.elements)),
            factor=condition.factor,
            waveform=condition.waveform,
            temperature_c=condition.temperature_c,
            lead_ft=condition.lead_ft,
            dc=condition.dc,
            at_terminals=condition.at_terminals,
        )
        # A change has the uncertainties of two readings.
        target = self._part * (CLASSES[self._class] if limit is None else limit) / math.sqrt(2)
        before, least = self.stimuli.get(stimulus, ("error", math.inf))
        self.stimuli[stimulus] = (kind if kind in ("pulses", "no_load") else before, min(least, target))
        return stimulus.key


def plan(
    config: MeterConfig,
    parts: Parts,
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
    parts : Parts
        Its analog side.
    accuracy_class : str
        ``0.5S`` and ``0.2S`` of IEC 62053-22, ``0.5``, ``0.2`` and ``0.1`` of ANSI C12.20.
    quick : bool
        Fewer points and a larger uncertainty, for continuous integration. Default false.
    seed : int
        Of the noise. Default 0.
    engine : str
        ``golden`` or ``rtl``. Default ``golden``.

    Raises
    ------
    ValueError
        There is no such class.
    """
    standard = standard_of(accuracy_class)
    planner = _Planner(config, accuracy_class, quick)
    for spec in standard.tests:
        chosen = spec.quick if quick and spec.quick is not None else range(len(spec.conditions))
        for index in chosen:
            planner.add(spec, spec.conditions[index])
    noise = noise_of(config, parts)
    shortest, longest = SECONDS_QUICK if quick else SECONDS
    tasks = []
    for stimulus, (kind, target) in planner.stimuli.items():
        least, most = shortest, longest
        if kind == "pulses":
            wh = config.pulse_wh * ((PULSES_QUICK if quick else PULSES) + 1)
            least = wh * 3600 / (stimulus.volts * sum(stimulus.amps))
            most = max(most, least)
        elif kind == "no_load":
            least = NO_LOAD_SECONDS_QUICK if quick else no_load_seconds(config)
            most = max(most, least)
        frames, uncertainty = frames_for(stimulus, noise, config.true_sample_rate_hz, target, (least, most))
        # Every reading has noise of its own, whatever else the plan has.
        own_seed = seed << 32 | zlib.crc32(stimulus.key.encode())
        tasks.append(Task(config, parts, stimulus, own_seed, frames, uncertainty, kind, ENGINES[engine]))
    header = TypeTest(
        model=config.model or "custom",
        line_hz=config.line.hertz,
        standard=standard.name,
        accuracy_class=accuracy_class,
        seed=seed,
        engine=engine,
        quick=quick,
        config=asdict(config),
        assumptions=ASSUMPTIONS,
    )
    judged = {check.test for check in planner.checks}
    tests = tuple(
        TestResult(spec.key, spec.title, spec.text, spec.provenance, ())
        for spec in standard.tests
        if spec.key in judged
    )
    return Plan(header, tests, tuple(tasks), tuple(planner.checks))


def no_load_seconds(config: MeterConfig) -> float:
    """Return how long the no-load test lasts: IEC 62053-22's 600 × 10⁶ / (k m U I) minutes, from memory.

    k are the test output's pulses per kWh, m the elements, U the nominal voltage, I the most current.
    """
    k = 1000 / config.test_kh_wh
    return 60 * 600e6 / (k * config.elements * config.line.v_nominal * 1.1 * config.class_amps)


#: What a type test takes for granted.
ASSUMPTIONS = (
    "The bench is without error: voltage, current and their true energy are known exactly.",
    "The meter was calibrated once, at 23 °C; nothing ages.",
    "All elements have the same voltage, in parallel, and the same current, in series, but for single-element load.",
    "Meter, CTs and leads have the same temperature and have reached it; there is no self-heating.",
    "Uncertainty is that of the front end's noise, expanded with k = 2; a value is judged as it was read.",
    "A change is the error less the same load's at the reference condition: 23 °C, nominal voltage and frequency.",
)

"""Runs meters over a source of waveforms, holds them to each other and to the truth, and takes the figures."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from blondel.hdl.config import MeterConfig
from blondel.sim.afe.adc import Converter, IdealAdc
from blondel.sim.engine import Engine, Events, Record, State, output_names
from blondel.sim.golden.meter import GoldenMeter
from blondel.sim.rtl.engine import RtlMeter
from blondel.sim.rtl.state import take_over
from blondel.sim.source.source import Source
from blondel.sim.truth import Truth, error_ppm

__all__ = [
    "ENGINES",
    "Bench",
    "ElementFigures",
    "EnginesDiffer",
    "Figures",
    "Measurement",
    "MeterFigures",
    "Tally",
    "Trace",
    "energy_wh",
    "make_engines",
    "measure",
    "metered",
]

#: Engines by name, in the order in which they run.
ENGINES: dict[str, Callable[[MeterConfig], Engine]] = {"golden": GoldenMeter, "rtl": RtlMeter}
#: Frames that the engines get at a time.
CHUNK_FRAMES = 1 << 16
#: Points of a trace's curves.
TRACE_POINTS = 300
#: Numbers in the names of a meter's pulse outputs.
PULSE_OUTPUTS = (10, 100, 1000)
#: Cycles of the mains that a trace shows.
TRACE_CYCLES = 4

_RECORD_NAMES = {
    Record.GATE: "gate", Record.PENDING: "pending", Record.DELIVERED: "delivered", Record.RECEIVED: "received",
}  # fmt: skip


class EnginesDiffer(Exception):
    """Two engines did not give the same integers; the message shows the first difference."""


def make_engines(config: MeterConfig, which: str, *, clock_hz: float | None = None) -> dict[str, Engine]:
    """Make the engines to run, ready to start without delay.

    Parameters
    ----------
    config : MeterConfig
        The meter's.
    which : str
        ``golden``, ``rtl`` or ``both``.
    clock_hz : float or None
        As for :class:`blondel.sim.rtl.engine.RtlMeter`.
    """
    makers = dict(ENGINES)
    if clock_hz is not None:
        makers["rtl"] = functools.partial(RtlMeter, clock_hz=clock_hz)
    engines = {name: make(config) for name, make in makers.items() if which in (name, "both")}
    for engine in engines.values():
        # The first call compiles or loads code; it is not to count as metering.
        engine.next(np.zeros((1, config.channels), dtype=np.int32))
        engine.reset()
    return engines


@dataclass(frozen=True)
class ElementFigures:
    """Figures of an element, or of all.

    Parameters
    ----------
    delivered_wh, received_wh : float
        What the registers and residuals took in, in Wh.
    true_wh : float
        True net energy (delivered less received), in Wh.
    error_ppm : float or None
        Error of the metered net energy, in ppm of the true energy, or of the apparent energy where the
        power factor is below 0.1; ``None`` where there is no energy.
    """

    delivered_wh: float
    received_wh: float
    true_wh: float
    error_ppm: float | None

    def to_json(self) -> dict[str, object]:
        """Return what ``json.dumps`` takes."""
        return {
            "delivered_wh": self.delivered_wh,
            "received_wh": self.received_wh,
            "true_wh": self.true_wh,
            "error_ppm": self.error_ppm,
        }


@dataclass(frozen=True)
class MeterFigures:
    """Figures of one of several meters.

    Parameters
    ----------
    elements : tuple of int
        Indices of its elements.
    total : ElementFigures
        Figures of all of them.
    pulses : dict of int to int
        Complete on–off cycles of each pulse output, by the number in its name (10, 100, 1000).
    counts : int
        Counts of the counter.
    queued : bool
        Whether a pulse had to wait.
    """

    elements: tuple[int, ...]
    total: ElementFigures
    pulses: dict[int, int]
    counts: int
    queued: bool

    def to_json(self) -> dict[str, object]:
        """Return what ``json.dumps`` takes."""
        return {
            "elements": list(self.elements),
            **self.total.to_json(),
            "pulses": {str(name): count for name, count in self.pulses.items()},
            "counts": self.counts,
            "queued": self.queued,
        }


@dataclass(frozen=True)
class Figures:
    """What a run gave, from the end of the settling on.

    Parameters
    ----------
    config : MeterConfig
        The meter's.
    settle_frames, frames : int
        Frames metered before the figures, and for them.
    elements : tuple of ElementFigures
        Figures of each element.
    total : ElementFigures
        Figures of all elements.
    pulses : dict of int to int
        Complete on–off cycles of each pulse output, of all meters, by the number in its name (10, 100, 1000).
    counts : int
        Counts of the counters.
    flags : dict
        Indicators that were raised: a bool for each element, or one; ``lost_frames`` is a number.
    engine : str
        ``golden``, ``rtl`` or ``both``.
    bit_exact : bool
        Whether two engines ran over all frames of the figures, and agreed.
    real_time_factor : float
        Time metered, by both engines where there are two, over the time that they took for it.
    checked_frames : int
        Frames in which the golden model was compared with the RTL. Default 0.
    meters : tuple of MeterFigures
        Figures of each meter, where there are several.
    """

    config: MeterConfig
    settle_frames: int
    frames: int
    elements: tuple[ElementFigures, ...]
    total: ElementFigures
    pulses: dict[int, int]
    counts: int
    flags: dict[str, list[bool] | bool | int]
    engine: str
    bit_exact: bool
    real_time_factor: float
    checked_frames: int = 0
    meters: tuple[MeterFigures, ...] = ()

    @property
    def seconds(self) -> float:
        """Duration, in s, without the settling."""
        return self.frames / self.config.sample_rate_hz

    @property
    def settle_s(self) -> float:
        """Duration of the settling, in s."""
        return self.settle_frames / self.config.sample_rate_hz

    def to_json(self) -> dict[str, object]:
        """Return what ``json.dumps`` takes.

        ``pulse_wh`` is there where it is not the models' 10 Wh, ``meters`` where there are several.
        """
        config = self.config
        return {
            "model": config.model or "custom",
            "line_hz": config.line.hertz,
            "sample_rate_hz": config.sample_rate_hz,
            "frames": self.frames,
            "seconds": self.seconds,
            "elements": [each.to_json() for each in self.elements],
            **self.total.to_json(),
            "pulses": {str(name): count for name, count in self.pulses.items()},
            "counts": self.counts,
            "flags": self.flags,
            "engine": self.engine,
            **({"bit_exact": True} if self.bit_exact else {}),
            **({"checked_frames": self.checked_frames} if self.checked_frames else {}),
            "real_time_factor": self.real_time_factor,
            **({} if config.model else {"pulse_wh": config.pulse_wh}),
            **({"meters": [meter.to_json() for meter in self.meters]} if self.meters else {}),
        }


@dataclass(frozen=True)
class Trace:
    """Curves of a run, from the end of the settling on.

    Parameters
    ----------
    wave_s : ndarray, (samples,)
        Time of the waveforms' samples, in s: where the power is highest.
    volts, amps : ndarray, (samples, elements)
        Waveforms at the meter's terminals, in V and A.
    time_s : ndarray, (points,)
        Time of the curves' points, in s; the first is 0.
    net_wh, delivered_wh, received_wh : ndarray, (points, elements)
        Energy metered up to each point, in Wh.
    edges : dict of str to (ndarray, bool)
        Times of an output's edges, in s, and its level before the first.
    """

    wave_s: np.ndarray
    volts: np.ndarray
    amps: np.ndarray
    time_s: np.ndarray
    net_wh: np.ndarray
    delivered_wh: np.ndarray
    received_wh: np.ndarray
    edges: dict[str, tuple[np.ndarray, bool]]


@dataclass(frozen=True)
class Measurement:
    """Figures, and the trace where one was asked for."""

    figures: Figures
    trace: Trace | None


def _edge(events: Events, index: int, config: MeterConfig) -> str:
    if index >= len(events):
        return "no further edge"
    frame, level = int(events.frame[index]), bool(events.level[index])
    name = output_names(config)[events.output[index]]
    return f"{name} {'rises' if level else 'falls'} after frame {frame} ({frame / config.sample_rate_hz:.6f} s)"


def _compare_events(names: list[str], first: Events, second: Events, config: MeterConfig) -> None:
    if first == second:
        return
    both = min(len(first), len(second))
    same = np.ones(both, dtype=bool)
    for field in ("frame", "output", "level"):
        same &= getattr(first, field)[:both] == getattr(second, field)[:both]
    index = both if same.all() else int(np.argmin(same))
    seen = [f"{name}: {_edge(events, index, config)}" for name, events in zip(names, (first, second), strict=True)]
    raise EnginesDiffer(f"the engines differ; {'; '.join(seen)}")


def _words(state: State) -> dict[str, int]:
    """Return a state's integers by what they are."""
    words = {}
    elements, meters = state.config.elements, len(state.config.meter_elements)
    of = [f"meter {meter}, " if meters > 1 else "" for meter in range(1, meters + 1)]
    owners = [*(f"element {n}" for n in range(1, elements + 1)), *(f"{meter}total" for meter in of)]
    for owner, records in zip(owners, state.energy.tolist(), strict=True):
        for record, (accumulator, count) in enumerate(records):
            words[f"{owner}, {_RECORD_NAMES[record]} accumulator"] = accumulator
            words[f"{owner}, {_RECORD_NAMES[record]} count"] = count
    outputs = [f"{meter}{output}" for meter in of for output in ("pulse outputs", "test pulse", "counter")]
    for output, (waiting, done) in zip(outputs, state.outputs.tolist(), strict=True):
        words[f"{output} waiting"] = waiting
        words[f"{output} done"] = done
    return words | {"valid frames": state.frames, "lost frames": state.lost}


def _compare_states(names: list[str], first: State, second: State, frames: int) -> None:
    if first == second:
        return
    second_words = _words(second)
    for what, value in _words(first).items():
        if value != second_words[what]:
            raise EnginesDiffer(
                f"the engines differ after {frames} frames; {what}: {names[0]} {value}, {names[1]} {second_words[what]}"
            )


class Bench:
    """Engines, fed with the same frames and compared after each call.

    Parameters
    ----------
    engines : dict of str to Engine
        By name.
    config : MeterConfig
        Theirs.
    alone_frames : int
        Frames that the golden model meters alone, a whole number of calls; then the RTL takes over its whole state.
        Default 0.

    Attributes
    ----------
    frames : int
        Frames metered.
    seconds : float
        Time that the engines took for those that all metered, in s.
    state : State
        After the last call.
    """

    def __init__(self, engines: dict[str, Engine], config: MeterConfig, alone_frames: int = 0):
        self._names = list(engines)
        self._engines = list(engines.values())
        self._config = config
        self._alone_frames = alone_frames
        self.frames = 0
        self.seconds = 0.0
        self.state = self._engines[0].state()

    def next(self, codes: np.ndarray) -> Events:
        """Meter more frames.

        Raises
        ------
        EnginesDiffer
            Two engines gave different integers.
        """
        alone = self.frames < self._alone_frames
        engines = self._engines[:1] if alone else self._engines
        start = time.perf_counter()
        events = [engine.next(codes) for engine in engines]
        self.seconds += 0.0 if alone else time.perf_counter() - start
        self.frames += len(codes)
        states = [engine.state() for engine in engines]
        for n in range(1, len(engines)):
            names = [self._names[0], self._names[n]]
            _compare_events(names, events[0], events[n], self._config)
            _compare_states(names, states[0], states[n], self.frames)
        if alone and self.frames == self._alone_frames:
            golden, rtl = self._engines
            take_over(rtl, golden)
        self.state = states[0]
        return events[0]


def _marks(config: MeterConfig, settle: int, end: int) -> list[int]:
    """Return where a trace has its points: whole cycles apart, so that the power's own swing does not show."""
    cycle = config.sample_rate_hz / config.line.hertz
    step = math.ceil((end - settle) / TRACE_POINTS / cycle) * cycle
    # What is left at the end joins the last step.
    return [settle + round(n * step) for n in range(1, math.floor((end - settle) / step + 0.01))]


def _chunks(marks: list[int]) -> Iterator[tuple[int, int]]:
    """Yield start and length of chunks that end at every mark."""
    start = 0
    for mark in marks:
        while start < mark:
            count = min(CHUNK_FRAMES, mark - start)
            yield start, count
            start += count


def energy_wh(config: MeterConfig, state: State, base: State) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return each element's net, delivered and received energy since ``base``, in Wh, though a register rolled over."""
    span = config.quantum << config.register_bits
    rows = []
    for element in range(config.elements):
        pair = zip(state.delivered_received(element), base.delivered_received(element), strict=True)
        delivered, received = ((now - then + span // 2) % span - span // 2 for now, then in pair)
        # Energy that flows back while the direction has not turned yet is the other direction's.
        delivered, received = max(delivered, 0) + max(-received, 0), max(received, 0) + max(-delivered, 0)
        net = (state.net(element) - base.net(element) + span // 2) % span - span // 2
        rows.append([net, delivered, received])
    return tuple(np.array([[float(lsb * config.product_wh) for lsb in row] for row in rows]).T)


class Tally:
    """Counts the edges of the outputs as they come, so that a run of any length takes the same memory.

    Parameters
    ----------
    config : MeterConfig
        The meter's.

    Attributes
    ----------
    levels : ndarray of bool, (outputs,)
        Levels now, by number of output.
    rises, falls : ndarray of int64, (outputs,)
        Edges since :meth:`start`.
    before : ndarray of bool, (outputs,)
        Levels that count as raised whatever comes: those at :meth:`start`, but for power-up's.
    """

    def __init__(self, config: MeterConfig):
        self._names = output_names(config)
        # At power-up an element counts as not loaded; all else is off.
        self.levels = np.array([name.startswith("no_load") for name in self._names])
        self.before = np.zeros(len(self._names), dtype=bool)
        self.rises, self.falls = np.zeros((2, len(self._names)), dtype=np.int64)

    def start(self) -> None:
        """Count from here on."""
        self.before = self.levels.copy()
        self.rises[:] = self.falls[:] = 0

    def add(self, events: Events) -> None:
        """Count more edges."""
        self.rises += np.bincount(events.output[events.level], minlength=len(self._names))
        self.falls += np.bincount(events.output[~events.level], minlength=len(self._names))
        self.levels[events.output] = events.level

    def raised(self, name: str) -> bool:
        """Tell whether an output was on; one that only still is on from power-up was not raised."""
        output = self._names.index(name)
        return bool(self.rises[output] or self.levels[output] or self.before[output])

    def rises_of(self, name: str) -> int:
        """Return how often an output rose."""
        return int(self.rises[self._names.index(name)])

    def falls_of(self, name: str) -> int:
        """Return how often an output fell."""
        return int(self.falls[self._names.index(name)])

    def flags(self, config: MeterConfig, lost: int) -> dict[str, list[bool] | bool | int]:
        """Return the indicators that were raised, as :class:`Figures` has them."""
        flags: dict[str, list[bool] | bool | int] = {
            name: [self.raised(f"{name}[{element}]") for element in range(config.elements)]
            for name in ("voltage", "reversed", "overrange", "no_load")
        }
        queued = any(self.raised(name) for name in self._names if name.startswith("queued"))
        return flags | {"queued": queued, "lost_frames": lost}


def metered(config: MeterConfig, tally: Tally, energies: np.ndarray, lost: int) -> dict[str, object]:
    """Return those fields of :class:`Figures` that energies and outputs give.

    Parameters
    ----------
    config : MeterConfig
        The meters'.
    tally : Tally
        Of their outputs.
    energies : ndarray of float64, (4, elements)
        Delivered, received, true and apparent energy of each element, in Wh.
    lost : int
        Frames lost.
    """
    meters, first = [], 0
    for meter, elements in enumerate(config.meter_elements):
        own = range(first, first + elements)
        of = f"[{meter}]" if len(config.meter_elements) > 1 else ""
        meters.append(
            MeterFigures(
                elements=tuple(own),
                total=_element_figures(*energies[:, own].sum(axis=1)),
                pulses={name: tally.falls_of(f"output_{name}{of}") for name in PULSE_OUTPUTS},
                counts=tally.rises_of(f"counter{of}"),
                queued=tally.raised(f"queued{of}"),
            )
        )
        first += elements
    return {
        "elements": tuple(_element_figures(*row) for row in energies.T),
        "total": _element_figures(*energies.sum(axis=1)),
        "pulses": {name: sum(meter.pulses[name] for meter in meters) for name in PULSE_OUTPUTS},
        "counts": sum(meter.counts for meter in meters),
        "flags": tally.flags(config, lost),
        "meters": tuple(meters) if len(meters) > 1 else (),
    }


def _element_figures(delivered_wh: float, received_wh: float, true_wh: float, apparent_wh: float) -> ElementFigures:
    metered_wh = delivered_wh - received_wh
    error = float(error_ppm(metered_wh, true_wh, apparent_wh)) if apparent_wh > 0 else None
    return ElementFigures(float(delivered_wh), float(received_wh), float(true_wh), error)



def _trace(
    config: MeterConfig,
    source: Source,
    events: Events,
    levels: np.ndarray,
    settle_frames: int,
    frames: int,
    points: list[tuple[int, tuple[np.ndarray, np.ndarray, np.ndarray]]],
) -> Trace:
    rate = config.sample_rate_hz
    at = np.array([0, *(frame - settle_frames for frame, _ in points)])
    curves = np.concatenate([np.zeros((1, 3, config.elements)), [np.stack(energies) for _, energies in points]])
    shown = min(frames, math.ceil(TRACE_CYCLES * rate / config.line.hertz))
    busiest = np.argmax(np.abs(np.diff(curves[:, 0], axis=0)).sum(axis=1) / np.diff(at))
    first = min(int(at[busiest]), frames - shown)
    volts, amps = source.samples(settle_frames + first, shown)
    edges = {}
    for name in ("output_10", "output_100", "output_1000", "counter", "test"):
        output = output_names(config).index(name)
        edges[name] = ((events.of(output).frame - settle_frames) / rate, bool(levels[output]))
    return Trace(
        wave_s=(first + np.arange(shown)) / rate,
        volts=volts,
        amps=amps,
        time_s=at / rate,
        net_wh=curves[:, 0],
        delivered_wh=curves[:, 1],
        received_wh=curves[:, 2],
        edges=edges,
    )


def measure(
    config: MeterConfig,
    source: Source,
    engines: dict[str, Engine],
    *,
    settle_frames: int,
    frames: int,
    seed: int = 0,
    converter: Converter | None = None,
    trace: bool = False,
    settle_alone: bool = False,
    progress: Callable[[int], object] | None = None,
) -> Measurement:
    """Meter a source, and compare with the truth.

    The pipeline delays a sample by ``config.path_delay`` frames, so the truth is taken that many frames
    earlier than the figures.

    Parameters
    ----------
    config : MeterConfig
        The meter's.
    source : Source
        Waveforms at the meter's terminals.
    engines : dict of str to Engine
        Engines at power-up, by name; all get the same frames.
    settle_frames : int
        Frames metered before the figures.
    frames : int
        Frames of the figures.
    seed : int
        Of the ideal converter's dither. Default 0.
    converter : Converter or None
        What stands between the source and the engines, at power-up. Default: the ideal converter. Where its clock has
        an error, the source has the true sample rate.
    trace : bool
        Whether curves are wanted, of a single meter. Default false.
    settle_alone : bool
        Whether, of two engines, the golden model settles alone, and the RTL takes over its whole state then. Default
        false: both meter all frames.
    progress : callable(int) or None
        Called with the number of frames that were metered since it was called last.

    Raises
    ------
    EnginesDiffer
        Two engines gave different integers.
    """
    end = settle_frames + frames
    if converter is None:
        converter = IdealAdc(config, seed=seed)
    truth = Truth(config.elements, source.sample_rate_hz, end, period_frames=source.period_frames)
    first_true, last_true = settle_frames - config.path_delay, end - config.path_delay
    alone_frames = settle_frames if settle_alone and len(engines) > 1 else 0
    bench = Bench(engines, config, alone_frames)
    base = bench.state
    marks = [settle_frames, *(_marks(config, settle_frames, end) if trace else ()), end]
    points, edges = [], []
    tally = Tally(config)
    for start, count in _chunks(marks):
        volts, amps = source.samples(start, count)
        truth.add(volts, amps, slice(max(0, first_true - start), max(0, last_true - start)))
        events = bench.next(converter.codes(start, volts, amps))
        tally.add(events)
        if trace and start >= settle_frames:
            edges.append(events)
        if bench.frames == settle_frames:
            base = bench.state
            tally.start()
        if trace and bench.frames in marks[1:]:
            points.append((bench.frames, energy_wh(config, bench.state, base)))
        if progress is not None:
            progress(count)
    _, delivered, received = energy_wh(config, bench.state, base)
    energies = np.stack([delivered, received, truth.energy_wh, truth.apparent_wh])
    figures = Figures(
        config=config,
        settle_frames=settle_frames,
        frames=frames,
        **metered(config, tally, energies, bench.state.lost - base.lost),
        engine="both" if len(engines) > 1 else next(iter(engines)),
        bit_exact=len(engines) > 1,
        real_time_factor=(end - alone_frames) / config.sample_rate_hz / bench.seconds,
        checked_frames=end - alone_frames if len(engines) > 1 else 0,
    )
    if not trace:
        return Measurement(figures, None)
    return Measurement(figures, _trace(config, source, Events.join(edges), tally.before, settle_frames, frames, points))


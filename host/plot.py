"""Pictures of a run: waveforms, power, cumulative energy, pulse edges."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MultipleLocator

from blondel.host.files import OutputError, write_whole
from blondel.host.report import energy, energy_unit
from blondel.host.words import DAY_S, count, duration
from blondel.sim.measure import Figures, Measurement, Trace

__all__ = ["SUFFIXES", "plot", "plot_days"]

#: Kinds of file that can be drawn, by their names' ends.
SUFFIXES = (".png", ".svg", ".pdf")
#: Elements whose waveforms are drawn; the others would make them too small to read.
WAVEFORMS_MAX = 4

_VOLTS, _AMPS, _TOTAL, _GREY = "#2b6cb0", "#c05621", "#1a202c", "#a0aec0"
#: Units of time, their seconds, and the steps of an axis.
_TIME_UNITS = (
    ("days", 86400.0, (1, 2, 5, 10, 30, 100, 365)),
    ("h", 3600.0, (0.5, 1, 2, 3, 6, 12)),
    ("min", 60.0, (0.5, 1, 2, 5, 10, 15, 20, 30)),
)
#: Colours of elements, told apart by people who cannot tell red from green.
_ELEMENTS = ("#2b6cb0", "#c05621", "#2f855a", "#6b46c1", "#b7791f", "#0987a0", "#97266d", "#4a5568")
_PULSES = "#2c5282"
#: Height of a pulse, where rows are 1 apart.
_PULSE_HEIGHT = 0.62
#: Edges that can be told apart; more are a band.
_EDGES_MAX = 400
_STYLE = {"linewidth": 1.3}
#: Parts of its axis that the peaks of voltage and current reach; were they the same, in-phase currents would hide
#: their voltages.
_V_PART, _I_PART = 0.9, 0.68


def _dress(axes: Axes, ylabel: str) -> None:
    axes.set_ylabel(ylabel, fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(True, color="#e2e8f0", linewidth=0.7)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _limits(peak: float, part: float) -> tuple[float, float]:
    """Return an axis's ends so that the peak is at a part of its height."""
    limit = peak / part if peak > 0 else 1.0
    return -limit, limit


def _waveforms(axes: list[Axes], trace: Trace) -> None:
    milliseconds = (trace.wave_s - trace.wave_s[0]) * 1e3
    shown, elements = len(axes), trace.volts.shape[1]
    v_peak, i_peak = np.abs(trace.volts[:, :shown]).max(), np.abs(trace.amps[:, :shown]).max()
    for element, left in enumerate(axes):
        right = left.twinx()
        left.plot(milliseconds, trace.volts[:, element], color=_VOLTS, **_STYLE)
        right.plot(milliseconds, trace.amps[:, element], color=_AMPS, **_STYLE)
        _dress(left, "")
        left.set_ylim(*_limits(v_peak, _V_PART))
        right.set_ylim(*_limits(i_peak, _I_PART))
        left.set_xlim(0, max(milliseconds[-1], 1.0))
        left.set_xlabel(f"time from {trace.wave_s[0]:.4g} s on, ms", fontsize=9)
        of = f" of {elements}" if elements > shown else ""
        left.set_title(f"element {element + 1}{of}" if elements > 1 else "waveforms", fontsize=9, loc="left")
        left.yaxis.set_major_formatter(EngFormatter("V"))
        right.yaxis.set_major_formatter(EngFormatter("A"))
        left.tick_params(axis="y", colors=_VOLTS)
        right.tick_params(axis="y", colors=_AMPS, labelsize=8)
        right.spines[:].set_visible(False)


def _power(axes: Axes, trace: Trace) -> None:
    watts = np.diff(trace.net_wh, axis=0) * 3600 / np.diff(trace.time_s)[:, np.newaxis]
    elements = watts.shape[1]
    few = elements <= len(_ELEMENTS)
    for element in range(elements):
        label = f"element {element + 1}" if few else f"elements 1–{elements}" if element == 0 else None
        colour = _ELEMENTS[element] if few else _GREY
        axes.stairs(watts[:, element], trace.time_s, baseline=None, color=colour, label=label, **_STYLE)
    if elements > 1:
        axes.stairs(watts.sum(axis=1), trace.time_s, baseline=None, color=_TOTAL, label="total", **_STYLE)
    axes.axhline(0, color=_GREY, linewidth=0.8, zorder=1)
    axes.plot(
        trace.wave_s[:1], [1.0], transform=axes.get_xaxis_transform(), marker="v", markersize=6, color=_GREY,
        linestyle="none", clip_on=False, label="waveforms",
    )  # fmt: skip
    axes.yaxis.set_major_formatter(EngFormatter("W"))
    _dress(axes, "power")


def _cumulative(axes: Axes, trace: Trace, figures: Figures) -> None:
    delivered, received = trace.delivered_wh.sum(axis=1), trace.received_wh.sum(axis=1)
    true = figures.total.true_wh
    name, unit = energy_unit(max(delivered.max(), received.max(), abs(true)))
    curves = [("delivered", delivered, "-"), ("received", received, (0, (4, 2)))]
    if received.any():
        curves.append(("net", delivered - received, (0, (1, 1.5))))
    for label, energies, dashes in curves:
        axes.plot(trace.time_s, energies / unit, color=_TOTAL, linestyle=dashes, label=label, **_STYLE)
    axes.plot(
        trace.time_s[-1:], [true / unit], marker="o", markersize=6, markerfacecolor="none", color=_AMPS,
        linestyle="none", label="true net", clip_on=False, zorder=3,
    )  # fmt: skip
    _dress(axes, f"energy, {name}")


def _pulses(axes: Axes, trace: Trace, figures: Figures) -> None:
    config = figures.config
    rows = [
        *(
            (f"output_{name}", f"Output {name}\n{energy(config.pulse_wh * name // 10)}", count(done, "pulse"))
            for name, done in figures.pulses.items()
        ),
        ("counter", f"Counter\n{energy(config.counter_wh)}", count(figures.counts, "count")),
        ("test", f"Test\nKh {energy(config.test_kh_wh)}", count(len(trace.edges["test"][0]), "edge")),
    ]
    for row, (output, _, done) in enumerate(rows):
        times, before = trace.edges[output]
        base = len(rows) - 1 - row
        levels = (np.arange(len(times) + 1) + before) % 2
        at = np.concatenate([[0.0], times, trace.time_s[-1:]])
        height = base + _PULSE_HEIGHT * np.append(levels, levels[-1])
        if len(times) > _EDGES_MAX:
            axes.fill_between(at[[0, -1]], base, base + _PULSE_HEIGHT, color=_PULSES, alpha=0.35, linewidth=0)
        else:
            axes.fill_between(at, base, height, step="post", color=_PULSES, alpha=0.2, linewidth=0)
            axes.step(at, height, where="post", color=_PULSES, linewidth=1.0 if len(times) < _EDGES_MAX / 4 else 0.5)
        axes.annotate(
            done, (1.008, base + _PULSE_HEIGHT / 2), xycoords=("axes fraction", "data"), fontsize=8, va="center",
            annotation_clip=False,
        )  # fmt: skip
    axes.set_ylim(-0.2, len(rows) - 0.15)
    _dress(axes, "")
    middles = [len(rows) - 1 - row + _PULSE_HEIGHT / 2 for row in range(len(rows))]
    axes.set_yticks(middles, [label for _, label, _ in rows])
    axes.grid(False, axis="y")


def _time_axis(axes: list[Axes], seconds: float) -> None:
    unit, factor, steps = next((unit for unit in _TIME_UNITS if seconds >= 3 * unit[1]), ("s", 1.0, ()))
    step = next((step for step in steps if seconds / factor / step <= 12), None)
    for each in axes:
        each.set_xlim(0, seconds)
        each.xaxis.set_major_formatter(lambda value, _: f"{value / factor:g}")
        if step is not None:
            each.xaxis.set_major_locator(MultipleLocator(step * factor))
        each.tick_params(labelbottom=each is axes[-1])
    axes[-1].set_xlabel(f"time, {unit}", fontsize=9)


def _entitle(figure: Figure, figures: Figures, length: str) -> None:
    error = figures.total.error_ppm
    known = "" if error is None else f"   error {error:+.2f} ppm".replace("-", "−")
    name = figures.config.model or "Custom meter"
    figure.suptitle(
        f"{name}, {figures.config.line.hertz} Hz: {length}{known}", fontsize=12, fontweight="bold", x=0.01, ha="left"
    )


def draw(measurement: Measurement) -> Figure:
    """Draw a measurement's trace.

    Parameters
    ----------
    measurement : Measurement
        Made with ``trace``.
    """
    figures, trace = measurement.figures, measurement.trace
    shown = min(trace.volts.shape[1], WAVEFORMS_MAX)
    figure = Figure(figsize=(11, 10), dpi=110, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    top, bottom = figure.subfigures(2, 1, height_ratios=(1, 3), hspace=0.02)
    waves = list(np.ravel(top.subplots(1, shown)))
    power, total, pulses = bottom.subplots(3, 1, height_ratios=(1, 1, 1.25))
    _waveforms(waves, trace)
    _power(power, trace)
    _cumulative(total, trace, figures)
    _pulses(pulses, trace, figures)
    _time_axis([power, total, pulses], figures.seconds)
    for axes in (power, total):
        axes.legend(
            loc="upper left", bbox_to_anchor=(1.015, 1.02), fontsize=8, frameon=False, handlelength=1.6
        )
    _entitle(figure, figures, f"{figures.seconds:g} s")
    return figure


def plot(measurement: Measurement, path: Path) -> None:
    """Draw a measurement's trace into a file.

    Parameters
    ----------
    measurement : Measurement
        Made with ``trace``.
    path : Path
        Its name ends with one of :data:`SUFFIXES`.

    Raises
    ------
    OutputError
        The file cannot be written, or its name says nothing of its kind.
    """
    _write(draw(measurement), path)


def draw_days(figures: Figures, daily_wh: np.ndarray) -> Figure:
    """Draw the days of a long run: what each element took and gave back.

    Parameters
    ----------
    figures : Figures
        Of the run.
    daily_wh : ndarray of float64, (days, elements, 2)
        Delivered and received energy of each day, in Wh.
    """
    figure = Figure(figsize=(11, 6), dpi=110, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    days, total = figure.subplots(2, 1, sharex=True)
    edges = np.minimum(np.arange(len(daily_wh) + 1), figures.seconds / DAY_S)
    name, unit = energy_unit(np.abs(daily_wh).max(initial=0.0))
    base = np.zeros((2, len(daily_wh)))
    for element in range(figures.config.elements):
        colour = _ELEMENTS[element % len(_ELEMENTS)]
        for direction, sign in enumerate((1, -1)):
            top = base[direction] + sign * daily_wh[:, element, direction] / unit
            label = f"element {element + 1}" if direction == 0 else None
            days.stairs(top, edges, baseline=base[direction], fill=True, color=colour, alpha=0.8, label=label)
            base[direction] = top
    days.axhline(0, color=_GREY, linewidth=0.8)
    _dress(days, f"a day's energy, {name}\n← received   delivered →")
    sums = np.concatenate([np.zeros((1, 2)), daily_wh.sum(axis=1).cumsum(axis=0)])
    name, unit = energy_unit(sums.max())
    for label, energies, dashes in (("delivered", sums[:, 0], "-"), ("received", sums[:, 1], (0, (4, 2)))):
        total.plot(edges, energies / unit, color=_TOTAL, linestyle=dashes, label=label, **_STYLE)
    _dress(total, f"energy, {name}")
    total.set_xlim(0, edges[-1])
    total.set_xlabel("time, days", fontsize=9)
    for axes in (days, total):
        axes.legend(loc="upper left", bbox_to_anchor=(1.015, 1.02), fontsize=8, frameon=False, handlelength=1.6)
    _entitle(figure, figures, duration(figures.seconds))
    return figure


def plot_days(figures: Figures, daily_wh: np.ndarray, path: Path) -> None:
    """Draw the days of a long run into a file: see :func:`draw_days` and :func:`plot`."""
    _write(draw_days(figures, daily_wh), path)


def _write(figure: Figure, path: Path) -> None:
    check_suffix(path)
    write_whole(path, lambda file: figure.savefig(file, format=path.suffix[1:].lower()))


def check_suffix(path: Path) -> None:
    """Find out before long work whether a picture of that name can be drawn.

    Raises
    ------
    OutputError
        It cannot.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise OutputError(f"cannot draw {path}: its name must end with {', '.join(SUFFIXES)}")

"""Pictures of an accuracy report, as SVG to be put into its page."""

from __future__ import annotations

import io
import itertools
import math
import re
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from blondel.sim.standards.budget import Budget
from blondel.sim.standards.limits import CLASSES
from blondel.sim.standards.population import Population
from blondel.sim.standards.results import Point, TypeTest
from blondel.sim.standards.stimulus import Stimulus
from blondel.sim.standards.waveforms import WAVEFORMS

__all__ = ["budget_picture", "curves_picture", "population_picture", "waveforms_picture"]

_INK, _MUTED, _RULE, _MASK, _LIMIT = "#1b1f24", "#59636e", "#e4e8ec", "#eef2f6", "#8b1a1a"
_VOLTS, _AMPS = "#1f5a96", "#b4500f"
#: Power factors: colours that people who cannot tell red from green tell apart, and marks for who sees no colours.
_FACTORS = (("#1f5a96", "o"), ("#b4500f", "s"), ("#1d7a5a", "^"), ("#6b3fa0", "D"), ("#7a6a00", "v"))
#: Tests whose limits are drawn as masks, and the one of the project's own claim; the other tests' are at single loads.
_MASKS, _CLAIM = ("load_performance", "power_factor"), "wide_range"
_WIDTH = 10.0
_RC = {
    # Text stays text: it can be searched and copied, and has the page's own typeface.
    "svg.fonttype": "none", "svg.hashsalt": "blondel", "font.family": "sans-serif", "font.size": 9.5,
    "font.sans-serif": ["Helvetica Neue", "Arial", "Liberation Sans", "DejaVu Sans"], "text.color": _INK,
    "axes.labelcolor": _INK, "axes.edgecolor": _MUTED, "axes.linewidth": 0.7, "xtick.color": _MUTED,
    "ytick.color": _MUTED, "axes.unicode_minus": True,
}  # fmt: skip


def _drawn(name: str, height: float, draw: Callable[[Figure], None]) -> str:
    """Draw a picture; its ids begin with its name, so that several go into one page."""
    with rc_context(_RC):
        figure = Figure(figsize=(_WIDTH, height), layout="constrained", facecolor="none")
        FigureCanvasAgg(figure)
        draw(figure)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    svg = re.sub(r"^.*?(?=<svg)|\s*<metadata>.*?</metadata>", "", text.getvalue(), flags=re.DOTALL)
    svg = re.sub(r'(?<=\bid=")|(?<=url\(#)|(?<=href="#)', f"{name}-", svg)
    # The page says how wide it is, and what it shows.
    return re.sub(r'^<svg [^>]*?viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" aria-hidden="true">', svg)


def _dress(axes: Axes) -> None:
    axes.grid(True, color=_RULE, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(length=3, labelsize=9)


def _percent(value: float, _: object = None) -> str:
    return f"{value:+.6g}".replace("-", "−") if value else "0"


# ---- error against current -------------------------------------------------------------------------


def error_curves(test: TypeTest) -> dict[str, list[Point]]:
    """Return the errors at the reference condition by power factor: each load once, by rising current."""
    return {
        curve.factor: list({point.stimulus["amps"][0]: point for point in reversed(curve.points)}.values())[::-1]
        for curve in test.curves(*_MASKS, "leading", _CLAIM)
    }


def _masks(test: TypeTest) -> dict[str, list[tuple[float, float]]]:
    """Return current and limit of the masks, by power factor."""
    masks: dict[str, dict[float, float]] = {}
    for each in test.tests:
        if each.key in _MASKS:
            for point in each.points:
                masks.setdefault(point.stimulus["factor"], {})[point.stimulus["amps"][0]] = point.high
    return {factor: sorted(mask.items()) for factor, mask in masks.items()}


def _steps(mask: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """Return a mask's outline: a limit holds from its current up to the next one's."""
    amps = [each for each, _ in mask]
    ends = [*amps[1:], amps[-1] * 1.15]
    outline = [(x, limit) for (start, limit), end in zip(mask, ends, strict=True) for x in (start, end)]
    return [x for x, _ in outline], [y for _, y in outline]


def _amps(value: float, _: object = None) -> str:
    return f"{value * 1000:g} mA" if value < 1 else f"{value:g} A"


def curves_picture(test: TypeTest) -> str | None:
    """Draw the errors against current, within the limits and enlarged; ``None`` where nothing was read for it."""
    curves, masks = error_curves(test), _masks(test)
    if not curves:
        return None

    def draw(figure: Figure) -> None:
        within, large = figure.subplots(2, 1, sharex=True, height_ratios=(1, 1))
        styles = dict(zip(_by_factor(curves), itertools.cycle(_FACTORS), strict=False))
        for factor in _by_factor(masks):
            amps, limits = _steps(masks[factor])
            unity = factor == "1"
            if unity:
                within.fill_between(amps, limits, [-each for each in limits], color=_MASK, linewidth=0)
            for sign in (1, -1):
                within.plot(
                    amps, [sign * each for each in limits], color=_MUTED, linewidth=1.0,
                    linestyle="-" if unity else (0, (4, 2.5)),
                )  # fmt: skip
        for each in test.tests:
            if each.key == _CLAIM and each.points[0].is_judged:
                amps = [point.stimulus["amps"][0] for point in each.points]
                claim = each.points[0].high
                for sign in (1, -1):
                    within.plot([min(amps), max(amps)], [sign * claim] * 2, color=_INK, linewidth=1.1, linestyle=":")
                within.annotate(
                    f"± {claim:g} %, the project's own claim", (min(amps), claim), xytext=(0, 3),
                    textcoords="offset points", fontsize=9,
                )  # fmt: skip
        for axes in (within, large):
            axes.axhline(0, color=_MUTED, linewidth=0.7)
            for factor in _by_factor(curves):
                points, (colour, mark) = curves[factor], styles[factor]
                axes.errorbar(
                    [point.stimulus["amps"][0] for point in points], [point.value for point in points],
                    [point.uncertainty for point in points], color=colour, marker=mark, markersize=4.5, linewidth=1.3,
                    elinewidth=1.0, capsize=2.5, markeredgecolor="white", markeredgewidth=0.6,
                    label=f"power factor {factor}" if axes is within else None,
                )  # fmt: skip
            _dress(axes)
            axes.set_xscale("log")
            axes.set_ylabel("error, %")
            axes.yaxis.set_major_formatter(FuncFormatter(_percent))
        most = max([limit for mask in masks.values() for _, limit in mask], default=0)
        if most:
            within.set_ylim(-1.15 * most, 1.15 * most)
        within.set_title("Against the limits", loc="left", fontsize=10.5, fontweight="bold")
        large.set_title("The same errors, enlarged", loc="left", fontsize=10.5, fontweight="bold")
        large.yaxis.set_major_locator(MaxNLocator(5))
        large.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if _decades(curves) < 2.5 else (1.0,)))
        large.xaxis.set_major_formatter(FuncFormatter(_amps))
        large.xaxis.set_minor_formatter(NullFormatter())
        large.set_xlabel("current of each element, rms")
        legend = within.legend(
            loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=len(curves), frameon=False, fontsize=9.5,
            handlelength=2.0, columnspacing=1.6, borderaxespad=0.1,
        )  # fmt: skip
        legend.set_in_layout(False)

    return _drawn("curves", 5.6, draw)


def _by_factor(names: Iterable[str]) -> list[str]:
    """Return power factors, 1 first."""
    return sorted(names, key=lambda factor: (factor != "1", factor))


def _decades(curves: dict[str, list[Point]]) -> float:
    amps = [point.stimulus["amps"][0] for points in curves.values() for point in points]
    return math.log10(max(amps) / min(amps))


# ---- waveforms -------------------------------------------------------------------------------------


def waveforms(test: TypeTest) -> list[Stimulus]:
    """Return a stimulus for each waveform that was applied, in the order of :data:`WAVEFORMS`."""
    first: dict[str, Stimulus] = {}
    for point in (point for each in test.tests for point in each.points):
        stimulus = Stimulus.from_json(point.stimulus)
        if any(stimulus.amps):
            first.setdefault(stimulus.waveform, stimulus)
    return [first[name] for name in WAVEFORMS if name in first]


def waveforms_picture(test: TypeTest) -> str | None:
    """Draw two cycles of each waveform, voltage and current; ``None`` where nothing was applied."""
    stimuli = waveforms(test)
    if not stimuli:
        return None
    wide = min(5, len(stimuli))
    high = math.ceil(len(stimuli) / wide)

    def draw(figure: Figure) -> None:
        grid = figure.subplots(high, 5, squeeze=False, sharex=True, sharey=True)
        for axes in grid.flat[len(stimuli) :]:
            axes.remove()
        for stimulus, axes in zip(stimuli, grid.flat, strict=False):
            cycles = 4 if stimulus.waveform == "burst" else 2
            rate = 400 * stimulus.hertz
            # The second second: whatever begins has begun.
            volts, amps = stimulus.source(rate).samples(400 * 100, 400 * cycles + 1)
            element = int(np.argmax(stimulus.amps))
            cycle = np.linspace(0, 1, len(volts))
            axes.axhline(0, color=_MUTED, linewidth=0.6)
            # Smaller currents: where both are sines in phase, both are seen.
            for waves, colour, part in ((volts, _VOLTS, 1.0), (amps, _AMPS, 0.75)):
                wave = waves[:, element]
                axes.plot(cycle, part * wave / np.abs(wave).max(), color=colour, linewidth=1.4)
            title = WAVEFORMS[stimulus.waveform].title.replace("Multiple zero crossing", "Zero crossings")
            axes.set_title(title, loc="left", fontsize=9.5)
            axes.set(xlim=(0, 1), ylim=(-1.15, 1.15), xticks=[], yticks=[])
            axes.spines[:].set_visible(False)

    return _drawn("waveforms", 0.25 + 1.35 * high, draw)


# ---- population ------------------------------------------------------------------------------------


def population_picture(population: Population, accuracy_class: str) -> str | None:
    """Draw histograms of a population's errors at each point, with the class's limits; ``None`` without errors."""
    errors = population.errors()
    if not len(errors):
        return None
    temperatures = list(dict.fromkeys(point.temperature_c for point in population.points))
    loads = list(dict.fromkeys((point.amps, point.factor) for point in population.points))
    limit = CLASSES[accuracy_class]

    def draw(figure: Figure) -> None:
        grid = figure.subplots(len(temperatures), len(loads), sharey="row", squeeze=False)
        for column, point in enumerate(population.points):
            own = errors[:, column]
            axes = grid[temperatures.index(point.temperature_c), loads.index((point.amps, point.factor))]
            edge = point.limit * limit
            reach = 1.2 * max(edge, np.abs(own).max())
            axes.axvspan(-edge, edge, color=_MASK, linewidth=0)
            for sign in (-1, 1):
                axes.axvline(sign * edge, color=_LIMIT, linewidth=1.1)
            bins = np.linspace(-reach, reach, 62)
            axes.hist(own, bins=bins, weights=np.full(len(own), 100 / len(own)), color=_VOLTS, linewidth=0)
            axes.set_xlim(-reach, reach)
            axes.set_xticks([-edge, 0, edge], [_percent(each) for each in (-edge, 0, edge)])
            axes.set_yticks([])
            axes.spines[["left", "top", "right"]].set_visible(False)
            axes.tick_params(length=3, labelsize=8.5)
            extremes = f"{own.min():+.3f} … {own.max():+.3f}".replace("-", "−")
            axes.set_title(extremes, fontsize=8, color=_MUTED, pad=2)
        for row, celsius in enumerate(temperatures):
            grid[row, 0].set_ylabel(f"{celsius:g} °C".replace("-", "−"), fontweight="bold")
        for column, (amps, factor) in enumerate(loads):
            grid[0, column].annotate(
                f"{amps * 100:g} %, {factor}", (0.5, 1.22), xycoords="axes fraction", ha="center", fontweight="bold",
                fontsize=9.5, annotation_clip=False,
            )  # fmt: skip
            grid[-1, column].set_xlabel("error, %", fontsize=8.5)

    return _drawn("population", 0.5 + 1.35 * len(temperatures), draw)


# ---- budget ----------------------------------------------------------------------------------------


def budget_picture(budget: Budget) -> str:
    """Draw what each part adds, at each load, on a logarithmic scale."""
    figures = np.array(budget.rms_percent)
    floor = max(1e-5, 10 ** math.floor(math.log10(max(figures[figures > 0].min(initial=1.0), 1e-5))))
    names = list(budget.contributions)

    def draw(figure: Figure) -> None:
        row = figure.subplots(1, len(budget.conditions), sharex=True, sharey=True, squeeze=False)[0]
        for condition, axes in enumerate(row):
            for load, (amps, factor) in enumerate(budget.loads):
                colour, _ = _FACTORS[0 if factor == "1" else 1]
                size = 26 + 26 * sum(1 for each, _ in budget.loads[:load] if each < amps and _ == factor)
                axes.scatter(
                    np.maximum(figures[:, condition, load], floor), range(len(names)), s=size, facecolors="none",
                    edgecolors=colour, linewidths=1.3, label=f"{amps * 100:g} %, {factor}",
                )  # fmt: skip
            axes.set_xscale("log")
            _dress(axes)
            axes.set_title(budget.conditions[condition], loc="left", fontsize=10)
            axes.set_xlabel("rms, %")
            axes.set_yticks(range(len(names)), names)
            axes.axhspan(len(names) - 1.5, len(names) - 0.5, color=_MASK, zorder=0)
        row[0].set_ylim(len(names) - 0.4, -0.6)
        handles, labels = row[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, fontsize=9)

    return _drawn("budget", 3.6, draw)

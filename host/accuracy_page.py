"""The accuracy report as one page: HTML with its style and its pictures in it, and nothing from elsewhere."""

from __future__ import annotations

import re

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from blondel.host.accuracy import (
    Accuracy,
    columns,
    conclusion,
    limits,
    load_names,
    shown,
    spread,
    verdict,
)  # fmt: skip
from blondel.host.accuracy_pictures import (
    budget_picture,
    curves_picture,
    error_curves,
    population_picture,
    waveforms,
    waveforms_picture,
)  # fmt: skip
from blondel.host.words import count
from blondel.sim.standards.limits import CLASSES
from blondel.sim.standards.results import TestResult
from blondel.sim.standards.waveforms import WAVEFORMS

__all__ = ["page"]

#: What the kinds of provenance mean.
PROVENANCE = {
    "seen": "seen in a public source",
    "memory": "of a standard that has to be bought, stated from memory, to be checked against it",
    "own": "this project's own",
}


def _typeset(value: object) -> object:
    """Keep a figure and its unit on one line."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return re.sub(r"(?<=\d) (?=°C|%)", "\N{NO-BREAK SPACE}", value)


def _part(test: TestResult) -> float:
    """Return how much of its limit a test's worst point took."""
    return test.worst.part_of_limit if test.worst else 0.0


def _figures(found: Accuracy) -> list[tuple[str, str]]:
    """Return the configuration's figures, each with its name."""
    config = found.test.config
    line = config["line"]
    return [
        ("Line", f"{line['v_min']:g} to {line['v_max']:g} V, {line['hertz']} Hz"),
        ("Elements", str(config["elements"])),
        ("Class amps", f"{config['class_amps']:g} A"),
        ("Frames", f"{config['sample_rate_hz']:g} per second, {config['sample_bits']} bits"),
        ("Full scale, voltage", f"{config['v_full_scale']:g} V peak"),
        ("Full scale, current", f"{config['i_full_scale']:g} A peak"),
        ("Pulse outputs", ", ".join(f"{config['pulse_wh'] * each:g}" for each in (1, 10, 100)) + " Wh per pulse"),
        ("Counter", f"{config['counter_wh']:g} Wh per count"),
        ("Test pulse", f"Kh {config['test_kh_wh']:g} Wh"),
        ("No-load threshold", f"{config['no_load_fraction'] * 100:g} % of class amps at nominal voltage"),
        ("Offset tracking", "on" if config["offset_tracking"] else "off"),
        ("Clock error", f"{config['clock_error_ppm']:+g} ppm"),
    ]


def _channels(found: Accuracy) -> list[tuple[str, str, str, str]]:
    """Return the calibration words: channel, gain, delay, offset."""
    rows = []
    for number, channel in enumerate(found.test.config["calibration"]):
        offset = channel["offset"]
        rows.append((
            f"element {number // 2 + 1}, {('voltage', 'current')[number % 2]}",
            f"{channel['gain']:.7g}",
            f"{channel['delay_s'] * 1e6:+.4g} µs".replace("-", "−"),
            "tracked" if offset is None else f"{offset:+.2f} LSB".replace("-", "−"),
        ))  # fmt: skip
    return rows


def _curves_text(found: Accuracy) -> str:
    """Say what the curves show, for who does not see them."""
    texts = []
    for factor, points in error_curves(found.test).items():
        low, high = min(point.value for point in points), max(point.value for point in points)
        amps = [point.stimulus["amps"][0] for point in points]
        texts.append(
            f"at power factor {factor}, from {amps[0]:g} A to {amps[-1]:g} A, errors from {shown(low, '%')} to "
            f"{shown(high, '%')}"
        )
    return f"Error against current: {'; '.join(texts)}."


def _population_text(found: Accuracy) -> str:
    population = found.population
    errors = population.errors()
    spans = [
        f"{point.label}: {shown(low, '%')} to {shown(high, '%')}"
        for point, low, high in zip(population.points, errors.min(axis=0), errors.max(axis=0), strict=True)
    ]
    return f"Histograms of the error at each point, with the limits. {'; '.join(spans)}."


def page(found: Accuracy) -> str:
    """Return the report's page.

    Parameters
    ----------
    found : Accuracy
        What it shows.
    """
    test, population = found.test, found.population
    # A meter for which no test was asked has limits of its class all the same.
    own_class = test.accuracy_class
    population_svg = population and population_picture(population, own_class)
    environment = Environment(
        loader=PackageLoader("blondel.host", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, finalize=_typeset,
    )  # fmt: skip
    environment.globals |= {
        "columns": columns, "limits": limits, "shown": shown, "spread": spread, "verdict": verdict, "part": _part,
        "count": count,
    }  # fmt: skip
    points = [point for each in test.tests for point in each.points]
    pictures = {
        "curves": curves_picture(test),
        "waveforms": waveforms_picture(test),
        "population": population_svg,
        "budget": found.budget and budget_picture(found.budget),
    }
    return environment.get_template("accuracy.html.jinja").render(
        found=found,
        test=test,
        points=len(points),
        judged=[each for each in test.tests if each.passed is not None],
        # The same reading may be judged in several tests.
        metered_s=sum({str(point.stimulus): point.seconds for point in points}.values()),
        # Of errors: a count within one pulse says little.
        nearest=max(
            (each for each in test.tests if each.worst and each.worst.unit == "%"), key=_part, default=None
        ),
        conclusion=conclusion(test),
        pictures={name: svg and Markup(svg) for name, svg in pictures.items()},
        curves_text=_curves_text(found),
        population_text=_population_text(found) if population_svg else "",
        yields=[population.yield_of(name) for name in ("0.5", "0.2", "0.1")] if population else [],
        own_class=own_class,
        class_percent=CLASSES[own_class],
        faults=[member for member in population.members if member.fault] if population else [],
        loads=load_names(found.budget) if found.budget else [],
        waveforms=[(WAVEFORMS[each.waveform], each) for each in waveforms(test)],
        figures=_figures(found),
        channels=_channels(found),
        provenance=PROVENANCE,
    )

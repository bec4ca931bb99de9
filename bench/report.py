"""The bench's table, as text."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from history import TOLERANCE, Change, further_seconds

from blondel.host.words import DAY_S, count

__all__ = ["comparison", "scaling", "table"]

#: In the table's order, by the names that a result has for them.
ENGINES = {
    "golden": "golden model",
    "rtl": "RTL engine",
    "verilator": "cocotb + Verilator",
    "icarus": "cocotb + Icarus",
    "amaranth": "Amaranth's simulator",
}
RUNS = {"golden": "golden model", "days": "golden model, --days", "rtl": "RTL engine"}


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    """Return a table's lines, the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        cells = (cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))
        lines.append("  ".join([first.ljust(widths[0]), *cells]))
    return "\n".join(line.rstrip() for line in lines) + "\n"


def number(value: float) -> str:
    """Write a number with three digits, or all before the point, and no exponent."""
    if value >= 100:
        return f"{value:,.0f}"
    digits = next((n for n in range(11) if abs(value) * 10**n >= 99.95), 11)
    return f"{value:.{digits}f}"


def _when(run: dict) -> str:
    return " at ".join(filter(None, (run["date"], run["commit"])))


def _engines(run: dict) -> str:
    rows = [("", "frames/s", "× real time", "RTL engine is", "to build")]
    rtl = run["engines"]["rtl"]["frames_per_s"]
    for name, title in ENGINES.items():
        engine = run["engines"][name]
        if engine is None:
            rows.append((title, "–", "–", "–", "not installed"))
            continue
        rate, build_s = engine["frames_per_s"], engine.get("build_s")
        built = "–" if build_s is None else f"{build_s:.1f} s"
        rows.append((title, number(rate), number(rate / run["sample_rate_hz"]), f"{number(rtl / rate)} ×", built))
    return _aligned(rows)


def _others(run: dict) -> str:
    golden, memory = run["golden_bytes_per_s"], run["memory_bytes_per_s"]
    rows = [
        ("golden model's samples", f"{golden / 1e9:.2f} GB/s", f"{100 * golden / memory:.1f} % of what a core reads"),
        ("RTL engine's clocks", f"{run['rtl_clocks_per_s'] / 1e6:.2f} M/s", f"{run['rtl_clocks']:.1f} a frame"),
    ]
    for key, settling in (("run_s", "8.4 s of settling"), ("run_without_settling_s", "no settling")):
        took = run[key]
        rows.append(
            (
                f"blondel run of 1 s, both engines, {settling}",
                f"{took['processor_s']:.2f} s",
                f"{took['wall_s']:.2f} s by the clock, start-up and all",
            )
        )
    width, figures = (max(len(row[n]) for row in rows) for n in (0, 1))
    return "".join(f"{what:<{width}}  {figure:>{figures}}   {note}\n" for what, figure, note in rows)


def _by_elements(run: dict) -> str:
    growth, rate = run["by_elements"], run["sample_rate_hz"]
    rows = [("elements", "golden, × real time", "an element", "RTL, × real time", "an element", "clocks a frame")]
    two = next(each for each in growth if each["elements"] == 2)
    for each in growth:
        row = [str(each["elements"])]
        for name in ("golden", "rtl"):
            speed = each[name]["frames_per_s"]
            cost = 2 * two[name]["frames_per_s"] / (each["elements"] * speed)
            row += [number(speed / rate), f"{cost:.2f}"]
        rows.append((*row, f"{each['rtl']['clocks_per_frame']:,.0f}"))
    return _aligned(rows)


def _by_length(run: dict) -> str:
    rows = [("length", "processor time", "× real time", "a further second", "memory", "of the shortest")]
    for name, title in RUNS.items():
        runs = run["by_length"][name]
        further = [None, *further_seconds(runs)]
        for each, more in zip(runs, further, strict=True):
            seconds = each["seconds"]
            length = f"{seconds:,} s" if seconds < DAY_S else count(seconds // DAY_S, "day")
            rows.append(
                (
                    f"{title}, {length}",
                    f"{number(each['processor_s'])} s",
                    number(seconds / each["processor_s"]),
                    "–" if more is None else f"{number(1000 * more[1] / more[0])} ms",
                    f"{each['peak_bytes'] / 1e6:.0f} MB",
                    f"{each['peak_bytes'] / runs[0]['peak_bytes']:.2f}",
                )
            )
    return _aligned(rows)


def table(run: dict) -> str:
    """Return a run's figures as text.

    Parameters
    ----------
    run : dict
        As ``bench/result.json`` has it.
    """
    head = (
        f"{_when(run)}, Blondel {run['version']}; {run['machine']}, Python {run['python']}\n"
        f"{run['model']}, {count(run['elements'], 'element')}; real time is {run['sample_rate_hz']:,.0f} frames/s; "
        "seconds are processor time, all cores'\n"
    )
    parts = (
        head,
        _engines(run),
        _others(run),
        "Growth with elements; an element's cost, relative to one of two:\n" + _by_elements(run),
        "Growth with length: blondel run --household, start-up and all:\n" + _by_length(run),
    )
    return "\n".join(parts)


def scaling(tables: Sequence[Path]) -> str:
    """Return the tables of ``make scaling`` as text, as they were measured last."""
    parts = ["What a core takes of an FPGA, as make scaling measured it:\n"]
    for path in tables:
        with path.open(newline="", encoding="utf-8") as file:
            parts.append(_aligned([[cell or "–" for cell in row] for row in csv.reader(file)]))
    return "\n".join(parts)


def comparison(found: Sequence[Change], before: dict | None) -> str:
    """Return how the ratios changed, and which are worse.

    Parameters
    ----------
    found : sequence of Change
    before : dict or None
        What they are compared with; None: there is nothing.
    """
    if before is None:
        rows = [("ratio", "now"), *((each.title, number(each.now)) for each in found)]
        return _aligned(rows) + "\nThis machine has no earlier run to compare with.\n"
    rows = [("ratio", "now", "before", "change")]
    for each in found:
        old = ("–", "–") if each.before is None else (number(each.before), f"{100 * each.relative:+.1f} %")
        rows.append((each.title, number(each.now), *old))
    worse = [each.title for each in found if each.worse]
    margin = f"by more than {100 * TOLERANCE:.0f} %"
    verdict = f"Worse than before {margin}: {'; '.join(worse)}." if worse else f"Nothing is worse {margin}."
    return f"{_aligned(rows)}\nBefore: {_when(before)}, on this machine. {verdict}\n"

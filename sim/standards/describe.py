"""The standards' tests as Markdown tables: what ``docs/standards.md`` has, which a test holds to the data.

``python -m blondel.sim.standards.describe`` prints them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from blondel.sim.standards.limits import ANSI, CLASSES, IEC, Condition, TestSpec
from blondel.sim.standards.results import Provenance
from blondel.sim.standards.waveforms import WAVEFORMS

__all__ = ["describe", "label", "tests_markdown", "waveforms_markdown"]

_KINDS = {"seen": "seen", "memory": "from memory, to be checked", "own": "the project's own"}


def label(condition: Condition) -> str:
    """Return what a condition is in a few words; its current as a part of the class amps."""
    return f"{condition.amps * 100:g} % of class amps, {_rest(condition)}"


def _rest(condition: Condition) -> str:
    parts = [condition.factor]
    if condition.waveform != "sine":
        parts.append(condition.waveform)
    if condition.volts != 1:
        parts.append(f"{_signed(condition.volts)} % voltage")
    if condition.hertz != 1:
        parts.append(f"{_signed(condition.hertz)} % frequency")
    if condition.temperature_c != Condition.temperature_c:
        parts.append(f"{condition.temperature_c:g} °C".replace("-", "−"))
    if condition.lead_ft:
        parts.append(f"{condition.lead_ft:g} ft")
    if condition.dc:
        parts.append(f"{condition.dc * 100:g} % DC")
    if condition.at_terminals:
        parts.append("at the CT terminals")
    return ", ".join(parts)


def _signed(part: float) -> str:
    return f"{part * 100 - 100:+.0f}".replace("-", "−")


def _provenance(provenance: Provenance) -> str:
    return f"*{_KINDS[provenance.kind].capitalize()}*: {provenance.text}."


def _groups(conditions: Iterable[Condition]) -> list[list[Condition]]:
    """Put conditions that differ in nothing but the current together."""
    groups: list[list[Condition]] = []
    for condition in conditions:
        if groups and replace(condition, amps=groups[-1][0].amps) == groups[-1][0]:
            groups[-1].append(condition)
        else:
            groups.append([condition])
    return groups


def _test(spec: TestSpec, classes: tuple[str, ...]) -> list[str]:
    lines = [f"### {spec.title}", "", f"`{spec.key}`. {spec.text}", ""]
    lines += ["| % of class amps | power factor and what differs | " + " | ".join(classes) + " |"]
    lines += ["| --- " * (2 + len(classes)) + "|"]
    for group in _groups(spec.conditions):
        limit = group[0].limit
        cells = ["–" if limit is None else f"±{limit[each]:.4g} %" for each in classes]
        amps = ", ".join(f"{condition.amps * 100:g}" for condition in group)
        lines.append(f"| {amps} | {_rest(group[0])} | " + " | ".join(cells) + " |")
    return [*lines, "", _provenance(spec.provenance), ""]


def tests_markdown() -> str:
    """Return the tests: those of one standard alone, then those of both."""
    common = [spec for spec in IEC.tests if spec in ANSI.tests]
    lines = []
    for standard in (IEC, ANSI):
        lines += [f"## {standard.name}", ""]
        for spec in standard.tests:
            lines += _test(spec, standard.classes) if spec not in common else []
    lines += ["## In both plans", ""]
    for spec in common:
        lines += _test(spec, tuple(CLASSES))
    return "\n".join(lines)


def waveforms_markdown() -> str:
    """Return the waveforms."""
    lines = ["| name | waveform | provenance |", "| --- | --- | --- |"]
    for name, waveform in WAVEFORMS.items():
        lines.append(f"| `{name}` | {waveform.title}. {waveform.text} | {_provenance(waveform.provenance)} |")
    return "\n".join([*lines, ""])


def describe() -> str:
    """Return all of it."""
    return f"{tests_markdown()}\n## Waveforms\n\n{waveforms_markdown()}"


if __name__ == "__main__":
    print(describe())

"""What a person reads after a run."""

from __future__ import annotations

import math

from blondel.host.words import count, duration, quantity
from blondel.sim.measure import ElementFigures, Figures

__all__ = ["energy", "energy_unit", "report"]

#: Significant digits of the largest energy: 0.1 ppm shows.
DIGITS = 8

_UNITS = (("Wh", 1.0), ("kWh", 1e3), ("MWh", 1e6), ("GWh", 1e9))


def energy_unit(largest_wh: float) -> tuple[str, float]:
    """Return the unit, and its Wh, in which an energy has at most five digits before the point."""
    return next((unit for unit in _UNITS if largest_wh < 1e5 * unit[1]), _UNITS[-1])


def energy(wh: float) -> str:
    """Write a constant in the unit that keeps it short: 1000 Wh, 100 kWh."""
    name, unit = next((unit for unit in _UNITS if wh < 1e4 * unit[1]), _UNITS[-1])
    return f"{wh / unit:g} {name}"


def _rows(figures: Figures) -> list[tuple[str, ElementFigures]]:
    elements = [(f"element {n}", each) for n, each in enumerate(figures.elements, start=1)]
    if not figures.meters:
        return [*elements, ("total", figures.total)]
    rows = []
    for n, meter in enumerate(figures.meters, start=1):
        rows += [(f"meter {n}", meter.total)]
        if len(meter.elements) > 1:
            rows += [(f"  {elements[element][0]}", elements[element][1]) for element in meter.elements]
    return [*rows, ("all meters", figures.total)]


def _outputs(figures: Figures) -> list[str]:
    """Return the pulses and counts of each of several meters."""
    table = [("", "Output 10", "Output 100", "Output 1000", "counter", "")]
    for n, meter in enumerate(figures.meters, start=1):
        cells = map(str, (*meter.pulses.values(), meter.counts))
        table.append((f"meter {n}", *cells, "queued" if meter.queued else ""))
    return _aligned(table)


def _aligned(table: list[tuple[str, ...]]) -> list[str]:
    """Return a table's lines, the first column to the left, the others to the right."""
    widths = [max(len(row[n]) for row in table) for n in range(len(table[0]))]
    rows = ("   ".join(f"{cell:{'>' if n else '<'}{widths[n]}}" for n, cell in enumerate(row)) for row in table)
    return [row.rstrip() for row in rows]


def _energies(figures: Figures) -> list[str]:
    rows = _rows(figures)
    largest = max(abs(v) for _, each in rows for v in (each.delivered_wh, each.received_wh, each.true_wh))
    name, unit = energy_unit(largest)
    before = math.floor(math.log10(largest / unit)) if largest else 0
    decimals = min(max(DIGITS - 1 - before, 0), 9)
    table = [("", f"delivered {name}", f"received {name}", f"true net {name}", "error ppm")]
    for label, each in rows:
        # Rounded, then + 0.0: no -0.00.
        cells = (round(v / unit, decimals) + 0.0 for v in (each.delivered_wh, each.received_wh, each.true_wh))
        error = "–" if each.error_ppm is None else f"{round(each.error_ppm, 2) + 0.0:+.2f}"
        table.append((label, *(f"{cell:.{decimals}f}" for cell in cells), error))
    return _aligned(table)


def _flags(figures: Figures) -> str:
    """Name the indicators that were raised."""
    raised = []
    for name, value in figures.flags.items():
        if isinstance(value, list):
            elements = [str(n) for n, flag in enumerate(value, start=1) if flag]
            if elements:
                where = "" if len(value) == 1 else f" (element {', '.join(elements)})"
                raised.append(name.replace("_", "-") + where)
        elif value:
            raised.append(name if value is True else f"{value} {name.replace('_', ' ')}")
    return ", ".join(raised) or "none"


def report(figures: Figures) -> str:
    """Return the figures of a run as text."""
    config = figures.config
    volts = f"{config.line.v_min:.10g}–{config.line.v_max:.10g} V {config.line.hertz} Hz"
    pulses = "   ".join(
        f"Output {name}: {done} × {energy(config.pulse_wh * name // 10)}" for name, done in figures.pulses.items()
    )
    if figures.bit_exact:
        engines = f"golden model and RTL agree bit for bit in {count(figures.checked_frames, 'frame')}"
    elif figures.checked_frames:
        engines = f"golden model; the RTL agrees bit for bit in {count(figures.checked_frames, 'frame')} of it"
    else:
        engines = f"{figures.engine} engine alone"
    # Three digits, and no exponent.
    speed = f"{float(f'{figures.real_time_factor:.3g}'):g}"
    meters = f" in {len(figures.meters)} meters ({config.meters_text})" if figures.meters else ""
    lines = [
        f"{config.model or 'Custom meter'}: {count(config.elements, 'element')}{meters}, "
        f"{quantity(config.class_amps, 'A')}, {volts}, {config.sample_rate_hz:g} samples/s, {config.sample_bits} bits",
        f"{duration(figures.seconds)} ({count(figures.frames, 'frame')}), after {figures.settle_s:g} s of settling",
        "",
        *_energies(figures),
        "",
        *([*_outputs(figures), ""] if figures.meters else []),
        f"pulses   {pulses}",
        f"counter  {figures.counts} × {energy(config.counter_wh)}",
        f"flags    {_flags(figures)}",
        f"engines  {engines}, {speed} × real time",
    ]
    return "\n".join(lines) + "\n"

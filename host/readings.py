"""Readings files: what a calibration bench's software writes, one line for each step."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from blondel.hdl.config import MeterConfig
from blondel.host.files import write_whole
from blondel.sim.bench import Reading, Step
from blondel.sim.source.loads import power_factor

__all__ = ["ReadingsError", "read_readings", "template", "write_readings"]

#: What stands for an element where all current circuits are open.
NONE = "none"

#: The columns that every meter has, with what they are for the template.
COLUMNS = {
    "model": "the meter's model number",
    "line_hz": "the meter's line, 60 or 50",
    "element": f"the element that is loaded, 1 or 2; {NONE} where all current circuits are open",
    "volts": "true voltage, V rms",
    "amps": "true current, A rms",
    "power_factor": "true power factor: 1, 0.5lag",
    "hertz": "true frequency",
    "seconds": "true duration of the step",
    "true_wh": "true energy of the loaded element in the step, Wh",
    "frames": "frames that the meter took in the step: block FRAMES, accumulator",
    "lost": "frames that it lost in the step: block FRAMES, count",
    "test_pulses": "pulses of the test output in the step",
}
#: The columns of each element, whose number, 1 or 2, follows.
ELEMENT_COLUMNS = {
    "net_wh_": "its energy in the step, Wh, received energy negative: block ENERGY, its four records",
    "voltage_": "1 where the voltage indicator is on at the step's end, else 0: block STATUS, bit 0",
    "overrange_": "1 where overrange is on at the step's end, else 0: block STATUS, bit 2",
    "v_offset_lsb_": "the voltage's offset at the step's end, LSB: block OFFSET, accumulator / -{window}",
    "i_offset_lsb_": "the current's, likewise",
    "i_gain_word_": "the current's gain word: block GAIN, accumulator",
    "i_phase_word_": "the current's phase word: block PHASE, accumulator",
}


class ReadingsError(ValueError):
    """A readings file cannot be read, or is not this meter's; the message is one line."""


def read_readings(path: Path, config: MeterConfig) -> list[Reading]:
    """Read a file of one meter's readings.

    Lines that are empty or begin with ``#`` count for nothing, and so do columns of other names.

    Raises
    ------
    ReadingsError
        There is none, a column is missing, a value is missing or impossible, or it is of another model.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ReadingsError(f"cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ReadingsError("is not text in UTF-8") from None
    lines = [(n, line) for n, line in enumerate(text.splitlines(), 1) if line.strip() and not line.startswith("#")]
    if not lines:
        raise ReadingsError("is empty; 'blondel calibrate MODEL --template' prints one to fill in")
    try:
        rows = [(n, next(csv.reader([line], strict=True))) for n, line in lines]
    except csv.Error as error:
        raise ReadingsError(f"is not CSV: {error}") from None
    names = [name.strip() for name in rows[0][1]]
    for name in _columns(config):
        if names.count(name) != 1:
            what = "is missing" if name not in names else "is there twice"
            raise ReadingsError(f"line {rows[0][0]}: column {name} {what}")
    readings = []
    for number, cells in rows[1:]:
        try:
            if len(cells) != len(names):
                raise ReadingsError(f"{len(cells)} values; allowed: as many as columns, {len(names)}")
            readings.append(_reading(dict(zip(names, (cell.strip() for cell in cells), strict=True)), config))
        except ReadingsError as error:
            raise ReadingsError(f"line {number}: {error}") from None
    return readings


def write_readings(path: Path, config: MeterConfig, readings: Iterable[Reading]) -> None:
    """Write a file that :func:`read_readings` reads back as it is.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    text = _table(config, [_cells(config, reading) for reading in readings])
    write_whole(path, lambda file: file.write(text.encode()))


def template(config: MeterConfig, steps: Sequence[Step]) -> str:
    """Return a file to fill in: every column explained, every step begun."""
    window = config.window_frames
    notes = [f"# {name:<19}{what}" for name, what in COLUMNS.items()]
    notes += [f"# {name + '1, …':<19}{what.format(window=window)}" for name, what in ELEMENT_COLUMNS.items()]
    rows = []
    for step in steps:
        element = next((e for e, amps in enumerate(step.amps) if amps), None)
        stated = {
            "volts": f"{step.volts[0]:g}", "amps": f"{max(step.amps):g}", "power_factor": step.power_factor,
            "hertz": f"{step.hertz:g}",
        }  # fmt: skip
        rows.append(_meter(config, element) | stated)
    return "\n".join(notes) + "\n" + _table(config, rows)


def _columns(config: MeterConfig) -> list[str]:
    return [*COLUMNS, *(f"{name}{e + 1}" for e in range(config.elements) for name in ELEMENT_COLUMNS)]


def _table(config: MeterConfig, rows: Iterable[dict[str, str]]) -> str:
    out = io.StringIO()
    table = csv.DictWriter(out, _columns(config), restval="", lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return out.getvalue()


def _meter(config: MeterConfig, element: int | None) -> dict[str, str]:
    return {
        "model": str(config.model), "line_hz": str(config.line.hertz),
        "element": NONE if element is None else str(element + 1),
    }  # fmt: skip


def _cells(config: MeterConfig, reading: Reading) -> dict[str, str]:
    cells = _meter(config, reading.element) | {
        name: str(getattr(reading, name)) for name in COLUMNS if name not in ("model", "line_hz", "element")
    }
    for e in range(config.elements):
        values = (
            reading.net_wh[e], int(reading.voltage[e]), int(reading.overrange[e]),
            *reading.offsets[2 * e : 2 * e + 2], *reading.current_words[e],
        )  # fmt: skip
        cells |= {f"{name}{e + 1}": str(value) for name, value in zip(ELEMENT_COLUMNS, values, strict=True)}
    return cells


def _reading(cells: dict[str, str], config: MeterConfig) -> Reading:
    own = str(config.model), str(config.line.hertz)
    if (cells["model"].upper(), cells["line_hz"]) != own:
        whose = f"{cells['model'] or 'no model'} at {cells['line_hz'] or '?'} Hz"
        raise ReadingsError(f"is of {whose}; the meter is {own[0]} at {own[1]} Hz")
    elements = range(config.elements)

    def value(name: str, parse: Callable[[str], object], allowed: str) -> object:
        try:
            return parse(cells[name])
        except ValueError:
            raise ReadingsError(f"{name} is {cells[name] or 'empty'}; allowed: {allowed}") from None

    def number(name: str, least: float = -math.inf, allowed: str = "a number") -> float:
        return value(name, lambda text: _finite(text, least), allowed)

    def whole(name: str) -> int:
        return value(name, lambda text: _counted(int(text)), "a whole number, 0 or more")

    def word(name: str) -> int:
        return value(name, int, "a whole number")

    def flags(name: str) -> tuple[bool, ...]:
        return tuple(value(f"{name}_{e + 1}", ("0", "1").index, "0 or 1") == 1 for e in elements)

    names = [NONE, *(str(e + 1) for e in elements)]
    element = value("element", names.index, ", ".join(names))
    power_factor_text = cells["power_factor"]
    value("power_factor", power_factor, "-1 to 1 with lag or lead, such as 1 or 0.5lag")
    positive = {"least": 0.0, "allowed": "a number above 0"}
    return Reading(
        element=element - 1 if element else None,
        volts=number("volts", **positive),
        amps=number("amps", **positive) if element else 0.0,
        power_factor=power_factor_text,
        hertz=number("hertz", **positive),
        seconds=number("seconds", **positive),
        true_wh=number("true_wh", **positive) if element else 0.0,
        frames=whole("frames"),
        lost=whole("lost"),
        net_wh=tuple(number(f"net_wh_{e + 1}") for e in elements),
        test_pulses=whole("test_pulses"),
        voltage=flags("voltage"),
        overrange=flags("overrange"),
        offsets=tuple(number(f"{kind}_offset_lsb_{e + 1}") for e in elements for kind in "vi"),
        current_words=tuple((word(f"i_gain_word_{e + 1}"), word(f"i_phase_word_{e + 1}")) for e in elements),
    )


def _finite(text: str, least: float) -> float:
    value = float(text)
    if not (math.isfinite(value) and value > least):
        raise ValueError
    return value


def _counted(value: int) -> int:
    if not 0 <= value < 1 << 48:
        raise ValueError
    return value

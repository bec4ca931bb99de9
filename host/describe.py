"""The data sheet of a model: ratings, terminals, constants, and the scales derived from its configuration."""

from __future__ import annotations

import math
import textwrap

from blondel.hdl.config import INDICATOR_BITS, REGISTER_LIFE_HOURS, MeterConfig
from blondel.hdl.model_number import ModelNumber
from blondel.host.texts import DECIMAL_MARK, TEXTS

__all__ = ["RATED_MAX", "describe", "indicated_amps"]

#: Starting load as a part of class amps (data sheet).
STARTING_LOAD = 5e-4
#: Rated current may be exceeded by this factor (data sheet).
RATED_MAX = 1.1
#: Columns of the printed sheet.
WIDTH = 110

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_PREFIXES = {-12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M"}


class _Sheet:
    """Writes numbers and texts in one language."""

    def __init__(self, lang: str):
        self._texts = TEXTS[lang]
        self._mark = DECIMAL_MARK[lang]

    def text(self, key: str, **values: object) -> str:
        """Return a text with its values; numbers get the language's marks."""
        shown = {name: value if isinstance(value, str) else self.number(value) for name, value in values.items()}
        return self._texts[key].format(**shown)

    def number(self, value: float, digits: int = 4) -> str:
        """Write a number with a few significant digits."""
        value = float(value)
        if value and not 1e-4 <= abs(value) < 1e9:
            power = math.floor(math.log10(abs(value)))
            mantissa = self.number(value / 10.0**power, digits)
            return f"{mantissa} × 10{str(power).translate(_SUPERSCRIPT)}"
        decimals = max(0, digits - 1 - math.floor(math.log10(abs(value)))) if value else 0
        text = f"{value:,.{decimals}f}"
        if "." in text:
            text = text.rstrip("0").rstrip(".")
        if self._mark == ",":
            text = text.replace(",", "\u202f").replace(".", ",")
        return text

    def quantity(self, value: float, unit: str) -> str:
        """Write a quantity with an SI prefix."""
        power = 3 * math.floor(math.log10(value) / 3)
        power = min(max(power, min(_PREFIXES)), max(_PREFIXES))
        return f"{self.number(value / 10.0**power)} {_PREFIXES[power]}{unit}"


def _terminals(model: ModelNumber, config: MeterConfig, sheet: _Sheet) -> list[tuple[str, str, str]]:
    """Return marking, wire colour and connection of each terminal, in the data sheet's order."""
    dual = model.elements == 2
    wh = config.pulse_wh
    rows = [
        ("L1", "black", sheet.text("l1")),
        ("N", "white", sheet.text("neutral")),
        *([("L2", "red", sheet.text("l2"))] if dual else []),
        ("CT1 X1", "black", sheet.text("ct1_x1")),
        ("CT1 X2", "white", sheet.text("ct1_x2")),
        *([("CT2 X1", "red", sheet.text("ct2_x1")), ("CT2 X2", "white", sheet.text("ct2_x2"))] if dual else []),
        ("Output 10", "uncoloured", sheet.text("output_10", wh=wh)),
        ("Output 100", "uncoloured", sheet.text("output_100", wh=10 * wh)),
        ("Output 1000 (Kh)", "uncoloured", sheet.text("output_1000", wh=100 * wh)),
        ("Output Isol Com", "uncoloured", sheet.text("output_com")),
        ("Counter 1", "uncoloured", sheet.text("counter_1")),
        ("Counter 2", "uncoloured", sheet.text("counter_2")),
        ("+12VDC", "uncoloured", sheet.text("supply_12v")),
    ]
    return [(marking, sheet.text(colour), connection) for marking, colour, connection in rows]


def _ratings(model: ModelNumber, config: MeterConfig, sheet: _Sheet) -> list[tuple[str, str]]:
    line, amps = config.line, config.class_amps
    return [
        (sheet.text("elements"), sheet.text(f"elements_{model.elements}")),
        (sheet.text("line"), sheet.text("line_value", hertz=line.hertz, v_min=line.v_min, v_max=line.v_max)),
        (
            sheet.text("current"),
            sheet.text(
                "current_value", amps=amps, amps_max=RATED_MAX * amps, kind=sheet.text(f"kind_{model.ct_kind}")
            ),
        ),
        (sheet.text("burden"), sheet.text("burden_value")),
        (sheet.text("power_factor"), sheet.text("power_factor_value")),
        (sheet.text("accuracy"), sheet.text("accuracy_value")),
        (sheet.text("starting_load"), sheet.text("starting_load_value", amps=STARTING_LOAD * amps)),
        (sheet.text("no_load"), sheet.text("no_load_value")),
        (sheet.text("temperature"), sheet.text("temperature_value")),
        (sheet.text("ct_leads"), sheet.text("ct_leads_value")),
    ]


def _pulse_outputs(config: MeterConfig, sheet: _Sheet) -> list[tuple[str, str]]:
    wh, volts = config.pulse_wh, config.line.v_nominal
    watts = config.elements * config.class_amps * volts
    fastest = wh * 3600 / (2 * config.pulse_min_s)
    return [
        *(
            (f"Output {10 * factor}", sheet.text("pulse_value", wh=wh * factor, half=wh * factor / 2))
            for factor in (1, 10, 100)
        ),
        (sheet.text("reports"), sheet.text("reports_value")),
        (sheet.text("pulse_rating"), sheet.text("pulse_rating_value")),
        (
            sheet.text("pulse_shortest"),
            sheet.text("pulse_shortest_value", ms=1000 * config.pulse_min_s, kw=fastest / 1000),
        ),
        (
            sheet.text("full_load"),
            sheet.text(
                "full_load_value", kw=watts / 1000, amps=config.class_amps, volts=volts, seconds=wh * 3600 / watts
            ),
        ),
    ]


def _counter(config: MeterConfig, sheet: _Sheet) -> list[tuple[str, str]]:
    return [
        (sheet.text("count"), sheet.text("count_value", kwh=config.counter_wh / 1000, wh=config.counter_wh)),
        (
            sheet.text("counter_drive"),
            sheet.text("counter_drive_value", on=1000 * config.counter_on_s, gap=1000 * config.counter_gap_s),
        ),
    ]


def indicated_amps(config: MeterConfig) -> float:
    """Return the current, in A rms, above which every window shows overrange."""
    return _rms(config, config.current_high, config.i_full_scale)


def _rms(config: MeterConfig, square_sum: int, full_scale: float) -> float:
    """Return the rms value that an indicator's sum of squares stands for."""
    return math.sqrt(square_sum / config.window_frames) / (1 << (INDICATOR_BITS - 2)) * full_scale


def _scales(config: MeterConfig, sheet: _Sheet) -> list[tuple[str, str]]:
    counts = 1 << config.register_bits
    watts = config.elements * config.v_full_scale * config.i_full_scale / 2
    years = counts * float(config.quantum_wh) / watts / (REGISTER_LIFE_HOURS / 20)
    low, high = (_rms(config, each, config.v_full_scale) for each in (config.voltage_low, config.voltage_high))
    rows = (
        ("voltage_scale", {"full": config.v_full_scale, "lsb": sheet.quantity(config.v_lsb, "V")}),
        ("current_scale", {"full": config.i_full_scale, "lsb": sheet.quantity(config.i_lsb, "A")}),
        ("energy_scale", {"lsb": f"{sheet.number(config.product_wh)} Wh", "bits": config.accumulator_bits}),
        ("register_scale", {"wh": config.quantum_wh, "bits": config.register_bits, "years": math.floor(years)}),
        ("test_scale", {"wh": config.test_kh_wh}),
        ("no_load_scale", {"watts": config.no_load_watts, "percent": 100 * config.no_load_fraction}),
        ("hysteresis_scale", {"wh": config.hysteresis_wh}),
        ("voltage_indicator", {"low": low, "high": high}),
        ("current_indicator", {"high": indicated_amps(config)}),
        ("window_scale", {"seconds": config.window_s, "frames": config.window_frames}),
        ("settle_scale", {"seconds": config.settle_s}),
    )
    return [(sheet.text(key), sheet.text(f"{key}_value", **values)) for key, values in rows]


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    """Align all columns but the last, which is wrapped."""
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]) - 1)]
    lines = []
    for row in rows:
        lead = "  " + "".join(f"{cell:<{width}}  " for cell, width in zip(row, widths, strict=False))
        lines += textwrap.wrap(row[-1], WIDTH, initial_indent=lead, subsequent_indent=" " * len(lead))
    return lines


def describe(config: MeterConfig, lang: str = "en") -> str:
    """Return a model's data sheet as text.

    Parameters
    ----------
    config : MeterConfig
        Made by :meth:`MeterConfig.for_model`.
    lang : str
        ``en``, ``fr`` or ``es``.
    """
    sheet = _Sheet(lang)
    model = ModelNumber.parse(config.model)
    headings = tuple(sheet.text(f"{name}_heading") for name in ("terminal", "colour", "connection"))
    rate = {"sample_rate": config.sample_rate_hz, "sample_bits": config.sample_bits}
    title = sheet.text("title", model=str(model))
    sections = (
        (sheet.text("ratings"), _ratings(model, config, sheet)),
        (sheet.text("terminals"), [headings, *_terminals(model, config, sheet)]),
        (sheet.text("pulse_outputs"), _pulse_outputs(config, sheet)),
        (sheet.text("counter"), _counter(config, sheet)),
        (sheet.text("scales", **rate), _scales(config, sheet)),
    )
    lines = [title, "=" * len(title)]
    for heading, rows in sections:
        lines += ["", heading, "-" * len(heading), *_table(rows)]
    return "\n".join(lines) + "\n"

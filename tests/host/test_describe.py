"""Data sheets: what the original sheet states, in three languages that say the same."""

from __future__ import annotations

import math
import re
import string

import pytest

from blondel.hdl.config import INDICATOR_BITS, LINES, MeterConfig
from blondel.hdl.model_number import ModelNumber
from blondel.host.describe import WIDTH, describe
from blondel.host.texts import DECIMAL_MARK, TEXTS


def sheet(model: str, line_hz: int = 60, lang: str = "en") -> str:
    return describe(MeterConfig.for_model(model, line_hz), lang)


def section(text: str, heading: str) -> list[str]:
    lines = text.splitlines()
    start = lines.index(heading) + 2
    end = next((n for n in range(start, len(lines)) if not lines[n]), len(lines))
    return [line.strip() for line in lines[start:end]]


def fields(text: str) -> list[str]:
    return sorted(name for _, name, _, _ in string.Formatter().parse(text) if name is not None)


@pytest.mark.parametrize("lang", TEXTS)
def test_every_language_has_the_same_texts(lang):
    assert list(TEXTS[lang]) == list(TEXTS["en"])
    assert set(DECIMAL_MARK) == set(TEXTS)
    for key, text in TEXTS[lang].items():
        assert text.strip() == text
        assert text, key
        assert fields(text) == fields(TEXTS["en"][key]), key


@pytest.mark.parametrize("lang", ["fr", "es"])
def test_the_texts_are_translated(lang):
    same = {key for key, text in TEXTS[lang].items() if text == TEXTS["en"][key] and any(map(str.isalpha, text))}
    # Words that the languages share, and what is a formula.
    assert same <= {"terminal_heading", "temperature_value", "test_scale_value", "window_scale_value"}, same


def test_french_terms():
    lines = [line.split("  ") for line in sheet("MSNCT-1SC", lang="fr").splitlines()]
    rows = {row[1]: row[-1].strip() for row in lines if len(row) > 2}
    assert rows["Caractéristiques"] == "isolées, commun négatif ; absorbent 50 mA, 40 V"
    assert rows["Éléments de mesure"] == "1 (un élément)"


@pytest.mark.parametrize("lang", TEXTS)
@pytest.mark.parametrize("line_hz", LINES)
@pytest.mark.parametrize("model", [str(model) for model in ModelNumber.all()])
def test_every_model_has_a_sheet_in_every_language(model, line_hz, lang):
    text = sheet(model, line_hz, lang)
    assert model in text.splitlines()[0]
    assert max(map(len, text.splitlines())) <= WIDTH
    assert not set("{}") & set(text)
    assert "\t" not in text


def test_terminals_and_wire_colours_of_a_dual_element_meter():
    rows = [line.split("  ") for line in section(sheet("MDNCT-2SC"), "Terminals")]
    found = [tuple(cell.strip() for cell in row if cell)[:2] for row in rows[1:]]
    assert found == [
        ("L1", "black"), ("N", "white"), ("L2", "red"),
        ("CT1 X1", "black"), ("CT1 X2", "white"), ("CT2 X1", "red"), ("CT2 X2", "white"),
        ("Output 10", "—"), ("Output 100", "—"), ("Output 1000 (Kh)", "—"), ("Output Isol Com", "—"),
        ("Counter 1", "—"), ("Counter 2", "—"), ("+12VDC", "—"),
    ]  # fmt: skip


@pytest.mark.parametrize(("lang", "heading", "white"), [("en", "Terminals", "white"), ("fr", "Bornes", "blanc"),
                                                       ("es", "Terminales", "blanco")])  # fmt: skip
def test_a_single_element_meter_has_no_second_line(lang, heading, white):
    rows = section(sheet("MSTCT-1SP", 50, lang), heading)
    assert len(rows) == 12
    assert not any(row.startswith(("L2", "CT2")) for row in rows)
    assert sum(white in row.split() for row in rows) == 2


def test_the_sheet_states_the_pulse_and_counter_constants():
    text = sheet("MDNCT-2SC")
    outputs = section(text, "Pulse outputs")
    for name, half in ((10, 5), (100, 50), (1000, 500)):
        assert f"Output {name:<6} Kh {name:,} Wh per pulse: {half} Wh on, {half} Wh off" in outputs
    assert any("sinks 50 mA, 40 V" in row for row in outputs)
    slow = section(describe(MeterConfig.for_model("MDNCT-2SC", pulse_min_s=0.05)), "Pulse outputs")
    assert "Shortest      50 ms on, 50 ms off; up to 360 kW without queueing, none lost beyond" in slow
    assert "Count  0.1 kWh (100 Wh) per count" in section(text, "Counter")
    assert "Count  1 kWh (1,000 Wh) per count" in section(sheet("MDTCT-2SC"), "Counter")


@pytest.mark.parametrize(("model", "line_hz", "stated"), [
    ("MDNCT-2SC", 60, ["60 Hz, 108–132 V", "CT 200 A : 0.1 A, solid-core", "(220 A, secondary 110 mA", "amps: 0.1 A"]),
    ("MSTCT-1SP", 50, ["50 Hz, 216–264 V", "CT 100 A : 0.1 A, split-core", "(110 A, secondary 110 mA", "amps: 0.05 A"]),
    ("MSNCT-1NC", 60, ["not supplied", "3 Ω", "0.5 lagging – 1.0 – 0.866 leading", "class 0.5", "−30…70 °C", "500 ft"]),
])  # fmt: skip
def test_the_sheet_states_the_ratings(model, line_hz, stated):
    text = "\n".join(section(sheet(model, line_hz), "Ratings"))
    for part in stated:
        assert part in text


def test_the_scales_are_the_configuration_s():
    config = MeterConfig.for_model("MDNCT-1SC", 50, sample_rate_hz=4000.0, sample_bits=16)
    text = describe(config)
    scales = "\n".join(section(text, "Derived scales (4,000 samples/s, 16 bits)"))
    assert f"{config.v_lsb * 1e3:.2f} mV per LSB" in scales
    assert f"{config.i_lsb * 1e3:.3f} mA per LSB" in scales
    assert f"{float(config.quantum_wh):g} Wh per count, {config.register_bits} bits" in scales
    assert f"{config.settle_s:.4g} s until" in scales
    mantissa, exponent = f"{float(config.product_wh):.3e}".split("e")
    digits = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    assert f"{mantissa.rstrip('0')} × 10{digits} Wh per LSB, accumulated in {config.accumulator_bits} bits" in scales
    lit = math.sqrt(config.current_high / config.window_frames) / (1 << (INDICATOR_BITS - 2)) * config.i_full_scale
    assert f"above {lit:.4g} A" in scales
    assert f"{lit:.4g}" == "110.5"
    assert "below 213.8 V and above 266.6 V" in scales


def test_numbers_have_the_language_s_marks():
    for lang in ("fr", "es"):
        assert set(re.findall(r"\S*\d\.\d\S*", sheet("MDNCT-2SC", lang=lang))) == {"C12.20"}
    assert "TC 200 A : 0,1 A" in sheet("MDNCT-2SC", lang="fr")
    assert "Kh 1\u202f000 Wh" in sheet("MDNCT-2SC", lang="fr")
    assert "Kh 1\u202f000 Wh" in sheet("MDNCT-2SC", lang="es")
    assert "toutes les 0,75 s" in sheet("MDNCT-2SC", lang="fr")
    assert "8,192 samples" in sheet("MDNCT-2SC")

"""Model numbers: all 24, and nothing else."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blondel.hdl.model_number import ModelNumber

#: The data sheet's list, written out: elements, counter, CT rating, CT kind.
DATA_SHEET = {
    "MSNCT-1SC": (1, 100, 100, "SC"), "MSNCT-1SP": (1, 100, 100, "SP"), "MSNCT-1NC": (1, 100, 100, "NC"),
    "MSNCT-2SC": (1, 100, 200, "SC"), "MSNCT-2SP": (1, 100, 200, "SP"), "MSNCT-2NC": (1, 100, 200, "NC"),
    "MSTCT-1SC": (1, 1000, 100, "SC"), "MSTCT-1SP": (1, 1000, 100, "SP"), "MSTCT-1NC": (1, 1000, 100, "NC"),
    "MSTCT-2SC": (1, 1000, 200, "SC"), "MSTCT-2SP": (1, 1000, 200, "SP"), "MSTCT-2NC": (1, 1000, 200, "NC"),
    "MDNCT-1SC": (2, 100, 100, "SC"), "MDNCT-1SP": (2, 100, 100, "SP"), "MDNCT-1NC": (2, 100, 100, "NC"),
    "MDNCT-2SC": (2, 100, 200, "SC"), "MDNCT-2SP": (2, 100, 200, "SP"), "MDNCT-2NC": (2, 100, 200, "NC"),
    "MDTCT-1SC": (2, 1000, 100, "SC"), "MDTCT-1SP": (2, 1000, 100, "SP"), "MDTCT-1NC": (2, 1000, 100, "NC"),
    "MDTCT-2SC": (2, 1000, 200, "SC"), "MDTCT-2SP": (2, 1000, 200, "SP"), "MDTCT-2NC": (2, 1000, 200, "NC"),
}  # fmt: skip


def nearest(message: str) -> list[str]:
    return re.search(r"nearest: (.*) \('blondel models' lists all\)$", message)[1].split(", ")


def test_there_are_these_24_in_the_data_sheets_order():
    assert [str(model) for model in ModelNumber.all()] == list(DATA_SHEET)


@pytest.mark.parametrize("text", DATA_SHEET)
def test_a_model_number_is_taken_apart_and_put_together(text):
    model = ModelNumber.parse(text)
    assert (model.elements, model.counter_wh, model.ct_amps, model.ct_kind) == DATA_SHEET[text]
    assert str(model) == text
    assert ModelNumber.parse(f"  {text.lower()}\n") == model


@given(st.one_of(st.text(max_size=12), st.text("MSDNCTP-12 ", max_size=10)))
def test_every_other_text_is_refused_with_three_that_exist(text):
    if text.strip().upper() in DATA_SHEET:
        assert str(ModelNumber.parse(text)) == text.strip().upper()
        return
    with pytest.raises(ValueError, match="does not exist") as refusal:
        ModelNumber.parse(text)
    assert str(refusal.value).startswith(f"model {text!r} does not exist; ")
    named = nearest(str(refusal.value))
    assert len(set(named)) == 3
    assert set(named) <= set(DATA_SHEET)


@given(st.sampled_from(list(DATA_SHEET)), st.integers(0, 8), st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"))
def test_one_wrong_character_is_answered_with_a_model_that_differs_in_one(text, place, wrong):
    text = text[:place] + wrong + text[place + 1 :]
    if text in DATA_SHEET:
        return
    with pytest.raises(ValueError, match="does not exist") as refusal:
        ModelNumber.parse(text)
    differences = [sum(a != b for a, b in zip(text, near, strict=True)) for near in nearest(str(refusal.value))]
    assert min(differences) == 1


SLIPS = [("MDNCT2SC", "MDNCT-2SC"), ("MDNCT-2S", "MDNCT-2SC"), ("mdtct-1np", "MDTCT-1NC")]


@pytest.mark.parametrize(("text", "near"), SLIPS)
def test_a_slip_of_the_hand_is_answered_with_what_was_meant(text, near):
    with pytest.raises(ValueError, match=near):
        ModelNumber.parse(text)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ((3, 100, 100, "SC"), "elements is 3; allowed: 1, 2"),
        ((1, 10, 100, "SC"), "counter_wh is 10; allowed: 100, 1000"),
        ((1, 100, 400, "SC"), "ct_amps is 400; allowed: 100, 200"),
        ((1, 100, 100, "XX"), "ct_kind is 'XX'; allowed: SC, SP, NC"),
    ],
)
def test_a_field_that_does_not_exist_is_named(fields, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        ModelNumber(*fields)

"""Sizes: the boards are built again, and must not have grown, nor lost their timing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))
from sizes import DESIGNS, DUAL, SINGLE, Design, measure, read_table

#: Growth that is an accident of synthesis.
GROWTH = 1.03
#: Each board, each front end, each kind of multiplier; all the others take ``make sizes``.
REBUILT = [
    Design("icebreaker", DUAL, "ads131m"),
    Design("icebreaker", SINGLE, "sigma-delta"),
    Design("icebreaker", DUAL, "playback"),
    Design("upduino-v3", DUAL, "ads131m"),
    Design("hx8k-b-evn", DUAL, "ads131m"),
    Design("tinyfpga-bx", DUAL, "ads131m"),
    Design("icestick", SINGLE, "ads131m", 16, "registers indicators"),
    Design("icestick", DUAL, "ads131m", 16, "registers indicators"),
]


@pytest.mark.parametrize("design", REBUILT, ids=lambda design: f"{design.board} {design.model} {design.front_end}")
def test_a_design_has_not_grown(design):
    before, now = read_table()[design], measure(design)
    assert now.fits
    assert now.lc <= GROWTH * before.lc, f"{now.lc} logic cells, {before.lc} before: if it has to be, make sizes"
    assert now.ram <= before.ram
    assert now.dsp <= before.dsp
    assert now.fmax_mhz >= now.clock_mhz, "timing is lost"


def test_the_table_has_every_design():
    assert list(read_table()) == DESIGNS


def test_a_dual_element_meter_is_small_and_fast_enough():
    """The goal: all outputs, indicators and registers in 1,800 logic cells of a UP5K, at twice the board's clock."""
    size = read_table()[Design("icebreaker", DUAL, "ads131m")]
    assert size.lc <= 1800
    assert size.fmax_mhz >= 24


def test_the_smallest_device_holds_both_kinds_of_meter():
    for model in (SINGLE, DUAL):
        assert read_table()[Design("icestick", model, "ads131m", 16, "registers indicators")].fits

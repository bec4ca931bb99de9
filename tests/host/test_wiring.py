"""Wiring: tables and drawings have every pin, no text is drawn over, and the values do what they shall."""

from __future__ import annotations

import dataclasses
import itertools
import math
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from command import refused, run
from matplotlib.text import Text

from blondel.boards import BOARDS
from blondel.hdl.config import MeterConfig
from blondel.host import drawing, wiring

DRAWINGS = [drawing.draw_outputs, drawing.draw_converter]


def further(board):
    """Return a board with terminals that it does not have."""
    free = {"sub_meter": "pmod_2:4", "relay": "pmod_2:9"}
    return dataclasses.replace(board, terminals={**board.terminals, **free})


@pytest.fixture(params=[*BOARDS, "further terminals"])
def board(request):
    return BOARDS[request.param] if request.param in BOARDS else further(BOARDS["icebreaker"])


def places(board) -> dict[str, str]:
    """Return the FPGA's pin of each pin in use, as a board's file has it."""
    converters = [pin for converter in board.converters.values() for each in converter.values() for pin in each.split()]
    pins = [*board.terminals.values(), *converters, *(board.uart or {}).values()]
    return {pin: board.platform()._conn_pins[pin] for pin in pins}


def test_wires_are_the_board_s(board):
    wires = wiring.terminals(board)
    assert [wire.name for wire in wires] == [*board.terminals, "uart_rx", "uart_tx"]
    pins = {**board.terminals, **{f"uart_{name}": pin for name, pin in (board.uart or {}).items()}}
    for wire in wires:
        if wire.name not in pins:
            assert wire.place == "USB cable"
            continue
        pin = pins[wire.name]
        assert wire.place.split()[-1] == pin.split(":")[1]
        assert wire.fpga_pin == places(board)[pin]
        assert bool(wire.light) == (wire.name in board.lamps or wire.name in board.rgb_lamps)
    for front_end, converter in board.converters.items():
        found = [(wire.name, wire.fpga_pin) for wire in wiring.signals(board, front_end)]
        expected = [(name, places(board)[pin]) for name, pins in converter.items() for pin in pins.split()]
        assert sorted(found) == sorted(expected)


def test_the_first_board_s_wires_are_those_of_its_schematic():
    wires = {wire.title: (wire.place, wire.fpga_pin, wire.light) for wire in wiring.terminals(BOARDS["icebreaker"])}
    assert wires["Output 10"] == ("PMOD1A 1", "4", "green")
    assert wires["overrange"] == ("PMOD2 7", "26", "")
    assert (wires["UART rx"], wires["UART tx"]) == (("USB cable", "6", ""), ("USB cable", "9", ""))
    signals = {wire.title: (wire.place, wire.fpga_pin) for wire in wiring.signals(BOARDS["icebreaker"], "sigma-delta")}
    assert signals["CLKIN"] == ("PMOD1B 1", "43")
    assert [signals[f"DOUT of {name}"][1] for name in ("L1", "CT1", "L2", "CT2")] == ["38", "34", "31", "42"]


def test_the_tables_have_every_wire_and_every_part(board):
    front_ends = list(board.converters)
    parts = sum((wiring.converter_parts(board, name) for name in front_ends), wiring.output_parts(board))
    wires = sum((wiring.signals(board, name) for name in front_ends), wiring.terminals(board))
    for text in (wiring.to_text(board), wiring.to_markdown(board)):
        cells = [line.replace("|", "   ").split("   ") for line in text.splitlines()]
        rows = [[cell.strip() for cell in row if cell.strip()] for row in cells]
        for wire in wires:
            assert [each for each in (wire.title, wire.place, wire.fpga_pin, wire.light) if each] in rows
        for part in parts:
            assert any(part.name in row[0] and row[1] == part.value for row in rows if len(row) > 1)
        assert "nothing here was tried on real hardware" in text


# ---- drawings --------------------------------------------------------------------------------------


def boxes(figure):
    """Return the texts of a drawing, and the rectangles that they take."""
    renderer = figure.canvas.get_renderer()
    texts = [text for text in figure.findobj(Text) if text.get_text().strip() and text.get_visible()]
    texts = [text for text in texts if text.axes is None or text in text.axes.texts]
    return [(text.get_text(), text.get_window_extent(renderer)) for text in texts]


@pytest.mark.parametrize("draw", DRAWINGS)
def test_no_text_is_over_another_or_outside(board, draw):
    figure = draw(board)
    found = boxes(figure)
    assert len(found) > 20
    for text, box in found:
        assert box.x0 >= 0, text
        assert box.y0 >= 0, text
        assert box.x1 <= figure.bbox.x1, text
        assert box.y1 <= figure.bbox.y1, text
    for (text, box), (other, its) in itertools.combinations(found, 2):
        assert not box.overlaps(its), (text, other)


@pytest.mark.parametrize("draw", DRAWINGS)
def test_no_line_runs_through_a_text(board, draw):
    figure = draw(board)
    (axes,) = figure.axes
    found = boxes(figure)
    for line in axes.lines:
        points = line.get_transform().transform(line.get_xydata())
        steps = np.concatenate([np.linspace(*ends, 200) for ends in itertools.pairwise(points)] or [points])
        for text, box in found:
            inside = (steps > (box.x0, box.y0)) & (steps < (box.x1, box.y1))
            assert not inside.all(axis=1).any(), text


def test_the_drawings_have_every_wire(board):
    outputs = [text for text, _ in boxes(drawing.draw_outputs(board))]
    for wire in wiring.terminals(board):
        assert f"{wire.place} ({wire.fpga_pin})" in outputs
        assert wire.name == "counter" or wire.title in outputs
    assert {"Output Isol Com", "+12VDC", "Counter 1", "Counter 2"} <= set(outputs)
    converter = [text for text, _ in boxes(drawing.draw_converter(board))]
    for wire in wiring.signals(board, "ads131m"):
        assert {f"{wire.place} ({wire.fpga_pin})", wire.title} <= set(converter)


@pytest.mark.parametrize("draw", DRAWINGS)
def test_the_same_drawing_is_the_same_file(draw):
    first, second = (drawing.to_svg(draw(BOARDS["icestick"])) for _ in range(2))
    assert first == second
    ElementTree.fromstring(first)


# ---- values ----------------------------------------------------------------------------------------


def test_dividers_and_burdens_give_the_full_scales():
    config = MeterConfig.for_model("MSNCT-1SC", 50)
    # ±1.2 V, ±0.6 V; the modulators' ±0.32 V, specified up to ±0.25 V.
    for divider, full_scale, volts in (
        (wiring.ADC_DIVIDER, 1.2, config.v_full_scale),
        (wiring.MODULATOR_DIVIDER, 0.32, 640),
    ):
        across = 1 / (1 / divider.lower_ohm + 1 / divider.input_ohm)
        gain = volts / (full_scale * (3 * 330e3 + across) / across)
        assert gain == pytest.approx(1, abs=0.02)
        assert divider.ratio() * full_scale * gain == pytest.approx(volts)
        # 115 % of the highest line fits, and what comes of a resistor that is short breaks nothing.
        assert 1.15 * 264 * math.sqrt(2) / divider.ratio() < full_scale
        assert 264 * math.sqrt(2) / divider.ratio(2) < 3.3
    assert config.i_full_scale / config.class_amps * 0.1 * wiring.BURDEN_OHM == pytest.approx(0.6)
    assert 1.1 * 0.1 * math.sqrt(2) * wiring.MODULATOR_BURDEN_OHM < 0.25


def test_the_couplers_get_their_current_and_the_pins_stand_it():
    least, most = ((3.3 - loss - wiring.COUPLER_LED_V) / wiring.COUPLER_SERIES_OHM for loss in (0.4, 0))
    assert 5e-3 <= least < most <= 8e-3


def test_values_say_what_they_are():
    why = {part.name: (part.value, part.why) for part in wiring.converter_parts(BOARDS["tinyfpga-bx"], "ads131m")}
    assert why["CLKIN"][0] == "8.192 MHz"
    assert "a ratio of 416.5, so that full scale is 499.8 V peak" in why["divider of each line"][1]
    assert "SCLK is 8 MHz" in why["digital isolator"][1]
    assert why["digital isolator"][0] == "21 ns or faster"
    slower = {part.name: part.value for part in wiring.converter_parts(BOARDS["icestick"], "ads131m")}
    assert slower["digital isolator"] == "32 ns or faster"


# ---- the command -----------------------------------------------------------------------------------


def test_boards_prints_a_board_s_wiring(capsys):
    status, out, err = run(capsys, "boards", "tinyfpga-bx")
    assert (status, err) == (0, "")
    assert out == wiring.to_text(BOARDS["tinyfpga-bx"])
    assert "there is no board 'tinyfpga'; there are: icebreaker, " in refused(capsys, "boards", "tinyfpga")

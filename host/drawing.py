"""Drawings of a board's wiring: its outputs, and its converter."""

from __future__ import annotations

import io

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle

from blondel.boards.board import Board
from blondel.host import wiring
from blondel.host.wiring import Wire

__all__ = ["draw_converter", "draw_outputs", "to_svg"]

_INK, _GREY, _BOARD, _PART, _LIVE = "#1a202c", "#718096", "#e6f0fa", "#ffffff", "#c53030"
#: Units of the drawing in an inch.
_UNITS = 10.0
_WIDTH = 100.0


class _Sheet:
    """A drawing's plane, in tenths of an inch; y grows downwards."""

    def __init__(self, height: float):
        self.figure = Figure(figsize=(_WIDTH / _UNITS, height / _UNITS), facecolor="white")
        FigureCanvasAgg(self.figure)
        self.axes: Axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set(xlim=(0, _WIDTH), ylim=(height, 0))
        self.axes.axis("off")

    def text(self, x: float, y: float, text: str, ha: str = "left", va: str = "center", **style: object) -> None:
        self.axes.text(x, y, text, ha=ha, va=va, **({"fontsize": 8.5, "color": _INK} | style))

    def line(self, *points: tuple[float, float], **style: object) -> None:
        xs, ys = zip(*points, strict=True)
        self.axes.plot(xs, ys, **({"color": _INK, "linewidth": 1.0, "solid_capstyle": "round"} | style))

    def box(self, x: float, y: float, width: float, height: float, face: str = _PART) -> None:
        self.axes.add_patch(Rectangle((x, y), width, height, facecolor=face, edgecolor=_INK, linewidth=1.0, zorder=2))

    def dot(self, x: float, y: float) -> None:
        self.axes.plot([x], [y], "o", color=_INK, markersize=3.2)

    def terminal(self, x: float, y: float, name: str, ha: str = "left") -> None:
        """Draw a terminal of the data sheet, its name to the left or to the right of it."""
        self.axes.plot([x], [y], "o", markersize=6, markerfacecolor="white", markeredgecolor=_INK, zorder=3)
        self.text(x + (1.4 if ha == "left" else -1.4), y, name, ha=ha, fontweight="bold")

    def resistor(self, x: float, y: float, value: str, length: float = 5.0) -> None:
        """Draw a resistor from ``x`` to the right, its value above."""
        self.box(x, y - 0.7, length, 1.4)
        self.text(x + length / 2, y - 1.8, value, ha="center")

    def upright(self, x: float, y: float, bottom: float, value: str) -> None:
        """Draw a resistor between two wires, its value to the right."""
        middle = (y + bottom) / 2
        self.line((x, y), (x, bottom))
        self.box(x - 0.7, middle - 1.6, 1.4, 3.2)
        self.text(x + 1.2, middle, value)
        self.dot(x, y)
        self.dot(x, bottom)

    def capacitor(self, x: float, y: float, bottom: float, value: str) -> None:
        """Draw a capacitor between two wires, its value to the right."""
        middle = (y + bottom) / 2
        for end, plate in ((y, middle - 0.4), (bottom, middle + 0.4)):
            self.line((x, end), (x, plate))
            self.line((x - 1.1, plate), (x + 1.1, plate), linewidth=1.6)
            self.dot(x, end)
        self.text(x + 1.6, middle, value)

    def ground(self, x: float, y: float) -> None:
        for width, depth in ((1.2, 0.0), (0.75, 0.5), (0.3, 1.0)):
            self.line((x - width, y + depth), (x + width, y + depth))

    def diode(self, x: float, y: float, towards: tuple[float, float], light: bool = False) -> None:
        """Draw a diode with its anode at a place, one to the right or upwards of that its cathode."""
        dx, dy = towards
        ends = [(x - dy, y - dx), (x + dy, y + dx)]
        tip = (x + 1.8 * dx, y + 1.8 * dy)
        self.axes.add_patch(Polygon([*ends, tip], facecolor=_PART, edgecolor=_INK, linewidth=1.0, zorder=2))
        self.line((tip[0] - dy, tip[1] - dx), (tip[0] + dy, tip[1] + dx))
        if light:
            for shift in (0.2, 1.0):
                arrow = {"arrowstyle": "->", "color": _INK, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 0}
                self.axes.annotate("", (x + shift + 1.1, y - 2.5), (x + shift + 0.2, y - 1.3), arrowprops=arrow)

    def barrier(self, x: float, top: float, bottom: float) -> None:
        """Draw where the insulation is."""
        self.line((x, top), (x, bottom), color=_LIVE, linestyle=(0, (5, 3)), linewidth=1.4, zorder=4)
        self.text(x, top - 1.2, "reinforced insulation", ha="center", color=_LIVE)

    def board(self, x: float, y: float, width: float, height: float, board: Board) -> None:
        self.box(x, y, width, height, _BOARD)
        self.text(x + width / 2, y + 2.2, board.title, ha="center", fontsize=10, fontweight="bold")
        self.text(x + width / 2, y + 4.5, board.device, ha="center", color=_GREY)


def _pin(wire: Wire) -> str:
    return f"{wire.place} ({wire.fpga_pin})"


def _own_light(wire: Wire) -> str:
    return f"and the board's light, {wire.light}" if wire.light else ""


# ---- outputs ---------------------------------------------------------------------------------------

_BOARD_RIGHT, _COUPLER, _COUPLER_WIDTH, _TERMINAL = 26.0, 44.0, 16.0, 76.0


def _coupler(sheet: _Sheet, wire: Wire, y: float) -> None:
    """Draw a pin's coupler: its LED's anode and its output's upper end are at ``y``, the others below."""
    sheet.text(_BOARD_RIGHT - 0.8, y, _pin(wire), ha="right")
    sheet.line((_BOARD_RIGHT, y), (_COUPLER, y))
    sheet.resistor(31.0, y, f"{wiring.COUPLER_SERIES_OHM} Ω")
    sheet.line((_COUPLER, y + 3), (41.5, y + 3), (41.5, y + 4))
    sheet.ground(41.5, y + 4)
    sheet.box(_COUPLER, y - 1.2, _COUPLER_WIDTH, 5.4)
    sheet.text(_COUPLER + 0.7, y, "+", fontsize=8)
    sheet.text(_COUPLER + 0.7, y + 3, "−", fontsize=8)
    sheet.text(_COUPLER + 1.9, y + 1.5, "LED", color=_GREY, fontsize=8)
    sheet.text(_COUPLER + _COUPLER_WIDTH - 0.8, y + 1.5, "MOS", ha="right", color=_GREY, fontsize=8)
    sheet.text(_COUPLER + 0.2, y - 2.3, wiring.COUPLER)


def draw_outputs(board: Board) -> Figure:
    """Draw a board's terminals and what stands between: pulse outputs, counter, lights, and all others."""
    wires = wiring.terminals(board)
    pulses = [wire for wire in wires if wire.name in wiring.PULSE_OUTPUTS]
    counters = [wire for wire in wires if wire.name == "counter"]
    lights = [wire for wire in wires if wire.name in wiring.LIGHTS]
    others = [wire for wire in wires if wire not in (*pulses, *counters, *lights)]
    top, coupler_step, light_step = 14.0, 8.5, 5.0
    couplers = top + coupler_step * len(pulses) + 12.0 * len(counters)
    bottom = couplers + light_step * (len(lights) + len(others))
    sheet = _Sheet(bottom + 3)
    sheet.board(2, 2, _BOARD_RIGHT - 2, bottom - 2, board)
    sheet.text(_BOARD_RIGHT - 0.8, 9.5, "pin (of the FPGA)", ha="right", color=_GREY)
    right = _COUPLER + _COUPLER_WIDTH

    common = 66.0
    for index, wire in enumerate(pulses):
        y = top + coupler_step * index
        _coupler(sheet, wire, y)
        sheet.line((right, y), (_TERMINAL, y))
        sheet.terminal(_TERMINAL, y, wire.title)
        sheet.text(_TERMINAL + 1.4, y + 2.0, _own_light(wire), color=_GREY)
        sheet.line((right, y + 3), (common, y + 3))
        sheet.dot(common, y + 3)
    if pulses:
        end = top + coupler_step * (len(pulses) - 1) + 5.2
        sheet.line((common, top + 3), (common, end), (_TERMINAL, end))
        sheet.terminal(_TERMINAL, end, "Output Isol Com")

    for wire in counters:
        y = top + coupler_step * len(pulses) + 2.0
        _coupler(sheet, wire, y)
        sheet.line((right, y), (_TERMINAL, y))
        sheet.terminal(_TERMINAL, y, "+12VDC")
        sheet.line((right, y + 3), (_TERMINAL, y + 3))
        sheet.terminal(_TERMINAL, y + 3, "Counter 1")
        sheet.line((common, y + 3), (common, y + 8.0), (_TERMINAL, y + 8.0))
        sheet.diode(common, y + 6.5, (0, -1))
        sheet.dot(common, y + 3)
        sheet.text(common - 1.8, y + 5.6, "1N4007", ha="right")
        sheet.terminal(_TERMINAL, y + 8.0, "Counter 2")
        sheet.text(_TERMINAL + 1.4, y + 10.0, "and 0 V of the 12 V supply", color=_GREY)
    sheet.barrier(_COUPLER + _COUPLER_WIDTH / 2, top - 4.5, couplers - 1.5)

    for index, wire in enumerate([*lights, *others]):
        y = couplers + 2.0 + light_step * index
        sheet.text(_BOARD_RIGHT - 0.8, y, _pin(wire), ha="right")
        if wire in others:
            sheet.line((_BOARD_RIGHT, y), (_COUPLER, y))
            sheet.terminal(_COUPLER, y, wire.title)
            where = "on the board's own USB cable" if wire.place == wiring.USB else "3.3 V, not isolated"
            sheet.text(right, y, where, color=_GREY)
            continue
        sheet.line((_BOARD_RIGHT, y), (42.0, y), (42.0, y + 0.8))
        sheet.resistor(31.0, y, f"{wiring.LIGHT_SERIES_OHM / 1e3:g} kΩ")
        sheet.diode(37.5, y, (1, 0), light=True)
        sheet.ground(42.0, y + 0.8)
        sheet.text(_COUPLER + 0.2, y, wire.title)
        sheet.text(right, y, _own_light(wire), color=_GREY)
    return sheet.figure


# ---- converter -------------------------------------------------------------------------------------


def draw_converter(board: Board) -> Figure:
    """Draw an ADS131M04 between a board and the mains."""
    signals = wiring.signals(board, "ads131m")
    divider = wiring.ADC_DIVIDER
    top, step = 13.0, 11.0
    adc, adc_width, isolator, isolator_width, left = 42.0, 15.0, 65.0, 9.0, 80.0
    bottom = top + step * len(wiring.INPUTS) + 1.5
    sheet = _Sheet(bottom + 11)

    sheet.box(adc, 8, adc_width, bottom - 8)
    sheet.text(adc + adc_width / 2, 10.0, "ADS131M04", ha="center", fontsize=10, fontweight="bold")
    for index, name in enumerate(wiring.INPUTS):
        y = top + step * index + 3.0
        low = y + 5.0
        for polarity, height in (("P", y), ("N", low)):
            sheet.text(adc + 0.8, height, f"AIN{index}{polarity}")
        filtered = 35.5
        if name.startswith("L"):
            ends = (name, "N")
            sheet.line((8, y), (adc, y))
            sheet.resistor(12.0, y, f"{divider.upper} × {divider.upper_ohm / 1e3:g} kΩ", 8.0)
            sheet.upright(26.0, y, low, f"{divider.lower_ohm / 1e3:g} kΩ")
            sheet.capacitor(filtered, y, low, f"{wiring.VOLTAGE_FILTER_F * 1e9:g} nF")
        else:
            ends = (f"{name} X1", "X2")
            sheet.line((8, y), (adc, y))
            sheet.upright(13.0, y, low, f"{wiring.BURDEN_OHM:g} Ω")
            sheet.resistor(24.0, y, f"{wiring.CURRENT_SERIES_OHM} Ω")
            sheet.capacitor(filtered, y, low, f"{wiring.CURRENT_FILTER_F * 1e9:g} nF")
        sheet.line((8, low), (adc, low))
        sheet.line((31.5, low), (31.5, low + 0.8))
        sheet.dot(31.5, low)
        sheet.ground(31.5, low + 0.8)
        for end, height in zip(ends, (y, low), strict=True):
            sheet.terminal(8.0, height, end, ha="right")

    apart = (bottom - top - 7.5) / (len(signals) - 1)
    sheet.box(isolator, 8, isolator_width, bottom - 8)
    sheet.board(left, 2, _WIDTH - left - 2, bottom - 2, board)
    sheet.text(left + 0.8, 9.5, "pin (of the FPGA)", color=_GREY)
    for index, wire in enumerate(signals):
        y = top + 3.0 + apart * index
        sheet.text(adc + adc_width - 0.8, y, wire.title, ha="right")
        sheet.line((adc + adc_width, y), (isolator, y))
        sheet.line((isolator + isolator_width, y), (left, y))
        sheet.text(left + 0.8, y, _pin(wire))
        # From the converter, or to it.
        into = wire.name in ("dout", "drdy")
        ends = ((isolator + 1.5, y), (isolator + isolator_width - 1.5, y))
        start, end = ends if into else ends[::-1]
        arrow = {"arrowstyle": "->", "color": _GREY, "linewidth": 1.0, "shrinkA": 0, "shrinkB": 0}
        sheet.axes.annotate("", end, start, arrowprops=arrow, zorder=3)
    sheet.barrier(isolator + isolator_width / 2, 5.5, bottom + 9.0)
    sheet.text(isolator + isolator_width + 1.0, bottom + 1.8, "digital isolator")

    clock, supply = adc + 3.5, adc + adc_width - 3.5
    for x in (clock, supply):
        sheet.line((x, bottom), (x, bottom + 3))
    sheet.text(clock, bottom - 1.3, "CLKIN", ha="center", zorder=3)
    sheet.text(supply, bottom - 1.3, "AVDD", ha="center", zorder=3)
    sheet.box(clock - 12.5, bottom + 3, 15.5, 5)
    sheet.text(clock - 4.8, bottom + 5.5, f"{wiring.adc_clock_hz() / 1e6:g} MHz, 50 ppm", ha="center", zorder=3)
    sheet.box(supply - 3.0, bottom + 3, 12.0, 5)
    sheet.text(supply + 3.0, bottom + 5.5, "isolated 3.3 V", ha="center", zorder=3)
    sheet.text(2, 3.5, "at mains potential", color=_LIVE, fontweight="bold")
    sheet.text(2, 5.8, "The ground on this side is the neutral, not the board's ground.", color=_GREY)
    sheet.text(2, bottom + 2.0, "Single-element models: L1, CT1, and an ADS131M02.", color=_GREY)
    return sheet.figure


def to_svg(figure: Figure) -> str:
    """Return a figure as SVG, the same for the same figure."""
    file = io.StringIO()
    with rc_context({"svg.hashsalt": "blondel"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()

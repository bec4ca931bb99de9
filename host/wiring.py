"""What is wired to a board: which pin is which terminal, and what has to stand between, with its values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from blondel.boards.board import Board
from blondel.boards.top import FRONT_ENDS, SIGMA_DELTA_V_PEAK
from blondel.hdl.config import LINES, MeterConfig
from blondel.hdl.frontend.ads131m import clkin_hz
from blondel.hdl.frontend.sigma_delta import AMC1306X25
from blondel.hdl.link.uart import BAUD
from blondel.sim.afe.anti_alias import (
    CURRENT_FILTER,
    CURRENT_FILTER_F,
    CURRENT_SERIES_OHM,
    VOLTAGE_FILTER,
    VOLTAGE_FILTER_F,
)
from blondel.sim.afe.burden import BURDEN_OHM, CT_SECONDARY_A
from blondel.sim.afe.converter import ADC_CURRENT_GAIN, ADC_OSR, ADC_V
from blondel.sim.afe.divider import ADC_DIVIDER, Divider

__all__ = [
    "Divider", "Part", "Wire", "adc_clock_hz", "converter_parts", "output_parts", "signals", "terminals",
    "to_markdown", "to_text",
]  # fmt: skip

#: What the data sheet, or this project, calls a terminal; any other goes by its own name.
TITLES = {
    "output_10": "Output 10", "output_100": "Output 100", "output_1000": "Output 1000", "test": "test pulse",
    "counter": "Counter 1, 2",
}  # fmt: skip
#: The data sheet's pulse outputs; and lights.
PULSE_OUTPUTS = ("output_10", "output_100", "output_1000")
LIGHTS = ("test", "queued", "voltage", "reversed", "overrange", "no_load")
#: What the converters' makers call a signal.
SIGNALS = {
    "cs": "CS", "din": "DIN", "dout": "DOUT", "sclk": "SCLK", "drdy": "DRDY", "reset": "SYNC/RESET", "clk": "CLKIN",
    "data": "DOUT",
}  # fmt: skip
#: The inputs of a dual-element meter, in the order of a frame.
INPUTS = ("L1", "CT1", "L2", "CT2")
#: The UART's wires: to the FPGA, and from it.
UART = ("rx", "tx")
#: Where the registers' UART is on a board whose USB bridge has one.
USB = "USB cable"
#: The meter whose values are shown: they are the same for all models, but for the CTs.
METER = MeterConfig.for_model("MDNCT-2SC")

#: Supply of the FPGA's pins, in V, and what a pin loses at its rated 8 mA at most.
PIN_V, PIN_LOSS_V = 3.3, 0.4
#: A coupler's LED at 5 mA, in V; its output's resistance at most, in Ω.
COUPLER_LED_V, COUPLER_OHM = 1.14, 2.5
COUPLER = "AQY212EH"
#: Series resistor of a coupler's LED, and of a light, in Ω; a light's own voltage.
COUPLER_SERIES_OHM, LIGHT_SERIES_OHM, LIGHT_V = 330, 1000, 1.8
#: Current that a counter's coil may take, in A: an assumption, its data sheet says it.
COUNTER_A = 0.1
#: Delay of the ADS131M's DOUT, in s.
ADC_DELAY_S = 20e-9
#: The fastest SCLK that the front end makes.
SCLK_HZ_MAX = 8e6
#: Resistance of a modulator's input, in Ω; burden for its range.
MODULATOR_INPUT_OHM, MODULATOR_BURDEN_OHM = 22e3, 1.6


CLOCK_ERROR = "Its error is one of the energy, ppm for ppm; `clock_error_ppm` in a calibration file corrects it"
NOT_TRIED = "All values are calculated; nothing here was tried on real hardware."


@dataclass(frozen=True)
class Wire:
    """A pin of a board and what is on it.

    Parameters
    ----------
    name, title : str
        What the board's file, and what a person calls it.
    place, fpga_pin : str
        Connector and pin, or :data:`USB`; the FPGA's pin.
    light : str
        The board's own light that shows it; empty where there is none.
    """

    name: str
    title: str
    place: str
    fpga_pin: str
    light: str = ""


@dataclass(frozen=True)
class Part:
    """Something that stands between, its value, and why it has that."""

    name: str
    value: str
    why: str


MODULATOR_DIVIDER = Divider(330e3, 3, 499, MODULATOR_INPUT_OHM)


# ---- pins ------------------------------------------------------------------------------------------


def _wire(board: Board, name: str, title: str, pin: str, light: str = "") -> Wire:
    connector, number = pin.split(":")
    fpga_pins = dict(each for connector in board.platform().connectors.values() for each in connector)
    return Wire(name, title, f"{board.connectors[connector]} {number}", fpga_pins[pin], light)


def terminals(board: Board) -> list[Wire]:
    """Return the meter's terminals on a board, the registers' UART last."""
    wires = [
        _wire(board, name, TITLES.get(name, name.replace("_", " ")), pin, board.light_names.get(name, ""))
        for name, pin in board.terminals.items()
    ]
    if board.uart is not None:
        return wires + [_wire(board, f"uart_{name}", f"UART {name}", pin) for name, pin in board.uart.items()]
    bridge = {each.name: each.ios[0].names[0] for each in board.platform().lookup("uart", 0).ios if each.name in UART}
    return wires + [Wire(f"uart_{name}", f"UART {name}", USB, bridge[name]) for name in UART]


def signals(board: Board, front_end: str) -> list[Wire]:
    """Return a converter's signals on a board."""
    wires = []
    for name in FRONT_ENDS[front_end].signals(METER):
        pins = board.converters[front_end][name].split()
        # One modulator for each input; all that an ADS131M has, it has for all inputs.
        whose = [f" of {each}" for each in INPUTS] if len(pins) == len(INPUTS) else [""]
        wires += [_wire(board, name, SIGNALS[name] + of, pin) for of, pin in zip(whose, pins, strict=True)]
    return wires


# ---- values ----------------------------------------------------------------------------------------


def _led_ma(volts: float, ohm: float) -> str:
    least, most = ((PIN_V - loss - volts) / ohm * 1e3 for loss in (PIN_LOSS_V, 0))
    return f"{least:.1f} to {most:.1f} mA"


def output_parts(board: Board) -> list[Part]:
    """Return what stands between a board's pins and the data sheet's outputs."""
    shortest_ms = METER.pulse_min_s * 1e3
    parts = [
        Part(
            "Output 10, 100, 1000: coupler, one for each",
            COUPLER,
            "a coupler with a MOSFET output: 60 V and 0.55 A, reinforced insulation of 5 kV, for the terminals' 40 V "
            f"and 50 mA, at which it loses {0.05 * COUPLER_OHM:.3g} V at most. The outputs' negatives are joined: "
            f"Output Isol Com. It switches within a few ms; the shortest pulse is {shortest_ms:g} ms",
        ),
        Part(
            "series resistor of each coupler's LED",
            f"{COUPLER_SERIES_OHM} Ω",
            f"({PIN_V:g} V − {COUPLER_LED_V:g} V − up to {PIN_LOSS_V:g} V in the pin) / {COUPLER_SERIES_OHM} Ω: "
            f"{_led_ma(COUPLER_LED_V, COUPLER_SERIES_OHM)}. The coupler wants 5 mA or more, the pin gives 8 mA",
        ),
        Part(
            "counter: coupler and resistor",
            f"{COUPLER}, {COUPLER_SERIES_OHM} Ω",
            f"switches +12VDC to Counter 1. A coil of {COUNTER_A * 1e3:g} mA (assumed; the counter's data sheet says "
            f"it) loses {COUNTER_A * COUPLER_OHM:.3g} V of the 12 V at most. On for {METER.counter_on_s * 1e3:g} ms, "
            f"off for {METER.counter_gap_s * 1e3:g} ms or more",
        ),
        Part(
            "counter: diode",
            "1N4007",
            "across the coil, cathode at Counter 1: the coil's energy would destroy the coupler",
        ),
        Part(
            "test pulse, indicators: LED and resistor, each",
            f"{LIGHT_SERIES_OHM / 1e3:g} kΩ",
            f"a red LED, {LIGHT_V:g} V, to the board's ground: {_led_ma(LIGHT_V, LIGHT_SERIES_OHM)}; a coupler as "
            "above where the signal leaves the case",
        ),
    ]
    if board.uart is None:
        why = f"{BAUD} baud. The cable is at the board's potential: leave it off while that can be the mains'"
        parts.append(Part("UART", "the board's USB bridge", why))
    else:
        parts.append(
            Part(
                "UART: isolator where it leaves the case",
                f"up and down within {0.25e6 / BAUD:.1g} µs",
                f"its delays for the two edges may differ by a quarter of a bit at {BAUD} baud. The outputs' couplers "
                "are far too slow",
            )
        )
    if board.rgb_lamps:
        parts.append(Part("the board's RGB light", "nothing", "the FPGA drives it with 2 mA, from a current source"))
    return parts


def _divider_why(divider: Divider, full_scale: float) -> str:
    """Say what a divider does to the line's voltages, at its converter's full scale of so many V."""
    highest = max(line.v_max for line in LINES.values())
    each = 1.15 * highest / divider.upper
    one_short = math.sqrt(2) * highest / divider.ratio(divider.upper - 1)
    return (
        f"with the input's {divider.input_ohm / 1e3:g} kΩ a ratio of {divider.ratio():.1f}, so that full scale is "
        f"{full_scale * divider.ratio():.1f} V peak. At 115 % of {highest:g} V each of the upper "
        f"{divider.upper} has {each:.0f} V rms and {each**2 / divider.upper_ohm * 1e3:.0f} mW. If one of them is short "
        f"the input gets {one_short:.2f} V peak at {highest:g} V"
    )


def adc_clock_hz() -> float:
    """Return the ADS131M's clock, in Hz."""
    return clkin_hz(METER, ADC_OSR)


def _ads131m_parts(board: Board) -> list[Part]:
    divider = ADC_DIVIDER
    sclk_hz = board.clock_hz / 2 / math.ceil(board.clock_hz / 2 / SCLK_HZ_MAX)
    room_ns = (0.5 / sclk_hz - ADC_DELAY_S) / 2 * 1e9
    peak_a = METER.i_full_scale / METER.class_amps * CT_SECONDARY_A
    most_v = 1.1 * CT_SECONDARY_A * BURDEN_OHM
    voltage_s, current_s = VOLTAGE_FILTER.time_constant_s, CURRENT_FILTER.time_constant_s
    corner_hz = 1 / (2 * math.pi * current_s)
    clock_hz = adc_clock_hz()
    modulator_hz = clock_hz / 2
    return [
        Part(
            "converter",
            "ADS131M04",
            "single-element models: ADS131M02. Inputs in the order L1, CT1, L2, CT2. AVDD and DVDD: 3.3 V from an "
            "isolated supply (2.7 to 3.6 V); its ground is the neutral",
        ),
        Part(
            "CLKIN",
            f"{clock_hz / 1e6:g} MHz",
            f"2 × {ADC_OSR} × {METER.sample_rate_hz:g} Hz: a CMOS oscillator of ±50 ppm or better, on the converter's "
            f"side. {CLOCK_ERROR}",
        ),
        Part(
            "divider of each line",
            f"{divider.upper} × {divider.upper_ohm / 1e3:g} kΩ, {divider.lower_ohm / 1e3:g} kΩ",
            f"{METER.v_full_scale:g} V peak for the converter's ±{ADC_V:g} V: {_divider_why(divider, ADC_V)}. 0.1 %, "
            "25 ppm/K; 200 V or more each",
        ),
        Part(
            "burden of each CT",
            f"{BURDEN_OHM:g} Ω",
            f"full scale, {METER.i_full_scale / METER.class_amps:g} times the class amps, is {peak_a:g} A peak: "
            f"{peak_a * BURDEN_OHM:g} V, the converter's ±{ADC_V:g} V at gain {ADC_CURRENT_GAIN}. At 110 % it has "
            f"{most_v * math.sqrt(2):.2f} V peak and {most_v**2 / BURDEN_OHM * 1e3:.0f} mW. 0.1 %, 25 ppm/K. "
            "A CT must never be without it while current flows",
        ),
        Part(
            "filter of each voltage, of each current",
            f"{VOLTAGE_FILTER_F * 1e9:g} nF; {CURRENT_SERIES_OHM} Ω, {CURRENT_FILTER_F * 1e9:g} nF",
            f"against what the modulator, at {modulator_hz / 1e6:g} MHz, folds down: "
            f"−{20 * math.log10(modulator_hz / corner_hz):.0f} dB there. They delay a voltage by "
            f"{voltage_s * 1e6:.2f} µs and a current by {current_s * 1e6:.2f} µs; a calibration's `delay_us` takes the "
            "difference, and the capacitors' tolerances",
        ),
        Part(
            "digital isolator",
            f"{room_ns:.0f} ns or faster",
            f"six channels, four of them to the converter, with reinforced insulation. SCLK is {sclk_hz / 1e6:g} MHz: "
            f"of half its period, {0.5e9 / sclk_hz:.0f} ns, the converter takes {ADC_DELAY_S * 1e9:g} ns, and the "
            "rest is for two ways through the isolator. Parts of the ISO774x class take about 11 ns",
        ),
    ]


def _sigma_delta_parts(board: Board) -> list[Part]:
    divider = MODULATOR_DIVIDER
    config = FRONT_ENDS["sigma-delta"].configure(METER, board.clock_hz)
    peak_a = 2 * CT_SECONDARY_A
    most_v = 1.1 * CT_SECONDARY_A * MODULATOR_BURDEN_OHM * math.sqrt(2)
    return [
        Part(
            "modulator of each input",
            "AMC1306M25",
            "isolates by itself, with reinforced insulation; its high side needs an isolated supply of its own, 3.0 to "
            "5.5 V, and has the neutral for ground",
        ),
        Part(
            "CLKIN",
            f"{board.clock_hz / 2e6:g} MHz",
            f"half the board's clock, for {config.sample_rate_hz:g} frames a second. {CLOCK_ERROR}",
        ),
        Part(
            "divider of each line",
            f"{divider.upper} × {divider.upper_ohm / 1e3:g} kΩ, {divider.lower_ohm:g} Ω",
            f"{SIGMA_DELTA_V_PEAK:g} V peak for {AMC1306X25.full_scale_v:g} V, of which the part is specified up to "
            f"{AMC1306X25.linear_v:g} V: {_divider_why(divider, AMC1306X25.full_scale_v)}; the gain's calibration "
            f"takes the rest, {100 * (AMC1306X25.full_scale_v * divider.ratio() / SIGMA_DELTA_V_PEAK - 1):.1f} %",
        ),
        Part(
            "burden of each CT",
            f"{MODULATOR_BURDEN_OHM:g} Ω",
            f"twice the class amps are {peak_a:g} A peak: {peak_a * MODULATOR_BURDEN_OHM:g} V, the modulator's full "
            f"scale. At 110 % it has {most_v:.3f} V peak, within the specified {AMC1306X25.linear_v:g} V",
        ),
    ]


def converter_parts(board: Board, front_end: str) -> list[Part]:
    """Return what stands between a board's pins and the mains, with a front end."""
    return {"ads131m": _ads131m_parts, "sigma-delta": _sigma_delta_parts}[front_end](board)


# ---- tables ----------------------------------------------------------------------------------------


def _rows(board: Board) -> list[tuple[str, tuple[str, ...], list[tuple[str, ...]]]]:
    """Return the tables of a board's pins: title, heads, rows."""
    tables = [
        (
            "Outputs",
            ("terminal", "on the board", "FPGA pin", "board's own light"),
            [(wire.title, wire.place, wire.fpga_pin, wire.light) for wire in terminals(board)],
        )
    ]
    for front_end in board.converters:
        rows = [(wire.title, wire.place, wire.fpga_pin) for wire in signals(board, front_end)]
        tables.append((f"Front end {front_end}", ("converter's signal", "on the board", "FPGA pin"), rows))
    return tables


def _columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["   ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def to_text(board: Board) -> str:
    """Return a board's wiring as ``blondel boards NAME`` prints it."""
    lines = [f"{board.title}: {board.device}, {board.clock_hz / 1e6:g} MHz"]
    for title, heads, rows in _rows(board):
        lines += ["", title, *(f"  {line}" for line in _columns([heads, *rows]))]
    parts = [(part.name, part.value) for part in output_parts(board)]
    for front_end in board.converters:
        parts += [(f"{front_end}: {part.name}", part.value) for part in converter_parts(board, front_end)]
    lines += ["", "What has to stand between", *(f"  {line}" for line in _columns(parts))]
    lines += ["", "Mains voltage kills: docs/boards.md says where the insulation has to be.", NOT_TRIED]
    return "\n".join(lines) + "\n"


def _markdown_table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    return ["", *(f"| {' | '.join(row)} |" for row in (heads, ("---",) * len(heads), *rows)), ""]


def to_markdown(board: Board) -> str:
    """Return a board's wiring, with all values and their reasons, as its page shows it."""
    lines = []
    for title, heads, rows in _rows(board):
        lines += ["", f"**{title}**", *_markdown_table(heads, rows)]
    values = [("the outputs", output_parts(board))]
    values += [(f"front end `{front_end}`", converter_parts(board, front_end)) for front_end in board.converters]
    for title, parts in values:
        rows = [(part.name, part.value, part.why) for part in parts]
        lines += ["", f"**Values: {title}**", *_markdown_table(("what", "value", "why"), rows)]
    lines += ["", NOT_TRIED]
    return "\n".join(lines) + "\n"

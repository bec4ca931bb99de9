"""The core as one Verilog module with plain ports."""

from __future__ import annotations

import os
import textwrap

from amaranth.back import verilog
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from blondel.hdl.config import MeterConfig
from blondel.hdl.link.registers import Block, RegisterSignature, index_bits
from blondel.hdl.link.shift import ShiftRegister
from blondel.hdl.meter import DEFAULT_OPTIONS, Meter, Options, frame_clocks
from blondel.hdl.outputs.pulses import LEVELS

__all__ = ["MODULE_NAME", "Core", "convert", "instantiation_template", "use_builtin_yosys"]

#: Name of the generated module.
MODULE_NAME = "blondel_meter"
#: Verilator's warnings about style that Yosys does not write: widths made explicit, a default in each case.
_LINT = ("WIDTH", "CASEINCOMPLETE")


def use_builtin_yosys() -> None:
    """Make Amaranth use the Yosys that came with it, unless the environment chooses another.

    One on the PATH may be too old: ``verilog.convert`` would refuse it, and ``cxxrtl.convert`` would
    write code that does not compile.
    """
    os.environ.setdefault("AMARANTH_USE_YOSYS", "builtin")


class Core(wiring.Component):
    """The meter with a plain port for every signal; clock ``clk``, synchronous reset ``rst``.

    Parameters
    ----------
    config : MeterConfig
    options : Options
        As for :class:`blondel.hdl.meter.Meter`.

    Members
    -------
    See :func:`ports`, which describes each.
    """

    def __init__(self, config: MeterConfig, options: Options = DEFAULT_OPTIONS):
        self._config = config
        self._options = options
        super().__init__({name: flow(width) for name, flow, width, _ in ports(config, options)})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.meter = meter = Meter(self._config, self._options)
        bus, samples = meter.registers, meter.samples
        shift = {}
        if len(self._config.meter_elements) > 1:
            m.submodules.shift = chain = ShiftRegister(self._config)
            wiring.connect(m, meter.event, chain.event)
            shift = {"shift_data": chain.data, "shift_clock": chain.clock, "shift_latch": chain.latch}
        inner = {
            "sample_valid": samples.valid,
            "sample_data": samples.payload.data,
            "sample_ok": samples.payload.ok,
            "sample_last": samples.payload.last,
            "sample_ready": samples.ready,
            **shift,
            **{f"event_{name}": getattr(meter.event, name) for name in meter.event.signature.members},
            **{f"register_{name}": getattr(bus, name) for name in RegisterSignature(self._config).members},
        }
        for name, flow, _, _ in ports(self._config, self._options):
            inside, outside = inner[name] if name in inner else getattr(meter, name), getattr(self, name)
            m.d.comb += inside.eq(outside) if flow is In else outside.eq(inside)
        return m


def ports(config: MeterConfig, options: Options = DEFAULT_OPTIONS) -> list[tuple[str, wiring.Flow, int, str]]:
    """Return the generated module's ports: name, direction, width, and what it is."""
    (meters, n), bits = options.shown_of(config), config.sample_bits
    each = "; a bit for each meter" if meters > 1 else ""
    events = [
        ("event_valid", Out, 1, "for a clock: an output of a meter has changed; frame follows"),
        ("event_meter", Out, max(1, config.meter_bits), "its number, from 0"),
        ("event_levels", Out, len(LEVELS), "its outputs: 10, 100, 1000, test, counter, queued, from bit 0 on"),
        ("shift_data", Out, 1, "SER of a chain of 74HC595, one for each meter: QA to QF are its outputs"),
        ("shift_clock", Out, 1, "SRCLK, a quarter of clk"),
        ("shift_latch", Out, 1, "RCLK"),
    ]
    return [
        ("sample_valid", In, 1, "a sample is there; keep it until sample_ready"),
        ("sample_data", In, bits, "two's complement: voltage, then current, of element 0, 1, ..."),
        ("sample_ok", In, 1, "0: the sample is bad, its whole frame is counted as lost and not metered"),
        ("sample_last", In, 1, "the last sample of a frame"),
        ("sample_ready", Out, 1, "the sample is taken at this clock edge; 0 with sample_last while a frame waits"),
        ("register_valid", In, 1, "an access; keep it and the next three until register_ready; then low for a clock"),
        ("register_address", In, index_bits(config) + 5, "block, record, word: see the table below"),
        ("register_write", In, 1, "1: write, 0: read"),
        ("register_wdata", In, 32, "what to write"),
        ("register_ready", Out, 1, "the access is complete; stays until register_valid falls"),
        ("register_rdata", Out, 32, "what was read, while register_ready"),
        ("output_10", Out, meters, f"{config.pulse_wh} Wh per pulse of delivered energy, half on, half off{each}"),
        ("output_100", Out, meters, f"{10 * config.pulse_wh} Wh per pulse"),
        ("output_1000", Out, meters, f"{100 * config.pulse_wh} Wh per pulse"),
        ("test", Out, meters, f"test pulse, Kh {config.test_kh_wh:g} Wh"),
        ("counter", Out, meters, f"drive of the counter, one count per {config.counter_wh} Wh"),
        ("queued", Out, meters, "sticky: pulses wait, the load exceeds what the shortest pulse allows"),
        *(events if len(config.meter_elements) > 1 else []),
        ("voltage", Out, n, "a bit for each element: voltage out of the line's range"),
        ("reversed", Out, n, "net energy flows backwards (a CT turned round, or backfeed)"),
        ("overrange", Out, n, "sticky: a sample at the end of its range, or too much current"),
        ("no_load", Out, n, "below the starting load"),
        ("frame", Out, 1, "one clock after each frame: all outputs show it"),
    ]


def instantiation_template(config: MeterConfig, options: Options = DEFAULT_OPTIONS) -> str:
    """Return Verilog that instantiates the module, to copy and fill in."""
    names = ["clk", "rst", *(name for name, _, _, _ in ports(config, options))]
    width = max(map(len, names))
    lines = [f"    .{name:<{width}} ({name}){',' if name != names[-1] else ''}" for name in names]
    return "\n".join([f"{MODULE_NAME} meter (", *lines, ");"])


def _header(config: MeterConfig, options: Options) -> str:
    kind = f"model {config.model}" if config.model else "custom"
    elements = "1 element" if config.elements == 1 else f"{config.elements} elements"
    if len(config.meter_elements) > 1:
        elements += f" in {len(config.meter_elements)} meters, {config.meters_text}"
    clocks = frame_clocks(config, options)
    rows = [("clk", "input", 1, "clock"), ("rst", "input", 1, "synchronous reset, active high")]
    rows += [
        (name, "input" if flow is In else "output", width, what) for name, flow, width, what in ports(config, options)
    ]
    lsb = float(config.product_wh)
    bits = index_bits(config)
    text = [
        f"Blondel electricity meter core, {kind}: {elements}, {config.class_amps:g} A,",
        f"{config.line.v_min:g}-{config.line.v_max:g} V {config.line.hertz} Hz, {config.sample_rate_hz:g} frames/s.",
        "Generated; do not edit. BSD-2-Clause. Not a certified instrument.",
        "",
        f"Voltage: {config.v_full_scale:g} V peak, current: {config.i_full_scale:g} A peak, at full scale.",
        f"Energy: 1 LSB of an accumulator = {lsb:.9e} Wh;",
        f"1 count of a register = {float(config.quantum_wh):g} Wh = {config.quantum} LSB.",
        f"A frame takes {clocks} clocks, and a few more once a second: clk has to be faster than",
        f"{clocks * config.sample_rate_hz / 1e6:.3g} MHz.",
        "With Icarus Verilog use -g2005: under -g2012 combinational blocks wait for a first change.",
        "",
        "Ports:",
        *(f"  {name:<16} {way:<6} {width:>2}  {what}" for name, way, width, what in rows),
        "",
        f"Registers: address = {{block[2:0], index[{bits - 1}:0], word[1:0]}}; 32-bit words.",
        "  word 0, 1: accumulator (signed 64), low and high; word 2, 3: count, low and high.",
        "  Reading word 0 takes the whole record, words 1-3 come from what was taken. Writing word 3",
        "  writes the whole record. block:",
        "  0 energy   index 4*element + 0 gate, 1 pending, 2 delivered, 3 received; after the last element:",
        "             the meters' totals, 2 delivered, 3 received",
        f"  {Block.OFFSET} offset   index channel: accumulator = offset * 2**{config.window_log2}",
        f"  {Block.PHASE} phase    index channel: accumulator = all-pass coefficient * 2**18, count = whole samples",
        f"  {Block.GAIN} gain     index channel: accumulator = (gain - 1) * 2**24",
        f"  {Block.FRAMES} frames   index 0: accumulator = valid frames, count = lost frames",
        f"  {Block.PULSES} pulses   index 2*meter: accumulator = ticks waiting, count = half pulses; + 1: test pulse",
        f"  {Block.COUNTER} counter  index meter: accumulator = counts waiting, count = counts driven",
        f"  {Block.STATUS} status   index element: count bit 0 = voltage, 1 = reversed, 2 = overrange, 3 = no_load;",
        f"             index {config.elements}: accumulator bit 0 = freeze, count bit 0 = queued;",
        "             writing it clears the sticky flags",
        "",
        "To instantiate:",
        "",
        instantiation_template(config, options),
    ]
    return textwrap.indent("\n".join(text), "// ", lambda line: True).replace("// \n", "//\n")


def convert(config: MeterConfig, options: Options = DEFAULT_OPTIONS) -> str:
    """Generate the core as Verilog.

    Parameters
    ----------
    config : MeterConfig
    options : Options
        As for :class:`blondel.hdl.meter.Meter`.

    Returns
    -------
    str
        One file: a header that documents ports, scales and registers, with an instantiation template,
        then the modules, of which :data:`MODULE_NAME` is the top.
    """
    use_builtin_yosys()
    core = Core(config, options)
    body = verilog.convert(core, name=MODULE_NAME, emit_src=False, strip_internal_attrs=True)
    off, on = ("\n".join(f"/* verilator lint_{way} {name} */" for name in _LINT) for way in ("off", "on"))
    return f"{_header(config, options)}\n\n{off}\n{body}{on}\n"

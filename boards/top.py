"""The whole device: a front end, the core, and the board's pins."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from amaranth.hdl import Instance, IOPort, Module, ValueLike
from amaranth.lib import io, wiring

from blondel.boards.board import Board, ConverterSignal
from blondel.hdl.config import MeterConfig
from blondel.hdl.frontend.ads131m import Ads131m
from blondel.hdl.frontend.playback import Playback, PlaybackLoad
from blondel.hdl.frontend.sigma_delta import SigmaDelta, Sinc3
from blondel.hdl.link.registers import Block
from blondel.hdl.link.uart import Uart
from blondel.hdl.meter import Meter, Options
from blondel.hdl.metrology.energy import Energy

__all__ = ["FEATURES", "FRONT_ENDS", "READABLE", "Device", "FrontEnd", "options_for"]

#: Line voltage, V peak, at a modulator's full scale; it is specified up to 78 % of that.
SIGMA_DELTA_V_PEAK = 640.0


@dataclass(frozen=True)
class FrontEnd:
    """A source of samples that a board can have.

    Parameters
    ----------
    title : str
        What it is, in a few words.
    signals : callable(config)
        Returns its signals at the board's pins, by name.
    make : callable(config, clock_hz, ports, load)
        Returns the component, whose ``o`` is a stream of samples. ``ports`` are the signals' ports by name, to
        be buffered; ``load`` is for the one that plays one back.
    configure : callable(config, clock_hz)
        Returns the configuration with the sample rate and the full scales that the front end gives. Default: as
        it is.
    """

    title: str
    signals: Callable[[MeterConfig], Mapping[str, ConverterSignal]]
    make: Callable[[MeterConfig, float, Mapping[str, io.PortLike], PlaybackLoad], wiring.Component]
    configure: Callable[[MeterConfig, float], MeterConfig] = lambda config, clock_hz: config


def _ads131m_signals(config: MeterConfig) -> dict[str, ConverterSignal]:
    return {
        "sclk": ConverterSignal("o"),
        "cs": ConverterSignal("o", invert=True),
        "din": ConverterSignal("o"),
        "dout": ConverterSignal("i", math.ceil(config.channels / 4)),
        "drdy": ConverterSignal("i", invert=True),
        "reset": ConverterSignal("o", invert=True),
    }


def _decimation(clock_hz: float) -> int:
    """Return the modulator clocks, half of the design's, of a sample: the multiple of 64 nearest to 8 kHz."""
    return 64 * round(clock_hz / 2 / 8000 / 64)


def _sigma_delta_config(config: MeterConfig, clock_hz: float) -> MeterConfig:
    """Return the configuration for modulators of ±250 mV, which at 0.32 V have 640 V or twice the class amps."""
    return Sinc3.for_clock(
        config, clock_hz, _decimation(clock_hz), v_peak=SIGMA_DELTA_V_PEAK, i_peak=2 * config.class_amps
    ).config


#: Words of an iCE40's block RAM at its full width. Deeper energy records take it twice, which no device has room for.
BLOCK_RAM_WORDS = 256
#: What a meter on a board can do without, and what is left then.
FEATURES = {
    "registers": "the registers cannot be read",
    "indicators": "voltage and overrange stay off",
}
#: What can be read on a board: all that changes while the meter runs. Nothing can be written, so the rest is known.
READABLE = tuple(block for block in Block if block not in (Block.PHASE, Block.GAIN))


def options_for(board: Board, config: MeterConfig, without: Collection[str] = ()) -> Options:
    """Return how the core is built for a board, without some of :data:`FEATURES`."""
    return Options(
        serial_multiplier=not board.has_dsp,
        serial_energy=board.has_spram and Energy.depth_of(config) > BLOCK_RAM_WORDS,
        indicators="indicators" not in without,
        reached=() if "registers" in without else READABLE,
        shown=1,
    )


#: All front ends, by name.
FRONT_ENDS: dict[str, FrontEnd] = {
    "ads131m": FrontEnd(
        title="ADS131M02 (single element), ADS131M04 (dual)",
        signals=_ads131m_signals,
        make=lambda config, clock_hz, ports, load: Ads131m(config, clock_hz=clock_hz, **ports),
    ),
    "sigma-delta": FrontEnd(
        title="isolated modulators, AMC1306x25",
        signals=lambda config: {"clk": ConverterSignal("o"), "data": ConverterSignal("i", config.channels)},
        make=lambda config, clock_hz, ports, load: SigmaDelta(
            Sinc3(config, _decimation(clock_hz)), ports["clk"], ports["data"]
        ),
        configure=_sigma_delta_config,
    ),
    "playback": FrontEnd(
        title="mains and load from a table",
        signals=lambda config: {},
        make=lambda config, clock_hz, ports, load: Playback(config, clock_hz, load),
    ),
}


def _current_source(lamps: Mapping[IOPort, ValueLike]) -> Instance:
    """Return the UP5K's driver of three lamps without resistors: 2 mA for each that is on."""
    channels = {"39": 0, "40": 1, "41": 2}
    ports = {"p_CURRENT_MODE": "0b1", "i_CURREN": 1, "i_RGBLEDEN": 1}
    for port, level in lamps.items():
        channel = channels[port.metadata[0].name]
        ports |= {
            f"p_RGB{channel}_CURRENT": "0b000001",
            f"i_RGB{channel}PWM": level,
            f"io_RGB{channel}": port,
        }
    return Instance("SB_RGBA_DRV", **ports)


class Device(wiring.Component):
    """A meter on a board.

    Of several meters the first one's outputs are at the pins. Indicators are those of any of its elements; the no-load
    indicator is on while none of them is loaded. The records of :data:`READABLE` can be read through a UART.

    Parameters
    ----------
    board : Board
        Where it is; the platform that elaborates it comes from its ``make_platform``.
    config : MeterConfig
        The meter, as the front end's ``configure`` returns it.
    front_end : str
        Of :data:`FRONT_ENDS`.
    load : PlaybackLoad
        What is played, where the front end plays.
    without : collection of str
        Of :data:`FEATURES`: what is left out.

    Raises
    ------
    ConfigError
        The front end cannot work at the configuration's sample rate, or with the load.
    """

    def __init__(
        self, board: Board, config: MeterConfig, front_end: str, load: PlaybackLoad | None = None,
        without: Collection[str] = (),
    ):  # fmt: skip
        self._board = board
        self._config = config
        self._front_end = FRONT_ENDS[front_end]
        self._load = load or PlaybackLoad()
        self._options = options_for(board, config, without)
        super().__init__({})

    def elaborate(self, platform) -> Module:
        m = Module()
        board, config = self._board, self._config
        names = self._front_end.signals(config)
        ports = {name: platform.request(f"converter_{name}", 0, dir="-") for name in names}
        m.submodules.front_end = front_end = self._front_end.make(config, board.clock_hz, ports, self._load)
        m.submodules.meter = meter = Meter(config, self._options)
        wiring.connect(m, front_end.o, meter.samples)

        if self._options.reached:
            m.submodules.uart = uart = Uart(config, board.clock_hz)
            wiring.connect(m, uart.registers, meter.registers)
            wires = platform.request("uart", 0, dir="-")
            m.submodules.pin_rx = pin_rx = io.Buffer("i", wires.rx)
            m.submodules.pin_tx = pin_tx = io.Buffer("o", wires.tx)
            m.d.comb += [uart.rx.eq(pin_rx.i), pin_tx.o.eq(uart.tx)]

        outputs = ("output_10", "output_100", "output_1000", "test", "counter")
        level = {name: getattr(meter, name) for name in outputs}
        level |= {name: getattr(meter, name).any() for name in ("queued", "voltage", "reversed", "overrange")}
        level["no_load"] = meter.no_load.all()

        for name in board.terminals:
            port = platform.request(name, 0, dir="-")
            m.submodules[f"pin_{name}"] = pin = io.Buffer("o", port)
            m.d.comb += pin.o.eq(level[name])
        for name, (resource, number) in board.lamps.items():
            m.submodules[f"lamp_{name}"] = lamp = io.Buffer("o", platform.request(resource, number, dir="-"))
            m.d.comb += lamp.o.eq(level[name])
        if board.rgb_lamps:
            light = platform.request("rgb_led", 0, dir="-")
            colours = {colour: level[name] for name, colour in board.rgb_lamps.items()}
            m.submodules.rgb_lamps = _current_source({getattr(light, c).io: colours.get(c, 0) for c in "rgb"})
        return m

"""What a board is to the meter: pins, and the tool that programs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from amaranth.build import Attrs, Pins, Resource, Subsignal
from amaranth.vendor import LatticeICE40Platform

__all__ = ["TERMINALS", "Board", "ConverterSignal"]

#: The meter's outputs: pulse outputs, test pulse, counter drive and indicators.
TERMINALS = (
    "output_10", "output_100", "output_1000", "test", "counter",
    "queued", "voltage", "reversed", "overrange", "no_load",
)  # fmt: skip


@dataclass(frozen=True)
class ConverterSignal:
    """A signal between a front end and a converter.

    Parameters
    ----------
    direction : str
        ``"i"`` or ``"o"``, from the FPGA.
    width : int
        Wires. Default 1.
    invert : bool
        Whether it is asserted low. Default false.
    """

    direction: str
    width: int = 1
    invert: bool = False


@dataclass(frozen=True)
class Board:
    """A board, and which of its pins is which terminal.

    Parameters
    ----------
    name : str
        As ``--board`` has it.
    title : str
        As its maker calls it.
    platform : callable
        Makes its Amaranth platform.
    faster : tuple of callable
        Likewise with faster clocks, the slowest first: for cores that need more clocks.
    connectors : mapping of str to str
        What is printed at each connector in use, or what its maker calls it, by ``connector_number``.
    terminals : mapping of str to str
        Pin of each terminal that has one, of :data:`TERMINALS`, as ``connector_number:pin``. High is on.
    lamps : mapping of str to tuple
        The board's own lights that show a terminal: resource and number.
    rgb_lamps : mapping of str to str
        Colours, ``"r"``, ``"g"`` or ``"b"``, of the board's resource ``rgb_led`` that show a terminal. It has no
        resistors: the UP5K's current source drives it.
    light_names : mapping of str to str
        What a person calls the light that shows a terminal.
    converters : mapping of str to mapping of str to str
        For each front end that can be connected, by name: pins of its signals.
    uart : mapping of str to str or None
        Pins of the registers' ``rx`` and ``tx``. Default: the platform's own resource ``uart``, on its USB cable.
    programmers : tuple of tuple of str
        Commands that write a bitstream, whose name comes last; the first one that is installed is used.
    """

    name: str
    title: str
    platform: Callable[[], LatticeICE40Platform]
    connectors: Mapping[str, str]
    terminals: Mapping[str, str]
    lamps: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    rgb_lamps: Mapping[str, str] = field(default_factory=dict)
    light_names: Mapping[str, str] = field(default_factory=dict)
    converters: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    uart: Mapping[str, str] | None = None
    faster: tuple[Callable[[], LatticeICE40Platform], ...] = ()
    programmers: tuple[tuple[str, ...], ...] = (("iceprog",), ("openFPGALoader", "-b", "ice40_generic"))

    @property
    def device(self) -> str:
        """The FPGA, as its maker calls it."""
        return self.platform.device

    @property
    def clock_hz(self) -> float:
        """Nominal frequency of the clock."""
        return self.platform().default_clk_frequency

    @property
    def has_dsp(self) -> bool:
        """Whether the FPGA has multipliers."""
        return self.device.startswith("iCE40UP")

    @property
    def has_spram(self) -> bool:
        """Whether the FPGA has large RAMs beside its block RAMs."""
        return self.device.startswith("iCE40UP")

    def make_platform(self, front_end: str, signals: Mapping[str, ConverterSignal]) -> LatticeICE40Platform:
        """Return the platform, with a resource for each terminal, for each of a front end's signals, and for the UART.

        Parameters
        ----------
        front_end : str
            Its name.
        signals : mapping of str to ConverterSignal
            What it needs of pins, by name.
        """
        platform = self.platform()
        standard = Attrs(IO_STANDARD="SB_LVCMOS")
        resources = [Resource(name, 0, Pins(pin, dir="o"), standard) for name, pin in self.terminals.items()]
        for name, signal in signals.items():
            pins = " ".join(self.converters[front_end][name].split()[: signal.width])
            resources.append(
                Resource(f"converter_{name}", 0, Pins(pins, dir=signal.direction, invert=signal.invert), standard)
            )
        if self.uart is not None:
            pins = (Subsignal(name, Pins(self.uart[name], dir=way)) for name, way in (("rx", "i"), ("tx", "o")))
            resources.append(Resource("uart", 0, *pins, standard))
        platform.add_resources(resources)
        return platform

"""Playback: mains and load from a table, so that a board without a converter meters something true."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Out

from blondel.hdl.config import LINE_FREQUENCY_RANGE_HZ, ConfigError, MeterConfig
from blondel.hdl.fixed import signed_width
from blondel.hdl.items import sample_item

__all__ = ["Playback", "PlaybackLoad", "PlaybackTables"]

#: Points of a period, as a power of two: at 24 bits voltage and current fill three block RAMs of an iCE40.
POINTS_LOG2 = 8
#: Width of the phase: the line's frequency is within 2e-9 of the sample rate.
PHASE_BITS = 28
#: Largest denominator of frames per clock: the sample rate is within 0.06 ppm, and mostly exact.
DIVISOR_MAX = 1 << 24


@dataclass(frozen=True)
class PlaybackLoad:
    """The line and the load that are played, the same for every element.

    Parameters
    ----------
    volts : float or None
        V rms. Default: the middle of the line's range.
    amps : float
        A rms, primary; negative: received energy. Default 10.
    power_factor : float
        Cosine of the angle between voltage and current, 0 to 1. Default 1.
    leading : bool
        Whether the current comes before the voltage. Default: behind it.
    hertz : float or None
        45 to 65. Default: the line's.
    """

    volts: float | None = None
    amps: float = 10.0
    power_factor: float = 1.0
    leading: bool = False
    hertz: float | None = None


class PlaybackTables:
    """The integers that the hardware and its golden twin are both made of.

    Parameters
    ----------
    config : MeterConfig
        Uses ``line``, ``sample_rate_hz``, ``sample_bits``, ``v_full_scale``, ``i_full_scale``.
    load : PlaybackLoad
        What is played.

    Attributes
    ----------
    words : list of int
        signed(sample_bits), LSB of the converter: one period of the voltage, then one of the current.
    phase_step : int
        Phase between two frames, in periods × 2**28.

    Raises
    ------
    ConfigError
        The load is out of the converter's range, or the frequency out of the line's.
    """

    def __init__(self, config: MeterConfig, load: PlaybackLoad):
        self._config = config
        line = config.line
        volts = line.v_nominal if load.volts is None else load.volts
        hertz = float(line.hertz) if load.hertz is None else load.hertz
        low, high = LINE_FREQUENCY_RANGE_HZ
        most = [full_scale / math.sqrt(2) for full_scale in (config.v_full_scale, config.i_full_scale)]
        for name, value, holds, allowed in (
            ("volts", volts, 0 <= volts <= most[0], f"0 to {most[0]:.6g} V rms, the converter's full scale"),
            ("amps", load.amps, abs(load.amps) <= most[1], f"±{most[1]:.6g} A rms, the converter's full scale"),
            ("power_factor", load.power_factor, 0 <= load.power_factor <= 1, "0 to 1"),
            ("hertz", hertz, low <= hertz <= high, f"{low:g} to {high:g} Hz"),
        ):
            if not holds:
                raise ConfigError(f"playback's {name} is {value:g}; allowed: {allowed}")
        behind = math.acos(load.power_factor) * (-1 if load.leading else 1)
        self.phase_step = round(hertz / config.sample_rate_hz * (1 << PHASE_BITS))
        self.words = [
            *self._period(volts / most[0], 0.0),
            *self._period(load.amps / most[1], behind),
        ]

    def _period(self, amplitude: float, behind: float) -> list[int]:
        top = (1 << (self._config.sample_bits - 1)) - 1
        points = 1 << POINTS_LOG2
        return [round(amplitude * top * math.sin(2 * math.pi * n / points - behind)) for n in range(points)]

    @cached_property
    def watts(self) -> float:
        """Power of one element, in W, as the table has it: the mean of the products of all points that occur."""
        points = 1 << POINTS_LOG2
        # The phase comes past every multiple of this, and past nothing else.
        stride = max(1, math.gcd(self.phase_step, 1 << PHASE_BITS) >> (PHASE_BITS - POINTS_LOG2))
        voltage, current = self.words[:points:stride], self.words[points::stride]
        mean = Fraction(sum(v * i for v, i in zip(voltage, current, strict=True)), len(voltage))
        config = self._config
        return float(mean) * config.v_lsb * config.i_lsb

    def frames_per_clock(self, clock_hz: float) -> Fraction:
        """Return the divider's ratio: the nearest to ``sample_rate_hz / clock_hz`` below 2**24.

        Raises
        ------
        ConfigError
            The clock is too slow to bring out a frame.
        """
        config = self._config
        wanted = Fraction(str(config.sample_rate_hz)) / Fraction(str(clock_hz))
        least = Playback.clocks_per_frame(config)
        if wanted * least > 1:
            raise ConfigError(
                f"sample_rate_hz is {config.sample_rate_hz:g} with a clock of {clock_hz:g} Hz; allowed for playback of "
                f"{config.channels} channels: up to {clock_hz / least:g} Hz"
            )
        return wanted.limit_denominator(DIVISOR_MAX)


class Playback(wiring.Component):
    """Generate the samples of a mains voltage and of a load's current.

    A fractional divider starts a frame every ``clock_hz / sample_rate_hz`` clocks, to within one clock and
    without an error that adds up. A phase goes on by ``hertz / sample_rate_hz`` periods with each frame; its
    eight highest bits address a table with one period of the voltage and one of the current.

    Parameters
    ----------
    config : MeterConfig
        Uses what :class:`PlaybackTables` does, and ``channels``.
    clock_hz : float
        Frequency of the clock.
    load : PlaybackLoad
        What is played. Default: 10 A at nominal voltage and unity power factor.

    Members
    -------
    o : Out(stream of sample_item)
        Samples, LSB of the converter: all of a frame's channels, all ``ok``. A frame that is due while the
        one before is still leaving follows it; so a consumer must take a frame within a sampling interval.

    Attributes
    ----------
    latency : int
        Clocks from a frame's being due to its first sample's being valid; two for each further one.
    tables : PlaybackTables
        What it is made of.
    """

    latency = 3

    def __init__(self, config: MeterConfig, clock_hz: float, load: PlaybackLoad | None = None):
        self._config = config
        self.tables = PlaybackTables(config, load or PlaybackLoad())
        self._ratio = self.tables.frames_per_clock(clock_hz)
        super().__init__({"o": Out(stream.Signature(sample_item(config)))})

    @staticmethod
    def clocks_per_frame(config: MeterConfig) -> int:
        """Return the clocks that a frame takes at least."""
        return 2 * config.channels + 1

    def elaborate(self, platform) -> Module:
        m = Module()
        config, tables = self._config, self.tables
        m.submodules.memory = memory = Memory(
            shape=signed(config.sample_bits), depth=2 << POINTS_LOG2, init=tables.words, attrs={"ram_style": "block"}
        )
        read = memory.read_port()

        # Up by the numerator while negative, else down by what is left to the denominator: a frame for each.
        up, whole = self._ratio.numerator, self._ratio.denominator
        divider = Signal(signed(signed_width(whole)), init=-up)
        due = Signal()
        starts = Signal()
        m.d.sync += divider.eq(divider + Mux(divider[-1], up, up - whole))
        m.d.sync += due.eq(~divider[-1] | (due & ~starts))

        phase = Signal(PHASE_BITS)
        channel = Signal(config.channel_bits)
        at_end = channel == config.last_channel
        m.d.comb += [
            read.addr.eq(Cat(phase[-POINTS_LOG2:], channel[0])),
            self.o.payload.data.eq(read.data),
            self.o.payload.ok.eq(1),
            self.o.payload.last.eq(at_end),
        ]
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += starts.eq(due)
                with m.If(due):
                    m.next = "READ"
            with m.State("READ"):
                m.next = "OUTPUT"
            with m.State("OUTPUT"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.d.sync += channel.eq(Mux(at_end, 0, channel + 1))
                    with m.If(at_end):
                        m.d.sync += phase.eq(phase + tables.phase_step)
                        m.next = "IDLE"
                    with m.Else():
                        m.next = "READ"
        return m

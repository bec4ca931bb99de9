"""The meter's configuration: one frozen object that builds the hardware and the golden model alike.

Every width, threshold and scale of the core is derived here, by formula, from what the meter is for
(line, current rating, elements) and from what samples it gets (bits, rate, full scale).

Units: one *LSB* of energy is the product of one LSB of voltage and one LSB of current, in the number
format of the calibrated samples, for one sampling interval.
"""

from __future__ import annotations

import itertools
import math
import operator
from dataclasses import dataclass, field, fields, replace
from fractions import Fraction
from functools import cached_property

from blondel.hdl.fixed import clog2, signed_width
from blondel.hdl.model_number import ModelNumber

__all__ = ["LINES", "ChannelCalibration", "ConfigError", "Line", "MeterConfig"]

#: Fraction bits of the phase coefficient, signed(18): -0.5 to 0.5.
PHASE_FRACTION_BITS = 18
#: Fraction bits of the gain word, signed(23): -25 % to +25 % in steps of 0.06 ppm.
GAIN_FRACTION_BITS = 24
#: Bits of voltage and current that the indicators square: 16 bits are within 0.01 % at full load.
INDICATOR_BITS = 16
#: Windows whose mean the offset tracking takes whole, from power-up on.
ACQUIRED_WINDOWS = 4
#: Slowest of the offset tracking's steps: 2**-3 of the distance to a window's mean.
TRACKING_SHIFT = 3
#: Mains frequencies that the core is specified for, in Hz.
LINE_FREQUENCY_RANGE_HZ = (45.0, 65.0)
#: Range of the phase compensation, in degrees of either line's fundamental.
PHASE_RANGE_DEG = 3.0
#: A register must count full-scale energy for this long before it rolls over.
REGISTER_LIFE_HOURS = 20 * 8766
#: Full-scale energy of this long can wait in an output, should its pulses be too slow for the load.
QUEUE_LIFE_HOURS = 31 * 24
#: Most elements of a core.
ELEMENTS_MAX = 64
#: What a meter's number of elements is called, as in model numbers.
METER_LETTERS = {1: "S", 2: "D"}
#: Widest accumulator: the golden model computes in int64 and needs one bit to spare.
ACCUMULATOR_BITS_MAX = 62


class ConfigError(ValueError):
    """A configuration that cannot be built, or must not be.

    The message names the field, its value and what is allowed.

    Parameters
    ----------
    message : str
        The message.
    name, allowed : str
        The field and what is allowed, for whoever calls the field something else. Default empty: no single
        field's fault.
    """

    def __init__(self, message: str, name: str = "", allowed: str = ""):
        super().__init__(message)
        self.name = name
        self.allowed = allowed


@dataclass(frozen=True)
class Line:
    """A supply line of the data sheet, line to neutral.

    Parameters
    ----------
    hertz : int
        Nominal frequency.
    v_min, v_max : float
        Ends of the voltage range, in V rms.
    """

    hertz: int
    v_min: float
    v_max: float

    @property
    def v_nominal(self) -> float:
        """Nominal voltage: the middle of the range, in V rms."""
        return (self.v_min + self.v_max) / 2


#: The two lines of the data sheet, by nominal frequency in Hz.
LINES = {60: Line(60, 108.0, 132.0), 50: Line(50, 216.0, 264.0)}


@dataclass(frozen=True)
class ChannelCalibration:
    """What the factory found for one channel (a voltage or a current of one element).

    Parameters
    ----------
    offset : float or None
        Converter's code at zero input, in LSB. ``None``: not calibrated, the tracking starts from zero
        and takes the first windows' means whole. A number: the tracking starts from it, slowly, or stays
        there where tracking is off.
    delay_s : float
        Delay to add to the channel, in s; negative where it has to come earlier. At 60 Hz one degree is
        46.3 µs. Default 0.
    gain : float
        Factor, 0.75 to 1.25; a current's is taken together with the correction of the clock. Default 1.
    """

    offset: float | None = None
    delay_s: float = 0.0
    gain: float = 1.0


_NEUTRAL = ChannelCalibration()


def _require(name: str, value: object, holds: bool, allowed: str) -> None:
    if not holds:
        raise ConfigError(f"{name} is {value}; allowed: {allowed}", name, allowed)


def _number(name: str, value: object, whole: bool) -> float:
    """Return a number as Python's own: NumPy's bring their own widths into the formulas."""
    try:
        number = operator.index(value) if whole else float(value)
    except (TypeError, ValueError, OverflowError):
        number = None
    _require(name, repr(value), number is not None, "a whole number" if whole else "a number")
    _require(name, value, whole or math.isfinite(number), "a finite number")
    return number


def _fraction(value: float) -> Fraction:
    """Return the decimal number that a person wrote: 0.1 is 1/10."""
    return Fraction(str(value))


def _gcd(a: Fraction, b: Fraction) -> Fraction:
    return Fraction(math.gcd(a.numerator * b.denominator, b.numerator * a.denominator), a.denominator * b.denominator)


def _preferred_above(value: Fraction) -> Fraction:
    """Return the smallest of 1, 2, 5 times a power of ten that is above ``value``."""
    decade = Fraction(10) ** math.floor(math.log10(value))
    return next(step for step in (m * decade for m in (1, 2, 5, 10, 20)) if step > value)


@dataclass(frozen=True, kw_only=True)
class MeterConfig:
    """A meter: what it measures, what it shows, and what samples it gets.

    Make one with :meth:`for_model`, or field by field.

    Parameters
    ----------
    line : Line
        Supply line: one of :data:`LINES`, or the user's own within 45 to 65 Hz.
    class_amps : float
        Rated primary current of each element, in A rms (C12.20: class amps).
    elements : int
        V·I pairs, 1 to 64. Default 1, or those of ``meters``.
    meters : tuple of int
        Elements of each meter in the core, in their order: ``(1, 1, 2)`` is two single-element meters and one of two
        elements. Each has its own registers, pulse outputs and counter; all else here is the same for all. Default
        empty: one meter with all elements.
    sample_rate_hz : float
        Frames per second, 400 to 1,000,000. Default 8000.
    sample_bits : int
        Bits of a sample, two's complement, 16 to 24. Default 24.
    v_full_scale : float
        Line voltage, in V peak, at the converter's full scale. Default 500.
    i_full_scale : float or None
        Primary current, in A peak, at the converter's full scale. Default twice the class amps: 0.1 A
        secondary in 3 Ω, in a converter of ±0.6 V.
    pulse_wh : int
        Energy of one pulse of Output 10, in Wh; Outputs 100 and 1000 have ten and a hundred times as
        much. Default 10; a power of ten.
    counter_wh : int
        Energy of one count of the counter, in Wh: 10 or 100 times ``pulse_wh``. Default 100.
    test_kh_wh : float or None
        Kh of the test pulse, in Wh. Default 1; 2, 5, 10, … where elements and sample rate need it, so
        that one sample cannot carry more than half a pulse.
    pulse_min_s : float
        Shortest on and shortest off of a pulse output, in s. Default 0.03.
    counter_on_s, counter_gap_s : float
        Pulse width and smallest gap of the counter drive, in s. Default 0.1 each.
    no_load_fraction : float
        No-load threshold as a part of ``class_amps`` at nominal voltage and unity power factor.
        Default 2e-5 (the data sheet's starting load is 5e-4).
    offset_tracking : bool
        Whether the converter's offset is tracked. Default true.
    calibration : tuple of ChannelCalibration
        One for each channel, voltage and current of element 0 first; empty for neutral. Default empty.
    clock_error_ppm : float
        By how much the clock that makes the sample rate is fast, -1000 to 1000 ppm: there are
        ``sample_rate_hz × (1 + clock_error_ppm × 10⁻⁶)`` frames in a second. It costs no gates: the gains of
        the currents and the phase words take it in. Default 0.
    model : str or None
        Model number that the configuration was made from. Default ``None``.

    Raises
    ------
    ConfigError
        A field, or a combination of them, is impossible or unsafe.
    """

    line: Line
    class_amps: float
    elements: int = 1
    meters: tuple[int, ...] = ()
    sample_rate_hz: float = 8000.0
    sample_bits: int = 24
    v_full_scale: float = 500.0
    i_full_scale: float | None = None
    pulse_wh: int = 10
    counter_wh: int = 100
    test_kh_wh: float | None = None
    pulse_min_s: float = 0.03
    counter_on_s: float = 0.1
    counter_gap_s: float = 0.1
    no_load_fraction: float = 2e-5
    offset_tracking: bool = True
    calibration: tuple[ChannelCalibration, ...] = field(default=())
    clock_error_ppm: float = 0.0
    model: str | None = None

    @classmethod
    def for_model(cls, model: str | ModelNumber, line_hz: int = 60, **changes: object) -> MeterConfig:
        """Make the configuration of one of the 24 models.

        Parameters
        ----------
        model : str or ModelNumber
            For example ``"MDNCT-2SC"``.
        line_hz : int
            60 (108–132 V) or 50 (216–264 V).
        **changes
            Fields that differ from the model's, for example ``sample_rate_hz=4000``.

        Raises
        ------
        ValueError
            The model does not exist.
        ConfigError
            There is no such line, or a change is impossible.
        """
        number = model if isinstance(model, ModelNumber) else ModelNumber.parse(model)
        _require("line_hz", line_hz, line_hz in LINES, "60 (108–132 V) or 50 (216–264 V)")
        own = {
            "line": LINES[line_hz],
            "class_amps": float(number.ct_amps),
            "elements": number.elements,
            "counter_wh": number.counter_wh,
            "model": str(number),
        }
        if changes.get("meters"):
            own["elements"] = sum(changes["meters"])
        return cls(**(own | changes))

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if each.type in ("int", "float") or (each.type == "float | None" and value is not None):
                object.__setattr__(self, each.name, _number(each.name, value, each.type == "int"))
        _require("class_amps", self.class_amps, 1e-6 <= self.class_amps <= 1e6, "1e-6 to 1,000,000 A")
        if self.i_full_scale is None:
            object.__setattr__(self, "i_full_scale", 2.0 * self.class_amps)
        object.__setattr__(self, "calibration", tuple(self.calibration))
        low, high = LINE_FREQUENCY_RANGE_HZ
        _require("line", repr(self.line), isinstance(self.line, Line), "a Line, as in LINES")
        _require("line", self.line.hertz, low <= self.line.hertz <= high, f"{low:g} to {high:g} Hz")
        _require(
            "line", f"{self.line.v_min:g} to {self.line.v_max:g} V", 0 < self.line.v_min < self.line.v_max,
            "0 < v_min < v_max",
        )
        _require("elements", self.elements, 1 <= self.elements <= ELEMENTS_MAX, f"1 to {ELEMENTS_MAX}")
        object.__setattr__(self, "meters", tuple(_number("meters", each, True) for each in self.meters))
        _require(
            "meters", self.meters, not self.meters or (min(self.meters) > 0 and sum(self.meters) == self.elements),
            f"one or more elements each, {self.elements} in all, or none named",
        )
        _require("sample_rate_hz", self.sample_rate_hz, 400 <= self.sample_rate_hz <= 1e6, "400 to 1,000,000 Hz")
        _require("sample_bits", self.sample_bits, self.sample_bits in range(16, 25), "16 to 24")
        least = math.sqrt(2) * self.line.v_max * 1.15
        _require(
            "v_full_scale", self.v_full_scale, least <= self.v_full_scale <= 1e7,
            f"{least:.1f} V, the peak of 115 % of the line's highest voltage, to 10,000,000 V",
        )
        least = math.sqrt(2) * self.class_amps * 1.1
        _require(
            "i_full_scale", self.i_full_scale, least <= self.i_full_scale <= 1e7,
            f"{least:.1f} A, the peak of 110 % of the class amps, to 10,000,000 A",
        )
        _require(
            "pulse_wh", self.pulse_wh,
            self.pulse_wh >= 1 and self.pulse_wh == 10 ** (len(str(self.pulse_wh)) - 1), "1, 10, 100, …",
        )
        _require(
            "counter_wh", self.counter_wh, self.counter_wh in (10 * self.pulse_wh, 100 * self.pulse_wh),
            f"{10 * self.pulse_wh} or {100 * self.pulse_wh}",
        )
        if self.test_kh_wh is None:
            # Twice what one sample can carry, at least 1, at most a whole pulse.
            least = _preferred_above(max(8 * self.meter_elements_most * self._full_scale_wh, Fraction(1, 2)))
            object.__setattr__(self, "test_kh_wh", float(min(least, self.pulse_wh)))
        _require("test_kh_wh", self.test_kh_wh, self.test_kh_wh > 0, "more than 0 Wh")
        for name in ("pulse_min_s", "counter_on_s", "counter_gap_s"):
            _require(name, getattr(self, name), 0.001 <= getattr(self, name) <= 10, "0.001 to 10 s")
        _require("no_load_fraction", self.no_load_fraction, 1e-7 <= self.no_load_fraction <= 4e-4, "1e-7 to 4e-4")
        _require(
            "calibration", f"{len(self.calibration)} channels", len(self.calibration) in (0, self.channels),
            f"{self.channels} channels, or none",
        )
        _require("clock_error_ppm", self.clock_error_ppm, abs(self.clock_error_ppm) <= 1000, "-1000 to 1000 ppm")
        for index, each in enumerate(self.calibration):
            self._check_channel(index, each)
        most = self.meter_elements_most
        _require(
            "test_kh_wh", self.test_kh_wh, self.tick > most * self.product_max,
            f"with elements {most} at {self.sample_rate_hz:g} Hz, a divisor of {self.pulse_wh} Wh above "
            f"{float(2 * most * self.product_max * self.product_wh):.3g} Wh, "
            "so that one sample cannot carry more than one half of a pulse "
            "(fewer elements, a higher sample rate or a larger pulse_wh help)",
        )
        for name, half_ticks in (("pulse_wh", self.pulse_half_ticks), ("test_kh_wh", self.test_half_ticks)):
            most = self.tick_wh * ((1 << self.queue_bits) - 1)
            _require(
                name, getattr(self, name), 2 * half_ticks < 1 << self.queue_bits,
                f"up to {float(most):.3g} Wh, so that a queue holds the ticks of {float(self.tick_wh):g} Wh "
                "in a pulse",
            )

    def _check_channel(self, channel: int, calibration: ChannelCalibration) -> None:
        name = f"calibration[{channel}]"
        if calibration.offset is not None:
            limit = 1 << (self.sample_bits - 3)
            _require(f"{name}.offset", calibration.offset, abs(calibration.offset) <= limit, f"±{limit} LSB")
        limit = self.delay_range_s
        _require(
            f"{name}.delay_s", calibration.delay_s, abs(calibration.delay_s) <= limit * (1 + 1e-9),
            f"±{limit * 1e6:.1f} µs (±{PHASE_RANGE_DEG:g}° at 50 Hz)",
        )
        speed = self._clock_speed(channel)
        low, high = 0.75 * speed, 1.25 * speed
        _require(f"{name}.gain", calibration.gain, low <= calibration.gain <= high, f"{low:.7g} to {high:.7g}")

    def with_changes(self, **changes: object) -> MeterConfig:
        """Return a copy in which the named fields differ."""
        return replace(self, **changes)

    # ---- channels and samples ------------------------------------------------------------------

    @property
    def channels(self) -> int:
        """Channels of a frame: voltage and current of each element."""
        return 2 * self.elements

    @property
    def last_channel(self) -> int:
        """Index of a frame's last channel."""
        return self.channels - 1

    @property
    def channel_bits(self) -> int:
        """Bits of a channel's index."""
        return clog2(self.channels)

    @property
    def element_bits(self) -> int:
        """Bits of an element's index; the indices after the last element are the meters' totals'."""
        return clog2(self.elements + len(self.meter_elements))

    @property
    def meter_elements(self) -> tuple[int, ...]:
        """Elements of each meter: ``meters``, or one with all."""
        return self.meters or (self.elements,)

    @property
    def meter_elements_most(self) -> int:
        """Elements of the largest meter, for which the widths of all are made."""
        return max(self.meter_elements)

    @property
    def meters_text(self) -> str:
        """What ``--meters`` would say: ``12xS,10xD``."""
        runs = [(size, len(list(run))) for size, run in itertools.groupby(self.meter_elements)]
        return ",".join(f"{number}x{METER_LETTERS.get(size, size)}" for size, number in runs)

    @property
    def meter_bits(self) -> int:
        """Bits of a meter's index; 0 for a single one."""
        return clog2(len(self.meter_elements))

    @property
    def v_lsb(self) -> float:
        """Volts of one LSB of a voltage sample."""
        return self.v_full_scale / (1 << (self.sample_bits - 1))

    @property
    def i_lsb(self) -> float:
        """Amps (primary) of one LSB of a current sample."""
        return self.i_full_scale / (1 << (self.sample_bits - 1))

    def channel_calibration(self, channel: int) -> ChannelCalibration:
        """Return the calibration of one channel, neutral where there is none."""
        return self.calibration[channel] if self.calibration else _NEUTRAL

    # ---- clock -----------------------------------------------------------------------------------

    @property
    def true_sample_rate_hz(self) -> float:
        """Frames in a second of the true time."""
        return self.sample_rate_hz * (1 + self.clock_error_ppm * 1e-6)

    def _clock_speed(self, channel: int) -> float:
        """Return what divides a channel's gain; only the currents' have the clock's error, for it counts once."""
        return 1 + self.clock_error_ppm * 1e-6 if channel % 2 else 1.0

    # ---- window: offset tracking, no-load gate and indicators decide at its end ------------------

    @cached_property
    def window_log2(self) -> int:
        """Least number of frames of a window, as a power of two: the nearest to one second."""
        return round(math.log2(self.sample_rate_hz))

    @property
    def window_frames(self) -> int:
        """Valid frames after which a window ends as soon as the first voltage crosses zero upwards.

        So windows are whole cycles of the mains, and their means are free of the mains' own ripple.
        """
        return 1 << self.window_log2

    @property
    def window_frames_most(self) -> int:
        """Valid frames after which a window ends though no zero crossing came: a period of 40 Hz more."""
        return self.window_frames + self.frames_in(1 / 40)

    @property
    def window_s(self) -> float:
        """Least duration of a window, in s: 0.71 to 1.41."""
        return self.window_frames / self.sample_rate_hz

    @property
    def settle_s(self) -> float:
        """Time that the offset tracking needs, in s: eight windows.

        The first begins anywhere in a cycle; each of the next three, taken whole, leaves of an offset
        what the window is longer than ``window_frames``, at most 3.5 %; then the steps get slower.
        """
        return 8 * self.window_frames_most / self.sample_rate_hz if self.offset_tracking else 0.0

    # ---- offset ----------------------------------------------------------------------------------

    @property
    def offset_bits(self) -> int:
        """Width of an offset correction: a sample with as many fraction bits as a window's mean has."""
        return self.sample_bits + self.window_log2

    @property
    def offset_sum_bits(self) -> int:
        """Width of the sum of a window's samples less their offset; a window has less than twice its least."""
        return self.offset_removed_bits + self.window_log2 + 1

    @property
    def offset_removed_bits(self) -> int:
        """Width of a sample less its offset: the difference of two samples."""
        return self.sample_bits + 1

    def offset_word(self, channel: int) -> int:
        """Return the offset correction to start from, minus the offset, in LSB × 2**-window_log2."""
        return round(-(self.channel_calibration(channel).offset or 0.0) * self.window_frames)

    @property
    def offset_calibrated(self) -> bool:
        """Whether the tracking starts from calibrated offsets, and so with its slowest step."""
        return any(each.offset is not None for each in self.calibration)

    # ---- phase and gain --------------------------------------------------------------------------

    @property
    def path_bits(self) -> int:
        """Width of a sample after phase and gain: offset-removed bits and fraction bits."""
        return self.offset_removed_bits + self.fraction_bits

    @cached_property
    def fraction_bits(self) -> int:
        """Fraction bits of a sample after the phase stage: 2, fewer where the accumulators need the room.

        Two keep the rounding of phase and gain (0.07 LSB rms each) well under the converter's own.
        """
        for bits in (2, 1, 0):
            if self._accumulator_bits(bits) <= ACCUMULATOR_BITS_MAX:
                return bits
        raise ConfigError(
            f"sample_rate_hz is {self.sample_rate_hz:g} with {self.sample_bits} bits and elements {self.elements}: "
            f"the accumulators need {self._accumulator_bits(0)} bits; allowed: {ACCUMULATOR_BITS_MAX} "
            "(a lower sample rate, fewer bits, fewer elements or smaller pulses)"
        )

    @property
    def delay_range_s(self) -> float:
        """Largest delay, either way, of the phase compensation, in s: 3° at 50 Hz."""
        return PHASE_RANGE_DEG / 360 / 50

    @cached_property
    def neutral_delay(self) -> int:
        """Whole samples before the all-pass where ``delay_s`` is 0; it delays by one more."""
        return max(0, math.ceil(self.delay_range_s * self.true_sample_rate_hz - 0.5))

    @property
    def path_delay(self) -> int:
        """Samples by which the pipeline delays a channel where ``delay_s`` is 0."""
        return self.neutral_delay + 1

    @property
    def delay_line_log2(self) -> int:
        """Samples of a channel's delay line, as a power of two."""
        return clog2(2 * self.neutral_delay + 2)

    def phase_word(self, channel: int) -> tuple[int, int]:
        """Return a channel's phase compensation: whole samples, and the all-pass's coefficient × 2**18.

        The coefficient ``a = sin(ω(1 − D)/2) / sin(ω(1 + D)/2)`` makes the phase delay of
        ``(a + z⁻¹) / (1 + a z⁻¹)`` exactly ``D`` samples (0.5 to 1.5) at the line's frequency ω.
        """
        delay = self.path_delay + self.channel_calibration(channel).delay_s * self.true_sample_rate_hz
        whole = min(max(math.floor(delay - 0.5), 0), 2 * self.neutral_delay)
        part = delay - whole
        omega = 2 * math.pi * self.line.hertz / self.true_sample_rate_hz
        a = math.sin(omega * (1 - part) / 2) / math.sin(omega * (1 + part) / 2)
        return whole, round(a * (1 << PHASE_FRACTION_BITS))

    @property
    def factor_bits(self) -> int:
        """Width of the multiplier's second factor: a calibrated sample, the word of a phase, or a gain, below 2."""
        return max(self.path_bits, PHASE_FRACTION_BITS, GAIN_FRACTION_BITS + 2)

    def gain_word(self, channel: int) -> int:
        """Return a channel's gain less one, × 2**24, signed(23): 1.25 becomes the next smaller one.

        A current's has the correction of the clock: where that is fast a sample stands for less time than it is
        taken for, and its energy is as much less.
        """
        gain = self.channel_calibration(channel).gain / self._clock_speed(channel)
        word = round((gain - 1) * (1 << GAIN_FRACTION_BITS))
        return min(word, (1 << (GAIN_FRACTION_BITS - 2)) - 1)

    # ---- energy ----------------------------------------------------------------------------------

    @property
    def product_bits(self) -> int:
        """Width of a product of two calibrated samples."""
        return 2 * self.path_bits

    @property
    def product_max(self) -> int:
        """Largest magnitude of a product, in LSB."""
        return 1 << (self.product_bits - 2)

    @cached_property
    def product_wh(self) -> Fraction:
        """Energy of one LSB of a product, in Wh, exactly."""
        return self._product_wh(self.fraction_bits)

    def _product_wh(self, fraction_bits: int) -> Fraction:
        full_scale = _fraction(self.v_full_scale) * _fraction(self.i_full_scale)
        lsb = full_scale / 4 ** (self.sample_bits - 1 + fraction_bits)
        return lsb / _fraction(self.sample_rate_hz) / 3600

    @cached_property
    def quantum_wh(self) -> Fraction:
        """Energy of one count of a register, in Wh: 1, 2 or 5 × 10ⁿ, more than one sample can carry."""
        # A product's largest magnitude is four full scales: path_bits holds twice a full-scale sample.
        return _preferred_above(4 * self._full_scale_wh)

    @property
    def _full_scale_wh(self) -> Fraction:
        """Energy of one sample with both channels at full scale, in Wh."""
        return self._product_wh(0) * 4 ** (self.sample_bits - 1)

    @cached_property
    def quantum(self) -> int:
        """Energy of one count of a register, in LSB."""
        return round(self.quantum_wh / self.product_wh)

    @cached_property
    def hysteresis_wh(self) -> Fraction:
        """Net energy that has to flow back before the direction turns, in Wh.

        Full scale at the lowest frequency swings S/ω within half a cycle; more than a quantum.
        """
        omega = 2 * math.pi * LINE_FREQUENCY_RANGE_HZ[0]
        swing = _fraction(self.v_full_scale) * _fraction(self.i_full_scale) / 2 / _fraction(omega) / 3600
        return max(swing, self.quantum_wh)

    @cached_property
    def hysteresis(self) -> int:
        """Net energy that has to flow back before the direction turns, in LSB."""
        return round(self.hysteresis_wh / self.product_wh)

    @property
    def no_load_watts(self) -> float:
        """Power below which an element counts as not loaded, in W."""
        return self.no_load_fraction * self.class_amps * self.line.v_nominal

    @cached_property
    def start_energy(self) -> int:
        """Net energy within a window, in LSB, by which an element turns out to be loaded."""
        return max(1, round(_fraction(self.no_load_watts) * _fraction(self.window_s) / 3600 / self.product_wh))

    @cached_property
    def tick_wh(self) -> Fraction:
        """Energy of one tick, in Wh: the unit of which all outputs' half pulses are whole multiples."""
        return _gcd(Fraction(self.pulse_wh, 2), _fraction(self.test_kh_wh) / 2)

    @cached_property
    def tick(self) -> int:
        """Energy of one tick, in LSB."""
        return round(self.tick_wh / self.product_wh)

    @cached_property
    def accumulator_bits(self) -> int:
        """Width of every energy accumulator, signed."""
        return self._accumulator_bits(self.fraction_bits)

    def _accumulator_bits(self, fraction_bits: int) -> int:
        lsb = self._product_wh(fraction_bits)
        # What can be pending in one element: a reversal's or the gate's energy, a quantum, a few samples.
        pending = self.hysteresis_wh + self.quantum_wh + 16 * self._full_scale_wh
        return signed_width(math.ceil((self.tick_wh + 2 * self.meter_elements_most * pending) / lsb))

    @cached_property
    def register_bits(self) -> int:
        """Width of a register: twenty years of every element of a meter at full scale, unsigned, then it rolls over."""
        return clog2(math.ceil(self._full_scale_watts * REGISTER_LIFE_HOURS / self.quantum_wh))

    @property
    def _full_scale_watts(self) -> Fraction:
        """Power of the largest meter's elements with sines of full scale, in W."""
        return _fraction(self.v_full_scale) * _fraction(self.i_full_scale) / 2 * self.meter_elements_most

    # ---- outputs ---------------------------------------------------------------------------------

    @cached_property
    def queue_bits(self) -> int:
        """Width of what waits in an output, unsigned: a month of every element of a meter at full scale."""
        return clog2(math.ceil(self._full_scale_watts * QUEUE_LIFE_HOURS / self.tick_wh))

    @property
    def pulse_half_ticks(self) -> int:
        """Ticks of half a pulse of Output 10."""
        return int(Fraction(self.pulse_wh, 2) / self.tick_wh)

    @property
    def test_half_ticks(self) -> int:
        """Ticks of half a test pulse."""
        return int(_fraction(self.test_kh_wh) / 2 / self.tick_wh)

    @property
    def counter_half_pulses(self) -> int:
        """Half pulses of Output 10 in one count of the counter."""
        return 2 * self.counter_wh // self.pulse_wh

    def frames_in(self, seconds: float) -> int:
        """Return the fewest frames that last at least ``seconds``."""
        return math.ceil(_fraction(seconds) * _fraction(self.sample_rate_hz))

    # ---- indicators ------------------------------------------------------------------------------

    @property
    def indicator_shift(self) -> int:
        """Bits of a calibrated sample that the indicators leave out."""
        return self.path_bits - INDICATOR_BITS

    @property
    def indicator_bits(self) -> int:
        """Width of a window's sum of squares, unsigned."""
        return 2 * (INDICATOR_BITS - 1) + 1 + self.window_log2

    def _square_sum(self, rms: float, full_scale: float) -> int:
        # Half of the range of path_bits is the converter's full scale.
        return round((rms / full_scale * (1 << (INDICATOR_BITS - 2))) ** 2 * self.window_frames)

    @cached_property
    def _square_sums(self) -> tuple[int, int, int]:
        """The ends of the ranges: 1 % under the line's least voltage, 1 % over its most, 110.5 % of the class amps.

        The half percent is what ``window_frames`` squares, which are not of whole cycles, can add to 110 %.
        """
        return (
            self._square_sum(0.99 * self.line.v_min, self.v_full_scale),
            self._square_sum(1.01 * self.line.v_max, self.v_full_scale),
            self._square_sum(1.105 * self.class_amps, self.i_full_scale),
        )

    @property
    def indicator_step_log2(self) -> int:
        """Bits of a sum of squares that the comparisons leave out: limits are rounded by 0.01 % at most."""
        return max(0, min(self._square_sums).bit_length() - 13)

    def _in_steps(self, square_sum: int) -> int:
        step = 1 << self.indicator_step_log2
        return round(Fraction(square_sum, step)) * step

    @property
    def voltage_low(self) -> int:
        """Sum of squares of a window below which the voltage is out of range: 1 % under the line's least."""
        return self._in_steps(self._square_sums[0])

    @property
    def voltage_high(self) -> int:
        """Sum of squares of a window above which the voltage is out of range: 1 % over the line's most."""
        return self._in_steps(self._square_sums[1]) - 1

    @property
    def current_high(self) -> int:
        """Sum of squares of a window above which the current is over range: 110.5 % of the class amps."""
        return self._in_steps(self._square_sums[2]) - 1

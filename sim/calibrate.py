"""Calibration as a factory bench does it: only from what the meter shows against the bench's true values.

Each element is loaded alone, with the test amps: at unity power factor for the gain, at 0.5 lagging for the phase.
Before that all current circuits are open, for the offsets. A meter that registers ``K cos(φ + β)`` of a true ``cos φ``,
because its gains are off by the factor K and its current is late by the angle β, shows

    r = K cos(φ + β) / cos φ = K cos β − tan φ · K sin β

of the true energy. Two loads of different φ give K cos β and K sin β, exactly. A meter of energy cannot tell a
voltage's gain from a current's, nor a voltage's delay from a current's: the current's channel takes both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from blondel.hdl.config import ChannelCalibration, ConfigError, MeterConfig
from blondel.sim.afe.front_end import FrontEnd
from blondel.sim.afe.parts import Parts
from blondel.sim.bench import Reading, Step, current_words, take_readings
from blondel.sim.source.loads import power_factor

__all__ = [
    "LATE_DEG",
    "TEST_FRACTION",
    "UNCERTAINTY",
    "Adjusted",
    "Adjustment",
    "BenchError",
    "adjust",
    "calibrate",
    "plan_steps",
    "simulate",
    "test_amps",
]

#: Test amps (TA) as a part of the class amps: 15 A for class 100, 30 A for class 200, after California's Division of
#: Measurement Standards, EPO 39-1, as electricalengineering.xyz quotes it; ANSI C12.20 itself was not seen. The same
#: part for other classes is an assumption.
TEST_FRACTION = 0.15
#: The bench's own uncertainty of energy, as a part of it: an assumption.
UNCERTAINTY = 1e-4
#: Least duration of a step on the simulated bench, in s.
STEP_S = 1.0
#: Change of an offset, as a part of full scale, that is not worth a new word: both channels off by as much are
#: 0.1 µW on a meter for 100 A. Neither is one of less than an LSB.
OFFSET_RESOLUTION = 1e-6
#: A CT is early, because it takes its magnetizing current from what it transforms. The filters of voltage and current
#: make up for no more than this, in degrees (an assumption): what seems later is a leading load.
LATE_DEG = 0.007
#: Decimals of what is found: gain and delay (s), finer than the core's words at 8 kS/s; offset (LSB).
GAIN_DECIMALS, DELAY_DECIMALS, OFFSET_DECIMALS = 8, 10, 2

#: Names of the three kinds of step.
NO_LOAD, UNITY, LAG = "no load", "unity power factor", "0.5 lag"


class BenchError(ValueError):
    """The readings cannot calibrate this meter; the message is one line that says what is wrong at the bench."""


@dataclass(frozen=True)
class Adjusted:
    """What calibration does to an element.

    Parameters
    ----------
    unity_found, lag_found : float
        Error of its energy with the words that the meter had, as a part of the true energy: at unity power factor and
        at 0.5 lagging.
    unity_left, lag_left : float
        Error that is to be expected with the new words.
    kept : bool
        Whether both errors were within the bench's uncertainty, so that gain and delay stay as they are.
    current : ChannelCalibration
        The current's new words.
    """

    unity_found: float
    lag_found: float
    unity_left: float
    lag_left: float
    kept: bool
    current: ChannelCalibration


@dataclass(frozen=True)
class Adjustment:
    """What calibration does to a meter.

    Parameters
    ----------
    config : MeterConfig
        The meter's, with its new calibration.
    elements : tuple of Adjusted
        Each element's errors and words.
    """

    config: MeterConfig
    elements: tuple[Adjusted, ...]


def test_amps(config: MeterConfig) -> float:
    """Return the current at which a meter is calibrated, in A rms."""
    return TEST_FRACTION * config.class_amps


def plan_steps(config: MeterConfig) -> tuple[Step, ...]:
    """Return the steps of a calibration: no load; then each element alone, at unity and at 0.5 lag."""
    volts = (config.line.v_nominal,) * config.elements

    def step(element: int | None, factor: str) -> Step:
        amps = tuple(test_amps(config) if e == element else 0.0 for e in range(config.elements))
        return Step(volts, amps, factor, float(config.line.hertz))

    return (step(None, "1"), *(step(e, factor) for e in range(config.elements) for factor in ("1", "0.5lag")))


def calibrate(
    config: MeterConfig,
    parts: Parts,
    *,
    temperature_c: float = 23.0,
    seed: int = 0,
    uncertainty: float = UNCERTAINTY,
) -> MeterConfig:
    """Calibrate a simulated meter on a simulated bench.

    Parameters
    ----------
    config : MeterConfig
        The meter's, with the calibration that it has.
    parts : Parts
        Its analog side.
    temperature_c : float
        The bench's temperature. Default 23.
    seed : int
        Of the noise. Default 0.
    uncertainty : float
        The bench's, as a part of the energy. Default :data:`UNCERTAINTY`.

    Returns
    -------
    MeterConfig
        The configuration with the calibration that was found; the same one where there is nothing to change.

    Raises
    ------
    BenchError
        This meter cannot be calibrated.
    """
    readings = simulate(config, parts, temperature_c=temperature_c, seed=seed, uncertainty=uncertainty)
    return adjust(config, readings, uncertainty=uncertainty).config


def simulate(
    config: MeterConfig, parts: Parts, *, temperature_c: float, seed: int, uncertainty: float
) -> list[Reading]:
    """Take the readings of a calibration on the simulated bench: parameters as for :func:`calibrate`."""
    front_end = FrontEnd(config, parts, temperature_c=temperature_c, seed=seed)
    rate = front_end.sample_rate_hz
    seconds = max(STEP_S, _least_seconds(config, uncertainty))
    return take_readings(config, front_end, plan_steps(config), sample_rate_hz=rate, seconds=seconds)


def adjust(
    config: MeterConfig,
    readings: Sequence[Reading],
    *,
    uncertainty: float = UNCERTAINTY,
    late_deg: float = LATE_DEG,
) -> Adjustment:
    """Work out a meter's calibration.

    Where an element's errors are within the bench's uncertainty its words stay as they are, and so does an offset
    within :data:`OFFSET_RESOLUTION` or an LSB: calibrating once more changes nothing.

    Parameters
    ----------
    config : MeterConfig
        The meter's, with the calibration that it had when the readings were taken.
    readings : sequence of Reading
        A step without load, and for each element one at unity power factor and one at 0.5 lagging; in any order.
    uncertainty : float
        The bench's, as a part of the energy. Default :data:`UNCERTAINTY`.
    late_deg : float
        By how much a meter's current may be late against its voltage, before any compensation, in degrees. Default
        :data:`LATE_DEG`.

    Raises
    ------
    BenchError
        A step is missing, or the readings show that something is wrong at the bench or with the meter.
    """
    by_step = _sorted(config, readings)
    for (element, kind), reading in by_step.items():
        for check in (_check_bench, _check_meter, _check_energy):
            fault = check(config, reading, uncertainty)
            if fault:
                raise BenchError(f"{_where(element, kind)}: {fault}")
    offsets = by_step[None, NO_LOAD].offsets
    for channel, offset in enumerate(offsets):
        allowed = _refused(config, channel, ChannelCalibration(offset=offset))
        if allowed:
            whose = f"element {channel // 2 + 1}'s {('voltage', 'current')[channel % 2]}"
            raise BenchError(f"{whose} has an offset of {offset:.0f} LSB, beyond correction; allowed: {allowed}")
    channels: list[ChannelCalibration] = []
    elements = []
    for element in range(config.elements):
        voltage, current = (
            _with_offset(config, config.channel_calibration(channel), offsets[channel])
            for channel in (2 * element, 2 * element + 1)
        )
        unity, lag = by_step[element, UNITY], by_step[element, LAG]
        adjusted = _adjust_element(element, current, unity, lag, uncertainty)
        if not adjusted.kept:
            _check_range(config, element, adjusted)
            late = 360 * lag.hertz * (voltage.delay_s - adjusted.current.delay_s)
            if late > late_deg:
                raise BenchError(
                    f"element {element + 1} at {LAG}: the current seems to be {late:.3g}° late, but a CT is early: "
                    "the load is 0.5 lead"
                )
        elements.append(adjusted)
        channels += [voltage, adjusted.current]
    return Adjustment(config.with_changes(calibration=tuple(channels)), tuple(elements))


def _least_seconds(config: MeterConfig, uncertainty: float) -> float:
    """Return how long a step has to last: one frame too many or too few is the bench's uncertainty."""
    return 1 / (uncertainty * config.sample_rate_hz)


# ---- the readings ----------------------------------------------------------------------------------


def _kind(reading: Reading) -> str:
    """Tell which step a reading is of."""
    if reading.element is None:
        return NO_LOAD
    cosine, sine = power_factor(reading.power_factor)
    if cosine >= 0.95:
        return UNITY
    if 0.4 <= cosine <= 0.6 and sine > 0:
        return LAG
    raise BenchError(
        f"element {reading.element + 1}: the power factor is {reading.power_factor}; allowed: 1 and 0.5lag"
    )


def _sorted(config: MeterConfig, readings: Sequence[Reading]) -> dict[tuple[int | None, str], Reading]:
    """Return the readings by element and kind of step, in the order of the steps."""
    found: dict[tuple[int | None, str], Reading] = {}
    for reading in readings:
        if reading.element is not None and not 0 <= reading.element < config.elements:
            raise BenchError(f"there is no element {reading.element + 1}; the meter has {config.elements}")
        key = reading.element, _kind(reading)
        if key in found:
            raise BenchError(f"{_where(*key)} was read twice")
        found[key] = reading
    wanted = [(None, NO_LOAD), *((element, kind) for element in range(config.elements) for kind in (UNITY, LAG))]
    for key in wanted:
        if key not in found:
            raise BenchError(f"the step {_where(*key)} is missing")
    return {key: found[key] for key in wanted}


def _where(element: int | None, kind: str) -> str:
    return kind if element is None else f"element {element + 1} at {kind}"


def _check_bench(config: MeterConfig, reading: Reading, uncertainty: float) -> str | None:
    """Return what is wrong with what the bench states."""
    line = config.line
    if not line.v_min <= reading.volts <= line.v_max:
        return (
            f"wrong voltage: the bench applies {reading.volts:g} V; allowed at {line.hertz} Hz: {line.v_min:g} to "
            f"{line.v_max:g} V"
        )
    if abs(reading.hertz / line.hertz - 1) > 0.02:
        return f"wrong frequency: the bench applies {reading.hertz:g} Hz; the meter is for {line.hertz} Hz"
    least = _least_seconds(config, uncertainty)
    if reading.seconds < least - 1 / config.sample_rate_hz:
        return (
            f"the run is too short: {reading.seconds:g} s; for {100 * uncertainty:g} % it takes {least:.3g} s or more, "
            "because its ends are known to a frame"
        )
    # Registers may be read before the load comes and after it went; they take in as much, in more frames.
    counted, expected = reading.frames + reading.lost, reading.seconds * config.sample_rate_hz
    if counted < 0.99 * expected:
        return (
            f"the meter took {counted} frames in the bench's {reading.seconds:g} s, and should have taken "
            f"{expected:.0f}: its registers were read over less time"
        )
    if reading.element is None:
        return None
    amps = test_amps(config)
    if reading.amps < amps / 2:
        return f"the load is too small: {reading.amps:g} A; allowed: {amps / 2:g} A or more, best {amps:g} A"
    if reading.amps > config.class_amps:
        return f"the load is too large: {reading.amps:g} A; allowed: up to {config.class_amps:g} A, best {amps:g} A"
    cosine, _ = power_factor(reading.power_factor)
    stated = reading.volts * reading.amps * cosine * reading.seconds / 3600
    if abs(reading.true_wh / stated - 1) > 0.02:
        return (
            f"the bench's true values disagree: {reading.true_wh:.6g} Wh, but {reading.volts:g} V × {reading.amps:g} A "
            f"at {reading.power_factor} are {stated:.6g} Wh in {reading.seconds:g} s"
        )
    return None


def _check_meter(config: MeterConfig, reading: Reading, uncertainty: float) -> str | None:
    """Return what the meter itself says is wrong."""
    for element, pair in enumerate(zip(reading.current_words, current_words(config), strict=True), start=1):
        for name, shown, expected in zip(("gain", "phase"), *pair, strict=True):
            if shown != expected:
                return (
                    f"element {element}'s current has the {name} word {shown}, and {expected} in the calibration that "
                    "the meter is said to have"
                )
    if reading.lost:
        return f"the meter lost {reading.lost} frames: its converter does not work, or is disturbed"
    for element, raised in enumerate(reading.voltage, start=1):
        if raised:
            return (
                f"wrong voltage: the bench states {reading.volts:g} V, and the meter that element {element}'s is out "
                "of its line's range, or missing"
            )
    for element, raised in enumerate(reading.overrange, start=1):
        if raised:
            return f"element {element} is overrange: more than 110 % of {config.class_amps:g} A, or clipped"
    # What the output emits comes from the sum of all elements; one pulse more or less may be in the making.
    delivered = sum(wh for wh in reading.net_wh if wh > 0)
    pulses = reading.test_pulses * config.test_kh_wh
    if abs(pulses - delivered) > 1.1 * config.test_kh_wh:
        return (
            f"pulses and registers disagree: {reading.test_pulses} pulses of {config.test_kh_wh:g} Wh, and "
            f"{delivered:.6g} Wh in the registers"
        )
    return None


def _check_energy(config: MeterConfig, reading: Reading, uncertainty: float) -> str | None:
    """Return what is wrong with where the energy shows, and how much."""
    if reading.element is None:
        seconds = reading.frames / config.sample_rate_hz
        for element, wh in enumerate(reading.net_wh, start=1):
            watts = wh * 3600 / seconds
            if abs(watts) > config.no_load_watts:
                return f"element {element} takes {watts:.3g} W: its current circuit is not open"
        return None
    own = reading.net_wh[reading.element] / reading.true_wh
    others = {e: wh / reading.true_wh for e, wh in enumerate(reading.net_wh) if e != reading.element}
    other = max(others, key=lambda e: abs(others[e]), default=None)
    if abs(own) < 0.1:
        if other is not None and abs(others[other]) > 0.1:
            return (
                f"CTs swapped: the energy shows on element {other + 1}: CT{reading.element + 1} and CT{other + 1} "
                "change places"
            )
        return "no energy: the voltage is missing, or the current circuit is open"
    if other is not None and abs(others[other]) > 0.01:
        return (
            f"element {other + 1} is loaded too: it registers {reading.net_wh[other]:.4g} Wh while element "
            f"{reading.element + 1} alone should be loaded"
        )
    if own < 0:
        return "CT turned round: the energy is received; X1 and X2 change places"
    if _kind(reading) == UNITY:
        for factor, what in ((0.5, "half"), (2.0, "twice")):
            if 0.8 * factor <= own <= 1.2 * factor:
                return (
                    f"wrong CT: the meter registers {what} the energy ({own:.4g} of it), as with a CT of "
                    f"{config.class_amps / factor:g} A : 0.1 A; it is made for {config.class_amps:g} A : 0.1 A"
                )
    return None


# ---- the words -------------------------------------------------------------------------------------


def _with_offset(config: MeterConfig, calibration: ChannelCalibration, tracked: float) -> ChannelCalibration:
    """Return a channel's calibration with the tracked offset, or with its own where that is as good."""
    # Corrections are added in whole LSB, and where a converter's noise is less than that so is what is tracked.
    resolution = max(OFFSET_RESOLUTION * (1 << (config.sample_bits - 1)), 1.0)
    if calibration.offset is not None and abs(calibration.offset - tracked) <= resolution:
        return calibration
    return replace(calibration, offset=round(tracked, OFFSET_DECIMALS) + 0.0)


def _adjust_element(
    element: int, current: ChannelCalibration, unity: Reading, lag: Reading, uncertainty: float
) -> Adjusted:
    """Work out an element's gain and delay, as the module explains."""
    tangents = [sine / cosine for cosine, sine in (power_factor(each.power_factor) for each in (unity, lag))]
    ratios = [each.net_wh[element] / each.true_wh for each in (unity, lag)]
    found = [ratio - 1 for ratio in ratios]
    if all(abs(error) <= uncertainty for error in found):
        return Adjusted(*found, *found, kept=True, current=current)
    quadrature = (ratios[0] - ratios[1]) / (tangents[1] - tangents[0])
    in_phase = ratios[0] + tangents[0] * quadrature
    gain, late = math.hypot(in_phase, quadrature), math.atan2(quadrature, in_phase)
    omega = 2 * math.pi * lag.hertz
    adjusted = replace(
        current,
        gain=round(current.gain / gain, GAIN_DECIMALS),
        delay_s=round(current.delay_s - late / omega, DELAY_DECIMALS) + 0.0,
    )
    # What the decimals leave.
    gain *= adjusted.gain / current.gain
    late += omega * (adjusted.delay_s - current.delay_s)
    left = [gain * (math.cos(late) - tangent * math.sin(late)) - 1 for tangent in tangents]
    return Adjusted(*found, *left, kept=False, current=adjusted)


def _check_range(config: MeterConfig, element: int, adjusted: Adjusted) -> None:
    """Refuse what the core cannot correct."""
    gain, delay = adjusted.current.gain, adjusted.current.delay_s
    for word, kind, error, what in (
        (ChannelCalibration(gain=gain), UNITY, adjusted.unity_found, f"a gain of {gain:.4g}"),
        (ChannelCalibration(delay_s=delay), LAG, adjusted.lag_found, f"a delay of {delay * 1e6:.4g} µs"),
    ):
        allowed = _refused(config, 2 * element + 1, word)
        if allowed:
            raise BenchError(
                f"{_where(element, kind)}: the error of {100 * error:+.4g} % is beyond correction: it takes {what}; "
                f"allowed: {allowed}"
            )


def _refused(config: MeterConfig, channel: int, calibration: ChannelCalibration) -> str | None:
    """Return what is allowed where the core cannot have a calibration of one channel."""
    channels = [ChannelCalibration()] * config.channels
    channels[channel] = calibration
    try:
        config.with_changes(calibration=tuple(channels))
    except ConfigError as error:
        return error.allowed
    return None

"""A meter for a recording: one of the models where its ratings cover it, else one made to measure."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np

from blondel.hdl.config import LINE_FREQUENCY_RANGE_HZ, LINES, ConfigError, Line, MeterConfig
from blondel.hdl.model_number import ModelNumber
from blondel.host.describe import RATED_MAX
from blondel.sim.source.recording import Recording

__all__ = ["Extent", "config_for", "extent"]

#: Samples in which the mains' frequency is looked for.
_SPECTRUM_FRAMES = 1 << 20
#: A sine at full scale is 110 % of the class amps, and something more.
_FULL_SCALE_OVER_CLASS = 1.6
#: Room above a recording's peak.
_HEADROOM = 1.05
#: Full scales of the current that are tried, from the one that fits on.
_FULL_SCALES = 15
#: Largest voltage and current that a meter is made for, in V and A: what full scale may be.
_PEAK_MAX = 1e7
#: Below this frequency, in Hz, the voltage swings slowly, and is no mains.
_LEAST_HZ = 5.0
#: A current that is nowhere is measured as if it were as large as this, in A.
_LEAST_AMPS = 0.1


@dataclass(frozen=True)
class Extent:
    """How large a recording is.

    Parameters
    ----------
    line_hz : int
        Nominal frequency of the mains: the nearer of 50 and 60 Hz.
    fundamental_hz : float or None
        Frequency of the voltage's largest component, within 0.5 Hz; ``None`` where there is no voltage.
    v_rms, i_rms : ndarray, (elements,)
        Voltage and current of each element, less DC, in V and A rms.
    v_peak, i_peak : float
        Largest magnitudes, in V and A.
    """

    line_hz: int
    fundamental_hz: float | None
    v_rms: np.ndarray
    i_rms: np.ndarray
    v_peak: float
    i_peak: float


def _mains(recording: Recording) -> tuple[int, float | None]:
    """Return the mains' nominal frequency, and what the recording's is."""
    volts = recording.volts[:_SPECTRUM_FRAMES] - recording.volts[:_SPECTRUM_FRAMES].mean(axis=0)
    # At least a line per hertz, however short the recording is.
    length = max(len(volts), math.ceil(recording.sample_rate_hz))
    power = (np.abs(np.fft.rfft(volts * np.hanning(len(volts))[:, np.newaxis], length, axis=0)) ** 2).sum(axis=1)
    hertz = np.fft.rfftfreq(length, 1 / recording.sample_rate_hz)
    line_hz = max(LINES, key=lambda line_hz: power[np.abs(hertz - line_hz) < 5].sum())
    alternating = np.where(hertz < _LEAST_HZ, 0.0, power)
    return line_hz, float(hertz[alternating.argmax()]) if alternating.any() else None


def extent(recording: Recording) -> Extent:
    """Find out how large a recording is.

    Raises
    ------
    ConfigError
        No meter can be made for its sample rate, or for its peaks.
    """
    if not 400 <= recording.sample_rate_hz <= 1e6:
        raise ConfigError(f"sample_rate_hz is {recording.sample_rate_hz:g}; allowed: 400 to 1,000,000 Hz")
    v_peak, i_peak = (float(np.abs(each).max()) for each in (recording.volts, recording.amps))
    for what, peak, unit in (("voltage", v_peak, "V"), ("current", i_peak, "A")):
        if not peak <= _PEAK_MAX:
            raise ConfigError(f"{what} has a peak of {peak:g} {unit}; allowed: up to {_PEAK_MAX:,.0f} {unit}")
    line_hz, fundamental_hz = _mains(recording)
    return Extent(
        line_hz=line_hz,
        fundamental_hz=fundamental_hz,
        v_rms=recording.volts.std(axis=0),
        i_rms=recording.amps.std(axis=0),
        v_peak=v_peak,
        i_peak=i_peak,
    )


def _model_for(recording: Recording, size: Extent, bits: int) -> MeterConfig | None:
    """Return the smallest model whose ratings cover the recording."""
    for amps in (100, 200):
        if recording.elements > 2:
            break
        config = MeterConfig.for_model(
            ModelNumber(recording.elements, 100, amps, "NC"), size.line_hz,
            sample_rate_hz=recording.sample_rate_hz, sample_bits=bits,
        )  # fmt: skip
        covers_voltage = (config.line.v_min <= size.v_rms).all() and (size.v_rms <= config.line.v_max).all()
        covers_current = (size.i_rms <= RATED_MAX * amps).all() and size.i_peak <= config.i_full_scale
        if covers_voltage and covers_current and size.v_peak <= config.v_full_scale:
            return config
    return None


def _preferred(value: float) -> float:
    """Return the smallest of 1, 2, 5 times a power of ten that is not below ``value``."""
    decade = 10.0 ** math.floor(math.log10(value))
    return next(m * decade for m in (1, 2, 5, 10) if m * decade >= value)


def _pulse_wh(full_scale_watts: float) -> int:
    """Return the smallest pulse, a power of ten, whose outputs full scale does not make queue."""
    # Power swings by itself twice a cycle: at the lowest frequency a half pulse comes up to 1/ω earlier.
    shortest_s = MeterConfig.pulse_min_s + 1 / (2 * math.pi * LINE_FREQUENCY_RANGE_HZ[0])
    return 10 ** max(0, math.ceil(math.log10(max(2 * full_scale_watts * shortest_s / 3600, 1.0))))


def _made_to_measure(recording: Recording, size: Extent, bits: int) -> MeterConfig:
    v_rms = size.v_rms[size.v_rms > 0] if size.v_rms.any() else np.array([LINES[size.line_hz].v_nominal])
    line = Line(size.line_hz, float(f"{0.9 * v_rms.min():.3g}"), float(f"{1.1 * v_rms.max():.3g}"))
    # MeterConfig wants room for 115 % of the line's highest voltage.
    v_full_scale = _preferred(max(_HEADROOM * size.v_peak, 1.15 * math.sqrt(2) * line.v_max))
    i_full_scale = _preferred(max(_HEADROOM * size.i_peak, _FULL_SCALE_OVER_CLASS * size.i_rms.max(), _LEAST_AMPS))
    full_scales = [i_full_scale]
    while len(full_scales) < _FULL_SCALES:
        full_scales.append(_preferred(1.01 * full_scales[-1]))
    refused = None
    # Small energies need more bits than the accumulators have: a larger full scale has coarser ones.
    # Many elements and few samples need larger pulses.
    for factor, i_full_scale in itertools.product((1, 10, 100), full_scales):
        # Sines of full scale on every element: more than the recording's peaks.
        pulse_wh = factor * _pulse_wh(recording.elements * v_full_scale * i_full_scale / 2)
        try:
            return MeterConfig(
                line=line,
                class_amps=i_full_scale / _FULL_SCALE_OVER_CLASS,
                elements=recording.elements,
                sample_rate_hz=recording.sample_rate_hz,
                sample_bits=bits,
                v_full_scale=v_full_scale,
                i_full_scale=i_full_scale,
                pulse_wh=pulse_wh,
                counter_wh=10 * pulse_wh,
            )
        except ConfigError as error:
            refused = refused or error
    raise refused


def config_for(recording: Recording, bits: int = 24) -> MeterConfig:
    """Choose a meter for a recording.

    A single or dual element model with the customer's own CTs where the recording is within its line and its
    current rating; else a configuration of its own (``model`` is ``None``): full scale the next 1, 2 or 5 × 10ⁿ
    above the peak, the line ±10 % around the measured voltage, pulses that sines of full scale do not make
    queue.

    Parameters
    ----------
    recording : Recording
        What is to be metered.
    bits : int
        Bits of a sample. Default 24.

    Raises
    ------
    ConfigError
        No meter can be made for it, by its sample rate or its size.
    """
    size = extent(recording)
    return _model_for(recording, size, bits) or _made_to_measure(recording, size, bits)

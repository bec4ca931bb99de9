"""The analog errors of an ADS131M04, and of its clock.

What is on the converter's pins is :mod:`blondel.sim.afe.ads131m`; this is what its codes are worth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from blondel.sim.afe.temperature import REFERENCE_C, drift

__all__ = [
    "ADC_CURRENT_GAIN", "ADC_OSR", "ADC_V", "DELAY", "NOISE_V", "Adc", "AdcChannel", "Oscillator", "fit_taps",
    "sinc3",
]  # fmt: skip

#: Full scale at gain 1, in V; the currents' gain; oversampling.
ADC_V, ADC_CURRENT_GAIN, ADC_OSR = 1.2, 2, 512
#: Noise at the input, in V rms, with an oversampling of 512, by gain: the ADS131M04-Q1's data sheet, table 7-1.
NOISE_V = {1: 7.56e-6, 2: 6.62e-6}
#: Frequency at which crosstalk is stated.
CROSSTALK_HZ = 60.0
#: Delay of the taps that stand for the filters, in frames.
DELAY = 3
#: The filters are met up to this part of the sample rate, and best below the other.
_BAND, _BEST = 0.2, 0.01

#: Gain, real or complex, at frequencies in cycles per frame.
Response = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class AdcChannel:
    """Errors of one channel; every default is none.

    Parameters
    ----------
    noise : float
        Rms in a sample, as a part of full scale.
    offset, offset_drift_per_k : float
        DC offset at 23 °C, and its drift, as a part of full scale.
    gain_error, gain_drift_ppm_per_k : float
        Gain at 23 °C less one, and its drift, but for the reference's.
    """

    noise: float = 0.0
    offset: float = 0.0
    offset_drift_per_k: float = 0.0
    gain_error: float = 0.0
    gain_drift_ppm_per_k: float = 0.0

    def gain(self, temperature_c: float) -> float:
        """Return the gain at a temperature."""
        return (1 + self.gain_error) * drift(self.gain_drift_ppm_per_k, temperature_c)

    def offset_at(self, temperature_c: float) -> float:
        """Return the offset at a temperature, as a part of full scale."""
        return self.offset + self.offset_drift_per_k * (temperature_c - REFERENCE_C)


@dataclass(frozen=True)
class Adc:
    """Errors of a converter; every default is none.

    Parameters
    ----------
    channels : tuple of AdcChannel
        Voltage and current of element 0 first.
    reference_error, reference_drift_ppm_per_k : float
        Of the reference, common to all channels: a higher one makes smaller codes.
    cubic : float
        Part of full scale that a full-scale input is too small by, as its cube.
    crosstalk : float
        Part of what an element's voltage input has, in V, that its current input gets, and the other way round: through
        a capacitance, a quarter of a cycle ahead, at 60 Hz.
    crosstalk_in_phase : float
        The same, in phase.
    sinc3 : bool
        Whether the decimation filter's droop is there.
    """

    channels: tuple[AdcChannel, ...]
    reference_error: float = 0.0
    reference_drift_ppm_per_k: float = 0.0
    cubic: float = 0.0
    crosstalk: float = 0.0
    crosstalk_in_phase: float = 0.0
    sinc3: bool = False

    def reference(self, temperature_c: float) -> float:
        """Return the reference at a temperature over its nominal voltage."""
        return (1 + self.reference_error) * drift(self.reference_drift_ppm_per_k, temperature_c)


@dataclass(frozen=True)
class Oscillator:
    """The converter's clock: a crystal of AT cut.

    Parameters
    ----------
    error_ppm : float
        At 25 °C, in ppm; positive is fast.
    linear_ppm_per_k, cubic_ppm_per_k3 : float
        Of its curve about 25 °C.
    """

    error_ppm: float = 0.0
    linear_ppm_per_k: float = 0.0
    cubic_ppm_per_k3: float = 0.0

    def ppm(self, temperature_c: float) -> float:
        """Return the error at a temperature."""
        kelvin = temperature_c - 25
        return self.error_ppm + self.linear_ppm_per_k * kelvin + self.cubic_ppm_per_k3 * kelvin**3


def sinc3(cycles: np.ndarray) -> np.ndarray:
    """Return the decimation filter's magnitude at frequencies in cycles per frame; its delay is left out."""
    return np.sinc(cycles) ** 3


def fit_taps(response: Response) -> np.ndarray:
    """Return the seven taps that come nearest to a response, delayed by :data:`DELAY` frames, by least squares.

    Weights favour low frequencies: sinc³ and a pole of 2.4 µs at 8,000 frames/s are met within 5 × 10⁻⁸ at 60 Hz,
    3 × 10⁻⁶ up to 1 kHz and 4 × 10⁻⁵ up to 1.6 kHz.

    Parameters
    ----------
    response : Response
        Gain, real or complex, at frequencies in cycles per frame.
    """
    cycles = np.linspace(0, _BAND, 401)
    weight = (_BEST / (_BEST + cycles)) ** 2
    turn = np.exp(-2j * np.pi * np.outer(cycles, np.arange(-DELAY, DELAY + 1))) * weight[:, np.newaxis]
    wanted = response(cycles).astype(complex) * weight
    taps, *_ = np.linalg.lstsq(np.vstack([turn.real, turn.imag]), np.hstack([wanted.real, wanted.imag]), rcond=None)
    return taps

"""The analog front end of a meter: everything between the line and the codes."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from blondel.hdl.config import MeterConfig
from blondel.sim.afe.adc import codes_for
from blondel.sim.afe.burden import CT_SECONDARY_A
from blondel.sim.afe.converter import ADC_CURRENT_GAIN, CROSSTALK_HZ, DELAY, Response, fit_taps, sinc3
from blondel.sim.afe.current_transformer import step
from blondel.sim.afe.parts import Parts
from blondel.sim.afe.temperature import REFERENCE_C
from blondel.sim.noise import gaussian_pair, stream_key, uniform

__all__ = ["FrontEnd", "Parts"]

_DITHER, _NOISE = 0, 1
#: At power-up the core is demagnetized: so much of its flux leaks away per second, which fades to none in a second.
_LEAK_PER_S, _LEAK_S = 60.0, 1.0
_TAPS = 2 * DELAY + 1


@njit(cache=True, error_model="numpy")
def _transform(amps, turns, nominal_turns, h, circuit, leak, leak_frames, frame, state, out):
    """Turn primary amps into those that the secondary current stands for."""
    flux, emf, slope = state
    for n in range(len(amps)):
        loss, flux, new = step(amps[n] / turns, flux, emf, slope, h if frame else 0.0, circuit)
        slope, emf = new - emf, new
        if frame < leak_frames:
            flux *= 1.0 - leak * (1.0 - frame / leak_frames)
        frame += 1
        out[n] = amps[n] * (nominal_turns / turns) - loss * nominal_turns
    state[0], state[1], state[2] = flux, emf, slope


@njit(cache=True, error_model="numpy")
def _digitize(
    start, element, elements, volts, amps, taps, scale, offset, cubic, noise, noise_key, dither_key, limit, out
):
    """Filter, add what the converter adds, and round; the arrays begin with what the taps reach back to."""
    for n in range(out.shape[0]):
        index = (start + n) * elements + element
        noise_v, noise_i = 0.0, 0.0
        if noise[0] > 0.0 or noise[1] > 0.0:
            noise_v, noise_i = gaussian_pair(noise_key, index)
        for kind in range(2):
            value = 0.0
            for k in range(_TAPS):
                value += taps[kind, 0, k] * volts[n + _TAPS - 1 - k] + taps[kind, 1, k] * amps[n + _TAPS - 1 - k]
            value *= scale[kind]
            value -= cubic * value * (value / limit) ** 2
            value += offset[kind] + noise[kind] * (noise_i if kind else noise_v)
            # The noise dithers; without it the ideal converter's dither does.
            dither = uniform(dither_key, 2 * index + kind) if noise[kind] == 0.0 else 0.5
            out[n, kind] = math.floor(min(max(value + dither, -limit), limit - 1.0))


class FrontEnd:
    """Everything between the line and the codes: a :class:`blondel.sim.afe.adc.Converter` with a state.

    Frames are taken in their order; chunks joined equal the whole. The cores begin demagnetized: for the first second
    flux leaks away, less and less, so that a current that is switched on anywhere in its cycle leaves none behind; it
    would take some 3 s to decay. The filters delay voltage and current by 3 frames, where there are any.

    Parameters
    ----------
    config : MeterConfig
        Uses ``elements``, ``class_amps``, the full scales, ``sample_bits`` and ``sample_rate_hz``.
    parts : Parts
        The meter's parts.
    temperature_c : float
        Of all parts, −55 to 125 °C. Default 23.
    seed : int
        Of the noise. Default 0.

    Attributes
    ----------
    sample_rate_hz : float
        True frames per second: a source has to be made with it.
    noise : tuple of float
        Rms in a sample of voltage and current of element 0, in V and A of the line.

    Raises
    ------
    ValueError
        The parts are for another number of elements, or the temperature is out of range.
    """

    def __init__(self, config: MeterConfig, parts: Parts, *, temperature_c: float = REFERENCE_C, seed: int = 0):
        elements = config.elements
        several = {name: value for name, value in vars(parts).items() if isinstance(value, tuple)}
        for name, value in several.items():
            if len(value) != elements:
                raise ValueError(f"{name} has {len(value)} parts; allowed: {elements}, one for each element")
        if len(parts.adc.channels) != config.channels:
            raise ValueError(f"adc has {len(parts.adc.channels)} channels; allowed: {config.channels}")
        if not -55 <= temperature_c <= 125:
            raise ValueError(f"temperature_c is {temperature_c}; allowed: -55 to 125")
        self.sample_rate_hz = config.sample_rate_hz * (1 + parts.oscillator.ppm(temperature_c) * 1e-6)
        adc = parts.adc
        self.noise = (adc.channels[0].noise * config.v_full_scale, adc.channels[1].noise * config.i_full_scale)
        self._config = config
        self._limit = 1 << (config.sample_bits - 1)
        self._keys = stream_key(seed, _NOISE), stream_key(seed, _DITHER)
        self._nominal_turns = config.class_amps / CT_SECONDARY_A
        self._turns = [ct.turns for ct in parts.cts]
        self._circuits = [
            ct.circuit(burden, lead, temperature_c)
            for ct, burden, lead in zip(parts.cts, parts.burdens, parts.leads, strict=True)
        ]
        self._taps = [self._element_taps(parts, element, temperature_c) for element in range(elements)]
        pairs = [adc.channels[2 * element : 2 * element + 2] for element in range(elements)]
        self._offsets = [np.array([each.offset_at(temperature_c) for each in pair]) * self._limit for pair in pairs]
        self._noises = [np.array([each.noise for each in pair]) * self._limit for pair in pairs]
        self._cubic = adc.cubic
        self._frame = 0
        self._states = np.zeros((elements, 3))
        self._past = np.zeros((2, elements, _TAPS - 1))

    def _element_taps(self, parts: Parts, element: int, temperature_c: float) -> np.ndarray:
        """Return gains, filters and crosstalk as taps: of voltage and current, from voltage and current."""
        config, adc = self._config, parts.adc
        poles = [filters[element].at(temperature_c) for filters in (parts.voltage_filters, parts.current_filters)]
        gains = np.array([
            parts.dividers[element].gain(temperature_c) * adc.channels[2 * element].gain(temperature_c),
            parts.burdens[element].gain(temperature_c) * adc.channels[2 * element + 1].gain(temperature_c),
        ]) / adc.reference(temperature_c)  # fmt: skip
        taps = np.zeros((2, 2, _TAPS))
        if not (any(poles) or adc.sinc3 or adc.crosstalk or adc.crosstalk_in_phase):
            taps[[0, 1], [0, 1], 0] = gains
            return taps
        # What a volt at one input is at the other, in the line's units.
        ohm = config.v_full_scale / config.i_full_scale / ADC_CURRENT_GAIN
        for kind, pole in enumerate(poles):

            def own(cycles: np.ndarray, pole: float = pole) -> np.ndarray:
                droop = sinc3(cycles) if adc.sinc3 else 1.0
                return droop / (1 + 2j * np.pi * cycles * config.sample_rate_hz * pole)

            def other(cycles: np.ndarray, own: Response = own) -> np.ndarray:
                ahead = 1j * cycles * config.sample_rate_hz / CROSSTALK_HZ
                return (adc.crosstalk_in_phase + adc.crosstalk * ahead) * own(cycles)

            taps[kind, kind] = gains[kind] * fit_taps(own)
            taps[kind, 1 - kind] = gains[kind] * fit_taps(other) * (1 / ohm if kind else ohm)
        return taps

    def codes(self, start: int, volts: np.ndarray, amps: np.ndarray) -> np.ndarray:
        """Convert frames: see :meth:`blondel.sim.afe.adc.Converter.codes`.

        Parameters
        ----------
        start : int
            Index of the first frame; only the noise depends on it.
        volts, amps : ndarray of float64, (frames, elements)
            Line voltage and primary current, in V and A.

        Returns
        -------
        ndarray of int32, (frames, channels)
            LSB of the converter; beyond full scale the code stays at the end of the range.

        Raises
        ------
        ValueError
            The arrays do not have one column for each element.
        """
        config = self._config
        out = codes_for(config, volts, amps)
        scale = np.array([1 / config.v_lsb, 1 / config.i_lsb])
        leak = _LEAK_PER_S / config.sample_rate_hz
        leak_frames = round(_LEAK_S * config.sample_rate_hz)
        reach = _TAPS - 1
        for element in range(config.elements):
            line = np.empty((2, reach + len(volts)))
            line[:, :reach] = self._past[:, element]
            line[0, reach:] = volts[:, element]
            _transform(
                np.ascontiguousarray(amps[:, element]), self._turns[element], self._nominal_turns,
                1 / self.sample_rate_hz, self._circuits[element], leak, leak_frames, self._frame,
                self._states[element], line[1, reach:],
            )  # fmt: skip
            self._past[:, element] = line[:, len(volts) :]
            _digitize(
                start, element, config.elements, line[0], line[1], self._taps[element], scale, self._offsets[element],
                self._cubic, self._noises[element], *self._keys, self._limit, out[:, 2 * element : 2 * element + 2],
            )  # fmt: skip
        self._frame += len(volts)
        return out

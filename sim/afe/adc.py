"""Converters: volts and amps in, codes out; and the ideal one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numba import njit

from blondel.hdl.config import MeterConfig
from blondel.sim.noise import gaussian_pair, stream_key, uniform

__all__ = ["Converter", "IdealAdc", "codes_for"]

_DITHER, _NOISE = 0, 1


@njit(cache=True)
def _convert(start, volts, amps, v_scale, i_scale, offset, dither, dither_key, noise, noise_key, limit, out):
    elements = volts.shape[1]
    for n in range(volts.shape[0]):
        for element in range(elements):
            index = (start + n) * elements + element
            noise_v, noise_i = 0.0, 0.0
            if noise > 0.0:
                noise_v, noise_i = gaussian_pair(noise_key, index)
            for kind in range(2):
                channel = 2 * element + kind
                if kind == 0:
                    value = volts[n, element] * v_scale + noise * noise_v
                else:
                    value = amps[n, element] * i_scale + noise * noise_i
                step = uniform(dither_key, 2 * index + kind) if dither else 0.5
                code = math.floor(min(max(value + offset[channel] + step, -limit), limit - 1.0))
                out[n, channel] = code


class Converter(Protocol):
    """What stands between the line and the meter's digital side: it makes codes of volts and amps."""

    def codes(self, start: int, volts: np.ndarray, amps: np.ndarray) -> np.ndarray:
        """Convert frames; one that has a state takes them in their order.

        Parameters
        ----------
        start : int
            Index of the first frame.
        volts, amps : ndarray of float64, (frames, elements)
            Line voltage and primary current, in V and A.

        Returns
        -------
        ndarray of int32, (frames, channels)
            LSB of the converter; voltage and current of element 0 first.
        """


def codes_for(config: MeterConfig, volts: np.ndarray, amps: np.ndarray) -> np.ndarray:
    """Return an empty array for the codes of some frames.

    Raises
    ------
    ValueError
        The arrays do not have one column for each element.
    """
    if volts.ndim != 2 or volts.shape != amps.shape or volts.shape[1] != config.elements:
        raise ValueError(
            f"volts and amps are {volts.shape} and {amps.shape}; allowed: (frames, {config.elements}) both"
        )
    return np.empty((len(volts), config.channels), dtype=np.int32)


class IdealAdc:
    """Convert the line's volts and amps to codes, with no error but quantization.

    Without dither the codes of a signal that repeats, such as 50 Hz at 8 kS/s, repeat their 160
    rounding errors, and a small current's energy is off by their correlation with the voltage: up to
    230 ppm at 10 mA. With dither uniform over 1 LSB the mean of a code is the value itself, and what
    quantization leaves averages out. A real converter's noise does the same.

    Parameters
    ----------
    config : MeterConfig
        Uses ``sample_bits``, ``v_full_scale``, ``i_full_scale``, ``elements``.
    seed : int
        Of dither and noise. Default 0.
    dither : bool
        Whether a number uniform over 1 LSB is added before quantization; else codes are rounded to
        the nearest. Default true.
    noise_lsb : float
        Gaussian noise on every channel, in LSB rms. Default 0.
    offset_lsb : float or sequence of float
        DC offset, of all channels or of each (voltage and current of element 0 first), in LSB.
        Default 0.
    offset_fraction : float or sequence of float
        DC offset that is added to it, as a part of full scale. Default 0.

    Raises
    ------
    ValueError
        An offset is given for another number of channels, or the noise is negative.
    """

    def __init__(
        self,
        config: MeterConfig,
        *,
        seed: int = 0,
        dither: bool = True,
        noise_lsb: float = 0.0,
        offset_lsb: float | Sequence[float] = 0.0,
        offset_fraction: float | Sequence[float] = 0.0,
    ):
        self._config = config
        self._limit = 1 << (config.sample_bits - 1)
        if not 0 <= noise_lsb < math.inf:
            raise ValueError(f"noise_lsb is {noise_lsb}; allowed: 0 or more")
        offset = np.zeros(config.channels)
        for name, value, lsb in (
            ("offset_lsb", offset_lsb, 1.0), ("offset_fraction", offset_fraction, float(self._limit)),
        ):  # fmt: skip
            value = np.asarray(value, dtype=np.float64)
            if value.shape not in ((), offset.shape):
                raise ValueError(f"{name} has {value.size} channels; allowed: one number, or {config.channels}")
            offset = offset + value * lsb
        self._offset = offset
        self._dither = dither
        self._noise = float(noise_lsb)
        self._dither_key = stream_key(seed, _DITHER)
        self._noise_key = stream_key(seed, _NOISE)

    def codes(self, start: int, volts: np.ndarray, amps: np.ndarray) -> np.ndarray:
        """Convert frames: see :meth:`Converter.codes`.

        Parameters
        ----------
        start : int
            Index of the first frame; dither and noise depend on nothing else, so that chunks join to
            the whole.
        volts, amps : ndarray of float64, (frames, elements)
            Line voltage and primary current, in V and A.

        Returns
        -------
        ndarray of int32, (frames, channels)
            LSB of the converter, two's complement in ``sample_bits``; beyond full scale the code
            stays at the end of the range.

        Raises
        ------
        ValueError
            The arrays do not have one column for each element.
        """
        config = self._config
        out = codes_for(config, volts, amps)
        _convert(
            start, volts, amps, 1 / config.v_lsb, 1 / config.i_lsb, self._offset, self._dither, self._dither_key,
            self._noise, self._noise_key, self._limit, out,
        )  # fmt: skip
        return out

"""A second-order sigma-delta modulator: volts at its input, bits at its output.

Behaviour from the data sheets of AMC1306 (Texas Instruments, also SPRAD53 on its fail-safe outputs) and
AD7403 (Analog Devices): 50 % of ones at 0 V, 89.06 % at +250 mV, all ones from +320 mV on; the AMC1306 then
sends one bit that differs every 128 clocks (when it starts to is not said; here every 128th equal bit in a row
differs); without its high-side supply it sends zeros, with its common mode
out of range ones, and after power-up 32 bits of alternating pattern and half a millisecond of bits that mean
nothing. What the AD7403 sends without supply was not to be found: zeros are assumed.

The loop is the one of B. E. Boser and B. A. Wooley, "The design of sigma-delta modulation analog-to-digital
converters", IEEE JSSC 23 (1988): two delaying integrators with a gain of one half, whose outputs have an end.
Those of the parts are not published.
"""

from __future__ import annotations

import enum
import math

import numpy as np
from numba import njit

from blondel.hdl.frontend.sigma_delta import ModulatorPart
from blondel.sim.noise import gaussian_pair, stream_key, uniform

__all__ = ["Fault", "Modulator"]

#: Ends of the integrators' range, in full scales.
_SWING = 4.0
#: At full scale one bit of so many differs.
_MARK_CLOCKS = 128
#: After power-up: bits that alternate, and time in which bits mean nothing.
_PATTERN_CLOCKS, _STARTUP_S = 32, 0.0005

_NOISE, _STARTUP = 0, 1


class Fault(enum.IntEnum):
    """What can be wrong with a modulator."""

    #: Nothing.
    NONE = 0
    #: High-side supply missing.
    NO_SUPPLY = 1
    #: Common mode of the input out of range.
    COMMON_MODE = 2


@njit(cache=True)
def _modulate(volts, fault, scale, marks, startup, noise, noise_key, startup_key, state, counters, clock, bits):
    channels = volts.shape[1]
    for n in range(volts.shape[0]):
        for channel in range(channels):
            index = (clock + n) * channels + channel
            x = volts[n, channel] * scale
            if noise > 0.0:
                x += noise * gaussian_pair(noise_key, index)[0]
            # The loop: comparator, then both integrators at once.
            first, second = state[channel, 0], state[channel, 1]
            bit = 1 if second >= 0.0 else 0
            feedback = 2.0 * bit - 1.0
            state[channel, 0] = min(max(first + 0.5 * (x - feedback), -_SWING), _SWING)
            state[channel, 1] = min(max(second + 0.5 * (first - feedback), -_SWING), _SWING)
            # The mark: the loop does not see it.
            counters[channel, 0] = counters[channel, 0] + 1 if bit == counters[channel, 2] else 1
            if marks and counters[channel, 0] == _MARK_CLOCKS:
                bit = 1 - bit
                counters[channel, 0] = 0
            counters[channel, 2] = bit
            # Without supply, and after it came.
            if fault[n, channel] == 1:
                counters[channel, 1] = 0
                bit = 0
            elif counters[channel, 1] < startup:
                counters[channel, 1] += 1
                if counters[channel, 1] <= _PATTERN_CLOCKS:
                    bit = counters[channel, 1] % 2
                else:
                    bit = 1 if uniform(startup_key, index) < 0.5 else 0
            elif fault[n, channel] == 2:
                bit = 1
            bits[n, channel] = bit


class Modulator:
    """Modulators with one clock, one for each channel.

    Parameters
    ----------
    part : ModulatorPart
        Which one.
    channels : int
        How many.
    clock_hz : float
        Their clock; only the time after power-up depends on it. Default 12 MHz.
    noise_v : float
        Noise at the input, in V rms at every clock. A real part's is thermal: 88 dB of signal-to-noise at
        ±250 mV and a decimation of 256 are about 150 µV. Default 0.
    seed : int
        Of the noise, and of what bits mean nothing. Default 0.
    powered : bool
        Whether the parts have been powered for long; else they start now. Default true.
    """

    def __init__(
        self, part: ModulatorPart, channels: int, *, clock_hz: float = 12e6, noise_v: float = 0.0, seed: int = 0,
        powered: bool = True,
    ):  # fmt: skip
        if not 0 <= noise_v < math.inf:
            raise ValueError(f"noise_v is {noise_v}; allowed: 0 or more")
        self._part = part
        self._noise = noise_v / part.full_scale_v
        self._keys = stream_key(seed, _NOISE), stream_key(seed, _STARTUP)
        self._startup = math.ceil(_STARTUP_S * clock_hz)
        # Each channel's integrators; its equal bits in a row, clocks since power-up, and last bit.
        self._state = np.zeros((channels, 2))
        self._counters = np.zeros((channels, 3), dtype=np.int64)
        self._counters[:, 1] = self._startup if powered else 0
        self._clock = 0

    def next(self, volts: np.ndarray, fault: np.ndarray | None = None) -> np.ndarray:
        """Modulate, from where the last call stopped.

        Parameters
        ----------
        volts : ndarray of float64, (clocks, channels)
            Differential input at each clock, in V.
        fault : ndarray of integers, (clocks, channels), or None
            :class:`Fault` at each clock. Default: none.

        Returns
        -------
        ndarray of uint8, (clocks, channels)
            Bits.

        Raises
        ------
        ValueError
            An array does not have one column for each channel.
        """
        channels = len(self._state)
        fault = np.zeros(volts.shape, dtype=np.uint8) if fault is None else fault
        if volts.ndim != 2 or volts.shape[1] != channels or fault.shape != volts.shape:
            raise ValueError(f"volts and fault are {volts.shape} and {fault.shape}; allowed: (clocks, {channels}) both")
        bits = np.empty(volts.shape, dtype=np.uint8)
        _modulate(
            volts, fault, 1 / self._part.full_scale_v, self._part.marks_full_scale, self._startup, self._noise,
            *self._keys, self._state, self._counters, self._clock, bits,
        )  # fmt: skip
        self._clock += len(volts)
        return bits

"""The mains: voltage of the line, with what is wrong with it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np
from numba import njit, uint64

from blondel.sim.noise import gaussian_pair, stream_key

__all__ = ["Mains", "Wave"]

_TURN = 2.0**-64


def _phase_step(hertz: float, sample_rate_hz: float) -> np.uint64:
    """Return the phase between two samples, in turns × 2**64: it adds up, and wraps, exactly."""
    return np.uint64(round(Fraction(hertz) / Fraction(sample_rate_hz) * (1 << 64)) % (1 << 64))


@njit(cache=True)
def _phasor(start, step, drift_step, drift_turns, turns, sine, cosine):
    for n in range(sine.shape[0]):
        index = uint64(start) + uint64(n)
        phase = np.int64(index * step) * _TURN + turns
        if drift_turns != 0.0:
            phase += drift_turns * (1.0 - math.cos(2.0 * math.pi * (np.int64(index * drift_step) * _TURN)))
        sine[n] = math.sin(2.0 * math.pi * phase)
        cosine[n] = math.cos(2.0 * math.pi * phase)


@njit(cache=True)
def _voltage(start, sine, cosine, amplitude, in_phase, quadrature, dc, noise, key, out):
    for n in range(sine.shape[0]):
        s, c = sine[n], cosine[n]
        value = s
        # Sine and cosine of each multiple of the angle, from those of the one before.
        s_k, c_k = s, c
        for k in range(in_phase.shape[0]):
            if k > 0:
                s_k, c_k = s_k * c + c_k * s, c_k * c - s_k * s
            value += in_phase[k] * s_k + quadrature[k] * c_k
        value = amplitude * value + dc
        if noise > 0.0:
            value += noise * gaussian_pair(key, start + n)[0]
        out[n] = value


@dataclass
class Wave:
    """The voltage at one element's loads, for some frames.

    Parameters
    ----------
    start : int
        Index of the first frame.
    sample_rate_hz : float
        Frames per second.
    rms : float
        The fundamental's voltage, in V rms.
    sine, cosine : ndarray of float64, (frames,)
        Of the fundamental's angle: the fundamental is √2 × ``rms`` × ``sine``.
    volts : ndarray of float64, (frames,)
        The whole voltage, in V.
    at : callable(int) -> (float, float)
        Gives ``sine`` and ``cosine`` of any frame, by its index.
    """

    start: int
    sample_rate_hz: float
    rms: float
    sine: np.ndarray
    cosine: np.ndarray
    volts: np.ndarray
    at: Callable[[int], tuple[float, float]]

    def __len__(self) -> int:
        return len(self.volts)

    @property
    def frames(self) -> np.ndarray:
        """Indices of the frames."""
        return np.arange(self.start, self.start + len(self))

    def part(self, start: int, stop: int) -> Wave:
        """Return the frames from ``start`` to before ``stop``, by their indices."""
        cut = slice(start - self.start, stop - self.start)
        return replace(
            self, start=start, sine=self.sine[cut], cosine=self.cosine[cut], volts=self.volts[cut]
        )


@dataclass(frozen=True, kw_only=True)
class Mains:
    """The line's voltage: a sine, its harmonics, drift, DC and noise.

    Element ``e``'s voltage is ``√2 V_e [sin θ_e + Σ h_k sin(k θ_e + δ_k)] + dc_volts`` and noise, where
    θ_e is the line's phase, from 0 at frame 0, and the element's own angle. Each element sees its own line to
    neutral voltage: that L1 and L2 of a split phase are 180° apart changes no element's V·I.

    Parameters
    ----------
    volts : float or sequence of float
        The fundamental's voltage, line to neutral, of all elements or of each, in V rms.
    hertz : float
        Frequency of the fundamental.
    angles_deg : float or sequence of float
        Angle of all elements' voltages or of each, in degrees: 0, 180 for L1 and L2; 0, −120, 120 for
        three phases. Default 0.
    harmonics : mapping of int to (float, float)
        For each order k, 2 or more: amplitude h_k as a part of the fundamental's, and angle δ_k in
        degrees. Default none.
    drift_hz, drift_s : float
        The frequency is ``hertz + drift_hz × sin(2π t / drift_s)``. Defaults 0 Hz, 60 s.
    dc_volts : float
        DC on every element. Default 0.
    noise_volts : float
        Gaussian noise on every element, independent from sample to sample, in V rms. Default 0.
    seed : int
        Of the noise. Default 0.

    Raises
    ------
    ValueError
        A parameter is impossible.
    """

    volts: float | Sequence[float]
    hertz: float
    angles_deg: float | Sequence[float] = 0.0
    harmonics: Mapping[int, tuple[float, float]] = field(default_factory=dict)
    drift_hz: float = 0.0
    drift_s: float = 60.0
    dc_volts: float = 0.0
    noise_volts: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("hertz", "drift_s"):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise ValueError(f"{name} is {value}; allowed: more than 0")
        if not abs(self.drift_hz) < self.hertz:
            raise ValueError(f"drift_hz is {self.drift_hz}; allowed: less than hertz, {self.hertz:g}")
        if not 0 <= self.noise_volts < math.inf:
            raise ValueError(f"noise_volts is {self.noise_volts}; allowed: 0 or more")
        for name in ("volts", "angles_deg", "dc_volts"):
            if not np.isfinite(getattr(self, name)).all():
                raise ValueError(f"{name} is {getattr(self, name)}; allowed: finite numbers")
        for order in self.harmonics:
            if order != int(order) or order < 2:
                raise ValueError(f"harmonics has order {order}; allowed: whole numbers from 2 on")

        if np.ndim(self.volts) and np.ndim(self.angles_deg) and np.shape(self.volts) != np.shape(self.angles_deg):
            raise ValueError(
                f"volts has {np.size(self.volts)} elements; allowed: as many as angles_deg, {np.size(self.angles_deg)}"
            )

    @property
    def elements(self) -> int | None:
        """V·I pairs that the voltages or angles are given for; ``None``: any number."""
        return next((len(value) for value in (self.volts, self.angles_deg) if np.ndim(value)), None)

    @property
    def highest_hz(self) -> float:
        """Highest frequency of fundamental and harmonics."""
        return (self.hertz + abs(self.drift_hz)) * max([1, *self.harmonics])

    def waves(self, start: int, count: int, elements: int, sample_rate_hz: float) -> list[Wave]:
        """Return each element's voltage.

        Parameters
        ----------
        start : int
            Index of the first frame.
        count : int
            Frames.
        elements : int
            V·I pairs.
        sample_rate_hz : float
            Frames per second.
        """
        orders = max([1, *self.harmonics])
        in_phase, quadrature = np.zeros(orders), np.zeros(orders)
        for order, (fraction, degrees) in self.harmonics.items():
            in_phase[order - 1] = fraction * math.cos(math.radians(degrees))
            quadrature[order - 1] = fraction * math.sin(math.radians(degrees))
        if not self.harmonics:
            in_phase, quadrature = in_phase[:0], quadrature[:0]
        waves = []
        for element in range(elements):
            volts = float(np.broadcast_to(self.volts, elements)[element])
            degrees = float(np.broadcast_to(self.angles_deg, elements)[element])
            same = next((w for w, d in waves if d == degrees), None)
            if same is None:
                sine, cosine = self._phasor(start, count, degrees, sample_rate_hz)
            else:
                sine, cosine = same.sine, same.cosine
            out = np.empty(count)
            _voltage(
                start, sine, cosine, math.sqrt(2) * volts, in_phase, quadrature, self.dc_volts,
                self.noise_volts, stream_key(self.seed, element), out,
            )  # fmt: skip

            def at(frame: int, degrees: float = degrees) -> tuple[float, float]:
                sine, cosine = self._phasor(frame, 1, degrees, sample_rate_hz)
                return sine[0], cosine[0]

            waves.append((Wave(start, sample_rate_hz, volts, sine, cosine, out, at), degrees))
        return [wave for wave, _ in waves]

    def _phasor(self, start: int, count: int, degrees: float, sample_rate_hz: float) -> tuple[np.ndarray, np.ndarray]:
        sine, cosine = np.empty(count), np.empty(count)
        _phasor(
            start, _phase_step(self.hertz, sample_rate_hz), _phase_step(1 / self.drift_s, sample_rate_hz),
            self.drift_hz * self.drift_s / (2 * math.pi), degrees / 360, sine, cosine,
        )  # fmt: skip
        return sine, cosine

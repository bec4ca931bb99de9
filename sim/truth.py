"""True energy: float64 arithmetic on the samples before they are quantized."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

__all__ = ["Truth", "error_ppm"]

#: Power factor below which an error is relative to apparent energy.
LEAST_POWER_FACTOR = 0.1

_SUMS = 6  # of n, v, i, v·i, v², i²


@njit(cache=True)
def _accumulate(volts, amps, measured, pivot, sums):
    for element in range(volts.shape[1]):
        v_pivot, i_pivot = pivot[0, element], pivot[1, element]
        n, sum_v, sum_i, sum_vi, sum_vv, sum_ii = 0, 0.0, 0.0, 0.0, 0.0, 0.0
        for k in range(volts.shape[0]):
            if measured[k]:
                v, i = volts[k, element] - v_pivot, amps[k, element] - i_pivot
                n += 1
                sum_v += v
                sum_i += i
                sum_vi += v * i
                sum_vv += v * v
                sum_ii += i * i
        sums[0, element] += n
        sums[1, element] += sum_v
        sums[2, element] += sum_i
        sums[3, element] += sum_vi
        sums[4, element] += sum_vv
        sums[5, element] += sum_ii


@njit(cache=True)
def _accumulate_mean(volts, amps, weight, pivot, mean):
    for element in range(volts.shape[1]):
        sum_v, sum_i = 0.0, 0.0
        for k in range(volts.shape[0]):
            sum_v += weight[k] * (volts[k, element] - pivot[0, element])
            sum_i += weight[k] * (amps[k, element] - pivot[1, element])
        mean[0, element] += sum_v
        mean[1, element] += sum_i


class Truth:
    """Accumulate the energy that a meter ought to show.

    A meter removes DC from voltage and current before it multiplies, and so does the truth: over the
    measured frames the energy is ``Σvi − V Σi − I Σv + n V I``, where V and I are the DC of everything fed, settling
    included. The mean of a wave that is cut off within a cycle is no DC: weighted with a Hann window over
    the whole length it forgets the wave, by the cube of the number of cycles. A wave that repeats exactly has its
    mean over whole periods for DC.

    Parameters
    ----------
    elements : int
        V·I pairs.
    sample_rate_hz : float
        Frames per second.
    frames : int
        All frames that are going to be fed.
    period_frames : int or None
        Frames after which the waveforms repeat exactly, as the source says; ``None``: they need not.
        Default ``None``.
    """

    def __init__(self, elements: int, sample_rate_hz: float, frames: int, *, period_frames: int | None = None):
        self._hours = 1 / (3600 * sample_rate_hz)
        self._frames = frames
        # First frame of those that find the DC: whole periods up to the end, all where there is not one.
        self._first = None if period_frames is None else frames % period_frames if frames > period_frames else 0
        self._fed = 0
        # All sums are of differences from the first frame, so that DC costs them no digits.
        self._pivot: np.ndarray | None = None
        self._sums = np.zeros((_SUMS, elements))
        self._mean = np.zeros((2, elements))
        self._weight = 0.0

    def add(self, volts: np.ndarray, amps: np.ndarray, measured: slice | np.ndarray | bool = True) -> None:
        """Add frames, in their order.

        Parameters
        ----------
        volts, amps : ndarray of float64, (frames, elements)
            Line voltage and primary current, in V and A.
        measured : slice, ndarray of bool (frames,), or bool
            Which of these frames are metered; the others serve to find the DC. Default: all.

        Raises
        ------
        ValueError
            More frames come than were announced.
        """
        count = len(volts)
        if self._fed + count > self._frames:
            raise ValueError(f"{self._fed + count} frames came; allowed: {self._frames}, as announced")
        if count == 0:
            return
        if self._pivot is None:
            self._pivot = np.stack([volts[0], amps[0]])
        chosen = np.zeros(count, dtype=bool)
        if isinstance(measured, slice):
            chosen[measured] = True
        else:
            chosen[:] = measured
        _accumulate(volts, amps, chosen, self._pivot, self._sums)
        index = np.arange(self._fed, self._fed + count)
        if self._first is None:
            weight = 1 - np.cos((index + 0.5) * (2 * math.pi / self._frames))
        else:
            weight = (index >= self._first).astype(np.float64)
        _accumulate_mean(volts, amps, weight, self._pivot, self._mean)
        self._weight += weight.sum()
        self._fed += count

    def _dc(self) -> np.ndarray:
        """Return the DC of voltages and currents, less the pivot."""
        return self._mean / self._weight

    @property
    def dc_volts(self) -> np.ndarray:
        """DC of each element's voltage, in V, shape (elements,)."""
        return self._dc()[0] + self._pivot[0]

    @property
    def dc_amps(self) -> np.ndarray:
        """DC of each element's current, in A, shape (elements,)."""
        return self._dc()[1] + self._pivot[1]

    @property
    def seconds(self) -> float:
        """Time metered, in s."""
        return float(self._sums[0, 0]) * self._hours * 3600

    @property
    def energy_wh(self) -> np.ndarray:
        """Net energy of each element: delivered less received, in Wh, shape (elements,)."""
        n, sum_v, sum_i, sum_vi, _, _ = self._sums
        v, i = self._dc()
        return (sum_vi - v * sum_i - i * sum_v + n * v * i) * self._hours

    def _rms(self, which: int) -> np.ndarray:
        n, total, squares = self._sums[0], self._sums[1 + which], self._sums[4 + which]
        mean = self._dc()[which]
        return np.sqrt(np.maximum(squares - 2 * mean * total + n * mean * mean, 0) / np.maximum(n, 1))

    @property
    def volts_rms(self) -> np.ndarray:
        """Voltage of each element over the metered frames, less DC, in V rms, shape (elements,)."""
        return self._rms(0)

    @property
    def amps_rms(self) -> np.ndarray:
        """Current of each element over the metered frames, less DC, in A rms, shape (elements,)."""
        return self._rms(1)

    @property
    def apparent_wh(self) -> np.ndarray:
        """Apparent energy of each element: rms voltage × rms current × time, in VAh, shape (elements,)."""
        return self.volts_rms * self.amps_rms * self._sums[0] * self._hours

    def error_ppm(self, metered_wh: np.ndarray) -> np.ndarray:
        """Return the error of each element's net energy, in ppm, as :func:`error_ppm` does."""
        return error_ppm(metered_wh, self.energy_wh, self.apparent_wh)

    def total_error_ppm(self, metered_wh: float) -> float:
        """Return the error of the elements' net energy in sum, in ppm, as :func:`error_ppm` does."""
        return float(error_ppm(metered_wh, self.energy_wh.sum(), self.apparent_wh.sum()))


def error_ppm(metered_wh: np.ndarray | float, true_wh: np.ndarray | float, apparent_wh: np.ndarray | float):
    """Return a meter's error in ppm of the true energy, or of the apparent where the power factor is below 0.1.

    Parameters
    ----------
    metered_wh, true_wh, apparent_wh : ndarray of float64 or float
        Net energy metered, net energy, and apparent energy. Where there is no apparent energy the
        error is 0 if none was metered, else infinite.
    """
    true_wh, apparent_wh = np.asarray(true_wh, dtype=np.float64), np.asarray(apparent_wh, dtype=np.float64)
    reference = np.where(np.abs(true_wh) < LEAST_POWER_FACTOR * apparent_wh, apparent_wh, np.abs(true_wh))
    difference = np.asarray(metered_wh, dtype=np.float64) - true_wh
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(difference == 0, 0.0, 1e6 * difference / reference)

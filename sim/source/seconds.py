"""Seconds that come again: codes of a service for years, each second made once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import replace

import numpy as np

from blondel.hdl.config import MeterConfig
from blondel.sim.afe.adc import IdealAdc
from blondel.sim.source.mains import Wave
from blondel.sim.source.service import Service

__all__ = ["Seconds"]

#: Seconds whose loads are looked up at once.
_HOUR = 3600
#: Currents of a second that are kept for each element: 256 MB of two elements' at 8 kS/s.
_KEPT = 4096


class Seconds:
    """Give the codes and the true energy of a service, second by second.

    A year at 8 kS/s has 252 thousand million frames: too many to work out sines, loads and noise for each. But where
    the mains repeat every second, a second's current depends on little: which loads are on, for how long, and the sun.
    Where that is the same the second is the same, and comes from a store; the others are made as
    :class:`~blondel.sim.source.service.Service` and :class:`~blondel.sim.afe.adc.IdealAdc` make them. The
    converter's dither repeats every second.

    Parameters
    ----------
    service : Service
        Mains and loads. The mains must repeat every second: a whole number of Hz, no drift, no noise.
    config : MeterConfig
        The meter's.
    seed : int
        Of the converter's dither. Default 0.

    Attributes
    ----------
    rate : int
        Frames per second.
    made : int
        Seconds of an element that did not come from the store.

    Raises
    ------
    ValueError
        The service does not repeat, or has another sample rate or number of elements than the meter.
    """

    def __init__(self, service: Service, config: MeterConfig, *, seed: int = 0):
        mains, rate = service.mains, service.sample_rate_hz
        for name, value in (("hertz", mains.hertz), ("sample_rate_hz", rate)):
            if value != int(value):
                raise ValueError(f"{name} is {value:g}; allowed where seconds repeat: a whole number")
        for name in ("drift_hz", "noise_volts"):
            if getattr(mains, name):
                raise ValueError(f"{name} is {getattr(mains, name):g}; allowed where seconds repeat: 0")
        if (service.elements, rate) != (config.elements, config.sample_rate_hz):
            raise ValueError(
                f"the service has {service.elements} elements at {rate:g} Hz; allowed: the meter's {config.elements} "
                f"at {config.sample_rate_hz:g} Hz"
            )
        self.rate = int(rate)
        self.made = 0
        self._description = f"Seconds({mains!r}, {service.loads!r}, {self.rate}, {seed})"
        self._loads = service.loads
        self._adc = IdealAdc(config, seed=seed)
        self._waves = mains.waves(0, self.rate, service.elements, rate)
        self._volts = np.stack([wave.volts for wave in self._waves], axis=1)
        self._voltage_codes = self._adc.codes(0, self._volts, np.zeros_like(self._volts))[:, 0::2]
        self._kept: list[OrderedDict[Hashable, tuple[np.ndarray, float]]] = [OrderedDict() for _ in self._loads]
        self._hour = -1
        self._moments: list[list[Hashable]] = []

    def __repr__(self) -> str:
        return self._description

    def codes(self, start: int, count: int, out: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return some seconds; the same ones at every call, whatever came before.

        Parameters
        ----------
        start : int
            The first second, 0 or more.
        count : int
            Seconds.
        out : ndarray of int32, (count × rate, channels), or None
            Where to put the codes. Default: a new array.

        Returns
        -------
        codes : ndarray of int32, (count × rate, channels)
            As :meth:`blondel.sim.afe.adc.Converter.codes` gives them.
        energy_wh : ndarray of float64, (count, elements)
            True energy of each second, in Wh. DC carries none: the voltage has none in whole cycles.
        """
        elements = len(self._loads)
        if out is None:
            out = np.empty((count * self.rate, 2 * elements), dtype=np.int32)
        energy_wh = np.empty((count, elements))
        for n in range(count):
            rows = out[n * self.rate : (n + 1) * self.rate]
            rows[:, 0::2] = self._voltage_codes
            for element in range(elements):
                rows[:, 2 * element + 1], energy_wh[n, element] = self._current(element, start + n)
        return out, energy_wh

    def _current(self, element: int, second: int) -> tuple[np.ndarray, float]:
        """Return the codes of an element's current in a second, and its energy."""
        hour, place = divmod(second, _HOUR)
        if hour != self._hour:
            frame = hour * _HOUR * self.rate
            self._moments = [
                # An element without loads has the same seconds, too.
                list(zip([0] * _HOUR, *(load.moments(frame, _HOUR, 0, self.rate) for load in loads), strict=True))
                for loads in self._loads
            ]
            self._hour = hour
        key, kept = self._moments[element][place], self._kept[element]
        if key in kept:
            kept.move_to_end(key)
            return kept[key]
        wave = self._wave(element, second)
        amps = np.zeros_like(self._volts)
        for load in self._loads[element]:
            amps[:, element] += load.amps(wave)
        energy_wh = float(np.dot(wave.volts, amps[:, element])) / self.rate / 3600
        codes = np.ascontiguousarray(self._adc.codes(0, self._volts, amps)[:, 2 * element + 1])
        self.made += 1
        kept[key] = codes, energy_wh
        if len(kept) > _KEPT:
            kept.popitem(last=False)
        return codes, energy_wh

    def _wave(self, element: int, second: int) -> Wave:
        """Return the first second's voltage as another's."""
        wave = self._waves[element]
        return replace(wave, start=second * self.rate, at=lambda frame: wave.at(frame % self.rate))

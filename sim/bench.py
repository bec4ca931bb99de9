"""A calibration bench, simulated: it loads a meter step by step, and reads what the meter shows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from blondel.hdl.config import MeterConfig
from blondel.sim.afe.adc import Converter
from blondel.sim.engine import Events, State, output_names
from blondel.sim.golden.meter import GoldenMeter
from blondel.sim.source.loads import power_factor
from blondel.sim.source.mains import Mains

__all__ = ["Reading", "Step", "current_words", "take_readings"]

#: Time in which the bench changes its current, in s, and time that it then waits: a CT's flux follows without DC.
RAMP_S = 0.25
#: Frames that are worked on at once: few enough for the processor's cache.
_BLOCK = 8192


@dataclass(frozen=True)
class Step:
    """What the bench really applies.

    Parameters
    ----------
    volts, amps : tuple of float
        Of each element, in V rms and A rms.
    power_factor : str
        Of all currents, as for :func:`~blondel.sim.source.loads.power_factor`.
    hertz : float
        Frequency.
    """

    volts: tuple[float, ...]
    amps: tuple[float, ...]
    power_factor: str
    hertz: float


@dataclass(frozen=True)
class Reading:
    """A step as the bench states it, and what the meter showed.

    Energies are of the step's interval alone: what a record has at its end less what it had at its start.

    Parameters
    ----------
    element : int or None
        The element that the bench loads, from 0; ``None``: all current circuits are open.
    volts, amps : float
        The true voltage (of all elements) and the true current of that element, in V rms and A rms.
    power_factor : str
        The true power factor, as for :func:`~blondel.sim.source.loads.power_factor`.
    hertz : float
        The true frequency.
    seconds : float
        The interval's true duration.
    true_wh : float
        The true energy of that element in it, in Wh.
    frames, lost : int
        Frames that the meter took, and invalid ones (register block ``FRAMES``).
    net_wh : tuple of float
        Each element's net energy with all that is pending, in Wh: see :meth:`blondel.sim.engine.State.net`.
    test_pulses : int
        Pulses of the test output.
    voltage, overrange : tuple of bool
        Each element's indicators at the interval's end (register block ``STATUS``).
    offsets : tuple of float
        The tracked code at zero input of each channel, in LSB of the converter: minus the correction in register block
        ``OFFSET``; voltage and current of element 0 first.
    current_words : tuple of (int, int)
        Words that each element's current has: gain (register block ``GAIN``, accumulator) and coefficient of the phase
        (``PHASE``, accumulator).
    """

    element: int | None
    volts: float
    amps: float
    power_factor: str
    hertz: float
    seconds: float
    true_wh: float
    frames: int
    lost: int
    net_wh: tuple[float, ...]
    test_pulses: int
    voltage: tuple[bool, ...]
    overrange: tuple[bool, ...]
    offsets: tuple[float, ...]
    current_words: tuple[tuple[int, int], ...]


def current_words(config: MeterConfig) -> tuple[tuple[int, int], ...]:
    """Return the words of each element's current that a meter wakes up with: gain, and coefficient of the phase."""
    return tuple((config.gain_word(channel), config.phase_word(channel)[1]) for channel in range(1, config.channels, 2))


class _Meter:
    """A meter behind its converter, and the levels of its outputs."""

    def __init__(self, config: MeterConfig, converter: Converter):
        self.config = config
        self.frames = 0
        self._converter = converter
        self._engine = GoldenMeter(config)
        self._names = output_names(config)
        self._levels = np.zeros(len(self._names), dtype=bool)

    def next(self, volts: np.ndarray, amps: np.ndarray) -> int:
        """Meter frames; return the number of test pulses that ended."""
        events = self._engine.next(self._converter.codes(self.frames, volts, amps))
        self.frames += len(volts)
        self._levels[events.output] = events.level  # in their order: the last one stays
        return self._ended(events)

    def _ended(self, events: Events) -> int:
        return int(np.count_nonzero(~events.of(self._names.index("test")).level))

    def level(self, name: str) -> tuple[bool, ...]:
        """Return an indicator of each element."""
        return tuple(bool(self._levels[self._names.index(f"{name}[{e}]")]) for e in range(self.config.elements))

    @property
    def state(self) -> State:
        return self._engine.state()

    @property
    def offsets(self) -> tuple[float, ...]:
        return tuple((-self._engine.offset_corrections / self.config.window_frames).tolist())


def _phasors(step: Step) -> np.ndarray:
    """Return each element's current along its voltage and a quarter of a cycle behind it, (2, elements), in A peak."""
    return math.sqrt(2) * np.outer(power_factor(step.power_factor), step.amps)


def take_readings(
    config: MeterConfig, converter: Converter, steps: Sequence[Step], *, sample_rate_hz: float, seconds: float
) -> list[Reading]:
    """Run one meter through a bench's steps, with the golden engine.

    The voltage is there from power-up on, and all currents are ramped from step to step, as a bench does, so that no
    CT is left with DC in its flux. The first step's interval starts when the offset tracking has settled.

    Parameters
    ----------
    config : MeterConfig
        The meter's.
    converter : Converter
        Its analog side, at power-up.
    steps : sequence of Step
        What is applied; one voltage and one frequency in all of them.
    sample_rate_hz : float
        The converter's true sample rate.
    seconds : float
        Least duration of an interval; it has whole cycles, as near as frames can come.

    Returns
    -------
    list of Reading
        The bench states what it applies; it takes the element with the larger current for the loaded one.
    """
    meter = _Meter(config, converter)
    mains = Mains(volts=steps[0].volts, hertz=steps[0].hertz)
    cycle = sample_rate_hz / mains.hertz
    frames = round(math.ceil(seconds * mains.hertz) * cycle)
    ramp = math.ceil(RAMP_S * sample_rate_hz)
    settle = max(config.frames_in(config.settle_s), config.path_delay)
    readings, before = [], np.zeros((2, config.elements))
    for step in steps:
        lead_in = 2 * ramp if readings else settle
        after = _phasors(step)
        # Windows end at zero crossings, too; over whole cycles what a step leaves in an offset has no energy.
        begin = round(math.ceil((meter.frames + lead_in) / cycle) * cycle) + config.path_delay
        end = begin + frames
        true_joules, pulses = np.zeros(config.elements), 0
        base = None
        start = meter.frames
        while start < end:
            stop = min(start + _BLOCK, begin if start < begin else end)
            if start == begin:
                base = meter.state
            index = np.arange(start, stop)
            part = (1 - np.cos(math.pi * np.clip((index - (begin - lead_in)) / ramp, 0, 1))) / 2
            waves = mains.waves(start, stop - start, config.elements, sample_rate_hz)
            volts = np.stack([wave.volts for wave in waves], axis=1)
            amps = np.empty_like(volts)
            for element, wave in enumerate(waves):
                along, behind = (before[k, element] + part * (after - before)[k, element] for k in range(2))
                amps[:, element] = along * wave.sine - behind * wave.cosine
            # The pipeline is late by some frames, and so is what the registers show.
            taken = (index >= begin - config.path_delay) & (index < end - config.path_delay)
            true_joules += (volts * amps)[taken].sum(axis=0) / sample_rate_hz
            ended = meter.next(volts, amps)
            pulses += ended if start >= begin else 0
            start = stop
        readings.append(_reading(step, meter, base, frames / sample_rate_hz, true_joules / 3600, pulses))
        before = after
    return readings


def _reading(
    step: Step, meter: _Meter, base: State, seconds: float, true_wh: np.ndarray, pulses: int
) -> Reading:
    config, state = meter.config, meter.state
    element = int(np.argmax(np.abs(step.amps)))
    loaded = step.amps[element] != 0
    return Reading(
        element=element if loaded else None,
        volts=step.volts[element],
        amps=step.amps[element],
        power_factor=step.power_factor,
        hertz=step.hertz,
        seconds=seconds,
        true_wh=float(true_wh[element]) if loaded else 0.0,
        frames=state.frames - base.frames,
        lost=state.lost - base.lost,
        net_wh=tuple(float((state.net(e) - base.net(e)) * config.product_wh) for e in range(config.elements)),
        test_pulses=pulses,
        voltage=meter.level("voltage"),
        overrange=meter.level("overrange"),
        offsets=meter.offsets,
        current_words=current_words(config),
    )

"""Energy: golden twin of :mod:`blondel.hdl.metrology.energy`."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
from numba import njit
from numba.extending import register_jitable

from blondel.hdl.config import MeterConfig
from blondel.hdl.metrology.energy import RecordKind
from blondel.sim.golden.block import Block

__all__ = ["NO_LOAD", "REVERSED", "Energy", "EnergyState", "flow_status", "meter", "tick"]

GATE, PENDING, DELIVERED, RECEIVED = (int(kind) for kind in RecordKind)
LOADED, SEEN, DIRECTION = 1, 2, 4
#: Bits of the status: the element is reversed; it has no load.
REVERSED, NO_LOAD = 1, 2
#: Frames whose products, 2**52 at most, add up to what fits in int64 with what is pending.
FLOW_FRAMES = 1024


class EnergyState(NamedTuple):
    """The energy records, and the words of the configuration.

    Parameters
    ----------
    records : ndarray of int64, (elements + meters, 4, 2)
        Accumulator and count of each record, by element (the meters' totals last) and record.
    total_of : ndarray of int64, (elements,)
        Index of each element's total among the records.
    quantum, hysteresis, start_energy, tick, mask : int
        The configuration's; the largest count.
    """

    records: np.ndarray
    total_of: np.ndarray
    quantum: int
    hysteresis: int
    start_energy: int
    tick: int
    mask: int


@register_jitable
def _status(loaded, direction):
    if not loaded:
        return NO_LOAD
    return REVERSED if direction else 0


@njit(cache=True)
def flow_status(element, state):
    """Return an element's status."""
    flags = state.records[element, GATE, 1]
    return _status(flags & LOADED != 0, flags & DIRECTION != 0)


@njit(cache=True)
def _flow_on(products, energy, direction, hysteresis, committed):
    """Meter frames while the energy of a loaded element keeps its direction.

    The common case of :func:`meter`, and nothing else: what is committed in all is the highest sum so far, for
    what flows back has to be made up for first. A frame commits less than a quantum, so that the quanta can be
    counted afterwards.

    Returns
    -------
    count : int
        Frames that are metered: all, or those before the one that turns the direction.
    energy, flowed : int
        What is pending, and what was committed in all.
    """
    sign = -1 if direction else 1
    total, highest = sign * energy, np.int64(0)
    for n in range(len(products)):
        after = total + sign * products[n]
        if after <= highest - hysteresis:
            return n, sign * (total - highest), highest
        total = after
        higher = max(highest, total)
        if not direction:
            committed[n] += higher - highest
        highest = higher
    return len(products), sign * (total - highest), highest


@njit(cache=True)
def meter(products, start, window, element, shown, state, committed):
    """Meter one element's frames until its status is another than the one that is shown.

    Parameters
    ----------
    products : ndarray of int64, (frames,)
        LSB of energy.
    start : int
        The first frame to meter.
    window : bool
        Whether the last frame is a window's.
    element : int
        Which it is.
    shown : int
        The status that is shown.
    state : EnergyState
        Moves on; of the total only the counts.
    committed : ndarray of int64, (frames,)
        To each frame the delivered energy is added that it commits.

    Returns
    -------
    int
        The frame after the last one that is metered.
    """
    records, total = state.records, state.total_of[element]
    gate, flags = records[element, GATE, 0], records[element, GATE, 1]
    energy, withheld = records[element, PENDING, 0], records[element, PENDING, 1]
    delivered, received = records[element, DELIVERED, 0], records[element, RECEIVED, 0]
    delivered_quanta, received_quanta = np.int64(0), np.int64(0)
    loaded, seen, direction = flags & LOADED != 0, flags & SEEN != 0, flags & DIRECTION != 0
    quantum, hysteresis, start_energy = state.quantum, state.hysteresis, state.start_energy
    last = len(products) - 1
    n = start
    while n < len(products):
        settled = loaded and seen and _status(loaded, direction) == shown
        behind = energy >= 0 if direction else energy <= 0
        if settled and behind and delivered < quantum and received < quantum:
            flowing = min(n + FLOW_FRAMES, last if window else len(products))
            count, energy, flowed = _flow_on(products[n:flowing], energy, direction, hysteresis, committed[n:flowing])
            n += count
            gate = np.int64(0)
            if direction:
                received += flowed
                received_quanta += received // quantum
                received %= quantum
            else:
                delivered += flowed
                delivered_quanta += delivered // quantum
                delivered %= quantum
            if n == len(products):
                break

        known = seen
        gate += products[n]
        if abs(gate) >= start_energy:
            seen = loaded = True

        energy += products[n]
        backward = energy < 0
        turns = abs(energy) >= hysteresis
        if loaded and (backward == direction or turns):
            direction = backward
            if backward:
                received -= energy
            else:
                delivered += energy
                committed[n] += energy
            energy = np.int64(0)
        elif turns and not loaded:
            step = -1 if backward else 1
            energy -= step * quantum
            withheld += step

        if delivered >= quantum:
            delivered -= quantum
            delivered_quanta += 1
        if received >= quantum:
            received -= quantum
            received_quanta += 1

        ends = window and n == last
        if known or ends:
            gate = np.int64(0)
        if ends:
            loaded, seen = seen, False
        n += 1
        if _status(loaded, direction) != shown:
            break
    records[element, GATE, 0] = gate
    records[element, GATE, 1] = (flags & ~7) | LOADED * loaded | SEEN * seen | DIRECTION * direction
    records[element, PENDING, 0], records[element, PENDING, 1] = energy, withheld & state.mask
    records[element, DELIVERED, 0], records[element, RECEIVED, 0] = delivered, received
    for index in (element, total):
        records[index, DELIVERED, 1] = (records[index, DELIVERED, 1] + delivered_quanta) & state.mask
        records[index, RECEIVED, 1] = (records[index, RECEIVED, 1] + received_quanta) & state.mask
    return n


@njit(cache=True)
def tick(committed, start, total, state):
    """Add what frames committed to a total until it passes ``tick``; return that frame, or how many there are."""
    energy = state.records[total, DELIVERED, 0]
    for n in range(start, len(committed)):
        energy += committed[n]
        if energy >= state.tick:
            state.records[total, DELIVERED, 0] = energy - state.tick
            return n
    state.records[total, DELIVERED, 0] = energy
    return len(committed)


class Energy(Block):
    """Add each element's products up, and count quanta of delivered and of received energy.

    Parameters
    ----------
    config : MeterConfig
        The same that makes the hardware.

    Attributes
    ----------
    state : EnergyState
        What the compiled functions of this block work on.
    """

    def __init__(self, config: MeterConfig):
        self._config = config
        self.reset()

    def reset(self) -> None:
        """Return to the state at power-up."""
        config = self._config
        sizes = config.meter_elements
        self.state = EnergyState(
            records=np.zeros((config.elements + len(sizes), len(RecordKind), 2), dtype=np.int64),
            total_of=config.elements + np.repeat(np.arange(len(sizes)), sizes),
            quantum=config.quantum,
            hysteresis=config.hysteresis,
            start_energy=config.start_energy,
            tick=config.tick,
            mask=(1 << config.register_bits) - 1,
        )

    @property
    def records(self) -> np.ndarray:
        """Accumulator (LSB of energy) and count of each record.

        int64, (elements + meters, 4, 2): by element, the meters' totals last, and
        :class:`~blondel.hdl.metrology.energy.RecordKind`.
        """
        return self.state.records

    def preset(self, records: np.ndarray) -> None:
        """Continue from these records."""
        self.records[:] = records

    def next(self, products: np.ndarray, window: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Meter valid frames.

        Parameters
        ----------
        products : ndarray of integers, (frames, elements)
            LSB of energy.
        window : ndarray of bool, (frames,)
            True on the last frame of each window.

        Returns
        -------
        ticks : ndarray of bool, (frames, meters)
            True where a meter's total of delivered energy passed a multiple of ``tick``.
        status : ndarray of uint8, (frames, elements)
            After each frame: bit 0, the element is reversed; bit 1, it has no load.
        """
        products = np.array(products.T, dtype=np.int64, order="C")
        elements, meters = self._config.elements, len(self._config.meter_elements)
        committed = np.zeros((meters, len(window)), dtype=np.int64)
        status = np.empty((len(window), len(products)), dtype=np.uint8)
        for start, stop in itertools.pairwise([0, *np.flatnonzero(window[:-1]) + 1, len(window)]):
            for element, row in enumerate(products[:, start:stop]):
                own = committed[self.state.total_of[element] - elements, start:stop]
                done = 0
                while done < len(row):
                    before, first = flow_status(element, self.state), start + done
                    done = meter(row, done, window[stop - 1], element, before, self.state, own)
                    status[first : start + done - 1, element] = before
                    status[start + done - 1, element] = flow_status(element, self.state)
        ticks = np.zeros((len(window), meters), dtype=bool)
        for number, own in enumerate(committed):
            frame = tick(own, 0, elements + number, self.state)
            while frame < len(window):
                ticks[frame, number] = True
                frame = tick(own, frame + 1, elements + number, self.state)
        return ticks, status

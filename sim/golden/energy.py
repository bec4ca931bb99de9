"""Energy: golden twin of :mod:`blondel.hdl.metrology.energy`."""

from __future__ import annotations

import numpy as np
from numba import njit

from blondel.hdl.config import MeterConfig
from blondel.hdl.metrology.energy import RecordKind
from blondel.sim.golden.block import Block

__all__ = ["Energy"]

GATE, PENDING, DELIVERED, RECEIVED = (int(kind) for kind in RecordKind)
LOADED, SEEN, DIRECTION = 1, 2, 4


@njit(cache=True)
def _meter(products, window, records, quantum, hysteresis, start_energy, tick, mask, ticks, status):
    elements = products.shape[1]
    total = records[elements]
    for n in range(products.shape[0]):
        for e in range(elements):
            gate, pending, registers = records[e, GATE], records[e, PENDING], records[e, DELIVERED:]
            loaded, seen, direction = gate[1] & LOADED != 0, gate[1] & SEEN != 0, gate[1] & DIRECTION != 0
            product = np.int64(products[n, e])
            gate[0] += product
            known = seen
            if abs(gate[0]) >= start_energy:
                seen = loaded = True

            energy = pending[0] + product
            received = energy < 0
            turns = abs(energy) >= hysteresis
            if loaded and (received == direction or turns):
                direction = received
                if received:
                    registers[1, 0] -= energy
                else:
                    registers[0, 0] += energy
                    total[DELIVERED, 0] += energy
                energy = np.int64(0)
            elif turns and not loaded:
                step = -1 if received else 1
                energy -= step * quantum
                pending[1] = (pending[1] + step) & mask
            pending[0] = energy

            for k in range(2):
                if registers[k, 0] >= quantum:
                    registers[k, 0] -= quantum
                    registers[k, 1] = (registers[k, 1] + 1) & mask
                    total[DELIVERED + k, 1] = (total[DELIVERED + k, 1] + 1) & mask

            if known or window[n]:
                gate[0] = 0
            if window[n]:
                loaded, seen = seen, False
            gate[1] = (gate[1] & ~np.int64(7)) | LOADED * loaded | SEEN * seen | DIRECTION * direction
            status[n, e] = (loaded and direction) | 2 * (not loaded)
        if total[DELIVERED, 0] >= tick:
            total[DELIVERED, 0] -= tick
            ticks[n] = True


class Energy(Block):
    """Add each element's products up, and count quanta of delivered and of received energy.

    Parameters
    ----------
    config : MeterConfig
        The same that makes the hardware.

    Attributes
    ----------
    records : ndarray of int64, (elements + 1, 4, 2)
        Accumulator (LSB of energy) and count of each record, by element (the total last) and
        :class:`~blondel.hdl.metrology.energy.RecordKind`.
    """

    def __init__(self, config: MeterConfig):
        self._config = config
        self.reset()

    def reset(self) -> None:
        """Return to the state at power-up."""
        self.records = np.zeros((self._config.elements + 1, len(RecordKind), 2), dtype=np.int64)

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
        ticks : ndarray of bool, (frames,)
            True where the total of delivered energy passed a multiple of ``tick``.
        status : ndarray of uint8, (frames, elements)
            After each frame: bit 0, the element is reversed; bit 1, it has no load.
        """
        config = self._config
        ticks = np.zeros(len(products), dtype=np.bool_)
        status = np.empty(products.shape, dtype=np.uint8)
        mask = (1 << config.register_bits) - 1
        _meter(
            products, window, self.records, config.quantum, config.hysteresis, config.start_energy, config.tick, mask,
            ticks, status,
        )  # fmt: skip
        return ticks, status

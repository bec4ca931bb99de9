"""Power: golden twin of :mod:`blondel.hdl.metrology.power`."""

from __future__ import annotations

import numpy as np
from numba import njit

from blondel.hdl.config import MeterConfig
from blondel.sim.golden.block import Block

__all__ = ["Power", "multiply"]


@njit(cache=True)
def multiply(voltages, currents, products):
    """Multiply one element's calibrated samples."""
    for n in range(len(voltages)):
        products[n] = np.int64(voltages[n]) * np.int64(currents[n])


class Power(Block):
    """Multiply each element's voltage by its current; nothing is rounded, nothing remembered.

    Parameters
    ----------
    config : MeterConfig
        The same that makes the hardware.
    """

    def __init__(self, config: MeterConfig):
        self._config = config

    def reset(self) -> None:
        """Do nothing: there is no state."""

    def next(self, samples: np.ndarray) -> np.ndarray:
        """Multiply.

        Parameters
        ----------
        samples : ndarray of int64, (frames, channels)
            Calibrated samples, LSB of the converter × 2**-fraction_bits.

        Returns
        -------
        ndarray of int64, (frames, elements)
            LSB of energy.
        """
        rows = np.array(samples.T, dtype=np.int32, order="C")
        products = np.empty((len(rows) // 2, len(samples)), dtype=np.int64)
        for voltages, currents, row in zip(rows[0::2], rows[1::2], products, strict=True):
            multiply(voltages, currents, row)
        return products.T

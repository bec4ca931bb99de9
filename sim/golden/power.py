"""Power: golden twin of :mod:`blondel.hdl.metrology.power`."""

from __future__ import annotations

import numpy as np

from blondel.hdl.config import MeterConfig
from blondel.sim.golden.block import Block

__all__ = ["Power"]


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
        return samples[:, 0::2] * samples[:, 1::2]

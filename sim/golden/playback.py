"""Playback: golden twin of :mod:`blondel.hdl.frontend.playback`."""

from __future__ import annotations

import numpy as np

from blondel.hdl.config import MeterConfig
from blondel.hdl.frontend.playback import PHASE_BITS, POINTS_LOG2, PlaybackLoad, PlaybackTables
from blondel.sim.golden.block import Block

__all__ = ["Playback"]


class Playback(Block):
    """Generate the samples of a mains voltage and of a load's current.

    Parameters
    ----------
    config : MeterConfig
        The same that makes the hardware.
    load : PlaybackLoad
        Likewise.

    Attributes
    ----------
    phase : int
        Phase of the next frame, in periods × 2**28.
    """

    def __init__(self, config: MeterConfig, load: PlaybackLoad | None = None):
        self._config = config
        self._tables = PlaybackTables(config, load or PlaybackLoad())
        self.reset()

    def reset(self) -> None:
        """Return to the state at power-up."""
        self.phase = 0

    def next(self, frames: int) -> np.ndarray:
        """Generate frames.

        Parameters
        ----------
        frames : int
            How many.

        Returns
        -------
        ndarray of int64, (frames, channels)
            LSB of the converter, all of them valid.
        """
        tables, points = self._tables, 1 << POINTS_LOG2
        phase = (self.phase + tables.phase_step * np.arange(frames + 1, dtype=np.int64)) % (1 << PHASE_BITS)
        self.phase = int(phase[-1])
        samples = np.array(tables.words, dtype=np.int64).reshape(2, points)
        pairs = samples[:, phase[:-1] >> (PHASE_BITS - POINTS_LOG2)].T
        return np.tile(pairs, (1, self._config.elements))

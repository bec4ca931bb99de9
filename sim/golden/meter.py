"""The whole meter as integers: golden twin of :mod:`blondel.hdl.meter`."""

from __future__ import annotations

import numpy as np

from blondel.hdl.config import MeterConfig
from blondel.sim.engine import Events, State, output_names
from blondel.sim.golden.block import Block
from blondel.sim.golden.counter import CounterDrive
from blondel.sim.golden.energy import Energy
from blondel.sim.golden.frame import Frame
from blondel.sim.golden.gain import Gain
from blondel.sim.golden.indicators import Indicators
from blondel.sim.golden.offset import Offset
from blondel.sim.golden.phase import Phase
from blondel.sim.golden.power import Power
from blondel.sim.golden.pulses import PulseOutputs

__all__ = ["GoldenMeter"]

#: Values (frames × channels) that the blocks pass on at a time: what stays in a core's cache.
CHUNK_VALUES = 1 << 14


class GoldenMeter(Block):
    """The blocks of the core, one after another; an :class:`blondel.sim.engine.Engine`.

    Parameters
    ----------
    config : MeterConfig
        The same that makes the hardware.
    """

    def __init__(self, config: MeterConfig):
        self.config = config
        self._chunk = max(1, CHUNK_VALUES // config.channels)
        elements = config.elements
        names = output_names(config)
        # Where the bits of the status arrays stand among the outputs: indicators', then energy's.
        first = [names.index(f"{name}[0]") for name in ("voltage", "overrange", "reversed", "no_load")]
        self._status_outputs = np.concatenate([np.arange(start, start + elements) for start in first])
        self._blocks = {
            "frame": Frame(config),
            "offset": Offset(config),
            "phase": Phase(config),
            "gain": Gain(config),
            "power": Power(config),
            "indicators": Indicators(config),
            "energy": Energy(config),
            "pulses": PulseOutputs(config),
            "counter": CounterDrive(config),
        }
        self.reset()

    def reset(self) -> None:
        """Return to the state at power-up."""
        for block in self._blocks.values():
            block.reset()
        self._frame = 0
        elements = self.config.elements
        # At power-up an element is not loaded until it turns out to be.
        self._status = np.concatenate([np.zeros(3 * elements, dtype=bool), np.ones(elements, dtype=bool)])

    def next(self, frames: np.ndarray, ok: np.ndarray | None = None) -> Events:
        """Meter more frames.

        Parameters
        ----------
        frames : ndarray of integers, (frames, channels)
            LSB of the converter; voltage and current of element 0 first.
        ok : ndarray of bool, (frames,), or None
            False where a frame is invalid. Default: all are valid.

        Returns
        -------
        Events
            The edges of all outputs.
        """
        parts = []
        for start in range(0, len(frames), self._chunk):
            chunk = slice(start, start + self._chunk)
            parts.append(self._next_chunk(frames[chunk], None if ok is None else ok[chunk]))
        return Events.join(parts)

    def _next_chunk(self, frames: np.ndarray, ok: np.ndarray | None) -> Events:
        blocks = self._blocks
        if ok is None:
            ok = np.ones(len(frames), dtype=bool)
        samples, index, window, late, clip = blocks["frame"].next(frames, ok)
        samples = blocks["offset"].next(samples, window)
        samples, clip = blocks["phase"].next(samples, clip)
        samples, clip = blocks["gain"].next(samples, clip)
        ranges = blocks["indicators"].next(samples, window, late, clip)
        ticks, flows = blocks["energy"].next(blocks["power"].next(samples), window)
        pulse_edges, counts = blocks["pulses"].next(len(frames), index[np.flatnonzero(ticks)])
        counter_edges = blocks["counter"].next(len(frames), counts)
        status_edges = self._status_edges(np.stack([ranges & 1, ranges >> 1, flows & 1, flows >> 1], axis=1), index)
        edges = Events.join([pulse_edges, counter_edges, status_edges])
        order = np.lexsort((edges.output, edges.frame))
        events = Events(edges.frame[order] + self._frame, edges.output[order], edges.level[order])
        self._frame += len(frames)
        return events

    def _status_edges(self, status: np.ndarray, index: np.ndarray) -> Events:
        """Find the edges of the indicators: ``status`` is (frames, 4, elements), ``index`` (frames,)."""
        status = status.reshape(len(status), -1).astype(bool)
        before = np.concatenate([self._status[np.newaxis], status])
        row, column = np.nonzero(before[1:] != before[:-1])
        self._status = before[-1]
        return Events(index[row], self._status_outputs[column].astype(np.uint16), status[row, column])

    def state(self) -> State:
        """Return the registers and residuals."""
        blocks = self._blocks
        return State(
            config=self.config,
            energy=blocks["energy"].records.copy(),
            outputs=np.concatenate([blocks["pulses"].records, blocks["counter"].records]),
            frames=blocks["frame"].frames,
            lost=blocks["frame"].lost,
        )

    @property
    def offset_corrections(self) -> np.ndarray:
        """What the offset records show: each channel's correction, LSB of the converter × 2**-window_log2."""
        return self._blocks["offset"].correction.copy()

    def preset(self, state: State) -> None:
        """Continue where another meter stood; before the first frame."""
        blocks = self._blocks
        blocks["energy"].preset(state.energy)
        blocks["pulses"].preset(state.outputs[:2])
        blocks["counter"].preset(state.outputs[2:])
        blocks["frame"].preset(state.frames, state.lost)

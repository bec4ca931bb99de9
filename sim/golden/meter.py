"""The whole meter as integers: golden twin of :mod:`blondel.hdl.meter`."""

from __future__ import annotations

import io
import itertools
import zipfile

import numpy as np

from blondel.hdl.config import MeterConfig
from blondel.sim.engine import METER_OUTPUTS, Events, State, StateError, output_names
from blondel.sim.golden.block import Block
from blondel.sim.golden.counter import CounterDrive
from blondel.sim.golden.energy import NO_LOAD, Energy
from blondel.sim.golden.frame import Frame
from blondel.sim.golden.gain import Gain
from blondel.sim.golden.indicators import Indicators
from blondel.sim.golden.offset import Offset
from blondel.sim.golden.phase import Phase
from blondel.sim.golden.pipeline import STATUS, run
from blondel.sim.golden.pulses import PulseOutputs

__all__ = ["GoldenMeter"]


class GoldenMeter(Block):
    """The blocks of the core, one after another; an :class:`blondel.sim.engine.Engine`.

    Parameters
    ----------
    config : MeterConfig
        The same that makes the hardware.

    Attributes
    ----------
    blocks : dict of str, Block
        Those of the elements that have a state, by name.
    """

    def __init__(self, config: MeterConfig):
        self.config = config
        # The elements' outputs follow each other.
        self._first_status = output_names(config).index(f"{STATUS[0]}[0]")
        self.blocks = {
            "frame": Frame(config),
            "offset": Offset(config),
            "phase": Phase(config),
            "gain": Gain(config),
            "indicators": Indicators(config),
            "energy": Energy(config),
        }
        # Each meter's.
        self._outputs = [(PulseOutputs(config), CounterDrive(config)) for _ in config.meter_elements]
        self.reset()

    @property
    def _parts(self) -> dict[str, Block]:
        """All that has a state, by name."""
        outputs = {
            f"{name}[{meter}]": block
            for meter, pair in enumerate(self._outputs)
            for name, block in zip(("pulses", "counter"), pair, strict=True)
        }
        return self.blocks | outputs

    def reset(self) -> None:
        """Return to the state at power-up."""
        for block in self._parts.values():
            block.reset()
        self._frame = 0
        # At power-up an element is not loaded until it turns out to be.
        self._shown = np.full(self.config.elements, NO_LOAD, dtype=np.int64)

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
        config, blocks = self.config, self.blocks
        frames = np.require(frames, dtype=np.int32, requirements=["C", "W"])
        ok = np.empty(0, dtype=bool) if ok is None else np.require(ok, dtype=bool, requirements=["C", "W"])
        frame = blocks["frame"]
        ticks, edges, frame.place, frame.voltage = run(
            frames, ok, frame.place, frame.voltage, config.sample_bits, config.window_frames, config.window_frames_most,
            *(blocks[name].state for name in ("offset", "phase", "gain", "indicators", "energy")), self._shown,
        )  # fmt: skip
        lost = len(ok) - int(np.count_nonzero(ok))
        frame.count(len(frames) - lost, lost)

        parts = []
        tick_frames, tick_meters = np.array(ticks, dtype=np.int64).reshape(-1, 2).T
        for meter, (pulses, counter) in enumerate(self._outputs):
            pulse_edges, counts = pulses.next(len(frames), tick_frames[tick_meters == meter])
            own = Events.join([pulse_edges, counter.next(len(frames), counts)])
            parts.append(Events(own.frame, own.output + np.uint16(len(METER_OUTPUTS) * meter), own.level))
        at, output, level = np.array(edges, dtype=np.int64).reshape(-1, 3).T
        status_edges = Events(at, (self._first_status + output).astype(np.uint16), level.astype(bool))
        joined = Events.join([*parts, status_edges])
        order = np.lexsort((joined.output, joined.frame))
        events = Events(joined.frame[order] + self._frame, joined.output[order], joined.level[order])
        self._frame += len(frames)
        return events

    def state(self) -> State:
        """Return the registers and residuals."""
        blocks = self.blocks
        return State(
            config=self.config,
            energy=blocks["energy"].records.copy(),
            outputs=np.concatenate([block.records for block in itertools.chain(*self._outputs)]),
            frames=blocks["frame"].frames,
            lost=blocks["frame"].lost,
        )

    @property
    def offset_corrections(self) -> np.ndarray:
        """What the offset records show: each channel's correction, LSB of the converter × 2**-window_log2."""
        return self.blocks["offset"].correction.copy()

    def preset(self, state: State) -> None:
        """Continue where another meter stood; before the first frame."""
        blocks = self.blocks
        blocks["energy"].preset(state.energy)
        for records, (pulses, counter) in zip(state.outputs.reshape(-1, 3, 2), self._outputs, strict=True):
            pulses.preset(records[:2])
            counter.preset(records[2:])
        blocks["frame"].preset(state.frames, state.lost)

    def content(self) -> dict[str, np.ndarray]:
        """Return all that :meth:`next` goes on from, by name: each block's with the block's name before it."""
        blocks = {f"{name}.{key}": each for name, block in self._parts.items() for key, each in block.save().items()}
        return {"frame": np.array(self._frame), "shown": self._shown} | blocks

    def save(self) -> bytes:
        """Return :meth:`content` as a file."""
        file = io.BytesIO()
        np.savez(file, config=repr(self.config), **self.content())
        return file.getvalue()

    def restore(self, state: bytes) -> None:
        """Go on where :meth:`save` was called, in this process or in another.

        Raises
        ------
        StateError
            It is no state, or that of another configuration.
        """
        try:
            with np.load(io.BytesIO(state)) as file:
                content = dict(file)
        except (ValueError, OSError, EOFError, zipfile.BadZipFile):
            raise StateError("this is no state of a meter that GoldenMeter.save() wrote") from None
        if str(content.get("config")) != repr(self.config):
            raise StateError("the state is another configuration's")
        self._frame, self._shown = int(content["frame"]), content["shown"]
        for name, block in self._parts.items():
            own = {key.removeprefix(f"{name}."): each for key, each in content.items() if key.startswith(f"{name}.")}
            block.restore(own)

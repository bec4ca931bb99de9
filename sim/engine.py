"""What the golden model and the RTL engine have in common: the same frames in, the same integers out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from blondel.hdl.config import MeterConfig

__all__ = ["METER_OUTPUTS", "Engine", "Events", "Record", "State", "StateError", "output_names"]


class StateError(ValueError):
    """What was saved cannot be restored here; the message says why."""


class Record:
    """Index of an element's energy records: element × 4 plus one of these; the meters' totals come last."""

    #: Energy of the current window (while undecided), and the gate's bits: loaded, seen, direction.
    GATE = 0
    #: Energy not yet committed, and the quanta that the no-load gate withheld.
    PENDING = 1
    #: Energy beyond the last quantum, and the register, of delivered energy.
    DELIVERED = 2
    #: Energy beyond the last quantum, and the register, of received energy.
    RECEIVED = 3
    #: Records of an element.
    COUNT = 4


#: A meter's outputs, in their order.
METER_OUTPUTS = ("output_10", "output_100", "output_1000", "counter", "test", "queued")


def output_names(config: MeterConfig) -> tuple[str, ...]:
    """Return the names of the core's outputs, in the order of their numbers in :class:`Events`.

    Those of the first meter, of the second one, …, then the elements' indicators. With one meter its outputs have no
    number in their names.
    """
    elements, meters = range(config.elements), len(config.meter_elements)
    return (
        *(f"{name}[{meter}]" if meters > 1 else name for meter in range(meters) for name in METER_OUTPUTS),
        *(f"{name}[{e}]" for name in ("voltage", "reversed", "overrange", "no_load") for e in elements),
    )  # fmt: skip


@dataclass
class Events:
    """Edges of the outputs, in the order of their frames, then of their numbers.

    Parameters
    ----------
    frame : ndarray of int64, (edges,)
        Index of the frame after which the output has its new level, from the engine's first frame on.
    output : ndarray of uint16, (edges,)
        Number of the output: its place in :func:`output_names`.
    level : ndarray of bool, (edges,)
        The new level.
    """

    frame: np.ndarray
    output: np.ndarray
    level: np.ndarray

    @classmethod
    def join(cls, parts: list[Events]) -> Events:
        """Join the events of successive calls."""
        return cls(
            np.concatenate([np.empty(0, np.int64), *(part.frame for part in parts)]),
            np.concatenate([np.empty(0, np.uint16), *(part.output for part in parts)]),
            np.concatenate([np.empty(0, bool), *(part.level for part in parts)]),
        )

    def of(self, output: int) -> Events:
        """Return the edges of one output."""
        chosen = self.output == output
        return Events(self.frame[chosen], self.output[chosen], self.level[chosen])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Events) and all(
            np.array_equal(getattr(self, name), getattr(other, name)) for name in ("frame", "output", "level")
        )

    __hash__ = None

    def __len__(self) -> int:
        return len(self.frame)


@dataclass
class State:
    """What a meter shows, and what it needs to continue where another stood.

    Parameters
    ----------
    config : MeterConfig
        The meter's.
    energy : ndarray of int64, (elements + meters, 4, 2)
        Accumulator (LSB of energy) and count of each record, by element (the meters' totals last) and
        :class:`Record`.
    outputs : ndarray of int64, (3 × meters, 2)
        Records of each meter's pulse outputs (ticks waiting, half pulses emitted modulo 200), the test pulse
        (ticks waiting, half pulses emitted modulo 2) and the counter (counts waiting, counts driven).
    frames : int
        Valid frames metered.
    lost : int
        Invalid frames.
    """

    config: MeterConfig
    energy: np.ndarray
    outputs: np.ndarray
    frames: int = 0
    lost: int = 0

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, State)
            and np.array_equal(self.energy, other.energy)
            and np.array_equal(self.outputs, other.outputs)
            and (self.frames, self.lost) == (other.frames, other.lost)
        )

    __hash__ = None

    def _committed(self, element: int, record: int) -> int:
        accumulator, count = (int(value) for value in self.energy[element, record])
        return accumulator + count * self.config.quantum

    def net(self, element: int) -> int:
        """Return an element's net energy, with all that is pending, in LSB: the sum of its products."""
        pending, withheld = (int(value) for value in self.energy[element, Record.PENDING])
        withheld = (withheld + (1 << (self.config.register_bits - 1))) % (1 << self.config.register_bits)
        withheld -= 1 << (self.config.register_bits - 1)
        committed = self._committed(element, Record.DELIVERED) - self._committed(element, Record.RECEIVED)
        return committed + pending + withheld * self.config.quantum

    def delivered_received(self, element: int) -> tuple[int, int]:
        """Return an element's delivered and received energy, in LSB.

        What a loaded element has pending counts for the direction in which it would be committed, so that
        delivered less received is its net energy less what the no-load gate withheld. What an element
        that is not loaded has pending counts for neither.
        """
        flags = int(self.energy[element, Record.GATE, 1])
        loaded, received_now = flags & 1, flags >> 2 & 1
        pending = int(self.energy[element, Record.PENDING, 0]) if loaded else 0
        delivered = self._committed(element, Record.DELIVERED)
        received = self._committed(element, Record.RECEIVED)
        if received_now:
            received -= pending
        else:
            delivered += pending
        # A direction that never had energy cannot give any back: the rest is the other direction's.
        back = min(delivered, 0) - min(received, 0)
        return max(delivered, 0) + max(back, 0), max(received, 0) + max(-back, 0)

    @property
    def delivered_wh(self) -> np.ndarray:
        """Delivered energy of each element, in Wh, shape (elements,)."""
        return self._wh(0)

    @property
    def received_wh(self) -> np.ndarray:
        """Received energy of each element, in Wh, shape (elements,)."""
        return self._wh(1)

    def _wh(self, which: int) -> np.ndarray:
        lsb = self.config.product_wh
        elements = range(self.config.elements)
        return np.array([float(self.delivered_received(e)[which] * lsb) for e in elements])


class Engine(Protocol):
    """A meter that takes frames: the golden model, or the generated design."""

    config: MeterConfig

    def reset(self) -> None:
        """Return to the state at power-up."""

    def next(self, frames: np.ndarray, ok: np.ndarray | None = None) -> Events:
        """Meter more frames.

        Parameters
        ----------
        frames : ndarray of int32, (frames, channels)
            LSB of the converter; voltage and current of element 0 first.
        ok : ndarray of bool, (frames,), or None
            False where a frame is invalid. Default: all are valid.
        """

    def state(self) -> State:
        """Return the registers and residuals."""

    def preset(self, state: State) -> None:
        """Continue where another meter stood; before the first frame."""

    def save(self) -> bytes:
        """Return all that :meth:`next` goes on from."""

    def restore(self, state: bytes) -> None:
        """Go on where :meth:`save` was called, in this process or in another.

        Raises
        ------
        StateError
            It is no state, or that of another meter.
        """

"""What a frame costs the golden meter, block by block: ``.venv/bin/python bench/golden_profile.py``.

Each block's compiled function runs alone, on one chunk of one element, which is in the cache; the cost of a call
without frames is taken off. The whole meter runs over many frames, which come from memory.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from engines import MODEL, household_frames, memory_bytes_per_s

from blondel.hdl.config import MeterConfig
from blondel.sim.golden import energy, frame, gain, indicators, offset, phase, power
from blondel.sim.golden.meter import GoldenMeter
from blondel.sim.golden.pipeline import CHUNK_FRAMES

#: Of one chunk, of the frames in the core's cache, of those in memory: the best of so many calls counts.
CHUNK_CALLS, CACHED_CALLS, MEMORY_CALLS = 2000, 200, 10
CACHED_FRAMES, MEMORY_FRAMES = 1 << 16, 4_000_000


def nanoseconds(calls: int, function: Callable, *arguments: object) -> float:
    """Return the least time of a call, in ns of processor time."""
    best = np.inf
    for _ in range(calls):
        start = time.process_time_ns()
        function(*arguments)
        best = min(best, time.process_time_ns() - start)
    return best


def block_calls(meter: GoldenMeter, codes: np.ndarray) -> dict[str, tuple]:
    """Return what each block does for one element: how many calls, the function, its arguments."""
    n, history = len(codes), meter.blocks["phase"].state.history.shape[1]
    states = {name: meter.blocks[name].state for name in ("offset", "phase", "gain", "indicators", "energy")}
    lines, entering = np.zeros((4, history + n), np.int32), np.empty((4, n), np.int64)
    lines[:, history:] = codes.T
    path, clip, sums = np.empty((4, n), np.int32), np.zeros((4, n), bool), np.empty(n + 1, np.int64)
    products, committed = np.empty(n, np.int64), np.zeros(n, np.int64)
    phase.delay(lines, 0, 1, n, states["phase"], entering, path, clip)
    power.multiply(*path[:2], products)
    # These work in place: they get arrays of their own.
    removed, calibrated = np.zeros(n, np.int32), np.zeros(n, np.int32)
    shown = energy.flow_status(0, states["energy"])
    return {
        "frame": (2, frame.take_channel, codes[:, 0], meter.config.sample_bits, lines[0, history:], clip[0]),
        "offset": (2, offset.remove_offset, removed, 0, states["offset"]),
        "phase": (0.5, phase.delay, lines, 0, 1, n, states["phase"], entering, path, clip),
        "gain": (2, gain.calibrate, calibrated, 0, states["gain"], sums, clip[0]),
        "indicators, squares": (2, indicators.watch_squares, path[0], 0, 0, states["indicators"]),
        "indicators, clip": (1, indicators.watch_clip, *clip[:2], 0, states["indicators"]),
        "power": (1, power.multiply, *path[:2], products),
        "energy": (1, energy.meter, products, 0, False, 0, shown, states["energy"], committed),
    }


def main() -> None:
    """Measure, print."""
    config = MeterConfig.for_model(MODEL)
    meter = GoldenMeter(config)
    codes = household_frames(config, MEMORY_FRAMES)
    meter.next(codes)
    full, none = block_calls(meter, codes[:CHUNK_FRAMES]), block_calls(meter, codes[:0])
    costs = {}
    for name, (times, *call) in full.items():
        once = nanoseconds(CHUNK_CALLS, *call) - nanoseconds(CHUNK_CALLS, *none[name][1:])
        costs[name] = times * config.elements * once / CHUNK_FRAMES
    costs["sum"] = sum(costs.values())
    for title, frames, calls in (
        ("the whole, from the cache", CACHED_FRAMES, CACHED_CALLS),
        ("the whole, from memory", MEMORY_FRAMES, MEMORY_CALLS),
    ):
        costs[title] = nanoseconds(calls, meter.next, codes[:frames]) / frames
    costs["reading a frame at the memory's speed"] = 1e9 * codes.itemsize * config.channels / memory_bytes_per_s()
    print(f"{MODEL}, {config.elements} elements, ns a frame")
    for name, cost in costs.items():
        print(f"{name:<40}{cost:6.2f}")


if __name__ == "__main__":
    main()

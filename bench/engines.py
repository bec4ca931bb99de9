"""How fast the golden model and the RTL engine are, and how that goes with elements and with length."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from usage import usage

from blondel.hdl.config import MeterConfig
from blondel.sim.afe.adc import IdealAdc
from blondel.sim.golden.meter import GoldenMeter
from blondel.sim.rtl.engine import RtlMeter, build
from blondel.sim.source.loads import Sine
from blondel.sim.source.mains import Mains
from blondel.sim.source.service import Service

MODEL = "MDNCT-2SC"
GOLDEN_FRAMES, RTL_FRAMES = 4_000_000, 400_000
#: The best of a few runs: others on the machine can only make a run slower.
GOLDEN_REPEATS, RTL_REPEATS = 10, 3
#: Frames before those that count: what is compiled or loaded at the first call does not.
WARM_UP = 1000
#: Numbers of elements, and frames for one of them; more elements get fewer.
ELEMENTS = (1, 2, 4, 8, 16, 32, 64)
GOLDEN_GROWTH_FRAMES, RTL_GROWTH_FRAMES = 800_000, 100_000
#: Lengths of runs, by engine: options of ``blondel run``, and seconds.
LENGTHS = {
    "golden": [(["--engine", "golden", "--seconds", str(s)], s) for s in (100, 1_000, 10_000)],
    "days": [(["--engine", "golden", "--days", str(days)], days * 86_400) for days in (1, 2, 4)],
    "rtl": [(["--engine", "rtl", "--seconds", str(s)], s) for s in (1, 10, 100)],
}
#: Larger than a core's cache.
MEMORY_BYTES = 1 << 28


def household_frames(config: MeterConfig, frames: int) -> np.ndarray:
    """Return converter codes of a loaded meter, as the engines take them: (frames, channels)."""
    loads = [[Sine(40.0)], [Sine(10.0, "0.5lag")]]
    service = Service(
        Mains(volts=config.line.v_nominal, hertz=config.line.hertz),
        [loads[element % len(loads)] for element in range(config.elements)],
        sample_rate_hz=config.sample_rate_hz,
    )
    return IdealAdc(config).codes(0, *service.samples(0, frames))


def processor_s() -> float:
    """Return the processor time of this process and of those that it has waited for."""
    return sum(os.times()[:4])


def best_seconds(repeats: int, function: Callable, *arguments: object) -> float:
    """Return the least processor time that a call takes: what others on the machine take does not count."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        function(*arguments)
        times.append(time.process_time() - start)
    return min(times)


def best_rate(engine: GoldenMeter | RtlMeter, frames: np.ndarray, repeats: int) -> float:
    """Return frames per second."""
    engine.next(frames[:WARM_UP])
    return len(frames) / best_seconds(repeats, engine.next, frames)


def memory_bytes_per_s() -> float:
    """Return how fast one core reads memory."""
    words = np.ones(MEMORY_BYTES // 8, dtype=np.int64)
    return MEMORY_BYTES / best_seconds(GOLDEN_REPEATS, words.max)


def rtl_speed(config: MeterConfig, frames: np.ndarray) -> dict[str, float]:
    """Return the RTL engine's frames per second, and how many clocks a frame takes."""
    rtl = RtlMeter(config)
    rate = best_rate(rtl, frames, RTL_REPEATS)
    return {"frames_per_s": rate, "clocks_per_frame": rtl.clocks / rtl.frames}


def build_seconds(config: MeterConfig) -> float:
    """Return the processor time that it takes to generate and compile the design, with an empty cache."""
    kept = os.environ.get("XDG_CACHE_HOME")
    with tempfile.TemporaryDirectory() as empty:
        os.environ["XDG_CACHE_HOME"] = empty
        start = processor_s()
        build(config)
        seconds = processor_s() - start
    if kept is None:
        del os.environ["XDG_CACHE_HOME"]
    else:
        os.environ["XDG_CACHE_HOME"] = kept
    return seconds


def by_elements() -> list[dict[str, object]]:
    """Return how the engines' speed goes with the number of elements."""
    growth = []
    for elements in ELEMENTS:
        # A test pulse of 5 Wh is what 64 elements allow.
        config = MeterConfig.for_model("MSNCT-2SC").with_changes(elements=elements, model=None, test_kh_wh=5.0)
        frames = household_frames(config, GOLDEN_GROWTH_FRAMES // elements)
        golden = {"frames_per_s": best_rate(GoldenMeter(config), frames, GOLDEN_REPEATS)}
        rtl = rtl_speed(config, frames[: RTL_GROWTH_FRAMES // elements])
        growth.append({"elements": elements, "golden": golden, "rtl": rtl})
    return growth


def command(*arguments: str, repeats: int = 1) -> dict[str, float]:
    """Return what a ``blondel`` command takes: of several runs, the one with the least processor time."""
    program = str(Path(sys.executable).with_name("blondel"))
    return min((usage(program, *arguments) for _ in range(repeats)), key=lambda took: took["processor_s"])


def by_length() -> dict[str, list[dict[str, float]]]:
    """Return, for each way to run, what runs of growing length take, with warm caches."""
    run = ["run", MODEL, "--household", "--settle", "0"]
    return {
        name: [
            # The longest ones once: nothing is asked of their time but that it grows with the days.
            {"seconds": seconds, **command(*run, *options, repeats=1 if name == "days" else 2)}
            for options, seconds in lengths
        ]
        for name, lengths in LENGTHS.items()
    }

"""Measures how fast the engines are, in one run on this machine: ``make bench``.

Prints a table, every figure as a ratio to real time too, and writes it as JSON to ``build/bench.json``.
Nothing here passes or fails.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from blondel.hdl.config import MeterConfig
from blondel.sim.afe.adc import IdealAdc
from blondel.sim.golden.meter import GoldenMeter
from blondel.sim.rtl.engine import RtlMeter, build
from blondel.sim.source.loads import Sine
from blondel.sim.source.mains import Mains
from blondel.sim.source.service import Service

MODEL = "MDNCT-2SC"
GOLDEN_FRAMES = 4_000_000
RTL_FRAMES = 400_000
#: Of the RTL, with as many elements each; more elements get fewer frames.
GROWTH_ELEMENTS = (1, 2, 4, 8, 16, 32, 64)
GROWTH_FRAMES = 100_000
#: The best of a few runs: others on the machine can only make a run slower.
GOLDEN_REPEATS, RTL_REPEATS = 10, 3
#: Larger than a core's cache.
MEMORY_BYTES = 1 << 28
RESULT = Path("build/bench.json")


def household_frames(config: MeterConfig, frames: int) -> np.ndarray:
    """Return converter codes of a loaded meter, as the engines take them."""
    service = Service(
        Mains(volts=config.line.v_nominal, hertz=config.line.hertz),
        [[Sine(40.0)], [Sine(10.0, "0.5lag")]],
        sample_rate_hz=config.sample_rate_hz,
    )
    return IdealAdc(config).codes(0, *service.samples(0, frames))


def best_seconds(repeats: int, function: Callable, *arguments: object) -> float:
    """Return the least processor time that a call takes: what others on the machine take does not count."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        function(*arguments)
        times.append(time.process_time() - start)
    return min(times)


def best_rate(engine: GoldenMeter | RtlMeter, frames: np.ndarray, repeats: int) -> float:
    """Return frames per second; what is compiled at the first call does not count."""
    engine.next(frames[:1000])
    return len(frames) / best_seconds(repeats, engine.next, frames)


def memory_bytes_per_s() -> float:
    """Return how fast one core reads memory."""
    words = np.ones(MEMORY_BYTES // 8, dtype=np.int64)
    return MEMORY_BYTES / best_seconds(GOLDEN_REPEATS, words.max)


def rtl_growth() -> dict[int, dict[str, float]]:
    """Return how the RTL engine's speed goes with the number of elements."""
    growth = {}
    for elements in GROWTH_ELEMENTS:
        # A test pulse of 5 Wh is what 64 elements allow.
        config = MeterConfig.for_model("MSNCT-2SC").with_changes(elements=elements, model=None, test_kh_wh=5.0)
        limit = 1 << (config.sample_bits - 1)
        shape = GROWTH_FRAMES // elements, config.channels
        frames = np.random.default_rng(1).integers(-limit, limit, shape, dtype=np.int32)
        start = time.perf_counter()
        build(config)
        built = time.perf_counter() - start
        rtl = RtlMeter(config)
        rate = best_rate(rtl, frames, RTL_REPEATS)
        clocks = rtl.clocks / (min(1000, len(frames)) + RTL_REPEATS * len(frames))
        growth[elements] = {
            "frames_per_s": rate,
            "real_time_factor": rate / config.sample_rate_hz,
            "clocks_per_frame": clocks,
            "clocks_per_s": rate * clocks,
            "build_s": built,
        }
    return growth


def build_seconds(config: MeterConfig) -> float:
    """Return how long it takes to generate and compile the design, with an empty cache."""
    kept = os.environ.get("XDG_CACHE_HOME")
    with tempfile.TemporaryDirectory() as empty:
        os.environ["XDG_CACHE_HOME"] = empty
        start = time.perf_counter()
        build(config)
        seconds = time.perf_counter() - start
    if kept is None:
        del os.environ["XDG_CACHE_HOME"]
    else:
        os.environ["XDG_CACHE_HOME"] = kept
    return seconds


def command_seconds(*arguments: str) -> float:
    """Return how long a ``blondel`` command takes, start-up included, with warm caches."""
    command = [str(Path(sys.executable).with_name("blondel")), *arguments]
    subprocess.run(command, check=True, capture_output=True)
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    """Measure, print, write."""
    config = MeterConfig.for_model(MODEL)
    frames = household_frames(config, GOLDEN_FRAMES)
    rtl = RtlMeter(config)
    golden_rate = best_rate(GoldenMeter(config), frames, GOLDEN_REPEATS)
    golden_bytes = golden_rate * frames.itemsize * config.channels
    memory_bytes = memory_bytes_per_s()
    rtl_rate = best_rate(rtl, frames[:RTL_FRAMES], RTL_REPEATS)
    clocks = rtl.clocks / (1000 + RTL_REPEATS * RTL_FRAMES)
    figures = {
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "model": MODEL,
        "sample_rate_hz": config.sample_rate_hz,
        "golden_frames_per_s": golden_rate,
        "golden_real_time_factor": golden_rate / config.sample_rate_hz,
        "golden_bytes_per_s": golden_bytes,
        "memory_bytes_per_s": memory_bytes,
        "golden_to_memory": golden_bytes / memory_bytes,
        "rtl_frames_per_s": rtl_rate,
        "rtl_real_time_factor": rtl_rate / config.sample_rate_hz,
        "rtl_clocks_per_frame": clocks,
        "rtl_clocks_per_s": rtl_rate * clocks,
        "golden_to_rtl": golden_rate / rtl_rate,
        "rtl_growth": rtl_growth(),
        "build_s": build_seconds(config),
        "run_one_second_s": command_seconds("run", MODEL, "--seconds", "1"),
        "run_one_second_without_settling_s": command_seconds("run", MODEL, "--seconds", "1", "--settle", "0"),
    }
    rows = [
        (
            "golden model",
            f"{golden_rate / 1e6:,.2f} M frames/s",
            f"{figures['golden_real_time_factor']:,.0f} × real time",
        ),
        (
            "golden model's samples",
            f"{golden_bytes / 1e9:,.2f} GB/s",
            f"{golden_bytes / memory_bytes:.1%} of what a core reads, {memory_bytes / 1e9:,.1f} GB/s",
        ),
        ("RTL engine", f"{rtl_rate / 1e3:,.1f} k frames/s", f"{figures['rtl_real_time_factor']:,.1f} × real time"),
        ("golden model / RTL engine", f"{figures['golden_to_rtl']:,.1f}", ""),
        ("RTL engine", f"{figures['rtl_clocks_per_s'] / 1e6:,.2f} M clocks/s", f"{clocks:.1f} clocks a frame"),
        ("generate and compile the design", f"{figures['build_s']:.1f} s", "empty cache"),
        ("blondel run, 1 s, both engines", f"{figures['run_one_second_s']:.2f} s", "warm cache, 8.4 s of settling"),
        (
            "blondel run, 1 s, both engines",
            f"{figures['run_one_second_without_settling_s']:.2f} s",
            "warm cache, no settling",
        ),
    ]
    print(f"{MODEL}, {config.elements} elements, {config.sample_rate_hz:g} frames/s in real time; one core")
    for what, figure, note in rows:
        print(f"{what:<33}{figure:>20}   {note}".rstrip())
    print(f"{'RTL engine, elements':<22}{'frames/s':>10}{'× real time':>13}{'clocks a frame':>16}{'M clocks/s':>12}")
    for elements, each in figures["rtl_growth"].items():
        print(
            f"{elements:>20}  {each['frames_per_s']:>10,.0f}{each['real_time_factor']:>13,.2f}"
            f"{each['clocks_per_frame']:>16,.1f}{each['clocks_per_s'] / 1e6:>12,.2f}"
        )
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()

"""The same meter and the same frames in other simulators: Amaranth's own, and the Verilog ones under cocotb.

Each one's outputs are watched, and what it showed is compared with the golden model's answer.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from amaranth.hdl import Cat
from amaranth.sim import Simulator
from engines import household_frames, processor_s

from blondel.hdl.config import MeterConfig
from blondel.hdl.meter import Meter
from blondel.hdl.verilog import MODULE_NAME, convert

# The tests' harness for simulators is used, with their bench for cocotb.
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "cocotb"))
from meter_bench import PER_ELEMENT, PER_METER
from simulation import Simulation, is_installed
from vectors import answer

#: Frames for each, about a second of it. They are fed in parts, the fastest of which counts.
FRAMES = {"verilator": 9000, "icarus": 300, "amaranth": 90}
PARTS = 3


def under_cocotb(simulator: str, config: MeterConfig, frames: int, folder: Path) -> dict[str, float] | None:
    """Return frames per second of the generated Verilog in a simulator, and the processor time to build it.

    Parameters
    ----------
    simulator : str
        ``verilator`` or ``icarus``.
    config : MeterConfig
    frames : int
    folder : Path
        Where to work.

    Returns
    -------
    dict or None
        ``frames_per_s`` and ``build_s``. None: the simulator is not installed.
    """
    if not is_installed(simulator):
        return None
    samples = household_frames(config, frames)
    ok = np.ones(frames, dtype=bool)
    np.savez(folder / "vectors.npz", samples=samples, ok=ok, **answer(config, samples, ok))
    start = processor_s()
    source = folder / "meter.v"
    source.write_text(convert(config))
    simulation = Simulation(simulator, [source], MODULE_NAME, folder / "build", log_file=folder / "log")
    build_s = processor_s() - start
    result = folder / "frames_per_s"
    simulation.run(
        "speed_bench", folder,
        BLONDEL_VECTORS=str(folder / "vectors.npz"), BLONDEL_PARTS=str(PARTS), BLONDEL_RESULT=str(result),
    )  # fmt: skip
    return {"frames_per_s": float(result.read_text()), "build_s": build_s}


def in_amaranth(config: MeterConfig, frames: int) -> dict[str, float]:
    """Return frames per second of the core in Amaranth's simulator, and the processor time to make it.

    Parameters
    ----------
    config : MeterConfig
    frames : int
    """
    samples = household_frames(config, frames)
    expected = answer(config, samples, np.ones(frames, dtype=bool))["edges"]
    start = processor_s()
    meter = Meter(config)
    simulator = Simulator(meter)
    build_s = processor_s() - start
    levels = Cat(
        *(getattr(meter, name)[m] for m in range(len(config.meter_elements)) for name in PER_METER),
        *(getattr(meter, name) for name in PER_ELEMENT),
    )
    edges, times = [], []

    async def feed(ctx):
        ctx.set(meter.samples.valid, 1)
        for row in samples.tolist():
            for channel, value in enumerate(row):
                last = channel == config.last_channel
                ctx.set(meter.samples.payload, {"data": value, "ok": 1, "last": last})
                await ctx.tick().until(meter.samples.ready)
        ctx.set(meter.samples.valid, 0)

    async def watch(ctx):
        before = ctx.get(levels)
        times.append(time.process_time())
        for part in np.array_split(np.arange(frames), PARTS):
            for frame in part.tolist():
                await ctx.posedge(meter.frame)
                now = ctx.get(levels)
                edges.extend((frame, n, now >> n & 1) for n in range(len(levels)) if (now ^ before) >> n & 1)
                before = now
            times.append(time.process_time())

    simulator.add_clock(1e-6)
    simulator.add_testbench(feed)
    simulator.add_testbench(watch)
    simulator.run()
    assert edges == list(map(tuple, expected.tolist())), "Amaranth's simulator differs from the golden model"
    return {"frames_per_s": float(frames / PARTS / min(np.diff(times))), "build_s": build_s}


def compare(config: MeterConfig) -> dict[str, dict[str, float] | None]:
    """Return what each simulator does; None where it is not installed."""
    found = {}
    for simulator in ("verilator", "icarus"):
        with tempfile.TemporaryDirectory() as folder:
            found[simulator] = under_cocotb(simulator, config, FRAMES[simulator], Path(folder))
    return found | {"amaranth": in_amaranth(config, FRAMES["amaranth"])}

"""The whole meter as generated Verilog, under cocotb, on every simulator that is there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from harness import SEED
from simulation import Simulation
from vectors import BUSY, busy_frames, expected_records

from blondel.hdl.verilog import MODULE_NAME, convert
from blondel.sim.golden.meter import GoldenMeter


def write_vectors(path: Path, config) -> None:
    """Write what to feed, and the model's answer, for the bench to read."""
    samples, ok = busy_frames(config, frames=2500)
    golden = GoldenMeter(config)
    events = golden.next(samples, ok)
    np.savez(
        path,
        samples=samples,
        ok=ok,
        edges=np.stack([events.frame, events.output, events.level], axis=1).astype(np.int64),
        records=np.array(expected_records(golden.state()), dtype=np.int64),
        seed=SEED,
    )


@pytest.mark.parametrize("simulator", ["verilator", "icarus"])
def test_generated_verilog_equals_the_model(simulator, tmp_path):
    write_vectors(tmp_path / "vectors.npz", BUSY)
    source = tmp_path / "meter.v"
    source.write_text(convert(BUSY))
    simulation = Simulation(simulator, [source], MODULE_NAME, tmp_path / "build")
    simulation.run("meter_bench", tmp_path, BLONDEL_VECTORS=str(tmp_path / "vectors.npz"))

"""The whole meter as generated Verilog, under cocotb, on every simulator that is there."""

from __future__ import annotations

import pytest
from simulation import Simulation
from vectors import BUSY, MIXED, write_vectors

from blondel.hdl.verilog import MODULE_NAME, convert


@pytest.mark.parametrize(
    ("simulator", "config", "frames"),
    [("verilator", BUSY, 2500), ("icarus", BUSY, 2500), ("verilator", MIXED, 1500)],
    ids=["verilator", "icarus", "several meters"],
)
def test_generated_verilog_equals_the_model(simulator, config, frames, tmp_path):
    write_vectors(tmp_path / "vectors.npz", config, frames=frames)
    source = tmp_path / "meter.v"
    source.write_text(convert(config))
    simulation = Simulation(simulator, [source], MODULE_NAME, tmp_path / "build")
    simulation.run("meter_bench", tmp_path, BLONDEL_VECTORS=str(tmp_path / "vectors.npz"))

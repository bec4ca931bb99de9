"""The command: what it prints, what it refuses, and with which exit status."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from command import COMMAND, refused, run

from blondel.hdl.config import MeterConfig
from blondel.hdl.model_number import ModelNumber
from blondel.sim import measure

SHARED = Path(__file__).parents[2].parent / "shared" / "recordings"
#: Metering for a moment, with the golden model alone.
BRIEF = ["--seconds", "1", "--settle", "0", "--engine", "golden"]


def figures(capsys, *args) -> dict:
    status, out, _ = run(capsys, *args, "--json")
    assert status == 0
    return json.loads(out)


def recording(path: Path, *, volts=120.0, amps=5.0, hertz=60.0, rate=2000.0, seconds=0.5, **arrays) -> Path:
    wave = np.sqrt(2) * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
    np.savez(path, **({"v": volts * wave, "i": amps * wave, "fs": rate} | arrays))
    return path


# ---- models, describe, verilog ---------------------------------------------------------------------


def test_models_lists_all(capsys):
    status, out, err = run(capsys, "models")
    assert (status, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()[1:]] == [str(model) for model in ModelNumber.all()]
    assert "MDTCT-2SP  dual      1 kWh     200 A split-core" in out.splitlines()


def test_describe_speaks_its_language(capsys):
    assert "L1                black  line 1" in run(capsys, "describe", "mdnct-2sc")[1]
    assert "216–264 V phase-neutre" in run(capsys, "describe", "MDNCT-2SC", "--line", 50, "--lang", "fr")[1]
    assert "energía activa total entregada" in run(capsys, "describe", "MDNCT-2SC", "--lang", "es")[1]


def test_verilog_is_a_whole_file(capsys, tmp_path):
    path = tmp_path / "meter.v"
    status, out, err = run(capsys, "verilog", "MSNCT-1SC", "-o", path, "--bits", 16)
    assert (status, out, err) == (0, "", "")
    text = path.read_text()
    assert "model MSNCT-1SC" in text
    assert "blondel_meter meter (" in text
    assert text.count("endmodule") == len([line for line in text.splitlines() if line.startswith("module ")])
    assert "input [15:0] sample_data" in text
    assert os.listdir(tmp_path) == ["meter.v"]
    assert run(capsys, "verilog", "MSNCT-1SC", "--bits", 16)[1] == text
    serial = run(capsys, "verilog", "MSNCT-1SC", "--bits", 16, "--multiplier", "serial")[1]
    assert "A frame takes 38 clocks" in text
    assert f"A frame takes {7 * (26 + 2) + 9} clocks" in serial


# ---- run -------------------------------------------------------------------------------------------


def test_run_prints_a_report(capsys):
    status, out, err = run(capsys, "run", "MDNCT-1SC", *BRIEF)
    assert (status, err) == (0, "")
    assert "1 s (8000 frames), after 0 s of settling" in out
    assert "golden engine alone" in out


def test_the_load_is_what_was_asked_for(capsys):
    found = figures(
        capsys, "run", "MDNCT-1SC", "--line", 50, "--volts", 220, "--hertz", 49.5, "--amps=-2,40", "--pf", "1,0.5lead",
        "--seconds", 4, "--engine", "golden",
    )  # fmt: skip
    assert found["line_hz"] == 50
    assert found["frames"] == 32_000
    first, second = found["elements"]
    assert first["true_wh"] == pytest.approx(-2 * 220 * 4 / 3600, rel=1e-4)
    assert second["true_wh"] == pytest.approx(0.5 * 40 * 220 * 4 / 3600, rel=1e-4)
    assert found["flags"]["reversed"] == [True, False]
    assert abs(found["error_ppm"]) < 10


def test_the_default_load_is_10_amps_at_nominal_voltage(capsys):
    found = figures(capsys, "run", "MSNCT-2NC", *BRIEF)
    assert found["true_wh"] == pytest.approx(1200 / 3600, rel=1e-3)
    assert found["seconds"] == 1


def test_settling_is_what_the_tracking_needs_and_is_shown(capsys):
    _, out, _ = run(capsys, "run", "MSNCT-1SC", "--seconds", 1, "--engine", "golden")
    settle_s = MeterConfig.for_model("MSNCT-1SC").settle_s
    assert f"after {settle_s:g} s of settling" in out
    _, _, err = run(capsys, "run", "MSNCT-1SC", "--seconds", 1, "--engine", "golden", "--json")
    assert err == f"blondel: note: the figures start after {settle_s:g} s of settling\n"


def test_rate_and_bits_are_the_user_s(capsys):
    found = figures(capsys, "run", "MSNCT-1SC", *BRIEF, "--sample-rate", 4000, "--bits", 16)
    assert (found["sample_rate_hz"], found["frames"]) == (4000.0, 4000)


def test_a_household_lives_as_its_seed_says(capsys):
    arguments = ["run", "MDNCT-2SC", "--household", "--seconds", "3", "--settle", "1", "--engine", "golden"]
    first, second = figures(capsys, *arguments), figures(capsys, *arguments, "--seed", 1)
    del first["real_time_factor"], second["real_time_factor"]
    assert first == second
    assert figures(capsys, *arguments, "--seed", 2)["true_wh"] != first["true_wh"]


def test_more_than_110_percent_is_warned_of_and_metered(capsys):
    status, out, err = run(capsys, "run", "MDNCT-1SC", "--amps", "10,120", "--seconds", 1, "--settle", 3,
                           "--engine", "golden", "--json")  # fmt: skip
    assert status == 0
    warning, note = err.splitlines()
    assert warning == (
        "blondel: warning: element 2: 120 A is more than 110 % of the 100 A that MDNCT-1SC is rated for; "
        "it shows overrange"
    )
    assert note.startswith("blondel: note: ")
    assert json.loads(out)["flags"]["overrange"] == [False, True]
    assert run(capsys, "run", "MDNCT-1SC", "--amps", 110, *BRIEF)[2] == ""
    # The flag allows half a percent more, for what a window can add.
    assert run(capsys, "run", "MDNCT-1SC", "--amps", 110.3, *BRIEF)[2].endswith("; it may show overrange\n")
    assert run(capsys, "run", "MDNCT-1SC", "--amps", 110.6, *BRIEF)[2].endswith("; it shows overrange\n")


def test_a_load_that_is_clipped_is_warned_of(capsys):
    status, _, err = run(capsys, "run", "MDNCT-1SC", "--amps", "10,-5000", *BRIEF)
    assert status == 0
    assert err.splitlines()[1:] == [
        "blondel: warning: the current's peak of 7071.07 A is beyond full scale, 200 A, and is clipped; "
        "--amps up to 141.4 would fit",
    ]
    assert "beyond" not in run(capsys, "run", "MDNCT-1SC", "--amps", "-141.4", *BRIEF)[2]


def test_a_list_may_begin_with_a_negative_number(capsys):
    arguments = ["run", "MDNCT-1SC", "--pf", "-1,0.5lag", "--amps", "-5,10", *BRIEF]
    elements = figures(capsys, *arguments)["elements"]
    assert [each["true_wh"] for each in elements] == pytest.approx([5 * 120 / 3600, 5 * 120 / 3600], rel=1e-3)
    assert figures(capsys, "run", "MSNCT-1SC", "--amps", "-.5", *BRIEF)["true_wh"] == pytest.approx(-1 / 60, rel=1e-3)
    assert "argument --amps: expected one argument" in refused(capsys, "run", "MSNCT-1SC", "--amps", "--json")


@pytest.mark.parametrize("model", ["MSNCT-1SC", "MDNCT-2SC"])
@pytest.mark.parametrize("seconds", ["5", "1.003"])
def test_a_household_that_is_cut_off_within_a_cycle(capsys, model, seconds):
    """What the run's end cuts from the mains is no DC to the truth, nor to the meter."""
    found = figures(capsys, "run", model, "--line", 50, "--household", "--seconds", seconds, "--engine", "golden")
    assert abs(found["error_ppm"]) < 10


def test_json_and_plot_together(capsys, tmp_path):
    path = tmp_path / "run.png"
    found = figures(capsys, "run", "MSNCT-1SC", *BRIEF, "--plot", path)
    assert found["frames"] == 8000
    assert path.read_bytes().startswith(b"\x89PNG")
    assert os.listdir(tmp_path) == ["run.png"]


@pytest.mark.parametrize(("arguments", "said"), [
    (["run", "MDNCT-3SC"], "model 'MDNCT-3SC' does not exist; nearest: MDNCT-2SC, MDNCT-1SC"),
    (["describe", "meter"], "'blondel models' lists all"),
    (["verilog", ""], "model '' does not exist; nearest: "),
    (["replay", "x.npz", "--model", "MSNCT"], "model 'MSNCT' does not exist; nearest: MSNCT-"),
    (["run", "MDNCT-1SC", "--volts", "230"], "--volts 230 V is outside the model's line; allowed at 60 Hz: 108 to"),
    (["run", "MDNCT-1SC", "--line", "50", "--volts", "120"], "allowed at 50 Hz: 216 to 264 V"),
    (["run", "MDNCT-1SC", "--volts", "nan"], "argument --volts: 'nan' is not a finite number"),
    (["run", "MDNCT-1SC", "--line", "55"], "argument --line: invalid choice: 55"),
    (["run", "MDNCT-1SC", "--hertz", "70"], "argument --hertz: 70 is out of range; allowed: 45 to 65 Hz"),
    (["run", "MDNCT-1SC", "--amps", "ten"], "argument --amps: 'ten' is not a number"),
    (["run", "MDNCT-1SC", "--amps", "1,2,3"], "--amps has 3 values; allowed for MDNCT-1SC: 1 or 2"),
    (["run", "MSNCT-1SC", "--amps", "1,2"], "--amps has 2 values; allowed for MSNCT-1SC: 1"),
    (["run", "MDNCT-1SC", "--amps", "inf"], "argument --amps: 'inf' is not a finite number"),
    (["run", "MDNCT-1SC", "--pf", "0.5"], "allowed: 0.5lag or 0.5lead"),
    (["run", "MDNCT-1SC", "--pf", "2lag"], "argument --pf: power factor is 2lag"),
    (["run", "MDNCT-1SC", "--pf", "1,1,1"], "--pf has 3 values"),
    (["run", "MDNCT-1SC", "--household", "--amps", "5"], "--household brings its own loads: leave out --amps"),
    (["run", "MDNCT-1SC", "--seconds", "1e-5"], "--seconds 1e-05 is less than a sample"),
    (["run", "MDNCT-1SC", "--seconds", "0"], "0 is out of range; allowed: more than 0, up to 100,000,000 s"),
    (["run", "MDNCT-1SC", "--seconds", "-1"], "argument --seconds: -1 is out of range"),
    (["run", "MDNCT-1SC", "--settle", "-1"], "argument --settle: -1 is out of range"),
    (["run", "MDNCT-1SC", "--engine", "verilator"], "argument --engine: invalid choice"),
    (["run", "MDNCT-1SC", "--sample-rate", "100"], "sample_rate_hz is 100"),
    (["run", "MDNCT-1SC", "--bits", "12"], "argument --bits: 12 is out of range; allowed: 16 to 24"),
    (["run", "MDNCT-1SC", "--seed", "x"], "argument --seed: 'x' is not a whole number"),
    (["run"], "the following arguments are required: MODEL ('blondel run --help' explains)"),
    (["run", "MDNCT-1SC", "--nonsense"], "unrecognized arguments: --nonsense"),
    (["describe", "MDNCT-1SC", "--lang", "de"], "argument --lang: invalid choice: 'de'"),
    (["mdoels"], "invalid choice: 'mdoels'"),
    ([], "the following arguments are required: COMMAND"),
])  # fmt: skip
def test_bad_arguments_get_one_line(capsys, arguments, said):
    assert said in refused(capsys, *arguments)


@pytest.mark.parametrize("command", [["run", "MSNCT-1SC"], ["replay", "recording.npz"], ["verilog", "MSNCT-1SC"]])
def test_unwritable_output_is_refused_before_the_work(capsys, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    recording(Path("recording.npz"))

    def never(*arguments):
        raise AssertionError("the work began")

    monkeypatch.setattr(measure, "make_engines", never)
    monkeypatch.setattr("blondel.hdl.verilog.convert", never)
    option = "-o" if command[0] == "verilog" else "--plot"
    assert "cannot write none/x.png: none is not a directory" in refused(capsys, *command, option, "none/x.png")
    Path("folder.png").mkdir()
    assert "cannot write folder.png: it is a directory" in refused(capsys, *command, option, "folder.png")
    if option == "--plot":
        assert "its name must end with .png, .svg, .pdf" in refused(capsys, *command, option, "x.jpeg")
    assert sorted(os.listdir()) == ["folder.png", "recording.npz"]


def test_engines_that_differ_are_loud(capsys, monkeypatch):
    class Wrong(measure.ENGINES["golden"]):
        def state(self):
            state = super().state()
            state.lost += 1
            return state

    monkeypatch.setitem(measure.ENGINES, "rtl", Wrong)
    status, out, err = run(capsys, "run", "MSNCT-1SC", "--seconds", 1, "--settle", 0)
    assert (status, out) == (1, "")
    assert err == "blondel: error: the engines differ after 8000 frames; lost frames: golden 0, rtl 1\n"


def test_a_missing_compiler_is_told(capsys, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    status, out, err = run(capsys, "run", "MSNCT-1SC", "--engine", "rtl")
    assert (status, out) == (1, "")
    assert err.startswith("blondel: error: C++ compiler 'no-such-compiler' does not run")


DAYS = ["run", "MDNCT-1SC", "--household", "--days", "0.001", "--settle", "0", "--sample-rate", "2000"]


def test_days_are_saved_and_finished_once(capsys, tmp_path):
    state, picture = tmp_path / "run.state", tmp_path / "days.svg"
    command = [*DAYS, "--checks", "1", "--resume", state]
    status, first, err = run(capsys, *command, "--plot", picture)
    assert (status, err) == (0, "")
    assert "86 s (172000 frames), after 0 s of settling" in first
    assert "golden model; the RTL agrees bit for bit in 20000 frames of it" in first
    assert b"delivered" in picture.read_bytes()
    assert run(capsys, *command)[1] == first
    assert sorted(os.listdir(tmp_path)) == ["days.svg", "run.state"]
    assert f"--resume {state}: it is the state of a run with other options" in refused(capsys, *command, "--seed", 2)
    state.write_bytes(b"")
    assert f"--resume {state}: it is not the state of a run, or damaged" in refused(capsys, *command)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_days_that_are_interrupted_go_on(capsys, tmp_path, number):
    state = tmp_path / "run.state"
    command = [*COMMAND, "run", "MSNCT-1SC", "--days", "1000", "--engine", "golden", "--resume", str(state)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    # Ready for the signal where its handler is, which a process shows in what it catches.
    caught = 1 << (signal.SIGTERM - 1)
    while not int(re.search(r"SigCgt:\s*(\w+)", Path(f"/proc/{process.pid}/status").read_text())[1], 16) & caught:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert f"days are in {state}; the same command goes on from there" in err
    assert state.stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--days", "1", "--seconds", "5"], "argument --seconds: not allowed with argument --days"),
        (["--days", "0"], "0 is out of range"),
        (["--resume", "x.state"], "--resume is for a run of --days"),
        (["--checks", "3"], "--checks is for a run of --days"),
        (["--days", "1", "--engine", "rtl"], "--engine rtl is not for --days"),
        (["--days", "1", "--vcd", "x.vcd"], "--vcd is for a run of --seconds"),
        (["--days", "1", "--hertz", "59.9"], "--days is metered by the second: hertz is 59.9; allowed"),
        (["--days", "1", "--plot", "x.txt"], "cannot draw x.txt"),
        (["--days", "1", "--resume", "/nowhere/x.state"], "cannot write /nowhere/x.state"),
    ],
)
def test_days_that_cannot_be_are_refused(capsys, arguments, says):
    assert says in refused(capsys, "run", "MSNCT-1SC", *arguments)


# ---- replay ----------------------------------------------------------------------------------------


def test_replay_plays_whole_repeats(capsys, tmp_path):
    path = recording(tmp_path / "r.npz", seconds=0.5)
    once = figures(capsys, "replay", path, "--engine", "golden")
    thrice = figures(capsys, "replay", path, "--engine", "golden", "--repeat", 3)
    assert (once["frames"], thrice["frames"]) == (1000, 3000)
    assert once["model"] == "MSNCT-1NC"
    assert once["true_wh"] == pytest.approx(600 * 0.5 / 3600, rel=1e-9)
    assert thrice["true_wh"] == pytest.approx(3 * once["true_wh"], rel=1e-9)
    for found in (once, thrice):
        assert abs(found["error_ppm"]) < 10


@pytest.mark.parametrize("settle", [[], ["--settle", "0.3"], ["--settle", "0"]])
def test_the_figures_of_a_replay_begin_where_the_recording_does(capsys, tmp_path, monkeypatch, settle):
    amps = np.arange(1000.0)
    path = recording(tmp_path / "r.npz", i=amps)
    seen = []

    def watch(config, source, engines, *, settle_frames, **more):
        seen.append(source.samples(settle_frames, 1000)[1][:, 0])
        return measured(config, source, engines, settle_frames=settle_frames, **more)

    measured = measure.measure
    monkeypatch.setattr(measure, "measure", watch)
    assert run(capsys, "replay", path, "--engine", "golden", *settle)[0] == 0
    assert np.array_equal(seen[0], amps)


def test_replay_scales_for_transformers(capsys, tmp_path):
    path = recording(tmp_path / "r.npz", volts=1.2, amps=0.05)
    found = figures(capsys, "replay", path, "--v-scale", 100, "--i-scale=-200", "--engine", "golden")
    assert found["model"] == "MSNCT-1NC"
    assert found["true_wh"] == pytest.approx(-120 * 10 * 0.5 / 3600, rel=1e-9)
    assert found["flags"]["reversed"] == [True]


def test_replay_takes_a_file_for_each_element(capsys, tmp_path):
    paths = [recording(tmp_path / f"{n}.npz", amps=n) for n in (2, 4, 6)]
    two = figures(capsys, "replay", *paths[:2], "--engine", "golden")
    assert two["model"] == "MDNCT-1NC"
    assert [each["true_wh"] for each in two["elements"]] == pytest.approx([120 * n / 7200 for n in (2, 4)])
    status, out, err = run(capsys, "replay", *paths, "--engine", "golden", "--json")
    assert status == 0
    assert err.startswith(
        "blondel: note: no model covers this recording; a meter made to measure: 3 elements, 500 V, 10 A peak, 1 Wh per"
    )
    assert json.loads(out)["model"] == "custom"
    assert json.loads(out)["pulse_wh"] == 1


def test_replay_takes_channels_by_name(capsys, tmp_path):
    wave = np.sin(2 * np.pi * 60 * np.arange(1000) / 2000)
    path = recording(tmp_path / "r.npz", v1=170 * wave, i1=10 * wave, v2=-165 * wave, i2=5 * wave)
    found = figures(
        capsys, "replay", path, "--v-channel", "v1,v2", "--i-channel", "i1,i2", "--engine", "golden"
    )
    assert [each["true_wh"] for each in found["elements"]] == pytest.approx([850 / 7200, -412.5 / 7200])


def test_replay_on_a_model_tells_what_is_clipped(capsys, tmp_path):
    path = recording(tmp_path / "r.npz", volts=120, amps=200)
    status, out, err = run(capsys, "replay", path, "--model", "MSNCT-1NC", "--i-scale", 2, "--engine", "golden",
                           "--json")  # fmt: skip
    assert status == 0
    assert err.splitlines()[:2] == [
        "blondel: warning: element 1: 400 A is more than 110 % of the 100 A that MSNCT-1NC is rated for; "
        "it shows overrange",
        "blondel: warning: the recording's peak of 565.685 A is beyond full scale, 200 A, and is clipped; "
        "--i-scale=0.7 would fit",
    ]
    assert json.loads(out)["model"] == "MSNCT-1NC"
    assert json.loads(out)["flags"]["overrange"] == [True]
    status, _, err = run(capsys, "replay", path, "--model", "MSNCT-1NC", "--i-scale", 0.5, "--engine", "golden")
    assert (status, err) == (0, "")


def test_replay_on_a_model_for_another_line_is_warned_of(capsys, tmp_path):
    path = recording(tmp_path / "r.npz", volts=140)
    status, out, err = run(capsys, "replay", path, "--model", "MSNCT-1NC", "--engine", "golden")
    assert status == 0
    assert err == "blondel: warning: element 1: 140 V is outside the model's line; allowed at 60 Hz: 108 to 132 V\n"
    assert "flags    voltage" in out


def test_replay_on_a_model_that_cannot_be_meant_is_refused(capsys, tmp_path):
    path = recording(tmp_path / "r.npz", volts=240)
    assert refused(capsys, "replay", path, "--model", "MSNCT-1NC", "--v-scale", -2) == (
        "blondel: error: element 1: 480 V is outside the model's line; allowed at 60 Hz: 108 to 132 V; "
        "--v-scale=-0.5 would make it nominal\n"
    )
    near = recording(tmp_path / "near.npz", volts=140)
    assert "element 2: 240 V is" in refused(capsys, "replay", near, path, "--model", "MDNCT-1NC")
    assert "element 1: 2.4 MV is" in refused(capsys, "replay", path, "--model", "MSNCT-1NC", "--v-scale", 1e4)
    assert "--v-scale=1.5 would" in refused(
        capsys, "replay", recording(path, volts=80), "--model", "MSNCT-1NC", "--engine", "golden"
    )
    assert refused(capsys, "replay", recording(path, volts=0), "--model", "MSNCT-1NC").endswith(" 108 to 132 V\n")
    for volts in (87, 158):
        status, _, err = run(
            capsys, "replay", recording(path, volts=volts), "--model", "MSNCT-1NC", "--engine", "golden"
        )
        assert (status, err.count("outside the model's line")) == (0, 1)


@pytest.mark.parametrize(("hertz", "warned"), [(40, True), (45, False), (65, False), (400, True)])
def test_replay_warns_of_a_fundamental_that_is_no_mains(capsys, tmp_path, hertz, warned):
    path = recording(tmp_path / "r.npz", hertz=float(hertz), rate=4000.0, seconds=1.0)
    status, _, err = run(capsys, "replay", path, "--model", "MSNCT-1NC", "--v-scale", 240 / 120 if hertz < 50 else 1,
                         "--engine", "golden")  # fmt: skip
    assert status == 0
    assert err == warned * (
        f"blondel: warning: the recording's fundamental is at {hertz} Hz; the meter is made for 45 to 65 Hz: "
        "are its sample rate and its voltage channel right?\n"
    )


def test_large_made_to_measure_meters_have_no_exponent(capsys, tmp_path):
    path = recording(tmp_path / "r.npz")
    _, _, err = run(capsys, "replay", path, "--v-scale", 3000, "--i-scale", 20, "--engine", "golden")
    assert err.endswith("a meter made to measure: 1 element, 1 MV, 200 A peak, 10 kWh per pulse\n")


def test_replay_plots(capsys, tmp_path):
    path = recording(tmp_path / "r.npz")
    status, out, _ = run(capsys, "replay", path, "--engine", "golden", "--settle", 0, "--plot", tmp_path / "r.svg")
    assert status == 0
    assert "total" in out
    assert (tmp_path / "r.svg").stat().st_size > 10_000


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def cut(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[:-200])
    return path


ORPHAN = """STATION,1,1999
2,2A,0D
1,VA,A,,V,1,0,0,-9,9,1,1,P
2,IA,A,,A,1,0,0,-9,9,1,1,P
60
1
1000,10
01/01/2020,00:00:00.0
01/01/2020,00:00:00.0
ASCII
1
"""


@pytest.mark.parametrize(("make", "said"), [
    (lambda at: at / "none.npz", "No such file"),
    (lambda at: write(at / "empty.csv", ""), "is empty"),
    (lambda at: write(at / "header.csv", "time,v,i\n"), "no samples"),
    (lambda at: write(at / "text.csv", "time,v,i\n0,1,2\n0.001,one,2\n"), "'one'"),
    (lambda at: write(at / "ragged.csv", "time,v,i\n0,1,2\n0.001,1\n"), "line 3 has 2 cells"),
    (lambda at: cut(recording(at / "cut.npz")), "cut short"),
    (lambda at: write(at / "orphan.cfg", ORPHAN), "no orphan.dat"),
    (lambda at: write(at / "kind.wav", "RIFF"), "unknown kind .wav"),
    (lambda at: recording(at / "nan.npz", v=np.array([1.0, np.nan]), i=np.array([1.0, 2.0])), "nan at sample 1"),
    (lambda at: recording(at / "odd.npz", i=np.zeros(3)), "1000 samples of voltage and 3 of current"),
    (lambda at: recording(at / "rate.npz", rate=100.0, hertz=20.0), "its sample rate is 100 Hz; 400 to 1,000,000 Hz"),
    (lambda at: recording(at / "huge.npz", v=np.array([1e300, 1.0]), i=np.ones(2)), "peak of 1e+300 V"),
    (lambda at: recording(at / "high.npz", volts=6.5e6, hertz=400.0), "and --i-scale make it: v_full_scale is"),
])  # fmt: skip
def test_bad_recordings_get_one_line(capsys, tmp_path, make, said):
    assert said in refused(capsys, "replay", make(tmp_path), "--plot", tmp_path / "x.png")
    assert not (tmp_path / "x.png").exists()


@pytest.mark.parametrize(("arguments", "said"), [
    (["short.npz"], "500 samples"),
    (["--v-channel", "v9"], "has no voltage channel v9"),
    (["whole.npz", "--v-channel", "v,v,v"], "allowed: 1"),
    (["--v-scale", "0"], "argument --v-scale: 0 is out of range; allowed: any number but 0"),
    (["--i-scale", "nan"], "argument --i-scale: 'nan' is not a finite number"),
    (["--i-scale", "x"], "'x' is not a number"),
    (["--repeat", "0"], "argument --repeat: 0 is out of range"),
    (["--model", "MDNCT-1NC"], "MDNCT-1NC has 2 elements; the recording has 1"),
    (["whole.npz", "--model", "MSNCT-1NC"], "MSNCT-1NC has 1 element; the recording has 2"),
])  # fmt: skip
def test_bad_use_of_a_recording_gets_one_line(capsys, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    recording(Path("whole.npz"))
    recording(Path("short.npz"), seconds=0.25)
    assert said in refused(capsys, "replay", "whole.npz", *arguments)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared recordings are not here")
@pytest.mark.parametrize("name", ["vk_kettle", "keating_ph1", "sv_rex640_ph_a", "ct_wisp2_swingA"])
def test_recorded_waveforms(capsys, name):
    found = figures(capsys, "replay", SHARED / f"{name}.npz", "--engine", "golden")
    reference = next(r for r in json.loads((SHARED / "manifest.json").read_text()) if r["name"] == name)
    assert found["line_hz"] == round(reference["float_ref"]["f"] / 10) * 10
    assert found["frames"] == reference["n"]
    assert abs(found["error_ppm"]) < 10


# ---- as a process ----------------------------------------------------------------------------------


def process(*arguments, **settings) -> subprocess.CompletedProcess:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60, **settings)


def test_both_engines_by_default_as_a_process():
    for options, checked in ((), 4000), (("--engine", "both"), 8000):
        done = process("run", "MDNCT-2SC", "--seconds", "0.5", "--settle", "0.5", "--json", *options)
        assert done.returncode == 0
        found = json.loads(done.stdout)
        assert (found["engine"], found["bit_exact"], found["checked_frames"]) == ("both", True, checked)
        assert found["real_time_factor"] > 0
        # No terminal, no progress.
        assert done.stderr == "blondel: note: the figures start after 0.5 s of settling\n"


def test_the_exit_status_of_bad_input():
    done = process("run", "MDNCT-9SC")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


def test_output_that_cannot_be_written():
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    with open("/dev/full", "w") as full:
        done = subprocess.run([*COMMAND, "models"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (2, "blondel: error: cannot write the output: No space left on device\n")


def start(*arguments) -> subprocess.Popen:
    return subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_a_reader_that_stops_is_no_fault():
    with start("models") as running:
        running.stdout.close()
        assert running.stderr.read() == b""
    assert running.returncode == 141


def test_an_interruption_is_one_line():
    with start("run", "MSNCT-1SC", "--engine", "golden", "--seconds", "1e8", "--json") as running:
        assert running.stderr.readline().startswith(b"blondel: note: ")
        running.send_signal(signal.SIGINT)
        assert running.stderr.read() == b"blondel: error: interrupted\n"
        assert running.stdout.read() == b""
    assert running.returncode == 130


def test_a_terminal_without_omega():
    done = process("describe", "MDNCT-2SC", env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0
    assert "3 ?, in the meter" in done.stdout


def test_the_installed_command():
    command = Path(sys.executable).with_name("blondel")
    if not command.exists():
        pytest.skip("not installed as a command")
    done = subprocess.run([command, "--version"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert done.stdout.startswith("blondel 0.")


# ---- several meters --------------------------------------------------------------------------------


def test_run_several_meters(capsys):
    options = ["run", "MSNCT-1SC", "--meters", "2xS,1xD", "--amps", "5,10,20,-40", "--seconds", 2, "--settle", 0]
    status, out, err = run(capsys, *options)
    assert (status, err) == (0, "")
    assert out.splitlines()[0].startswith("MSNCT-1SC: 4 elements in 3 meters (2xS,1xD), 100 A, ")
    rows = [line.split("   ")[0].strip() for line in out.splitlines()[4:10]]
    assert rows == ["meter 1", "meter 2", "meter 3", "element 3", "element 4", "all meters"]
    found = figures(capsys, *options, "--engine", "golden")
    assert [meter["elements"] for meter in found["meters"]] == [[0], [1], [2, 3]]
    watts = [600, 1200, 2400 - 4800]
    true = [meter["true_wh"] for meter in found["meters"]]
    assert true == pytest.approx([2 * each / 3600 for each in watts], rel=1e-2)
    assert found["true_wh"] == pytest.approx(sum(true))


def test_verilog_of_several_meters(capsys):
    status, out, _ = run(capsys, "verilog", "MDNCT-2SC", "--meters", "2xS,1xD")
    assert status == 0
    assert "model MDNCT-2SC: 4 elements in 3 meters, 2xS,1xD, 200 A" in out
    assert "output [2:0] output_10;" in out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--meters", "2xQ"], "'2xQ' is no group of meters; allowed: how many, x, and S (single-element), D"),
        (["--meters", "2xS,"], "'' is no group of meters"),
        (["--meters", "0xS"], "'0xS' is no group of meters"),
        (["--meters", "40xD"], "40xD is 80 elements; allowed: up to 64"),
        (["--meters", "3xD,2xS", "--amps", "1,2"], "--amps has 2 values; allowed for --meters 3xD,2xS: 1 or 8"),
        (["--meters", "2xS", "--plot", "x.png"], "--plot draws a single meter; leave it out with --meters"),
    ],
)
def test_meters_that_cannot_be_get_one_line(capsys, options, said):
    assert said in refused(capsys, "run", "MDNCT-2SC", *options)

"""``blondel accuracy``: what it prints and writes, what it refuses, and with which exit status."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import time

import pytest
from command import COMMAND, refused, run

from blondel.hdl.config import ChannelCalibration, MeterConfig
from blondel.host.accuracy import Accuracy
from blondel.host.calibration import Calibration
from blondel.sim.standards.limits import ANSI, IEC

#: A type test that takes a second.
BRIEF = ["MSNCT-1SC", "--quick", "--tests", "load_performance,no_load"]


def wrong_gain(path, gain):
    """Write a calibration that makes the energy too much by a factor."""
    config = MeterConfig.for_model("MSNCT-1SC")
    words = (ChannelCalibration(), ChannelCalibration(gain=gain))
    Calibration.of(config.with_changes(calibration=words)).write(path)
    return path


@pytest.fixture(scope="module")
def brief(tmp_path_factory):
    """Every file that a type test writes."""
    folder = tmp_path_factory.mktemp("brief")
    files = [folder / f"found{suffix}" for suffix in (".html", ".json", ".csv")]
    done = subprocess.run(
        [*COMMAND, "accuracy", *BRIEF, *(part for path in files for part in ("-o", path))],
        capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return folder, done.stdout


def test_it_prints_a_line_for_each_test(brief):
    _, out = brief
    lines = out.splitlines()
    assert lines[0] == "MSNCT-1SC at 60 Hz, ANSI C12.20 class 0.5: quick plan, golden engine, seed 1"
    assert [line.split()[0] for line in lines if line.endswith("  passed")] == ["load_performance", "no_load"]
    assert lines[-1] == "passed: 2 tests"


def test_the_files_hold_the_same(brief):
    folder, _ = brief
    assert sorted(os.listdir(folder)) == ["found.csv", "found.html", "found.json"]
    found = Accuracy.read(folder / "found.json")
    with (folder / "found.csv").open() as file:
        rows = list(csv.DictReader(file))
    points = [point for test in found.test.tests for point in test.points]
    assert [float(row["value"]) for row in rows] == [point.value for point in points]
    assert [row["passed"] for row in rows] == ["True"] * len(points)
    assert [float(row["amps"]) for row in rows] == [point.stimulus["amps"][0] for point in points]
    assert json.loads(json.dumps(found.to_json())) == json.loads((folder / "found.json").read_text())


def test_a_report_is_made_again_from_results(brief, capsys, tmp_path):
    folder, out = brief
    again = tmp_path / "again.html"
    assert run(capsys, "accuracy", "--from", folder / "found.json", "-o", again) == (0, out, "")
    assert again.read_text() == (folder / "found.html").read_text()


def test_json_is_the_file(brief, capsys):
    folder, _ = brief
    status, out, _ = run(capsys, "accuracy", "--from", folder / "found.json", "--json")
    assert (status, out) == (0, (folder / "found.json").read_text())


def test_a_test_that_fails_is_named(capsys, tmp_path):
    calibration = wrong_gain(tmp_path / "wrong.toml", 1.05)
    status, out, err = run(capsys, "accuracy", *BRIEF, "--calibration", calibration, "-o", tmp_path / "found.csv")
    assert status == 1
    assert err == "blondel: error: MSNCT-1SC failed: load_performance\n"
    assert "failed: load_performance; 1 of 2 tests passed" in out
    with (tmp_path / "found.csv").open() as file:
        passed = {row["passed"] for row in csv.DictReader(file) if row["test"] == "load_performance"}
    assert passed == {"False"}


def test_a_meter_of_the_population_is_another_one(capsys):
    def errors(*more):
        out = json.loads(run(capsys, "accuracy", *BRIEF, "--json", *more)[1])
        return [point["value"] for point in out["test"]["tests"][0]["points"]]

    nominal, first = errors(), errors("--meter", 0)
    assert first == errors("--meter", 0, "--seed", 1)
    assert len({tuple(each) for each in (nominal, first, errors("--meter", 1), errors("--meter", 0, "--seed", 2))}) == 4


def test_engines_agree(capsys):
    """The generated design has the golden model's integers, so all figures are the same."""
    asked = ["accuracy", "MSNCT-1SC", "--quick", "--tests", "harmonics", "--json", "--engine"]
    found = [json.loads(run(capsys, *asked, each)[1]) for each in ("golden", "rtl")]
    assert found[1]["test"]["engine"] == "rtl"
    assert found[0]["test"]["tests"] == found[1]["test"]["tests"]


def test_population_and_budget_are_the_same_in_processes(capsys):
    asked = ["accuracy", "MSNCT-1SC", "--tests", "none", "--population", 3, "--seed", 5, "--json"]
    alone, two = (json.loads(run(capsys, *asked, "--workers", workers)[1]) for workers in (1, 2))
    assert alone["population"] == two["population"]
    assert [member["index"] for member in two["population"]["members"]] == [0, 1, 2]
    assert two["test"]["tests"] == []


def test_list_names_every_test(capsys):
    for name, standard in (("0.5", ANSI), ("0.2S", IEC)):
        status, out, _ = run(capsys, "accuracy", "--list", "--class", name)
        assert status == 0
        for test in standard.tests:
            source = f"[{test.provenance.kind}] {test.provenance.text}"
            assert f"\n{test.key}: {test.title}\n  {test.text}\n  {source}\n" in out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "which model? One of 'blondel models', or --from FILE.json"),
        (["MSNCT-1SC", "--tests", "load"], "--tests: there is no test 'load'; there are: load_performance, "),
        (["MSNCT-1SC", "-o", "report.pdf"], "cannot write report.pdf: its name must end with .html, .json, .csv"),
        (["MSNCT-1SC", "-o", "none/report.html"], "cannot write none/report.html: none is not a directory"),
        (["MSNCT-1SC", "--class", "0.3"], "there is no accuracy class '0.3'; there are: 0.1, 0.2, 0.5, 0.2S"),
        (["MSNCT-1SC", "--population", "0"], "argument --population: 0 is out of range; allowed: 1 to 1000000"),
        (["MSNCT-1SC", "--cluster", "tcp://127.0.0.1:9"], "--cluster: no Dask scheduler answers at tcp://127.0.0.1:9"),
        (["MSNCT-1SC", "--cluster", "tcp://a:1", "--workers", "2"], "--cluster has its own workers: leave out --work"),
        (["MSNCT-1SC", "--from", "found.json"], "--from brings its results: leave out MODEL"),
        (["--from", "found.json", "--meter", "0"], "--from brings its results: leave out --meter"),
        (["--from", "found.json", "--population", "3"], "--from brings its results: leave out --population"),
        (["--from", "found.json"], "--from found.json: cannot be read: No such file or directory"),
        (["--from", "text.json"], "--from text.json: is not JSON: "),
        (["--from", "other.json"], "--from other.json: does not hold what 'blondel accuracy' writes into a .json"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_refusals(capsys, tmp_path, monkeypatch, args, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("blondel.host.cluster.PATIENCE_S", 1)
    (tmp_path / "text.json").write_text("<html>")
    (tmp_path / "other.json").write_text('{"test": {}}')
    assert message in refused(capsys, "accuracy", *args)
    assert sorted(os.listdir(tmp_path)) == ["other.json", "text.json"]


def test_a_meter_that_cannot_be_calibrated_is_said_to_be(capsys, monkeypatch):
    from blondel.sim import calibrate

    def refuses(*args, **kwargs):
        raise calibrate.BenchError("the CTs are swapped")

    monkeypatch.setattr(calibrate, "calibrate", refuses)
    assert run(capsys, "accuracy", "MSNCT-1SC", "--meter", 7) == (
        1, "", "blondel: error: meter 7 of seed 1: the CTs are swapped\n"
    )  # fmt: skip


@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupt_ends_it_quietly(tmp_path, workers):
    """Ctrl-C reaches the command and all processes that it started."""
    command = subprocess.Popen(
        [*COMMAND, "accuracy", "MSNCT-1SC", "--tests", "none", "--population", "1000", "-o", "found.json",
         "--workers", str(workers)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while _processes(command.pid) < (1 if workers == 1 else workers + 1) and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(3)
    os.killpg(command.pid, signal.SIGINT)
    out, err = command.communicate(timeout=60)
    assert (command.returncode, out, err) == (130, "", "blondel: error: interrupted\n")
    assert os.listdir(tmp_path) == []


def _processes(session: int) -> int:
    """Return how many processes a session has."""
    done = subprocess.run(["ps", "-o", "pid=", "--sid", str(session)], capture_output=True, text=True)
    return len(done.stdout.split())


def test_other_commands_do_not_wait_for_dask():
    done = subprocess.run(
        [COMMAND[0], "-c", "import sys; from blondel.host.cli import main; main(['models']);"
         "print([name for name in ('distributed', 'dask', 'jinja2', 'matplotlib', 'numba') if name in sys.modules])"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "[]"

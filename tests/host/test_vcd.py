"""``blondel run --vcd`` and ``--exact-clock``: what they write and what they refuse."""

from __future__ import annotations

from collections import namedtuple

import pytest
from command import refused, run

from blondel.host.cli import metering

#: Few frames, and few clocks for each.
BRIEF = ["run", "MSNCT-1SC", "--seconds", 0.05, "--settle", 0.05, "--engine", "rtl"]


def test_a_window_is_recorded_and_the_figures_are_the_same(capsys, tmp_path):
    path = tmp_path / "run.vcd"
    without = run(capsys, *BRIEF, "--json")[1].split('"engine"')[0]
    status, out, err = run(capsys, *BRIEF, "--json", "--vcd", path, "--vcd-window", "0.01,0.005", "--clock", "1e6")
    assert (status, out.split('"engine"')[0]) == (0, without), err
    times = [int(line[1:]) for line in path.read_text().splitlines() if line.startswith("#")]
    # After 0.05 s of settling; each edge of the clock, in ps.
    assert times[0] == 0.06e12
    assert times[-1] == 0.065e12 - 0.5e6
    assert len(times) == 2 * 5000
    assert [each.name for each in tmp_path.iterdir()] == ["run.vcd"]


def test_every_clock_can_be_run(capsys):
    status, out, _ = run(capsys, *BRIEF, "--exact-clock", "--clock", "5e5", "--json")
    assert status == 0
    assert out.split('"engine"')[0] == run(capsys, *BRIEF, "--json")[1].split('"engine"')[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--vcd", "a.vcd", "--engine", "golden"], "--vcd is about the RTL; leave out --engine golden"),
        (["--exact-clock", "--engine", "golden"], "--exact-clock is about the RTL; leave out --engine golden"),
        (["--vcd-window", "0,1"], "--vcd-window is what --vcd FILE.vcd records: give both, or none"),
        (["--vcd", "a.vcd", "--vcd-window", "1"], "'1' is no window; allowed: START,SECONDS"),
        (["--vcd", "a.vcd", "--vcd-window", "0,0"], "a window of 0 s is out of range; allowed: more than 0 s"),
        (["--vcd", "a.vcd", "--vcd-window", "0.01,0.05"], "--vcd-window 0.01,0.05 is not within the run"),
        (["--vcd", "a.vcd", "--vcd-window", "-0.06,0.05"], "is not within the run; allowed: -0.05 to 0.05 s"),
        (["--vcd", "a.vcd", "--clock", "1000"], "--clock 1000 Hz is too slow for 8000 frames/s; allowed: more than"),
        (["--exact-clock", "--clock", "1000"], "--clock 1000 Hz is too slow for 8000 frames/s; allowed: more than"),
        (["--vcd", "nowhere/a.vcd"], "cannot write nowhere/a.vcd: nowhere is not a directory"),
    ],
)
def test_what_cannot_be_recorded_is_refused(capsys, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert message in refused(capsys, *BRIEF, *arguments)
    assert not list(tmp_path.iterdir())


def test_a_recording_that_does_not_fit_is_refused_before(capsys, tmp_path, monkeypatch):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(metering.shutil, "disk_usage", lambda folder: usage(1_000_000))
    error = refused(capsys, *BRIEF, "--vcd", tmp_path / "a.vcd")
    assert "--vcd would write about 0.024 GB; allowed here: 0.001 GB, a window of 0.0021 s" in error
    assert not list(tmp_path.iterdir())

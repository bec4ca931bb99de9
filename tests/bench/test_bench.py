"""The bench: its history, its table, and that other simulators do the same work. Speeds are not tested."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))
import history
import report
import simulators
from usage import usage
from vectors import BUSY

from bench import HISTORY, RESULT, SCALING

NAMES = ("date", "version", "commit", "machine")


@pytest.fixture
def run() -> dict:
    """A run's result with figures that are easy to divide."""
    return {
        "date": "2026-07-14", "version": "1.2.3", "commit": "abcdef0", "machine": "A processor, 2 cores",
        "python": "3.11.7", "model": "MDNCT-2SC", "elements": 2, "sample_rate_hz": 8000.0,
        "engines": {
            "golden": {"frames_per_s": 80e6},
            "rtl": {"frames_per_s": 160e3, "build_s": 15.0},
            "verilator": {"frames_per_s": 8e3, "build_s": 10.0},
            "icarus": {"frames_per_s": 400.0, "build_s": 0.5},
            "amaranth": {"frames_per_s": 80.0, "build_s": 0.1},
        },
        "golden_bytes_per_s": 1.28e9, "memory_bytes_per_s": 12.8e9,
        "rtl_clocks": 61.0, "rtl_clocks_per_s": 9.76e6,
        "run_s": {"processor_s": 2.0, "wall_s": 1.5, "peak_bytes": 150_000_000},
        "run_without_settling_s": {"processor_s": 0.5, "wall_s": 0.6, "peak_bytes": 150_000_000},
        "by_elements": [
            {
                "elements": elements,
                "golden": {"frames_per_s": 160e6 / elements},
                "rtl": {"frames_per_s": rate / elements, "clocks_per_frame": 28.0 * elements},
            }
            for elements, rate in ((1, 320e3), (2, 320e3), (64, 160e3))
        ],
        "by_length": {
            name: [
                {"seconds": seconds, "processor_s": 0.5 + seconds / 100, "wall_s": 1.0, "peak_bytes": peak}
                for seconds, peak in ((100, 100_000_000), (1000, 101_000_000), (86_400, 110_000_000))
            ]
            for name in ("golden", "days", "rtl")
        },
    }  # fmt: skip


def test_an_entry_has_the_ratios_of_its_run(run):
    found = history.entry(run)
    assert {name: found[name] for name in NAMES} == {name: run[name] for name in NAMES}
    assert found["ratios"] == {
        "golden_real_time": 10_000, "golden_memory_speed": 0.1, "rtl_real_time": 20,
        "rtl_verilator": 20, "rtl_icarus": 400, "rtl_amaranth": 2000, "build_verilator": 1.5, "run_real_time": 0.5,
        "golden_elements": 1, "rtl_elements": 2, "golden_length": 1, "rtl_length": 1,
        "golden_memory": 1.1, "days_memory": 1.1, "rtl_memory": 1.1,
    }  # fmt: skip


def test_what_was_not_measured_is_not_in_the_history_and_the_table_says_why(run):
    run["engines"]["icarus"] = None
    assert set(history.RATIOS) - set(history.entry(run)["ratios"]) == {"rtl_icarus"}
    line = next(line for line in report.table(run).splitlines() if line.startswith("cocotb + Icarus"))
    assert line.endswith("not installed")


def test_entries_are_kept(run, tmp_path):
    path = tmp_path / "history.jsonl"
    entries, messages = history.read(path)
    assert entries == []
    assert messages == [f"There is no {path} yet: this run begins it."]
    other = {**run, "machine": "Another, 4 cores"}
    written = [history.entry(each) for each in (run, other, {**run, "commit": None})]
    assert [history.append(path, each) for each in written] == [[], [], []]
    assert history.read(path) == (written, [])
    assert history.last_of(written, "Another, 4 cores") is written[1]
    assert history.last_of(written, run["machine"]) is written[2]
    assert history.last_of(written, "None of these") is None


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ('{"date": "2026-', "it is not JSON"),
        ("", "it is not JSON"),
        ("[1, 2]", "it has no ratios"),
        ('{"date": "2026-07-14", "commit": null, "ratios": {}}', "it has no machine"),
        (
            '{"date": "", "commit": "", "machine": "", "ratios": {"rtl_real_time": "fast"}}',
            "rtl_real_time is 'fast'; allowed: numbers above 0",
        ),
        (
            '{"date": "", "commit": "", "machine": "", "ratios": {"rtl_real_time": 0}}',
            "rtl_real_time is 0; allowed: numbers above 0",
        ),
    ],
)
def test_a_damaged_line_is_named_and_left_out(run, tmp_path, damage, reason):
    path = tmp_path / "history.jsonl"
    new = history.entry(run)
    path.write_text(f"{json.dumps(new)}\n{damage}\n{json.dumps(new)}\n")
    assert history.read(path) == ([new, new], [f"{path}, line 2 is left out: {reason}."])


def test_a_line_that_was_cut_off_takes_no_other_with_it(run, tmp_path):
    path = tmp_path / "history.jsonl"
    path.write_text('{"date": "2026')
    new = history.entry(run)
    assert history.append(path, new) == []
    assert history.read(path)[0] == [new]


def test_a_history_that_cannot_be_read_or_written_does_not_stop_the_bench(run, tmp_path):
    path = tmp_path / "history.jsonl"
    path.mkdir()
    assert history.read(path) == ([], [f"{path} cannot be read (Is a directory): nothing is compared."])
    [message] = history.append(path, history.entry(run))
    assert message == f"{path} cannot be written (Is a directory): this run is not kept."
    path = tmp_path / "binary.jsonl"
    path.write_bytes(b"\xff\xfe")
    entries, [message] = history.read(path)
    assert entries == []
    assert "cannot be read ('utf-8' codec" in message


def test_what_became_worse_is_named(run):
    later = copy.deepcopy(run)
    # Slower by less than a tenth is within the tolerance; memory that grows is worse, less of it is not.
    later["engines"]["golden"]["frames_per_s"] = 72.5e6
    later["engines"]["verilator"]["frames_per_s"] = 10e3
    later["by_length"]["golden"][-1]["peak_bytes"] = 150_000_000
    later["by_length"]["rtl"][-1]["peak_bytes"] = 50_000_000
    before = history.entry(run)
    found = history.changes(history.entry(later), before)
    assert [each.title for each in found if each.worse] == [
        history.RATIOS[name].title for name in ("rtl_verilator", "golden_memory")
    ]
    text = report.comparison(found, before)
    assert "Before: 2026-07-14 at abcdef0, on this machine. Worse than before by more than 10 %: " in text
    line = next(line for line in text.splitlines() if line.startswith("RTL engine / cocotb + Verilator"))
    assert line.split()[-4:] == ["16.0", "20.0", "-20.0", "%"]
    assert "Nothing is worse by more than 10 %." in report.comparison(history.changes(before, before), before)
    assert "no earlier run" in report.comparison(history.changes(before, None), None)


def test_a_ratio_without_an_earlier_figure_is_not_compared(run):
    before = history.entry(run)
    del before["ratios"]["rtl_icarus"]
    found = {each.title: each for each in history.changes(history.entry(run), before)}
    new = found["RTL engine / cocotb + Icarus"]
    assert (new.before, new.relative, new.worse) == (None, None, False)


def test_the_table_has_the_runs_figures(run):
    lines = report.table(run).splitlines()
    for start, *cells in (
        ("2026-07-14 at abcdef0, Blondel 1.2.3; A processor, 2 cores, Python 3.11.7",),
        ("golden model", "80,000,000", "10,000", "0.00200", "×", "–"),
        ("RTL engine", "160,000", "20.0", "1.00", "×", "15.0", "s"),
        ("cocotb + Icarus", "400", "0.0500", "400", "×", "0.5", "s"),
        ("64", "312", "1.00", "0.312", "2.00", "1,792"),
        ("golden model, 1,000 s", "10.5", "s", "95.2", "10.0", "ms", "101", "MB", "1.01"),
        ("golden model, 1 day", "864", "s", "99.9", "10.0", "ms", "110", "MB", "1.10"),
    ):
        assert any(line.startswith(start) and line.split()[len(start.split()) :] == cells for line in lines), start


@pytest.mark.parametrize(
    ("value", "text"),
    [(12345.6, "12,346"), (123.4, "123"), (99.94, "99.9"), (99.96, "100"), (1.0, "1.00"), (0.00962, "0.00962")],
)
def test_numbers_have_three_digits(value, text):
    assert report.number(value) == text


def test_the_tables_of_the_builds_are_shown_as_they_are():
    shown = [line.split() for line in report.scaling(SCALING).splitlines()]
    for path in SCALING:
        for line in path.read_text().splitlines():
            assert " ".join(cell or "–" for cell in line.split(",")).split() in shown


def test_what_is_committed_belongs_together():
    run = json.loads(RESULT.read_text())
    assert RESULT.with_suffix(".txt").read_text() == report.table(run)
    entries, messages = history.read(HISTORY)
    assert messages == []
    assert entries[-1] == history.entry(run)


@pytest.mark.parametrize("simulator", ["verilator", "icarus"])
def test_the_verilog_simulators_do_the_work_that_is_timed(simulator, tmp_path):
    """Their bench compares all outputs and registers with the model."""
    if not simulators.is_installed(simulator):
        assert simulators.under_cocotb(simulator, BUSY, 30, tmp_path) is None
        return
    found = simulators.under_cocotb(simulator, BUSY, 150, tmp_path)
    assert found["frames_per_s"] > 0
    assert found["build_s"] > 0


def test_a_simulator_that_is_not_installed_has_no_figure(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert simulators.under_cocotb("icarus", BUSY, 30, tmp_path) is None


def test_amaranths_simulator_does_the_work_that_is_timed(monkeypatch):
    assert simulators.in_amaranth(BUSY, 30)["frames_per_s"] > 0
    # It would notice.
    monkeypatch.setattr(simulators, "answer", lambda *_: {"edges": simulators.np.array([[1, 2, 1]])})
    with pytest.raises(AssertionError, match="differs from the golden model"):
        simulators.in_amaranth(BUSY, 30)


def test_a_commands_memory_is_its_own():
    held = bytearray(300_000_000)
    held[::4096] = bytes(len(held[::4096]))
    small = usage(sys.executable, "-c", "pass")
    large = usage(sys.executable, "-c", "x = bytearray(200_000_000); x[::4096] = b'1' * len(x[::4096])")
    assert small["peak_bytes"] < 100_000_000
    assert 200_000_000 < large["peak_bytes"] < 300_000_000
    assert small["processor_s"] > 0

"""``blondel calibrate``: from readings to a calibration file, and nothing where something is wrong."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from command import refused, run
from harness import rng

from blondel.hdl.config import MeterConfig
from blondel.host import build
from blondel.host.calibration import Calibration
from blondel.host.readings import read_readings, write_readings
from blondel.sim import measure
from blondel.sim.afe.parts import Parts
from blondel.sim.calibrate import simulate

MODEL = "MDNCT-2SC"
CONFIG = MeterConfig.for_model(MODEL)


@pytest.fixture(scope="module")
def readings():
    """Readings of one meter out of the population."""
    seed = rng("bench").getrandbits(32)
    return simulate(CONFIG, Parts.draw(CONFIG, seed, 0), temperature_c=23, seed=seed, uncertainty=1e-4)


@pytest.fixture
def file(tmp_path, readings):
    """Return a function that writes the readings, with something replaced."""

    def write(old: str = "", new: str = "", *, readings=readings):
        path = tmp_path / "readings.csv"
        write_readings(path, CONFIG, readings)
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1) if old else text)
        return path

    return write


# ---- what is written -------------------------------------------------------------------------------


def test_readings_become_a_calibration(capsys, tmp_path, file):
    status, out, err = run(capsys, "calibrate", MODEL, "--readings", file(), "-o", tmp_path / "factory.toml")
    assert (status, err) == (0, "")
    assert out.startswith("MDNCT-2SC at 60 Hz, 30 A, from readings; what is left is predicted\n")
    assert out.count("corrected\n") == 2
    assert out.endswith(f"\ncalibration  {tmp_path}/factory.toml\n")
    calibration = Calibration.read(tmp_path / "factory.toml")
    assert (calibration.model, calibration.line_hz) == (MODEL, 60)
    assert all(each.offset is not None for each in calibration.channels)
    assert all(each.gain != 1 and each.delay_s > 0 for each in calibration.channels[1::2])
    assert all(each.gain == 1 and each.delay_s == 0 for each in calibration.channels[::2])


def test_the_simulated_bench_calibrates_and_measures_again(capsys, tmp_path):
    path = tmp_path / "factory.toml"
    command = ["calibrate", "MSTCT-1SP", "--line", 50, "--seed", 5, "--temperature", -20, "--json"]
    status, out, err = run(capsys, *command, "--meter", 2, "-o", path)
    assert (status, err) == (0, "")
    found = json.loads(out)
    assert (found["model"], found["line_hz"], found["test_amps"]) == ("MSTCT-1SP", 50, 15)
    assert (found["bench"], found["left"]) == ("simulated", "measured")
    (element,) = found["elements"]
    assert abs(element["found_lag_percent"]) > 1
    # What is left is noise, and not what the arithmetic leaves.
    assert 0 < abs(element["left_lag_percent"]) < 0.005
    assert element["verdict"] == "corrected"
    current = Calibration.read(path).channels[1]
    assert element["gain_factor"] == pytest.approx(current.gain)
    assert element["delay_change_us"] == pytest.approx(current.delay_s * 1e6)
    assert run(capsys, *command, "--meter", 3, "-o", tmp_path / "other.toml")[0] == 0
    assert (tmp_path / "other.toml").read_text() != path.read_text()


def test_repeating_it_writes_the_same_file(capsys, tmp_path):
    """With the noise of another bench run, and the file that the meter has by then."""
    config = CONFIG
    parts = Parts.draw(config, 1, 0)
    texts = []
    for noise in range(3):
        again = simulate(config, parts, temperature_c=23, seed=noise, uncertainty=1e-4)
        write_readings(tmp_path / "readings.csv", config, again)
        calibration = ["--calibration", tmp_path / "factory.toml"] if texts else []
        command = ["calibrate", MODEL, "--readings", tmp_path / "readings.csv", *calibration]
        status, out, _ = run(capsys, *command, "-o", tmp_path / "factory.toml")
        assert status == 0
        assert out.count("kept\n") == (2 if texts else 0)
        texts.append((tmp_path / "factory.toml").read_bytes())
        config = Calibration.read(tmp_path / "factory.toml").apply(CONFIG)
    assert texts[0] == texts[1] == texts[2]


def test_a_simulated_meter_s_readings_can_be_kept(capsys, tmp_path):
    first, second = tmp_path / "first.toml", tmp_path / "second.toml"
    path = tmp_path / "readings.csv"
    assert run(capsys, "calibrate", MODEL, "-o", first, "--save-readings", path)[0] == 0
    assert run(capsys, "calibrate", MODEL, "-o", second, "--readings", path)[0] == 0
    assert first.read_bytes() == second.read_bytes()


def test_a_readings_file_is_read_as_it_was_written(file, readings):
    assert read_readings(file(), CONFIG) == readings
    assert read_readings(file("model,", "\ufeff# bench 3\n\nmodel,"), CONFIG) == readings
    path = file()
    header, *rows = path.read_text().split()
    path.write_text("\n".join([f"{header},serial", *(f"{row},17" for row in rows)]))
    assert read_readings(path, CONFIG) == readings


def test_the_template_is_a_file_to_fill_in(capsys, tmp_path, file, readings):
    status, out, _ = run(capsys, "calibrate", MODEL, "--template")
    assert status == 0
    path = tmp_path / "template.csv"
    path.write_text(out)
    err = refused(capsys, "calibrate", MODEL, "--readings", path, "-o", tmp_path / "none.toml")
    assert re.search(r"template.csv: line \d+: seconds is empty; allowed: a number above 0\n$", err)
    table = [line for line in out.splitlines() if not line.startswith("#")]
    filled = file().read_text().splitlines()
    assert table[0] == filled[0]
    assert len(table) == len(filled)
    for empty, full in zip(table[1:], filled[1:], strict=True):
        for have, want in zip(empty.split(","), full.split(","), strict=True):
            assert have in ("", want) or float(have) == float(want)
    # Every column is explained.
    explained = re.findall(r"^# (\w+)", out, re.MULTILINE)
    assert explained == [name for name in table[0].split(",") if not name.endswith("_2")]


# ---- who takes it ----------------------------------------------------------------------------------


def test_the_other_commands_take_what_it_writes(capsys, tmp_path, monkeypatch):
    """The factory's file is the calibration of what is run, replayed, made and built."""
    path = tmp_path / "factory.toml"
    assert run(capsys, "calibrate", "MSNCT-1SC", "-o", path)[0] == 0
    configs, make = [], measure.make_engines
    monkeypatch.setattr(
        measure, "make_engines", lambda config, kind, **more: configs.append(config) or make(config, kind, **more)
    )

    def build_nothing(config, *args, **options):
        configs.append(config)
        raise build.NotBuilt("enough")

    monkeypatch.setattr(build, "build", build_nothing)
    brief = ["--engine", "golden", "--settle", 0, "--calibration", path]
    assert run(capsys, "run", "MSNCT-1SC", "--seconds", 1, *brief)[0] == 0
    wave = [f"{n / 8000},{170 * (n % 100 < 50)},{1.4 * (n % 100 < 50)}" for n in range(800)]
    (tmp_path / "load.csv").write_text("\n".join(["t,v,i", *wave]))
    assert run(capsys, "replay", tmp_path / "load.csv", "--v-scale", 1.41, *brief)[0] == 0
    refused(capsys, "build", "MSNCT-1SC", "--board", "icebreaker", "--calibration", path)
    found = Calibration.read(path).channels
    assert [config.calibration for config in configs] == [found] * 3
    plain, calibrated = (run(capsys, "verilog", "MSNCT-1SC", *more)[1] for more in ([], ["--calibration", path]))
    word = f"{configs[0].gain_word(1) & (1 << 23) - 1:x}"
    assert word in calibrated
    assert word not in plain


# ---- what is refused -------------------------------------------------------------------------------


def nothing_written(capsys, tmp_path, *args) -> str:
    """Run a command that is refused; a file that was there stays as it was, and there is no other one."""
    output = tmp_path / "factory.toml"
    output.write_text("as it was")
    before = sorted(tmp_path.iterdir())
    err = refused(capsys, "calibrate", *args, "-o", output)
    assert output.read_text() == "as it was"
    assert sorted(tmp_path.iterdir()) == before
    return err


def test_a_bench_error_is_said_and_nothing_is_written(capsys, tmp_path, file, readings):
    swapped = [replace(each, net_wh=each.net_wh[::-1]) for each in readings]
    err = nothing_written(capsys, tmp_path, MODEL, "--readings", file(readings=swapped))
    assert err == (
        "blondel: error: element 1 at unity power factor: CTs swapped: the energy shows on element 2: CT1 and CT2 "
        "change places\n"
    )
    err = nothing_written(capsys, tmp_path, MODEL, "--readings", file(readings=readings[:2] + readings[3:]))
    assert err == "blondel: error: the step element 1 at 0.5 lag is missing\n"


def test_a_load_that_leads_is_refused_unless_the_front_end_is_late(capsys, tmp_path, file, readings):
    late = [
        replace(each, net_wh=tuple(wh * (0.99 if each.power_factor == "0.5lag" else 1) for wh in each.net_wh))
        for each in readings
    ]
    path = file(readings=late)
    assert "° late, but a CT is early: the load is 0.5 lead" in nothing_written(
        capsys, tmp_path, MODEL, "--readings", path
    )
    assert run(capsys, "calibrate", MODEL, "--readings", path, "--late", 1, "-o", tmp_path / "late.toml")[0] == 0


def test_the_uncertainty_is_the_user_s(capsys, tmp_path, file):
    err = nothing_written(capsys, tmp_path, MODEL, "--readings", file(), "--uncertainty", 0.005)
    assert re.search(r"no load: the run is too short: 1\.2\d+ s; for 0\.005 % it takes 2\.5 s or more", err)


MALFORMED = [
    ("test_pulses", "pulses", "line 1: column test_pulses is missing"),
    ("lost", "frames", "line 1: column frames is there twice"),
    (",none,", ",0,", "line 2: element is 0; allowed: none, 1, 2"),
    (",1,120.0,", ",3,120.0,", "line 3: element is 3; allowed: none, 1, 2"),
    ("120.0", "120 V", "line 2: volts is 120 V; allowed: a number above 0"),
    ("120.0", "nan", "line 2: volts is nan; allowed: a number above 0"),
    ("0.5lag", "0.5", "line 4: power_factor is 0.5; allowed: -1 to 1 with lag or lead, such as 1 or 0.5lag"),
    ("10000,0,", "10000.5,0,", "line 2: frames is 10000.5; allowed: a whole number, 0 or more"),
    ("10000,0,", "10000,-1,", "line 2: lost is -1; allowed: a whole number, 0 or more"),
    ("10000,0,", f"{'9' * 400},0,", f"line 2: frames is {'9' * 400}; allowed: a whole number, 0 or more"),
    (",60,none", ",60,none,", "line 2: 27 values; allowed: as many as columns, 26"),
    ("MDNCT-2SC,60,1", "MDNCT-1SC,60,1", "line 3: is of MDNCT-1SC at 60 Hz; the meter is MDNCT-2SC at 60 Hz"),
    ("MDNCT-2SC,60,1", "MDNCT-2SC,50,1", "line 3: is of MDNCT-2SC at 50 Hz; the meter is MDNCT-2SC at 60 Hz"),
    ("MDNCT-2SC,60,1", ",,1", "line 3: is of no model at ? Hz; the meter is MDNCT-2SC at 60 Hz"),
    ("MDNCT-2SC,60,1", '"MDNCT-2SC,60,1', "is not CSV: "),
]


@pytest.mark.parametrize(("old", "new", "message"), MALFORMED, ids=[message[:50] for *_, message in MALFORMED])
def test_what_is_wrong_with_the_file_is_said_with_its_line(capsys, tmp_path, file, old, new, message):
    path = file(old, new)
    err = nothing_written(capsys, tmp_path, MODEL, "--readings", path)
    assert err.startswith(f"blondel: error: --readings {path}: {message}")


def test_flags_and_words_that_cannot_be_are_said(capsys, tmp_path, file):
    header, *rows = file().read_text().splitlines()
    for name, value, allowed in (("overrange_2", "2", "0 or 1"), ("i_gain_word_1", "0.5", "a whole number")):
        cells = rows[0].split(",")
        cells[header.split(",").index(name)] = value
        path = tmp_path / "readings.csv"
        path.write_text("\n".join([header, ",".join(cells), *rows[1:]]))
        err = nothing_written(capsys, tmp_path, MODEL, "--readings", path)
        assert err.endswith(f"line 2: {name} is {value}; allowed: {allowed}\n")


def test_a_file_that_cannot_be_read_is_said(capsys, tmp_path):
    for name, content, message in (
        ("none.csv", None, "cannot be read: No such file or directory"),
        ("empty.csv", b"# nothing\n", "is empty; 'blondel calibrate MODEL --template' prints one to fill in"),
        ("bytes.csv", b"\xff\xfe", "is not text in UTF-8"),
    ):
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        err = nothing_written(capsys, tmp_path, MODEL, "--readings", path)
        assert err == f"blondel: error: --readings {path}: {message}\n"


@pytest.mark.parametrize(
    "option", [("--seed", 1), ("--meter", 0), ("--temperature", 23), ("--save-readings", "x.csv")], ids=str
)
def test_options_of_the_simulated_bench_are_not_for_readings(capsys, tmp_path, file, option):
    err = nothing_written(capsys, tmp_path, MODEL, "--readings", file(), *option)
    assert err == f"blondel: error: {option[0]} is of the simulated bench: leave it out, or --readings\n"


def test_a_file_that_cannot_be_written_is_said_at_once(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("blondel.sim.calibrate.simulate", None)
    nowhere = tmp_path / "nowhere" / "factory.toml"
    assert f"cannot write {nowhere}: " in refused(capsys, "calibrate", MODEL, "-o", nowhere)
    err = refused(capsys, "calibrate", MODEL, "-o", tmp_path / "factory.toml", "--save-readings", tmp_path)
    assert err.endswith("it is a directory\n")
    assert refused(capsys, "calibrate", MODEL) == "blondel: error: the calibration needs a file: -o FILE.toml\n"
    assert not list(tmp_path.iterdir())


def test_readings_from_before_a_calibration_do_not_count_twice(capsys, tmp_path, file):
    path = tmp_path / "first.toml"
    assert run(capsys, "calibrate", MODEL, "--readings", file(), "-o", path)[0] == 0
    err = nothing_written(capsys, tmp_path, MODEL, "--readings", file(), "--calibration", path)
    assert "element 1's current has the gain word 0, and " in err

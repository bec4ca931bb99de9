"""Calibration files: what is written is read, what is read reaches the core, and what is wrong is said in one line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from command import refused, run
from hypothesis import given
from hypothesis import strategies as st

from blondel.hdl.config import ChannelCalibration, MeterConfig
from blondel.host import build
from blondel.host.calibration import Calibration
from blondel.host.files import OutputError
from blondel.sim import measure

WHOLE = """\
model = "MSNCT-1SC"
line_hz = 60
clock_error_ppm = -12.5

[[element]]
voltage = { gain = 1.0021, delay_us = 0, offset_lsb = -120 }
current = { gain = 0.9987, delay_us = 13.9, offset_lsb = 8.5 }
"""
CHANNELS = (ChannelCalibration(-120.0, 0.0, 1.0021), ChannelCalibration(8.5, 13.9e-6, 0.9987))
CONFIG = MeterConfig.for_model("MSNCT-1SC")


@pytest.fixture
def file(tmp_path):
    """Return a function that writes a file: the one above, with something replaced."""

    def write(old: str = "", new: str = "", text: str = WHOLE) -> Path:
        assert old in text
        path = tmp_path / "factory.toml"
        path.write_text(text.replace(old, new) if old else text)
        return path

    return write


# ---- reading and writing ---------------------------------------------------------------------------


def test_a_file_is_what_it_says(file):
    calibration = Calibration.read(file())
    assert calibration == Calibration("MSNCT-1SC", 60, CHANNELS, -12.5)
    assert calibration.to_toml() == WHOLE
    config = calibration.apply(CONFIG)
    assert config == CONFIG.with_changes(calibration=CHANNELS, clock_error_ppm=-12.5)
    assert Calibration.of(config) == calibration


def test_what_is_left_out_is_neutral(file):
    text = 'model = "msnct-1sc"\nline_hz = 60\n[[element]]\ncurrent.gain = 1\n'
    neutral = CONFIG.with_changes(calibration=(ChannelCalibration(),) * 2)
    assert Calibration.read(file(text=text)).apply(CONFIG) == neutral


@given(st.data())
def test_what_is_written_is_read(tmp_path_factory, data):
    config = MeterConfig.for_model("MDTCT-2SP", 50)
    limit = config.delay_range_s
    channel = st.builds(
        ChannelCalibration,
        offset=st.none() | st.floats(-(2**21), 2**21),
        delay_s=st.floats(-limit, limit),
        gain=st.floats(0.751, 1.248),
    )
    config = config.with_changes(
        calibration=data.draw(st.tuples(*[channel] * 4)), clock_error_ppm=data.draw(st.floats(-1000, 1000))
    )
    path = tmp_path_factory.getbasetemp() / "written.toml"
    Calibration.of(config).write(path)
    assert Calibration.read(path).apply(MeterConfig.for_model("MDTCT-2SP", 50)) == config


def test_a_file_that_cannot_be_written_is_said(tmp_path):
    with pytest.raises(OutputError, match="is not a directory"):
        Calibration.of(CONFIG).write(tmp_path / "nowhere" / "factory.toml")


# ---- what reaches the core -------------------------------------------------------------------------

BRIEF = ["--seconds", "1", "--settle", "0", "--engine", "golden"]


@pytest.fixture
def metered(monkeypatch):
    """The configurations that were metered."""
    configs, make = [], measure.make_engines

    def engines(config, kind, **more):
        configs.append(config)
        return make(config, kind, **more)

    monkeypatch.setattr(measure, "make_engines", engines)
    return configs


def test_run_takes_it(capsys, file, metered):
    status, _, err = run(capsys, "run", "MSNCT-1SC", *BRIEF, "--calibration", file())
    assert status == 0
    assert err.startswith("blondel: note: the truth is the waveforms as they are: what the calibration corrects shows")
    assert metered[0].calibration == CHANNELS
    assert metered[0].clock_error_ppm == -12.5


def test_run_shows_what_it_corrects(capsys, file):
    path = file("delay_us = 13.9, offset_lsb = 8.5", "delay_us = 0", WHOLE.replace(", offset_lsb = -120", ""))
    status, out, _ = run(
        capsys, "run", "MSNCT-1SC", "--seconds", 2, "--engine", "golden", "--json", "--calibration", path
    )
    assert status == 0
    (element,) = json.loads(out)["elements"]
    assert element["error_ppm"] == pytest.approx(1e6 * (1.0021 * 0.9987 / (1 - 12.5e-6) - 1), abs=0.5)


def test_replay_takes_it_and_its_model(capsys, tmp_path, file, metered):
    wave = np.sqrt(2) * np.sin(2 * np.pi * 60 * np.arange(400) / 4000)
    np.savez(tmp_path / "load.npz", v=120 * wave, i=5 * wave, fs=4000.0)
    brief = ["replay", tmp_path / "load.npz", "--settle", 0, "--engine", "golden", "--calibration"]
    assert run(capsys, *brief, file())[0] == 0
    assert metered[0].model == "MSNCT-1SC"
    assert metered[0].calibration == CHANNELS
    assert "MSNCT-1NC" in refused(capsys, *brief, file(), "--model", "MSNCT-1NC")
    assert "MSNCT-1SC at 50 Hz; the meter is MSNCT-1SC at 60 Hz" in refused(capsys, *brief, file("60", "50"))
    dual = file(text=WHOLE.replace("MSN", "MDN") + WHOLE[WHOLE.index("[[") :])
    assert "model MDNCT-1SC has 2 elements; the recording has 1" in refused(capsys, *brief, dual)


def test_verilog_wakes_up_with_it(capsys, file):
    plain = run(capsys, "verilog", "MSNCT-1SC")[1]
    status, text, _ = run(capsys, "verilog", "MSNCT-1SC", "--calibration", file())
    assert status == 0
    # The gain of the voltage, less one, among the words that the memories begin with.
    word = f"{CONFIG.with_changes(calibration=CHANNELS).gain_word(0):x}"
    assert len(word) == 4
    assert word in text
    assert word not in plain


def test_build_takes_it(capsys, file, monkeypatch):
    def build_nothing(config, *args, **options):
        configs.append(config)
        raise build.NotBuilt("enough")

    configs = []
    monkeypatch.setattr(build, "build", build_nothing)
    refused(capsys, "build", "MSNCT-1SC", "--board", "icebreaker", "--calibration", file())
    assert configs == [Calibration.read(file()).apply(CONFIG)]


# ---- what is refused -------------------------------------------------------------------------------

REFUSED = [
    ("line_hz = 60", "line_hz = ", "is not TOML: Invalid value (at line 2, column 11)"),
    ("60", "1e9999999999999999999", "is not TOML: "),
    ("model", "modell", "there is no key 'modell' in the file; there are: model, line_hz, clock_error_ppm, element"),
    ("voltage", "volts", "there is no key 'volts' in element 1; there are: voltage, current"),
    ("gain = 0", "gian = 0", "there is no key 'gian' in element 1's current; there are: gain, delay_us, offset_lsb"),
    ('model = "MSNCT-1SC"\n', "", "model is missing"),
    ("line_hz = 60\n", "", "line_hz is missing"),
    (WHOLE[WHOLE.index("[[") :], "", "element is missing"),
    ("[[element]]", "[element]", "element is not a list; allowed: [[element]], once for each"),
    ("MSNCT", "MSMCT", "model 'MSMCT-1SC' does not exist; nearest: "),
    ("MSNCT", "MDNCT", "is of MDNCT-1SC at 60 Hz; the meter is MSNCT-1SC at 60 Hz"),
    ("60", "50", "is of MSNCT-1SC at 50 Hz; the meter is MSNCT-1SC at 60 Hz"),
    ("60", "55", "line_hz is 55; allowed: 60 or 50"),
    ("60", "[60]", "line_hz is [60]; allowed: 60 or 50"),
    ("[[element]]", "[[element]]\n[[element]]", "has 2 elements; MSNCT-1SC has 1"),
    ("-12.5", "true", "clock_error_ppm is True; allowed: a number"),
    ("-12.5", "1e99999999999", "clock_error_ppm has too many digits; allowed: a number"),
    ("-12.5", "1001", "clock_error_ppm is 1001.0; allowed: -1000 to 1000 ppm"),
    ("0.9987", "'0.9987'", "element 1's current: gain is '0.9987'; allowed: a number"),
    ("0.9987", "nan", "element 1's current: gain is NaN; allowed: 0.7499906 to 1.249984"),
    ("1.0021", "1.3", "element 1's voltage: gain is 1.3; allowed: 0.75 to 1.25"),
    ("13.9", "170", "element 1's current: delay_us is 170; allowed: ±166.7 µs (±3° at 50 Hz)"),
    ("-120", "-2e9", "element 1's voltage: offset_lsb is -2000000000; allowed: ±2097152 LSB"),
    ("{ gain = 1.0021, delay_us = 0, offset_lsb = -120 }", "1", "element 1's voltage is no table; allowed: gain, "),
]


@pytest.mark.parametrize(("old", "new", "message"), REFUSED, ids=[message[:40] for _, _, message in REFUSED])
def test_what_is_wrong_is_said(capsys, file, old, new, message):
    path = file(old, new)
    err = refused(capsys, "run", "MSNCT-1SC", *BRIEF, "--calibration", path)
    assert err.startswith(f"blondel: error: --calibration {path}: {message}")


def test_a_file_that_cannot_be_read_is_said(capsys, tmp_path):
    for command in (["verilog", "MSNCT-1SC"], ["build", "MSNCT-1SC", "--board", "icebreaker"]):
        err = refused(capsys, *command, "--calibration", tmp_path / "none.toml")
        assert err.endswith("none.toml: cannot be read: No such file or directory\n")
    command = ["verilog", "MSNCT-1SC", "--calibration"]
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    assert "bytes.toml: is not TOML: " in refused(capsys, *command, tmp_path / "bytes.toml")
    assert "cannot be read: Is a directory" in refused(capsys, *command, tmp_path)


def test_playback_has_nothing_to_calibrate(capsys, file):
    command = ["build", "MSNCT-1SC", "--board", "icebreaker", "--frontend", "playback"]
    err = refused(capsys, *command, "--calibration", file())
    assert err == "blondel: error: --calibration corrects a converter; the front end playback has none\n"

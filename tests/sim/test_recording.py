"""Recordings: every format gives the samples and the rate it holds; every fault is told in one line."""

from __future__ import annotations

import contextlib
import json
import math
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from harness import rng

from blondel.hdl.config import ConfigError, MeterConfig
from blondel.sim.source.recording import Recording, RecordingError

SHARED = Path(__file__).parents[2].parent / "shared" / "recordings"
MANIFEST = json.loads((SHARED / "manifest.json").read_text()) if SHARED.is_dir() else []
ANGLE = 2 * np.pi * 50 * np.arange(400) / 4000
VOLTS, AMPS = 325.0 * np.sin(ANGLE), 14.1 * np.sin(ANGLE - 0.5)


def refused(path, *parts, **settings):
    """Read a recording that cannot be; check that its message is one line and names file, wrong and right."""
    with pytest.raises(RecordingError) as caught:
        Recording.read(*([path] if isinstance(path, Path) else path), **settings)
    message = str(caught.value)
    assert "\n" not in message
    named = path if isinstance(path, Path) else path[-1]
    assert re.match(rf"{re.escape(str(named.with_suffix('')))}\.\w+: .+; .+", message), message
    for part in parts:
        assert part in message
    return message


def npz(path, **arrays):
    np.savez(path, **({"v": VOLTS, "i": AMPS, "fs": 4000.0} | arrays))
    return path


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


def csv_rows(form="{:.9g},{:.9g},{:.9g}"):
    return "\n".join(form.format(n / 4000, v, i) for n, (v, i) in enumerate(zip(VOLTS, AMPS, strict=True)))


def write_comtrade(folder, kind="ASCII", *, rev="1999", rates=((4000, 400),), units=("V", "A"), name="event", rows=400):
    """Write a .cfg and a .dat with a current and a voltage of each of two phases."""
    names = ["IA", "VA", "IB", "VB"]
    waves = [AMPS, VOLTS, -0.5 * AMPS, -VOLTS]
    scales = [0.001, 0.02, 0.001, 0.02]
    lines = [f"STATION,1,{rev}" if rev != "1991" else "STATION,1", "6,4A,2D"]
    for n, (channel, scale) in enumerate(zip(names, scales, strict=True), 1):
        unit = units[1] if channel[0] == "I" else units[0]
        lines.append(f"{n},{channel},{channel[1]},,{unit},{scale},0.5,0,-32767,32767,100,1,P")
    lines += ["1,TRIP,,,0", "2,CLOSE,,,0", "50", f"{len(rates) if rates[0][0] else 0}"]
    lines += [f"{rate},{last}" for rate, last in rates]
    lines += ["01/02/2020,03:04:05.000000"] * 2 + [kind, "1"]
    (folder / f"{name}.cfg").write_text("\r\n".join(lines) + "\r\n")
    codes = [np.rint((wave - 0.5) / scale) for wave, scale in zip(waves, scales, strict=True)]
    dat = folder / f"{name}.dat"
    if kind == "ASCII":
        dat.write_text(
            "".join(
                ",".join(map(str, [n + 1, 250 * n, *(int(c[n]) for c in codes), n % 2, 1])) + "\r\n"
                for n in range(rows)
            )
        )
    else:
        of = {"BINARY": "<i2", "BINARY32": "<i4", "FLOAT32": "<f4"}[kind]
        row = np.dtype([("n", "<u4"), ("t", "<u4"), ("a", of, 4), ("d", "<u2")])
        data = np.zeros(rows, row)
        data["n"], data["t"] = np.arange(1, rows + 1), 250 * np.arange(rows)
        data["a"] = np.stack(codes, axis=1)[:rows]
        dat.write_bytes(data.tobytes())
    return folder / f"{name}.cfg"


# ---- what is right ---------------------------------------------------------------------------------


def test_npz(tmp_path):
    got = Recording.read(npz(tmp_path / "a.npz"))
    np.testing.assert_array_equal(got.volts[:, 0], VOLTS)
    np.testing.assert_array_equal(got.amps[:, 0], AMPS)
    assert (got.sample_rate_hz, got.elements, got.period_frames, got.duration_s) == (4000.0, 1, 400, 0.1)
    raw = npz(tmp_path / "raw.npz", v_raw=np.arange(400, dtype=np.int16), fs=np.array([30707.244140625]))
    got = Recording.read(raw, v_channel="v_raw", v_scale=0.25, i_scale=-2, repeat=None)
    np.testing.assert_array_equal(got.volts[:, 0], np.arange(400) / 4)
    np.testing.assert_array_equal(got.amps[:, 0], -2 * AMPS)
    assert (got.sample_rate_hz, got.duration_s) == (30707.244140625, None)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [("time,v,i\n" + csv_rows(), "utf-8"),
     ("Time (s),Voltage [V],Current (A)\r\n" + csv_rows().replace("\n", "\r\n") + "\r\n\r\n", "utf-8-sig"),
     ("# measured on Monday\n# fs = 4000 Hz\nv,i\n" + csv_rows("{1:.9g},{2:.9g}"), "utf-8"),
     ("fs,u,amps\n4000," + csv_rows("{1:.9g},{2:.9g}").replace("\n", "\n,"), "utf-8"),
     ("fs_kHz;v;i\n4;" + csv_rows("{1:.9g};{2:.9g}").replace(".", ",").replace("\n", "\n;"), "utf-8"),
     ("t_ms\ti_mA\tvoltage_kV\n" + "\n".join(f"{n / 4:.9g}\t{1e3 * i:.9g}\t{v / 1e3:.9g}" for n, (v, i) in
                                           enumerate(zip(VOLTS, AMPS, strict=True))), "utf-8"),
     ("time (µs),v,i,note\n" + "\n".join(f'{250 * n},"{v:.9g}",{i:.9g},"a, b"' for n, (v, i) in
                                       enumerate(zip(VOLTS, AMPS, strict=True))), "latin-1")],
    ids=["plain", "units", "comment", "fs", "decimal comma", "suffixes", "quotes"],
)  # fmt: skip
def test_csv(tmp_path, text, encoding):
    got = Recording.read(write(tmp_path / "a.csv", text, encoding))
    np.testing.assert_allclose(got.volts[:, 0], VOLTS, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(got.amps[:, 0], AMPS, rtol=1e-8, atol=1e-9)
    assert got.sample_rate_hz == 4000.0


def test_csv_columns_are_chosen_by_name_or_number(tmp_path):
    header = "time,L1 (V),L2 (kV),N (A)\n"
    path = write(tmp_path / "a.txt", header + csv_rows("{0:.9g},{1:.9g},{1:.9g},{2:.9g}"))
    one = Recording.read(path, v_channel="l1", i_channel="4")
    two = Recording.read(path, v_channel=["L1", "L2 (kV)"], i_channel=4)
    np.testing.assert_array_equal(two.volts, one.volts * [1, 1000])
    np.testing.assert_array_equal(two.amps, one.amps * [1, 1])
    np.testing.assert_allclose(one.amps[:, 0], AMPS, rtol=1e-8, atol=1e-9)
    refused(path, "has no voltage among its columns time, L1 (V), L2 (kV), N (A)", "volts")
    refused(path, "has no current channel 5", "1 time, 2 L1 (V), 3 L2 (kV), 4 N (A)", v_channel=2, i_channel=5)
    refused(path, "voltage channel N is in A", "units are V, mV, kV", v_channel="N", i_channel="N")


@pytest.mark.parametrize("kind", ["ASCII", "BINARY", "BINARY32", "FLOAT32"])
@pytest.mark.parametrize("rev", ["1991", "1999", "2013"])
def test_comtrade(tmp_path, kind, rev):
    path = write_comtrade(tmp_path, kind, rev=rev)
    got = Recording.read(path)
    np.testing.assert_allclose(got.volts[:, 0], VOLTS, atol=0.0101)
    np.testing.assert_allclose(got.amps[:, 0], AMPS, atol=0.000501)
    assert got.sample_rate_hz == 4000.0
    both = Recording.read(path, v_channel=("VA", "vb"), i_channel=("1", 3), v_scale=0.5)
    np.testing.assert_array_equal(both.volts[:, 0], got.volts[:, 0] / 2)
    np.testing.assert_allclose(both.volts[:, 1], -VOLTS / 2, atol=0.0101)
    np.testing.assert_allclose(both.amps, AMPS[:, None] * [1, -0.5], atol=0.000501)


def test_comtrade_has_units_time_stamps_and_files_in_capitals(tmp_path):
    path = write_comtrade(tmp_path, units=("kV", "kA"))
    path = path.rename(tmp_path / "event.CFG")
    (tmp_path / "event.dat").rename(tmp_path / "event.DAT")
    got = Recording.read(path)
    np.testing.assert_allclose(got.volts[:, 0], 1000 * VOLTS, atol=10.1)
    np.testing.assert_allclose(got.amps[:, 0], 1000 * AMPS, atol=0.501)
    stamped = write_comtrade(tmp_path, "BINARY", name="stamped", rates=((0, 400),))
    assert Recording.read(stamped).sample_rate_hz == 4000.0
    named = write_comtrade(tmp_path, name="named")
    named.write_bytes(named.read_bytes().replace(b"STATION", "Génération".encode("latin-1")))
    assert Recording.read(named).elements == 1


def test_comtrade_of_1991_keeps_the_code_that_marks_a_missing_sample(tmp_path):
    path = write_comtrade(tmp_path, "BINARY", rev="1991")
    data = np.frombuffer((tmp_path / "event.dat").read_bytes(), "<i2").reshape(400, -1).copy()
    data[7, 4 + 1] = -1
    (tmp_path / "event.dat").write_bytes(data.tobytes())
    assert Recording.read(path).volts[7, 0] == pytest.approx(-0.02 + 0.5)


def test_several_files_are_several_elements(tmp_path):
    first, second = npz(tmp_path / "a.npz"), npz(tmp_path / "b.npz", v=-VOLTS)
    got = Recording.read(first, second)
    np.testing.assert_array_equal(got.volts, VOLTS[:, None] * [1, -1])
    assert got.elements == 2


def test_any_part_is_to_be_had_and_the_end_joins_the_beginning(tmp_path):
    got = Recording.read(npz(tmp_path / "a.npz"), repeat=3)
    assert got.duration_s == pytest.approx(0.3)
    volts, amps = got.samples(0, 1300)
    np.testing.assert_array_equal(volts[:, 0], np.tile(VOLTS, 4)[:1300])
    np.testing.assert_array_equal(amps[:, 0], np.tile(AMPS, 4)[:1300])
    for start, count in ((0, 1), (399, 2), (10, 0), (1000, 300)):
        part_v, part_i = got.samples(start, count)
        np.testing.assert_array_equal(part_v, volts[start : start + count])
        np.testing.assert_array_equal(part_i, amps[start : start + count])


@pytest.mark.skipif(not MANIFEST, reason=f"no recordings in {SHARED}")
@pytest.mark.parametrize("entry", MANIFEST, ids=lambda entry: entry["name"])
def test_shared_recordings(entry):
    """The reference is of whole cycles: the last sample counts as far as the last cycle covers it."""
    got = Recording.read(SHARED / entry["file"])
    assert (got.period_frames, got.sample_rate_hz) == (entry["n"], entry["fs"])
    reference = entry["float_ref"]
    start, count = entry["window"][0], reference["N"]
    volts, amps = (array[:, 0] for array in got.samples(start, count))
    weight = np.ones(count)
    weight[-1] += reference["nc"] / reference["f"] * got.sample_rate_hz - count
    mean = {
        name: np.average(product, weights=weight)
        for name, product in {"vv": volts * volts, "ii": amps * amps, "vi": volts * amps}.items()
    }
    # Seven digits were kept.
    assert math.sqrt(mean["vv"]) == pytest.approx(reference["Vrms"], rel=5e-7)
    assert math.sqrt(mean["ii"]) == pytest.approx(reference["Irms"], rel=5e-7)
    assert mean["vi"] == pytest.approx(reference["P"], abs=5e-7 * reference["S"])


# ---- what is wrong ---------------------------------------------------------------------------------


def test_files_that_are_none(tmp_path):
    refused(tmp_path / "absent.npz", "cannot be read (No such file or directory)", "give a file that exists")
    refused(write(tmp_path / "empty.npz", ""), "is empty")
    refused(write(tmp_path / "empty.csv", ""), "is empty")
    refused(write(tmp_path / "a.wav", "x"), "is of unknown kind .wav; known are .npz, .csv, .txt, .tsv, .cfg")
    refused(write(tmp_path / "a.dat", "x"), "give the .cfg beside it")
    (tmp_path / "folder.csv").mkdir()
    refused(tmp_path / "folder.csv", "cannot be read (Is a directory)")


def test_npz_faults(tmp_path):
    right = "save it with numpy.savez(file, v=volts, i=amps, fs=hertz)"
    path = npz(tmp_path / "a.npz")
    whole = path.read_bytes()
    for length in (1, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        refused(path, "cut short", right)
    damaged = bytearray(whole)
    damaged[200] ^= 1
    path.write_bytes(damaged)
    refused(path, "is damaged or cut short", right)
    refused(npz(path, v=np.array([object()] * 400)), "holds pickled objects, which could run any code", right)
    path.write_bytes(pickle.dumps({"v": [1.0], "i": [1.0], "fs": 1.0}))
    refused(path, "is no NPZ archive", right)
    np.savez(path, v=VOLTS, fs=1.0)
    refused(path, "has no i, only v, fs", right)
    refused(path, "has no current channel x", "1 v, 2 fs", i_channel="x")
    np.savez(path, v=VOLTS, i=AMPS)
    refused(path, "has no fs, only v, i", right)
    refused(npz(path, v=VOLTS[:-1]), "has 399 samples of voltage and 400 of current")
    refused(npz(path, v=VOLTS.reshape(2, 200)), "its voltage has shape (2, 200)", "one dimension")
    refused(npz(path, i=AMPS.astype("U")), "its current is of type <U", "integers or floats")
    refused(npz(path, i=AMPS + 1j), "its current is of type complex128")
    refused(npz(path, v=VOLTS[:0], i=AMPS[:0]), "its voltage is empty")
    for value in (math.nan, math.inf, -math.inf):
        bad = VOLTS.copy()
        bad[[17, 30]] = value
        refused(npz(path, v=bad), f"its voltage is {value} at sample 17, and not finite at 2 in all", "finite number")
    for rate in (0.0, -1.0, math.nan, math.inf):
        refused(npz(path, fs=rate), f"its sample rate is {rate:g} Hz", "more than 0")
    refused(npz(path, fs=[1.0, 2.0]), "it must be one number, in Hz")
    refused(npz(path, fs="fast"), "its sample rate is fast", "it must be one number, in Hz")


@pytest.mark.parametrize("name", ["a.npz", "a.csv", "event.cfg", "event.dat"])
def test_damage_raises_nothing_else(tmp_path, name):
    npz(tmp_path / "a.npz")
    write(tmp_path / "a.csv", "time,v,i\n" + csv_rows())
    write_comtrade(tmp_path)
    path = tmp_path / name
    whole, generator = path.read_bytes(), rng(f"damaged {name}")
    for _ in range(150):
        damaged = bytearray(whole)
        for _ in range(generator.choice((1, 3))):
            place = generator.choice((generator.randrange(len(whole)), generator.randrange(200)))
            damaged[place] = generator.choice((generator.randrange(256), ord("9"), ord(","), ord("\n")))
        path.write_bytes(damaged)
        # What the damage spares is read.
        with contextlib.suppress(RecordingError):
            Recording.read(tmp_path / "event.cfg" if name == "event.dat" else path)


@pytest.mark.parametrize(
    ("text", "parts"),
    [("\n\n", ["is empty", "time,v,i"]),
     ("# fs = 1\n", ["is empty"]),
     ("time,v,i\n", ["has a header and no samples", "at least one line must follow"]),
     ("1,2,3\n4,5,6\n", ["has numbers in line 1, where its header belongs", "time,v,i"]),
     ("time,v,i\n0,1,2\n\n1,2,x\n", ["line 4 has 'x' for its current", "it must be a number"]),
     ("time,v,i\n0,1,2\n1,,3\n", ["line 3 has '' for its voltage"]),
     ("# fs=1\n\ntime,v,i\n0,1,2\n1,2\n", ["line 5 has 2 cells", "as many as the header must be there, 3"]),
     ("time,v,i\n0,1,2\n1,2,3,4\n", ["line 3 has 4 cells"]),
     ("time,v,i\n0,1,2\n1,nan,3\n", ["its voltage is nan at sample 1"]),
     ("time,v,i\n0,1,2\n1,2,inf\n", ["its current is inf at sample 1"]),
     ("time,i\n0,1\n", ["has no voltage among its columns time, i", "voltage, or choose one with --v-channel"]),
     ("time,v,current (W)\n0,1,2\n1,2,3\n", ["its current channel current is in W", "units are A, mA, kA, amps"]),
     ("time,v (MV),i\n0,1,2\n1,2,3\n", ["its voltage channel v is in MV"]),
     ("v,i\n1,2\n", ["has no sample rate: its columns are v, i", "add a column time or fs, or a first line # fs"]),
     ("fs,v,i\n0,1,2\n", ["its sample rate is 0 Hz", "more than 0"]),
     ("fs,v,i\nx,1,2\n", ["its sample rate is x", "one number, in Hz"]),
     ("# fs = fast\nv,i\n1,2\n", ["its sample rate is fast"]),
     ("time,v,i\n0,1,2\n", ["has one sample and so no step of time"]),
     ("time,v,i\n0,1,2\n0,1,2\n", ["its time steps by 0 s to sample 1", "steps of time must be even"]),
     ("time,v,i\n2,1,2\n1,1,2\n0,1,2\n", ["its time steps by -1 s to sample 1", "more than 0"]),
     ("time,v,i\n0,1,2\n1,1,2\n2,1,2\n4,1,2\n5,1,2\n", ["steps by 2 s to sample 3, and most often by 1 s"]),
     ("time,v,i\n" + "".join(f"{n / 4000 + 100 * (n >= 50)},1,2\n" for n in range(400)),
      ["steps by 100 s to sample 50, and most often by 0.00025 s"]),
     ("time (µs),v,i\n" + "".join(f"{n / 8000},1,2\n" for n in range(400)),
      ["its sample rate is 8e+09 Hz", "400 to 1,000,000 Hz can be metered: is the unit of its time"]),
     ("# fs = 399\nv,i\n1,2\n", ["its sample rate is 399 Hz"]),
     ("# fs = 4000\nv,i\n1,2\n-1e300,2\n",
      ["its voltage has a peak of 1e+300 V", "up to 10,000,000 V can be metered", "--v-scale"]),
     ("# fs = 4000\nv,i_kA\n1,-1e306\n", ["its current has a peak of inf A", "--i-scale"]),
     ("\x89PNG\r\n\x1a\n\x00\x00" * 100, ["has no voltage"])],
)  # fmt: skip
def test_csv_faults(tmp_path, text, parts):
    refused(write(tmp_path / "a.csv", text), *parts)


def test_csv_with_a_cell_too_large(tmp_path):
    refused(write(tmp_path / "a.csv", '"' + "x" * 200_000), "is no CSV (field larger than field limit (131072))")


def test_comtrade_faults(tmp_path):
    path = write_comtrade(tmp_path)
    cfg, dat = path.read_text(), tmp_path / "event.dat"
    text = dat.read_text()
    known = "its channels are 1 IA (A), 2 VA (V), 3 IB (A), 4 VB (V)"
    refused(path, "has no voltage channel VX", known, v_channel="VX")
    refused(path, "voltage channel IA is in A", "units are V", v_channel="IA")
    refused(path, "has no current channel 0", i_channel=0)
    dat.write_text(text.replace("100,24750,", "100,,"))
    assert Recording.read(path).sample_rate_hz == 4000, "the time stamp is not needed"
    dat.write_text(text.replace("100,24750,", "100,24750,x"))
    assert str(dat) in refused(path, "line 100 has 'x", "a number, a time, 4 analog and 2 status values")
    dat.write_text(text.replace("100,24750,", "100,"))
    refused(path, "line 100 has 7 values")
    dat.write_text("".join(text.splitlines(keepends=True)[:123]))
    refused(path, "is cut short: it has 123 samples", "event.cfg announces 400")
    dat.write_text(text + "401,100000,1,2,3,4,0,0\r\n")
    refused(path, "is too long: it has 401 samples", "event.cfg announces 400")
    dat.write_text("")
    refused(path, "is empty", "event.cfg announces 400 samples")
    dat.unlink()
    refused(path, "its data are missing: no event.dat", "it must lie beside the .cfg")
    dat.write_text(text)
    path.write_text(cfg.replace("ASCII", "MORSE"))
    refused(path, "its data are MORSE", "ASCII, BINARY, BINARY32 or FLOAT32")
    path.write_text(cfg.replace("4A", "xA"))
    refused(path, "is no COMTRADE configuration", "IEEE C37.111")
    path.write_text(cfg[:60])
    refused(path, "is no COMTRADE configuration")
    path.write_text(cfg.replace(",V,", ",pu,"))
    refused(path, "has no voltage among its channels: IA (A), VA (pu), IB (A), VB (pu)", "choose one with --v-channel")
    path.write_text(cfg.replace(",A,", ",pu,"))
    refused(path, "has no current among its channels", "choose one with --i-channel")
    refused(write_comtrade(tmp_path, rates=((4000, 200), (2000, 400))), "its sample rate changes: 2000, 4000 Hz")
    refused(write_comtrade(tmp_path, rates=((-4000, 400),)), "its sample rate is -4000 Hz")
    refused(write_comtrade(tmp_path, "BINARY", rows=399), "is cut short: it has 399 samples")
    refused(write_comtrade(tmp_path, "BINARY", rates=((4000, 390),)), "is too long: it has 400 samples")
    missing = write_comtrade(tmp_path, "BINARY")
    data = np.frombuffer(dat.read_bytes(), "<i2").reshape(400, -1).copy()
    data[7, 4 + 1] = -32768
    dat.write_bytes(data.tobytes())
    refused(missing, "its voltage is nan at sample 7")


def test_files_that_do_not_agree(tmp_path):
    first = npz(tmp_path / "a.npz")
    shorter = npz(tmp_path / "b.npz", v=VOLTS[1:], i=AMPS[1:])
    refused((first, shorter), "has 399 samples", f"as many as {first} are needed, 400")
    slower = npz(tmp_path / "b.npz", fs=2000.0)
    refused((first, slower), "its sample rate is 2000 Hz", f"that of {first} is needed, 4000 Hz")


def test_a_scale_that_makes_a_recording_too_large(tmp_path):
    first, second = npz(tmp_path / "a.npz"), npz(tmp_path / "b.npz", v=1000 * VOLTS)
    assert Recording.read(first, second, v_scale=30).elements == 2
    refused((first, second), "its voltage has a peak of 1.3e+07 V", "--v-scale", v_scale=40)
    refused(first, "its current has a peak of inf A", "--i-scale", i_scale=1e308)


def test_the_rates_are_a_meter_s(tmp_path):
    for rate in (400.0, 1e6):
        assert MeterConfig.for_model("MSNCT-1SC", sample_rate_hz=rate).sample_rate_hz == rate
        assert Recording.read(npz(tmp_path / "a.npz", fs=rate)).sample_rate_hz == rate
    for rate in (399.9, 1.1e6):
        with pytest.raises(ConfigError):
            MeterConfig.for_model("MSNCT-1SC", sample_rate_hz=rate)
        refused(npz(tmp_path / "a.npz", fs=rate), "its sample rate is")


def test_bad_settings_are_refused(tmp_path):
    path = npz(tmp_path / "a.npz")
    with pytest.raises(ValueError, match=r"^repeat is 0; allowed: 1 or more$"):
        Recording.read(path, repeat=0)
    with pytest.raises(ValueError, match=r"^v_scale is 0; allowed: a finite number, not 0$"):
        Recording.read(path, v_scale=0)
    with pytest.raises(ValueError, match=r"^i_scale is nan; allowed"):
        Recording.read(path, i_scale=math.nan)
    with pytest.raises(ValueError, match=r"^files are 2; allowed: 1, or 3, as many as the elements$"):
        Recording.read(path, path, v_channel=("v", "v", "v"))

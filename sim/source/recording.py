"""Recordings: voltage and current that somebody measured, from NPZ, CSV and COMTRADE files."""

from __future__ import annotations

import csv
import math
import re
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import comtrade
import numpy as np

__all__ = ["Recording", "RecordingError"]

#: What the units multiply, by kind of channel.
_UNITS = {
    "voltage": {"V": 1.0, "mV": 1e-3, "kV": 1e3, "volts": 1.0},
    "current": {"A": 1.0, "mA": 1e-3, "kA": 1e3, "amps": 1.0},
    "time": {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "µs": 1e-6},
    "sample rate": {"Hz": 1.0, "kHz": 1e3},
}
#: Names of a CSV file's columns, without their unit.
_COLUMNS = {
    "voltage": ("v", "u", "volt", "volts", "voltage"),
    "current": ("i", "amp", "amps", "current"),
    "time": ("t", "time", "seconds"),
    "sample rate": ("fs", "sample_rate"),
}
#: Sample rates that a meter takes, in Hz, and the largest voltage and current, in V and A.
_RATE_RANGE_HZ = (400.0, 1e6)
_PEAK_MAX = 1e7
_NPZ_RIGHT = "save it with numpy.savez(file, v=volts, i=amps, fs=hertz)"
_CSV_RIGHT = "the first line names the columns, such as time,v,i"
#: The command's options for a kind of channel, before ``-channel`` and ``-scale``.
_OPTIONS = {"voltage": "--v", "current": "--i"}
_WITH_UNIT = re.compile(r"(.*?)\s*[\[(]\s*([^\[\]()]*?)\s*[\])]")


class RecordingError(ValueError):
    """A recording that cannot be replayed.

    The message is one line: the file, what is wrong with it, and what would be right.
    """

    def __init__(self, path: Path, wrong: str, right: str):
        super().__init__(" ".join(f"{path}: {wrong}; {right}".split()))


@dataclass(frozen=True)
class _Column:
    """A channel that a file offers."""

    name: str
    unit: str = ""

    def is_called(self, name: str) -> bool:
        return name.lower() in (self.name.lower(), f"{self.name} ({self.unit})".lower())

    def __str__(self) -> str:
        return f"{self.name} ({self.unit})" if self.unit else self.name


def _choose(path: Path, kind: str, columns: list[_Column], wanted: str | int) -> int:
    """Return the index of a channel, by its name or by its number, from 1 on."""
    for index, column in enumerate(columns):
        if column.is_called(str(wanted)):
            return index
    if str(wanted).isdecimal() and 1 <= int(wanted) <= len(columns):
        return int(wanted) - 1
    known = ", ".join(f"{number} {column}" for number, column in enumerate(columns, 1))
    raise RecordingError(path, f"has no {kind} channel {wanted}", f"its channels are {known or 'none'}")


def _unit(kind: str, text: str) -> float | None:
    """Return what a unit multiplies; ``None``: it is none of this kind. Case counts for M alone."""
    if text.startswith("M"):
        return None
    return {name.casefold(): scale for name, scale in _UNITS[kind].items()}.get(text.casefold())


def _scale(path: Path, kind: str, column: _Column) -> float:
    """Return what a channel's values are multiplied with to be in V, A, s or Hz."""
    scale = _unit(kind, column.unit) if column.unit else 1.0
    if scale is None:
        known = ", ".join(_UNITS[kind])
        raise RecordingError(path, f"its {kind} channel {column.name} is in {column.unit}", f"units are {known}")
    return scale


def _numbers(path: Path, kind: str, values: np.ndarray) -> np.ndarray:
    """Return a channel's samples as float64, or tell what is wrong with them."""
    if values.dtype.kind not in "iuf":
        raise RecordingError(path, f"its {kind} is of type {values.dtype}", "it must be of integers or floats")
    if values.ndim != 1:
        raise RecordingError(path, f"its {kind} has shape {values.shape}", "it must have one dimension")
    if values.size == 0:
        raise RecordingError(path, f"its {kind} is empty", "it must have at least one sample")
    values = values.astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        raise RecordingError(
            path, f"its {kind} is {values[bad[0]]} at sample {bad[0]}, and not finite at {bad.size} in all",
            "every sample must be a finite number",
        )  # fmt: skip
    return values


def _rate(path: Path, value: object) -> float:
    """Return a sample rate, or tell what is wrong with it."""
    value = np.asarray(value)
    if value.dtype.kind not in "iuf" or value.size != 1:
        raise RecordingError(path, f"its sample rate is {value}", "it must be one number, in Hz")
    rate = float(value.reshape(()))
    if not 0 < rate < math.inf:
        raise RecordingError(path, f"its sample rate is {rate:g} Hz", "it must be more than 0")
    return rate


def _rate_from_times(path: Path, seconds: np.ndarray) -> float:
    """Return the rate of even steps of time."""
    if len(seconds) < 2:
        raise RecordingError(path, "has one sample and so no step of time", "give its sample rate, or more samples")
    steps = np.diff(seconds)
    # The median is the right step's, however large the wrong ones are.
    usual = float(np.median(steps))
    uneven = np.flatnonzero(~(abs(steps - usual) < 0.5 * abs(usual)))
    if usual <= 0 or uneven.size:
        at = uneven[0] if uneven.size else 0
        raise RecordingError(
            path, f"its time steps by {steps[at]:g} s to sample {at + 1}, and most often by {usual:g} s",
            "steps of time must be even and more than 0, or the sample rate be given in their place",
        )  # fmt: skip
    mean = (seconds[-1] - seconds[0]) / len(steps)
    # Nine digits: more than a time stamp has, fewer than the division's rounding shows.
    return float(f"{1 / mean:.9g}")


def _read_npz(path: Path, v_channel: str | int | None, i_channel: str | int | None):
    if not zipfile.is_zipfile(path):
        raise RecordingError(path, "is no NPZ archive, or cut short", _NPZ_RIGHT)
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            names = list(archive.files)
            arrays = {}
            for kind, key, wanted in (
                ("voltage", "v", v_channel), ("current", "i", i_channel), ("sample rate", "fs", None),
            ):  # fmt: skip
                if wanted is not None:
                    key = names[_choose(path, kind, [_Column(name) for name in names], wanted)]
                elif key not in names:
                    right = _NPZ_RIGHT + (f", or choose one with {_OPTIONS[kind]}-channel" if kind in _OPTIONS else "")
                    raise RecordingError(path, f"has no {key}, only {', '.join(names) or 'nothing'}", right)
                arrays[kind] = np.asarray(archive[key])
    except RecordingError:
        raise
    except (ValueError, OSError, EOFError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        if "allow_pickle" in str(error):
            raise RecordingError(path, "holds pickled objects, which could run any code", _NPZ_RIGHT) from None
        raise RecordingError(path, f"is damaged or cut short ({error})", _NPZ_RIGHT) from None
    return (
        _numbers(path, "voltage", arrays["voltage"]),
        _numbers(path, "current", arrays["current"]),
        _rate(path, arrays["sample rate"]),
    )


def _text(path: Path) -> str:
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _csv_column(cell: str) -> _Column:
    """Return a header's cell as name and unit: ``Voltage (kV)``, ``voltage [kV]`` and ``voltage_kV`` are the same."""
    cell = cell.strip()
    if match := _WITH_UNIT.fullmatch(cell):
        return _Column(match[1], match[2])
    for kind, names in _COLUMNS.items():
        for name in names:
            unit = cell[len(name) + 1 :]
            if cell.lower().startswith(f"{name}_") and _unit(kind, unit):
                return _Column(cell[: len(name)], unit)
    return _Column(cell)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _read_csv(path: Path, v_channel: str | int | None, i_channel: str | int | None):
    lines = _text(path).splitlines()
    rate = None
    first = 0
    while first < len(lines) and (not lines[first].strip() or lines[first].lstrip().startswith("#")):
        if match := re.fullmatch(r"\s*#\s*fs\s*[=:]\s*(\S+)\s*(?:Hz)?\s*", lines[first]):
            rate = _rate(path, float(match[1]) if _is_number(match[1]) else match[1])
        first += 1
    if first == len(lines):
        raise RecordingError(path, "is empty", _CSV_RIGHT)
    delimiter = max(",;\t", key=lines[first].count)
    header, *rows = csv.reader(lines[first:], delimiter=delimiter)
    columns = [_csv_column(cell) for cell in header]
    if any(_is_number(cell.replace(",", ".")) for cell in header):
        raise RecordingError(path, f"has numbers in line {first + 1}, where its header belongs", _CSV_RIGHT)

    def find(kind: str, wanted: str | int | None = None) -> int | None:
        if wanted is not None:
            return _choose(path, kind, columns, wanted)
        return next((n for n, column in enumerate(columns) if column.name.lower() in _COLUMNS[kind]), None)

    places = {"voltage": find("voltage", v_channel), "current": find("current", i_channel)}
    for kind, place in places.items():
        if place is None:
            raise RecordingError(
                path, f"has no {kind} among its columns {', '.join(map(str, columns))}",
                f"name one {' or '.join(_COLUMNS[kind])}, or choose one with {_OPTIONS[kind]}-channel",
            )  # fmt: skip
    time, given = find("time"), find("sample rate")
    if rate is None and given is None:
        if time is None:
            raise RecordingError(
                path, f"has no sample rate: its columns are {', '.join(map(str, columns))}",
                "add a column time or fs, or a first line # fs = 8000",
            )  # fmt: skip
        places["time"] = time
    cells: dict[str, list[str]] = {kind: [] for kind in places}
    numbers = []
    for number, row in enumerate(rows, first + 2):
        if not any(cell.strip() for cell in row):
            continue
        if len(row) < len(columns) or any(cell.strip() for cell in row[len(columns) :]):
            raise RecordingError(
                path, f"line {number} has {len(row)} cells", f"as many as the header must be there, {len(columns)}"
            )
        numbers.append(number)
        for kind, place in places.items():
            cells[kind].append(row[place])
        if rate is None and given is not None:
            cell = row[given].strip()
            rate = _rate(path, float(cell) if _is_number(cell) else cell) * _scale(
                path, "sample rate", columns[given]
            )
    if not numbers:
        raise RecordingError(path, "has a header and no samples", "at least one line must follow")
    values = {}
    for kind, texts in cells.items():
        if delimiter == ";":
            texts = [text.replace(",", ".") for text in texts]
        try:
            values[kind] = np.array([float(text) for text in texts])
        except ValueError:
            n = next(n for n, text in enumerate(texts) if not _is_number(text))
            raise RecordingError(
                path, f"line {numbers[n]} has {cells[kind][n]!r} for its {kind}", "it must be a number"
            ) from None
        values[kind] = _numbers(path, kind, values[kind]) * _scale(path, kind, columns[places[kind]])
    if rate is None:
        rate = _rate_from_times(path, values["time"])
    return values["voltage"], values["current"], rate


def _read_cfg(path: Path) -> tuple[comtrade.Cfg, str]:
    """Read a COMTRADE configuration; station names are often in Latin-1."""
    for encoding in ("utf-8", "latin-1"):
        cfg = comtrade.Cfg(ignore_warnings=True)
        try:
            cfg.load(str(path), encoding=encoding)
        except UnicodeDecodeError:
            continue
        except Exception as error:  # The package lets pass through whatever its parsing meets.
            wrong = f"is no COMTRADE configuration ({error})"
            raise RecordingError(path, wrong, "it must follow IEEE C37.111") from None
        return cfg, encoding
    raise AssertionError("Latin-1 decodes every byte")


def _check_ascii_row(cfg: comtrade.Cfg, dat: Path, number: int, cells: list[str]) -> None:
    """Tell what is wrong with a line of an ASCII data file; the package would take one channel for another."""
    right = f"it must have a number, a time, {cfg.analog_count} analog and {cfg.status_count} status values"
    if len(cells) != 2 + cfg.analog_count + cfg.status_count:
        raise RecordingError(dat, f"line {number} has {len(cells)} values", right)
    for cell in cells[:1] + cells[2:]:
        # In the 1991 edition a blank marks a missing sample.
        if not _is_number(cell) and (cell.strip() or cfg.rev_year != comtrade.REV_1991):
            raise RecordingError(dat, f"line {number} has {cell.strip()!r} for a value", right)


def _comtrade_rows(cfg: comtrade.Cfg, dat: Path) -> int:
    """Return how many samples a COMTRADE data file holds; the package would not see that some are missing."""
    kind = cfg.ft.upper()
    if kind == "ASCII":
        lines = [line for line in _text(dat).splitlines() if line.strip("\x1a \t")]
        for number, line in enumerate(lines, 1):
            _check_ascii_row(cfg, dat, number, line.split(","))
        return len(lines)
    width = 2 if kind == "BINARY" else 4
    row = 8 + width * cfg.analog_count + 2 * math.ceil(cfg.status_count / 16)
    return dat.stat().st_size // row


def _read_comtrade(path: Path, v_channel: str | int | None, i_channel: str | int | None):
    cfg, encoding = _read_cfg(path)
    dat = next((p for p in sorted(path.parent.iterdir()) if p.stem == path.stem and p.suffix.lower() == ".dat"), None)
    if dat is None:
        raise RecordingError(path, f"its data are missing: no {path.stem}.dat", "it must lie beside the .cfg")
    if cfg.ft.upper() not in ("ASCII", "BINARY", "BINARY32", "FLOAT32"):
        raise RecordingError(path, f"its data are {cfg.ft}", "they must be ASCII, BINARY, BINARY32 or FLOAT32")
    rates = sorted({rate for rate, _ in cfg.sample_rates})
    if len(rates) > 1:
        known = ", ".join(f"{rate:g}" for rate in rates)
        raise RecordingError(path, f"its sample rate changes: {known} Hz", "it must be the same all through")
    announced, found = cfg.sample_rates[-1][1], _comtrade_rows(cfg, dat)
    if found == 0 or announced < 1:
        raise RecordingError(dat, "is empty", f"{path.name} announces {announced} samples")
    if found < announced:
        raise RecordingError(dat, f"is cut short: it has {found} samples", f"{path.name} announces {announced}")
    if found > announced:
        raise RecordingError(dat, f"is too long: it has {found} samples", f"{path.name} announces {announced}")
    columns = [_Column(channel.name, channel.uu) for channel in cfg.analog_channels]
    places = {}
    for kind, wanted in (("voltage", v_channel), ("current", i_channel)):
        if wanted is None:
            place = next((n for n, column in enumerate(columns) if _unit(kind, column.unit)), None)
            if place is None:
                known = ", ".join(map(str, columns)) or "none"
                raise RecordingError(
                    path, f"has no {kind} among its channels: {known}", f"choose one with {_OPTIONS[kind]}-channel"
                )
        else:
            place = _choose(path, kind, columns, wanted)
        places[kind] = place
    reader = comtrade.Comtrade(ignore_warnings=True, use_numpy_arrays=True, use_double_precision=True)
    try:
        reader.load(str(path), str(dat), encoding=encoding)
    except Exception as error:  # As above.
        raise RecordingError(dat, f"cannot be read ({error})", f"it must be what {path.name} describes") from None
    values = {}
    for kind, place in places.items():
        samples = np.asarray(reader.analog[place])
        if cfg.rev_year == comtrade.REV_1991 and cfg.ft.upper() == "BINARY":
            # The 1991 edition's mark for a missing sample, -1, is what every converter gives near zero.
            channel = cfg.analog_channels[place]
            samples = np.where(np.isnan(samples), channel.b - channel.a, samples)
        values[kind] = _numbers(path, kind, samples) * _scale(path, kind, columns[place])
    if rates[0] == 0:
        rate = _rate_from_times(dat, _numbers(dat, "time", np.asarray(reader.time)))
    else:
        rate = _rate(path, rates[0])
    return values["voltage"], values["current"], rate


_READERS = {".npz": _read_npz, ".csv": _read_csv, ".txt": _read_csv, ".tsv": _read_csv, ".cfg": _read_comtrade}


def _read(path: Path, v_channel: str | int | None, i_channel: str | int | None):
    try:
        size = path.stat().st_size
        reader = _READERS.get(path.suffix.lower())
        if reader is None:
            right = "give the .cfg beside it" if path.suffix.lower() == ".dat" else f"known are {', '.join(_READERS)}"
            raise RecordingError(path, f"is of unknown kind {path.suffix or '(no suffix)'}", right)
        if size == 0:
            raise RecordingError(path, "is empty", "it must hold voltage, current and sample rate")
        # What a unit makes too large is found with the peaks.
        with np.errstate(over="ignore"):
            volts, amps, rate = reader(path, v_channel, i_channel)
    except OSError as error:
        raise RecordingError(path, f"cannot be read ({error.strerror})", "give a file that exists") from None
    except csv.Error as error:
        raise RecordingError(path, f"is no CSV ({error})", _CSV_RIGHT) from None
    if len(volts) != len(amps):
        raise RecordingError(path, f"has {len(volts)} samples of voltage and {len(amps)} of current", "they must agree")
    low, high = _RATE_RANGE_HZ
    if not low <= rate <= high:
        raise RecordingError(
            path, f"its sample rate is {rate:g} Hz",
            f"{low:g} to {high:,.0f} Hz can be metered: is the unit of its time or sample rate right?",
        )  # fmt: skip
    return volts, amps, rate


def _scaled(files: list[Path], kind: str, samples: list[np.ndarray], scale: float, unit: str) -> np.ndarray:
    """Return the elements' samples times a scale, (frames, elements)."""
    with np.errstate(over="ignore"):
        scaled = np.stack(samples, axis=1) * scale
    for path, peak in zip(files, np.abs(scaled).max(axis=0), strict=True):
        if not peak <= _PEAK_MAX:
            raise RecordingError(
                path, f"its {kind} has a peak of {peak:g} {unit}",
                f"up to {_PEAK_MAX:,.0f} {unit} can be metered: is its unit right, and {_OPTIONS[kind]}-scale?",
            )  # fmt: skip
    return scaled


class Recording:
    """Replay samples, at the rate they were taken.

    A :class:`~blondel.sim.source.source.Source`. Past its end it begins again, whatever ``repeat``
    says, so that a meter can settle on it.

    Parameters
    ----------
    volts, amps : ndarray, (frames, elements)
        Samples, in V and A.
    sample_rate_hz : float
        Frames per second.
    repeat : int or None
        How often it is played, 1 or more; ``None``: without end. Default 1.

    Raises
    ------
    ValueError
        ``repeat`` is less than 1.
    """

    def __init__(self, volts: np.ndarray, amps: np.ndarray, sample_rate_hz: float, *, repeat: int | None = 1):
        if repeat is not None and not repeat >= 1:
            raise ValueError(f"repeat is {repeat}; allowed: 1 or more")
        self.volts = np.ascontiguousarray(volts, dtype=np.float64)
        self.amps = np.ascontiguousarray(amps, dtype=np.float64)
        self.period_frames, self.elements = self.volts.shape
        self.sample_rate_hz = float(sample_rate_hz)
        self.duration_s = None if repeat is None else repeat * self.period_frames / self.sample_rate_hz

    @classmethod
    def read(
        cls,
        *paths: str | Path,
        repeat: int | None = 1,
        v_scale: float = 1.0,
        i_scale: float = 1.0,
        v_channel: str | int | Sequence[str | int] | None = None,
        i_channel: str | int | Sequence[str | int] | None = None,
    ) -> Recording:
        """Read one file for each element.

        Parameters
        ----------
        *paths : str or Path
            NPZ, CSV (also .txt, .tsv) or COMTRADE (.cfg, its .dat beside it), by their suffixes; with
            one file and several channels, every element is from it.
        repeat : int or None
            How often it is played; ``None``: without end. Default 1.
        v_scale, i_scale : float
            Factors, for example of the transformers that it was recorded behind. Default 1.
        v_channel, i_channel : str, int, sequence of them, or None
            Names of the voltage's and the current's channel, or their numbers, from 1 on; in a
            sequence, of each element. Default: ``v`` and ``i`` of an NPZ, the first column that is called
            so in a CSV, the first channel of COMTRADE with such a unit.

        Raises
        ------
        RecordingError
            A file is missing, or cannot be replayed.
        ValueError
            A scale is no factor, or the channels are not as many as the files.
        """
        for name, scale in (("v_scale", v_scale), ("i_scale", i_scale)):
            if not math.isfinite(scale) or scale == 0:
                raise ValueError(f"{name} is {scale}; allowed: a finite number, not 0")
        files = [Path(path) for path in paths]
        chosen = []
        for channel in (v_channel, i_channel):
            chosen.append([channel] if channel is None or isinstance(channel, str | int) else list(channel))
        elements = max(len(files), *(len(channels) for channels in chosen))
        for name, given in (("files", files), ("voltage channels", chosen[0]), ("current channels", chosen[1])):
            if len(given) not in (1, elements):
                raise ValueError(f"{name} are {len(given)}; allowed: 1, or {elements}, as many as the elements")
        files, v_channels, i_channels = (list(each) * (elements // len(each)) for each in (files, *chosen))
        read = [_read(*each) for each in zip(files, v_channels, i_channels, strict=True)]
        for path, (volts, _, rate) in zip(files, read, strict=True):
            if len(volts) != len(read[0][0]):
                raise RecordingError(
                    path, f"has {len(volts)} samples", f"as many as {files[0]} are needed, {len(read[0][0])}"
                )
            if rate != read[0][2]:
                raise RecordingError(
                    path, f"its sample rate is {rate:.9g} Hz", f"that of {files[0]} is needed, {read[0][2]:.9g} Hz"
                )
        volts = _scaled(files, "voltage", [v for v, _, _ in read], v_scale, "V")
        amps = _scaled(files, "current", [i for _, i, _ in read], i_scale, "A")
        return cls(volts, amps, read[0][2], repeat=repeat)

    def samples(self, start: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return some frames: see :meth:`blondel.sim.source.source.Source.samples`."""
        index = np.arange(start, start + count) % self.period_frames
        return self.volts[index], self.amps[index]

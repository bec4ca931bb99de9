"""Calibration files: what the factory found for one meter, as a person reads and writes it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from blondel.hdl.config import LINES, ChannelCalibration, ConfigError, MeterConfig
from blondel.hdl.model_number import ModelNumber
from blondel.host.files import write_whole
from blondel.host.words import count

__all__ = ["Calibration", "CalibrationError"]

#: A channel's keys, each with the field of ChannelCalibration and the power of ten between their units.
CHANNEL_KEYS = {"gain": ("gain", 0), "delay_us": ("delay_s", 6), "offset_lsb": ("offset", 0)}
#: An element's channels, in the order of a frame.
CHANNELS = ("voltage", "current")


class CalibrationError(ValueError):
    """A calibration cannot be read, or is not this meter's; the message is one line."""


@dataclass(frozen=True)
class Calibration:
    """A meter's calibration.

    Its file is TOML. ``model`` and ``line_hz`` say which meter it belongs to; each ``[[element]]`` has a ``voltage``
    and a ``current`` with ``gain`` (a factor), ``delay_us`` (µs, to add to the channel) and ``offset_lsb`` (the
    converter's code at zero input). What is left out is neutral.

    Parameters
    ----------
    model : str
        Model number.
    line_hz : int
        Line.
    channels : tuple of ChannelCalibration
        Voltage and current of element 0, of element 1.
    clock_error_ppm : float
        By how much the clock that makes the sample rate is fast. Default 0.
    """

    model: str
    line_hz: int
    channels: tuple[ChannelCalibration, ...]
    clock_error_ppm: float = 0.0

    @classmethod
    def read(cls, path: Path) -> Calibration:
        """Read a file.

        Raises
        ------
        CalibrationError
            There is none, it is not TOML, or something in it is unknown, missing or of the wrong kind.
        """
        try:
            # Decimals, so that a file is read as the numbers that it was written from.
            content = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
        except OSError as error:
            raise CalibrationError(f"cannot be read: {error.strerror or error}") from None
        except (ValueError, ArithmeticError, RecursionError) as error:
            raise CalibrationError(f"is not TOML: {error}") from None
        _check_keys("the file", content, ("model", "line_hz", "clock_error_ppm", "element"))
        for key in ("model", "line_hz", "element"):
            if key not in content:
                raise CalibrationError(f"{key} is missing")
        try:
            model = str(ModelNumber.parse(str(content["model"])))
        except ValueError as error:
            raise CalibrationError(str(error)) from None
        if content["line_hz"] not in tuple(LINES):
            raise CalibrationError(f"line_hz is {content['line_hz']}; allowed: {' or '.join(map(str, LINES))}")
        elements = content["element"]
        if not isinstance(elements, list):
            raise CalibrationError("element is not a list; allowed: [[element]], once for each")
        channels = []
        for number, element in enumerate(elements, start=1):
            where = f"element {number}"
            _check_keys(where, element, CHANNELS)
            for name in CHANNELS:
                whose = f"{where}'s {name}"
                given = element.get(name, {})
                _check_keys(whose, given, CHANNEL_KEYS)
                values = {
                    CHANNEL_KEYS[key][0]: _number(f"{whose}: {key}", value, CHANNEL_KEYS[key][1])
                    for key, value in given.items()
                }
                channels.append(ChannelCalibration(**values))
        clock = _number("clock_error_ppm", content.get("clock_error_ppm", 0), 0)
        return cls(model, content["line_hz"], tuple(channels), clock)

    @classmethod
    def of(cls, config: MeterConfig) -> Calibration:
        """Return the calibration of a configuration made from a model number."""
        channels = tuple(config.channel_calibration(channel) for channel in range(config.channels))
        return cls(str(config.model), config.line.hertz, channels, config.clock_error_ppm)

    def apply(self, config: MeterConfig) -> MeterConfig:
        """Return a model's configuration with this calibration.

        Raises
        ------
        CalibrationError
            It belongs to another model or line, has another number of elements, or is out of range.
        """
        if (self.model, self.line_hz) != (config.model, config.line.hertz):
            raise CalibrationError(
                f"is of {self.model} at {self.line_hz} Hz; the meter is {config.model} at {config.line.hertz} Hz"
            )
        if len(self.channels) != config.channels:
            raise CalibrationError(
                f"has {count(len(self.channels) // 2, 'element')}; {config.model} has {config.elements}"
            )
        try:
            return config.with_changes(calibration=self.channels, clock_error_ppm=self.clock_error_ppm)
        except ConfigError as error:
            raise CalibrationError(self._refusal(error)) from None

    def _refusal(self, error: ConfigError) -> str:
        """Say what is out of range by the file's own key and unit."""
        match = re.fullmatch(r"calibration\[(\d+)\]\.(\w+)", error.name)
        if match is None:
            return str(error)
        channel, name = int(match[1]), match[2]
        key, shift = next((key, shift) for key, (field, shift) in CHANNEL_KEYS.items() if field == name)
        value = _written(getattr(self.channels[channel], name), shift)
        whose = f"element {channel // 2 + 1}'s {CHANNELS[channel % 2]}"
        return f"{whose}: {key} is {value}; allowed: {error.allowed}"

    def write(self, path: Path) -> None:
        """Write a file that :meth:`read` reads back as it is.

        Raises
        ------
        OutputError
            It cannot be written.
        """
        write_whole(path, lambda file: file.write(self.to_toml().encode()))

    def to_toml(self) -> str:
        """Return the file's text."""
        lines = [
            f'model = "{self.model}"',
            f"line_hz = {self.line_hz}",
            f"clock_error_ppm = {_written(self.clock_error_ppm, 0)}",
        ]
        for channel, calibration in enumerate(self.channels):
            if channel % 2 == 0:
                lines += ["", "[[element]]"]
            values = [
                f"{key} = {_written(getattr(calibration, field), shift)}"
                for key, (field, shift) in CHANNEL_KEYS.items()
                if getattr(calibration, field) is not None
            ]
            lines.append(f"{CHANNELS[channel % 2]} = {{ {', '.join(values)} }}")
        return "\n".join(lines) + "\n"


def _check_keys(where: str, table: object, keys: Iterable[str]) -> None:
    if not isinstance(table, dict):
        raise CalibrationError(f"{where} is no table; allowed: {', '.join(keys)}")
    for key in table:
        if key not in keys:
            raise CalibrationError(f"there is no key {key!r} in {where}; there are: {', '.join(keys)}")


def _number(name: str, value: object, shift: int) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise CalibrationError(f"{name} is {value!r}; allowed: a number")
    try:
        return float(Decimal(value).scaleb(-shift))
    except ArithmeticError:
        raise CalibrationError(f"{name} has too many digits; allowed: a number") from None


def _written(value: float, shift: int) -> str:
    """Return a number in the file's unit, in the digits that stand for just this one."""
    return f"{Decimal(repr(float(value))).scaleb(shift).normalize():f}"

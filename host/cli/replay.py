"""``blondel replay``: meter recorded waveforms."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable
from pathlib import Path

from blondel.hdl.config import LINE_FREQUENCY_RANGE_HZ, ConfigError, MeterConfig
from blondel.hdl.model_number import ModelNumber
from blondel.host.cli.arguments import (
    Commands,
    add_bits,
    add_calibration,
    add_command,
    argument,
    names,
    number,
    read_calibration,
    whole,
    with_calibration,
)
from blondel.host.cli.messages import InputError, say
from blondel.host.cli.metering import add_measurement, measure, outside, warn_of_clipping, warn_of_overload
from blondel.host.words import count, quantity

__all__ = ["add"]

#: A voltage further outside the model's line, as a part of its ends, is not meant for that model.
FAR_OUTSIDE = 0.2


def add(commands: Commands) -> None:
    """Add the command."""
    command = add_command(
        commands, "replay", _replay, "meter recorded waveforms",
        epilog="A negative --i-scale turns the CT round.",
    )  # fmt: skip
    command.add_argument(
        "files", metavar="FILE", type=Path, nargs="+", help="NPZ, CSV or COMTRADE (.cfg); one for each element"
    )
    command.add_argument(
        "--model", metavar="MODEL", type=argument(ModelNumber.parse),
        help="default: a model that covers the recording, else a meter made to measure",
    )  # fmt: skip
    command.add_argument("--repeat", metavar="N", type=whole(1, 10**9), default=1, help="times to play it; default 1")
    command.add_argument("--v-scale", metavar="X", type=argument(_factor), default=1.0, help="volts per recorded volt")
    command.add_argument("--i-scale", metavar="X", type=argument(_factor), default=1.0, help="amps per recorded amp")
    for kind in ("v", "i"):
        command.add_argument(
            f"--{kind}-channel", metavar="NAME[,NAME]", type=names,
            help="channel by name or number (from 1), of all elements or of each",
        )  # fmt: skip
    add_bits(command)
    add_calibration(command)
    add_measurement(command)


def _factor(text: str) -> float:
    value = number(text)
    if value == 0:
        raise ValueError(f"{text} is out of range; allowed: any number but 0")
    return value


def _replay(args: argparse.Namespace) -> int:
    import numpy as np

    from blondel.host.report import energy
    from blondel.host.sizing import config_for, extent
    from blondel.sim.source.recording import Recording

    try:
        recording = Recording.read(
            *args.files, v_scale=args.v_scale, i_scale=args.i_scale, v_channel=args.v_channel, i_channel=args.i_channel
        )
    except ValueError as error:
        raise InputError(str(error)) from None
    size = extent(recording)
    with read_calibration(args) as calibration:
        if calibration and args.model is None:
            args.model = ModelNumber.parse(calibration.model)
    if args.model is None:
        try:
            config = config_for(recording, args.bits)
        except ConfigError as error:
            raise InputError(f"no meter can be made for this recording, as --v-scale and --i-scale make it: {error}"
                             ) from None  # fmt: skip
        if config.model is None:
            say(
                "note",
                f"no model covers this recording; a meter made to measure: {count(config.elements, 'element')}, "
                f"{quantity(config.v_full_scale, 'V')}, {quantity(config.i_full_scale, 'A')} peak, "
                f"{energy(config.pulse_wh)} per pulse",
            )
    else:
        config = MeterConfig.for_model(
            args.model, size.line_hz, sample_rate_hz=recording.sample_rate_hz, sample_bits=args.bits
        )
        if config.elements != recording.elements:
            raise InputError(
                f"model {config.model} has {count(config.elements, 'element')}; the recording has {recording.elements}"
            )
        config = with_calibration(args, config)
        _check_voltages(config, size.v_rms, args.v_scale)
        warn_of_overload(config, size.i_rms)
        for kind, peak, full_scale, scale, unit in (
            ("v", size.v_peak, config.v_full_scale, args.v_scale, "V"),
            ("i", size.i_peak, config.i_full_scale, args.i_scale, "A"),
        ):
            if peak > full_scale:
                fits = f"--{kind}-scale={_rounded_down(scale * full_scale / peak):.2g}"
                warn_of_clipping("the recording's", peak, full_scale, unit, fits)
    low, high = LINE_FREQUENCY_RANGE_HZ
    if size.fundamental_hz is not None and not low - 0.5 <= size.fundamental_hz <= high + 0.5:
        say(
            "warning",
            f"the recording's fundamental is at {size.fundamental_hz:.4g} Hz; the meter is made for {low:g} to "
            f"{high:g} Hz: are its sample rate and its voltage channel right?",
        )
    settle = config.frames_in(config.settle_s if args.settle is None else args.settle)
    # The settling ends where the recording begins.
    source = Recording(
        np.roll(recording.volts, settle, axis=0), np.roll(recording.amps, settle, axis=0), recording.sample_rate_hz
    )
    return measure(args, config, source, settle, args.repeat * recording.period_frames)


def _rounded_down(value: float) -> float:
    """Return a number with two digits and no larger magnitude."""
    step = 10.0 ** (math.floor(math.log10(abs(value))) - 1)
    return math.copysign(math.floor(abs(value) / step) * step, value)


def _check_voltages(config: MeterConfig, v_rms: Iterable[float], v_scale: float) -> None:
    """Refuse a recording that cannot be meant for the model's line; warn of one that is just outside."""
    line = config.line
    wrong = []
    for element, volts in enumerate(v_rms, start=1):
        if line.v_min <= volts <= line.v_max:
            continue
        wrong.append(f"element {element}: {outside(config, volts)}")
        if not (1 - FAR_OUTSIDE) * line.v_min <= volts <= (1 + FAR_OUTSIDE) * line.v_max:
            fits = f"; --v-scale={v_scale * line.v_nominal / volts:.3g} would make it nominal" if volts > 0 else ""
            raise InputError(wrong[-1] + fits)
    for each in wrong:
        say("warning", each)

"""``blondel run``: meter a simulated load."""

from __future__ import annotations

import argparse
import contextlib
import math
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from blondel.hdl.config import LINE_FREQUENCY_RANGE_HZ, MeterConfig
from blondel.host.cli.arguments import (
    Commands,
    add_calibration,
    add_command,
    add_meters,
    add_model,
    add_samples,
    argument,
    bounded,
    number,
    numbers,
    whole,
    with_calibration,
)
from blondel.host.cli.messages import FAILED, OK, InputError, say
from blondel.host.cli.metering import (
    SECONDS_MAX,
    add_measurement,
    measure,
    outside,
    show,
    warn_of_clipping,
    warn_of_overload,
)
from blondel.host.cli.progress import status
from blondel.host.files import check_writable, write_whole
from blondel.host.words import DAY_S

if TYPE_CHECKING:
    from blondel.sim.source.service import Service

__all__ = ["add"]

#: How often a long run is saved, in s.
SAVE_S = 60.0


def add(commands: Commands) -> None:
    """Add the command."""
    command = add_command(
        commands, "run", _run, "meter a simulated load",
        epilog="A negative current is a CT turned round.",
    )  # fmt: skip
    add_model(command)
    add_meters(command)
    command.add_argument("--volts", metavar="V", type=argument(number), help="line to neutral, rms; default nominal")
    low, high = LINE_FREQUENCY_RANGE_HZ
    command.add_argument("--hertz", metavar="F", type=bounded(low, high, " Hz"), help="default nominal")
    command.add_argument(
        "--amps", metavar="A[,A]", type=argument(numbers), help="rms, of all elements or of each; default 10"
    )
    command.add_argument(
        "--pf", metavar="PF[,PF]", type=argument(_power_factors), help="power factor: 1 (default), 0.5lag, 0.866lead"
    )
    command.add_argument("--household", action="store_true", help="a household's appliances in place of --amps, --pf")
    length = command.add_mutually_exclusive_group()
    length.add_argument(
        "--seconds", metavar="S", type=bounded(0, SECONDS_MAX, " s", above=True), default=60.0,
        help="after settling; default 60",
    )  # fmt: skip
    length.add_argument(
        "--days", metavar="D", type=bounded(0, SECONDS_MAX // DAY_S, above=True),
        help="in place of --seconds: the golden model for days or years, the RTL in some windows of them",
    )  # fmt: skip
    command.add_argument(
        "--checks", metavar="N", type=whole(0, 10_000),
        help="windows of --days in which the RTL is compared; default 12",
    )  # fmt: skip
    command.add_argument(
        "--resume", metavar="FILE", type=Path,
        help="with --days: where to save the run when it is interrupted, and each minute, and to go on from",
    )  # fmt: skip
    add_samples(command)
    add_calibration(command)
    add_measurement(command)


def _power_factors(text: str) -> list[str]:
    from blondel.sim.source.loads import power_factor

    for part in text.split(","):
        power_factor(part)
    return text.split(",")


def _run(args: argparse.Namespace) -> int:
    config = MeterConfig.for_model(
        args.model, args.line, meters=args.meters, sample_rate_hz=args.sample_rate, sample_bits=args.bits
    )
    config = with_calibration(args, config)
    line = config.line
    volts = line.v_nominal if args.volts is None else args.volts
    if not line.v_min <= volts <= line.v_max:
        raise InputError(f"--volts {outside(config, volts)}")
    hertz = float(line.hertz) if args.hertz is None else args.hertz
    frames = round(args.seconds * config.sample_rate_hz)
    if frames < 1:
        raise InputError(f"--seconds {args.seconds:g} is less than a sample, {1 / config.sample_rate_hz:g} s")
    if args.days is None:
        for name in ("checks", "resume"):
            if getattr(args, name) is not None:
                raise InputError(f"--{name} is for a run of --days")
    source = _household(args, config, volts, hertz) if args.household else _bench(args, config, volts, hertz)
    settle = config.settle_s if args.settle is None else args.settle
    if args.days is not None:
        return _run_days(args, config, source, math.ceil(settle))
    return measure(args, config, source, config.frames_in(settle), frames)


def _run_days(args: argparse.Namespace, config: MeterConfig, service: Service, settle_s: int) -> int:
    """Meter for days: in whole seconds, by the golden model, with the RTL in some windows."""
    from blondel.sim.long_run import ForeignRun, LongRun
    from blondel.sim.measure import EnginesDiffer
    from blondel.sim.rtl.engine import CompileError
    from blondel.sim.source.seconds import Seconds

    if args.engine in ("rtl", "both"):
        raise InputError(
            f"--engine {args.engine} is not for --days: the golden model meters them, and --checks N compares the RTL"
        )
    for name in ("exact_clock", "vcd", "vcd_window"):
        if getattr(args, name):
            raise InputError(f"--{name.replace('_', '-')} is for a run of --seconds")
    checks = (0 if args.engine else 12) if args.checks is None else args.checks
    if args.plot is not None:
        from blondel.host.plot import check_suffix, plot_days

        check_suffix(args.plot)
    for path in (args.plot, args.resume):
        if path is not None:
            check_writable(path)
    try:
        source = Seconds(service, config, seed=args.seed)
    except ValueError as error:
        raise InputError(f"--days is metered by the second: {error}") from None
    seconds = max(1, round(args.days * DAY_S))
    try:
        with status("making the engines …"):
            run = LongRun(config, source, settle_s=settle_s, seconds=seconds, checks=checks, seed=args.seed)
        if args.resume is not None and args.resume.exists():
            try:
                run.restore(args.resume.read_bytes())
            except ForeignRun as error:
                raise InputError(f"--resume {args.resume}: {error}") from None
        with _saving(args.resume, run.save) as pause, _day_progress(run.done_s, settle_s + seconds) as progress:
            complete = run.run(progress=progress, pause=pause)
    except (EnginesDiffer, CompileError) as error:
        say("error", str(error))
        return FAILED
    if not complete:
        say("note", f"{run.done_s / DAY_S:.2f} days are in {args.resume}; the same command goes on from there")
        raise KeyboardInterrupt
    figures = run.figures()
    show(args, figures)
    if args.plot is not None:
        plot_days(figures, run.daily_wh, args.plot)
    return OK


@contextlib.contextmanager
def _saving(path: Path | None, save: Callable[[], bytes]) -> Iterator[Callable[[], bool] | None]:
    """Save long work each minute, when it is interrupted, and at its end; yield what tells it to pause for that."""
    if path is None:
        yield None
        return
    asked = False
    saved = time.monotonic()

    def ask(*_: object) -> None:
        nonlocal asked
        asked = True

    def write() -> None:
        write_whole(path, lambda file: file.write(save()))

    def pause() -> bool:
        nonlocal saved
        if time.monotonic() - saved > SAVE_S:
            write()
            saved = time.monotonic()
        return asked

    before = {each: signal.signal(each, ask) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield pause
        write()
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextlib.contextmanager
def _day_progress(done_s: int, end_s: int) -> Iterator[Callable[[int], object]]:
    """Show on a terminal how far a run of days is, and for how long it will go on."""
    from tqdm import tqdm

    shown = "{l_bar}{bar}| {n:.1f} of {total:.0f} days [{elapsed}, {remaining} left]"
    bar = tqdm(
        total=end_s / DAY_S, initial=done_s / DAY_S, desc="metering", bar_format=shown, disable=None, leave=False
    )
    with bar:
        yield lambda seconds: bar.update(seconds / DAY_S)


def _bench(args: argparse.Namespace, config: MeterConfig, volts: float, hertz: float) -> Service:
    """Return a test bench's sines."""
    from blondel.sim.source.loads import Sine
    from blondel.sim.source.mains import Mains
    from blondel.sim.source.service import Service

    amps = _for_each("--amps", args.amps or [10.0], config)
    factors = _for_each("--pf", args.pf or ["1"], config)
    warn_of_overload(config, amps)
    peak = math.sqrt(2) * max(map(abs, amps))
    warn_of_clipping(
        "the current's", peak, config.i_full_scale, "A", f"--amps up to {config.i_full_scale / math.sqrt(2):.4g}"
    )
    loads = [[Sine(each, factor)] for each, factor in zip(amps, factors, strict=True)]
    return Service(Mains(volts=volts, hertz=hertz), loads, sample_rate_hz=config.sample_rate_hz)


def _for_each(name: str, given: list, config: MeterConfig) -> list:
    """Return one value for each element, of one for all or of one for each."""
    if len(given) not in (1, config.elements):
        allowed = "1" if config.elements == 1 else f"1 or {config.elements}"
        of = f"--meters {config.meters_text}" if config.meters else config.model
        raise InputError(f"{name} has {len(given)} values; allowed for {of}: {allowed}")
    return given * (config.elements // len(given))


def _household(args: argparse.Namespace, config: MeterConfig, volts: float, hertz: float) -> Service:
    from blondel.sim.source.household import household

    for name in ("amps", "pf"):
        if getattr(args, name) is not None:
            raise InputError(f"--household brings its own loads: leave out --{name}")
    return household(
        volts=volts, hertz=hertz, elements=config.elements, seed=args.seed, sample_rate_hz=config.sample_rate_hz,
        repeating=args.days is not None,
    )  # fmt: skip

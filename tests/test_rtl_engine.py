"""The RTL engine: its cache, its ways to run, its state, its recordings, and what it says where it cannot."""

from __future__ import annotations

import io
import pickle
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from vcd.reader import TokenKind, tokenize
from vectors import BUSY, busy_frames

import blondel.hdl
from blondel.sim.engine import Events, output_names
from blondel.sim.rtl import engine
from blondel.sim.rtl.engine import ClockError, CompileError, RtlMeter, StateError, build, recorded_bytes

#: Fast enough for a frame's whole way to end before the next one begins; the boards' 12 MHz would only take longer.
CLOCK_HZ = 80_000.0


def test_a_design_is_compiled_once(tmp_path, monkeypatch):
    compiled = build(BUSY)
    before = compiled.stat()
    assert build(BUSY) == compiled
    assert build(BUSY.with_changes(model="MDNCT-1SP")) == compiled, "the CT's kind is not in the hardware"
    assert compiled.stat().st_mtime_ns == before.st_mtime_ns


def test_another_configuration_or_source_file_is_another_design(tmp_path, monkeypatch):
    def key(config=BUSY, serial_multiplier=False):
        return engine._design_key(config, engine.Options(serial_multiplier=serial_multiplier))

    keys = {key(), key(serial_multiplier=True), key(BUSY.with_changes(counter_wh=1000))}
    sources = tmp_path / "hdl"
    shutil.copytree(Path(blondel.hdl.__file__).parent, sources)
    monkeypatch.setattr(blondel.hdl, "__file__", str(sources / "__init__.py"))
    assert key() in keys
    with (sources / "metrology" / "power.py").open("a") as file:
        file.write("# edited\n")
    assert len(keys | {key()}) == 4


def test_another_compiler_is_another_file():
    assert len({engine._library_name(design, version) for design in "ab" for version in ("g++ 1", "g++ 2")}) == 4


def test_two_who_want_the_same_design_at_once_compile_it_once(tmp_path, monkeypatch):
    compiler = tmp_path / "compiler"
    compiler.write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && exec echo 1\necho run >> {tmp_path}/runs\nsleep 1\n'
        'while [ "$1" != -o ]; do shift; done\necho compiled > "$2"\n'
    )
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    built = []
    both = [threading.Thread(target=lambda: built.append(build(BUSY))) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join()
    assert built[0] == built[1]
    assert built[0].read_text() == "compiled\n"
    assert (tmp_path / "runs").read_text() == "run\n"


def test_a_missing_compiler_is_named(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(CompileError, match="C\\+\\+ compiler 'no-such-compiler' does not run; install g\\+\\+"):
        build(BUSY)


def test_a_failing_compiler_is_quoted_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(engine, "_FLAGS", ("-no-such-flag",))
    with pytest.raises(CompileError, match="no-such-flag"):
        build(BUSY)
    assert [path.suffix for path in (tmp_path / "blondel").iterdir()] == [".lock"]


def test_a_cache_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "blondel").write_text("a file where the folder has to be")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(CompileError, match=r"cannot write to .*blondel.*set XDG_CACHE_HOME"):
        build(BUSY)


# ---- clocks --------------------------------------------------------------------------------------------


def assert_same_state(one: RtlMeter, other: RtlMeter) -> None:
    """Hold all flip-flops and memories to each other; how many clocks it took does not matter."""
    states = []
    for meter in (one, other):
        assert meter.rest(), "there must be a clock that changes nothing: then no later one does"
        state, count = meter.save(), meter.clocks.to_bytes(8, sys.byteorder)
        start = state.index(count)
        # What follows it is the time, which frames without a pause do not have.
        states.append(np.frombuffer(state[:start] + state[start + 16 :], np.uint8))
    # The six words that count frames are narrower than their memory: the bits above take what the sample port shows
    # meanwhile, and are never used.
    assert np.count_nonzero(states[0] != states[1]) <= 6


@pytest.mark.parametrize("clock_hz", [CLOCK_HZ, 64 * BUSY.sample_rate_hz, 70.3 * BUSY.sample_rate_hz])
def test_every_clock_run_is_the_same_meter(clock_hz):
    """What is left out where frames follow without a pause changes no output, no flip-flop and no memory."""
    frames, ok = busy_frames(BUSY)
    fast, exact = RtlMeter(BUSY), RtlMeter(BUSY, clock_hz=clock_hz)
    began = exact.clocks
    expected = fast.next(frames, ok)
    parts = [exact.next(frames[a : a + 1000], ok[a : a + 1000]) for a in range(0, len(frames), 1000)]
    # A call may end a few clocks late, where the last frame takes longer than its time.
    assert 0 <= exact.clocks - began - int(len(frames) * clock_hz / BUSY.sample_rate_hz) < 200
    assert Events.join(parts) == expected
    assert len(expected) > 100
    assert_same_state(fast, exact)
    assert fast.state() == exact.state()


def test_a_clock_that_is_too_slow_is_refused():
    least = engine.frame_clocks(BUSY) * BUSY.sample_rate_hz
    message = rf"^{least:g} Hz is too slow for 400 frames/s; allowed: more than {least:g} Hz$"
    with pytest.raises(ClockError, match=message):
        RtlMeter(BUSY, clock_hz=least)


# ---- state ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", [0, 1, 1234, 3000])
def test_a_run_that_is_split_equals_the_whole(split):
    frames, ok = busy_frames(BUSY)
    whole, first, second = (RtlMeter(BUSY) for _ in range(3))
    expected = whole.next(frames, ok)
    before = first.next(frames[:split], ok[:split])
    # What it did before does not matter.
    second.next(frames[:100])
    second.restore(first.save())
    assert second.frames == split
    assert Events.join([before, second.next(frames[split:], ok[split:])]) == expected
    assert second.state() == whole.state()
    assert_same_state(second, whole)


def test_a_state_is_restored_in_another_process(tmp_path):
    frames, ok = busy_frames(BUSY)
    meter = RtlMeter(BUSY)
    meter.next(frames[:1000], ok[:1000])
    (tmp_path / "all").write_bytes(pickle.dumps((BUSY, meter.save(), frames[1000:], ok[1000:])))
    subprocess.run(
        [
            sys.executable, "-c",
            "import pickle, sys\nfrom blondel.sim.rtl.engine import RtlMeter\n"
            "config, state, frames, ok = pickle.load(open('all', 'rb'))\n"
            "meter = RtlMeter(config)\nmeter.restore(state)\n"
            "events = meter.next(frames, ok)\npickle.dump((events, meter.save()), open('done', 'wb'))",
        ],
        cwd=tmp_path, check=True,
    )  # fmt: skip
    events, state = pickle.loads((tmp_path / "done").read_bytes())
    assert events == meter.next(frames[1000:], ok[1000:])
    assert state == meter.save()
    assert len(np.unique(events.output)) >= 5


def test_a_state_of_something_else_is_refused_and_changes_nothing():
    frames, ok = busy_frames(BUSY, 500)
    meter = RtlMeter(BUSY)
    meter.next(frames, ok)
    state = meter.save()
    other = RtlMeter(BUSY.with_changes(elements=1, calibration=BUSY.calibration[:2]))
    for wrong, message in (
        (b"", "no state of a meter"),
        (b"Blondel", "no state of a meter"),
        (other.save(), "another design's"),
        (state[:-1], rf"has {len(state) - 1} bytes; allowed: {len(state)}"),
        (state + b"\0", rf"has {len(state) + 1} bytes; allowed: {len(state)}"),
    ):
        with pytest.raises(StateError, match=message):
            meter.restore(wrong)
    assert meter.save() == state


# ---- recordings ----------------------------------------------------------------------------------------


def read_vcd(text: bytes) -> tuple[dict[str, str], list[tuple[int, str, int]]]:
    """Read a recording: identifiers by signals' full names, and the changes: time in ps, identifier, value."""
    scopes, identifiers, changes, now = [], {}, [], None
    for token in tokenize(io.BytesIO(text)):
        if token.kind is TokenKind.TIMESCALE:
            assert str(token.timescale) == "1 ps"
        elif token.kind is TokenKind.SCOPE:
            scopes.append(token.scope.ident)
        elif token.kind is TokenKind.UPSCOPE:
            scopes.pop()
        elif token.kind is TokenKind.VAR:
            identifiers[".".join([*scopes, token.var.reference])] = token.var.id_code
        elif token.kind is TokenKind.CHANGE_TIME:
            now = token.time_change
        elif token.kind in (TokenKind.CHANGE_SCALAR, TokenKind.CHANGE_VECTOR):
            value = token.data.value
            changes.append((now, token.data.id_code, int(value, 2) if isinstance(value, str) else value))
    return identifiers, changes


@pytest.mark.parametrize("chunk", [3000, 130])
def test_a_recording_shows_the_edges_where_the_events_are(chunk):
    frames, ok = busy_frames(BUSY)
    reference, meter = RtlMeter(BUSY), RtlMeter(BUSY)
    expected = reference.next(frames, ok)
    window = range(50, 550)
    file = io.BytesIO()
    meter.record(file, window.start, len(window), CLOCK_HZ)
    parts = [meter.next(frames[a : a + chunk], ok[a : a + chunk]) for a in range(0, len(frames), chunk)]
    assert Events.join(parts) == expected, "a recording changes nothing"
    identifiers, changes = read_vcd(file.getvalue())
    # At each edge of the clock, from the window's first to its last.
    frame_ps = 1e12 / BUSY.sample_rate_hz
    clock = [time for time, identifier, _ in changes if identifier == identifiers["blondel_meter.clk"]]
    assert clock[0] == window.start * frame_ps
    period_ps = 1e12 / CLOCK_HZ
    assert np.diff(clock).tolist() == [period_ps / 2] * (len(clock) - 1)
    # The last frame may take a few clocks longer than its time.
    assert 0 <= len(clock) / 2 - len(window) * CLOCK_HZ / BUSY.sample_rate_hz < 100
    inside = (expected.frame >= window.start) & (expected.frame < window.stop)
    names = output_names(BUSY)
    shown = 0
    for name in ("output_10", "output_100", "counter", "test"):
        edges = expected.of(names.index(name))
        within = (edges.frame >= window.start) & (edges.frame < window.stop)
        own = identifiers[f"blondel_meter.{name}"]
        found = [(time, value) for time, identifier, value in changes if identifier == own]
        # The first one is the level that it begins with.
        assert [int(time // frame_ps) for time, _ in found[1:]] == edges.frame[within].tolist()
        assert [value for _, value in found[1:]] == edges.level[within].tolist()
        shown += len(found) - 1
    assert 10 < shown <= np.count_nonzero(inside)
    # Names are those of the sources.
    assert {"blondel_meter.sample_data", "blondel_meter.meter.energy.fsm_state"} <= set(identifiers)
    assert not [name for name in identifiers if "$" in name]
    size = len(file.getvalue())
    assert size / 2 < recorded_bytes(BUSY, len(window), CLOCK_HZ) < 4 * size


def test_what_has_been_metered_cannot_be_recorded():
    frames, _ = busy_frames(BUSY, 20)
    meter = RtlMeter(BUSY)
    meter.next(frames)
    with pytest.raises(ValueError, match="frame 19 has been metered; allowed: from 20 on"):
        meter.record(io.BytesIO(), 19, 1, CLOCK_HZ)
    with pytest.raises(ClockError, match="1 Hz is too slow"):
        meter.record(io.BytesIO(), 20, 1, 1.0)

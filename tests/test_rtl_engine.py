"""The RTL engine's cache, and what it says where it cannot build."""

from __future__ import annotations

import pytest
from vectors import BUSY

from blondel.sim.rtl import engine
from blondel.sim.rtl.engine import CompileError, build


def test_a_design_is_compiled_once(tmp_path, monkeypatch):
    compiled = build(BUSY)
    before = compiled.stat()
    assert build(BUSY) == compiled
    assert build(BUSY.with_changes(model="MDNCT-1SP")) == compiled, "the CT's kind is not in the hardware"
    assert compiled.stat().st_mtime_ns == before.st_mtime_ns


def test_another_configuration_or_compiler_is_another_file():
    names = {
        engine._key(BUSY, False, "g++ 1"), engine._key(BUSY, False, "g++ 2"), engine._key(BUSY, True, "g++ 1"),
        engine._key(BUSY.with_changes(counter_wh=1000), False, "g++ 1"),
    }  # fmt: skip
    assert len(names) == 4


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

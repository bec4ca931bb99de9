"""The version tells two copies of the code apart."""

from __future__ import annotations

import blondel.sim
from blondel.sim.version import version


def test_the_version_is_of_the_code(tmp_path, monkeypatch):
    before = version.__wrapped__()
    assert before == version.__wrapped__()
    (tmp_path / "more.py").write_text("")
    monkeypatch.setattr(blondel.sim, "__path__", [*blondel.sim.__path__, str(tmp_path)])
    assert version.__wrapped__() != before

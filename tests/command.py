"""The ``blondel`` command: within a test, and as a process of its own."""

from __future__ import annotations

import sys

from blondel.host import cli

#: Where the tests run in the background SIGINT is ignored, and so it would be in what they start.
COMMAND = [
    sys.executable,
    "-c",
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
    "from blondel.host.cli import main; sys.exit(main())",
]


def run(capsys, *args) -> tuple[int, str, str]:
    """Return exit status, standard output and standard error."""
    status = cli.main([str(arg) for arg in args])
    out, err = capsys.readouterr()
    return status, out, err


def refused(capsys, *args) -> str:
    """Run a command that cannot be done: one line on standard error, nothing on standard output, status 2."""
    status, out, err = run(capsys, *args)
    assert status == 2
    assert out == ""
    assert err.startswith("blondel: error: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    return err

"""The commands' page: every example runs, and prints what the page shows, but for the numbers."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from blondel.host.cli import main

PAGE = Path(__file__).parents[2] / "docs" / "commands.md"
BLOCKS = re.findall(r"^```(python|console)\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)


def without_numbers(text: str) -> list[list[str]]:
    """Return a text's words, numbers as #."""
    return [re.sub(r"[+−-]?\d[\d.,]*", "#", line).split() for line in text.splitlines()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder in which the page's Python has run."""
    path = tmp_path_factory.mktemp("page")
    for kind, text in BLOCKS:
        if kind == "python":
            subprocess.run([sys.executable, "-c", text], cwd=path, check=True)
    return path


def examples() -> list[tuple[str, str]]:
    """Return the page's commands, and what it shows of each one's output."""
    consoles = "".join(text for kind, text in BLOCKS if kind == "console")
    return [tuple(part.split("\n", 1)) for part in consoles.split("$ ")[1:]]


BINARY = Path(sys.executable).parent


def shell(command: str, folder: Path) -> subprocess.CompletedProcess:
    """Run a command as the page's reader does; before it those that make its files, if they did not run here."""
    for earlier in itertools.takewhile(lambda each: each != command, (each for each, _ in examples())):
        written = re.findall(r"-o (\S+)", earlier)
        if any(name in command.split() and not (folder / name).exists() for name in written):
            shell(earlier, folder)
    environment = os.environ | {"PATH": f"{BINARY}:{os.environ['PATH']}"}
    return subprocess.run(
        command, shell=True, cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize(("command", "shown"), examples(), ids=[command for command, _ in examples()])
def test_the_page_shows_what_happens(folder, command, shown):
    if not (BINARY / "blondel").exists():
        pytest.skip("not installed as a command")
    done = shell(command, folder)
    assert done.returncode == (2 if "error:" in shown else 0)
    printed, expected = without_numbers(done.stderr + done.stdout), without_numbers(shown)
    if expected and expected[-1] == ["…"]:
        assert len(printed) > len(expected)
        expected.pop()
        printed = printed[: len(expected)]
    assert printed == expected


@pytest.mark.parametrize(
    "command", ["run", "replay", "calibrate", "accuracy", "describe", "verilog", "build", "program"]
)
def test_the_page_names_every_option(capsys, command):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    options = set(re.findall(r"--[a-z-]+[a-z]", capsys.readouterr().out)) - {"--help", "--output"}
    assert options
    assert options <= set(re.findall(r"--[a-z-]+[a-z]", PAGE.read_text()))

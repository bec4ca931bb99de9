"""The pages: their code runs, their commands print what they say, their links lead somewhere, Sphinx is content."""

from __future__ import annotations

import gc
import os
import re
import runpy
import shlex
import subprocess
import sys
import warnings
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from amaranth.hdl import UnusedElaboratable

from blondel.boards import BOARDS
from blondel.host.wiring import signals, terminals

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
BLOCKS = sorted((DOCS / "blocks").glob("*.md"))
HEADINGS = ["What", "Ports", "Formats", "Latency", "Arithmetic", "Tests"]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def fenced(path: Path, language: str) -> list[tuple[int, str]]:
    """Return the blocks of a language, each with the number of its first line."""
    text = path.read_text()
    return [(text.count("\n", 0, each.start(2)) + 1, each[2]) for each in FENCE.finditer(text) if each[1] == language]


def commands(path: Path) -> list[tuple[int, str, str]]:
    """Return the commands of the console blocks: line, command, and what it is said to print."""
    found = []
    for line, block in fenced(path, "console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.replace("\\\n", " ").partition("\n")
            found.append((line, command, output))
    return found


def run_code(path: Path) -> None:
    """Run a page's Python; a design that it makes to show how need not be built."""
    namespace = {"__name__": path.stem}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnusedElaboratable)
        for line, code in fenced(path, "python"):
            exec(compile("\n" * (line - 1) + code, str(path), "exec"), namespace)
        # What the page made goes here, and not within another test.
        namespace.clear()
        gc.collect()


@pytest.mark.parametrize("path", [page for page in PAGES if fenced(page, "python")], ids=name)
def test_code_runs(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    run_code(path)


def test_what_a_page_leaves_behind_is_gone_with_it(tmp_path):
    """Whatever Amaranth says of a design that a page made and did not build is not said in another test."""
    page = tmp_path / "page.md"
    page.write_text(
        "```python\nfrom amaranth.hdl import Elaboratable, Fragment, Module\n\n"
        "class Shown(Elaboratable):\n    pass\n\n"
        # Amaranth is silent until a first design is built.
        "Fragment.get(Module(), None)\nshown = Shown()\nshown.itself = shown\n```\n"
    )
    run_code(page)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        gc.collect()
    assert not [each for each in said if issubclass(each.category, UnusedElaboratable)]


def matches(shown: str, printed: str) -> bool:
    """Tell whether a page shows what was printed; ``…`` stands for anything, over several lines too."""
    pattern = ".*".join(re.escape(part) for part in shown.rstrip().split("…"))
    return re.fullmatch(pattern, printed.rstrip(), re.DOTALL) is not None


#: The commands' own page has files to play back, and a test of its own: tests/host/test_commands_page.py.
BLONDEL = [
    (page, *each)
    for page in PAGES
    for each in commands(page)
    if page.name != "commands.md" and each[1].startswith("blondel ")
]


@pytest.mark.parametrize(
    ("path", "line", "command", "shown"), BLONDEL, ids=[f"{name(page)} {command}" for page, _, command, _ in BLONDEL]
)
def test_commands_print_what_they_say(path, line, command, shown, tmp_path):
    done = subprocess.run(
        [Path(sys.executable).with_name("blondel"), *shlex.split(command)[1:]],
        cwd=tmp_path, capture_output=True, text=True, timeout=300, env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    printed = done.stdout + done.stderr
    if not matches(shown, printed):
        pytest.fail(f"{name(path)}:{line} shows something else than this:\n{printed[:5000]}", pytrace=False)


def test_make_targets_exist():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        for line, command, _ in commands(page):
            if command.split()[0] == "make":
                assert set(command.split()[1:]) <= targets, f"{name(page)}:{line}"


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_links_lead_somewhere(path):
    text = FENCE.sub("", path.read_text())
    for link in re.findall(r"\]\(([^)\s]+)\)|<img [^>]*src=\"([^\"]+)\"", text):
        target = next(filter(None, link)).split("#")[0]
        if target and not re.match(r"https?://|mailto:", target):
            assert (path.parent / target).exists(), f"{name(path)}: {target}"


@pytest.mark.parametrize("path", BLOCKS, ids=name)
def test_block_pages_have_the_fixed_headings(path):
    text = FENCE.sub("", path.read_text())
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == HEADINGS
    assert len(re.findall(r"^# ", text, re.MULTILINE)) == 1


@pytest.mark.parametrize("path", sorted(DOCS.rglob("*.svg")), ids=name)
def test_pictures_are_whole(path):
    ElementTree.parse(path)


def test_pictures_can_be_drawn_again(tmp_path):
    draw = runpy.run_path(str(DOCS / "pictures" / "draw.py"))
    draw["main"](tmp_path)
    drawn = {picture.name for picture in tmp_path.iterdir()}
    assert drawn
    assert drawn <= {picture.name for picture in (DOCS / "pictures").iterdir()}


def test_sphinx_has_no_warnings(tmp_path):
    options = ["-q", "-W", "--keep-going", "-d", tmp_path / "trees"]
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *options, DOCS, tmp_path / "out"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    theory = (tmp_path / "out" / "theory.html").read_text()
    assert theory.count("<math") > 10
    # Formulas do not scroll up and down within their own line.
    assert "_static/formulas.css" in theory
    assert 'class="math-wrapper' in theory
    for board in BOARDS.values():
        page = (tmp_path / "out" / "boards" / f"{board.name}.html").read_text()
        assert page.count("data:image/svg+xml;base64,") == 2
        assert "reinforced insulation, in one of these places" in page
        for wire in [*terminals(board), *signals(board, "ads131m"), *signals(board, "sigma-delta")]:
            assert re.search(rf"<td>(<p>)?{wire.title}(</p>)?</td>\s*<td>(<p>)?{wire.place}(</p>)?</td>", page), wire
    assert re.search(
        r"^\.math-wrapper \{\n  overflow-y: hidden;", (tmp_path / "out/_static/formulas.css").read_text(), re.MULTILINE
    )

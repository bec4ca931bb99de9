"""The project's own files: versions pinned, no addresses, every package listed, one direction of imports."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONSTRAINTS = (ROOT / "constraints.txt").read_text().splitlines()
PACKAGES = {"hdl", "sim", "boards", "host"}
#: What each package may import of the others.
MAY_IMPORT = {
    "hdl": {"hdl"},
    "boards": {"boards", "hdl"},
    "sim": {"sim", "hdl"},
    "host": {"host", "sim", "boards", "hdl"},
}


def pinned() -> dict[str, str]:
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in CONSTRAINTS)}


def closure(requirements, **environment) -> set[str]:
    """Return every distribution that the requirements bring with them, on this machine but for ``environment``."""
    found = {}
    todo = [Requirement(text) for text in requirements]
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        if name in found and requirement.extras <= found[name]:
            continue
        found[name] = requirement.extras | found.get(name, set())
        try:
            inner = [Requirement(text) for text in importlib.metadata.requires(name) or ()]
        except importlib.metadata.PackageNotFoundError:
            continue
        for each in inner:
            extras = ("", *requirement.extras)
            if not each.marker or any(each.marker.evaluate(environment | {"extra": extra}) for extra in extras):
                todo.append(each)
    return set(found)


def all_requirements() -> list[str]:
    project = PROJECT["project"]
    return [*project["dependencies"], *(text for extra in project["optional-dependencies"].values() for text in extra)]


def test_constraints_are_plain():
    for line in CONSTRAINTS:
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*==[0-9][0-9A-Za-z.+!]*", line), line
    assert sorted(CONSTRAINTS, key=str.lower) == CONSTRAINTS
    assert len(pinned()) == len(CONSTRAINTS)


def test_everything_that_is_installed_for_the_project_is_pinned():
    for name in closure(all_requirements()):
        assert name in pinned(), f"{name} is not in constraints.txt"
        assert importlib.metadata.version(name) == pinned()[name], f"{name}: run make"


def test_nothing_is_pinned_that_is_not_needed():
    oldest = closure(all_requirements(), python_version="3.11", python_full_version="3.11.0")
    assert set(pinned()) - oldest - closure(all_requirements()) == {"setuptools"}


def test_the_requirements_allow_what_is_pinned():
    for text in all_requirements() + PROJECT["build-system"]["requires"]:
        requirement = Requirement(text)
        assert requirement.specifier.contains(pinned()[canonicalize_name(requirement.name)]), text


def test_every_requirement_says_why():
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    for text in all_requirements():
        place = next(n for n, line in enumerate(lines) if line.strip() == f'"{text}",')
        assert lines[place - 1].strip().startswith("# "), f"{text}: say why in the line above"


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("not a git work tree")
    return [ROOT / name for name in listed.stdout.decode().split("\0") if name]


def test_no_registry_is_named():
    wanted = re.compile(rb"files\.pythonhosted|--(extra-)?index-url|registry\.npmjs|deb\.debian", re.IGNORECASE)
    for path in tracked():
        if path.is_file() and path != Path(__file__):
            assert not wanted.search(path.read_bytes()), path


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_imports_point_one_way(package):
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            for name in names:
                top, *rest = name.split(".")
                if top == "blondel" and rest:
                    assert rest[0] in MAY_IMPORT[package], f"{path.relative_to(ROOT)} imports {name}"


def test_every_folder_with_code_is_an_installed_package():
    folders = {path.parent for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    names = {"blondel." + ".".join(folder.relative_to(ROOT).parts) for folder in folders}
    assert names == set(PROJECT["tool"]["setuptools"]["packages"])


def hardware_blocks() -> list[Path]:
    return [
        path
        for folder in ("frontend", "metrology", "outputs")
        for path in sorted((ROOT / "hdl" / folder).glob("*.py"))
        # The other arrangement of the energy stage's words has the same twin and page.
        if path.stem not in ("__init__", "multiplier", "serial_energy")
    ]


@pytest.mark.parametrize("path", hardware_blocks(), ids=lambda path: path.stem)
def test_every_block_has_its_twin_its_test_and_its_page(path):
    # A converter's driver has the converter itself for its twin.
    assert any((ROOT / "sim" / folder / path.name).is_file() for folder in ("golden", "afe"))
    assert (ROOT / "tests" / "hdl" / f"test_{path.name}").is_file()
    assert (ROOT / "docs" / "blocks" / f"{path.stem}.md").is_file()

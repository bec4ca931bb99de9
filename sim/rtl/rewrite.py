"""Two rewrites of the generated design, on its way to C++, that change how fast it runs and nothing else.

As it comes, each signal finds out for itself which step its stage is in, and every clock moves every flip-flop to its
next value, which mostly is the one that it has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["merge_processes", "write_changes_only"]

_MODULE = re.compile(r"^(?=module )", re.MULTILINE)
_PROCESS = re.compile(r"^  process .*?^  end\n", re.MULTILINE | re.DOTALL)
_TARGET = re.compile(r"(?<=assign )[\\$]\S+")
_NAME = re.compile(r"[\\$]\S+")
#: Where a module names what it does not read, or reads in clocked cells only: these cells, targets, declarations but
#: those of outputs, and what a structure's fields are called.
_NOT_READ = re.compile(
    r"^  cell \$(?:dff|memrd_v2|memwr_v2) (?s:.*?)^  end$"
    rf"|{_TARGET.pattern}"
    r"|^  wire (?!.*put \d).*$"
    r"|^connect \S+\.\S+ .*$",
    re.MULTILINE,
)
_FLIP_FLOP = re.compile(r"^\tif \(posedge_p_clk\) \{\n\t\t(\w+)\.next = (\w+);\n\t\}\n", re.MULTILINE)
_DECLARATION = re.compile(r"^\tvalue<\d+> (\w+);\n", re.MULTILINE)
_DEFAULT = re.compile(r"^\t(\w+) = (\w+)\.curr;\n", re.MULTILINE)
_WORD = re.compile(r"\w+")


@dataclass
class _Body:
    """What a process does, or one case of a switch: assignments, then switches."""

    assigned: list[str]
    switches: list[_Switch]

    @classmethod
    def parse(cls, lines: Iterator[str]) -> tuple[_Body, str]:
        """Return a body and the line after it."""
        body = cls([], [])
        for line in lines:
            word, _, rest = line.strip().partition(" ")
            if word == "assign" and not body.switches:
                body.assigned.append(rest)
            elif word == "switch":
                body.switches.append(_Switch.parse(rest, lines))
            elif word in ("case", "end"):
                return body, line
            else:
                raise ValueError(f"unexpected line in a process: {line!r}")
        raise ValueError("a process has no end")

    def merge(self, other: _Body) -> None:
        """Do what another body does too, which assigns to other signals."""
        self.assigned += other.assigned
        place = 0
        for switch in other.switches:
            alike = (n for n in range(place, len(self.switches)) if self.switches[n].is_like(switch))
            # The order of the other's switches stays: a later one may assign to the same signal.
            place = next(alike, len(self.switches))
            if place == len(self.switches):
                self.switches.append(switch)
            else:
                for (_, mine), (_, its) in zip(self.switches[place].cases, switch.cases, strict=True):
                    mine.merge(its)
            place += 1

    def text(self, indent: str) -> str:
        assigned = "".join(f"{indent}assign {each}\n" for each in self.assigned)
        return assigned + "".join(switch.text(indent) for switch in self.switches)


@dataclass
class _Switch:
    selector: str
    cases: list[tuple[str, _Body]]

    @classmethod
    def parse(cls, selector: str, lines: Iterator[str]) -> _Switch:
        switch = cls(selector, [])
        line = next(lines)
        while line.strip() != "end":
            pattern = line.strip()
            body, line = _Body.parse(lines)
            switch.cases.append((pattern, body))
        return switch

    def is_like(self, other: _Switch) -> bool:
        """Tell whether both take the same decision."""
        return self.selector == other.selector and [p for p, _ in self.cases] == [p for p, _ in other.cases]

    def text(self, indent: str) -> str:
        cases = "".join(f"{indent}  {pattern}\n{body.text(indent + '    ')}" for pattern, body in self.cases)
        return f"{indent}switch {self.selector}\n{cases}{indent}end\n"


def merge_processes(rtlil: str) -> str:
    """Merge the processes of each module whose signals only flip-flops and memories read.

    They have nothing to wait for but the signals that all of them read. Where they take the same decision, as about the
    step of the stage, it is taken once.

    Parameters
    ----------
    rtlil : str
        A design as Amaranth writes it.

    Raises
    ------
    ValueError
        A process is not as Amaranth writes them.
    """
    return "".join(_merge_in_module(module) for module in _MODULE.split(rtlil))


def _merge_in_module(module: str) -> str:
    read = set(_NAME.findall(_NOT_READ.sub("", module)))
    merged = _Body([], [])

    def take(process: re.Match[str]) -> str:
        if not read.isdisjoint(_TARGET.findall(process[0])):
            return process[0]
        body, _ = _Body.parse(iter(process[0].splitlines()[1:]))
        merged.merge(body)
        return ""

    rest = _PROCESS.sub(take, module)
    if rest == module:
        return module
    head, end, tail = rest.rpartition("\nend\n")
    return f"{head}\n  process $merged\n{merged.text('    ')}  end\n{end}{tail}"


def write_changes_only(cxx: str) -> str:
    """Let processes write to flip-flops, and leave those alone that keep their values.

    Before a clock is evaluated the next value of each flip-flop has to be the current one. That is so after
    ``commit()``: a clock must not be evaluated twice.

    Parameters
    ----------
    cxx : str
        A design as CXXRTL writes it, with processes.
    """
    # CXXRTL has an intermediate value for each: what was at first, then what the process says.
    kept = set(_DEFAULT.findall(cxx))
    written = {value: flip_flop for flip_flop, value in _FLIP_FLOP.findall(cxx) if (value, flip_flop) in kept}

    def unless_written(value: int):
        return lambda found: "" if found[value] in written else found[0]

    cxx = _FLIP_FLOP.sub(unless_written(2), cxx)
    cxx = _DECLARATION.sub(unless_written(1), cxx)
    cxx = _DEFAULT.sub(unless_written(1), cxx)
    return _WORD.sub(lambda word: f"{written[word[0]]}.next" if word[0] in written else word[0], cxx)

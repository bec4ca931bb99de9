"""What runs of the bench found, one a line: ratios within a run, so that a regression is visible.

``bench/history.jsonl`` is committed; each run adds a line.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["RATIOS", "TOLERANCE", "Change", "append", "changes", "entry", "further_seconds", "last_of", "read"]

#: A ratio that is worse by more than this part is named.
TOLERANCE = 0.1


@dataclass(frozen=True)
class Ratio:
    """A figure of a run.

    Parameters
    ----------
    title : str
        For the table.
    of : callable(dict)
        Takes it from a run's result; raises ``TypeError`` where the run could not measure it.
    more_is_better : bool
        Default true.
    """

    title: str
    of: Callable[[dict], float]
    more_is_better: bool = True


def _rtl_to(name: str) -> Callable[[dict], float]:
    return lambda run: run["engines"]["rtl"]["frames_per_s"] / run["engines"][name]["frames_per_s"]


def _real_time(name: str) -> Callable[[dict], float]:
    return lambda run: run["engines"][name]["frames_per_s"] / run["sample_rate_hz"]


def _element_cost(name: str) -> Callable[[dict], float]:
    """Return what a frame costs an element of 64, relative to one of two."""

    def ratio(run: dict) -> float:
        costs = {each["elements"]: 1 / (each["elements"] * each[name]["frames_per_s"]) for each in run["by_elements"]}
        return costs[64] / costs[2]

    return ratio


def _memory(name: str) -> Callable[[dict], float]:
    """Return the memory of the longest run, relative to that of the shortest one."""
    return lambda run: run["by_length"][name][-1]["peak_bytes"] / run["by_length"][name][0]["peak_bytes"]


def _second_cost(name: str) -> Callable[[dict], float]:
    """Return what a further second costs in the longest run, relative to the one before: 1 where time is linear."""

    def ratio(run: dict) -> float:
        costs = [b / a for a, b in further_seconds(run["by_length"][name])]
        return costs[-1] / costs[-2]

    return ratio


def further_seconds(runs: list[dict]) -> list[tuple[float, float]]:
    """Return by how much each run is longer than the one before, in s, and the processor time that this takes."""
    return [
        (after["seconds"] - before["seconds"], after["processor_s"] - before["processor_s"])
        for before, after in itertools.pairwise(runs)
    ]


#: By the name that the history has for each.
RATIOS = {
    "golden_real_time": Ratio("golden model / real time", _real_time("golden")),
    "golden_memory_speed": Ratio(
        "golden model's samples / memory's speed",
        lambda run: run["golden_bytes_per_s"] / run["memory_bytes_per_s"],
    ),
    "rtl_real_time": Ratio("RTL engine / real time", _real_time("rtl")),
    "rtl_verilator": Ratio("RTL engine / cocotb + Verilator", _rtl_to("verilator")),
    "rtl_icarus": Ratio("RTL engine / cocotb + Icarus", _rtl_to("icarus")),
    "rtl_amaranth": Ratio("RTL engine / Amaranth's simulator", _rtl_to("amaranth")),
    "build_verilator": Ratio(
        "building the RTL engine / Verilator's",
        lambda run: run["engines"]["rtl"]["build_s"] / run["engines"]["verilator"]["build_s"],
        more_is_better=False,
    ),
    "run_real_time": Ratio(
        "blondel run of 1 s, start-up and all / real time", lambda run: 1 / run["run_s"]["processor_s"]
    ),
    "golden_elements": Ratio("golden model: an element of 64 / of 2", _element_cost("golden"), more_is_better=False),
    "rtl_elements": Ratio("RTL engine: an element of 64 / of 2", _element_cost("rtl"), more_is_better=False),
    "golden_length": Ratio("golden model: a second more, late / early", _second_cost("golden"), more_is_better=False),
    "rtl_length": Ratio("RTL engine: a second more, late / early", _second_cost("rtl"), more_is_better=False),
    "golden_memory": Ratio("golden model: memory, longest run / shortest", _memory("golden"), more_is_better=False),
    "days_memory": Ratio("golden model, --days: memory, longest run / shortest", _memory("days"), more_is_better=False),
    "rtl_memory": Ratio("RTL engine: memory, longest run / shortest", _memory("rtl"), more_is_better=False),
}


def entry(run: dict) -> dict[str, object]:
    """Return a run's line: when, what, where, and its ratios."""
    ratios = {}
    for name, ratio in RATIOS.items():
        try:
            ratios[name] = float(f"{ratio.of(run):.4g}")
        except TypeError:
            continue
    return {key: run[key] for key in ("date", "version", "commit", "machine")} | {"ratios": ratios}


def _parsed(line: str) -> dict:
    """Return a line's entry; raise ``ValueError`` where it is none."""
    found = json.loads(line)
    if not isinstance(found, dict) or not isinstance(found.get("ratios"), dict):
        raise ValueError("it has no ratios")
    for key in ("date", "commit", "machine"):
        if key not in found:
            raise ValueError(f"it has no {key}")
    for name, value in found["ratios"].items():
        if not isinstance(value, int | float) or not value > 0:
            raise ValueError(f"{name} is {value!r}; allowed: numbers above 0")
    return found


def read(path: Path) -> tuple[list[dict], list[str]]:
    """Return the entries of a history, oldest first, and what is wrong with the file.

    Lines that cannot be understood are left out.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return [], [f"There is no {path} yet: this run begins it."]
    except (OSError, UnicodeDecodeError) as error:
        return [], [f"{path} cannot be read ({getattr(error, 'strerror', None) or error}): nothing is compared."]
    entries, wrong = [], []
    for number, line in enumerate(lines, start=1):
        try:
            entries.append(_parsed(line))
        except ValueError as error:
            reason = "it is not JSON" if isinstance(error, json.JSONDecodeError) else str(error)
            wrong.append(f"{path}, line {number} is left out: {reason}.")
    return entries, wrong


def append(path: Path, new: dict) -> list[str]:
    """Add an entry; return what went wrong."""
    try:
        # A last line that was cut off shall not take this one with it.
        whole = not path.exists() or path.read_bytes()[-1:] in (b"", b"\n")
        with path.open("a", encoding="utf-8") as file:
            file.write(("" if whole else "\n") + json.dumps(new) + "\n")
    except OSError as error:
        return [f"{path} cannot be written ({error.strerror}): this run is not kept."]
    return []


def last_of(entries: list[dict], machine: str) -> dict | None:
    """Return the last entry of a machine."""
    return next((each for each in reversed(entries) if each["machine"] == machine), None)


@dataclass(frozen=True)
class Change:
    """A ratio now and before.

    Parameters
    ----------
    title : str
    now : float
    before : float or None
        None: it was not measured.
    more_is_better : bool
    """

    title: str
    now: float
    before: float | None
    more_is_better: bool

    @property
    def relative(self) -> float | None:
        """By which part it is larger than before."""
        return None if self.before is None else self.now / self.before - 1

    @property
    def worse(self) -> bool:
        """Whether it is worse than before by more than :data:`TOLERANCE`."""
        if self.before is None:
            return False
        return (-self.relative if self.more_is_better else self.relative) > TOLERANCE


def changes(now: dict, before: dict | None) -> list[Change]:
    """Compare an entry with an older one."""
    old = before["ratios"] if before else {}
    return [
        Change(ratio.title, now["ratios"][name], old.get(name), ratio.more_is_better)
        for name, ratio in RATIOS.items()
        if name in now["ratios"]
    ]

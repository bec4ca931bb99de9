"""Measures how fast the engines are, in one run on this machine: ``make bench``.

Prints a table, every figure as a ratio too, and how the ratios changed since this machine's last run. Writes
``bench/result.json`` and ``bench/result.txt``, which the docs show, and adds a line to ``bench/history.jsonl``. Nothing
here passes or fails.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import re
import subprocess
import sys
import time
from pathlib import Path

import history
import report
import simulators
from engines import (
    GOLDEN_FRAMES,
    GOLDEN_REPEATS,
    MODEL,
    RTL_FRAMES,
    best_rate,
    build_seconds,
    by_elements,
    by_length,
    command,
    household_frames,
    memory_bytes_per_s,
    rtl_speed,
)

from blondel.hdl.config import MeterConfig
from blondel.sim.golden.meter import GoldenMeter

FOLDER = Path(__file__).parent
RESULT, HISTORY = FOLDER / "result.json", FOLDER / "history.jsonl"
SCALING = [FOLDER.parent / "boards" / name for name in ("scaling.csv", "reach.csv")]


def machine() -> str:
    """Return the processor's name, and how many cores there are."""
    info = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*: (.*)$", info.read_text(), re.MULTILINE) if info.exists() else None
    name = found[1] if found else platform.processor() or platform.machine()
    return f"{' '.join(name.split())}, {os.cpu_count()} cores"


def commit() -> str | None:
    """Return the commit that is checked out, with a ``+`` where files differ from it; None where there is no Git."""
    git = ["git", "-C", str(FOLDER)]
    try:
        name = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True).stdout
        changed = subprocess.run([*git, "diff", "--quiet", "HEAD"], capture_output=True, check=False).returncode
    except (OSError, subprocess.CalledProcessError):
        return None
    return name.strip() + ("+" if changed else "")


def say(what: str) -> None:
    """Tell what is being measured."""
    print(f"measuring {what} …", file=sys.stderr, flush=True)


def measure() -> dict[str, object]:
    """Return all figures."""
    config = MeterConfig.for_model(MODEL)
    say("the engines")
    frames = household_frames(config, GOLDEN_FRAMES)
    golden = best_rate(GoldenMeter(config), frames, GOLDEN_REPEATS)
    rtl = rtl_speed(config, frames[:RTL_FRAMES])
    bytes_per_frame = frames.itemsize * config.channels
    memory = memory_bytes_per_s()
    say("the time to build")
    build_s = build_seconds(config)
    say("other simulators")
    others = simulators.compare(config)
    say("growth with elements")
    elements = by_elements()
    say("start-up")
    run = ("run", MODEL, "--seconds", "1")
    run_s, run_without_settling_s = (command(*run, *more, repeats=3) for more in ((), ("--settle", "0")))
    say("growth with length")
    return {
        "date": datetime.date.today().isoformat(),
        "version": importlib.metadata.version("blondel"),
        "commit": commit(),
        "machine": machine(),
        "python": platform.python_version(),
        "model": MODEL,
        "elements": config.elements,
        "sample_rate_hz": config.sample_rate_hz,
        "engines": {
            "golden": {"frames_per_s": golden},
            "rtl": {"frames_per_s": rtl["frames_per_s"], "build_s": build_s},
            **others,
        },
        "golden_bytes_per_s": golden * bytes_per_frame,
        "memory_bytes_per_s": memory,
        "rtl_clocks": rtl["clocks_per_frame"],
        "rtl_clocks_per_s": rtl["clocks_per_frame"] * rtl["frames_per_s"],
        "run_s": run_s,
        "run_without_settling_s": run_without_settling_s,
        "by_elements": elements,
        "by_length": by_length(),
    }


def main() -> None:
    """Measure, print, compare, write."""
    began = time.monotonic()
    run = measure()
    text = report.table(run)
    RESULT.write_text(json.dumps(run, indent=2) + "\n", encoding="utf-8")
    RESULT.with_suffix(".txt").write_text(text, encoding="utf-8")
    entries, messages = history.read(HISTORY)
    new, before = history.entry(run), history.last_of(entries, run["machine"])
    messages += history.append(HISTORY, new)
    print(text, report.scaling(SCALING), report.comparison(history.changes(new, before), before), sep="\n")
    for message in messages:
        print(message)
    written = ", ".join(str(path.relative_to(FOLDER.parent)) for path in (RESULT, RESULT.with_suffix(".txt"), HISTORY))
    print(f"Written: {written}; after {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()

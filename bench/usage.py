"""Runs a command, and prints what it took, as JSON: ``python bench/usage.py COMMAND …``.

A process of its own: what the system remembers of a command's memory begins with that of the process that starts it,
which in the bench has large arrays.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time

#: Bytes in which the system counts memory.
_UNIT = 1 if sys.platform == "darwin" else 1024


def usage(*command: str) -> dict[str, float]:
    """Run a command from a small process, and return what it took.

    Returns
    -------
    dict
        ``processor_s``: processor time of all its threads and processes; ``wall_s``; ``peak_bytes``: the most memory
        that one process of it had.

    Raises
    ------
    subprocess.CalledProcessError
        It failed.
    """
    done = subprocess.run([sys.executable, __file__, *command], check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def main() -> None:
    """Run the command of the command line; what it prints is not shown."""
    start = time.perf_counter()
    subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
    wall_s = time.perf_counter() - start
    took = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        json.dumps(
            {"processor_s": took.ru_utime + took.ru_stime, "wall_s": wall_s, "peak_bytes": took.ru_maxrss * _UNIT}
        )
    )


if __name__ == "__main__":
    main()

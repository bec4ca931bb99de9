"""Tasks on Dask: on a real scheduler and real workers, that come, differ and die."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import command
import pytest

from blondel.hdl.config import MeterConfig
from blondel.host import cluster
from blondel.host.cluster import ClusterError, ClusterUnfit, on_cluster, on_this_machine
from blondel.sim.afe.parts import Parts
from blondel.sim.standards.laboratory import plan, run

CONFIG = MeterConfig.for_model("MDNCT-2SC", sample_rate_hz=2000.0)
OPTIONS = ["--no-dashboard", "--nthreads", "1", "--no-nanny", "--host", "127.0.0.1"]
#: Makes a worker say that it is an older Blondel.
OLD = (
    "import blondel.host.cluster as cluster\n"
    "cluster.identity = lambda: {'blondel': '0.0.1 (beef)', 'numpy': '', 'numba': ''}"
)


def tasks(seconds=1.0):
    """Return measurements, each with its own noise."""
    some = [task for task in plan(CONFIG, Parts.nominal(CONFIG), "0.5", quick=True).tasks if task.kind == "error"][:4]
    return [replace(task, seed=seed, frames=CONFIG.frames_in(seconds)) for seed in range(4) for task in some]


class Dask:
    """A scheduler on loopback, and workers: processes of their own."""

    def __init__(self, folder):
        self._folder = folder
        self._file = folder / "scheduler.json"
        self.scheduler = self._start(
            "from distributed.cli.dask_scheduler import main; main()",
            "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", self._file,
        )  # fmt: skip
        self.processes = [self.scheduler]
        deadline = time.monotonic() + 60
        while not self._file.exists():
            assert self.scheduler.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        self.address = json.loads(self._file.read_text())["address"]

    def _start(self, code, *args):
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-c", code, *map(str, args)], stdout=log, stderr=log, cwd=self._folder
            )

    def worker(self, before=""):
        code = f"{before}\nfrom distributed.cli.dask_worker import main; main()"
        process = self._start(code, self.address, *OPTIONS, "--local-directory", self._folder)
        self.processes.append(process)
        return process

    def workers(self, count):
        """Wait for workers."""
        from distributed import Client

        with Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(count, timeout=60)

    def end(self):
        for process in reversed(self.processes):
            process.kill()
            process.wait()


@pytest.fixture
def dask(tmp_path):
    started = Dask(tmp_path)
    yield started
    started.end()


def test_a_worker_that_dies_costs_nothing_but_time(dask):
    """One of two is killed while it works: every result is there, once, in the tasks' order."""
    first, _ = dask.worker(), dask.worker()
    dask.workers(2)
    work = tasks(seconds=60.0)
    counted = []

    def progress(done):
        counted.append(done)
        if len(counted) == 3:
            os.kill(first.pid, signal.SIGKILL)

    with on_cluster(dask.address) as run_there:
        found = run_there(work, progress)
    assert first.wait() == -signal.SIGKILL
    assert found == run(work)
    assert counted == [1] * len(work)
    # They differ, so that an exchange would show.
    assert len({reading.values["error"] for reading in found}) == len(work)


def test_a_scheduler_that_dies_is_one_line(dask):
    dask.worker()
    lost = pytest.raises(ClusterError, match="the connection to the cluster's scheduler was lost")
    with on_cluster(dask.address) as run_there, lost:
        run_there(tasks(seconds=60.0), lambda done: dask.scheduler.kill())


@pytest.mark.parametrize(
    ("before", "message"),
    [
        (OLD, r"a worker has blondel 0\.0\.1 \(beef\); here it is 0\."),
        ("import sys\nsys.modules['blondel'] = None", "a worker has no Blondel, or an old one; workers need the one"),
    ],
)
def test_a_worker_that_is_something_else_is_named(dask, before, message):
    dask.worker(before)
    dask.workers(1)
    with pytest.raises(ClusterUnfit, match=message), on_cluster(dask.address):
        pass


def test_a_measurement_that_fails_says_so_itself():
    with on_this_machine(1) as run_there, pytest.raises(ZeroDivisionError):
        run_there([fails])


def fails():
    return 1 / 0


def test_nobody_there(monkeypatch):
    monkeypatch.setattr(cluster, "PATIENCE_S", 1)
    for address in ("tcp://127.0.0.1:9", "no address", "http://127.0.0.1:9"):
        with pytest.raises(ClusterUnfit, match=f"no Dask scheduler answers at {address}"), on_cluster(address):
            pass


def test_no_worker_there(dask, monkeypatch):
    monkeypatch.setattr(cluster, "PATIENCE_S", 1)
    with pytest.raises(ClusterUnfit, match="has no worker"), on_cluster(dask.address):
        pass


def test_processes_of_this_machine(capfd):
    work = tasks()
    with on_this_machine(2) as run_there:
        assert run_there(work) == run(work)
        # It can be asked again, and alike tasks are run as often as they are there.
        assert run_there(work[:1] * 3) == run(work[:1]) * 3
    assert capfd.readouterr() == ("", "")


def test_the_command_on_a_cluster(dask, capsys):
    asked = ["accuracy", "MSNCT-1SC", "--quick", "--population", 2, "--json"]
    dask.worker()
    dask.worker()
    found = []
    for where in ("--cluster", dask.address), ("--workers", 1):
        status, out, err = command.run(capsys, *asked, *where)
        assert (status, err) == (0, "")
        found.append(json.loads(out))
        del found[-1]["date"]
    assert found[0] == found[1]


def test_a_worker_of_another_version_is_bad_input(dask, capsys):
    dask.worker(OLD)
    dask.workers(1)
    said = command.refused(capsys, "accuracy", "MSNCT-1SC", "--quick", "--cluster", dask.address)
    assert said.startswith("blondel: error: --cluster: a worker has blondel 0.0.1 (beef); here it is ")

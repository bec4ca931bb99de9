"""Runs many measurements at once: in processes of this machine, or on a Dask cluster that is there already.

What is run are tasks: picklable callables without arguments, whose result depends on nothing but their own fields. So
it does not matter which process runs one, or which runs it again because the first one died.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import logging
import os
import pkgutil
import signal
import warnings
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import resource_tracker
from typing import TypeVar

from blondel.sim.version import version

__all__ = ["ClusterError", "ClusterUnfit", "Run", "cores", "identity", "on_cluster", "on_this_machine"]

Result = TypeVar("Result")
#: Runs tasks and returns their results in the tasks' order; calls its second argument with 1 after each of them.
Run = Callable[[Sequence[Callable[[], Result]], Callable[[int], object] | None], list[Result]]

#: How long a scheduler may take to answer, and its first worker to be there, in s.
PATIENCE_S = 10
#: Libraries whose version the last digit of a result may depend on.
_NUMERIC = ("numpy", "numba")
#: Loggers of what a cluster says when its parts come and go.
_LOGGERS = ("distributed", "tornado", "asyncio")


class ClusterError(Exception):
    """The cluster did not do the work; the message is one line."""


class ClusterUnfit(ClusterError):
    """There is no cluster there, or none that gives the results that this machine gives."""


class OtherVersion(Exception):
    """A worker is not what the results are to come from."""


def cores() -> int:
    """Return how many processes this machine runs at once."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@functools.cache
def identity() -> dict[str, str]:
    """Return the versions that two machines have to share, for the same results."""
    return {"blondel": version()} | {name: importlib.metadata.version(name) for name in _NUMERIC}


def _compare(found: dict[str, str], expected: dict[str, str]) -> None:
    for name, wanted in expected.items():
        if found[name] != wanted:
            raise OtherVersion(f"a worker has {name} {found[name]}; here it is {wanted}")


def _call(expected: dict[str, str], task: Callable[[], Result]) -> Result:
    """Run a task on a worker; one that came late is told apart here."""
    _compare(identity(), expected)
    return task()


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep to ourselves what Dask says of its parts' comings and goings."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            # Of libraries whose versions differ: those that matter are compared with the first task.
            warnings.filterwarnings("ignore", module=r"distributed\b")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _check(client) -> None:
    """Find out whether the workers are what the results are to come from.

    A worker that cannot read a task would be given it again and again.
    """
    try:
        client.run(pkgutil.resolve_name, f"{__name__}:identity")
        for found in client.run(identity).values():
            _compare(found, identity())
    except (ImportError, AttributeError):
        raise ClusterUnfit("a worker has no Blondel, or an old one; workers need the one that is here") from None
    except OtherVersion as error:
        raise ClusterUnfit(str(error)) from None


def _failure(result: object) -> Exception:
    """Return what to raise for a task that has no result; ``result`` is what Dask has in its place."""
    from distributed.scheduler import KilledWorker

    # An error comes as type, error and traceback, as from sys.exc_info; a cancellation as itself.
    error = result[1] if isinstance(result, tuple) else None
    if error is None:
        return ClusterError("the connection to the cluster's scheduler was lost")
    if isinstance(error, OtherVersion):
        return ClusterError(str(error))
    if isinstance(error, KilledWorker):
        return ClusterError("one worker after the other died at the same measurement")
    return error


def _runner(client) -> Run:
    from distributed import as_completed

    def run(tasks: Sequence[Callable[[], Result]], progress: Callable[[int], object] | None = None) -> list[Result]:
        # Impure: to Dask two tasks that are alike would be one.
        futures = [client.submit(_call, identity(), task, pure=False) for task in tasks]
        order = {future.key: n for n, future in enumerate(futures)}
        results: list = [None] * len(futures)
        for future, result in as_completed(futures, loop=client.loop, with_results=True, raise_errors=False):
            if future.status in ("error", "cancelled"):
                raise _failure(result)
            results[order[future.key]] = result
            if progress is not None:
                progress(1)
        return results

    return run


@contextlib.contextmanager
def on_this_machine(workers: int) -> Iterator[Run]:
    """Start processes, and run in them.

    Parameters
    ----------
    workers : int
        Processes; each takes a task at a time.
    """
    with _silence(), contextlib.ExitStack() as stack:
        from distributed import Client, LocalCluster

        with _uninterrupted():
            # No dashboard: it takes a port, and nobody looks. No limit of memory: it would restart a worker that is
            # well; the tasks need little.
            cluster = stack.enter_context(
                LocalCluster(
                    n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None, memory_limit=0,
                    silence_logs=logging.CRITICAL + 1,
                )
            )  # fmt: skip
        yield _runner(stack.enter_context(Client(cluster, set_as_default=False)))


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Start processes that Ctrl-C, which reaches all of a terminal's, does not: who started them ends them.

    What comes meanwhile is kept for later.
    """
    # Where it starts, with the first process, it would unblock the signal.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def on_cluster(address: str) -> Iterator[Run]:
    """Run on a cluster that is there already.

    Parameters
    ----------
    address : str
        Its scheduler's, such as ``tcp://10.0.0.1:8786``.

    Raises
    ------
    ClusterUnfit
        Nobody answers there, there is no worker, or one of another version.
    """
    with _silence():
        from distributed import Client

        try:
            client = Client(address, timeout=PATIENCE_S, set_as_default=False)
        except (OSError, TimeoutError, ValueError):
            raise ClusterUnfit(f"no Dask scheduler answers at {address}") from None
        with client:
            try:
                client.wait_for_workers(1, timeout=PATIENCE_S)
            except TimeoutError:
                raise ClusterUnfit(f"the scheduler at {address} has no worker") from None
            _check(client)
            yield _runner(client)

"""``blondel accuracy``: a model's type tests, simulated."""

from __future__ import annotations

import argparse
import contextlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from blondel.hdl.config import MeterConfig
from blondel.hdl.model_number import ModelNumber
from blondel.host.cli.arguments import (
    Commands,
    add_calibration,
    add_command,
    add_line,
    add_seed,
    argument,
    names,
    one_of,
    whole,
    with_calibration,
)
from blondel.host.cli.messages import FAILED, OK, Failure, InputError, say
from blondel.host.cli.progress import progress_bar, status
from blondel.host.files import check_writable, write_whole

if TYPE_CHECKING:
    from blondel.host.accuracy import Accuracy
    from blondel.host.cluster import Run

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the command."""
    command = add_command(
        commands, "accuracy", _accuracy,
        "put a model through the type tests of its accuracy class, simulated, and report",
        epilog="A .json has all results: --from makes a report of it again.",
    )  # fmt: skip
    command.add_argument(
        "model", metavar="MODEL", nargs="?", type=argument(ModelNumber.parse), help="for example MDNCT-2SC"
    )
    add_line(command)
    command.add_argument(
        "--class", metavar="C", dest="accuracy_class", type=_accuracy_class, default="0.5",
        help="0.1, 0.2, 0.5 of ANSI C12.20, 0.2S, 0.5S of IEC 62053-22; default 0.5",
    )  # fmt: skip
    command.add_argument("--list", action="store_true", help="list the class's tests and where they come from, no more")
    command.add_argument(
        "--tests", metavar="T[,T]", type=names, help="some of the tests alone; none: only --population, --budget"
    )
    command.add_argument("--quick", action="store_true", help="fewer points and less certain ones: seconds")
    command.add_argument(
        "--meter", metavar="N", type=whole(0, 10**9),
        help="which of the meters that --seed draws; default: nominal parts",
    )  # fmt: skip
    add_calibration(command)
    add_seed(command)
    command.add_argument(
        "--engine", choices=("golden", "rtl"), default="golden",
        help="of the type test: the golden model (default), or the generated design",
    )  # fmt: skip
    command.add_argument(
        "--population", metavar="N", type=whole(1, 10**6), help="draw so many meters, too, and tell their yield"
    )
    command.add_argument("--budget", action="store_true", help="tell what each part adds to the error, too")
    command.add_argument(
        "-o", "--output", metavar="FILE", type=Path, action="append", default=[],
        help="report (.html), all results (.json), or points (.csv); may be given again",
    )  # fmt: skip
    command.add_argument("--json", action="store_true", help="print all results as JSON")
    command.add_argument("--from", metavar="FILE.json", dest="results", type=Path, help="results to report again")
    command.add_argument(
        "--workers", metavar="N", type=whole(1, 1024),
        help="processes; default: one for a type test alone, else as many as there are cores",
    )  # fmt: skip
    command.add_argument("--cluster", metavar="tcp://HOST:PORT", help="a Dask scheduler whose workers do the work")


@argument
def _accuracy_class(text: str) -> str:
    from blondel.sim.standards.limits import CLASSES

    one_of("accuracy class", CLASSES, text)
    return text


def _accuracy(args: argparse.Namespace) -> int:
    from blondel.host.accuracy import Accuracy, AccuracyError, list_tests, report
    from blondel.host.cluster import ClusterError, ClusterUnfit
    from blondel.sim.rtl.engine import CompileError

    if args.list:
        print(list_tests(args.accuracy_class), end="")
        return OK
    for path in args.output:
        if path.suffix.lower() not in _ACCURACY_FILES:
            raise InputError(f"cannot write {path}: its name must end with {', '.join(_ACCURACY_FILES)}")
        check_writable(path)
    if args.results is not None:
        for name in ("model", "tests", "quick", "meter", "calibration", "population", "budget", "workers", "cluster"):
            value = getattr(args, name)
            if value is not None and value is not False:
                raise InputError(f"--from brings its results: leave out {'MODEL' if name == 'model' else f'--{name}'}")
        try:
            found = Accuracy.read(args.results)
        except AccuracyError as error:
            raise InputError(f"--from {args.results}: {error}") from None
    elif args.model is None:
        raise InputError("which model? One of 'blondel models', or --from FILE.json")
    else:
        try:
            found = _put_to_test(args)
        except ClusterUnfit as error:
            raise InputError(f"--cluster: {error}") from None
        except (ClusterError, CompileError, Failure) as error:
            say("error", str(error))
            return FAILED
    for path in args.output:
        text = _ACCURACY_FILES[path.suffix.lower()](found)
        write_whole(path, lambda file, text=text: file.write(text.encode()))
    print(_results_json(found) if args.json else report(found), end="", flush=True)
    if found.test.failed:
        say("error", f"{found.test.model} failed: {', '.join(found.test.failed)}")
        return FAILED
    return OK


def _put_to_test(args: argparse.Namespace) -> Accuracy:
    """Calibrate a meter, put it through its tests, and draw others where that is asked for."""
    from blondel.host.accuracy import Accuracy, judge, only
    from blondel.sim.afe.parts import Parts
    from blondel.sim.calibrate import BenchError, calibrate
    from blondel.sim.standards.budget import budget
    from blondel.sim.standards.laboratory import plan, warm_up
    from blondel.sim.standards.population import population
    from blondel.sim.version import version

    config = MeterConfig.for_model(args.model, args.line)
    if args.meter is None:
        meter, parts = "nominal parts", Parts.nominal(config)
    else:
        meter, parts = f"meter {args.meter} of seed {args.seed}", Parts.draw(config, args.seed, args.meter)
    calibrated, calibration = with_calibration(args, config), f"{args.calibration}"
    with status("calibrating …"):
        if args.calibration is None:
            try:
                # Its noise is not that of the tests.
                calibrated = calibrate(config, parts, seed=~args.seed)
            except BenchError as error:
                raise Failure(f"{meter}: {error}") from None
            calibration = "on the simulated bench, 23 °C"
        # Whatever compiles does so here, and not in every process.
        warm_up(calibrated, parts, args.engine)
    test = plan(calibrated, parts, args.accuracy_class, quick=args.quick, seed=args.seed, engine=args.engine)
    if args.tests is not None:
        try:
            test = only(test, [] if args.tests == ["none"] else args.tests)
        except ValueError as error:
            raise InputError(f"--tests: {error}") from None
    plans = {"test": test}
    if args.population is not None:
        plans["population"] = population(config, args.population, seed=args.seed)
    if args.budget:
        plans["budget"] = budget(config, seed=args.seed)
    tasks = [task for each in plans.values() for task in each.tasks]
    with _runner(args, len(plans) > 1) as run, progress_bar("measuring", len(tasks), "measurement") as progress:
        results = run(tasks, progress)
    date = datetime.now(UTC).isoformat(timespec="seconds")
    return Accuracy(version(), date, meter, calibration, **judge(plans, results))


def _runner(args: argparse.Namespace, much: bool) -> contextlib.AbstractContextManager[Run]:
    """Return what runs tasks where they are to run.

    A type test alone is done before processes have started.
    """
    from blondel.host.cluster import cores, on_cluster, on_this_machine
    from blondel.sim.standards.laboratory import run

    if args.cluster is not None:
        if args.workers is not None:
            raise InputError("--cluster has its own workers: leave out --workers")
        return on_cluster(args.cluster)
    workers = args.workers or (cores() if much else 1)
    return contextlib.nullcontext(run) if workers == 1 else on_this_machine(workers)


def _report_page(found: Accuracy) -> str:
    from blondel.host.accuracy_page import page

    return page(found)


def _results_json(found: Accuracy) -> str:
    return json.dumps(found.to_json(), indent=2, allow_nan=False) + "\n"


def _points_csv(found: Accuracy) -> str:
    from blondel.host.accuracy import to_csv

    return to_csv(found)


#: What writes an accuracy's files, by the ends of their names.
_ACCURACY_FILES = {".html": _report_page, ".json": _results_json, ".csv": _points_csv}

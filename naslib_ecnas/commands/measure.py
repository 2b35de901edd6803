"""`ecnas measure`: plan, run, check and export a campaign of measured trainings."""

from __future__ import annotations

import argparse
import math
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from naslib_ecnas.commands.options import JSON, Options, actions
from naslib_ecnas.console import (
    counted,
    duration_text,
    print_json,
    print_table,
    quantity_text,
    split_words,
)
from naslib_ecnas.errors import ConfigError, StorageError, check_numbers

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from naslib_ecnas.campaign import Done, Pace, Settings, Status, Validation
    from naslib_ecnas.campaign.plan import Unit
    from naslib_ecnas.campaign.validate import Finding

__all__ = ["MeasureProgress", "add_options"]

_REHEARSAL = (
    "ecnas measure plan --space 4v --design 8 --data synthetic \\\n"
    "    --images-per-file 4 --out rehearsal"
)

#: Lines that the reports of `status` and `validate` show at most.
_MOST_LINES = 30
#: Least seconds between two updates of the bars: drawing takes CPU energy that may be measured.
_REDRAW_S = 1.0
#: A unit may take an hour and the estimate needs several, so the bars keep all of them.
_RATE_PERIOD_S = 7 * 24 * 3600.0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the actions of the command."""
    action = actions(
        parser,
        "A campaign is a folder with a plan of trainings and a record of each finished one. Any "
        "number of workers may share it; one that dies loses only its current unit.",
        "ecnas measure plan --space 7v --design 20 --data cifar10 DIR --out my-gpu",
        "ecnas measure run my-gpu --device cuda:0",
        "ecnas measure status my-gpu",
        "ecnas measure validate my-gpu --requeue",
        "ecnas measure export my-gpu --out my-gpu.csv",
    )
    campaign = ("campaign", "CAMPAIGN", "folder of the campaign")
    add = action(
        _plan,
        "ecnas measure plan --space 7v --design 20 --data cifar10 DIR --out my-gpu",
        _REHEARSAL,
    )
    _add_plan(add)
    add = action(
        _run,
        "ecnas measure run my-gpu --device cuda:0",
        "ecnas measure run my-gpu --cluster slurm --workers 4 --partition gpu",
        "ecnas measure run rehearsal --device cpu --meter none --steps 2 \\\n"
        "    --batch-size 2 --evaluate-images 2 --limit 1",
    )
    add(*campaign)
    _add_run(add)
    add = action(_status, "ecnas measure status my-gpu")
    add(*campaign)
    add(*JSON)
    add = action(_validate, "ecnas measure validate my-gpu --requeue")
    add(*campaign)
    add(*JSON)
    add("--strict", help="exit with 1 for doubts and missing units too")
    add("--requeue", help="put the units to measure again in the queue")
    add = action(
        _export,
        "ecnas measure export my-gpu --out my-gpu.csv",
        "ecnas measure export rehearsal --out rehearsal.csv --allow-synthetic",
    )
    add(*campaign)
    add("--out", "FILE", "its suffix is the format", required=True)
    add("--pue", "P", "PUE to multiply all kWh by (%(default)s)", default=1.0)
    add("--carbon-intensity", "G", "gCO2eq/kWh, a country's code, or world")
    about = "energy that counts (auto: with the CPU if every record has its energy)"
    add("--energy", help=about, choices=("auto", "gpu", "gpu+cpu"), default="auto")
    about = "energy_kwh of the run up to the evaluation, as in all other tables, or of the "
    about += "training steps alone, without start-up and evaluations (%(default)s)"
    add("--span", help=about, choices=("run", "steps"), default="run")
    add("--allow-synthetic", help="export unmeasured values, marked so")


# -- plan -----------------------------------------------------------------------------------------


def _add_plan(add: Options) -> None:
    add("--space", help="space (%(default)s)", default="4v", choices=("4v", "5v", "7v"))
    add("--cells", "FILE", "cells to train, a row or a cell's text on each line")
    add("--design", "N", "the N cells that are best for a calibration", type=int)
    add("--epochs", "A,B", "epochs of each cell (%(default)s)", default="4")
    add("--repeats", "N", "trainings of each (%(default)s)", default=1)
    add("--limit", "N", "at most N units, drawn at random", type=int)
    about = "cifar10 [DIR] (default: cifar10 in the cache), tfrecord DIR, or synthetic"
    add("--data", ("KIND", "DIR"), about, nargs="+", required=True)
    add("--images-per-file", "N", "images in a file (10,000; synthetic 256)", type=int)
    add("--recipe", help="recipe (%(default)s)", default="ecnas", choices=("nasbench101", "ecnas"))
    add("--seed", "SEED", "seed of the campaign (%(default)s)", default=0)
    add("--out", "CAMPAIGN", "new folder of the campaign", required=True)


def _plan(args: argparse.Namespace) -> int:
    """Write a plan, one unit for each cell, budget and repeat, into a new folder."""
    from naslib_ecnas.campaign import DataChoice, make_plan
    from naslib_ecnas.campaign.plan import designed_rows, file_rows, vertices_of
    from naslib_ecnas.files import cache_folder
    from naslib_ecnas.space import Space

    if args.cells is not None and args.design is not None:
        raise ConfigError("choose the cells by --cells or by --design, not by both")
    vertices = vertices_of(args.space)
    if args.cells is not None:
        rows = file_rows(Path(args.cells).expanduser(), vertices=vertices)
    elif args.design is not None:
        rows = designed_rows(args.design, vertices=vertices, seed=args.seed)
    else:
        rows = list(range(len(Space(vertices))))
    kind, *path = args.data
    if len(path) > 1:
        raise ConfigError("--data takes a kind and at most one folder", value=args.data)
    images = 256 if kind == "synthetic" else 10_000
    if args.images_per_file is not None:
        images = args.images_per_file
    if kind == "cifar10" and not path:
        path = [str(cache_folder() / "cifar10")]
    folder = str(Path(path[0]).expanduser().resolve()) if path else None
    out = Path(args.out).expanduser()
    plan = make_plan(
        rows,
        name=out.name,
        vertices=vertices,
        epochs=_budgets(args.epochs),
        repeats=args.repeats,
        data=DataChoice(kind=kind, path=folder, images_per_file=images),
        recipe=args.recipe,
        seed=args.seed,
        limit=args.limit,
    )
    plan.write(out)
    if folder is not None and not Path(folder).is_dir():
        print(f"note: there is no folder {folder}; the workers need it", file=sys.stderr)
    print(f"{counted(len(plan.units), 'unit')} planned in {out}")
    print(f"measure them: ecnas measure run {out}")
    return 0


def _budgets(text: str) -> list[int]:
    try:
        return [int(word) for word in split_words(text)]
    except ValueError as error:
        raise ConfigError("--epochs must be budgets such as 4,12,36,108", value=text) from error


# -- run ------------------------------------------------------------------------------------------


def _add_run(add: Options) -> None:
    add("--device", "DEVICE", "torch device (cuda:0 if there is one, else cpu)")
    about = "auto, none, or replay FILE (auto)"
    add("--meter", ("HOW", "FILE"), about, nargs="+", default=["auto"])
    add("--gpu", "NAME", "GPU to measure, as in nvidia-smi -L (that of --device)")
    add("--baseline", "S", "rest before and after (10)", default=10.0)
    about = "seconds of training before the first unit, not counted (60 on a GPU, else 0)"
    add("--warm-up", "S", about, type=float)
    about = "memory that holds the images, the GPU's or the host's (device)"
    add("--images", help=about, choices=("device", "host"), default="device")
    add("--limit", "N", "stop after N units", type=int)
    add("--no-wait", help="do not wait for other workers' units")
    add("--tries", "N", "attempts of a unit (%(default)s)", default=3)
    about = "seconds without a sign of life until a unit is taken over (%(default)s)"
    add("--stale", "S", about, default=120.0)
    small = add.group("for small machines (recorded as departures from the recipe)")
    small("--steps", "N", "stop each training after N steps", type=int)
    small("--batch-size", "N", "batch size (256)", type=int)
    small("--evaluate-images", "N", "images of each split, at most", type=int)
    jobs = add.group("on a cluster, through submitit")
    jobs("--cluster", help="submit workers as an array of jobs", choices=("slurm", "local"))
    jobs("--workers", "N", "jobs of the array (%(default)s)", default=1)
    jobs("--gres", "WHAT", "resources of a job (gpu:1 if --device is a GPU) or none")
    jobs("--partition", "NAME", "SLURM partition")
    jobs("--cpus", "N", "CPUs of each job (%(default)s)", default=4)
    jobs("--hours", "H", "time limit of a job (%(default)s)", default=24.0)
    jobs("--wait", help="wait until the jobs have ended")


def _run(args: argparse.Namespace) -> int:
    """Measure until no unit is left; start one worker for each GPU."""
    from naslib_ecnas.campaign import Pace, Settings, work

    how, *file = args.meter
    if len(file) > 1:
        raise ConfigError("--meter takes a kind and at most one file", value=args.meter)
    check_numbers(above=0, stale=args.stale)
    replay = str(Path(file[0]).expanduser().resolve()) if file else None
    settings = Settings(
        device=_device(args.cluster) if args.device is None else args.device,
        meter=how,
        replay=replay,
        gpu=args.gpu,
        baseline_s=args.baseline,
        warm_up_s=args.warm_up,
        images=args.images,
        steps=args.steps,
        batch_size=args.batch_size,
        evaluate_images=args.evaluate_images,
    )
    pace = Pace(
        tries=args.tries,
        beat_s=min(10.0, args.stale / 4),
        stale_s=args.stale,
        wait=not args.no_wait,
    )
    folder = Path(args.campaign).expanduser()
    if args.cluster:
        return _launch(args, folder, settings, pace)
    with _stoppable(), MeasureProgress(folder) as shown:
        done = work(
            folder,
            settings,
            pace=pace,
            limit=args.limit,
            on_attempt=shown.attempt_ended,
            on_step=shown.step_submitted,
        )
    recorded = sum(attempt.how == "recorded" for attempt in done)
    print(f"{counted(recorded, 'unit')} recorded; see: ecnas measure status {folder}")
    return 0


def _device(cluster: str | None) -> str:
    """cuda:0 if there is a GPU, else cpu; the nodes of a cluster are assumed to have one."""
    if cluster == "slurm":
        return "cuda:0"
    from naslib_ecnas.errors import MissingDependencyError

    try:
        import torch
    except ModuleNotFoundError as error:
        raise MissingDependencyError("torch", feature="measuring", extra="measure") from error
    return "cuda:0" if torch.cuda.is_available() else "cpu"


@contextmanager
def _stoppable() -> Iterator[None]:
    """Treat SIGTERM as an interrupt, so that the current unit is released at once."""

    def stop(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _launch(args: argparse.Namespace, folder: Path, settings: Settings, pace: Pace) -> int:
    from naslib_ecnas.campaign import Cluster, launch

    default = "gpu:1" if settings.device.startswith("cuda") else None
    cluster = Cluster(
        kind=args.cluster,
        workers=args.workers,
        gres=None if args.gres == "none" else args.gres or default,
        partition=args.partition,
        cpus=args.cpus,
        hours=args.hours,
    )
    jobs = launch(folder, settings, cluster, pace=pace, limit=args.limit, wait=args.wait)
    print(f"{counted(len(jobs), 'job')}: {', '.join(jobs)}; see: ecnas measure status {folder}")
    return 0


class MeasureProgress:
    """A line on stdout for each finished training, and bars on stderr if that is a terminal.

    The bars show the campaign and the current training. Both count the records of all workers.

    Args:
        folder: folder of the campaign.
        clock: seconds since some fixed time.

    Raises:
        UnknownTableError, FormatError: the folder holds no campaign.
    """

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        from naslib_ecnas.campaign.plan import Plan

        self._folder = folder
        self._units = frozenset(Plan.read(folder).by_name)
        self._planned = len(self._units)
        self._clock, self._began, self._first = clock, clock(), 0
        self._first = self._recorded()
        self._bars: Progress | None = None
        self._campaign: TaskID | None = None
        self._training: TaskID | None = None
        self._drawn = -math.inf

    def __enter__(self) -> MeasureProgress:
        if sys.stderr.isatty():
            self._bars = _bars()
            self._campaign = self._bars.add_task(
                "units", total=self._planned, completed=self._first, left="left"
            )
            self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def step_submitted(self, unit: Unit, steps_done: int, steps_total: int) -> None:
        """Show the progress of a training; called inside a measured window, so it does little.

        Args:
            unit: the unit that is trained.
            steps_done: steps submitted so far.
            steps_total: steps of the training; 0 before the first one, during rest and warm-up.
        """
        now = self._clock()
        if self._bars is None or (steps_total and now < self._drawn + _REDRAW_S):
            return
        self._drawn = now
        if not steps_total or self._training is None:
            self._remove_training_bar()
            self._training = self._bars.add_task("", total=None, left="")
        if steps_total:
            self._bars.update(
                self._training,
                description=str(unit),
                total=steps_total,
                completed=steps_done,
                left="left",
            )
        else:
            self._bars.update(self._training, description=f"{unit}: before training")

    def attempt_ended(self, done: Done) -> None:
        """Print the outcome of an attempt."""
        recorded = self._recorded()
        detail = f": {done.detail}" if done.detail else ""
        line = f"{done.unit}: {done.how} after {duration_text(done.seconds)}{detail}"
        print(f"{line} ({recorded:,} of {self._planned:,}{self._remaining(recorded)})", flush=True)
        if self._bars is not None and self._campaign is not None:
            self._remove_training_bar()
            self._bars.update(self._campaign, completed=recorded)

    def _remove_training_bar(self) -> None:
        if self._bars is not None and self._training is not None:
            self._bars.remove_task(self._training)
        self._training = None

    def _remaining(self, recorded: int) -> str:
        left, made = self._planned - recorded, recorded - self._first
        if left <= 0 or made <= 0:
            return ""
        seconds = (self._clock() - self._began) / made * left
        return f", about {duration_text(seconds)} remaining"

    def _recorded(self) -> int:
        from naslib_ecnas.campaign.measurement import recorded

        try:
            return len(self._units & recorded(self._folder))
        except StorageError:  # a disk that fails for a moment must not end a campaign
            return self._first


def _bars() -> Progress:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[left]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        redirect_stdout=sys.stdout.isatty(),
        refresh_per_second=1 / _REDRAW_S,
        speed_estimate_period=_RATE_PERIOD_S,
        transient=True,
    )


# -- status, validate, export ---------------------------------------------------------------------


def _status(args: argparse.Namespace) -> int:
    """Show progress, rate, remaining time, energy and failed units."""
    from naslib_ecnas.campaign import status

    found = status(Path(args.campaign).expanduser())
    if args.json:
        print_json(found.to_json())
        return 0
    _print_status(found)
    return 0


def _print_status(found: Status) -> None:
    live = sum(not one.stale for one in found.running)
    print(
        f"{found.name}: {found.recorded:,} of {found.planned:,} units recorded, {live} running, "
        f"{len(found.given_up)} given up"
    )
    rate = quantity_text(found.units_per_hour, ".3g", "units an hour")
    workers = counted(max(live, 1), "worker")
    print(f"rate {rate}; remaining time {duration_text(found.remaining_s)} with {workers}")
    print(
        f"energy so far {quantity_text(found.energy_kwh, '.4g', 'kWh')}, remaining "
        f"{quantity_text(found.energy_to_come_kwh, '.4g', 'kWh')} (estimated from the "
        f"{found.estimated_from}; without PUE)"
    )
    if found.lost.attempts:
        print(
            f"lost: {counted(found.lost.attempts, 'attempt')}, "
            f"{duration_text(found.lost.seconds)}, "
            f"at least {quantity_text(found.lost.energy_kwh, '.4g', 'kWh')}"
        )
    rows = [
        (
            one.unit,
            "stale" if one.stale else "running",
            f"{one.worker}, {duration_text(one.since_s)}",
        )
        for one in found.running
    ]
    rows += [(one.unit, "given up", f"{one.attempts} x {one.reason}") for one in found.given_up]
    rows += [(unit, "damaged", "ecnas measure validate") for unit in found.unreadable]
    if rows:
        print()
        print_table(("unit", "state", "details"), rows[:_MOST_LINES])


def _validate(args: argparse.Namespace) -> int:
    """Check every record and list the units to measure again."""
    from naslib_ecnas.campaign import requeue, validate

    folder = Path(args.campaign).expanduser()
    found = validate(folder)
    moved = requeue(folder, found.redo, why=found.why) if args.requeue else []
    if args.json:
        print_json({**found.to_json(), "requeued": moved})
    else:
        _print_validation(found)
        if args.requeue:
            print(f"requeued: {counted(len(moved), 'unit')}")
        if moved:
            print(f"measure them: ecnas measure run {folder}")
    return 0 if found.good and (found.spotless or not args.strict) else 1


def _print_validation(found: Validation) -> None:
    print(
        f"{counted(found.records, 'record')} of {counted(found.planned, 'unit')}: "
        f"{counted(len(found.faults), 'fault')}, {counted(len(found.doubts), 'doubt')}, "
        f"{len(found.missing):,} missing"
    )
    rows = [(one.unit, "FAULT", one.code, one.text) for one in found.faults]
    rows += _grouped(found.doubts)
    if rows:
        print()
        print_table(("unit", "", "code", "found"), rows[:_MOST_LINES])
        if len(rows) > _MOST_LINES:
            print(f"and {len(rows) - _MOST_LINES} more, see --json")
    if found.redo:
        some = ", ".join(found.redo[:8]) + (", ..." if len(found.redo) > 8 else "")
        print(f"\nmeasure again: {some} (--requeue)")


def _grouped(doubts: Sequence[Finding]) -> list[tuple[str, str, str, str]]:
    """One line for each text: a doubt about the machine concerns every unit."""
    units: dict[tuple[str, str], dict[str, None]] = {}
    for one in doubts:
        units.setdefault((one.code, one.text), {})[one.unit] = None
    return [
        (next(iter(names)) if len(names) == 1 else f"{len(names):,} units", "doubt", code, text)
        for (code, text), names in units.items()
    ]


def _export(args: argparse.Namespace) -> int:
    """Write the records as a table (.ecnas, .tfrecord, .parquet, .csv)."""
    from naslib_ecnas.campaign import export

    out = Path(args.out).expanduser()
    columns = export(
        Path(args.campaign).expanduser(),
        out,
        pue=args.pue,
        carbon=args.carbon_intensity,
        cpu={"auto": None, "gpu": False, "gpu+cpu": True}[args.energy],
        span=args.span,
        allow_synthetic=args.allow_synthetic,
    )
    print(out)
    if any(origin.kind == "synthetic" for origin in columns.provenance.values()):
        print("SYNTHETIC: these numbers are not measurements", file=sys.stderr)
    return 0

"""`ecnas measure`: plan, run, watch, check and export a campaign of measurements."""

from __future__ import annotations

import argparse
import math
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from naslib_ecnas.console import duration_text, examples, print_json, print_table
from naslib_ecnas.errors import StorageError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from naslib_ecnas.campaign import Done, Pace, Settings, Status, Validation
    from naslib_ecnas.campaign.plan import Unit
    from naslib_ecnas.campaign.validate import Finding

__all__ = ["CAMPAIGN", "MeasureProgress", "add_parser", "described", "run"]


# What the help of `ecnas measure` says of its actions, with examples to copy.


_REHEARSAL = (
    "ecnas measure plan --space 4v --design 8 --data synthetic \\\n"
    "    --images-per-file 4 --out rehearsal"
)

#: Action -> what to type.
_COMMANDS = {
    "plan": (
        "ecnas measure plan --space 7v --design 20 --data cifar10 DIR --out my-gpu",
        _REHEARSAL,
    ),
    "run": (
        "ecnas measure run my-gpu --device cuda:0",
        "ecnas measure run my-gpu --cluster slurm --workers 4 --partition gpu",
        "ecnas measure run rehearsal --device cpu --meter none --steps 2 \\\n"
        "    --batch-size 2 --evaluate-images 2 --limit 1",
    ),
    "status": ("ecnas measure status my-gpu",),
    "validate": ("ecnas measure validate my-gpu --requeue",),
    "export": (
        "ecnas measure export my-gpu --out my-gpu.csv",
        "ecnas measure export rehearsal --out rehearsal.csv --allow-synthetic",
    ),
}

#: What ends the help of the command itself: a campaign from its plan to its file.
CAMPAIGN = examples(
    _COMMANDS["plan"][0],
    _COMMANDS["run"][0],
    *_COMMANDS["status"],
    *_COMMANDS["validate"],
    _COMMANDS["export"][0],
)


def described(action: str, what: str) -> dict[str, Any]:
    """Keyword arguments of `add_parser` for an action: a line of help, and it as a sentence."""
    return {
        "help": what,
        "description": f"{what[0].upper()}{what[1:]}.",
        **examples(*_COMMANDS[action]),
    }


# What `ecnas measure run` shows while it measures: a line for each training, bars between them.


#: Drawing costs the CPU, whose energy may be measured; and a training lasts minutes.
_REDRAW_S = 1.0

#: A unit may last an hour, and the rate has to be that of several.
_RATE_PERIOD_S = 7 * 24 * 3600.0


class MeasureProgress:
    """Bars on stderr where it is a terminal, for the campaign and for the training at hand; and a
    line on stdout for each training that has ended.

    Both count what all workers of the campaign have recorded.

    Args:
        folder: of the campaign.

    Raises:
        UnknownTableError, FormatError: no campaign.
    """

    def __init__(self, folder: Path) -> None:
        from naslib_ecnas.campaign.plan import Plan

        self._folder = folder
        self._units = frozenset(Plan.read(folder).by_name)
        self._planned = len(self._units)
        self._began, self._first = time.monotonic(), 0
        self._first = self._recorded()
        self._bars: Progress | None = None
        self._all: TaskID | None = None
        self._one: TaskID | None = None
        self._drawn = -math.inf

    def __enter__(self) -> MeasureProgress:
        if sys.stderr.isatty():
            self._bars = _bars()
            self._all = self._bars.add_task(
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

    def stepped(self, unit: Unit, made: int, due: int) -> None:
        """A step of a training was submitted; 0 of 0 before the first, while it rests or warms up.

        Called from within a measured window, so that it does next to nothing.
        """
        now = time.monotonic()
        if self._bars is None or (due and now < self._drawn + _REDRAW_S):
            return
        self._drawn = now
        if not due or self._one is None:
            self._cleared()
            self._one = self._bars.add_task("", total=None, left="")
        if due:
            self._bars.update(
                self._one, description=str(unit), total=due, completed=made, left="left"
            )
        else:
            self._bars.update(self._one, description=f"{unit}: before training")

    def told(self, done: Done) -> None:
        """An attempt has ended."""
        recorded = self._recorded()
        detail = f": {done.detail}" if done.detail else ""
        line = f"{done.unit}: {done.how} after {duration_text(done.seconds)}{detail}"
        print(f"{line} ({recorded:,} of {self._planned:,}{self._to_come(recorded)})", flush=True)
        if self._bars is not None and self._all is not None:
            self._cleared()
            self._bars.update(self._all, completed=recorded)

    def _cleared(self) -> None:
        """Without the bar of a training that has ended."""
        if self._bars is not None and self._one is not None:
            self._bars.remove_task(self._one)
        self._one = None

    def _to_come(self, recorded: int) -> str:
        left, made = self._planned - recorded, recorded - self._first
        if left <= 0 or made <= 0:
            return ""
        seconds = (time.monotonic() - self._began) / made * left
        return f", about {duration_text(seconds)} to come"

    def _recorded(self) -> int:
        from naslib_ecnas.campaign.record import recorded

        try:
            return len(self._units & recorded(self._folder))
        except StorageError:  # a disk that does not answer for a moment ends no campaign
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


_SHOWN = 30


def add_parser(subparsers: Any) -> None:
    """Add the command to those of `ecnas`."""
    parser = subparsers.add_parser(
        "measure",
        help="measure trainings: plan, run, status, validate, export",
        description="A campaign is a folder: a plan of trainings, and a record of each that was "
        "made. Any number of workers may be at it; one that dies loses the unit it was at.",
        **CAMPAIGN,
    )
    parser.set_defaults(run=_help(parser))
    actions = parser.add_subparsers(title="actions", metavar="ACTION")
    _add_plan(actions)
    _add_run(actions)
    one = _action(actions, "status", "progress, rate, end, energy, what failed", _status)
    one.add_argument("--json", action="store_true", help="print one JSON object")
    what = "check every record; says which units to measure again"
    add = _action(actions, "validate", what, _validate).add_argument
    add("--json", action="store_true", help="print one JSON object")
    add("--strict", action="store_true", help="doubts and missing units count as well")
    add("--requeue", action="store_true", help="put the units to measure again in the queue")
    one = _action(
        actions, "export", "write the records as .ecnas, .tfrecord, .parquet or .csv", _export
    )
    add = one.add_argument
    add("--out", required=True, metavar="FILE", help="its suffix is the format")
    add("--pue", type=float, default=1.0, metavar="X", help="factor of all kWh (%(default)s)")
    add("--carbon-intensity", metavar="G", help="gCO2eq/kWh, a country's code, or world")
    about = "what counts (auto: the CPU too where every record has it)"
    add("--energy", choices=("auto", "gpu", "gpu+cpu"), default="auto", help=about)
    about = "energy_kwh is of the run up to the evaluation, as in every other table, or of the "
    about += "steps of training alone, without start-up and evaluations (%(default)s)"
    add("--span", choices=("run", "steps"), default="run", help=about)
    add("--allow-synthetic", action="store_true", help="write what is no measurement, marked so")


def run(args: argparse.Namespace) -> int:
    """Run the action that was chosen.

    Raises:
        EcnasError: a setting is not possible, or a file, a GPU or a job fails.
    """
    code: int = args.run(args)
    return code


def _help(parser: argparse.ArgumentParser) -> Any:
    def show(args: argparse.Namespace) -> int:
        parser.print_help()
        return 0

    return show


def _action(actions: Any, name: str, what: str, function: Any) -> argparse.ArgumentParser:
    one: argparse.ArgumentParser = actions.add_parser(name, **described(name, what))
    one.add_argument("campaign", metavar="CAMPAIGN", help="folder of the campaign")
    one.set_defaults(run=function)
    return one


# -- plan -----------------------------------------------------------------------------------------


def _add_plan(actions: Any) -> None:
    what = "write what is to be trained, a unit for each cell, budget and repeat, into a new folder"
    one = actions.add_parser("plan", **described("plan", what))
    one.set_defaults(run=_plan)
    add = one.add_argument
    add("--space", default="4v", choices=("4v", "5v", "7v"), help="its cells (%(default)s)")
    add("--cells", metavar="FILE", help="these of them: a row or a cell's text a line")
    add("--design", type=int, metavar="N", help="the N of them that fix a calibration best")
    add("--epochs", default="4", metavar="A,B", help="epochs of each (%(default)s)")
    add("--repeats", type=int, default=1, metavar="N", help="trainings of each (%(default)s)")
    add("--limit", type=int, metavar="N", help="only so many units, drawn from all")
    add(
        "--data",
        nargs="+",
        required=True,
        metavar=("KIND", "DIR"),
        help="cifar10 (DIR; the cache's cifar10), tfrecord DIR, or synthetic",
    )
    add("--images-per-file", type=int, metavar="N", help="of six (10,000; synthetic 256)")
    add("--recipe", default="ecnas", choices=("nasbench101", "ecnas"), help="how (%(default)s)")
    add("--seed", type=int, default=0, metavar="N", help="of order and trainings (%(default)s)")
    add("--out", required=True, metavar="CAMPAIGN", help="new folder of the campaign")


def _plan(args: argparse.Namespace) -> int:
    from naslib_ecnas.campaign import DataChoice, make_plan
    from naslib_ecnas.campaign.plan import designed_rows, file_rows, vertices_of
    from naslib_ecnas.errors import ConfigError
    from naslib_ecnas.files import cache_folder
    from naslib_ecnas.space import Space

    if args.cells is not None and args.design is not None:
        raise ConfigError("cells are chosen in two ways", expected="--cells or --design")
    vertices = vertices_of(args.space)
    if args.cells is not None:
        rows = file_rows(Path(args.cells).expanduser(), vertices=vertices)
    elif args.design is not None:
        rows = designed_rows(args.design, vertices=vertices, seed=args.seed)
    else:
        rows = list(range(len(Space(vertices))))
    kind, *path = args.data
    if len(path) > 1:
        raise ConfigError("one folder holds the data", value=path)
    images = args.images_per_file
    if images is None:
        images = 256 if kind == "synthetic" else 10_000
    if kind == "cifar10" and not path:
        path = [str(cache_folder() / "cifar10")]
    folder = str(Path(path[0]).expanduser().resolve()) if path else None
    out = Path(args.out).expanduser()
    plan = make_plan(
        rows,
        name=out.name,
        vertices=vertices,
        epochs=_numbers(args.epochs),
        repeats=args.repeats,
        data=DataChoice(kind=kind, path=folder, images_per_file=images),
        recipe=args.recipe,
        seed=args.seed,
        limit=args.limit,
    )
    plan.write(out)
    if folder is not None and not Path(folder).is_dir():
        print(f"note: no folder {folder} here; the workers need it", file=sys.stderr)
    print(f"{len(plan.units):,} units planned in {out}\nmeasure them: ecnas measure run {out}")
    return 0


def _numbers(text: str) -> list[int]:
    from naslib_ecnas.errors import ConfigError

    try:
        return [int(word) for word in text.split(",") if word.strip()]
    except ValueError as error:
        raise ConfigError("no budgets", value=text, expected="such as 4,12,36,108") from error


# -- run ------------------------------------------------------------------------------------------


def _add_run(actions: Any) -> None:
    one = _action(actions, "run", "measure until no unit is left; one worker for each GPU", _run)
    add = one.add_argument
    add("--device", metavar="NAME", help="torch's name of it (cuda:0 where there is one, or cpu)")
    about = "auto, none, or replay FILE (auto)"
    add("--meter", nargs="+", default=["auto"], metavar=("HOW", "FILE"), help=about)
    add("--gpu", metavar="NAME", help="the GPU to measure, as nvidia-smi -L (that of --device)")
    add("--baseline", type=float, default=10.0, metavar="S", help="rest before and after (10)")
    about = "train for so long before a worker's first unit, apart (60 on a GPU, else 0)"
    add("--warm-up", type=float, metavar="S", help=about)
    about = "where images are kept, the GPU's memory or the host's (device)"
    add("--images", choices=("device", "host"), default="device", help=about)
    add("--limit", type=int, metavar="N", help="end after so many units")
    add("--no-wait", action="store_true", help="end rather than wait for others' last units")
    add("--tries", type=int, default=3, metavar="N", help="of a unit that fails (%(default)s)")
    about = "silence of a worker after which its unit is taken over (%(default)s)"
    add("--stale", type=float, default=120.0, metavar="S", help=about)
    small = one.add_argument_group("for small machines (recorded; no measurements any more)")
    small.add_argument("--steps", type=int, metavar="N", help="stop each training after N steps")
    small.add_argument("--batch-size", type=int, metavar="N", help="in place of 256")
    small.add_argument("--evaluate-images", type=int, metavar="N", help="of each split, at most")
    jobs = one.add_argument_group("on a cluster, by submitit")
    add = jobs.add_argument
    add("--cluster", choices=("slurm", "local"), help="submit workers as an array of jobs")
    add("--workers", type=int, default=1, metavar="N", help="jobs of the array (%(default)s)")
    add("--gres", metavar="WHAT", help="what each gets alone (gpu:1 where --device is a GPU); none")
    add("--partition", metavar="NAME", help="of SLURM")
    add("--cpus", type=int, default=4, metavar="N", help="for each job (%(default)s)")
    add("--hours", type=float, default=24.0, metavar="H", help="time limit (%(default)s)")
    add("--wait", action="store_true", help="until the jobs have ended")


def _run(args: argparse.Namespace) -> int:
    from naslib_ecnas.campaign import Pace, Settings, work
    from naslib_ecnas.errors import ConfigError

    how, *file = args.meter
    if len(file) > 1:
        raise ConfigError("one file is replayed", value=file)
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
    with _told_to_stop(), MeasureProgress(folder) as shown:
        done = work(
            folder, settings, pace=pace, limit=args.limit, told=shown.told, stepped=shown.stepped
        )
    bad = [one for one in done if one.how != "recorded"]
    print(f"{len(done) - len(bad)} units recorded; see: ecnas measure status {folder}")
    return 0


def _device(cluster: str | None) -> str:
    """A GPU where there is one; the nodes of a cluster are taken to have them."""
    if cluster == "slurm":
        return "cuda:0"
    from naslib_ecnas.errors import MissingDependencyError

    try:
        import torch
    except ModuleNotFoundError as error:
        raise MissingDependencyError("torch", feature="measuring", extra="measure") from error
    return "cuda:0" if torch.cuda.is_available() else "cpu"


@contextmanager
def _told_to_stop() -> Iterator[None]:
    """Treat SIGTERM as an interrupt, so that the unit is freed at once."""

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
    print(f"{len(jobs)} jobs: {', '.join(jobs)}; see: ecnas measure status {folder}")
    return 0


# -- status, validate, export ---------------------------------------------------------------------


def _status(args: argparse.Namespace) -> int:
    from naslib_ecnas.campaign import status

    found = status(Path(args.campaign).expanduser())
    if args.json:
        print_json(found.to_json())
        return 0
    _show(found)
    return 0


def _show(found: Status) -> None:
    live = sum(not one.stale for one in found.running)
    print(
        f"{found.name}: {found.recorded:,} of {found.planned:,} units recorded, {live} at work, "
        f"{len(found.given_up)} given up"
    )
    rate = _known(found.units_per_hour, ".3g", "units an hour")
    print(f"rate {rate}; to come {duration_text(found.remaining_s)} with {max(live, 1)} worker(s)")
    print(
        f"energy so far {_known(found.energy_kwh, '.4g', 'kWh')}, to come "
        f"{_known(found.energy_to_come_kwh, '.4g', 'kWh')} (by the {found.foretold_by}; PUE out)"
    )
    if found.lost.attempts:
        print(
            f"lost: {found.lost.attempts} attempts, {duration_text(found.lost.seconds)}, at least "
            f"{_known(found.lost.energy_kwh, '.4g', 'kWh')}"
        )
    rows = [
        (
            one.unit,
            "stale" if one.stale else "at work",
            f"{one.worker}, {duration_text(one.since_s)}",
        )
        for one in found.running
    ]
    rows += [(one.unit, "given up", f"{one.attempts} x {one.reason}") for one in found.given_up]
    rows += [(unit, "damaged", "ecnas measure validate") for unit in found.unreadable]
    if rows:
        print()
        print_table(("unit", "state", "what"), rows[:_SHOWN])


def _known(value: float, form: str, unit: str) -> str:
    return f"{value:{form}} {unit}" if math.isfinite(value) else f"unknown {unit}"


def _validate(args: argparse.Namespace) -> int:
    from naslib_ecnas.campaign import requeue, validate

    folder = Path(args.campaign).expanduser()
    found = validate(folder)
    moved = requeue(folder, found.redo, why=found.why) if args.requeue else []
    if args.json:
        print_json({**found.to_json(), "requeued": moved})
    else:
        _report(found)
        if args.requeue:
            print(f"requeued: {len(moved)} units")
        if moved:
            print(f"measure them: ecnas measure run {folder}")
    return 0 if found.good and (found.spotless or not args.strict) else 1


def _report(found: Validation) -> None:
    print(
        f"{found.records:,} records of {found.planned:,} units: {len(found.faults)} faults, "
        f"{len(found.doubts)} doubts, {len(found.missing):,} missing"
    )
    rows = [(one.unit, "FAULT", one.code, one.text) for one in found.faults]
    rows += _alike(found.doubts)
    if rows:
        print()
        print_table(("unit", "", "what", "found"), rows[:_SHOWN])
        if len(rows) > _SHOWN:
            print(f"and {len(rows) - _SHOWN} more: --json")
    if found.redo:
        some = ", ".join(found.redo[:8]) + (", ..." if len(found.redo) > 8 else "")
        print(f"\nmeasure again: {some} (--requeue)")


def _alike(doubts: Sequence[Finding]) -> list[tuple[str, str, str, str]]:
    """A line for each text, since what is so of the machine is so of every unit."""
    units: dict[tuple[str, str], dict[str, None]] = {}
    for one in doubts:
        units.setdefault((one.code, one.text), {})[one.unit] = None
    return [
        (next(iter(names)) if len(names) == 1 else f"{len(names):,} units", "doubt", code, text)
        for (code, text), names in units.items()
    ]


def _export(args: argparse.Namespace) -> int:
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
        print("SYNTHETIC: these numbers are no measurements", file=sys.stderr)
    return 0

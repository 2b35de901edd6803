"""`ecnas measure`: plan, run, check and export a campaign of measured trainings."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

from naslib_ecnas import campaign
from naslib_ecnas.campaign import Cluster, DataChoice, Done, Pace, Plan, Settings, Validation
from naslib_ecnas.campaign.acceptance import CHECKS, Outcome, accept, target, verdict
from naslib_ecnas.campaign.cluster import on_gpus
from naslib_ecnas.campaign.estimate import Estimate, modelled, timed
from naslib_ecnas.campaign.measurement import recorded
from naslib_ecnas.campaign.plan import file_rows, rehearsal
from naslib_ecnas.commands.options import JSON, Options, Run, actions, add_shared, check_out, chosen
from naslib_ecnas.console import (
    duration_text,
    installed_version,
    print_json,
    print_table,
    progress,
    quantity_text,
    split_words,
)
from naslib_ecnas.energy import MeterError
from naslib_ecnas.energy.nvml import named_gpus
from naslib_ecnas.errors import ConfigError, EcnasError, MissingDependencyError, counted
from naslib_ecnas.files import atomic_write, cache_folder, expanded, to_json
from naslib_ecnas.space import Space
from naslib_ecnas.surrogate.calibrate import choose
from naslib_ecnas.training.recipe import SPEED

#: Options of a rehearsal, where they are not given.
_REHEARSED = {"steps": 2, "batch_size": 4, "evaluate_images": 4, "baseline": 0.5, "warm_up": 0.0}
#: Epochs of the benchmark's longest trainings.
_LONGEST = 108
#: Seconds on a CPU from which on a run warns.
_LONG_S = 3600.0
#: Lines that the reports of `status` and `validate` show at most.
_MOST_LINES = 30


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the actions of the command."""
    examples = (
        "ecnas measure plan --space 7v --design 20 --data cifar10 DIR --out my-gpu",
        "ecnas measure run my-gpu --device cuda:0",
        "ecnas measure status my-gpu",
        "ecnas measure validate my-gpu --requeue",
        "ecnas measure export my-gpu --out my-gpu.csv",
    )
    plan, run, status, validate, export = examples
    action = actions(
        parser,
        "A campaign is a folder with a plan of trainings and a record of each finished one. Any "
        "number of workers may share it; one that dies loses only its current unit.",
        *examples,
    )

    def action_on_campaign(run: Run, *examples: str) -> Options:
        add = action(run, *examples)
        add("campaign", "CAMPAIGN", "folder of the campaign")
        return add

    _add_check(action(_check, "ecnas measure check --out check.json"))
    rehearsal = "ecnas measure plan --space 4v --design 8 --data synthetic \\\n"
    rehearsal += "    --images-per-file 4 --out rehearsal"
    _add_plan(action(_plan, plan, rehearsal))
    gpus, slurm = (
        "ecnas measure run my-gpu --gpus all",
        "ecnas measure run my-gpu --cluster slurm --workers 4 --partition gpu",
    )
    _add_run(action_on_campaign(_run, run, gpus, slurm, "ecnas measure run my-gpu --rehearse"))
    add = action_on_campaign(_status, status)
    add(*JSON)
    add = action_on_campaign(_validate, validate)
    add(*JSON)
    add("--strict", help="exit with 1 for doubts and missing units too")
    add("--requeue", help="put the units to measure again in the queue")
    rehearsal = "ecnas measure export rehearsal --out rehearsal.csv --allow-synthetic"
    add = action_on_campaign(_export, export, rehearsal)
    add("--out", "FILE", "its suffix is the format", required=True)
    add("--pue", "P", "PUE to multiply all kWh by (%(default)s)", default=1.0)
    add("--carbon-intensity", "G", "gCO2eq/kWh, a country's code, or world")
    about = "energy that counts (auto: with the CPU if every record has its energy)"
    add("--energy", help=about, choices=("auto", "gpu", "gpu+cpu"), default="auto")
    about = "energy_kwh of start-up and training steps, as in all other tables, or of the steps "
    about += "alone; evaluations are in neither (%(default)s)"
    add("--span", help=about, choices=("training", "steps"), default="training")
    add("--allow-synthetic", help="export unmeasured values, marked so")
    about = "energy and time at these epochs instead, on a line through those that were trained"
    add("--extrapolate", "A,B", about)


# -- plan -----------------------------------------------------------------------------------------


def _add_plan(add: Options) -> None:
    add("--space", help="space (%(default)s)", default="4v", choices=("4v", "5v", "7v"))
    add("--cells", "FILE", "cells to train, a row or a cell's text on each line", type=expanded)
    add("--design", "N", "the N cells that are best for a calibration", type=int)
    add("--epochs", "A,B", "epochs of each cell (%(default)s)", default="4")
    add("--repeats", "N", "trainings of each (%(default)s)", default=1)
    add("--limit", "N", "at most N units, drawn at random", type=int)
    about = "cifar10 [DIR] (default: cifar10 in the cache), tfrecord DIR, or synthetic"
    add("--data", ("KIND", "DIR"), about, nargs="+", required=True)
    add("--images-per-file", "N", "images in a file (10,000; synthetic 256)", type=int)
    add("--recipe", help="recipe (%(default)s)", default="ecnas", choices=("nasbench101", "ecnas"))
    add("--seed", "SEED", "seed of the campaign (%(default)s)", default=0)
    about = "what the estimate is for: a torch device, on which some steps are timed, a GPU of the "
    about += "tables such as titan-xp, or a calibration's file (cuda:0 if there is one)"
    add("--device", "DEVICE", about)
    add("--out", "CAMPAIGN", "new folder of the campaign", required=True)
    fast = add.group("for speed (recorded as departures from the recipe)")
    about = "arithmetic of convolutions and products (%(default)s)"
    fast("--precision", help=about, choices=("fp32", "tf32", "bf16"), default="fp32")
    fast("--channels-last", help="memory layout with the channels innermost")
    fast("--compile", help="compile networks by torch.compile")
    fast("--cuda-graphs", help="submit each training step as one CUDA graph")


def _plan(args: argparse.Namespace) -> None:
    """Write a plan, one unit for each cell, budget and repeat, into a new folder."""
    vertices = int(args.space.removesuffix("v"))
    if args.cells is not None and args.design is not None:
        raise ConfigError("choose the cells by --cells or by --design, not by both")
    rows: Sequence[int] = range(len(Space(vertices)))
    if args.cells is not None:
        rows = file_rows(args.cells)
    elif args.design is not None:
        rows = choose(args.design, vertices=vertices, seed=args.seed).tolist()
    kind, *place = args.data
    if len(place) > 1:
        raise ConfigError("--data takes a kind and at most one path", value=args.data)
    if kind == "cifar10" and not place:
        place = [str(cache_folder() / "cifar10")]
    folder = str(expanded(place[0]).resolve()) if place else None
    images = args.images_per_file
    if images is None:
        images = 256 if kind == "synthetic" else 10_000
    plan = campaign.make_plan(
        rows,
        name=args.out.name,
        vertices=vertices,
        epochs=_epochs(args.epochs, "--epochs"),
        data=DataChoice(kind=kind, path=folder, images_per_file=images),
        speed=[n for n in SPEED if n == args.precision or getattr(args, n, False)],
        **chosen(args, "repeats recipe seed limit"),
    )
    found = _estimate(plan, args.device)
    plan.write(args.out)
    if folder is not None and not Path(folder).is_dir():
        print(f"note: there is no folder {folder}; the workers need it", file=sys.stderr)
    print(f"{counted(len(plan.units), 'unit')} planned in {args.out}")
    hours = f"{duration_text(found.seconds)} and {_kwh(found.energy_kwh)}"
    print(f"estimate with one worker: {hours}, {found.basis}")
    budgets = {unit.epochs for unit in plan.units}
    if len(budgets) > 1 and max(budgets) < _LONGEST:
        line = f"ecnas measure export {args.out} --extrapolate {_LONGEST}"
        print(f"energy is affine in epochs, so longer trainings need not be measured: {line}")
    print(f"measure them: ecnas measure run {args.out}")


def _epochs(text: str, option: str) -> list[int]:
    """The budgets of an option, separated by commas."""
    try:
        return [int(word) for word in split_words(text)]
    except ValueError as error:
        raise ConfigError(f"{option} must be budgets such as 4,12,36,108", value=text) from error


def _estimate(plan: Plan, device: str | None) -> Estimate:
    """Hours and kWh from steps timed on a device of torch, or else by the models of a GPU."""
    if device is None and installed_version("torch") is not None:
        device = _device(None).replace("cpu", "") or None
    if device is None:
        found = modelled(plan)
        return replace(found, basis=f"{found.basis}; on the machine of a GPU its steps are timed")
    if not device.startswith(("cuda", "cpu")):
        return modelled(plan, device)
    with progress():
        try:
            return timed(plan, Settings(device=device))
        except (MeterError, MissingDependencyError) as error:
            print(f"note: the energy is unknown: {error}", file=sys.stderr)
            return timed(plan, Settings(device=device, meter="none"))


# -- run ------------------------------------------------------------------------------------------


def _add_run(add: Options) -> None:
    add("--device", "DEVICE", "torch device (cuda:0 if there is one, else cpu)")
    about = "auto: GPU and CPU, as far as they can be measured; none: no energies (%(default)s)"
    add("--meter", help=about, choices=("auto", "none"), default="auto")
    add("--gpu", "NAME", "GPU to measure, as in nvidia-smi -L (that of --device)")
    add_shared(add)
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
    about = "GPUs with a worker for each: all, or indices and UUIDs, separated by commas"
    add("--gpus", "WHICH", about)
    small = add.group("for small machines (recorded as departures from the recipe)")
    small(
        "--rehearse",
        help="try out the first two units, or --limit, with 2 steps, in a folder of their own",
    )
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


def _run(args: argparse.Namespace) -> None:
    """Measure until no unit is left. --gpus starts a worker for each GPU of this machine, --cluster
    jobs; without them this process is the one worker."""
    if args.gpus is not None and (args.cluster or args.gpu):
        raise ConfigError("--gpus takes neither --cluster nor --gpu", value=args.gpus)
    pace = Pace(tries=args.tries, stale_s=args.stale, wait=not args.no_wait)
    if args.rehearse:
        args.campaign = rehearsal(args.campaign, 2 if args.limit is None else args.limit)
        for name, value in _REHEARSED.items():
            if getattr(args, name) in (None, 10.0):
                setattr(args, name, value)
    settings = Settings(
        device=_device(args.cluster or args.gpus) if args.device is None else args.device,
        baseline_s=args.baseline,
        warm_up_s=args.warm_up,
        **chosen(args, "meter gpu shared images steps batch_size evaluate_images"),
    )
    if args.cluster:
        _launch(args, settings, pace)
        return
    if args.gpus is not None:
        _run_on_gpus(args, settings, pace)
        return
    if settings.device == "cpu" and settings.steps is None and settings.batch_size is None:
        _warn_of_length(args.campaign, settings)
    options = {"pace": pace, "limit": args.limit, "on_attempt": print_outcome}
    with progress(slow=True) if sys.stderr.isatty() else nullcontext():
        done = campaign.work(args.campaign, settings, **options)
    recorded = sum(attempt.how == "recorded" for attempt in done)
    print(f"{counted(recorded, 'unit')} recorded; see: ecnas measure status {args.campaign}")


def _run_on_gpus(args: argparse.Namespace, settings: Settings, pace: Pace) -> None:
    gpus, before = [gpu.uuid for gpu in named_gpus(args.gpus)], recorded(args.campaign)
    on_gpus(partial(_work, args.campaign, settings, pace, args.limit), gpus)
    done = counted(len(recorded(args.campaign) - before), "unit")
    print(f"{done} recorded; see: ecnas measure status {args.campaign}")


def _work(folder: Path, settings: Settings, pace: Pace, limit: int | None, gpu: str) -> int:
    """Exit code of the worker of one GPU, in its own process."""
    own = replace(settings, gpu=gpu) if settings.meter == "auto" else settings
    on_attempt = partial(print_outcome, label=f"{gpu}: ")
    try:
        campaign.work(folder, own, pace=pace, limit=limit, on_attempt=on_attempt)
    except EcnasError as error:
        print(f"ecnas: error: {gpu}: {error}", file=sys.stderr)
        return 1
    return 0


def _warn_of_length(folder: Path, settings: Settings) -> None:
    """Say on stderr how long the units to come will take, if that is more than an hour."""
    plan, there = Plan.read(folder), recorded(folder)
    if left := tuple(unit for unit in plan.units if unit.name not in there):
        found = timed(replace(plan, units=left), replace(settings, meter="none"))
        if found.seconds > _LONG_S:
            text = f"about {duration_text(found.seconds)} on this CPU; with a few steps: --rehearse"
            print(f"note: {text}", file=sys.stderr)


def _device(elsewhere: str | None) -> str:
    """cuda:0 if there is a GPU, else cpu; other nodes and named GPUs are not looked at here."""
    if elsewhere not in (None, "local"):
        return "cuda:0"
    try:
        import torch
    except ModuleNotFoundError as error:
        raise MissingDependencyError("torch", feature="measuring", extra="measure") from error
    return "cuda:0" if torch.cuda.is_available() else "cpu"


def _launch(args: argparse.Namespace, settings: Settings, pace: Pace) -> None:
    default = "gpu:1" if settings.device.startswith("cuda") else None
    gres = None if args.gres == "none" else args.gres or default
    resources = chosen(args, "workers partition cpus hours")
    cluster = Cluster(kind=args.cluster, gres=gres, **resources)
    options = {"pace": pace, **chosen(args, "limit wait")}
    jobs = campaign.launch(args.campaign, settings, cluster, **options)
    shown = f"{counted(len(jobs), 'job')}: {', '.join(jobs)}"
    print(f"{shown}; see: ecnas measure status {args.campaign}")


def print_outcome(done: Done, label: str = "") -> None:
    """Print a line about an attempt, which `label` begins."""
    detail = f": {done.detail}" if done.detail else ""
    line = f"{label}{done.unit}: {done.how} after {duration_text(done.seconds)}{detail}"
    print(line, flush=True)


# -- check ----------------------------------------------------------------------------------------


def _add_check(add: Options) -> None:
    add("--device", "DEVICE", "torch device (cuda:0 if there is one, else cpu)")
    add("--gpu", "NAME", "GPU to measure, as in nvidia-smi -L (that of --device)")
    add_shared(add)
    add("--only", "NAMES", "make these checks alone, by their names, separated by commas")
    add("--out", "FILE", "write the outcomes as JSON, again after each check")


def _check(args: argparse.Namespace) -> int:
    """Check a machine before a campaign, in 2 to 8 minutes: sensors, synchronisation, arithmetic,
    memory, resumption. The exit code is 0 only if all checks were made and are good."""
    from naslib_ecnas.training import check_device  # it needs torch

    device = _device(None) if args.device is None else args.device
    # An empty text is the name of no check.
    names = list(CHECKS) if args.only is None else list(split_words(args.only)) or [args.only]
    check_device(device)
    check_out(args.out)
    made: list[Outcome] = []
    try:
        with progress() as shown:
            for outcome in accept(target(device, args.gpu, args.shared), names):
                made.append(outcome)
                shown(f"check {outcome.check}", len(made), len(names))
                if args.out is not None:
                    found = {"device": device, "gpu": args.gpu, "verdict": verdict(made)}
                    with atomic_write(args.out) as file:
                        text = to_json({**found, "checks": made}, indent=1)
                        file.write(text.encode("utf-8") + b"\n")
    finally:  # after an interrupt what was found is shown, too
        if made:
            rows = [(o.check, o.state, f"{o.seconds:.1f}", o.found) for o in made]
            print_table(("check", "", "s", "found"), rows, right=(2,))
            print(f"\n{verdict(made)}")
    return 0 if verdict(made) == "good" else 1


# -- status, validate, export ---------------------------------------------------------------------


def _status(args: argparse.Namespace) -> None:
    """Show progress, rate, remaining time, energy and failed units."""
    found = campaign.status(args.campaign)
    if args.json:
        print_json(found.to_json())
        return
    live = sum(not one.stale for one in found.running)
    print(
        f"{found.name}: {found.recorded:,} of {found.planned:,} units recorded, {live} running, "
        f"{len(found.given_up)} given up"
    )
    rate = quantity_text(found.units_per_hour, ".3g", "units an hour")
    workers = counted(max(live, 1), "worker")
    print(f"rate {rate}; remaining time {duration_text(found.remaining_s)} with {workers}")
    used, to_come = _kwh(found.energy_kwh), _kwh(found.energy_to_come_kwh)
    basis = f"estimated from the {found.estimated_from}; without PUE"
    print(f"energy so far {used}, remaining {to_come} ({basis})")
    if (lost := found.lost).attempts:
        spent = f"{duration_text(lost.seconds)}, about {_kwh(lost.energy_kwh)}"
        print(f"lost: {counted(lost.attempts, 'attempt')}, {spent}")
    rows = [
        (r.unit, "stale" if r.stale else "running", f"{r.worker}, {duration_text(r.since_s)}")
        for r in found.running
    ]
    rows += [(one.unit, "given up", f"{one.attempts} x {one.reason}") for one in found.given_up]
    rows += [(unit, "damaged", "ecnas measure validate") for unit in found.unreadable]
    if rows:
        print()
        print_table(("unit", "state", "details"), rows[:_MOST_LINES])


def _kwh(value: float) -> str:
    return quantity_text(value, ".4g", "kWh")


def _validate(args: argparse.Namespace) -> int:
    """Check every record and list the units to measure again."""
    found = campaign.validate(args.campaign)
    moved = campaign.requeue(args.campaign, found.redo) if args.requeue else []
    if args.json:
        print_json({**found.to_json(), "requeued": moved})
    else:
        _print_validation(found)
        if args.requeue:
            print(f"requeued: {counted(len(moved), 'unit')}")
        if moved:
            print(f"measure them: ecnas measure run {args.campaign}")
    return 0 if found.good and (found.spotless or not args.strict) else 1


def _print_validation(found: Validation) -> None:
    print(
        f"{counted(found.records, 'record')} of {counted(found.planned, 'unit')}: "
        f"{counted(len(found.faults), 'fault')}, {counted(len(found.doubts), 'doubt')}, "
        f"{len(found.missing):,} missing"
    )
    rows = [(one.unit, "FAULT", one.code, one.text) for one in found.faults]
    # One line for each text, since a doubt about the machine concerns every unit.
    units: dict[tuple[str, str], set[str]] = {}
    for one in found.doubts:
        units.setdefault((one.code, one.text), set()).add(one.unit)
    for (code, text), names in units.items():
        who = names.pop() if len(names) == 1 else f"{len(names):,} units"
        rows.append((who, "doubt", code, text))
    if rows:
        print()
        print_table(("unit", "", "code", "found"), rows[:_MOST_LINES])
        if len(rows) > _MOST_LINES:
            print(f"and {len(rows) - _MOST_LINES} more, see --json")
    if found.redo:
        some = ", ".join(found.redo[:8]) + (", ..." if len(found.redo) > 8 else "")
        print(f"\nmeasure again: {some} (--requeue)")


def _export(args: argparse.Namespace) -> None:
    """Write the records as a table (.ecnas, .tfrecord, .parquet, .csv)."""
    cpu = {"auto": None, "gpu": False, "gpu+cpu": True}[args.energy]
    options = chosen(args, "pue span allow_synthetic")
    if args.extrapolate is not None:
        options["extrapolate"] = _epochs(args.extrapolate, "--extrapolate")
    options |= {"carbon": args.carbon_intensity, "cpu": cpu}
    columns = campaign.export(args.campaign, args.out, **options)
    print(args.out)
    if any(origin.kind == "synthetic" for origin in columns.provenance.values()):
        print("SYNTHETIC: these numbers are not measurements", file=sys.stderr)

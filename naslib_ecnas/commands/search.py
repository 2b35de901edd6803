"""`ecnas search`: one search over one table; prints its front, its knee and its cost."""

from __future__ import annotations

import argparse
import math
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from naslib_ecnas.console import (
    ConsoleProgress,
    add_table_options,
    examples,
    print_json,
    print_lines,
    print_table,
    progress_bar,
    quantity_text,
    split_words,
    table_options,
)

if TYPE_CHECKING:
    from naslib_ecnas.benchmark import Benchmark
    from naslib_ecnas.search.result import SearchResult

__all__ = ["add_parser", "plot", "report", "run"]


_EVALUATIONS = 500
_OBJECTIVES = "energy_kwh,validation_accuracy"


def add_parser(subparsers: Any) -> None:
    """Add the command to the parser of `ecnas`."""
    parser = subparsers.add_parser(
        "search",
        help="search a table for the best trade-offs of energy and accuracy",
        description="Search a table for the best trade-offs between objectives. Every evaluation "
        "is charged as the training it stands for. Reported are the front (the cells that no "
        "other found cell dominates), its knee (the best compromise) and its extremes.",
        **examples(
            "ecnas search --method semoa --evaluations 500 --seed 0 --out runs/first",
            "ecnas search --method re --max-energy 20 --out runs/budget",
            "ecnas report runs",
        ),
    )
    add = parser.add_argument
    add("--table", default="7v", metavar="NAME", help="table or file (%(default)s)")
    add(
        "--method",
        default="semoa",
        metavar="NAME",
        help="semoa, random, sh-emoa, mse-hvi, re or ls (%(default)s)",
    )
    add(
        "--evaluations",
        type=int,
        metavar="N",
        help=f"limit on the trainings charged ({_EVALUATIONS} if no limit is given)",
    )
    add(
        "--max-energy",
        type=float,
        metavar="KWH",
        help="limit on the energy of all trainings, in kWh",
    )
    add("--max-epochs", type=int, metavar="N", help="limit on the epochs of all trainings")
    add(
        "--max-time", type=float, metavar="S", help="limit on the time of all trainings, in seconds"
    )
    add(
        "--free-repeats",
        action="store_true",
        help="do not charge cells that were evaluated before",
    )
    add("--seed", type=int, default=0, metavar="N", help="seed of the run (%(default)s)")
    add("--epochs", type=int, metavar="N", help="training budget (the table's largest)")
    add(
        "--objectives",
        default=_OBJECTIVES,
        metavar="A,B",
        help="two or more metrics, comma-separated (%(default)s)",
    )
    add("--paper", action="store_true", help="the method as in the published code")
    add("--out", metavar="DIR", help="new folder for history, front, costs, config and plot")
    add("--overwrite", action="store_true", help="replace an earlier search in --out")
    add("--no-plot", action="store_true", help="write no plot")
    add("--json", action="store_true", help="print one JSON object")
    add_table_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command; returns 0.

    Raises:
        EcnasError: a setting is not possible, or the table or a file cannot be read or written.
    """
    from naslib_ecnas import search
    from naslib_ecnas.loading import load
    from naslib_ecnas.search.result import document

    limits = _limits(args)
    search.check(args.method, **limits, seed=args.seed, paper=args.paper)
    with ConsoleProgress() as fetching:
        bench = load(args.table, progress=fetching, **table_options(args))
    start = time.perf_counter()
    with progress_bar("searching") as on_progress:
        result = search.run(
            bench,
            args.method,
            objectives=split_words(args.objectives),
            epochs=args.epochs,
            **limits,
            charge_repeats=not args.free_repeats,
            seed=args.seed,
            out=args.out,
            overwrite=args.overwrite,
            paper=args.paper,
            on_progress=on_progress,
        )
    seconds = time.perf_counter() - start
    if args.out and not args.no_plot and len(result.front):
        plot(bench, result, Path(args.out))
    if args.json:
        print_json(document(result))
    else:
        report(result, seconds)
        if result.spent.unknown["co2_g"]:
            print("for gCO2eq, choose --carbon-intensity world or a country such as DK")
        if args.out:
            print(f"written to: {args.out}")
    return 0


def _limits(args: argparse.Namespace) -> dict[str, Any]:
    """The limits of the search, as keyword arguments of `search.run`."""
    limits = {
        "evaluations": args.evaluations,
        "max_energy_kwh": args.max_energy,
        "max_epochs": args.max_epochs,
        "max_time_s": args.max_time,
    }
    if all(value is None for value in limits.values()):
        limits["evaluations"] = _EVALUATIONS
    return limits


# -- the report ------------------------------------------------------------------------------


def plot(bench: Benchmark, result: SearchResult, folder: Path) -> None:
    """Write `front.png` and `front.pdf`, or a note to stderr if matplotlib is missing."""
    from naslib_ecnas.errors import MissingDependencyError
    from naslib_ecnas.figures.drawing import save
    from naslib_ecnas.figures.front import front_figure

    try:
        save(front_figure(bench, result), folder / "front")
    except MissingDependencyError as error:
        print(f"plot skipped: {error}", file=sys.stderr)


def report(result: SearchResult, seconds: float | None = None) -> None:
    """Print the knee and the extremes, the hypervolume and the costs.

    Args:
        result: the finished search.
        seconds: duration of the search; not printed if None.
    """
    from naslib_ecnas.metrics import metric

    config = result.config
    setting = " (paper setting)" if config.paper else ""
    print(
        f"{config.method}{setting} on {config.table} at {config.epochs} epochs, seed "
        f"{config.seed}: {len(result.front)} cells on the front, {result.hypervolume:.4f} of the "
        "true front's hypervolume\n"
    )
    if len(result.front):
        _report_front(result)
    for name in config.objectives:
        print_lines([f"{metric(name).about}: {config.provenance[name]}"])
    if not len(result.front):
        print(f"no evaluation at {config.epochs} epochs: raise the limits of the search")
    _report_costs(result, seconds)


def _report_front(result: SearchResult) -> None:
    """Print the knee and the extremes."""
    from naslib_ecnas.cell import Cell
    from naslib_ecnas.metrics import metric

    config = result.config
    named = _named(result)
    shown = [n for n in ("energy_kwh", "validation_accuracy") if n in result.details]
    shown = list(dict.fromkeys([*config.objectives, *shown, "parameters", "training_time_s"]))
    print_table(
        ("", *(metric(name).about for name in shown), "row", "chosen for"),
        [
            (
                key,
                *(_shown(name, _value(result, name, index)) for name in shown),
                str(result.rows[index]),
                why,
            )
            for key, why, index in named
        ],
        right=range(1, len(shown) + 2),
    )
    print()
    for key, _, index in named:
        print(f"{key}  {Cell.from_row(int(result.rows[index]))}")
    print()


def _report_costs(result: SearchResult, seconds: float | None) -> None:
    """Print the number of evaluations and what training them would have cost."""
    spent = result.spent.to_dict()
    took = "" if seconds is None else f", in {seconds:.2f} s"
    print(
        f"this search: {spent['evaluations']:,} evaluations of {len(set(result.rows.tolist())):,} "
        f"cells{took}\n"
        f"training them would have cost: {spent['epochs']:,} epochs, "
        f"{quantity_text(spent['seconds'] / 3600, '.4g', 'hours of training')}, "
        f"{_shown('energy_kwh', spent['energy_kwh'])}, "
        f"{quantity_text(spent['co2_g'], ',.4g', 'gCO2eq')}"
    )
    if len(set(result.epochs.tolist())) > 1:
        at = [
            f"{int((result.epochs == b).sum()):,} at {b}"
            for b in sorted(set(result.epochs.tolist()))
        ]
        print(f"by epochs: {', '.join(at)}; the front is of those at {result.config.epochs}")
    if result.answered:
        print(f"not charged: {result.answered:,} repeated cells")
    if result.skipped:
        print(f"not charged: {result.skipped:,} proposals outside the table")
    if result.ended_by != "evaluations":
        print(f"ended by: {result.ended_by}")


def _named(result: SearchResult) -> list[tuple[str, str, int]]:
    """Knee and extremes in the order of the front: name, reason, number of the evaluation."""
    from naslib_ecnas.metrics import metric

    named = [("rk", "knee", result.knee)]
    for i, (name, index) in enumerate(zip(result.config.objectives, result.extremes, strict=True)):
        found = metric(name)
        named.append((f"r{i}", f"{'highest' if found.maximise else 'lowest'} {found.about}", index))
    place = {index: i for i, index in enumerate(result.front.tolist())}
    return sorted(named, key=lambda item: place[item[2]])


def _value(result: SearchResult, name: str, index: int) -> float:
    if name in result.config.objectives:
        return float(result.values[index, result.config.objectives.index(name)])
    return float(result.details[name][index]) if name in result.details else math.nan


def _shown(name: str, value: float) -> str:
    """A value with its unit, in Wh below one kWh."""
    from naslib_ecnas.metrics import metric

    unit = metric(name).unit
    if unit == "kWh" and value < 1:
        return quantity_text(value * 1000, ".4g", "Wh")
    if not unit and metric(name).upper == 1.0:
        return quantity_text(value, ".4f")
    return quantity_text(value, ",.0f" if not unit else ",.4g", unit)

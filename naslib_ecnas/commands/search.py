"""`ecnas search`: one search over one table, with its front, its knee and what it costs."""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from naslib_ecnas.commands.help_text import examples
from naslib_ecnas.commands.search_report import plot, report
from naslib_ecnas.commands.table_options import add_table_options, setting
from naslib_ecnas.console import ShownProgress, print_json

if TYPE_CHECKING:
    pass

__all__ = ["add_parser", "run"]

_EVALUATIONS = 500
_OBJECTIVES = "energy_kwh,validation_accuracy"


def add_parser(subparsers: Any) -> None:
    """Add the command to those of `ecnas`."""
    parser = subparsers.add_parser(
        "search",
        help="search a table for the best trade-offs of energy and accuracy",
        description="Search a table for the best trade-offs between objectives, charge every "
        "evaluation as the training it stands for, and report the front (what nothing "
        "found is better than in every objective), its knee (the best compromise) and its "
        "extremes.",
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
        help=f"most trainings to charge the search for ({_EVALUATIONS} where nothing is limited)",
    )
    add("--max-energy", type=float, metavar="KWH", help="most energy of all trainings, in kWh")
    add("--max-epochs", type=int, metavar="N", help="most epochs of all trainings")
    add("--max-time", type=float, metavar="S", help="most time of all trainings, in seconds")
    add(
        "--free-repeats",
        action="store_true",
        help="answer a cell that was trained before without a charge",
    )
    add("--seed", type=int, default=0, metavar="N", help="seed of the run (%(default)s)")
    add("--epochs", type=int, metavar="N", help="training budget (the table's largest)")
    add(
        "--objectives",
        default=_OBJECTIVES,
        metavar="A,B",
        help="two or more metrics, comma-separated (%(default)s)",
    )
    add("--paper", action="store_true", help="the method as the published code has it")
    add("--out", metavar="DIR", help="new folder for history, front, costs, settings and plot")
    add("--overwrite", action="store_true", help="replace an earlier search in --out")
    add("--no-plot", action="store_true", help="write no plot")
    add("--json", action="store_true", help="print one JSON object")
    add_table_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command.

    Returns:
        0.

    Raises:
        EcnasError: a setting is not possible, or the table or a file cannot be had.
    """
    from naslib_ecnas import search
    from naslib_ecnas.loading import load
    from naslib_ecnas.search.files import document

    limits = _limits(args)
    search.check(args.method, **limits, seed=args.seed, paper=args.paper)
    with ShownProgress() as fetching:
        bench = load(args.table, progress=fetching, **setting(args))
    objectives = [name.strip() for name in args.objectives.split(",") if name.strip()]
    start = time.perf_counter()
    with _progress() as on_progress:
        result = search.run(
            bench,
            args.method,
            objectives=objectives,
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
        if not math.isfinite(result.spent.co2_g):
            print("for gCO2eq say where: --carbon-intensity world, or a country such as DK")
        if args.out:
            print(f"written to: {args.out}")
    return 0


def _limits(args: argparse.Namespace) -> dict[str, Any]:
    """What the search may spend."""
    limits = {
        "evaluations": args.evaluations,
        "max_energy_kwh": args.max_energy,
        "max_epochs": args.max_epochs,
        "max_time_s": args.max_time,
    }
    if all(value is None for value in limits.values()):
        limits["evaluations"] = _EVALUATIONS
    return limits


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None] | None]:
    """A progress bar on stderr, where that is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("searching", total=None)
        yield lambda made, total: bar.update(task, completed=made, total=total)

"""`ecnas compare`: every method on every table with every seed, resumable, as one tidy file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from naslib_ecnas.console import (
    add_table_options,
    examples,
    print_json,
    print_table,
    split_words,
    table_options,
)

if TYPE_CHECKING:
    from naslib_ecnas.comparison.results import Summary

__all__ = ["add_parser", "finish", "run", "runs_progress", "seed_list"]


def add_parser(subparsers: Any) -> None:
    """Add the command to the parser of `ecnas`."""
    parser = subparsers.add_parser(
        "compare",
        help="compare search methods over tables and seeds",
        description="Run every method on every table with every seed under the same rules, and "
        "write one tidy file, figures and tables. A stopped comparison continues where it "
        "stopped: finished runs are not repeated.",
        **examples(
            "ecnas compare --methods semoa,random,re --tables 4v,5v --seeds 5 \\\n"
            "    --evaluations 500 --out comparison",
            "ecnas report comparison --out comparison.html",
        ),
    )
    add = parser.add_argument
    add(
        "--methods",
        default="semoa,random",
        metavar="A,B",
        help="methods of `ecnas search` and of other libraries: nsga2, sms-emoa, motpe, "
        "optuna-nsga2, nsga3, qnehvi (%(default)s)",
    )
    add("--tables", default="7v", metavar="A,B", help="tables or files (%(default)s)")
    add("--seeds", default="10", metavar="N", help="how many seeds, or which: 3,7,9 (%(default)s)")
    add(
        "--evaluations",
        type=int,
        default=1000,
        metavar="N",
        help="trainings that each run is charged for (%(default)s)",
    )
    add(
        "--objectives",
        default="energy_kwh,validation_accuracy",
        metavar="A,B",
        help="two or more metrics (%(default)s)",
    )
    add("--epochs", type=int, metavar="N", help="training budget that is compared (the largest)")
    add("--jobs", type=int, default=1, metavar="N", help="runs in parallel (%(default)s)")
    add("--cluster", choices=("slurm", "local"), help="run as jobs of a cluster, through submitit")
    add("--out", required=True, metavar="DIR", help="folder of the comparison")
    add("--no-plot", action="store_true", help="write no figures")
    add("--json", action="store_true", help="print one JSON object")
    add_table_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command; returns 0.

    Raises:
        EcnasError: a setting is not possible, a table cannot be loaded, or a run failed.
    """
    from naslib_ecnas.comparison.compare import Grid, compare

    grid = Grid(
        methods=split_words(args.methods),
        tables=split_words(args.tables),
        seeds=seed_list(args.seeds),
        evaluations=args.evaluations,
        objectives=split_words(args.objectives),
        epochs=args.epochs,
        setting=table_options(args),
    )
    out = Path(args.out)
    with runs_progress() as on_progress:
        units = compare(grid, out, jobs=args.jobs, cluster=args.cluster, on_progress=on_progress)
    finish(out, units, table_options(args), json=args.json, plot=not args.no_plot)
    return 0


def finish(
    out: Path, units: Sequence[Any], setting: dict[str, Any], *, json: bool, plot: bool
) -> None:
    """Write the tidy file, the summaries and the figures of a comparison, and print its report.

    Args:
        out: folder of the comparison.
        units: its runs.
        setting: keyword arguments of `load` that the tables were opened with.
        json: print one JSON object in place of the report.
        plot: write the figures.
    """
    from naslib_ecnas.comparison.results import FILE, gather, summarise
    from naslib_ecnas.errors import MissingDependencyError

    results = gather(out, units, setting)
    results.sheet.write(out / FILE)
    summary = summarise(results)
    summary.write(out)
    if plot:
        from naslib_ecnas.figures.summary import write_figures

        try:
            write_figures(results, out)
        except MissingDependencyError as error:
            print(f"figures skipped: {error}", file=sys.stderr)
    if json:
        print_json(summary.document())
    else:
        _report(summary)
        print(f"written to: {out}")


def _report(summary: Summary) -> None:
    for table, lines in summary.by_table().items():
        print(f"\n{table}: share of the true front's hypervolume, median (quartiles) over seeds\n")
        print_table(
            ("method", "hypervolume", "IGD+", "evaluations", "kWh", "rank", "p against the best"),
            [line.shown() for line in lines],
            right=(1, 2, 3, 4, 5),
        )
    for note in summary.notes:
        print(f"\n{note}")
    print()


def seed_list(text: str) -> tuple[int, ...]:
    """Seeds from `"10"` (seeds 0 to 9) or from a list such as `"3,7,9"`.

    Raises:
        ConfigError: the text is neither.
    """
    from naslib_ecnas.comparison.compare import seeds_of
    from naslib_ecnas.errors import ConfigError

    try:
        numbers = [int(word) for word in split_words(text)]
    except ValueError:
        numbers = []
    if not numbers or (len(numbers) == 1 and "," not in text and numbers[0] < 1):
        raise ConfigError("seeds must be their number, such as 10, or a list: 3,7,9", value=text)
    return seeds_of(numbers[0] if len(numbers) == 1 and "," not in text else numbers)


@contextmanager
def runs_progress() -> Iterator[Callable[[int, int, str], None]]:
    """Progress of runs on stderr: a bar on a terminal, elsewhere a line for each tenth."""
    if not sys.stderr.isatty():
        printed = -1

        def print_line(done: int, total: int, last: str) -> None:
            nonlocal printed
            tenth = 10 * done // max(total, 1)
            if tenth != printed:
                printed = tenth
                print(f"{done} of {total} runs", file=sys.stderr)

        yield print_line
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    with Progress(
        TextColumn("runs"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.description}", style="dim"),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total, last: bar.update(
            task, completed=done, total=total, description=last
        )

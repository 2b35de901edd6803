"""`ecnas table`: the tables of the EC-NAS paper, computed from any table."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from naslib_ecnas.console import (
    ConsoleProgress,
    add_study_options,
    add_table_options,
    examples,
    print_json,
    print_lines,
    print_table,
    run_study,
    split_words,
    table_options,
)
from naslib_ecnas.files import exists

if TYPE_CHECKING:
    from naslib_ecnas.benchmark import Benchmark
    from naslib_ecnas.files import Sheet

__all__ = ["add_parser", "run"]

_TABLES = {
    1: "sizes of the spaces, and which values are measured or modelled",
    2: "least energy (r0), knee (rk) and highest accuracy (r1) that each method finds",
    3: "GPU-days, kWh and kgCO2eq that the tables save",
}
_ALL = "4v,5v,7v"


def add_parser(subparsers: Any) -> None:
    """Add the command to the parser of `ecnas`."""
    listed = "; ".join(f"{number}: {about}" for number, about in _TABLES.items())
    parser = subparsers.add_parser(
        "table",
        help="tables 1 to 3 of the paper from any table",
        description=f"Print a table of the EC-NAS paper. {listed}.",
        **examples(
            "ecnas table 1",
            "ecnas table 2 --table 5v --methods semoa,random --seeds 3",
            "ecnas table 3 --json",
        ),
    )
    add = parser.add_argument
    add("number", type=int, choices=tuple(_TABLES), metavar="N", help="1 to 3")
    add(
        "--table",
        metavar="NAME",
        help=f"table or file; tables 1 and 3 take several, comma-separated ({_ALL}; table 2: 7v)",
    )
    add("--out", metavar="DIR", help="folder to write table-N.csv to")
    add("--epochs", type=int, metavar="N", help="table 2: training budget (the largest)")
    add("--json", action="store_true", help="print one JSON object: the rows and their origin")
    add_study_options(parser, "table 2")
    add_table_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command; returns 0.

    Raises:
        EcnasError: a setting is not possible, or a table or a file cannot be read or written.
    """
    sheet, about = _MAKERS[args.number](args)
    written = None
    if args.out:
        written = sheet.write(Path(args.out).expanduser() / f"table-{args.number}.csv")
    if args.json:
        file = None if written is None else str(written)
        print_json({"table": args.number, "rows": list(sheet.records()), "about": about,
                    "file": file})  # fmt: skip
        return 0
    right = [i for i in range(len(sheet.headings)) if any(_is_number(row[i]) for row in sheet.rows)]
    print_table(sheet.headings, [list(map(_shown, row)) for row in sheet.rows], right=right)
    print()
    print_lines([about])
    if written is not None:
        print(f"written to: {written}")
    return 0


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float))


def _shown(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "unknown"
    if isinstance(value, float):
        return f"{value:,.3f}" if abs(value) >= 1 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _benches(args: argparse.Namespace, default: str) -> list[Benchmark]:
    from naslib_ecnas.loading import load

    names = default if args.table is None else args.table
    with ConsoleProgress() as fetching:
        return [
            load(name, progress=fetching, **table_options(args))
            # A path may contain a comma: what exists as a file is not split.
            for name in ([names] if exists(names) else split_words(names))
        ]


def _spaces(args: argparse.Namespace) -> tuple[Sheet, str]:
    from naslib_ecnas.figures.tables import spaces_sheet

    about = "cells_by_vertices: cells of 2, 3, ... vertices, counting input and output."
    return spaces_sheet(_benches(args, _ALL)), about


def _chosen(args: argparse.Namespace) -> tuple[Sheet, str]:
    from naslib_ecnas.errors import ConfigError
    from naslib_ecnas.figures.drawing import origins
    from naslib_ecnas.figures.summary import chosen_sheet
    from naslib_ecnas.loading import DEFAULT_TABLE

    benches = _benches(args, DEFAULT_TABLE)
    if len(benches) != 1:
        raise ConfigError("table 2 takes one table", value=args.table)
    (bench,) = benches
    data = run_study(bench, args)
    names = ("energy_kwh", "validation_accuracy", "training_time_s")
    about = (
        f"Table {data.table}, {data.epochs} epochs, {data.evaluations:,} evaluations, means and "
        f"standard deviations (sd) over {len(data.seeds)} seeds. "
        f"{origins(bench, [n for n in names if n in bench.metrics])}"
    )
    return chosen_sheet(data), about


def _saved(args: argparse.Namespace) -> tuple[Sheet, str]:
    from naslib_ecnas.figures.drawing import origins
    from naslib_ecnas.figures.tables import saved_sheet

    benches = _benches(args, _ALL)
    about = (
        "Cost of training all cells at 12, 36 and 108 epochs, which the tables save. linear: 39 "
        "times the total at 4 epochs, as in the paper; table: the table's own values. gpu_days "
        "is the training time on the device named below."
    )
    for bench in benches:
        held = [n for n in ("energy_kwh", "training_time_s") if n in bench.metrics]
        if held:
            about += f" {bench.name}: {origins(bench, held)}"
    return saved_sheet(benches), about


_MAKERS: dict[int, Callable[[argparse.Namespace], tuple[Sheet, str]]] = {
    1: _spaces,
    2: _chosen,
    3: _saved,
}

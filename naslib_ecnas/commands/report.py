"""`ecnas report`: one HTML page of a table and of searches over it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from naslib_ecnas.console import (
    ConsoleProgress,
    add_table_options,
    bytes_text,
    examples,
    print_json,
    table_options,
)
from naslib_ecnas.errors import ConfigError, UnknownTableError
from naslib_ecnas.files import exists, is_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from naslib_ecnas.report import Run

__all__ = ["add_parser", "run"]


def add_parser(subparsers: Any) -> None:
    """Add the command to the parser of `ecnas`."""
    parser = subparsers.add_parser(
        "report",
        help="one HTML page of a table and of searches over it",
        description="Write one self-contained HTML file: a scatter plot of every cell of a table, "
        "its true front, the fronts and curves of searches, and a drawing of each cell with its "
        "metrics. The page loads nothing from the network.",
        **examples(
            "ecnas report runs --out report.html",
            "ecnas report runs/first runs/second --out report.html --overwrite",
            "ecnas report --table 7v --out all.html",
        ),
    )
    add = parser.add_argument
    add(
        "runs",
        nargs="*",
        metavar="DIR",
        help="folder of `ecnas search` or `ecnas compare`, or a folder that holds such folders",
    )
    add("--table", metavar="NAME", help="table or file (the table of the runs; 7v without runs)")
    add("--out", default="report.html", metavar="FILE", help="page to write (%(default)s)")
    add("--epochs", type=int, metavar="N", help="training budget that the page shows first")
    add("--overwrite", action="store_true", help="replace an earlier file")
    add("--json", action="store_true", help="print one JSON object")
    add_table_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command; returns 0.

    Raises:
        EcnasError: a setting is not possible, a run or the table cannot be read, or the file
            cannot be written.
    """
    from naslib_ecnas.loading import load
    from naslib_ecnas.report import find_runs, gather, write_page

    out = Path(args.out)
    if is_folder(out) or (exists(out) and not args.overwrite):
        remedy = "choose another --out" + ("" if is_folder(out) else ", or pass --overwrite")
        raise ConfigError("the output must be a new file", value=str(out), remedy=remedy)
    found = find_runs(args.runs)
    table = _table_of(found) if args.table is None else args.table
    with ConsoleProgress() as fetching:
        try:
            bench = load(table, progress=fetching, **table_options(args))
        except UnknownTableError as error:
            if args.table:
                raise
            raise ConfigError(
                "the table of the runs cannot be found by its name",
                value=table,
                remedy="name its file by --table, with the --device, --pue, ... of the search",
            ) from error
    if len({each.table for each in found}) > 1:
        found = tuple(each for each in found if each.table == bench.name)
    with ConsoleProgress() as shown:
        shown(f"writing {out.name}")
        page = gather(bench, found, epochs=args.epochs)
        size = write_page(page, out)
    if args.json:
        print_json(
            {
                "file": str(out),
                "bytes": size,
                "table": page.table,
                "cells": page.n_held,
                "epochs": page.epochs,
                "metrics": list(page.metrics),
                "runs": [each.label for each in page.runs],
            }
        )
        return 0
    runs = f" and {len(found)} run{'s' if len(found) > 1 else ''}" if found else ""
    print(f"written to: {out} ({bytes_text(size)}; {page.n_held:,} cells of {page.table}{runs})")
    return 0


def _table_of(runs: Sequence[Run]) -> str:
    """The table that all runs searched; the default table if there are no runs."""
    from naslib_ecnas.loading import DEFAULT_TABLE

    names = sorted({each.table for each in runs})
    if len(names) > 1:
        remedy = "choose one by --table and write a page for each"
        raise ConfigError("the runs must search one table", value=names, remedy=remedy)
    return names[0] if names else DEFAULT_TABLE

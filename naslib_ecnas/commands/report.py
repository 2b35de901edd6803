"""`ecnas report`: one HTML page of a table and of runs over it, to open in any browser."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from naslib_ecnas.console import (
    ShownProgress,
    add_table_options,
    bytes_text,
    examples,
    print_json,
    setting,
)
from naslib_ecnas.errors import ConfigError, UnknownTableError
from naslib_ecnas.files import exists, is_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from naslib_ecnas.report import Run

__all__ = ["add_parser", "run"]


def add_parser(subparsers: Any) -> None:
    """Add the command to those of `ecnas`."""
    parser = subparsers.add_parser(
        "report",
        help="one HTML page of a table and of searches over it",
        description="Write one self-contained HTML file: every cell of a table as a scatter, its "
        "true front, the fronts and curves of searches, and each cell as a drawing with its "
        "costs. It loads nothing from anywhere.",
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
        help="folder of `ecnas search` or `ecnas compare`, or a folder of such folders",
    )
    add("--table", metavar="NAME", help="table or file (that of the runs; 7v without runs)")
    add("--out", default="report.html", metavar="FILE", help="the page (%(default)s)")
    add("--epochs", type=int, metavar="N", help="training budget that is shown first")
    add("--overwrite", action="store_true", help="replace an earlier file")
    add("--json", action="store_true", help="print one JSON object")
    add_table_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command.

    Returns:
        0.

    Raises:
        EcnasError: a setting is not possible, or a run, the table or the file cannot be had.
    """
    from naslib_ecnas.loading import load
    from naslib_ecnas.report import find_runs, gather, write_page

    out = Path(args.out)
    if is_folder(out) or (exists(out) and not args.overwrite):
        raise ConfigError(
            "the output is there already",
            value=str(out),
            expected="a new file",
            remedy="choose another --out" + ("" if is_folder(out) else ", or pass --overwrite"),
        )
    found = find_runs(args.runs)
    table = _table_of(found) if args.table is None else args.table
    with ShownProgress() as fetching:
        try:
            bench = load(table, progress=fetching, **setting(args))
        except UnknownTableError as error:
            if args.table:
                raise
            raise ConfigError(
                "the runs' table is not one that can be opened by its name",
                value=table,
                expected="--table",
                remedy="name it by --table, with the --device, --pue, ... of the search",
            ) from error
    if len({each.table for each in found}) > 1:
        found = tuple(each for each in found if each.table == bench.name)
    with ShownProgress() as shown:
        shown.started(out.name, "writing", None, 0)
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
    """The one table of some runs, the default one where there are none."""
    from naslib_ecnas.loading import DEFAULT_TABLE

    names = sorted({each.table for each in runs})
    if len(names) > 1:
        raise ConfigError(
            "the runs are of several tables",
            value=", ".join(names),
            expected="runs over one table",
            remedy="choose one of them by --table, a page for each",
        )
    return names[0] if names else DEFAULT_TABLE

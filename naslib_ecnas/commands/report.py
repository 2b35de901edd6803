"""`ecnas report`: one HTML page of a table and of searches over it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from naslib_ecnas.commands.options import JSON, add_table_options, command, open_table
from naslib_ecnas.console import bytes_text, print_json, progress
from naslib_ecnas.errors import ConfigError, UnknownTableError, counted
from naslib_ecnas.files import exists, is_folder
from naslib_ecnas.report import Run, find_findings, find_runs, gather, write_page


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = command(
        parser,
        run,
        "ecnas report runs --out report.html",
        "ecnas report runs/first runs/second --out report.html --overwrite",
        "ecnas report --table 7v --out all.html",
    )
    about = "folder of `ecnas search` or `ecnas compare`, or a folder that holds such folders"
    add("runs", "DIR", about, nargs="*")
    add("--table", "TABLE", "table or file (the table of the runs; 7v without runs)")
    add("--out", "FILE", "page to write (%(default)s)", default="report.html")
    add("--epochs", "E", "training budget that the page shows first", type=int)
    add("--overwrite", help="replace an earlier file")
    add(*JSON)
    add_table_options(add)


def run(args: argparse.Namespace) -> None:
    """Write one self-contained HTML file: a scatter plot of every cell of a table, its true front,
    the fronts and curves of searches, and a drawing of each cell with its metrics. The page loads
    nothing from the network."""
    out: Path = args.out
    if is_folder(out) or (exists(out) and not args.overwrite):
        remedy = "choose another --out" + ("" if is_folder(out) else ", or pass --overwrite")
        raise ConfigError("the output must be a new file", value=str(out), remedy=remedy)
    found = find_runs(args.runs)
    table = _table_of(found) if args.table is None else args.table
    try:
        bench = open_table(args, table)
    except UnknownTableError as error:
        if args.table:
            raise
        message = "the table of the runs cannot be found by its name"
        remedy = "name its file by --table, with the --device, --world, ... of the search"
        raise ConfigError(message, value=table, remedy=remedy) from error
    if len({each.table for each in found}) > 1:
        found = tuple(each for each in found if each.table == bench.name)
    with progress() as shown:
        shown(f"writing {out.name}")
        findings = find_findings(args.runs, bench.table.checksum)
        page = gather(bench, found, findings=findings, epochs=args.epochs)
        size = write_page(page, out)
    if args.json:
        print_json(
            {
                "file": str(out),
                "bytes": size,
                "table": bench.name,
                "cells": len(bench.rows),
                "epochs": page.epochs,
                "metrics": list(page.metrics),
                "runs": [each.label for each in page.runs],
            }
        )
        return
    runs = f" and {counted(len(found), 'run')}" if found else ""
    cells = counted(len(bench.rows), "cell")
    print(f"written to: {out} ({bytes_text(size)}; {cells} of {bench.name}{runs})")


def _table_of(runs: Sequence[Run]) -> str | None:
    """The table that all runs searched; None if there are no runs."""
    names = sorted({each.table for each in runs})
    if len(names) > 1:
        remedy = "choose one by --table and write a page for each"
        raise ConfigError("the runs must search one table", value=names, remedy=remedy)
    return names[0] if names else None

"""`ecnas table`: the tables of the EC-NAS paper, computed from any table."""

from __future__ import annotations

import argparse

from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.commands.options import (
    JSON,
    add_study_options,
    add_table_options,
    command,
    open_table,
    run_study,
)
from naslib_ecnas.console import print_json, print_lines, print_table, split_words
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.figures.drawing import origins
from naslib_ecnas.figures.summary import chosen_sheet
from naslib_ecnas.figures.tables import formatted, saved_sheet, shown, spaces_sheet
from naslib_ecnas.files import Sheet, atomic_write, exists

_TABLES = {
    1: "sizes of the spaces, and which values are measured or modelled",
    2: "least energy (r0), knee (rk) and highest accuracy (r1) that each method finds",
    3: "GPU-days, kWh and kgCO2eq that the tables save",
}
_ALL = "4v,5v,7v"
#: Formats of a table in a text -> suffix of its file.
_SUFFIXES = {"latex": "tex", "markdown": "md"}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = command(
        parser,
        run,
        "ecnas table 1",
        "ecnas table 2 --table 5v --methods semoa,random --seeds 3",
        "ecnas table 3 --carbon-intensity world --format latex",
    )
    listed = "; ".join(f"{number}: {about}" for number, about in _TABLES.items())
    add("number", "N", listed, type=int, choices=tuple(_TABLES))
    about = f"table or file; tables 1 and 3 take several, comma-separated ({_ALL}; table 2: 7v)"
    add("--table", "TABLES", about)
    about = "print it to paste it elsewhere; latex needs the package booktabs"
    add("--format", help=about, choices=(*_SUFFIXES, "csv", "json"))
    add("--out", "DIR", "folder to write table-N.csv, .tex or .md to")
    add("--epochs", "E", "table 2: training budget (the largest)", type=int)
    add(*JSON)
    add_study_options(add, "table 2")
    add_table_options(add)


def run(args: argparse.Namespace) -> None:
    """Print a table of the EC-NAS paper."""
    sheet, about = (_spaces, _chosen, _saved)[args.number - 1](args)
    kind = "json" if args.json else args.format
    text = formatted(sheet, about, kind) if kind in _SUFFIXES else sheet.text().rstrip("\n")
    written = None
    if args.out:
        written = args.out / f"table-{args.number}.{_SUFFIXES.get(kind, 'csv')}"
        with atomic_write(written) as file:
            file.write(f"{text}\n".encode())
    if kind == "json":
        file_name = None if written is None else str(written)
        rows = list(sheet.records())
        print_json({"table": args.number, "rows": rows, "about": about, "file": file_name})
        return
    if kind is not None:
        print(text)
        return
    columns = enumerate(zip(*sheet.rows, strict=True))
    right = [i for i, column in columns if any(isinstance(v, (int, float)) for v in column)]
    print_table(sheet.headings, [list(map(shown, row)) for row in sheet.rows], right=right)
    print()
    print_lines([about])
    if written is not None:
        print(f"written to: {written}")


def _benches(args: argparse.Namespace) -> list[Benchmark]:
    names = _ALL if args.table is None else args.table
    # A path may contain a comma: what exists as a file is not split.
    return [open_table(args, name) for name in ([names] if exists(names) else split_words(names))]


def _spaces(args: argparse.Namespace) -> tuple[Sheet, str]:
    about = "cells_by_vertices: cells of 2, 3, ... vertices, counting input and output."
    return spaces_sheet(_benches(args)), about


def _chosen(args: argparse.Namespace) -> tuple[Sheet, str]:
    if args.table and not exists(args.table) and len(split_words(args.table)) > 1:
        raise ConfigError("table 2 takes one table", value=args.table)
    bench = open_table(args)
    data = run_study(bench, args)
    about = (
        f"Table {data.table}, {data.epochs} epochs, {data.evaluations:,} evaluations, means and "
        f"standard deviations (sd) over {len(data.seeds)} seeds. "
    )
    metrics = ("energy_kwh", "validation_accuracy", "training_time_s")
    return chosen_sheet(data), about + _origins(bench, *metrics)


def _saved(args: argparse.Namespace) -> tuple[Sheet, str]:
    benches = _benches(args)
    about = (
        "Cost of training all cells at 12, 36 and 108 epochs, which the tables save. linear: 39 "
        "times the total at 4 epochs, as in the paper; table: the table's own values. gpu_days "
        "is the training time on the device named below."
    )
    for bench in benches:
        if held := _origins(bench, "energy_kwh", "training_time_s"):
            about += f" {bench.name}: {held}"
    sheet = saved_sheet(benches)
    if any(record["co2_kg"] != record["co2_kg"] for record in sheet.records()):
        about += " For an unknown co2_kg, choose --carbon-intensity: gCO2eq/kWh, DK, EU or world."
    return sheet, about


def _origins(bench: Benchmark, *metrics: str) -> str:
    """A sentence on the origin of each of the metrics that the table has."""
    return origins(bench, [name for name in metrics if name in bench.metrics])

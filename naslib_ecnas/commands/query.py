"""`ecnas query`: the metrics of one cell, each with its unit and origin."""

from __future__ import annotations

import argparse
import math
import re
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.commands.options import JSON, add_table_options, command, open_table
from naslib_ecnas.console import print_json, print_lines, print_table
from naslib_ecnas.metrics import metric
from naslib_ecnas.network import DERIVED
from naslib_ecnas.records import Record


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = command(
        parser,
        run,
        "ecnas query 7v 1000",
        "ecnas query 4v 011001000:input,conv3x3-bn-relu,output --epochs 4",
        "ecnas query 7v 1000 --device titan-xp --pue 1.2 --carbon-intensity DK",
    )
    add("table", "TABLE", "name (see: ecnas data list) or file")
    about = "row number, NAS-Bench-101 hash, or the matrix as row-major bits with the operations: "
    add("cell", "CELL", about + "011001000:input,maxpool3x3,output")
    add("--epochs", "E", "training budget (the table's largest)", type=int)
    add("--repeat", "R", "number of the repeat, from 0 (the mean over all)", type=int)
    add(*JSON)
    add_table_options(add)


def run(args: argparse.Namespace) -> None:
    """Show every metric of one cell at one training budget, with its unit and origin."""
    bench = open_table(args)
    cell = int(args.cell) if re.fullmatch(r"-?[0-9]{1,12}", args.cell) else args.cell
    record = bench.query(cell, args.epochs, repeat=args.repeat)
    if args.json:
        print_json(_document(bench, record))
    else:
        _report(bench, record)


def _document(bench: Benchmark, record: Record) -> dict[str, Any]:
    values = _values(bench, record)
    return {
        "table": bench.name,
        "row": record.row,
        "cell": str(record.cell),
        "hash": record.cell.nasbench_hash,
        "epochs": record.epochs,
        "repeat": record.repeat,
        "repeats": bench.repeats,
        "metrics": values,
        "units": {name: metric(name).unit for name in values},
        "provenance": {name: bench.provenance[name].to_json() for name in values},
        "attributes": dict(bench.table.attributes),
    }


def _values(bench: Benchmark, record: Record) -> dict[str, float]:
    """All metrics of the record, derived ones included."""
    values = record.to_dict()
    return {name: values[name] for name in (*bench.metrics, *DERIVED)}


def _report(bench: Benchmark, record: Record) -> None:
    if record.repeat is not None:
        which = f"repeat {record.repeat} of {bench.repeats}"
    else:
        which = "one training" if bench.repeats == 1 else f"mean of {bench.repeats} trainings"
    print(f"{bench.name}: {record.epochs} epochs, {which}")
    print(f"row {record.row}, {record.cell}")
    print(f"hash {record.cell.nasbench_hash}")
    provenance = bench.provenance
    sources = {(p.source, p.sha256) for p in provenance.values() if p.source}
    if len(sources) == 1:  # printed once rather than in every line
        source, sha256 = sources.pop()
        print(f"from {source}" + (f", SHA-256 {sha256}" if sha256 else ""))
        provenance = {name: replace(p, source=None) for name, p in provenance.items()}
    print()
    notes: dict[str, int] = {}
    rows = []
    for name, value in _values(bench, record).items():
        origin = provenance[name]
        mark = f" [{notes.setdefault(origin.note, len(notes) + 1)}]" if origin.note else ""
        unit = "" if name.endswith("_unix_s") else metric(name).unit
        rows.append((name, _number(name, value), unit, f"{replace(origin, note=None)}{mark}"))
    print_table(("metric", "value", "unit", "origin"), rows, right=[1])
    print()
    attributes = bench.table.attributes
    print_lines(
        [
            *(f"[{number}] {note}" for note, number in notes.items()),
            *(f"note: {note}" for note in attributes.get("notes", "").split("; ") if note),
            *(f"cite: {text}" for text in [attributes.get("citation")] if text),
        ]
    )


def _number(name: str, value: float) -> str:
    if math.isnan(value):
        return "missing"
    if name.endswith("_unix_s"):
        # The files give times without a zone; they are read as UTC.
        return datetime.fromtimestamp(value, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
    return f"{value:.6g}" if abs(value) < 1e6 else f"{value:,.0f}"

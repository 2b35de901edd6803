"""`ecnas data`: list, fetch, verify, convert, export, describe and build tables."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import asdict
from pathlib import Path
from shutil import get_terminal_size
from typing import Any

from naslib_ecnas._version import __version__
from naslib_ecnas.commands.options import JSON, actions, chosen
from naslib_ecnas.console import bytes_text, print_json, print_lines, print_table, progress
from naslib_ecnas.data.cache import place_of_cache, tables_in_cache
from naslib_ecnas.data.catalog import FileEntry, catalog, file_entry, named
from naslib_ecnas.data.convert import built, cached_table, check_suffix, export, verify
from naslib_ecnas.data.croissant import card
from naslib_ecnas.data.fetch import fetch, local_copy
from naslib_ecnas.data.table import Table
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.files import atomic_write, exists, expanded, is_folder, to_json
from naslib_ecnas.loading import load, table_file
from naslib_ecnas.plugins import installed
from naslib_ecnas.space import Space
from naslib_ecnas.statement import statement
from naslib_ecnas.surrogate import EMBEDDED
from naslib_ecnas.surrogate.modelled import Models
from naslib_ecnas.surrogate.models import BUDGETS


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the actions of the command."""
    action = actions(
        parser,
        "The published files and the tables made from them. The tables 7v, 5v and 4v come with the "
        "package and need neither files nor a network.",
        "ecnas data list",
        "ecnas data fetch 4v-4epochs",
        "ecnas query 4v-4epochs 0 --epochs 4",
    )
    action(_list, "ecnas data list", "ecnas data list --json")(*JSON)

    add = action(_fetch, "ecnas data fetch 4v-4epochs 5v-4epochs")
    add("names", "PUBLISHED", "name of a table or file, see: ecnas data list", nargs="+")
    about = "accept a file for which no checksum is published; its SHA-256 is recorded"
    add("--unverified", help=about)

    add = action(_verify, "ecnas data verify 5v-4epochs", "ecnas data verify my-table.ecnas")
    add("names", "PUBLISHED_OR_FILE", "name of a table or file, or a path", nargs="+")
    add(*JSON)

    add = action(_convert, "ecnas data convert cells.csv", "ecnas query cells.csv 0")
    add("source", "TABLE", "name of a table, or a file or folder")
    add("--afresh", help="convert again even if that was done before")

    add = action(_export, "ecnas data export 4v cells.csv")
    add("source", "TABLE", "name of a table, or a path")
    add("out", "FILE", "file to write; its suffix is the format")

    own = "ecnas data export 4v 4v.csv", "ecnas data card 4v.csv --out 4v.json"
    add = action(_card, "ecnas data card 5v", *own, "ecnas data card 5v --quality")
    add("source", "TABLE", "name of a table, or a path")
    add("--out", "FILE", "file to write (default: print)")
    about = "instead, say in sentences what is known about the energies: how they were measured, "
    add("--quality", help=about + "the range of power, and which costs are reported")

    long = "ecnas data build 7v --nasbench nasbench_full.tfrecord --energy-model ours"
    add = action(_build, f"{long} \\\n    --out 7v-full.ecnas")
    add("name", "7v", "the table to build", choices=("7v",))
    add("--nasbench", "FILE", "NAS-Bench-101's file", required=True)
    about = "ours, or the paper's recipe, fitted again (%(default)s)"
    add("--energy-model", "MODEL", about, default="ours")
    add("--scaling", "SCALING", "for ours: affine (the default) or linear")
    add("--device", "GPU", "for ours: another GPU, such as titan-xp")
    add("--out", "FILE", "table to write (%(default)s)", default="7v-built.ecnas")


# -- list -------------------------------------------------------------------------------------


def _list(args: argparse.Namespace) -> None:
    """List every table and published file, and whether it is on this machine. The first column is
    the name that other commands take."""
    found = _listing()
    if args.json:
        print_json(found)
        return
    files = {file["name"]: file for file in found["files"]}
    rows = []
    for table in found["tables"]:
        file = files.pop(table["file"], None)
        here = "table" if table["table"] else "file" if file and file["path"] else "-"
        budgets, size = " ".join(map(str, table["budgets"])), _size(file) if file else "-"
        shape = table["name"], f"{table['cells']:,}", budgets
        rows.append((*shape, table["energy"], size, here, table["description"]))
    headings = ("table", "cells", "epochs", "energy", "size", "here", "description")
    # The last column is prose; it would break every line of a narrower terminal.
    wide = not sys.stdout.isatty() or get_terminal_size().columns > 110
    shown = len(headings) if wide else -1
    print_table(headings[:shown], [row[:shown] for row in rows], right=[1, 4])
    if found["installed"]:
        print()
        print_table(("other table", "package that adds it"), list(found["installed"].items()))
    if not wide:
        print("descriptions: a wider terminal, or --json")
    print()
    lines = [(f["name"], _size(f), f["licence"], f["note"] or "") for f in files.values()]
    print_table(("other file", "size", "licence", "description"), lines, right=[1])


def _size(file: dict[str, Any]) -> str:
    about = "~" if file["size"] is None and file["approximate_size"] else ""
    return about + bytes_text(file["size"] or file["approximate_size"])


def _listing() -> dict[str, Any]:
    """All tables and files, with the paths of those that are on this machine."""

    def text(found: Path | None) -> str | None:
        return str(found) if found else None

    about = "comes with the package: modelled energy, accuracy and time"
    same = {"budgets": BUDGETS, "repeats": 1, "energy": "modelled", "description": about}
    made, kept = list[dict[str, Any]](), tables_in_cache()
    for name, vertices in EMBEDDED.items():
        own = {"name": name, "vertices": vertices, "cells": len(Space(vertices)), "file": None}
        made.append({**own, **same, "table": text(kept.get(name))})
    for table in catalog().tables:
        kinds = [g.provenance.kind for g in table.groups if "energy_kwh" in g.metrics]
        own = {"file": table.file.name, "energy": kinds[0] if kinds else "none"}
        made.append({**asdict(table), **own, "table": text(cached_table(table))})
    return {
        "cache": place_of_cache(),
        "mirror": os.environ.get("ECNAS_MIRROR") or None,
        "tables": made,
        "installed": {
            name: package
            for name, package in installed("table").items()
            if name not in EMBEDDED and not any(named(name))  # those would never be loaded
        },
        "files": [{**asdict(file), "path": text(local_copy(file))} for file in catalog().files],
    }


# -- fetch and verify -------------------------------------------------------------------------


def _fetch(args: argparse.Namespace) -> None:
    """Download published files and check them. They go into the cache folder, or are taken from
    ECNAS_MIRROR if that is set, and are compared with their published checksums. An interrupted
    download continues where it stopped. Prints the paths."""
    # All names are looked up first: a misspelt last one must not be found after an hour.
    entries = [file_entry(name) for name in args.names]
    with progress():
        for entry in dict.fromkeys(entries):
            print(fetch(entry, unverified=args.unverified), flush=True)


def _verify(args: argparse.Namespace) -> int:
    """Check files against their published checksums, and every byte of tables."""
    with progress():
        names = [
            str(table_file(name)) if name in EMBEDDED or _theirs(name) else name
            for name in args.names
        ]
        found = [verdict for name in names for verdict in verify(name)]
    good = all(verdict.good for verdict in found)
    if args.json:
        print_json({"good": good, "files": [asdict(verdict) for verdict in found]})
    else:
        for verdict in found:
            stream = sys.stdout if verdict.good else sys.stderr
            print(f"{'good' if verdict.good else 'BAD '}  {verdict.what}", file=stream, flush=True)
    return 0 if good else 1


def _theirs(name: str) -> bool:
    """Whether an installed package adds this table; files of the same name come first."""
    return not exists(expanded(name)) and name in installed("table")


# -- convert, export and build ----------------------------------------------------------------


def _convert(args: argparse.Namespace) -> None:
    """Make a table from a file, in the cache, as other commands do where they are given a file. It
    may be a TFRecord, Parquet or CSV file, NASLib's pickle or a folder of results; the format is
    recognised by the content. Prints the table's path."""
    with progress():
        print(Table.open(table_file(args.source, afresh=args.afresh)).path)


def _export(args: argparse.Namespace) -> None:
    """Write a table as .ecnas, .tfrecord, .parquet (extra `tables`) or .csv, by the suffix of the
    file."""
    check_suffix(args.out)
    with progress():
        export(load(args.source).table, args.out)
    print(args.out)


def _build(args: argparse.Namespace) -> None:
    """Build the 7-vertex table from NAS-Bench-101's file and an energy model. The accuracies and
    times are the file's. The suffix of the output is its format. Prints the path of the table."""
    check_suffix(args.out)
    models = Models.shipped(model=args.energy_model, **chosen(args, "scaling device"))
    with progress() as shown:
        shown(f"reading {Path(args.nasbench).name}")
        origin = models.energy_provenance
        columns = built(args.nasbench, models.energies, origin, name=args.out.stem)
    export(columns, args.out)
    print(args.out)


# -- card -------------------------------------------------------------------------------------


def _card(args: argparse.Namespace) -> None:
    """Describe a table and its origin for programs, as Croissant JSON-LD. It may be one that comes
    with the package, a published one, or your own file, whose licence and citation are those that
    stand in its header."""
    if args.quality:
        _quality(args)
        return
    with progress():
        table = Table.open(table_file(args.source))
        # Only the tables that come with the package change with its version.
        version = __version__ if args.source in EMBEDDED else None
        file, address = _described(args.source, table.path, args.out)
        found = card(table, file, address=address, version=version)
    if args.out is None:
        print_json(found)
    else:
        _write(args.out, [to_json(found, indent=2)])


def _write(out: Path, lines: list[str]) -> None:
    """Write lines to a file, whole or not at all, and print its path."""
    with atomic_write(out) as stream:
        stream.write("".join(f"{line}\n" for line in lines).encode())
    print(out)


def _quality(args: argparse.Namespace) -> None:
    """Print or write a table's quality by the criteria of arXiv 2505.15631."""
    with progress():
        bench = load(args.source)
        found = statement(bench)
    lines = [f"{bench.name}: quality by the criteria of arXiv 2505.15631"]
    for number, criterion in enumerate(found, 1):
        lines += ["", f"{number}. {criterion.title}", *(f"   {text}" for text in criterion.known)]
        lines += [f"   Not known: {text}." for text in criterion.unknown]
    if args.out is None:
        print_lines(lines)
    else:
        _write(args.out, lines)


def _described(source: str, table: Path, out: Path | None) -> tuple[FileEntry | Path, str | None]:
    """The file that a card describes: published, made by the package, or the user's own; and the
    address of the last from the card, if not beside it."""
    if source in EMBEDDED or _theirs(source):
        return table, None
    own = expanded(source)
    if named(source)[0] or not exists(own):
        return file_entry(source), None
    if is_folder(own):
        remedy = f"make one first: ecnas data export {source} OUT.parquet"
        raise ConfigError("a card describes one file", value=source, remedy=remedy)
    if out is None:
        return own, None
    return own, Path(os.path.relpath(own.resolve(), out.resolve().parent)).as_posix()

"""`ecnas data`: list, fetch, verify, convert, export, describe and build tables."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import asdict
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any

from naslib_ecnas.commands.options import JSON, actions, chosen
from naslib_ecnas.console import bytes_text, print_json, print_table, progress
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.files import exists, expanded, is_file, is_folder

if TYPE_CHECKING:
    from naslib_ecnas.data.catalog import FileEntry
    from naslib_ecnas.data.croissant import DescribedFile
    from naslib_ecnas.data.table import Table
    from naslib_ecnas.progress import Progress


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

    example = "ecnas data convert cells.csv --out cells.ecnas", "ecnas query cells.ecnas 0"
    add = action(_convert, *example)
    add("source", "TABLE", "name of a table, or a file or folder")
    add("--out", "FILE", "also write the table to this file (suffix .ecnas)")
    add("--afresh", help="convert again even if that was done before")

    add = action(_export, "ecnas data export 4v cells.csv")
    add("source", "TABLE", "name of a table, or a path")
    add("out", "FILE", "file to write; its suffix is the format")

    own = "ecnas data export 4v 4v.csv", "ecnas data card 4v.csv --out 4v.json"
    add = action(_card, "ecnas data card 5v", *own)
    add("source", "TABLE", "name of a table, or a path")
    add("--out", "FILE", "file to write (default: print)")
    add("--licence", "ID", "SPDX identifier (default: the table's)")
    add("--citation", "TEXT", "what users cite (default: the table's)")
    add("--url", "ADDRESS", "page of the data set")
    add("--published", "DAY", "date of publication, such as 2024-04-14")

    long = "ecnas data build 7v --nasbench nasbench_full.tfrecord --energy-model ours"
    add = action(_build, f"{long} \\\n    --out 7v-full.ecnas")
    add("name", "7v", "the table to build", choices=("7v",))
    add("--nasbench", "FILE", "NAS-Bench-101's file", required=True)
    about = "ours; paper (the paper's recipe, fitted again); or paper-weights FILE (the weights "
    about += "that its authors published) (ours)"
    add("--energy-model", "MODEL", about, nargs="+", default=["ours"])
    add("--scaling", "SCALING", "for ours: affine (the default) or linear")
    add("--device", "GPU", "for ours: another GPU, such as titan-xp")
    add("--out", "FILE", "table to write (%(default)s)", default="7v-built.ecnas")


# -- list -------------------------------------------------------------------------------------


def _list(args: argparse.Namespace) -> None:
    """List every table and published file, and whether it is on this machine. The first column is
    the name that other commands take."""
    from naslib_ecnas.data.catalog import catalog

    found = _listing()
    if args.json:
        print_json(found)
        return
    sizes = {file.name: _size(file) for file in catalog().files}
    paths = {file["name"]: file["path"] for file in found["files"]}
    rows = []
    for table in (*found["embedded"], *found["tables"]):
        kinds = [c["kind"] for c in table.get("columns", ()) if "energy_kwh" in c["metrics"]]
        energy = "modelled" if "columns" not in table else "".join(kinds) or "none"
        here = "table" if table["table"] else "file" if paths.get(table.get("file")) else "-"
        budgets, size = " ".join(map(str, table["budgets"])), sizes.get(table.get("file"), "-")
        shape = table["name"], f"{table['cells']:,}", budgets
        rows.append((*shape, energy, size, here, table["description"]))
    headings = ("table", "cells", "epochs", "energy", "size", "here", "description")
    # The last column is prose; it would break every line of a narrower terminal.
    wide = not sys.stdout.isatty() or get_terminal_size().columns > 110
    shown = len(headings) if wide else -1
    print_table(headings[:shown], [row[:shown] for row in rows], right=[1, 4])
    if not wide:
        print("descriptions: a wider terminal, or --json")
    used = {table["file"] for table in found["tables"]}
    other = [f for f in catalog().files if f.name not in used]
    if other:
        print()
        lines = [(f.name, sizes[f.name], f.licence, f.note or "") for f in other]
        print_table(("other file", "size", "licence", "description"), lines, right=[1])


def _size(file: FileEntry) -> str:
    if file.size is None and file.approximate_size is not None:
        return f"~{bytes_text(file.approximate_size)}"
    return bytes_text(file.size)


def _listing() -> dict[str, Any]:
    """All tables and files, with the paths of those that are on this machine."""
    from naslib_ecnas.data.cache import place_of_cache, tables_in_cache
    from naslib_ecnas.data.catalog import catalog
    from naslib_ecnas.data.convert import cached_table
    from naslib_ecnas.data.fetch import local_copy
    from naslib_ecnas.space import Space
    from naslib_ecnas.surrogate import EMBEDDED
    from naslib_ecnas.surrogate.models import BUDGETS

    def text(found: Path | None) -> str | None:
        return str(found) if found and is_file(found) else None

    stated = ("vertices", "cells", "budgets", "repeats", "description", "notes")
    return {
        "cache": place_of_cache(),
        "mirror": os.environ.get("ECNAS_MIRROR") or None,
        "embedded": [
            {
                "name": name,
                "vertices": vertices,
                "cells": len(Space(vertices)),
                "budgets": BUDGETS,
                "description": "comes with the package: modelled energy, accuracy and time",
                "table": text(tables_in_cache().get(name)),
            }
            for name, vertices in EMBEDDED.items()
        ],
        "tables": [
            {
                "name": table.name,
                "file": table.file.name,
                **{key: getattr(table, key) for key in stated},
                "columns": [
                    {"metrics": group.metrics, **group.provenance.to_json()}
                    for group in table.groups
                ],
                "table": text(cached_table(table)),
            }
            for table in catalog().tables
        ],
        "files": [{**asdict(file), "path": text(local_copy(file))} for file in catalog().files],
    }


# -- fetch and verify -------------------------------------------------------------------------


def _fetch(args: argparse.Namespace) -> None:
    """Download published files and check them. They go into the cache folder, or are taken from
    ECNAS_MIRROR if that is set, and are compared with their published checksums. An interrupted
    download continues where it stopped. Prints the paths."""
    from naslib_ecnas.data.catalog import file_entry
    from naslib_ecnas.data.fetch import fetch

    # All names are looked up first: a misspelt last one must not be found after an hour.
    entries = [file_entry(name) for name in args.names]
    with progress() as shown:
        for entry in dict.fromkeys(entries):
            print(fetch(entry, progress=shown, unverified=args.unverified), flush=True)


def _verify(args: argparse.Namespace) -> int:
    """Check files against their published checksums, and every byte of tables."""
    from naslib_ecnas.data.convert import verify
    from naslib_ecnas.loading import table_file
    from naslib_ecnas.surrogate import EMBEDDED

    with progress() as shown:
        names = [
            str(table_file(name, progress=shown)) if name in EMBEDDED else name
            for name in args.names
        ]
        found = [verdict for name in names for verdict in verify(name, shown)]
    good = all(verdict.good for verdict in found)
    if args.json:
        print_json({"good": good, "files": [asdict(verdict) for verdict in found]})
    else:
        for verdict in found:
            stream = sys.stdout if verdict.good else sys.stderr
            print(f"{'good' if verdict.good else 'BAD '}  {verdict.what}", file=stream, flush=True)
    return 0 if good else 1


# -- convert, export and build ----------------------------------------------------------------


def _convert(args: argparse.Namespace) -> None:
    """Make a table from a file. It may be a TFRecord, Parquet or CSV file, NASLib's pickle or a
    folder of results; the format is recognised by the content. Prints the table's path."""
    from naslib_ecnas.data.table import write_table

    remedy = f"for other formats: ecnas data export {args.source} OUT"
    if args.out is not None:
        _check_suffix(args.out, remedy)
    with progress() as shown:
        as_file = args.out is None or args.afresh
        table = _table(args.source, shown, as_file=as_file, afresh=args.afresh)
    if args.out is not None:
        write_table(args.out, table.to_columns())
    print(args.out or table.path)


def _table(
    source: str, progress: Progress, *, as_file: bool = False, afresh: bool = False
) -> Table:
    """The table of a name or a file, made if needed; with `as_file`, in the cache."""
    from naslib_ecnas.data.table import Table
    from naslib_ecnas.loading import load, table_file

    if not as_file:
        return load(source, progress=progress).table
    return Table.open(table_file(source, afresh=afresh, progress=progress))


def _check_suffix(out: Path, remedy: str | None = None) -> None:
    if out.suffix != ".ecnas":
        raise ConfigError("--out must have the suffix .ecnas", value=str(out), remedy=remedy)


def _export(args: argparse.Namespace) -> None:
    """Write a table as .ecnas, .tfrecord, .parquet (extra `tables`) or .csv, by the suffix of the
    file."""
    from naslib_ecnas.data.convert import check_suffix, export

    check_suffix(args.out)
    with progress() as shown:
        export(_table(args.source, shown), args.out)
    print(args.out)


def _build(args: argparse.Namespace) -> None:
    """Build the 7-vertex table from NAS-Bench-101's file and an energy model. The accuracies and
    times are the file's. Prints the path of the table."""
    from naslib_ecnas.data.convert import built
    from naslib_ecnas.data.table import write_table
    from naslib_ecnas.surrogate.modelled import energy_model

    _check_suffix(args.out)
    energy, provenance = energy_model(args.energy_model, **chosen(args, "scaling device"))
    with progress() as shown:
        shown(f"reading {Path(args.nasbench).name}")
        columns = built(args.nasbench, energy, provenance, name=args.out.stem)
    write_table(args.out, columns)
    print(args.out)


# -- card -------------------------------------------------------------------------------------


def _card(args: argparse.Namespace) -> None:
    """Describe a table and its origin for programs, as Croissant JSON-LD. It may be one that comes
    with the package, a published one, or your own file."""
    from naslib_ecnas._version import __version__
    from naslib_ecnas.data.croissant import card
    from naslib_ecnas.files import atomic_write, to_json
    from naslib_ecnas.surrogate import EMBEDDED

    with progress() as shown:
        table = _table(args.source, shown, as_file=True)
        file = _described_file(args.source, table.path, args.out, shown)
    given = chosen(args, "licence citation url published")
    # Only the tables that come with the package change with its version.
    version = __version__ if args.source in EMBEDDED else None
    found = card(table, file, version=version, **given)
    if args.out is None:
        print_json(found)
        return
    with atomic_write(args.out) as stream:
        stream.write(f"{to_json(found, indent=2)}\n".encode())
    print(args.out)


def _described_file(
    source: str, table: Path, out: Path | None, progress: Progress
) -> DescribedFile:
    """The file that a card describes: published, made by the package, or the user's own."""
    from naslib_ecnas.data.catalog import file_entry, named
    from naslib_ecnas.data.croissant import DescribedFile
    from naslib_ecnas.surrogate import EMBEDDED

    if source in EMBEDDED:
        return DescribedFile.of(table, progress=progress)
    own = expanded(source)
    if named(source)[0] or not exists(own):
        return DescribedFile.published(file_entry(source))
    if is_folder(own):
        remedy = f"make one first: ecnas data export {source} OUT.parquet"
        raise ConfigError("a card describes one file", value=source, remedy=remedy)
    address = None
    if out is not None:
        address = Path(os.path.relpath(own.resolve(), out.resolve().parent)).as_posix()
    return DescribedFile.of(own, address=address, progress=progress)

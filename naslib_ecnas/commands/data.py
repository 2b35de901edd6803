"""`ecnas data`: list, fetch, verify, convert, export, describe and build tables."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import asdict
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any

from naslib_ecnas.console import (
    ConsoleProgress,
    bytes_text,
    examples,
    print_json,
    print_table,
    show_help,
)
from naslib_ecnas.errors import ConfigError

if TYPE_CHECKING:
    from naslib_ecnas.data.catalog import FileEntry, TableEntry
    from naslib_ecnas.data.croissant import DescribedFile

__all__ = ["add_parser"]


def add_parser(subparsers: Any) -> None:
    """Add the command to the parser of `ecnas`."""
    parser = subparsers.add_parser(
        "data",
        help="list, fetch, verify, convert, export and describe published tables",
        description="The published files and the tables made from them. The tables 7v, 5v and 4v "
        "come with the package and need neither files nor a network.",
        **examples(
            "ecnas data list",
            "ecnas data fetch 4v-4epochs",
            "ecnas query 4v-4epochs 0 --epochs 4",
        ),
    )
    parser.set_defaults(run=show_help(parser))
    actions = parser.add_subparsers(title="actions", metavar="ACTION")

    one = actions.add_parser(
        "list",
        help="list every table and file, and whether it is on this machine",
        description="List every table and every published file, and whether it is on this machine. "
        "The first column is the name that other commands take.",
        **examples("ecnas data list", "ecnas data list --json"),
    )
    one.add_argument("--json", action="store_true", help="print one JSON object")
    one.set_defaults(run=_list)

    one = actions.add_parser(
        "fetch",
        help="download and check published files; prints their paths",
        description="Download published files into the cache folder, or take them from "
        "ECNAS_MIRROR if that is set, and compare them with their published checksums. An "
        "interrupted download continues where it stopped. Prints the paths.",
        **examples("ecnas data fetch 4v-4epochs 5v-4epochs"),
    )
    one.add_argument(
        "names", nargs="+", metavar="NAME", help="name of a table or file, see: ecnas data list"
    )
    one.add_argument(
        "--unverified",
        action="store_true",
        help="accept a file for which no checksum is published; its SHA-256 is recorded",
    )
    one.set_defaults(run=_fetch)

    one = actions.add_parser(
        "verify",
        help="check files against published checksums, and every byte of tables",
        description="Check files against their published checksums, and every byte of tables.",
        **examples("ecnas data verify 5v-4epochs", "ecnas data verify my-table.ecnas"),
    )
    one.add_argument(
        "names", nargs="+", metavar="NAME_OR_FILE", help="name of a table or file, or a path"
    )
    one.add_argument("--json", action="store_true", help="print one JSON object")
    one.set_defaults(run=_verify)

    one = actions.add_parser(
        "convert",
        help="make a table from a file; prints its path",
        description="Make a table from a TFRecord, Parquet or CSV file, from NASLib's pickle or "
        "a folder of results. The format is recognised by the content. Prints the table's path.",
        **examples("ecnas data convert cells.csv --out cells.ecnas", "ecnas query cells.ecnas 0"),
    )
    one.add_argument("source", metavar="SRC", help="name of a table, or a file or folder")
    one.add_argument(
        "--out", metavar="FILE", help="also write the table to this file (suffix .ecnas)"
    )
    one.add_argument(
        "--afresh", action="store_true", help="convert again even if that was done before"
    )
    one.set_defaults(run=_convert)

    one = actions.add_parser(
        "export",
        help="write a table as .ecnas, .tfrecord, .parquet or .csv",
        description="Write a table in the format that the suffix of the file names: .ecnas, "
        ".tfrecord, .parquet (extra `parquet`) or .csv.",
        **examples("ecnas data export 4v cells.csv"),
    )
    one.add_argument("source", metavar="NAME_OR_FILE", help="name of a table, or a path")
    one.add_argument("out", metavar="OUT", help="file to write; its suffix is the format")
    one.set_defaults(run=_export)

    one = actions.add_parser(
        "card",
        help="a table's dataset card, as Croissant JSON-LD",
        description="Describe a table and its origin for programs (Croissant JSON-LD). It may "
        "be one that comes with the package, a published one, or your own file.",
        **examples(
            "ecnas data card 5v",
            "ecnas data export 4v 4v.csv",
            "ecnas data card 4v.csv --out 4v.json",
        ),
    )
    one.add_argument("source", metavar="NAME_OR_FILE", help="name of a table, or a path")
    one.add_argument("--out", metavar="FILE", help="file to write (default: print)")
    one.add_argument("--licence", metavar="ID", help="SPDX identifier (default: the table's)")
    one.add_argument("--citation", metavar="TEXT", help="what users cite (default: the table's)")
    one.add_argument("--url", metavar="ADDRESS", help="page of the data set")
    one.add_argument("--published", metavar="DAY", help="date of publication, such as 2024-04-14")
    one.set_defaults(run=_card)

    one = actions.add_parser(
        "build",
        help="build the 7-vertex table from NAS-Bench-101's file and an energy model",
        description="Write a table with the accuracies and times of a NAS-Bench-101 file and the "
        "energies of a model. Prints its path.",
        **examples(
            "ecnas data build 7v --nasbench nasbench_full.tfrecord --energy-model ours \\\n"
            "    --out 7v-full.ecnas"
        ),
    )
    one.add_argument("name", choices=("7v",), metavar="7v", help="the table to build")
    one.add_argument("--nasbench", required=True, metavar="FILE", help="NAS-Bench-101's file")
    one.add_argument(
        "--energy-model",
        nargs="+",
        default=["ours"],
        metavar="MODEL",
        help="ours; paper (the paper's recipe, fitted again); or paper-weights FILE (the weights "
        "that its authors published) (ours)",
    )
    one.add_argument("--scaling", metavar="HOW", help="for ours: affine (the default) or linear")
    one.add_argument("--device", metavar="GPU", help="for ours: another GPU, such as titan-xp")
    one.add_argument("--out", metavar="FILE", help="table to write (7v-built.ecnas)")
    one.set_defaults(run=_build)


# -- list -------------------------------------------------------------------------------------


def _list(args: argparse.Namespace) -> int:
    from naslib_ecnas.data.catalog import catalog

    entries = catalog()
    if args.json:
        print_json(_listing(entries.tables, entries.files))
        return 0
    rows = [
        (
            table["name"],
            f"{table['cells']:,}",
            " ".join(map(str, table["budgets"])),
            "modelled",
            "-",
            "-" if table["table"] is None else "table",
            table["description"],
        )
        for table in _embedded()
    ]
    rows += [
        (
            table.name,
            f"{table.cells:,}",
            " ".join(map(str, table.budgets)),
            table.provenance("energy_kwh").kind if table.describes("energy_kwh") else "none",
            _size(table.file),
            _here(table),
            table.description,
        )
        for table in entries.tables
    ]
    headings = ("table", "cells", "epochs", "energy", "size", "here", "description")
    # The last column is prose; it would break every line of a narrower terminal.
    wide = not sys.stdout.isatty() or get_terminal_size().columns > 110
    shown = len(headings) if wide else -1
    print_table(headings[:shown], [row[:shown] for row in rows], right=[1, 4])
    if not wide:
        print("descriptions: a wider terminal, or --json")
    used = {table.file.name for table in entries.tables}
    other = [
        (file.name, _size(file), file.licence, file.note or "")
        for file in entries.files
        if file.name not in used
    ]
    if other:
        print()
        print_table(("other file", "size", "licence", "description"), other, right=[1])
    return 0


def _embedded() -> list[dict[str, Any]]:
    """The tables that come with the package, with their files if they were made already."""
    from naslib_ecnas.data.convert import tables_folder
    from naslib_ecnas.space import Space
    from naslib_ecnas.surrogate import EMBEDDED
    from naslib_ecnas.surrogate.models import BUDGETS

    files = {name: tables_folder() / f"{name}.ecnas" for name in EMBEDDED}
    return [
        {
            "name": name,
            "vertices": vertices,
            "cells": len(Space(vertices)),
            "budgets": BUDGETS,
            "description": "comes with the package: modelled energy, accuracy and time",
            "table": str(files[name]) if files[name].is_file() else None,
        }
        for name, vertices in EMBEDDED.items()
    ]


def _size(file: FileEntry) -> str:
    if file.size is None and file.approximate_size is not None:
        return f"~{bytes_text(file.approximate_size)}"
    return bytes_text(file.size)


def _here(table: TableEntry) -> str:
    from naslib_ecnas.data.convert import cached_table
    from naslib_ecnas.data.fetch import local_copy

    if cached_table(table) is not None:
        return "table"
    return "file" if local_copy(table.file) is not None else "-"


def _listing(tables: tuple[TableEntry, ...], files: tuple[FileEntry, ...]) -> dict[str, Any]:
    from naslib_ecnas.data.convert import cached_table
    from naslib_ecnas.data.fetch import local_copy
    from naslib_ecnas.files import cache_folder

    def text(path: Path | None) -> str | None:
        return None if path is None else str(path)

    return {
        "cache": str(cache_folder()),
        "mirror": os.environ.get("ECNAS_MIRROR") or None,
        "embedded": _embedded(),
        "tables": [
            {
                "name": table.name,
                "file": table.file.name,
                "vertices": table.vertices,
                "cells": table.cells,
                "budgets": table.budgets,
                "repeats": table.repeats,
                "description": table.description,
                "notes": table.notes,
                "columns": [
                    {"metrics": group.metrics, **group.provenance.to_json()}
                    for group in table.groups
                ],
                "table": text(cached_table(table)),
            }
            for table in tables
        ],
        "files": [{**asdict(file), "path": text(local_copy(file))} for file in files],
    }


# -- fetch ------------------------------------------------------------------------------------


def _fetch(args: argparse.Namespace) -> int:
    from naslib_ecnas.data.catalog import file_entry
    from naslib_ecnas.data.fetch import fetch

    # All names are looked up first: a misspelt last one must not be found after an hour.
    entries = [file_entry(name) for name in args.names]
    with ConsoleProgress() as progress:
        for entry in dict.fromkeys(entries):
            print(fetch(entry, progress=progress, unverified=args.unverified), flush=True)
    return 0


# -- verify -----------------------------------------------------------------------------------


def _verify(args: argparse.Namespace) -> int:
    from naslib_ecnas.data.convert import verify
    from naslib_ecnas.loading import table_file
    from naslib_ecnas.surrogate import EMBEDDED

    with ConsoleProgress() as progress:
        names = [
            str(table_file(name, progress=progress)) if name in EMBEDDED else name
            for name in args.names
        ]
        found = [verdict for name in names for verdict in verify(name, progress)]
    if args.json:
        print_json({"good": all(v.good for v in found), "files": [asdict(v) for v in found]})
    else:
        for verdict in found:
            stream = sys.stdout if verdict.good else sys.stderr
            print(f"{'good' if verdict.good else 'BAD '}  {verdict.what}", file=stream, flush=True)
    return 0 if all(verdict.good for verdict in found) else 1


# -- convert and export -----------------------------------------------------------------------


def _convert(args: argparse.Namespace) -> int:
    from naslib_ecnas.data.table import Table, write_table
    from naslib_ecnas.loading import table_file

    out = None if args.out is None else Path(args.out).expanduser()
    if out is not None and out.suffix != ".ecnas":
        remedy = f"for other formats: ecnas data export {args.source} OUT"
        raise ConfigError("--out must have the suffix .ecnas", value=args.out, remedy=remedy)
    with ConsoleProgress() as progress:
        path = table_file(args.source, afresh=args.afresh, progress=progress)
    if out is not None:
        write_table(out, Table.open(path).to_columns())
    print(path if out is None else out)
    return 0


def _export(args: argparse.Namespace) -> int:
    from naslib_ecnas.data.convert import check_suffix, export
    from naslib_ecnas.data.table import Table
    from naslib_ecnas.loading import table_file

    out = Path(args.out).expanduser()
    check_suffix(out)
    with ConsoleProgress() as progress:
        path = table_file(args.source, progress=progress)
        export(Table.open(path), out)
    print(out)
    return 0


# -- build ------------------------------------------------------------------------------------


def _build(args: argparse.Namespace) -> int:
    from naslib_ecnas.data.convert import built
    from naslib_ecnas.data.table import write_table
    from naslib_ecnas.surrogate.modelled import energy_model

    out = Path(args.out or "7v-built.ecnas").expanduser()
    if out.suffix != ".ecnas":
        raise ConfigError("--out must have the suffix .ecnas", value=args.out)
    energy, provenance = energy_model(args.energy_model, scaling=args.scaling, device=args.device)
    with ConsoleProgress() as progress:
        progress(f"reading {Path(args.nasbench).name}")
        columns = built(args.nasbench, energy, provenance, name=out.stem)
    write_table(out, columns)
    print(out)
    return 0


# -- card -------------------------------------------------------------------------------------


def _card(args: argparse.Namespace) -> int:
    from naslib_ecnas._version import __version__
    from naslib_ecnas.data.croissant import card
    from naslib_ecnas.data.table import Table
    from naslib_ecnas.files import atomic_write, to_json
    from naslib_ecnas.loading import table_file
    from naslib_ecnas.surrogate import EMBEDDED

    out = None if args.out is None else Path(args.out).expanduser()
    with ConsoleProgress() as progress:
        table = Table.open(table_file(args.source, progress=progress))
        file = _described_file(args.source, table.path, out, progress)
    text = to_json(
        card(
            table,
            file,
            # Only the tables that come with the package change with its version.
            version=__version__ if args.source in EMBEDDED else None,
            licence=args.licence,
            citation=args.citation,
            url=args.url,
            published=args.published,
        ),
        indent=2,
    )
    if out is None:
        print(text)
        return 0
    with atomic_write(out) as stream:
        stream.write(f"{text}\n".encode())
    print(out)
    return 0


def _described_file(
    source: str, table: Path, out: Path | None, progress: ConsoleProgress
) -> DescribedFile:
    """The file that a card describes: published, made by the package, or the user's own."""
    from naslib_ecnas.data.catalog import file_entry, tables
    from naslib_ecnas.data.croissant import DescribedFile
    from naslib_ecnas.surrogate import EMBEDDED

    if source in EMBEDDED:
        return DescribedFile.of(table, progress=progress)
    path = Path(source).expanduser()
    if source in {entry.name for entry in tables()} or not path.exists():
        return DescribedFile.published(file_entry(source))
    if path.is_dir():
        raise ConfigError(
            "a card describes one file",
            value=source,
            remedy=f"make one first: ecnas data export {source} OUT.parquet",
        )
    address = None
    if out is not None:
        address = Path(os.path.relpath(path.resolve(), out.resolve().parent)).as_posix()
    return DescribedFile.of(path, address=address, progress=progress)

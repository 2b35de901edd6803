"""`ecnas data card`: a table's dataset card."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from naslib_ecnas.commands.help_text import examples
from naslib_ecnas.console import ShownProgress

if TYPE_CHECKING:
    from naslib_ecnas.data.croissant import DescribedFile

__all__ = ["add_card"]


def add_card(actions: Any) -> None:
    """Add the action to those of `ecnas data`."""
    one = actions.add_parser(
        "card",
        help="a table's dataset card, as Croissant JSON-LD",
        description="What a table holds and where it comes from, for programs: the card of a table "
        "that comes with the package, of a published one, or of a file of yours.",
        **examples(
            "ecnas data card 5v",
            "ecnas data export 4v 4v.csv",
            "ecnas data card 4v.csv --out 4v.json",
        ),
    )
    one.add_argument("source", metavar="NAME_OR_FILE", help="a table of the list, or a path")
    one.add_argument("--out", metavar="FILE", help="write it there rather than print it")
    one.add_argument("--licence", metavar="ID", help="SPDX identifier (the table's own)")
    one.add_argument("--citation", metavar="TEXT", help="what users cite (the table's own)")
    one.add_argument("--url", metavar="ADDRESS", help="page of the data set")
    one.add_argument("--published", metavar="DAY", help="when it was published: 2024-04-14")
    one.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from naslib_ecnas._version import __version__
    from naslib_ecnas.data.croissant import card
    from naslib_ecnas.data.table import Table
    from naslib_ecnas.json_text import to_json
    from naslib_ecnas.loading import table_file
    from naslib_ecnas.storage import atomic_write
    from naslib_ecnas.surrogate.embedded import EMBEDDED

    out = None if args.out is None else Path(args.out).expanduser()
    with ShownProgress() as progress:
        table = Table.open(table_file(args.source, progress=progress))
        file = _described(args.source, table.path, out, progress)
    text = to_json(
        card(
            table,
            file,
            # The tables that come with the package change with it; others say no version.
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


def _described(
    source: str, table: Path, out: Path | None, progress: ShownProgress
) -> DescribedFile:
    """The file that a card is for: published, made here, or the user's own."""
    from naslib_ecnas.data.catalog import file_entry, tables
    from naslib_ecnas.data.croissant import DescribedFile
    from naslib_ecnas.errors import ConfigError
    from naslib_ecnas.surrogate.embedded import EMBEDDED

    if source in EMBEDDED:
        return DescribedFile.of(table, progress=progress)
    path = Path(source).expanduser()
    if source in {entry.name for entry in tables()} or not path.exists():
        return DescribedFile.published(file_entry(source))
    if path.is_dir():
        raise ConfigError(
            "a card is for one file",
            value=source,
            expected="a file",
            remedy=f"make one first: ecnas data export {source} OUT.parquet",
        )
    address = None
    if out is not None:
        address = Path(os.path.relpath(path.resolve(), out.resolve().parent)).as_posix()
    return DescribedFile.of(path, address=address, progress=progress)

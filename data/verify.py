"""Checks everything that is on this machine under a name, or one file at a path."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from naslib_ecnas.data.catalog import catalog, file_entry, tables
from naslib_ecnas.data.checksums import check, sha256_of
from naslib_ecnas.data.convert import cached_table
from naslib_ecnas.data.fetch import local_copy
from naslib_ecnas.errors import FetchError, FormatError, UnknownTableError
from naslib_ecnas.progress import Progress
from naslib_ecnas.storage import exists

__all__ = ["Verdict", "verify"]


@dataclass(frozen=True)
class Verdict:
    """What checking one file found."""

    path: str
    good: bool
    what: str
    """One line that says what was checked against what, or what is wrong."""


def verify(name: str, progress: Progress) -> list[Verdict]:
    """Check what is here of a table or a file of the catalog, or a file at a path.

    A published file is compared with its published size and SHA-256, a table checked byte by
    byte against its own checksums. Any other file is read whole, which checks whatever
    checksums its format has.

    Returns:
        One verdict for each file that was checked; a fault is a verdict, not an error.

    Raises:
        UnknownTableError: there is neither such a name nor such a file.
        FetchError: nothing of that name is on this machine.
    """
    entries = {table.name: table for table in tables()}
    if name not in entries and name not in {file.name for file in catalog().files}:
        path = Path(name).expanduser()
        if not exists(path):
            if "/" not in name and path.name == name:
                file_entry(name)  # raises, and names what is nearest
            raise UnknownTableError(
                "no such file",
                value=name,
                expected="a file, or a name of the catalog",
                remedy="list the names with: ecnas data list",
            )
        return [_of_path(path, progress)]
    file = file_entry(name)
    copy = local_copy(file)
    table = cached_table(entries[name]) if name in entries else None
    found = [] if table is None else [_of_path(table, progress)]
    if copy is not None:
        try:
            sha256 = check(copy, file, progress)
        except FormatError as error:
            found.append(Verdict(str(copy), False, str(error)))
        else:
            published = file.sha256 is not None
            what = "is as published" if published else "has no published checksum"
            found.append(Verdict(str(copy), published, f"{copy} {what}, SHA-256 {sha256}"))
    if not found:
        raise FetchError(
            f"nothing of {name} is on this machine",
            value=name,
            expected="a file fetched or a table converted before",
            remedy=f"bring it with: ecnas data fetch {name}",
        )
    return found


def _of_path(path: Path, progress: Progress) -> Verdict:
    from naslib_ecnas.data.formats import read
    from naslib_ecnas.data.table import Table

    try:
        if path.suffix == ".ecnas":
            table = Table.open(path)
            table.verify()
            what = f"{path} is whole, {len(table):,} cells, {len(table.metrics)} columns"
            return Verdict(str(path), True, what)
        if path.is_file():
            sha256 = sha256_of(path, progress)
            known = next((f for f in catalog().files if f.sha256 == sha256), None)
            if known is not None:
                what = f"{path} is {known.name} as published, SHA-256 {sha256}"
                return Verdict(str(path), True, what)
            claimed = next((f for f in catalog().files if f.name == path.name and f.sha256), None)
            if claimed is not None:
                check(path, claimed, progress)
        columns = read(path)
    except FormatError as error:
        return Verdict(str(path), False, str(error))
    what = f"{path} can be read, {len(columns.rows):,} cells, but is not of the catalog"
    return Verdict(str(path), True, what)

"""The catalog: every published file, and what the tables made from them hold."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from naslib_ecnas.data.catalog_entries import (
    Catalog,
    Citation,
    ColumnGroup,
    FileEntry,
    TableEntry,
)
from naslib_ecnas.data.catalog_reader import read_catalog
from naslib_ecnas.errors import CatalogError, UnknownTableError

__all__ = [
    "Catalog",
    "Citation",
    "ColumnGroup",
    "FileEntry",
    "TableEntry",
    "catalog",
    "file_entry",
    "table_entry",
    "tables",
]

_PATH = Path(__file__).with_name("catalog.toml")


@cache
def catalog() -> Catalog:
    """The catalog of this package.

    Raises:
        CatalogError: the file that holds it is damaged.
    """
    return read_catalog(_PATH)


def tables() -> tuple[TableEntry, ...]:
    """Every table of the catalog."""
    return catalog().tables


def table_entry(name: str) -> TableEntry:
    """The table of a name.

    Raises:
        UnknownTableError: there is none of this name.
    """
    for entry in tables():
        if entry.name == name:
            return entry
    names = [entry.name for entry in tables()]
    raise UnknownTableError(
        "no such table",
        value=name,
        expected="one of " + ", ".join(names) + ", or the path of a file",
        remedy=_nearest(name, names) or "list them with: ecnas data list",
    )


def file_entry(name: str) -> FileEntry:
    """The published file of a name, or the one that a table of this name is made from.

    Raises:
        CatalogError: there is none.
    """
    for file in catalog().files:
        if file.name == name:
            return file
    for table in tables():
        if table.name == name:
            return table.file
    names = [t.name for t in tables()] + [f.name for f in catalog().files]
    raise CatalogError(
        "the catalog has no such table or file",
        value=name,
        expected="one of " + ", ".join(t.name for t in tables()) + ", or the name of a file",
        remedy=_nearest(name, names) or "list them with: ecnas data list",
    )


def _nearest(name: object, names: Sequence[str]) -> str | None:
    if not isinstance(name, str):
        return None
    near = difflib.get_close_matches(name.lower(), names, n=3, cutoff=0.5)
    return "did you mean " + " or ".join(near) + "?" if near else None

"""The catalog: every published file, the tables made from them, and where to get a file.

`catalog.toml` lists the published files with address, size and checksum, and the tables with the
provenance of their columns. A file comes from its published address or from the mirror that the
environment variable `ECNAS_MIRROR` names.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from msgspec import toml

from naslib_ecnas.errors import ConfigError, FetchError, UnknownTableError
from naslib_ecnas.files import expanded, is_file
from naslib_ecnas.provenance import Provenance


@dataclass(frozen=True)
class Citation:
    """A publication that users of a file cite."""

    key: str
    """BibTeX key."""
    text: str
    """Authors, title, place, year."""


@dataclass(frozen=True)
class FileEntry:
    """One published file."""

    name: str
    """Its name, in the cache and in a mirror too."""
    address: str
    """Where it is published: http or https."""
    licence: str
    citation: Citation
    format: str
    """A key of `convert.FORMATS`, or `ecnas-energies`: the paper's data for its surrogate."""
    size: int | None = None
    """Exact size in bytes; None if not published."""
    approximate_size: int | None = None
    """Rounded size in bytes, published in place of the exact one; None if unknown."""
    sha256: str | None = None
    """Published SHA-256; None if there is none, so that nothing can be verified."""
    note: str | None = None
    """What a user has to know before fetching the file."""


@dataclass(frozen=True)
class ColumnGroup:
    """Columns of a table that share a provenance."""

    metrics: tuple[str, ...]
    """Names of metrics; `*` stands for any text."""
    provenance: Provenance
    """Without source and checksum, which the file adds."""


@dataclass(frozen=True)
class TableEntry:
    """One table made from a published file."""

    name: str
    file: FileEntry
    vertices: int
    cells: int
    budgets: tuple[int, ...]
    repeats: int
    description: str
    """One clause, for lists of tables."""
    notes: tuple[str, ...]
    """What a user of the table has to know besides the provenance of its columns."""
    groups: tuple[ColumnGroup, ...]
    """The first group that contains a metric gives its provenance."""

    def provenance(self, metric: str, sha256: str | None = None) -> Provenance:
        """Origin of a column of the table; "unknown" for a metric in no group.

        The checksum is that of the file at hand if the catalog has none.
        """
        fitting = (g for g in self.groups if any(fnmatchcase(metric, p) for p in g.metrics))
        group = next(fitting, None)
        known = group.provenance if group else Provenance("unknown")
        return replace(known, source=self.file.name, sha256=self.file.sha256 or sha256)


@dataclass(frozen=True)
class Catalog:
    """All entries, in the order of the file."""

    files: tuple[FileEntry, ...]
    tables: tuple[TableEntry, ...]


@cache
def catalog() -> Catalog:
    """The catalog of this package."""
    found = toml.decode(Path(__file__).with_name("catalog.toml").read_bytes())
    citations = {each["key"]: Citation(**each) for each in found["citation"]}
    files = [FileEntry(**{**f, "citation": citations[f["citation"]]}) for f in found["file"]]
    named = {file.name: file for file in files}
    made = [_table(each, named[each["file"]], found["columns"]) for each in found["table"]]
    return Catalog(tuple(files), tuple(made))


def _table(table: dict[str, Any], file: FileEntry, groups: Mapping[str, Any]) -> TableEntry:
    """A table of the catalog, "{device}" and "{repeats}" in its groups of columns replaced."""
    own = {"{device}": table.pop("device", None), "{repeats}": table["repeats"]}
    columns = tuple(
        ColumnGroup(
            tuple(group["metrics"]),
            Provenance(**{k: own.get(v, v) for k, v in group.items() if k != "metrics"}),
        )
        for name in table.pop("columns")
        for group in groups[name]
    )
    lists = {name: tuple(table.get(name, ())) for name in ("budgets", "notes")}
    return TableEntry(**{**table, **lists, "file": file, "groups": columns})


# -- entries by name ------------------------------------------------------------------------------


def tables() -> tuple[TableEntry, ...]:
    """Every table of the catalog."""
    return catalog().tables


def named(name: object) -> tuple[TableEntry | None, FileEntry | None]:
    """The table of a name, and its file or the published file of that name; else None."""
    table = next((table for table in tables() if table.name == name), None)
    file = table.file if table else next((f for f in catalog().files if f.name == name), None)
    return table, file


def file_entry(name: str) -> FileEntry:
    """The published file of a name, or the file that the table of this name is made from.

    Raises:
        UnknownTableError: the catalog has no such file or table.
    """
    file = named(name)[1]
    if file is not None:
        return file
    names = [table.name for table in tables()] + [file.name for file in catalog().files]
    near = difflib.get_close_matches(str(name).lower(), names, n=3, cutoff=0.5)
    remedy = f"did you mean {' or '.join(near)}?" if near else "list them with: ecnas data list"
    raise UnknownTableError("the catalog has no such table or file", value=name, remedy=remedy)


# -- where a file comes from ----------------------------------------------------------------------


def source_of(entry: FileEntry) -> Path | str:
    """Path of a published file on this machine, or its address (http or https).

    The environment variable `ECNAS_MIRROR`, a folder or an address, replaces every published
    address.

    Raises:
        ConfigError: the mirror is not a folder or an address of http or https.
        FetchError: the mirror's folder does not contain the file.
    """
    mirror = os.environ.get("ECNAS_MIRROR", "").strip()
    address = entry.address
    if mirror:
        if "://" not in mirror:
            path = expanded(mirror) / entry.name
            if not is_file(path):
                remedy = "put the file there, or unset ECNAS_MIRROR to fetch the file"
                message = f"the mirror does not hold {entry.name}"
                raise FetchError(message, value=mirror, remedy=remedy)
            return path
        address = mirror.rstrip("/") + "/" + quote(entry.name)
    try:
        parts = urlsplit(address)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.netloc or not address.isascii():
        raise ConfigError("ECNAS_MIRROR must be a folder or an address of http", value=address)
    return address

"""The catalog: every published file, the tables made from them, and where to get a file.

`catalog.toml` lists the published files with address, size and checksum, and the tables with the
provenance of their columns. A file comes from its published address or from the mirror that the
environment variable `ECNAS_MIRROR` names.
"""

from __future__ import annotations

import difflib
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cache
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from naslib_ecnas.errors import (
    CatalogError,
    ConfigError,
    FetchError,
    FormatError,
    UnknownTableError,
)
from naslib_ecnas.provenance import Provenance

__all__ = [
    "Citation",
    "FileEntry",
    "TableEntry",
    "catalog",
    "file_entry",
    "read_catalog",
    "source_of",
    "table_entry",
    "tables",
]

_PATH = Path(__file__).with_name("catalog.toml")
_SCHEMES = ("http", "https", "file")
_FORMATS = ("ecnas-tfrecord", "nasbench-tfrecord", "nasbench-pickle")

# tomllib came with Python 3.11; before it the package tomli is the same thing.
_TOML = "tomllib" if sys.version_info >= (3, 11) else "tomli"


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
    """Where it is published: http, https or file."""
    size: int | None
    """Exact size in bytes; None if not published."""
    approximate_size: int | None
    """Rounded size in bytes, published in place of the exact one; None if unknown."""
    sha256: str | None
    """Published SHA-256; None if there is none, so that nothing can be verified."""
    licence: str
    citation: Citation
    format: str
    """`ecnas-tfrecord`, `nasbench-tfrecord` or `nasbench-pickle`."""
    note: str | None = None
    """What a user has to know before fetching the file."""


@dataclass(frozen=True)
class ColumnGroup:
    """Columns of a table that share a provenance."""

    metrics: tuple[str, ...]
    """Names of metrics; `*` stands for any text."""
    provenance: Provenance
    """Without source and checksum, which the file adds."""

    def fits(self, metric: str) -> bool:
        """Whether the group contains a metric."""
        return any(fnmatchcase(metric, pattern) for pattern in self.metrics)


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

    def describes(self, metric: str) -> bool:
        """Whether the catalog says where a metric of the table comes from."""
        return any(group.fits(metric) for group in self.groups)

    def provenance(self, metric: str, sha256: str | None = None) -> Provenance:
        """Origin of a column of the table; "unknown" for a metric in no group.

        Args:
            metric: name of the column.
            sha256: checksum of the file at hand, used if the catalog has none.
        """
        origins = (group.provenance for group in self.groups if group.fits(metric))
        known = next(origins, Provenance("unknown"))
        return replace(known, source=self.file.name, sha256=self.file.sha256 or sha256)


@dataclass(frozen=True)
class Catalog:
    """All entries, in the order of the file."""

    files: tuple[FileEntry, ...]
    tables: tuple[TableEntry, ...]


# -- reading the catalog --------------------------------------------------------------------------

# Fields of each kind of entry: required and optional, with their types. [int] is a list of int.
_CITATION = {"key": str, "text": str}
_FILE = dict.fromkeys(("name", "address", "licence", "citation", "format"), str)
_FILE_OPTIONAL = {"size": int, "approximate_size": int, "sha256": str, "note": str}
_TABLE = {
    **dict.fromkeys(("name", "file", "description"), str),
    **dict.fromkeys(("vertices", "cells", "repeats"), int),
    "budgets": [int],
    "columns": [str],
}
_TABLE_OPTIONAL = {"device": str, "notes": [str]}


def read_catalog(path: str | PathLike[str]) -> Catalog:
    """Read and check a catalog file.

    Raises:
        CatalogError: the file is not TOML, or an entry has a missing, unknown or wrong field.
    """
    try:
        data: dict[str, Any] = import_module(_TOML).loads(Path(path).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise CatalogError(f"the catalog {path} cannot be read: {error}") from error
    unknown = sorted(set(data) - {"citation", "file", "columns", "table"})
    if unknown:
        raise CatalogError("the catalog has unknown fields", value=unknown)
    citations = {}
    for item in _entries(data, "citation"):
        citation = Citation(**_fields(item, "a citation", _CITATION))
        citations[citation.key] = citation
    files = {}
    for item in _entries(data, "file"):
        file = _file(item, citations)
        files[file.name] = file
    recipes = data.get("columns", {})
    if not isinstance(recipes, dict):
        raise CatalogError("columns must be [[columns.NAME]] entries", value=recipes)
    found = tuple(_table(item, files, recipes) for item in _entries(data, "table"))
    names = [item["name"] for key in ("file", "table") for item in _entries(data, key)]
    twice = sorted(name for name in set(names) if names.count(name) > 1)
    if twice:
        raise CatalogError("a name stands twice in the catalog", value=twice[0])
    return Catalog(tuple(files.values()), found)


def _file(item: Mapping[str, Any], citations: Mapping[str, Citation]) -> FileEntry:
    where = f"file {item.get('name')}"
    fields = _fields(item, where, _FILE, _FILE_OPTIONAL)
    for key, good, expected in (
        ("name", re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", fields["name"]), "a plain name"),
        ("address", urlsplit(fields["address"]).scheme in _SCHEMES, " or ".join(_SCHEMES)),
        ("sha256", re.fullmatch(r"[0-9a-f]{64}|None", str(fields["sha256"])), "64 hex digits"),
        ("citation", fields["citation"] in citations, "the key of a [[citation]]"),
        ("format", fields["format"] in _FORMATS, "one of " + ", ".join(_FORMATS)),
    ):
        if not good:
            raise CatalogError(f"{where}: {key} must be {expected}", value=fields[key])
    return FileEntry(**{**fields, "citation": citations[fields["citation"]]})


def _table(
    item: Mapping[str, Any], files: Mapping[str, FileEntry], recipes: Mapping[str, Any]
) -> TableEntry:
    where = f"table {item.get('name')}"
    fields = _fields(item, where, _TABLE, _TABLE_OPTIONAL)
    if fields["file"] not in files:
        raise CatalogError(f"{where}: file must be the name of a [[file]]", value=fields["file"])
    groups: list[ColumnGroup] = []
    for recipe in fields.pop("columns"):
        if recipe not in recipes:
            raise CatalogError(f"{where}: there is no [[columns.{recipe}]]")
        groups += [
            _group(group, fields, f"{where}: columns {recipe}")
            for group in _entries(recipes, recipe)
        ]
    del fields["device"]
    return TableEntry(
        **{
            **fields,
            "file": files[fields["file"]],
            "budgets": tuple(fields["budgets"]),
            "notes": tuple(fields["notes"] or ()),
            "groups": tuple(groups),
        }
    )


def _group(item: Mapping[str, Any], table: Mapping[str, Any], where: str) -> ColumnGroup:
    """A group of columns, "{device}" and "{repeats}" replaced by those of the table."""
    metrics = item.get("metrics", [])
    if not _fits(metrics, [str]):
        raise CatalogError(f"{where}: metrics must be a list of texts", value=metrics)
    fields = {
        key: table[key] if value == f"{{{key}}}" else value
        for key, value in item.items()
        if key != "metrics"
    }
    if fields.get("device", "") is None:
        raise CatalogError(f"{where}: the table names no device")
    try:
        return ColumnGroup(tuple(metrics), Provenance.from_json(fields))
    except FormatError as error:
        raise CatalogError(f"{where}: {error}") from error


def _entries(data: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    entries = data.get(key, [])
    if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
        raise CatalogError(f"{key} must be a list of [[{key}]] entries", value=entries)
    return entries


def _fields(
    item: Mapping[str, Any],
    where: str,
    required: Mapping[str, Any],
    optional: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The fields of an entry, each of its type; None for optional ones that are missing."""
    optional = optional or {}
    unknown = sorted(set(item) - set(required) - set(optional))
    if unknown:
        raise CatalogError(f"{where} has unknown fields", value=unknown)
    for key, kind in {**required, **optional}.items():
        if (key in item or key in required) and not _fits(item.get(key), kind):
            plural = isinstance(kind, list)
            name = _TYPES[kind[0] if plural else kind]
            message = f"{where}: {key} must be a {'list: each ' if plural else ''}{name}"
            raise CatalogError(message, value=item.get(key))
    return {key: item.get(key) for key in {**required, **optional}}


_TYPES = {str: "text that is not empty", int: "whole number of at least 1"}


def _fits(value: Any, kind: Any) -> bool:
    if isinstance(kind, list):
        return isinstance(value, list) and all(_fits(one, kind[0]) for one in value)
    # `type`, not isinstance: True is no whole number.
    return type(value) is kind and (bool(value.strip()) if kind is str else value >= 1)


# -- entries by name ------------------------------------------------------------------------------


@cache
def catalog() -> Catalog:
    """The catalog of this package.

    Raises:
        CatalogError: the file `catalog.toml` is damaged.
    """
    return read_catalog(_PATH)


def tables() -> tuple[TableEntry, ...]:
    """Every table of the catalog."""
    return catalog().tables


def table_entry(name: str) -> TableEntry:
    """The table of a name.

    Raises:
        UnknownTableError: the catalog has no such table.
    """
    for entry in tables():
        if entry.name == name:
            return entry
    names = [entry.name for entry in tables()]
    raise UnknownTableError(
        "no such table: the catalog has " + ", ".join(names),
        value=name,
        remedy=_nearest(name, names) or "list them with: ecnas data list",
    )


def file_entry(name: str) -> FileEntry:
    """The published file of a name, or the file that the table of this name is made from.

    Raises:
        CatalogError: the catalog has no such file or table.
    """
    known = {table.name: table.file for table in tables()}
    known |= {file.name: file for file in catalog().files}
    if isinstance(name, str) and name in known:
        return known[name]
    remedy = _nearest(name, list(known)) or "list them with: ecnas data list"
    raise CatalogError("the catalog has no such table or file", value=name, remedy=remedy)


def _nearest(name: object, names: Sequence[str]) -> str | None:
    if not isinstance(name, str):
        return None
    near = difflib.get_close_matches(name.lower(), names, n=3, cutoff=0.5)
    return "did you mean " + " or ".join(near) + "?" if near else None


# -- where a file comes from ----------------------------------------------------------------------


def source_of(entry: FileEntry) -> Path | str:
    """Path of a published file on this machine, or its address (http or https).

    The environment variable `ECNAS_MIRROR`, a folder or an address, replaces every published
    address.

    Raises:
        ConfigError: the mirror is not a folder or an address of http, https or file.
        FetchError: the mirror's folder does not contain the file.
    """
    mirror = os.environ.get("ECNAS_MIRROR", "").strip()
    address = entry.address
    if mirror:
        if "://" not in mirror and not mirror.startswith("file:"):
            return _in_folder(Path(mirror).expanduser(), entry, mirror)
        address = mirror.rstrip("/") + "/" + quote(entry.name)
    parts = urlsplit(address)
    if parts.scheme not in _SCHEMES:
        schemes = " or ".join(_SCHEMES)
        raise ConfigError(
            f"ECNAS_MIRROR must be a folder or an address of {schemes}", value=address
        )
    if parts.scheme != "file":
        return address
    if parts.netloc not in ("", "localhost"):
        raise ConfigError("a file: address must name a folder of this machine", value=address)
    from urllib.request import url2pathname  # imports http.client, which is slow

    path = Path(url2pathname(parts.path))
    return _in_folder(path.parent, entry, address) if mirror else path


def _in_folder(folder: Path, entry: FileEntry, mirror: str) -> Path:
    path = folder / entry.name
    if not path.is_file():
        raise FetchError(
            f"the mirror does not hold {entry.name}",
            value=mirror,
            remedy="put the file there, or unset ECNAS_MIRROR to fetch the file",
        )
    return path

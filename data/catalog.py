"""The catalog: every published file, and what the tables made from them hold."""

from __future__ import annotations

import difflib
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit
from urllib.request import url2pathname

from naslib_ecnas.errors import (
    CatalogError,
    ConfigError,
    FetchError,
    FormatError,
    UnknownTableError,
)
from naslib_ecnas.provenance import Provenance

__all__ = [
    "SCHEMES",
    "Catalog",
    "Citation",
    "ColumnGroup",
    "FileEntry",
    "TableEntry",
    "catalog",
    "file_entry",
    "read_catalog",
    "source_of",
    "table_entry",
    "tables",
]


# The entries of the catalog: files, tables, and what is known of a table's columns.


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
    """Its name, also in the cache and in a mirror."""
    address: str
    """Where it is published: http, https or file."""
    size: int | None
    """Exact size in bytes, or None where none is published."""
    approximate_size: int | None
    """Size in bytes as far as it is published; None where `size` is exact or nothing is known."""
    sha256: str | None
    """Published SHA-256, or None where there is none: then nothing can be verified."""
    licence: str
    citation: Citation
    format: str
    """`ecnas-tfrecord`, `nasbench-tfrecord` or `nasbench-pickle`."""
    note: str | None = None
    """What a user has to know before fetching it."""


@dataclass(frozen=True)
class ColumnGroup:
    """Columns of a table that share a provenance."""

    metrics: tuple[str, ...]
    """Names of metrics, `*` standing for any text."""
    provenance: Provenance
    """Without source and checksum, which the file gives."""

    def fits(self, metric: str) -> bool:
        """Whether a metric is one of these."""
        return any(fnmatchcase(metric, pattern) for pattern in self.metrics)


@dataclass(frozen=True)
class TableEntry:
    """One table that a published file is made into."""

    name: str
    file: FileEntry
    vertices: int
    cells: int
    budgets: tuple[int, ...]
    repeats: int
    description: str
    """One clause for lists."""
    notes: tuple[str, ...]
    """What a user of the table has to know beyond its columns' provenance."""
    groups: tuple[ColumnGroup, ...]
    """The first group that fits a metric tells its provenance."""

    def describes(self, metric: str) -> bool:
        """Whether the catalog says where a metric comes from, so that the table may have it."""
        return any(group.fits(metric) for group in self.groups)

    def provenance(self, metric: str, sha256: str | None = None) -> Provenance:
        """Origin of a column of this table.

        Args:
            metric: name of the column.
            sha256: checksum of the file at hand, where the catalog has none.
        """
        group = next((g for g in self.groups if g.fits(metric)), None)
        known = Provenance("unknown") if group is None else group.provenance
        return Provenance(
            known.kind,
            device=known.device,
            pue=known.pue,
            repeats=known.repeats,
            source=self.file.name,
            sha256=self.file.sha256 or sha256,
            note=known.note,
        )


@dataclass(frozen=True)
class Catalog:
    """All entries, in the order of the file."""

    files: tuple[FileEntry, ...]
    tables: tuple[TableEntry, ...]


# Reads a catalog file and checks every entry of it.


#: Kinds of address that files are brought from.
SCHEMES = ("http", "https", "file")

_FORMATS = ("ecnas-tfrecord", "nasbench-tfrecord", "nasbench-pickle")

# tomllib came with Python 3.11; before it the package tomli is the same thing.
_TOML = "tomllib" if sys.version_info >= (3, 11) else "tomli"

_T = TypeVar("_T")


def read_catalog(path: str | PathLike[str]) -> Catalog:
    """Read and check a catalog file.

    Raises:
        CatalogError: it is no TOML, or an entry lacks a field, has one too many, or one of a
            wrong type or form.
    """
    try:
        data: dict[str, Any] = import_module(_TOML).loads(Path(path).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise CatalogError(
            f"the catalog cannot be read ({error})",
            value=str(path),
            expected="a TOML file",
            remedy="install the package again",
        ) from error
    _only(data, {"citation", "file", "columns", "table"}, "the catalog")
    citations = {}
    for item in _entries(data, "citation"):
        _only(item, {"key", "text"}, "a citation")
        citation = Citation(_text(item, "key", "a citation"), _text(item, "text", "a citation"))
        citations[citation.key] = citation
    files = tuple(_file(item, citations) for item in _entries(data, "file"))
    by_name = {file.name: file for file in files}
    recipes = data.get("columns", {})
    if not isinstance(recipes, dict):
        raise _fault("columns are no table of groups", recipes, "[[columns.NAME]] entries")
    found = tuple(_table(item, by_name, recipes) for item in _entries(data, "table"))
    names = [f.name for f in files] + [t.name for t in found]
    for name in names:
        if names.count(name) > 1:
            raise _fault("a name stands twice", name, "distinct names")
    return Catalog(files, found)


def _file(item: Mapping[str, Any], citations: Mapping[str, Citation]) -> FileEntry:
    known = {"name", "address", "size", "approximate_size", "sha256", "licence", "citation"}
    name = _text(item, "name", "a file")
    where = f"file {name}"
    _only(item, known | {"format", "note"}, where)
    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", name):
        raise _fault("the name of a file is no plain file name", name, "letters, digits, . _ -")
    address = _text(item, "address", where)
    if urlsplit(address).scheme not in SCHEMES:
        raise _fault(f"{where}: no such kind of address", address, " or ".join(SCHEMES))
    sha256 = _maybe(item, "sha256", str, where)
    if sha256 is not None and not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise _fault(f"{where}: no SHA-256", sha256, "64 lower-case hexadecimal digits")
    sizes = [_maybe(item, key, int, where) for key in ("size", "approximate_size")]
    if any(size is not None and size < 1 for size in sizes):
        raise _fault(f"{where}: no size", sizes, "a positive number of bytes")
    key = _text(item, "citation", where)
    if key not in citations:
        raise _fault(f"{where}: no such citation", key, "one of " + ", ".join(citations))
    file_format = _text(item, "format", where)
    if file_format not in _FORMATS:
        raise _fault(f"{where}: no such format", file_format, "one of " + ", ".join(_FORMATS))
    return FileEntry(
        name=name,
        address=address,
        size=sizes[0],
        approximate_size=sizes[1],
        sha256=sha256,
        licence=_text(item, "licence", where),
        citation=citations[key],
        format=file_format,
        note=_maybe(item, "note", str, where),
    )


def _table(
    item: Mapping[str, Any], files: Mapping[str, FileEntry], recipes: Mapping[str, Any]
) -> TableEntry:
    name = _text(item, "name", "a table")
    where = f"table {name}"
    known = {"name", "file", "vertices", "cells", "budgets", "repeats", "device", "columns"}
    _only(item, known | {"description", "notes"}, where)
    file = _text(item, "file", where)
    if file not in files:
        raise _fault(f"{where}: no such file in the catalog", file, "the name of a [[file]]")
    device = _maybe(item, "device", str, where)
    repeats = _get(item, "repeats", int, where)
    groups: list[ColumnGroup] = []
    for recipe in _list(item, "columns", str, where):
        if recipe not in recipes:
            raise _fault(f"{where}: no such columns", recipe, "one of " + ", ".join(recipes))
        groups += [
            _group(group, device, repeats, f"columns {recipe}")
            for group in _entries(recipes, recipe)
        ]
    return TableEntry(
        name=name,
        file=files[file],
        vertices=_get(item, "vertices", int, where),
        cells=_get(item, "cells", int, where),
        budgets=tuple(_list(item, "budgets", int, where)),
        repeats=repeats,
        description=_text(item, "description", where),
        notes=tuple(_list(item, "notes", str, where)),
        groups=tuple(groups),
    )


def _group(item: Mapping[str, Any], device: str | None, repeats: int, where: str) -> ColumnGroup:
    patterns = tuple(_list(item, "metrics", str, where))
    fields = {key: value for key, value in item.items() if key != "metrics"}
    if fields.get("device") == "{device}":
        if device is None:
            raise _fault(f"{where}: the table names no device", None, 'device = "..." in the table')
        fields["device"] = device
    if fields.get("repeats") == "{repeats}":
        fields["repeats"] = repeats
    try:
        provenance = Provenance.from_json(fields)
    except FormatError as error:
        raise _fault(f"{where}: {error.what}", error.value, error.expected) from error
    return ColumnGroup(patterns, provenance)


def _entries(data: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    entries = data.get(key, [])
    if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
        raise _fault(f"{key} is no list of entries", entries, f"[[{key}]] entries")
    return entries


def _get(item: Mapping[str, Any], key: str, kind: type[_T], where: str) -> _T:
    value = item.get(key)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise _fault(f"{where}: {key} is missing or of a wrong type", value, kind.__name__)
    return value


def _text(item: Mapping[str, Any], key: str, where: str) -> str:
    value = _get(item, key, str, where)
    if not value.strip():
        raise _fault(f"{where}: {key} is empty", value, "some text")
    return value


def _maybe(item: Mapping[str, Any], key: str, kind: type[_T], where: str) -> _T | None:
    return _get(item, key, kind, where) if key in item else None


def _list(item: Mapping[str, Any], key: str, kind: type[_T], where: str) -> list[_T]:
    values = item.get(key, [])
    if not isinstance(values, list) or not all(isinstance(v, kind) for v in values):
        raise _fault(f"{where}: {key} is no list of {kind.__name__}", values, "a list")
    return values


def _only(item: Mapping[str, Any], known: set[str], where: str) -> None:
    extra = sorted(set(item) - known)
    if extra:
        raise _fault(f"{where} has unknown fields", extra, ", ".join(sorted(known)))


def _fault(what: str, value: object, expected: str | None) -> CatalogError:
    return CatalogError(
        what, value=value, expected=expected, remedy="correct catalog.toml, or install it again"
    )


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


# Where a published file is to be had: its own address, or a mirror that holds it by name.


def source_of(entry: FileEntry) -> Path | str:
    """The file itself where it lies on this machine, else an address of http or https.

    The environment variable `ECNAS_MIRROR`, a folder or an address, takes the place of every
    published address.

    Raises:
        ConfigError: the mirror is of a kind that is not served.
        FetchError: the mirror's folder does not hold the file.
    """
    mirror = os.environ.get("ECNAS_MIRROR", "").strip()
    address = entry.address
    if mirror:
        if "://" not in mirror and not mirror.startswith("file:"):
            return _in_folder(Path(mirror).expanduser(), entry, mirror)
        address = mirror.rstrip("/") + "/" + quote(entry.name)
    parts = urlsplit(address)
    if parts.scheme not in SCHEMES:
        raise ConfigError(
            "files are not brought from this kind of address",
            value=mirror or address,
            expected="a folder, or an address of " + ", ".join(SCHEMES),
            remedy="set ECNAS_MIRROR to such a one",
        )
    if parts.scheme != "file":
        return address
    if parts.netloc not in ("", "localhost"):
        raise ConfigError(
            "a file address of another machine",
            value=address,
            expected="file:///folder",
            remedy="mount that folder here, or serve it by http",
        )
    path = Path(url2pathname(parts.path))
    return _in_folder(path.parent, entry, address) if mirror else path


def _in_folder(folder: Path, entry: FileEntry, mirror: str) -> Path:
    path = folder / entry.name
    if not path.is_file():
        raise FetchError(
            f"the mirror does not hold {entry.name}",
            value=mirror,
            expected="a folder that holds the files by name",
            remedy="put the file there; without ECNAS_MIRROR it is fetched from where it is "
            "published",
        )
    return path

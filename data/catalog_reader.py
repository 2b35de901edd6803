"""Reads a catalog file and checks every entry of it."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from naslib_ecnas.data.catalog_entries import (
    Catalog,
    Citation,
    ColumnGroup,
    FileEntry,
    TableEntry,
)
from naslib_ecnas.errors import CatalogError, FormatError
from naslib_ecnas.provenance import Provenance

__all__ = ["SCHEMES", "read_catalog"]

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

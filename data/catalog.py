"""The catalog: every published file, the tables made from them, and where to get a file.

`catalog.toml` lists the published files with address, size and checksum, and the tables with the
provenance of their columns. A file comes from its published address or from the mirror that the
environment variable `ECNAS_MIRROR` names.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase
from functools import cache
from os import PathLike
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlsplit

from msgspec import Meta, toml

from naslib_ecnas.errors import CatalogError, ConfigError, FetchError, UnknownTableError
from naslib_ecnas.files import expanded, from_plain, is_file, read_bytes
from naslib_ecnas.provenance import Provenance

_PATH = Path(__file__).with_name("catalog.toml")
_SCHEMES = ("http", "https", "file")

Text = Annotated[str, Meta(pattern=r"\S")]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*$")]
Count = Annotated[int, Meta(ge=1)]


@dataclass(frozen=True)
class Citation:
    """A publication that users of a file cite."""

    key: Text
    """BibTeX key."""
    text: Text
    """Authors, title, place, year."""


@dataclass(frozen=True)
class FileEntry:
    """One published file."""

    name: Name
    """Its name, in the cache and in a mirror too."""
    address: Annotated[str, Meta(pattern=r"^(https?|file):")]
    """Where it is published: http, https or file."""
    size: Count | None
    """Exact size in bytes; None if not published."""
    approximate_size: Count | None
    """Rounded size in bytes, published in place of the exact one; None if unknown."""
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")] | None
    """Published SHA-256; None if there is none, so that nothing can be verified."""
    licence: Text
    citation: Citation
    format: Literal["ecnas-tfrecord", "nasbench-tfrecord", "nasbench-pickle", "ecnas-energies"]
    note: Text | None = None
    """What a user has to know before fetching the file."""


@dataclass(frozen=True)
class ColumnGroup:
    """Columns of a table that share a provenance."""

    metrics: tuple[Text, ...]
    """Names of metrics; `*` stands for any text."""
    provenance: Provenance
    """Without source and checksum, which the file adds."""


@dataclass(frozen=True)
class TableEntry:
    """One table made from a published file."""

    name: Name
    file: FileEntry
    vertices: Count
    cells: Count
    budgets: Annotated[tuple[Count, ...], Meta(min_length=1)]
    repeats: Count
    description: Text
    """One clause, for lists of tables."""
    notes: tuple[Text, ...]
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


# -- reading the catalog --------------------------------------------------------------------------


def read_catalog(path: str | PathLike[str]) -> Catalog:
    """Read and check a catalog file.

    Raises:
        CatalogError: the file is not TOML, or an entry has a missing, unknown or wrong field.
    """
    try:
        found = from_plain(Catalog, _resolved(toml.decode(read_bytes(path))))
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        message = f"the catalog {path} cannot be read: {type(error).__name__}: {error}"
        raise CatalogError(message) from error
    names = [file.name for file in found.files] + [table.name for table in found.tables]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise CatalogError("a name stands twice in the catalog", value=twice[0])
    return found


def _resolved(data: dict[str, Any]) -> dict[str, Any]:
    """The fields of a `Catalog`, each entry in place of its name; their types are not checked."""
    citations = {each["key"]: each for each in data.pop("citation", [])}
    groups, files, tables = data.pop("columns", {}), {}, []
    for file in data.pop("file", []):
        file["citation"] = _entry(citations, file["citation"], f"file {file['name']}: citation")
        files[file["name"]] = _filled(FileEntry, file)
    for table in data.pop("table", []):
        where = f"table {table['name']}"
        table["file"] = _entry(files, table["file"], f"{where}: file")
        known = {"device": table.pop("device", None), "repeats": table.get("repeats")}
        table["groups"] = [
            _group(group, known, where)
            for name in table.pop("columns")
            for group in _entry(groups, name, f"{where}: columns")
        ]
        tables.append({"notes": [], **table})
    return {"files": list(files.values()), "tables": tables, **data}


def _entry(known: Mapping[str, Any], name: str, where: str) -> Any:
    if name not in known:
        raise CatalogError(f"{where} must be one of {', '.join(known) or 'none'}", value=name)
    return known[name]


def _group(group: Mapping[str, Any], known: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A group of columns, "{device}" and "{repeats}" replaced by those of the table."""
    provenance = {name: value for name, value in group.items() if name != "metrics"}
    for name, value in known.items():
        if provenance.get(name) == f"{{{name}}}":
            if value is None:
                raise CatalogError(f"{where}: the table names no {name}")
            provenance[name] = value
    return {"metrics": group["metrics"], "provenance": _filled(Provenance, provenance)}


def _filled(kind: Any, data: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a dataclass, None for those that are missing."""
    return {**dict.fromkeys(field.name for field in fields(kind)), **data}


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
        ConfigError: the mirror is not a folder or an address of http, https or file.
        FetchError: the mirror's folder does not contain the file.
    """
    mirror = os.environ.get("ECNAS_MIRROR", "").strip()
    address = entry.address
    if mirror:
        if "://" not in mirror and not mirror.startswith("file:"):
            return _in_folder(expanded(mirror), entry, mirror)
        address = mirror.rstrip("/") + "/" + quote(entry.name)
    try:
        parts = urlsplit(address)
    except ValueError:
        parts = urlsplit("")
    reachable = parts.scheme == "file" or (parts.netloc and address.isascii())
    if parts.scheme not in _SCHEMES or not reachable:
        message = f"ECNAS_MIRROR must be a folder or an address of {' or '.join(_SCHEMES)}"
        raise ConfigError(message, value=address)
    if parts.scheme != "file":
        return address
    if parts.netloc not in ("", "localhost"):
        raise ConfigError("a file: address must name a folder of this machine", value=address)
    from urllib.request import url2pathname  # imports http.client, which is slow

    path = Path(url2pathname(parts.path))
    return _in_folder(path.parent, entry, address) if mirror else path


def _in_folder(folder: Path, entry: FileEntry, mirror: str) -> Path:
    path = folder / entry.name
    if not is_file(path):
        remedy = "put the file there, or unset ECNAS_MIRROR to fetch the file"
        raise FetchError(f"the mirror does not hold {entry.name}", value=mirror, remedy=remedy)
    return path

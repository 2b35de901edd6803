"""The catalog: every published file, the tables made from them, and where to get a file.

`catalog.toml` lists the published files with address, size and checksum, and the tables with the
provenance of their columns. A file comes from its published address or from the mirror that the
environment variable `ECNAS_MIRROR` names.
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cache
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Annotated, Literal, TypeVar
from urllib.parse import quote, urlsplit

from msgspec import Meta, Struct, convert
from msgspec.structs import asdict

from naslib_ecnas.errors import CatalogError, ConfigError, FetchError, UnknownTableError
from naslib_ecnas.provenance import Kind, Provenance

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

Text = Annotated[str, Meta(pattern=r"\S")]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*$")]
Count = Annotated[int, Meta(ge=1)]


class _Entry(Struct, forbid_unknown_fields=True):
    """One kind of entry of the catalog file; an optional field has a default."""


class _Citation(_Entry):
    key: Text
    text: Text


class _File(_Entry):
    name: Name
    address: Annotated[str, Meta(pattern=r"^(https?|file):")]
    licence: Text
    citation: Text
    format: Literal["ecnas-tfrecord", "nasbench-tfrecord", "nasbench-pickle"]
    size: Count | None = None
    approximate_size: Count | None = None
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")] | None = None
    note: Text | None = None


class _Table(_Entry):
    name: Name
    file: Text
    description: Text
    vertices: Count
    cells: Count
    repeats: Count
    budgets: Annotated[tuple[Count, ...], Meta(min_length=1)]
    columns: tuple[Text, ...]
    device: Text | None = None
    notes: tuple[Text, ...] = ()


class _Group(_Entry):
    metrics: tuple[Text, ...]
    kind: Kind
    device: str | None = None
    pue: float | None = None
    repeats: int | Literal["{repeats}"] | None = None
    note: str | None = None


class _Catalog(_Entry):
    citation: list[_Citation] = []
    file: list[_File] = []
    columns: dict[str, list[_Group]] = {}
    table: list[_Table] = []


def read_catalog(path: str | PathLike[str]) -> Catalog:
    """Read and check a catalog file.

    Raises:
        CatalogError: the file is not TOML, or an entry has a missing, unknown or wrong field.
    """
    try:
        data = import_module(_TOML).loads(Path(path).read_text("utf-8"))
        raw = convert(data, _Catalog)
    except (OSError, ValueError) as error:
        raise CatalogError(f"the catalog {path} cannot be read: {error}") from error
    names = [entry.name for entry in (*raw.file, *raw.table)]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise CatalogError("a name stands twice in the catalog", value=twice[0])
    citations = {each.key: Citation(each.key, each.text) for each in raw.citation}
    files = {}
    for each in raw.file:
        citation = _named(citations, each.citation, f"file {each.name}: citation")
        files[each.name] = FileEntry(**{**asdict(each), "citation": citation})
    return Catalog(tuple(files.values()), tuple(_table(each, files, raw) for each in raw.table))


def _table(raw: _Table, files: Mapping[str, FileEntry], whole: _Catalog) -> TableEntry:
    where = f"table {raw.name}"
    fields = asdict(raw)
    fields["file"] = _named(files, raw.file, f"{where}: file")
    groups = [g for name in raw.columns for g in _named(whole.columns, name, f"{where}: columns")]
    fields["groups"] = tuple(_group(group, raw, where) for group in groups)
    return TableEntry(**{k: v for k, v in fields.items() if k not in ("columns", "device")})


def _group(raw: _Group, table: _Table, where: str) -> ColumnGroup:
    """A group of columns, "{device}" and "{repeats}" replaced by those of the table."""
    fields = asdict(raw)
    metrics = fields.pop("metrics")
    for key in ("device", "repeats"):
        if fields[key] == f"{{{key}}}":
            fields[key] = getattr(table, key)
            if fields[key] is None:
                raise CatalogError(f"{where}: the table names no {key}")
    return ColumnGroup(metrics, Provenance(**fields))


T = TypeVar("T")


def _named(known: Mapping[str, T], name: str, where: str) -> T:
    if name not in known:
        raise CatalogError(f"{where} must be one of {', '.join(known) or 'none'}", value=name)
    return known[name]


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

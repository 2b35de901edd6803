"""The entries of the catalog: files, tables, and what is known of a table's columns."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from naslib_ecnas.provenance import Provenance

__all__ = ["Catalog", "Citation", "ColumnGroup", "FileEntry", "TableEntry"]


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

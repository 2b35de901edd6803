"""Converting files of any readable format into tables, once, in the cache.

`FORMATS` lists the readable formats, recognised by content; `export` writes tables in other
formats, chosen by suffix. A converted table has a `Receipt` beside it, which says what it was made
from, so that it is made again only when the source or the converter changed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.data.assemble import Source, opened, unreadable
from naslib_ecnas.data.catalog import TableEntry, catalog, file_entry, table_entry, tables
from naslib_ecnas.data.table import MAGIC, Columns, Table, write_table
from naslib_ecnas.errors import ConfigError, FetchError, FormatError, UnknownTableError
from naslib_ecnas.files import (
    atomic_write,
    cache_folder,
    exists,
    from_json,
    is_file,
    is_folder,
    storage_error,
)
from naslib_ecnas.progress import Progress, listening, silent
from naslib_ecnas.provenance import Provenance

__all__ = [
    "FORMATS",
    "Receipt",
    "built",
    "cached_table",
    "check_suffix",
    "converted",
    "export",
    "read",
    "sniff",
    "tables_folder",
    "verify",
]

# The readers, writers and the downloader are imported where they are used: opening a converted
# table needs none of them, and they take longer to import than the table takes to open.

#: Version of the conversion; a higher one makes every table anew.
CONVERTER = 1

_HEAD = 1 << 12  # bytes by which a format is recognised


# -- readable formats -----------------------------------------------------------------------------


class Reader(Protocol):
    """Signature of every format's reader."""

    def __call__(
        self,
        path: str | PathLike[str],
        /,
        *,
        name: str | None = None,
        vertices: int | None = None,
        provenance: Mapping[str, Provenance] | None = None,
    ) -> Columns: ...


@dataclass(frozen=True)
class Format:
    """How files of one format are recognised and read."""

    read: Reader
    fits: Callable[[Path, bytes], bool]
    """Whether a path with these first bytes (none for a folder) is of this format."""


def _reader(module: str, function: str) -> Reader:
    """The reader of this name in `naslib_ecnas.data`, imported when it is first called."""

    def read(path: str | PathLike[str], /, **details: Any) -> Columns:
        found: Reader = getattr(import_module(f"naslib_ecnas.data.{module}"), function)
        return found(path, **details)

    return read


def _read_table(
    path: str | PathLike[str],
    /,
    *,
    name: str | None = None,
    vertices: int | None = None,
    provenance: Mapping[str, Provenance] | None = None,
) -> Columns:
    columns = Table.open(path).to_columns()
    known = {k: p for k, p in (provenance or {}).items() if k in columns.values}
    return replace(
        columns,
        name=name or columns.name,
        vertices=columns.vertices if vertices is None else vertices,
        provenance={**columns.provenance, **known},
    )


def _is_framed(head: bytes) -> bool:
    from naslib_ecnas.data.tfrecord import is_framed

    return is_framed(head)


def _has_energy(path: Path) -> bool:
    """Whether the first message of a TFRecord file has EC-NAS's fields of energy."""
    from naslib_ecnas.data.protobuf import LENGTH, fields
    from naslib_ecnas.data.tfrecord import decode_row, read_frames

    for offset, data in read_frames(path):
        source = Source(str(path), offset, exact=False)
        message = decode_row(data, source).message
        for field in fields(message, source):
            if field.number >= 4:
                return True
            if field.number == 1 and field.wire_type == LENGTH:
                evaluation = message[field.start : field.stop]
                for inner in fields(evaluation, source):
                    # NAS-Bench-101's field 6 is a text, the path of a checkpoint.
                    if inner.number > 6 or (inner.number == 6 and inner.wire_type != LENGTH):
                        return True
        return False
    return False


def _is_results_tree(path: Path) -> bool:
    from naslib_ecnas.data.results_tree import is_results_tree

    return is_results_tree(path)


def _is_csv(_: Path, head: bytes) -> bool:
    first = head.removeprefix(b"\xef\xbb\xbf").partition(b"\n")[0]
    return head.startswith(b"#") or b"cell" in first.replace(b'"', b"").rstrip().split(b",")


#: Every format by name, in the order in which they are tried.
FORMATS: dict[str, Format] = {
    "table": Format(_read_table, lambda _, head: head.startswith(MAGIC)),
    "ecnas-tfrecord": Format(
        _reader("nasbench_tfrecord", "read_ecnas"),
        lambda path, head: _is_framed(head) and _has_energy(path),
    ),
    "nasbench-tfrecord": Format(
        _reader("nasbench_tfrecord", "read_nasbench"), lambda _, head: _is_framed(head)
    ),
    "nasbench-pickle": Format(
        _reader("nasbench_pickle", "read_nasbench_pickle"),
        lambda _, head: head[:1] == b"\x80" and head[1:2] <= b"\x05",
    ),
    "parquet": Format(
        _reader("long_form", "read_parquet"), lambda _, head: head.startswith(b"PAR1")
    ),
    "results-tree": Format(
        _reader("results_tree", "read_results_tree"), lambda path, _: _is_results_tree(path)
    ),
    "csv": Format(_reader("long_form", "read_csv"), _is_csv),
}


def sniff(path: str | PathLike[str]) -> str:
    """The format of a file or folder, as a key of `FORMATS`.

    Raises:
        UnknownTableError: there is nothing at this path, or it cannot be read.
        FormatError: the format is unknown.
    """
    place = Path(path)
    head = b""
    if not is_folder(place):
        with opened(place, report=False) as file:
            try:
                head = file.read(_HEAD)
            except OSError as error:
                raise unreadable(error, place) from error
    for name, known in FORMATS.items():
        if known.fits(place, head):
            return name
    offset = None if is_folder(place) else 0
    if head[:2] == b"\x1f\x8b":
        remedy = "unpack it first: gunzip FILE"
        raise FormatError("the file is packed with gzip", path=path, offset=offset, remedy=remedy)
    message = "the file is of no known format: " + ", ".join(FORMATS)
    raise FormatError(message, path=path, offset=offset, value=head[:16] or None)


def read(
    path: str | PathLike[str],
    *,
    name: str | None = None,
    vertices: int | None = None,
    provenance: Mapping[str, Provenance] | None = None,
) -> Columns:
    """Read a file or folder of any known format.

    Args:
        path: the file or folder.
        name: short name of the table, by default the file's.
        vertices: vertices of its space, by default what the file says, else the smallest of 4,
            5 and 7 that contains all cells.
        provenance: origin of each metric that is known better than the file says.

    Raises:
        UnknownTableError: there is nothing at this path, or it cannot be read.
        FormatError: the format is unknown, or the file is damaged.
        MissingDependencyError: the format needs a package that is not installed.
    """
    return FORMATS[sniff(path)].read(path, name=name, vertices=vertices, provenance=provenance)


# -- writable formats -----------------------------------------------------------------------------


def _write_tfrecord(path: Path, columns: Columns) -> None:
    """Write an EC-NAS file if there are energies, else a NAS-Bench-101 file."""
    from naslib_ecnas.data.nasbench_tfrecord import write_ecnas, write_nasbench

    energy = any(name.endswith("energy_kwh") for name in columns.values)
    (write_ecnas if energy else write_nasbench)(path, columns)


def _write_parquet(path: Path, columns: Columns) -> None:
    from naslib_ecnas.data.long_form import write_parquet

    write_parquet(path, columns)


def _write_csv(path: Path, columns: Columns) -> None:
    from naslib_ecnas.data.long_form import write_csv

    write_csv(path, columns)


_WRITERS: dict[str, Callable[[Path, Columns], None]] = {
    ".ecnas": write_table,
    ".tfrecord": _write_tfrecord,
    ".parquet": _write_parquet,
    ".csv": _write_csv,
}


def check_suffix(path: str | PathLike[str]) -> None:
    """Raise ConfigError unless the suffix of a path names a format that can be written."""
    if Path(path).suffix.lower() not in _WRITERS:
        suffixes = ", ".join(_WRITERS)
        raise ConfigError(f"the file must have one of the suffixes {suffixes}", value=str(path))


def export(table: Table, path: str | PathLike[str]) -> None:
    """Write a table as .ecnas, .tfrecord, .parquet or .csv, whole or not at all.

    Raises:
        ConfigError: the suffix is none of these.
        FormatError: the format cannot hold the table's columns.
        MissingDependencyError: pyarrow is not installed, which Parquet needs.
        StorageError: the file cannot be written.
    """
    check_suffix(path)
    target = Path(path)
    _WRITERS[target.suffix.lower()](target, table.to_columns())


# -- receipts -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Receipt:
    """What a table in the cache was made from; stored beside it as JSON."""

    sha256: str
    """Checksum of the source."""
    size: int
    """Size of the source in bytes."""
    mtime_ns: int
    """Modification time of the source. While size and time are unchanged, the source is not read
    again to compare its checksum."""
    maker: str
    """Everything else that decides the table's content: the version of the converter and what
    the catalog says of the columns."""

    @staticmethod
    def path(table: Path) -> Path:
        """Path of the receipt of a table."""
        return table.with_suffix(".json")

    @classmethod
    def read(cls, table: Path) -> Receipt | None:
        """The receipt of a table; None if the table or an intact receipt is missing."""
        try:
            data: Any = from_json(cls.path(table).read_text("utf-8"))
            receipt = cls(**data)
        except (OSError, ValueError, TypeError):
            return None
        types = {"sha256": str, "size": int, "mtime_ns": int, "maker": str}
        good = all(type(getattr(receipt, name)) is kind for name, kind in types.items())
        return receipt if good and table.is_file() else None

    def write(self, table: Path) -> None:
        """Write the receipt beside its table.

        Raises:
            StorageError: the folder cannot be written.
        """
        with atomic_write(self.path(table)) as file:
            file.write(json.dumps(asdict(self), indent=1).encode() + b"\n")

    def withdraw(self, table: Path) -> None:
        """Remove the receipt, before its table is replaced.

        Raises:
            StorageError: the folder cannot be written.
        """
        try:
            self.path(table).unlink(missing_ok=True)
        except OSError as error:
            raise storage_error(error, table) from error


# -- conversion into the cache --------------------------------------------------------------------


def tables_folder() -> Path:
    """The folder of converted tables in the cache."""
    return cache_folder() / "tables"


def converted(
    name_or_path: str | PathLike[str],
    *,
    fetch: bool = True,
    afresh: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Path of the table file of a name or a file, converted first if needed.

    A table of the catalog is made from its published file, which is fetched if needed. A file
    that is a table is used in place. Any other file is converted into the cache, and again when
    its content has changed. A file whose SHA-256 is in the catalog gets the catalog's provenance,
    wherever it lies.

    Args:
        name_or_path: name of a table or file of the catalog, else a path.
        fetch: whether a published file may be downloaded.
        afresh: convert again even if the table is up to date, for example if it was damaged.
        progress: progress listener.

    Raises:
        UnknownTableError: there is neither such a table nor such a file.
        FetchError: the published file is not here and could not, or must not, be downloaded.
        FormatError: the file is damaged or of no known format.
        StorageError: the cache cannot be written.
    """
    progress = progress or silent
    name = str(name_or_path)
    if name.endswith(".ecnas") and is_file(Path(name).expanduser()):
        return Path(name).expanduser()
    if any(entry.name == name for entry in tables()):
        return _of_catalog(table_entry(name), fetch, afresh, progress)
    path = Path(name_or_path).expanduser()
    if not exists(path):
        published = next((entry for entry in catalog().files if entry.name == name), None)
        if published is None:
            raise _no_such_file(name, path)
        from naslib_ecnas.data import fetch as downloads

        path = downloads.fetch(published, download=fetch, progress=progress)
    return _of_path(path, afresh, progress)


def _no_such_file(name: str, path: Path) -> UnknownTableError:
    """The error for a name that is neither in the catalog nor a file."""
    if "/" not in name and path.name == name and not path.suffix:
        table_entry(name)  # raises the error that suggests the nearest table
    remedy = "list the names of the catalog with: ecnas data list"
    return UnknownTableError("no such file", value=name, remedy=remedy)


def cached_table(entry: TableEntry) -> Path | None:
    """The converted table of a table of the catalog, if it exists and is up to date."""
    table = tables_folder() / f"{entry.name}.ecnas"
    receipt = Receipt.read(table)
    if receipt is None or receipt.maker != _maker(entry):
        return None
    return table if receipt.sha256 == (entry.file.sha256 or receipt.sha256) else None


def _of_catalog(entry: TableEntry, download: bool, afresh: bool, progress: Progress) -> Path:
    ready = None if afresh else cached_table(entry)
    if ready is not None:
        return ready
    from naslib_ecnas.data.fetch import fetch, locked, sha256_of

    source = fetch(entry.file, progress=progress, download=download)
    table = tables_folder() / f"{entry.name}.ecnas"
    with locked(table, progress):
        # Another process may have converted it meanwhile.
        if afresh or cached_table(entry) is None:
            size, mtime = _state(source)
            sha256 = entry.file.sha256 or sha256_of(source, progress)
            columns = _columns_of(source, sha256, entry, progress)
            _write(table, columns, Receipt(sha256, size, mtime, _maker(entry)))
    return table


def _of_path(source: Path, afresh: bool, progress: Progress) -> Path:
    import hashlib

    if source.is_dir():  # check the format before the state of all its files is taken
        sniff(source)
    where = hashlib.sha256(str(source.resolve()).encode()).hexdigest()[:12]
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", source.stem)[:40].strip("-") or "table"
    table = tables_folder() / f"{stem}-{where}.ecnas"
    # Taken before the content is read, so that a later change shows at the next call.
    size, mtime = _state(source)

    def ready() -> bool:
        receipt = Receipt.read(table)
        if receipt is None or (receipt.size, receipt.mtime_ns) != (size, mtime):
            return False
        return receipt.maker == _maker(_entry_of(receipt.sha256))

    if not afresh and ready():
        return table
    from naslib_ecnas.data.fetch import locked, sha256_of

    with locked(table, progress):
        if not afresh and ready():
            return table
        sha256 = f"{size}-{mtime}" if source.is_dir() else sha256_of(source, progress)
        entry = _entry_of(sha256)
        receipt = Receipt(sha256, size, mtime, _maker(entry))
        before = None if afresh else Receipt.read(table)
        if before is not None and (before.sha256, before.maker) == (sha256, receipt.maker):
            receipt.write(table)  # a new modification time, the same content
        else:
            columns = _columns_of(source, None if source.is_dir() else sha256, entry, progress)
            _write(table, columns, receipt)
    return table


def _columns_of(
    source: Path, sha256: str | None, entry: TableEntry | None, progress: Progress
) -> Columns:
    """Read a file and give every column its provenance.

    Args:
        source: the file.
        sha256: its checksum; None for a folder.
        entry: the catalog's table that the file is the published file of, if any.
        progress: progress listener.

    Raises:
        FormatError: the file is damaged or of no known format.
    """
    if entry is None:
        sniff(source)  # so that no conversion is announced for a file that cannot be read
    with listening(progress):
        if entry is None:
            columns = read(source)
        else:
            columns = read(source, name=entry.name, vertices=entry.vertices)
    notes: dict[str, str] = {}
    if entry is None:
        provenance = _completed(columns.provenance, source.name, sha256)
    else:
        provenance = {metric: entry.provenance(metric, sha256) for metric in columns.values}
        notes = {
            "description": entry.description,
            "citation": entry.file.citation.text,
            "citation_key": entry.file.citation.key,
            "licence": entry.file.licence,
            "address": entry.file.address,
            **({"notes": "; ".join(entry.notes)} if entry.notes else {}),
        }
    attributes = {**columns.attributes, **notes, "converter": str(CONVERTER)}
    return replace(columns, provenance=provenance, attributes=attributes)


def _completed(
    provenance: Mapping[str, Provenance], source: str, sha256: str | None
) -> dict[str, Provenance]:
    """The origins, with the source and its checksum added where they are missing."""
    return {
        metric: replace(known, source=known.source or source, sha256=known.sha256 or sha256)
        for metric, known in provenance.items()
    }


def _write(table: Path, columns: Columns, receipt: Receipt) -> None:
    """Replace a table; at no time does a receipt of another table lie beside it."""
    receipt.withdraw(table)
    write_table(table, columns)
    receipt.write(table)


def _entry_of(sha256: str) -> TableEntry | None:
    """The table of the catalog whose file has this checksum."""
    return next((entry for entry in catalog().tables if entry.file.sha256 == sha256), None)


def _maker(entry: TableEntry | None) -> str:
    """The converter's version and what the catalog says of a table, as text.

    The text itself and not a digest: hashlib takes a tenth of the memory of an open table.
    """
    said: list[object] = [CONVERTER]
    if entry is not None:
        groups = [[g.metrics, g.provenance.to_json()] for g in entry.groups]
        said += [entry.name, entry.vertices, entry.description, entry.notes, groups]
        said += [entry.file.name, entry.file.address, entry.file.licence, entry.file.citation.text]
    return json.dumps(said, separators=(",", ":"))


def _state(source: Path) -> tuple[int, int]:
    """Size and modification time of a file; for a folder, of all its files together."""
    try:
        files = sorted(p for p in source.rglob("*") if p.is_file()) if source.is_dir() else [source]
        states = [(path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    except OSError as error:
        raise unreadable(error, source) from error
    if not source.is_dir():
        return states[0]
    import hashlib

    named = [
        [str(path.relative_to(source)), *state] for path, state in zip(files, states, strict=True)
    ]
    digest = hashlib.sha256(json.dumps(named).encode()).digest()
    return sum(size for size, _ in states), int.from_bytes(digest[:7], "big")


# -- the official seven-vertex table from its parts -----------------------------------------------

#: From rows (n,) and budgets (b,) to (n, b) columns: energies in kWh and, if known, deviations.
Energy = Callable[[NDArray[np.int32], Sequence[int]], Mapping[str, NDArray[np.float64]]]

_KEPT = ("training_time_s", "train_accuracy", "validation_accuracy", "test_accuracy")


def built(
    nasbench: str | PathLike[str], energy: Energy, provenance: Provenance, *, name: str = "7v"
) -> Columns:
    """NAS-Bench-101's trainings with the energies of a model, as the official 7v table has them.

    Accuracies and times are the file's, repeat by repeat. A model gives one energy for each cell
    and budget: every repeat in the file gets it.

    Args:
        nasbench: a file of NAS-Bench-101's trainings, in any readable format.
        energy: the model.
        provenance: origin of its energies.
        name: short name of the table.

    Raises:
        UnknownTableError: there is no such file.
        FormatError: it is damaged, of no known format, or has no accuracies.
    """
    records = read(nasbench, name=name, vertices=7)
    kept = {m: v for m, v in records.values.items() if m.removeprefix("halfway_") in _KEPT}
    if "validation_accuracy" not in kept:
        message = "the file must have validation_accuracy among its columns"
        raise FormatError(message, path=nasbench, value=list(records.values))
    there = np.isfinite(kept["validation_accuracy"])
    columns = energy(records.rows, records.budgets)
    modelled = {
        metric: np.where(there, values[:, :, None], np.nan) for metric, values in columns.items()
    }
    from naslib_ecnas.data.fetch import sha256_of

    file = Path(nasbench)
    origin = _completed(records.provenance, file.name, sha256_of(file) if is_file(file) else None)
    ours = "trained by NAS-Bench-101, as its file says; not the trainings of the energy"
    notes = {m: f"{p.note}; {ours}" if p.note else ours for m, p in origin.items()}
    measured = {metric: replace(origin[metric], note=notes[metric]) for metric in kept}
    description = f"trainings of {file.name} with modelled energies"
    return replace(
        records,
        name=name,
        values={**modelled, **kept},
        provenance={**dict.fromkeys(modelled, provenance), **measured},
        attributes={**records.attributes, "description": description},
    )


# -- verification ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Verdict:
    """Result of checking one file."""

    path: str
    good: bool
    what: str
    """One line that says what was checked against what, or what is wrong."""


def verify(name: str, progress: Progress) -> list[Verdict]:
    """Check what this machine has of a table or file of the catalog, or a file at a path.

    A published file is compared with its published size and SHA-256, a table with its own block
    checksums. Any other file is read whole, which checks whatever checksums its format has.

    Returns:
        One verdict for each file; a fault in a file is a verdict, not an error.

    Raises:
        UnknownTableError: there is neither such a name nor such a file.
        FetchError: nothing of that name is on this machine.
    """
    from naslib_ecnas.data.fetch import check, local_copy

    entries = {table.name: table for table in tables()}
    if name not in entries and name not in {file.name for file in catalog().files}:
        path = Path(name).expanduser()
        if exists(path):
            return [_verify_path(path, progress)]
        if "/" not in name and path.name == name:
            file_entry(name)  # raises the error that suggests the nearest name
        raise _no_such_file(name, path)
    file = file_entry(name)
    copy = local_copy(file)
    table = cached_table(entries[name]) if name in entries else None
    found = [] if table is None else [_verify_path(table, progress)]
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
        remedy = f"fetch it with: ecnas data fetch {name}"
        raise FetchError(f"nothing of {name} is on this machine", remedy=remedy)
    return found


def _verify_path(path: Path, progress: Progress) -> Verdict:
    from naslib_ecnas.data.fetch import check, sha256_of

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
    what = f"{path} can be read, {len(columns.rows):,} cells, but is not in the catalog"
    return Verdict(str(path), True, what)

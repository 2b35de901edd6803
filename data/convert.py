"""Turns files of any readable format into tables, once, and keeps these in the cache."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.data import protobuf
from naslib_ecnas.data.assemble import Source, opened, unreadable
from naslib_ecnas.data.catalog import (
    FileEntry,
    TableEntry,
    catalog,
    file_entry,
    table_entry,
    tables,
)
from naslib_ecnas.data.fetch import check, local_copy, sha256_of
from naslib_ecnas.data.long_form import read_csv, read_parquet, write_csv, write_parquet
from naslib_ecnas.data.nasbench_pickle import read_nasbench_pickle
from naslib_ecnas.data.nasbench_tfrecord import read_ecnas, read_nasbench
from naslib_ecnas.data.results_tree import is_results_tree, read_results_tree
from naslib_ecnas.data.table import MAGIC, Columns, Table
from naslib_ecnas.data.tfrecord import decode_row, is_framed, read_frames
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
from naslib_ecnas.progress import Progress, Silent, listener, listening
from naslib_ecnas.provenance import Provenance

__all__ = [
    "CONVERTER",
    "FORMATS",
    "Energy",
    "Format",
    "Receipt",
    "Verdict",
    "built",
    "cached_table",
    "check_suffix",
    "columns_of",
    "converted",
    "export",
    "read",
    "sniff",
    "tables_folder",
    "verify",
    "write_csv",
    "write_parquet",
]


# Receipts: beside each converted table, what it was made from and by what.


@dataclass(frozen=True)
class Receipt:
    """What a converted table was made from."""

    sha256: str
    """Checksum of the source."""
    size: int
    """Its size in bytes, and ..."""
    mtime_ns: int
    """... its time of change: where both are as before, it is not read again to be compared."""
    maker: str
    """All else that decides the table's content: the converter's version and what the catalog
    says of the columns."""

    @staticmethod
    def path(table: Path) -> Path:
        """Where the receipt of a table is."""
        return table.with_suffix(".json")

    @classmethod
    def read(cls, table: Path) -> Receipt | None:
        """The receipt of a table; None where there is no table, or no receipt to rely on."""
        try:
            data: Any = from_json(cls.path(table).read_text("utf-8"))
            receipt = cls(**data)
        except (OSError, ValueError, TypeError):
            return None
        types = {"sha256": str, "size": int, "mtime_ns": int, "maker": str}
        good = all(type(getattr(receipt, name)) is kind for name, kind in types.items())
        return receipt if good and table.is_file() else None

    def write(self, table: Path) -> None:
        """Put the receipt beside its table.

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


# Every format that can be read, told apart by content.
#
# A format is one line of `FORMATS` and the file that it names: how it is recognised, and how it is
# read.


_HEAD = 1 << 12


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
    """One format."""

    read: Reader
    """Its reader."""
    fits: Callable[[Path, bytes], bool]
    """Whether a path with these first bytes (none for a folder) is of this format."""


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


def _has_energy(path: Path) -> bool:
    """Whether the first message of a TFRecord file is EC-NAS's: it has fields of energy."""
    for offset, data in read_frames(path):
        source = Source(str(path), offset, exact=False)
        message = decode_row(data, source).message
        for field in protobuf.fields(message, source):
            if field.number >= 4:
                return True
            if field.number == 1 and field.wire_type == protobuf.LENGTH:
                evaluation = message[field.start : field.stop]
                for inner in protobuf.fields(evaluation, source):
                    # NAS-Bench-101's field 6 is a text, the path of a checkpoint.
                    if inner.number > 6 or (
                        inner.number == 6 and inner.wire_type != protobuf.LENGTH
                    ):
                        return True
        return False
    return False


def _is_csv(_: Path, head: bytes) -> bool:
    first = head.removeprefix(b"\xef\xbb\xbf").partition(b"\n")[0]
    return head.startswith(b"#") or b"cell" in first.replace(b'"', b"").rstrip().split(b",")


#: Every format by name, in the order in which they are tried.
FORMATS: dict[str, Format] = {
    "table": Format(_read_table, lambda _, head: head.startswith(MAGIC)),
    "ecnas-tfrecord": Format(read_ecnas, lambda path, head: is_framed(head) and _has_energy(path)),
    "nasbench-tfrecord": Format(read_nasbench, lambda _, head: is_framed(head)),
    "nasbench-pickle": Format(
        read_nasbench_pickle, lambda _, head: head[:1] == b"\x80" and head[1:2] <= b"\x05"
    ),
    "parquet": Format(read_parquet, lambda _, head: head.startswith(b"PAR1")),
    "results-tree": Format(read_results_tree, lambda path, _: is_results_tree(path)),
    "csv": Format(read_csv, _is_csv),
}


def sniff(path: str | PathLike[str]) -> str:
    """The name of a file's or folder's format.

    Returns:
        A key of `FORMATS`.

    Raises:
        UnknownTableError: there is nothing at this path, or it cannot be read.
        FormatError: it is of no known format.
    """
    place = Path(path)
    head = b""
    if not is_folder(place):
        with opened(place, heard=False) as file:
            try:
                head = file.read(_HEAD)
            except OSError as error:
                raise unreadable(error, place) from error
    for name, known in FORMATS.items():
        if known.fits(place, head):
            return name
    packed = head[:2] == b"\x1f\x8b"
    raise FormatError(
        "the file is compressed with gzip" if packed else "no known format",
        path=path,
        offset=None if is_folder(place) else 0,
        value=head[:16] or None,
        expected="one of " + ", ".join(FORMATS),
        remedy="unpack it first: gunzip FILE" if packed else "check that this is the right file",
    )


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
            5 and 7 that holds all cells.
        provenance: origin of each metric where it is known better than the file says.

    Raises:
        UnknownTableError: there is nothing at this path, or it cannot be read.
        FormatError: it is of no known format, or damaged.
        MissingDependencyError: its format needs a package that is not installed.
    """
    return FORMATS[sniff(path)].read(path, name=name, vertices=vertices, provenance=provenance)


# The official seven-vertex table made anew: NAS-Bench-101's records and a model's energies.


#: From rows (n,) and budgets (b,) to columns of (n, b): energies and, where known, deviations.
Energy = Callable[[NDArray[np.int32], Sequence[int]], Mapping[str, NDArray[np.float64]]]

_KEPT = ("training_time_s", "train_accuracy", "validation_accuracy", "test_accuracy")


def built(
    nasbench: str | PathLike[str], energy: Energy, provenance: Provenance, *, name: str = "7v"
) -> Columns:
    """NAS-Bench-101's trainings with the energies of a model.

    Accuracies and times are the file's, repeat by repeat; budgets and cells that it lacks are
    lacking here too. A modelled energy is one for a cell and a budget: every repeat that the file
    has gets the same.

    Args:
        nasbench: a file of NAS-Bench-101's, in any format that is read.
        energy: the model.
        provenance: of its energies.
        name: short name of the table.

    Raises:
        UnknownTableError: there is no such file.
        FormatError: it is damaged, of no known format, or has no accuracies.
    """

    records = read(nasbench, name=name, vertices=7)
    kept = {m: v for m, v in records.values.items() if m.removeprefix("halfway_") in _KEPT}
    if "validation_accuracy" not in kept:
        raise FormatError(
            "holds no trainings of NAS-Bench-101",
            path=nasbench,
            value=", ".join(records.values),
            expected="validation_accuracy among the columns",
            remedy="use nasbench_full.tfrecord or nasbench_only108.tfrecord",
        )
    there = np.isfinite(kept["validation_accuracy"])
    columns = energy(records.rows, records.budgets)
    modelled = {
        metric: np.where(there, values[:, :, None], np.nan) for metric, values in columns.items()
    }
    file = Path(nasbench)
    sha256 = sha256_of(file) if is_file(file) else None
    origin = {
        metric: replace(
            known,
            source=known.source or file.name,
            sha256=known.sha256 or sha256,
            note=_with(known.note),
        )
        for metric, known in records.provenance.items()
        if metric in kept
    }
    return replace(
        records,
        name=name,
        values={**modelled, **kept},
        provenance={**dict.fromkeys(modelled, provenance), **origin},
        attributes={
            **records.attributes,
            "description": f"trainings of {Path(nasbench).name} with modelled energies",
        },
    )


def _with(note: str | None) -> str:
    ours = "trained by NAS-Bench-101, on the file's word; not the trainings of the energy"
    return f"{note}; {ours}" if note else ours


# Writes a table in another format, which its suffix names.


def _table(path: Path, columns: Columns) -> None:
    from naslib_ecnas.data.table import write_table

    write_table(path, columns)


def _tfrecord(path: Path, columns: Columns) -> None:
    """An EC-NAS file where there is energy, else a NAS-Bench-101 file, as its readers expect."""
    from naslib_ecnas.data.nasbench_tfrecord import write_ecnas, write_nasbench

    energy = any(name.endswith("energy_kwh") for name in columns.values)
    (write_ecnas if energy else write_nasbench)(path, columns)


def _parquet(path: Path, columns: Columns) -> None:

    write_parquet(path, columns)


def _csv(path: Path, columns: Columns) -> None:

    write_csv(path, columns)


_WRITERS: dict[str, Callable[[Path, Columns], None]] = {
    ".ecnas": _table,
    ".tfrecord": _tfrecord,
    ".parquet": _parquet,
    ".csv": _csv,
}


def check_suffix(path: str | PathLike[str]) -> None:
    """See that a path's suffix names a format that can be written.

    Raises:
        ConfigError: it does not.
    """
    if Path(path).suffix.lower() not in _WRITERS:
        raise ConfigError(
            "no such format to write",
            value=str(path),
            expected="a file name that ends in " + ", ".join(_WRITERS),
            remedy="choose one of these suffixes",
        )


def export(table: Table, path: str | PathLike[str]) -> None:
    """Write a table as .ecnas, .tfrecord, .parquet or .csv, whole or not at all.

    Raises:
        ConfigError: the suffix names none of these.
        FormatError: the format cannot hold the table's columns.
        MissingDependencyError: Parquet without pyarrow.
        StorageError: the file cannot be written.
    """
    check_suffix(path)
    target = Path(path)
    _WRITERS[target.suffix.lower()](target, table.to_columns())


#: Raised whenever the same source would give another table, so that tables are made anew.
CONVERTER = 1


def tables_folder() -> Path:
    """The folder of converted tables."""
    return cache_folder() / "tables"


def converted(
    name_or_path: str | PathLike[str],
    *,
    fetch: bool = True,
    afresh: bool = False,
    progress: Progress | None = None,
) -> Path:
    """The table file of a catalog's table or of a file, converted if that was not yet done.

    A table of the catalog is made from its published file, which is fetched first where it is
    not here. A file that is a table already is used as it is. Any other is converted into the
    cache, and again when its content has changed. A file whose SHA-256 the catalog knows gets
    the catalog's provenance, wherever it lies.

    Args:
        name_or_path: name of a table or file of the catalog, else a path.
        fetch: whether a published file that is not on this machine may be brought.
        afresh: convert even where that was done, such as when the table was damaged.
        progress: hears how far it is.

    Raises:
        UnknownTableError: there is neither such a table nor such a file.
        FetchError: the published file is not here and could not, or must not, be brought.
        FormatError: the file is damaged or of no known format.
        StorageError: the cache cannot be written.
    """
    progress = Silent() if progress is None else progress
    name = str(name_or_path)
    if name.endswith(".ecnas") and is_file(Path(name).expanduser()):
        return Path(name).expanduser()
    if any(entry.name == name for entry in tables()):
        return _of_catalog(table_entry(name), fetch, afresh, progress)
    path = Path(name_or_path).expanduser()
    if not exists(path):
        published = next((entry for entry in catalog().files if entry.name == name), None)
        if published is not None:
            return _of_path(_here(published, fetch, progress), afresh, progress)
        if "/" in name or path.name != name or path.suffix:
            raise UnknownTableError(
                "no such file",
                value=name,
                expected="a file, or one of " + ", ".join(entry.name for entry in tables()),
                remedy="list the tables with: ecnas data list",
            )
        table_entry(name)  # raises, and names what is nearest
    return _of_path(path, afresh, progress)


def cached_table(entry: TableEntry) -> Path | None:
    """The converted table of the catalog's table, where it was made before and is up to date."""
    table = tables_folder() / f"{entry.name}.ecnas"
    receipt = Receipt.read(table)
    if receipt is None or receipt.maker != _maker(entry):
        return None
    return table if receipt.sha256 == (entry.file.sha256 or receipt.sha256) else None


def _of_catalog(entry: TableEntry, bring: bool, afresh: bool, progress: Progress) -> Path:
    ready = None if afresh else cached_table(entry)
    if ready is not None:
        return ready
    from naslib_ecnas.data.fetch import fetch as fetch_file
    from naslib_ecnas.data.fetch import locked, sha256_of

    source = fetch_file(entry.file, progress=progress, bring=bring)
    table = tables_folder() / f"{entry.name}.ecnas"
    with locked(table, progress):
        # Another process may have converted it meanwhile.
        if afresh or cached_table(entry) is None:
            size, mtime = _state(source)
            sha256 = entry.file.sha256 or sha256_of(source, progress)
            columns = columns_of(source, sha256, entry, progress)
            _write(table, columns, Receipt(sha256, size, mtime, _maker(entry)))
    return table


def _here(entry: FileEntry, bring: bool, progress: Progress) -> Path:
    """A published file, checked."""
    from naslib_ecnas.data.fetch import fetch

    return fetch(entry, bring=bring, progress=progress)


def _of_path(source: Path, afresh: bool, progress: Progress) -> Path:
    import hashlib

    if source.is_dir():  # before all files of it are looked at: it may be any folder
        sniff(source)
    where = hashlib.sha256(str(source.resolve()).encode()).hexdigest()[:12]
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", source.stem)[:40].strip("-") or "table"
    table = tables_folder() / f"{stem}-{where}.ecnas"
    # The time is taken before the content is read: a later change shows next time.
    size, mtime = _state(source)

    def ready() -> bool:
        receipt = Receipt.read(table)
        if receipt is None or (receipt.size, receipt.mtime_ns) != (size, mtime):
            return False
        return receipt.maker == _maker(_known(receipt.sha256))

    if not afresh and ready():
        return table
    from naslib_ecnas.data.fetch import locked, sha256_of

    with locked(table, progress):
        if not afresh and ready():
            return table
        sha256 = f"{size}-{mtime}" if source.is_dir() else sha256_of(source, progress)
        entry = _known(sha256)
        receipt = Receipt(sha256, size, mtime, _maker(entry))
        before = None if afresh else Receipt.read(table)
        if before is not None and before.sha256 == sha256 and before.maker == receipt.maker:
            receipt.write(table)  # touched, not changed
        else:
            columns = columns_of(source, None if source.is_dir() else sha256, entry, progress)
            _write(table, columns, receipt)
    return table


def columns_of(
    source: Path, sha256: str | None, entry: TableEntry | None, progress: Progress | None = None
) -> Columns:
    """Read a file and say of every column where it comes from.

    Args:
        source: the file.
        sha256: its checksum, which the caller took.
        entry: the table of the catalog that it is the published file of, if it is.
        progress: hears how far it is.

    Raises:
        FormatError: it is damaged or of no known format.
    """

    if entry is None:
        sniff(source)  # so that nothing is announced for a file that cannot be read
    progress = listener() if progress is None else progress
    size = None if source.is_dir() else _state(source)[0]
    progress.started(source.name, "converting", size, 0)
    with listening(progress):
        if entry is None:
            columns = read(source)
        else:
            columns = read(source, name=entry.name, vertices=entry.vertices)
    progress.finished(source.name)
    if entry is None:
        provenance = {
            metric: replace(
                known, source=known.source or source.name, sha256=known.sha256 or sha256
            )
            for metric, known in columns.provenance.items()
        }
        notes: Mapping[str, str] = {}
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


def _write(table: Path, columns: Columns, receipt: Receipt) -> None:
    """Replace a table; between the two files there is never a receipt of another table."""
    from naslib_ecnas.data.table import write_table

    receipt.withdraw(table)
    write_table(table, columns)
    receipt.write(table)


def _known(sha256: str) -> TableEntry | None:
    """The table of the catalog whose file has this checksum."""
    return next((entry for entry in catalog().tables if entry.file.sha256 == sha256), None)


def _maker(entry: TableEntry | None) -> str:
    """The converter and what the catalog says of a table, as text.

    No digest of it: a library of ciphers would be a tenth of all memory that opening takes.
    """
    said: list[object] = [CONVERTER]
    if entry is not None:
        groups = [[g.metrics, g.provenance.to_json()] for g in entry.groups]
        said += [entry.name, entry.vertices, entry.description, entry.notes, groups]
        said += [entry.file.name, entry.file.address, entry.file.licence, entry.file.citation.text]
    return json.dumps(said, separators=(",", ":"))


def _state(source: Path) -> tuple[int, int]:
    """Size and time of change of a file; of a folder, those of all its files together."""
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


# Checks everything that is on this machine under a name, or one file at a path.


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
        return [_verify_of_path(path, progress)]
    file = file_entry(name)
    copy = local_copy(file)
    table = cached_table(entries[name]) if name in entries else None
    found = [] if table is None else [_verify_of_path(table, progress)]
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


def _verify_of_path(path: Path, progress: Progress) -> Verdict:
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

"""Files of any readable format: recognised, converted into tables in the cache, verified, exported.

`FORMATS` lists the formats that are read, recognised by content; `export` writes tables in other
formats, chosen by suffix.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.data.arrays import PREFIX
from naslib_ecnas.data.assemble import opened, reading
from naslib_ecnas.data.cache import cached, up_to_date
from naslib_ecnas.data.catalog import FileEntry, TableEntry, catalog, file_entry, named, tables
from naslib_ecnas.data.table import SUFFIX, Columns, Table
from naslib_ecnas.errors import (
    ConfigError,
    FetchError,
    FormatError,
    UnknownTableError,
    printable,
)
from naslib_ecnas.files import exists, expanded, is_file, is_folder
from naslib_ecnas.provenance import Provenance

# The readers, writers and the downloader are imported where they are used: opening a converted
# table needs none of them, and they take longer to import than the table takes to open.

#: Version of the conversion; a higher one makes every table anew.
CONVERTER = 2

_HEAD = 1 << 12  # bytes by which a format is recognised


def _of_data(name: str) -> Any:
    """The function `module:function` of `naslib_ecnas.data`, imported when it is asked for."""
    module, _, function = name.partition(":")
    return getattr(import_module(f"naslib_ecnas.data.{module}"), function)


# -- readable formats -----------------------------------------------------------------------------

#: For each format the function that reads a path as columns.
FORMATS = {
    "table": "convert:_read_table",
    "ecnas-tfrecord": "nasbench_tfrecord:read_ecnas",
    "nasbench-tfrecord": "nasbench_tfrecord:read_nasbench",
    "nasbench-pickle": "unpickle:read_nasbench_pickle",
    "parquet": "long_form:read_parquet",
    "results-tree": "results_tree:read_results_tree",
    "csv": "long_form:read_csv",
}


def _format_of(path: Path, head: bytes) -> str | None:
    """The format of a file with these first bytes; a folder has none."""
    if head[8:].startswith(PREFIX):
        return "table"
    if head.startswith(b"PAR1"):
        return "parquet"
    if _of_data("tfrecord:is_framed")(head):
        energy = _of_data("nasbench_tfrecord:has_energy")(path)
        return "ecnas-tfrecord" if energy else "nasbench-tfrecord"
    if head[:1] == b"\x80" and head[1:2] <= b"\x05":  # a length in a frame may begin like this
        return "nasbench-pickle"
    if _of_data("results_tree:is_results_tree")(path):
        return "results-tree"
    return "csv" if head and _of_data("long_form:is_csv")(head) else None


def sniff(path: str | PathLike[str]) -> str:
    """The format of a file or folder by its content, as a key of `FORMATS`.

    Raises:
        UnknownTableError: there is nothing at this path, or it cannot be read.
        FormatError: the format is unknown.
    """
    place = Path(path)
    head, offset = b"", None
    if not is_folder(place):
        with opened(place) as file:
            head, offset = file.read(_HEAD), 0
    name = _format_of(place, head)
    if name is not None:
        return name
    if head.startswith(b"\x1f\x8b"):
        packed, remedy = "the file is packed with gzip", "unpack it first: gunzip FILE"
        raise FormatError(packed, path=path, offset=offset, remedy=remedy)
    message = "the file is of no known format: " + ", ".join(FORMATS)
    needs = "a CSV needs a first line that names the columns cell (or hash), epochs and metrics"
    more = {"value": head[:16], "remedy": None if b"\0" in head else needs} if head else {}
    raise FormatError(message, path=path, offset=offset, **more)


def read(path: str | PathLike[str]) -> Columns:
    """Read a file or folder of any known format.

    A table gets the name and the space that the file states, else the file's own name and the
    smallest of the spaces of 4, 5 and 7 vertices that contains all cells.

    Raises:
        UnknownTableError: there is nothing at this path, or it cannot be read.
        FormatError: the format is unknown, or the file is damaged.
        MissingDependencyError: the format needs a package that is not installed.
    """
    try:
        columns: Columns = _of_data(FORMATS[sniff(path)])(path)
    except MemoryError as error:
        raise FormatError("reading it takes more memory than there is", path=path) from error
    return columns


def _read_table(path: str | PathLike[str]) -> Columns:
    return Table.open(path).to_columns()


# -- writable formats -----------------------------------------------------------------------------


def _write_tfrecord(path: Path, columns: Columns) -> None:
    """Write an EC-NAS file if there are energies, else a NAS-Bench-101 file."""
    energy = any(name.endswith("energy_kwh") for name in columns.values)
    _of_data(f"nasbench_tfrecord:{'write_ecnas' if energy else 'write_nasbench'}")(path, columns)


#: A function of a path and columns for each suffix.
_WRITERS = {
    SUFFIX: "table:write_table",
    ".tfrecord": "convert:_write_tfrecord",
    ".parquet": "long_form:write_parquet",
    ".csv": "long_form:write_csv",
}


def check_suffix(path: str | PathLike[str]) -> None:
    """Raise ConfigError unless the suffix of a path names a format that can be written."""
    if Path(path).suffix.lower() not in _WRITERS:
        suffixes = ", ".join(_WRITERS)
        raise ConfigError(f"the file must have one of the suffixes {suffixes}", value=str(path))


def export(table: Table | Columns, path: str | PathLike[str]) -> None:
    """Write a table, or columns, as .ecnas, .tfrecord, .parquet or .csv, whole or not at all.

    Raises:
        ConfigError: the suffix is none of these.
        FormatError: the format cannot hold the table's columns.
        MissingDependencyError: pyarrow is not installed, which Parquet needs.
        StorageError: the file cannot be written.
    """
    check_suffix(path)
    target = Path(path)
    columns = table.to_columns() if isinstance(table, Table) else table
    _of_data(_WRITERS[target.suffix.lower()])(target, columns)


# -- conversion into the cache --------------------------------------------------------------------


def converted(
    name_or_path: str | PathLike[str],
    *,
    fetch: bool = True,
    afresh: bool = False,
) -> Path:
    """Path of the table file of a name or a file, converted first if needed.

    A table of the catalog is made from its published file, which is fetched if needed. A file
    that is a table is used in place. Any other file is converted into the cache, and again when
    its size or time has changed. A file whose SHA-256 is in the catalog gets the catalog's
    provenance, wherever it lies.

    Args:
        name_or_path: name of a table or file of the catalog, else a path.
        fetch: whether a published file may be downloaded.
        afresh: convert again even if the table is up to date, for example if it was damaged.

    Raises:
        UnknownTableError: there is neither such a table nor such a file.
        FetchError: the published file is not here and could not, or must not, be downloaded.
        FormatError: the file is damaged or of no known format.
        StorageError: the cache cannot be written.
    """
    name, path = str(name_or_path), expanded(name_or_path)
    if name.endswith(SUFFIX) and is_file(path):
        return path
    entry, file = named(name)
    ready = None if entry is None or afresh else cached_table(entry)
    if ready is not None:
        return ready
    if entry is not None or not exists(path):
        if file is None:
            raise _no_such_file(name, path)
        from naslib_ecnas.data import fetch as downloads

        path = downloads.fetch(file, download=fetch)
    if path.is_dir():
        sniff(path)  # the format is checked before the state of all files is taken
    file_name, key = (entry.name, _entry_key(entry)) if entry else _path_key(path)
    make = partial(_columns_of, path, entry)
    return cached(file_name, key, make, afresh=afresh)


def _no_such_file(name: str, path: Path) -> UnknownTableError:
    """The error for a name that is neither in the catalog nor a file."""
    if "/" not in name and path.name == name and not path.suffix:
        file_entry(name)  # raises the error that suggests the nearest one
    remedy = "list the names of the catalog with: ecnas data list"
    return UnknownTableError("no such file", value=name, remedy=remedy)


def cached_table(entry: TableEntry) -> Path | None:
    """The converted table of a table of the catalog, if it exists and is up to date."""
    return up_to_date(entry.name, _entry_key(entry))


def _entry_key(entry: TableEntry) -> dict[str, Any]:
    """What decides the content of a table of the catalog: the checksum of its file is in it."""
    return {"converter": CONVERTER, "entry": repr(entry)}


def _path_key(source: Path) -> tuple[str, dict[str, Any]]:
    """The name in the cache of the table of a file or folder, and what decides its content."""
    place = str(source.resolve())
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", source.stem)[:40].strip("-") or "table"
    with reading(source):
        files = sorted(p for p in source.rglob("*") if p.is_file()) if source.is_dir() else [source]
        # With the time of the last change, which unlike that of the content nobody can set back.
        found = [(str(p), p.stat()) for p in files]
        states = [[p, s.st_size, s.st_mtime_ns, s.st_ctime_ns] for p, s in found]
    key = {
        "converter": CONVERTER,
        "catalog": crc32(repr(catalog()).encode()),
        "source": place,
        "state": states[0][1:] if source.is_file() else crc32(json.dumps(states).encode()),
    }
    return f"{stem}-{crc32(os.fsencode(place)):08x}", key


def _columns_of(source: Path, entry: TableEntry | None) -> Columns:
    """The columns of a file or folder, each with its provenance.

    Without a table of the catalog that is made from it, that is looked up by the checksum.
    """
    columns = read(source)
    sha256 = entry.file.sha256 if entry else _sha256(source, columns)
    if entry is None and sha256 is not None:
        entry = next((table for table in tables() if table.file.sha256 == sha256), None)
    if entry is None:
        return _sourced(columns, source, sha256)
    notes = {
        "description": entry.description,
        "citation": entry.file.citation.text,
        "citation_key": entry.file.citation.key,
        "licence": entry.file.licence,
        "address": entry.file.address,
        **({"notes": "; ".join(entry.notes)} if entry.notes else {}),
    }
    return replace(
        columns,
        name=entry.name,
        vertices=entry.vertices,
        provenance={metric: entry.provenance(metric, sha256) for metric in columns.values},
        attributes={**columns.attributes, **notes},
    )


def _sourced(columns: Columns, source: Path, sha256: str | None) -> Columns:
    """The columns with their file and its checksum in all origins that name none."""
    provenance = {
        metric: replace(
            known, source=known.source or printable(source.name), sha256=known.sha256 or sha256
        )
        for metric, known in columns.provenance.items()
    }
    return replace(columns, provenance=provenance)


def _sha256(source: Path, columns: Columns | None = None) -> str | None:
    """SHA-256 of a file, maybe one whose columns were read; None for a folder."""
    from naslib_ecnas.data.fetch import sha256_of

    # TFRecord files and pickles, the large ones, were hashed while they were read. CSV and Parquet
    # may state the checksum of another file.
    if columns is not None and sniff(source) not in ("csv", "parquet", "table"):
        return next(iter(columns.provenance.values())).sha256
    return None if source.is_dir() else sha256_of(source)


# -- the official seven-vertex table from its parts -----------------------------------------------

#: From rows (n,) and budgets (b,) to (n, b) columns: energies in kWh and, if known, deviations.
Energy = Callable[[NDArray[np.int32], Sequence[int]], Mapping[str, NDArray[np.float64]]]

_KEPT = ("training_time_s", "train_accuracy", "validation_accuracy", "test_accuracy")


def built(
    nasbench: str | PathLike[str], energy: Energy, provenance: Provenance, *, name: str = "7v"
) -> Columns:
    """NAS-Bench-101's trainings with the energies of a model, as the official 7v table has them.

    The file `nasbench` may have any readable format; `provenance` is the origin of the energies.
    Accuracies and times are the file's, repeat by repeat. A model gives one energy for each cell
    and budget: every repeat in the file gets it.

    Raises:
        UnknownTableError: there is no such file.
        FormatError: it is damaged, of no known format, or has no accuracies.
    """
    file = Path(nasbench)
    records = replace(read(file), vertices=7)
    records = _sourced(records, file, _sha256(file, records))
    kept = {m: v for m, v in records.values.items() if m.removeprefix("halfway_") in _KEPT}
    if "validation_accuracy" not in kept:
        message = "the file must have validation_accuracy among its columns"
        raise FormatError(message, path=nasbench, value=list(records.values))
    there = np.isfinite(kept["validation_accuracy"])
    modelled = {
        metric: np.where(there, values[:, :, None], np.nan)
        for metric, values in energy(records.rows, records.budgets).items()
    }
    origins = dict.fromkeys(modelled, provenance)
    for metric in kept:
        known = records.provenance[metric]
        note = "trained by NAS-Bench-101, as its file says; not the trainings of the energy"
        note = f"{known.note}; {note}" if known.note else note
        origins[metric] = replace(known, note=note)
    about = {"description": f"trainings of {file.name} with modelled energies"}
    return replace(
        records,
        name=name,
        values={**modelled, **kept},
        provenance=origins,
        attributes={**records.attributes, **about},
    )


# -- verification ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Verdict:
    """Result of checking one file."""

    path: str
    good: bool
    what: str
    """One line that says what was checked against what, or what is wrong."""


def verify(name: str) -> list[Verdict]:
    """Check what this machine has of a table or file of the catalog, or a file at a path.

    A published file is compared with its published size and SHA-256, a table with its own block
    checksums. Any other file is read whole, which checks whatever checksums its format has.

    Returns:
        One verdict for each file; a fault in a file is a verdict, not an error.

    Raises:
        UnknownTableError: there is neither such a name nor such a file.
        FetchError: nothing of that name is on this machine.
    """
    from naslib_ecnas.data.fetch import local_copy

    table, file = named(name)
    if file is None:
        path = expanded(name)
        if not exists(path):
            raise _no_such_file(name, path)
        return [_verdict(path, None)]
    places = [(table and cached_table(table), None), (local_copy(file), file)]
    found = [_verdict(path, of) for path, of in places if path]
    if not found:
        remedy = f"fetch it with: ecnas data fetch {name}"
        raise FetchError(f"nothing of {name} is on this machine", remedy=remedy)
    return found


def _verdict(path: Path, file: FileEntry | None) -> Verdict:
    """The result of checking a file, which may be known to be a published one."""
    from naslib_ecnas.data.fetch import check

    good = True
    try:
        if path.suffix == SUFFIX:
            table = Table.open(path)
            table.verify()
            what = f"is whole, {len(table):,} cells, {len(table.metrics)} columns"
        elif (file := file or _published(path)) is None:
            what = f"can be read, {len(read(path).rows):,} cells, but is not in the catalog"
        else:
            good = file.sha256 is not None
            what = f"is {file.name} as published" if good else "has no published checksum"
            what += f", SHA-256 {check(path, file)}"
    except FormatError as error:
        return Verdict(str(path), False, str(error))
    return Verdict(str(path), good, f"{path} {what}")


def _published(path: Path) -> FileEntry | None:
    """The published file that a file is meant to be by its name, or is by its checksum."""
    sha256, known = _sha256(path), [file for file in catalog().files if file.sha256]
    alike = [file for file in known if file.name == path.name]
    alike += [file for file in known if file.sha256 == sha256]
    return alike[0] if alike else None

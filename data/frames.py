"""Tables as Parquet and CSV: one line for each cell, budget and repeat, with the provenance.

Lines have the columns `cell` (the text of a `Cell`), `nasbench_hash`, `epochs`, `repeat` (from 0)
and the metrics; `nasbench_hash` and `repeat` may be missing where a file is read. Parquet keeps
name, space, provenance and attributes as JSON in its metadata, CSV in a first line
`# provenance: {...}`. Numbers come back exactly.
"""

from __future__ import annotations

import csv
import io
from codecs import getincrementaldecoder
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from itertools import chain, islice
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import numpy as np

from naslib_ecnas.data.columns import Columns
from naslib_ecnas.data.long_form import (
    KEYS,
    Lines,
    check_names,
    header,
    parse_header,
    parts,
)
from naslib_ecnas.data.source import Source, opened, unreadable
from naslib_ecnas.errors import FormatError, MissingDependencyError
from naslib_ecnas.progress import listener
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.storage import atomic_write

__all__ = ["read_csv", "read_parquet", "write_csv", "write_parquet"]

# How the first line of a CSV file begins.
_COMMENT = "# provenance: "
_METADATA = b"naslib_ecnas"
# Lines and bytes that are read at a time.
_LINES, _PIECE = 1 << 16, 1 << 20


def write_csv(path: str | PathLike[str], columns: Columns) -> None:
    """Write columns as CSV; missing values are empty.

    Raises:
        StorageError: the folder cannot be written or the disk is full.
    """
    with atomic_write(Path(path)) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        text.write(f"{_COMMENT}{header(columns)}\n")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow((*KEYS, *columns.values))
        for lines in parts(columns):
            # A float's text is the shortest that gives it back.
            writer.writerows(zip(*map(_blanked, lines.values()), strict=True))
        text.flush()
        text.detach()


def _blanked(column: Any) -> list[Any]:
    """A column's values, the missing ones empty."""
    values: list[Any] = column if isinstance(column, list) else column.tolist()
    if isinstance(column, list) or column.dtype.kind != "f" or not np.isnan(column).any():
        return values
    return ["" if value != value else value for value in values]


def read_csv(
    path: str | PathLike[str],
    *,
    name: str | None = None,
    vertices: int | None = None,
    provenance: Mapping[str, Provenance] | None = None,
) -> Columns:
    """Read a table from CSV.

    Args:
        path: the file; the header line with the provenance, hashes and repeats may be missing.
        name: short name of the table, by default that of the header, else the file's.
        vertices: vertices of the space, by default those of the header, else the smallest.
        provenance: origins that are known better than the header says.

    Raises:
        UnknownTableError: the file cannot be read.
        FormatError: it is no such table; the offset is that of the line.
    """
    source = Source(str(path), None)
    with opened(path, buffered=False) as file, io.BufferedReader(_Watched(file, source)) as watched:
        text = io.TextIOWrapper(watched, encoding="utf-8-sig", newline="")
        collected = Lines(source)
        try:
            about, first = _comments(text, source, path)
            for part in _Parser(csv.reader(chain([first], text), strict=True), source):
                collected.add(part)
        except OSError as error:
            raise unreadable(error, path) from error
        text.detach()
        digest = watched.raw.sha256
    return collected.finish(
        about, name=name, vertices=vertices, provenance=provenance, sha256=digest.hexdigest()
    )


class _Watched(io.RawIOBase):
    """A file's bytes as they are read: their SHA-256, and whether they are UTF-8.

    Args:
        file: open for reading, at its start.
        source: of it, for errors.
    """

    def __init__(self, file: BinaryIO, source: Source) -> None:
        self._file, self._source = file, source
        self._decoder, self._done = getincrementaldecoder("utf-8")(), 0
        self.sha256 = sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        piece = self._file.read(len(buffer))
        begun = len(self._decoder.getstate()[0])  # bytes of a character that the last piece cut
        try:
            self._decoder.decode(piece, final=not piece)
        except UnicodeDecodeError as error:
            place = Source(self._source.path).at(self._done - begun + error.start)
            raise place.fault("the file is not UTF-8") from error
        self.sha256.update(piece)
        self._done += len(piece)
        buffer[: len(piece)] = piece
        return len(piece)


def _comments(
    text: TextIO, source: Source, path: str | PathLike[str]
) -> tuple[dict[str, Any], str]:
    """What the comments before the table say, and the first line that is none."""
    about: dict[str, Any] = {}
    line = text.readline()
    while line.startswith("#"):
        if line.startswith(_COMMENT):
            about = parse_header(line.removeprefix(_COMMENT), source, path)
        line = text.readline()
    return about, line


class _Parser:
    """The columns of a CSV text, numbers converted, some thousand lines at a time."""

    def __init__(self, reader: Iterator[list[str]], source: Source) -> None:
        self._reader, self._source = reader, source
        self._names = next(iter(self._some(1)), [])
        check_names(self._names, source)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        at = 2  # lines of the table are counted from that of the names
        while lines := self._some(_LINES):
            for number, line in enumerate(lines, at):
                if len(line) != len(self._names):
                    raise self._source.fault(
                        f"line {number} of the table is too short or too long",
                        value=f"{len(line)} fields",
                        expected=f"{len(self._names)}",
                    )
            at += len(lines)
            columns = zip(self._names, zip(*lines, strict=True), strict=True)
            yield {
                name: texts if name in KEYS[:2] else _numbers(texts, name, self._source)
                for name, texts in columns
            }

    def _some(self, number: int) -> list[list[str]]:
        try:
            return list(islice(self._reader, number))
        except csv.Error as error:
            raise self._source.fault(f"the file is not CSV ({error})") from error


def _numbers(texts: Sequence[str], name: str, source: Source) -> Any:
    try:
        if name in KEYS:
            return np.array([int(text) for text in texts], dtype=np.int64)
        return np.array([float(text) if text else np.nan for text in texts], dtype=np.float64)
    except (ValueError, OverflowError) as error:
        raise source.fault(f"column {name} has what is no number: {error}") from error


def _pyarrow(feature: str) -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingDependencyError("pyarrow", feature=feature, extra="parquet") from error
    return pyarrow, pyarrow.parquet


def write_parquet(path: str | PathLike[str], columns: Columns) -> None:
    """Write columns as Parquet; missing values are null.

    Raises:
        MissingDependencyError: pyarrow is not installed.
        StorageError: the folder cannot be written or the disk is full.
    """
    pyarrow, parquet = _pyarrow("writing Parquet")
    types = {"cell": pyarrow.string(), "nasbench_hash": pyarrow.string()}
    types |= {"epochs": pyarrow.int64(), "repeat": pyarrow.int64()}
    types |= dict.fromkeys(columns.values, pyarrow.float64())
    schema = pyarrow.schema(types, metadata={_METADATA: header(columns).encode()})
    with (
        atomic_write(Path(path)) as file,
        parquet.ParquetWriter(file, schema, write_page_checksum=True) as writer,
    ):
        for lines in parts(columns):
            # pyarrow takes NaN for a missing value on request.
            arrays = [
                pyarrow.array(column, type=types[name], from_pandas=True)
                for name, column in lines.items()
            ]
            writer.write_table(pyarrow.table(arrays, schema=schema))


def read_parquet(
    path: str | PathLike[str],
    *,
    name: str | None = None,
    vertices: int | None = None,
    provenance: Mapping[str, Provenance] | None = None,
) -> Columns:
    """Read a table from Parquet, as `read_csv` does from CSV.

    Raises:
        MissingDependencyError: pyarrow is not installed.
        UnknownTableError: the file cannot be read.
        FormatError: it is no such table.
    """
    pyarrow, parquet = _pyarrow("reading Parquet")
    source = Source(str(path), None)
    heard, name_heard = listener(), Path(path).name
    with opened(path, heard=False) as file:
        digest, size = sha256(), 0
        try:
            while piece := file.read(_PIECE):
                digest.update(piece)
                size += len(piece)
            file.seek(0)
        except OSError as error:
            raise unreadable(error, path) from error
        collected, done = Lines(source), 0
        with _parquet_errors(pyarrow, source):
            table = parquet.ParquetFile(file, page_checksum_verification=True)
            check_names(table.schema_arrow.names, source)
            lines = table.metadata.num_rows
            batches = table.iter_batches(batch_size=_LINES, use_threads=False)
            metadata = (table.schema_arrow.metadata or {}).get(_METADATA)
        while True:
            with _parquet_errors(pyarrow, source):
                batch = next(batches, None)
                columns = None if batch is None else _columns(batch, pyarrow)
            if batch is None or columns is None:
                break
            collected.add(columns)
            done += batch.num_rows
            heard.advanced(name_heard, size * done // max(lines, done, 1))
    about = parse_header(metadata, source, path) if metadata is not None else {}
    return collected.finish(
        about, name=name, vertices=vertices, provenance=provenance, sha256=digest.hexdigest()
    )


@contextmanager
def _parquet_errors(pyarrow: Any, source: Source) -> Iterator[None]:
    """What pyarrow says of a file that is no table, as an error of ours."""
    try:
        yield
    except FormatError:
        raise
    except (pyarrow.ArrowException, OSError, ValueError, TypeError, KeyError) as error:
        first = str(error).splitlines()[:1]
        raise source.fault(f"the file is not a Parquet table: {first}") from error


def _columns(batch: Any, pyarrow: Any) -> dict[str, Any]:
    """Columns of a batch of lines, null being missing."""
    columns = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if name in KEYS[:2]:
            columns[name] = column.to_pylist()
        elif name in KEYS:
            columns[name] = column.to_numpy(zero_copy_only=False)
        else:
            columns[name] = column.cast(pyarrow.float64()).to_numpy(zero_copy_only=False)
    return columns

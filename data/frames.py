"""Tables as Parquet and CSV: one line for each cell, budget and repeat, with the provenance.

Lines have the columns `cell` (the text of a `Cell`), `nasbench_hash`, `epochs`, `repeat` (from 0)
and the metrics; `nasbench_hash` and `repeat` may be missing where a file is read. Parquet keeps
name, space, provenance and attributes as JSON in its metadata, CSV in a first line
`# provenance: {...}`. Numbers come back exactly.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from hashlib import sha256
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from naslib_ecnas.data.columns import Columns
from naslib_ecnas.data.long_form import (
    KEYS,
    check_names,
    from_lines,
    header,
    parse_header,
    to_lines,
)
from naslib_ecnas.data.source import Source, opened
from naslib_ecnas.errors import FormatError, MissingDependencyError
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.storage import atomic_write

__all__ = ["read_csv", "read_parquet", "write_csv", "write_parquet"]

# How the first line of a CSV file begins.
_COMMENT = "# provenance: "
_METADATA = b"naslib_ecnas"


def write_csv(path: str | PathLike[str], columns: Columns) -> None:
    """Write columns as CSV; missing values are empty.

    Raises:
        StorageError: the folder cannot be written or the disk is full.
    """
    lines = to_lines(columns)
    with atomic_write(Path(path)) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        text.write(f"{_COMMENT}{header(columns)}\n")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(lines)
        parts = [
            [] if not len(column) else _texts(column) if name not in KEYS else list(column)
            for name, column in lines.items()
        ]
        writer.writerows(zip(*parts, strict=True))
        text.flush()
        text.detach()


def _texts(column: Any) -> list[str]:
    return ["" if value != value else repr(value) for value in column.tolist()]


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
    with opened(path) as file:
        raw = file.read()
    source = Source(str(path), None)
    default = Provenance("unknown", source=Path(path).name, sha256=sha256(raw).hexdigest())
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Source(str(path)).fault("the file is not UTF-8", at=error.start) from error
    about: dict[str, Any] = {}
    while text.startswith("#"):
        comment, _, text = text.partition("\n")
        if comment.startswith(_COMMENT):
            about = parse_header(comment.removeprefix(_COMMENT), source, path)
    lines = _parsed(text, source)
    if name is not None:
        about = {**about, "name": name}
    return from_lines(
        lines,
        about,
        source,
        name=Path(path).stem,
        vertices=vertices,
        provenance=provenance,
        default=default,
    )


def _parsed(text: str, source: Source) -> dict[str, Any]:
    """The columns of a CSV text, numbers converted."""
    try:
        table = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise source.fault(f"the file is not CSV ({error})") from error
    names = table[0] if table else []
    check_names(names, source)
    for number, line in enumerate(table):
        if len(line) != len(names):
            raise source.fault(
                f"line {number + 1} of the table is too short or too long",
                value=f"{len(line)} fields",
                expected=f"{len(names)}",
            )
    lines: dict[str, Any] = {}
    for place, name in enumerate(names):
        texts = [line[place] for line in table[1:]]
        lines[name] = texts if name in KEYS[:2] else _numbers(texts, name, source)
    return lines


def _numbers(texts: list[str], name: str, source: Source) -> Any:
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
    lines = to_lines(columns)
    table = pyarrow.table(
        {
            # pyarrow takes NaN for a missing value on request.
            name: pyarrow.array(column, from_pandas=True)
            for name, column in lines.items()
        },
        metadata={_METADATA: header(columns).encode()},
    )
    with atomic_write(Path(path)) as file:
        parquet.write_table(table, file, write_page_checksum=True)


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
    with opened(path) as file:
        raw = file.read()
    source = Source(str(path), None)
    try:
        table = parquet.read_table(
            pyarrow.BufferReader(raw), page_checksum_verification=True, use_threads=False
        )
        check_names(table.column_names, source)
        lines = {}
        for column_name in table.column_names:
            column = table.column(column_name)
            if column_name in KEYS[:2]:
                lines[column_name] = column.to_pylist()
            elif column_name in KEYS:
                lines[column_name] = column.to_numpy()
            else:
                lines[column_name] = column.cast(pyarrow.float64()).to_numpy()
        metadata = (table.schema.metadata or {}).get(_METADATA)
    except FormatError:
        raise
    except (pyarrow.ArrowException, OSError, ValueError, TypeError, KeyError) as error:
        first = str(error).splitlines()[:1]
        raise source.fault(f"the file is not a Parquet table: {first}") from error
    about = parse_header(metadata, source, path) if metadata is not None else {}
    if name is not None:
        about = {**about, "name": name}
    return from_lines(
        lines,
        about,
        source,
        name=Path(path).stem,
        vertices=vertices,
        provenance=provenance,
        default=Provenance("unknown", source=Path(path).name, sha256=sha256(raw).hexdigest()),
    )

"""Tables in the long form, as CSV and Parquet: one line for each cell, budget and repeat.

Lines have the columns `cell` (the text of a `Cell`), `nasbench_hash`, `epochs`, `repeat` (from 0)
and the metrics; in a file that is read, `nasbench_hash` and `repeat` may be missing. Name, space,
provenance and attributes are JSON, in Parquet's metadata or in a first CSV line
`# provenance: {...}`, which also has the SHA-256 of all lines below the comments. Numbers come back
exactly.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from hashlib import sha256
from itertools import chain, islice
from os import PathLike
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import msgspec
import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.cell import INPUT, OUTPUT, Cell
from naslib_ecnas.data.assemble import Assembler, Source, cell_rows, check_hashes, opened
from naslib_ecnas.data.table import Columns
from naslib_ecnas.errors import (
    ChecksumError,
    EcnasError,
    InvalidCellError,
    MissingDependencyError,
    check_types,
)
from naslib_ecnas.files import atomic_write
from naslib_ecnas.metrics import METRICS
from naslib_ecnas.nasbench_hash import hashes_of
from naslib_ecnas.progress import listener
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.topologies import MAX_VERTICES, OPERATIONS, topologies

#: The columns that identify a training; the first two are texts.
_KEYS = ("cell", "nasbench_hash", "epochs", "repeat")
_MAX = 999_999  # largest number of epochs or of a repeat
_COMMENT = b"# provenance: "  # start of the first line of a CSV file
_METADATA = b"naslib_ecnas"  # key in the metadata of a Parquet file
_LINES = 1 << 16  # lines written or read at a time; as texts, they take some fifty megabytes
_PIECE = 1 << 20  # bytes read at a time
_MARK = b"\xef\xbb\xbf"  # of UTF-8, at the start of files from some spreadsheets

#: Columns of lines by name.
Lines = Mapping[str, Any]


class _About(msgspec.Struct):
    """The JSON of a file's header."""

    name: str | None = None
    vertices: Annotated[int, msgspec.Meta(ge=2, le=MAX_VERTICES)] | None = None
    provenance: dict[str, Provenance] = {}
    attributes: dict[str, str] = {}
    sha256: str | None = None


def _header(columns: Columns, **more: str) -> bytes:
    """Name, space, provenance and attributes as one line of JSON."""
    about = {
        "name": columns.name,
        "vertices": columns.vertices,
        "provenance": {name: p.to_json() for name, p in columns.provenance.items()},
        "attributes": dict(columns.attributes),
        **more,
    }
    return json.dumps(about, sort_keys=True).encode()


def _parsed(header: bytes, source: Source) -> _About:
    """The inverse of `_header`."""
    try:
        return msgspec.json.decode(header, type=_About)
    except (ValueError, RecursionError) as error:
        raise source.fault(f"the header is not as this package writes it: {error}") from error


# -- cells as texts -------------------------------------------------------------------------------


def _texts_of(rows: NDArray[np.int32]) -> list[str]:
    """(n,) texts of the cells of (n,) rows, equal to `str` of each cell."""
    table = topologies()
    topology = table.row_topology[rows]
    numbers = topology.tolist(), table.vertices[topology].tolist(), table.row_ops[rows].tolist()
    return [f"{_bits(t)}:{_operations(v, ops)}" for t, v, ops in zip(*numbers, strict=True)]


@cache
def _bits(topology: int) -> str:
    """A topology's matrix, row by row."""
    table = topologies()
    return str(Cell.from_row(int(table.row_of[table.first[topology]]))).partition(":")[0]


@cache
def _operations(vertices: int, number: int) -> str:
    """The operations of packed labels, whose digits in base 3 are the labels."""
    labels = (number // 3**slot % 3 for slot in reversed(range(vertices - 2)))
    return ",".join((INPUT, *(OPERATIONS[label] for label in labels), OUTPUT))


def _rows_of(texts: Sequence[str], source: Source) -> NDArray[np.int32]:
    """(n,) rows of (n,) texts; those of the usual form are looked up together.

    Raises:
        FormatError: a text does not describe a cell.
    """
    rows = cell_rows([(bits, ops) for bits, _, ops in (text.partition(":") for text in texts)])
    for place in np.flatnonzero(rows < 0).tolist():  # any other form that `Cell` accepts
        try:
            rows[place] = Cell(texts[place]).row
        except InvalidCellError as error:
            raise source.fault(f"a line has no valid cell: {error}") from error
    return rows


# -- between columns of a table and lines ---------------------------------------------------------


def _to_lines(columns: Columns) -> Iterator[dict[str, Any]]:
    """Columns of lines, budgets x repeats for each cell, some thousand lines at a time."""
    n_cells, n_budgets, n_repeats = columns.shape
    each = n_budgets * n_repeats
    step = max(1, _LINES // each)
    progress, task = listener(), f"writing {columns.name}"
    progress(task, 0, n_cells, unit="cells")
    for start in range(0, n_cells, step):
        rows = columns.rows[start : start + step]
        hashes = hashes_of(rows).tolist()
        yield {
            "cell": [text for text in _texts_of(rows) for _ in range(each)],
            "nasbench_hash": [text for text in hashes for _ in range(each)],
            "epochs": np.tile(np.repeat(np.array(columns.budgets), n_repeats), len(rows)),
            "repeat": np.tile(np.arange(n_repeats), len(rows) * n_budgets),
            **{name: v[start : start + step].ravel() for name, v in columns.values.items()},
        }
        progress(task, start + len(rows), n_cells, unit="cells")


def _from_lines(parts: Iterable[Lines], about: _About, source: Source) -> Columns:
    """The inverse of `_to_lines`, for lines in any order, by their checked names.

    Without repeats, lines of one cell and budget are repeats in their order.

    Raises:
        FormatError: a wrong cell, hash, budget, repeat or value; no lines, or a line twice.
    """
    assembler, known = Assembler(source), dict[str, int]()
    for lines in parts:
        keys = {key: _whole(lines[key], key, source) for key in _KEYS[2:] if key in lines}
        if np.any(keys["epochs"] < 1):
            raise source.fault("a training budget must be at least 1 epoch")
        texts = [text if isinstance(text, str) else str(text) for text in lines["cell"]]
        new = [text for text in dict.fromkeys(texts) if text not in known]
        known.update(zip(new, _rows_of(new, source).tolist(), strict=True))
        rows = np.fromiter((known[text] for text in texts), np.int32, len(texts))
        hashes = lines.get("nasbench_hash", ())  # None and "" are not compared
        stated = [i for i, text in enumerate(hashes) if text not in (None, "")]
        check_hashes(rows[stated], [str(hashes[i]) for i in stated], lambda _: source)
        metrics = {metric: lines[metric] for metric in lines if metric not in _KEYS}
        assembler.add(rows, keys["epochs"], metrics, repeats=keys.get("repeat"))
    return assembler.finish(
        Provenance("unknown"),
        name=about.name,
        vertices=about.vertices,
        provenance=about.provenance,
        attributes=about.attributes,
    )


def _whole(column: Any, key: str, source: Source) -> NDArray[np.int32]:
    array = np.asarray(column)
    if array.dtype.kind not in "iu" or (array.size and (array.min() < 0 or array.max() > _MAX)):
        raise source.fault(f"the column {key} must hold whole numbers from 0 to {_MAX}")
    return array.astype(np.int32)


def _check_names(names: Sequence[str], source: Source) -> None:
    """Raise FormatError unless the columns are those of a table, each once."""
    missing = [key for key in ("cell", "epochs") if key not in names]
    unknown = [name for name in names if name not in _KEYS and name not in METRICS]
    if missing or unknown or len(set(names)) != len(names):
        message = f"missing {missing}, unknown {unknown}, all {list(names)}"
        raise source.fault(f"the columns are not those of a table, each once: {message}")


# -- CSV ------------------------------------------------------------------------------------------


def write_csv(path: str | PathLike[str], columns: Columns) -> None:
    """Write columns as CSV; missing values are empty.

    Raises:
        StorageError: the folder cannot be written or the disk is full.
    """
    check_types(Columns, columns=columns)
    body = sha256()
    with atomic_write(Path(path)) as file:
        file.write(_COMMENT + _header(columns, sha256=body.hexdigest()) + b"\n")
        names = {name: [name] for name in (*_KEYS, *columns.values)}
        for lines in chain([names], _to_lines(columns)):
            text = io.StringIO(newline="")
            rows = zip(*map(_blanked, lines.values()), strict=True)
            csv.writer(text, lineterminator="\n").writerows(rows)
            content = text.getvalue().encode()
            body.update(content)
            file.write(content)
        file.seek(0)  # the digest does not change the length of the first line
        file.write(_COMMENT + _header(columns, sha256=body.hexdigest()) + b"\n")


def _blanked(column: Any) -> list[Any]:
    """The values of a column, "" for missing ones; a float's text gives it back exactly."""
    values: list[Any] = column if isinstance(column, list) else column.tolist()
    return ["" if value != value else value for value in values]


def read_csv(path: str | PathLike[str]) -> Columns:
    """Read a table from CSV; the line with the provenance, hashes and repeats may be missing.

    Raises:
        UnknownTableError: the file cannot be read.
        ChecksumError: the lines have not the SHA-256 that the header says.
        FormatError: it is not such a table.
    """
    source, about, body, start = Source(str(path), None), _About(), sha256(), 0
    with opened(path) as file:
        if file.peek(3).startswith(_MARK):
            start += len(file.read(len(_MARK)))
        while file.peek(1).startswith(b"#"):
            line = file.readline()
            start += len(line)
            if line.startswith(_COMMENT):
                about = _parsed(line.removeprefix(_COMMENT), source)
        lines = csv.reader(_decoded(file, start, body, source), strict=True)
        try:
            columns = _from_lines(_csv_parts(lines, source), about, source)
        except csv.Error as error:
            raise source.fault(f"the file is not CSV: {error}") from error
    if about.sha256 not in (None, body.hexdigest()):
        remedy = "if the change is meant, delete the sha256 from the first line"
        message = "the lines have not the SHA-256 that the first line says"
        raise source.fault(message, kind=ChecksumError, value=body.hexdigest(), remedy=remedy)
    return columns


def _decoded(file: BinaryIO, start: int, digest: Any, source: Source) -> Iterator[str]:
    """The lines of a file from byte `start` on, as texts; their bytes are added to a digest."""
    while piece := b"".join(file.readlines(_PIECE)):
        digest.update(piece)
        try:
            text = piece.decode()
        except UnicodeDecodeError as error:
            place = Source(source.path, start + error.start)
            raise place.fault("the file is not UTF-8") from error
        yield from io.StringIO(text, newline="")
        start += len(piece)


def _csv_parts(reader: Iterator[list[str]], source: Source) -> Iterator[Lines]:
    """Columns of CSV, some thousand lines at a time."""
    names = next(reader, [])
    _check_names(names, source)
    done = 1
    while lines := list(islice(reader, _LINES)):
        for number, line in enumerate(lines, done + 1):
            if len(line) != len(names):
                message = f"line {number} of the table must have {len(names)} fields"
                raise source.fault(message, value=len(line))
        done += len(lines)
        columns = zip(names, zip(*lines, strict=True), strict=True)
        yield {
            name: texts if name in _KEYS[:2] else _numbers(texts, name, source)
            for name, texts in columns
        }


def _numbers(texts: Sequence[str], name: str, source: Source) -> NDArray[Any]:
    try:
        if name in _KEYS:
            return np.array([int(text) for text in texts], dtype=np.int64)
        return np.array([float(text) if text else np.nan for text in texts], dtype=np.float64)
    except (ValueError, OverflowError) as error:
        raise source.fault(f"the column {name} must hold numbers: {error}") from error


# -- Parquet --------------------------------------------------------------------------------------


def _pyarrow(feature: str) -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingDependencyError("pyarrow", feature=feature, extra="tables") from error
    return pyarrow, pyarrow.parquet


def write_parquet(path: str | PathLike[str], columns: Columns) -> None:
    """Write columns as Parquet; missing values are null.

    Raises:
        MissingDependencyError: pyarrow is not installed.
        StorageError: the folder cannot be written or the disk is full.
    """
    check_types(Columns, columns=columns)
    pyarrow, parquet = _pyarrow("writing Parquet")
    types = {"cell": pyarrow.string(), "nasbench_hash": pyarrow.string()}
    types |= {"epochs": pyarrow.int64(), "repeat": pyarrow.int64()}
    types |= dict.fromkeys(columns.values, pyarrow.float64())
    schema = pyarrow.schema(types, metadata={_METADATA: _header(columns)})
    with (
        atomic_write(Path(path)) as file,
        parquet.ParquetWriter(file, schema, write_page_checksum=True) as writer,
    ):
        for lines in _to_lines(columns):
            # from_pandas makes NaN a missing value.
            arrays = [pyarrow.array(v, types[k], from_pandas=True) for k, v in lines.items()]
            writer.write_table(pyarrow.table(arrays, schema=schema))


def read_parquet(path: str | PathLike[str]) -> Columns:
    """Read a table from Parquet, as `read_csv` does from CSV.

    Raises:
        MissingDependencyError: pyarrow is not installed.
        UnknownTableError: the file cannot be read.
        FormatError: it is not such a table.
    """
    pyarrow, parquet = _pyarrow("reading Parquet")
    source = Source(str(path), None)
    errors = (pyarrow.ArrowException, OSError, ValueError, TypeError, KeyError)
    with opened(path, report=False) as file:
        try:
            table = parquet.ParquetFile(file, page_checksum_verification=True)
            _check_names(table.schema_arrow.names, source)
            about = _parsed((table.schema_arrow.metadata or {}).get(_METADATA, b"{}"), source)
            return _from_lines(_parquet_parts(table, pyarrow, source), about, source)
        except errors as error:
            if isinstance(error, EcnasError) or getattr(error, "errno", None) is not None:
                raise
            first = next(iter(str(error).splitlines()), type(error).__name__)
            raise source.fault(f"the file is not a Parquet table: {first}") from error


def _parquet_parts(table: Any, pyarrow: Any, source: Source) -> Iterator[Lines]:
    """Columns of a Parquet file, some thousand lines at a time; null becomes NaN."""
    progress, task, done = listener(), f"reading {Path(str(source.path)).name}", 0
    for batch in table.iter_batches(batch_size=_LINES, use_threads=False):
        columns: dict[str, Any] = {}
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            if name in _KEYS[:2]:
                columns[name] = column.to_pylist()
            else:
                typed = column if name in _KEYS else column.cast(pyarrow.float64())
                columns[name] = typed.to_numpy(zero_copy_only=False)
        yield columns
        done += batch.num_rows
        progress(task, done, table.metadata.num_rows, unit="lines")

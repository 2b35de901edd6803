"""Tables in the long form, as CSV and Parquet: one line for each cell, budget and repeat.

Lines have the columns `cell` (the text of a `Cell`), `nasbench_hash`, `epochs`, `repeat` (from 0)
and the metrics; in a file that is read, `repeat` and one of the first two may be missing. Name,
space, provenance and attributes are JSON, in Parquet's metadata or in a first CSV line
`# provenance: {...}`, and have the SHA-256 of themselves and of all values. Numbers come back
exactly.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import chain, islice
from os import PathLike
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.cell import Cell
from naslib_ecnas.data.assemble import (
    Assembler,
    Source,
    cell_rows,
    check_hashes,
    opened,
    say,
)
from naslib_ecnas.data.table import MOST, Columns
from naslib_ecnas.errors import (
    ChecksumError,
    EcnasError,
    InvalidCellError,
    MissingDependencyError,
    UnknownCellError,
    check_types,
)
from naslib_ecnas.files import atomic_write
from naslib_ecnas.metrics import METRICS
from naslib_ecnas.nasbench_hash import hashes_of
from naslib_ecnas.progress import BYTES, listener
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.space import Space
from naslib_ecnas.topologies import MAX_VERTICES

#: The columns that identify a training; the first two are texts.
_KEYS = ("cell", "nasbench_hash", "epochs", "repeat")
_COMMENT = "# provenance: "  # start of the first line of a CSV file
_METADATA = b"naslib_ecnas"  # key in the metadata of a Parquet file
_LINES = 1 << 16  # lines written or read at a time; as texts, they take some fifty megabytes
_LONGEST = 1 << 13  # characters of a line; one with all metrics has a third
_LONGEST_HEADER = 1 << 25
_TEXT = 512  # most characters of the text of a cell

_NUMBER = frozenset("0123456789+-.eE")
#: Texts for a missing value, in lower case.
_MISSING = frozenset(("", "na", "n/a", "#n/a", "<na>", "nan", "null", "none"))
#: Columns that only number the lines, as pandas writes them.
_INDEX = ("", "index", "unnamed: 0", "__index_level_0__")

#: Columns of lines by name.
Lines = Mapping[str, Any]


class _About(msgspec.Struct, forbid_unknown_fields=True):
    """The JSON of a file's header."""

    name: str | None = None
    vertices: Annotated[int, msgspec.Meta(ge=2, le=MAX_VERTICES)] | None = None
    provenance: dict[str, Provenance] = {}
    attributes: dict[str, str] = {}
    sha256: str | None = None


def _header(columns: Columns) -> bytes:
    """Name, space, provenance, attributes and digest as one line of JSON."""
    about = {
        "name": columns.name,
        "vertices": columns.vertices,
        "provenance": {name: p.to_json() for name, p in columns.provenance.items()},
        "attributes": dict(columns.attributes),
    }
    return json.dumps({**about, "sha256": _digest(about, columns)}, sort_keys=True).encode()


def _digest(header: Mapping[str, Any], columns: Columns) -> str:
    """SHA-256 of a header, apart from the digest in it, and of values, in whatever form written."""
    about = {key: value for key, value in header.items() if key != "sha256"}
    shape = json.dumps([about, columns.budgets, columns.repeats], sort_keys=True)
    digest = sha256(shape.encode() + columns.rows.astype("<i4").tobytes())
    for name, values in sorted(columns.values.items()):
        missing = np.isnan(values)
        if not missing.all():  # such a column is not read
            digest.update(name.encode() + np.where(missing, np.nan, values).astype("<f8").tobytes())
    return digest.hexdigest()


def _check_digest(header: str | bytes, columns: Columns, source: Source) -> None:
    """Raise ChecksumError unless the columns have the digest in the header, if there is one."""
    stated = json.loads(header)
    if stated.get("sha256") not in (None, found := _digest(stated, columns)):
        remedy = "if the change is meant, delete the sha256 from the header"
        message = "header and values have not the SHA-256 that the header says"
        raise source.fault(message, kind=ChecksumError, value=found, remedy=remedy)


def _parsed(header: str | bytes, source: Source) -> _About:
    """The inverse of `_header`."""
    try:
        return msgspec.json.decode(header, type=_About)
    except (ValueError, RecursionError) as error:
        raise source.fault(f"the header is not as this package writes it: {error}") from error


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
        cells, hashes = map(str, map(Cell.from_row, rows.tolist())), hashes_of(rows).tolist()
        yield {
            "cell": [text for text in cells for _ in range(each)],
            "nasbench_hash": [text for text in hashes for _ in range(each)],
            "epochs": np.tile(np.repeat(np.array(columns.budgets), n_repeats), len(rows)),
            "repeat": np.tile(np.arange(n_repeats), len(rows) * n_budgets),
            **{name: v[start : start + step].ravel() for name, v in columns.values.items()},
        }
        progress(task, start + len(rows), n_cells, unit="cells")


def _rows_of(texts: Sequence[str], are_hashes: bool, source: Source) -> NDArray[np.int32]:
    """(n,) rows of (n,) texts of cells or hashes; cells of the usual form are looked up together.

    Raises:
        FormatError: a text does not describe a cell.
    """
    space, rows = Space(MAX_VERTICES), np.full(len(texts), -1, dtype=np.int32)
    if not are_hashes:
        rows = cell_rows([(bits, ops) for bits, _, ops in (text.partition(":") for text in texts)])
    try:
        for place in np.flatnonzero(rows < 0).tolist():
            text = texts[place]
            rows[place] = space.row_of_hash(text.strip()) if are_hashes else Cell(text).row
    except (InvalidCellError, UnknownCellError) as error:
        raise source.fault(f"a line has no valid cell: {error}") from error
    return rows


def _from_lines(parts: Iterable[Lines], about: _About, source: Source) -> Columns:
    """The inverse of `_to_lines`, for lines in any order, by their checked names.

    Without repeats, lines of one cell and budget are repeats in their order.

    Raises:
        FormatError: a wrong cell, hash, budget, repeat or value; no lines, or a line twice.
    """
    assembler, known, numbered = Assembler(source), dict[str, int](), True
    for lines in parts:
        keys = {key: _whole(lines[key], key, source) for key in _KEYS[2:] if key in lines}
        if np.any(keys["epochs"] < 1):
            raise source.fault("a training budget must be at least 1 epoch")
        key = "cell" if "cell" in lines else "nasbench_hash"
        texts = [text if isinstance(text, str) else str(text) for text in lines[key]]
        new = [text for text in dict.fromkeys(texts) if text not in known]
        known.update(zip(new, _rows_of(new, key != "cell", source).tolist(), strict=True))
        rows = np.fromiter((known[text] for text in texts), np.int32, len(texts))
        hashes = lines.get("nasbench_hash", ()) if key == "cell" else ()
        stated = [i for i, text in enumerate(hashes) if str(text).lower() not in _MISSING]
        check_hashes(rows[stated], [str(hashes[i]) for i in stated], lambda _: source)
        metrics = {metric: lines[metric] for metric in lines if metric not in _KEYS}
        assembler.add(rows, keys["epochs"], metrics, repeats=keys.get("repeat"))
        numbered = "repeat" in keys
    columns = assembler.finish(
        Provenance("unknown"),
        name=about.name,
        vertices=about.vertices,
        provenance=about.provenance,
        attributes=about.attributes,
    )
    if not numbered and columns.repeats > 1:
        if len(set(known.values())) < len(known):
            message = "a cell stands in two forms in the file, which has no column repeat"
            raise source.fault(message, remedy="write it in one form, or number the repeats")
        text = f"lines of one cell and budget count as its repeats, up to {columns.repeats}"
        say(Path(str(source.path)).name, text)
    return columns


def _whole(column: Any, key: str, source: Source) -> NDArray[np.int32]:
    array = np.asarray(column)
    whole = array.dtype.kind in "iuf" and (array >= 0) & (array < MOST) & (array == np.floor(array))
    if not np.all(whole):
        raise source.fault(f"the column {key} must hold whole numbers from 0 to {MOST - 1}")
    return array.astype(np.int32)


def _named(text: str) -> str:
    """The name of a column as tables have it: `hash` is `nasbench_hash`."""
    name = text.strip().lower()
    return "nasbench_hash" if name == "hash" else name


def _check_names(names: Sequence[str], source: Source) -> None:
    """Raise FormatError unless the columns are those of a table, each once, or an index."""
    missing = [] if "epochs" in names else ["epochs"]
    if not set(names).intersection(_KEYS[:2]):
        missing.append("cell (or hash)")
    unknown = [n for n in names if n not in _KEYS and n not in METRICS and n not in _INDEX]
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
    with atomic_write(Path(path)) as file:
        file.write(_COMMENT.encode() + _header(columns) + b"\n")
        names = {name: [name] for name in (*_KEYS, *columns.values)}
        for lines in chain([names], _to_lines(columns)):
            text = io.StringIO(newline="")
            rows = zip(*map(_blanked, lines.values()), strict=True)
            csv.writer(text, lineterminator="\n").writerows(rows)
            file.write(text.getvalue().encode())


def _blanked(column: Any) -> list[Any]:
    """The values of a column, "" for missing ones; a float's text gives it back exactly."""
    values: list[Any] = column if isinstance(column, list) else column.tolist()
    return ["" if value != value else value for value in values]


def read_csv(path: str | PathLike[str]) -> Columns:
    """Read a table from CSV; the line with the provenance, hashes and repeats may be missing.

    Fields may be separated by commas, semicolons or tabs, the text may be UTF-8 or, with a mark at
    its start, UTF-16, names of columns may have capitals, and `hash` may stand for `nasbench_hash`,
    also without `cell`. Missing values are blank or a text such as NA. A column that only numbers
    the lines is left out.

    Raises:
        UnknownTableError: the file cannot be read.
        ChecksumError: the lines have not the SHA-256 that the header says.
        FormatError: it is not such a table.
    """
    source, header = Source(path), "{}"
    with opened(path) as file:
        text = io.TextIOWrapper(file, _encoding(file.peek(2)), newline="")
        lines, line = _lines(text, source), ""
        for line in lines:
            if line.startswith(_COMMENT):
                header = line.removeprefix(_COMMENT)
            elif '"sha256"' in line:
                raise source.fault(f"a first line with a sha256 must begin with {_COMMENT!r}")
            elif not line.startswith("#") and line.strip():
                break
        delimiter, names = _columns_in(line) or (",", [])
        _check_names(names, source)
        reader = csv.reader(chain([line], lines), strict=True, delimiter=delimiter)
        about = _parsed(header, source)
        try:
            columns = _from_lines(_csv_parts(reader, names, text, source), about, source)
        except csv.Error as error:
            raise source.fault(f"the file is not CSV: {error}") from error
    _check_digest(header, columns, source)
    return columns


def is_csv(head: bytes) -> bool:
    """Whether a file with these first bytes is a table as CSV."""
    text = head.decode(_encoding(head), "replace").lstrip("\r\n")
    line = next(iter(text[:_LONGEST].splitlines()), "")
    return line.startswith("#") or _columns_in(line) is not None


def _encoding(head: bytes) -> str:
    """The encoding of a file with these first bytes; some spreadsheets put a mark at the start."""
    return "utf-16" if head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"


def _columns_in(line: str) -> tuple[str, list[str]] | None:
    """Delimiter and names in the line with the names of columns; None if it is no such line."""
    for delimiter in ",;\t":
        try:
            names = list(map(_named, next(csv.reader([line], delimiter=delimiter), [])))
        except csv.Error:
            continue
        if set(names).intersection(_KEYS[:2]):
            return delimiter, names
    return None


def _lines(text: io.TextIOWrapper[io.BufferedReader], source: Source) -> Iterator[str]:
    """The lines of a file, with their ends."""
    try:
        while line := text.readline(_LONGEST_HEADER + 1):
            longest = _LONGEST_HEADER if line.startswith("#") else _LONGEST
            if len(line) > longest:
                raise source.fault(f"a line must have at most {longest} characters")
            yield line
    except UnicodeDecodeError as error:
        place = Source(source.path, text.buffer.tell() - len(error.object) + error.start)
        raise place.fault(f"the file is not {error.encoding.upper()}") from error


def _csv_parts(
    reader: Iterator[list[str]],
    names: list[str],
    text: io.TextIOWrapper[io.BufferedReader],
    source: Source,
) -> Iterator[Lines]:
    """Columns of CSV, whose first line is skipped, some thousand lines at a time."""
    progress, task = listener(), f"reading {Path(text.name).name}"
    size = os.fstat(text.fileno()).st_size
    done = len(next(reader, [])[:1])
    while lines := list(islice(reader, _LINES)):
        for number, line in enumerate(lines, done + 1):
            if len(line) not in (len(names), 0):
                message = f"line {number} of the table must have {len(names)} fields"
                raise source.fault(message, value=len(line))
        done += len(lines)
        columns = zip(names, zip(*filter(None, lines), strict=True), strict=False)
        yield {
            name: texts if name in _KEYS[:2] else _numbers(texts, name, source)
            for name, texts in columns
            if name not in _INDEX
        }
        progress(task, text.buffer.tell(), size, unit=BYTES)


def _numbers(texts: Sequence[str], name: str, source: Source) -> NDArray[np.float64]:
    """The numbers in a column, NaN where they are missing."""
    try:
        if not _NUMBER.issuperset("".join(texts)):
            texts = ["" if text.strip().lower() in _MISSING else text.strip() for text in texts]
            for odd in texts:
                if not _NUMBER.issuperset(odd):  # such as 1_0, which Python would accept
                    raise ValueError(f"got {odd[:80]!r}")
        return np.array([float(text) if text else np.nan for text in texts], dtype=np.float64)
    except ValueError as error:
        message = f"the column {name} must hold numbers with a decimal point: {error}"
        raise source.fault(message) from error


# -- Parquet --------------------------------------------------------------------------------------


def _pyarrow(feature: str) -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.compute
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
    source = Source(path)
    errors = (pyarrow.ArrowException, OSError, ValueError, TypeError, LookupError)
    with opened(path) as file:
        try:
            names = parquet.read_schema(file).names
            table = parquet.ParquetFile(
                file, read_dictionary=names, page_checksum_verification=True
            )
            _check_parquet(table, source)
            held = (table.schema_arrow.metadata, table.metadata.metadata)
            header, again = ((each or {}).get(_METADATA, b"{}") for each in held)
            if header != again:
                raise source.fault("the two copies of the header differ")
            about = _parsed(header, source)
            columns = _from_lines(_parquet_parts(table, pyarrow, source), about, source)
            _check_digest(header, columns, source)
            return columns
        except errors as error:
            if isinstance(error, EcnasError) or getattr(error, "errno", None) is not None:
                raise
            first = next(iter(str(error).splitlines()), type(error).__name__)
            raise source.fault(f"the file is not a Parquet table: {first}") from error


def _check_parquet(table: Any, source: Source) -> None:
    """Raise FormatError for other columns, or for larger ones than a table can have."""
    _check_names([_named(name) for name in table.schema_arrow.names], source)
    # Not by column: asking for one ends the process if the file's footer is damaged.
    for group in map(table.metadata.row_group, range(table.num_row_groups)):
        size, most = group.total_byte_size, _TEXT * group.num_columns * (group.num_rows + 256)
        if not 0 <= size <= most:
            message = f"{group.num_rows} lines may take {most} bytes"
            raise source.fault(message, value=size)


def _parquet_parts(table: Any, pyarrow: Any, source: Source) -> Iterator[Lines]:
    """Columns of a Parquet file, some thousand lines at a time; null becomes NaN."""
    progress, task, done = listener(), f"reading {Path(str(source.path)).name}", 0
    for batch in table.iter_batches(batch_size=_LINES, use_threads=False):
        columns: dict[str, Any] = {}
        for label, column in zip(batch.schema.names, batch.columns, strict=True):
            name, types = _named(label), pyarrow.types
            if name in _KEYS[:2]:
                columns[name] = _texts_in(column, name, pyarrow, source)
            elif name not in _INDEX:
                is_number = (types.is_integer, types.is_floating, types.is_decimal, types.is_null)
                if not any(accepts(column.type) for accepts in is_number):
                    raise source.fault(f"the column {name} must hold numbers, not {column.type}")
                typed = column if name in _KEYS else column.cast(pyarrow.float64())
                columns[name] = typed.to_numpy(zero_copy_only=False)
        yield columns
        done += batch.num_rows
        progress(task, done, table.metadata.num_rows, unit="lines")


def _texts_in(column: Any, name: str, pyarrow: Any, source: Source) -> list[str | None]:
    """The texts of a column; a text that occurs often is made once."""
    if not pyarrow.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    texts = column.dictionary
    lengths = pyarrow.compute.call_function("binary_length", [texts])  # an error if it is no text
    if (pyarrow.compute.max(lengths).as_py() or 0) > _TEXT:
        raise source.fault(f"the column {name} must hold texts of at most {_TEXT} bytes")
    known = [*map(str, texts.to_pylist()), None]
    return [known[i] for i in column.indices.fill_null(len(known) - 1).to_pylist()]

"""Tables in the long form, as CSV and Parquet: one line for each cell, budget and repeat.

Lines have the columns `cell` (the text of a `Cell`), `nasbench_hash`, `epochs`, `repeat` (from 0)
and the metrics; in a file that is read, `nasbench_hash` and `repeat` may be missing. Name, space,
provenance and attributes are JSON, in Parquet's metadata or in a first CSV line
`# provenance: {...}`. Numbers come back exactly.
"""

from __future__ import annotations

import csv
import io
import json
from codecs import getincrementaldecoder
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from itertools import chain, islice
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas import nasbench_hash
from naslib_ecnas.cell import INPUT, OUTPUT, Cell
from naslib_ecnas.data.assemble import Assembler, Source, opened, unreadable
from naslib_ecnas.data.table import Columns
from naslib_ecnas.errors import FormatError, InvalidCellError, MissingDependencyError
from naslib_ecnas.files import atomic_write
from naslib_ecnas.metrics import METRICS
from naslib_ecnas.progress import BYTES, listener
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.space import Space
from naslib_ecnas.topologies import MAX_VERTICES, OPERATIONS, topologies

__all__ = ["CellTexts", "read_csv", "read_parquet", "texts_of", "write_csv", "write_parquet"]

#: The columns that identify a training.
_KEYS = ("cell", "nasbench_hash", "epochs", "repeat")
_MAX = 999_999  # largest number of epochs or of a repeat
_COMMENT = "# provenance: "  # start of the first line of a CSV file
_METADATA = b"naslib_ecnas"  # key in the metadata of a Parquet file
_LINES = 1 << 16  # lines written or read at a time; as texts, they take some fifty megabytes
_PIECE = 1 << 20  # bytes read at a time for a checksum


# -- cells as texts -------------------------------------------------------------------------------


def texts_of(rows: NDArray[np.int32]) -> list[str]:
    """(n,) texts of the cells of (n,) rows, equal to `str` of each cell."""
    table = topologies()
    topology = table.row_topology[rows].tolist()
    number = table.row_ops[rows].tolist()
    return [
        f"{_bits(s)}:{_names(int(table.vertices[s]) - 2, n)}"
        for s, n in zip(topology, number, strict=True)
    ]


@cache
def _bits(topology: int) -> str:
    """A topology's matrix, row by row."""
    table = topologies()
    return str(Cell.from_row(int(table.row_of[table.first[topology]]))).partition(":")[0]


@cache
def _names(slots: int, number: int) -> str:
    """The operations of a labelling, comma-separated."""
    inner = [OPERATIONS[number // 3 ** (slots - 1 - slot) % 3] for slot in range(slots)]
    return ",".join((INPUT, *inner, OUTPUT))


class CellTexts:
    """Rows of cells given as texts, with a check of their hashes; each text is parsed once.

    Args:
        source: the file, for errors.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._space = Space(MAX_VERTICES)
        self._rows: dict[str, int] = {}

    def rows(self, texts: Sequence[Any]) -> NDArray[np.int32]:
        """(n,) int32 rows of (n,) texts.

        Raises:
            FormatError: a text does not describe a cell.
        """
        cells = [text if isinstance(text, str) else str(text) for text in texts]
        new = [text for text in dict.fromkeys(cells) if text not in self._rows]
        self._rows.update(zip(new, self._parsed(new), strict=True))
        return np.fromiter((self._rows[text] for text in cells), np.int32, len(cells))

    def check(self, rows: NDArray[np.int32], hashes: Sequence[Any]) -> None:
        """Compare (n,) hashes with those of (n,) rows; None and "" are not compared.

        Raises:
            FormatError: a hash belongs to another cell.
        """
        stated = np.flatnonzero([text not in (None, "") for text in hashes])
        texts = [str(hashes[i]) for i in stated.tolist()]
        for i in nasbench_hash.wrong_hashes(rows[stated], texts):
            true = Cell.from_row(int(rows[stated[i]])).nasbench_hash
            message = f"the hash of a line must be its cell's, {true}"
            raise self._source.fault(message, value=texts[i])

    def _parsed(self, texts: list[str]) -> list[int]:
        """Rows of texts; texts of the usual form are looked up together."""
        rows = [-1] * len(texts)
        alike: defaultdict[int, list[tuple[int, bytes, tuple[int, ...]]]] = defaultdict(list)
        for place, text in enumerate(texts):
            bits, _, names = text.partition(":")
            labels = _labels().get(names)
            if labels is not None and len(bits) == (len(labels) + 2) ** 2 and bits.isascii():
                alike[len(labels) + 2].append((place, bits.encode(), labels))
        for v, found in alike.items():
            places, matrix, labelled = zip(*found, strict=True)
            matrices = np.frombuffer(b"".join(matrix), np.uint8).reshape(-1, v, v) - ord("0")
            known = self._space.rows(
                matrices, np.array(labelled, np.int8).reshape(len(found), v - 2)
            )
            for place, row in zip(places, known.tolist(), strict=True):
                rows[place] = row
        return [self._one(text) if row < 0 else row for text, row in zip(texts, rows, strict=True)]

    def _one(self, text: str) -> int:
        """The row of a text of any form that `Cell` accepts."""
        try:
            return Cell(text).row
        except InvalidCellError as error:
            raise self._source.fault(f"a line has no valid cell: {error}") from error


@cache
def _labels() -> dict[str, tuple[int, ...]]:
    """The labels of every possible text of operations."""
    return {
        _names(slots, number): tuple(number // 3 ** (slots - 1 - s) % 3 for s in range(slots))
        for slots in range(MAX_VERTICES - 1)
        for number in range(3**slots)
    }


# -- columns as lines -----------------------------------------------------------------------------


def _to_lines(
    columns: Columns, start: int = 0, stop: int | None = None
) -> dict[str, list[Any] | NDArray[Any]]:
    """Keys and metrics of the cells from `start` to `stop`, as columns of lines.

    Each cell has budgets x repeats lines. Missing values are NaN.
    """
    _, n_budgets, n_repeats = columns.shape
    rows = columns.rows[start:stop]
    hashes = nasbench_hash.hashes_of(rows).tolist()
    each = n_budgets * n_repeats
    lines: dict[str, list[Any] | NDArray[Any]] = {
        "cell": [text for text in texts_of(rows) for _ in range(each)],
        "nasbench_hash": [text for text in hashes for _ in range(each)],
        "epochs": np.tile(np.repeat(np.array(columns.budgets), n_repeats), len(rows)),
        "repeat": np.tile(np.arange(n_repeats), len(rows) * n_budgets),
    }
    lines.update({name: array[start:stop].ravel() for name, array in columns.values.items()})
    return lines


def _parts(columns: Columns) -> Iterator[dict[str, list[Any] | NDArray[Any]]]:
    """The lines of `_to_lines`, some thousand at a time and at least once, with progress."""
    n_cells, n_budgets, n_repeats = columns.shape
    step = max(1, _LINES // (n_budgets * n_repeats))
    progress = listener()
    task = f"writing {columns.name}"
    progress(task, 0, n_cells, unit="cells")
    for start in range(0, max(n_cells, 1), step):
        yield _to_lines(columns, start, start + step)
        progress(task, min(start + step, n_cells), n_cells, unit="cells")


def _check_names(names: Iterable[str], source: Source) -> None:
    """Raise FormatError unless the columns are those of a table, each once."""
    found = list(names)
    missing = [key for key in ("cell", "epochs") if key not in found]
    unknown = [name for name in found if name not in _KEYS and name not in METRICS]
    if missing or unknown or len(set(found)) != len(found):
        message = f"missing {missing}, unknown {unknown}, all {found}"
        raise source.fault(f"the columns are not those of a table, each once: {message}")


class _Lines:
    """Collects lines in any order into columns: the inverse of `_to_lines`.

    Args:
        source: the file.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._texts = CellTexts(source)
        self._assembler = Assembler(source)

    def add(self, lines: Mapping[str, Any]) -> None:
        """Add columns of n lines.

        Args:
            lines: columns by their checked names: texts of cells, epochs and repeats as whole
                numbers, metrics as float64, and, if there are any, hashes to compare with the
                cells. Without repeats, lines of one cell and budget are repeats in their order.

        Raises:
            FormatError: a wrong cell, hash, budget, repeat or value.
        """
        numbers = [key for key in ("epochs", "repeat") if key in lines]
        keys = {key: _whole(np.asarray(lines[key]), key, self._source) for key in numbers}
        if np.any(keys["epochs"] < 1):
            raise self._source.fault("a training budget must be at least 1 epoch")
        rows = self._texts.rows(lines["cell"])
        if "nasbench_hash" in lines:
            self._texts.check(rows, lines["nasbench_hash"])
        metrics = {m: np.asarray(lines[m], dtype=np.float64) for m in lines if m not in _KEYS}
        self._assembler.add(rows, keys["epochs"], metrics, repeats=keys.get("repeat"))

    def finish(
        self,
        about: Mapping[str, Any],
        *,
        name: str | None,
        vertices: int | None,
        provenance: Mapping[str, Provenance] | None,
        sha256: str,
    ) -> Columns:
        """The columns of all lines.

        Args:
            about: the file's header, as `_parse_header` returns it.
            name: name of the table, by default the header's, else the file's.
            vertices: vertices of the space, by default the header's, else the smallest.
            provenance: origins that are known better than the header says.
            sha256: checksum of the file, for metrics of unknown origin.

        Raises:
            FormatError: there were no lines, or a line twice.
        """
        path = Path(str(self._source.path))
        return self._assembler.finish(
            about.get("name", path.stem) if name is None else name,
            vertices=vertices if vertices is not None else about.get("vertices"),
            provenance={**about.get("provenance", {}), **(provenance or {})},
            default=Provenance("unknown", source=path.name, sha256=sha256),
            attributes=about.get("attributes", {}),
        )


def _whole(array: NDArray[Any], key: str, source: Source) -> NDArray[np.int32]:
    if array.dtype.kind not in "iu" or (array.size and (array.min() < 0 or array.max() > _MAX)):
        raise source.fault(f"the column {key} must hold whole numbers from 0 to {_MAX}")
    return array.astype(np.int32)


def _header(columns: Columns) -> str:
    """Name, space, provenance and attributes as one line of JSON."""
    return json.dumps(
        {
            "name": columns.name,
            "vertices": columns.vertices,
            "provenance": {name: p.to_json() for name, p in columns.provenance.items()},
            "attributes": dict(columns.attributes),
        },
        sort_keys=True,
    )


def _parse_header(text: str | bytes, source: Source, path: str | PathLike[str]) -> dict[str, Any]:
    """The inverse of `_header`.

    Raises:
        FormatError: the text is not such a header.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise source.fault("the header is not JSON") from error
    types = {"name": str, "vertices": int, "provenance": dict, "attributes": dict}
    if not isinstance(data, dict) or not all(
        type(data.get(key, kind())) is kind for key, kind in types.items()
    ):
        raise source.fault("the header must be an object of " + ", ".join(types))
    if data.get("vertices") is not None and not 2 <= data["vertices"] <= 7:
        raise source.fault("the space must have 2 to 7 vertices", value=data["vertices"])
    attributes = data.get("attributes", {})
    if not all(isinstance(value, str) for value in attributes.values()):
        raise source.fault("the attributes of the header must be texts")
    found = {
        name: Provenance.from_json(value, path=str(path))
        for name, value in data.get("provenance", {}).items()
    }
    return {**{k: v for k, v in data.items() if k in types}, "provenance": found}


# -- CSV -------------------------------------------------------------------------------------------


def write_csv(path: str | PathLike[str], columns: Columns) -> None:
    """Write columns as CSV; missing values are empty.

    Raises:
        StorageError: the folder cannot be written or the disk is full.
    """
    with atomic_write(Path(path)) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        text.write(f"{_COMMENT}{_header(columns)}\n")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow((*_KEYS, *columns.values))
        for lines in _parts(columns):
            # A float's text is the shortest that gives it back.
            writer.writerows(zip(*map(_blanked, lines.values()), strict=True))
        text.flush()
        text.detach()


def _blanked(column: Any) -> list[Any]:
    """The values of a column, "" for missing ones."""
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
        path: the file; the line with the provenance, hashes and repeats may be missing.
        name: short name of the table, by default the header's, else the file's.
        vertices: vertices of the space, by default the header's, else the smallest.
        provenance: origins that are known better than the header says.

    Raises:
        UnknownTableError: the file cannot be read.
        FormatError: it is not such a table.
    """
    source = Source(str(path), None)
    with opened(path, buffered=False) as file, io.BufferedReader(_Watched(file, source)) as watched:
        text = io.TextIOWrapper(watched, encoding="utf-8-sig", newline="")
        collected = _Lines(source)
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
    """A file that computes its SHA-256 and checks its UTF-8 while it is read.

    Args:
        file: the file, open for reading at its start.
        source: the same file, for errors.
    """

    def __init__(self, file: BinaryIO, source: Source) -> None:
        self._file, self._source = file, source
        self._decoder, self._done = getincrementaldecoder("utf-8")(), 0
        self.sha256 = sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        piece = self._file.read(len(buffer))
        begun = len(self._decoder.getstate()[0])  # bytes of a cut character
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
    """The header in the comments before the table, and the first line after them."""
    about: dict[str, Any] = {}
    line = text.readline()
    while line.startswith("#"):
        if line.startswith(_COMMENT):
            about = _parse_header(line.removeprefix(_COMMENT), source, path)
        line = text.readline()
    return about, line


class _Parser:
    """Parses CSV into columns, some thousand lines at a time."""

    def __init__(self, reader: Iterator[list[str]], source: Source) -> None:
        self._reader, self._source = reader, source
        self._names = next(iter(self._some(1)), [])
        _check_names(self._names, source)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        at = 2  # line 1 has the names
        while lines := self._some(_LINES):
            for number, line in enumerate(lines, at):
                if len(line) != len(self._names):
                    message = f"line {number} of the table must have {len(self._names)} fields"
                    raise self._source.fault(message, value=len(line))
            at += len(lines)
            columns = zip(self._names, zip(*lines, strict=True), strict=True)
            yield {
                name: texts if name in _KEYS[:2] else _numbers(texts, name, self._source)
                for name, texts in columns
            }

    def _some(self, number: int) -> list[list[str]]:
        try:
            return list(islice(self._reader, number))
        except csv.Error as error:
            raise self._source.fault(f"the file is not CSV ({error})") from error


def _numbers(texts: Sequence[str], name: str, source: Source) -> Any:
    try:
        if name in _KEYS:
            return np.array([int(text) for text in texts], dtype=np.int64)
        return np.array([float(text) if text else np.nan for text in texts], dtype=np.float64)
    except (ValueError, OverflowError) as error:
        raise source.fault(f"the column {name} must hold numbers: {error}") from error


# -- Parquet ---------------------------------------------------------------------------------------


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
    schema = pyarrow.schema(types, metadata={_METADATA: _header(columns).encode()})
    with (
        atomic_write(Path(path)) as file,
        parquet.ParquetWriter(file, schema, write_page_checksum=True) as writer,
    ):
        for lines in _parts(columns):
            arrays = [  # from_pandas makes NaN a missing value
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
        FormatError: it is not such a table.
    """
    pyarrow, parquet = _pyarrow("reading Parquet")
    source = Source(str(path), None)
    with opened(path, report=False) as file:
        digest, size = sha256(), 0
        try:
            while piece := file.read(_PIECE):
                digest.update(piece)
                size += len(piece)
            file.seek(0)
        except OSError as error:
            raise unreadable(error, path) from error
        collected, done = _Lines(source), 0
        with _parquet_errors(pyarrow, source):
            table = parquet.ParquetFile(file, page_checksum_verification=True)
            _check_names(table.schema_arrow.names, source)
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
            task = f"reading {Path(path).name}"
            listener()(task, size * done // max(lines, done, 1), size, unit=BYTES)
    about = _parse_header(metadata, source, path) if metadata is not None else {}
    return collected.finish(
        about, name=name, vertices=vertices, provenance=provenance, sha256=digest.hexdigest()
    )


@contextmanager
def _parquet_errors(pyarrow: Any, source: Source) -> Iterator[None]:
    """Turn pyarrow's errors about a file into a FormatError."""
    try:
        yield
    except FormatError:
        raise
    except (pyarrow.ArrowException, OSError, ValueError, TypeError, KeyError) as error:
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise source.fault(f"the file is not a Parquet table: {first}") from error


def _columns(batch: Any, pyarrow: Any) -> dict[str, Any]:
    """The columns of a batch of lines; null becomes NaN."""
    columns = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if name in _KEYS[:2]:
            columns[name] = column.to_pylist()
        elif name in _KEYS:
            columns[name] = column.to_numpy(zero_copy_only=False)
        else:
            columns[name] = column.cast(pyarrow.float64()).to_numpy(zero_copy_only=False)
    return columns

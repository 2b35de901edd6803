"""The tidy long form of columns: one line for each cell, budget and repeat."""

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
from naslib_ecnas.progress import listener
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.space import Space
from naslib_ecnas.topologies import MAX_VERTICES, OPERATIONS, topologies

__all__ = [
    "KEYS",
    "CellTexts",
    "Lines",
    "check_names",
    "header",
    "parse_header",
    "parts",
    "read_csv",
    "read_parquet",
    "texts_of",
    "to_lines",
    "write_csv",
    "write_parquet",
]


# Cells as texts and back, many at once.


def texts_of(rows: NDArray[np.int32]) -> list[str]:
    """(n,) texts of rows, each as `str` of the cell."""
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
    """Operations of a labelling, comma-separated."""
    inner = [OPERATIONS[number // 3 ** (slots - 1 - slot) % 3] for slot in range(slots)]
    return ",".join((INPUT, *inner, OUTPUT))


class CellTexts:
    """The rows of cells' texts, and whether their hashes are right; each is looked at once.

    Args:
        source: the file, for errors.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._space = Space(MAX_VERTICES)
        self._rows: dict[str, int] = {}
        self._hashes: dict[int, str] = {}

    def rows(self, texts: Sequence[Any]) -> NDArray[np.int32]:
        """(n,) int32 rows of (n,) texts.

        Raises:
            FormatError: a text is no cell.
        """
        cells = [text if isinstance(text, str) else str(text) for text in texts]
        new = [text for text in dict.fromkeys(cells) if text not in self._rows]
        self._rows.update(zip(new, self._parsed(new), strict=True))
        return np.fromiter((self._rows[text] for text in cells), np.int32, len(cells))

    def check(self, rows: NDArray[np.int32], hashes: Sequence[Any]) -> None:
        """Compare (n,) hashes with those of the rows; None and an empty text are none.

        Raises:
            FormatError: one is that of another cell.
        """
        places = rows.tolist()
        stated = [row for row, text in zip(places, hashes, strict=True) if text not in (None, "")]
        new = [row for row in dict.fromkeys(stated) if row not in self._hashes]
        if new:
            nasbench_hash.prepare(len(self._hashes) + len(new))
            found = nasbench_hash.as_text(nasbench_hash.digests_of(np.array(new)))
            self._hashes.update(zip(new, found.tolist(), strict=True))
        for row, text in zip(places, hashes, strict=True):
            if text not in (None, "") and text != self._hashes[row]:
                raise self._source.fault(
                    "the hash of a line is not that of its cell",
                    value=text,
                    expected=self._hashes[row],
                )

    def _parsed(self, texts: list[str]) -> list[int]:
        """Rows of texts, those of the usual form together."""
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
        """The row of a text of any form that a `Cell` takes, or the error that it gives."""
        try:
            return Cell(text).row
        except InvalidCellError as error:
            raise self._source.fault(f"a line has no cell: {error}", value=text) from error


@cache
def _labels() -> dict[str, tuple[int, ...]]:
    """Labels of every text of operations."""
    return {
        _names(slots, number): tuple(number // 3 ** (slots - 1 - s) % 3 for s in range(slots))
        for slots in range(MAX_VERTICES - 1)
        for number in range(3**slots)
    }


#: The columns that say which training a line is.
KEYS = ("cell", "nasbench_hash", "epochs", "repeat")

_MAX = 999_999

# Lines that are made at a time: as texts, they take some fifty megabytes.
_LINES = 1 << 16


def to_lines(
    columns: Columns, start: int = 0, stop: int | None = None
) -> dict[str, list[Any] | NDArray[Any]]:
    """Keys and metrics as columns of n = cells * budgets * repeats lines.

    Missing values are NaN. Repeats count from 0.

    Args:
        columns: the table's.
        start, stop: its cells from and to; all where left out.
    """
    _, n_budgets, n_repeats = columns.shape
    rows = columns.rows[start:stop]
    hashes = nasbench_hash.as_text(nasbench_hash.digests_of(rows)).tolist()
    each = n_budgets * n_repeats
    lines: dict[str, list[Any] | NDArray[Any]] = {
        "cell": [text for text in texts_of(rows) for _ in range(each)],
        "nasbench_hash": [text for text in hashes for _ in range(each)],
        "epochs": np.tile(np.repeat(np.array(columns.budgets), n_repeats), len(rows)),
        "repeat": np.tile(np.arange(n_repeats), len(rows) * n_budgets),
    }
    lines.update({name: array[start:stop].ravel() for name, array in columns.values.items()})
    return lines


def parts(columns: Columns) -> Iterator[dict[str, list[Any] | NDArray[Any]]]:
    """The lines of `to_lines`, some thousand at a time; at least once.

    The listener to long work hears how far they are.
    """
    n_cells, n_budgets, n_repeats = columns.shape
    nasbench_hash.prepare(n_cells)
    step = max(1, _LINES // (n_budgets * n_repeats))
    heard = listener()
    heard.started(columns.name, "writing", n_cells, 0, "cells")
    for start in range(0, max(n_cells, 1), step):
        yield to_lines(columns, start, start + step)
        heard.advanced(columns.name, min(start + step, n_cells))
    heard.finished(columns.name)


def check_names(names: Iterable[str], source: Source) -> None:
    """Raise FormatError unless the names of columns are those of a table."""
    found = list(names)
    missing = [key for key in ("cell", "epochs") if key not in found]
    unknown = [name for name in found if name not in KEYS and name not in METRICS]
    if missing or unknown or len(set(found)) != len(found):
        raise source.fault(
            "the columns are not those of a table",
            value=f"missing {missing}, unknown {unknown}, all {found}",
            expected="cell, epochs, perhaps nasbench_hash and repeat, and names of metrics, "
            "each once",
        )


class Lines:
    """The inverse of `to_lines`: lines in any order, so many at a time.

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
            lines: by names that were checked: cell texts, epochs and repeats as whole numbers,
                metrics as float64. The column of hashes is optional and is compared with the
                cells; without repeats, lines of one cell and budget are repeats in their order.

        Raises:
            FormatError: a text that is no cell, another hash, or a number that cannot be.
        """
        numbers = [key for key in ("epochs", "repeat") if key in lines]
        keys = {key: _whole(np.asarray(lines[key]), key, self._source) for key in numbers}
        if np.any(keys["epochs"] < 1):
            raise self._source.fault(
                "a training budget is less than an epoch", expected="1 or more"
            )
        rows = self._texts.rows(lines["cell"])
        if "nasbench_hash" in lines:
            self._texts.check(rows, lines["nasbench_hash"])
        metrics = {m: np.asarray(lines[m], dtype=np.float64) for m in lines if m not in KEYS}
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
            about: what `parse_header` found.
            name: name of the table, by default that of `about`, else the file's.
            vertices: vertices of the space, by default those of `about`, else the smallest.
            provenance: origins that are known better than `about` says.
            sha256: of the file, for the metrics whose origin neither knows.

        Raises:
            FormatError: there were no lines, or they are no table.
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
        raise source.fault(
            f"the column {key} does not hold small whole numbers",
            value=str(array.dtype),
            expected=f"0 to {_MAX}",
        )
    return array.astype(np.int32)


def header(columns: Columns) -> str:
    """Everything but the lines, as one line of JSON."""
    return json.dumps(
        {
            "name": columns.name,
            "vertices": columns.vertices,
            "provenance": {name: p.to_json() for name, p in columns.provenance.items()},
            "attributes": dict(columns.attributes),
        },
        sort_keys=True,
    )


def parse_header(text: str | bytes, source: Source, path: str | PathLike[str]) -> dict[str, Any]:
    """The inverse of `header`.

    Raises:
        FormatError: it is none.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise source.fault("the header is not JSON") from error
    types = {"name": str, "vertices": int, "provenance": dict, "attributes": dict}
    if not isinstance(data, dict) or not all(
        type(data.get(key, kind())) is kind for key, kind in types.items()
    ):
        raise source.fault("the header has not the content of one", expected=", ".join(types))
    if data.get("vertices") is not None and not 2 <= data["vertices"] <= 7:
        raise source.fault("no such space", value=data["vertices"], expected="2 to 7 vertices")
    attributes = data.get("attributes", {})
    if not all(isinstance(value, str) for value in attributes.values()):
        raise source.fault("an attribute of the header is no text")
    found = {
        name: Provenance.from_json(value, path=str(path))
        for name, value in data.get("provenance", {}).items()
    }
    return {**{k: v for k, v in data.items() if k in types}, "provenance": found}


# Tables as Parquet and CSV: one line for each cell, budget and repeat, with the provenance.
#
# Lines have the columns `cell` (the text of a `Cell`), `nasbench_hash`, `epochs`, `repeat` (from 0)
# and the metrics; `nasbench_hash` and `repeat` may be missing where a file is read. Parquet keeps
# name, space, provenance and attributes as JSON in its metadata, CSV in a first line
# `# provenance: {...}`. Numbers come back exactly.


# How the first line of a CSV file begins.
_COMMENT = "# provenance: "

_METADATA = b"naslib_ecnas"

# Lines and bytes that are read at a time.
_FRAMES_LINES, _PIECE = 1 << 16, 1 << 20


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
        while lines := self._some(_FRAMES_LINES):
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
            batches = table.iter_batches(batch_size=_FRAMES_LINES, use_threads=False)
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

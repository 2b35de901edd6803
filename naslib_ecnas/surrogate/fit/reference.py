"""Reading the reference measurements that the models are fitted on.

They are Parquet files of published measurements. Each has the cells in two columns: `adjacency`
(the row-major matrix as 0 and 1) and `operations` (comma-separated NAS-Bench-101 names).
"""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.cell import Cell
from naslib_ecnas.data.fetch import sha256_of
from naslib_ecnas.errors import (
    FormatError,
    InvalidCellError,
    MissingDependencyError,
    UnknownTableError,
)
from naslib_ecnas.files import is_file

__all__ = ["Measured", "read_measured"]


@dataclass(frozen=True)
class Measured:
    """One file of measurements: the rows of the cells and further columns."""

    name: str
    """File name."""
    sha256: str
    rows: NDArray[np.int64]
    """(n,) rows of the space; a cell with repeats occurs more than once."""
    columns: dict[str, NDArray[Any]]
    """(n,) each; numbers as float64, the rest as objects."""

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self.columns:
            known = ", ".join(self.columns)
            raise FormatError(f"has no column {name}, only {known}", path=self.name)
        return self.columns[name]

    def where(self, chosen: NDArray[Any] | slice) -> Measured:
        """The measurements of a mask, of indices or of a slice."""
        return Measured(
            self.name,
            self.sha256,
            self.rows[chosen],
            {name: values[chosen] for name, values in self.columns.items()},
        )


def read_measured(path: str | PathLike[str]) -> Measured:
    """Read one file.

    Raises:
        UnknownTableError: there is no such file.
        MissingDependencyError: pyarrow is not installed.
        FormatError: it has no columns of cells, or an invalid cell.
    """
    try:
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise MissingDependencyError("pyarrow", feature="reading Parquet", extra="fit") from error
    path = Path(path)
    if not is_file(path):
        raise UnknownTableError(
            f"no reference measurements at {path}", remedy="name their folder by --data"
        )
    try:
        table = parquet.read_table(path)
    except (OSError, ValueError) as error:
        raise FormatError(f"is no Parquet file ({error})", path=path) from error
    columns = {}
    for name in table.column_names:
        column = table[name].combine_chunks()
        values = column.to_numpy(zero_copy_only=False)
        columns[name] = values.astype(np.float64) if values.dtype.kind in "iuf" else values
    if not {"adjacency", "operations"} <= set(columns):
        raise FormatError(
            "must have the columns adjacency and operations", path=path, value=list(columns)
        )
    known: dict[tuple[str, str], int] = {}
    rows = np.empty(len(columns["adjacency"]), dtype=np.int64)
    for i, key in enumerate(zip(columns["adjacency"], columns["operations"], strict=True)):
        row = known.get(key)
        if row is None:
            try:
                row = known[key] = Cell(":".join(key)).row
            except (InvalidCellError, TypeError) as error:  # TypeError: a missing text
                raise FormatError(f"line {i} holds no cell ({error})", path=path) from error
        rows[i] = row
    return Measured(path.name, sha256_of(path), rows, columns)

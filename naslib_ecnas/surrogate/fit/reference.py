"""The reference measurements that the models are fitted on, read by columns.

The files are Parquet tables of published measurements. Every one has the cell as `adjacency`
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
    """One file of measurements: the rows of the cells, and columns beside them."""

    name: str
    """File name."""
    sha256: str
    rows: NDArray[np.int64]
    """(n,) rows of the space; a cell with repeats occurs more than once."""
    columns: dict[str, NDArray[Any]]
    """(n,) each; numbers as float64, the rest as objects."""

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self.columns:
            raise FormatError(
                "has no such column",
                path=self.name,
                value=name,
                expected=", ".join(self.columns),
                remedy="use the reference file of this name",
            )
        return self.columns[name]

    def where(self, chosen: NDArray[Any]) -> Measured:
        """The measurements of a mask or of indices."""
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
        FormatError: it has no cells, or no valid ones.
    """
    try:
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise MissingDependencyError("pyarrow", feature="reading Parquet", extra="fit") from error
    path = Path(path)
    if not is_file(path):
        raise UnknownTableError(
            "no such file of reference measurements",
            value=str(path),
            expected="the folder of the reference data",
            remedy="name it by --data",
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
            "has no cells",
            path=path,
            value=", ".join(columns),
            expected="columns adjacency and operations",
            remedy="use a file of the reference data",
        )
    met: dict[tuple[str, str], int] = {}
    rows = np.empty(len(columns["adjacency"]), dtype=np.int64)
    for i, key in enumerate(zip(columns["adjacency"], columns["operations"], strict=True)):
        row = met.get(key)
        if row is None:
            try:
                row = met[key] = Cell(":".join(key)).row
            except (InvalidCellError, TypeError) as error:  # TypeError: a missing text
                raise FormatError(
                    f"row {i} is no cell ({error})",
                    path=path,
                    value=key,
                    expected="a matrix as 0 and 1 and names of operations",
                    remedy="use a file of the reference data",
                ) from error
        rows[i] = row
    return Measured(path.name, sha256_of(path), rows, columns)

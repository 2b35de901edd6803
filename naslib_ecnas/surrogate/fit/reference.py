"""Reading the reference measurements that the models are fitted on.

They are Parquet files of published measurements. Each has the cells in two columns: `adjacency`
(the row-major matrix as 0 and 1) and `operations` (comma-separated NAS-Bench-101 names).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import import_module
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

# EC-NAS's trainings; the published seven-vertex energies are of 4 epochs.
SEVEN_VERTICES = "measured_7v_energy_4epochs.parquet"
ONE_EPOCH = "measured_7v_1epoch_rtx3090.parquet"
FIVE_VERTICES = "measured_5v_4epochs_rtx6000.parquet"
FIVE_VERTICES_108 = "measured_5v_108epochs_rtx6000_700cells.parquet"
FOUR_VERTICES = "measured_4v_rtx6000_3repeats.parquet"
# NAS-Bench-101's.
VALIDATION = "nasbench101_validation_30001cells.parquet"
TEST = "nasbench101_test108_12959cells.parquet"
RECORDS = "nasbench101_full_records_52cells.parquet"
TIMES = "official_7v_training_times.parquet"
#: Its accuracies are means of NAS-Bench-101's trainings.
FOUR_VERTEX_MEANS = "energy_4V9E_linscale.tfrecord"


def optional(module: str, package: str = "", feature: str = "fitting a surrogate") -> Any:
    """A module of the extra `fit`.

    Raises:
        MissingDependencyError: the package, by default of the module's name, is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        name = package or module.partition(".")[0]
        raise MissingDependencyError(name, feature=feature, extra="fit") from error


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
        columns = {name: values[chosen] for name, values in self.columns.items()}
        return replace(self, rows=self.rows[chosen], columns=columns)


def read_measured(path: str | PathLike[str]) -> Measured:
    """Read one file.

    Raises:
        UnknownTableError: there is no such file.
        MissingDependencyError: pyarrow is not installed.
        FormatError: it has no columns of cells, or an invalid cell.
    """
    parquet = optional("pyarrow.parquet", feature="reading Parquet")
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
        values = table[name].combine_chunks().to_numpy(zero_copy_only=False)
        columns[name] = values.astype(np.float64) if values.dtype.kind in "iuf" else values
    if not {"adjacency", "operations"} <= set(columns):
        raise FormatError(
            "must have the columns adjacency and operations", path=path, value=list(columns)
        )
    known: dict[tuple[str, str], int] = {}
    cells = list(zip(columns["adjacency"], columns["operations"], strict=True))
    for i, cell in enumerate(cells):
        if cell not in known:
            try:
                known[cell] = Cell(":".join(cell)).row
            except (InvalidCellError, TypeError) as error:  # TypeError: a missing text
                raise FormatError(f"line {i} holds no cell ({error})", path=path) from error
    rows = np.array([known[cell] for cell in cells], dtype=np.int64)
    return Measured(path.name, sha256_of(path), rows, columns)

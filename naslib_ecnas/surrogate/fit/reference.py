"""Reading the reference measurements that the models are fitted on.

They are Parquet files of published measurements. Each has the cells in two columns: `adjacency`
(the row-major matrix as 0 and 1) and `operations` (comma-separated NAS-Bench-101 names).

In place of their folder, `published()` stands for the files that the owners publish: some
measurements are then made from the catalog's files, which are fetched and checked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.cell import Cell
from naslib_ecnas.data.catalog import file_entry, named
from naslib_ecnas.data.convert import converted
from naslib_ecnas.data.fetch import downloads_folder, fetch, sha256_of
from naslib_ecnas.data.results_tree import is_results_tree
from naslib_ecnas.data.table import Table
from naslib_ecnas.errors import (
    FormatError,
    InvalidCellError,
    MissingDependencyError,
    UnknownTableError,
)
from naslib_ecnas.files import is_file
from naslib_ecnas.space import Space
from naslib_ecnas.surrogate.calibrate import measurements_of


class Files:
    """Names of the files of reference measurements."""

    # EC-NAS's trainings; the published seven-vertex energies are of 4 epochs.
    SEVEN_VERTICES = "measured_7v_energy_4epochs.parquet"
    #: The same with the paper's test fifth, which no model that ships is fitted on.
    ALL_SEVEN_VERTICES = "measured_7v_energy_4epochs_all.parquet"
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
    """A module of the extra `fit`; MissingDependencyError if its package is not installed."""
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

    def means(self, *names: str) -> Measured:
        """Each cell once, rows ascending, with the means of some columns over its repeats."""
        rows, cell = np.unique(self.rows, return_inverse=True)
        means = {name: np.bincount(cell, self[name]) / np.bincount(cell) for name in names}
        return replace(self, rows=rows, columns=means)


def read_measured(path: str | PathLike[str]) -> Measured:
    """Read one file, or make it from what the owners publish if it is to lie in `published()`.

    Raises:
        UnknownTableError: there is no such file.
        FetchError: a published file is not here and could not be downloaded.
        MissingDependencyError: pyarrow is not installed.
        FormatError: it has no columns of cells, or an invalid cell.
    """
    path = Path(path)
    if not is_file(path):
        if path.parent == published() and path.name in _PUBLISHED:
            return _PUBLISHED[path.name]()
        raise UnknownTableError(
            f"no reference measurements at {path}", remedy="name their folder by --data"
        )
    parquet = optional("pyarrow.parquet", feature="reading Parquet")
    try:
        table = parquet.read_table(path)
    except (OSError, ValueError) as error:
        raise FormatError(f"is no Parquet file ({error})", path=path) from error
    columns = {}
    for name in table.column_names:
        values = table[name].to_numpy()
        columns[name] = values.astype(np.float64) if values.dtype.kind in "iuf" else values
    if not {"adjacency", "operations"} <= set(columns):
        raise FormatError(
            "must have the columns adjacency and operations", path=path, value=list(columns)
        )
    row_of, rows = cache(lambda *texts: Cell(":".join(texts)).row), []
    for texts in zip(columns["adjacency"], columns["operations"], strict=True):
        try:
            rows.append(row_of(*texts))
        except (InvalidCellError, TypeError) as error:  # TypeError: a missing text
            raise FormatError(f"line {len(rows)} holds no cell ({error})", path=path) from error
    return Measured(path.name, sha256_of(path), np.array(rows, dtype=np.int64), columns)


def is_table(source: str | PathLike[str]) -> bool:
    """Whether a source of measurements is a table, not a folder of reference measurements."""
    return is_file(source) or is_results_tree(source) or named(str(source))[0] is not None


def read_table(source: str | PathLike[str]) -> Measured:
    """The runs of 4 epochs of a table: a name of the catalog, or a file or folder that
    `ecnas data convert` reads.

    Raises:
        ConfigError: it has no energies at 4 epochs.
        ProvenanceError: they are modelled.
    """
    path = converted(source)
    table = Table.open(path)
    origin, runs = table.provenance["energy_kwh"], measurements_of(table)
    columns = {"final_energy_kwh": runs.energy_kwh}
    if runs.training_time_s is not None:
        columns["final_training_time_s"] = runs.training_time_s
    return Measured(Path(source).name, origin.sha256 or sha256_of(path), runs.rows, columns)


# -- from the files that the owners publish -------------------------------------------------------

#: Targets that need no other measurements than the catalog's files hold.
PUBLISHED_TARGETS = ("energy", "accuracy", "time", "worlds", "paper")

#: Cells drawn from NAS-Bench-101, about as many as the reference measurements have.
_CELLS = 24_000


def published() -> Path:
    """The folder of fetched files, which as a folder of measurements stands for the catalog's."""
    return downloads_folder()


def _seven_vertices(*parts: str) -> Measured:
    """The energies of some parts of the paper's split: train, valid, test."""
    torch = optional("torch")
    entry = file_entry("7v_data.pt")
    data = torch.load(fetch(entry), weights_only=True)
    matrices, codes, energy_kwh, _ = (array.numpy() for array in data)
    rows = []
    for matrix, code in zip(matrices, codes, strict=True):
        n = np.count_nonzero(code)
        rows.append(Cell(matrix[:n, :n], [_CODES[i] for i in code[:n]]).row)
    # As the authors' script splits: torch's random_split after torch.manual_seed(42).
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(42)).numpy()
    train, valid = int(0.7 * len(rows)), int(0.1 * len(rows))
    split = np.empty(len(rows), dtype=object)
    split[order] = np.repeat(["train", "valid", "test"], [train, valid, len(rows) - train - valid])
    columns = {"energy_kwh": energy_kwh.astype(np.float64), "paper_split": split}
    data = Measured(entry.name, str(entry.sha256), np.array(rows, dtype=np.int64), columns)
    return data.where(np.isin(split, parts))


#: Operations of `7v_data.pt` by their codes; 0 stands behind the output.
_CODES = ("", "input", "conv1x1-bn-relu", "conv3x3-bn-relu", "maxpool3x3", "output")

#: (budgets, cells, repeats) values by metric, and the budgets, broadcast to them.
_Values = dict[str, NDArray[np.float64]]


def _from_table(
    name: str,
    columns_of: Callable[[_Values], _Values],
    cells: int | None = None,
    beside: int = 0,
) -> Measured:
    """Columns made of the values of a table of the catalog, all of one shape or broadcast to it.

    With `cells`, so many are drawn, the same ones each time, beside all of rows under `beside`.
    """
    table = Table.open(converted(name))
    first = int(np.searchsorted(table.rows, beside))
    drawn = first + np.random.default_rng(0).permutation(len(table) - first)[:cells]
    at, budgets = np.concatenate([np.arange(first), np.sort(drawn)]), range(len(table.budgets))
    values = {m: np.stack([table.some(m, i, at) for i in budgets]) for m in table.metrics}
    values["budget_epochs"] = np.array(table.budgets, dtype=np.float64)[:, None, None]
    made = columns_of(values)
    rows = np.asarray(table.rows, dtype=np.int64)[at][:, None]
    rows, *arrays = (a.ravel() for a in np.broadcast_arrays(rows, *made.values()))
    origin = table.provenance["validation_accuracy"]
    columns = dict(zip(made, arrays, strict=True))
    return Measured(str(origin.source), str(origin.sha256), rows, columns)


def _runs(values: _Values) -> _Values:
    """Every run of EC-NAS."""
    metrics = ("energy_kwh", "training_time_s", "validation_accuracy", "test_accuracy")
    return {"budget_epochs": values["budget_epochs"]} | {f"final_{m}": values[m] for m in metrics}


def _validation(values: _Values) -> _Values:
    accuracy, last = values["validation_accuracy"], values["training_time_s"][-1]
    singles = {f"val_acc_{b}_one_repeat": accuracy[i, :, :1] for i, b in enumerate((4, 12, 36))}
    largest = accuracy[-1].max(axis=1, keepdims=True)
    return singles | {"val_acc_108_max_of_repeats": largest, "training_time_108_s": last[:, :1]}


def _test(values: _Values) -> _Values:
    return {"test_accuracy_108_mean": values["test_accuracy"][-1].mean(axis=1, keepdims=True)}


def _records(values: _Values) -> _Values:
    """Every training of 108 epochs."""
    names = ("validation_accuracy", "test_accuracy", "training_time_s")
    return {f"final_{name.removesuffix('_s')}": values[name][-1] for name in names}


def _times(values: _Values) -> _Values:
    """Means of three trainings at each budget."""
    mean = values["training_time_s"].mean(axis=2, keepdims=True)
    return {"budget_epochs": values["budget_epochs"], "training_time_s": mean}


_PUBLISHED: dict[str, Callable[[], Measured]] = {
    Files.SEVEN_VERTICES: partial(_seven_vertices, "train", "valid"),
    Files.ALL_SEVEN_VERTICES: partial(_seven_vertices, "train", "valid", "test"),
    Files.FOUR_VERTICES: partial(_from_table, "4v-4epochs", _runs),
    Files.FIVE_VERTICES: partial(_from_table, "5v-4epochs", _runs),
    Files.VALIDATION: partial(_from_table, "nasbench101", _validation, _CELLS),
    Files.TEST: partial(_from_table, "nasbench101", _test, _CELLS),
    Files.RECORDS: partial(_from_table, "nasbench101", _records, _CELLS),
    # Mostly cells of up to five vertices: the others' times are well known at 108 epochs.
    Files.TIMES: partial(_from_table, "nasbench101", _times, 600, len(Space(5))),
}

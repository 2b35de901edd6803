"""The shipped models against measurements that they were not fitted on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.errors import UnknownTableError
from naslib_ecnas.files import is_file
from naslib_ecnas.quality import Quality, Scores, bounds, scores
from naslib_ecnas.surrogate.features import labels, shapes
from naslib_ecnas.surrogate.fit.reference import Measured, read_measured
from naslib_ecnas.surrogate.modelled import Models
from naslib_ecnas.surrogate.models import BUDGETS, Weights, shipped

__all__ = ["evaluate"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class _Comparison:
    """A column of a file, and what it is compared with."""

    target: str
    file: str
    metric: str
    epochs: int
    column: str
    fitted: tuple[str, str]
    """Weights and their array of rows that were fitted."""
    unit: str = ""
    factor: float = 1.0
    """From our unit to that of the report."""
    adjusted: Callable[[Array, Mapping[str, Any]], Array] | None = None
    """What the column has to be turned into, by the header of the weights."""


def _mean_of_largest(values: Array, header: Mapping[str, Any]) -> Array:
    k = float(header["shrinkage"])
    return values - k * (1 - values)


_VALIDATION = "nasbench101_validation_30001cells.parquet"
_COMPARISONS = (
    _Comparison(
        "energy at 4 epochs",
        "measured_7v_energy_4epochs.parquet",
        "energy_kwh",
        4,
        "energy_kwh",
        ("energy", "fitted_rows"),
        "Wh",
        1000.0,
    ),
    *(
        _Comparison(
            f"validation accuracy at {epochs} epochs",
            _VALIDATION,
            "validation_accuracy",
            epochs,
            f"val_acc_{epochs}_one_repeat",
            ("accuracy", "fitted_rows"),
        )
        for epochs in (4, 12, 36)
    ),
    _Comparison(
        "validation accuracy at 108 epochs",
        _VALIDATION,
        "validation_accuracy",
        108,
        "val_acc_108_max_of_repeats",
        ("accuracy", "fitted_rows"),
        adjusted=_mean_of_largest,
    ),
    _Comparison(
        "test accuracy at 108 epochs",
        "nasbench101_test108_12959cells.parquet",
        "test_accuracy",
        108,
        "test_accuracy_108_mean",
        ("accuracy", "fitted_rows_test"),
    ),
    _Comparison(
        "training time at 108 epochs",
        _VALIDATION,
        "training_time_s",
        108,
        "training_time_108_s",
        ("time", "fitted_rows"),
        "s",
    ),
)


def evaluate(folder: str | PathLike[str]) -> Quality:
    """Compare the shipped models with the measurements of a folder.

    Cells that a model was fitted on are left out of its comparison, whichever file they are in;
    a target of which nothing is left has no line.

    Args:
        folder: with files named and laid out as the reference measurements, complete or in part.

    Raises:
        UnknownTableError: the folder has none of the files, or nothing that was not fitted.
        MissingDependencyError: pyarrow is not installed.
        FormatError: a file is damaged.
    """
    headers = list(_headers(Path(folder)))
    if not headers:
        raise UnknownTableError(
            "nothing to compare with: no file, or all of its cells were fitted",
            value=str(folder),
            expected="measurements of other cells in "
            + ", ".join(sorted({c.file for c in _COMPARISONS})),
            remedy="leave --data out for what was found when the models were fitted",
        )
    return Quality.of_headers(headers)


def _headers(folder: Path) -> Iterator[dict[str, Any]]:
    models = Models.shipped()
    files: dict[str, tuple[Measured, dict[str, Array]]] = {}
    for comparison in _COMPARISONS:
        path = folder / comparison.file
        if not is_file(path):
            continue
        if comparison.file not in files:
            data = read_measured(path)
            files[comparison.file] = data, models.predict(data.rows)
        found = _compared(comparison, *files[comparison.file])
        if found is not None:
            yield {"quality": {comparison.target: found}}


def _compared(
    comparison: _Comparison, data: Measured, predicted: Mapping[str, Array]
) -> dict[str, Any] | None:
    weights = Weights.load(shipped(comparison.fitted[0]))
    fresh = ~np.isin(data.rows, weights.arrays[comparison.fitted[1]])
    if not fresh.any():
        return None
    true = data[comparison.column][fresh]
    if comparison.adjusted is not None:
        true = comparison.adjusted(true, weights.header)
    budget = BUDGETS.index(comparison.epochs)
    mean = predicted[comparison.metric][fresh, budget]
    std = predicted[f"{comparison.metric}_std"][fresh, budget]
    ends = comparison.factor * bounds(comparison.metric, mean, std)
    arrays = (comparison.factor * true, comparison.factor * mean, ends[:, 0], ends[:, 1])
    vertices = shapes().slots[labels(data.rows[fresh])[0]] + 2
    return {
        **scores(*arrays).to_json(),
        "unit": comparison.unit,
        "about": f"{int(fresh.sum()):,} of {len(fresh):,} in {data.name} that were not fitted",
        "by_vertices": {
            str(int(count)): _of(arrays, vertices == count).to_json()
            for count in np.unique(vertices)
        },
    }


def _of(arrays: tuple[Array, ...], mine: NDArray[np.bool_]) -> Scores:
    true, predicted, lower, upper = (a[mine] for a in arrays)
    return scores(true, predicted, lower, upper)

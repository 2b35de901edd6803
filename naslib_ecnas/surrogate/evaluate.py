"""Errors of the shipped models on measurements that they were not fitted on."""

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
from naslib_ecnas.quality import Quality, bounds, scores
from naslib_ecnas.surrogate.features import vertices_of
from naslib_ecnas.surrogate.fit.accuracy import mean_of_largest
from naslib_ecnas.surrogate.fit.reference import Measured, read_measured
from naslib_ecnas.surrogate.modelled import Models
from naslib_ecnas.surrogate.models import BUDGETS, Weights

__all__ = ["evaluate"]

Array = NDArray[np.float64]


#: A column of measurements, or a function of their file and the header of the weights.
Truth = str | Callable[[Measured, Mapping[str, Any]], Array]


@dataclass(frozen=True)
class _Comparison:
    """A column of a file and the prediction that it is compared with."""

    target: str
    file: str
    metric: str
    epochs: int
    truth: Truth
    fitted: tuple[str, str] = ("accuracy", "fitted_rows")
    """Target of the weights, and their array of the rows that were fitted."""
    unit: str = ""
    factor: float = 1.0
    """Converts our unit to the one of the report."""


def _mean_accuracy(data: Measured, header: Mapping[str, Any]) -> Array:
    """Estimated mean of three trainings, of which the file has the largest accuracy."""
    return mean_of_largest(data["val_acc_108_max_of_repeats"], float(header["shrinkage"]))


_ENERGY = "measured_7v_energy_4epochs.parquet"
_VALIDATION = "nasbench101_validation_30001cells.parquet"
_TEST = "nasbench101_test108_12959cells.parquet"
_COMPARISONS = (
    _Comparison(
        *("energy at 4 epochs", _ENERGY, "energy_kwh", 4, "energy_kwh"),
        *(("energy", "fitted_rows"), "Wh", 1000.0),
    ),
    *(
        _Comparison(
            f"validation accuracy at {epochs} epochs",
            *(_VALIDATION, "validation_accuracy", epochs),
            _mean_accuracy if epochs == 108 else f"val_acc_{epochs}_one_repeat",
        )
        for epochs in BUDGETS
    ),
    _Comparison(
        *("test accuracy at 108 epochs", _TEST, "test_accuracy", 108, "test_accuracy_108_mean"),
        ("accuracy", "fitted_rows_test"),
    ),
    _Comparison(
        *("training time at 108 epochs", _VALIDATION, "training_time_s", 108),
        *("training_time_108_s", ("time", "fitted_rows"), "s"),
    ),
)


def evaluate(folder: str | PathLike[str]) -> Quality:
    """Compare the shipped models with the measurements of a folder.

    Cells that a model was fitted on are left out of its comparison; a target without other cells
    has no line.

    Args:
        folder: with files named and laid out as the reference measurements, complete or in part.

    Raises:
        UnknownTableError: the folder has none of the files, or no cells that were not fitted.
        MissingDependencyError: pyarrow is not installed.
        FormatError: a file is damaged.
    """
    headers = list(_headers(Path(folder)))
    if not headers:
        names = sorted({comparison.file for comparison in _COMPARISONS})
        if any(is_file(Path(folder) / name) for name in names):
            message = f"the models were fitted on all cells that were measured in {folder}"
        else:
            message = f"{folder} has none of the files {', '.join(names)}"
        remedy = "leave --data out to see the errors found when the models were fitted"
        raise UnknownTableError(message, remedy=remedy)
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
    weights = Weights.shipped(comparison.fitted[0])
    fresh = ~np.isin(data.rows, weights.arrays[comparison.fitted[1]])
    if not fresh.any():
        return None
    truth = comparison.truth
    true = (data[truth] if isinstance(truth, str) else truth(data, weights.header))[fresh]
    budget = BUDGETS.index(comparison.epochs)
    mean = predicted[comparison.metric][fresh, budget]
    std = predicted[f"{comparison.metric}_std"][fresh, budget]
    ends = comparison.factor * bounds(comparison.metric, mean, std)
    arrays = (comparison.factor * true, comparison.factor * mean, ends[:, 0], ends[:, 1])
    vertices = vertices_of(data.rows[fresh])
    return {
        **scores(*arrays).to_json(),
        "unit": comparison.unit,
        "about": f"{int(fresh.sum()):,} of {len(fresh):,} in {data.name} that were not fitted",
        "by_vertices": {
            str(count): scores(*(array[vertices == count] for array in arrays)).to_json()
            for count in np.unique(vertices).tolist()
        },
    }

"""Errors of the shipped models on measurements that they were not fitted on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.errors import UnknownTableError
from naslib_ecnas.files import is_file
from naslib_ecnas.quality import Quality, QualityLine, bounds, scores
from naslib_ecnas.surrogate.fit.accuracy import mean_of_largest
from naslib_ecnas.surrogate.fit.reference import (
    SEVEN_VERTICES,
    TEST,
    VALIDATION,
    Measured,
    read_measured,
)
from naslib_ecnas.surrogate.fit.student import by_vertices
from naslib_ecnas.surrogate.modelled import Models
from naslib_ecnas.surrogate.models import BUDGETS, Weights

Array = NDArray[np.float64]


@dataclass(frozen=True)
class _Comparison:
    """A column of a file and the prediction that it is compared with."""

    name: str
    metric: str
    epochs: int
    file: str
    truth: str | Callable[[Measured, Mapping[str, Any]], Array]
    """A column of the file, or a function of the file and the header of the weights."""
    model: str = "accuracy"
    unit: str = ""
    size: float = 1.0
    """Size of our unit in the one of the report."""
    fitted: str = "fitted_rows"
    """Array of the weights that has the rows that were fitted."""


def _mean_accuracy(data: Measured, header: Mapping[str, Any]) -> Array:
    """Estimated mean of three trainings, of which the file has the largest accuracy."""
    return mean_of_largest(data["val_acc_108_max_of_repeats"], float(header["shrinkage"]))


_VALIDATED = ("validation accuracy", "validation_accuracy")
_COMPARISONS = (
    _Comparison("energy", "energy_kwh", 4, SEVEN_VERTICES, "energy_kwh", "energy", "Wh", 1000.0),
    _Comparison(*_VALIDATED, 4, VALIDATION, "val_acc_4_one_repeat"),
    _Comparison(*_VALIDATED, 12, VALIDATION, "val_acc_12_one_repeat"),
    _Comparison(*_VALIDATED, 36, VALIDATION, "val_acc_36_one_repeat"),
    _Comparison(*_VALIDATED, 108, VALIDATION, _mean_accuracy),
    _Comparison(
        *("test accuracy", "test_accuracy", 108, TEST, "test_accuracy_108_mean"),
        fitted="fitted_rows_test",
    ),
    _Comparison(
        *("training time", "training_time_s", 108, VALIDATION, "training_time_108_s", "time", "s")
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
    names = sorted({comparison.file for comparison in _COMPARISONS})
    there = [name for name in names if is_file(Path(folder) / name)]
    files = {name: read_measured(Path(folder) / name) for name in there}
    models = Models.shipped()
    predicted = {name: models.predict(data.rows) for name, data in files.items()}
    lines = [
        line
        for each in _COMPARISONS
        if each.file in files and (line := _compared(each, files[each.file], predicted[each.file]))
    ]
    if lines:
        return Quality(tuple(lines))
    message = f"{folder} has none of the files {', '.join(names)}"
    if files:
        message = f"the models were fitted on all cells that were measured in {folder}"
    remedy = "leave --data out to see the errors found when the models were fitted"
    raise UnknownTableError(message, remedy=remedy)


def _compared(
    comparison: _Comparison, data: Measured, predicted: Mapping[str, Array]
) -> QualityLine | None:
    """The line of a comparison, None if all cells were fitted."""
    metric, truth = comparison.metric, comparison.truth
    weights = Weights.shipped(comparison.model)
    fresh = ~np.isin(data.rows, weights.arrays[comparison.fitted])
    if not fresh.any():
        return None
    true = data[truth] if isinstance(truth, str) else truth(data, weights.header)
    budget = BUDGETS.index(comparison.epochs)
    mean, std = (predicted[name][fresh, budget] for name in (metric, f"{metric}_std"))
    arrays = [comparison.size * a for a in (true[fresh], mean, *bounds(metric, mean, std).T)]
    return QualityLine(
        f"{comparison.name} at {comparison.epochs} epochs",
        f"{int(fresh.sum()):,} of {len(fresh):,} in {data.name} that were not fitted",
        comparison.unit,
        scores(*arrays).to_json(),
        by_vertices(data.rows[fresh], lambda part: scores(*(a[part] for a in arrays))),
    )

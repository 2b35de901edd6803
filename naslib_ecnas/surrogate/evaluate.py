"""Errors of the shipped models on the measurements of a folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.errors import UnknownTableError
from naslib_ecnas.files import is_file
from naslib_ecnas.quality import Quality, QualityLine
from naslib_ecnas.surrogate.fit.accuracy import mean_of_largest
from naslib_ecnas.surrogate.fit.noise import SINGLE, noise_lines
from naslib_ecnas.surrogate.fit.reference import Files, Measured, read_measured
from naslib_ecnas.surrogate.fit.student import quality
from naslib_ecnas.surrogate.modelled import Models, calibration_of
from naslib_ecnas.surrogate.models import BUDGETS, Weights
from naslib_ecnas.surrogate.noise import FAILED, IMAGES, NoiseModel

Array = NDArray[np.float64]


@dataclass(frozen=True)
class _Source:
    """Columns of a file and what is compared with them."""

    target: str
    metric: str
    file: str
    columns: Mapping[int, str]
    """The column of each budget of epochs."""
    model: str
    """Weights that the predictions are from; those of devices are of the Quadro RTX 6000."""
    note: str = ""
    """Added to the name of the target."""


_DEVICE, _GPU = "quadro-rtx-6000", ", RTX 6000"
_ENERGY, _TIME = "energy_kwh", "training_time_s"
_VALIDATED, _TESTED = "validation_accuracy", "test_accuracy"
_FINAL, _LAST = "final_energy_kwh", "test_accuracy_108_mean"
_BY_BUDGET, _ONE_VALIDATED = dict(zip(BUDGETS, SINGLE, strict=True)), {108: f"final_{_VALIDATED}"}
_SOURCES = (
    _Source("energy", _ENERGY, Files.SEVEN_VERTICES, {4: _ENERGY}, "energy"),
    _Source("energy", _ENERGY, Files.FIVE_VERTICES, {4: _FINAL}, "devices", f", 5V{_GPU}"),
    _Source("energy", _ENERGY, Files.FIVE_VERTICES_108, {108: _FINAL}, "devices", f", 5V{_GPU}"),
    _Source(
        *("energy", _ENERGY, Files.FOUR_VERTICES, dict.fromkeys(BUDGETS, _FINAL), "devices"),
        note=f", 4V{_GPU}",
    ),
    _Source("validation accuracy", _VALIDATED, Files.VALIDATION, _BY_BUDGET, "accuracy"),
    _Source("test accuracy", _TESTED, Files.TEST, {108: _LAST}, "accuracy"),
    _Source("one validation accuracy", _VALIDATED, Files.RECORDS, _ONE_VALIDATED, "accuracy"),
    _Source("one test accuracy", _TESTED, Files.RECORDS, {108: f"final_{_TESTED}"}, "accuracy"),
    _Source("training time", _TIME, Files.VALIDATION, {108: "training_time_108_s"}, "time"),
    _Source("training time", _TIME, Files.TIMES, dict.fromkeys(BUDGETS, _TIME), "time", ", small"),
)

#: Unit in a report, and size of ours in it.
_UNITS = {_ENERGY: ("Wh", 1000.0), _TIME: ("s", 1.0)}


def evaluate(folder: str | PathLike[str]) -> Quality:
    """Compare the shipped models with the measurements of a folder.

    Cells that a model was fitted on are left out of its comparison. Where no others were measured,
    the line is of the cells that were fitted, and says so: it is no measure of other cells. Failed
    trainings are left out of accuracies and counted.

    Args:
        folder: with files named and laid out as the reference measurements, complete or in part.

    Raises:
        UnknownTableError: the folder has none of the files.
        MissingDependencyError: pyarrow is not installed.
        FormatError: a file is damaged.
    """
    names = list(dict.fromkeys(source.file for source in _SOURCES))
    files = {n: read_measured(Path(folder) / n) for n in names if is_file(Path(folder) / n)}
    if not files:
        raise UnknownTableError(
            f"{folder} has none of the files {', '.join(names)}",
            remedy="leave --data out to see the errors found when the models were fitted",
        )
    lines = [
        line
        for source in _SOURCES
        if source.file in files
        for line in _compared(source, files[source.file])
    ]
    if Files.VALIDATION in files:
        fitted = Weights.shipped("accuracy").arrays["fitted_rows"]
        data, about = _unseen(files[Files.VALIDATION], fitted)
        accuracy = np.stack([data[name] for name in SINGLE], axis=1)
        lines += noise_lines(NoiseModel.shipped(), data.rows, accuracy, about)
    return Quality(tuple(lines))


def _unseen(data: Measured, fitted: NDArray[Any]) -> tuple[Measured, str]:
    """The measurements of cells that were not fitted, or all if there are none; and which."""
    fresh = ~np.isin(data.rows, fitted)
    of = f"{len(fresh):,} in {data.name}"
    if fresh.any():
        return data.where(fresh), f"{fresh.sum():,} of {of} that were not fitted"
    return data, f"{of}, ALL FITTED: no measure of other cells"


def _compared(source: _Source, data: Measured) -> Iterator[QualityLine]:
    """A line for each budget."""
    weights = Weights.shipped(source.model)
    device, _ = calibration_of(_DEVICE if source.model == "devices" else None)
    models = Models.shipped(device)
    unit, size = _UNITS.get(source.metric, ("", 1.0))
    fitted = weights.arrays["fitted_rows_test" if source.metric == _TESTED else "fitted_rows"]
    for epochs, column in source.columns.items():
        some = data
        if "budget_epochs" in data.columns:
            some = data.where(data["budget_epochs"] == epochs)
        some, about = _unseen(some, fitted)
        if not unit:
            some = some.where(~_failed(some[column]))
            about += ", without failed trainings"
        if not len(some.rows):
            continue
        true = some[column]
        if column == SINGLE[-1]:
            true = mean_of_largest(true, float(weights.header["shrinkage"]))
        predicted = models.predict(some.rows)
        if source.file == Files.RECORDS:
            about += "; how repeats of a cell scatter was fitted on them"
        # At 108 epochs the files of a sample have means of three trainings, or the largest.
        if source.file not in (Files.VALIDATION, Files.TEST):
            predicted |= NoiseModel.shipped().columns(some.rows, predicted)
        ends = (f"{source.metric}{end}" for end in ("", "_std"))
        mean, std = (predicted[name][:, BUDGETS.index(epochs)] for name in ends)
        yield quality(
            f"{source.target} at {epochs} epochs{source.note}",
            some.rows,
            source.metric,
            *(size * values for values in (true, mean, std)),
            unit=unit,
            about=about,
        )


def _failed(accuracy: Array) -> NDArray[np.bool_]:
    """(n,) whether validation or test accuracies are those of failed trainings."""
    return np.asarray((np.abs(accuracy[:, None] - FAILED) * IMAGES < 0.5).any(axis=1))

"""Fitting accuracies: scores and curves, and a tiny fit of published records."""

from __future__ import annotations

from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pyarrow.parquet as parquet
import pytest

from naslib_ecnas.errors import UnknownTableError
from naslib_ecnas.quality import Z90, kendall_tau
from naslib_ecnas.surrogate.features import features
from naslib_ecnas.surrogate.fit import accuracy as module
from naslib_ecnas.surrogate.fit.accuracy import (
    curves,
    fit_accuracy,
    joined,
    normal_scores,
    shrinkage,
    with_low_ends,
)
from naslib_ecnas.surrogate.fit.common import held_out
from naslib_ecnas.surrogate.fit.noise import SINGLE, failed
from naslib_ecnas.surrogate.fit.reference import Files, Measured, read_measured
from naslib_ecnas.surrogate.models import BUDGETS, AccuracyModel, Weights

# -- normal scores and curves --------------------------------------------------------------------


def test_scores_written_out() -> None:
    found = normal_scores(np.array([0.3, 0.9, 0.1, 0.5]))
    wanted = [NormalDist().inv_cdf(q) for q in (0.375, 0.875, 0.125, 0.625)]
    np.testing.assert_allclose(found, wanted, atol=1e-12)
    # Equal values share the mean of their ranks.
    np.testing.assert_allclose(normal_scores(np.array([1.0, 1.0, 1.0])), 0, atol=1e-12)
    found = normal_scores(np.array([0.2, np.nan, 0.1]))  # missing values change nothing
    np.testing.assert_array_equal(found[[0, 2]], normal_scores(np.array([0.2, 0.1])))
    assert np.isnan(found[1])
    found = normal_scores(np.random.default_rng(0).beta(20, 2, 5000))
    assert abs(found.mean()) < 1e-9
    assert found.std() == pytest.approx(1, abs=0.005)


def synthetic(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Scores, and accuracies that rise along them with four times the noise in the lower half."""
    rng = np.random.default_rng(seed)
    score = rng.normal(size=n)
    rising = 0.6 + 0.3 * np.tanh(score)
    return score, rising + rng.normal(size=n) * np.where(score < 0, 0.04, 0.01)


@pytest.mark.usefixtures("sklearn")
def test_the_curve_is_the_mean_and_nine_of_ten_new_ones_lie_inside() -> None:
    score, accuracy = synthetic(6000)
    at, mean, deviation = curves(score, accuracy)
    assert np.interp(score, at, mean).mean() == pytest.approx(accuracy.mean(), abs=0.002)
    fresh, true = synthetic(8000, seed=5)
    predicted = np.interp(fresh, at, mean)
    off = (predicted - (0.6 + 0.3 * np.tanh(fresh)))[np.abs(fresh) < 2]
    assert np.abs(off).max() < 0.04
    assert np.sqrt((off**2).mean()) < 0.008
    inside = np.abs(true - predicted) <= Z90 * np.interp(fresh, at, deviation)
    assert inside.mean() == pytest.approx(0.9, abs=0.02)
    for part in (fresh < -0.3, fresh > 0.3):
        assert inside[part].mean() == pytest.approx(0.9, abs=0.03)
    # The deviation is that of the noise on either side.
    assert np.interp(-1.0, at, deviation) == pytest.approx(0.04, rel=0.2)
    assert np.interp(1.0, at, deviation) == pytest.approx(0.01, rel=0.2)


# -- low ends ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("sklearn")
def test_the_shipped_low_ends_and_excess_are_fitted_to_what_was_published(reference: Path) -> None:
    model, k = AccuracyModel.shipped(), Weights.shipped("accuracy").header["shrinkage"]
    data = read_measured(reference / Files.VALIDATION)
    again = with_low_ends(model, *joined(data, read_measured(reference / Files.TEST), k), reference)
    for name in ("score", "accuracy", "deviation", "excess"):
        np.testing.assert_allclose(getattr(again, name), getattr(model, name), atol=1e-6)
    # The lowest hundredth, by the prediction, of cells of which a training did not fail.
    largest = data["val_acc_108_max_of_repeats"]
    true = largest - k * (1 - largest)
    mean, std, _, _ = model.predict(features(data.rows)).values()
    low = (mean[:, 3] <= np.quantile(mean[:, 3], 0.01)) & (true > 0.2)
    off = np.abs(true - mean[:, 3])[low]
    assert off.mean() < 0.025
    assert 0.85 <= (off <= Z90 * std[low, 3]).mean() <= 0.95
    for k in (1, 2):
        true = data[SINGLE[k]]
        low = (mean[:, k] <= np.quantile(mean[:, k], 0.03)) & ~failed(true)
        assert abs((mean[:, k] - true)[low].mean()) < 0.005, BUDGETS[k]


# -- parts of the fit ----------------------------------------------------------------------------


def measured(rows: list[int], **columns: list[float]) -> Measured:
    arrays = {name: np.array(values) for name, values in columns.items()}
    return Measured("synthetic", "none", np.array(rows), arrays)


def test_shrinkage_of_two_cells() -> None:
    """Largest .9 and .8, means .85 and .7: (.05 x .1 + .1 x .2) / (.1^2 + .2^2) = .5."""
    accuracies = [0.9, 0.8, 0.85, 0.6, 0.7, 0.8]
    records = measured([7, 7, 7, 3, 3, 3], final_validation_accuracy=accuracies)
    assert shrinkage(records) == pytest.approx(0.5)
    assert shrinkage(records.where(np.array([5, 0, 3, 2, 4, 1]))) == pytest.approx(0.5)
    assert shrinkage(measured([1, 1, 2], final_validation_accuracy=[0.9, 0.9, 0.5])) == 0


def test_accuracies_of_both_files_are_joined_by_cell() -> None:
    several = {4: [0.1, 0.2], 12: [0.3, 0.4], 36: [0.5, 0.6]}
    columns = {f"val_acc_{epochs}_one_repeat": values for epochs, values in several.items()}
    validation = measured([9, 4], **columns, val_acc_108_max_of_repeats=[0.8, 0.9])
    test = measured([4, 1], test_accuracy_108_mean=[0.88, 0.77])
    rows, accuracy = joined(validation, test, k=0.5)
    assert rows.tolist() == [1, 4, 9]
    missing = [np.nan] * 4
    wanted = [[*missing, 0.77], [0.2, 0.4, 0.6, 0.85, 0.88], [0.1, 0.3, 0.5, 0.7, np.nan]]
    np.testing.assert_allclose(accuracy, wanted)
    trained = measured(
        [1, 2, 3, 4, 5],
        budget_epochs=[4, 4, 12, 36, 108],
        final_test_accuracy=[0.5, 0.6, 0.7, 0.8, 0.9],
        final_validation_accuracy=[0.52, 0.61, 0.7, 0.85, 0.91],
    )
    four = measured([1], final_test_accuracy=[0.4], final_validation_accuracy=[0.43])
    off = [-0.02, -0.01, -0.03]
    wanted = [[np.mean(off), np.std(off)], [0, 0], [-0.05, 0], [-0.01, 0]]
    found = module._test_less_validation([trained, four])
    np.testing.assert_allclose(found, wanted, atol=1e-12)


# -- a tiny fit ----------------------------------------------------------------------------------

LIMIT = 400
TINY: dict[str, Any] = {"members": 1, "epochs": 2, "cells": 100, "student_epochs": 3}


@pytest.mark.usefixtures("sklearn")
def test_a_tiny_fit_of_published_records(
    torch: object, reference: Path, tmp_path: Path, reports: Any
) -> None:
    files = (Files.VALIDATION, Files.TEST, Files.RECORDS, Files.FOUR_VERTICES, Files.FIVE_VERTICES)
    for name in files:
        # The budgets of the repeats are in blocks of cells; every one has to be there.
        few = {Files.VALIDATION: LIMIT, Files.TEST: LIMIT, Files.FIVE_VERTICES: 1000}.get(name)
        parquet.write_table(parquet.read_table(reference / name).slice(0, few), tmp_path / name)
    (tmp_path / "official").symlink_to(reference / "official")
    weights = fit_accuracy(tmp_path, **TINY)
    assert reports == [(done, 4) for done in range(5)]  # twice, a network and a student
    validation, test = (read_measured(tmp_path / name) for name in (Files.VALIDATION, Files.TEST))
    fresh = read_measured(reference / Files.VALIDATION).where(slice(LIMIT, 1000))
    found = AccuracyModel.from_arrays(weights.arrays).predict(features(fresh.rows))
    predicted = [*found.values()]
    assert kendall_tau(fresh["val_acc_12_one_repeat"], predicted[0][:, 1]) > 0.3
    last = fresh["val_acc_108_max_of_repeats"]
    assert kendall_tau(last, predicted[0][:, 3]) > 0.3
    assert abs(np.median(predicted[0][:, 3]) - np.median(last)) < 0.02
    score, accuracy = weights.arrays["score"], weights.arrays["accuracy"]
    assert 101 <= score.shape[1] <= 110
    assert (np.diff([score, accuracy]) >= 0).all()
    header = weights.header
    assert set(header["data"]) == set(files)
    assert header["shrinkage"] == shrinkage(read_measured(tmp_path / Files.RECORDS))
    lines = header["quality"]
    assert tuple(line["target"] for line in lines) == module.NAMES
    apart = held_out(validation.rows, 0)
    for line, column in zip(lines[:4], SINGLE, strict=True):
        sound = ~failed(validation[column]) & apart
        assert line["scores"]["cells"] == sound.sum()
        assert 0.7 <= line["scores"]["coverage"] <= 1
    fitted = weights.arrays["fitted_rows"], weights.arrays["fitted_rows_test"]
    for rows, data in zip(fitted, (validation, test), strict=True):
        assert rows.dtype == np.int32
        assert rows.tolist() == np.unique(data.rows).tolist()
    with pytest.raises(UnknownTableError):
        fit_accuracy(tmp_path / "elsewhere")

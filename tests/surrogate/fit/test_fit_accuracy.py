"""Fitting accuracies: the mean of the largest, and a tiny fit of published records."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from naslib_ecnas.errors import UnknownTableError
from naslib_ecnas.space import Space
from naslib_ecnas.surrogate.features import features
from naslib_ecnas.surrogate.fit.accuracy import (
    BOTH,
    NAMES,
    RECORDS,
    TEST,
    VALIDATION,
    _joined,
    _test_less_validation,
    fit_accuracy,
    mean_of_largest,
    shrinkage,
)
from naslib_ecnas.surrogate.fit.reference import Measured, read_measured
from naslib_ecnas.surrogate.fit.student import held_out
from naslib_ecnas.surrogate.models import AccuracyModel, Weights

torch = pytest.importorskip("torch")
for _needed in ("pyarrow", "scipy", "sklearn"):
    pytest.importorskip(_needed)

LIMIT = 400
TINY = {"members": 1, "epochs": 2, "cells": 100, "student_epochs": 3, "limit": LIMIT}


@pytest.fixture(scope="module")
def folder(reference: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first of the published records, which are read in no time."""
    parquet = pytest.importorskip("pyarrow.parquet")
    made = tmp_path_factory.mktemp("records")
    for name in (VALIDATION, TEST, RECORDS, *BOTH):
        # The budgets of the repeats are in blocks of cells; every one has to be there.
        few = None if name in (RECORDS, BOTH[0]) else 1400
        parquet.write_table(parquet.read_table(reference / name).slice(0, few), made / name)
    return made


@pytest.fixture(scope="module")
def said() -> list[str]:
    return []


@pytest.fixture(scope="module")
def weights(folder: Path, said: list[str]) -> Weights:
    torch.set_num_threads(1)
    return fit_accuracy(folder, progress=said.append, **TINY)  # type: ignore[arg-type]


def synthetic(rows: list[int], **columns: list[float]) -> Measured:
    arrays = {name: np.array(values) for name, values in columns.items()}
    return Measured("synthetic", "none", np.array(rows), arrays)


# -- means of largest ----------------------------------------------------------------------------


def test_shrinkage_of_two_cells() -> None:
    """Largest .9 and .8, means .85 and .7: (.05 x .1 + .1 x .2) / (.1^2 + .2^2) = .5."""
    records = synthetic(
        [7, 7, 7, 3, 3, 3],
        final_validation_accuracy=[0.9, 0.8, 0.85, 0.6, 0.7, 0.8],
    )
    assert shrinkage(records) == pytest.approx(0.5)
    assert shrinkage(records.where(np.array([5, 0, 3, 2, 4, 1]))) == pytest.approx(0.5)
    same = synthetic([1, 1, 2], final_validation_accuracy=[0.9, 0.9, 0.5])
    assert shrinkage(same) == 0


def test_mean_of_largest_written_out() -> None:
    np.testing.assert_allclose(mean_of_largest(np.array([0.9, 0.5, 1.0]), 0.1), [0.89, 0.45, 1])
    np.testing.assert_array_equal(mean_of_largest(np.array([0.3]), 0), [0.3])


@given(st.lists(st.floats(0.1, 1), min_size=2, max_size=9), st.floats(0, 0.5))
def test_means_of_largest_are_no_larger_and_keep_the_order(values: list[float], k: float) -> None:
    largest = np.sort(values)
    mean = mean_of_largest(largest, k)
    assert (mean <= largest + 1e-12).all()
    assert (np.diff(mean) >= -1e-12).all()


def test_shrinkage_of_the_published_records_takes_the_excess_away(reference: Path) -> None:
    records = read_measured(reference / RECORDS)
    accuracy = records["final_validation_accuracy"]
    rows = np.unique(records.rows)
    mean = np.array([accuracy[records.rows == r].mean() for r in rows])
    largest = np.array([accuracy[records.rows == r].max() for r in rows])
    k = shrinkage(records)
    assert 0 < k < 0.2
    before = np.sum((largest - mean) ** 2)
    after = np.sum((mean_of_largest(largest, k) - mean) ** 2)
    assert after < 0.5 * before
    for other in (0.9 * k, 1.1 * k):
        assert np.sum((mean_of_largest(largest, other) - mean) ** 2) > after


# -- parts of the fit ----------------------------------------------------------------------------


def test_cells_of_either_file_have_a_line_each() -> None:
    validation = synthetic(
        [9, 4],
        val_acc_4_one_repeat=[0.1, 0.2],
        val_acc_12_one_repeat=[0.3, 0.4],
        val_acc_36_one_repeat=[0.5, 0.6],
        val_acc_108_max_of_repeats=[0.8, 0.9],
    )
    test = synthetic([4, 1], test_accuracy_108_mean=[0.88, 0.77])
    data = _joined(validation, test, 0.5)
    assert data.rows.tolist() == [1, 4, 9]
    missing = [np.nan] * 4
    np.testing.assert_allclose(
        data.accuracy,
        [[*missing, 0.77], [0.2, 0.4, 0.6, 0.85, 0.88], [0.1, 0.3, 0.5, 0.7, np.nan]],
    )


def test_test_less_validation_written_out() -> None:
    budgets = [4, 4, 12, 36, 108]
    several = synthetic(
        [1, 2, 3, 4, 5],
        budget_epochs=budgets,
        final_test_accuracy=[0.5, 0.6, 0.7, 0.8, 0.9],
        final_validation_accuracy=[0.52, 0.61, 0.7, 0.85, 0.91],
    )
    four_only = synthetic([1], final_test_accuracy=[0.4], final_validation_accuracy=[0.43])
    found = _test_less_validation([several, four_only])
    off = [-0.02, -0.01, -0.03]
    np.testing.assert_allclose(
        found, [[np.mean(off), np.std(off)], [0, 0], [-0.05, 0], [-0.01, 0]], atol=1e-12
    )


# -- a tiny fit ----------------------------------------------------------------------------------


def test_the_fit_ranks_cells(weights: Weights, folder: Path) -> None:
    from naslib_ecnas.quality import kendall_tau

    fresh = read_measured(folder / VALIDATION).where(slice(LIMIT, None))
    validation, std, test, test_std = AccuracyModel.from_weights(weights).predict(
        features(fresh.rows)
    )
    assert kendall_tau(fresh["val_acc_12_one_repeat"], validation[:, 1]) > 0.3
    assert kendall_tau(fresh["val_acc_108_max_of_repeats"], validation[:, 3]) > 0.3
    for values in (validation, std, test, test_std):
        assert values.shape == (1000, 4)
        assert ((values >= 0) & (values <= 1)).all()
    assert abs(np.median(validation[:, 3]) - np.median(fresh["val_acc_108_max_of_repeats"])) < 0.02


def test_the_header_says_what_was_fitted(weights: Weights, folder: Path) -> None:
    header = weights.header
    assert (header["target"], header["seed"]) == ("accuracy", 0)
    assert set(header["data"]) == {VALIDATION, TEST, RECORDS, *BOTH}
    validation, test = (read_measured(folder / name) for name in (VALIDATION, TEST))
    assert header["data"][VALIDATION] == validation.sha256
    assert "20%" in header["split"]
    assert header["shrinkage"] == shrinkage(read_measured(folder / RECORDS))
    assert tuple(header["quality"]) == NAMES
    apart = held_out(validation.rows[:LIMIT], 0.2, 0)
    for name in NAMES[:4]:
        assert header["quality"][name]["cells"] == apart.sum()
        assert 0.7 <= header["quality"][name]["coverage"] <= 1
        assert name in header["anchors"]
    fitted = weights.arrays["fitted_rows"], weights.arrays["fitted_rows_test"]
    for rows, data in zip(fitted, (validation, test), strict=True):
        assert rows.dtype == np.int32
        assert rows.tolist() == np.unique(data.rows[:LIMIT]).tolist()


def test_curves_rise(weights: Weights) -> None:
    score, accuracy, deviation = (weights.arrays[n] for n in ("score", "accuracy", "deviation"))
    assert score.shape == accuracy.shape == deviation.shape
    assert len(score) == 5
    assert (np.diff(score, axis=1) >= 0).all()
    assert (np.diff(accuracy, axis=1) >= 0).all()
    assert (deviation > 0).all()


def test_progress_is_told(weights: Weights, said: list[str]) -> None:
    assert said[0] == "accuracy: without a fifth of the cells"
    assert said.count("accuracy: distilling") == 2
    assert "accuracy: all cells" in said


def test_the_weights_survive_a_file(weights: Weights, tmp_path: Path) -> None:
    weights.save(tmp_path / "w.npz")
    x = features(Space().sample(np.random.default_rng(0), 300))
    one = AccuracyModel.from_weights(weights).predict(x)
    two = AccuracyModel.from_weights(Weights.load(tmp_path / "w.npz")).predict(x)
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_seed_alone_decides(weights: Weights, folder: Path) -> None:
    torch.manual_seed(9)
    state = torch.get_rng_state()
    again = fit_accuracy(folder, **TINY)  # type: ignore[arg-type]
    assert torch.equal(torch.get_rng_state(), state)
    assert again.header == weights.header
    for name, array in weights.arrays.items():
        np.testing.assert_array_equal(again.arrays[name], array, err_msg=name)


def test_without_the_files(tmp_path: Path) -> None:
    with pytest.raises(UnknownTableError):
        fit_accuracy(tmp_path)

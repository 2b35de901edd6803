"""Fitting training times: the sum on synthetic cells, and a tiny fit of published records."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from naslib_ecnas.errors import UnknownTableError
from naslib_ecnas.space import Space
from naslib_ecnas.surrogate.features import features
from naslib_ecnas.surrogate.fit.over_epochs import NASBENCH_FILE, _robust_relative_ridge, fit_time
from naslib_ecnas.surrogate.fit.reference import read_measured
from naslib_ecnas.surrogate.fit.student import held_out
from naslib_ecnas.surrogate.models import TimeModel, Weights

torch = pytest.importorskip("torch")
pytest.importorskip("pyarrow")

LIMIT = 400
TINY = {"members": 1, "epochs": 2, "cells": 100, "student_epochs": 3, "limit": LIMIT}


@pytest.fixture(scope="module")
def folder(reference: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first of the published records, which are read in no time."""
    parquet = pytest.importorskip("pyarrow.parquet")
    made = tmp_path_factory.mktemp("records")
    parquet.write_table(
        parquet.read_table(reference / NASBENCH_FILE).slice(0, 1400), made / NASBENCH_FILE
    )
    return made


@pytest.fixture(scope="module")
def said() -> list[str]:
    return []


@pytest.fixture(scope="module")
def weights(folder: Path, said: list[str]) -> Weights:
    torch.set_num_threads(1)
    return fit_time(folder, progress=said.append, **TINY)  # type: ignore[arg-type]


# -- the sum over layers -------------------------------------------------------------------------


def test_a_sum_with_outliers_comes_back() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(1, 10, (500, 3))
    seconds = 50 + x @ [3.0, 0.0, 20.0]
    disturbed = seconds.copy()
    disturbed[::25] *= 4  # runs that waited for something
    slopes, intercept = _robust_relative_ridge(x, disturbed)
    np.testing.assert_allclose(x @ slopes + intercept, seconds, rtol=0.002)


def test_relative_errors_count() -> None:
    """Of two groups with one answer each, the ridge errs by the same share on both."""
    x = np.zeros((40, 1))
    seconds = np.repeat([100.0, 110.0], 20)
    _, intercept = _robust_relative_ridge(x, seconds)
    assert 100 < intercept < 105  # the mean by 1 / t^2 is 104.5, that by t is 105


def test_equal_columns_share_the_slope() -> None:
    x = np.random.default_rng(0).uniform(1, 2, (100, 1)) @ np.ones((1, 2))
    slopes, intercept = _robust_relative_ridge(np.c_[x, np.full(100, 7.0)], 10 + 4 * x[:, 0])
    np.testing.assert_allclose(slopes[:2], 2, rtol=0.01)
    assert np.isfinite(slopes).all()
    assert np.isfinite(intercept)


# -- a tiny fit ----------------------------------------------------------------------------------


def test_the_fit_foretells_times(weights: Weights, folder: Path) -> None:
    model = TimeModel.from_weights(weights)
    data = read_measured(folder / NASBENCH_FILE)
    fresh = data.where(slice(LIMIT, None))
    mean, std = model.predict(features(fresh.rows))
    off = np.abs(np.log(fresh["training_time_108_s"] / mean))
    assert np.median(off) < 0.1
    assert (std > 0).all()
    assert 0.01 < model.error < 0.5
    assert model.floor == 0.5 * data["training_time_108_s"][:LIMIT].min()


def test_the_header_says_what_was_fitted(weights: Weights, folder: Path) -> None:
    data = read_measured(folder / NASBENCH_FILE)
    header = weights.header
    assert header["target"] == "training time"
    assert header["seed"] == 0
    assert header["data"] == {NASBENCH_FILE: data.sha256}
    assert "20%" in header["split"]
    (known,) = header["quality"].values()
    assert known["cells"] == held_out(data.rows[:LIMIT], 0.2, 0).sum()
    assert known["unit"] == "s"
    assert 0.7 <= known["coverage"] <= 1
    assert known["tau"] > 0.7
    assert header["anchors"].keys() == header["quality"].keys()
    assert weights.arrays["fitted_rows"].tolist() == sorted(data.rows[:LIMIT].tolist())


def test_progress_is_told(weights: Weights, said: list[str]) -> None:
    assert said[0] == "time: without a fifth of the cells"
    assert said.count("time: graph network 1 of 1") == 2
    assert "time: all cells" in said


def test_the_weights_survive_a_file(weights: Weights, tmp_path: Path) -> None:
    weights.save(tmp_path / "w.npz")
    x = features(Space().sample(np.random.default_rng(0), 300))
    one = TimeModel.from_weights(weights).predict(x)
    two = TimeModel.from_weights(Weights.load(tmp_path / "w.npz")).predict(x)
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)


def test_time_grows_with_the_epochs(weights: Weights) -> None:
    mean, _ = TimeModel.from_weights(weights).predict(features(np.arange(300)))
    found = TimeModel.at(mean, (4, 12, 36, 108))
    assert (found > 0).all()
    assert (np.diff(found, axis=1) > 0).all()
    np.testing.assert_array_equal(found[:, 3], mean)


def test_the_seed_alone_decides(weights: Weights, folder: Path) -> None:
    torch.manual_seed(9)
    state = torch.get_rng_state()
    again = fit_time(folder, **TINY)  # type: ignore[arg-type]
    assert torch.equal(torch.get_rng_state(), state)
    assert again.header == weights.header
    for name, array in weights.arrays.items():
        np.testing.assert_array_equal(again.arrays[name], array, err_msg=name)


def test_without_the_file(tmp_path: Path) -> None:
    with pytest.raises(UnknownTableError):
        fit_time(tmp_path)

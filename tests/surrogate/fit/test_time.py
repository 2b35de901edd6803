"""Fitting training times: the sum on synthetic cells, and a tiny fit of published records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet
import pytest

from naslib_ecnas.errors import UnknownTableError
from naslib_ecnas.space import Space
from naslib_ecnas.surrogate.features import FEATURES, features
from naslib_ecnas.surrogate.fit import time as module
from naslib_ecnas.surrogate.fit.reference import Files, read_measured
from naslib_ecnas.surrogate.fit.student import held_out
from naslib_ecnas.surrogate.fit.time import _robust_relative_ridge, fit_start, fit_time
from naslib_ecnas.surrogate.models import BUDGETS, TimeModel

LIMIT = 200
TINY: dict[str, Any] = {"members": 1, "epochs": 2, "cells": 100, "student_epochs": 2, "folds": 2}


def test_the_ridge_minimises_relative_errors_in_spite_of_outliers() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(1, 10, (500, 3))
    seconds = 50 + x @ [3.0, 0.0, 20.0]
    disturbed = seconds.copy()
    disturbed[::25] *= 4  # delayed runs
    slopes, intercept = _robust_relative_ridge(x, disturbed)
    np.testing.assert_allclose(x @ slopes + intercept, seconds, rtol=0.002)
    # Of two groups with one answer each, the error is the same share of both.
    _, intercept = _robust_relative_ridge(np.zeros((40, 1)), np.repeat([100.0, 110.0], 20))
    assert 100 < intercept < 105  # the mean by 1 / t^2 is 104.5, that by t is 105
    # Equal columns share the slope, and constant ones do no harm.
    x = rng.uniform(1, 2, (100, 1)) @ np.ones((1, 2))
    slopes, intercept = _robust_relative_ridge(np.c_[x, np.full(100, 7.0)], 10 + 4 * x[:, 0])
    np.testing.assert_allclose(slopes[:2], 2, rtol=0.01)
    assert np.isfinite([*slopes, intercept]).all()


def test_a_start_up_is_found_in_spite_of_outliers() -> None:
    rng = np.random.default_rng(0)
    x = features(Space(5).sample(rng, 300))
    names = [feature.name for feature in FEATURES]
    counts = x[:, [names.index(name) for name in ("conv3x3", "edges", "maxpool3x3")]]
    start = 3 + counts @ [2.0, 1.0, -0.5]
    epoch = rng.uniform(4, 30, (300, 1))
    seconds = start[:, None] + epoch * BUDGETS
    seconds *= np.exp(rng.normal(0, 0.002, seconds.shape))
    seconds[::20, 0] *= 3  # delayed runs
    seconds[1::10, 1], seconds[5::10, 3] = np.nan, np.nan
    found = fit_start(x, seconds)
    np.testing.assert_allclose(found(x), start, atol=0.3)


def test_a_tiny_fit_of_published_records(
    torch: object,
    reference: Path,
    tmp_path: Path,
    reports: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in (Files.VALIDATION, Files.TIMES):
        records = parquet.read_table(reference / name).slice(0, LIMIT)
        parquet.write_table(records, tmp_path / name)
    for name, few in (("_LARGER", 100), ("_SMALL_COUNT", 1), ("_STEPS", 10)):
        monkeypatch.setattr(module, name, few)
    weights = fit_time(tmp_path, progress=reports, **TINY)
    # Twice a network and a student, two folds of small cells, and all of them.
    assert reports == [(done, 7) for done in range(8)]
    data, times = (read_measured(tmp_path / name) for name in (Files.VALIDATION, Files.TIMES))
    fresh = read_measured(reference / Files.VALIDATION).where(slice(LIMIT, LIMIT + 600))
    model = TimeModel.from_arrays(weights.arrays)
    mean, std = model.predict(features(fresh.rows))
    assert np.median(np.abs(np.log(fresh["training_time_108_s"] / mean[:, 3]))) < 0.1
    assert (std > 0).all()
    assert model.error.shape == (3, 4)
    assert ((model.error > 0.005) & (model.error < 1)).all()
    assert model.layers_s.floor == 0.5 * data["training_time_108_s"].min()
    header = weights.header
    assert (header["target"], header["seed"]) == ("training time", 0)
    assert header["data"] == {Files.VALIDATION: data.sha256, Files.TIMES: times.sha256}
    assert "20%" in header["split"]
    line, *small = header["quality"]
    assert [each["target"].split()[3] for each in small] == ["4", "12", "36", "108"]
    assert sum(each["scores"]["cells"] for each in small) == LIMIT
    assert line["scores"]["cells"] == held_out(data.rows, 0).sum()
    assert line["unit"] == "s"
    assert 0.7 <= line["scores"]["coverage"] <= 1
    assert line["scores"]["tau"] > 0.7
    assert line["anchor"]
    fitted = np.union1d(data.rows, times.rows)
    assert weights.arrays["fitted_rows"].tolist() == fitted.tolist()
    with pytest.raises(UnknownTableError):
        fit_time(tmp_path / "elsewhere")

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
from naslib_ecnas.surrogate.fit.common import held_out
from naslib_ecnas.surrogate.fit.reference import Files, read_measured
from naslib_ecnas.surrogate.fit.time import fit_start, fit_time
from naslib_ecnas.surrogate.models import BUDGETS, TimeModel

LIMIT = 200
TINY: dict[str, Any] = {"members": 1, "epochs": 2, "cells": 100, "student_epochs": 2, "folds": 2}


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
    weights = fit_time(tmp_path, **TINY)
    # Twice a network and a student, two folds of small cells, and all of them.
    assert reports == [(done, 7) for done in range(8)]
    data, times = (read_measured(tmp_path / name) for name in (Files.VALIDATION, Files.TIMES))
    fresh = read_measured(reference / Files.VALIDATION).where(slice(LIMIT, LIMIT + 600))
    model = TimeModel.from_arrays(weights.arrays)
    mean, _ = model.predict(features(fresh.rows))
    assert np.median(np.abs(np.log(fresh["training_time_108_s"] / mean[:, 3]))) < 0.1
    assert ((model.error > 0.005) & (model.error < 1)).all()
    assert model.layers_s.floor == 0.5 * data["training_time_108_s"].min()
    header = weights.header
    assert header["data"] == {Files.VALIDATION: data.sha256, Files.TIMES: times.sha256}
    line, *small = header["quality"]
    assert [each["target"].split()[3] for each in small] == ["4", "12", "36", "108"]
    assert sum(each["scores"]["cells"] for each in small) == LIMIT
    assert line["scores"]["cells"] == held_out(data.rows, 0).sum()
    assert 0.7 <= line["scores"]["coverage"] <= 1
    assert line["scores"]["tau"] > 0.7
    fitted = np.union1d(data.rows, times.rows)
    assert weights.arrays["fitted_rows"].tolist() == fitted.tolist()
    with pytest.raises(UnknownTableError):
        fit_time(tmp_path / "elsewhere")

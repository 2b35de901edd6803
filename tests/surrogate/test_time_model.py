"""Training time: a sum times a bounded correction, by hand-made weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from naslib_ecnas.quality import bounds
from naslib_ecnas.space import Space
from naslib_ecnas.surrogate.features import features
from naslib_ecnas.surrogate.models import EPOCHS, Perceptron, TimeModel, Weights, shipped

LIMIT, ERROR = 0.5, 0.02


def synthetic_weights() -> Weights:
    """Seconds of 100 + 2 a + 3 b but 50 at least, times exp(c), of inputs a, b and c."""
    layer = (np.array([[0], [0], [1]], dtype=np.float32), np.zeros(1, dtype=np.float32))
    zero = np.zeros(3, dtype=np.float32)
    correction = Perceptron(zero, zero + 1, (layer,), clip=1000.0)
    arrays = {
        "coefficients": np.array([2.0, 3.0]),
        "scalars": np.array([100.0, 50.0, LIMIT, ERROR]),
        **correction.to_arrays("correction"),
    }
    return Weights({"target": "training time"}, arrays)


@pytest.fixture
def model() -> TimeModel:
    return TimeModel.from_weights(synthetic_weights())


def test_a_sum_that_is_never_below_the_floor(model: TimeModel) -> None:
    x = np.array([[1.0, 2, 9], [0, 0, 9], [-10, -10, 9], [-1000, 0, 9]])
    np.testing.assert_allclose(model.linear_s(x), [108, 100, 50, 50])


def test_the_correction_is_believed_within_its_limit(model: TimeModel) -> None:
    c = np.array([0, 0.3, -0.3, 0.5, 0.7, -8.0])
    x = np.column_stack([np.ones(6), np.full(6, 2.0), c])
    mean, std = model.predict(x)
    np.testing.assert_allclose(mean, 108 * np.exp(np.clip(c, -0.5, 0.5)), rtol=1e-6)
    np.testing.assert_allclose(std, ERROR * mean, rtol=1e-12)
    assert mean.dtype == std.dtype == np.float64


def test_the_interval_is_that_of_the_documentation(model: TimeModel) -> None:
    mean, std = model.predict(np.array([[1.0, 2, 0]]))
    wanted = [[108 * np.exp(-1.645 * ERROR), 108 * np.exp(1.645 * ERROR)]]
    np.testing.assert_allclose(bounds("training_time_s", mean, std), wanted)


def test_other_budgets_are_in_proportion() -> None:
    assert EPOCHS == 108
    found = TimeModel.at(np.array([108.0, 54.0]), (4, 12, 36, 108, 216))
    np.testing.assert_allclose(found, [[4, 12, 36, 108, 216], [2, 6, 18, 54, 108]])
    assert TimeModel.at(np.empty(0), (4,)).shape == (0, 1)


def test_no_cells(model: TimeModel) -> None:
    assert [part.shape for part in model.predict(np.empty((0, 3)))] == [(0,)] * 2


def test_through_a_file(tmp_path: Path, model: TimeModel) -> None:
    synthetic_weights().save(tmp_path / "w.npz")
    again = TimeModel.from_weights(Weights.load(tmp_path / "w.npz"))
    x = np.random.default_rng(0).normal(size=(20, 3))
    for a, b in zip(model.predict(x), again.predict(x), strict=True):
        np.testing.assert_array_equal(a, b)
    assert (again.limit, again.error, again.floor, again.intercept) == (LIMIT, ERROR, 50, 100)


@pytest.mark.parametrize("missing", ["coefficients", "scalars", "correction_shift"])
def test_weights_of_another_target(missing: str) -> None:
    arrays = dict(synthetic_weights().arrays)
    del arrays[missing]
    with pytest.raises(KeyError):
        TimeModel.from_weights(Weights({}, arrays))


def test_the_shipped_model_answers_within_what_was_published() -> None:
    """NAS-Bench-101's trainings of 108 epochs took some 300 to 6,000 s."""
    rows = Space().sample(np.random.default_rng(0), 2000)
    x = features(rows)
    model = TimeModel.from_weights(Weights.load(shipped("time")))
    mean, std = model.predict(x)
    assert ((mean > 200) & (mean < 8000)).all()
    assert ((std / mean > 0.001) & (std / mean < 0.2)).all()
    off = np.abs(np.log(mean / model.linear_s(x)))
    assert off.max() <= model.limit + 1e-12
    assert np.median(off) < 0.2


def test_the_shipped_model_has_the_times_of_published_records(reference: Path) -> None:
    pytest.importorskip("pyarrow")
    from naslib_ecnas.surrogate.fit.reference import read_measured

    data = read_measured(reference / "nasbench101_full_records_52cells.parquet")
    mean, _ = TimeModel.from_weights(Weights.load(shipped("time"))).predict(features(data.rows))
    off = np.abs(np.log(data["final_training_time"] / mean))
    assert np.median(off) < 0.02

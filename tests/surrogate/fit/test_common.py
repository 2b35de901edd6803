"""What the fits share: distilling, boosted trees, parts of the data and their quality."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from naslib_ecnas.cell import Cell
from naslib_ecnas.errors import MissingDependencyError
from naslib_ecnas.space import Space
from naslib_ecnas.surrogate.features import vertices_of
from naslib_ecnas.surrogate.fit.common import (
    Plan,
    distil,
    fit_boosting,
    held_out,
    out_of_fold,
    quality,
)

TOTAL = len(Space(7))

# -- distilling ----------------------------------------------------------------------------------


def synthetic(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(seed).normal(5, [1, 100, 0.01], (n, 3))
    z = (x - 5) / [1, 100, 0.01]
    return x, np.stack([1000 + 30 * np.tanh(z[:, 0] - z[:, 1]), 0.01 * np.abs(z[:, 2])], axis=1)


@pytest.mark.usefixtures("torch")
def test_both_outputs_are_learnt_in_their_units() -> None:
    x, y = synthetic(2000)
    before = np.c_[x, y]
    student = distil(x, y, (32, 16), Plan(20, batch=128, rate=1e-2))
    assert (np.c_[x, y] == before).all()
    fresh, true = synthetic(1000, 1)
    off = student(fresh) - true
    assert (off.std(axis=0) < 0.2 * true.std(axis=0)).all()
    assert [w.shape for w, _ in student.layers] == [(3, 32), (32, 16), (16, 2)]
    assert all(w.dtype == b.dtype == np.float32 for w, b in student.layers)


def test_the_seed_decides_and_the_global_generator_does_not(torch: Any) -> None:
    x, y = synthetic(200)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    one = distil(x, y[:, 0], (8,), Plan(2), seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    same, other = (distil(x, y[:, 0], (8,), Plan(2), seed=seed) for seed in (3, 4))
    np.testing.assert_array_equal(one(x), same(x))
    assert (one(x) != other(x)).any()


@pytest.mark.usefixtures("torch")
def test_constant_inputs_and_missing_outputs() -> None:
    x = np.c_[np.full(100, 7.0), np.arange(100.0)]
    found = distil(x, np.full(100, 3.0), (4,), Plan(2))(x)
    np.testing.assert_allclose(found, 3, atol=1e-5)
    # One output is known for a tenth of the cells, where it equals the other one.
    x = np.random.default_rng(0).normal(size=(2000, 2))
    y = np.stack([np.abs(x[:, 0]), np.abs(x[:, 0])], axis=1)
    y[np.arange(2000) % 10 > 0, 1] = np.nan
    student = distil(x, y, (16,), Plan(20, batch=100, rate=1e-2))
    off = student(x) - np.abs(x[:, :1])
    assert np.isfinite(off).all()
    assert (off.std(axis=0) < 0.2).all()
    assert (np.abs(off.mean(axis=0)) < 0.1).all()


# -- boosted trees -------------------------------------------------------------------------------


def steps(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(seed).normal(size=(n, 4))
    return x, 0.2 * np.sign(x[:, 0]) + 0.1 * x[:, 1]


@pytest.mark.usefixtures("lightgbm")
def test_trees_find_a_step_in_spite_of_outliers() -> None:
    x, y = steps(600, 0)
    wild = y.copy()
    wild[::40] += 3
    unseen, exact = steps(300, 1)
    found = fit_boosting(x, wild, trees=500, rate=0.06).predict(unseen)
    assert np.mean(np.abs(found - exact)) < 0.05
    one, same, other = (fit_boosting(x, y, trees=20, seed=s).predict(x) for s in (0, 0, 1))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_errors_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("lightgbm", "torch"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError, match=r"lightgbm.*\[fit\]"):
        fit_boosting(*steps(20, 3), trees=1)
    with pytest.raises(MissingDependencyError, match=r"torch.*\[fit\]"):
        distil(*synthetic(20), (4,), Plan(1))


# -- parts and quality of the data ---------------------------------------------------------------


def test_held_out_cells() -> None:
    rows = np.random.default_rng(0).integers(0, 400, 3000)
    out = held_out(rows, 5)
    assert (out.dtype, held_out(np.arange(TOTAL), 0).mean()) == (
        bool,
        pytest.approx(0.2, abs=0.005),
    )
    assert not np.intersect1d(rows[out], rows[~out]).size
    # The part of a cell does not depend on what else is measured.
    np.testing.assert_array_equal(held_out(rows[::-1][:100], 5), out[::-1][:100])
    assert (held_out(rows, 6) != out).any()


def test_predictions_out_of_folds_keep_the_order() -> None:
    fold, value = np.array([2, 0, 2, 5, 0]), np.arange(5.0)

    def predicted(there: np.ndarray) -> np.ndarray:
        others = np.full(there.sum(), value[~there].sum())
        return np.column_stack([value[there], others])

    found = out_of_fold(fold, predicted)
    assert found.tolist() == [[0, 8], [1, 5], [2, 8], [3, 7], [4, 5]]


def test_quality_by_vertices() -> None:
    rows = np.concatenate([np.arange(3, 15), np.arange(2532, 2552), [0]])
    count = vertices_of(rows)
    assert count.tolist() == [Cell.from_row(int(row)).vertices for row in rows]
    true = np.linspace(1, 2, len(rows))
    predicted = np.where(count == 6, 1.1, 0.9) * true
    arrays = ("training_time_s", true, predicted, 0.1 * predicted)
    found = quality("time", rows, *arrays, unit="s", about="made up")
    assert (found.target, found.unit, found.about) == ("time", "s", "made up")
    assert found.scores["cells"] == len(rows)
    assert found.scores["mape"] == pytest.approx(10, abs=1e-4)
    assert found.scores["mae"] == pytest.approx(0.1 * true.mean(), abs=1e-5)
    # Errors of log(1.1) and -log(.9) are 1 standard deviation; 50 % are within .59 of it.
    assert [found.scores[f"coverage{end}"] for end in ("_50", "", "_99")] == [0, 1, 1]
    # Fewer than ten cells are no statistic.
    assert set(found.by_vertices) == {"6"}
    assert found.by_vertices["6"]["bias"] == pytest.approx(1.1)
    assert found.by_vertices["6"]["cells"] == 20
    assert not found.by_rank
    rows = np.arange(2600, 3600)
    true = np.linspace(0.5, 0.9, len(rows))
    accuracy = quality("", rows, "test_accuracy", true, true, true, unit="", about="")
    assert [part["cells"] for part in accuracy.by_rank.values()] == [10, 50, 10]

"""Boosted trees on a synthetic function."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from naslib_ecnas.errors import MissingDependencyError
from naslib_ecnas.surrogate.fit.student import fit_boosting


def synthetic(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(seed).normal(size=(n, 4))
    return x, 0.2 * np.sign(x[:, 0]) + 0.1 * x[:, 1]


def test_a_step_is_found_in_spite_of_outliers() -> None:
    pytest.importorskip("lightgbm")
    x, y = synthetic(600, 0)
    wild = y.copy()
    wild[::40] += 3
    unseen, exact = synthetic(300, 1)
    found = fit_boosting(x, wild, seeds=2, trees=1000).predict(unseen)
    assert np.mean(np.abs(found - exact)) < 0.05


def test_equal_seeds_give_equal_trees() -> None:
    pytest.importorskip("lightgbm")
    x, y = synthetic(200, 2)
    one, same, other = (fit_boosting(x, y, seeds=1, trees=20, seed=s).predict(x) for s in (0, 0, 1))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_without_lightgbm_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(MissingDependencyError, match="fit"):
        fit_boosting(*synthetic(20, 3))

"""Scores of predictions: closed forms, and tau against counting pairs."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naslib_ecnas.errors import ConfigError
from naslib_ecnas.quality import Scores, kendall_tau, scores

VECTORS = st.integers(1, 40).flatmap(
    lambda n: st.tuples(*[st.lists(st.integers(-4, 4), min_size=n, max_size=n)] * 2)
)


def counted_tau(a: list[int], b: list[int]) -> float:
    """Tau-b by looking at every pair."""
    pairs = [(i, j) for i in range(len(a)) for j in range(i)]
    signs = [(np.sign(a[i] - a[j]), np.sign(b[i] - b[j])) for i, j in pairs]
    product = math.prod(sum(s[k] != 0 for s in signs) for k in (0, 1))
    return sum(x * y for x, y in signs) / math.sqrt(product) if product else math.nan


@settings(max_examples=200, deadline=None)
@given(VECTORS)
def test_tau_equals_counting(vectors: tuple[list[int], list[int]]) -> None:
    np.testing.assert_allclose(kendall_tau(*vectors), counted_tau(*vectors), atol=1e-12)


def test_tau_of_many_equals_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    a = rng.normal(size=5000).round(2)
    b = (a + rng.normal(size=5000)).round(1)
    assert kendall_tau(a, b) == pytest.approx(stats.kendalltau(a, b)[0], abs=1e-12)
    assert kendall_tau(a, a) == 1
    assert kendall_tau(a, -a) == -1


@pytest.mark.parametrize("n", [0, 1, 3])
def test_tau_of_a_constant_is_nan(n: int) -> None:
    assert math.isnan(kendall_tau(np.ones(n), np.arange(n)))


def test_scores_written_out() -> None:
    found = scores([1, 2, 4], [2, 2, 3], lower=[0, 2, 3.5], upper=[0.5, 2, 4])
    assert found.cells == 3
    assert found.mae == pytest.approx(2 / 3)
    assert found.mape == pytest.approx(100 * (1 + 0 + 0.25) / 3)
    assert found.r2 == pytest.approx(1 - 2 / (14 / 3))
    assert found.tau == pytest.approx(2 / math.sqrt(3 * 2))
    assert found.bias == 1
    assert found.coverage == pytest.approx(2 / 3)  # ends count
    assert scores([1, 2], [1, 2]).coverage is None


@pytest.mark.parametrize(
    ("true", "predicted", "said"),
    [
        ([], [], "no values to compare"),
        ([1, 2], [1], "not paired"),
        ([[1, 2]], [[1, 2]], "not paired"),
        (1, 1, "not paired"),
    ],
)
def test_what_cannot_be_compared_is_refused(true: Any, predicted: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        scores(true, predicted)


def test_json_has_numbers_only() -> None:
    odd = scores([0, 0], [1, 1])
    assert math.isinf(odd.mape)
    assert math.isnan(odd.r2)
    text = json.dumps(odd.to_json(), allow_nan=False)
    assert json.loads(text) == {"cells": 2, "mae": 1.0}
    again = Scores.from_json(json.loads(text))
    assert again.mae == 1
    assert math.isnan(again.tau)
    assert again.coverage is None


def test_json_comes_back() -> None:
    found = scores([1, 2, 4], [2, 2, 3], lower=[0, 2, 3.5], upper=[0.5, 2, 4])
    again = Scores.from_json(found.to_json())
    assert again.mae == pytest.approx(found.mae, abs=1e-6)
    assert again.coverage == pytest.approx(found.coverage, abs=1e-6)

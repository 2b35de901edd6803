"""Weights and scalarised costs by hand."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naslib_ecnas.errors import ConfigError
from naslib_ecnas.search.operators import Normaliser, chebyshev, random_weights, weighted_sum


def test_by_hand() -> None:
    costs = [[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]]
    assert weighted_sum(costs, [0.25, 0.75]).tolist() == [0.75, 0.5, 0.25]
    # max of the weighted costs + 0.05 times their sum (Knowles 2006)
    np.testing.assert_allclose(chebyshev(costs, [0.25, 0.75]), [0.7875, 0.4, 0.2625])
    np.testing.assert_allclose(chebyshev(costs, [[1, 0], [0, 1], [1, 0]]), [0, 0.525, 1.05])


@pytest.mark.parametrize(("m", "vectors"), [(2, 11), (3, 66)])
def test_weights_are_uniform_over_the_lattice(m: int, vectors: int) -> None:
    n = 200 * vectors
    weights = random_weights(np.random.default_rng(0), m, n)
    assert weights.shape == (n, m)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    counts = Counter(map(tuple, np.rint(weights * 10).astype(int).tolist()))
    assert len(counts) == vectors
    statistic = sum((c - 200) ** 2 / 200 for c in counts.values())
    assert statistic < vectors + 5 * np.sqrt(2 * vectors)


@given(st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_every_point_of_a_front_is_the_best_for_some_weights(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = np.sort(rng.random(8)) + 0.01 * np.arange(1, 9)
    front = np.column_stack([x, 1.2 / (1 + 5 * x) ** 2 + 0.01 * np.arange(8)[::-1]])
    for i, point in enumerate(front):
        weights = (1 / point) / (1 / point).sum()
        plain = (front * weights).max(axis=1)  # without the augmentation it is exact
        assert plain[i] == plain.min()


def test_the_scale_is_what_was_seen() -> None:
    scale = Normaliser()
    with pytest.raises(ConfigError, match="no scale"):
        scale(np.zeros((1, 2)))
    scale.see(np.array([[1.0, 5.0], [3.0, 5.0], [np.nan, 99.0]]))
    assert scale(np.array([[2.0, 5.0], [3.0, 6.0]])).tolist() == [[0.5, 0.0], [1.0, 1.0]]
    scale.see(np.array([[5.0, 7.0]]))
    assert scale(np.array([[2.0, 6.0]])).tolist() == [[0.25, 0.5]]
    scale.see(np.full((2, 2), np.nan))
    assert scale(np.array([[1.0, 5.0]])).tolist() == [[0.0, 0.0]]

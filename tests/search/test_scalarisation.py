"""Several objectives as one number."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from naslib_ecnas.search.scalarisation import Scalarisation, chebyshev, random_weights, weighted_sum


def test_scalarised_costs_by_hand() -> None:
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


def test_the_scale_is_what_was_seen() -> None:
    score, each = Scalarisation("sum"), np.eye(2)

    def scaled(*costs: float) -> list[float]:
        return score(np.array([costs, costs]), each).tolist()

    score.see(np.array([[1.0, 5.0], [3.0, 5.0], [np.nan, 99.0]]))
    assert scaled(2.0, 5.0) == [0.5, 0.0]
    assert scaled(3.0, 6.0) == [1.0, 1.0]
    score.see(np.array([[5.0, 7.0]]))
    assert scaled(2.0, 6.0) == [0.25, 0.5]
    score.see(np.full((2, 2), np.nan))
    assert scaled(1.0, 5.0) == [0.0, 0.0]

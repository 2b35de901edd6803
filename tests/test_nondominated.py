"""Nondominated points against a brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from naslib_ecnas.errors import ConfigError
from naslib_ecnas.nondominated import _is_nondominated, candidates, complete, nondominated

# Few levels, so that ties and equal points are common.
POINTS = st.integers(2, 4).flatmap(
    lambda m: st.integers(0, 25).flatmap(
        lambda n: arrays(
            np.float64, (n, m), elements=st.sampled_from([0.0, 1.0, 2.0, 3.0, float("nan")])
        )
    )
)


def brute_force(costs: np.ndarray) -> np.ndarray:
    out = np.zeros(len(costs), dtype=bool)
    for i, a in enumerate(costs):
        if np.isnan(a).any():
            continue
        beaten = any((b <= a).all() and (b < a).any() for b in costs)
        earlier = any((b == a).all() for b in costs[:i])
        out[i] = not beaten and not earlier
    return out


@given(POINTS)
@settings(max_examples=150, deadline=None)
def test_equals_brute_force(costs: np.ndarray) -> None:
    before = costs.copy()
    assert (nondominated(costs) == brute_force(costs)).all()
    np.testing.assert_array_equal(costs, before)


@pytest.mark.parametrize("objectives", [2, 3])
@pytest.mark.parametrize("levels", [60, 10**9])
def test_large_sets_lose_nothing_to_the_prefilter(objectives: int, levels: int) -> None:
    rng = np.random.default_rng(objectives)
    costs = rng.integers(0, levels, (30_000, objectives)).astype(float)
    costs[rng.random(costs.shape) < 0.01] = np.nan
    quick = nondominated(costs)
    slow = np.zeros(len(costs), dtype=bool)
    known = np.flatnonzero(complete(costs))
    slow[known] = _is_nondominated(costs[known])
    assert (quick == slow).all()
    assert len(candidates(costs)) < len(costs) / 2
    for p in costs[quick]:
        assert not ((costs[known] <= p).all(axis=1) & (costs[known] < p).any(axis=1)).any()


def test_large_sets_with_a_front_of_most_points_keep_it_all() -> None:
    """No pivot dominates many: x + y = 20,000, and a tenth of the points one to the right."""
    x = np.arange(20_000.0)
    beaten = x % 10 == 0
    costs = np.column_stack([x + beaten, 20_000 - x])
    assert (nondominated(costs) == ~beaten).all()


def test_special_points() -> None:
    # The first of equal points is kept; a point with a NaN is neither kept nor dominates.
    assert nondominated([[1, 1], [0, 2], [1, 1], [0, 2]]).tolist() == [True, True, False, False]
    assert nondominated([[np.nan, 0], [1, 1], [0, np.nan]]).tolist() == [False, True, False]
    assert not nondominated([[np.nan, np.nan]]).any()
    assert nondominated(np.empty((0, 2))).shape == (0,)
    with pytest.raises(ConfigError, match="at least two objectives"):
        nondominated([[1.0], [2.0]])

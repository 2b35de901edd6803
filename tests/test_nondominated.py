"""Nondominated points against a brute force."""

from __future__ import annotations

import doctest
import importlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from naslib_ecnas.analysis import nondominated
from naslib_ecnas.errors import ConfigError

module = importlib.import_module("naslib_ecnas.nondominated")

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
def test_large_sets_lose_nothing_to_the_prefilter(
    objectives: int, levels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(objectives)
    costs = rng.integers(0, levels, (30_000, objectives)).astype(float)
    costs[rng.random(costs.shape) < 0.01] = np.nan
    quick = nondominated(costs)
    monkeypatch.setattr(module, "_FEW", len(costs))
    assert (quick == nondominated(costs)).all()
    front = costs[quick]
    known = costs[~np.isnan(costs).any(axis=1)]
    assert not any(((known <= p).all(axis=1) & (known < p).any(axis=1)).any() for p in front)


def test_large_sets_with_a_front_of_most_points_keep_it_all() -> None:
    """No point is worth comparing with: x + y = 20,000, and a tenth of them one to the right."""
    x = np.arange(20_000.0)
    beaten = x % 10 == 0
    costs = np.column_stack([x + beaten, 20_000 - x])
    assert (nondominated(costs) == ~beaten).all()


def test_the_first_of_equal_points_is_kept() -> None:
    assert nondominated([[1, 1], [0, 2], [1, 1], [0, 2]]).tolist() == [True, True, False, False]


def test_what_is_not_known_neither_stays_nor_dominates() -> None:
    assert nondominated([[np.nan, 0], [1, 1], [0, np.nan]]).tolist() == [False, True, False]
    assert not nondominated([[np.nan, np.nan]]).any()


def test_no_points() -> None:
    assert nondominated(np.empty((0, 2))).shape == (0,)


@pytest.mark.parametrize("costs", [[1.0, 2.0], [[1.0], [2.0]], 3.0])
def test_wrong_shapes_are_refused(costs: object) -> None:
    with pytest.raises(ConfigError, match="at least two objectives"):
        nondominated(costs)  # type: ignore[arg-type]


def test_examples() -> None:
    assert doctest.testmod(module).failed == 0

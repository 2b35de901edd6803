"""Fronts, ranks and survivors against brute force."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from naslib_ecnas.analysis import hypervolume
from naslib_ecnas.search.operators import front_ranks, order, survivors

points = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=14).map(
    lambda p: np.array(p, dtype=float)
)


def dominates(a: np.ndarray, b: np.ndarray) -> bool:
    return bool((a <= b).all() and (a < b).any())


@given(points)
@settings(max_examples=80, deadline=None)
def test_fronts_are_peeled_one_by_one(costs: np.ndarray) -> None:
    wanted = np.full(len(costs), -1)
    left, number = set(range(len(costs))), 0
    while left:
        front = {i for i in left if not any(dominates(costs[j], costs[i]) for j in left)}
        wanted[list(front)] = number
        left, number = left - front, number + 1
    assert front_ranks(costs).tolist() == wanted.tolist()


@given(points, st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_survivors_keep_the_first_fronts_and_every_extreme(costs: np.ndarray, n: int) -> None:
    kept = survivors(costs, n)
    assert len(kept) == min(n, len(costs))
    assert (np.diff(kept) > 0).all()
    rank = front_ranks(costs)
    gone = np.setdiff1d(np.arange(len(costs)), kept)
    if len(gone):
        assert rank[kept].max() <= rank[gone].min()
    if n >= 3:
        assert (costs[kept].min(axis=0) == costs.min(axis=0)).all()


def test_the_least_contribution_goes_first() -> None:
    costs = np.array([[0.0, 10.0], [1.0, 5.0], [2.0, 4.5], [6.0, 1.0], [10.0, 0.0], [9.0, 9.0]])
    reference = [11.0, 11.0]  # a tenth of the range beyond the worst
    assert survivors(costs, 5).tolist() == [0, 1, 2, 3, 4]  # the dominated one
    inner = costs[:5]
    whole = hypervolume(inner, reference)
    losses = [whole - hypervolume(np.delete(inner, i, axis=0), reference) for i in range(5)]
    least = min((1, 2, 3), key=lambda i: losses[i])
    assert survivors(costs, 4).tolist() == [i for i in range(5) if i != least]


def test_order_is_by_front_then_contribution() -> None:
    costs = np.array([[9.0, 9.0], [2.0, 4.5], [0.0, 10.0], [1.0, 5.0], [6.0, 1.0], [10.0, 0.0]])
    found = order(costs).tolist()
    assert found[-1] == 0
    assert set(found[:2]) == {2, 5}  # the extremes of the first front
    # Lost with each: (10 - 6) (4.5 - 1) = 14, (2 - 1) (10 - 5) = 5, (6 - 2) (5 - 4.5) = 2.
    assert found[2:5] == [4, 3, 1]


def test_nothing_and_one() -> None:
    assert order(np.empty((0, 2))).tolist() == []
    assert survivors(np.empty((0, 2)), 3).tolist() == []
    assert order(np.array([[1.0, 1.0]])).tolist() == [0]
    assert survivors(np.array([[1.0, 1.0]] * 4), 2).tolist() == [0, 1]

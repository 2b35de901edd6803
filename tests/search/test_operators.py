"""Perturbation, crossover, selection, scalarisation and visited cells."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from naslib_ecnas.analysis import hypervolume
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.search import Problem, operators
from naslib_ecnas.search.operators import RHO, Scalarisation, Visited, chebyshev, random_weights
from naslib_ecnas.space import Space

EVERY_4V = np.ones(91, dtype=bool)


@pytest.mark.parametrize(
    ("vertices", "parent", "edges", "ops"),
    [(3, 1, 2.0, 0.5), (4, 40, 2.0, 0.5), (5, 2400, 1.0, 1.0), (7, 10, 2.0, 0.5)],
)
def test_the_same_distribution_as_of_the_space(
    vertices: int, parent: int, edges: float, ops: float
) -> None:
    space, options = Space(vertices), {"edge_changes": edges, "op_changes": ops}
    parents = np.full(12_000, parent, dtype=np.int32)
    every = np.ones(len(space), dtype=bool)
    ours = operators.perturb(space, parents, np.random.default_rng(0), allowed=every, **options)
    theirs = space.mutate(parents, np.random.default_rng(1), **options)
    a, b = (np.bincount(rows, minlength=len(space)) for rows in (ours, theirs))
    often = a + b >= 40
    statistic = ((a - b)[often] ** 2 / (a + b)[often]).sum()
    # Chi-square with as many degrees of freedom as cells: 5 standard deviations up.
    assert statistic < often.sum() + 5 * np.sqrt(2 * often.sum())


def test_only_allowed_cells_come_out_and_what_is_vain_is_said() -> None:
    space = Space(5)
    near = space.neighbours(2000)
    allowed = np.zeros(len(space), dtype=bool)
    allowed[near] = True
    rng = np.random.default_rng(0)
    found = operators.perturb(space, np.full(50, 2000, dtype=np.int32), rng, allowed=allowed)
    assert np.isin(found, near).all()
    for of, mask in ((space, np.zeros(len(space), bool)), (Space(2), np.ones(1, bool))):
        assert operators.perturb(of, np.int32([0]), rng, allowed=mask).tolist() == [-1]
    for edges, ops in ((0.0, 0.0), (-1.0, 1.0), (float("nan"), 1.0)):
        rates = {"edge_changes": edges, "op_changes": ops}
        with pytest.raises(ConfigError, match="edge_changes"):
            operators.perturb(space, np.int32([1]), rng, allowed=allowed, **rates)


def test_a_child_has_each_edge_and_operation_of_one_of_both() -> None:
    space = Space(4)
    one, other = 80, 35
    (m1, l1), (m2, l2) = space.matrices([one]), space.matrices([other])
    either = np.array(list(itertools.product((True, False), repeat=8)))
    at, mask = np.triu_indices(4, 1), np.zeros((len(either), 4, 4), dtype=bool)
    mask[:, at[0], at[1]] = either[:, 2:]
    possible = {*space.rows(np.where(mask, m1, m2), np.where(either[:, :2], l1, l2)).tolist()}
    possible -= {-1, one, other}
    assert space.cell(one).vertices == space.cell(other).vertices == 4
    parents, partners = np.full(3000, one, np.int32), np.full(3000, other, np.int32)
    rng = np.random.default_rng(0)
    found = operators.crossover(space, parents, partners, rng, allowed=EVERY_4V)
    assert set(found.tolist()) - {-1} == possible
    # Equal parents have no other child.
    assert set(operators.crossover(space, parents[:5], parents[:5], rng, allowed=EVERY_4V)) == {-1}


# -- selection ----

points = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=14).map(
    lambda p: np.array(p, dtype=float)
)


def dominates(a: np.ndarray, b: np.ndarray) -> bool:
    return bool((a <= b).all() and (a < b).any())


@given(points)
def test_fronts_are_peeled_one_by_one(costs: np.ndarray) -> None:
    wanted = np.full(len(costs), -1)
    left, number = set(range(len(costs))), 0
    while left:
        front = {i for i in left if not any(dominates(costs[j], costs[i]) for j in left)}
        wanted[list(front)] = number
        left, number = left - front, number + 1
    assert operators.front_ranks(costs).tolist() == wanted.tolist()


@given(points, st.integers(1, 12))
def test_survivors_keep_the_first_fronts_and_every_extreme(costs: np.ndarray, n: int) -> None:
    kept = operators.survivors(costs, n)
    assert len(kept) == min(n, len(costs))
    assert (np.diff(kept) > 0).all()
    rank = operators.front_ranks(costs)
    gone = np.setdiff1d(np.arange(len(costs)), kept)
    if len(gone):
        assert rank[kept].max() <= rank[gone].min()
    if n >= 3:
        assert (costs[kept].min(axis=0) == costs.min(axis=0)).all()


def test_the_least_contribution_goes_first_and_comes_last() -> None:
    costs = np.array([[0.0, 10.0], [1.0, 5.0], [2.0, 4.5], [6.0, 1.0], [10.0, 0.0], [9.0, 9.0]])
    reference = [11.0, 11.0]  # a tenth of the range beyond the worst
    assert operators.survivors(costs, 5).tolist() == [0, 1, 2, 3, 4]  # the dominated one
    inner = costs[:5]
    whole = hypervolume(inner, reference)
    losses = [whole - hypervolume(np.delete(inner, i, axis=0), reference) for i in range(5)]
    least = min((1, 2, 3), key=lambda i: losses[i])
    assert operators.survivors(costs, 4).tolist() == [i for i in range(5) if i != least]
    # The order is by front, then by contribution.
    costs = np.array([[9.0, 9.0], [2.0, 4.5], [0.0, 10.0], [1.0, 5.0], [6.0, 1.0], [10.0, 0.0]])
    found = operators.order(costs).tolist()
    assert found[-1] == 0
    assert set(found[:2]) == {2, 5}  # the extremes of the first front
    # Lost with each: (10 - 6) (4.5 - 1) = 14, (2 - 1) (10 - 5) = 5, (6 - 2) (5 - 4.5) = 2.
    assert found[2:5] == [4, 3, 1]
    # Nothing, and equal points.
    assert len(operators.order(np.empty((0, 2)))) == len(operators.survivors(costs[:0], 3)) == 0
    assert operators.survivors(np.ones((4, 2)), 2).tolist() == [0, 1]


# -- scalarisation ----


def test_scalarised_costs_by_hand() -> None:
    costs = [[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]]
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
    score, each = Scalarisation(), np.eye(2) / (1 + RHO)

    def scaled(*costs: float) -> list[float]:
        return score(np.array([costs, costs]), each).tolist()

    score.see(np.array([[1.0, 5.0], [3.0, 5.0], [np.nan, 99.0]]))
    assert scaled(2.0, 5.0) == pytest.approx([0.5, 0.0])
    assert scaled(3.0, 6.0) == pytest.approx([1.0, 1.0])
    score.see(np.array([[5.0, 7.0]]))
    assert scaled(2.0, 6.0) == pytest.approx([0.25, 0.5])
    score.see(np.full((2, 2), np.nan))
    assert scaled(1.0, 5.0) == [0.0, 0.0]


# -- visited cells ----


@pytest.mark.parametrize("avoid", [True, False])
def test_drawn_cells_are_new_and_different_if_repeats_are_avoided(avoid: bool) -> None:
    """`make` finds nothing for the first position, and the same few cells for the others."""
    visited = Visited(Problem(Space(4), np.random.default_rng(0)), avoid=avoid)
    visited.add(np.arange(50, dtype=np.int32))

    def make(at: np.ndarray) -> np.ndarray:
        return np.where(at == 0, -1, 48 + at % 5).astype(np.int32)

    rows = visited.draw(make, 12)
    assert rows.dtype == np.int32
    assert len(rows) == 12
    assert (rows >= 0).all()
    assert avoid == (len(set(rows.tolist())) == 12 and min(rows) >= 50)
    assert {50, 51, 52} <= set(rows.tolist())
    if avoid:  # at last fewer than were asked for, then none
        visited.add(np.arange(88, dtype=np.int32))
        assert sorted(visited.draw(make, 12).tolist()) == [88, 89, 90]
        visited.add(np.arange(91, dtype=np.int32))
        assert len(visited.draw(make, 12)) == len(visited.sample(5)) == 0

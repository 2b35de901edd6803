"""Perturbation and crossover: the distribution of `Space.mutate`, and allowed cells only."""

from __future__ import annotations

import numpy as np
import pytest

from naslib_ecnas.errors import ConfigError
from naslib_ecnas.search.operators import crossover, perturb, tries
from naslib_ecnas.space import Space


@pytest.mark.parametrize(
    ("vertices", "parent", "rates"),
    [(3, 1, (2.0, 0.5)), (4, 40, (2.0, 0.5)), (5, 2400, (1.0, 1.0)), (7, 10, (2.0, 0.5))],
)
def test_the_same_distribution_as_of_the_space(
    vertices: int, parent: int, rates: tuple[float, float]
) -> None:
    space, n = Space(vertices), 12_000
    parents = np.full(n, parent, dtype=np.int32)
    options = {"edge_changes": rates[0], "op_changes": rates[1]}
    every = np.ones(len(space), dtype=bool)
    ours = perturb(space, parents, np.random.default_rng(0), allowed=every, **options)
    theirs = space.mutate(parents, np.random.default_rng(1), **options)
    a, b = (np.bincount(rows, minlength=len(space)) for rows in (ours, theirs))
    often = a + b >= 40
    a, b = a[often], b[often]
    statistic = ((a - b) ** 2 / (a + b)).sum()
    # Chi-square with as many degrees of freedom as cells: 5 standard deviations up.
    assert statistic < often.sum() + 5 * np.sqrt(2 * often.sum())


def test_one_try_flips_and_changes_as_often_as_expected() -> None:
    space, n = Space(7), 20_000
    parent = len(space) - 1
    assert space.cell(parent).vertices == 7
    parents = np.full(n, parent, dtype=np.int32)
    rng = np.random.default_rng(0)
    none = tries(space, parents, rng, edge_changes=2.0, op_changes=0.0)
    assert np.mean(none == parent) == pytest.approx((1 - 2 / 21) ** 21, abs=0.012)
    none = tries(space, parents, rng, edge_changes=0.0, op_changes=0.5)
    assert np.mean(none == parent) == pytest.approx(0.9**5, abs=0.012)


def test_only_allowed_cells_come_out_and_what_is_vain_is_said() -> None:
    space = Space(5)
    near = space.neighbours(2000)
    allowed = np.zeros(len(space), dtype=bool)
    allowed[near] = True
    rng = np.random.default_rng(0)
    found = perturb(space, np.full(50, 2000, dtype=np.int32), rng, allowed=allowed)
    assert np.isin(found, near).all()
    nothing = np.zeros(len(space), dtype=bool)
    assert perturb(space, np.array([3, 4], np.int32), rng, allowed=nothing).tolist() == [-1, -1]
    assert perturb(Space(2), np.array([0], np.int32), rng, allowed=np.ones(1, bool)).tolist() == [
        -1
    ]


@pytest.mark.parametrize("rates", [(0.0, 0.0), (-1.0, 1.0), (float("nan"), 1.0)])
def test_rates_that_change_nothing_are_refused(rates: tuple[float, float]) -> None:
    with pytest.raises(ConfigError, match="changes nothing"):
        perturb(
            Space(4),
            np.array([1], np.int32),
            np.random.default_rng(0),
            allowed=np.ones(91, bool),
            edge_changes=rates[0],
            op_changes=rates[1],
        )


def test_a_child_has_each_edge_and_operation_of_one_of_both() -> None:
    space = Space(4)
    one, other = 80, 35
    (m1, l1), (m2, l2) = space.matrices([one]), space.matrices([other])
    possible = set()
    for edges in range(1 << 6):
        mask = np.zeros((4, 4), dtype=bool)
        mask[np.triu_indices(4, 1)] = [edges >> b & 1 for b in range(6)]
        upper = np.where(mask, m1[0], m2[0])
        for a in {int(l1[0, 0]), int(l2[0, 0])}:
            for b in {int(l1[0, 1]), int(l2[0, 1])}:
                possible.add(int(space.rows(upper[None], np.array([[a, b]]))[0]))
    possible -= {-1, one, other}
    assert space.cell(one).vertices == space.cell(other).vertices == 4
    found = crossover(
        space,
        np.full(3000, one, np.int32),
        np.full(3000, other, np.int32),
        np.random.default_rng(0),
        allowed=np.ones(91, bool),
    )
    assert set(found.tolist()) - {-1} == possible


def test_equal_parents_have_no_other_child() -> None:
    rows = np.full(5, 90, np.int32)
    found = crossover(Space(4), rows, rows, np.random.default_rng(0), allowed=np.ones(91, bool))
    assert found.tolist() == [-1] * 5

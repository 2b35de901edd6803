"""SEMOA against the equations of the paper, and against a generation worked by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from naslib_ecnas.analysis import nondominated
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.search import Problem, Semoa
from naslib_ecnas.search.semoa import mutate_once, rank_probabilities
from naslib_ecnas.space import Space

# A front of four with contributions 4, 2, 3 and 8 within (9, 10), and a dominated point.
FRONT = [[1.0, 8.0], [3.0, 6.0], [4.0, 5.0], [7.0, 1.0]]
#: The worst costs seen.
REFERENCE = [9.0, 10.0]


def semoa(rows: Any = None, **options: Any) -> Semoa:
    return Semoa(Problem(Space(5), np.random.default_rng(0), rows=rows), **options)


@given(st.integers(1, 60), st.floats(1, 2))
def test_rank_probabilities_are_those_of_the_paper(n: int, pressure: float) -> None:
    p = rank_probabilities(n, pressure)
    # Linear from pressure / n to (2 - pressure) / n, which sums to 1.
    wanted = np.linspace(pressure, 2 - pressure, n) / n if n > 1 else [1.0]
    np.testing.assert_allclose(p, wanted, atol=1e-15)


def test_a_generation_by_hand() -> None:
    """Contributions within (9, 10) are 4, 2, 3 and 8, so the ranks are 3, 0, 2, 1."""
    optimiser = semoa(offspring=4000)
    optimiser.tell([10, 11, 12, 13, 14], [*FRONT, REFERENCE])
    assert optimiser.population.rows.tolist() == [10, 11, 12, 13]
    parents = optimiser.parents()
    # Both extremes come first and are certain.
    assert parents[:2].tolist() == [0, 3]
    shares = np.bincount(parents[2:], minlength=4) / 3998
    ranked = [3, 0, 2, 1]
    np.testing.assert_allclose(shares[ranked], [1 / 2, 1 / 3, 1 / 6, 0], atol=0.03)
    assert shares[1] == 0


def test_a_lone_best_cell_is_every_parent_and_three_objectives_have_three_certain_ones() -> None:
    for offspring in (1, 2, 3, 10):
        optimiser = semoa(offspring=offspring)
        optimiser.tell([7], [[0.0, 0.0]])
        assert optimiser.parents().tolist() == [0] * offspring
        assert len(optimiser.ask()) == offspring
    optimiser = semoa()
    optimiser.tell([1, 2, 3, 4], [[0, 9, 9], [9, 0, 9], [9, 9, 0], [3, 3, 3]])
    assert optimiser.parents()[:3].tolist() == [0, 1, 2]


def test_mutants_that_a_table_lacks_are_drawn_again_from_their_parent() -> None:
    near = Space(5).neighbours(2000)
    optimiser = semoa(rows=np.append(near, 2000), offspring=50)
    optimiser.tell([2000], [[0.0, 0.0]])
    assert np.isin(optimiser.ask(), near).all()
    # A parent far from all allowed cells is replaced by a random one.
    optimiser = semoa(rows=[0, 2531])
    optimiser.tell([0], [[0.0, 0.0]])
    assert np.isin(optimiser.ask(), [0, 2531]).all()


def test_the_paper_setting_has_the_departures_of_the_released_code() -> None:
    assert all(semoa(**given).paper for given in ({"paper": True}, {"preset": "paper"}))
    # Dominated cells are kept and equal ones dropped.
    optimiser = semoa(paper=True)
    optimiser.tell([1, 2, 3, 4], [[1, 1], [2, 2], [1, 1], [np.nan, 0]])
    assert optimiser.population.rows.tolist() == [1, 2]
    optimiser.tell([5, 6], [[2, 2], [0, 0]])
    assert optimiser.population.rows.tolist() == [1, 2, 6]
    # No extreme is forced.
    optimiser = semoa(paper=True, offspring=5000)
    optimiser.tell([10, 11, 12, 13], FRONT)
    optimiser._worst = np.array(REFERENCE)
    shares = np.bincount(optimiser.parents(), minlength=4) / 5000
    wanted = rank_probabilities(4, 1.9)
    np.testing.assert_allclose(shares[[3, 0, 2, 1]], wanted, atol=0.03)
    # Invalid cells are dropped.
    optimiser = semoa(paper=True, population=10)
    optimiser.tell(optimiser.ask(), np.random.default_rng(0).random((10, 2)))
    sizes = [len(optimiser.ask()) for _ in range(50)]
    assert 1 <= min(sizes) < max(sizes) <= 10


def test_mutate_once_spares_the_first_vertex_and_is_not_repeated() -> None:
    space, rng = Space(5), np.random.default_rng(0)
    parents = np.full(5000, 2400, dtype=np.int32)
    assert space.cell(2400).vertices == 5
    only_ops = mutate_once(space, parents, rng, edge_changes=0, op_changes=1.0)
    matrices, labels = space.matrices(parents)
    # One expected change over three vertices: two of them change with probability 1/3 each.
    assert np.mean(only_ops == parents) == pytest.approx((2 / 3) ** 2, abs=0.03)
    others = np.array([[labels[0, 0], a, b] for a in range(3) for b in range(3)])
    assert set(only_ops) == set(space.rows(matrices[:9], others))
    invalid = mutate_once(space, parents, rng, 2.0, 0.5) < 0
    assert 0.01 < invalid.mean() < 0.9
    none = mutate_once(space, np.full(20_000, 2400), rng, edge_changes=2.0, op_changes=0.0)
    # No flip among ten edges at probability 0.2 leaves the cell as it was.
    assert np.mean(none == 2400) == pytest.approx(0.8**10, abs=0.04)


def test_the_population_is_the_front_and_no_cell_comes_again_but_in_a_preset() -> None:
    costs = np.random.default_rng(0).random((2532, 2))
    for preset in ("shipped", None):
        optimiser, seen = semoa(preset=preset), np.empty(0, dtype=np.int32)
        for _ in range(60):
            rows = optimiser.ask()
            assert len(rows) == 10
            optimiser.tell(rows, costs[rows])
            seen = np.append(seen, rows)
        population = optimiser.population
        assert set(population.rows) == set(seen[nondominated(costs[seen])])
        np.testing.assert_array_equal(population.costs, costs[population.rows])
        assert (len(np.unique(seen)) == 600) == (preset is None)


def test_where_no_perturbation_is_allowed_cells_are_drawn_anew() -> None:
    rows, every = [1, 2500], {"edge_changes": 10.0, "op_changes": 0.0}  # flips all of the ten
    found = mutate_once(Space(5), rows, np.random.default_rng(0), **every)
    assert not np.isin(found, rows).any()
    optimiser = semoa(rows=rows, preset="paper", **every)
    optimiser.tell(rows, [[0.0, 1.0], [1.0, 0.0]])
    asked = optimiser.ask()
    assert len(asked) == optimiser.offspring
    assert set(asked.tolist()) <= set(rows)
    assert optimiser.skipped >= optimiser.offspring


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="preset"):
        semoa(paper=True, preset="shipped")

"""Regularised evolution, step by step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from naslib_ecnas.search import Problem, RegularisedEvolution
from naslib_ecnas.space import Space

SPACE = Space(5)
COSTS = np.random.default_rng(5).random((len(SPACE), 2))


def evolution(**options: Any) -> RegularisedEvolution:
    return RegularisedEvolution(Problem(SPACE, np.random.default_rng(0)), **options)


def test_the_queue_holds_the_last_evaluations_however_good_the_oldest() -> None:
    search = evolution(population=20, sample=5, offspring=3)
    seen: list[int] = []
    for _ in range(40):
        rows = search.ask()
        assert len(rows) == (20 if not seen else 3)
        search.tell(rows, COSTS[rows])
        seen += rows.tolist()
        assert search.queue.rows.tolist() == seen[-20:]
        np.testing.assert_array_equal(search.queue.costs, COSTS[seen[-20:]])


def test_a_tournament_takes_the_best_of_a_sample_with_replacement() -> None:
    """With equal objectives every scalarisation ranks alike: P(rank r wins) is known."""
    search = evolution(population=10, sample=3, offspring=20_000)
    value = np.arange(10.0)
    search.tell(np.arange(10), np.column_stack([value, value]))
    wins = np.bincount(search.parents(), minlength=10) / 20_000
    wanted = [((10 - r) ** 3 - (9 - r) ** 3) / 1000 for r in range(10)]
    np.testing.assert_allclose(wins, wanted, atol=0.012)


def test_weights_change_from_cycle_to_cycle() -> None:
    search = evolution(population=2, sample=50, offspring=4000)
    search.tell([1, 2], [[0.0, 1.0], [1.0, 0.0]])
    # The weights 0, 1/10, ..., 1 of the first objective: 5 of 11 each way and one tie, which goes
    # to whichever was drawn first.
    share = np.mean(search.parents() == 0)
    assert share == pytest.approx(0.5, abs=0.04)


def test_children_are_mutants_of_the_queue() -> None:
    options = {"edge_changes": 1e-9, "op_changes": 0.4, "avoid_repeats": False}
    search = evolution(population=1, sample=1, offspring=300, **options)
    search.tell([2400], [[0.0, 0.0]])
    assert np.mean(np.isin(search.ask(), SPACE.neighbours(2400))) > 0.8

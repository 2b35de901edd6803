"""MF-EHVI: its two budgets, what it screens and what it trains in full."""

from __future__ import annotations

from typing import Any

import numpy as np

from naslib_ecnas import network
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.search import Batch, Ehvi, MfEhvi, Problem, run
from naslib_ecnas.space import Space

SPACE = Space(5)
SIZE = network.multiply_adds(np.arange(len(SPACE))).astype(float) / 1e9
#: An accuracy that only a training tells, and nothing about the graph.
LUCK = np.random.default_rng(9).random(2532)
COSTS = np.column_stack([1 + SIZE, LUCK - 2])


def made(budgets: tuple[int, ...] = (4, 12, 36, 108), **options: Any) -> MfEhvi:
    return MfEhvi(Problem(SPACE, np.random.default_rng(0), budgets=budgets), **options)


def turns(search: MfEhvi, n: int, costs: np.ndarray = COSTS) -> list[Batch]:
    """The batches of n turns; a training in full costs nine times a short one."""
    batches = []
    for _ in range(2 * n):
        batch = search.ask()
        assert isinstance(batch, Batch)
        search.tell(batch.rows, costs[batch.rows] * [batch.epochs / 108, 1])
        batches.append(batch)
    return batches


def test_a_turn_screens_two_cells_for_each_that_it_trains_in_full() -> None:
    batches = turns(made(), 4)
    assert [batch.epochs for batch in batches] == [12, 108] * 4
    assert sorted(batches[1].rows) == sorted(batches[0].rows)
    assert set(range(7)) < set(batches[0].rows.tolist())
    assert [len(batch.rows) for batch in batches[2:]] == [6, 3] * 3
    screened, trained = (np.concatenate([b.rows for b in batches[i::2]]) for i in (0, 1))
    assert len(set(screened)) == len(screened)
    assert len(set(trained) & set(screened)) == len(trained)


def test_the_best_screened_cells_are_trained_in_full() -> None:
    search = made(screened=4)
    screened = turns(search, 8)[-2]
    left = np.setdiff1d(search._low.evaluated.rows, search.evaluated.rows)
    chosen = search.evaluated.rows[17:]  # after the first ones
    assert LUCK[chosen].mean() < 0.5 * LUCK[left].mean()
    # Of screened cells the model has the results, of the others predictions.
    both = np.array([*screened.rows[:3], left[0], *np.setdiff1d(np.arange(2532), left)[-2:]])
    targets = search._low.targets(both, 1)
    predicted = search._low.predictions(both, 1)
    for found, prediction, costs in zip(targets.T, predicted, COSTS.T / [[9], [1]], strict=True):
        process, known = prediction.process, search._low._at[both] >= 0
        means = np.where(known, process.view.seen(costs[both]), prediction.mean)
        np.testing.assert_allclose(found, (means - process.mean) / process.scale)


def test_a_short_training_takes_at_most_a_ninth_if_there_is_such_a_budget() -> None:
    for budgets, short in (((4, 12, 36), 4), ((4, 12), 4), ((4, 12, 36, 108), 12)):
        assert [batch.epochs for batch in turns(made(budgets), 1)] == [short, budgets[-1]]


def test_with_one_budget_it_is_ehvi(toy: Benchmark) -> None:
    options = {"initial": 5, "thrift": 0.4, "batch": 3}
    same = run(toy, Ehvi, evaluations=60, seed=1, epochs=4, options=options)
    assert run(toy, MfEhvi, evaluations=60, seed=1, epochs=4).rows.tolist() == same.rows.tolist()


def test_cells_that_failed_when_screened_are_not_trained_in_full() -> None:
    search, costs = made(), COSTS.copy()
    costs[1::2] = np.nan
    batches = turns(search, 4, costs)
    assert (np.concatenate([b.rows for b in batches if b.epochs == 108]) % 2 == 0).all()
    assert all(len(b.rows) for b in turns(made(), 2, np.full_like(COSTS, np.nan)))

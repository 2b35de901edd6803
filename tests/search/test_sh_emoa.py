"""SH-EMOA: its rungs, its tournaments and its survivors."""

from __future__ import annotations

from typing import Any

import numpy as np

from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.search import Batch, Problem, ShEmoa, run
from naslib_ecnas.search.operators import survivors
from naslib_ecnas.search.sh_emoa import rungs
from naslib_ecnas.space import Space

BUDGETS = (4, 12, 36, 108)


def made(budgets: tuple[int, ...] = (), **options: Any) -> ShEmoa:
    return ShEmoa(Problem(Space(5), np.random.default_rng(0), budgets=budgets), **options)


def cost(rows: np.ndarray, epochs: int) -> np.ndarray:
    return np.random.default_rng(epochs).random((2532, 2))[rows] * [epochs, 1]


def test_rungs_of_the_published_setting() -> None:
    """eta 2 and five budgets, as the released code has them: 143 trainings."""
    published = rungs(100, 10, 5, 2)
    assert published == (48, 24, 12, 6, 3)
    assert 10 + sum(published) + 4 * 10 == 143
    assert rungs(100, 10, 1, 3) == (90,)


def test_a_bracket_step_by_step() -> None:
    search = made(budgets=BUDGETS, avoid_repeats=False)
    rows, costs, seen = np.empty(0, int), np.empty((0, 2)), []
    for _ in range(200):
        batch = search.ask()
        assert isinstance(batch, Batch)
        told = cost(batch.rows, batch.epochs)
        if not seen or batch.epochs != seen[-1][0]:  # all of the population is evaluated anew
            assert not seen or sorted(batch.rows.tolist()) == sorted(rows.tolist())
            rows, costs = batch.rows, told
        else:
            rows, costs = np.append(rows, batch.rows), np.vstack([costs, told])
        seen.append((batch.epochs, len(batch.rows)))
        kept = survivors(costs, 10)
        rows, costs = rows[kept], costs[kept]
        search.tell(batch.rows, told)
        # Of equal points any may stay; they are the same cell here.
        ours, brute = np.argsort(search.population.rows), np.argsort(rows)
        np.testing.assert_array_equal(search.population.rows[ours], rows[brute])
        np.testing.assert_array_equal(search.population.costs[ours], costs[brute])
    wanted = []
    for budget, children in zip((*BUDGETS, 4), (81, 27, 9, 3, 0), strict=True):
        wanted += [(budget, 10)] + [(budget, 1)] * children  # the last is the next bracket's
    assert seen[: len(wanted)] == wanted


def test_costs_at_a_budget_are_remembered_by_the_next_bracket() -> None:
    search, seen = made(budgets=(4, 12), bracket=40), set()
    for _ in range(300):
        batch = search.ask()
        told = cost(batch.rows, batch.epochs)
        new = {(row, batch.epochs) for row in batch.rows.tolist()}
        assert len(new) == len(batch.rows)
        assert not new & seen
        seen |= new
        search.tell(batch.rows, told)
        if not search._entering:
            rows = search.population.rows
            assert np.isin(batch.rows, rows).any() or len(rows) == 10
            np.testing.assert_array_equal(search.population.costs, cost(rows, batch.epochs))
    # On a small space it goes on until every cell was evaluated at every budget.
    search, budgets = ShEmoa(Problem(Space(3), np.random.default_rng(0), budgets=BUDGETS)), []
    while len((batch := search.ask()).rows):
        search.tell(batch.rows, cost(batch.rows, batch.epochs))
        budgets += [batch.epochs] * len(batch.rows)
    assert sorted(budgets) == sorted([*BUDGETS] * 7)


def test_a_tournament_of_three_without_replacement() -> None:
    """The best of p cells wins where it is drawn: with probability 3 / p."""
    search = made()
    rows = np.arange(10)
    search.tell(rows, np.column_stack([rows, rows]))  # each dominates the next
    assert search.population.rows.tolist() == list(range(10))
    wins = np.bincount(search.parents(20_000), minlength=10) / 20_000
    # P(best is i) = C(9 - i, 2) / C(10, 3)
    wanted = [(9 - i) * (8 - i) / 2 / 120 for i in range(10)]
    np.testing.assert_allclose(wins, wanted, atol=0.012)


def test_failed_evaluations_leave_the_population() -> None:
    search = made(budgets=(4, 12), bracket=12, population=4)
    batch = search.ask()
    told = cost(batch.rows, 4)
    told[:3] = np.nan
    search.tell(batch.rows, told)
    assert len(search.population.rows) == 1
    for _ in range(30):
        batch = search.ask()
        search.tell(batch.rows, np.full((len(batch.rows), 2), np.nan))
    assert len(search.ask().rows)


def test_in_a_run_small_budgets_come_first_and_are_charged(toy: Benchmark) -> None:
    result = run(toy, "sh-emoa", evaluations=130, seed=0, options={"avoid_repeats": False})
    # Two budgets: 10 + 69 at 4 epochs, 10 + 23 at 12, then the next bracket.
    assert result.epochs.tolist() == [4] * 79 + [12] * 33 + [4] * 18
    assert (result.epochs[result.front] == 12).all()

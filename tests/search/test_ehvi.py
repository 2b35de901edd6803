"""EHVI: its first cells, its choice, and runs to the end of small spaces."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from naslib_ecnas import network
from naslib_ecnas.analysis import hypervolume, nondominated
from naslib_ecnas.search import Ehvi, Problem, ehvi
from naslib_ecnas.search.gaussian_process import expected_gain
from naslib_ecnas.space import Space

Driven = Callable[..., list[int]]

SPACE = Space(5)
SIZE = network.multiply_adds(np.arange(len(SPACE))).astype(float) / 1e9
#: Above 0 and below 0, as an energy and an accuracy.
COSTS = np.column_stack([SIZE, 1 / (1 + SIZE) - 2 + 0.02 * np.random.default_rng(9).random(2532)])


def search_of(space: Space = SPACE, *, seed: int = 0, rows: Any = None, **options: Any) -> Ehvi:
    return Ehvi(Problem(space, np.random.default_rng(seed), rows=rows), **options)


def test_the_first_cells_are_the_smallest_and_a_ladder_of_multiply_adds() -> None:
    first = search_of().ask()
    assert set(range(7)) <= set(first.tolist())
    assert len(first) <= 17
    logs = np.sort(np.log(SIZE[first]))
    assert np.diff(logs).max() < 1.2 * np.ptp(np.log(SIZE)) / 9
    assert search_of(rows=[3, 40, 1000], initial=1).ask()[0] == 3


def test_the_choice_is_the_largest_mean_gain_of_draws(driven: Driven) -> None:
    search = search_of(batch=1)
    driven(search, 8, COSTS)
    pool = search._pool()[::100]
    chosen, costs = search._chosen(pool, 1), search.evaluated.costs
    rng, drawn = np.random.default_rng(0), []
    for prediction in search._model.predictions(pool, search._turn):
        targets = rng.normal(prediction.mean, prediction.std, (400, len(pool)))
        shift = prediction.process.view.shift
        drawn.append(targets if shift is None else np.exp(targets) - shift)
    front = costs[nondominated(costs)]
    reference = costs.max(axis=0) + 0.01 * np.ptp(costs, axis=0)
    gains = np.array(
        [
            np.mean([hypervolume(np.vstack([front, y]), reference) for y in draws])
            for draws in np.moveaxis(drawn, 0, 2).swapaxes(0, 1)
        ]
    )
    gains -= hypervolume(front, reference)
    assert gains[chosen[0]] > 0.8 * gains.max() > 0


def test_with_thrift_gains_are_divided_by_a_power_of_the_predicted_cost(driven: Driven) -> None:
    thrifty, lavish = search_of(thrift=2.0), search_of()
    for search in (thrifty, lavish):
        driven(search, 3, COSTS)
    predictions = thrifty._model.predictions(thrifty._pool(), thrifty._turn)
    np.testing.assert_allclose(thrifty._price(predictions), np.exp(2 * predictions[0].mean))
    assert (lavish._price(predictions) == 1).all()
    assert SIZE[driven(thrifty, 4, COSTS)].mean() < 0.8 * SIZE[driven(lavish, 4, COSTS)].mean()
    # Without an objective above 0 there is nothing to divide by.
    one, other = search_of(thrift=2.0), search_of()
    assert driven(one, 3, COSTS - 9) == driven(other, 3, COSTS - 9)


@pytest.mark.parametrize("vertices", [5, 7])
def test_each_third_turn_is_among_the_neighbours_of_the_front(vertices: int) -> None:
    space = Space(vertices)
    search, near = search_of(space), []
    size = network.multiply_adds(np.arange(len(space))) / 1e9
    luck = np.random.default_rng(9).random(len(space))
    search.tell(rows := search.ask(), np.column_stack([size, luck - 2])[rows])
    for _ in range(9):
        evaluated = search.evaluated
        front = evaluated.rows[nondominated(evaluated.costs)]
        around = np.concatenate([space.neighbours(row) for row in front])
        search.tell(rows := search.ask(), np.column_stack([size, luck - 2])[rows])
        near.append(bool(np.isin(rows, around).all()))
    assert near[2::3] == [True] * 3
    assert not all(near[::3] + near[1::3])


def test_a_batch_is_spread_and_finds_the_front(driven: Driven) -> None:
    search = search_of()
    seen = driven(search, 25, COSTS)
    assert len(set(seen)) == len(seen)
    reference = COSTS.max(axis=0)
    assert hypervolume(COSTS[seen], reference) > 0.99 * hypervolume(COSTS, reference)


def test_failed_evaluations_are_not_learnt_from_and_do_not_come_again(driven: Driven) -> None:
    search, failing = search_of(), COSTS.copy()
    failing[::2, 1] = np.nan
    seen = driven(search, 1, np.full_like(COSTS, np.nan))
    assert len(search.evaluated) == 0
    seen += driven(search, 8, failing)
    assert len(set(seen)) == len(seen)
    assert set(search.evaluated.rows) == {row for row in seen[17:] if row % 2}
    large = search_of(Space(7))
    rows = large.ask()
    large.tell(rows, np.full((len(rows), 2), np.nan))
    assert not set(large.ask().tolist()) & set(rows.tolist())


def test_of_many_cells_the_processes_are_given_the_best_and_some_of_the_others() -> None:
    search, rows = search_of(), np.random.default_rng(0).permutation(2532)[:750]
    search.tell(rows, COSTS[rows])
    search._started = True
    given = search._model.given()
    assert len(np.unique(given)) == len(given) == 500
    front = np.flatnonzero(nondominated(COSTS[rows]))
    assert set(front) <= set(given)
    asked = search.ask()
    assert len(set(asked.tolist()) - set(rows.tolist())) == len(asked) == search.batch == 15


def test_with_many_objectives_the_boxes_of_the_front_stay_few(
    driven: Driven, monkeypatch: pytest.MonkeyPatch
) -> None:
    fronts: list[int] = []

    def gain(partials: Any, front: np.ndarray, reference: np.ndarray) -> np.ndarray:
        fronts.append(len(front))
        return expected_gain(partials, front, reference)

    monkeypatch.setattr("naslib_ecnas.search.ehvi._BOXES", 6**5)
    monkeypatch.setattr("naslib_ecnas.search.ehvi.expected_gain", gain)
    search, rows = search_of(), np.arange(300, dtype=np.int32)
    costs = np.random.default_rng(0).random((2532, 5))
    search.tell(rows, costs[rows])
    search._started = True
    assert nondominated(costs[rows]).sum() > 60
    assert len(driven(search, 2, costs)) == 12
    assert fronts[0] == 6
    assert max(fronts) <= 6 + 5  # and the others of a batch


def test_large_pools_are_cut_and_new(driven: Driven) -> None:
    space = Space(7)
    search = search_of(space, pool=300)
    size = np.arange(len(space)) / len(space)
    costs = np.column_stack([1 + size, -size])  # every cell is on the front
    seen = driven(search, 4, costs)
    pool = search._pool()
    assert len(pool) == 300
    assert not set(pool.tolist()) & set(seen)
    assert (np.diff(pool) > 0).all()


def test_linear_algebra_keeps_to_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    def threads() -> set[int]:
        return {lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"}

    def gain(*args: Any) -> Any:
        seen.append(threads())
        return expected_gain(*args)

    seen: list[set[int]] = []
    monkeypatch.setattr(ehvi, "expected_gain", gain)
    search = search_of()
    search.tell(rows := search.ask(), COSTS[rows])
    with threadpool_limits(2, "blas"):
        search.ask()
        assert threads() == {2}
    assert seen == [{1}] * 5


def test_a_seed_is_a_run_in_another_process_too() -> None:
    code = (
        "import naslib_ecnas as e; r = e.search.run(e.load('4v'), evaluations=40, seed=7);"
        "print(r.rows.tolist(), r.config.method)"
    )
    one, other = (subprocess.check_output([sys.executable, "-c", code]) for _ in range(2))
    assert one == other
    assert b"ehvi" in one

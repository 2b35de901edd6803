"""MSE-HVI: what it chooses, what it is told, what it knows without a training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from naslib_ecnas import network
from naslib_ecnas.analysis import hypervolume
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.search import MseHvi
from naslib_ecnas.search.mse_hvi import expected_improvement
from naslib_ecnas.space import Space

SPACE = Space(5)
SIZE = network.multiply_adds(np.arange(len(SPACE))).astype(float) / 1e9
COSTS = np.column_stack([SIZE, 1 / (1 + SIZE) + 0.02 * np.random.default_rng(9).random(len(SPACE))])


def made(**options: Any) -> MseHvi:
    return MseHvi(**{"space": SPACE, "rng": np.random.default_rng(0), **options})


def driven(search: MseHvi, steps: int) -> list[int]:
    seen: list[int] = []
    for _ in range(steps):
        rows = search.ask()
        search.tell(rows, COSTS[rows])
        seen += rows.tolist()
    return seen


def test_the_choice_is_the_largest_expected_improvement_of_the_pool() -> None:
    search = made(batch=6)
    driven(search, 3)
    pool = np.setdiff1d(np.random.default_rng(3).integers(0, 2532, 90), driven(made(batch=6), 3))
    pool = pool.astype(np.int32)
    mean, std = search.predict(pool)
    worst, front, wanted = search._worst, search.front_costs, []
    for _ in range(6):
        # Brute force: all of the pool anew for each choice, as if those before were found.
        gain = expected_improvement(mean, std, front, worst)
        gain[wanted] = -1
        wanted.append(int(gain.argmax()))
        front = np.vstack([front, mean[wanted[-1]]])
    assert search._chosen(pool).tolist() == wanted


def test_the_front_is_that_of_all_that_was_told() -> None:
    search = made()
    seen = driven(search, 12)
    every = COSTS[seen]
    front = [
        row
        for row in dict.fromkeys(seen)
        if not ((every <= COSTS[row]).all(axis=1) & (every < COSTS[row]).any(axis=1)).any()
    ]
    assert sorted(search.front_rows.tolist()) == sorted(front)


def test_no_cell_twice_until_all_are_known() -> None:
    assert len(set(driven(made(), 30))) == 10 + 29 * 10
    small = Space(4)
    search = made(space=small)
    costs = np.random.default_rng(0).random((91, 2))
    seen: list[int] = []
    while len(seen) < 91:
        rows = search.ask()
        search.tell(rows, costs[rows])
        seen += rows.tolist()
    assert len(set(seen[:91])) == 91
    assert len(search.ask())


def test_it_does_better_than_chance_on_what_can_be_learnt() -> None:
    labels = SPACE.matrices(np.arange(len(SPACE)))[1]
    costs = np.column_stack([SIZE, 1 / (1 + SIZE) + 0.2 * (labels == 2).sum(axis=1)])
    worst = costs.max(axis=0)
    ours, chance = [], []
    for seed in range(8):
        search = made(rng=np.random.default_rng(seed))
        for _ in range(10):
            rows = search.ask()
            search.tell(rows, costs[rows])
        ours.append(hypervolume(search.front_costs, worst))
        drawn = np.random.default_rng(seed).integers(0, len(SPACE), 100)
        chance.append(hypervolume(costs[drawn], worst))
    # Paired by seed, 100 evaluations each; chance comes out ahead in a pair now and then.
    assert np.median(ours) > np.median(chance)
    assert sum(a > b for a, b in zip(ours, chance, strict=True)) >= 7


def test_known_costs_are_taken_as_they_are() -> None:
    search = made(known={0: COSTS[:, 0]})
    driven(search, 3)
    rows = np.arange(50, dtype=np.int32)
    mean, std = search.predict(rows)
    np.testing.assert_array_equal(mean[:, 0], COSTS[rows, 0])
    assert (std[:, 0] == 0).all()
    assert (std[:, 1] > 0).all()


def test_three_objectives_are_searched() -> None:
    search = made()
    for _ in range(4):
        rows = search.ask()
        search.tell(rows, np.column_stack([COSTS[rows], rows]))
    assert search.front_costs.shape[1] == 3
    assert len(search.ask()) == 10


def test_the_paper_setting_draws_as_the_released_code_and_counts_what_it_drops() -> None:
    search = made(paper=True)
    seen = driven(search, 8)
    assert search.skipped > len(seen)  # most of these draws are no cell
    # Cells of three and four vertices come from pruning alone.
    assert seen.count(0) >= 1


def test_failed_evaluations_are_not_learnt_from() -> None:
    search = made()
    for _ in range(3):
        rows = search.ask()
        search.tell(rows, np.full((len(rows), 2), np.nan))
    with pytest.raises(ConfigError, match="nothing to predict from"):
        search.predict([1])
    driven(search, 3)
    assert np.isfinite(search.predict([1])[0]).all()


@pytest.mark.parametrize(
    "options", [{"initial": 0}, {"batch": 0}, {"pool": 5}, {"known": {0: [1.0, 2.0]}}]
)
def test_impossible_settings_of_mse_hvi_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="MSE-HVI"):
        made(**options)

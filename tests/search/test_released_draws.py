"""Draws as in the released code, and keeping away from known cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.search import RandomSearch, Semoa, run
from naslib_ecnas.search.base import raw_released
from naslib_ecnas.search.operators import Known
from naslib_ecnas.space import Space


def test_two_thirds_of_the_released_draws_are_no_cell_of_7v() -> None:
    """68 % in the released runs' own queries of the 7V table."""
    rows = raw_released(Space(7), np.random.default_rng(0), 40_000)
    assert np.mean(rows < 0) == pytest.approx(0.68, abs=0.01)
    # Two vertices and one edge tossed (1/4), or seven with only the last of the first row.
    assert np.mean(rows == 0) >= 0.25


@pytest.mark.parametrize("vertices", [2, 3, 4, 5])
def test_released_draws_are_rows_of_the_space(vertices: int) -> None:
    space = Space(vertices)
    rows = raw_released(space, np.random.default_rng(0), 5000)
    assert rows.max() < len(space)
    assert rows.min() == -1


def test_skipped_proposals_are_not_charged(toy: Benchmark) -> None:
    result = run(toy, "random", evaluations=200, seed=0, paper=True)
    assert result.skipped > 50
    assert len(result.rows) == result.spent.evaluations == toy.spent.evaluations == 200
    assert (result.details["energy_kwh"] > 0).all()


def test_random_search_without_replacement(toy: Benchmark) -> None:
    n = len(toy.rows)
    result = run(toy, "random", evaluations=2 * n, seed=0, options={"avoid_repeats": True})
    assert sorted(result.rows[:n].tolist()) == sorted(result.rows[n:].tolist()) == toy.rows.tolist()
    assert result.hypervolume == 1.0
    assert result.config.options == {"avoid_repeats": True}


def test_semoa_without_repeats_evaluates_new_cells_while_there_are_any() -> None:
    space = Space(5)
    costs = np.random.default_rng(0).random((len(space), 2))
    counts = []
    for avoid in (False, True):
        search = Semoa(space=space, rng=np.random.default_rng(1), avoid_repeats=avoid)
        seen: list[int] = []
        for _ in range(60):
            rows = search.ask()
            search.tell(rows, costs[rows])
            seen += rows.tolist()
        counts.append(len(set(seen)))
    assert counts[0] < 600
    assert counts[1] == 600


def test_a_small_space_is_seen_whole_and_then_anew() -> None:
    space = Space(3)
    search = Semoa(space=space, rng=np.random.default_rng(0), avoid_repeats=True)
    seen: set[int] = set()
    for _ in range(10):
        rows = search.ask()
        search.tell(rows, np.random.default_rng(0).random((7, 2))[rows])
        seen |= set(rows.tolist())
    assert seen == set(range(len(space)))


def test_known_cells_come_back_only_when_all_are_known() -> None:
    known = Known(np.array([True, True, False, True]), avoid=True)
    known.note(np.array([0, 0, 2]))
    assert known.proposable.tolist() == [False, True, False, True]
    known.note(np.array([1]))
    assert known.sample(np.random.default_rng(0), 5).tolist() == [3]
    known.note(np.array([3]))
    assert known.proposable.tolist() == [True, True, False, True]


@pytest.mark.parametrize("kind", [RandomSearch, Semoa])
def test_the_paper_setting_repeats_as_published(kind: Any) -> None:
    with pytest.raises(ConfigError):
        kind(space=Space(4), rng=np.random.default_rng(0), paper=True, avoid_repeats=True)

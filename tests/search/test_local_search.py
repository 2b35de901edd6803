"""Local search, step by step."""

from __future__ import annotations

from typing import Any

import numpy as np

from naslib_ecnas.search import LocalSearch, Problem
from naslib_ecnas.space import Space

SPACE = Space(5)
COSTS = np.random.default_rng(5).random((len(SPACE), 2))


def climbing(**options: Any) -> LocalSearch:
    return LocalSearch(Problem(SPACE, np.random.default_rng(0)), **options)


def test_a_climb_by_hand() -> None:
    search = climbing(initial=3)
    known: dict[int, np.ndarray] = {}

    def tell(rows: np.ndarray) -> None:
        search.tell(rows, COSTS[rows])
        known.update((int(r), COSTS[r]) for r in rows)

    start = search.ask()
    assert len(start) == 3
    tell(start)
    current, around = None, start.tolist()
    while not search.optima:
        rows = search.ask()  # takes a step, and draws the weights before the first one
        if search.optima:
            break
        costs = np.array(list(known.values()))
        scaled = {r: (c - costs.min(0)) / np.ptp(costs, axis=0) for r, c in known.items()}
        weighted = {r: c * search._weights for r, c in scaled.items()}
        score = {r: w.max() + 0.05 * w.sum() for r, w in weighted.items()}
        best = min(around, key=lambda r: score[r])
        assert current is None or score[best] < score[current]
        current, around = best, SPACE.neighbours(best).tolist()
        # All neighbours that were not evaluated before, and nothing else.
        assert sorted(rows.tolist()) == sorted(set(around) - set(known))
        tell(rows)
    assert search.optima == [current]


def test_a_climb_ends_where_no_neighbour_is_better() -> None:
    search = climbing()
    single = np.column_stack([COSTS[:, 0], COSTS[:, 0]])  # every scalarisation ranks alike
    while len(search.optima) < 8:
        rows = search.ask()
        search.tell(rows, single[rows])
    for row in search.optima:
        assert single[row, 0] <= single[SPACE.neighbours(row), 0].min()


def test_failed_neighbours_are_not_gone_to() -> None:
    search = climbing(initial=1)
    search.tell(search.ask(), [[1.0, 1.0]])
    rows = search.ask()
    search.tell(rows, np.full((len(rows), 2), np.nan))
    search.ask()
    assert len(search.optima) == 1

"""Regularised evolution and local search, step by step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from naslib_ecnas.errors import ConfigError
from naslib_ecnas.search import LocalSearch, RegularisedEvolution
from naslib_ecnas.space import Space

SPACE = Space(5)
COSTS = np.random.default_rng(5).random((len(SPACE), 2))


def evolution(**options: Any) -> RegularisedEvolution:
    return RegularisedEvolution(**{"space": SPACE, "rng": np.random.default_rng(0), **options})


def climbing(**options: Any) -> LocalSearch:
    return LocalSearch(**{"space": SPACE, "rng": np.random.default_rng(0), **options})


def test_the_queue_holds_the_last_evaluations_however_good_the_oldest() -> None:
    search = evolution(population=20, sample=5, offspring=3)
    seen: list[int] = []
    for _ in range(40):
        rows = search.ask()
        assert len(rows) == (20 if not seen else 3)
        search.tell(rows, COSTS[rows])
        seen += rows.tolist()
        assert search.queue_rows.tolist() == seen[-20:]
        np.testing.assert_array_equal(search.queue_costs, COSTS[seen[-20:]])


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
    search = evolution(population=1, sample=1, offspring=300, edge_changes=1e-9, op_changes=0.4)
    search.tell([2400], [[0.0, 0.0]])
    assert np.mean(np.isin(search.ask(), SPACE.neighbours(2400))) > 0.8


def test_a_climb_by_hand() -> None:
    search = climbing(initial=3)
    known: dict[int, np.ndarray] = {}

    def told(rows: np.ndarray) -> None:
        search.tell(rows, COSTS[rows])
        known.update((int(r), COSTS[r]) for r in rows)

    start = search.ask()
    assert len(start) == 3
    told(start)
    current, around = None, start.tolist()
    while search.climbs == 0:
        rows = search.ask()  # takes a step, and draws the weights before the first one
        if search.climbs:
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
        told(rows)
    assert search.optima == [current]


def test_a_climb_ends_where_no_neighbour_is_better() -> None:
    search = climbing()
    single = np.column_stack([COSTS[:, 0], COSTS[:, 0]])  # every scalarisation ranks alike
    while search.climbs < 8:
        rows = search.ask()
        search.tell(rows, single[rows])
    for row in search.optima:
        assert single[row, 0] <= single[SPACE.neighbours(row), 0].min()


def test_nothing_is_asked_for_twice_but_starts() -> None:
    search = climbing(initial=1)
    seen: list[int] = []
    while search.climbs < 15:
        rows = search.ask()
        if len(rows) > 1:
            assert not set(rows.tolist()) & set(seen)
        search.tell(rows, COSTS[rows])
        seen += rows.tolist()


def test_failed_neighbours_are_not_gone_to() -> None:
    search = climbing(initial=1)
    search.tell(search.ask(), [[1.0, 1.0]])
    rows = search.ask()
    search.tell(rows, np.full((len(rows), 2), np.nan))
    search.ask()
    assert search.climbs == 1


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (RegularisedEvolution, {"population": 0}),
        (RegularisedEvolution, {"sample": 0}),
        (RegularisedEvolution, {"scalarisation": "product"}),
        (LocalSearch, {"initial": 0}),
        (LocalSearch, {"scalarisation": "product"}),
    ],
)
def test_impossible_settings_of_single_objective_methods(
    kind: Any, options: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError):
        kind(space=SPACE, rng=np.random.default_rng(0), **options)

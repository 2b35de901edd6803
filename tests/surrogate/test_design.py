"""Which cells to measure."""

from __future__ import annotations

import numpy as np
import pytest

from naslib_ecnas.errors import ConfigError, UnknownCellError
from naslib_ecnas.space import Space
from naslib_ecnas.surrogate.calibrate import choose
from naslib_ecnas.surrogate.features import features
from naslib_ecnas.surrogate.models import shipped_descriptors


def information(rows: np.ndarray, of: np.ndarray) -> float:
    base = shipped_descriptors()
    every = base(features(of))
    z = (base(features(rows)) - every.mean(axis=0)) / every.std(axis=0)
    design = np.column_stack([np.ones(len(z)), z])
    return float(np.linalg.slogdet(design.T @ design)[1])


@pytest.mark.parametrize("vertices", [4, 5, 7])
def test_choices_are_distinct_cells_of_the_space_and_repeatable(vertices: int) -> None:
    rows = choose(20, vertices=vertices)
    assert len(np.unique(rows)) == 20
    assert rows.min() > 0
    assert rows.max() < len(Space(vertices))
    np.testing.assert_array_equal(rows, choose(20, vertices=vertices))


def test_the_design_tells_more_than_random_draws() -> None:
    pool = np.arange(1, 91)
    rng = np.random.default_rng(0)
    drawn = [information(rng.choice(pool, 20, replace=False), pool) for _ in range(200)]
    assert information(choose(20, rows=pool), pool) > max(drawn)
    assert information(choose(20, rows=pool, spread=0), pool) > max(drawn)


def test_cells_are_cheaper_where_cost_counts() -> None:
    time = shipped_descriptors().time_s
    free, thrifty = (choose(20, cost=cost) for cost in (0, 1))
    assert time(features(thrifty)).sum() < 0.8 * time(features(free)).sum()


def test_centres_alone_begin_in_the_middle() -> None:
    """k-centres by hand: the cell nearest to the mean, then always the farthest from those."""
    pool = np.arange(1, 91)
    z = shipped_descriptors()(features(pool))
    z = (z - z.mean(axis=0)) / z.std(axis=0)
    wanted = [int(np.argmin((z**2).sum(axis=1)))]
    while len(wanted) < 10:
        wanted.append(int(np.linalg.norm(z[:, None] - z[wanted], axis=2).min(axis=1).argmax()))
    assert choose(10, rows=pool, spread=1).tolist() == pool[wanted].tolist()


def test_candidates_may_be_given_with_repeats() -> None:
    rows = choose(8, rows=[5, 5, 9, 11, 12, 20, 33, 40, 41, 60, 80])
    assert set(rows) <= {5, 9, 11, 12, 20, 33, 40, 41, 60, 80}
    assert len(set(rows)) == 8


@pytest.mark.parametrize(
    ("cells", "options"),
    [
        (7, {}),
        (92, {"vertices": 4}),
        (20, {"rows": range(19)}),
        (20, {"spread": 1.5}),
        (20, {"cost": -1}),
    ],
)
def test_impossible_designs_are_refused(cells: int, options: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        choose(cells, **options)  # type: ignore[arg-type]


def test_unknown_rows_are_refused() -> None:
    with pytest.raises(UnknownCellError):
        choose(8, rows=np.arange(423_620, 423_640))

"""What the fits on NAS-Bench-101's records share: parts, cells to distil on, quality."""

from __future__ import annotations

import numpy as np
import pytest

from naslib_ecnas.cell import Cell
from naslib_ecnas.quality import Z90
from naslib_ecnas.space import Space
from naslib_ecnas.surrogate.fit.student import (
    error_quantile,
    held_out,
    labelled,
    quality,
    vertices_of,
)

TOTAL = len(Space(7))


# -- parts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_so_many_are_held_out(share: float) -> None:
    found = held_out(np.arange(TOTAL), share, 0)
    assert found.dtype == bool
    assert found.mean() == pytest.approx(share, abs=0.005)


def test_repeats_of_a_cell_stay_together() -> None:
    rows = np.random.default_rng(0).integers(0, 400, 3000)
    out = held_out(rows, 0.3, 5)
    assert not np.intersect1d(rows[out], rows[~out]).size
    # The part of a cell does not depend on what else is measured.
    np.testing.assert_array_equal(held_out(rows[::-1][:100], 0.3, 5), out[::-1][:100])


def test_seeds_decide_the_parts() -> None:
    rows = np.arange(2000)
    one, same, other = (held_out(rows, 0.2, seed) for seed in (1, 1, 2))
    assert (one == same).all()
    assert (one != other).any()
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    held_out(rows, 0.2, 1)
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002


# -- cells to distil on --------------------------------------------------------------------------


def test_fitted_and_small_cells_are_labelled() -> None:
    rows = np.array([5, 400_000, 3000, 5])
    found = labelled(rows, 1000, 0)
    assert (np.diff(found) > 0).all()
    assert np.isin(rows, found).all()
    assert np.isin(np.arange(len(Space(5))), found).all()
    others = len(found) - len(Space(5)) - 2
    assert 950 < others <= 1000
    assert found.max() < TOTAL
    np.testing.assert_array_equal(labelled(rows, 1000, 0), found)
    assert labelled(rows, 1000, 1).tolist() != found.tolist()


def test_no_more_cells_than_there_are() -> None:
    np.testing.assert_array_equal(labelled(np.array([7]), 10 * TOTAL, 0), np.arange(TOTAL))
    assert len(labelled(np.array([7]), 0, 0)) == len(Space(5))


def test_vertices() -> None:
    rows = np.concatenate([np.arange(95), Space().sample(np.random.default_rng(0), 100)])
    wanted = [Cell.from_row(int(row)).vertices for row in rows]
    assert vertices_of(rows).tolist() == wanted
    assert vertices_of(np.array([0, TOTAL - 1])).tolist() == [2, 7]


# -- intervals and quality -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "rank"), [(1, 1), (5, 5), (8, 8), (9, 9), (10, 10), (19, 18), (99, 90), (999, 900)]
)
def test_the_quantile_is_the_conformal_one(n: int, rank: int) -> None:
    error = np.random.default_rng(0).permutation(np.arange(1.0, n + 1))
    assert error_quantile(error) == pytest.approx(rank / 1.645)


def test_the_quantile_holds_nine_of_ten_new_errors() -> None:
    rng = np.random.default_rng(3)
    drawn = np.abs(rng.standard_t(4, (400, 100)))
    inside = [np.abs(rng.standard_t(4, 100)) <= 1.645 * error_quantile(e) for e in drawn]
    assert np.mean(inside) == pytest.approx(0.9, abs=0.01)


def test_an_entry_of_quality() -> None:
    rows = np.concatenate([np.arange(3, 15), np.arange(2532, 2552), [0]])
    count = vertices_of(rows)
    true = np.linspace(1, 2, len(rows))
    predicted = np.where(count == 4, 1.1, 0.9) * true
    found = quality(
        rows, true, predicted, 0.95 * true, 1.2 * true, unit="s", about="synthetic cells"
    )
    assert (found["unit"], found["about"], found["cells"]) == ("s", "synthetic cells", len(rows))
    four = count == 4
    assert found["mape"] == pytest.approx(10, abs=1e-4)
    assert found["mae"] == pytest.approx(0.1 * true.mean(), abs=1e-5)
    assert found["coverage"] == pytest.approx(1.0)
    # Fewer than ten cells are no statistic.
    wanted = {str(v) for v in np.unique(count) if (count == v).sum() >= 10}
    assert set(found["by_vertices"]) == wanted
    assert "2" not in wanted
    assert "6" in wanted or "5" in wanted
    if "4" in wanted:
        assert found["by_vertices"]["4"]["bias"] == pytest.approx(1.1)
        assert found["by_vertices"]["4"]["cells"] == four.sum()
    assert Z90 == 1.645

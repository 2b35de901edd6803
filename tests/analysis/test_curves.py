"""Curves: each beginning of a run measured alone. Attainment: a count at every place of a grid."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from naslib_ecnas.analysis import (
    Scale,
    anytime,
    attainment_surface,
    band,
    checkpoints,
    common_budgets,
    costs_of,
    igd_plus,
    nondominated,
)
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.metrics import metric

NAMES = ("energy_kwh", "validation_accuracy")
SEEDS = st.integers(0, 10**6)


# -- curves over what was spent ----


def run(seed: int, n: int = 60) -> tuple[np.ndarray, np.ndarray, Scale]:
    """A synthetic run: values, the kWh after each evaluation, the scale of its table."""
    rng = np.random.default_rng(seed)
    cells = np.column_stack([rng.lognormal(-4, 1, 400), rng.beta(5, 2, 400)])
    values = cells[rng.integers(0, 400, n)]
    values[rng.random(n) < 0.1, 1] = np.nan
    return values, np.cumsum(rng.lognormal(-4, 1, n)), Scale.of(cells, NAMES)


@given(SEEDS)
def test_each_budget_is_the_beginning_that_fits_in(seed: int) -> None:
    values, spent, scale = run(seed)
    before = values.copy()
    rng = np.random.default_rng(seed)
    # In no order, some exactly what was spent, some beyond the end.
    budgets = rng.permutation(np.concatenate([spent[::7], rng.uniform(0, 1.2, 20) * spent[-1]]))
    front = [[0.001, 0.5], [0.1, 0.95]]
    curve, distances = (
        anytime(values, spent, budgets, scale, indicator=indicator)
        for indicator in (None, lambda found: igd_plus(found, front, scale))
    )
    for budget, reached, distance in zip(budgets, curve, distances, strict=True):
        if budget > spent[-1]:
            assert math.isnan(reached + distance)
            continue
        paid = values[[cost <= budget for cost in spent]]
        assert reached == scale.hypervolume(paid)
        assert distance == pytest.approx(igd_plus(paid, front, scale))
    np.testing.assert_array_equal(values, before)


def test_a_run_without_evaluations() -> None:
    scale = run(2)[2]
    nothing = np.empty((0, 2))
    assert np.isnan(anytime(nothing, [], [1.0], scale)).all()
    assert anytime(nothing, [], [], scale).shape == (0,)
    for spent in ([1.0, np.inf], [[1.0, 2.0]]):
        with pytest.raises(ConfigError, match="never fall"):
            anytime([[1.0, 0.5], [2.0, 0.9]], spent, [1.0], scale)


@given(st.lists(SEEDS, min_size=1, max_size=6))
def test_every_run_has_a_value_at_common_budgets(seeds: list[int]) -> None:
    spent = [run(seed)[1] for seed in seeds]
    first, last = max(one[0] for one in spent), min(one[-1] for one in spent)
    assume(first < last)
    budgets = common_budgets(spent)
    assert (budgets[0], budgets[-1]) == (first, last)
    assert (np.diff(budgets) > 0).all()
    assert len(budgets) == 50
    for seed in seeds:
        values, cumulative, scale = run(seed)
        assert not np.isnan(anytime(values, cumulative, budgets, scale)).any()


@given(st.floats(1e-6, 1e6), st.integers(0, 5))
def test_rounding_puts_no_budget_beyond_the_end(first: float, apart: int) -> None:
    last = first
    for _ in range(apart):
        last = math.nextafter(last, math.inf)
    budgets = common_budgets([[first, last]])
    assert (budgets[0], budgets[-1]) == (first, last)
    assert ((budgets >= first) & (budgets <= last)).all()


def test_common_budgets_by_hand() -> None:
    budgets = common_budgets([[1.0, 30.0], [0.5, 16.0]])
    np.testing.assert_allclose(budgets, 16 ** (np.arange(50) / 49))
    assert common_budgets([[3.0]]).tolist() == [3.0]
    for spent in ([[1.0, 2.0], []], [[1.0, 2.0], [3.0, 4.0]], [[0.0, 2.0]]):
        with pytest.raises(ConfigError, match=r"common|never fall"):
            common_budgets(spent)


def test_checkpoints_end_with_the_last_evaluation() -> None:
    assert checkpoints(3).tolist() == [1, 2, 3]
    for n in (1, 2, 7, 100, 12345):
        counts = checkpoints(n)
        assert len(counts) <= 50
        assert (counts[0], counts[-1]) == (1, n)
        assert (np.diff(counts) > 0).all()


@given(arrays(np.float64, (7, 3), elements=st.floats(0, 1)))
def test_band_is_median_and_quartiles(curves: np.ndarray) -> None:
    before = curves.copy()
    found = band(curves, [1, 2, 3])
    np.testing.assert_array_equal(curves, before)
    assert found.budgets.tolist() == [1.0, 2.0, 3.0]
    np.testing.assert_allclose(
        [found.lower, found.median, found.upper],
        np.quantile(curves, [0.25, 0.5, 0.75], axis=0),
        atol=1e-15,
    )


@pytest.mark.filterwarnings("error")
def test_band_of_infinite_and_unknown_values() -> None:
    inf, nan = math.inf, math.nan
    curves = [[inf, 1.0, inf, 1.0], [inf, 2.0, 2.0, nan], [inf, inf, 1.0, 3.0]]
    found = band(curves, [1, 2, 3, 4])
    assert found.median[:3].tolist() == [inf, 2.0, 2.0]
    assert found.upper[:3].tolist() == [inf, inf, inf]
    assert found.lower[:3].tolist() == [inf, 1.5, 1.5]
    assert all(math.isnan(edge[3]) for edge in (found.lower, found.median, found.upper))


# -- attainment ----

COSTS = ("energy_kwh", "training_time_s")
BOTH_UP = ("test_accuracy", "validation_accuracy")
ALL_NAMES = st.sampled_from([COSTS, NAMES, BOTH_UP, NAMES[::-1]])
SIDE = 6

Runs = list[np.ndarray]
POINT = st.tuples(st.integers(0, SIDE - 1), st.integers(0, SIDE - 1))
RUN = st.lists(POINT, max_size=5).map(lambda run: np.array(run, dtype=float).reshape(-1, 2))
RUNS = st.lists(RUN, min_size=1, max_size=7)
#: Every place at which something may change, and the middles between them.
GRID = np.array([*itertools.product(np.arange(-1, SIDE + 0.5, 0.5), repeat=2)])


def attained(run: Any, names: tuple[str, str], places: np.ndarray = GRID) -> np.ndarray:
    """Mask of the places to which some point of the run is no worse in either objective."""
    sign = [-1 if metric(name).maximise else 1 for name in names]
    points = np.reshape(np.asarray(run, dtype=float), (-1, 1, 2)) * sign
    mask: np.ndarray = (points <= places * sign).all(axis=2).any(axis=0)
    return mask


def padded(runs: Runs, names: tuple[str, str]) -> Runs:
    """The runs with points that are repeated, dominated or unknown, which change nothing."""
    worse = [metric(name).from_cost(metric(name).cost(0.0) + SIDE) for name in names]
    nothing = np.array([[np.nan, 0.0], [0.0, np.nan]])
    return [np.vstack([run, run[::-1], nothing, *([[worse]] if len(run) else [])]) for run in runs]


@given(RUNS, ALL_NAMES, st.integers(1, 7))
def test_surface_equals_a_count_over_the_grid(
    runs: Runs, names: tuple[str, str], needed: int
) -> None:
    needed, more = min(needed, len(runs)), padded(runs, names)
    before = [run.copy() for run in more]
    surface = attainment_surface(more, names, needed / len(runs))
    count = np.sum([attained(run, names) for run in runs], axis=0)
    np.testing.assert_array_equal(attained(surface, names), count >= needed)
    # No corner too many, and from the best to the worst in the first objective.
    costs = costs_of(surface, names)
    assert nondominated(costs).all()
    assert (np.diff(costs[:, 0]) > 0).all()
    for run, same in zip(more, before, strict=True):
        np.testing.assert_array_equal(run, same)


def test_a_run_that_found_nothing_counts() -> None:
    runs = [[[1.0, 0.5]], np.empty((0, 2)), [[np.nan, 0.9]]]
    assert attainment_surface(runs, NAMES, 1 / 3).tolist() == [[1.0, 0.5]]
    assert attainment_surface(runs, NAMES).shape == (0, 2)


def test_levels_that_are_no_exact_floats() -> None:
    # The product of .28 and 25 is a little more than 7 as a float, that of .07 and 100 as well.
    for level, runs, needed in ((0.28, 25, 7), (0.07, 100, 7), (0.55, 10, 6), (0.01, 10, 1)):
        surface = attainment_surface([[[float(i), 0.5]] for i in range(runs)], NAMES, level)
        assert surface.tolist() == [[needed - 1.0, 0.5]]
    for wrong in (1.01, True):
        with pytest.raises(ConfigError, match="level"):
            attainment_surface([[[1.0, 0.5]]], NAMES, wrong)
    with pytest.raises(ConfigError, match="two objectives"):
        attainment_surface([[[1.0, 0.5, 9.0]]], (*NAMES, "parameters"))

"""Curves over what was spent: each beginning measured on its own, and nothing beyond the end."""

from __future__ import annotations

import doctest
import importlib
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from naslib_ecnas.analysis import Scale, anytime, band, common_budgets, igd_plus
from naslib_ecnas.errors import ConfigError

module = importlib.import_module("naslib_ecnas.analysis.scale")

NAMES = ("energy_kwh", "validation_accuracy")
SEEDS = st.integers(0, 10**6)


def run(seed: int, n: int = 60) -> tuple[np.ndarray, np.ndarray, Scale]:
    """A synthetic run: values, the kWh after each evaluation, the scale of its table."""
    rng = np.random.default_rng(seed)
    table = np.column_stack([rng.lognormal(-4, 1, 400), rng.beta(5, 2, 400)])
    values = table[rng.integers(0, 400, n)]
    values[rng.random(n) < 0.1, 1] = np.nan
    return values, np.cumsum(rng.lognormal(-4, 1, n)), Scale.of(table, NAMES, reference="nadir")


@given(SEEDS)
@settings(max_examples=40, deadline=None)
def test_each_budget_is_the_beginning_that_fits_in(seed: int) -> None:
    values, spent, scale = run(seed)
    before = values.copy()
    rng = np.random.default_rng(seed)
    # In no order, some exactly what was spent, some beyond the end.
    budgets = rng.permutation(np.concatenate([spent[::7], rng.uniform(0, 1.2, 20) * spent[-1]]))
    curve = anytime(values, spent, budgets, scale)
    for budget, reached in zip(budgets, curve, strict=True):
        if budget > spent[-1]:
            assert math.isnan(reached)
            continue
        paid = [value for value, cost in zip(values, spent, strict=True) if cost <= budget]
        assert reached == scale.hypervolume(np.reshape(paid, (-1, 2)))
    np.testing.assert_array_equal(values, before)


@given(SEEDS)
@settings(max_examples=40, deadline=None)
def test_hypervolume_never_falls_and_distance_never_rises(seed: int) -> None:
    values, spent, scale = run(seed)
    front = [[0.001, 0.5], [0.1, 0.95]]
    budgets = np.linspace(0, spent[-1], 30)
    assert (np.diff(anytime(values, spent, budgets, scale)) >= 0).all()
    distance = anytime(
        values, spent, budgets, scale, indicator=lambda found: igd_plus(found, front, scale)
    )
    assert distance[0] == math.inf
    assert (distance[1:] <= distance[:-1]).all()
    assert distance[-1] == pytest.approx(igd_plus(values, front, scale))


def test_nothing_counts_before_it_is_paid_for() -> None:
    scale = Scale.of([[0.0, 0.5], [1.0, 1.0], [2.0, 0.0]], NAMES)
    values = [[1.0, 0.5], [1.0, 1.0]]
    curve = anytime(values, [2.0, 4.0], [0.0, math.nextafter(2.0, 0), 2.0, 3.99, 4.0], scale)
    # One half of the energy and of the accuracy: a quarter of the square, of the front's 3/4.
    assert curve.tolist() == pytest.approx([0, 0, 1 / 3, 1 / 3, 0.5 / 0.75])


def test_the_end_of_a_run_is_the_budget_it_was_given() -> None:
    values, spent, scale = run(2)
    last = anytime(values, spent, [spent[-1]], scale)[0]
    beyond = spent[-1] * np.array([1.0, 1.5, 2.0, 2.1])
    assert np.isnan(anytime(values, spent, beyond, scale)[1:]).all()
    curve = anytime(values, spent, beyond, scale, end=2 * spent[-1])
    assert curve[:3].tolist() == [last] * 3
    assert math.isnan(curve[3])
    for end in (0.9 * spent[-1], math.nan):
        with pytest.raises(ConfigError, match="cannot end before"):
            anytime(values, spent, beyond, scale, end=end)


def test_a_run_without_evaluations() -> None:
    scale = run(2)[2]
    nothing = np.empty((0, 2))
    assert np.isnan(anytime(nothing, [], [1.0], scale)).all()
    assert anytime(nothing, [], [1.0, 2.0], scale, end=2.0).tolist() == [0.0, 0.0]
    assert anytime(nothing, [], [], scale).shape == (0,)


def test_over_evaluations_it_is_the_scales_own_curve() -> None:
    values, _, scale = run(5)
    counts = np.array([0, 1, 10, 10, 59, 60])
    own = scale.anytime(values, counts)
    assert anytime(values, np.arange(1, 61), counts, scale).tolist() == own.tolist()


@pytest.mark.parametrize(
    "spent", [[1.0], [2.0, 1.0], [1.0, np.nan], [1.0, np.inf], [[1.0, 2.0]], 1.0]
)
def test_costs_that_fall_or_are_not_known_are_refused(spent: object) -> None:
    scale = run(2)[2]
    with pytest.raises(ConfigError, match="not what a run had spent"):
        anytime([[1.0, 0.5], [2.0, 0.9]], spent, [1.0], scale)  # type: ignore[arg-type]


@pytest.mark.parametrize("budgets", [1.0, [np.nan], [[1.0]]])
def test_budgets_that_are_none(budgets: object) -> None:
    with pytest.raises(ConfigError, match="no budgets"):
        anytime([[1.0, 0.5]], [1.0], budgets, run(2)[2])  # type: ignore[arg-type]


@given(st.lists(SEEDS, min_size=1, max_size=6), st.integers(2, 60))
@settings(max_examples=40, deadline=None)
def test_every_run_has_a_value_at_common_budgets(seeds: list[int], steps: int) -> None:
    spent = [run(seed)[1] for seed in seeds]
    budgets = common_budgets(spent, steps)
    assert budgets[0] == max(one[0] for one in spent)
    assert budgets[-1] == min(one[-1] for one in spent)
    assert (np.diff(budgets) > 0).all()
    assert len(budgets) == steps
    for seed in seeds:
        values, cumulative, scale = run(seed)
        assert not np.isnan(anytime(values, cumulative, budgets, scale)).any()


def test_common_budgets_by_hand() -> None:
    np.testing.assert_allclose(common_budgets([[1.0, 30.0], [0.5, 16.0]], 5), [1, 2, 4, 8, 16])
    assert common_budgets([[3.0]], 5).tolist() == [3.0]


@given(st.floats(1e-6, 1e6), st.integers(0, 5), st.integers(2, 8))
def test_rounding_puts_no_budget_beyond_the_end(first: float, apart: int, steps: int) -> None:
    last = first
    for _ in range(apart):
        last = math.nextafter(last, math.inf)
    budgets = common_budgets([[first, last]], steps)
    assert (budgets[0], budgets[-1]) == (first, last)
    assert ((budgets >= first) & (budgets <= last)).all()


@pytest.mark.parametrize(
    ("spent", "steps"),
    [
        ([], 5),
        ([[1.0, 2.0]], 1),
        ([[1.0, 2.0], []], 5),
        ([[1.0, 2.0], [3.0, 4.0]], 5),
        ([[0.0, 2.0]], 5),
        ([[1.0, np.nan]], 5),
    ],
)
def test_runs_without_a_common_budget(spent: list[list[float]], steps: int) -> None:
    with pytest.raises(ConfigError, match=r"common|not what a run"):
        common_budgets(spent, steps)


@given(arrays(np.float64, (7, 3), elements=st.floats(0, 1)))
@settings(max_examples=60, deadline=None)
def test_band_is_median_and_quartiles(curves: np.ndarray) -> None:
    before = curves.copy()
    found = band(curves, [1, 2, 3])
    np.testing.assert_array_equal(curves, before)
    assert (found.runs, found.budgets.tolist()) == (7, [1.0, 2.0, 3.0])
    # Of seven the fourth; the quartiles lie halfway between the second and third, fifth and sixth.
    ordered = [sorted(column) for column in curves.T.tolist()]
    assert found.median.tolist() == [column[3] for column in ordered]
    np.testing.assert_allclose(found.lower, [(c[1] + c[2]) / 2 for c in ordered], atol=1e-15)
    np.testing.assert_allclose(found.upper, [(c[4] + c[5]) / 2 for c in ordered], atol=1e-15)
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


@pytest.mark.parametrize("curves", [[[1.0]], [1.0, 2.0], np.empty((0, 2))])
def test_bands_that_do_not_fit(curves: object) -> None:
    with pytest.raises(ConfigError, match="do not fit the budgets"):
        band(curves, [1.0, 2.0])  # type: ignore[arg-type]


def test_examples() -> None:
    assert doctest.testmod(module).failed == 0

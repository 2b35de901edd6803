"""Scales: the true front has hypervolume 1; curves: each beginning of a run measured alone."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from naslib_ecnas.analysis import (
    Scale,
    anytime,
    band,
    checkpoints,
    common_budgets,
    costs_of,
    igd_plus,
    nondominated,
)
from naslib_ecnas.errors import ConfigError

NAMES = ("energy_kwh", "validation_accuracy")
SEEDS = st.integers(0, 10**6)
STAIR = [[0.0, 0.5], [1.0, 1.0], [2.0, 0.0]]


def table(seed: int, n: int = 300) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.column_stack([rng.lognormal(-4, 1, n), rng.beta(5, 2, n)])


def test_closed_form() -> None:
    # Normalised costs (0, 1/2), (1/2, 0), (1, 1): the first two dominate 3/4 of the square.
    scale = Scale.of(STAIR, NAMES, reference="worst")
    assert (scale.ideal, scale.reference, scale.volume) == ((0.0, 1.0), (2.0, 0.0), 0.75)
    assert scale.hypervolume(STAIR[:1]) == pytest.approx(0.5 / 0.75)
    assert scale.costs([[1.0, 0.25]]).tolist() == [[0.5, 0.75]]


def test_nadir_is_the_fronts_own_worst_and_a_tenth_of_its_range() -> None:
    # The front is (1, .5), (2, .7), (3, .9); the rest of the table has no say.
    front = [[1.0, 0.5], [2.0, 0.7], [3.0, 0.9]]
    table = [*front, [50.0, 0.1], [4.0, 0.6], [np.nan, 1.0]]
    scale = Scale.of(table, NAMES)
    assert scale == Scale.of(front, NAMES, reference="nadir")
    assert scale.ideal == (1.0, 0.9)
    # 3 + 0.1 (3 - 1) and 0.5 - 0.1 (0.9 - 0.5).
    assert scale.reference == pytest.approx((3.2, 0.46), rel=1e-15)
    # By hand, in steps of the stair: (.5-.46)(3.2-1) + (.7-.5)(3.2-2) + (.9-.7)(3.2-3).
    assert scale.volume == pytest.approx((0.088 + 0.24 + 0.04) / (2.2 * 0.44), rel=1e-12)
    # An extreme counts: (3.2-3)(.9-.46) of all.
    assert scale.hypervolume([[3.0, 0.9]]) == pytest.approx(0.088 / 0.368, rel=1e-12)
    assert scale.hypervolume([[4.0, 0.9], [3.0, 0.4]]) == 0.0


def test_nadir_of_a_front_equal_in_an_objective_is_the_worst_of_the_table() -> None:
    # One cell is best in both: without the table's worst every other cell would have volume 1.
    values = [[1.0, 0.9], [2.0, 0.5], [3.0, 0.7]]
    scale = Scale.of(values, NAMES, reference="nadir")
    assert scale.reference == (3.0, 0.5)
    assert scale.hypervolume([[2.0, 0.7]]) == pytest.approx(0.5 * 0.5)


def test_reference_of_ones_own() -> None:
    worst = Scale.of(STAIR, NAMES, reference="worst")
    assert Scale.of(STAIR, NAMES, reference=(2.0, 0.0)) == worst
    scale = Scale.of(STAIR, NAMES, reference=[4.0, 0.0])
    # 4 * .5 + 3 * .5 of 4 * 1.
    assert scale.volume == pytest.approx(3.5 / 4)
    # Part of the front may lie beyond.
    assert Scale.of(STAIR, NAMES, reference=(0.5, 0.0)).hypervolume(STAIR[:1]) == 1.0
    wrong: list[Any] = ["best", (2.0,), (0.0, 0.0), (2.0, 1.0), (2.0, 0.0, 1.0), (np.nan, 0.0)]
    for reference in wrong:
        with pytest.raises(ConfigError, match="reference"):
            Scale.of(STAIR[:2], NAMES, reference=reference)


@given(SEEDS, st.sampled_from(["worst", "nadir"]))
def test_more_cells_are_never_worse_and_none_beat_the_front(seed: int, reference: str) -> None:
    values = table(seed)
    scale = Scale.of(values, NAMES, reference=reference)  # type: ignore[arg-type]
    rng = np.random.default_rng(seed)
    part = values[rng.random(len(values)) < 0.1]
    before = part.copy()
    share = scale.hypervolume(part)
    front = values[nondominated(costs_of(values, NAMES))]
    assert scale.hypervolume(values) == scale.hypervolume(rng.permutation(front)) == 1.0
    assert 0 <= share <= scale.hypervolume(np.vstack([part, values[:5]])) <= 1.0
    worse = np.column_stack([part[:, 0] * 1.1, part[:, 1] * 0.9])
    padded = np.vstack([worse, part, part, [[np.nan, 1.0]]])
    assert scale.hypervolume(padded) == pytest.approx(share, rel=1e-12)
    np.testing.assert_array_equal(part, before)


def test_special_tables() -> None:
    values = np.vstack([table(1), [[np.nan, 1.0], [0.0, np.nan]]])
    assert Scale.of(values, NAMES) == Scale.of(table(1), NAMES)
    flat = Scale.of([[1.0, 0.1], [2.0, 0.9]], NAMES, reference="worst")
    assert math.isnan(flat.hypervolume([[1.0, 0.1]]))
    assert Scale.of([[1.0, 0.1]], NAMES).hypervolume([[1.0, 0.1]]) == 1.0
    with pytest.raises(ConfigError, match="no cell has a value"):
        Scale.of([[np.nan, 1.0]], NAMES)


def test_the_curve_of_a_scale_is_the_hypervolume_of_each_beginning() -> None:
    values = table(8)
    scale = Scale.of(values, NAMES)
    counts = checkpoints(len(values))
    curve = scale.anytime(values, counts)
    assert curve.tolist() == [scale.hypervolume(values[:n]) for n in counts]
    assert (np.diff(curve) >= 0).all()
    assert curve[-1] == 1.0
    for wrong in ([3, 2], [-1, 2]):
        with pytest.raises(ConfigError, match="ascend"):
            scale.anytime(values, wrong)


def test_the_order_of_points_changes_no_digit() -> None:
    rng = np.random.default_rng(0)
    names = (*NAMES, "training_time_s")
    values = rng.random((40, 3)) + 0.1
    scale = Scale.of(values, names)
    orders = [rng.permutation(40) for _ in range(20)]
    assert {scale.hypervolume(values[order]) for order in orders} == {1.0}
    part = values[:15]
    assert len({scale.hypervolume(part[rng.permutation(15)]) for _ in range(20)}) == 1


def test_checkpoints_end_with_the_last_evaluation() -> None:
    for n in (1, 2, 7, 100, 12345):
        counts = checkpoints(n)
        assert (counts[0], counts[-1]) == (1, n)
        assert (np.diff(counts) > 0).all()


def test_front_and_knee_of_the_official_5v_table(reference: object) -> None:
    """The knee that the paper's rule gives, from an independent reading of the raw runs."""
    parquet = pytest.importorskip("pyarrow.parquet")
    raw = parquet.read_table(f"{reference}/measured_5v_4epochs_rtx6000.parquet").to_pydict()
    values = np.column_stack([raw["final_energy_kwh"], raw["final_validation_accuracy"]])
    scale = Scale.of(values, NAMES, reference="worst")
    assert scale.ideal == pytest.approx((0.005077, 0.770132), rel=1e-6)
    assert scale.reference == pytest.approx((0.050151, 0.056691), rel=1e-5)
    assert scale.volume == pytest.approx(0.968140, abs=1e-6)
    assert nondominated(costs_of(values, NAMES)).sum() == 13


# -- curves over what was spent ----


def run(seed: int, n: int = 60) -> tuple[np.ndarray, np.ndarray, Scale]:
    """A synthetic run: values, the kWh after each evaluation, the scale of its table."""
    rng, cells = np.random.default_rng(seed), table(seed, 400)
    values = cells[rng.integers(0, 400, n)]
    values[rng.random(n) < 0.1, 1] = np.nan
    return values, np.cumsum(rng.lognormal(-4, 1, n)), Scale.of(cells, NAMES, reference="nadir")


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


def test_the_end_of_a_run_is_the_budget_it_was_given() -> None:
    values, spent, scale = run(2)
    last = anytime(values, spent, [spent[-1]], scale)[0]
    beyond = spent[-1] * np.array([1.0, 1.5, 2.0, 2.1])
    assert np.isnan(anytime(values, spent, beyond, scale)[1:]).all()
    curve = anytime(values, spent, beyond, scale, end=2 * spent[-1])
    assert curve[:3].tolist() == [last] * 3
    assert math.isnan(curve[3])
    for end in (0.9 * spent[-1], math.nan, math.inf, "9"):
        with pytest.raises(ConfigError, match="end must be"):
            anytime(values, spent, beyond, scale, end=end)  # type: ignore[arg-type]


def test_a_run_without_evaluations() -> None:
    scale = run(2)[2]
    nothing = np.empty((0, 2))
    assert np.isnan(anytime(nothing, [], [1.0], scale)).all()
    assert anytime(nothing, [], [1.0, 2.0], scale, end=2.0).tolist() == [0.0, 0.0]
    assert anytime(nothing, [], [], scale).shape == (0,)
    for spent in ([1.0, np.inf], [[1.0, 2.0]]):
        with pytest.raises(ConfigError, match="never fall"):
            anytime([[1.0, 0.5], [2.0, 0.9]], spent, [1.0], scale)


@given(st.lists(SEEDS, min_size=1, max_size=6), st.integers(2, 60))
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


@given(st.floats(1e-6, 1e6), st.integers(0, 5), st.integers(2, 8))
def test_rounding_puts_no_budget_beyond_the_end(first: float, apart: int, steps: int) -> None:
    last = first
    for _ in range(apart):
        last = math.nextafter(last, math.inf)
    budgets = common_budgets([[first, last]], steps)
    assert (budgets[0], budgets[-1]) == (first, last)
    assert ((budgets >= first) & (budgets <= last)).all()


def test_common_budgets_by_hand() -> None:
    np.testing.assert_allclose(common_budgets([[1.0, 30.0], [0.5, 16.0]], 5), [1, 2, 4, 8, 16])
    assert common_budgets([[3.0]], 5).tolist() == [3.0]
    for spent in ([[1.0, 2.0], []], [[1.0, 2.0], [3.0, 4.0]], [[0.0, 2.0]]):
        with pytest.raises(ConfigError, match=r"common|never fall"):
            common_budgets(spent, 5)
    with pytest.raises(ConfigError, match="steps"):
        common_budgets([[1.0, 2.0]], 1)


@given(arrays(np.float64, (7, 3), elements=st.floats(0, 1)))
def test_band_is_median_and_quartiles(curves: np.ndarray) -> None:
    before = curves.copy()
    found = band(curves, [1, 2, 3])
    np.testing.assert_array_equal(curves, before)
    assert (found.runs, found.budgets.tolist()) == (7, [1.0, 2.0, 3.0])
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

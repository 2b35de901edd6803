"""Costs, hypervolume, scales, distances, knee and extremes against closed forms and loops."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from naslib_ecnas.analysis import (
    Scale,
    contributions,
    costs_of,
    epsilon,
    extremes,
    hypervolume,
    igd_plus,
    knee,
    nondominated,
    paper_hypervolume,
)
from naslib_ecnas.errors import ConfigError

NAMES = ("energy_kwh", "validation_accuracy")
THREE = ("energy_kwh", "validation_accuracy", "parameters")
SEEDS = st.integers(0, 10**6)
SIDE = 5
GRID = st.integers(2, 3).flatmap(
    lambda m: st.integers(1, 10).flatmap(
        lambda n: arrays(np.float64, (n, m), elements=st.integers(0, SIDE + 1).map(float))
    )
)


def table(seed: int, names: tuple[str, ...] = NAMES, n: int = 120) -> np.ndarray:
    rng = np.random.default_rng(seed)
    columns = [rng.lognormal(-4, 1, n), rng.beta(5, 2, n), rng.lognormal(14, 1, n)]
    return np.column_stack(columns[: len(names)])


def front_of(values: np.ndarray, names: tuple[str, ...] = NAMES) -> np.ndarray:
    return values[nondominated(costs_of(values, names))]


# -- hypervolume ----


def boxes(costs: np.ndarray) -> int:
    """Unit boxes below (SIDE, ..., SIDE) that some point dominates."""
    corners = np.array([*itertools.product(range(SIDE), repeat=costs.shape[1])])
    return int((costs[:, None] <= corners).all(axis=2).any(axis=0).sum())


@given(GRID)
def test_hypervolume_and_contributions_equal_a_count_of_unit_boxes(costs: np.ndarray) -> None:
    reference = [SIDE] * costs.shape[1]
    whole = boxes(costs)
    assert hypervolume(costs, reference) == pytest.approx(whole)
    lost = [whole - boxes(np.delete(costs, i, axis=0)) for i in range(len(costs))]
    np.testing.assert_allclose(contributions(costs, reference), lost, atol=1e-12)


def test_order_and_some_points_change_nothing() -> None:
    rng = np.random.default_rng(5)
    costs = rng.random((200, 2))
    assert len({hypervolume(rng.permutation(costs), [1.0, 1.0]) for _ in range(20)}) == 1
    costs = np.array([[1.0, 1.0], [3.0, 0.0], [2.0, 0.5], [np.nan, 0.0]])
    assert hypervolume(costs, [2.0, 2.0]) == 1.0
    delta = contributions(costs, [2.0, 2.0])
    assert delta[:3].tolist() == [1.0, 0.0, 0.0]
    assert np.isnan(delta[3])
    assert contributions([[0, 0], [0, 0]], [1, 1]).tolist() == [0.0, 0.0]
    assert hypervolume(np.empty((0, 2)), [1, 1]) == 0.0
    assert contributions(np.empty((0, 3)), [1, 1, 1]).shape == (0,)
    with pytest.raises(ConfigError, match="reference point"):
        hypervolume([[0.0, 0.0]], [1.0, 1.0, 1.0])


# -- the scale of a table ----


def test_closed_form() -> None:
    # Normalised costs (0, 1/2), (1/2, 0), (1, 1): the first two dominate 3/4 of the square.
    scale = Scale(NAMES, (0.0, 1.0), (2.0, 0.0), 0.75)
    assert scale.hypervolume([[0.0, 0.5]]) == pytest.approx(0.5 / 0.75)
    values = np.array([[1.0, 0.25], [4.0, np.nan]])
    before = values.copy()
    np.testing.assert_array_equal(scale.costs(values), [[0.5, 0.75], [2.0, np.nan]])
    np.testing.assert_array_equal(values, before)
    # An objective that is the same everywhere counts for nothing.
    flat = Scale(NAMES, (2.0, 0.7), (2.0, 0.5), 1.0)
    np.testing.assert_array_equal(flat.costs([[2.0, 0.5], [np.nan, 0.7]]), [[0, 1], [np.nan, 0]])


def test_nadir_is_the_fronts_own_worst_and_a_tenth_of_its_range() -> None:
    # The front is (1, .5), (2, .7), (3, .9); the rest of the table has no say.
    front = [[1.0, 0.5], [2.0, 0.7], [3.0, 0.9]]
    table = [*front, [50.0, 0.1], [4.0, 0.6], [np.nan, 1.0]]
    scale = Scale.of(table, NAMES)
    assert scale == Scale.of(front, NAMES)
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
    scale = Scale.of(values, NAMES)
    assert scale.reference == (3.0, 0.5)
    assert scale.hypervolume([[2.0, 0.7]]) == pytest.approx(0.5 * 0.5)


@given(SEEDS)
def test_more_cells_are_never_worse_and_none_beat_the_front(seed: int) -> None:
    values = table(seed, n=300)
    scale = Scale.of(values, NAMES)
    rng = np.random.default_rng(seed)
    part = values[rng.random(len(values)) < 0.1]
    before = part.copy()
    share = scale.hypervolume(part)
    front = front_of(values)
    assert scale.hypervolume(values) == scale.hypervolume(rng.permutation(front)) == 1.0
    assert 0 <= share <= scale.hypervolume(np.vstack([part, values[:5]])) <= 1.0
    worse = np.column_stack([part[:, 0] * 1.1, part[:, 1] * 0.9])
    padded = np.vstack([worse, part, part, [[np.nan, 1.0]]])
    assert scale.hypervolume(padded) == pytest.approx(share, rel=1e-12)
    np.testing.assert_array_equal(part, before)


def test_special_tables() -> None:
    values = np.vstack([table(1), [[np.nan, 1.0], [0.0, np.nan]]])
    assert Scale.of(values, NAMES) == Scale.of(table(1), NAMES)
    last_bits = Scale.of([[1.0, 0.5], [1.0 + 2**-52, 0.5 + 2**-53]], NAMES)
    assert math.isnan(last_bits.hypervolume([[1.0, 0.5]]))
    assert Scale.of([[1.0, 0.1]], NAMES).hypervolume([[1.0, 0.1]]) == 1.0
    with pytest.raises(ConfigError, match="no cell has a value"):
        Scale.of([[np.nan, 1.0]], NAMES)


def test_the_order_of_points_changes_no_digit() -> None:
    rng = np.random.default_rng(0)
    names = (*NAMES, "training_time_s")
    values = rng.random((40, 3)) + 0.1
    scale = Scale.of(values, names)
    orders = [rng.permutation(40) for _ in range(20)]
    assert {scale.hypervolume(values[order]) for order in orders} == {1.0}
    part = values[:15]
    assert len({scale.hypervolume(part[rng.permutation(15)]) for _ in range(20)}) == 1


def test_front_of_the_official_5v_table(reference: object) -> None:
    """The knee that the paper's rule gives, from an independent reading of the raw runs."""
    parquet = pytest.importorskip("pyarrow.parquet")
    raw = parquet.read_table(f"{reference}/measured_5v_4epochs_rtx6000.parquet").to_pydict()
    values = np.column_stack([raw["final_energy_kwh"], raw["final_validation_accuracy"]])
    assert Scale.of(values, NAMES).ideal == pytest.approx((0.005077, 0.770132), rel=1e-6)
    assert nondominated(costs_of(values, NAMES)).sum() == 13


# -- distance from the true front ----


@given(SEEDS, st.sampled_from([NAMES, THREE]))
def test_equal_loops_over_all_pairs(seed: int, names: tuple[str, ...]) -> None:
    values = table(seed, names)
    front = front_of(values, names)
    scale = Scale.of(values, names)
    some = values[:7]
    distances, shifts = [], []
    for target in scale.costs(front):
        gaps = [point - target for point in scale.costs(some)]
        distances.append(min(math.sqrt(sum(max(g, 0.0) ** 2 for g in gap)) for gap in gaps))
        shifts.append(min(max(gap) for gap in gaps))
    assert igd_plus(some, front, scale) == pytest.approx(sum(distances) / len(front), abs=1e-12)
    assert epsilon(some, front, scale) == pytest.approx(max(shifts), abs=1e-12)


@given(SEEDS)
def test_the_front_is_at_no_distance_and_what_adds_nothing_changes_nothing(seed: int) -> None:
    values = table(seed)
    scale, front, some = Scale.of(values, NAMES), front_of(values), values[:6]
    worse = np.column_stack([some[:, 0] * 1.2, some[:, 1] * 0.8])
    padded = np.vstack([worse, some, some[::-1], [[np.nan, 1.0], [0.0, np.nan]]])
    before = padded.copy()
    for whole in (front, values, np.vstack([front, front, [[np.nan, 0.5]]])):
        assert igd_plus(whole, front, scale) == epsilon(whole, front, scale) == 0.0
        assert igd_plus(padded, whole, scale) == pytest.approx(igd_plus(some, front, scale))
        assert epsilon(padded, whole, scale) == epsilon(some, front, scale)
    np.testing.assert_array_equal(padded, before)


def test_better_sets_empty_ones_and_impossible_arguments() -> None:
    # A cell that beats the whole front: less than nothing is missing.
    wide = Scale(NAMES, (1.0, 0.8), (5.0, 0.4), 1.0)
    assert epsilon([[1.0, 1.0]], [[2.0, 0.6]], wide) == pytest.approx(-0.25)
    front = [[1.0, 0.6], [3.0, 0.8]]
    scale = Scale.of(front, NAMES)
    nothing: list[Any] = [np.empty((0, 2)), [[np.nan, 0.5]]]
    for none in nothing:
        assert igd_plus(none, front, scale) == epsilon(none, front, scale) == math.inf
        for indicator in (igd_plus, epsilon):
            with pytest.raises(ConfigError, match="true front has no point"):
                indicator(front, none, scale)


def test_the_papers_hypervolume() -> None:
    # Rows r_1 of table 1 and the legend of figure 5 in the EC-NAS paper.
    printed = {(0.91, 0.27): 1.41e6, (0.94, 0.41): 1.44e6, (0.92, 0.25): 1.42e6}
    for (accuracy, energy_kwh), wanted in (printed | {(0.94, 0.62): 1.44e6}).items():
        front = [[energy_kwh, accuracy], [0.01, 0.52]]
        assert paper_hypervolume(front) == pytest.approx(wanted, abs=0.005e6)
    # 1.44 times (1e6 - 1000 Wh).
    assert paper_hypervolume([[1.0, 0.94]]) == pytest.approx(1.44 * 999_000)
    assert paper_hypervolume([[np.nan, 0.9]]) == 0.0


# -- knee and extremes ----


@given(SEEDS)
def test_knee_and_extremes_by_hand(seed: int) -> None:
    values = front_of(table(seed, n=80))
    energy, accuracy = values.T
    spans = max(np.ptp(energy), 1e-300), max(np.ptp(accuracy), 1e-300)
    sums = (energy - energy.min()) / spans[0] + (accuracy.max() - accuracy) / spans[1]
    assert sums[knee(values, NAMES)] == pytest.approx(sums.min(), abs=1e-12)
    assert extremes(values, NAMES) == (int(energy.argmin()), int(accuracy.argmax()))
    # The knee does not depend on units.
    joules = ("gpu_energy_j", "validation_accuracy")
    assert knee(values, NAMES) == knee(values * [2.0**21, 1.0], joules)


def test_knee_and_extremes_of_special_fronts() -> None:
    assert knee([[1.0, 0.5]], NAMES) == 0
    assert extremes([[1.0, 0.5]], NAMES) == (0, 0)
    # Of cells equal in one objective the one better in the others is the extreme.
    names = ("energy_kwh", "training_time_s", "validation_accuracy")
    assert extremes([[1.0, 9.0, 0.3], [1.0, 5.0, 0.2], [2.0, 5.0, 0.9]], names) == (1, 1, 2)

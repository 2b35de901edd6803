"""Costs, hypervolume, contributions, knee and extremes against closed forms and brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from naslib_ecnas.analysis import (
    contributions,
    costs_of,
    extremes,
    hypervolume,
    knee,
    nondominated,
    normalised,
)
from naslib_ecnas.errors import ConfigError

NAMES = ("energy_kwh", "validation_accuracy")
SIDE = 5
GRID = st.integers(2, 3).flatmap(
    lambda m: st.integers(1, 10).flatmap(
        lambda n: arrays(np.float64, (n, m), elements=st.integers(0, SIDE + 1).map(float))
    )
)


def test_normalised_costs_run_from_the_ideal_to_the_reference() -> None:
    values = np.array([[1.0, 0.9], [3.0, 0.1], [2.0, 0.5], [5.0, 0.9]])
    before = values.copy()
    out = normalised(values, NAMES, [1.0, 0.9], [3.0, 0.1])
    np.testing.assert_allclose(out, [[0, 0], [1, 1], [0.5, 0.5], [2, 0]])
    np.testing.assert_array_equal(values, before)
    # An objective that is the same everywhere counts for nothing.
    out = normalised([[2.0, 0.5], [np.nan, 0.7]], NAMES, [2.0, 0.7], [2.0, 0.5])
    assert out[0].tolist() == [0.0, 1.0]
    assert np.isnan(out[1, 0])


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


# -- knee and extremes ----


def front(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = np.column_stack([rng.lognormal(-4, 1, 80), rng.beta(5, 2, 80)])
    return values[nondominated(costs_of(values, NAMES))]


@given(st.integers(0, 10**6))
def test_knee_and_extremes_by_hand(seed: int) -> None:
    values = front(seed)
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

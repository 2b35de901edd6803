"""Knee and extremes by the paper's rule."""

from __future__ import annotations

import doctest
import importlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naslib_ecnas.analysis import costs_of, extremes, knee, nondominated
from naslib_ecnas.errors import ConfigError

module = importlib.import_module("naslib_ecnas.analysis.pareto")

NAMES = ("energy_kwh", "validation_accuracy")


def front(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = np.column_stack([rng.lognormal(-4, 1, 80), rng.beta(5, 2, 80)])
    return values[nondominated(costs_of(values, NAMES))]


@given(st.integers(0, 10**6))
@settings(max_examples=50, deadline=None)
def test_knee_and_extremes_by_hand(seed: int) -> None:
    values = front(seed)
    energy, accuracy = values.T
    spans = max(np.ptp(energy), 1e-300), max(np.ptp(accuracy), 1e-300)
    sums = (energy - energy.min()) / spans[0] + (accuracy.max() - accuracy) / spans[1]
    assert sums[knee(values, NAMES)] == pytest.approx(sums.min(), abs=1e-12)
    assert extremes(values, NAMES) == (int(energy.argmin()), int(accuracy.argmax()))


@given(st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_knee_does_not_depend_on_units(seed: int) -> None:
    values = front(seed)
    names = ("gpu_energy_j", "validation_accuracy")
    assert knee(values, NAMES) == knee(values * [2.0**21, 1.0], names)


def test_a_front_of_one_cell_is_its_own_knee_and_extremes() -> None:
    assert knee([[1.0, 0.5]], NAMES) == 0
    assert extremes([[1.0, 0.5]], NAMES) == (0, 0)


def test_of_cells_equal_in_one_objective_the_better_in_the_others_is_the_extreme() -> None:
    names = ("energy_kwh", "training_time_s", "validation_accuracy")
    values = [[1.0, 9.0, 0.3], [1.0, 5.0, 0.2], [2.0, 5.0, 0.9]]
    assert extremes(values, names) == (1, 1, 2)


@pytest.mark.parametrize("values", [np.empty((0, 2)), [[np.nan, 1.0]]])
def test_no_front_is_refused(values: object) -> None:
    for function in (knee, extremes):
        with pytest.raises(ConfigError, match="not a front"):
            function(values, NAMES)  # type: ignore[arg-type]


def test_examples() -> None:
    assert doctest.testmod(module).failed == 0

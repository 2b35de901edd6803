"""Values turned into costs, and costs from the ideal to the reference."""

from __future__ import annotations

import doctest
import importlib

import numpy as np
import pytest

from naslib_ecnas.analysis import costs_of, normalised
from naslib_ecnas.errors import ConfigError, UnknownMetricError

module = importlib.import_module("naslib_ecnas.analysis.pareto")

NAMES = ("energy_kwh", "validation_accuracy")


def test_costs_are_new_and_less_is_better() -> None:
    values = np.array([[1.0, 0.9], [3.0, np.nan]])
    before = values.copy()
    costs = costs_of(values, NAMES)
    assert costs[0].tolist() == [1.0, -0.9]
    assert np.isnan(costs[1, 1])
    np.testing.assert_array_equal(values, before)


def test_normalised_runs_from_the_ideal_to_the_reference() -> None:
    values = [[1.0, 0.9], [3.0, 0.1], [2.0, 0.5], [5.0, 0.9]]
    out = normalised(values, NAMES, [1.0, 0.9], [3.0, 0.1])
    np.testing.assert_allclose(out, [[0, 0], [1, 1], [0.5, 0.5], [2, 0]])


def test_an_objective_that_is_the_same_everywhere_counts_for_nothing() -> None:
    out = normalised([[2.0, 0.5], [np.nan, 0.7]], NAMES, [2.0, 0.7], [2.0, 0.5])
    assert out[0].tolist() == [0.0, 1.0]
    assert np.isnan(out[1, 0])


def test_values_that_do_not_fit_the_objectives() -> None:
    with pytest.raises(ConfigError, match="do not fit the objectives"):
        costs_of([[1.0, 2.0, 3.0]], NAMES)
    with pytest.raises(UnknownMetricError):
        costs_of([[1.0, 2.0]], ("energy_kwh", "joy"))


def test_examples() -> None:
    assert doctest.testmod(module).failed == 0

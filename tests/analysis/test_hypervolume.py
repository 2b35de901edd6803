"""Hypervolume and contributions against closed forms and a count of unit boxes."""

from __future__ import annotations

import doctest
import importlib
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from naslib_ecnas.analysis import contributions, hypervolume
from naslib_ecnas.errors import ConfigError

module = importlib.import_module("naslib_ecnas.analysis.pareto")

SIDE = 5
GRID = st.integers(2, 3).flatmap(
    lambda m: st.integers(1, 10).flatmap(
        lambda n: arrays(np.float64, (n, m), elements=st.integers(0, SIDE + 1).map(float))
    )
)


def boxes(costs: np.ndarray) -> int:
    """Unit boxes below (SIDE, ..., SIDE) that some point dominates."""
    corners = itertools.product(range(SIDE), repeat=costs.shape[1])
    return sum(any((point <= corner).all() for point in costs) for corner in corners)


@given(GRID)
@settings(max_examples=100, deadline=None)
def test_equals_a_count_of_unit_boxes(costs: np.ndarray) -> None:
    assert hypervolume(costs, [SIDE] * costs.shape[1]) == pytest.approx(boxes(costs))


@given(GRID)
@settings(max_examples=60, deadline=None)
def test_contribution_is_what_is_lost_without_the_point(costs: np.ndarray) -> None:
    delta = contributions(costs, [SIDE] * costs.shape[1])
    for i in range(len(costs)):
        lost = boxes(costs) - boxes(np.delete(costs, i, axis=0))
        assert delta[i] == pytest.approx(lost)


def test_staircase_has_its_closed_form() -> None:
    n = 100
    costs = np.column_stack([np.arange(n), np.arange(n)[::-1]])
    # Boxes of 1 + 2 + ... + n within the reference point (n, n).
    assert hypervolume(costs, [n, n]) == n * (n + 1) / 2
    assert (contributions(costs, [n, n]) == 1).all()


def test_does_not_depend_on_order_bit_for_bit() -> None:
    rng = np.random.default_rng(5)
    costs = rng.random((200, 2))
    values = {hypervolume(rng.permutation(costs), [1.0, 1.0]) for _ in range(20)}
    assert len(values) == 1


def test_points_beyond_the_reference_and_unknown_ones_add_nothing() -> None:
    costs = np.array([[1.0, 1.0], [3.0, 0.0], [2.0, 0.5], [np.nan, 0.0]])
    assert hypervolume(costs, [2.0, 2.0]) == 1.0
    delta = contributions(costs, [2.0, 2.0])
    assert delta[:3].tolist() == [1.0, 0.0, 0.0]
    assert np.isnan(delta[3])


def test_no_points_have_no_volume() -> None:
    assert hypervolume(np.empty((0, 2)), [1, 1]) == 0.0
    assert contributions(np.empty((0, 3)), [1, 1, 1]).shape == (0,)


def test_equal_points_contribute_nothing() -> None:
    assert contributions([[0, 0], [0, 0]], [1, 1]).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("reference", [[1.0], [1.0, 1.0, 1.0], [1.0, np.nan], 1.0])
def test_reference_points_that_do_not_fit_are_refused(reference: object) -> None:
    with pytest.raises(ConfigError, match="reference point"):
        hypervolume([[0.0, 0.0]], reference)  # type: ignore[arg-type]


def test_examples() -> None:
    assert doctest.testmod(module).failed == 0

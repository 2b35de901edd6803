"""Attainment against a count at every place of a grid, and against moocore."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from naslib_ecnas.analysis import attainment_difference, attainment_surface, costs_of, nondominated
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.metrics import metric

COSTS = ("energy_kwh", "training_time_s")
MIXED = ("energy_kwh", "validation_accuracy")
BOTH_UP = ("test_accuracy", "validation_accuracy")
ALL_NAMES = st.sampled_from([COSTS, MIXED, BOTH_UP, MIXED[::-1]])
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


def boxed(boxes: Any, names: tuple[str, str], places: np.ndarray = GRID) -> np.ndarray:
    """Difference that the boxes give at each place, none of which lies in two boxes."""
    low, high, cost = (costs_of(v, names) for v in (boxes.best, boxes.worst, places))
    assert (low < high).all()
    inside = ((low[:, None] <= cost) & (cost < high[:, None])).all(axis=2)
    assert (inside.sum(axis=0) <= 1).all()
    found: np.ndarray = boxes.difference @ inside
    return found


def shares(runs: Any, names: tuple[str, str], places: np.ndarray = GRID) -> np.ndarray:
    mean: np.ndarray = np.mean([attained(run, names, places) for run in runs], axis=0)
    return mean


@given(RUNS, ALL_NAMES, st.integers(1, 7))
def test_surface_equals_a_count_over_the_grid(
    runs: Runs, names: tuple[str, str], needed: int
) -> None:
    needed = min(needed, len(runs))
    surface = attainment_surface(runs, names, needed / len(runs))
    assert surface.needed == needed
    count = np.sum([attained(run, names) for run in runs], axis=0)
    np.testing.assert_array_equal(attained(surface.points, names), count >= needed)
    # No corner too many, and from the best to the worst in the first objective.
    costs = costs_of(surface.points, names)
    assert nondominated(costs).all()
    assert (np.diff(costs[:, 0]) > 0).all()


@given(RUNS, RUNS, ALL_NAMES)
def test_difference_equals_a_count_over_the_grid(a: Runs, b: Runs, names: tuple[str, str]) -> None:
    boxes = attainment_difference(a, b, names)
    assert (boxes.difference != 0).all()
    wanted = shares(a, names) - shares(b, names)
    np.testing.assert_allclose(boxed(boxes, names), wanted, atol=1e-12)
    other = attainment_difference(b, a, names)
    assert boxes.best.tolist() == other.best.tolist()
    assert boxes.difference.tolist() == (-other.difference).tolist()
    assert not len(attainment_difference(a, a * 3, names).difference)


@given(RUNS, RUNS, ALL_NAMES)
def test_what_is_repeated_dominated_or_unknown_changes_nothing(
    a: Runs, b: Runs, names: tuple[str, str]
) -> None:
    worse = [metric(name).from_cost(metric(name).cost(0.0) + SIDE) for name in names]
    padding = np.array([[np.nan, 0.0], [0.0, np.nan]])
    padded = [np.vstack([run, run[::-1], padding, [worse] if len(run) else padding]) for run in a]
    copies = [run.copy() for run in padded]
    one, other = attainment_surface(a, names), attainment_surface(padded, names)
    assert one.points.tolist() == other.points.tolist()
    diff, same = (attainment_difference(x, b, names) for x in (a, padded))
    assert diff.best.tolist() == same.best.tolist()
    assert diff.difference.tolist() == same.difference.tolist()
    for run, copy in zip(padded, copies, strict=True):
        np.testing.assert_array_equal(run, copy)


def test_a_run_that_found_nothing_counts() -> None:
    runs = [[[1.0, 0.5]], np.empty((0, 2)), [[np.nan, 0.9]]]
    assert attainment_surface(runs, MIXED, 1 / 3).points.tolist() == [[1.0, 0.5]]
    median = attainment_surface(runs, MIXED)
    assert (median.needed, median.points.shape) == (2, (0, 2))
    assert attainment_difference(runs, [[[1.0, 0.5]]], MIXED).difference == pytest.approx(-2 / 3)


def test_levels_that_are_no_exact_floats() -> None:
    # The product of .28 and 25 is a little more than 7 as a float, that of .07 and 100 as well.
    for level, runs, needed in ((0.28, 25, 7), (0.07, 100, 7), (0.55, 10, 6), (0.01, 10, 1)):
        surface = attainment_surface([[[float(i), 0.5]] for i in range(runs)], MIXED, level)
        assert (surface.needed, surface.points.tolist()) == (needed, [[needed - 1.0, 0.5]])
    for wrong in (1.01, True):
        with pytest.raises(ConfigError, match="level"):
            attainment_surface([[[1.0, 0.5]]], MIXED, wrong)
    three = (*MIXED, "parameters")
    for call in (attainment_surface, lambda r, names: attainment_difference(r, r, names)):
        with pytest.raises(ConfigError, match="two objectives"):
            call([[[1.0, 0.5, 9.0]]], three)


def test_boxes_are_as_few_as_they_can_be() -> None:
    # At a time of 3 one run of either side joins in, which changes nothing.
    a, b = [[[1.0, 1.0]], [[1.0, 3.0]]], [[[1.0, 3.0]], np.empty((0, 2))]
    boxes = attainment_difference(a, b, COSTS)
    assert boxes.best.tolist() == [[1.0, 1.0]]
    assert boxes.worst.tolist() == [[math.inf, math.inf]]
    assert boxes.difference.tolist() == [0.5]

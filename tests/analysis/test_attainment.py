"""Attainment against a count at every place of a grid, and against moocore."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naslib_ecnas.analysis import (
    attainment_difference,
    attainment_surface,
    costs_of,
    nondominated,
)
from naslib_ecnas.errors import ConfigError, UnknownMetricError
from naslib_ecnas.metrics import metric

COSTS = ("energy_kwh", "training_time_s")
MIXED = ("energy_kwh", "validation_accuracy")
BOTH_UP = ("test_accuracy", "validation_accuracy")
ALL_NAMES = st.sampled_from([COSTS, MIXED, BOTH_UP, MIXED[::-1]])
SIDE = 6

Run = list[list[float]]
POINT = st.tuples(st.integers(0, SIDE - 1), st.integers(0, SIDE - 1)).map(
    lambda p: [float(p[0]), float(p[1])]
)
RUN = st.lists(POINT, max_size=5)
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


def arrays(runs: list[Run]) -> list[np.ndarray]:
    return [np.array(run, dtype=float).reshape(-1, 2) for run in runs]


@given(RUNS, ALL_NAMES, st.integers(1, 7))
@settings(max_examples=40, deadline=None)
def test_surface_equals_a_count_over_the_grid(
    runs: list[Run], names: tuple[str, str], needed: int
) -> None:
    needed = min(needed, len(runs))
    surface = attainment_surface(arrays(runs), names, needed / len(runs))
    assert surface.needed == needed
    count = np.sum([attained(run, names) for run in runs], axis=0)
    np.testing.assert_array_equal(attained(surface.points, names), count >= needed)
    # No corner too many, and from the best to the worst in the first objective.
    costs = costs_of(surface.points, names)
    assert nondominated(costs).all()
    assert (np.diff(costs[:, 0]) > 0).all()


@given(RUNS, RUNS, ALL_NAMES)
@settings(max_examples=40, deadline=None)
def test_difference_equals_a_count_over_the_grid(
    a: list[Run], b: list[Run], names: tuple[str, str]
) -> None:
    boxes = attainment_difference(arrays(a), arrays(b), names)
    assert (boxes.difference != 0).all()
    wanted = shares(a, names) - shares(b, names)
    np.testing.assert_allclose(boxed(boxes, names), wanted, atol=1e-12)
    other = attainment_difference(arrays(b), arrays(a), names)
    assert boxes.best.tolist() == other.best.tolist()
    assert boxes.difference.tolist() == (-other.difference).tolist()
    assert not len(attainment_difference(arrays(a), arrays(a) * 3, names).difference)


def test_difference_agrees_with_moocore() -> None:
    import moocore

    rng = np.random.default_rng(7)
    a, b = (
        [np.column_stack([rng.random(9), rng.random(9)]) + shift for _ in range(8)]
        for shift in (0.0, 0.05)
    )
    boxes = attainment_difference(a, b, COSTS)
    stacked = [
        np.column_stack([np.concatenate(runs), np.repeat(np.arange(1, 9), 9)]) for runs in (a, b)
    ]
    theirs = moocore.eafdiff(*stacked, rectangles=True)
    assert len(theirs) > 10
    places = rng.random((400, 2)) * 1.2
    inside = (theirs[:, None, :2] <= places) & (places < theirs[:, None, 2:4])
    wanted = theirs[:, 4] @ inside.all(axis=2)
    np.testing.assert_allclose(boxed(boxes, COSTS, places) * 8, wanted, atol=1e-12)


def test_surfaces_by_hand() -> None:
    # Energy and accuracy: the first run is frugal, the second accurate, the third both.
    runs = [[[1.0, 0.5]], [[3.0, 0.9]], [[1.0, 0.6], [2.0, 0.9]]]
    best = attainment_surface(runs, MIXED, 1 / 3)
    assert best.points.tolist() == [[1.0, 0.6], [2.0, 0.9]]
    median = attainment_surface(runs, MIXED)
    assert (median.needed, median.runs, median.level) == (2, 3, 0.5)
    assert median.points.tolist() == [[1.0, 0.5], [3.0, 0.9]]
    every = attainment_surface(runs, MIXED, 1)
    assert every.points.tolist() == [[3.0, 0.5]]


def test_difference_by_hand() -> None:
    boxes = attainment_difference([[[1.0, 0.5]]], [[[2.0, 0.9]], [[2.0, 0.9]]], MIXED)
    found = zip(boxes.best.tolist(), boxes.worst.tolist(), boxes.difference, strict=True)
    assert boxes.runs == (1, 2)
    assert sorted(found) == [
        # a alone at less than 2 kWh, with 0.5 or less; b alone from there on above 0.5.
        ([1.0, 0.5], [2.0, -math.inf], 1.0),
        ([2.0, 0.9], [math.inf, 0.5], -1.0),
    ]


def test_steps_of_a_stair() -> None:
    surface = attainment_surface([[[1.0, 0.5], [2.0, 0.7], [4.0, 0.9]]], MIXED)
    stair = [[1.0, 0.5], [2.0, 0.5], [2.0, 0.7], [4.0, 0.7], [4.0, 0.9]]
    assert surface.steps().tolist() == stair
    assert surface.steps([9.0, 0.1]).tolist() == [[1.0, 0.1], *stair, [9.0, 0.9]]
    assert surface.steps((4.0, 0.5)).shape == (7, 2)
    for worst in ([3.0, 0.1], [9.0, 0.6]):
        with pytest.raises(ConfigError, match="no better than any corner"):
            surface.steps(worst)


@given(RUNS, ALL_NAMES)
@settings(max_examples=40, deadline=None)
def test_every_vertex_of_a_stair_is_attained_and_steps_are_square(
    runs: list[Run], names: tuple[str, str]
) -> None:
    surface = attainment_surface(arrays(runs), names)
    stair = surface.steps()
    assert len(stair) == max(0, 2 * len(surface.points) - 1)
    assert attained(surface.points, names, stair).all()
    assert ((stair[1:] == stair[:-1]).sum(axis=1) == 1).all()


def test_one_run_is_its_own_front() -> None:
    rng = np.random.default_rng(1)
    values = np.column_stack([rng.lognormal(-4, 1, 60), rng.beta(5, 2, 60)])
    front = values[nondominated(costs_of(values, MIXED))]
    surface = attainment_surface([values], MIXED, 0.25)
    assert surface.points.tolist() == sorted(front.tolist())


@given(RUNS, RUNS, ALL_NAMES)
@settings(max_examples=40, deadline=None)
def test_what_is_repeated_dominated_or_unknown_changes_nothing(
    a: list[Run], b: list[Run], names: tuple[str, str]
) -> None:
    worse = [metric(name).from_cost(metric(name).cost(0.0) + SIDE) for name in names]
    padding = np.array([[np.nan, 0.0], [0.0, np.nan]])
    padded = [
        np.vstack([run, run[::-1], padding, [worse] if len(run) else padding]) for run in arrays(a)
    ]
    copies = [run.copy() for run in padded]
    one, other = attainment_surface(arrays(a), names), attainment_surface(padded, names)
    assert one.points.tolist() == other.points.tolist()
    diff, same = (attainment_difference(x, arrays(b), names) for x in (arrays(a), padded))
    assert diff.best.tolist() == same.best.tolist()
    assert diff.difference.tolist() == same.difference.tolist()
    for run, copy in zip(padded, copies, strict=True):
        np.testing.assert_array_equal(run, copy)


def test_a_run_that_found_nothing_counts() -> None:
    runs = [[[1.0, 0.5]], np.empty((0, 2)), [[np.nan, 0.9]]]
    assert attainment_surface(runs, MIXED, 1 / 3).points.tolist() == [[1.0, 0.5]]
    median = attainment_surface(runs, MIXED)
    assert (median.needed, median.points.shape) == (2, (0, 2))
    assert median.steps().shape == median.steps([9.0, 0.1]).shape == (0, 2)
    assert attainment_difference(runs, [[[1.0, 0.5]]], MIXED).difference == pytest.approx(-2 / 3)


@pytest.mark.parametrize(
    ("level", "runs", "needed"),
    # The product of .28 and 25 is a little more than 7 as a float, that of .07 and 100 as well.
    [(0.28, 25, 7), (0.07, 100, 7), (0.3, 10, 3), (0.55, 10, 6), (0.01, 10, 1), (1.0, 10, 10)],
)
def test_levels_that_are_no_exact_floats(level: float, runs: int, needed: int) -> None:
    surface = attainment_surface([[[float(i), 0.5]] for i in range(runs)], MIXED, level)
    assert surface.needed == needed
    assert surface.points.tolist() == [[needed - 1.0, 0.5]]


def test_impossible_levels_are_refused() -> None:
    wrong: list[Any] = [0, -0.1, 1.01, 50, math.nan, True, "0.5", None]
    for level in wrong:
        with pytest.raises(ConfigError, match="level"):
            attainment_surface([[[1.0, 0.5]]], MIXED, level)


def test_what_is_refused() -> None:
    run = [[1.0, 0.5]]
    for function in (
        lambda runs, names: attainment_surface(runs, names),
        lambda runs, names: attainment_difference(runs, [run], names),
    ):
        with pytest.raises(ConfigError, match="at least one run"):
            function([], MIXED)
        with pytest.raises(ConfigError, match="two objectives"):
            function([run], (*MIXED, "parameters"))
        with pytest.raises(UnknownMetricError):
            function([run], ("energy_kwh", "joy"))
        with pytest.raises(ConfigError, match="one column each"):
            function([[[1.0, 2.0, 3.0]]], MIXED)


def test_runs_without_a_cell_do_not_move_what_the_others_must_reach() -> None:
    nothing = [np.empty((0, 2))] * 5
    runs = [[[float(i), 0.5]] for i in range(5)] + nothing
    assert [attainment_surface(runs, MIXED, k / 10).points.tolist() for k in range(1, 7)] == [
        *([[float(i), 0.5]] for i in range(5)),
        [],
    ]


def test_boxes_are_as_few_as_they_can_be() -> None:
    # At a time of 3 one run of either side joins in, which changes nothing.
    a, b = [[[1.0, 1.0]], [[1.0, 3.0]]], [[[1.0, 3.0]], np.empty((0, 2))]
    boxes = attainment_difference(a, b, COSTS)
    assert boxes.best.tolist() == [[1.0, 1.0]]
    assert boxes.worst.tolist() == [[math.inf, math.inf]]
    assert boxes.difference.tolist() == [0.5]


def test_long_fronts_make_no_more_boxes_than_they_must() -> None:
    """At most one box for each run between two neighbouring values of the first objective."""
    rng = np.random.default_rng(0)
    angles = rng.random((20, 100)) * math.pi / 2
    runs = [np.column_stack([2 - np.cos(a), np.sin(a)]) for a in angles]  # all on one front
    boxes = attainment_difference(runs[:10], runs[10:], MIXED)
    assert 0 < len(boxes.difference) <= 2000 * 20
    # Between them the boxes hold what a count at random places finds.
    places = np.column_stack([rng.uniform(1, 2, 200), rng.uniform(0, 1, 200)])
    wanted = shares(runs[:10], MIXED, places) - shares(runs[10:], MIXED, places)
    np.testing.assert_allclose(boxed(boxes, MIXED, places), wanted, atol=1e-12)

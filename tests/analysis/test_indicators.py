"""Distance and epsilon against loops over all pairs; the paper's hypervolume and its figures."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from naslib_ecnas.analysis import (
    Scale,
    costs_of,
    epsilon,
    epsilon_factor,
    igd_plus,
    nondominated,
    paper_hypervolume,
)
from naslib_ecnas.errors import ConfigError

NAMES = ("energy_kwh", "validation_accuracy")
THREE = ("energy_kwh", "validation_accuracy", "parameters")
SEEDS = st.integers(0, 10**6)


def table(seed: int, names: tuple[str, ...] = NAMES, n: int = 120) -> np.ndarray:
    rng = np.random.default_rng(seed)
    columns = [rng.lognormal(-4, 1, n), rng.beta(5, 2, n), rng.lognormal(14, 1, n)]
    return np.column_stack(columns[: len(names)])


def front_of(values: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    return values[nondominated(costs_of(values, names))]


@given(SEEDS, st.sampled_from([NAMES, THREE]))
def test_equal_loops_over_all_pairs(seed: int, names: tuple[str, ...]) -> None:
    values = table(seed, names)
    front = front_of(values, names)
    scale = Scale.of(values, names)
    some = values[:7]
    distances, shifts, factors = [], [], []
    for target, raw in zip(scale.costs(front), front, strict=True):
        gaps = [point - target for point in scale.costs(some)]
        distances.append(min(math.sqrt(sum(max(g, 0.0) ** 2 for g in gap)) for gap in gaps))
        shifts.append(min(max(gap) for gap in gaps))
        ratios = [
            [raw[c] / cell[c] if c == 1 else cell[c] / raw[c] for c in range(len(names))]
            for cell in some
        ]
        factors.append(min(max(ratio) for ratio in ratios))
    assert igd_plus(some, front, scale) == pytest.approx(sum(distances) / len(front), abs=1e-12)
    assert epsilon(some, front, scale) == pytest.approx(max(shifts), abs=1e-12)
    assert epsilon_factor(some, front, names) == pytest.approx(max(factors), rel=1e-12)


@given(SEEDS)
def test_the_front_itself_is_at_no_distance(seed: int) -> None:
    values = table(seed)
    front = front_of(values, NAMES)
    scale = Scale.of(values, NAMES, reference="nadir")
    for found in (front, values, front[::-1]):
        assert igd_plus(found, front, scale) == 0.0
        assert epsilon(found, front, scale) == 0.0
        assert epsilon_factor(found, front, NAMES) == 1.0


@given(SEEDS)
def test_what_is_dominated_or_repeated_or_unknown_changes_nothing(seed: int) -> None:
    values = table(seed)
    scale = Scale.of(values, NAMES)
    some = values[:6]
    worse = np.column_stack([some[:, 0] * 1.2, some[:, 1] * 0.8])
    padded = np.vstack([worse, some, some[::-1], [[np.nan, 1.0], [0.0, np.nan]]])
    before = padded.copy()
    front = front_of(values, NAMES)
    for whole in (front, values, np.vstack([front, front, [[np.nan, 0.5]]])):
        assert igd_plus(padded, whole, scale) == pytest.approx(igd_plus(some, front, scale))
        assert epsilon(padded, whole, scale) == epsilon(some, front, scale)
        assert epsilon_factor(padded, whole, NAMES) == epsilon_factor(some, front, NAMES)
    np.testing.assert_array_equal(padded, before)


def test_indicators_by_hand() -> None:
    front = [[1.0, 0.6], [3.0, 0.8]]
    scale = Scale.of(front, NAMES, reference=(5.0, 0.4))
    # Costs of the front (0, .5), (.5, 0); of the cell (.75, .25): gaps (.75, -.25), (.25, .25).
    cell = [[4.0, 0.7]]
    assert igd_plus(cell, front, scale) == pytest.approx((0.75 + 0.25 * math.sqrt(2)) / 2)
    assert epsilon(cell, front, scale) == pytest.approx(0.75)
    # 4 / 1 in energy is the most that is missing.
    assert epsilon_factor(cell, front, NAMES) == pytest.approx(4.0)
    # A cell that beats the whole front: less than nothing is missing.
    assert epsilon([[1.0, 1.0]], [[2.0, 0.6]], scale) == pytest.approx(-0.25)
    assert epsilon_factor([[1.0, 0.9]], [[2.0, 0.6]], NAMES) == pytest.approx(1 / 1.5)


def test_a_pareto_compliant_case_that_plain_igd_gets_wrong() -> None:
    """Example 4 of Ishibuchi et al. 2015: A dominates B and must be nearer."""
    names = ("energy_kwh", "training_time_s")
    front = [[10, 0], [6, 1], [2, 2], [1, 6], [0, 10]]
    scale = Scale.of(front, names, reference=(10.0, 10.0))
    a = igd_plus([[4, 2], [3, 3], [2, 4]], front, scale)
    b = igd_plus([[8, 2], [4, 4], [2, 8]], front, scale)
    # 10 times, since the scale runs from 0 to 10.
    assert (10 * a, 10 * b) == pytest.approx((1.482842712474619, 2.260112615949154))


def test_empty_sets_and_impossible_arguments() -> None:
    front = [[1.0, 0.6], [3.0, 0.8]]
    scale = Scale.of(front, NAMES)
    nothing: list[Any] = [np.empty((0, 2)), [[np.nan, 0.5]]]
    for none in nothing:
        assert igd_plus(none, front, scale) == epsilon(none, front, scale) == math.inf
        assert epsilon_factor(none, front, NAMES) == math.inf
        for indicator, last in ((igd_plus, scale), (epsilon, scale), (epsilon_factor, NAMES)):
            with pytest.raises(ConfigError, match="true front has no point"):
                indicator(front, none, last)  # type: ignore[operator]
    for one, other in (([[0.0, 0.5]], front), (front, [[1.0, 0.5], [0.5, 0.0]])):
        with pytest.raises(ConfigError, match="positive"):
            epsilon_factor(one, other, NAMES)


@pytest.mark.parametrize(
    ("accuracy", "energy_kwh", "printed"),
    # Rows r_1 of table 1 and the legend of figure 5 in the EC-NAS paper.
    [(0.91, 0.27, 1.41e6), (0.94, 0.41, 1.44e6), (0.92, 0.25, 1.42e6), (0.94, 0.62, 1.44e6)],
)
def test_figures_of_the_paper(accuracy: float, energy_kwh: float, printed: float) -> None:
    front = [[energy_kwh, accuracy], [0.01, 0.52]]
    assert paper_hypervolume(front) == pytest.approx(printed, abs=0.005e6)
    swapped = [row[::-1] for row in front]
    assert paper_hypervolume(swapped, NAMES[::-1]) == paper_hypervolume(front)


def test_the_papers_hypervolume_by_hand() -> None:
    # 1.44 times (1e6 - 1000 Wh).
    assert paper_hypervolume([[1.0, 0.94]]) == pytest.approx(1.44 * 999_000)
    assert paper_hypervolume([[np.nan, 0.9]]) == 0.0
    with pytest.raises(ConfigError, match="energy_kwh and validation_accuracy"):
        paper_hypervolume([[1.0, 0.9]], ("energy_kwh", "test_accuracy"))

"""The normalised hypervolume: 1 for the true front, no more for anything else."""

from __future__ import annotations

import doctest
import importlib
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naslib_ecnas.analysis import Scale, checkpoints, costs_of, nondominated
from naslib_ecnas.errors import ConfigError

module = importlib.import_module("naslib_ecnas.analysis.scale")

NAMES = ("energy_kwh", "validation_accuracy")


def table(seed: int, n: int = 300) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.column_stack([rng.lognormal(-4, 1, n), rng.beta(5, 2, n)])


@given(st.integers(0, 10**6))
@settings(max_examples=50, deadline=None)
def test_the_true_front_has_exactly_one(seed: int) -> None:
    values = table(seed)
    scale = Scale.of(values, NAMES)
    front = values[nondominated(costs_of(values, NAMES))]
    rng = np.random.default_rng(seed)
    assert scale.hypervolume(values) == 1.0
    assert scale.hypervolume(rng.permutation(front)) == 1.0
    part = values[rng.random(len(values)) < 0.2]
    assert 0 <= scale.hypervolume(part) <= 1


def test_units_do_not_matter() -> None:
    values = table(3)
    in_joules = values * [3.6e6, 1.0]
    names = ("gpu_energy_j", "validation_accuracy")
    a, b = Scale.of(values, NAMES), Scale.of(in_joules, names)
    assert a.hypervolume(values[:40]) == pytest.approx(b.hypervolume(in_joules[:40]), rel=1e-12)


def test_closed_form() -> None:
    # Normalised costs (0, 1/2), (1/2, 0), (1, 1): the first two dominate 3/4 of the square.
    values = [[0.0, 0.5], [1.0, 1.0], [2.0, 0.0]]
    scale = Scale.of(values, NAMES)
    assert (scale.ideal, scale.reference, scale.volume) == ((0.0, 1.0), (2.0, 0.0), 0.75)
    assert scale.hypervolume(values[:1]) == pytest.approx(0.5 / 0.75)


def test_nadir_is_the_fronts_own_worst_and_a_tenth_of_its_range() -> None:
    # The front is (1, .5), (2, .7), (3, .9); the rest of the table has no say.
    front = [[1.0, 0.5], [2.0, 0.7], [3.0, 0.9]]
    table = [*front, [50.0, 0.1], [4.0, 0.6], [np.nan, 1.0]]
    scale = Scale.of(table, NAMES, reference="nadir")
    assert scale == Scale.of(front, NAMES, reference="nadir")
    assert scale.ideal == (1.0, 0.9)
    # 3 + 0.1 (3 - 1) and 0.5 - 0.1 (0.9 - 0.5).
    assert scale.reference == pytest.approx((3.2, 0.46), rel=1e-15)
    # By hand, in steps of the stair: (.5-.46)(3.2-1) + (.7-.5)(3.2-2) + (.9-.7)(3.2-3).
    assert scale.volume == pytest.approx((0.088 + 0.24 + 0.04) / (2.2 * 0.44), rel=1e-12)
    # An extreme counts: (3.2-3)(.9-.46) of all.
    assert scale.hypervolume([[3.0, 0.9]]) == pytest.approx(0.088 / 0.368, rel=1e-12)
    assert scale.hypervolume([[4.0, 0.9], [3.0, 0.4]]) == 0.0


def test_one_outlier_widens_worst_but_not_nadir() -> None:
    values = table(4)
    outlier = np.vstack([values, [[1e3, 0.0]]])
    some = values[:10]
    widened = Scale.of(outlier, NAMES).hypervolume(some)
    assert widened > Scale.of(values, NAMES).hypervolume(some)
    assert Scale.of(outlier, NAMES, reference="nadir") == Scale.of(values, NAMES, reference="nadir")


def test_nadir_of_a_front_equal_in_an_objective_is_the_worst_of_the_table() -> None:
    # One cell is best in both: without the table's worst every other cell would have volume 1.
    values = [[1.0, 0.9], [2.0, 0.5], [3.0, 0.7]]
    scale = Scale.of(values, NAMES, reference="nadir")
    assert scale.reference == (3.0, 0.5)
    assert scale.hypervolume([[2.0, 0.7]]) == pytest.approx(0.5 * 0.5)


def test_reference_of_ones_own() -> None:
    values = [[0.0, 0.5], [1.0, 1.0], [2.0, 0.0]]
    assert Scale.of(values, NAMES, reference=(2.0, 0.0)) == Scale.of(values, NAMES)
    scale = Scale.of(values, NAMES, reference=[4.0, 0.0])
    # 4 * .5 + 3 * .5 of 4 * 1.
    assert scale.volume == pytest.approx(3.5 / 4)
    # Part of the front may lie beyond.
    assert Scale.of(values, NAMES, reference=(0.5, 0.0)).hypervolume(values[:1]) == 1.0


@pytest.mark.parametrize(
    "reference", ["best", (2.0,), (0.0, 0.0), (2.0, 1.0), (2.0, 0.0, 1.0), (np.nan, 0.0)]
)
def test_impossible_references(reference: object) -> None:
    with pytest.raises(ConfigError, match="reference"):
        Scale.of([[0.0, 0.5], [1.0, 1.0]], NAMES, reference=reference)  # type: ignore[arg-type]


@given(st.integers(0, 10**6), st.sampled_from(["worst", "nadir"]))
@settings(max_examples=40, deadline=None)
def test_more_cells_are_never_worse_and_none_beat_the_front(seed: int, reference: str) -> None:
    values = table(seed)
    scale = Scale.of(values, NAMES, reference=reference)  # type: ignore[arg-type]
    rng = np.random.default_rng(seed)
    part = values[rng.random(len(values)) < 0.1]
    before = part.copy()
    share = scale.hypervolume(part)
    assert scale.hypervolume(values) == 1.0
    assert share <= scale.hypervolume(np.vstack([part, values[:5]])) <= 1.0
    worse = np.column_stack([part[:, 0] * 1.1, part[:, 1] * 0.9])
    padded = np.vstack([worse, part, part, [[np.nan, 1.0]]])
    assert scale.hypervolume(padded) == pytest.approx(share, rel=1e-12)
    np.testing.assert_array_equal(part, before)


def test_costs_run_from_the_ideal_to_the_reference() -> None:
    scale = Scale.of([[0.0, 0.5], [1.0, 1.0], [2.0, 0.0]], NAMES)
    assert scale.costs([[1.0, 0.25]]).tolist() == [[0.5, 0.75]]


def test_cells_with_a_missing_value_are_left_out() -> None:
    values = np.vstack([table(1), [[np.nan, 1.0], [0.0, np.nan]]])
    assert Scale.of(values, NAMES) == Scale.of(table(1), NAMES)
    assert Scale.of(table(1), NAMES).hypervolume([[np.nan, 1.0]]) == 0.0


def test_a_front_without_volume_has_no_scale() -> None:
    assert math.isnan(Scale.of([[1.0, 0.1], [2.0, 0.9]], NAMES).hypervolume([[1.0, 0.1]]))


def test_a_table_of_one_cell() -> None:
    assert Scale.of([[1.0, 0.1]], NAMES).hypervolume([[1.0, 0.1]]) == 1.0


def test_nothing_known_is_refused() -> None:
    with pytest.raises(ConfigError, match="no cell has a value"):
        Scale.of([[np.nan, 1.0]], NAMES)


def test_anytime_is_the_hypervolume_of_each_beginning() -> None:
    values = table(8)
    scale = Scale.of(values, NAMES)
    counts = checkpoints(len(values))
    curve = scale.anytime(values, counts)
    assert curve.tolist() == [scale.hypervolume(values[:n]) for n in counts]
    assert (np.diff(curve) >= 0).all()
    assert curve[-1] == 1.0


@pytest.mark.parametrize("counts", [[3, 2], [-1, 2]])
def test_anytime_wants_ascending_numbers(counts: list[int]) -> None:
    with pytest.raises(ConfigError, match="ascend"):
        Scale.of(table(8), NAMES).anytime(table(8), counts)


@pytest.mark.parametrize("n", [1, 2, 7, 100, 12345])
def test_checkpoints_end_with_the_last_evaluation(n: int) -> None:
    counts = checkpoints(n)
    assert counts[0] == 1
    assert counts[-1] == n
    assert (np.diff(counts) > 0).all()


def test_examples() -> None:
    assert doctest.testmod(module).failed == 0


def test_front_and_knee_of_the_official_5v_table(reference: object) -> None:
    """The knee that the paper's rule gives, from an independent reading of the raw runs."""
    parquet = pytest.importorskip("pyarrow.parquet")
    raw = parquet.read_table(f"{reference}/measured_5v_4epochs_rtx6000.parquet").to_pydict()
    values = np.column_stack([raw["final_energy_kwh"], raw["final_validation_accuracy"]])
    scale = Scale.of(values, NAMES)
    assert scale.ideal == pytest.approx((0.005077, 0.770132), rel=1e-6)
    assert scale.reference == pytest.approx((0.050151, 0.056691), rel=1e-5)
    assert scale.volume == pytest.approx(0.968140, abs=1e-6)
    assert nondominated(costs_of(values, NAMES)).sum() == 13

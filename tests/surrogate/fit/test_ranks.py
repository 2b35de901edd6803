"""Normal scores and the curves back to accuracies, on synthetic numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naslib_ecnas.quality import Z90
from naslib_ecnas.surrogate.fit.accuracy import curves, normal_scores

pytest.importorskip("scipy")
pytest.importorskip("sklearn")


def synthetic(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Scores, and accuracies that rise along them with four times the noise in the lower half."""
    rng = np.random.default_rng(seed)
    score = rng.normal(size=n)
    rising = 0.6 + 0.3 * np.tanh(score)
    return score, rising + rng.normal(size=n) * np.where(score < 0, 0.04, 0.01)


# -- normal scores -------------------------------------------------------------------------------


def test_scores_written_out() -> None:
    from statistics import NormalDist

    found = normal_scores(np.array([0.3, 0.9, 0.1, 0.5]))
    wanted = [NormalDist().inv_cdf(q) for q in (0.375, 0.875, 0.125, 0.625)]
    np.testing.assert_allclose(found, wanted, atol=1e-12)
    # Equal values share the mean of their ranks.
    np.testing.assert_allclose(normal_scores(np.array([1.0, 1.0, 1.0])), 0, atol=1e-12)


@given(st.lists(st.integers(-20, 20) | st.none(), max_size=40))
@settings(deadline=None)
def test_scores_keep_order_and_gaps(values: list[int | None]) -> None:
    array = np.array([np.nan if v is None else v for v in values], dtype=float)
    found = normal_scores(array)
    assert (np.isnan(found) == np.isnan(array)).all()
    there = ~np.isnan(array)
    order = np.argsort(array[there], kind="stable")
    rises = np.diff(array[there][order]) > 0
    assert ((np.diff(found[there][order]) > 0) == rises).all()
    # Missing values change nothing, nor does another scale.
    np.testing.assert_array_equal(normal_scores(array[there]), found[there])
    np.testing.assert_array_equal(normal_scores(array[there] ** 3), found[there])
    np.testing.assert_allclose(normal_scores(-array[there]), -found[there], atol=1e-9)


def test_scores_of_many_are_normal() -> None:
    found = normal_scores(np.random.default_rng(0).beta(20, 2, 5000))
    assert abs(found.mean()) < 1e-9
    assert found.std() == pytest.approx(1, abs=0.005)


# -- curves --------------------------------------------------------------------------------------


@pytest.mark.parametrize("knots", [5, 33, 101])
def test_shapes_and_monotony(knots: int) -> None:
    score, accuracy = synthetic(2000)
    at, mean, deviation = curves(score, accuracy, knots=knots)
    assert at.shape == mean.shape == deviation.shape == (knots,)
    assert (np.diff(np.unique(at)) > 0).all()
    assert (np.diff(at) >= 0).all()
    assert (np.diff(mean) >= 0).all()
    assert (deviation > 0).all()
    assert (at[0], at[-1]) == (score.min(), score.max())
    # What is repeated at the end is one knot.
    assert (mean[at == at[-1]] == mean[-1]).all()


def test_the_curve_is_the_mean_and_keeps_it() -> None:
    score, accuracy = synthetic(6000)
    at, mean, _ = curves(score, accuracy)
    fresh, _ = synthetic(3000, seed=1)
    inner = np.abs(fresh) < 2
    off = np.interp(fresh, at, mean) - (0.6 + 0.3 * np.tanh(fresh))
    assert np.abs(off[inner]).max() < 0.04
    assert np.sqrt((off[inner] ** 2).mean()) < 0.008
    assert np.interp(score, at, mean).mean() == pytest.approx(accuracy.mean(), abs=0.002)


def test_cells_of_different_scores_do_not_tie() -> None:
    score, accuracy = synthetic(3000)
    at, mean, _ = curves(score, accuracy)
    found = np.interp(score, at, mean)
    assert len(np.unique(found)) > 0.97 * len(np.unique(score))


def test_an_order_that_says_nothing_has_the_mean_everywhere() -> None:
    rng = np.random.default_rng(2)
    accuracy = rng.uniform(0.4, 0.6, 4000)
    _, mean, _ = curves(-accuracy, accuracy)  # the wrong way round
    np.testing.assert_allclose(mean, accuracy.mean(), atol=1e-6)


def test_nine_of_ten_new_ones_lie_inside_high_and_low() -> None:
    score, accuracy = synthetic(4000)
    at, mean, deviation = curves(score, accuracy)
    fresh, true = synthetic(8000, seed=5)
    inside = np.abs(true - np.interp(fresh, at, mean)) <= Z90 * np.interp(fresh, at, deviation)
    assert inside.mean() == pytest.approx(0.9, abs=0.02)
    for part in (fresh < -0.3, fresh > 0.3):
        assert inside[part].mean() == pytest.approx(0.9, abs=0.03)
    # The deviation is that of the noise on either side.
    assert np.interp(-1.0, at, deviation) == pytest.approx(0.04, rel=0.2)
    assert np.interp(1.0, at, deviation) == pytest.approx(0.01, rel=0.2)


@pytest.mark.parametrize("knots", [12, 101])
def test_an_order_without_error_has_a_curve_to_its_end(knots: int) -> None:
    """Its steps are as many as its cells, more than there are knots."""
    score = np.linspace(-2, 2, 4001)
    at, mean, deviation = curves(score, 0.5 + 0.1 * score, knots=knots)
    assert at[-1] == 2
    np.testing.assert_allclose(np.interp(score, at, mean), 0.5 + 0.1 * score, atol=1e-6)
    assert deviation.max() < 1e-6


def test_the_order_of_the_cells_does_not_matter() -> None:
    score, accuracy = synthetic(500)
    turned = np.random.default_rng(0).permutation(500)
    for one, other in zip(
        curves(score, accuracy), curves(score[turned], accuracy[turned]), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 5, 9, 50])
def test_few_cells(n: int) -> None:
    score, accuracy = synthetic(n)
    at, mean, deviation = curves(score, accuracy)
    assert at.shape == mean.shape == deviation.shape == (101,)
    assert np.isfinite(at).all()
    assert np.isfinite(deviation).all()
    assert (np.diff(mean) >= 0).all()
    assert accuracy.min() - 1e-12 <= mean.min() <= mean.max() <= accuracy.max() + 1e-12


def test_equal_scores() -> None:
    at, mean, deviation = curves(np.zeros(200), np.linspace(0.4, 0.6, 200))
    assert (at == 0).all()
    np.testing.assert_allclose(mean, 0.5)
    # Nine tenths of |uniform(-.1, .1)| lie below .09.
    np.testing.assert_allclose(deviation, 0.09 / 1.645, rtol=0.02)


def test_equal_scores_are_told_by_no_order() -> None:
    rng = np.random.default_rng(3)
    score, accuracy = rng.integers(0, 6, 900) / 6, rng.normal(size=900)
    shuffled = rng.permutation(900)
    for one, other in zip(
        curves(score, accuracy), curves(score[shuffled], accuracy[shuffled]), strict=True
    ):
        np.testing.assert_allclose(one, other)

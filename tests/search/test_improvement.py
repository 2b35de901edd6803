"""The expected improvement of the hypervolume, against exact volumes and Monte Carlo."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naslib_ecnas.analysis import hypervolume, nondominated
from naslib_ecnas.search.mse_hvi import expected_improvement


def made_up(m: int, k: int, n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    front = rng.random((k, m))
    front = front[nondominated(front)] if k else front
    return front, rng.random((n, m)) * 1.4 - 0.2, np.full(m, 1.1)


@given(st.integers(2, 4), st.integers(0, 12), st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_a_certain_point_gains_what_the_hypervolume_does(m: int, k: int, seed: int) -> None:
    front, mean, reference = made_up(m, k, 5, seed)
    gain = expected_improvement(mean, np.zeros_like(mean), front, reference)
    before = hypervolume(front, reference)
    for point, found in zip(mean, gain, strict=True):
        after = hypervolume(np.vstack([front, point]), reference)
        assert found == pytest.approx(after - before, abs=1e-9)


@pytest.mark.parametrize("m", [2, 3])
def test_an_uncertain_point_gains_the_mean_over_its_draws(m: int) -> None:
    front, mean, reference = made_up(m, 6, 3, 1)
    std = np.full_like(mean, 0.2)
    gain = expected_improvement(mean, std, front, reference)
    before = hypervolume(front, reference)
    rng = np.random.default_rng(0)
    for i, found in enumerate(gain):
        draws = mean[i] + std[i] * rng.normal(size=(2000, m))
        gains = [hypervolume(np.vstack([front, d]), reference) - before for d in draws]
        error = np.std(gains) / np.sqrt(len(gains))
        assert found == pytest.approx(np.mean(gains), abs=4 * error)


def test_one_objective_at_a_time_by_hand() -> None:
    """No front: E[(1 - Y1)+] E[(1 - Y2)+], and E[(t - Y)+] = s phi(0) where the mean is t."""
    gain = expected_improvement(
        np.array([[1.0, 0.5]]), np.array([[0.3, 0.0]]), np.empty((0, 2)), np.array([1.0, 1.0])
    )
    assert gain[0] == pytest.approx(0.3 / np.sqrt(2 * np.pi) * 0.5, abs=1e-6)


@given(st.integers(2, 3), st.integers(0, 8), st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_a_larger_front_never_makes_it_larger(m: int, k: int, seed: int) -> None:
    front, mean, reference = made_up(m, k, 6, seed)
    std = np.full_like(mean, 0.1)
    small = expected_improvement(mean, std, front, reference)
    larger = np.vstack([front, np.random.default_rng(seed).random((1, m))])
    larger = larger[nondominated(larger)]
    assert (expected_improvement(mean, std, larger, reference) <= small + 1e-9).all()
    assert (small >= 0).all()

"""MSE-HVI: its regression, its expected improvement, and what it chooses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from naslib_ecnas import network
from naslib_ecnas.analysis import hypervolume, nondominated
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.search import MseHvi, Problem
from naslib_ecnas.search.mse_hvi import FourierFeatures, Regression, expected_improvement
from naslib_ecnas.space import Space

Driven = Callable[..., list[int]]

SPACE = Space(5)
SIZE = network.multiply_adds(np.arange(len(SPACE))).astype(float) / 1e9
COSTS = np.column_stack([SIZE, 1 / (1 + SIZE) + 0.02 * np.random.default_rng(9).random(len(SPACE))])


def search_of(**options: Any) -> MseHvi:
    return MseHvi(Problem(SPACE, np.random.default_rng(0)), **options)


def test_the_choice_is_the_largest_expected_improvement_of_the_pool(driven: Driven) -> None:
    search = search_of(batch=6)
    driven(search, 3, COSTS)
    drawn = np.random.default_rng(3).integers(0, 2532, 90)
    pool = np.setdiff1d(drawn, driven(search_of(batch=6), 3, COSTS)).astype(np.int32)
    mean, std = search.predict(pool)
    worst, front, wanted = search._worst, search.front.costs, []
    for _ in range(6):
        # Brute force: all of the pool anew for each choice, as if those before were found.
        gain = expected_improvement(mean, std, front, worst)
        gain[wanted] = -1
        wanted.append(int(gain.argmax()))
        front = np.vstack([front, mean[wanted[-1]]])
    assert search._chosen(pool).tolist() == wanted


def test_no_cell_comes_twice_and_the_front_is_of_all(driven: Driven) -> None:
    search = search_of()
    seen = driven(search, 30, COSTS)
    assert len(set(seen)) == 10 + 29 * 10
    assert set(search.front.rows) == set(np.array(seen)[nondominated(COSTS[seen])])


def test_failed_evaluations_are_not_learnt_from(driven: Driven) -> None:
    search = search_of()
    driven(search, 3, np.full_like(COSTS, np.nan))
    with pytest.raises(ConfigError, match="at least two cells"):
        search.predict([1])
    driven(search, 3, COSTS)
    assert np.isfinite(search.predict([1])[0]).all()


# -- expected improvement ----


def made_up(m: int, k: int, n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    front = rng.random((k, m))
    front = front[nondominated(front)] if k else front
    return front, rng.random((n, m)) * 1.4 - 0.2, np.full(m, 1.1)


@given(st.integers(2, 4), st.integers(0, 12), st.integers(0, 10**6))
def test_a_certain_point_gains_what_the_hypervolume_does(m: int, k: int, seed: int) -> None:
    front, mean, reference = made_up(m, k, 5, seed)
    gain = expected_improvement(mean, np.full_like(mean, 1e-12), front, reference)
    before = hypervolume(front, reference)
    for point, found in zip(mean, gain, strict=True):
        after = hypervolume(np.vstack([front, point]), reference)
        assert found == pytest.approx(after - before, abs=1e-9)


# -- regression ----


def test_predictions_are_those_of_the_closed_form() -> None:
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(40, 6)), rng.normal(size=(40, 2)) * [3.0, 0.1] + [5.0, -1.0]
    model = Regression()
    model.add(z[:25], y[:25])
    model.add(z[25:], y[25:])
    new = rng.normal(size=(7, 6))
    mean, std = model.predict(new)
    for t in range(2):
        target = (y[:, t] - y[:, t].mean()) / y[:, t].std()
        evidence = []
        for ratio in np.logspace(-3, 3, 13):
            # y ~ N(0, s^2 (I + Z Z' / r)) with the most likely s^2.
            cover = np.eye(40) + z @ z.T / ratio
            noise = target @ np.linalg.solve(cover, target) / 40
            evidence.append((-20 * np.log(noise) - np.linalg.slogdet(cover)[1] / 2, noise, ratio))
        _, noise, ratio = max(evidence)
        precision = z.T @ z + ratio * np.eye(6)
        wanted = new @ np.linalg.solve(precision, z.T @ target)
        np.testing.assert_allclose(mean[:, t], wanted * y[:, t].std() + y[:, t].mean(), rtol=1e-6)
        spread = noise * (1 + (new @ np.linalg.inv(precision) * new).sum(axis=1))
        np.testing.assert_allclose(std[:, t], np.sqrt(spread) * y[:, t].std(), rtol=1e-6)


def test_cosines_approach_the_gaussian_kernel_and_constants_are_no_trouble() -> None:
    rng = np.random.default_rng(1)
    features = FourierFeatures(4, rng, cosines=20_000)
    x = rng.normal(size=(6, 4))
    cosines = features(x)[:, 5:]
    distance = ((x[:, None] - x[None]) ** 2).sum(axis=2)
    np.testing.assert_allclose(cosines @ cosines.T, np.exp(-distance / (2 * 8)), atol=0.03)
    assert features(x).shape == (6, 1 + 4 + 20_000)
    # Constant targets are no trouble.
    model = Regression()
    model.add(np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]]), np.full((3, 1), 7.0))
    mean, std = model.predict(np.array([[1.0, 5.0]]))
    assert mean[0, 0] == pytest.approx(7.0)
    assert np.isfinite(std).all()

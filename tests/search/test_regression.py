"""The regression against its closed form, and what it can learn."""

from __future__ import annotations

import numpy as np
import pytest

from naslib_ecnas.search.mse_hvi import FourierFeatures, Regression
from naslib_ecnas.search.operators import Encoding
from naslib_ecnas.space import Space


def test_predictions_are_those_of_the_closed_form() -> None:
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(40, 6)), rng.normal(size=(40, 2)) * [3.0, 0.1] + [5.0, -1.0]
    model = Regression(6, 2)
    model.add(z[:25], y[:25])
    model.add(z[25:], y[25:])
    new = rng.normal(size=(7, 6))
    mean, std = model.fit()(new)
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


def test_cosines_approach_the_gaussian_kernel() -> None:
    rng = np.random.default_rng(1)
    features = FourierFeatures(4, rng, cosines=20_000, length=1.0)
    x = rng.normal(size=(6, 4))
    cosines = features(x)[:, 5:]
    distance = ((x[:, None] - x[None]) ** 2).sum(axis=2)
    np.testing.assert_allclose(cosines @ cosines.T, np.exp(-distance / (2 * 8)), atol=0.03)
    assert features(x).shape == (6, len(features))


def test_constant_targets_are_no_trouble() -> None:
    model = Regression(2, 1)
    model.add(np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]]), np.full((3, 1), 7.0))
    mean, std = model.fit()(np.array([[1.0, 5.0]]))
    assert mean[0, 0] == pytest.approx(7.0)
    assert np.isfinite(std).all()


@pytest.mark.parametrize("vertices", [2, 3, 4, 5, 7])
def test_encodings_tell_cells_apart(vertices: int) -> None:
    space = Space(vertices)
    encode = Encoding(space, np.random.default_rng(0))
    rows = np.arange(min(len(space), 2532), dtype=np.int32)
    columns = encode(rows)
    assert columns.shape == (len(rows), len(encode))
    assert np.isfinite(columns).all()
    if 2 < vertices < 7:  # every cell is in the sample that sets the scale, nearly
        assert len(np.unique(columns.round(9), axis=0)) == len(rows)


def test_it_learns_a_function_of_the_cell() -> None:
    space, rng = Space(5), np.random.default_rng(0)
    encode = Encoding(space, rng)
    features = FourierFeatures(len(encode), rng)
    rows = rng.permutation(len(space)).astype(np.int32)
    target = np.array([space.cell(int(r)).edges + 2.0 * space.cell(int(r)).vertices for r in rows])
    model = Regression(len(features), 1)
    model.add(features(encode(rows[:200])), target[:200, None])
    mean, std = model.fit()(features(encode(rows[200:700])))
    error = np.abs(mean[:, 0] - target[200:700])
    assert error.mean() < 0.25 * np.abs(target - target.mean()).mean()
    assert 0.5 < np.mean(error < 1.645 * std[:, 0]) <= 1

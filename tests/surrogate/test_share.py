"""Shares of the GPU: closed forms over the epochs, and a fit of synthetic runs."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from naslib_ecnas.errors import ConfigError
from naslib_ecnas.space import Space
from naslib_ecnas.surrogate.features import features
from naslib_ecnas.surrogate.fit.devices import fit_shares
from naslib_ecnas.surrogate.fit.reference import Measured
from naslib_ecnas.surrogate.models import Weights, shipped, shipped_descriptors
from naslib_ecnas.surrogate.share import ShareModel, gpu_share

ROWS = Space(7).sample(np.random.default_rng(1), 400).astype(np.int64)
SLOPES = np.array([0.3, -0.2, 0.1, 0.05, -0.1])


def logit(share: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.log(share / (1 - share))


@pytest.fixture(scope="module")
def x() -> NDArray[np.float64]:
    return features(ROWS)


def model(*points: tuple[float, float, float]) -> ShareModel:
    """Shares with these (epochs, intercept, sd) and the same slopes."""
    array = [[epochs, intercept, *SLOPES, sd] for epochs, intercept, sd in points]
    return ShareModel(shipped_descriptors(), np.array(array))


def test_between_two_budgets_the_logit_is_straight_in_the_logarithm(
    x: NDArray[np.float64],
) -> None:
    both = model((4, 0.5, 0.02), (108, 1.5, 0.04))
    slope = shipped_descriptors()(x) @ SLOPES
    for epochs, intercept, sd in [
        (4, 0.5, 0.02),
        (4 * 27**0.5, 1.0, 0.03),
        (12, 0.5 + 1 / 3, 0.02 + 0.02 / 3),
        (108, 1.5, 0.04),
        (1, 0.5, 0.02),
        (1000, 1.5, 0.04),
    ]:
        share, std = both.predict(x, epochs)
        np.testing.assert_allclose(logit(share), intercept + slope, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(std, sd, rtol=1e-12)


def test_shares_of_budgets_are_those_of_each(x: NDArray[np.float64]) -> None:
    for one in (model((4, 0.5, 0.02), (108, 1.5, 0.04)), model((1, 0.7, 0.02))):
        found = one.shares(x, (4, 12, 108))
        assert found.shape == (len(x), 3)
        for column, epochs in zip(found.T, (4, 12, 108), strict=True):
            np.testing.assert_allclose(column, one.predict(x, epochs)[0], rtol=1e-12)


def runs(rows: NDArray[np.int64], intercept: float, noise: float, seed: int) -> Measured:
    """Synthetic runs whose shares have the slopes above, each cell twice."""
    rows = np.repeat(rows, 2)
    true = intercept + shipped_descriptors()(features(rows)) @ SLOPES
    share = 1 / (1 + np.exp(-true)) + np.random.default_rng(seed).normal(0, noise, len(rows))
    columns = {"gpu_energy_j": 1e4 * share, "cpu_energy_j": 1e4 * (1 - share)}
    return Measured("synthetic", "0" * 64, rows, columns)


def test_a_synthetic_share_is_found() -> None:
    noise = 0.004
    found = fit_shares(
        shipped_descriptors(),
        runs(ROWS, 0.7, noise, 0),
        runs(ROWS[:300], 0.5, noise, 1),
        runs(ROWS[:200], 1.5, noise, 2),
    )
    assert set(found) == {"rtx-3090", "quadro-rtx-6000"}
    for device, intercepts in (("rtx-3090", {1: 0.7}), ("quadro-rtx-6000", {4: 0.5, 108: 1.5})):
        points, score = found[device]
        assert points[:, 0].tolist() == list(intercepts)
        np.testing.assert_allclose(points[:, 1], list(intercepts.values()), atol=0.01)
        np.testing.assert_allclose(points[:, 2:7], [SLOPES] * len(points), atol=0.02)
        # In ten folds the 90 % quantile over 1.645 is the noise, and nine of ten lie inside.
        np.testing.assert_allclose(points[:, 7], noise, rtol=0.15)
        assert score.coverage == pytest.approx(0.9, abs=0.01)
        assert abs(score.bias - 1) < 0.002
        assert score.mae == pytest.approx(noise * (2 / np.pi) ** 0.5, rel=0.15)


def test_other_devices_have_none(x: NDArray[np.float64]) -> None:
    weights = Weights.load(shipped("devices"))
    share, std = gpu_share(x, device="RTX 3090", weights=weights)
    assert ((share > 0.3) & (share < 1)).all()
    assert (std > 0).all()
    with pytest.raises(ConfigError, match="not measured on this device"):
        gpu_share(x, device="titan-xp", weights=weights)

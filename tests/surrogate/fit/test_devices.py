"""Fitting devices: the published GPUs again, and shares of the GPU from synthetic runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from naslib_ecnas.space import Space
from naslib_ecnas.surrogate.devices import shipped_descriptors
from naslib_ecnas.surrogate.features import features
from naslib_ecnas.surrogate.fit.devices import fit_devices, fit_shares
from naslib_ecnas.surrogate.fit.reference import Measured
from naslib_ecnas.surrogate.models import Weights

ROWS = Space(7).sample(np.random.default_rng(1), 400).astype(np.int64)
SLOPES = np.array([0.3, -0.2, 0.1, 0.05, -0.1])


def runs(rows: np.ndarray, intercept: float, noise: float, seed: int) -> Measured:
    """Each cell twice; the logit of the share is linear in the descriptors."""
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


def test_fitting_again_gives_the_shipped_numbers(reference: Path) -> None:
    weights = Weights.shipped("devices")
    again = fit_devices(reference)
    assert again.arrays.keys() == weights.arrays.keys()
    for name, array in weights.arrays.items():
        np.testing.assert_allclose(again.arrays[name], array, rtol=1e-4, atol=1e-7, err_msg=name)
    assert again.header["data"] == weights.header["data"]
    for line, shipped in zip(again.header["quality"], weights.header["quality"], strict=True):
        assert line["scores"] == pytest.approx(shipped["scores"], rel=0.02)
        assert {**line, "scores": None} == {**shipped, "scores": None}
    factors = [run["factor"] for run in again.header["report"]["rtx-3090"]]
    assert len(factors) > 15
    assert min(factors) > 1.02

"""Fitting devices: the published GPUs again, and shares of the GPU from synthetic runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from naslib_ecnas.quality import bounds
from naslib_ecnas.space import Space
from naslib_ecnas.surrogate.calibrate import Measurements
from naslib_ecnas.surrogate.devices import Descriptors, DeviceModel
from naslib_ecnas.surrogate.features import features
from naslib_ecnas.surrogate.fit.devices import fit_devices, fit_shares, with_small_cells
from naslib_ecnas.surrogate.fit.reference import Files, Measured, read_measured
from naslib_ecnas.surrogate.modelled import Models, calibration_of
from naslib_ecnas.surrogate.models import BUDGETS, Weights
from naslib_ecnas.surrogate.robust import conformal_sd

ROWS = Space(7).sample(np.random.default_rng(1), 400).astype(np.int64)
SLOPES = np.array([0.3, -0.2, 0.1, 0.05, -0.1])


def runs(rows: np.ndarray, intercept: float, noise: float, seed: int) -> Measured:
    """Each cell twice; the logit of the share is linear in the descriptors."""
    rows = np.repeat(rows, 2)
    true = intercept + Descriptors.shipped()(features(rows)) @ SLOPES
    share = 1 / (1 + np.exp(-true)) + np.random.default_rng(seed).normal(0, noise, len(rows))
    columns = {"gpu_energy_j": 1e4 * share, "cpu_energy_j": 1e4 * (1 - share)}
    return Measured("synthetic", "0" * 64, rows, columns)


def test_a_synthetic_share_is_found() -> None:
    noise = 0.004
    found = fit_shares(
        Descriptors.shipped(),
        runs(ROWS, 0.7, noise, 0),
        runs(ROWS[:300], 0.5, noise, 1),
        runs(ROWS[:200], 1.5, noise, 2),
    )
    assert set(found) == {"rtx-3090", "quadro-rtx-6000"}
    for device, intercepts in (("rtx-3090", {1: 0.7}), ("quadro-rtx-6000", {4: 0.5, 108: 1.5})):
        points = found[device]
        assert points[:, 0].tolist() == list(intercepts)
        np.testing.assert_allclose(points[:, 1], list(intercepts.values()), atol=0.01)
        np.testing.assert_allclose(points[:, 2:7], [SLOPES] * len(points), atol=0.02)
        # In ten folds the 90 % quantile over 1.645 is the noise.
        np.testing.assert_allclose(points[:, 7], noise, rtol=0.15)


def test_cells_of_few_vertices_keep_a_deviation_of_their_own() -> None:
    weights = Weights.shipped("devices")
    model = replace(DeviceModel.from_weights(weights, "titan-xp"), sd=0.05, vertices=3)
    rows = np.arange(91)
    off = np.random.default_rng(0).normal(0, 0.02, 91)
    few = Measurements.of(rows, model.predict(features(rows))[0] * np.exp(off))
    found = with_small_cells(model, few)
    assert found.sd == pytest.approx(conformal_sd(np.abs(off)))
    assert (found.vertices, found.sd**2 + found.beyond**2) == (2, pytest.approx(0.05**2))
    mean, std = found.predict(features(np.array([50, 1500])))
    wanted = np.array([found.sd, 0.05])
    assert (std / mean >= wanted - 1e-12).all()  # more outside of the calibrated range
    assert std[0] / mean[0] == pytest.approx(found.sd)


def test_single_trainings_of_four_vertex_cells_lie_in_their_intervals(reference: Path) -> None:
    runs = read_measured(reference / Files.FOUR_VERTICES)
    calibration, _ = calibration_of("quadro-rtx-6000")
    found = Models.shipped(calibration).energies(runs.rows, BUDGETS)
    ends = bounds("energy_kwh", found["energy_kwh"], found["energy_kwh_std"])
    for i, budget in enumerate(BUDGETS):
        own = runs["budget_epochs"] == budget
        energy = runs["final_energy_kwh"][own]
        inside = (energy >= ends[own, i, 0]) & (energy <= ends[own, i, 1])
        assert 0.85 <= inside.mean() <= 0.95, budget


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

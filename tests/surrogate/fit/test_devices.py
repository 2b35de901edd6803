"""Fitting devices and growth again gives the shipped numbers; intervals of single trainings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from naslib_ecnas.quality import bounds
from naslib_ecnas.surrogate.fit.devices import fit_devices, fit_epochs
from naslib_ecnas.surrogate.fit.reference import Files, read_measured
from naslib_ecnas.surrogate.modelled import Models
from naslib_ecnas.surrogate.models import BUDGETS, Weights


def test_single_trainings_of_four_vertex_cells_lie_in_their_intervals(reference: Path) -> None:
    runs = read_measured(reference / Files.FOUR_VERTICES)
    found = Models.shipped("quadro-rtx-6000").energies(runs.rows, BUDGETS)
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


def test_the_growth_again_gives_the_shipped_numbers(reference: Path) -> None:
    again, shipped = fit_epochs(reference, folds=2), Weights.shipped("epochs")
    np.testing.assert_allclose(again.arrays["ratio"], shipped.arrays["ratio"], rtol=1e-6, atol=1e-9)
    assert again.header["data"] == shipped.header["data"]
    scores = again.header["quality"][0]["scores"]
    assert scores["mape"] <= 3
    # The deviation is of single trainings, of which nine of ten lie within their intervals.
    assert scores["coverage"] == pytest.approx(0.9, abs=0.002)
    assert again.arrays["sd"] == pytest.approx(shipped.arrays["sd"], rel=0.05)

"""Fitting the energy: widths, times and the ensemble, on synthetic cells."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from naslib_ecnas.errors import ConfigError, UnknownTableError
from naslib_ecnas.quality import Z90
from naslib_ecnas.space import Space
from naslib_ecnas.surrogate.features import LAYER_SUMS, features
from naslib_ecnas.surrogate.fit import energy as module
from naslib_ecnas.surrogate.fit.common import Plan, distil
from naslib_ecnas.surrogate.fit.energy import (
    EnergyData,
    fit_energy,
    fit_epoch_time,
    fit_error,
    fit_student,
    fit_teacher,
    relative_error,
)
from naslib_ecnas.surrogate.fit.reference import Measured

# -- widths of the intervals ---------------------------------------------------------------------


def errors(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Energies, log spreads, and errors whose scale is 0.3 energy^-0.4 spread^0.5."""
    rng = np.random.default_rng(seed)
    energy, spread = np.exp(rng.normal(2.5, 0.5, n)), rng.normal(-5, 0.6, n)
    scale = 0.3 * energy**-0.4 * np.exp(0.5 * spread)
    return energy, spread, rng.laplace(size=n) * scale


def test_the_law_of_the_errors_is_found_and_intervals_hold_nine_of_ten() -> None:
    constant, by_energy, by_spread = fit_error(*errors(20_000))
    assert by_energy == pytest.approx(-0.4, abs=0.05)
    assert by_spread == pytest.approx(0.5, abs=0.05)
    # The 90 % point of |Laplace| is log 10.
    assert constant == pytest.approx(np.log(0.3 * np.log(10) / Z90), abs=0.25)
    for seed in range(3):
        error = fit_error(*errors(3000, seed))
        energy, spread, off = errors(3000, seed + 100)
        held = np.abs(off) <= Z90 * relative_error(error, energy, spread)
        assert 0.88 < held.mean() < 0.92
    # Outliers do not widen the rest.
    energy, spread, off = errors(3000)
    wild = off.copy()
    wild[:60] = 2.0
    plain, robust = fit_error(energy, spread, off), fit_error(energy, spread, wild)
    ratio = relative_error(robust, energy, spread) / relative_error(plain, energy, spread)
    assert 1 < np.median(ratio) < 1.3


# -- time of an epoch ----------------------------------------------------------------------------


def synthetic_times(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, times that are a sum over layers, and the same with 0.5 % of noise."""
    rng = np.random.default_rng(0)
    x = features(rows)[:, :LAYER_SUMS].astype(np.float64)
    exact = 5 + x @ np.abs(rng.normal(size=LAYER_SUMS)) / x.std(axis=0).clip(1e-9).sum()
    return x, exact, exact * (1 + 0.005 * rng.normal(size=len(rows)))


def test_a_sum_over_layers_is_found() -> None:
    rows = np.unique(Space(7).sample(np.random.default_rng(0), 800)).astype(int)
    x, exact, noisy = synthetic_times(rows)
    fitted = fit_epoch_time(x[:600], noisy[:600])
    assert np.abs(fitted(x[600:]) / exact[600:] - 1).mean() < 0.004
    few = fit_epoch_time(x[:40], noisy[:40])  # fewer than features
    assert np.mean(np.abs(few(x) / exact - 1)) < 0.15
    with pytest.raises(ConfigError, match="10 or more cells must have a measured time"):
        fit_epoch_time(x[:9], noisy[:9])


def test_half_the_measured_times_predict_the_other_half(reference: Path) -> None:
    data = module.read_energy(reference)
    x, seconds = data.x_once, data.once["final_training_time_s"]
    wrong = fit_epoch_time(x[::2], seconds[::2])(x[1::2]) / seconds[1::2] - 1
    assert np.mean(np.abs(wrong)) < 0.01


@pytest.mark.usefixtures("torch", "lightgbm")
def test_more_cells_have_smaller_errors(reference: Path) -> None:
    script = runpy.run_path(str(Path(__file__).parents[3] / "benchmarks" / "learning_curve.py"))
    found = script["errors"](reference, (50, 250), 2)
    assert len(np.unique(found)) == 4
    assert found[:, 1].mean() < 0.75 * found[:, 0].mean()


# -- the ensemble, the student, and the whole fit ------------------------------------------------

QUICK: dict[str, Any] = {"processes": 1, "subset": 60, "steps": 8, "trees": 30}


def synthetic_energies(n: int = 120) -> EnergyData:
    """Cells whose mean power is 250 W, a little more for convolutions, with 2 % of noise."""
    rng = np.random.default_rng(1)
    rows = np.unique(Space(7).sample(rng, n)).astype(np.int64)
    _, seconds, noisy = synthetic_times(rows)
    power = 250 * (1 + 0.02 * features(rows)[:, 0]) * np.exp(0.02 * rng.normal(size=len(rows)))
    split = np.where(np.arange(len(rows)) % 4 == 0, "valid", "train").astype(object)
    columns = {"energy_kwh": power * seconds / 3.6e6, "paper_split": split}
    once = Measured("times", "", rows, {"final_training_time_s": noisy})
    return EnergyData(Measured("energies", "", rows, columns), once)


@pytest.mark.usefixtures("torch", "lightgbm")
def test_the_ensemble_sees_the_chosen_cells_only_and_the_student_imitates_it() -> None:
    data = synthetic_energies()
    chosen, unseen = np.arange(len(data.x)) % 2 == 0, features(np.arange(1000, 1200))
    time, teacher = fit_teacher(data, chosen, **QUICK)
    power, spread = teacher(unseen)
    data.measured.columns["energy_kwh"][~chosen] *= 7
    data.once.columns["final_training_time_s"][~chosen] *= 7
    again = fit_teacher(data, chosen, **QUICK)[1](unseen)
    assert np.array_equal(power, again[0])
    assert np.array_equal(spread, again[1])
    wanted = np.exp(time.power_inputs(unseen)[:, -2] + power) / 3.6e6
    mean, std = fit_student(time, teacher, cells=500, epochs=15, seed=1).predict(unseen)
    assert np.mean(np.abs(mean / wanted - 1)) < 0.02
    assert np.all(std > 0)


@pytest.mark.usefixtures("torch")
def test_perceptrons_side_by_side_predict_what_each_predicts() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(300, 5)), rng.normal(size=(300, 2))
    a = distil(x, y[:, 0], (6, 4), Plan(1))
    b = distil(x, y[:, 1], (3, 2), Plan(1))
    both = module._side_by_side(a, b)(x)
    assert both == pytest.approx(np.column_stack([a(x), b(x)]), abs=1e-5)


@pytest.mark.usefixtures("torch", "lightgbm")
def test_a_whole_fit_is_complete_and_repeatable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, reports: Any
) -> None:
    # Folds and files are checked first.
    with pytest.raises(ConfigError, match="folds"):
        fit_energy(tmp_path, folds=1)
    with pytest.raises(UnknownTableError, match="no reference measurements"):
        fit_energy(tmp_path)
    monkeypatch.setattr(module, "read_energy", lambda folder, **_: synthetic_energies())
    monkeypatch.setattr(
        module, "fit_teacher", lambda data, chosen, seed: fit_teacher(data, chosen, **QUICK)
    )
    plan = {"folds": 2, "cells": 100, "epochs": 1, "fold_cells": 100, "fold_epochs": 1}
    found, same = (fit_energy(tmp_path, **plan) for _ in range(2))
    # Two folds, the paper's split, and all cells.
    assert reports == 2 * [(done, 4) for done in range(5)]
    assert found.header == same.header
    for name, array in found.arrays.items():
        assert np.array_equal(array, same.arrays[name]), name
    assert {"target", "seed", "data", "split", "quality"} <= set(found.header)
    assert set(found.header["data"]) == {"energies", "times"}
    line = found.header["quality"][0]
    parts = line["by_vertices"].values()
    assert line["scores"]["cells"] == sum(part["cells"] for part in parts)

"""Fitting the energy: widths on synthetic errors, and a small fit on the reference data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("lightgbm")

from naslib_ecnas.errors import ConfigError, UnknownTableError
from naslib_ecnas.surrogate.features import features
from naslib_ecnas.surrogate.fit import energy as module
from naslib_ecnas.surrogate.fit.energy import (
    fit_energy,
    fit_student,
    fit_teacher,
    inputs,
    read_energy,
)
from naslib_ecnas.surrogate.fit.student import distil
from naslib_ecnas.surrogate.models import Weights

QUICK = {"processes": 1, "subset": 150, "steps": 15, "seeds": 1}


def test_fewer_than_two_folds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="folds"):
        fit_energy(tmp_path, folds=1)


def test_a_folder_without_the_files_is_told(tmp_path: Path) -> None:
    with pytest.raises(UnknownTableError):
        fit_energy(tmp_path)


def test_the_teacher_sees_the_chosen_cells_only(reference: Path) -> None:
    data = read_energy(reference)
    chosen, unseen = np.arange(0, 3448, 10), np.arange(5, 3448, 100)
    before = fit_teacher(data, chosen, **QUICK).predict(data.x[unseen])
    data.measured.columns["energy_kwh"][np.arange(3448) % 10 > 0] *= 7
    unchosen = ~np.isin(data.times.measured.rows, data.measured.rows[chosen])
    data.times.measured.columns["final_training_time_s"][unchosen] *= 7
    after = fit_teacher(data, chosen, **QUICK).predict(data.x[unseen])
    assert np.array_equal(before[0], after[0])
    assert np.array_equal(before[1], after[1])


def test_the_student_says_what_the_teacher_says(reference: Path) -> None:
    data = read_energy(reference)
    teacher = fit_teacher(data, np.arange(0, 3448, 10), **QUICK)
    x = features(np.arange(1000, 1200))
    power, _ = teacher.predict(x)
    wanted = np.exp(inputs(teacher.time, x)[:, -2] + power) / 3.6e6
    mean, std = fit_student(teacher, cells=3000, epochs=10, seed=1).predict(x)
    assert np.mean(np.abs(mean / wanted - 1)) < 0.02
    assert np.all(std > 0)


def test_perceptrons_side_by_side_say_what_each_says() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(300, 5)), rng.normal(size=(300, 2))
    a = distil(x, y[:, 0], hidden=(6, 4), epochs=1)
    b = distil(x, y[:, 1], hidden=(3, 2), epochs=1)
    both = module._side_by_side(a, b)(x)
    assert both == pytest.approx(np.column_stack([a(x), b(x)]), abs=1e-5)


@pytest.mark.slow
def test_a_whole_fit_is_complete_and_repeatable(
    reference: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    read = module.read_energy

    def few(folder: Path) -> object:
        data = read(folder)
        chosen = np.arange(0, 3448, 20)
        return type(data)(data.measured.where(chosen), data.x[chosen], data.times)

    monkeypatch.setattr(module, "read_energy", few)
    monkeypatch.setattr(
        module, "fit_teacher", lambda data, chosen, seed: fit_teacher(data, chosen, **QUICK)
    )
    steps: list[str] = []
    found = [
        fit_energy(
            reference, folds=2, cells=500, epochs=1, fold_cells=500, fold_epochs=1, progress=say
        )
        for say in (steps.append, None)
    ]
    assert steps == ["fold 1 of 2", "fold 2 of 2", "the paper's split", "all cells"]
    assert found[0].header == found[1].header
    for name, array in found[0].arrays.items():
        assert np.array_equal(array, found[1].arrays[name]), name
    found[0].save(tmp_path / "weights.npz")
    header = Weights.load(tmp_path / "weights.npz").header
    assert {"target", "seed", "data", "split", "quality", "anchors"} <= set(header)
    assert set(map(len, header["data"].values())) == {64}
    assert header["quality"]["cells"] == sum(
        part["cells"] for part in header["quality"]["by_vertices"].values()
    )

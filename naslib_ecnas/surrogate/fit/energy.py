"""Fitting the energy of four epochs: an ensemble, distilled into the model that ships.

The ensemble (`energy_teacher`) labels cells of the whole space, measured or not, and a perceptron
learns the labels and how far the members lie apart. How wrong the outcome is, is told by folds:
each fold's student is fitted anew, time model included, without the fold's cells. From those
errors come the quality in the header and the widths of the intervals.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.errors import ConfigError
from naslib_ecnas.scores import Scores, scores
from naslib_ecnas.space import Space
from naslib_ecnas.surrogate.cells import labels as cell_labels
from naslib_ecnas.surrogate.cells import shapes
from naslib_ecnas.surrogate.energy import EnergyModel
from naslib_ecnas.surrogate.features import features
from naslib_ecnas.surrogate.fit.energy_error import (
    QUANTILE,
    cross_conformal,
    fit_error,
    relative_error,
)
from naslib_ecnas.surrogate.fit.energy_teacher import (
    JOULES_PER_KWH,
    EnergyData,
    Teacher,
    fit_teacher,
    inputs,
    read_energy,
)
from naslib_ecnas.surrogate.fit.student import distil
from naslib_ecnas.surrogate.perceptron import Perceptron
from naslib_ecnas.surrogate.weights import Weights

__all__ = ["fit_energy", "fit_student"]

_SMALL = len(Space(5))
_POWER = (192, 96)
_SPREAD = (48, 24)
#: Outputs are believed this far beyond the least and the greatest label.
_MARGIN = 0.05

Vector = NDArray[np.float64]
Progress = Callable[[str], None] | None


def fit_student(teacher: Teacher, *, cells: int, epochs: int, seed: int) -> EnergyModel:
    """Distil the ensemble over `cells` cells of the space; its errors are not yet known."""
    rng = np.random.default_rng(seed)
    rest = rng.choice(np.arange(_SMALL, len(Space(7))), size=cells, replace=False)
    x = features(np.concatenate([np.arange(_SMALL), np.sort(rest)]))
    labels = np.column_stack(teacher.predict(x))
    z = inputs(teacher.time, x)
    # Small batches: the labels have no noise, and the closer they are met the better.
    power = distil(z, labels[:, 0], hidden=_POWER, epochs=epochs, batch=256, rate=2e-3, seed=seed)
    spread = distil(z, labels[:, 1], hidden=_SPREAD, epochs=max(epochs // 4, 1), seed=seed)
    low, high = labels.min(axis=0), labels.max(axis=0)
    return EnergyModel(
        time_coefficients=teacher.time.coefficients,
        time_intercept=teacher.time.intercept,
        time_floor=teacher.time.floor,
        power=_side_by_side(power, spread),
        bounds=np.stack([low - _MARGIN, high + _MARGIN]),
        error=np.array([np.log(0.02), 0.0, 0.0]),
    )


def _side_by_side(a: Perceptron, b: Perceptron) -> Perceptron:
    """One perceptron with the outputs of both, which share their inputs and nothing else."""
    layers: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []
    for (left, left_bias), (right, right_bias) in zip(a.layers, b.layers, strict=True):
        if not layers:
            weight = np.concatenate([left, right], axis=1)
        else:
            weight = np.zeros(np.add(left.shape, right.shape), dtype=np.float32)
            weight[: len(left), : left.shape[1]] = left
            weight[len(left) :, left.shape[1] :] = right
        layers.append((weight, np.concatenate([left_bias, right_bias])))
    return Perceptron(a.shift, a.scale, tuple(layers), a.clip)


def fit_energy(
    folder: str | PathLike[str],
    *,
    seed: int = 0,
    folds: int = 5,
    cells: int = 150_000,
    epochs: int = 25,
    fold_cells: int = 100_000,
    fold_epochs: int = 20,
    progress: Progress = None,
) -> Weights:
    """Fit the energy at 4 epochs on all measured cells; takes a quarter of an hour on one core.

    Args:
        folder: the reference data.
        seed: of everything that is drawn.
        folds: of the cross-validation that the quality and the intervals come from.
        cells, epochs: of the distilling that ships.
        fold_cells, fold_epochs: of the folds' cheaper distilling, which is no better.
        progress: hears of each step as it begins.

    Raises:
        ConfigError: fewer than two folds.
        UnknownTableError: the folder lacks a file.
    """
    if folds < 2:
        raise ConfigError(
            "too few folds", value=folds, expected="2 or more", remedy="choose folds=5"
        )
    say = progress or (lambda text: None)
    data = read_energy(folder)
    count = len(data.x)
    fold = np.random.default_rng(seed).permutation(count) % folds
    plan = {"cells": fold_cells, "epochs": fold_epochs, "seed": seed}
    teacher_off, found = np.empty(count), np.empty((count, 3))
    for number in range(folds):
        say(f"fold {number + 1} of {folds}")
        there = fold == number
        teacher = fit_teacher(data, ~there, seed=seed)
        teacher_off[there] = _off(data, there, _teacher_wh(teacher, data.x[there]))
        found[there] = _judged(data, there, fit_student(teacher, **plan))
    wh, spread, off = found.T
    relative = cross_conformal(wh, spread, off, fold)
    truth = wh * np.exp(off)
    quality = _quality(data.measured.rows, truth, wh, relative)
    quality["teacher"] = scores(truth, truth / np.exp(teacher_off)).to_json()

    say("the paper's split")
    train, valid = (data.measured["paper_split"] == part for part in ("train", "valid"))
    teacher = fit_teacher(data, train, seed=seed)
    wh_valid, spread_valid, off_valid = _judged(data, valid, fit_student(teacher, **plan)).T
    # Widths from the training cells' errors out of their folds.
    widths = fit_error(wh[train], spread[train], off[train])
    quality["paper_split"] = _scores(
        wh_valid * np.exp(off_valid), wh_valid, relative_error(widths, wh_valid, spread_valid)
    ).to_json()
    quality["paper_split_teacher"] = scores(
        wh_valid * np.exp(off_valid), _teacher_wh(teacher, data.x[valid])
    ).to_json()

    say("all cells")
    teacher = fit_teacher(data, np.ones(count, dtype=bool), seed=seed)
    model = replace(
        fit_student(teacher, cells=cells, epochs=epochs, seed=seed),
        error=fit_error(wh, spread, off),
    )
    header = {
        "target": "energy_kwh at 4 epochs",
        "scale": "NVIDIA GeForce RTX 3090, power usage effectiveness 1.59, start-up included",
        "seed": seed,
        "data": {part.name: part.sha256 for part in (data.measured, data.times.measured)},
        "split": (
            f"fitted on all {count} measured cells; quality by {folds}-fold cross-validation of "
            "the whole pipeline with a smaller distilling, intervals of a fold from the errors "
            "of the other folds; paper_split: fitted on the paper's train part, judged on its "
            "valid part"
        ),
        "quality_unit": "Wh",
        "quality": quality,
        "anchors": {
            "authors_mlp": {"mae": 0.330, "mape": 2.39, "tau": 0.950},
            "strong_ensemble": {"mae": 0.211, "mape": 1.51, "tau": 0.965},
            "on": "the paper's test part, in Wh and per cent",
        },
    }
    return Weights(header, _arrays(model, data.measured.rows))


def _arrays(model: EnergyModel, rows: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    return {
        "time_coefficients": model.time_coefficients,
        "time_intercept": np.array(model.time_intercept),
        "time_floor": np.array(model.time_floor),
        **model.power.to_arrays("power"),
        "bounds": model.bounds,
        "error": model.error,
        "fitted_rows": np.sort(rows).astype(np.int32),
    }


def _teacher_wh(teacher: Teacher, x: NDArray[Any]) -> Vector:
    power, _ = teacher.predict(x)
    return np.asarray(1000 * teacher.time.predict(x) * np.exp(power) / JOULES_PER_KWH)


def _off(data: EnergyData, there: NDArray[Any], wh: Vector) -> Vector:
    return np.asarray(np.log(1000 * data.energy_kwh[there] / wh))


def _judged(data: EnergyData, there: NDArray[Any], model: EnergyModel) -> Vector:
    """(n, 3): predicted Wh, predicted spread, logarithm of measured over predicted."""
    # With these numbers in place of the errors, the relative deviation is the spread itself.
    bare = replace(model, error=np.array([0.0, 0.0, 1.0]))
    mean, std = bare.predict(data.x[there])
    wh = 1000 * mean
    return np.column_stack([wh, np.log(std / mean), _off(data, there, wh)])


def _scores(truth: Vector, wh: Vector, relative: Vector) -> Scores:
    reach = np.exp(QUANTILE * relative)
    return scores(truth, wh, wh / reach, wh * reach)


def _quality(
    rows: NDArray[np.int64], truth: Vector, wh: Vector, relative: Vector
) -> dict[str, Any]:
    structure, _ = cell_labels(rows)
    vertices = shapes().slots[structure] + 2
    by = {
        str(v): _scores(*(a[vertices == v] for a in (truth, wh, relative))).to_json()
        for v in np.unique(vertices)
    }
    return {**_scores(truth, wh, relative).to_json(), "by_vertices": by}

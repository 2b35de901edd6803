"""Fitting the descriptors and the calibrations of the four GPUs of the published tables.

The settings of `calibrate` (penalties, share of k-centres) are the best for the four devices
together, over random draws of 20 cells; for a single device others are best.
"""

from __future__ import annotations

from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.data.convert import converted
from naslib_ecnas.data.table import Table
from naslib_ecnas.progress import Progress
from naslib_ecnas.quality import Z90, QualityLine, Scores
from naslib_ecnas.surrogate.calibrate import Measurements, calibrate
from naslib_ecnas.surrogate.devices import (
    DEVICES,
    KINDS,
    Descriptors,
    DeviceModel,
    ShareModel,
    kind_of_column,
)
from naslib_ecnas.surrogate.features import features, vertices_of
from naslib_ecnas.surrogate.fit.reference import Files, Measured, read_measured
from naslib_ecnas.surrogate.fit.student import out_of_fold, steps_of, weights_of
from naslib_ecnas.surrogate.models import Weights
from naslib_ecnas.surrogate.robust import RobustFit, conformal_sd, robust_ridge

Vector = NDArray[np.float64]

_FOUR_VERTEX_FILES = {
    "quadro-rtx-6000": "energy_4V9E_quadrortx6000.tfrecord",
    "rtx-3060": "energy_4V9E_rtx3060.tfrecord",
    "rtx-3090": "energy_4V9E_rtx3090.tfrecord",
    "titan-xp": "energy_4V9E_titanxp.tfrecord",
}

#: The device whose runs of five-vertex cells are published beside its four-vertex table.
_FIRST = "quadro-rtx-6000"

_PENALTY = 0.1
_SHARE_PENALTY = 1.0


def read_runs(folder: str | PathLike[str]) -> tuple[Measured, ...]:
    """Runs of 1 and 4 epochs on seven-vertex cells, and of 4 and 108 on five-vertex cells."""
    names = (Files.ONE_EPOCH, Files.SEVEN_VERTICES, Files.FIVE_VERTICES, Files.FIVE_VERTICES_108)
    once, seven, *five = (read_measured(Path(folder) / name) for name in names)
    # The other cells of one epoch have no published energy: they may be a test set.
    return once.where(np.isin(once.rows, seven.rows)), seven, *five


def fit_devices(
    folder: str | PathLike[str], *, seed: int = 0, progress: Progress | None = None
) -> Weights:
    """Fit the descriptors and all four devices.

    The four-vertex tables have one run of 4 epochs for each cell and device. On the RTX 3090 about
    20 runs stood in competition with others (up to 10 times the energy); they count nothing and are
    listed in the header's `report`, as is row 0: it has no vertices, and takes 12 to 15 % longer
    than the sum over its layers on every device.
    """
    once, seven, five, long = read_runs(folder)
    step = steps_of(progress, "fitting devices", len(DEVICES) + 2, "fits")
    step()
    descriptors = fit_descriptors(once, seven)
    arrays: dict[str, NDArray[Any]] = {}
    lines, reports = [], {}
    for device in DEVICES:
        step()
        few = own = device_measurements(folder, device)
        if device == _FIRST:
            own = _joined(own, five)
        calibration = calibrate(own, device=device, descriptors=descriptors, seed=seed)
        model, report = calibration.model, calibration.report
        if device == _FIRST:
            model = with_small_cells(model, few)
        arrays |= model.to_arrays(f"{device}.")
        arrays[f"{device}.rows"] = np.unique(own.rows).astype(np.int32)
        lines.append(_line(device, report.sound))
        reports[device] = report.to_json()["suspicious"][:40]
    step()
    for name, points in fit_shares(descriptors, once, five, long).items():
        arrays |= ShareModel(descriptors, points).to_arrays(f"share.{name}.")
    step()
    every = [arrays[f"{d}.rows"] for d in DEVICES]
    arrays["fitted_rows"] = np.unique(np.concatenate(every)).astype(np.int32)
    tables = (Path(folder) / "official" / _FOUR_VERTEX_FILES[device] for device in DEVICES)
    return weights_of(
        "energy_kwh at 4 epochs on another device",
        seed,
        (once, seven, five, long, *tables),
        "each cell left out in turn (10 folds over 2,532 cells for quadro-rtx-6000). Penalties and "
        "design were chosen on these four devices together",
        lines,
        arrays,
        devices=list(DEVICES),
        pue=1.59,
        epochs=4,
        report=reports,
    )


def _line(device: str, sound: Scores) -> QualityLine:
    about = "each 4-vertex cell left out in turn"
    if device == _FIRST:
        about = "cells of up to 5 vertices left out in turn, in ten folds"
    wh = replace(sound, mae=1000 * sound.mae).to_json()
    about += ", without runs far off the others"
    return QualityLine(f"energy at 4 epochs, {device}", about, "Wh", wh)


def fit_descriptors(once: Measured, seven: Measured) -> Descriptors:
    """The time of one epoch as a sum over layers.

    The fit to runs of one epoch on the RTX 3090 is a ridge regression of relative errors with
    Huber's weights. Measured seven-vertex cells standardise the descriptors.
    """
    intercept, coefficients = _additive(features(once.rows), once["final_training_time_s"])
    kind = kind_of_column()
    by_kind = np.stack([np.where(kind == k, coefficients, 0) for k in range(len(KINDS))])
    plain = Descriptors(intercept, by_kind.astype(np.float32), np.zeros(5), np.ones(5))
    raw = plain(features(seven.rows))
    return replace(plain, shift=raw.mean(axis=0), scale=1 / raw.std(axis=0))


def _additive(x: NDArray[Any], time: NDArray[Any]) -> tuple[float, Vector]:
    """Intercept and (f,) coefficients, 0 for features that are no sums over layers of one kind."""
    used = kind_of_column() >= 0
    part = np.asarray(x[:, used], dtype=np.float64)
    spread = part.std(axis=0)
    spread[spread < 1e-9] = 1
    design = np.column_stack([np.ones(len(part)), part / spread]) / time[:, None]
    shrink = np.eye(design.shape[1]) * _PENALTY / time.mean() ** 2
    shrink[0, 0] = 0
    weight = np.ones(len(time))
    b = np.zeros(design.shape[1])
    for _ in range(15):
        weighted = design * weight[:, None]
        b = np.linalg.solve(design.T @ weighted + shrink, weighted.sum(axis=0))
        error = np.abs(design @ b - 1)
        weight = np.minimum(1, 1.5 * 1.4826 * np.median(error) / np.maximum(error, 1e-12))
    coefficients = np.zeros(x.shape[1])
    coefficients[used] = b[1:] / spread
    return float(b[0]), coefficients


def device_measurements(folder: str | PathLike[str], device: str) -> Measurements:
    """The runs of 4 epochs that a four-vertex table holds."""
    table = Table.open(converted(Path(folder) / "official" / _FOUR_VERTEX_FILES[device]))
    energy, time = (table.at_budget(n, 0)[:, 0] for n in ("energy_kwh", "training_time_s"))
    return Measurements.of(np.asarray(table.rows), energy, time)


def with_small_cells(model: DeviceModel, few: Measurements) -> DeviceModel:
    """The model with the deviation of some few-vertex cells for all cells of as few vertices.

    Cells of more vertices keep the one of all calibrated cells. On the Quadro RTX 6000 the runs of
    five-vertex cells had a start-up that varied more than in the runs of four-vertex cells.
    """
    mean, _ = model.predict(features(few.rows))
    sd = conformal_sd(np.abs(np.log(few.energy_kwh / mean)))
    beyond = float(np.sqrt(max(model.sd**2 - sd**2, 0)))
    return replace(model, sd=sd, beyond=beyond, vertices=int(vertices_of(few.rows).max()) - 2)


def _joined(own: Measurements, five: Measured) -> Measurements:
    columns: tuple[Any, ...] = own.rows, own.energy_kwh, own.training_time_s
    others = five.rows, five["final_energy_kwh"], five["final_training_time_s"]
    return Measurements.of(*(np.concatenate(pair) for pair in zip(columns, others, strict=True)))


def fit_shares(
    descriptors: Descriptors, once: Measured, five: Measured, long: Measured
) -> dict[str, Vector]:
    """Points of `ShareModel` by device.

    `once` are runs of one epoch on the RTX 3090; `five` and `long` are runs of 4 and 108 epochs on
    the Quadro RTX 6000.
    """
    four, last, one = (
        _fit_share(descriptors, runs, epochs)
        for runs, epochs in ((five, 4), (long, 108), (once, 1))
    )
    return {_FIRST: np.stack([four, last]), "rtx-3090": one[None]}


def _fit_share(descriptors: Descriptors, m: Measured, epochs: int) -> Vector:
    """Epochs, coefficients and standard deviation, the last from errors in ten folds."""
    z = descriptors(features(m.rows))
    share = m["gpu_energy_j"] / (m["gpu_energy_j"] + m["cpu_energy_j"])
    logit = np.log(share / (1 - share))

    def fit(chosen: NDArray[Any] | slice) -> RobustFit:
        return robust_ridge(z[chosen], logit[chosen], penalty=_SHARE_PENALTY, floor=0.01)

    fold = np.unique(m.rows, return_inverse=True)[1] % 10  # rows are not ordered by cost
    predicted = out_of_fold(fold, lambda out: 1 / (1 + np.exp(-fit(~out)(z[out]))))
    sd = float(np.quantile(np.abs(share - predicted), 0.9)) / Z90
    return np.array([epochs, *fit(slice(None)).coefficients, sd])

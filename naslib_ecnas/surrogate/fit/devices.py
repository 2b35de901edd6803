"""Fitting the descriptors and the calibrations of the four GPUs of the published tables.

The settings of `calibrate` (penalties, share of k-centres) are the best for the four devices
together, over random draws of 20 cells; for a single device others are best.
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.data.convert import converted
from naslib_ecnas.data.fetch import sha256_of
from naslib_ecnas.data.table import Table
from naslib_ecnas.quality import Z90, Scores, scores
from naslib_ecnas.surrogate.calibrate import Measurements, calibrate, robust_ridge
from naslib_ecnas.surrogate.devices import DEVICES, KINDS, Descriptors, DeviceModel, kind_of_column
from naslib_ecnas.surrogate.features import features
from naslib_ecnas.surrogate.fit.reference import Measured, read_measured
from naslib_ecnas.surrogate.fit.student import Steps, no_progress
from naslib_ecnas.surrogate.models import Weights

__all__ = [
    "FIVE_108_FILE",
    "FIVE_FILE",
    "ONE_EPOCH_FILE",
    "SEVEN_FILE",
    "device_measurements",
    "fit_descriptors",
    "fit_devices",
    "fit_shares",
]

_FOUR_VERTEX_FILES = {
    "quadro-rtx-6000": "energy_4V9E_quadrortx6000.tfrecord",
    "rtx-3060": "energy_4V9E_rtx3060.tfrecord",
    "rtx-3090": "energy_4V9E_rtx3090.tfrecord",
    "titan-xp": "energy_4V9E_titanxp.tfrecord",
}
ONE_EPOCH_FILE = "measured_7v_1epoch_rtx3090.parquet"
SEVEN_FILE = "measured_7v_energy_4epochs.parquet"
FIVE_FILE = "measured_5v_4epochs_rtx6000.parquet"
FIVE_108_FILE = "measured_5v_108epochs_rtx6000_700cells.parquet"

_CAVEATS = (
    "four-vertex tables: one run of 4 epochs for each cell and device, the larger budgets are "
    "scaled; rtx-3060 lacks 3 cells; on rtx-3090 about 20 runs stood in competition with others "
    "(up to 10 times the energy) and count nothing, their list is in `report`; repeats of a cell "
    "on the Quadro RTX 6000 differ by 2.7 % (standard deviation); row 0, which has "
    "no vertices, takes 12 to 15 % longer than the sum over its layers on every device and is "
    "listed too. The host's processors are in, and the hosts differ: two packages beside the "
    "Quadro RTX 6000 and the Titan Xp, one beside the others."
)
_PENALTY = 0.1
_SHARE_PENALTY = 1.0


def fit_devices(
    folder: str | PathLike[str],
    *,
    seed: int = 0,
    progress: Steps = no_progress,
) -> Weights:
    """Fit the descriptors and all four devices.

    Args:
        folder: the reference data.
        seed: of the folds.
        progress: called with each step.

    Raises:
        UnknownTableError: a file is missing.
    """
    folder = Path(folder)
    progress("time of one epoch on the first GPU")
    once, seven = read_measured(folder / ONE_EPOCH_FILE), read_measured(folder / SEVEN_FILE)
    # The other cells have no published energy: they may be a test set.
    once = once.where(np.isin(once.rows, seven.rows))
    five = read_measured(folder / FIVE_FILE)
    descriptors, epoch_time = fit_descriptors(once, seven, seed=seed)
    data = {m.name: m.sha256 for m in (once, seven, five)}
    arrays: dict[str, NDArray[Any]] = descriptors.to_arrays()
    quality: dict[str, Any] = {"epoch_time_s": epoch_time.to_json()}
    reports, checks = {}, {}
    for device in DEVICES:
        progress(f"calibration of {device}")
        own = device_measurements(folder, device)
        data[_FOUR_VERTEX_FILES[device]] = sha256_of(
            folder / "official" / _FOUR_VERTEX_FILES[device]
        )
        tried = calibrate(own, cells=20, device=device, descriptors=descriptors, seed=seed)
        checks[device] = tried.report.to_json()
        if device == "quadro-rtx-6000":
            checks["quadro-rtx-6000 from 20 four-vertex cells, on five-vertex cells"] = _elsewhere(
                tried.model, five.rows, five["final_energy_kwh"], own.rows
            )
            own = _joined(own, five)
        if device == "rtx-3090":
            checks["rtx-3090 from 20 four-vertex cells, on seven-vertex cells"] = _elsewhere(
                tried.model, seven.rows, seven["energy_kwh"], own.rows
            )
        whole = calibrate(own, device=device, descriptors=descriptors, seed=seed)
        if device == "rtx-3090":
            checks["rtx-3090 from all four-vertex cells, on seven-vertex cells"] = _elsewhere(
                whole.model, seven.rows, seven["energy_kwh"], own.rows
            )
        arrays |= whole.model.to_arrays(device)
        arrays[f"{device}_rows"] = np.unique(own.rows).astype(np.int32)
        quality[device] = whole.report.sound.to_json()
        quality[f"{device}_with_suspicious"] = whole.report.cross_validated.to_json()
        reports[device] = whole.report.to_json()["suspicious"][:40]
    progress("share of the GPU in the energy")
    long = read_measured(folder / FIVE_108_FILE)
    data[long.name] = long.sha256
    for name, (array, score) in fit_shares(descriptors, once, five, long).items():
        arrays[f"share_{name}"] = array
        quality[f"gpu_share_{name}"] = score.to_json()
    every = [arrays[f"{d}_rows"] for d in DEVICES]
    arrays["fitted_rows"] = np.unique(np.concatenate(every)).astype(np.int32)
    header = {
        "target": "energy_kwh at 4 epochs on another device",
        "devices": list(DEVICES),
        "pue": 1.59,
        "epochs": 4,
        "seed": seed,
        "data": data,
        "split": "each cell left out in turn (10 folds over 2,532 cells for quadro-rtx-6000); "
        "`twenty`: 20 cells chosen by design, tested on all others; `sound` leaves out runs whose "
        "time is over 5 % or whose energy is over 30 % off the prediction. Penalties and design "
        "were chosen on these four devices together, so that `twenty` is a little optimistic",
        "quality": quality,
        "twenty": checks,
        "report": reports,
        "caveats": _CAVEATS,
    }
    return Weights(header, arrays)


def fit_descriptors(
    once: Measured, seven: Measured, *, seed: int = 0
) -> tuple[Descriptors, Scores]:
    """The time of one epoch as a sum over layers, and its quality in ten folds.

    The fit is a ridge regression of relative errors with Huber's weights.

    Args:
        once: runs of one epoch on the RTX 3090.
        seven: measurements of seven-vertex cells, which standardise the descriptors.
        seed: of the folds.
    """
    x, time = features(once.rows), once["final_training_time_s"]
    fold = np.random.default_rng(seed).permutation(len(time)) % 10
    predicted = np.empty(len(time))
    for f in range(10):
        out = fold == f
        intercept, coefficients = _additive(x[~out], time[~out])
        predicted[out] = intercept + x[out] @ coefficients
    intercept, coefficients = _additive(x, time)
    kind = kind_of_column()
    by_kind = np.stack([np.where(kind == k, coefficients, 0) for k in range(len(KINDS))])
    plain = Descriptors(intercept, by_kind.astype(np.float32), np.zeros(5), np.ones(5))
    raw = plain.raw(features(seven.rows))
    shift, scale = raw.mean(axis=0), 1 / raw.std(axis=0)
    return Descriptors(intercept, plain.coefficients, shift, scale), scores(time, predicted)


def _additive(x: NDArray[Any], time: NDArray[Any]) -> tuple[float, NDArray[np.float64]]:
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


def _joined(own: Measurements, five: Measured) -> Measurements:
    times = np.zeros(0) if own.training_time_s is None else own.training_time_s
    return Measurements.of(
        np.concatenate([own.rows, five.rows]),
        np.concatenate([own.energy_kwh, five["final_energy_kwh"]]),
        np.concatenate([times, five["final_training_time_s"]]),
    )


def _elsewhere(
    model: DeviceModel, rows: NDArray[Any], energy: NDArray[Any], seen: NDArray[Any]
) -> dict[str, Any]:
    new = ~np.isin(rows, seen)
    mean, std = model.predict(features(rows[new]))
    factor = np.exp(Z90 * std / mean)
    return scores(energy[new], mean, mean / factor, mean * factor).to_json()


def fit_shares(
    descriptors: Descriptors, once: Measured, five: Measured, long: Measured
) -> dict[str, tuple[NDArray[np.float64], Scores]]:
    """Points of `ShareModel` by device, and their quality in ten folds (at the last budget).

    Args:
        descriptors: fitted.
        once: runs of one epoch on the RTX 3090.
        five, long: runs of 4 and 108 epochs on the Quadro RTX 6000.
    """
    out = {}
    for device, parts in (
        ("quadro-rtx-6000", ((4, five), (108, long))),
        ("rtx-3090", ((1, once),)),
    ):
        points = []
        for epochs, measured in parts:
            point, score = _fit_share(descriptors, measured)
            points.append(np.concatenate([[epochs], point]))
        out[device] = (np.array(points), score)
    return out


def _fit_share(descriptors: Descriptors, m: Measured) -> tuple[NDArray[np.float64], Scores]:
    z = descriptors(features(m.rows))
    share = m["gpu_energy_j"] / (m["gpu_energy_j"] + m["cpu_energy_j"])
    logit = np.log(share / (1 - share))
    _, cell = np.unique(m.rows, return_inverse=True)
    fold = cell % 10  # rows are not ordered by cost
    predicted = np.empty(len(share))
    for f in range(10):
        out = fold == f
        fit = robust_ridge(z[~out], logit[~out], penalty=_SHARE_PENALTY, floor=0.01)
        predicted[out] = 1 / (1 + np.exp(-fit(z[out])))
    whole = robust_ridge(z, logit, penalty=_SHARE_PENALTY, floor=0.01)
    sd = float(np.quantile(np.abs(share - predicted), 0.9)) / Z90
    score = scores(share, predicted, predicted - Z90 * sd, predicted + Z90 * sd)
    return np.concatenate([whole.coefficients, [sd]]), score

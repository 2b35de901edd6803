"""Fitting the four GPUs of the published tables, and the growth of the energy over epochs.

The settings of `calibrate` (penalties, share of k-centres) are the best for the four devices
together, over random draws of 20 cells; for a single device others are best.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.quality import COVERAGES, Z90, QualityLine, log_scores, scores
from naslib_ecnas.surrogate.calibrate import Measurements, calibrate
from naslib_ecnas.surrogate.devices import (
    DEVICES,
    FIRST,
    KINDS,
    LAST,
    Descriptors,
    DeviceModel,
    OverEpochs,
    ShareModel,
    kind_of_column,
)
from naslib_ecnas.surrogate.features import features, vertices_of
from naslib_ecnas.surrogate.fit.common import by_vertices, out_of_fold, steps_of, weights_of
from naslib_ecnas.surrogate.fit.reference import Files, Measured, read_measured, read_table
from naslib_ecnas.surrogate.models import BUDGETS, Weights
from naslib_ecnas.surrogate.robust import RobustFit, conformal_sd, robust_ridge

Vector = NDArray[np.float64]

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


def fit_devices(folder: str | PathLike[str], *, seed: int = 0) -> Weights:
    """Fit the descriptors and all four devices.

    The four-vertex tables have one run of 4 epochs for each cell and device. On the RTX 3090 about
    20 runs stood in competition with others (up to 10 times the energy); they count nothing and are
    listed in the header's `report`, as is row 0: it has no vertices, and takes 12 to 15 % longer
    than the sum over its layers on every device.
    """
    once, seven, five, long = read_runs(folder)
    step = steps_of("fitting devices", len(DEVICES) + 2, "fits")
    step()
    descriptors = fit_descriptors(once, seven)
    arrays: dict[str, NDArray[Any]] = {}
    tables, lines, reports = [], [], {}
    for device in DEVICES:
        step()
        few = device_runs(folder, device)
        tables.append(few)
        own = measurements(few, five) if device == _FIRST else measurements(few)
        calibration = calibrate(own, device=device, descriptors=descriptors, seed=seed)
        model, report = calibration.model, calibration.report
        about = "each 4-vertex cell left out in turn"
        if device == _FIRST:
            model = with_small_cells(model, few)
            about = "cells of up to 5 vertices left out in turn, in ten folds"
        arrays |= model.to_arrays(f"{device}.")
        arrays[f"{device}.rows"] = np.unique(own.rows).astype(np.int32)
        about += ", without runs far off the others"
        wh = replace(report.sound, mae=1000 * report.sound.mae).to_json()
        lines.append(QualityLine(f"energy at 4 epochs, {device}", about, "Wh", wh))
        reports[device] = report.to_json()["suspicious"][:40]
    step()
    for device, runs in {_FIRST: {4: five, 108: long}, "rtx-3090": {1: once}}.items():
        points = [_fit_share(descriptors, m, epochs) for epochs, m in runs.items()]
        arrays |= ShareModel(descriptors, np.stack(points)).to_arrays(f"share.{device}.")
    step()
    every = [arrays[f"{d}.rows"] for d in DEVICES]
    arrays["fitted_rows"] = np.unique(np.concatenate(every)).astype(np.int32)
    return weights_of(
        "energy_kwh at 4 epochs on another device",
        seed,
        (once, seven, five, long, *tables),
        "each cell left out in turn (10 folds over 2,532 cells for quadro-rtx-6000). Penalties and "
        "design were chosen on these four devices together",
        lines,
        arrays,
        pue=1.59,
        report=reports,
    )


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


def device_runs(folder: str | PathLike[str], device: str) -> Measured:
    """The runs of 4 epochs on the cells of up to four vertices."""
    return read_table(Path(folder) / "official" / f"energy_4V9E_{device.replace('-', '')}.tfrecord")


def measurements(*runs: Measured) -> Measurements:
    """Energies and times of runs for `calibrate`."""
    names = "final_energy_kwh", "final_training_time_s"
    columns = [np.concatenate([m[name] for m in runs]) for name in names]
    return Measurements.of(np.concatenate([m.rows for m in runs]), *columns)


def with_small_cells(model: DeviceModel, few: Measured) -> DeviceModel:
    """The model with the deviation of some few-vertex cells for all cells of as few vertices.

    Cells of more vertices keep the one of all calibrated cells. On the Quadro RTX 6000 the runs of
    five-vertex cells had a start-up that varied more than in the runs of four-vertex cells.
    """
    mean, _ = model.predict(features(few.rows))
    sd = conformal_sd(np.abs(np.log(few["final_energy_kwh"] / mean)))
    beyond = float(np.sqrt(max(model.sd**2 - sd**2, 0)))
    return replace(model, sd=sd, beyond=beyond, vertices=int(vertices_of(few.rows).max()) - 2)


def _fit_share(descriptors: Descriptors, m: Measured, epochs: int) -> Vector:
    """Epochs, coefficients and standard deviation of `ShareModel.points`, the last from errors in
    ten folds."""
    z = descriptors(features(m.rows))
    share = m["gpu_energy_j"] / (m["gpu_energy_j"] + m["cpu_energy_j"])
    logit = np.log(share / (1 - share))

    def fit(chosen: NDArray[Any] | slice) -> RobustFit:
        return robust_ridge(z[chosen], logit[chosen], penalty=_SHARE_PENALTY, floor=0.01)

    fold = np.unique(m.rows, return_inverse=True)[1] % 10  # rows are not ordered by cost
    predicted = out_of_fold(fold, lambda out: 1 / (1 + np.exp(-fit(~out)(z[out]))))
    sd = float(np.quantile(np.abs(share - predicted), 0.9)) / Z90
    return np.array([epochs, *fit(slice(None)).coefficients, sd])


# -- growth over epochs ---------------------------------------------------------------------------


def fit_epochs(folder: str | PathLike[str], *, seed: int = 0, folds: int = 10) -> Weights:
    """Fit the ratio of the energies at 108 and 4 epochs."""
    once, seven, five, long = read_runs(folder)
    four = read_measured(Path(folder) / Files.FOUR_VERTICES)
    step = steps_of("fitting the growth over epochs", folds + 1, "fits")
    descriptors = fit_descriptors(once, seven)
    means = long.means("final_energy_kwh")
    rows, energy = means.rows, means["final_energy_kwh"]
    x = features(rows)
    z = descriptors(x)

    def at_four_epochs(runs: Measured, **options: Any) -> DeviceModel:
        step()
        options |= {"device": _FIRST, "descriptors": descriptors, "seed": seed}
        return calibrate(measurements(runs), **options).model

    def ratio(first: Vector, chosen: NDArray[Any] | slice) -> RobustFit:
        return robust_ridge(z[chosen], np.log(energy / first)[chosen], penalty=1.0, floor=0.005)

    def predicted(out: NDArray[np.bool_]) -> Vector:
        """(m, 2) kWh by the ratio, and by linear scaling."""
        others = five.where(~np.isin(five.rows, rows[out]))
        first = at_four_epochs(others, folds=2).predict(x)[0]
        growth = np.exp(ratio(first, ~out)(z[out]))
        return np.column_stack([first[out] * growth, first[out] * LAST / FIRST])

    fold = np.random.default_rng(seed).permutation(len(rows)) % folds
    by_ratio, linear = out_of_fold(fold, predicted).T
    # Three trainings of each cell: a single one is further off than their mean.
    singles, mean = long["final_energy_kwh"], by_ratio[np.searchsorted(rows, long.rows)]
    sd = conformal_sd(np.abs(np.log(singles / mean)))
    within = log_scores(singles, mean, sd)
    whole = at_four_epochs(five)
    fit = ratio(whole.predict(x)[0], slice(None))
    model = OverEpochs(descriptors, fit.coefficients, sd, whole.sd, transfer=0.0)
    # On another device the growth may be off by the whole difference on the RTX 3090.
    doubt = abs(_growth_doubt(model, five, means, once, seven))
    model = replace(model, transfer=max(doubt, 0.02))
    step()
    wh, wh_by_ratio = 1000 * energy, 1000 * by_ratio
    left_out = f"cells left out in turn, in {folds} folds, on the RTX 6000; means of three runs"
    of_means = log_scores(wh, wh_by_ratio, sd)
    shares = {name: getattr(within, name) for name in COVERAGES}
    lines = (
        QualityLine(
            "energy at 108 epochs, 5-vertex cells",
            f"{left_out}, intervals of single ones",
            "Wh",
            replace(of_means, **shares).to_json(),
            by_vertices(rows, lambda part: scores(wh[part], wh_by_ratio[part]), least=2),
        ),
        QualityLine(
            "energy at 108 epochs, linear scaling",
            left_out,
            "Wh",
            scores(wh, 1000 * linear).to_json(),
            anchor="what scaling by epochs / 4 gives from the same model",
        ),
    )
    return weights_of(
        "energy_kwh over epochs",
        seed,
        (once, seven, five, long, four),
        f"{folds} folds over the 700 cells of {long.name}; the model of 4 epochs and the ratio are "
        "fitted without the fold's cells; mean of the three runs, intervals of single ones",
        [*lines, *_other_budgets(model, four)],
        {**model.to_arrays(), "fitted_rows": rows.astype(np.int32)},
    )


def _shared(runs: Measured, others: Measured) -> Measured:
    """The runs whose cells are among the others, too."""
    return runs.where(np.isin(runs.rows, others.rows))


def _other_budgets(model: OverEpochs, four: Measured) -> Iterator[QualityLine]:
    """Quality for four-vertex cells at 12, 36 and 108 epochs, from their measured energy at 4.

    They show the errors of the growth alone.
    """
    first, *later = (
        four.where(four["budget_epochs"] == epochs).means("final_energy_kwh") for epochs in BUDGETS
    )
    for epochs, found in zip(BUDGETS[1:], later, strict=True):
        both, name = _shared(first, found), "final_energy_kwh"
        mean, energy = _predicted(model, both.rows, both[name], epochs), _shared(found, first)[name]
        yield QualityLine(
            f"energy at {epochs} epochs, 4-vertex cells",
            "these trainings, but other trainings of a fifth of the cells were fitted; from the "
            "energy measured at 4 epochs, on the RTX 6000",
            "Wh",
            scores(1000 * energy, 1000 * mean).to_json(),
        )


def _predicted(
    model: OverEpochs, rows: NDArray[np.int64], energy: Vector, epochs: int = LAST
) -> Vector:
    """(n,) kWh after some epochs, from the measured energy at 4."""
    mean, _ = model.predict(features(rows), energy, energy, [epochs], fitted_device=True)
    return mean[:, 0]


def _growth_doubt(
    model: OverEpochs, five: Measured, long: Measured, once: Measured, seven: Measured
) -> float:
    """Logarithm of the growth on the RTX 3090, estimated from its runs of one epoch, over `model`.

    A run of 4 epochs evaluates half-way, so E(4) holds one evaluation more than the energy up to
    the half-way mark of a run of one epoch. On the RTX 6000 the growth is known, which gives the
    cost of this evaluation as a multiple of the first one; the same multiple is assumed here. It
    is the median of E(108) by these increments over E(108) by the model's ratio.
    """
    names = tuple(f"{name}_energy_kwh" for name in ("final", "half", "init"))
    first, half, evaluation = _shared(five, long).means(*names).columns.values()
    epoch = (long["final_energy_kwh"] - first) / (LAST - FIRST)
    extra = first - half - (FIRST - 2) * epoch
    multiple = float(np.median(extra) / np.median(evaluation))
    energy = _shared(seven, once).means("energy_kwh")["energy_kwh"]
    half, evaluation = once.means(*names[1:]).columns.values()
    # Medians, since some runs of one epoch shared the GPU with others.
    at_last = energy + (LAST - FIRST) * (energy - half - multiple * evaluation) / (FIRST - 1)
    ratio = float(np.median(at_last / _predicted(model, np.unique(once.rows), energy)))
    return float(np.log(round(ratio, 4)))

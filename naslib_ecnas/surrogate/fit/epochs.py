"""Fitting the growth of the energy over epochs from runs of several budgets."""

from __future__ import annotations

from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.quality import Z90, scores
from naslib_ecnas.surrogate.calibrate import Measurements, calibrate, conformal_sd, robust_ridge
from naslib_ecnas.surrogate.devices import FIRST, LAST, Descriptors, OverEpochs
from naslib_ecnas.surrogate.features import features, vertices_of
from naslib_ecnas.surrogate.fit.devices import (
    FIVE_108_FILE,
    FIVE_FILE,
    ONE_EPOCH_FILE,
    SEVEN_FILE,
    fit_descriptors,
)
from naslib_ecnas.surrogate.fit.reference import Measured, read_measured
from naslib_ecnas.surrogate.fit.student import Steps, no_progress
from naslib_ecnas.surrogate.models import Weights

__all__ = ["fit_epochs"]

_FOUR_FILE = "measured_4v_rtx6000_3repeats.parquet"

Vector = NDArray[np.float64]

_PENALTY = 1.0


def fit_epochs(
    folder: str | PathLike[str],
    *,
    seed: int = 0,
    progress: Steps = no_progress,
    folds: int = 10,
) -> Weights:
    """Fit the ratio of the energies at 108 and 4 epochs.

    Args:
        folder: the reference data.
        seed: of the folds.
        progress: called with each step.
        folds: of the cross-validation over the 700 cells.

    Raises:
        UnknownTableError: a file is missing.
    """
    folder = Path(folder)
    files = (ONE_EPOCH_FILE, SEVEN_FILE, FIVE_FILE, FIVE_108_FILE, _FOUR_FILE)
    once, seven, five, long, four = (read_measured(folder / name) for name in files)
    once = once.where(np.isin(once.rows, seven.rows))
    descriptors, _ = fit_descriptors(once, seven, seed=seed)
    rows, energy = _means(long.rows, long["final_energy_kwh"])
    x = features(rows)
    z = descriptors(x)

    fold = np.random.default_rng(seed).permutation(len(rows)) % folds
    predicted = np.empty(len(rows))
    linear = np.empty(len(rows))
    for f in range(folds):
        progress(f"fold {f + 1} of {folds}")
        out = fold == f
        first = _at_four_epochs(descriptors, five, x, leave_out=rows[out], seed=seed)
        fit = robust_ridge(z[~out], np.log(energy / first)[~out], penalty=_PENALTY, floor=0.005)
        predicted[out] = first[out] * np.exp(fit(z[out]))
        linear[out] = first[out] * LAST / FIRST
    sd = conformal_sd(np.abs(np.log(energy / predicted)))

    progress("all cells")
    whole = calibrate(
        _measurements(five), device="quadro-rtx-6000", descriptors=descriptors, seed=seed
    ).model
    fit = robust_ridge(z, np.log(energy / whole.predict(x)[0]), penalty=_PENALTY, floor=0.005)
    model = OverEpochs(descriptors, fit.coefficients, sd, whole.sd, transfer=0.0)
    progress("other budgets and the RTX 3090")
    native = _native_growth(model, five, rows, energy, once, seven)
    # On another device the growth may be off by the whole difference on the RTX 3090.
    doubt = abs(np.log(native["growth_over_ratio_as_on_rtx_6000"]))
    model = replace(model, transfer=float(max(doubt, 0.02)))
    factor = np.exp(Z90 * sd)
    quality: dict[str, Any] = {
        "energy_108": scores(energy, predicted, predicted / factor, predicted * factor).to_json(),
        "energy_108_linear": scores(energy, linear).to_json(),
    }
    vertices = vertices_of(rows)
    quality["by_vertices"] = {
        str(v): scores(energy[vertices == v], predicted[vertices == v]).to_json()
        for v in np.unique(vertices)
        if np.count_nonzero(vertices == v) > 1
    }
    quality |= _other_budgets(model, four)
    header = {
        "target": "energy_kwh over epochs",
        "seed": seed,
        "fitted_on": "quadro-rtx-6000",
        "pue": 1.59,
        "budgets": [FIRST, LAST],
        "data": {m.name: m.sha256 for m in (once, seven, five, long, four)},
        "split": f"{folds} folds over the 700 cells of {FIVE_108_FILE}; the model of 4 epochs "
        "and the ratio are fitted without the fold's cells; mean of the three runs",
        "quality": quality,
        "native_scale": native,
        "anchor": {"linear scaling, median predicted over measured": 1.12},
    }
    arrays = {**model.to_arrays(), "fitted_rows": rows.astype(np.int32)}
    return Weights(header, arrays)


def _measurements(five: Measured) -> Measurements:
    return Measurements.of(five.rows, five["final_energy_kwh"], five["final_training_time_s"])


def _at_four_epochs(
    descriptors: Descriptors,
    five: Measured,
    x: NDArray[Any],
    *,
    leave_out: NDArray[Any],
    seed: int,
) -> Vector:
    """(n,) kWh at 4 epochs of (n, f) features, by a calibration without some cells."""
    kept = five.where(~np.isin(five.rows, leave_out))
    model = calibrate(
        _measurements(kept), device="quadro-rtx-6000", descriptors=descriptors, seed=seed, folds=2
    ).model
    return model.predict(x)[0]


def _means(rows: NDArray[Any], values: Vector) -> tuple[NDArray[np.int64], Vector]:
    """Distinct rows ascending, and the means of their repeats."""
    cells, index = np.unique(rows, return_inverse=True)
    return cells, np.bincount(index, values) / np.bincount(index)


def _other_budgets(model: OverEpochs, four: Measured) -> dict[str, Any]:
    """Quality for four-vertex cells at 12, 36 and 108 epochs, from their measured energy at 4."""
    out = {}
    cells, first = _means(*_budget(four, FIRST))
    for epochs in (12, 36, LAST):
        others, energy = _means(*_budget(four, epochs))
        both = np.isin(cells, others)
        mean, _ = model.predict(
            features(cells[both]), first[both], first[both], [epochs], fitted_device=True
        )
        out[f"four_vertices_{epochs}"] = scores(
            energy[np.isin(others, cells)], mean[:, 0]
        ).to_json()
    return out


def _budget(m: Measured, epochs: int) -> tuple[NDArray[np.int64], Vector]:
    at = m["budget_epochs"] == epochs
    return m.rows[at], m["final_energy_kwh"][at]


def _native_growth(
    model: OverEpochs,
    five: Measured,
    long_rows: NDArray[np.int64],
    long_energy: Vector,
    once: Measured,
    seven: Measured,
) -> dict[str, float]:
    """Growth on the RTX 3090, estimated from its runs of one epoch.

    A run of 4 epochs evaluates half-way, so E(4) holds one evaluation more than the energy up to
    the half-way mark of a run of one epoch. On the RTX 6000 the growth is known, which gives the
    cost of this evaluation as a multiple of the first one; the same multiple is assumed here.
    `growth_over_ratio_...` is the median of E(108) by these increments over E(108) by the model's
    ratio, also with half and one and a half times the multiple.
    """
    order = np.argsort(five.rows)
    at = order[np.searchsorted(five.rows[order], long_rows)]
    first = five["final_energy_kwh"][at]
    epoch = (long_energy - first) / (LAST - FIRST)
    extra = first - five["half_energy_kwh"][at] - (FIRST - 2) * epoch
    multiple = float(np.median(extra) / np.median(five["init_energy_kwh"][at]))

    order = np.argsort(seven.rows)
    energy = seven["energy_kwh"][order[np.searchsorted(seven.rows[order], once.rows)]]
    predicted = model.predict(features(once.rows), energy, energy, [LAST], fitted_device=True)[0][
        :, 0
    ]
    out = {"cells": float(len(energy)), "evaluation_over_first": multiple}
    # Medians, since some runs of one epoch shared the GPU with others.
    evaluation = once["init_energy_kwh"]
    for name, dearer in (("as_on_rtx_6000", 1.0), ("half", 0.5), ("one_and_a_half", 1.5)):
        per_epoch = (energy - once["half_energy_kwh"] - dearer * multiple * evaluation) / (
            FIRST - 1
        )
        at_last = energy + (LAST - FIRST) * per_epoch
        out[f"growth_over_ratio_{name}"] = float(np.median(at_last / predicted))
        out[f"start_share_{name}"] = float(np.median(1 - FIRST * per_epoch / energy))
    start, _ = model.growth(features(once.rows), energy)
    out["start_share_model"] = float(np.median(start / energy))
    return {k: round(v, 4) for k, v in out.items()}

"""Fitting the growth of the energy over epochs from runs of several budgets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.progress import Progress
from naslib_ecnas.quality import COVERAGES, QualityLine, log_scores, scores
from naslib_ecnas.surrogate.calibrate import Measurements, calibrate
from naslib_ecnas.surrogate.devices import FIRST, LAST, DeviceModel, OverEpochs
from naslib_ecnas.surrogate.features import features
from naslib_ecnas.surrogate.fit.devices import fit_descriptors, read_runs
from naslib_ecnas.surrogate.fit.reference import Files, Measured, read_measured
from naslib_ecnas.surrogate.fit.student import by_vertices, out_of_fold, steps_of, weights_of
from naslib_ecnas.surrogate.models import Weights
from naslib_ecnas.surrogate.robust import RobustFit, conformal_sd, robust_ridge

Vector = NDArray[np.float64]


def fit_epochs(
    folder: str | PathLike[str],
    *,
    seed: int = 0,
    folds: int = 10,
    progress: Progress | None = None,
) -> Weights:
    """Fit the ratio of the energies at 108 and 4 epochs."""
    once, seven, five, long = read_runs(folder)
    four = read_measured(Path(folder) / Files.FOUR_VERTICES)
    step = steps_of(progress, "fitting the growth over epochs", folds + 1, "fits")
    descriptors = fit_descriptors(once, seven)
    rows, energy = _means(long.rows, long["final_energy_kwh"])
    x = features(rows)
    z = descriptors(x)

    def at_four_epochs(runs: Measured, **options: Any) -> DeviceModel:
        step()
        energies = Measurements.of(
            runs.rows, runs["final_energy_kwh"], runs["final_training_time_s"]
        )
        options |= {"device": "quadro-rtx-6000", "descriptors": descriptors, "seed": seed}
        return calibrate(energies, **options).model

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
    doubt = abs(_growth_doubt(model, five, rows, energy, once, seven))
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
        fitted_on="quadro-rtx-6000",
        pue=1.59,
        budgets=[FIRST, LAST],
    )


def _means(rows: NDArray[Any], values: Vector) -> tuple[NDArray[np.int64], Vector]:
    """Distinct rows ascending, and the means of their repeats."""
    cells, index = np.unique(rows, return_inverse=True)
    return cells, np.bincount(index, values) / np.bincount(index)


def _other_budgets(model: OverEpochs, four: Measured) -> Iterator[QualityLine]:
    """Quality for four-vertex cells at 12, 36 and 108 epochs, from their measured energy at 4.

    They show the errors of the growth alone.
    """

    def measured(epochs: int) -> tuple[NDArray[np.int64], Vector]:
        runs = four.where(four["budget_epochs"] == epochs)
        return _means(runs.rows, runs["final_energy_kwh"])

    cells, first = measured(FIRST)
    for epochs in (12, 36, LAST):
        others, energy = measured(epochs)
        both = np.isin(cells, others)
        mean = _predicted(model, cells[both], first[both], epochs)
        yield QualityLine(
            f"energy at {epochs} epochs, 4-vertex cells",
            "these trainings, but other trainings of a fifth of the cells were fitted; from the "
            "energy measured at 4 epochs, on the RTX 6000",
            "Wh",
            scores(1000 * energy[np.isin(others, cells)], 1000 * mean).to_json(),
        )


def _predicted(
    model: OverEpochs, rows: NDArray[np.int64], energy: Vector, epochs: int = LAST
) -> Vector:
    """(n,) kWh after some epochs, from the measured energy at 4."""
    mean, _ = model.predict(features(rows), energy, energy, [epochs], fitted_device=True)
    return mean[:, 0]


def _at(rows: NDArray[np.int64], values: Vector, wanted: NDArray[np.int64]) -> Vector:
    """Values of the wanted rows, from values of distinct rows in any order."""
    order = np.argsort(rows)
    return values[order[np.searchsorted(rows[order], wanted)]]


def _growth_doubt(
    model: OverEpochs,
    five: Measured,
    long_rows: NDArray[np.int64],
    long_energy: Vector,
    once: Measured,
    seven: Measured,
) -> float:
    """Logarithm of the growth on the RTX 3090, estimated from its runs of one epoch, over `model`.

    A run of 4 epochs evaluates half-way, so E(4) holds one evaluation more than the energy up to
    the half-way mark of a run of one epoch. On the RTX 6000 the growth is known, which gives the
    cost of this evaluation as a multiple of the first one; the same multiple is assumed here. It
    is the median of E(108) by these increments over E(108) by the model's ratio.
    """
    first, half, evaluation = (
        _at(five.rows, five[f"{name}_energy_kwh"], long_rows) for name in ("final", "half", "init")
    )
    epoch = (long_energy - first) / (LAST - FIRST)
    extra = first - half - (FIRST - 2) * epoch
    multiple = float(np.median(extra) / np.median(evaluation))
    energy = _at(seven.rows, seven["energy_kwh"], once.rows)
    # Medians, since some runs of one epoch shared the GPU with others.
    cost = multiple * once["init_energy_kwh"]
    at_last = energy + (LAST - FIRST) * (energy - once["half_energy_kwh"] - cost) / (FIRST - 1)
    ratio = float(np.median(at_last / _predicted(model, once.rows, energy)))
    return float(np.log(round(ratio, 4)))

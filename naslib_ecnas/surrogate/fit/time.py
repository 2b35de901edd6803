"""Fitting the training time of NAS-Bench-101: a sum over layers, and a graph network for the rest.

The rest is what a sum cannot express, such as which layers the compiler fuses. The networks are
distilled into a perceptron. Their quality and the intervals come from a fifth of the cells, which a
first run of the whole fit holds out; the second run, which ships, is fitted on all.
"""

from __future__ import annotations

from dataclasses import replace
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.quality import Z90
from naslib_ecnas.surrogate.calibrate import conformal_sd
from naslib_ecnas.surrogate.features import COSTS, features
from naslib_ecnas.surrogate.fit.accuracy import fit_graph_network
from naslib_ecnas.surrogate.fit.reference import read_measured
from naslib_ecnas.surrogate.fit.student import (
    Steps,
    distil,
    held_out,
    labelled,
    no_progress,
    quality,
)
from naslib_ecnas.surrogate.models import Perceptron, TimeModel, Weights

__all__ = ["NASBENCH_FILE", "fit_time"]

NASBENCH_FILE = "nasbench101_validation_30001cells.parquet"

#: Residuals are clipped to so many robust deviations: larger ones are delayed runs.
_CUT = 8.0

Array = NDArray[np.float64]


def fit_time(
    folder: str | PathLike[str],
    *,
    seed: int = 0,
    share: float = 0.2,
    members: int = 2,
    epochs: int = 50,
    cells: int = 300_000,
    student_epochs: int = 50,
    progress: Steps = no_progress,
    limit: int | None = None,
) -> Weights:
    """Fit the time at 108 epochs.

    Args:
        folder: of the reference measurements.
        seed: of the parts, the networks and the cells that are distilled on.
        share: of the cells that the first run holds out.
        members: graph networks in the ensemble.
        epochs: of each of them.
        cells: drawn from the space for the distilling.
        student_epochs: of the distilling.
        progress: called with each step.
        limit: use only the first measurements.

    Raises:
        UnknownTableError: the folder lacks the file.
        MissingDependencyError: torch or pyarrow is not installed.
    """
    data = read_measured(Path(folder) / NASBENCH_FILE)
    rows, seconds = data.rows[:limit], data["training_time_108_s"][:limit]
    apart = held_out(rows, share, seed)

    def fitted(mask: NDArray[np.bool_]) -> TimeModel:
        return _fit(
            rows[mask], seconds[mask], seed, members, epochs, cells, student_epochs, progress
        )

    progress("time: without a fifth of the cells")
    first = fitted(~apart)
    mean, _ = first.predict(features(rows[apart]))
    off = np.abs(np.log(seconds[apart] / mean))
    error = conformal_sd(off)
    # Intervals are tested on cells that did not set their width: each half with the other's.
    half = np.random.default_rng(seed + 1).random(int(apart.sum())) < 0.5
    each = np.where(half, conformal_sd(off[~half]), conformal_sd(off[half]))
    known = quality(
        rows[apart],
        seconds[apart],
        mean,
        mean * np.exp(-Z90 * each),
        mean * np.exp(Z90 * each),
        unit="s",
        about=f"{share:.0%} of the cells of {NASBENCH_FILE}, held out from a first run of the fit",
    )
    progress("time: all cells")
    final = replace(fitted(np.ones(len(rows), dtype=bool)), error=error)
    header = {
        "target": "training time",
        "seed": seed,
        "data": {data.name: data.sha256},
        "split": f"{share:.0%} of the cells held out for quality and intervals; "
        "fitted again on all",
        "quality": {"training time at 108 epochs": known},
        "anchors": {
            "training time at 108 epochs": "boosting on simple graph features, on a fifth of the "
            "same records: tau .982"
        },
    }
    arrays = {
        "coefficients": final.coefficients,
        "scalars": np.array([final.intercept, final.floor, final.limit, final.error]),
        **final.correction.to_arrays("correction"),
        "fitted_rows": np.sort(rows).astype(np.int32),
    }
    return Weights(header, arrays)


def _fit(
    rows: NDArray[np.int64],
    seconds: Array,
    seed: int,
    members: int,
    epochs: int,
    cells: int,
    student_epochs: int,
    progress: Steps,
) -> TimeModel:
    x = features(rows)
    coefficients, intercept = _robust_relative_ridge(x[:, :COSTS].astype(np.float64), seconds)
    base = TimeModel(
        coefficients, intercept, 0.5 * float(seconds.min()), _zero_perceptron(x.shape[1]), 0.0, 0.0
    )
    rest = np.log(seconds / base.linear_s(x))
    deviation = 1.4826 * float(np.median(np.abs(rest)))
    target = np.clip(rest / deviation, -_CUT, _CUT)[:, None]
    wanted = labelled(rows, cells, seed)
    z = features(wanted)
    labels = np.zeros(len(wanted))
    for member in range(members):
        progress(f"time: graph network {member + 1} of {members}")
        network = fit_graph_network(
            rows, x, target, epochs=epochs, decay=0.01, seed=seed + 1000 * member
        )
        labels += network.predict(wanted, z)[:, 0] * deviation / members
    progress("time: distilling")
    student = distil(z, labels, hidden=(256, 96), epochs=student_epochs, seed=seed)
    return replace(base, correction=student, limit=float(np.abs(labels).max()))


def _zero_perceptron(inputs: int) -> Perceptron:
    """A perceptron that predicts 0, a placeholder."""
    zero = np.zeros(inputs, dtype=np.float32)
    layer = (np.zeros((inputs, 1), dtype=np.float32), np.zeros(1, dtype=np.float32))
    return Perceptron(zero, zero + 1, (layer,))


def _robust_relative_ridge(x: Array, seconds: Array) -> tuple[Array, float]:
    """Slopes and intercept that minimise relative errors, with Huber's weights."""
    mean, spread = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-9)
    z = np.column_stack([np.ones(len(x)), (x - mean) / spread])
    weight = 1 / seconds**2
    for _ in range(6):
        moment = z.T @ (z * weight[:, None])
        moment[np.arange(1, len(moment)), np.arange(1, len(moment))] += 1e-4 * weight.sum()
        solved = np.linalg.solve(moment, z.T @ (weight * seconds))
        off = np.abs(z @ solved / seconds - 1)
        cut = 1.5 * 1.4826 * np.median(off)
        weight = np.minimum(1, cut / np.maximum(off, 1e-12)) / seconds**2
    slopes = solved[1:] / spread
    return slopes, float(solved[0] - slopes @ mean)

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

from naslib_ecnas.files import to_plain
from naslib_ecnas.progress import Progress
from naslib_ecnas.surrogate.features import COSTS, features
from naslib_ecnas.surrogate.fit.graph_network import fit_graph_network
from naslib_ecnas.surrogate.fit.reference import VALIDATION, read_measured
from naslib_ecnas.surrogate.fit.student import (
    HELD_OUT,
    Plan,
    distil,
    held_out,
    labelled,
    quality,
    steps_of,
)
from naslib_ecnas.surrogate.models import LayerTime, TimeModel, Weights
from naslib_ecnas.surrogate.robust import conformal_sd

#: Residuals are clipped to so many robust deviations: larger ones are delayed runs.
_CUT = 8.0

Array = NDArray[np.float64]


def fit_time(
    folder: str | PathLike[str],
    *,
    seed: int = 0,
    members: int = 2,
    epochs: int = 50,
    cells: int = 300_000,
    student_epochs: int = 50,
    limit: int | None = None,
    progress: Progress | None = None,
) -> Weights:
    """Fit the time at 108 epochs.

    Args:
        folder: of the reference measurements.
        members, epochs: graph networks in the ensemble, and epochs of each.
        cells, student_epochs: cells drawn for the distilling, and its epochs.
        limit: use only the first measurements.

    Raises:
        UnknownTableError: the folder lacks the file.
        MissingDependencyError: torch or pyarrow is not installed.
    """
    data = read_measured(Path(folder) / VALIDATION).where(slice(limit))
    rows, seconds = data.rows, data["training_time_108_s"]
    step = steps_of(progress, "fitting the training time", 2 * members + 2, "networks")

    def fitted(part: NDArray[np.bool_]) -> TimeModel:
        x = features(rows[part])
        base, target, deviation = _sum_and_rest(x, seconds[part])
        wanted = labelled(rows[part], cells, seed)
        z = features(wanted)
        labels = np.zeros(len(wanted))
        for member in range(members):
            step()
            plan = Plan(epochs, batch=256, rate=2e-3, decay=0.01, rising=0.2)
            network = fit_graph_network(rows[part], x, target, plan, seed=seed + 1000 * member)
            labels += network.predict(wanted, z)[:, 0] * deviation / members
        step()
        student = distil(z, labels, (256, 96), Plan(student_epochs), seed=seed)
        return TimeModel(base, student, limit=float(np.abs(labels).max()), error=0.0)

    apart = held_out(rows, HELD_OUT, seed)
    mean, _ = fitted(~apart).predict(features(rows[apart]))
    off = np.abs(np.log(seconds[apart] / mean))
    # Intervals are tested on cells that did not set their width: each half with the other's.
    half = np.random.default_rng(seed + 1).random(len(off)) < 0.5
    each = np.where(half, conformal_sd(off[~half]), conformal_sd(off[half]))
    line = quality(
        "training time at 108 epochs",
        *(rows[apart], "training_time_s", seconds[apart], mean, mean * each),
        unit="s",
        about=f"{HELD_OUT:.0%} of the cells of {VALIDATION}, held out from a first run of the fit",
        anchor="boosting on simple graph features, on a fifth of the same records: tau .982",
    )
    final = replace(fitted(np.ones(len(rows), dtype=bool)), error=conformal_sd(off))
    step()
    header = {
        "target": "training time",
        "seed": seed,
        "data": {data.name: data.sha256},
        "split": f"{HELD_OUT:.0%} of the cells held out for quality and intervals; fitted again on "
        "all",
        "quality": to_plain([line]),
    }
    fitted_rows = np.sort(rows).astype(np.int32)
    return Weights(header, {**final.to_arrays(), "fitted_rows": fitted_rows})


def _sum_and_rest(x: NDArray[np.float32], seconds: Array) -> tuple[LayerTime, Array, float]:
    """The sum over layers without a correction, (n, 1) scaled residuals, and their deviation."""
    slopes, intercept = _robust_relative_ridge(x[:, :COSTS].astype(np.float64), seconds)
    floor = 0.5 * float(seconds.min())
    base = LayerTime(slopes, intercept, floor)
    rest = np.log(seconds / base(x))
    deviation = 1.4826 * float(np.median(np.abs(rest)))
    return base, np.clip(rest / deviation, -_CUT, _CUT)[:, None], deviation


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

"""Fitting the training time of NAS-Bench-101: a start-up, and time that grows with the epochs.

The time at 108 epochs is a sum over layers, and a graph network for the rest, which a sum cannot
express, such as which layers the compiler fuses. The networks are distilled into a perceptron. A
first run of this fit holds a fifth of the cells out for quality and intervals; the second run is
fitted on all.

A sample of the space has few small cells. For these a Gaussian process learns what the perceptron
is off, and is distilled in turn; cells with times at all budgets give the start-up. Quality and
intervals of this part are from folds of these cells.
"""

from __future__ import annotations

from dataclasses import replace
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.space import Space
from naslib_ecnas.surrogate.features import COSTS, FEATURES, features, vertices_of
from naslib_ecnas.surrogate.fit import common
from naslib_ecnas.surrogate.fit.gaussian_process import fit_gaussian_process
from naslib_ecnas.surrogate.fit.graph_network import fit_graph_network
from naslib_ecnas.surrogate.fit.reference import Files, Measured, read_measured
from naslib_ecnas.surrogate.models import BUDGETS, LayerTime, TimeModel, Weights
from naslib_ecnas.surrogate.robust import conformal_sd

#: Residuals are clipped to so many robust deviations: larger ones are delayed runs.
_CUT = 8.0

Array = NDArray[np.float64]

_APART = f"{common.HELD_OUT:.0%} of the cells of {Files.VALIDATION}"


def fit_time(
    folder: str | PathLike[str],
    *,
    seed: int = 0,
    members: int = 2,
    epochs: int = 50,
    cells: int = 300_000,
    student_epochs: int = 50,
    folds: int = 5,
) -> Weights:
    """Fit the time at all budgets.

    Args:
        members, epochs: graph networks in the ensemble, and epochs of each.
        cells, student_epochs: cells drawn for the distilling, and its epochs.
        folds: of the cross-validation of small cells and short budgets.
    """
    data, times = (read_measured(Path(folder) / name) for name in (Files.VALIDATION, Files.TIMES))
    rows, seconds = data.rows, data["training_time_108_s"]
    step = common.steps_of("fitting the training time", 2 * members + 2 + folds + 1, "fits")

    def fitted(part: NDArray[np.bool_]) -> TimeModel:
        x = features(rows[part])
        base = _fit_layers(x, seconds[part])
        rest = np.log(seconds[part] / base(x))
        deviation = 1.4826 * float(np.median(np.abs(rest)))
        target = np.clip(rest / deviation, -_CUT, _CUT)[:, None]
        wanted = common.labelled(rows[part], cells, seed)
        z = features(wanted)
        labels = np.zeros(len(wanted))
        for member in range(members):
            step()
            plan = common.Plan(epochs, batch=256, rate=2e-3, decay=0.01, rising=0.2)
            network = fit_graph_network(rows[part], x, target, plan, seed=seed + 1000 * member)
            labels += network.predict(wanted, z)[:, 0] * deviation / members
        step()
        student = common.distil(z, labels, (256, 96), common.Plan(student_epochs), seed=seed)
        limit = float(np.abs(labels).max())
        # `small`, `start_s` and `error` are fitted later: until then others stand in their place.
        return TimeModel(base, student, limit, student, base, np.ones((3, len(BUDGETS))))

    apart = common.held_out(rows, seed)
    mean = fitted(~apart).last(features(rows[apart]))
    off = np.abs(np.log(seconds[apart] / mean))
    # Intervals are tested on cells that did not set their width: each half with the other's.
    half = np.random.default_rng(seed + 1).random(len(off)) < 0.5
    each = np.where(half, conformal_sd(off[~half]), conformal_sd(off[half]))
    line = common.quality(
        "training time at 108 epochs",
        *(rows[apart], "training_time_s", seconds[apart], mean, mean * each),
        unit="s",
        about=f"{_APART}, held out from a first run of the fit",
        anchor="boosting on simple graph features, on a fifth of the same records: tau .982",
    )
    first = fitted(np.ones(len(rows), dtype=bool))
    few, few_s = by_budget(times)

    def complete(part: NDArray[np.bool_]) -> TimeModel:
        step()
        runs = few[part], few_s[part]
        return _with_small_cells(first, *runs, data, min(student_epochs, 20), seed)

    fold = np.random.default_rng(seed).permutation(len(few)) % folds
    mean = common.out_of_fold(fold, lambda out: complete(~out).predict(features(few[out]))[0])
    large, off = conformal_sd(off), np.abs(np.log(few_s / mean))
    there = ~np.isnan(off)
    size, every = np.clip(vertices_of(few) - 4, 0, 2), range(len(BUDGETS))
    by_size = [[conformal_sd(off[there[:, b] & (size == k), b]) for b in every] for k in range(3)]
    errors = np.array(by_size)
    errors[-1, -1] = large
    lines = [
        common.quality(
            f"training time at {budget} epochs, small cells",
            *(few[some], "training_time_s"),
            *(values[some, b] for values in (few_s, mean, mean * errors[size])),
            unit="s",
            about=f"cells of {Files.TIMES}, left out in turn, in {folds} folds",
        )
        for b, (budget, some) in enumerate(zip(BUDGETS, there.T, strict=True))
    ]
    final = replace(complete(np.ones(len(few), dtype=bool)), error=errors)
    step()
    fitted_rows = np.union1d(rows, few).astype(np.int32)
    return common.weights_of(
        "training time",
        seed,
        (data, times),
        f"{common.HELD_OUT:.0%} of the cells held out for quality and intervals, fitted again on "
        f"all; small cells and short budgets in {folds} folds",
        [line, *lines],
        {**final.to_arrays(), "fitted_rows": fitted_rows},
    )


# -- small cells and short budgets ----------------------------------------------------------------

#: Features that the start-up depends on: the compiler's work grows with the operations.
_START = ("conv3x3", "conv1x1", "maxpool3x3", "edges", "projections")

#: Most cells with times at all budgets that the process is fitted to, and cells of the sample of
#: six and of seven vertices that are fitted beside them and all smaller ones.
_MOST, _SIX, _SEVEN = 1000, 700, 300

#: Cells of the process on which its parameters are fitted, and steps of this fit.
_SUBSET, _STEPS = 700, 120

#: How often cells of up to five vertices count in the distilling, among so many larger ones.
_SMALL_COUNT, _LARGER = 10, 40_000

#: Rows of cells of more than five vertices.
_LARGE = range(len(Space(5)), len(Space(7)))


def _with_small_cells(
    first: TimeModel,
    rows: NDArray[np.int64],
    seconds: Array,
    sample: Measured,
    epochs: int,
    seed: int,
) -> TimeModel:
    """The model `first` with the correction of small cells and the start-up.

    Args:
        rows, seconds: (n,) and (n, 4) of small cells, as by `by_budget`.
        sample: times of a sample of the space at 108 epochs.
        epochs: of the distilling.
    """
    order = np.random.default_rng(seed).permutation(len(sample.rows))
    vertices = vertices_of(sample.rows[order])
    some = [order[vertices == 6][:_SIX], order[vertices == 7][:_SEVEN], order[vertices <= 5][:_SIX]]
    beside = sample.where(np.concatenate(some))
    known = np.flatnonzero(~np.isnan(seconds[:, -1]) & ~np.isin(rows, beside.rows))
    known = np.random.default_rng(seed).permutation(known)[:_MOST]
    x = features(np.concatenate([rows[known], beside.rows]))
    true = np.log(np.concatenate([seconds[known, -1], beside["training_time_108_s"]]))
    off = true - np.log(first.last(x))
    process = fit_gaussian_process(
        x.astype(np.float64), off, true, subset=_SUBSET, steps=_STEPS, seed=seed
    )
    larger = np.sort(np.random.default_rng(seed).choice(_LARGE, _LARGER, replace=False))
    z = features(np.concatenate([np.arange(_LARGE.start), larger]))
    count = np.repeat([_SMALL_COUNT, 1], [_LARGE.start, _LARGER])
    labels = np.repeat(process(z), count)
    plan = common.Plan(epochs, batch=256)
    small = common.distil(np.repeat(z, count, axis=0), labels, (64, 32), plan, seed=seed)
    return replace(first, small=small, start_s=fit_start(features(rows), seconds))


def by_budget(times: Measured) -> tuple[NDArray[np.int64], Array]:
    """(n,) distinct rows, and (n, 4) seconds at the `BUDGETS`, NaN where unknown."""
    rows, cell = np.unique(times.rows, return_inverse=True)
    seconds = np.full((len(rows), len(BUDGETS)), np.nan)
    budget = np.searchsorted(BUDGETS, times["budget_epochs"])
    seconds[cell, budget] = times["training_time_s"]
    return rows, seconds


def fit_start(x: NDArray[np.float32], seconds: Array) -> LayerTime:
    """The start-up as a sum over `_START`, by relative errors with Huber's weights.

    It is what times at short budgets exceed their share of the time at 108 epochs by.

    Args:
        x: (n, k) features.
        seconds: (n, 4) at the budgets, NaN where unknown; only cells with a time at 108 epochs
            and another one count.
    """
    columns = [[feature.name for feature in FEATURES].index(name) for name in _START]
    share = np.array(BUDGETS[:-1]) / BUDGETS[-1]
    excess = (seconds[:, :-1] - seconds[:, -1:] * share) / (1 - share)
    cell, budget = np.nonzero(~np.isnan(excess))
    scale = (seconds[:, :-1] / (1 - share))[cell, budget]
    design = np.column_stack([np.ones(len(cell)), x[cell][:, columns]])
    ridge = np.array([0, *[1e-9] * len(columns)])
    solved = _huber(design, excess[cell, budget], 1 / scale**2, ridge)
    coefficients = np.zeros(max(columns) + 1)
    coefficients[columns] = solved[1:]
    return LayerTime(coefficients, float(solved[0]), floor=0.0)


# -- sums over layers -----------------------------------------------------------------------------


def _fit_layers(x: NDArray[np.float32], seconds: Array) -> LayerTime:
    """The sum over layers of least relative errors, with Huber's weights."""
    sums = x[:, :COSTS].astype(np.float64)
    mean, spread = sums.mean(axis=0), np.maximum(sums.std(axis=0), 1e-9)
    weight = 1 / seconds**2
    ridge = np.array([0, *[1e-4 * weight.sum()] * COSTS])
    z = np.column_stack([np.ones(len(x)), (sums - mean) / spread])
    solved = _huber(z, seconds, weight, ridge)
    slopes = solved[1:] / spread
    return LayerTime(slopes, float(solved[0] - slopes @ mean), 0.5 * float(seconds.min()))


def _huber(design: Array, y: Array, weight: Array, ridge: Array) -> Array:
    """(k,) coefficients by least squares with (n,) weights, reduced for outliers by Huber's rule.

    `ridge` are (k,) penalties of the squared coefficients.
    """
    kept = np.ones(len(y))
    for _ in range(6):
        weighted = design.T * (weight * kept)
        solved = np.linalg.solve(weighted @ design + np.diag(ridge), weighted @ y)
        off = np.abs(y - design @ solved) * np.sqrt(weight)
        cut = 1.5 * 1.4826 * np.median(off)
        kept = np.minimum(1, cut / np.maximum(off, 1e-12))
    return np.asarray(solved)

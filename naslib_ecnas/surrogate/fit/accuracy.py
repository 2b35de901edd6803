"""Fitting accuracies: graph networks rank the cells at all budgets at once.

Targets are normal scores of the validation accuracies at four budgets and of the test accuracy at
the last; a cell that has some of them teaches these. The networks' mean, with a share of plain
perceptrons, is distilled into one perceptron. A first run leaves a fifth of the cells out: from
these come the curves from score to accuracy, the intervals and the quality in the header. The
second run, which ships, sees all.

The validation accuracies at 108 epochs of the source are the largest of three trainings. The
larger the error, the more trainings differ: the mean is taken as max - k (1 - max), with k fitted
on the published records that have all three.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.intervals import Z90
from naslib_ecnas.surrogate.features import features
from naslib_ecnas.surrogate.fit.graph_network import fit_graph_network
from naslib_ecnas.surrogate.fit.parts import held_out, labelled, quality
from naslib_ecnas.surrogate.fit.ranks import curves, normal_scores
from naslib_ecnas.surrogate.fit.reference import Measured, read_measured
from naslib_ecnas.surrogate.fit.student import distil
from naslib_ecnas.surrogate.native import BUDGETS
from naslib_ecnas.surrogate.perceptron import Perceptron
from naslib_ecnas.surrogate.weights import Weights

__all__ = ["fit_accuracy", "mean_of_largest", "shrinkage"]

VALIDATION = "nasbench101_validation_30001cells.parquet"
TEST = "nasbench101_test108_12959cells.parquet"
RECORDS = "nasbench101_full_records_52cells.parquet"
#: Trainings of EC-NAS's own that have both accuracies, for the budgets without published ones.
BOTH = ("measured_4v_rtx6000_3repeats.parquet", "measured_5v_4epochs_rtx6000.parquet")
NAMES = (*(f"validation accuracy at {b} epochs" for b in BUDGETS), "test accuracy at 108 epochs")
#: Share of the graph networks in the ensemble; the others are perceptrons.
GRAPHS = 0.7
_ANCHORS = (".666", ".731", ".805", ".862")

Array = NDArray[np.float64]
Say = Callable[[str], None]


@dataclass(frozen=True)
class _Data:
    rows: NDArray[np.int64]
    accuracy: Array
    """(n, 5), NaN where missing."""


def shrinkage(records: Measured) -> float:
    """k of `mean_of_largest`, by least squares over cells with three trainings."""
    rows, inverse = np.unique(records.rows, return_inverse=True)
    accuracy = records["final_validation_accuracy"]
    mean = np.bincount(inverse, accuracy) / np.bincount(inverse)
    largest = np.full(len(rows), -np.inf)
    np.maximum.at(largest, inverse, accuracy)
    error = 1 - largest
    return float(((largest - mean) * error).sum() / (error**2).sum())


def mean_of_largest(largest: NDArray[Any], k: float) -> Array:
    """(n,) mean accuracies of three trainings whose largest are given."""
    return np.asarray(largest - k * (1 - largest))


def fit_accuracy(
    folder: str | PathLike[str],
    *,
    seed: int = 0,
    share: float = 0.2,
    members: int = 4,
    epochs: int = 25,
    cells: int = 300_000,
    student_epochs: int = 30,
    progress: Say | None = None,
    limit: int | None = None,
) -> Weights:
    """Fit the accuracies.

    Args:
        folder: of the reference measurements.
        seed: of the parts, the networks and the cells that are distilled on.
        share: of the cells that the first run does not see.
        members: graph networks in the ensemble, and as many perceptrons.
        epochs: of each of them.
        cells: drawn from the space to distil on.
        student_epochs: of the perceptron.
        progress: hears what begins.
        limit: use only so many of the measurements of each file.

    Raises:
        UnknownTableError: the folder lacks a file.
        MissingDependencyError: torch, scipy, scikit-learn or pyarrow is not installed.
    """
    say = progress or (lambda _: None)
    place = Path(folder)
    validation, test, records = (read_measured(place / n) for n in (VALIDATION, TEST, RECORDS))
    both = [read_measured(place / name) for name in BOTH]
    k = shrinkage(records)
    data = _joined(validation.where(_first(validation, limit)), test.where(_first(test, limit)), k)
    apart = held_out(data.rows, share, seed)

    def fitted(mask: NDArray[np.bool_]) -> Perceptron:
        return _fit(
            data.rows[mask], data.accuracy[mask], seed, members, epochs, cells, student_epochs, say
        )

    say("accuracy: without a fifth of the cells")
    ranks = fitted(~apart)
    score = ranks(features(data.rows[apart])).astype(np.float64)
    found = [_curves(score[:, i], data.accuracy[apart, i]) for i in range(len(NAMES))]
    known = {
        name: _quality(data.rows[apart], score[:, i], data.accuracy[apart, i], seed)
        for i, name in enumerate(NAMES)
    }
    say("accuracy: all cells")
    final = fitted(np.ones(len(data.rows), dtype=bool))
    header = {
        "target": "accuracy",
        "seed": seed,
        "data": {m.name: m.sha256 for m in (validation, test, records, *both)},
        "split": f"{share:.0%} of the cells held out for quality, curves and intervals; fitted "
        "again on all",
        "shrinkage": k,
        "quality": known,
        "anchors": {
            name: f"boosting on simple graph features, on a fifth of the same records: tau {tau}"
            for name, tau in zip(NAMES[:4], _ANCHORS, strict=True)
        },
    }
    arrays = {
        **final.to_arrays("ranks"),
        "score": np.stack([c[0] for c in found]).astype(np.float32),
        "accuracy": np.stack([c[1] for c in found]).astype(np.float32),
        "deviation": np.stack([c[2] for c in found]).astype(np.float32),
        "test_less_validation": _test_less_validation(both),
        "fitted_rows": np.unique(data.rows[~np.isnan(data.accuracy[:, 0])]).astype(np.int32),
        "fitted_rows_test": np.unique(data.rows[~np.isnan(data.accuracy[:, 4])]).astype(np.int32),
    }
    return Weights(header, arrays)


def _first(data: Measured, limit: int | None) -> NDArray[np.int64]:
    return np.arange(len(data.rows))[:limit]


def _joined(validation: Measured, test: Measured, k: float) -> _Data:
    """One line for each cell of either file."""
    rows = np.union1d(validation.rows, test.rows)
    accuracy = np.full((len(rows), len(NAMES)), np.nan)
    at = np.searchsorted(rows, validation.rows)
    for i, budget in enumerate(BUDGETS[:-1]):
        accuracy[at, i] = validation[f"val_acc_{budget}_one_repeat"]
    accuracy[at, 3] = mean_of_largest(validation["val_acc_108_max_of_repeats"], k)
    accuracy[np.searchsorted(rows, test.rows), 4] = test["test_accuracy_108_mean"]
    return _Data(rows, accuracy)


def _fit(
    rows: NDArray[np.int64],
    accuracy: Array,
    seed: int,
    members: int,
    epochs: int,
    cells: int,
    student_epochs: int,
    say: Say,
) -> Perceptron:
    x = features(rows)
    target = np.stack([normal_scores(column) for column in accuracy.T], axis=1)
    wanted = labelled(rows, cells, seed)
    z = features(wanted)
    told = np.zeros((len(wanted), target.shape[1]))
    for member in range(members):
        say(f"accuracy: graph network {member + 1} of {members}")
        network = fit_graph_network(rows, x, target, epochs=epochs, seed=seed + 1000 * member)
        told += GRAPHS * network.predict(wanted, z) / members
        # A perceptron on the features alone errs otherwise than the graph network.
        plain = distil(
            x,
            target,
            hidden=(128, 64),
            epochs=epochs,
            batch=256,
            decay=0.1,
            seed=seed + 1000 * member,
        )
        told += (1 - GRAPHS) * plain(z) / members
    say("accuracy: distilling")
    return distil(z, told, hidden=(256, 128), epochs=student_epochs, batch=512, seed=seed)


def _curves(score: Array, accuracy: Array) -> tuple[Array, Array, Array]:
    there = ~np.isnan(accuracy)
    return curves(score[there], accuracy[there])


def _quality(rows: NDArray[np.int64], score: Array, accuracy: Array, seed: int) -> dict[str, Any]:
    """Quality on held-out cells, each half by the curves of the other half."""
    there = ~np.isnan(accuracy)
    rows, score, accuracy = rows[there], score[there], accuracy[there]
    half = np.random.default_rng(seed + 1).random(len(rows)) < 0.5
    mean, std = np.empty(len(rows)), np.empty(len(rows))
    for mine in (half, ~half):
        at, value, deviation = curves(score[~mine], accuracy[~mine])
        mean[mine] = np.interp(score[mine], at, value)
        std[mine] = np.interp(score[mine], at, deviation)
    return quality(
        rows,
        accuracy,
        mean,
        mean - Z90 * std,
        mean + Z90 * std,
        unit="",
        about="held out from a first run of the fit",
    )


def _test_less_validation(both: list[Measured]) -> Array:
    """(4, 2) mean and standard deviation of test less validation accuracy at each budget."""
    budget = np.concatenate([_epochs(m) for m in both])
    less = np.concatenate([m["final_test_accuracy"] - m["final_validation_accuracy"] for m in both])
    each = [less[budget == b] for b in BUDGETS]
    return np.array([[float(d.mean()), float(d.std())] for d in each])


def _epochs(data: Measured) -> Array:
    if "budget_epochs" in data.columns:
        return np.asarray(data["budget_epochs"], dtype=np.float64)
    return np.full(len(data.rows), float(BUDGETS[0]))

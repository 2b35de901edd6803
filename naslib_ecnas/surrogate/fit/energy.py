"""Fitting the energy of four epochs: an ensemble, distilled into the model that ships.

The ensemble, a `Teacher`, predicts the logarithm of energy over time from a linear model of time,
Gaussian processes and boosted trees. It labels cells of the whole space, measured or not; a
perceptron learns the labels and the spread of the members. Errors come from cross-validation: each
fold's student is fitted anew, time model included, without the fold's cells. They give the quality
in the header and the widths of the intervals.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.errors import ConfigError, check_counts
from naslib_ecnas.files import is_file
from naslib_ecnas.metrics import J_PER_KWH
from naslib_ecnas.quality import QualityLine, log_scores
from naslib_ecnas.space import Space
from naslib_ecnas.surrogate.features import LAYER_SUMS, features
from naslib_ecnas.surrogate.fit import common
from naslib_ecnas.surrogate.fit.gaussian_process import fit_gaussian_process
from naslib_ecnas.surrogate.fit.reference import (
    Files,
    Measured,
    is_table,
    optional,
    read_measured,
    read_table,
)
from naslib_ecnas.surrogate.models import EnergyModel, LayerTime, Perceptron, Weights
from naslib_ecnas.surrogate.robust import conformal_sd

Vector = NDArray[np.float64]

# -- widths of the intervals, from errors on cells that were not fitted ---------------------------

#: A larger error, in the logarithm, is a disturbed run: it is cut to this for the law of the
#: widths, but counts in the coverage.
_DISTURBED = 0.15

_ITERATIONS = 50

#: Pull of the two slopes towards 0, in cells.
_RIDGE = 5.0


def relative_error(error: Vector, energy_wh: NDArray[Any], spread: NDArray[Any]) -> Vector:
    """(n,) relative standard deviations by the three numbers of `EnergyModel.error`."""
    constant, by_energy, by_spread = error
    return np.asarray(np.exp(constant + by_energy * np.log(energy_wh) + by_spread * spread))


def fit_error(energy_wh: NDArray[Any], spread: NDArray[Any], off: NDArray[Any]) -> Vector:
    """The three numbers of `EnergyModel.error` from cells that the fit did not see.

    The log scale of the errors is linear in log(energy) and `spread`, fitted by maximum
    likelihood of Laplace's distribution (convex; Newton's method). The constant is then set so
    that intervals hold nine of ten of these cells, by split conformal prediction (Lei et al., JASA
    113, 2018, section 2.2).

    Args:
        energy_wh: (n,) predictions.
        spread: (n,) predicted logarithms of the ensemble's spread.
        off: (n,) logarithms of measured over predicted.
    """
    size = np.abs(off)
    z = np.column_stack([np.ones(len(size)), np.log(energy_wh), spread])
    middle = np.array([0.0, z[:, 1].mean(), z[:, 2].mean()])
    z -= middle
    kept = np.minimum(size, _DISTURBED)
    ridge = np.diag([0.0, _RIDGE, _RIDGE])
    theta = np.array([np.log(kept.mean() + 1e-9), 0.0, 0.0])
    for _ in range(_ITERATIONS):
        ratio = kept / np.exp(z @ theta)
        gradient = z.T @ (1 - ratio) + ridge @ theta
        step = np.linalg.solve((z * ratio[:, None]).T @ z + ridge + 1e-9 * np.eye(3), gradient)
        theta -= np.clip(step, -1, 1)
    theta[0] += np.log(max(conformal_sd(size / np.exp(z @ theta)), 1e-9))
    theta[0] -= middle @ theta
    return np.asarray(theta, dtype=np.float64)


# -- time of one training epoch, by weighted ridge regression -------------------------------------
#
# Energy is mean power times time, and power varies far less between cells than time does, so a
# model of energy that is given a time need only learn the power. The published one-epoch runs on
# the RTX 3090 give this time almost without noise: it is very nearly a sum over layers. Where no
# times are to be had, the times are those at 1 kW; a model fitted so is only a little worse.

_PENALTIES = np.logspace(-4, 2, 13)

#: Least prediction, as a share of the least fitted time.
_FLOOR = 0.5

#: Fewest runs of a fit.
_LEAST = 10


def fit_epoch_time(x: Vector, time: Vector) -> LayerTime:
    """Fit to (n, LAYER_SUMS) features and (n,) seconds.

    Relative errors count (weights 1 / time^2); the penalty minimises the generalised
    cross-validation score (Golub, Heath and Wahba, Technometrics 21, 1979, eq. 1.4).

    Raises:
        ConfigError: there are too few cells.
    """
    n = len(time)
    if n < _LEAST:
        message = f"{_LEAST} or more cells must have a measured time of one epoch"
        raise ConfigError(message, value=n)
    weight = 1 / time**2
    weight /= weight.sum()
    middle = weight @ x
    spread = np.sqrt(weight @ (x - middle) ** 2)
    scale = 1 / np.where(spread > 1e-9, spread, np.inf)
    mean = float(weight @ time)
    root = np.sqrt(weight * n)
    u, s, vt = np.linalg.svd((x - middle) * scale * root[:, None], full_matrices=False)
    target = (time - mean) * root
    along = u.T @ target
    beyond = float(target @ target - along @ along)

    def score(penalty: float) -> float:
        kept = s**2 / (s**2 + penalty)
        left = beyond + float(((1 - kept) * along) @ ((1 - kept) * along))
        return left / max(n - 1 - float(kept.sum()), 1e-9) ** 2

    penalty = min(_PENALTIES * n, key=score)
    coefficients = (vt.T @ (s / (s**2 + penalty) * along)) * scale
    return LayerTime(coefficients, mean - float(middle @ coefficients), _FLOOR * time.min())


# -- the ensemble ---------------------------------------------------------------------------------
#
# Gaussian processes, each with length scales from another draw of the cells, and boosted trees. All
# of it, the time model too, is fitted on the chosen cells and on no others, so that the rest can be
# used for testing.

#: From (n, k) features to logarithms of the mean power in W and of the members' spread, (n,) each.
Teacher = Callable[[NDArray[Any]], tuple[Vector, Vector]]

#: Weight of the trees in the mean.
_TREES = 0.1

#: Added to the spread of the members before its logarithm.
_LEAST_SPREAD = 1e-4


@dataclass(frozen=True)
class EnergyData:
    """The measurements that the fit reads."""

    measured: Measured
    """Energies at 4 epochs, each of another cell."""
    once: Measured
    """Times of cells."""

    @cached_property
    def x(self) -> NDArray[np.float32]:
        """(n, len(FEATURES)) features of the measured cells."""
        return features(self.measured.rows)

    @cached_property
    def x_once(self) -> Vector:
        """(m, LAYER_SUMS) features of the cells with times."""
        return features(self.once.rows)[:, :LAYER_SUMS].astype(np.float64)

    @property
    def energy_wh(self) -> Vector:
        """(n,) measured energies at 4 epochs."""
        return np.asarray(1000 * self.measured["energy_kwh"])

    def problem(self, chosen: NDArray[Any]) -> tuple[LayerTime, Vector, Vector, Vector]:
        """What the members of the ensemble are fitted to, from the chosen cells and no others.

        Args:
            chosen: mask or indices of n measured cells.

        Returns:
            The time; (n, COSTS + 2) inputs of `LayerTime.power_inputs`; (n,) logarithms of mean
            power in W, the targets; and (n,) logarithms of time, in which the log noise is linear.
        """
        cells, x = self.measured.where(chosen), self.x[chosen]
        runs = np.isin(self.once.rows, cells.rows)
        time = fit_epoch_time(self.x_once[runs], self.once["final_training_time_s"][runs])
        z = time.power_inputs(x)
        seconds = z[:, -1]
        return time, z, np.log(cells["energy_kwh"] * J_PER_KWH / seconds), np.log(seconds)


def read_energy(source: str | PathLike[str], *, with_test: bool = False) -> EnergyData:
    """Read energies at 4 epochs, and times of the same cells.

    Args:
        source: folder of the reference measurements, `reference.published()`, or a table: a name of
            the catalog, or a file or folder that `ecnas data convert` reads.
        with_test: whether the paper's test fifth is among the published energies.

    Raises:
        ConfigError: `with_test` with a table, which has no such part.
        UnknownTableError: the source is not there or lacks a file.
    """
    if is_table(source):
        if with_test:
            raise ConfigError("a table of one's own has no test fifth of the paper", value=source)
        runs = read_table(source)
        once = runs.means(*runs.columns)
        measured = replace(once, columns={"energy_kwh": once["final_energy_kwh"]})
        timed = len(runs.columns) > 1
    else:
        name = Files.ALL_SEVEN_VERTICES if with_test else Files.SEVEN_VERTICES
        once = measured = read_measured(Path(source) / name)
        if timed := is_file(times := Path(source) / Files.ONE_EPOCH):
            once = read_measured(times)
    if not timed:  # what the energies take at 1 kW
        once = replace(once, columns={"final_training_time_s": 3600 * measured["energy_kwh"]})
    return EnergyData(measured, once)


def fit_teacher(
    data: EnergyData,
    chosen: NDArray[Any],
    *,
    seed: int = 0,
    processes: int = 3,
    subset: int = 900,
    steps: int = 160,
    trees: int = 1500,
) -> tuple[LayerTime, Teacher]:
    """Fit time and the ensemble on the chosen cells (a mask or indices) and no others.

    `subset` and `steps` are of each Gaussian process.
    """
    time, *problem = data.problem(chosen)
    members = [
        fit_gaussian_process(*problem, subset=subset, steps=steps, seed=seed * 100 + member)
        for member in range(processes)
    ]
    boosted = common.fit_boosting(*problem[:2], trees=trees, seed=seed)

    def predict(x: NDArray[Any]) -> tuple[Vector, Vector]:
        z = time.power_inputs(x)
        by_trees = boosted.predict(z)
        by_processes = np.stack([process(z) for process in members])
        middle = by_processes.mean(axis=0)
        mean = (1 - _TREES) * middle + _TREES * by_trees
        spread = np.sqrt(by_processes.var(axis=0) + (by_trees - middle) ** 2)
        return mean, np.log(spread + _LEAST_SPREAD)

    return time, predict


# -- the student, and the whole fit ---------------------------------------------------------------

#: All cells of up to five vertices are distilled on.
_SMALL = len(Space(5))

#: Hidden layers of the perceptrons of power and of spread.
_POWER, _SPREAD = (192, 96), (48, 24)

#: Outputs are clipped this far beyond the least and the greatest label.
_MARGIN = 0.05


def fit_student(
    time: LayerTime, teacher: Teacher, *, cells: int, epochs: int, seed: int
) -> EnergyModel:
    """Distil the ensemble over `cells` cells of the space.

    Its `error` is a placeholder: the relative standard deviation is the spread itself.
    """
    rng = np.random.default_rng(seed)
    rest = rng.choice(np.arange(_SMALL, len(Space(7))), size=cells, replace=False)
    x = features(np.concatenate([np.arange(_SMALL), np.sort(rest)]))
    labels = np.column_stack(teacher(x))
    z = time.power_inputs(x)
    # Small batches: the labels have no noise, so an exact fit is wanted.
    plans = common.Plan(epochs, batch=256, rate=2e-3), common.Plan(max(epochs // 4, 1))
    power, spread = (
        common.distil(z, label, hidden, plan, seed=seed)
        for label, hidden, plan in zip(labels.T, (_POWER, _SPREAD), plans, strict=True)
    )
    low, high = labels.min(axis=0), labels.max(axis=0)
    return EnergyModel(
        time=time,
        power=_side_by_side(power, spread),
        bounds=np.stack([low - _MARGIN, high + _MARGIN]),
        error=np.array([0.0, 0.0, 1.0]),
    )


def _side_by_side(a: Perceptron, b: Perceptron) -> Perceptron:
    """One perceptron with the outputs of both, which have the same inputs."""
    blocks = optional("scipy.linalg").block_diag
    layers: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []
    for (left, left_bias), (right, right_bias) in zip(a.layers, b.layers, strict=True):
        weight = blocks(left, right) if layers else np.concatenate([left, right], axis=1)
        layers.append((weight, np.concatenate([left_bias, right_bias])))
    return Perceptron(a.shift, a.scale, tuple(layers), a.clip)


_ANCHOR = (
    "paper's test fifth: the authors' perceptron MAE .330 Wh, MAPE 2.39 %, tau .950; a strong "
    "ensemble .211 Wh, 1.51 %, .965"
)


def fit_energy(
    folder: str | PathLike[str],
    *,
    seed: int = 0,
    with_test: bool = False,
    folds: int = 5,
    cells: int = 150_000,
    epochs: int = 25,
    fold_cells: int = 100_000,
    fold_epochs: int = 20,
) -> Weights:
    """Fit the energy at 4 epochs on all measured cells, in a quarter of an hour on one core.

    Args:
        folder: of the reference measurements, or another source of `read_energy`.
        with_test: whether to fit the paper's test fifth too, for no comparison with the paper.
        folds: of the cross-validation that gives the quality and the intervals.
        cells, epochs: of the distilling of the model that ships.
        fold_cells, fold_epochs: of the cheaper distilling of the folds, which is no better.

    Raises:
        ConfigError: fewer than two folds, or `with_test` with a table.
        UnknownTableError: the folder lacks a file.
    """
    check_counts(least=2, folds=folds)
    data = read_energy(folder, with_test=with_test)
    truth, rows = data.energy_wh, data.measured.rows
    split = data.measured.columns.get("paper_split")
    step = common.steps_of("fitting the energy", folds + 1 + (split is not None), "fits")

    def fitted(chosen: NDArray[np.bool_], cells: int, epochs: int) -> EnergyModel:
        step()
        return fit_student(
            *fit_teacher(data, chosen, seed=seed), cells=cells, epochs=epochs, seed=seed
        )

    def tested(there: NDArray[np.bool_], others: NDArray[np.bool_]) -> Vector:
        """(m, 2) Wh and log spread, fitted on the other cells."""
        mean, std = fitted(others, fold_cells, fold_epochs).predict(data.x[there])
        return np.column_stack([1000 * mean, np.log(std / mean)])

    def widths(there: NDArray[np.bool_]) -> Vector:
        """(m,) relative standard deviations, from the errors of the other folds."""
        error = fit_error(wh[~there], spread[~there], off[~there])
        return relative_error(error, wh[there], spread[there])

    fold = np.random.default_rng(seed).permutation(len(rows)) % folds
    wh, spread = common.out_of_fold(fold, lambda there: tested(there, ~there)).T
    off = np.log(truth / wh)
    relative = common.out_of_fold(fold, widths)
    about, where = "", f"cells of {data.measured.name}"
    if split is not None:
        about = "; paper_split: fitted on the paper's train part, tested on its valid part"
        where = "measured cells of the 7-vertex space"
        if with_test:
            where += ", the paper's test fifth among them"
    lines = [
        common.quality(
            *("energy at 4 epochs", rows, "energy_kwh", truth, wh, wh * relative),
            unit="Wh",
            about=f"{folds}-fold cross-validation over the {where}",
            anchor=_ANCHOR if split is not None else "",
        )
    ]
    if split is not None:
        train, valid = split == "train", split == "valid"
        wh_valid, spread_valid = tested(valid, train).T
        # Widths from the training cells' errors out of their folds.
        error = fit_error(wh[train], spread[train], off[train])
        found = log_scores(truth[valid], wh_valid, relative_error(error, wh_valid, spread_valid))
        target = "energy at 4 epochs, paper's split"
        about_split = "fitted on the paper's train part, tested on its valid part"
        lines.append(QualityLine(target, about_split, "Wh", found.to_json()))
    final = fitted(np.ones(len(rows), dtype=bool), cells, epochs)
    step()
    final = replace(final, error=fit_error(wh, spread, off))
    return common.weights_of(
        "energy_kwh at 4 epochs",
        seed,
        (data.measured, data.once),
        f"fitted on all {len(rows)} {where}; quality by {folds}-fold cross-validation of the whole "
        "pipeline with a smaller distilling, intervals of a fold from the errors of the other folds"
        + about,
        lines,
        {**final.to_arrays(), "fitted_rows": np.sort(rows).astype(np.int32)},
    )

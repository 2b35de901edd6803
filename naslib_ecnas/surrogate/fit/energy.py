"""Fitting the energy of four epochs: an ensemble, distilled into the model that ships.

The ensemble, `Teacher`, predicts the logarithm of energy over time from a linear model of time,
Gaussian processes and boosted trees. It labels cells of the whole space, measured or not; a
perceptron learns the labels and the spread of the members. Errors come from cross-validation: each
fold's student is fitted anew, time model included, without the fold's cells. They give the quality
in the header and the widths of the intervals.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.errors import ConfigError, check_counts
from naslib_ecnas.quality import Z90, Scores, scores
from naslib_ecnas.space import Space
from naslib_ecnas.surrogate.features import COSTS, FEATURES, features, vertices_of
from naslib_ecnas.surrogate.fit.reference import Measured, read_measured
from naslib_ecnas.surrogate.fit.student import (
    Boosting,
    Steps,
    distil,
    fit_boosting,
    no_progress,
    torch_module,
)
from naslib_ecnas.surrogate.models import JOULES_PER_KWH, EnergyModel, Perceptron, Weights

__all__ = [
    "LAYER_SUMS",
    "EnergyData",
    "EpochTime",
    "EpochTimeData",
    "GaussianProcess",
    "Teacher",
    "cross_conformal",
    "fit_energy",
    "fit_error",
    "fit_gaussian_process",
    "fit_student",
    "fit_teacher",
    "inputs",
    "read_energy",
    "read_epoch_times",
    "relative_error",
]

Vector = NDArray[np.float64]

# -- widths of the intervals, from errors on cells that were not fitted ---------------------------

_COVERED = 0.9

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
    that intervals hold nine of ten of these cells, with the finite-sample correction of split
    conformal prediction (Lei et al., JASA 113, 2018, section 2.2).

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
    n = len(size)
    level = min(np.ceil((n + 1) * _COVERED) / n, 1.0)
    reach = float(np.quantile(size / np.exp(z @ theta), level, method="inverted_cdf"))
    theta[0] += np.log(max(reach, 1e-9) / Z90)
    theta[0] -= middle @ theta
    return np.asarray(theta, dtype=np.float64)


def cross_conformal(
    energy_wh: NDArray[Any], spread: NDArray[Any], off: NDArray[Any], fold: NDArray[Any]
) -> Vector:
    """(n,) relative standard deviations, each fold's from the errors of all other folds."""
    out = np.empty(len(off))
    for number in np.unique(fold):
        there = fold == number
        error = fit_error(energy_wh[~there], spread[~there], off[~there])
        out[there] = relative_error(error, energy_wh[there], spread[there])
    return out


# -- time of one training epoch, by weighted ridge regression -------------------------------------
#
# Energy is mean power times time, and power varies far less between cells than time does, so a
# model of energy that is given a time need only learn the power. The published one-epoch runs on
# the RTX 3090 give this time almost without noise: it is very nearly a sum over layers.

_EPOCH_TIME_FILE = "measured_7v_1epoch_rtx3090.parquet"

#: Leading columns of `FEATURES` that are sums over layers; the logarithms come after them.
LAYER_SUMS = next(i for i, f in enumerate(FEATURES) if f.name.startswith("log_"))

_PENALTIES = np.logspace(-4, 2, 13)

#: Least prediction, as a share of the least fitted time.
_FLOOR = 0.5

#: Fewest runs of a fit.
_LEAST = 10


@dataclass(frozen=True)
class EpochTime:
    """Linear model of the seconds of one epoch."""

    coefficients: NDArray[np.float64]
    """(LAYER_SUMS,) seconds for a unit of each feature."""
    intercept: float
    floor: float
    """Least predicted time, in s."""

    def predict(self, x: NDArray[Any]) -> NDArray[np.float64]:
        """(n,) seconds of (n, k) features."""
        time = np.asarray(x[:, :LAYER_SUMS], dtype=np.float64) @ self.coefficients + self.intercept
        return np.asarray(np.maximum(time, self.floor))


@dataclass(frozen=True)
class EpochTimeData:
    """The one-epoch runs, of which a fit uses some."""

    measured: Measured
    x: NDArray[np.float64]
    """(n, LAYER_SUMS) features."""

    def fit(self, rows: NDArray[np.int64]) -> EpochTime:
        """Fit to the runs of the cells among `rows` and of no others.

        Relative errors count (weights 1 / time^2); the penalty minimises the generalised
        cross-validation score (Golub, Heath and Wahba, Technometrics 21, 1979, eq. 1.4).

        Raises:
            ConfigError: too few of the cells have a run.
        """
        chosen = np.isin(self.measured.rows, rows)
        if chosen.sum() < _LEAST:
            raise ConfigError(
                f"{_LEAST} or more cells must have a measured time of one epoch",
                value=int(chosen.sum()),
            )
        x, time = self.x[chosen], self.measured["final_training_time_s"][chosen]
        weight = 1 / time**2
        weight /= weight.sum()
        middle = weight @ x
        spread = np.sqrt(weight @ (x - middle) ** 2)
        scale = 1 / np.where(spread > 1e-9, spread, np.inf)
        mean = float(weight @ time)
        root = np.sqrt(weight * len(time))
        u, s, vt = np.linalg.svd((x - middle) * scale * root[:, None], full_matrices=False)
        target = (time - mean) * root
        along = u.T @ target
        beyond = float(target @ target - along @ along)
        best, least = np.zeros(len(s)), np.inf
        for penalty in _PENALTIES * len(time):
            kept = s**2 / (s**2 + penalty)
            left = beyond + float(((1 - kept) * along) @ ((1 - kept) * along))
            score = left / max(len(time) - 1 - float(kept.sum()), 1e-9) ** 2
            if score < least:
                best, least = s / (s**2 + penalty) * along, score
        coefficients = (vt.T @ best) * scale
        return EpochTime(coefficients, mean - float(middle @ coefficients), _FLOOR * time.min())


def read_epoch_times(folder: str | PathLike[str]) -> EpochTimeData:
    """Read the one-epoch runs of the reference data."""
    measured = read_measured(Path(folder) / _EPOCH_TIME_FILE)
    return EpochTimeData(measured, features(measured.rows)[:, :LAYER_SUMS].astype(np.float64))


# -- a robust Gaussian process with heteroscedastic noise -----------------------------------------
#
# Rational-quadratic kernel plus a linear one (Rasmussen and Williams, Gaussian Processes for
# Machine Learning, 2006, eq. 4.19 and 4.22), with one length scale for each input. Short trainings
# are measured less exactly, in per cent, than long ones, so the log noise variance is linear in a
# covariate. Outliers count as draws from Student's t: the noise of a cell is inflated according to
# its leave-one-out residual (ibid., eq. 5.10-5.12), the usual reweighting of a t likelihood.

#: Standardised inputs are clipped here, as the distilled perceptron clips its own.
_CLIP = 6.0

_JITTER = 1e-7

#: Degrees of freedom of the t likelihood.
_FREEDOM = 4.0

_ROUNDS = 3

_CHUNK = 500


@dataclass(frozen=True)
class GaussianProcess:
    """A fitted process; `parameters` are logarithms, tensors of float64."""

    shift: Vector
    scale: Vector
    middle: float
    parameters: dict[str, Any]
    inputs: Any
    """(n, k) standardised inputs of the fit."""
    coefficients: Any
    """(n,) inverse of the covariance times the targets."""

    def predict(self, x: NDArray[Any]) -> Vector:
        """(m,) posterior means of (m, k) inputs."""
        torch = torch_module()
        with torch.no_grad():
            # float32 takes half the time; its rounding is a thousandth of the noise.
            z = torch.from_numpy(_standardised(x, self.shift, self.scale)).float()
            inputs, coefficients = self.inputs.float(), self.coefficients.float()
            parameters = {name: value.float() for name, value in self.parameters.items()}
            parts = [
                (_kernel(some, inputs, parameters) @ coefficients).double().numpy()
                for some in z.split(_CHUNK)
            ]
        return np.asarray(np.concatenate(parts) + self.middle, dtype=np.float64)


def fit_gaussian_process(
    x: NDArray[Any],
    y: NDArray[Any],
    covariate: NDArray[Any],
    *,
    subset: int = 1300,
    steps: int = 80,
    rate: float = 0.1,
    seed: int = 0,
) -> GaussianProcess:
    """Fit the kernel's parameters on a subset, then condition on all cells.

    Args:
        x: (n, k) inputs.
        y: (n,) targets.
        covariate: (n,) in which the log noise is linear.
        subset: cells, drawn by `seed`, on which the marginal likelihood is maximised.
        steps, rate: of Adam, the rate falling along a cosine.
        seed: of the draw of the subset.
    """
    torch = torch_module()
    shift, spread = x.mean(axis=0), x.std(axis=0)
    scale = 1 / np.where(spread > 1e-9, spread, 1.0)
    middle = float(y.mean())
    z = torch.from_numpy(_standardised(x, shift, scale))
    target = torch.from_numpy(np.asarray(y - middle, dtype=np.float64))
    level = torch.from_numpy(np.asarray(covariate - covariate.mean(), dtype=np.float64))
    order = np.random.default_rng(seed).permutation(len(x))[:subset]
    chosen = torch.from_numpy(np.sort(order))
    parameters = _start(torch, z.shape[1], float(target.var()) if len(y) > 1 else 1.0)
    _maximise(torch, z[chosen], target[chosen], level[chosen], parameters, steps, rate)
    with torch.no_grad():
        covariance = _kernel(z, z, parameters)
        noise = _noise(level, parameters)
        inflation = torch.ones_like(noise)
        for at in range(_ROUNDS + 1):
            factor = torch.linalg.cholesky(covariance + torch.diag(noise * inflation))
            solved = torch.cholesky_solve(target[:, None], factor)[:, 0]
            if at < _ROUNDS:
                inverse = torch.cholesky_inverse(factor).diagonal()
                inflation = _inflation(solved, inverse, noise, inflation)
    return GaussianProcess(shift, scale, middle, parameters, z, solved)


def _standardised(x: NDArray[Any], shift: Vector, scale: Vector) -> Vector:
    return np.asarray(np.clip((np.asarray(x, dtype=np.float64) - shift) * scale, -_CLIP, _CLIP))


def _start(torch: Any, inputs: int, variance: float) -> dict[str, Any]:
    values = {
        "inverse_scale": np.full(inputs, -0.5 * np.log(inputs) - 0.7),
        "mixture": 0.0,
        "curved": np.log(variance),
        "linear": np.log(variance),
        "noise": 2 * np.log(0.02),
        "slope": -0.8,
    }
    return {name: torch.tensor(value, dtype=torch.float64) for name, value in values.items()}


def _kernel(a: Any, b: Any, p: dict[str, Any]) -> Any:
    """(n, m) covariances of (n, k) and (m, k) standardised inputs."""
    scale = p["inverse_scale"].exp()
    u, v = a * scale, b * scale
    squared = (u * u).sum(1)[:, None] + (v * v).sum(1)[None] - 2 * u @ v.T
    mixture = p["mixture"].exp()
    curved = (-mixture * (squared.clamp_min(0) / (2 * mixture)).log1p()).exp()
    return p["curved"].exp() * curved + p["linear"].exp() / a.shape[1] * (a @ b.T)


def _noise(level: Any, p: dict[str, Any]) -> Any:
    return (p["noise"] + p["slope"] * level).exp() + _JITTER


def _inflation(solved: Any, inverse: Any, noise: Any, inflation: Any) -> Any:
    """(n,) factors on the noise, from the leave-one-out residuals solved / inverse."""
    variance = 1 / inverse - noise * (inflation - 1)
    surprise = (solved / inverse) ** 2 / variance
    return ((_FREEDOM + surprise) / (_FREEDOM + 1)).clamp_min(0.5)


def _maximise(
    torch: Any, z: Any, y: Any, level: Any, p: dict[str, Any], steps: int, rate: float
) -> None:
    """Maximise the marginal likelihood over `p`, in place."""
    free = [value.requires_grad_() for value in p.values()]
    optimiser = torch.optim.Adam(free, lr=rate, betas=(0.9, 0.95))
    inflation = torch.ones_like(y)
    reweighted = {steps // 3, steps // 2, 2 * steps // 3}
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = rate * (0.55 + 0.45 * np.cos(np.pi * step / steps))
        plain = _noise(level, p)
        covariance = _kernel(z, z, p) + torch.diag(plain * inflation)
        with torch.no_grad():
            factor = torch.linalg.cholesky(covariance)
            solved = torch.cholesky_solve(y[:, None], factor)[:, 0]
            inverse = torch.cholesky_inverse(factor)
            # Gradient of the negative log marginal likelihood with respect to the covariance
            # (ibid., eq. 5.9): cheaper than backpropagation through the factorisation.
            gradient = 0.5 * (inverse - solved[:, None] * solved[None])
        optimiser.zero_grad()
        covariance.backward(gradient)
        optimiser.step()
        if step in reweighted:
            with torch.no_grad():
                inflation = _inflation(solved, inverse.diagonal(), plain, inflation)
    for value in free:
        value.requires_grad_(False)


# -- the ensemble ---------------------------------------------------------------------------------
#
# Gaussian processes, each with length scales from another draw of the cells, and boosted trees. All
# of it, the time model too, is fitted on the chosen cells and on no others, so that the rest can be
# used for testing.

_ENERGY_FILE = "measured_7v_energy_4epochs.parquet"

#: Added to the spread of the members before its logarithm.
_LEAST_SPREAD = 1e-4


@dataclass(frozen=True)
class EnergyData:
    """The measurements that the fit reads."""

    measured: Measured
    x: NDArray[np.float32]
    """(n, len(FEATURES)) features of the measured cells."""
    times: EpochTimeData

    @property
    def energy_kwh(self) -> Vector:
        """(n,) measured energies at 4 epochs."""
        return self.measured["energy_kwh"].astype(np.float64)


@dataclass(frozen=True)
class Teacher:
    """The ensemble, which predicts log(energy / time)."""

    time: EpochTime
    processes: tuple[GaussianProcess, ...]
    trees: Boosting
    share: float
    """Weight of the trees."""

    def predict(self, x: NDArray[Any]) -> tuple[Vector, Vector]:
        """Logarithms of the mean power in W and of the members' spread, (n,) each."""
        z = inputs(self.time, x)
        trees = self.trees.predict(z)
        processes = np.stack([process.predict(z) for process in self.processes])
        mean = (1 - self.share) * processes.mean(axis=0) + self.share * trees
        spread = np.sqrt(processes.var(axis=0) + (trees - processes.mean(axis=0)) ** 2)
        return mean, np.log(spread + _LEAST_SPREAD)


def inputs(time: EpochTime, x: NDArray[Any]) -> Vector:
    """(n, COSTS + 2) inputs of every member, from (n, len(FEATURES)) features."""
    seconds = time.predict(x)
    return np.column_stack([x[:, :COSTS].astype(np.float64), np.log(seconds), seconds])


def read_energy(folder: str | PathLike[str]) -> EnergyData:
    """Read the reference data of the energy at 4 epochs."""
    measured = read_measured(Path(folder) / _ENERGY_FILE)
    return EnergyData(measured, features(measured.rows), read_epoch_times(folder))


def fit_teacher(
    data: EnergyData,
    chosen: NDArray[Any],
    *,
    seed: int = 0,
    processes: int = 3,
    subset: int = 900,
    steps: int = 160,
    seeds: int = 1,
    trees: int = 1500,
    share: float = 0.1,
) -> Teacher:
    """Fit the ensemble on the chosen cells (a mask or indices) and no others.

    Args:
        data: the measurements.
        chosen: the cells; the time model is fitted on these only, too.
        processes, subset, steps: of the Gaussian processes.
        seeds, trees: of the boosting.
        share: weight of the trees in the mean.
    """
    time = data.times.fit(data.measured.rows[chosen])
    x = data.x[chosen]
    seconds = time.predict(x)
    target = np.log(data.energy_kwh[chosen] * JOULES_PER_KWH / seconds)
    z = inputs(time, x)
    members = tuple(
        fit_gaussian_process(
            z, target, np.log(seconds), subset=subset, steps=steps, seed=seed * 100 + member
        )
        for member in range(processes)
    )
    boosted = fit_boosting(z, target, seeds=seeds, trees=trees, seed=seed)
    return Teacher(time, members, boosted, share)


# -- the student, and the whole fit ---------------------------------------------------------------

#: All cells of up to five vertices are distilled on.
_SMALL = len(Space(5))

#: Hidden layers of the perceptrons of power and of spread.
_POWER, _SPREAD = (192, 96), (48, 24)

#: Outputs are clipped this far beyond the least and the greatest label.
_MARGIN = 0.05


def fit_student(teacher: Teacher, *, cells: int, epochs: int, seed: int) -> EnergyModel:
    """Distil the ensemble over `cells` cells of the space; `error` is a placeholder."""
    rng = np.random.default_rng(seed)
    rest = rng.choice(np.arange(_SMALL, len(Space(7))), size=cells, replace=False)
    x = features(np.concatenate([np.arange(_SMALL), np.sort(rest)]))
    labels = np.column_stack(teacher.predict(x))
    z = inputs(teacher.time, x)
    # Small batches: the labels have no noise, so an exact fit is wanted.
    power = distil(z, labels[:, 0], hidden=_POWER, epochs=epochs, batch=256, rate=2e-3, seed=seed)
    spread = distil(z, labels[:, 1], hidden=_SPREAD, epochs=max(epochs // 4, 1), seed=seed)
    low, high = labels.min(axis=0), labels.max(axis=0)
    return EnergyModel(
        time_coefficients=teacher.time.coefficients,
        time_intercept=teacher.time.intercept,
        time_floor=teacher.time.floor,
        power=_side_by_side(power, spread),
        bounds=np.stack([low - _MARGIN, high + _MARGIN]),
        error=np.array([np.log(0.02), 0.0, 0.0]),
    )


def _side_by_side(a: Perceptron, b: Perceptron) -> Perceptron:
    """One perceptron with the outputs of both, which have the same inputs."""
    layers: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []
    for (left, left_bias), (right, right_bias) in zip(a.layers, b.layers, strict=True):
        if not layers:
            weight = np.concatenate([left, right], axis=1)
        else:
            weight = np.zeros(np.add(left.shape, right.shape), dtype=np.float32)
            weight[: len(left), : left.shape[1]] = left
            weight[len(left) :, left.shape[1] :] = right
        layers.append((weight, np.concatenate([left_bias, right_bias])))
    return Perceptron(a.shift, a.scale, tuple(layers), a.clip)


def fit_energy(
    folder: str | PathLike[str],
    *,
    seed: int = 0,
    folds: int = 5,
    cells: int = 150_000,
    epochs: int = 25,
    fold_cells: int = 100_000,
    fold_epochs: int = 20,
    progress: Steps = no_progress,
) -> Weights:
    """Fit the energy at 4 epochs on all measured cells, in a quarter of an hour on one core.

    Args:
        folder: the reference data.
        seed: of all draws.
        folds: of the cross-validation that gives the quality and the intervals.
        cells, epochs: of the distilling of the model that ships.
        fold_cells, fold_epochs: of the cheaper distilling of the folds, which is no better.
        progress: called with each step.

    Raises:
        ConfigError: fewer than two folds.
        UnknownTableError: the folder lacks a file.
    """
    check_counts(least=2, folds=folds)
    data = read_energy(folder)
    count = len(data.x)
    fold = np.random.default_rng(seed).permutation(count) % folds
    plan = {"cells": fold_cells, "epochs": fold_epochs, "seed": seed}
    teacher_off, found = np.empty(count), np.empty((count, 3))
    for number in range(folds):
        progress(f"fold {number + 1} of {folds}")
        there = fold == number
        teacher = fit_teacher(data, ~there, seed=seed)
        teacher_off[there] = _log_errors(data, there, _teacher_wh(teacher, data.x[there]))
        found[there] = _evaluated(data, there, fit_student(teacher, **plan))
    wh, spread, off = found.T
    relative = cross_conformal(wh, spread, off, fold)
    truth = wh * np.exp(off)
    quality = _quality(data.measured.rows, truth, wh, relative)
    quality["teacher"] = scores(truth, truth / np.exp(teacher_off)).to_json()

    progress("the paper's split")
    train, valid = (data.measured["paper_split"] == part for part in ("train", "valid"))
    teacher = fit_teacher(data, train, seed=seed)
    wh_valid, spread_valid, off_valid = _evaluated(data, valid, fit_student(teacher, **plan)).T
    # Widths from the training cells' errors out of their folds.
    widths = fit_error(wh[train], spread[train], off[train])
    quality["paper_split"] = _scores(
        wh_valid * np.exp(off_valid), wh_valid, relative_error(widths, wh_valid, spread_valid)
    ).to_json()
    quality["paper_split_teacher"] = scores(
        wh_valid * np.exp(off_valid), _teacher_wh(teacher, data.x[valid])
    ).to_json()

    progress("all cells")
    teacher = fit_teacher(data, np.ones(count, dtype=bool), seed=seed)
    model = replace(
        fit_student(teacher, cells=cells, epochs=epochs, seed=seed),
        error=fit_error(wh, spread, off),
    )
    header = {
        "target": "energy_kwh at 4 epochs",
        "scale": "NVIDIA GeForce RTX 3090, power usage effectiveness 1.59, start-up included",
        "seed": seed,
        "data": {part.name: part.sha256 for part in (data.measured, data.times.measured)},
        "split": (
            f"fitted on all {count} measured cells; quality by {folds}-fold cross-validation of "
            "the whole pipeline with a smaller distilling, intervals of a fold from the errors "
            "of the other folds; paper_split: fitted on the paper's train part, tested on its "
            "valid part"
        ),
        "quality_unit": "Wh",
        "quality": quality,
        "anchors": {
            "authors_mlp": {"mae": 0.330, "mape": 2.39, "tau": 0.950},
            "strong_ensemble": {"mae": 0.211, "mape": 1.51, "tau": 0.965},
            "on": "the paper's test part, in Wh and per cent",
        },
    }
    return Weights(header, _arrays(model, data.measured.rows))


def _arrays(model: EnergyModel, rows: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    return {
        "time_coefficients": model.time_coefficients,
        "time_intercept": np.array(model.time_intercept),
        "time_floor": np.array(model.time_floor),
        **model.power.to_arrays("power"),
        "bounds": model.bounds,
        "error": model.error,
        "fitted_rows": np.sort(rows).astype(np.int32),
    }


def _teacher_wh(teacher: Teacher, x: NDArray[Any]) -> Vector:
    power, _ = teacher.predict(x)
    return np.asarray(1000 * teacher.time.predict(x) * np.exp(power) / JOULES_PER_KWH)


def _log_errors(data: EnergyData, there: NDArray[Any], wh: Vector) -> Vector:
    return np.asarray(np.log(1000 * data.energy_kwh[there] / wh))


def _evaluated(data: EnergyData, there: NDArray[Any], model: EnergyModel) -> Vector:
    """(n, 3): predicted Wh, predicted log spread, log(measured / predicted)."""
    # With this `error` the relative standard deviation is the spread itself.
    bare = replace(model, error=np.array([0.0, 0.0, 1.0]))
    mean, std = bare.predict(data.x[there])
    wh = 1000 * mean
    return np.column_stack([wh, np.log(std / mean), _log_errors(data, there, wh)])


def _scores(truth: Vector, wh: Vector, relative: Vector) -> Scores:
    reach = np.exp(Z90 * relative)
    return scores(truth, wh, wh / reach, wh * reach)


def _quality(
    rows: NDArray[np.int64], truth: Vector, wh: Vector, relative: Vector
) -> dict[str, Any]:
    vertices = vertices_of(rows)
    by = {
        str(v): _scores(*(a[vertices == v] for a in (truth, wh, relative))).to_json()
        for v in np.unique(vertices)
    }
    return {**_scores(truth, wh, relative).to_json(), "by_vertices": by}

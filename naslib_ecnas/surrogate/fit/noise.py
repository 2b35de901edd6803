"""Fitting how trainings of one cell differ.

NAS-Bench-101's visible records show failures at all budgets and single trainings at 4, 12 and 36
epochs; at 108 they have the largest of three. Cells trained three times are those of 5 vertices at
108 epochs, of 4 vertices at all budgets, and 52 of NAS-Bench-101 at 108.

- Failures: a logit, the odds of each cell with a beta distribution, by maximum likelihood.
- Shapes: quantiles of the errors of the accuracy model for cells of like mean. Most of such an
  error is scatter between trainings.
- Share of the scatter in the variance at 4, 12 and 36 epochs: the one at which drawn trainings have
  the budget-to-budget Kendall tau of real ones. The rest is doubt of the table's means.
- Scatter at 108 epochs, time and energy: from cells trained three times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.quality import Z90, QualityLine, kendall_tau
from naslib_ecnas.surrogate.features import features
from naslib_ecnas.surrogate.fit import common
from naslib_ecnas.surrogate.fit.reference import Files, Measured, optional, read_measured
from naslib_ecnas.surrogate.models import BUDGETS, AccuracyModel, Weights
from naslib_ecnas.surrogate.noise import FAILED, IMAGES, KNOTS, REPEATED, NoiseModel, failure_inputs

Array = NDArray[np.float64]

_APART = f"{common.HELD_OUT:.0%} of the cells of {Files.VALIDATION}"

_LAST = len(BUDGETS) - 1
#: Columns of the validation accuracies at each budget; the last is the largest of three.
SINGLE = [*(f"val_acc_{b}_one_repeat" for b in BUDGETS[:-1]), "val_acc_108_max_of_repeats"]


# -- failures -------------------------------------------------------------------------------------


def failed(accuracy: NDArray[Any]) -> NDArray[np.bool_]:
    """(...) whether validation accuracies are exactly those of failed trainings."""
    return np.asarray(np.abs(accuracy - FAILED[0]) * IMAGES < 0.5)


def fit_failures(inputs: Array, failures: NDArray[np.bool_], chance: Array) -> tuple[Array, Array]:
    """The most likely coefficients, and (2,) the factor at the first budget and the concentration.

    Args:
        inputs: (n, 5) `failure_inputs`.
        failures: (n, 4) whether a training of each cell failed at 4, 12 and 36 epochs, and whether
            all three did at 108.
        chance: (4,) probability that a training without a failure has the accuracy of one.
    """
    minimize, kinds = optional("scipy.optimize").minimize, np.column_stack([inputs, failures])
    kinds, cells = np.unique(kinds, axis=0, return_counts=True)
    x, seen = kinds[:, :-4], kinds[:, -4:] > 0

    def loss(parameters: Array) -> float:
        p = 1 / (1 + np.exp(-np.clip(x @ parameters[:-2], -30, 30)))
        first, concentration = 1 / (1 + np.exp(-parameters[-2])), np.exp(parameters[-1])
        # The likelihood of a cell is a polynomial in its own probability, whose moments are known.
        likelihood = np.zeros((len(p), 7))
        likelihood[:, 0] = 1
        for budget, (power, factor) in enumerate([(1, first), (1, 1.0), (1, 1.0), (3, 1.0)]):
            yes = chance[budget] * likelihood
            yes[:, power:] += factor * likelihood[:, :-power]
            likelihood = np.where(seen[:, budget, None], yes, likelihood - yes)
        order = np.arange(6)
        steps = (p[:, None] * concentration + order) / (concentration + order)
        moments = np.column_stack([np.ones(len(p)), np.cumprod(steps, axis=1)])
        return float(
            -(cells * np.log(np.maximum((likelihood * moments).sum(axis=1), 1e-300))).sum()
        )

    start = np.array([-9.5, 2.0, 1.5, 2.0, 0.3, -1.7, 1.2])
    found = minimize(loss, start, method="L-BFGS-B", bounds=[(-20, 20)] * len(start)).x
    return found[:-2], np.array([1 / (1 + np.exp(-found[-2])), np.exp(found[-1])])


def _chance(accuracy: NDArray[Any]) -> Array:
    """(4,) shares of trainings at each of the 20 accuracies next to the one of failures."""
    near = np.abs(accuracy - FAILED[0]) * IMAGES < 10.5
    return np.asarray((near & ~failed(accuracy)).mean(axis=0) / 20)


# -- cells trained three times --------------------------------------------------------------------


def _threes(runs: Measured, column: str) -> Array:
    """(cells, 3) values of the repeats of each cell."""
    order = np.argsort(runs.rows, kind="stable")
    return np.asarray(runs[column][order].reshape(-1, 3))


def _off(values: Array) -> Array:
    """(n, 3) deviations from the mean of three, enlarged to the variance of single ones."""
    return np.asarray((values - values.mean(axis=1, keepdims=True)) * np.sqrt(1.5))


def _by_level(mean: Array, groups: int, function: Callable[[NDArray[np.int64]], Any]) -> Any:
    """(groups,) ascending means of equally large groups of like mean, and their values."""
    parts = np.array_split(np.argsort(mean, kind="stable"), groups)
    return np.array([mean[g].mean() for g in parts]), np.array([function(g) for g in parts])


#: Degrees of freedom of the t distribution that the energy's logarithm follows best, and the 90 %
#: bound of such numbers over the one of their deviations from means of three.
_FREEDOM, _OF_MEANS = 4, 0.97
#: Largest share of the variance of an energy that is scatter: on the RTX 3090 single trainings of 4
#: epochs are 1.9 % off the model, of which the model's own doubt is at most .75.
_ENERGY_SHARE = 0.84
#: Mean validation accuracy at 36 epochs from which cells are good ones.
_GOOD = 0.86
#: Groups of cells of like mean, each with a shape of its own.
_GROUPS = 8


def energy_deviation(groups: Sequence[Array]) -> float:
    """Standard deviation of the logarithm of energies: 1.645 of it hold nine of ten trainings.

    `groups` are (n, 3) logarithms of the repeats of cells; each group counts alike.
    """
    off = np.abs(np.concatenate([_off(group).ravel() for group in groups]))
    weight = np.concatenate([np.full(group.size, 1 / group.size) for group in groups])
    order = np.argsort(off)
    bound = off[order][np.searchsorted(np.cumsum(weight[order]), 0.9 * len(groups))]
    return float(_OF_MEANS * bound) / Z90


def _time_scatter(half: Array, whole: Array) -> Array:
    """(4,) relative deviation of the time at each budget, from half and whole trainings.

    Its variance is a constant and a part that falls with the epochs.

    Args:
        half, whole: (n, 3) seconds of the first half and of all 108 epochs.
    """
    parts = [(_off(np.log(t)) ** 2).mean() for t in (half, whole - half, whole)]
    at_half, at_all = (parts[0] + parts[1]) / 2, parts[2]
    falling = max(at_half - at_all, 0) * BUDGETS[-1]
    variance = at_all + falling * (1 / np.array(BUDGETS, dtype=np.float64) - 1 / BUDGETS[-1])
    return np.asarray(np.sqrt(variance))


# -- shapes ---------------------------------------------------------------------------------------

_FINE = np.linspace(-5, 5, 2001)


def standardised(quantiles: Array) -> Array:
    """(..., knots) quantiles at `KNOTS`, moved to mean 0 and scaled to 90 % within +-1.645."""
    weight = np.exp(-(_FINE**2) / 2)
    weight /= weight.sum()
    out = []
    for line in np.atleast_2d(quantiles):
        fine = np.interp(_FINE, KNOTS, line)
        fine = np.abs(fine - (middle := (fine * weight).sum()))
        order = np.argsort(fine)
        bound = fine[order][np.searchsorted(np.cumsum(weight[order]), 0.9)]
        out.append((line - middle) * Z90 / bound)
    return np.reshape(out, np.shape(quantiles))


def _shapes(mean: Array, accuracy: Array, std: Array) -> tuple[Array, Array]:
    """Levels, and shapes of the scatter there, of single trainings that did not fail."""
    at = optional("scipy.stats").norm.cdf(KNOTS)
    z = (accuracy - mean) / std
    levels, quantiles = _by_level(mean, _GROUPS, lambda group: np.quantile(z[group], at))
    return levels, standardised(quantiles)


# -- the whole fit --------------------------------------------------------------------------------


def fit_noise(folder: str | PathLike[str], *, seed: int = 0) -> Weights:
    """Fit the noise around the accuracies that the shipped model predicts."""
    names = (Files.VALIDATION, Files.FOUR_VERTICES, Files.FIVE_VERTICES_108, Files.RECORDS)
    validation, four, five, records = files = [read_measured(Path(folder) / n) for n in names]
    step = common.steps_of("fitting the noise", 2, "fits")
    rows, accuracy = validation.rows, np.stack([validation[name] for name in SINGLE], axis=1)
    repeats = _from_repeats(four, five, records)

    def fitted(part: NDArray[np.bool_]) -> NoiseModel:
        step()
        return _from_singles(repeats, rows[part], accuracy[part])

    apart = common.held_out(rows, seed)
    means = AccuracyModel.shipped().predict(features(rows[apart]))
    taus = drawn_taus(fitted(~apart), rows[apart], means, draws=8)
    found = taus.mean(axis=0), taus.std(axis=0, ddof=1), _taus(accuracy[apart])
    about = f"{_APART}, held out from a first run of the fit"
    targets = [f"tau of accuracies, {low} to {high} epochs" for low, high in pairwise(BUDGETS)]
    orders = _counted(targets, about, int(apart.sum()), *found)
    final = fitted(np.ones(len(rows), dtype=np.bool_))
    p = _failures_in_folds(rows, accuracy)
    found = p.sum(axis=0), np.sqrt((p * (1 - p)).sum(axis=0)), failed(accuracy).sum(axis=0)
    about = f"the cells of {Files.VALIDATION}, left out in turn, in five folds"
    targets = [f"failures at {epochs} epochs" for epochs in BUDGETS]
    targets[-1] += ", all of three"
    failures = _counted(targets, about, len(rows), *found)
    step()
    return common.weights_of(
        "noise",
        seed,
        files,
        f"{_APART} held out for the order of budgets, all in five folds for failures; fitted again "
        "on all",
        [*failures, *orders],
        final.to_arrays(),
    )


def _from_repeats(four: Measured, five: Measured, records: Measured) -> dict[str, Any]:
    """Fields of `NoiseModel` that cells trained three times show."""
    normal = optional("scipy.stats").norm
    threes = [four.where(four["budget_epochs"] == b) for b in BUDGETS] + [five]
    energies, times = (
        [np.log(_threes(runs, f"final_{name}")) for runs in threes]
        for name in ("energy_kwh", "training_time_s")
    )
    pairs = zip(energies, times, strict=True)
    links = [np.corrcoef(_off(e).ravel(), _off(t).ravel())[0, 1] for e, t in pairs]
    both = np.concatenate([_threes(runs, "final_validation_accuracy") for runs in (five, records)])
    variance = both.var(axis=1, ddof=1)
    last = _by_level(both.mean(axis=1), 9, lambda group: np.sqrt(variance[group].mean()))
    grid = np.arange(-144, 145) / 32
    halves = (_threes(records, f"{part}_training_time") for part in ("halfway", "final"))
    return {
        "last": np.array(last),
        "images": _sampling(four, five, records),
        "seconds": _time_scatter(*halves),
        "energy": energy_deviation(energies),
        "energy_share": _ENERGY_SHARE,
        "energy_shape": standardised(optional("scipy.stats").t.ppf(normal.cdf(KNOTS), _FREEDOM)),
        "link": float(np.mean(links)),
        "normal": np.array([normal.cdf(grid), grid]),
    }


def _sampling(*runs: Measured) -> float:
    """Deviation of test less validation accuracy, over the one of two independent samples."""
    less, expected = [], []
    for each in runs:
        p, test = each["final_validation_accuracy"], each["final_test_accuracy"]
        parts = each.columns.get("budget_epochs", np.full(len(p), BUDGETS[-1]))
        for budget in np.unique(parts):
            off = (test - p)[parts == budget]
            # The mean difference depends on the accuracy.
            line = np.polynomial.Polynomial.fit(p[parts == budget], off, 1)
            less.append((off - line(p[parts == budget])) ** 2)
            expected.append(2 * (p * (1 - p))[parts == budget] / IMAGES)
    return float(np.sqrt(np.concatenate(less).mean() / np.concatenate(expected).mean()))


def _from_singles(repeats: dict[str, Any], rows: NDArray[np.int64], accuracy: Array) -> NoiseModel:
    """Failures, shapes and shares from single trainings, and from the largest of three at 108."""
    dead, means = failed(accuracy), AccuracyModel.shipped().predict(features(rows))
    coefficients, (first, concentration) = fit_failures(
        failure_inputs(rows), dead, _chance(accuracy)
    )
    levels, shapes = [], []
    for b in range(_LAST):
        columns = (means["validation_accuracy"], accuracy, means["validation_accuracy_std"])
        at, shape = _shapes(*(column[~dead[:, b], b] for column in columns))
        levels.append(at)
        shapes.append(shape)
    # Repeats at 108 epochs are skewed as single trainings of good cells at 36 are: cells of 5
    # vertices have quantiles .05 and .95 of -1.70 and 1.58 deviations, this shape -1.69 and 1.54.
    good = levels[-1] > _GOOD
    levels.append(levels[-1])
    shapes.append(np.tile(standardised(shapes[-1][good].mean(axis=0)), (len(good), 1)))
    model = NoiseModel(
        failure=coefficients,
        failing=np.array([first, 1.0, 1.0, 1.0]),
        concentration=float(concentration),
        share=1.0,
        levels=np.array(levels),
        shape=np.array(shapes),
        **repeats,
    )
    # The share at which the mean Kendall tau of drawn accuracies is the one of the real ones.
    wanted, low, high = np.mean(_taus(accuracy)), 0.0, 1.0
    for _ in range(7):
        share = (low + high) / 2
        orderly = np.mean(drawn_taus(replace(model, share=share), rows, means)) > wanted
        low, high = (share, high) if orderly else (low, share)
    return replace(model, share=(low + high) / 2)


def _taus(accuracy: Array) -> list[float]:
    """Kendall tau of (n, 4) accuracies at each budget and the next one."""
    return [kendall_tau(accuracy[:, b], accuracy[:, b + 1]) for b in range(_LAST)]


def drawn_taus(
    model: NoiseModel, rows: NDArray[Any], means: dict[str, Array], draws: int = 2
) -> Array:
    """(draws, 3) Kendall tau of drawn validation accuracies at each budget and the next one.

    At 108 epochs each is the largest of three, as in the real ones.
    """
    costs = dict.fromkeys(REPEATED[2:], np.ones((len(rows), len(BUDGETS))))
    values = {**means, **costs}
    values |= model.columns(rows, values)
    rng = np.random.default_rng(0)

    def single(b: int) -> Array:
        at = {name: column[:, b] for name, column in values.items()}
        return model.drawn(at, BUDGETS[b], rng)["validation_accuracy"]

    taus = []
    for _ in range(draws):
        last = np.max([single(_LAST) for _ in range(3)], axis=0)
        taus.append(_taus(np.column_stack([*map(single, range(_LAST)), last])))
    return np.array(taus)


# -- quality --------------------------------------------------------------------------------------


def _counted(targets: list[str], about: str, cells: int, *numbers: Any) -> Iterator[QualityLine]:
    """A line for each target: the expected number, its error, and the one that was seen."""
    for target, *each in zip(targets, *numbers, strict=True):
        found = zip(("expected", "expected_error", "seen"), each, strict=True)
        rounded = {name: round(float(value), 4) for name, value in found}
        yield QualityLine(target, about, "", {"cells": cells, **rounded})


def _failures_in_folds(rows: NDArray[np.int64], accuracy: Array) -> Array:
    """(n, 4) probabilities that the accuracy of a failure is seen, by fits to the other folds.

    They are of one training, and at 108 epochs of all three, whose cell has odds of its own.
    """
    inputs, dead = failure_inputs(rows), failed(accuracy)
    fold = np.random.default_rng(0).permutation(len(rows)) % 5

    def predicted(out: NDArray[np.bool_]) -> Array:
        chance = _chance(accuracy[~out])
        coefficients, (first, c) = fit_failures(inputs[~out], dead[~out], chance)
        p = 1 / (1 + np.exp(-inputs[out] @ coefficients))
        seen: Array = p[:, None] * [first, 1, 1, 1] + chance
        seen[:, _LAST] = p * (p * c + 1) * (p * c + 2) / ((c + 1) * (c + 2))
        return seen

    return common.out_of_fold(fold, predicted)

"""Gaussian processes against dense closed forms; improvement against integrals and draws."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import multivariate_normal, norm

from naslib_ecnas.analysis import hypervolume, nondominated
from naslib_ecnas.search import gaussian_process
from naslib_ecnas.search.encoding import Groups
from naslib_ecnas.search.gaussian_process import (
    Prediction,
    Process,
    Products,
    View,
    expected_gain,
    fitted,
    lognormal_partial,
    normal_partial,
)
from naslib_ecnas.space import Space

SPACE = Space(5)
ROWS = np.random.default_rng(0).permutation(2532)[:40].astype(np.int32)
COLUMNS = Groups(SPACE, np.arange(2532, dtype=np.int32))(ROWS)
COSTS = np.exp(COLUMNS[2].sum(axis=1) + 0.1 * np.random.default_rng(1).normal(size=40))
OLD, NEW = slice(0, 25), slice(25, 40)


def kernel(theta: np.ndarray) -> np.ndarray:
    """(40, 40) covariances of all cells, without the nugget."""
    x = np.column_stack([c / 2.0**t for c, t in zip(COLUMNS, theta[:-2], strict=True)])
    distance = ((x[:, None] - x) ** 2).sum(axis=2)
    return np.exp(-distance / 2) + 2.0 ** theta[-2] * x @ x.T


def process_and_prediction(views: Any, costs: np.ndarray = COSTS) -> tuple[Process, Prediction]:
    old, new = ([c[part] for c in COLUMNS] for part in (OLD, NEW))
    process = fitted(Products(old, old), costs[OLD], views)
    return process, Prediction(process, Products(old, new), new)


def dense(process: Process, given: list[int], targets: np.ndarray) -> tuple[Any, Any]:
    """Means and standard deviations of the targets of the new cells, of the textbook."""
    whole = kernel(process.theta) + process.nugget * np.eye(40)
    weights = np.linalg.solve(whole[np.ix_(given, given)], whole[given, NEW]).T
    mean = process.mean + weights @ (targets - process.mean)
    variance = np.diag(whole[NEW, NEW] - weights @ whole[given, NEW])
    return mean, process.scale * np.sqrt(process.variance * np.maximum(variance, 0))


@pytest.mark.parametrize(
    "view", [View(), View(cut=float(np.median(COSTS))), View(shift=0.0), View(shift=0.5)]
)
def test_predictions_are_those_of_the_dense_closed_form(view: View) -> None:
    process, prediction = process_and_prediction([view])
    targets, given = view.seen(COSTS[OLD]), list(range(25))
    mean, std = dense(process, given, targets)
    np.testing.assert_allclose(prediction.mean, mean, rtol=1e-9)
    np.testing.assert_allclose(prediction.std, std, rtol=1e-9)
    t = np.array([0.1, 1.0, 5.0])
    psi = prediction.partial_expectation(t)
    for j, (mu, sigma) in enumerate(zip(mean, std, strict=True)):
        if view.shift is None:
            np.testing.assert_allclose(psi[j], normal_partial(t, mu, sigma), rtol=1e-7)
        else:
            wanted = lognormal_partial(t + view.shift, mu, sigma)
            np.testing.assert_allclose(psi[j], wanted, rtol=1e-7, atol=1e-12)
    # Some of the cells, then as if two of them had come as predicted.
    which = np.array([9, 2, 5, 14])
    some = prediction.among(which)
    for i in (1, 3):
        cost = some.suppose(i)
        assert cost == pytest.approx(view.cost(mean[which[i]]))
        given.append(25 + int(which[i]))
        targets = np.append(targets, mean[which[i]])
        new_mean, new_std = dense(process, given, targets)
        np.testing.assert_allclose(new_mean, mean, rtol=1e-7)  # a cell as expected tells nothing
        others = [k for k in range(4) if 25 + int(which[k]) not in given]
        np.testing.assert_allclose(some.std[others], new_std[which[others]], rtol=1e-9)
    np.testing.assert_allclose(prediction.std, std, rtol=1e-9)


def test_the_view_and_the_hyperparameters_are_the_most_probable_nearby() -> None:
    views = [View(shift=shift) for shift in (0.0, 1.0, 10.0)]
    old = [c[OLD] for c in COLUMNS]

    def log_density(view: View, theta: np.ndarray) -> float:
        """Of the costs, with the variance at its most likely value and the prior."""
        targets = np.log(COSTS[OLD] + view.shift)
        y = targets - targets.mean()
        whole = kernel(theta)[OLD, OLD] + 2.0 ** theta[-1] * np.eye(25)
        variance = y @ np.linalg.solve(whole, y) / 25
        prior = -0.5 * (((theta - [0, 0, 0, 0, 0, -4]) / [1, 1, 1, 1, 2, 2]) ** 2).sum()
        density = multivariate_normal.logpdf(y, np.zeros(25), variance * whole)
        return float(density - targets.sum() + prior)

    process, _ = process_and_prediction(views)
    top = log_density(process.view, process.theta)
    assert top == max(log_density(view, process.theta) for view in views)
    assert top >= log_density(process.view, np.array([0.0, 0, 0, 0, 0, -4]))
    for i, step in enumerate([1.0, 1.0, 1.0, 1.0, 2.0, 2.0]):
        for way in (step, -step):
            theta = process.theta.copy()
            theta[i] += way
            assert log_density(process.view, theta) <= top
    # From there nothing changes.
    again = fitted(Products(old, old), COSTS[OLD], views, process.theta)
    np.testing.assert_array_equal(again.theta, process.theta)


def test_equal_costs_and_a_single_cell_are_no_error() -> None:
    _, prediction = process_and_prediction([View(shift=0.0)], np.full(40, 2.0))
    np.testing.assert_allclose(prediction.mean, np.log(2.0))
    one = [c[:1] for c in COLUMNS]
    process = fitted(Products(one, one), COSTS[:1], [View()])
    assert np.isfinite(Prediction(process, Products(one, COLUMNS), COLUMNS).std).all()


# -- expected improvement of the hypervolume ----


@given(st.floats(-3, 3), st.floats(-2, 2), st.floats(0.05, 1.5))
def test_partial_expectations_are_the_integrals(t: float, mean: float, std: float) -> None:
    whole = quad(lambda y: norm.cdf(y, mean, std), -30, t)[0]  # by parts
    assert normal_partial(t, mean, std) == pytest.approx(whole, abs=1e-7)
    positive = max(t, 0.0)
    whole = quad(lambda y: norm.cdf(np.log(max(y, 1e-300)), mean, std), 0, positive)[0]
    assert lognormal_partial(t, mean, std) == pytest.approx(whole, abs=1e-7)


@pytest.mark.parametrize("m", [2, 3])
def test_the_expected_gain_is_the_mean_gain_of_many_draws(m: int) -> None:
    """The first objective is log-normal less a shift, the others are normal."""
    rng = np.random.default_rng(m)
    front = rng.random((12, m))
    front = np.vstack([front[nondominated(front)], np.full(m, 2.0)])  # the last one is no better
    reference, shift = np.full(m, 1.1), 0.3
    mean, std = rng.normal(0.3, 0.3, (5, m)), rng.uniform(0.05, 0.4, (5, m))

    def first(t: np.ndarray) -> np.ndarray:
        return lognormal_partial(t + shift, mean[:, :1] - 1, std[:, :1])

    others = [partial(normal_partial, mean=mean[:, [d]], std=std[:, [d]]) for d in range(1, m)]
    found = expected_gain([first, *others], front, reference)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gaussian_process, "_ELEMENTS", 1)  # one point at a time
        alone = expected_gain([first, *others], front, reference)
    np.testing.assert_allclose(alone, found, rtol=1e-12)
    base = hypervolume(front, reference)
    for i in range(5):
        draws = rng.normal(mean[i], std[i], (4000, m))
        draws[:, 0] = np.exp(draws[:, 0] - 1) - shift
        gains = [hypervolume(np.vstack([front, y]), reference) - base for y in draws]
        assert found[i] == pytest.approx(np.mean(gains), abs=5 * np.std(gains) / 60)
        assert found[i] > 0

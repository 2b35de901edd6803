"""How wrong a prediction of energy may be: widths learned from errors that were not fitted."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.intervals import Z90

__all__ = ["cross_conformal", "fit_error", "relative_error"]

Vector = NDArray[np.float64]

#: The normal distribution's 95 % point: `mean * exp(+-QUANTILE * std / mean)` is the 90 % interval.
QUANTILE = Z90
_COVERED = 0.9
#: A larger error, in the logarithm, is a disturbed run; it shapes no width, though it counts in
#: the coverage.
_DISTURBED = 0.15
_ITERATIONS = 50
#: Pull of the two slopes towards 0, in cells.
_RIDGE = 5.0


def relative_error(error: Vector, energy_wh: NDArray[Any], spread: NDArray[Any]) -> Vector:
    """(n,) relative standard deviations from the three numbers of `EnergyModel.error`."""
    constant, by_energy, by_spread = error
    return np.asarray(np.exp(constant + by_energy * np.log(energy_wh) + by_spread * spread))


def fit_error(energy_wh: NDArray[Any], spread: NDArray[Any], off: NDArray[Any]) -> Vector:
    """The three numbers of `EnergyModel.error` from cells that the fit did not see.

    The logarithm of the scale is linear in that of the energy and in `spread`, by maximum
    likelihood of Laplace's distribution (convex; Newton's method). The constant is then set so
    that intervals hold nine of ten of these cells, with the finite-sample correction of split
    conformal prediction (Lei et al., JASA 113, 2018, section 2.2).

    Args:
        energy_wh: (n,) predictions.
        spread: (n,) logarithms of the ensemble's spread, as predicted.
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
    theta[0] += np.log(max(reach, 1e-9) / QUANTILE)
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

"""From accuracies to normal scores, and from predicted scores back to accuracies."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.errors import MissingDependencyError
from naslib_ecnas.surrogate.fit.parts import error_quantile

__all__ = ["curves", "normal_scores"]

Array = NDArray[np.float64]


def normal_scores(values: NDArray[Any]) -> Array:
    """(n,) normal quantiles of the ranks of (n,) values; NaN where a value is.

    Accuracies crowd near the top, where their order matters most: scores spread them evenly.

    Raises:
        MissingDependencyError: scipy is not installed.
    """
    try:
        from scipy.special import ndtri
        from scipy.stats import rankdata
    except ImportError as error:
        raise MissingDependencyError("scipy", feature="fitting a surrogate", extra="fit") from error
    out = np.full(len(values), np.nan)
    there = ~np.isnan(values)
    count = int(there.sum())
    out[there] = ndtri((rankdata(values[there]) - 0.5) / count)
    return out


def curves(
    score: NDArray[Any], accuracy: NDArray[Any], *, knots: int = 71, bins: int = 20
) -> tuple[Array, Array, Array]:
    """What cells of a predicted score have: on average, and how far off.

    Args:
        score: (n,) predicted for cells that the fit has not seen.
        accuracy: (n,) theirs.
        knots: of the curves.
        bins: cells are divided into so many by their score, to tell the errors of each.

    Returns:
        (knots,) ascending scores; the accuracy at each, never falling; and the standard deviation
        whose 1.645-fold holds nine tenths of the errors there.

    Raises:
        MissingDependencyError: scikit-learn is not installed.
    """
    try:
        from sklearn.isotonic import IsotonicRegression
    except ImportError as error:
        raise MissingDependencyError(
            "scikit-learn", feature="fitting a surrogate", extra="fit"
        ) from error
    monotone = IsotonicRegression(out_of_bounds="clip").fit(score, accuracy)
    at = np.unique(np.quantile(score, np.linspace(0, 1, knots)))
    at = np.interp(np.linspace(0, 1, knots), np.linspace(0, 1, len(at)), at)
    # The mean of the steps around a knot: between two knots the curve is a line, not a step.
    order = np.argsort(score)
    steps = monotone.predict(score[order])
    width = max(1, len(score) // (2 * knots))
    total = np.concatenate([[0], np.cumsum(steps)])
    middle = np.searchsorted(score[order], at)
    low, high = np.maximum(middle - width, 0), np.minimum(middle + width, len(steps))
    mean = np.maximum.accumulate((total[high] - total[low]) / np.maximum(high - low, 1))
    off = np.abs(accuracy - np.interp(score, at, mean))
    centres, deviations = [], []
    for mine in np.array_split(order, min(bins, max(1, len(order) // 40))):
        centres.append(float(np.median(score[mine])))
        deviations.append(error_quantile(off[mine]))
    return at, mean, np.interp(at, centres, deviations)

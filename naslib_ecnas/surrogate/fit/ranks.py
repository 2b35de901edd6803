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
    score: NDArray[Any], accuracy: NDArray[Any], *, knots: int = 101, bins: int = 20
) -> tuple[Array, Array, Array]:
    """What cells of a predicted score have: on average, and how far off.

    Args:
        score: (n,) predicted for cells that the fit has not seen.
        accuracy: (n,) theirs.
        knots: of the curves, at the most.
        bins: cells are divided into so many by their score, to tell the errors of each.

    Returns:
        (knots,) ascending scores; the accuracy at each, rising; and the standard deviation whose
        1.645-fold holds nine tenths of the errors there.

    Raises:
        MissingDependencyError: scikit-learn is not installed.
    """
    try:
        from sklearn.isotonic import IsotonicRegression
    except ImportError as error:
        raise MissingDependencyError(
            "scikit-learn", feature="fitting a surrogate", extra="fit"
        ) from error
    order = np.argsort(score)
    steps = IsotonicRegression().fit_transform(score[order], accuracy[order])
    least = max(8, len(score) // (2 * knots))
    at, mean = _through_blocks(score[order], steps, least)
    while len(at) > knots:  # an order with hardly an error has very many steps
        least *= 2
        at, mean = _through_blocks(score[order], steps, least)
    # All curves have as many knots: the last one is repeated.
    at, mean = (np.append(v, np.full(max(knots - len(v), 0), v[-1]))[:knots] for v in (at, mean))
    off = np.abs(accuracy - np.interp(score, at, mean))
    centres, deviations = [], []
    parts = np.array_split(score[order], min(bins, max(1, len(order) // 40)))
    # Cells of equal scores stay together: which of them come first says nothing.
    starts = np.unique(np.searchsorted(score[order], [part[0] for part in parts]))
    for mine in np.split(order, starts[1:]):
        centres.append(float(np.median(score[mine])))
        deviations.append(error_quantile(off[mine]))
    return at, mean, np.interp(at, centres, deviations)


def _through_blocks(score: Array, steps: Array, least: int) -> tuple[Array, Array]:
    """A rising line through the middles of the blocks of an isotonic regression.

    The regression itself is a staircase, on whose steps cells of different scores would tie.

    Args:
        score: (n,) ascending.
        steps: (n,) never falling.
        least: cells in a block; smaller neighbours are taken together.
    """
    starts = np.flatnonzero(np.diff(steps, prepend=-np.inf))
    bounds = [0]
    for start in starts[1:]:
        if start - bounds[-1] >= least and len(score) - start >= least:
            bounds.append(int(start))
    blocks = np.split(np.arange(len(score)), bounds[1:])
    x = np.array([score[block].mean() for block in blocks])
    y = np.array([steps[block].mean() for block in blocks])
    if len(blocks) < 2:
        return x, y
    # Beyond the middles of the outermost blocks the line goes on, within what was met.
    first, last = ((y[i + 1] - y[i]) / (x[i + 1] - x[i]) for i in (0, len(x) - 2))
    low = max(y[0] - first * (x[0] - score[0]), steps[0])
    high = min(y[-1] + last * (score[-1] - x[-1]), steps[-1])
    inner = slice(1 if x[0] <= score[0] else 0, len(x) if x[-1] < score[-1] else len(x) - 1)
    return (
        np.concatenate([[score[0]], x[inner], [score[-1]]]),
        np.concatenate([[min(low, y[0])], y[inner], [max(high, y[-1])]]),
    )

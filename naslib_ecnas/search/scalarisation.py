"""Several objectives as one number, for methods with a single objective."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from naslib_ecnas.errors import ConfigError
from naslib_ecnas.search.base import Floats

#: Slope of the augmentation of the Chebyshev function in Knowles (2006).
RHO = 0.05
# Divisions of the weight lattice in Knowles (2006).
_DIVISIONS = 10


def weighted_sum(costs: ArrayLike, weights: ArrayLike) -> Floats:
    """(n,) sum of weighted costs; finds only the convex part of a front.

    Args:
        costs: (n, m) normalised costs, less is better.
        weights: (m,) weights, or (n, m) with one set for each point.
    """
    out: Floats = (np.asarray(costs) * np.asarray(weights)).sum(axis=-1)
    return out


def chebyshev(costs: ArrayLike, weights: ArrayLike, rho: float = RHO) -> Floats:
    """(n,) augmented Chebyshev function of ParEGO (Knowles 2006, equation 2).

    The largest weighted cost plus rho times their sum; every point of a front is its minimum for
    some weights. The arguments are those of `weighted_sum`.

    Example:
        >>> chebyshev([[0.2, 0.6]], [0.5, 0.5]).round(3).tolist()
        [0.32]
    """
    weighted = np.asarray(costs, dtype=np.float64) * np.asarray(weights)
    out: Floats = weighted.max(axis=-1) + rho * weighted.sum(axis=-1)
    return out


_FUNCTIONS = {"chebyshev": chebyshev, "sum": weighted_sum}


class Scalarisation:
    """Costs on a scale from the best (0) to the worst cost (1) seen so far, weighted and combined.

    The scale changes with what is seen, so old costs must be scored again. The name is `chebyshev`,
    or `sum` for `weighted_sum`; another one raises ConfigError.
    """

    def __init__(self, name: str) -> None:
        if not isinstance(name, str) or name not in _FUNCTIONS:
            raise ConfigError("scalarisation must be chebyshev or sum", value=name)
        self._combine = _FUNCTIONS[name]
        self._low: Floats = np.array(np.inf)
        self._high: Floats = np.array(-np.inf)

    def see(self, costs: Floats) -> None:
        """Widen the scale to (n, m) costs; rows with a NaN are ignored."""
        known = costs[~np.isnan(costs).any(axis=1)]
        if len(known):
            self._low = np.minimum(self._low, known.min(axis=0))
            self._high = np.maximum(self._high, known.max(axis=0))

    def __call__(self, costs: Floats, weights: Floats) -> Floats:
        """(...,) scores of (..., m) costs, less is better; an objective of which all costs seen
        are equal counts 0."""
        span = self._high - self._low
        return self._combine((costs - self._low) / np.where(span > 0, span, 1.0), weights)


def random_weights(rng: np.random.Generator, m: int, n: int = 1) -> Floats:
    """(n, m) weights drawn uniformly from ParEGO's lattice (Knowles 2006, equation 1).

    The lattice is all vectors of multiples of 1/10 that sum to 1: 11 for m = 2, 66 for m = 3.
    """
    # A composition of 10 into m parts is a choice of m - 1 bars among 10 + m - 1 places.
    places = _DIVISIONS + m - 1
    bars = np.sort(np.argsort(rng.random((n, places)), axis=1)[:, : m - 1], axis=1)
    ends = np.column_stack([np.full(n, -1), bars, np.full(n, places)])
    weights: Floats = (np.diff(ends, axis=1) - 1) / _DIVISIONS
    return weights

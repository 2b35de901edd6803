"""Many objectives as one number, for methods that know only one."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.errors import ConfigError

__all__ = ["RHO", "SCALARISATIONS", "Normaliser", "chebyshev", "random_weights", "weighted_sum"]

#: Slope of the augmentation in Knowles (2006).
RHO = 0.05
# Divisions of the weight lattice there.
_DIVISIONS = 10


class Normaliser:
    """Costs on a scale from 0 to 1 by the best and the worst that were seen so far.

    The scale moves with what is seen, so old costs have to be normalised again.
    """

    def __init__(self) -> None:
        self._low: NDArray[np.float64] | None = None
        self._high: NDArray[np.float64] | None = None

    def see(self, costs: NDArray[np.float64]) -> None:
        """Widen the scale by (n, m) costs; rows with a NaN are passed over."""
        known = costs[~np.isnan(costs).any(axis=1)]
        if not len(known):
            return
        low, high = known.min(axis=0), known.max(axis=0)
        self._low = low if self._low is None else np.minimum(self._low, low)
        self._high = high if self._high is None else np.maximum(self._high, high)

    def __call__(self, costs: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, m) costs from 0, the best seen, to 1, the worst; 0 where all are alike.

        Raises:
            ConfigError: no costs were seen.
        """
        if self._low is None or self._high is None:
            raise ConfigError(
                "no scale yet",
                expected="costs that were seen before",
                remedy="tell the costs of a cell first",
            )
        span = self._high - self._low
        scaled: NDArray[np.float64] = (costs - self._low) / np.where(span > 0, span, 1.0)
        return scaled


def weighted_sum(costs: ArrayLike, weights: ArrayLike) -> NDArray[np.float64]:
    """(n,) sum of weighted costs; finds only the convex part of a front.

    Args:
        costs: (n, m) normalised costs, less is better.
        weights: (m,) weights, or (n, m) with one set for each point.
    """
    out: NDArray[np.float64] = (np.asarray(costs) * np.asarray(weights)).sum(axis=-1)
    return out


def chebyshev(costs: ArrayLike, weights: ArrayLike, rho: float = RHO) -> NDArray[np.float64]:
    """(n,) augmented Chebyshev function of ParEGO (Knowles 2006, equation 2).

    The largest weighted cost plus rho times their sum; with fitting weights any point of a front
    is its minimum.

    Args:
        costs: (n, m) normalised costs, less is better.
        weights: (m,) weights, or (n, m) with one set for each point.
        rho: slope of the augmentation.

    Example:
        >>> chebyshev([[0.2, 0.6]], [0.5, 0.5]).round(3).tolist()
        [0.32]
    """
    weighted = np.asarray(costs, dtype=np.float64) * np.asarray(weights)
    out: NDArray[np.float64] = weighted.max(axis=-1) + rho * weighted.sum(axis=-1)
    return out


#: Scalarisations by name.
SCALARISATIONS = {"chebyshev": chebyshev, "sum": weighted_sum}


def random_weights(rng: np.random.Generator, m: int, n: int = 1) -> NDArray[np.float64]:
    """(n, m) weights drawn uniformly from ParEGO's lattice (Knowles 2006, equation 1).

    All vectors of multiples of 1/10 that sum to 1: 11 of them for two objectives, 66 for three.
    """
    # A composition of 10 into m parts is a choice of m - 1 bars among 10 + m - 1 places.
    keys = rng.random((n, _DIVISIONS + m - 1))
    bars = np.sort(np.argsort(keys, axis=1)[:, : m - 1], axis=1)
    ends = np.column_stack([np.full(n, -1), bars, np.full(n, _DIVISIONS + m - 1)])
    weights: NDArray[np.float64] = (np.diff(ends, axis=1) - 1) / _DIVISIONS
    return weights

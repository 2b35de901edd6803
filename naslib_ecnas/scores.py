"""How good predictions are, in numbers: errors, rank correlation, coverage of intervals."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.checked import floats
from naslib_ecnas.errors import ConfigError

__all__ = ["Scores", "kendall_tau", "scores"]


@dataclass(frozen=True)
class Scores:
    """Quality of predictions on cells that the fit has not seen."""

    cells: int
    mae: float
    """Mean absolute error, in the unit of the target."""
    mape: float
    """Mean absolute error over the true value, in per cent."""
    r2: float
    """Coefficient of determination."""
    tau: float
    """Kendall's tau-b."""
    bias: float
    """Median of predicted over true."""
    coverage: float | None = None
    """Share of true values within their 90 % intervals; None without intervals."""

    def to_json(self) -> dict[str, Any]:
        """Plain numbers for a header; missing ones are left out."""
        known = {k: v for k, v in asdict(self).items() if v is not None and math.isfinite(v)}
        return {k: round(v, 6) for k, v in known.items()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Scores:
        """The inverse of `to_json`."""
        return cls(**{**dict.fromkeys(("mae", "mape", "r2", "tau", "bias"), float("nan")), **data})


def scores(
    true: ArrayLike,
    predicted: ArrayLike,
    lower: ArrayLike | None = None,
    upper: ArrayLike | None = None,
) -> Scores:
    """Compare (n,) predictions with (n,) true values.

    Args:
        true, predicted: in one unit.
        lower, upper: (n,) ends of 90 % intervals.

    Raises:
        ConfigError: they are no vectors of one length of at least 1.
    """
    t, p = _paired(true, predicted)
    if not len(t):
        raise ConfigError("no values to compare", value=0, expected="at least one pair")
    error = np.abs(p - t)
    spread = float(((t - t.mean()) ** 2).sum())
    covered = None
    if lower is not None and upper is not None:
        covered = float(np.mean((t >= np.asarray(lower)) & (t <= np.asarray(upper))))
    with np.errstate(divide="ignore", invalid="ignore"):
        return Scores(
            cells=len(t),
            mae=float(error.mean()),
            mape=float(100 * np.mean(error / np.abs(t))),
            r2=1 - float(((p - t) ** 2).sum()) / spread if spread else float("nan"),
            tau=kendall_tau(t, p),
            bias=float(np.median(p / t)),
            coverage=covered,
        )


def kendall_tau(a: ArrayLike, b: ArrayLike) -> float:
    """Kendall's tau-b of two (n,) vectors, in n log n; NaN where one of them is constant.

    Raises:
        ConfigError: they are no vectors of one length.
    """
    x, y = (np.unique(v, return_inverse=True)[1] for v in _paired(a, b))
    n = len(x)
    order = np.lexsort((y, x))
    x, y = x[order], y[order]
    tied_x, tied_y, tied_both = _ties(x), _ties(y), _ties(x * (n + 1) + y)
    pairs = n * (n - 1) // 2
    if tied_x == pairs or tied_y == pairs:
        return float("nan")
    discordant = _inversions(y)
    concordant_less_discordant = pairs - tied_x - tied_y + tied_both - 2 * discordant
    return float(concordant_less_discordant / np.sqrt(float(pairs - tied_x) * (pairs - tied_y)))


def _paired(a: ArrayLike, b: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    one, other = floats(a), floats(b)
    if one.ndim != 1 or one.shape != other.shape:
        raise ConfigError(
            "the values are not paired",
            value=(one.shape, other.shape),
            expected="two vectors of one length",
        )
    return one, other


def _ties(values: NDArray[Any]) -> int:
    count = np.unique(values, return_counts=True)[1].astype(np.int64)
    return int((count * (count - 1) // 2).sum())


def _inversions(values: NDArray[Any]) -> int:
    """Pairs that stand in the wrong order, by merging blocks that double in length."""
    y = np.asarray(values, dtype=np.int64)
    n, total, size = len(y), 0, 1
    top = int(y.max(initial=0)) + 1
    position = np.arange(n)
    while size < n:
        # Sorted within each pair of blocks; an element of the right block passes all larger
        # ones of the left block.
        pair, right = position // (2 * size), (position // size) % 2
        order = np.argsort((pair * top + y) * 2 + right, kind="stable")
        moved_right = right[order]
        left_so_far = np.cumsum(1 - moved_right)
        start = np.concatenate([[0], left_so_far])[np.minimum(pair * 2 * size, n)]
        left_in_pair = np.minimum((pair + 1) * 2 * size, n) - pair * 2 * size
        left_total = np.minimum(left_in_pair, size)
        passed = left_total - (left_so_far - start)
        total += int(passed[moved_right == 1].sum())
        y = y[order]
        size *= 2
    return total

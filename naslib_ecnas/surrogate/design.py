"""Which cells to measure on a new GPU: those that fix the calibration, not a random draw."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.checked import check_counts, check_numbers, whole_numbers
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.space import Space
from naslib_ecnas.surrogate.descriptors import Descriptors, shipped_descriptors
from naslib_ecnas.surrogate.features import features

__all__ = ["choose"]

#: More candidates than this tell nothing new.
_CANDIDATES = 20_000
#: Candidates' spread in units of which a slope is known beforehand.
_RIDGE = 0.3


def choose(
    cells: int = 20,
    *,
    vertices: int = 7,
    rows: ArrayLike | None = None,
    seed: int = 0,
    cost: float = 0.0,
    spread: float = 0.5,
    descriptors: Descriptors | None = None,
) -> NDArray[np.int64]:
    """(cells,) rows to measure, in the order of their worth; equal arguments, equal rows.

    A part is D-optimal: each next cell is the one that the cells before say least about, under
    the linear model of calibration; these lie at the extremes. The others are k-centres: each
    next cell is the one farthest from those chosen, so that none is far from all of them.

    Args:
        cells: how many.
        vertices: candidates are all cells of up to so many vertices (at most 20,000 drawn).
        rows: (n,) candidates instead.
        seed: of the draw of candidates.
        cost: 0 ignores what a measurement costs; at 1 a cell that takes twice the time has to
            tell twice as much.
        spread: share of k-centres.
        descriptors: those of the package where left out.

    Raises:
        ConfigError: fewer candidates than cells, or fewer than 8 cells.
        UnknownCellError: a row is none of the seven-vertex space.
    """
    check_counts(cells=cells)
    check_counts(least=0, seed=seed)
    check_numbers(cost=cost, spread=spread)
    if rows is None:
        space = Space(vertices)
        # Row 0 has no vertices: its time is no sum over kinds of layers.
        pool = np.arange(1, len(space), dtype=np.int64)
        if len(pool) > _CANDIDATES:
            drawn = np.random.default_rng(seed).choice(pool, _CANDIDATES, replace=False)
            pool = np.sort(drawn)
    else:
        pool = np.unique(whole_numbers(rows).astype(np.int64))
    if not 8 <= cells <= len(pool):
        raise ConfigError(
            "cannot choose so many cells",
            value=cells,
            expected=f"8 to {len(pool)} (of the candidates)",
            remedy="ask for another number or give more candidates",
        )
    if not (0 <= spread <= 1 and cost >= 0):
        raise ConfigError(
            "no such design",
            value=f"spread {spread}, cost {cost}",
            expected="spread of 0 to 1, cost of 0 or more",
            remedy="leave them out",
        )
    base = descriptors or shipped_descriptors()
    x = features(pool)
    z = base(x)
    # Candidates' own scale: over seven vertices the descriptors spread otherwise than over four.
    z = (z - z.mean(axis=0)) / np.maximum(z.std(axis=0), 1e-9)
    price = base.time_s(x) ** cost
    first = cells - round(spread * cells)
    chosen = _d_optimal(z, price, first)
    chosen += _centres(z, price, chosen, cells - first)
    return pool[chosen]


def _d_optimal(z: NDArray[np.float64], price: NDArray[np.float64], number: int) -> list[int]:
    design = np.column_stack([np.ones(len(z)), z])
    inverse = np.diag([1e6, *[1 / _RIDGE] * z.shape[1]])
    chosen: list[int] = []
    free = np.ones(len(z), dtype=bool)
    for _ in range(number):
        # Gain of log det of the information, by the matrix determinant lemma.
        gain = np.log1p(np.einsum("ij,jk,ik->i", design, inverse, design)) / price
        best = int(np.argmax(np.where(free, gain, -np.inf)))
        chosen.append(best)
        free[best] = False
        row = inverse @ design[best]
        inverse = inverse - np.outer(row, row) / (1 + design[best] @ row)
    return chosen


def _centres(
    z: NDArray[np.float64], price: NDArray[np.float64], before: list[int], number: int
) -> list[int]:
    near = np.full(len(z), np.inf)
    for i in before:
        near = np.minimum(near, ((z - z[i]) ** 2).sum(axis=1))
    chosen: list[int] = []
    for _ in range(number):
        if before or chosen:
            best = int(np.argmax(np.sqrt(near) / price))
        else:
            best = int(np.argmin((z**2).sum(axis=1)))  # begin in the middle
        chosen.append(best)
        near = np.minimum(near, ((z - z[best]) ** 2).sum(axis=1))
    return chosen

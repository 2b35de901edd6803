"""What the fits on NAS-Bench-101's records share: parts, quality by vertices, labelled cells."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.intervals import Z90
from naslib_ecnas.scores import Scores
from naslib_ecnas.scores import scores as compare
from naslib_ecnas.space import Space
from naslib_ecnas.surrogate.cells import labels, shapes

__all__ = ["error_quantile", "held_out", "labelled", "quality", "vertices_of"]


def held_out(rows: NDArray[Any], share: float, seed: int) -> NDArray[np.bool_]:
    """(n,) whether the cell of a row is held out: by cell, so that it is in one part only."""
    unlucky = np.random.default_rng(seed).random(len(Space(7))) < share
    return np.asarray(unlucky[rows])


def labelled(rows: NDArray[Any], cells: int, seed: int) -> NDArray[np.int64]:
    """Rows to distil on: all cells of five vertices, the fitted ones, others drawn at random."""
    total = len(Space(7))
    drawn = np.random.default_rng(seed).choice(total, min(cells, total), replace=False)
    return np.unique(np.concatenate([np.arange(len(Space(5))), rows, drawn]))


def vertices_of(rows: NDArray[Any]) -> NDArray[np.int64]:
    """(n,) vertices of the cells, input and output among them."""
    return np.asarray(shapes().slots[labels(rows)[0]] + 2)


def error_quantile(error: NDArray[Any]) -> float:
    """Standard deviation whose 1.645-fold holds nine tenths of (n,) absolute errors.

    Split conformal: of n errors the one of rank ceil(0.9 (n + 1)).
    """
    ordered = np.sort(error)
    rank = min(int(np.ceil(0.9 * (len(ordered) + 1))), len(ordered))
    return float(ordered[rank - 1]) / Z90


def quality(
    rows: NDArray[Any],
    true: NDArray[Any],
    predicted: NDArray[Any],
    lower: NDArray[Any],
    upper: NDArray[Any],
    *,
    unit: str,
    about: str,
) -> dict[str, Any]:
    """An entry of a header's quality: scores over all cells and by their vertices."""
    each: dict[str, Any] = {}
    vertices = vertices_of(rows)
    for count in np.unique(vertices):
        mine = vertices == count
        if mine.sum() >= 10:
            each[str(int(count))] = _scores(true, predicted, lower, upper, mine).to_json()
    whole = _scores(true, predicted, lower, upper, np.ones(len(rows), dtype=bool))
    return {**whole.to_json(), "unit": unit, "about": about, "by_vertices": each}


def _scores(true: Any, predicted: Any, lower: Any, upper: Any, mine: NDArray[Any]) -> Scores:
    return compare(true[mine], predicted[mine], lower[mine], upper[mine])

"""Features of cells for the models: one documented list, arrays over rows.

Two families. `cost_features` say what the network costs: counts of layers, traffic, multiply-adds,
nearly all of them sums over layers; they are for energy and time. `graph_features` say how the
operations are composed: chains, distances, paths; accuracy needs both. `FEATURES` describes every
column in order. No column is constant over the space, and none is a multiple of another plus a
constant; many are sums of others, which spares a model from having to find them.

Example:
    >>> from naslib_ecnas.surrogate.features import FEATURES, features
    >>> features([0, 1, 2]).shape == (3, len(FEATURES))
    True
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.network import cell_depth
from naslib_ecnas.surrogate.cells import labels, shapes
from naslib_ecnas.surrogate.cost_curves import CURVES, curves
from naslib_ecnas.surrogate.feature import OPERATORS, Feature
from naslib_ecnas.surrogate.layer_counts import BY_CHANNELS, BY_PLACE, OF_GRAPH
from naslib_ecnas.surrogate.layer_traffic import TRAFFIC
from naslib_ecnas.surrogate.layer_work import WORK
from naslib_ecnas.surrogate.operator_chains import CHAINS, DISTANCES, chains, summed
from naslib_ecnas.surrogate.path_costs import PATH_COSTS, path_costs
from naslib_ecnas.surrogate.paths import counts, distances
from naslib_ecnas.surrogate.terms import Sums, stacked

__all__ = ["COSTS", "FEATURES", "cost_features", "features", "graph_features"]

Matrix = NDArray[np.float32]
Rows = NDArray[np.int64]

_SUMS = (*BY_CHANNELS, *OF_GRAPH, *BY_PLACE, *TRAFFIC, *WORK)
_N_SUMS = len(_SUMS)
#: Leading columns of `features` that `cost_features` has: what the network costs.
COSTS = _N_SUMS + len(CURVES)
_N_GRAPH = len(CHAINS) + len(DISTANCES) + len(PATH_COSTS)

#: (name, unit, description) of every column of `features`, in order.
FEATURES: tuple[Feature, ...] = (
    *(term.feature for term in _SUMS),
    *CURVES,
    *CHAINS,
    *DISTANCES,
    *PATH_COSTS,
)

#: Rows at a time: few enough to stay in the processor's cache.
_CHUNK = 4096


def cost_features(rows: ArrayLike) -> Matrix:
    """(n, k) what the networks of (n,) rows cost; the first k of `FEATURES`.

    Raises:
        UnknownCellError: a row is none of the seven-vertex space.
    """
    return _by_chunks(rows, COSTS, ((0, _costs),))


def graph_features(rows: ArrayLike) -> Matrix:
    """(n, k) how the operations of (n,) rows are composed; the last k of `FEATURES`.

    Raises:
        UnknownCellError: a row is none of the seven-vertex space.
    """
    return _by_chunks(rows, _N_GRAPH, ((0, _graph),))


def features(rows: ArrayLike) -> Matrix:
    """(n, len(FEATURES)) `cost_features` and `graph_features` side by side.

    Working memory does not grow with n; the result takes four bytes for each entry, so ask for
    the whole space in parts.

    Raises:
        UnknownCellError: a row is none of the seven-vertex space.
    """
    return _by_chunks(rows, len(FEATURES), ((0, _costs), (COSTS, _graph)))


@cache
def _sums() -> Sums:
    return stacked(_SUMS)


def _by_chunks(
    rows: ArrayLike, width: int, parts: tuple[tuple[int, Callable[[Rows, Matrix], None]], ...]
) -> Matrix:
    """(n, width) filled chunk by chunk; each part writes the columns from its first one on."""
    cell_depth(rows)  # refuses what is no row, as every function of `network` does
    valid = np.atleast_1d(np.asarray(rows)).astype(np.int64).ravel()
    out = np.empty((len(valid), width), dtype=np.float32)
    for start in range(0, len(valid), _CHUNK):
        some = slice(start, start + _CHUNK)
        for first, write in parts:
            write(valid[some], out[some, first:])
    return out


def _costs(rows: Rows, out: Matrix) -> None:
    sums = _sums().of(rows)
    out[:, :_N_SUMS] = sums
    named = {term.feature.name: sums[:, k] for k, term in enumerate(_SUMS)}
    out[:, _N_SUMS:COSTS] = curves(rows, named)


def _graph(rows: Rows, out: Matrix) -> None:
    structure, label = labels(rows)
    edges, widths, distance, ahead, behind = _columns()
    one = (label.T[:, None] == np.arange(len(OPERATORS))[:, None]).astype(np.float32)
    edge = np.take(edges, structure, axis=-1)
    blocks = [
        *chains(edge, one, np.take(widths, structure, axis=-1)),
        *summed(one, [np.take(d, structure, axis=-1) for d in distance]),
        *path_costs(
            edge, one, np.take(ahead, structure, axis=-1), np.take(behind, structure, axis=-1)
        ),
    ]
    out[:, :_N_GRAPH] = np.concatenate(blocks).T


@cache
def _columns() -> tuple[Matrix, Matrix, tuple[Matrix, ...], Matrix, Matrix]:
    """Edges (7, 7, S), widths (5, S), distances (5, S) each and path counts (7, S), twice."""
    shape = shapes()
    edges = np.ascontiguousarray(np.moveaxis(shape.edge, 0, -1), dtype=np.float32)
    widths = np.ascontiguousarray(shape.width.T, dtype=np.float32)
    return edges, widths, tuple(distances().values()), *counts()

"""Features of cells for the surrogate models: documented columns, computed for arrays of rows.

`FEATURES` names every column in order. The first `COSTS` of them are costs of a network: layers,
memory traffic and multiply-adds; the models of energy and time use these. The others describe how
the operations are composed: chains, distances and paths; the models of accuracy use all. No column
is constant over the space or an affine function of another one; many are sums of others, so that a
model need not find these.

Most costs are sums over the layers of a cell. Training on a GPU runs one layer after another, so
its time and energy are nearly such sums: a vertex contributes by its operation and its place, the
projections and additions by the topology alone.

The shipped weights depend on the order of the columns and on every bit of them.

Examples:
    >>> from naslib_ecnas.surrogate.features import FEATURES, features
    >>> features([0, 1, 2]).shape == (3, len(FEATURES))
    True
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial, reduce
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.network import STACKS, cell_depth, channels, parameters
from naslib_ecnas.surrogate.exact import log
from naslib_ecnas.topologies import (
    MAX_VERTICES,
    adjacency,
    checked_rows,
    labels_of_rows,
    topologies,
)

Matrix = NDArray[np.float32]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

#: Short names of the operations in the order of `topologies.OPERATIONS`.
OPERATORS = ("conv3x3", "conv1x1", "maxpool3x3")

_SLOTS = MAX_VERTICES - 2
_OUTPUT = MAX_VERTICES - 1

#: Rows at a time: few enough to stay in the processor's cache.
_CHUNK = 4096


class Feature(NamedTuple):
    """One column."""

    name: str
    unit: str
    """Empty for counts and flags. A "width" is 128 channels of the first stack's vertices."""
    description: str


def _each(name: str, unit: str, description: str) -> tuple[Feature, ...]:
    """One column for each operation, whose name replaces `{}`."""
    return tuple(Feature(name.format(op), unit, description.format(op)) for op in OPERATORS)


# -- topologies as arrays -------------------------------------------------------------------------


@dataclass(frozen=True)
class TopologyArrays:
    """All S topologies. Slot k is vertex k + 1; the input is vertex 0, the output vertex 6.

    The topologies come last, so that a step along paths is one operation on a long vector.
    """

    row: Ints  # (S,) first row that has the topology
    slots: Ints  # (S,) interior vertices
    live: Bools  # (5, S) whether the topology has the slot
    edge: Matrix  # (7, 7, S) adjacency, 0 and 1
    missing: Matrix  # (7, 7, S) infinite where there is no edge, else 0
    inner: Matrix  # (5, 5, S) edges between slots
    from_input: Matrix  # (5, S) slots that the input feeds, each through a projection
    to_output: Matrix  # (5, S) slots that the output concatenates
    skip: Matrix  # (S,) whether the input feeds the output, through a projection that is added
    additions: Matrix  # (5, S) tensors added to make the slot's input: its predecessors less one
    reuses: Matrix  # (5, S) gradients that the backward pass adds up: its successors less one
    channels: Ints  # (3, 5, S) channels of each slot in the three stacks, 0 past the last slot
    width: Matrix  # (5, S) channels of the first stack over those of its output
    through: Matrix  # (5, S) paths through each slot
    distances: Matrix  # (4, 5, S) in edges, in the order of `_DISTANCES`; 0 for missing slots


@cache
def topology_arrays() -> TopologyArrays:
    """All topologies, made once in a process."""
    table, inside = topologies(), slice(1, _OUTPUT)
    edge = np.ascontiguousarray(np.moveaxis(adjacency(), 0, -1), dtype=np.float32)
    missing = np.where(edge > 0, 0, np.inf).astype(np.float32)
    turned, turned_missing = (a[::-1, ::-1].transpose(1, 0, 2) for a in (edge, missing))
    one = np.ones((_SLOTS, 1), dtype=np.float32)
    distances = [
        sign * _longest(of, sign * one)[inside][::order]
        for of, order in ((missing, 1), (turned_missing, -1))
        for sign in (-1, 1)  # nearest, farthest
    ]
    slots = table.vertices.astype(np.int64) - 2
    live = np.arange(_SLOTS)[:, None] < slots
    wide = np.stack([channels(width).T for width, _ in STACKS])
    return TopologyArrays(
        row=np.unique(table.row_topology, return_index=True)[1],
        slots=slots,
        live=live,
        edge=edge,
        missing=missing,
        inner=edge[inside, inside],
        from_input=edge[0, inside],
        to_output=edge[inside, _OUTPUT],
        skip=edge[0, _OUTPUT],
        additions=np.maximum(edge[:, inside].sum(axis=0) - 1, 0),
        reuses=np.maximum(edge[inside].sum(axis=1) - 1, 0),
        channels=wide,
        width=(wide[0] / STACKS[0][0]).astype(np.float32),
        through=(_paths(edge, one) * _paths(turned, one)[::-1])[inside],
        distances=np.where(live, np.stack(distances), 0).astype(np.float32),
    )


def vertices_of(rows: NDArray[Any]) -> Ints:
    """(n,) vertices of the cells of valid rows, input and output among them."""
    table = topologies()
    return np.asarray(table.vertices[table.row_topology[rows]], dtype=np.int64)


# -- paths from a cell's input to its output ------------------------------------------------------
#
# The longest path bounds how parallel a cell can run; the shortest decides how easily gradients
# reach the input, and a path without convolutions is one along which nothing is learnt. The cost of
# a path is the sum over its vertices, found vertex by vertex in topological order.


def _longest(missing: Matrix, cost: NDArray[Any]) -> Matrix:
    """(7, n) largest cost of a path from the input to each vertex.

    `missing` is as of `TopologyArrays`; `cost` is (5, n) of the slots.
    """
    best = np.zeros(missing.shape[1:], dtype=np.float32)
    for v, own in enumerate([*cost, 0], start=1):
        best[v] = (best[:v] - missing[:v, v]).max(axis=0) + own
    return best


def _paths(edge: Matrix, allowed: NDArray[Any]) -> Matrix:
    """(7, n) number of paths from the input to each vertex, through allowed slots only.

    `edge` is (7, 7, n) and `allowed` (5, n), both of 0 and 1.
    """
    paths = np.ones(edge.shape[1:], dtype=np.float32)
    for v, own in enumerate([*allowed, 1], start=1):
        paths[v] = (paths[:v] * edge[:v, v]).sum(axis=0) * own
    return paths


# -- sums over the layers of a cell ---------------------------------------------------------------

#: Numbers of all topologies, (S,), (5, S) of slots or (..., S) of edges: a name in
#: `TopologyArrays`, or a function, so that describing the features enumerates no topologies.
Numbers = str | Callable[[TopologyArrays], NDArray[Any]]


@dataclass(frozen=True)
class _Sum:
    """A column that adds numbers of the topology and weighted numbers of every slot."""

    feature: Feature
    of_topology: tuple[Numbers, ...]  # multiplied, then added up over slots or edges
    of_slots: tuple[Numbers, ...]  # multiplied; slots that a topology does not have count 0
    weights: Sequence[int]  # of the slot's number, for each operation


def _sum(name: str, description: str, *numbers: Numbers, unit: str = "") -> list[_Sum]:
    """One column of a product, or where the name has `{}` one for each operation's slots."""
    if "{}" not in name:
        return [_Sum(Feature(name, unit, description), numbers, (), (0, 0, 0))]
    by_operation = zip(_each(name, unit, description), np.eye(3, dtype=int).tolist(), strict=True)
    return [_Sum(feature, (), numbers, weights) for feature, weights in by_operation]


def _product(t: TopologyArrays, numbers: tuple[Numbers, ...]) -> NDArray[Any]:
    """(k, S); 0 without numbers."""
    factors = [getattr(t, each) if isinstance(each, str) else each(t) for each in numbers]
    product = reduce(np.multiply, factors) if factors else np.zeros(len(t.slots))
    return product.reshape(-1, len(t.slots))


@cache
def _sum_tables() -> tuple[Matrix, Matrix, Matrix]:
    """(S, F) numbers of the topology, (S, 5, F) of its slots, and (4, F) weights by operation.

    F are `_SUMS`. The fourth operation stands for slots that the topology does not have.
    """
    t = topology_arrays()
    fixed = np.zeros((len(t.slots), len(_SUMS)), dtype=np.float32)
    of_slots = np.zeros((len(t.slots), _SLOTS, len(_SUMS)), dtype=np.float32)
    for column, each in enumerate(_SUMS):
        fixed[:, column] = _product(t, each.of_topology).sum(axis=0)
        of_slots[:, :, column] = np.where(t.live, _product(t, each.of_slots), 0).T
    weights = np.array([each.weights for each in _SUMS], dtype=np.float32).T
    return fixed, of_slots, np.vstack([weights, np.zeros_like(weights[:1])])


# -- counts of layers, by channels, topology and place --------------------------------------------
#
# The time of a layer depends on its operation and its channels but not smoothly, since libraries
# choose among kernels. A count for each operation and number of channels lets a linear model learn
# any time for each. The counts by place tell which layers wait for additions, projections or the
# concatenation.

#: Channels of a vertex in the three stacks: all that occur, widest first.
CHANNELS = (
    (128, 256, 512),
    (64, 128, 256),
    (43, 86, 171),
    (43, 85, 171),
    (42, 85, 170),
    (32, 64, 128),
)


def _with_channels(widths: tuple[int, int, int]) -> list[_Sum]:
    """Columns for the vertices that have these channels in the three stacks."""
    at = "at_{}_{}_{}".format(*widths)
    words = "with {}, {}, {} channels in the three stacks".format(*widths)

    def having(t: TopologyArrays) -> Bools:
        return np.asarray((np.moveaxis(t.channels, 0, -1) == widths).all(axis=-1))

    at_projections = f"projections of the cell's input to vertices {words}"
    return [
        *_sum(f"{{}}_{at}", f"vertices {{}} {words}", having),
        *_sum(f"projections_{at}", at_projections, having, "from_input"),
        *_sum(f"additions_{at}", f"additions of tensors {words}", having, "additions"),
    ]


def _truncated(t: TopologyArrays) -> Bools:
    """(5, 5, S) edges whose source is wider than their target: always 43 channels to 42."""
    return np.asarray((t.inner > 0) & (t.channels[0][:, None] > t.channels[0]))


_COUNTS = (
    *(column for widths in CHANNELS for column in _with_channels(widths)),
    *_sum("skip", "1 if an edge leads from the input to the output", "skip"),
    *_sum("concatenated", "vertices that the output concatenates", "to_output"),
    *_sum("no_vertices", "1 if the cell is one projection and no more", lambda t: t.slots == 0),
    *_sum("truncations", "edges that drop a channel of their source", _truncated),
    *_sum("edges", "edges", "edge"),
    *_sum("vertices", "vertices with an operation", "live"),
    *_sum("projections", "projections to vertices", "from_input"),
    *_sum("longest_vertices", "most vertices on a path", lambda t: cell_depth(t.row)),
    *_sum("{}", "vertices {}", "live"),
    *_sum("{}_projected", "vertices {} that the input feeds", "from_input"),
    *_sum("{}_concatenated", "vertices {} that feed the output", "to_output"),
    *_sum("{}_additions", "additions that make inputs of {}", "additions"),
    *_sum(
        "{}_unaligned",
        "vertices {} whose channels are no multiple of 8 in the first stack",
        lambda t: t.channels[0] % 8 > 0,  # vectorised kernels run best on multiples of eight
    ),
)

# -- memory traffic -------------------------------------------------------------------------------
#
# Pools, batch normalisations and additions are bound by memory, so their time goes with the
# elements they move. The unit is the width: channels of the first stack's vertices over the 128 of
# the cell's output. One width is 128 x 32 x 32 elements per image and cell in the first stack, half
# and a quarter of that in the others (up to the rounding of channels), as in
# `network.activation_elements`.

_SQUARES = Feature("maxpool3x3_width_squared", "width^2", "sum of squared widths of pools")
_ADDED_UP = "whose gradients are added up over several successors"
_traffic = partial(_sum, unit="width")

_TRAFFIC = (
    *_traffic("{}_width", "channels that vertices {} write", "width"),
    *_traffic("{}_additions_width", "channels added to make inputs of {}", "width", "additions"),
    *_traffic("{}_reuses_width", f"channels of vertices {{}} {_ADDED_UP}", "width", "reuses"),
    # The squares of the convolutions' widths are their multiply-adds.
    _Sum(_SQUARES, (), ("width", "width"), (0, 0, 1)),
    *_traffic("vertices_width", "channels of all vertices", "width"),
    *_traffic(
        "projections_width", "channels that projections to vertices write", "width", "from_input"
    ),
    *_traffic("additions_width", "channels that additions write", "width", "additions"),
    *_traffic("reuses_width", f"channels {_ADDED_UP}", "width", "reuses"),
    *_traffic(
        "edges_width",
        "channels that pass the edges between vertices",
        lambda t: t.inner * t.width,
    ),
    *_traffic(
        "longest_width",
        "largest sum of channels over a path: the least that runs one after another",
        lambda t: _longest(t.missing, t.width)[_OUTPUT],
    ),
)

# -- multiply-adds, exact and as kernels pad them -------------------------------------------------
#
# A convolution of side k from c to c channels on s x s pixels takes k^2 c^2 s^2 multiply-adds; a
# projection is a 1 x 1 convolution from the cell's input, whose first cell of a stack has the
# channels of the stack below (`model_builder.py` of google-research/nasbench). Each stack has three
# cells. The stem and the dense layer are the same for all and are left out, so the exact sums are
# `network.multiply_adds` less a constant. Matrix kernels work on tiles, so a convolution of 43
# channels costs about as much as one of 64: the padded sums round channels up to the tile.

_GIGA = 1e-9
_CELLS = 3

#: Squared sides of the kernels of the operations and of projections; 0 where they do not count.
_Taps = tuple[int, int, int, int]
_BOTH: _Taps = (9, 1, 0, 1)


def _multiply_adds(
    name: str, words: str, taps: _Taps, stacks: Sequence[int] = range(len(STACKS)), tile: int = 1
) -> _Sum:
    """Multiply-adds of all cells of some stacks; channels are rounded up to multiples of `tile`."""

    def padded(t: TopologyArrays, stack: int) -> Ints:
        return np.asarray(-(-t.channels[stack] // tile) * tile)

    def of_vertices(t: TopologyArrays) -> NDArray[np.float64]:
        total = np.zeros(t.live.shape)
        for stack in stacks:
            total += padded(t, stack) ** 2 * (_CELLS * STACKS[stack][1] ** 2 * _GIGA)
        return total

    def of_projections(t: TopologyArrays) -> NDArray[np.float64]:
        total = np.zeros(len(t.slots))
        for stack in stacks:
            width, side = STACKS[stack]
            below = STACKS[max(stack - 1, 0)][0]  # the stem is as wide as the first stack
            projected = (padded(t, stack) * t.from_input).sum(axis=0) + t.skip * width
            total += projected * ((below + (_CELLS - 1) * width) * side**2 * _GIGA)
        return total

    feature = Feature(name, "1e9 multiply-adds", words)
    return _Sum(feature, (of_projections,) if taps[3] else (), (of_vertices,), taps[:3])


_LAYERS: tuple[tuple[str, str, _Taps], ...] = (
    ("conv3x3", "vertices conv3x3", (9, 0, 0, 0)),
    ("conv1x1", "vertices conv1x1", (0, 1, 0, 0)),
    ("projection", "all projections", (0, 0, 0, 1)),
)
_ROUNDED_UP = "with channels rounded up to multiples of"
_WORK = (
    *(
        _multiply_adds(
            f"{layers}_multiply_adds_{side}",
            f"multiply-adds of {words} on {side} x {side} pixels",
            *(taps, [stack]),
        )
        for stack, (_, side) in enumerate(STACKS)
        for layers, words, taps in _LAYERS
    ),
    _multiply_adds("multiply_adds", "multiply-adds of the nine cells", _BOTH),
    _multiply_adds("multiply_adds_tile_32", f"the same, vertices {_ROUNDED_UP} 32", _BOTH, tile=32),
    _multiply_adds(
        "conv3x3_multiply_adds_tile_64",
        f"multiply-adds of vertices conv3x3 {_ROUNDED_UP} 64",
        *(_LAYERS[0][2],),
        tile=64,
    ),
)

_SUMS = (*_COUNTS, *_TRAFFIC, *_WORK)


# -- costs that are no sums -----------------------------------------------------------------------
#
# Relative errors are what matters of energy and time, so the models fit their logarithms: a
# logarithm of a total is then a linear term. The offsets keep the least cells finite and stand for
# what every network has (stem, dense layer, launches); they are round figures, not fitted.

_PARAMETERS_OFFSET = 0.3

_CONV3X3 = [f"conv3x3_multiply_adds_{side}" for _, side in STACKS]
_WRITTEN = [*(f"{op}_width" for op in OPERATORS), "projections_width", "skip", "additions_width"]
_TILED, _VERTICES = "multiply_adds_tile_32", "vertices_width"

#: Offset, what its sum is, and columns of the sums that are added, by the name behind "log_".
_LOGARITHMS: dict[str, tuple[float, str, Sequence[str]]] = {
    "multiply_adds": (0.05, "1e9 multiply-adds", ["multiply_adds"]),
    _TILED: (0.05, "1e9 multiply-adds on tiles of 32 channels", [_TILED]),
    _VERTICES: (0.2, "widths of all vertices", [_VERTICES]),
    "conv3x3_multiply_adds": (0.1, "1e9 multiply-adds of vertices conv3x3", _CONV3X3),
    "conv3x3_width": (0.2, "widths of vertices conv3x3", ["conv3x3_width"]),
    "traffic": (0.3, "widths that vertices, projections and additions write", _WRITTEN),
}

_CURVES: tuple[Feature, ...] = (
    *(
        Feature(f"log_{name}", "", f"logarithm of {offset} + {what}")
        for name, (offset, what, _) in _LOGARITHMS.items()
    ),
    Feature("log_parameters", "", f"logarithm of {_PARAMETERS_OFFSET} + 1e6 trainable parameters"),
    Feature(
        "longest_work", "width^2", "largest sum over a path of taps times squared width of vertices"
    ),
    Feature("longest_conv3x3", "", "most vertices conv3x3 on a path"),
)


def _curves(
    rows: NDArray[Any], sums: Matrix, one: Matrix, missing: Matrix, width: Matrix
) -> list[Matrix]:
    """(n,) columns in the order of `_CURVES`, from the (n, F) layer sums of rows."""
    named = {each.feature.name: sums[:, k] for k, each in enumerate(_SUMS)}
    columns = []
    for offset, _, names in _LOGARITHMS.values():
        total = sum((named[name] for name in names[1:]), start=named[names[0]])
        columns.append(log(total + np.float32(offset)).astype(np.float32))
    taps = (one * np.array(_BOTH[:3], dtype=np.float32)[:, None]).sum(axis=1)
    return [
        *columns,
        log(parameters(rows) * 1e-6 + _PARAMETERS_OFFSET).astype(np.float32),
        _longest(missing, taps * width**2)[_OUTPUT],
        _longest(missing, one[:, 0])[_OUTPUT],
    ]


# -- which operations follow which ----------------------------------------------------------------
#
# Accuracy depends on what is composed with what, as n-grams of text do on the order of its words:
# a convolution after a pool is another function than a pool after a convolution, and the vertices
# that the output concatenates are the features the next cell sees. All counts are sums over
# vertices, so that they do not depend on how the slots are numbered.

_PAIRS = tuple(product(OPERATORS, OPERATORS))

_CHAINS: tuple[Feature, ...] = (
    *(Feature(f"{a}_{b}", "", f"edges from {a} to {b}") for a, b in _PAIRS),
    *(
        Feature(f"{a}_{middle}_{b}", "", f"paths of two edges {a}, {middle}, {b}")
        for middle in OPERATORS
        for a, b in _PAIRS
    ),
    *(Feature(f"input_{a}_{b}", "", f"paths from the input to {a}, then {b}") for a, b in _PAIRS),
    *(Feature(f"{a}_{b}_output", "", f"paths from {a} to {b}, then the output") for a, b in _PAIRS),
    *_each("input_{}_output", "", "vertices {} between the input and the output"),
    *_each("{}_output_width", "width", "channels of the output that vertices {} fill"),
)


def _chains(one: Matrix, edge: Matrix, width: Matrix) -> list[Matrix]:
    """Blocks of (..., n) columns in the order of `_CHAINS`, from (5, 3, n) `one`."""
    inner = edge[1:_OUTPUT, 1:_OUTPUT, None]
    after = (inner * one).sum(axis=1)  # (5, 3, n) successors of each slot by their operation
    before = (inner * one[:, None]).sum(axis=0)
    first = one * edge[0, 1:_OUTPUT, None]
    last = one * edge[1:_OUTPUT, _OUTPUT, None]
    around = before[:, :, None] * after[:, None]
    return [
        (one[:, :, None] * after[:, None]).sum(axis=0),
        *((one[:, middle, None, None] * around).sum(axis=0) for middle in range(len(OPERATORS))),
        (first[:, :, None] * after[:, None]).sum(axis=0),
        (before[:, :, None] * last[:, None]).sum(axis=0),
        (first * last).sum(axis=0),
        (last * width[:, None]).sum(axis=0),
    ]


# -- how far each operation is from the ends ------------------------------------------------------

_DISTANCES: tuple[Feature, ...] = tuple(
    feature
    for key, words in (
        ("nearest_input", "shortest way from the input"),
        ("farthest_input", "longest way from the input"),
        ("nearest_output", "shortest way to the output"),
        ("farthest_output", "longest way to the output"),
    )
    for feature in (
        *_each(f"{{}}_{key}_sum", "edges", f"sum over vertices {{}} of the {words}"),
        *_each(f"{{}}_{key}_most", "edges", f"most over vertices {{}} of the {words}"),
    )
)

# -- operations along the paths: most, least, mean, and paths without them ------------------------

_KIND_WORDS = {
    "most": "most {} on a path",
    "least": "least {} on a path",
    "mean": "{} on a path, mean over all paths",
    "without": "paths without {}",
}

#: Name -> (cost of each operation, unit, words, which kinds of `_KIND_WORDS` are columns).
#:
#: Left out is what the costs have: the most conv3x3 (`longest_conv3x3`), the most vertices
#: (`longest_vertices`), and the paths without a vertex (`skip`).
_PATH_COSTS: dict[str, tuple[tuple[int, int, int], str, str, tuple[str, ...]]] = {
    "conv3x3": ((1, 0, 0), "", "vertices conv3x3", ("least", "mean", "without")),
    "convolution": ((1, 1, 0), "", "convolutions", tuple(_KIND_WORDS)),
    "maxpool3x3": ((0, 0, 1), "", "vertices maxpool3x3", tuple(_KIND_WORDS)),
    "conv1x1": ((0, 1, 0), "", "vertices conv1x1", tuple(_KIND_WORDS)),
    # Every 3 x 3 window widens the receptive field by two pixels.
    "reach": ((2, 0, 2), "pixels", "growth of the receptive field", tuple(_KIND_WORDS)),
    "vertex": ((1, 1, 1), "", "vertices", ("least", "mean")),
}

_PATHS: tuple[Feature, ...] = (
    Feature("paths", "", "paths from the input to the output"),
    Feature("log_paths", "", "logarithm of the number of paths"),
    *(
        Feature(f"path_{name}_{kind}", "" if kind == "without" else unit, text.format(words))
        for name, (_, unit, words, kinds) in _PATH_COSTS.items()
        for kind, text in _KIND_WORDS.items()
        if kind in kinds
    ),
)


def _path_costs(one: Matrix, edge: Matrix, missing: Matrix, through: Matrix) -> list[Matrix]:
    """(n,) columns in the order of `_PATHS`."""
    paths = _paths(edge, np.ones((_SLOTS, 1)))[_OUTPUT]
    # Paths through each vertex are known, so means need no path of their own.
    mean = (one * through[:, None]).sum(axis=0) / paths
    columns = [paths, log(paths).astype(np.float32)]
    for weights, _, _, kinds in _PATH_COSTS.values():
        weight = np.array(weights, dtype=np.float32)[:, None]
        cost = (one * weight).sum(axis=1)
        for kind in kinds:
            if kind == "most":
                columns.append(_longest(missing, cost)[_OUTPUT])
            elif kind == "least":
                columns.append(-_longest(missing, -cost)[_OUTPUT])
            elif kind == "mean":
                columns.append((mean * weight).sum(axis=0))
            else:
                columns.append(_paths(edge, cost == 0)[_OUTPUT])
    return columns


# -- all of them ----------------------------------------------------------------------------------

#: Leading columns that are sums over layers, and all that are costs of the network.
LAYER_SUMS, COSTS = len(_SUMS), len(_SUMS) + len(_CURVES)

#: Name, unit and description of every column of `features`, in order.
FEATURES: tuple[Feature, ...] = (
    *(each.feature for each in _SUMS),
    *_CURVES,
    *_CHAINS,
    *_DISTANCES,
    *_PATHS,
)


def features(rows: ArrayLike) -> Matrix:
    """(n, len(FEATURES)) features of the cells of (n,) rows.

    Working memory does not grow with n; the result takes four bytes for each entry, so ask for
    the whole space in parts.

    Raises:
        UnknownCellError: a row is not one of the seven-vertex space.
    """
    valid = checked_rows(rows)
    out = np.empty((len(valid), len(FEATURES)), dtype=np.float32)
    for start in range(0, len(valid), _CHUNK):
        _write(valid[start : start + _CHUNK], out[start : start + _CHUNK])
    return out


def _write(rows: NDArray[np.int32], out: Matrix) -> None:
    topology, op = topologies().row_topology[rows].astype(np.int64), labels_of_rows(rows)
    fixed, of_slots, weights = _sum_tables()
    sums = fixed[topology]
    for slot in range(_SLOTS):
        # -1, a missing slot, is the last operation.
        sums += of_slots[topology, slot] * weights[op[:, slot]]
    t = topology_arrays()
    edge, missing, width, through, distances = (
        np.take(of_all, topology, axis=-1)
        for of_all in (t.edge, t.missing, t.width, t.through, t.distances)
    )
    # (5, 3, n): 1 where the slot has the operation.
    one = (op.T[:, None] == np.arange(len(OPERATORS))[:, None]).astype(np.float32)
    blocks = [*_curves(rows, sums, one, missing, width), *_chains(one, edge, width)]
    for distance in distances:
        each_slot = one * distance[:, None]
        blocks += [each_slot.sum(axis=0), each_slot.max(axis=0)]
    blocks += _path_costs(one, edge, missing, through)
    out[:, :LAYER_SUMS] = sums
    out[:, LAYER_SUMS:] = np.concatenate([b.reshape(-1, len(rows)) for b in blocks]).T

"""Features of cells for the surrogate models: documented columns, computed for arrays of rows.

There are two families. `cost_features` are costs of a network: layers, memory traffic and
multiply-adds; the models of energy and time use them. `graph_features` describe how the operations
are composed: chains, distances and paths; the models of accuracy use both. `FEATURES` names every
column in order. No column is constant over the space or an affine function of another one; many
are sums of others, so that a model need not find these.

Most costs are sums over the layers of a cell. Training on a GPU runs one layer after another, so
its time and energy are nearly such sums: a vertex contributes by its operation and its place, the
projections and additions by the topology alone.

Example:
    >>> from naslib_ecnas.surrogate.features import FEATURES, features
    >>> features([0, 1, 2]).shape == (3, len(FEATURES))
    True
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.network import STACKS, cell_depth, channels, parameters
from naslib_ecnas.space import Space
from naslib_ecnas.topologies import MAX_VERTICES, OPERATIONS, topologies

__all__ = [
    "CHANNELS",
    "COSTS",
    "FEATURES",
    "OPERATORS",
    "Feature",
    "TopologyArrays",
    "cost_features",
    "features",
    "graph_features",
    "topology_and_operations",
    "topology_arrays",
    "vertices_of",
]

Matrix = NDArray[np.float32]
Rows = NDArray[np.int64]

#: Short names of the operations in the order of `topologies.OPERATIONS`.
OPERATORS = ("conv3x3", "conv1x1", "maxpool3x3")

_SLOTS = MAX_VERTICES - 2
_OUTPUT = MAX_VERTICES - 1

#: Stands for the operation of a slot that the topology does not have.
_ABSENT = len(OPERATIONS)

#: Rows at a time: few enough to stay in the processor's cache.
_CHUNK = 4096


class Feature(NamedTuple):
    """One column."""

    name: str
    unit: str
    """Empty for counts and flags. A "width" is 128 channels of the first stack's vertices."""
    description: str


def _for_operations(name: str, unit: str, description: str) -> tuple[Feature, ...]:
    """One column for each operation, whose name replaces `{}`."""
    return tuple(Feature(name.format(op), unit, description.format(op)) for op in OPERATORS)


# -- cells as arrays ------------------------------------------------------------------------------


@dataclass(frozen=True)
class TopologyArrays:
    """All S topologies. Slot k is vertex k + 1; the input is vertex 0, the output vertex 6."""

    edge: NDArray[np.bool_]
    """(S, 7, 7) adjacency."""
    row: NDArray[np.int64]
    """(S,) first row that has the topology."""
    slots: NDArray[np.int64]
    """(S,) interior vertices."""
    channels: NDArray[np.int64]
    """(3, S, 5) channels of each slot in the three stacks, 0 past the last slot."""

    @property
    def live(self) -> NDArray[np.bool_]:
        """(S, 5) whether the topology has the slot."""
        return np.asarray(np.arange(_SLOTS) < self.slots[:, None])

    @property
    def inner(self) -> NDArray[np.bool_]:
        """(S, 5, 5) edges between slots."""
        return self.edge[:, 1:_OUTPUT, 1:_OUTPUT]

    @property
    def from_input(self) -> NDArray[np.bool_]:
        """(S, 5) slots that the input feeds, each through a projection."""
        return self.edge[:, 0, 1:_OUTPUT]

    @property
    def to_output(self) -> NDArray[np.bool_]:
        """(S, 5) slots that the output concatenates."""
        return self.edge[:, 1:_OUTPUT, _OUTPUT]

    @property
    def skip(self) -> NDArray[np.bool_]:
        """(S,) whether the input feeds the output, through a projection that is added."""
        return self.edge[:, 0, _OUTPUT]

    @property
    def width(self) -> NDArray[np.float64]:
        """(S, 5) channels of the first stack in units of the cell's output."""
        return np.asarray(self.channels[0] / STACKS[0][0])

    @property
    def additions(self) -> NDArray[np.int64]:
        """(S, 5) tensors added to make the slot's input: one less than its predecessors."""
        return np.asarray(np.maximum(self.edge[:, :, 1:_OUTPUT].sum(axis=1) - 1, 0))

    @property
    def reuses(self) -> NDArray[np.int64]:
        """(S, 5) gradients that the backward pass adds up: one less than the successors."""
        return np.asarray(np.maximum(self.edge[:, 1:_OUTPUT].sum(axis=2) - 1, 0))


@cache
def topology_arrays() -> TopologyArrays:
    """All topologies, made once in a process."""
    table = topologies()
    _, row = np.unique(table.row_topology, return_index=True)
    matrices, _ = Space().matrices(row)
    return TopologyArrays(
        edge=matrices.astype(bool),
        row=row.astype(np.int64),
        slots=table.vertices.astype(np.int64) - 2,
        channels=np.stack([channels(width) for width, _ in STACKS]),
    )


@cache
def _unpacked_operations() -> NDArray[np.uint8]:
    """(6, 243, 5) operation of each slot, by the number of slots and the packed operations."""
    number = np.arange(3**_SLOTS)
    out = np.full((_SLOTS + 1, len(number), _SLOTS), _ABSENT, dtype=np.uint8)
    for slots in range(_SLOTS + 1):
        for slot in range(slots):
            out[slots, :, slot] = number // 3 ** (slots - 1 - slot) % 3
    return out


def topology_and_operations(rows: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """(n,) topologies and (n, 5) operations of the slots of valid rows.

    Operations are indices in `OPERATORS`, 3 for slots that the topology does not have.
    """
    table = topologies()
    topology = table.row_topology[rows].astype(np.int64)
    return topology, _unpacked_operations()[topology_arrays().slots[topology], table.row_ops[rows]]


def vertices_of(rows: NDArray[Any]) -> NDArray[np.int64]:
    """(n,) vertices of the cells of valid rows, input and output among them."""
    return np.asarray(topology_arrays().slots[topologies().row_topology[rows]] + 2)


# -- sums over the layers of a cell ---------------------------------------------------------------

#: (S,) or (S, 5) numbers of all topologies.
Numbers = Callable[[TopologyArrays], NDArray[Any]]


@dataclass(frozen=True)
class LayerSum:
    """A feature that adds a number of the topology and a weighted number of every slot.

    The numbers are functions, so that describing the features enumerates no topologies.
    """

    feature: Feature
    of_topology: Numbers | None = None
    """Gives (S,)."""
    of_slots: Numbers | None = None
    """Gives (S, 5); slots that a topology does not have count 0."""
    weights: tuple[int, ...] = (1,) * len(OPERATIONS)
    """What the number of a slot is multiplied by, for each operation."""


def _of_topology(name: str, description: str, numbers: Numbers, unit: str = "") -> LayerSum:
    """A feature that does not depend on the operations; `numbers` gives (S,)."""
    return LayerSum(Feature(name, unit, description), of_topology=numbers)


def _of_operations(name: str, description: str, numbers: Numbers, unit: str = "") -> list[LayerSum]:
    """For each operation, the (S, 5) of `numbers` summed over the slots that have it."""
    return [
        LayerSum(feature, of_slots=numbers, weights=tuple(int(op == own) for op in range(3)))
        for own, feature in enumerate(_for_operations(name, unit, description))
    ]


@cache
def _sum_tables() -> tuple[Matrix, Matrix]:
    """What is added up for each of the F `_LAYER_SUMS`.

    Returns:
        (S, F) by the topology and (S, 5, 4, F) by the topology, slot and operation.
    """
    arrays = topology_arrays()
    live = arrays.live
    fixed = np.zeros((len(live), len(_LAYER_SUMS)), dtype=np.float32)
    by_op = np.zeros((*live.shape, len(OPERATIONS) + 1, len(_LAYER_SUMS)), dtype=np.float32)
    for column, each in enumerate(_LAYER_SUMS):
        if each.of_topology:
            fixed[:, column] = each.of_topology(arrays)
        if each.of_slots:
            per_slot = np.where(live, each.of_slots(arrays), 0)
            for op, weight in enumerate(each.weights):
                by_op[:, :, op, column] = weight * per_slot
    return fixed, by_op


# -- counts of layers, by operation, channels and place -------------------------------------------
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


def _having(arrays: TopologyArrays, widths: tuple[int, ...]) -> NDArray[np.bool_]:
    """(S, 5) whether a slot has these channels in the three stacks."""
    return np.asarray((np.moveaxis(arrays.channels, 0, -1) == widths).all(axis=-1))


def _by_channels(widths: tuple[int, int, int]) -> list[LayerSum]:
    at = "{}_{}_{}".format(*widths)
    words = "with {}, {}, {} channels in the three stacks".format(*widths)
    return [
        *_of_operations(f"{{}}_at_{at}", f"vertices {{}} {words}", lambda t: _having(t, widths)),
        _of_topology(
            f"projections_at_{at}",
            f"projections of the cell's input to vertices {words}",
            lambda t: (_having(t, widths) & t.from_input).sum(axis=1),
        ),
        _of_topology(
            f"additions_at_{at}",
            f"additions of tensors {words}",
            lambda t: (_having(t, widths) * t.additions).sum(axis=1),
        ),
    ]


def _truncations(arrays: TopologyArrays) -> NDArray[np.int64]:
    """(S,) edges whose source is wider than their target: always 43 channels to 42."""
    wide = arrays.channels[0]
    narrower = wide[:, :, None] > wide[:, None, :]
    return np.asarray((arrays.inner & narrower).sum(axis=(1, 2)))


_CHANNEL_COUNTS = tuple(count for widths in CHANNELS for count in _by_channels(widths))

_TOPOLOGY_COUNTS = (
    _of_topology("skip", "1 if an edge leads from the input to the output", lambda t: t.skip),
    _of_topology(
        "concatenated", "vertices that the output concatenates", lambda t: t.to_output.sum(axis=1)
    ),
    _of_topology(
        "no_vertices", "1 if the cell is one projection and no more", lambda t: t.slots == 0
    ),
    _of_topology("truncations", "edges that drop a channel of their source", _truncations),
    _of_topology("edges", "edges", lambda t: t.edge.sum(axis=(1, 2))),
    _of_topology("vertices", "vertices with an operation", lambda t: t.slots),
    _of_topology("projections", "projections to vertices", lambda t: t.from_input.sum(axis=1)),
    _of_topology("longest_vertices", "most vertices on a path", lambda t: cell_depth(t.row)),
)

_PLACE_COUNTS = (
    *_of_operations("{}", "vertices {}", lambda t: t.live),
    *_of_operations("{}_projected", "vertices {} that the input feeds", lambda t: t.from_input),
    *_of_operations("{}_concatenated", "vertices {} that feed the output", lambda t: t.to_output),
    *_of_operations("{}_additions", "additions that make inputs of {}", lambda t: t.additions),
    *_of_operations(
        "{}_unaligned",
        "vertices {} whose channels are no multiple of 8 in the first stack",
        # Vectorised kernels run best on multiples of eight.
        lambda t: t.channels[0] % 8 > 0,
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
_STEM = STACKS[0][0]
_STACKS = range(len(STACKS))

#: Taps of each operation's kernel; 0 where the operation is not counted.
Taps = tuple[int, int, int]
_CONV3X3, _CONV1X1, _BOTH = (9, 0, 0), (0, 1, 0), (9, 1, 0)


def _padded(arrays: TopologyArrays, stack: int, tile: int) -> NDArray[np.int64]:
    """(S, 5) channels rounded up to a multiple of `tile`."""
    return np.asarray(-(-arrays.channels[stack] // tile) * tile)


def _squares(stacks: Iterable[int], tile: int = 1) -> Numbers:
    """(S, 5) channels squared times pixels of a stack's three cells, in 1e9, over stacks."""

    def numbers(arrays: TopologyArrays) -> NDArray[np.float64]:
        total = np.zeros(arrays.channels.shape[1:])
        for stack in stacks:
            pixels = STACKS[stack][1] ** 2
            total += _padded(arrays, stack, tile) ** 2 * (_CELLS * pixels * _GIGA)
        return total

    return numbers


def _projections(stacks: Iterable[int], tile: int = 1) -> Numbers:
    """(S,) multiply-adds of the projections of a stack's three cells, in 1e9, over stacks."""

    def numbers(arrays: TopologyArrays) -> NDArray[np.float64]:
        total = np.zeros(len(arrays.slots))
        for stack in stacks:
            width, side = STACKS[stack]
            below = STACKS[stack - 1][0] if stack else _STEM
            projected = (_padded(arrays, stack, tile) * arrays.from_input).sum(axis=1)
            inputs = below + (_CELLS - 1) * width
            total += (projected + arrays.skip * width) * (inputs * side**2 * _GIGA)
        return total

    return numbers


def _work(
    name: str, description: str, projections: Numbers | None, squares: Numbers | None, taps: Taps
) -> LayerSum:
    return LayerSum(Feature(name, "1e9 multiply-adds", description), projections, squares, taps)


def _by_resolution(stack: int) -> list[LayerSum]:
    side = STACKS[stack][1]
    projections, squares = _projections([stack]), _squares([stack])
    return [
        _work(
            f"{layers}_multiply_adds_{side}",
            f"multiply-adds of {words} on {side} x {side} pixels",
            fixed,
            by_slot,
            taps,
        )
        for layers, words, fixed, by_slot, taps in (
            ("conv3x3", "vertices conv3x3", None, squares, _CONV3X3),
            ("conv1x1", "vertices conv1x1", None, squares, _CONV1X1),
            ("projection", "all projections", projections, None, _BOTH),
        )
    ]


_MULTIPLY_ADDS = (
    *(each for stack in _STACKS for each in _by_resolution(stack)),
    *(
        _work(name, description, _projections(_STACKS, tile), _squares(_STACKS, tile), _BOTH)
        for name, tile, description in (
            ("multiply_adds", 1, "multiply-adds of the nine cells"),
            (
                "multiply_adds_tile_32",
                32,
                "the same with the channels of vertices rounded up to multiples of 32",
            ),
        )
    ),
    _work(
        "conv3x3_multiply_adds_tile_64",
        "multiply-adds of vertices conv3x3 with channels rounded up to multiples of 64",
        None,
        _squares(_STACKS, 64),
        _CONV3X3,
    ),
)


# -- paths from a cell's input to its output ------------------------------------------------------
#
# The longest path bounds how parallel a cell can run; the shortest decides how easily gradients
# reach the input, and a path without convolutions is one along which nothing is learnt. The cost of
# a path is the sum over its vertices, found vertex by vertex in topological order. Arrays have the
# vertices first and the cells last, so that a step is one operation on a long vector.

Floats = NDArray[np.floating[Any]]


def _missing(edge: NDArray[Any]) -> Matrix:
    """(7, 7, n) infinity where there is no edge, 0 where there is one."""
    return np.where(edge > 0, 0, np.inf).astype(np.float32)


@cache
def _missing_of_topologies() -> Matrix:
    """(7, 7, S) `_missing` of all topologies."""
    return _missing(np.moveaxis(topology_arrays().edge, 0, -1))


def _longest(missing: Matrix, cost: Sequence[Floats]) -> Floats:
    """(n,) largest cost of a path.

    Args:
        missing: (7, 7, n) from `_missing`.
        cost: five (n,) costs of the slots.
    """
    best: list[Floats] = [np.zeros(missing.shape[-1], dtype=np.float32)]
    for v in range(1, MAX_VERTICES):
        most = best[0] - missing[0, v]
        for u in range(1, v):
            most = np.maximum(most, best[u] - missing[u, v])
        best.append(most + cost[v - 1] if v < _OUTPUT else most)
    return best[_OUTPUT]


def _paths_without(edge: Matrix, cost: Sequence[Floats]) -> Floats:
    """(n,) number of paths of cost 0; `edge` is (7, 7, n) of 0 and 1."""
    paths: list[Floats] = [np.ones(edge.shape[-1], dtype=np.float32)]
    for v in range(1, MAX_VERTICES):
        here = edge[0, v] * paths[0]
        for u in range(1, v):
            here = here + edge[u, v] * paths[u]
        paths.append(here * (cost[v - 1] == 0) if v < _OUTPUT else here)
    return paths[_OUTPUT]


def _path_counts(edge: Matrix) -> tuple[Matrix, Matrix]:
    """(7, n) paths from the input to each vertex, and from each vertex to the output."""
    ahead = np.zeros((MAX_VERTICES, edge.shape[-1]), dtype=np.float32)
    behind = np.zeros_like(ahead)
    ahead[0] = behind[_OUTPUT] = 1
    for v in range(1, MAX_VERTICES):
        ahead[v] = (ahead[:v] * edge[:v, v]).sum(axis=0)
    for v in range(_OUTPUT - 1, -1, -1):
        behind[v] = (behind[v + 1 :] * edge[v, v + 1 :]).sum(axis=0)
    return ahead, behind


def _distances() -> list[Matrix]:
    """(5, S) edges between an end and each slot, one array for each of `_DISTANCE_WORDS`.

    They are 0 for slots that a topology does not have.
    """
    missing = _missing_of_topologies()
    turned = missing[::-1, ::-1].transpose(1, 0, 2)  # every edge reversed, from output to input
    live = topology_arrays().live.T
    out = []
    for table, order in ((missing, 1), (turned, -1)):
        for sign in (-1, 1):  # nearest, farthest
            reach = np.full(missing.shape[1:], -np.inf, dtype=np.float32)
            reach[0] = 0
            for v in range(1, MAX_VERTICES):
                reach[v] = (reach[:v] - table[:v, v] + sign).max(axis=0)
            slots = sign * reach[1:_OUTPUT][::order]
            out.append(np.where(live, slots, 0).astype(np.float32))
    return out


# -- memory traffic -------------------------------------------------------------------------------
#
# Pools, batch normalisations and additions are bound by memory, so their time goes with the
# elements they move. The unit is the width: channels of the first stack's vertices over the 128 of
# the cell's output. One width is 128 x 32 x 32 elements per image and cell in the first stack, half
# and a quarter of that in the others (up to the rounding of channels), as in
# `network.activation_elements`.

_TRAFFIC = (
    *(
        each
        for name, description, numbers in (
            ("{}_width", "channels that vertices {} write", lambda t: t.width),
            (
                "{}_additions_width",
                "channels added to make inputs of {}",
                lambda t: t.additions * t.width,
            ),
            (
                "{}_reuses_width",
                "channels of vertices {} whose gradients are added up over several successors",
                lambda t: t.reuses * t.width,
            ),
        )
        for each in _of_operations(name, description, numbers, "width")
    ),
    # The squares of the convolutions' widths are their multiply-adds.
    LayerSum(
        Feature("maxpool3x3_width_squared", "width^2", "sum of squared widths of pools"),
        of_slots=lambda t: t.width**2,
        weights=(0, 0, 1),
    ),
    *(
        _of_topology(name, description, numbers, "width")
        for name, description, numbers in (
            ("vertices_width", "channels of all vertices", lambda t: t.width.sum(axis=1)),
            (
                "projections_width",
                "channels that projections to vertices write",
                lambda t: (t.width * t.from_input).sum(axis=1),
            ),
            (
                "additions_width",
                "channels that additions write",
                lambda t: (t.width * t.additions).sum(axis=1),
            ),
            (
                "reuses_width",
                "channels whose gradients are added up over several successors",
                lambda t: (t.width * t.reuses).sum(axis=1),
            ),
            (
                "edges_width",
                "channels that pass the edges between vertices",
                lambda t: (t.inner * t.width[:, None, :]).sum(axis=(1, 2)),
            ),
            (
                "longest_width",
                "largest sum of channels over a path: the least that runs one after another",
                lambda t: _longest(_missing_of_topologies(), list(t.width.T)),
            ),
        )
    ),
)


# -- costs that are no sums -----------------------------------------------------------------------
#
# Relative errors are what matters of energy and time, so the models fit their logarithms: a
# logarithm of a total is then a linear term. The offsets keep the least cells finite and stand for
# what every network has (stem, dense layer, launches); they are round figures, not fitted.

_PARAMETERS_OFFSET = 0.3

#: Logarithm's name -> (offset, what its sum is, columns of the sums that are added).
_LOGARITHMS: dict[str, tuple[float, str, tuple[str, ...]]] = {
    "log_multiply_adds": (0.05, "1e9 multiply-adds", ("multiply_adds",)),
    "log_multiply_adds_tile_32": (
        0.05,
        "1e9 multiply-adds on tiles of 32 channels",
        ("multiply_adds_tile_32",),
    ),
    "log_vertices_width": (0.2, "widths of all vertices", ("vertices_width",)),
    "log_conv3x3_multiply_adds": (
        0.1,
        "1e9 multiply-adds of vertices conv3x3",
        tuple(f"conv3x3_multiply_adds_{side}" for _, side in STACKS),
    ),
    "log_conv3x3_width": (0.2, "widths of vertices conv3x3", ("conv3x3_width",)),
    "log_traffic": (
        0.3,
        "widths that vertices, projections and additions write",
        (*(f"{op}_width" for op in OPERATORS), "projections_width", "skip", "additions_width"),
    ),
}

_CURVES: tuple[Feature, ...] = (
    *(
        Feature(name, "", f"logarithm of {offset} + {what}")
        for name, (offset, what, _) in _LOGARITHMS.items()
    ),
    Feature("log_parameters", "", f"logarithm of {_PARAMETERS_OFFSET} + 1e6 trainable parameters"),
    Feature(
        "longest_work", "width^2", "largest sum over a path of taps times squared width of vertices"
    ),
    Feature("longest_conv3x3", "", "most vertices conv3x3 on a path"),
)

#: Taps of the kernel of each operation, 0 for pools and slots that are not there.
_TAPS = np.array([9, 1, 0, 0], dtype=np.float32)
_IS_CONV3X3 = np.array([1, 0, 0, 0], dtype=np.float32)


def _curves(
    rows: Rows, topology: Rows, op: NDArray[np.uint8], sums: dict[str, Matrix]
) -> NDArray[np.float32]:
    """(n, len(_CURVES)) of rows, from the columns of their layer sums by name."""
    columns = []
    for offset, _, names in _LOGARITHMS.values():
        total = sums[names[0]]
        for name in names[1:]:
            total = total + sums[name]
        columns.append(np.log(total + np.float32(offset)))
    columns.append(np.log(parameters(rows) * 1e-6 + _PARAMETERS_OFFSET))
    missing = np.take(_missing_of_topologies(), topology, axis=-1)
    squared = (topology_arrays().width ** 2).astype(np.float32)
    work = [_TAPS[op[:, slot]] * squared[topology, slot] for slot in range(_SLOTS)]
    columns.append(_longest(missing, work))
    columns.append(_longest(missing, [_IS_CONV3X3[op[:, slot]] for slot in range(_SLOTS)]))
    return np.stack(columns, axis=1).astype(np.float32)


# -- which operations follow which ----------------------------------------------------------------
#
# Accuracy depends on what is composed with what, as n-grams of text do on the order of its words:
# a convolution after a pool is another function than a pool after a convolution, and the vertices
# that the output concatenates are the features the next cell sees. All counts are sums over
# vertices, so that they do not depend on how the slots are numbered.

_PAIRS = tuple((a, b) for a in OPERATORS for b in OPERATORS)

_CHAINS: tuple[Feature, ...] = (
    *(Feature(f"{a}_{b}", "", f"edges from {a} to {b}") for a, b in _PAIRS),
    *(
        Feature(f"{a}_{middle}_{b}", "", f"paths of two edges {a}, {middle}, {b}")
        for middle in OPERATORS
        for a, b in _PAIRS
    ),
    *(Feature(f"input_{a}_{b}", "", f"paths from the input to {a}, then {b}") for a, b in _PAIRS),
    *(Feature(f"{a}_{b}_output", "", f"paths from {a} to {b}, then the output") for a, b in _PAIRS),
    *_for_operations("input_{}_output", "", "vertices {} between the input and the output"),
    *_for_operations("{}_output_width", "width", "channels of the output that vertices {} fill"),
)

#: In the order of `_distances`.
_DISTANCE_WORDS = {
    "nearest_input": "shortest way from the input",
    "farthest_input": "longest way from the input",
    "nearest_output": "shortest way to the output",
    "farthest_output": "longest way to the output",
}

_DISTANCES: tuple[Feature, ...] = tuple(
    feature
    for key, words in _DISTANCE_WORDS.items()
    for feature in (
        *_for_operations(f"{{}}_{key}_sum", "edges", f"sum over vertices {{}} of the {words}"),
        *_for_operations(f"{{}}_{key}_most", "edges", f"most over vertices {{}} of the {words}"),
    )
)


def _chains(edge: Matrix, one: Matrix, width: Matrix) -> list[Matrix]:
    """Blocks of (k, n) columns in the order of `_CHAINS`.

    Args:
        edge: (7, 7, n) adjacency.
        one: (5, 3, n) is 1 where the slot has the operation.
        width: (5, n) widths of the slots.
    """
    n = edge.shape[-1]
    between = len(_PAIRS)
    pairs = np.zeros((3, 3, n), dtype=np.float32)
    first, last = np.zeros_like(pairs), np.zeros_like(pairs)
    triples = np.zeros((3, between, n), dtype=np.float32)
    alone = np.zeros((3, n), dtype=np.float32)
    share = np.zeros_like(alone)
    for slot in range(_SLOTS):
        v = slot + 1
        own, from_input, to_output = one[slot], edge[0, v], edge[v, -1]
        after = np.zeros((3, n), dtype=np.float32)
        after_last, before = np.zeros_like(after), np.zeros_like(after)
        for other in range(slot + 1, _SLOTS):
            there = edge[v, other + 1] * one[other]
            after += there
            after_last += there * edge[other + 1, -1]
        for other in range(slot):
            before += edge[other + 1, v] * one[other]
        both = own[:, None] * after
        pairs += both
        first += both * from_input
        last += own[:, None] * after_last
        if 0 < slot < _SLOTS - 1:
            around = (before[:, None] * after).reshape(between, n)
            triples += own[:, None] * around
        alone += own * (from_input * to_output)
        share += own * (width[slot] * to_output)
    blocks = (pairs, triples, first, last)
    return [*(block.reshape(-1, n) for block in blocks), alone, share]


# -- operations along the paths: most, least, mean, and paths without them ------------------------

_KIND_WORDS = {
    "most": "most {} on a path",
    "least": "least {} on a path",
    "mean": "{} on a path, mean over all paths",
    "without": "paths without {}",
}

#: Name -> (cost of each operation, unit, words, which kinds of `_KIND_WORDS` are columns).
#:
#: Left out is what `cost_features` has: the most conv3x3 (`longest_conv3x3`), the most vertices
#: (`longest_vertices`), and the paths without a vertex (`skip`).
_COSTS: dict[str, tuple[tuple[int, int, int], str, str, tuple[str, ...]]] = {
    "conv3x3": ((1, 0, 0), "", "vertices conv3x3", ("least", "mean", "without")),
    "convolution": ((1, 1, 0), "", "convolutions", tuple(_KIND_WORDS)),
    "maxpool3x3": ((0, 0, 1), "", "vertices maxpool3x3", tuple(_KIND_WORDS)),
    "conv1x1": ((0, 1, 0), "", "vertices conv1x1", tuple(_KIND_WORDS)),
    # Every 3 x 3 window widens the receptive field by two pixels.
    "reach": ((2, 0, 2), "pixels", "growth of the receptive field", tuple(_KIND_WORDS)),
    "vertex": ((1, 1, 1), "", "vertices", ("least", "mean")),
}

_PATH_COSTS: tuple[Feature, ...] = (
    Feature("paths", "", "paths from the input to the output"),
    Feature("log_paths", "", "logarithm of the number of paths"),
    *(
        Feature(f"path_{name}_{kind}", "" if kind == "without" else unit, text.format(words))
        for name, (_, unit, words, kinds) in _COSTS.items()
        for kind, text in _KIND_WORDS.items()
        if kind in kinds
    ),
)


def _path_costs(edge: Matrix, one: Matrix, ahead: Matrix, behind: Matrix) -> list[Matrix]:
    """Blocks of (1, n) in the order of `_PATH_COSTS`.

    Args:
        edge: (7, 7, n) adjacency.
        one: (5, 3, n) as for `_chains`.
        ahead: (7, n) paths from the input to each vertex.
        behind: (7, n) paths from each vertex to the output.
    """
    paths = behind[0]
    # A vertex lies on (paths to it) x (paths from it) paths, so means need no path of their own.
    mean = (one * (ahead * behind)[1:-1, None]).sum(axis=0) / paths
    missing = _missing(edge)
    out = [paths, np.log(paths)]
    for weights, _, _, kinds in _COSTS.values():
        weight = np.array(weights, dtype=np.float32)
        cost = list((one * weight[:, None]).sum(axis=1))
        for kind in kinds:
            if kind == "most":
                out.append(_longest(missing, cost))
            elif kind == "least":
                out.append(-_longest(missing, [-c for c in cost]))
            elif kind == "mean":
                out.append((mean * weight[:, None]).sum(axis=0))
            else:
                out.append(_paths_without(edge, cost))
    return [column[None] for column in out]


# -- all of them ----------------------------------------------------------------------------------

_LAYER_SUMS = (*_CHANNEL_COUNTS, *_TOPOLOGY_COUNTS, *_PLACE_COUNTS, *_TRAFFIC, *_MULTIPLY_ADDS)

#: Leading columns of `features` that `cost_features` has.
COSTS = len(_LAYER_SUMS) + len(_CURVES)

#: Name, unit and description of every column of `features`, in order.
FEATURES: tuple[Feature, ...] = (
    *(each.feature for each in _LAYER_SUMS),
    *_CURVES,
    *_CHAINS,
    *_DISTANCES,
    *_PATH_COSTS,
)


def cost_features(rows: ArrayLike) -> Matrix:
    """(n, k) costs of the networks of (n,) rows: the first k of `FEATURES`."""
    return _by_chunks(rows, 0, COSTS)


def graph_features(rows: ArrayLike) -> Matrix:
    """(n, k) how the operations of (n,) rows are composed: the last k of `FEATURES`."""
    return _by_chunks(rows, COSTS, len(FEATURES))


def features(rows: ArrayLike) -> Matrix:
    """(n, len(FEATURES)) `cost_features` and `graph_features` side by side.

    Working memory does not grow with n; the result takes four bytes for each entry, so ask for
    the whole space in parts.

    Raises:
        UnknownCellError: a row is not one of the seven-vertex space.
    """
    return _by_chunks(rows, 0, len(FEATURES))


def _by_chunks(rows: ArrayLike, first: int, last: int) -> Matrix:
    """(n, last - first) columns of `FEATURES`; the costs and the rest are whole or left out."""
    cell_depth(rows)  # raises UnknownCellError, as every function of `network` does
    valid = np.atleast_1d(np.asarray(rows)).astype(np.int64).ravel()
    out = np.empty((len(valid), last - first), dtype=np.float32)
    for start in range(0, len(valid), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        topology, op = topology_and_operations(valid[chunk])
        if first < COSTS:
            _write_costs(valid[chunk], topology, op, out[chunk, :COSTS])
        if last > COSTS:
            _write_graph(topology, op, out[chunk, COSTS - first :])
    return out


def _write_costs(rows: Rows, topology: Rows, op: NDArray[np.uint8], out: Matrix) -> None:
    fixed, by_op = _sum_tables()
    sums = fixed[topology]
    for slot in range(_SLOTS):
        sums += by_op[topology, slot, op[:, slot]]
    out[:, : len(_LAYER_SUMS)] = sums
    named = {each.feature.name: sums[:, k] for k, each in enumerate(_LAYER_SUMS)}
    out[:, len(_LAYER_SUMS) :] = _curves(rows, topology, op, named)


def _write_graph(topology: Rows, op: NDArray[np.uint8], out: Matrix) -> None:
    edge, width, ahead, behind, *distances = (
        np.take(table, topology, axis=-1) for table in _graph_tables()
    )
    one = (op.T[:, None] == np.arange(len(OPERATORS))[:, None]).astype(np.float32)
    blocks = _chains(edge, one, width)
    for distance in distances:
        each_slot = one * distance[:, None]
        blocks += [each_slot.sum(axis=0), each_slot.max(axis=0)]
    out[:] = np.concatenate(blocks + _path_costs(edge, one, ahead, behind)).T


@cache
def _graph_tables() -> list[Matrix]:
    """Edges (7, 7, S), widths (5, S), two path counts (7, S), then the `_distances`."""
    arrays = topology_arrays()
    edge = np.ascontiguousarray(np.moveaxis(arrays.edge, 0, -1), dtype=np.float32)
    width = np.ascontiguousarray(arrays.width.T, dtype=np.float32)
    return [edge, width, *_path_counts(edge), *_distances()]

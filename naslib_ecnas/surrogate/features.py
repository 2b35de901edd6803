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
    "ABSENT",
    "BY_CHANNELS",
    "BY_PLACE",
    "CHAINS",
    "CHANNELS",
    "COSTS",
    "CURVES",
    "DISTANCES",
    "FEATURES",
    "OF_GRAPH",
    "OPERATORS",
    "PATH_COSTS",
    "SLOTS",
    "TRAFFIC",
    "WORK",
    "Distances",
    "Feature",
    "Floats",
    "Shapes",
    "Sums",
    "Term",
    "Value",
    "barriers",
    "blocked",
    "by_operator",
    "chains",
    "cost_features",
    "counts",
    "curves",
    "distances",
    "each",
    "features",
    "free",
    "graph_features",
    "labels",
    "longest",
    "longest_of_topologies",
    "of_topology",
    "path_costs",
    "shapes",
    "shortest",
    "stacked",
    "summed",
]


# What a column of features is: its name, unit and meaning.


#: Short names of the operations in the order of `topologies.OPERATIONS`.
OPERATORS = ("conv3x3", "conv1x1", "maxpool3x3")


class Feature(NamedTuple):
    """One column."""

    name: str
    unit: str
    """Empty for counts and flags. A "width" is 128 channels of the first stack's vertices."""
    description: str


def each(name: str, unit: str, description: str) -> tuple[Feature, ...]:
    """One column for each operation, whose name replaces `{}`."""
    return tuple(Feature(name.format(op), unit, description.format(op)) for op in OPERATORS)


# Cells taken apart into arrays: the topologies' edges and channels, the rows' operations.


SLOTS = MAX_VERTICES - 2

#: Label of a slot that the topology does not have.
ABSENT = len(OPERATIONS)

_OUTPUT = MAX_VERTICES - 1


@dataclass(frozen=True)
class Shapes:
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
        return np.asarray(np.arange(SLOTS) < self.slots[:, None])

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
        """(S, 5) tensors added to make the slot's input: its predecessors but one."""
        return np.asarray(np.maximum(self.edge[:, :, 1:_OUTPUT].sum(axis=1) - 1, 0))

    @property
    def reuses(self) -> NDArray[np.int64]:
        """(S, 5) successors but one: the gradients that the backward pass adds up."""
        return np.asarray(np.maximum(self.edge[:, 1:_OUTPUT].sum(axis=2) - 1, 0))


@cache
def shapes() -> Shapes:
    """All topologies, once in a process."""
    table = topologies()
    _, row = np.unique(table.row_topology, return_index=True)
    matrices, _ = Space().matrices(row)
    return Shapes(
        edge=matrices.astype(bool),
        row=row.astype(np.int64),
        slots=table.vertices.astype(np.int64) - 2,
        channels=np.stack([channels(width) for width, _ in STACKS]),
    )


@cache
def _digits() -> NDArray[np.uint8]:
    """(6, 243, 5) labels of the slots, by number of slots and packed operations."""
    number = np.arange(3**SLOTS)
    out = np.full((SLOTS + 1, len(number), SLOTS), ABSENT, dtype=np.uint8)
    for slots in range(SLOTS + 1):
        for slot in range(slots):
            out[slots, :, slot] = number // 3 ** (slots - 1 - slot) % 3
    return out


def labels(rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Topologies (n,) and labels of the slots (n, 5), `ABSENT` past the last, of valid rows."""
    table = topologies()
    topology = table.row_topology[rows].astype(np.int64)
    return topology, _digits()[shapes().slots[topology], table.row_ops[rows]]


# Features that are sums over a cell's layers.
#
# Training on a GPU runs one layer after another, so that its time and energy are nearly a sum over
# layers: each vertex contributes by its operation and its place, the projections and additions by
# the topology alone. Such a feature is a table of the topologies, and a cell costs six look-ups.


#: (S,) or (S, 5) numbers of all topologies.
Value = Callable[[Shapes], NDArray[Any]]

_OPERATORS = range(len(OPERATIONS))


@dataclass(frozen=True)
class Term:
    """One feature: a number of the topology plus, for each slot, weight x number.

    Values are functions, so that describing the features enumerates no topologies.
    """

    feature: Feature
    of_topology: Value | None = None
    """Gives (S,)."""
    of_slots: Value | None = None
    """Gives (S, 5); slots that are absent count nothing."""
    weights: tuple[int, ...] = (1,) * len(OPERATIONS)
    """How often each operation counts its slot's number."""


@dataclass(frozen=True)
class Sums:
    """Several terms in one table, for look-ups of all of them at once."""

    fixed: NDArray[np.float32]
    """(S, F)"""
    by_op: NDArray[np.float32]
    """(S, 5, 4, F), the last label for slots that are absent."""

    def of(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """(n, F) sums of valid rows."""
        topology, label = labels(rows)
        out = self.fixed[topology]
        for slot in range(SLOTS):
            out += self.by_op[topology, slot, label[:, slot]]
        return out


def of_topology(name: str, unit: str, description: str, value: Value) -> Term:
    """A term that the operations do not change; `value` gives (S,)."""
    return Term(Feature(name, unit, description), of_topology=value)


def by_operator(name: str, unit: str, description: str, value: Value) -> list[Term]:
    """One term for each operation: the (S, 5) of `value` summed over the slots that have it."""
    return [
        Term(feature, of_slots=value, weights=tuple(int(op == label) for op in _OPERATORS))
        for label, feature in enumerate(each(name, unit, description))
    ]


def stacked(terms: Sequence[Term]) -> Sums:
    """The terms in one table, in their order."""
    shape = shapes()
    live = shape.live
    fixed = np.zeros((len(live), len(terms)), dtype=np.float32)
    by_op = np.zeros((*live.shape, len(OPERATIONS) + 1, len(terms)), dtype=np.float32)
    for column, term in enumerate(terms):
        if term.of_topology:
            fixed[:, column] = term.of_topology(shape)
        if term.of_slots:
            per_slot = np.where(live, term.of_slots(shape), 0)
            for label, weight in enumerate(term.weights):
                by_op[:, :, label, column] = weight * per_slot
    return Sums(fixed, by_op)


# How many layers of each kind a cell has: by operation, channels and place.
#
# The time of a layer depends on its operation and its channels but not smoothly, since libraries
# choose among kernels. The channels take six values in each stack (`compute_vertex_channels` of
# google-research/nasbench's `model_builder.py`, here `network.channels`), so a count for each
# operation and value lets a linear model learn any time for each. The counts by place say which
# layers wait for additions, projections or the concatenation.


#: Channels of a vertex in the three stacks: all that occur, widest first.
CHANNELS = (
    (128, 256, 512),
    (64, 128, 256),
    (43, 86, 171),
    (43, 85, 171),
    (42, 85, 170),
    (32, 64, 128),
)

#: Vectorised kernels run best on channels in multiples of eight.
_ALIGNED = 8


def _having(shape: Shapes, widths: tuple[int, ...]) -> NDArray[np.bool_]:
    """(S, 5) whether a slot has these channels in the three stacks."""
    return np.asarray((np.moveaxis(shape.channels, 0, -1) == widths).all(axis=-1))


def _by_channels(widths: tuple[int, int, int]) -> list[Term]:
    at = "{}_{}_{}".format(*widths)
    words = "with {}, {}, {} channels in the three stacks".format(*widths)
    return [
        *by_operator(f"{{}}_at_{at}", "", f"vertices {{}} {words}", lambda s: _having(s, widths)),
        of_topology(
            f"projections_at_{at}",
            "",
            f"projections of the cell's input to vertices {words}",
            lambda s: (_having(s, widths) & s.from_input).sum(axis=1),
        ),
        of_topology(
            f"additions_at_{at}",
            "",
            f"additions of tensors {words}",
            lambda s: (_having(s, widths) * s.additions).sum(axis=1),
        ),
    ]


def _truncations(shape: Shapes) -> NDArray[np.int64]:
    """(S,) edges whose source is wider than their target.

    In the whole space these lead from 43 channels to 42, so how much is cut off and how much is
    kept would be this count again.
    """
    wide = shape.channels[0]
    narrower = wide[:, :, None] > wide[:, None, :]
    return np.asarray((shape.inner & narrower).sum(axis=(1, 2)))


#: Layers by operation and channels.
BY_CHANNELS: tuple[Term, ...] = tuple(term for widths in CHANNELS for term in _by_channels(widths))

#: Counts that the topology alone decides.
OF_GRAPH: tuple[Term, ...] = (
    of_topology("skip", "", "1 if an edge leads from the input to the output", lambda s: s.skip),
    of_topology(
        "concatenated",
        "",
        "vertices that the output concatenates",
        lambda s: s.to_output.sum(axis=1),
    ),
    of_topology(
        "no_vertices", "", "1 if the cell is one projection and no more", lambda s: s.slots == 0
    ),
    of_topology("truncations", "", "edges that drop a channel of their source", _truncations),
    of_topology("edges", "", "edges", lambda s: s.edge.sum(axis=(1, 2))),
    of_topology("vertices", "", "vertices with an operation", lambda s: s.slots),
    of_topology("projections", "", "projections to vertices", lambda s: s.from_input.sum(axis=1)),
    of_topology("longest_vertices", "", "most vertices on a path", lambda s: cell_depth(s.row)),
)

#: Layers by operation and neighbours.
BY_PLACE: tuple[Term, ...] = (
    *by_operator("{}", "", "vertices {}", lambda s: s.live),
    *by_operator("{}_projected", "", "vertices {} that the input feeds", lambda s: s.from_input),
    *by_operator("{}_concatenated", "", "vertices {} that feed the output", lambda s: s.to_output),
    *by_operator("{}_additions", "", "additions that make inputs of {}", lambda s: s.additions),
    *by_operator(
        "{}_unaligned",
        "",
        f"vertices {{}} whose channels are no multiple of {_ALIGNED} in the first stack",
        lambda s: s.channels[0] % _ALIGNED > 0,
    ),
)


# Multiply-adds of the cells, by operation and resolution, exact and as kernels pad them.
#
# A convolution of side k from c to c channels on s x s pixels takes k^2 c^2 s^2 multiply-adds; a
# projection is a 1 x 1 convolution from the cell's input, whose first cell of a stack has the
# channels of the stack below (`model_builder.py` of google-research/nasbench). Each stack has three
# cells. The stem and the dense layer are the same for all and are left out, so the exact sums are
# `network.multiply_adds` less a constant. Matrix kernels work on tiles, so a convolution of 43
# channels costs about as much as one of 64: the padded sums round channels up to the tile.


_GIGA = 1e-9

_UNIT = "1e9 multiply-adds"

_STEM = STACKS[0][0]

_CELLS = 3

_STACKS = range(len(STACKS))

#: Taps of each operation's kernel.
_CONV3X3, _CONV1X1, _BOTH = (9, 0, 0), (0, 1, 0), (9, 1, 0)


def _padded(shape: Shapes, stack: int, tile: int) -> NDArray[np.int64]:
    """(S, 5) channels rounded up to a multiple of `tile`."""
    return np.asarray(-(-shape.channels[stack] // tile) * tile)


def _squares(stacks: Iterable[int], tile: int = 1) -> Value:
    """(S, 5) channels squared times pixels of a stack's three cells, in 1e9, over stacks."""

    def value(shape: Shapes) -> NDArray[np.float64]:
        total = np.zeros(shape.channels.shape[1:])
        for stack in stacks:
            pixels = STACKS[stack][1] ** 2
            total += _padded(shape, stack, tile) ** 2 * (_CELLS * pixels * _GIGA)
        return total

    return value


def _projections(stacks: Iterable[int], tile: int = 1) -> Value:
    """(S,) multiply-adds of the projections of a stack's three cells, in 1e9, over stacks."""

    def value(shape: Shapes) -> NDArray[np.float64]:
        total = np.zeros(len(shape.slots))
        for stack in stacks:
            width, side = STACKS[stack]
            below = STACKS[stack - 1][0] if stack else _STEM
            projected = (_padded(shape, stack, tile) * shape.from_input).sum(axis=1)
            inputs = below + (_CELLS - 1) * width
            total += (projected + shape.skip * width) * (inputs * side**2 * _GIGA)
        return total

    return value


def _by_resolution(stack: int) -> list[Term]:
    side = STACKS[stack][1]
    pixels = f"on {side} x {side} pixels"
    return [
        *(
            Term(
                Feature(
                    f"{op}_multiply_adds_{side}", _UNIT, f"multiply-adds of vertices {op} {pixels}"
                ),
                of_slots=_squares([stack]),
                weights=taps,
            )
            for op, taps in zip(OPERATORS, (_CONV3X3, _CONV1X1), strict=False)
        ),
        Term(
            Feature(
                f"projection_multiply_adds_{side}",
                _UNIT,
                f"multiply-adds of all projections {pixels}",
            ),
            of_topology=_projections([stack]),
        ),
    ]


WORK: tuple[Term, ...] = (
    *(term for stack in _STACKS for term in _by_resolution(stack)),
    Term(
        Feature("multiply_adds", _UNIT, "multiply-adds of the nine cells"),
        _projections(_STACKS),
        _squares(_STACKS),
        _BOTH,
    ),
    Term(
        Feature(
            "multiply_adds_tile_32",
            _UNIT,
            "the same with the channels of vertices rounded up to multiples of 32",
        ),
        _projections(_STACKS, 32),
        _squares(_STACKS, 32),
        _BOTH,
    ),
    Term(
        Feature(
            "conv3x3_multiply_adds_tile_64",
            _UNIT,
            "multiply-adds of vertices conv3x3 with channels rounded up to multiples of 64",
        ),
        of_slots=_squares(_STACKS, 64),
        weights=_CONV3X3,
    ),
)


# Paths from a cell's input to its output: how many, and the extremes of costs along them.
#
# The longest path bounds how parallel a cell can run; the shortest decides how easily gradients
# reach the input, and a path without convolutions is one along which nothing is learnt. Costs are
# sums over a path's vertices, found vertex by vertex in topological order.


Floats = NDArray[np.floating[Any]]

#: Vertices last to first in the tables of topologies, so that a step is one long vector.
Distances = dict[str, NDArray[np.float32]]


def blocked(edge: NDArray[Any]) -> NDArray[np.float32]:
    """(7, 7, n) infinite where there is no edge, 0 where there is one."""
    return np.where(edge > 0, 0, np.inf).astype(np.float32)


@cache
def barriers() -> NDArray[np.float32]:
    """(7, 7, S) `blocked` of all topologies."""
    return blocked(np.moveaxis(shapes().edge, 0, -1))


def longest(barred: NDArray[np.float32], cost: Sequence[Floats]) -> Floats:
    """(n,) largest cost of a path.

    Args:
        barred: (7, 7, n) from `blocked`.
        cost: five (n,) costs of the slots.
    """
    best: list[Floats] = [np.zeros(barred.shape[-1], dtype=np.float32)]
    for v in range(1, MAX_VERTICES):
        most = best[0] - barred[0, v]
        for u in range(1, v):
            most = np.maximum(most, best[u] - barred[u, v])
        best.append(most + cost[v - 1] if v < _OUTPUT else most)
    return best[_OUTPUT]


def shortest(barred: NDArray[np.float32], cost: Sequence[Floats]) -> Floats:
    """(n,) least cost of a path; arguments as for `longest`."""
    return -longest(barred, [-c for c in cost])


def free(edge: NDArray[np.float32], cost: Sequence[Floats]) -> Floats:
    """(n,) number of paths that cost nothing; `edge` is (7, 7, n) of 0 and 1."""
    paths: list[Floats] = [np.ones(edge.shape[-1], dtype=np.float32)]
    for v in range(1, MAX_VERTICES):
        here = edge[0, v] * paths[0]
        for u in range(1, v):
            here = here + edge[u, v] * paths[u]
        paths.append(here * (cost[v - 1] == 0) if v < _OUTPUT else here)
    return paths[_OUTPUT]


def longest_of_topologies(cost: NDArray[np.float64]) -> Floats:
    """(S,) largest cost of a path of each topology, from (S, 5) costs of its slots."""
    return longest(barriers(), [cost[:, slot] for slot in range(SLOTS)])


@cache
def counts() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(7, S) paths from the input to each vertex, and from each vertex to the output."""
    edge = np.moveaxis(shapes().edge, 0, -1).astype(np.float32)
    ahead = np.zeros((MAX_VERTICES, edge.shape[-1]), dtype=np.float32)
    behind = np.zeros_like(ahead)
    ahead[0] = behind[_OUTPUT] = 1
    for v in range(1, MAX_VERTICES):
        ahead[v] = (ahead[:v] * edge[:v, v]).sum(axis=0)
    for v in range(_OUTPUT - 1, -1, -1):
        behind[v] = (behind[v + 1 :] * edge[v, v + 1 :]).sum(axis=0)
    return ahead, behind


@cache
def distances() -> Distances:
    """(5, S) edges between the input or the output and each slot, least and most.

    The keys are `nearest_input`, `farthest_input`, `nearest_output` and `farthest_output`;
    slots that are absent are 0.
    """
    barred = barriers()
    turned = barred[::-1, ::-1].transpose(1, 0, 2)  # every edge reversed, from output to input
    live = shapes().live.T
    out = {}
    for end, table, order in (("input", barred, 1), ("output", turned, -1)):
        for name, sign in (("nearest", -1), ("farthest", 1)):
            reach = np.full(barred.shape[1:], -np.inf, dtype=np.float32)
            reach[0] = 0
            for v in range(1, MAX_VERTICES):
                reach[v] = (reach[:v] - table[:v, v] + sign).max(axis=0)
            slots = sign * reach[1:_OUTPUT][::order]
            out[f"{name}_{end}"] = np.where(live, slots, 0).astype(np.float32)
    return out


# What the layers write and read: channels at full resolution, the measure of memory traffic.
#
# Pools, batch normalisations and additions are bound by memory, so their time goes with the
# elements they move. All are in widths: channels of the first stack's vertices over the 128 of the
# cell's output. One width is 128 x 32 x 32 elements per image and cell in the first stack, half and
# a quarter of that in the others (up to the rounding of channels), as in
# `network.activation_elements`.


_LAYER_TRAFFIC_UNIT = "width"

TRAFFIC: tuple[Term, ...] = (
    *by_operator(
        "{}_width", _LAYER_TRAFFIC_UNIT, "channels that vertices {} write", lambda s: s.width
    ),
    *by_operator(
        "{}_additions_width",
        _LAYER_TRAFFIC_UNIT,
        "channels added to make inputs of {}",
        lambda s: s.additions * s.width,
    ),
    *by_operator(
        "{}_reuses_width",
        _LAYER_TRAFFIC_UNIT,
        "channels of vertices {} whose gradients are added up over several successors",
        lambda s: s.reuses * s.width,
    ),
    # The squares of the convolutions' widths are their multiply-adds.
    Term(
        Feature("maxpool3x3_width_squared", "width^2", "sum of squared widths of pools"),
        of_slots=lambda s: s.width**2,
        weights=(0, 0, 1),
    ),
    of_topology(
        "vertices_width",
        _LAYER_TRAFFIC_UNIT,
        "channels of all vertices",
        lambda s: s.width.sum(axis=1),
    ),
    of_topology(
        "projections_width",
        _LAYER_TRAFFIC_UNIT,
        "channels that projections to vertices write",
        lambda s: (s.width * s.from_input).sum(axis=1),
    ),
    of_topology(
        "additions_width",
        _LAYER_TRAFFIC_UNIT,
        "channels that additions write",
        lambda s: (s.width * s.additions).sum(axis=1),
    ),
    of_topology(
        "reuses_width",
        _LAYER_TRAFFIC_UNIT,
        "channels whose gradients are added up over several successors",
        lambda s: (s.width * s.reuses).sum(axis=1),
    ),
    of_topology(
        "edges_width",
        _LAYER_TRAFFIC_UNIT,
        "channels that pass the edges between vertices",
        lambda s: (s.inner * s.width[:, None, :]).sum(axis=(1, 2)),
    ),
    of_topology(
        "longest_width",
        _LAYER_TRAFFIC_UNIT,
        "largest sum of channels over a path: the least that runs one after another",
        lambda s: longest_of_topologies(s.width),
    ),
)


# Operations along the paths from input to output: most, least, mean, and paths without them.


_MOST, _LEAST, _MEAN, _WITHOUT = "most", "least", "mean", "without"

#: Name -> (cost of each operation, unit, words, what of it is a column).
#:
#: Left out is what `cost_features` has: the most conv3x3 (`longest_conv3x3`), the most vertices
#: (`longest_vertices`), and the paths without a vertex (`skip`).
_COSTS: dict[str, tuple[tuple[int, int, int], str, str, tuple[str, ...]]] = {
    "conv3x3": ((1, 0, 0), "", "vertices conv3x3", (_LEAST, _MEAN, _WITHOUT)),
    "convolution": ((1, 1, 0), "", "convolutions", (_MOST, _LEAST, _MEAN, _WITHOUT)),
    "maxpool3x3": ((0, 0, 1), "", "vertices maxpool3x3", (_MOST, _LEAST, _MEAN, _WITHOUT)),
    "conv1x1": ((0, 1, 0), "", "vertices conv1x1", (_MOST, _LEAST, _MEAN, _WITHOUT)),
    # Every 3 x 3 window widens the receptive field by two pixels.
    "reach": (
        (2, 0, 2),
        "pixels",
        "growth of the receptive field",
        (_MOST, _LEAST, _MEAN, _WITHOUT),
    ),
    "vertex": ((1, 1, 1), "", "vertices", (_LEAST, _MEAN)),
}

_WORDS = {
    _MOST: "most {} on a path",
    _LEAST: "least {} on a path",
    _MEAN: "{} on a path, mean over all paths",
    _WITHOUT: "paths without {}",
}

PATH_COSTS: tuple[Feature, ...] = (
    Feature("paths", "", "paths from the input to the output"),
    Feature("log_paths", "", "logarithm of the number of paths"),
    *(
        Feature(f"path_{name}_{kind}", unit if kind != _WITHOUT else "", _WORDS[kind].format(words))
        for name, (_, unit, words, kinds) in _COSTS.items()
        for kind in kinds
    ),
)


def path_costs(
    edge: NDArray[np.float32],
    one: NDArray[np.float32],
    ahead: NDArray[np.float32],
    behind: NDArray[np.float32],
) -> list[NDArray[np.float32]]:
    """Rows of (1, n) in the order of `PATH_COSTS`.

    Args:
        edge: (7, 7, n) adjacency.
        one: (5, 3, n) is 1 where the slot has the operation.
        ahead: (7, n) paths from the input to each vertex.
        behind: (7, n) paths from each vertex to the output.
    """
    paths = behind[0]
    # A vertex lies on (paths to it) x (paths from it) paths, so means need no path of their own.
    mean = (one * (ahead * behind)[1:-1, None]).sum(axis=0) / paths
    barred = blocked(edge)
    out = [paths, np.log(paths)]
    for weights, _, _, kinds in _COSTS.values():
        weight = np.array(weights, dtype=np.float32)
        cost = list((one * weight[:, None]).sum(axis=1))
        for kind in kinds:
            if kind == _MOST:
                out.append(longest(barred, cost))
            elif kind == _LEAST:
                out.append(shortest(barred, cost))
            elif kind == _MEAN:
                out.append((mean * weight[:, None]).sum(axis=0))
            else:
                out.append(free(edge, cost))
    return [row[None] for row in out]


# Which operations follow which: pairs and triples along edges, at the ends, by distance.
#
# Accuracy depends on what is composed with what, as n-grams of text do on the order of its words:
# a convolution after a pool is another function than a pool after a convolution, and the vertices
# that the output concatenates are the features the next cell sees. All counts are sums over
# vertices, so that they do not depend on how the slots are numbered.


_PAIRS = tuple((a, b) for a in OPERATORS for b in OPERATORS)

#: End and rule -> words for it; the keys are those of `paths.distances`.
_WHERE = {
    "nearest_input": "shortest way from the input",
    "farthest_input": "longest way from the input",
    "nearest_output": "shortest way to the output",
    "farthest_output": "longest way to the output",
}

CHAINS: tuple[Feature, ...] = (
    *(Feature(f"{a}_{b}", "", f"edges from {a} to {b}") for a, b in _PAIRS),
    *(
        Feature(f"{a}_{middle}_{b}", "", f"paths of two edges {a}, {middle}, {b}")
        for middle in OPERATORS
        for a, b in _PAIRS
    ),
    *(Feature(f"input_{a}_{b}", "", f"paths from the input to {a}, then {b}") for a, b in _PAIRS),
    *(Feature(f"{a}_{b}_output", "", f"paths from {a} to {b}, then the output") for a, b in _PAIRS),
    *each("input_{}_output", "", "vertices {} between the input and the output"),
    *each("{}_output_width", "width", "channels of the output that vertices {} fill"),
)

DISTANCES: tuple[Feature, ...] = tuple(
    feature
    for key, words in _WHERE.items()
    for feature in (
        *each(f"{{}}_{key}_sum", "edges", f"sum over vertices {{}} of the {words}"),
        *each(f"{{}}_{key}_most", "edges", f"most over vertices {{}} of the {words}"),
    )
)


def chains(
    edge: NDArray[np.float32], one: NDArray[np.float32], width: NDArray[np.float32]
) -> list[NDArray[np.float32]]:
    """Blocks of (k, n) columns in the order of `CHAINS`.

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
    for slot in range(SLOTS):
        v = slot + 1
        own, from_input, to_output = one[slot], edge[0, v], edge[v, -1]
        after = np.zeros((3, n), dtype=np.float32)
        after_last, before = np.zeros_like(after), np.zeros_like(after)
        for other in range(slot + 1, SLOTS):
            there = edge[v, other + 1] * one[other]
            after += there
            after_last += there * edge[other + 1, -1]
        for other in range(slot):
            before += edge[other + 1, v] * one[other]
        both = own[:, None] * after
        pairs += both
        first += both * from_input
        last += own[:, None] * after_last
        if 0 < slot < SLOTS - 1:
            around = (before[:, None] * after).reshape(between, n)
            triples += own[:, None] * around
        alone += own * (from_input * to_output)
        share += own * (width[slot] * to_output)
    flat = (between, n)
    return [
        pairs.reshape(flat),
        triples.reshape(3 * between, n),
        first.reshape(flat),
        last.reshape(flat),
        alone,
        share,
    ]


def summed(
    one: NDArray[np.float32], distances: Sequence[NDArray[np.float32]]
) -> list[NDArray[np.float32]]:
    """Blocks of (3, n) columns in the order of `DISTANCES`.

    Args:
        one: (5, 3, n) as for `chains`.
        distances: (5, n) distances of the slots, one array for each key of `paths.distances`.
    """
    out = []
    for distance in distances:
        each_slot = one * distance[:, None]
        out += [each_slot.sum(axis=0), each_slot.max(axis=0)]
    return out


# Costs that are no sums: logarithms of totals, and the most work on one path.
#
# Relative errors are what matters of energy and time, so the models fit their logarithms: a
# logarithm of a total is then the straight-line term. The offsets keep the least cells finite and
# stand for what every network has (stem, dense layer, launches); they are round figures, not
# fitted.


_MEGA = 1e-6

_SIDES = tuple(side for _, side in STACKS)

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
        tuple(f"conv3x3_multiply_adds_{side}" for side in _SIDES),
    ),
    "log_conv3x3_width": (0.2, "widths of vertices conv3x3", ("conv3x3_width",)),
    "log_traffic": (
        0.3,
        "widths that vertices, projections and additions write",
        (
            "conv3x3_width",
            "conv1x1_width",
            "maxpool3x3_width",
            "projections_width",
            "skip",
            "additions_width",
        ),
    ),
}

_PARAMETERS_OFFSET = 0.3

#: Work of each operation on a path, in convolutions of side 1 and 128 channels.
_TAPS = np.array([9, 1, 0, 0], dtype=np.float32)

_IS_CONV3X3 = np.array([1, 0, 0, 0], dtype=np.float32)

CURVES: tuple[Feature, ...] = (
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


def curves(rows: NDArray[np.int64], sums: dict[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    """(n, len(CURVES)) of valid rows, from the columns of their sums by name."""
    columns = []
    for offset, _, names in _LOGARITHMS.values():
        total = sums[names[0]]
        for name in names[1:]:
            total = total + sums[name]
        columns.append(np.log(total + np.float32(offset)))
    columns.append(np.log(parameters(rows) * _MEGA + _PARAMETERS_OFFSET))
    topology, label = labels(rows)
    shape = shapes()
    barred = np.take(barriers(), topology, axis=-1)
    squared = (shape.width**2).astype(np.float32)
    slots = range(SLOTS)
    work = [_TAPS[label[:, slot]] * squared[topology, slot] for slot in slots]
    columns.append(longest(barred, work))
    columns.append(longest(barred, [_IS_CONV3X3[label[:, slot]] for slot in slots]))
    return np.stack(columns, axis=1).astype(np.float32)


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
    topology, label = labels(rows)
    edges, widths, distance, ahead, behind = _columns()
    one = (label.T[:, None] == np.arange(len(OPERATORS))[:, None]).astype(np.float32)
    edge = np.take(edges, topology, axis=-1)
    blocks = [
        *chains(edge, one, np.take(widths, topology, axis=-1)),
        *summed(one, [np.take(d, topology, axis=-1) for d in distance]),
        *path_costs(
            edge, one, np.take(ahead, topology, axis=-1), np.take(behind, topology, axis=-1)
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

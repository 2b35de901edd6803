"""Topologies: the graphs of cells without their operations, enumerated once in a process.

A graph of up to seven vertices is packed into a 21-bit *code*: bit `EDGE_BIT[i, j]` is the edge
from vertex i to vertex j > i of the 7 x 7 matrix. A smaller matrix is embedded with its output at
vertex 6, so that the unused vertices are empty rows and columns. *Pruning* removes every vertex
that lies on no path from input to output and renumbers the others 1, 2, ....

A *labelled graph* is one of the 2**21 graphs with numbered vertices; 1,538,083 of them prune to a
cell. A *topology* is a class of pruned graphs that differ only in the order of their interior
vertices, which are called *slots*; there are 2,494 topologies of 6,472 pruned graphs. The canonical
code of a topology is the smallest code over all orders that keep the matrix upper triangular.

Operations are numbered as in NAS-Bench-101 (`OPERATIONS`). The labels of k slots are packed into a
base-3 number whose most significant digit is the first slot. Isomorphism is decided by enumeration,
not by hashing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import permutations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.errors import UnknownCellError

__all__ = [
    "EDGES",
    "EDGE_BIT",
    "MAX_EDGES",
    "MAX_VERTICES",
    "OPERATIONS",
    "LabelledGraphs",
    "TopologyTable",
    "adjacency",
    "canonical",
    "checked_rows",
    "labelled_graphs",
    "labels_of_rows",
    "moved",
    "slot_map_labels",
    "slot_maps",
    "topologies",
]

MAX_VERTICES = 7
MAX_EDGES = 9
#: Interior operations in NAS-Bench-101's order of labels 0, 1, 2.
OPERATIONS = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")

_SLOTS = MAX_VERTICES - 2
_OUTPUT = MAX_VERTICES - 1

#: (source, target) of each bit of a code, least significant bit first: column by column, as
#: NAS-Bench-101's generator counts, so that the least code is the matrix in its files.
EDGES: tuple[tuple[int, int], ...] = tuple((i, j) for j in range(1, MAX_VERTICES) for i in range(j))

#: The inverse of `EDGES`: the bit of edge (i, j).
EDGE_BIT: dict[tuple[int, int], int] = {edge: bit for bit, edge in enumerate(EDGES)}

_N_CODES = 1 << len(EDGES)
# Set in a permuted code when an edge would point backwards; larger than every code.
_BACKWARD = 1 << 24

IntArray = NDArray[np.int32]


@dataclass(frozen=True)
class TopologyTable:
    """All topologies, all cells, and the cell of each topology with each labelling.

    Topologies are sorted by vertices, then by code. Cells are sorted by topology, then by labels;
    the row of a cell is its position in this order.
    """

    code: IntArray
    """(n_topologies,) canonical code."""
    vertices: NDArray[np.int8]
    """(n_topologies,) number of vertices, 2 to 7."""
    first: IntArray
    """(n_topologies,) index in `row_of` of the topology's first labelling."""
    row_of: IntArray
    """(sum of 3**slots,) row of each topology with each labelling."""
    row_topology: NDArray[np.int16]
    """(n_rows,) topology of each cell."""
    row_ops: NDArray[np.uint8]
    """(n_rows,) packed labels of each cell: the smallest of all equivalent labellings."""
    pruned_code: IntArray
    """(6472,) sorted codes of all pruned graphs."""
    pruned_topology: NDArray[np.int16]
    """(6472,) topology of each pruned graph."""
    pruned_order: NDArray[np.uint8]
    """(6472,) index into `orders(slots)` of the order that makes the code canonical."""


@dataclass(frozen=True)
class LabelledGraphs:
    """Topology of each of the 2**21 labelled graphs."""

    topology: NDArray[np.int16]
    """(2**21,) topology, -1 if the graph does not prune to a cell."""
    slot_map: NDArray[np.uint16]
    """(2**21,) index into `slot_maps()`: the vertex of the graph that became each slot."""


@cache
def orders(slots: int) -> tuple[tuple[int, ...], ...]:
    """Permutations of the interior vertices; `order[a] = b` moves slot a to slot b."""
    return tuple(permutations(range(slots)))


@cache
def slot_maps() -> tuple[tuple[int, ...], ...]:
    """Every injection of slots into the five interior vertices; `map[slot]` is 0 to 4."""
    return tuple(m for k in range(_SLOTS + 1) for m in permutations(range(_SLOTS), k))


@cache
def slot_map_labels() -> NDArray[np.uint8]:
    """(n_maps, 243) packed labels of the mapped slots, from packed labels of all five vertices."""
    raw = np.arange(3**_SLOTS)
    digits = [raw // 3 ** (_SLOTS - 1 - s) % 3 for s in range(_SLOTS)]
    out = np.zeros((len(slot_maps()), len(raw)), dtype=np.uint8)
    for i, mapping in enumerate(slot_maps()):
        value = np.zeros_like(raw)
        for source in mapping:
            value = value * 3 + digits[source]
        out[i] = value
    return out


def moved(codes: NDArray[np.integer], target: Mapping[int, int]) -> IntArray:
    """Codes after vertex v becomes `target[v]`; `_BACKWARD` is set if an edge points back.

    Args:
        codes: array of codes, of any shape.
        target: new number of a vertex; a vertex that is not in it keeps its number.
    """
    lut = _moving_lut(tuple(target.get(v, v) for v in range(MAX_VERTICES)))
    codes = codes.astype(np.int32, copy=False)
    return np.asarray(lut[0][codes & 127] | lut[1][codes >> 7 & 127] | lut[2][codes >> 14])


@cache
def _moving_lut(target: tuple[int, ...]) -> IntArray:
    """(3, 128) new code of each value of each seven bits of a code."""
    lut = np.zeros((3, 128), dtype=np.int32)
    for bit, (i, j) in enumerate(EDGES):
        a, b = target[i], target[j]
        image = 1 << EDGE_BIT[a, b] if a < b else _BACKWARD
        chunk, place = divmod(bit, 7)
        lut[chunk].reshape(-1, 2, 1 << place)[:, 1] |= image
    return lut


def _pruned_codes(vertices: int) -> IntArray:
    """Sorted codes of all pruned graphs with exactly this number of vertices."""
    names = [*range(vertices - 1), _OUTPUT]
    codes = np.zeros(1, dtype=np.int32)
    edges = np.zeros(1, dtype=np.int8)
    for column in range(1, vertices):
        # Every vertex but the input needs a predecessor, so each later column costs an edge.
        room = MAX_EDGES - (vertices - 1 - column)
        subsets = np.arange(1, 1 << column)
        bits = np.zeros(len(subsets), dtype=np.int32)
        count = np.zeros(len(subsets), dtype=np.int8)
        for source in range(column):
            chosen = (subsets >> source & 1).astype(np.int32)
            bits |= chosen << EDGE_BIT[names[source], names[column]]
            count += chosen.astype(np.int8)
        codes = (codes[:, None] | bits).ravel()
        edges = (edges[:, None] + count).ravel()
        codes, edges = codes[edges <= room], edges[edges <= room]
    for source in names[:-1]:  # every vertex but the output needs a successor
        mask = sum(1 << EDGE_BIT[source, t] for t in names if t > source)
        codes = codes[(codes & mask) != 0]
    return np.sort(codes)


@cache
def topologies() -> TopologyTable:
    """Enumerate all topologies and cells; once in a process."""
    code, vertices, row_of, row_topology, row_ops = [], [], [], [], []
    pruned, pruned_topology, pruned_order = [], [], []
    n_topologies = n_rows = 0
    for v in range(2, MAX_VERTICES + 1):
        slots, labels = v - 2, 3 ** (v - 2)
        codes = _pruned_codes(v)
        best = np.zeros(len(codes), dtype=np.uint8)
        least = codes.copy()  # the identity is the first order
        for number, order in enumerate(orders(slots)):
            image = moved(codes, {a + 1: b + 1 for a, b in enumerate(order)})
            better = image < least
            best[better] = number
            least[better] = image[better]
        canonical, topology = np.unique(least, return_inverse=True)

        # Labellings are equivalent if an automorphism maps one to the other; the smallest stands
        # for its class.
        smallest = np.empty((len(canonical), labels), dtype=np.uint8)
        smallest[:] = np.arange(labels, dtype=np.uint8)
        for order in orders(slots):
            image = moved(canonical, {a + 1: b + 1 for a, b in enumerate(order)})
            holds = np.flatnonzero(image == canonical)
            smallest[holds] = np.minimum(smallest[holds], _relabelled(order))
        representative = smallest == np.arange(labels, dtype=np.uint8)
        rank = np.cumsum(representative, dtype=np.int32).reshape(smallest.shape)
        rank += n_rows - 1
        for part in range(0, len(rank), 128):  # indices are wide, so take them in parts
            some = slice(part, part + 128)
            rank[some] = np.take_along_axis(rank[some], smallest[some].astype(np.intp), axis=1)
        per_topology = representative.sum(axis=1)
        owner = np.repeat(np.arange(len(canonical), dtype=np.int16), per_topology)
        ops = np.broadcast_to(np.arange(labels, dtype=np.uint8), smallest.shape)[representative]
        del smallest, representative

        code.append(canonical)
        vertices.append(np.full(len(canonical), v, dtype=np.int8))
        row_of.append(rank.ravel())
        row_topology.append(owner + np.int16(n_topologies))
        row_ops.append(ops)
        pruned.append(codes)
        pruned_topology.append((topology + n_topologies).astype(np.int16))
        pruned_order.append(best)
        n_topologies += len(canonical)
        n_rows += len(owner)

    all_vertices = np.concatenate(vertices)
    sizes = 3 ** (all_vertices.astype(np.int32) - 2)
    all_pruned = np.concatenate(pruned)
    by_code = np.argsort(all_pruned)
    return TopologyTable(
        code=np.concatenate(code),
        vertices=all_vertices,
        first=(np.cumsum(sizes) - sizes).astype(np.int32),
        row_of=np.concatenate(row_of),
        row_topology=np.concatenate(row_topology),
        row_ops=np.concatenate(row_ops),
        pruned_code=all_pruned[by_code],
        pruned_topology=np.concatenate(pruned_topology)[by_code],
        pruned_order=np.concatenate(pruned_order)[by_code],
    )


def _relabelled(order: tuple[int, ...]) -> NDArray[np.uint8]:
    """(3**slots,) packed labels after slot a becomes slot `order[a]`."""
    slots = len(order)
    labels = np.arange(3**slots)
    image = np.zeros_like(labels)
    for a, b in enumerate(order):
        image += labels // 3 ** (slots - 1 - a) % 3 * 3 ** (slots - 1 - b)
    return image.astype(np.uint8)


@cache
def labelled_graphs() -> LabelledGraphs:
    """Classify all 2**21 labelled graphs; once in a process (about 10 MB)."""
    codes = np.arange(_N_CODES, dtype=np.int32)
    forward = np.ones(_N_CODES, dtype=np.uint8)
    backward = np.full(_N_CODES, 1 << _OUTPUT, dtype=np.uint8)
    for bit, (i, j) in enumerate(EDGES):
        edge = (codes >> bit & 1).astype(np.uint8)
        forward |= (edge & (forward >> i)) << j
    for bit, (i, j) in reversed(list(enumerate(EDGES))):
        edge = (codes >> bit & 1).astype(np.uint8)
        backward |= (edge & (backward >> j)) << i
    live = forward & backward
    reachable = (live & 1 != 0) & (live >> _OUTPUT & 1 != 0)

    table = topologies()
    topology = np.full(_N_CODES, -1, dtype=np.int16)
    slot_map = np.zeros(_N_CODES, dtype=np.uint16)
    index = {mapping: i for i, mapping in enumerate(slot_maps())}
    for subset in range(1 << _SLOTS):
        kept = [s for s in range(_SLOTS) if subset >> s & 1]
        alive = {0, _OUTPUT, *(s + 1 for s in kept)}
        mask = sum(1 << b for b, (i, j) in enumerate(EDGES) if i in alive and j in alive)
        where = np.flatnonzero(reachable & (live == sum(1 << v for v in alive)))
        target = {s + 1: slot + 1 for slot, s in enumerate(kept)}
        pruned = moved((codes[where] & mask), target)
        at = np.minimum(np.searchsorted(table.pruned_code, pruned), len(table.pruned_code) - 1)
        known = table.pruned_code[at] == pruned  # the rest has more than nine edges
        where, at = where[known], at[known]
        topology[where] = table.pruned_topology[at]
        maps = np.array(
            [index[_composed(order, kept)] for order in orders(len(kept))], dtype=np.uint16
        )
        slot_map[where] = maps[table.pruned_order[at]]
    return LabelledGraphs(topology=topology, slot_map=slot_map)


def _composed(order: tuple[int, ...], kept: list[int]) -> tuple[int, ...]:
    """Slot map of a graph whose kept interior vertices are put into the given order."""
    out = [0] * len(order)
    for a, b in enumerate(order):
        out[b] = kept[a]
    return tuple(out)


def canonical(pruned_code: int) -> tuple[int, tuple[int, ...]]:
    """Topology of one pruned graph, and the order that makes its code canonical.

    It does not need the table of `labelled_graphs`.

    Returns:
        `(topology, order)`; `order[a] = b` moves slot a to slot b.

    Raises:
        KeyError: no pruned graph of at most nine edges has this code.
    """
    table = topologies()
    at = int(np.searchsorted(table.pruned_code, pruned_code))
    if at == len(table.pruned_code) or int(table.pruned_code[at]) != pruned_code:
        raise KeyError(pruned_code)
    topology = int(table.pruned_topology[at])
    slots = int(table.vertices[topology]) - 2
    return topology, orders(slots)[int(table.pruned_order[at])]


# -- cells by row ----


def checked_rows(rows: ArrayLike, size: int) -> NDArray[np.int32]:
    """The rows as an (n,) array; a single row counts as a list of one.

    Args:
        rows: (n,) rows, or one row.
        size: number of cells of the space.

    Raises:
        UnknownCellError: they are not whole numbers from 0 to `size` - 1.
    """
    message = f"rows must be whole numbers from 0 to {size - 1}"
    try:
        array = np.atleast_1d(np.asarray(rows))
    except ValueError:  # nested lists of different lengths
        array = np.empty((0, 0))
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise UnknownCellError(message, value=rows)
    if array.size and (int(array.min()) < 0 or int(array.max()) >= size):
        raise UnknownCellError(message, value=int(array[(array < 0) | (array >= size)][0]))
    return array.astype(np.int32)


@cache
def adjacency(vertices: int = MAX_VERTICES) -> NDArray[np.bool_]:
    """(n_topologies, V, V) adjacency matrices, embedded with the output as the last vertex.

    Topologies of more than V vertices are cut off.
    """
    codes = topologies().code
    edge = np.zeros((len(codes), vertices, vertices), dtype=bool)
    for bit, (i, j) in enumerate(EDGES):
        target = vertices - 1 if j == _OUTPUT else j
        if i < vertices - 1 and (j < vertices - 1 or j == _OUTPUT):
            edge[:, i, target] = codes >> bit & 1
    edge.flags.writeable = False
    return edge


def labels_of_rows(rows: NDArray[np.integer]) -> NDArray[np.int8]:
    """(n, 5) operation labels of the slots of valid rows, -1 at slots that a cell does not have."""
    table = topologies()
    slots = table.vertices[table.row_topology[rows]] - 2
    labels: NDArray[np.int8] = _unpacked_labels()[slots, table.row_ops[rows]]
    return labels


@cache
def _unpacked_labels() -> NDArray[np.int8]:
    """(6, 243, 5) labels of the slots from the number of slots and their packed labels."""
    out = np.full((_SLOTS + 1, 3**_SLOTS, _SLOTS), -1, dtype=np.int8)
    for slots in range(_SLOTS + 1):
        for slot in range(slots):
            out[slots, :, slot] = np.arange(3**_SLOTS) // 3 ** (slots - 1 - slot) % 3
    return out

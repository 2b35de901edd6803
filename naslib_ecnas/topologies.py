"""Topologies: the graphs of cells without their operations, enumerated once in a process.

A graph of up to seven vertices is packed into a 21-bit *code*: bit `EDGE_BIT[i, j]` is the edge
from vertex i to vertex j > i of the 7 x 7 matrix. A smaller matrix is embedded with its output at
vertex 6, so that the unused vertices are empty rows and columns. *Pruning* removes every vertex
that lies on no path from input to output and renumbers the others 1, 2, ....

A *labelled graph* is one of the 2**21 graphs with numbered vertices; 1,538,083 of them prune to a
cell. A *topology* is a class of pruned graphs that differ only in the order of their interior
vertices, which are called *slots*; there are 2,494 topologies of 6,472 pruned graphs, or of 13,839
that may lie anywhere among the seven vertices. The canonical code of a topology is the smallest
code over all orders that keep the matrix upper triangular.

Operations are numbered as in NAS-Bench-101 (`OPERATIONS`). The labels of k slots are packed into a
base-3 number whose most significant digit is the first slot. Isomorphism is decided by enumeration,
not by hashing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import permutations, product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.errors import UnknownCellError, as_int, vector

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


@dataclass(frozen=True)
class LabelledGraphs:
    """Topologies of n graphs with numbered vertices."""

    topology: NDArray[np.int16]
    """(n,) topology, -1 if the graph does not prune to a cell."""
    slot_map: NDArray[np.uint16]
    """(n,) index into `slot_maps()`: the vertex of the graph that became each slot."""


@cache
def slot_maps() -> dict[tuple[int, ...], int]:
    """Every injection of slots into the five interior vertices, `map[slot]` is 0 to 4; numbered."""
    maps = (m for k in range(_SLOTS + 1) for m in permutations(range(_SLOTS), k))
    return {mapping: number for number, mapping in enumerate(maps)}


@cache
def slot_weights() -> NDArray[np.int64]:
    """(n_maps, 5) what the label of each interior vertex adds to the packed labels of the slots."""
    weights = np.zeros((len(slot_maps()), _SLOTS), dtype=np.int64)
    for mapping, number in slot_maps().items():
        weights[number, list(mapping)] = 3 ** np.arange(len(mapping) - 1, -1, -1)
    return weights


@cache
def slot_map_labels() -> NDArray[np.uint8]:
    """(n_maps, 243) packed labels of the mapped slots, from packed labels of all five vertices."""
    labels: NDArray[np.uint8] = (slot_weights() @ _digits(_SLOTS)).astype(np.uint8)
    return labels


def _digits(slots: int) -> NDArray[np.int64]:
    """(slots, 3**slots) labels of all packed labels."""
    return np.arange(3**slots) // 3 ** np.arange(slots - 1, -1, -1)[:, None] % 3


def moved(codes: NDArray[np.integer], which: int | slice | list[int]) -> IntArray:
    """Codes after each slot moves to the interior vertex that a slot map names for it.

    A code is `_BACKWARD` or larger if an edge then points back.

    Args:
        codes: (n,) codes.
        which: number of the slot map, or a slice or list of them.

    Returns:
        (n,) codes, or (maps, n) for several maps.
    """
    low, middle, high = _moving_tables()[:, which]
    image: IntArray = low[..., codes & 127]
    image |= middle[..., codes >> 7 & 127]
    image |= high[..., codes >> 14]
    return image


@cache
def _moving_tables() -> IntArray:
    """(3, n_maps, 128) new codes of all values of each seven bits of a code, by slot map."""
    images = np.full((len(slot_maps()), len(EDGES)), _BACKWARD, dtype=np.int32)
    for mapping, number in slot_maps().items():
        target = [0, *(vertex + 1 for vertex in mapping), *range(len(mapping) + 1, MAX_VERTICES)]
        for bit, (i, j) in enumerate(EDGES):
            if (target[i], target[j]) in EDGE_BIT:
                images[number, bit] = 1 << EDGE_BIT[target[i], target[j]]
    bits = np.arange(128, dtype=np.int32) >> np.arange(7, dtype=np.int32)[:, None] & 1
    tables: IntArray = (images.reshape(-1, 3, 7) @ bits).swapaxes(0, 1)
    return tables


def _pruned_codes(vertices: int) -> IntArray:
    """Sorted codes of all pruned graphs with exactly this number of vertices."""
    names = [*range(vertices - 1), _OUTPUT]
    edges = np.array([number.bit_count() for number in range(1 << vertices - 1)])
    codes, count = np.zeros((2, 1), dtype=np.int32)
    for column in range(1, vertices):
        # Every vertex but the input needs a predecessor, so each later column costs an edge.
        room = MAX_EDGES - (vertices - 1 - column)
        sources = np.arange(1, 1 << column, dtype=np.int32)
        codes = (codes[:, None] | sources << EDGE_BIT[0, names[column]]).ravel()
        count = (count[:, None] + edges[sources]).ravel()
        codes, count = codes[count <= room], count[count <= room]
    for source in names[:-1]:  # every vertex but the output needs a successor
        codes = codes[(codes & _edges_among([source], names)) != 0]
    return np.sort(codes)


def _edges_among(sources: Iterable[int], targets: Iterable[int]) -> int:
    """Code of all edges from one of some vertices to one of others."""
    return sum(1 << EDGE_BIT[e] for e in product(sources, targets) if e in EDGE_BIT)


@cache
def topologies() -> TopologyTable:
    """Enumerate all topologies and cells; once in a process."""
    code, row_of, row_topology, row_ops = [], [], [], []
    n_topologies = n_rows = 0
    for v in range(2, MAX_VERTICES + 1):
        slots = v - 2
        orders = [slot_maps()[order] for order in permutations(range(slots))]
        least = moved(_pruned_codes(v), orders).min(axis=0)
        # The inverse is not needed, but without it numpy imports its masked arrays: 1 MB, 10 ms.
        canonical, _ = np.unique(least, return_inverse=True)

        # Labellings are equivalent if an automorphism maps one to the other; the smallest stands
        # for its class.
        every = np.arange(3**slots, dtype=np.uint8)
        digits = _digits(slots)
        smallest = np.tile(every, (len(canonical), 1))
        for order, same in zip(orders, moved(canonical, orders) == canonical, strict=True):
            holds = np.flatnonzero(same)
            image = (slot_weights()[order, :slots] @ digits).astype(np.uint8)
            smallest[holds] = np.minimum(smallest[holds], image)
        representative = smallest == every
        rank = np.cumsum(representative, dtype=np.int32).reshape(smallest.shape)
        rank += n_rows - 1
        for part in range(0, len(rank), 128):  # indices are wide, so take them in parts
            some = slice(part, part + 128)
            rank[some] = np.take_along_axis(rank[some], smallest[some].astype(np.intp), axis=1)
        # Not by numpy.nonzero, whose wide indices would be the peak of a process's memory.
        number = np.arange(n_topologies, n_topologies + len(canonical), dtype=np.int16)
        row_topology.append(np.repeat(number, representative.sum(axis=1)))
        row_ops.append(np.broadcast_to(every, smallest.shape)[representative])
        del smallest, representative

        code.append(canonical)
        row_of.append(rank.ravel())
        n_topologies += len(canonical)
        n_rows += len(row_ops[-1])

    vertices = np.repeat(np.arange(2, MAX_VERTICES + 1, dtype=np.int8), [len(c) for c in code])
    sizes = 3 ** (vertices.astype(np.int32) - 2)
    return TopologyTable(
        code=np.concatenate(code),
        vertices=vertices,
        first=(np.cumsum(sizes) - sizes).astype(np.int32),
        row_of=np.concatenate(row_of),
        row_topology=np.concatenate(row_topology),
        row_ops=np.concatenate(row_ops),
    )


@cache
def pruned_graphs() -> tuple[IntArray, LabelledGraphs]:
    """The 13,839 graphs whose used vertices all lie on a path from input to output.

    Returns:
        Their sorted codes, and their topologies.
    """
    table = topologies()
    sizes = [len(mapping) for mapping in slot_maps()]
    code, topology, slot_map = [], [], []
    for slots in range(_SLOTS + 1):
        maps = slice(*np.searchsorted(sizes, (slots, slots + 1)))
        own = np.flatnonzero(table.vertices == slots + 2)
        image = moved(table.code[own], maps)
        mapping, place = np.nonzero(image < _BACKWARD)
        code.append(image[mapping, place])
        topology.append(own[place].astype(np.int16))
        slot_map.append((mapping + maps.start).astype(np.uint16))
    # Automorphisms map the slots to the same graph in several ways, of which any will do.
    codes, first = np.unique(np.concatenate(code), return_index=True)
    graphs = LabelledGraphs(np.concatenate(topology)[first], np.concatenate(slot_map)[first])
    return codes, graphs


@cache
def edges_inside() -> IntArray:
    """(128,) code of all edges among the vertices of each bit mask."""
    masks = [[v for v in range(MAX_VERTICES) if mask >> v & 1] for mask in range(128)]
    return np.array([_edges_among(kept, kept) for kept in masks], dtype=np.int32)


@cache
def labelled_graphs() -> LabelledGraphs:
    """All 2**21 labelled graphs, by code; once in a process (about 10 MB)."""
    codes = np.arange(_N_CODES, dtype=np.int32)
    forward = np.ones(_N_CODES, dtype=np.uint8)
    backward = np.full(_N_CODES, 1 << _OUTPUT, dtype=np.uint8)
    for bit, (i, j) in enumerate(EDGES):
        edge = (codes >> bit & 1).astype(np.uint8)
        forward |= (edge & (forward >> i)) << j
    for bit, (i, j) in reversed(list(enumerate(EDGES))):
        edge = (codes >> bit & 1).astype(np.uint8)
        backward |= (edge & (backward >> j)) << i
    pruned, graphs = pruned_graphs()
    index = np.full(_N_CODES, -1, dtype=np.int16)  # -1: no path, or more than nine edges
    index[pruned] = np.arange(len(pruned))
    at = index[codes & edges_inside()[forward & backward]]
    return LabelledGraphs(
        topology=np.append(graphs.topology, np.int16(-1))[at],
        slot_map=np.append(graphs.slot_map, np.uint16(0))[at],
    )


# -- cells by row ----


def checked_rows(rows: ArrayLike, size: int | None = None) -> NDArray[np.int32]:
    """The rows as an (n,) array; a single row counts as a list of one.

    A mask, a boolean for each of the `size` cells, stands for the rows where it is true.

    Raises:
        UnknownCellError: they are not whole numbers from 0 to `size` - 1, of all cells by default.
    """
    size = len(topologies().row_topology) if size is None else size
    message = f"rows must be whole numbers from 0 to {size - 1}"
    array = vector(rows if as_int(rows) is None else [rows], "iub")
    if array is not None and array.dtype == np.bool_:
        array = np.flatnonzero(array) if len(array) == size else None
    if array is None:
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
        out[slots, : 3**slots, :slots] = _digits(slots).T
    return out

"""The space of cells: every cell of up to V vertices in one fixed order of rows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import combinations, compress, product
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.cell import INPUT, OUTPUT, Cell, operation_name
from naslib_ecnas.errors import (
    NO_ARRAY,
    ConfigError,
    InvalidCellError,
    UnknownCellError,
    as_array,
    as_int,
    check_counts,
)
from naslib_ecnas.nasbench_hash import hashes_of, row_of
from naslib_ecnas.topologies import (
    EDGE_BIT,
    EDGES,
    MAX_VERTICES,
    OPERATIONS,
    adjacency,
    checked_rows,
    labelled_graphs,
    labels_of_rows,
    moved,
    slot_map_labels,
    slot_maps,
    slot_weights,
    topologies,
)

_SLOTS = MAX_VERTICES - 2
_OUTPUT = MAX_VERTICES - 1
_LABEL_WEIGHTS = 3 ** np.arange(_SLOTS - 1, -1, -1, dtype=np.int16)

# A mutation whose probabilities of a change are all smaller is refused: it would hardly end.
_LEAST_RATE = 1e-4
_MOST_ROUNDS = 20_000


class Space:
    """All cells of up to `vertices` vertices and nine edges, in a fixed order of rows.

    Rows are sorted by vertices, then by topology, then by operations. The cells of a smaller space
    are therefore the first rows of a larger one, and a row means the same cell in all of them.

    Args:
        vertices: largest number of vertices, 2 to 7. EC-NAS's spaces are 4 (91 cells), 5
            (2,532) and 7 (423,624).

    Raises:
        InvalidCellError: another number of vertices.
    """

    def __init__(self, vertices: int = MAX_VERTICES) -> None:
        number = as_int(vertices)
        if number is None or not 2 <= number <= MAX_VERTICES:
            message = f"the vertices of a space must be 2 to {MAX_VERTICES}"
            raise InvalidCellError(message, rule="too-many-vertices", value=vertices)
        self.vertices: int = number
        table = topologies()
        n_topologies = np.searchsorted(table.vertices, number, "right")
        n_topologies = n_topologies.astype(table.row_topology.dtype)  # else that is converted
        self._size = int(np.searchsorted(table.row_topology, n_topologies))

    def __len__(self) -> int:
        return self._size

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Space) and other.vertices == self.vertices

    def __hash__(self) -> int:
        return hash((Space, self.vertices))

    def __repr__(self) -> str:
        return f"Space(vertices={self.vertices})"

    def __contains__(self, cell: object) -> bool:
        return isinstance(cell, Cell) and cell.vertices <= self.vertices

    # -- one cell ----

    def cell(self, row: int) -> Cell:
        """The cell of a row.

        Raises:
            UnknownCellError: the space has no such row.
        """
        number = as_int(row)
        if number is None or not 0 <= number < self._size:
            message = f"a row of {self!r} must be a whole number, 0 to {self._size - 1}"
            raise UnknownCellError(message, value=row)
        return Cell.from_row(number)

    def row(self, cell: Any, ops: Sequence[str] | None = None) -> int:
        """The row of a cell, a row, a NAS-Bench-101 hash or anything that `Cell` accepts.

        Raises:
            InvalidCellError: it is not a cell.
            UnknownCellError: it is not a cell of this space.
        """
        if ops is None and not isinstance(cell, Cell):
            if isinstance(cell, str) and len(cell) == 32 and ":" not in cell:
                return self.row_of_hash(cell)
            if isinstance(cell, Real) or as_int(cell) is not None:
                return self.cell(cell).row
        found = cell if isinstance(cell, Cell) else Cell(cell, ops)
        if found.row >= self._size:
            message = f"{self!r} has no cell of {found.vertices} vertices"
            raise UnknownCellError(message, value=found)
        return found.row

    def row_of_hash(self, nasbench_hash: str) -> int:
        """The row of a NAS-Bench-101 MD5 hash.

        Raises:
            UnknownCellError: no cell of this space has the hash.
        """
        row = row_of(nasbench_hash, self._size)
        if row is None:
            message = f"no cell of {self!r} has this NAS-Bench-101 hash (32 hexadecimal digits)"
            raise UnknownCellError(message, value=nasbench_hash)
        return row

    def cell_of_hash(self, nasbench_hash: str) -> Cell:
        """The cell of a NAS-Bench-101 MD5 hash; errors are those of `row_of_hash`."""
        return self.cell(self.row_of_hash(nasbench_hash))

    def hashes(self) -> NDArray[np.str_]:
        """(n_cells,) NAS-Bench-101 MD5 hashes by row; takes about a minute for seven vertices."""
        return hashes_of(np.arange(self._size))

    # -- many cells ----

    def rows(self, matrices: ArrayLike, ops: ArrayLike) -> NDArray[np.int32]:
        """Rows of raw, unpruned matrices.

        Args:
            matrices: (n, v, v) with 2 <= v <= 7, 0/1 entries.
            ops: (n, v - 2) operations of the interior vertices: labels that index
                `topologies.OPERATIONS` (conv3x3 0, conv1x1 1, maxpool3x3 2), or their names as in
                `Cell`; or (n, v) names with input and output.

        Returns:
            (n,) int32 rows, -1 where a matrix is not a cell of this space.

        Raises:
            InvalidCellError: the arrays do not have these shapes or types, or no operation is
                known.
        """
        try:
            arrays = as_array(matrices), as_array(ops)
        except NO_ARRAY as error:  # such as nested lists of different lengths
            message = f"matrices (n, v, v) and ops (n, v - 2) must be arrays: {error}"
            raise InvalidCellError(message, rule="not-square") from error
        codes, number = _packed(*arrays)
        return _rows_of_codes(codes, number, self._size)

    def matrices(self, rows: ArrayLike) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
        """Canonical matrices and labels of rows, embedded in this space's V x V matrices.

        Returns:
            (n, V, V) int8 matrices whose output is the last vertex and whose unused vertices
            are empty, and (n, V - 2) int8 labels, -1 on unused vertices.

        Raises:
            UnknownCellError: the space has no such row.
        """
        rows = checked_rows(rows, self._size)
        edges = adjacency(self.vertices).view(np.int8)
        return edges[topologies().row_topology[rows]], labels_of_rows(rows)[:, : self.vertices - 2]

    def sample(self, rng: np.random.Generator, n: int) -> NDArray[np.int32]:
        """(n,) rows drawn uniformly from the distinct cells, with replacement.

        Raises:
            ConfigError: n is negative, or rng is not a generator.
        """
        if not isinstance(rng, np.random.Generator):
            raise ConfigError("rng must be made by numpy.random.default_rng(seed)", value=rng)
        check_counts("a sample", least=0, n=n)
        return rng.integers(0, self._size, n, dtype=np.int32)

    def mutate(
        self,
        rows: ArrayLike,
        rng: np.random.Generator,
        *,
        edge_changes: float = 2.0,
        op_changes: float = 0.5,
    ) -> NDArray[np.int32]:
        """One changed, valid cell for each row (the perturbation of EC-NAS's algorithm 1).

        Each of the V (V - 1) / 2 possible edges is flipped with the probability that gives
        `edge_changes` flips on average, and each interior vertex gets another operation with the
        probability that gives `op_changes` changes on average. Both are repeated until the result
        is a valid cell other than the parent. A cell of fewer vertices is first placed at random
        on the V vertices, its unused vertices with random operations, so that it can grow.

        Returns:
            (n,) rows, each different from its parent among the (n,) rows given.

        Raises:
            UnknownCellError: the space has no such row.
            ConfigError: with these rates no other cell is reached, or hardly ever.
        """
        parents = checked_rows(rows, self._size)
        rates = (edge_changes, op_changes)
        p_edge, p_op = _chances(self.vertices, *rates)
        # Without edge changes the cell of two vertices, which has no operation, stays itself.
        stuck = self._size == 1 or (p_edge < _LEAST_RATE and bool((parents == 0).any()))
        if stuck or not all(0 <= r < np.inf for r in rates) or max(p_edge, p_op) < _LEAST_RATE:
            message = f"a mutation in {self!r} changes nothing at these edge_changes and op_changes"
            raise ConfigError(message, value=rates)
        children = np.full(len(parents), -1, dtype=np.int32)
        left = np.arange(len(parents))
        for _ in range(_MOST_ROUNDS):
            if not len(left):
                return children
            found = perturbed(self, parents[left], rng, *rates)
            good = (found >= 0) & (found != parents[left])
            children[left[good]] = found[good]
            left = left[~good]
        message = f"no change was found in {_MOST_ROUNDS} rounds: raise edge_changes or op_changes"
        raise ConfigError(message, value=rates)

    def neighbours(self, row: int) -> NDArray[np.int32]:
        """Rows one edge or one operation away: sorted, distinct, valid, without `row` itself.

        A neighbour is made by another operation at a vertex; by removing an edge, and whatever
        then lies on no path; by adding an edge between two vertices, in any order of vertices that
        the cell can be given; or by connecting a new vertex with any operation, of which another
        edge exists already. A cell can thus shrink by several vertices and grow by one, and the
        result does not depend on the order of its vertices.

        Raises:
            UnknownCellError: the space has no such row.
        """
        self.cell(row)
        return _neighbours(int(row), self)


# -- from arrays of matrices and operations to codes and labels, and to rows ----

# Matrices packed at once, so that intermediate arrays stay small.
_CHUNK = 1 << 16


def _packed(
    matrices: NDArray[Any], ops: NDArray[Any]
) -> tuple[NDArray[np.int32], NDArray[np.int16]]:
    """(n,) codes, -1 where a matrix is not binary and upper triangular, and (n,) packed labels."""
    v = matrices.shape[-1] if matrices.ndim == 3 else 0
    if matrices.ndim != 3 or matrices.shape[1] != v or not 2 <= v <= MAX_VERTICES:
        message = f"matrices must have the shape (n, v, v) with 2 <= v <= {MAX_VERTICES}"
        raise InvalidCellError(message, rule="not-square", value=matrices.shape)
    if matrices.dtype.kind not in "biuf":
        message = "matrices must be arrays of the numbers 0 and 1"
        raise InvalidCellError(message, rule="not-binary", value=matrices.dtype)
    whole = ops.dtype.kind in "UTO" and ops.shape == matrices.shape[:2]
    if whole and (ops[:, [0, -1]] == [[INPUT, OUTPUT]]).all():
        ops = ops[:, 1:-1]
    if ops.shape != (len(matrices), v - 2):
        message = f"ops of these matrices must have the shape ({len(matrices)}, {v - 2})"
        raise InvalidCellError(message, rule="operation-count", value=ops.shape)
    codes = np.empty(len(matrices), dtype=np.int32)
    for start in range(0, len(matrices), _CHUNK):
        part = slice(start, start + _CHUNK)
        codes[part] = _codes(matrices[part])
    labels = _labels(ops)
    unknown = (labels < 0) | (labels >= len(OPERATIONS))
    wrong = np.flatnonzero(unknown.any(axis=1))
    if len(wrong):
        # As in NAS-Bench-101, an unknown operation is an error only at a vertex that is kept.
        maps = labelled_graphs().slot_map[np.maximum(codes[wrong], 0)]
        kept = slot_weights()[maps, : v - 2] > 0
        wrong = wrong[(unknown[wrong] & kept).any(axis=1)]
        if len(wrong) == len(codes) and unknown.all():
            message = f"operations must be labels from 0 to 2 or names such as {OPERATIONS[0]}"
            raise InvalidCellError(message, rule="wrong-operation", value=ops.flat[0])
        codes[wrong] = -1
        labels = np.where(unknown, 0, labels)
    return codes, _packed_labels(labels)


def _codes(matrices: NDArray[Any]) -> NDArray[np.int32]:
    """Codes of (n, v, v) matrices, -1 where not 0/1 or not upper triangular."""
    entries = matrices.reshape(len(matrices), -1)
    bits = entries != 0
    found: NDArray[np.int32] = (bits.astype(np.float32) @ _weights(matrices.shape[1])).astype("i4")
    found[found[:, 1] > 0, 0] = -1
    if (odd := entries != bits).any():
        found[odd.any(axis=1), 0] = -1
    return found[:, 0]


@cache
def _weights(v: int) -> NDArray[np.float32]:
    """(v * v, 2) what each entry of a matrix adds to its code, and to its entries that must be 0.

    Codes have 21 bits, so that sums in float32, the fastest, are exact.
    """
    weights = np.zeros((v, v, 2), dtype=np.float32)
    weights[..., 1] = np.tri(v)
    for i, j in combinations(range(v), 2):
        weights[i, j, 0] = 1 << EDGE_BIT[i, _OUTPUT if j == v - 1 else j]
    return weights.reshape(v * v, 2)


def _labels(ops: NDArray[Any]) -> NDArray[Any]:
    """Labels of operations given as labels or as names; -1 for an unknown name."""
    if ops.dtype.kind in "iu":
        return ops
    if ops.size and not (ops.dtype.kind in "UT" or all(isinstance(op, str) for op in ops.flat)):
        message = "operations must be whole numbers or names"
        raise InvalidCellError(message, rule="wrong-operation", value=ops.flat[0])
    out = np.full(ops.shape, -1, dtype=np.int64)
    for label, name in enumerate(OPERATIONS):
        out[ops == name] = label
    for name in {*ops[out < 0].tolist()}:  # names of other libraries
        if operation_name(name) in OPERATIONS:
            out[ops == name] = OPERATIONS.index(operation_name(name))
    return out


def _packed_labels(labels: NDArray[Any]) -> NDArray[np.int16]:
    """(n,) labels of five vertices in base 3, missing vertices as 0, from (n, 0 to 5) labels."""
    number: NDArray[np.int16] = labels.astype(np.int16) @ _LABEL_WEIGHTS[: labels.shape[1]]
    return number


def _rows_of_codes(
    codes: NDArray[np.int32], number: NDArray[np.int16], size: int
) -> NDArray[np.int32]:
    """Rows of codes with packed labels, -1 where they are not one of the first `size` cells."""
    table, graphs = topologies(), labelled_graphs()
    topology = graphs.topology[codes]  # a code of -1 reads the last entry, overwritten below
    labelling = slot_map_labels()[graphs.slot_map[codes], number]
    rows: NDArray[np.int32] = table.row_of[table.first[topology] + labelling]
    rows[(codes < 0) | (topology < 0) | (rows >= size)] = -1
    return rows


@cache
def _single_edges(vertices: int) -> NDArray[np.int32]:
    """(V (V - 1) / 2,) code of each single edge among V vertices."""
    used = {*range(vertices - 1), _OUTPUT}
    inside = [1 << bit for bit, edge in enumerate(EDGES) if used.issuperset(edge)]
    return np.array(inside, dtype=np.int32)


# -- perturbation ----


def perturbed(
    space: Space,
    rows: NDArray[np.int32],
    rng: np.random.Generator,
    edge_changes: float,
    op_changes: float,
) -> NDArray[np.int32]:
    """(n,) one try of `Space.mutate` for each row: -1 if it gives no cell, maybe the row itself."""
    table, edges = topologies(), _single_edges(space.vertices)
    p_edge, p_op = _chances(space.vertices, edge_changes, op_changes)
    subsets, first, count, placed, rank = _placements(space.vertices)
    topology = table.row_topology[rows]
    used = table.vertices[topology] - 2
    subset = subsets[first[used] + (rng.random(len(rows)) * count[used]).astype(np.intp)]
    codes = placed[topology, subset] ^ ((rng.random((len(rows), len(edges))) < p_edge) @ edges)
    own = labels_of_rows(rows)[np.arange(len(rows))[:, None], rank[subset]]
    labels = np.where(own < 0, rng.integers(0, 3, own.shape), own)
    # Adding 1 or 2 modulo 3 gives one of the other two operations.
    changed = rng.random(labels.shape) < p_op
    labels = (labels + changed * rng.integers(1, 3, labels.shape)) % 3
    return _rows_of_codes(codes, _packed_labels(labels), len(space))


def _chances(vertices: int, edge_changes: float, op_changes: float) -> tuple[float, float]:
    """Chance of a change of each edge and of each operation, for expected numbers of changes."""
    p_edge = min(1.0, edge_changes / len(_single_edges(vertices)))
    return p_edge, min(1.0, op_changes / (vertices - 2)) if vertices > 2 else 0.0


@cache
def _placements(vertices: int) -> tuple[NDArray[Any], ...]:
    """All placements of a topology's interior vertices in the V - 2 slots of a space.

    Returns:
        (2**slots,) subsets of the slots as bits, sorted by size; (6,) where each size starts and
        how many there are of it; (n_topologies, 2**slots) code of each topology in each subset;
        (2**slots, slots) rank of each slot in each subset. Outside the subset that is -1, the last
        of a cell's five slots, which only a cell that fills all of them uses.
    """
    table, slots = topologies(), vertices - 2
    inside = (np.arange(1 << slots)[:, None] >> np.arange(slots) & 1).astype(bool)
    size = inside.sum(axis=1)
    count = np.bincount(size, minlength=_SLOTS + 1)
    placed = np.zeros((len(table.code), 1 << slots), dtype=np.int32)
    for subset, slot_mask in enumerate(inside):
        fits = table.vertices - 2 == size[subset]
        slot_map = slot_maps()[tuple(np.flatnonzero(slot_mask).tolist())]
        placed[fits, subset] = moved(table.code[fits], slot_map)
    rank = np.where(inside, inside.cumsum(axis=1) - 1, -1)
    return np.argsort(size, kind="stable"), count.cumsum() - count, count, placed, rank


# -- neighbours ----
#
# Adding an edge can bring in a vertex that no path used before, so a small cell has as many
# neighbours as there are ways to attach unused vertices to it: 52,602 for the smallest. Growth is
# therefore limited to one vertex.


def _neighbours(row: int, space: Space) -> NDArray[np.int32]:
    """(n,) sorted neighbours of a row in a space."""
    table = topologies()
    topology = table.row_topology[[row]]
    slots = int(table.vertices[topology[0]]) - 2
    own = labels_of_rows(np.array([row]))[0, :slots].astype(np.int64)
    edges = _single_edges(space.vertices)
    found: list[tuple[NDArray[np.integer], int]] = []  # codes, and the labels of their vertices
    for mapping, which in slot_maps().items():
        if len(mapping) != slots or max(mapping, default=-1) > space.vertices - 3:
            continue
        code, places = moved(table.code[topology], which), list(mapping)
        if code[0] >> len(EDGES):  # an edge would point back
            continue
        number = int(own @ _LABEL_WEIGHTS[places])
        found.append((code ^ edges, number))
        for place in range(space.vertices - 2):
            weight = int(_LABEL_WEIGHTS[place])
            if place not in mapping:
                attached = code | _attachments(mapping, place)
                found += [(attached, number + label * weight) for label in range(3)]
            else:
                label = int(own[places.index(place)])
                found += [(code, number + (new - label) * weight) for new in range(3)]
    codes = np.concatenate([codes for codes, _ in found]).astype(np.int32)
    numbers = np.repeat([n for _, n in found], [len(codes) for codes, _ in found])
    every = np.unique(_rows_of_codes(codes, numbers, len(space)))
    distinct: NDArray[np.int32] = every[(every >= 0) & (every != row)]
    return distinct


@cache
def _attachments(mapping: tuple[int, ...], place: int) -> NDArray[np.int32]:
    """Codes of the edges by which a new vertex may join: one on one side, any on the other."""
    vertex, others = place + 1, [0, *sorted(slot + 1 for slot in mapping), _OUTPUT]
    sides = (
        [1 << EDGE_BIT[other, vertex] for other in others if other < vertex],
        [1 << EDGE_BIT[vertex, other] for other in others if other > vertex],
    )
    codes = set()
    for single, several in (sides, sides[::-1]):
        for chosen in product((0, 1), repeat=len(several)):
            many = sum(compress(several, chosen))
            codes |= {one | many for one in single if many}
    return np.array(sorted(codes), dtype=np.int32)

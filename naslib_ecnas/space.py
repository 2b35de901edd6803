"""The space of cells: every cell of up to V vertices in a fixed order, on which all else counts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.cell import Cell
from naslib_ecnas.errors import ConfigError, InvalidCellError, UnknownCellError
from naslib_ecnas.nasbench_hash import as_text, digests, row_of
from naslib_ecnas.topologies import (
    EDGES,
    MAX_VERTICES,
    OPERATIONS,
    labelled_graphs,
    moved,
    slot_map_labels,
    slot_maps,
    topologies,
)

__all__ = ["Space", "classified", "codes_of", "labels_of", "neighbours", "number_of", "packed"]


# Cells one edge or one operation apart, whatever way they are drawn.
#
# Adding an edge can bring in a vertex that no path used before, so a small cell has as many
# neighbours as there are ways to hang unused vertices to it: 52,602 for the smallest. Growth is
# therefore held to one vertex at a time; shrinking goes as far as pruning takes it.


_SLOTS = MAX_VERTICES - 2

#: In a step, a slot whose operation was free before: its vertex was on no path.
_FREE = _SLOTS


def neighbours(row: int, vertices: int) -> NDArray[np.int32]:
    """(n,) sorted neighbours of a row among the cells of up to `vertices` vertices."""
    table = topologies()
    topology = int(table.row_topology[row])
    slots = int(table.vertices[topology]) - 2
    first = int(table.first[topology])
    class_of = table.row_of[first : first + 3**slots]
    # Automorphisms give one cell several labellings; an edge may suit any of them.
    labellings = np.flatnonzero(class_of == row)
    digits = labellings[:, None] // 3 ** np.arange(slots - 1, -1, -1) % 3

    found = []
    for slot in range(slots):
        weight = 3 ** (slots - 1 - slot)
        for change in (1, 2):
            turned = (digits[0, slot] + change) % 3
            found.append(class_of[labellings[0] + (turned - digits[0, slot]) * weight])
    by_edge = [_after(digits, target, sources) for target, sources in _steps(topology, vertices)]
    every = np.concatenate([np.array(found, dtype=np.int32), *by_edge])
    distinct: NDArray[np.int32] = np.unique(every[every != row])
    return distinct


def _after(digits: NDArray[np.int64], target: int, sources: tuple[int, ...]) -> NDArray[np.int32]:
    """Rows of a target topology whose slots take the operations of `sources`."""
    table = topologies()
    numbers = np.zeros(len(digits), dtype=np.int64)
    for source in sources:
        if source == _FREE:
            numbers = (numbers.reshape(-1, 1) * 3 + np.arange(3)).ravel()
        else:
            copies = len(numbers) // len(digits)
            numbers = numbers * 3 + np.repeat(digits[:, source], copies)
    rows: NDArray[np.int32] = table.row_of[int(table.first[target]) + numbers]
    return rows


@lru_cache(maxsize=4096)
def _steps(topology: int, vertices: int) -> tuple[tuple[int, tuple[int, ...]], ...]:
    """What flipping one edge of any drawing of a topology leads to.

    Returns:
        Distinct pairs of the topology reached and, for each of its slots, the slot of the
        first topology that the vertex was, or `_FREE`.
    """
    raw = labelled_graphs()
    order, start = _graphs_by_topology(vertices)
    codes = order[start[topology] : start[topology + 1]]
    codes = codes[_loose_vertices(codes) <= 1]
    maps = _sources()[raw.slot_map[codes]]
    size = topologies().vertices
    reached: set[tuple[int, ...]] = set()
    for bit, (i, j) in enumerate(EDGES):
        if not _within(vertices, i, j):
            continue
        flipped = codes ^ (1 << bit)
        target = raw.topology[flipped]
        ok = (target >= 0) & (size[target] <= size[topology] + 1)
        # Raw slot of each slot of the target, then the old slot that sat there.
        after = _padded_maps()[raw.slot_map[flipped[ok]]]
        sources = np.take_along_axis(maps[ok], after, axis=1)
        joined = np.column_stack([target[ok], sources])
        reached.update(map(tuple, np.unique(joined, axis=0).tolist()))
    return tuple(sorted({(t, tuple(s[: int(size[t]) - 2])) for t, *s in reached}))


def _loose_vertices(codes: NDArray[np.int32]) -> NDArray[np.int64]:
    """(n,) interior vertices that have an edge but lie on no path."""
    live = (_sources()[labelled_graphs().slot_map[codes]][:, :_SLOTS] != _FREE).astype(np.int64)
    count = np.zeros(len(codes), dtype=np.int64)
    for slot in range(_SLOTS):
        edges = sum(1 << b for b, edge in enumerate(EDGES) if slot + 1 in edge)
        count += ((codes & edges) != 0) & (live[:, slot] == 0)
    return count


def _within(vertices: int, i: int, j: int) -> bool:
    return all(v < vertices - 1 or v == MAX_VERTICES - 1 for v in (i, j))


@lru_cache(maxsize=MAX_VERTICES)
def _graphs_by_topology(vertices: int) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
    """Codes within the first V vertices sorted by topology, and where each topology starts."""
    topology = labelled_graphs().topology
    outside = sum(1 << b for b, (i, j) in enumerate(EDGES) if not _within(vertices, i, j))
    codes = np.arange(len(topology), dtype=np.int32)
    codes = codes[(codes & outside == 0) & (topology >= 0)]
    order = codes[np.argsort(topology[codes], kind="stable")]
    bounds = np.arange(len(topologies().code) + 1)
    return order, np.searchsorted(topology[order], bounds)


@lru_cache(maxsize=1)
def _padded_maps() -> NDArray[np.int64]:
    """(n_maps, 5) raw slot of each slot; 5, a slot that is never used, past the last."""
    return np.array([[*m, *[_SLOTS] * (_SLOTS - len(m))] for m in slot_maps()], dtype=np.int64)


@lru_cache(maxsize=1)
def _sources() -> NDArray[np.int64]:
    """(n_maps, 6) slot that sits at each raw slot, `_FREE` where none does."""
    out = np.full((len(slot_maps()), _SLOTS + 1), _FREE, dtype=np.int64)
    for index, mapping in enumerate(slot_maps()):
        for slot, raw in enumerate(mapping):
            out[index, raw] = slot
    return out


# From raw matrices and operations, as arrays, to codes and labels.


_OUTPUT = MAX_VERTICES - 1


def codes_of(matrices: NDArray[Any]) -> NDArray[np.int32]:
    """Codes of (n, v, v) matrices, -1 where not 0/1 or not upper triangular."""
    n, v = matrices.shape[:2]
    if matrices.dtype.kind in "iu" and matrices.dtype.itemsize == 1:
        flat = matrices.reshape(n, v * v).view(np.uint8)
        binary = None if n == 0 or flat.max() <= 1 else (flat <= 1).all(axis=1)
    else:
        entries = matrices.reshape(n, v * v)
        flat = (entries != 0).view(np.uint8)
        clean = matrices.dtype == bool or bool(((entries == 0) | (entries == 1)).all())
        binary = None if clean else ((entries == 0) | (entries == 1)).all(axis=1)
    packed = np.packbits(flat, axis=1)
    luts = _bit_luts(v)
    codes: NDArray[np.int32] = luts[0][packed[:, 0]]
    for byte in range(1, packed.shape[1]):
        codes |= luts[byte][packed[:, byte]]
    codes[codes >> 21 != 0] = -1
    if binary is not None:
        codes[~binary] = -1
    return codes


@cache
def _bit_luts(v: int) -> NDArray[np.int32]:
    """(bytes, 256) part of the code in each byte of a packed matrix; bit 21 marks a bad entry."""
    n_bytes = (v * v + 7) // 8
    luts = np.zeros((n_bytes, 256), dtype=np.int32)
    bits = {edge: bit for bit, edge in enumerate(EDGES)}
    for entry in range(v * v):
        i, j = divmod(entry, v)
        a, b = (_OUTPUT if x == v - 1 else x for x in (i, j))
        image = 1 << bits[a, b] if i < j else 1 << len(EDGES)
        byte, place = divmod(entry, 8)
        luts[byte, (np.arange(256) >> (7 - place) & 1).astype(bool)] |= image
    return luts


def labels_of(ops: NDArray[Any]) -> NDArray[Any]:
    if ops.dtype.kind in "iu":
        return ops
    out = np.full(ops.shape, -1, dtype=np.int64)
    for label, name in enumerate(OPERATIONS):
        out[ops == name] = label
    return out


# From raw matrices and operations to rows: packed into numbers, then looked up.


_CHUNK = 1 << 16


def packed(
    matrices: NDArray[Any], ops: NDArray[Any]
) -> tuple[NDArray[np.int32], NDArray[np.int16]]:
    """Codes (-1 where not a binary upper-triangular matrix) and packed labels of five slots."""
    v = matrices.shape[-1] if matrices.ndim == 3 else 0
    if matrices.ndim != 3 or matrices.shape[1] != v or not 2 <= v <= MAX_VERTICES:
        raise InvalidCellError(
            "the matrices are not a stack of square ones",
            rule="not-square",
            value=matrices.shape,
            expected=f"shape (n, v, v) with 2 <= v <= {MAX_VERTICES}",
            remedy="use Cell for a single or larger matrix",
        )
    if ops.shape != (len(matrices), v - 2):
        raise InvalidCellError(
            "the operations do not fit the matrices",
            rule="operation-count",
            value=ops.shape,
            expected=f"shape ({len(matrices)}, {v - 2}), interior vertices only",
            remedy="leave the input and the output out",
        )
    codes = np.empty(len(matrices), dtype=np.int32)
    for start in range(0, len(matrices), _CHUNK):
        part = slice(start, start + _CHUNK)
        codes[part] = codes_of(matrices[part])
    labels = labels_of(ops)
    wrong = ((labels < 0) | (labels > 2)).any(axis=1) if v > 2 else np.zeros(len(ops), bool)
    if wrong.any():
        # An unknown operation counts only where pruning leaves it, as in NAS-Bench-101.
        codes[wrong] = _without_wrong(codes[wrong], labels[wrong])
        labels = np.where((labels < 0) | (labels > 2), 0, labels)
    return codes, number_of(labels)


def _without_wrong(codes: NDArray[np.int32], labels: NDArray[np.int64]) -> NDArray[np.int32]:
    table = labelled_graphs()
    maps = _live_slots()[table.slot_map[np.maximum(codes, 0)]]
    wrong = (labels < 0) | (labels > 2)
    live = (maps[:, None] >> np.arange(labels.shape[1])) & 1 != 0
    return np.where((wrong & live).any(axis=1), -1, codes)


def number_of(labels: NDArray[Any]) -> NDArray[np.int16]:
    """(n,) labels of up to five slots as one number in base 3, the missing slots 0."""
    number = np.zeros(len(labels), dtype=np.int16)
    for slot in range(_SLOTS):
        number *= 3
        if slot < labels.shape[1]:
            number += labels[:, slot].astype(np.int16)
    return number


def classified(codes: NDArray[np.int32], number: NDArray[np.int16], size: int) -> NDArray[np.int32]:
    """Rows of codes and packed five-slot labels, -1 where there is none."""
    table, raw = topologies(), labelled_graphs()
    topology = raw.topology[codes]  # a code of -1 reads the last entry, masked below
    labelling = slot_map_labels()[raw.slot_map[codes], number]
    rows: NDArray[np.int32] = table.row_of[table.first[topology] + labelling]
    rows[(codes < 0) | (topology < 0) | (rows >= size)] = -1
    return rows


@cache
def _live_slots() -> NDArray[np.int64]:
    """(n_maps,) bit mask of the raw slots that each slot map keeps."""
    return np.array([sum(1 << s for s in m) for m in slot_maps()], dtype=np.int64)


# Below this chance of a change, drawing until something changes would not end soon.
_LEAST_RATE = 1e-4

_MOST_ROUNDS = 20_000


class Space:
    """All cells of up to `vertices` vertices and nine edges, in a fixed order of rows.

    Rows are sorted by vertices, then by topology, then by operations, so the cells of a smaller
    space are the first rows of a larger one, and a row means the same cell in all of them.

    Args:
        vertices: largest number of vertices, 2 to 7. EC-NAS's spaces are 4 (91 cells), 5
            (2,532) and 7 (423,624).
    """

    def __init__(self, vertices: int = MAX_VERTICES) -> None:
        if isinstance(vertices, bool) or vertices not in range(2, MAX_VERTICES + 1):
            raise InvalidCellError(
                "no such space",
                rule="too-many-vertices",
                value=vertices,
                expected=f"2 to {MAX_VERTICES} vertices",
                remedy="EC-NAS has 4, 5 and 7",
            )
        self.vertices = int(vertices)
        table = topologies()
        self._size = int(np.searchsorted(table.vertices[table.row_topology], vertices, "right"))

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

    # -- one cell ---------------------------------------------------------------------------

    def cell(self, row: int) -> Cell:
        """The cell of a row.

        Raises:
            UnknownCellError: the row is not of this space.
        """
        if not isinstance(row, (int, np.integer)) or not 0 <= row < self._size:
            raise UnknownCellError(
                f"no such row in {self!r}",
                value=row,
                expected=f"0 to {self._size - 1}",
                remedy="take rows from this space's rows, row or sample",
            )
        return Cell.from_row(int(row))

    def row(self, cell: Any, ops: Sequence[str] | None = None) -> int:
        """The row of a cell, or of anything that `Cell` accepts.

        Matrices that came before are remembered, so asking again costs about a microsecond.

        Raises:
            InvalidCellError: it is no cell.
            UnknownCellError: it has more vertices than this space.
        """
        if ops is None:
            if not isinstance(cell, Cell):
                cell = Cell(cell)
            row = int(cell.row)
        else:
            try:
                row = _seen[cell.tobytes(), cell.shape, cell.dtype, tuple(ops)]
            except (KeyError, AttributeError, TypeError):  # new, no array, odd operations
                row = _row_of_matrix(cell, ops)
        if row >= self._size:
            raise UnknownCellError(
                f"the cell has more vertices than {self!r}",
                value=Cell.from_row(row).vertices,
                expected=f"at most {self.vertices}",
                remedy="use a larger space",
            )
        return row

    def row_of_hash(self, nasbench_hash: str) -> int:
        """The row of a NAS-Bench-101 MD5 hash.

        The first call on a space of seven vertices computes all hashes (about a minute) and
        keeps them in the cache folder.

        Raises:
            UnknownCellError: no cell of this space has the hash.
        """
        row = row_of(nasbench_hash, self._size)
        if row is None:
            raise UnknownCellError(
                f"no cell of {self!r} has this hash",
                value=nasbench_hash,
                expected="a NAS-Bench-101 MD5 of 32 hexadecimal digits",
                remedy="a cell of more vertices needs a larger space",
            )
        return row

    def cell_of_hash(self, nasbench_hash: str) -> Cell:
        """The cell of a NAS-Bench-101 MD5 hash.

        Raises:
            UnknownCellError: no cell of this space has the hash.
        """
        return self.cell(self.row_of_hash(nasbench_hash))

    def hashes(self) -> NDArray[np.str_]:
        """(n_cells,) NAS-Bench-101 MD5 hashes as text, in row order.

        Exact; computed once for each cache folder (about a minute for seven vertices).
        """
        return as_text(digests(self._size))

    # -- many cells -------------------------------------------------------------------------

    def rows(self, matrices: ArrayLike, ops: ArrayLike) -> NDArray[np.int32]:
        """Rows of raw, unpruned matrices.

        Args:
            matrices: (n, v, v) with 2 <= v <= 7, 0/1 entries.
            ops: (n, v - 2) operations of the interior vertices: integer labels in the order of
                `topologies.OPERATIONS` (conv3x3 0, conv1x1 1, maxpool3x3 2), or their names.

        Returns:
            (n,) int32 rows, -1 where a matrix is no cell of this space.

        Raises:
            InvalidCellError: the arrays do not have these shapes.
        """
        try:
            arrays = np.asarray(matrices), np.asarray(ops)
        except ValueError as error:  # nested lists of different lengths
            raise InvalidCellError(
                f"the matrices or the operations are no array ({error})",
                rule="not-square",
                expected="matrices (n, v, v) and operations (n, v - 2)",
                remedy="pad them to one size, or use Cell for each",
            ) from error
        codes, labels = packed(*arrays)
        return classified(codes, labels, self._size)

    def matrices(self, rows: ArrayLike) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
        """Canonical matrices and labels of rows, embedded in this space's V x V matrices.

        Returns:
            (n, V, V) int8 matrices whose output is the last vertex and whose unused vertices
            are empty, and (n, V - 2) int8 labels, -1 on unused vertices.
        """
        rows = self._checked(rows)
        table = topologies()
        topology = table.row_topology[rows]
        out = np.zeros((len(rows), self.vertices, self.vertices), dtype=np.int8)
        for bit, (i, j) in enumerate(EDGES):
            if self._uses(i, j):
                target = self.vertices - 1 if j == _OUTPUT else j
                out[:, i, target] = table.code[topology] >> bit & 1
        slots = table.vertices[topology].astype(np.int64) - 2
        number = table.row_ops[rows].astype(np.int64)
        labels = np.empty((len(rows), self.vertices - 2), dtype=np.int8)
        for slot in range(self.vertices - 2):
            digit = number // 3 ** np.maximum(slots - 1 - slot, 0) % 3
            labels[:, slot] = np.where(slot < slots, digit, -1)
        return out, labels

    def sample(self, rng: np.random.Generator, n: int) -> NDArray[np.int32]:
        """(n,) rows drawn uniformly over the distinct cells, with replacement.

        Raises:
            ConfigError: n is negative, or rng is no generator.
        """
        if (
            not isinstance(rng, np.random.Generator)
            or not isinstance(n, (int, np.integer))
            or n < 0
        ):
            raise ConfigError(
                "cannot sample",
                value=(rng, n),
                expected="sample(rng, n) with a numpy Generator and n >= 0",
                remedy="make a generator: numpy.random.default_rng(seed)",
            )
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
        `edge_changes` flips on average, each interior vertex is given another operation with
        the probability that gives `op_changes` changes on average, and both are repeated until
        the cell is a valid and a different one. A cell of fewer vertices is first laid out at
        random among the V vertices, its unused vertices with random operations, so that it can
        grow.

        Args:
            rows: (n,) rows of this space.
            rng: source of randomness.
            edge_changes: expected number of flipped edges.
            op_changes: expected number of changed operations.

        Returns:
            (n,) rows, none equal to its parent.
        """
        parents = self._checked(rows)
        slots = self.vertices - 2
        edges = [b for b, (i, j) in enumerate(EDGES) if self._uses(i, j)]
        p_edge = min(1.0, edge_changes / len(edges))
        p_op = min(1.0, op_changes / slots) if slots else 0.0
        # Without edge changes the cell of two vertices, which has no operation, stays itself.
        stuck = self._size == 1 or (p_edge < _LEAST_RATE and bool((parents == 0).any()))
        rates = (edge_changes, op_changes)
        if stuck or not all(0 <= r < np.inf for r in rates) or max(p_edge, p_op) < _LEAST_RATE:
            raise ConfigError(
                "a mutation that changes nothing",
                value=(self, *rates),
                expected="a space of several cells, and finite rates of change, not both next to 0",
                remedy="leave edge_changes and op_changes at their defaults",
            )
        children = np.full(len(parents), -1, dtype=np.int32)
        todo = np.arange(len(parents))
        for _ in range(_MOST_ROUNDS):
            if not len(todo):
                return children
            codes, labels = self._laid_out(parents[todo], rng)
            flips = rng.random((len(todo), len(edges))) < p_edge
            codes ^= flips @ (1 << np.array(edges, dtype=np.int32))
            changed = rng.random(labels.shape) < p_op
            labels = np.where(changed, (labels + rng.integers(1, 3, labels.shape)) % 3, labels)
            found = classified(codes, number_of(labels), self._size)
            good = (found >= 0) & (found != parents[todo])
            children[todo[good]] = found[good]
            todo = todo[~good]
        raise ConfigError(
            f"no change was found in {_MOST_ROUNDS} rounds of mutation",
            value=(self, *rates),
            expected="rates of change that reach another cell",
            remedy="raise edge_changes or op_changes",
        )

    def neighbours(self, row: int) -> NDArray[np.int32]:
        """Rows one edge or one operation away: sorted, distinct, valid, without `row` itself.

        Counted are: any other operation at a vertex; any edge removed, and what no longer lies
        on a path with it; any edge added between two vertices, however the cell is drawn; and
        a new vertex with any operation that one edge connects when another one already hangs
        there. So cells can shrink, and grow by one vertex at a time, and the answer does not
        depend on how a cell is drawn.
        """
        self.cell(row)
        return neighbours(int(row), self.vertices)

    # -- packing ----------------------------------------------------------------------------

    def _uses(self, i: int, j: int) -> bool:
        """Whether the edge lies within this space's vertices when embedded."""
        return all(v < self.vertices - 1 or v == _OUTPUT for v in (i, j))

    def _checked(self, rows: ArrayLike) -> NDArray[np.int32]:
        array = np.atleast_1d(np.asarray(rows))
        if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
            raise UnknownCellError(
                "rows must be a vector of integers",
                value=(array.shape, str(array.dtype)),
                expected="shape (n,)",
                remedy="take rows from this space's rows, row or sample",
            )
        if array.size and (int(array.min()) < 0 or int(array.max()) >= self._size):
            bad = array[(array < 0) | (array >= self._size)][0]
            raise UnknownCellError(
                f"no such row in {self!r}",
                value=int(bad),
                expected=f"0 to {self._size - 1}",
                remedy="-1 stands for an invalid cell: leave those out",
            )
        return array.astype(np.int32)

    def _laid_out(
        self, rows: NDArray[np.int32], rng: np.random.Generator
    ) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """A random V-vertex drawing of each row: codes and (n, V - 2) labels."""
        table = topologies()
        topology = table.row_topology[rows]
        used = table.vertices[topology].astype(np.int64) - 2
        slots = self.vertices - 2
        codes = table.code[topology].copy()
        labels = rng.integers(0, 3, (len(rows), slots))
        # The `used` smallest of random keys are a uniform subset of the slots.
        keys = np.argsort(rng.random((len(rows), slots)), axis=1)
        chosen = np.zeros((len(rows), slots), dtype=bool)
        np.put_along_axis(chosen, keys, np.arange(slots) < used[:, None], axis=1)
        subset = chosen @ (1 << np.arange(slots)) if slots else np.zeros(len(rows), dtype=int)
        number = table.row_ops[rows].astype(np.int64)
        for value in np.unique(subset):
            at = np.flatnonzero(subset == value)
            places = [s for s in range(slots) if value >> s & 1]
            codes[at] = moved(codes[at], {a + 1: b + 1 for a, b in enumerate(places)})
            for a, b in enumerate(places):
                labels[at, b] = number[at] // 3 ** (len(places) - 1 - a) % 3
        return codes, labels


# Rows of matrices that came before, by bytes, shape and type of the matrix and its operations.
_SEEN_LIMIT = 1 << 18

_seen: dict[tuple[bytes, tuple[int, ...], np.dtype[Any], tuple[str, ...]], int] = {}


def _row_of_matrix(matrix: Any, ops: Sequence[str]) -> int:
    row = Cell(matrix, ops).row
    if isinstance(matrix, np.ndarray) and matrix.dtype.kind in "iub":
        if len(_seen) >= _SEEN_LIMIT:
            _seen.clear()
        _seen[matrix.tobytes(), matrix.shape, matrix.dtype, tuple(ops)] = row
    return row

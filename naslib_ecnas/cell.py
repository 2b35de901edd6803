"""A cell: the graph with operations that NAS-Bench-101 calls a module, pruned and canonical."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from math import isqrt
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.errors import InvalidCellError
from naslib_ecnas.nasbench_hash import cell_hash
from naslib_ecnas.topologies import (
    EDGE_BIT,
    MAX_EDGES,
    MAX_VERTICES,
    OPERATIONS,
    adjacency,
    canonical,
    topologies,
)

__all__ = ["INPUT", "OUTPUT", "Cell"]

INPUT = "input"
OUTPUT = "output"
_LABEL = {name: label for label, name in enumerate(OPERATIONS)}


class Cell:
    """A cell of NAS-Bench-101's space: immutable, hashable, the same for isomorphic graphs.

    The graph is pruned as in NAS-Bench-101 (vertices on no path from input to output are removed)
    and brought into one canonical order of vertices. Isomorphic cells are therefore equal and have
    the same hash and text.

    Args:
        matrix: a square upper-triangular 0/1 adjacency matrix, (v, v), as an array or nested
            lists; or a text `"<row-major bits>:<op,op,...>"` as `str(cell)` prints it; or an
            object with `original_matrix` (or `matrix`) and `original_ops` (or `ops`), such as
            NAS-Bench-101's `ModelSpec`; or a `Cell`.
        ops: v operation names, `"input"` first, `"output"` last, the others of `OPERATIONS`.
            Only given if `matrix` is a matrix.

    Raises:
        InvalidCellError: its attribute `rule` names the first broken rule.

    Example:
        >>> cell = Cell([[0, 1, 1], [0, 0, 1], [0, 0, 0]], ["input", "maxpool3x3", "output"])
        >>> print(cell)
        011001000:input,maxpool3x3,output
        >>> cell == Cell("0110000100000000:input,maxpool3x3,maxpool3x3,output")
        False
    """

    __slots__ = ("__dict__", "_labels", "_topology")

    _topology: int
    _labels: tuple[int, ...]

    def __init__(self, matrix: Any, ops: Sequence[str] | None = None) -> None:
        if ops is None:
            matrix, ops = _parts(matrix)
        self._set(*_canonicalised(matrix, ops))

    def _set(self, topology: int, labels: tuple[int, ...]) -> None:
        object.__setattr__(self, "_topology", topology)
        object.__setattr__(self, "_labels", labels)

    @classmethod
    def from_row(cls, row: int) -> Cell:
        """The cell of a row of the 7-vertex space (smaller spaces are its first rows).

        Raises:
            InvalidCellError: no cell has this row.
        """
        table = topologies()
        size = len(table.row_topology)
        if not isinstance(row, (int, np.integer)) or not 0 <= row < size:
            raise InvalidCellError(f"a row must be 0 to {size - 1}", rule="syntax", value=row)
        topology = int(table.row_topology[row])
        slots = int(table.vertices[topology]) - 2
        cell = cls.__new__(cls)
        cell._set(topology, _unpacked(int(table.row_ops[row]), slots))
        return cell

    @cached_property
    def row(self) -> int:
        """Row of this cell, the same in every space that contains it."""
        table = topologies()
        return int(table.row_of[int(table.first[self._topology]) + _packed(self._labels)])

    @property
    def vertices(self) -> int:
        """Number of vertices after pruning, input and output included: 2 to 7."""
        return len(self._labels) + 2

    @property
    def edges(self) -> int:
        """Number of edges after pruning: 1 to 9."""
        return int(topologies().code[self._topology]).bit_count()

    @property
    def ops(self) -> tuple[str, ...]:
        """Operation names in canonical order, `"input"` first and `"output"` last."""
        return (INPUT, *(OPERATIONS[label] for label in self._labels), OUTPUT)

    @cached_property
    def matrix(self) -> NDArray[np.int8]:
        """(v, v) int8 adjacency matrix in canonical order, read-only."""
        out: NDArray[np.int8] = adjacency(self.vertices)[self._topology].astype(np.int8)
        out.flags.writeable = False
        return out

    @cached_property
    def nasbench_hash(self) -> str:
        """NAS-Bench-101's MD5 of this cell, 32 hexadecimal digits."""
        return cell_hash(self.matrix.tolist(), self._labels)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Cell):
            return NotImplemented
        return self._topology == other._topology and self._labels == other._labels

    def __hash__(self) -> int:
        return hash((self._topology, self._labels))

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a Cell is immutable: {name} cannot be set")

    def __str__(self) -> str:
        bits = "".join(map(str, self.matrix.ravel().tolist()))
        return f"{bits}:{','.join(self.ops)}"

    def __repr__(self) -> str:
        return f"Cell({str(self)!r})"

    def __reduce__(self) -> tuple[type[Cell], tuple[str]]:
        return (Cell, (str(self),))


# -- from any input to topology and labels ----


def _canonicalised(matrix: Any, ops: Sequence[str]) -> tuple[int, tuple[int, ...]]:
    """Topology and smallest labelling of a raw matrix; checks every rule."""
    rows = _successors(matrix)
    names = _operations(ops, len(rows))
    kept = _on_a_path(rows)
    edges = sum(rows[i] >> j & 1 for i in kept for j in kept)
    for found, most, what in ((len(kept), MAX_VERTICES, "vertices"), (edges, MAX_EDGES, "edges")):
        if found > most:
            message = f"a cell has at most {most} {what} after pruning"
            raise InvalidCellError(message, rule=f"too-many-{what}", value=found)
    labels = [_label(names[v], v) for v in kept[1:-1]]
    place = [*range(len(kept) - 1), MAX_VERTICES - 1]
    code = 0
    for a, i in enumerate(kept):
        for b in range(a + 1, len(kept)):
            if rows[i] >> kept[b] & 1:
                code |= 1 << EDGE_BIT[place[a], place[b]]
    topology, order = canonical(code)
    ordered = [0] * len(labels)
    for a, b in enumerate(order):
        ordered[b] = labels[a]
    table = topologies()
    number = int(table.first[topology]) + _packed(ordered)
    # `row_ops` holds the smallest of all equivalent labellings.
    return topology, _unpacked(int(table.row_ops[table.row_of[number]]), len(labels))


def _packed(labels: Sequence[int]) -> int:
    number = 0
    for label in labels:
        number = number * 3 + label
    return number


def _unpacked(number: int, slots: int) -> tuple[int, ...]:
    return tuple(number // 3 ** (slots - 1 - s) % 3 for s in range(slots))


def _parts(source: Any) -> tuple[Any, Sequence[str]]:
    """Matrix and operations of a text, an object such as a ModelSpec, or a Cell."""
    if isinstance(source, str):
        return _parse(source)
    for matrix_name, ops_name in (("original_matrix", "original_ops"), ("matrix", "ops")):
        matrix = getattr(source, matrix_name, None)
        ops = getattr(source, ops_name, None) or getattr(source, "ops", None)
        if matrix is not None and ops is not None:
            return matrix, ops
    message = "a cell needs a matrix and operations, a text, or an object with .matrix and .ops"
    raise InvalidCellError(message, rule="syntax", value=source)


def _parse(text: str) -> tuple[list[list[int]], list[str]]:
    bits, colon, names = text.strip().partition(":")
    side = isqrt(len(bits))
    if not colon or not bits or set(bits) - {"0", "1"} or side * side != len(bits):
        message = "a cell's text has the form '011001000:input,maxpool3x3,output'"
        raise InvalidCellError(message, rule="syntax", value=text)
    rows = [[int(b) for b in bits[i : i + side]] for i in range(0, len(bits), side)]
    return rows, [name.strip() for name in names.split(",")]


def _successors(matrix: Any) -> list[int]:
    """Bit mask of the successors of each vertex."""
    try:
        array = np.asarray(matrix)
    except ValueError:  # rows of different lengths
        array = np.empty(0)
    if array.ndim != 2 or array.shape[0] != array.shape[1] or array.shape[0] < 2:
        value = array.shape if array.size else matrix
        message = "the matrix must be square, of shape (v, v) with v >= 2"
        raise InvalidCellError(message, rule="not-square", value=value)
    masks = []
    for i, row in enumerate(array.tolist()):
        mask = 0
        for j, entry in enumerate(row):
            if entry == 0:
                continue
            if entry != 1:
                message = f"entry ({i}, {j}) of the matrix must be 0 or 1"
                raise InvalidCellError(message, rule="not-binary", value=entry)
            if j <= i:
                message = f"the matrix must be upper triangular, but entry ({i}, {j}) is not 0"
                raise InvalidCellError(message, rule="not-upper-triangular")
            mask |= 1 << j
        masks.append(mask)
    return masks


def _operations(ops: Any, vertices: int) -> list[str]:
    """The names as a list, of the right number, from input to output."""
    try:
        names = list(ops)
    except TypeError:
        names = []
    if len(names) != vertices:
        message = f"a matrix of {vertices} vertices needs {vertices} operations"
        raise InvalidCellError(message, rule="operation-count", value=len(names) or ops)
    for vertex, wanted in ((0, INPUT), (-1, OUTPUT)):
        if names[vertex] != wanted:
            place = "first" if vertex == 0 else "last"
            message = f"the {place} operation must be {wanted!r}"
            raise InvalidCellError(message, rule="wrong-operation", value=names[vertex])
    return names


def _label(name: Any, vertex: int) -> int:
    if not isinstance(name, str) or name not in _LABEL:
        message = f"the operation of vertex {vertex} must be one of {', '.join(OPERATIONS)}"
        raise InvalidCellError(message, rule="wrong-operation", value=name)
    return _LABEL[name]


def _on_a_path(rows: list[int]) -> list[int]:
    """Vertices on a path from the first vertex to the last, ascending."""
    last = len(rows) - 1
    forward, backward = 1, 1 << last
    for i, mask in enumerate(rows):  # edges lead forwards, so one pass reaches everything
        if forward >> i & 1:
            forward |= mask
    for i in range(last, -1, -1):
        if rows[i] & backward:
            backward |= 1 << i
    live = forward & backward
    if not live:
        message = "the matrix must have a path from the first vertex to the last"
        value = [[mask >> j & 1 for j in range(last + 1)] for mask in rows]
        raise InvalidCellError(message, rule="output-unreachable", value=value)
    return [v for v in range(last + 1) if live >> v & 1]

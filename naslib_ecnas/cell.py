"""A cell: the pruned, canonical graph with operations that NAS-Bench-101 calls a module."""

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
    EDGES,
    MAX_EDGES,
    MAX_VERTICES,
    OPERATIONS,
    canonical,
    topologies,
)

__all__ = ["INPUT", "OUTPUT", "Cell"]

INPUT = "input"
OUTPUT = "output"
_OP_INDEX = {name: i for i, name in enumerate(OPERATIONS)}


class Cell:
    """A cell of NAS-Bench-101's space: frozen, pruned, canonical, hashable.

    Whatever it is made from, it is pruned as NAS-Bench-101 prunes (vertices on no path from
    input to output go) and brought into one canonical order, so that isomorphic cells are equal,
    hash alike and print alike.

    Args:
        matrix: a square upper-triangular 0/1 adjacency matrix, (v, v), as an array or nested
            lists; or a text `"<row-major bits>:<op,op,...>"` as `str(cell)` prints it; or an
            object with `original_matrix` (or `matrix`) and `original_ops` (or `ops`), such as
            NAS-Bench-101's `ModelSpec`; or a `Cell`.
        ops: v operation names, `"input"` first, `"output"` last, the others of `OPERATIONS`.
            Left out unless `matrix` is a matrix.

    Raises:
        InvalidCellError: with the rule that was broken (its attribute `rule`).

    Example:
        >>> cell = Cell([[0, 1, 1], [0, 0, 1], [0, 0, 0]], ["input", "maxpool3x3", "output"])
        >>> print(cell)
        011001000:input,maxpool3x3,output
        >>> cell == Cell("0110000100000000:input,maxpool3x3,maxpool3x3,output")
        False
    """

    __slots__ = ("__dict__", "_code", "_labels", "_topology")

    _topology: int
    _code: int
    _labels: tuple[int, ...]

    def __init__(self, matrix: Any, ops: Sequence[str] | None = None) -> None:
        if ops is None:
            matrix, ops = _parts(matrix)
        topology, labels = canonicalise(matrix, ops)
        self._set(topology, labels)

    def _set(self, topology: int, labels: tuple[int, ...]) -> None:
        object.__setattr__(self, "_topology", topology)
        object.__setattr__(self, "_code", int(topologies().code[topology]))
        object.__setattr__(self, "_labels", labels)

    @classmethod
    def from_row(cls, row: int) -> Cell:
        """The cell of a row of the 7-vertex space (the smaller spaces are its first rows)."""
        table = topologies()
        if not isinstance(row, (int, np.integer)) or not 0 <= row < len(table.row_topology):
            raise InvalidCellError(
                "no such row",
                rule="syntax",
                value=row,
                expected=f"0 to {len(table.row_topology) - 1}",
                remedy="take rows from Space.row, Space.rows or Space.sample",
            )
        topology = int(table.row_topology[row])
        slots = int(table.vertices[topology]) - 2
        cell = cls.__new__(cls)
        cell._set(topology, _unpacked(int(table.row_ops[row]), slots))
        return cell

    @cached_property
    def row(self) -> int:
        """Row of this cell in every space that holds it."""
        table = topologies()
        return int(table.row_of[int(table.first[self._topology]) + _packed(self._labels)])

    @property
    def vertices(self) -> int:
        """Vertices after pruning, input and output included: 2 to 7."""
        return len(self._labels) + 2

    @property
    def edges(self) -> int:
        """Edges after pruning: 1 to 9."""
        return self._code.bit_count()

    @property
    def ops(self) -> tuple[str, ...]:
        """Operation names in canonical order, `"input"` first and `"output"` last."""
        return (INPUT, *(OPERATIONS[label] for label in self._labels), OUTPUT)

    @cached_property
    def matrix(self) -> NDArray[np.int8]:
        """(v, v) int8 adjacency matrix in canonical order, read-only."""
        v = self.vertices
        out = np.zeros((v, v), dtype=np.int8)
        for bit, (i, j) in enumerate(EDGES):
            if self._code >> bit & 1:
                out[i, v - 1 if j == MAX_VERTICES - 1 else j] = 1
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
        raise AttributeError(f"a Cell is frozen; {name} cannot be set. Make a new Cell instead")

    def __str__(self) -> str:
        bits = "".join(map(str, self.matrix.ravel().tolist()))
        return f"{bits}:{','.join(self.ops)}"

    def __repr__(self) -> str:
        return f"Cell({str(self)!r})"

    def __reduce__(self) -> tuple[type[Cell], tuple[str]]:
        return (Cell, (str(self),))


def canonicalise(matrix: Any, ops: Sequence[str]) -> tuple[int, tuple[int, ...]]:
    """Topology and least labelling of a raw matrix.

    Raises:
        InvalidCellError: with the first rule that is broken.
    """
    rows = _successors(matrix)
    names = _operations(ops, len(rows))
    kept = _on_a_path(rows)
    if len(kept) > MAX_VERTICES:
        raise InvalidCellError(
            "too many vertices after pruning",
            rule="too-many-vertices",
            value=len(kept),
            expected=f"at most {MAX_VERTICES}",
            remedy="remove vertices that lie on a path from input to output",
        )
    edges = sum((rows[i] >> j & 1) for i in kept for j in kept)
    if edges > MAX_EDGES:
        raise InvalidCellError(
            "too many edges after pruning",
            rule="too-many-edges",
            value=edges,
            expected=f"at most {MAX_EDGES}",
            remedy="remove edges that lie on a path from input to output",
        )
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
    # The labelling of the row is the least of its class.
    return topology, _unpacked(int(table.row_ops[table.row_of[number]]), len(labels))


def _packed(labels: Sequence[int]) -> int:
    number = 0
    for label in labels:
        number = number * 3 + label
    return number


def _unpacked(number: int, slots: int) -> tuple[int, ...]:
    return tuple(number // 3 ** (slots - 1 - s) % 3 for s in range(slots))


def _parts(source: Any) -> tuple[Any, Sequence[str]]:
    """Matrix and operations of a text, a ModelSpec-like object or a Cell."""
    if isinstance(source, str):
        return _parse(source)
    for matrix_name, ops_name in (("original_matrix", "original_ops"), ("matrix", "ops")):
        matrix = getattr(source, matrix_name, None)
        ops = getattr(source, ops_name, None) or getattr(source, "ops", None)
        if matrix is not None and ops is not None:
            return matrix, ops
    raise InvalidCellError(
        "no operations were given",
        rule="syntax",
        value=source,
        expected="Cell(matrix, ops), a text '<bits>:<op,op,...>', or an object with .matrix and "
        ".ops",
        remedy="pass the operation names as the second argument",
    )


def _parse(text: str) -> tuple[list[list[int]], list[str]]:
    bits, colon, names = text.strip().partition(":")
    side = isqrt(len(bits))
    if not colon or not bits or set(bits) - {"0", "1"} or side * side != len(bits):
        raise InvalidCellError(
            "not the text of a cell",
            rule="syntax",
            value=text,
            expected="'<v*v bits, row by row>:<v operations, comma-separated>', such as "
            "'011001000:input,maxpool3x3,output'",
            remedy="print a Cell to see the form",
        )
    rows = [[int(b) for b in bits[i : i + side]] for i in range(0, len(bits), side)]
    return rows, [name.strip() for name in names.split(",")]


def _successors(matrix: Any) -> list[int]:
    """One bit mask of successors for each vertex of a checked matrix."""
    try:
        array = np.asarray(matrix)
    except ValueError:  # rows of different lengths
        array = np.empty(0)
    if array.ndim != 2 or array.shape[0] != array.shape[1] or array.shape[0] < 2:
        raise InvalidCellError(
            "the matrix is not square",
            rule="not-square",
            value=array.shape if array.size else matrix,
            expected="shape (v, v) with v >= 2",
            remedy="give one row and one column for each vertex, input and output included",
        )
    rows = array.tolist()
    masks = []
    for i, row in enumerate(rows):
        mask = 0
        for j, entry in enumerate(row):
            if entry == 0:
                continue
            if entry != 1:
                raise InvalidCellError(
                    f"entry ({i}, {j}) of the matrix is no edge flag",
                    rule="not-binary",
                    value=entry,
                    expected="0 or 1",
                    remedy="use 1 for an edge and 0 for none",
                )
            if j <= i:
                raise InvalidCellError(
                    f"the matrix is not upper triangular: it has an entry at ({i}, {j})",
                    rule="not-upper-triangular",
                    value=entry,
                    expected="edges from a vertex to a later one only",
                    remedy="number the vertices so that every edge goes forward",
                )
            mask |= 1 << j
        masks.append(mask)
    return masks


def _operations(ops: Any, vertices: int) -> list[str]:
    try:
        names = list(ops)
    except TypeError:
        names = []
    if len(names) != vertices:
        raise InvalidCellError(
            "the number of operations is not that of the vertices",
            rule="operation-count",
            value=len(names) or ops,
            expected=f"{vertices}, input and output included",
            remedy="name one operation for each row of the matrix",
        )
    for place, name, wanted in ((0, names[0], INPUT), (vertices - 1, names[-1], OUTPUT)):
        if name != wanted:
            raise InvalidCellError(
                f"wrong operation at vertex {place}",
                rule="wrong-operation",
                value=name,
                expected=repr(wanted),
                remedy="the first operation is the input, the last the output",
            )
    return names


def _label(name: Any, vertex: int) -> int:
    if not isinstance(name, str) or name not in _OP_INDEX:
        raise InvalidCellError(
            f"unknown operation at vertex {vertex}",
            rule="wrong-operation",
            value=name,
            expected=f"one of {', '.join(OPERATIONS)}",
            remedy="name the operations as NAS-Bench-101 does",
        )
    return _OP_INDEX[name]


def _on_a_path(rows: list[int]) -> list[int]:
    """Vertices on a path from the first vertex to the last, ascending."""
    last = len(rows) - 1
    forward, backward = 1, 1 << last
    for i, mask in enumerate(rows):  # edges go forward, so one pass reaches everything
        if forward >> i & 1:
            forward |= mask
    for i in range(last, -1, -1):
        if rows[i] & backward:
            backward |= 1 << i
    live = forward & backward
    if not live & 1:
        raise InvalidCellError(
            "the output cannot be reached from the input",
            rule="output-unreachable",
            value=[[mask >> j & 1 for j in range(last + 1)] for mask in rows],
            expected="a path from the first vertex to the last",
            remedy="add edges that lead from the input to the output",
        )
    return [v for v in range(last + 1) if live >> v & 1]

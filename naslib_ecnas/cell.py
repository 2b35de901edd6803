"""A cell: the graph with operations that NAS-Bench-101 calls a module, pruned and canonical."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from functools import cache, cached_property
from itertools import compress, product
from math import isqrt
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.errors import NO_ARRAY, InvalidCellError
from naslib_ecnas.nasbench_hash import cell_hash
from naslib_ecnas.topologies import (
    EDGE_BIT,
    MAX_EDGES,
    MAX_VERTICES,
    OPERATIONS,
    adjacency,
    edges_inside,
    pruned_graphs,
    slot_weights,
    topologies,
)

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

    __slots__ = ("__dict__", "row")

    row: int
    """Row of this cell, the same in every space that contains it."""

    def __init__(self, matrix: Any, ops: Sequence[str] | None = None) -> None:
        if ops is None:
            matrix, ops = _parts(matrix)
        row = _row(matrix, ops)
        object.__setattr__(self, "row", _row(*_pruned(matrix, ops)) if row is None else row)

    @classmethod
    def from_row(cls, row: int) -> Cell:
        """The cell of a row of the 7-vertex space (smaller spaces are its first rows).

        Raises:
            InvalidCellError: no cell has this row.
        """
        size = len(topologies().row_topology)
        if not isinstance(row, (int, np.integer)) or not 0 <= row < size:
            raise InvalidCellError(f"a row must be 0 to {size - 1}", rule="syntax", value=row)
        cell = cls.__new__(cls)
        object.__setattr__(cell, "row", int(row))
        return cell

    @property
    def vertices(self) -> int:
        """Number of vertices after pruning, input and output included: 2 to 7."""
        table = topologies()
        return int(table.vertices[table.row_topology[self.row]])

    @property
    def edges(self) -> int:
        """Number of edges after pruning: 1 to 9."""
        table = topologies()
        return int(table.code[table.row_topology[self.row]]).bit_count()

    @cached_property
    def ops(self) -> tuple[str, ...]:
        """Operation names in canonical order, `"input"` first and `"output"` last."""
        number = int(topologies().row_ops[self.row])
        powers = (3**slot for slot in reversed(range(self.vertices - 2)))
        return (INPUT, *(OPERATIONS[number // power % 3] for power in powers), OUTPUT)

    @cached_property
    def matrix(self) -> NDArray[np.int8]:
        """(v, v) int8 adjacency matrix in canonical order, read-only."""
        topology = topologies().row_topology[self.row]
        out: NDArray[np.int8] = adjacency(self.vertices)[topology].astype(np.int8)
        out.flags.writeable = False
        return out

    @cached_property
    def nasbench_hash(self) -> str:
        """NAS-Bench-101's MD5 of this cell, 32 hexadecimal digits."""
        return cell_hash(self.matrix.tolist(), [_LABEL[name] for name in self.ops[1:-1]])

    def __eq__(self, other: object) -> bool:
        return self.row == other.row if isinstance(other, Cell) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.row)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a Cell is immutable: {name} cannot be set")

    def __str__(self) -> str:
        bits = "".join(map(str, self.matrix.ravel().tolist()))
        return f"{bits}:{','.join(self.ops)}"

    def __repr__(self) -> str:
        return f"Cell({str(self)!r})"

    def __reduce__(self) -> tuple[type[Cell], tuple[str]]:
        return (Cell, (str(self),))


# -- from a matrix with operations to its row ----


def _row(matrix: Any, ops: Any) -> int | None:
    """Row of a matrix of up to seven vertices, None where `_pruned` has to look at it.

    A search asks for each new cell, so this takes a few lookups: of the code of each row of the
    matrix, of the graph's topology, and of each operation.
    """
    table = topologies()
    try:
        rows = matrix.tolist() if isinstance(matrix, np.ndarray) else matrix
        if len(ops) != len(rows) or ops[0] != INPUT or ops[-1] != OUTPUT:
            return None
        code = 0
        for row, known in zip(rows, _codes_of_rows()[len(rows)], strict=True):
            code |= known[tuple(row)]
        codes, starts, slot_maps, weights = _graphs()
        at = bisect_left(codes, code)
        if codes[at] != code:
            code = _without_dead_ends(code)
            at = bisect_left(codes, code)
            if codes[at] != code:
                return None
        number = starts[at]
        for name, weight in zip(ops[1:-1], weights[slot_maps[at]], strict=False):
            number += weight * _LABEL[name]
        return int(table.row_of[number])
    except (KeyError, IndexError, *NO_ARRAY):
        return None


@cache
def _codes_of_rows() -> list[list[dict[tuple[int, ...], int]]]:
    """For v vertices, the codes of the edges of each valid row of a (v, v) matrix."""
    valid: list[list[dict[tuple[int, ...], int]]] = []
    for v in range(MAX_VERTICES + 1):
        place = [*range(v - 1), MAX_VERTICES - 1]
        valid.append([{} for _ in range(v)])
        for i, codes in enumerate(valid[v]):
            bits = [1 << EDGE_BIT[i, j] for j in place[i + 1 :]]
            for row in product((0, 1), repeat=v - 1 - i):
                codes[(0,) * (i + 1) + row] = sum(compress(bits, row))
    return valid


@cache
def _graphs() -> tuple[array[int], array[int], array[int], list[list[int]]]:
    """The pruned graphs for fast look-ups of single ones, in little memory.

    Returns:
        Their codes, ascending, and a last one that is larger than any code; where `row_of` has the
        labellings of each graph's topology; the slot map of each; and `slot_weights`.
    """
    codes, graphs = pruned_graphs()
    end, first = np.append(codes, np.int32(1 << len(EDGE_BIT))), topologies().first
    parts = (("i", end), ("i", first[graphs.topology]), ("H", graphs.slot_map))
    return *(array(kind, part.tobytes()) for kind, part in parts), slot_weights().tolist()


def _without_dead_ends(code: int) -> int:
    """The code without the edges of vertices that lie on no path."""
    sources = [code >> j * (j - 1) // 2 & (1 << j) - 1 for j in range(MAX_VERTICES)]
    forward, backward = 1, 1 << MAX_VERTICES - 1
    for j in range(1, MAX_VERTICES):  # edges lead forwards, so one pass reaches everything
        forward |= (sources[j] & forward > 0) << j
    for j in range(MAX_VERTICES - 1, 0, -1):
        backward |= sources[j] * (backward >> j & 1)
    return int(code & edges_inside()[forward & backward])


# -- other forms of input, and what is wrong with them ----


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


def on_a_path(rows: Sequence[Sequence[Any]]) -> list[int]:
    """Vertices on a path from the first to the last, by the rows of an upper-triangular matrix."""
    successors = [set(compress(range(len(rows)), row)) for row in rows]
    forward, backward = {0}, {len(rows) - 1}
    for vertex, reached in enumerate(successors):  # edges lead forwards, so one pass is enough
        if vertex in forward:
            forward |= reached
    for vertex in reversed(range(len(rows))):
        if successors[vertex] & backward:
            backward.add(vertex)
    return sorted(forward & backward)


def _is_bit(entry: Any) -> bool:
    try:
        return bool(entry in (0, 1))
    except Exception:  # noqa: BLE001 - of whatever class the entry is
        return False


def _pruned(matrix: Any, ops: Any) -> tuple[list[list[int]], list[str]]:
    """A matrix and operations without the vertices on no path; checks every rule."""

    def refuse(rule: str, message: str, value: Any = None) -> NoReturn:
        raise InvalidCellError(message, rule=rule, value=value)

    try:
        array = np.asarray(matrix, dtype=object)
    except NO_ARRAY as error:
        refuse("not-square", f"the matrix must be an array or lists ({error})", matrix)
    v = len(array) if array.ndim == 2 else 0
    if v < 2 or array.shape != (v, v):
        value = array.shape if array.ndim == 2 else matrix
        refuse("not-square", "the matrix must be square, of shape (v, v) with v >= 2", value)
    rows = array.tolist()
    for i, row in enumerate(rows):
        for j, entry in enumerate(row):
            if not _is_bit(entry):
                refuse("not-binary", f"entry ({i}, {j}) of the matrix must be 0 or 1", entry)
            if entry and j <= i:
                message = f"the matrix must be upper triangular, but entry ({i}, {j}) is not 0"
                refuse("not-upper-triangular", message)
    try:
        names = list(ops)
    except TypeError:
        names = []
    if len(names) != v:
        message = f"a matrix of {v} vertices needs {v} operations"
        refuse("operation-count", message, len(names) or ops)
    for place, vertex, wanted in (("first", 0, INPUT), ("last", -1, OUTPUT)):
        if not isinstance(names[vertex], str) or names[vertex] != wanted:
            refuse("wrong-operation", f"the {place} operation must be {wanted!r}", names[vertex])
    kept = on_a_path(rows)
    if not kept:
        message = "the matrix must have a path from the first vertex to the last"
        refuse("output-unreachable", message, rows)
    pruned = [[int(rows[i][j]) for j in kept] for i in kept]
    edges = sum(map(sum, pruned))
    for found, most, what in ((len(kept), MAX_VERTICES, "vertices"), (edges, MAX_EDGES, "edges")):
        if found > most:
            refuse(f"too-many-{what}", f"a cell has at most {most} {what} after pruning", found)
    for vertex in kept[1:-1]:
        if not isinstance(names[vertex], str) or names[vertex] not in _LABEL:
            known = ", ".join(OPERATIONS)
            message = f"the operation of vertex {vertex} must be one of {known}"
            refuse("wrong-operation", message, names[vertex])
    return pruned, [names[vertex] for vertex in kept]

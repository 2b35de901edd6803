"""A cell: the graph with operations that NAS-Bench-101 calls a module, pruned and canonical."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from functools import cache, cached_property, partial
from itertools import compress, product
from math import isqrt
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.errors import NO_ARRAY, InvalidCellError, as_array, as_int, counted
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
# Operations by their names in lower case, without punctuation and "bnrelu".
_PLAIN = {"conv3x3": OPERATIONS[0], "conv1x1": OPERATIONS[1], "maxpool3x3": OPERATIONS[2]}
_PLAIN |= {"input": INPUT, "in": INPUT, "output": OUTPUT, "out": OUTPUT}


class Cell:
    """A cell of NAS-Bench-101's space: immutable, hashable, the same for isomorphic graphs.

    The graph is pruned as in NAS-Bench-101 (vertices on no path from input to output are removed)
    and brought into one canonical order of vertices. Isomorphic cells are therefore equal and have
    the same hash and text.

    Args:
        matrix: a square upper-triangular 0/1 adjacency matrix, (v, v), as nested lists, an array,
            a torch tensor or a scipy sparse array, or a directed networkx graph. Without `ops`:

            - a `Cell`, or a text `"<row-major bits>:<op,op,...>"` as `str(cell)` prints it;
            - a pair `(matrix, ops)`;
            - an object or a dictionary with `matrix` and `ops`, `original_matrix` and
              `original_ops`, or `module_adjacency` and `module_operations`, such as a `ModelSpec`
              of NAS-Bench-101 and what its `query` returns;
            - an architecture of NASLib, or the tuple of whole numbers that is its hash;
            - a dictionary of NNI: `{"op1": "maxpool3x3", "input1": [0], "input2": [0, 1]}`;
            - a directed networkx graph whose nodes have their operation as the attribute `op`,
              `operation` or `label`.
        ops: v operation names, `"input"` first, `"output"` last, the others of `OPERATIONS`; or
            their names in other libraries, such as `Conv3x3BnRelu`.

    Raises:
        InvalidCellError: its attribute `rule` names the first broken rule.

    Examples:
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
        if row is None:
            if _is_graph(matrix):
                matrix, ops = _graph(matrix, ops)
            row = _row(*_pruned(matrix, ops))
        object.__setattr__(self, "row", row)

    @classmethod
    def from_row(cls, row: int) -> Cell:
        """The cell of a row of the 7-vertex space (smaller spaces are its first rows).

        Raises:
            InvalidCellError: no cell has this row.
        """
        size, number = len(topologies().row_topology), as_int(row)
        if number is None or not 0 <= number < size:
            raise InvalidCellError(f"a row must be 0 to {size - 1}", rule="syntax", value=row)
        cell = cls.__new__(cls)
        object.__setattr__(cell, "row", number)
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
        return _ops(self.vertices, int(topologies().row_ops[self.row]))

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
        return f"{_bits(int(topologies().row_topology[self.row]))}:{','.join(self.ops)}"

    def __repr__(self) -> str:
        return f"Cell({str(self)!r})"

    def __reduce__(self) -> tuple[type[Cell], tuple[str]]:
        return (Cell, (str(self),))


# Cached, so that a data frame of all cells has their texts in about a second.


@cache
def _ops(vertices: int, number: int) -> tuple[str, ...]:
    """Operation names of a number in base 3, a digit for each interior vertex."""
    powers = (3**slot for slot in reversed(range(vertices - 2)))
    return (INPUT, *(OPERATIONS[number // power % 3] for power in powers), OUTPUT)


@cache
def _bits(topology: int) -> str:
    """Row-major entries of a topology's matrix."""
    matrix = adjacency(int(topologies().vertices[topology]))[topology]
    return "".join(map(str, matrix.astype(int).ravel().tolist()))


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
    return int(code & edges_inside()[_on_a_path(sources)])


def _on_a_path(sources: Sequence[int]) -> int:
    """Bits of the vertices on a path from the first to the last, from the bits of the sources of
    the edges to each vertex."""
    forward, backward = 1, 1 << len(sources) - 1
    for j, before in enumerate(sources):  # edges lead forwards, so one pass reaches everything
        forward |= (before & forward > 0) << j
    for j in reversed(range(len(sources))):
        backward |= sources[j] * (backward >> j & 1)
    return forward & backward


# -- other forms of input, and what is wrong with them ----

#: Names of a matrix and its operations in objects and dictionaries; the unpruned ones first.
_NAMES = (
    *(("original_matrix", "original_ops"), ("original_matrix", "ops"), ("matrix", "ops")),
    ("module_adjacency", "module_operations"),
)


def _refuse(rule: str, message: str, value: Any = None) -> NoReturn:
    raise InvalidCellError(message, rule=rule, value=value)


def _parts(source: Any) -> tuple[Any, Any]:
    """Matrix and operations of all that `Cell` takes alone."""
    if isinstance(source, str):
        return _parse(source)
    if isinstance(source, (tuple, list)) and len(source) == 2:
        if any(isinstance(name, str) for name in _named(source[1])):
            return source[0], source[1]
    elif isinstance(source, tuple) and all(as_int(number) is not None for number in source):
        return _naslib_hash(source)
    held = source.get_spec() if hasattr(source, "get_spec") else source
    find = held.get if isinstance(held, Mapping) else partial(getattr, held)
    for names in _NAMES:
        matrix, ops = (find(name, None) for name in names)
        if matrix is not None and ops is not None:
            return matrix, ops
    if isinstance(held, Mapping) and any(str(key).endswith("input1") for key in held):
        return _nni(held)
    if _is_graph(source):
        return source, None
    message = "a cell needs a matrix and operations, a text, or something that holds them by name"
    _refuse("syntax", message, source)


def _naslib_hash(numbers: tuple[int, ...]) -> tuple[list[list[int]], list[str]]:
    """Matrix and operations of NASLib's hash: v * v entries, then v numbers of operations."""
    v = (isqrt(1 + 4 * len(numbers)) - 1) // 2
    names = dict(enumerate((INPUT, OUTPUT, *reversed(OPERATIONS))))
    if v < 2 or v * (v + 1) != len(numbers) or not names.keys() >= {*numbers[v * v :]}:
        _refuse("syntax", "a tuple must be (matrix, ops) or a hash of NASLib", numbers)
    rows = [list(numbers[i : i + v]) for i in range(0, v * v, v)]
    return rows, [names[number] for number in numbers[v * v :]]


def _nni(arch: Mapping[Any, Any]) -> tuple[list[list[int]], list[Any]]:
    """Matrix and operations of NNI's dictionary, whose keys may have a prefix such as `cell/`."""
    arch = {str(key).rpartition("/")[2]: value for key, value in arch.items()}
    count = sum(key.startswith("op") and key[2:].isdigit() for key in arch)
    inputs = sum(key.startswith("input") and key[5:].isdigit() for key in arch)
    stated = arch.get("num_nodes", max(count + 2, inputs + 1))
    v = as_int(stated)
    if v is None or not 2 <= v <= count + 2:
        held = counted(count, "operation")
        message = f"with {held} a dictionary of NNI has 2 to {count + 2} vertices"
        _refuse("operation-count", message, stated)
    rows = [[0] * v for _ in range(v)]
    for target in range(1, v):
        given = arch.get(f"input{target}")
        for source in given if isinstance(given, (Sequence, np.ndarray)) else [given]:
            number = as_int(source)
            if number is None or not 0 <= number < target:
                message = f"input{target} of a dictionary of NNI must be vertices below {target}"
                _refuse("syntax", message, given)
            rows[number][target] = 1
    return rows, [INPUT, *(arch.get(f"op{vertex}") for vertex in range(1, v - 1)), OUTPUT]


def _is_graph(source: Any) -> bool:
    return hasattr(source, "is_directed") and hasattr(source, "nodes") and hasattr(source, "edges")


def _graph(graph: Any, ops: Any) -> tuple[NDArray[Any], list[Any]]:
    """Matrix and operations of a networkx graph, its nodes in an order of its edges.

    The operations are attributes of the nodes, or are given in the order of the nodes.
    """
    import networkx  # installed, since the graph is one of its own

    if not graph.is_directed():
        _refuse("syntax", "a graph must be directed: a networkx.DiGraph", graph)
    keys, nodes = ("op", "operation", "label"), dict(graph.nodes(data=True))
    given = [next((a[k] for k in keys if k in a), None) for a in nodes.values()]
    names = given if ops is None else _named(ops)
    if len(names) != len(nodes) or any(name is None for name in names):
        message = f"each of the {len(nodes)} nodes of a graph needs an operation, such as its op"
        _refuse("operation-count", message, names)
    operation = dict(zip(nodes, _named(names), strict=True))
    if not networkx.is_directed_acyclic_graph(graph):
        cycle = networkx.find_cycle(graph)
        _refuse("not-upper-triangular", "a graph must have no cycle", cycle)
    for name in (INPUT, OUTPUT):
        if (number := [*map(str, operation.values())].count(name)) != 1:
            _refuse("wrong-operation", f"a graph must have one node {name!r}", number)
    # What has no edge may stand anywhere, but the input comes first and the output last.
    order = [*networkx.topological_sort(graph)]
    order.sort(key=lambda node: (operation[node] != INPUT, operation[node] == OUTPUT))
    edges = networkx.to_numpy_array(graph, order, dtype="i8", weight=None)
    return edges, [operation[node] for node in order]


def _named(ops: Any) -> list[Any]:
    """The operations by their names in NAS-Bench-101; none of what is no list."""
    try:
        return [*map(operation_name, ops)]
    except TypeError:
        return []


def operation_name(name: Any) -> Any:
    """The name that NAS-Bench-101 has for an operation; what is not known stays as it is."""
    if not isinstance(name, str) or name in _LABEL:
        return name
    plain = "".join(filter(str.isalnum, name.lower())).replace("bnrelu", "")
    return _PLAIN.get(plain, name)


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
    sources = [sum(bool(row[j]) << i for i, row in enumerate(rows)) for j in range(len(rows))]
    kept = _on_a_path(sources)
    return [vertex for vertex in range(len(rows)) if kept >> vertex & 1]


def _is_bit(entry: Any) -> bool:
    try:
        return bool(entry in (0, 1))
    except Exception:  # noqa: BLE001 - of whatever class the entry is
        return False


def _pruned(matrix: Any, ops: Any) -> tuple[list[list[int]], list[str]]:
    """A matrix and operations without the vertices on no path; checks every rule."""
    try:
        array = as_array(matrix, object)
    except NO_ARRAY as error:
        _refuse("not-square", f"the matrix must be an array or lists ({error})", matrix)
    v = len(array) if array.ndim == 2 else 0
    if v < 2 or array.shape != (v, v):
        value = array.shape if array.ndim == 2 else matrix
        _refuse("not-square", "the matrix must be square, of shape (v, v) with v >= 2", value)
    rows = array.tolist()
    for i, row in enumerate(rows):
        for j, entry in enumerate(row):
            if not _is_bit(entry):
                _refuse("not-binary", f"entry ({i}, {j}) of the matrix must be 0 or 1", entry)
            if entry and j <= i:
                message = f"the matrix must be upper triangular, but entry ({i}, {j}) is not 0"
                _refuse("not-upper-triangular", message)
    names = _named(ops)
    if len(names) != v:
        message = f"a matrix of {v} vertices needs {v} operations"
        _refuse("operation-count", message, len(names) or ops)
    for place, vertex, wanted in (("first", 0, INPUT), ("last", -1, OUTPUT)):
        if not isinstance(names[vertex], str) or names[vertex] != wanted:
            _refuse("wrong-operation", f"the {place} operation must be {wanted!r}", names[vertex])
    kept = on_a_path(rows)
    if not kept:
        message = "the matrix must have a path from the first vertex to the last"
        _refuse("output-unreachable", message, rows)
    pruned = [[int(rows[i][j] == 1) for j in kept] for i in kept]
    edges = sum(map(sum, pruned))
    for found, most, what in ((len(kept), MAX_VERTICES, "vertices"), (edges, MAX_EDGES, "edges")):
        if found > most:
            _refuse(f"too-many-{what}", f"a cell has at most {most} {what} after pruning", found)
    for vertex in kept[1:-1]:
        if not isinstance(names[vertex], str) or names[vertex] not in _LABEL:
            known = ", ".join(OPERATIONS)
            message = f"the operation of vertex {vertex} must be one of {known}"
            _refuse("wrong-operation", message, names[vertex])
    return pruned, [names[vertex] for vertex in kept]

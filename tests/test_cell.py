"""Cells: rules, pruning, canonical form, forms of input, hashes."""

from __future__ import annotations

import contextlib
import copy
import itertools
import pickle
import random as random_module
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naslib_ecnas.cell import Cell
from naslib_ecnas.errors import InvalidCellError, UnknownCellError
from naslib_ecnas.nasbench101 import ModelSpec
from naslib_ecnas.space import Space
from naslib_ecnas.topologies import OPERATIONS

C3, C1, POOL = OPERATIONS
CHAIN = [[0, 1, 0], [0, 0, 1], [0, 0, 0]]
OPS = ["input", C3, "output"]
LONG = ["input", *[C3] * 6, "output"]

BITS = ("012", "abc", "010")
#: Matrix, operations, broken rule, text of the message, value of the error.
BROKEN: list[tuple[Any, Any, str, str, object]] = [
    ([[0, 1]], ["input", "output"], "not-square", "square, of shape", (1, 2)),
    ([[0, 1, 0], [0, 0, 1]], ["input", "output"], "not-square", "square, of shape", (2, 3)),
    ([[0], [0]], ["input", "output"], "not-square", "square, of shape", (2, 1)),
    ([[0, 1], [0]], ["input", "output"], "not-square", "square, of shape", [[0, 1], [0]]),
    ([[1]], ["input"], "not-square", "square, of shape", (1, 1)),
    ([[0, 2], [0, 0]], ["input", "output"], "not-binary", r"entry \(0, 1\) .* 0 or 1", 2),
    ([[0, 0.5], [0, 0]], ["input", "output"], "not-binary", r"\(0, 1\)", 0.5),
    ([[0, 1, 3], [0, 0, 1], [0, 0, 0]], OPS, "not-binary", r"\(0, 2\)", 3),
    ([[0, 1], [1, 0]], ["input", "output"], "not-upper-triangular", r"entry \(1, 0\)", None),
    ([[1, 1], [0, 0]], ["input", "output"], "not-upper-triangular", r"\(0, 0\)", None),
    ([[0, 1, 0], [0, 0, 1], [0, 1, 0]], OPS, "not-upper-triangular", r"\(2, 1\)", None),
    (CHAIN, ["input", "output"], "operation-count", "3 vertices needs 3 operations", 2),
    (CHAIN, 5, "operation-count", "3 vertices needs 3 operations", 5),
    (CHAIN, ["input", "conv5x5", "output"], "wrong-operation", "vertex 1 must be", "conv5x5"),
    (CHAIN, ["input", ["list"], "output"], "wrong-operation", "vertex 1 must be", ["list"]),
    (CHAIN, [C3, C1, "output"], "wrong-operation", "the first operation .* 'input'", C3),
    (CHAIN, ["input", C1, POOL], "wrong-operation", "the last operation .* 'output'", POOL),
    ([[0, 0], [0, 0]], ["input", "output"], "output-unreachable", "a path", [[0, 0], [0, 0]]),
    ([[0, 1, 0], *CHAIN[2:] * 2], OPS, "output-unreachable", "path", [[0, 1, 0], *CHAIN[2:] * 2]),
    (np.eye(8, k=1, dtype=int), LONG, "too-many-vertices", "at most 7 vertices", 8),
    (np.triu(np.ones((6, 6), int), 1), LONG[:4], "operation-count", "6 vertices", 4),
    (np.triu(np.ones((6, 6), int), 1), LONG[:1] + LONG[3:], "too-many-edges", "at most 9 ed", 15),
    ("0100:input", None, "operation-count", "2 vertices needs 2 operations", 1),
]
BOTH = ":input,output"
BROKEN += [(t, None, "syntax", "text", t) for t in ("", "01", BOTH, *(f"{b}{BOTH}" for b in BITS))]


def test_a_broken_rule_names_its_place_and_the_value_and_rows_their_range() -> None:
    for matrix, ops, rule, text, value in BROKEN:
        with pytest.raises(InvalidCellError, match=text) as raised:
            Cell(matrix, ops)
        assert (raised.value.rule, raised.value.value) == (rule, value)
    for source in (np.array(CHAIN), 3, SimpleNamespace(matrix=CHAIN), SimpleNamespace(ops=["a"])):
        with pytest.raises(InvalidCellError, match="a matrix and operations") as raised:
            Cell(source)
        assert raised.value.rule == "syntax"
        assert raised.value.value is source
    for row in (-1, 423_624, 1.5, "a", True, np.True_, None, np.array([3])):
        with pytest.raises(InvalidCellError, match="0 to 423623") as raised:
            Cell.from_row(row)  # type: ignore[arg-type]
        assert (raised.value.rule, raised.value.value) == ("syntax", row)
    assert Cell.from_row(0).vertices == 2
    for kind in (np.int32, np.uint64, np.array):
        assert Cell.from_row(kind(423_623)).vertices == 7


def test_pruning_drops_dead_vertices_and_their_operations() -> None:
    # Vertex 2 leads nowhere, vertex 3 comes from nowhere; even unknown operations go with them.
    matrix = np.zeros((5, 5), dtype=int)
    matrix[0, 1] = matrix[1, 4] = matrix[1, 2] = matrix[3, 4] = 1
    cell = Cell(matrix, ["input", POOL, "nonsense", "nonsense", "output"])
    assert cell == Cell(CHAIN, ["input", POOL, "output"])
    assert (cell.vertices, cell.edges) == (3, 2)
    # Chains of two vertices from nowhere, and to nowhere.
    for text in ("0001001000010000", "0101001000000000"):
        assert str(Cell(f"{text}:input,{C3},{C3},output")) == "0100:input,output"
    # The limit of seven vertices counts after pruning.
    matrix = np.zeros((12, 12), dtype=int)
    matrix[0, 5] = matrix[5, 11] = 1
    assert Cell(matrix, ["input", *[C1] * 10, "output"]) == Cell(CHAIN, ["input", C1, "output"])


def test_isomorphic_cells_are_one() -> None:
    diamond = [[0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]]
    one, other = (Cell(diamond, ["input", *ops, "output"]) for ops in ((C3, POOL), (POOL, C3)))
    assert one == other
    assert (hash(one), str(one)) == (hash(other), str(other))
    third = Cell(diamond, ["input", C3, C1, "output"])
    assert one != third != one
    skip = Cell([[0, 1, 1], [0, 0, 1], [0, 0, 0]], OPS)
    assert Cell(CHAIN, OPS) != skip != Cell(CHAIN, OPS)
    assert one != str(one)


def test_every_form_of_input_gives_the_same_cell() -> None:
    ops = ["input", C1, "output"]
    cell = Cell(CHAIN, ops)
    spec = SimpleNamespace(original_matrix=np.array(CHAIN), original_ops=ops, matrix=None, ops=None)
    for other in (
        Cell(np.array(CHAIN, dtype=np.int8), ops),
        Cell(np.array(CHAIN, dtype=bool), tuple(ops)),
        Cell(np.array(CHAIN, dtype=float), ops),
        Cell(str(cell)),
        Cell(spec),
        Cell(SimpleNamespace(matrix=CHAIN, ops=ops)),
        Cell(SimpleNamespace(original_matrix=CHAIN, ops=ops)),
        Cell(cell),
        Cell.from_row(cell.row),
        Space(4).cell_of_hash(cell.nasbench_hash),
        copy.deepcopy(cell),
        pickle.loads(pickle.dumps(cell)),  # noqa: S301
        eval(repr(cell), {"Cell": Cell}),  # noqa: S307
    ):
        assert other == cell
    with pytest.raises(UnknownCellError):
        Space(4).cell_of_hash("0" * 32)
    # A cell is immutable.
    cell = Cell(CHAIN, OPS)
    with pytest.raises(AttributeError, match="row cannot be set"):
        cell.row = 3  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        cell.matrix[0, 1] = 0
    given = np.array(CHAIN)
    Cell(given, OPS)
    assert given.tolist() == CHAIN


DIAMOND = [[0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]]
ARCH = {"op1": POOL, "op2": C3, "input1": [0], "input2": [0], "input3": [1, 2]}
TABLE = {"matrix": np.array(DIAMOND), "ops": ["input", POOL, C3, "output"], "accuracy": 0.5}
#: NASLib's hash: the matrix, then places in input, output, maxpool3x3, conv1x1, conv3x3.
HASH = (*np.ravel(DIAMOND).astype(np.int8), 0, 2, 4, 1)


def graph(nx: Any, kind: str = "DiGraph", key: str = "op", **changed: str) -> Any:
    """The diamond with a vertex that leads nowhere, its nodes in no order."""
    made = getattr(nx, kind)()
    names = {"end": "OUT", "b": "Conv3x3BnRelu", "dead": C1, "a": "max_pool_3x3", "start": "in"}
    for node, name in (names | changed).items():
        made.add_node(node, **{key: name})
    made.add_edges_from([("start", "a"), ("start", "b"), ("a", "end"), ("b", "end")])
    made.add_edge("b", "dead")
    return made


def test_forms_of_other_libraries_give_the_same_cell() -> None:
    cell, ops = Cell(DIAMOND, TABLE["ops"]), TABLE["ops"]
    renamed = {"module_adjacency": DIAMOND, "module_operations": tuple(ops), "x": 1}
    prefixed = {f"cell/{key}": value for key, value in ARCH.items()}
    for source in (
        *(TABLE, renamed, SimpleNamespace(get_spec=lambda: TABLE), HASH),
        *((DIAMOND, ops), [np.array(DIAMOND), np.array(ops)]),
        *(ARCH, prefixed | {"cell/num_nodes": 4}, ARCH | {"input1": 0, "input3": np.arange(1, 3)}),
    ):
        assert Cell(source) == cell, source
    for names in ("IN MaxPool3x3 Conv3x3BNReLU OUT", "Input max_pool_3x3 convbnrelu_3x3 Output"):
        assert Cell(DIAMOND, names.split()) == cell


def test_tensors_sparse_arrays_and_graphs() -> None:
    sparse, nx = pytest.importorskip("scipy.sparse"), pytest.importorskip("networkx")
    ops = TABLE["ops"]
    cell, array = Cell(DIAMOND, ops), np.array(DIAMOND)
    drawn = nx.from_numpy_array(array, create_using=nx.DiGraph)
    matrices = [sparse.csr_matrix(array), sparse.coo_array(array.astype(bool)), drawn]
    for matrix in matrices:
        assert Cell(matrix, ops) == Cell((matrix, ops)) == cell
    for key in ("op", "operation", "label"):
        assert Cell(graph(nx, key=key)) == Cell(graph(nx, "MultiDiGraph")) == cell
    back, twice = graph(nx), graph(nx, "MultiDiGraph")
    back.add_edge("end", "a")
    twice.add_edge("a", "end")
    for source, operations, rule, text in (
        (graph(nx, "Graph"), None, "syntax", "directed"),
        (back, None, "not-upper-triangular", "no cycle"),
        (twice, None, "not-binary", "0 or 1, got 2"),
        (graph(nx, key="colour"), None, "operation-count", "5 nodes .* such as its op"),
        (graph(nx, start=C1), None, "wrong-operation", "one node 'input', got 0"),
        (graph(nx, a="in"), None, "wrong-operation", "one node 'input', got 2"),
        (graph(nx, dead="out"), None, "wrong-operation", "one node 'output', got 2"),
        (graph(nx, b="conv5x5"), None, "wrong-operation", "got 'conv5x5'"),
        (drawn, 5, "operation-count", "each of the 4 nodes"),
        (drawn, ops[1:], "operation-count", "each of the 4 nodes"),
        (sparse.csr_matrix(2 * array), ops, "not-binary", "0 or 1"),
    ):
        with pytest.raises(InvalidCellError, match=text) as raised:
            Cell(source, operations)
        assert raised.value.rule == rule


def test_tensors_of_torch() -> None:
    torch = pytest.importorskip("torch")
    ops, tensor = TABLE["ops"], torch.tensor(DIAMOND)
    for matrix in (
        *(tensor, tensor.bool(), tensor.byte(), tensor.half(), tensor.to(torch.bfloat16)),
        *(tensor.float().requires_grad_(), torch.nn.Parameter(tensor.float()), tensor.to_sparse()),
        tensor.float().requires_grad_().to_sparse(),
    ):
        assert Cell(matrix, ops) == Cell(DIAMOND, ops), matrix
        labels = torch.tensor([[2, 0]])
        assert Space(4).rows(matrix.to_dense()[None], labels).tolist() == [Cell(DIAMOND, ops).row]
    assert Cell(tensor.to(torch.complex64), ops) == Cell(DIAMOND, ops)
    assert Cell.from_row(torch.tensor(5)).row == 5  # type: ignore[arg-type]
    for source, text in ((2 * tensor, "0 or 1"), (tensor.to("meta"), "must be an array")):
        with pytest.raises(InvalidCellError, match=text):
            Cell(source, ops)
    pytorch = pytest.importorskip("nasbench_pytorch.model")
    assert Cell(pytorch.ModelSpec(np.array(DIAMOND), list(ops))) == Cell(DIAMOND, ops)


def test_dictionaries_and_tuples_that_are_no_cell() -> None:
    for source, rule, text in (
        ({}, "syntax", "something that holds them by name, got {}"),
        ({"matrix": DIAMOND}, "syntax", "a matrix and operations"),
        (ARCH | {"input1": [1]}, "syntax", r"input1 .* vertices below 1, got \[1\]"),
        (ARCH | {"input3": "12"}, "syntax", "input3 .* vertices below 3, got '12'"),
        ({k: v for k, v in ARCH.items() if k != "input2"}, "syntax", "input2 of"),
        (ARCH | {"num_nodes": 10**9}, "operation-count", "has 2 to 4 vertices, got 1000000000"),
        ({k.replace("op2", "Op2"): v for k, v in ARCH.items()}, "operation-count", "3 .* got 4"),
        ({"input1": [0], "input2": [1]}, "operation-count", "0 operations .* 2 to 2 .* got 3"),
        (ARCH | {"op1": "skip"}, "wrong-operation", "vertex 1 must be one of"),
        (HASH[:-1], "syntax", r"\(matrix, ops\) or a hash of NASLib"),
        ((*HASH[:-1], 5), "syntax", "a hash of NASLib"),
        ((DIAMOND, TABLE["ops"], 3), "syntax", "a matrix and operations"),
        ((DIAMOND, 5), "syntax", "a matrix and operations"),
        (SimpleNamespace(get_spec=lambda: None), "syntax", "a matrix and operations"),
    ):
        with pytest.raises(InvalidCellError, match=text) as raised:
            Cell(source)
        assert raised.value.rule == rule


class Unwilling:
    """Raises what torch raises for tensors with gradients, sparse ones, or ones without values."""

    def __init__(self, error: type[Exception]) -> None:
        self.error = error

    def __len__(self) -> int:
        return 3

    def __array__(self, *_: Any, **__: Any) -> np.ndarray[Any, Any]:
        raise self.error("no array")


def test_what_is_no_matrix_is_refused() -> None:
    odd: list[Any] = [Unwilling(RuntimeError), Unwilling(TypeError), object()]
    odd += [[[0, np.zeros(2)], [0, 0]], [[0, Decimal("sNaN")]] * 2]
    for matrix in odd:
        with pytest.raises(InvalidCellError):
            Cell(matrix, OPS)
        with contextlib.suppress(InvalidCellError):
            assert ModelSpec(matrix, OPS).fault is not None
    with pytest.raises(InvalidCellError):
        Cell(CHAIN, [np.zeros(2), *OPS[1:]])


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 423_623), st.integers(0, 1 << 32))
def test_the_order_of_vertices_does_not_matter(row: int, seed: int) -> None:
    cell = Cell.from_row(row)
    v = cell.vertices
    every = itertools.permutations(range(1, v - 1))
    orders = [order for order in every if not np.tril(cell.matrix[np.ix_(order, order)]).any()]
    order = [0, *random_module.Random(seed).choice(orders), v - 1]
    again = Cell(cell.matrix[np.ix_(order, order)], [cell.ops[i] for i in order])
    assert again == cell
    assert again.row == row
    assert cell.edges == cell.matrix.sum()


#: Cells and their hashes as in NAS-Bench-101's own nasbench_only108.tfrecord.
PUBLISHED = {
    "0100:input,output": "043721b9c7fe8c5fad811d47d83132ec",
    f"011001000:input,{C1},output": "09fc2d10bdd6225e167a6f81a22a3f06",
    f"0110001000010000:input,{POOL},{POOL},output": "001a6fcc8b38cbc515be788a86bdc804",
    f"0111100111000100000100000:input,{POOL},{C3},{C3},output": "001ea832563f8d635ef7d0af25926274",
    f"010110001001000100000011000001000000:input,{C3},{C3},{POOL},{C3},output": (
        "00040b38293651f17fb665401c671bbb"
    ),
    "0100110001000000010010000010000001000000010000000:"
    f"input,{C3},{POOL},{C3},{C3},{C1},output": "00005c142e6f48ac74fdcf73e3439874",
}


def test_the_hash_is_that_of_nasbench_101() -> None:
    for text, md5 in PUBLISHED.items():
        cell = Cell(text)
        assert cell.nasbench_hash == md5
        assert str(cell) == text
        if cell.vertices <= 5:
            assert Space(cell.vertices).cell_of_hash(md5) == cell


def test_published_matrices_are_canonical(reference: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    path = reference / "nasbench101_validation_30001cells.parquet"
    table = pq.read_table(path, columns=["hash", "adjacency", "operations"])
    for line in table.slice(0, 2_000).to_pylist():
        text = f"{line['adjacency']}:{line['operations']}"
        assert (str(Cell(text)), Cell(text).nasbench_hash) == (text, line["hash"])

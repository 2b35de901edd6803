"""Cells: rules, pruning, canonical form, forms of input."""

from __future__ import annotations

import copy
import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naslib_ecnas.cell import Cell
from naslib_ecnas.errors import InvalidCellError, UnknownCellError
from naslib_ecnas.space import Space
from naslib_ecnas.topologies import OPERATIONS

C3, C1, POOL = OPERATIONS
CHAIN = [[0, 1, 0], [0, 0, 1], [0, 0, 0]]


@pytest.mark.parametrize(
    ("matrix", "ops", "rule"),
    [
        ([[0, 1]], ["input", "output"], "not-square"),
        ([[0, 1], [0]], ["input", "output"], "not-square"),
        ([[1]], ["input"], "not-square"),
        ([[0, 2], [0, 0]], ["input", "output"], "not-binary"),
        ([[0, 0.5], [0, 0]], ["input", "output"], "not-binary"),
        ([[0, 1], [1, 0]], ["input", "output"], "not-upper-triangular"),
        ([[1, 1], [0, 0]], ["input", "output"], "not-upper-triangular"),
        (CHAIN, ["input", "output"], "operation-count"),
        (CHAIN, 5, "operation-count"),
        (CHAIN, ["input", "conv5x5", "output"], "wrong-operation"),
        (CHAIN, ["input", ["list"], "output"], "wrong-operation"),
        (CHAIN, [C3, C3, "output"], "wrong-operation"),
        (CHAIN, ["input", C3, C3], "wrong-operation"),
        ([[0, 0], [0, 0]], ["input", "output"], "output-unreachable"),
        (np.eye(8, k=1, dtype=int), ["input", *[C3] * 6, "output"], "too-many-vertices"),
        (np.triu(np.ones((6, 6), dtype=int), 1), ["input", *[C3] * 4, "output"], "too-many-edges"),
    ],
)
def test_a_broken_rule_is_named(matrix: object, ops: list[str], rule: str) -> None:
    with pytest.raises(InvalidCellError) as raised:
        Cell(matrix, ops)
    assert raised.value.rule == rule
    assert raised.value.expected
    assert raised.value.remedy


@pytest.mark.parametrize("text", ["", "01", "012:input,output", "0100:input", "abc:input,output"])
def test_a_bad_text_is_an_invalid_cell(text: str) -> None:
    with pytest.raises(InvalidCellError) as raised:
        Cell(text)
    assert raised.value.rule == ("operation-count" if text == "0100:input" else "syntax")


@pytest.mark.parametrize(
    "source", [np.array(CHAIN), 3, None, SimpleNamespace(matrix=CHAIN), SimpleNamespace(ops=["a"])]
)
def test_a_matrix_without_operations_says_what_is_missing(source: object) -> None:
    with pytest.raises(InvalidCellError, match="no operations") as raised:
        Cell(source)
    assert raised.value.rule == "syntax"
    assert raised.value.value is source


@pytest.mark.parametrize(
    ("matrix", "ops", "place", "value"),
    [
        (CHAIN, [C3, C1, "output"], "vertex 0;", C3),
        (CHAIN, ["input", C1, POOL], "vertex 2;", POOL),
        (CHAIN, ["input", "conv5x5", "output"], "vertex 1;", "conv5x5"),
        (CHAIN, ["input", "output"], "3, input and output included", 2),
        (CHAIN, 5, "3, input and output included", 5),
        ([[0, 1, 3], [0, 0, 1], [0, 0, 0]], ["input", C3, "output"], r"\(0, 2\)", 3),
        ([[0, 1, 0], [0, 0, 1], [0, 1, 0]], ["input", C3, "output"], r"\(2, 1\)", 1),
        ([[0, 1, 0], [0, 0, 0], [0, 0, 0]], ["input", C3, "output"], "from the input", ...),
        (np.eye(8, k=1, dtype=int), ["input", *[C3] * 6, "output"], "at most 7", 8),
        (np.triu(np.ones((6, 6), int), 1), ["input", *[C3] * 4, "output"], "at most 9", 15),
        ([[0, 1]], ["input", "output"], "shape", (1, 2)),
        ([[0, 1], [0]], ["input", "output"], "shape", ...),
        ([[1]], ["input"], "shape", (1, 1)),
    ],
)
def test_a_broken_rule_names_its_place_and_what_it_met(
    matrix: object, ops: list[str], place: str, value: object
) -> None:
    with pytest.raises(InvalidCellError, match=place) as raised:
        Cell(matrix, ops)
    assert raised.value.value == (matrix if value is ... else value)


def test_pruning_drops_dead_vertices_and_their_operations() -> None:
    # Vertex 2 leads nowhere, vertex 3 comes from nowhere; even unknown operations go with them.
    matrix = np.zeros((5, 5), dtype=int)
    matrix[0, 1] = matrix[1, 4] = matrix[1, 2] = matrix[3, 4] = 1
    cell = Cell(matrix, ["input", POOL, "nonsense", "nonsense", "output"])
    assert cell == Cell(CHAIN, ["input", POOL, "output"])
    assert (cell.vertices, cell.edges) == (3, 2)


def test_a_large_matrix_counts_after_pruning() -> None:
    matrix = np.zeros((12, 12), dtype=int)
    matrix[0, 5] = matrix[5, 11] = 1
    assert Cell(matrix, ["input", *[C1] * 10, "output"]) == Cell(CHAIN, ["input", C1, "output"])


def test_isomorphic_cells_are_one() -> None:
    diamond = [[0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]]
    one = Cell(diamond, ["input", C3, POOL, "output"])
    other = Cell(diamond, ["input", POOL, C3, "output"])
    assert one == other
    assert hash(one) == hash(other)
    assert str(one) == str(other)
    assert one != Cell(diamond, ["input", C3, C1, "output"])
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
        Cell(cell),
        Cell.from_row(cell.row),
        Space(4).cell_of_hash(cell.nasbench_hash),
        copy.deepcopy(cell),
        eval(repr(cell), {"Cell": Cell}),  # noqa: S307
    ):
        assert other == cell


def test_a_cell_is_frozen() -> None:
    cell = Cell(CHAIN, ["input", C1, "output"])
    with pytest.raises(AttributeError, match="frozen"):
        cell.row = 3  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        cell.matrix[0, 1] = 0
    given = np.array(CHAIN)
    Cell(given, ["input", C1, "output"])
    assert given.tolist() == CHAIN


def test_an_unknown_hash_is_an_unknown_cell() -> None:
    for text in ("0" * 32, "short", "G" * 32):
        with pytest.raises(UnknownCellError):
            Space(4).cell_of_hash(text)


def test_rows_out_of_range_are_refused() -> None:
    for row in (-1, 423_624, 1.5, "a"):
        with pytest.raises(InvalidCellError) as raised:
            Cell.from_row(row)  # type: ignore[arg-type]
        assert (raised.value.rule, raised.value.value) == ("syntax", row)
    assert Cell.from_row(0).vertices == 2
    assert Cell.from_row(np.int32(423_623)).vertices == 7


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 423_623), st.randoms(use_true_random=False))
def test_the_order_of_vertices_does_not_matter(row: int, random: object) -> None:
    cell = Cell.from_row(row)
    v = cell.vertices
    orders = [
        order
        for order in itertools.permutations(range(1, v - 1))
        if all(
            not cell.matrix[a, b] or position(order, a) < position(order, b)
            for a, b in itertools.product(order, order)
        )
    ]
    order = [0, *random.choice(orders), v - 1]  # type: ignore[attr-defined]
    again = Cell(cell.matrix[np.ix_(order, order)], [cell.ops[i] for i in order])
    assert again == cell
    assert again.row == row


def position(order: tuple[int, ...], vertex: int) -> int:
    return order.index(vertex)


@pytest.mark.parametrize(
    ("text", "md5"),
    [
        ("0100:input,output", "043721b9c7fe8c5fad811d47d83132ec"),
        (f"011001000:input,{C1},output", "09fc2d10bdd6225e167a6f81a22a3f06"),
        (f"0110001000010000:input,{POOL},{POOL},output", "001a6fcc8b38cbc515be788a86bdc804"),
        (
            f"0111100111000100000100000:input,{POOL},{C3},{C3},output",
            "001ea832563f8d635ef7d0af25926274",
        ),
        (
            f"010110001001000100000011000001000000:input,{C3},{C3},{POOL},{C3},output",
            "00040b38293651f17fb665401c671bbb",
        ),
        (
            "0100110001000000010010000010000001000000010000000:"
            f"input,{C3},{POOL},{C3},{C3},{C1},output",
            "00005c142e6f48ac74fdcf73e3439874",
        ),
    ],
)
def test_the_hash_is_that_of_nasbench_101(text: str, md5: str) -> None:
    """Cells and their hashes as in NAS-Bench-101's own nasbench_only108.tfrecord."""
    cell = Cell(text)
    assert cell.nasbench_hash == md5
    assert str(cell) == text
    if cell.vertices <= 5:
        assert Space(cell.vertices).cell_of_hash(md5) == cell
        assert Space(5).hashes()[cell.row] == md5


def test_the_published_drawing_is_the_canonical_one(reference: object) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    table = pq.read_table(
        f"{reference}/nasbench101_validation_30001cells.parquet",
        columns=["hash", "adjacency", "operations"],
    ).to_pylist()
    for line in table[:3000]:
        cell = Cell(f"{line['adjacency']}:{line['operations']}")
        assert str(cell) == f"{line['adjacency']}:{line['operations']}"
        assert cell.nasbench_hash == line["hash"]

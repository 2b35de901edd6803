"""The space: counts, order, vectorised calls against single ones and against brute force."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest

from naslib_ecnas.cell import Cell
from naslib_ecnas.errors import ConfigError, InvalidCellError, UnknownCellError
from naslib_ecnas.space import Space
from naslib_ecnas.topologies import OPERATIONS, labelled_graphs, topologies

COUNTS = {2: 1, 3: 6, 4: 84, 5: 2_441, 6: 62_010, 7: 359_082}


def test_the_space_has_the_published_counts() -> None:
    table = topologies()
    by_vertices = Counter(table.vertices[table.row_topology].tolist())
    assert by_vertices == COUNTS
    assert [len(Space(v)) for v in (4, 5, 7)] == [91, 2_532, 423_624]
    assert len(table.code) == 2_494
    assert int((labelled_graphs().topology >= 0).sum()) == 1_538_083


@pytest.mark.parametrize("vertices", [1, 8, 4.5, True, "7"])
def test_other_spaces_are_refused(vertices: object) -> None:
    with pytest.raises(InvalidCellError):
        Space(vertices)  # type: ignore[arg-type]


def test_spaces_of_the_same_vertices_are_one() -> None:
    assert Space(4) == Space(np.int64(4)) != Space(5)
    assert Space(4) != 4
    assert len({Space(4), Space(4), Space(5), Space()}) == 3
    assert Space() == Space(7)
    assert repr(Space(4)) == "Space(vertices=4)"
    assert 3 not in Space(4)


def test_rows_and_cells_are_inverse() -> None:
    space = Space(5)
    cells = [space.cell(row) for row in range(len(space))]
    assert [space.row(cell) for cell in cells] == list(range(len(space)))
    assert [space.row(str(cell)) for cell in cells[:99]] == list(range(99))
    assert len(set(cells)) == len(space)
    assert [c.vertices for c in cells] == sorted(c.vertices for c in cells)


def test_brute_force_finds_the_same_cells() -> None:
    """Every labelled 4 x 4 matrix, against MD5 hashes as the key."""
    space = Space(4)
    by_hash: dict[str, set[int]] = {}
    for bits in itertools.product((0, 1), repeat=6):
        matrix = np.zeros((4, 4), dtype=np.int8)
        matrix[np.triu_indices(4, 1)] = bits
        for ops in itertools.product(OPERATIONS, repeat=2):
            try:
                cell = Cell(matrix, ["input", *ops, "output"])
            except InvalidCellError:
                continue
            by_hash.setdefault(cell.nasbench_hash, set()).add(cell.row)
    assert len(by_hash) == 91
    assert all(len(rows) == 1 for rows in by_hash.values())
    assert set().union(*by_hash.values()) == set(range(91))
    assert dict(zip(space.hashes().tolist(), range(91), strict=True)) == {
        key: min(rows) for key, rows in by_hash.items()
    }


def _raw(rng: np.random.Generator, n: int, v: int) -> tuple[np.ndarray, np.ndarray]:
    matrices = np.triu(rng.integers(0, 2, (n, v, v), dtype=np.int8), 1)
    return matrices, rng.integers(0, 3, (n, v - 2))


@pytest.mark.parametrize("v", [2, 3, 4, 5, 6, 7])
def test_vectorised_rows_agree_with_single_cells(v: int) -> None:
    space = Space(7)
    matrices, labels = _raw(np.random.default_rng(v), 400, v)
    names = np.array(OPERATIONS)[labels]
    rows = space.rows(matrices, labels)
    for matrix, ops, row in zip(matrices, names, rows, strict=True):
        try:
            expected = Cell(matrix, ["input", *ops.tolist(), "output"]).row
        except InvalidCellError:
            expected = -1
        assert row == expected
    for other in (np.int64, bool, np.float64, np.uint8):
        assert (space.rows(matrices.astype(other), names) == rows).all()
    assert (space.rows(matrices, labels.astype(np.int8)) == rows).all()


@pytest.mark.parametrize("v", [3, 4, 5, 7])
def test_unknown_operations_among_known_ones_are_as_in_single_cells(v: int) -> None:
    """A stack in which some rows have unknown operations, on a path or not, and some have none."""
    space, rng = Space(7), np.random.default_rng(v)
    matrices, _ = _raw(rng, 400, v)
    labels = rng.choice([-1, 0, 1, 2, 3, 9], (400, v - 2), p=[0.05, 0.3, 0.25, 0.3, 0.05, 0.05])
    known = [*OPERATIONS, "nonsense"]
    expected = []
    for matrix, ops in zip(matrices, labels, strict=True):
        names = [known[op] if 0 <= op < 3 else "nonsense" for op in ops]
        try:
            expected.append(Cell(matrix, ["input", *names, "output"]).row)
        except InvalidCellError:
            expected.append(-1)
    assert space.rows(matrices, labels).tolist() == expected
    assert (np.array(expected)[((labels < 0) | (labels > 2)).any(axis=1)] >= 0).any()


def test_a_smaller_space_knows_no_larger_cell() -> None:
    chain = np.eye(7, k=1, dtype=int)[None]
    assert Space(5).rows(chain, np.zeros((1, 5), int)).tolist() == [-1]
    cell = Cell(chain[0], ["input", *[OPERATIONS[0]] * 5, "output"])
    assert cell in Space(7)
    assert cell not in Space(5)
    with pytest.raises(UnknownCellError, match="more vertices") as raised:
        Space(5).row(cell)
    assert raised.value.value == 7
    first_larger = len(Space(5))
    assert Space(6).row(Cell.from_row(first_larger)) == first_larger
    with pytest.raises(UnknownCellError):
        Space(5).row(Cell.from_row(first_larger))
    with pytest.raises(UnknownCellError) as raised:
        Space(5).row_of_hash(cell.nasbench_hash)
    assert raised.value.value == cell.nasbench_hash


def test_shapes_are_checked() -> None:
    space = Space(7)
    with pytest.raises(InvalidCellError, match="stack"):
        space.rows(np.zeros((7, 7)), np.zeros((1, 5)))
    with pytest.raises(InvalidCellError, match="fit"):
        space.rows(np.zeros((2, 7, 7)), np.zeros((1, 5)))
    with pytest.raises(InvalidCellError, match="no array"):
        space.rows([[[0, 1], [0]]], [[]])
    for rows, bad in (
        ([-1], -1),
        ([423_624], 423_624),
        ([3, -2, 500_000], -2),
        ([3, 500_000, -2], 500_000),
        ([0, 3, -2], -2),
        ([0, 500_000, 3], 500_000),
        ([0.5], ((1,), "float64")),
        ([[0]], ((1, 1), "int64")),
    ):
        with pytest.raises(UnknownCellError) as unknown:
            space.matrices(rows)
        assert unknown.value.value == bad
    for shape in ((2, 7, 6), (2, 6, 7), (2, 1, 1), (2, 8, 8)):
        with pytest.raises(InvalidCellError, match="stack") as raised:
            space.rows(np.zeros(shape), np.zeros((2, max(shape[2] - 2, 0))))
        assert (raised.value.rule, raised.value.value) == ("not-square", shape)
    with pytest.raises(InvalidCellError, match="fit") as raised:
        space.rows(np.zeros((2, 7, 7)), np.zeros((2, 4)))
    assert (raised.value.rule, raised.value.value) == ("operation-count", (2, 4))
    # None of them, and a single one, are fine.
    assert [len(array) for array in space.matrices([])] == [0, 0]
    assert space.matrices(423_623)[0].shape == (1, 7, 7)
    assert space.rows(np.zeros((0, 7, 7)), np.zeros((0, 5), int)).shape == (0,)
    assert space.mutate([], np.random.default_rng(0)).shape == (0,)


def test_a_remembered_matrix_is_not_mistaken_for_another_shape() -> None:
    space = Space(4)
    matrix = np.array([[0, 1], [0, 0]], dtype=np.int8)
    assert space.row(matrix, ["input", "output"]) == 0
    assert space.row(matrix, ["input", "output"]) == 0
    with pytest.raises(InvalidCellError):
        space.row(matrix.reshape(1, 4), ["input", "output"])
    with pytest.raises(InvalidCellError):
        space.row(matrix.reshape(4), ["input", "output"])


def test_what_is_remembered_is_bounded_and_of_plain_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: dict[object, int] = {}
    monkeypatch.setattr("naslib_ecnas.space._seen", seen)
    monkeypatch.setattr("naslib_ecnas.space._SEEN_LIMIT", 2)
    space, ops = Space(4), ["input", "output"]
    for dtype in (object, float):  # an object's bytes are addresses
        assert space.row(np.array([[0, 1], [0, 0]], dtype=dtype), ops) == 0
    assert seen == {}
    lengths = []
    for dtype in (np.int8, np.uint16, bool, np.int64, np.int32):
        for _ in range(2):
            assert space.row(np.array([[0, 1], [0, 0]], dtype=dtype), ops) == 0
        assert [key[2] for key in seen][-1] == dtype
        lengths.append(len(seen))
    assert lengths == [1, 2, 1, 2, 1]


@pytest.mark.parametrize("vertices", [2, 3, 4, 5, 7])
def test_matrices_are_the_canonical_cells(vertices: int) -> None:
    space = Space(vertices)
    rows = space.sample(np.random.default_rng(0), 300)
    matrices, labels = space.matrices(rows)
    assert matrices.shape == (300, vertices, vertices)
    assert labels.shape == (300, vertices - 2)
    assert matrices.dtype == labels.dtype == np.int8
    assert (space.rows(matrices, np.maximum(labels, 0)) == rows).all()
    for matrix, label, row in zip(matrices[:40], labels[:40], rows[:40], strict=True):
        cell = space.cell(int(row))
        used = [0, *range(1, cell.vertices - 1), vertices - 1]
        assert (matrix[np.ix_(used, used)] == cell.matrix).all()
        assert label.tolist() == [
            *(OPERATIONS.index(op) for op in cell.ops[1:-1]),
            *[-1] * (vertices - cell.vertices),
        ]
        assert matrix.sum() == cell.edges


def test_permuting_ten_thousand_cells_changes_no_row() -> None:
    """All orders that keep the matrix upper triangular are tried at random, vectorised."""
    space, rng = Space(7), np.random.default_rng(11)
    rows = space.sample(rng, 10_000)
    matrices, labels = space.matrices(rows)
    moved = 0
    for order in itertools.islice(itertools.permutations(range(5)), 1, None):
        full = [0, *(1 + i for i in order), 6]
        images = matrices[:, full][:, :, full]
        still = ~np.tril(images).any(axis=(1, 2))
        again = space.rows(images[still], np.maximum(labels[still][:, list(order)], 0))
        assert (again == rows[still]).all()
        moved += int(still.sum())
    assert moved > 20_000


def test_sampling_is_uniform_and_seeded() -> None:
    space = Space(4)
    draws = space.sample(np.random.default_rng(0), 91 * 500)
    assert (draws == space.sample(np.random.default_rng(0), 91 * 500)).all()
    counts = np.bincount(draws, minlength=91)
    expected = 500.0
    # Chi-squared with 90 degrees of freedom: 148 is its 99.99th percentile.
    assert ((counts - expected) ** 2 / expected).sum() < 148


@pytest.mark.parametrize("vertices", [3, 4, 5, 7])
def test_mutants_are_valid_and_different(vertices: int) -> None:
    space = Space(vertices)
    parents = space.sample(np.random.default_rng(1), 2_000)
    children = space.mutate(parents, np.random.default_rng(2))
    assert children.dtype == np.int32
    assert (children >= 0).all()
    assert (children < len(space)).all()
    assert (children != parents).all()
    again = space.mutate(parents, np.random.default_rng(2), edge_changes=2.0, op_changes=0.5)
    assert (children == again).all()


def test_mutation_can_grow_and_shrink() -> None:
    space = Space(7)
    table = topologies()
    small = np.zeros(2_000, dtype=int)
    grown = space.mutate(small, np.random.default_rng(0))
    assert set(table.vertices[table.row_topology[grown]].tolist()) >= {3, 4}
    large = np.full(2_000, len(space) - 1)
    shrunk = table.vertices[table.row_topology[space.mutate(large, np.random.default_rng(0))]]
    assert shrunk.min() < 7
    # New vertices get every operation alike.
    fresh = Counter(space.cell(int(r)).ops[1] for r in grown if space.cell(int(r)).vertices == 3)
    assert min(fresh[name] for name in OPERATIONS) > 0.7 * max(fresh.values())


def _exact_mutation(
    space: Space, row: int, edge_changes: float, op_changes: float
) -> dict[int, float]:
    """Chance of each child by trying every layout, every set of flips and all operations."""
    v, slots = space.vertices, space.vertices - 2
    edges = list(itertools.combinations(range(v), 2))
    p_edge, p_op = min(1.0, edge_changes / len(edges)), min(1.0, op_changes / slots)
    all_flips = np.array(list(itertools.product((0, 1), repeat=len(edges))))
    all_ops = np.array(list(itertools.product(range(3), repeat=slots)))
    matrices = np.zeros((len(all_flips), v, v), dtype=np.int8)
    for k, (i, j) in enumerate(edges):
        matrices[:, i, j] = all_flips[:, k]
    rows = space.rows(
        np.repeat(matrices, len(all_ops), axis=0), np.tile(all_ops, (len(all_flips), 1))
    ).reshape(len(all_flips), len(all_ops))
    cell = space.cell(row)
    used = cell.vertices - 2
    chance: Counter[int] = Counter()
    for places in itertools.combinations(range(1, v - 1), used):
        at = [0, *places, v - 1]
        matrix = np.zeros((v, v), dtype=np.int8)
        matrix[np.ix_(at, at)] = cell.matrix
        flips = (matrices != matrix).sum(axis=(1, 2))
        p_flips = p_edge**flips * (1 - p_edge) ** (len(edges) - flips)
        own = dict(zip(places, (OPERATIONS.index(op) for op in cell.ops[1:-1]), strict=True))
        for ops in all_ops:  # unused vertices have any operation
            if any(ops[place - 1] != op for place, op in own.items()):
                continue
            changes = (all_ops != ops).sum(axis=1)
            p_ops = (p_op / 2) ** changes * (1 - p_op) ** (slots - changes)
            for found, p in zip(rows.ravel(), np.outer(p_flips, p_ops).ravel(), strict=True):
                chance[int(found)] += float(p)
    possible = {r: p for r, p in chance.items() if r not in (-1, row) and p > 0}
    total = sum(possible.values())
    return {r: p / total for r, p in possible.items()}


@pytest.mark.parametrize(
    ("vertices", "row", "edges", "ops"),
    [
        (3, 0, 2.0, 0.5),
        (3, 2, 1.0, 0.25),
        (4, 0, 2.0, 0.5),
        (4, 3, 2.0, 0.5),
        (4, 3, 0.5, 1.5),
        (4, 60, 2.0, 0.5),
        (4, 90, 0.5, 0.25),
        (4, 60, 0.0, 9.0),
        (4, 60, 9.0, 0.0),
    ],
)
def test_children_have_the_chances_of_brute_force(
    vertices: int, row: int, edges: float, ops: float
) -> None:
    space, n = Space(vertices), 20_000
    wanted = _exact_mutation(space, row, edges, ops)
    children = space.mutate(
        np.full(n, row), np.random.default_rng(3), edge_changes=edges, op_changes=ops
    )
    seen = np.bincount(children, minlength=len(space))
    assert set(np.flatnonzero(seen).tolist()) <= set(wanted)
    often = {r: p for r, p in wanted.items() if n * p >= 5}
    chi = sum((seen[r] - n * p) ** 2 / (n * p) for r, p in often.items())
    # Chi-squared has the mean k and the variance 2 k; five deviations.
    assert chi < len(often) + 5 * (2 * len(often)) ** 0.5
    assert abs(sum(seen[r] for r in often) / n - sum(often.values())) < 0.01


@pytest.mark.parametrize(
    ("vertices", "row", "edges", "ops"),
    [
        (4, 0, 0.0, 0.0),
        (4, 0, 1e-6, 1e-6),
        (2, 0, 2.0, 2.0),
        (5, 0, 0.0, 0.5),  # the cell of two vertices has no operation to change
        (5, 5, -1.0, 0.5),
        (5, 5, float("nan"), 0.5),
        (5, 5, float("inf"), 0.5),
    ],
)
def test_a_mutation_that_changes_nothing_is_refused(
    vertices: int, row: int, edges: float, ops: float
) -> None:
    with pytest.raises(ConfigError, match="changes nothing"):
        Space(vertices).mutate([row], np.random.default_rng(0), edge_changes=edges, op_changes=ops)


def test_a_mutation_that_hardly_ever_changes_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("naslib_ecnas.space._MOST_ROUNDS", 3)
    with pytest.raises(ConfigError, match="no change"):
        Space(5).mutate([0], np.random.default_rng(0), edge_changes=0.002, op_changes=0.0)


def test_sampling_asks_for_a_generator_and_a_number() -> None:
    good = np.random.default_rng(0)
    for rng, n in ((good, -1), (3, 4), (4, good), (good, 1.0), (good, None)):
        with pytest.raises(ConfigError, match="default_rng"):
            Space(4).sample(rng, n)  # type: ignore[arg-type]
    assert Space(4).sample(good, 0).shape == (0,)
    assert Space(4).sample(good, np.int64(3)).shape == (3,)


def test_what_is_no_row_of_the_space_has_no_cell() -> None:
    for row in (1.5, "a", None, -1, 91):
        with pytest.raises(UnknownCellError) as raised:
            Space(4).cell(row)  # type: ignore[arg-type]
        assert raised.value.value == row
        with pytest.raises(UnknownCellError):
            Space(4).neighbours(row)  # type: ignore[arg-type]


def test_operation_changes_alone_keep_the_topology() -> None:
    space, table = Space(7), topologies()
    parents = space.sample(np.random.default_rng(0), 500)
    children = space.mutate(parents, np.random.default_rng(1), edge_changes=0)
    assert (table.row_topology[children] == table.row_topology[parents]).all()

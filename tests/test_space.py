"""The space: counts, order, vectorised calls against single ones and against brute force."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naslib_ecnas.cell import Cell
from naslib_ecnas.errors import ConfigError, InvalidCellError, UnknownCellError
from naslib_ecnas.space import Space
from naslib_ecnas.structures import EDGES, OPERATIONS, drawings, structures

COUNTS = {2: 1, 3: 6, 4: 84, 5: 2_441, 6: 62_010, 7: 359_082}


def test_the_space_has_the_published_counts() -> None:
    table = structures()
    by_vertices = Counter(table.vertices[table.row_structure].tolist())
    assert by_vertices == COUNTS
    assert [len(Space(v)) for v in (4, 5, 7)] == [91, 2_532, 423_624]
    assert len(table.code) == 2_494
    assert int((drawings().structure >= 0).sum()) == 1_538_083


@pytest.mark.parametrize("vertices", [1, 8, 4.5, True, "7"])
def test_other_spaces_are_refused(vertices: object) -> None:
    with pytest.raises(InvalidCellError):
        Space(vertices)  # type: ignore[arg-type]


def test_rows_and_cells_are_inverse() -> None:
    space = Space(5)
    cells = [space.cell(row) for row in range(len(space))]
    assert [space.row(cell) for cell in cells] == list(range(len(space)))
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


def test_invalid_matrices_get_minus_one() -> None:
    space = Space(7)
    good = np.zeros((7, 7), dtype=int)
    good[0, 1] = good[1, 6] = 1
    below, two, loop = good.copy(), good.copy(), good.copy()
    below[3, 1], two[0, 1], loop[2, 2] = 1, 2, 1
    ops = np.zeros((4, 5), dtype=int)
    rows = space.rows(np.stack([good, below, two, loop]), ops)
    assert rows[0] == Cell(good, ["input", *[OPERATIONS[0]] * 5, "output"]).row
    assert (rows[1:] == -1).all()
    # An unknown operation counts only where pruning leaves it.
    wrong = np.zeros((2, 5), dtype=int)
    wrong[0, 0], wrong[1, 3] = 7, 7
    assert space.rows(np.stack([good, good]), wrong).tolist() == [-1, rows[0]]
    named = np.full((1, 5), "nonsense")
    assert space.rows(good[None], named).tolist() == [-1]


def test_a_smaller_space_knows_no_larger_cell() -> None:
    chain = np.eye(7, k=1, dtype=int)[None]
    assert Space(5).rows(chain, np.zeros((1, 5), int)).tolist() == [-1]
    cell = Cell(chain[0], ["input", *[OPERATIONS[0]] * 5, "output"])
    assert cell in Space(7)
    assert cell not in Space(5)
    with pytest.raises(UnknownCellError, match="more vertices"):
        Space(5).row(cell)


def test_shapes_are_checked() -> None:
    space = Space(7)
    with pytest.raises(InvalidCellError, match="stack"):
        space.rows(np.zeros((7, 7)), np.zeros((1, 5)))
    with pytest.raises(InvalidCellError, match="fit"):
        space.rows(np.zeros((2, 7, 7)), np.zeros((1, 5)))
    with pytest.raises(InvalidCellError, match="no array"):
        space.rows([[[0, 1], [0]]], [[]])
    for rows in ([-1], [423_624], [0.5], [[0]]):
        with pytest.raises(UnknownCellError):
            space.matrices(rows)


def test_a_remembered_matrix_is_not_mistaken_for_another_shape() -> None:
    space = Space(4)
    matrix = np.array([[0, 1], [0, 0]], dtype=np.int8)
    assert space.row(matrix, ["input", "output"]) == 0
    assert space.row(matrix, ["input", "output"]) == 0
    with pytest.raises(InvalidCellError):
        space.row(matrix.reshape(1, 4), ["input", "output"])
    with pytest.raises(InvalidCellError):
        space.row(matrix.reshape(4), ["input", "output"])


@pytest.mark.parametrize("vertices", [2, 3, 4, 5, 7])
def test_matrices_are_the_canonical_cells(vertices: int) -> None:
    space = Space(vertices)
    rows = space.sample(np.random.default_rng(0), 300)
    matrices, labels = space.matrices(rows)
    assert matrices.shape == (300, vertices, vertices)
    assert (space.rows(matrices, np.maximum(labels, 0)) == rows).all()
    for matrix, label, row in zip(matrices[:40], labels[:40], rows[:40], strict=True):
        cell = space.cell(int(row))
        used = [0, *range(1, cell.vertices - 1), vertices - 1]
        assert (matrix[np.ix_(used, used)] == cell.matrix).all()
        assert (label >= 0).sum() == cell.vertices - 2


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
    assert (children >= 0).all()
    assert (children < len(space)).all()
    assert (children != parents).all()
    assert (children == space.mutate(parents, np.random.default_rng(2))).all()


def test_mutation_can_grow_and_shrink() -> None:
    space = Space(7)
    table = structures()
    small = np.zeros(2_000, dtype=int)
    grown = space.mutate(small, np.random.default_rng(0))
    assert set(table.vertices[table.row_structure[grown]].tolist()) >= {3, 4}
    large = np.full(2_000, len(space) - 1)
    shrunk = table.vertices[table.row_structure[space.mutate(large, np.random.default_rng(0))]]
    assert shrunk.min() < 7
    # New vertices get every operation alike.
    fresh = Counter(space.cell(int(r)).ops[1] for r in grown if space.cell(int(r)).vertices == 3)
    assert min(fresh[name] for name in OPERATIONS) > 0.7 * max(fresh.values())


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
    for rng, n in ((np.random.default_rng(0), -1), (3, 4), (4, np.random.default_rng(0))):
        with pytest.raises(ConfigError, match="default_rng"):
            Space(4).sample(rng, n)  # type: ignore[arg-type]


def test_fractional_rows_are_none() -> None:
    for row in (1.5, "a", None):
        with pytest.raises(UnknownCellError):
            Space(4).cell(row)  # type: ignore[arg-type]
        with pytest.raises(UnknownCellError):
            Space(4).neighbours(row)  # type: ignore[arg-type]


def test_operation_changes_alone_keep_the_structure() -> None:
    space, table = Space(7), structures()
    parents = space.sample(np.random.default_rng(0), 500)
    children = space.mutate(parents, np.random.default_rng(1), edge_changes=0)
    assert (table.row_structure[children] == table.row_structure[parents]).all()


def _brute_neighbours(row: int, vertices: int) -> set[int]:
    """By trying every drawing: all matrices and operations of the cell, one change each.

    A drawing may have at most one vertex that has edges but is on no path, and the cell may
    grow by one vertex at most.
    """
    space, table, raw = Space(vertices), structures(), drawings()
    inside = [b for b, e in enumerate(EDGES) if all(v < vertices - 1 or v == 6 for v in e)]
    size = table.vertices[table.row_structure]
    found = set()
    codes = [c for c in range(1 << 21) if not c & ~sum(1 << b for b in inside)]
    keep = [0, *range(1, vertices - 1), 6]
    for code in codes:
        if raw.structure[code] != table.row_structure[row]:
            continue
        matrix = np.zeros((7, 7), dtype=np.int8)
        for bit in inside:
            matrix[EDGES[bit]] = code >> bit & 1
        matrix = matrix[np.ix_(keep, keep)]
        live = Cell(matrix, ["input", *[OPERATIONS[0]] * (vertices - 2), "output"]).vertices
        touched = int(((matrix.sum(0) + matrix.sum(1)) > 0)[1:-1].sum())
        for ops in itertools.product(range(3), repeat=vertices - 2):
            if space.rows(matrix[None], np.array([ops]))[0] != row:
                continue
            for slot, other in itertools.product(range(vertices - 2), range(3)):
                changed = [*ops[:slot], other, *ops[slot + 1 :]]
                found.add(int(space.rows(matrix[None], np.array([changed]))[0]))
            if touched - (live - 2) > 1:
                continue
            for i, j in itertools.combinations(range(vertices), 2):
                flipped = matrix.copy()
                flipped[i, j] ^= 1
                found.add(int(space.rows(flipped[None], np.array([ops]))[0]))
    return {r for r in found if r >= 0 and r != row and size[r] <= size[row] + 1}


@pytest.mark.parametrize("row", [0, 1, 5, 7, 20, 44, 71, 90])
def test_neighbours_agree_with_brute_force(row: int) -> None:
    assert set(Space(4).neighbours(row).tolist()) == _brute_neighbours(row, 4)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 423_623))
def test_neighbours_are_distinct_valid_and_near(row: int) -> None:
    space = Space(7)
    near = space.neighbours(row)
    assert len(near)
    assert (np.diff(near) > 0).all()
    assert row not in near
    cell = space.cell(row)
    # Every single flip and every single operation of the canonical matrix is among them.
    matrices, labels = space.matrices([row])
    flips = [(i, j) for i, j in itertools.combinations(range(7), 2)]
    flipped = np.repeat(matrices, len(flips), axis=0)
    for k, (i, j) in enumerate(flips):
        flipped[k, i, j] ^= 1
    by_edge = space.rows(flipped, np.repeat(np.maximum(labels, 0), len(flips), axis=0))
    by_op = [
        space.rows(matrices, np.where(np.arange(5) == slot, op, np.maximum(labels, 0)))[0]
        for slot in range(cell.vertices - 2)
        for op in range(3)
    ]
    for other in {*by_edge.tolist(), *map(int, by_op)} - {-1, row}:
        assert other in near


def test_neighbours_are_mutual_but_for_larger_steps_down() -> None:
    space, size = Space(5), structures().vertices[structures().row_structure]
    for row in range(0, len(space), 97):
        for other in space.neighbours(row).tolist():
            if abs(int(size[other]) - int(size[row])) <= 1:
                assert row in space.neighbours(other)

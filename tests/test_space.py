"""The space: counts, order, arrays against single cells, mutation and neighbours by brute force."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naslib_ecnas.cell import Cell
from naslib_ecnas.errors import ConfigError, InvalidCellError, UnknownCellError
from naslib_ecnas.space import Space
from naslib_ecnas.topologies import OPERATIONS, labelled_graphs, pruned_graphs, topologies

COUNTS = {2: 1, 3: 6, 4: 84, 5: 2_441, 6: 62_010, 7: 359_082}


def vertices_of(rows: Any) -> np.ndarray:
    return topologies().vertices[topologies().row_topology[rows]].astype(int)


def test_the_space_has_the_published_counts() -> None:
    assert Counter(vertices_of(np.arange(423_624)).tolist()) == COUNTS
    assert [len(Space(v)) for v in (2, 3, 4, 5, 6, 7)] == np.cumsum([*COUNTS.values()]).tolist()
    assert len(topologies().code) == 2_494
    assert int((labelled_graphs().topology >= 0).sum()) == 1_538_083
    assert labelled_graphs().topology[[0, -1]].tolist() == [-1, -1]  # no path, and 21 edges
    assert len(pruned_graphs()[0]) == 13_839
    # Spaces of the same vertices are one.
    assert Space(4) == Space(np.int64(4)) != Space(5)  # type: ignore[arg-type]
    assert Space(4) != 4
    assert len({Space(4), Space(4), Space(5), Space()}) == 3
    assert Space() == Space(7)
    assert repr(Space(4)) == "Space(vertices=4)"
    assert 3 not in Space(4)
    with pytest.raises(InvalidCellError, match="must be 2 to 7, got 8"):
        Space(8)


def test_rows_and_cells_are_inverse() -> None:
    space = Space(5)
    cells = [*map(space.cell, range(len(space)))]
    assert [*map(space.row, cells)] == list(range(len(space)))
    assert [space.row(str(cell)) for cell in cells[:99]] == list(range(99))
    assert len(set(cells)) == len(space)
    assert [c.vertices for c in cells] == sorted(c.vertices for c in cells)
    for row in (1.5, np.float32(5), True):  # no row, and no other form of a cell
        with pytest.raises(UnknownCellError, match="a whole number, 0 to 90"):
            Space(4).row(row)
    for row in (1.5, "a", None, -1, 91, True):
        for call in (Space(4).cell, Space(4).neighbours):
            with pytest.raises(UnknownCellError, match="a whole number, 0 to 90") as raised:
                call(row)  # type: ignore[arg-type]
            assert raised.value.value == row


def test_a_smaller_space_has_no_larger_cell() -> None:
    chain = np.eye(7, k=1, dtype=int)[None]
    assert Space(5).rows(chain, np.zeros((1, 5), int)).tolist() == [-1]
    cell = Cell(chain[0], ["input", *[OPERATIONS[0]] * 5, "output"])
    assert cell in Space(7)
    assert cell not in Space(5)
    assert Cell.from_row(0) in Space(5)
    with pytest.raises(UnknownCellError, match="no cell of 7 vertices, got Cell") as raised:
        Space(5).row(cell)
    assert raised.value.value is cell
    assert Space(6).row(Cell.from_row(len(Space(5)))) == len(Space(5))
    with pytest.raises(UnknownCellError) as raised:
        Space(5).row_of_hash(cell.nasbench_hash)
    assert raised.value.value == cell.nasbench_hash


def test_cells_are_those_that_their_hashes_tell_apart() -> None:
    """Every labelled 4 x 4 matrix, with NAS-Bench-101's MD5 as the key."""
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
    hashes = Space(4).hashes().tolist()
    assert by_hash == {key: {row} for row, key in enumerate(hashes)}


# -- many matrices ----


def row_of(matrix: np.ndarray, ops: list[Any]) -> int:
    """The row of a single cell, -1 if it is none."""
    try:
        return Cell(matrix, ["input", *ops, "output"]).row
    except InvalidCellError:
        return -1


def test_rows_of_arrays_are_those_of_single_cells() -> None:
    space, named = Space(7), np.array([*OPERATIONS, "nonsense", "nonsense", "nonsense"])
    for v in range(2, 8):
        rng = np.random.default_rng(v)
        matrices = np.triu(rng.integers(0, 2, (300, v, v), dtype=np.int8), 1)
        labels = rng.integers(0, 3, (300, v - 2))
        rows = space.rows(matrices, labels)
        assert rows.tolist() == [
            row_of(m, ops) for m, ops in zip(matrices, named[labels].tolist(), strict=True)
        ]
        for dtype in (np.int64, bool, np.float64, np.uint8):
            assert (space.rows(matrices.astype(dtype), named[labels]) == rows).all()
        assert (space.rows(matrices, labels.astype(np.int8)) == rows).all()
        # Some of the operations are unknown, on a path or not.
        odd = rng.choice([-1, 0, 1, 2, 3, 9], (300, v - 2), p=[0.05, 0.3, 0.25, 0.3, 0.05, 0.05])
        unknown = (odd < 0) | (odd > 2)
        names = np.where(unknown, "nonsense", named[np.clip(odd, 0, 2)])
        wanted = [row_of(m, ops) for m, ops in zip(matrices, names.tolist(), strict=True)]
        assert space.rows(matrices, odd).tolist() == wanted
        assert space.rows(matrices, names).tolist() == wanted
        assert v == 2 or (np.array(wanted)[unknown.any(axis=1)] >= 0).any()


def test_invalid_matrices_get_minus_one() -> None:
    space = Space(7)
    good = np.zeros((7, 7), dtype=int)
    good[0, 1] = good[1, 6] = 1
    below, two, loop = good.copy(), good.copy(), good.copy()
    below[3, 1], two[0, 1], loop[2, 2] = 1, 2, 1
    ops = np.zeros((4, 5), dtype=int)
    for dtype in (np.int64, np.int8, np.uint8, np.float32):
        rows = space.rows(np.stack([good, below, two, loop]).astype(dtype), ops)
        assert rows.tolist() == [row_of(good, [OPERATIONS[0]] * 5), -1, -1, -1]
    for kind, entry in ((np.int8, -1), (np.uint8, 255), (np.int64, 256), (np.float64, 0.5)):
        odd = good.astype(kind)
        odd[0, 2] = entry
        assert space.rows(np.stack([odd, good.astype(kind)]), ops[:2]).tolist() == [-1, rows[0]]
    for dtype in (np.int8, np.int64, bool):
        assert space.rows(np.zeros((0, 7, 7), dtype=dtype), ops[:0]).shape == (0,)


def test_operations_in_other_forms() -> None:
    space = Space(4)
    rows = np.arange(7, 57)  # of four vertices
    matrices, labels = space.matrices(rows)
    names = np.array(OPERATIONS)[labels]
    others = np.array(["Conv3x3BnRelu", "conv_1x1", "max_pool_3x3"], object)[labels]
    whole = np.column_stack([np.full(50, "input"), names, np.full(50, "output")])
    for ops in (names, others, whole, whole.tolist(), names.astype(object)):
        assert (space.rows(matrices, ops) == rows).all()
    # What is not accepted is an error, and not -1 for all.
    kinds: list[Any] = [labels.astype(float), labels.astype(object), names.astype("S20")]
    for wrong in (*kinds, labels + 7, np.char.add(whole, "x"), np.char.add(names, "x")):
        with pytest.raises(InvalidCellError) as raised:
            space.rows(matrices, wrong)
        assert raised.value.rule in ("wrong-operation", "operation-count")
    for odd in (matrices.astype(str), matrices.astype(complex), matrices.astype(object)):
        with pytest.raises(InvalidCellError, match="numbers 0 and 1"):
            space.rows(odd, names)


def test_a_mask_stands_for_its_rows() -> None:
    space = Space(4)
    mask = np.arange(91) % 7 == 3
    for one, other in zip(space.matrices(mask), space.matrices(np.flatnonzero(mask)), strict=True):
        assert (one == other).all()
    for wrong in (mask[:-1], mask[:, None]):
        with pytest.raises(UnknownCellError, match="from 0 to 90"):
            space.matrices(wrong)


def test_shapes_are_checked() -> None:
    space = Space(7)
    for shape in ((7, 7), (2, 7, 6), (2, 6, 7), (2, 1, 1), (2, 8, 8)):
        with pytest.raises(InvalidCellError, match=r"\(n, v, v\)") as raised:
            space.rows(np.zeros(shape), np.zeros((2, max(shape[-1] - 2, 0))))
        assert (raised.value.rule, raised.value.value) == ("not-square", shape)
    with pytest.raises(InvalidCellError, match=r"\(2, 5\)") as raised:
        space.rows(np.zeros((2, 7, 7)), np.zeros((2, 4)))
    assert (raised.value.rule, raised.value.value) == ("operation-count", (2, 4))
    with pytest.raises(InvalidCellError, match="must be arrays"):
        space.rows([[[0, 1], [0]]], [[]])
    for rows, bad in (
        *(([-1], -1), ([423_624], 423_624), ([3, -2, 500_000], -2), ([3, 500_000, -2], 500_000)),
        *(([0, 3, -2], -2), ([0, 500_000, 3], 500_000), ([0.5], [0.5]), ([[0]], [[0]])),
        ([[0], [1, 2]], [[0], [1, 2]]),
    ):
        with pytest.raises(UnknownCellError, match="from 0 to 423623") as unknown:
            space.matrices(rows)
        assert unknown.value.value == bad
    # An empty list and a single row are possible.
    assert [len(array) for array in space.matrices([])] == [0, 0]
    assert space.matrices(423_623)[0].shape == (1, 7, 7)
    assert space.mutate([], np.random.default_rng(0)).shape == (0,)


def test_matrices_are_the_canonical_cells() -> None:
    for vertices in (2, 3, 4, 5, 7):
        space = Space(vertices)
        rows = space.sample(np.random.default_rng(0), 300)
        matrices, labels = space.matrices(rows)
        assert matrices.shape == (300, vertices, vertices)
        assert labels.shape == (300, vertices - 2)
        assert matrices.dtype == labels.dtype == np.int8
        assert (space.rows(matrices, np.maximum(labels, 0)) == rows).all()
        for matrix, label, row in zip(matrices[:40], labels[:40], rows[:40], strict=True):
            cell = space.cell(int(row))
            used = [*range(cell.vertices - 1), vertices - 1]
            assert (matrix[np.ix_(used, used)] == cell.matrix).all()
            own = [OPERATIONS.index(op) for op in cell.ops[1:-1]]
            assert label.tolist() == [*own, *[-1] * (vertices - cell.vertices)]
            assert matrix.sum() == cell.edges


# -- sampling and mutation ----


def test_sampling_is_uniform_and_seeded() -> None:
    space = Space(4)
    draws, again = (space.sample(np.random.default_rng(0), 91 * 500) for _ in range(2))
    assert (draws == again).all()
    counts = np.bincount(draws, minlength=91)
    # Chi-squared with 90 degrees of freedom: 148 is its 99.99th percentile.
    assert ((counts - 500) ** 2 / 500).sum() < 148
    good = np.random.default_rng(0)
    for rng, n in ((good, -1), (3, 4), (4, good), (good, 1.0), (good, None)):
        with pytest.raises(ConfigError, match=r"default_rng|n of a sample"):
            space.sample(rng, n)  # type: ignore[arg-type]
    assert space.sample(good, 0).shape == (0,)
    assert space.sample(good, np.int64(3)).shape == (3,)  # type: ignore[arg-type]


def test_mutants_are_valid_and_different() -> None:
    for vertices in (3, 4, 5, 7):
        space = Space(vertices)
        parents = space.sample(np.random.default_rng(1), 2_000)
        children = space.mutate(parents, np.random.default_rng(2))
        assert children.dtype == np.int32
        assert ((children >= 0) & (children < len(space)) & (children != parents)).all()
        again = space.mutate(parents, np.random.default_rng(2), edge_changes=2.0, op_changes=0.5)
        assert (children == again).all()


def every_graph(vertices: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All labelled graphs (g, v, v), all operations (o, v - 2), and their rows (g, o)."""
    edges = np.triu_indices(vertices, 1)
    bits = np.arange(1 << len(edges[0]))[:, None] >> np.arange(len(edges[0])) & 1
    matrices = np.zeros((len(bits), vertices, vertices), dtype=np.int8)
    matrices[:, edges[0], edges[1]] = bits
    ops = np.array(list(itertools.product(range(3), repeat=vertices - 2)))
    each = np.repeat(matrices, len(ops), axis=0), np.tile(ops, (len(matrices), 1))
    return matrices, ops, Space(vertices).rows(*each).reshape(len(matrices), len(ops))


def exact_mutation(space: Space, row: int, edge_changes: float, op_changes: float) -> np.ndarray:
    """(n_cells,) chance of each child, from every placement, set of flips and operations."""
    v, slots = space.vertices, space.vertices - 2
    n_edges = v * (v - 1) // 2
    p_edge, p_op = min(1.0, edge_changes / n_edges), min(1.0, op_changes / slots)
    matrices, all_ops, rows = every_graph(v)
    cell, chance = space.cell(row), np.zeros(len(space))
    for places in itertools.combinations(range(1, v - 1), cell.vertices - 2):
        at = [0, *places, v - 1]
        matrix = np.zeros((v, v), dtype=np.int8)
        matrix[np.ix_(at, at)] = cell.matrix
        flips = (matrices != matrix).sum(axis=(1, 2))
        p_flips = p_edge**flips * (1 - p_edge) ** (n_edges - flips)
        own = dict(zip(places, (OPERATIONS.index(op) for op in cell.ops[1:-1]), strict=True))
        for ops in all_ops:  # unused vertices have any operation
            if any(ops[place - 1] != op for place, op in own.items()):
                continue
            changes = (all_ops != ops).sum(axis=1)
            p_ops = (p_op / 2) ** changes * (1 - p_op) ** (slots - changes)
            np.add.at(chance, rows[rows >= 0], np.outer(p_flips, p_ops)[rows >= 0])
    chance[row] = 0
    return chance / chance.sum()


def test_children_have_the_chances_of_brute_force() -> None:
    n = 20_000
    for vertices, row, edges, ops in (
        *((3, 0, 2.0, 0.5), (3, 2, 1.0, 0.25), (4, 0, 2.0, 0.5), (4, 3, 0.5, 1.5)),
        *((4, 60, 2.0, 0.5), (4, 90, 0.5, 0.25), (4, 60, 0.0, 9.0), (4, 60, 9.0, 0.0)),
    ):
        space = Space(vertices)
        wanted = exact_mutation(space, row, edges, ops)
        children = space.mutate(
            np.full(n, row), np.random.default_rng(3), edge_changes=edges, op_changes=ops
        )
        seen = np.bincount(children, minlength=len(space))
        assert not seen[wanted == 0].any()
        often = n * wanted >= 5
        chi = ((seen - n * wanted)[often] ** 2 / (n * wanted[often])).sum()
        # Chi-squared has the mean k and the variance 2 k; five deviations.
        assert chi < often.sum() + 5 * (2 * often.sum()) ** 0.5
        assert abs(seen[often].sum() / n - wanted[often].sum()) < 0.01


def test_a_mutation_that_changes_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for vertices, row, edges, ops in (
        *((4, 0, 0.0, 0.0), (4, 0, 1e-6, 1e-6), (2, 0, 2.0, 2.0)),
        (5, 0, 0.0, 0.5),  # the cell of two vertices has no operation to change
        *((5, 5, wrong, 0.5) for wrong in (-1.0, float("nan"), float("inf"))),
    ):
        rates = {"edge_changes": edges, "op_changes": ops}
        with pytest.raises(ConfigError, match="changes nothing"):
            Space(vertices).mutate([row], np.random.default_rng(0), **rates)
    monkeypatch.setattr("naslib_ecnas.space._MOST_ROUNDS", 3)
    with pytest.raises(ConfigError, match="no change was found in 3 rounds"):
        Space(5).mutate([0], np.random.default_rng(0), edge_changes=0.002, op_changes=0.0)


# -- neighbours ----


def every_neighbour(vertices: int) -> list[set[int]]:
    """Neighbours of every row by one change of every labelled graph with all operations.

    An edge is changed if at most one vertex has edges but is on no path, and a cell may grow by
    one vertex at most.
    """
    matrices, ops, rows = every_graph(vertices)
    reach = np.linalg.matrix_power(matrices + np.eye(vertices, dtype=int), vertices) > 0
    on_path = reach[:, 0] & reach[:, :, -1]
    has_edge = (matrices.sum(1) + matrices.sum(2)) > 0
    few_loose = (has_edge & ~on_path)[:, 1:-1].sum(axis=1) <= 1
    pairs = []
    for bit in range(vertices * (vertices - 1) // 2):
        flipped = np.arange(len(matrices)) ^ (1 << bit)
        pairs.append((rows[few_loose], rows[flipped][few_loose]))
    one_apart = (ops[:, None] != ops).sum(axis=2) == 1
    pairs += [(rows[:, a], rows[:, b]) for a, b in zip(*np.nonzero(one_apart), strict=True)]
    start, end = (np.concatenate([p[k].ravel() for p in pairs]) for k in (0, 1))
    keep = (start >= 0) & (end >= 0) & (start != end)
    keep &= vertices_of(end) <= vertices_of(start) + 1
    out: list[set[int]] = [set() for _ in range(len(Space(vertices)))]
    for a, b in np.unique(np.stack([start[keep], end[keep]]), axis=1).T.tolist():
        out[a].add(b)
    return out


@pytest.mark.parametrize(("vertices", "step"), [(4, 1), (5, 23)])
def test_neighbours_are_those_of_brute_force(vertices: int, step: int) -> None:
    space, wanted = Space(vertices), every_neighbour(vertices)
    for row in range(0, len(space), step):
        near = space.neighbours(row)
        assert (np.diff(near) > 0).all()
        assert set(near.tolist()) == wanted[row]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 423_623))
def test_neighbours_of_large_cells_are_near(row: int) -> None:
    space = Space(7)
    near = space.neighbours(row)
    assert len(near)
    assert (np.diff(near) > 0).all()
    assert row not in near
    # Every single flip and every single operation of the canonical matrix is among them.
    matrices, labels = space.matrices([row])
    labels, flipped = np.maximum(labels, 0), np.repeat(matrices, 21, axis=0)
    flipped[(np.arange(21), *np.triu_indices(7, 1))] ^= 1
    found = [space.rows(flipped, np.repeat(labels, 21, axis=0))]
    for slot, op in itertools.product(range(vertices_of(row) - 2), range(3)):
        found.append(space.rows(matrices, np.where(np.arange(5) == slot, op, labels)))
    assert set(np.concatenate(found).tolist()) - {-1, row} <= set(near.tolist())

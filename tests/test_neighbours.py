"""Neighbours of a cell against brute force, and what holds between them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naslib_ecnas.cell import Cell
from naslib_ecnas.space import Space
from naslib_ecnas.topologies import EDGES, OPERATIONS, labelled_graphs, topologies


def _brute_neighbours(row: int, vertices: int) -> set[int]:
    """By trying every drawing: all matrices and operations of the cell, one change each.

    A drawing may have at most one vertex that has edges but is on no path, and the cell may
    grow by one vertex at most.
    """
    space, table, raw = Space(vertices), topologies(), labelled_graphs()
    inside = [b for b, e in enumerate(EDGES) if all(v < vertices - 1 or v == 6 for v in e)]
    size = table.vertices[table.row_topology]
    found = set()
    codes = [c for c in range(1 << 21) if not c & ~sum(1 << b for b in inside)]
    keep = [0, *range(1, vertices - 1), 6]
    for code in codes:
        if raw.topology[code] != table.row_topology[row]:
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
    space, size = Space(5), topologies().vertices[topologies().row_topology]
    for row in range(0, len(space), 97):
        for other in space.neighbours(row).tolist():
            if abs(int(size[other]) - int(size[row])) <= 1:
                assert row in space.neighbours(other)

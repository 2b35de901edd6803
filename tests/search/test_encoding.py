"""Cells as numbers: encodings, groups of columns, and paths."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from naslib_ecnas.search.encoding import Encoding, Groups, _shape, paths
from naslib_ecnas.space import Space
from naslib_ecnas.topologies import OPERATIONS


@pytest.mark.parametrize("vertices", [2, 3, 4, 5, 7])
def test_encodings_tell_cells_apart(vertices: int) -> None:
    space = Space(vertices)
    encode = Encoding(space, np.random.default_rng(0))
    rows = np.arange(min(len(space), 2532), dtype=np.int32)
    columns = encode(rows)
    assert columns.shape == (len(rows), len(encode))
    groups = Groups(space, rows)(rows)
    assert len(groups) == 4
    for found in (columns, *groups):
        assert np.isfinite(found).all()
        # Every cell is in the sample that sets the scale of a group, nearly so of an encoding.
        if 2 < vertices < 7 and all(found is not g for g in groups[1:]):
            assert len(np.unique(found.round(9), axis=0)) == len(rows)
    for found in groups if vertices > 2 else []:
        np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-12)
        assert (found**2).sum(axis=1).mean() == pytest.approx(1)


@pytest.mark.parametrize("vertices", [2, 4, 7])
def test_paths_are_those_of_a_walk_through_each_cell(vertices: int) -> None:
    space = Space(vertices)
    rows = np.unique(space.sample(np.random.default_rng(0), 60))
    strings = [s for n in range(vertices - 1) for s in itertools.product(OPERATIONS, repeat=n)]
    found = paths(space, rows)
    assert found.shape == (len(rows), len(strings))

    def walked(cell, vertex: int) -> list[tuple[str, ...]]:
        last = cell.vertices - 1
        if vertex == last:
            return [()]
        own = () if vertex == 0 else (cell.ops[vertex],)
        after = np.flatnonzero(cell.matrix[vertex])
        return [(*own, *rest) for to in after.tolist() for rest in walked(cell, to)]

    shapes = _shape(space, rows, found)
    for row, mask, shape in zip(rows.tolist(), found, shapes, strict=True):
        wanted = set(walked(space.cell(row), 0))
        assert {strings[i] for i in np.flatnonzero(mask)} == wanted
        counts = [[*(path.count(op) for op in OPERATIONS), len(path)] for path in wanted]
        assert shape[0] == pytest.approx(np.log(len(wanted)))
        assert shape[1:9].tolist() == [*np.max(counts, axis=0), *np.min(counts, axis=0)]
        matrix = space.cell(row).matrix
        assert shape[9:].tolist() == [matrix[0].sum(), matrix[:, -1].sum()]

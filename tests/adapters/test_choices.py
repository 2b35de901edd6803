"""The box of choices: every point is a cell that may be proposed, and every such cell has one."""

from __future__ import annotations

import copy
import doctest
import pickle
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naslib_ecnas.adapters import choices as module
from naslib_ecnas.adapters.choices import Choices
from naslib_ecnas.errors import ConfigError, UnknownCellError
from naslib_ecnas.space import Space
from naslib_ecnas.topologies import EDGES, labelled_graphs


def test_the_box_is_exactly_the_cells_that_may_be_proposed() -> None:
    allowed = np.random.default_rng(0).permutation(2532)[:2400]
    for vertices, rows in ((2, None), (3, None), (4, None), (5, allowed)):
        choices = Choices(Space(vertices), rows)
        points = np.array(list(product(*map(range, choices.sizes))))
        assert len(points) == 2 ** len(choices.edges) * 3 ** len(choices.interior)
        assert np.unique(choices.decode(points)).tolist() == choices.rows.tolist()
        assert choices.rows.tolist() == sorted(range(len(choices.space)) if rows is None else rows)


def test_a_cell_has_a_point_that_decodes_to_it() -> None:
    for vertices in (4, 5, 7):
        space = Space(vertices)
        choices = Choices(space)
        rows = np.arange(0, len(space), max(1, len(space) // 20_000))
        for rng in (None, np.random.default_rng(3)):
            assert (choices.decode(choices.encode(rows, rng)) == rows).all()
    # The operations of unused vertices are drawn, all others are the cell's own.
    drawn = choices.encode(np.zeros(300, dtype=int), np.random.default_rng(0))
    assert [set(np.unique(column).tolist()) for column in drawn.T[-5:]] == [{0, 1, 2}] * 5


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_every_point_is_an_allowed_cell_and_a_valid_graph_is_itself(data: st.DataObject) -> None:
    vertices = data.draw(st.integers(2, 7))
    space = Space(vertices)
    some = data.draw(st.lists(st.integers(0, len(space) - 1), min_size=1, max_size=30))
    whole, part = Choices(space), Choices(space, some)
    point = [data.draw(st.integers(0, int(n) - 1)) for n in whole.sizes]
    matrix = np.zeros((1, vertices, vertices), dtype=int)
    for (i, j), edge in zip(whole.edges, point, strict=False):
        matrix[0, i, j] = edge
    plain = int(space.rows(matrix, np.array([point[len(whole.edges) :]]))[0])
    row = int(whole.decode([point])[0])
    assert 0 <= row < len(space)
    assert plain in (-1, row)
    near = int(part.decode([point])[0])
    assert near in some
    if row in some:
        assert near == row


def test_no_labelled_graph_is_more_than_three_edges_from_a_cell() -> None:
    """All 2,097,152 of them, layer by layer."""
    reached = labelled_graphs().topology >= 0
    codes = np.arange(1 << len(EDGES))
    counts = [int(reached.sum())]
    for _ in range(3):
        before = reached
        reached = before.copy()
        for bit in range(len(EDGES)):
            reached |= before[codes ^ (1 << bit)]
        counts.append(int(reached.sum()) - sum(counts))
    assert counts == [1538083, 534991, 24070, 8]
    assert reached.all()


def test_a_graph_that_is_not_a_cell_becomes_the_nearest() -> None:
    """Brute force: no cell's graph has fewer flipped edges, none as near has more vertices."""
    space = Space(5)
    choices = Choices(space)
    n = len(choices.edges)
    graphs = np.stack([np.arange(2**n) >> b & 1 for b in range(n)], 1)
    points = np.hstack([graphs, np.zeros((2**n, 3), dtype=int)])
    matrices = np.zeros((2**n, 5, 5), dtype=int)
    for k, (i, j) in enumerate(choices.edges):
        matrices[:, i, j] = graphs[:, k]
    plain = space.rows(matrices, points[:, n:])
    vertices = np.array([space.cell(r).vertices if r >= 0 else 0 for r in plain.tolist()])
    bad = np.flatnonzero(plain < 0)
    assert len(bad) > 100
    found = choices.decode(points[bad])
    for at, row in zip(bad, found.tolist(), strict=True):
        distance = np.where(plain < 0, 99, (graphs != graphs[at]).sum(axis=1))
        near = distance == distance.min()
        best = near & (vertices == vertices[near].max())
        assert row in plain[best]


def test_a_missing_cell_becomes_the_one_with_the_nearest_graph() -> None:
    space, held = Space(4), np.array([0, 3, 40])
    graphs = Choices(space).encode(np.arange(91))
    found = Choices(space, held).decode(graphs)
    graphs[:, -2:] = space.matrices(np.arange(91))[1]  # -1 for an unused operation
    distance = (graphs[:, None] != graphs[held]).sum(axis=2)
    assert found.tolist() == held[distance.argmin(axis=1)].tolist()


def test_other_points_are_refused() -> None:
    choices = Choices(Space(4))
    good = choices.encode([5])
    assert choices.decode(good.astype(float)) == 5
    for bad in (good[0], good[:, :-1], good + 0.5, good - 1, good + 3, [["a"] * 8]):
        with pytest.raises(ConfigError, match="points have shape"):
            choices.decode(bad)
    with pytest.raises(ConfigError, match="at least one row that may be proposed"):
        Choices(Space(4), [])
    with pytest.raises(UnknownCellError):
        Choices(Space(4), [91])


@pytest.mark.parametrize("vertices", [2, 4, 7])
def test_parameters_are_points_by_name(vertices: int) -> None:
    space = Space(vertices)
    choices = Choices(space, np.arange(0, len(space), max(1, len(space) // 50)))
    for row in choices.rows.tolist():
        params = choices.params(row)
        assert list(params) == list(choices.names) == list(choices.categories)
        assert choices.row(params) == row
        assert choices.row(choices.params(row, np.random.default_rng(row))) == row
        typed = {n: np.str_(v) if isinstance(v, str) else np.int8(v) for n, v in params.items()}
        assert choices.row(typed) == row
    travelled = pickle.loads(pickle.dumps(choices))  # noqa: S301 - our own
    for copied in (travelled, copy.deepcopy(choices)):
        assert copied.rows.tolist() == choices.rows.tolist()
    assert len(pickle.dumps(Choices(space))) < 200


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"edge_0_1": 2}, "edge_0_1 must be one of 0, 1"),
        ({"edge_0_1": np.ones(2)}, "edge_0_1 must be one of 0, 1"),
        ({"op_1": "conv"}, "op_1 must be one of 'conv3x3-bn-relu'"),
        ({"op_3": "maxpool3x3"}, "but op_3 is unknown"),
        ({"op_1": None}, "op_1 is missing"),
    ],
)
def test_other_parameters_are_refused(change: dict[str, Any], message: str) -> None:
    choices = Choices(Space(4))
    params = choices.params(3) | change
    with pytest.raises(ConfigError, match=message):
        choices.row({name: value for name, value in params.items() if value is not None})


def test_a_configuration_space_holds_the_parameters() -> None:
    pytest.importorskip("ConfigSpace", reason="ConfigSpace is not installed")
    choices = Choices(Space(5))
    space = choices.configspace(seed=3)
    configurations = space.sample_configuration(20)
    assert configurations == choices.configspace(seed=3).sample_configuration(20)
    for configuration in configurations:
        point = [[c.index(configuration[n]) for n, c in choices.categories.items()]]
        assert choices.row(configuration) == choices.decode(point)


def test_examples() -> None:
    result = doctest.testmod(module)
    assert result.attempted
    assert not result.failed

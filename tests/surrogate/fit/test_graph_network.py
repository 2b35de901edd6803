"""The graph network: inputs of cells, equal predictions for equal graphs, and what it learns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from naslib_ecnas.cell import Cell
from naslib_ecnas.space import Space
from naslib_ecnas.surrogate.features import features
from naslib_ecnas.surrogate.fit.common import Plan
from naslib_ecnas.surrogate.fit.graph_network import GraphNetwork, fit_graph_network, graphs
from naslib_ecnas.topologies import labels_of_rows


def plan(epochs: int, batch: int = 256, rate: float = 2e-3) -> Plan:
    return Plan(epochs, batch, rate, decay=0.1, rising=0.2)


def drawn(n: int, seed: int = 0) -> np.ndarray:
    return Space(7).sample(np.random.default_rng(seed), n)


def tiny(seed: int = 0) -> tuple[GraphNetwork, np.ndarray, np.ndarray]:
    rows = drawn(200)
    x = features(rows)[:, :4]
    y = np.random.default_rng(1).normal(size=(200, 2))
    return fit_graph_network(rows, x, y, plan(2), width=8, seed=seed), rows, x


def test_inputs_of_every_cell_are_its_matrix_and_operations() -> None:
    short = {"conv3x3-bn-relu": 0, "conv1x1-bn-relu": 1, "maxpool3x3": 2}
    for row in drawn(20, 2).tolist():
        cell = Cell.from_row(row)
        edge, vertex = (a[0] for a in graphs(np.array([row])))
        inner = cell.vertices - 2
        ends = [[1, 1, 0, 0, 0], [1, 0, 1, 1, cell.matrix[0][-1]]]  # exists, input, output, width
        assert vertex[0, 3:8].tolist() == ends[0]
        assert vertex[6, 3:8].tolist() == ends[1]
        assert not vertex[inner + 1 : 6].any()
        at = [*range(inner + 1), 6]
        np.testing.assert_array_equal(edge[np.ix_(at, at)], cell.matrix)
        assert edge.sum() == np.sum(cell.matrix)
        for k in range(5):
            ops = [float(k < inner and short[cell.ops[k + 1]] == op) for op in range(3)]
            assert vertex[k + 1, :4].tolist() == [*ops, k < inner]
        # Vertices that the output concatenates share its channels.
        taken = vertex[1:6, 8] == 1
        assert not taken.any() or 128 * vertex[1:6, 6][taken].sum() == 128


def test_the_order_of_vertices_and_batches_does_not_matter(torch: Any) -> None:
    network, rows, x = tiny()
    edge, vertex = graphs(rows)
    given_x = network.standard(x)
    turned = [0, 4, 2, 5, 1, 3, 6]

    def outputs(edge: np.ndarray, vertex: np.ndarray) -> Any:
        with torch.no_grad():
            parts = (torch.from_numpy(np.ascontiguousarray(a)) for a in (edge, vertex, given_x))
            return network.outputs(*parts).numpy()

    one = outputs(edge, vertex)
    other = outputs(edge[:, turned][:, :, turned], vertex[:, turned])
    np.testing.assert_allclose(one, other, atol=1e-5)
    # It is not constant, and edges matter.
    assert one.std() > 1e-3
    assert np.abs(outputs(edge.transpose(0, 2, 1), vertex) - one).max() > 1e-3
    whole = network.predict(rows, x)
    np.testing.assert_allclose(one, whole, atol=1e-6)
    assert (whole.shape, whole.dtype) == ((200, 2), np.float64)
    np.testing.assert_allclose(network.predict(rows, x, batch=7), whole, atol=1e-5)
    bound = network.standard.shift + 6 / network.standard.scale
    far, near = np.tile(bound + 1e6, (200, 1)), np.tile(bound, (200, 1))
    np.testing.assert_allclose(network.predict(rows, far), network.predict(rows, near), atol=1e-4)


@pytest.mark.usefixtures("torch")
def test_it_learns_what_only_the_graph_has() -> None:
    """The number of 3x3 convolutions and the skip edge, with features that are all 0."""
    rows = drawn(1500)
    op, edge = labels_of_rows(rows), graphs(rows)[0]
    y = np.stack([(op == 0).sum(axis=1), edge[:, 0, 6]], axis=1).astype(float)
    y = (y - y.mean(axis=0)) / y.std(axis=0)
    x, some = np.zeros((1500, 2)), slice(1200)
    network = fit_graph_network(rows[some], x[some], y[some], plan(12, 64, 5e-3), width=16)
    off = network.predict(rows[1200:], x[1200:]) - y[1200:]
    assert ((off**2).mean(axis=0) < 0.1 * y[1200:].var(axis=0)).all()

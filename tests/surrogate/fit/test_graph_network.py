"""The graph network: what it sees of cells, that it learns, and that its seed decides."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from naslib_ecnas.cell import Cell
from naslib_ecnas.space import Space
from naslib_ecnas.surrogate.features import features, labels
from naslib_ecnas.surrogate.fit.accuracy import GraphNetwork, fit_graph_network, graphs

torch = pytest.importorskip("torch")

SPACE = Space(7)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def drawn(n: int, seed: int = 0) -> np.ndarray:
    return SPACE.sample(np.random.default_rng(seed), n)


def tiny(seed: int = 0, epochs: int = 2) -> tuple[GraphNetwork, np.ndarray, np.ndarray]:
    rows = drawn(200)
    x = features(rows)[:, :4]
    y = np.random.default_rng(1).normal(size=(200, 2))
    return fit_graph_network(rows, x, y, width=8, epochs=epochs, seed=seed), rows, x


# -- what it sees --------------------------------------------------------------------------------


def test_the_cell_of_one_edge() -> None:
    edge, vertex = graphs(np.array([Cell([[0, 1], [0, 0]], ["input", "output"]).row]))
    assert edge.dtype == vertex.dtype == np.float32
    wanted = np.zeros((7, 7))
    wanted[0, 6] = 1
    np.testing.assert_array_equal(edge[0], wanted)
    seen = np.zeros((7, 9))
    seen[0] = [0, 0, 0, 1, 1, 0, 0, 0, 1]  # there, input, taken by the output
    seen[6] = [0, 0, 0, 1, 0, 1, 1, 1, 0]  # there, output, full width, fed by the input
    np.testing.assert_array_equal(vertex[0], seen)


def test_a_cell_with_two_branches() -> None:
    matrix = [[0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]]
    cell = Cell(matrix, ["input", "conv3x3-bn-relu", "conv3x3-bn-relu", "output"])
    edge, vertex = graphs(np.array([cell.row]))
    wanted = np.zeros((7, 7))
    wanted[0, 1] = wanted[0, 2] = wanted[1, 6] = wanted[2, 6] = 1
    np.testing.assert_array_equal(edge[0], wanted)
    assert vertex[0, 1].tolist() == vertex[0, 2].tolist()
    assert vertex[0, 1].tolist()[3:] == [1, 0, 0, 0.5, 1, 1]  # half of the channels each
    assert vertex[0, 1, :3].sum() == 1
    assert not vertex[0, 3:6, [3, 4, 5, 6]].any()


@pytest.mark.parametrize("row", drawn(6, 2).tolist())
def test_every_cell_is_its_matrix_and_its_operations(row: int) -> None:
    cell = Cell.from_row(row)
    edge, vertex = (a[0] for a in graphs(np.array([row])))
    inner = cell.vertices - 2
    at = [*range(inner + 1), 6]
    np.testing.assert_array_equal(edge[np.ix_(at, at)], cell.matrix)
    assert edge.sum() == np.sum(cell.matrix)
    label = labels(np.array([row]))[1][0]
    for k in range(5):
        assert vertex[k + 1, :3].tolist() == [float(label[k] == op) for op in range(3)]
        assert vertex[k + 1, 3] == (k < inner)
    # Those that the output takes share its channels.
    taken = vertex[1:6, 8] == 1
    if taken.any():
        assert 128 * vertex[1:6, 6][taken].sum() == 128


def test_operations_have_a_column_each() -> None:
    seen = {}
    for name in ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3"):
        cell = Cell([[0, 1, 0], [0, 0, 1], [0, 0, 0]], ["input", name, "output"])
        seen[name] = tuple(graphs(np.array([cell.row]))[1][0, 1, :3].tolist())
    assert len(set(seen.values())) == 3
    assert all(sum(v) == 1 for v in seen.values())


def test_no_cells() -> None:
    edge, vertex = graphs(np.empty(0, dtype=int))
    assert edge.shape == (0, 7, 7)
    assert vertex.shape == (0, 7, 9)


# -- what it answers -----------------------------------------------------------------------------


def test_the_order_of_the_vertices_does_not_matter() -> None:
    network, rows, x = tiny()
    edge, vertex = graphs(rows)
    given = np.clip((x - network.shift) * network.scale, -6, 6).astype(np.float32)
    turned = [0, 4, 2, 5, 1, 3, 6]

    def said(edge: np.ndarray, vertex: np.ndarray) -> Any:
        with torch.no_grad():
            parts = (torch.from_numpy(np.ascontiguousarray(a)) for a in (edge, vertex, given))
            return network.module(*parts).numpy()

    one = said(edge, vertex)
    other = said(edge[:, turned][:, :, turned], vertex[:, turned])
    np.testing.assert_allclose(one, other, atol=1e-5)
    np.testing.assert_allclose(one, network.predict(rows, x), atol=1e-6)
    # It is no constant, and edges matter.
    assert one.std() > 1e-3
    assert np.abs(said(edge.transpose(0, 2, 1), vertex) - one).max() > 1e-3


def test_batches_change_nothing() -> None:
    network, rows, x = tiny()
    whole = network.predict(rows, x)
    assert whole.shape == (200, 2)
    assert whole.dtype == np.float64
    np.testing.assert_allclose(network.predict(rows, x, batch=7), whole, atol=1e-5)
    np.testing.assert_allclose(network.predict(rows[50:51], x[50:51])[0], whole[50], atol=1e-5)


def test_features_far_off_are_as_the_bound() -> None:
    network, rows, _ = tiny()
    bound = network.shift + 6 / network.scale
    far, near = np.tile(bound + 1e6, (200, 1)), np.tile(bound, (200, 1))
    np.testing.assert_allclose(network.predict(rows, far), network.predict(rows, near), atol=1e-4)


def test_it_learns_what_only_the_graph_tells() -> None:
    """Convolutions of 3x3, and whether the input feeds the output: from no useful feature."""
    rows = drawn(1500)
    label, edge = labels(rows)[1], graphs(rows)[0]
    y = np.stack([(label == 0).sum(axis=1), edge[:, 0, 6]], axis=1).astype(float)
    y = (y - y.mean(axis=0)) / y.std(axis=0)
    x = np.zeros((1500, 2))
    network = fit_graph_network(
        rows[:1200], x[:1200], y[:1200], width=16, epochs=12, batch=64, rate=5e-3
    )
    off = network.predict(rows[1200:], x[1200:]) - y[1200:]
    assert ((off**2).mean(axis=0) < 0.1 * y[1200:].var(axis=0)).all()


def test_missing_targets_teach_nothing() -> None:
    rows = drawn(300)
    x = features(rows)[:, :3]
    y = np.ones((300, 2))
    y[:150, 1] = np.nan
    network = fit_graph_network(rows, x, y, width=8, epochs=30, batch=64, rate=1e-2)
    np.testing.assert_allclose(network.predict(rows, x), 1, atol=0.2)
    y[:] = np.nan
    assert np.isfinite(fit_graph_network(rows, x, y, width=8, epochs=1).predict(rows, x)).all()


def test_the_seed_alone_decides() -> None:
    torch.manual_seed(1)
    state = torch.get_rng_state()
    one, rows, x = tiny(seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    same, other = (tiny(seed=seed)[0] for seed in (3, 4))
    np.testing.assert_array_equal(one.predict(rows, x), same.predict(rows, x))
    assert (one.predict(rows, x) != other.predict(rows, x)).any()

"""A graph network that predicts from a cell's graph and its features: messages along the edges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.surrogate.features import topology_arrays
from naslib_ecnas.surrogate.fit.common import Plan, Standard, trained
from naslib_ecnas.surrogate.fit.reference import optional
from naslib_ecnas.topologies import MAX_VERTICES, OPERATIONS, labels_of_rows, topologies

_ROUNDS = 4

#: What a vertex adds up in a round: linear functions of its own state, and of those of its
#: neighbours on either side.
_MESSAGES = ("own", "ahead", "behind")

#: Numbers of each vertex in `graphs`.
_NUMBERS = 9


def graphs(rows: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Inputs of the network for (n,) rows.

    Returns:
        (n, 7, 7) adjacency, and (n, 7, 9) of each vertex: one-hot operation (3), whether it
        exists, is the input, is the output, channels over 128 in the first stack, whether an edge
        leads to it from the input, and from it to the output.
    """
    topology, op = topologies().row_topology[rows], labels_of_rows(rows)
    arrays = topology_arrays()
    edge = np.moveaxis(arrays.edge[:, :, topology], -1, 0)
    vertex = np.zeros((len(topology), MAX_VERTICES, _NUMBERS), dtype=np.float32)
    inner = slice(1, MAX_VERTICES - 1)
    vertex[:, inner, :3] = op[:, :, None] == np.arange(len(OPERATIONS))
    vertex[:, inner, 3] = op >= 0
    vertex[:, [0, -1], 3] = 1
    vertex[:, 0, 4] = vertex[:, -1, 5] = 1
    vertex[:, inner, 6] = arrays.width[:, topology].T
    vertex[:, -1, 6] = 1
    vertex[:, :, 7] = edge[:, 0, :]
    vertex[:, :, 8] = edge[:, :, -1]
    return edge, vertex


@dataclass(frozen=True)
class GraphNetwork:
    """A network: its parameters, tensors by name, and the standardisation of its features."""

    parameters: dict[str, Any]
    standard: Standard

    def predict(
        self, rows: NDArray[Any], x: NDArray[Any], batch: int = 4096
    ) -> NDArray[np.float64]:
        """(n, m) outputs for (n,) rows whose features are (n, k) x."""
        torch = optional("torch")
        parts = []
        with torch.no_grad():
            for at in range(0, len(rows), batch):
                some = slice(at, at + batch)
                given = map(torch.from_numpy, (*graphs(rows[some]), self.standard(x[some])))
                parts.append(self.outputs(*given).numpy())
        return np.concatenate(parts).astype(np.float64)

    def outputs(self, edge: Any, vertex: Any, features: Any) -> Any:
        """(n, m) outputs of tensors: those of `graphs`, and standardised (n, k) features."""
        torch = optional("torch")
        p, functional = self.parameters, torch.nn.functional

        def linear(name: str, h: Any) -> Any:
            return functional.linear(h, p[name], p.get(f"{name} bias"))

        there = vertex[:, :, 3:4]
        h = linear("first", vertex) * there
        back = edge.transpose(1, 2)
        for i in range(_ROUNDS):
            own, ahead, behind = (linear(f"{name} {i}", h) for name in _MESSAGES)
            message = own + back @ ahead + edge @ behind
            normal = p[f"norm {i}"], p[f"norm {i} bias"]
            h = (h + functional.layer_norm(message, normal[0].shape, *normal).relu()) * there
        pooled = torch.cat([h[:, -1], h.sum(dim=1), linear("features", features).relu()], 1)
        return linear("last", linear("hidden", pooled).relu())


def _start(inputs: int, outputs: int, width: int, generator: Any) -> dict[str, Any]:
    """Parameters before the fit: all weights are drawn, and after them all biases."""
    torch = optional("torch")
    shapes = {"first": (width, _NUMBERS)}
    shapes |= {f"{name} {i}": (width, width) for name in _MESSAGES for i in range(_ROUNDS)}
    shapes |= {"features": (width, inputs), "hidden": (128, 3 * width), "last": (outputs, 128)}

    def drawn(name: str, size: tuple[int, ...]) -> Any:
        bound = shapes[name][1] ** -0.5
        return torch.empty(size).uniform_(-bound, bound, generator=generator)

    p = {name: drawn(name, shape) for name, shape in shapes.items()}
    biased = [name for name in shapes if not name.startswith(_MESSAGES[1:])]
    p |= {f"{name} bias": drawn(name, shapes[name][:1]) for name in biased}
    for i in range(_ROUNDS):
        p |= {f"norm {i}": torch.ones(width), f"norm {i} bias": torch.zeros(width)}
    return {name: value.requires_grad_() for name, value in p.items()}


def fit_graph_network(
    rows: NDArray[Any],
    x: NDArray[Any],
    y: NDArray[Any],
    plan: Plan,
    *,
    width: int = 80,
    seed: int = 0,
) -> GraphNetwork:
    """Fit a network to (n,) rows by the mean squared error.

    Args:
        x: (n, k) features beside the graph.
        y: (n, m) standardised targets; NaN where one is missing.
        width: of the vertices' states.
    """
    torch = optional("torch")
    generator = torch.Generator().manual_seed(seed)
    standard = Standard.of(np.asarray(x, dtype=np.float32))
    known = ~np.isnan(y)
    arrays = (*graphs(rows), standard(x), np.where(known, y, 0), known)
    edge, vertex, given, target, mask = (torch.from_numpy(a.astype(np.float32)) for a in arrays)
    network = GraphNetwork(_start(x.shape[1], y.shape[1], width, generator), standard)

    def loss(some: Any) -> Any:
        error = network.outputs(edge[some], vertex[some], given[some]) - target[some]
        return (error**2 * mask[some]).sum() / mask[some].sum().clamp(min=1)

    list(trained([*network.parameters.values()], loss, len(x), plan, generator))  # all epochs
    return network

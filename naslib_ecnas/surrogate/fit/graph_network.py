"""A graph network that predicts from a cell's graph and its features: messages along the edges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.surrogate.features import topology_arrays
from naslib_ecnas.surrogate.fit.reference import optional
from naslib_ecnas.surrogate.fit.student import Plan, Standard, trained
from naslib_ecnas.topologies import MAX_VERTICES, OPERATIONS, labels_of_rows, topologies

_ROUNDS = 4

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
    edge = arrays.edge[topology].astype(np.float32)
    vertex = np.zeros((len(topology), MAX_VERTICES, _NUMBERS), dtype=np.float32)
    inner = slice(1, MAX_VERTICES - 1)
    vertex[:, inner, :3] = op[:, :, None] == np.arange(len(OPERATIONS))
    vertex[:, inner, 3] = op >= 0
    vertex[:, [0, -1], 3] = 1
    vertex[:, 0, 4] = vertex[:, -1, 5] = 1
    vertex[:, inner, 6] = arrays.width[topology]
    vertex[:, -1, 6] = 1
    vertex[:, :, 7] = edge[:, 0, :]
    vertex[:, :, 8] = edge[:, :, -1]
    return edge, vertex


@dataclass
class GraphNetwork:
    """A fitted network and the standardisation of its features."""

    module: Any
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
                parts.append(self.module(*given).numpy())
        return np.concatenate(parts).astype(np.float64)


def _module(inputs: int, outputs: int, width: int, generator: Any) -> Any:
    """The network; a class inside a function because torch is optional."""
    torch = optional("torch")
    nn: Any = torch.nn
    base: Any = nn.Module

    class Network(base):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()

            def rounds(bias: bool) -> Any:
                return nn.ModuleList(nn.Linear(width, width, bias=bias) for _ in range(_ROUNDS))

            self.first = nn.Linear(_NUMBERS, width)
            self.own, self.ahead, self.behind = rounds(True), rounds(False), rounds(False)
            self.norm = nn.ModuleList(nn.LayerNorm(width) for _ in range(_ROUNDS))
            self.features = nn.Linear(inputs, width)
            self.hidden = nn.Linear(3 * width, 128)
            self.last = nn.Linear(128, outputs)

        def forward(self, edge: Any, vertex: Any, features: Any) -> Any:
            there = vertex[:, :, 3:4]
            h = self.first(vertex) * there
            back = edge.transpose(1, 2)
            for own, ahead, behind, norm in zip(
                self.own, self.ahead, self.behind, self.norm, strict=True
            ):
                message = own(h) + back @ ahead(h) + edge @ behind(h)
                h = (h + torch.relu(norm(message))) * there
            pooled = torch.cat([h[:, -1], h.sum(dim=1), torch.relu(self.features(features))], 1)
            return self.last(torch.relu(self.hidden(pooled)))

    # torch initialises the layers from its global generator, which is left as it was; then our
    # generator sets all weights, and after them all biases.
    with torch.random.fork_rng(devices=[]):
        module = Network()
    linear = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
    with torch.no_grad():
        for name in ("weight", "bias"):
            for layer in linear:
                bound = layer.in_features**-0.5
                if getattr(layer, name) is not None:
                    getattr(layer, name).uniform_(-bound, bound, generator=generator)
    return module


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
    module = _module(x.shape[1], y.shape[1], width, generator)

    def loss(some: Any) -> Any:
        error = module(edge[some], vertex[some], given[some]) - target[some]
        return (error**2 * mask[some]).sum() / mask[some].sum().clamp(min=1)

    list(trained(list(module.parameters()), loss, len(x), plan, generator))  # all epochs
    return GraphNetwork(module.eval(), standard)

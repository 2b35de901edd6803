"""A graph network over cells: messages along the edges and against them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.structures import MAX_VERTICES
from naslib_ecnas.surrogate.cells import labels, shapes
from naslib_ecnas.surrogate.fit.student import torch_module

__all__ = ["GraphNetwork", "fit_graph_network", "graphs"]

_OPERATIONS = 3
_ROUNDS = 4


def graphs(rows: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What the network sees of (n,) cells.

    Returns:
        (n, 7, 7) adjacency, and (n, 7, 9) of each vertex: which operation (3), whether it is
        there, input, output, channels in widths of the first stack, whether the input projects
        to it, whether the output takes it.
    """
    structure, label = labels(rows)
    shape = shapes()
    edge = shape.edge[structure].astype(np.float32)
    vertex = np.zeros((len(structure), MAX_VERTICES, 9), dtype=np.float32)
    inner = slice(1, MAX_VERTICES - 1)
    for k in range(_OPERATIONS):
        vertex[:, inner, k] = label == k
    vertex[:, inner, 3] = label < _OPERATIONS
    vertex[:, 0, 3] = vertex[:, -1, 3] = 1
    vertex[:, 0, 4] = vertex[:, -1, 5] = 1
    vertex[:, inner, 6] = shape.channels[0][structure] / 128
    vertex[:, -1, 6] = 1
    vertex[:, :, 7] = edge[:, 0, :]
    vertex[:, :, 8] = edge[:, :, -1]
    return edge, vertex


@dataclass
class GraphNetwork:
    """A fitted network."""

    module: Any
    shift: NDArray[np.float32]
    scale: NDArray[np.float32]

    def predict(
        self, rows: NDArray[Any], x: NDArray[Any], batch: int = 4096
    ) -> NDArray[np.float64]:
        """(n, m) outputs for (n,) rows whose features are (n, k) x."""
        torch = torch_module()
        parts = []
        with torch.no_grad():
            for at in range(0, len(rows), batch):
                edge, vertex = graphs(rows[at : at + batch])
                standard = np.clip((x[at : at + batch] - self.shift) * self.scale, -6, 6)
                given = (torch.from_numpy(a) for a in (edge, vertex, standard.astype(np.float32)))
                parts.append(self.module(*given).numpy())
        return np.concatenate(parts).astype(np.float64)


def _module(inputs: int, outputs: int, width: int, generator: Any) -> Any:
    """The network; built within a function because torch is not always installed."""
    torch = torch_module()
    nn: Any = torch.nn
    base: Any = nn.Module

    class Network(base):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(9, width)
            self.own = nn.ModuleList(nn.Linear(width, width) for _ in range(_ROUNDS))
            self.ahead = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(_ROUNDS))
            self.behind = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(_ROUNDS))
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

    # Layers start from torch's global generator, which is left as it was; the numbers that count
    # come from ours.
    with torch.random.fork_rng(devices=[]):
        module = Network()
    linear = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
    with torch.no_grad():
        for layer in linear:
            bound = layer.in_features**-0.5
            layer.weight.uniform_(-bound, bound, generator=generator)
        for layer in linear:
            if layer.bias is not None:
                bound = layer.in_features**-0.5
                layer.bias.uniform_(-bound, bound, generator=generator)
    return module


def fit_graph_network(
    rows: NDArray[Any],
    x: NDArray[Any],
    y: NDArray[Any],
    *,
    width: int = 80,
    epochs: int = 25,
    batch: int = 256,
    rate: float = 2e-3,
    decay: float = 0.1,
    seed: int = 0,
) -> GraphNetwork:
    """Fit a network by squared error.

    Args:
        rows: (n,) cells.
        x: (n, k) features beside the graph.
        y: (n, m) standardised targets; NaN where one is missing.
        width: of the vertices' states.
        epochs, batch, rate, decay: of AdamW, its rate rising and falling in one cycle.
        seed: of the start and the order.
    """
    torch = torch_module()
    generator = torch.Generator().manual_seed(seed)
    x = np.asarray(x, dtype=np.float32)
    shift, spread = x.mean(axis=0), x.std(axis=0)
    scale = (1 / np.where(spread > 1e-6, spread, 1)).astype(np.float32)
    edge, vertex = (torch.from_numpy(a) for a in graphs(rows))
    given = torch.from_numpy(np.clip((x - shift) * scale, -6, 6))
    known = ~np.isnan(y)
    target = torch.from_numpy(np.where(known, y, 0).astype(np.float32))
    mask = torch.from_numpy(known.astype(np.float32))
    module = _module(x.shape[1], y.shape[1], width, generator)
    optimiser = torch.optim.AdamW(module.parameters(), lr=rate, weight_decay=decay)
    steps = epochs * -(-len(x) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, rate, total_steps=steps, pct_start=0.2
    )
    for _ in range(epochs):
        order = torch.randperm(len(x), generator=generator)
        for at in range(0, len(x), batch):
            some = order[at : at + batch]
            error = module(edge[some], vertex[some], given[some]) - target[some]
            loss = (error**2 * mask[some]).sum() / mask[some].sum().clamp(min=1)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return GraphNetwork(module.eval(), shift, scale)

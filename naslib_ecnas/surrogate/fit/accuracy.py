"""Fitting accuracies: graph networks rank the cells at all budgets at once.

Targets are normal scores of the validation accuracies at four budgets and of the test accuracy at
the last; missing ones are left out of the loss. The mean of the networks and of plain perceptrons
is distilled into one perceptron. A first run holds a fifth of the cells out: they give the curves
from score to accuracy, the intervals and the quality in the header. The second run, which ships,
is fitted on all.

The validation accuracies at 108 epochs of the source are the largest of three trainings, which
exceeds the mean the more, the larger the error. The mean is estimated as max - k (1 - max), with k
fitted on the published records that have all three.
"""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.errors import MissingDependencyError
from naslib_ecnas.quality import Z90
from naslib_ecnas.surrogate.calibrate import conformal_sd
from naslib_ecnas.surrogate.features import (
    features,
    topology_and_operations,
    topology_arrays,
)
from naslib_ecnas.surrogate.fit.reference import Measured, read_measured
from naslib_ecnas.surrogate.fit.student import (
    Steps,
    distil,
    held_out,
    labelled,
    no_progress,
    quality,
    torch_module,
)
from naslib_ecnas.surrogate.models import BUDGETS, Perceptron, Weights
from naslib_ecnas.topologies import MAX_VERTICES

__all__ = [
    "GraphNetwork",
    "curves",
    "fit_accuracy",
    "fit_graph_network",
    "graphs",
    "mean_of_largest",
    "normal_scores",
    "shrinkage",
]


Array = NDArray[np.float64]

# -- a graph network: messages along the edges and against them -----------------------------------

_OPERATIONS = 3
_ROUNDS = 4


def graphs(rows: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Inputs of the network for (n,) rows.

    Returns:
        (n, 7, 7) adjacency, and (n, 7, 9) of each vertex: one-hot operation (3), whether it
        exists, is the input, is the output, channels over 128 in the first stack, whether an edge
        leads to it from the input, and from it to the output.
    """
    topology, op = topology_and_operations(rows)
    arrays = topology_arrays()
    edge = arrays.edge[topology].astype(np.float32)
    vertex = np.zeros((len(topology), MAX_VERTICES, 9), dtype=np.float32)
    inner = slice(1, MAX_VERTICES - 1)
    for k in range(_OPERATIONS):
        vertex[:, inner, k] = op == k
    vertex[:, inner, 3] = op < _OPERATIONS
    vertex[:, 0, 3] = vertex[:, -1, 3] = 1
    vertex[:, 0, 4] = vertex[:, -1, 5] = 1
    vertex[:, inner, 6] = arrays.channels[0][topology] / 128
    vertex[:, -1, 6] = 1
    vertex[:, :, 7] = edge[:, 0, :]
    vertex[:, :, 8] = edge[:, :, -1]
    return edge, vertex


@dataclass
class GraphNetwork:
    """A fitted network and the standardisation of its features."""

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
    """The network; a class inside a function because torch is optional."""
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

    # torch initialises the layers from its global generator, which is left as it was; then our
    # generator sets them.
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
    """Fit a network by the mean squared error.

    Args:
        rows: (n,) cells.
        x: (n, k) features beside the graph.
        y: (n, m) standardised targets; NaN where one is missing.
        width: of the vertices' states.
        epochs, batch, rate, decay: of AdamW, its rate rising and falling in one cycle.
        seed: of the initial weights and the order of the cells.
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


# -- from accuracies to normal scores and back ----------------------------------------------------


def normal_scores(values: NDArray[Any]) -> Array:
    """(n,) normal quantiles of the ranks of (n,) values; NaN stays NaN.

    Accuracies crowd near the top, where their order matters most; scores spread them out.

    Raises:
        MissingDependencyError: scipy is not installed.
    """
    try:
        from scipy.special import ndtri
        from scipy.stats import rankdata
    except ImportError as error:
        raise MissingDependencyError("scipy", feature="fitting a surrogate", extra="fit") from error
    out = np.full(len(values), np.nan)
    there = ~np.isnan(values)
    count = int(there.sum())
    out[there] = ndtri((rankdata(values[there]) - 0.5) / count)
    return out


def curves(
    score: NDArray[Any], accuracy: NDArray[Any], *, knots: int = 101, bins: int = 20
) -> tuple[Array, Array, Array]:
    """Mean and standard deviation of the accuracy as functions of a predicted score.

    Args:
        score: (n,) predictions for cells that the fit has not seen.
        accuracy: (n,) of these cells.
        knots: of the curves.
        bins: by score, for the standard deviations.

    Returns:
        (knots,) ascending scores; the mean accuracy at each, never falling; and the standard
        deviation of which 1.645 times hold nine tenths of the errors there.

    Raises:
        MissingDependencyError: scikit-learn is not installed.
    """
    try:
        from sklearn.isotonic import IsotonicRegression
    except ImportError as error:
        raise MissingDependencyError(
            "scikit-learn", feature="fitting a surrogate", extra="fit"
        ) from error
    order = np.argsort(score)
    steps = IsotonicRegression().fit_transform(score[order], accuracy[order])
    least = max(8, len(score) // (2 * knots))
    at, mean = _through_blocks(score[order], steps, least)
    while len(at) > knots:  # a nearly perfect order has very many steps
        least *= 2
        at, mean = _through_blocks(score[order], steps, least)
    # All curves have equally many knots: the last one is repeated.
    at, mean = (np.append(v, np.full(max(knots - len(v), 0), v[-1]))[:knots] for v in (at, mean))
    off = np.abs(accuracy - np.interp(score, at, mean))
    centres, deviations = [], []
    parts = np.array_split(score[order], min(bins, max(1, len(order) // 40)))
    # Cells of equal scores stay together: their order is arbitrary.
    starts = np.unique(np.searchsorted(score[order], [part[0] for part in parts]))
    for mine in np.split(order, starts[1:]):
        centres.append(float(np.median(score[mine])))
        deviations.append(conformal_sd(off[mine]))
    return at, mean, np.interp(at, centres, deviations)


def _through_blocks(score: Array, steps: Array, least: int) -> tuple[Array, Array]:
    """Knots of a line through the middles of the blocks of an isotonic regression.

    The regression itself is a step function, on which cells of different scores would tie.

    Args:
        score: (n,) ascending.
        steps: (n,) never falling.
        least: cells in a block; smaller neighbours are merged.
    """
    starts = np.flatnonzero(np.diff(steps, prepend=-np.inf))
    bounds = [0]
    for start in starts[1:]:
        if start - bounds[-1] >= least and len(score) - start >= least:
            bounds.append(int(start))
    blocks = np.split(np.arange(len(score)), bounds[1:])
    x = np.array([score[block].mean() for block in blocks])
    y = np.array([steps[block].mean() for block in blocks])
    if len(blocks) < 2:
        return x, y
    # Beyond the middles of the outermost blocks the line is extended within the range of `steps`.
    first, last = ((y[i + 1] - y[i]) / (x[i + 1] - x[i]) for i in (0, len(x) - 2))
    low = max(y[0] - first * (x[0] - score[0]), steps[0])
    high = min(y[-1] + last * (score[-1] - x[-1]), steps[-1])
    inner = slice(1 if x[0] <= score[0] else 0, len(x) if x[-1] < score[-1] else len(x) - 1)
    return (
        np.concatenate([[score[0]], x[inner], [score[-1]]]),
        np.concatenate([[min(low, y[0])], y[inner], [max(high, y[-1])]]),
    )


# -- the whole fit --------------------------------------------------------------------------------

VALIDATION = "nasbench101_validation_30001cells.parquet"

TEST = "nasbench101_test108_12959cells.parquet"

RECORDS = "nasbench101_full_records_52cells.parquet"

#: EC-NAS's own trainings, which have both accuracies, for the budgets without published ones.
BOTH = ("measured_4v_rtx6000_3repeats.parquet", "measured_5v_4epochs_rtx6000.parquet")

NAMES = (*(f"validation accuracy at {b} epochs" for b in BUDGETS), "test accuracy at 108 epochs")

#: Weight of the graph networks in the ensemble; the rest is perceptrons'.
_GRAPHS = 0.7

_ANCHORS = (".666", ".731", ".805", ".862")


def shrinkage(records: Measured) -> float:
    """k of `mean_of_largest` by least squares over cells with three trainings."""
    rows, inverse = np.unique(records.rows, return_inverse=True)
    accuracy = records["final_validation_accuracy"]
    mean = np.bincount(inverse, accuracy) / np.bincount(inverse)
    largest = np.full(len(rows), -np.inf)
    np.maximum.at(largest, inverse, accuracy)
    error = 1 - largest
    return float(((largest - mean) * error).sum() / (error**2).sum())


def mean_of_largest(largest: NDArray[Any], k: float) -> Array:
    """(n,) estimated mean accuracies of three trainings, from the largest of each."""
    return np.asarray(largest - k * (1 - largest))


def fit_accuracy(
    folder: str | PathLike[str],
    *,
    seed: int = 0,
    share: float = 0.2,
    members: int = 4,
    epochs: int = 25,
    cells: int = 300_000,
    student_epochs: int = 30,
    progress: Steps = no_progress,
    limit: int | None = None,
) -> Weights:
    """Fit the accuracies.

    Args:
        folder: of the reference measurements.
        seed: of the parts, the networks and the cells that are distilled on.
        share: of the cells that the first run holds out.
        members: graph networks in the ensemble, and as many perceptrons.
        epochs: of each of them.
        cells: drawn from the space for the distilling.
        student_epochs: of the distilling.
        progress: called with each step.
        limit: use only the first measurements of each file.

    Raises:
        UnknownTableError: the folder lacks a file.
        MissingDependencyError: torch, scipy, scikit-learn or pyarrow is not installed.
    """
    place = Path(folder)
    validation, test, records = (read_measured(place / n) for n in (VALIDATION, TEST, RECORDS))
    both = [read_measured(place / name) for name in BOTH]
    k = shrinkage(records)
    few = slice(limit)
    rows, accuracy = _joined(validation.where(few), test.where(few), k)
    apart = held_out(rows, share, seed)

    def fitted(mask: NDArray[np.bool_]) -> Perceptron:
        return _fit(
            rows[mask], accuracy[mask], seed, members, epochs, cells, student_epochs, progress
        )

    progress("accuracy: without a fifth of the cells")
    ranks = fitted(~apart)
    score = ranks(features(rows[apart])).astype(np.float64)
    found = [_curves(score[:, i], accuracy[apart, i]) for i in range(len(NAMES))]
    known = {
        name: _quality(rows[apart], score[:, i], accuracy[apart, i], seed)
        for i, name in enumerate(NAMES)
    }
    progress("accuracy: all cells")
    final = fitted(np.ones(len(rows), dtype=bool))
    header = {
        "target": "accuracy",
        "seed": seed,
        "data": {m.name: m.sha256 for m in (validation, test, records, *both)},
        "split": f"{share:.0%} of the cells held out for quality, curves and intervals; fitted "
        "again on all",
        "shrinkage": k,
        "quality": known,
        "anchors": {
            name: f"boosting on simple graph features, on a fifth of the same records: tau {tau}"
            for name, tau in zip(NAMES[:4], _ANCHORS, strict=True)
        },
    }
    arrays = {
        **final.to_arrays("ranks"),
        "score": np.stack([c[0] for c in found]).astype(np.float32),
        "accuracy": np.stack([c[1] for c in found]).astype(np.float32),
        "deviation": np.stack([c[2] for c in found]).astype(np.float32),
        "test_less_validation": _test_less_validation(both),
        "fitted_rows": np.unique(rows[~np.isnan(accuracy[:, 0])]).astype(np.int32),
        "fitted_rows_test": np.unique(rows[~np.isnan(accuracy[:, 4])]).astype(np.int32),
    }
    return Weights(header, arrays)


def _joined(validation: Measured, test: Measured, k: float) -> tuple[NDArray[np.int64], Array]:
    """(n,) rows of the cells of either file, and their (n, 5) accuracies, NaN where missing."""
    rows = np.union1d(validation.rows, test.rows)
    accuracy = np.full((len(rows), len(NAMES)), np.nan)
    at = np.searchsorted(rows, validation.rows)
    for i, budget in enumerate(BUDGETS[:-1]):
        accuracy[at, i] = validation[f"val_acc_{budget}_one_repeat"]
    accuracy[at, 3] = mean_of_largest(validation["val_acc_108_max_of_repeats"], k)
    accuracy[np.searchsorted(rows, test.rows), 4] = test["test_accuracy_108_mean"]
    return rows, accuracy


def _fit(
    rows: NDArray[np.int64],
    accuracy: Array,
    seed: int,
    members: int,
    epochs: int,
    cells: int,
    student_epochs: int,
    progress: Steps,
) -> Perceptron:
    x = features(rows)
    target = np.stack([normal_scores(column) for column in accuracy.T], axis=1)
    wanted = labelled(rows, cells, seed)
    z = features(wanted)
    labels = np.zeros((len(wanted), target.shape[1]))
    for member in range(members):
        progress(f"accuracy: graph network {member + 1} of {members}")
        network = fit_graph_network(rows, x, target, epochs=epochs, seed=seed + 1000 * member)
        labels += _GRAPHS * network.predict(wanted, z) / members
        # A perceptron on the features alone makes other errors than the graph network.
        plain = distil(
            x,
            target,
            hidden=(128, 64),
            epochs=epochs,
            batch=256,
            decay=0.1,
            seed=seed + 1000 * member,
        )
        labels += (1 - _GRAPHS) * plain(z) / members
    progress("accuracy: distilling")
    return distil(z, labels, hidden=(256, 128), epochs=student_epochs, batch=512, seed=seed)


def _curves(score: Array, accuracy: Array) -> tuple[Array, Array, Array]:
    there = ~np.isnan(accuracy)
    return curves(score[there], accuracy[there])


def _quality(rows: NDArray[np.int64], score: Array, accuracy: Array, seed: int) -> dict[str, Any]:
    """Quality on held-out cells, each half with the curves of the other half."""
    there = ~np.isnan(accuracy)
    rows, score, accuracy = rows[there], score[there], accuracy[there]
    half = np.random.default_rng(seed + 1).random(len(rows)) < 0.5
    mean, std = np.empty(len(rows)), np.empty(len(rows))
    for mine in (half, ~half):
        at, value, deviation = curves(score[~mine], accuracy[~mine])
        mean[mine] = np.interp(score[mine], at, value)
        std[mine] = np.interp(score[mine], at, deviation)
    return quality(
        rows,
        accuracy,
        mean,
        mean - Z90 * std,
        mean + Z90 * std,
        unit="",
        about="held out from a first run of the fit",
    )


def _test_less_validation(both: list[Measured]) -> Array:
    """(4, 2) mean and standard deviation of test less validation accuracy at each budget."""
    budget = np.concatenate([_epochs(m) for m in both])
    less = np.concatenate([m["final_test_accuracy"] - m["final_validation_accuracy"] for m in both])
    each = [less[budget == b] for b in BUDGETS]
    return np.array([[float(d.mean()), float(d.std())] for d in each])


def _epochs(data: Measured) -> Array:
    if "budget_epochs" in data.columns:
        return np.asarray(data["budget_epochs"], dtype=np.float64)
    return np.full(len(data.rows), float(BUDGETS[0]))

"""Distilling: a small perceptron that says what a large ensemble says, in numpy alone."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.errors import MissingDependencyError
from naslib_ecnas.quality import Z90, Scores
from naslib_ecnas.quality import scores as compare
from naslib_ecnas.space import Space
from naslib_ecnas.surrogate.features import labels, shapes
from naslib_ecnas.surrogate.models import Perceptron

__all__ = [
    "Boosting",
    "distil",
    "error_quantile",
    "fit_boosting",
    "held_out",
    "labelled",
    "quality",
    "torch_module",
    "vertices_of",
]


def torch_module() -> Any:
    """The package torch.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingDependencyError("torch", feature="fitting a surrogate", extra="fit") from error
    return torch


def distil(
    x: NDArray[Any],
    y: NDArray[Any],
    *,
    hidden: tuple[int, ...] = (192, 96),
    epochs: int = 30,
    batch: int = 1024,
    rate: float = 3e-3,
    decay: float = 1e-5,
    weight: NDArray[Any] | None = None,
    seed: int = 0,
) -> Perceptron:
    """Fit a perceptron to an ensemble's output on many cells.

    Args:
        x: (n, k) inputs.
        y: (n, m) outputs to be learned, NaN where one is missing; fitted standardised.
        hidden: widths of the hidden layers.
        epochs, batch, rate, decay: of AdamW, the rate falling to 0 along a cosine.
        weight: (n,) weights of the cells.
        seed: of the start and the order.
    """
    torch = torch_module()
    generator = torch.Generator().manual_seed(seed)
    x = np.asarray(x, dtype=np.float32)
    y = np.asarray(y, dtype=np.float32).reshape(len(x), -1)
    shift, spread = x.mean(axis=0), x.std(axis=0)
    scale = (1 / np.where(spread > 1e-6, spread, 1)).astype(np.float32)
    middle, width = np.nanmean(y, axis=0), np.maximum(np.nanstd(y, axis=0), 1e-9)
    known = ~np.isnan(y)
    perceptron = Perceptron(shift, scale, ())
    inputs = torch.from_numpy(np.clip((x - shift) * scale, -perceptron.clip, perceptron.clip))
    targets = torch.from_numpy(np.where(known, (y - middle) / width, 0).astype(np.float32))
    mask = torch.from_numpy((known / np.maximum(known.mean(axis=0), 1e-9)).astype(np.float32))
    weights = None if weight is None else torch.from_numpy(np.asarray(weight, dtype=np.float32))
    sizes = (x.shape[1], *hidden, y.shape[1])
    parameters = []
    for fan_in, fan_out in pairwise(sizes):
        start = torch.randn(fan_in, fan_out, generator=generator) * (2 / fan_in) ** 0.5
        parameters += [start.requires_grad_(), torch.zeros(fan_out).requires_grad_()]
    optimiser = torch.optim.AdamW(parameters, lr=rate, weight_decay=decay)
    steps = epochs * -(-len(x) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, rate, total_steps=steps, pct_start=0.1
    )
    for _ in range(epochs):
        order = torch.randperm(len(x), generator=generator)
        for at in range(0, len(x), batch):
            some = order[at : at + batch]
            h = inputs[some]
            for i in range(0, len(parameters), 2):
                h = torch.addmm(parameters[i + 1], h, parameters[i])
                if i < len(parameters) - 2:
                    h = h.relu()
            each = ((h - targets[some]) ** 2 * mask[some]).mean(dim=1)
            loss = each.mean() if weights is None else (each * weights[some]).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    arrays = [p.detach().numpy().copy() for p in parameters]
    arrays[-2] = (arrays[-2] * width).astype(np.float32)
    arrays[-1] = (arrays[-1] * width + middle).astype(np.float32)
    layers = tuple(zip(arrays[::2], arrays[1::2], strict=True))
    return Perceptron(shift, scale, layers)


# What the fits on NAS-Bench-101's records share: parts, quality by vertices, labelled cells.


def held_out(rows: NDArray[Any], share: float, seed: int) -> NDArray[np.bool_]:
    """(n,) whether the cell of a row is held out: by cell, so that it is in one part only."""
    unlucky = np.random.default_rng(seed).random(len(Space(7))) < share
    return np.asarray(unlucky[rows])


def labelled(rows: NDArray[Any], cells: int, seed: int) -> NDArray[np.int64]:
    """Rows to distil on: all cells of five vertices, the fitted ones, others drawn at random."""
    total = len(Space(7))
    drawn = np.random.default_rng(seed).choice(total, min(cells, total), replace=False)
    return np.unique(np.concatenate([np.arange(len(Space(5))), rows, drawn]))


def vertices_of(rows: NDArray[Any]) -> NDArray[np.int64]:
    """(n,) vertices of the cells, input and output among them."""
    return np.asarray(shapes().slots[labels(rows)[0]] + 2)


def error_quantile(error: NDArray[Any]) -> float:
    """Standard deviation whose 1.645-fold holds nine tenths of (n,) absolute errors.

    Split conformal: of n errors the one of rank ceil(0.9 (n + 1)).
    """
    ordered = np.sort(error)
    rank = min(int(np.ceil(0.9 * (len(ordered) + 1))), len(ordered))
    return float(ordered[rank - 1]) / Z90


def quality(
    rows: NDArray[Any],
    true: NDArray[Any],
    predicted: NDArray[Any],
    lower: NDArray[Any],
    upper: NDArray[Any],
    *,
    unit: str,
    about: str,
) -> dict[str, Any]:
    """An entry of a header's quality: scores over all cells and by their vertices."""
    each: dict[str, Any] = {}
    vertices = vertices_of(rows)
    for count in np.unique(vertices):
        mine = vertices == count
        if mine.sum() >= 10:
            each[str(int(count))] = _scores(true, predicted, lower, upper, mine).to_json()
    whole = _scores(true, predicted, lower, upper, np.ones(len(rows), dtype=bool))
    return {**whole.to_json(), "unit": unit, "about": about, "by_vertices": each}


def _scores(true: Any, predicted: Any, lower: Any, upper: Any, mine: NDArray[Any]) -> Scores:
    return compare(true[mine], predicted[mine], lower[mine], upper[mine])


# Boosted trees on a robust loss: several seeds of LightGBM, averaged.


#: Huber's loss turns linear at this error, in the logarithm: beyond it a run counts as disturbed.
_HUBER = 0.05


@dataclass(frozen=True)
class Boosting:
    """The fitted trees of each seed."""

    members: tuple[Any, ...]

    def predict(self, x: NDArray[Any]) -> NDArray[np.float64]:
        """(n,) means over the members of (n, k) inputs."""
        total = sum(member.predict(np.asarray(x, dtype=np.float64)) for member in self.members)
        return np.asarray(total / len(self.members), dtype=np.float64)


def fit_boosting(
    x: NDArray[Any],
    y: NDArray[Any],
    *,
    seeds: int = 3,
    trees: int = 1500,
    rate: float = 0.03,
    leaves: int = 16,
    seed: int = 0,
) -> Boosting:
    """Fit to (n, k) inputs and (n,) targets, `seeds` times.

    Raises:
        MissingDependencyError: LightGBM is not installed.
    """
    try:
        import lightgbm
    except ImportError as error:
        raise MissingDependencyError(
            "lightgbm", feature="fitting a surrogate", extra="fit"
        ) from error
    members = []
    for member in range(seeds):
        settings = {
            "objective": "huber",
            "alpha": _HUBER,
            "learning_rate": rate,
            "num_leaves": leaves,
            "min_data_in_leaf": 5,
            "bagging_fraction": 0.7,
            "bagging_freq": 1,
            "feature_fraction": 0.3,
            "lambda_l2": 1.0,
            "seed": seed * 1000 + member,
            # One thread and rows first, so that equal seeds give equal trees.
            "num_threads": 1,
            "deterministic": True,
            "force_row_wise": True,
            "verbosity": -1,
        }
        data = lightgbm.Dataset(np.asarray(x, dtype=np.float64), y, free_raw_data=True)
        members.append(lightgbm.train(settings, data, num_boost_round=trees))
    return Boosting(tuple(members))

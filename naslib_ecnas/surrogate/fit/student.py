"""What the fits share: distilling, boosted trees, and parts and quality of the data.

Distilling fits a small perceptron, which numpy alone can evaluate, to the output of an ensemble.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.errors import MissingDependencyError
from naslib_ecnas.quality import scores
from naslib_ecnas.space import Space
from naslib_ecnas.surrogate.features import vertices_of
from naslib_ecnas.surrogate.models import Perceptron

__all__ = [
    "Boosting",
    "Steps",
    "distil",
    "fit_boosting",
    "held_out",
    "labelled",
    "no_progress",
    "quality",
    "torch_module",
]

#: The `progress` of the fits: called with the name of each step as it begins.
Steps = Callable[[str], None]


def no_progress(step: str) -> None:
    """Shows no steps."""


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
        y: (n, m) outputs, NaN where one is missing; they are standardised for the fit.
        hidden: widths of the hidden layers.
        epochs, batch, rate, decay: of AdamW, the rate falling to 0 along a cosine.
        weight: (n,) weights of the cells.
        seed: of the initial weights and the order of the cells.
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


# -- parts and quality of the data ----------------------------------------------------------------


def held_out(rows: NDArray[Any], share: float, seed: int) -> NDArray[np.bool_]:
    """(n,) whether the cell of a row is held out; all rows of a cell are in the same part."""
    drawn = np.random.default_rng(seed).random(len(Space(7))) < share
    return np.asarray(drawn[rows])


def labelled(rows: NDArray[Any], cells: int, seed: int) -> NDArray[np.int64]:
    """Rows to distil on: all cells of up to five vertices, `rows`, and `cells` drawn ones."""
    total = len(Space(7))
    drawn = np.random.default_rng(seed).choice(total, min(cells, total), replace=False)
    return np.unique(np.concatenate([np.arange(len(Space(5))), rows, drawn]))


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
    """An entry for the quality in a header: scores over all cells and by their vertices."""
    vertices = vertices_of(rows)
    arrays = (true, predicted, lower, upper)
    by_vertices = {
        str(count): scores(*(array[vertices == count] for array in arrays)).to_json()
        for count in np.unique(vertices).tolist()
        if np.count_nonzero(vertices == count) >= 10  # fewer are no statistic
    }
    whole = scores(*arrays).to_json()
    return {**whole, "unit": unit, "about": about, "by_vertices": by_vertices}


# -- boosted trees --------------------------------------------------------------------------------

#: Huber's loss turns linear at this error of the logarithm: larger ones are disturbed runs.
_HUBER = 0.05


@dataclass(frozen=True)
class Boosting:
    """Trees of LightGBM, fitted with several seeds and averaged."""

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
    """Fit trees to (n, k) inputs and (n,) targets with Huber's loss, `seeds` times.

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
            # One thread and row-wise histograms, so that equal seeds give equal trees.
            "num_threads": 1,
            "deterministic": True,
            "force_row_wise": True,
            "verbosity": -1,
        }
        data = lightgbm.Dataset(np.asarray(x, dtype=np.float64), y, free_raw_data=True)
        members.append(lightgbm.train(settings, data, num_boost_round=trees))
    return Boosting(tuple(members))

"""What the fits share: folds and quality, training by torch, distilling, and boosted trees.

Distilling fits a small perceptron, which numpy alone can evaluate, to the output of an ensemble.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import count, pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.files import to_plain
from naslib_ecnas.progress import listener
from naslib_ecnas.quality import LEAST_CELLS, QualityLine, Scores, metric_scores, ranked_scores
from naslib_ecnas.space import Space
from naslib_ecnas.surrogate.features import vertices_of
from naslib_ecnas.surrogate.fit.reference import Measured, optional
from naslib_ecnas.surrogate.models import Perceptron, Weights

Mask = NDArray[np.bool_]
Vector = NDArray[np.float64]

#: Share of the cells that the first of two runs holds out.
HELD_OUT = 0.2


def steps_of(task: str, total: int, unit: str) -> Callable[[], None]:
    """A function to call when each of `total` units begins, and once when the last has ended."""
    done, report = count(), listener()
    return lambda: report(task, next(done), total, unit=unit)


# -- parts and quality of the data ----------------------------------------------------------------


def held_out(rows: NDArray[Any], seed: int) -> Mask:
    """(n,) whether the cell of a row is held out; all rows of a cell are in the same part."""
    drawn = np.random.default_rng(seed).random(len(Space(7))) < HELD_OUT
    return np.asarray(drawn[rows])


def out_of_fold(fold: NDArray[Any], predicted: Callable[[Mask], NDArray[Any]]) -> Vector:
    """(n, ...) predictions for (n,) measurements by fits to the other folds.

    Args:
        fold: (n,) number of the fold of each measurement.
        predicted: from a mask of measurements to predictions for them by a fit to all others.
    """
    masks = [fold == number for number in np.unique(fold)]
    found = np.concatenate([predicted(mask) for mask in masks])
    out = np.empty_like(found, dtype=np.float64)
    out[np.concatenate([np.flatnonzero(mask) for mask in masks])] = found
    return out


def labelled(rows: NDArray[Any], cells: int, seed: int) -> NDArray[np.int64]:
    """Rows to distil on: all cells of up to five vertices, `rows`, and `cells` drawn ones."""
    total = len(Space(7))
    drawn = np.random.default_rng(seed).choice(total, min(cells, total), replace=False)
    return np.unique(np.concatenate([np.arange(len(Space(5))), rows, drawn]))


def by_vertices(
    rows: NDArray[Any], score: Callable[[Mask], Scores], *, least: int = LEAST_CELLS
) -> dict[str, Any]:
    """Scores of a mask for each number of vertices that at least `least` of the (n,) cells have."""
    vertices = vertices_of(rows)
    numbers, cells = np.unique(vertices, return_counts=True)
    return {str(v): score(vertices == v).to_json() for v in numbers[cells >= least]}


def weights_of(
    target: str,
    seed: int,
    data: Iterable[Measured],
    split: str,
    quality: Iterable[QualityLine],
    arrays: Mapping[str, NDArray[Any]],
    **more: Any,
) -> Weights:
    """The weights of a fit: `arrays`, and a header of its target, data, split and quality."""
    files = {each.name: each.sha256 for each in data}
    header = {"target": target, "seed": seed, "data": files, "split": split, **more}
    return Weights({**header, "quality": to_plain(list(quality))}, arrays)


def quality(
    target: str,
    rows: NDArray[Any],
    metric: str,
    *arrays: Vector,
    unit: str,
    about: str,
    anchor: str = "",
) -> QualityLine:
    """A line of a report: scores over all cells, by their vertices, and of accuracies by rank.

    Args:
        target: its name.
        rows: (n,) of the cells.
        metric: the one that is predicted.
        arrays: (n,) true values, predictions and their standard deviations.
        unit, about, anchor: as in `QualityLine`.
    """
    return QualityLine(
        target,
        about,
        unit,
        metric_scores(metric, *arrays).to_json(),
        by_vertices(rows, lambda part: metric_scores(metric, *(a[part] for a in arrays))),
        anchor,
        {} if unit else ranked_scores(metric, *arrays),
    )


# -- perceptrons by torch -------------------------------------------------------------------------


class Standard(NamedTuple):
    """Standardises inputs and clips them, as `Perceptron` does."""

    shift: NDArray[Any]
    """(k,) means of the fitted inputs."""
    scale: NDArray[Any]
    """(k,) one over their standard deviations, 1 for constant inputs."""

    @classmethod
    def of(cls, x: NDArray[Any], least: float = 1e-6) -> Standard:
        """Of (n, k) inputs; those with a deviation up to `least` are constant."""
        spread = x.std(axis=0)
        return cls(x.mean(axis=0), (1 / np.where(spread > least, spread, 1)).astype(x.dtype))

    def __call__(self, x: NDArray[Any]) -> NDArray[Any]:
        """(n, k) standardised inputs, of the type of the fitted ones."""
        z = (np.asarray(x, dtype=self.shift.dtype) - self.shift) * self.scale
        return np.asarray(np.clip(z, -Perceptron.clip, Perceptron.clip))


class Plan(NamedTuple):
    """Settings of AdamW."""

    epochs: int
    batch: int = 1024
    rate: float = 3e-3
    decay: float = 1e-5
    rising: float = 0.1
    """Share of the steps in which the rate rises before it falls to 0; 0 for a constant rate."""


def trained(
    parameters: Sequence[Any], loss: Callable[[Any], Any], cells: int, plan: Plan, generator: Any
) -> Iterator[int]:
    """Minimise a loss over tensors, in place; yields the number of each epoch when it is over.

    `loss` takes the indices of some of the cells, which the generator orders in each epoch.
    """
    torch = optional("torch")
    optimiser = torch.optim.AdamW(parameters, lr=plan.rate, weight_decay=plan.decay)
    schedule = None
    if plan.rising:
        steps = plan.epochs * -(-cells // plan.batch)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, plan.rate, total_steps=steps, pct_start=plan.rising
        )
    for epoch in range(plan.epochs):
        for some in torch.randperm(cells, generator=generator).split(plan.batch):
            optimiser.zero_grad()
            loss(some).backward()
            optimiser.step()
            if schedule is not None:
                schedule.step()
        yield epoch


def forward(x: Any, parameters: Sequence[Any], activation: Callable[[Any], Any]) -> Any:
    """Output of a perceptron, of which `parameters` are weights and biases in turn."""
    torch = optional("torch")
    for i in range(0, len(parameters), 2):
        x = torch.addmm(parameters[i + 1], x, parameters[i])
        if i < len(parameters) - 2:
            x = activation(x)
    return x


def distil(
    x: NDArray[Any], y: NDArray[Any], hidden: tuple[int, ...], plan: Plan, *, seed: int = 0
) -> Perceptron:
    """Fit a perceptron with `hidden` layers to an ensemble's output on many cells.

    Args:
        x: (n, k) inputs.
        y: (n, m) outputs, NaN where one is missing; they are standardised for the fit.
    """
    torch = optional("torch")
    generator = torch.Generator().manual_seed(seed)
    x = np.asarray(x, dtype=np.float32)
    y = np.asarray(y, dtype=np.float32).reshape(len(x), -1)
    standard = Standard.of(x)
    middle, width = np.nanmean(y, axis=0), np.maximum(np.nanstd(y, axis=0), 1e-9)
    known = ~np.isnan(y)
    inputs = torch.from_numpy(standard(x))
    targets = torch.from_numpy(np.where(known, (y - middle) / width, 0).astype(np.float32))
    mask = torch.from_numpy((known / np.maximum(known.mean(axis=0), 1e-9)).astype(np.float32))
    parameters = []
    for fan_in, fan_out in pairwise((x.shape[1], *hidden, y.shape[1])):
        start = torch.randn(fan_in, fan_out, generator=generator) * (2 / fan_in) ** 0.5
        parameters += [start.requires_grad_(), torch.zeros(fan_out).requires_grad_()]

    def loss(some: Any) -> Any:
        off = forward(inputs[some], parameters, torch.relu) - targets[some]
        return (off**2 * mask[some]).mean(dim=1).mean()

    list(trained(parameters, loss, len(x), plan, generator))  # all epochs
    arrays = [p.detach().numpy().copy() for p in parameters]
    arrays[-2] = (arrays[-2] * width).astype(np.float32)
    arrays[-1] = (arrays[-1] * width + middle).astype(np.float32)
    layers = tuple(zip(arrays[::2], arrays[1::2], strict=True))
    return Perceptron(*standard, layers)


# -- boosted trees --------------------------------------------------------------------------------

#: Huber's loss turns linear at this error of the logarithm: larger ones are disturbed runs.
_HUBER = 0.05


def fit_boosting(x: Vector, y: Vector, *, trees: int, rate: float = 0.03, seed: int = 0) -> Any:
    """LightGBM's trees, fitted to (n, k) inputs and (n,) targets with Huber's loss."""
    lightgbm = optional("lightgbm")
    settings = {
        "objective": "huber",
        "alpha": _HUBER,
        "learning_rate": rate,
        "num_leaves": 16,
        "min_data_in_leaf": 5,
        "bagging_fraction": 0.7,
        "bagging_freq": 1,
        "feature_fraction": 0.3,
        "lambda_l2": 1.0,
        "seed": seed * 1000,
        # One thread and row-wise histograms, so that equal seeds give equal trees.
        "num_threads": 1,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }
    return lightgbm.train(settings, lightgbm.Dataset(x, y), num_boost_round=trees)

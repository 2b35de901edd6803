"""Fitting accuracies: graph networks rank the cells at all budgets at once.

Targets are normal scores of the validation accuracies at four budgets and of the test accuracy at
the last; missing ones are left out of the loss. The mean of the networks and of plain perceptrons
is distilled into one perceptron. A first run holds a fifth of the cells out: they give the curves
from score to accuracy, the intervals and the quality in the header. The second run, which ships,
is fitted on all.

The low ends of the curves from 12 epochs on, up to the score that 3 % of the cells are below, are
fitted to all cells. Trainings that failed are left out of these.
The networks know few cells of up to four vertices; what they are off on average is subtracted.

The validation accuracies at 108 epochs of the source are the largest of three trainings, which
exceeds the mean the more, the larger the error. The mean is estimated as max - k (1 - max), with k
fitted on the published records that have all three.
"""

from __future__ import annotations

from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.data.convert import converted
from naslib_ecnas.data.table import Table
from naslib_ecnas.quality import QualityLine
from naslib_ecnas.surrogate.features import features, vertices_of
from naslib_ecnas.surrogate.fit import common
from naslib_ecnas.surrogate.fit.graph_network import fit_graph_network
from naslib_ecnas.surrogate.fit.noise import failed
from naslib_ecnas.surrogate.fit.reference import (
    Files,
    Measured,
    optional,
    published,
    read_measured,
)
from naslib_ecnas.surrogate.models import BUDGETS, AccuracyModel, Perceptron, Weights
from naslib_ecnas.surrogate.robust import conformal_sd

Array = NDArray[np.float64]

# -- from accuracies to normal scores and back ----------------------------------------------------


def normal_scores(values: NDArray[Any]) -> Array:
    """Normal quantiles of the ranks of (n, ...) values along the first axis; NaN stays NaN.

    Accuracies crowd near the top, where their order matters most; scores spread them out.
    """
    rank = optional("scipy.stats").rankdata(values, axis=0, nan_policy="omit")
    known = (~np.isnan(values)).sum(axis=0)
    # Contiguous by cell: the order of the memory decides how a fit's sums are rounded.
    return np.ascontiguousarray(optional("scipy.special").ndtri((rank - 0.5) / known))


#: Parts by score that have a standard deviation each.
_BINS = 20


def curves(score: NDArray[Any], accuracy: NDArray[Any], *, knots: int = 101) -> Array:
    """Mean and standard deviation of the accuracy as functions of a predicted score.

    Args:
        score: (n,) predictions for cells that the fit has not seen.
        accuracy: (n,) of these cells; those where it is NaN are left out.
        knots: of the curves.

    Returns:
        (3, knots) ascending scores; the mean accuracy at each, never falling; and the standard
        deviation of which 1.645 times hold nine tenths of the errors there.
    """
    isotonic = optional("sklearn.isotonic", "scikit-learn").IsotonicRegression()
    there = ~np.isnan(accuracy)
    score, accuracy = score[there], accuracy[there]
    order = np.argsort(score)
    ascending = score[order]
    steps = isotonic.fit_transform(ascending, accuracy[order])
    least = max(8, len(score) // (2 * knots))
    while len((line := _through_blocks(ascending, steps, least))[0]) > knots:
        least *= 2  # a nearly perfect order has very many steps
    # All curves have equally many knots: the last one is repeated.
    at, mean = _padded(np.stack(line), knots)
    off = np.abs(accuracy - np.interp(score, at, mean))
    parts = np.array_split(ascending, min(_BINS, max(1, len(order) // 40)))
    # Cells of equal scores stay together: their order is arbitrary.
    starts = np.unique(np.searchsorted(ascending, [part[0] for part in parts]))
    cells = np.split(order, starts[1:])
    centres = [float(np.median(score[mine])) for mine in cells]
    return np.stack([at, mean, np.interp(at, centres, [conformal_sd(off[i]) for i in cells])])


def _padded(curve: Array, knots: int) -> Array:
    """(m, knots) curve whose last knot is repeated."""
    return np.pad(curve, ((0, 0), (0, knots - curve.shape[1])), mode="edge")


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


# -- the low ends, and small cells ----------------------------------------------------------------

#: Share of the cells whose curves are fitted to all cells, and the targets: nearly nothing fails at
#: 4 epochs.
_LOW, _LOWERED = 0.03, range(1, len(BUDGETS) + 1)

#: Fewest cells of a knot there, and of a deviation; knots are the closer, the lower.
_LEAST_MEAN, _LEAST_DEVIATION = 6, 24

#: Accuracy below which all trainings of a cell failed.
_FAILED = 0.2

_NO_EXCESS = np.zeros((0, len(BUDGETS)))

#: Test accuracy of a failed training, and the least accuracy in whose place it shows in a mean.
_FAILED_TEST, _SHOWN = 0.1, 0.75


def with_low_ends(
    model: AccuracyModel, rows: NDArray[np.int64], accuracy: Array, folder: str | PathLike[str]
) -> AccuracyModel:
    """The model with the low ends of its curves and the excess of small cells fitted.

    The perceptron and the rest of the curves stay as they are.

    Args:
        rows, accuracy: (n,) and (n, 5) as by `joined`.
    """
    score = model.ranks(features(rows))
    sampled = ~np.isnan(accuracy[:, 0])  # a random sample of the space, other than the test file
    found = list(np.stack([model.score, model.accuracy, model.deviation], axis=1))
    for k in _LOWERED:
        cut = float(np.quantile(score[sampled, k], _LOW))
        found[k] = _lowered(k, found[k], score[:, k], accuracy[:, k], cut)
    longest = max(curve.shape[1] for curve in found)
    padded = [_padded(curve, longest) for curve in found]
    # Seven digits are enough.
    at, mean, std = np.stack(padded, axis=1).astype(np.float32).astype(np.float64)
    plain = replace(model, score=at, accuracy=mean, deviation=std, excess=_NO_EXCESS)
    return replace(plain, excess=_small_excess(plain, folder))


def _lowered(number: int, curve: Array, score: Array, accuracy: Array, cut: float) -> Array:
    """The curve of a target that is fitted to trainings that did not fail below the score `cut`."""
    high = curve[:, curve[0] > cut]
    good = _sound(number, accuracy)
    if not (good & (score < cut)).any():
        return curve
    for _ in range(2):
        low = low_end(score[good], accuracy[good], cut)
        low[1] = np.minimum(low[1], high[1, 0])
        curve = np.concatenate([low, high], axis=1)
        if number == len(BUDGETS):  # means of three trainings, of which some may have failed
            good &= ~_some_failed(accuracy, np.interp(score, *curve[:2]))
    return curve


def _sound(number: int, accuracy: Array) -> NDArray[np.bool_]:
    """(n,) whether accuracies are known and not of failed trainings only."""
    if number >= len(BUDGETS) - 1:
        return np.asarray(accuracy > _FAILED)
    return ~(failed(accuracy) | np.isnan(accuracy))


def _some_failed(mean: Array, usual: Array) -> NDArray[np.bool_]:
    """(n,) whether one or two of three trainings failed, by their (n,) means and predictions."""
    mixed = [(3 - failed) / 3 * usual + failed / 3 * _FAILED_TEST for failed in (1, 2)]
    nearer = np.min([np.abs(mean - value) for value in mixed], axis=0) < np.abs(mean - usual)
    return np.asarray(nearer & (mean < usual) & (usual > _SHOWN))


def low_end(score: Array, accuracy: Array, cut: float) -> Array:
    """(3, k) knots, means and standard deviations of a curve for scores below `cut`.

    Knots are means over blocks of cells, of which each has a quarter as many as all below it, or
    over several of them where their means would fall.

    Args:
        score, accuracy: (n,) of cells.
        cut: the greatest score that matters.
    """
    isotonic = optional("sklearn.isotonic", "scikit-learn").IsotonicRegression()
    order = np.argsort(score)[: np.count_nonzero(score < cut)]
    score, accuracy = score[order], accuracy[order]
    blocks = _growing(len(score), _LEAST_MEAN, 0.25)
    knots, mean = (np.array([v[block].mean() for block in blocks]) for v in (score, accuracy))
    size = np.array([len(block) for block in blocks])
    mean = isotonic.fit_transform(knots, mean, sample_weight=size)
    # Pooled blocks are one knot: on a level part, cells of different scores would tie.
    starts = np.flatnonzero(np.diff(mean, prepend=-np.inf))
    knots = np.add.reduceat(knots * size, starts) / np.add.reduceat(size, starts)
    mean = mean[starts]
    off = np.abs(accuracy - np.interp(score, knots, mean))
    wide = _growing(len(score), _LEAST_DEVIATION, 0.5)
    centres = [score[block].mean() for block in wide]
    deviation = np.interp(knots, centres, [conformal_sd(off[block]) for block in wide])
    return np.stack([knots, mean, deviation])


def _growing(cells: int, least: int, growth: float) -> list[NDArray[np.int64]]:
    """Blocks of successive numbers below `cells`: `growth` times the numbers before, or `least`."""
    starts = [0]
    while (size := max(least, int(growth * starts[-1]))) * 2 <= cells - starts[-1]:
        starts.append(starts[-1] + size)
    return np.split(np.arange(cells), starts[1:])


#: Cells of a number of vertices count like so many with the mean over all numbers.
_PRIOR = 6


def _small_excess(model: AccuracyModel, folder: str | PathLike[str]) -> Array:
    """`AccuracyModel.excess` from NAS-Bench-101's means for the cells of up to four vertices."""
    name = Files.FOUR_VERTEX_MEANS
    place = name if Path(folder) == published() else Path(folder) / "official" / name
    table = Table.open(converted(place))
    rows = np.asarray(table.rows)
    true = [table.at_budget("validation_accuracy", i)[:, 0] for i in range(len(BUDGETS))]
    off = model.predict(features(rows))["validation_accuracy"] - np.stack(true, axis=1)
    operations = vertices_of(rows) - 2
    parts = [off[operations == k] for k in range(operations.max() + 1)]
    return np.array(
        [(part.sum(axis=0) + _PRIOR * off.mean(axis=0)) / (len(part) + _PRIOR) for part in parts]
    )


# -- the whole fit --------------------------------------------------------------------------------

NAMES = (*(f"validation accuracy at {b} epochs" for b in BUDGETS), "test accuracy at 108 epochs")

#: Weight of the graph networks in the ensemble; the rest is perceptrons'.
_GRAPHS = 0.7

_ANCHORS = {
    name: f"boosting on simple graph features, on a fifth of the same records: tau {tau}"
    for name, tau in zip(NAMES[:4], (".666", ".731", ".805", ".862"), strict=True)
}


def shrinkage(records: Measured) -> float:
    """k of the mean = largest - k (1 - largest), by least squares over cells trained thrice."""
    name = "final_validation_accuracy"
    mean, order = records.means(name)[name], np.argsort(records.rows)
    starts = np.unique(records.rows[order], return_index=True)[1]
    largest = np.maximum.reduceat(records[name][order], starts)
    error = 1 - largest
    return float(((largest - mean) * error).sum() / (error**2).sum())


def fit_accuracy(
    folder: str | PathLike[str],
    *,
    seed: int = 0,
    members: int = 4,
    epochs: int = 25,
    cells: int = 300_000,
    student_epochs: int = 30,
) -> Weights:
    """Fit the accuracies.

    Args:
        members, epochs: graph networks in the ensemble and as many perceptrons, and their epochs.
        cells, student_epochs: cells drawn for the distilling, and its epochs.
    """
    # EC-NAS's own trainings have both accuracies, for the budgets without published ones.
    names = (Files.VALIDATION, Files.TEST, Files.RECORDS, Files.FOUR_VERTICES, Files.FIVE_VERTICES)
    validation, test, records, *both = files = [read_measured(Path(folder) / n) for n in names]
    k = shrinkage(records)
    rows, accuracy = joined(validation, test, k)
    step = common.steps_of("fitting the accuracy", 2 * members + 2, "networks")

    def fitted(part: NDArray[np.bool_]) -> Perceptron:
        x = features(rows[part])
        target = normal_scores(accuracy[part])
        wanted = common.labelled(rows[part], cells, seed)
        z = features(wanted)
        labels = np.zeros((len(wanted), len(NAMES)))
        for member in range(members):
            step()
            own = seed + 1000 * member
            plan = common.Plan(epochs, batch=256, decay=0.1)
            graphs = plan._replace(rate=2e-3, rising=0.2)
            network = fit_graph_network(rows[part], x, target, graphs, seed=own)
            labels += _GRAPHS * network.predict(wanted, z) / members
            # A perceptron on the features alone makes other errors than the graph network.
            plain = common.distil(x, target, (128, 64), plan, seed=own)
            labels += (1 - _GRAPHS) * plain(z) / members
        step()
        return common.distil(
            z, labels, (256, 128), common.Plan(student_epochs, batch=512), seed=seed
        )

    apart = common.held_out(rows, seed)
    score = fitted(~apart)(features(rows[apart])).astype(np.float64)
    pairs = list(zip(score.T, accuracy[apart].T, strict=True))
    found = np.stack([curves(*pair) for pair in pairs], axis=1)
    ranks = fitted(np.ones(len(rows), dtype=bool))
    step()
    at, mean, std = found.astype(np.float32).astype(np.float64)
    model = AccuracyModel(ranks, at, mean, std, _test_less_validation(both), _NO_EXCESS)
    known = ~np.isnan(accuracy)
    arrays = {
        **with_low_ends(model, rows, accuracy, folder).to_arrays(),
        "fitted_rows": np.unique(rows[known[:, 0]]).astype(np.int32),
        "fitted_rows_test": np.unique(rows[known[:, 4]]).astype(np.int32),
    }
    return common.weights_of(
        "accuracy",
        seed,
        files,
        f"{common.HELD_OUT:.0%} of the cells held out for quality, curves and intervals; fitted "
        "again on all",
        [_quality(number, rows[apart], *pair, seed) for number, pair in enumerate(pairs)],
        arrays,
        shrinkage=k,
    )


def joined(validation: Measured, test: Measured, k: float) -> tuple[NDArray[np.int64], Array]:
    """(n,) rows of the cells of either file, and their (n, 5) accuracies, NaN where missing."""
    rows = np.union1d(validation.rows, test.rows)
    accuracy = np.full((len(rows), len(NAMES)), np.nan)
    at = np.searchsorted(rows, validation.rows)
    for i, budget in enumerate(BUDGETS[:-1]):
        accuracy[at, i] = validation[f"val_acc_{budget}_one_repeat"]
    largest = validation["val_acc_108_max_of_repeats"]
    accuracy[at, 3] = largest - k * (1 - largest)  # estimated means of three trainings
    accuracy[np.searchsorted(rows, test.rows), 4] = test["test_accuracy_108_mean"]
    return rows, accuracy


def _quality(
    number: int, rows: NDArray[np.int64], score: Array, accuracy: Array, seed: int
) -> QualityLine:
    """Quality on held-out cells, each half with the curves of the other half.

    Args:
        number: of the target in `NAMES`.
        rows, score, accuracy: (n,) of the cells; the accuracy is NaN where missing.
        seed: of the halves.
    """
    name, sound = NAMES[number], _sound(number, accuracy)
    rows, score, accuracy = rows[sound], score[sound], accuracy[sound]
    half = np.random.default_rng(seed + 1).random(len(rows)) < 0.5

    def predicted(mine: NDArray[np.bool_]) -> Array:
        curve = curves(score[~mine], accuracy[~mine])
        if number in _LOWERED:
            cut = float(np.quantile(score, _LOW))
            curve = _lowered(number, curve, score[~mine], accuracy[~mine], cut)
        return np.stack([np.interp(score[mine], curve[0], part) for part in curve[1:]], axis=1)

    return common.quality(
        name,
        rows,
        "test_accuracy" if name.startswith("test") else "validation_accuracy",
        accuracy,
        *common.out_of_fold(half, predicted).T,
        unit="",
        about="held out from a first run of the fit, without failed trainings",
        anchor=_ANCHORS.get(name, ""),
    )


def _test_less_validation(both: list[Measured]) -> Array:
    """(4, 2) mean and standard deviation of test less validation accuracy at each budget."""
    # The five-vertex runs, all of 4 epochs, have no column of budgets.
    budget = [m.columns.get("budget_epochs", np.full(len(m.rows), BUDGETS[0])) for m in both]
    less = np.concatenate([m["final_test_accuracy"] - m["final_validation_accuracy"] for m in both])
    each = [less[np.concatenate(budget) == b] for b in BUDGETS]
    return np.array([[float(d.mean()), float(d.std())] for d in each])

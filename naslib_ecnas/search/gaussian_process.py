"""Gaussian processes over groups of columns, and the hypervolume that predictions gain."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.search.base import Floats

# The hyperparameters are logarithms to base 2: the length of each group, the weight of the linear
# kernel, and the variance of the nugget. Each has a normal prior (mean and standard deviation), a
# step of its climb, and bounds.
_LENGTH = (0.0, 1.0, 1.0, -6.0, 8.0)
_LINEAR = (0.0, 2.0, 2.0, -6.0, 8.0)
_NUGGET = (-4.0, 2.0, 2.0, -12.0, 8.0)
# Rounds of steps from the prior's means; from earlier hyperparameters one is enough.
_ROUNDS = 4
# Smallest variance of a process relative to that of its targets.
_LEAST_VARIANCE = 1e-6
# Numbers held at once for some of the points: (points, boxes of all objectives but one).
_ELEMENTS = 4_000_000


class Products:
    """Inner products of the cells of two sets, group by group, from which kernels are computed."""

    def __init__(self, one: Sequence[Floats], other: Sequence[Floats]) -> None:
        self.inner = np.stack([a @ b.T for a, b in zip(one, other, strict=True)])
        self.squares = [np.stack([(x**2).sum(axis=1) for x in side]) for side in (one, other)]

    def kernel(self, theta: Floats) -> Floats:
        """(n, k) covariances, relative to the variance of the process and without the nugget.

        exp(-|x - y|^2 / 2) + 2^linear <x, y>, with each group g of columns divided by its length
        2^theta[g].
        """
        weights = 4.0 ** -theta[:-2]
        inner = np.tensordot(weights, self.inner, 1)
        halves = [0.5 * weights @ squares for squares in self.squares]
        near = np.exp(inner - halves[0][:, None] - halves[1])
        return np.asarray(near + 2.0 ** theta[-2] * inner)


@dataclass(frozen=True, eq=False)
class View:
    """How a process sees costs: normal, with all costs above `cut` as good as `cut`, or log-normal
    after `shift` is added to them."""

    shift: float | None = None
    cut: float = math.inf

    def seen(self, costs: Floats) -> Floats:
        """(n,) targets of (n,) costs."""
        return np.minimum(costs, self.cut) if self.shift is None else np.log(costs + self.shift)

    def cost(self, target: float) -> float:
        """The cost of a target: the median of the costs, if it is the mean of the targets."""
        return target if self.shift is None else math.exp(target) - self.shift


@dataclass(frozen=True, eq=False)
class Process:
    """A Gaussian process given n costs: targets are `mean` + `scale` times a process of the kernel,
    with `variance`, plus an independent part of each cell, the nugget."""

    view: View
    theta: Floats
    """Logarithms to base 2 of the lengths of the groups, the linear weight and the nugget."""
    factor: Floats
    """(n, n) lower Cholesky factor of the kernel with the nugget."""
    residuals: Floats
    """(n,) standardised targets, divided by the factor."""
    mean: float
    scale: float

    @property
    def nugget(self) -> float:
        """Variance of a cell's own part, relative to that of the process."""
        return float(2.0 ** self.theta[-1])

    @property
    def variance(self) -> float:
        """Variance of the process, relative to that of the targets: its most likely value."""
        return max(float(self.residuals @ self.residuals) / len(self.residuals), _LEAST_VARIANCE)


def fitted(
    products: Products,
    costs: Floats,
    views: Sequence[View],
    start: Floats | None = None,
    *,
    climb: bool = True,
) -> Process:
    """The process of the most probable hyperparameters and view, given (n,) costs.

    The marginal likelihood of the costs (with the variance at its most likely value) times wide
    priors is climbed one hyperparameter at a time, from those of an earlier process or the prior.
    Without `climb` the earlier hyperparameters are kept.
    """
    from scipy.linalg import cholesky, solve_triangular

    n, groups = len(costs), len(products.inner)
    seen = np.column_stack([view.seen(costs) for view in views])
    mean, scale = seen.mean(axis=0), seen.std(axis=0) + 1e-12
    targets = (seen - mean) / scale
    # Densities of costs, not of their logarithms, can be compared between shifts.
    slopes = np.array([0.0 if view.shift is None else view.seen(costs).sum() for view in views])
    table = np.array([_LENGTH] * groups + [_LINEAR, _NUGGET])
    centres, widths, steps, least, most = table.T

    def at(theta: Floats) -> tuple[float, Floats, Floats, Floats, int]:
        covariance = products.kernel(theta)
        covariance.flat[:: n + 1] += 2.0 ** theta[-1]
        factor = cholesky(covariance, lower=True, check_finite=False, overwrite_a=True)
        residuals = solve_triangular(factor, targets, lower=True, check_finite=False)
        variances = np.maximum((residuals**2).mean(axis=0), _LEAST_VARIANCE)
        likelihoods = -0.5 * n * np.log(variances) - n * np.log(scale) - slopes
        k = int(likelihoods.argmax())
        prior = -0.5 * (((theta - centres) / widths) ** 2).sum()
        score = likelihoods[k] - np.log(np.diag(factor)).sum() + prior
        return float(score), theta, factor, residuals[:, k], k

    top = at(centres if start is None else start)
    rounds = 1 if start is not None else _ROUNDS
    for _ in range(rounds if climb else 0):
        before = top[0]
        for i, step in enumerate(steps):
            for way in (step, -step):
                theta = top[1].copy()
                theta[i] = np.clip(theta[i] + way, least[i], most[i])
                other = at(theta)
                if other[0] > top[0]:
                    top = other
                    break
        if top[0] <= before:
            break
    _, theta, factor, residuals, k = top
    return Process(views[k], theta, factor, residuals, float(mean[k]), float(scale[k]))


class Prediction:
    """Independent predictions of the costs of k new cells, under one process.

    A cell's own part, the nugget, belongs to its cost and so to the prediction's variance.
    """

    def __init__(self, process: Process, cross: Products, groups: Sequence[Floats]) -> None:
        """`cross` are the products of the n cells of the process and the k new ones, whose columns
        are `groups`."""
        from scipy.linalg import solve_triangular

        self.process = process
        self._groups = groups
        covariances = cross.kernel(process.theta)
        self._halves = solve_triangular(
            process.factor, covariances, lower=True, check_finite=False, overwrite_b=True
        )
        weights = 4.0 ** -process.theta[:-2]
        prior = 1.0 + 2.0 ** process.theta[-2] * (weights @ cross.squares[1])
        #: (k,) means of the targets.
        self.mean: Floats = process.mean + process.scale * (process.residuals @ self._halves)
        self._variance = np.maximum(prior - np.einsum("nk,nk->k", *[self._halves] * 2), 0.0)

    def among(self, which: NDArray[np.intp]) -> Prediction:
        """The predictions of some of the cells, by their positions."""
        some = copy(self)
        some._groups = [columns[which] for columns in self._groups]
        some._halves = self._halves[:, which]
        some.mean, some._variance = self.mean[which], self._variance[which]
        return some

    @property
    def std(self) -> Floats:
        """(k,) standard deviations of the targets."""
        process = self.process
        variance = (self._variance + process.nugget) * process.variance
        return np.asarray(process.scale * np.sqrt(variance))

    def suppose(self, i: int) -> float:
        """Condition on the target of cell i being its mean; returns its cost."""
        process = self.process
        own = Products([columns[i : i + 1] for columns in self._groups], self._groups)
        covariances = own.kernel(process.theta)[0] - self._halves[:, i] @ self._halves
        half = covariances / math.sqrt(self._variance[i] + process.nugget)
        self._halves = np.vstack([self._halves, half])
        self._variance = np.maximum(self._variance - half**2, 0.0)
        return process.view.cost(float(self.mean[i]))

    def partial_expectation(self, t: Floats) -> Floats:
        """(k, n) expectations E[max(0, t - Y)] of the costs Y of the cells, for (n,) costs t."""
        mean, std, view = self.mean[:, None], self.std[:, None], self.process.view
        if view.shift is None:
            return normal_partial(t, mean, std)
        return lognormal_partial(t + view.shift, mean, std)


# -- expected improvement of the hypervolume, exact for independent predictions ----


def expected_gain(
    partials: Sequence[Callable[[Floats], Floats]], front: Floats, reference: Floats
) -> Floats:
    """Expected gain in hypervolume from each of n points with independent random costs.

    The costs of the front cut the space below the reference into boxes. A point Y gains, in each
    box (a, b) that is not dominated yet, the volume of the part that it dominates, whose
    expectation is a product over the objectives of E[max(0, b - max(a, Y))] = psi(b) - psi(a),
    with psi(t) = E[max(0, t - Y)] (the idea is of Emmerich et al. 2006).

    Args:
        partials: psi of each objective, which returns (n, k) expectations for (k,) costs t.
        front: (k, m) costs of the front; points not better than the reference do not matter.
        reference: (m,) costs of the reference point.

    Returns:
        (n,) float64 of at least 0.
    """
    front = front[(front < reference).all(axis=1)]
    ends = [np.append(np.unique(front[:, d]), reference[d]) for d in range(len(reference))]
    free = _undominated(ends, front).astype(np.float64)
    # (n, intervals) of each objective
    parts = [np.diff(psi(t), axis=1, prepend=0.0) for psi, t in zip(partials, ends, strict=True)]
    out = np.empty(len(parts[0]))
    step = max(1, _ELEMENTS // free[0].size)
    for some in (slice(i, i + step) for i in range(0, len(out), step)):
        gain = np.tensordot(parts[0][some], free, axes=(1, 0))
        for part in parts[1:]:
            gain = np.einsum("ni,ni...->n...", part[some], gain)
        out[some] = gain
    return np.maximum(out, 0.0)


def _undominated(ends: list[Floats], front: Floats) -> NDArray[np.bool_]:
    """Mask of the boxes that no point of the front dominates.

    In each objective a box reaches from the previous end (minus infinity for the first) to its own
    end; a point of the front dominates it if the point is no worse than the lower corner.
    """
    dominated = np.zeros([len(e) for e in ends], dtype=np.bool_)
    dominated[tuple(np.searchsorted(e, front[:, d]) + 1 for d, e in enumerate(ends))] = True
    for axis in range(len(ends)):  # and so is every box that lies behind a dominated one
        dominated = np.logical_or.accumulate(dominated, axis=axis)
    return ~dominated


def normal_partial(t: Floats, mean: Floats, std: Floats) -> Floats:
    """E[max(0, t - Y)] of Y ~ N(mean, std^2), std > 0."""
    from scipy.special import ndtr

    gap = t - mean
    u = gap / std
    return np.asarray(gap * ndtr(u) + std * np.exp(-0.5 * u**2) / math.sqrt(2 * math.pi))


def lognormal_partial(t: Floats, mean: Floats, std: Floats) -> Floats:
    """E[max(0, t - Y)] of Y > 0 with ln Y ~ N(mean, std^2), std > 0 (Black and Scholes 1973)."""
    from scipy.special import ndtr

    above = np.maximum(t, np.finfo(float).tiny)
    u = (np.log(above) - mean) / std
    return np.asarray(
        above * ndtr(u) - np.exp(np.minimum(mean + 0.5 * std**2, 50.0)) * ndtr(u - std)
    )

"""MSE-HVI: Bayesian optimisation by the expected improvement of the hypervolume."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.analysis import nondominated
from naslib_ecnas.errors import ConfigError, check_counts
from naslib_ecnas.search.base import Optimiser, draw_released
from naslib_ecnas.search.operators import Encoding, Known, perturb
from naslib_ecnas.space import Space

__all__ = ["FourierFeatures", "MseHvi", "Regression", "expected_improvement"]


# Bayesian linear regression on random features: a Gaussian process that grows cheaply.


#: Ratios of noise to prior variance that the evidence chooses from.
_RATIOS = np.logspace(-3, 3, 13)


class FourierFeatures:
    """Inputs, a constant, and random cosines whose products approach a Gaussian kernel.

    z(x) = sqrt(2 / D) cos(W x + b), with W normal and b uniform (Rahimi and Recht 2007), so that
    a linear model of z is a Gaussian process with the kernel exp(-|x - x'|^2 / (2 l^2)).

    Args:
        inputs: columns of x.
        rng: draws W and b.
        cosines: D.
        length: l, in units of the inputs' typical distance.
    """

    def __init__(
        self, inputs: int, rng: np.random.Generator, *, cosines: int = 64, length: float = 1.0
    ) -> None:
        self._inputs = inputs
        # Two random inputs of unit variance are sqrt(2 n) apart.
        self._weights = rng.normal(0.0, 1.0 / (length * np.sqrt(2.0 * inputs)), (inputs, cosines))
        self._phases = rng.uniform(0.0, 2.0 * np.pi, cosines)

    def __len__(self) -> int:
        return 1 + self._inputs + len(self._phases)

    def __call__(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, len(self)) features of (n, inputs) inputs of about unit variance."""
        cosines = np.cos(x @ self._weights + self._phases) * np.sqrt(2.0 / len(self._phases))
        linear = x / np.sqrt(self._inputs)  # as much variance in all as the cosines have
        return np.column_stack([np.ones(len(x)), linear, cosines])


class Regression:
    """Bayesian ridge regression of several targets on the same features.

    y = w . z + e with w ~ N(0, s^2 / r) and e ~ N(0, s^2), for each target apart, after it was
    brought to mean 0 and variance 1. The ratio r is the one of a grid with the largest marginal
    likelihood, s^2 its most likely value. Data are kept as sums, so adding n points costs
    O(n d^2) and a fit O(d^3), however many came before.

    Args:
        features: columns of z (d).
        targets: columns of y (m).
    """

    def __init__(self, features: int, targets: int) -> None:
        self._gram = np.zeros((features, features))
        self._moment = np.zeros((features, targets))
        self._total = np.zeros(features)
        self._sum = np.zeros(targets)
        self._squares = np.zeros(targets)
        self._n = 0

    def __len__(self) -> int:
        """Points added."""
        return self._n

    def add(self, z: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        """Add (n, d) features with their (n, m) targets."""
        self._gram += z.T @ z
        self._moment += z.T @ y
        self._total += z.sum(axis=0)
        self._sum += y.sum(axis=0)
        self._squares += (y**2).sum(axis=0)
        self._n += len(z)

    def fit(self) -> Posterior:
        """What is known of the targets after the points added (n >= 2)."""
        n = self._n
        mean = self._sum / n
        variance = np.maximum(self._squares / n - mean**2, 0.0)
        scale = np.sqrt(np.where(variance > 1e-12 * np.maximum(mean**2, 1e-300), variance, 1.0))
        moment = (self._moment - self._total[:, None] * mean) / scale
        values, vectors = np.linalg.eigh(self._gram)
        values = np.maximum(values, 0.0)
        rotated = vectors.T @ moment
        squares = n * variance / scale**2
        # (targets, ratios): residual y'y - q' (L + r)^-1 q, and the log of the evidence.
        rest = squares[:, None] - np.einsum(
            "dt,dr->tr", rotated**2, 1.0 / (values[:, None] + _RATIOS)
        )
        noise = np.maximum(rest / n, 1e-9)
        complexity = np.log1p(values[:, None] / _RATIOS).sum(axis=0)
        best = (n * np.log(noise) + complexity).argmin(axis=1)
        inverse = 1.0 / (values[:, None] + _RATIOS[best])
        targets = np.arange(len(mean))
        return Posterior(mean, scale, vectors, rotated * inverse, inverse, noise[targets, best])


class Posterior:
    """Predictions of a fitted `Regression`."""

    def __init__(
        self,
        mean: NDArray[np.float64],
        scale: NDArray[np.float64],
        vectors: NDArray[np.float64],
        weights: NDArray[np.float64],
        inverse: NDArray[np.float64],
        noise: NDArray[np.float64],
    ) -> None:
        self._mean, self._scale = mean, scale
        self._vectors, self._weights = vectors, weights
        self._inverse, self._noise = inverse, noise

    def __call__(self, z: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(n, m) mean and standard deviation of a new observation at (n, d) features."""
        rotated = z @ self._vectors
        mean = rotated @ self._weights * self._scale + self._mean
        variance = self._noise * (1.0 + rotated**2 @ self._inverse)
        return mean, np.sqrt(variance) * self._scale


# Expected improvement of the hypervolume under independent normal predictions, exactly.


_REACH = 8.0

_STEPS = 4096


def expected_improvement(
    mean: NDArray[np.float64],
    std: NDArray[np.float64],
    front: NDArray[np.float64],
    reference: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Expected gain in hypervolume from each of n points alone.

    The costs of the front cut the space below the reference into boxes. A point at y improves a
    box that nothing dominates yet by the volume of its part beyond y, which is a product over the
    objectives of E[max(0, b - max(a, Y))] = psi(b) - psi(a), with psi(t) = E[max(0, t - Y)] =
    (t - mu) Phi((t - mu) / s) + s phi((t - mu) / s) (Emmerich et al. 2006 for the idea).

    Args:
        mean: (n, m) predicted costs.
        std: (n, m) their standard deviations, 0 where a cost is known.
        front: (k, m) costs of the front; those not better than the reference do not matter.
        reference: (m,) costs of the reference point.

    Returns:
        (n,) float64 of at least 0.
    """
    m = mean.shape[1]
    front = front[(front < reference).all(axis=1)]
    ends = [np.append(np.unique(front[:, d]), reference[d]) for d in range(m)]
    free = _undominated(ends, front)
    parts = []  # (n, intervals) of each objective
    for d in range(m):
        psi = _partial_expectation(ends[d], mean[:, d, None], std[:, d, None])
        parts.append(np.diff(psi, axis=1, prepend=0.0))
    gain = np.tensordot(parts[0], free.astype(np.float64), axes=(1, 0))
    for part in parts[1:]:
        gain = np.einsum("ni,ni...->n...", part, gain)
    return np.maximum(gain, 0.0)


def _undominated(ends: list[NDArray[np.float64]], front: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Mask of the boxes, by their upper ends, that no point of the front dominates.

    A box reaches from the end before (minus infinity for the first) to its own end; a point of the
    front dominates it if it is no worse than the lower corner.
    """
    corners = np.zeros([len(e) for e in ends], dtype=np.int32)
    places = [np.searchsorted(e, front[:, d]) + 1 for d, e in enumerate(ends)]
    np.add.at(corners, tuple(places), 1)
    for axis in range(len(ends)):  # how many points have their corner at or before a box
        corners = np.cumsum(corners, axis=axis)
    free: NDArray[np.bool_] = corners == 0
    return free


def _partial_expectation(
    t: NDArray[np.float64], mean: NDArray[np.float64], std: NDArray[np.float64]
) -> NDArray[np.float64]:
    """psi(t) = E[max(0, t - Y)] for normal Y; max(0, t - mean) where std is 0."""
    gap = t - mean
    certain = std <= 0
    u = gap / np.where(certain, 1.0, std)
    density = np.exp(-0.5 * u**2) / math.sqrt(2 * math.pi)
    psi = gap * _normal_cdf(u) + std * density
    return np.where(certain, np.maximum(gap, 0.0), np.maximum(psi, 0.0))


def _normal_cdf(u: NDArray[np.float64]) -> NDArray[np.float64]:
    """Phi(u) from a table, to 5e-7: numpy has no error function, and calling math's is slow."""
    at, values = _table()
    return np.interp(u, at, values)


@lru_cache(maxsize=1)
def _table() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    at = np.linspace(-_REACH, _REACH, _STEPS + 1)
    return at, np.array([0.5 * (1 + math.erf(v / math.sqrt(2))) for v in at])


# Candidates of the largest improvement that are looked at again after one was chosen.
_FEW = 24


class MseHvi(Optimiser):
    """Mixed-surrogate expected hypervolume improvement (Izquierdo et al. 2021, "Bag of Baselines
    for Multi-objective Joint NAS and HPO"; MSE-HVI in the EC-NAS paper).

    As published: a few random cells, then one after another the cell with the largest expected
    improvement of the hypervolume, under a probabilistic surrogate for each objective, fitted to
    all evaluations so far; an objective that can be computed without a training is taken as it is
    (`known`), which is what is mixed about it.

    Our reading: the surrogate is a Gaussian process in random features over an encoding of the
    cell (`Encoding`, `Regression`) instead of one over raw parameters, with an exact improvement
    for any number of objectives (`expected_improvement`). It is maximised over a pool of
    perturbed cells of the front and uniform draws, since a space of cells has no gradient, and
    cells that were evaluated are not in the pool. Several cells are chosen at a time: each as if
    those before had already been found as predicted. The reference point is the worst cost seen
    in each objective. The released code looks the energy of every candidate up in the table
    before it is trained; no search may do that here, so energy is predicted like the rest.

    With `paper=True` the first cells and the pool are drawn as in the released code
    (`released_draws`): what is no cell is dropped and counted as `skipped`. Not reproduced: the
    free look at the energies, and the energy of 0 of what is no cell.

    Args:
        space, rng, rows, paper, budgets: see `Optimiser`.
        initial: random cells to start with.
        batch: cells chosen at a time; 1 as published.
        pool: candidates, half of them perturbed cells of the front.
        known: costs of an objective over the whole space that need no training, by its number:
            (n_cells,) each.
        cosines: random features of the surrogate.

    Raises:
        ConfigError: a setting that is not possible.

    Example:
        >>> import numpy as np
        >>> from naslib_ecnas.space import Space
        >>> space = Space(4)
        >>> search = MseHvi(space=space, rng=np.random.default_rng(0), batch=2)
        >>> for _ in range(20):
        ...     rows = search.ask()
        ...     cells = [space.cell(row) for row in rows]
        ...     search.tell(rows, [(cell.edges, 4 - cell.vertices) for cell in cells])
        >>> search.front_costs.tolist()  # the fewest edges for 2, 3 and 4 vertices
        [[1.0, 2.0], [2.0, 1.0], [3.0, 0.0]]
    """

    name = "mse-hvi"
    has_paper_setting = True

    def __init__(
        self,
        *,
        space: Space,
        rng: np.random.Generator,
        rows: ArrayLike | None = None,
        paper: bool = False,
        initial: int = 10,
        batch: int = 10,
        pool: int = 128,
        known: Mapping[int, ArrayLike] | None = None,
        cosines: int = 64,
        budgets: tuple[int, ...] = (),
    ) -> None:
        super().__init__(space=space, rng=rng, rows=rows, paper=paper, budgets=budgets)
        check_counts("MSE-HVI", initial=initial, batch=batch, cosines=cosines, pool=pool)
        exact = {i: np.asarray(costs, dtype=np.float64) for i, costs in (known or {}).items()}
        wrong = [i for i, costs in exact.items() if costs.shape != (len(space),)]
        if pool < batch or wrong:
            raise ConfigError(
                "no such MSE-HVI",
                value={"initial": initial, "batch": batch, "pool": pool, "known": list(exact)},
                expected="at least one cell in each, a pool that holds a batch, and known costs "
                "of every cell of the space",
                remedy="leave them at their defaults",
            )
        self.initial = initial
        self.batch = batch
        self.pool = pool
        self._exact = exact
        self._known = Known(self._allowed, avoid=True)
        self._encode = Encoding(space, rng)
        self._features = FourierFeatures(len(self._encode), rng, cosines=cosines)
        self._model: Regression | None = None
        self._worst: NDArray[np.float64] = np.empty(0)  # set with the model
        #: (k,) rows of the front found so far, from the least first cost.
        self.front_rows: NDArray[np.int32] = np.empty(0, dtype=np.int32)
        #: (k, m) their costs.
        self.front_costs: NDArray[np.float64] = np.empty((0, 2))
        self._told = 0

    def ask(self) -> NDArray[np.int32]:
        """The first cells at random, then those of the largest expected improvement."""
        if self._told < self.initial or self._model is None or len(self._model) < 2:
            missing = max(1, self.initial - self._told)
            return self._drawn(missing) if self.paper else self._known.sample(self.rng, missing)
        pool = np.unique(self._candidates())
        return pool[self._chosen(pool)]

    def tell(self, rows: ArrayLike, costs: ArrayLike) -> None:
        """Learn the costs; what has a NaN is not learnt from and not asked for again."""
        new_rows, new_costs = self._checked(rows, costs)
        self._told += len(new_rows)
        self._known.note(new_rows)
        there = ~np.isnan(new_costs).any(axis=1)
        new_rows, new_costs = new_rows[there], new_costs[there]
        if not len(new_rows):
            return
        if self._model is None:
            self._model = Regression(len(self._features), new_costs.shape[1])
            self._worst = new_costs.max(axis=0)
            self.front_costs = new_costs[:0]
        self._model.add(self._features(self._encode(new_rows)), new_costs)
        self._worst = np.maximum(self._worst, new_costs.max(axis=0))
        every = np.concatenate([self.front_rows, new_rows])
        every_costs = np.concatenate([self.front_costs, new_costs])
        kept = np.flatnonzero(nondominated(every_costs))
        kept = kept[np.lexsort(every_costs[kept].T[::-1])]
        self.front_rows, self.front_costs = every[kept], every_costs[kept]

    def predict(self, rows: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(n, m) mean and standard deviation of the costs of (n,) cells.

        Raises:
            ConfigError: too little was told so far.
        """
        if self._model is None or len(self._model) < 2:
            raise ConfigError(
                "nothing to predict from",
                value=0 if self._model is None else len(self._model),
                expected="costs of at least two cells",
                remedy="tell more first",
            )
        return self._predicted(self._model.fit(), np.asarray(rows, dtype=np.int32))

    def _predicted(
        self, posterior: Posterior, rows: NDArray[np.int32]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        mean, std = posterior(self._features(self._encode(rows)))
        for objective, costs in self._exact.items():
            mean[:, objective], std[:, objective] = costs[rows], 0.0
        return mean, std

    def _drawn(self, n: int) -> NDArray[np.int32]:
        rows, skipped = draw_released(self, n)
        self.skipped += skipped
        return rows

    def _candidates(self) -> NDArray[np.int32]:
        """Cells to choose from, those not yet evaluated where there are such."""
        new = self._known.proposable
        if self.paper:
            drawn = self._drawn(self.pool)
            return drawn[new[drawn]] if new[drawn].any() else drawn
        parents = self.front_rows[self.rng.integers(0, len(self.front_rows), self.pool // 2)]
        near = perturb(self.space, parents, self.rng, allowed=new)
        far = self.sample(self.pool - len(near))
        both = np.concatenate([near[near >= 0], far[new[far]]])
        return both if len(both) else self._known.sample(self.rng, self.batch)

    def _chosen(self, pool: NDArray[np.int32]) -> NDArray[np.int64]:
        """(at most batch,) positions in the pool, one after the other."""
        mean, std = self.predict(pool)
        front, worst = self.front_costs, self._worst
        bound = expected_improvement(mean, std, front, worst)
        chosen = [int(bound.argmax())]
        while len(chosen) < min(self.batch, len(pool)):
            last = chosen[-1]
            bound[last] = -1.0
            front = np.concatenate([front, mean[last : last + 1]])
            front = front[nondominated(front)]
            # A larger front never makes an improvement larger, so few have to be computed anew.
            some = np.argsort(-bound, kind="stable")[:_FEW]
            beyond = np.delete(bound, some).max(initial=-1.0)
            some = some[bound[some] >= 0]
            bound[some] = expected_improvement(mean[some], std[some], front, worst)
            if bound[some].max() < beyond:
                left = np.flatnonzero(bound >= 0)
                bound[left] = expected_improvement(mean[left], std[left], front, worst)
            chosen.append(int(bound.argmax()))
        return np.array(chosen, dtype=np.int64)

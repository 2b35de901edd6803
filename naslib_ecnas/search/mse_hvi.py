"""MSE-HVI: Bayesian optimisation by the expected improvement of the hypervolume.

`FourierFeatures` and `Regression` are a Gaussian process in random features, cheap to extend.
"""

from __future__ import annotations

from functools import partial
from operator import add
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.analysis import nondominated
from naslib_ecnas.errors import ConfigError, check_counts
from naslib_ecnas.search.base import Evaluated, Floats, Optimiser, Problem, Rows
from naslib_ecnas.search.encoding import Encoding
from naslib_ecnas.search.gaussian_process import expected_gain, normal_partial
from naslib_ecnas.search.operators import Visited, perturb

#: Ratios of noise variance to prior variance, among which the evidence chooses.
_RATIOS = np.logspace(-3, 3, 13)


# -- regression ----


class FourierFeatures:
    """A constant, the inputs, and random cosines whose products approximate a Gaussian kernel.

    z(x) = sqrt(2 / D) cos(W x + b), with W normal and b uniform (Rahimi and Recht 2007), so that
    a linear model of z is a Gaussian process with the kernel exp(-|x - x'|^2 / (2 l^2)). `inputs`
    is the number of columns of x, `cosines` is D.
    """

    def __init__(self, inputs: int, rng: np.random.Generator, *, cosines: int = 64) -> None:
        # l is the typical distance between two inputs of unit variance, sqrt(2 n).
        self._weights = rng.normal(0.0, 1.0 / np.sqrt(2.0 * inputs), (inputs, cosines))
        self._phases = rng.uniform(0.0, 2.0 * np.pi, cosines)

    def __call__(self, x: Floats) -> Floats:
        """(n, 1 + inputs + cosines) features of (n, inputs) inputs of about unit variance."""
        cosines = np.cos(x @ self._weights + self._phases) * np.sqrt(2.0 / len(self._phases))
        linear = x / np.sqrt(x.shape[1])  # the same total variance as the cosines
        return np.column_stack([np.ones(len(x)), linear, cosines])


class Regression:
    """Bayesian ridge regression of several targets on the same features.

    y = w . z + e with w ~ N(0, s^2 / r) and e ~ N(0, s^2), for each target separately, scaled to
    mean 0 and variance 1. The ratio r is the value of a grid with the largest marginal likelihood,
    s^2 its most likely value. Data are kept as sums: adding n points costs O(n d^2), a fit O(d^3).
    """

    def __init__(self) -> None:
        self._n = 0
        # Of z'z, z'y, z, y and y^2.
        self._sums: tuple[Any, ...] = (0.0, 0.0, 0.0, 0.0, 0.0)

    def __len__(self) -> int:
        """Number of points added."""
        return self._n

    def add(self, z: Floats, y: Floats) -> None:
        """Add (n, d) features with their (n, m) targets."""
        new = (z.T @ z, z.T @ y, z.sum(axis=0), y.sum(axis=0), (y**2).sum(axis=0))
        self._sums = tuple(map(add, self._sums, new))
        self._n += len(z)

    def predict(self, z: Floats) -> tuple[Floats, Floats]:
        """(n, m) mean and standard deviation of a new observation at (n, d) features.

        At least two points must have been added.
        """
        n = self._n
        gram, moment, total, mean, squares = self._sums
        mean = mean / n
        variance = np.maximum(squares / n - mean**2, 0.0)
        scale = np.sqrt(np.where(variance > 1e-12 * np.maximum(mean**2, 1e-300), variance, 1.0))
        moment = (moment - total[:, None] * mean) / scale
        values, vectors = np.linalg.eigh(gram)
        values = np.maximum(values, 0.0)
        rotated = vectors.T @ moment
        squares = n * variance / scale**2
        # (targets, ratios): residual y'y - q' (L + r)^-1 q, then -2 log evidence.
        shrunk = np.einsum("dt,dr->tr", rotated**2, 1.0 / (values[:, None] + _RATIOS))
        noise = np.maximum((squares[:, None] - shrunk) / n, 1e-9)
        complexity = np.log1p(values[:, None] / _RATIOS).sum(axis=0)
        best = (n * np.log(noise) + complexity).argmin(axis=1)
        inverse = 1.0 / (values[:, None] + _RATIOS[best])
        z = z @ vectors
        spread = noise[np.arange(len(mean)), best] * (1.0 + z**2 @ inverse)
        return z @ (rotated * inverse) * scale + mean, np.sqrt(spread) * scale


# -- expected improvement of the hypervolume ----


def expected_improvement(mean: Floats, std: Floats, front: Floats, reference: Floats) -> Floats:
    """(n,) expected gain in hypervolume (`expected_gain`) under independent normal predictions.

    `mean` and `std` are (n, m) predicted costs and their standard deviations, above 0; `front` and
    `reference` are those of `expected_gain`.
    """
    columns = zip(mean.T[..., None], std.T[..., None], strict=True)
    partials = [partial(normal_partial, mean=mu, std=sigma) for mu, sigma in columns]
    return expected_gain(partials, front, reference)


# -- the method ----


class MseHvi(Optimiser):
    """Mixed-surrogate expected hypervolume improvement (Izquierdo et al. 2021, "Bag of Baselines
    for Multi-objective Joint NAS and HPO"; MSE-HVI in the EC-NAS paper).

    As published: a few random cells, then one after another the cell with the largest expected
    improvement of the hypervolume, under a probabilistic surrogate for each objective, fitted to
    all evaluations so far.

    Different here: no objective is taken as known before a training; the surrogate is a Gaussian
    process in random features of an encoding of the cell (`Encoding`, `Regression`), with an exact
    improvement for any number of objectives (`expected_improvement`). It is maximised over a pool
    of perturbed cells of the front and uniform draws, without the evaluated cells. Several cells
    are chosen at a time: each as if those before it had already been evaluated with the predicted
    costs. The reference point is the worst cost seen in each objective.

    With `paper=True` the first cells and the pool are drawn as in the released code
    (`released_draws`), and invalid cells are dropped and counted as `skipped`. Not reproduced:
    its look at the energy of every candidate in the table before it is trained, and the energy of
    0 of invalid cells.

    Args:
        initial: random cells to start with.
        batch: cells chosen at a time; 1 as published.
        pool: candidates, half of them perturbed cells of the front.
        paper: draw like the released code.

    Attributes:
        front: the cells of the front found so far with their costs, sorted by the first cost.
    """

    name = "mse-hvi"
    asynchronous = True
    has_paper_setting = True

    def __init__(
        self,
        problem: Problem,
        *,
        initial: int = 10,
        batch: int = 10,
        pool: int = 128,
        paper: bool = False,
    ) -> None:
        super().__init__(problem)
        check_counts("MSE-HVI", initial=initial, batch=batch)
        check_counts("MSE-HVI", least=batch, pool=pool)
        self.initial = initial
        self.batch = batch
        self.pool = pool
        self.paper = paper
        self.front: Evaluated = Evaluated()
        self._visited = Visited(problem, avoid=True)
        self._encode = Encoding(self.space, self.rng)
        self._features = FourierFeatures(len(self._encode), self.rng)
        self._model = Regression()
        self._worst: Floats = np.array(-np.inf)
        self._evaluated = 0

    def ask(self) -> Rows:
        """The first cells at random, then the cells of the largest expected improvement; none when
        every cell was evaluated."""
        if self._evaluated < self.initial or len(self._model) < 2:
            missing = max(1, self.initial - self._evaluated)
            if self.paper:
                return self._sample_released(missing)
            return self._visited.sample(missing)
        pool = np.unique(self._candidates())
        return pool[self._chosen(pool)] if len(pool) else pool

    def tell(self, rows: ArrayLike, costs: ArrayLike) -> None:
        """Learn the costs; cells with a NaN are not learnt from and not asked for again."""
        new = Evaluated(*self._checked(rows, costs))
        self._evaluated += len(new)
        self._visited.add(new.rows)
        new = new.known()
        if not len(new):
            return
        self._model.add(self._features(self._encode(new.rows)), new.costs)
        self._worst = np.maximum(self._worst, new.costs.max(axis=0))
        both = self.front + new
        both = both[nondominated(both.costs)]
        self.front = both[np.lexsort(both.costs.T[::-1])]

    def predict(self, rows: ArrayLike) -> tuple[Floats, Floats]:
        """(n, m) mean and standard deviation of the costs of (n,) cells.

        Raises:
            ConfigError: the costs of fewer than two cells are known.
        """
        if len(self._model) < 2:
            raise ConfigError("a prediction needs the costs of at least two cells")
        where = np.asarray(rows, dtype=np.int32)
        return self._model.predict(self._features(self._encode(where)))

    def _candidates(self) -> Rows:
        """Cells to choose from, not yet evaluated as long as there are such cells."""
        new = self._visited.proposable
        if self.paper:
            drawn = self._sample_released(self.pool)
            return drawn[new[drawn]] if new[drawn].any() else drawn
        parents = self.front.rows[self.rng.integers(0, len(self.front), self.pool // 2)]
        near = perturb(self.space, parents, self.rng, allowed=new)
        far = self.sample(self.pool - len(near))
        both = np.concatenate([near[near >= 0], far[new[far]]])
        return both if len(both) else self._visited.sample(self.batch)

    def _chosen(self, pool: Rows) -> NDArray[np.int64]:
        """(at most batch,) positions in the pool, chosen one after the other."""
        mean, std = self.predict(pool)
        front, worst = self.front.costs, self._worst
        gain = expected_improvement(mean, std, front, worst)
        chosen = [int(gain.argmax())]
        while len(chosen) < min(self.batch, len(pool)):
            front = np.concatenate([front, mean[chosen[-1:]]])
            front = front[nondominated(front)]
            gain = expected_improvement(mean, std, front, worst)
            gain[chosen] = -1.0
            chosen.append(int(gain.argmax()))
        return np.array(chosen, dtype=np.int64)

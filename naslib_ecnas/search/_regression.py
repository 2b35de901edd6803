"""Bayesian linear regression on random features: a Gaussian process that grows cheaply."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["FourierFeatures", "Regression"]

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

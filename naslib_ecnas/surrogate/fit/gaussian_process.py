"""A Gaussian process with one length scale for each input, robust and with uneven noise.

Rational-quadratic kernel plus a linear one (Rasmussen and Williams, Gaussian Processes for
Machine Learning, 2006, eq. 4.19 and 4.22). A run of a short training is measured less exactly, in
per cent, than a long one, so the logarithm of the noise variance falls linearly with a covariate.
Outliers count as draws from Student's t: the noise of a cell is inflated by what its own
leave-one-out residual says (ibid., eq. 5.10-5.12), the usual reweighting of a t likelihood.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.surrogate.fit.student import torch_module

__all__ = ["GaussianProcess", "fit_gaussian_process"]

Vector = NDArray[np.float64]

#: Standardised inputs are clipped here, as the distilled perceptron clips its own.
_CLIP = 6.0
_JITTER = 1e-7
#: Degrees of freedom of the t likelihood.
_FREEDOM = 4.0
_ROUNDS = 3
_CHUNK = 500


@dataclass(frozen=True)
class GaussianProcess:
    """A fitted process; `parameters` are logarithms, arrays of torch in float64."""

    shift: Vector
    scale: Vector
    middle: float
    parameters: dict[str, Any]
    inputs: Any
    """(n, k) standardised inputs of the fit."""
    coefficients: Any
    """(n,) inverse of the covariance times the targets."""

    def predict(self, x: NDArray[Any]) -> Vector:
        """(m,) posterior means of (m, k) inputs."""
        torch = torch_module()
        with torch.no_grad():
            # Half the time in float32, whose rounding is a thousandth of the noise.
            z = torch.from_numpy(_standardised(x, self.shift, self.scale)).float()
            inputs, coefficients = self.inputs.float(), self.coefficients.float()
            parameters = {name: value.float() for name, value in self.parameters.items()}
            parts = [
                (_kernel(some, inputs, parameters) @ coefficients).double().numpy()
                for some in z.split(_CHUNK)
            ]
        return np.asarray(np.concatenate(parts) + self.middle, dtype=np.float64)


def fit_gaussian_process(
    x: NDArray[Any],
    y: NDArray[Any],
    covariate: NDArray[Any],
    *,
    subset: int = 1300,
    steps: int = 80,
    rate: float = 0.1,
    seed: int = 0,
) -> GaussianProcess:
    """Fit the length scales and the rest on a subset, then condition on all cells.

    Args:
        x: (n, k) inputs.
        y: (n,) targets.
        covariate: (n,) what the logarithm of the noise is linear in.
        subset: cells, drawn by `seed`, on which the marginal likelihood is maximised.
        steps, rate: of Adam, the rate falling along a cosine.
        seed: of the draw; nothing else is random.
    """
    torch = torch_module()
    shift, spread = x.mean(axis=0), x.std(axis=0)
    scale = 1 / np.where(spread > 1e-9, spread, 1.0)
    middle = float(y.mean())
    z = torch.from_numpy(_standardised(x, shift, scale))
    target = torch.from_numpy(np.asarray(y - middle, dtype=np.float64))
    level = torch.from_numpy(np.asarray(covariate - covariate.mean(), dtype=np.float64))
    order = np.random.default_rng(seed).permutation(len(x))[:subset]
    chosen = torch.from_numpy(np.sort(order))
    parameters = _start(torch, z.shape[1], float(target.var()) if len(y) > 1 else 1.0)
    _maximise(torch, z[chosen], target[chosen], level[chosen], parameters, steps, rate)
    with torch.no_grad():
        covariance = _kernel(z, z, parameters)
        noise = _noise(level, parameters)
        inflation = torch.ones_like(noise)
        for at in range(_ROUNDS + 1):
            factor = torch.linalg.cholesky(covariance + torch.diag(noise * inflation))
            solved = torch.cholesky_solve(target[:, None], factor)[:, 0]
            if at < _ROUNDS:
                inverse = torch.cholesky_inverse(factor).diagonal()
                inflation = _inflation(solved, inverse, noise, inflation)
    return GaussianProcess(shift, scale, middle, parameters, z, solved)


def _standardised(x: NDArray[Any], shift: Vector, scale: Vector) -> Vector:
    return np.asarray(np.clip((np.asarray(x, dtype=np.float64) - shift) * scale, -_CLIP, _CLIP))


def _start(torch: Any, inputs: int, variance: float) -> dict[str, Any]:
    values = {
        "inverse_scale": np.full(inputs, -0.5 * np.log(inputs) - 0.7),
        "mixture": 0.0,
        "curved": np.log(variance),
        "linear": np.log(variance),
        "noise": 2 * np.log(0.02),
        "slope": -0.8,
    }
    return {name: torch.tensor(value, dtype=torch.float64) for name, value in values.items()}


def _kernel(a: Any, b: Any, p: dict[str, Any]) -> Any:
    """(n, m) covariances of (n, k) and (m, k) standardised inputs."""
    scale = p["inverse_scale"].exp()
    u, v = a * scale, b * scale
    squared = (u * u).sum(1)[:, None] + (v * v).sum(1)[None] - 2 * u @ v.T
    mixture = p["mixture"].exp()
    curved = (-mixture * (squared.clamp_min(0) / (2 * mixture)).log1p()).exp()
    return p["curved"].exp() * curved + p["linear"].exp() / a.shape[1] * (a @ b.T)


def _noise(level: Any, p: dict[str, Any]) -> Any:
    return (p["noise"] + p["slope"] * level).exp() + _JITTER


def _inflation(solved: Any, inverse: Any, noise: Any, inflation: Any) -> Any:
    """(n,) factors on the noise, from the leave-one-out residuals solved / inverse."""
    variance = 1 / inverse - noise * (inflation - 1)
    surprise = (solved / inverse) ** 2 / variance
    return ((_FREEDOM + surprise) / (_FREEDOM + 1)).clamp_min(0.5)


def _maximise(
    torch: Any, z: Any, y: Any, level: Any, p: dict[str, Any], steps: int, rate: float
) -> None:
    """Maximise the marginal likelihood over `p`, in place."""
    free = [value.requires_grad_() for value in p.values()]
    optimiser = torch.optim.Adam(free, lr=rate, betas=(0.9, 0.95))
    inflation = torch.ones_like(y)
    reweighted = {steps // 3, steps // 2, 2 * steps // 3}
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = rate * (0.55 + 0.45 * np.cos(np.pi * step / steps))
        plain = _noise(level, p)
        covariance = _kernel(z, z, p) + torch.diag(plain * inflation)
        with torch.no_grad():
            factor = torch.linalg.cholesky(covariance)
            solved = torch.cholesky_solve(y[:, None], factor)[:, 0]
            inverse = torch.cholesky_inverse(factor)
            # Gradient of the negative logarithm of the marginal likelihood with respect to the
            # covariance (ibid., eq. 5.9): cheaper than backwards through the factorisation.
            gradient = 0.5 * (inverse - solved[:, None] * solved[None])
        optimiser.zero_grad()
        covariance.backward(gradient)
        optimiser.step()
        if step in reweighted:
            with torch.no_grad():
                inflation = _inflation(solved, inverse.diagonal(), plain, inflation)
    for value in free:
        value.requires_grad_(False)

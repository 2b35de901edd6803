"""A robust Gaussian process with heteroscedastic noise.

Rational-quadratic kernel plus a linear one (Rasmussen and Williams, Gaussian Processes for Machine
Learning, 2006, eq. 4.19 and 4.22), with one length scale for each input. Short trainings are
measured less exactly, in per cent, than long ones, so the log noise variance is linear in a
covariate. Outliers count as draws from Student's t: the noise of a cell is inflated according to
its leave-one-out residual (ibid., eq. 5.10-5.12), the usual reweighting of a t likelihood.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.surrogate.fit.common import Standard
from naslib_ecnas.surrogate.fit.reference import optional

Vector = NDArray[np.float64]

_RATE = 0.1

_JITTER = 1e-7

#: Degrees of freedom of the t likelihood.
_FREEDOM = 4.0

#: Reweightings of the outliers once the parameters are fitted.
_ROUNDS = 3

_CHUNK = 500


def fit_gaussian_process(
    x: Vector, y: Vector, covariate: Vector, *, subset: int, steps: int, seed: int = 0
) -> Callable[[NDArray[Any]], Vector]:
    """Fit the kernel's parameters on a subset, then condition on all cells.

    Args:
        x: (n, k) inputs.
        y: (n,) targets.
        covariate: (n,) in which the log noise is linear.
        subset: cells, drawn by `seed`, on which the marginal likelihood is maximised.
        steps: of Adam, its rate falling along a cosine.

    Returns:
        A function from (m, k) inputs to (m,) posterior means.
    """
    torch = optional("torch")
    standard = Standard.of(np.asarray(x, dtype=np.float64), least=1e-9)
    middle = float(y.mean())
    z, target, level = (
        torch.from_numpy(np.asarray(a, dtype=np.float64))
        for a in (standard(x), y - middle, covariate - covariate.mean())
    )
    order = np.random.default_rng(seed).permutation(len(x))[:subset]
    chosen = torch.from_numpy(np.sort(order))
    parameters = _start(z.shape[1], float(target.var()) if len(y) > 1 else 1.0)
    _maximise(z[chosen], target[chosen], level[chosen], parameters, steps)
    with torch.no_grad():
        covariance = _kernel(z, z, parameters)
        noise = _noise(level, parameters)
        inflation = torch.ones_like(noise)
        for at in range(_ROUNDS + 1):
            factor, solved = _solved(covariance + torch.diag(noise * inflation), target)
            if at < _ROUNDS:
                inverse = torch.cholesky_inverse(factor).diagonal()
                inflation = _inflation(solved, inverse, noise, inflation)
    # float32 takes half the time; its rounding is a thousandth of the noise.
    inputs, coefficients = z.float(), solved.float()
    single = {name: value.float() for name, value in parameters.items()}

    def predict(x: NDArray[Any]) -> Vector:
        with torch.no_grad():
            parts = [
                (_kernel(some, inputs, single) @ coefficients).double().numpy()
                for some in torch.from_numpy(standard(x)).float().split(_CHUNK)
            ]
        return np.asarray(np.concatenate(parts) + middle, dtype=np.float64)

    return predict


def _start(inputs: int, variance: float) -> dict[str, Any]:
    torch = optional("torch")
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


def _solved(covariance: Any, y: Any) -> tuple[Any, Any]:
    """Cholesky factor of the covariance, and its inverse times (n,) y."""
    torch = optional("torch")
    factor = torch.linalg.cholesky(covariance)
    return factor, torch.cholesky_solve(y[:, None], factor)[:, 0]


def _inflation(solved: Any, inverse: Any, noise: Any, inflation: Any) -> Any:
    """(n,) factors on the noise, from the leave-one-out residuals solved / inverse."""
    variance = 1 / inverse - noise * (inflation - 1)
    surprise = (solved / inverse) ** 2 / variance
    return ((_FREEDOM + surprise) / (_FREEDOM + 1)).clamp_min(0.5)


def _maximise(z: Any, y: Any, level: Any, p: dict[str, Any], steps: int) -> None:
    """Maximise the marginal likelihood over `p`, in place."""
    torch = optional("torch")
    free = [value.requires_grad_() for value in p.values()]
    optimiser = torch.optim.Adam(free, lr=_RATE, betas=(0.9, 0.95))
    inflation = torch.ones_like(y)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = _RATE * (0.55 + 0.45 * np.cos(np.pi * step / steps))
        plain = _noise(level, p)
        covariance = _kernel(z, z, p) + torch.diag(plain * inflation)
        with torch.no_grad():
            factor, solved = _solved(covariance, y)
            inverse = torch.cholesky_inverse(factor)
            # Gradient of the negative log marginal likelihood with respect to the covariance
            # (ibid., eq. 5.9): cheaper than backpropagation through the factorisation.
            gradient = 0.5 * (inverse - solved[:, None] * solved[None])
        optimiser.zero_grad()
        covariance.backward(gradient)
        optimiser.step()
        if step in (steps // 3, steps // 2, 2 * steps // 3):
            with torch.no_grad():
                inflation = _inflation(solved, inverse.diagonal(), plain, inflation)
    for value in free:
        value.requires_grad_(False)

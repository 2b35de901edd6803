"""The Gaussian process: a smooth function, outliers, noise, and its kernel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from naslib_ecnas.surrogate.fit import gaussian_process
from naslib_ecnas.surrogate.fit.gaussian_process import fit_gaussian_process


def smooth(n: int, seed: int, noise: float = 0.02) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Three inputs of which the third does nothing, noisy and exact values."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    exact = 0.3 * x[:, 0] + 0.5 * np.sin(1.5 * x[:, 1]) + 4
    return x, exact + noise * rng.normal(size=n), exact


@pytest.mark.usefixtures("torch")
def test_a_smooth_function_is_found_in_spite_of_outliers() -> None:
    x, y, exact = smooth(250, 0)
    process = fit_gaussian_process(x, y, np.zeros(250), subset=150, steps=60)
    unseen, _, wanted = smooth(200, 1)
    assert np.mean(np.abs(process(unseen) - wanted)) < 0.02
    assert np.abs(process(unseen) - process(unseen * [1, 1, -1])).mean() < 0.02
    y[::25] += 0.3  # fifteen standard deviations of the noise
    process = fit_gaussian_process(x, y, np.zeros(250), subset=150, steps=60)
    assert np.mean(np.abs(process(x) - exact)) < 0.01


def test_the_kernel_is_its_formula(torch: Any) -> None:
    rng = np.random.default_rng(6)
    a, b = rng.normal(size=(4, 2)), rng.normal(size=(3, 2))
    values = {"inverse_scale": [0.2, -0.4], "mixture": 0.3, "curved": -0.1, "linear": -0.7}
    p = {name: torch.tensor(value, dtype=torch.float64) for name, value in values.items()}
    found = gaussian_process._kernel(torch.from_numpy(a), torch.from_numpy(b), p).numpy()
    alpha = np.exp(0.3)
    squared = (((a[:, None] - b[None]) * np.exp([0.2, -0.4])) ** 2).sum(axis=-1)
    wanted = np.exp(-0.1) * (1 + squared / (2 * alpha)) ** -alpha + np.exp(-0.7) / 2 * a @ b.T
    assert found == pytest.approx(wanted)

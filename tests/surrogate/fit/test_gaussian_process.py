"""The Gaussian process on synthetic functions."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from naslib_ecnas.surrogate.fit.energy import _kernel, fit_gaussian_process


def synthetic(n: int, seed: int, noise: float = 0.02) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Three inputs of which the third does nothing."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    exact = 0.3 * x[:, 0] + 0.5 * np.sin(1.5 * x[:, 1]) + 4
    return x, exact + noise * rng.normal(size=n), exact


def test_a_smooth_function_is_found() -> None:
    x, y, _ = synthetic(300, 0)
    process = fit_gaussian_process(x, y, np.zeros(300), subset=200, steps=80)
    unseen, _, exact = synthetic(200, 1)
    assert np.mean(np.abs(process.predict(unseen) - exact)) < 0.02
    scale = np.exp(process.parameters["inverse_scale"].numpy())
    assert scale[2] < 0.5 * scale[1]


def test_outliers_hardly_move_it() -> None:
    x, y, exact = synthetic(300, 2)
    wild = y.copy()
    wild[::25] += 0.3  # fifteen standard deviations of the noise
    process = fit_gaussian_process(x, wild, np.zeros(300), subset=200, steps=80)
    assert np.mean(np.abs(process.predict(x) - exact)) < 0.01


def test_noise_follows_the_covariate() -> None:
    x, _, exact = synthetic(400, 3)
    covariate = np.linspace(-1, 1, 400)
    size = 0.05 * np.exp(-0.7 * covariate)
    y = exact + size * np.random.default_rng(4).normal(size=400)
    process = fit_gaussian_process(x, y, covariate, subset=400, steps=100, seed=1)
    assert float(process.parameters["slope"]) == pytest.approx(-1.4, abs=0.5)


def test_equal_seeds_give_equal_fits_and_inputs_are_left_alone() -> None:
    x, y, _ = synthetic(120, 5)
    before = x.copy(), y.copy()
    one, same = (
        fit_gaussian_process(x, y, np.zeros(120), subset=60, steps=10, seed=3) for _ in range(2)
    )
    other = fit_gaussian_process(x, y, np.zeros(120), subset=60, steps=10, seed=4)
    assert np.array_equal(one.predict(x), same.predict(x))
    assert not np.array_equal(one.predict(x), other.predict(x))
    assert np.array_equal(x, before[0])
    assert np.array_equal(y, before[1])


def test_the_kernel_is_its_formula() -> None:
    import torch

    rng = np.random.default_rng(6)
    a, b = rng.normal(size=(4, 2)), rng.normal(size=(3, 2))
    values = {"inverse_scale": [0.2, -0.4], "mixture": 0.3, "curved": -0.1, "linear": -0.7}
    p = {name: torch.tensor(value, dtype=torch.float64) for name, value in values.items()}
    found = _kernel(torch.from_numpy(a), torch.from_numpy(b), p).numpy()
    alpha = np.exp(0.3)
    squared = (((a[:, None] - b[None]) * np.exp([0.2, -0.4])) ** 2).sum(axis=-1)
    wanted = np.exp(-0.1) * (1 + squared / (2 * alpha)) ** -alpha + np.exp(-0.7) / 2 * a @ b.T
    assert found == pytest.approx(wanted)

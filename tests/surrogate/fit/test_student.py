"""Distilling into a perceptron: what it can learn, its seed, and its scale."""

from __future__ import annotations

import numpy as np
import pytest

from naslib_ecnas.surrogate.fit.student import distil

torch = pytest.importorskip("torch")


def synthetic(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(seed).normal(5, [1, 100, 0.01], (n, 3))
    z = (x - 5) / [1, 100, 0.01]
    return x, np.stack([1000 + 30 * z[:, 0] * z[:, 1], 0.01 * np.abs(z[:, 2])], axis=1)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def test_it_learns_both_outputs_in_their_units() -> None:
    x, y = synthetic(3000)
    before = x.copy(), y.copy()
    student = distil(x, y, hidden=(32, 16), epochs=40, batch=64)
    assert (x == before[0]).all()
    assert (y == before[1]).all()
    fresh, true = synthetic(1000, 1)
    off = student(fresh) - true
    assert (off.std(axis=0) < 0.2 * true.std(axis=0)).all()
    assert [w.shape for w, _ in student.layers] == [(3, 32), (32, 16), (16, 2)]
    assert all(w.dtype == b.dtype == np.float32 for w, b in student.layers)


def test_seeds_decide_and_the_global_generator_does_not() -> None:
    x, y = synthetic(200)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    one = distil(x, y[:, 0], hidden=(8,), epochs=2, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    same = distil(x, y[:, 0], hidden=(8,), epochs=2, seed=3)
    other = distil(x, y[:, 0], hidden=(8,), epochs=2, seed=4)
    np.testing.assert_array_equal(one(x), same(x))
    assert (one(x) != other(x)).any()


def test_weights_of_cells_count() -> None:
    x = np.zeros((400, 2))
    y = np.r_[np.zeros(200), np.ones(200)]
    weight = np.r_[np.full(200, 1.0), np.full(200, 3.0)]
    found = distil(x, y, hidden=(4,), epochs=60, batch=400, rate=3e-2, weight=weight)(x[:1])
    assert found.item() == pytest.approx(0.75, abs=0.05)


def test_constant_inputs_and_outputs_are_no_division_by_zero() -> None:
    x = np.c_[np.full(100, 7.0), np.arange(100.0)]
    found = distil(x, np.full(100, 3.0), hidden=(4,), epochs=2)(x)
    np.testing.assert_allclose(found, 3, atol=1e-5)


def test_missing_outputs_teach_nothing() -> None:
    """One output is known for a tenth of the cells, where it is what the other one is."""
    x = np.random.default_rng(0).normal(size=(2000, 2))
    y = np.stack([np.abs(x[:, 0]), np.abs(x[:, 0])], axis=1)
    y[np.arange(2000) % 10 > 0, 1] = np.nan
    student = distil(x, y, hidden=(16,), epochs=20, batch=100, rate=1e-2)
    off = student(x) - np.abs(x[:, :1])
    assert np.isfinite(off).all()
    assert (off.std(axis=0) < 0.2).all()
    assert (np.abs(off.mean(axis=0)) < 0.1).all()

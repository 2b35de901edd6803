"""The perceptron in numpy: against sums written out, its clipping, its arrays."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from naslib_ecnas.surrogate.models import Perceptron


@pytest.fixture
def perceptron() -> Perceptron:
    rng = np.random.default_rng(4)
    sizes = (5, 7, 3, 2)
    layers = tuple(
        (
            rng.normal(size=(a, b)).astype(np.float32),
            rng.normal(size=b).astype(np.float32),
        )
        for a, b in itertools.pairwise(sizes)
    )
    shift, scale = rng.normal(size=5), rng.uniform(0.5, 2, 5)
    return Perceptron(shift.astype(np.float32), scale.astype(np.float32), layers, clip=1.5)


def by_hand(p: Perceptron, x: np.ndarray) -> list[float]:
    """Outputs of one cell, number by number."""
    h = [
        min(max((v - s) * k, -p.clip), p.clip)
        for v, s, k in zip(x.tolist(), p.shift.tolist(), p.scale.tolist(), strict=True)
    ]
    for i, (weight, bias) in enumerate(p.layers):
        h = [
            sum(a * w for a, w in zip(h, column, strict=True)) + b
            for column, b in zip(weight.T.tolist(), bias.tolist(), strict=True)
        ]
        if i < len(p.layers) - 1:
            h = [max(v, 0.0) for v in h]
    return h


def test_outputs_equal_sums_written_out(perceptron: Perceptron) -> None:
    x = np.random.default_rng(0).normal(0, 2, (50, 5))
    found = perceptron(x)
    assert found.shape == (50, 2)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [by_hand(perceptron, row) for row in x], rtol=1e-4, atol=1e-4)
    assert (found < 0).any()  # the last layer has no rectifier


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_inputs_are_left_alone(perceptron: Perceptron, dtype: type) -> None:
    x = np.arange(10, dtype=dtype).reshape(2, 5)
    x.flags.writeable = False
    perceptron(x)
    assert (x == np.arange(10).reshape(2, 5)).all()


def test_far_inputs_are_as_the_bound(perceptron: Perceptron) -> None:
    bound = perceptron.shift + perceptron.clip / perceptron.scale
    np.testing.assert_allclose(perceptron(bound[None] + 1e6), perceptron(bound[None]), rtol=1e-4)


def test_no_cells(perceptron: Perceptron) -> None:
    assert perceptron(np.empty((0, 5))).shape == (0, 2)


def test_arrays_come_back(perceptron: Perceptron) -> None:
    arrays = {**perceptron.to_arrays("a"), **Perceptron(*[np.zeros(1)] * 2, ()).to_arrays("b")}
    again = Perceptron.from_arrays(arrays, "a")
    x = np.random.default_rng(1).normal(size=(9, 5))
    np.testing.assert_array_equal(again(x), perceptron(x))
    assert again.clip == perceptron.clip
    assert len(again.layers) == 3
    with pytest.raises(KeyError):
        Perceptron.from_arrays(arrays, "c")

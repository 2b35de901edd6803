"""Exact arithmetic: against the standard library, fractions, and other kernels and threads."""

from __future__ import annotations

import hashlib
import math
import os
import subprocess
import sys
from fractions import Fraction
from typing import Any

import numpy as np

from naslib_ecnas.surrogate.exact import exp, interpolated, log, weighted_sum
from naslib_ecnas.surrogate.models import (
    INPUT_BITS,
    AccuracyModel,
    EnergyModel,
    Perceptron,
    TimeModel,
)
from naslib_ecnas.surrogate.paper import SIZES, PaperModel


def test_exponential_and_logarithm() -> None:
    x = np.concatenate([np.random.default_rng(0).uniform(-600, 600, 2000), [0.0, 1.0, -1.0]])
    assert np.abs(exp(x) / [math.exp(v) for v in x] - 1).max() < 5e-16 * 600
    assert np.abs(exp(x / 600) / [math.exp(v / 600) for v in x] - 1).max() < 5e-16
    near = np.concatenate([1 + x / 1e4, math.sqrt(0.5) + x / 1e12, [1.0, 2.0, 0.5]])
    for values in (exp(x), near[near > 0]):
        np.testing.assert_allclose(log(values), [math.log(v) for v in values], rtol=5e-16)
    assert log([1.0])[0] == 0
    assert exp([0.0])[0] == 1


def test_weighted_sums_and_lines() -> None:
    x = np.array([[1, 2, 3], [4, 5, 6]], dtype=np.float32)
    assert weighted_sum(x, [0.5, 0, -1]).tolist() == [-2.5, -4.0]
    knots, values = np.array([0.0, 1.0, 3.0, 3.0]), np.array([1.0, 2.0, 0.0, 0.0])
    at = np.array([-1.0, 0.0, 0.5, 1.0, 2.0, 3.0, 9.0])
    assert interpolated(at, knots, values).tolist() == np.interp(at, knots, values).tolist()
    assert interpolated(at, np.array([2.0]), np.array([7.0])).tolist() == [7.0] * 7


def test_a_perceptron_is_that_of_rational_numbers() -> None:
    rng = np.random.default_rng(1)
    layers = (rng.normal(size=(3, 4)), rng.normal(size=4)), (rng.normal(size=(4, 1)), np.ones(1))
    perceptron = Perceptron(np.zeros(3), np.ones(3), layers)
    x = rng.normal(size=(20, 3))

    def rounded(value: Fraction, bits: int) -> Fraction:
        return Fraction(round(value * 2**bits), 2**bits)  # to even, as rint

    for row, found in zip(x, perceptron(x)[:, 0], strict=True):
        h = [rounded(Fraction(v), INPUT_BITS) for v in row]
        for last, (weight, bias) in enumerate(layers):
            if last:
                h = [rounded(max(v, Fraction(0)), INPUT_BITS) for v in h]
            h = [
                sum((a * rounded(Fraction(w), 16) for a, w in zip(h, column, strict=True)), start)
                for column, start in zip(
                    weight.T, (rounded(Fraction(b), 30) for b in bias), strict=True
                )
            ]
        assert Fraction(float(found)) == h[0]
    plain = np.maximum(x @ layers[0][0] + layers[0][1], 0) @ layers[1][0] + 1
    np.testing.assert_allclose(perceptron(x), plain, atol=1e-3)


def largest_sum(layers: Any, most: np.ndarray) -> float:
    """Bound of every sum in the layers, from (k,) bounds of the inputs' absolute values."""
    high, found = most, 0.0
    for weight, bias in layers:
        parts = np.abs(np.rint(weight * 2.0**16)), np.abs(np.rint(bias * 2.0**30))
        total = np.ceil(high * 2.0**INPUT_BITS) @ parts[0] + parts[1]
        found, high = max(found, total.max()), total * 2.0**-30
    return found


def test_no_sum_of_the_shipped_perceptrons_can_be_inexact() -> None:
    time = TimeModel.shipped()
    every = EnergyModel.shipped().power, AccuracyModel.shipped().ranks, time.correction, time.small
    for perceptron in every:
        most = np.full(len(perceptron.shift), perceptron.clip)
        assert largest_sum(perceptron.layers, most) < 2**53
    most = np.array([*[1] * 28, *[5] * 7, 50])  # entries, codes, millions of parameters
    assert len(most) == SIZES[0]
    assert largest_sum(PaperModel.shipped().layers, most) < 2**53


_DIGEST = """
import hashlib, sys
import numpy as np
from naslib_ecnas.surrogate.modelled import Models
from naslib_ecnas.surrogate.models import BUDGETS, Weights
from naslib_ecnas.surrogate.paper import PaperModel
rows = np.arange(7, 423_624, 211)
found = Models.shipped().predict(rows)
found["paper"] = PaperModel.shipped().energy_kwh(rows, BUDGETS)
print(hashlib.sha256(b"".join(found[k].tobytes() for k in sorted(found))).hexdigest())
"""


def test_kernels_threads_and_instructions_change_no_bit() -> None:
    settings = [
        {},
        {"OPENBLAS_NUM_THREADS": "3", "OMP_NUM_THREADS": "3"},
        *({"OPENBLAS_CORETYPE": core} for core in ("Prescott", "Nehalem", "Haswell")),
        {"NPY_DISABLE_CPU_FEATURES": "AVX512F AVX512CD AVX512_SKX X86_V4 AVX2 FMA3 X86_V3"},
    ]
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", _DIGEST],
            stdout=subprocess.PIPE,
            env={**os.environ, **setting},
        )
        for setting in settings
    ]
    digests = {process.communicate()[0] for process in processes}
    assert not any(process.returncode for process in processes)
    assert len(digests) == 1
    assert len(digests.pop().strip()) == 2 * hashlib.sha256().digest_size

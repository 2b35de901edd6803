"""Arithmetic with the same bits on every machine, for predictions.

IEEE 754 fixes the result of one +, -, *, / or square root. It does not fix exponentials and
logarithms, which libraries round differently, nor the order in which a matrix product sums. So the
functions here use single operations on float64 arrays, and products of integers: as long as every
sum of these stays below 2^53, float64 holds it exactly, in any order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

#: ln 2 as a sum, of which the first part has so few digits that its multiples by exponents are
#: exact.
_LN2, _LN2_REST = 0.693147180369123816490, 1.90821492927058770002e-10
_EXP = [1 / math.factorial(k) for k in range(14)]
_LOG = [1 / (2 * k + 1) for k in range(11)]


def exp(x: ArrayLike) -> Array:
    """The exponential of (...) numbers within -700..700, to a relative error of 4e-16."""
    value = np.asarray(x, dtype=np.float64)
    power = np.rint(value * (1 / _LN2))
    rest = value - power * _LN2 - power * _LN2_REST
    return np.asarray(np.ldexp(_polynomial(_EXP, rest), power.astype(np.int64)))


def log(x: ArrayLike) -> Array:
    """The natural logarithm of (...) positive numbers, to a relative error of 4e-16."""
    mantissa, power = np.frexp(np.asarray(x, dtype=np.float64))
    small = mantissa < math.sqrt(0.5)
    mantissa, power = np.where(small, 2 * mantissa, mantissa), power - small
    # log m = 2 artanh f
    f = (mantissa - 1) / (mantissa + 1)
    return np.asarray(2 * f * _polynomial(_LOG, f * f) + power * _LN2_REST + power * _LN2)


def _polynomial(coefficients: Sequence[float], x: Array) -> Array:
    """The sum of coefficients[k] x^k."""
    out = np.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        out *= x
        out += coefficient
    return out


def weighted_sum(x: NDArray[Any], weights: ArrayLike) -> Array:
    """(n,) sums over the columns of (n, k) numbers, each times one of (k,) weights."""
    out = np.zeros(len(x))
    for column, weight in zip(x.T, np.asarray(weights, dtype=np.float64), strict=True):
        if weight:
            out += column.astype(np.float64) * weight
    return out


def interpolated(x: NDArray[Any], knots: Array, values: Array) -> Array:
    """(n,) values at (n,) positions of the line through (k,) ascending knots.

    Outside of the knots it is the value of the nearest one.
    """
    inside = np.clip(np.asarray(x, dtype=np.float64), knots[0], knots[-1])
    left = np.searchsorted(knots, inside, side="right") - 1
    width = np.diff(knots, append=knots[-1])
    rise = np.diff(values, append=values[-1])
    slope = np.divide(rise, width, out=np.zeros(len(width)), where=width > 0)
    return np.asarray(values[left] + slope[left] * (inside - knots[left]))


def rounded(x: NDArray[Any], bits: int) -> Array:
    """The nearest integers to (...) numbers times 2^bits."""
    h: Array = np.multiply(x, 2.0**bits, dtype=np.float64)
    np.rint(h, out=h)
    return h

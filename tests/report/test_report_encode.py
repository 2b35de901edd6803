"""Codes of 16 bits and back: within the stated error, exact where it says so."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naslib_ecnas.report.page import (
    MISSING,
    MOST_LEVELS,
    STEP_LINEAR,
    joined,
    quantise,
    references,
    split,
)

N = MOST_LEVELS + 500


@given(
    seed=st.integers(0, 2**32 - 1),
    low=st.floats(-8, 8),
    span=st.floats(0.01, 40),
    log=st.booleans(),
    missing=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_a_column_comes_back_within_the_stated_error(
    seed: int, low: float, span: float, log: bool, missing: bool
) -> None:
    rng = np.random.default_rng(seed)
    values = low + span * rng.random(N)
    if log:
        values = np.exp(values)
    if missing:
        values[rng.integers(0, N, 50)] = np.nan
    packed = quantise(values, log=log)
    back = packed.values()
    assert packed.levels is None
    assert packed.error > 0
    assert np.array_equal(np.isnan(back), np.isnan(values))
    off = np.abs(back - values) / (values if packed.log else 1.0)
    assert np.nanmax(off) <= packed.error


@given(
    st.lists(
        st.one_of(st.just(np.nan), st.floats(-1e300, 1e300)),
        min_size=1,
        max_size=40,
    ),
    st.booleans(),
)
def test_few_values_are_kept_exactly(few: list[float], log: bool) -> None:
    values = np.array(few * 3)
    packed = quantise(values, log=log)
    assert packed.error == 0
    assert np.array_equal(packed.values(), values, equal_nan=True)


def test_the_error_of_accuracies_is_half_a_step() -> None:
    values = np.linspace(0.1, 0.95, N)
    packed = quantise(values, log=False)
    assert packed.error == pytest.approx(STEP_LINEAR / 2)
    # The bound is reached, so it is not a generous one.
    assert np.abs(packed.values() - values).max() > 0.95 * packed.error


def test_a_wide_range_gets_wider_steps_and_says_so() -> None:
    values = np.linspace(0, 1e6, N)
    packed = quantise(values, log=False)
    assert packed.error > 1
    assert packed.codes.max() == MISSING - 1
    assert np.abs(packed.values() - values).max() <= packed.error


def test_a_value_of_0_forbids_the_logarithm() -> None:
    values = np.linspace(0, 1, N)
    assert not quantise(values, log=True).log
    assert quantise(values + 1e-9, log=True).log


def test_infinite_values_are_unknown() -> None:
    values = np.append(np.linspace(1, 2, N), [np.inf, np.nan])
    assert quantise(values, log=True).codes[-2:].tolist() == [MISSING, MISSING]


@given(
    st.lists(st.integers(0, MISSING), min_size=1, max_size=60),
    st.integers(0, 2**32 - 1),
    st.booleans(),
)
def test_bytes_come_back(codes: list[int], seed: int, differs: bool) -> None:
    column = np.array(codes, dtype=np.uint16)
    other = np.random.default_rng(seed).integers(0, MISSING + 1, len(codes)).astype(np.uint16)
    reference = other if differs else None
    data = split(column, reference)
    assert len(data) == 2 * len(codes)
    assert np.array_equal(joined(data, reference), column)


def test_a_column_that_repeats_another_refers_to_it() -> None:
    rng = np.random.default_rng(0)
    first = rng.integers(0, 5000, 9000).astype(np.uint16)
    second = rng.integers(0, 5000, 9000).astype(np.uint16)
    close = second + rng.integers(0, 3, 9000).astype(np.uint16)
    assert references([first, second, first.copy(), close]) == [None, None, 0, 1]
    assert references([first, second[:5000]]) == [None, None]

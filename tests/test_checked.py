"""Numbers and arrays from callers: what passes, and what is refused by its name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from naslib_ecnas.errors import ConfigError, check_counts, check_numbers, floats, whole_numbers

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize("value", [1, 7, np.int8(1), np.uint64(9)])
def test_counts_pass(value: Any) -> None:
    check_counts("a search", cells=value)


@pytest.mark.parametrize("value", [0, -1, True, np.True_, 1.0, np.float64(3), "3", None, NAN])
def test_what_is_no_count_is_refused_by_its_name(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"^no possible cells of a search; .* of at least 1"):
        check_counts("a search", repeats=2, cells=value)


def test_the_least_count_is_the_caller_s() -> None:
    check_counts(seed=0, least=0)
    check_counts(row=-3, least=None)
    with pytest.raises(ConfigError, match=r"^no possible row; .* expected a whole number$"):
        check_counts(row=1.5, least=None)


@pytest.mark.parametrize("value", [0, 1, 0.5, np.float32(0.25), np.int64(1)])
def test_numbers_pass_with_both_limits(value: Any) -> None:
    check_numbers("a table", least=0, most=1, share=value)


@pytest.mark.parametrize("value", [-1e-9, 1.0000001, NAN, INF, -INF, True, "0.5", None, [0.5]])
def test_other_numbers_are_refused_by_their_name(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"^no possible share of a table; .* at most 1$"):
        check_numbers("a table", least=0, most=1, pue=1.0, share=value)


def test_without_limits_any_finite_number_passes() -> None:
    check_numbers(x=-1e300)
    with pytest.raises(ConfigError, match=r"^no possible x; got inf; expected a finite number$"):
        check_numbers(x=INF)


def test_floats_copy_only_where_they_must() -> None:
    given = np.array([[1.0, 2.0]])
    assert floats(given) is given
    assert floats([1, True, 2.5]).tolist() == [1.0, 1.0, 2.5]
    assert floats(3).shape == ()


@pytest.mark.parametrize("values", [[[1, 2], [3]], ["a"], [None, {}], "x", [1j]])
def test_what_is_no_array_of_numbers_is_refused(values: Any) -> None:
    with pytest.raises(ConfigError, match=r"^the costs are no array of numbers"):
        floats(values, "the costs")


@pytest.mark.parametrize("values", [[1, 2], np.array([3], dtype=np.uint8), (), np.empty(0)])
def test_whole_numbers_pass(values: Any) -> None:
    found = whole_numbers(values)
    assert found.tolist() == list(values)
    assert found.dtype.kind in "iu"


@pytest.mark.parametrize("values", [[[1, 2], [3]], [[1]], 3, [1.0], ["1"], [True], [None]])
def test_what_is_no_list_of_whole_numbers_is_refused(values: Any) -> None:
    with pytest.raises(ConfigError, match=r"^the epochs are no whole numbers"):
        whole_numbers(values, "the epochs")

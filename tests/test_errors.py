"""The typed errors, and the checks of numbers and arrays from callers."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from naslib_ecnas import errors
from naslib_ecnas.errors import ConfigError, check_counts, check_numbers, floats, whole_numbers

NAN, INF = float("nan"), float("inf")


def test_a_message_is_a_sentence_with_the_value_and_a_remedy() -> None:
    special = ("InvalidCellError", "MissingDependencyError")
    kinds = [v for n, v in vars(errors).items() if n.endswith("Error") and n not in special]
    assert len(kinds) > 12
    for kind in kinds:
        error = kind("it must be four", value=3, remedy="add one")
        assert str(error) == "it must be four, got 3; add one"
        assert (error.value, error.remedy) == (3, "add one")
        assert isinstance(error, errors.EcnasError)
        assert str(kind("it must be four")) == "it must be four"
    # A huge value is cut.
    assert str(ConfigError("no", value="x" * 198)) == f"no, got '{'x' * 198}'"
    assert str(ConfigError("no", value="x" * 199)) == f"no, got '{'x' * 196}..."
    assert str(ConfigError("no", value=np.zeros((2, 1)))) == "no, got array([[0.], [0.]])"


def test_errors_are_subclasses_of_the_built_in_ones() -> None:
    for parent, names in {
        ValueError: ("InvalidCellError", "ConfigError", "FormatError", "ClosedTableError"),
        KeyError: ("UnknownCellError", "UnknownMetricError", "UnknownTableError"),
        AttributeError: ("UnknownMetricError",),
        OSError: ("StorageError",),
        ImportError: ("MissingDependencyError",),
    }.items():
        assert all(issubclass(getattr(errors, name), parent) for name in names)


def test_attributes_of_single_errors() -> None:
    error = errors.TruncatedError("ends early", path=Path("a.tfrecord"), offset=12)
    assert str(error) == "a.tfrecord at byte 12: ends early"
    assert (error.path, error.offset) == ("a.tfrecord", 12)
    assert str(errors.FormatError("is bad", offset=3)) == "at byte 3: is bad"
    assert errors.InvalidCellError("no", rule="syntax").rule == "syntax"
    missing = errors.MissingDependencyError("matplotlib", feature="a plot", extra="plots")
    assert "a plot needs the package matplotlib" in str(missing)
    assert "pip install 'naslib-ecnas[plots]'" in str(missing)
    assert "pip install numba" in str(errors.MissingDependencyError("numba", feature="speed"))


def test_nothing_in_a_message_steers_a_terminal(terminal_text: str) -> None:
    class Odd:
        def __repr__(self) -> str:
            raise RuntimeError

    for error in (
        ConfigError(f"the table {terminal_text} is odd"),
        errors.FormatError("is odd", path=terminal_text),
        ConfigError("it is odd", value=Odd(), remedy=terminal_text),
        ConfigError("it is odd", value=10**5000),  # more digits than Python shows
    ):
        assert str(error).isprintable()
        assert "odd" in str(error)
    kept = "é → 漢 \u00a0"
    assert errors.printable(kept) == kept
    assert errors.printable("a\n\tb\r", lines=True) == "a\n\tb\\r"


def test_why_a_package_cannot_be_imported_is_said() -> None:
    for fault in (ImportError("libfoo.so is missing"), ValueError("evil is no backend")):
        try:
            raise fault
        except Exception:  # noqa: BLE001
            error = errors.MissingDependencyError("numpy", feature="a plot")
        assert f"the package numpy, which cannot be imported ({fault})" in str(error)
        assert error.package == "numpy"


# -- checks ----


def refused(message: str, check: Callable[..., object], *values: Any, **options: Any) -> None:
    with pytest.raises(ConfigError) as raised:
        check(*values, **options)
    assert str(raised.value).startswith(message)
    assert ", got " in str(raised.value)


def test_counts() -> None:
    for good in (1, 7, np.int8(1), np.uint64(9)):
        check_counts("a search", cells=good)
    check_counts(seed=0, least=0)
    check_counts(row=-3, least=None)
    for bad in (0, -1, True, np.True_, 1.0, np.float64(3), "3", NAN, [1]):
        message = "cells of a search must be a whole number of at least 1"
        refused(message, check_counts, "a search", repeats=2, cells=bad)
    refused("row must be a whole number", check_counts, row=1.5, least=None)
    with pytest.raises(ConfigError, match=r"^row must be a whole number of at least 1$"):
        check_counts(row=None)


def test_numbers() -> None:
    for good in (0, 1, 0.5, np.float32(0.25), np.int64(1)):
        check_numbers("a table", least=0, most=1, share=good)
    for bad in (-1e-9, 1.0000001, NAN, INF, -INF, True, "0.5", [0.5]):
        message = "share of a table must be a finite number, at least 0 and at most 1"
        refused(message, check_numbers, "a table", least=0, most=1, y=1, share=bad)
    for bad in (0, 1, INF):
        message = "x must be a finite number, above 0 and below 1"
        refused(message, check_numbers, above=0, below=1, x=bad)
    check_numbers(above=0, below=1, x=0.5)
    check_numbers(x=-1e300)
    refused("x must be a finite number", check_numbers, x=INF)


def test_floats() -> None:
    given = np.array([[1.0, 2.0]])
    assert floats(given) is given
    assert floats([1, True, 2.5]).tolist() == [1.0, 1.0, 2.5]
    assert floats(3).shape == ()
    assert math.isinf(floats([INF])[0])
    refused("the values must be finite numbers", floats, [[INF, 1]], finite=True)
    for bad in ([[1, 2], [3]], ["a"], ["1"], [None, {}], "x", [1j], np.zeros(1, "M8[s]")):
        refused("the costs must be an array of numbers", floats, bad, "the costs")


def test_whole_numbers() -> None:
    good: Any
    for good in ([1, 2], np.array([3], dtype=np.uint8), (), np.empty(0)):
        found = whole_numbers(good)
        assert found.tolist() == list(good)
        assert found.dtype.kind in "iu"
    for bad in ([[1, 2], [3]], [[1]], 3, [1.0], ["1"], [True], [None]):
        refused("the epochs must be a list of whole numbers", whole_numbers, bad, "the epochs")

"""Numbers and arrays from callers, checked before anything is computed with them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.errors import ConfigError

__all__ = ["check_counts", "check_numbers", "floats", "whole_numbers"]


def check_counts(of: str = "", /, *, least: int | None = 1, **counts: Any) -> None:
    """Refuse what is no whole number, or one below the least.

    Args:
        of: what they are settings of, for the message.
        least: the least that is possible; any whole number is where None.
        counts: the values by their names.

    Raises:
        ConfigError: one of them is none.
    """
    for name, value in counts.items():
        whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
        if not whole or (least is not None and value < least):
            raise ConfigError(
                f"no possible {name}" + (f" of {of}" if of else ""),
                value=value,
                expected="a whole number" + ("" if least is None else f" of at least {least}"),
            )


def check_numbers(
    of: str = "", /, *, least: float = -math.inf, most: float = math.inf, **numbers: Any
) -> None:
    """Refuse what is no finite number between two limits, both of which are possible.

    Args:
        of: what they are settings of, for the message.
        least, most: the limits; none where left out.
        numbers: the values by their names.

    Raises:
        ConfigError: one of them is none.
    """
    for name, value in numbers.items():
        real = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
        if not real or not math.isfinite(value) or not least <= value <= most:
            limits = "" if least == -math.inf else f" of at least {least:g}"
            limits += "" if most == math.inf else f" and at most {most:g}"
            raise ConfigError(
                f"no possible {name}" + (f" of {of}" if of else ""),
                value=value,
                expected=f"a finite number{limits}",
            )


def floats(values: ArrayLike, what: str = "the values") -> NDArray[np.float64]:
    """The values as an array of float64, of any shape; a copy only where that is needed.

    Raises:
        ConfigError: they are no numbers, or rows of different lengths.
    """
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"{what} are no array of numbers",
            value=values,
            expected="numbers, in rows of one length",
        ) from error


def whole_numbers(values: ArrayLike, what: str = "the rows") -> NDArray[Any]:
    """The values as a one-dimensional array of whole numbers.

    Raises:
        ConfigError: they are none.
    """
    try:
        found = np.asarray(values)
    except ValueError:  # rows of different lengths
        found = np.array(["no array"])
    if found.ndim != 1 or (found.size and found.dtype.kind not in "iu"):
        raise ConfigError(
            f"{what} are no whole numbers", value=values, expected="a list of whole numbers"
        )
    return found if found.size else found.astype(np.int64)

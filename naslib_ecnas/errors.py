"""The typed errors of the package.

Each error states the value that was met, what was expected and what to do about it, in its
message and as attributes, so that a program can act on it and a person can read it.
"""

from __future__ import annotations

import math
from numbers import Integral, Real
from os import PathLike
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray


__all__ = [
    "CatalogError",
    "ChecksumError",
    "ClosedTableError",
    "ConfigError",
    "EcnasError",
    "FetchError",
    "FormatError",
    "InvalidCellError",
    "MissingDependencyError",
    "ProvenanceError",
    "SeparateCounterWarning",
    "StorageError",
    "TruncatedError",
    "UnknownBudgetError",
    "UnknownCellError",
    "UnknownMetricError",
    "UnknownRepeatError",
    "UnknownTableError",
    "check_counts",
    "check_numbers",
    "floats",
    "whole_numbers",
]


class EcnasError(Exception):
    """Base of every error that this package raises on purpose.

    Args:
        message: one sentence that says what was expected.
        value: the value that was met; it is added to the sentence as ", got ...", cut where a
            huge one would flood the message.
        remedy: a command or a package that helps, where there is one.

    Attributes:
        value, remedy: as above, None where there is none.
    """

    def __init__(
        self,
        message: str,
        *,
        value: Any = None,
        expected: str | None = None,
        remedy: str | None = None,
    ) -> None:
        self.what = message
        self.value = value
        self.remedy = remedy
        self.expected = expected
        if expected is not None:
            message += f", expected {expected}"
        if value is not None:
            message += f", got {_short(value)}"
        super().__init__(message if remedy is None else f"{message}; {remedy}")


def _short(value: Any, limit: int = 200) -> str:
    """`repr` on one line, cut where a hostile or huge value would flood the message."""
    text = " ".join(repr(value).split())
    return text if len(text) <= limit else text[: limit - 3] + "..."


class InvalidCellError(EcnasError, ValueError):
    """A matrix and its operations are no cell of NAS-Bench-101's space.

    Attributes:
        rule: which rule was broken, one of `"not-square"`, `"not-binary"`,
            `"not-upper-triangular"`, `"operation-count"`, `"wrong-operation"`,
            `"too-many-vertices"`, `"too-many-edges"`, `"output-unreachable"`, `"syntax"`.
    """

    def __init__(self, message: str, *, rule: str, **details: Any) -> None:
        self.rule = rule
        super().__init__(message, **details)


class _LookupError(EcnasError, LookupError):
    """A name or key that is not there."""


class UnknownCellError(_LookupError):
    """A valid cell that the space or the table does not hold."""


class UnknownBudgetError(_LookupError):
    """A training budget (epochs) that the table does not hold."""


class UnknownMetricError(_LookupError, AttributeError):
    """A metric that does not exist, or that the table does not hold."""


class UnknownRepeatError(_LookupError):
    """A repeat that the table does not hold."""


class UnknownTableError(_LookupError):
    """No table of this name and no file at this path."""


class ClosedTableError(EcnasError, ValueError):
    """A table was asked for values after it was closed."""


class SeparateCounterWarning(UserWarning):
    """What a copy of a benchmark spends in another process is not in the original's `spent`."""


class CatalogError(EcnasError):
    """The catalog has no such file, or a catalog entry is malformed."""


class ProvenanceError(EcnasError):
    """Values of different provenance would have been mixed."""


class ConfigError(EcnasError, ValueError):
    """A setting of a search, a command or an adapter is not possible."""


class FormatError(EcnasError, ValueError):
    """A file does not have the format that it should have.

    Attributes:
        path: the file.
        offset: byte offset of the fault, or None where it has none.
    """

    def __init__(
        self,
        message: str,
        *,
        path: str | PathLike[str] | None = None,
        offset: int | None = None,
        **details: Any,
    ) -> None:
        self.path = None if path is None else str(path)
        self.offset = offset
        where = "" if path is None else str(path)
        if offset is not None:
            where += f" at byte {offset}"
        super().__init__(f"{where.strip()}: {message}" if where else message, **details)


class TruncatedError(FormatError):
    """A file ends before its content does."""


class ChecksumError(FormatError):
    """Bytes do not have the checksum recorded or published for them."""


class StorageError(EcnasError, OSError):
    """A folder cannot be written, or the disk is full."""


class FetchError(EcnasError):
    """A published file could not be brought."""


class MissingDependencyError(EcnasError, ImportError):
    """A feature needs an optional package that is not installed."""

    def __init__(self, package: str, *, feature: str, extra: str | None = None) -> None:
        self.package = package
        install = f"pip install 'naslib-ecnas[{extra}]'" if extra else f"pip install {package}"
        super().__init__(f"{feature} needs the package {package}", remedy=f"install it: {install}")


# Numbers and arrays from callers, checked before anything is computed with them.


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
        whole = isinstance(value, Integral) and not isinstance(value, bool)
        if not whole or (least is not None and value < least):
            raise ConfigError(
                f"no possible {name}" + (f" of {of}" if of else ""),
                value=value,
                expected="a whole number" + ("" if least is None else f" of at least {least}"),
            )


def check_numbers(
    of: str = "",
    /,
    *,
    least: float = -math.inf,
    most: float = math.inf,
    above: float = -math.inf,
    below: float = math.inf,
    **numbers: Any,
) -> None:
    """Refuse what is no finite number between some limits.

    Args:
        of: what they are settings of, for the message.
        least, most: limits that are possible themselves; none where left out.
        above, below: limits that are not possible themselves; none where left out.
        numbers: the values by their names.

    Raises:
        ConfigError: one of them is none.
    """
    limits = (("at least", least), ("above", above), ("at most", most), ("below", below))
    texts = [f"{word} {limit:g}" for word, limit in limits if math.isfinite(limit)]
    for name, value in numbers.items():
        real = isinstance(value, Real) and not isinstance(value, bool)
        if not real or not (above < value < below and least <= value <= most):
            raise ConfigError(
                f"no possible {name}" + (f" of {of}" if of else ""),
                value=value,
                expected="a finite number" + (" of " + " and ".join(texts) if texts else ""),
            )


def floats(values: ArrayLike, what: str = "the values") -> NDArray[np.float64]:
    """The values as an array of float64, of any shape; a copy only where that is needed.

    Raises:
        ConfigError: they are no numbers, or rows of different lengths.
    """
    import numpy as np

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
    import numpy as np

    try:
        found = np.asarray(values)
    except ValueError:  # rows of different lengths
        found = np.array(["no array"])
    if found.ndim != 1 or (found.size and found.dtype.kind not in "iu"):
        raise ConfigError(
            f"{what} are no whole numbers", value=values, expected="a list of whole numbers"
        )
    return found if found.size else found.astype(np.int64)

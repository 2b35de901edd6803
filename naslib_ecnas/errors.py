"""The typed errors of the package, and checks of numbers and arrays from callers.

An error's message is one sentence that says what was expected and which value was met. The parts
that a program may act on are attributes too.
"""

from __future__ import annotations

import copyreg
import math
import sys
from numbers import Integral, Real
from operator import index
from os import PathLike
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import ArrayLike, NDArray


class EcnasError(Exception):
    """Base of every error that this package raises on purpose.

    Args:
        message: one sentence that says what was expected, cut after 1,000 characters.
        value: the value that was met; the sentence ends with ", got <value>", shortened.
        remedy: a command to type or a package to install, if one helps.

    Attributes:
        value, remedy: as above, None if not given.
    """

    def __init__(self, message: str, *, value: Any = None, remedy: str | None = None) -> None:
        self.value = value
        self.remedy = remedy
        message = _cut(message, 1000)
        if value is not None:
            message += f", got {_short(value)}"
        text = message if remedy is None else f"{message}; {remedy}"
        super().__init__(printable(" ".join(text.split("\n"))))

    def __str__(self) -> str:
        return Exception.__str__(self)  # a KeyError would show it in quotes

    def __reduce__(self) -> tuple[Any, ...]:
        # Not by calling the class, since subclasses have further arguments.
        new = copyreg.__newobj__  # type: ignore[attr-defined]
        return new, (type(self),), {**vars(self), "args": self.args}


def _short(value: Any) -> str:
    """`repr` on one line, cut after 200 characters."""
    if isinstance(value, (str, bytes, list, tuple)):
        value = value[:200]
    try:
        return _cut(" ".join(repr(value).split()), 200)
    except Exception:  # noqa: BLE001 - of a number of too many digits, or of a user's class
        return f"a {type(value).__name__} that cannot be shown"


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."


def printable(text: str, *, lines: bool = False) -> str:
    """The text, with what a terminal would obey or could not show as escapes such as `\\x1b`.

    These are control characters, marks of direction and parts of names that are not UTF-8. With
    `lines`, line breaks and tabs are kept. All text from files passes here before it is printed.
    """
    kept = " \u00a0\n\t" if lines else " \u00a0"
    if text.translate(dict.fromkeys(map(ord, kept))).isprintable():
        return text
    return "".join(
        c if c.isprintable() or c in kept else c.encode("unicode_escape").decode() for c in text
    )


def counted(number: int, noun: str) -> str:
    """A number with its noun, such as `1 run` or `2,000 runs`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


class InvalidCellError(EcnasError, ValueError):
    """A matrix and its operations are not a cell of NAS-Bench-101's space.

    Attributes:
        rule: the broken rule, one of `"not-square"`, `"not-binary"`,
            `"not-upper-triangular"`, `"operation-count"`, `"wrong-operation"`,
            `"too-many-vertices"`, `"too-many-edges"`, `"output-unreachable"`, `"syntax"`.
    """

    def __init__(self, message: str, *, rule: str, **details: Any) -> None:
        self.rule = rule
        super().__init__(message, **details)


class _LookupError(EcnasError, KeyError):
    """A name or key that does not exist."""


class UnknownCellError(_LookupError):
    """A valid cell that the space or the table does not contain."""


class UnknownBudgetError(_LookupError):
    """A training budget (epochs) that the table does not contain."""


class UnknownMetricError(_LookupError, AttributeError):
    """A metric that does not exist, or that the table does not contain."""


class UnknownRepeatError(_LookupError):
    """A repeat that the table does not contain."""


class UnknownTableError(_LookupError):
    """No table of this name and no file at this path."""


class ClosedTableError(EcnasError, ValueError):
    """A table was asked for values after it was closed."""


class SeparateCounterWarning(UserWarning):
    """What a copy of a benchmark spends in another process is not in the original's `spent`."""


class ImplausibleValueWarning(UserWarning):
    """A file may not mean what it says: values in another unit, lines taken as repeats."""


class ProvenanceError(EcnasError):
    """Values of different provenance would be mixed."""


class ConfigError(EcnasError, ValueError):
    """A setting of a search, a command or an adapter is not possible."""


class PluginError(ConfigError):
    """A table, method or metric that an installed package adds cannot be used.

    Attributes:
        package: the package.
    """

    def __init__(self, message: str, *, package: str = "", **details: Any) -> None:
        self.package = package
        super().__init__(message, **details)


class FormatError(EcnasError, ValueError):
    """A file does not have the expected format.

    Attributes:
        path: the file, if known.
        offset: byte offset of the fault in the file, if known.
    """

    def __init__(
        self,
        message: str,
        *,
        path: str | PathLike[str] | None = None,
        offset: int | None = None,
        **details: Any,
    ) -> None:
        self.path: str | None = None if path is None else str(path)
        self.offset = offset
        where = "" if path is None else _cut(str(path), 500)
        if offset is not None:
            where += f" at byte {offset}"
        super().__init__(f"{where.strip()}: {message}" if where else message, **details)


class TruncatedError(FormatError):
    """A file ends too early."""


class ChecksumError(FormatError):
    """Bytes do not match their recorded or published checksum."""


class StorageError(EcnasError, OSError):
    """A folder cannot be written to, or the disk is full."""


class FetchError(EcnasError):
    """A published file could not be downloaded."""


class MissingDependencyError(EcnasError, ImportError):
    """A feature needs an optional package that is not installed, or that cannot be imported.

    The message has the reason of the error that is handled, such as another module that it lacks.

    Attributes:
        package: the package.
    """

    def __init__(self, package: str, *, feature: str, extra: str | None = None) -> None:
        self.package: str = package
        message = f"{feature} needs the package {package}"
        error = sys.exc_info()[1]
        if isinstance(error, Exception):
            message += f", which cannot be imported ({error})"
        install = f"pip install 'naslib-ecnas[{extra}]'" if extra else f"pip install {package}"
        super().__init__(message, remedy=f"install or repair it: {install}")


# -- checks of numbers and arrays from callers ----


def check_counts(of: str = "", /, *, least: int | None = 1, **counts: Any) -> None:
    """Raise ConfigError unless every value is a whole number of at least `least`, if that is given.

    The message names the first wrong value and what it is a setting of, such as "a search".
    """
    for name, value in counts.items():
        whole = isinstance(value, Integral) and not isinstance(value, bool)
        if not whole or (least is not None and value < least):
            limit = "" if least is None else f" of at least {least}"
            raise ConfigError(f"{_named(name, of)} must be a whole number{limit}", value=value)


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
    """Raise ConfigError unless every value is a finite number within the limits.

    `least` and `most` are allowed themselves, `above` and `below` are not.
    """
    limits = (("at least", least), ("above", above), ("at most", most), ("below", below))
    texts = [f"{word} {limit:g}" for word, limit in limits if math.isfinite(limit)]
    for name, value in numbers.items():
        real = isinstance(value, Real) and not isinstance(value, bool)
        if not real or not (above < value < below and least <= value <= most):
            limit = f", {' and '.join(texts)}" if texts else ""
            raise ConfigError(f"{_named(name, of)} must be a finite number{limit}", value=value)


def check_choice(known: Sequence[str], /, **values: Any) -> None:
    """Raise ConfigError unless every value is one of the known ones."""
    for name, value in values.items():
        if value not in known:
            raise ConfigError(f"{name} must be one of {', '.join(known)}", value=value)


def check_types(kind: type, /, **values: Any) -> None:
    """Raise ConfigError unless every value is an instance of a class of this package."""
    for name, value in values.items():
        if not isinstance(value, kind):
            remedy = "make it by ecnas.load" if kind.__name__ == "Benchmark" else None
            raise ConfigError(f"{name} must be a {kind.__name__}", value=value, remedy=remedy)


def _named(name: str, of: str) -> str:
    return f"{name} of {of}" if of else name


#: What numpy raises for what it cannot turn into an array; RuntimeError is torch's.
NO_ARRAY = (TypeError, ValueError, OverflowError, RuntimeError)


def as_int(value: Any) -> int | None:
    """The value as an int if it is a whole number of any kind, else None.

    It may be an integer of Python, numpy or torch, or an array of one without axes. A boolean is
    not a whole number.
    """
    if type(value) is int:
        return value
    if isinstance(value, bool) or str(getattr(value, "dtype", "")).endswith("bool"):
        return None
    try:
        return index(value)
    except NO_ARRAY:
        return None


def as_array(values: Any, dtype: Any = None) -> NDArray[Any]:
    """`numpy.asarray`, also of torch's tensors of any kind and of scipy's sparse arrays.

    Raises one of `NO_ARRAY` for what is not an array.
    """
    import numpy as np

    if hasattr(values, "to_dense") and hasattr(values, "detach"):
        values = values.detach().to_dense().cpu()
        values = values.double() if values.is_floating_point() else values  # for bfloat16
    elif hasattr(values, "toarray"):
        values = values.toarray()
    return np.asarray(values, dtype=dtype)


def floats(
    values: ArrayLike, what: str = "the values", *, finite: bool = False
) -> NDArray[np.float64]:
    """The values as a float64 array of the same shape; copied only if necessary.

    Raises:
        ConfigError: an entry is not a real number, or is infinite if `finite` is set (NaN is
            allowed), or rows differ in length.
    """
    import numpy as np

    try:
        found = as_array(values)
        array = found.astype(np.float64, copy=False) if found.dtype.kind in "fiubO" else None
    except NO_ARRAY:
        array = None
    if array is None:
        raise ConfigError(f"{what} must be an array of numbers", value=values)
    if finite and np.isinf(array).any():
        raise ConfigError(f"{what} must be finite numbers, or NaN where unknown", value=values)
    return array


def whole_numbers(values: ArrayLike, what: str = "the rows") -> NDArray[Any]:
    """The values as a one-dimensional integer array.

    Raises:
        ConfigError: they are not one-dimensional, or not whole numbers.
    """
    found = vector(values)
    if found is None:
        raise ConfigError(f"{what} must be a list of whole numbers", value=values)
    return found


def vector(values: Any, kinds: str = "iu") -> NDArray[Any] | None:
    """The values as a one-dimensional array of one of these kinds of numpy; None if they are none.

    An empty one is of int64, whatever it was.
    """
    try:
        found = as_array(values)
    except NO_ARRAY:  # such as rows of different lengths
        return None
    found = found if found.size else found.astype("i8")
    return found if found.ndim == 1 and found.dtype.kind in kinds else None

"""The typed errors of the package, and checks of numbers and arrays from callers.

An error's message is one sentence that says what was expected and which value was met. The parts
that a program may act on are attributes too.
"""

from __future__ import annotations

import math
import sys
from numbers import Integral, Real
from os import PathLike
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
        return _unpickled, (type(self), self.args, vars(self))


def _unpickled(
    kind: type[EcnasError], args: tuple[Any, ...], attributes: dict[str, Any]
) -> EcnasError:
    error = kind.__new__(kind, *args)
    error.args = args
    vars(error).update(attributes)
    return error


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


class CatalogError(EcnasError):
    """The catalog has no such file, or a catalog entry is malformed."""


class ProvenanceError(EcnasError):
    """Values of different provenance would be mixed."""


class ConfigError(EcnasError, ValueError):
    """A setting of a search, a command or an adapter is not possible."""


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

    Attributes:
        package: the package; while its ImportError is handled, the module that it lacks itself.
    """

    def __init__(self, package: str, *, feature: str, extra: str | None = None) -> None:
        self.package: str = package
        message = f"{feature} needs the package {package}"
        install = f"pip install 'naslib-ecnas[{extra}]'" if extra else f"pip install {package}"
        remedy = f"install it: {install}"
        error = sys.exc_info()[1]
        if isinstance(error, Exception) and _is_installed(package, error):
            lacking = error.name if isinstance(error, ModuleNotFoundError) else None
            self.package = (lacking or package).partition(".")[0]
            message += f", which cannot be imported: {error}"
            remedy = f"install or repair {self.package}"
        super().__init__(message, remedy=remedy)


def _is_installed(package: str, error: Exception) -> bool:
    """Whether a package is there and the failed import was of another, or of a part of it."""
    from importlib import metadata

    try:
        metadata.distribution(package)
    except metadata.PackageNotFoundError:
        return False
    name = getattr(error, "name", None) or ""
    lacking = isinstance(error, ModuleNotFoundError) and "." not in name
    return not (lacking and package in metadata.packages_distributions().get(name, ()))


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
        found = np.asarray(values)
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
    import numpy as np

    try:
        found = np.asarray(values)
    except NO_ARRAY:  # rows of different lengths
        found = np.empty((0, 0))
    if found.ndim != 1 or (found.size and found.dtype.kind not in "iu"):
        raise ConfigError(f"{what} must be a list of whole numbers", value=values)
    return found if found.size else found.astype(np.int64)

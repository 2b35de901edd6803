"""The typed errors of the package.

Each error states the value that was met, what was expected and what to do about it, in its
message and as attributes, so that a program can act on it and a person can read it.
"""

from __future__ import annotations

from os import PathLike
from typing import Any

__all__ = [
    "CatalogError",
    "ChecksumError",
    "ConfigError",
    "EcnasError",
    "FetchError",
    "FormatError",
    "InvalidCellError",
    "MissingDependencyError",
    "ProvenanceError",
    "StorageError",
    "TruncatedError",
    "UnknownBudgetError",
    "UnknownCellError",
    "UnknownMetricError",
    "UnknownRepeatError",
    "UnknownTableError",
]


class EcnasError(Exception):
    """Base of every error that this package raises on purpose.

    Attributes:
        what: what went wrong, one clause.
        value: the offending value, or None where there is none to show.
        expected: what would have been accepted.
        remedy: what the user can do.
    """

    def __init__(
        self,
        what: str,
        *,
        value: Any = None,
        expected: str | None = None,
        remedy: str | None = None,
    ) -> None:
        self.what = what
        self.value = value
        self.expected = expected
        self.remedy = remedy
        parts = [what]
        if value is not None:
            parts.append(f"got {_short(value)}")
        if expected is not None:
            parts.append(f"expected {expected}")
        if remedy is not None:
            parts.append(remedy)
        super().__init__("; ".join(parts))


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

    def __init__(self, what: str, *, rule: str, **details: Any) -> None:
        self.rule = rule
        super().__init__(what, **details)


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
        what: str,
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
        super().__init__(f"{where.strip()}: {what}" if where else what, **details)


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

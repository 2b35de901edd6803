"""Frozen dataclasses to plain values for JSON, and back with every type checked."""

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from naslib_ecnas.errors import EcnasError, FormatError

__all__ = ["from_plain", "to_plain"]

T = TypeVar("T")


def to_plain(value: Any) -> Any:
    """Dictionaries, lists, texts, numbers and None; numbers that are not finite become None."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {key: to_plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [to_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def from_plain(kind: type[T], data: Any, *, path: str | None = None) -> T:
    """The inverse of `to_plain`; None becomes NaN where a number is wanted.

    Args:
        kind: a dataclass of texts, numbers, flags, such dataclasses, tuples and mappings of them.
        data: plain values.
        path: the file that they come from.

    Raises:
        FormatError: a field is missing, not known, or of another type.
    """
    made: T = _made(kind, data, kind.__name__, path)
    return made


def _made(kind: Any, data: Any, place: str, path: str | None) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if is_dataclass(kind) and isinstance(kind, type):
        return _dataclass(kind, data, place, path)
    if origin in (Union, types.UnionType):  # only `X | None` is used
        return None if data is None else _made(inner[0], data, place, path)
    if origin is tuple and isinstance(data, list):
        return tuple(_made(inner[0], item, f"{place}[{i}]", path) for i, item in enumerate(data))
    if origin is Mapping and isinstance(data, dict) and all(type(key) is str for key in data):
        return {key: _made(inner[1], item, f"{place}.{key}", path) for key, item in data.items()}
    if kind is float and (data is None or type(data) in (int, float)):
        return math.nan if data is None else float(data)
    if kind in (str, int, bool) and type(data) is kind:
        return data
    raise _fault(place, data, getattr(kind, "__name__", str(kind)), path)


def _dataclass(kind: Any, data: Any, place: str, path: str | None) -> Any:
    hints = _hints(kind)
    names = list(hints)
    if not isinstance(data, dict) or set(data) != set(names):
        got = sorted(map(str, data)) if isinstance(data, dict) else type(data).__name__
        raise _fault(place, got, f"an object of {', '.join(names)}", path)
    values = {name: _made(hints[name], data[name], f"{place}.{name}", path) for name in names}
    try:
        return kind(**values)
    except EcnasError as error:
        raise _fault(place, error.value, error.expected or "another value", path) from error


@cache
def _hints(kind: Any) -> dict[str, Any]:
    """Types of a dataclass's fields. Reading thousands of records, to find them is most of it."""
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def _fault(place: str, value: Any, expected: str, path: str | None) -> FormatError:
    return FormatError(
        f"{place} is not as a record has it",
        path=path,
        value=value,
        expected=expected,
        remedy="take a record that this version wrote",
    )

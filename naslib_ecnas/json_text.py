"""JSON without NaN and infinities, which JSON does not have, and JSON of files from anywhere."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

__all__ = ["from_json", "to_json"]

#: Digits of the longest whole number that every float can take.
_DIGITS = 300


def from_json(text: str | bytes) -> Any:
    """The plain values of JSON that nobody vouches for.

    Raises:
        ValueError: it is no JSON, is nested too deeply, or has a number that no float can take;
            or it is no text.
    """
    try:
        return json.loads(text, parse_int=_whole)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _whole(digits: str) -> int:
    if len(digits) > _DIGITS:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def to_json(data: Any, *, indent: int | None = None) -> str:
    """JSON of plain values; what is not known or not finite becomes null."""
    return json.dumps(_finite(data), indent=indent, ensure_ascii=False, allow_nan=False)


def _finite(data: Any) -> Any:
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, Mapping):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_finite(value) for value in data]
    return data

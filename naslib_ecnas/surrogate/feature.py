"""What a column of features is: its name, unit and meaning."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["OPERATORS", "Feature", "each"]

#: Short names of the operations in the order of `structures.OPERATIONS`.
OPERATORS = ("conv3x3", "conv1x1", "maxpool3x3")


class Feature(NamedTuple):
    """One column."""

    name: str
    unit: str
    """Empty for counts and flags. A "width" is 128 channels of the first stack's vertices."""
    description: str


def each(name: str, unit: str, description: str) -> tuple[Feature, ...]:
    """One column for each operation, whose name replaces `{}`."""
    return tuple(Feature(name.format(op), unit, description.format(op)) for op in OPERATORS)

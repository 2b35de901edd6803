"""Models of energy, accuracy and training time over the whole space of cells."""

from __future__ import annotations

__all__ = ["EMBEDDED"]

#: Names of the modelled tables that come with the package, and the vertices of their spaces.
EMBEDDED = {"7v": 7, "5v": 5, "4v": 4}

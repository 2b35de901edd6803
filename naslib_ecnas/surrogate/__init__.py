"""Models of energy, accuracy and training time over the whole space of cells."""

from __future__ import annotations

from pathlib import Path

__all__ = ["EMBEDDED", "TARGETS", "shipped"]

#: Names of the modelled tables that come with the package, and the vertices of their spaces.
EMBEDDED = {"7v": 7, "5v": 5, "4v": 4}

#: Weights that come with the package, in the order of a report.
TARGETS = ("energy", "epochs", "accuracy", "time", "devices", "paper")


def shipped(name: str) -> Path:
    """Path of the weights that come with the package for a target, such as `energy`."""
    import naslib_ecnas.data

    return Path(naslib_ecnas.data.__path__[0]) / f"surrogate_{name}.npz"

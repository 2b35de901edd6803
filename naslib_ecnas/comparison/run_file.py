"""A run as a file: which cells were evaluated, in order and at which budgets.

Everything else follows from the table, which the file names by its checksum. JSON, written whole or
not at all, so that a run which is there is a run that ended.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.errors import FormatError
from naslib_ecnas.json_text import from_json, to_json
from naslib_ecnas.search.result import SearchResult
from naslib_ecnas.storage import atomic_write

__all__ = ["FORMAT", "Run"]

FORMAT = "ecnas-run/1"
_SETTINGS = {
    "table": str,
    "checksum": str,
    "method": str,
    "seed": int,
    "objectives": list,
    "budget": int,
}


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run."""

    table: str
    checksum: str
    """SHA-256 that names the table's content."""
    method: str
    seed: int
    objectives: tuple[str, ...]
    budget: int
    """Epochs at which evaluations count for the front."""
    rows: NDArray[np.int32]
    """(n,) row of each evaluation."""
    epochs: NDArray[np.int64]
    """(n,) budget of each evaluation."""

    @classmethod
    def of(cls, result: SearchResult, *, table: str, method: str | None = None) -> Run:
        """The run of a search's result, under the names of the comparison."""
        config = result.config
        return cls(
            table=table,
            checksum=config.checksum,
            method=config.method if method is None else method,
            seed=config.seed,
            objectives=config.objectives,
            budget=config.epochs,
            rows=result.rows,
            epochs=result.epochs,
        )

    def write(self, path: Path) -> None:
        """Write it.

        Raises:
            StorageError: the folder cannot be written or the disk is full.
        """
        text = to_json(
            {
                "format": FORMAT,
                **{name: kind(getattr(self, name)) for name, kind in _SETTINGS.items()},
                "rows": self.rows.tolist(),
                # One number where all are alike, as they are but for multi-fidelity methods.
                "epochs": _shortened(self.epochs.tolist()),
            }
        )
        with atomic_write(path) as file:
            file.write(text.encode("utf-8") + b"\n")

    @classmethod
    def read(cls, path: Path) -> Run:
        """Read it.

        Raises:
            FormatError: it is no such file, or is damaged.
        """
        try:
            data = from_json(path.read_bytes())
        except (OSError, ValueError) as error:
            raise FormatError(
                f"cannot be read as a run: {error}",
                path=path,
                expected="a file that ecnas compare wrote",
                remedy="delete it: the run is made again",
            ) from error
        problem = _problem(data)
        if problem is not None:
            raise FormatError(
                f"is no run: {problem}",
                path=path,
                expected=f"a file of the format {FORMAT}",
                remedy="delete it: the run is made again",
            )
        rows, epochs = data["rows"], data["epochs"]
        each = [epochs] * len(rows) if isinstance(epochs, int) else epochs
        return cls(
            **{name: data[name] for name in _SETTINGS if name != "objectives"},
            objectives=tuple(data["objectives"]),
            rows=np.array(rows, dtype=np.int32),
            epochs=np.array(each, dtype=np.int64),
        )


def _shortened(epochs: list[int]) -> int | list[int]:
    return epochs[0] if len(set(epochs)) == 1 else epochs


def _problem(data: Any) -> str | None:
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        return "its format is another one"
    for name, kind in _SETTINGS.items():
        if type(data.get(name)) is not kind:
            return f"{name} is {data.get(name)!r}"
    if not all(isinstance(name, str) for name in data["objectives"]):
        return "objectives are no names"
    rows, epochs = data.get("rows"), data.get("epochs")
    if not isinstance(rows, list) or not rows or not all(_is_count(r) for r in rows):
        return "rows are no rows"
    if _is_count(epochs):
        return None
    if not isinstance(epochs, list) or len(epochs) != len(rows) or not all(map(_is_count, epochs)):
        return "epochs do not fit the rows"
    return None


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**31

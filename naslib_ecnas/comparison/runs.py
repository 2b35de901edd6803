"""The runs of a comparison: which there are, and their files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.errors import FormatError, ProvenanceError
from naslib_ecnas.files import atomic_write, from_json, from_plain, to_json
from naslib_ecnas.search import SearchResult, result_of

if TYPE_CHECKING:
    from naslib_ecnas.benchmark import Benchmark

__all__ = ["Run", "Unit"]

_RUN_FORMAT = "ecnas-run/1"


@dataclass(frozen=True, order=True)
class Unit:
    """One run of a comparison."""

    table: str
    method: str
    seed: int

    @property
    def file(self) -> Path:
        """File of its run, relative to the folder of the comparison."""
        table, method = (
            # Only characters that every file system accepts.
            re.sub(r"[^A-Za-z0-9._+-]+", "-", name).strip(".-") or "-"
            for name in (self.table, self.method)
        )
        return Path("runs", table, method, f"seed-{self.seed}.json")

    def __str__(self) -> str:
        return f"{self.method} on {self.table}, seed {self.seed}"


@dataclass(frozen=True)
class _RunFile:
    """What the file of a run holds."""

    format: str
    table: str
    checksum: str
    method: str
    seed: int
    objectives: tuple[str, ...]
    budget: int
    rows: tuple[int, ...]
    epochs: int | tuple[int, ...]
    """One number where all are equal, as for all but multi-fidelity methods."""

    def __post_init__(self) -> None:
        rows, epochs = self.rows, self.epochs
        each = (epochs,) * len(rows) if isinstance(epochs, int) else epochs
        if self.format != _RUN_FORMAT:
            raise ValueError("the file has another format")
        if not rows or len(each) != len(rows):
            raise ValueError("rows must be one or more, with epochs for each")
        if not all(0 <= number < 2**31 for number in (*rows, *each)):
            raise ValueError("rows and epochs must be counts")


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run: which rows were evaluated, in order and at which budgets.

    Everything else follows from the table, which the checksum identifies.
    """

    table: str
    checksum: str
    """SHA-256 of the table's content."""
    method: str
    seed: int
    objectives: tuple[str, ...]
    budget: int
    """Epochs of the evaluations that enter the front."""
    rows: NDArray[np.int32]
    """(n,) row of each evaluation."""
    epochs: NDArray[np.int64]
    """(n,) budget of each evaluation."""

    @classmethod
    def of(cls, result: SearchResult, *, table: str, method: str | None = None) -> Run:
        """The run of a search's result, with the names that the comparison uses."""
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

    def result(self, bench: Benchmark) -> SearchResult:
        """The run's values, costs and front, looked up in its table.

        Raises:
            ProvenanceError: the table's content is not the one that the run searched.
        """
        if self.checksum != bench.table.checksum:
            unit = Unit(self.table, self.method, self.seed)
            remedy = "repeat the comparison, which makes such runs again"
            message = f"{unit}, searched another version of the table"
            raise ProvenanceError(message, remedy=remedy)
        about = {name: getattr(self, name) for name in ("objectives", "method", "seed", "budget")}
        return result_of(bench, rows=self.rows, epochs=self.epochs, **about)

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all.

        Raises:
            StorageError: the folder cannot be written or the disk is full.
        """
        epochs = tuple(self.epochs.tolist())
        content = {
            **vars(self),
            "rows": tuple(self.rows.tolist()),
            "epochs": epochs[0] if len(set(epochs)) == 1 else epochs,
        }
        with atomic_write(path) as file:
            file.write(to_json(_RunFile(format=_RUN_FORMAT, **content)).encode("utf-8") + b"\n")

    @classmethod
    def read(cls, path: Path) -> Run:
        """Read a file that `write` wrote.

        Raises:
            FormatError: it is missing, damaged, or another file.
        """
        try:
            content = dict(vars(from_plain(_RunFile, from_json(path.read_bytes()))))
        except (OSError, ValueError) as error:
            raise FormatError(
                f"no run in the format {_RUN_FORMAT}: {error}",
                path=path,
                remedy="delete it, and the run is made again",
            ) from error
        del content["format"]
        rows = np.array(content.pop("rows"), dtype=np.int32)
        epochs = np.array(np.broadcast_to(content.pop("epochs"), rows.shape), dtype=np.int64)
        return cls(rows=rows, epochs=epochs, **content)

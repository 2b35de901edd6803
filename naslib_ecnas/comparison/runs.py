"""The runs of a comparison: which there are, their files, and the tables that they searched."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.errors import FormatError, ProvenanceError
from naslib_ecnas.files import atomic_write, from_json, from_plain, to_json
from naslib_ecnas.search import SearchResult, result_of

if TYPE_CHECKING:
    from naslib_ecnas.benchmark import Benchmark

_RUN_FORMAT = "ecnas-run/1"


def opened(table: str, setting: Mapping[str, Any]) -> Benchmark:
    """The benchmark of a table, loaded once in a process; None in `setting` is `load`'s default."""
    return _loaded(table, tuple(sorted((k, v) for k, v in setting.items() if v is not None)))


@lru_cache(maxsize=8)
def _loaded(table: str, setting: tuple[tuple[str, Any], ...]) -> Benchmark:
    from naslib_ecnas.loading import load

    return load(table, **dict(setting))


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
    noise: bool = False

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
    noise: bool = False
    """Whether the method saw single trainings, which follow from the seed."""

    @classmethod
    def of(cls, result: SearchResult, *, table: str, method: str | None = None) -> Run:
        """The run of a search's result, with the names that the comparison uses."""
        c = result.config
        name = c.method if method is None else method
        arrays = result.rows, result.epochs
        return cls(table, c.checksum, name, c.seed, c.objectives, c.epochs, *arrays, c.noise)

    def result(self, bench: Benchmark) -> SearchResult:
        """The run's values, costs and front, looked up in its table.

        Raises:
            ProvenanceError: the table's content is not the one that the run searched.
        """
        if self.checksum != bench.table.checksum:
            message = f"{Unit(self.table, self.method, self.seed)}, searched another version"
            remedy = "repeat the comparison, which makes such runs again"
            raise ProvenanceError(f"{message} of the table", remedy=remedy)
        names = ("rows", "epochs", "objectives", "method", "seed", "budget", "noise")
        return result_of(bench, **{name: getattr(self, name) for name in names})

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all.

        Raises:
            StorageError: the folder cannot be written or the disk is full.
        """
        rows, epochs = self.rows.tolist(), self.epochs.tolist()
        content = {"format": _RUN_FORMAT, **vars(self), "rows": rows}
        content["epochs"] = epochs[0] if len(set(epochs)) == 1 else epochs
        with atomic_write(path) as file:
            file.write(to_json(content).encode("utf-8") + b"\n")

    @classmethod
    def read(cls, path: Path) -> Run:
        """Read a file that `write` wrote.

        Raises:
            FormatError: it is missing, damaged, or another file.
        """
        try:
            content = dict(vars(from_plain(_RunFile, from_json(path.read_bytes()))))
        except (OSError, ValueError) as error:
            message = f"no run in the format {_RUN_FORMAT}: {error}"
            remedy = "delete it, and the run is made again"
            raise FormatError(message, path=path, remedy=remedy) from error
        del content["format"]
        rows = np.array(content.pop("rows"), dtype=np.int32)
        epochs = np.array(np.broadcast_to(content.pop("epochs"), rows.shape), dtype=np.int64)
        return cls(rows=rows, epochs=epochs, **content)

"""The runs of a comparison: which there are, their files, and the tables that they searched."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.errors import FormatError, ProvenanceError
from naslib_ecnas.files import atomic_write, from_json, read_bytes, to_json
from naslib_ecnas.search import SearchResult, result_of

if TYPE_CHECKING:
    from naslib_ecnas.benchmark import Benchmark

_RUN_FORMAT = "ecnas-run/1"


def opened(table: str, setting: Mapping[str, Any], world: int | None = None) -> Benchmark:
    """The benchmark of a table or a world of it, kept in this process for the next calls.

    None in `setting` is `load`'s default.
    """
    setting = {**setting, "world": setting.get("world") if world is None else world}
    return _loaded(table, tuple(sorted((k, v) for k, v in setting.items() if v is not None)))


@lru_cache(maxsize=4)  # a world of 7v in use takes 40 MB
def _loaded(table: str, setting: tuple[tuple[str, Any], ...]) -> Benchmark:
    from naslib_ecnas.loading import load

    return load(table, **dict(setting))


@dataclass(frozen=True, order=True)
class Unit:
    """One run of a comparison."""

    table: str
    method: str
    seed: int
    world: int | None = None
    """Which world of a modelled table; None for the table itself."""

    @property
    def searched(self) -> str:
        """Name of the table that it searches: `table`, or the one of its world."""
        return self.table if self.world is None else f"{self.table}-world-{self.world}"

    @property
    def file(self) -> Path:
        """File of its run, relative to the folder of the comparison."""
        table, method = (
            # Only characters that every file system accepts.
            re.sub(r"[^A-Za-z0-9._+-]+", "-", name).strip(".-") or "-"
            for name in (self.searched, self.method)
        )
        return Path("runs", table, method, f"seed-{self.seed}.json")

    def __str__(self) -> str:
        return f"{self.method} on {self.searched}, seed {self.seed}"


def _counts(_: type, data: Any) -> NDArray[np.int64]:
    """Rows or epochs of a file."""
    if type(data) is not list or not data or {*map(type, data)} != {int}:
        raise ValueError("rows and epochs must be whole numbers")
    if not 0 <= min(data) <= max(data) < 2**31:
        raise ValueError("rows and epochs must be counts")
    return np.array(data, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run: which rows were evaluated, in order and at which budgets.

    Everything else follows from the table, which the checksum identifies.
    """

    table: str
    checksum: str
    """SHA-256 of the table's content."""
    table_version: str | None = field(default=None, kw_only=True)
    """Version of a modelled table; None if it has none."""
    method: str
    seed: int
    objectives: tuple[str, ...]
    budget: int
    """Epochs of the evaluations that enter the front."""
    rows: NDArray[np.integer]
    """(n,) row of each evaluation."""
    epochs: NDArray[np.integer]
    """(n,) budget of each evaluation."""
    noise: bool = False
    """Whether the method saw single trainings, which follow from the seed."""
    world: int | None = None
    """Which world of the table; None for the table itself."""
    workers: int = 1
    starts: tuple[float, ...] | None = None
    """When each evaluation began, in s from the start of the run; None for a single worker."""

    @property
    def unit(self) -> Unit:
        """Which run of a comparison it is."""
        return Unit(self.table, self.method, self.seed, self.world)

    @classmethod
    def of(
        cls, result: SearchResult, *, table: str, method: str = "", world: int | None = None
    ) -> Run:
        """The run of a search's result, with the names that the comparison uses."""
        c = result.config
        about = c.checksum, method or c.method, c.seed, c.objectives, c.epochs
        starts = tuple(result.started_s.tolist()) if c.workers > 1 else None
        several: dict[str, Any] = {"workers": c.workers, "starts": starts}
        several |= {"table_version": c.table_version, "noise": c.noise, "world": world}
        return cls(table, *about, result.rows, result.epochs, **several)

    def result(self, bench: Benchmark) -> SearchResult:
        """The run's values, costs and front, looked up in its table.

        Raises:
            ProvenanceError: the table's content is not the one that the run searched.
        """
        if self.checksum != bench.table.checksum:
            remedy = "repeat the comparison, which makes such runs again"
            raise other_table(bench, str(self.unit), self, remedy=remedy)
        names = ["rows", "epochs", "objectives", "method", "seed", "budget", "noise"]
        names += ["workers", "starts"]
        return result_of(bench, **{name: getattr(self, name) for name in names})

    def to_json(self) -> str:
        """The run as one line."""
        rows, epochs = self.rows.tolist(), self.epochs.tolist()
        content = {"format": _RUN_FORMAT, **vars(self), "rows": rows}
        content["epochs"] = epochs[0] if len(set(epochs)) == 1 else epochs
        if self.workers == 1:
            del content["workers"], content["starts"]
        return to_json(content)

    @classmethod
    def of_json(cls, text: str | bytes) -> Run:
        """The inverse of `to_json`; ValueError or TypeError for any other text."""
        import msgspec

        content = {"workers": 1, "starts": None} | from_json(text)
        names = {field.name for field in fields(cls)}
        if content.pop("format", None) != _RUN_FORMAT or content.keys() != names:
            raise ValueError("the file has another format")
        if isinstance(content["epochs"], int):  # all are equal, as for most methods
            content["epochs"] = [content["epochs"]] * len(content["rows"])
        run = msgspec.convert(content, cls, dec_hook=_counts)
        series = (run.rows, run.epochs, run.starts)
        if len({len(each) for each in series if each is not None}) > 1:
            raise ValueError("rows, epochs and starts must be as many")
        return run

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all.

        Raises:
            StorageError: the folder cannot be written or the disk is full.
        """
        with atomic_write(path) as file:
            file.write(self.to_json().encode("utf-8") + b"\n")

    @classmethod
    def read(cls, path: Path) -> Run:
        """Read a file that `write` wrote.

        Raises:
            FormatError: it is missing, damaged, or another file.
        """
        try:
            return cls.of_json(read_bytes(path))
        except (OSError, ValueError, TypeError) as error:
            message = f"no run in the format {_RUN_FORMAT}: {error}"
            remedy = "delete it, and the run is made again"
            raise FormatError(message, path=path, remedy=remedy) from error


def runs_in(folder: Path) -> list[Run]:
    """All runs of the comparison in a folder; FormatError if one is damaged."""
    return [Run.read(path) for path in sorted((folder / "runs").rglob("seed-*.json"))]


def other_table(bench: Benchmark, about: str, run: Any, *, remedy: str) -> ProvenanceError:
    """The error of a run, which `about` names, that searched other values than the benchmark has.

    `run` has the `table`, `table_version` and `checksum` that were searched.
    """
    ran, here = run.table_version, bench.table.attributes.get("version")
    if ran and here and ran != here:
        message = f"{about}: version {ran} and version {here} of {bench.name} cannot be mixed"
        return ProvenanceError(message, remedy=remedy)
    ones = [(run.table, run.checksum), (bench.name, bench.table.checksum)]
    searched, shown = (f"{name} ({checksum[:12]})" for name, checksum in ones)
    message = f"{about}: it searched {searched}, another table than {shown}"
    return ProvenanceError(message, remedy=remedy)

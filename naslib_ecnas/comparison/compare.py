"""Comparisons: every method on every table with every seed, under equal rules.

A `Grid` says what runs; each combination is a `Unit` of work, and each finished run one file
(`Run`) in the folder of the comparison. `compare` makes the runs that are not there yet. A run's
file appears only when the run has ended, so a comparison that was killed at any moment continues
where it was, and ends in the same files as one that was not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.comparison.execute import check_jobs, execute, only_one
from naslib_ecnas.errors import (
    ConfigError,
    FormatError,
    MissingDependencyError,
    ProvenanceError,
    check_counts,
)
from naslib_ecnas.files import atomic_write, exists, from_json, is_folder, storage_error, to_json
from naslib_ecnas.metrics import OBJECTIVES
from naslib_ecnas.search.accounting import check_objectives, result_of
from naslib_ecnas.search.base import Optimiser
from naslib_ecnas.search.loop import METHODS
from naslib_ecnas.search.result import SearchResult

if TYPE_CHECKING:
    from naslib_ecnas.benchmark import Benchmark

__all__ = [
    "ADAPTED",
    "RULES",
    "Grid",
    "Run",
    "Unit",
    "compare",
    "make_missing",
    "method_class",
    "method_names",
    "prepare",
    "seeds_of",
]

#: File in a comparison's folder with the rules under which its runs were made.
RULES = "comparison.json"

_RUN_FORMAT = "ecnas-run/1"

Progress = Callable[[int, int, str], None]

# -- methods by name ----

_HERE = "naslib_ecnas.adapters"

#: Methods of other libraries: name -> (module, class, package). A new one is a line here.
ADAPTED: dict[str, tuple[str, str, str]] = {
    "nsga2": (f"{_HERE}.pymoo_host", "PymooNsga2", "pymoo"),
    "sms-emoa": (f"{_HERE}.pymoo_host", "SmsEmoa", "pymoo"),
    "motpe": (f"{_HERE}.optuna_host", "Motpe", "optuna"),
    "optuna-nsga2": (f"{_HERE}.optuna_host", "OptunaNsga2", "optuna"),
    "nsga3": (f"{_HERE}.optuna_host", "OptunaNsga3", "optuna"),
    "qnehvi": (f"{_HERE}.botorch_qnehvi", "Qnehvi", "botorch"),
}


def method_names() -> tuple[str, ...]:
    """All methods that can be compared, those of `naslib_ecnas.search` first."""
    return (*METHODS, *ADAPTED)


def method_class(name: str) -> type[Optimiser]:
    """The class of a method.

    Raises:
        ConfigError: an unknown name.
        MissingDependencyError: the method's library is not installed.
    """
    if not isinstance(name, str) or name not in method_names():
        raise ConfigError(f"the method must be one of {', '.join(method_names())}", value=name)
    if name in METHODS:
        return METHODS[name]
    module, kind, package = ADAPTED[name]
    try:
        found: type[Optimiser] = getattr(import_module(module), kind)
    except ImportError as error:
        extra = "botorch" if package == "botorch" else "search"
        raise MissingDependencyError(package, feature=f"the method {name}", extra=extra) from error
    return found


# -- what is compared ----


@dataclass(frozen=True, order=True)
class Unit:
    """One run of a comparison."""

    table: str
    method: str
    seed: int

    @property
    def file(self) -> Path:
        """File of its run, relative to the folder of the comparison."""
        return Path("runs") / _plain(self.table) / _plain(self.method) / f"seed-{self.seed}.json"

    def __str__(self) -> str:
        return f"{self.method} on {self.table}, seed {self.seed}"


def _plain(name: str) -> str:
    """The name with only characters that every file system accepts."""
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", name).strip(".-") or "-"


@dataclass(frozen=True)
class Grid:
    """The runs of a comparison and the rules that all of them share.

    Raises:
        ConfigError: nothing to run, a repeated name, or a number out of range.
        UnknownMetricError: an objective is no metric.
    """

    methods: tuple[str, ...]
    tables: tuple[str, ...]
    seeds: tuple[int, ...]
    evaluations: int
    objectives: tuple[str, ...] = OBJECTIVES
    epochs: int | None = None
    """Training budget that is compared; None for the largest of each table."""
    setting: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments of `load`, such as the device of modelled tables."""

    def __post_init__(self) -> None:
        for what in ("methods", "tables", "seeds"):
            chosen = getattr(self, what)
            if not chosen or len(set(chosen)) < len(chosen):
                raise ConfigError(f"a comparison needs {what}, each once", value=list(chosen))
        check_objectives(self.objectives)
        check_counts(evaluations=self.evaluations)
        for seed in self.seeds:
            check_counts(least=0, seed=seed)
        files = [unit.file for unit in self.units()]
        if len(set(files)) < len(files):
            names = [*self.methods, *self.tables]
            raise ConfigError("methods and tables must differ in letters or digits", value=names)

    def units(self) -> list[Unit]:
        """All units, in the order in which they are started."""
        return [
            Unit(table, method, seed)
            for table, seed, method in product(self.tables, self.seeds, self.methods)
        ]

    def rules(self) -> dict[str, Any]:
        """The settings that must be equal for runs to be comparable."""
        return {
            "evaluations": int(self.evaluations),
            "epochs": self.epochs,
            "objectives": list(self.objectives),
            "setting": {k: v for k, v in self.setting.items() if v is not None},
        }


def seeds_of(chosen: int | Sequence[int]) -> tuple[int, ...]:
    """Seeds 0 to n - 1 for a number n, or the given seeds."""
    return tuple(range(chosen)) if isinstance(chosen, int) else tuple(chosen)


# -- runs as files ----

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
            raise ProvenanceError(
                f"{self.method} on {self.table}, seed {self.seed}, searched another version of "
                f"the table",
                remedy="repeat the comparison, which makes such runs again",
            )
        return result_of(
            bench,
            rows=self.rows,
            epochs=self.epochs,
            objectives=self.objectives,
            method=self.method,
            seed=self.seed,
            budget=self.budget,
        )

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all.

        Raises:
            StorageError: the folder cannot be written or the disk is full.
        """
        text = to_json(
            {
                "format": _RUN_FORMAT,
                **{name: kind(getattr(self, name)) for name, kind in _SETTINGS.items()},
                "rows": self.rows.tolist(),
                # One number where all are equal, as for all but multi-fidelity methods.
                "epochs": _shortened(self.epochs.tolist()),
            }
        )
        with atomic_write(path) as file:
            file.write(text.encode("utf-8") + b"\n")

    @classmethod
    def read(cls, path: Path) -> Run:
        """Read a file that `write` wrote.

        Raises:
            FormatError: it is missing, damaged, or another file.
        """
        try:
            data = from_json(path.read_bytes())
            problem = _problem(data)
        except (OSError, ValueError) as error:
            problem = str(error)
        if problem is not None:
            raise FormatError(
                f"no run in the format {_RUN_FORMAT}: {problem}",
                path=path,
                remedy="delete it, and the run is made again",
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
    if not isinstance(data, dict) or data.get("format") != _RUN_FORMAT:
        return "the file has another format"
    for name, kind in _SETTINGS.items():
        if type(data.get(name)) is not kind:
            return f"{name} is {data.get(name)!r}"
    if not all(isinstance(name, str) for name in data["objectives"]):
        return "objectives must be names"
    rows, epochs = data.get("rows"), data.get("epochs")
    if not isinstance(rows, list) or not rows or not all(_is_count(r) for r in rows):
        return "rows must be numbers of cells"
    if _is_count(epochs):
        return None
    if not isinstance(epochs, list) or len(epochs) != len(rows) or not all(map(_is_count, epochs)):
        return "epochs must be a number, or one for each row"
    return None


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**31


# -- making the runs ----


class _OfUnit(Protocol):
    @property
    def unit(self) -> Unit: ...


_Task = TypeVar("_Task", bound=_OfUnit)


def compare(
    grid: Grid,
    out: Path,
    *,
    jobs: int = 1,
    cluster: str | None = None,
    on_progress: Progress | None = None,
) -> list[Unit]:
    """Make the runs of a grid that are not there yet.

    Args:
        grid: what to run.
        out: folder of the comparison: a new folder, or the folder of a comparison under the same
            rules, whose runs are kept.
        jobs: how many runs at a time.
        cluster: `"slurm"`, `"local"`, or None for processes of this machine.
        on_progress: called with runs done, runs in all, and the run done last.

    Returns:
        All units of the grid.

    Raises:
        ConfigError: a method or setting is not possible, the folder is another comparison's, or
            another process is at work in it.
        EcnasError: any error of a run.
    """
    for method in grid.methods:
        method_class(method)
    check_jobs(jobs)
    # First, so that each table is loaded or predicted once, and errors come before any file.
    checksums = {table: _checksum(table, grid) for table in grid.tables}
    tasks = [_Search(unit, grid, out) for unit in grid.units()]
    return make_missing(
        _Search.do,
        tasks,
        out,
        rules=grid.rules(),
        checksums=checksums,
        jobs=jobs,
        cluster=cluster,
        on_progress=on_progress,
    )


def make_missing(
    do: Callable[[_Task], None],
    tasks: Sequence[_Task],
    out: Path,
    *,
    rules: dict[str, Any],
    checksums: Mapping[str, str],
    jobs: int = 1,
    cluster: str | None = None,
    on_progress: Progress | None = None,
) -> list[Unit]:
    """Make the runs that are not there yet, or are damaged or of another version of the table.

    Args:
        do: makes the run of one task and writes its file; other processes must find it by name.
        tasks: one object for each unit, with the unit as its `unit`; they must be picklable.
        out: folder of the comparison.
        rules: the settings that must be equal for runs to be comparable.
        checksums: checksum of each table by its name.
        jobs, cluster, on_progress: see `compare`.

    Returns:
        The units of all tasks.

    Raises:
        ConfigError: the folder is another comparison's, or another process is at work in it.
        Exception: any error of a run.
    """
    prepare(out, rules)
    with only_one(out):
        units = [task.unit for task in tasks]
        _remove_unfinished(units, out)
        todo = [task for task in tasks if not _is_there(task.unit, out, checksums)]
        total, done = len(tasks), len(tasks) - len(todo)
        if on_progress:
            on_progress(done, total, "")

        def ended(task: _Task) -> None:
            nonlocal done
            done += 1
            if on_progress:
                on_progress(done, total, str(task.unit))

        execute(do, todo, jobs=jobs, cluster=cluster, folder=out / "jobs", on_done=ended)
    return units


def _remove_unfinished(units: list[Unit], out: Path) -> None:
    """Remove the temporary files of runs that were killed while they were written."""
    for folder in {(out / unit.file).parent for unit in units}:
        for temporary in folder.glob(".*.json.*"):
            with suppress(OSError):  # its own process may have removed it meanwhile
                temporary.unlink()


def _is_there(unit: Unit, out: Path, checksums: Mapping[str, str]) -> bool:
    try:
        return Run.read(out / unit.file).checksum == checksums[unit.table]
    except FormatError:
        return False


def prepare(out: Path, rules: dict[str, Any]) -> None:
    """Make the folder of a comparison, or check that it is one under the same rules.

    Raises:
        ConfigError: the folder holds something else, or a comparison under other rules.
        StorageError: it cannot be written.
    """
    path = out / RULES
    there = _rules(path)
    if there is None:
        if exists(out) and (not is_folder(out) or any(out.iterdir())):
            raise ConfigError("the folder holds something else", value=str(out))
        with atomic_write(path) as file:
            file.write((to_json(rules, indent=2) + "\n").encode("utf-8"))
        return
    for name in rules:
        if there.get(name) != rules[name]:
            raise ConfigError(
                f"the folder holds a comparison with another {name}, {there.get(name)!r}",
                value=rules[name],
                remedy="choose another --out, or the same rules",
            )


def _rules(path: Path) -> dict[str, Any] | None:
    """The rules in a file, None if there is no such file."""
    try:
        there = from_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise storage_error(error, path) from error
    except ValueError as error:
        raise FormatError("the rules of the comparison are damaged", path=path) from error
    if not isinstance(there, dict):
        raise FormatError("the rules of the comparison must be a JSON object", path=path)
    return there


@dataclass(frozen=True)
class _Search:
    """The search of one unit of a grid."""

    unit: Unit
    grid: Grid
    out: Path

    def do(self) -> None:
        """Search, and write the run."""
        from naslib_ecnas.search import run

        grid, unit = self.grid, self.unit
        bench = _table(unit.table, grid)
        result = run(
            bench,
            method_class(unit.method),
            objectives=grid.objectives,
            epochs=grid.epochs,
            evaluations=grid.evaluations,
            seed=unit.seed,
        )
        Run.of(result, table=unit.table, method=unit.method).write(self.out / unit.file)


def _checksum(table: str, grid: Grid) -> str:
    """Checksum of a table, after a check that it has the objectives at the budget."""
    bench = _table(table, grid)
    for objective in grid.objectives:
        bench.values(objective, grid.epochs)
    return bench.table.checksum


def _table(name: str, grid: Grid) -> Benchmark:
    return _loaded(name, tuple(sorted(grid.rules()["setting"].items())))


@lru_cache(maxsize=8)
def _loaded(name: str, setting: tuple[tuple[str, Any], ...]) -> Benchmark:
    from naslib_ecnas.loading import load

    return load(name, **dict(setting))

"""Run a grid: what is missing is made, what is there is kept, and all goes into one table."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.comparison.execute import check_jobs, execute, only_one
from naslib_ecnas.errors import ConfigError, FormatError, MissingDependencyError
from naslib_ecnas.files import atomic_write, exists, from_json, is_folder, storage_error, to_json
from naslib_ecnas.metrics import OBJECTIVES, metric
from naslib_ecnas.search.base import Optimiser
from naslib_ecnas.search.methods import METHODS
from naslib_ecnas.search.result import SearchResult

if TYPE_CHECKING:
    from naslib_ecnas.benchmark import Benchmark

__all__ = [
    "ADAPTED",
    "FORMAT",
    "RULES",
    "Grid",
    "Run",
    "SearchUnit",
    "Unit",
    "clear",
    "compare",
    "method_class",
    "missing",
    "names",
    "prepare",
    "seeds_of",
]


# What is compared: methods x tables x seeds, each combination one unit of work.


_NAME = re.compile(r"[^A-Za-z0-9._+-]+")


@dataclass(frozen=True, order=True)
class Unit:
    """One run of a comparison."""

    table: str
    method: str
    seed: int

    @property
    def file(self) -> Path:
        """Where its run is kept, below the folder of the comparison."""
        return Path("runs") / _plain(self.table) / _plain(self.method) / f"seed-{self.seed}.json"

    def __str__(self) -> str:
        return f"{self.method} on {self.table}, seed {self.seed}"


def _plain(name: str) -> str:
    """A name as one that every file system takes."""
    return _NAME.sub("-", name).strip(".-") or "-"


@dataclass(frozen=True)
class Grid:
    """A comparison: what runs, and the rules that are the same for all.

    Raises:
        ConfigError: nothing to run, a name twice, or a number out of range.
        UnknownMetricError: an objective is no metric.
    """

    methods: tuple[str, ...]
    tables: tuple[str, ...]
    seeds: tuple[int, ...]
    evaluations: int
    objectives: tuple[str, ...] = OBJECTIVES
    epochs: int | None = None
    """Training budget that counts; the largest of each table where None."""
    setting: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments of `load`, such as the device of modelled tables."""

    def __post_init__(self) -> None:
        for what in ("methods", "tables", "seeds", "objectives"):
            chosen = getattr(self, what)
            if not chosen or len(set(chosen)) < len(chosen):
                raise ConfigError(
                    f"a comparison needs {what}, each once",
                    value=list(chosen),
                    expected="one or more different ones",
                )
        for name in self.objectives:
            metric(name)
        if len(self.objectives) < 2:
            raise ConfigError(
                "a comparison needs objectives",
                value=list(self.objectives),
                expected="two or more different metrics",
            )
        for what, numbers in (("evaluations", (self.evaluations,)), ("seeds", self.seeds)):
            least = 1 if what == "evaluations" else 0
            if any(type(number) is not int or number < least for number in numbers):
                raise ConfigError(
                    f"no possible {what}",
                    value=list(numbers),
                    expected=f"whole numbers of at least {least}",
                )
        files = [unit.file for unit in self.units()]
        if len(set(files)) < len(files):
            raise ConfigError(
                "two methods or tables would have one file",
                value=[*self.methods, *self.tables],
                expected="names that differ in letters and digits",
            )

    def units(self) -> list[Unit]:
        """All units, in the order in which they are started."""
        return [
            Unit(table, method, seed)
            for table, seed, method in product(self.tables, self.seeds, self.methods)
        ]

    def rules(self) -> dict[str, Any]:
        """What has to be equal for runs to be comparable."""
        whole = asdict(self)
        return {
            **{name: whole[name] for name in ("evaluations", "epochs")},
            "objectives": list(self.objectives),
            "setting": {k: v for k, v in self.setting.items() if v is not None},
        }


def seeds_of(chosen: int | Sequence[int]) -> tuple[int, ...]:
    """Seeds 0 to n - 1 for a number n, or those that are given."""
    return tuple(range(chosen)) if isinstance(chosen, int) else tuple(chosen)


# A run as a file: which cells were evaluated, in order and at which budgets.
#
# Everything else follows from the table, which the file names by its checksum. JSON, written
# whole or not at all, so that a run which is there is a run that ended.


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


# Every method that can be compared, those on other libraries included, by its name.


_HERE = "naslib_ecnas.adapters"

#: Methods of other libraries: name -> (module, class, what to install). A new one is a line here.
ADAPTED: dict[str, tuple[str, str, str]] = {
    "nsga2": (f"{_HERE}.pymoo_host", "PymooNsga2", "pymoo"),
    "sms-emoa": (f"{_HERE}.pymoo_host", "SmsEmoa", "pymoo"),
    "motpe": (f"{_HERE}.optuna_host", "Motpe", "optuna"),
    "optuna-nsga2": (f"{_HERE}.optuna_host", "OptunaNsga2", "optuna"),
    "nsga3": (f"{_HERE}.optuna_host", "OptunaNsga3", "optuna"),
    "qnehvi": (f"{_HERE}.botorch_qnehvi", "Qnehvi", "botorch"),
}


def names() -> tuple[str, ...]:
    """All names, our own methods first."""
    return (*METHODS, *ADAPTED)


def method_class(name: str) -> type[Optimiser]:
    """The class of a method.

    Raises:
        ConfigError: there is none of this name.
        MissingDependencyError: its library is not installed.
    """
    if isinstance(name, str) and name in METHODS:
        return METHODS[name]
    if not isinstance(name, str) or name not in ADAPTED:
        raise ConfigError(
            "no such search method",
            value=name,
            expected="one of " + ", ".join(names()),
            remedy="choose one of these",
        )
    module, kind, package = ADAPTED[name]
    try:
        found: type[Optimiser] = getattr(import_module(module), kind)
    except ImportError as error:
        extra = "botorch" if package == "botorch" else "search"
        raise MissingDependencyError(package, feature=f"the method {name}", extra=extra) from error
    return found


#: File of a comparison's folder that says by which rules its runs were made.
RULES = "comparison.json"

Progress = Callable[[int, int, str], None]


def compare(
    grid: Grid,
    out: Path,
    *,
    jobs: int = 1,
    cluster: str | None = None,
    on_progress: Progress | None = None,
) -> list[Unit]:
    """Make the runs of a grid that are not there yet.

    A run is a file that is written when it ended, so a comparison that was stopped at any moment
    goes on where it was, and ends in the same files as one that was not.

    Args:
        grid: what to run.
        out: folder of the comparison; a new one, or that of a comparison by the same rules, whose
            runs are kept.
        jobs: how many at a time.
        cluster: `"slurm"`, `"local"`, or None for processes of this machine.
        on_progress: called with runs done, runs in all, and what was done last.

    Returns:
        all units of the grid.

    Raises:
        ConfigError: a method or setting is not possible, the folder is another comparison's, or
            somebody is at work in it.
        EcnasError: whatever a run raises.
    """
    for method in grid.methods:
        method_class(method)
    check_jobs(jobs)
    # First, so that a table is brought, converted or predicted once, and what is not possible is
    # said before anything is written.
    checksums = {table: _checksum(table, grid) for table in grid.tables}
    prepare(out, grid.rules())
    units = grid.units()
    with only_one(out):
        clear(units, out)
        todo = missing(units, out, checksums)
        total, done = len(units), len(units) - len(todo)
        if on_progress:
            on_progress(done, total, "")

        def ended(work: SearchUnit) -> None:
            nonlocal done
            done += 1
            if on_progress:
                on_progress(done, total, str(work.unit))

        execute(
            SearchUnit.do,
            [SearchUnit(unit, grid, out) for unit in todo],
            jobs=jobs,
            cluster=cluster,
            folder=out / "jobs",
            on_done=ended,
        )
    return units


def clear(units: list[Unit], out: Path) -> None:
    """Remove the halves of runs that killed processes left."""
    for folder in {(out / unit.file).parent for unit in units}:
        for half in folder.glob(".*.json.*"):
            with suppress(OSError):  # its own process may have removed it meanwhile
                half.unlink()


def prepare(out: Path, rules: dict[str, Any]) -> None:
    """Make the folder of a comparison, or see that it is one by the same rules.

    Raises:
        ConfigError: it is the folder of something else.
        StorageError: it cannot be written.
    """
    path = out / RULES
    there = _rules(path)
    if there is None:
        if exists(out) and (not is_folder(out) or any(out.iterdir())):
            raise ConfigError(
                "the folder holds something else",
                value=str(out),
                expected="a new folder, or that of a comparison",
                remedy="choose another --out",
            )
        with atomic_write(path) as file:
            file.write((to_json(rules, indent=2) + "\n").encode("utf-8"))
        return
    differ = [name for name in rules if there.get(name) != rules[name]]
    if differ:
        name = differ[0]
        raise ConfigError(
            f"the folder holds a comparison with other {name}",
            value=rules[name],
            expected=there.get(name),
            remedy="choose another --out, or the same rules",
        )


def _rules(path: Path) -> dict[str, Any] | None:
    """The rules in a folder, if there are any."""
    try:
        there = from_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise storage_error(error, path) from error
    except ValueError as error:
        raise FormatError("is damaged", path=path, remedy="choose another --out") from error
    if not isinstance(there, dict):
        raise FormatError("holds no rules", path=path, remedy="choose another --out")
    return there


def missing(units: list[Unit], out: Path, checksums: dict[str, str]) -> list[Unit]:
    """The units whose runs are not there, or are damaged or of another state of the table."""
    todo = []
    for unit in units:
        try:
            there = (out / unit.file).is_file() and Run.read(out / unit.file)
        except FormatError:
            there = False
        if not there or there.checksum != checksums[unit.table]:
            todo.append(unit)
    return todo


@dataclass(frozen=True)
class SearchUnit:
    """A run of a search method of ours, as another process gets to know it."""

    unit: Unit
    grid: Grid
    out: Path

    def do(self) -> None:
        """Search, and write the run."""
        from naslib_ecnas.search import run

        grid, unit = self.grid, self.unit
        bench = _table(unit.table, _frozen(grid))
        result = run(
            bench,
            method_class(unit.method),
            objectives=grid.objectives,
            epochs=grid.epochs,
            evaluations=grid.evaluations,
            seed=unit.seed,
        )
        Run.of(result, table=unit.table, method=unit.method).write(self.out / unit.file)


def _frozen(grid: Grid) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted((k, v) for k, v in grid.setting.items() if v is not None))


def _checksum(name: str, grid: Grid) -> str:
    """That of a table, once it was seen to hold the objectives at the budget that counts."""
    bench = _table(name, _frozen(grid))
    for objective in grid.objectives:
        bench.values(objective, grid.epochs)
    return bench.table.checksum


@lru_cache(maxsize=8)
def _table(name: str, setting: tuple[tuple[str, Any], ...]) -> Benchmark:
    from naslib_ecnas.loading import load

    return load(name, **dict(setting))

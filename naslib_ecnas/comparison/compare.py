"""Run a grid: what is missing is made, what is there is kept, and all goes into one table."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from naslib_ecnas.comparison.execute import check_jobs, execute, only_one
from naslib_ecnas.comparison.grid import Grid, Unit
from naslib_ecnas.comparison.methods import method_class
from naslib_ecnas.comparison.run_file import Run
from naslib_ecnas.errors import ConfigError, FormatError
from naslib_ecnas.json_text import from_json, to_json
from naslib_ecnas.storage import atomic_write, exists, is_folder, storage_error

if TYPE_CHECKING:
    from naslib_ecnas.benchmark import Benchmark

__all__ = ["RULES", "SearchUnit", "clear", "compare", "missing", "prepare"]

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

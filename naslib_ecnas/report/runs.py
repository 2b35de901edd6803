"""Finished searches, read for a page from the folders of `ecnas search` and `ecnas compare`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.comparison.compare import RULES
from naslib_ecnas.comparison.compare import Run as ComparedRun
from naslib_ecnas.errors import ConfigError, FormatError
from naslib_ecnas.files import from_json, is_file, is_folder
from naslib_ecnas.search.accounting import result_of

if TYPE_CHECKING:
    from naslib_ecnas.benchmark import Benchmark
    from naslib_ecnas.search.result import SearchResult

__all__ = ["Run", "compared_runs", "find_runs", "read_run"]


@dataclass(frozen=True, eq=False)
class Run:
    """One finished search. The values of its cells are not stored, since the table holds them."""

    label: str
    """Path of its folder, from the folder that was asked for on."""
    method: str
    paper: bool
    table: str
    checksum: str
    """SHA-256 of the content of the table that was searched."""
    objectives: tuple[str, ...]
    epochs: int
    evaluations: int
    seed: int
    rows: NDArray[np.int32]
    """(n,) row of each evaluation, in order."""
    front_rows: NDArray[np.int32]
    """(k,) rows of the front found, sorted from the best to the worst in the first objective."""
    knee_row: int
    extreme_rows: Mapping[str, int]
    """Row of the best cell in each objective."""
    hypervolume: float
    """Share of the true front's hypervolume, 0 to 1; NaN if unknown."""
    anytime_counts: NDArray[np.int64]
    """(c,) numbers of evaluations."""
    anytime_hypervolume: NDArray[np.float64]
    """(c,) hypervolume after so many evaluations; NaN if unknown."""
    spent: Mapping[str, float]
    """Field of `Spent` -> cost of the trainings; NaN if unknown."""


def find_runs(folders: Sequence[str | PathLike[str]]) -> tuple[Run, ...]:
    """All runs in some folders, those of comparisons included; each run once.

    Args:
        folders: folders that are a run or contain runs at any depth.

    Raises:
        ConfigError: a folder does not exist or contains no run.
        FormatError: a file of a run is missing or damaged.
    """
    labels: dict[Path, str] = {}
    compared: dict[tuple[Path, str, str], Run] = {}
    for name in folders:
        top = Path(name)
        inside = sorted(p.parent for p in top.rglob("config.json")) if is_folder(top) else []
        inside = [folder for folder in inside if is_file(folder / "front.json")]
        # `rglob` finds the folder itself, too.
        comparisons = sorted(p.parent for p in top.rglob(RULES)) if is_folder(top) else []
        for folder in comparisons:
            # A sweep of NASLib's runners leaves its runs in folders as well: the same runs twice.
            inside = [one for one in inside if folder not in one.parents]
            for label, result in compared_runs(folder):
                if len(result.front):  # empty if it ended before an evaluation at its own budget
                    key = folder.resolve(), result.config.table, label
                    compared[key] = _run_of_result(label, result)
        if not inside and not comparisons:
            message = "runs must be folders that `ecnas search --out` or `ecnas compare` wrote"
            raise ConfigError(message, value=str(top))
        for folder in inside:
            label = "/".join((top.resolve().name, *folder.relative_to(top).parts))
            labels.setdefault(folder.resolve(), label)
    runs = [read_run(folder, label=label) for folder, label in labels.items()]
    return (*runs, *compared.values())


def _run_of_result(label: str, result: SearchResult) -> Run:
    config = result.config
    return Run(
        label=label,
        method=config.method,
        paper=config.paper,
        table=config.table,
        checksum=config.checksum,
        objectives=config.objectives,
        epochs=config.epochs,
        evaluations=config.evaluations,
        seed=config.seed,
        rows=result.rows,
        front_rows=result.front_rows,
        knee_row=int(result.rows[result.knee]),
        extreme_rows={
            name: int(result.rows[index])
            for name, index in zip(config.objectives, result.extremes, strict=True)
        },
        hypervolume=result.hypervolume,
        anytime_counts=result.anytime_counts,
        anytime_hypervolume=result.anytime_hypervolume,
        spent=result.spent.to_dict(),
    )


def read_run(folder: Path, *, label: str | None = None) -> Run:
    """Read the run of a folder that `ecnas search --out` wrote.

    Raises:
        FormatError: a file of the run is missing or damaged.
    """
    path = folder
    try:
        config, whole, spent = (
            _json(path := folder / name) for name in ("config.json", "front.json", "spent.json")
        )
        history = _rows(path := folder / "history.jsonl")
        path = folder / "config.json"
        settings: dict[str, Any] = {
            "method": str(config["method"]),
            "paper": bool(config["paper"]),
            "table": str(config["table"]),
            "checksum": str(config["checksum"]),
            "objectives": tuple(str(name) for name in config["objectives"]),
            "epochs": int(config["epochs"]),
            "evaluations": int(config["evaluations"]),
            "seed": int(config["seed"]),
        }
        path = folder / "spent.json"
        costs = {str(name): _number(value) for name, value in spent.items()}
        path = folder / "front.json"
        anytime = whole["anytime"]
        run = Run(
            label=folder.name if label is None else label,
            rows=history,
            front_rows=_int32([point["row"] for point in whole["front"]]),
            knee_row=int(whole["knee"]["row"]),
            extreme_rows={str(n): int(point["row"]) for n, point in whole["extremes"].items()},
            hypervolume=_number(whole["hypervolume"]),
            anytime_counts=np.array(anytime["evaluations"], dtype=np.int64),
            anytime_hypervolume=np.array([_number(v) for v in anytime["hypervolume"]]),
            spent=costs,
            **settings,
        )
        if run.anytime_counts.shape != run.anytime_hypervolume.shape or not len(run.front_rows):
            raise ValueError("the curve or the front is incomplete")
    except OSError as error:
        remedy = "run the search again with --out"
        message = f"the file of a run cannot be read: {error.strerror}"
        raise FormatError(message, path=path, remedy=remedy) from error
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        remedy = "run the search again with --out"
        message = f"not a file that `ecnas search --out` writes: {error}"
        raise FormatError(message, path=path, remedy=remedy) from error
    return run


def _json(path: Path) -> Any:
    return from_json(path.read_text(encoding="utf-8"))


def _rows(path: Path) -> NDArray[np.int32]:
    with path.open(encoding="utf-8") as file:
        return _int32([from_json(line)["row"] for line in file if line.strip()])


def _int32(rows: list[Any]) -> NDArray[np.int32]:
    found = np.array(rows, dtype=np.int64)
    # Checked, since numpy before version 2 wraps larger numbers silently.
    if (found != found.astype(np.int32)).any():
        raise ValueError("a row is larger than any space")
    return found.astype(np.int32)


def _number(value: Any) -> float:
    """A number of a JSON file; null, which means unknown, becomes NaN."""
    return float("nan") if value is None else float(value)


def compared_runs(folder: Path) -> Iterator[tuple[str, SearchResult]]:
    """Every run of a comparison (or of `ecnas naslib sweep`) with its label.

    Raises:
        FormatError: a file of the comparison is damaged.
        ConfigError: the content of a table has changed since a run.
        EcnasError: a table cannot be loaded.
    """
    try:
        setting = from_json((folder / RULES).read_bytes()).get("setting", {})
    except (OSError, ValueError, AttributeError) as error:
        raise FormatError("the rules of the comparison are damaged", path=folder / RULES) from error
    for path in sorted((folder / "runs").rglob("seed-*.json")):
        run = ComparedRun.read(path)
        bench = _bench(run.table, tuple(sorted(setting.items())))
        if run.checksum != bench.table.checksum:
            raise ConfigError(
                f"table {run.table} has changed since the run {path}",
                remedy="run the comparison again: it repeats such runs",
            )
        yield (
            f"{run.method}, seed {run.seed}",
            result_of(
                bench,
                rows=run.rows,
                epochs=run.epochs,
                objectives=run.objectives,
                method=run.method,
                seed=run.seed,
                budget=run.budget,
            ),
        )


@lru_cache(maxsize=4)
def _bench(name: str, setting: tuple[tuple[str, Any], ...]) -> Benchmark:
    from naslib_ecnas.loading import load

    return load(name, **dict(setting))

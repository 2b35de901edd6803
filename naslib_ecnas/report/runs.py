"""Runs that `ecnas search --out` left in folders, read back for a page."""

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
from naslib_ecnas.comparison.compare import Run as Kept
from naslib_ecnas.errors import ConfigError, FormatError
from naslib_ecnas.files import from_json, is_file, is_folder
from naslib_ecnas.search.accounting import result_of

if TYPE_CHECKING:
    from naslib_ecnas.benchmark import Benchmark
    from naslib_ecnas.search.result import SearchResult

__all__ = ["Run", "compared_runs", "comparisons", "find_runs", "read_run"]


# Runs of `ecnas compare` and `ecnas naslib sweep`, for a page.


def comparisons(top: Path) -> list[Path]:
    """The folders of comparisons in a folder, itself included."""
    return sorted(path.parent for path in top.rglob(RULES))


def compared_runs(folder: Path) -> Iterator[tuple[str, SearchResult]]:
    """Every run of a comparison, named by method, table and seed.

    Raises:
        FormatError: a file of it is damaged.
        ConfigError: a run is of another state of its table.
        EcnasError: a table cannot be had.
    """
    try:
        setting = from_json((folder / RULES).read_bytes()).get("setting", {})
    except (OSError, ValueError, AttributeError) as error:
        raise FormatError("is damaged", path=folder / RULES) from error
    for path in sorted((folder / "runs").rglob("seed-*.json")):
        kept = Kept.read(path)
        bench = _bench(kept.table, tuple(sorted(setting.items())))
        if kept.checksum != bench.table.checksum:
            raise ConfigError(
                "a run was made on another state of its table",
                value=str(path),
                expected="runs and table with one checksum",
                remedy="run the comparison again: such runs are made anew",
            )
        yield (
            f"{kept.method}, seed {kept.seed}",
            result_of(
                bench,
                rows=kept.rows,
                epochs=kept.epochs,
                objectives=kept.objectives,
                method=kept.method,
                seed=kept.seed,
                budget=kept.budget,
            ),
        )


@lru_cache(maxsize=4)
def _bench(name: str, setting: tuple[tuple[str, Any], ...]) -> Benchmark:
    from naslib_ecnas.loading import load

    return load(name, **dict(setting))


_NEEDED = ("config.json", "front.json", "history.jsonl", "spent.json")


@dataclass(frozen=True, eq=False)
class Run:
    """One search as its folder has it. Values are not kept: the table holds them."""

    label: str
    """The folder, from the one that was asked for on."""
    method: str
    paper: bool
    table: str
    checksum: str
    """SHA-256 that names the content of the table that was searched."""
    objectives: tuple[str, ...]
    epochs: int
    evaluations: int
    seed: int
    rows: NDArray[np.int32]
    """(n,) row of each evaluation, in their order."""
    front_rows: NDArray[np.int32]
    """(k,) rows on the front that was found, from the best in the first objective on."""
    knee_row: int
    extreme_rows: Mapping[str, int]
    """Row of the best cell in each objective."""
    hypervolume: float
    """Share of the true front's, 0 to 1; NaN where the run does not say."""
    anytime_counts: NDArray[np.int64]
    """(c,) numbers of evaluations."""
    anytime_hypervolume: NDArray[np.float64]
    """(c,) hypervolume after so many evaluations; NaN where the run does not say."""
    spent: Mapping[str, float]
    """What the trainings would have cost, by the names of `Spent`; NaN where not known."""


def find_runs(folders: Sequence[str | PathLike[str]]) -> tuple[Run, ...]:
    """All runs in some folders, each of which is a run or holds runs at any depth.

    Args:
        folders: as typed; a run that is met twice is read once. The runs of a comparison are
            there, too.

    Raises:
        ConfigError: a folder is not there, or holds no run.
        FormatError: a run's file is missing, damaged or no run's.
    """
    found: dict[Path, str] = {}
    more: dict[tuple[Path, str, str], Run] = {}
    for name in folders:
        top = Path(name)
        inside = sorted(p.parent for p in top.rglob("config.json")) if is_folder(top) else []
        inside = [folder for folder in inside if is_file(folder / "front.json")]
        compared = comparisons(top) if is_folder(top) else []
        for folder in compared:
            # What NASLib's runners wrote beside their own files is of the same runs.
            inside = [one for one in inside if folder not in one.parents]
            for label, result in compared_runs(folder):
                if not len(result.front):
                    continue  # it ended before its first evaluation at its own budget
                more[folder.resolve(), result.config.table, label] = _of_result(label, result)
        if not inside and not compared:
            raise ConfigError(
                "no run in this folder" if is_folder(top) else "no such folder",
                value=str(top),
                expected="a folder that `ecnas search --out` or `ecnas compare` wrote",
                remedy="make a run: ecnas search --out DIR",
            )
        for folder in inside:
            inner = folder.relative_to(top).parts
            label = "/".join((top.resolve().name, *inner))
            found.setdefault(folder.resolve(), label)
    runs = [read_run(folder, label=label) for folder, label in found.items()]
    return (*runs, *more.values())


def _of_result(label: str, result: SearchResult) -> Run:
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
    """One run.

    Raises:
        FormatError: a file is missing, damaged or no run's.
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
            raise ValueError("the curve or the front is not whole")
    except OSError as error:
        raise FormatError(
            "a file of the run cannot be read",
            path=path,
            value=error.strerror,
            expected=", ".join(_NEEDED),
            remedy="run the search again with --out",
        ) from error
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise FormatError(
            "not a file of a run",
            path=path,
            value=str(error),
            expected="what `ecnas search --out` writes",
            remedy="run the search again with --out",
        ) from error
    return run


def _json(path: Path) -> Any:
    return from_json(path.read_text(encoding="utf-8"))


def _rows(path: Path) -> NDArray[np.int32]:
    with path.open(encoding="utf-8") as file:
        return _int32([from_json(line)["row"] for line in file if line.strip()])


def _int32(rows: list[Any]) -> NDArray[np.int32]:
    """Rows of a file; numpy before 2 wraps what is too large in silence."""
    found = np.array(rows, dtype=np.int64)
    if (found != found.astype(np.int32)).any():
        raise ValueError("a row beyond any space")
    return found.astype(np.int32)


def _number(value: Any) -> float:
    """A number of a file in which null stands for what is not known."""
    return float("nan") if value is None else float(value)

"""Finished searches, read for a page from the folders of `ecnas search` and `ecnas compare`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from msgspec import Meta, Struct, convert, json
from numpy.typing import NDArray

from naslib_ecnas.comparison.experiment import RULES, rules_of
from naslib_ecnas.comparison.results import Line, gather, summarise
from naslib_ecnas.comparison.runs import Run as ComparedRun
from naslib_ecnas.comparison.runs import Unit, opened
from naslib_ecnas.errors import ConfigError, FormatError
from naslib_ecnas.files import is_file, is_folder, read_bytes, to_plain
from naslib_ecnas.search.output import document

if TYPE_CHECKING:
    from naslib_ecnas.search.result import SearchResult


@dataclass(frozen=True)
class _Config:
    """What a page needs of `config.json`."""

    method: str
    paper: bool
    table: str
    checksum: str
    """SHA-256 of the content of the table that was searched."""
    table_version: str | None = field(default=None, kw_only=True)
    """Its version, if it was a modelled one."""
    noise: bool = field(default=False, kw_only=True)
    """Whether the method saw single noisy trainings."""
    objectives: tuple[str, ...]
    epochs: int
    evaluations: int
    seed: int


@dataclass(frozen=True, eq=False)
class Run(_Config):
    """One finished search. The values of its cells are not stored, since the table holds them."""

    label: str
    """Path of its folder, from the folder that was asked for on."""
    group: str
    """Equal for runs that differ in the seed only, as far as the settings above do not tell."""
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


@dataclass(frozen=True)
class Finding:
    """What a comparison shows of one table."""

    label: str
    """Name of its folder."""
    lines: tuple[Line, ...]
    """The best method first."""
    notes: tuple[str, ...]
    """What follows from its tests, on all of its tables, and what does not."""


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
        # `rglob` finds the folder itself, too.
        inside, comparisons = (
            sorted(path.parent for path in top.rglob(file)) if is_folder(top) else []
            for file in ("config.json", RULES)
        )
        inside = [folder for folder in inside if is_file(folder / "front.json")]
        for folder in comparisons:
            # A sweep of NASLib's runners leaves its runs in folders as well: the same runs twice.
            inside = [one for one in inside if folder not in one.parents]
            for label, result in compared_runs(folder):
                if len(result.front):  # empty if it ended before an evaluation at its own budget
                    key = folder.resolve(), result.config.table, label
                    compared[key] = replace(_run_of_result(label, result), group=str(folder))
        if not inside and not comparisons:
            message = "runs must be folders that `ecnas search --out` or `ecnas compare` wrote"
            raise ConfigError(message, value=str(top))
        for folder in inside:
            label = "/".join((top.resolve().name, *folder.relative_to(top).parts))
            labels.setdefault(folder.resolve(), label)
    runs = [read_run(folder, label=label) for folder, label in labels.items()]
    return (*runs, *compared.values())


_Count = Annotated[int, Meta(ge=0, lt=1 << 31)]


class _Place(Struct):
    """A cell on a front, or a line of the history."""

    row: _Count


class _Anytime(Struct):
    evaluations: list[_Count]
    hypervolume: list[float | None]


class _Scale(Struct):
    kind: str = "worst"


class _Front(Struct):
    """What a page needs of `front.json`."""

    front: Annotated[list[_Place], Meta(min_length=1)]
    knee: _Place
    extremes: dict[str, _Place]
    hypervolume: float | None
    anytime: _Anytime
    scale: _Scale


_Spent = dict[str, float | None]


def read_run(folder: Path, *, label: str | None = None) -> Run:
    """Read the run of a folder that `ecnas search --out` wrote.

    Raises:
        FormatError: a file of the run is missing or damaged.
    """
    config = _decoded(folder / "config.json", json.Decoder(_Config).decode)
    found = _decoded(folder / "front.json", json.Decoder(_Front).decode)
    spent = _decoded(folder / "spent.json", json.Decoder(_Spent).decode)
    history = _decoded(folder / "history.jsonl", json.Decoder(_Place).decode_lines)
    if len(found.anytime.evaluations) != len(found.anytime.hypervolume):
        raise _damaged(folder / "front.json", "the curve is incomplete")
    return _run(folder.name if label is None else label, config, found, spent, _rows(history))


def _run_of_result(label: str, result: SearchResult) -> Run:
    whole = to_plain(document(result))
    config, found = convert(whole["config"], _Config), convert(whole, _Front)
    return _run(label, config, found, whole["spent"], result.rows)


def _run(label: str, config: _Config, found: _Front, spent: _Spent, rows: NDArray[np.int32]) -> Run:
    curve = np.array(found.anytime.hypervolume, dtype=np.float64)
    final = _number(found.hypervolume)
    if found.scale.kind != "nadir":  # an older file, whose shares mean something else
        curve, final = np.full(len(curve), np.nan), np.nan
    return Run(
        **vars(config),
        label=label,
        group=str(config.evaluations),
        rows=rows,
        front_rows=_rows(found.front),
        knee_row=found.knee.row,
        extreme_rows={name: place.row for name, place in found.extremes.items()},
        hypervolume=final,
        anytime_counts=np.array(found.anytime.evaluations, dtype=np.int64),
        anytime_hypervolume=curve,
        spent={name: _number(value) for name, value in spent.items()},
    )


def _decoded(path: Path, decode: Callable[[bytes], Any]) -> Any:
    try:
        return decode(read_bytes(path, most=1 << 28))
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(path, getattr(error, "strerror", None) or error) from error


def _damaged(path: Path, reason: object) -> FormatError:
    message = f"not a file that `ecnas search --out` writes: {reason}"
    return FormatError(message, path=path, remedy="run the search again with --out")


def _rows(places: Sequence[_Place]) -> NDArray[np.int32]:
    return np.array([place.row for place in places], dtype=np.int32)


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def compared_runs(folder: Path) -> Iterator[tuple[str, SearchResult]]:
    """Every run of a comparison (or of `ecnas naslib sweep`) with its label, but those in worlds.

    Raises:
        FormatError: a file of the comparison is damaged.
        ProvenanceError: a run searched another version of its table.
        EcnasError: a table cannot be loaded.
    """
    setting = setting_of(folder)
    for path in sorted((folder / "runs").rglob("seed-*.json")):
        run = ComparedRun.read(path)
        if run.world is not None:  # each is another table
            continue
        yield f"{run.method}, seed {run.seed}", run.result(opened(run.table, setting))


def setting_of(folder: Path) -> dict[str, Any]:
    """Arguments of `load` that a comparison was made with; FormatError if its rules are damaged."""
    setting = rules_of(folder).get("setting", {})
    if not isinstance(setting, dict):
        raise FormatError("the rules of the comparison are damaged", path=folder / RULES)
    return setting


def find_findings(folders: Sequence[str | PathLike[str]], checksum: str) -> tuple[Finding, ...]:
    """What the comparisons in some folders show of the table with a checksum.

    Raises:
        FormatError: a file of a comparison is damaged.
        ProvenanceError: a run searched another version of its table.
    """
    found = []
    tops = [Path(name) for name in folders]
    inside = {path.parent.resolve(): path.parent for top in tops for path in top.rglob(RULES)}
    for folder in inside.values():
        runs = map(ComparedRun.read, sorted((folder / "runs").rglob("seed-*.json")))
        units = [Unit(run.table, run.method, run.seed) for run in runs if run.world is None]
        results = gather(folder, units, setting_of(folder))
        baseline = rules_of(folder).get("baseline")
        known = baseline if baseline in [unit.method for unit in units] else None
        summary = summarise(results, against=known)
        for table, lines in summary.by_table().items():
            if results.benchmarks[table].table.checksum == checksum:
                found.append(Finding(folder.resolve().name, tuple(lines), summary.notes))
    return tuple(found)

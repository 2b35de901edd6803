"""Finished searches, read for a page from the folders of `ecnas search` and `ecnas compare`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import nan
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from msgspec import Meta, Struct, json, structs

from naslib_ecnas.comparison.experiment import RULES, rules_of
from naslib_ecnas.comparison.results import Line, gather, summarise
from naslib_ecnas.comparison.runs import Run as ComparedRun
from naslib_ecnas.comparison.runs import opened, other_table, runs_in
from naslib_ecnas.errors import ConfigError, EcnasError, FormatError, ProvenanceError
from naslib_ecnas.files import is_file, is_folder, read_bytes, to_plain
from naslib_ecnas.search.result import check_objectives

if TYPE_CHECKING:
    from naslib_ecnas.benchmark import Benchmark
    from naslib_ecnas.search.result import SearchResult


@dataclass(frozen=True, eq=False, kw_only=True)
class Run(ComparedRun):
    """One search as it was recorded: what it evaluated. All else follows from the table."""

    label: str
    """Path of its folder, from the folder that was asked for on, or its method and seed."""
    group: str
    """Equal for runs that differ in the seed only, as far as the settings above do not tell."""
    paper: bool = False
    """Whether the method was in its paper setting."""
    recorded: tuple[tuple[Any, ...], float] | None = None
    """What its folder says: rows of the front, and the energy of all trainings in kWh, NaN if not
    known. None in a comparison, which records no more than evaluations."""

    def result(self, bench: Benchmark) -> SearchResult:
        """The run's values, costs and front, looked up in its table.

        Raises:
            ProvenanceError: the run searched another table, or what it recorded cannot be of this.
            FormatError: the front or the costs that it recorded are not those of its evaluations.
        """
        if self.checksum != bench.table.checksum:
            remedy = "name its table by --table, with the --device, --world, ... of the search"
            raise other_table(bench, f"the run {self.label}", self, remedy=remedy)
        try:
            found = super().result(bench)
        except EcnasError as error:
            message = f"the run {self.label} cannot be of the table {bench.name}: {error}"
            raise ProvenanceError(message) from error
        if self.recorded is not None:
            rows, energy = self.recorded
            true = found.spent.known["energy_kwh"]
            off = abs(energy - true) > 1e-6 * max(1, true)
            if off or rows != tuple(found.front_rows.tolist()):
                message = f"front and costs of the run {self.label} are not of its evaluations"
                raise FormatError(message, remedy="run the search again with --out")
        return found


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
    found: dict[tuple[Path, str], Run] = {}
    for name in folders:
        top = Path(name)
        # `rglob` finds the folder itself, too.
        inside, comparisons = (
            sorted(path.parent for path in top.rglob(file)) if is_folder(top) else []
            for file in ("config.json", RULES)
        )
        inside = [folder for folder in inside if is_file(folder / "front.json")]
        if not inside and not comparisons:
            message = "runs must be folders that `ecnas search --out` or `ecnas compare` wrote"
            raise ConfigError(message, value=str(top))
        for folder in comparisons:
            # A sweep of NASLib's runners leaves its runs in folders as well: the same runs twice.
            inside = [one for one in inside if folder not in one.parents]
            for run in compared_runs(folder):
                found[folder.resolve(), f"{run.label} of {run.table}"] = run
        for folder in inside:
            label = "/".join((top.resolve().name, *folder.relative_to(top).parts))
            if (folder.resolve(), "") not in found:
                found[folder.resolve(), ""] = read_run(folder, label=label)
    return tuple(found.values())


_Count = Annotated[int, Meta(ge=0, lt=1 << 31)]


class _Config(Struct):
    """What a page needs of `config.json`."""

    method: str
    paper: bool
    table: str
    checksum: str
    objectives: tuple[str, ...]
    epochs: _Count
    evaluations: _Count
    seed: Annotated[int, Meta(ge=0)]
    table_version: str | None = None
    noise: bool = False


class _Evaluation(Struct):
    """What a page needs of a line of `history.jsonl`."""

    row: _Count
    epochs: _Count


class _Front(Struct):
    """What is compared of `front.json`."""

    front: list[dict[str, Any]]


class _Spent(Struct):
    energy_kwh: Annotated[float, Meta(ge=0)] | None


def read_run(folder: Path, *, label: str | None = None) -> Run:
    """Read the run of a folder that `ecnas search --out` wrote.

    Raises:
        FormatError: a file of the run is missing or damaged.
    """
    path = folder / "config.json"
    config = _decoded(path, json.Decoder(_Config).decode)
    try:
        check_objectives(config.objectives)
    except EcnasError as error:  # perhaps of a package that is gone
        raise FormatError(f"objectives of the search: {error}", path=path) from error
    path = folder / "history.jsonl"
    history = _decoded(path, json.Decoder(_Evaluation).decode_lines)
    if len(history) != config.evaluations:
        reason = f"it has {len(history)} of {config.evaluations} evaluations"
        raise _damaged(path, reason)
    found = _decoded(folder / "front.json", json.Decoder(_Front).decode)
    spent = _decoded(folder / "spent.json", json.Decoder(_Spent).decode)
    energy = nan if spent.energy_kwh is None else spent.energy_kwh
    rows = tuple(place.get("row") for place in found.front)
    about = structs.asdict(config)
    return Run(
        label=to_plain(folder.name if label is None else label),
        group=str(about.pop("evaluations")),
        recorded=(rows, energy),
        budget=about.pop("epochs"),
        rows=np.array([line.row for line in history], dtype=np.int32),
        epochs=np.array([line.epochs for line in history], dtype=np.int64),
        **about,
    )


def _decoded(path: Path, decode: Callable[[bytes], Any]) -> Any:
    try:
        return decode(read_bytes(path, most=1 << 28))
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(path, getattr(error, "strerror", None) or error) from error


def _damaged(path: Path, reason: object) -> FormatError:
    message = f"not a file that `ecnas search --out` writes: {reason}"
    return FormatError(message, path=path, remedy="run the search again with --out")


def compared_runs(folder: Path) -> Iterator[Run]:
    """Every run of a comparison (or of `ecnas naslib sweep`) but those in worlds.

    Raises:
        FormatError: a file of the comparison is damaged.
        EcnasError: a table cannot be loaded.
    """
    setting = rules_of(folder).get("setting", {})
    for run in runs_in(folder):
        if run.world is None:  # each world is another table
            about = {**vars(run), "table": opened(run.table, setting).name}
            yield Run(**about, label=f"{run.method}, seed {run.seed}", group=to_plain(str(folder)))


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
        units = [run.unit for run in runs_in(folder) if run.world is None]
        results = gather(folder, units)
        baseline = rules_of(folder).get("baseline")
        known = baseline if baseline in [unit.method for unit in units] else None
        summary = summarise(results, against=known)
        for table, lines in summary.by_table().items():
            if results.benchmarks[table].table.checksum == checksum:
                found.append(Finding(to_plain(folder.resolve().name), tuple(lines), summary.notes))
    return tuple(found)

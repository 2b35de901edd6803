"""Finished searches, read for a page from the folders of `ecnas search` and `ecnas compare`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import nan
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from msgspec import Meta, Struct, json

from naslib_ecnas.comparison.experiment import RULES, rules_of
from naslib_ecnas.comparison.results import Line, gather, summarise
from naslib_ecnas.comparison.runs import Run as ComparedRun
from naslib_ecnas.comparison.runs import Unit, opened, other_table
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
    recorded: tuple[tuple[int, ...], float, float] | None = None
    """What its folder says: rows of the front, its hypervolume, and the energy of all trainings in
    kWh, NaN if not known. None in a comparison, which records no more than evaluations."""

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
            rows, *numbers = self.recorded
            true = found.hypervolume, found.spent.known["energy_kwh"]
            off = [abs(a - b) > 1e-6 * max(1, b) for a, b in zip(numbers, true, strict=True)]
            if rows != tuple(found.front_rows.tolist()) or any(off):
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
            for run in compared_runs(folder):
                compared[folder.resolve(), run.table, run.label] = run
        if not inside and not comparisons:
            message = "runs must be folders that `ecnas search --out` or `ecnas compare` wrote"
            raise ConfigError(message, value=str(top))
        for folder in inside:
            label = "/".join((top.resolve().name, *folder.relative_to(top).parts))
            labels.setdefault(folder.resolve(), label)
    runs = [read_run(folder, label=label) for folder, label in labels.items()]
    return (*runs, *compared.values())


_Count = Annotated[int, Meta(ge=0, lt=1 << 31)]
_Positive = Annotated[int, Meta(ge=1, lt=1 << 31)]


class _Config(Struct):
    """What a page needs of `config.json`."""

    method: str
    paper: bool
    table: str
    checksum: str
    objectives: tuple[str, ...]
    epochs: _Positive
    evaluations: _Positive
    seed: Annotated[int, Meta(ge=0)]
    table_version: str | None = None
    noise: bool = False


class _Evaluation(Struct):
    """What a page needs of a line of `history.jsonl`."""

    row: _Count
    epochs: _Positive


class _Place(Struct):
    row: _Count


class _Scale(Struct):
    kind: str = "worst"


class _Front(Struct):
    """What is compared of `front.json`."""

    front: list[_Place]
    scale: _Scale
    hypervolume: Annotated[float, Meta(ge=0, le=1.000001)] | None = None


class _Spent(Struct):
    energy_kwh: Annotated[float, Meta(ge=0)] | None


def read_run(folder: Path, *, label: str | None = None) -> Run:
    """Read the run of a folder that `ecnas search --out` wrote.

    Raises:
        FormatError: a file of the run is missing or damaged.
    """
    config = _decoded(folder / "config.json", json.Decoder(_Config).decode)
    try:
        check_objectives(config.objectives)
    except EcnasError as error:
        raise _damaged(folder / "config.json", error) from error
    path = folder / "history.jsonl"
    history = _decoded(path, json.Decoder(_Evaluation).decode_lines)
    if len(history) != config.evaluations:
        reason = f"it has {len(history)} of {config.evaluations} evaluations"
        raise _damaged(path, reason)
    found = _decoded(folder / "front.json", json.Decoder(_Front).decode)
    spent = _decoded(folder / "spent.json", json.Decoder(_Spent).decode)
    # Older files measured the hypervolume on another scale.
    share = found.hypervolume if found.scale.kind == "nadir" else None
    share, energy = (nan if number is None else number for number in (share, spent.energy_kwh))
    rows = tuple(place.row for place in found.front)
    return Run(
        label=to_plain(folder.name if label is None else label),
        group=str(config.evaluations),
        paper=config.paper,
        recorded=(rows, share, energy),
        table=config.table,
        checksum=config.checksum,
        table_version=config.table_version,
        method=config.method,
        seed=config.seed,
        objectives=config.objectives,
        budget=config.epochs,
        rows=np.array([line.row for line in history], dtype=np.int32),
        epochs=np.array([line.epochs for line in history], dtype=np.int64),
        noise=config.noise,
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
    setting = setting_of(folder)
    for path in sorted((folder / "runs").rglob("seed-*.json")):
        run = ComparedRun.read(path)
        if run.world is None:  # each world is another table
            about = {**vars(run), "table": opened(run.table, setting).name}
            yield Run(**about, label=f"{run.method}, seed {run.seed}", group=to_plain(str(folder)))


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
                found.append(Finding(to_plain(folder.resolve().name), tuple(lines), summary.notes))
    return tuple(found)

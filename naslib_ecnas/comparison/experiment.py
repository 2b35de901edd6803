"""Experiments: every method on every table with every seed, under equal rules.

Each finished run is one file, which appears only when the run has ended. So a comparison that was
killed at any moment continues where it was, and ends in the same files as one that was not.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, product
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, TypeVar

from naslib_ecnas.comparison.runs import Run, Unit, opened
from naslib_ecnas.errors import (
    ConfigError,
    FormatError,
    MissingDependencyError,
    check_choice,
    check_counts,
    check_types,
)
from naslib_ecnas.files import (
    atomic_write,
    exists,
    from_json,
    is_folder,
    only_one,
    read_bytes,
    storage_error,
    to_json,
)
from naslib_ecnas.metrics import OBJECTIVES
from naslib_ecnas.processes import ends_with
from naslib_ecnas.progress import listener, listening, silent
from naslib_ecnas.search import check, run
from naslib_ecnas.search.accounting import LIMITS
from naslib_ecnas.search.methods import method_of, resolved
from naslib_ecnas.search.result import check_noise, check_objectives

# What searches by NASLib's optimisers, imported when it is needed.
_NASLIB = "naslib_ecnas.adapters.naslib_search"
#: File in a comparison's folder with the rules under which its runs were made.
RULES = "comparison.json"
#: Values of `--cluster`: SLURM, or processes of this machine that are treated like its jobs.
CLUSTERS = ("slurm", "local")

T = TypeVar("T")

# -- what is compared ----


@dataclass(frozen=True)
class Grid:
    """The runs of a comparison and the rules that all of them share.

    Raises:
        ConfigError: nothing to run, an unknown method, a repeated name, or a number out of range.
        UnknownMetricError: an objective is no metric.
    """

    methods: tuple[str, ...]
    """Names of methods, with settings if any: `semoa:population=20`; `naslib:re` is NASLib's."""
    tables: tuple[str, ...]
    seeds: tuple[int, ...]
    evaluations: int | None = None
    """Limit of each run. At least one of the four is needed; several hold together."""
    objectives: tuple[str, ...] = OBJECTIVES
    epochs: int | None = None
    """Training budget that is compared; None for the largest of each table."""
    setting: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments of `load`, such as the device of modelled tables."""
    noise: bool = False
    """Whether methods see single noisy trainings instead of means."""
    worlds: tuple[int, ...] = ()
    """Worlds of the tables, which must be modelled ones, in which every method runs as well."""
    max_energy_kwh: float | None = None
    max_epochs: int | None = None
    max_time_s: float | None = None
    charge_repeats: bool = True
    """Whether a cell that a method asks for again is charged again."""
    workers: int = 1
    """Simulated workers of each run, see `naslib_ecnas.search.run`."""
    baseline: str | None = None
    """Method that was chosen before the runs as the one to compare all others with."""

    def __post_init__(self) -> None:
        for what in ("methods", "tables", "seeds", "worlds"):
            chosen = getattr(self, what)
            if not (chosen or what == "worlds") or len(set(chosen)) < len(chosen):
                raise ConfigError(f"a comparison needs {what}, each once", value=list(chosen))
        for method in self.methods:
            method_of(method)
        if self.baseline is not None:
            check_choice(self.methods, baseline=self.baseline)
        check_objectives(self.objectives)
        check_counts(workers=self.workers)
        for seed in self.seeds:
            check("random", **self.limits, seed=seed)
        for world in self.worlds:
            check_counts(least=0, world=world)
        if self.worlds and self.setting.get("world") is not None:
            message = "worlds are those of the table itself, not of another world"
            raise ConfigError(message, value=self.setting["world"])
        if len({unit.file for unit in self.units()}) < len(self.units()):
            names = [*self.methods, *self.tables]
            raise ConfigError("methods and tables must differ in letters or digits", value=names)

    @property
    def limits(self) -> dict[str, Any]:
        """The limits of each run, by the names of `run`; None for none."""
        return {name: getattr(self, name) for name in LIMITS}

    def units(self) -> list[Unit]:
        """All units, in the order in which they are started."""
        every = product(self.tables, (None, *self.worlds), self.seeds, self.methods)
        return [Unit(table, method, seed, world) for table, world, seed, method in every]

    def rules(self) -> dict[str, Any]:
        """The settings that must be equal for runs to be comparable, and the baseline."""
        return {
            **self.limits,
            "epochs": self.epochs,
            "objectives": list(self.objectives),
            "noise": self.noise,
            "free_repeats": not self.charge_repeats,
            "workers": self.workers,
            "setting": {k: v for k, v in self.setting.items() if v is not None},
            "baseline": self.baseline,
        }


# -- making the runs ----


def compare(
    grid: Grid,
    out: Path,
    *,
    jobs: int = 1,
    cluster: str | None = None,
) -> list[Unit]:
    """Make the runs of a grid that are not there yet.

    Args:
        out: folder of the comparison: a new folder, or the folder of a comparison under the same
            rules, whose runs are kept.
        jobs: how many runs at a time.
        cluster: `"slurm"`, `"local"`, or None for processes of this machine.

    Returns:
        All units of the grid.

    Raises:
        ConfigError: an impossible setting, the folder is another comparison's, or another process
            is at work in it.
        MissingDependencyError: the library of a method is not installed.
        EcnasError: any error of a run.
    """
    check_types(Grid, grid=grid)
    for method in grid.methods:
        if (theirs := _of_naslib(method)) is None:
            resolved(method, None)
        else:
            resolve_name(f"{_NASLIB}:check")(*theirs)
            only = {**grid.limits, "noise": grid.noise, "workers": grid.workers - 1}
            only |= {"evaluations": grid.evaluations is None, "repeats": not grid.charge_repeats}
            if any(only.values()):
                text = "NASLib's optimizers are limited by evaluations alone, which are all charged"
                raise ConfigError(text, value=method)
    # First, so that each table is loaded or predicted once, and errors come before any file.
    benchmarks = {table: opened(table, grid.setting) for table in grid.tables}
    for bench, objective in product(benchmarks.values(), grid.objectives):
        bench.values(objective, grid.epochs)
        check_noise(bench, grid.noise)
    checksums = {table: bench.table.checksum for table, bench in benchmarks.items()}
    for table, world in product(grid.tables, grid.worlds):
        unit = Unit(table, "", 0, world)
        checksums[unit.searched] = opened(table, grid.setting, world).table.checksum
    return make_missing(
        partial(_search, grid, out),
        grid.units(),
        out,
        rules=grid.rules(),
        checksums=checksums,
        jobs=jobs,
        cluster=cluster,
    )


def _search(grid: Grid, out: Path, unit: Unit) -> None:
    """Make the search of a unit, and write its run."""
    bench = opened(unit.table, grid.setting, unit.world)
    about: dict[str, Any] = {"objectives": grid.objectives, "epochs": grid.epochs}
    about["seed"] = unit.seed
    if (theirs := _of_naslib(unit.method)) is not None:
        search = resolve_name(f"{_NASLIB}:search")
        result = search(bench, *theirs, evaluations=grid.evaluations, **about)
    else:
        more = {"workers": grid.workers, "noise": grid.noise, **grid.limits}
        result = run(bench, unit.method, charge_repeats=grid.charge_repeats, **about, **more)
    made = Run.of(result, table=unit.table, method=unit.method, world=unit.world)
    made.write(out / unit.file)


def _of_naslib(method: str) -> tuple[str, dict[str, Any]] | None:
    """NASLib's name and settings of a method such as `naslib:re:sample_size=5`; None for others."""
    name, settings = method_of(method)
    return (name.removeprefix("naslib:"), settings) if name.startswith("naslib:") else None


def make_missing(
    do: Callable[[Unit], None],
    units: Sequence[Unit],
    out: Path,
    *,
    rules: dict[str, Any],
    checksums: Mapping[str, str],
    jobs: int = 1,
    cluster: str | None = None,
) -> list[Unit]:
    """Make the runs that are not there yet, or are damaged or of another version of the table.

    Args:
        do: makes the run of one unit and writes its file; it must be picklable.
        units: the runs that must be there in the end; they are returned.
        rules: see `prepare`.
        checksums: checksum of each table by the name that units have `searched`.
        out, jobs, cluster: see `compare`, also for the errors.
    """
    check_counts(jobs=jobs)
    prepare(out, rules)
    report, total = listener(), len(units)
    with only_one(out), listening(silent):  # a single run reports nothing
        for path in {(out / unit.file).parent for unit in units}:
            for unfinished in path.glob(".*.json.*"):  # of processes that were killed
                with suppress(OSError):  # or its own process removes it
                    unfinished.unlink()
        missing = [unit for unit in units if not _is_there(unit, out, checksums)]
        done = total - len(missing)
        report("making runs", done, total, unit="runs")
        for _ in execute(do, missing, out / "jobs", jobs=jobs, cluster=cluster):
            done += 1
            report("making runs", done, total, unit="runs")
    return list(units)


def _is_there(unit: Unit, out: Path, checksums: Mapping[str, str]) -> bool:
    try:
        return Run.read(out / unit.file).checksum == checksums[unit.searched]
    except FormatError:
        return False


# -- by one process, by several, or by jobs of a cluster ----


def execute(
    work: Callable[[T], None],
    units: Sequence[T],
    folder: Path,
    *,
    jobs: int = 1,
    cluster: str | None = None,
) -> Iterator[T]:
    """Do the work of every unit; yields each unit that is finished, in no certain order.

    Args:
        work: does one unit; it must be picklable.
        folder: for the files of a cluster's jobs; every node must reach it.
        jobs: how many at a time; on a cluster each job does its share one after the other.
        cluster: `"slurm"` for jobs of a SLURM cluster, `"local"` for the same on this machine;
            None for processes of this machine (joblib) or, with one job, this process itself.

    Raises:
        MissingDependencyError: several jobs need joblib, a cluster needs submitit.
        ConfigError: an unknown cluster.
        EcnasError: the cluster refused the jobs, or one failed; the message names its output.
        Exception: any error of a unit; units that are finished by then are kept.
    """
    if cluster is not None:
        check_choice(CLUSTERS, cluster=cluster)
    # Jobs on this machine; those of a cluster are on another.
    here = cluster == "local" and hasattr(os, "pidfd_open")
    do = partial(_done, work, os.getpid() if here else None)
    if cluster is not None and units:
        from naslib_ecnas.campaign.cluster import results, submit

        shares = [units[i::jobs] for i in range(min(jobs, len(units)))]
        # The partition and the like come from the user's SBATCH_ variables.
        settings: dict[str, Any] = {"name": "ecnas", "cpus_per_task": 1, "timeout_min": 24 * 60}
        settings |= {"slurm_array_parallelism": jobs, "needed": ("work on a cluster", "slurm")}
        running = submit(do, shares, folder, cluster, **settings)
        yield from chain.from_iterable(results(running, folder))
    elif jobs == 1 or len(units) < 2:
        for unit in units:
            yield from do([unit])
    else:
        try:
            from joblib.externals import loky
        except ModuleNotFoundError as error:
            feature = "work by several processes"
            raise MissingDependencyError("joblib", feature=feature, extra="search") from error
        workers = loky.ProcessPoolExecutor(jobs, initializer=ends_with, initargs=(os.getpid(),))
        try:
            for ended in loky.as_completed([workers.submit(do, [unit]) for unit in units]):
                yield from ended.result()
        except BaseException:  # the generator's end, too
            workers.shutdown(kill_workers=True)
            raise
        workers.shutdown()


def _done(work: Callable[[T], None], parent: int | None, units: Sequence[T]) -> Sequence[T]:
    if parent is not None:
        ends_with(parent)
    for unit in units:
        work(unit)
    return units


# -- the folder ----


def prepare(out: Path, rules: dict[str, Any]) -> None:
    """Make the folder of a comparison, or check that it is one under the same rules.

    The baseline is none of the rules, but what was chosen before the runs; it stays as it is.

    Raises:
        ConfigError: the folder holds something else, or a comparison under other rules.
        StorageError: it cannot be written.
    """
    there = rules_of(out)
    if not there:
        if exists(out) and (not is_folder(out) or any(out.iterdir())):
            raise ConfigError("the folder holds something else", value=str(out))
        with atomic_write(out / RULES) as file:
            file.write((to_json(rules, indent=2) + "\n").encode("utf-8"))
        return
    for name, rule in rules.items():
        if name != "baseline" and there.get(name) != rule:
            message = f"the folder holds a comparison with another {name}, {there.get(name)!r}"
            remedy = "choose another --out, or the same rules"
            raise ConfigError(message, value=rule, remedy=remedy)


def rules_of(out: Path) -> dict[str, Any]:
    """The rules of the comparison in a folder, and its baseline; empty if there is none.

    Raises:
        StorageError: they cannot be read.
        FormatError: they are damaged.
    """
    path = out / RULES
    try:
        there = from_json(read_bytes(path))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise storage_error(error, path) from error
    except ValueError as error:
        raise FormatError("the rules of the comparison are damaged", path=path) from error
    if not isinstance(there, dict) or not isinstance(there.get("setting", {}), dict):
        raise FormatError("the rules of the comparison must be JSON objects", path=path)
    return there

"""Work done one unit after the other, by several processes, or by jobs of a cluster."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from naslib_ecnas.errors import ConfigError, MissingDependencyError
from naslib_ecnas.processes import ends_with

#: Values of `--cluster`: SLURM, or processes of this machine that are treated like its jobs.
CLUSTERS = ("slurm", "local")

T = TypeVar("T")


def execute(
    work: Callable[[T], None],
    units: Sequence[T],
    *,
    jobs: int = 1,
    cluster: str | None = None,
    folder: Path | None = None,
) -> Iterator[T]:
    """Do the work of every unit; yields each unit that is finished, in no certain order.

    Args:
        work: does one unit; it must be picklable.
        units: what to do.
        jobs: how many at a time; on a cluster each job does its share one after the other.
        cluster: `"slurm"` for jobs of a SLURM cluster, `"local"` for the same on this machine;
            None for processes of this machine (joblib) or, with one job, this process itself.
        folder: for the files of a cluster's jobs; every node must reach it.

    Raises:
        MissingDependencyError: several jobs need joblib, a cluster needs submitit.
        ConfigError: an unknown cluster, or no folder for its jobs.
        EcnasError: the cluster refused the jobs, or one failed; the message names its output.
        Exception: any error of a unit; units that are finished by then are kept.
    """
    # Jobs on this machine; those of a cluster are on another.
    here = cluster == "local" and hasattr(os, "pidfd_open")
    do = partial(_done, work, os.getpid() if here else None)
    if cluster is not None:
        yield from _submitted(do, units, jobs, cluster, folder)
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


def _submitted(
    do: Callable[[Any], Sequence[T]], units: Sequence[T], jobs: int, cluster: str, folder: Any
) -> Iterator[T]:
    """Submit the units as an array of jobs, each with a share of them, by submitit."""
    if cluster not in CLUSTERS or folder is None:
        message = f"the cluster must be one of {', '.join(CLUSTERS)}, with a folder"
        raise ConfigError(message, value=cluster)
    if not units:
        return
    from naslib_ecnas.campaign.cluster import results, submit

    shares = [units[i::jobs] for i in range(min(jobs, len(units)))]
    # The partition and the like come from the user's SBATCH_ variables.
    settings = {"name": "ecnas", "cpus_per_task": 1, "timeout_min": 24 * 60}
    settings["slurm_array_parallelism"] = jobs
    running = submit(do, shares, folder, cluster, needed=("work on a cluster", "slurm"), **settings)
    for done in results(running, folder):
        yield from done

"""Work done one unit after the other, by several processes, or by jobs of a cluster."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from naslib_ecnas.errors import ConfigError, EcnasError, MissingDependencyError

#: Values of `--cluster`: SLURM, or processes of this machine that are treated like its jobs.
CLUSTERS = ("slurm", "local")

# Seconds between two looks at the jobs of a cluster.
_POLL_S = 1.0

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
        EcnasError: a job of a cluster failed; the message names the folder of its output.
        Exception: any error of a unit; units that are finished by then are kept.
    """
    do = partial(_done, work)
    if cluster is not None:
        yield from _submitted(do, units, jobs, cluster, folder)
    elif jobs == 1 or len(units) < 2:
        for unit in units:
            yield from do([unit])
    else:
        try:
            from joblib import Parallel, delayed
        except ModuleNotFoundError as error:
            feature = "work by several processes"
            raise MissingDependencyError("joblib", feature=feature, extra="search") from error
        parallel = Parallel(n_jobs=jobs, return_as="generator_unordered")
        for done in parallel(delayed(do)([unit]) for unit in units):
            yield from done


def _done(work: Callable[[T], None], units: Sequence[T]) -> Sequence[T]:
    for unit in units:
        work(unit)
    return units


@contextmanager
def only_one(folder: Path) -> Iterator[Any]:
    """Lock a folder against other processes.

    Raises:
        ConfigError: another process is at work in it.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / ".lock")
    try:
        with lock.acquire(timeout=0):
            yield
    except Timeout:
        remedy = "wait for it, or choose another --out"
        raise ConfigError(f"another process is at work in {folder}", remedy=remedy) from None


def _submitted(
    do: Callable[[Any], Sequence[T]], units: Sequence[T], jobs: int, cluster: str, folder: Any
) -> Iterator[T]:
    """Submit the units as an array of jobs, each with a share of them, by submitit."""
    if cluster not in CLUSTERS or folder is None:
        message = f"the cluster must be one of {', '.join(CLUSTERS)}, with a folder"
        raise ConfigError(message, value=cluster)
    if not units:
        return
    try:
        import submitit
    except ModuleNotFoundError as error:
        feature = "work on a cluster"
        raise MissingDependencyError("submitit", feature=feature, extra="slurm") from error
    folder.mkdir(parents=True, exist_ok=True)
    executor = submitit.AutoExecutor(folder=folder, cluster=cluster)
    # The partition and the like come from the user's SBATCH_ variables.
    executor.update_parameters(name="ecnas", cpus_per_task=1, timeout_min=24 * 60)
    if cluster == "slurm":
        executor.update_parameters(slurm_array_parallelism=jobs)
    running = executor.map_array(do, [units[i::jobs] for i in range(min(jobs, len(units)))])
    try:
        while running:
            ended = [job for job in running if job.done()]
            for job in ended:
                running.remove(job)
                if failed := job.exception():
                    reason = str(failed).strip()[-500:]
                    remedy = f"see its output in {folder}, then run the same command to go on"
                    message = f"job {job.job_id} of the cluster failed: {reason}"
                    raise EcnasError(message, remedy=remedy)
                yield from job.result()
            if running and not ended:
                time.sleep(_POLL_S)
    except BaseException:
        # Nobody waits for the other jobs any more; the runs that they have finished are kept.
        for job in running:
            job.cancel(check=False)
        raise

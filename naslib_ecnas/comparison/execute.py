"""Work done one unit after the other, by several processes, or by jobs of a cluster."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from naslib_ecnas.errors import ConfigError, EcnasError, MissingDependencyError, check_counts

__all__ = ["CLUSTERS", "check_jobs", "execute", "only_one"]

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
    on_done: Callable[[T], None] | None = None,
) -> None:
    """Do the work of every unit.

    Args:
        work: does one unit; a function of a module, so that other processes find it.
        units: what to do.
        jobs: how many at a time.
        cluster: `"slurm"` for jobs of a SLURM cluster, `"local"` for the same on this machine;
            None for processes of this machine (joblib) or, with one job, this process itself.
        folder: for the files of a cluster's jobs.
        on_done: called with each finished unit, in no certain order.

    Raises:
        MissingDependencyError: several jobs need joblib, a cluster needs submitit.
        ConfigError: a setting is not possible.
        Exception: any error of a unit; units that are finished by then are kept.
    """
    check_jobs(jobs)
    done = on_done or (lambda unit: None)
    if cluster is not None:
        _submit(work, units, jobs=jobs, cluster=cluster, folder=folder, on_done=done)
    elif jobs == 1 or len(units) < 2:
        for unit in units:
            work(unit)
            done(unit)
    else:
        try:
            from joblib import Parallel, delayed
        except ModuleNotFoundError as error:
            raise MissingDependencyError(
                "joblib", feature="work by several processes", extra="search"
            ) from error
        ended = Parallel(n_jobs=jobs, return_as="generator_unordered")(
            delayed(_worked)(work, unit) for unit in units
        )
        for unit in ended:
            done(unit)


def check_jobs(jobs: int) -> None:
    """Check a number of jobs.

    Raises:
        ConfigError: it is no whole number of at least 1.
    """
    check_counts(jobs=jobs)


def _worked(work: Callable[[T], None], unit: T) -> T:
    work(unit)
    return unit


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
        raise ConfigError(
            f"another process is at work in {folder}", remedy="wait for it, or choose another --out"
        ) from None


# -- jobs of a cluster, by submitit ----


def _submit(
    work: Callable[[T], None],
    units: Sequence[T],
    *,
    jobs: int,
    cluster: str,
    folder: Path | None,
    on_done: Callable[[T], None],
) -> None:
    """Submit the units as an array of jobs, each with a share of them, and wait for the end.

    Args:
        work, units, on_done: see `execute`.
        jobs: how many jobs; each does its share one unit after the other.
        cluster: one of `CLUSTERS`.
        folder: for the files of the jobs; every node must reach it.

    Raises:
        ConfigError: an unknown cluster, or no folder.
        MissingDependencyError: submitit is not installed.
        EcnasError: a job failed; the message names the folder of its output.
    """
    if cluster not in CLUSTERS or folder is None:
        names = ", ".join(CLUSTERS)
        raise ConfigError(f"the cluster must be one of {names}, with a folder", value=cluster)
    if not units:
        return
    executor = _executor(folder, cluster)
    shares = [list(units[i::jobs]) for i in range(min(jobs, len(units)))]
    if cluster == "slurm":
        executor.update_parameters(slurm_array_parallelism=jobs)
    running = dict(zip(executor.map_array(_Share(work), shares), shares, strict=True))
    try:
        while running:
            ended = [job for job in running if job.done()]
            for job in ended:
                share = running.pop(job)
                failed = job.exception()
                if failed is not None:
                    raise EcnasError(
                        f"job {job.job_id} of the cluster failed: {str(failed).strip()[-500:]}",
                        remedy=f"see its output in {folder}, then run the same command to go on",
                    )
                for unit in share:
                    on_done(unit)
            if running and not ended:
                time.sleep(_POLL_S)
    except BaseException:
        # Nobody waits for the other jobs any more; the runs that they have finished are kept.
        for job in running:
            job.cancel(check=False)
        raise


class _Share:
    """The work of one job: its units, one after the other."""

    def __init__(self, work: Callable[[Any], None]) -> None:
        self._work = work

    def __call__(self, units: Sequence[Any]) -> int:
        for unit in units:
            self._work(unit)
        return len(units)


def _executor(folder: Path, cluster: str) -> Any:
    try:
        import submitit
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "submitit", feature="work on a cluster", extra="slurm"
        ) from error
    folder.mkdir(parents=True, exist_ok=True)
    executor = submitit.AutoExecutor(folder=folder, cluster=cluster)
    # The partition and the like come from the user's SBATCH_ variables.
    executor.update_parameters(name="ecnas", cpus_per_task=1, timeout_min=24 * 60)
    return executor

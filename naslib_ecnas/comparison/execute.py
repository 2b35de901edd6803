"""Units of work, one after the other, by several processes, or by a cluster."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from naslib_ecnas.errors import ConfigError, EcnasError, MissingDependencyError

__all__ = ["CLUSTERS", "check_jobs", "execute", "only_one", "submit"]


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
        work: of one unit; a function of a module, so that other processes find it.
        units: what to do.
        jobs: how many at a time.
        cluster: `"slurm"` for jobs of a SLURM cluster, `"local"` for the same on this machine;
            None for processes of this one (joblib) or, with one job, this process itself.
        folder: for the files of a cluster's jobs.
        on_done: called with each unit that is done, in no certain order.

    Raises:
        MissingDependencyError: several jobs need joblib, a cluster needs submitit.
        ConfigError: a setting is not possible.
        Exception: what a unit raised; units that are done by then are kept.
    """
    check_jobs(jobs)
    done = on_done or (lambda unit: None)
    if cluster is not None:
        submit(work, units, jobs=jobs, cluster=cluster, folder=folder, on_done=done)
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
    """Refuse what is no number of jobs.

    Raises:
        ConfigError: it is none.
    """
    if type(jobs) is not int or jobs < 1:
        raise ConfigError("no possible number of jobs", value=jobs, expected="1 or more")


def _worked(work: Callable[[T], None], unit: T) -> T:
    work(unit)
    return unit


@contextmanager
def only_one(folder: Path) -> Iterator[Any]:
    """Keep others out of a folder meanwhile.

    Raises:
        ConfigError: somebody else is at work in it.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / ".lock")
    try:
        with lock.acquire(timeout=0):
            yield
    except Timeout:
        raise ConfigError(
            "somebody else is at work in this folder",
            value=str(folder),
            expected="a folder that is free",
            remedy="wait until that has ended, or choose another --out",
        ) from None


# Units of work as jobs of a cluster, by submitit.


#: What `--cluster` takes: SLURM, or processes of this machine that are treated alike.
CLUSTERS = ("slurm", "local")

#: Seconds between two looks at the jobs.
_PATIENCE = 1.0


def submit(
    work: Callable[[T], None],
    units: Sequence[T],
    *,
    jobs: int,
    cluster: str,
    folder: Path | None,
    on_done: Callable[[T], None],
) -> None:
    """Have the units done as an array of jobs, each job a share of them, and wait for the end.

    Args:
        work, units, on_done: as of `naslib_ecnas.comparison.execute`.
        jobs: how many jobs at a time; as many are submitted, and each does its share in turn.
        cluster: one of `CLUSTERS`.
        folder: for the files of the jobs, which every node has to reach.

    Raises:
        ConfigError: no such cluster, or no folder.
        MissingDependencyError: submitit is not installed.
        EcnasError: a job failed; says where its output is.
    """
    if cluster not in CLUSTERS or folder is None:
        raise ConfigError(
            "no such cluster",
            value=cluster,
            expected="one of " + ", ".join(CLUSTERS) + ", and a folder for its files",
        )
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
                        expected="a job that ends well",
                        remedy=f"see its output in {folder}, then run the same command to go on",
                    )
                for unit in share:
                    on_done(unit)
            if running and not ended:
                time.sleep(_PATIENCE)
    except BaseException:
        # Nobody waits for the rest any more; what they have finished is kept.
        for job in running:
            job.cancel(check=False)
        raise


class _Share:
    """Does one job's units in turn."""

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
    # What SLURM gives a job for, such as a partition, comes from the user's SBATCH_ variables.
    executor.update_parameters(name="ecnas", cpus_per_task=1, timeout_min=24 * 60)
    return executor

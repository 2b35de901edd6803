"""Units of work, one after the other, by several processes, or by a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from naslib_ecnas.errors import ConfigError, MissingDependencyError

__all__ = ["check_jobs", "execute", "only_one"]

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
        from naslib_ecnas.comparison.cluster import submit

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

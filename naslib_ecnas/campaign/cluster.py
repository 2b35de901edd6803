"""Several workers of a campaign, one GPU each: as processes here, or as an array of jobs."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

from naslib_ecnas.campaign.plan import Pace, Plan, Settings
from naslib_ecnas.campaign.worker import work
from naslib_ecnas.errors import (
    ConfigError,
    EcnasError,
    MissingDependencyError,
    check_choice,
    check_counts,
    check_numbers,
    check_types,
)
from naslib_ecnas.processes import ends_with
from naslib_ecnas.progress import listener

#: Folder of a campaign that contains the cluster's scripts and outputs.
_JOBS = "jobs"
#: Seconds that a worker has to free its unit when it is told to stop.
_STOP_S = 1.5

T = TypeVar("T")


# -- processes of this machine --------------------------------------------------------------------


def on_gpus(work: Callable[[str], int], gpus: Sequence[str]) -> None:
    """Run `work(uuid)` for each GPU in a process of its own, which sees that GPU alone.

    A process ends with this one, however this one ends; one that fails leaves the others at work.

    Args:
        work: what a process does; it must be picklable, and returns the exit code.
        gpus: UUIDs.

    Raises:
        EcnasError: processes failed; it is raised when the others have ended too.
    """
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_on_gpu, args=(work, gpu, os.getpid())) for gpu in gpus]
    try:
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    finally:
        left = [worker for worker in workers if worker.is_alive()]
        for worker in left:
            worker.terminate()
        until = time.monotonic() + _STOP_S
        for worker in left:
            worker.join(max(until - time.monotonic(), 0.0))
            worker.kill()
    failed = [gpu for gpu, worker in zip(gpus, workers, strict=True) if worker.exitcode]
    if failed:
        text = f"{len(failed)} of {len(gpus)} workers failed: {', '.join(failed)}"
        raise EcnasError(text, remedy="correct the cause and run the same command again")


def _on_gpu(work: Callable[[str], int], gpu: str, parent: int) -> None:
    ends_with(parent)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    os.environ["CUDA_VISIBLE_DEVICES"] = gpu  # in time: nothing has loaded CUDA yet
    try:
        code = work(gpu)
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)


# -- jobs of a cluster ----------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A cluster and the resources of its jobs.

    Raises:
        ConfigError: a setting is not possible.
    """

    kind: str
    """`slurm`, or `local` for processes of this machine."""
    workers: int = 1
    """Jobs of the array; they share the units as they go."""
    gres: str | None = "gpu:1"
    """Resources that SLURM gives to each job alone; None for none."""
    partition: str | None = None
    cpus: int = 4
    """CPUs of each job."""
    hours: float = 24.0
    """Time limit of a job, at least a minute, after which SLURM queues it again."""

    def __post_init__(self) -> None:
        check_choice(("slurm", "local"), cluster=self.kind)
        check_counts(workers=self.workers, cpus=self.cpus)
        check_numbers(least=1 / 60, hours=self.hours)


@dataclass(frozen=True)
class _Job:
    """One worker, as submitit sends it to a node."""

    folder: Path
    settings: Settings
    pace: Pace
    limit: int | None
    parent: int | None = None
    """Process that the job ends with."""

    def __call__(self, number: int) -> None:
        """Run the worker."""
        if self.parent is not None:
            ends_with(self.parent)
        work(self.folder, self.settings, pace=self.pace, limit=self.limit)

    def checkpoint(self, number: int) -> Any:
        """The same job again, which submitit queues if it is preempted or out of time."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, number)


def launch(
    folder: str | PathLike[str],
    settings: Settings,
    cluster: Cluster,
    *,
    pace: Pace | None = None,
    limit: int | None = None,
    wait: bool = False,
) -> list[str]:
    """Submit workers of a campaign.

    Args:
        folder: folder of the campaign, which every node must be able to reach.
        settings, pace, limit: see `work`.
        cluster: where to run them.
        wait: whether to wait for their end, reported to `progress.listening`; `local` always does,
            since its jobs end with this process.

    Returns:
        Numbers of the jobs.

    Raises:
        MissingDependencyError: submitit is not installed.
        UnknownTableError, FormatError: there is no campaign.
        ConfigError: there is no such cluster here, or it hides the GPUs, as `local` does.
        EcnasError: a job failed, or none could be submitted.
    """
    check_types(Settings, settings=settings)
    check_types(Cluster, cluster=cluster)
    Plan.read(folder)
    folder = Path(folder).resolve()
    if limit is not None:
        check_counts(limit=limit)
    parent = os.getpid() if cluster.kind == "local" else None
    if parent is not None and settings.device.startswith("cuda"):
        text, remedy = "jobs of this machine cannot use a GPU", "use --gpus all for its GPUs"
        raise ConfigError(text, value=settings.device, remedy=remedy)
    jobs = submit(
        _Job(folder, settings, pace or Pace(), limit, parent),
        range(cluster.workers),
        folder / _JOBS,
        cluster.kind,
        needed=("measuring on a cluster", "measure"),
        name="ecnas-measure",
        cpus_per_task=cluster.cpus,
        timeout_min=max(1, round(60 * cluster.hours)),
        slurm_array_parallelism=cluster.workers,
        slurm_partition=cluster.partition,
        slurm_gres=cluster.gres,
        # Queue the job again if its node fails, which is not the default of every cluster.
        slurm_additional_parameters={"requeue": True},
    )
    if wait or cluster.kind == "local":
        list(results(jobs, folder / _JOBS))
    return [str(job.job_id) for job in jobs]


def submit(
    work: Callable[[T], Any],
    items: Sequence[T],
    folder: Path,
    kind: str,
    *,
    needed: tuple[str, str],
    **parameters: Any,
) -> list[Any]:
    """Submit an array of jobs, one for each item; returns submitit's jobs.

    Args:
        work: what a job does with its item; it must be picklable.
        items, folder, kind: for the jobs, for their scripts and outputs, and `slurm` or `local`.
        needed: the feature that needs submitit, and the extra that installs it.
        parameters: those of submitit's `AutoExecutor`; None for its own.

    Raises:
        MissingDependencyError: submitit is not installed.
        ConfigError: there is no such cluster here.
        EcnasError: the jobs could not be submitted.
    """
    try:
        import submitit
    except ModuleNotFoundError as error:
        feature, extra = needed
        raise MissingDependencyError("submitit", feature=feature, extra=extra) from error
    try:
        executor = submitit.AutoExecutor(folder=folder, cluster=kind)
    except RuntimeError as error:
        text = f"{kind} needs sbatch on the PATH ({error})"
        remedy = "run this on a login node of the cluster, or with --cluster local"
        raise ConfigError(text, remedy=remedy) from error
    executor.update_parameters(**parameters)
    try:
        return list(executor.map_array(work, items))
    except (RuntimeError, OSError) as error:  # FailedJobError of sbatch is one
        raise EcnasError(f"the jobs could not be submitted: {_end(error)}") from error


def results(jobs: Sequence[Any], folder: Path) -> Iterator[Any]:
    """Result of each of submitit's jobs when it has ended; a caller that stops cancels the others.

    Raises:
        EcnasError: jobs failed; it is raised when the others have ended too.
    """
    from submitit.helpers import as_completed

    report, failures = partial(listener(), "waiting for the jobs", total=len(jobs), unit="jobs"), []
    report(0)
    try:
        for number, job in enumerate(as_completed(jobs, poll_frequency=1.0), start=1):
            if failed := job.exception():
                failures.append(f"{job.job_id}: {_end(failed)}")
            else:
                yield job.result()
            report(number)
    finally:
        for job in jobs:
            if not job.done():
                job.cancel(check=False)
    if failures:
        text = f"{len(failures)} of {len(jobs)} jobs failed; the first: {failures[0]}"
        remedy = f"see their output in {folder}, then run the same command to go on"
        raise EcnasError(text, remedy=remedy)


def _end(error: object) -> str:
    """The last characters of an error, which may contain a whole log."""
    return str(error).strip()[-500:]

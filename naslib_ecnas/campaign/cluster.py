"""Workers of a campaign as an array of a cluster's jobs, one GPU each, by submitit."""

from __future__ import annotations

import time
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from naslib_ecnas.campaign.plan import Pace, Plan, Settings, check_choice
from naslib_ecnas.campaign.worker import work
from naslib_ecnas.errors import (
    ConfigError,
    EcnasError,
    MissingDependencyError,
    check_counts,
    check_numbers,
)
from naslib_ecnas.progress import Progress, silent

#: Folder of a campaign that contains the cluster's scripts and outputs.
_JOBS = "jobs"
#: Seconds between two looks at the jobs.
_POLL_S = 1.0


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

    def __call__(self, number: int) -> int:
        """Run the worker; returns how many units it recorded."""
        done = work(self.folder, self.settings, pace=self.pace, limit=self.limit)
        return sum(one.how == "recorded" for one in done)

    def checkpoint(self, number: int) -> Any:
        """The same job again, which submitit queues if it is preempted or out of time.

        The end of the worker frees its unit, which is then trained again.
        """
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
    progress: Progress | None = None,
) -> list[str]:
    """Submit workers of a campaign.

    Args:
        folder: folder of the campaign, which every node must be able to reach.
        settings, pace, limit: see `work`.
        cluster: where to run them.
        wait: whether to wait for their end; `local` always does, since its jobs end with this
            process.
        progress: gets the number of jobs that have ended, while waiting.

    Returns:
        Numbers of the jobs.

    Raises:
        MissingDependencyError: submitit is not installed.
        UnknownTableError, FormatError: there is no campaign.
        ConfigError: there is no such cluster here.
        EcnasError: a job failed, or none could be submitted.
    """
    Plan.read(folder)
    folder = Path(folder).resolve()
    if limit is not None:
        check_counts(limit=limit)
    executor = _executor(folder / _JOBS, cluster)
    job = _Job(folder, settings, pace or Pace(), limit)
    try:
        jobs = executor.map_array(job, range(cluster.workers))
    except (RuntimeError, OSError) as error:  # FailedJobError of sbatch is one
        raise EcnasError(f"the jobs could not be submitted: {_end(error)}") from error
    if wait or cluster.kind == "local":
        failures = _failures(jobs, progress or silent)
        if failures:
            text = f"{len(failures)} of {len(jobs)} jobs failed; the first: {failures[0]}"
            remedy = f"see their output in {folder / _JOBS}, then run the same command to go on"
            raise EcnasError(text, remedy=remedy)
    return [str(job.job_id) for job in jobs]


def _executor(folder: Path, cluster: Cluster) -> Any:
    try:
        import submitit
    except ModuleNotFoundError as error:
        feature = "measuring on a cluster"
        raise MissingDependencyError("submitit", feature=feature, extra="measure") from error
    try:
        executor = submitit.AutoExecutor(folder=folder, cluster=cluster.kind)
    except RuntimeError as error:
        text = f"{cluster.kind} needs sbatch on the PATH ({error})"
        remedy = "run this on a login node of the cluster, or with --cluster local"
        raise ConfigError(text, remedy=remedy) from error
    settings: dict[str, Any] = {"name": "ecnas-measure", "cpus_per_task": cluster.cpus}
    if cluster.kind == "slurm":
        # Queue the job again if its node fails, which is not the default of every cluster.
        extra = {"requeue": True, "gres": cluster.gres}
        slurm = {
            "slurm_array_parallelism": cluster.workers,
            "slurm_partition": cluster.partition,
            "slurm_additional_parameters": {k: v for k, v in extra.items() if v is not None},
        }
        settings |= {name: value for name, value in slurm.items() if value is not None}
    executor.update_parameters(timeout_min=max(1, round(60 * cluster.hours)), **settings)
    return executor


def _failures(jobs: list[Any], progress: Progress) -> list[str]:
    """Wait for the end of all jobs; one line for each that failed."""
    running, failures = list(jobs), []
    try:
        while running:
            ended = [job for job in running if job.done()]
            for job in ended:
                running.remove(job)
                failed = job.exception()
                if failed is not None:  # the other workers take over its unit
                    failures.append(f"{job.job_id}: {_end(failed)}")
            progress("waiting for the jobs", len(jobs) - len(running), len(jobs), unit="jobs")
            if running and not ended:
                time.sleep(_POLL_S)
    except BaseException:
        for job in running:  # their records are kept
            job.cancel(check=False)
        raise
    return failures


def _end(error: object) -> str:
    """The last characters of an error, which may contain a whole log."""
    return str(error).strip()[-500:]

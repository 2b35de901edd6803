"""Workers as an array of a cluster's jobs, one GPU each, by submitit."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from naslib_ecnas.campaign.plan import Plan
from naslib_ecnas.campaign.settings import Pace, Settings
from naslib_ecnas.campaign.worker import work
from naslib_ecnas.checked import check_counts, check_numbers
from naslib_ecnas.errors import ConfigError, EcnasError, MissingDependencyError

__all__ = ["CLUSTERS", "JOBS", "Cluster", "Job", "launch"]

CLUSTERS = ("slurm", "local")
#: Folder of a campaign that holds the cluster's scripts and outputs.
JOBS = "jobs"
_PATIENCE_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Where workers run.

    Raises:
        ConfigError: a setting is not possible.
    """

    kind: str
    """`slurm`, or `local` for processes of this machine that are treated alike."""
    workers: int = 1
    """Jobs of the array; the units are not divided beforehand."""
    gres: str | None = "gpu:1"
    """What SLURM gives each job alone; None for none."""
    partition: str | None = None
    cpus: int = 4
    """For each job."""
    hours: float = 24.0
    """Time limit of a job; where it ends, SLURM queues the job again."""

    def __post_init__(self) -> None:
        if self.kind not in CLUSTERS:
            raise ConfigError("no such cluster", value=self.kind, expected=" or ".join(CLUSTERS))
        check_counts(workers=self.workers, cpus=self.cpus)
        check_numbers(hours=self.hours)
        if self.hours * 60 < 1:
            raise ConfigError(
                "no possible jobs", value=self, expected="1 or more workers, CPUs and minutes"
            )


class Job:
    """One worker, as submitit takes it to a node."""

    def __init__(self, folder: Path, settings: Settings, pace: Pace, limit: int | None) -> None:
        self._arguments = folder, settings, pace, limit

    def __call__(self, number: int) -> int:
        """Work; returns how many units were recorded."""
        folder, settings, pace, limit = self._arguments
        done = work(folder, settings, pace=pace, limit=limit)
        return sum(one.how == "recorded" for one in done)

    def checkpoint(self, number: int) -> Any:
        """The same again: what submitit queues where a job is preempted or runs out of time.

        The unit that it was at is freed by the worker's end and trained anew.
        """
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, number)


def launch(
    folder: Path,
    settings: Settings,
    cluster: Cluster,
    *,
    pace: Pace | None = None,
    limit: int | None = None,
    wait: bool = False,
    progress: Callable[[int, int], None] = lambda ended, jobs: None,
) -> list[str]:
    """Submit workers of a campaign.

    Args:
        folder: of the campaign, which every node has to reach.
        settings, pace, limit: of each worker.
        cluster: where.
        wait: until all have ended; always so with `local`, whose jobs end with this process.
        progress: called with the jobs that have ended and all, while waiting.

    Returns:
        Numbers of the jobs.

    Raises:
        MissingDependencyError: submitit is not installed.
        UnknownTableError, FormatError: no campaign.
        ConfigError: there is no such cluster here.
        EcnasError: a job failed; says where its output is.
    """
    Plan.read(folder)
    place = folder.resolve()
    executor = _executor(place / JOBS, cluster)
    job = Job(place, settings, pace or Pace(), limit)
    try:
        jobs = executor.map_array(job, range(cluster.workers))
    except (RuntimeError, OSError) as error:  # FailedJobError of sbatch is one
        raise EcnasError(
            f"the jobs could not be submitted: {str(error).strip()[-500:]}",
            remedy="see what sbatch says of --gres and --partition",
        ) from error
    if wait or cluster.kind == "local":
        _wait(jobs, place / JOBS, progress)
    return [str(job.job_id) for job in jobs]


def _executor(folder: Path, cluster: Cluster) -> Any:
    try:
        import submitit
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "submitit", feature="measuring on a cluster", extra="measure"
        ) from error
    try:
        executor = submitit.AutoExecutor(folder=folder, cluster=cluster.kind)
    except RuntimeError as error:
        raise ConfigError(
            f"there is no such cluster here ({error})",
            value=cluster.kind,
            expected="sbatch on the PATH",
            remedy="run this on a login node of the cluster, or take --cluster local",
        ) from error
    executor.update_parameters(
        name="ecnas-measure",
        timeout_min=max(1, round(60 * cluster.hours)),
        cpus_per_task=cluster.cpus,
    )
    if cluster.kind == "slurm":
        extra = {} if cluster.gres is None else {"gres": cluster.gres}
        executor.update_parameters(
            slurm_array_parallelism=cluster.workers,
            # A node that fails has its job queued again too, which not every cluster does unasked.
            slurm_additional_parameters={"requeue": True, **extra},
            **({} if cluster.partition is None else {"slurm_partition": cluster.partition}),
        )
    return executor


def _wait(jobs: list[Any], folder: Path, progress: Callable[[int, int], None]) -> None:
    running, failures = list(jobs), []
    try:
        while running:
            ended = [job for job in running if job.done()]
            for job in ended:
                running.remove(job)
                failed = job.exception()
                if failed is not None:  # the others go on: they take over its unit
                    failures.append(f"{job.job_id}: {str(failed).strip()[-500:]}")
            progress(len(jobs) - len(running), len(jobs))
            if running and not ended:
                time.sleep(_PATIENCE_S)
    except BaseException:
        for job in running:  # what they have recorded is kept
            job.cancel(check=False)
        raise
    if failures:
        raise EcnasError(
            f"{len(failures)} of {len(jobs)} jobs failed",
            value=failures[0],
            remedy=f"see their output in {folder}, then run the same command to go on",
        )

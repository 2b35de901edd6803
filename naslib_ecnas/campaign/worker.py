"""A worker of a campaign: claims units, trains and measures them, and writes their records.

Any number of workers can share a campaign's folder; `launch` starts them as jobs of a cluster.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from naslib_ecnas.campaign.claims import (
    Attempt,
    AttemptLog,
    Claim,
    Heartbeat,
    LoggedMeter,
    Owner,
    StaleClaims,
    Superseded,
    attempts,
    log_windows,
    take,
)
from naslib_ecnas.campaign.measurement import (
    Measurement,
    MeterLabel,
    essential_faults,
    record_path,
    recorded,
)
from naslib_ecnas.campaign.plan import DataChoice, Pace, Plan, Settings, Unit
from naslib_ecnas.cell import Cell
from naslib_ecnas.energy.meter import EnergyMeter, Meter, NullMeter
from naslib_ecnas.energy.readings import Window
from naslib_ecnas.energy.replay import ReplayMeter
from naslib_ecnas.errors import (
    ConfigError,
    EcnasError,
    FormatError,
    MissingDependencyError,
    StorageError,
    check_counts,
    check_numbers,
)
from naslib_ecnas.files import from_json, storage_error

if TYPE_CHECKING:
    from naslib_ecnas.training import Cifar10

__all__ = [
    "ATTEMPTS",
    "PAUSE_S",
    "WARM_UP",
    "Cluster",
    "Done",
    "Warmth",
    "attempts_folder",
    "exhausted",
    "images",
    "launch",
    "measure_unit",
    "opened",
    "read_replay",
    "work",
]

#: Folder of a campaign that contains every attempt: claim, log, and records that do not count.
ATTEMPTS = "attempts"

#: Folder of a campaign that contains the cluster's scripts and outputs.
_JOBS = "jobs"

#: Name of the window of a warm-up; it is in no energy of a record.
WARM_UP = "warm-up"

#: Pause in s after which a GPU has cooled down so far that it must be warmed up again.
PAUSE_S = 180.0

#: Attempts that a unit may lose to dying workers: one that kills its worker must not do so forever.
_LOSSES = 20

#: Failed trainings in succession after which a worker takes the fault to be its own, and ends.
_FAILURES = 3

#: Seconds between two looks at other workers' units, or at a cluster's jobs.
_POLL_S = 1.0

#: The longest pause between two tries to write a record, in s.
_LONGEST_WAIT_S = 30.0

_CLUSTERS = ("slurm", "local")

#: Synthetic images are the same for every campaign, so that its units differ in their seeds only.
_SYNTHETIC_SEED = 0

Clock = Callable[[], float]
Sleep = Callable[[float], object]


# -- what a training needs -----------------------------------------------------------------------


class Warmth:
    """Whether a worker's device is warm from its last training.

    Args:
        clock: time in s; for tests.
    """

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._last: float | None = None

    @property
    def cold(self) -> bool:
        """Whether this process has not measured a unit yet, or not for `PAUSE_S`."""
        return self._last is None or self._clock() - self._last > PAUSE_S

    def trained(self) -> None:
        """Note that a unit was measured just now."""
        self._last = self._clock()


@lru_cache(maxsize=1)
def images(choice: DataChoice) -> Cifar10:
    """The images that a plan names, read once in a process.

    Raises:
        MissingDependencyError: torch is not installed.
        UnknownTableError, FormatError: the files are missing or damaged.
    """
    from naslib_ecnas.training import read_cifar10, synthetic

    count = choice.images_per_file
    if choice.path is None:
        return synthetic(seed=_SYNTHETIC_SEED, images_per_file=count)
    folder = Path(choice.path).expanduser()
    if choice.kind == "tfrecord":
        return read_cifar10(folder, form="tfrecord", images_per_file=count)
    return read_cifar10(folder, images_per_file=count)


@dataclass(frozen=True)
class Opened:
    """A meter and how it measures."""

    meter: Meter
    label: MeterLabel


@contextmanager
def opened(settings: Settings) -> Iterator[Opened]:
    """The meter that a campaign's settings name, closed afterwards.

    `auto` measures a GPU if the device is one or if one is named, and the CPU if its counters can
    be read; without a GPU it measures the CPU or nothing. A GPU that cannot be measured is an
    error, so that no long campaign ends without energies.

    Raises:
        MeterError: the GPU cannot be measured, or others use it.
        MissingDependencyError: nvidia-ml-py is not installed.
        FormatError, StorageError: the file of a replay cannot be read.
    """
    found = _open(settings)
    try:
        yield found
    finally:
        found.meter.close()


def _open(settings: Settings) -> Opened:
    if settings.replay is not None:
        return Opened(read_replay(Path(settings.replay)), _label("replay"))
    if settings.meter == "none":
        return Opened(NullMeter(), _label("none"))
    if settings.device.startswith("cuda") or settings.gpu is not None:
        real = EnergyMeter(devices=[settings.gpu or settings.device], sync=_sync(settings.device))
        return Opened(real, _label("nvml", real))
    real = EnergyMeter(devices=())
    if real.cpu_state.kind == "measured":
        return Opened(real, _label("rapl", real))
    real.close()
    return Opened(NullMeter(), _label("none", real))


def _sync(device: str) -> Callable[[], object] | None:
    if not device.startswith("cuda"):
        return None
    import torch

    return lambda: torch.cuda.synchronize(device)


def _label(kind: str, meter: EnergyMeter | None = None) -> MeterLabel:
    if meter is None:
        return MeterLabel(
            kind=kind, methods={}, periods_s={}, notes={}, cpu="off", cpu_detail="not asked for"
        )
    return MeterLabel(
        kind=kind,
        methods=dict(meter.methods),
        periods_s=dict(meter.periods_s),
        notes=dict(meter.notes),
        cpu=meter.cpu_state.kind,
        cpu_detail=meter.cpu_state.detail,
    )


def read_replay(path: Path) -> ReplayMeter:
    """A meter from a file: a trace of power, or windows.

    A trace is a JSON object with `times_s`, which begin when the meter is opened, and `powers_w`.
    Windows are the lines of an attempt's log, or a JSON array of `Window.to_dict`.

    Raises:
        StorageError: the file cannot be read.
        FormatError: it contains neither.
        ConfigError: times or powers are not possible.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise storage_error(error, path) from error
    data: Any = None
    try:
        data = from_json(raw)
    except ValueError:
        windows = log_windows(path)
        if windows:
            return ReplayMeter(windows)
    if isinstance(data, dict) and {"times_s", "powers_w"} <= set(data):
        try:
            return ReplayMeter.of_trace(data["times_s"], data["powers_w"])
        except (TypeError, ValueError) as error:
            raise FormatError(f"not a trace of power: {error}", path=path) from error
    if isinstance(data, list) and data:
        return ReplayMeter([Window.from_dict(item) for item in data])
    raise FormatError(
        "a replay needs times_s and powers_w, an array of windows, or the log of an attempt",
        path=path,
    )


# -- the measurement of one unit -----------------------------------------------------------------


def measure_unit(
    unit: Unit,
    plan: Plan,
    settings: Settings,
    *,
    data: Cifar10,
    log: AttemptLog,
    attempt: int = 1,
    check: Callable[[], object] = lambda: None,
    warmth: Warmth | None = None,
    on_step: Callable[[int, int], object] = lambda steps_done, steps_total: None,
    sleep: Sleep = time.sleep,
) -> Measurement:
    """Train a unit's cell and measure it.

    Rest is measured before and after the training, since what the machine uses without it is part
    of every energy. A cold device is warmed up first, in a window of its own.

    Args:
        unit: what to train.
        plan: the unit's plan.
        settings: how to measure.
        data: images of the plan.
        log: receives the meter's windows as they end.
        attempt: number of the attempt.
        check: called after every step; an exception that it raises ends the training.
        warmth: state of a worker that has measured units before; without it a device is cold.
        on_step: callback(steps_done, steps_total); 0 of 0 before the first step.
        sleep: used for rests.

    Raises:
        ConfigError: a setting is not possible.
        MeterError: the GPU cannot be measured.
        RuntimeError: torch failed, for example because the GPU's memory is too small.
    """
    from naslib_ecnas.training import RECIPES, train
    from naslib_ecnas.training.run import warm_up

    warmth = warmth or Warmth()
    owner = Owner.here()
    recipe = replace(RECIPES[plan.recipe], images=settings.images)
    if settings.batch_size is not None:
        recipe = replace(recipe, batch_size=settings.batch_size)
    steps = settings.steps
    if steps is not None and steps >= recipe.steps(unit.epochs, len(data.train)):
        steps = None
    cell = Cell.from_row(unit.row)
    if str(cell) != unit.cell:
        raise EcnasError(f"the plan's cell of row {unit.row} must be {cell}", value=unit.cell)

    def progress(
        task: str, done: int = 0, total: int | None = None, *, unit: str = "", note: str = ""
    ) -> None:
        check()
        on_step(done, total or 0)

    on_step(0, 0)
    with opened(settings) as found:
        meter = LoggedMeter(found.meter, log)
        rests = found.label.kind != "none" and settings.baseline_s > 0

        def rest(name: str) -> None:
            if rests:
                with meter.window(name):
                    sleep(settings.baseline_s)

        if settings.warm_up_s and warmth.cold:
            with meter.window(WARM_UP):
                warm_up(
                    cell,
                    epochs=unit.epochs,
                    recipe=recipe,
                    data=data,
                    seconds=settings.warm_up_s,
                    device=settings.device,
                    progress=lambda *args, **options: check(),
                )
        rest("rest-before")
        training = train(
            cell,
            epochs=unit.epochs,
            recipe=recipe,
            data=data,
            seed=unit.seed,
            meter=meter,
            device=settings.device,
            steps=steps,
            evaluate_images=settings.evaluate_images,
            progress=progress,
        )
        rest("rest-after")
        windows = found.meter.windows
    warmth.trained()
    return Measurement(
        unit=unit,
        attempt=attempt,
        plan=plan.checksum,
        owner=owner,
        settings=settings,
        meter=found.label,
        training=training,
        windows=windows,
    )


# -- the worker ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Done:
    """How a worker's attempt at a unit ended."""

    unit: Unit
    attempt: int
    how: str
    """One of `claims.ENDINGS`."""
    detail: str
    seconds: float


def attempts_folder(folder: Path, unit: Unit) -> Path:
    """Folder of a unit's attempts in the folder of a campaign."""
    return folder / ATTEMPTS / unit.name


def exhausted(made: list[Attempt], tries: int) -> bool:
    """Whether a unit is given up, if it has no record and no worker is measuring it."""
    bad = sum(attempt.ended in ("invalid", "failed") for attempt in made)
    lost = sum(attempt.ended == "" for attempt in made)
    return bad >= tries or lost >= _LOSSES


def work(
    folder: Path,
    settings: Settings,
    *,
    pace: Pace | None = None,
    limit: int | None = None,
    on_attempt: Callable[[Done], object] = lambda done: None,
    on_step: Callable[[Unit, int, int], object] = lambda unit, steps_done, steps_total: None,
    clock: Clock = time.monotonic,
    sleep: Sleep = time.sleep,
) -> list[Done]:
    """Measure units of a campaign until none is left.

    Any number of workers, on any machines that share the folder, can do so at the same time. If a
    worker is killed another measures its unit; everything that was recorded is kept.

    Args:
        folder: folder of the campaign.
        settings: how to measure.
        pace: how to handle claims and failures.
        limit: end after recording so many units.
        on_attempt: callback(done) after each attempt.
        on_step: callback(unit, steps_done, steps_total) after each step, within what is measured,
            so it must be quick; 0 of 0 before the first step.
        clock, sleep: time in s, of claims, waits and rests; for tests.

    Returns:
        The attempts of this worker.

    Raises:
        UnknownTableError, FormatError: there is no campaign, or its images cannot be read.
        ConfigError: a setting is not possible.
        MeterError: the GPU cannot be measured.
        EcnasError: several trainings in succession failed.
    """
    if limit is not None:
        check_counts(limit=limit)
    from naslib_ecnas.training import check_device

    pace = pace or Pace()
    plan = Plan.read(folder)
    check_device(settings.device)  # before a unit is claimed for a device that does not exist
    worker = _Worker(folder, plan, settings, pace, images(plan.data), on_step, clock, sleep)
    done: list[Done] = []
    while limit is None or sum(d.how == "recorded" for d in done) < limit:
        claimed, busy = worker.claim()
        if claimed is None:
            if not (busy and pace.wait):
                break
            sleep(min(_POLL_S, pace.stale_s / 4))
            continue
        done.append(worker.attempt(*claimed))
        on_attempt(done[-1])
        last = done[-_FAILURES:]
        if len(last) == _FAILURES and all(d.how == "failed" for d in last):
            raise EcnasError(
                f"{_FAILURES} trainings failed one after the other; the last: {last[-1].detail}",
                remedy="correct the cause and run the same command again",
            )
    return done


@dataclass
class _Worker:
    """The state of `work`; see there."""

    folder: Path
    plan: Plan
    settings: Settings
    pace: Pace
    data: Cifar10
    on_step: Callable[[Unit, int, int], object]
    clock: Clock
    sleep: Sleep
    stale: StaleClaims = field(init=False)
    warmth: Warmth = field(init=False)

    def __post_init__(self) -> None:
        self.stale = StaleClaims(self.pace.stale_s, self.clock)
        self.warmth = Warmth(self.clock)

    def claim(self) -> tuple[tuple[Unit, Claim] | None, bool]:
        """The first free unit, claimed; and whether other workers are measuring units."""
        there = recorded(self.folder)
        busy = False
        for unit in self.plan.units:
            if unit.name in there:
                continue
            place = attempts_folder(self.folder, unit)
            made = attempts(place)
            last = made[-1] if made else None
            if last is not None and last.ended == "" and not self.stale.over(place, last.number):
                busy = True
                continue
            if exhausted(made, self.pace.tries):
                continue
            claim = take(place, last.number + 1 if last else 1)
            if claim is not None:
                return (unit, claim), busy
            busy = True  # another worker was faster
        return None, busy

    def attempt(self, unit: Unit, claim: Claim) -> Done:
        """Measure a unit and write its record."""
        log = AttemptLog(claim.folder, claim.number)
        began = self.clock()

        def ended(how: str, detail: str = "") -> Done:
            with suppress(StorageError):  # the record counts, whether or not the log has an end
                log.end(how, detail)
            return Done(unit, claim.number, how, detail, self.clock() - began)

        target = record_path(self.folder, unit)
        try:
            with Heartbeat(claim, beat_s=self.pace.beat_s) as heartbeat:
                if target.exists():  # its worker finished between our look and our claim
                    return ended("not-needed")
                record = measure_unit(
                    unit,
                    self.plan,
                    self.settings,
                    data=self.data,
                    log=log,
                    attempt=claim.number,
                    check=heartbeat.check,
                    warmth=self.warmth,
                    on_step=lambda done, total: self.on_step(unit, done, total),
                    sleep=self.sleep,
                )
                apart = claim.folder / f"{claim.number:04d}.json"
                faults = essential_faults(record)
                if faults:
                    self._write(record, apart, heartbeat)
                    return ended("invalid", "; ".join(faults))
                if not claim.mine or target.exists():
                    self._write(record, apart, heartbeat)
                    return ended("superseded")
                self._write(record, target, heartbeat)
                return ended("recorded")
        except Superseded as error:
            return ended("superseded", str(error))
        except (RuntimeError, MemoryError) as error:  # torch's, for one cell or for all
            return ended("failed", f"{type(error).__name__}: {str(error)[:500]}")
        except BaseException as error:
            # An interrupt, or an error that no unit causes: free the claim at once.
            with suppress(EcnasError):
                log.end("stopped", f"{type(error).__name__}: {str(error)[:500]}")
            raise

    def _write(self, record: Measurement, path: Path, heartbeat: Heartbeat) -> None:
        """Write a record, and try again for `pace.patience_s`: it may have taken hours to train.

        Raises:
            StorageError: it still cannot be written.
            Superseded: another worker has taken over the unit meanwhile.
        """
        until, wait = self.clock() + self.pace.patience_s, _POLL_S
        while True:
            try:
                record.write(path)
            except StorageError as error:
                if self.clock() + wait > until:
                    raise
                warnings.warn(f"the record of {record.unit} waits: {error}", stacklevel=2)
                self.sleep(wait)
                wait = min(2 * wait, _LONGEST_WAIT_S)
                heartbeat.check()
            else:
                return


# -- workers as an array of a cluster's jobs, one GPU each, by submitit --------------------------


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
    """Time limit of a job, after which SLURM queues it again."""

    def __post_init__(self) -> None:
        if self.kind not in _CLUSTERS:
            raise ConfigError(f"a cluster must be {' or '.join(_CLUSTERS)}", value=self.kind)
        check_counts(workers=self.workers, cpus=self.cpus)
        check_numbers(hours=self.hours)
        if self.hours * 60 < 1:
            raise ConfigError("hours must be at least a minute", value=self.hours)


class _Job:
    """One worker, as submitit sends it to a node."""

    def __init__(self, folder: Path, settings: Settings, pace: Pace, limit: int | None) -> None:
        self._arguments = folder, settings, pace, limit

    def __call__(self, number: int) -> int:
        """Run the worker; returns how many units it recorded."""
        folder, settings, pace, limit = self._arguments
        done = work(folder, settings, pace=pace, limit=limit)
        return sum(one.how == "recorded" for one in done)

    def checkpoint(self, number: int) -> Any:
        """The same job again, which submitit queues if it is preempted or out of time.

        The end of the worker frees its unit, which is then trained again.
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
        folder: folder of the campaign, which every node must be able to reach.
        settings, pace, limit: see `work`.
        cluster: where to run them.
        wait: whether to wait for their end; `local` always does, since its jobs end with this
            process.
        progress: callback(jobs_ended, jobs_total) while waiting.

    Returns:
        Numbers of the jobs.

    Raises:
        MissingDependencyError: submitit is not installed.
        UnknownTableError, FormatError: there is no campaign.
        ConfigError: there is no such cluster here.
        EcnasError: a job failed, or none could be submitted.
    """
    Plan.read(folder)
    place = folder.resolve()
    executor = _executor(place / _JOBS, cluster)
    job = _Job(place, settings, pace or Pace(), limit)
    try:
        jobs = executor.map_array(job, range(cluster.workers))
    except (RuntimeError, OSError) as error:  # FailedJobError of sbatch is one
        raise EcnasError(f"the jobs could not be submitted: {str(error).strip()[-500:]}") from error
    if wait or cluster.kind == "local":
        _wait(jobs, place / _JOBS, progress)
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
            f"{cluster.kind} needs sbatch on the PATH ({error})",
            remedy="run this on a login node of the cluster, or with --cluster local",
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
            # Queue the job again if its node fails, which is not the default of every cluster.
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
                if failed is not None:  # the other workers take over its unit
                    failures.append(f"{job.job_id}: {str(failed).strip()[-500:]}")
            progress(len(jobs) - len(running), len(jobs))
            if running and not ended:
                time.sleep(_POLL_S)
    except BaseException:
        for job in running:  # their records are kept
            job.cancel(check=False)
        raise
    if failures:
        raise EcnasError(
            f"{len(failures)} of {len(jobs)} jobs failed; the first: {failures[0]}",
            remedy=f"see their output in {folder}, then run the same command to go on",
        )

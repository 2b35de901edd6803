"""A worker: takes units one after the other until none is left that it could do."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from naslib_ecnas.campaign.claims import (
    Attempt,
    AttemptLog,
    Claim,
    Heart,
    LoggedMeter,
    Owner,
    Superseded,
    Watch,
    attempts,
    log_windows,
    take,
)
from naslib_ecnas.campaign.plan import DataChoice, Pace, Plan, Settings, Unit
from naslib_ecnas.campaign.record import (
    Measurement,
    MeterLabel,
    essential_faults,
    record_path,
    recorded,
)
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
    "CLUSTERS",
    "JOBS",
    "PAUSE_S",
    "WARM_UP",
    "Cluster",
    "Done",
    "Job",
    "Opened",
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


# Whether a worker's device is warm, so that its next unit can be measured like the others.


#: Name of the meter's window of a warm-up; like those of rest it is in no energy of a record.
WARM_UP = "warm-up"

#: Pause in s after which a GPU has cooled down so far that it has to be warmed up again.
PAUSE_S = 180.0


class Warmth:
    """When a worker's device last trained.

    Args:
        clock: time in s; a test gives its own.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: float | None = None

    @property
    def cold(self) -> bool:
        """Whether no unit was measured by this process, or none lately."""
        return self._last is None or self._clock() - self._last > PAUSE_S

    def keep(self) -> None:
        """Take note that a unit was measured just now."""
        self._last = self._clock()


# The images that a plan names.


#: Synthetic images are the same for every campaign, so that its units differ in their seeds only.
_SEED = 0


@lru_cache(maxsize=1)
def images(choice: DataChoice) -> Cifar10:
    """The images, read once in a process.

    Raises:
        MissingDependencyError: torch is not installed.
        UnknownTableError, FormatError: the files are not there, or damaged.
    """
    from naslib_ecnas.training import read_cifar10, synthetic

    if choice.path is None:
        return synthetic(seed=_SEED, images_per_file=choice.images_per_file)
    folder = Path(choice.path).expanduser()
    count = choice.images_per_file
    if choice.kind == "tfrecord":
        return read_cifar10(folder, form="tfrecord", images_per_file=count)
    return read_cifar10(folder, images_per_file=count)


# Opens the meter that a campaign's settings name.


@dataclass(frozen=True)
class Opened:
    """A meter and how it measures."""

    meter: Meter
    label: MeterLabel


@contextmanager
def opened(settings: Settings) -> Iterator[Opened]:
    """The meter of a training, closed afterwards.

    Of `auto`: on a GPU, or where one is named, its sensors, and the CPU's where they can be read;
    on a CPU the latter, or none. A GPU that cannot be measured is an error: a campaign whose
    energies turn out to be missing in the end is worse than one that does not begin.

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
        return Opened(real, _real_label("nvml", real))
    real = EnergyMeter(devices=())
    if real.cpu_state.kind == "measured":
        return Opened(real, _real_label("rapl", real))
    real.close()
    state = real.cpu_state
    return Opened(NullMeter(), _label("none", cpu=state.kind, detail=state.detail))


def _sync(device: str) -> Callable[[], object] | None:
    if not device.startswith("cuda"):
        return None
    import torch

    return lambda: torch.cuda.synchronize(device)


def _real_label(kind: str, meter: EnergyMeter) -> MeterLabel:
    return MeterLabel(
        kind=kind,
        methods=dict(meter.methods),
        periods_s=dict(meter.periods_s),
        notes=dict(meter.notes),
        cpu=meter.cpu_state.kind,
        cpu_detail=meter.cpu_state.detail,
    )


def _label(kind: str, *, cpu: str = "off", detail: str = "not asked for") -> MeterLabel:
    return MeterLabel(kind=kind, methods={}, periods_s={}, notes={}, cpu=cpu, cpu_detail=detail)


def read_replay(path: Path) -> ReplayMeter:
    """A meter from a file: a trace of power, or windows.

    A trace is a JSON object with `times_s`, rising from the moment of opening, and `powers_w`.
    Windows are the lines of an attempt's log, or a JSON array of `Window.to_dict`.

    Raises:
        StorageError: the file cannot be read.
        FormatError: it holds neither.
        ConfigError: the trace is none.
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
            raise FormatError(f"no trace of power: {error}", path=path) from error
    if isinstance(data, list) and data:
        return ReplayMeter([Window.from_dict(item) for item in data])
    raise FormatError(
        "nothing to replay",
        path=path,
        expected="times_s and powers_w, an array of windows, or the log of an attempt",
    )


# The measurement of one unit: all that a campaign does, for one training.


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
    stepped: Callable[[int, int], None] = lambda made, due: None,
) -> Measurement:
    """Train a unit's cell and measure it.

    Around the training, while its network and images hold their memory on a GPU or not yet, a
    rest is measured, since what the machine uses without the training is part of every figure.
    Where the device is cold it is warmed up first, in a window of its own.

    Args:
        unit: what to train.
        plan: the campaign's.
        settings: how.
        data: images of the plan.
        log: gets the meter's windows as they end.
        attempt: number of the attempt.
        check: called after every step; what it raises ends the training.
        warmth: of the worker that has measured units before; a device is cold without.
        stepped: hears of the steps that were submitted and those to make; 0 of 0 before the first.

    Raises:
        ConfigError: a setting is not possible.
        MeterError: the GPU cannot be measured.
        RuntimeError: torch failed, as where the GPU's memory is too small.
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
        raise EcnasError(
            "the plan's cell is not that of its row", value=unit.cell, expected=str(cell)
        )

    def on_step(made: int, due: int) -> None:
        check()
        stepped(made, due)

    stepped(0, 0)
    with opened(settings) as found:
        meter = LoggedMeter(found.meter, log)
        if settings.warm_up_s and warmth.cold:
            with meter.window(WARM_UP):
                warm_up(
                    cell,
                    epochs=unit.epochs,
                    recipe=recipe,
                    data=data,
                    seconds=settings.warm_up_s,
                    device=settings.device,
                    check=check,
                )
        rests = found.label.kind != "none" and settings.baseline_s > 0
        if rests:
            with meter.window("rest-before"):
                time.sleep(settings.baseline_s)
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
            progress=on_step,
        )
        if rests:
            with meter.window("rest-after"):
                time.sleep(settings.baseline_s)
        windows = found.meter.windows
    warmth.keep()
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


#: Folder of a campaign that holds every attempt: claim, log, and records that do not count.
ATTEMPTS = "attempts"

#: Attempts that a unit may lose to dying workers; one that kills its worker must not do so forever.
_LOSSES = 20

#: Trainings that may fail in succession before a worker takes itself to be the reason.
_ROW = 3

_POLL_S = 1.0

Told = Callable[["Done"], None]

#: Hears of a unit, the steps that were submitted and those to make; 0 of 0 before the first.
Stepped = Callable[[Unit, int, int], None]


@dataclass(frozen=True)
class Done:
    """How a worker's attempt at a unit ended."""

    unit: Unit
    attempt: int
    how: str
    """One of `attempts.ENDINGS`."""
    detail: str
    seconds: float


def attempts_folder(folder: Path, unit: Unit) -> Path:
    """The attempts of a unit, below the folder of the campaign."""
    return folder / ATTEMPTS / unit.name


def exhausted(made: list[Attempt], tries: int) -> bool:
    """Whether a unit without a record, at which nobody is at work, is given up."""
    bad = sum(attempt.ended in ("invalid", "failed") for attempt in made)
    lost = sum(attempt.ended == "" for attempt in made)
    return bad >= tries or lost >= _LOSSES


def work(
    folder: Path,
    settings: Settings,
    *,
    pace: Pace | None = None,
    limit: int | None = None,
    told: Told = lambda done: None,
    stepped: Stepped = lambda unit, made, due: None,
) -> list[Done]:
    """Measure units of a campaign until none is left.

    Any number of workers, on any machines that share the folder, may do so at once. A worker that
    is killed leaves its unit to the others; everything that was recorded is kept.

    Args:
        folder: of the campaign.
        settings: how to measure.
        pace: how to treat claims and failures.
        limit: end after so many units of one's own.
        told: hears of each attempt as it ends.
        stepped: hears of each step, from within what is measured: it has to be quick.

    Returns:
        The attempts of this worker.

    Raises:
        UnknownTableError, FormatError: no campaign, or images that cannot be had.
        ConfigError: a setting is not possible.
        MeterError: the GPU cannot be measured.
        EcnasError: trainings fail one after the other.
    """
    pace = pace or Pace()
    if limit is not None and limit < 1:
        raise ConfigError(
            "no units would be measured", value=limit, expected="1 or more", remedy="leave it out"
        )
    from naslib_ecnas.training import check_device

    plan = Plan.read(folder)
    check_device(settings.device)  # before a unit is claimed for a device that is not there
    data = images(plan.data)
    watch = Watch(pace.stale_s)
    warmth = Warmth()
    done: list[Done] = []
    while limit is None or sum(d.how == "recorded" for d in done) < limit:
        claimed, busy = _claim(folder, plan, watch, pace)
        if claimed is None:
            if not (busy and pace.wait):
                break
            time.sleep(min(_POLL_S, pace.stale_s / 4))
            continue
        unit, claim = claimed
        done.append(_attempt(folder, plan, unit, claim, settings, pace, data, warmth, stepped))
        told(done[-1])
        last = done[-_ROW:]
        if len(last) == _ROW and all(d.how == "failed" for d in last):
            raise EcnasError(
                f"{_ROW} trainings failed one after the other",
                value=last[-1].detail,
                remedy="mend what fails and run the same command again",
            )
    return done


def _claim(
    folder: Path, plan: Plan, watch: Watch, pace: Pace
) -> tuple[tuple[Unit, Claim] | None, bool]:
    """The first unit that is free, claimed; and whether others are at work."""
    there = recorded(folder)
    busy = False
    for unit in plan.units:
        if unit.name in there:
            continue
        place = attempts_folder(folder, unit)
        made = attempts(place)
        last = made[-1] if made else None
        if last is not None and last.ended == "" and not watch.over(place, last.number):
            busy = True
            continue
        if exhausted(made, pace.tries):
            continue
        claim = take(place, last.number + 1 if last else 1)
        if claim is not None:
            return (unit, claim), busy
        busy = True  # another worker was faster
    return None, busy


def _attempt(
    folder: Path,
    plan: Plan,
    unit: Unit,
    claim: Claim,
    settings: Settings,
    pace: Pace,
    data: Cifar10,
    warmth: Warmth,
    stepped: Stepped,
) -> Done:
    log = AttemptLog(claim.folder, claim.number)
    began = time.monotonic()

    def ended(how: str, detail: str = "") -> Done:
        with suppress(StorageError):  # what was recorded is, whether or not the log says so
            log.end(how, detail)
        return Done(unit, claim.number, how, detail, time.monotonic() - began)

    target = record_path(folder, unit)
    try:
        with Heart(claim, beat_s=pace.beat_s) as heart:
            if target.exists():  # its worker finished between our look and our claim
                return ended("not-needed")
            record = measure_unit(
                unit,
                plan,
                settings,
                data=data,
                log=log,
                attempt=claim.number,
                check=heart.check,
                warmth=warmth,
                stepped=lambda made, due: stepped(unit, made, due),
            )
            apart = claim.folder / f"{claim.number:04d}.json"
            faults = essential_faults(record)
            if faults:
                _write(record, apart, pace, heart)
                return ended("invalid", "; ".join(faults))
            if not claim.mine or target.exists():
                _write(record, apart, pace, heart)
                return ended("superseded")
            _write(record, target, pace, heart)
            return ended("recorded")
    except Superseded as error:
        return ended("superseded", str(error))
    except (RuntimeError, MemoryError) as error:  # what torch raises, for one cell or for all
        return ended("failed", f"{type(error).__name__}: {str(error)[:500]}")
    except BaseException as error:
        # Told to stop, or something that no unit is to blame for: free the claim at once.
        with suppress(EcnasError):
            log.end("stopped", f"{type(error).__name__}: {str(error)[:500]}")
        raise


def _write(record: Measurement, path: Path, pace: Pace, heart: Heart) -> None:
    """Write a record, again and again for a while: a training of hours hangs on it.

    Raises:
        StorageError: it still cannot be written.
        Superseded: another worker took the unit over meanwhile.
    """
    until, wait = time.monotonic() + pace.patience_s, _POLL_S
    while True:
        try:
            record.write(path)
        except StorageError as error:
            if time.monotonic() + wait > until:
                raise
            warnings.warn(f"the record of {record.unit} waits: {error}", stacklevel=2)
            time.sleep(wait)
            wait = min(2 * wait, 30.0)
            heart.check()
        else:
            return


# Workers as an array of a cluster's jobs, one GPU each, by submitit.


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

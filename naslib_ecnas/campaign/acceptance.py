"""The acceptance test of a machine before a campaign: `ecnas measure check`.

Every check runs in a process of its own, for a limited time, so that one that hangs, crashes or
breaks the GPU's context loses its own result alone. A check that cannot be made here is `not run`,
and then the machine is not called good.
"""

from __future__ import annotations

import importlib.util
import math
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from naslib_ecnas.campaign.plan import DataChoice, Settings, make_plan
from naslib_ecnas.campaign.validate import validate
from naslib_ecnas.campaign.worker import Done, work
from naslib_ecnas.cell import Cell
from naslib_ecnas.energy.meter import EnergyMeter, synchronise
from naslib_ecnas.energy.nvml import Nvml, torch_in_use, torch_uuid
from naslib_ecnas.energy.readings import MAX_DISAGREEMENT, Reading, Window
from naslib_ecnas.energy.sensors import NvmlUnavailable
from naslib_ecnas.errors import EcnasError, MissingDependencyError, check_choice
from naslib_ecnas.files import from_json, from_plain, to_json, to_plain
from naslib_ecnas.training.record import TrainingRecord

#: Rows of the three cells that are trained: a small, a middle and a large one of four vertices.
_ROWS = (0, 45, 90)
#: Least share of windows within their stated uncertainty, most of a core that the meter's thread
#: takes, largest difference of losses on GPU and CPU, and most that memory grows, as a share.
_INSIDE, _COST, _LOSS, _GROWTH = 0.95, 0.01, 1e-3, 0.1
#: Seconds of a load before it is measured, since sensors average over one, and while it is.
_SETTLE_S, _LOAD_S = 2.0, 4.0


@dataclass(frozen=True)
class Outcome:
    """What one check found."""

    check: str
    state: str
    """`good`, `bad`, `not run`, or `cut off` by its time limit."""
    found: str
    """The numbers in words, or the reason."""
    seconds: float
    values: Mapping[str, Any] = field(default_factory=dict)
    """The numbers by name, with their units in the names."""


class NotRun(EcnasError):
    """A check cannot be made here."""


#: Whether all is well, and the numbers.
Found = tuple[bool, dict[str, Any]]


def verdict(outcomes: Sequence[Outcome]) -> str:
    """`bad` if a check is, else `good` if all were made and are, else `incomplete`."""
    states = {outcome.state for outcome in outcomes}
    whole = states == {"good"} and {outcome.check for outcome in outcomes} == CHECKS.keys()
    return "bad" if "bad" in states else "good" if whole else "incomplete"


def target(device: str, gpu: str | None = None, shared: str = "graphics") -> Settings:
    """Settings of what is checked: units of five steps without rest, and small ones on a CPU."""
    size = 256 if device.startswith("cuda") else 2
    small: dict[str, Any] = {"steps": 5, "batch_size": size, "evaluate_images": size}
    where: dict[str, Any] = {"device": device, "gpu": gpu, "shared": shared}
    return Settings(**where, **small, baseline_s=0.0, warm_up_s=0.0)


def _cuda(target: Settings) -> bool:
    return target.device.startswith("cuda")


def _child(code: str, target: Settings, first: object = "") -> list[str]:
    """Command of a process that runs `code`, in which `a` is this module, with two arguments."""
    begin = "import sys; from naslib_ecnas.campaign import acceptance as a; "
    begin += "target = a.from_plain(a.Settings, a.from_json(sys.argv[2])); "
    return [sys.executable, "-c", begin + code, str(first), to_json(target)]


def _meter(target: Settings, **options: Any) -> EnergyMeter:
    """A meter of the GPU alone; raises NotRun if there is none."""
    name = target.gpu or target.device
    if name.startswith("cpu"):
        raise NotRun("no GPU to measure")
    return EnergyMeter(devices=[name], cpu=False, shared=target.shared, **options)


# -- the meter -----------------------------------------------------------------------------------


def uuids(device: str, environ: Mapping[str, str] | None = None) -> tuple[str, str | None, str]:
    """UUIDs that NVML and torch give a device, and its NVML number; NotRun for a MIG instance."""
    importlib.import_module("torch")  # which `torch_uuid` asks only where it is loaded
    with closing(Nvml()) as nvml:
        gpus, gpu = nvml.gpus(), nvml.resolve(device, environ)
    if gpu.mig:
        raise NotRun("a MIG instance has a UUID of its own")
    return gpu.uuid, torch_uuid(device), str([one.uuid for one in gpus].index(gpu.uuid))


def _identity(target: Settings) -> Found:
    """torch and NVML mean the same GPU, however CUDA_VISIBLE_DEVICES names it."""
    uuid, by_torch, number = uuids(target.device)
    values: dict[str, Any] = {"nvml": uuid, "torch": by_torch}
    for shown in (uuid, number):
        environ = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": shown}
        words = _child("print(*a.uuids('cuda:0', a.os.environ)[:2])", target)
        said = subprocess.check_output(words, env={**os.environ, **environ}, text=True)
        values |= dict(zip((f"nvml as {shown}", f"torch as {shown}"), said.split(), strict=True))
    return set(values.values()) == {uuid}, values


def _sensor(target: Settings) -> Found:
    """The GPU has a counter, or power without averaging; its refresh and what a window takes."""
    with _meter(target) as meter:
        ((uuid, method),) = meter.methods.items()
        began, count = time.monotonic(), 50
        for _ in range(count):
            with meter.window("empty"):
                pass
        window_s = (time.monotonic() - began) / count
    setup, notes = meter.setups[uuid], "; ".join(meter.notes[uuid])
    values = {"gpu": setup.name, "driver": setup.driver, "method": method, "notes": notes}
    numbers = {"refresh_s": meter.periods_s[uuid], "window_s": window_s}
    return method in ("counter", "instant-power"), {**values, **numbers}


def _one(window: Window) -> Reading:
    """The reading of the only GPU; an EcnasError if it is invalid."""
    (reading,) = window.energy_j.values()
    if not reading.valid:
        raise EcnasError(f"window {window.name} is invalid, {reading.reason}: {reading.detail}")
    return reading


def _repeat(submit: Callable[[], object], seconds: float) -> float:
    """Submit work and wait for it, for so many seconds; returns the mean seconds of one."""
    began, took, count = time.monotonic(), 0.0, 0
    while took < seconds:
        submit()
        synchronise()
        took, count = time.monotonic() - began, count + 1
    return took / count


def _agree(target: Settings, **works: Callable[[], object]) -> Found:
    """Counter and integrated power agree within 5 % under each load."""
    good, values = True, dict[str, Any]()
    with _meter(target) as meter:
        for name, load in works.items():
            _repeat(load, _SETTLE_S)
            with meter.window(name) as span:
                _repeat(load, _LOAD_S)
            reading, seconds = _one(span.window), span.window.seconds
            if math.isnan(reading.integral_j):
                raise NotRun(f"the GPU has one sensor only, {reading.method}")
            values[f"{name}_counter_w"] = reading.energy_j / seconds
            values[f"{name}_integrated_w"] = reading.integral_j / seconds
            good &= reading.agreement == "agree"
    return good, values


def _matrix(target: Settings) -> Callable[[], object]:
    """Submits a product of matrices, which takes some milliseconds on a large GPU."""
    import torch

    size = 8192 if _cuda(target) else 128
    return partial(torch.mm, *2 * [torch.rand(size, size, device=target.device)])


def _loads(target: Settings) -> Found:
    """Matrix products, and copies of memory."""
    import torch

    source = torch.ones(2**27 if _cuda(target) else 2**16, device=target.device)
    copy = partial(torch.empty_like(source).copy_, source)
    return _agree(target, matrix=_matrix(target), copy=copy)


def _edges(target: Settings) -> Found:
    """Work of two seconds that is still queued is in its window only if the edges wait for it."""
    submit = _matrix(target)
    _repeat(submit, 0.1)  # the first takes longer
    count, found_s = max(1, round(2.0 / _repeat(submit, 0.1))), {}
    ways: dict[str, dict[str, Any]] = {"synchronised_s": {}, "not_synchronised_s": {"sync": None}}
    for name, options in ways.items():
        with _meter(target, **options) as meter, meter.window("queued") as span:
            for _ in range(count):
                submit()
        synchronise()
        found_s[name] = span.window.seconds
    return 1.5 < found_s["synchronised_s"] < 4 and found_s["not_synchronised_s"] < 1, found_s


def _windows(target: Settings) -> Found:
    """Windows of .05 to 2 s at rest have the power of the whole rest within their uncertainty."""
    short = []
    with _meter(target) as meter:
        time.sleep(_SETTLE_S)
        with meter.window("rest") as whole:
            for step in range(20):
                with meter.window("short") as span:
                    time.sleep(0.05 * 40 ** (step / 19))
                short.append(span.window)
    rest, total_s = _one(whole.window), whole.window.seconds
    inside = too_short = 0
    for window in short:
        (reading,) = window.energy_j.values()
        too_short += reading.reason == "too-short"
        share = window.seconds / total_s
        off_j = abs(reading.energy_j - rest.energy_j * share)
        inside += off_j <= reading.uncertainty_j + rest.uncertainty_j * share  # NaN is not
    good = too_short < len(short) / 2 and inside >= _INSIDE * (len(short) - too_short)
    return good, {"windows": len(short), "inside": inside, "too_short": too_short}


_STRANGER = """
import os, sys, time
if os.fork():
    os._exit(0)  # an orphan is no descendant of the check
import torch
held = torch.ones(2**20, device=sys.argv[1])
torch.cuda.synchronize()
print(os.getpid(), flush=True)
time.sleep(120)
"""


def _stranger(target: Settings) -> Found:
    """Another process that begins to use the GPU in a window is noticed."""
    words = [sys.executable, "-c", _STRANGER, target.device]
    with _meter(target) as meter, meter.window("shared") as span:
        process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        pid = int(process.stdout.readline() or 0) if process.stdout else 0
        time.sleep(0.5)
    if pid:
        os.kill(pid, signal.SIGKILL)
    process.communicate()
    (reading,) = span.window.energy_j.values()
    others = [p for state in reading.states for p in state.others or ()]
    # In a container the process has another number for NVML, which /proc does not list.
    seen = {other.pid for other in others if other.pid == pid or not other.visible}
    return bool(pid and seen), {"started": int(pid > 0), "seen": len(seen)}


def _cost(target: Settings) -> Found:
    """The meter's thread takes less than 1 % of a core."""
    with _meter(target):
        time.sleep(0.5)
        began, cpu = time.monotonic(), time.process_time()
        time.sleep(3.0)
        share = (time.process_time() - cpu) / (time.monotonic() - began)
    return share < _COST, {"share_of_a_core": share}


def _tools(target: Settings) -> Found:
    """The mean power is that of nvidia-smi and, where it is installed, of Zeus."""
    program, others = shutil.which("nvidia-smi"), dict[str, float]()
    if program is None:
        raise NotRun("nvidia-smi is not installed")
    load = _matrix(target) if _cuda(target) else partial(time.sleep, 0.05)
    words = [program, "--query-gpu=power.draw", "--format=csv,noheader,nounits", "--loop-ms=100"]
    zeus: Any = None
    if importlib.util.find_spec("zeus") is not None:
        monitor = importlib.import_module("zeus.monitor").ZeusMonitor
        zeus = monitor(gpu_indices=[int(target.device.partition(":")[2] or 0)], cpu_indices=[])
    with _meter(target) as meter:
        words += [f"--id={uuid}" for uuid in meter.methods]
        _repeat(load, _SETTLE_S)
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
            if zeus:
                zeus.begin_window("work", sync_execution=False)
            with meter.window("work") as span:
                _repeat(load, _LOAD_S)
            seconds = span.window.seconds
            if zeus:
                theirs_j = zeus.end_window("work", sync_execution=False).gpu_energy.values()
                others["zeus_w"] = math.fsum(theirs_j) / seconds
            process.terminate()
            said = process.communicate()[0].split()
    powers = [float(word) for word in said if word.replace(".", "", 1).isdecimal()]
    if not powers:
        raise NotRun("nvidia-smi gives no power")
    others["nvidia_smi_w"] = statistics.fmean(powers)
    watts = _one(span.window).energy_j / seconds
    good = all(abs(other - watts) <= MAX_DISAGREEMENT * watts for other in others.values())
    return good, {"meter_w": watts, **others}


# -- trainings -----------------------------------------------------------------------------------


def _trained(row: int, size: int, precision: str = "fp32", **options: Any) -> TrainingRecord:
    """A short training of a cell on made-up images, in batches of a size."""
    from naslib_ecnas.training import RECIPES, synthetic, train

    changes: dict[str, Any] = {"batch_size": size}
    changes |= {} if precision == "fp32" else {precision: True}
    recipe, data = RECIPES["ecnas"], synthetic(seed=0, images_per_file=10 * size)
    same: dict[str, Any] = {"epochs": 12, "seed": 0, "evaluate_images": size, "data": data}
    return train(Cell.from_row(row), recipe=replace(recipe, **changes), **same, **options)


def _arithmetic(target: Settings) -> Found:
    """Three cells have the same losses on the GPU as on the CPU, without TF32."""
    off, rounded = 0.0, set()
    for row in _ROWS:
        records = [_trained(row, 16, steps=3, device=d) for d in (target.device, "cpu")]
        pairs = zip(*(record.segments for record in records), strict=True)
        off = max(off, *(abs(a.mean_loss - b.mean_loss) for a, b in pairs))
        read = records[0].arithmetic.items()
        rounded |= {k for k, v in read if ("tf32" in k.lower() and v in (True, "1")) or v == "tf32"}
    return off <= _LOSS and not rounded, {"loss_difference": off, "tf32": ", ".join(rounded)}


def _steps(target: Settings) -> Found:
    """Time and energy of a step of three cells, by precision."""
    import torch

    size, steps = (256, 101) if _cuda(target) else (2, 9)
    values, precisions = {}, ["fp32", "tf32", "bf16"]
    if _cuda(target) and torch.cuda.get_device_capability(target.device) < (8, 0):
        precisions = ["fp32"]  # before Ampere there are no others
    with _meter(target) as meter:
        same: dict[str, Any] = {"steps": steps, "device": target.device, "meter": meter}
        for row, name in product(_ROWS, precisions):
            last = _trained(row, size, name, **same).segments[-1]
            (window,) = (w for w in meter.windows if w.index == last.window.index)
            (reading,) = window.energy_j.values()
            values[f"row {row} {name} step_ms"] = 1000 * window.seconds / last.steps
            values[f"row {row} {name} step_j"] = reading.energy_j / last.steps
    return all(map(math.isfinite, values.values())), values


def _units(target: Settings) -> Found:
    """Memory and open files stay as they are over many short units of a campaign."""
    count, used = 40 if _cuda(target) else 8, list[tuple[int, int, int]]()

    def note(_: Done) -> None:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
        torch = torch_in_use()
        on_gpu = 0 if torch is None else torch.cuda.memory_allocated(target.device)
        used.append((pages, on_gpu, len(os.listdir("/proc/self/fd"))))

    with _campaign(count) as folder:
        done = work(folder, target, on_attempt=note)
    units = sum(one.how == "recorded" for one in done)
    most, last = map(max, zip(*used[: count // 2], strict=True)), used[-1]
    pairs = zip(("memory", "gpu_memory", "open_files"), most, last, strict=True)
    growths = {f"{name}_growth": b / a - 1 if a else float(b > 0) for name, a, b in pairs}
    return units == count and max(growths.values()) <= _GROWTH, {"units": units, **growths}


def _resume(target: Settings) -> Found:
    """A worker that is killed loses its unit alone; the next one measures it."""
    with _campaign(2) as folder:
        words = _child("a.work(sys.argv[1], target)", target, folder)
        with subprocess.Popen(words, stdout=subprocess.DEVNULL) as process:
            claims = partial(folder.glob, "attempts/*/*.claim")
            # One without its owner would look alive for a while.
            while process.poll() is None and not any(one.stat().st_size for one in claims()):
                time.sleep(0.05)
            process.kill()
        done = work(folder, target)
        found = validate(folder)
    values = {"records": found.records, "again": sum(one.attempt > 1 for one in done)}
    return found.good and values == {"records": 2, "again": 1} and process.returncode < 0, values


@contextmanager
def _campaign(units: int) -> Iterator[Path]:
    """A folder with a campaign of one cell, so many times, on made-up images."""
    with TemporaryDirectory(prefix="ecnas-check-") as folder:
        data = DataChoice(kind="synthetic", images_per_file=256)
        plan = make_plan((0,), name="check", vertices=4, repeats=units, data=data)
        plan.write(Path(folder) / "campaign")
        yield Path(folder) / "campaign"


# -- all checks ----------------------------------------------------------------------------------

#: Name -> the check, its time limit in s, and whether it needs CUDA.
CHECKS: dict[str, tuple[Callable[[Settings], Found], float, bool]] = {
    "identity": (_identity, 90, True),
    "sensor": (_sensor, 60, False),
    "idle": (partial(_agree, idle=partial(time.sleep, 0.05)), 60, False),
    "loads": (_loads, 60, True),
    "edges": (_edges, 60, True),
    "windows": (_windows, 60, False),
    "second-process": (_stranger, 90, True),
    "cost": (_cost, 60, False),
    "other-tools": (_tools, 60, False),
    "arithmetic": (_arithmetic, 180, True),
    "steps": (_steps, 300, True),
    "units": (_units, 300, False),
    "resume": (_resume, 120, False),
}


def run_check(name: str, target: Settings) -> Outcome:
    """The outcome of a check, made in this process; nothing raises."""
    check, _, cuda = CHECKS[name]
    began, values = time.monotonic(), dict[str, Any]()
    try:
        if cuda and not _cuda(target):
            raise NotRun("no CUDA")
        good, values = check(target)
        values = to_plain(values)
        shown = {k: f"{v:.4g}" if isinstance(v, float) else v for k, v in values.items()}
        found = ", ".join(f"{k} {v}" for k, v in shown.items() if v != "")
        state = "good" if good else "bad"
    except (NotRun, NvmlUnavailable, MissingDependencyError) as error:
        state, found = "not run", str(error)
    except Exception as error:  # noqa: BLE001 - what a driver or a library raises is the outcome
        state, found = "bad", f"{type(error).__name__}: {error}"
    return Outcome(name, state, found, time.monotonic() - began, values)


def accept(target: Settings, names: Sequence[str] = ()) -> Iterator[Outcome]:
    """The outcomes of checks, all of `CHECKS` by default, each as soon as it is known.

    An unknown name raises a ConfigError.
    """
    for name in names:
        check_choice(tuple(CHECKS), check=name)
    for name in names or CHECKS:
        _, limit_s, cuda = CHECKS[name]
        if cuda and not _cuda(target):
            yield run_check(name, target)
            continue
        words = _child("print(a.to_json(a.run_check(sys.argv[1], target)))", target, name)
        pipes: dict[str, Any] = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE)
        began, state = time.monotonic(), "bad"
        # A session of its own, so that what it has started is ended with it.
        with subprocess.Popen(words, text=True, start_new_session=True, **pipes) as process:
            try:
                said, errors = process.communicate(timeout=limit_s)
                why = f"it ended with code {process.returncode}: {errors.strip().splitlines()[-1:]}"
            except subprocess.TimeoutExpired:
                state, why = "cut off", f"not finished after {limit_s:g} s"
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        if state == "bad" and process.returncode == 0:
            yield from_plain(Outcome, from_json(said.splitlines()[-1]))
        else:
            yield Outcome(name, state, why, time.monotonic() - began)

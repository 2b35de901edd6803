"""Opens the meter that a campaign's settings name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from naslib_ecnas.campaign.attempts import log_windows
from naslib_ecnas.campaign.measurement import MeterLabel
from naslib_ecnas.campaign.settings import Settings
from naslib_ecnas.energy.meter import EnergyMeter
from naslib_ecnas.energy.null import NullMeter
from naslib_ecnas.energy.protocol import Meter
from naslib_ecnas.energy.replay import ReplayMeter
from naslib_ecnas.energy.window import Window
from naslib_ecnas.errors import FormatError
from naslib_ecnas.json_text import from_json
from naslib_ecnas.storage import storage_error

__all__ = ["Opened", "opened", "read_replay"]


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

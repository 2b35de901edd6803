"""A named stretch of time with the energy that the devices used in it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from naslib_ecnas.energy.reading import Reading
from naslib_ecnas.errors import ConfigError, FormatError
from naslib_ecnas.json_text import from_json, to_json

__all__ = ["CpuState", "Window", "check_name"]


@dataclass(frozen=True)
class CpuState:
    """Whether the energy of the CPU packages and the memory is measured, and if not, why."""

    kind: str
    """`measured`, `absent` (this machine has no such counters), `denied` (this user may not read
    them), `elsewhere` (another process of this node counts them), `off` (not asked for)."""
    detail: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class Window:
    """What one `with meter.window(name)` measured. Energies in J, gross, PUE not in."""

    name: str
    path: str
    """Names of all windows around it and its own, joined by `/`."""
    index: int
    """Number in the order of opening, unique within a meter."""
    parent: int | None
    """Index of the window around it; None for the outermost."""
    started: float
    """`time.monotonic` in s."""
    stopped: float
    started_unix: float
    """`time.time` in s."""
    stopped_unix: float
    energy_j: Mapping[str, Reading] = field(default_factory=dict)
    """GPU UUID -> reading."""
    cpu_energy_j: Mapping[str, Reading] = field(default_factory=dict)
    """CPU package -> reading; of the whole package, not of this process alone."""
    dram_energy_j: Mapping[str, Reading] = field(default_factory=dict)
    """Memory domain -> reading."""
    cpu_state: CpuState = CpuState("off")
    error: str = ""
    """Type of the exception that ended the work, where one did."""

    @property
    def seconds(self) -> float:
        """Duration."""
        return self.stopped - self.started

    @property
    def valid(self) -> bool:
        """Whether there are GPU readings and all of them are valid."""
        return bool(self.energy_j) and all(r.valid for r in self.energy_j.values())

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why GPU readings are invalid, each reason once."""
        return tuple(dict.fromkeys(r.reason for r in self.energy_j.values() if not r.valid))

    @property
    def gpu_total_j(self) -> float:
        """Sum over the GPUs; NaN where none was measured or one is invalid."""
        return _total(self.energy_j)

    @property
    def cpu_total_j(self) -> float:
        """Sum over the CPU packages; NaN as above."""
        return _total(self.cpu_energy_j)

    @property
    def dram_total_j(self) -> float:
        """Sum over the memory domains; NaN as above."""
        return _total(self.dram_energy_j)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, with the duration, the sums and the validity beside the fields."""
        return {
            **asdict(self),
            "seconds": self.seconds,
            "valid": self.valid,
            "gpu_total_j": self.gpu_total_j,
            "cpu_total_j": self.cpu_total_j,
            "dram_total_j": self.dram_total_j,
        }

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON; NaN becomes null."""
        return to_json(self.to_dict(), indent=indent)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Window:
        """The inverse of `to_dict`, also after a detour through JSON.

        Raises:
            FormatError: these are not the fields of a window.
        """
        try:
            return cls(
                name=str(data["name"]),
                path=str(data["path"]),
                index=int(data["index"]),
                parent=None if data["parent"] is None else int(data["parent"]),
                started=float(data["started"]),
                stopped=float(data["stopped"]),
                started_unix=float(data["started_unix"]),
                stopped_unix=float(data["stopped_unix"]),
                cpu_state=CpuState(**data["cpu_state"]),
                error=str(data["error"]),
                **{
                    key: {name: Reading.from_dict(r) for name, r in data[key].items()}
                    for key in ("energy_j", "cpu_energy_j", "dram_energy_j")
                },
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise FormatError(
                f"no energy window: {type(error).__name__} {error}",
                expected="what Window.to_dict gives",
            ) from error

    @classmethod
    def from_json(cls, text: str) -> Window:
        """The inverse of `to_json`.

        Raises:
            FormatError: the text is no JSON, or not of a window.
        """
        try:
            data = from_json(text)
        except ValueError as error:
            raise FormatError(f"no JSON: {error}", expected="what Window.to_json gives") from error
        return cls.from_dict(data)


def _total(readings: Mapping[str, Reading]) -> float:
    return sum(r.energy_j for r in readings.values()) if readings else math.nan


def check_name(name: object) -> str:
    """The name of a window.

    Raises:
        ConfigError: it is no text, empty, or holds the separator of paths.
    """
    if not isinstance(name, str) or not name or "/" in name:
        raise ConfigError(
            "no name for a window",
            value=name,
            expected="a text without a slash, such as 'train'",
        )
    return name

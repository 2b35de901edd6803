"""Hourly carbon intensity of electricity, and when in it a training starts best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.errors import ConfigError, FormatError, check_numbers, floats
from naslib_ecnas.files import read_bytes

#: Name of the trace that comes with the package: California, a week of April 2022.
EXAMPLE = "california-2022"
#: Rules by which a training waits: not at all; for an hour that is no dirtier than the trace's
#: mean; for the start within a day with which its own electricity is cleanest.
DEFER = ("now", "below-mean", "cheapest-window")

_HOUR_S, _DAY_H = 3600.0, 24.0


@dataclass(frozen=True, eq=False)
class CarbonTrace:
    """Carbon intensity of electricity hour by hour; after its last hour it begins anew.

    Raises:
        ConfigError: no hour, or an intensity that is not possible.
    """

    name: str
    g_per_kwh: NDArray[np.float64]
    """(hours,) gCO2eq/kWh, each for one hour."""
    sha256: str = ""
    """Checksum of the file that it was read from."""

    def __post_init__(self) -> None:
        values = floats(self.g_per_kwh, "the intensities of a carbon trace")
        object.__setattr__(self, "g_per_kwh", values)
        if values.ndim != 1 or not len(values):
            raise ConfigError("a carbon trace needs one hour or more")
        for value in (values.min(), values.max()):  # NaN if there is one
            check_numbers("a carbon trace", least=0, most=100_000, intensity=float(value))

    @classmethod
    def read(cls, path: str | PathLike[str]) -> CarbonTrace:
        """The trace of a CSV file, or the one that comes with the package for `california-2022`.

        The file has a heading and two columns: the hour (ISO 8601), each an hour after the one
        before, and gCO2eq/kWh. Lines that begin with # are skipped.

        Raises:
            FormatError: there is no such file, or it is another one.
        """
        from hashlib import sha256  # takes 4 MB, which searches without a trace do not need

        file = Path(__file__).with_name("carbon_trace.csv") if path == EXAMPLE else Path(path)
        name = EXAMPLE if path == EXAMPLE else file.stem
        try:
            content = read_bytes(file)
            values = _values(content.decode("utf-8-sig").splitlines())
            return cls(name, values, sha256(content).hexdigest())
        except (OSError, ValueError) as error:
            message = f"no hourly carbon trace: {getattr(error, 'strerror', None) or error}"
            raise FormatError(message, path=file) from error

    @cached_property
    def mean(self) -> float:
        """Mean intensity in gCO2eq/kWh."""
        return float(np.mean(self.g_per_kwh))

    @cached_property
    def _sums(self) -> NDArray[np.float64]:
        return np.concatenate([[0.0], np.cumsum(self.g_per_kwh)])

    def intensity(self, start_s: ArrayLike, seconds: ArrayLike) -> NDArray[np.float64]:
        """(n,) mean gCO2eq/kWh of (n,) trainings, from their starts on, the trace's first hour 0.

        A training is taken to draw the same power all the time.
        """
        start, length = np.divide(start_s, _HOUR_S), np.divide(seconds, _HOUR_S)
        hours = len(self.g_per_kwh)
        turns, rest = np.divmod([start, start + length], hours)
        before, after = turns * self._sums[-1] + np.interp(rest, np.arange(hours + 1), self._sums)
        at_once = self.g_per_kwh[rest[0].astype(np.int64) % hours]
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.where(length > 0, (after - before) / length, at_once))

    def start(self, rule: str, free_s: float, seconds: float) -> float:
        """Start in s of a training of a certain length on a free worker, by a rule of `DEFER`.

        The cheapest window lies within a day, and is exact: the trace and the length are known.
        """
        if rule == "now":
            return free_s
        free = free_s / _HOUR_S
        if rule == "below-mean":
            hours = np.floor(free) + np.arange(len(self.g_per_kwh) + 1)
            clean = self.g_per_kwh[hours.astype(np.int64) % len(self.g_per_kwh)] <= self.mean
            return max(free_s, float(hours[clean.argmax()]) * _HOUR_S)
        # The mean over a window bends where its start or its end meets a full hour.
        full = np.ceil(free) + np.arange(_DAY_H)
        ends = np.ceil(free + seconds / _HOUR_S) + np.arange(_DAY_H) - seconds / _HOUR_S
        starts = np.unique([free_s, *(np.concatenate([full, ends]) * _HOUR_S)])
        starts = starts[(starts >= free_s) & (starts <= free_s + _DAY_H * _HOUR_S)]
        return float(starts[self.intensity(starts, np.full(len(starts), seconds)).argmin()])

    def to_json(self) -> dict[str, Any]:
        """Name, checksum, hours and mean."""
        about = {"name": self.name, "sha256": self.sha256, "hours": len(self.g_per_kwh)}
        return {**about, "mean_g_per_kwh": self.mean}


def _values(lines: Sequence[str]) -> NDArray[np.float64]:
    """(hours,) intensities of the lines of a file; ValueError names the line that does not fit."""
    hours: list[datetime] = []
    found: list[float] = []
    used = [(i, line) for i, line in enumerate(lines, 1) if line.strip() and line[0] != "#"]
    for i, line in used[1:]:  # without the heading
        try:
            time, value = line.split(",")
            hours.append(datetime.fromisoformat(time.strip().replace("Z", "+00:00")))
            found.append(float(value))
            if len(hours) > 1 and hours[-1] - hours[-2] != timedelta(hours=1):
                raise ValueError
        except (ValueError, TypeError) as error:
            wanted = "the next hour (ISO 8601) and gCO2eq/kWh"
            raise ValueError(f"line {i} must have {wanted}, not {line[:80]!r}") from error
    return np.array(found)

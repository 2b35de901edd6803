"""What is compared: methods x tables x seeds, each combination one unit of work."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from naslib_ecnas.errors import ConfigError
from naslib_ecnas.metrics import OBJECTIVES, metric

__all__ = ["Grid", "Unit", "seeds_of"]

_NAME = re.compile(r"[^A-Za-z0-9._+-]+")


@dataclass(frozen=True, order=True)
class Unit:
    """One run of a comparison."""

    table: str
    method: str
    seed: int

    @property
    def file(self) -> Path:
        """Where its run is kept, below the folder of the comparison."""
        return Path("runs") / _plain(self.table) / _plain(self.method) / f"seed-{self.seed}.json"

    def __str__(self) -> str:
        return f"{self.method} on {self.table}, seed {self.seed}"


def _plain(name: str) -> str:
    """A name as one that every file system takes."""
    return _NAME.sub("-", name).strip(".-") or "-"


@dataclass(frozen=True)
class Grid:
    """A comparison: what runs, and the rules that are the same for all.

    Raises:
        ConfigError: nothing to run, a name twice, or a number out of range.
        UnknownMetricError: an objective is no metric.
    """

    methods: tuple[str, ...]
    tables: tuple[str, ...]
    seeds: tuple[int, ...]
    evaluations: int
    objectives: tuple[str, ...] = OBJECTIVES
    epochs: int | None = None
    """Training budget that counts; the largest of each table where None."""
    setting: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments of `load`, such as the device of modelled tables."""

    def __post_init__(self) -> None:
        for what in ("methods", "tables", "seeds", "objectives"):
            chosen = getattr(self, what)
            if not chosen or len(set(chosen)) < len(chosen):
                raise ConfigError(
                    f"a comparison needs {what}, each once",
                    value=list(chosen),
                    expected="one or more different ones",
                )
        for name in self.objectives:
            metric(name)
        if len(self.objectives) < 2:
            raise ConfigError(
                "a comparison needs objectives",
                value=list(self.objectives),
                expected="two or more different metrics",
            )
        for what, numbers in (("evaluations", (self.evaluations,)), ("seeds", self.seeds)):
            least = 1 if what == "evaluations" else 0
            if any(type(number) is not int or number < least for number in numbers):
                raise ConfigError(
                    f"no possible {what}",
                    value=list(numbers),
                    expected=f"whole numbers of at least {least}",
                )
        files = [unit.file for unit in self.units()]
        if len(set(files)) < len(files):
            raise ConfigError(
                "two methods or tables would have one file",
                value=[*self.methods, *self.tables],
                expected="names that differ in letters and digits",
            )

    def units(self) -> list[Unit]:
        """All units, in the order in which they are started."""
        return [
            Unit(table, method, seed)
            for table, seed, method in product(self.tables, self.seeds, self.methods)
        ]

    def rules(self) -> dict[str, Any]:
        """What has to be equal for runs to be comparable."""
        whole = asdict(self)
        return {
            **{name: whole[name] for name in ("evaluations", "epochs")},
            "objectives": list(self.objectives),
            "setting": {k: v for k, v in self.setting.items() if v is not None},
        }


def seeds_of(chosen: int | Sequence[int]) -> tuple[int, ...]:
    """Seeds 0 to n - 1 for a number n, or those that are given."""
    return tuple(range(chosen)) if isinstance(chosen, int) else tuple(chosen)

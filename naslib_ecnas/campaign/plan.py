"""What a campaign measures: its units, in an order that does not follow the cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.cell import Cell
from naslib_ecnas.errors import (
    ConfigError,
    EcnasError,
    FormatError,
    InvalidCellError,
    UnknownTableError,
    check_counts,
    check_numbers,
    whole_numbers,
)
from naslib_ecnas.files import (
    atomic_write,
    exists,
    from_json,
    from_plain,
    is_file,
    is_folder,
    storage_error,
    to_json,
    to_plain,
)
from naslib_ecnas.space import Space
from naslib_ecnas.training.recipe import IMAGES

__all__ = [
    "DATA",
    "METERS",
    "PLAN",
    "RECIPE_NAMES",
    "DataChoice",
    "Pace",
    "Plan",
    "Settings",
    "Unit",
    "designed_rows",
    "expected",
    "file_rows",
    "make_plan",
    "vertices_of",
]


#: File of a campaign's folder that holds its plan.
PLAN = "plan.json"

DATA = ("cifar10", "tfrecord", "synthetic")

RECIPE_NAMES = ("nasbench101", "ecnas")

_FORMAT = "ecnas-plan/1"


@dataclass(frozen=True, kw_only=True)
class Unit:
    """One training of one cell."""

    row: int
    """Row of the cell."""
    cell: str
    """Text of the cell."""
    epochs: int
    repeat: int
    """From 0."""
    seed: int
    """Of this training; no two of a plan are drawn from the same numbers."""

    @property
    def name(self) -> str:
        """Names its files, such as `17-4-0`: row, epochs, repeat."""
        return f"{self.row}-{self.epochs}-{self.repeat}"

    def __str__(self) -> str:
        return f"row {self.row}, {self.epochs} epochs, repeat {self.repeat}"


@dataclass(frozen=True, kw_only=True)
class DataChoice:
    """Which images the trainings get."""

    kind: str
    """`cifar10` (Python or binary version), `tfrecord`, or `synthetic`."""
    path: str | None = None
    """Folder of the files; None for synthetic images."""
    images_per_file: int = 10_000
    """Images in each of the six files; less than 10,000 is not CIFAR-10."""

    def __post_init__(self) -> None:
        if self.kind not in DATA or (self.path is None) != (self.kind == "synthetic"):
            raise ConfigError(
                "no such data",
                value=(self.kind, self.path),
                expected="cifar10 FOLDER, tfrecord FOLDER, or synthetic",
            )
        check_counts(images_per_file=self.images_per_file)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A campaign's units and what is the same for all of them.

    Raises:
        ConfigError: no units, one twice, or a setting that is not possible.
    """

    name: str
    vertices: int
    """Of the space whose rows the units name."""
    recipe: str
    """One of `RECIPE_NAMES`."""
    data: DataChoice
    seed: int
    """Of the order and of the units' seeds."""
    units: tuple[Unit, ...]
    """In the order in which they are taken."""

    def __post_init__(self) -> None:
        if self.recipe not in RECIPE_NAMES:
            raise ConfigError(
                "no such recipe", value=self.recipe, expected=" or ".join(RECIPE_NAMES)
            )
        if not self.units or len(self.by_name) < len(self.units):
            raise ConfigError(
                "a plan needs units, each once",
                value=f"{len(self.units)} units",
                expected="one or more different ones",
            )
        if not 2 <= self.vertices <= 7:
            raise ConfigError("no such space", value=self.vertices, expected="2 to 7 vertices")
        size = len(Space(self.vertices))
        for unit in self.units:
            if not 0 <= unit.row < size or min(unit.epochs, unit.repeat + 1, unit.seed + 1) < 1:
                raise ConfigError(
                    "no unit of this space",
                    value=str(unit),
                    expected=f"a row below {size}, 1 epoch or more, no negative number",
                )

    @cached_property
    def by_name(self) -> Mapping[str, Unit]:
        """The units by their names."""
        return {unit.name: unit for unit in self.units}

    @cached_property
    def checksum(self) -> str:
        """SHA-256 that names the plan."""
        return sha256(to_json(to_plain(self)).encode("utf-8")).hexdigest()

    def write(self, folder: Path) -> None:
        """Write it into the folder of a campaign, which must be new or have the same plan.

        Raises:
            ConfigError: the folder holds something else.
            StorageError: it cannot be written.
        """
        there = is_file(folder / PLAN)
        if there and Plan.read(folder) == self:
            return
        if there or (exists(folder) and (not is_folder(folder) or any(folder.iterdir()))):
            raise ConfigError(
                "the folder holds another plan" if there else "the folder holds something else",
                value=str(folder),
                expected="a new folder, or that of the same plan",
                remedy="choose another --out",
            )
        text = to_json({"format": _FORMAT, **to_plain(self)}, indent=1)
        with atomic_write(folder / PLAN) as file:
            file.write(text.encode("utf-8") + b"\n")

    @classmethod
    def read(cls, folder: Path) -> Plan:
        """The plan of a campaign.

        Raises:
            UnknownTableError: the folder is no campaign's.
            FormatError: its plan is damaged.
            StorageError: it cannot be read.
        """
        path = folder / PLAN
        try:
            data = from_json(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError) as error:
            raise UnknownTableError(
                "no campaign in this folder",
                value=str(folder),
                expected=f"a folder with {PLAN}",
                remedy="make one: ecnas measure plan --space 4v --out CAMPAIGN",
            ) from error
        except OSError as error:
            raise storage_error(error, path) from error
        except ValueError as error:
            raise FormatError(
                "the plan is damaged",
                path=path,
                value=str(error),
                expected="a plan that `ecnas measure plan` wrote",
            ) from error
        if not isinstance(data, dict) or data.pop("format", None) != _FORMAT:
            raise FormatError("no plan", path=path, expected=f"a file of the format {_FORMAT}")
        return from_plain(cls, data, path=str(path))


def make_plan(
    rows: Sequence[int],
    *,
    name: str,
    vertices: int,
    epochs: Sequence[int] = (4,),
    repeats: int = 1,
    data: DataChoice,
    recipe: str = "ecnas",
    seed: int = 0,
    limit: int | None = None,
) -> Plan:
    """All cells at all budgets, each so many times, in a drawn order.

    Drawn, since a machine that drifts, warms up or fails would otherwise bend the picture of the
    cells that were measured meanwhile.

    Args:
        rows: of the cells.
        name: of the campaign.
        vertices: of the space.
        epochs: budgets.
        repeats: trainings of each cell at each budget.
        data: the images.
        recipe: one of `RECIPE_NAMES`.
        seed: of the order and of the units' seeds.
        limit: keep only so many units, the first of the order.

    Raises:
        ConfigError: a setting is not possible.
    """
    check_counts(epochs=min(epochs, default=0), repeats=repeats)
    check_counts(limit=1 if limit is None else limit)
    check_counts(least=0, seed=seed)
    check_counts(least=None, vertices=vertices)
    rows = whole_numbers(rows).tolist()
    cells = {int(row): str(Cell.from_row(int(row))) for row in rows}
    units = [
        Unit(
            row=row,
            cell=cell,
            epochs=budget,
            repeat=repeat,
            seed=int(np.random.SeedSequence((seed, row, budget, repeat)).generate_state(1)[0]),
        )
        for row, cell in cells.items()
        for budget in sorted(set(epochs))
        for repeat in range(repeats)
    ]
    order = np.random.default_rng(seed).permutation(len(units))
    return Plan(
        name=name,
        vertices=vertices,
        recipe=recipe,
        data=data,
        seed=seed,
        units=tuple(units[i] for i in order.tolist())[:limit],
    )


# Which cells a campaign measures: a whole space, those of a file, or a design.


_SPACES = {"4v": 4, "5v": 5, "7v": 7}


def vertices_of(space: str) -> int:
    """Vertices of a space by its name: `4v`, `5v` or `7v`.

    Raises:
        ConfigError: there is none of this name.
    """
    if space not in _SPACES:
        raise ConfigError("no such space", value=space, expected="one of " + ", ".join(_SPACES))
    return _SPACES[space]


def designed_rows(cells: int, *, vertices: int, seed: int) -> list[int]:
    """Rows of the cells that fix a calibration; see `surrogate.design.choose`.

    Raises:
        ConfigError: the space has not so many.
    """
    from naslib_ecnas.surrogate.calibrate import choose

    return [int(row) for row in choose(cells, vertices=vertices, seed=seed)]


def file_rows(path: Path, *, vertices: int) -> list[int]:
    """Rows of the cells in a file: one a line, as a row or a cell's text.

    Empty lines and lines after `#` are left out. What `ecnas surrogate design --json` prints is
    read as well. The order is kept, and a cell that comes twice counts once.

    Raises:
        FormatError: a line is no cell of the space, or the file has none.
        StorageError: the file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise storage_error(error, path) from error
    except UnicodeDecodeError as error:
        raise FormatError(
            "the file is no text", path=path, expected="a cell or row a line, in UTF-8"
        ) from error
    rows = [_row(item, vertices, path) for item in _items(text, path)]
    if not rows:
        raise FormatError("the file names no cell", path=path, expected="a cell or row a line")
    return list(dict.fromkeys(rows))


def _items(text: str, path: Path) -> list[Any]:
    if text.lstrip().startswith("["):
        try:
            found = from_json(text)
        except ValueError as error:
            raise FormatError("the file is damaged JSON", path=path, value=str(error)) from error
        return [item.get("row") if isinstance(item, dict) else item for item in found]
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return [line for line in lines if line]


def _row(item: Any, vertices: int, path: Path) -> int:
    size = len(Space(vertices))
    try:
        if isinstance(item, str) and not item.isdecimal():
            row = Cell(item).row
        elif isinstance(item, bool) or not isinstance(item, (int, str)):
            raise InvalidCellError("no cell", rule="syntax", value=item)
        else:
            row = int(item)
    except (EcnasError, ValueError) as error:  # ValueError: more digits than Python converts
        raise FormatError("a line is no cell", path=path, value=item) from error
    if not 0 <= row < size:
        raise FormatError(
            "a cell is not of the space",
            path=path,
            value=item,
            expected=f"a row below {size} ({vertices} vertices)",
            remedy="name the space that holds it: --space 7v",
        )
    return int(np.int64(row))


# How the units of a campaign are run: what a record depends on, and what it does not.


METERS = ("auto", "none", "replay")

#: Seconds in which a GPU's clocks and most of its temperature have settled under load.
_WARM_UP_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What decides a measurement beside its unit; every record keeps it.

    Raises:
        ConfigError: a setting is not possible.
    """

    device: str = "cpu"
    """torch's name of the device."""
    meter: str = "auto"
    """`auto`: the GPU by NVML and the CPU by RAPL, or an error where the GPU cannot be measured;
    `none`: no energy; `replay`: what a file says, which is no measurement."""
    replay: str | None = None
    """The file of a replay."""
    gpu: str | None = None
    """The GPU to measure, as NVML names it, where it is not to be found by `device`."""
    baseline_s: float = 10.0
    """Seconds of rest that are measured before and after each training; 0 for none."""
    warm_up_s: float | None = None
    """Seconds of a training that is thrown away, before the first unit of a worker and after a
    pause; 0 for none. Left out it is 60 on a GPU and 0 elsewhere; the attribute is a number."""
    images: str = "device"
    """Where the images are kept, as in `Recipe.images`."""
    steps: int | None = None
    """Stop each training after so many steps."""
    batch_size: int | None = None
    """In place of the recipe's."""
    evaluate_images: int | None = None
    """Look at no more than so many images of each split."""

    def __post_init__(self) -> None:
        if self.meter not in METERS or (self.meter == "replay") != (self.replay is not None):
            raise ConfigError(
                "no such meter",
                value=(self.meter, self.replay),
                expected="auto, none, or replay FILE",
            )
        if self.gpu is not None and self.meter != "auto":
            raise ConfigError("a GPU is measured by the meter auto", value=self.meter)
        if self.images not in IMAGES:
            raise ConfigError("no such place", value=self.images, expected=" or ".join(IMAGES))
        for name in ("steps", "batch_size", "evaluate_images"):
            value = getattr(self, name)
            if value is not None:
                check_counts(**{name: value})
        if self.warm_up_s is None:
            on_gpu = str(self.device).startswith("cuda")
            object.__setattr__(self, "warm_up_s", _WARM_UP_S if on_gpu else 0.0)
        check_numbers(least=0, baseline_s=self.baseline_s, warm_up_s=self.warm_up_s)


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How workers treat claims and failures; no record depends on it.

    Raises:
        ConfigError: a number is out of range.
    """

    tries: int = 3
    """Attempts of a unit that may end invalid or failed."""
    beat_s: float = 10.0
    """Seconds between two signs of life of a claim."""
    stale_s: float = 120.0
    """Seconds without one after which a claim of another machine is taken over."""
    patience_s: float = 600.0
    """How long the record of a finished training is kept trying to be written, as on a full disk,
    before the worker ends and the training is lost."""
    wait: bool = True
    """Whether to wait for units that others have claimed, in case they die."""

    def __post_init__(self) -> None:
        check_counts(tries=self.tries)
        check_numbers(least=0, beat_s=self.beat_s, stale_s=self.stale_s, patience_s=self.patience_s)
        if not self.beat_s > 0:
            raise ConfigError("no possible pace", value=self, expected="positive numbers")
        if self.stale_s < 3 * self.beat_s:
            raise ConfigError(
                "claims would be taken from workers that live",
                value=f"{self.stale_s} s",
                expected=f"at least three signs of life, {3 * self.beat_s:g} s",
            )


# What units will take, by the models that come with the package.


def expected(plan: Plan, units: Sequence[Unit]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(n,) kWh and (n,) seconds of units on the models' own GPU, PUE as in their table.

    Budgets between those of the models are interpolated, others scaled from the nearest.
    """
    from naslib_ecnas.loading import load

    # The smaller tables hold the same models' values and are made sooner.
    name = next(n for v, n in ((4, "4v"), (5, "5v"), (7, "7v")) if plan.vertices <= v)
    bench = load(name)
    rows = np.array([unit.row for unit in units], dtype=np.int64)
    epochs = np.array([unit.epochs for unit in units], dtype=np.float64)
    budgets = np.array(bench.budgets, dtype=np.float64)
    near = np.clip(epochs, budgets[0], budgets[-1])
    out = []
    for metric in ("energy_kwh", "training_time_s"):
        values = np.stack([bench.values(metric, b)[rows] for b in bench.budgets], axis=1)
        at = np.array([np.interp(e, budgets, v) for e, v in zip(near, values, strict=True)])
        out.append(at * epochs / near)
    return out[0], out[1]

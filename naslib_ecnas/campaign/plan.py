"""The plan of a campaign: its units in random order, and the settings of its workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from naslib_ecnas.cell import Cell
from naslib_ecnas.energy.sensors import SHARED
from naslib_ecnas.errors import (
    ConfigError,
    FormatError,
    StorageError,
    UnknownTableError,
    check_choice,
    check_counts,
    check_numbers,
    check_types,
    whole_numbers,
)
from naslib_ecnas.files import (
    atomic_write,
    exists,
    from_json,
    from_plain,
    is_file,
    is_folder,
    read_bytes,
    to_json,
    to_plain,
)
from naslib_ecnas.space import Space
from naslib_ecnas.training.recipe import IMAGES, RECIPES, SPEED, TRAIN_IMAGES

#: Name of the plan's file in the folder of a campaign.
_PLAN = "plan.json"
_FORMAT = "ecnas-plan/1"
_DATA = ("cifar10", "tfrecord", "synthetic")
#: Synthetic images in each file of a rehearsal.
_FEW = 64
#: Most epochs of a training, and trainings of a cell: tables have a place for each repeat.
_EPOCHS, _REPEATS = 10_000, 1000
_METERS = ("auto", "none")
#: Seconds after which a GPU's clocks and most of its temperature have settled under load.
_WARM_UP_S = 60.0

T = TypeVar("T")


def read_file(path: Path, what: str, decode: Callable[[bytes], T], **details: Any) -> T:
    """What `decode` makes of a file that contains `what`; `details` are arguments of the error.

    Raises:
        StorageError: the file cannot be read, is not regular or too large.
        FormatError: `decode` raises a ValueError.
    """
    try:
        return decode(read_bytes(path))
    except OSError as error:
        raise not_read(error, path) from error
    except ValueError as error:
        raise FormatError(f"{what} is damaged: {error}", path=path, **details) from error


def not_read(error: OSError, path: Path) -> StorageError:
    """The typed error of a failed read."""
    return StorageError(f"cannot read {path} ({error.strerror or error})")


# -- the plan ------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Unit:
    """One training of one cell."""

    row: int
    """Row of the cell."""
    cell: str
    """Text of the cell."""
    epochs: int
    repeat: int
    """Counted from 0."""
    seed: int
    """Seed of this training; it depends on the plan's seed, row, epochs and repeat alone."""

    @property
    def name(self) -> str:
        """Name of its files: row, epochs and repeat, such as `17-4-0`."""
        return f"{self.row}-{self.epochs}-{self.repeat}"

    def __str__(self) -> str:
        return f"row {self.row}, {self.epochs} epochs, repeat {self.repeat}"


@dataclass(frozen=True, kw_only=True)
class DataChoice:
    """The images of the trainings."""

    kind: str
    """`cifar10` or `tfrecord`, whose folder may have any version of the files, or `synthetic`."""
    path: str | None = None
    """Folder of the files; None for synthetic images."""
    images_per_file: int = 10_000
    """Images in each of the six files; less than 10,000 is not CIFAR-10."""

    def __post_init__(self) -> None:
        if self.kind not in _DATA or (self.path is None) != (self.kind == "synthetic"):
            text = "data must be cifar10 FOLDER, tfrecord FOLDER or synthetic"
            raise ConfigError(text, value=(self.kind, self.path))
        check_counts(images_per_file=self.images_per_file)
        if self.images_per_file > TRAIN_IMAGES // 4:
            text = f"images_per_file must be at most {TRAIN_IMAGES // 4:,}, as in CIFAR-10"
            raise ConfigError(text, value=self.images_per_file)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The units of a campaign and what they have in common.

    Raises:
        ConfigError: there is no unit, one unit twice, or a setting is not possible.
    """

    name: str
    vertices: int
    """Vertices of the space that the units' rows belong to."""
    recipe: str
    """`nasbench101` or `ecnas`."""
    data: DataChoice
    seed: int
    """Seed of the order and of the units' seeds."""
    units: tuple[Unit, ...]
    """In the order in which workers take them."""
    speed: tuple[str, ...] = ()
    """Settings of the recipe that are on to train faster, of `recipe.SPEED`; every record lists
    them as departures."""

    def __post_init__(self) -> None:
        check_choice(tuple(RECIPES), recipe=self.recipe)
        for name in self.speed:
            check_choice(SPEED, speed=name)
        if not self.name.isprintable() or len(set(self.speed)) < len(self.speed):
            text = "a plan needs a name of printable characters, and each setting of speed once"
            raise ConfigError(text, value=(self.name, self.speed))
        if not self.units or len(self.by_name) < len(self.units):
            raise ConfigError("a plan needs one unit or more, each once", value=len(self.units))
        if not 2 <= self.vertices <= 7:
            raise ConfigError("vertices must be from 2 to 7", value=self.vertices)
        size = len(Space(self.vertices))
        for unit in self.units:
            if not 0 <= unit.row < size:
                text = f"a row must be from 0 to {size - 1} ({self.vertices} vertices)"
                raise ConfigError(text, value=unit.row, remedy="choose a larger space")
            if not (1 <= unit.epochs <= _EPOCHS and 0 <= unit.repeat < _REPEATS and unit.seed >= 0):
                text = (
                    f"a unit needs 1 to {_EPOCHS} epochs, a repeat from 0 to {_REPEATS - 1} and a "
                )
                raise ConfigError(f"{text}seed of 0 or more", value=unit)

    @cached_property
    def by_name(self) -> dict[str, Unit]:
        """The units by their names."""
        return {unit.name: unit for unit in self.units}

    @cached_property
    def checksum(self) -> str:
        """SHA-256 of the plan's content."""
        return sha256(to_json(self).encode("utf-8")).hexdigest()

    def write(self, folder: str | PathLike[str]) -> None:
        """Write the plan into a new folder, or one that contains the same plan already.

        Raises:
            ConfigError: the folder contains something else.
            StorageError: the folder cannot be written.
        """
        folder = Path(folder)
        there = is_file(folder / _PLAN)
        if there and Plan.read(folder) == self:
            return
        if there or (exists(folder) and (not is_folder(folder) or any(folder.iterdir()))):
            what = "another plan" if there else "something else"
            text = f"the campaign needs a new folder; {folder} contains {what}"
            raise ConfigError(text, remedy="choose another --out")
        text = to_json({"format": _FORMAT, **to_plain(self)}, indent=1)
        with atomic_write(folder / _PLAN) as file:
            file.write(text.encode("utf-8") + b"\n")

    @classmethod
    def read(cls, folder: str | PathLike[str]) -> Plan:
        """The plan of a campaign.

        Raises:
            UnknownTableError: the folder has no plan.
            FormatError: the plan is damaged.
            StorageError: the plan cannot be read.
        """
        path = Path(folder) / _PLAN
        if not is_file(path):
            remedy = "make one: ecnas measure plan --space 4v --out CAMPAIGN"
            raise UnknownTableError(f"no campaign in {folder}", remedy=remedy)
        data = read_file(path, "the plan", from_json)
        if not isinstance(data, dict) or data.pop("format", None) != _FORMAT:
            raise FormatError(f"a plan has the format {_FORMAT}", path=path)
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
    speed: Sequence[str] = (),
) -> Plan:
    """A plan of all cells at all budgets, in random order.

    The order is random because a machine that drifts, warms up or fails would otherwise bias the
    cells that are measured at that time.

    Args:
        rows: rows of the cells, in the space of this number of `vertices`.
        name: name of the campaign.
        epochs, repeats: budgets, and trainings of each cell at each of them.
        data, recipe, seed, speed: as in `Plan`.
        limit: keep only so many units, the first of the order.

    Raises:
        ConfigError: a setting is not possible.
    """
    check_types(DataChoice, data=data)
    check_counts(epochs=min(epochs, default=0), repeats=repeats)
    check_counts(limit=1 if limit is None else limit)
    check_counts(least=0, seed=seed)
    check_counts(least=None, vertices=vertices)
    units = [
        Unit(
            row=row,
            cell=str(Cell.from_row(row)),
            epochs=budget,
            repeat=repeat,
            seed=int(np.random.SeedSequence((seed, row, budget, repeat)).generate_state(1)[0]),
        )
        for row in dict.fromkeys(whole_numbers(rows).tolist())
        for budget in sorted(set(epochs))
        for repeat in range(repeats)
    ]
    order = np.random.default_rng(seed).permutation(len(units))[:limit]
    chosen = tuple(units[i] for i in order.tolist())
    same: dict[str, Any] = {"name": name, "vertices": vertices, "recipe": recipe, "data": data}
    return Plan(**same, seed=seed, units=chosen, speed=tuple(speed))


def rehearsal(folder: str | PathLike[str], units: int) -> Path:
    """A new folder within a campaign, `rehearsal-1` or the next, with a plan of its first units.

    What is measured there is in no folder that is exported with the campaign.

    Raises:
        UnknownTableError, FormatError, StorageError: see `Plan.read` and `Plan.write`.
    """
    check_counts(limit=units)
    plan, number = Plan.read(folder), 1
    while exists(place := Path(folder) / f"rehearsal-{number}"):
        number += 1
    name, data = f"rehearsal of {plan.name}", plan.data
    if data.kind == "synthetic":  # making them would take longer than the trainings
        data = replace(data, images_per_file=min(data.images_per_file, _FEW))
    replace(plan, name=name, units=plan.units[:units], data=data).write(place)
    return place


def file_rows(path: Path) -> list[int]:
    """Rows of the cells in a file, in its order; each line has a row or the text of a cell.

    Text after `#` and empty lines are ignored. The output of `ecnas surrogate choose --json` is
    accepted too.

    Raises:
        FormatError: a line is not a cell, or the file names no cell.
        StorageError: the file cannot be read.
    """
    rows = read_file(path, "the list of cells", _rows)
    if not rows:
        raise FormatError("the file needs a cell or a row on each line", path=path)
    return rows


def _rows(raw: bytes) -> list[int]:
    text = raw.decode("utf-8")
    if text.lstrip().startswith("["):
        items = [item.get("row") if isinstance(item, dict) else item for item in from_json(text)]
    else:
        items = [line.partition("#")[0].strip() for line in text.splitlines()]
    texts = [str(item) for item in items if item != ""]
    return [int(text) if text.isdecimal() else Cell(text).row for text in texts]


# -- how units are measured ----------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a unit is measured; every record contains it.

    Raises:
        ConfigError: a setting is not possible.
    """

    device: str = "cpu"
    """torch's name of the device."""
    meter: str = "auto"
    """`auto`: the GPU by NVML and the CPU by RAPL, or an error if the GPU cannot be measured;
    `none`: no energy."""
    gpu: str | None = None
    """NVML's name of the GPU to measure, if `device` does not determine it."""
    shared: str = "graphics"
    """What to do beside other processes on the GPU, see `EnergyMeter`."""
    baseline_s: float = 10.0
    """Seconds of rest that are measured before and after each training; 0 for none."""
    warm_up_s: float | None = None
    """Seconds of a training that is discarded, before the first unit of a worker and after a
    pause; 0 for none. The default is 60 on a GPU and 0 elsewhere; the attribute is a number."""
    images: str = "device"
    """Where the images are kept, as in `Recipe.images`."""
    steps: int | None = None
    """Stop each training after so many steps."""
    batch_size: int | None = None
    """Batch size instead of the recipe's."""
    evaluate_images: int | None = None
    """Largest number of images of each split that an evaluation uses."""

    def __post_init__(self) -> None:
        check_choice(_METERS, meter=self.meter)
        check_choice(SHARED, shared=self.shared)
        check_choice(IMAGES, images=self.images)
        if self.gpu is not None and self.meter != "auto":
            raise ConfigError("a named GPU needs the meter auto", value=self.meter)
        counts = {name: getattr(self, name) for name in ("steps", "batch_size", "evaluate_images")}
        check_counts(**{name: value for name, value in counts.items() if value is not None})
        if self.warm_up_s is None:
            on_gpu = str(self.device).startswith("cuda")
            object.__setattr__(self, "warm_up_s", _WARM_UP_S if on_gpu else 0.0)
        check_numbers(least=0, baseline_s=self.baseline_s, warm_up_s=self.warm_up_s)


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How workers handle claims and failures; no record depends on it.

    Raises:
        ConfigError: a number is out of range.
    """

    tries: int = 3
    """Attempts at a unit, invalid or failed, after which it is given up."""
    stale_s: float = 120.0
    """Seconds without a heartbeat after which a claim of another machine is taken over."""
    patience_s: float = 600.0
    """Seconds during which a worker tries again to write the record of a finished training, for
    example on a full disk, before it ends and the training is lost."""
    wait: bool = True
    """Whether to wait for the units that others have claimed, in case those workers die."""

    def __post_init__(self) -> None:
        check_counts(tries=self.tries)
        check_numbers(above=0, stale_s=self.stale_s)
        check_numbers(least=0, patience_s=self.patience_s)

    @property
    def beat_s(self) -> float:
        """Seconds between two heartbeats of a claim."""
        return min(10.0, self.stale_s / 4)

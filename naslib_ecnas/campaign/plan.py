"""The plan of a campaign: its units in random order, and the settings of its workers."""

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


#: Name of the plan's file in the folder of a campaign.
_PLAN = "plan.json"

_DATA = ("cifar10", "tfrecord", "synthetic")

_RECIPES = ("nasbench101", "ecnas")

_METERS = ("auto", "none", "replay")

#: Seconds after which a GPU's clocks and most of its temperature have settled under load.
_WARM_UP_S = 60.0

_SPACES = {"4v": 4, "5v": 5, "7v": 7}

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
    """`cifar10` (Python or binary version), `tfrecord`, or `synthetic`."""
    path: str | None = None
    """Folder of the files; None for synthetic images."""
    images_per_file: int = 10_000
    """Images in each of the six files; less than 10,000 is not CIFAR-10."""

    def __post_init__(self) -> None:
        if self.kind not in _DATA or (self.path is None) != (self.kind == "synthetic"):
            raise ConfigError(
                "data must be cifar10 FOLDER, tfrecord FOLDER or synthetic",
                value=" ".join(str(part) for part in (self.kind, self.path) if part is not None),
            )
        check_counts(images_per_file=self.images_per_file)


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

    def __post_init__(self) -> None:
        if self.recipe not in _RECIPES:
            raise ConfigError(f"recipe must be {' or '.join(_RECIPES)}", value=self.recipe)
        if not self.units or len(self.by_name) < len(self.units):
            raise ConfigError("a plan needs one unit or more, each once", value=len(self.units))
        if not 2 <= self.vertices <= 7:
            raise ConfigError("vertices must be from 2 to 7", value=self.vertices)
        size = len(Space(self.vertices))
        for unit in self.units:
            if not 0 <= unit.row < size or min(unit.epochs, unit.repeat + 1, unit.seed + 1) < 1:
                raise ConfigError(
                    f"a unit needs a row from 0 to {size - 1}, 1 epoch or more, and a repeat and "
                    "a seed of 0 or more",
                    value=unit,
                )

    @cached_property
    def by_name(self) -> Mapping[str, Unit]:
        """The units by their names."""
        return {unit.name: unit for unit in self.units}

    @cached_property
    def checksum(self) -> str:
        """SHA-256 of the plan's content."""
        return sha256(to_json(to_plain(self)).encode("utf-8")).hexdigest()

    def write(self, folder: Path) -> None:
        """Write the plan into a new folder, or one that contains the same plan already.

        Raises:
            ConfigError: the folder contains something else.
            StorageError: the folder cannot be written.
        """
        there = is_file(folder / _PLAN)
        if there and Plan.read(folder) == self:
            return
        if there or (exists(folder) and (not is_folder(folder) or any(folder.iterdir()))):
            what = "another plan" if there else "something else"
            raise ConfigError(
                f"the campaign needs a new folder; {folder} contains {what}",
                remedy="choose another --out",
            )
        text = to_json({"format": _FORMAT, **to_plain(self)}, indent=1)
        with atomic_write(folder / _PLAN) as file:
            file.write(text.encode("utf-8") + b"\n")

    @classmethod
    def read(cls, folder: Path) -> Plan:
        """The plan of a campaign.

        Raises:
            UnknownTableError: the folder has no plan.
            FormatError: the plan is damaged.
            StorageError: the plan cannot be read.
        """
        path = folder / _PLAN
        try:
            data = from_json(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError) as error:
            raise UnknownTableError(
                f"no campaign in {folder}",
                remedy="make one: ecnas measure plan --space 4v --out CAMPAIGN",
            ) from error
        except OSError as error:
            raise storage_error(error, path) from error
        except ValueError as error:
            raise FormatError(f"the plan is damaged: {error}", path=path) from error
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
) -> Plan:
    """A plan of all cells at all budgets, in random order.

    The order is random because a machine that drifts, warms up or fails would otherwise bias the
    cells that are measured at that time.

    Args:
        rows: rows of the cells.
        name: name of the campaign.
        vertices: vertices of the space.
        epochs: budgets.
        repeats: trainings of each cell at each budget.
        data: the images.
        recipe: `nasbench101` or `ecnas`.
        seed: seed of the order and of the units' seeds.
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


# -- which cells a campaign measures -------------------------------------------------------------


def vertices_of(space: str) -> int:
    """Number of vertices of a space by its name: `4v`, `5v` or `7v`.

    Raises:
        ConfigError: there is no space of this name.
    """
    if space not in _SPACES:
        raise ConfigError(f"space must be one of {', '.join(_SPACES)}", value=space)
    return _SPACES[space]


def designed_rows(cells: int, *, vertices: int, seed: int) -> list[int]:
    """Rows of the cells that determine a calibration best; see `surrogate.calibrate.choose`.

    Raises:
        ConfigError: the space has fewer cells.
    """
    from naslib_ecnas.surrogate.calibrate import choose

    return [int(row) for row in choose(cells, vertices=vertices, seed=seed)]


def file_rows(path: Path, *, vertices: int) -> list[int]:
    """Rows of the cells in a file, in its order; each line has a row or the text of a cell.

    Text after `#` and empty lines are ignored, and so is a cell that was there before. The output
    of `ecnas surrogate choose --json` is accepted too.

    Raises:
        FormatError: a line is not a cell of the space, or the file names no cell.
        StorageError: the file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise storage_error(error, path) from error
    except UnicodeDecodeError as error:
        raise FormatError("a file of cells must be text in UTF-8", path=path) from error
    rows = [_row(item, vertices, path) for item in _items(text, path)]
    if not rows:
        raise FormatError("the file needs a cell or a row on each line", path=path)
    return list(dict.fromkeys(rows))


def _items(text: str, path: Path) -> list[Any]:
    if text.lstrip().startswith("["):
        try:
            found = from_json(text)
        except ValueError as error:
            raise FormatError(f"the file is damaged JSON: {error}", path=path) from error
        return [item.get("row") if isinstance(item, dict) else item for item in found]
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return [line for line in lines if line]


def _row(item: Any, vertices: int, path: Path) -> int:
    size = len(Space(vertices))
    try:
        if isinstance(item, str) and not item.isdecimal():
            row = Cell(item).row
        elif isinstance(item, bool) or not isinstance(item, (int, str)):
            raise InvalidCellError("neither a row nor a cell", rule="syntax")
        else:
            row = int(item)
    except (EcnasError, ValueError) as error:  # ValueError: more digits than Python converts
        raise FormatError("a line must be a row or a cell", path=path, value=item) from error
    if not 0 <= row < size:
        raise FormatError(
            f"a row must be from 0 to {size - 1} ({vertices} vertices)",
            path=path,
            value=item,
            remedy="name a larger space: --space 7v",
        )
    return row


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
    `none`: no energy; `replay`: energies from a file, which are not a measurement."""
    replay: str | None = None
    """The file of a replay."""
    gpu: str | None = None
    """NVML's name of the GPU to measure, if `device` does not determine it."""
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
        if self.meter not in _METERS or (self.meter == "replay") != (self.replay is not None):
            raise ConfigError(
                "meter must be auto, none, or replay FILE", value=(self.meter, self.replay)
            )
        if self.gpu is not None and self.meter != "auto":
            raise ConfigError("a named GPU needs the meter auto", value=self.meter)
        if self.images not in IMAGES:
            raise ConfigError(f"images must be {' or '.join(IMAGES)}", value=self.images)
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
    """How workers handle claims and failures; no record depends on it.

    Raises:
        ConfigError: a number is out of range.
    """

    tries: int = 3
    """Attempts at a unit, invalid or failed, after which it is given up."""
    beat_s: float = 10.0
    """Seconds between two heartbeats of a claim."""
    stale_s: float = 120.0
    """Seconds without a heartbeat after which a claim of another machine is taken over."""
    patience_s: float = 600.0
    """Seconds during which a worker tries again to write the record of a finished training, for
    example on a full disk, before it ends and the training is lost."""
    wait: bool = True
    """Whether to wait for the units that others have claimed, in case those workers die."""

    def __post_init__(self) -> None:
        check_counts(tries=self.tries)
        check_numbers(above=0, beat_s=self.beat_s)
        check_numbers(least=0, stale_s=self.stale_s, patience_s=self.patience_s)
        if self.stale_s < 3 * self.beat_s:
            raise ConfigError(
                f"stale_s must be at least three heartbeats, {3 * self.beat_s:g} s, or claims "
                "would be taken from live workers",
                value=self.stale_s,
            )


def expected(plan: Plan, units: Sequence[Unit]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Energy and time of units as the package's models predict them, for planning.

    Budgets between the models' are interpolated linearly, others scaled from the nearest.

    Returns:
        (n,) kWh with the PUE of the modelled table, and (n,) seconds, on the models' own GPU.
    """
    from naslib_ecnas.loading import load

    # A smaller table contains the same predictions and is made sooner.
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

"""What a campaign measures: its units, in an order that does not follow the cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path

import numpy as np

from naslib_ecnas.cell import Cell
from naslib_ecnas.checked import check_counts, whole_numbers
from naslib_ecnas.errors import ConfigError, FormatError, UnknownTableError
from naslib_ecnas.json_text import from_json, to_json
from naslib_ecnas.space import Space
from naslib_ecnas.storage import atomic_write, exists, is_file, is_folder, storage_error
from naslib_ecnas.training.plain import from_plain, to_plain

__all__ = ["DATA", "PLAN", "RECIPE_NAMES", "DataChoice", "Plan", "Unit", "make_plan"]

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

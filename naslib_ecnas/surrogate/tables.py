"""The modelled tables that come with the package: predicted by blocks, or kept whole in the cache.

Opening a table that is in the cache needs only this: it imports no models.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.data.arrays import BLOCK, StoredArray
from naslib_ecnas.data.cache import cached, checksum_of, up_to_date
from naslib_ecnas.data.table import SUFFIX as TABLE_SUFFIX
from naslib_ecnas.data.table import Table
from naslib_ecnas.errors import (
    ClosedTableError,
    ConfigError,
    FetchError,
    StorageError,
    UnknownTableError,
)
from naslib_ecnas.files import expanded, is_file, read_bytes
from naslib_ecnas.progress import listener
from naslib_ecnas.space import Space
from naslib_ecnas.surrogate import EMBEDDED, SUFFIX, TARGETS, VERSION, checked_settings, shipped

if TYPE_CHECKING:
    from naslib_ecnas.surrogate.modelled import Models


@dataclass(frozen=True)
class Choice:
    """Which modelled table; made by `chosen`."""

    name: str
    """One of `EMBEDDED`."""
    device: str
    """Label of the device, empty for the native scale."""
    calibration: Path | None
    """File of a user's own calibration of the device."""
    scaling: str
    model: str

    @property
    def full_name(self) -> str:
        """Name of the table and its file in the cache, without the suffix."""
        scaling = "" if self.scaling == "affine" else self.scaling
        parts = (self.name, self.device, scaling, "" if self.model == "ours" else self.model)
        return "-".join(part for part in parts if part)

    @cached_property
    def key(self) -> dict[str, Any]:
        """Plain values of everything that decides the predictions."""
        files = [path for path in map(shipped, TARGETS) if path.is_file()]
        weights = [read_bytes(path) for path in [*files, *filter(None, [self.calibration])]]
        label = "" if self.calibration else self.device
        return {
            "version": VERSION,
            "settings": [self.name, label, self.scaling, self.model],
            "weights": [[len(content), crc32(content)] for content in weights],
        }

    def models(self) -> Models:
        """The models, read from their files."""
        from naslib_ecnas.surrogate.modelled import Models

        device = self.calibration or self.device or None
        return Models.shipped(device, scaling=self.scaling, model=self.model)


def chosen(
    name: str,
    *,
    device: str | PathLike[str] | None = None,
    scaling: str | None = None,
    model: str | None = None,
) -> Choice:
    """The table that some settings choose, checked.

    Args:
        name: one of `EMBEDDED`.
        device: a calibrated device or a file of one; the native scale by default.
        scaling: `"affine"` (default) or `"linear"`.
        model: `"ours"` (default) or `"paper"`.

    Raises:
        ConfigError: a setting is not possible.
        UnknownTableError: the device is a file that does not exist.
    """
    model, scaling = checked_settings(model, scaling, device)
    return Choice(name, *_device(device), scaling, model)


def _device(device: str | PathLike[str] | None) -> tuple[str, Path | None]:
    """A label for the file name, and the file of a user's own calibration."""
    if device is None:
        return "", None
    if not isinstance(device, (str, PathLike)):
        raise ConfigError("device must be the name of a GPU or a calibration's file", value=device)
    path = expanded(device)
    if path.suffix == SUFFIX:
        if not is_file(path):
            remedy = "write it by: ecnas surrogate calibrate"
            raise UnknownTableError(f"no calibration at {path}", remedy=remedy)
        return f"{path.stem}-{crc32(os.fsencode(path.resolve())):08x}", path
    from naslib_ecnas.surrogate.devices import device_name
    from naslib_ecnas.surrogate.models import DEVICE

    name = device_name(str(device))
    # The native scale is that of this device, fitted on forty times as many cells.
    return ("" if name == DEVICE else name), None


def embedded(choice: Choice, *, afresh: bool = False) -> Path:
    """Path of the whole table in the cache; it is predicted unless an up-to-date one is there.

    Args:
        choice: which table.
        afresh: predict anew in any case, such as when the file was damaged.

    Raises:
        FormatError: the device's file holds no calibration.
        StorageError: the cache cannot be written.
    """
    name = choice.full_name
    make = lambda: choice.models().columns(name, EMBEDDED[choice.name])  # noqa: E731
    return cached(name, choice.key, make, predicted=True, afresh=afresh)


def open_modelled(choice: Choice) -> Table:
    """The table: its file where the whole one is in the cache, else one that predicts blocks.

    Raises:
        FormatError: the device's file holds no calibration, or the file in the cache is damaged.
    """
    path = up_to_date(choice.full_name, choice.key)
    return ModelledTable(choice) if path is None else Table.open(path)


class _Values:
    """The values of a modelled table, predicted when they are asked for; its views share them."""

    def __init__(self, choice: Choice) -> None:
        self.choice, self.models = choice, choice.models()
        self.metrics = list(self.models.provenance)
        self.known: dict[int, NDArray[np.float32]] = {}
        self.file: Table | None = None
        self.has_cache = True
        self.closed = False

    def block(self, number: int) -> NDArray[np.float32]:
        """(budgets, n, metrics) values of 2,048 cells, or of fewer at the end."""
        found = self.known.get(number)
        if found is None:
            if self.closed:
                raise ClosedTableError(f"the table {self.choice.full_name} is closed")
            end = min((number + 1) * BLOCK, len(Space(EMBEDDED[self.choice.name])))
            values = self.models.predict(np.arange(number * BLOCK, end))
            found = np.stack([each.T for each in values.values()], axis=-1)
            self.known[number] = found
        return found

    def put_into_cache(self) -> None:
        """Use the table's file from now on; where none can be written, that is told once."""
        if self.file is None and self.has_cache and not self.closed:
            try:
                self.file = Table.open(embedded(self.choice))
                self.known.clear()
            except (StorageError, FetchError) as error:
                self.has_cache = False
                listener()(self.choice.full_name, note=f"kept in memory, since {error}")


class ModelledTable(Table):
    """A modelled table that is not in the cache, with the interface of `Table`.

    Single values are predicted in blocks of 2,048 cells and kept in memory. Whole columns take a
    prediction of all cells, which is reported to `progress.listener()` and put into the cache if
    that can be written.
    """

    def __init__(self, choice: Choice) -> None:
        from naslib_ecnas.surrogate.models import BUDGETS

        self._values = _Values(choice)
        models, self.name = self._values.models, choice.full_name
        self.path = Path(f"{self.name}{TABLE_SUFFIX}")
        self.opener = partial(open_modelled, choice)
        self.space, self.budgets, self.repeats = Space(EMBEDDED[choice.name]), BUDGETS, 1
        self.attributes = models.attributes
        self._rows, self._cells = None, len(self.space)
        self._show({name: (name, 1.0) for name in models.provenance}, models.provenance)

    def _arrays(self, names: Sequence[str]) -> list[StoredArray]:
        self._places = [self._values.metrics.index(name) for name in names]
        return []

    def close(self) -> None:
        self._values.closed = True
        self._values.known.clear()
        if self._values.file is not None:
            self._values.file.close()

    @property
    def closed(self) -> bool:
        return self._values.closed

    @property
    def _content(self) -> str:
        return checksum_of(self._values.choice.key)

    def at_budget(self, name: str, budget: int) -> NDArray[np.float64]:
        self._source(name)  # raises where there is none
        self._values.put_into_cache()
        return self.some(name, budget, np.arange(self._cells))

    def some(self, name: str, budget: int, positions: NDArray[np.integer]) -> NDArray[np.float64]:
        at, factor = self._source(name)
        values = self._values
        if values.file is not None:
            return values.file.some(at, budget, positions) * factor
        place, out = values.metrics.index(at), np.empty((len(positions), 1))
        number, within = np.divmod(positions, BLOCK)
        for each in np.unique(number):
            here = number == each
            out[here, 0] = values.block(int(each))[budget, within[here], place]
        return out * factor

    def record(self, position: int, budget: int, repeat: int) -> list[float]:
        number, within = divmod(position, BLOCK)
        if self._values.file is not None:
            found = self._values.file.record(position, budget, 0)
        else:
            found = self._values.block(number)[budget, within].tolist()
        return self._scaled([found[place] for place in self._places])

    def verify(self) -> None:
        if self._values.file is not None:
            self._values.file.verify()

"""Tables: typed columns over (cell, budget, repeat) in one memory-mapped file.

`Columns` is the content of a table in memory, which every reader returns and every writer takes.
`Table` is a table file, open for reading; `at_place` shows it at another PUE or carbon intensity.

A table file is a file of named arrays, see `arrays`. There is a (budgets, repeats, cells) array for
each metric, so that all cells at one budget lie together, of float32 if that loses nothing, else of
float64. The int32 array `rows` has the rows of the cells, unless the table has every cell of its
space. The metadata are name, vertices, budgets, repeats and attributes as of `Columns`, the
provenance by metric in the order of the columns, and what `write_table` is told of its origin.
"""

from __future__ import annotations

import weakref
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.data.arrays import BLOCK, ArrayFile, StoredArray, write_arrays
from naslib_ecnas.errors import (
    ChecksumError,
    ConfigError,
    EcnasError,
    FormatError,
    ProvenanceError,
    UnknownCellError,
    UnknownMetricError,
    check_types,
)
from naslib_ecnas.metrics import METRICS, missing_metric_remedy
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.space import Space

if TYPE_CHECKING:
    from naslib_ecnas.data.carbon import CarbonIntensity

SUFFIX = ".ecnas"

#: The array of rows, present unless the table has every cell of the space.
ROWS = "rows"

#: For each column a metric of the file, and a factor.
Sources = Mapping[str, tuple[str, float]]

#: Budgets and numbers of repeats stay below this.
MOST = 1_000_000
_MOST_TEXT = 1 << 22

#: What a header that contradicts itself leads to.
_CONTRADICTION = (LookupError, TypeError, ValueError, AttributeError, OverflowError)

_AGAIN = "make the table again with: ecnas data convert SOURCE --afresh"


# -- content in memory ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Columns:
    """The content of a table in memory.

    Raises:
        FormatError: the rows are not ascending rows of the space, the budgets not ascending, there
            is no metric, one is unknown or without provenance, an array has another shape or an
            impossible value, or a text is none or too long.
    """

    name: str
    """Short name of the table, such as `4v-4epochs`."""
    vertices: int
    """Largest number of vertices of the space."""
    rows: NDArray[np.int32]
    """(cells,) rows of the space, ascending."""
    budgets: tuple[int, ...]
    """Training budgets in epochs, ascending."""
    repeats: int
    """Length of the repeat axis; missing repeats are NaN."""
    values: Mapping[str, NDArray[np.float64]]
    """(cells, budgets, repeats) float64 for each metric, NaN if missing."""
    provenance: Mapping[str, Provenance] = field(default_factory=dict)
    """Origin of each metric in `values`."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Texts for the header, such as citation and licence."""

    def __post_init__(self) -> None:
        space, rows = Space(self.vertices), np.asarray(self.rows)
        shape = (rows.size, len(self.budgets), self.repeats)
        _check(self, space, rows, shape, self.values, (np.float64,), path=str(self.name))
        # What no reader would accept must not be written either.
        for name, values in self.values.items():
            found = METRICS[name].fault(values)
            if found is not None:
                raise FormatError(found[1], path=self.name)
            Provenance.from_json(self.provenance[name].to_json(), path=self.name)
        try:
            texts = "".join([self.name, *self.attributes, *self.attributes.values()]).encode()
        except (TypeError, UnicodeEncodeError) as error:
            message = f"name and attributes must be texts: {error}"
            raise FormatError(message, path=str(self.name)) from error
        if len(texts) > _MOST_TEXT:
            message = f"name and attributes must have at most {_MOST_TEXT} bytes"
            raise FormatError(message, path=self.name[:100], value=len(texts))
        for number in ("vertices", "repeats"):  # JSON has no numbers of numpy
            object.__setattr__(self, number, int(getattr(self, number)))
        object.__setattr__(self, "budgets", tuple(map(int, self.budgets)))

    @property
    def shape(self) -> tuple[int, int, int]:
        """(cells, budgets, repeats)."""
        return len(self.rows), len(self.budgets), self.repeats


def _check(
    table: Columns | Table,
    space: Space,
    rows: NDArray[Any] | None,
    shape: tuple[int, ...],
    columns: Mapping[str, Any],
    dtypes: tuple[type, ...],
    path: str | None = None,
) -> None:
    """Raise FormatError unless rows (None for a whole space), budgets and columns fit together.

    Each column must have the shape and one of the types.
    """
    fault = partial(FormatError, path=path)
    size, budgets = len(space), table.budgets
    if rows is not None:
        whole = rows.ndim == 1 and rows.dtype.kind in "iu" and len(rows) > 0
        if not whole or (rows[1:] <= rows[:-1]).any() or rows[0] < 0 or rows[-1] >= size:
            raise fault(f"rows must be ascending whole numbers from 0 to {size - 1}", value=rows)
    ascending = list(budgets) == sorted(set(budgets))
    if not budgets or not ascending or not 0 < budgets[0] <= budgets[-1] < MOST:
        raise fault(f"budgets must be ascending whole numbers from 1 to {MOST - 1}", value=budgets)
    if not columns:
        raise fault("a table must have a metric")
    for name, array in columns.items():
        if name not in METRICS or name not in table.provenance:
            raise fault("a column must be a known metric with a provenance", value=name)
        if array.shape != shape or array.dtype not in dtypes or not min(shape):
            types = " or ".join(dtype.__name__ for dtype in dtypes)
            found = f"{array.dtype} of {array.shape}"
            raise fault(f"column {name} must be {types} of {shape}", value=found)


# -- table files ----------------------------------------------------------------------------------


class Table:
    """A table file, open for reading, maybe at another PUE or carbon intensity (`at_place`).

    Opening reads only the header. Each block of a column is checked against its checksum when it
    is first read. Pickling names the table and its checksum and ships no values: whoever
    unpickles opens the table again, or gets a `ChecksumError` where it has other content there.
    Copies in the same process are the table itself, since nothing in it can be changed.

    Attributes:
        path: the file.
        opener: opens the table again in another process.
        name: short name, such as `4v-4epochs`.
        space: the space that the cells belong to.
        budgets: training budgets in epochs, ascending.
        repeats: length of the repeat axis.
        metrics: names of the columns.
        provenance: origin of each column.
        attributes: citation, licence, notes.
        draw: draws single trainings, of a table that has columns of noise: from (n,) values of the
            metrics, a budget and a generator to the (n,) values in which trainings differ.
    """

    draw: Callable[[Mapping[str, NDArray[Any]], int, Any], dict[str, NDArray[Any]]] | None = None

    def __init__(self, file: ArrayFile) -> None:
        about, self._file = file.metadata, file
        self.path: Path = file.path
        self.opener: Callable[[], Table] = partial(Table.open, file.path.absolute())
        self.name: str = str(about["name"])
        self.space: Space = Space(about["vertices"])
        self.budgets: tuple[int, ...] = tuple(map(int, about["budgets"]))
        self.repeats: int = int(about["repeats"])
        self.attributes: Mapping[str, str] = {k: str(v) for k, v in about["attributes"].items()}
        origins = about["provenance"].items()
        provenance = {name: Provenance.from_json(origin) for name, origin in origins}
        self._show({name: (name, 1.0) for name in provenance}, provenance)
        columns = dict(file.arrays)
        self._rows = columns.pop(ROWS, None)
        rows = None if self._rows is None else file[ROWS]
        self._cells = len(self.space) if rows is None else len(rows)
        shape = (len(self.budgets), self.repeats, self._cells)
        _check(self, self.space, rows, shape, columns, (np.float32, np.float64))
        if rows is not None and rows.dtype != np.int32:
            raise FormatError("its rows are not int32")

    @classmethod
    def open(cls, path: str | PathLike[str]) -> Table:
        """Open a table file.

        Raises:
            UnknownTableError: there is no such file.
            FormatError: the file is not a table, or it is damaged; `offset` says where.
        """
        file = ArrayFile(path, remedy=_AGAIN)
        try:
            return cls(file)
        except BaseException as error:
            file.close()
            if isinstance(error, ChecksumError) or not isinstance(error, _CONTRADICTION):
                raise
            reason = error if isinstance(error, EcnasError) else f"{type(error).__name__}: {error}"
            raise FormatError(f"the file holds no table: {reason}", path=file.path) from error

    def _show(self, sources: Sources, provenance: Mapping[str, Provenance]) -> None:
        """Set the columns: for each, a metric of the file, a factor, and the origin."""
        self._sources = dict(sources)
        self.provenance: dict[str, Provenance] = dict(provenance)
        self.metrics: tuple[str, ...] = tuple(sources)
        factors = [factor for _, factor in sources.values()]
        self._factors = factors if set(factors) != {1.0} else None
        self._each = self._arrays([at for at, _ in sources.values()])

    def _arrays(self, names: Sequence[str]) -> list[StoredArray]:
        """The arrays that `record` reads."""
        return [self._file.arrays[name] for name in names]

    def __repr__(self) -> str:
        return (
            f"Table({self.name!r}: {self._cells:,} cells of {self.space.vertices} vertices, "
            f"budgets {self.budgets}, {self.repeats} repeats, {len(self.metrics)} columns)"
        )

    def close(self) -> None:
        """Close the file for all copies and views; arrays that were read before stay valid."""
        self._file.close()

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._file.closed

    def __deepcopy__(self, memo: object = None) -> Table:
        return self

    __copy__ = __deepcopy__

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, (self.opener, self._content, self._sources, self.provenance)

    @property
    def checksum(self) -> str:
        """SHA-256 of metadata and block checksums, and of a view's changes.

        For a predicted table, that of its version, models and settings, which decide every bit of
        it, so that a table that was not predicted whole has it too.
        """
        if all(at == (name, 1.0) for name, at in self._sources.items()):
            return self._content
        from hashlib import sha256  # takes 4 MB, which plain queries do not need

        return sha256(f"{self._content} {sorted(self._sources.items())}".encode()).hexdigest()

    @property
    def _content(self) -> str:
        """The checksum of the file's content, whatever is shown of it."""
        predicted_from = self._file.metadata.get("predicted_from")
        return str(predicted_from or self._file.digest(without="made_from"))

    @property
    def rows(self) -> NDArray[np.int32]:
        """(cells,) rows of the table's cells in the space, ascending."""
        if self._rows is None:
            return np.arange(self._cells, dtype=np.int32)
        return self._rows.part(0, self._cells)

    def __len__(self) -> int:
        return self._cells

    def position(self, row: int) -> int:
        """Position of a row's cell along the table's first axis.

        Raises:
            UnknownCellError: the table does not have this cell.
        """
        if self._rows is None:
            if 0 <= row < self._cells:
                return row
        else:
            rows = self._rows.items  # all checked when the table was opened
            at = bisect_left(rows, row)
            if at < self._cells and rows[at] == row:
                return at
        raise UnknownCellError(f"table {self.name} does not hold the cell of row {row}")

    def positions(self, rows: NDArray[np.integer]) -> NDArray[np.intp]:
        """(n,) positions of (n,) rows.

        Raises:
            UnknownCellError: the table does not have one of the cells.
        """
        held = self.rows
        at = np.minimum(np.searchsorted(held, rows), self._cells - 1)
        missing = held[at] != rows
        if missing.any():
            self.position(int(rows[missing][0]))
        return at

    def column(self, name: str) -> NDArray[np.float64]:
        """(cells, budgets, repeats) float64 values of a metric, read-only; NaN if missing.

        Raises:
            UnknownMetricError: the table has no such column.
            ChecksumError: the column is damaged.
        """
        out = np.stack([self.at_budget(name, b) for b in range(len(self.budgets))], axis=1)
        out.flags.writeable = False
        return out

    def at_budget(self, name: str, budget: int) -> NDArray[np.float64]:
        """(cells, repeats) values of a metric at one budget, by the budget's position."""
        at, factor = self._source(name)
        size = self._cells * self.repeats
        part = self._file.arrays[at].part(budget * size, (budget + 1) * size)
        values = np.asarray(part.reshape(self.repeats, self._cells).T, dtype=np.float64)
        return values if factor == 1.0 else values * factor

    def some(self, name: str, budget: int, positions: NDArray[np.integer]) -> NDArray[np.float64]:
        """(n, repeats) values of a metric at one budget, at (n,) positions of cells."""
        return np.asarray(self.at_budget(name, budget)[positions])

    def record(self, position: int, budget: int, repeat: int) -> list[float]:
        """All metrics of one training, in the order of `metrics`; NaN where missing.

        The training is given by the positions of its cell and budget and by its repeat.
        """
        index = (budget * self.repeats + repeat) * self._cells + position
        block = index // BLOCK
        return self._scaled(
            [a.items[index] if a.checked[block] else a.at(index) for a in self._each]
        )

    def _scaled(self, values: list[float]) -> list[float]:
        """The values of a record in the units of the view."""
        if self._factors is None:
            return values
        return [value * factor for value, factor in zip(values, self._factors, strict=True)]

    def _source(self, name: str) -> tuple[str, float]:
        """The metric of the file and the factor of a column."""
        if name not in self._sources:
            message = f"table {self.name} has no metric {name!r}, only {', '.join(self.metrics)}"
            raise UnknownMetricError(message, remedy=missing_metric_remedy(name))
        return self._sources[name]

    def verify(self) -> None:
        """Check every block of every column.

        Raises:
            ChecksumError: a block is damaged; `offset` says where.
        """
        for name in self._file.arrays:
            self._file[name]  # reads all of it

    def to_columns(self) -> Columns:
        """The whole content in memory, checked."""
        return Columns(
            name=self.name,
            vertices=self.space.vertices,
            rows=self.rows.copy(),
            budgets=self.budgets,
            repeats=self.repeats,
            values={name: self.column(name) for name in self.metrics},
            provenance=self.provenance,
            attributes=self.attributes,
        )

    def _view(self, sources: Sources, provenance: Mapping[str, Provenance]) -> Table:
        """The same file with other columns."""
        view = object.__new__(type(self))
        view.__dict__.update(vars(self))
        view._show(sources, provenance)
        return view


#: Tables that were unpickled in this process and are still in use, by checksum.
_unpickled: weakref.WeakValueDictionary[str, Table] = weakref.WeakValueDictionary()


def _reopened(
    opener: Callable[[], Table],
    checksum: str,
    sources: Sources,
    provenance: Mapping[str, Provenance],
) -> Table:
    """The table that was pickled, open in this process.

    Raises:
        ChecksumError: the table of this name has other content here.
        UnknownTableError: there is no such table here.
    """
    table = _unpickled.get(checksum)
    if table is None or table.closed:
        table = opener()
        if table.checksum != checksum:
            table.close()
            message = f"table {table.name} had checksum {checksum} where it was pickled"
            raise ChecksumError(message, path=table.path, value=table.checksum)
        _unpickled[checksum] = table
    return table if sources == table._sources else table._view(sources, provenance)


def write_table(
    path: str | PathLike[str],
    columns: Columns,
    *,
    predicted_from: str | None = None,
    made_from: str | None = None,
) -> None:
    """Write a table file, whole or not at all.

    A column is stored as float32 if that changes none of its values.

    Args:
        path, columns: the file and its content.
        predicted_from: SHA-256 of everything that decides a prediction, for a predicted table; it
            becomes the table's checksum.
        made_from: what the table was made from, for `cache.cached`; does not enter the checksum.

    Raises:
        StorageError: the folder cannot be written or the disk is full.
    """
    check_types(Columns, columns=columns)
    arrays: dict[str, NDArray[Any]] = {n: np.moveaxis(v, 0, 2) for n, v in columns.values.items()}
    narrow = [name for name, values in arrays.items() if _fits_float32(values)]
    if len(columns.rows) != len(Space(columns.vertices)):
        arrays[ROWS] = np.asarray(columns.rows, dtype=np.int32)
    plain = ("name", "vertices", "budgets", "repeats")
    metadata = {
        **{name: getattr(columns, name) for name in plain},
        "provenance": {name: columns.provenance[name].to_json() for name in columns.values},
        "attributes": dict(columns.attributes),
        "predicted_from": predicted_from,
        "made_from": made_from,
    }
    write_arrays(path, arrays, metadata, narrow=narrow)


def _fits_float32(values: NDArray[np.float64]) -> bool:
    with np.errstate(over="ignore"):
        return bool(np.array_equal(values.astype(np.float32), values, equal_nan=True))


# -- tables at another PUE or carbon intensity ----------------------------------------------------


def at_place(
    table: Table,
    pue: float | None = None,
    carbon_intensity: CarbonIntensity | float | str | None = None,
) -> Table:
    """The table with energies at another PUE, and emissions that follow from the energies.

    Args:
        table: an open table.
        pue: power usage effectiveness of the data centre, at least 1 (which leaves the energy at
            the machines' plugs); the table's own by default.
        carbon_intensity: gCO2eq/kWh, or a code such as `"DK"` (see `data.carbon`), for all
            emissions, which are `derived` then. By default the table's own, which were recorded
            during the measurements.

    Returns:
        A view of the same file, or the table itself if nothing changes. It has no predictions of a
        tracker (`predicted_energy_kwh`) whose PUE is unknown where the PUE changes.

    Raises:
        ConfigError: the PUE or the carbon intensity is impossible.
        ProvenanceError: the table does not say what PUE its energies have.
    """
    check_types(Table, table=table)
    place = None
    if carbon_intensity is not None:
        from naslib_ecnas.data import carbon  # most uses of a table need none

        place = carbon.carbon_intensity(carbon_intensity)
    sources, provenance = dict(table._sources), dict(table.provenance)
    energies = _named(table, "energy_kwh")
    if pue is not None:
        check_pue(pue)
        for name in (*energies, *_named(table, "co2_g")):
            known = provenance[name].pue
            if known is None:
                if name.startswith("predicted"):
                    del sources[name], provenance[name]
                    continue
                message = f"the PUE of {name} cannot be changed, since it is unknown"
                raise ProvenanceError(message, value=str(provenance[name]))
            at, factor = sources[name]
            sources[name] = at, factor * (pue / known)
            provenance[name] = replace(provenance[name], pue=float(pue))
    if place is not None and energies:
        # The intensities recorded during the measurements do not belong to these emissions.
        for name in _named(table, "carbon_intensity_g_per_kwh"):
            del sources[name], provenance[name]
        for name in (each for each in energies if each in sources):
            emission = name.replace("energy_kwh", "co2_g")
            at, factor = sources[name]
            sources[emission] = at, factor * place.g_per_kwh
            note = f"energy ({provenance[name].kind}) x {place.about}"
            provenance[emission] = replace(provenance[name], kind="derived", note=note)
    unchanged = (sources, provenance) == (table._sources, table.provenance)
    return table if unchanged else table._view(sources, provenance)


def check_pue(pue: object) -> None:
    """Raise ConfigError unless the value is a possible power usage effectiveness."""
    if isinstance(pue, bool) or not isinstance(pue, (int, float)) or not 1 <= pue < 100:
        raise ConfigError("a power usage effectiveness must be from 1 to below 100", value=pue)


def _named(table: Table, quantity: str) -> list[str]:
    """The metrics of a quantity and their deviations."""
    endings = (quantity, f"{quantity}_std", f"{quantity}_repeat_std")
    return [m for m in table.metrics if m.endswith(endings)]

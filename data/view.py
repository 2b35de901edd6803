"""A table seen through other units of energy: another PUE, another carbon intensity."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.data.carbon import CarbonIntensity
from naslib_ecnas.data.carbon import carbon_intensity as intensity_of
from naslib_ecnas.data.columns import Columns
from naslib_ecnas.data.table import Table
from naslib_ecnas.errors import ConfigError, ProvenanceError
from naslib_ecnas.provenance import Provenance

__all__ = ["View", "at_place", "seen_at"]


@dataclass(frozen=True)
class _Column:
    """A column as a multiple of one that the table holds."""

    source: str
    factor: float


class View(Table):
    """A table some of whose columns are multiples of those in the file.

    Answers everything that `Table` answers. Nothing is written: the file stays as it is.
    """

    def __init__(
        self,
        table: Table,
        columns: Mapping[str, _Column],
        provenance: Mapping[str, Provenance],
        without: Collection[str] = (),
    ) -> None:
        self.__dict__.update(vars(table))
        held = table.metrics
        self._table = table
        self._changed = {
            **{name: _Column(name, 1.0) for name in held if name not in without},
            **columns,
        }
        self.metrics = tuple(self._changed)
        self.provenance = {
            name: provenance.get(name) or table.provenance[name] for name in self.metrics
        }
        self._plan = [(held.index(c.source), c.factor) for c in self._changed.values()]

    def at_budget(self, name: str, budget: int) -> NDArray[np.float64]:
        """As `Table.at_budget`."""
        column = self._changed.get(name)
        if column is None:
            raise self._unknown(name)
        values = self._table.at_budget(column.source, budget)
        return values if column.factor == 1.0 else values * column.factor

    def value(self, name: str, position: int, budget: int, repeat: int) -> float:
        """As `Table.value`."""
        column = self._changed.get(name)
        if column is None:
            raise self._unknown(name)
        return self._table.value(column.source, position, budget, repeat) * column.factor

    def record(self, position: int, budget: int, repeat: int) -> list[float]:
        """As `Table.record`."""
        values = self._table.record(position, budget, repeat)
        return [values[i] * factor for i, factor in self._plan]

    @property
    def checksum(self) -> str:
        """SHA-256 that names the content of the file and what is changed in this view."""
        from hashlib import sha256

        changed = sorted((n, c.source, c.factor) for n, c in self._changed.items())
        return sha256(f"{self._table.checksum} {changed}".encode()).hexdigest()

    def to_columns(self) -> Columns:
        """The whole content in memory."""
        held = self._table.to_columns()
        values = {name: self.column(name) for name in self.metrics}
        return replace(held, values=values, provenance=self.provenance)


def seen_at(
    table: Table, *, pue: float | None = None, carbon_intensity: CarbonIntensity | None = None
) -> Table:
    """A table whose energies are for another PUE, and whose emissions follow from the energies.

    Args:
        table: an open table.
        pue: power usage effectiveness of the data centre, at least 1; the table's own where left
            out. 1 leaves the energy at the plugs of the machines.
        carbon_intensity: for all emissions; the table's own, which were taken while it was
            measured and hold for the table's own PUE, where left out.

    Raises:
        ConfigError: the PUE is none.
        ProvenanceError: the table does not say what PUE its energies have.
    """
    columns: dict[str, _Column] = {}
    provenance: dict[str, Provenance] = {}
    energies = [name for name in table.metrics if _is_energy(name)]
    if pue is not None:
        check_pue(pue)
        for name in (*energies, *(n for n in table.metrics if _is_emission(n))):
            known = table.provenance[name]
            if known.pue is None:
                raise ProvenanceError(
                    "the PUE cannot be changed, since the table does not say what it is",
                    value=f"{name}: {known}",
                    expected="a table whose energies have a known PUE",
                    remedy="leave pue= out, or name the PUE when the table is made",
                )
            columns[name] = _Column(name, pue / known.pue)
            provenance[name] = replace(known, pue=float(pue))
    if carbon_intensity is not None:
        for name in energies:
            emission = name.replace("energy_kwh", "co2_g")
            factor = columns[name].factor if name in columns else 1.0
            columns[emission] = _Column(name, factor * carbon_intensity.g_per_kwh)
            provenance[emission] = replace(
                provenance.get(name, table.provenance[name]),
                note=f"energy x {carbon_intensity.about}",
            )
    # The intensities of the time of measuring no longer belong to these emissions.
    without = [name for name in table.metrics if _is_intensity(name)] if carbon_intensity else []
    return View(table, columns, provenance, without) if columns else table


def check_pue(pue: object) -> None:
    """Refuse what is no power usage effectiveness.

    Raises:
        ConfigError: it is none.
    """
    if isinstance(pue, bool) or not isinstance(pue, (int, float)) or not 1 <= pue < 100:
        raise ConfigError(
            "no power usage effectiveness",
            value=pue,
            expected="a number from 1 (nothing but the machines) on; 1.1 to 2 is usual",
            remedy="ask your data centre, or use the table's own",
        )


def at_place(table: Table, pue: float | None, carbon_intensity: float | str | None) -> Table:
    """`seen_at`, with the carbon intensity as a user names it.

    Raises:
        ConfigError: it is no PUE or no carbon intensity.
        ProvenanceError: the table does not say what PUE its energies have.
    """
    known = None if carbon_intensity is None else intensity_of(carbon_intensity)
    return seen_at(table, pue=pue, carbon_intensity=known)


def _is_energy(name: str) -> bool:
    return name.endswith(("energy_kwh", "energy_kwh_std")) and not name.startswith("predicted")


def _is_emission(name: str) -> bool:
    return name.endswith(("co2_g", "co2_g_std")) and not name.startswith("predicted")


def _is_intensity(name: str) -> bool:
    return name.endswith("carbon_intensity_g_per_kwh") and not name.startswith("predicted")

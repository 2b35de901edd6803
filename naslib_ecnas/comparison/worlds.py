"""In how many worlds of a modelled table a ranking of methods holds.

A ranking that is found on a modelled table may be due to the errors of its models. A world is
another table that is as plausible, so the share of worlds in which a ranking holds says how far it
can be trusted. Methods are ranked by the hypervolume at the end of their runs, the median over the
seeds, with the worlds' own true fronts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.files import Sheet

#: Columns of the results in worlds: a line for each run, at its end.
COLUMNS = (
    *("table", "world", "method", "seed", "evaluations", "energy_kwh"),
    *("hypervolume", "igd_plus"),
)

_SPREAD = ("hypervolume", "hypervolume_lower", "hypervolume_upper")

Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class WorldRanking:
    """The methods' hypervolumes on a modelled table and in its worlds."""

    table: str
    methods: tuple[str, ...]
    """(m,) from the best to the worst on the table itself."""
    worlds: tuple[int, ...]
    """(w,) numbers of the worlds."""
    on_table: NDArray[np.float64]
    """(m,) hypervolume on the table itself, median over the seeds."""
    in_worlds: NDArray[np.float64]
    """(m, w) the same in each world."""

    @property
    def better(self) -> Counts:
        """(m, m) number of worlds in which the first method is better than the second."""
        return np.asarray((self.in_worlds[:, None] > self.in_worlds).sum(axis=2))

    @property
    def best(self) -> Counts:
        """(m,) number of worlds in which no other method is better."""
        return np.asarray((self.in_worlds == self.in_worlds.max(axis=0)).sum(axis=1))

    @property
    def order_holds(self) -> Counts:
        """(m,) number of worlds in which the table's order holds from its best method down to each.

        The last one counts the worlds in which the whole order holds. Equal methods are in order.
        """
        of_the_rest = np.maximum.accumulate(self.in_worlds[::-1])[::-1]
        leads = self.in_worlds == of_the_rest  # each method against those below it
        return np.asarray(np.logical_and.accumulate(leads).sum(axis=1))

    def lines(self) -> Iterator[dict[str, Any]]:
        """A record for each method, for JSON and CSV."""
        best, holds = self.best.tolist(), self.order_holds.tolist()
        for i, method in enumerate(self.methods):
            line: dict[str, Any] = {"table": self.table, "method": method}
            line["hypervolume_on_table"] = float(self.on_table[i])
            quartiles = np.quantile(self.in_worlds[i], (0.5, 0.25, 0.75)).tolist()
            line |= dict(zip(_SPREAD, quartiles, strict=True))
            line |= {"worlds": len(self.worlds), "best_in": best[i]}
            yield line | {"order_holds_in": holds[i]}

    def shown(self) -> list[tuple[str, ...]]:
        """Texts for a printed table: of each method its hypervolumes, `best` and `better`."""
        found = []
        for i, (line, wins) in enumerate(zip(self.lines(), self.better.tolist(), strict=True)):
            median, lower, upper = (f"{line[name]:.4f}" for name in _SPREAD)
            spread = f"{line['hypervolume_on_table']:.4f}", f"{median} ({lower}-{upper})"
            against = ("" if i == j else str(won) for j, won in enumerate(wins))
            found.append((line["method"], *spread, str(line["best_in"]), *against))
        return found

    def document(self) -> dict[str, Any]:
        """The ranking for JSON."""
        return {
            "table": self.table,
            "worlds": list(self.worlds),
            "order": list(self.methods),
            "share_order_holds": float(self.order_holds[-1] / len(self.worlds)),
            "methods": list(self.lines()),
            "better": self.better.tolist(),
        }


def rankings(on_tables: Sheet, in_worlds: Sheet) -> tuple[WorldRanking, ...]:
    """The ranking of each table that has worlds, over the worlds that all methods have.

    Args:
        on_tables: `hypervolume` of each `table`, `method` and `seed`; the last line counts.
        in_worlds: `COLUMNS`.
    """
    finals = {}
    for r in (*on_tables.records(), *in_worlds.records()):
        finals[r["table"], r.get("world"), r["method"], r["seed"]] = r["hypervolume"]
    volumes: dict[tuple[str, int | None, str], list[float]] = {}
    for (table, world, method, _), volume in finals.items():
        volumes.setdefault((table, world, method), []).append(volume)
    medians = {key: float(np.median(each)) for key, each in volumes.items()}
    tables = sorted({table for table, world, _ in medians if world is not None})
    return tuple(filter(None, (_ranking(table, medians) for table in tables)))


def _ranking(table: str, medians: dict[tuple[str, int | None, str], float]) -> WorldRanking | None:
    here = {(world, method): v for (name, world, method), v in medians.items() if name == table}
    # NaN for a method that evaluated nothing at the budget that is compared.
    on_table = {name: v for (world, name), v in here.items() if world is None and np.isfinite(v)}
    methods = sorted(on_table, key=lambda method: (-on_table[method], method))
    found = {world for world, _ in here if world is not None}
    worlds = sorted(w for w in found if all((w, method) in here for method in methods))
    if not methods or not worlds:
        return None
    return WorldRanking(
        table,
        tuple(methods),
        tuple(worlds),
        np.array([on_table[method] for method in methods]),
        np.array([[here[world, method] for world in worlds] for method in methods]),
    )

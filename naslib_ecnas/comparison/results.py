"""The results of a comparison: one tidy table of all runs, and a summary with ranks and tests.

Nothing in them depends on when, where or in which order the runs were made, so an interrupted
comparison ends in the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas import analysis
from naslib_ecnas.analysis import Scale
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.comparison.findings import ROPE, Findings, findings_of
from naslib_ecnas.comparison.runs import Run, Unit, opened
from naslib_ecnas.comparison.worlds import COLUMNS as WORLD_COLUMNS
from naslib_ecnas.comparison.worlds import WorldRanking, rankings
from naslib_ecnas.files import Sheet
from naslib_ecnas.progress import Progress, silent
from naslib_ecnas.search.output import optimism_text
from naslib_ecnas.search.result import Ledger, SearchResult

#: The tidy file in the folder of a comparison.
FILE = "results.csv"

#: Columns of the tidy file.
COLUMNS = (
    *("table", "method", "seed", "budget_epochs", "evaluations", "epochs"),
    *("training_time_s", "energy_kwh", "co2_g"),
    *("hypervolume", "dominated_share", "igd_plus", "epsilon"),
)


@dataclass(frozen=True, eq=False)
class Yardstick:
    """The true front of a table and the scales that measure its runs."""

    front: NDArray[np.float64]
    """(k, m) values of the true front."""
    scale: Scale
    """The scale of the hypervolume, that of each run's own result: the reference is `nadir`."""
    whole: Scale
    """The scale of the dominated share: the reference is `worst`, the worst values of the table."""

    @classmethod
    def of(cls, bench: Benchmark, objectives: Sequence[str], epochs: int) -> Yardstick:
        """The yardstick of a table at a budget."""
        front = np.asarray(bench.front(objectives, epochs).values, dtype=np.float64)
        ledger = Ledger.of(bench, objectives, epochs)
        whole = Scale.of(ledger.objectives, objectives, reference="worst")
        return cls(front, ledger.scale, whole)


@dataclass(frozen=True, eq=False)
class Results:
    """The runs of a comparison."""

    runs: dict[Unit, SearchResult]
    """Those on the tables themselves, not in worlds."""
    benchmarks: dict[str, Benchmark]
    yardsticks: dict[str, Yardstick]
    """By table, or by table and world as `Unit.searched`."""
    sheet: Sheet
    """`COLUMNS` for each run at each checkpoint: what had been spent by then, and for the front
    found by then the hypervolume (as a share of the true front's, 0 to 1, with the reference
    `nadir`), the same with the reference `worst`, IGD+ and the additive epsilon (0 is best)."""
    worlds: Sheet = field(default_factory=partial(Sheet.of, WORLD_COLUMNS, ()))
    """For each run in a world the same at its end, by the true front of the world."""


def gather(
    out: Path, units: Sequence[Unit], setting: dict[str, Any], *, progress: Progress | None = None
) -> Results:
    """Read the runs of a comparison in a folder.

    Args:
        setting: further arguments of `load`.
        progress: receives the number of runs that were read.

    Raises:
        FormatError: a run is missing or damaged.
        ProvenanceError: a run searched another version of its table.
    """
    report = progress or silent
    benchmarks: dict[str, Benchmark] = {}
    runs: dict[Unit, SearchResult] = {}
    yardsticks: dict[str, Yardstick] = {}
    lines: list[tuple[Any, ...]] = []
    in_worlds: list[tuple[Any, ...]] = []
    # One world after the other: its columns are not kept.
    for done, unit in enumerate(sorted(units, key=_by_world), start=1):
        run, bench = Run.read(out / unit.file), opened(unit.table, setting, unit.world)
        result = run.result(bench)
        if unit.searched not in yardsticks:
            yardsticks[unit.searched] = Yardstick.of(bench, run.objectives, run.budget)
        if unit.world is None:
            benchmarks[unit.table], runs[unit] = bench, result
            lines += _lines(unit, result, yardsticks[unit.table])
        else:
            in_worlds.append(_in_world(unit, result, yardsticks[unit.searched]))
        report("reading runs", done, len(units), unit="runs")
    sheets = Sheet.of(COLUMNS, lines), Sheet.of(WORLD_COLUMNS, in_worlds)
    return Results(runs, benchmarks, yardsticks, *sheets)


def _by_world(unit: Unit) -> tuple[Any, ...]:
    return unit.table, -1 if unit.world is None else unit.world, unit.method, unit.seed


def _in_world(unit: Unit, result: SearchResult, yardstick: Yardstick) -> tuple[Any, ...]:
    found, scale = result.front_values, yardstick.scale
    return (
        *(unit.table, unit.world, unit.method, unit.seed),
        *(result.spent.evaluations, result.spent.energy_kwh),
        *(scale.hypervolume(found), analysis.igd_plus(found, yardstick.front, scale)),
    )


def _lines(unit: Unit, result: SearchResult, yardstick: Yardstick) -> Iterator[tuple[Any, ...]]:
    counts, cumulative = result.anytime_counts, result.cumulative
    scale, front = yardstick.scale, yardstick.front
    made = np.arange(1.0, len(result.rows) + 1)
    reached = partial(analysis.anytime, result.own_values, made, counts, seen=result.own_seen)
    columns = [
        counts,
        cumulative["epochs"][counts - 1].astype(np.int64),
        *(cumulative[name][counts - 1] for name in ("seconds", "energy_kwh", "co2_g")),
        reached(scale),
        reached(yardstick.whole),
        reached(scale, indicator=partial(analysis.igd_plus, front=front, scale=scale)),
        reached(scale, indicator=partial(analysis.epsilon, front=front, scale=scale)),
    ]
    for values in zip(*columns, strict=True):
        yield (unit.table, unit.method, unit.seed, result.config.epochs, *values)


# -- summary ----

_MEDIANS = ("hypervolume", "igd_plus", "evaluations", "energy_kwh")


@dataclass(frozen=True)
class Line:
    """The results of a method on a table over its seeds, at the end of its runs."""

    table: str
    method: str
    runs: int
    hypervolume: float
    """Median share of the true front's hypervolume."""
    hypervolume_lower: float
    """Quartiles."""
    hypervolume_upper: float
    igd_plus: float
    """Median."""
    evaluations: float
    """Median of the evaluations charged."""
    energy_kwh: float
    mean_rank: float
    """Mean rank of its runs by hypervolume, from 1, all are better than any other method's, to the
    number of methods; NaN for a method that is not compared."""
    against: str
    """The method that it is compared with: the first in rank on this table, or the one that was
    chosen for all; "" for this one itself."""
    a12: float
    """Probability that one of its runs is better than one of the other's, ties as one half."""
    p_value: float
    """Of the exact rank-sum test, corrected by Holm for all comparisons of methods on tables."""

    def shown(self) -> tuple[str, ...]:
        """The line as texts for a printed table."""
        return (
            self.method,
            f"{self.hypervolume:.4f} ({self.hypervolume_lower:.4f}-{self.hypervolume_upper:.4f})",
            f"{self.igd_plus:.4f}",
            f"{self.evaluations:,.0f}",
            f"{self.energy_kwh:,.4g}",
            "" if np.isnan(self.mean_rank) else f"{self.mean_rank:.2f}",
            f"{self.a12:.2f}" if self.against else "",
            f"{self.p_value:.3g}" if self.against else "",
        )


@dataclass(frozen=True)
class Summary:
    """The results of a comparison in short."""

    lines: tuple[Line, ...]
    findings: Findings
    """Tests and aggregates over the runs and over the tables."""
    notes: tuple[str, ...]
    worlds: tuple[WorldRanking, ...] = ()
    """In how many worlds the ranking of each modelled table holds, if runs are in worlds."""

    def by_table(self) -> dict[str, list[Line]]:
        """The lines of each table, the best method first."""
        tables: dict[str, list[Line]] = {line.table: [] for line in self.lines}
        # A method without a rank comes last.
        by_rank = sorted(self.lines, key=lambda x: (np.isnan(x.mean_rank), x.mean_rank, x.method))
        for line in by_rank:
            tables[line.table].append(line)
        return tables

    def document(self) -> dict[str, Any]:
        """The summary for JSON."""
        return {
            "methods": [asdict(line) for line in self.lines],
            "overall": self.findings.overall(),
            "tests": self.findings.tests(),
            "notes": list(self.notes),
            "worlds": [ranking.document() for ranking in self.worlds],
        }

    def write(self, out: Path) -> None:
        """Write `summary.csv`, for two methods or more `tests.csv`, `overall.csv` and
        `profiles.csv`, and for runs in worlds `world-methods.csv` and `world-pairs.csv`."""
        sheets = {"summary": [asdict(line) for line in self.lines]}
        sheets["tests"] = self.findings.tests()
        sheets["overall"] = self.findings.overall()
        sheets["profiles"] = self.findings.profile_points()
        sheets["world-methods"] = [line for each in self.worlds for line in each.lines()]
        sheets["world-pairs"] = [pair for each in self.worlds for pair in each.pairs()]
        for name, records in sheets.items():
            if records:
                rows = [list(record.values()) for record in records]
                Sheet.of(list(records[0]), rows).write(out / f"{name}.csv")


def summarise(results: Results, *, against: str | None = None, rope: float = ROPE) -> Summary:
    """Summarise the last checkpoint of every run.

    Args:
        results: the runs.
        against: compare all methods with this one, which must have been chosen before the results
            were seen; by default every pair is compared.
        rope: differences of the hypervolume up to this do not matter (Bayesian signed-rank test).
    """
    last: dict[tuple[str, str], list[dict[str, Any]]] = {}
    ends = {(r["table"], r["method"], r["seed"]): r for r in results.sheet.records()}
    for (table, method, _), record in sorted(ends.items()):
        last.setdefault((table, method), []).append(record)
    volumes: dict[str, dict[str, list[float]]] = {}
    unreached = dict(_unreached(results))
    for (table, method), own in last.items():
        if (table, method) in unreached:
            continue
        volumes.setdefault(method, {})[table] = [record["hypervolume"] for record in own]
    found = findings_of(volumes, against=against, rope=rope)
    lines = []
    for (table, method), own in last.items():
        columns = {name: [record[name] for record in own] for name in _MEDIANS}
        about: dict[str, Any] = {"table": table, "method": method, "runs": len(own)}
        about |= {name: float(np.median(column)) for name, column in columns.items()}
        lower, upper = np.quantile(columns["hypervolume"], (0.25, 0.75)).tolist()
        about |= {"hypervolume_lower": lower, "hypervolume_upper": upper}
        about["mean_rank"] = found.ranks.get(table, {}).get(method, np.nan)
        other, a12, p_value = found.compared(table, method)
        lines.append(Line(**about, against=other, a12=a12, p_value=p_value))
    notes = (*unreached.values(), *_optimism(results), *found.sentences())
    return Summary(tuple(lines), found, notes, rankings(results.sheet, results.worlds))


def _unreached(results: Results) -> Iterator[tuple[tuple[str, str], str]]:
    """Table and method of which no run had an evaluation at its own budget, and a note of it."""
    fronts: dict[tuple[str, str], list[bool]] = {}
    for unit, result in results.runs.items():
        fronts.setdefault((unit.table, unit.method), []).append(len(result.front) > 0)
    for (table, method), found in fronts.items():
        if not any(found):
            note = "no run had an evaluation at the budget that is compared, so it is left out"
            yield (table, method), f"{method} on {table}: {note} of ranks and tests."


def _optimism(results: Results) -> Iterator[str]:
    """How much better the chosen cells looked than they are, for methods that saw noise."""
    found: dict[tuple[str, str], list[dict[str, float]]] = {}
    for unit, result in results.runs.items():
        if result.config.noise:
            found.setdefault((unit.table, unit.method), []).append(result.optimism)
    for (table, method), each in found.items():
        medians = {name: float(np.median([one[name] for one in each])) for name in each[0]}
        about = f"{method} on {table}: seen less true, mean over the front, median over seeds"
        yield f"{about}: {optimism_text(medians)}"

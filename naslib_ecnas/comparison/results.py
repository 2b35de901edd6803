"""The results of a comparison: one tidy table of all runs, and a summary with ranks and tests.

Nothing in them depends on when, where or in which order the runs were made, so an interrupted
comparison ends in the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas import analysis
from naslib_ecnas.analysis import Scale
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.comparison.experiment import LIMITS, rules_of
from naslib_ecnas.comparison.findings import ROPE, Findings, findings_of
from naslib_ecnas.comparison.reference import Reference
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
    *("training_time_s", "energy_kwh", "co2_g", "clock_s"),
    *("hypervolume", "mean_hypervolume", "dominated_share", "igd_plus", "epsilon"),
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
    `nadir`), its mean since the start (the area under the anytime curve, in the last line up to the
    limit of the run), the same with the reference `worst`, IGD+ and the additive epsilon (0 is
    best). These are NaN for a method of which no run had an evaluation at its own budget."""
    worlds: Sheet = field(default_factory=partial(Sheet.of, WORLD_COLUMNS, ()))
    """For each run in a world the same at its end, by the true front of the world."""
    notes: tuple[str, ...] = ()
    """What is to be said of the runs that it is compared against."""


def gather(
    out: Path,
    units: Sequence[Unit],
    setting: dict[str, Any],
    *,
    against: str | None = None,
    progress: Progress | None = None,
) -> Results:
    """Read the runs of a comparison in a folder.

    Args:
        setting: further arguments of `load`.
        against: `"reference"`, or the folder of another comparison, whose runs are added.
        progress: receives the number of runs that were read.

    Raises:
        FormatError: a run is missing or damaged.
        ProvenanceError: a run searched another version of its table.
    """
    report, rules = progress or silent, rules_of(out)
    limits = {what: float(limit) for name, what in LIMITS.items() if (limit := rules.get(name))}
    benchmarks: dict[str, Benchmark] = {}
    runs: dict[Unit, SearchResult] = {}
    yardsticks: dict[str, Yardstick] = {}
    in_worlds: list[tuple[Unit, tuple[Any, ...]]] = []
    reached: set[tuple[str, str]] = set()
    # One world after the other: its columns are not kept.
    for done, unit in enumerate(sorted(units, key=_by_world), start=1):
        run, bench = Run.read(out / unit.file), opened(unit.table, setting, unit.world)
        result = run.result(bench)
        if unit.searched not in yardsticks:
            yardsticks[unit.searched] = Yardstick.of(bench, run.objectives, run.budget)
        if len(result.front):
            reached.add((unit.searched, unit.method))
        if unit.world is None:
            benchmarks[unit.table], runs[unit] = bench, result
        else:
            in_worlds.append((unit, _in_world(unit, result, yardsticks[unit.searched])))
        report("reading runs", done, len(units), unit="runs")
    notes: tuple[str, ...] = ()
    if against is not None:
        others, notes = Reference.of(against).results(list(benchmarks), setting, rules)
        runs |= others
        reached |= {(u.table, u.method) for u, result in others.items() if len(result.front)}
    lines: list[tuple[Any, ...]] = []
    for unit, result in runs.items():
        known = (unit.table, unit.method) in reached
        lines += _lines(unit, result, yardsticks[unit.table] if known else None, limits)
    worlds = [line for unit, line in in_worlds if (unit.searched, unit.method) in reached]
    sheets = Sheet.of(COLUMNS, lines), Sheet.of(WORLD_COLUMNS, worlds)
    return Results(runs, benchmarks, yardsticks, *sheets, notes)


def _by_world(unit: Unit) -> tuple[Any, ...]:
    return unit.table, -1 if unit.world is None else unit.world, unit.method, unit.seed


def _in_world(unit: Unit, result: SearchResult, yardstick: Yardstick) -> tuple[Any, ...]:
    found, scale = result.front_values, yardstick.scale
    return (
        *(unit.table, unit.world, unit.method, unit.seed),
        *(result.spent.evaluations, result.spent.energy_kwh),
        *(scale.hypervolume(found), analysis.igd_plus(found, yardstick.front, scale)),
    )


def _lines(
    unit: Unit, result: SearchResult, yardstick: Yardstick | None, limits: Mapping[str, float]
) -> Iterator[tuple[Any, ...]]:
    """The lines of a run; without a yardstick nothing that was found is measured."""
    counts, cumulative = result.anytime_counts, result.cumulative
    last = counts - 1
    costs = [
        counts,
        cumulative["epochs"][last].astype(np.int64),
        *(cumulative[name][last] for name in ("seconds", "energy_kwh", "co2_g")),
        np.maximum.accumulate(result.ended_s)[last],
    ]
    found = [np.full(len(counts), np.nan)] * 5
    if yardstick is not None:
        scale, front = yardstick.scale, yardstick.front
        made = np.arange(1.0, len(result.rows) + 1)
        reached = partial(analysis.anytime, result.own_values, made, seen=result.own_seen)
        curve = reached(made, scale)
        over, limit = next(iter(limits.items()), ("evaluations", 0.0))
        spent = cumulative[over]
        ends = np.append(spent[last[:-1]], max(limit, spent[-1]))
        found = [
            curve[last],
            analysis.mean_until(curve, spent, ends),
            reached(counts, yardstick.whole),
            reached(counts, scale, indicator=partial(analysis.igd_plus, front=front, scale=scale)),
            reached(counts, scale, indicator=partial(analysis.epsilon, front=front, scale=scale)),
        ]
    for values in zip(*costs, *found, strict=True):
        yield (unit.table, unit.method, unit.seed, result.config.epochs, *values)


# -- summary ----

_MEDIANS = ("hypervolume", "mean_hypervolume", "igd_plus", "evaluations", "energy_kwh")


@dataclass(frozen=True)
class Line:
    """The results of a method on a table over its seeds, at the end of its runs."""

    table: str
    method: str
    runs: int
    epochs: int
    """Training budget that is compared."""
    hypervolume: float
    """Median share of the true front's hypervolume; NaN if nothing was evaluated at the budget."""
    hypervolume_lower: float
    """Quartiles."""
    hypervolume_upper: float
    mean_hypervolume: float
    """Median of its mean from the start to the limit: the area under the anytime curve."""
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
        spread = f"{self.hypervolume_lower:.4f}-{self.hypervolume_upper:.4f}"
        found = f"{self.hypervolume:.4f} ({spread})", f"{self.mean_hypervolume:.4f}"
        if np.isnan(self.igd_plus):
            found = f"nothing evaluated at {self.epochs} epochs", ""
        return (
            self.method,
            *found,
            "" if np.isnan(self.igd_plus) else f"{self.igd_plus:.4f}",
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


def summarise(
    results: Results, *, against: str | None = None, planned: bool = True, rope: float = ROPE
) -> Summary:
    """Summarise the last checkpoint of every run.

    Args:
        results: the runs.
        against: compare all methods with this one; by default every pair is compared.
        planned: whether it was chosen before the runs were made. If not, the notes say so.
        rope: differences of the hypervolume up to this do not matter (Bayesian signed-rank test).
    """
    last: dict[tuple[str, str], list[dict[str, Any]]] = {}
    ends = {(r["table"], r["method"], r["seed"]): r for r in results.sheet.records()}
    for (table, method, _), record in sorted(ends.items()):
        last.setdefault((table, method), []).append(record)
    volumes: dict[str, dict[str, list[float]]] = {}
    unreached = [*_unreached(results)]
    left_out = {which for which, never, _ in unreached if never}
    for (table, method), own in last.items():
        if (table, method) in left_out:
            continue
        volumes.setdefault(method, {})[table] = [record["hypervolume"] for record in own]
    if against in {method for _, method in last} - volumes.keys():
        against = None  # nothing can be compared with it
    found = findings_of(volumes, against=against, planned=planned, rope=rope)
    lines = []
    for (table, method), own in last.items():
        columns = {name: [record[name] for record in own] for name in _MEDIANS}
        about: dict[str, Any] = {"table": table, "method": method, "runs": len(own)}
        about["epochs"] = own[0]["budget_epochs"]
        about |= {name: float(np.median(column)) for name, column in columns.items()}
        lower, upper = np.quantile(columns["hypervolume"], (0.25, 0.75)).tolist()
        about |= {"hypervolume_lower": lower, "hypervolume_upper": upper}
        about["mean_rank"] = found.ranks.get(table, {}).get(method, np.nan)
        other, a12, p_value = found.compared(table, method)
        lines.append(Line(**about, against=other, a12=a12, p_value=p_value))
    notes = (
        *results.notes,
        *(note for *_, note in unreached),
        *_optimism(results),
        *found.sentences(),
    )
    return Summary(tuple(lines), found, notes, rankings(results.sheet, results.worlds))


def _unreached(results: Results) -> Iterator[tuple[tuple[str, str], bool, str]]:
    """Table and method of which runs had no evaluation at their own budget, whether none had one,
    and a note of it."""
    fronts: dict[tuple[str, str], list[SearchResult]] = {}
    for unit, result in results.runs.items():
        fronts.setdefault((unit.table, unit.method), []).append(result)
    for (table, method), each in fronts.items():
        empty = sum(not len(result.front) for result in each)
        note = f"{method} on {table}: nothing evaluated at {each[0].config.epochs} epochs"
        if empty == len(each):
            yield (table, method), True, f"{note}, so it is left out of ranks and tests."
        elif empty:
            note += f" in {empty} of {len(each)} runs, whose hypervolume counts as 0."
            yield (table, method), False, note


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

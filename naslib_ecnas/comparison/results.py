"""The results of a comparison: one tidy table of all runs, and a summary with ranks and tests.

Nothing in them depends on when, where or in which order the runs were made, so an interrupted
comparison ends in the same bytes.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from naslib_ecnas import analysis
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.comparison.experiment import rules_of
from naslib_ecnas.comparison.findings import ROPE, Findings, findings_of
from naslib_ecnas.comparison.runs import Run, Unit, opened, runs_in
from naslib_ecnas.comparison.worlds import COLUMNS as WORLD_COLUMNS
from naslib_ecnas.comparison.worlds import WorldRanking, rankings
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.files import Sheet, from_json, is_folder
from naslib_ecnas.progress import listener
from naslib_ecnas.search.accounting import LIMITS, QUANTITIES, Ledger, Limits
from naslib_ecnas.search.output import optimism_text
from naslib_ecnas.search.result import SearchResult

#: What stands for the runs that ship with the package.
REFERENCE = "reference"
_SHIPPED = "reference_runs.jsonl.gz"
#: The tidy file in the folder of a comparison.
FILE = "results.csv"

#: Columns of the tidy file.
COLUMNS = (
    *("table", "method", "seed", "budget_epochs", "evaluations", "epochs"),
    *("training_time_s", "energy_kwh", "co2_g", "clock_s"),
    *("hypervolume", "mean_hypervolume", "igd_plus", "epsilon"),
)


@dataclass(frozen=True, eq=False)
class Results:
    """The runs of a comparison."""

    runs: dict[Unit, SearchResult]
    """Those on the tables themselves, not in worlds."""
    benchmarks: dict[str, Benchmark]
    sheet: Sheet
    """`COLUMNS` for each run at each checkpoint: what had been spent by then, and for the front
    found by then the hypervolume (as a share of the true front's, 0 to 1), its mean since the start
    (the area under the anytime curve, in the last line up to the limit of the run), IGD+ and the
    additive epsilon (0 is best). These are NaN for a method of which no run had an evaluation at
    its own budget."""
    worlds: Sheet = field(default_factory=partial(Sheet.of, WORLD_COLUMNS, ()))
    """For each run in a world the same at its end, by the true front of the world."""
    notes: tuple[str, ...] = ()
    """What is to be said of the runs that it is compared against."""


def gather(out: Path, units: Sequence[Unit], *, against: str | None = None) -> Results:
    """Read the runs of a comparison in a folder, with the tables that it was made with.

    Args:
        against: `"reference"`, or the folder of another comparison, whose runs are added.

    Raises:
        FormatError: a run is missing or damaged.
        ProvenanceError: a run searched another version of its table.
    """
    report, rules = listener(), rules_of(out)
    setting = rules.get("setting", {})
    limits = {what: float(limit) for name, what in LIMITS.items() if (limit := rules.get(name))}
    benchmarks: dict[str, Benchmark] = {}
    runs: dict[Unit, SearchResult] = {}
    fronts: dict[str, Any] = {}  # values of the true fronts, by `Unit.searched`
    in_worlds: list[tuple[Unit, tuple[Any, ...]]] = []
    reached: set[tuple[str, str]] = set()
    # One world after the other: its columns are not kept.
    for done, unit in enumerate(sorted(units, key=_by_world), start=1):
        run, bench = Run.read(out / unit.file), opened(unit.table, setting, unit.world)
        result = run.result(bench)
        if unit.searched not in fronts:
            fronts[unit.searched] = bench.front(run.objectives, run.budget).values
        if len(result.front):
            reached.add((unit.searched, unit.method))
        if unit.world is None:
            benchmarks[unit.table], runs[unit] = bench, result
        else:
            in_worlds.append((unit, _in_world(unit, result, fronts[unit.searched])))
        report("reading runs", done, len(units), unit="runs")
    notes: tuple[str, ...] = ()
    if against is not None:
        others, notes = Reference.of(against).results(list(benchmarks), setting, rules)
        runs |= others
        reached |= {(u.table, u.method) for u, result in others.items() if len(result.front)}
    lines: list[tuple[Any, ...]] = []
    for unit, result in runs.items():
        known = (unit.table, unit.method) in reached
        lines += _lines(unit, result, fronts[unit.table] if known else None, limits)
    worlds = [line for unit, line in in_worlds if (unit.searched, unit.method) in reached]
    sheets = Sheet.of(COLUMNS, lines), Sheet.of(WORLD_COLUMNS, worlds)
    return Results(runs, benchmarks, *sheets, notes)


def _by_world(unit: Unit) -> tuple[Any, ...]:
    return unit.table, -1 if unit.world is None else unit.world, unit.method, unit.seed


def _in_world(unit: Unit, result: SearchResult, front: Any) -> tuple[Any, ...]:
    return (
        *(unit.table, unit.world, unit.method, unit.seed),
        *(result.spent.evaluations, result.spent.energy_kwh),
        *(result.hypervolume, analysis.igd_plus(result.front_values, front, result.scale)),
    )


def _lines(
    unit: Unit, result: SearchResult, front: Any, limits: Mapping[str, float]
) -> Iterator[tuple[Any, ...]]:
    """The lines of a run; without a true front nothing that was found is measured."""
    counts, cumulative = result.anytime_counts, result.cumulative
    last = counts - 1
    costs = [
        counts,
        cumulative["epochs"][last].astype(np.int64),
        *(cumulative[name][last] for name in ("seconds", "energy_kwh", "co2_g")),
        np.maximum.accumulate(result.ended_s)[last],
    ]
    found = [np.full(len(counts), np.nan)] * 4
    if front is not None:
        scale = result.scale
        made = np.arange(1.0, len(result.rows) + 1)
        reached = partial(analysis.anytime, result.own_values, made, seen=result.own_seen)
        curve = reached(made, scale)
        over, limit = next(iter(limits.items()), ("evaluations", 0.0))
        spent = cumulative[over]
        ends = np.append(spent[last[:-1]], max(limit, spent[-1]))
        found = [
            curve[last],
            analysis.mean_until(curve, spent, ends),
            reached(counts, scale, indicator=partial(analysis.igd_plus, front=front, scale=scale)),
            reached(counts, scale, indicator=partial(analysis.epsilon, front=front, scale=scale)),
        ]
    for values in zip(*costs, *found, strict=True):
        yield (unit.table, unit.method, unit.seed, result.config.epochs, *values)


# -- runs to compare with ----


@dataclass(frozen=True, eq=False)
class Reference:
    """Runs of methods, to be compared with others under other limits."""

    about: str
    """Where they are from."""
    runs: tuple[Run, ...]
    rules: Mapping[str, Any]
    """The rules under which they were made, as in `comparison.json`; empty for several."""

    @classmethod
    def of(cls, source: str) -> Reference:
        """The runs of the package (`"reference"`), or of a folder of `ecnas compare`.

        Raises:
            ConfigError: it is neither.
            FormatError: a run of the folder is damaged.
        """
        if source == REFERENCE:
            packed = files("naslib_ecnas.data").joinpath(_SHIPPED).read_bytes()
            first, *lines = gzip.decompress(packed).splitlines()
            made = ", ".join(f"{name} {v}" for name, v in from_json(first)["versions"].items())
            return cls(f"reference results, made by {made}", tuple(map(Run.of_json, lines)), {})
        folder = Path(source)
        rules = rules_of(folder) if is_folder(folder) else {}
        if not rules:
            message = f"what to compare against must be {REFERENCE} or a folder of ecnas compare"
            raise ConfigError(message, value=source)
        return cls(f"runs of {folder}", tuple(runs_in(folder)), rules)

    def results(
        self, tables: Sequence[str], setting: Mapping[str, Any], rules: Mapping[str, Any]
    ) -> tuple[dict[Unit, SearchResult], tuple[str, ...]]:
        """The runs on some tables, each as far as a comparison's limits allow, and notes.

        Methods are named `ehvi (ref)`. One of which a run was made under other rules, or ended
        before the limits, is left out, and a note says so.

        Args:
            setting: further arguments of `load`.
            rules: of the comparison, see `rules_of`.

        Raises:
            ProvenanceError: a run searched another version of a table.
            ConfigError: no method is left.
        """
        groups: dict[tuple[str, str], list[Run]] = {}
        for run in self.runs:
            if run.table in tables and run.world is None:
                groups.setdefault((run.table, run.method), []).append(run)
        found: dict[Unit, SearchResult] = {}
        notes = []
        for (table, method), runs in groups.items():
            cut = [self._cut(run, setting, rules) for run in runs]
            whys = dict.fromkeys(why for why in cut if isinstance(why, str))
            if whys:
                notes.append(f"{method} (ref) on {table} is left out: {'; '.join(whys)}.")
                continue
            for run, result in zip(runs, cut, strict=True):
                if isinstance(result, SearchResult):
                    found[Unit(table, f"{method} (ref)", run.seed)] = result
        if not found:
            why = notes[0].rstrip(".") if notes else f"they are on other tables than {tables}"
            raise ConfigError(f"the {self.about} have no run that can be compared: {why}")
        return found, (*notes, f"(ref): {self.about}.")

    def _cut(
        self, run: Run, setting: Mapping[str, Any], rules: Mapping[str, Any]
    ) -> SearchResult | str:
        """The part of a run that some rules allow, or why it cannot be compared under them."""
        bench = opened(run.table, setting)
        whole = run.result(bench)  # refuses another version of the table
        epochs = rules.get("epochs") or bench.budgets[-1]
        there = list(run.objectives), run.budget, run.noise, run.workers
        wanted = rules["objectives"], epochs, rules["noise"], rules.get("workers") or 1
        if there != wanted:
            return "it was run for other objectives, epochs, noise or workers"
        trained = np.column_stack([run.rows, run.epochs])
        if rules.get("free_repeats") and len(np.unique(trained, axis=0)) < len(trained):
            return "its repeats were charged"
        limits = Limits(**{name: rules.get(name) for name in LIMITS})
        sums = np.column_stack([whole.cumulative[name] for name in QUANTITIES])
        fits, stopper = limits.fitting(sums)
        equal = bool(self.rules) and all(self.rules.get(name) == rules.get(name) for name in LIMITS)
        own = len(np.unique(run.rows[run.epochs == run.budget]))
        every = Ledger.of(bench, run.objectives, run.budget).complete.sum()
        if not (equal or stopper or fits == limits.evaluations or own == every) or not fits:
            return "a run ended before this limit"
        if fits < len(run.rows) and run.noise:
            return "noisy runs cannot be cut to this limit"
        return replace(run, rows=run.rows[:fits], epochs=run.epochs[:fits]).result(bench)


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
        `profiles.csv`, and for runs in worlds `world-methods.csv`."""
        sheets = {"summary": [asdict(line) for line in self.lines]}
        sheets["tests"] = self.findings.tests()
        sheets["overall"] = self.findings.overall()
        sheets["profiles"] = self.findings.profile_points()
        sheets["world-methods"] = [line for each in self.worlds for line in each.lines()]
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
        if (table, method) not in left_out:
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
    for (table, method), each in _by_method(results).items():
        empty = sum(not len(result.front) for result in each)
        note = f"{method} on {table}: nothing evaluated at {each[0].config.epochs} epochs"
        if empty == len(each):
            yield (table, method), True, f"{note}, so it is left out of ranks and tests."
        elif empty:
            note += f" in {empty} of {len(each)} runs, whose hypervolume counts as 0."
            yield (table, method), False, note


def _optimism(results: Results) -> Iterator[str]:
    """How much better the chosen cells looked than they are, for methods that saw noise."""
    for (table, method), each in _by_method(results).items():
        found = [result.optimism for result in each if result.config.noise]
        if found:
            medians = {n: float(np.median([one[n] for one in found])) for n in found[0]}
            about = f"{method} on {table}: seen less true, mean over the front, median over seeds"
            yield f"{about}: {optimism_text(medians)}"


def _by_method(results: Results) -> dict[tuple[str, str], list[SearchResult]]:
    """The runs of each table and method."""
    found: dict[tuple[str, str], list[SearchResult]] = {}
    for unit, result in results.runs.items():
        found.setdefault((unit.table, unit.method), []).append(result)
    return found

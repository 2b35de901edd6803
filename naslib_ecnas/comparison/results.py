"""The results of a comparison: one tidy table of all runs, and a summary with ranks and tests.

`gather` reads the runs into a table with a line for each run at each of its checkpoints, and
`summarise` computes medians, ranks and paired tests. Nothing in them depends on when, where or in
which order the runs were made, so an interrupted comparison ends in the same bytes.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.analysis import (
    PairedScores,
    Scale,
    anytime,
    epsilon,
    friedman,
    igd_plus,
    mean_ranks,
    pairwise,
)
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.comparison.compare import Run, Unit
from naslib_ecnas.errors import ConfigError, MissingDependencyError
from naslib_ecnas.files import Sheet
from naslib_ecnas.search.result import SearchResult

__all__ = ["COLUMNS", "FILE", "Line", "Results", "Summary", "Yardstick", "gather", "summarise"]

#: The tidy file in the folder of a comparison.
FILE = "results.csv"

#: Columns of the tidy file.
COLUMNS = (
    "table",
    "method",
    "seed",
    "budget_epochs",
    "evaluations",
    "epochs",
    "training_time_s",
    "energy_kwh",
    "co2_g",
    "hypervolume",
    "hypervolume_of_table",
    "igd_plus",
    "epsilon",
)


@dataclass(frozen=True, eq=False)
class Yardstick:
    """The true front of a table and the scales that measure its runs."""

    front: NDArray[np.float64]
    """(k, m) values of the true front."""
    scale: Scale
    """The scale with the reference `nadir`, a little behind the front's worst values."""
    whole: Scale
    """The scale with the reference `worst`, the worst values of the table."""

    @classmethod
    def of(cls, bench: Benchmark, objectives: Sequence[str], epochs: int) -> Yardstick:
        """The yardstick of a table at a budget."""
        front = bench.front(objectives, epochs).values
        values = np.column_stack([bench.values(name, epochs) for name in objectives])
        return cls(
            np.asarray(front, dtype=np.float64),
            Scale.of(values, objectives, reference="nadir"),
            Scale.of(values, objectives),
        )


@dataclass(frozen=True, eq=False)
class Results:
    """The runs of a comparison."""

    runs: dict[Unit, SearchResult]
    benchmarks: dict[str, Benchmark]
    yardsticks: dict[str, Yardstick]
    """By table."""
    sheet: Sheet
    """`COLUMNS` for each run at each checkpoint: what had been spent by then, and for the front
    found by then the hypervolume (as a share of the true front's, 0 to 1, with the reference
    `nadir`), the same with the reference `worst`, IGD+ and the additive epsilon (0 is best)."""

    def own(self, unit: Unit) -> NDArray[np.float64]:
        """(n, m) objectives of a run's evaluations, NaN for those at another budget."""
        return _own(self.runs[unit])


def _own(result: SearchResult) -> NDArray[np.float64]:
    at_budget = (result.epochs == result.config.epochs)[:, None]
    return np.asarray(np.where(at_budget, result.values, np.nan), dtype=np.float64)


def gather(out: Path, units: Sequence[Unit], setting: dict[str, Any]) -> Results:
    """Read the runs of a comparison.

    Args:
        out: folder of the comparison.
        units: its runs, which must all be there.
        setting: further arguments of `load`.

    Raises:
        FormatError: a run is missing or damaged.
        ProvenanceError: a run searched another version of its table.
    """
    from naslib_ecnas.loading import load

    chosen = {k: v for k, v in setting.items() if v is not None}
    benchmarks = {name: load(name, **chosen) for name in sorted({unit.table for unit in units})}
    runs: dict[Unit, SearchResult] = {}
    yardsticks: dict[str, Yardstick] = {}
    lines: list[tuple[Any, ...]] = []
    for unit in sorted(units):
        run, bench = Run.read(out / unit.file), benchmarks[unit.table]
        runs[unit] = run.result(bench)
        if unit.table not in yardsticks:
            yardsticks[unit.table] = Yardstick.of(bench, run.objectives, run.budget)
        lines += _lines(unit, runs[unit], yardsticks[unit.table])
    return Results(runs, benchmarks, yardsticks, Sheet.of(COLUMNS, lines))


def _lines(unit: Unit, result: SearchResult, yardstick: Yardstick) -> Iterator[tuple[Any, ...]]:
    counts = result.anytime_counts
    own, made = _own(result), np.arange(1.0, len(result.rows) + 1)
    scale, front = yardstick.scale, yardstick.front
    curves = [
        anytime(own, made, counts, scale),
        anytime(own, made, counts, yardstick.whole),
        *(
            anytime(
                own, made, counts, scale, indicator=partial(indicator, front=front, scale=scale)
            )
            for indicator in (igd_plus, epsilon)
        ),
    ]
    spent = [result.cumulative[name] for name in ("seconds", "energy_kwh", "co2_g")]
    for i, count in enumerate(counts.tolist()):
        yield (
            unit.table,
            unit.method,
            unit.seed,
            result.config.epochs,
            count,
            int(result.cumulative["epochs"][count - 1]),
            *(float(column[count - 1]) for column in spent),
            *(float(curve[i]) for curve in curves),
        )


# -- summary ----

_AT = {name: place for place, name in enumerate(COLUMNS)}

#: Hypervolume of each method in each block, (table, seed).
_Scores = dict[str, dict[Hashable, float]]


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
    """Mean rank by hypervolume over the table's seeds; 1 is the best."""
    p_against_best: float
    """P-value of Wilcoxon's signed-rank test against the table's best method, corrected by Holm;
    NaN for the best method, for a single seed, and without scipy."""

    def shown(self) -> tuple[str, ...]:
        """The line as texts for a printed table."""
        p = self.p_against_best
        return (
            self.method,
            f"{self.hypervolume:.4f} ({self.hypervolume_lower:.4f}-{self.hypervolume_upper:.4f})",
            f"{self.igd_plus:.4f}",
            f"{self.evaluations:,.0f}",
            f"{self.energy_kwh:,.4g}",
            f"{self.mean_rank:.2f}",
            "" if np.isnan(p) else f"{p:.3g}",
        )


@dataclass(frozen=True)
class Summary:
    """The results of a comparison in short."""

    lines: tuple[Line, ...]
    ranks: dict[str, float]
    """Mean rank of each method over the tables and seeds that all methods have, the best first."""
    tests: tuple[dict[str, Any], ...]
    """Tests of every pair of methods over all tables and seeds (`PairComparison`)."""
    notes: tuple[str, ...]

    def by_table(self) -> dict[str, list[Line]]:
        """The lines of each table, the best method first."""
        tables: dict[str, list[Line]] = {}
        for line in self.lines:
            tables.setdefault(line.table, []).append(line)
        return {
            table: sorted(lines, key=lambda line: (line.mean_rank, line.method))
            for table, lines in tables.items()
        }

    def document(self) -> dict[str, Any]:
        """The summary for JSON."""
        return {
            "methods": [asdict(line) for line in self.lines],
            "mean_ranks": self.ranks,
            "tests": list(self.tests),
            "notes": list(self.notes),
        }

    def sheets(self) -> dict[str, Sheet]:
        """The summary as sheets, by name."""
        lines = [asdict(line) for line in self.lines]
        sheets = {
            "summary": Sheet.of(list(lines[0]), [list(line.values()) for line in lines]),
            "ranks": Sheet.of(("method", "mean_rank"), list(self.ranks.items())),
        }
        if self.tests:
            names = list(self.tests[0])
            sheets["tests"] = Sheet.of(names, [[t[n] for n in names] for t in self.tests])
        return sheets

    def write(self, out: Path) -> None:
        """Write `summary.csv`, `ranks.csv` and, for two methods or more, `tests.csv`."""
        for name, sheet in self.sheets().items():
            sheet.write(out / f"{name}.csv")


def summarise(results: Results) -> Summary:
    """Summarise the last checkpoint of every run."""
    last: dict[tuple[str, str, int], tuple[Any, ...]] = {}
    for line in results.sheet.rows:
        last[line[:3]] = line
    tables = sorted({table for table, _, _ in last})
    methods = sorted({method for _, method, _ in last})
    notes: list[str] = []
    lines = []
    for table in tables:
        scores = _scores(last, [table], methods)
        ranks = _ranks(scores)
        best = min(ranks, key=lambda method: ranks[method])
        against = _against(scores, best, notes)
        for method in methods:
            own = [line for key, line in last.items() if key[:2] == (table, method)]
            if not own:
                continue
            volume = np.array([line[_AT["hypervolume"]] for line in own])
            lines.append(
                Line(
                    table=table,
                    method=method,
                    runs=len(own),
                    hypervolume=float(np.median(volume)),
                    hypervolume_lower=float(np.quantile(volume, 0.25)),
                    hypervolume_upper=float(np.quantile(volume, 0.75)),
                    igd_plus=_median(own, "igd_plus"),
                    evaluations=_median(own, "evaluations"),
                    energy_kwh=_median(own, "energy_kwh"),
                    mean_rank=ranks[method],
                    p_against_best=against.get(method, float("nan")),
                )
            )
    scores = _scores(last, tables, methods)
    tests = _tests(scores, notes)
    return Summary(tuple(lines), _ranks(scores), tests, tuple(dict.fromkeys(notes)))


def _median(lines: Sequence[tuple[Any, ...]], name: str) -> float:
    return float(np.median([line[_AT[name]] for line in lines]))


def _scores(
    last: dict[tuple[str, str, int], tuple[Any, ...]], tables: Sequence[str], methods: Sequence[str]
) -> _Scores:
    """Hypervolume of each method in each of its blocks (table, seed)."""
    found: _Scores = {}
    for method in methods:
        own: dict[Hashable, float] = {
            (table, seed): line[_AT["hypervolume"]]
            for (table, name, seed), line in last.items()
            if name == method and table in tables
        }
        if own:
            found[method] = own
    return found


def _ranks(scores: _Scores) -> dict[str, float]:
    if len(scores) < 2:
        return dict.fromkeys(scores, 1.0)
    # Ranks are comparable only where all methods ran.
    shared = set.intersection(*(set(own) for own in scores.values()))
    if not shared:
        return dict.fromkeys(scores, float("nan"))
    paired = {
        method: {block: value for block, value in own.items() if block in shared}
        for method, own in scores.items()
    }
    return mean_ranks(PairedScores.of(paired, maximise=True))


def _rng() -> np.random.Generator:
    """The generator of bootstrap intervals: equal runs have equal summaries."""
    return np.random.default_rng(0)


def _against(scores: _Scores, best: str, notes: list[str]) -> dict[str, float]:
    if len(scores) < 2 or len(next(iter(scores.values()))) < 2:
        return {}
    try:
        paired = PairedScores.of(scores, maximise=True)
        return {test.a: test.p_holm for test in pairwise(paired, rng=_rng(), against=best)}
    except (MissingDependencyError, ConfigError) as error:
        notes.append(f"no tests: {error}")
        return {}


def _tests(scores: _Scores, notes: list[str]) -> tuple[dict[str, Any], ...]:
    if len(scores) < 2:
        return ()
    try:
        paired = PairedScores.of(scores, maximise=True)
        tests = tuple(asdict(test) for test in pairwise(paired, rng=_rng()))
        if len(scores) > 2:
            found = friedman(paired)
            notes.append(
                f"Friedman over {found.blocks} blocks (table, seed) and {found.methods} methods: "
                f"chi-squared {found.statistic:.3g}, p = {found.p_value:.3g}"
            )
    except MissingDependencyError as error:
        notes.append(f"no tests: {error}")
        return ()
    except ConfigError as error:
        notes.append(f"no tests over all tables: {error}")
        return ()
    return tests

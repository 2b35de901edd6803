"""What the runs of a comparison show, and what they do not: tests, aggregates and sentences.

Two questions are kept apart. On a table, the runs of two methods are independent samples: do they
differ here? Over tables, each method has one score on each table: do they differ on tables in
general? Each question has tests of its own, corrected by Holm for all of their comparisons, and
doubled where the tests of the other question could find something, too (Bonferroni): where no
method differs from another, at most one report in twenty says that one does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from naslib_ecnas import analysis
from naslib_ecnas.analysis import Estimate, PairTest, Practical, Profile, RunScores
from naslib_ecnas.analysis.significance import ALPHA as ALPHA
from naslib_ecnas.errors import check_numbers, counted

#: Differences of the share of the true front's hypervolume that do not matter by default.
ROPE = 0.01
#: Power that the smallest difference to be found is stated for.
POWER = 0.8
#: Missing shares of the hypervolume at which profiles are taken.
_MISSING = np.geomspace(1, 1e-4, 81)
# Always the same numbers, so that equal runs have equal intervals.
_rng = partial(np.random.default_rng, 0)


@dataclass(frozen=True, eq=False)
class Findings:
    """Tests and aggregates of a comparison. Make it by `findings_of`."""

    scores: RunScores
    """Share of the true front's hypervolume at the end of each run."""
    against: str | None
    """The method with which all others are compared; None for all pairs."""
    planned: bool
    """Whether it was chosen before the runs were made."""
    ranks: dict[str, dict[str, float]]
    """Table -> method -> mean rank among the runs on the table, the best first."""
    on_tables: tuple[PairTest, ...] = ()
    questions: tuple[int, int] = (1, 1)
    """By how many the corrected p-values on tables, and those over tables, are multiplied."""
    mean_ranks: dict[str, float] = field(default_factory=dict)
    """Method -> mean rank over the tables on which all methods ran, the best first."""
    over_tables: tuple[PairTest, ...] = ()
    """For two tables or more."""
    practical: dict[tuple[str, str], Practical] = field(default_factory=dict)
    means: dict[str, Estimate] = field(default_factory=dict)
    """Method -> interquartile mean over the tables on which all methods ran."""
    improvements: dict[tuple[str, str], Estimate] = field(default_factory=dict)
    """Pair -> probability of improvement over the same tables."""
    profiles: dict[str, Profile] = field(default_factory=dict)
    """Method -> share of its runs above each hypervolume, over the same tables."""

    def tests(self) -> list[dict[str, Any]]:
        """A record for each pair of methods on each table, and over all tables (table "")."""
        found = []
        for test in (*self.on_tables, *self.over_tables):
            pair, table = (test.a, test.b), test.table
            if table:
                own = {name: {table: self.scores.runs[name][table]} for name in pair}
                scores = RunScores(own, self.scores.maximise)
                won = analysis.improvements(scores, rng=_rng())[pair]
            else:
                won = self.improvements[pair]
            likely = None if table else self.practical[pair]
            record: dict[str, Any] = {"table": table}
            record["test"] = "rank sum" if table else "signed rank"
            record |= {"a": test.a, "b": test.b, "n_a": test.runs_a, "n_b": test.runs_b}
            record |= {n: getattr(test, n) for n in ("p_value", "p_holm", "smallest_p")}
            record |= {"a12": won.value, "a12_lower": won.lower, "a12_upper": won.upper}
            for name in ("better", "equivalent", "worse"):
                record[name] = getattr(likely, name, np.nan)
            found.append(record)
        return found

    def overall(self) -> list[dict[str, Any]]:
        """A record for each method over all tables, the best mean rank first."""
        found = []
        for name, rank in self.mean_ranks.items():
            mean = self.means[name]
            about: dict[str, Any] = {"method": name, "tables": len(self.scores.tables)}
            about |= {"mean_rank": rank, "interquartile_mean": mean.value}
            found.append(about | {"lower": mean.lower, "upper": mean.upper})
        return found

    def profile_points(self) -> list[dict[str, Any]]:
        """A record for each point of each method's profile."""
        return [
            {"method": name, "hypervolume": at, "share": share, "lower": lower, "upper": upper}
            for name, found in self.profiles.items()
            for at, share, lower, upper in zip(*vars(found).values(), strict=True)
        ]

    def compared(self, table: str, method: str) -> tuple[str, float, float]:
        """With which method one is compared on a table, the first one or that which was chosen;
        its `a12` against it and the corrected p-value. "" and NaN for this one itself."""
        first = self.against or next(iter(self.ranks.get(table, "")), "")
        for test in self.on_tables:
            if test.table == table and {test.a, test.b} == {first, method}:
                return first, test.a12 if test.a == method else 1 - test.a12, test.p_holm
        return "", float("nan"), float("nan")

    @property
    def corrected(self) -> str:
        """How the p-values on tables are corrected, as a text."""
        text = f"corrected by Holm for {counted(len(self.on_tables), 'comparison')}"
        return text + (" and doubled for the tests over tables" if self.questions[0] > 1 else "")

    def apart(self, table: str | None = None) -> set[frozenset[str]]:
        """Pairs that the tests tell apart on a table or, without one, over tables."""
        tests = self.over_tables if table is None else self.on_tables
        there = [test for test in tests if test.table == (table or "")]
        return {frozenset((test.a, test.b)) for test in there if test.p_holm <= ALPHA}

    def sentences(self) -> Iterator[str]:
        """What follows from the tests, and what does not."""
        if not self.on_tables:
            return
        count = len(self.on_tables) * self.questions[0]
        yield _about(len(self.on_tables), self.against, self.planned)
        if min(self.questions) > 1:
            yield (
                "Differences on a table and over tables are both looked for, so p is doubled, too: "
                "without any difference, at most one report in twenty finds one."
            )
        said: dict[str, list[str]] = {}  # what is said of several tables is said once
        powers = []
        for table, ranks in self.ranks.items():
            tests = [test for test in self.on_tables if test.table == table]
            if tests:
                text, power = _on_table(ranks, tests, count, self.against)
                said.setdefault(text, []).append(table)
                powers.append(power)
        yield from (f"{_listed(tables)}: {text}" for text, tables in said.items())
        yield from filter(None, dict.fromkeys(powers))
        yield from self._over_tables()

    def _over_tables(self) -> Iterator[str]:
        shared, every = self.scores.tables, list(self.ranks)
        if len(shared) < len(every):
            names = _listed(shared) if shared else "no table"
            yield f"Over tables, only {names} can be used: elsewhere a method is missing."
        if len(shared) < 2:
            yield "Nothing follows from one table for other tables, budgets or objectives."
            return
        if len(self.mean_ranks) > 2:
            found = analysis.friedman(self.scores)
            yield (
                f"Friedman's test over {len(shared)} tables and {len(self.mean_ranks)} methods: "
                f"chi-squared {found.statistic:.3g}, p = {found.p_value:.2g}."
            )
        count = len(self.over_tables) * self.questions[1]
        smallest = self.over_tables[0].smallest_p
        if smallest > ALPHA:
            yield (
                f"Over tables: {len(shared)} tables cannot show what holds for tables in general. "
                f"The smallest corrected p that is possible is {smallest:.2g}; "
                f"{analysis.blocks_needed(count)} tables are needed. What is found above holds "
                "for these tables."
            )
        else:
            first = self.against or next(iter(self.mean_ranks))
            yield (
                f"Over {len(shared)} tables: {_apart(first, self.over_tables, self.against)} "
                "Tables with cells in common, as 4v, 5v and 7v or several budgets have, tell less "
                "than their number says."
            )
        if len(shared) >= analysis.blocks_needed():
            equal = [f"({a}, {b})" for (a, b), p in self.practical.items() if p.equivalent >= 0.95]
            if equal:
                rope = next(iter(self.practical.values())).rope
                yield (
                    f"On a further table {_listed(equal)} differ by less than {rope:g}, which is "
                    "taken not to matter, with a probability of at least 0.95 (Bayesian "
                    "signed-rank test)."
                )


def findings_of(
    volumes: Mapping[str, Mapping[str, ArrayLike]],
    *,
    against: str | None = None,
    planned: bool = True,
    rope: float = ROPE,
) -> Findings:
    """Compare the runs of several methods on one or more tables.

    Args:
        volumes: method -> table -> (n,) hypervolume at the end of each run.
        against: compare the other methods only with this one.
        planned: whether it was chosen before the runs were made. If not, the sentences say so.
        rope: half the width of the region of practical equivalence.

    Raises:
        ConfigError: there is no such method, or a hypervolume is not known.
    """
    check_numbers("a comparison", least=0, rope=rope)
    tables = sorted({table for of in volumes.values() for table in of})
    if not tables:
        return Findings(RunScores({}, True), against, planned, {})
    known = {name: {table: of[table] for table in sorted(of)} for name, of in volumes.items()}
    scores = RunScores.of({name: of for name, of in known.items() if of}, maximise=True)
    ranks = {table: analysis.run_ranks(scores, table) for table in tables}
    scores.pairs(against)  # refuses a method that is not there
    if len(scores.runs) < 2:
        return Findings(scores, against, planned, ranks)
    on_tables = analysis.compare_runs(scores, against=against)
    if not scores.tables:
        return Findings(scores, against, planned, ranks, on_tables)
    over: tuple[PairTest, ...] = ()
    practical = {}
    if len(scores.tables) > 1:
        over, means = analysis.pairwise(scores, against=against), scores.means()
        for test in over:
            gaps = scores.sign * (means[test.a] - means[test.b])
            practical[test.a, test.b] = analysis.practical(gaps, rope=rope, rng=_rng())
    questions = _questions(on_tables, over)
    on_tables, over = (_times(n, t) for n, t in zip(questions, (on_tables, over), strict=True))
    return Findings(
        scores,
        against,
        planned,
        ranks,
        on_tables,
        questions,
        analysis.mean_ranks(scores),
        over,
        practical,
        analysis.interquartile_means(scores, rng=_rng()),
        analysis.improvements(scores, rng=_rng(), against=against),
        analysis.profiles(scores, 1 - _MISSING, rng=_rng()),
    )


def _questions(*levels: Sequence[PairTest]) -> tuple[int, int]:
    """By how many the p-values of each of two levels are multiplied: 2 where a test of the other
    level has values enough to find a difference."""
    one, other = (any(test.smallest_p <= ALPHA for test in tests) for tests in levels)
    return 1 + other, 1 + one


def _times(number: int, tests: Sequence[PairTest]) -> tuple[PairTest, ...]:
    """The tests with their corrected p-values multiplied."""
    return tuple(
        replace(t, p_holm=min(1.0, number * t.p_holm), smallest_p=min(1.0, number * t.smallest_p))
        for t in tests
    )


# -- sentences ----


def _about(count: int, against: str | None, planned: bool) -> str:
    how = "Runs on a table are compared as independent samples (exact rank-sum test; seeds are not "
    how += f"pairs). p is corrected by Holm for {counted(count, 'comparison')}"
    if against is None:
        return f"{how}, all pairs on all tables: it holds although the best is known afterwards."
    when = "before" if planned else "only after"
    off = "" if planned else ", so it may be too small"
    return f"{how} with {against}, which was chosen {when} the runs were made{off}."


def _on_table(
    ranks: dict[str, float], tests: Sequence[PairTest], count: int, against: str | None
) -> tuple[str, str]:
    """What the tests on one table say of its first method, or of the one that was chosen; and,
    where they leave something open, what they would have found."""
    sizes = min(((test.runs_a, test.runs_b) for test in tests), key=min)
    smallest = min(test.smallest_p for test in tests)
    runs = f"{counted(min(sizes), 'run')} of each method"
    if smallest > ALPHA:
        text = f"{runs} cannot show a difference. The smallest corrected p that is possible is "
        return f"{text}{smallest:.2g}; {analysis.runs_needed(count)} runs are needed.", ""
    first = against or next(iter(ranks))
    text = _apart(first, tests, against)
    found = all(test.p_holm <= ALPHA for test in tests if first in (test.a, test.b))
    if found or sum(sizes) > 100:
        return text, ""
    effect = analysis.detectable(*sizes, comparisons=count, power=POWER)
    if np.isnan(effect):  # of the pair with the fewest runs; others can be told apart
        return text, ""
    power = f"With {runs}, a difference is found with a probability of {POWER:g} if a run of the "
    return (
        text,
        f"{power}better one wins {100 * effect:.0f} % of all pairs of runs, else less often.",
    )


def _apart(first: str, tests: Sequence[PairTest], against: str | None) -> str:
    """From which methods the tests tell one method apart, and from which they do not."""
    found: dict[str, list[str]] = {"better than": [], "worse than": [], "open": []}
    p_values = [0.0]
    for test in tests:
        if first in (test.a, test.b):
            wins = (test.a12 > 0.5) == (first == test.a)
            open_ = test.p_holm > ALPHA
            kind = "open" if open_ else "better than" if wins else "worse than"
            found[kind].append(test.b if first == test.a else test.a)
            p_values.append(0.0 if open_ else test.p_holm)
    left = found.pop("open")
    parts = [] if against else [f"{first} ranks first"]
    it = first if against else "it"
    told = [f"{kind} {_listed(names)}" for kind, names in found.items() if names]
    if told:
        parts.append(f"{it} is {' and '.join(told)} (p at most {max(p_values):.2g})")
        it = "it"
    if left:
        parts.append(
            f"the tests do not tell {it} apart from {_listed(left)}, "
            "which does not show that they are equal"
        )
    return "; ".join(parts) + "."


def _listed(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last

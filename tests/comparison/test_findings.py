"""What a comparison says that it shows, and that it says no more."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from naslib_ecnas.analysis import RunScores, a12, compare_runs, pairwise
from naslib_ecnas.comparison.findings import Findings, _questions, _times, findings_of

NAMES = "abcdefgh"


def grid(methods: int, tables: int, runs: int, *, step: float = 0.0, seed: int = 0) -> Findings:
    """Methods whose hypervolumes rise by `step` standard deviations from one to the next."""
    rng = np.random.default_rng(seed)
    return findings_of(
        {
            name: {f"t{t}": 0.9 + 0.01 * rng.normal(step * i, 1, runs) for t in range(tables)}
            for i, name in enumerate(NAMES[:methods])
        }
    )


def said(found: Findings) -> str:
    return "\n".join(found.sentences())


def test_a_clear_difference_on_one_table() -> None:
    text = said(grid(3, 1, 10, step=5))
    assert "exact rank-sum test; seeds are not pairs" in text
    assert "corrected by Holm for 3 comparisons, all pairs on all tables" in text
    assert "t0: c ranks first; it is better than a and b (p at most " in text
    assert "apart" not in text
    assert text.endswith("Nothing follows from one table for other tables, budgets or objectives.")


def test_no_difference_is_not_equality() -> None:
    text = said(grid(2, 1, 10))
    first = "ab"["b ranks" in text]
    assert f"t0: {first} ranks first; the tests do not tell it apart from" in text
    assert "which does not show that they are equal" in text
    assert "With 10 runs of each method, a difference is found with a probability of 0.8" in text
    assert "wins 84 % of all pairs of runs" in text


def test_what_few_runs_and_few_tables_cannot_show() -> None:
    # Three runs: 2 of 20 arrangements, times 3 comparisons.
    text = said(grid(3, 1, 3, step=9))
    assert "t0: 3 runs of each method cannot show a difference" in text
    assert "The smallest corrected p that is possible is 0.3; 5 runs are needed." in text
    text = said(grid(2, 3, 10, step=9))
    assert "t0, t1 and t2: b ranks first; it is better than a" in text
    assert "3 tables cannot show what holds for tables in general" in text
    assert "possible is 0.5; 7 tables are needed" in text


def test_eight_methods_at_ten_seeds() -> None:
    """Paired by seed, 28 comparisons could never reach .05; as samples they can."""
    found = grid(8, 1, 10, step=9)
    assert len(found.apart("t0")) == 28
    assert max(test.p_holm for test in found.on_tables) < 0.001


def test_differences_over_tables() -> None:
    found = grid(2, 7, 6, step=2, seed=1)
    text = said(found)
    assert "Over 7 tables: b ranks first; it is better than a (p at most 0.031)" in text
    assert "tell less than their number says" in text
    assert found.apart() == {frozenset("ab")}
    (record,) = (line for line in found.tests() if not line["table"])
    assert (record["test"], record["n_a"], record["n_b"]) == ("signed rank", 7, 7)
    assert record["p_value"] == 2 / 2**7
    assert record["p_holm"] == record["smallest_p"] == 2 * record["p_value"]
    assert "so p is doubled, too" in text
    # a less b is negative: b is better by more than .01 on a further table, or not by so much.
    assert record["worse"] + record["equivalent"] > 0.99
    won = np.mean([a12(*(found.scores.runs[m][t] for m in "ab")) for t in found.scores.tables])
    assert record["a12"] == pytest.approx(won)
    assert record["a12_lower"] < won < record["a12_upper"]


def test_practical_equivalence_is_said_with_enough_tables() -> None:
    rng = np.random.default_rng(0)
    for tables, says in ((8, True), (4, False)):
        volumes = {
            name: {f"t{t}": 0.9 + 0.0005 * rng.normal(size=5) for t in range(tables)}
            for name in "ab"
        }
        text = said(findings_of(volumes))
        assert ("(a, b) differ by less than 0.01, which is taken not to matter" in text) == says


def test_a_method_chosen_before() -> None:
    every = grid(4, 2, 10, step=1)
    volumes = every.scores.runs
    chosen = findings_of(volumes, against="c")
    assert {(test.a, test.b) for test in chosen.on_tables} == {("a", "c"), ("b", "c"), ("d", "c")}
    assert "for 6 comparisons with c, which was chosen before the runs were made." in said(chosen)
    after = findings_of(volumes, against="c", planned=False)
    assert "only after the runs were made, so it may be too small" in said(after)
    assert after.tests() == chosen.tests()
    smallest = {test.smallest_p for test in chosen.on_tables}
    assert max(smallest) < min(test.smallest_p for test in every.on_tables)
    other, effect, p_value = chosen.compared("t0", "a")
    (test,) = (t for t in chosen.on_tables if (t.table, t.a) == ("t0", "a"))
    assert (other, effect, p_value) == ("c", test.a12, test.p_holm)
    # Without a choice the first in rank is compared with: the other way round where it is a.
    first = next(iter(every.ranks["t0"]))
    other, effect, _ = every.compared("t0", "a")
    one, two = (volumes[name]["t0"] for name in ("a", first))
    assert (other, effect) == (first, pytest.approx(a12(one, two)))


def test_equal_runs_have_equal_findings() -> None:
    one, other = grid(3, 2, 6), grid(3, 2, 6)
    assert one.tests() == other.tests()
    assert one.overall() == other.overall()
    assert one.profile_points() == other.profile_points()
    assert list(one.sentences()) == list(other.sentences())
    for point in one.profile_points():
        runs = one.scores.runs[point["method"]]
        shares = [np.mean(runs[table] > point["hypervolume"]) for table in runs]
        assert point["share"] == pytest.approx(np.mean(shares))


def test_whole_reports_err_in_one_of_twenty() -> None:
    """No difference anywhere: how often do the tests on tables or those over them claim one?"""
    grids, found = 200, np.zeros((2, 200), dtype=bool)
    for seed in range(grids):
        rng = np.random.default_rng([seed, 7])
        volumes = {m: {f"t{t}": 1 - np.exp(rng.normal(-4, 1, 8)) for t in range(8)} for m in "abc"}
        scores = RunScores.of(volumes, maximise=True)
        levels = compare_runs(scores), pairwise(scores)
        assert _questions(*levels) == (2, 2)
        found[:, seed] = [min(t.p_holm for t in _times(2, tests)) <= 0.05 for tests in levels]
    # More than this has a chance of one in a thousand at a level of .05.
    assert found.any(axis=1).all()
    assert found.any(axis=0).sum() <= stats.binom.ppf(0.999, grids, 0.05)


def test_a_question_that_cannot_be_answered_costs_the_other_nothing() -> None:
    assert grid(2, 3, 10).questions == (1, 2)  # three tables show nothing in general
    assert grid(2, 7, 2).questions == (2, 1)  # and two runs nothing on a table
    assert "doubled" not in said(grid(2, 1, 10))

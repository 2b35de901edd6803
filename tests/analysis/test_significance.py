"""Tests of significance against scipy's own call, hand calculation and every permutation."""

from __future__ import annotations

import doctest
import importlib
import itertools
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naslib_ecnas.analysis import (
    PairComparison,
    PairedScores,
    friedman,
    holm,
    median_interval,
    pairwise,
    superiority,
)
from naslib_ecnas.errors import ConfigError, MissingDependencyError

module = importlib.import_module("naslib_ecnas.analysis.significance")


def paired(table: object, *, maximise: bool = True) -> PairedScores:
    columns = np.asarray(table, dtype=float).T
    scores = {
        name: dict(enumerate(column.tolist()))
        for name, column in zip("abcdef", columns, strict=False)
    }
    return PairedScores.of(scores, maximise=maximise)


def draw(seed: int, blocks: int = 12, methods: int = 4) -> np.ndarray:
    """Synthetic scores in which later methods are a little better."""
    rng = np.random.default_rng(seed)
    return rng.random((blocks, methods)) + 0.2 * np.arange(methods)


def compare(scores: PairedScores, **options: object) -> tuple[PairComparison, ...]:
    return pairwise(scores, rng=np.random.default_rng(0), resamples=50, **options)  # type: ignore[arg-type]


def test_friedman_by_hand() -> None:
    # Rank sums 3, 6, 9 of 3 blocks: 12 / (3 * 3 * 4) * (9 + 36 + 81) - 3 * 3 * 4 = 6.
    found = friedman(paired([[0.9, 0.8, 0.7]] * 3))
    assert found.statistic == pytest.approx(6.0)
    # Chi-squared with two degrees of freedom: exp(-6 / 2).
    assert found.p_value == pytest.approx(np.exp(-3.0))
    assert (found.methods, found.blocks) == (3, 3)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("maximise", [True, False])
def test_friedman_is_scipys_whatever_the_direction(seed: int, maximise: bool) -> None:
    stats = pytest.importorskip("scipy.stats")
    table = np.round(draw(seed), 1)  # with ties
    theirs = stats.friedmanchisquare(*table.T)
    found = friedman(paired(table, maximise=maximise))
    assert (found.statistic, found.p_value) == pytest.approx(tuple(theirs))


def test_friedman_of_equal_methods() -> None:
    found = friedman(paired(np.repeat([[0.1], [0.9]], 3, axis=1)))
    assert (found.statistic, found.p_value) == (0.0, 1.0)


def test_friedman_wants_three_methods() -> None:
    with pytest.raises(ConfigError, match="three or more"):
        friedman(paired(draw(0, methods=2)))


@pytest.mark.parametrize("seed", range(5))
def test_wilcoxon_is_scipys(seed: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    table = draw(seed, blocks=15)
    found = compare(paired(table))
    assert [(c.a, c.b) for c in found] == list(itertools.combinations("abcd", 2))
    for c in found:
        a, b = table[:, "abcd".index(c.a)], table[:, "abcd".index(c.b)]
        theirs = stats.wilcoxon(a, b)
        assert (c.statistic, c.p_value) == pytest.approx((theirs.statistic, theirs.pvalue))
        assert c.median_difference == pytest.approx(np.median(a - b))
        assert c.blocks == 15
    np.testing.assert_allclose([c.p_holm for c in found], holm([c.p_value for c in found]))


@pytest.mark.parametrize("seed", range(3))
def test_wilcoxon_equals_every_change_of_signs(seed: int) -> None:
    table = draw(seed, blocks=8, methods=2)
    difference = table[:, 0] - table[:, 1]
    ranks = np.abs(difference).argsort().argsort() + 1
    signs = np.array(list(itertools.product([0, 1], repeat=8)))
    up = signs @ ranks
    sums = np.minimum(up, ranks.sum() - up)
    mine = min(ranks[difference > 0].sum(), ranks[difference < 0].sum())
    (found,) = compare(paired(table))
    assert found.statistic == mine
    assert found.p_value == pytest.approx(np.mean(sums <= mine))


def test_a_method_that_always_wins() -> None:
    (found,) = compare(paired([[0.01 * i, 0.5 + 0.02 * i] for i in range(10)]))
    # Two of 2^10 changes of sign are as one-sided.
    assert found.p_value == pytest.approx(2 / 1024)
    assert (found.statistic, found.superiority) == (0.0, 0.0)
    assert found.lower <= found.median_difference <= found.upper < 0


@pytest.mark.filterwarnings("error")
def test_equal_methods_do_not_differ() -> None:
    (found,) = compare(paired([[0.3, 0.3], [0.7, 0.7], [0.2, 0.2]]))
    assert (found.statistic, found.p_value, found.p_holm) == (0.0, 1.0, 1.0)
    assert (found.superiority, found.median_difference) == (0.5, 0.0)
    assert (found.lower, found.upper) == (0.0, 0.0)


def test_against_one_method_costs_fewer_corrections() -> None:
    scores = paired(draw(1, blocks=20))
    found = compare(scores, against="b")
    assert [(c.a, c.b) for c in found] == [("a", "b"), ("c", "b"), ("d", "b")]
    np.testing.assert_allclose([c.p_holm for c in found], holm([c.p_value for c in found]))
    everyone = {(c.a, c.b): c for c in compare(scores)}
    assert found[1].p_value == everyone["b", "c"].p_value
    assert found[1].p_holm <= everyone["b", "c"].p_holm
    assert found[1].superiority == pytest.approx(1 - everyone["b", "c"].superiority)
    with pytest.raises(ConfigError, match="no scores of this method"):
        compare(scores, against="z")


def test_superiority_by_hand() -> None:
    table = [[0.9, 0.1], [0.9, 0.1], [0.5, 0.5], [0.1, 0.9]]
    assert superiority(paired(table), "a", "b") == 2.5 / 4
    assert superiority(paired(table), "b", "a") == 1.5 / 4
    assert superiority(paired(table, maximise=False), "a", "b") == 1.5 / 4


def test_holm_by_hand() -> None:
    # Sorted .005, .01, .03, .04: times 4, 3, 2, 1 is .02, .03, .06, .04, which must not fall.
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]).tolist() == [1.0, 1.0]
    assert holm([]).tolist() == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
@settings(max_examples=80, deadline=None)
def test_holm_lies_between_no_correction_and_bonferronis(p_values: list[float]) -> None:
    given = np.array(p_values)
    found = holm(given)
    assert (given == p_values).all()
    assert (found >= given).all()
    assert (found <= np.minimum(1, len(given) * given)).all()
    assert found[given.argmin()] == min(1.0, len(given) * given.min())
    order = np.argsort(given)
    assert (np.diff(found[order]) >= 0).all()


@pytest.mark.parametrize("p_values", [[0.1, np.nan], [-0.1], [1.1], 0.5, [[0.1]]])
def test_p_values_that_are_none(p_values: object) -> None:
    with pytest.raises(ConfigError, match="no p-values"):
        holm(p_values)  # type: ignore[arg-type]


def test_bootstrap_is_its_generators_and_leaves_the_global_one_alone() -> None:
    values = np.random.default_rng(1).normal(size=25)
    state = np.random.get_state()[1].tolist()  # noqa: NPY002
    one, other, third = (
        # Few resamples: a median takes few values, so that with many all bounds are the same.
        median_interval(values, rng=np.random.default_rng(seed), resamples=20)
        for seed in (3, 3, 4)
    )
    assert one == other != third
    assert np.random.get_state()[1].tolist() == state  # noqa: NPY002
    assert one[0] <= np.median(values) <= one[1]


def test_bootstrap_in_parts_draws_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(1).normal(size=25)
    whole = median_interval(values, rng=np.random.default_rng(3), resamples=101)
    monkeypatch.setattr(module, "_CHUNK", 1000)
    assert median_interval(values, rng=np.random.default_rng(3), resamples=101) == whole


def test_bootstrap_equals_every_resample_of_three() -> None:
    values = [0.0, 1.0, 5.0]
    every = [np.median(drawn) for drawn in itertools.product(values, repeat=3)]
    # The median is the least in 7 of 27 resamples and the greatest in 7.
    assert (every.count(0.0), every.count(1.0), every.count(5.0)) == (7, 13, 7)
    rng = np.random.default_rng(0)
    # With 40 % in the middle neither bound leaves the 13; with 60 % both do.
    assert median_interval(values, rng=rng, confidence=0.4, resamples=20_000) == (1.0, 1.0)
    assert median_interval(values, rng=rng, confidence=0.6, resamples=20_000) == (0.0, 5.0)


def test_intervals_hold_the_median_as_often_as_they_say() -> None:
    rng = np.random.default_rng(5)
    hits = 0
    for _ in range(400):
        lower, upper = median_interval(rng.normal(size=31), rng=rng, confidence=0.9, resamples=200)
        hits += lower <= 0 <= upper
    # Percentile intervals of a median: within a few hundredths, of which 0.015 is chance.
    assert hits / 400 == pytest.approx(0.9, abs=0.05)


@pytest.mark.parametrize("values", [[], [np.nan], [np.inf], 1.0, [[1.0]]])
def test_no_values_have_no_interval(values: object) -> None:
    with pytest.raises(ConfigError, match="no values"):
        median_interval(values, rng=np.random.default_rng(0))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options", [{"confidence": 0}, {"confidence": 1}, {"confidence": np.nan}, {"resamples": 0}]
)
def test_no_possible_bootstrap(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="bootstrap"):
        median_interval([1.0, 2.0], rng=np.random.default_rng(0), **options)  # type: ignore[arg-type]


def test_scipy_is_asked_for_by_the_name_of_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy", None)
    for call in (lambda: friedman(paired(draw(0))), lambda: compare(paired(draw(0)))):
        with pytest.raises(MissingDependencyError, match=r"naslib-ecnas\[search\]"):
            call()


def test_examples() -> None:
    assert doctest.testmod(module).failed == 0

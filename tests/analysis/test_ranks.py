"""Paired scores and their ranks."""

from __future__ import annotations

import doctest
import importlib
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from naslib_ecnas.analysis import PairedScores, mean_ranks
from naslib_ecnas.errors import ConfigError

module = importlib.import_module("naslib_ecnas.analysis.significance")

# Few levels, so that ties are common.
TABLES = st.integers(2, 5).flatmap(
    lambda m: st.integers(1, 8).flatmap(
        lambda b: arrays(np.float64, (b, m), elements=st.sampled_from([0.0, 0.5, 0.75, 1.0]))
    )
)


def paired(table: np.ndarray, *, maximise: bool = True) -> PairedScores:
    names = "abcdefgh"[: table.shape[1]]
    scores = {
        name: {("7v", seed): float(score) for seed, score in enumerate(column)}
        for name, column in zip(names, table.T, strict=True)
    }
    return PairedScores.of(scores, maximise=maximise)


@given(TABLES, st.booleans())
@settings(max_examples=80, deadline=None)
def test_ranks_equal_positions_in_a_sorted_list(table: np.ndarray, maximise: bool) -> None:
    found = paired(table, maximise=maximise).ranks
    for row, ranks in zip(table.tolist(), found, strict=True):
        ordered = sorted(row, reverse=maximise)
        for score, rank in zip(row, ranks, strict=True):
            places = [place for place, other in enumerate(ordered, start=1) if other == score]
            assert rank == sum(places) / len(places)


@given(TABLES, st.booleans())
@settings(max_examples=60, deadline=None)
def test_ranks_of_a_block_have_the_same_sum_whatever_the_ties(
    table: np.ndarray, maximise: bool
) -> None:
    m = table.shape[1]
    scores = paired(table, maximise=maximise)
    assert (scores.ranks.sum(axis=1) == m * (m + 1) / 2).all()
    means = mean_ranks(scores)
    assert sorted(means) == sorted(scores.methods)
    assert list(means.values()) == sorted(means.values())
    # The other direction turns every rank round.
    other = mean_ranks(paired(table, maximise=not maximise))
    assert all(means[name] + other[name] == pytest.approx(m + 1) for name in means)


def test_by_hand() -> None:
    table = np.array([[0.9, 0.8, 0.7], [0.6, 0.6, 0.9], [0.5, 0.5, 0.5]])
    assert paired(table).ranks.tolist() == [[1, 2, 3], [2.5, 2.5, 1], [2, 2, 2]]
    assert mean_ranks(paired(table)) == pytest.approx({"a": 5.5 / 3, "c": 2, "b": 6.5 / 3})
    assert list(mean_ranks(paired(table))) == ["a", "c", "b"]
    assert paired(table, maximise=False).ranks[0].tolist() == [3, 2, 1]


def test_blocks_are_paired_by_name_and_not_by_order() -> None:
    scores = PairedScores.of(
        {"a": {("4v", 0): 1.0, ("5v", 0): 2.0}, "b": {("5v", 0): 3.0, ("4v", 0): 4.0}},
        maximise=True,
    )
    assert scores.blocks == (("4v", 0), ("5v", 0))
    assert scores.scores.tolist() == [[1.0, 4.0], [2.0, 3.0]]
    assert scores.column("b").tolist() == [4.0, 3.0]


def test_what_is_missing_is_named() -> None:
    scores = {
        "semoa": {("7v", 0): 0.9, ("7v", 1): math.nan},
        "random": {("7v", 0): 0.8, ("5v", 3): 0.7},
    }
    with pytest.raises(ConfigError, match="3 of 6 scores are missing") as caught:
        PairedScores.of(scores, maximise=True)
    assert caught.value.value == [
        "semoa in ('7v', 1)",
        "random in ('7v', 1)",
        "semoa in ('5v', 3)",
    ]
    assert "semoa in ('7v', 1)" in str(caught.value)
    # The infinite distance of a run that found nothing cannot be ranked by how much.
    with pytest.raises(ConfigError, match="1 of 2 scores are missing"):
        PairedScores.of({"a": {0: math.inf}, "b": {0: 1.0}}, maximise=False)


@pytest.mark.parametrize("scores", [{}, {"a": {0: 1.0}}, {"a": {}, "b": {}}])
def test_nothing_to_compare(scores: dict[str, dict[int, float]]) -> None:
    with pytest.raises(ConfigError, match="nothing to compare"):
        PairedScores.of(scores, maximise=True)  # type: ignore[arg-type]


def test_unknown_methods() -> None:
    with pytest.raises(ConfigError, match="no scores of this method"):
        paired(np.ones((2, 2))).column("z")


def test_examples() -> None:
    assert doctest.testmod(module).failed == 0

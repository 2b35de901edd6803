"""Figures of a comparison's findings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from naslib_ecnas.comparison.experiment import Grid, compare
from naslib_ecnas.comparison.findings import Findings, findings_of
from naslib_ecnas.comparison.results import gather, summarise
from naslib_ecnas.figures import drawing, statistics

Texts = Callable[[object], str]


def made(methods: str, tables: int, *, against: str | None = None) -> Findings:
    rng = np.random.default_rng(0)
    volumes = {
        name: {f"t{t}": 1 - 0.1 * np.exp(rng.normal(-i, 0.5, 9)) for t in range(tables)}
        for i, name in enumerate(methods)
    }
    return findings_of(volumes, against=against)


def test_ranks_of_several_tables(texts: Texts) -> None:
    found = made("abcd", 3)
    figure = statistics.ranks_figure(found)
    assert len(figure.axes) == 4
    shown = texts(figure)
    for part in ("3 tables", "t0", "t1", "t2", "CD 2.71", "Nemenyi", "Holm for 18 comparisons"):
        assert part in shown, part
    assert "d 1.00" in shown
    over, *each = figure.axes
    # Over tables only the first and the last differ; on a table, bars are those of the tests.
    assert [bar.get_linewidth()[0] for bar in over.collections].count(2.2) == 2
    for axes, table in zip(each, found.ranks, strict=True):
        bars = [bar for bar in axes.collections if bar.get_linewidth()[0] == 2.2]
        assert (len(bars) == 0) == (len(found.apart(table)) == 6)


def test_ranks_with_a_chosen_method(texts: Texts) -> None:
    found = made("abcd", 1, against="b")
    figure = statistics.ranks_figure(found)
    assert "bars join b with each method" in texts(figure)
    left = {"a", "c", "d"} - {name for pair in found.apart("t0") for name in pair}
    bars = [bar for bar in figure.axes[0].collections if bar.get_linewidth()[0] == 2.2]
    assert len(bars) == len(left)


@pytest.mark.parametrize("against", [None, "a"])
def test_aggregates(texts: Texts, against: str | None) -> None:
    found = made("abc", 2, against=against)
    figure = statistics.aggregates_figure(found)
    left, middle, right = figure.axes
    means = [line.get_xdata()[0] for line in left.lines]  # type: ignore[index]
    assert means == pytest.approx([1 - found.means[name].value for name in found.mean_ranks])
    for line, name in zip(middle.lines, sorted(found.mean_ranks), strict=True):
        np.testing.assert_array_equal(line.get_ydata(), found.profiles[name].share)
    first, shown = against or "c", texts(figure)
    assert f"P({first} is better)" in shown
    assert ("was not chosen before" in shown) == (against is None)
    wins = [line.get_xdata()[0] for line in right.lines[:-1]]  # type: ignore[index]
    others = [name for name in found.mean_ranks if name != first]
    for win, other in zip(wins, others, strict=True):
        pair = found.improvements.get((first, other))
        expected = 1 - found.improvements[other, first].value if pair is None else pair.value
        assert win == pytest.approx(expected)


@pytest.mark.usefixtures("modelled")
def test_worlds(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    grid = Grid(("semoa", "random"), ("4v",), (0,), 10, worlds=(0, 1, 2))
    results = gather(tmp_path, compare(grid, tmp_path))
    (ranking,) = summarise(results).worlds
    left, right = statistics.worlds_figure(results, ranking).axes
    for dots, shares in zip(left.collections[::2], ranking.in_worlds, strict=True):
        drawn = np.asarray(dots.get_offsets())[:, 0]
        np.testing.assert_allclose(drawn, np.maximum(1 - shares, drawing.LEAST))
    assert [text.get_text() for text in left.get_yticklabels()] == list(ranking.methods)
    shown = {text.get_position(): text.get_text() for text in right.texts}
    better = ranking.better
    assert shown == {(1, 0): str(better[0, 1]), (0, 1): str(better[1, 0])}

"""The figure of a comparison over worlds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from naslib_ecnas.comparison.experiment import Grid, compare
from naslib_ecnas.comparison.results import gather, summarise


@pytest.mark.usefixtures("modelled")
def test_worlds(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from naslib_ecnas.figures.worlds import LEAST, worlds_figure

    grid = Grid(("semoa", "random"), ("4v",), (0,), 10, worlds=(0, 1, 2))
    results = gather(tmp_path, compare(grid, tmp_path), {})
    (ranking,) = summarise(results).worlds
    left, right = worlds_figure(results, ranking).axes
    for dots, shares in zip(left.collections[::2], ranking.in_worlds, strict=True):
        drawn = np.asarray(dots.get_offsets())[:, 0]
        np.testing.assert_allclose(drawn, np.maximum(1 - shares, LEAST))
    assert [text.get_text() for text in left.get_yticklabels()] == list(ranking.methods)
    shown = {text.get_position(): text.get_text() for text in right.texts}
    better = ranking.better
    assert shown == {(1, 0): str(better[0, 1]), (0, 1): str(better[1, 0])}

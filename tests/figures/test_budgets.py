"""Figure 1: every cell is drawn once, as a point or in a bin, and the fronts are the true ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import UnknownMetricError
from naslib_ecnas.figures import drawing
from naslib_ecnas.figures.budgets import clouds, clouds_figure


@pytest.mark.parametrize("many", [False, True])
def test_every_cell_is_there_and_fronts_are_the_tables(
    bench4: Benchmark, many: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "MANY", 90 if many else 91)
    data = clouds(bench4)
    lines = list(data.sheet().records())
    names = ("energy_kwh", "validation_accuracy")
    for budget, points in zip(data.budgets, data.points, strict=True):
        count, x_edges, y_edges = drawing.binned(points, True, False)
        brute = np.zeros(count.shape, dtype=int)
        for x, y in zip(*(bench4.values(name, budget) for name in names), strict=True):
            brute[np.sum(x_edges <= x) - 1, np.sum(y_edges <= y) - 1] += 1
        np.testing.assert_array_equal(count, brute)
    if many:
        assert sum(line["cells"] for line in lines) == 4 * 91
        assert all(line["energy_kwh_from"] < line["energy_kwh_to"] for line in lines)
    else:
        assert [line["energy_kwh"] for line in lines[:91]] == bench4.values(names[0], 4).tolist()
    for budget, front in zip(data.budgets, data.fronts, strict=True):
        np.testing.assert_array_equal(front, bench4.front(epochs=budget).values)
    assert len(data.front_sheet()) == sum(map(len, data.fronts))


def test_missing_and_single_values(make_bench: Callable[..., Benchmark]) -> None:
    one = clouds(make_bench(without=tuple(range(1, 91)), budgets=(4,)))
    assert (one.rows[0].tolist(), drawing.binned(one.points[0], True, False)[0].sum()) == ([0], 1)
    with pytest.raises(UnknownMetricError):
        clouds(make_bench(leave_out=("energy_kwh",)))


def test_axes_have_units_and_panels_their_budget(
    bench4: Benchmark, texts: Callable[[object], str]
) -> None:
    data = clouds(bench4)
    figure = clouds_figure(data, ellipses=True)
    shown = texts(figure)
    for part in ("4 epochs", "108 epochs", "Training energy (Wh)", "Validation accuracy"):
        assert part in shown, part
    assert "synthetic, on no device, without PUE" in shown
    panels = [axes for axes in figure.axes if "epochs" in axes.get_title()]
    assert len(panels) == 4
    assert set(np.asarray(panels[0].lines[0].get_xdata())) == set(1000 * data.fronts[0][:, 0])
    # The ellipses: the best cell, and the first one on the front that is almost as good.
    best, near = (np.asarray(line.get_xydata())[0] for line in panels[-1].lines[1:])
    front = data.fronts[-1] * [1000, 1]
    np.testing.assert_array_equal(best, front[-1])
    np.testing.assert_array_equal(near, front[front[:, 1] >= front[-1, 1] - 0.01][0])
    assert f"{100 * (1 - near[0] / best[0]):.0f} % less" in shown

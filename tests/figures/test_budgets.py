"""Figure 1: the bins hold every cell once, and the fronts are the true ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import UnknownMetricError
from naslib_ecnas.figures.budgets import clouds, clouds_figure


def test_every_cell_is_in_its_bin_and_fronts_are_the_tables(bench4: Benchmark) -> None:
    data = clouds(bench4, bins=(20, 10))
    assert data.cells == (91, 91, 91, 91)
    for budget, count in zip(data.budgets, data.count, strict=True):
        brute = np.zeros((20, 10), dtype=int)
        names = ("energy_kwh", "validation_accuracy")
        for x, y in zip(*(bench4.values(name, budget) for name in names), strict=True):
            brute[np.sum(data.x_edges <= x) - 1, np.sum(data.y_edges <= y) - 1] += 1
        np.testing.assert_array_equal(count, brute)
    lines = list(data.sheet().records())
    assert sum(line["cells"] for line in lines) == 4 * 91
    assert all(line["energy_kwh_from"] < line["energy_kwh_to"] for line in lines)
    for budget, front in zip(data.budgets, data.fronts, strict=True):
        np.testing.assert_array_equal(front, bench4.front(epochs=budget).values)
    assert len(data.front_sheet()) == sum(map(len, data.fronts))


def test_missing_and_single_values(make_bench: Callable[..., Benchmark]) -> None:
    assert clouds(make_bench(without=tuple(range(1, 91)), budgets=(4,))).cells == (1,)
    with pytest.raises(UnknownMetricError):
        clouds(make_bench(leave_out=("energy_kwh",)))


def test_axes_have_units_and_panels_their_budget(
    bench4: Benchmark, texts: Callable[[object], str]
) -> None:
    data = clouds(bench4)
    figure = clouds_figure(data)
    shown = texts(figure)
    for part in ("4 epochs", "108 epochs", "Training energy (Wh)", "Validation accuracy"):
        assert part in shown, part
    assert "synthetic, on no device, without PUE" in shown
    panels = [axes for axes in figure.axes if "epochs" in axes.get_title()]
    assert len(panels) == 4
    assert set(np.asarray(panels[0].lines[0].get_xdata())) == set(1000 * data.fronts[0][:, 0])

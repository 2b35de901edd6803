"""The paper's tables of the spaces and of the savings."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

import naslib_ecnas as ecnas
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import UnknownBudgetError
from naslib_ecnas.figures.tables import formatted, saved, saved_sheet, shown, spaces_sheet
from naslib_ecnas.files import Sheet
from naslib_ecnas.space import Space

Maker = Callable[..., Benchmark]


@pytest.mark.usefixtures("official")
def test_the_papers_savings_of_five_vertices() -> None:
    """Table 3: 121.109 GPU-days, 1970.495 kWh, 252.571 kgCO2eq."""
    found = saved(ecnas.load("5v-4epochs"))
    assert (found.how, found.cells) == ("linear", 2532)
    assert f"{found.gpu_days:.3f}" == "121.109"
    assert f"{found.energy_kwh:.3f}" == "1970.495"
    assert math.floor(1000 * found.co2_kg) / 1000 == 252.571  # the paper truncates
    linear = ecnas.load("4v-linscale")
    four = linear.values("energy_kwh", 4).sum()
    assert saved(linear).energy_kwh == pytest.approx(39 * four, rel=1e-9)


def test_savings_of_a_table_with_all_budgets(make_bench: Maker) -> None:
    bench = make_bench(leave_out=("co2_g",), without=(5,))
    found = saved(bench)
    rows = [row for row in range(91) if row != 5]
    total = sum(bench.values("energy_kwh", e)[row] for e in (12, 36, 108) for row in rows)
    assert found.energy_kwh == pytest.approx(total, rel=1e-12)
    assert found.gpu_days == pytest.approx(total * 2e4 / 86_400, rel=1e-12)
    assert math.isnan(found.co2_kg)
    assert (found.how, found.cells) == ("table", 90)
    (line,) = saved_sheet([bench]).records()
    assert line["energy_kwh"] == found.energy_kwh
    with pytest.raises(UnknownBudgetError):
        saved(make_bench(budgets=(4, 12)))


def test_sizes_of_the_spaces(make_bench: Maker) -> None:
    """1 / 6 / 84 / 2,441 / 62,010 / 359,082 cells of 2 to 7 vertices, 9 edges at most."""
    rows = {"without": tuple(range(91, 423_624)), "leave_out": ("training_time_s",)}
    large = make_bench("seven", vertices=7, budgets=(4,), **rows)
    four, seven = spaces_sheet([make_bench(), large]).records()
    cells = [Space(4).cell(row) for row in range(91)]
    assert (four["cells"], four["cells_by_vertices"]) == (91, "1 6 84")
    assert four["edges"] == max(cell.edges for cell in cells)
    assert [sum(cell.vertices == v for cell in cells) for v in (2, 3, 4)] == [1, 6, 84]
    assert (four["trainings"], four["cells_in_table"]) == (364, 91)
    assert (seven["cells"], seven["edges"], seven["cells_in_table"]) == (423_624, 9, 91)
    assert seven["cells_by_vertices"] == "1 6 84 2441 62010 359082"
    assert (seven["trainings"], seven["budgets"]) == (91, "4")
    assert (seven["energy_kwh"], seven["training_time_s"]) == ("synthetic", "absent")


SHEET = Sheet.of(
    ("method", "cells", "energy_kwh", "energy_kwh_sd", "co2_kg"),
    [("a_b & c|d", 1234, 0.6172, 0.0812, float("nan")), ("e", 5, 0.01, 0.0, 2.5)],
)


def test_markdown() -> None:
    assert formatted(SHEET, "About it.", "markdown").splitlines() == [
        "| Method | Cells | Training energy (kWh) | kgCO2eq |",
        "| --- | --: | --: | --: |",
        r"| a_b & c\|d | 1,234 | 0.617 ± 0.081 | unknown |",
        "| e | 5 | 0.010 ± 0.000 | 2.500 |",
        "",
        "About it.",
    ]


def test_latex() -> None:
    lines = formatted(SHEET, "About it.", "latex").splitlines()
    assert lines[:1] + lines[2:4] == ["% About it.", r"\begin{tabular}{lrrr}", r"\toprule"]
    assert lines[6] == r"a\_b \& c|d & 1,234 & 0.617 $\pm$ 0.081 & unknown \\"
    assert lines[-2:] == [r"\bottomrule", r"\end{tabular}"]


def test_in_latex_what_is_the_same_in_all_rows_is_told_above() -> None:
    sheet = Sheet.of(("table", "budgets", "cells"), [("4v", "4 12", 91), ("5v", "4 12", 2532)])
    lines = formatted(sheet, "About it.", "latex").splitlines()
    assert (lines[0], lines[2]) == ("% About it. Budgets: 4 12.", r"\begin{tabular}{lr}")
    assert lines[4::2] == [r"Table & Cells \\", r"4v & 91 \\", r"\bottomrule"]
    one = Sheet.of(sheet.headings, sheet.rows[:1])
    assert formatted(one, "About it.", "latex").splitlines()[6] == r"4v & 4 12 & 91 \\"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (239530.333, "239,530"),
        (1234.56, "1,235"),
        (284.1442, "284.1"),
        (2.5, "2.500"),
        (0.07372, "0.07372"),
        (0.0, "0"),
        (-12.34567, "-12.35"),
        (float("nan"), "unknown"),
        (1234, "1,234"),
    ],
)
def test_values_have_few_digits(value: float, text: str) -> None:
    assert shown(value) == text

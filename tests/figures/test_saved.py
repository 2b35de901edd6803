"""The paper's table of savings."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

import naslib_ecnas as ecnas
from naslib_ecnas.errors import UnknownBudgetError
from naslib_ecnas.figures.tables import saved, saved_sheet


def test_the_papers_row_of_five_vertices(reference: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Table 3: 121.109 GPU-days, 1970.495 kWh, 252.571 kgCO2eq."""
    monkeypatch.setenv("ECNAS_MIRROR", str(reference / "official"))
    found = saved(ecnas.load("5v-4epochs"))
    assert (found.how, found.cells) == ("linear", 2532)
    assert f"{found.gpu_days:.3f}" == "121.109"
    assert f"{found.energy_kwh:.3f}" == "1970.495"
    assert math.floor(1000 * found.co2_kg) / 1000 == 252.571  # printed cut off, not rounded
    # The published linear table of four vertices holds what the rule says.
    linear = ecnas.load("4v-linscale")
    four = linear.values("energy_kwh", 4).sum()
    assert saved(linear).energy_kwh == pytest.approx(39 * four, rel=1e-9)


def test_a_table_with_all_budgets_is_added_up(make_bench) -> None:  # type: ignore[no-untyped-def]
    bench = make_bench(leave_out=("co2_g",), without=(5,))
    found = saved(bench)
    total = sum(
        bench.values("energy_kwh", epochs)[row]
        for epochs in (12, 36, 108)
        for row in range(91)
        if row != 5
    )
    assert found.energy_kwh == pytest.approx(total, rel=1e-12)
    assert found.gpu_days == pytest.approx(total * 2e4 / 86_400, rel=1e-12)
    assert math.isnan(found.co2_kg)
    assert (found.how, found.cells) == ("table", 90)
    (line,) = saved_sheet([bench]).records()
    assert line["energy_kwh"] == found.energy_kwh


def test_other_budgets_are_refused(make_bench) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UnknownBudgetError):
        saved(make_bench(budgets=(4, 12)))

"""What a table's quality statement says, against numbers that follow from the values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.cli import main
from naslib_ecnas.data.table import Table
from naslib_ecnas.loading import load
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.statement import statement


def texts(bench: Benchmark) -> tuple[str, str]:
    """All that is known, and all that is not."""
    found = statement(bench)
    return tuple("\n".join(s for c in found for s in getattr(c, n)) for n in ("known", "unknown"))  # type: ignore[return-value]


@pytest.fixture
def bench(tmp_path: Path, table_file: Any) -> Any:
    """Makes a benchmark of four cells at two budgets, of two trainings each."""

    def made(kind: Any, pue: float | None = 1.5, **values: np.ndarray) -> Benchmark:
        limits = {"driver": "1.2", "enforced_power_limit_w": "300.0"}
        columns = {name: np.broadcast_to(v, (4, 2, 2)).copy() for name, v in values.items()}
        about = {"attributes": limits if kind == "measured" else {}, "budgets": (4, 108)}
        about["origin"] = Provenance(kind, "a GPU", pue)
        return Benchmark(Table.open(table_file(tmp_path / "own.ecnas", columns, **about)))

    return made


def test_numbers_follow_from_the_values(bench: Any) -> None:
    cells, budgets = np.array([1.0, 2, 3, 4])[:, None, None], np.array([1, 20])[:, None]
    energy = 0.01 * cells * budgets * np.array([0.9, 1.1])
    energy[3, 1, 1] = np.nan
    total = energy / 0.8
    power = 100 * cells + budgets
    columns = {"energy_kwh": energy, "total_energy_kwh": total, "gpu_power_w": power}
    columns["gpu_energy_j"] = 0.5 * total / 1.5 * 3.6e6
    known, unknown = texts(bench("measured", **columns))
    for said in (
        "driver 1.2, power limit 300.0 W",
        f"scatter by {100 * np.sqrt(0.02):.3g}, {100 * np.sqrt(0.02):.3g} % at 4, 108 epochs",
        "Missing: 1 of 16 energies",
        "4 of 91 cells of up to 4 vertices",
        "(gpu_power_w): 101 to 401 W at 4 epochs (median 251), 120 to 420 W at 108 epochs",
        "such as evaluations: 20, 20 % at 4, 108 epochs",
        "in the energy of the run: 50, 50 % at",
        f"took {np.nansum(total):.4g} kWh",
    ):
        assert said in known, said
    assert "external meter" in unknown
    assert "sensors" not in unknown
    assert "PUE" not in unknown


@pytest.mark.parametrize("kind", ["scaled", "modelled", "unknown"])
def test_what_was_not_measured_took_no_energy(bench: Any, kind: str) -> None:
    known, unknown = texts(bench(kind, None, energy_kwh=np.array(0.5)))
    assert "each of the 4 cells with a known energy would take 2 kWh at 108 epochs." in known
    assert "took" not in known
    assert ("behind the models" in unknown) == (kind == "modelled")
    for said in ("sensors", "mean power", "GPU alone", "PUE", "emissions"):
        assert said in unknown
    known, unknown = texts(bench(kind, None, test_accuracy=np.array(0.5)))
    assert "no energy" in known
    assert "load(" not in unknown
    some = np.array([0.5, np.nan, np.nan, 0.25])[:, None, None]  # nothing is said of the others
    known, _ = texts(bench(kind, energy_kwh=some, total_energy_kwh=2 * some))
    assert "each of the 2 cells with a known energy would take 1.5 kWh" in known
    budgets = "50 % at 4 epochs" if kind == "scaled" else "50, 50 % at 4, 108 epochs"
    assert f"such as evaluations: {budgets}" in known


def test_a_modelled_table_states_its_errors(modelled: None) -> None:
    known, _ = texts(load("4v", carbon_intensity=100))
    assert "Mean error of energy at 4 epochs: 1.43 % on 3,448 cells (5-fold" in known
    assert "Standard deviation of a training's energy: 3.03, " in known
    assert "linear scaling" not in known
    assert "linear scaling" in texts(load("4v", scaling="linear"))[0]


def test_published_measurements(reference: Path) -> None:
    """The share of evaluations is the one that docs/tables.md states: 79 % is the training's."""
    known, _ = texts(load(reference / "official" / "energy_4V9E_4epochs.tfrecord"))
    assert "such as evaluations: 21.2, 8.82, 3.48, 1.18 % at 4, 12, 36, 108 epochs" in known
    assert "243 to 255 W at 108 epochs (median 251); over the whole run" in known
    known, _ = texts(load(reference / "official" / "energy_4V9E_linscale.tfrecord"))
    assert "took" not in known  # one run of 4 epochs stands at every budget
    assert "(total_energy_kwh), of the 4-epoch run at every budget" in known
    known, _ = texts(load(reference / "official" / "energy_4V9E_titanxp.tfrecord"))
    assert "such as evaluations: 21.5 % at 4 epochs" in known
    assert "GPU in the energy" not in known  # joules of one run, and scaled kWh


def test_the_command(bench: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    bench("measured", energy_kwh=np.array(0.5))
    command, out = ["data", "card", str(tmp_path / "own.ecnas"), "--quality"], tmp_path / "said"
    assert main(command) == 0
    said = capsys.readouterr().out
    assert (
        "\n1. Reliable power measurement\n   Origin of the energy: measured, on a GPU, PUE 1.5"
        in said
    )
    assert main([*command, "--out", str(out)]) == 0
    assert out.read_text() == said

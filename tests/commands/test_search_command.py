"""`ecnas search`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from naslib_ecnas.provenance import Provenance


def test_json_is_one_object_with_all_that_a_program_needs(table: str, ecnas_: Any) -> None:
    line = ("search", "--table", table, "--evaluations", 80, "--seed", 1, "--epochs", 4)
    found = ecnas_.json(*line)
    assert {"hypervolume", "front", "spent", "knee", "extremes", "config"} <= set(found)
    assert 0 < found["hypervolume"] <= 1
    assert found["knee"] in found["front"]
    assert (found["spent"]["evaluations"], found["spent"]["epochs"]) == (80, 320)
    assert found["spent"]["energy_kwh"] > 0
    assert found["spent"]["co2_g"] is None  # the table does not hold it
    assert (found["config"]["method"], found["config"]["epochs"]) == ("ehvi", 4)
    assert ecnas_.json(*line) == found


def test_report_shows_knee_extremes_and_costs(table: str, ecnas_: Any) -> None:
    line = ("search", "--table", table, "--method", "semoa", "--evaluations", 60)
    ran = ecnas_(*line, "--paper")
    assert ran.code == 0
    assert "60 evaluations of 60 different cells" in ecnas_.out(*line)
    assert ran.err.startswith("searching made-up with semoa (60 evaluations)")
    parts = "semoa (paper setting) on made-up at 12 epochs, seed 0; lowest training energy; "
    parts += "highest validation accuracy; knee; input,; trainable parameters; training time; Wh; "
    parts += "synthetic, on no device, without PUE; 60 evaluations of; 720 epochs; "
    parts += "hours of training; unknown gCO2eq; of the true front's hypervolume"
    assert [part for part in parts.split("; ") if part not in ran.out] == []
    assert "nan" not in ran.out


def test_costs_with_gaps_and_names_that_steer_a_terminal(
    ecnas_: Any, tmp_path: Path, table_file: Any, terminal_text: str
) -> None:
    """A sum says what it lacks, and foreign text is escaped in all that commands print."""
    rng = np.random.default_rng(0)
    values = {n: rng.random((91, 2, 1)) for n in ("energy_kwh", "validation_accuracy")}
    values["training_time_s"] = np.full((91, 2, 1), 36.0)
    values["training_time_s"][4:6] = np.nan
    odd = terminal_text.replace("\udcff", "")
    path, origin = tmp_path / "t.ecnas", Provenance("synthetic", device=odd, note=odd)
    table_file(path, values, name=odd, origin=origin, attributes={"citation": odd, "notes": odd})
    ran = ecnas_("search", "--table", path, "--method", "random", "--evaluations", 91)
    assert "0.89 hours of training without 2 unknown" in ran.out
    for words in (("query", path, 0), ("table", 1, "--table", path), ("query", path, 0, "--json")):
        again = ecnas_(*words)
        assert again.code == 0
        text = f"{again.out}{again.err}{ran.out}{ran.err}".replace("\n", "")
        assert text.isprintable()


def test_limits_of_energy_epochs_and_time(table: str, ecnas_: Any) -> None:
    for option, limit, quantity in (
        ("--max-energy", 0.5, "energy_kwh"),
        ("--max-epochs", 100, "epochs"),
        ("--max-time", 2000, "seconds"),
    ):
        found = ecnas_.json("search", "--table", table, "--method", "random", option, limit)
        assert 0.8 * limit < found["spent"][quantity] <= limit
        assert (found["ended_by"], found["config"]["limits"]) == (quantity, {quantity: limit})


def test_several_fidelities_are_reported(table: str, ecnas_: Any, tmp_path: Path) -> None:
    line = ("search", "--table", table, "--method", "sh-emoa", "--evaluations")
    out = ecnas_.out(*line, 150)
    assert "at 4, " in out
    assert "the front is of those at 12" in out
    assert "no evaluation at 12 epochs" in ecnas_.out(*line, 20, "--out", tmp_path)
    assert not (tmp_path / "front.png").exists()
    found = ecnas_.json(*line, 20)
    assert (found["front"], found["knee"], found["hypervolume"]) == ([], None, 0.0)


def test_what_is_not_charged_is_reported(table: str, ecnas_: Any) -> None:
    line = ("search", "--table", table, "--method", "random", "--evaluations", 60)
    out = ecnas_.out(*line, "--free-repeats", "--paper")
    assert "repeated cells" in out
    assert "proposals outside the table" in out


def test_workers_and_emissions_by_the_hour_are_reported(
    table: str, ecnas_: Any, tmp_path: Path
) -> None:
    line = ("search", "--table", table, "--evaluations", 40, "--workers", 4)
    alone = ecnas_.json(*line[:-2])
    assert "clock" not in alone
    found = ecnas_.json(*line)
    assert found["clock"]["workers"] == 4
    assert found["clock"]["hours"] < found["spent"]["seconds"] / 3600 / 3
    trace = tmp_path / "mine.csv"
    trace.write_text("hour,g\n2022-01-01T00:00Z,400\n2022-01-01T01:00Z,100\n")
    out = ecnas_.out(*line, "--carbon-trace", trace, "--defer", "below-mean")
    assert "hours with 4 workers; emissions by mine (mean 250 gCO2eq/kWh), start below-mean" in out
    assert "unknown" not in out
    assert "with a carbon trace" in ecnas_.refused(*line, "--defer", "below-mean")
    assert "no hourly carbon trace" in ecnas_.refused(*line, "--carbon-trace", table, code=1)


def test_noise_is_told(table: str, ecnas_: Any, modelled: None) -> None:
    line = ("search", "--table", "4v", "--evaluations", 60, "--noise")
    ran = ecnas_(*line)
    assert ran.code == 0
    assert "seen less true, mean over the front: training energy" in ran.out
    found = ecnas_.json(*line)
    assert set(found["noise"]["optimism"]) == {"energy_kwh", "validation_accuracy"}
    refused = ecnas_("search", "--table", table, "--evaluations", 60, "--noise")
    assert refused.code != 0
    assert "no model of noise" in refused.err


def test_other_objectives_and_no_file_without_out(
    table: str, ecnas_: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    wanted = "validation_accuracy, parameters, training_time_s"
    line = ("search", "--table", table, "--objectives", wanted, "--evaluations", 30)
    assert list(ecnas_.json(*line)["extremes"]) == wanted.split(", ")
    assert "r2" in ecnas_.out(*line)
    assert list(tmp_path.iterdir()) == []


def test_out_has_every_file_and_without_matplotlib_only_the_plot_is_missing(
    table: str, ecnas_: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    line = ("search", "--table", table, "--evaluations", 30, "--out", tmp_path)
    found = ecnas_.json(*line)
    files = ["config.json", "front.json", "history.jsonl", "spent.json"]
    names = sorted((*files, "front.pdf", "front.png"))
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert json.loads((tmp_path / "front.json").read_text())["front"] == found["front"]
    assert json.loads((tmp_path / "spent.json").read_text()) == found["spent"]
    assert "--overwrite" in ecnas_.refused(*line)
    ecnas_.out(*line, "--overwrite", "--no-plot")
    assert sorted(path.name for path in tmp_path.iterdir()) == files
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    ran = ecnas_(*line, "--overwrite")
    assert ran.code == 0
    assert "plot skipped" in ran.err
    assert "pip install 'naslib-ecnas[plots]'" in ran.err
    assert sorted(path.name for path in tmp_path.iterdir()) == files

"""`ecnas search` as a user meets it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

from naslib_ecnas import network
from naslib_ecnas.cli import main
from naslib_ecnas.data.table import Columns, write_table
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.space import Space


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A synthetic table without emissions and without cell 3."""
    rows = np.delete(np.arange(len(Space(4)), dtype=np.int32), 3)
    rng = np.random.default_rng(0)
    size = network.multiply_adds(rows)[:, None, None] / 1e9
    energy = 1e-3 * (1 + size) * np.array([[4.0], [12.0]]) * rng.lognormal(0, 0.1, (90, 2, 1))
    values = {
        "energy_kwh": energy,
        "training_time_s": energy * 2e4,
        "validation_accuracy": rng.random((90, 2, 1)),
    }
    path = tmp_path_factory.mktemp("table") / "made-up.ecnas"
    origin = dict.fromkeys(values, Provenance("synthetic", device="no device", pue=1.0))
    write_table(path, Columns("made-up", 4, rows, (4, 12), 1, values, origin))
    return str(path)


def no_constant(text: str) -> NoReturn:
    raise AssertionError(f"{text} is not JSON")


def as_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert main(["search", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out, parse_constant=no_constant)


def test_json_is_one_object_with_all_that_a_program_needs(
    table: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = as_json(capsys, "--table", table, "--evaluations", "80", "--seed", "1", "--epochs", "4")
    assert {"hypervolume", "front", "spent", "knee", "extremes", "config"} <= set(found)
    assert 0 < found["hypervolume"] <= 1
    assert found["front"]
    assert found["knee"] in found["front"]
    assert found["spent"]["evaluations"] == 80
    assert found["spent"]["epochs"] == 320
    assert found["spent"]["energy_kwh"] > 0
    assert found["spent"]["co2_g"] is None  # the table does not say
    assert found["config"]["method"] == "semoa"
    assert found["config"]["epochs"] == 4
    again = as_json(capsys, "--table", table, "--evaluations", "80", "--seed", "1", "--epochs", "4")
    assert again == found


def test_every_cell_evaluated_has_a_hypervolume_of_1(
    table: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = as_json(capsys, "--table", table, "--method", "random", "--evaluations", "3000")
    assert found["hypervolume"] == 1.0
    assert found["distinct_cells"] == 90


def test_report_shows_knee_extremes_and_costs(
    table: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["search", "--table", table, "--evaluations", "60", "--paper"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    for part in (
        "semoa (paper setting) on made-up at 12 epochs, seed 0",
        "lowest training energy",
        "highest validation accuracy",
        "knee",
        "input,",
        "trainable parameters",
        "training time",
        "Wh",
        "synthetic, on no device, PUE out",
        "60 evaluations of",
        "720 epochs",
        "hours of training",
        "unknown gCO2eq",
        "of the true front's hypervolume",
    ):
        assert part in out, part
    assert "nan" not in out


def test_limits_of_energy_epochs_and_time(table: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = as_json(capsys, "--table", table, "--max-energy", "0.5", "--method", "random")
    assert 0.45 < found["spent"]["energy_kwh"] <= 0.5
    assert found["ended_by"] == "energy_kwh"
    assert found["config"]["limits"] == {"energy_kwh": 0.5}
    found = as_json(capsys, "--table", table, "--max-epochs", "100", "--evaluations", "50")
    assert found["spent"]["epochs"] == 96
    found = as_json(capsys, "--table", table, "--max-time", "2000", "--method", "ls")
    assert found["spent"]["seconds"] <= 2000


def test_several_fidelities_are_reported(
    table: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    arguments = ["search", "--table", table, "--method", "sh-emoa", "--evaluations"]
    assert main([*arguments, "150"]) == 0
    out = capsys.readouterr().out
    assert "at 4, " in out
    assert "those at 12 make the front" in out
    assert main([*arguments, "20", "--out", str(tmp_path)]) == 0
    assert not (tmp_path / "front.png").exists()
    out = capsys.readouterr().out
    assert "no evaluation at 12 epochs" in out
    found = as_json(capsys, *arguments[1:], "20")
    assert (found["front"], found["knee"], found["hypervolume"]) == ([], None, 0.0)


def test_free_repeats_and_skipped_proposals_are_reported(
    table: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["search", "--table", table, "--method", "random", "--evaluations", "60"]
    assert main([*arguments, "--free-repeats", "--paper"]) == 0
    out = capsys.readouterr().out
    assert "answered without a charge" in out
    assert "proposals that were no cell" in out


def test_objectives_of_ones_own(table: str, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = "validation_accuracy, parameters, training_time_s"
    found = as_json(capsys, "--table", table, "--objectives", wanted, "--evaluations", "30")
    assert list(found["extremes"]) == wanted.split(", ")
    assert main(["search", "--table", table, "--objectives", wanted, "--evaluations", "30"]) == 0
    assert "r2" in capsys.readouterr().out


def test_out_has_every_file(table: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    out = tmp_path / "found"
    arguments = ["--table", table, "--evaluations", "30", "--out", str(out)]
    found = as_json(capsys, *arguments)
    names = {"history.jsonl", "front.json", "spent.json", "config.json", "front.png", "front.pdf"}
    assert {path.name for path in out.iterdir()} == names
    assert json.loads((out / "front.json").read_text())["front"] == found["front"]
    assert json.loads((out / "spent.json").read_text()) == found["spent"]

    assert main(["search", *arguments]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main(["search", *arguments, "--overwrite", "--no-plot"]) == 0
    assert not (out / "front.png").exists()


def test_without_out_nothing_is_written(
    table: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["search", "--table", table, "--evaluations", "20"]) == 0
    assert list(tmp_path.iterdir()) == []


def test_without_matplotlib_the_plot_is_skipped_and_the_rest_is_there(
    table: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["search", "--table", table, "--evaluations", "20", "--out", str(tmp_path)]) == 0
    err = capsys.readouterr().err
    assert "plot skipped" in err
    assert "pip install 'naslib-ecnas[plots]'" in err
    assert (tmp_path / "front.json").exists()
    assert not (tmp_path / "front.png").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--method", "annealing"], "random, semoa"),
        (["--evaluations", "0"], "at least 1"),
        (["--seed", "-1"], "at least 0"),
        (["--epochs", "5"], "4, 12"),
        (["--objectives", "energy_kwh,joy"], "joy"),
        (["--objectives", "energy_kwh,co2_g"], "co2_g"),
        (["--objectives", "energy_kwh"], "two or more"),
        (["--objectives", ","], "two or more"),
        (["--method", "re", "--paper"], "no paper setting"),
        (["--max-energy", "0"], "above 0"),
        (["--max-epochs", "3"], "does not pay"),
        (["--table", "6v"], "4v-4epochs"),
        (["--table", "missing/table.ecnas"], "no such file"),
    ],
)
def test_what_is_not_possible_is_one_line_that_says_what_is(
    table: str, arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["search", "--table", table, *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert says in err


def test_the_command_of_the_issue(reference: Path, tmp_path: Path) -> None:
    """On the official 5V table, brought from a mirror, in a process of its own."""
    arguments = "search --table 5v-4epochs --method semoa --evaluations 500 --seed 0 --json --out"
    entry = "import sys; from naslib_ecnas.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", entry, *arguments.split(), str(tmp_path / "out")],
        env={**os.environ, "ECNAS_MIRROR": str(reference / "official")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout, parse_constant=no_constant)
    assert found["hypervolume"] > 0.98
    assert found["spent"]["evaluations"] == 500
    assert found["config"]["provenance"]["energy_kwh"]["kind"] == "measured"
    lines = (tmp_path / "out" / "history.jsonl").read_text().splitlines()
    assert len(lines) == 500

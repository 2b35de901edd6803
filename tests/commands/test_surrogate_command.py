"""`ecnas surrogate`: what a user sees of the models, and a calibration from file to table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import naslib_ecnas as ecnas
from naslib_ecnas.cli import main
from naslib_ecnas.surrogate.models import Weights


def _json(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_evaluate_prints_every_target_with_units_and_anchors(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["surrogate", "evaluate"]) == 0
    out = capsys.readouterr().out
    for text in (
        "energy at 4 epochs",
        "energy at 108 epochs",
        "validation accuracy at 36 epochs",
        "test accuracy at 108 epochs",
        "training time at 108 epochs",
        "titan-xp",
        "Wh",
        "MAPE",
        "tau",
        "in 90 %",
        ".330 Wh",
        "cross-validation",
    ):
        assert text in out, text


def test_the_goals_are_reached_on_unseen_trainings(capsys: pytest.CaptureFixture[str]) -> None:
    """The figures in the header are those of the fit; the goals that are met must stay met."""
    found = {t["target"]: t for t in _json(capsys, "surrogate", "evaluate")["targets"]}
    scores = {name: t["scores"] for name, t in found.items()}
    for epochs, tau in ((4, 0.68), (12, 0.75), (36, 0.83), (108, 0.88)):
        assert scores[f"validation accuracy at {epochs} epochs"]["tau"] >= tau, epochs
    energy = scores["energy at 4 epochs"]
    assert energy["mape"] <= 1.6
    assert energy["tau"] >= 0.964
    assert scores["training time at 108 epochs"]["tau"] >= 0.984
    growth = scores["energy at 108 epochs, 5-vertex cells"]
    assert abs(growth["bias"] - 1) <= 0.01
    assert growth["mape"] <= 3
    for name, target in found.items():
        if "coverage" in target["scores"] and target["scores"]["cells"] > 500:
            assert 0.88 <= target["scores"]["coverage"] <= 0.92, name


def test_by_vertices(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["surrogate", "evaluate", "--by-vertices"]) == 0
    assert "  7 vertices" in capsys.readouterr().out


def test_choose_names_cells_that_exist(capsys: pytest.CaptureFixture[str]) -> None:
    found = _json(capsys, "surrogate", "choose", "--cells", "10", "--vertices", "4")
    assert len(found) == 10 == len({line["row"] for line in found})
    for line in found:
        cell = ecnas.Cell(line["cell"])
        assert (cell.row, cell.nasbench_hash) == (line["row"], line["hash"])
        assert len(cell.ops) <= 4
    assert main(["surrogate", "choose", "--cells", "8"]) == 0
    assert len(capsys.readouterr().out.splitlines()) >= 9


def test_choose_refuses_too_few(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["surrogate", "choose", "--cells", "2"]) == 2
    assert "8 to" in capsys.readouterr().err


def _measured(path: Path, rows: np.ndarray, factor: float, time: bool = True) -> None:
    """A synthetic GPU: `factor` times the energies of the modelled table."""
    bench = ecnas.load("4v")
    lines = ["cell,epochs,energy_kwh" + (",training_time_s" if time else "")]
    for row in rows:
        record = bench.query(int(row), 4)
        seconds = f",{record.training_time_s}" if time else ""
        lines.append(f'"{record.cell}",4,{factor * record.energy_kwh}{seconds}')
    path.write_text("\n".join(lines) + "\n")


def test_from_a_file_of_measurements_to_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = tmp_path / "runs.csv", tmp_path / "my-gpu.npz"
    _measured(file, np.arange(0, 91, 3), 1.7)
    arguments = ["surrogate", "calibrate", "--measurements", str(file), "--pue", "1"]
    assert main([*arguments, "--device", "abacus 9000", "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert "abacus 9000: 31 runs fitted" in text
    assert f"--device {out}" in text
    header = Weights.load(out).header
    assert (header["device"], header["pue"]) == ("abacus 9000", 1)
    mine, native = ecnas.load("4v", device=str(out)), ecnas.load("4v")
    assert mine.provenance["energy_kwh"].device == "abacus 9000"
    assert mine.provenance["energy_kwh"].pue == 1
    ratio = (mine.values("energy_kwh", 4) / native.values("energy_kwh", 4))[mine.rows]
    assert np.median(ratio) == pytest.approx(1.7, rel=0.03)
    assert "abacus 9000" in str(mine.quality)


def test_cells_are_held_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "runs.csv"
    _measured(file, np.arange(91), 1.0, time=False)
    found = _json(
        capsys, "surrogate", "calibrate", "--measurements", str(file), "--pue", "1", "--cells", "20"
    )
    assert found["report"]["cells"] == 20
    assert found["report"]["held_out"]["cells"] == 71
    assert found["report"]["held_out"]["mape"] < 6


def test_measurements_of_an_unknown_pue(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "runs.csv"
    _measured(file, np.arange(20), 1.0)
    assert main(["surrogate", "calibrate", "--measurements", str(file)]) == 2
    assert "--pue" in capsys.readouterr().err


@pytest.mark.parametrize("device", ["titanxp", "rtx3060", "quadrortx6000"])
def test_the_published_gpus_calibrate_from_twenty_cells(
    device: str, reference: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = reference / "official" / f"energy_4V9E_{device}.tfrecord"
    found = _json(capsys, "surrogate", "calibrate", "--measurements", str(file), "--cells", "20")[
        "report"
    ]
    assert found["held_out"]["mape"] < 4.5
    assert found["held_out"]["tau"] > 0.9


def test_the_disturbed_gpu_is_reported(reference: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = reference / "official" / "energy_4V9E_rtx3090.tfrecord"
    assert main(["surrogate", "calibrate", "--measurements", str(file)]) == 0
    out = capsys.readouterr().out
    assert "measure them again" in out
    # The two runs of 179 and 50 Wh.
    assert "0.179" in out or "10." in out


def test_evaluate_on_a_folder_leaves_out_what_was_fitted(
    reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # All visible measurements were fitted, so that nothing is left.
    assert main(["surrogate", "evaluate", "--data", str(reference)]) == 2
    assert "fitted" in capsys.readouterr().err
    assert main(["surrogate", "evaluate", "--data", str(tmp_path)]) == 2


def test_evaluate_on_other_cells(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A synthetic file of cells that were not fitted, with the model's own answers 2 % up."""
    parquet = pytest.importorskip("pyarrow.parquet")
    arrow = pytest.importorskip("pyarrow")
    from naslib_ecnas.surrogate.models import shipped

    fitted = Weights.load(shipped("energy")).arrays["fitted_rows"]
    rows = np.setdiff1d(np.arange(2000, 2400), fitted)
    cells = [ecnas.Cell.from_row(int(row)) for row in rows]
    bench = ecnas.load("5v")
    table = arrow.table(
        {
            "adjacency": ["".join(str(int(v)) for r in c.matrix for v in r) for c in cells],
            "operations": [",".join(c.ops) for c in cells],
            "energy_kwh": 1.02 * bench.values("energy_kwh", 4)[rows],
        }
    )
    parquet.write_table(table, tmp_path / "measured_7v_energy_4epochs.parquet")
    (line,) = _json(capsys, "surrogate", "evaluate", "--data", str(tmp_path))["targets"]
    assert line["scores"]["cells"] == len(rows)
    assert line["scores"]["mape"] == pytest.approx(100 * (1 - 1 / 1.02), rel=1e-3)
    assert line["scores"]["tau"] > 0.999


@pytest.mark.slow
def test_fit_writes_weights(
    reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "devices.npz"
    arguments = ["surrogate", "fit", "--target", "devices", "--data", str(reference)]
    assert main([*arguments, "--out", str(out)]) == 0
    assert f"written to: {out}" in capsys.readouterr().out
    assert Weights.load(out).header["devices"]


def test_learning_curve(reference: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("lightgbm")
    arguments = ["surrogate", "learning-curve", "--data", str(reference), "--model", "boosting"]
    found = _json(capsys, *arguments, "--sizes", "100,400", "--draws", "2")
    error = {size: [p["mae_wh"] for p in found if p["size"] == size] for size in (100, 400)}
    assert [len(e) for e in error.values()] == [2, 2]
    assert np.mean(error[400]) < np.mean(error[100])


@pytest.mark.parametrize("sizes", ["100,many", "3"])
def test_learning_curve_of_no_sizes(
    sizes: str, reference: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["surrogate", "learning-curve", "--data", str(reference), "--sizes", sizes]
    assert main(arguments) == 2
    assert "expected" in capsys.readouterr().err

"""Comparing the shipped models with measurements: of the reference data, and synthetic ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from naslib_ecnas.cell import Cell
from naslib_ecnas.quality import bounds
from naslib_ecnas.surrogate.evaluate import evaluate
from naslib_ecnas.surrogate.fit.noise import SINGLE
from naslib_ecnas.surrogate.fit.reference import Files
from naslib_ecnas.surrogate.modelled import Models
from naslib_ecnas.surrogate.models import BUDGETS, Weights
from naslib_ecnas.surrogate.noise import FAILED, NoiseModel

arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
Array = np.ndarray


def fresh_rows(model: str, first: int, last: int) -> Array:
    return np.setdiff1d(np.arange(first, last), Weights.shipped(model).arrays["fitted_rows"])


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """Writes measurements of rows as a file of the reference data; returns its folder."""
    from pyarrow import parquet

    def write(name: str, rows: Array, **columns: Array) -> Path:
        cells = [Cell.from_row(int(row)) for row in rows]
        whole = {
            "adjacency": ["".join(str(int(v)) for r in c.matrix for v in r) for c in cells],
            "operations": [",".join(c.ops) for c in cells],
            **columns,
        }
        parquet.write_table(arrow.table(whole), tmp_path / name)
        return tmp_path

    return write


def test_energies_two_per_cent_up(written: Callable[..., Path]) -> None:
    rows = fresh_rows("energy", 2000, 2400)
    found = Models.shipped().predict(rows)
    mean, std = (found[name][:, 0] for name in ("energy_kwh", "energy_kwh_std"))
    (line,) = evaluate(written(Files.SEVEN_VERTICES, rows, energy_kwh=1.02 * mean))
    assert line.about.startswith(f"{len(rows):,} of {len(rows):,} in {Files.SEVEN_VERTICES}")
    assert (line.target, line.unit) == ("energy at 4 epochs", "Wh")
    assert line.scores["mae"] == pytest.approx(20 * mean.mean(), rel=1e-3)
    assert line.scores["mape"] == pytest.approx(100 * (1 - 1 / 1.02), rel=1e-3)
    assert line.scores["tau"] > 0.999
    for name, coverage in (("coverage_50", 0.5), ("coverage", 0.9), ("coverage_99", 0.99)):
        _, upper = bounds("energy_kwh", mean, std, coverage).T
        assert line.scores[name] == pytest.approx(np.mean(1.02 * mean <= upper), abs=1e-6)
    assert not line.by_rank


def test_time_at_all_budgets(written: Callable[..., Path]) -> None:
    rows = fresh_rows("time", 1000, 1100)
    mean = Models.shipped().predict(rows)["training_time_s"]
    folder = written(
        Files.TIMES,
        np.tile(rows, len(BUDGETS)),
        budget_epochs=np.repeat(BUDGETS, len(rows)),
        training_time_s=(mean * [1.25, 1.1, 1.05, 1]).T.ravel(),
    )
    lines = evaluate(folder)
    assert [line.target.split()[3] for line in lines] == ["4", "12", "36", "108"]
    off = [line.scores["mape"] for line in lines]
    np.testing.assert_allclose(off, [20, 100 / 11, 100 / 21, 0], atol=1e-4)
    assert all(line.scores["cells"] == len(rows) for line in lines)


def test_drawn_trainings_are_what_the_model_expects(written: Callable[..., Path]) -> None:
    rows = fresh_rows("accuracy", 100_000, 104_000)
    noise, rng = NoiseModel.shipped(), np.random.default_rng(5)
    values = Models.shipped().predict(rows)
    values |= noise.columns(rows, values)
    columns = {}
    for b, name in enumerate(SINGLE):
        at = {metric: column[:, b] for metric, column in values.items()}
        runs = [noise.drawn(at, BUDGETS[b], rng)["validation_accuracy"] for _ in range(3)]
        columns[name] = np.max(runs, axis=0) if b == 3 else runs[0]
    columns[SINGLE[0]][:300] = np.float32(FAILED[0])  # 300 failures that nothing explains
    times = values["training_time_s"][:, -1]
    lines = {
        line.target: line
        for line in evaluate(written(Files.VALIDATION, rows, training_time_108_s=times, **columns))
    }
    failures = [line.scores for target, line in lines.items() if target.startswith("failures")]
    assert len(failures) == len(BUDGETS)
    assert failures[0]["seen"] >= 300
    for found in failures[1:]:
        assert found["cells"] == len(rows)
        assert abs(found["expected"] - found["seen"]) <= 3 * max(found["expected_error"], 1)
    taus = [line.scores for target, line in lines.items() if target.startswith("tau")]
    for found in taus[1:]:
        assert abs(found["expected"] - found["seen"]) < 0.02
    for epochs, sound in zip(BUDGETS, (len(rows) - 300, *[len(rows)] * 3), strict=True):
        line = lines[f"validation accuracy at {epochs} epochs"]
        assert 0.95 * sound <= line.scores["cells"] <= sound
        assert "without failed trainings" in line.about
        # The table's means are true, so that intervals, which allow for doubt of them, hold more.
        assert 0.89 < line.scores["coverage"] < 0.98
        assert set(line.by_rank) == {"lowest 1 %", "highest 5 %", "highest 1 %"}
        assert abs(line.by_rank["highest 5 %"]["offset"]) < 0.01
    assert lines["training time at 108 epochs"].scores["mape"] == 0


def test_what_was_fitted_is_told(reference: Path, tmp_path: Path) -> None:
    for name in (Files.TIMES, Files.RECORDS, Files.FIVE_VERTICES_108):
        (tmp_path / name).symlink_to(reference / name)
    lines = evaluate(tmp_path)
    assert len({line.target for line in lines}) == len(lines) == 7
    for line in lines:
        told = "ALL FITTED" in line.about
        assert told != ("not fitted" in line.about), line.target
        # Only a few cells of the reference data were not fitted.
        assert told or line.target.startswith("one") or ", small" in line.target

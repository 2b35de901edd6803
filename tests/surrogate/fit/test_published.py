"""Fits from the files that the owners publish: stand-ins of made-up content in a mirror."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from naslib_ecnas import network
from naslib_ecnas.cell import Cell
from naslib_ecnas.cli import main
from naslib_ecnas.data import catalog, convert
from naslib_ecnas.data.fetch import sha256_of
from naslib_ecnas.data.nasbench_tfrecord import write_ecnas, write_nasbench
from naslib_ecnas.data.table import Columns
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.space import Space
from naslib_ecnas.surrogate import TARGETS
from naslib_ecnas.surrogate.fit import energy
from naslib_ecnas.surrogate.fit import reference as module
from naslib_ecnas.surrogate.fit.accuracy import fit_accuracy
from naslib_ecnas.surrogate.fit.energy import fit_energy, fit_teacher, read_energy
from naslib_ecnas.surrogate.fit.reference import Files, published, read_measured
from naslib_ecnas.surrogate.models import BUDGETS, Weights

CODES = ["", "input", "conv1x1-bn-relu", "conv3x3-bn-relu", "maxpool3x3", "output"]
CELLS = np.unique(Space(7).sample(np.random.default_rng(0), 150)).astype(np.int64)
#: Wh by the size of the network alone.
ENERGY_WH = 5 + network.multiply_adds(CELLS) / 1e8


@pytest.fixture
def public(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Writes files of made-up content under published names, with the catalog's checks; other
    files are not to be had."""
    folder = tmp_path / "public"
    folder.mkdir()
    monkeypatch.setenv("ECNAS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ECNAS_MIRROR", str(folder))

    def made(**writers: Callable[[Path], object]) -> Path:
        real = catalog.catalog()
        files = {file.name: file for file in real.files}
        for stem, write in writers.items():
            name = next(name for name in files if name.startswith(stem.removeprefix("_") + "."))
            write(folder / name)
            size, sha256 = (folder / name).stat().st_size, sha256_of(folder / name)
            files[name] = replace(files[name], size=size, sha256=sha256)
        listed = tuple(replace(table, file=files[table.file.name]) for table in real.tables)
        fake = replace(real, files=tuple(files.values()), tables=listed)
        for part in (catalog, convert):
            monkeypatch.setattr(part, "catalog", lambda: fake)
        return folder

    return made


def energies(rows: np.ndarray, wh: np.ndarray, path: Path) -> None:
    """A file of the form of `7v_data.pt`."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    matrices, codes = np.zeros((len(rows), 7, 7), np.int64), np.zeros((len(rows), 7), np.int64)
    for i, row in enumerate(rows.tolist()):
        cell = Cell.from_row(row)
        n = len(cell.ops)
        matrices[i, :n, :n] = cell.matrix
        codes[i, :n] = [CODES.index(name) for name in cell.ops]
    arrays = matrices, codes, (wh / 1000).astype(np.float32), network.parameters(rows)
    torch.save(tuple(map(torch.from_numpy, arrays)), path)


def runs(
    vertices: int, budgets: tuple[int, ...], repeats: int, *metrics: str, cells: int = 40
) -> Columns:
    """Made-up values of some cells."""
    rng = np.random.default_rng(vertices)
    rows = np.sort(rng.choice(len(Space(vertices)), cells, replace=False)).astype(np.int32)
    names = ("training_time_s", "validation_accuracy", "test_accuracy", *metrics)
    shape = (len(rows), len(budgets), repeats)
    values = {name: rng.random(shape).astype(np.float32).astype(float) for name in names}
    origins = dict.fromkeys(values, Provenance("synthetic"))
    return Columns("made-up", vertices, rows, budgets, repeats, values, origins)


def test_the_energies_are_split_as_in_the_paper(
    reference: Path, public: Callable[..., Path]
) -> None:
    """The visible cells in their places, others in the place of the paper's test fifth."""
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    file = reference / Files.SEVEN_VERTICES
    wanted, place = read_measured(file), parquet.read_table(file)["index"].to_numpy()
    rows, wh = np.zeros(4310, dtype=np.int64), np.full(4310, 5.0)
    rows[place], wh[place] = wanted.rows, 1000 * wanted["energy_kwh"]
    folder = public(_7v_data=partial(energies, rows, wh))
    names = (Files.SEVEN_VERTICES, Files.ALL_SEVEN_VERTICES)
    found, whole = (read_measured(published() / name) for name in names)
    assert found.sha256 == sha256_of(folder / "7v_data.pt")
    assert np.array_equal(found.rows, wanted.rows)
    for name in ("energy_kwh", "paper_split"):
        assert found[name].tolist() == wanted[name].tolist()
    assert len(whole.rows) == 4310
    assert (whole.where(whole["paper_split"] == "test").rows == 0).all()


@pytest.fixture
def tables(public: Callable[..., Path]) -> tuple[Columns, ...]:
    """Trainings of cells of up to 4, 5 and 7 vertices under the names of the published tables."""
    four, five = runs(4, BUDGETS, 3, "energy_kwh"), runs(5, (4,), 1, "energy_kwh")
    full = runs(7, BUDGETS, 3, cells=400)
    public(
        energy_4V9E_4epochs=lambda path: write_ecnas(path, four),
        energy_5V9E_4epochs=lambda path: write_ecnas(path, five),
        energy_4V9E_linscale=lambda path: write_ecnas(path, four),
        nasbench_full=lambda path: write_nasbench(path, full),
    )
    return four, five, full


def test_measurements_made_of_tables(tables: tuple[Columns, ...]) -> None:
    *smaller, full = tables
    for name, made in zip((Files.FOUR_VERTICES, Files.FIVE_VERTICES), smaller, strict=True):
        found, shape = read_measured(published() / name), made.shape
        for i, budget in enumerate(made.budgets):
            some = found.where(found["budget_epochs"] == budget)
            assert some.rows.tolist() == np.repeat(made.rows, shape[2]).tolist()
            for metric, values in made.values.items():
                assert some[f"final_{metric}"].tolist() == values[:, i].ravel().tolist()
    time, accuracy, tested = (
        full.values[name] for name in ("training_time_s", "validation_accuracy", "test_accuracy")
    )
    singles = {f"val_acc_{b}_one_repeat": accuracy[:, i, 0] for i, b in enumerate(BUDGETS[:-1])}
    last = {"val_acc_108_max_of_repeats": accuracy[:, 3].max(axis=1)}
    records = {"final_test_accuracy": tested[:, 3], "final_training_time": time[:, 3]}
    rows = full.rows
    for name, cells, columns in (
        (Files.VALIDATION, rows, {**singles, **last, "training_time_108_s": time[:, 3, 0]}),
        (Files.TEST, rows, {"test_accuracy_108_mean": tested[:, 3].mean(axis=1)}),
        (Files.RECORDS, np.repeat(rows, 3), records),
        (Files.TIMES, np.tile(rows, 4), {"training_time_s": time.mean(axis=2).T}),
    ):
        found = read_measured(published() / name)
        assert found.rows.tolist() == cells.tolist()
        for column, values in columns.items():
            assert found[column] == pytest.approx(values.ravel()), column
    drawn = [module._from_table("nasbench101", module._test, 10).rows for _ in range(2)]
    assert len(set(drawn[0])) == 10
    assert drawn[0].tolist() == drawn[1].tolist()
    assert set(drawn[0]) < set(rows)
    few = module._from_table("nasbench101", module._test, 10, int(rows[5])).rows
    assert few[:5].tolist() == rows[:5].tolist()
    assert (np.diff(few) > 0).all()
    assert len(few) == 15


@pytest.mark.usefixtures("torch", "sklearn")
def test_a_tiny_fit_to_nasbench101(tables: tuple[Columns, ...]) -> None:
    weights = fit_accuracy(published(), members=1, epochs=2, cells=100, student_epochs=3)
    assert len(weights.header["data"]) == 3
    assert weights.arrays["fitted_rows"].tolist() == tables[2].rows.tolist()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, torch: Any, lightgbm: Any) -> None:
    """Small fits."""
    plan = {"folds": 2, "cells": 100, "epochs": 1, "fold_cells": 100, "fold_epochs": 1}
    small = {"processes": 1, "subset": 40, "steps": 4, "trees": 10}
    monkeypatch.setattr(energy, "fit_energy", partial(fit_energy, **plan))
    monkeypatch.setattr(energy, "fit_teacher", partial(fit_teacher, **small))


@pytest.mark.usefixtures("quick")
def test_a_fit_from_an_empty_cache(tmp_path: Path, public: Callable[..., Path]) -> None:
    folder = public(_7v_data=partial(energies, CELLS, ENERGY_WH))
    out = tmp_path / "energy.safetensors"
    line = ["surrogate", "fit", "--target", "energy", "--out", str(out)]
    assert main(line) == 0
    weights, whole = Weights.load(out), read_measured(published() / Files.ALL_SEVEN_VERTICES)
    assert weights.header["data"] == {"7v_data.pt": sha256_of(folder / "7v_data.pt")}
    kept = whole.rows[whole["paper_split"] != "test"]
    assert weights.arrays["fitted_rows"].tolist() == sorted(kept.tolist())
    assert len(kept) == len(CELLS) - (len(CELLS) - int(0.7 * len(CELLS)) - int(0.1 * len(CELLS)))
    assert "test fifth" not in weights.header["split"]
    assert main([*line, "--all"]) == 0
    weights = Weights.load(out)
    assert weights.arrays["fitted_rows"].tolist() == CELLS.tolist()
    assert "the paper's test fifth among them" in weights.header["split"]
    # The paper's split is none of the tested part.
    assert weights.header["quality"][1]["scores"]["cells"] == int(0.1 * len(CELLS))


@pytest.mark.usefixtures("quick")
def test_a_fit_to_a_table_of_ones_own(tmp_path: Path, public: Callable[..., Path]) -> None:
    """Cells with one or two runs, whose mean counts, and a published table by its name."""
    lines = ["cell,epochs,repeat,energy_kwh,training_time_s"]
    for i, (row, wh) in enumerate(zip(CELLS.tolist(), ENERGY_WH.tolist(), strict=True)):
        for repeat in range(1 + i % 2):
            kwh = wh * (1 + 0.1 * (repeat - 0.5) * (i % 2)) / 1000
            lines.append(f'"{Cell.from_row(row)}",4,{repeat},{kwh},{2 * wh}')
    own, out = tmp_path / "own.csv", tmp_path / "energy.safetensors"
    own.write_text("\n".join(lines) + "\n")
    data = read_energy(own)
    assert data.measured.rows.tolist() == CELLS.tolist()
    assert data.energy_wh == pytest.approx(ENERGY_WH)
    assert data.once["final_training_time_s"] == pytest.approx(2 * ENERGY_WH)
    line = ["surrogate", "fit", "--target", "energy", "--out", str(out), "--data"]
    assert main([*line, str(own)]) == 0
    header = Weights.load(out).header
    assert list(header["data"]) == ["own.csv"]
    assert [each["target"] for each in header["quality"]] == ["energy at 4 epochs"]
    four = runs(4, (4, 12), 2, "energy_kwh")
    public(energy_4V9E_4epochs=lambda path: write_ecnas(path, four))
    assert main([*line, "4v-4epochs"]) == 0
    weights = Weights.load(out)
    assert weights.arrays["fitted_rows"].tolist() == four.rows.tolist()
    with pytest.raises(ConfigError, match="test fifth"):
        read_energy(own, with_test=True)


def test_lines_that_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "x.safetensors")
    for words, said in (
        ("--target devices", "not all measurements of this target are published"),
        ("--target time --all", "--all is for"),
        ("--target paper --all", "--all is for"),
        *(
            (f"--target {target} --data {tmp_path / 'none'}", "no reference measurements at")
            for target in TARGETS
            if target != "worlds"  # which needs none
        ),
        (f"--target energy --all --data {tmp_path}", Files.ALL_SEVEN_VERTICES),
    ):
        assert main(["surrogate", "fit", *words.split(), "--out", out]) == 2
        assert said in capsys.readouterr().err
    for name, said in (("x.bin", "suffix .safetensors"), ("none/x.safetensors", "that exists")):
        line = ["surrogate", "fit", "--target", "worlds", "--out", str(tmp_path / name)]
        assert main(line) == 2
        assert said in capsys.readouterr().err

"""`ecnas data build`: the official table anew, from a synthetic NAS-Bench-101 file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import naslib_ecnas as ecnas
from naslib_ecnas.cli import main
from naslib_ecnas.data.convert import write_csv
from naslib_ecnas.data.nasbench_tfrecord import write_nasbench
from naslib_ecnas.data.table import Columns, Table
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.surrogate.features import features
from naslib_ecnas.surrogate.modelled import Models
from naslib_ecnas.surrogate.models import DeviceModel, Weights, shipped
from naslib_ecnas.surrogate.paper import SIZES, PaperModel

ROWS = np.array([0, 3, 50, 1000, 2531, 9999, 123_456, 423_623], dtype=np.int32)
BUDGETS = (4, 12, 36, 108)
KEPT = ("training_time_s", "train_accuracy", "validation_accuracy", "test_accuracy")


def synthetic(budgets: tuple[int, ...] = BUDGETS, metrics: tuple[str, ...] = KEPT) -> Columns:
    """Three repeats of eight cells; the last repeat of the third cell at the last budget lacks."""
    rng = np.random.default_rng(6)
    values = {name: rng.uniform(0.2, 0.9, (len(ROWS), len(budgets), 3)) for name in metrics}
    for array in values.values():
        array[2, -1, 2] = np.nan
    return Columns(
        name="synthetic",
        vertices=7,
        rows=ROWS,
        budgets=budgets,
        repeats=3,
        values=values,
        provenance={name: Provenance("synthetic") for name in values},
    )


@pytest.fixture
def nasbench(tmp_path: Path) -> Path:
    write_nasbench(tmp_path / "synthetic.tfrecord", synthetic())
    return tmp_path / "synthetic.tfrecord"


def built(nasbench: Path, *options: str) -> Table:
    out = nasbench.parent / "made.ecnas"
    assert (
        main(["data", "build", "7v", "--nasbench", str(nasbench), *options, "--out", str(out)]) == 0
    )
    return Table.open(out)


def energies(table: Table, name: str = "energy_kwh") -> np.ndarray:
    """(cells, budgets) of a modelled column; all repeats that are there are alike."""
    column = table.column(name)
    there = np.isfinite(table.column("validation_accuracy"))
    assert (np.isfinite(column) == there).all()
    assert (~there).sum() == 1
    first = column[:, :, :1]
    assert (column[there] == np.broadcast_to(first, column.shape)[there]).all()
    return first[:, :, 0]


def test_ours_is_the_default(nasbench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = built(nasbench)
    assert capsys.readouterr().out == f"{nasbench.parent / 'made.ecnas'}\n"
    assert table.rows.tolist() == ROWS.tolist()
    assert (table.budgets, table.repeats) == (BUDGETS, 3)
    mean, std = Models.shipped().energies(ROWS, BUDGETS)
    np.testing.assert_allclose(energies(table), mean, rtol=1e-12)
    np.testing.assert_allclose(energies(table, "energy_kwh_std"), std, rtol=1e-12)
    for name, values in synthetic().values.items():
        np.testing.assert_array_equal(table.column(name), values)
    assert table.provenance["energy_kwh"].kind == "modelled"
    assert table.provenance["energy_kwh"].pue == 1.59
    assert table.provenance["validation_accuracy"].kind == "measured"
    table.verify()
    assert built(nasbench, "--energy-model", "ours").checksum == table.checksum


def test_it_answers_as_a_benchmark(nasbench: Path) -> None:
    built(nasbench)
    bench = ecnas.load(str(nasbench.parent / "made.ecnas"))
    record = bench.query(int(ROWS[5]), 36, repeat=1)
    assert record.validation_accuracy == synthetic().values["validation_accuracy"][5, 2, 1]
    mean, _ = Models.shipped().energies(ROWS[5:6], (36,))
    assert record.energy_kwh == pytest.approx(float(mean[0, 0]))


def test_another_scaling_and_device(nasbench: Path) -> None:
    linear = energies(built(nasbench, "--scaling", "linear"))
    np.testing.assert_allclose(linear, linear[:, :1] * [1, 3, 9, 27], rtol=1e-12)
    affine = energies(built(nasbench, "--scaling", "affine"))
    np.testing.assert_allclose(affine[:, 0], linear[:, 0], rtol=1e-12)
    assert (affine[:, 1:] < linear[:, 1:]).all()
    table = built(nasbench, "--device", "Titan Xp")
    model = DeviceModel.from_weights(Weights.load(shipped("devices")), "titan-xp")
    np.testing.assert_allclose(energies(table)[:, 0], model.predict(features(ROWS))[0], rtol=1e-12)
    assert table.provenance["energy_kwh"].device == "titan-xp"


def test_the_papers_recipe(nasbench: Path) -> None:
    table = built(nasbench, "--energy-model", "paper")
    wh = PaperModel.from_weights(Weights.load(shipped("paper"))).wh(ROWS)
    np.testing.assert_allclose(energies(table), np.outer(wh / 1000, [1, 3, 9, 27]), rtol=1e-12)
    assert "energy_kwh_std" not in table.metrics
    assert "paper" in str(table.provenance["energy_kwh"])


def test_the_authors_weights(nasbench: Path) -> None:
    torch = pytest.importorskip("torch")
    generator = torch.Generator().manual_seed(0)
    state = {}
    for i in range(5):
        state[f"fc{i}.weight"] = torch.randn((SIZES[i + 1], SIZES[i]), generator=generator)
        state[f"fc{i}.bias"] = torch.randn(SIZES[i + 1], generator=generator)
    file = nasbench.parent / "authors.pt"
    torch.save(state, file)
    table = built(nasbench, "--energy-model", "paper-weights", str(file))
    wh = PaperModel.from_torch_file(file).wh(ROWS)
    np.testing.assert_allclose(energies(table)[:, 3], 27 * wh / 1000, rtol=1e-12)
    assert "authors published" in str(table.provenance["energy_kwh"].note)


def test_budgets_that_the_file_lacks_are_left_out(tmp_path: Path) -> None:
    write_nasbench(tmp_path / "only108.tfrecord", synthetic((108,)))
    table = built(tmp_path / "only108.tfrecord")
    assert table.budgets == (108,)
    mean, _ = Models.shipped().energies(ROWS, BUDGETS)
    np.testing.assert_allclose(energies(table)[:, 0], mean[:, 3], rtol=1e-12)


def test_without_out_it_stands_in_the_folder(
    nasbench: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(nasbench.parent)
    assert main(["data", "build", "7v", "--nasbench", nasbench.name]) == 0
    assert capsys.readouterr().out == "7v-built.ecnas\n"
    assert Table.open("7v-built.ecnas").name == "7v-built"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--energy-model", "theirs"], "no such energy model"),
        (["--energy-model", "paper-weights"], "paper-weights FILE"),
        (["--energy-model", "paper-weights", "none.pt"], "none.pt"),
        (["--energy-model", "paper", "file.pt"], "no such energy model"),
        (["--energy-model", "paper", "--device", "titan-xp"], "one device"),
        (["--energy-model", "paper", "--scaling", "affine"], "scales linearly"),
        (["--scaling", "square"], "affine or linear"),
        (["--device", "abacus"], "titan-xp"),
        (["--out", "made.csv"], ".ecnas"),
        (["--out", "made"], ".ecnas"),
    ],
)
def test_settings_that_are_not_possible(
    nasbench: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    text: str,
) -> None:
    pytest.importorskip("torch")
    monkeypatch.chdir(nasbench.parent)
    assert main(["data", "build", "7v", "--nasbench", nasbench.name, *options]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert text in err
    assert "Traceback" not in err
    assert sorted(p.name for p in nasbench.parent.iterdir()) == [nasbench.name]


def test_files_that_hold_no_trainings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_csv("time.csv", synthetic(metrics=("training_time_s",)))
    Path("text.tfrecord").write_text("nothing of NAS-Bench-101's")
    for name, code, text in (
        ("time.csv", 1, "validation_accuracy"),
        ("text.tfrecord", 1, "text.tfrecord"),
        ("none.tfrecord", 2, "none.tfrecord"),
    ):
        assert main(["data", "build", "7v", "--nasbench", name]) == code, name
        assert text in capsys.readouterr().err
    assert not list(tmp_path.glob("*.ecnas"))


def test_a_file_that_breaks_off(nasbench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nasbench.write_bytes(nasbench.read_bytes()[:-7])
    out = nasbench.parent / "made.ecnas"
    assert main(["data", "build", "7v", "--nasbench", str(nasbench), "--out", str(out)]) == 1
    assert "synthetic.tfrecord" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize("arguments", [["7v"], ["5v", "--nasbench", "x"], []])
def test_arguments_that_lack(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["data", "build", *arguments])
    assert caught.value.code == 2
    assert "usage" in capsys.readouterr().err

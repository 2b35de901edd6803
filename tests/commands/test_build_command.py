"""`ecnas data build`, from a synthetic NAS-Bench-101 file."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import naslib_ecnas as ecnas
from naslib_ecnas.data.long_form import write_csv
from naslib_ecnas.data.nasbench_tfrecord import write_nasbench
from naslib_ecnas.data.table import Columns, Table
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.surrogate.devices import DeviceModel
from naslib_ecnas.surrogate.features import features
from naslib_ecnas.surrogate.modelled import Models
from naslib_ecnas.surrogate.models import Weights, shipped
from naslib_ecnas.surrogate.paper import SIZES, PaperModel

ROWS = np.array([0, 3, 50, 1000, 2531, 9999, 123_456, 423_623], dtype=np.int32)
BUDGETS = (4, 12, 36, 108)
KEPT = ("training_time_s", "train_accuracy", "validation_accuracy", "test_accuracy")


def synthetic(budgets: tuple[int, ...] = BUDGETS, metrics: tuple[str, ...] = KEPT) -> Columns:
    """Three repeats of eight cells, without the third cell's last repeat at the last budget."""
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


@pytest.fixture
def built(ecnas_: Any) -> Any:
    """Builds a table from a file with some options."""

    def build(nasbench: Path, *options: object) -> Table:
        out = nasbench.parent / "made.ecnas"
        line = ("data", "build", "7v", "--nasbench", nasbench, *options, "--out", out)
        assert ecnas_.out(*line) == f"{out}\n"
        return Table.open(out)

    return build


def energies(table: Table, name: str = "energy_kwh") -> np.ndarray:
    """(cells, budgets) of a modelled column, whose repeats are equal."""
    column = table.column(name)
    held = np.isfinite(table.column("validation_accuracy"))
    assert (np.isfinite(column) == held).all()
    assert (~held).sum() == 1
    first = column[:, :, :1]
    assert (column[held] == np.broadcast_to(first, column.shape)[held]).all()
    return first[:, :, 0]


def test_ours_is_the_default(nasbench: Path, built: Any) -> None:
    table = built(nasbench)
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
    record = ecnas.load(str(table.path)).query(int(ROWS[5]), 36, repeat=1)
    assert record.validation_accuracy == synthetic().values["validation_accuracy"][5, 2, 1]
    assert record.energy_kwh == pytest.approx(float(mean[5, 2]))


def test_another_scaling_and_device(nasbench: Path, built: Any) -> None:
    linear = energies(built(nasbench, "--scaling", "linear"))
    np.testing.assert_allclose(linear, linear[:, :1] * [1, 3, 9, 27], rtol=1e-12)
    affine = energies(built(nasbench, "--scaling", "affine"))
    np.testing.assert_allclose(affine[:, 0], linear[:, 0], rtol=1e-12)
    assert (affine[:, 1:] < linear[:, 1:]).all()
    table = built(nasbench, "--device", "Titan Xp")
    model = DeviceModel.from_weights(Weights.load(shipped("devices")), "titan-xp")
    np.testing.assert_allclose(energies(table)[:, 0], model.predict(features(ROWS))[0], rtol=1e-12)
    assert table.provenance["energy_kwh"].device == "titan-xp"


def test_the_papers_recipe(nasbench: Path, built: Any) -> None:
    table = built(nasbench, "--energy-model", "paper")
    wh = PaperModel.from_weights(Weights.load(shipped("paper"))).wh(ROWS)
    np.testing.assert_allclose(energies(table), np.outer(wh / 1000, [1, 3, 9, 27]), rtol=1e-12)
    assert "energy_kwh_std" not in table.metrics
    assert "paper" in str(table.provenance["energy_kwh"])


def test_the_authors_weights(nasbench: Path, built: Any) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
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


def test_budgets_that_the_file_lacks_are_left_out(tmp_path: Path, built: Any) -> None:
    write_nasbench(tmp_path / "only108.tfrecord", synthetic((108,)))
    table = built(tmp_path / "only108.tfrecord")
    assert table.budgets == (108,)
    mean, _ = Models.shipped().energies(ROWS, BUDGETS)
    np.testing.assert_allclose(energies(table)[:, 0], mean[:, 3], rtol=1e-12)


def test_without_out_it_is_written_to_the_current_folder(
    nasbench: Path, ecnas_: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(nasbench.parent)
    out = ecnas_.out("data", "build", "7v", "--nasbench", nasbench.name)
    assert out == "7v-built.ecnas\n"
    assert Table.open("7v-built.ecnas").name == "7v-built"


def test_impossible_settings_are_named(
    nasbench: Path, ecnas_: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(nasbench.parent)
    for words, part in (
        ("--energy-model theirs", "theirs"),
        ("--energy-model paper-weights", "FILE"),
        ("--energy-model paper-weights none.pt", "none.pt"),
        ("--energy-model paper file.pt", "file.pt"),
        ("--energy-model paper --device titan-xp", "device"),
        ("--energy-model paper --scaling affine", "linear"),
        ("--scaling square", "affine or linear"),
        ("--device abacus", "titan-xp"),
        ("--out made.csv", ".ecnas"),
        ("--out made", ".ecnas"),
    ):
        if "none.pt" in words and find_spec("torch") is None:
            continue
        line = ("data", "build", "7v", "--nasbench", nasbench.name, *words.split())
        assert part in ecnas_.refused(*line), words
        assert [p.name for p in nasbench.parent.iterdir()] == [nasbench.name]


def test_files_without_trainings(
    tmp_path: Path, ecnas_: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_csv("time.csv", synthetic(metrics=("training_time_s",)))
    Path("text.tfrecord").write_text("nothing of NAS-Bench-101's")
    write_nasbench(tmp_path / "cut.tfrecord", synthetic())
    Path("cut.tfrecord").write_bytes(Path("cut.tfrecord").read_bytes()[:-7])
    for name, code, text in (
        ("time.csv", 1, "validation_accuracy"),
        ("text.tfrecord", 1, "text.tfrecord"),
        ("cut.tfrecord", 1, "cut.tfrecord"),
        ("none.tfrecord", 2, "none.tfrecord"),
    ):
        ran = ecnas_("data", "build", "7v", "--nasbench", name)
        assert (ran.code, ran.out) == (code, ""), name
        assert text in ran.err, name
    assert not list(tmp_path.glob("*.ecnas"))


def test_missing_arguments(ecnas_: Any) -> None:
    for words in (["7v"], ["5v", "--nasbench", "x"], []):
        with pytest.raises(SystemExit) as caught:
            ecnas_("data", "build", *words)
        assert caught.value.code == 2

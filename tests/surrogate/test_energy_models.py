"""Energy models by name: each says what the model that it names says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from naslib_ecnas.errors import ConfigError, FormatError, UnknownTableError
from naslib_ecnas.surrogate.features import features
from naslib_ecnas.surrogate.modelled import Models, energy_model
from naslib_ecnas.surrogate.models import DeviceModel, EnergyModel, Weights, shipped
from naslib_ecnas.surrogate.paper import SIZES, PaperModel

ROWS = np.array([0, 5, 90, 91, 2531, 2532, 100_000, 423_623], dtype=np.int32)
BUDGETS = (4, 12, 36, 108)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """Synthetic weights of the paper's perceptron, as torch saves them."""
    torch = pytest.importorskip("torch")
    generator = torch.Generator().manual_seed(1)
    state = {}
    for i in range(5):
        shape = (SIZES[i + 1], SIZES[i])
        state[f"{i}.weight"] = torch.randn(shape, generator=generator) * SIZES[i] ** -0.5
        state[f"{i}.bias"] = torch.randn(SIZES[i + 1], generator=generator)
    torch.save(state, tmp_path / "synthetic.pt")
    return tmp_path / "synthetic.pt"


def test_ours_is_the_shipped_model() -> None:
    energy, origin = energy_model(["ours"])
    found = energy(ROWS, BUDGETS)
    assert list(found) == ["energy_kwh", "energy_kwh_std"]
    mean, std = EnergyModel.from_weights(Weights.load(shipped("energy"))).predict(features(ROWS))
    np.testing.assert_allclose(found["energy_kwh"][:, 0], mean, rtol=1e-12)
    np.testing.assert_allclose(found["energy_kwh_std"][:, 0], std, rtol=1e-12)
    said = Models.shipped().predict(ROWS)
    for name, values in found.items():
        np.testing.assert_allclose(values, said[name], rtol=1e-12)
    assert (origin.kind, origin.device, origin.pue) == ("modelled", "NVIDIA GeForce RTX 3090", 1.59)
    assert "affine" in str(origin.note)


def test_any_budgets_in_their_order() -> None:
    energy, _ = energy_model(["ours"])
    whole = energy(ROWS, BUDGETS)["energy_kwh"]
    np.testing.assert_allclose(energy(ROWS, (108,))["energy_kwh"], whole[:, 3:], rtol=1e-12)
    odd = energy(ROWS, (7, 100))["energy_kwh"]
    share = (np.array([7, 100]) - 4) / 104  # affine in the epochs
    np.testing.assert_allclose(odd, whole[:, :1] + (whole[:, 3:] - whole[:, :1]) * share)


def test_linear_scaling() -> None:
    energy, origin = energy_model(["ours"], scaling="linear")
    found = energy(ROWS, BUDGETS)
    for values in found.values():
        np.testing.assert_allclose(values, values[:, :1] * [1, 3, 9, 27], rtol=1e-12)
    affine = energy_model(["ours"], scaling="affine")[0](ROWS, BUDGETS)["energy_kwh"]
    np.testing.assert_allclose(found["energy_kwh"][:, 0], affine[:, 0], rtol=1e-12)
    assert (found["energy_kwh"][:, 3] > affine[:, 3]).all()
    assert "epochs / 4" in str(origin.note)


@pytest.mark.parametrize("text", ["titan-xp", "NVIDIA TITAN Xp"])
def test_another_device(text: str) -> None:
    energy, origin = energy_model(["ours"], device=text)
    model = DeviceModel.from_weights(Weights.load(shipped("devices")), "titan-xp")
    mean, std = model.predict(features(ROWS))
    found = energy(ROWS, (4,))
    np.testing.assert_allclose(found["energy_kwh"][:, 0], mean, rtol=1e-12)
    np.testing.assert_allclose(found["energy_kwh_std"][:, 0], std, rtol=1e-12)
    assert origin.device == "titan-xp"
    assert origin.pue == Weights.load(shipped("devices")).header["pue"]
    assert "calibrated" in str(origin.note)


def test_the_papers_recipe() -> None:
    energy, origin = energy_model(["paper"])
    found = energy(ROWS, BUDGETS)
    assert list(found) == ["energy_kwh"]  # how far off it is, cell by cell, nobody says
    model = PaperModel.from_weights(Weights.load(shipped("paper")))
    np.testing.assert_allclose(
        found["energy_kwh"], np.outer(model.wh(ROWS) / 1000, [1, 3, 9, 27]), rtol=1e-12
    )
    assert origin.kind == "modelled"
    assert "fitted anew" in str(origin.note)
    same = energy_model(["paper"], scaling="linear")[0](ROWS, BUDGETS)["energy_kwh"]
    np.testing.assert_array_equal(same, found["energy_kwh"])


def test_the_authors_weights(checkpoint: Path) -> None:
    energy, origin = energy_model(["paper-weights", str(checkpoint)])
    found = energy(ROWS, (4, 108))["energy_kwh"]
    wh = PaperModel.from_torch_file(checkpoint).wh(ROWS)
    np.testing.assert_allclose(found, np.stack([wh, 27 * wh], axis=1) / 1000, rtol=1e-12)
    assert "authors published" in str(origin.note)
    assert str(origin.note) != str(energy_model(["paper"])[1].note)


@pytest.mark.parametrize(
    "choice",
    [
        ["theirs"],
        ["Ours"],
        [""],
        ["ours", "file"],
        ["paper", "file"],
        ["paper-weights"],
        ["paper-weights", "a.pt", "b.pt"],
    ],
)
def test_names_that_are_none(choice: list[str]) -> None:
    with pytest.raises(ConfigError, match="no such energy model"):
        energy_model(choice)


@pytest.mark.parametrize(
    ("choice", "setting"),
    [
        (["ours"], {"scaling": "square"}),
        (["ours"], {"device": "abacus"}),
        (["paper"], {"scaling": "affine"}),
        (["paper"], {"device": "titan-xp"}),
        (["paper-weights", "none.pt"], {"scaling": "affine"}),
    ],
)
def test_settings_that_do_not_go_with_it(choice: list[str], setting: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        energy_model(choice, **setting)
    assert caught.value.remedy


def test_files_that_are_no_weights(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    with pytest.raises(UnknownTableError):
        energy_model(["paper-weights", str(tmp_path / "none.pt")])
    (tmp_path / "text.pt").write_text("synthetic")
    with pytest.raises(FormatError):
        energy_model(["paper-weights", str(tmp_path / "text.pt")])
    with pytest.raises(UnknownTableError):
        energy_model(["ours"], device=str(tmp_path / "none.npz"))

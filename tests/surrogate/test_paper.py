"""The paper's perceptron: its inputs written out, its output against torch."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from naslib_ecnas import network
from naslib_ecnas.cell import Cell
from naslib_ecnas.quality import scores
from naslib_ecnas.space import Space
from naslib_ecnas.surrogate import paper as module
from naslib_ecnas.surrogate.fit.reference import Files, read_measured
from naslib_ecnas.surrogate.models import Weights
from naslib_ecnas.surrogate.paper import SIZES, PaperModel, inputs

CODES = {"input": 1, "conv1x1-bn-relu": 2, "conv3x3-bn-relu": 3, "maxpool3x3": 4, "output": 5}
ROWS = np.concatenate([np.arange(100), Space().sample(np.random.default_rng(3), 200)])


@pytest.fixture(scope="module")
def net(torch: Any) -> Any:
    """The perceptron in torch, initialised at random."""
    torch.manual_seed(5)
    layers: list[Any] = []
    for i in range(5):
        layers += [torch.nn.Linear(SIZES[i], SIZES[i + 1]), torch.nn.GELU()]
    made = torch.nn.Sequential(*layers[:-1])
    with torch.no_grad():  # so that outputs lie on both sides of zero
        made[-1].weight *= 30
        made[-1].bias -= made(torch.from_numpy(inputs(ROWS))).median()
    return made


# -- inputs --------------------------------------------------------------------------------------


def test_inputs_equal_those_of_each_cell() -> None:
    found = inputs(ROWS)
    assert found.shape == (len(ROWS), 36)
    assert found.dtype == np.float32
    upper = np.triu_indices(7)
    for row, x in zip(ROWS.tolist(), found, strict=True):
        cell = Cell.from_row(row)
        v = cell.vertices
        matrix = np.zeros((7, 7))
        matrix[:v, :v] = cell.matrix
        codes = [CODES[op] for op in cell.ops] + [0] * (7 - v)
        wanted = [*matrix[upper], *codes, network.parameters(row)[0] / 1e6]
        np.testing.assert_allclose(x, wanted, rtol=1e-6)


# -- output --------------------------------------------------------------------------------------


def test_output_equals_torch_and_is_linear_in_epochs(torch: Any, net: Any, tmp_path: Path) -> None:
    layers = [(x.weight.detach().numpy().T, x.bias.detach().numpy()) for x in net[::2]]
    model = PaperModel(tuple(layers))
    with torch.no_grad():
        raw = net(torch.from_numpy(inputs(ROWS)))[:, 0].numpy()
    assert raw.min() < 0 < raw.max()
    np.testing.assert_allclose(model.wh(ROWS), np.abs(raw), atol=3e-3)  # inside rounded to 2**-14
    energy = model.energy_kwh(ROWS, (4, 12, 36, 108))
    np.testing.assert_allclose(energy, np.outer(model.wh(ROWS) / 1000, [1, 3, 9, 27]))
    assert model.energy_kwh([], (4,)).shape == (0, 1)
    Weights({"target": "energy"}, model.to_arrays()).save(tmp_path / "w.safetensors")
    again = PaperModel.from_arrays(Weights.load(tmp_path / "w.safetensors").arrays)
    np.testing.assert_array_equal(again.wh(ROWS), model.wh(ROWS))
    x = np.linspace(-6, 6, 4001)
    assert np.abs(module._erf(x) - [math.erf(v) for v in x]).max() < 1e-6


# -- the shipped weights ------------------------------------------------------------------------


def test_the_shipped_model_is_near_the_anchor(reference: Path) -> None:
    """Authors' weights on their test fifth: MAE .330 Wh, tau .950; the valid part is alike."""
    weights = Weights.shipped("paper")
    data = read_measured(reference / Files.SEVEN_VERTICES)
    valid = data.where(data["paper_split"] == "valid")
    assert not np.isin(valid.rows, weights.arrays["fitted_rows"]).any()
    model = PaperModel.from_arrays(weights.arrays)
    found = scores(1000 * valid["energy_kwh"], model.wh(valid.rows))
    assert found.cells == 431
    assert 0.25 < found.mae < 0.36
    assert 0.94 < found.tau < 0.96
    (line,) = weights.header["quality"]
    assert found.to_json()["mae"] == pytest.approx(line["scores"]["mae"], abs=1e-4)
    assert weights.header["seed"] == 42
    assert weights.header["data"] == {Files.SEVEN_VERTICES: data.sha256}

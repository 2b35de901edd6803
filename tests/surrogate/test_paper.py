"""The paper's perceptron: its inputs written out, its output against torch, torch's files."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from naslib_ecnas import network
from naslib_ecnas.cell import Cell
from naslib_ecnas.errors import FormatError
from naslib_ecnas.quality import scores
from naslib_ecnas.space import Space
from naslib_ecnas.surrogate import paper as module
from naslib_ecnas.surrogate.fit.reference import Files, read_measured
from naslib_ecnas.surrogate.models import Weights
from naslib_ecnas.surrogate.paper import SIZES, PaperModel, inputs

Reader = Callable[[Any], PaperModel]
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


@pytest.fixture
def read(torch: Any, tmp_path: Path) -> Reader:
    """Saves with torch and reads with ours."""

    def saved(content: Any) -> PaperModel:
        torch.save(content, tmp_path / "net.pt")
        return PaperModel.from_torch_file(tmp_path / "net.pt")

    return saved


def with_idle_norms(torch: Any, net: Any) -> dict[str, Any]:
    """The state of a class that also has unused normalisations, as the authors' has."""
    state: dict[str, Any] = {}
    for i, layer in enumerate(net[::2], 1):
        parts = {f"fc{i}": layer}
        if i < 5:
            parts[f"bn{i}"] = torch.nn.BatchNorm1d(SIZES[i])
        for name, part in parts.items():
            state |= {f"{name}.{key}": value.clone() for key, value in part.state_dict().items()}
    return state


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


def test_the_error_function_is_within_a_millionth() -> None:
    x = np.linspace(-6, 6, 4001)
    assert np.abs(module._erf(x) - [math.erf(v) for v in x]).max() < 1e-6


def test_output_equals_torch_and_is_linear_in_epochs(
    torch: Any, net: Any, read: Reader, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    model = read(net.state_dict())
    with torch.no_grad():
        raw = net(torch.from_numpy(inputs(ROWS)))[:, 0].numpy()
    assert (raw < 0).any()
    assert (raw > 0).any()
    np.testing.assert_allclose(model.wh(ROWS), np.abs(raw), atol=3e-3)  # inside rounded to 2**-14
    energy = model.energy_kwh(ROWS, (4, 12, 36, 108))
    np.testing.assert_allclose(energy, np.outer(model.wh(ROWS) / 1000, [1, 3, 9, 27]))
    monkeypatch.setattr(module, "_CHUNK", 7)
    np.testing.assert_allclose(model.energy_kwh(ROWS, (4, 12, 36, 108)), energy)
    assert model.energy_kwh([], (4,)).shape == (0, 1)
    Weights({"target": "energy"}, model.to_arrays()).save(tmp_path / "w.safetensors")
    again = PaperModel.from_arrays(Weights.load(tmp_path / "w.safetensors").arrays)
    np.testing.assert_array_equal(again.wh(ROWS), model.wh(ROWS))


# -- files of torch's ----------------------------------------------------------------------------


def test_names_and_idle_normalisations_do_not_matter(torch: Any, net: Any, read: Reader) -> None:
    wanted = read(dict(net.named_parameters())).wh(ROWS)  # these require gradients
    renamed = {f"x{i}": v for i, v in enumerate(net.state_dict().values())}
    nested = {"state_dict": renamed, "epoch": 3}, {"model_state_dict": renamed}
    for content in (renamed, *nested, with_idle_norms(torch, net)):
        np.testing.assert_array_equal(read(content).wh(ROWS), wanted)
    state = with_idle_norms(torch, net)
    state["fc2.bias"].zero_()
    model = read(state)
    assert (model.layers[1][1] == 0).all()
    assert (model.layers[2][1] != 0).any()
    state["bn1.running_mean"] += 0.1
    with pytest.raises(FormatError, match="must hold the paper's perceptron"):
        read(state)


def test_other_content_is_refused(torch: Any, net: Any, read: Reader, tmp_path: Path) -> None:
    state = net.state_dict()
    first, *_, last = state
    weight = state[first]
    odd = (weight[:, :35], weight.T, weight * float("nan"), weight.to_sparse(), "synthetic")
    others = [*({**state, first: value} for value in odd), {**state, "note": "synthetic"}]
    short = {k: v for k, v in state.items() if k != last}
    for content in (*others, short, [1, 2], net):
        with pytest.raises(FormatError, match=r"net\.pt"):
            read(content)
    path = tmp_path / "net.pt"
    torch.save(state, path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for damaged in (
        *(b"", b"no file of torch", b"\x80\x02c__builtin__\neval\n."),
        *(whole[:n] for n in (1, 100, len(whole) // 2, len(whole) - 10)),
        *(rng.bytes(64) for _ in range(20)),
    ):
        path.write_bytes(damaged)
        with pytest.raises(FormatError):
            PaperModel.from_torch_file(path)


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
    header = weights.header
    (line,) = header["quality"]
    assert found.to_json()["mae"] == pytest.approx(line["scores"]["mae"], abs=1e-4)
    assert (header["seed"], header["data"]) == (42, {Files.SEVEN_VERTICES: data.sha256})

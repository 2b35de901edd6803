"""The paper's perceptron: its inputs by hand, its output against torch, files of torch's."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from naslib_ecnas import network
from naslib_ecnas.cell import Cell
from naslib_ecnas.errors import FormatError, UnknownCellError, UnknownTableError
from naslib_ecnas.space import Space
from naslib_ecnas.surrogate import paper as module
from naslib_ecnas.surrogate.models import Weights, shipped
from naslib_ecnas.surrogate.paper import SIZES, PaperModel, inputs

torch = pytest.importorskip("torch")

CODES = {
    "input": 1,
    "conv1x1-bn-relu": 2,
    "conv3x3-bn-relu": 3,
    "maxpool3x3": 4,
    "output": 5,
}
ROWS = np.concatenate([np.arange(100), Space().sample(np.random.default_rng(3), 200)])


@pytest.fixture(scope="module")
def net() -> Any:
    """A perceptron of torch's own making."""
    torch.manual_seed(5)
    layers: list[Any] = []
    for i in range(5):
        layers += [torch.nn.Linear(SIZES[i], SIZES[i + 1]), torch.nn.GELU()]
    made = torch.nn.Sequential(*layers[:-1])
    with torch.no_grad():  # so that outputs lie on both sides of zero
        made[-1].weight *= 30
        made[-1].bias -= made(torch.from_numpy(inputs(ROWS))).median()
    return made


def with_idle_norms(net: Any) -> dict[str, Any]:
    """The state of a class that also has normalisations, as the authors' has."""
    state: dict[str, Any] = {}
    for i, layer in enumerate(net[::2], 1):
        parts = {f"fc{i}": layer}
        if i < 5:
            parts[f"bn{i}"] = torch.nn.BatchNorm1d(SIZES[i])
        for name, part in parts.items():
            state |= {f"{name}.{key}": value for key, value in part.state_dict().items()}
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


def test_inputs_of_a_cell_written_out() -> None:
    cell = Cell([[0, 1, 1], [0, 0, 1], [0, 0, 0]], ["input", "maxpool3x3", "output"])
    wanted = np.zeros(36)
    wanted[[1, 2, 8]] = 1  # edges 0-1, 0-2 and 1-2, the diagonal counted
    wanted[28:31] = 1, 4, 5
    wanted[35] = network.parameters(cell.row)[0] / 1e6
    np.testing.assert_allclose(inputs([cell.row])[0], wanted, rtol=1e-6)


def test_inputs_of_the_smallest_and_of_a_seven_vertex_cell() -> None:
    smallest = Cell([[0, 1], [0, 0]], ["input", "output"])
    found = inputs([smallest.row])[0]
    assert np.flatnonzero(found[:28]).tolist() == [1]  # the edge 0-1, behind the diagonal's 0-0
    assert found[28:35].tolist() == [1, 5, 0, 0, 0, 0, 0]
    matrix = np.zeros((7, 7), dtype=int)
    edges = [(0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 5), (4, 6), (5, 6)]
    for a, b in edges:
        matrix[a, b] = 1
    ops = ["conv3x3-bn-relu"] * 2 + ["maxpool3x3", "conv1x1-bn-relu", "maxpool3x3"]
    cell = Cell(matrix.tolist(), ["input", *ops, "output"])
    found = inputs([cell.row])[0]
    drawn = Cell.from_row(cell.row)  # as our rows draw it
    # Entry (a, b) of the upper triangle stands behind the 7 + 6 + ... of the rows above it.
    at = [
        sum(7 - k for k in range(a)) + b - a
        for a in range(7)
        for b in range(a, 7)
        if drawn.matrix[a][b]
    ]
    assert len(at) == len(edges)
    assert np.flatnonzero(found[:28]).tolist() == sorted(at)
    assert found[28:35].tolist() == [CODES[op] for op in drawn.ops]
    assert sorted(found[28:35]) == [1, 2, 3, 3, 4, 4, 5]


def test_inputs_of_no_cells_and_of_no_cell() -> None:
    assert inputs(np.empty(0, dtype=int)).shape == (0, 36)
    with pytest.raises(UnknownCellError):
        inputs([-1])


# -- output --------------------------------------------------------------------------------------


def test_the_error_function_is_within_a_millionth() -> None:
    x = np.linspace(-6, 6, 4001)
    exact = np.array([math.erf(v) for v in x])
    assert np.abs(module._erf(x) - exact).max() < 1e-6


def test_output_equals_torch(net: Any, tmp_path: Path) -> None:
    torch.save(net.state_dict(), tmp_path / "net.pt")
    model = PaperModel.from_torch_file(tmp_path / "net.pt")
    with torch.no_grad():
        raw = net(torch.from_numpy(inputs(ROWS)))[:, 0].numpy()
    assert (raw < 0).any()
    assert (raw > 0).any()
    np.testing.assert_allclose(model.wh(ROWS), np.abs(raw), atol=1e-5)


def test_energy_is_linear_in_epochs_and_chunks_do_not_matter(
    net: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(net.state_dict(), tmp_path / "net.pt")
    model = PaperModel.from_torch_file(tmp_path / "net.pt")
    energy = model.energy_kwh(ROWS, (4, 12, 36, 108))
    assert energy.shape == (len(ROWS), 4)
    np.testing.assert_allclose(energy, energy[:, :1] * [1, 3, 9, 27])
    np.testing.assert_allclose(energy[:, 0], model.wh(ROWS) / 1000)
    monkeypatch.setattr(module, "_CHUNK", 7)
    np.testing.assert_allclose(model.energy_kwh(ROWS, (4, 12, 36, 108)), energy)
    assert model.energy_kwh([], (4,)).shape == (0, 1)


# -- files of torch's ----------------------------------------------------------------------------


@pytest.mark.parametrize("key", [None, "state_dict", "model_state_dict"])
def test_names_do_not_matter(net: Any, tmp_path: Path, key: str | None) -> None:
    state = {f"x{i}": v for i, v in enumerate(net.state_dict().values())}
    torch.save(state if key is None else {key: state, "epoch": 3}, tmp_path / "a.pth")
    torch.save(dict(net.named_parameters()), tmp_path / "b.pth")  # these want gradients
    found, same = (PaperModel.from_torch_file(tmp_path / f"{n}.pth").wh(ROWS) for n in "ab")
    np.testing.assert_array_equal(found, same)


def test_idle_normalisations_are_passed_over(net: Any, tmp_path: Path) -> None:
    torch.save(net.state_dict(), tmp_path / "plain.pt")
    torch.save(with_idle_norms(net), tmp_path / "idle.pt")
    plain, idle = (
        PaperModel.from_torch_file(tmp_path / f"{n}.pt").wh(ROWS) for n in ("plain", "idle")
    )
    np.testing.assert_array_equal(plain, idle)


def test_a_bias_of_zeros_is_a_bias(net: Any, tmp_path: Path) -> None:
    state = {k: v.clone() for k, v in with_idle_norms(net).items()}
    state["fc2.bias"].zero_()
    torch.save(state, tmp_path / "net.pt")
    model = PaperModel.from_torch_file(tmp_path / "net.pt")
    assert (model.layers[1][1] == 0).all()
    assert (model.layers[2][1] != 0).any()


def test_applied_normalisations_are_refused(net: Any, tmp_path: Path) -> None:
    state = with_idle_norms(net)
    state["bn1.running_mean"] = state["bn1.running_mean"] + 0.1
    torch.save(state, tmp_path / "net.pt")
    with pytest.raises(FormatError, match="paper's perceptron"):
        PaperModel.from_torch_file(tmp_path / "net.pt")


def _other(net: Any, change: str) -> Any:
    state = {k: v.clone() for k, v in net.state_dict().items()}
    first = next(iter(state))
    if change == "width":
        state[first] = state[first][:, :35]
    elif change == "short":
        del state[list(state)[-1]]
    elif change == "turned":
        state[first] = state[first].T
    elif change == "text":
        state["note"] = "synthetic"
    elif change == "nan":
        state[first][0, 0] = float("nan")
    elif change == "sparse":
        state[first] = state[first].to_sparse()
    elif change == "list":
        return [1, 2]
    elif change == "whole":
        return net
    return state


@pytest.mark.parametrize(
    "change", ["width", "short", "turned", "text", "nan", "sparse", "list", "whole"]
)
def test_other_content_is_refused(net: Any, tmp_path: Path, change: str) -> None:
    torch.save(_other(net, change), tmp_path / "net.pt")
    with pytest.raises(FormatError) as caught:
        PaperModel.from_torch_file(tmp_path / "net.pt")
    assert "net.pt" in str(caught.value)
    assert caught.value.remedy


def test_files_that_are_none_are_refused(net: Any, tmp_path: Path) -> None:
    with pytest.raises(UnknownTableError):
        PaperModel.from_torch_file(tmp_path / "none.pt")
    path = tmp_path / "net.pt"
    torch.save(net.state_dict(), path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for content in (
        b"",
        b"nothing of torch's",
        b"\x80\x02c__builtin__\neval\n.",
        *(whole[:n] for n in (1, 100, len(whole) // 2, len(whole) - 10)),
        *(rng.bytes(64) for _ in range(20)),
    ):
        path.write_bytes(content)
        with pytest.raises(FormatError):
            PaperModel.from_torch_file(path)


# -- weights -------------------------------------------------------------------------------------


def test_weights_come_back(net: Any, tmp_path: Path) -> None:
    torch.save(net.state_dict(), tmp_path / "net.pt")
    model = PaperModel.from_torch_file(tmp_path / "net.pt")
    Weights({"target": "energy"}, model.to_arrays()).save(tmp_path / "w.npz")
    again = PaperModel.from_weights(Weights.load(tmp_path / "w.npz"))
    np.testing.assert_array_equal(again.wh(ROWS), model.wh(ROWS))
    with pytest.raises(FormatError):
        PaperModel.from_weights(Weights({}, {"weight0": np.zeros((36, 128))}))


def test_the_shipped_model_is_near_the_anchor(reference: Path) -> None:
    """Authors' weights on their test fifth: MAE .330 Wh, tau .950; the valid part is alike."""
    from naslib_ecnas.quality import scores
    from naslib_ecnas.surrogate.fit.over_epochs import PAPER_FILE
    from naslib_ecnas.surrogate.fit.reference import read_measured

    weights = Weights.load(shipped("paper"))
    data = read_measured(reference / PAPER_FILE)
    valid = data.where(data["paper_split"] == "valid")
    assert not np.isin(valid.rows, weights.arrays["fitted_rows"]).any()
    found = scores(1000 * valid["energy_kwh"], PaperModel.from_weights(weights).wh(valid.rows))
    assert found.cells == 431
    assert 0.25 < found.mae < 0.36
    assert 0.94 < found.tau < 0.96
    (header,) = weights.header["quality"].values()
    assert found.to_json()["mae"] == pytest.approx(header["mae"], abs=1e-4)
    assert shipped("paper").stat().st_size < 100_000
    assert weights.header["seed"] == 42
    assert weights.header["data"] == {PAPER_FILE: data.sha256}

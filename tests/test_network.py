"""Network costs: against the published parameter counts, and against a built network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from naslib_ecnas import network
from naslib_ecnas.cell import Cell
from naslib_ecnas.errors import UnknownCellError
from naslib_ecnas.space import Space
from naslib_ecnas.topologies import topologies

PARQUET = [
    *("measured_4v_rtx6000_3repeats", "measured_5v_108epochs_rtx6000_700cells"),
    *("measured_5v_4epochs_rtx6000", "measured_7v_1epoch_rtx3090", "measured_7v_energy_4epochs"),
    *("nasbench101_full_records_52cells", "nasbench101_test108_12959cells"),
    "nasbench101_validation_30001cells",
]


@pytest.mark.parametrize("name", PARQUET)
def test_parameters_equal_every_published_row(reference: Path, name: str) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    columns = ["adjacency", "operations", "trainable_params"]
    table = pq.read_table(reference / f"{name}.parquet", columns=columns)
    cells = zip(*(table[name].to_pylist() for name in columns[:2]), strict=True)
    space, texts = Space(7), list(cells)
    of_text = {text: space.row(":".join(text)) for text in set(texts)}
    rows = np.array([of_text[text] for text in texts])
    assert len(rows) > 100
    assert (network.parameters(rows) == table["trainable_params"].to_numpy()).all()


def test_the_smallest_cell() -> None:
    """Input to output only: nine projections, the stem and the dense layer."""
    widths = ((128, 128, 1024), (128, 256, 256), (256, 512, 64))  # below, own, pixels
    weights = sum((below + 2) * width + 2 * (width + 2) * width for below, width, _ in widths)
    assert network.parameters(0).tolist() == [27 * 128 + 256 + weights + 5130]
    adds = sum(pixels * (below * width + 2 * width**2) for below, width, pixels in widths)
    assert network.multiply_adds(0).tolist() == [27 * 128 * 1024 + adds + 5120]
    elements = 128 * 1024 + 3 * (128 * 1024 + 256 * 256 + 512 * 64)
    elements += 128 * 256 + 256 * 64 + 512 + 10  # pools between stacks, global pool, classes
    assert network.activation_elements(0).tolist() == [elements]
    assert network.cell_depth(0).tolist() == [0]
    assert network.depth(0).tolist() == [1 + 2 + 9 + 1]
    for rows in ([423_624], [[3]]):
        with pytest.raises(UnknownCellError, match="whole numbers from 0 to 423623"):
            network.parameters(rows)


@pytest.mark.slow
def test_costs_equal_those_of_a_built_network() -> None:
    """nasbench_pytorch builds the same network; hooks count what its layers do."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    model = pytest.importorskip("nasbench_pytorch.model", reason="nasbench_pytorch is missing")
    for row in (0, 3, 50, *Space(7).sample(np.random.default_rng(5), 9).tolist()):
        cell = Cell.from_row(row)
        spec = model.ModelSpec(cell.matrix.astype(int), list(cell.ops))
        built = model.Network(spec, 10, 3, 128, 3, 3).eval()
        counted = {"adds": 0, "elements": 0}

        def conv(module, _inputs, output, counted=counted):  # type: ignore[no-untyped-def]
            taps = module.weight[0].numel()
            counted["adds"] += taps * output[0].numel()
            counted["elements"] += output[0].numel()

        def pool(_module, _inputs, output, counted=counted):  # type: ignore[no-untyped-def]
            counted["elements"] += output[0].numel()

        for module in built.modules():
            if isinstance(module, torch.nn.Conv2d):
                module.register_forward_hook(conv)
            elif isinstance(module, torch.nn.MaxPool2d):
                module.register_forward_hook(pool)
        with torch.no_grad():
            built(torch.zeros(1, 3, 32, 32))
        # It keeps a scalar of its own at every vertex, which is no weight of the network.
        weights = sum(p.numel() for p in built.parameters() if p.ndim)
        assert weights == network.parameters(row)[0]
        assert counted["adds"] + 5120 == network.multiply_adds(row)[0]
        assert counted["elements"] + 512 + 10 == network.activation_elements(row)[0]


def test_depth_and_channels_by_hand() -> None:
    chain = Cell(np.eye(7, k=1, dtype=int), ["input", *["maxpool3x3"] * 5, "output"])
    assert network.cell_depth(chain.row).tolist() == [5]
    diamond = Cell("0110000100010000:input,maxpool3x3,maxpool3x3,output")
    assert network.cell_depth(diamond.row).tolist() == [1]
    rows = np.arange(len(Space(5)))
    assert (network.depth(rows) == 4 + 9 * (network.cell_depth(rows) + 1)).all()
    # Channels share the output and widen backwards: three parallel vertices: 128 = 43 + 43 + 42.
    matrix = np.zeros((5, 5), dtype=int)
    matrix[0, 1:4] = matrix[1:4, 4] = 1
    of_row = topologies().row_topology
    cell = Cell(matrix, ["input", *["maxpool3x3"] * 3, "output"])
    assert network.channels(128)[of_row[cell.row]].tolist() == [43, 43, 42, 0, 0]
    chain = Cell(np.eye(4, k=1, dtype=int), ["input", "maxpool3x3", "maxpool3x3", "output"])
    assert network.channels(256)[of_row[chain.row]].tolist() == [256, 256, 0, 0, 0]

"""NASLib's pickle: what it holds, and what is refused."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from naslib_ecnas import network
from naslib_ecnas.data.convert import read, sniff
from naslib_ecnas.data.nasbench_pickle import read_nasbench_pickle
from naslib_ecnas.data.table import Columns
from naslib_ecnas.errors import FormatError
from naslib_ecnas.space import Space

FIELDS = [
    f"{when}_{what}"
    for when in ("halfway", "final")
    for what in ("training_time", "train_accuracy", "validation_accuracy", "test_accuracy")
]
Content = dict[str, tuple[dict[str, Any], dict[int, list[dict[str, Any]]]]]
PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


def content(vertices: int = 5, n: int = 12, repeats: int = 3) -> Content:
    """Made-up trainings in the form of NASLib's file."""
    rng = np.random.default_rng(0)
    space = Space(vertices)
    out: Content = {}
    for row in np.linspace(0, len(space) - 1, n).astype(int).tolist():
        cell = space.cell(row)
        fixed = {
            "module_adjacency": cell.matrix.copy(),
            "module_operations": list(cell.ops),
            "trainable_parameters": int(network.parameters(row)[0]),
        }
        trained = [{field: rng.random() for field in FIELDS} for _ in range(repeats)]
        out[cell.nasbench_hash] = (fixed, {108: trained})
    return out


def check(columns: Columns, made: Content) -> None:
    assert columns.shape == (len(made), 1, 3)
    assert columns.budgets == (108,)
    hashes = Space(columns.vertices).hashes()[columns.rows].tolist()
    for i, name in enumerate(hashes):
        for repeat, training in enumerate(made[name][1][108]):
            for field, value in training.items():
                when, _, what = field.partition("_")
                metric = ("halfway_" if when == "halfway" else "") + what
                metric += "_s" if what == "training_time" else ""
                assert columns.values[metric][i, 0, repeat] == value
    assert len(columns.values) == len(FIELDS)


def test_every_protocol_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.pkl"
    for protocol in PROTOCOLS:
        path.write_bytes(pickle.dumps(content(), protocol))
        columns = read_nasbench_pickle(path, check_hashes=True)
        check(columns, content())
        origin = columns.provenance["test_accuracy"]
        assert (origin.kind, origin.device, origin.repeats) == ("measured", "TPU v2", 3)
        if protocol >= 2:
            assert sniff(path) == "nasbench-pickle"
            check(read(path, name="other"), content())


def test_numpy_s_other_spelling_and_numbers_are_read(tmp_path: Path) -> None:
    made = content()
    raw = pickle.dumps(made, 3)
    new, old = b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n"
    raw = raw.replace(new, old) if new in raw else raw.replace(old, new)
    (tmp_path / "x.pkl").write_bytes(raw)
    check(read_nasbench_pickle(tmp_path / "x.pkl"), made)
    for _, computed in made.values():
        for training in computed[108]:
            training["final_test_accuracy"] = np.float64(training["final_test_accuracy"])
    for protocol in (2, 4, 5):
        (tmp_path / "x.pkl").write_bytes(pickle.dumps(made, protocol))
        check(read_nasbench_pickle(tmp_path / "x.pkl"), made)


# -- sound pickles of other content ---------------------------------------------------------------


def _edited(fixed: Any = (), computed: Any = (), training: Any = ()) -> Content:
    """Content with changes in its second entry."""
    made = content(n=3)
    entry = made[sorted(made)[1]]
    entry[0].update(fixed)
    entry[1][108][0].update(training)
    entry[1].update(computed)
    return made


ODD: list[Any] = [
    *([], {}, {1: ({}, {})}, {"a" * 32: ({},)}, {"a" * 32: ([], [])}),
    *(
        _edited({"module_adjacency": matrix})
        for matrix in (None, np.full((2, 2), 2), np.zeros((2, 2)), np.zeros(4, dtype=np.int8))
    ),
    _edited({"module_adjacency": np.zeros((3, 3), dtype=np.int8)}),  # no edges
    *(_edited({"module_operations": operations}) for operations in (["a"], [1])),
    *(_edited({"trainable_parameters": number}) for number in (5, 1 << 200)),
    *(_edited(computed=computed) for computed in ({"108": []}, {0: []}, {108: [1]})),
    _edited(training={"loss": 1.0}),
    *(_edited(training={"final_test_accuracy": value}) for value in ("1", 2.0)),
    _edited(training={"final_training_time": 1 << 2000}),
    dict(zip(content(n=2), reversed(content(n=2).values()), strict=True)),  # wrong hashes
]


def test_other_content_is_refused(tmp_path: Path) -> None:
    for made in ODD:
        (tmp_path / "x.pkl").write_bytes(pickle.dumps(made))
        with pytest.raises(FormatError) as caught:
            read_nasbench_pickle(tmp_path / "x.pkl")
        assert caught.value.path == str(tmp_path / "x.pkl")

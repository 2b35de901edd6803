"""Files of NAS-Bench-101 and EC-NAS: what is refused, and damage at every layer."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from foreign import synthetic
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from messages import cells, energy, packed, row

from naslib_ecnas.cell import Cell
from naslib_ecnas.data.convert import sniff
from naslib_ecnas.data.nasbench_tfrecord import (
    ECNAS,
    NASBENCH,
    read_ecnas,
    read_nasbench,
    write_ecnas,
    write_nasbench,
)
from naslib_ecnas.data.table import Columns
from naslib_ecnas.data.tfrecord import read_frames, write_frames
from naslib_ecnas.errors import FormatError, TruncatedError
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.space import Space

Reader = Callable[..., Columns]


# -- what is refused ------------------------------------------------------------------------------


def final(**values: float | str) -> bytes:
    numbers = {"energy": 6, "test_accuracy": 5, "start_emission": 9}
    return row({1: {numbers[name]: value for name, value in values.items()}})


GOOD = energy()
BAD: dict[str, bytes] = {
    "no cell": row({1: {}}, bits="0000001000010000"),
    "wrong operation": row({1: {}}, ops="input,conv9x9,maxpool3x3,output"),
    "operations of another length": row({1: {}}, ops="input,maxpool3x3,output"),
    "no input": row({1: {}}, ops="output,maxpool3x3,maxpool3x3,output"),
    "eight vertices": row({1: {}}, bits="0" * 64, ops=",".join("abcdefgh")),
    "spaces": row({1: {}}, ops="input, conv3x3-bn-relu, maxpool3x3, output"),
    "wrong hash": row({1: {}}, hash="0" * 32),
    "no hash": row({1: {}}, hash="x"),
    "wrong hash of a large cell": row({1: {}}, Space(7).cell(400_000), hash="0" * 32),
    "wrong parameters": row({1: {}, 2: 7}),
    "negative parameters": row({1: {}, 2: -1}),
    "two evaluations": row({1: [{}, {}]}),
    "no evaluation": row({}),
    "an evaluation that is no message": row({1: 5}),
    "another type": row({1: {6: "text"}}),
    "cut": row(packed({1: {6: 0.5}})[:-1]),
    "no time": final(start_emission="soon"),
    "no time of the right length": final(start_emission="2022-02-30 00:00:00"),
    **{f"energy of {value}": final(energy=value) for value in (-0.1, np.inf)},
    "accuracy in per cent": final(test_accuracy=94.2),
    **{f"epochs {e!r}": row({1: {}}, epochs=e) for e in (0, -4, 10**6, "4", True, 1e99, 9**4000)},
    **{f"base64 {t!r}": row({1: {}}, text=t) for t in ("A EC", "AAE", "AA==AAAA", "\u00ff", 5)},
    **{
        f"JSON {data[:9]!r}": data
        for data in (
            *(b"", b"[1, 2", b'["\xff", 4, "0", "1", "2"]', b"{}", b'["a", 4, "0", "1"]'),
            *(b"[" * 60_000, GOOD + b"]", GOOD[:-1] + b', "more"]'),
        )
    },
}


def test_what_is_wrong_is_located_by_its_frame(path: Path) -> None:
    for name, bad in BAD.items():
        write_frames(path, [GOOD, bad, GOOD])
        with pytest.raises(FormatError) as caught:
            read_ecnas(path)
        assert (caught.value.path, caught.value.offset) == (str(path), 16 + len(GOOD)), name
        assert len(str(caught.value)) < 2000
    write_frames(path, [BAD["cut"]])
    with pytest.raises(TruncatedError):
        read_ecnas(path)


def test_other_json_of_the_same_content_is_read(path: Path) -> None:
    items = json.loads(GOOD)
    plain = base64.b64encode(base64.b64decode(items[4])).decode()
    for text in (json.dumps(items, indent=3), json.dumps([*items[:4], plain])):
        write_frames(path, [text.encode()])
        assert read_ecnas(path).values["energy_kwh"].item() == 0.5
    write_frames(path, [GOOD, text.encode()])
    with pytest.raises(FormatError, match="1 trainings are copies of others"):
        read_ecnas(path)


def test_messages_of_many_fields_and_of_many_forms(path: Path) -> None:
    """Bounded in fields, and read in a time that is in proportion where none is like another."""
    write_frames(path, [row({1: {6: 0.5}, **dict.fromkeys(range(100, 400), 7)})])
    with pytest.raises(FormatError, match="at most 256 fields"):
        read_ecnas(path)
    forms = [row({1: {6: 0.5 + i}, 1000 + i: 7}, cells(5, 300)[i]) for i in range(300)]
    write_frames(path, forms)
    assert sorted(read_ecnas(path).values["energy_kwh"].ravel()) == [0.5 + i for i in range(300)]


def test_a_cell_in_two_forms(path: Path) -> None:
    """Else two measurements of twins would be averaged as repeats."""
    forms = ("maxpool3x3,conv1x1-bn-relu", "conv1x1-bn-relu,maxpool3x3")
    cell = Cell(f"0110000100010000:input,{forms[0]},output")
    rows = [
        row({1: {6: 0.5 + i}}, cell, bits="0110000100010000", ops=f"input,{ops},output")
        for i, ops in enumerate(forms)
    ]
    write_frames(path, rows)
    with pytest.raises(FormatError, match="a cell stands in two forms"):
        read_ecnas(path)


def test_empty_and_uneven_files(path: Path) -> None:
    write_frames(path, [])
    with pytest.raises(FormatError, match="no training"):
        read_ecnas(path)
    some = [energy(cell=cell, epochs=i + 1) for i, cell in enumerate(cells(5, 1000))]
    write_frames(path, [*some, *[energy()] * 20])
    with pytest.raises(FormatError, match="hardly any"):  # a grid of gigabytes
        read_ecnas(path)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(FormatError):
        sniff(path)


def test_metrics_that_a_format_cannot_hold_are_not_dropped(path: Path) -> None:
    made = synthetic()
    with pytest.raises(FormatError, match=r"cannot hold .*energy_kwh"):
        write_nasbench(path, made)
    values = {"parameters": made.values["energy_kwh"]}
    derived = {"parameters": Provenance("derived")}
    with pytest.raises(FormatError, match="cannot hold parameters"):
        write_ecnas(path, replace(made, values=values, provenance=derived))
    half = dict(made.values, started_unix_s=made.values["started_unix_s"] + 0.5)
    with pytest.raises(FormatError, match="whole seconds"):
        write_ecnas(path, replace(made, values=half))
    assert list(path.parent.iterdir()) == []


# -- damage at every layer ------------------------------------------------------------------------

often = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(
    params=[(ECNAS, write_ecnas, read_ecnas), (NASBENCH, write_nasbench, read_nasbench)],
    ids=["ecnas", "nasbench"],
)
def made(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Reader]:
    kind, write, reader = request.param
    write(tmp_path / "good.tfrecord", synthetic(kind, cells=4, budgets=(4,), repeats=2))
    return tmp_path / "good.tfrecord", reader


def attempt(path: Path, reader: Reader) -> None:
    """Read; a failure must be typed, name the file, and lie within it."""
    size = path.stat().st_size
    try:
        reader(path)
    except FormatError as error:
        located = error.path == str(path) and (error.offset is None or 0 <= error.offset <= size)
        if not located:
            raise


@often
@given(data=st.data(), within=st.sampled_from(["row", "message"]))
def test_damage_within_intact_frames(
    made: tuple[Path, Reader], data: st.DataObject, within: str
) -> None:
    path, reader = made
    rows = [row for _, row in read_frames(path)]
    at = data.draw(st.integers(0, len(rows) - 1))
    items = json.loads(rows[at])
    raw = bytearray(rows[at] if within == "row" else base64.b64decode(items[4]))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, max(len(raw) - 1, 0)))
        if raw and data.draw(st.booleans()):
            raw[place] = data.draw(st.sampled_from(b'0", []\\n=AZ{}') | st.integers(0, 255))
        else:
            del raw[place : place + data.draw(st.integers(1, 50))]
    message = json.dumps([*items[:4], base64.encodebytes(raw).decode()]).encode()
    rows[at] = bytes(raw) if within == "row" else message
    damaged = path.with_name("damaged.tfrecord")
    write_frames(damaged, rows)
    attempt(damaged, reader)

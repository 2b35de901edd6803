"""Parquet and CSV, and how all formats are told apart."""

from __future__ import annotations

import builtins
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fetch_server import Heard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from naslib_ecnas.data import long_form
from naslib_ecnas.data.convert import FORMATS, read, sniff
from naslib_ecnas.data.long_form import read_csv, read_parquet, write_csv, write_parquet
from naslib_ecnas.data.nasbench_tfrecord import write_ecnas, write_nasbench
from naslib_ecnas.data.protobuf import ModelMetrics
from naslib_ecnas.data.table import Columns, write_table
from naslib_ecnas.errors import (
    FormatError,
    MissingDependencyError,
    StorageError,
    UnknownTableError,
)
from naslib_ecnas.progress import listening
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.space import Space

Maker = Callable[..., Columns]
Same = Callable[[Columns, Columns], None]


def write(path: Path, columns: Columns) -> None:
    if path.suffix == ".parquet":
        pytest.importorskip("pyarrow")
        write_parquet(path, columns)
    else:
        write_csv(path, columns)


@pytest.fixture(params=["x.csv", "x.parquet"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / str(request.param)


def test_everything_comes_back(path: Path, synthetic: Maker, same_values: Same) -> None:
    columns = synthetic(vertices=5, cells=13, budgets=(4, 12))
    energy = columns.values["energy_kwh"].copy()
    energy[0, 1, 2], energy[3] = np.nan, np.nan
    energy[1, 0, 0], energy[2, 0, 0] = 5e-324, 0.1 + 0.2
    provenance = {**columns.provenance, "energy_kwh": Provenance("scaled", pue=1.59, note="für")}
    columns = replace(
        columns,
        values={**columns.values, "energy_kwh": energy},
        provenance=provenance,
        attributes={"licence": 'a "quoted"\nline, ü'},
    )
    write(path, columns)
    found = read(path)
    same_values(found, columns)
    assert (found.name, found.provenance, found.attributes) == (
        "synthetic",
        columns.provenance,
        columns.attributes,
    )


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(values=st.lists(st.floats(0, 1e300) | st.just(np.nan), min_size=12, max_size=12))
def test_numbers_come_back_exactly(path: Path, synthetic: Maker, values: list[float]) -> None:
    array = np.array(values).reshape(2, 2, 3)
    if np.isnan(array).all():
        array[0, 0, 0] = 1.0
    made = replace(synthetic(ModelMetrics, cells=2), values={"training_time_s": array})
    write(path, made)
    np.testing.assert_array_equal(read(path).values["training_time_s"], array)


def test_the_caller_s_word_counts_most(path: Path, synthetic: Maker) -> None:
    write(path, synthetic())
    known = Provenance("measured", device="here")
    found = read(path, name="mine", vertices=7, provenance={"energy_kwh": known})
    assert (found.name, found.vertices, found.provenance["energy_kwh"]) == ("mine", 7, known)


def test_lines_name_their_cells(synthetic: Maker) -> None:
    columns = synthetic(vertices=5, cells=40)
    lines = long_form.to_lines(columns)
    cells = [Space(5).cell(int(row)) for row in columns.rows]
    assert lines["cell"][::6] == [str(cell) for cell in cells]
    assert lines["nasbench_hash"][::6] == [cell.nasbench_hash for cell in cells]


def test_parts_are_the_lines_and_are_heard(
    path: Path, synthetic: Maker, same_values: Same, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = synthetic(vertices=5, cells=40)
    write(path, columns)
    whole, heard = path.read_bytes(), Heard()
    monkeypatch.setattr(long_form, "_LINES", 13)
    monkeypatch.setattr(long_form, "_LINES", 7)
    monkeypatch.setattr(long_form, "_PIECE", 5)
    with listening(heard):
        write(path, columns)
        assert path.suffix == ".parquet" or path.read_bytes() == whole
        assert (heard.starts, heard.last) == ([("writing", 40, 0)], 40)
        heard.steps.clear()
        same_values(read(path), columns)
    # From nothing to all of it once, as an estimate needs.
    assert heard.steps == sorted(heard.steps)
    assert heard.last == path.stat().st_size
    assert len(set(heard.steps)) > 5
    heard.last = -1
    read(path)
    assert heard.last == -1  # nobody listens any more


def test_a_csv_from_a_pipe() -> None:
    out, into = os.pipe()
    os.write(into, GOOD.encode())
    os.close(into)
    try:
        columns = read_csv(f"/dev/fd/{out}")
    finally:
        os.close(out)
    assert columns.values["energy_kwh"].item() == 0.5
    assert columns.provenance["energy_kwh"].sha256 == sha256(GOOD.encode()).hexdigest()


def test_what_cannot_be_read_on_is_told() -> None:
    for reader in (read_csv, read_parquet):
        with pytest.raises(UnknownTableError, match="cannot be read"):
            reader("/proc/self/mem")


def test_a_line_break_of_any_system_and_a_mark_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert read(path).values["energy_kwh"].item() == 0.5


def test_a_bad_line_is_numbered_beyond_the_first_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(long_form, "_LINES", 2)
    first, line = GOOD.splitlines()
    path = tmp_path / "x.csv"
    path.write_text("\n".join([first, *[line] * 4, line[:-4]]))
    with pytest.raises(FormatError, match="line 6 of the table"):
        read_csv(path)


@pytest.mark.parametrize("place", [0, 3, 8, 9])
def test_bytes_of_no_text_are_located_across_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    monkeypatch.setattr(long_form, "_PIECE", 4)
    content = "cell,ä€x,".encode()
    (tmp_path / "x.csv").write_bytes(content[:place] + b"\xff" + content[place:])
    with pytest.raises(FormatError) as caught:
        read_csv(tmp_path / "x.csv")
    # A character that is cut is at fault from its first byte.
    assert caught.value.offset == {8: 7, 9: 7}.get(place, place)


def test_lines_of_any_order_without_header_or_hashes(tmp_path: Path) -> None:
    first, second = str(Space(4).cell(0)), str(Space(4).cell(7))
    lines = [
        "repeat,energy_kwh,cell,epochs",
        f'1,0.5,"{second}",4',
        f'0,,"{second}",4',
        f'0,0.25,"{first}",4',
    ]
    path = tmp_path / "hand.csv"
    path.write_text("\n".join(lines) + "\n")
    assert sniff(path) == "csv"
    columns = read(path)
    np.testing.assert_array_equal(columns.values["energy_kwh"], [[[0.25, np.nan]], [[np.nan, 0.5]]])
    origin = columns.provenance["energy_kwh"]
    assert (columns.name, columns.vertices, origin.kind, origin.source) == (
        "hand",
        4,
        "unknown",
        "hand.csv",
    )


CELL = '"01100100:"'
GOOD = f'cell,nasbench_hash,epochs,repeat,energy_kwh\n"{Space(4).cell(0)}",,4,0,0.5\n'
BAD = {
    "empty": "",
    "header only": GOOD.splitlines()[0],
    "no cell": GOOD.replace("input", "inptu"),
    "wrong hash": GOOD.replace(",,", f",{'0' * 32},"),
    "no epochs": GOOD.replace("epochs", "epoch"),
    "unknown column": GOOD.replace("energy_kwh", "energy_mwh"),
    "column twice": GOOD.replace("energy_kwh", "cell"),
    "epochs 0": GOOD.replace(",4,", ",0,"),
    "epochs 4.5": GOOD.replace(",4,", ",4.5,"),
    "epochs huge": GOOD.replace(",4,", ",9999999999999999999999,"),
    "epochs of many digits": GOOD.replace(",4,", f",{'9' * 5000},"),
    "repeat -1": GOOD.replace(",4,0", ",4,-1"),
    "repeat huge": GOOD.replace(",4,0", ",4,999999") + GOOD.splitlines()[1] + "\n",
    "repeat twice": GOOD + GOOD.splitlines()[1] + "\n",
    "no number": GOOD.replace("0.5", "half"),
    "negative energy": GOOD.replace("0.5", "-0.5"),
    "endless energy": GOOD.replace("0.5", "inf"),
    "a field too few": GOOD.replace(",0.5", ""),
    "a field too many": GOOD.replace("0.5", "0.5,1"),
    "an open quote": GOOD.replace('output"', "output"),
    "a header of no JSON": "# provenance: {\n" + GOOD,
    "a header of a list": "# provenance: []\n" + GOOD,
    "a header of 9 vertices": '# provenance: {"vertices": 9}\n' + GOOD,
    "a header of another kind": '# provenance: {"provenance": {"x": {"kind": "rumour"}}}\n' + GOOD,
    "an attribute of a number": '# provenance: {"attributes": {"a": 1}}\n' + GOOD,
    "only comments": "# a\n# b",
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_a_bad_csv_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(text)
    with pytest.raises(FormatError) as caught:
        read_csv(path)
    assert caught.value.path == str(path)
    assert len(str(caught.value)) < 2000


def test_lines_without_repeats_are_repeats_in_their_order(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    cell = '"011001000:input,maxpool3x3,output"'
    path.write_text(f"cell,epochs,energy_kwh\n{cell},4,3\n{cell},12,5\n{cell},4,2\n")
    columns = read_csv(path)
    assert columns.repeats == 2
    np.testing.assert_array_equal(columns.values["energy_kwh"], [[[3, 2], [5, np.nan]]])


def test_a_csv_that_is_not_utf8_is_located(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b"cell\n\xff")
    with pytest.raises(FormatError) as caught:
        read_csv(tmp_path / "x.csv")
    assert caught.value.offset == 5


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_damaged_files(path: Path, synthetic: Maker, data: st.DataObject) -> None:
    good = path.with_name("good" + path.suffix)
    if not good.exists():
        write(good, synthetic(ModelMetrics, cells=3, budgets=(4,), repeats=2))
    raw = bytearray(good.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(raw) - 1))
        if data.draw(st.booleans()):
            raw[place] ^= 1 << data.draw(st.integers(0, 7))
        else:
            raw = raw[:place] or bytearray(b"x")
    path.write_bytes(raw)
    reader: Any = read_parquet if path.suffix == ".parquet" else read_csv
    try:
        reader(path)
    except FormatError as error:
        if error.path != str(path):
            raise


def test_parquet_of_other_tables_is_refused(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "x.parquet"
    cell = str(Space(4).cell(0))
    good = {"cell": [cell], "epochs": [4], "repeat": [0], "energy_kwh": [0.5]}
    parquet.write_table(pyarrow.table(good), path)
    assert read_parquet(path).values["energy_kwh"].item() == 0.5
    parquet.write_table(pyarrow.table(good).slice(0, 0), path)
    with pytest.raises(FormatError, match="no training"):
        read_parquet(path)
    for change in (
        {"energy_kwh": ["half"]},
        {"energy_kwh": [[1.0]]},
        {"epochs": ["4"]},
        {"epochs": [4.5]},
        {"epochs": [None]},
        {"cell": [None]},
        {"cell": [5]},
        {"other": [1]},
    ):
        parquet.write_table(pyarrow.table({**good, **change}), path)
        with pytest.raises(FormatError) as caught:
            read_parquet(path)
        assert caught.value.path == str(path)


def test_the_published_measurements_are_no_tables_of_ours(reference: Path) -> None:
    pytest.importorskip("pyarrow")
    path = reference / "measured_4v_rtx6000_3repeats.parquet"
    assert sniff(path) == "parquet"
    with pytest.raises(FormatError, match="columns are not those of a table"):
        read_parquet(path)


def test_without_pyarrow_the_remedy_is_told(
    tmp_path: Path, synthetic: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def importer(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.split(".")[0] == "pyarrow":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    for name in [name for name in sys.modules if name.split(".")[0] == "pyarrow"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", importer)
    with pytest.raises(MissingDependencyError, match=r"naslib-ecnas\[parquet\]"):
        write_parquet(tmp_path / "x.parquet", synthetic())
    with pytest.raises(MissingDependencyError, match="pyarrow"):
        read_parquet(tmp_path / "x.parquet")


def test_nothing_half_written(tmp_path: Path, path: Path, synthetic: Maker) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        write(tmp_path / "file" / path.name, synthetic())
    with pytest.raises(UnknownTableError):
        read(path)


# -- telling formats apart ------------------------------------------------------------------------


def test_every_format_is_recognised_and_read(
    tmp_path: Path, synthetic: Maker, same_values: Same
) -> None:
    pytest.importorskip("pyarrow")
    energy, plain = synthetic(), synthetic(ModelMetrics)
    made: dict[str, tuple[Callable[[Path, Columns], None], Columns]] = {
        "table": (write_table, energy),
        "ecnas-tfrecord": (write_ecnas, energy),
        "nasbench-tfrecord": (write_nasbench, plain),
        "parquet": (write_parquet, energy),
        "csv": (write_csv, energy),
    }
    for name, (writer, columns) in made.items():
        path = tmp_path / "a file whose name says nothing"
        writer(path, columns)
        assert sniff(path) == name
        found = read(path, name="given", provenance={"test_accuracy": Provenance("derived")})
        same_values(found, columns)
        assert found.name == "given"
        assert found.provenance["test_accuracy"].kind == "derived"
    # The two others have their own tests.
    assert set(made) | {"nasbench-pickle", "results-tree"} == set(FORMATS)


def test_gzip_is_named(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\x1f\x8b\x08" + b"\x00" * 30)
    with pytest.raises(FormatError, match="gunzip"):
        read(tmp_path / "x")


@pytest.mark.parametrize("raw", [b"", b"\x00" * 100, b"hello\n", b"\x80\x09", b"PAR"])
def test_unknown_formats(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "x").write_bytes(raw)
    with pytest.raises(FormatError, match="no known format") as caught:
        sniff(tmp_path / "x")
    assert caught.value.path == str(tmp_path / "x")


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(UnknownTableError):
        read(tmp_path / "none")

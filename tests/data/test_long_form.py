"""Parquet and CSV: exact round trips, files made by hand, damage; cells as texts."""

from __future__ import annotations

import codecs
import csv
import io
import re
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from fetch_server import ProgressLog
from foreign import same_values, synthetic
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from naslib_ecnas import errors
from naslib_ecnas.cell import Cell
from naslib_ecnas.data import long_form
from naslib_ecnas.data.convert import read, sniff
from naslib_ecnas.data.long_form import read_csv, read_parquet, write_csv, write_parquet
from naslib_ecnas.data.nasbench_tfrecord import NASBENCH
from naslib_ecnas.data.table import Columns
from naslib_ecnas.errors import FormatError, ImplausibleValueWarning
from naslib_ecnas.progress import listening
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.space import Space

often = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def write(path: Path, columns: Columns) -> None:
    (write_parquet if path.suffix == ".parquet" else write_csv)(path, columns)


@pytest.fixture(params=["x.csv", "x.parquet"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / str(request.param)


def test_everything_comes_back(path: Path) -> None:
    columns = synthetic(vertices=5, cells=13, budgets=(4, 12))
    energy = columns.values["energy_kwh"].copy()
    energy[0, 1, 2], energy[3] = np.nan, np.nan
    energy[1, 0, 0], energy[2, 0, 0] = np.nextafter(1e-5, 1), 0.1 + 0.2
    provenance = {**columns.provenance, "energy_kwh": Provenance("scaled", pue=1.59, note="für")}
    values, attributes = {**columns.values, "energy_kwh": energy}, {"licence": 'a "b"\nline, ü'}
    columns = replace(columns, values=values, provenance=provenance, attributes=attributes)
    write(path, columns)
    found = read(path)
    same_values(found, columns)
    assert (found.name, found.provenance) == ("synthetic", columns.provenance)
    assert found.attributes == columns.attributes


@settings(often, max_examples=25)
@given(
    values=st.lists(st.floats(0, 1e8, exclude_min=True) | st.just(np.nan), min_size=12, max_size=12)
)
def test_numbers_come_back_exactly(path: Path, values: list[float]) -> None:
    array = np.array(values).reshape(2, 2, 3)
    if np.isnan(array).all():
        array[0, 0, 0] = 1.0
    made = replace(synthetic(NASBENCH, cells=2), values={"training_time_s": array})
    write(path, made)
    np.testing.assert_array_equal(read(path).values["training_time_s"], array)


def test_parts_are_the_lines_and_report_progress(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = synthetic(vertices=5, cells=40)
    write(path, columns)
    whole, log = path.read_bytes(), ProgressLog()
    monkeypatch.setattr(long_form, "_LINES", 13)
    with listening(log):
        write(path, columns)
        assert path.suffix == ".parquet" or path.read_bytes() == whole
        assert (log.starts, log.last) == ([(f"writing {columns.name}", 40, 0)], 40)
        log.steps.clear()
        same_values(read(path), columns)
    # From 0 to the end once, as an estimate of the time left needs.
    assert log.steps == sorted(log.steps)
    assert log.last == (40 * 6 if path.suffix == ".parquet" else path.stat().st_size)
    assert len(set(log.steps)) > 4
    log.last = -1
    read(path)
    assert log.last == -1  # it no longer listens


def test_a_bad_line_is_numbered_beyond_the_first_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(long_form, "_LINES", 2)
    first, line = GOOD.splitlines()
    path = tmp_path / "x.csv"
    path.write_text("\n".join([first, *[line] * 4, line[:-4]]))
    with pytest.raises(FormatError, match="line 6 of the table"):
        read_csv(path)


@pytest.mark.parametrize("before", [0, 8186])  # so that a piece ends within a character
@pytest.mark.parametrize("place", [0, 3, 8, 9])
def test_bytes_of_no_text_are_located(tmp_path: Path, place: int, before: int) -> None:
    content = "cell,ä€x,".encode()
    raw = b"\n" * before + content[:place] + b"\xff" + content[place:]
    (tmp_path / "x.csv").write_bytes(raw)
    with pytest.raises(FormatError) as caught:
        read_csv(tmp_path / "x.csv")
    # A cut character is wrong from its first byte.
    assert caught.value.offset == before + {8: 7, 9: 7}.get(place, place)


def test_a_csv_whose_lines_were_changed_is_refused(tmp_path: Path) -> None:
    """Whoever means the change deletes the digest from the first line, which is covered, too."""
    path = tmp_path / "x.csv"
    write_csv(path, synthetic())
    first, rest = path.read_bytes().split(b"\n", 1)
    found = re.search(rb', "sha256": "(\w+)"', first)
    assert found is not None
    lines = rest.splitlines(keepends=True)
    other_order = b"".join([lines[0], *reversed(lines[1:])])
    for same in (rest, other_order, rest.replace(b"\n", b"\r\n")):
        path.write_bytes(b"# a comment\r\n" + first + b"\r\n" + same)
        read(path)
    other = first.replace(b"made up", b"changed")
    for changed in (
        *(first + b"\n" + rest[:-20] + b"9" + rest[-19:], first + b"\n" + b"".join(lines[:-1])),
        *(first + b"\n" + rest + rest.split(b"\n")[1] + b"\n", b"#" + first + b"\n" + rest),
        first.replace(b"sha256", b"sha257") + b"\n" + rest,
        other + b"\n" + rest,
    ):
        path.write_bytes(changed)
        with pytest.raises(FormatError):
            read(path)
    with pytest.raises(errors.ChecksumError, match="delete the sha256 from the header"):
        read(path)
    path.write_bytes(other.replace(found[0], b"") + b"\n" + rest)
    assert read(path).provenance["energy_kwh"].note == "changed"


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
    assert (columns.name, columns.vertices) == ("hand", 4)
    assert (origin.kind, origin.source) == ("unknown", "hand.csv")


GOOD = f'cell,nasbench_hash,epochs,repeat,energy_kwh\n"{Space(4).cell(0)}",,4,0,0.5\n'
LINE = GOOD.splitlines()[1] + "\n"
CHANGES = [
    *(("0.5", number) for number in ("1_0", "\u0660.5", "True", "0x1", "0,5", "0", "360000")),
    *((",4,", f",{epochs},") for epochs in ("1_0", "\u0664", "-4", "NA")),
    *(("0.5", "x" * 9000), (",energy_kwh", "")),
    *(("input", "inptu"), (",,", f",{'0' * 32},"), ('output"', "output"), (",0.5", "")),
    *(("epochs", "epoch"), ("energy_kwh", "energy_mwh"), ("energy_kwh", "cell")),
    *((",4,", f",{epochs},") for epochs in ("0", "4.5", "9" * 22, "9" * 5000)),
    *((",4,0,", f",4,{repeat},") for repeat in ("-1", "half")),
    *(("0.5", number) for number in ("half", "-0.5", "inf", "0.5,1")),
]
HEADERS = ["{", "[]", '{"vertices": 9}', '{"provenance": {"x": {"kind": "rumour"}}}']
HEADERS += ['{"attributes": {"a": 1}}']


def test_a_bad_csv_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    for text in (
        *(GOOD.replace(*change) for change in CHANGES),
        *(f"# provenance: {header}\n{GOOD}" for header in HEADERS),
        *("", GOOD.splitlines()[0], "# a\n# b"),
        GOOD + LINE,  # a repeat twice
        GOOD.replace(",4,0", ",4,999999") + LINE,
    ):
        path.write_text(text)
        with pytest.raises(FormatError) as caught:
            read_csv(path)
        assert caught.value.path == str(path), text
        assert len(str(caught.value)) < 2000


ONE, OTHER = Space(4).cell(0), Space(4).cell(3)
PLAIN = f'cell,epochs,energy_kwh,test_accuracy\n"{ONE}",4,0.25,0.5\n"{OTHER}",4,0.5,0.75\n'
HASHES = PLAIN.replace("cell", "Hash")
for _cell in (ONE, OTHER):
    HASHES = HASHES.replace(f'"{_cell}"', _cell.nasbench_hash)


def separated(delimiter: str) -> bytes:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows(csv.reader(PLAIN.splitlines()))
    return text.getvalue().encode()


FORMS = {
    "tabs": separated("\t"),
    "semicolons": separated(";"),
    "UTF-16": PLAIN.encode("utf-16"),
    "UTF-16, big end first": codecs.BOM_UTF16_BE + PLAIN.encode("utf-16-be"),
    "mark": PLAIN.encode("utf-8-sig"),
    "line feeds after returns": PLAIN.replace("\n", "\r\n").encode(),
    "carriage returns": PLAIN.replace("\n", "\r").encode(),
    "hashes": HASHES.encode(),
    "capitals and blanks": PLAIN.replace("cell,epochs", " Cell , EPOCHS").encode(),
    "an index": PLAIN.replace("cell", ",cell").replace('"0', '7,"0').encode(),
    "floats": PLAIN.replace(",4,", ", 4.0 ,").encode(),
    "blank lines": PLAIN.replace("\n", "\n\n").encode(),
    "missing": (PLAIN + f'"{OTHER}",12, NA ,null\n"{ONE}",12,<NA>,\n').encode(),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_csv_as_people_have_it(tmp_path: Path, form: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(FORMS[form])
    columns = read(path)
    assert columns.rows.tolist() == [0, 3]
    assert columns.values["energy_kwh"][:, 0, 0].tolist() == [0.25, 0.5]
    assert columns.values["test_accuracy"][:, 0, 0].tolist() == [0.5, 0.75]


def test_other_text_is_told_what_a_csv_needs(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("These are my results\n1 2 3\n")
    with pytest.raises(FormatError, match=r"no known format.*columns cell \(or hash\), epochs"):
        read(path)


def test_lines_without_repeats_are_repeats_in_their_order(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    cell = '"011001000:input,maxpool3x3,output"'
    path.write_text(f"cell,epochs,energy_kwh\n{cell},4,3\n{cell},12,5\n{cell},4,2\n")
    with pytest.warns(ImplausibleValueWarning, match="count as its repeats, up to 2"):
        columns = read_csv(path)
    assert columns.repeats == 2
    np.testing.assert_array_equal(columns.values["energy_kwh"], [[[3, 2], [5, np.nan]]])


def test_a_training_counts_once(tmp_path: Path) -> None:
    """Whether it was copied, or stands there in two forms of one cell."""
    path = tmp_path / "x.csv"
    path.write_text(PLAIN + PLAIN.splitlines()[1] + "\n")
    with pytest.raises(FormatError, match="1 trainings are copies of others, such as of the cell"):
        read(path)
    forms = ("maxpool3x3,conv1x1-bn-relu", "conv1x1-bn-relu,maxpool3x3")
    lines = [f'"0110000100010000:input,{ops},output",4,0.{i + 1}' for i, ops in enumerate(forms)]
    path.write_text("cell,epochs,energy_kwh\n" + "\n".join(lines))
    with pytest.raises(FormatError, match="a cell stands in two forms"):
        read(path)
    path.write_text(PLAIN + "".join(f'"{ONE}",4,0.{i},0.5\n' for i in range(1000, 6000)))
    with pytest.raises(FormatError, match="at most 4096 trainings"):
        read(path)


def test_other_units_are_a_doubt(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(PLAIN.replace("0.25", "250"))
    with pytest.warns(ImplausibleValueWarning, match=r"x\.csv: energy_kwh: 1 of 2 .* Wh\?"):
        columns = read(path)
    assert "1 of 2 values" in columns.attributes["doubt of energy_kwh"]


def test_a_small_parquet_file_is_no_large_table(tmp_path: Path) -> None:
    """Texts, lines and pages that compress to nothing are bounded before they are made."""
    path, many = tmp_path / "x.parquet", np.full(100_000, 4)
    for text, says in ((str(ONE), "at most 4096 trainings"), ("0" * 80_000, "at most 512 bytes")):
        cells = pyarrow.DictionaryArray.from_arrays(np.zeros(len(many), np.int8), [text])
        table = pyarrow.table({"cell": cells, "epochs": many, "energy_kwh": many * 0.1})
        parquet.write_table(table, path)
        with pytest.raises(FormatError, match=says):
            read(path)
    texts = {"cell": ["0" * 10_000] * 3000, "epochs": many[:3000], "energy_kwh": many[:3000]}
    parquet.write_table(pyarrow.table(texts), path, use_dictionary=False)
    with pytest.raises(FormatError, match="3000 lines may take"):
        read(path)


def test_a_flipped_bit_of_an_export_is_found(path: Path) -> None:
    columns = synthetic(cells=2, budgets=(4,), repeats=1)
    write(path, columns)
    raw, rng = path.read_bytes(), np.random.default_rng(4)
    for place in rng.choice(len(raw), 60, replace=False).tolist():
        flipped = bytearray(raw)
        flipped[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(flipped)
        with suppress(FormatError):
            same_values(read(path), columns)


def test_parquet_of_other_tables_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    cell = str(Space(4).cell(0))
    good = {"cell": [cell], "epochs": [4], "repeat": [0], "energy_kwh": [0.5]}
    parquet.write_table(pyarrow.table(good), path)
    assert read_parquet(path).values["energy_kwh"].item() == 0.5
    nothing = pyarrow.array([None], pyarrow.string())  # a hash that is not compared
    parquet.write_table(pyarrow.table({**good, "nasbench_hash": nothing}), path)
    assert read_parquet(path).rows.tolist() == [0]
    parquet.write_table(pyarrow.table(good).slice(0, 0), path)
    with pytest.raises(FormatError, match="no training"):
        read_parquet(path)
    for change in (
        *({"energy_kwh": [energy]} for energy in ("half", "1_0", True, [1.0], 0.0, 4e4)),
        *({"epochs": [epochs]} for epochs in ("4", 4.5, None)),
        *({"cell": [None]}, {"cell": [5]}, {"other": [1]}, {"nasbench_hash": ["0" * 32]}),
    ):
        parquet.write_table(pyarrow.table({**good, **change}), path)
        with pytest.raises(FormatError) as caught:
            read_parquet(path)
        assert caught.value.path == str(path)


def test_without_pyarrow_the_error_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)  # what makes an import fail
    with pytest.raises(errors.MissingDependencyError, match=r"naslib-ecnas\[tables\]"):
        write_parquet(tmp_path / "x.parquet", synthetic())
    with pytest.raises(errors.MissingDependencyError, match="pyarrow"):
        read_parquet(tmp_path / "x.parquet")


def test_other_forms_of_a_cell(tmp_path: Path) -> None:
    path, usual = tmp_path / "x.csv", str(Cell.from_row(7))
    for text in (
        "0010000000010000:input,conv1x1-bn-relu,maxpool3x3,output",  # a vertex on no path
        "0110000100010000:input,maxpool3x3,conv1x1-bn-relu,output",  # another order
        " 0100:input, output ",
        "0" * 7 + "1" + "0" * 56 + ":input," + "maxpool3x3," * 6 + "output",  # pruned from 8
    ):
        path.write_text(f'cell,epochs,energy_kwh\n"{usual}",4,0.25\n"{text}",4,0.5\n')
        columns = read(path)
        assert columns.rows.tolist() == sorted([7, Cell(text).row])
        assert columns.values["energy_kwh"][columns.rows.tolist().index(7)].item() == 0.25


def test_texts_that_are_not_a_cell_are_an_error_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    for text in (
        *("", ":", "0100", "None", "7"),
        *("0100:input,maxpool3x3,output", "0100:output,input"),
        *(f"{bits}:input,output" for bits in ("0200", "0000", "0010", "01a0", "01\u06610")),
        "0" * 49 + ":input," + "maxpool3x3," * 5 + "output",
    ):
        path.write_text(PLAIN + f'"{text}",4,0.5,0.5\n')
        with pytest.raises(FormatError, match=r"x\.csv: a line has no valid cell"):
            read(path)

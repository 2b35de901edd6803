"""Texts of many cells at once are those of single cells, in every form that a cell takes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from naslib_ecnas.cell import Cell
from naslib_ecnas.data.assemble import Source
from naslib_ecnas.data.long_form import CellTexts, texts_of
from naslib_ecnas.errors import FormatError
from naslib_ecnas.space import Space
from naslib_ecnas.topologies import OPERATIONS

SOURCE = Source("x.csv", None)
FIVE = np.arange(len(Space(5)), dtype=np.int32)


def test_texts_of_all_small_cells_and_some_large_ones() -> None:
    rows = np.concatenate([FIVE, Space(7).sample(np.random.default_rng(0), 500)])
    texts = texts_of(rows.astype(np.int32))
    assert texts == [str(Cell.from_row(row)) for row in rows.tolist()]
    np.testing.assert_array_equal(CellTexts(SOURCE).rows(texts), rows)


def test_no_texts() -> None:
    assert texts_of(FIVE[:0]) == []
    assert CellTexts(SOURCE).rows([]).shape == (0,)


UNUSUAL = {
    "a vertex on no path": "0010000000010000:input,conv1x1-bn-relu,maxpool3x3,output",
    "another order": "0110000100010000:input,maxpool3x3,conv1x1-bn-relu,output",
    "spaces": " 0100:input, output ",
    "eight vertices, two on a path": "0" * 7
    + "1"
    + "0" * 56
    + ":input,"
    + "maxpool3x3," * 6
    + "output",
}


@pytest.mark.parametrize("text", UNUSUAL.values(), ids=UNUSUAL)
def test_other_forms_of_a_cell(text: str) -> None:
    usual = str(Cell.from_row(7))
    assert CellTexts(SOURCE).rows([usual, text, usual]).tolist() == [7, Cell(text).row, 7]


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "0100",
        "0100:input,maxpool3x3,output",
        "0200:input,output",
        "0000:input,output",
        "0010:input,output",
        "0100:output,input",
        "01a0:input,output",
        "01\u06610:input,output",
        "0" * 49 + ":input," + "maxpool3x3," * 5 + "output",
        None,
        7,
    ],
)
def test_what_is_no_cell_is_an_error_of_the_file(text: object) -> None:
    with pytest.raises(FormatError, match=r"x\.csv: a line has no cell") as caught:
        CellTexts(SOURCE).rows([str(Cell.from_row(3)), text])
    assert caught.value.value == str(text)


def test_hashes_are_compared() -> None:
    texts = CellTexts(SOURCE)
    rows = np.array([3, 3, 90], dtype=np.int32)
    right = [Cell.from_row(row).nasbench_hash for row in rows.tolist()]
    texts.check(rows, right)
    texts.check(rows, [right[0], None, ""])
    with pytest.raises(FormatError, match="hash of a line"):
        texts.check(rows, [right[0], right[2], right[2]])


@given(
    st.lists(
        st.tuples(
            st.text("01", min_size=9, max_size=9),
            st.sampled_from(("input", *OPERATIONS, "output")),
        ),
        max_size=20,
    )
)
def test_any_texts_are_taken_as_a_cell_takes_them(drawn: list[tuple[str, str]]) -> None:
    for bits, name in drawn:
        text = f"{bits}:input,{name},output"
        try:
            row = Cell(text).row
        except ValueError:
            with pytest.raises(FormatError):
                CellTexts(SOURCE).rows([text])
        else:
            assert CellTexts(SOURCE).rows([text]).tolist() == [row]

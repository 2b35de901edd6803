"""Arrays and numbers of a pickle: what numpy itself writes, and states that no numpy writes."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from naslib_ecnas.data.assemble import Source
from naslib_ecnas.data.nasbench_pickle import ALLOWED, Array, DType, load
from naslib_ecnas.errors import FormatError

PLAIN = st.sampled_from(["i1", "<i4", ">i4", "<i8", "u1", "<f4", ">f8", "?"])
SCALAR = ALLOWED["numpy.core.multiarray", "scalar"].make
ENCODE = ALLOWED["_codecs", "encode"].make
FORM = (1, (2,), DType("u1"), False, b"ab")


@settings(max_examples=100, deadline=None)
@given(st.data(), st.integers(0, pickle.HIGHEST_PROTOCOL), st.booleans())
def test_arrays_of_numpy_come_back(data: st.DataObject, protocol: int, fortran: bool) -> None:
    made = data.draw(arrays.arrays(data.draw(PLAIN), arrays.array_shapes(max_dims=3, max_side=4)))
    given = np.asfortranarray(made) if fortran else made
    found = load(pickle.dumps(given, protocol), Source("x"))
    assert isinstance(found, Array)
    assert (found.array.dtype, found.array.shape) == (made.dtype, made.shape)
    assert found.array.tobytes() == made.tobytes()
    assert not found.array.flags.writeable


@pytest.mark.parametrize("number", [np.float32(0.1), np.float64(0.1), np.int16(-3), np.bool_(True)])
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_numbers_of_numpy_become_python_s(number: Any, protocol: int) -> None:
    found = load(pickle.dumps(number, protocol), Source("x"))
    assert (type(found), found) == (type(number.item()), number.item())


@pytest.mark.parametrize(
    ("at", "value", "said"),
    [
        (0, 2, "not that of an array"),
        (1, [2], "shape"),
        (1, (1 << 40,), "shape"),
        (2, "u1", "type"),
        (3, None, "order"),
        (3, "F", "order"),
        (4, b"abc", "do not fill"),
        (4, "ab", "do not fill"),
    ],
)
def test_another_state_of_an_array_is_refused(at: int, value: Any, said: str) -> None:
    array = Array()
    with pytest.raises(ValueError, match=said):
        array.set_state((*FORM[:at], value, *FORM[at + 1 :]))
    with pytest.raises(ValueError, match="not that of an array"):
        array.set_state(list(FORM))
    assert array.array.size == 0
    array.set_state(FORM)
    assert array.array.tolist() == [97, 98]


@pytest.mark.parametrize("flags", [("no",), (False, 1.0), (False, True, True)])
def test_strange_flags_of_a_type_are_refused(flags: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match="strange flags"):
        DType("i4", *flags)
    assert DType("i4", False, True).dtype == np.dtype("i4")


@pytest.mark.parametrize(
    ("dtype", "data", "said"),
    [("<f8", b"\0" * 8, "without a type"), (DType("<f8"), "\0" * 8, "without a type")]
    + [(DType("<f8"), b"\0" * length, "not those of a number") for length in (0, 7, 16)],
)
def test_a_number_that_is_none_is_refused(dtype: Any, data: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        SCALAR(dtype, data)


def test_only_latin_1_becomes_bytes() -> None:
    assert ENCODE("aü", "latin1") == b"a\xfc"
    for text, encoding in (("ā", "latin1"), (b"a", "latin1"), ("a", "utf-8")):
        with pytest.raises(ValueError, match=r"no bytes|only Latin-1"):
            ENCODE(text, encoding)


def test_the_pickle_tells_it_with_its_place() -> None:
    raw = b"c_codecs\nencode\n(X\x02\x00\x00\x00\xc4\x81X\x06\x00\x00\x00latin1tR."
    with pytest.raises(FormatError, match="no bytes"):
        load(raw, Source("x"))

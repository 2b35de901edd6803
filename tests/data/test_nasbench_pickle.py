"""NASLib's pickle: its content is read; whatever could run is refused before it is looked up."""

from __future__ import annotations

import builtins
import copyreg
import os
import pickle
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from naslib_ecnas import network
from naslib_ecnas.data.assemble import Source
from naslib_ecnas.data.convert import read, sniff
from naslib_ecnas.data.nasbench_pickle import ALLOWED, Array, DType, load, read_nasbench_pickle
from naslib_ecnas.data.table import Columns
from naslib_ecnas.errors import FormatError, TruncatedError
from naslib_ecnas.space import Space

FIELDS = [
    f"{when}_{what}"
    for when in ("halfway", "final")
    for what in ("training_time", "train_accuracy", "validation_accuracy", "test_accuracy")
]
Content = dict[str, tuple[dict[str, Any], dict[int, list[dict[str, Any]]]]]
PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
HERE = Source("x")


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


# -- malicious pickles ----------------------------------------------------------------------------


class Reduced:
    """An object that is pickled as a call."""

    def __init__(self, function: Any, *arguments: Any, state: Any = None) -> None:
        self.how = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self) -> Any:
        return self.how


@pytest.fixture
def trapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Path for a pickle, in a folder in which anything that it runs would leave a file `ran`."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path / "x.pkl"
    assert [path.name for path in tmp_path.iterdir()] == ["x.pkl"]


CALL = Reduced(os.system, "echo > ran")
MALICIOUS = [
    *(CALL, Reduced(eval, "open('ran', 'w')"), Reduced(exec, "open('ran', 'w')")),
    Reduced(os.system, "echo > ran", state={"a": 1}),
    # The way around a list of forbidden names.
    Reduced(builtins.getattr, Reduced(__import__, "os"), "system"),
    *(Reduced(__import__, "os"), Reduced(open, "ran", "w"), Reduced(np.load, "x.npy", None, True)),
    *(Reduced(function, (1 << 40,)) for function in (np.ones, np.ndarray)),
    *(OrderedDict(a=1), {1, 2}, Path, np.dtype(object), 1j),
    *(np.array(items, dtype=object) for items in ([CALL, None], [None])),
    *(np.array(["a"]), np.array(["2020-01-01"], dtype="M8[D]")),
    np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
]


def test_anything_else_is_refused(trapped: Path) -> None:
    for made in MALICIOUS:
        for protocol in PROTOCOLS:
            trapped.write_bytes(pickle.dumps({"a" * 32: ({}, {108: [made]})}, protocol))
            with pytest.raises(FormatError, match="the pickle") as caught:
                read_nasbench_pickle(trapped)
            assert caught.value.path == str(trapped)
            assert caught.value.offset is not None


@pytest.mark.parametrize("code", [200, 3000, 1 << 20])
def test_extension_codes_are_refused_even_when_registered(trapped: Path, code: int) -> None:
    copyreg.add_extension(os.system.__module__, "system", code)
    try:
        raw = pickle.dumps(Reduced(os.system, "echo > ran"), 2)
        pickle.loads(pickle.dumps(os.system, 2))  # noqa: S301 - fills Python's cache of codes
        trapped.write_bytes(raw)
        with pytest.raises(FormatError, match="EXT"):
            read_nasbench_pickle(trapped)
    finally:
        copyreg.remove_extension(os.system.__module__, "system", code)


ARRAY = b"cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tC\x01btR"
INT8 = b"cnumpy\ndtype\n(X\x02\x00\x00\x00i1I00\nI01\ntR"
INT8 += b"(K\x03X\x01\x00\x00\x00|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
END = b"I00\nC\x01\x00tb."
HUGE = b"\x8a\x06\x00\x00\x00\x00\x00\x01"

LONG = (1 << 60).to_bytes(8, "little")

CRAFTED = [
    # Missing ends, another protocol, more or less than one object.
    *(b"", b"\x80\x04K\x01", b"\x80\x09K\x01.", b".", b"K\x01K\x02.", b"(K\x01."),
    # An empty stack, below a mark, duplicates.
    *(b"0.", b"t.", b"]K\x01(a.", b"K\x012."),
    # Memory that is empty, has a gap of gigabytes, is numbered with a word.
    *(b"h\x05.", b"K\x01r\xff\xff\xff\xff.", b"K\x01pxyz\n."),
    # Lengths of 2**60 and 2**31, long numbers and lines.
    *(code + LONG + b"abc." for code in (b"\x8e", b"\x8d", b"\x80\x04\x95")),
    *(b"\x8b\xff\xff\xff\x7f.", b"I" + b"9" * 200 + b"x\n.", b"I" + b"9" * 100_000),
    b"\x8c\x01\xff.",  # not UTF-8
    # Persistent ids, calls of no function or without a tuple, instances, names of numbers.
    *(b"Pkey\n.", b"\x8c\x03keyQ.", b"K\x01)R.", b"cnumpy\ndtype\nK\x01R."),
    *(b"cnumpy\nndarray\n)\x81.", b"(ios\nsystem\n.", b"K\x01K\x02\x93."),
    # The state of a name, of a dictionary.
    *(b"cnumpy\ndtype\n}b.", b"}}b."),
    # Keys that are a list, an endless tuple, a huge number; items that do not fit.
    *(
        b"}]K\x01s.",
        b"})" + b"\x85" * 5000 + b"K\x01s.",
        b"}\x8a\x09" + b"\xff" * 8 + b"\x7fK\x01s.",
    ),
    *(b"}(K\x01u.", b"](K\x01K\x02u.", b"K\x01K\x02a."),
    # Arrays of 2**40 items, 70 dimensions, a negative side, without their bytes.
    *(
        ARRAY + b"(K\x01(" + shape + b"t" + INT8 + END
        for shape in (HUGE, b"K\x01" * 70, b"J\xff\xff\xff\xff", b"K\x02")
    ),
    # Arrays of another class and from a list, types of a wrong state, numbers without bytes.
    ARRAY.replace(b"ndarray", b"dtype") + b".",
    ARRAY + b"(K\x01(K\x01t" + INT8 + b"I00\n](K\x01etb.",
    *(b"cnumpy\ndtype\n(X\x02\x00\x00\x00i1tR)b.", b"cnumpy\ndtype\n(K\x01tR."),
    b"cnumpy._core.multiarray\nscalar\n(" + INT8 + b"C\x00tR.",
    b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x05\x00\x00\x00rot13tR.",
]


def test_crafted_bytes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.pkl"
    for raw in CRAFTED:
        path.write_bytes(raw)
        with pytest.raises(FormatError) as caught:
            read_nasbench_pickle(path)
        assert caught.value.path == str(path)
        assert len(str(caught.value)) < 1000


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 200), 1 << 200)
    | st.floats(allow_nan=False)
    | st.text(max_size=300)
    | st.binary(min_size=1, max_size=300),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=5).map(tuple)
        | st.dictionaries(st.text(max_size=3) | st.integers(-9, 9), inner, max_size=4)
    ),
    max_leaves=30,
)


@settings(max_examples=150, deadline=None)
@given(value=VALUES, protocol=st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_plain_values_come_back(value: Any, protocol: int) -> None:
    assert load(pickle.dumps(value, protocol), HERE) == value


def test_cut_pickles(tmp_path: Path) -> None:
    for cut in (1, 2, 50, 1000):
        (tmp_path / "x.pkl").write_bytes(pickle.dumps(content())[:-cut])
        with pytest.raises(TruncatedError):
            read_nasbench_pickle(tmp_path / "x.pkl")


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
    _edited(training={"final_training_time": 1 << 255}),
    dict(zip(content(n=2), reversed(content(n=2).values()), strict=True)),  # wrong hashes
]


def test_other_content_is_refused(tmp_path: Path) -> None:
    for made in ODD:
        (tmp_path / "x.pkl").write_bytes(pickle.dumps(made))
        with pytest.raises(FormatError) as caught:
            read_nasbench_pickle(tmp_path / "x.pkl")
        assert caught.value.path == str(tmp_path / "x.pkl")


# -- the interpreter ------------------------------------------------------------------------------


def shape(value: Any, seen: tuple[int, ...] = ()) -> Any:
    """A value with its loops cut: in place of itself stands how far up it is."""
    if id(value) in seen:
        return f"up {len(seen) - seen.index(id(value))}"
    if isinstance(value, (list, tuple)):
        return type(value), [shape(item, (*seen, id(value))) for item in value]
    return value


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_values_that_contain_themselves_or_come_again(protocol: int) -> None:
    for length in (1, 2, 3, 4, 9):  # the pickler then uses POP and POP_MARK
        loop: list[Any] = [0]
        value = tuple([loop] * length)
        loop.append(value)
        found = load(pickle.dumps(value, protocol), HERE)
        assert shape(found) == shape(value)
        assert found[0][1] is found
    lists = [[i] for i in range(300)]  # a number of one byte does not reach the last
    found = load(pickle.dumps(lists * 2, protocol), HERE)
    assert found == lists * 2
    assert all(first is again for first, again in zip(found[:300], found[300:], strict=True))


def test_opcodes_by_hand() -> None:
    for raw, value in (
        *((code, 1) for code in (b"K\x01K\x020.", b"K\x01(0.", b"K\x01(K\x02K\x031.")),
        (b"\x8e" + (3).to_bytes(8, "little") + b"abc.", b"abc"),
        *((b"Va\\u00fcb\n.", "aüb"), (b"F0.5\n.", 0.5), (b"L7L\n.", 7), (b"I01\n.", True)),
        (b"]p0\n0(h\x00j\x00\x00\x00\x00g0\nt.", ([], [], [])),
    ):
        assert pickle.loads(raw) == value  # noqa: S301
        found = load(raw, HERE)
        assert (type(found), found) == (type(value), value)
    for number in (np.float32(0.1), np.float64(0.1), np.int16(-3), np.bool_(True)):
        for protocol in PROTOCOLS:
            found = load(pickle.dumps(number, protocol), HERE)
            assert (type(found), found) == (type(number.item()), number.item())
    raw = ARRAY + b"(K\x01(K\x02K\x02t" + INT8 + b"I01\nC\x04\x00\x01\x02\x03tb."
    assert load(raw, HERE).array.tolist() == [[0, 2], [1, 3]]  # in Fortran's order


def test_broken_opcodes_have_an_error_each() -> None:
    for raw, message in (
        *((b"Vabc", "line without an end"), (b"V\\u12\n.", "text that cannot be read")),
        *((b"c\xff\nx\n.", "not ASCII"), (b"F1.5.2\n.", "malformed number")),
        *((code, "empty stack or memory") for code in (b"K\x01h\x01.", b"K\x01j\x01\0\0\0.")),
        *((b"K\x01q\x02.", "without gaps"), (b"K\x01g-1\n.", "with digits")),
        (b"1.", "empty stack"),
        (b"cposix\nsystem\n(S'echo > ran'\ntR.", r"posix\.system"),
        (b"c_codecs\nencode\n(X\x02\x00\x00\x00\xc4\x81X\x06\x00\x00\x00latin1tR.", "Latin-1"),
    ):
        with pytest.raises(FormatError, match=message) as caught:
            load(raw, HERE)
        assert "may run code" in str(caught.value.remedy)
    cut = (b"G\0\0", b"K\x01h", b"K\x01j\0", b"B\x05\0\0\0ab", b"C", b"J\x01\0")
    for raw in cut:
        with pytest.raises(TruncatedError, match="ends within a value") as caught:
            load(raw, HERE)
        assert caught.value.offset is not None
        assert caught.value.offset <= len(raw)


# -- arrays and numbers ---------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(st.data(), st.integers(0, pickle.HIGHEST_PROTOCOL), st.booleans())
def test_arrays_of_numpy_come_back(data: st.DataObject, protocol: int, fortran: bool) -> None:
    dtype = data.draw(st.sampled_from(["i1", "<i4", ">i4", "<i8", "u1", "<f4", ">f8", "?"]))
    made = data.draw(arrays.arrays(dtype, arrays.array_shapes(max_dims=3, max_side=4)))
    given = np.asfortranarray(made) if fortran else made
    found = load(pickle.dumps(given, protocol), HERE)
    assert isinstance(found, Array)
    assert (found.array.dtype, found.array.shape) == (made.dtype, made.shape)
    assert found.array.tobytes() == made.tobytes()
    assert not found.array.flags.writeable


def test_states_that_numpy_never_writes_are_refused() -> None:
    form = (1, (2,), DType("u1"), False, b"ab")
    array = Array()
    for at, value, message in (
        *((0, 2, "five items"), (1, [2], "shape"), (1, (1 << 40,), "shape"), (2, "u1", "type")),
        *((3, None, "order"), (3, "F", "order"), (4, b"abc", "fill"), (4, "ab", "fill")),
    ):
        with pytest.raises(ValueError, match=message):
            array.set_state((*form[:at], value, *form[at + 1 :]))
    with pytest.raises(ValueError, match="five items"):
        array.set_state(list(form))
    assert array.array.size == 0
    array.set_state(form)
    assert array.array.tolist() == [97, 98]
    for flags in (("no",), (False, 1.0), (False, True, True)):
        with pytest.raises(ValueError, match="flags"):
            DType("i4", *flags)
    assert DType("i4", False, True).dtype == np.dtype("i4")
    scalar, double = ALLOWED["numpy.core.multiarray", "scalar"].make, DType("<f8")
    numbers = [("<f8", b"\0" * 8), (double, "\0" * 8), *((double, b"\0" * n) for n in (0, 7, 16))]
    for dtype, data in numbers:
        with pytest.raises(ValueError, match="number"):
            scalar(dtype, data)
    encode = ALLOWED["_codecs", "encode"].make
    assert encode("aü", "latin1") == b"a\xfc"
    for text, encoding in (("ā", "latin1"), (b"a", "latin1"), ("a", "utf-8")):
        with pytest.raises(ValueError, match="Latin-1"):
            encode(text, encoding)

"""NASLib's pickle: what it holds is read; what could run is refused before it is looked up."""

from __future__ import annotations

import builtins
import copyreg
import io
import os
import pickle
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from naslib_ecnas import network
from naslib_ecnas.data import nasbench_pickle
from naslib_ecnas.data.assemble import Source
from naslib_ecnas.data.convert import read, sniff
from naslib_ecnas.data.nasbench_pickle import Array, read_nasbench_pickle
from naslib_ecnas.data.table import Columns
from naslib_ecnas.errors import FormatError, TruncatedError, UnknownTableError
from naslib_ecnas.space import Space

FIELDS = [
    f"{when}_{what}"
    for when in ("halfway", "final")
    for what in ("training_time", "train_accuracy", "validation_accuracy", "test_accuracy")
]
Content = dict[str, tuple[dict[str, Any], dict[int, list[dict[str, Any]]]]]


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


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_protocol_is_read(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps(content(), protocol))
    columns = read_nasbench_pickle(path, check_hashes=True)
    check(columns, content())
    origin = columns.provenance["test_accuracy"]
    assert (origin.kind, origin.device, origin.repeats) == ("measured", "TPU v2", 3)
    if protocol >= 2:
        assert sniff(path) == "nasbench-pickle"
        check(read(path, name="other"), content())


def test_numpy_s_older_spelling_is_read(tmp_path: Path) -> None:
    raw = pickle.dumps(content(), 3)
    old = raw.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
    assert old.count(b"numpy.core") == 1
    (tmp_path / "x.pkl").write_bytes(old)
    check(read_nasbench_pickle(tmp_path / "x.pkl"), content())


def test_numbers_of_numpy_are_read(tmp_path: Path) -> None:
    made = content()
    for _, computed in made.values():
        for training in computed[108]:
            training["final_test_accuracy"] = np.float64(training["final_test_accuracy"])
    for protocol in (2, 4, 5):
        (tmp_path / "x.pkl").write_bytes(pickle.dumps(made, protocol))
        check(read_nasbench_pickle(tmp_path / "x.pkl"), made)


# -- malicious pickles --------------------------------------------------------------------------


class Reduced:
    """An object that is pickled as a call."""

    def __init__(self, function: Any, *arguments: Any, state: Any = None) -> None:
        self.how = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self) -> Any:
        return self.how


@pytest.fixture
def trapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A place for a pickle, in a folder where whatever it runs would leave a file `ran`."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path / "x.pkl"
    assert [path.name for path in tmp_path.iterdir()] == ["x.pkl"]


def nested_getattr() -> Any:
    """builtins.getattr(os, "system"), the way around a list of forbidden names."""
    return Reduced(builtins.getattr, Reduced(__import__, "os"), "system")


MALICIOUS: dict[str, Callable[[], Any]] = {
    "os.system": lambda: Reduced(os.system, "echo > ran"),
    "eval": lambda: Reduced(eval, "open('ran', 'w')"),
    "exec": lambda: Reduced(exec, "open('ran', 'w')"),
    "nested getattr": nested_getattr,
    "import": lambda: Reduced(__import__, "os"),
    "open": lambda: Reduced(open, "ran", "w"),
    "numpy.load": lambda: Reduced(np.load, "x.npy", None, True),
    "numpy's other functions": lambda: Reduced(np.ones, (1 << 40,)),
    "ndarray itself": lambda: Reduced(np.ndarray, (1 << 40,)),
    "a harmless class": lambda: OrderedDict(a=1),
    "a set": lambda: {1, 2},
    "a class": lambda: Path,
    "an array of objects": lambda: np.array([Reduced(os.system, "echo > ran"), None], dtype=object),
    "an array of nothing but objects": lambda: np.array([None], dtype=object),
    "an array of texts": lambda: np.array(["a"]),
    "an array of records": lambda: np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
    "an array of dates": lambda: np.array(["2020-01-01"], dtype="M8[D]"),
    "a type of objects": lambda: np.dtype(object),
    "a complex number": lambda: 1j,
    "an instance with state": lambda: Reduced(os.system, "echo > ran", state={"a": 1}),
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("make", MALICIOUS.values(), ids=MALICIOUS)
def test_anything_else_is_refused(trapped: Path, make: Callable[[], Any], protocol: int) -> None:
    trapped.write_bytes(pickle.dumps({"a" * 32: ({}, {108: [make()]})}, protocol))
    with pytest.raises(FormatError, match="the pickle") as caught:
        read_nasbench_pickle(trapped)
    assert caught.value.path == str(trapped)
    assert caught.value.offset is not None


def test_the_refused_name_is_told(trapped: Path) -> None:
    trapped.write_bytes(b"cposix\nsystem\n(S'echo > ran'\ntR.")
    with pytest.raises(FormatError, match=r"posix\.system"):
        read_nasbench_pickle(trapped)


def test_persistent_ids_are_refused(tmp_path: Path) -> None:
    class Pickler(pickle.Pickler):
        def persistent_id(self, obj: Any) -> Any:
            return "key" if obj == "a" else None

    for protocol in (0, 4):
        file = io.BytesIO()
        Pickler(file, protocol).dump({"b": "a"})
        (tmp_path / "x.pkl").write_bytes(file.getvalue())
        with pytest.raises(FormatError, match="PERSID"):
            read_nasbench_pickle(tmp_path / "x.pkl")


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

CRAFTED = {
    "nothing": b"",
    "no stop": b"\x80\x04K\x01",
    "protocol 9": b"\x80\x09K\x01.",
    "stop of an empty stack": b".",
    "two objects": b"K\x01K\x02.",
    "an open mark": b"(K\x01.",
    "pop of nothing": b"0.",
    "mark of nothing": b"t.",
    "memory that is empty": b"h\x05.",
    "memory with a gap of gigabytes": b"K\x01r\xff\xff\xff\xff.",
    "memory numbered with a word": b"K\x01pxyz\n.",
    "bytes of 2**60": b"\x8e" + (1 << 60).to_bytes(8, "little") + b"abc.",
    "text of 2**60": b"\x8d" + (1 << 60).to_bytes(8, "little") + b"abc.",
    "frame of 2**60": b"\x80\x04\x95" + (1 << 60).to_bytes(8, "little") + b".",
    "number of 2**31 bytes": b"\x8b\xff\xff\xff\x7f.",
    "number of 200 digits and letters": b"I" + b"9" * 200 + b"x\n.",
    "endless line": b"I" + b"9" * 100_000,
    "text that is not UTF-8": b"\x8c\x01\xff.",
    "duplicate": b"K\x012.",
    "a call of a number": b"K\x01)R.",
    "a call with no tuple": b"cnumpy\ndtype\nK\x01R.",
    "state of a name": b"cnumpy\ndtype\n}b.",
    "state of a dictionary": b"}}b.",
    "a new object of a name": b"cnumpy\nndarray\n)\x81.",
    "an instance": b"(ios\nsystem\n.",
    "name on the stack that is a number": b"K\x01K\x02\x93.",
    "key that is a list": b"}]K\x01s.",
    "key that is an endless tuple": b"})" + b"\x85" * 5000 + b"K\x01s.",
    "key that is a huge number": b"}\x8a\x09" + b"\xff" * 8 + b"\x7fK\x01s.",
    "items that do not pair": b"}(K\x01u.",
    "items for a list": b"](K\x01K\x02u.",
    "an appended number": b"K\x01K\x02a.",
    "below a mark": b"]K\x01(a.",
    "array of 2**40 items": ARRAY + b"(K\x01(" + HUGE + b"t" + INT8 + END,
    "array of 70 dimensions": ARRAY + b"(K\x01(" + b"K\x01" * 70 + b"t" + INT8 + END,
    "array with a negative side": ARRAY + b"(K\x01(J\xff\xff\xff\xfft" + INT8 + END,
    "array without its bytes": ARRAY + b"(K\x01(K\x02t" + INT8 + END,
    "array of another class": ARRAY.replace(b"ndarray", b"dtype") + b".",
    "array from a list": ARRAY + b"(K\x01(K\x01t" + INT8 + b"I00\n](K\x01etb.",
    "type with a state of nothing": b"cnumpy\ndtype\n(X\x02\x00\x00\x00i1tR)b.",
    "type named by a number": b"cnumpy\ndtype\n(K\x01tR.",
    "number without its bytes": b"cnumpy._core.multiarray\nscalar\n(" + INT8 + b"C\x00tR.",
    "encoding by name": b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x05\x00\x00\x00rot13tR.",
}  # fmt: skip


@pytest.mark.parametrize("raw", CRAFTED.values(), ids=CRAFTED)
def test_crafted_bytes_are_refused(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "x.pkl"
    path.write_bytes(raw)
    with pytest.raises(FormatError) as caught:
        read_nasbench_pickle(path)
    assert caught.value.path == str(path)
    assert len(str(caught.value)) < 1000


def test_a_sound_array_made_by_hand() -> None:
    raw = ARRAY + b"(K\x01(K\x02K\x02t" + INT8 + b"I01\nC\x04\x00\x01\x02\x03tb."
    found = nasbench_pickle.load(raw, Source("x"))
    assert isinstance(found, Array)
    assert found.array.tolist() == [[0, 2], [1, 3]]
    here = raw if np.__version__ >= "2" else raw.replace(b"numpy._core", b"numpy.core")
    np.testing.assert_array_equal(found.array, pickle.loads(here))  # noqa: S301


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
    assert nasbench_pickle.load(pickle.dumps(value, protocol), Source("x")) == value


def test_values_that_contain_themselves_are_read() -> None:
    loop: list[Any] = [1]
    loop.append(loop)
    found = nasbench_pickle.load(pickle.dumps(loop), Source("x"))
    assert found[1] is found


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_damaged_pickles(tmp_path: Path, data: st.DataObject) -> None:
    raw = bytearray(pickle.dumps(content(n=2, repeats=1), data.draw(st.sampled_from([2, 4, 5]))))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(raw) - 1))
        if data.draw(st.booleans()):
            raw[place] = data.draw(st.integers(0, 255))
        else:
            del raw[place : place + data.draw(st.integers(1, 9))]
            raw = raw or bytearray(b"\x80")
    path = tmp_path / "x.pkl"
    path.write_bytes(raw)
    try:
        read_nasbench_pickle(path)
    except FormatError as error:
        if error.path != str(path):
            raise


@pytest.mark.parametrize("cut", [1, 2, 50, 1000])
def test_cut_pickles(tmp_path: Path, cut: int) -> None:
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(content())[:-cut])
    with pytest.raises(TruncatedError):
        read_nasbench_pickle(tmp_path / "x.pkl")


# -- sound pickles of other content ---------------------------------------------------------------


def _edited(edit: Callable[[dict[str, Any], dict[int, Any]], Any]) -> Any:
    made = content(n=3)
    edit(*made[sorted(made)[1]])
    return made


def _set(target: Any, key: Any, value: Any) -> None:
    target[key] = value


ODD: dict[str, Any] = {
    "a list": [],
    "no cell": {},
    "keys of numbers": {1: ({}, {})},
    "one dictionary": {"a" * 32: ({},)},
    "two lists": {"a" * 32: ([], [])},
    "no matrix": _edited(lambda fixed, _: fixed.pop("module_adjacency")),
    "a matrix of twos": _edited(
        lambda fixed, _: _set(fixed, "module_adjacency", np.full((2, 2), 2))
    ),
    "a matrix of fractions": _edited(
        lambda fixed, _: _set(fixed, "module_adjacency", np.zeros((2, 2)))
    ),
    "a flat matrix": _edited(
        lambda fixed, _: _set(fixed, "module_adjacency", np.zeros(4, dtype=np.int8))
    ),
    "a matrix without edges": _edited(
        lambda fixed, _: _set(fixed, "module_adjacency", np.zeros((3, 3), dtype=np.int8))
    ),
    "other operations": _edited(lambda fixed, _: _set(fixed, "module_operations", ["a"])),
    "operations of numbers": _edited(lambda fixed, _: _set(fixed, "module_operations", [1])),
    "wrong parameters": _edited(lambda fixed, _: _set(fixed, "trainable_parameters", 5)),
    "huge parameters": _edited(lambda fixed, _: _set(fixed, "trainable_parameters", 1 << 200)),
    "budgets of texts": _edited(lambda _, computed: _set(computed, "108", [])),
    "budget 0": _edited(lambda _, computed: _set(computed, 0, [])),
    "trainings of numbers": _edited(lambda _, computed: _set(computed, 108, [1])),
    "an unknown field": _edited(lambda _, computed: _set(computed[108][0], "loss", 1.0)),
    "a text for a number": _edited(
        lambda _, computed: _set(computed[108][0], "final_test_accuracy", "1")
    ),
    "an accuracy of 2": _edited(
        lambda _, computed: _set(computed[108][0], "final_test_accuracy", 2.0)
    ),
    "a number over any float": _edited(
        lambda _, computed: _set(computed[108][0], "final_training_time", 1 << 255 * 8 // 8)
    ),
}


@pytest.mark.parametrize("made", ODD.values(), ids=ODD)
def test_other_content_is_refused(tmp_path: Path, made: Any) -> None:
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(made))
    with pytest.raises(FormatError) as caught:
        read_nasbench_pickle(tmp_path / "x.pkl")
    assert caught.value.path == str(tmp_path / "x.pkl")


def test_a_wrong_hash_is_refused(tmp_path: Path) -> None:
    made = content(n=2)
    first, second = made
    made[first], made[second] = made[second], made[first]
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(made))
    with pytest.raises(FormatError, match="not that of its cell"):
        read_nasbench_pickle(tmp_path / "x.pkl")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UnknownTableError):
        read_nasbench_pickle(tmp_path / "none.pkl")

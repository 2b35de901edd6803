"""Pickles: whatever could run is refused, in a process whose memory and time are limited."""

from __future__ import annotations

import builtins
import copyreg
import io
import os
import pickle
import re
import select
import subprocess
import sys
import time
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from foreign import FIELDS, Content, content
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from naslib_ecnas.data import unpickle
from naslib_ecnas.data.convert import read, sniff
from naslib_ecnas.data.table import Columns
from naslib_ecnas.data.unpickle import load, read_nasbench_pickle, unpickled
from naslib_ecnas.errors import FormatError, TruncatedError
from naslib_ecnas.space import Space

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
linux = pytest.mark.skipif(not os.path.exists("/proc/self"), reason="limits of Linux")


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
    assert [path.name for path in tmp_path.iterdir()] in ([], ["x.pkl"])


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


def test_anything_but_plain_values_and_arrays_is_refused(trapped: Path) -> None:
    for made in MALICIOUS:
        for protocol in PROTOCOLS:
            raw = pickle.dumps({"a" * 32: ({}, {108: [made]})}, protocol)
            assert load(io.BytesIO(raw), "nasbench").refused
    trapped.write_bytes(pickle.dumps(CALL))
    with pytest.raises(FormatError, match=r"system, which is refused.*may run code") as caught:
        unpickled(trapped, "nasbench")
    assert caught.value.path == str(trapped)


@pytest.mark.parametrize("code", [200, 1 << 20])
def test_extension_codes_are_refused_even_when_registered(trapped: Path, code: int) -> None:
    copyreg.add_extension(os.system.__module__, "system", code)
    try:
        trapped.write_bytes(pickle.dumps(Reduced(os.system, "echo > ran"), 2))
        with pytest.raises(FormatError, match="extension"):
            unpickled(trapped, "nasbench")
    finally:
        copyreg.remove_extension(os.system.__module__, "system", code)


ARRAY = b"cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tC\x01btR"
INT8 = b"cnumpy\ndtype\n(X\x02\x00\x00\x00i1I00\nI01\ntR"
INT8 += b"(K\x03X\x01\x00\x00\x00|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
END = b"I00\nC\x01\x00tb."
HUGE = b"\x8a\x06\x00\x00\x00\x00\x00\x01"
LONG = (1 << 60).to_bytes(8, "little")
NEST = b")\x94" + b"".join(b"h%c\x86\x94" % k for k in range(60))  # printing it would never end

CRAFTED = [
    # Missing ends, another protocol, more or less than one object, an empty stack.
    *(b"", b"\x80\x04K\x01", b"\x80\x09K\x01.", b".", b"(K\x01.", b"0.", b"t.", b"]K\x01(a."),
    # Memory that is empty or numbered with a word; lengths of 2**60 and 2**31, long lines.
    *(b"h\x05.", b"K\x01pxyz\n.", b"\x8b\xff\xff\xff\x7f.", b"I" + b"9" * 100_000),
    *(code + LONG + b"abc." for code in (b"\x8e", b"\x8d", b"\x80\x04\x95")),
    b"\x8c\x01\xff.",  # not UTF-8
    # Persistent ids, calls of no function or without a tuple, instances, names of numbers.
    *(b"Pkey\n.", b"\x8c\x03keyQ.", b"K\x01)R.", b"cnumpy\ndtype\nK\x01R.", b"K\x01K\x02\x93."),
    *(b"cnumpy\nndarray\n)\x81.", b"(ios\nsystem\n.", b"cnumpy\ndtype\n}b.", b"}}b."),
    # Keys that are a list, items that do not fit, a buffer outside of the pickle.
    *(b"}]K\x01s.", b"}(K\x01u.", b"](K\x01K\x02u.", b"K\x01K\x02a.", b"\x97."),
    # Arrays of 2**40 items, a negative side, without their bytes, of another class, from a list.
    *(
        ARRAY + b"(K\x01(" + shape + b"t" + INT8 + END
        for shape in (HUGE, b"K\x01" * 70 + b"K\x02", b"J\xff\xff\xff\xff", b"K\x02")
    ),
    ARRAY.replace(b"ndarray", b"dtype") + b".",
    ARRAY + b"(K\x01(K\x01t" + INT8 + b"I00\n](K\x01etb.",
    *(b"cnumpy\ndtype\n(X\x02\x00\x00\x00i1tR)b.", b"cnumpy\ndtype\n(K\x01tR."),
    b"cnumpy._core.multiarray\nscalar\n(" + INT8 + b"C\x00tR.",
    b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x05\x00\x00\x00rot13tR.",
    # A nest of references in the place of labels, a name, arguments, a state, the whole.
    *(b"\x80\x04" + before + NEST + after for before, after in (
        *((b"}\x8c\x06labels", b"s."), (b"}\x8c\x04data", b"s."), (b"\x8c\x05numpy", b"\x93.")),
        *((b")", b"R."), (b")", b"b."), (b"", b".")),
    )),
]  # fmt: skip


def test_crafted_bytes_are_refused() -> None:
    for raw in CRAFTED:
        for kind in ("nasbench", "cifar10"):
            content = load(io.BytesIO(raw), kind)
            assert content.refused, raw
            assert len(content.refused) <= 300
            assert content == unpickle.Content(refused=content.refused, truncated=content.truncated)


@linux
@pytest.mark.parametrize(
    "raw",
    [
        b"\x80\x04" + b"}\x94" * (8 << 20) + b".",  # objects of 64 bytes for two
        b"K\x01r\xff\xff\xff\xff.",  # memory numbered with a gap of gigabytes
        b"\x80\x04]\x94" + b"(h\x00h\x00l" * 40 + b".",
    ],
    ids=["objects", "gap", "lists"],
)
def test_a_pickle_that_takes_all_memory_is_an_error(
    raw: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpickle, "_MEMORY", 200 << 20)
    (tmp_path / "x.pkl").write_bytes(raw)
    with pytest.raises(FormatError, match=r"MemoryError|cannot be read within|must hold"):
        unpickled(tmp_path / "x.pkl", "nasbench")


@linux
def test_a_pickle_that_computes_for_years_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpickle, "_SECONDS", 1)
    # The hash of the nest, as a key, takes 2**60 steps.
    (tmp_path / "x.pkl").write_bytes(b"\x80\x04}" + NEST + b"K\x01s.")
    with pytest.raises(FormatError, match="1 s of computing time"):
        unpickled(tmp_path / "x.pkl", "nasbench")


@linux
@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs a newer kernel")
def test_the_process_ends_with_its_caller(tmp_path: Path) -> None:
    (tmp_path / "x.pkl").write_bytes(b"\x80\x04}" + NEST + b"K\x01s.")
    start = "import sys; from naslib_ecnas.data.unpickle import unpickled; unpickled(*sys.argv[1:])"
    command = [sys.executable, "-c", start, str(tmp_path / "x.pkl"), "nasbench"]
    with subprocess.Popen(command) as caller:
        children = Path(f"/proc/{caller.pid}/task/{caller.pid}/children")
        while not (found := children.read_text().split()):
            time.sleep(0.01)
        reader = os.pidfd_open(int(found[0]))
        limits = Path(f"/proc/{found[0]}/limits")
        while not re.search(r"^Max cpu time +120 ", limits.read_text(), re.MULTILINE):
            time.sleep(0.01)  # it is not at work yet
        caller.kill()
        assert select.select([reader], [], [], 60)[0]  # before its own limit
        os.close(reader)


def test_cut_pickles_are_truncated(tmp_path: Path) -> None:
    raw = pickle.dumps({"a" * 32: ({}, {})})
    for cut in (1, 2, 20, len(raw)):
        (tmp_path / "x.pkl").write_bytes(raw[: len(raw) - cut])
        with pytest.raises(TruncatedError):
            unpickled(tmp_path / "x.pkl", "nasbench")


def test_names_of_numpy_1_and_2_and_numbers_are_read() -> None:
    for number in (np.float32(0.1), np.float64(0.1), np.int16(-3), np.bool_(True)):
        for protocol in PROTOCOLS:
            raw = pickle.dumps(number, protocol)
            for spelling in (raw, raw.replace(b"._core.", b".core.")):
                if protocol < 4:  # protocol 4 has lengths of frames
                    found = unpickle._Unpickler(io.BytesIO(spelling), encoding="latin1").load()
                    assert (type(found), found) == (type(number.item()), number.item())


@settings(max_examples=100, deadline=None)
@given(st.data(), st.integers(0, pickle.HIGHEST_PROTOCOL), st.booleans())
def test_arrays_of_numpy_come_back(data: st.DataObject, protocol: int, fortran: bool) -> None:
    dtype = data.draw(st.sampled_from(["i1", "<i4", ">i4", "<i8", "u1", "<f4", ">f8", "?"]))
    made = data.draw(arrays.arrays(dtype, arrays.array_shapes(max_dims=3, max_side=4)))
    given = np.asfortranarray(made) if fortran else made
    raw = pickle.dumps(given, protocol)
    found = unpickle._Unpickler(io.BytesIO(raw), encoding="latin1").load()
    assert found.shape == made.shape
    numbers = np.array(found.numbers).reshape(found.shape, order="F" if found.fortran else "C")
    np.testing.assert_array_equal(numbers, made)
    if made.ndim == 2 and made.dtype.kind != "f" and made.shape[0] == made.shape[1]:
        binary = (given != 0).astype(given.dtype)
        raw = pickle.dumps(np.asfortranarray(binary) if fortran else binary, protocol)
        matrix = unpickle._Unpickler(io.BytesIO(raw), encoding="latin1").load()
        assert matrix.bits() == "".join(str(int(entry)) for entry in binary.ravel())


# -- NASLib's file --------------------------------------------------------------------------------


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
        columns = read_nasbench_pickle(path)
        check(columns, content())
        origin = columns.provenance["test_accuracy"]
        assert (origin.kind, origin.device, origin.repeats) == ("measured", "TPU v2", 3)
        if protocol >= 2:
            assert sniff(path) == "nasbench-pickle"
            check(read(path), content())


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

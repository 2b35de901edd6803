"""Damage of every kind to every kind of file: a typed error, or an answer, in bounded memory."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_files import JSON_KINDS, KINDS, header_of, with_header

from naslib_ecnas.adapters import naslib_patches
from naslib_ecnas.data import tfrecord
from naslib_ecnas.errors import EcnasError, FormatError

Good = Callable[[str], tuple[Path, Path]]

often = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
HUGE = (b"\xff" * 8, b"\xff\xff\xff\x7f", b"\x00\x00\x00\x00\x00\x00\x00\x40", b"9" * 400)
#: Values that stand where a reader expects something else.
HOSTILE: tuple[Any, ...] = (
    *(None, True, -1, 0, 2**31, 2**63, 2**64, -(2**63) - 1, 10**400, 0.5, -0.0, 1e308),
    *(float("nan"), float("inf"), "", "x", "../../x", "\x00", "é" * 300, "1e999"),
    *([], {}, [[]], [None], {"": None}, [1, 2, 3], ["a"] * 100, {"row": {}}),
)


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> Good:
    """The folder of a good file of a kind, and the file; each is made once."""
    made: dict[str, tuple[Path, Path]] = {}

    def give(kind: str) -> tuple[Path, Path]:
        if kind not in made:
            if kind in ("record", "cifar10-binary", "cifar10-pickle"):
                pytest.importorskip("torch")
            if kind == "parquet":
                pytest.importorskip("pyarrow")
            if kind == "naslib-config" and naslib_patches.naslib_home() is None:
                pytest.skip("NASLib is not here")
            folder = tmp_path_factory.mktemp(kind)
            made[kind] = folder, KINDS[kind].make(folder)
        return made[kind]

    return give


#: Kinds whose errors are of the format, and name the file or the folder that is read.
LOCATED = ("csv", "parquet", "ecnas-tfrecord", "nasbench-tfrecord", "naslib-pickle", "results-tree")


def attempt(kind: str, folder: Path, path: Path, raw: bytes) -> str:
    """Read the file with other bytes; whatever is not typed comes through."""
    before = path.read_bytes()
    path.write_bytes(raw)
    try:
        KINDS[kind].read(path)
    except EcnasError as error:
        message = str(error)
        assert len(message) < 3000, message[:200]
        assert "\n" not in message.strip(), message[:500]
        if kind in LOCATED:
            at = error.path if isinstance(error, FormatError) else None
            located = at in (str(path), str(folder / "tree"))
            assert located, message
        return "refused"
    finally:
        path.write_bytes(before)
    return "read"


@pytest.mark.parametrize("kind", KINDS)
def test_a_good_file_is_read(kind: str, good: Good) -> None:
    """So that what follows is about the damage."""
    folder, path = good(kind)
    assert attempt(kind, folder, path, path.read_bytes()) == "read"


def mutated(raw: bytes, data: st.DataObject) -> bytes:
    """Bytes with one to three faults."""
    out = bytearray(raw)
    for _ in range(data.draw(st.integers(1, 3))):
        if not out:
            break
        place = data.draw(st.integers(0, len(out) - 1))
        how = data.draw(st.sampled_from(["flip", "cut", "insert", "delete", "splice", "huge"]))
        if how == "flip":
            out[place] ^= 1 << data.draw(st.integers(0, 7))
        elif how == "cut":
            del out[place:]
        elif how == "insert":
            out[place:place] = data.draw(st.binary(min_size=1, max_size=20))
        elif how == "delete":
            del out[place : place + data.draw(st.integers(1, 40))]
        elif how == "splice":
            start = data.draw(st.integers(0, len(out) - 1))
            out[place:place] = out[start : start + 50]
        else:
            value = data.draw(st.sampled_from(HUGE))
            out[place : place + len(value)] = value
    return bytes(out)


@pytest.mark.parametrize("kind", KINDS)
@often
@given(data=st.data())
def test_damaged_bytes(kind: str, good: Good, data: st.DataObject) -> None:
    folder, path = good(kind)
    many = kind in LOCATED and kind != "naslib-pickle"  # which starts a process each time
    for _ in range(4 if many else 1):
        attempt(kind, folder, path, mutated(path.read_bytes(), data))


OTHER_CONTENT = (
    *(b"", b"\x00", b"null", b"[]", b"{}", b"[" * 100_000, b'{"a":' * 50_000, b"\xff\xfe" * 10),
    *(b"\x80\x05.", b"PK\x05\x06" + bytes(18), b"PAR1PAR1", b"1" * 10_000),
    b"a,b\n" + b"x," * 1000,
)


@pytest.mark.parametrize("kind", KINDS)
def test_other_content(kind: str, good: Good) -> None:
    folder, path = good(kind)
    for raw in OTHER_CONTENT:
        attempt(kind, folder, path, raw)


def specials(path: Path) -> Iterator[str]:
    """Makes things at a path that are no file of a sane size, one after the other."""
    makers: dict[str, Callable[[], object]] = {
        "pipe": lambda: os.mkfifo(path),
        "folder": path.mkdir,
        "endless": lambda: path.symlink_to("/dev/zero"),
        "empty device": lambda: path.symlink_to("/dev/null"),
        "terabyte": lambda: (path.touch(), os.truncate(path, 1 << 40)),
    }
    for name, make in makers.items():
        make()
        try:
            yield name
        finally:
            path.rmdir() if path.is_dir() else path.unlink()


@pytest.mark.skipif(os.name != "posix", reason="pipes and devices")
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_is_not_opened(kind: str, good: Good, tmp_path: Path) -> None:
    path = good(kind)[1]
    kept = path.rename(tmp_path / "kept")
    try:
        for special in specials(path):
            # What others may still be writing counts as not there.
            expected = kind not in ("claim", "record")
            with pytest.raises(EcnasError) if expected else suppress(EcnasError):
                KINDS[kind].read(path)
                assert not expected, special
    finally:
        kept.rename(path)


def places(value: Any, before: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths to all values within JSON."""
    found = [before]
    if isinstance(value, dict):
        items: Any = value.items()
    else:
        items = enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found += places(inner, (*before, key))
    return found


def put(value: Any, place: tuple[Any, ...], new: Any, how: str) -> Any:
    """JSON with one value changed, left out, or with a neighbour that nobody knows."""
    if not place:
        return new
    if len(place) > 1:
        value[place[0]] = put(value[place[0]], place[1:], new, how)
    elif how == "drop":
        del value[place[0]]
    elif how == "add" and isinstance(value, dict):
        value["nobody-knows"] = new
    elif how == "add":
        value.append(new)
    else:
        value[place[0]] = new
    return value


def changed(value: Any, data: st.DataObject, *, whole: bool = False) -> Any:
    """JSON with one hostile value somewhere, or in place of all."""
    place = data.draw(st.sampled_from(places(value)[0 if whole else 1 :]))
    how = data.draw(st.sampled_from(["change", "change", "drop", "add"]))
    return put(value, place, data.draw(st.sampled_from(HOSTILE)), how)


@pytest.mark.parametrize("kind", JSON_KINDS)
@settings(often, max_examples=50)
@given(data=st.data())
def test_other_values_in_sound_json(kind: str, good: Good, data: st.DataObject) -> None:
    folder, path = good(kind)
    raw = path.read_bytes()
    texts = raw.splitlines() if path.suffix in (".jsonl", ".claim") else [raw]
    at = data.draw(st.integers(0, len(texts) - 1))
    texts[at] = json.dumps(changed(json.loads(texts[at]), data, whole=True)).encode()
    attempt(kind, folder, path, b"\n".join(texts))


@settings(often, max_examples=100)
@given(data=st.data())
def test_other_values_in_a_record_with_its_digest(good: Good, data: st.DataObject) -> None:
    """What a record says, spoilt beneath a digest that is right."""
    from naslib_ecnas.campaign.measurement import _digest

    folder, path = good("record")
    content = changed(json.loads(path.read_bytes())["content"], data)
    whole = {"content": content, "sha256": _digest(content)}
    attempt("record", folder, path, json.dumps(whole).encode())


@pytest.mark.parametrize("kind", ["table", "weights", "calibration"])
@settings(often, max_examples=60)
@given(data=st.data())
def test_other_values_in_a_header_with_its_checksum(
    kind: str, good: Good, data: st.DataObject
) -> None:
    """What a file of arrays says of them and of itself, spoilt beneath a checksum that is right."""
    folder, path = good(kind)
    raw = path.read_bytes()
    attempt(kind, folder, path, with_header(raw, changed(header_of(raw), data)))


@pytest.mark.parametrize("how", ["missing", "not finite", "huge", "of another shape", "header"])
def test_other_arrays_in_a_sound_archive(good: Good, how: str) -> None:
    """A user's calibration, each of its arrays and of its header's values spoilt in turn."""
    from naslib_ecnas.surrogate.models import Weights

    folder, path = good("calibration")
    held = Weights.load(path)
    arrays, other = held.arrays, folder / "other.safetensors"
    changes: dict[str, Callable[[Any], dict[str, Any]]] = {
        "missing": lambda name: {k: v for k, v in arrays.items() if k != name},
        "not finite": lambda name: arrays | {name: np.full(arrays[name].shape, np.nan)},
        "huge": lambda name: arrays | {name: np.full(arrays[name].shape, 1e300)},
        "of another shape": lambda name: arrays | {name: np.tile(arrays[name].ravel(), 2)},
        "header": lambda name: held.header | {name: []},
    }
    for name in held.header if how == "header" else [n for n in arrays if n.startswith("titan")]:
        made = changes[how](name)
        Weights(*((made, arrays) if how == "header" else (held.header, made))).save(other)
        attempt("calibration", folder, path, other.read_bytes())


# -- bounded memory ---------------------------------------------------------------------------

#: Reads files in a process that may take half a gigabyte more than its imports did.
_BOUNDED = """
import json, resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import made_files
import pyarrow.parquet
from naslib_ecnas.errors import EcnasError
for kind in {kind for kind, _ in json.loads(sys.argv[2]).values()}:
    try:
        made_files.KINDS[kind].read(Path("/nowhere/a/b/c/d/e/f"))
    except EcnasError:
        pass
pages = int(Path("/proc/self/statm").read_text().split()[0])
limit = pages * resource.getpagesize() + (512 << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for name, (kind, path) in json.loads(sys.argv[2]).items():
    try:
        made_files.KINDS[kind].read(Path(path))
        how = "read"
    except EcnasError as error:
        how = "refused"
    except MemoryError:
        how = "out of memory"
    except Exception as error:
        how = f"{type(error).__name__}: {error}"
    print(json.dumps([name, how]))
"""


def hostile_files(good: Good, to: Path) -> dict[str, list[str]]:
    """Small files that claim to be large, by what they claim."""
    files: dict[str, list[str]] = {}

    def add(name: str, kind: str, raw: bytes, suffix: str = "") -> None:
        path = to / f"{name}{suffix or good(kind)[1].suffix}"
        path.write_bytes(raw)
        files[name] = [kind, str(path)]

    for kind in ("table", "weights"):
        raw = good(kind)[1].read_bytes()
        header = header_of(raw)
        about, name = header["about"], list(header)[-1]
        many = {**header[name], "shape": [1, 1, 2**40], "data_offsets": [0, 2**43]}
        add(f"array-of-{kind}", kind, with_header(raw, {**header, name: many}))
        sums = {**about, "blocks": {**about["blocks"], name: "AAAA" * 1_000_000}}
        add(f"checksums-of-{kind}", kind, with_header(raw, {**header, "about": sums}))
        for length in (2**63, 2**24 - 8):
            add(f"header-{length}-of-{kind}", kind, length.to_bytes(8, "little") + raw[8:])
        for key, value in {"repeats": 2**60, "budgets": [1] * 100_000}.items():
            if kind == "table":
                other = {**about, "metadata": {**about["metadata"], key: value}}
                add(f"{key}-of-table", kind, with_header(raw, {**header, "about": other}))

    frame = (2**62).to_bytes(8, "little")
    sound = frame + tfrecord._masked(google_crc32c.value(frame)).to_bytes(4, "little")
    add("length-of-a-frame", "ecnas-tfrecord", sound + bytes(100))
    add("length-of-a-frame-2", "nasbench-tfrecord", sound + bytes(100))

    opcodes = {
        "bytes": b"\x8e" + (2**40).to_bytes(8, "little"),
        "text": b"\x8d" + (2**40).to_bytes(8, "little"),
        "frame": b"\x95" + (2**60).to_bytes(8, "little"),
        "long": b"\x8b" + (2**31 - 1).to_bytes(4, "little"),
        "memo": b"Nr" + (2**32 - 1).to_bytes(4, "little"),
        "bytearray": b"\x96" + (2**40).to_bytes(8, "little"),
        # A list that is doubled forty times.
        "doubling": b"]q\x00" + b"(h\x00h\x00l" * 40,
        "nested": b"(" * 1_000_000,
        "dictionaries": b"(" + b"}" * 12_000_000 + b"l",
        "array": b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I"
        + str(2**40).encode()
        + b"\ntC\x01btR",
    }
    for name, code in opcodes.items():
        add(f"pickled-{name}", "naslib-pickle", b"\x80\x04" + code + b".")
        if importlib.util.find_spec("torch"):
            add(f"cifar-{name}", "cifar10-pickle", b"\x80\x04" + code + b".", "-batch")

    add("digits-of-a-number", "run-file", b'{"rows": [' + b"9" * 5_000_000 + b"]}")
    add("cells-of-a-line", "csv", b"cell,epochs\n" + b"," * 3_000_000)
    add("quoted-field", "csv", b'cell,epochs\n"' + b"x" * 3_000_000)
    parquet = bytearray(good("parquet")[1].read_bytes())
    parquet[-8:-4] = (2**31 - 1).to_bytes(4, "little")
    add("footer-of-parquet", "parquet", bytes(parquet))
    return files


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of Linux")
def test_small_files_that_claim_to_be_large(good: Good, tmp_path: Path) -> None:
    files = hostile_files(good, tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", _BOUNDED, str(Path(__file__).parent), json.dumps(files)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == len(files), done.stderr[-2000:]
    assert {name: how for name, how in found if how != "refused"} == {}

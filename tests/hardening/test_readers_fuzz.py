"""Damage of every kind to every kind of file: a typed error, or an answer, in bounded memory."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_files import JSON_KINDS, KINDS

from naslib_ecnas.adapters import naslib_patches
from naslib_ecnas.errors import EcnasError, FormatError

_HERE = Path(__file__).parent


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
def good(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Path]]:
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
LOCATED = ("csv", "parquet", "naslib-pickle", "results-tree")


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
def test_a_good_file_is_read(kind: str, good: Callable[[str], tuple[Path, Path]]) -> None:
    """So that what follows is about the damage."""
    folder, path = good(kind)
    wanted = "refused" if kind == "plain-array" else "read"
    assert attempt(kind, folder, path, path.read_bytes()) == wanted


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
def test_damaged_bytes(
    kind: str, good: Callable[[str], tuple[Path, Path]], data: st.DataObject
) -> None:
    folder, path = good(kind)
    many = kind in LOCATED and kind != "naslib-pickle"  # which starts a process each time
    for _ in range(4 if many else 1):
        attempt(kind, folder, path, mutated(path.read_bytes(), data))


def test_a_long_name_in_an_archive_does_not_flood_the_message(
    good: Callable[[str], tuple[Path, Path]],
) -> None:
    """zipfile's error has the name that an entry's own header gives: 64 kB of the file."""
    folder, path = good("calibration")
    raw = bytearray(path.read_bytes())
    raw[26:28] = b"\xff\xff"  # the length of the first entry's name
    assert attempt("calibration", folder, path, bytes(raw)) == "refused"


OTHER_CONTENT = (
    *(b"", b"\x00", b"null", b"[]", b"{}", b"[" * 100_000, b'{"a":' * 50_000, b"\xff\xfe" * 10),
    *(b"\x80\x05.", b"PK\x05\x06" + bytes(18), b"PAR1PAR1", b"1" * 10_000),
    b"a,b\n" + b"x," * 1000,
)


@pytest.mark.parametrize("kind", KINDS)
def test_other_content(kind: str, good: Callable[[str], tuple[Path, Path]]) -> None:
    folder, path = good(kind)
    for raw in OTHER_CONTENT:
        attempt(kind, folder, path, raw)


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


@pytest.mark.parametrize("kind", JSON_KINDS)
@settings(often, max_examples=50)
@given(data=st.data())
def test_other_values_in_sound_json(
    kind: str, good: Callable[[str], tuple[Path, Path]], data: st.DataObject
) -> None:
    folder, path = good(kind)
    lines = (
        [json.loads(line) for line in path.read_bytes().splitlines()]
        if (path.suffix in (".jsonl", ".log"))
        else [json.loads(path.read_bytes())]
    )
    at = data.draw(st.integers(0, len(lines) - 1))
    place = data.draw(st.sampled_from(places(lines[at])))
    how = data.draw(st.sampled_from(["change", "change", "drop", "add"]))
    lines[at] = put(lines[at], place, data.draw(st.sampled_from(HOSTILE)), how)
    attempt(kind, folder, path, "\n".join(map(json.dumps, lines)).encode())


@settings(often, max_examples=100)
@given(data=st.data())
def test_other_values_in_a_record_with_its_digest(
    good: Callable[[str], tuple[Path, Path]], data: st.DataObject
) -> None:
    """What a record says, spoilt beneath a digest that is right."""
    from naslib_ecnas.campaign.measurement import _digest

    folder, path = good("record")
    whole = json.loads(path.read_bytes())
    place = data.draw(st.sampled_from(places(whole["content"])[1:]))
    how = data.draw(st.sampled_from(["change", "change", "drop", "add"]))
    whole["content"] = put(whole["content"], place, data.draw(st.sampled_from(HOSTILE)), how)
    whole["sha256"] = _digest(whole["content"])
    attempt("record", folder, path, json.dumps(whole).encode())


@settings(often, max_examples=100)
@given(data=st.data())
def test_other_values_in_a_table_header_with_its_checksum(
    good: Callable[[str], tuple[Path, Path]], data: st.DataObject
) -> None:
    folder, path = good("table")
    raw = path.read_bytes()
    header = header_of(raw)
    place = data.draw(st.sampled_from(places(header)[1:]))
    how = data.draw(st.sampled_from(["change", "change", "drop", "add"]))
    header = put(header, place, data.draw(st.sampled_from(HOSTILE)), how)
    if isinstance(header.get("about"), dict):
        attempt("table", folder, path, with_header(raw, header))


def header_of(raw: bytes) -> dict[str, Any]:
    """The arrays of a table file, and what is said about them."""
    arrays = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    about = json.loads(arrays.pop("__metadata__")["ecnas"])
    return {"about": about, **arrays}


def with_header(raw: bytes, header: dict[str, Any]) -> bytes:
    """A table file with another header, its checksum as it has to be."""
    about = json.dumps({**header["about"], "crc32": "0" * 8}, separators=(",", ":"))
    arrays = {name: spec for name, spec in header.items() if name != "about"}
    body = json.dumps({"__metadata__": {"ecnas": about}, **arrays}, separators=(",", ":")).encode()
    check = f"{zlib.crc32(body):08x}".encode()
    body = body.replace(b"0" * 8, check, 1)
    start = 8 + int.from_bytes(raw[:8], "little")
    return len(body).to_bytes(8, "little") + body + raw[start:]


@settings(often, max_examples=40)
@given(data=st.data())
def test_other_arrays_in_a_sound_archive(
    good: Callable[[str], tuple[Path, Path]], data: st.DataObject
) -> None:
    """A user's calibration whose arrays are missing, of other shapes, or not finite."""
    from naslib_ecnas.surrogate.models import Weights

    folder, path = good("calibration")
    held = Weights.load(path)
    arrays, header = dict(held.arrays), dict(held.header)
    name = data.draw(st.sampled_from(sorted(n for n in arrays if n.startswith("titan"))))
    old = arrays[name]
    how = data.draw(st.sampled_from(["drop", "nan", "shape", "huge", "header"]))
    if how == "drop":
        del arrays[name]
    elif how in ("nan", "huge"):
        arrays[name] = np.full(old.shape, np.nan if how == "nan" else 1e300)
    elif how == "shape":
        arrays[name] = np.concatenate([old.ravel(), old.ravel()])
    else:
        key = data.draw(st.sampled_from(sorted(header)))
        header[key] = data.draw(st.sampled_from([None, "", 7, [], {}, "../../x"]))
    other = folder / "other.safetensors"
    Weights(header, arrays).save(other)
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


def hostile_files(good: Callable[[str], tuple[Path, Path]], to: Path) -> dict[str, list[str]]:
    """Small files that claim to be large, by what they claim."""
    files: dict[str, list[str]] = {}

    def add(name: str, kind: str, raw: bytes, suffix: str = "") -> None:
        path = to / f"{name}{suffix or good(kind)[1].suffix}"
        path.write_bytes(raw)
        files[name] = [kind, str(path)]

    table = good("table")[1].read_bytes()
    header = header_of(table)
    metadata = header["about"]["metadata"]
    for name, change in {"repeats": 2**60, "budgets": [1] * 100_000}.items():
        about = {**header["about"], "metadata": {**metadata, name: change}}
        add(f"{name}-of-a-table", "table", with_header(table, {**header, "about": about}))
    column = {**header["energy_kwh"], "shape": [1, 1, 2**40], "data_offsets": [0, 2**43]}
    add("cells-of-a-table", "table", with_header(table, {**header, "energy_kwh": column}))
    for length in (2**63, 2**24 - 8):
        add(f"header-of-{length}", "table", length.to_bytes(8, "little") + table[8:])

    frame = (2**62).to_bytes(8, "little")
    sound = frame + masked_crc(frame).to_bytes(4, "little")
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
        "array": b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I"
        + str(2**40).encode()
        + b"\ntC\x01btR",
    }
    for name, code in opcodes.items():
        add(f"pickled-{name}", "naslib-pickle", b"\x80\x04" + code + b".")
        if importlib.util.find_spec("torch"):
            add(f"cifar-{name}", "cifar10-pickle", b"\x80\x04" + code + b".", "-batch")

    add("array-in-an-archive", "weights", claiming_archive())
    add("zip-bomb", "weights", zip_bomb())
    add("digits-of-a-number", "run-file", b'{"rows": [' + b"9" * 5_000_000 + b"]}")
    add("cells-of-a-line", "csv", b"cell,epochs\n" + b"," * 3_000_000)
    add("quoted-field", "csv", b'cell,epochs\n"' + b"x" * 3_000_000)
    parquet = bytearray(good("parquet")[1].read_bytes())
    parquet[-8:-4] = (2**31 - 1).to_bytes(4, "little")
    add("footer-of-parquet", "parquet", bytes(parquet))
    return files


def masked_crc(data: bytes) -> int:
    """The checksum of a TFRecord's length."""
    import google_crc32c

    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def claiming_archive() -> bytes:
    """An archive with an array whose own header claims eight terabytes."""
    packed, array = io.BytesIO(), io.BytesIO()
    header = {"descr": "<f8", "fortran_order": False, "shape": (2**40,)}
    np.lib.format.write_array_header_1_0(array, header)
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("header.npy", array.getvalue() + bytes(64))
    return packed.getvalue()


def zip_bomb() -> bytes:
    """Three megabytes that unpack to 640 of zeros."""
    packed = io.BytesIO()
    with (
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("header.npy", "w", force_zip64=True) as file,
    ):
        zeros = bytes(1 << 24)
        for _ in range(40):
            file.write(zeros)
    return packed.getvalue()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of Linux")
def test_small_files_that_claim_to_be_large(
    good: Callable[[str], tuple[Path, Path]], tmp_path: Path
) -> None:
    files = hostile_files(good, tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", _BOUNDED, str(_HERE), json.dumps(files)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == len(files), done.stderr[-2000:]
    assert {name: how for name, how in found if how != "refused"} == {}

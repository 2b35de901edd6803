"""Folders that cannot be written and disks that are full: said, and nothing half-written."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="rights and mounts of Linux"
)

#: Runs a command line without root's right to write where modes say no. Another user could not
#: even import the package where it is installed below root's home.
_MAIN = """
import ctypes, json, os, sys
words, place = json.loads(sys.argv[1])
os.chdir(place)
libc = ctypes.CDLL(None, use_errno=True)
header = (ctypes.c_uint32 * 2)(0x20080522, 0)
if libc.capset(header, (ctypes.c_uint32 * 6)()) != 0:
    sys.exit(99)
from naslib_ecnas.cli import main
sys.exit(main(words))
"""


def command(words: list[str], place: Path, *, cache: Path) -> tuple[int, str]:
    """Exit code and errors of a command line in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", _MAIN, json.dumps([words, str(place)])],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "ECNAS_CACHE": str(cache), "OMP_NUM_THREADS": "1"},
    )
    if done.returncode == 99:
        pytest.skip("rights cannot be given up here")
    return done.returncode, done.stderr


#: Commands that write; `OUT` stands for a place that cannot be written.
CASES = {
    "search": "search --table TABLE --evaluations 12 --no-plot --out OUT/found",
    "search-overwrite": "search --table TABLE --evaluations 30 --no-plot --overwrite "
    "--out OUT/earlier",
    "compare": "compare --methods random --tables TABLE --seeds 1 --evaluations 12 --no-plot "
    "--out OUT/compared",
    "report": "report --table TABLE --out OUT/page.html",
    "figure": "figure 1 --table TABLE --out OUT/figures",
    "table": "table 2 --table TABLE --methods random --seeds 1 --evaluations 12 --out OUT/tables",
    "export-csv": "data export TABLE OUT/x.csv",
    "export-ecnas": "data export TABLE OUT/x.ecnas",
    "export-tfrecord": "data export TABLE OUT/x.tfrecord",
    "calibrate": "surrogate calibrate --measurements TABLE --out OUT/gpu.safetensors",
    "plan": "measure plan --space 4v --limit 2 --data synthetic --out OUT/planned",
}


def state(folder: Path) -> dict[str, bytes]:
    """Every file below a folder and its content; a lock says nothing."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".lock"
    }


def refused(code: int, errors: str) -> None:
    lines = [line for line in errors.splitlines() if "error: " in line]
    assert code == 1, errors
    assert "Traceback" not in errors
    assert len(lines) == 1, errors
    assert "got " in lines[0] or ": " in lines[0]
    assert "choose another" in lines[0] or "--out" in lines[0] or "ECNAS_CACHE" in lines[0], errors


@pytest.fixture(scope="module")
def earlier(small_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a search that was made when there was room."""
    folder = tmp_path_factory.mktemp("made")
    words = f"search --table {small_file} --evaluations 12 --no-plot --out {folder}/earlier"
    code, errors = command(words.split(), folder, cache=folder / "cache")
    assert code == 0, errors
    shutil.rmtree(folder / "cache", ignore_errors=True)
    return folder / "earlier"


@pytest.fixture
def read_only(earlier: Path, tmp_path: Path) -> Iterator[Path]:
    """A folder that can be read and not written."""
    folder = tmp_path / "read-only"
    shutil.copytree(earlier, folder / "earlier")
    folders = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    for path in folders:
        path.chmod(0o555)
    yield folder
    for path in folders:
        path.chmod(0o755)


def fill(path: Path) -> None:
    """Take all the room there is."""
    with path.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        file.writelines([bytes(1 << 20)] * 2)


@pytest.fixture
def full(tmp_path: Path, earlier: Path) -> Iterator[Path]:
    """A disk of its own with an earlier search and next to no room."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        shutil.copytree(earlier, place / "earlier")
        fill(place / "ballast")
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


#: The fixtures of folders that take nothing more, and what the error says of them.
CLOSED = {"read_only": "the folder cannot be written", "full": "the disk is full"}


@pytest.mark.parametrize("kind", CLOSED)
@pytest.mark.parametrize(
    "name", [*(pytest.param(n, marks=pytest.mark.slow) for n in CASES), "cache"]
)
def test_a_folder_that_takes_nothing_more(
    name: str, kind: str, request: pytest.FixtureRequest, small_file: Path, tmp_path: Path
) -> None:
    folder = request.getfixturevalue(kind)
    before = state(folder)
    if name == "cache":
        code, errors = command(["data", "convert", "4v"], tmp_path, cache=folder / "cache")
    else:
        words = CASES[name].replace("OUT", str(folder)).replace("TABLE", str(small_file)).split()
        code, errors = command(words, tmp_path, cache=tmp_path / "cache")
    refused(code, errors)
    assert CLOSED[kind] in errors
    assert state(folder) == before


@pytest.mark.slow
def test_a_campaign_on_a_full_disk(full: Path, tmp_path: Path) -> None:
    """The plan was written while there was room; no record takes its name half-written."""
    pytest.importorskip("torch")
    (full / "ballast").unlink()
    plan = f"measure plan --space 4v --limit 2 --data synthetic --out {full}/campaign"
    assert command(plan.split(), tmp_path, cache=tmp_path / "cache")[0] == 0
    fill(full / "ballast")
    run = (
        f"measure run {full}/campaign --device cpu --meter none --baseline 0 --steps 1 "
        "--batch-size 2 --evaluate-images 2 --limit 1"
    )
    code, errors = command(run.split(), tmp_path, cache=tmp_path / "cache")
    refused(code, errors)
    records = full / "campaign" / "records"
    assert not records.exists() or list(records.iterdir()) == []
    (full / "ballast").unlink()
    code, errors = command(run.split(), tmp_path, cache=tmp_path / "cache")
    assert code == 0, errors
    assert len(list(records.glob("*.json"))) == 1

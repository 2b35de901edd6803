"""Odd environments: a typed error of one line, or work without what is missing."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from naslib_ecnas import cli

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="names and streams of POSIX")

LONG = "x" * 5000
NOT_UTF_8 = os.fsdecode(b"n\xff")
#: What a mirror cannot be.
MIRRORS = (
    *("http://[::1", "http://", "ftp://x/y", "file:", "file://elsewhere/x", "~no-such-user/x"),
    *(LONG, "missing", NOT_UTF_8, f"http://127.0.0.1/{NOT_UTF_8}", "http://ü/", "FILE", "FILE/x"),
)
#: Where a cache cannot be: FILE is a file, LINK a link to nothing, LOOP one to itself.
CACHES = (
    *("~no-such-user/c", "~no-such-user", "FILE", "FILE/x", "LINK", "LOOP"),
    *("/dev/null", "/proc/x", LONG, "x/" * 4000),
)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FILE").touch()
    (tmp_path / "LINK").symlink_to("nothing/here")
    (tmp_path / "LOOP").symlink_to("LOOP")
    return tmp_path


def ran(capsys: pytest.CaptureFixture[str], line: str) -> tuple[int, str, str]:
    code = cli.main(line.split())
    return code, *capsys.readouterr()


@pytest.mark.parametrize("mirror", MIRRORS)
def test_a_mirror_that_cannot_be(
    mirror: str, place: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ECNAS_MIRROR", mirror)
    code, out, err = ran(capsys, "data fetch 4v-4epochs")
    assert (code in (1, 2), out) == (True, "")
    assert re.fullmatch(r"ecnas: error: [^\n]+\n", err), err
    assert json.loads(ran(capsys, "data list --json")[1])["tables"]


@pytest.mark.parametrize("cache", CACHES)
def test_modelled_tables_need_no_cache(
    cache: str, place: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ECNAS_CACHE", cache)
    assert ran(capsys, "query 4v 0")[0] == 0
    code, out, err = ran(capsys, "data export 4v 4v.csv")
    assert (code, out) == (0, "4v.csv\n")
    assert err.count("4v: kept in memory, since") == 1, err
    for line in ("info --json", "data list --json"):
        code, out, err = ran(capsys, line)
        assert (code, err) == (0, "")
        assert json.loads(out)
    code, _, err = ran(capsys, "data convert 4v")
    assert code == 1
    assert re.search(r"^ecnas: error: [^\n]+\n\Z", err, re.MULTILINE), err


def test_names_that_are_not_utf_8(warm: Path, place: Path, capsys: Any) -> None:
    for line in (f"data export 4v {NOT_UTF_8}.csv", f"data convert {NOT_UTF_8}.csv"):
        code, out, err = ran(capsys, line)
        assert (code, out.isprintable()) == (0, False), err  # its line break alone
    code, out, _ = ran(capsys, f"query {NOT_UTF_8}.csv 0 --json")
    assert (code, json.loads(out)["metrics"]["energy_kwh"] > 0) == (0, True)
    line = f"search --table {NOT_UTF_8}.csv --method random --evaluations 9 --no-plot --json"
    code, out, _ = ran(capsys, f"{line} --out {NOT_UTF_8}")
    assert (code, len(json.loads(out)["front"]) > 0) == (0, True)


def test_no_home_at_all(place: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(uid: int) -> None:
        raise KeyError(uid)

    for name in ("ECNAS_CACHE", "HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown)
    code, out, _ = ran(capsys, "info")
    assert (code, "there is no such home folder" in out) == (0, True)
    assert ran(capsys, "query 4v 0")[0] == 0
    assert list(place.glob("~*")) == []


#: Odd processes by name: a command, variables, its standard output, exit codes, and what it says.
PROCESSES: dict[str, tuple[str, dict[str, str], str, tuple[int, ...], str]] = {
    "ascii": ("query 4v 0", {"PYTHONIOENCODING": "ascii"}, "", (0,), ""),
    "no stdout": ("query 4v 0", {}, ">&-", (0,), ""),
    "no streams": ("query 4v 0", {}, ">&- 2>&- <&-", (0,), ""),
    "full": ("info", {}, "> /dev/full", (1,), "cannot be written (No space left on device)"),
    "backend": ("figure 1 --table 4v", {"MPLBACKEND": "evil"}, "", (1,), "'evil' is not a valid"),
    "epoch": ("figure 1 --table 4v", {"SOURCE_DATE_EPOCH": "x"}, "", (2,), "cannot draw a pdf"),
    "columns": ("data list", {"COLUMNS": "wide"}, "", (0,), ""),
    "locale": ("data export 4v ü.csv", {"LC_ALL": "C", "PYTHONUTF8": "0"}, "", (0,), ".csv"),
    "umask": ("data export 4v x.csv", {}, "", (0,), ""),
    "warnings": ("query 4v 0", {"PYTHONWARNINGS": "error"}, "", (0,), ""),
    "optimised": ("query 4v 0", {"PYTHONOPTIMIZE": "2"}, "", (0,), ""),
    "threads": ("query 4v 0", {"OMP_NUM_THREADS": "many"}, "", (0,), ""),
}


@pytest.mark.parametrize(
    "name",
    [name if name == "full" else pytest.param(name, marks=pytest.mark.slow) for name in PROCESSES],
)
def test_odd_processes(name: str, place: Path) -> None:
    line, variables, streams, codes, says = PROCESSES[name]
    if "figure" in line:
        pytest.importorskip("matplotlib")
    umask = "umask 777; " if name == "umask" else ""
    script = f"{umask}exec {sys.executable} -m naslib_ecnas {line} {streams}"
    ended = subprocess.run(
        ["sh", "-c", script], env={**os.environ, **variables}, capture_output=True, check=False
    )
    text = (ended.stdout + ended.stderr).decode(errors="backslashreplace")
    assert ended.returncode in codes, text
    assert says in text
    assert "Traceback" not in text
    assert "Exception ignored" not in text

"""`ecnas data`, as a user types it and as a program reads it."""

from __future__ import annotations

import functools
import hashlib
import http.server
import json
import re
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from naslib_ecnas.cli import main
from naslib_ecnas.data.convert import tables_folder
from naslib_ecnas.data.table import Columns, Table, write_table
from naslib_ecnas.provenance import Provenance


@pytest.fixture
def mirror(reference: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ECNAS_MIRROR", str(reference / "official"))
    return reference / "official"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own.ecnas"
    values = np.arange(12.0).reshape(3, 2, 2)
    values[2, 1, 1] = np.nan
    write_table(
        path,
        Columns(
            name="own",
            vertices=4,
            rows=np.array([0, 5, 17], dtype=np.int32),
            budgets=(4, 12),
            repeats=2,
            values={"energy_kwh": values},
            provenance={"energy_kwh": Provenance("synthetic", note="made up")},
        ),
    )
    return path


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "list"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^7v-surrogate +423,624 +4 12 36 108 +modelled +614 MB +-", out, re.M)
    assert re.search(r"^nasbench101 .* none +~1.95 GB", out, re.M)
    assert "nasbench_only108.pkl" in out
    assert "\x1b" not in out


def test_list_for_a_program(capsys: pytest.CaptureFixture[str], mirror: Path) -> None:
    assert main(["data", "list", "--json"]) == 0
    listing = json.loads(capsys.readouterr().out)
    assert len(listing["tables"]) == 12
    files = {file["name"]: file for file in listing["files"]}
    assert len(files) == 13
    five = files["energy_5V9E_4epochs.tfrecord"]
    assert five["path"] == str(mirror / five["name"])
    assert files["energy_7V9E_surrogate.tfrecord"]["path"] is None
    assert five["citation"]["key"] == "bakhtiarifard2024ecnas"


def test_list_says_what_is_here(capsys: pytest.CaptureFixture[str], mirror: Path) -> None:
    assert main(["data", "convert", "4v-titanxp"]) == 0
    path = Path(capsys.readouterr().out.strip())
    assert Table.open(path).name == "4v-titanxp"
    main(["data", "list"])
    out = capsys.readouterr().out
    assert re.search(r"^4v-titanxp .* table ", out, re.M)
    assert re.search(r"^4v-rtx3090 .* file ", out, re.M)
    assert re.search(r"^5v-linscale .* - ", out, re.M)


def test_fetch_uses_the_mirror_in_place(capsys: pytest.CaptureFixture[str], mirror: Path) -> None:
    assert main(["data", "fetch", "4v-titanxp", "energy_4V9E_rtx3060.tfrecord"]) == 0
    names = ["energy_4V9E_titanxp.tfrecord", "energy_4V9E_rtx3060.tfrecord"]
    assert capsys.readouterr().out.split() == [str(mirror / name) for name in names]


def test_fetch_over_http(
    capsys: pytest.CaptureFixture[str], reference: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = reference / "official"
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    monkeypatch.setattr(http.server.SimpleHTTPRequestHandler, "log_message", lambda *_: None)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("ECNAS_MIRROR", f"http://127.0.0.1:{server.server_port}")
    try:
        assert main(["data", "fetch", "4v-titanxp"]) == 0
        out, err = capsys.readouterr()
        name = "energy_4V9E_titanxp.tfrecord"
        assert Path(out.strip()).read_bytes() == (folder / name).read_bytes()
        assert f"fetching {name} (293 kB)" in err
        assert main(["data", "fetch", "7v-surrogate"]) == 1
        assert "404" in capsys.readouterr().err
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["data", "fetch", "4v-rtx6001"], 2, "did you mean 4v-rtx6000"),
        (["data", "fetch", "4v-titanxp", "nonsense"], 2, "ecnas data list"),
        (["data", "fetch", "nasbench_only108.pkl"], 1, "--unverified"),
        (["data", "verify", "7v-surrogate"], 1, "ecnas data fetch 7v-surrogate"),
        (["data", "verify", "no/such/file"], 2, "no such file"),
        (["data", "convert", "4v-titanxp", "--out", "x.csv"], 2, "ecnas data export"),
        (["data", "export", "4v-titanxp", "x.zip"], 2, ".parquet"),
    ],
)
def test_errors_are_one_line_and_a_code(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    said: str,
) -> None:
    monkeypatch.setattr(
        "naslib_ecnas.data.fetch.Transfer.run", lambda _: pytest.fail("used the network")
    )
    assert main(arguments) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("ecnas: error: ")
    assert err.count("\n") == 1
    assert said in err


def test_verify(capsys: pytest.CaptureFixture[str], own: Path, tmp_path: Path) -> None:
    assert main(["data", "verify", str(own)]) == 0
    assert capsys.readouterr().out.startswith("good  ")
    bad = tmp_path / "bad.ecnas"
    damaged = bytearray(own.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    bad.write_bytes(bytes(damaged))
    assert main(["data", "verify", str(bad), str(own)]) == 1
    out, err = capsys.readouterr()
    assert err.startswith("BAD   ")
    assert out.startswith("good  ")
    assert main(["data", "verify", str(bad), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["good"] is False


def test_verify_a_table_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "verify", "4v"]) == 0
    assert "4v.ecnas is whole, 91 cells" in capsys.readouterr().out
    path = tables_folder() / "4v.ecnas"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert main(["data", "verify", "4v"]) == 1
    assert "BAD" in capsys.readouterr().err
    assert main(["data", "convert", "4v", "--afresh"]) == 0
    assert main(["data", "verify", "4v"]) == 0


def test_verify_a_published_file(capsys: pytest.CaptureFixture[str], mirror: Path) -> None:
    path = mirror / "energy_4V9E_rtx3090.tfrecord"
    assert main(["data", "verify", str(path), "4v-rtx3090"]) == 0
    out = capsys.readouterr().out
    assert out.count("as published") == 2
    assert out.count(hashlib.sha256(path.read_bytes()).hexdigest()) == 2


def test_convert_and_export(capsys: pytest.CaptureFixture[str], own: Path, tmp_path: Path) -> None:
    csv, back = tmp_path / "own.csv", tmp_path / "back.ecnas"
    assert main(["data", "export", str(own), str(csv)]) == 0
    assert capsys.readouterr().out == f"{csv}\n"
    assert main(["data", "convert", str(csv), "--out", str(back)]) == 0
    assert capsys.readouterr().out == f"{back}\n"
    np.testing.assert_array_equal(
        Table.open(back).column("energy_kwh"), Table.open(own).column("energy_kwh")
    )


def test_a_bare_command_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["data"]):
        assert main(arguments) == 0
        assert "usage: ecnas" in capsys.readouterr().out


def test_on_a_terminal_there_is_colour_and_no_line_is_too_long(terminal: Any) -> None:
    text = terminal.shown([sys.executable, "-m", "naslib_ecnas", "data", "list"])
    assert "\x1b[" in text
    plain = terminal.plain(text)
    assert max(map(len, plain.splitlines())) <= 80
    assert "…" not in plain
    assert re.search(r"7v-surrogate +423,624 +4 12 36 108 +modelled", plain)

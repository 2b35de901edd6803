"""`ecnas data`, but `build`."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from naslib_ecnas.data.cache import tables_folder
from naslib_ecnas.data.table import Table


@pytest.fixture
def mirror(reference: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ECNAS_MIRROR", str(reference / "official"))
    return reference / "official"


def _damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_list(ecnas_: Any) -> None:
    out = ecnas_.out("data", "list")
    assert re.search(r"^7v-surrogate +423,624 +4 12 36 108 +modelled +614 MB +-", out, re.M)
    assert re.search(r"^nasbench101 .* none +~1.95 GB", out, re.M)
    assert "nasbench_only108.pkl" in out
    assert "\x1b" not in out


def test_list_of_what_is_there(ecnas_: Any, mirror: Path) -> None:
    listing = ecnas_.json("data", "list")
    assert len(listing["tables"]) == 15
    files = {file["name"]: file for file in listing["files"]}
    assert len(files) == 14
    five = files["energy_5V9E_4epochs.tfrecord"]
    assert five["path"] == str(mirror / five["name"])
    assert files["energy_7V9E_surrogate.tfrecord"]["path"] is None
    assert five["citation"]["key"] == "bakhtiarifard2024ecnas"
    path = Path(ecnas_.out("data", "convert", "4v-titanxp").strip())
    assert Table.open(path).name == "4v-titanxp"
    out = ecnas_.out("data", "list")
    for name, state in (("4v-titanxp", "table"), ("4v-rtx3090", "file"), ("5v-linscale", "-")):
        assert re.search(rf"^{name} .* {state} ", out, re.M), name


def test_fetch_uses_the_mirror_in_place(ecnas_: Any, mirror: Path) -> None:
    out = ecnas_.out("data", "fetch", "4v-titanxp", "energy_4V9E_rtx3060.tfrecord")
    names = ["energy_4V9E_titanxp.tfrecord", "energy_4V9E_rtx3060.tfrecord"]
    assert out.split() == [str(mirror / name) for name in names]


def test_errors_are_one_line_and_a_code(ecnas_: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "naslib_ecnas.data.fetch.Transfer.run", lambda _: pytest.fail("used the network")
    )
    for words, code, part in (
        ("fetch 4v-rtx6001", 2, "4v-rtx6000"),
        ("fetch 4v-titanxp nonsense", 2, "ecnas data list"),
        ("fetch nasbench_only108.pkl", 1, "--unverified"),
        ("verify 7v-surrogate", 1, "ecnas data fetch 7v-surrogate"),
        ("verify no/such/file", 2, "no such file"),
        ("export 4v-titanxp x.zip", 2, ".parquet"),
    ):
        assert part in ecnas_.refused("data", *words.split(), code=code), words


def test_verify(ecnas_: Any, own: Path, tmp_path: Path) -> None:
    assert ecnas_.out("data", "verify", own).startswith("good  ")
    bad = tmp_path / "bad.ecnas"
    bad.write_bytes(own.read_bytes())
    _damage(bad)
    ran = ecnas_("data", "verify", bad, own)
    assert ran.code == 1
    assert ran.err.startswith("BAD   ")
    assert ran.out.startswith("good  ")
    assert ecnas_.json("data", "verify", bad, code=1)["good"] is False


def test_verify_a_table_of_the_package(ecnas_: Any) -> None:
    assert "4v.ecnas is whole, 91 cells" in ecnas_.out("data", "verify", "4v")
    _damage(tables_folder() / "4v.ecnas")
    ran = ecnas_("data", "verify", "4v")
    assert ran.code == 1
    assert "BAD" in ran.err
    ecnas_.out("data", "convert", "4v", "--afresh")
    ecnas_.out("data", "verify", "4v")


def test_convert_and_export(ecnas_: Any, own: Path, tmp_path: Path) -> None:
    csv, back = tmp_path / "own.csv", tmp_path / "back.ecnas"
    assert ecnas_.out("data", "export", own, csv) == f"{csv}\n"
    made = ecnas_.out("data", "convert", csv).strip()
    assert ecnas_.out("data", "export", made, back) == f"{back}\n"
    again, first = (Table.open(path).column("energy_kwh") for path in (back, own))
    np.testing.assert_array_equal(again, first)


def test_on_a_terminal_there_is_colour_and_no_line_is_too_long(terminal: Any) -> None:
    text = terminal.shown([sys.executable, "-m", "naslib_ecnas", "data", "list"])
    assert "\x1b[" in text
    plain = terminal.plain(text)
    assert max(map(len, plain.splitlines())) <= 80
    assert "…" not in plain
    assert re.search(r"7v-surrogate +423,624 +4 12 36 108 +modelled", plain)

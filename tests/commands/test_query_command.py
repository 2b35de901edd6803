"""`ecnas query`, `ecnas info`, and what all commands have in common."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from naslib_ecnas import cli
from naslib_ecnas._version import __version__
from naslib_ecnas.cli import COMMANDS, main
from naslib_ecnas.console import bytes_text
from naslib_ecnas.data.table import Columns, write_table
from naslib_ecnas.errors import FetchError
from naslib_ecnas.metrics import METRICS
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.space import Space

ROW = 5


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own.ecnas"
    values = np.arange(1.0, 13.0).reshape(3, 2, 2)
    missing = np.full((3, 2, 2), np.nan)
    start = np.full((3, 2, 2), 1653746313.0)
    origin = Provenance("synthetic", source="made-up.bin", sha256="0" * 64, note="made up")
    columns = {"energy_kwh": values, "test_accuracy": missing, "started_unix_s": start}
    write_table(
        path,
        Columns(
            name="own",
            vertices=4,
            rows=np.array([0, ROW, 17], dtype=np.int32),
            budgets=(4, 12),
            repeats=2,
            values=columns,
            provenance=dict.fromkeys(columns, origin),
            attributes={"notes": "first; second", "citation": "Nobody: Nothing."},
        ),
    )
    return path


def test_query(capsys: pytest.CaptureFixture[str], own: Path) -> None:
    assert main(["query", str(own), str(ROW)]) == 0
    out = capsys.readouterr().out
    cell = Space(4).cell(ROW)
    assert "own: 12 epochs, mean of 2 trainings" in out
    assert str(cell) in out
    assert cell.nasbench_hash in out
    assert "from made-up.bin, SHA-256 " + "0" * 64 in out
    line = next(line for line in out.splitlines() if line.startswith("energy_kwh"))
    assert line.split() == ["energy_kwh", "7.5", "kWh", "synthetic", "[1]"]
    assert "test_accuracy" in out
    assert "missing" in out
    assert "[1] made up" in out
    assert "note: first\nnote: second\ncite: Nobody: Nothing.\n" in out
    assert "\x1b" not in out
    assert main(["query", str(own), str(ROW), "--repeat", "0"]) == 0
    out = capsys.readouterr().out
    assert "repeat 0 of 2" in out
    assert "2022-05-28 13:58:33" in out


@pytest.mark.parametrize("form", ["row", "text", "hash", "HASH"])
def test_a_cell_is_named_in_any_form(
    capsys: pytest.CaptureFixture[str], own: Path, form: str
) -> None:
    cell = Space(4).cell(ROW)
    name = {"row": str(ROW), "text": str(cell)}.get(form, cell.nasbench_hash)
    name = name.upper() if form == "HASH" else name
    arguments = ["query", str(own), name, "--epochs", "4", "--repeat", "1", "--json"]
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert err == ""
    assert (found["row"], found["epochs"], found["repeat"]) == (ROW, 4, 1)
    assert found["cell"] == str(cell)
    assert found["hash"] == cell.nasbench_hash
    assert found["metrics"]["energy_kwh"] == 6.0
    assert found["metrics"]["test_accuracy"] is None
    assert found["units"]["energy_kwh"] == METRICS["energy_kwh"].unit == "kWh"
    assert found["provenance"]["energy_kwh"]["kind"] == "synthetic"
    assert found["metrics"]["parameters"] == 2793866


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["6"], "own"),
        (["99999999"], "row"),
        (["-1"], "row"),
        (["0" * 32], "hash"),
        (["nonsense"], "expected"),
        (["011:input,output"], "cell"),
        ([str(ROW), "--epochs", "7"], "4, 12"),
        ([str(ROW), "--repeat", "9"], "repeat"),
    ],
)
def test_what_is_not_there(
    capsys: pytest.CaptureFixture[str], own: Path, arguments: list[str], said: str
) -> None:
    # -1 would be read as an option.
    cell = ["--", arguments[0]] if arguments[0].startswith("-") else [arguments[0]]
    assert main(["query", *arguments[1:], str(own), *cell]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("ecnas: error: ")
    assert said in err


def test_query_a_published_table(
    capsys: pytest.CaptureFixture[str], reference: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ECNAS_MIRROR", str(reference / "official"))
    assert main(["query", "5v-4epochs", "17", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["provenance"]["energy_kwh"]["pue"] == 1.59
    assert found["attributes"]["licence"] == "MIT"
    assert 0 < found["metrics"]["energy_kwh"] < 0.1


def test_info(capsys: pytest.CaptureFixture[str], own: Path) -> None:
    assert main(["info"]) == 0
    out = capsys.readouterr().out
    assert __version__ in out
    assert "no tables yet" in out
    assert main(["info", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["version"] == __version__
    assert found["cache"]["tables"] == []
    assert found["mirror"] is None
    assert (found["naslib"]["home"] is None) != (found["naslib"]["remedy"] is None)
    assert "naslib-ecnas[parquet]" in found["optional"]["pyarrow"]["install"]


def test_info_shows_the_tables_that_are_there(
    capsys: pytest.CaptureFixture[str], own: Path
) -> None:
    csv = own.with_suffix(".csv")
    main(["data", "export", str(own), str(csv)])
    main(["data", "convert", str(csv)])
    path = Path(capsys.readouterr().out.split()[-1])
    main(["info"])
    assert str(path) in capsys.readouterr().out


# -- the frame ----------------------------------------------------------------------------------


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "naslib_ecnas", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_help_names_every_command_and_is_fast() -> None:
    start = time.perf_counter()
    result = run("--help")
    assert time.perf_counter() - start < 2.0
    assert result.returncode == 0
    for name in COMMANDS:
        assert re.search(rf"\n    {name}\s", result.stdout)


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys; from naslib_ecnas.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'numpy', 'rich', 'torch', 'matplotlib', 'pyarrow'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def test_version() -> None:
    assert run("--version").stdout == f"ecnas {__version__}\n"


def test_usage_errors_exit_with_2() -> None:
    for arguments in (["nonsense"], ["query"], ["data", "fetch"]):
        result = run(*arguments)
        assert result.returncode == 2
        assert "usage: ecnas" in result.stderr


@pytest.mark.parametrize("place", [0, -1])
def test_debug_shows_where(place: int) -> None:
    arguments = ["query", "4v-nothing", "0"]
    arguments.insert(place if place == 0 else len(arguments), "--debug")
    result = run(*arguments)
    assert result.returncode == 2
    assert "Traceback" in result.stderr
    assert "ecnas: error: no such table" in result.stderr
    assert "Traceback" not in run("query", "4v-nothing", "0").stderr


def test_a_failure_that_is_no_misuse_exits_with_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> int:
        raise FetchError("no luck", remedy="try again")

    monkeypatch.setattr(cli, "_run", fail)
    assert main(["info"]) == 1
    assert capsys.readouterr().err == "ecnas: error: no luck; try again\n"


@pytest.mark.parametrize("debug", [(), ("--debug",)])
def test_an_interruption_exits_with_130(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, debug: tuple[str, ...]
) -> None:
    def interrupt(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_run", interrupt)
    assert main(["info", *debug]) == 130
    err = capsys.readouterr().err
    assert "run the same command again" in err
    assert ("Traceback" in err) == bool(debug)


@pytest.mark.parametrize("option", ["--epochs", "--seeds"])
def test_two_hyphens_are_no_value(capsys: pytest.CaptureFixture[str], option: str) -> None:
    with pytest.raises(SystemExit) as end:
        main(["search", f"{option}=--"])
    assert end.value.code == 2
    assert f"argument {option}: expected a value, got --" in capsys.readouterr().err


@pytest.mark.parametrize("debug", [(), ("--debug",)])
def test_what_no_command_foresaw_exits_with_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, debug: tuple[str, ...]
) -> None:
    def taken_away(*_: object) -> int:
        open("/no/such/file")  # noqa: SIM115
        return 0

    monkeypatch.setattr(cli, "_run", taken_away)
    assert main(["info", *debug]) == 1
    err = capsys.readouterr().err
    assert "ecnas: error: [Errno 2] No such file or directory: '/no/such/file'" in err
    assert ("Traceback" in err) == bool(debug)


@pytest.mark.parametrize("options", [(), ("-u",)])
def test_a_closed_pipe_is_quiet(options: tuple[str, ...]) -> None:
    """Buffered, the output fails when it is flushed; unbuffered, when it is printed."""
    read_end, write_end = os.pipe()
    os.close(read_end)  # nobody reads, from the start
    result = subprocess.run(
        [sys.executable, *options, "-m", "naslib_ecnas", "data", "list", "--json"],
        stdout=write_end,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
    )
    os.close(write_end)
    assert result.stderr == ""
    assert result.returncode == 141


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (999_700, "1 MB"),
        (2_136_916, "2.14 MB"),
        (613_992_864, "614 MB"),
        (1_950_000_000, "1.95 GB"),
        (None, "?"),
    ],
)
def test_bytes_for_reading(size: int | None, text: str) -> None:
    assert bytes_text(size) == text

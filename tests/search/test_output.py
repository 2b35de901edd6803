"""What a search writes: everything, by name, as valid JSON, whole or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from naslib_ecnas.analysis import costs_of, nondominated
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.cell import Cell
from naslib_ecnas.errors import ConfigError, StorageError
from naslib_ecnas.figures.drawing import save
from naslib_ecnas.files import to_json
from naslib_ecnas.search import RandomSearch, run
from naslib_ecnas.search.output import claimed, document, write

NAMES = ("energy_kwh", "validation_accuracy")
#: The table has 88 cells, and 120 evaluations are made.
SHIPPED = {"preset": "shipped"}


def parsed(text: str) -> Any:
    """The content of strict JSON, which has neither NaN nor Infinity."""
    return msgspec.json.decode(text)


def history(folder: Path) -> list[Any]:
    return [parsed(line) for line in (folder / "history.jsonl").read_text().splitlines()]


@pytest.fixture
def folder(toy: Benchmark, tmp_path: Path) -> Path:
    run(toy, "semoa", evaluations=120, seed=4, options=SHIPPED, out=tmp_path / "a" / "b")
    return tmp_path / "a" / "b"


def test_every_evaluation_is_in_the_history(folder: Path, toy: Benchmark) -> None:
    names = {path.name for path in folder.iterdir()}
    assert names == {"history.jsonl", "front.json", "spent.json", "config.json"}
    lines, total = history(folder), 0.0
    for i, line in enumerate(lines):
        assert (line["index"], line["row"], line["epochs"]) == (i, Cell(line["cell"]).row, 12)
        assert all(line[name] == toy.values(name, 12)[line["row"]] for name in NAMES)
        total += line["energy_kwh"]
        assert line["spent"]["evaluations"] == i + 1
        assert line["spent"]["epochs"] == 12 * (i + 1)
        assert line["spent"]["energy_kwh"] == pytest.approx(total)
    assert len(lines) == 120
    assert parsed((folder / "spent.json").read_text()) == lines[-1]["spent"]


def test_the_front_is_what_nothing_in_the_history_dominates(folder: Path) -> None:
    lines = history(folder)
    found = parsed((folder / "front.json").read_text())
    costs = costs_of([[line[name] for name in NAMES] for line in lines], NAMES)
    wanted = {lines[i]["cell"] for i in np.flatnonzero(nondominated(costs))}
    assert {p["cell"] for p in found["front"]} == wanted
    for place in (*found["front"], found["knee"], *found["extremes"].values()):
        line = lines[place["index"]]
        assert all(place[key] == line[key] for key in ("row", "cell", *NAMES))
        assert place["nasbench_hash"] == Cell(place["cell"]).nasbench_hash
        assert place["parameters"] > 0
        assert place in found["front"]
    assert found["extremes"]["energy_kwh"] == found["front"][0]
    assert found["extremes"]["validation_accuracy"] == found["front"][-1]
    assert 0 < found["hypervolume"] <= 1
    assert found["anytime"]["evaluations"][-1] == 120
    assert found["anytime"]["hypervolume"][-1] == found["hypervolume"]


def test_the_config_says_all_that_decides_a_run(folder: Path, toy: Benchmark) -> None:
    config = parsed((folder / "config.json").read_text())
    said: dict[str, Any] = {"table": "toy", "checksum": toy.table.checksum, "method": "semoa"}
    said |= {"seed": 4, "evaluations": 120, "epochs": 12, "objectives": [*NAMES], "paper": False}
    assert said.items() <= config.items()
    assert set(config["versions"]) == {"naslib-ecnas", "moocore", "numpy", "scipy", "python"}
    origin = config["provenance"]["energy_kwh"]
    assert (origin["kind"], origin["pue"]) == ("synthetic", 1.59)


def test_energy_is_there_whatever_the_objectives(toy: Benchmark) -> None:
    names = ("parameters", "validation_accuracy")
    result = run(toy, "random", objectives=names, evaluations=40, seed=0)
    whole = parsed(to_json(document(result)))
    for place in whole["front"]:
        assert place["energy_kwh"] == toy.values("energy_kwh")[place["row"]]
        assert isinstance(place["parameters"], int)


def test_other_places_than_new_or_empty_folders_are_refused(toy: Benchmark, folder: Path) -> None:
    before = (folder / "history.jsonl").read_bytes()
    for place, overwrite, error, says in (
        (folder, False, ConfigError, "--overwrite"),
        (folder / "front.json", True, ConfigError, "must be a folder"),
        (folder / "front.json" / "below", False, StorageError, "front.json"),
    ):
        with pytest.raises(error, match=says):
            run(toy, "random", evaluations=5, seed=0, out=place, overwrite=overwrite)
    assert (folder / "history.jsonl").read_bytes() == before
    assert toy.spent.evaluations == 120


def test_overwriting_replaces_our_files_and_no_others(toy: Benchmark, folder: Path) -> None:
    figure = pytest.importorskip("matplotlib.figure").Figure()
    foreign = [folder / "notes.txt", folder / ".config.json.original"]
    for path in foreign:
        path.write_text("mine")
    save(figure, folder / "front")
    again: dict[str, Any] = {"evaluations": 5, "seed": 0, "out": folder, "overwrite": True}
    run(toy, "random", **again)
    assert len(history(folder)) == 5
    assert [path.read_text() for path in foreign] == ["mine", "mine"]
    assert not (folder / "front.png").exists()
    # A file of another program under a name of ours, a pipe and a folder are left alone.
    ours = sorted(path.name for path in folder.iterdir() if path.suffix in (".json", ".jsonl"))
    for name in (*ours, "front.png", "front.pdf"):
        path = folder / name
        before = path.read_bytes() if path.exists() else None
        for make in (lambda p: p.write_text('{"method": "mine"}'), os.mkfifo, Path.mkdir):
            path.unlink(missing_ok=True)
            make(path)
            with pytest.raises(ConfigError, match=f"earlier search can be replaced.*{name}"):
                run(toy, "random", **again)
        path.rmdir()
        if before is not None:
            path.write_bytes(before)


def test_a_folder_is_for_one_search(toy: Benchmark, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with claimed(out, overwrite=True), pytest.raises(ConfigError, match="another process is at"):
        run(toy, "random", evaluations=5, seed=0, out=out, overwrite=True)
    assert not out.exists()  # nothing was written into it

    class Breaks(RandomSearch):
        def ask(self) -> Any:
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        run(toy, Breaks, evaluations=5, seed=0, out=out)
    assert not out.exists()


# A search that kills itself before its first file is complete, or when this has its name.
KILLED = """
import os, sys
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.data.table import Table
from naslib_ecnas.search import run

table, out, name = sys.argv[1:]
real = getattr(os, name)

def killing(*arguments):
    if name == "replace":
        real(*arguments)
    os.kill(os.getpid(), 9)

setattr(os, name, killing)
run(Benchmark(Table.open(table)), "random", evaluations=40, seed=1, out=out)
"""


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_what_a_killed_search_left_is_replaced(
    toy: Benchmark, toy_path: Path, tmp_path: Path, moment: str
) -> None:
    out, wanted = tmp_path / "out", tmp_path / "wanted"
    about: dict[str, Any] = {"evaluations": 40, "seed": 1}
    wanted.mkdir()  # an empty folder will do
    run(toy, "random", out=wanted, **about)
    whole = {path.name: path.read_bytes() for path in wanted.iterdir()}
    line = [sys.executable, "-c", KILLED, str(toy_path), str(out), moment]
    assert subprocess.run(line, check=False).returncode == -9
    left = {path.name: path.read_bytes() for path in out.iterdir()}
    named = {name: content for name, content in left.items() if not name.startswith(".")}
    assert ".lock" in left.keys() > named.keys()
    assert named.items() <= whole.items()
    assert len(named) == (moment == "replace")
    run(toy, "random", out=out, **about)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == whole


def test_notes_are_of_every_evaluation(toy: Benchmark, tmp_path: Path) -> None:
    result = run(toy, "random", evaluations=3, seed=0)
    write(result, tmp_path, notes={"generation": [0, 0, 1]})
    assert [line["generation"] for line in history(tmp_path)] == [0, 0, 1]
    with pytest.raises(ConfigError, match="notes need 3 values"):
        write(result, tmp_path, notes={"generation": [0, 0]})

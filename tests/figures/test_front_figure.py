"""The plot of a search: what is on it, and what it leaves as it found it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.data.table import Columns, Table, write_table
from naslib_ecnas.errors import MissingDependencyError, StorageError
from naslib_ecnas.figures.drawing import save, style
from naslib_ecnas.figures.front import axis_unit, front_figure
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.search import SearchResult, run
from naslib_ecnas.space import Space

matplotlib = pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Benchmark:
    rng = np.random.default_rng(0)
    rows = np.arange(len(Space(4)), dtype=np.int32)
    values = {
        "energy_kwh": rng.lognormal(-4, 0.8, (len(rows), 1, 1)),
        "validation_accuracy": rng.beta(5, 2, (len(rows), 1, 1)),
    }
    path = tmp_path_factory.mktemp("figure") / "t.ecnas"
    measured = Provenance("measured", device="Quadro RTX 6000", pue=1.59, repeats=1, source="x.tf")
    origin = {"energy_kwh": measured, "validation_accuracy": Provenance("synthetic")}
    write_table(path, Columns("made-up", 4, rows, (4,), 1, values, origin))
    return Benchmark(Table.open(path))


@pytest.fixture(scope="module")
def result(bench: Benchmark) -> SearchResult:
    return run(bench, "semoa", evaluations=60, seed=0)


def texts(figure: object) -> str:
    from matplotlib.text import Text

    found = figure.findobj(Text)  # type: ignore[attr-defined]
    return " ".join(" ".join(text.get_text().split()) for text in found)


def test_everything_is_named_with_its_unit_and_origin(
    bench: Benchmark, result: SearchResult
) -> None:
    shown = texts(front_figure(bench, result))
    for part in (
        "Training energy (Wh)",
        "Validation accuracy",
        "all 91 cells",
        "true front",
        "found by semoa",
        "knee",
        "lowest training energy",
        "highest validation accuracy",
        "measured, on Quadro RTX 6000, PUE 1.59 in, 1 repeat",
        "Validation accuracy: synthetic",
        "60 evaluations",
    ):
        assert part in shown


def test_the_points_are_those_of_the_search(bench: Benchmark, result: SearchResult) -> None:
    axes = front_figure(bench, result).axes[0]
    by_label = {item.get_label(): item for item in axes.collections}
    found = np.asarray(by_label["found by semoa"].get_offsets())
    np.testing.assert_allclose(found, result.front_values * [1000, 1])
    (steps,) = axes.lines
    true = bench.front().values * [1000, 1]
    np.testing.assert_allclose(np.asarray(steps.get_xydata()), true)
    knee = np.asarray(by_label["knee $r_k$"].get_offsets())[0]
    np.testing.assert_allclose(knee, result.values[result.knee] * [1000, 1])


def test_more_objectives_are_told(bench: Benchmark) -> None:
    names = ("energy_kwh", "validation_accuracy", "parameters")
    three = run(bench, "semoa", objectives=names, evaluations=60, seed=0)
    assert "all objectives: energy_kwh, validation_accuracy, parameters" in " ".join(
        texts(front_figure(bench, three)).split()
    )


@pytest.mark.parametrize("names", [("validation_accuracy", "energy_kwh"), ("depth", "parameters")])
def test_any_two_objectives_can_be_drawn(
    bench: Benchmark, names: tuple[str, str], tmp_path: Path
) -> None:
    result = run(bench, "random", objectives=names, evaluations=60, seed=0)
    save(front_figure(bench, result), tmp_path / "x", ("png",))


def test_files_are_whole_and_the_same_each_time(
    bench: Benchmark, result: SearchResult, tmp_path: Path
) -> None:
    first = save(front_figure(bench, result), tmp_path / "a")
    again = save(front_figure(bench, result), tmp_path / "b")
    assert [path.name for path in first] == ["a.png", "a.pdf"]
    assert first[0].read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert first[1].read_bytes()[:5] == b"%PDF-"
    for a, b in zip(first, again, strict=True):
        assert a.read_bytes() == b.read_bytes()
    with pytest.raises(StorageError):
        save(front_figure(bench, result), first[0] / "below")


def test_no_global_state_is_touched(bench: Benchmark, result: SearchResult) -> None:
    before = dict(matplotlib.rcParams)
    front_figure(bench, result)
    with style():
        assert matplotlib.rcParams["font.size"] == 8.0
    assert dict(matplotlib.rcParams) == before


def test_pyplot_is_not_imported_and_matplotlib_only_to_draw() -> None:
    code = (
        "import sys, naslib_ecnas.figures.front as f\n"
        "assert 'matplotlib' not in sys.modules\n"
        "f.new_figure(1, 1)\n"
        "assert 'matplotlib' in sys.modules\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_matplotlib_it_says_how_to_get_it(
    bench: Benchmark, result: SearchResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'naslib-ecnas\[plots\]'"):
        front_figure(bench, result)


def test_small_energies_are_drawn_in_wh() -> None:
    assert axis_unit("energy_kwh", np.array([0.01])) == (1000.0, "training energy (Wh)")
    assert axis_unit("energy_kwh", np.array([3.0])) == (1.0, "training energy (kWh)")
    assert axis_unit("parameters", np.array([3.0])) == (1.0, "trainable parameters")

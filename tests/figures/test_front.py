"""The plot of a search: what it shows, and that it changes no global state."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.data.table import Table, write_table
from naslib_ecnas.errors import ConfigError, MissingDependencyError, StorageError
from naslib_ecnas.figures.drawing import axis_unit, log_axis, panels, save, style
from naslib_ecnas.figures.front import front_figure
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.search import SearchResult, run

matplotlib = pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def bench(bench4: Benchmark, tmp_path_factory: pytest.TempPathFactory) -> Benchmark:
    """A table whose energies claim to be measured."""
    measured = Provenance("measured", device="Quadro RTX 6000", pue=1.59, repeats=1, source="x.tf")
    columns = bench4.table.to_columns()
    origins = {**columns.provenance, "energy_kwh": measured}
    path = tmp_path_factory.mktemp("figure") / "t.ecnas"
    write_table(path, replace(columns, provenance=origins))
    return Benchmark(Table.open(path))


@pytest.fixture(scope="module")
def result(bench: Benchmark) -> SearchResult:
    return run(bench, "semoa", epochs=4, evaluations=60, seed=0)


def test_points_are_those_of_the_search_and_named_with_unit_and_origin(
    bench: Benchmark, result: SearchResult, texts: Callable[[object], str]
) -> None:
    figure = front_figure(bench, result)
    shown = texts(figure)
    for part in (
        *("Training energy (Wh)", "Validation accuracy", "lowest training energy", "knee"),
        *("all 91 cells", "true front", "found by semoa", "highest validation accuracy"),
        "Training energy: measured, on Quadro RTX 6000, PUE 1.59 included, 1 repeat.",
        *("Validation accuracy: synthetic", "60 evaluations"),
    ):
        assert part in shown, part
    axes = figure.axes[0]
    by_label = {item.get_label(): item for item in axes.collections}
    found = np.asarray(by_label["found by semoa"].get_offsets())
    np.testing.assert_allclose(found, result.front_values * [1000, 1])
    (steps,) = axes.lines
    true = bench.front(epochs=4).values * [1000, 1]
    np.testing.assert_allclose(np.asarray(steps.get_xydata()), true)
    knee = np.asarray(by_label["knee $r_k$"].get_offsets())[0]
    np.testing.assert_allclose(knee, result.values[result.knee] * [1000, 1])


def test_other_objectives(bench: Benchmark, texts: Callable[[object], str], tmp_path: Path) -> None:
    names = ("energy_kwh", "validation_accuracy", "parameters")
    three = run(bench, "random", objectives=names, evaluations=60, seed=0)
    assert f"all objectives: {', '.join(names)}" in texts(front_figure(bench, three))
    for names in (("validation_accuracy", "energy_kwh"), ("depth", "parameters")):
        result = run(bench, "random", objectives=names, evaluations=60, seed=0)
        save(front_figure(bench, result), tmp_path / "x", ("svg",))
    # Small energies are drawn in Wh.
    assert axis_unit("energy_kwh", np.array([0.01])) == (1000.0, "Training energy (Wh)")
    assert axis_unit("energy_kwh", np.array([3.0])) == (1.0, "Training energy (kWh)")
    assert axis_unit("parameters", np.array([3.0])) == (1.0, "Trainable parameters")


def test_files_are_complete_and_the_same_each_time(
    bench: Benchmark, result: SearchResult, tmp_path: Path
) -> None:
    kinds = {"png": b"\x89PNG\r\n\x1a\n", "pdf": b"%PDF-", "svg": b"<?xml"}
    first, again = (save(front_figure(bench, result), tmp_path / n, (*kinds,)) for n in "ab")
    for (kind, head), a, b in zip(kinds.items(), first, again, strict=True):
        assert (a.name, a.read_bytes()[: len(head)]) == (f"a.{kind}", head)
        assert a.read_bytes() == b.read_bytes()
    # The caption is beside the picture and in its metadata; the texts of an SVG are texts.
    caption = front_figure(bench, result).get_label()
    (text,) = save(front_figure(bench, result), tmp_path / "a", ("txt",))
    assert text.read_text() == f"{caption}\n"
    assert f"/Subject ({caption[:30]}".encode() in first[1].read_bytes()
    assert caption[:40].encode() in first[0].read_bytes()
    assert ">Training energy (Wh)</text>" in first[2].read_text()
    with pytest.raises(StorageError):
        save(front_figure(bench, result), first[0] / "below")


@pytest.mark.parametrize(
    ("width", "inches"), [("column", 3.5), ("text", 7.16), ("120", 120 / 25.4)]
)
def test_width_and_no_caption(
    bench: Benchmark, result: SearchResult, width: str, inches: float
) -> None:
    with style(width):
        tall = front_figure(bench, result)
        with style(caption=False):
            figure = front_figure(bench, result)
    assert figure.get_figwidth() == tall.get_figwidth() == inches
    assert figure.get_figheight() < tall.get_figheight()
    assert (figure.get_supxlabel(), figure.get_label()) == ("", tall.get_label())
    assert front_figure(bench, result).get_figwidth() == 3.5  # nothing is left of the style


@pytest.mark.parametrize("width", ["page", "0", "nan", "1e9"])
def test_impossible_widths(width: str) -> None:
    with pytest.raises(ConfigError, match="column, text or 50 to 500 mm"), style(width):
        pass


@pytest.mark.parametrize(("low", "high"), [(3, 47), (0.02, 1), (75, 1300), (1e-4, 1), (12, 18)])
def test_logarithmic_axes_have_plain_numbers_that_fit(low: float, high: float) -> None:
    with panels("", height=2.0) as (figure, (axes,)):
        axes.plot([low, high], [1, 2])
        log_axis(axes, "x", low, high)
    figure.draw_without_rendering()
    ticks = [t for t in axes.get_xticklabels() if low <= t.get_position()[0] <= high]
    assert 2 <= len(ticks) <= 8
    assert [float(t.get_text().replace(",", "")) for t in ticks] == pytest.approx(
        [t.get_position()[0] for t in ticks]
    )
    boxes = [t.get_window_extent() for t in ticks]
    assert not any(a.overlaps(b) for a, b in itertools.pairwise(boxes))


def test_no_global_state_is_changed(bench: Benchmark, result: SearchResult, tmp_path: Path) -> None:
    before = dict(matplotlib.rcParams)
    front_figure(bench, result)
    with style():
        assert matplotlib.rcParams["font.size"] == 8.0
    assert dict(matplotlib.rcParams) == before
    code = (
        "import sys, naslib_ecnas.figures.drawing as drawing\n"
        "assert 'matplotlib' not in sys.modules\n"
        "with drawing.panels('', height=2): pass\n"
        "assert 'matplotlib' in sys.modules\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


def test_without_matplotlib_the_error_names_the_package(
    bench: Benchmark, result: SearchResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'naslib-ecnas\[plots\]'"):
        front_figure(bench, result)

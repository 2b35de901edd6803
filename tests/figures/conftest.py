"""Small synthetic tables that the tests of the figures share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from naslib_ecnas import network
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.space import Space

Maker = Callable[..., Benchmark]


@pytest.fixture(scope="session")
def make_bench(bench_of: Maker) -> Maker:
    """Makes synthetic tables: energies grow with the multiply-adds and with the epochs."""

    def make(
        name: str = "made-up",
        *,
        vertices: int = 4,
        budgets: tuple[int, ...] = (4, 12, 36, 108),
        without: tuple[int, ...] = (),
        device: str = "no device",
        kind: str = "synthetic",
        seed: int = 0,
        leave_out: tuple[str, ...] = (),
        factor: float = 1.0,
    ) -> Benchmark:
        rng = np.random.default_rng(seed)
        rows = np.setdiff1d(np.arange(len(Space(vertices))), without).astype(np.int32)
        shape = (len(rows), len(budgets), 1)
        size = network.multiply_adds(rows)[:, None, None] / 1e9
        epochs = np.array(budgets, dtype=np.float64)[None, :, None]
        energy = factor * 1e-3 * (1 + size) * epochs * rng.lognormal(0, 0.1, shape)
        values = {
            "energy_kwh": energy,
            "training_time_s": energy * 2e4,
            "validation_accuracy": 1 - 1 / (1 + epochs * rng.lognormal(0, 0.5, shape)),
            "co2_g": energy * 300,
        }
        values = {n: v for n, v in values.items() if n not in leave_out}
        origin = Provenance(kind, device=device, pue=1.0)  # type: ignore[arg-type]
        about = {"name": name, "vertices": vertices, "rows": rows, "budgets": budgets}
        return bench_of(values, origin=origin, **about)

    return make


@pytest.fixture(scope="session")
def bench4(make_bench: Maker) -> Benchmark:
    """All 91 cells of four vertices at the four budgets."""
    return make_bench()


@pytest.fixture
def official(reference: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The published tables can be loaded by name."""
    monkeypatch.setenv("ECNAS_MIRROR", str(reference / "official"))


@pytest.fixture
def texts() -> Callable[[object], str]:
    """All texts of a figure in one line."""
    pytest.importorskip("matplotlib")
    from matplotlib.text import Text

    def found(figure: object) -> str:
        every = figure.findobj(Text)  # type: ignore[attr-defined]
        return " ".join(" ".join(text.get_text().split()) for text in every)

    return found

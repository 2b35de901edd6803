"""Optional packages of the fits; a test that needs one is skipped where it is missing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture(scope="session")
def torch() -> Any:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    torch.set_num_threads(1)
    return torch


@pytest.fixture(scope="session")
def lightgbm() -> Any:
    return pytest.importorskip("lightgbm", reason="lightgbm is not installed")


@pytest.fixture(scope="session")
def sklearn() -> Any:
    return pytest.importorskip("sklearn", reason="scikit-learn is not installed")


@pytest.fixture
def reports() -> Callable[..., None]:
    """A progress callback; `reports.seen` are the numbers that were done, and the totals."""

    def report(
        task: str, done: int = 0, total: int | None = None, *, unit: str = "", note: str = ""
    ) -> None:
        report.seen.append((done, total))  # type: ignore[attr-defined]

    report.seen = []  # type: ignore[attr-defined]
    return report

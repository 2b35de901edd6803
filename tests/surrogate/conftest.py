"""Optional packages of the fits; a test that needs one is skipped where it is missing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from naslib_ecnas.progress import listening


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


class Reports(list[tuple[int, int | None]]):
    """A progress callback that keeps the numbers of fits that were done, and the totals."""

    def __call__(
        self, task: str, done: int = 0, total: int | None = None, *, unit: str = "", note: str = ""
    ) -> None:
        if task.startswith("fitting"):
            self.append((done, total))


@pytest.fixture
def reports() -> Iterator[Reports]:
    with listening(found := Reports()):
        yield found

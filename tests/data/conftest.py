"""What the tests of formats share."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

# The server that fetches are tried on, and made-up files, lie beside the tests that use them.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Path of a TFRecord file that does not exist yet."""
    return tmp_path / "x.tfrecord"

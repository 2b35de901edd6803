"""How the sources open files, and the bounds that SECURITY.md names.

That nothing is run that was read is checked by ruff, with the rules and the banned names in
`pyproject.toml`.
"""

from __future__ import annotations

import re
from pathlib import Path

from naslib_ecnas import files
from naslib_ecnas.data import arrays, assemble, long_form, results_tree, tfrecord, unpickle

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("naslib_ecnas", "data", "adapters")
SOURCES = sorted(p for part in FOLDERS for p in (ROOT / part).rglob("*.py"))


def test_files_are_opened_in_one_way() -> None:
    """`files.open_file` looks before it opens; else only what the package or the kernel has."""
    # Files of the package, and of the kernel.
    own = {"carbon", "catalog", "nasbench_hash", "page", "predictions", "results"}
    own |= {"acceptance", "claims", "device", "nvml", "rapl"}
    read = re.compile(r"\.read_bytes\(\)|\.read_text\(|fromfile\(|open\([^)]*[\"']rb?[\"']")
    assert {path.stem for path in SOURCES if read.search(path.read_text("utf-8"))} <= own


def test_the_bounds_are_those_of_the_text() -> None:
    text = " ".join((ROOT / "SECURITY.md").read_text(encoding="utf-8").split())
    for bound, sentence in (
        (tfrecord._MAX_DATA >> 10, "frames of a TFRecord ({} KiB)"),
        (arrays._LARGEST_HEADER >> 20, "the header of a table ({} MiB)"),
        (results_tree._MAX_BYTES >> 20, "files of a result folder ({} MiB each)"),
        (assemble.MOST_BYTES >> 30, "{} GiB for values"),
        (unpickle._MOST_BYTES >> 20, "{} MiB for a pickle"),
        (files.DOCUMENT >> 20, "{} MiB for JSON"),
        (long_form._LONGEST, "lines of a CSV ({:,} characters)"),
        (assemble._MOST, "trainings of a cell ({:,})"),
    ):
        assert sentence.format(bound) in text

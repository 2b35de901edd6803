"""What SECURITY.md promises of the source holds in the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from naslib_ecnas.data import results_tree, table, tfrecord

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(
    p for name in ("naslib_ecnas", "data", "adapters") for p in (ROOT / name).rglob("*.py")
)
#: Modules of Python's library that run what a file says.
DANGEROUS = {"pickle", "marshal", "shelve", "dill", "cloudpickle"}
#: Needed to recognise an error of torch's own restricted reader; it loads nothing.
HARMLESS = {"UnpicklingError"}


def faults(source: str) -> Iterator[str]:
    """What in a source could run the content of a file."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.split(".")[0] in DANGEROUS)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in DANGEROUS:
            yield from (a.name for a in node.names if a.name not in HARMLESS)
        elif isinstance(node, ast.Call):
            yield from _call(node)


def _call(node: ast.Call) -> Iterator[str]:
    name = ast.unparse(node.func)
    given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
    if name in ("eval", "exec"):
        yield name
    if name == "torch.load" and given.get("weights_only") != "True":
        yield "torch.load with pickles"
    if name in ("np.load", "numpy.load") and given.get("allow_pickle") != "False":
        yield "np.load that may meet pickles"


def test_no_content_of_a_file_can_run() -> None:
    for path in SOURCES:
        assert not list(faults(path.read_text(encoding="utf-8"))), path


def test_this_test_would_notice() -> None:
    for source in (
        *("import pickle", "from pickle import loads", "import marshal as m", "eval(text)"),
        *("torch.load(path)", "torch.load(path, weights_only=False)", "np.load(path)"),
    ):
        assert len(list(faults(source))) == 1, source


def test_the_bounds_are_those_of_the_text() -> None:
    text = " ".join((ROOT / "SECURITY.md").read_text(encoding="utf-8").split())
    for bound, said in (
        (tfrecord._MAX_DATA, "frames of a TFRecord ({} MiB)"),
        (table._LARGEST_HEADER, "the header of a table ({} MiB)"),
        (results_tree._MAX_BYTES, "files of a result folder ({} MiB each)"),
    ):
        assert said.format(bound >> 20) in text

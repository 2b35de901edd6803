"""What the sources never do: run what they read, and hide what went wrong."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from naslib_ecnas import files
from naslib_ecnas.data import arrays, assemble, long_form, results_tree, tfrecord, unpickle

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("naslib_ecnas", "data", "adapters")
SOURCES = sorted(p for part in FOLDERS for p in (ROOT / part).rglob("*.py"))
#: Calls that run what they are given or unpack it, by the option and the value that prevents it.
CHECKED: dict[str, tuple[str, object]] = {
    **dict.fromkeys(("np.load", "numpy.load", "read_array", "load_npz"), ("allow_pickle", False)),
    "torch.load": ("weights_only", True),
}
NEVER = {"eval", "exec", "compile", "__import__", "os.system", "os.popen"}
NEVER |= {f"yaml.{name}" for name in ("load", "load_all", "unsafe_load", "full_load")}
PICKLES = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal"}
PICKLE_ERRORS = {"UnpicklingError", "PickleError"}
#: Global generators: seeded, or drawn from.
GLOBAL_RANDOM = {
    f"{module}.{name}"
    for module in ("np.random", "numpy.random", "random")
    for name in (
        *("seed", "rand", "randn", "randint", "random", "choice", "choices", "shuffle"),
        *("permutation", "normal", "uniform", "sample", "set_state", "setstate", "RandomState"),
    )
}
#: The restricted unpickler, which runs in a process of its own.
MAY_UNPICKLE = {"data/unpickle.py"}
#: Where NASLib's own code draws from the global generators, so that a seed has to reach them.
MAY_SEED = {"adapters/naslib_space.py"}

BAD = [
    "try:\n    pass\nexcept:\n    pass",
    *("import pickle", "from pickle import loads", "import cloudpickle as c"),
    "import pickle\nx = pickle.UnpicklingError, pickle.loads",
    *("eval('1')", "exec(text)", "os.system('true')", "subprocess.run(text, shell=True)"),
    *("import numpy as np\nnp.load(path)", "np.load(path, allow_pickle=True)"),
    *("torch.load(path)", "yaml.load(text)"),
    *("np.random.seed(0)", "import random\nrandom.shuffle(x)"),
]
GOOD = [
    *("try:\n    pass\nexcept ValueError:\n    pass", "re.compile('x')"),
    *("np.random.default_rng(0).random()", "np.load(path, allow_pickle=False)"),
    *("yaml.safe_load(text)", "subprocess.run(['true'])"),
    *("import pickle\nx = pickle.UnpicklingError", "torch.load(path, weights_only=True)"),
]


def dotted(node: ast.AST) -> str:
    """The name that a call names, such as `np.random.seed`; empty where it is none."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return f"{before}.{node.attr}" if before else ""
    return ""


def faults(source: str, name: str = "") -> list[str]:
    """What a module does that none may, each with its line."""
    found, tree = [], ast.parse(source)
    for node in ast.walk(tree):
        what = ""
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            what = "a bare except"
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [alias.name for alias in node.names]
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            bad = {n.split(".")[0] for n in names} & PICKLES
            if bad and not _only_errors(tree, node) and name not in MAY_UNPICKLE:
                what = f"imports {bad.pop()}"
        elif isinstance(node, ast.Call):
            what = _call(node, name)
        if what:
            found.append(f"line {node.lineno}: {what}")
    return found


def _only_errors(tree: ast.AST, node: ast.Import | ast.ImportFrom) -> bool:
    """Whether a module is imported for the class of its errors only."""
    if isinstance(node, ast.ImportFrom):
        return all(alias.name in PICKLE_ERRORS for alias in node.names)
    attributes = [other for other in ast.walk(tree) if isinstance(other, ast.Attribute)]
    used = {other.attr for other in attributes if dotted(other.value) in PICKLES}
    return bool(used) and used <= PICKLE_ERRORS and not any(alias.asname for alias in node.names)


def _call(node: ast.Call, name: str) -> str:
    called = dotted(node.func)
    options = {word.arg: word.value for word in node.keywords if word.arg}
    values = {k: v.value for k, v in options.items() if isinstance(v, ast.Constant)}
    for ending, (option, value) in CHECKED.items():
        if called.endswith(ending) and values.get(option) is not value:
            return f"{called} without {option}={value}"
    if called.startswith("subprocess.") and values.get("shell", "shell" in options) is not False:
        return "starts a shell"
    if called in NEVER or (called in GLOBAL_RANDOM and name not in MAY_SEED):
        return f"calls {called}"
    return ""


def test_nothing_is_run_that_was_read() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in SOURCES} == set(FOLDERS)
    for path in SOURCES:
        name = str(path.relative_to(ROOT))
        assert faults(path.read_text(encoding="utf-8"), name) == [], name


def test_these_tests_would_notice() -> None:
    for source in (*BAD, *GOOD):
        assert len(faults(source)) == (source in BAD), source


def test_files_are_opened_in_one_way() -> None:
    """`files.open_file` looks before it opens; else only what the package or the kernel has."""
    own = {"carbon", "nasbench_hash", "page", "reference"}  # files of the package
    own |= {"acceptance", "claims", "device", "nvml", "rapl"}  # of the kernel
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

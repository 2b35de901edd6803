"""`ecnas completion`, in the shells themselves."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from naslib_ecnas.cli import COMMANDS, command_parser
from naslib_ecnas.commands.completion import SCRIPTS, command_tree
from naslib_ecnas.data.catalog import tables
from naslib_ecnas.search import METHODS
from naslib_ecnas.surrogate.devices import DEVICES


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the scripts, and some files to complete."""
    folder = tmp_path_factory.mktemp("completion")
    root = command_tree(command_parser())
    for shell, made in SCRIPTS.items():
        (folder / f"script.{shell}").write_text(made(root), encoding="utf-8")
    (folder / "own.csv").touch()
    (folder / "own table.csv").touch()
    (folder / "owned").mkdir()
    return folder


def shell_of(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"no {name} here")
    return found


def printed(scripts: Path, shell: str, *arguments: str) -> list[str]:
    """Lines that a script prints in a shell."""
    command = [shell_of(shell), *arguments]
    out = subprocess.run(command, cwd=scripts, capture_output=True, text=True, check=True)
    assert shell != "bash" or not out.stderr
    return [line for line in out.stdout.splitlines() if line]


def in_bash(scripts: Path, *words: str) -> set[str]:
    """What bash offers for the last of the words."""
    script = (
        f"source script.bash; COMP_WORDS=({shlex.join(words)}); COMP_CWORD={len(words) - 1}; "
        '_ecnas; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    return set(printed(scripts, "bash", "--norc", "-c", script))


def in_zsh(scripts: Path, *words: str) -> set[str]:
    """The words that zsh offers for the last of the words, without files."""
    script = (
        "autoload -Uz compinit; compinit -u -D; source script.zsh; "
        f"_ecnas_walk {shlex.join(words[:-1][1:])}; _ecnas_fitting {shlex.quote(words[-1])}; "
        f"print -l -- ${{(M)${{=choices}}:#{shlex.quote(words[-1])}*}}"
    )
    return set(printed(scripts, "zsh", "-fc", script))


def in_fish(scripts: Path, *words: str) -> set[str]:
    """What fish offers for the last of the words."""
    script = f"source script.fish; complete -C {shlex.quote(' '.join(words))}"
    lines = printed(scripts, "fish", "--no-config", "-c", script)
    return {line.partition("\t")[0] for line in lines} - {""}


SHELLS = {"bash": in_bash, "zsh": in_zsh, "fish": in_fish}
NAMES = {"7v", "5v", "4v", *(entry.name for entry in tables())}


@pytest.mark.parametrize("shell", SHELLS)
def test_commands_options_and_values(scripts: Path, shell: str) -> None:
    offered = SHELLS[shell]
    assert offered(scripts, "ecnas", "") == set(COMMANDS)
    assert offered(scripts, "ecnas", "da") == {"data"}
    assert offered(scripts, "ecnas", "data", "ver") == {"verify"}
    assert offered(scripts, "ecnas", "data", "list", "--j") == {"--json"}
    assert {"--out", "--json", "--seed"} <= offered(scripts, "ecnas", "search", "--")
    assert offered(scripts, "ecnas", "search", "--seed", "3", "--table", "") == NAMES
    assert offered(scripts, "ecnas", "search", "--method", "") == set(METHODS)
    assert offered(scripts, "ecnas", "search", "--json", "--device", "") == set(DEVICES)
    assert offered(scripts, "ecnas", "measure", "plan", "--recipe", "e") == {"ecnas"}
    assert offered(scripts, "ecnas", "data", "fetch", "4v-rtx3090", "5v-l") == {"5v-linscale"}
    assert offered(scripts, "ecnas", "figure", "") == {"1", "2", "3", "4", "5", "6"}
    # A place that no word fits, and an option after one that takes several values.
    assert offered(scripts, "ecnas", "query", "4v", "") == set()
    assert offered(scripts, "ecnas", "data", "build", "--energy-model", "a", "b", "--sc") == {
        "--scaling"
    }


def test_bash_completes_files(scripts: Path) -> None:
    assert in_bash(scripts, "ecnas", "data", "convert", "own") == {
        "own.csv",
        "own table.csv",
        "owned",
    }
    assert in_bash(scripts, "ecnas", "search", "--out", "own") == {"owned"}
    assert in_bash(scripts, "ecnas", "query", "own") == {"own.csv", "own table.csv", "owned"}
    # bash hands over `--method=se` in three words.
    assert in_bash(scripts, "ecnas", "search", "--method", "=", "se") == {"semoa"}
    assert in_bash(scripts, "ecnas", "search", "--method", "=") == set(METHODS)


def test_bash_calls_the_function(scripts: Path) -> None:
    script = "source script.bash; complete -p ecnas"
    assert printed(scripts, "bash", "--norc", "-c", script) == ["complete -F _ecnas ecnas"]


def test_every_word_of_the_tree_is_one_word() -> None:
    """The scripts split words at spaces."""
    for command in command_tree(command_parser()).walk():
        words = [*command.path, *command.options]
        words += [w for a in command.positionals for w in a.words]
        words += [w for _, a in command.options.values() if a is not None for w in a.words]
        assert all(word and not set(word) & set(" \t\n'\"$`\\*?[") for word in words)
        assert "%(" not in "".join(about for about, _ in command.options.values())


def test_the_command_prints_the_script(scripts: Path, ecnas_: Any) -> None:
    for shell in SCRIPTS:
        script = (scripts / f"script.{shell}").read_text(encoding="utf-8")
        assert ecnas_.out("completion", shell) == script
    assert "one of bash, zsh, fish" in ecnas_.refused("completion", "tcsh")

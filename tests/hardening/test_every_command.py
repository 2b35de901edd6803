"""Every command with every kind of bad argument: one line that says what, and nothing written."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_cases import BY_METAVAR, BY_TYPE, CASES, MORE

from naslib_ecnas import cli


def leaves() -> dict[str, argparse.ArgumentParser]:
    """Every command and action with its parser, as the command line has them."""
    found = {}

    def walk(parser: argparse.ArgumentParser, name: str) -> None:
        below = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
        for action in below:
            for part, child in action.choices.items():
                walk(child, f"{name} {part}".strip())
        if not below:
            found[name] = parser

    walk(cli.command_parser(), "")
    return found


LEAVES = leaves()
LINES = {**CASES, **MORE}


def taking_values(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    """The options and arguments of a command that take a value, by their longest name."""
    return {
        max(action.option_strings, key=len, default=action.dest): action
        for action in parser._actions
        if action.nargs != 0 and action.dest not in ("help", "version")
    }


def parser_of(command: str) -> argparse.ArgumentParser:
    """The parser of a command, of which more words may stand behind."""
    return LEAVES[max((name for name in LEAVES if command.startswith(name)), key=len)]


def changed(command: str, name: str, value: list[str]) -> list[str]:
    """The good command line with another value of one option or argument."""
    words, parser = LINES[command][0].split(), parser_of(command)
    positional = [n for n in taking_values(parser) if not n.startswith("--")]
    if name.startswith("--"):
        if name in words:
            at = words.index(name)
            end = at + 1
            while end < len(words) and not words[end].startswith("--"):
                end += 1
            del words[at:end]
        if len(value) == 1 and value[0].startswith("-"):
            return [*command.split(), *words, f"{name}={value[0]}"]
        return [*command.split(), *words, name, *value]
    at = positional.index(name)
    first = next((i for i, word in enumerate(words) if word.startswith("--")), len(words))
    if name == "overrides":
        return [*command.split(), *words, *value]
    behind = first if taking_values(parser)[name].nargs in ("*", "+") else at + 1
    before, after = words[:at], words[behind:first]
    guard = ["--"] if value[0].startswith("-") else []
    return [*command.split(), *words[first:], *before, *guard, *value, *after]


def test_every_command_and_option_has_its_bad_values() -> None:
    """A new command, or a new option of an old one, must be added to the list."""
    assert set(CASES) == set(LEAVES)
    for command, (_, special) in CASES.items():
        actions = taking_values(LEAVES[command])
        assert set(special) <= set(actions), command
        for name, action in actions.items():
            known = action.choices or name in special or action.metavar in BY_METAVAR
            assert known, (command, name)


@pytest.fixture
def place(warm: Path, tmp_path: Path, small_file: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with what the words in capitals stand for."""
    here = tmp_path / "here"
    here.mkdir()
    (here / "EMPTY").mkdir()
    (here / "TABLE.ecnas").write_bytes(small_file.read_bytes())
    (here / "GARBAGE").write_bytes(b"nothing that anybody could read\n" * 40)
    from naslib_ecnas.campaign import DataChoice, make_plan

    data = DataChoice(kind="synthetic", images_per_file=4)
    make_plan((0, 2), name="CAMPAIGN", vertices=4, data=data).write(here / "CAMPAIGN")
    monkeypatch.chdir(here)
    return here


def standing(words: list[str]) -> list[str]:
    return [word.replace("TABLE", "TABLE.ecnas") if "TABLE" in word else word for word in words]


def tree(folder: Path) -> set[str]:
    """Files and folders below a folder, without locks and the log of a campaign's attempts."""
    found = {path.relative_to(folder) for path in folder.rglob("*") if path.suffix != ".lock"}
    return {str(path) for path in found if path.parts[:2] != ("CAMPAIGN", "attempts")}


def fault_of(words: list[str], place: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What is wrong with how a command line is refused; empty where nothing is."""
    before = tree(place)
    try:
        code = cli.main(standing(words))
    except SystemExit as stop:
        code = stop.code
    except Exception as error:  # noqa: BLE001 - every fault is to be shown
        return f"{type(error).__name__}: {str(error)[:300]}"
    out, err = capsys.readouterr()
    left = tree(place) - before
    for path in sorted(left, reverse=True):
        shutil.rmtree(place / path, ignore_errors=True)
        (place / path).unlink(missing_ok=True)
    lines = [line for line in err.splitlines() if "error: " in line or line.startswith("BAD")]
    if code not in (1, 2) or len(lines) != 1 or "Traceback" in err:
        return f"exit code {code}: {out[-300:]} {err[-300:]}"
    words_said = lines[0].partition("error: ")[2].split()
    if len(lines[0]) > 1500 or (len(words_said) < 3 and not lines[0].startswith("BAD")):
        return f"no sentence of {len(lines[0])} characters: {lines[0][:300]}"
    return f"left {sorted(left)} behind" if left else ""


def bad_values(command: str) -> Iterator[tuple[str, list[str]]]:
    """Options and arguments of a command, each with a value that is not possible."""
    special = LINES[command][1]
    for name, action in taking_values(parser_of(command)).items():
        if command in MORE and name not in special:
            continue
        values = () if action.choices else BY_METAVAR.get(str(action.metavar), ())
        kind = action.type if action.type in (int, float) else "choices" if action.choices else None
        for value in (*special.get(name, values), *BY_TYPE.get(kind, ())):
            many = action.nargs in ("+", argparse.REMAINDER) and " " in value
            yield name, value.split() if many else [value]


@pytest.mark.parametrize("command", LINES)
def test_what_is_not_possible_is_refused(
    command: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All bad values of all options of a command, together so that a fault shows them all."""
    faults = []
    for name, value in bad_values(command):
        fault = fault_of(changed(command, name, value), place, capsys)
        if fault:
            faults.append(f"{name} {str(value)[:60]}: {fault}")
    assert not faults, "\n".join(faults)

"""Help and spelling: the same in every command."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from streetvision.cli.main import commands
from streetvision.settings.flags import build_parser

ROOT = Path(__file__).parents[2]
Run = Callable[..., tuple[int, str, str]]


def every(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command and group, with the words that call it."""
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        yield from every(below, (*path, name))


COMMANDS = dict(every(commands()))
OPTIONS = {
    option
    for command in COMMANDS.values()
    for parameter in command.params
    if parameter.param_type_name == "option"
    for option in (*parameter.opts, *parameter.secondary_opts)
}


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_is_a_flag_of_every_command(command: Run, path: tuple[str, ...], flag: str) -> None:
    code, out, err = command(*path, flag)
    assert (code, err) == (0, "")
    assert "usage: streetvision" in out.lower()
    assert "<bool>" not in out
    assert "BOOL" not in out


def test_help_breaks_lines_between_words(command: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    _, out, _ = command("init", "--help")
    said = " ".join(out.split())
    assert "Settings of a former file stay unless they are answered anew." in said
    assert "│" not in out


def test_options_have_one_spelling() -> None:
    assert [option for option in OPTIONS if re.search(r"\w-\w", option)] == []
    flags = [flag for action in build_parser()._actions for flag in action.option_strings]
    assert [flag for flag in flags if re.search(r"\w-\w", flag)] == []


def test_pages_use_that_spelling() -> None:
    dashed = {option.replace("_", "-") for option in OPTIONS if "_" in option}
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        lines = [line for line in page.read_text().splitlines() if "streetvision" in line or line.startswith("|")]
        found = dashed & set(re.findall(r"--[\w-]+", "\n".join(lines)))
        assert not found, f"{page.name}: {found}"


@pytest.mark.parametrize("spelling", ["--state-dir", "--state_dir"])
def test_dashes_are_read_too(command: Run, spelling: str, tmp_path: Path) -> None:
    for words in (("log", "tail"), ("status",), ("models", "list")):
        code, _, err = command(*words, spelling, str(tmp_path / "none"))
        assert "No such option" not in err
        assert code in (0, 1)


def test_an_unknown_option_gets_the_nearest(command: Run) -> None:
    code, _, err = command("replay", "--lmit", "3")
    assert code == 2
    assert "--limit" in err


def test_switches_say_what_they_take() -> None:
    text = " ".join(build_parser().format_help().split())
    assert "--compile [true|false]" in text
    assert "yes and no, on and off, 1 and 0 are read too" in text


def test_an_unforeseen_failure_of_the_system_is_one_sentence(
    command: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*_: object) -> None:
        raise PermissionError(13, "Permission denied", str(tmp_path))

    monkeypatch.setattr("streetvision.cli.log.miner_settings", fail)
    assert command("log", "tail") == (1, "", f"error: {tmp_path}: permission denied\n")

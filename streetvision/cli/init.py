"""`streetvision init`: write miner.env by asking; `--yes` and the miner's own flags do it without a terminal."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from pathlib import Path
from typing import Annotated

import typer

from streetvision.base.paths import expanded
from streetvision.cli.interview import Question, Suggestion, changes, check, complete
from streetvision.errors import ConfigError, OperatorError
from streetvision.runner.order import INSTALL, installed
from streetvision.settings.env_file import Former, parsed, read_former, render, write
from streetvision.settings.fields import ENV_FILE_VARIABLE, setting
from streetvision.settings.flags import read_flags, unknown_sentence
from streetvision.settings.official_source import read_official, translated

INTRODUCTION = (
    "This asks for what the miner must know and writes it to {file}, readable by you alone. Enter takes the suggestion "
    "in brackets. Ctrl-C leaves; nothing is written before you have seen the file and said yes."
)
WITHOUT_GPU = f"No GPU was found. On a CPU models may answer quicker by OpenVINO: {INSTALL}, then streetvision bench."
NEXT = "Next: streetvision doctor, then start the miner (docs/running.md)."


def init(
    context: typer.Context,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Ask nothing: what no flag names takes the suggestion.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file without asking.")] = False,
    official: Annotated[
        list[str] | None,
        typer.Option(
            "--from",
            metavar="FILE|COMMAND",
            help="The official miner's miner.env, start_miner.sh, folder, or start command in quotes; may be repeated.",
        ),
    ] = None,
) -> None:
    """Write miner.env by asking. Takes the miner's flags too: what they name is not asked for.

    The file goes to --env_file, MINER_ENV or ./miner.env, readable by you alone. Settings of a former file stay unless
    they are answered anew. What --from names is read, never run; flags win over it.
    """
    flags, named, unknown = read_flags(context.args)
    if unknown or flags.refusals:
        raise ConfigError(unknown_sentence([*flags.refusals, *unknown]))
    file = expanded(named or os.environ.get(ENV_FILE_VARIABLE) or "miner.env")
    given = {name: said.text for name, said in flags.texts.items()}
    for name, text in given.items():
        parsed(name, text)
    if not (yes or sys.stdin.isatty()):
        raise ConfigError("there is no terminal to ask on: add --yes, and name the settings as flags")
    former = read_former(file) if file.exists() else Former({}, {}, ())
    taken, notes = translated(read_official(official)) if official else ({}, [])
    for note in (*flags.warnings, *(notes if official else former.notes)):
        _say(f"- {note}.")
    if not yes:
        _say("\n" + INTRODUCTION.format(file=file) + "\n")
    answers = complete({**taken, **given}, _Asker(former.answers, silent=yes).ask)
    answers = {**{name: text for name, text in former.answers.items() if name not in answers}, **answers}
    _save(file, former, answers, yes=yes, overwrite=overwrite)


def _save(file: Path, former: Former, answers: dict[str, str], *, yes: bool, overwrite: bool) -> None:
    text = render(answers, former.others)
    typer.echo(f"\n{file}:\n\n{render(answers, former.others, hide=True)}", err=True)
    if file.exists() and not overwrite:
        _confirm_overwrite(file, changes(former.answers, answers), yes)
    elif not yes and not typer.confirm("Write it?", default=True, err=True):
        _say("Nothing was written.")
        raise typer.Exit(1)
    write(file, text)
    _say(f"Written, readable by you alone. {NEXT}")
    if shutil.which("nvidia-smi") is None and not installed():
        _say(WITHOUT_GPU)


class _Asker:
    """Asks on the terminal until an answer will do; what a former file says is suggested first."""

    def __init__(self, before: dict[str, str], *, silent: bool) -> None:
        self._before, self._silent = before, silent

    def ask(self, question: Question, suggestion: Suggestion) -> str:
        default = self._before.get(question.name, suggestion.text)
        if self._silent:
            check(question.name, default, suggestion)
            return default
        if suggestion.hint:
            _say(f"({suggestion.hint})")
        while True:
            text = self._prompt(question, default)
            try:
                check(question.name, text, suggestion)
            except OperatorError as error:
                _say(f"{error}")
                continue
            return text

    def _prompt(self, question: Question, default: str) -> str:
        secret = setting(question.name).is_secret
        shown = "as before" if secret and default else default
        *lines, last = _wrapped(f"{question.words} [{shown}]" if shown else question.words)
        for line in lines:
            typer.echo(line, err=True)
        text = typer.prompt(last, default=default, show_default=False, hide_input=secret, err=True)
        return str(text).strip()


def _confirm_overwrite(file: Path, changed: list[str], yes: bool) -> None:
    if yes:
        raise ConfigError(f"{file} exists: add --overwrite to replace it, or name another file with --env_file")
    what = f"changes {', '.join(changed)}" if changed else "changes nothing that was set"
    *lines, last = _wrapped(f"{file} exists, and this {what}. Replace it?")
    for line in lines:
        typer.echo(line, err=True)
    if not typer.confirm(last, default=False, err=True):
        _say("Nothing was written.")
        raise typer.Exit(1)


def _say(text: str) -> None:
    """A message on stderr, broken between words."""
    for line in text.split("\n"):
        typer.echo("\n".join(_wrapped(line, indent="  " if line.startswith("- ") else "")), err=True)


def _wrapped(text: str, *, indent: str = "") -> list[str]:
    """Lines that fit the terminal with room for a colon and an answer; words stay whole."""
    width = max(20, min(100, shutil.get_terminal_size((80, 24)).columns) - 4)
    return textwrap.wrap(text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False) or [""]

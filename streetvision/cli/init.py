"""`streetvision init`: write miner.env by asking; `--yes` and the miner's own flags do it without a terminal."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from streetvision.errors import ConfigError, OperatorError
from streetvision.interview import Question, Suggestion, changes, check, complete
from streetvision.settings_file import answers_in, is_secret, others_in, parsed, render, write
from streetvision.settings_io import ENV_FILE_VARIABLE, build_parser

NEXT = "Next: streetvision doctor, then start the miner (docs/running.md)."


def init(
    context: typer.Context,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Ask nothing: what no flag names takes the suggestion.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file without asking.")] = False,
) -> None:
    """Write miner.env by asking. Takes the miner's flags too: what they name is not asked for.

    The file goes to --env_file, MINER_ENV or ./miner.env, readable by you alone. Settings of a former file stay unless
    they are answered anew.
    """
    flags = vars(build_parser().parse_args(context.args))
    file = Path(flags.pop("env_file") or os.environ.get(ENV_FILE_VARIABLE) or "miner.env").expanduser()
    given = {name: text for name, text in flags.items() if text}
    for name, text in given.items():
        parsed(name, text)
    if not (yes or sys.stdin.isatty()):
        raise ConfigError("there is no terminal to ask on: add --yes, and name the settings as flags")
    before = answers_in(file) if file.exists() else {}
    others = others_in(file) if file.exists() else {}
    answers = complete(given, _Asker(before, silent=yes).ask)
    answers = {**{name: text for name, text in before.items() if name not in answers}, **answers}
    text = render(answers, others)
    _say(f"\n{file}:\n\n{render(answers, others, hide=True)}")
    if file.exists() and not overwrite:
        _confirm_overwrite(file, changes(before, answers), yes)
    elif not yes and not typer.confirm("Write it?", default=True, err=True):
        raise typer.Exit(1)
    write(file, text)
    _say(f"Written, readable by you alone. {NEXT}")


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
            _say(f"  ({suggestion.hint})")
        while True:
            text = self._prompt(question, default)
            try:
                check(question.name, text, suggestion)
            except OperatorError as error:
                _say(f"  {error}")
                continue
            return text

    def _prompt(self, question: Question, default: str) -> str:
        secret = is_secret(question.name)
        words = f"{question.words} [as before]" if secret and default else question.words
        shown = bool(default) and not secret
        text = typer.prompt(words, default=default, show_default=shown, hide_input=secret, err=True)
        return str(text).strip()


def _confirm_overwrite(file: Path, changed: list[str], yes: bool) -> None:
    if yes:
        raise ConfigError(f"{file} exists: add --overwrite to replace it, or name another file with --env_file")
    what = f"changes {', '.join(changed)}" if changed else "changes nothing that was set"
    if not typer.confirm(f"{file} exists, and this {what}. Replace it?", default=False, err=True):
        _say("Nothing was written.")
        raise typer.Exit(1)


def _say(text: str) -> None:
    typer.echo(text, err=True)

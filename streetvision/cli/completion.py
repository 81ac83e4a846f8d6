"""`streetvision completion bash|zsh|fish`: print what makes the shell complete commands and options."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import Annotated

import typer
from typer.completion import completion_init, get_completion_script  # type: ignore[attr-defined]  # typer's own

PROGRAM = "streetvision"
VARIABLE = "_STREETVISION_COMPLETE"
"""Set by the printed script when the shell wants candidates."""


class Shell(StrEnum):
    """Shells whose scripts are known."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(shell: Annotated[Shell, typer.Argument(help="The shell to print it for.")]) -> None:
    """Print the completion script: `eval "$(streetvision completion bash)"`, or save it where your shell looks.

    bash: ~/.local/share/bash-completion/completions/streetvision; zsh: a file _streetvision in a folder of $fpath;
    fish: ~/.config/fish/completions/streetvision.fish.
    """
    typer.echo(get_completion_script(prog_name=PROGRAM, complete_var=VARIABLE, shell=shell.value))


def answer_the_shell() -> None:
    """Let the application that runs next answer a shell that asks for candidates; otherwise nothing happens."""
    if VARIABLE in os.environ:
        completion_init()

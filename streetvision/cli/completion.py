"""`streetvision completion bash|zsh|fish`: print what makes the shell complete commands and options."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer
from typer.completion import get_completion_script  # type: ignore[attr-defined]  # typer's own

from streetvision.cli.main import COMPLETION

PROGRAM = "streetvision"


class Shell(StrEnum):
    """Shells whose scripts are known."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(
    shell: Annotated[Shell, typer.Argument(metavar="bash|zsh|fish", help="The shell to print it for.")],
) -> None:
    """Print the completion script: `eval "$(streetvision completion bash)"`, or save it where your shell looks.

    bash: ~/.local/share/bash-completion/completions/streetvision; zsh: a file _streetvision in a folder of $fpath;
    fish: ~/.config/fish/completions/streetvision.fish.
    """
    typer.echo(get_completion_script(prog_name=PROGRAM, complete_var=COMPLETION, shell=shell.value))

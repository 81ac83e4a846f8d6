"""The `streetvision` command: its list of commands is in commands.py, their logic lives in the rooms."""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper
from typing import Annotated, Any

import typer

from streetvision import __version__
from streetvision.base.log_text import one_line
from streetvision.base.resources import limit_thread_pools
from streetvision.cli.commands import CommandGroup
from streetvision.cli.spelling import spelt
from streetvision.errors import EXIT_FAILED, EXIT_STOPPED, OperatorError, about

COMPLETION = "_STREETVISION_COMPLETE"
"""Set by the script of `streetvision completion` when the shell wants candidates."""

app = typer.Typer(
    name="streetvision",
    cls=CommandGroup,
    help="Tools beside the miner. The miner itself is `python neurons/miner.py`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,  # rich's boxes break words and show a type beside every switch
    context_settings={"help_option_names": ["-h", "--help"], "token_normalize_func": spelt, "max_content_width": 100},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Tools beside the miner. The miner itself is `python neurons/miner.py`."""


def commands() -> Any:  # noqa: ANN401 - typer's own class of commands is private
    """All commands as they are called; each is imported when it is first asked for."""
    return typer.main.get_command(app)


def main() -> None:
    """Run a command; an error an operator can act on is one sentence on stderr and exit code 1."""
    limit_thread_pools()
    _prepare_streams()
    if COMPLETION in os.environ:
        from typer.completion import completion_init  # type: ignore[attr-defined]  # typer's own

        completion_init()
    try:
        commands()(prog_name="streetvision")
    except OperatorError as error:
        typer.echo(f"error: {one_line(str(error))}", err=True)
        sys.exit(error.exit_code)
    except OSError as error:
        typer.echo(f"error: {one_line(about(error))}", err=True)
        sys.exit(EXIT_FAILED)
    except KeyboardInterrupt:
        sys.exit(EXIT_STOPPED)


def _prepare_streams() -> None:
    """Let commands write whatever the shell gave them: a closed stream takes all, a sign that it lacks becomes `?`."""
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115, PTH123 - for as long as the process lives
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115, PTH123
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")

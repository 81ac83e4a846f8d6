"""The `streetvision` command: groups are added here, their logic lives in the rooms."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from streetvision import __version__
from streetvision.cli import (
    alerts,
    completion,
    demo,
    doctor,
    init,
    log,
    mine,
    models,
    models_combine,  # noqa: F401 - adds its command to models.app
    models_hub,  # noqa: F401 - adds its commands to models.app
    models_live,  # noqa: F401 - as above
    predict,
    register,
    replay,
    report,
    status,
)
from streetvision.cli.spelling import spelt, with_underscores
from streetvision.errors import OperatorError, about

app = typer.Typer(
    name="streetvision",
    help="Tools beside the miner. The miner itself is `python neurons/miner.py`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,  # rich's boxes break words and show a type beside every switch
    context_settings={"help_option_names": ["-h", "--help"], "token_normalize_func": spelt, "max_content_width": 100},
)
_WITH_MINER_FLAGS = {"allow_extra_args": True, "ignore_unknown_options": True}

app.command("demo")(demo.demo)
app.command("completion")(completion.completion)
app.command("doctor", context_settings=_WITH_MINER_FLAGS)(doctor.doctor)
app.command("init", context_settings=_WITH_MINER_FLAGS)(init.init)
app.command("predict")(predict.predict)
app.add_typer(alerts.app, name="alerts")
app.add_typer(log.app, name="log")
app.add_typer(mine.app, name="mine")
app.add_typer(models.app, name="models")
app.command("replay")(replay.replay)
app.command("report")(report.report)
app.command("status")(status.status)
app.command(
    "register", context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
)(register.register)


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
    """The commands as they are called, every option spelt as the miner's flags are."""
    return with_underscores(typer.main.get_command(app))


def main() -> None:
    """Run a command; an error an operator can act on is one sentence on stderr and exit code 1."""
    completion.answer_the_shell()
    try:
        commands()(prog_name=completion.PROGRAM)
    except OperatorError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(1)
    except OSError as error:
        typer.echo(f"error: {about(error)}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)

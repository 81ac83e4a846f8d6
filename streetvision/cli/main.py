"""The `streetvision` command: groups are added here, their logic lives in the rooms."""

from __future__ import annotations

import sys
from typing import Annotated

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
from streetvision.errors import OperatorError
from streetvision.resources import limit_thread_pools

app = typer.Typer(
    name="streetvision",
    help="Tools beside the miner. The miner itself is `python neurons/miner.py`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
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


def main() -> None:
    """Run a command; an error an operator can act on is one sentence on stderr and exit code 1."""
    completion.answer_the_shell()
    limit_thread_pools()
    try:
        app()
    except OperatorError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)

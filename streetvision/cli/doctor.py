"""`streetvision doctor`: what is right and wrong here, with a running miner or without one."""

from __future__ import annotations

import asyncio
import os
import shutil
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streetvision.base.paths import current_folder
from streetvision.cli.shared import StateDir, print_json
from streetvision.errors import ConfigError

if TYPE_CHECKING:
    from streetvision.doctor.check import Report

FAILED = 1


def doctor(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="The report as one JSON object.")] = False,
    state_dir: StateDir = None,
) -> None:
    """Check everything that a miner needs, and say why it does not earn. Takes the miner's flags too.

    Exit code 1 when a check fails. Nothing is changed, and no secret is shown.
    """
    from loguru import logger

    logger.remove()  # the checks say it
    arguments = [*context.args, *([] if state_dir is None else ["--state_dir", str(state_dir)])]
    report = asyncio.run(_examine(arguments))
    if as_json:
        print_json(report.as_dict())
    else:
        _show(report)
    if report.failed:
        raise typer.Exit(FAILED)


async def _examine(arguments: list[str]) -> Report:
    from streetvision.doctor.check import Report, failure
    from streetvision.doctor.configuration import read_settings
    from streetvision.doctor.redaction import scrubber

    try:
        settings, file, sentences = read_settings(arguments, os.environ, current_folder())
    except ConfigError as error:
        check = failure("settings", str(error), "Correct it where it is set: a flag, the environment or miner.env.")
        return Report((check,)).without_secrets(scrubber(None, os.environ))
    from streetvision.doctor.examination import examine  # brings the SDK

    report = await examine(settings, file, sentences)
    return report.without_secrets(scrubber(settings, os.environ))


def _show(report: Report) -> None:
    from streetvision.doctor.report import COLOURS, lines_of

    for line, mark in lines_of(report, min(120, shutil.get_terminal_size((80, 24)).columns)):
        style: dict[str, Any] = {} if mark is None else {"fg": COLOURS[mark]}
        typer.secho(line, **style)

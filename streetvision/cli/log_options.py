"""The options that choose rows of the prediction log, and the folder it lies in."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from streetvision.prediction_log.row import LogFilter
from streetvision.prediction_log.schema import LOG_FOLDER
from streetvision.prediction_log.selection import select
from streetvision.settings.settings import Settings

Since = Annotated[
    str | None, typer.Option(help="Not before: an age (90s, 30m, 2h, 1d, 2w) or an ISO date or time.", metavar="WHEN")
]
Until = Annotated[str | None, typer.Option(help="Before: an age or an ISO date or time.", metavar="WHEN")]
Validator = Annotated[str | None, typer.Option(help="A validator's hotkey (ss58) or UID.", metavar="WHO")]
MinScore = Annotated[float | None, typer.Option(min=0.0, max=1.0, help="Lowest P(roadwork).")]
MaxScore = Annotated[float | None, typer.Option(min=0.0, max=1.0, help="Highest P(roadwork).")]
Status = Annotated[int | None, typer.Option(min=100, max=599, help="HTTP status of the reply.")]


def log_folder(settings: Settings) -> Path:
    """Where the prediction log lies."""
    return settings.state_dir / LOG_FOLDER


def log_filter(
    *,
    since: str | None,
    until: str | None,
    validator: str | None,
    model: str | None,
    min_score: float | None,
    max_score: float | None,
    status: int | None,
) -> LogFilter:
    """The filter that the options ask for; raises ConfigError."""
    return select(
        time.time(),
        since=since,
        until=until,
        validator=validator,
        model=model,
        min_score=min_score,
        max_score=max_score,
        status=status,
    )

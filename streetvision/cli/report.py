"""`streetvision report`: the status page as one file to keep or to share, with or without a running miner."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from streetvision.cli.log_options import log_folder
from streetvision.cli.shared import StateDir, miner_settings
from streetvision.errors import OperatorError, reason
from streetvision.page.page import PAGE_SPAN, render_page
from streetvision.page.pictures import Gallery, Picture
from streetvision.settings.settings import Settings
from streetvision.status.asking import ask
from streetvision.status.files import status_from_files
from streetvision.status.redaction import hidden, shared
from streetvision.status.schema import Span, Status


def report(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The HTML file to write.")],
    days: Annotated[float, typer.Option(min=0.01, max=3650.0, help="Days of history, requests and images.")] = 30.0,
    images: Annotated[bool, typer.Option("--images/--no_images", help="Show the most uncertain images.")] = True,
    state_dir: StateDir = None,
) -> None:
    """Write the status page to a file to share: no folders, private addresses or secrets; no running miner needed."""
    settings, now = miner_settings(state_dir), time.time()
    span = replace(PAGE_SPAN, days=days, counted_days=days)
    known = tuple(map(str, (settings.state_dir, settings.wallet.path, Path.home())))
    status = shared(_status(settings, now, span), known)
    pictures, trouble = _pictures(settings, now, days) if images else ([], "left out of this report")
    text = render_page(status, pictures, hidden(trouble, known), report=True)
    _write(out, text)
    sys.stdout.write(f"{out}: {len(text.encode()) / 1000:.0f} kB, {days:g} days, {len(pictures)} images\n")


def _status(settings: Settings, now: float, span: Span) -> Status:
    """Of the running miner; of what its files remember when none answers, and then it says so."""
    try:
        return ask(settings.state_dir, span)
    except OperatorError as error:
        sys.stderr.write(f"{error}\nreading its files instead\n")
    return status_from_files(settings, now, span)


def _pictures(settings: Settings, now: float, days: float) -> tuple[list[Picture], str]:
    try:
        return Gallery(log_folder(settings)).pictures(now, days=days, budget_s=None), ""
    except OperatorError as error:
        return [], str(error)


def _write(out: Path, text: str) -> None:
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OperatorError(f"{out} cannot be written ({reason(error)}): name another file with --out") from error

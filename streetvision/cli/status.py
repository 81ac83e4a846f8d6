"""`streetvision status`: where the miner stands and what it does, once or watched."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from streetvision.cli.shared import AsJson, StateDir, miner_settings, print_json
from streetvision.cli.status_plain import plain_report
from streetvision.control.client import SOCKET_NAME, call
from streetvision.doctor.live import lock_holder
from streetvision.errors import OperatorError
from streetvision.state_folder import WORK
from streetvision.status.shape import OPERATION, SCHEMA, Span, Status
from streetvision.status.wording import printable

Show = Callable[[Status | OperatorError], None]
SPARK_INTERVALS = 40


def status(
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show it again and again, until Ctrl-C.")] = False,
    interval: Annotated[
        float, typer.Option(min=0.2, max=3600.0, metavar="SECONDS", help="Between two looks of --watch.")
    ] = 2.0,
    days: Annotated[float, typer.Option(min=0.01, max=3650.0, help="Days that the sparklines span.")] = 7.0,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """How the running miner stands: rank, emission, requests, latencies, model, validators, findings."""
    folder = miner_settings(state_dir).state_dir
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # an old locale lacks some of the signs
    with _shown(as_json, watch) as (show, intervals):
        if not watch:
            show(ask(folder, Span(days, intervals())))
            return
        with suppress(KeyboardInterrupt):  # the way to end it
            for found in _looks(folder, days, intervals, interval):
                show(found)


def ask(folder: Path, span: Span) -> Status:
    """The miner that runs in a state folder; OperatorError when there is none, or one that speaks of other things."""
    try:
        found = call(folder / SOCKET_NAME, OPERATION, asdict(span))
    except OperatorError as error:
        if lock_holder(folder / f"{WORK}.lock") is None or (folder / SOCKET_NAME).exists():
            raise
        raise OperatorError(f"a miner is starting in {folder}: wait until its log says `ready`") from error
    if found.get("schema") != SCHEMA:
        raise OperatorError("the miner is of another version than this command: restart the miner")
    return cast(Status, found)


def _looks(folder: Path, days: float, intervals: Callable[[], int], seconds: float) -> Iterator[Status | OperatorError]:
    """A look each `seconds`; a miner that is restarted meanwhile is waited for."""
    yield ask(folder, Span(days, intervals()))
    while True:
        time.sleep(seconds)
        try:
            yield ask(folder, Span(days, intervals()))
        except OperatorError as error:
            yield error


@contextmanager
def _shown(as_json: bool, watch: bool) -> Iterator[tuple[Show, Callable[[], int]]]:
    """What shows a look, and how many intervals its series should have."""
    from rich.console import Console

    console = Console()
    if as_json:
        yield _told(lambda found: print_json(cast(dict[str, Any], found))), lambda: SPARK_INTERVALS
    elif not console.is_terminal:
        yield _told(lambda found: _write(plain_report(_clean(found)), watch)), lambda: SPARK_INTERVALS
    elif watch:
        with _screen(console) as shown:
            yield shown
    else:
        from streetvision.cli.status_view import spark_width, view

        width = console.width
        yield _told(lambda found: console.print(view(_clean(found), width))), lambda: spark_width(width)


def _told(show: Callable[[Status], None]) -> Show:
    """Show a look on stdout, and why there is none on stderr."""

    def tell(found: Status | OperatorError) -> None:
        if isinstance(found, OperatorError):
            sys.stderr.write(f"{found}\n")
        else:
            show(found)

    return tell


def _write(text: str, watch: bool) -> None:
    sys.stdout.write(f"{text}\n\n" if watch else f"{text}\n")
    sys.stdout.flush()


@contextmanager
def _screen(console: Any) -> Iterator[tuple[Show, Callable[[], int]]]:  # noqa: ANN401 - rich is imported where used
    """The whole terminal, given back as it was."""
    from rich.live import Live
    from rich.text import Text

    from streetvision.cli.status_view import spark_width, view

    with Live(console=console, screen=True, auto_refresh=False, vertical_overflow="crop") as live:

        def show(found: Status | OperatorError) -> None:
            if isinstance(found, OperatorError):
                live.update(Text(f"{found}\n\nwaiting for it; Ctrl-C ends this", style="yellow"), refresh=True)
            else:
                live.update(view(_clean(found), console.width, console.height), refresh=True)

        yield show, lambda: spark_width(console.width)


def _clean(found: Status) -> Status:
    return cast(Status, printable(dict(found)))

"""`streetvision status`: where the miner stands and what it does, once or watched."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from streetvision import __version__
from streetvision.base.start_steps import Starting
from streetvision.cli.shared import AsJson, StateDir, miner_settings, print_json
from streetvision.control.client import MinerStarting
from streetvision.errors import OperatorError
from streetvision.status.asking import ask
from streetvision.status.schema import SCHEMA, Span, Status

if TYPE_CHECKING:
    from rich.console import Console

Show = Callable[[Status | OperatorError], None]
SPARK_INTERVALS = 40
PIPE_WIDTH = 80
"""Columns of the view where no terminal says how many there are."""
STARTING = 3
"""Exit code while the miner starts; 1 where none runs or answers."""


def status(
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show it again and again, until Ctrl-C.")] = False,
    interval: Annotated[
        float, typer.Option(min=0.2, max=3600.0, metavar="SECONDS", help="Between two looks of --watch.")
    ] = 2.0,
    days: Annotated[float, typer.Option(min=0.01, max=3650.0, help="Days that the sparklines span.")] = 7.0,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """How the running miner stands: rank, emission, requests, latencies, model, validators, findings.

    Exit code 0 when it answers, 3 while it is starting, 1 when none runs or it does not answer.
    """
    folder = miner_settings(state_dir).state_dir
    with _shown(as_json, watch) as (show, intervals):
        if watch:
            with suppress(KeyboardInterrupt):  # the way to end it
                for found in _looks(folder, days, intervals, interval):
                    show(found)
            return
        try:
            show(ask(folder, Span(days, intervals())))
        except MinerStarting as error:
            show(error)
            raise typer.Exit(STARTING) from None


def starting_fields(starting: Starting, now: float) -> dict[str, Any]:
    """What a snapshot of a miner that only starts can say: the fields that it shares with every other."""
    return {
        "schema": SCHEMA,
        "taken_at": now,
        "miner": {
            "state": "starting",
            "why": starting.words(now),
            "version": __version__,
            "pid": starting.pid,
            "started": starting.began,
            "step": starting.step,
            "step_since": starting.since,
        },
    }


def _looks(folder: Path, days: float, intervals: Callable[[], int], seconds: float) -> Iterator[Status | OperatorError]:
    """A look each `seconds`; a miner that starts, or is restarted meanwhile, is waited for."""
    seen = False
    while True:
        try:
            yield ask(folder, Span(days, intervals()))
        except OperatorError as error:
            if not (seen or isinstance(error, MinerStarting)):
                raise
            yield error
        seen = True
        time.sleep(seconds)


@contextmanager
def _shown(as_json: bool, watch: bool) -> Iterator[tuple[Show, Callable[[], int]]]:
    """What shows a look, and how many intervals its series should have."""
    if as_json:
        yield _as_json, lambda: SPARK_INTERVALS
        return
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = min(console.width, PIPE_WIDTH)
    if watch and console.is_terminal:
        with _screen(console) as shown:
            yield shown
        return
    from streetvision.cli.status_view import spark_width

    yield _printed(console, "\n" if watch else ""), lambda: spark_width(console.width)


def _as_json(found: Status | OperatorError) -> None:
    if isinstance(found, MinerStarting):
        print_json(starting_fields(found.starting, time.time()))
    elif isinstance(found, OperatorError):
        sys.stderr.write(f"{found}\n")
    else:
        print_json(cast(dict[str, Any], found))


def _printed(console: Console, after: str) -> Show:
    """Print a look on stdout, and why there is none on stderr; rich leaves colours out where no terminal is."""

    def show(found: Status | OperatorError) -> None:
        if isinstance(found, MinerStarting):
            console.print(f"starting: {found.starting.words(time.time())}", markup=False, soft_wrap=True)
        elif isinstance(found, OperatorError):
            sys.stderr.write(f"{found}\n")
        else:
            console.print(_view(found, console.width), end=after)
        sys.stdout.flush()

    return show


@contextmanager
def _screen(console: Console) -> Iterator[tuple[Show, Callable[[], int]]]:
    """The whole terminal, given back as it was."""
    from rich.live import Live
    from rich.text import Text

    from streetvision.cli.status_view import spark_width

    with Live(console=console, screen=True, auto_refresh=False, vertical_overflow="crop") as live:

        def show(found: Status | OperatorError) -> None:
            if isinstance(found, OperatorError):
                live.update(Text(f"{found}\n\nwaiting for it; Ctrl-C ends this", style="yellow"), refresh=True)
            else:
                live.update(_view(found, console.width, console.height), refresh=True)

        yield show, lambda: spark_width(console.width)


def _view(found: Status, width: int, height: int | None = None) -> Any:  # noqa: ANN401 - rich is imported where used
    from streetvision.cli.status_view import view
    from streetvision.status.wording import printable

    return view(cast(Status, printable(dict(found))), width, height)

"""What several commands share: the state folder, progress on a terminal, JSON lines, how they are stopped."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import Annotated, Any

import typer

from streetvision.base.paths import current_folder
from streetvision.base.state_folder import require_folder
from streetvision.cli.progress_lines import ProgressLines
from streetvision.errors import OperatorError
from streetvision.settings.loading import load_settings
from streetvision.settings.settings import Settings

StateDir = Annotated[
    Path | None,
    typer.Option(
        "--state_dir",
        help="The miner's state folder. Default: STREETVISION_STATE_DIR, or ~/.streetvision.",
    ),
]
ENDING = (signal.SIGINT, signal.SIGTERM)
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object per line.")]


def miner_settings(state_dir: Path | None) -> Settings:
    """The settings that a miner started here would have; its own warnings are left to it."""
    flags = [] if state_dir is None else ["--state_dir", str(state_dir)]
    settings = load_settings(flags, os.environ, cwd=current_folder(), warn=lambda _: None)
    require_folder(settings.state_dir)
    return settings


def terminal_width() -> int | None:
    """Columns of the terminal that stdout is; None where it is a pipe or a file, which take lines of any length."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def print_json(fields: Mapping[str, Any]) -> None:
    """One object on a line of stdout, at once: a pipe's reader may be waiting. JSON knows no NaN: it becomes null."""
    sys.stdout.write(json.dumps(_finite(fields), allow_nan=False) + "\n")
    sys.stdout.flush()


def _finite(value: Any) -> Any:  # noqa: ANN401  # whatever JSON holds
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(part) for key, part in value.items()}
    return [_finite(part) for part in value] if isinstance(value, list | tuple) else value


def check_page(path: Path) -> None:
    """Tell of a place that no page can be written to, before anything is worked out for it; raises OperatorError."""
    if path.is_dir():
        raise OperatorError(f"{path} is a folder: name a file in it with --report.")
    if not path.absolute().parent.is_dir():
        raise OperatorError(f"The folder of {path} does not exist: name another file with --report.")


@contextmanager
def sigterm_as_ctrl_c() -> Iterator[None]:
    """SIGTERM ends the work within as Ctrl-C does, by KeyboardInterrupt."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def progress_bar(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on stderr where that is a terminal, lines now and then elsewhere; yields what to call with each step."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield ProgressLines().counting(label, total)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(label, total=total)
        yield lambda steps: bar.advance(task, steps)


@contextmanager
def stopping(first: str) -> Iterator[Callable[[], bool]]:
    """Ctrl-C or SIGTERM says `first` and asks the work to stop; a second one ends it. Yields whether it was asked."""
    asked = threading.Event()

    def ask(number: int, frame: object) -> None:
        asked.set()
        for one in ENDING:
            signal.signal(one, signal.default_int_handler)
        typer.echo(f"{first}; Ctrl-C again ends it at once", err=True)

    before = [signal.signal(one, ask) for one in ENDING]
    try:
        yield asked.is_set
    finally:
        for one, handler in zip(ENDING, before, strict=True):
            signal.signal(one, handler)

"""The miner's process: settings, signals, exit code. The miner itself is composed in miner.py."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import termios
import threading
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, NoReturn

import uvloop
from loguru import logger

from streetvision.config import Settings
from streetvision.errors import OperatorError
from streetvision.logs import close_log, configure_logging, take_over_streams
from streetvision.miner import Miner
from streetvision.settings_io import load_settings

ABANDON_SECONDS = 2.0
"""Longest wait for a start-up step that is being cancelled."""

CLOSE_SECONDS = 12.5
"""Longest wait for the drain and the closing of every room: with the one above the process ends within 15 s."""


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the miner until a signal; exit 0 after a drain, 1 with one sentence when it cannot start."""
    leave(run_operation(sys.argv[1:] if argv is None else argv, run))


def run_operation(arguments: Sequence[str], operation: Callable[[Settings], Coroutine[Any, Any, int]]) -> int:
    """Read the settings, set up the log, run the operation; an OperatorError is one line and exit code 1."""
    early: list[str] = []
    try:
        settings = load_settings(arguments, os.environ, cwd=Path.cwd(), warn=early.append)
    except OperatorError as error:
        configure_logging(as_json=_wants_json(arguments))
        logger.error("{}", error)
        return 1
    configure_logging(debug=settings.logging_debug, as_json=settings.logging_json)
    for sentence in early:
        logger.warning("{}", sentence)
    try:
        # Not uvloop.run: it would wait for a thread that still compiles the model or waits for a password.
        return uvloop.new_event_loop().run_until_complete(operation(settings))
    except OperatorError as error:
        logger.error("{}", error)
        return 1


def _wants_json(arguments: Sequence[str]) -> bool:
    """Whether the log was meant to be JSON, as far as can be told when the settings could not be read."""
    return "--logging.json" in arguments or os.environ.get("LOGGING_JSON", "").lower() in {"1", "true", "yes", "on"}


async def run(settings: Settings) -> int:
    """Start, serve until SIGTERM or SIGINT, drain; returns the exit code."""
    take_over_streams(as_json=settings.logging_json)
    miner = Miner(settings)
    stop = stop_on_signals()
    try:
        if not await finished_before(stop, miner.start()):
            logger.info("stopped before the miner was ready")
            return 0
        await finished_before(stop, miner.serve())
    finally:
        await close_in_time(miner)
    logger.info("stopped")
    return 0


async def close_in_time(miner: Miner) -> None:
    """Close the miner; what takes too long is abandoned."""
    closing = asyncio.create_task(miner.close())
    _, late = await asyncio.wait({closing}, timeout=CLOSE_SECONDS)
    if late:
        logger.warning("closing took longer than {:g} s; what is left is abandoned", CLOSE_SECONDS)


def stop_on_signals() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, _on_signal, name, stop)
    return stop


def _on_signal(name: signal.Signals, stop: asyncio.Event) -> None:
    logger.info("{}: {}", name.name, "still draining" if stop.is_set() else "stopping")
    stop.set()


async def finished_before(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Run `work` unless `stop` comes first; whether it finished. Its exception is raised."""
    task, stopped = asyncio.create_task(work), asyncio.create_task(stop.wait())
    await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=ABANDON_SECONDS)
        return False
    await task
    return True


def leave(code: int) -> NoReturn:
    """End the process. A thread that compiles the model or waits for a password cannot be interrupted: it is left."""
    lingering = [t.name for t in threading.enumerate() if t is not threading.main_thread() and not t.daemon]
    close_log()
    sys.stdout.flush()
    if lingering:
        _show_typing()
        os._exit(code)
    sys.exit(code)


def _show_typing() -> None:
    """A password prompt that was left behind has switched the terminal's echo off."""
    if sys.stdin.isatty():
        attributes = termios.tcgetattr(sys.stdin)
        attributes[3] |= termios.ECHO
        termios.tcsetattr(sys.stdin, termios.TCSANOW, attributes)  # draining waits while the terminal is stopped

"""The miner's process: settings, signals, exit code. The miner itself is composed in miner.py."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import termios
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import uvloop
from loguru import logger

from streetvision.base.logs import close_log, configure_logging, take_over_streams
from streetvision.base.paths import current_folder
from streetvision.base.start_steps import LIBRARIES, StartSteps
from streetvision.errors import EXIT_RESTART, EXIT_UNCLEAN, OperatorError
from streetvision.miner.early_signals import check_files
from streetvision.settings.loading import load_settings
from streetvision.settings.settings import Settings

if TYPE_CHECKING:
    from streetvision.miner.miner import Miner

ABANDON_SECONDS = 2.0
"""Longest wait for a start-up step that is being cancelled."""

CLOSE_SECONDS = 12.5
"""Longest wait for the drain and the closing of every part: with the one above the process ends within 15 s."""


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the miner until a signal, then exit: 0 after an orderly stop, else as errors.py says."""
    leave(run_operation(sys.argv[1:] if argv is None else argv, start))


def run_operation(arguments: Sequence[str], operation: Callable[[Settings], Coroutine[Any, Any, int]]) -> int:
    """Read the settings, set up the log, run the operation; an OperatorError is one line, a defect a traceback."""
    early: list[str] = []
    try:
        settings = load_settings(arguments, os.environ, cwd=current_folder(), warn=early.append)
    except OperatorError as error:
        configure_logging(as_json=_wants_json(arguments))
        logger.error("{}", error)
        return error.exit_code
    configure_logging(debug=settings.logging_debug, as_json=settings.logging_json)
    for sentence in early:
        logger.warning("{}", sentence)
    try:
        # Not uvloop.run: it would wait for a thread that still compiles the model or waits for a password.
        return uvloop.new_event_loop().run_until_complete(operation(settings))
    except OperatorError as error:
        logger.error("{}", error)
        return error.exit_code
    except Exception:  # noqa: BLE001 - a thread that is left behind would keep the process from ending
        logger.exception("a defect ended the process; please report it")
        return EXIT_UNCLEAN


def _wants_json(arguments: Sequence[str]) -> bool:
    """Whether the log was meant to be JSON, as far as can be told when the settings could not be read."""
    return "--logging.json" in arguments or os.environ.get("LOGGING_JSON", "").lower() in {"1", "true", "yes", "on"}


def start(settings: Settings) -> Coroutine[Any, Any, int]:
    """Check what needs no heavy import, import the rest as the first step of the start, and give what runs it."""
    check_files(settings)
    take_over_streams(as_json=settings.logging_json)
    steps = StartSteps(settings.state_dir)
    try:
        steps.begin(LIBRARIES)
        from streetvision.miner.miner import Miner

        return run(Miner(settings, steps))
    except BaseException:
        steps.close()
        raise


async def run(miner: Miner) -> int:
    """Start, serve until SIGTERM or SIGINT, drain; returns the exit code."""
    stop = stop_on_signals()
    try:
        words = await _serve(miner, stop)
    except BaseException as error:
        await close_in_time(miner, error)
        raise
    clean = await close_in_time(miner)
    logger.info("{}", words if clean else f"{words}, though not in order: the lines above say why")
    return 0 if clean else EXIT_UNCLEAN


async def _serve(miner: Miner, stop: asyncio.Event) -> str:
    """Until `stop` is set; how that ended, for the log."""
    if not await finished_before(stop, miner.start()):
        return "stopped before the miner was ready"
    await finished_before(stop, miner.serve())
    return "stopped"


async def close_in_time(miner: Miner, error: BaseException | None = None) -> bool:
    """Close the miner, which `error` ended; whether all of it closed in order. What takes too long is abandoned."""
    closing = asyncio.create_task(miner.close(error))
    _, late = await asyncio.wait({closing}, timeout=CLOSE_SECONDS)
    if late:
        logger.error("closing took longer than {:g} s; what is left is abandoned", CLOSE_SECONDS)
        return False
    try:
        return closing.result()
    except (Exception, asyncio.CancelledError):  # noqa: BLE001 - the exit code tells
        logger.exception("closing failed")
        return False


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
    """End the process. A thread that compiles the model or waits for a password cannot be interrupted: it is left.

    So is the interpreter's own end after a lost device or a closing that was abandoned: the driver may hang in it.
    """
    lingering = [t.name for t in threading.enumerate() if t is not threading.main_thread() and not t.daemon]
    close_log()
    sys.stdout.flush()
    if lingering or code in (EXIT_RESTART, EXIT_UNCLEAN):
        _show_typing()
        os._exit(code)
    sys.exit(code)


def _show_typing() -> None:
    """A password prompt that was left behind has switched the terminal's echo off."""
    if sys.stdin.isatty():
        attributes = termios.tcgetattr(sys.stdin)
        attributes[3] |= termios.ECHO
        termios.tcsetattr(sys.stdin, termios.TCSANOW, attributes)  # draining waits while the terminal is stopped

"""The miner's process: settings, signals, exit code. The miner itself is composed in miner.py."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, NoReturn

import uvloop
from loguru import logger

from streetvision.config import Settings
from streetvision.errors import OperatorError
from streetvision.logs import configure_logging
from streetvision.miner import Miner
from streetvision.settings_io import load_settings

ABANDON_SECONDS = 2.0
"""Longest wait for a start-up step that is being cancelled."""

CLOSE_SECONDS = 12.5
"""Longest wait for the drain and the closing of every room: with the one above the process ends within 15 s."""


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the miner until a signal; exit 0 after a drain, 1 with one sentence when it cannot start."""
    configure_logging()
    try:
        settings = load_settings(
            sys.argv[1:] if argv is None else argv, os.environ, cwd=Path.cwd(), warn=logger.warning
        )
        configure_logging(debug=settings.logging_debug, as_json=settings.logging_json)
        # Not uvloop.run: it would wait for a model that is still compiling on its thread.
        code = uvloop.new_event_loop().run_until_complete(run(settings))
    except OperatorError as error:
        logger.error("{}", error)
        code = 1
    _exit(code)


async def run(settings: Settings) -> int:
    """Start, serve until SIGTERM or SIGINT, drain; returns the exit code."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, _on_signal, name, stop)
    miner = Miner(settings)
    try:
        if not await _finished_before(stop, miner.start()):
            logger.info("stopped before the miner was ready")
            return 0
        await _finished_before(stop, miner.serve())
    finally:
        closing = asyncio.create_task(miner.close())
        _, late = await asyncio.wait({closing}, timeout=CLOSE_SECONDS)
        if late:
            logger.warning("closing took longer than {:g} s; what is left is abandoned", CLOSE_SECONDS)
    logger.info("stopped")
    return 0


def _on_signal(name: signal.Signals, stop: asyncio.Event) -> None:
    logger.info("{}: {}", name.name, "still draining" if stop.is_set() else "stopping")
    stop.set()


async def _finished_before(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
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


def _exit(code: int) -> NoReturn:
    """Leave; a thread that still compiles the model cannot be interrupted, so it is left behind."""
    lingering = [t.name for t in threading.enumerate() if t is not threading.main_thread() and not t.daemon]
    sys.stdout.flush()
    sys.stderr.flush()
    if lingering:
        os._exit(code)
    sys.exit(code)

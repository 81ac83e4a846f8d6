"""`make demo`: the real miner on the mock network in one process, a simulated validator in another."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from rich.console import Console

from streetvision.challenge.target import pictures_in
from streetvision.demo.display import Display
from streetvision.demo.programs import STARTUP_PATIENCE_S, STOP_PATIENCE_S, miner_command, validator_command
from streetvision.errors import OperatorError

CHALLENGE_PERIOD_S = 0.4


def run_demo(seconds: float, photos: Path | None) -> int:
    """Run the demo; `seconds` of challenges after the miner is ready, 0 for no end. Returns the exit code.

    `photos`: a folder of street photos without roadwork, to be sent as well; OperatorError when it holds none.
    """
    if photos is not None:
        pictures_in([photos])
    return asyncio.run(_run(seconds, photos, Display(Console())))


async def _run(seconds: float, photos: Path | None, display: Display) -> int:
    stop = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    # A short path: a Unix socket's name may have about 100 characters.
    with tempfile.TemporaryDirectory(prefix="sv-demo-") as folder:
        state = Path(folder)
        display.introduce(seconds, photos)
        async with _process(*miner_command(state), stdout=DEVNULL, stderr=PIPE) as miner:
            told = asyncio.create_task(_tell_miner(miner, display))
            if not await _until(display.ready, stop, miner, STARTUP_PATIENCE_S):
                told.cancel()
                return display.fail_to_start(miner.returncode, stopped=stop.is_set())
            async with _process(*_validator_command(state, photos), stdout=PIPE) as validator:
                shown = asyncio.create_task(_tell_validator(validator, display))
                await _until(stop, stop, miner, seconds or None, validator)
                shown.cancel()
            code = await _terminate(miner)
            await asyncio.wait({told}, timeout=1.0)
    return display.summarize(miner_exit=code)


def _validator_command(state: Path, photos: Path | None) -> list[str]:
    return validator_command(state, CHALLENGE_PERIOD_S, *(["--photos", str(photos)] if photos else []))


@contextlib.asynccontextmanager
async def _process(*arguments: str, stdout: int | None = None, stderr: int | None = None) -> AsyncIterator[Process]:
    """A child in a session of its own, so that Ctrl-C reaches only this process; stopped at the end."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DEMO_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        stdout=stdout,
        stderr=stderr,
        env=environment,
        start_new_session=True,
        limit=1 << 20,
    )
    try:
        yield process
    finally:
        await _terminate(process)


async def _terminate(process: Process) -> int:
    if process.returncode is None:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_PATIENCE_S)
        except TimeoutError:
            process.kill()
    return await process.wait()


async def _until(
    event: asyncio.Event, stop: asyncio.Event, miner: Process, patience: float | None, *others: Process
) -> bool:
    """Wait for `event`, a stop, a process that ends, or the time; whether `event` came and the miner lives."""
    waits = {
        asyncio.ensure_future(work) for work in (event.wait(), stop.wait(), miner.wait(), *(p.wait() for p in others))
    }
    await asyncio.wait(waits, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
    return event.is_set() and miner.returncode is None


async def _tell_miner(miner: Process, display: Display) -> None:
    async for line in _json_lines(miner.stderr):
        display.miner_says(line)


async def _tell_validator(validator: Process, display: Display) -> None:
    async for event in _json_lines(validator.stdout):
        display.validator_says(event)


async def _json_lines(stream: asyncio.StreamReader | None) -> AsyncIterator[dict[str, Any]]:
    if stream is None:
        raise OperatorError("a child process has no pipe")
    async for line in stream:
        try:
            yield json.loads(line)
        except ValueError:
            yield {"level": "WARNING", "message": line.decode(errors="replace").rstrip(), "time": time.time()}

"""A state folder for the command, and a miner that answers at its control socket."""

from __future__ import annotations

import asyncio
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from streetvision.control.client import SOCKET_NAME
from streetvision.control.server import ControlServer, Handler

Answer = Callable[[Mapping[str, Handler]], None]


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state folder with a short path; the command runs in it and sees no settings of this machine."""
    with tempfile.TemporaryDirectory(prefix="sv-") as name:
        monkeypatch.chdir(name)
        monkeypatch.setenv("STREETVISION_STATE_DIR", name)
        yield Path(name)


@pytest.fixture
def answer(state: Path) -> Iterator[Answer]:
    """Answer so at the state folder's socket until the test ends, on a loop in a thread of its own."""
    with ExitStack() as stack:
        yield lambda handlers: stack.enter_context(_answering(state / SOCKET_NAME, handlers))


@contextmanager
def _answering(path: Path, handlers: Mapping[str, Handler]) -> Iterator[None]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def do(work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, loop).result(10)

    server = ControlServer(path, handlers)
    do(server.start())
    yield
    do(server.close())
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()

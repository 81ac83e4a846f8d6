"""A miner's models in a thread of their own: the real manager, engine and control server over fake models."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeVar

from streetvision.control.client import SOCKET_NAME
from streetvision.control.operations import model_operations
from streetvision.control.server import ControlServer
from streetvision.registry.registry import REGISTRY_FOLDER

from ..rollout.conftest import FakeModel, House, honest

Result = TypeVar("Result")


class RunningMiner:
    """Start it with `with`; every method may be called from the test's thread."""

    def __init__(self, state: Path) -> None:
        self.house = House(state / REGISTRY_FOLDER)
        self._socket = state / SOCKET_NAME
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> RunningMiner:
        self._thread.start()
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def add(self, version: str, **behaviour: Any) -> FakeModel:
        """A version in the registry, which answered the golden pictures then as it does now."""
        self.house.recorded[version] = behaviour.get("answer", honest)
        return self.house.add(version, **behaviour)

    def open(self) -> None:
        """Start, or start again: the active version serves."""
        self.do(self._open())

    def close(self) -> None:
        """As when the miner ends."""
        self.do(self._close())

    def traffic(self, count: int = 20) -> None:
        """So many different pictures, and a look at the gates."""
        self.do(self._traffic(count))

    def status(self) -> Mapping[str, Any]:
        """As the control socket says it."""
        return self.house.manager.status()

    def decisions(self, version: str) -> list[str]:
        """Events about a version, oldest first."""
        return [event for event, about in self.house.events() if about == version]

    def ask(self, call: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """Have the manager do something, as the operator would."""
        return self.do(call())

    def do(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run it on the miner's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _open(self) -> None:
        manager = await self.house.open()
        self._server = ControlServer(self._socket, model_operations(manager))
        await self._server.start()

    async def _close(self) -> None:
        await self._server.close()
        await self.house.close()

    async def _traffic(self, count: int) -> None:
        await self.house.ask_many(count)
        await self.house.manager.tick()

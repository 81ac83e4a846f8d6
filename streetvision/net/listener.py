"""Guarded HTTP on bound sockets, for the axon and the operator's port: serve, then close every connection."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from streetvision.net.guarded_protocol import GuardedProtocol, Watch
from streetvision.net.limits import GuardCounter, HttpLimits


class Listener:
    """Serves one ASGI application within `limits`; what the guard counts goes to `counter`."""

    def __init__(self, app: Any, limits: HttpLimits, counter: GuardCounter, name: str) -> None:  # noqa: ANN401 - ASGI
        self._app, self._limits, self._counter, self._name = app, limits, counter, name
        self._state = ServerState()
        self._servers: list[asyncio.Server] = []
        self._watch: Watch | None = None
        self._watching: asyncio.Task[None] | None = None

    async def start(self, sockets: Sequence[socket.socket], max_connections: int) -> None:
        """Serve; above `max_connections` whoever deserves it least gives way."""
        watch = self._watch = Watch(self._limits, self._counter, max_connections)
        loop, settings = asyncio.get_running_loop(), self._uvicorn_settings()
        for bound in sockets:
            create = lambda: GuardedProtocol(settings, self._state, {}, loop, watch=watch)  # noqa: E731
            self._servers.append(await loop.create_server(create, sock=bound))
        self._watching = asyncio.create_task(watch.run(), name=self._name)

    async def close(self, grace_s: float) -> None:
        """Stop listening and close every connection; what is in flight gets `grace_s`. Safe to call twice."""
        for server in self._servers:
            server.close()
        if self._watch is None or self._watching is None:
            return
        for connection in self._watch.connections():
            connection.shutdown()
        await self._end_tasks(grace_s)
        for connection in self._watch.connections():
            connection.transport.abort()
        self._watching.cancel()
        await asyncio.gather(self._watching, *(s.wait_closed() for s in self._servers), return_exceptions=True)
        self._watch, self._servers = None, []

    async def _end_tasks(self, grace_s: float) -> None:
        if self._state.tasks:
            _, late = await asyncio.wait(set(self._state.tasks), timeout=grace_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _uvicorn_settings(self) -> uvicorn.Config:
        """What uvicorn's protocol needs to know; its server, signals, logs and proxies stay out."""
        settings = uvicorn.Config(
            self._app,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            timeout_keep_alive=int(self._limits.keep_alive_s),
        )
        settings.load()
        return settings

"""The operator's port: metrics, health and the status page, apart from the axon and by default on loopback alone."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Collection

import uvicorn
from loguru import logger
from prometheus_client import CollectorRegistry
from uvicorn.server import ServerState

from streetvision.axon.config import AxonConfig
from streetvision.axon.metrics import AxonMetrics
from streetvision.axon.protocol import GuardedProtocol, Watch
from streetvision.axon.sockets import listen
from streetvision.control.app import OperatorApp, Site
from streetvision.errors import OperatorError

CONNECTIONS = 64
"""More than one operator's tools open; above it the one that has waited longest gives way."""
_LIMITS = AxonConfig(
    hotkey="",
    max_connections=CONNECTIONS,
    max_header_bytes=8 << 10,
    header_timeout_s=5.0,
    body_timeout_s=2.0,
    max_body_bytes=0,
)
CLOSE_S = 1.0


class HttpServer:
    """Serves one site; `start` it first and `close` it last, so that it can say that the miner starts or drains.

    Connections are guarded as the axon's are: bounded headers and waiting, nothing pipelined without end.
    """

    def __init__(
        self, site: Site, registry: CollectorRegistry, *, address: str, port: int, hosts: Collection[str] = ()
    ) -> None:
        """`port` 0 lets the kernel choose; `hosts` are names that callers may use."""
        self._address, self._wanted = address, port
        self._app = OperatorApp(site, registry, hosts)
        self._state = ServerState()
        # What the guard counts belongs to the axon's series and is of no interest here.
        self._watch = Watch(_LIMITS, AxonMetrics(CollectorRegistry()), CONNECTIONS)
        self._servers: list[asyncio.Server] = []
        self._watching: asyncio.Task[None] | None = None
        self.port: int | None = None
        """What is served; None before `start`."""

    async def start(self) -> None:
        """Bind and serve; OperatorError with one sentence when the address cannot be had."""
        sockets = listen((self._address,), self._wanted, port_flag="--metrics.port", address_flag="--metrics.address")
        self.port = sockets[0].getsockname()[1]
        loop, config = asyncio.get_running_loop(), _uvicorn_config(self._app)
        for bound in sockets:
            create = lambda: GuardedProtocol(config, self._state, {}, loop, watch=self._watch)  # noqa: E731
            self._servers.append(await loop.create_server(create, sock=bound))
        self._watching = asyncio.create_task(self._watch.run(), name="http-watch")
        logger.info("metrics and health: {}", self.url)
        if not ipaddress.ip_address(self._address).is_loopback:
            logger.warning(
                "metrics: whoever reaches {} sees this miner's standing and its validators: let a firewall or a proxy "
                "with a password stand before it, or drop --metrics.address",
                self.url,
            )

    @property
    def url(self) -> str:
        """Where it is served; raises OperatorError before `start`."""
        if self.port is None:
            raise OperatorError("The operator's port is not open yet.")
        host = f"[{self._address}]" if ":" in self._address else self._address
        return f"http://{host}:{self.port}"

    async def close(self) -> None:
        """Stop listening and close every connection. Safe to call twice."""
        for server in self._servers:
            server.close()
        for connection in self._watch.connections():
            connection.shutdown()
        if self._state.tasks:
            _, late = await asyncio.wait(set(self._state.tasks), timeout=CLOSE_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for connection in self._watch.connections():
            connection.transport.abort()
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, *(s.wait_closed() for s in self._servers), return_exceptions=True)
        self._servers, self._watching = [], None


def _uvicorn_config(app: OperatorApp) -> uvicorn.Config:
    config = uvicorn.Config(
        app,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        timeout_keep_alive=30,
    )
    config.load()
    return config

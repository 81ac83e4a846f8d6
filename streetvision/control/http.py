"""The operator's port: metrics, health and the status page, apart from the axon and by default on loopback alone."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection

from loguru import logger
from prometheus_client import CollectorRegistry

from streetvision.control.app import OperatorApp, Site
from streetvision.errors import OperatorError
from streetvision.net.limits import HttpLimits, Uncounted
from streetvision.net.listener import Listener
from streetvision.net.sockets import listen

CONNECTIONS = 64
"""More than one operator's tools open; above it the one that has waited longest gives way."""
_LIMITS = HttpLimits(
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
        self,
        site: Site,
        registry: CollectorRegistry,
        *,
        address: str,
        port: int,
        hosts: Collection[str] = (),
        names: tuple[str, str] = ("--metrics.port", "--metrics.address"),
    ) -> None:
        """`port` 0 lets the kernel choose; `hosts` are names that callers may use; `names` are the settings' own."""
        self._address, self._wanted, self._names = address, port, names
        self._listener = Listener(OperatorApp(site, registry, hosts), _LIMITS, Uncounted(), "http-watch")
        self.port: int | None = None
        """What is served; None before `start`."""

    async def start(self) -> None:
        """Bind and serve; OperatorError with one sentence when the address cannot be had."""
        port_name, address_name = self._names
        sockets = listen((self._address,), self._wanted, port_flag=port_name, address_flag=address_name)
        self.port = sockets[0].getsockname()[1]
        await self._listener.start(sockets, CONNECTIONS)
        logger.info("metrics and health: {}", self.url)
        if not ipaddress.ip_address(self._address).is_loopback:
            logger.warning(
                "metrics: whoever reaches {} sees this miner's standing and its validators: let a firewall or a proxy "
                "with a password stand before it, or drop {}",
                self.url,
                address_name,
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
        await self._listener.close(CLOSE_S)

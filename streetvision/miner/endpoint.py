"""The address that validators should call: what is published on the chain."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from dataclasses import dataclass

from streetvision.errors import ConfigError
from streetvision.settings.settings import Settings

_LOOPBACK = "127.0.0.1"
_PRIVATE_NETWORKS = ("local",)
_PROBE = "192.0.2.1"
"""A documentation address (RFC 5737): connecting a UDP socket to it picks the route and sends nothing."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An IP address and a TCP port."""

    ip: str
    port: int

    @property
    def is_ipv6(self) -> bool:
        """Whether only callers that bracket the address can reach it."""
        return ":" in self.ip

    def __str__(self) -> str:
        return f"[{self.ip}]:{self.port}" if self.is_ipv6 else f"{self.ip}:{self.port}"


def own_addresses() -> list[str]:
    """The IPv4 address this machine uses for the default route; empty without a network.

    IPv6 is never chosen by itself: the dendrites of bittensor 9.x and 10.x cannot call an IPv6 endpoint that they read
    from the metagraph, because they put the address into the URL without brackets.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((_PROBE, 9))
        except OSError:
            return []
        return [str(probe.getsockname()[0])]


def external_endpoint(
    settings: Settings, bound_port: int, *, addresses: Callable[[], list[str]] = own_addresses
) -> Endpoint:
    """Where validators reach the axon; ConfigError when this machine cannot know it.

    No outside service is asked: an address behind NAT is the operator's to name.
    """
    port = settings.axon.external_port or bound_port
    if settings.axon.external_ip:
        return Endpoint(settings.axon.external_ip, port)
    if settings.is_mock:
        return Endpoint(settings.axon.ip if _specific(settings.axon.ip) else _LOOPBACK, port)
    candidates = [settings.axon.ip] if _specific(settings.axon.ip) else addresses()
    for address in candidates:
        if ipaddress.ip_address(address).is_global or settings.subtensor.network in _PRIVATE_NETWORKS:
            return Endpoint(address, port)
    seen = f"only {', '.join(candidates)}" if candidates else "no network address"
    raise ConfigError(
        f"this machine has {seen}, which validators cannot reach: name the public address with "
        f"--axon.external_ip (and forward its port {port} here)"
    )


def _specific(address: str) -> bool:
    return bool(address) and not ipaddress.ip_address(address).is_unspecified

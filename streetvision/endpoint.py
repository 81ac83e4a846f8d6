"""The address that validators should call: what is published on the chain."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from dataclasses import dataclass

from streetvision.config import Settings
from streetvision.errors import ConfigError

_LOOPBACK = "127.0.0.1"
_PRIVATE_NETWORKS = ("local",)
# Documentation addresses (RFC 5737, RFC 3849): connecting a UDP socket picks the route and sends nothing.
_PROBES = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An IP address and a TCP port."""

    ip: str
    port: int

    def __str__(self) -> str:
        return f"[{self.ip}]:{self.port}" if ":" in self.ip else f"{self.ip}:{self.port}"


def own_addresses() -> list[str]:
    """The addresses this machine uses for the default routes, IPv4 first; empty without a network."""
    found = []
    for family, probe in _PROBES:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            try:
                sock.connect((probe, 9))
            except OSError:
                continue
            found.append(str(sock.getsockname()[0]))
    return found


def external_endpoint(
    settings: Settings, bound_port: int, *, addresses: Callable[[], list[str]] = own_addresses
) -> Endpoint:
    """Where validators reach the axon; ConfigError when this machine cannot know it.

    No outside service is asked: an address behind NAT is the operator's to name.
    """
    port = settings.axon_external_port or bound_port
    if settings.axon_external_ip:
        return Endpoint(settings.axon_external_ip, port)
    if settings.is_mock:
        return Endpoint(settings.axon_ip if _specific(settings.axon_ip) else _LOOPBACK, port)
    candidates = [settings.axon_ip] if _specific(settings.axon_ip) else addresses()
    for address in candidates:
        if ipaddress.ip_address(address).is_global or settings.subtensor_network in _PRIVATE_NETWORKS:
            return Endpoint(address, port)
    seen = f"only {', '.join(candidates)}" if candidates else "no network address"
    raise ConfigError(
        f"this machine has {seen}, which validators cannot reach: name the public address with "
        f"--axon.external_ip (and forward its port {port} here)"
    )


def _specific(address: str) -> bool:
    return bool(address) and not ipaddress.ip_address(address).is_unspecified

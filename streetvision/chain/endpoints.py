"""Which chain endpoints to try, and which axon endpoint may be published."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from bittensor.settings import NETWORKS, default_fallback_endpoints, resolve_endpoint

from streetvision.errors import ConfigError

MOCK_NETWORK = "mock"
"""The network name of the in-memory chain."""

PUBLIC_NETWORKS = frozenset({"finney", "test", "archive"})
"""Where an axon on a private or loopback address is a mistake."""


def endpoints_of(network: str, chain_endpoint: str | None = None, fallbacks: Sequence[str] = ()) -> tuple[str, ...]:
    """Endpoints to try, in order: the one given or the network's own, the given fallbacks, the network's public ones.

    `network` is `finney`, `test`, `local`, `archive`, `devnet`, `mock` or a ws:// or wss:// address; else ConfigError.
    A given endpoint replaces the network's own and its public fallbacks.
    """
    if network == MOCK_NETWORK:
        return (MOCK_NETWORK,)
    if chain_endpoint is not None:
        return _unique((_checked(chain_endpoint), *map(_checked, fallbacks)))
    try:
        label, primary = resolve_endpoint(network)
    except ValueError as error:
        known = ", ".join([*NETWORKS, MOCK_NETWORK])
        raise ConfigError(f"Unknown network {network!r}: use one of {known}, or a ws:// or wss:// address.") from error
    public = default_fallback_endpoints(label) if label == network else []
    return _unique((primary, *map(_checked, fallbacks), *public))


def _checked(endpoint: str) -> str:
    if not endpoint.startswith(("ws://", "wss://")):
        raise ConfigError(f"Chain endpoint {endpoint!r} must start with ws:// or wss://.")
    return endpoint


def _unique(endpoints: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(endpoints))


def reachable_address(ip: str, port: int, network: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The address to publish; ConfigError when validators could not reach it on that network."""
    try:
        address = ipaddress.ip_address(ip)
    except ValueError as error:
        raise ConfigError(
            f"{ip!r} is not an IP address: set --axon.external_ip to this machine's public one."
        ) from error
    public_only = network in PUBLIC_NETWORKS and not address.is_global
    if address.is_unspecified or address.is_multicast or public_only:
        raise ConfigError(f"{ip} cannot be reached by validators: set --axon.external_ip to this machine's public one.")
    if not 0 < port < 65536:
        raise ConfigError(f"Port {port} is not between 1 and 65535: set --axon.external_port.")
    return address

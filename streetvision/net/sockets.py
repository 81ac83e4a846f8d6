"""Listening sockets, bound before anything serves so that a taken port is an error at start."""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence

from loguru import logger

from streetvision.errors import OperatorError, reason

_ABSENT = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT)


def listen(
    hosts: Sequence[str],
    port: int,
    backlog: int = 2048,
    *,
    port_flag: str = "--axon.port",
    address_flag: str = "--axon.ip",
) -> list[socket.socket]:
    """Bind and listen on every host with one port (0: the kernel's choice for the first, then the same).

    A host without IPv6 serves IPv4 alone when `::` was one of several; every other failure is an OperatorError
    that names the flag to change.
    """
    if not hosts:
        raise OperatorError(f"There is no address to listen on: set {address_flag} to an address of this machine.")
    bound: list[socket.socket] = []
    try:
        for host in hosts:
            try:
                opened = _listen_one(host, port, backlog, optional=host == "::" and len(hosts) > 1)
            except (OSError, OverflowError) as error:
                raise _explain(host, port, error, port_flag, address_flag) from error
            if opened is not None:
                bound.append(opened)
                port = opened.getsockname()[1]
    except OperatorError:
        for opened in bound:
            opened.close()
        raise
    if not bound:
        raise OperatorError(f"No address could be bound: set {address_flag} to an address of this machine.")
    return bound


def _listen_one(host: str, port: int, backlog: int, *, optional: bool) -> socket.socket | None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened: socket.socket | None = None
    try:
        opened = socket.socket(family, socket.SOCK_STREAM)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.bind((host, port))
        opened.listen(backlog)
        opened.setblocking(False)
    except (OSError, OverflowError) as error:
        if opened is not None:
            opened.close()
        if optional and isinstance(error, OSError) and error.errno in _ABSENT:
            logger.info("This machine has no IPv6: the axon serves IPv4 only.")
            return None
        raise
    return opened


def _explain(host: str, port: int, error: OSError | OverflowError, port_flag: str, address_flag: str) -> OperatorError:
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.EADDRINUSE:
        return OperatorError(
            f"Port {port} on {host} is already in use: stop the process that holds it or choose another {port_flag}."
        )
    if number in (errno.EACCES, errno.EPERM):
        return OperatorError(f"No permission to listen on port {port}: choose a {port_flag} of 1024 or more.")
    if isinstance(error, OverflowError):
        return OperatorError(f"{port} is not a port: choose a {port_flag} between 1 and 65535.")
    return OperatorError(
        f"Cannot listen on {host}: set {address_flag} to an address of this machine ({reason(error)})."
    )

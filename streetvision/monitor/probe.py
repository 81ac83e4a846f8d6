"""Tries the published endpoint as a validator would: a connection to the public address, and the axon's greeting."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from streetvision.axon.app import GREETING
from streetvision.monitor.observation import Probe

TIMEOUT_S = 5.0
_LIMIT = 4096


async def probe_endpoint(endpoint: str, *, timeout_s: float = TIMEOUT_S, now: Callable[[], float] = time.time) -> Probe:
    """One try at `ip:port` (`[ip6]:port`); never raises, and takes at most `timeout_s`."""
    host, _, port = endpoint.rpartition(":")
    host = host.strip("[]")
    try:
        reply = await asyncio.wait_for(_greeting(host, int(port), endpoint), timeout_s)
    except TimeoutError:
        return Probe(endpoint, False, f"no answer within {timeout_s:g} s", now())
    except (OSError, ValueError) as error:
        return Probe(endpoint, False, _words(error), now())
    if GREETING.strip() in reply:
        return Probe(endpoint, True, "the axon greets", now())
    return Probe(endpoint, False, "something else answers at this address", now())


async def _greeting(host: str, port: int, endpoint: str) -> bytes:
    reader, writer = await asyncio.open_connection(host, port, limit=_LIMIT)
    try:
        writer.write(f"GET / HTTP/1.1\r\nHost: {endpoint}\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        reply = b""
        while GREETING.strip() not in reply and len(reply) < _LIMIT and (part := await reader.read(_LIMIT)):
            reply += part
        return reply
    finally:
        writer.close()


def _words(error: OSError | ValueError) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__

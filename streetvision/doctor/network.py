"""Checks of what others see: the chain's view of this hotkey, and the port that validators call."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Sequence

from streetvision.axon.app import GREETING
from streetvision.base.steady_clock import kernel_synchronised
from streetvision.chain.client import Chain, Deadlines
from streetvision.chain.endpoints import endpoints_of
from streetvision.chain.metagraph import MetagraphSnapshot
from streetvision.doctor.check import Check, failure, ok, skipped, warning
from streetvision.errors import OperatorError
from streetvision.miner.endpoint import Endpoint
from streetvision.monitor.clock import Verdict, verdict
from streetvision.monitor.observation import Probe
from streetvision.monitor.probe import probe_endpoint
from streetvision.net.sockets import listen
from streetvision.settings.settings import Settings

OpenChain = Callable[[Settings], Chain]
Try = Callable[[str], Awaitable[Probe]]


def open_chain(settings: Settings) -> Chain:
    """The chain of the settings, with less patience than a miner has."""
    endpoints = settings.subtensor.endpoints or endpoints_of(settings.subtensor.network)
    deadlines = Deadlines(connect_s=8.0, read_s=8.0, snapshot_s=20.0)
    return Chain(settings.subtensor.network, settings.netuid, endpoints=endpoints, deadlines=deadlines)


async def read_chain(settings: Settings, opening: OpenChain = open_chain) -> MetagraphSnapshot:
    """The subnet now; OperatorError when no node answers or there is no such subnet."""
    chain = opening(settings)
    try:
        await chain.connect(for_ever=False)
        await chain.require_subnet()
        return await chain.snapshot()
    finally:
        await chain.close()


def check_endpoint(published: str | None, ours: Endpoint, *, registered: bool) -> Check:
    """Compare the chain's endpoint with the one that a miner started here would publish; no miner runs."""
    if not registered:
        return skipped(
            "endpoint", f"a miner here would publish {ours}; the chain keeps endpoints of registered hotkeys"
        )
    if published == str(ours):
        return ok("endpoint", f"the chain shows {published}, which is ours")
    shown = f"the chain shows {published}" if published else "the chain has no endpoint of this hotkey"
    remedy = (
        "The miner publishes it when it starts. If the address is wrong, name the right one with --axon.external_ip."
    )
    return warning("endpoint", f"{shown}; a miner started here would publish {ours}", remedy)


async def check_port_free(settings: Settings, try_it: Try = probe_endpoint) -> Check:
    """Whether a miner could listen; when another process holds the port, whether that is a miner too."""
    port = settings.axon.port
    try:
        for bound in listen(settings.axon.hosts, port):
            bound.close()
    except OperatorError as error:
        if "in use" not in str(error):
            raise
        probe = await try_it(str(Endpoint(settings.axon.ip or "127.0.0.1", port)))
        holder = "a miner with another state folder" if probe.reached else "another process"
        remedy = f"See which one: sudo ss -ltnp 'sport = :{port}'. Stop it, or choose another --axon.port."
        return failure("port", f"{holder} listens on {port}", remedy)
    return ok("port", f"{port} is free")


async def check_port_served(settings: Settings, port: int, try_it: Try = probe_endpoint) -> Check:
    """Whether the running miner answers on this machine."""
    host = settings.axon.ip or "127.0.0.1"
    probe = await try_it(str(Endpoint(host, port)))
    if probe.reached:
        return ok("port", f"{port}: the miner greets")
    return failure("port", f"{probe.endpoint}: {probe.detail}", "Read the miner's log, and restart it.")


async def check_reachable(settings: Settings, ours: Endpoint, try_it: Try = probe_endpoint) -> Check:
    """Listen for a moment, as the miner would, and call the public address from here; the port must be free."""
    greeting = f"HTTP/1.1 200 OK\r\nContent-Length: {len(GREETING)}\r\nConnection: close\r\n\r\n".encode() + GREETING

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(greeting)
            await writer.drain()
        writer.close()

    async with contextlib.AsyncExitStack() as stack:
        for bound in listen(settings.axon.hosts, settings.axon.port):
            await stack.enter_async_context(await _serve(greet, bound))
        return reachable(await try_it(str(ours)))


async def _serve(greet: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], bound: socket.socket,
                 ) -> asyncio.Server:  # fmt: skip
    return await asyncio.start_server(greet, sock=bound)


def reachable(probe: Probe) -> Check:
    """A try from this machine: success proves the way, failure need not disprove it."""
    if probe.reached:
        return ok("reachable", f"{probe.endpoint} answers by its public address")
    port = probe.endpoint.rpartition(":")[2]
    remedy = (
        f"A router may refuse only calls from inside: try from elsewhere while the miner runs, curl -m 5 "
        f"http://{probe.endpoint}/. If that fails too, open TCP port {port} in the firewall and at the provider, and "
        "behind NAT forward it here."
    )
    return warning("reachable", f"{probe.endpoint} does not answer from this machine: {probe.detail}", remedy)


_SYNCHRONISE = "Synchronise it: sudo timedatectl set-ntp true, then timedatectl status (or chronyc tracking)."
_ANOTHER_NODE = "name other nodes with --subtensor.chain_endpoint"


def check_clock(
    offset: float | None,
    synchronised: Callable[[], bool | None] = kernel_synchronised,
    *,
    validators: Sequence[float] = (),
) -> Check:
    """`offset` is our clock less the newest block's time in seconds, `validators` ours less each validator's."""
    kept = synchronised()
    found = verdict(offset, validators, kept)
    blocks = "" if offset is None else f"our clock less the newest block's time is {offset:+.1f} s"
    if found is Verdict.CLOCK_OFF:
        return warning("clock", blocks or "it differs from most validators' clocks", _SYNCHRONISE)
    if found is Verdict.UNDECIDED:
        return warning(
            "clock", f"{blocks}: it is ahead, or the node lags", f"{_SYNCHRONISE} If it is right, {_ANOTHER_NODE}."
        )
    if found is not Verdict.AGREED:
        remedy = f"Leave the clock as it is and {_ANOTHER_NODE}."
        return warning("clock", f"it is right, but the node is not: {blocks}", remedy)
    if kept is False and offset is None:
        return warning("clock", "no time daemon keeps it", _SYNCHRONISE)
    if kept is None and offset is None:
        return skipped("clock", "neither the kernel nor the chain says", "Look yourself: timedatectl status")
    word = {
        True: "a time daemon keeps it",
        False: "the kernel knows of no time daemon",
        None: "the kernel does not say",
    }
    usual = "" if offset is None else f"; {offset:.1f} s after the newest block, which is usual"
    return ok("clock", f"{word[kept]}{usual}")

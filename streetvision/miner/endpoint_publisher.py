"""Keeps the endpoint on the chain equal to ours: published at start, and again whenever the chain shows another."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from loguru import logger

from streetvision.chain.client import Chain
from streetvision.chain.connection import ChainAwayError
from streetvision.chain.metagraph import MetagraphSnapshot
from streetvision.errors import OperatorError
from streetvision.miner.endpoint import Endpoint

AWAY_RETRY_S = 30.0
REFUSED_RETRY_S = 600.0


class EndpointPublisher:
    """Publishes one endpoint for one hotkey: `publish` it first, then keep `run` running."""

    def __init__(
        self,
        chain: Chain,
        hotkey: Any,  # noqa: ANN401 - any SDK signer
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._chain = chain
        self._hotkey = hotkey
        self.endpoint: Endpoint | None = None
        """What the chain is to show; None before `publish`."""
        self._sleep = sleep
        self._wanted = asyncio.Event()
        self._hurry = asyncio.Event()

    def on_snapshot(self, _old: MetagraphSnapshot | None, new: MetagraphSnapshot) -> None:
        """Ask for publication when the chain shows another endpoint than ours for our hotkey."""
        own = new.find(str(self._hotkey.ss58_address))
        if self.endpoint is not None and own is not None and own.axon != str(self.endpoint):
            self._wanted.set()

    async def publish(self, endpoint: Endpoint) -> None:
        """Publish it, now or as soon as the chain allows.

        OperatorError when the chain refuses, ChainAwayError when it does not answer.
        """
        self.endpoint = endpoint
        if await self._try(endpoint) is not None:
            self.request()

    async def _try(self, endpoint: Endpoint) -> float | None:
        """One attempt; returns seconds to wait before the next, None when the chain has our endpoint."""
        publication = await self._chain.publish_axon(self._hotkey, endpoint.ip, endpoint.port)
        if publication.status == "too_soon":
            wait = publication.retry_in_s or AWAY_RETRY_S
            logger.warning(
                "endpoint: the chain still shows another one; its rate limit allows {} from block {} (in {:.0f} s)",
                endpoint,
                publication.retry_block,
                wait,
            )
            return wait
        if publication.status == "published":
            logger.info("endpoint: published {} at block {}", endpoint, publication.block)
        else:
            logger.info("endpoint: the chain has {} already", endpoint)
        return None

    def request(self) -> None:
        """Publish soon, on the task, whatever it waits for: the hotkey has a UID again, say."""
        self._wanted.set()
        self._hurry.set()

    async def run(self) -> None:
        """Publish whenever asked, until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            if self.endpoint is not None:
                await self._publish_until_done(self.endpoint)

    async def _publish_until_done(self, endpoint: Endpoint) -> None:
        while True:
            try:
                wait = await self._try(endpoint)
            except ChainAwayError:
                wait = AWAY_RETRY_S  # the watcher logs the chain's absence
            except OperatorError as error:
                logger.error("endpoint: {} Next try in {:.0f} min.", error, REFUSED_RETRY_S / 60)
                wait = REFUSED_RETRY_S
            if wait is None:
                return
            await self._pause(wait)

    async def _pause(self, seconds: float) -> None:
        """Wait, or less when `request` is called meanwhile."""
        self._hurry.clear()
        sleep, hurried = asyncio.ensure_future(self._sleep(seconds)), asyncio.ensure_future(self._hurry.wait())
        try:
            await asyncio.wait({sleep, hurried}, return_when=asyncio.FIRST_COMPLETED)
            if sleep.done():
                sleep.result()
        finally:
            sleep.cancel()
            hurried.cancel()

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
    """Publishes one endpoint for one hotkey; `run` is a task of its own."""

    def __init__(
        self,
        chain: Chain,
        hotkey: Any,  # noqa: ANN401 - any SDK signer
        endpoint: Endpoint,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._chain = chain
        self._hotkey = hotkey
        self.endpoint = endpoint
        self._sleep = sleep
        self._wanted = asyncio.Event()
        self._hurry = asyncio.Event()

    def on_snapshot(self, _old: MetagraphSnapshot | None, new: MetagraphSnapshot) -> None:
        """Ask for publication when the chain shows another endpoint than ours for our hotkey."""
        own = new.find(str(self._hotkey.ss58_address))
        if own is not None and own.axon != str(self.endpoint):
            self._wanted.set()

    async def publish(self) -> float | None:
        """One attempt; returns seconds to wait before the next, None when the chain has our endpoint.

        OperatorError when the chain refuses, ChainAwayError when it does not answer.
        """
        publication = await self._chain.publish_axon(self._hotkey, self.endpoint.ip, self.endpoint.port)
        if publication.status == "too_soon":
            wait = publication.retry_in_s or AWAY_RETRY_S
            logger.warning(
                "endpoint: the chain still shows another one; its rate limit allows {} from block {} (in {:.0f} s)",
                self.endpoint,
                publication.retry_block,
                wait,
            )
            return wait
        if publication.status == "published":
            logger.info("endpoint: published {} at block {}", self.endpoint, publication.block)
        else:
            logger.info("endpoint: the chain has {} already", self.endpoint)
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
            await self._publish_until_done()

    async def _publish_until_done(self) -> None:
        while True:
            try:
                wait = await self.publish()
            except ChainAwayError:
                wait = AWAY_RETRY_S  # the chain room logs its own absence
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

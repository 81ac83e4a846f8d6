"""The way to the app at Modal: a call of a container for a batch, or several for a large one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Protocol

from streetvision.cost.prices import read_prices
from streetvision.engine.remote_wire import answer_of, batch_parts
from streetvision.engine.transport import RemoteAnswer, RemoteBatch, RemoteFailure, RemoteTrouble
from streetvision.serverless.spending import Bill, SpendingCap
from streetvision.serverless.splitting import joined, split
from streetvision.serverless.troubles import failure_of
from streetvision.settings.modal import ModalSettings

NAME = "modal"
logger = logging.getLogger(__name__)


class App(Protocol):
    """The deployed app, as far as requests need it; raises what Modal raises."""

    async def answer(self, head: dict[str, Any], block: bytes) -> object:
        """A container's answer to a batch."""
        ...

    async def bill(self, now: datetime) -> Bill:
        """Of this month."""
        ...

    async def keep_none_warm(self) -> None:
        """Let all containers stop when they are idle, until the next deployment."""
        ...


class ModalTransport:
    """A Transport. It asks no more once the month's money is spent, and then lets warm containers go."""

    def __init__(self, opening: Callable[[], App], cap: SpendingCap) -> None:
        """`opening` finds the app, once, on the first call."""
        self._opening = opening
        self._app: App | None = None
        self._finding = asyncio.Lock()
        self._cap = cap
        self._released = False
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def name(self) -> str:
        """What answers are attributed to."""
        return NAME

    @property
    def link(self) -> str:
        """None: what Modal runs is looked at there."""
        return ""

    async def send(self, batch: RemoteBatch) -> RemoteAnswer:
        """As Transport has it."""
        await self._keep_to_the_cap()
        parts = split(batch)
        calls = [asyncio.ensure_future(self._call(part)) for part in parts]
        try:
            return joined(batch, parts, await asyncio.gather(*calls))
        finally:
            for call in calls:
                call.cancel()

    async def _call(self, batch: RemoteBatch) -> RemoteAnswer:
        head, block = batch_parts(batch)
        try:
            said = await (await self._found()).answer(head, bytes(block))
        except Exception as error:  # Modal's errors, grpc's and the system's have no other class in common
            raise failure_of(error) from error
        return _read(said, len(batch))

    async def _keep_to_the_cap(self) -> None:
        """Look the bill up beside the request, or before it where the worst since the last look is too much."""
        if self._cap.take_turn():
            look = self._beside(self._look())
            if self._cap.is_reached:
                await asyncio.shield(look)
        if not self._cap.is_reached:
            self._released = False
            return
        if not self._released:
            self._released = True
            logger.warning("the month's money at Modal is spent: the embedded model answers")
            self._beside(self._keep_none_warm())
        spent, most = self._cap.at_most, self._cap.month_usd
        raise RemoteFailure(
            RemoteTrouble.QUOTA, f"this month may have cost ${spent:,.2f}, and --modal.month_usd is ${most:,.2f}"
        )

    async def close(self) -> None:
        """As Transport has it."""
        for task in list(self._tasks):
            task.cancel()
        self._app = None

    async def _found(self) -> App:
        """The app; in a thread, as importing Modal's library takes a second or two."""
        async with self._finding:
            if self._app is None:
                self._app = await asyncio.to_thread(self._opening)
            return self._app

    async def _look(self) -> None:
        try:
            self._cap.learn(await (await self._found()).bill(self._cap.now()))
        except Exception as error:  # noqa: BLE001 - as in `_call`; the cap goes by the worst meanwhile
            logger.warning("Modal's bill cannot be looked up: %s", failure_of(error))

    async def _keep_none_warm(self) -> None:
        try:
            await (await self._found()).keep_none_warm()
        except Exception as error:  # noqa: BLE001 - as in `_call`
            logger.warning("warm containers at Modal cannot be let go: %s", failure_of(error))

    def _beside(self, work: Awaitable[None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _read(said: object, count: int) -> RemoteAnswer:
    match said:
        case (dict(head), bytes(block)):
            answer = answer_of(head, block)
            if len(answer.logits) == count:
                return answer
            raise RemoteFailure(RemoteTrouble.INVALID, f"{count} pictures got {len(answer.logits)} answers")
    raise RemoteFailure(RemoteTrouble.SKEW, f"a {type(said).__name__} came, and no answer: deploy the app again")


def open_modal(settings: ModalSettings) -> ModalTransport:
    """The transport of these settings. Nothing is imported or connected before the first call."""

    def opening() -> App:
        from streetvision.serverless.service import DeployedApp

        return DeployedApp(settings)

    return ModalTransport(opening, cap_of(settings))


def cap_of(settings: ModalSettings) -> SpendingCap:
    """The settings' bound, with the package's prices."""
    worst = settings.containers * read_prices().container_second(settings.card)
    return SpendingCap(settings.month_usd, worst, lambda: datetime.now(UTC))

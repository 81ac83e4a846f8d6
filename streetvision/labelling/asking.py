"""Asking an oracle about many pictures: several at once, within bounds, each question paid at most once.

A question is written down before it goes out and settled when its answer is here. One that was surely not paid (no
connection, 429, 503) is taken back and asked again; one whose fate nobody knows is lost: it counts as spent and is not
repeated. So a run may be killed at any time and started again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from streetvision.base.wording import duration
from streetvision.engine.types import BadImage
from streetvision.errors import OperatorError
from streetvision.labelling.answer import NoAnswer, read_answer
from streetvision.labelling.budget import cost_of, exceeded
from streetvision.labelling.endpoint import Declined, Endpoint, Lost, NoSchema, NotPaid, Reply, Unreachable
from streetvision.labelling.pace import Pace
from streetvision.labelling.pictures import Picture, distinct
from streetvision.labelling.prompt import Prompt
from streetvision.labelling.store import Cost, LabellingStore
from streetvision.labelling.views import make_views, read_checked
from streetvision.settings.oracle import OracleSettings

ATTEMPTS = 6
"""Of one question that is not paid, before the run ends."""
FIRST_REST_S, LONGEST_REST_S = 2.0, 60.0
FRUITLESS = 12
"""Questions in a row without one usable answer that end a run: whatever is wrong, it costs."""
LONGEST_WAIT_S = 900.0
"""A server that asks for more patience ends the run."""
STOPPED = "stopped"
_GIVE_WAY = 64
"""Pictures without a question after which others get their turn."""


def utc_now() -> str:
    """ISO 8601 in UTC, with seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True)
class Clock:
    """Time, as a run asks for it."""

    now: Callable[[], str] = utc_now
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


@dataclass(slots=True)
class AskReport:
    """What became of the pictures."""

    pictures: int = 0
    """Done with, whatever became of their questions."""
    cached: int = 0
    """Of these, nothing had to be asked."""
    answered: int = 0
    """Questions."""
    unusable: int = 0
    lost: int = 0
    declined: int = 0
    unreadable: int = 0
    """Pictures."""
    cost: Cost = field(default_factory=Cost)
    """Of this run, what is lost included."""
    ended: str = ""
    """Why the run ended before its last picture; empty when it did not."""


Progress = Callable[[AskReport], None]
Spend = Callable[[Cost], None]
"""Hears each cost as it arises."""


class Asking:
    """One run."""

    def __init__(
        self,
        settings: OracleSettings,
        prompt: Prompt,
        store: LabellingStore,
        endpoint: Endpoint,
        *,
        stop: Callable[[], bool] = lambda: False,
        progress: Progress = lambda _: None,
        spend: Spend = lambda _: None,
        clock: Clock = Clock(),
    ) -> None:
        self._settings, self._prompt, self._store, self._endpoint = settings, prompt, store, endpoint
        self._asker = prompt.asker
        self._stop, self._progress, self._spend, self._clock = stop, progress, spend, clock
        self._pace = Pace(settings.per_minute, self._over, clock=clock.monotonic, sleep=clock.sleep)
        self._structured = True
        self._dearest = reservation(settings, prompt)
        self._fruitless = 0
        self._failure: OperatorError | None = None
        self.report = AskReport()

    async def run(self, pictures: Sequence[Picture]) -> AskReport:
        """Ask what was not asked before; raises OperatorError where the oracle or the database fails, after what is
        under way has ended."""
        left = iter(pictures)
        async with asyncio.TaskGroup() as group:
            for _ in range(self._settings.concurrency):
                group.create_task(self._work(left))
        if self._failure is not None:
            raise self._failure
        if self._stop() and not self.report.ended and self.report.pictures < len(pictures):
            self.report.ended = STOPPED
        return self.report

    def _over(self) -> bool:
        return self._failure is not None or bool(self.report.ended) or self._stop()

    async def _work(self, left: Iterator[Picture]) -> None:
        try:
            for picture in left:
                if self._over() or not await self._picture(picture):
                    return
                self.report.pictures += 1
                self._progress(self.report)
        except OperatorError as error:
            self._failure = self._failure or error

    async def _picture(self, picture: Picture) -> bool:
        """Ask about each of its views; False where the run ends before they are done."""
        views = missing_views(self._store, self._asker, picture, self._settings)
        if not views:
            self.report.cached += 1
            if self.report.cached % _GIVE_WAY == 0:
                await asyncio.sleep(0)
            return True
        try:
            shown = await asyncio.to_thread(_views_of, picture, views, self._prompt.pixels)
        except BadImage:
            self.report.unreadable += 1
            return True
        for view, jpeg in zip(views, shown, strict=True):
            if not await self._view(picture, view, jpeg):
                return False
        return True

    async def _view(self, picture: Picture, view: int, jpeg: bytes) -> bool:
        attempt = 0
        while await self._pace.wait():
            if why := exceeded(self._settings, self._store.spent(self._clock.now()), self._dearest):
                self.report.ended = self.report.ended or why
                return False
            try:
                await self._question(picture, view, jpeg)
            except NoSchema:
                self._structured = False
            except NotPaid as error:
                attempt += 1
                self._rest(error, attempt)
            else:
                return True
        return False

    async def _question(self, picture: Picture, view: int, jpeg: bytes) -> None:
        """Ask once; raises NotPaid or NoSchema where it may be asked again."""
        body, reserved = self._prompt.request(jpeg, view, structured=self._structured), self._dearest
        number = self._store.open(self._asker, picture.sha256, view, reserved, self._clock.now())
        try:
            reply = await self._endpoint.ask(body)
        except Declined as error:
            self._store.free(number)
            self.report.declined += 1
            self._count_fruitless(error)
        except (NotPaid, NoSchema, Unreachable):
            self._store.free(number)
            raise
        except Lost as error:
            self._lose(number, str(error), reserved)
            self._count_fruitless(error)
        except asyncio.CancelledError:
            self._lose(number, "it was ended while the answer was awaited", reserved)
            raise
        else:
            self._settle(number, reply, reserved)

    def _settle(self, number: int, reply: Reply, reserved: Cost) -> None:
        cost = None
        if reply.question_tokens is not None and reply.answer_tokens is not None:
            cost = cost_of(self._settings, reply.question_tokens, reply.answer_tokens)
            self._dearest = Cost(max(cost.tokens, self._dearest.tokens), max(cost.money, self._dearest.money))
        self._count_cost(cost or reserved)
        try:
            if reply.problem:
                raise NoAnswer(reply.problem)
            answer = read_answer(reply.text)
        except NoAnswer as error:
            self._store.spoil(number, str(error), cost)
            self.report.unusable += 1
            self._count_fruitless(error)
        else:
            self._store.answer(number, answer, cost)
            self.report.answered += 1
            self._fruitless = 0

    def _lose(self, number: int, why: str, reserved: Cost) -> None:
        self._store.lose(number, why)
        self.report.lost += 1
        self._count_cost(reserved)

    def _count_cost(self, cost: Cost) -> None:
        self.report.cost += cost
        self._spend(cost)

    def _count_fruitless(self, error: Exception) -> None:
        self._fruitless += 1
        if self._fruitless >= FRUITLESS:
            raise Unreachable(
                f"{FRUITLESS} questions in a row gave no answer, the last because {error}: read the server's log"
            )

    def _rest(self, error: NotPaid, attempt: int) -> None:
        """Let the server have its rest; raises Unreachable when patience ends."""
        if not self._endpoint.reached:
            raise Unreachable(f"the oracle cannot be asked, {error}: see that it runs, or correct --oracle.url")
        rest = error.after_s
        if rest is None:
            rest = min(LONGEST_REST_S, FIRST_REST_S * 2 ** (attempt - 1))
        if rest > LONGEST_WAIT_S:
            raise Unreachable(f"{error}, and wants to be asked again in {duration(rest)}: run this again then")
        if attempt >= ATTEMPTS:
            raise Unreachable(f"{error}, {ATTEMPTS} times: see that the server runs, or lower --oracle.per_minute")
        self._pace.rest(rest)


def ask_all(
    settings: OracleSettings,
    prompt: Prompt,
    store: LabellingStore,
    pictures: Sequence[Picture],
    *,
    stop: Callable[[], bool] = lambda: False,
    progress: Progress = lambda _: None,
    spend: Spend = lambda _: None,
) -> AskReport:
    """Ask about each once, and note them in the database first; raises OperatorError."""
    once = distinct(pictures)

    async def run() -> AskReport:
        async with Endpoint(settings.url, settings.key, settings.timeout_s) as endpoint:
            asking = Asking(settings, prompt, store, endpoint, stop=stop, progress=progress, spend=spend)
            return await asking.run(once)

    store.note(once)
    return asyncio.run(run())


def reservation(settings: OracleSettings, prompt: Prompt) -> Cost:
    """What is set aside for a question before anything was measured."""
    most = prompt.most_tokens()
    return cost_of(settings, most - settings.answer_tokens, settings.answer_tokens)


def missing_views(store: LabellingStore, asker: str, picture: Picture, settings: OracleSettings) -> list[int]:
    """Views that were never asked about."""
    asked = store.asked(asker, picture.sha256)
    return [view for view in range(1 + settings.crops) if view not in asked]


def _views_of(picture: Picture, views: Sequence[int], pixels: int) -> list[bytes]:
    return make_views(read_checked(picture.path, picture.sha256), views, pixels)

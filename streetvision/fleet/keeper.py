"""Keeps one miner running: starts it, or takes over one that runs; starts it again when it ends; stops it in order."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from loguru import logger

from streetvision.base.wording import duration
from streetvision.errors import OperatorError
from streetvision.fleet.attempts import FIRST_PAUSE_S, STEADY_S, Attempts
from streetvision.fleet.last_words import why_ended
from streetvision.fleet.member import Member
from streetvision.fleet.running import LONGEST_LOG, Running, adopt, is_ready, log_size, start, turn_log

LOOK_S = 0.5
"""Between two looks at whether the miner is ready."""
STOP_S = 20.0
"""A miner ends within 15 s of SIGTERM; what has not is killed."""
Tell = Callable[[Member, str | None], None]
"""Tells the operator why a miner does not come back, or with None that it serves again."""


@dataclass
class Kept:
    """One miner as its keeper knows it. Times are Unix seconds."""

    pid: int | None = None
    started: float | None = None
    ready: float | None = None
    """Since when it serves; None while it starts or is down."""
    restarts: int = 0
    """Starts after the first."""
    ended: float | None = None
    why: str = ""
    """How the last one failed; empty while none has, and after an orderly end."""
    next_try: float | None = None
    """When it is started again; None while it runs or is held."""
    held: bool = False
    """Whether it was stopped by hand, and is not started again until somebody asks."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def read_kept(fields: Mapping[str, Any]) -> Kept:
    """From its plain values; TypeError for anything else."""
    return Kept(**fields)


class Keeper:
    """Call `run`; cancel it, then `stop`."""

    def __init__(self, member: Member, tell: Tell, *, clock: Callable[[], float] = time.time) -> None:
        self.member, self.kept = member, Kept()
        self.settled = asyncio.Event()
        """Set when it is ready for the first time, or has ended: others may start."""
        self._tell, self._clock = tell, clock
        self._attempts = Attempts()
        self._running: Running | None = None
        self._since = 0
        self._again = asyncio.Event()
        self._asked = False
        self._ending: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Keep it running until cancelled."""
        while True:
            try:
                self._since = log_size(self.member)
                self._running = adopt(self.member) or start(self.member)
            except OperatorError as error:
                pause = self._note(f"{error}", failed=True)
            else:
                pause = await self._until_end(self._running)
            await self._wait(pause)
            while self.kept.held:
                await self._wait(None)

    def restart(self, member: Member) -> None:
        """Start it again now, with these settings: a running one is asked to end first."""
        self.member, self._asked, self.kept.held = member, True, False
        self._again.set()
        self._end_running()

    def hold(self) -> None:
        """End it in order, and do not start it again until `restart`."""
        self._asked = self.kept.held = True
        self.kept.next_try = None
        self._end_running()

    async def stop(self) -> None:
        """End it in order; it is killed after STOP_S."""
        running, self._running = self._running, None
        if self._ending is not None:
            self._ending.cancel()
        if running is not None:
            await _ended(running)
            logger.info("{}: stopped", self.member.name)

    def _end_running(self) -> None:
        if self._running is not None:
            self._ending = asyncio.create_task(_ended(self._running), name=f"end-{self.member.name}")

    async def _until_end(self, running: Running) -> float:
        """Watch a process to its end; seconds to wait before the next."""
        self._began(running)
        watch = asyncio.create_task(self._watch(running.pid), name=f"watch-{self.member.name}")
        try:
            code = await running.gone()
        finally:
            watch.cancel()
        self._running = None
        if code == 0 or self._asked:
            return self._note("", failed=False)
        return self._note(why_ended(code, self.member.log, self._since), failed=True)

    def _began(self, running: Running) -> None:
        kept = self.kept
        kept.restarts += kept.started is not None
        kept.pid, kept.started, kept.ready, kept.next_try = running.pid, self._clock(), None, None
        self._again.clear()
        self._asked = False
        words = "runs already, taken over" if running.is_adopted else "starting"
        logger.info("{}: {} (process {}, log {})", self.member.name, words, running.pid, self.member.log)

    async def _watch(self, pid: int) -> None:
        """Note when it is ready, and when it has recovered; keep its log bounded."""
        while not is_ready(self.member, pid):  # noqa: ASYNC110 - another process has no event to wait for
            await asyncio.sleep(LOOK_S)
        self.kept.ready = self._clock()
        logger.success("{}: ready", self.member.name)
        self.settled.set()
        await asyncio.sleep(STEADY_S)
        if self._attempts.serves_again():
            self._tell(self.member, None)
        while True:
            with suppress(OSError):  # a full disk must not end the keeping
                await asyncio.to_thread(turn_log, self.member.log, most=LONGEST_LOG)
            await asyncio.sleep(STEADY_S)

    def _note(self, why: str, *, failed: bool) -> float:
        """Write down how it ended; the seconds to wait."""
        kept, now = self.kept, self._clock()
        asked, self._asked = self._asked, False
        served = 0.0 if kept.ready is None else now - kept.ready
        kept.pid, kept.ready, kept.ended, kept.why = None, None, now, why
        pause = 0.0 if asked else self._attempts.ended(served, failed=failed)
        kept.next_try = None if kept.held else now + pause
        self.settled.set()
        words = why or ("stopped, as asked" if asked else "stopped by somebody else")
        when = f"started again in {duration(pause)}" if pause > FIRST_PAUSE_S else "started again now"
        when = "held" if kept.held else when
        logger.log("ERROR" if failed else "INFO", "{}: {}; {}", self.member.name, words, when)
        if self._attempts.is_to_be_told():
            self._tell(self.member, why)
        return pause

    async def _wait(self, seconds: float | None) -> None:
        """Until the time is over, or somebody asks for it now; None: until somebody asks."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._again.wait(), seconds)
        self._again.clear()


async def _ended(running: Running) -> None:
    """End a process in order, or kill it after STOP_S."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        running.signal(number)
        with suppress(TimeoutError):
            await asyncio.wait_for(running.gone(), STOP_S)
            break

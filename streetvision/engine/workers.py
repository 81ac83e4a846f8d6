"""Threads that take blocking calls off the event loop, most urgent first, and hand the results back to it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from math import inf
from queue import PriorityQueue
from typing import Any, TypeVar

logger = logging.getLogger(__name__)

T = TypeVar("T")
Job = tuple[Callable[[], Any], "asyncio.Future[Any]"]
Done = tuple["asyncio.Future[Any]", object, Exception | None]


class Workers:
    """A fixed number of threads over one queue, bound to the event loop that made them.

    They are daemons: a call that never returns must not keep the process from exiting. A call whose future is
    cancelled before its turn is never made. The caller bounds the queue.
    """

    def __init__(self, threads: int, name: str, *, begin: Callable[[], None] | None = None) -> None:
        """Each thread calls `begin` first; what that raises is logged, and the thread works all the same."""
        self._loop = asyncio.get_running_loop()
        self._begin = begin
        self._stopped: Exception | None = None
        self._jobs: PriorityQueue[tuple[float, int, Job | None]] = PriorityQueue()
        self._order = count()
        self._pending: set[asyncio.Future[Any]] = set()
        self._done: deque[Done] = deque()
        self._told = False
        self._ended: list[asyncio.Future[None]] = [self._loop.create_future() for _ in range(threads)]
        for index, ended in enumerate(self._ended):
            threading.Thread(target=self._work, args=(ended,), name=f"{name}-{index}", daemon=True).start()

    def submit(self, call: Callable[[], T], *, urgency: float = 0.0) -> asyncio.Future[T]:
        """Make the call in a thread, lowest `urgency` first; the future ends with its result or its exception.

        After `stop` it ends at once, with what `stop` was given.
        """
        future: asyncio.Future[T] = self._loop.create_future()
        if self._stopped is not None:
            future.set_exception(self._stopped)
            return future
        self._pending.add(future)
        future.add_done_callback(self._pending.discard)
        self._jobs.put((urgency, next(self._order), (call, future)))
        return future

    async def stop(self, error: Exception, grace: float, *, last: Callable[[], None] | None = None) -> bool:
        """End each pending future with `error` and the threads after their present call, and the call `last`.

        Returns False when a thread has not ended after `grace` seconds; it still ends by itself, `last` included.
        """
        self._stopped = error
        for future in list(self._pending):
            _settle(future, None, error)
        if last is not None:
            self._jobs.put((inf, next(self._order), (last, self._loop.create_future())))
        for _ in self._ended:
            self._jobs.put((inf, next(self._order), None))
        _, late = await asyncio.wait(self._ended, timeout=grace)
        return not late

    def _work(self, ended: asyncio.Future[None]) -> None:
        if self._begin is not None:
            _try(self._begin)
        while self._make_next_call():
            pass
        self._hand_over(ended, None, None)

    def _make_next_call(self) -> bool:
        """A method of its own, so that a waiting thread's frame keeps no reference to the last job's bytes."""
        _, _, job = self._jobs.get()
        if job is None:
            return False
        call, future = job
        if future.done():
            return True
        try:
            result = call()
        except Exception as error:  # noqa: BLE001 - nothing is swallowed: it goes to whoever awaits the future
            self._hand_over(future, None, error)
        except BaseException as error:  # noqa: BLE001 - an exit or a panic of native code may not end the thread
            self._hand_over(future, None, _as_failure(error))
        else:
            self._hand_over(future, result, None)
        return True

    def _hand_over(self, future: asyncio.Future[T], result: T | None, error: Exception | None) -> None:
        """Wake the loop once for all that is done by the time it looks: each waking costs both threads time."""
        self._done.append((future, result, error))
        if self._told:
            return
        self._told = True
        with suppress(RuntimeError):  # the loop is closed and nobody waits any more
            self._loop.call_soon_threadsafe(self._settle_all)

    def _settle_all(self) -> None:
        self._told = False  # before it looks: what is appended from now on wakes it again
        while self._done:
            _settle(*self._done.popleft())


def _as_failure(error: BaseException) -> Exception:
    """What an event loop passes on like any error, where it would let the original end the process."""
    failure = RuntimeError(f"{type(error).__name__}: {error}")
    failure.__cause__ = error
    return failure


def _try(begin: Callable[[], None]) -> None:
    try:
        begin()
    except Exception:
        logger.exception("a worker thread could not be set up as it should be")


def _settle(future: asyncio.Future[Any], result: object, error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)

"""Memory is held before a picture is decoded, waited for in the order of deadlines, and always given back."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from streetvision.engine.memory_budget import NO_MEMORY, TOO_LATE, MemoryBudget, MemoryBusy
from streetvision.engine.types import EngineClosed, Overloaded

from .waiting import until


def budget(total: int = 100) -> MemoryBudget:
    return MemoryBudget(total, time.monotonic)


def soon(seconds: float = 5.0) -> float:
    return time.monotonic() + seconds


def test_what_does_not_fit_is_refused_and_nothing_is_kept_of_it() -> None:
    memory = budget()
    with memory.held(60, soon()), memory.held(40, soon()):
        with pytest.raises(MemoryBusy) as busy, memory.held(1, soon()):
            pass
        assert (busy.value.size, memory.used) == (1, 100)
    assert memory.used == 0


def test_a_decode_that_fails_gives_its_memory_back() -> None:
    memory = budget()
    with pytest.raises(ZeroDivisionError), memory.held(60, soon()):
        raise ZeroDivisionError
    assert memory.used == 0


async def test_room_comes_to_the_earliest_deadline_first() -> None:
    memory, order = budget(), []

    async def wait(name: str, size: int, deadline: float) -> None:
        await memory.room(size, deadline)
        with memory.held(size, deadline):
            order.append(name)

    with memory.held(90, soon()):
        late, early = (asyncio.create_task(wait(n, 60, soon(s))) for n, s in (("late", 9), ("early", 5)))
        await until(lambda: memory.waiting == 2)
        with pytest.raises(MemoryBusy), memory.held(1, soon(20)):
            pass  # it would fit, but an earlier deadline waits
        with memory.held(1, soon(1)):
            pass
    await asyncio.gather(late, early)
    assert order == ["early", "late"]
    assert (memory.used, memory.waiting) == (0, 0)


async def test_who_waits_to_the_end_is_refused_before_the_deadline() -> None:
    memory = budget()
    with memory.held(90, soon()):
        deadline = soon(TOO_LATE + 0.05)
        with pytest.raises(Overloaded, match=NO_MEMORY):
            await memory.room(60, deadline)
        assert time.monotonic() < deadline
        assert memory.waiting == 0


async def test_a_caller_who_leaves_lets_those_behind_go_on() -> None:
    memory = budget()
    with memory.held(50, soon()):
        first = asyncio.create_task(memory.room(60, soon(5)))
        second = asyncio.create_task(memory.room(50, soon(9)))
        await until(lambda: memory.waiting == 2)
        first.cancel()
        await asyncio.wait_for(second, 2)
    assert memory.waiting == 0


async def test_closing_ends_every_wait() -> None:
    memory = budget()
    with memory.held(100, soon()):
        waits = [asyncio.create_task(memory.room(10, soon())) for _ in range(3)]
        await until(lambda: memory.waiting == 3)
        memory.fail(EngineClosed("closing"))
        assert all(isinstance(e, EngineClosed) for e in await asyncio.gather(*waits, return_exceptions=True))


async def test_many_threads_never_hold_more_than_there_is() -> None:
    memory, lock, held, most = budget(), threading.Lock(), 0, 0

    def decode(size: int, deadline: float) -> None:
        nonlocal held, most
        with memory.held(size, deadline):
            with lock:
                held, most = held + size, max(most, held + size)
            time.sleep(0.001)
            with lock:
                held -= size

    async def request(number: int) -> None:
        size, deadline = 10 + number * 37 % 90, soon(30 + number % 7)
        while True:
            try:
                return await asyncio.get_running_loop().run_in_executor(pool, decode, size, deadline)
            except MemoryBusy as busy:
                await memory.room(busy.size, deadline)

    with ThreadPoolExecutor(8) as pool:
        await asyncio.gather(*(request(number) for number in range(120)))
    assert 0 < most <= 100
    assert (memory.used, memory.waiting) == (0, 0)

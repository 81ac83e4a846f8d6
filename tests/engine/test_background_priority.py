"""A thread that stands back runs while the engine is idle, and only a little while it never is."""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from collections.abc import Callable

import pytest

from streetvision.engine import background_priority as deference
from streetvision.engine.background_priority import Deference, stands_back
from streetvision.engine.preparing import yielding


class Counting:
    """A thread that calls a function over and over, as a compiler does."""

    def __init__(self, deference: Deference) -> None:
        self.calls, self.over = 0, False
        self.nice = 0
        self.standing_back = False
        self._deference = deference
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        self._deference.join()
        self.nice = os.getpriority(os.PRIO_PROCESS, 0)
        self.standing_back = stands_back()
        while not self.over:
            self._step()

    def _step(self) -> None:
        self.calls += 1

    def end(self) -> None:
        self.over = True
        self._deference.idle()
        self._thread.join(10)
        assert not self._thread.is_alive()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def settled(count: Callable[[], int]) -> int:
    """The count once it has stopped rising."""
    last = -1
    while (now := count()) != last:
        last = now
        time.sleep(0.05)
    return last


def test_it_stops_while_the_engine_is_busy_and_goes_on_when_it_is_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deference, "MAX_PAUSE", 60.0)
    both = Deference()
    worker = Counting(both)
    try:
        until(lambda: worker.calls > 100)
        both.busy()
        stopped = settled(lambda: worker.calls)
        both.idle()
        until(lambda: worker.calls > stopped + 100)
    finally:
        worker.end()


def test_a_load_that_never_ends_does_not_stop_it_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deference, "MAX_PAUSE", 0.02)
    both = Deference()
    both.busy()
    worker = Counting(both)
    try:
        until(lambda: worker.calls > 0)
        first = worker.calls
        until(lambda: worker.calls > first + 10)
    finally:
        worker.end()


def test_it_stands_back_itself_and_nobody_else_does() -> None:
    worker = Counting(Deference())
    try:
        until(lambda: worker.calls > 0)
        assert worker.standing_back
        assert not stands_back()
        if sys.platform == "linux":
            here = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
            assert worker.nice == max(deference.NICE, here)
    finally:
        worker.end()


def test_what_is_changed_for_the_whole_process_is_put_back() -> None:
    interval, frozen = sys.getswitchinterval(), gc.get_freeze_count()
    with pytest.raises(ZeroDivisionError), yielding():
        assert sys.getswitchinterval() <= interval
        assert gc.get_freeze_count() > frozen
        raise ZeroDivisionError
    assert (sys.getswitchinterval(), gc.get_freeze_count()) == (interval, frozen)

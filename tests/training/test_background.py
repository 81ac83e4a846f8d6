from __future__ import annotations

import threading
from collections.abc import Generator

import pytest

from streetvision.training.background import in_background


def test_items_come_in_order_from_another_thread() -> None:
    here = threading.get_ident()

    def items() -> Generator[tuple[int, int], None, None]:
        for number in range(20):
            yield number, threading.get_ident()

    found = list(in_background(items(), 3))
    assert [number for number, _ in found] == list(range(20))
    assert {maker == here for _, maker in found} == {False}


def test_an_error_comes_in_its_turn() -> None:
    def items() -> Generator[int, None, None]:
        yield 1
        raise OSError("gone")

    found = in_background(items(), 4)
    assert next(found) == 1
    with pytest.raises(OSError, match="gone"):
        next(found)


def test_whoever_stops_listening_ends_the_thread_and_closes_what_it_ran() -> None:
    closed = threading.Event()

    def items() -> Generator[int, None, None]:
        try:
            yield from range(10**9)
        finally:
            closed.set()

    found = in_background(items(), 2)
    assert next(found) == 0
    found.close()
    assert closed.wait(5)
    assert "loading" not in {thread.name for thread in threading.enumerate()}

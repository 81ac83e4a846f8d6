"""While somebody captures, nobody collects; afterwards collection is as it was."""

from __future__ import annotations

import gc
from threading import Event, Thread

import pytest
from streetvision_kernels.capturing import uncollected


def test_blocks_nest_and_an_error_ends_them() -> None:
    assert gc.isenabled()
    with uncollected():
        with pytest.raises(ValueError, match="inside"), uncollected():
            raise ValueError("inside")
        assert not gc.isenabled()
    assert gc.isenabled()


def test_blocks_of_two_threads_may_overlap() -> None:
    begun, finish = Event(), Event()

    def other() -> None:
        with uncollected():
            begun.set()
            finish.wait(10)

    thread = Thread(target=other)
    with uncollected():
        thread.start()
        assert begun.wait(10)
    assert not gc.isenabled(), "the other's capture goes on"
    finish.set()
    thread.join(10)
    assert gc.isenabled()


def test_who_does_without_collection_is_left_so() -> None:
    gc.disable()
    try:
        with uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()

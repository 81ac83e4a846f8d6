"""An iterator that a thread of its own runs ahead."""

from __future__ import annotations

from collections.abc import Generator
from queue import Full, Queue
from threading import Event, Thread
from typing import TypeVar

Item = TypeVar("Item")
WAIT_S = 0.1
"""How long a full queue is waited for before looking whether anybody still listens."""


class _End:
    """Follows the last item; carries what the thread died of."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error


def in_background(items: Generator[Item, None, None], ahead: int) -> Generator[Item, None, None]:
    """The same items, up to `ahead` of them made in advance; what making them raises is raised here in its turn."""
    queue: Queue[Item | _End] = Queue(ahead)
    closed = Event()
    thread = Thread(target=_make, args=(items, queue, closed), name="loading", daemon=True)
    thread.start()
    try:
        while not isinstance(item := queue.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        closed.set()
        thread.join()


def _make(items: Generator[Item, None, None], queue: Queue[Item | _End], closed: Event) -> None:
    error: Exception | None = None
    try:
        for item in items:
            if not _put(queue, item, closed):
                break
    except Exception as caught:  # noqa: BLE001  # raised where the item would have been
        error = caught
    finally:
        items.close()
        _put(queue, _End(error), closed)


def _put(queue: Queue[Item | _End], item: Item | _End, closed: Event) -> bool:
    """False when nobody listens any more."""
    while not closed.is_set():
        try:
            queue.put(item, timeout=WAIT_S)
        except Full:
            continue
        return True
    return False

"""What a capture of a CUDA graph needs of a process in which others work too."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Blocks:
    """The blocks that are open now, in all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._was_enabled = False

    def open(self) -> None:
        with self._lock:
            if not self._count:
                self._was_enabled = gc.isenabled()
                gc.disable()
            self._count += 1

    def close(self) -> None:
        with self._lock:
            self._count -= 1
            if not self._count and self._was_enabled:
                gc.enable()


_BLOCKS = _Blocks()


@contextmanager
def uncollected() -> Iterator[None]:
    """No thread collects garbage before the block ends; blocks may nest and overlap.

    Python collects in whatever thread allocates next. In a capturing one that may destroy what another thread left:
    CUDA refuses some of that during a capture and ends it, and torch's random generator then believes for ever that
    it is being captured.
    """
    _BLOCKS.open()
    try:
        yield
    finally:
        _BLOCKS.close()

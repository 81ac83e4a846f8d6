"""A background thread that steps aside: it runs while the engine has nothing to do, and a little when it always has.

Another model's passes, and a compiler all the more, take the interpreter from serving a hundred times in one forward
pass. A lower priority makes that worse: they hold the interpreter while they wait for a core. So the thread is stopped
instead, at the next function that it calls, for as long as a request is in the engine.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from types import FrameType

NICE = 10
"""Of the thread and what it starts: compilers, torch's own threads. It can never come forward again."""
MAX_PAUSE = 0.05
"""Seconds: under a load that never ends the thread still gets on, and what waits for a lock it holds goes on too."""
SLICE = 0.025
"""Seconds that it runs after a pause that the engine did not end: a third of the time when the engine is never idle."""

_here = threading.local()


class Deference:
    """The engine says when it is busy; threads that joined pause then."""

    def __init__(self) -> None:
        self._idle = threading.Event()
        self._idle.set()
        self._busy = False
        self._resumed = 0.0

    def busy(self) -> None:
        """A request came to the idle engine."""
        self._busy = True
        self._idle.clear()

    def idle(self) -> None:
        """The last request left the engine."""
        self._busy = False
        self._idle.set()

    def join(self) -> None:
        """Make the calling thread one that stands back, for good."""
        if sys.platform == "linux":  # elsewhere a priority belongs to the process
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), max(NICE, os.getpriority(os.PRIO_PROCESS, 0)))
        _here.stands_back = True
        _hide_from_dynamo()
        sys.settrace(self._on_call)

    def _on_call(self, _frame: FrameType, _event: str, _argument: object) -> None:
        """Python calls it as each function begins; returning None, it hears nothing else of that function."""
        if self._busy and time.perf_counter() >= self._resumed and not self._idle.wait(MAX_PAUSE):
            self._resumed = time.perf_counter() + SLICE


def stands_back() -> bool:
    """Whether the calling thread joined a Deference."""
    return getattr(_here, "stands_back", False)


def _hide_from_dynamo() -> None:
    """Torch's compiler, which works beside serving on CUDA, must not look at what runs between a model's functions."""
    if "torch" not in sys.modules:
        return
    from torch._dynamo.eval_frame import skip_code

    for function in (
        Deference._on_call,
        threading.Event.wait,
        threading.Condition.wait,
        threading.Condition.__enter__,
        threading.Condition.__exit__,
    ):
        skip_code(function.__code__)

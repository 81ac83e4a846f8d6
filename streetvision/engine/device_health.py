"""What the forward passes of one lane say of the device under it: lost, short of memory for good, or hung."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, TypeVar

from streetvision.engine.faults import Fault, cause_of, fault_of
from streetvision.engine.types import DeviceLost, EngineError, RunnerFailure
from streetvision.errors import OperatorError

STRAINED_PASSES, STRAINED_SECONDS = 3, 5.0
"""Passes in a row, and for how long, that may fail for want of memory: another process may give it back."""
WEIGHED_PASSES = 10
"""Half of so many first passes over one picture that fail for want of memory, within as long, are a loss too."""
HUNG_BEATS = 30
"""Seconds that one pass may take: no validator waits for longer than 9."""
LOST = "the device that the model runs on is lost"
RUN_AGAIN = "run it again, with --device cpu while the GPU does not come back"
"""What a command can do about it that is no service."""

T = TypeVar("T")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Loss:
    """Why a lane's device is given up."""

    kind: Literal["lost", "strained", "hung"]
    """`lost` is the whole process's; the others may be one model's."""
    why: str
    """One line."""


class DeviceHealth:
    """The lane's threads wrap their calls in `passing` or `judged`; `beat` is for the event loop."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.loss: Loss | None = None
        self._clock = clock
        self._failures, self._since = 0, 0.0
        self._weighed: deque[float | None] = deque(maxlen=WEIGHED_PASSES)
        """When each of the last passes failed; None for one that did not."""
        self._passes = 0
        self._running: int | None = None
        """Which pass runs now."""
        self._seen: int | None = None
        self._beats = 0

    @contextmanager
    def passing(self, *, weighed: bool = False) -> Iterator[None]:
        """A forward pass, which is to end soon; `weighed` where a request fails with it. Raises as `judged`."""
        self._passes += 1
        self._running = self._passes
        try:
            with self.judged(weighed=weighed):
                yield
        finally:
            self._running = None

    @contextmanager
    def judged(self, *, weighed: bool = False) -> Iterator[None]:
        """A call of the runner; raises DeviceLost in place of an error that no retry heals."""
        try:
            yield
        except Exception as error:
            self._failed(error, weighed=weighed)
            raise
        self._failures = 0
        if weighed:
            self._weighed.append(None)

    def lose(self, error: BaseException) -> None:
        """The device is lost, as somebody else found out."""
        self.loss = Loss("lost", cause_of(error))

    def beat(self) -> None:
        """Once a second: beats are counted and not the clock, so that a machine that stood still blames nobody."""
        self._beats = self._beats + 1 if self._running is not None and self._running == self._seen else 0
        self._seen = self._running
        if self._beats >= HUNG_BEATS and self.loss is None:
            self.loss = Loss("hung", f"a forward pass has not ended for {HUNG_BEATS} s")

    def _failed(self, error: Exception, *, weighed: bool) -> None:
        fault = fault_of(error)
        if fault is Fault.LOST:
            self.lose(error)
            raise DeviceLost(LOST) from error
        if fault is Fault.STRAINED:
            self._count(error, weighed=weighed)

    def _count(self, error: Exception, *, weighed: bool) -> None:
        now = self._clock()
        self._since = self._since if self._failures else now
        self._failures += 1
        if weighed:
            self._weighed.append(now)
        if self._failures >= STRAINED_PASSES:
            self._strained(f"{self._failures} forward passes in a row", now - self._since, error)
        failed = [at for at in self._weighed if at is not None]
        if 2 * len(failed) >= WEIGHED_PASSES:
            self._strained(f"{len(failed)} of the last {len(self._weighed)} forward passes", now - failed[0], error)

    def _strained(self, passes: str, seconds: float, error: Exception) -> None:
        if seconds >= STRAINED_SECONDS and self.loss is None:
            self.loss = Loss("strained", f"{passes} failed within {seconds:.0f} s: {cause_of(error)}")


def explained(call: Callable[[], T]) -> T:
    """Make a call into a runner; what it raises besides EngineError and OperatorError is logged as a defect of it.

    Raises DeviceLost where what it raises says that the device is lost.
    """
    try:
        return call()
    except BaseException as error:  # an exit or a panic of native code too
        if fault_of(error) is Fault.LOST and not isinstance(error, DeviceLost):
            raise DeviceLost(LOST) from error
        if isinstance(error, EngineError | OperatorError):
            raise
        logger.exception("the model raised %s outside of a batch", type(error).__name__)
        raise RunnerFailure("the model failed while it was made ready") from error

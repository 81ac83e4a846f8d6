"""How images ended, and who hears of it: after the reply, and never at serving's risk."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from streetvision.engine.answers import Answer
from streetvision.engine.types import EngineError, Outcome, Role

OutcomeListener = Callable[[Outcome], None]

logger = logging.getLogger(__name__)


class Listeners:
    """Calls each listener on the event loop once the task that told has paused, which is after its reply."""

    def __init__(self) -> None:
        self._listeners: list[OutcomeListener] = []

    def __bool__(self) -> bool:
        return bool(self._listeners)

    def add(self, listener: OutcomeListener) -> None:
        """Call it with each outcome from now on."""
        self._listeners.append(listener)

    def tell(self, outcome: Outcome) -> None:
        """Soon; in the order told."""
        if self._listeners:
            asyncio.get_running_loop().call_soon(self._tell, outcome)

    def _tell(self, outcome: Outcome) -> None:
        for listener in self._listeners:
            try:
                listener(outcome)
            except Exception:  # a listener's defect is logged and must not touch serving
                logger.exception("a listener of outcomes failed")


def answered(role: Role, answer: Answer, *, key: str, seconds: float, headroom: float | None) -> Outcome:
    """The outcome of an image that a lane answered."""
    return Outcome(
        role=role,
        version=answer.version,
        image_key=key,
        probability=answer.probability,
        logit=answer.logit,
        error=None,
        seconds=seconds,
        inference=answer.seconds,
        headroom=headroom,
        batch_size=answer.batch_size,
        views=answer.views,
    )


def failed(
    role: Role, version: str, error: EngineError, *, key: str, seconds: float, headroom: float | None
) -> Outcome:
    """The outcome of an image that got no answer from a lane."""
    return Outcome(
        role=role,
        version=version,
        image_key=key,
        probability=None,
        logit=None,
        error=error.reason,
        seconds=seconds,
        inference=None,
        headroom=headroom,
        batch_size=0,
        views=0,
    )

"""Answers for commands beside the miner: no caller waits for them."""

from __future__ import annotations

import time
from collections.abc import Callable

from streetvision.engine.device_health import RUN_AGAIN
from streetvision.engine.engine import Engine
from streetvision.engine.types import DeviceLost, Prediction
from streetvision.errors import OperatorError

PATIENCE_S = 600.0
"""So long that no picture is refused for want of time."""


async def predict_offline(engine: Engine, data: bytes, *, clock: Callable[[], float] = time.monotonic) -> Prediction:
    """The answer to one encoded picture; `clock` is the engine's.

    Raises EngineError for a picture that cannot be answered, and OperatorError when the device is lost.
    """
    try:
        return await engine.predict(data, deadline=clock() + PATIENCE_S, priority=0.0)
    except DeviceLost as error:
        raise OperatorError(f"{error}: {RUN_AGAIN}") from error

"""What runs in a training's container, without Modal: from a run's folder on the volume to its best weights in it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from streetvision.errors import OperatorError
from streetvision.serverless.away import ENDED, PICTURES, TRAIN_LIST, VAL_LIST, moved
from streetvision.sources.listed import ListedDataset
from streetvision.training.fit import learn
from streetvision.training.keeping import Stopped
from streetvision.training.pictures import Pictures
from streetvision.training.run_folder import DONE, FAILED, STOPPED, RunFolder

ASK_S = 5.0
"""Between two questions whether to stop: each goes over the network."""


def learn_there(
    run: RunFolder,
    volume: Path,
    tell: Callable[[dict[str, Any]], None],
    wished: Callable[[], bool],
    seconds: float,
    *,
    accelerator: str = "auto",
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Any]:
    """Learn until the end, a wish to stop, or `seconds`; returns the event ENDED. Never raises for the training's sake.

    A resumed run goes on from the checkpoint that lies in its folder.
    """
    began, bound = clock(), Bound(wished, seconds, clock)
    state, why = DONE, ""
    try:
        learn(run, _pictures(run, volume), tell, stop=bound, accelerator=accelerator, clock=clock)
    except Stopped:
        state, why = STOPPED, bound.why
    except OperatorError as error:
        state, why = FAILED, str(error)
    record = run.record()
    return {
        "event": ENDED,
        "state": state,
        "why": why,
        "step": record.step,
        "total_steps": record.total_steps,
        "seconds": clock() - began,
    }


class Bound:
    """Whether to stop: by a wish, or because the time that was paid for is over."""

    def __init__(self, wished: Callable[[], bool], seconds: float, clock: Callable[[], float]) -> None:
        self._wished, self._clock = wished, clock
        self._end = clock() + seconds
        self._ask_at = clock()
        self.why = ""

    def __call__(self) -> bool:
        """Called at every step."""
        now = self._clock()
        if not self.why and now >= self._end:
            self.why = "the money for this training is spent"
        if not self.why and now >= self._ask_at:
            self._ask_at = now + ASK_S
            self.why = "stopped as asked" if self._wished() else ""
        return bool(self.why)


def _pictures(run: RunFolder, volume: Path) -> Pictures:
    record = run.record()
    train, val = (
        moved(ListedDataset(run.path / name).examples(), volume / PICTURES) for name in (TRAIN_LIST, VAL_LIST)
    )
    return Pictures(train, val, record.sets, record.fingerprint)

"""How far a run is and how long it will still take, a few times a second at most."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

import lightning as L

from streetvision.training.arriving import Arriving
from streetvision.training.keeping import Tell

EVERY_S = 0.5
WINDOW = 20
"""Reports over which the speed is averaged."""


class Reporter(L.Callback):
    """Tells step, loss, pictures a second and the time left; only the first of several processes does."""

    def __init__(
        self, tell: Tell, total_steps: int, pictures_a_step: int, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._tell, self._total, self._pictures, self._clock = tell, total_steps, pictures_a_step, clock
        self._marks: deque[tuple[float, int]] = deque(maxlen=WINDOW)
        self._loss: Arriving | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """The clock runs from here."""
        self._marks.append((self._clock(), trainer.global_step))

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: object) -> None:
        """Tell, unless the last telling was a moment ago."""
        now, step = self._clock(), trainer.global_step
        if not trainer.is_global_zero or (now - self._marks[-1][0] < EVERY_S and step < self._total):
            return
        self._marks.append((now, step))
        seconds, steps = now - self._marks[0][0], step - self._marks[0][1]
        rate = steps / seconds if seconds > 0 else 0.0
        loss = self._loss_of(trainer, last=step >= self._total)
        self._tell(
            {
                "event": "progress",
                "step": step,
                "total_steps": self._total,
                "epoch": trainer.current_epoch,
                "loss": None if loss is None else round(loss, 5),
                "pictures_per_second": round(rate * self._pictures, 1),
                "seconds_left": round((self._total - step) / rate) if rate > 0 else None,
            }
        )

    def _loss_of(self, trainer: L.Trainer, *, last: bool) -> float | None:
        """Of this step; on a GPU that of the telling before, which nobody needs to wait for."""
        loss = trainer.callback_metrics.get("loss")
        if loss is None:
            return None
        before, self._loss = self._loss, Arriving(loss)
        told = self._loss if before is None or last or not loss.is_cuda else before
        return told.values()[0]

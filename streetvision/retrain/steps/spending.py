"""What a training costs: counted every minute and at its end, so that a killed run has lost little."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streetvision.base.spending import beyond
from streetvision.retrain.step import Context
from streetvision.retrain_log.records import Spending

EVERY_S = 60.0
HOUR_S = 3600.0


class Meter:
    """Counts GPU hours and money into the log, and says when a bound is reached.

    `hear` may be called by a thread of its own; the log is used by the one that watches, and its failure ends the job.
    """

    def __init__(self, context: Context) -> None:
        self._context, self._clock = context, context.clock.monotonic
        self._begun = self._counted = self._clock()
        self._spent = self._of_the_month()
        self.gpus = 0
        """That the training takes; its first event says so."""

    def hear(self, event: Mapping[str, Any]) -> None:
        """An event of the training."""
        self.gpus = int(event.get("gpus", self.gpus))

    def count(self) -> None:
        """Write down what was spent since the last time."""
        now = self._clock()
        hours = self.gpus * (now - self._counted) / HOUR_S
        if hours:
            self._context.spend(hours, hours * self._context.settings.retrain.gpu_price)
            self._spent = self._of_the_month()
        self._counted = now

    def exceeded(self) -> str:
        """Which bound is reached, as a sentence with a remedy; empty while none is. Counts where it is time to."""
        if self._clock() - self._counted >= EVERY_S:
            self.count()
        wanted, spent = self._context.settings.retrain, self._spent
        hours = (self._clock() - self._begun) / HOUR_S
        if hours > wanted.max_hours:
            return f"training took more than {wanted.max_hours:g} hours: raise --retrain.max_hours or train less"
        hours_spent = beyond(spent.gpu_hours, 0.0, wanted.gpu_hours, "--retrain.gpu_hours", unit="GPU hours")
        return hours_spent or beyond(spent.money, 0.0, wanted.budget, "--retrain.budget")

    def _of_the_month(self) -> Spending:
        return self._context.store.spent(self._context.clock.now()[:7])

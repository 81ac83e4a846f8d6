"""How old a model may be: the subnet announces to pay for a model in full for some days, then less, then nothing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from streetvision.subnet import SUBNET

LEAD_DAYS = 10.0
"""Before the reward decays a successor is wanted: enough to train and submit one."""


class AgeStage(IntEnum):
    """Where a model stands in its pay window; comparable."""

    FRESH = 0
    ENDING = 1
    """Paid in full, though not for much longer."""
    DECAYING = 2
    OVER = 3


@dataclass(frozen=True, slots=True)
class PayWindow:
    """For how long a model is paid; days since its submission."""

    full_days: float = SUBNET.model_full_pay_days
    max_days: float = SUBNET.model_max_age_days

    @property
    def ending_days(self) -> float:
        """Age at which to think of a successor: ten days before the end of full pay, less in a short window."""
        return self.full_days - min(LEAD_DAYS, self.full_days / 4)

    def stage(self, days: float) -> AgeStage:
        """Of a model of this age."""
        ages = (self.ending_days, self.full_days, self.max_days)
        return AgeStage(sum(days >= age for age in ages))

    def words(self, days: float) -> str | None:
        """What an operator should know of a model of this age, as a clause; None while it is fresh."""
        stage = self.stage(days)
        if stage is AgeStage.FRESH:
            return None
        if stage is AgeStage.ENDING:
            return f"{self.full_days - days:.0f} days before its reward decays"
        if stage is AgeStage.DECAYING:
            return f"past the {self.full_days:g} days that the subnet announces to pay in full"
        return f"past the {self.max_days:g} days for which the subnet announces to pay"


PAY_WINDOW = PayWindow()
"""As the subnet announces it."""

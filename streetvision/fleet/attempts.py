"""How long to wait before a miner that ended is started again, and from when on its operator is told. Pure."""

from __future__ import annotations

from dataclasses import dataclass

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
"""Doubled with each failure in a row. The miner waits by itself too once its crashes have become a loop."""
STEADY_S = 60.0
"""A miner that has served for so long has recovered: its next failure is a first one."""
TOLD_AFTER = 3
"""Failures in a row after which alerts are sent: one crash heals by itself."""


@dataclass
class Attempts:
    """The failures of one miner in a row."""

    failures: int = 0
    told: bool = False
    """Whether the operator knows that it does not come back."""

    def ended(self, served_s: float, *, failed: bool) -> float:
        """It ended after serving for so long (0: it was never ready); returns the seconds to wait before the next."""
        if not failed:
            return FIRST_PAUSE_S
        self.failures = 1 if served_s >= STEADY_S else self.failures + 1
        return min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** (self.failures - 1))

    def is_to_be_told(self) -> bool:
        """Whether the operator must hear of it now; true once."""
        due = self.failures >= TOLD_AFTER and not self.told
        self.told |= due
        return due

    def serves_again(self) -> bool:
        """It has served for STEADY_S; whether the operator, who was told of it, must hear of that."""
        told, self.told, self.failures = self.told, False, 0
        return told

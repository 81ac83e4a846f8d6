"""What a training at Modal may cost, as time. Without torch, so that a slip is told at once."""

from __future__ import annotations

from dataclasses import dataclass

from streetvision.cost.prices import Prices
from streetvision.errors import OperatorError
from streetvision.settings.modal import ModalSettings

START_S = 120.0
"""Taken off the time that the money buys: a container starts, and saves at its end."""
SHORTEST_S = 300.0
CORES, MEMORY_GIB = 4.0, 16.0
"""Of a training's container."""


@dataclass(frozen=True, slots=True)
class Money:
    """What a training may cost, and what a second of it does; US dollars."""

    usd: float
    per_s: float

    @property
    def seconds(self) -> float:
        """Of learning, that it buys; OperatorError where that is next to nothing."""
        bought = self.usd / self.per_s - START_S
        if bought < SHORTEST_S:
            least = (SHORTEST_S + START_S) * self.per_s
            raise OperatorError(f"${self.usd:g} buys no training on this card: give at least {least:.2f} with --usd")
        return bought


def money_of(settings: ModalSettings, usd: float, prices: Prices) -> Money:
    """By the price table; raises OperatorError for a card without a price."""
    return Money(usd, prices.container_second(settings.card, CORES, MEMORY_GIB))

"""Tells the operator, by a miner's own sinks, that it does not come back: it cannot say so itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from loguru import logger

from streetvision.alerts.alert import Alert, AlertItem, Change
from streetvision.alerts.sinks import log
from streetvision.fleet.attempts import TOLD_AFTER
from streetvision.fleet.member import Member
from streetvision.monitor.finding import Finding, Severity

if TYPE_CHECKING:
    from streetvision.alerts.sinks.delivery import Patience
    from streetvision.alerts.sinks.sink import Sink

CODE = "miner_down"
CLOSE_S = 5.0
"""Longest wait for messages under way when the fleet stops."""


class Teller:
    """Call it on the loop: `why` a miner does not come back, or None when it serves again."""

    def __init__(self, *, patience: Patience | None = None, clock: Callable[[], float] = time.time) -> None:
        """`patience` of each delivery; None: as for every alert."""
        self._patience, self._clock = patience, clock
        self._told: dict[str, AlertItem] = {}
        self._deliveries: set[asyncio.Task[None]] = set()

    def __call__(self, member: Member, why: str | None) -> None:
        """Write it to the fleet's log, and send it on."""
        item = self._item(member, why)
        if item is None:
            return
        settings = member.settings
        alert = Alert("alert", item.at, settings.alerts.name or member.name, "", settings.netuid, (item,))
        log.write(alert)
        from streetvision.alerts.sinks.choosing import sinks_of  # brings an HTTP client, which a calm fleet never needs

        for sink in sinks_of(settings.alerts):
            task = asyncio.create_task(self._deliver(member, sink, alert), name=f"alert-{member.name}")
            self._deliveries.add(task)
            task.add_done_callback(self._deliveries.discard)

    def _item(self, member: Member, why: str | None) -> AlertItem | None:
        now = self._clock()
        if why is None:
            told = self._told.pop(member.name, None)
            return None if told is None else AlertItem(Change.RECOVERED, told.finding, told.began, now)
        item = self._told[member.name] = AlertItem(Change.RAISED, down(member, why), now, now)
        return item

    async def _deliver(self, member: Member, sink: Sink, alert: Alert) -> None:
        from streetvision.alerts.sinks.delivery import DeliveryError, Patience, deliver

        try:
            await deliver(sink, alert, self._patience or Patience())
        except DeliveryError as error:
            logger.warning("{}: the alert did not arrive at {} ({})", member.name, sink.name, error)

    async def close(self) -> None:
        """Wait a moment for what is under way, and give up the rest."""
        if self._deliveries:
            _, late = await asyncio.wait(self._deliveries, timeout=CLOSE_S)
            for task in late:
                task.cancel()


def down(member: Member, why: str) -> Finding:
    """A miner that ended TOLD_AFTER times in a row without serving in between."""
    name = member.name
    return Finding(
        code=CODE,
        severity=Severity.CRITICAL,
        title=f"the miner {name} does not stay up",
        evidence=(f"It has ended {TOLD_AFTER} times in a row; the last time: {why}.",),
        remedy=f"On its machine, run `streetvision fleet logs {name}` and `streetvision fleet doctor {name}`.",
        subject=name,
    )

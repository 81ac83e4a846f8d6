"""Alerts of a running miner: after each pass of the rules, decide in a thread, remember, and hand messages on."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from loguru import logger
from prometheus_client import CollectorRegistry

from streetvision.alerts.alert import Alert, AlertItem
from streetvision.alerts.digest import Figures, digest
from streetvision.alerts.metrics import MonitorMetrics
from streetvision.alerts.policy import unproven
from streetvision.alerts.schedule import AlertPolicy, advance, digest_due
from streetvision.alerts.sinks import log
from streetvision.alerts.sinks.choosing import LOG
from streetvision.alerts.sinks.delivery import Patience
from streetvision.alerts.sinks.delivery_thread import DeliveryThread
from streetvision.alerts.sinks.ping import Ping, Pulse
from streetvision.alerts.sinks.sink import Sink
from streetvision.alerts.state import AlertState, AlertStore, Tracked
from streetvision.monitor.finding import Finding
from streetvision.monitor.observation import Observation
from streetvision.monitor.rule_pass import is_grave
from streetvision.monitor.thresholds import DAY

MAX_ITEMS = 25
"""Changes that one message carries; the others are counted."""
SAVE_S = 300.0
"""Between two writes when nothing has changed: how long the miner was down is known that well."""
LATE_S = DAY
"""A message that a former process had not delivered is no news after this long."""
FLUSH_S = 3.0
"""Time for messages that still wait when the miner closes."""
STOPPED_S = 180.0
"""After this long without a pass nobody knows how the miner is."""


class Alerting:
    """Give `on_pass` to the monitor, keep `run` running, `close` it after the monitor."""

    def __init__(
        self,
        folder: Path,
        hotkey: str,
        netuid: int,
        name: str,
        *,
        sinks: Sequence[Sink],
        ping: Ping | None,
        ping_every_s: float,
        policy: AlertPolicy,
        registry: CollectorRegistry,
        patience: Patience = Patience(),  # noqa: B008 - immutable
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`folder` is `<state_dir>/monitor`; `name` is how the operator knows this miner."""
        self._hotkey, self._netuid, self._name = hotkey, netuid, name
        self._policy, self._now, self._monotonic = policy, now, monotonic
        self._metrics = MonitorMetrics(registry)
        self._store = AlertStore(folder, hotkey, netuid)
        self._delivery = DeliveryThread(
            sinks, self._metrics, ping=ping, ping_every_s=ping_every_s, pulse=self.pulse, patience=patience
        )
        self.state = AlertState()
        """The state after the last pass; replaced whole."""
        self._news: tuple[tuple[Finding, ...], Observation] | None = None
        self._woken = asyncio.Event()
        self._one_at_a_time = threading.Lock()
        self._started = False
        self._passed_at: float | None = None
        self._saved_at = 0.0

    def on_pass(self, findings: tuple[Finding, ...], seen: Observation) -> None:
        """Listens to the monitor; the newest pass wins."""
        self._news = findings, seen
        self._woken.set()

    async def run(self) -> None:
        """Take each pass, until cancelled."""
        await asyncio.to_thread(self.start)
        while True:
            await self._woken.wait()
            await self.catch_up()

    async def catch_up(self) -> None:
        """Take the newest pass now."""
        self._woken.clear()
        await asyncio.to_thread(self.start)
        if self._news is not None:
            await asyncio.to_thread(self.take, *self._news)

    def start(self) -> None:
        """Remember what the last process knew, and send what it had not delivered; safe to call twice."""
        with self._one_at_a_time:
            if not self._started:
                self._started = True
                self._resume()

    def _resume(self) -> None:
        self.state, waiting = self._store.load()
        self._delivery.start()
        now = self._now()
        for name, alerts in waiting.items():
            fresh = [alert for alert in alerts if now - alert.at < LATE_S]  # one from the future: a clock was wrong
            for alert in fresh:
                self._delivery.send(alert, only=name)
            if late := len(alerts) - len(fresh):
                logger.warning("alerts: {} messages to {} are not sent any more: they are over a day old", late, name)

    def take(self, findings: tuple[Finding, ...], seen: Observation) -> None:
        """One pass; blocks on the disk."""
        with self._one_at_a_time:
            self._take(findings, seen)

    def _take(self, findings: tuple[Finding, ...], seen: Observation) -> None:
        now, before = self._now(), self.state
        state, items = advance(before, findings, now, self._policy, unproven=unproven(seen))
        self.state, due = digest_due(state, now, self._policy.hours)
        self._passed_at = self._monotonic()
        self._metrics.passed(findings, now)
        if items:
            self._tell(self._alert(now, items))
        if due:
            figures, over = digest(seen, self.state)
            self._tell(self._alert(now, over, figures))
        if items or due or self._differs(before) or not 0 <= now - self._saved_at < SAVE_S:
            self._save(now)

    def _differs(self, before: AlertState) -> bool:
        return bool(self.state.tracked or before.tracked) or bool(self._delivery.waiting())

    def _alert(self, now: float, items: Sequence[AlertItem], figures: Figures = ()) -> Alert:
        return Alert(
            kind="digest" if figures else "alert",
            at=now,
            miner=self._name,
            hotkey=self._hotkey,
            netuid=self._netuid,
            items=tuple(items[:MAX_ITEMS]),
            more=max(0, len(items) - MAX_ITEMS),
            figures=figures,
        )

    def _tell(self, alert: Alert) -> None:
        log.write(alert)
        self._metrics.counted(LOG, "sent")
        self._delivery.send(alert)

    def _save(self, now: float) -> None:
        self._store.save(self.state, self._delivery.waiting())
        self._saved_at = now

    def pulse(self) -> Pulse:
        """The miner's health for the dead man's switch, from any thread."""
        if self._passed_at is None or self._monotonic() - self._passed_at > STOPPED_S:
            return Pulse.STOPPED
        # A subnet's fault may last for weeks, in which the switch must still notice that the miner dies.
        grave = any(t.announced is not None and is_grave(t.finding.code, t.announced) for t in self.state.active)
        return Pulse.CRITICAL if grave else Pulse.WELL

    def overview(self) -> dict[str, Any]:
        """The sinks and their health, and the findings that the operator was told: plain values, no secrets."""
        return {
            "name": self._name,
            "sinks": [asdict(health) for health in self._delivery.health()],
            "active": [active_as_dict(tracked) for tracked in self.state.active],
        }

    async def close(self) -> None:
        """Give the sinks a moment, then keep what is not delivered for the next start."""
        if self._started:
            await asyncio.to_thread(self._delivery.close, FLUSH_S)
            await asyncio.to_thread(self._save, self._now())


def active_as_dict(tracked: Tracked) -> dict[str, Any]:
    """A finding that the operator was told of, as plain values."""
    return {
        "code": tracked.finding.code,
        "subject": tracked.finding.subject,
        "severity": tracked.finding.severity.label,
        "title": tracked.finding.title,
        "began": tracked.began,
        "told_at": tracked.told_at,
    }

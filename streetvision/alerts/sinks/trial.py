"""Sends one test message through each sink that the settings name."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from streetvision.alerts.alert import Alert
from streetvision.alerts.sinks import log
from streetvision.alerts.sinks.choosing import LOG, NAMES, ping_of, sinks_of
from streetvision.alerts.sinks.delivery import ONCE, DeliveryError, Patience, deliver
from streetvision.alerts.sinks.sink import Sink
from streetvision.errors import ConfigError
from streetvision.settings.alerts import AlertSettings


@dataclass(frozen=True, slots=True)
class Trial:
    """The outcome at one sink."""

    sink: str
    where: str
    ok: bool
    detail: str
    """`it arrived`, or why not."""
    seconds: float


def configured(settings: AlertSettings) -> tuple[Sink, ...]:
    """Every sink that speaks HTTP, the ping last."""
    ping = ping_of(settings)
    return (*sinks_of(settings), *((ping,) if ping is not None else ()))


async def try_sinks(settings: AlertSettings, only: str | None = None, patience: Patience = ONCE) -> tuple[Trial, ...]:
    """All at once, the log first; ConfigError for a sink that is unknown or not configured."""
    sinks = configured(settings)
    if only is not None:
        _check(only, sinks)
        sinks = tuple(sink for sink in sinks if sink.name == only)
    alert = test_alert(settings.name or "streetvision")
    trials: list[Trial] = [_try_log(alert)] if only in (None, LOG) else []
    return (*trials, *await asyncio.gather(*(_try(sink, alert, patience) for sink in sinks)))


def test_alert(name: str) -> Alert:
    """The message that a test sends."""
    return Alert(kind="test", at=time.time(), miner=name, hotkey="", netuid=0)


def _check(only: str, sinks: Sequence[Sink]) -> None:
    if only not in NAMES:
        raise ConfigError(f"there is no sink {only!r}; known are {', '.join(NAMES)}")
    if only != LOG and only not in (sink.name for sink in sinks):
        flags = f"--alerts.{only}_url" if only != "telegram" else "--alerts.telegram_token and --alerts.telegram_chat"
        raise ConfigError(f"the sink {only} is not configured: set {flags} (docs/alerts.md)")


def _try_log(alert: Alert) -> Trial:
    log.write(alert)
    return Trial(LOG, "the miner's log", ok=True, detail="it arrived", seconds=0.0)


async def _try(sink: Sink, alert: Alert, patience: Patience) -> Trial:
    began = time.monotonic()
    try:
        await deliver(sink, alert, patience)
    except DeliveryError as error:
        return Trial(sink.name, sink.where, ok=False, detail=str(error), seconds=time.monotonic() - began)
    return Trial(sink.name, sink.where, ok=True, detail="it arrived", seconds=time.monotonic() - began)

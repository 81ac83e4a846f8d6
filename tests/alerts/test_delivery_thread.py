"""The delivery thread: sinks that wait for nobody, outages told once, the ping that follows the pulse."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from loguru import logger
from prometheus_client import CollectorRegistry

from streetvision.alerts.alert import Alert
from streetvision.alerts.metrics import MonitorMetrics
from streetvision.alerts.sinks.choosing import Webhook
from streetvision.alerts.sinks.delivery import Patience
from streetvision.alerts.sinks.delivery_thread import DeliveryThread
from streetvision.alerts.sinks.discord import Discord
from streetvision.alerts.sinks.outbox import MAX_WAITING
from streetvision.alerts.sinks.ping import Ping, Pulse, failing
from streetvision.alerts.sinks.sink import Sink, SinkRequest
from streetvision.settings.secret import Secret

from .sink_server import OK, alert, answer, serving, silence, wait_for


@pytest.fixture
def delivering() -> Iterator[Callable[..., DeliveryThread]]:
    made: list[DeliveryThread] = []

    def make(*sinks: Sink, **options: Any) -> DeliveryThread:
        options.setdefault("patience", Patience(attempts=2, first_pause_s=0.01, attempt_s=1.0))
        made.append(DeliveryThread(sinks, MonitorMetrics(CollectorRegistry()), tick_s=0.02, **options))
        made[-1].start()
        return made[-1]

    yield make
    for one in made:
        one.close(0.0)


async def test_sinks_do_not_wait_for_each_other_nor_does_the_caller(delivering: Callable[..., DeliveryThread]) -> None:
    async with serving(silence) as slow, serving(OK) as quick:
        works = delivering(Discord(slow.url()), Webhook(quick.url()), patience=Patience(attempt_s=30.0))
        began = time.perf_counter()
        for _ in range(60):
            works.send(alert())
        assert time.perf_counter() - began < 5.0  # it would be half an hour
        await asyncio.to_thread(wait_for, lambda: works.health()[1].sent >= MAX_WAITING)
        stuck = works.health()[0]
        assert (stuck.sent, stuck.waiting, stuck.dropped) == (0, MAX_WAITING, 40)
        assert set(works.waiting()) == {"discord"}


async def test_an_outage_is_logged_once_and_its_end_once(delivering: Callable[..., DeliveryThread]) -> None:
    lines: list[str] = []
    handler = logger.add(lambda message: lines.append(str(message)), level="DEBUG")
    try:
        async with serving(*[answer("500 Oops")] * 6, OK) as server:
            works = delivering(Webhook(server.url()))
            for _ in range(3):
                works.send(alert())
            await asyncio.to_thread(wait_for, lambda: works.health()[0].failed == 3)
            assert works.health()[0].trouble == "it answers 500"
            works.send(alert())
            await asyncio.to_thread(wait_for, lambda: works.health()[0].sent == 1)
            assert works.health()[0].trouble is None
    finally:
        logger.remove(handler)
    about = [line for line in lines if "alerts: webhook" in line]
    assert [("got no message through" in line, "works again; 3 given up" in line) for line in about] == [
        (True, False),
        (False, True),
    ]


async def test_a_defect_in_a_sink_harms_no_other(delivering: Callable[..., DeliveryThread]) -> None:
    class Broken(Webhook):
        name = "broken"

        def request(self, alert: Alert) -> SinkRequest:
            raise ZeroDivisionError("SECRET")

    async with serving(OK) as server:
        works = delivering(Broken(server.url()), Webhook(server.url()))
        works.send(alert())
        await asyncio.to_thread(wait_for, lambda: works.health()[1].sent == 1)
        await asyncio.to_thread(wait_for, lambda: works.health()[0].failed == 1)
        assert works.health()[0].trouble == "ZeroDivisionError"


async def test_closing_gives_a_moment_and_keeps_the_rest(delivering: Callable[..., DeliveryThread]) -> None:
    async with serving(silence) as slow:
        works = delivering(Webhook(slow.url()), patience=Patience(attempt_s=30.0))
        works.send(alert())
        await asyncio.to_thread(works.close, 0.05)
        assert [kept.title for kept in works.waiting()["webhook"]] == [alert().title]
        assert not [thread for thread in threading.enumerate() if thread.name == "alerts"]
        works.send(alert())  # nobody delivers it, nobody is harmed


async def test_the_ping_follows_the_pulse(delivering: Callable[..., DeliveryThread]) -> None:
    pulses = [Pulse.STOPPED]
    async with serving(answer("200 OK")) as server:
        ping = Ping(server.url("/SECRET-uuid?x=1"), on_critical="fail")
        works = delivering(ping=ping, ping_every_s=3600.0, pulse=lambda: pulses[0])

        def paths() -> list[str]:
            return [first.split()[1] for first, _, _ in server.requests]

        await asyncio.sleep(0.1)
        assert paths() == []
        pulses[0] = Pulse.WELL
        await asyncio.to_thread(wait_for, lambda: paths() == ["/SECRET-uuid?x=1"])
        pulses[0] = Pulse.CRITICAL
        await asyncio.to_thread(wait_for, lambda: paths()[1:] == ["/SECRET-uuid/fail?x=1"])
        pulses[0] = Pulse.STOPPED
        await asyncio.sleep(0.1)
        assert len(paths()) == 2
        assert works.health()[-1].name == "ping"
        assert works.health()[-1].sent == 2


def test_a_ping_is_silent_when_it_should_be() -> None:
    url = Secret("https://hc.example/abc/")
    assert Ping(url).beat(Pulse.CRITICAL) is None
    assert Ping(url, on_critical="fail").beat(Pulse.STOPPED) is None
    assert failing(url) == Secret("https://hc.example/abc/fail")
    well = Ping(url, method="POST").beat(Pulse.WELL)
    assert well is not None
    assert (well.method, well.url) == ("POST", url)


async def test_a_failing_ping_is_tried_again_and_counted(
    delivering: Callable[..., DeliveryThread], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streetvision.alerts.sinks.delivery_thread.RETRY_S", 0.02)
    async with serving(answer("500 Oops"), answer("500 Oops"), answer("200 OK")) as server:
        works = delivering(ping=Ping(server.url()), ping_every_s=3600.0)
        await asyncio.to_thread(wait_for, lambda: works.health()[-1].sent == 1)
        assert works.health()[-1].failed == 2

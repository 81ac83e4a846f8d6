"""Sinks against real servers on loopback: each service's form, its limits, and everything that a server may do."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import random
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loguru import logger
from prometheus_client import CollectorRegistry

from streetvision.config import Settings
from streetvision.errors import ConfigError
from streetvision.logs import configure_logging
from streetvision.monitor.alert import Alert, Change, Item, read_alert
from streetvision.monitor.finding import Severity
from streetvision.monitor.metrics import MonitorMetrics
from streetvision.monitor.sinks.choosing import NAMES, ping_of, sinks_of
from streetvision.monitor.sinks.courier import Courier
from streetvision.monitor.sinks.delivery import ONCE, DeliveryError, Patience, deliver, quiet_client_log, retry_after
from streetvision.monitor.sinks.discord import Discord
from streetvision.monitor.sinks.discord import message as discord_message
from streetvision.monitor.sinks.ping import Ping, Pulse, failing
from streetvision.monitor.sinks.post import MAX_WAITING
from streetvision.monitor.sinks.sink import Reply, Request, Sink, scrubbed, where_of
from streetvision.monitor.sinks.slack import Slack
from streetvision.monitor.sinks.slack import message as slack_message
from streetvision.monitor.sinks.telegram import Telegram
from streetvision.monitor.sinks.telegram import text_of as telegram_text
from streetvision.monitor.sinks.trial import try_sinks
from streetvision.monitor.sinks.webhook import SIGNATURE, Webhook
from streetvision.secret import Secret

Speak = Callable[[asyncio.StreamWriter, asyncio.Event], Awaitable[None]]
"""How a server replies; the event is set when the test is over."""
NASTY = "<b>&amp; *bold* _it_ `code` @everyone <!channel> [a](http://x) ~no~ | > # ü 🚧"


def item(change: Change = Change.RAISED, title: str = "the port is closed", **changes: Any) -> Item:
    severity = changes.pop("severity", Severity.CRITICAL)
    made = Item(change, "endpoint_unreachable", severity, title, ("Nobody answers.",), "Open it.", 1e9, 1e9 + 7200)
    return replace(made, **changes)


def alert(*items: Item, **changes: Any) -> Alert:
    return replace(Alert("alert", 1e9 + 7200, "mine", "5Hot", 72, items or (item(),)), **changes)


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\nConnection: close\r\n\r\n" + b'{"ok":true}'


def answer(status: str, *headers: str, body: bytes = b"") -> bytes:
    lines = "".join(f"{header}\r\n" for header in headers)
    return f"HTTP/1.1 {status}\r\n{lines}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


@dataclass
class Server:
    """Answers each request with the next of `replies` (the last for ever) and keeps what it was asked."""

    replies: list[bytes | Speak]
    port: int = 0
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    running: set[asyncio.Task[None]] = field(default_factory=set)

    def url(self, path: str = "/hook/SECRET-PATH-0123?key=SECRET-QUERY") -> Secret:
        return Secret(f"http://127.0.0.1:{self.port}{path}")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.running.add(task)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            self.requests.append((first, headers, body))
            reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
            if callable(reply):
                await reply(writer, self.over)
            else:
                writer.write(reply)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(body) for _, _, body in self.requests]


@asynccontextmanager
async def serving(*replies: bytes | Speak) -> AsyncIterator[Server]:
    server = Server(list(replies) or [OK])
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        server.over.set()
        await asyncio.gather(*server.running, return_exceptions=True)


async def drip(writer: asyncio.StreamWriter, over: asyncio.Event) -> None:
    """Headers that never end."""
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while not over.is_set():
        writer.write(b"X: y\r\n")
        await writer.drain()
        await asyncio.sleep(0.02)


async def flood(writer: asyncio.StreamWriter, over: asyncio.Event) -> None:
    """A body without an end."""
    writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
    while not over.is_set():
        writer.write(b"x" * 65536)
        await writer.drain()


async def silence(writer: asyncio.StreamWriter, over: asyncio.Event) -> None:
    await over.wait()


async def hang_up(writer: asyncio.StreamWriter, over: asyncio.Event) -> None:
    writer.write(b"HTTP/1.1 2")


# -- delivery ----------------------------------------------------------------------------------------------------------


async def sent(sink: Sink, patience: Patience = ONCE) -> list[float]:
    """Deliver one alert; the pauses that were made."""
    naps: list[float] = []

    async def sleep(seconds: float) -> None:
        naps.append(seconds)

    await deliver(sink, alert(), patience, sleep=sleep, rng=random.Random(1))
    return naps


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (answer("404 Not Found"), "404: there is nothing at this address"),
        (answer("401 Unauthorized"), "401: the address or token is wrong"),
        (answer("400 Bad Request", body=b"SECRET-PATH-0123"), "it answers 400"),
        (answer("302 Found", "Location: http://127.0.0.1:1/"), "a redirect, which is not followed"),
        (answer("500 Oops"), "it answers 500"),
        (answer("429 Slow", "Retry-After: 7"), "fewer messages for 7 s"),
        (b"SSH-2.0-OpenSSH\r\n", "the connection failed (RemoteProtocolError)"),
        (hang_up, "the connection failed (RemoteProtocolError)"),
        (silence, "no answer within 0.3 s"),
        (drip, "no answer within 0.3 s"),
    ],
)
async def test_what_a_server_may_do_is_one_clause(reply: Any, says: str) -> None:
    async with serving(reply) as server:
        with pytest.raises(DeliveryError) as caught:
            await sent(Webhook(server.url()), Patience(attempts=1, attempt_s=0.3))
        assert says in str(caught.value)
        assert "SECRET" not in str(caught.value)
        assert len(server.requests) == 1


async def test_a_body_without_an_end_is_not_read() -> None:
    async with serving(flood) as server:
        assert await sent(Webhook(server.url())) == []


async def test_a_refused_connection_is_said_and_retried() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = Secret(f"http://127.0.0.1:{bound.getsockname()[1]}/SECRET-PATH")
        with pytest.raises(DeliveryError, match="no connection: connection refused"):
            await sent(Webhook(url), Patience(attempts=3))


async def test_it_is_tried_again_with_growing_pauses_until_it_works() -> None:
    busy = answer("503 Busy")
    async with serving(busy, busy, hang_up, busy, OK) as server:
        naps = await sent(Webhook(server.url()), Patience(longest_pause_s=12.0))
        assert len(server.requests) == 5
    assert [5 <= naps[0] <= 6.25, 10 <= naps[1] <= 12.5, naps[2] >= 12, naps[3] >= 12, max(naps) <= 15] == [True] * 5


async def test_the_services_own_patience_is_kept() -> None:
    slow = answer("429 Slow", "Retry-After: 3")
    async with serving(slow, answer("429 Slow", body=b'{"retry_after": 1.5}'), OK) as server:
        assert await sent(Webhook(server.url()), Patience()) == [3.0, 1.5]
    async with serving(answer("429 Slow", "Retry-After: 86400"), OK) as server:
        with pytest.raises(DeliveryError, match="fewer messages for 24 h"):
            await sent(Webhook(server.url()), Patience())


@pytest.mark.parametrize(
    ("header", "body", "expected"),
    [
        ("12", b"", 12.0),
        ("-4", b"", 0.1),
        ("Thu, 01 Jan 1970 00:01:40 GMT", b"", 90.0),
        ("nan", b'{"parameters": {"retry_after": 8}}', 8.0),
        ("", b'{"retry_after": "x"}', None),
        ("soon", b"[1]", None),
        ("", b"[" * 5000, None),
    ],
)
def test_retry_after(header: str, body: bytes, expected: float | None) -> None:
    assert retry_after(Reply(429, {"retry-after": header}, body), 10.0) == expected


async def test_giving_up_at_once_when_there_is_no_point() -> None:
    async with serving(answer("404 Not Found"), OK) as server:
        with pytest.raises(DeliveryError):
            await sent(Webhook(server.url()), Patience())
        assert len(server.requests) == 1


# -- each service's form -----------------------------------------------------------------------------------------------


async def test_discord_gets_embeds() -> None:
    async with serving(answer("204 No Content")) as server:
        await sent(Discord(server.url()))
        first, headers, _ = server.requests[0]
        assert first == "POST /hook/SECRET-PATH-0123?key=SECRET-QUERY HTTP/1.1"
        assert headers["content-type"] == "application/json"
        body = server.bodies[0]
    assert body["allowed_mentions"] == {"parse": []}
    assert body["embeds"][0]["title"] == "CRITICAL: the port is closed"
    assert body["embeds"][0]["description"] == "Nobody answers.\n**Open it.**"
    assert body["embeds"][0]["timestamp"] == "2001-09-09T03:46:40+00:00"


async def test_slack_telegram_and_their_own_errors() -> None:
    async with serving(answer("200 OK", body=b"ok"), answer("200 OK", body=b"invalid_token")) as server:
        await sent(Slack(server.url()))
        assert server.bodies[0]["text"].endswith("mine: CRITICAL: the port is closed*")
        assert server.bodies[0]["attachments"][0]["blocks"][0]["text"]["text"] == "Nobody answers.\n\u25b8 Open it."
        with pytest.raises(DeliveryError, match="it answers 'invalid_token'"):
            await sent(Slack(server.url()))
    token = Secret("123456:SECRET-token_0123456789")
    async with serving(OK, answer("200 OK", body=b'{"ok":false,"description":"chat not found"}')) as server:
        bot = Telegram(token, "-100123", api=f"http://127.0.0.1:{server.port}")
        await sent(bot)
        assert server.requests[0][0] == f"POST /bot{token.reveal()}/sendMessage HTTP/1.1"
        assert server.bodies[0]["chat_id"] == "-100123"
        with pytest.raises(DeliveryError, match="chat not found"):
            await sent(bot)


async def test_the_webhook_is_signed_and_can_be_read_back() -> None:
    async with serving(OK) as server:
        await sent(Webhook(server.url(), Secret("key")))
        await sent(Webhook(server.url()))
        (_, headers, body), (_, plain, _) = server.requests
    assert headers[SIGNATURE.lower()] == f"sha256={hmac.new(b'key', body, hashlib.sha256).hexdigest()}"
    assert SIGNATURE.lower() not in plain
    fields = json.loads(body)
    assert fields["schema"] == 1
    assert read_alert(fields) == alert()


def test_nothing_is_markup_in_any_service() -> None:
    nasty = alert(item(title=NASTY, evidence=(NASTY,), remedy=NASTY), miner=NASTY)
    discord = json.dumps(discord_message(nasty), ensure_ascii=False)
    assert "\\\\*bold\\\\*" in discord
    assert "](" not in discord.replace("\\\\]\\\\(", "")
    slack = slack_message(nasty)
    assert "<!channel>" not in slack["text"]
    assert {block["text"]["type"] for block in slack["attachments"][0]["blocks"]} == {"plain_text"}
    telegram = telegram_text(nasty)
    assert "&lt;b&gt;&amp;amp;" in telegram
    assert telegram.replace("<b>", "").replace("</b>", "").count("<") == 0


@given(st.lists(st.text(max_size=3000), min_size=1, max_size=40), st.integers(0, 500), st.booleans())
def test_limits_hold_whatever_is_to_be_told(texts: list[str], more: int, is_digest: bool) -> None:
    items = tuple(item(title=text, evidence=(text, text), remedy=text) for text in texts)
    figures = tuple((text[:50], text) for text in texts) if is_digest else ()
    told = alert(*items, more=more, figures=figures, kind="digest" if is_digest else "alert")
    discord = discord_message(told)
    sizes = [len(e["title"]) + len(e["description"]) for e in discord["embeds"]]
    assert len(discord["content"]) <= 2000
    assert len(sizes) <= 10
    assert sum(sizes) <= 6000
    assert all(len(e["title"]) <= 256 and len(e["description"]) <= 4096 for e in discord["embeds"])
    slack = slack_message(told)
    assert len(slack["text"]) <= 3000
    blocks = [block for attachment in slack["attachments"] for block in attachment["blocks"]]
    assert len(blocks) <= 50
    assert all(0 < len(block["text"]["text"]) <= 3000 for block in blocks)
    telegram = telegram_text(told)
    assert len(telegram.encode("utf-16-le", "replace")) // 2 <= 4096
    assert telegram.count("<b>") == telegram.count("</b>")


# -- the courier -------------------------------------------------------------------------------------------------------


def wait_for(true: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


@pytest.fixture
def courier() -> Iterator[Callable[..., Courier]]:
    made: list[Courier] = []

    def make(*sinks: Sink, **options: Any) -> Courier:
        options.setdefault("patience", Patience(attempts=2, first_pause_s=0.01, attempt_s=1.0))
        made.append(Courier(sinks, MonitorMetrics(CollectorRegistry()), tick_s=0.02, **options))
        made[-1].start()
        return made[-1]

    yield make
    for one in made:
        one.close(0.0)


async def test_sinks_do_not_wait_for_each_other_nor_does_the_caller(courier: Callable[..., Courier]) -> None:
    async with serving(silence) as slow, serving(OK) as quick:
        works = courier(Discord(slow.url()), Webhook(quick.url()), patience=Patience(attempt_s=30.0))
        began = time.perf_counter()
        for _ in range(60):
            works.send(alert())
        assert time.perf_counter() - began < 5.0  # it would be half an hour
        await asyncio.to_thread(wait_for, lambda: works.health()[1].sent >= MAX_WAITING)
        stuck = works.health()[0]
        assert (stuck.sent, stuck.waiting, stuck.dropped) == (0, MAX_WAITING, 40)
        assert set(works.waiting()) == {"discord"}


async def test_an_outage_is_logged_once_and_its_end_once(courier: Callable[..., Courier]) -> None:
    lines: list[str] = []
    handler = logger.add(lambda message: lines.append(str(message)), level="DEBUG")
    try:
        async with serving(*[answer("500 Oops")] * 6, OK) as server:
            works = courier(Webhook(server.url()))
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


async def test_a_defect_in_a_sink_harms_no_other(courier: Callable[..., Courier]) -> None:
    class Broken(Webhook):
        name = "broken"

        def request(self, alert: Alert) -> Request:
            raise ZeroDivisionError("SECRET")

    async with serving(OK) as server:
        works = courier(Broken(server.url()), Webhook(server.url()))
        works.send(alert())
        await asyncio.to_thread(wait_for, lambda: works.health()[1].sent == 1)
        await asyncio.to_thread(wait_for, lambda: works.health()[0].failed == 1)
        assert works.health()[0].trouble == "ZeroDivisionError"


async def test_closing_gives_a_moment_and_keeps_the_rest(courier: Callable[..., Courier]) -> None:
    async with serving(silence) as slow:
        works = courier(Webhook(slow.url()), patience=Patience(attempt_s=30.0))
        works.send(alert())
        await asyncio.to_thread(works.close, 0.05)
        assert [kept.title for kept in works.waiting()["webhook"]] == [alert().title]
        assert not [thread for thread in threading.enumerate() if thread.name == "alerts"]
        works.send(alert())  # nobody delivers it, nobody is harmed


async def test_the_ping_follows_the_pulse(courier: Callable[..., Courier]) -> None:
    pulses = [Pulse.STOPPED]
    async with serving(answer("200 OK")) as server:
        ping = Ping(server.url("/SECRET-uuid?x=1"), on_critical="fail")
        works = courier(ping=ping, ping_every_s=3600.0, pulse=lambda: pulses[0])

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
    courier: Callable[..., Courier], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streetvision.monitor.sinks.courier.RETRY_S", 0.02)
    async with serving(answer("500 Oops"), answer("500 Oops"), answer("200 OK")) as server:
        works = courier(ping=Ping(server.url()), ping_every_s=3600.0)
        await asyncio.to_thread(wait_for, lambda: works.health()[-1].sent == 1)
        assert works.health()[-1].failed == 2


# -- secrets -----------------------------------------------------------------------------------------------------------

TOKEN = "123456789:SECRET-telegram-token-0123"
CONFIGURED = {
    "alerts_discord_url": "https://127.0.0.1:1/api/webhooks/SECRET1/SECRET-discord",
    "alerts_slack_url": "https://127.0.0.1:1/services/SECRET-slack/B/xyz",
    "alerts_webhook_url": "https://user:SECRET-password@127.0.0.1:1/SECRET-path?key=SECRET-query",
    "alerts_webhook_secret": "SECRET-hmac",
    "alerts_ping_url": "https://127.0.0.1:1/SECRET-uuid",
    "alerts_telegram_token": TOKEN,
}


async def test_secrets_are_in_no_log_whatever_fails(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Every logger at its most talkative, sinks that fail in every way, and one that succeeds."""
    hidden: dict[str, Any] = {name: Secret(value) for name, value in CONFIGURED.items()}
    settings = Settings(**hidden, alerts_telegram_chat="42")
    configure_logging(debug=True)
    caplog.set_level(logging.DEBUG)
    for name in list(logging.root.manager.loggerDict):
        logging.getLogger(name).setLevel(logging.DEBUG)
    bot = Telegram(Secret(TOKEN), "42", api="https://127.0.0.1:1")
    sinks = [bot if sink.name == "telegram" else sink for sink in sinks_of(settings)]
    works = Courier(sinks, MonitorMetrics(CollectorRegistry()), ping=ping_of(settings), patience=ONCE)
    works.start()
    works.send(alert())
    await asyncio.to_thread(wait_for, lambda: all(sink.failed for sink in works.health()))
    for reply in (OK, answer("500 Oops"), answer("302 Found", "Location: /SECRET"), hang_up, silence):
        async with serving(reply) as server:
            for sink in (Webhook(server.url()), Discord(server.url()), Slack(server.url())):
                try:
                    await deliver(sink, alert(), Patience(attempts=1, attempt_s=0.3))
                except DeliveryError as error:
                    logger.exception("{}", error)
    logger.error("{} {!r} {}", settings, settings, works.health())
    works.close(0.0)
    printed = capsys.readouterr()
    said = printed.out + printed.err + caplog.text
    assert "got no message through" in said
    assert "SECRET" not in said


@pytest.mark.parametrize("url", [CONFIGURED["alerts_webhook_url"], CONFIGURED["alerts_slack_url"]])
def test_what_is_shown_of_an_address(url: str) -> None:
    assert where_of(Secret(url)) == "https://127.0.0.1:1/..."
    assert "SECRET" not in scrubbed(f"cannot do {url}\nnor {url.partition('1:1')[2]}", Secret(url))


def test_a_secret_shows_nothing() -> None:
    secret = Secret("x")
    assert [str(secret), repr(secret), f"{secret:>9}", f"{Secret()}"] == [
        "(hidden)",
        "Secret('(hidden)')",
        " (hidden)",
        "",
    ]
    assert secret == Secret("x") != Secret("y")
    with pytest.raises(TypeError):
        __import__("pickle").dumps(secret)
    with pytest.raises(TypeError):
        json.dumps({"a": secret})


# -- the test command's room -------------------------------------------------------------------------------------------


async def test_a_trial_says_of_each_sink_how_it_went() -> None:
    async with serving(answer("200 OK", body=b"ok")) as good, serving(answer("404 Not Found")) as bad:
        settings = Settings(alerts_slack_url=good.url(), alerts_discord_url=bad.url(), alerts_ping_url=good.url("/p"))
        trials = await try_sinks(settings)
        assert [(trial.sink, trial.ok) for trial in trials] == [
            ("log", True), ("discord", False), ("slack", True), ("ping", True)
        ]  # fmt: skip
        assert "deleted" in trials[1].detail
        assert [trial.sink for trial in await try_sinks(settings, "ping")] == ["ping"]
        with pytest.raises(ConfigError, match=r"webhook is not configured: set --alerts\.webhook_url"):
            await try_sinks(settings, "webhook")
        with pytest.raises(ConfigError, match="no sink 'email'; known are log, discord"):
            await try_sinks(settings, "email")
    assert set(NAMES) == {"log", "discord", "slack", "telegram", "webhook", "ping"}


def test_the_client_cannot_log_addresses() -> None:
    client = type(httpx_client()).__module__.partition(".")[0]
    logging.getLogger(client).setLevel(logging.DEBUG)
    quiet_client_log()
    assert not logging.getLogger(client).isEnabledFor(logging.INFO)


def httpx_client() -> object:
    from huggingface_hub import get_session

    return get_session()

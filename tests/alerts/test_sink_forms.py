"""Each service's form and its limits, as real servers on loopback receive them."""

from __future__ import annotations

import hashlib
import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streetvision.alerts.alert import Change, read_alert
from streetvision.alerts.sinks.choosing import SIGNATURE, Webhook
from streetvision.alerts.sinks.delivery import DeliveryError
from streetvision.alerts.sinks.discord import Discord
from streetvision.alerts.sinks.sink import MARKS, RECOVERED_MARK
from streetvision.alerts.sinks.slack import Slack
from streetvision.alerts.sinks.telegram import Telegram
from streetvision.alerts.sinks.telegram import text_of as telegram_text
from streetvision.monitor.finding import Severity
from streetvision.settings.secret import Secret

from .sink_server import OK, alert, answer, item, sent, serving

WARNING = Severity.WARNING
NASTY = "<b>&amp; *bold* _it_ `code` @everyone <!channel> [a](http://x) ~no~ | > # ü 🚧"


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


def test_a_digest_marks_each_event_by_its_own_severity() -> None:
    """The dot of what is over is green, though the message itself is blue."""
    events = (item(Change.RECOVERED, "the port is open"), item(Change.PASSED, "a disk was full", severity=WARNING))
    told = alert(*events, kind="digest", figures=(("requests", "none"),))
    discord = Discord.message(told)["embeds"][0]["description"]
    slack = Slack.message(told)["attachments"][0]["blocks"][1]["text"]["text"]
    for text in (discord, slack, telegram_text(told)):
        dots = [line[0] for line in text.splitlines() if "the port is open" in line or "a disk was full" in line]
        assert dots == [RECOVERED_MARK, MARKS[WARNING]]


def test_nothing_is_markup_in_any_service() -> None:
    nasty = alert(item(title=NASTY, evidence=(NASTY,), remedy=NASTY), miner=NASTY)
    discord = json.dumps(Discord.message(nasty), ensure_ascii=False)
    assert "\\\\*bold\\\\*" in discord
    assert "](" not in discord.replace("\\\\]\\\\(", "")
    slack = Slack.message(nasty)
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
    discord = Discord.message(told)
    sizes = [len(e["title"]) + len(e["description"]) for e in discord["embeds"]]
    assert len(discord["content"]) <= 2000
    assert len(sizes) <= 10
    assert sum(sizes) <= 6000
    assert all(len(e["title"]) <= 256 and len(e["description"]) <= 4096 for e in discord["embeds"])
    slack = Slack.message(told)
    assert len(slack["text"]) <= 3000
    blocks = [block for attachment in slack["attachments"] for block in attachment["blocks"]]
    assert len(blocks) <= 50
    assert all(0 < len(block["text"]["text"]) <= 3000 for block in blocks)
    telegram = telegram_text(told)
    assert len(telegram.encode("utf-16-le", "replace")) // 2 <= 4096
    assert telegram.count("<b>") == telegram.count("</b>")

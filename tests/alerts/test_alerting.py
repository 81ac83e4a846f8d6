"""Alerts of a running miner: over restarts and outages, with a failing disk; the command line; the settings."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from loguru import logger
from prometheus_client import CollectorRegistry
from typer.testing import CliRunner

from streetvision.alerts.alerting import SAVE_S, Alerting
from streetvision.alerts.schedule import AlertPolicy
from streetvision.alerts.sinks.choosing import Webhook
from streetvision.alerts.sinks.delivery import Patience
from streetvision.alerts.sinks.ping import Ping, Pulse
from streetvision.alerts.state import FILE, AlertState, AlertStore, read_alerts
from streetvision.cli.main import app
from streetvision.errors import ConfigError
from streetvision.monitor.finding import Finding, Severity
from streetvision.monitor.monitor import Monitor, Sources
from streetvision.monitor.observation import Observation
from streetvision.monitor.traffic_counter import TrafficCounter
from streetvision.settings.fields import SETTINGS
from streetvision.settings.flags import flags_of, without_secrets
from streetvision.settings.loading import load_settings
from streetvision.settings.secret import Secret
from streetvision.settings.settings import Settings

from .sink_server import wait_for

LOST = Finding("deregistered", Severity.CRITICAL, "the hotkey has no UID", ("It was lost.",), "Register again.")
HALTED = Finding("subnet_halted", Severity.CRITICAL, "the subnet is halted", ("All is burned.",), "Wait.")
Make = Callable[..., Alerting]


class Receiver(ThreadingHTTPServer):
    """Takes what is posted, or refuses it while `status` is no 200."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Take)
        self.status = 200
        self.got: list[dict[str, Any]] = []
        Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/SECRET-path"


class _Take(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.status == 200:
            self.server.got.append(json.loads(body))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    yield server
    server.shutdown()
    server.server_close()


class Clock:
    now = 1.79e9

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(tmp_path: Path, receiver: Receiver, clock: Clock) -> Iterator[Make]:
    made: list[Alerting] = []

    def build(**options: Any) -> Alerting:
        options.setdefault("sinks", (Webhook(Secret(receiver.url)),))
        options.setdefault("ping", None)
        options.setdefault("registry", CollectorRegistry())
        alerting = Alerting(
            tmp_path / "monitor",
            "5Hotkey",
            72,
            "mine",
            ping_every_s=300.0,
            policy=AlertPolicy(),
            patience=Patience(attempts=1000, first_pause_s=0.02, longest_pause_s=0.02),
            now=clock,
            monotonic=clock,
            **options,
        )
        alerting.start()
        made.append(alerting)
        return alerting

    yield build
    for one in made:
        one._delivery.close(0.0)


def passes(alerting: Alerting, clock: Clock, seconds: float, *findings: Finding) -> None:
    for _ in range(round(seconds / 20)):
        alerting.take(findings, Observation(now=clock.now, hotkey="5Hotkey"))
        clock.now += 20.0


def test_a_finding_reaches_the_operator_once_over_restarts(make: Make, clock: Clock, receiver: Receiver) -> None:
    first = make()
    passes(first, clock, 200, LOST)
    wait_for(lambda: len(receiver.got) == 1)
    asyncio.run(first.close())
    passes(make(), clock, 400, LOST)
    time.sleep(0.1)
    assert [message["title"] for message in receiver.got] == ["mine: CRITICAL: the hotkey has no UID"]


@pytest.mark.parametrize("set_by", [0.0, -20_000 * 86_400.0])
def test_what_was_not_delivered_is_after_a_restart(make: Make, clock: Clock, receiver: Receiver, set_by: float) -> None:
    receiver.status = 500
    first = make()
    passes(first, clock, 200, LOST)
    asyncio.run(first.close())
    receiver.status = 200
    clock.now += set_by
    second = make()
    wait_for(lambda: len(receiver.got) == 1)
    assert receiver.got[0]["items"][0]["code"] == "deregistered"
    passes(second, clock, 60, LOST)
    assert second.overview()["sinks"][0]["sent"] == 1


def test_yesterdays_news_and_another_hotkeys_are_left_alone(make: Make, clock: Clock, receiver: Receiver) -> None:
    receiver.status = 500
    first = make()
    passes(first, clock, 200, LOST)
    asyncio.run(first.close())
    receiver.status = 200
    clock.now += 2 * 86_400
    second = make()
    assert second.state.active[0].finding.code == "deregistered"
    assert second.overview()["sinks"][0]["waiting"] == 0
    stranger = AlertStore(second._store._file.parent, "5Other", 72)
    assert stranger.load() == (AlertState(), {})


def test_a_killed_process_forgets_nothing(make: Make, clock: Clock, receiver: Receiver, tmp_path: Path) -> None:
    receiver.status = 500
    passes(make(), clock, 200, LOST)  # and no close
    state, waiting = read_alerts(tmp_path / "monitor" / FILE)
    assert [tracked.finding.code for tracked in state.active] == ["deregistered"]
    assert [alert.items[0].finding.code for alert in waiting["webhook"]] == ["deregistered"]


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"format": 9}', '{"format": 1}', "[" * 9000, "null", "1e999"])
def test_a_damaged_memory_is_begun_anew(damage: str, make: Make, clock: Clock, tmp_path: Path) -> None:
    (tmp_path / "monitor").mkdir()
    if damage == "1e999":
        passes(make(), clock, 100, LOST)
        text = (tmp_path / "monitor" / FILE).read_text()
        damage = re.sub(r'"began": [0-9.]+', '"began": 1' + "0" * 400, text)
        assert damage != text
    (tmp_path / "monitor" / FILE).write_text(damage)
    passes(make(sinks=()), clock, 100, LOST)
    assert read_alerts(tmp_path / "monitor" / FILE)[0].active[0].finding.code == "deregistered"


def test_a_failing_disk_is_said_once_and_alerts_go_on(
    make: Make, clock: Clock, receiver: Receiver, tmp_path: Path
) -> None:
    alerting = make()
    shutil.rmtree(tmp_path / "monitor", ignore_errors=True)
    (tmp_path / "monitor").write_text("a file in the way")
    lines: list[str] = []
    handler = logger.add(lambda message: lines.append(str(message)), level="WARNING")
    try:
        passes(alerting, clock, 400, LOST)
    finally:
        logger.remove(handler)
    wait_for(lambda: len(receiver.got) == 1)
    assert len([line for line in lines if "cannot be written" in line]) == 1


def test_a_healthy_miner_writes_seldom(make: Make, clock: Clock, tmp_path: Path) -> None:
    alerting, written = make(sinks=()), set()
    for _ in range(60):
        passes(alerting, clock, 20)
        written.add((tmp_path / "monitor" / FILE).stat().st_mtime_ns)
    assert 2 <= len(written) <= 2 + 1200 / SAVE_S


def test_the_pulse_stops_with_the_passes_and_with_what_is_ours(make: Make, clock: Clock, receiver: Receiver) -> None:
    alerting = make(ping=Ping(Secret(receiver.url), method="POST"))
    assert alerting.pulse() is Pulse.STOPPED
    passes(alerting, clock, 400, HALTED)
    assert alerting.pulse() is Pulse.WELL
    passes(alerting, clock, 400, HALTED, LOST)
    assert alerting.pulse() is Pulse.CRITICAL
    clock.now += 1000.0
    assert alerting.pulse() is Pulse.STOPPED


def test_metrics_show_findings_and_messages(make: Make, clock: Clock, receiver: Receiver) -> None:
    registry = CollectorRegistry()
    alerting = make(registry=registry)
    passes(alerting, clock, 200, LOST)
    wait_for(lambda: bool(receiver.got))
    labels = {"code": "deregistered", "severity": "critical"}
    assert registry.get_sample_value("streetvision_monitor_findings", labels) == 1
    wait_for(lambda: sent(registry, "webhook") == 1)
    assert sent(registry, "log") == 1
    passes(alerting, clock, 20)
    assert registry.get_sample_value("streetvision_monitor_findings", labels) == 0
    assert registry.get_sample_value("streetvision_monitor_last_pass_timestamp_seconds") == clock.now - 20


def sent(registry: CollectorRegistry, sink: str) -> float | None:
    labels = {"sink": sink, "outcome": "sent"}
    return registry.get_sample_value("streetvision_monitor_alerts_total", labels)


def test_a_digest_comes_each_morning(make: Make, clock: Clock, receiver: Receiver) -> None:
    alerting = make()
    alerting._policy = replace(alerting._policy, hours=replace(alerting._policy.hours, digest=480))
    passes(alerting, clock, 60)
    clock.now += 86_400
    passes(alerting, clock, 60)
    wait_for(lambda: len(receiver.got) == 1)
    assert receiver.got[0]["kind"] == "digest"
    assert ["wrong now", "nothing"] in receiver.got[0]["figures"]


async def test_the_monitor_feeds_the_alerts_without_waiting(
    make: Make, clock: Clock, receiver: Receiver, tmp_path: Path
) -> None:
    """Passes go on at their pace while every sink refuses."""
    receiver.status = 500
    alerting = await asyncio.to_thread(make)
    (tmp_path / "file").write_text("in the way")
    monitor = Monitor(tmp_path / "file", "5Hotkey", 72, Sources(lambda: 5.0), TrafficCounter(clock()), now=clock)
    monitor.add_listener(alerting.on_pass)
    running = asyncio.create_task(alerting.run())
    for _ in range(30):
        clock.now += 20.0
        await monitor.look()
        await asyncio.sleep(0.01)
    running.cancel()
    assert [tracked.finding.code for tracked in alerting.state.active] == ["history_degraded"]
    assert alerting.overview()["sinks"][0]["waiting"] == 1
    await asyncio.to_thread(alerting._delivery.close, 0.0)


# -- settings ----------------------------------------------------------------------------------------------------------


def load(folder: Path, *argv: str, **environ: str) -> Settings:
    return load_settings(argv, environ, cwd=folder, warn=lambda _: None)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("ALERTS_DISCORD_URL", "http://discord.com/SECRET", "must begin with https://"),
        ("ALERTS_SLACK_URL", "SECRET", "is not an https:// address"),
        ("ALERTS_WEBHOOK_URL", "https://[SECRET", "is not an address"),
        ("ALERTS_WEBHOOK_URL", "https://x:SECRET/", "is not an address"),
        ("ALERTS_PING_URL", "ftp://x/SECRET", "is not an https:// address"),
        ("ALERTS_TELEGRAM_TOKEN", "SECRET", "is not a bot's token"),
        ("ALERTS_WEBHOOK_SECRET", "HIDE\x00SECRETLY", "control characters"),
        ("ALERTS_WEBHOOK_SECRET", "SECRET", "set that too"),
        ("ALERTS_TELEGRAM_TOKEN", f"1234:{'SECRET' * 6}", "Telegram needs both"),
        ("ALERTS_DISCORD_URL_FILE", "/nonexistent/file", "ALERTS_DISCORD_URL_FILE: cannot read /nonexistent/file"),
        ("ALERTS_QUIET_HOURS", "22-7", "is not two times"),
        ("ALERTS_QUIET_HOURS", "22:00-22:00", "is not two times"),
        ("ALERTS_DIGEST", "8", "is neither a time such as 08:00 nor never"),
        ("ALERTS_TIME_ZONE", "../etc/passwd", "is not a time zone"),
        ("ALERTS_TIME_ZONE", "Mars/Base", "is not a time zone"),
        ("ALERTS_TELEGRAM_CHAT", "me", "neither a chat's number"),
        ("ALERTS_NAME", "x" * 41, "at most 40"),
    ],
)
def test_bad_values_are_refused_without_being_repeated(name: str, value: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, **{name: value})
    assert says in str(caught.value)
    assert "SECRET" not in str(caught.value).replace(name, "")


def test_loopback_needs_no_https(tmp_path: Path) -> None:
    for host in ("127.0.0.1:9", "localhost", "[::1]:9"):
        assert load(tmp_path, ALERTS_WEBHOOK_URL=f"http://{host}/x").alerts.webhook_url


def test_a_secret_may_lie_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "discord").write_text("https://discord.com/api/webhooks/1/x\n")
    (tmp_path / "miner.env").write_text(f"ALERTS_DISCORD_URL_FILE={tmp_path}/discord\n")
    warnings: list[str] = []
    settings = load_settings((), {}, cwd=tmp_path, warn=warnings.append)
    assert settings.alerts.discord_url.reveal() == "https://discord.com/api/webhooks/1/x"
    assert warnings == []
    assert load(tmp_path, ALERTS_DISCORD_URL="https://y/z").alerts.discord_url == Secret("https://y/z")


def test_settings_are_shown_without_secrets(tmp_path: Path) -> None:
    settings = load(tmp_path, "--alerts.discord_url", "https://d/SECRET", ALERTS_WEBHOOK_URL="https://w/SECRET")
    assert flags_of(replace(settings, alerts=replace(settings.alerts, name="mine"))) == ["--alerts.name", "mine"]
    dump = {item.name: item.value_in(settings) for item in SETTINGS}
    assert "SECRET" not in f"{settings} {settings!r} {dump} {json.dumps(dump, default=str)}"
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, "--alerts.discordurl", "https://d/SECRET", "--token", f"1234:{'SECRET' * 6}")
    assert "SECRET" not in str(caught.value)
    assert without_secrets("see wss://node:443 and http://x/SECRET.") == "see wss://node:443 and http://..."


# -- the command -------------------------------------------------------------------------------------------------------


def run(*argv: str, env: dict[str, str]) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["alerts", *argv], env=env)
    return result.exit_code, result.output


def test_the_test_command(receiver: Receiver, tmp_path: Path) -> None:
    env = {"ALERTS_WEBHOOK_URL": receiver.url, "STREETVISION_STATE_DIR": str(tmp_path), "ALERTS_NAME": "mine"}
    code, output = run("test", env=env)
    assert code == 0
    assert "ok    webhook   http://127.0.0.1:" in output
    assert receiver.got[0]["title"] == "mine: this is a test, alerts arrive"
    receiver.status = 403
    code, output = run("test", "--sink", "webhook", "--json", env=env)
    trial = json.loads(output)
    assert (code, trial["ok"], trial["detail"]) == (1, False, "it answers 403: it may not write there")
    assert "SECRET" not in output


def test_the_list_command_without_a_miner(make: Make, clock: Clock, receiver: Receiver, tmp_path: Path) -> None:
    env = {"ALERTS_WEBHOOK_URL": receiver.url, "STREETVISION_STATE_DIR": str(tmp_path)}
    code, output = run("list", env=env)
    assert (code, "No alert is active." in output) == (0, True)
    passes(make(), clock, 200, LOST)
    code, output = run("list", env=env)
    assert code == 0
    assert "critical  the hotkey has no UID (for" in output
    code, output = run("list", "--json", env=env)
    listed = json.loads(output)
    assert listed["active"][0]["code"] == "deregistered"
    assert listed["sinks"][0]["where"] == f"http://127.0.0.1:{receiver.server_port}/..."
    assert "SECRET" not in output
    (tmp_path / "monitor" / FILE).write_text("{")
    assert run("list", env=env)[0] == 1

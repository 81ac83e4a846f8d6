"""The operator's port of the real process: what a scraper, a service manager and a browser get from it."""

from __future__ import annotations

import asyncio
import http.client
import json
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_plain

from streetvision.chain.mock.bridge_client import MockBridgeClient

pytestmark = [pytest.mark.process, pytest.mark.timeout(240)]

Start = Callable[..., Any]
ROOT = Path(__file__).parents[2]
BREAKABLE = """
import sys
from pathlib import Path
from streetvision.runner.torch_runner import TorchRunner
from streetvision.engine.types import RunnerFailure

run, broken = TorchRunner.run, Path(sys.argv.pop(1))

def run_or_fail(self, images):
    if broken.exists():
        raise RunnerFailure("the device is gone")
    return run(self, images)

TorchRunner.run = run_or_fail
from streetvision.miner.process import main
main(sys.argv[1:])
"""
"""The miner with a device that fails for as long as a file is there."""


@pytest.fixture
def health() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def get(port: int, path: str, method: str = "GET", **headers: str) -> tuple[int, str, str]:
    """Status, content type and text."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return response.status, response.getheader("content-type", ""), response.read().decode()
    finally:
        connection.close()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def answers(port: int, path: str) -> int | None:
    """The status, None while nobody listens."""
    try:
        return get(port, path)[0]
    except OSError:
        return None


def codes(port: int) -> set[str]:
    """Why the miner is not ready."""
    return {reason["code"] for reason in json.loads(get(port, "/readyz")[2])["reasons"]}


def flags(port: int, health: int) -> tuple[str, ...]:
    return ("--axon.port", str(port), "--axon.ip", "127.0.0.1", "--metrics.port", str(health))


def test_from_start_to_end(start_miner: Start, caller: Any, port: int, health: int, jpeg: bytes) -> None:
    miner = start_miner(*flags(port, health), fresh=True)
    wait_until(lambda: answers(health, "/healthz") is not None)
    assert get(health, "/healthz")[0] == 200
    assert {"starting", "not_warm"} <= codes(health)
    miner.wait_for("ready")
    assert get(health, "/readyz") == (200, "application/json", '{"ready": true, "reasons": [], "degraded": []}\n')

    assert caller("Bob").ask(port, jpeg)[0] == 200
    assert caller("Eve").ask(port, jpeg)[0] == 403
    time.sleep(1.1)  # a rendering serves again for a second
    status, kind, text = get(health, "/metrics")
    assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in parse_plain(text)
        for sample in family.samples
    }
    answered = (("dialect", "legacy"), ("reason", "ok"), ("status", "200"))
    assert samples[("streetvision_axon_requests_total", *answered)] == 1
    assert samples[("streetvision_validator_requests_total", ("outcome", "answered"), ("uid", "1"))] == 1
    assert samples[("streetvision_request_seconds_count",)] == 1
    assert samples[("streetvision_standing_uid",)] == 4
    assert samples[("streetvision_ready",)] == 1
    assert not any("_created" in key[0] for key in samples)
    status, kind, text = get(health, "/metrics", accept="application/openmetrics-text; version=1.0.0")
    assert kind.startswith("application/openmetrics-text")
    families = parse_openmetrics(text)  # type: ignore[no-untyped-call]  # the library's omission
    assert any(family.name == "streetvision_axon_requests" for family in families)

    status, _, text = get(health, "/health/generate")
    assert status == 200
    assert 0.0 <= json.loads(text)["probability"] <= 1.0
    assert get(health, "/")[1].startswith("text/html")
    assert json.loads(get(health, "/api/status.json")[2])["standing"]["uid"] == 4
    assert miner.terminate()[0] == 0
    assert answers(health, "/healthz") is None


def test_not_ready_while_draining(start_miner: Start, caller: Any, port: int, health: int, jpeg: bytes) -> None:
    miner = start_miner(*flags(port, health))
    miner.wait_for("ready")
    connection, rest = caller("Bob").begin(port, jpeg)
    miner.process.send_signal(signal.SIGTERM)
    miner.wait_for("SIGTERM")
    wait_until(lambda: get(health, "/readyz")[0] == 503)
    assert "draining" in codes(health)
    assert get(health, "/healthz")[0] == 200
    connection.send(rest)
    assert connection.getresponse().status == 200
    connection.close()
    assert miner.exit_code() == 0


def test_not_ready_while_deregistered(start_miner: Start, caller: Any, port: int, health: int) -> None:
    miner = start_miner(*flags(port, health), "--mock.block_time", "0.2")
    miner.wait_for("ready")
    hotkey = caller("Bob").receiver

    async def steer(action: str) -> None:
        async with MockBridgeClient(miner.socket) as bridge:
            await (bridge.deregister(hotkey) if action == "out" else bridge.register(hotkey, hotkey))

    assert get(health, "/readyz")[0] == 200
    asyncio.run(steer("out"))
    wait_until(lambda: get(health, "/readyz")[0] == 503)
    assert codes(health) == {"deregistered", "not_registered"}
    asyncio.run(steer("in"))
    wait_until(lambda: get(health, "/readyz")[0] == 200)
    assert miner.terminate()[0] == 0


def test_generate_fails_when_the_model_fails(
    start_miner: Start, tmp_path: Path, port: int, health: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, script = tmp_path / "broken", tmp_path / "breakable.py"
    script.write_text(BREAKABLE)
    miner = start_miner(*flags(port, health), script=(str(script), str(broken)))
    miner.wait_for("ready")
    assert get(health, "/health/generate")[0] == 200
    broken.touch()
    wait_until(lambda: get(health, "/health/generate")[0] == 503)
    told = json.loads(get(health, "/health/generate")[2])
    assert (told["ok"], told["reason"]) == (False, "runner")
    assert get(health, "/healthz")[0] == 200
    broken.unlink()
    wait_until(lambda: get(health, "/health/generate")[0] == 200)
    assert miner.terminate()[0] == 0


def test_a_taken_port_is_one_sentence(start_miner: Start, port: int) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        miner = start_miner(*flags(port, other.getsockname()[1]))
        assert miner.exit_code() == 1
    assert "choose another --metrics.port" in miner.lines()[-1]["message"]


def test_a_public_address_is_warned_of(start_miner: Start, port: int, health: int) -> None:
    miner = start_miner(*flags(port, health), "--metrics.address", "0.0.0.0")
    miner.wait_for("metrics: whoever reaches http://0.0.0.0")
    miner.wait_for("ready")
    assert get(health, "/healthz", host="rebound.example")[0] == 421
    assert miner.terminate()[0] == 0

"""The whole miner in this process, with a device that dies: the CPU takes over, or the process ends and says so."""

from __future__ import annotations

import asyncio
import http.client
import itertools
import json
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch

from streetvision.axon.client import legacy_headers, request_body
from streetvision.base.state_folder import one_miner
from streetvision.chain.mock.config import dev_hotkey
from streetvision.control.app import Asked
from streetvision.control.client import SOCKET_NAME, call
from streetvision.engine.types import ImageArray, Runner, RunnerOutput
from streetvision.errors import EXIT_RESTART
from streetvision.miner.miner import Miner
from streetvision.miner.process import run_operation, start
from streetvision.miner.starts import STARTS_FILE, Start, read_starts
from streetvision.models.checkpoint import save_checkpoint
from streetvision.models.network import build, tiny_config
from streetvision.page.page import PAGE_SPAN
from streetvision.runner.opening import open_runner
from streetvision.scenes.challenges import challenge
from streetvision.settings.model import ModelSettings
from streetvision.settings.network import AxonSettings, SubtensorSettings
from streetvision.settings.settings import Settings

LOST = "CUDA error: unspecified launch failure"
IMAGES = [challenge(seed, native=False).jpeg for seed in range(2)]
NUMBERS = itertools.count()
ASKED = Asked({})


class Mortal:
    """A real runner on a device that a test can kill."""

    dead: set[str] = set()  # noqa: RUF012 - one for all, as the miner makes the runners

    def __init__(self, runner: Runner, device: str) -> None:
        self._runner, self._device = runner, device
        self.version, self.input_size = runner.version, runner.input_size
        self.resize, self.buckets = runner.resize, runner.buckets

    def warmup(self, buckets: Sequence[int]) -> dict[int, float]:
        self._live()
        return self._runner.warmup(buckets)

    def run(self, images: ImageArray) -> RunnerOutput:
        self._live()
        return self._runner.run(images)

    def _live(self) -> None:
        if self._device in self.dead:
            raise RuntimeError(LOST)


@pytest.fixture
def dead(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """The devices that are lost from now on; the miner begins on `auto`."""

    def make(folder: Path, **options: Any) -> Runner:
        device = options.pop("device")
        return Mortal(open_runner(folder, device="cpu", **options), device)

    monkeypatch.setattr("streetvision.miner.models.open_runner", make)
    Mortal.dead.clear()
    yield Mortal.dead
    Mortal.dead.clear()


def settings(folder: Path) -> Settings:
    torch.manual_seed(0)
    config = tiny_config(depth=1)
    weights = build(config).state_dict()
    weights["head.fc.weight"] *= 50.0
    save_checkpoint(folder / "tiny", config, weights)
    return Settings(
        subtensor=SubtensorSettings(network="mock"),
        model=ModelSettings(choice=str(folder / "tiny")),
        compile=False,
        threads=1,
        axon=AxonSettings(ip="127.0.0.1", port=0),
        state_dir=folder / "state",
    )


def ask(port: int) -> int:
    """The status of one more challenge, with an image of its own."""
    number = next(NUMBERS)
    body = request_body(IMAGES[number % len(IMAGES)] + str(number).encode())
    headers = legacy_headers(
        dev_hotkey("Bob"), dev_hotkey("Miner").ss58_address, nonce_ns=time.time_ns(), uuid=str(uuid.uuid4())
    )
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("POST", "/ImageSynapse", body, headers)
        return connection.getresponse().status
    finally:
        connection.close()


async def readiness(miner: Miner) -> tuple[int, list[str], list[str]]:
    """Of /readyz: the status, the reasons, and what is degraded."""
    reply = await miner.operator_port._ready(ASKED)
    told = json.loads(reply.body)
    reasons, degraded = ([reason["code"] for reason in told[name]] for name in ("reasons", "degraded"))
    return reply.status, reasons, degraded


async def findings(miner: Miner) -> list[str]:
    return [finding.code for finding in (await miner.monitoring.monitor.judge_now()).findings]


async def test_the_cpu_takes_over_and_everything_says_so(tmp_path: Path, dead: set[str]) -> None:
    miner = Miner(settings(tmp_path))
    await miner.start()
    serving = asyncio.create_task(miner.serve())
    port = miner.axon.port
    try:
        assert await asyncio.to_thread(ask, port) == 200
        assert await readiness(miner) == (200, [], [])
        assert "device_lost" not in await findings(miner)
        dead.add("auto")
        assert await asyncio.to_thread(ask, port) == 500
        async with asyncio.timeout(60):
            while await asyncio.to_thread(ask, port) != 200:
                await asyncio.sleep(0.1)
        assert await readiness(miner) == (200, [], ["device_lost"])
        assert miner.registry.get_sample_value("streetvision_degraded", {"reason": "device_lost"}) == 1.0
        assert "device_lost" in await findings(miner)
        await miner.monitoring.alerts.catch_up()
        active = miner.monitoring.alerts.state.active
        assert [tracked.finding.code for tracked in active] == ["device_lost"], "told at once"
        status = (await miner.status.live.snapshot(PAGE_SPAN))["miner"]
        assert status["state"] == "degraded"
        assert status["why"] == "the device is lost, and the CPU answers in its place"
        told = await asyncio.to_thread(call, miner.settings.state_dir / SOCKET_NAME, "findings")
        assert told["observed"]["device"]["why"] == LOST
        models = miner.models.manager.status()
        assert (models["bad"], [line["event"] for line in models["decisions"]]) == ({}, ["reopened"])
        assert not serving.done()
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        assert await miner.close()
    assert [start.end for start in read_starts(tmp_path / "state")] == ["stopped"]


class Webhook:
    """Takes messages on loopback."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        got = self.got

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                got.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """No lines in the tests' output."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def test_without_a_lane_it_tells_the_operator_and_ends_for_another_start(tmp_path: Path, dead: set[str]) -> None:
    webhook, made = Webhook(), settings(tmp_path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    statuses: list[int] = []

    def challenge_it() -> None:
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline and 500 not in statuses:
            try:
                statuses.append(ask(port))
            except OSError:
                time.sleep(0.1)
            if 200 in statuses:
                dead.update(("auto", "cpu"))

    asking = threading.Thread(target=challenge_it)
    asking.start()
    flags = ("--subtensor.network", "mock", "--model", made.model.choice, "--compile", "false", "--threads", "1",
             "--axon.ip", "127.0.0.1", "--axon.port", str(port), "--state_dir", str(made.state_dir),
             "--alerts.webhook_url", f"http://127.0.0.1:{webhook.server.server_port}/")  # fmt: skip
    code = run_operation(flags, start)
    asking.join()
    webhook.server.shutdown()
    webhook.server.server_close()
    assert code == EXIT_RESTART
    assert statuses[0] == 200
    assert statuses[-1] == 500
    told = [item for message in webhook.got for item in message["items"] if item["code"] == "device_lost"]
    assert [item["severity"] for item in told] == ["critical"], "once, and before the process ended"
    (began,) = read_starts(made.state_dir)
    assert began.end == "crashed"
    assert LOST in began.reason
    with one_miner(made.state_dir):
        pass


@pytest.mark.parametrize("found", ["no CUDA-capable device is detected", None], ids=["beforehand", "by the model"])
async def test_a_device_that_is_dead_at_the_start(
    tmp_path: Path, dead: set[str], monkeypatch: pytest.MonkeyPatch, found: str | None
) -> None:
    monkeypatch.setattr("streetvision.miner.models.device_trouble", lambda _: found)
    dead.add("auto")
    miner = Miner(settings(tmp_path))
    try:
        await miner.start()
        assert await asyncio.to_thread(ask, miner.axon.port) == 200
        assert await readiness(miner) == (200, [], ["device_lost"])
        assert "device_lost" in await findings(miner)
    finally:
        assert await miner.close()


async def test_after_crashes_it_waits_before_it_touches_the_device(tmp_path: Path, dead: set[str]) -> None:
    miner = Miner(settings(tmp_path))
    miner.settings.state_dir.mkdir()
    crash = Start(time.time() - 60.0, "crashed", LOST)
    (miner.settings.state_dir / STARTS_FILE).write_text(json.dumps([asdict(crash)] * 3))
    starting = asyncio.create_task(miner.start())
    async with asyncio.timeout(20):
        while miner.gate.closed != "crash_loop":
            await asyncio.sleep(0.01)
    assert "crash_loop" in (await readiness(miner))[1]
    starting.cancel()
    await asyncio.wait({starting})
    assert await miner.close()
    assert [start.end for start in read_starts(miner.settings.state_dir)] == ["crashed"] * 3 + ["stopped"]

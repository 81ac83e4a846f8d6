"""The whole miner in this process: what it says of itself through the socket, the page and a report."""

from __future__ import annotations

import asyncio
import io
import json
import socket
import threading
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from streetvision.axon.client import legacy_headers, request_body
from streetvision.chain.mock.config import dev_hotkey
from streetvision.engine.types import Runner
from streetvision.errors import OperatorError
from streetvision.miner.miner import Miner
from streetvision.page.page import SERVED_POLICY
from streetvision.retrain_log.records import RunRecord, RunState, StepName
from streetvision.retrain_log.schema import FOLDER
from streetvision.retrain_log.store import RetrainStore
from streetvision.runner.opening import open_runner
from streetvision.settings.model import ModelSettings
from streetvision.settings.network import AxonSettings, SubtensorSettings
from streetvision.settings.retrain import RetrainSettings
from streetvision.settings.settings import Settings
from streetvision.settings.upkeep import MetricsSettings, MockSettings
from streetvision.status.asking import ask
from streetvision.status.files import status_from_files
from streetvision.status.schema import Span


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def settings_for(folder: Path, checkpoint: Path, port: int) -> Settings:
    return Settings(
        subtensor=SubtensorSettings(network="mock"),
        model=ModelSettings(choice=str(checkpoint)),
        compile=False,
        threads=1,
        axon=AxonSettings(ip="127.0.0.1", port=0),
        state_dir=folder / "state",
        mock=MockSettings(block_time=0.05, tempo=5),
        metrics=MetricsSettings(port=port),
    )


@pytest.fixture
async def miner(tmp_path: Path, checkpoint: Path) -> AsyncIterator[Miner]:
    miner = Miner(settings_for(tmp_path, checkpoint, free_port()))
    await miner.start()
    yield miner
    await miner.close()


def challenge(port: int, hotkey: str, *, stripped: bool = False) -> int:
    """One challenge by Bob, its headers as they are or as a proxy leaves them; the status of its reply."""
    pixels = np.random.default_rng(time.time_ns()).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG")
    headers = legacy_headers(dev_hotkey("Bob"), hotkey, nonce_ns=time.time_ns(), uuid=str(uuid.uuid4()))
    if stripped:
        headers = {name: value for name, value in headers.items() if "_" not in name}
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", "/ImageSynapse", request_body(buffer.getvalue()), headers)
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


async def test_a_running_miner_tells_everything_and_its_files_go_on(miner: Miner) -> None:
    hotkey, settings = miner.wallet.ss58_address, miner.settings
    for _ in range(3):
        assert await asyncio.to_thread(challenge, miner.axon.port, hotkey) == 200
        assert await asyncio.to_thread(challenge, miner.axon.port, hotkey, stripped=True) == 400
    assert (await asyncio.to_thread(fetch, miner.axon.port, "/wp-login.php"))[0] == 404
    assert "headers_missing" in {finding.code for finding in (await miner.monitoring.monitor.look()).findings}
    found = await asyncio.to_thread(ask, settings.state_dir, Span())
    assert (found["miner"]["state"], found["miner"]["hotkey"]) == ("serving", hotkey)
    refused = [(row["reason"], row["recent"]) for row in found["refusals"] or ()]
    assert refused == [("headers_dropped", 3), ("unknown_path", 1)]
    assert found["standing"] is not None
    assert found["standing"]["uid"] is not None
    assert found["traffic"]["answered"] == found["counted"]["answered"] == 3
    assert found["models"] is not None
    bob = next(row for row in found["validators"] if row["hotkey"] == dev_hotkey("Bob").ss58_address)
    assert (bob["requests"], bob["errors"]) == (3, 0)
    assert bob["stake"]
    page = (await miner.status.page.page()).decode()
    assert bob["hotkey"] in page
    await miner.close()
    with pytest.raises(OperatorError, match="no miner runs"):
        ask(settings.state_dir, Span())
    left = status_from_files(settings, time.time(), Span(counted_days=1.0))
    assert (left["miner"]["state"], left["miner"]["hotkey"]) == ("stopped", hotkey)
    assert left["counted"]["answered"] == 3
    assert next(row for row in left["validators"] if row["hotkey"] == bob["hotkey"])["requests"] == 3


async def test_what_retraining_did_is_told_everywhere(tmp_path: Path, checkpoint: Path) -> None:
    port = free_port()
    settings = replace(settings_for(tmp_path, checkpoint, port), retrain=RetrainSettings(frozen="held"))
    log, now = RetrainStore(settings.state_dir / FOLDER), datetime.now(UTC).isoformat(timespec="seconds")
    log.add(run := RunRecord("20261130-0200", now, "schedule"))
    log.begin_step(run.id, StepName.TRAIN, now)
    log.end(replace(run, state=RunState.FAILED, ended=now, reason="the disk is full: free some space"), StepName.TRAIN)
    miner = Miner(settings)
    await miner.start()
    try:
        assert "retrain_failed" in {finding.code for finding in (await miner.monitoring.monitor.look()).findings}
        found = await asyncio.to_thread(ask, settings.state_dir, Span())
        assert found["retrain"] is not None
        assert found["retrain"]["last"] is not None
        assert (found["retrain"]["last"]["state"], found["retrain"]["last"]["step"]) == ("failed", "train")
        assert "retraining failed in its step train" in (await miner.status.page.page()).decode().lower()
        metrics = (await asyncio.to_thread(fetch, port, "/metrics"))[2].decode()
        assert 'streetvision_retrain_runs{state="failed"} 1.0' in metrics
    finally:
        await miner.close()
    left = status_from_files(settings, time.time(), Span())
    assert left["retrain"] == found["retrain"] | {"model_created": None}
    assert "retrain_failed" in {finding["code"] for finding in left["findings"]}


def fetch(port: int, path: str) -> tuple[int, dict[str, str], bytes]:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()


async def test_while_the_model_loads_the_port_tells_the_rest(
    tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = threading.Event()

    def load(*arguments: Any, **options: Any) -> Runner:
        loaded.wait(60)
        return open_runner(*arguments, **options)

    monkeypatch.setattr("streetvision.miner.models.open_runner", load)
    port = free_port()
    miner = Miner(settings_for(tmp_path, checkpoint, port))
    starting = asyncio.create_task(miner.start())
    try:
        async with asyncio.timeout(30):
            while miner.readiness.parts is None or miner.watcher.current is None:
                await asyncio.sleep(0.01)
        status, _, body = await asyncio.to_thread(fetch, port, "/readyz")
        assert (status, [reason["code"] for reason in json.loads(body)["reasons"]]) == (503, ["starting", "not_warm"])
        told = json.loads((await asyncio.to_thread(fetch, port, "/api/status.json"))[2])
        assert (told["miner"]["state"], told["models"]) == ("starting", None)
        assert told["standing"]["uid"] is not None
        assert (await asyncio.to_thread(fetch, port, "/"))[0] == 200
        loaded.set()
        await starting
        assert (await asyncio.to_thread(fetch, port, "/readyz"))[0] == 200
    finally:
        loaded.set()
        await asyncio.wait({starting})
        assert await miner.close()


async def test_the_page_and_the_snapshot_are_on_the_operators_port(miner: Miner) -> None:
    port = miner.settings.http_port
    status, headers, body = await asyncio.to_thread(fetch, port, "/")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert headers["content-security-policy"] == SERVED_POLICY
    assert body.startswith(b"<!doctype html>")
    status, headers, body = await asyncio.to_thread(fetch, port, "/api/status.json")
    assert (status, headers["content-type"]) == (200, "application/json")
    assert json.loads(body)["miner"]["hotkey"] == miner.wallet.ss58_address

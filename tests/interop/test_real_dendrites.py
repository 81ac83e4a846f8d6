"""Real dendrites of the SDK versions that validators run, against the real axon, over loopback."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bittensor.sp_core import Keypair
from prometheus_client import CollectorRegistry

from streetvision.axon.config import AxonConfig
from streetvision.axon.metrics import AxonMetrics
from streetvision.axon.server import AxonServer
from streetvision.chain.metagraph import MetagraphSnapshot, Neuron
from streetvision.engine.types import Prediction, Timings

ROOT = Path(__file__).resolve().parent.parent.parent
VERSIONS = ("9.12.2", "10.5.0")
MINER, ALICE = (Keypair.create_from_uri(uri).ss58_address for uri in ("//Miner", "//Alice"))
pytestmark = pytest.mark.interop


def python_of(version: str) -> Path:
    python = ROOT / ".envs" / f"bittensor-{version}" / "bin" / "python"
    if not python.exists():
        reason = f"no environment for bittensor {version}: run python scripts/make_interop_env.py {version}"
        if os.environ.get("STREETVISION_REQUIRE_INTEROP") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return python


class Predictor:
    def __init__(self) -> None:
        self.sizes: list[int] = []

    async def predict(self, jpeg: bytes, *, deadline: float, priority: float) -> Prediction:
        self.sizes.append(len(jpeg))
        return Prediction(0.625, 0.5, np.zeros(4, np.float32), "test", 1, 1, 8, 8, Timings(0.0, 0.0, 0.0))


def snapshot() -> MetagraphSnapshot:
    alice = Neuron(0, ALICE, ALICE, True, 9.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0, 0, None)
    return MetagraphSnapshot(72, 1, 0.0, 360, ALICE, 256, (alice,))


@pytest.fixture
async def served() -> AsyncIterator[tuple[AxonServer, Predictor]]:
    predictor, taken = Predictor(), snapshot()
    hosts = ("127.0.0.1", "::1") if has_ipv6() else ("127.0.0.1",)
    config = AxonConfig(hotkey=MINER, port=0, hosts=hosts)
    server = AxonServer(config, predictor, lambda: taken, metrics=AxonMetrics(CollectorRegistry()))
    await server.start()
    yield server, predictor
    await server.close()


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


async def drive(version: str, port: int, queries: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    process = await asyncio.create_subprocess_exec(
        python_of(version),
        Path(__file__).with_name("dendrite_driver.py"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "HOME": os.environ.get("HOME", "/tmp"), "PYTHONPATH": ""},
    )
    plan = json.dumps({"port": port, "receiver": MINER, "queries": queries}).encode()
    out, errors = await asyncio.wait_for(process.communicate(plan), 60)
    assert process.returncode == 0, errors.decode()
    answer = json.loads(out.splitlines()[-1])
    assert answer["version"] == version
    return answer["results"]  # type: ignore[no-any-return]  # JSON


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_real_dendrite_is_answered_and_refused(version: str, served: tuple[AxonServer, Predictor]) -> None:
    server, predictor = served
    queries: list[dict[str, Any]] = [
        {"signer": "//Alice"},
        {"signer": "//Alice", "copies": 10},
        {"signer": "//Alice", "image_kb": 4000},
        {"signer": "//Alice", "hashed": True},
        {"signer": "//Eve"},
        {"signer": "//Eve", "image_kb": 4000},
    ]
    if has_ipv6():
        queries.append({"signer": "//Alice", "ip": "[::1]"})
    results = await drive(version, server.port, queries)
    one, ten, large, hashed, stranger, large_stranger, *ipv6 = results
    for reply in [*one, *ten, *large, *hashed, *(r for replies in ipv6 for r in replies)]:
        assert_answered(reply)
    assert len(ten) == 10
    assert sorted(predictor.sizes) == [10_000] * (12 + len(ipv6)) + [4_000_000]
    for reply in (*stranger, *large_stranger):
        assert (reply["status"], reply["is_success"], reply["prediction"]) == (403, False, -1.0)
        assert reply["message"] == "The hotkey is not registered on this subnet."


def assert_answered(reply: dict[str, Any]) -> None:
    assert (reply["status"], reply["is_success"], reply["prediction"]) == (200, True, 0.625), reply
    assert reply["axon_status"] == 200
    assert float(reply["process_time"]) > float(reply["axon_process_time"]) > 0
    assert (reply["axon_hotkey"], reply["dendrite_hotkey"]) == (MINER, ALICE)

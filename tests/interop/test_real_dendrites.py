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
    answer = json.loads(out)
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
    one, ten, large, hashed, stranger, large_stranger = await drive(version, server.port, queries)
    for reply in [*one, *ten, *large, *hashed]:
        assert_answered(reply)
    assert len(ten) == 10
    assert sorted(predictor.sizes) == [10_000] * 12 + [4_000_000]
    for reply in (*stranger, *large_stranger):
        assert (reply["status"], reply["is_success"], reply["prediction"]) == (403, False, -1.0)
        assert reply["message"] == "The hotkey is not registered on this subnet."


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


@needs_ipv6
@pytest.mark.parametrize("version", VERSIONS)
async def test_the_axon_answers_a_dendrite_over_ipv6(version: str, served: tuple[AxonServer, Predictor]) -> None:
    """Our side of IPv6 works: the brackets are the caller's own doing, no metagraph yields them."""
    server, _ = served
    ((reply,),) = await drive(version, server.port, [{"signer": "//Alice", "ip": "[::1]"}])
    assert_answered(reply)


@needs_ipv6
@pytest.mark.parametrize("version", VERSIONS)
async def test_a_dendrite_cannot_call_an_ipv6_axon(version: str, served: tuple[AxonServer, Predictor]) -> None:
    """It puts the metagraph's address into its URL without brackets, and aiohttp refuses it (InvalidUrlClientError).

    Stock validators reach no IPv6 miner. When this fails, that version has learned it, and the endpoint may be IPv6
    where all validators run it.
    """
    server, predictor = served
    ((reply,),) = await drive(version, server.port, [{"signer": "//Alice", "ip": "::1"}])
    assert reply["ip_of_2001:db8::1_in_a_metagraph"] == "2001:db8::1"
    assert (reply["is_success"], reply["prediction"], str(reply["status"])) == (False, -1.0, "422")
    assert reply["message"] == f"Failed to parse response: http://::1:{server.port}/ImageSynapse"
    assert predictor.sizes == []


def assert_answered(reply: dict[str, Any]) -> None:
    assert (reply["status"], reply["is_success"], reply["prediction"]) == (200, True, 0.625), reply
    assert reply["axon_status"] == 200
    assert float(reply["process_time"]) > float(reply["axon_process_time"]) > 0
    assert (reply["axon_hotkey"], reply["dendrite_hotkey"]) == (MINER, ALICE)

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pytest
import uvloop
from bittensor import http_auth
from bittensor.sp_core import Keypair
from prometheus_client import CollectorRegistry

from streetvision.axon.client import legacy_headers, request_body
from streetvision.axon.config import AxonConfig
from streetvision.axon.metrics import AxonMetrics
from streetvision.axon.record_listeners import RecordListeners
from streetvision.axon.records import RequestRecord
from streetvision.axon.server import AxonServer
from streetvision.chain.metagraph import MetagraphSnapshot, Neuron
from streetvision.engine.types import Prediction, Timings

MINER, ALICE, BOB, DAVE, EVE = (
    Keypair.create_from_uri(uri) for uri in ("//Miner", "//Alice", "//Bob", "//Dave", "//Eve")
)


def neuron(uid: int, hotkey: str, *, permit: bool, stake: float) -> Neuron:
    zeros = dict.fromkeys(("rank", "trust", "consensus", "incentive", "dividends", "pruning_score", "emission"), 0.0)
    return Neuron(
        uid=uid,
        hotkey=hotkey,
        coldkey=hotkey,
        validator_permit=permit,
        stake=stake,
        last_update=0,
        block_at_registration=0,
        axon=None,
        **zeros,
    )


SNAPSHOT = MetagraphSnapshot(
    netuid=72,
    block=1,
    taken_at=0.0,
    tempo=360,
    owner_hotkey=ALICE.ss58_address,
    max_uids=256,
    neurons=(
        neuron(0, ALICE.ss58_address, permit=True, stake=1000.0),
        neuron(1, BOB.ss58_address, permit=True, stake=500.0),
        neuron(3, DAVE.ss58_address, permit=False, stake=1.0),
        neuron(4, MINER.ss58_address, permit=False, stake=0.0),
    ),
)


def prediction(probability: float = 0.75) -> Prediction:
    return Prediction(
        probability=probability,
        logit=1.1,
        embedding=np.zeros(4, np.float32),
        model_version="test",
        views=1,
        batch_size=1,
        width=8,
        height=8,
        timings=Timings(0.0, 0.0, 0.0),
    )


@dataclass
class CountingPredictor:
    """Counts its calls and does what a test tells it to."""

    answer: Callable[[bytes], Awaitable[Prediction]] | None = None
    images: list[bytes] = field(default_factory=list)
    deadlines: list[float] = field(default_factory=list)
    priorities: list[float] = field(default_factory=list)

    async def predict(self, jpeg: bytes, *, deadline: float, priority: float) -> Prediction:
        self.images.append(jpeg)
        self.deadlines.append(deadline)
        self.priorities.append(priority)
        return prediction() if self.answer is None else await self.answer(jpeg)


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def read_reply(reader: asyncio.StreamReader) -> Reply:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Reply(int(head[0].split()[1]), headers, body)


def encode(method: str, path: str, headers: dict[str, str], body: bytes) -> bytes:
    headers = {"host": "test", **headers}
    if method == "POST" and not {"content-length", "transfer-encoding"} & set(headers):
        headers["content-length"] = str(len(body))
    lines = [f"{method} {path} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items()), "", ""]
    return "\r\n".join(lines).encode() + body


@dataclass
class Axon:
    """A running server, its predictor, and raw-socket clients for it."""

    server: AxonServer
    predictor: CountingPredictor
    registry: CollectorRegistry
    records: list[RequestRecord]

    @property
    def port(self) -> int:
        return self.server.port

    def counted(self, status: int, reason: str, dialect: str = "legacy") -> float:
        labels = {"dialect": dialect, "status": str(status), "reason": reason}
        return self.registry.get_sample_value("streetvision_axon_requests_total", labels) or 0.0

    def sample(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"streetvision_axon_{name}", labels) or 0.0

    async def connect(self, host: str = "127.0.0.1") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(host, self.port)

    async def raw(self, data: bytes, host: str = "127.0.0.1") -> Reply:
        reader, writer = await self.connect(host)
        try:
            writer.write(data)
            return await asyncio.wait_for(read_reply(reader), 10)
        finally:
            writer.close()

    async def ask(
        self,
        method: str = "POST",
        path: str = "/ImageSynapse",
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
        host: str = "127.0.0.1",
    ) -> Reply:
        headers = signed() if headers is None else headers
        return await self.raw(encode(method, path, headers, request_body(b"image") if body is None else body), host)


def signed(signer: Any = ALICE, *, age_s: float = 0.0, uuid: str = "a-b-c", timeout_s: float = 9.0) -> dict[str, str]:
    nonce = time.time_ns() - int(age_s * 1e9)
    return legacy_headers(signer, MINER.ss58_address, nonce_ns=nonce, uuid=uuid, timeout_s=timeout_s)


class MakeAxon(Protocol):
    async def __call__(self, **settings: Any) -> Axon: ...


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> Mapping[str, Any]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def make_axon() -> AsyncIterator[MakeAxon]:
    running: list[Axon] = []

    async def make(**settings: Any) -> Axon:
        gate, clock = (settings.pop(name, None) for name in ("gate", "clock"))
        metagraph = settings.pop("metagraph", lambda: SNAPSHOT)
        predictor = settings.pop("predictor", None) or CountingPredictor()
        settings = {"hotkey": MINER.ss58_address, "port": 0, "hosts": ("127.0.0.1",), **settings}
        registry, records = CollectorRegistry(), []  # type: ignore[var-annotated]
        heard = (*settings.pop("heard", ()), records.append)
        server = AxonServer(
            AxonConfig(**settings),
            predictor,
            metagraph,
            metrics=AxonMetrics(registry),
            gate=gate,
            listeners=RecordListeners(heard, registry),
            clock=clock,
        )
        await server.start()
        running.append(Axon(server, predictor, registry, records))
        return running[-1]

    yield make
    for axon in running:
        await axon.server.close()


@pytest.fixture
async def axon(make_axon: MakeAxon) -> Axon:
    return await make_axon()


def btauth(content: bytes, signer: Keypair = ALICE, **changes: Any) -> dict[str, str]:
    """Headers of a request signed as btauth/1 has it, by the SDK itself."""
    arguments = {"method": "POST", "path": "/ImageSynapse", "body": content, "receiver_ss58": MINER.ss58_address}
    return http_auth.sign(signer, **(arguments | changes))
